"""Recordings that `doctor` writes and reads, and files with the bytes of a body."""

import gzip
import re
from pathlib import Path

import pytest
from command import Done, run
from examining import TOKENS, examine, levels, report_of, stream

from sse_client.testing import FIN, Answer, EventServer, Pause, RecordedRequest, Script, read_cassette


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
    """A recording whose reader stopped early is not a cut."""
    path = tmp_path / "chat.jsonl"
    with EventServer(stream(*TOKENS, Pause(30))) as server:
        run("get", server.url, "--count", "2", "--record", str(path))
    report = report_of(run("doctor", str(path), "--json"))
    assert report["stats"]["ended"] == "stopped"
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
    assert re.search(rb"showing connection 1 of 2 \(1: 200 cut, FAIL; 2: 204 ended, \w+\)", done.out)


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


def test_a_body_of_standard_input() -> None:
    """`-` is a body in standard input, as for `parse`; a recording has to be a file."""
    done = run("doctor", "-", stdin="".join(TOKENS).encode())
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(b"-: 3 events, ")
    done = run("doctor", "-", stdin=b'{"time": 0.0, "request": "GET"}\n')
    assert (done.code, done.out) == (2, b"")
    assert "a recording must be a file" in done.err


def test_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without the form of a URL is a file if it is there; the name of a file that is not there is a mistake."""
    monkeypatch.chdir(tmp_path)
    Path("events").write_text("".join(TOKENS))
    assert run("doctor", "events").code == 0
    Path("folder").mkdir()
    for missing in ("nope.jsonl", "./nope", "/nope/body", "../nope", "nope.txt", "."):
        done = run("doctor", missing)
        assert (done.code, done.out) == (2, b"")
        assert f"cannot read {missing}" in done.err


DAMAGED = {
    "an entry of no cassette": ('{"time": 0.0, "request": "GET", "headers": []}\n{"time": 1.0, "what": 1}', "line 2"),
    "no response": ('{"time": 0.0, "request": "GET", "headers": []}', "without a response"),
    "a body first": ('{"time": 0.0, "request": "GET"}\n{"time": 0.0, "data": "x"}', "line 2"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_recordings(name: str, tmp_path: Path) -> None:
    """A cassette that cannot be read is a mistake of the arguments, which names the line."""
    text, expected = DAMAGED[name]
    path = tmp_path / "chat.jsonl"
    path.write_text(text)
    done = run("doctor", str(path))
    assert (done.code, done.out) == (2, b"")
    assert expected in done.err


def test_recording_without_a_response(tmp_path: Path) -> None:
    """Without a response there is nothing to be recorded, so the file is empty, as that of `get --record`."""
    path = tmp_path / "chat.jsonl"
    assert record(path, Answer(FIN, framing="raw")).code == 3
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("name", "value"), [("X-Cache-Status", "HIT"), ("Cache-Status", "Edge; hit"), ("X-Cache-Hits", "0, 3")]
)
def test_a_hit_in_a_recording(tmp_path: Path, name: str, value: str) -> None:
    """A recording keeps what caches say, so that a hit fails there as it did live."""
    path = tmp_path / "chat.jsonl"
    assert record(path, stream(headers={name: value})).code == 1
    again = run("doctor", str(path), "--json")
    assert again.code == 1
    assert levels(report_of(again))["cache"] == "FAIL"
