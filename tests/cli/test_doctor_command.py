"""The command `doctor`: its request, its options, its reports, and mistakes in its arguments."""

import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from command import run
from examining import TOKENS, examine, levels, report_of, stream

from sse_client.cli.doctor import _decoding
from sse_client.testing import Answer, EventServer, RecordedRequest


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
        assert re.search(rf"^FAIL  status +{status}", done.out.decode(), re.MULTILINE)
        assert b"no such key" in done.out


def test_gzip() -> None:
    """The pieces of a compressed body are kept as they came, and decompressed for the checks."""
    compressor = zlib.compressobj(wbits=31)
    pieces = [compressor.compress(token.encode()) + compressor.flush(2) for token in TOKENS]
    done, _ = examine(stream(*pieces, compressor.flush(), headers={"Content-Encoding": "gzip"}), "--json")
    stats = report_of(done)["stats"]
    assert stats["events"] == 3
    assert stats["bytes"] >= sum(map(len, pieces))


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
    "a body for a recording": (["FILE", "--json", "{}"], "no request is sent"),
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


def test_a_terminal() -> None:
    """A terminal gets the levels in colour, and no character of the server that could control it."""
    pytest.importorskip("rich")
    answer = stream("data: \x1b[31m\n\n", "x\x1b[31m: 1\n\n", headers={"Content-Type": "text/x-\x9b"})
    with EventServer(answer) as server:
        done = run("doctor", server.url, is_terminal=True)
    assert b"content-type" in done.out
    assert b"\x9b" not in done.out
    assert b"\x1b[31m" not in done.out
