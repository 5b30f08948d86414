"""Everything that can go wrong around a request of `doctor`: no connection, no end, no room, no reader, Ctrl-C."""

import gzip
import json
import signal
import socket
import ssl
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from command import run, start
from examining import ENDLESS, TOKENS, examine, levels, report_of, stream

from sse_client.cli.doctor import _body
from sse_client.cli.doctor._sources import observe
from sse_client.testing import FIN, RST, Answer, EventServer, Pause, RecordedRequest

FAILURES: dict[str, tuple[str, str]] = {
    "nothing listens": ("http://127.0.0.1:{free}/", "nothing is listening there"),
    "no such host": ("http://nowhere.invalid/", "cannot be resolved"),
    "no TLS": ("https://127.0.0.1:{plain}/", "the TLS handshake failed"),
    "an unknown authority": ("https://127.0.0.1:{secure}/", "the certificate was rejected"),
    "no HTTP": ("http://127.0.0.1:{secure}/", "closed before the response"),
    "no response": ("http://127.0.0.1:{port}/", "closed before the response"),
}


@contextmanager
def plain_server() -> Iterator[int]:
    """A server that knows only HTTP, and says so to a client that speaks TLS; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client = listener.accept()[0]
                    with client:
                        client.recv(65_536)
                        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        socket.socket.shutdown(listener, socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("name", FAILURES)
def test_no_connection(name: str) -> None:
    """Without a response there is one line, FAIL, with the reason and a cure; it exits 3."""
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    url, expected = FAILURES[name]
    with ExitStack() as stack:
        server = stack.enter_context(EventServer(Answer(FIN, framing="raw")))
        secure = stack.enter_context(EventServer(stream(), ssl_context=context))
        with EventServer() as closed:
            pass
        plain = stack.enter_context(plain_server())
        url = url.format(port=server.port, secure=secure.port, free=closed.port, plain=plain)
        done = run("doctor", url)
        (line,) = (line for line in done.out.decode().splitlines() if line.startswith("FAIL"))
        assert done.code == 3
        assert line.startswith("FAIL  connection  ")
        assert expected in line
        assert " · " in line
        report = report_of(run("doctor", url, "--json"))
    assert (report["status"], report["healthy"], report["timeline"]) == (None, False, [])
    assert levels(report) == {"connection": "FAIL"}


def test_a_proxy() -> None:
    """A proxy is used, and one that refuses is named, without its password."""
    with EventServer(stream()) as proxy:
        done = run("doctor", "http://api.invalid/chat", "--proxy", proxy.url)
        assert (done.code, proxy.requests[0].target) == (0, "http://api.invalid/chat")
    refusal = Answer("", status=407, framing="length")
    with EventServer(refusal) as proxy:
        url = proxy.url.replace("//", "//me:c4n4ry@")
        done = run("doctor", "https://api.invalid/chat", "--proxy", url)
    assert done.code == 3
    assert b"the proxy refused the connection: 407 Proxy Authentication Required" in done.out
    assert "c4n4ry" not in f"{done.out.decode()}{done.err}"


def test_no_handshake() -> None:
    """A server that is silent at the TLS handshake counts as no connection after `--timeout`."""
    with EventServer() as server:
        done = run("doctor", server.url.replace("http:", "https:"), "--timeout", "0.2")
    assert done.code == 3
    assert b"FAIL  connection  no connection within 0.2 s" in done.out


def test_no_head() -> None:
    """A server that sends no head by `--timeout` is a FAIL: no response, but not a missing connection."""
    done, _ = examine(Answer(Pause(30), framing="raw"), "--timeout", "0.2")
    assert done.code == 1
    assert b"FAIL  connection  connected, but no response within 0.2 s" in done.out


@pytest.mark.parametrize("name", ENDLESS)
def test_a_body_without_an_end(name: str) -> None:
    """A body that does not end is read until `--timeout`; what arrived by then is judged."""
    done, server = examine(ENDLESS[name], "--timeout", "0.3", "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["stopped_by"], stats["error"]) == ("stopped", "0.3 s", None)
    assert 0.3 <= stats["end"] < 5
    assert stats["pieces"] >= 1
    assert server.requests[0].done.wait(5)


def test_tls_and_a_body_without_an_end() -> None:
    """The time limit holds over TLS too."""
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with EventServer(ENDLESS["silent"], ssl_context=context) as server:
        stats = report_of(run("doctor", server.url, "-k", "--timeout", "0.3", "--json"))["stats"]
    assert (stats["stopped_by"], stats["events"]) == ("0.3 s", 1)


def test_wait() -> None:
    """`--wait` keeps reading, even after `--count` events."""
    done, _ = examine(ENDLESS["never silent"], "--wait", "0.3", "--count", "0", "--json")
    stats = report_of(done)["stats"]
    assert stats["stopped_by"] == "--count 0"
    assert stats["end"] >= 0.3
    done, _ = examine(ENDLESS["silent"], "--wait", "0.3", "--timeout", "0.1", "--json")
    assert report_of(done)["stats"]["stopped_by"] == "0.3 s"


def test_no_limit_of_time() -> None:
    """`--timeout inf` is as long as a socket can wait."""
    done, _ = examine(stream(TOKENS[0]), "--timeout", "inf")
    assert done.code == 0


def test_count() -> None:
    """`--count` stops after that many events, compressed or not."""
    body = b"".join(token.encode() for token in TOKENS)
    compressed = gzip.compress(body)
    answers = (
        stream(*TOKENS, Pause(30)),
        stream(compressed, Pause(30), headers={"Content-Encoding": "gzip"}),
    )
    for answer in answers:
        done, _ = examine(answer, "--count", "2", "--json")
        assert report_of(done)["stats"]["stopped_by"] == "--count 2"


@pytest.mark.parametrize(
    ("step", "framing", "ended"),
    [(FIN, "chunked", "cut"), (RST, "chunked", "cut"), (RST, "close", "cut"), (FIN, "close", "clean")],
    ids=["FIN", "RST", "RST, close", "FIN, close"],
)
def test_cuts(step: Any, framing: Any, ended: str) -> None:
    """A cut has the name of its error; without a length or chunks, a FIN is the end."""
    done, _ = examine(stream(TOKENS[0], Pause(0.1), step, framing=framing), "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], bool(stats["error"]), stats["events"]) == (ended, ended == "cut", 1)


def test_http2() -> None:
    """`--http2` speaks HTTP/2, and the report says so."""
    pytest.importorskip("h2")
    trustme = pytest.importorskip("trustme")
    from h2_server import H2Server

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with H2Server(context=context) as server:
        done = run("doctor", f"{server.url}/pings", "--http2", "-k", "--count", "1", "--timeout", "5", "--json")
    assert report_of(done)["stats"]["http_version"] == "HTTP/2"


def test_a_huge_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is kept up to a limit."""
    monkeypatch.setattr(observe, "MAX_BYTES", 1 << 20)
    done, _ = examine(stream(b"data: " + b"x" * 3_000_000 + b"\n\n"), "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["stopped_by"]) == ("stopped", "1 MiB")
    assert 1 << 20 <= stats["bytes"] < 3_000_000


def test_a_body_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small body that decompresses to a huge one is read up to a limit, and so is one of very many events."""
    monkeypatch.setattr(_body, "MAX_BYTES", 1 << 20)
    large = gzip.compress((b"data: " + b"x" * 60_000 + b"\n\n") * 100)
    done, _ = examine(stream(large, headers={"Content-Encoding": "gzip"}), "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["stopped_by"]) == ("stopped", "1 MiB, decompressed")
    monkeypatch.setattr(_body, "MAX_EVENTS", 1000)
    done, _ = examine(stream(b"data: x\n\n" * 100_000), "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["stopped_by"]) == ("stopped", "1000 events")
    assert 1000 <= stats["events"] < 100_000


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C exits 130, and prints the report of what came before it."""
    page = tmp_path / "a.html"
    with EventServer(ENDLESS["silent"]) as server:
        process = start("doctor", server.url, "--html", str(page))
        server.wait_for_requests(1, 30)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"sse-client: one GET to ")
        interrupt_until_done(process, server)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert b"stopped reading (Ctrl-C) after" in out or b"no response" in out
    assert page.exists()


def interrupt_until_done(process: Any, server: EventServer) -> None:
    """Send Ctrl-C when the first event has surely been read."""
    time.sleep(0.3)  # nothing tells from outside that a process has read what was sent
    process.send_signal(signal.SIGINT)
    assert server.requests[0].done.wait(10)


def test_ctrl_c_before_the_head() -> None:
    """Ctrl-C before the head is reported as such: it is not a fault."""
    with EventServer(Answer(Pause(30), framing="raw")) as server:
        process = start("doctor", server.url, "--json")
        server.wait_for_requests(1, 30)
        interrupt_until_done(process, server)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert levels(json.loads(out)) == {"connection": "note"}


def test_a_closed_pipe() -> None:
    """If the reader of the report is gone, it exits 141, quietly."""
    with EventServer(stream(*TOKENS, Pause(0.3))) as server:
        process = start("doctor", server.url)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(30) == 141
        process.stderr.close()
        assert process.stdin is not None
        process.stdin.close()
    assert err.decode() == f"sse-client: one GET to {server.url}\n"


def test_the_first_request_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process warms up on a loopback server of its own: the user's server gets one request, and that is fast."""
    order: list[str] = []
    warm_up: Callable[[Namespace], None] = observe.warm_up

    def warmed(options: Namespace) -> None:
        warm_up(options)
        order.append("warm")

    def answer(_: RecordedRequest) -> Answer:
        order.append("request")
        return stream(TOKENS[0])

    monkeypatch.setattr("sse_client.cli.doctor._run.warm_up", warmed)
    examine(answer)
    assert order == ["warm", "request"]


def test_a_slow_response_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it takes long, a note says for how long at most, and that Ctrl-C stops and reports."""
    monkeypatch.setattr(observe, "SECONDS_UNTIL_NOTE", 0.01)
    done, _ = examine(stream(TOKENS[0], Pause(0.2)))
    assert "reading for at most 60 s; Ctrl-C stops and reports" in done.err


SECRET = "c4n4ry"


@pytest.mark.parametrize("name", ["a stream", "a cut", "a refusal", "a redirect", "no response"])
def test_no_secret_is_shown(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A canary in each header, cookie, password and query of the request is in no report and no recording."""
    monkeypatch.setenv("KEY", SECRET)
    answers = {
        "a stream": stream(headers={"Set-Cookie": f"sid={SECRET}"}),
        "a cut": stream(TOKENS[0], Pause(0.02), FIN),
        "a refusal": Answer("no", status=401),
        "a redirect": Answer(status=307, headers={"Location": f"http://me:{SECRET}@other.invalid/?key={SECRET}"}),
        "no response": Answer(FIN, framing="raw"),
    }
    request = [
        *("-H", f"Authorization: Bearer {SECRET}", "-H", f"Cookie: sid={SECRET}", "-H", f"X-Api-Key: {SECRET}"),
        *("-q", f"key={SECRET}", "--bearer-env", "KEY", "-u", "me", "--password-env", "KEY"),
        *("--json", f'{{"a": "{SECRET}"}}', "--with-data"),
    ]
    files = [tmp_path / each for each in ("a.jsonl", "a.html", "a.svg")]
    outputs = [part for option, file in zip(("--record", "--html", "--svg"), files, strict=True)
               for part in (option, str(file))]  # fmt: skip
    with EventServer(answers[name]) as server:
        url = server.url.replace("//", f"//user:{SECRET}@") + f"/?{SECRET}"
        curl = f"curl '{server.url}/x?key={SECRET}' -H 'x: {SECRET}' -b 'a={SECRET}' -u 'me:{SECRET}'"
        for call in ([url, *request], [url, *request, "--json"], ["--from-curl", curl]):
            done = run("doctor", *call, *outputs)
            assert done.code != 2, done.err
            kept = "".join(file.read_text() for file in files)
            assert SECRET not in f"{done.out.decode()}{done.err}{kept}"
        assert SECRET in "".join(f"{each.target}{each.headers}" for each in server.requests)
    if name != "no response":
        done = run("doctor", str(files[0]))
        assert SECRET not in f"{done.out.decode()}{done.err}"


def test_uvicorn() -> None:
    """A stream of a real server is healthy."""
    uvicorn = pytest.importorskip("uvicorn")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        import asyncio

        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for token in TOKENS:
            await send({"type": "http.response.body", "body": token.encode(), "more_body": True})
            await asyncio.sleep(0.03)
        await send({"type": "http.response.body"})

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        done = run("doctor", f"http://127.0.0.1:{port}/", "--json")
    finally:
        server.should_exit = True
        thread.join(30)
    report = report_of(done)
    assert (done.code, report["healthy"], report["stats"]["events"]) == (0, True, 3), report["findings"]
