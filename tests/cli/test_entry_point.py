"""Every option through the real entry point: a process for each row, with uvicorn, HTTP/2 over TLS, and scripts."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from command import Done, run, start
from h2_server import H2Server
from uvicorn_server import UvicornServer

import sse_client_cli
from sse_client.testing import FIN, Answer, EventServer, Pause, RecordedRequest, resumable

ENVIRONMENT = {"KEY": "k3y", "NO_COLOR": "1"}
CHAT = (
    'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'
    'data: {"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]}\n\n'
    "data: [DONE]\n\n"
)
BINARY = b"data: 1\n\n" + bytes(range(256)) * 2048 + b"\n\n"
STREAM = b': hi\n\nevent: ping\ndata: 0\n\nevent: token\nid: 7\ndata: {"t":  1.50}\n\ndata: \xff\x1b\n\n'


def answer(request: RecordedRequest) -> Answer:
    """The response that the path names; most end the connection in some way."""
    path = request.target.partition("?")[0].rpartition("/")[2]
    if path == "resumable":
        if "last-event-id" in request.headers:
            return resumable("1", "2")(request)
        return Answer("retry: 10\nid: 1\ndata: 1\n\n", Pause(0.02), FIN)
    if path == "lost":
        count = sum(each.target == request.target for each in server_of(request).requests)
        return Answer(FIN, framing="raw") if count == 1 else Answer("data: 1\n\n")
    return {
        "one": Answer("data: 1\n\n"),
        "silent": Answer(": hi\n\n", Pause(30)),
        "idle": Answer("data: 1\n\n", Pause(30)),
        "chat": Answer(CHAT),
        "binary": Answer(BINARY),
    }[path]


class Row(NamedTuple):
    """A call of the command, its exit code, and a check of its output."""

    arguments: str
    check: "Callable[[Done, Place], object]"
    code: int = 0
    stdin: bytes = b""


class Place(NamedTuple):
    """The servers and files of the rows, by their names in the arguments."""

    uvicorn: str
    server: str
    h2: str
    folder: Path
    scripted: EventServer


places: list[Place] = []


def server_of(_: RecordedRequest) -> EventServer:
    return places[0].scripted


def echoed(done: Done) -> dict[str, Any]:
    """The request that uvicorn got, from the first line of `--jsonl` or `--data`."""
    line = json.loads(done.out.splitlines()[0])
    told: dict[str, Any] = line.get("data", line)
    return told


def is_posted(done: Done, _: Place) -> None:
    told = echoed(done)
    assert (told["method"], told["query"], json.loads(told["body"])) == ("POST", "a=b&k=v+w", {"n": 1.50})
    headers = told["headers"]
    assert headers["content-type"] == "application/json"
    assert (headers["x-a"], headers["authorization"], headers["last-event-id"]) == ("b", "Bearer k3y", "7")
    assert json.loads(done.out.splitlines()[-1])["stats"]["outcome"] == "completed"


def is_a_form(done: Done, _: Place) -> None:
    told = echoed(done)
    assert (told["method"], told["body"]) == ("POST", "a=1&b=2")
    assert told["headers"]["authorization"] == "Basic bWU6azN5"
    assert done.out.count(b"\n") == 1


def is_copied(done: Done, _: Place) -> None:
    told = echoed(done)
    assert (told["method"], told["query"], told["body"]) == ("POST", "x=1", '{"m":"it\'s !"}')
    assert told["headers"]["cookie"] == "sid=abc; theme=dark"


def is_http2(done: Done, place: Place) -> None:
    assert done.out.endswith(b"\n\ndata: 1\n\ndata: [DONE]\n\n")
    assert done.out.startswith(b"HTTP/2 200")
    assert done.err.startswith("> GET https://127.0.0.1")


def resumes(done: Done, place: Place) -> None:
    assert done.out == b"1\n2\n"
    first, second = (each for each in place.scripted.requests if each.target.endswith("/resumable"))
    assert first.headers["x-key"] == second.headers["x-key"]
    assert "2 attempts" in done.err


def is_recorded(done: Done, place: Place) -> None:
    assert done.out == b"Hello"
    assert run("replay", str(place.folder / "recording.jsonl"), "--raw", "--speed", "inf").out == CHAT.encode()


def is_pretty(done: Done, _: Place) -> None:
    lines = [line.partition(" ")[2] for line in done.out.decode().splitlines()]
    assert lines == [": hi", "ping 0", 'token #7 {"t":  1.50}', "message #7 \N{REPLACEMENT CHARACTER}\\x1b"]


def has(out: bytes, err: str = "") -> "Callable[[Done, Place], None]":
    """A check that compares the output, and looks for a part of the notes."""

    def check(done: Done, _: Place) -> None:
        assert done.out == out
        assert err in done.err

    return check


ROWS = {
    "post": Row(
        "post {uvicorn}/echo?a=b|--json|{\"n\": 1.50}|-H|X-A: b|-q|k=v w|--bearer-env|KEY|--last-event-id|7"
        "|--until|type=done|--event|request|--jsonl|--stats",
        is_posted,
    ),
    "a bare URL with a form": Row(
        "{uvicorn}/echo|-F|a=1|-F|b=2|-u|me|--password-env|KEY|--data|--count|1", is_a_form
    ),
    "--from-curl": Row(
        "--from-curl|-|--data|--count|1",
        is_copied,
        stdin=rb"""curl '{uvicorn}/echo?x=1' \
  -H 'content-type: application/json' \
  -b 'sid=abc; theme=dark' \
  --data-raw $'{"m":"it\'s \u0021"}' \
  --compressed""",
    ),
    "follow": Row("follow {uvicorn}/feed|--data|--idle|20|--retries|3", has(b"1\n2\n3\n")),
    "uvicorn, event by event": Row(
        "post {uvicorn}/chat|-q|count=2|-d|@{folder}/body|--until|event:done|--text|.n", has(b"12")
    ),
    "HTTP/2 over TLS with a certificate": Row(
        "get {h2}/done|-k|--cert|{folder}/ours.pem|--http2|-i|-v|--raw", is_http2
    ),
    "--proxy": Row("get http://h.invalid/one|--proxy|{server}|--data", has(b"1\n")),
    "--resume": Row(
        "post {server}/resumable|-d|x|--resume|--retries|2|--idempotency-key|X-Key|--until|data:2|--data|--stats",
        resumes,
    ),
    "--retry-ambiguous": Row(
        "post {server}/lost|-d|-|--retries|1|--retry-ambiguous|--data", has(b"1\n", "retrying after"), stdin=b"x"
    ),
    "--record": Row(
        "get {server}/chat|--dialect|openai|--text|--record|{folder}/recording.jsonl|--timeout|20", is_recorded
    ),
    "--timeout": Row("get {server}/idle|--timeout|0.2|--data", has(b"1\n", "0.2 s"), code=8),
    "--first-event": Row("get {server}/silent|--first-event|0.2", has(b"", "0.2 s"), code=8),
    "--idle": Row("get {server}/idle|--idle|0.2|--data", has(b"1\n", "0.2 s"), code=8),
    "--error": Row("parse {folder}/stream|--error|event:token|--data", has(b"0\n", "an error event"), code=9),
    "--strict": Row("parse|--strict|--ping|ping|--data", has(b'{"t":  1.50}\n', "is not JSON"), code=10, stdin=STREAM),
    "--comments": Row("parse {folder}/stream|--comments|--pretty|--raw-data", is_pretty),
    "--raw": Row("get {server}/binary|--raw", has(BINARY)),
    "replay": Row("replay {folder}/cassette.jsonl|--speed|100|--raw", has(STREAM)),
    "a mistake": Row("get {server}/one|--nope=k3y", has(b"", "unknown option --nope"), code=2),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(uvicorn_server: UvicornServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The servers, and the files that the rows read."""
    folder = tmp_path_factory.mktemp("rows")
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(str(folder / "ours.pem"))
    (folder / "body").write_text("x")
    (folder / "stream").write_bytes(STREAM)
    run("parse", "--record", str(folder / "cassette.jsonl"), stdin=STREAM)
    with EventServer(answer) as server, H2Server(context) as h2:
        place = Place(uvicorn_server.url, server.url, h2.url, folder, server)
        places[:] = [place]
        yield place


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str, place: Place) -> None:
    """Each option works in a process as it does in a table, with the exit code of the page."""
    row = ROWS[name]

    def filled(text: str) -> str:
        for key, value in place._asdict().items():
            text = text.replace(f"{{{key}}}", str(value))
        return text

    with start(*filled(row.arguments).replace(" ", "|", 1).split("|"), env=ENVIRONMENT) as process:
        out, err = process.communicate(filled(row.stdin.decode("latin-1")).encode("latin-1"), timeout=60)
    done = Done(process.returncode, out, err.decode())
    assert done.code == row.code, done
    row.check(done, place)
    assert "k3y" not in done.err


def test_every_option_has_a_row() -> None:
    """There is no option without a row, but for that of a server that runs until Ctrl-C."""
    words = {word for row in ROWS.values() for word in row.arguments.replace(" ", "|", 1).split("|")}
    options = {
        each
        for name, command in sse_client_cli.COMMANDS.items()
        if name != "doctor"
        for names, _ in command.options
        for each in names
    }
    assert options - words == {"--serve"}
