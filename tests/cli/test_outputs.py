"""The outputs of one stream, and the characters that never reach a terminal."""

import json
import re
import time
from pathlib import Path

import pytest
from command import run

from sse_client.cli._text import as_json
from sse_client.testing import FIN, Answer, EventServer, Pause, RecordedRequest

STREAM = (
    b'event: token\nid: 3\ndata: {"t": "Hel"}\n\n'
    b": ping\n\n"
    b'data: {"n": 1.50,\ndata:  "big": 12345678901234567890123}\n\n'
    b"data: plain\ndata: text\n\n"
    b"data: [DONE]\n\n"
)

OUTPUTS: dict[str, tuple[list[str], str]] = {
    "jsonl": (
        ["--jsonl"],
        (
            '{"t": 0.000, "event": "token", "id": "3", "data": {"t": "Hel"}}\n'
            '{"t": 0.000, "event": "message", "id": "3", "data": {"n": 1.50,  "big": 12345678901234567890123}}\n'
            '{"t": 0.000, "event": "message", "id": "3", "data": "plain\\ntext"}\n'
        ),
    ),
    "raw data": (
        ["--raw-data", "--count", "1"],
        '{"t": 0.000, "event": "token", "id": "3", "data": "{\\"t\\": \\"Hel\\"}"}\n',
    ),
    "data": (["--data"], '{"t": "Hel"}\n{"n": 1.50,  "big": 12345678901234567890123}\nplain\ntext\n'),
    "text": (["--text", ".t"], "Hel"),
    "pretty": (
        ["--pretty"],
        (
            '+0.000 token #3 {"t": "Hel"}\n+0.000 message #3 {"n": 1.50,  "big": 12345678901234567890123}\n'
            "+0.000 message #3 plain\\ntext\n"
        ),
    ),
    "raw": (["--raw"], STREAM.decode()),
    "event": (["--event", "token", "--data"], '{"t": "Hel"}\n'),
    "count": (["--count", "1", "--data"], '{"t": "Hel"}\n'),
    "no event": (["--count", "0", "--data"], ""),
    "ping": (["--ping", "token", "--data", "--count", "1"], '{"n": 1.50,  "big": 12345678901234567890123}\n'),
    "comments": (
        ["--comments", "--count", "2", "--event", "token", "--event", "message", "--jsonl"],
        (
            '{"t": 0.000, "event": "token", "id": "3", "data": {"t": "Hel"}}\n{"t": 0.000, "comment": " ping"}\n'
            '{"t": 0.000, "event": "message", "id": "3", "data": {"n": 1.50,  "big": 12345678901234567890123}}\n'
        ),
    ),
    "comments in a dialect": (
        ["--comments", "--dialect", "openai", "--count", "1", "--data"],
        '{"t": "Hel"}\n',
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(name: str) -> None:
    """Each output shows the stream in its way; the digits of numbers are those of the server."""
    arguments, expected = OUTPUTS[name]
    done = run("parse", *arguments, stdin=STREAM)
    assert (done.code, done.err) == (0, "")
    assert re.sub(r"\b0\.\d{3}\b", "0.000", done.out.decode()) == expected


def test_stats() -> None:
    """`--stats` adds one last object to JSON lines, and a line to standard error for the other outputs."""
    done = run("parse", "--stats", stdin=STREAM)
    stats = json.loads(done.out.splitlines()[-1])["stats"]
    assert (stats["outcome"], stats["events"], stats["bytes"]) == ("completed", 3, len(STREAM))
    assert "completed: 3 events" in run("parse", "--stats", "--data", stdin=STREAM).err


# Of rich, if it is installed and takes the output for a terminal.
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

BODIES = {
    "bytes that are not UTF-8": b"data: \xff\xfe\x00\x80\n\n" + bytes(range(256)) + b"\n\n",
    "after [DONE]": b"data: [DONE]\n\ndata: after\n\n: trailing",
    "CR and CRLF": b"data: 1\r\rdata: 2\r\n\r\n",
    "no last blank line": b"data: 1\n\ndata: 2",
}


@pytest.mark.parametrize("name", BODIES)
def test_raw(name: str, tmp_path: Path) -> None:
    """`--raw` writes the body byte for byte, also over a socket and from a recording."""
    body = BODIES[name]
    cassette = str(tmp_path / "cassette.jsonl")
    with EventServer(Answer(*(body[at : at + 3] for at in range(0, len(body), 3)))) as server:
        assert run("get", server.url, "--raw", "--record", cassette).out == body
    assert run("replay", cassette, "--raw", "--speed", "inf").out == body
    assert run("parse", "--raw", stdin=body).out == body


@pytest.mark.parametrize("output", ["--jsonl", "--data", "--text=.", "--pretty", "--comments"])
def test_controls_never_reach_a_terminal(output: str) -> None:
    """ESC, C0, C1, DEL and marks of direction reach a terminal as escapes only, from data, names, IDs and comments."""
    evil = "".join(chr(code) for code in [*range(1, 32), *range(127, 160), 0x202E] if code not in (9, 10, 13))
    stream = f'event: {evil}\nid: {evil}\ndata: a{evil}\n\n: {evil}\n\ndata: {{"a": "{evil[31:]}"}}\n\n'
    done = run("parse", output, "--comments", stdin=stream.encode(), is_terminal=True)
    shown = COLOURS.sub("", done.out.decode())
    assert "\\u009b" in shown or "\\x9b" in shown
    assert not set(evil) & set(shown)


def test_errors_are_escaped() -> None:
    """A message of the server, shown on standard error, has no control characters."""
    with EventServer(Answer.json({"error": "\x1b[31mred\x9b\r\n"}, status=400)) as server:
        done = run("get", server.url)
    assert done.code == 4
    assert "red" in done.err
    assert not {"\x1b", "\x9b", "\r"} & set(done.err)


CHAT = (
    'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n',
    'data: {"choices": [{"index": 0, "delta": {"content": "lo \\ud83d"}}]}\n\n',
    'data: {"choices": [{"index": 0, "delta": {"content": "\\ude00"}, "finish_reason": "stop"}]}\n\n',
    "data: [DONE]\n\n",
)


@pytest.mark.parametrize(
    "arguments", [["--dialect", "openai", "--text"], ["--text", ".choices[0].delta.content"]], ids=["dialect", "path"]
)
def test_text(arguments: list[str]) -> None:
    """`--text` joins the reply, by dialect or by path; an emoji that was cut in two is whole."""
    done = run("parse", *arguments, stdin="".join(CHAT).encode())
    assert (done.code, done.out.decode()) == (0, "Hello \N{GRINNING FACE}")


def test_dialect_knows_the_end() -> None:
    """With a dialect, a reply without its end is truncated; without it, nothing tells."""
    cut = "".join(CHAT[:2]).encode()
    assert run("parse", stdin=cut).code == 0
    assert run("parse", "--dialect", "openai", stdin=cut).code == 7


def test_each_event_is_shown_at_once() -> None:
    """The time of an event is that of its arrival, in seconds since the headers."""
    with EventServer(Answer("data: 1\n\n", Pause(0.1), "data: 2\n\n", delay=0.1)) as server:
        first, second = map(json.loads, run("get", server.url).out.splitlines())
    assert 0 <= first["t"] < second["t"] - 0.05


def test_head() -> None:
    """`-i` shows the head of the response first, also of an error, without the values of cookies."""
    answer = Answer("data: 1\n\n", headers={"Set-Cookie": "a=c4n4ry"})
    refusal = Answer("no", status=404, headers={"X-Y": "z"})
    with EventServer(answer, refusal) as server:
        out = run("get", server.url, "-i", "--data").out.decode()
        assert out.startswith("HTTP/1.1 200 OK\n")
        assert out.endswith("\n\n1\n")
        assert "set-cookie: [redacted]\n" in out
        assert run("get", server.url, "-i").out.startswith(b"HTTP/1.1 404 Not Found\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [("NaN", None), ("[" * 100_000, None), ("", None), (" 1 ", "1"), ("9" * 5000, "9" * 5000), ("{'a': 1}", None)],
    ids=["NaN", "deep", "empty", "blanks", "long", "python"],
)
def test_as_json(data: str, expected: str | None) -> None:
    """Data is JSON by the standard, and no more than that: not NaN; numbers have any length."""
    assert as_json(data) == expected


def test_verbose() -> None:
    """`-v` writes the heads of the request and the response to standard error, and their bodies nowhere."""
    with EventServer(Answer("data: 1\n\n")) as server:
        done = run("post", server.url, "-d", "b0dy", "-v", "--data")
    assert done.out == b"1\n"
    assert done.err.startswith("> POST http://127.0.0.1")
    assert "\n< HTTP/1.1 200 OK\n" in done.err
    assert "b0dy" not in done.err


def test_data_that_a_dialect_cannot_read() -> None:
    """Without `--strict`, data that is not JSON is shown as it is, also with a dialect."""
    stream = "data: oops\n\n" + "".join(CHAT)
    done = run("parse", "--dialect", "openai", "--data", stdin=stream.encode())
    assert (done.code, done.out.splitlines()[0]) == (0, b"oops")


def test_text_that_is_not_a_string() -> None:
    """A path that leads to an object shows it as JSON; one that leads nowhere shows nothing."""
    stream = b'data: {"a": {"b": 1}}\n\ndata: {"a": 2}\n\ndata: 3\n\ndata: x\n\n'
    assert run("parse", "--text", ".a", "--comments", stdin=b": hi\n\n" + stream).out == b'{"b": 1}2'


def test_attempts_in_stats() -> None:
    """The numbers count the attempts; a resumed dialect goes on with its text."""

    def answer(request: RecordedRequest) -> Answer:
        if "last-event-id" in request.headers:
            return Answer(*CHAT[1:])
        return Answer(f"retry: 10\nid: 1\n{CHAT[0]}", Pause(0.05), FIN)

    with EventServer(answer) as server:
        done = run("post", server.url, "-d", "x", "--dialect", "openai", "--text", "--resume", "--stats")
    assert done.out.decode() == "Hello \N{GRINNING FACE}"
    assert "2 attempts" in done.err


def test_raw_on_a_terminal_has_no_notes_in_it() -> None:
    """`--comments` adds nothing to the bytes of `--raw`."""
    assert run("parse", "--raw", "--comments", stdin=STREAM, is_terminal=True).out == STREAM


def test_a_recording_of_several_connections(tmp_path: Path) -> None:
    """A recording of several connections is played one after the other; the last one decides the exit code."""
    cassette = str(tmp_path / "cassette.jsonl")

    def answer(request: RecordedRequest) -> Answer:
        if len(server.requests) == 2:
            return Answer(status=503)
        last = int(request.headers.get("last-event-id", "0"))
        event = f"retry: 10\nid: {last + 1}\ndata: {last + 1}\n\n"
        return Answer(event, Pause(0.02), FIN) if last else Answer(event)

    with EventServer(answer) as server:
        live = run("follow", server.url, "--data", "--retries", "9", "--until", "data:3", "--record", cassette)
    done = run("replay", cassette, "--data", "--speed", "inf", "--until", "data:3", "-i")
    assert (live.code, live.out) == (0, b"1\n2\n3\n")
    assert done.code == 0, done.err
    assert [line for line in done.out.decode().splitlines() if line.isdigit()] == ["1", "2", "3"]
    assert "503" in done.err


def test_a_recording_with_a_dialect(tmp_path: Path) -> None:
    """A recording is read with a dialect, in its own time; one that stops early says so and exits 1."""
    cassette = str(tmp_path / "cassette.jsonl")
    with EventServer(Answer(CHAT[0], Pause(0.2), *CHAT[1:])) as server:
        run("get", server.url, "--record", cassette)
    began_at = time.monotonic()
    done = run("replay", cassette, "--dialect", "openai", "--text", "--speed", "2")
    assert time.monotonic() - began_at > 0.08
    assert (done.code, done.out.decode()) == (0, "Hello \N{GRINNING FACE}")
    run("parse", "--count", "1", "--record", cassette, stdin=STREAM.partition(b": ping")[0])
    done = run("replay", cassette)
    assert (done.code, "stops here" in done.err) == (1, True)


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port that is taken exits 1."""
    cassette = str(tmp_path / "cassette.jsonl")
    run("parse", "--record", cassette, stdin=STREAM)
    with EventServer() as server:
        done = run("replay", cassette, "--serve", f":{server.port}")
    assert (done.code, "cannot listen" in done.err) == (1, True)


def test_json_of_any_length() -> None:
    """`--strict` takes all that is JSON, also numbers that Python does not convert, and ends at what is not."""
    for data, code in (("9" * 5000, 0), ('{"a": 1}', 0), ("NaN", 10), ("[" * 100_000, 10)):
        assert run("parse", "--strict", stdin=f"data: {data}\n\n".encode()).code == code


def test_a_file_is_not_recorded_into_itself(tmp_path: Path) -> None:
    """`parse --record` refuses the file that it reads, which would grow for ever."""
    file = tmp_path / "body.txt"
    file.write_bytes(STREAM)
    done = run("parse", str(file), "--record", str(tmp_path / "." / "body.txt"))
    assert (done.code, "is being read" in done.err) == (2, True)
    assert file.read_bytes() == STREAM
