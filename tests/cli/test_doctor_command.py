"""The command `doctor` as a whole: targets, options, reports, exit codes, and all that goes wrong around a request."""

import gzip
import json
import re
import signal
import socket
import ssl
import threading
import time
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from command import Done, run, start

import sse_client_cli
from sse_client.cli.doctor import _body, _decoding, _observe
from sse_client.testing import (
    FIN,
    RST,
    Answer,
    EventServer,
    Pause,
    RecordedRequest,
    Script,
    read_cassette,
)

TOKENS = [f'id: {n}\ndata: {{"token": "t{n}"}}\n\n' for n in range(3)]
# A head without anything to complain about.
HEAD = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def stream(*steps: Any, headers: dict[str, str] | None = None, **options: Any) -> Answer:
    """A healthy stream, unless the steps say otherwise: its events come one by one."""
    paced = [part for token in TOKENS for part in (token, Pause(0.03))]
    return Answer(*(steps or paced), headers={**HEAD, **(headers or {})}, **options)


def examine(script: Script, *arguments: str, path: str = "/chat") -> tuple[Done, EventServer]:
    """Let doctor examine a server of this script; return its report too."""
    with EventServer(script) as server:
        return run("doctor", f"{server.url}{path}", *arguments), server


def report_of(done: Done) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(done.out)
    return report


def levels(report: dict[str, Any]) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in report["findings"]}


def test_one_request() -> None:
    """Exactly one request is sent, announced before with its host and path, and the report goes to standard output."""
    done, server = examine(stream())
    (request,) = server.requests
    assert done.code == 0
    assert done.err == f"sse-client: one GET to {server.url}/chat\n"
    first, blank, *lines = done.out.decode().splitlines()
    assert first.startswith(f"GET {server.url}/chat: HTTP/1.1 200, 3 events, complete after 0.")
    assert blank == ""
    assert "ok    status" in "\n".join(lines)
    assert any(line.startswith("head 0.") for line in lines)
    assert request.method == "GET"


def test_a_post() -> None:
    """With a body it is a POST, which may cost money."""
    done, server = examine(stream(), "--json", '{"a": 1}')
    assert (server.requests[0].method, server.requests[0].json()) == ("POST", {"a": 1})
    assert done.err == f"sse-client: one POST to {server.url}/chat, which may cost money\n"


def test_the_request_is_that_of_a_browser() -> None:
    """Compression is accepted, as browsers do, since it may be the fault; what the user says wins."""
    _, server = examine(stream())
    headers = server.requests[0].headers
    assert headers["accept"] == "text/event-stream"
    assert headers["accept-encoding"] == ", ".join(_decoding.codings())
    assert headers["accept-encoding"].startswith("gzip, deflate")
    _, server = examine(stream(), "-H", "Accept-Encoding: identity", "-H", "accept: */*", "--last-event-id", "é")
    headers = server.requests[0].headers
    assert (headers["accept-encoding"], headers["accept"], headers["last-event-id"]) == ("identity", "*/*", "é")
    with EventServer(stream()) as server:
        run("doctor", "--from-curl", f"curl {server.url}/x -H 'accept-encoding: gzip, br, zstd' -H 'x: 1' -d a=1")
    headers = server.requests[0].headers
    assert (headers["accept-encoding"], headers["x"]) == (", ".join(_decoding.codings()), "1")


@pytest.mark.parametrize(
    ("arguments", "body", "is_json"),
    [
        (["--json"], b"", True),
        (["--json", '{"a": 1}'], b'{"a":1}', False),
        (["--json", "[1]"], b"[1]", False),
        (["--json", '"a"'], b'"a"', False),
        (["--json", "1"], b"1", False),
        (["--json", "@{file}"], b'{"b":2}', False),
        (["--json", "-"], b'{"c":3}', False),
        (["--json={}"], b"{}", False),
        (["--json", "{}", "--json"], b"{}", True),
        (["--json", "--json", "{}"], b"{}", True),
        (["--json", "--count", "1"], b"", True),
        (["--json", "-d", "x"], b"x", True),
    ],
    ids=["alone", "object", "array", "string", "number", "file", "stdin", "equals", "after", "before", "option", "-d"],
)
def test_two_meanings_of_json(arguments: list[str], body: bytes, is_json: bool, tmp_path: Path) -> None:
    """`--json` alone asks for a report in JSON; followed by JSON, `@FILE` or `-`, it is the body of the request."""
    file = tmp_path / "body"
    file.write_text('{"b": 2}')
    with EventServer(stream(TOKENS[0])) as server:
        words = [each.replace("{file}", str(file)) for each in arguments]
        for call in (["doctor", *words, server.url], ["doctor", server.url, *words]):
            done = run(*call, stdin=b'{"c": 3}')
            assert server.requests[-1].body.replace(b" ", b"") == body
            assert done.out.startswith(b'{"url": ') == is_json


def test_a_report_for_programs() -> None:
    """The report in JSON is one object: what was requested, all findings, the times, and the timeline."""
    done, server = examine(stream(), "--json", path="/chat?key=c4n4ry")
    report = report_of(done)
    assert done.out.count(b"\n") == 1
    keys = ["url", "method", "status", "healthy", "findings", "stats", "timeline"]
    assert [*report] == keys
    assert report["url"] == f"{server.url}/chat?key=[redacted]"
    assert (report["method"], report["status"], report["healthy"]) == ("GET", 200, True)
    assert [*report["findings"][0]] == ["area", "check", "level", "evidence", "cure"]
    stats = report["stats"]
    order = ["connected", "head", "first_byte", "first_event", "last_event", "end"]
    assert sorted(stats[name] for name in order) == [stats[name] for name in order]
    assert 0.02 < stats["longest_gap"] < 5
    assert (stats["events"], stats["pieces"], stats["ended"]) == (3, 3, "clean")
    assert sum(each["events"] for each in report["timeline"]) == 3


def test_a_fault() -> None:
    """A FAIL exits 1, with its evidence and its cure; with `--strict` a WARN does too."""
    done, _ = examine(stream(headers={"Content-Type": "text/html"}))
    assert done.code == 1
    assert b"FAIL  content-type" in done.out
    warned = stream(headers={"Server": "nginx", "X-Accel-Buffering": "yes"})
    lenient, strict = (examine(warned, "--json", *more)[0] for more in ([], ["--strict"]))
    assert "WARN" in levels(report_of(lenient)).values()
    assert (lenient.code, report_of(lenient)["healthy"]) == (0, True)
    assert (strict.code, report_of(strict)["healthy"]) == (1, False)


def test_an_error_of_the_server() -> None:
    """A 401 and a 500 fail with the words of the server."""
    for status in (401, 500):
        done, _ = examine(Answer.json({"error": {"message": "no such key"}}, status=status))
        assert done.code == 1
        assert f"FAIL  status   {status}" in " ".join(done.out.decode().split("  ")).replace("  ", " ") or (
            f"{status}" in done.out.decode()
        )
        assert b"no such key" in done.out


def test_gzip() -> None:
    """The pieces of a compressed body are kept as they came, and decompressed for the checks."""
    compressor = zlib.compressobj(wbits=31)
    pieces = [compressor.compress(token.encode()) + compressor.flush(2) for token in TOKENS]
    done, _ = examine(stream(*pieces, compressor.flush(), headers={"Content-Encoding": "gzip"}), "--json")
    stats = report_of(done)["stats"]
    assert stats["events"] == 3
    assert stats["bytes"] == sum(map(len, pieces)) + len(gzip.compress(b"")[-8:]) + 2


HOPS: dict[str, tuple[int, str]] = {
    **{str(status): (status, "/there") for status in (301, 302, 303, 307, 308)},
    "empty": (307, ""),
    "relative": (307, "../there?x=1"),
    "other host": (307, "http://other.invalid/"),
    "other port": (307, "http://127.0.0.1:1/"),
    "not a URL": (307, "http://[/"),
    "a status without a location": (304, "/there"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", HOPS)
def test_redirects(name: str, method: str) -> None:
    """doctor follows exactly those redirects that the library follows, and names each."""
    status, location = HOPS[name]

    def answer(request: RecordedRequest) -> Answer:
        if "there" in request.target:
            return stream(TOKENS[0])
        return Answer(status=status, headers={"Location": location}, framing="length")

    body = ["-d", "x"] if method == "POST" else []
    with EventServer(answer) as server:
        url = server.url.replace("//", "//me:c4n4ry@") + "/a/b"
        run(url, *body)
        expected = [(r.method, r.target, r.body, r.headers.get("authorization")) for r in server.requests]
        server.requests.clear()
        done = run("doctor", url, *body)
        assert [(r.method, r.target, r.body, r.headers.get("authorization")) for r in server.requests] == expected
    assert (b"redirect" in done.out) == (status != 304)
    assert "c4n4ry" not in f"{done.out.decode()}{done.err}"


def test_endless_redirects() -> None:
    """A circle of redirects ends after as many as in the library."""
    circle = Answer(status=307, headers={"Location": "/"}, framing="length")
    done, server = examine(circle)
    assert (done.code, len(server.requests)) == (1, 21)


FAILURES: dict[str, tuple[str, str]] = {
    "nothing listens": ("http://127.0.0.1:{free}/", "nothing listens there"),
    "no such host": ("http://nowhere.invalid/", "cannot be resolved"),
    "no TLS": ("https://127.0.0.1:{plain}/", "the TLS handshake failed"),
    "an unknown authority": ("https://127.0.0.1:{secure}/", "the certificate is not accepted"),
    "no HTTP": ("http://127.0.0.1:{secure}/", "closed before a response"),
    "no response": ("http://127.0.0.1:{port}/", "closed before a response"),
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
    assert b"the proxy refused: 407 Proxy Authentication Required" in done.out
    assert "c4n4ry" not in f"{done.out.decode()}{done.err}"


def test_no_handshake() -> None:
    """A server that is silent at the TLS handshake is left after `--timeout`, as no connection."""
    with EventServer() as server:
        done = run("doctor", server.url.replace("http:", "https:"), "--timeout", "0.2")
    assert done.code == 3
    assert b"FAIL  connection  no connection within 0.2 s" in done.out


def test_no_head() -> None:
    """A server that sends no head is left after `--timeout`, as no response."""
    done, _ = examine(Answer(Pause(30), framing="raw"), "--timeout", "0.2")
    assert done.code == 3
    assert b"FAIL  connection  connected, but no response within 0.2 s" in done.out


ENDLESS: dict[str, Answer] = {
    "silent": stream(TOKENS[0], Pause(30)),
    "never silent": stream(*[part for _ in range(1000) for part in (": hi\n\n", Pause(0.02))]),
    "without a length": stream(TOKENS[0], Pause(30), framing="close"),
    "with a length": stream(TOKENS[0], Pause(30), "x", framing="length"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_body_without_an_end(name: str) -> None:
    """A body that does not end is left after `--timeout`; what came until then is judged."""
    done, server = examine(ENDLESS[name], "--timeout", "0.3", "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["left"], stats["error"]) == ("left", "0.3 s", None)
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
    assert (stats["left"], stats["events"]) == ("0.3 s", 1)


def test_wait() -> None:
    """`--wait` reads on for so long, though `--count` events have come."""
    done, _ = examine(ENDLESS["never silent"], "--wait", "0.3", "--count", "0", "--json")
    stats = report_of(done)["stats"]
    assert stats["left"] == "--count 0"
    assert stats["end"] >= 0.3
    done, _ = examine(ENDLESS["silent"], "--wait", "0.3", "--timeout", "0.1", "--json")
    assert report_of(done)["stats"]["left"] == "0.3 s"


def test_count() -> None:
    """`--count` leaves after so many events, compressed or not."""
    body = b"".join(token.encode() for token in TOKENS)
    compressed = gzip.compress(body)
    answers = (
        stream(*TOKENS, Pause(30)),
        stream(compressed, Pause(30), headers={"Content-Encoding": "gzip"}),
    )
    for answer in answers:
        done, _ = examine(answer, "--count", "2", "--json")
        assert report_of(done)["stats"]["left"] == "--count 2"


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
    monkeypatch.setattr(_observe, "MAX_BYTES", 1 << 20)
    done, _ = examine(stream(b"data: " + b"x" * 3_000_000 + b"\n\n"), "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["left"]) == ("left", "1 MiB")
    assert 1 << 20 <= stats["bytes"] < 3_000_000


def test_a_body_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small body that decompresses to a huge one is read up to a limit, and so is one of very many events."""
    monkeypatch.setattr(_body, "MAX_BYTES", 1 << 20)
    large = gzip.compress((b"data: " + b"x" * 60_000 + b"\n\n") * 100)
    done, _ = examine(stream(large, headers={"Content-Encoding": "gzip"}), "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["left"]) == ("left", "1 MiB, decompressed")
    monkeypatch.setattr(_body, "MAX_EVENTS", 1000)
    done, _ = examine(stream(b"data: x\n\n" * 100_000), "--json")
    stats = report_of(done)["stats"]
    assert (stats["ended"], stats["left"]) == ("left", "1000 events")
    assert 1000 <= stats["events"] < 100_000


def record(path: Path, script: Script, *arguments: str) -> Done:
    """Record an examination."""
    return examine(script, "--record", str(path), *arguments)[0]


def test_recording(tmp_path: Path) -> None:
    """`--record` keeps the exchange; examined again, it has the same times and the same events."""
    path = tmp_path / "chat.jsonl"
    for script in (stream(), stream(TOKENS[0], Pause(0.05), FIN), stream(*TOKENS, framing="close")):
        live = report_of(record(path, script, "--json", "--json", "{}"))
        again = report_of(run("doctor", str(path), "--json"))
        assert (again["method"], again["url"], again["status"]) == ("POST", live["url"], 200)
        for name in ("head", "first_event", "end", "ended", "error", "events", "pieces", "http_version"):
            assert again["stats"][name] == live["stats"][name]
        assert run("replay", str(path), "--speed", "inf", "--data").out.count(b"\n") == live["stats"]["events"]


def test_recording_of_a_compressed_body(tmp_path: Path) -> None:
    """A compressed body is recorded decompressed, as by the library."""
    path = tmp_path / "chat.jsonl"
    body = gzip.compress(b"".join(token.encode() for token in TOKENS))
    record(path, stream(body[:9], body[9:], headers={"Content-Encoding": "gzip", "Via": "1.1 varnish"}))
    (connection,) = read_cassette(path)
    assert b"".join(data for _, data in connection.pieces).decode() == "".join(TOKENS)
    assert ("via", "1.1 varnish") in {(name.lower(), value) for name, value in connection.headers}
    assert report_of(run("doctor", str(path), "--json"))["stats"]["events"] == 3


def test_a_recording_of_the_library(tmp_path: Path) -> None:
    """A cassette of `post --record` is examined too, with no value of a header that was left out."""
    path = tmp_path / "chat.jsonl"
    with EventServer(stream(headers={"X-Secret": "c4n4ry"})) as server:
        run("post", server.url, "-d", "x", "--record", str(path))
    done = run("doctor", str(path), "--json", "--html", str(tmp_path / "report.html"))
    assert done.code == 0
    assert done.err == ""
    assert report_of(done)["stats"]["events"] == 3
    assert "c4n4ry" not in f"{done.out.decode()}{(tmp_path / 'report.html').read_text()}"


def test_a_recording_that_stops(tmp_path: Path) -> None:
    """A recording whose reader left is not a cut."""
    path = tmp_path / "chat.jsonl"
    with EventServer(stream(*TOKENS, Pause(30))) as server:
        run("get", server.url, "--count", "2", "--record", str(path))
    report = report_of(run("doctor", str(path), "--json"))
    assert report["stats"]["ended"] == "left"
    assert report["healthy"]


def test_several_connections(tmp_path: Path) -> None:
    """Of several connections the worst is shown, and all are named; a 204 is the regular end of a feed."""
    path = tmp_path / "feed.jsonl"

    def answer(request: RecordedRequest) -> Answer:
        if "last-event-id" in request.headers:
            return Answer(status=204)
        return stream("retry: 10\n\n", *TOKENS, Pause(0.02), FIN)

    with EventServer(answer) as server:
        run("follow", server.url, "--record", str(path))
    done = run("doctor", str(path))
    assert re.search(rb"connection 1 of 2 is shown \(1: 200 cut, FAIL; 2: 204 ended, \w+\)", done.out)


def test_a_body(tmp_path: Path) -> None:
    """A file with the bytes of a body is examined without a head and without times."""
    path = tmp_path / "body"
    path.write_text("".join(TOKENS))
    done = run("doctor", str(path))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{path}: 3 events, ".encode())
    report = report_of(run("doctor", str(path), "--json"))
    assert {finding["area"] for finding in report["findings"]} <= {"body", "reply"}
    assert (report["stats"]["head"], report["timeline"]) == (None, [])


def test_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without the form of a URL is a file if it is there; the name of a file that is not there is a mistake."""
    monkeypatch.chdir(tmp_path)
    Path("events").write_text("".join(TOKENS))
    assert run("doctor", "events").code == 0
    Path("folder").mkdir()
    for missing in ("nope.jsonl", "./nope", "/nope/body", "../nope", "nope.txt"):
        done = run("doctor", missing)
        assert (done.code, done.out) == (2, b"")
        assert f"cannot read {missing}" in done.err


DAMAGED = {
    "not whole": ('{"time": 0, "request": "GET"', "POST"),
    "an entry of no cassette": ('{"time": 0.0, "request": "GET", "headers": []}\n{"time": 1.0, "what": 1}', "line 2"),
    "no response": ('{"time": 0.0, "request": "GET", "headers": []}', "without a response"),
    "a body first": ('{"time": 0.0, "request": "GET"}\n{"time": 0.0, "data": "x"}', "line 2"),
}


@pytest.mark.parametrize("name", [name for name in DAMAGED if name != "not whole"])
def test_damaged_recordings(name: str, tmp_path: Path) -> None:
    """A cassette that cannot be read is a mistake of the arguments, which names the line."""
    text, expected = DAMAGED[name]
    path = tmp_path / "chat.jsonl"
    path.write_text(text)
    done = run("doctor", str(path))
    assert (done.code, done.out) == (2, b"")
    assert expected in done.err


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no target": ([], "expected a URL"),
    "an unknown dialect": (["URL", "--dialect", "klingon"], "expected a2a, ag-ui"),
    "an unknown dialect of a recording": (["FILE", "--dialect", "klingon"], "expected a2a, ag-ui"),
    "a mark": (["URL", "--until", "=x"], "--until: expected NAME"),
    "a page nowhere": (["URL", "--html", "/nope/x.html"], "--html: cannot write /nope/x.html"),
    "a picture nowhere": (["URL", "--svg", "/nope/x.svg"], "--svg: cannot write /nope/x.svg"),
    "a recording nowhere": (["URL", "--record", "/nope/x"], "--record: cannot write /nope/x"),
    "a folder": (["URL", "--html", "/"], "--html: cannot write /"),
    "two bodies": (["URL", "--json", "{}", "--json", "[]"], "expected one body"),
    "a body for a recording": (["FILE", "--json", "{}"], "there is no request"),
    "not JSON": (["URL", "--json", "{c4n4ry"], "not JSON (line 1"),
    "another scheme": (["ftp://me:c4n4ry@h/"], "expected a URL"),
    "no host": (["http://"], "expected a URL"),
    "no port": (["http://h:c4n4ry/"], "expected a URL"),
    "a header that HTTP does not allow": (["URL", "-H", "x@y: c4n4ry"], "HTTP does not allow"),
    "an ID that HTTP does not allow": (["URL", "--last-event-id", "c4n4ry\n"], "HTTP does not allow"),
    "no number": (["URL", "--wait", "soon"], "--wait: expected a positive number"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, tmp_path: Path) -> None:
    """A mistake in the arguments exits 2 with a note that shows no value, and before a request is sent."""
    arguments, expected = MISTAKES[name]
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(TOKENS))
    with EventServer(stream()) as server:
        words = [each.replace("URL", server.url).replace("FILE", str(path)) for each in arguments]
        done = run("doctor", *words)
        assert not server.requests
    assert (done.code, done.out) == (2, b"")
    assert expected in done.err
    assert "c4n4ry" not in done.err


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a report cannot be written after all, the others are, and it exits 1."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    done, _ = examine(stream(), "--html", str(tmp_path / "a.html"), "--json")
    assert done.code == 1
    assert report_of(done)["healthy"]
    assert "--html: cannot write" in done.err


def test_reports_for_a_ticket(tmp_path: Path) -> None:
    """`--html` and `--svg` write the same findings, beside the report."""
    page, picture = tmp_path / "a.html", tmp_path / "a.svg"
    done, _ = examine(stream(headers={"Content-Type": "text/html"}), "--html", str(page), "--svg", str(picture))
    assert done.code == 1
    assert "content-type" in page.read_text()
    assert picture.read_text().startswith("<svg")


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C exits 130, and the report of what came until then is printed."""
    page = tmp_path / "a.html"
    with EventServer(ENDLESS["silent"]) as server:
        process = start("doctor", server.url, "--html", str(page))
        server.wait_for_requests(1, 30)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"sse-client: one GET to ")
        interrupt_until_done(process, server)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert b"left (Ctrl-C) after" in out or b"no response" in out
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
    warm_up: Callable[[Namespace], None] = _observe.warm_up

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
    """If it takes long, a note says for how long at most, and that Ctrl-C ends it with a report."""
    monkeypatch.setattr(_observe, "SECONDS_UNTIL_NOTE", 0.01)
    done, _ = examine(stream(TOKENS[0], Pause(0.2)))
    assert "reading for at most 60 s; Ctrl-C ends it with a report" in done.err


def test_a_terminal() -> None:
    """A terminal gets the levels in colour, and no character of the server that could control it."""
    pytest.importorskip("rich")
    answer = stream("data: \x1b[31m\n\n", "x\x1b[31m: 1\n\n", headers={"Content-Type": "text/x-\x9b"})
    with EventServer(answer) as server:
        done = run("doctor", server.url, is_terminal=True)
    assert b"content-type" in done.out
    assert b"\x9b" not in done.out
    assert b"\x1b[31m" not in done.out


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


def test_help() -> None:
    """The help of doctor fits a screen."""
    assert len(sse_client_cli.COMMANDS["doctor"].help("doctor").splitlines()) <= 40
