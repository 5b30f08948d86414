"""The exit code of each way in which a stream ends."""

import io
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from command import run

import sse_client_cli
from sse_client import EventTooLarge
from sse_client.cli._exits import code_of
from sse_client.testing import FIN, RST, Answer, EventServer, Pause, resumable

ONE = "data: 1\n\n"

ENDS: dict[str, tuple[int, list[str], Callable[[], tuple[Any, ...]]]] = {
    "complete": (0, [], lambda: (Answer(ONE),)),
    "a terminator": (0, ["--until", "done"], lambda: (Answer("event: done\ndata: 1\n\n", Pause(9)),)),
    "a terminator in data": (0, ["--until", "data:bye"], lambda: (Answer("data: bye\n\n", Pause(9)),)),
    "a terminator in a field": (0, ["--until", "end=true"], lambda: (Answer('data: {"end": true}\n\n', Pause(9)),)),
    "one of two terminators": (0, ["--until", "a", "--until", "b"], lambda: (Answer("event: b\ndata\n\n", Pause(9)),)),
    "[DONE]": (0, [], lambda: (Answer("data: [DONE]\n\n", Pause(0.05), FIN),)),
    "nothing": (0, [], lambda: (Answer(status=204),)),
    "a 404": (4, [], lambda: (Answer("no", status=404),)),
    "a redirect to another origin": (
        4,
        [],
        lambda: (Answer(status=307, headers={"Location": "http://other.invalid/?k=c4n4ry"}),),
    ),
    "a redirect of a POST to a GET": (4, ["-d", "x"], lambda: (Answer(status=302, headers={"Location": "/x"}),)),
    "a 500": (5, [], lambda: (Answer("no", status=500),)),
    "a 503 once": (0, ["--retries", "1"], lambda: (Answer(status=503, headers={"Retry-After": "0"}), Answer(ONE))),
    "JSON": (6, [], lambda: (Answer.json({"a": 1}),)),
    "a 205": (6, [], lambda: (Answer(status=205),)),
    "truncated": (7, ["--until", "done"], lambda: (Answer(ONE),)),
    "cut": (7, [], lambda: (Answer(ONE, FIN),)),
    "reset": (7, [], lambda: (Answer(ONE, Pause(0.05), RST),)),
    "in the middle": (7, [], lambda: (Answer("data: 1"),)),
    "idle": (8, ["--idle", "0.05"], lambda: (Answer(ONE, Pause(9)),)),
    "no first event": (8, ["--first-event", "0.05"], lambda: (Answer(": 1\n\n", Pause(9)),)),
    "too long": (8, ["--timeout", "0.05"], lambda: (Answer(ONE, Pause(9)),)),
    "no head in time": (8, ["--timeout", "0.05"], lambda: (Answer(ONE, delay=9),)),
    "no response": (3, [], lambda: (Answer(FIN, framing="raw"),)),
    "an error event": (9, ["--error", "error"], lambda: (Answer("event: error\ndata: 1\n\n"),)),
    "an error in a field": (9, ["--error", "type=error"], lambda: (Answer('data: {"type": "error"}\n\n'),)),
    "an error by dialect": (9, ["--dialect", "openai"], lambda: (Answer('data: {"error": {"message": "m"}}\n\n'),)),
    "not JSON": (10, ["--strict"], lambda: (Answer("data: x\n\n"),)),
    "not JSON, in a dialect": (10, ["--strict", "--dialect", "openai"], lambda: (Answer("data: x\n\n"),)),
    "resumed": (0, ["--resume", "--until", "data:2"], lambda: (_cut_once(),)),
    "not resumed": (7, ["--until", "data:2"], lambda: (_cut_once(),)),
}


def _cut_once() -> Any:
    answer = resumable("1", "2")
    return lambda request: (
        answer(request)
        if "last-event-id" in request.headers
        else Answer("retry: 10\nid: 1\ndata: 1\n\n", Pause(0.05), FIN)
    )


@pytest.mark.parametrize("name", ENDS)
def test_exit_codes(name: str) -> None:
    """Each end has its exit code, and a note on standard error unless it is complete."""
    code, arguments, scripts = ENDS[name]
    with EventServer(*scripts()) as server:
        done = run(server.url, *arguments)
    assert done.code == code, done.err
    assert bool(done.err) == (code != 0 or "once" in name or name == "resumed")
    assert "c4n4ry" not in done.err


def test_no_connection() -> None:
    """Without a server, a host or a valid certificate, there is no connection: 3."""
    with EventServer() as server:
        url = server.url
    assert run("get", url).code == 3
    assert run("get", "http://nowhere.invalid/").code == 3


def test_certificates(tmp_path: Any) -> None:
    """A certificate of an unknown authority is no connection, unless `-k` takes any."""
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with EventServer(Answer(ONE), ssl_context=context) as server:
        assert run("get", server.url).code == 3
        assert run("get", server.url, "-k", "--data").out == b"1\n"


def test_a_post_is_not_sent_twice() -> None:
    """A POST that may have reached the server is repeated only with `--idempotency-key` or `--retry-ambiguous`."""
    lost = Answer(FIN, framing="raw")
    for arguments, count in (
        (["--retries", "2"], 1),
        (["--retries", "1", "--retry-ambiguous"], 2),
        (["--retries", "1", "--idempotency-key", "Idempotency-Key"], 2),
    ):
        with EventServer(lost, Answer(ONE)) as server:
            done = run("post", server.url, "-d", "x", *arguments)
            assert len(server.requests) == count
            assert done.code == (3 if count == 1 else 0)
        keys = {request.headers.get("idempotency-key") for request in server.requests}
        assert len(keys) == 1


def test_follow() -> None:
    """`follow` reconnects after the last event, until the server returns a 204."""

    def answer(request: Any) -> Answer:
        last = int(request.headers.get("last-event-id", "0"))
        return Answer(f"retry: 10\nid: {last + 1}\ndata: {last + 1}\n\n") if last < 3 else Answer(status=204)

    with EventServer(answer) as server:
        done = run("follow", server.url, "--data")
    assert (done.code, done.out) == (0, b"1\n2\n3\n")


def test_anything_else() -> None:
    """An event that is too large, and a disk that is full, exit 1 with a note."""
    assert code_of(EventTooLarge("too large")) == 1

    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    for output in ("--data", "--raw"):
        err = io.StringIO()
        assert sse_client_cli.main(["parse", output], Full(), err, io.BytesIO(b"data: 1\n\n")) == 1
        assert "No space left" in err.getvalue()


def test_closed_standard_error() -> None:
    """If standard error is closed, notes are lost and the exit code is not."""
    err = io.StringIO()
    err.close()
    assert sse_client_cli.main(["parse"], io.BytesIO(), err, io.BytesIO(b"data: 1")) == 7
