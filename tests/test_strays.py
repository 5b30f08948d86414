"""Lines outside any field: errors that are not framed as events, and bodies that are not event streams."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from shells import Run, Shell, every_shell, in_turn

from sse_client import (
    ContentTypeError,
    ErrorEvent,
    ErrorEventReceived,
    EventParser,
    LastEventID,
    RetryPolicy,
    SSEError,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
)
from sse_client._core.strays import MAX_KEPT, Strays, is_stray
from sse_client.testing import RST, Answer, Pause, scripted_transport

URL = "http://test.example/chat"
STREAMS = Path(__file__).parents[1].parent / "shared" / "streams"

LLAMA = 'error: {"code":500,"message":"context shift is disabled","type":"server_error"}'
VERTEX = """\
{
  "error": {
    "code": 503,
    "message": "The model is overloaded.",
    "status": "UNAVAILABLE"
  }
}
"""


def read(shell: Shell, *answers: Answer | str, **options: Any) -> Run:
    """Read a stream whose responses are played one after the other."""
    transport = scripted_transport(*(Answer(each) if isinstance(each, str) else each for each in answers))
    result = shell.read(URL, http={"transport": transport}, **options)
    assert len(transport.requests) == len(answers)
    return result


def check(result: Run, data: list[str], outcome: str, error: type[SSEError] | None) -> None:
    assert result.data == data
    assert type(result.error) is (error or type(None)), repr(result.error)
    assert result.stream is not None
    assert (result.stream.outcome, result.stream.state) == (outcome, "closed")


# Errors

# The text after the events, and the message and the code found in it.
ERRORS: dict[str, tuple[str, str | None, Any]] = {
    "a line": (f"{LLAMA}\n\n", "context shift is disabled", 500),
    "a line without its end": (LLAMA, "context shift is disabled", 500),
    "a line without a blank": (f"{LLAMA.replace(': ', ':', 1)}\n", "context shift is disabled", 500),
    "a line with the error inside": ('error: {"error": {"message": "no", "type": "busy"}}\n', "no", "busy"),
    "a line without a message": ('error: {"reason": 1}\n\n', None, None),
    "an object": (VERTEX, "The model is overloaded.", 503),
    "an object without its last line end": (VERTEX.rstrip(), "The model is overloaded.", 503),
    "an object in CRLF": (VERTEX.replace("\n", "\r\n"), "The model is overloaded.", 503),
    "an object with blank lines in it": (VERTEX.replace("{\n", "{\n\n"), "The model is overloaded.", 503),
    "an object in a list": (f"[{VERTEX}]\n", "The model is overloaded.", 503),
    "an object in one line": ('{"error": "no", "code": 7}\n', "no", 7),
    "lines of objects": ('{"token": "x"}\n{"error": "no"}\n', "no", None),
    "an object after other lines": (f"HTTP 503\n{VERTEX}", "The model is overloaded.", 503),
    "an object between events": (f"{VERTEX}\ndata: 2\n\n", "The model is overloaded.", 503),
}


@in_turn(("text", "message", "code"), ERRORS.values(), ids=ERRORS)
def test_an_error_after_events(shell: Shell, text: str, message: str | None, code: Any) -> None:
    """An error outside any field is raised at the end of the body, with its message and its code."""
    result = read(shell, "data: 1\n\n" + text)
    check(result, ["1", "2"] if "data: 2" in text else ["1"], "error_event", ErrorEventReceived)
    error = result.error
    assert isinstance(error, ErrorEventReceived)
    assert (error.message, error.code) == (message, code)
    assert isinstance(error.event.json(), dict)
    assert error.stats.events == len(result.data)
    assert str(error).startswith("the server sent an error outside any event")
    assert (message or "") in str(error)


@pytest.mark.parametrize(("text", "message", "code"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("size", [1, 7])
def test_an_error_in_pieces(text: str, message: str | None, code: Any, size: int) -> None:
    """The error is the same however the body is cut."""
    body = ("data: 1\n\n" + text).encode()
    result = read(Shell("sync", httpx), Answer(*(body[at : at + size] for at in range(0, len(body), size))))
    assert isinstance(result.error, ErrorEventReceived)
    assert (result.error.message, result.error.code) == (message, code)


def test_an_error_is_read_as_any_other(shell: Shell) -> None:
    """If `errors=` has the paths of the message and the code, they are used for such an error too."""
    errors = ErrorEvent(field="error", message="error.what", code="error.number")
    result = read(shell, 'data: 1\n\n{"error": {"what": "no", "number": 7, "message": "?"}}\n', errors=errors)
    assert isinstance(result.error, ErrorEventReceived)
    assert (result.error.message, result.error.code) == ("no", 7)


@pytest.mark.parametrize("depth", [100, 500, 900, 980, 990, 2_000, 9_000])
def test_an_error_nested_deeply(depth: int) -> None:
    """However deeply the JSON of an error is nested, nothing else is raised."""
    deep = "[" * depth + "]" * depth
    for text in (f'{{"error": {deep}}}', f'[{{"error": {deep}}}]', f'error: {{"code": {deep}}}', deep):
        error = read(Shell("sync", httpx), text).error
        assert isinstance(error, ErrorEventReceived | ContentTypeError)


@in_turn("text", [LLAMA, VERTEX, f"{VERTEX}data: x"], ids=["line", "object", "and a cut event"])
def test_an_error_explains_what_is_missing(shell: Shell, text: str) -> None:
    """The error is raised instead of a missing terminator or a cut event."""
    result = read(shell, "data: 1\n\n" + text, terminator=Terminator(event="end"))
    check(result, ["1"], "error_event", ErrorEventReceived)


@every_shell
def test_an_error_explains_a_lost_connection(shell: Shell) -> None:
    """A connection that is lost after the error is not resumed: the server has reported the reason."""
    answer = Answer("id: 1\ndata: 1\n\n" + LLAMA + "\n\n", Pause(1), RST)
    result = read(shell, answer, resume=LastEventID())
    check(result, ["1"], "error_event", ErrorEventReceived)
    assert result.error is not None
    assert isinstance(result.error.__cause__, shell.library.ReadError)


def test_half_an_error_is_none(shell: Shell) -> None:
    """An object that is incomplete because of a cut or an early end is not an error."""
    half = VERTEX[:40]
    check(read(shell, Answer("data: 1\n\n" + half, RST), retry=None), ["1"], "interrupted", StreamInterrupted)
    check(read(shell, "data: 1\n\n" + half), ["1"], "truncated", StreamTruncated)


@in_turn(
    ("body", "options"),
    [
        ("data: 1\n\ndata: [DONE]\n\n{}", {}),
        ("data: 1\n\n{}data: [DONE]\n\n", {}),
        ("data: 1\n\n{}data: [DONE]", {}),
        ("data: 1\n\n{}event: end\ndata: x\n", {"terminator": Terminator(event="end")}),
    ],
)
@pytest.mark.parametrize("text", [f"{LLAMA}\n\n", f"{VERTEX}\n"], ids=["line", "object"])
def test_never_with_the_terminator(shell: Shell, body: str, options: Any, text: str) -> None:
    """A stream that reached its terminator is completed, whatever other lines it has."""
    check(read(shell, body.replace("{}", text), **options), ["1"], "completed", None)


NO_ERRORS = {
    "another field": "foo: bar\n",
    "a field with a blank before it": " data: 1\n\n",
    "text after a line end in the data": "data: it says\nerror: no such file\n\n",
    "no error": 'error: null\nerror: {}\nerror: ""\nerror: []\n',
    "a number": "error: 500\n",
    "an object without an error": '{"token": "x"}\n',
    "an object whose error is null": '{"token": "x", "error": null}\n',
    "an object whose error is empty": '{"error": {}}\n{"error": ""}\n{"error": false}\n',
    "an error deeper down": '{"result": {"error": "no"}}\n',
    "no JSON": '{"error": no}\n',
    "another name": 'Error: {"message": "x"}\n',
    "a field of a block": 'data: x\nerrors: {"message": "x"}\n\n',
}


@in_turn("text", NO_ERRORS.values(), ids=NO_ERRORS)
def test_no_false_alarm(shell: Shell, text: str) -> None:
    """Other unknown lines are ignored, as in the standard."""
    data = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    check(read(shell, "data: 1\n\n" + text), ["1", *data], "completed", None)


# Bodies that are not event streams

PAGE = "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n"
NO_STREAMS = {
    "text": ("upstream connect error\n", "upstream connect error"),
    "text without a line end": ("upstream connect error", "upstream connect error"),
    "text with a colon": ("Internal Server Error: boom\nsee the log\n", "Internal Server Error: boom"),
    "a page": (PAGE, "<html>"),
    "JSON without an error": ('{"detail": "not found"}\n', '{"detail": "not found"}'),
    "half of an error": (VERTEX[:20], "{"),
    "names without data": ("event: x\nhello\n\n", "hello"),
    "blank lines before": ("\n\nno\n", "no"),
    "a BOM before": ("\ufeffno\n", "no"),
}


@in_turn(("body", "first"), NO_STREAMS.values(), ids=NO_STREAMS)
@pytest.mark.parametrize("options", [{}, {"terminator": Terminator(event="end")}], ids=["", "terminator"])
def test_no_event_stream(shell: Shell, body: str, first: str, options: Any) -> None:
    """A body of only unknown lines is a `ContentTypeError` that quotes its first line, and is not retried."""
    result = read(shell, body, retry=RetryPolicy(retry_ambiguous=True), **options)
    check(result, [], "failed", ContentTypeError)
    error = result.error
    assert isinstance(error, ContentTypeError)
    assert str(error) == (
        f"expected events from POST {URL}, got text that is not an event stream (status 200): {first!r}"
    )
    assert (error.status_code, error.headers["content-type"]) == (200, "text/event-stream")
    assert error.body.startswith(first.encode())


def test_the_message_of_no_event_stream(shell: Shell) -> None:
    """The body is kept in the error, and its message is found as in that of any other response."""
    error = read(shell, '{"detail": "not found"}\n').error
    assert isinstance(error, ContentTypeError)
    assert (error.message, error.json()) == ("not found", {"detail": "not found"})


@in_turn(("text", "message", "code"), ERRORS.values(), ids=ERRORS)
def test_an_error_alone(shell: Shell, text: str, message: str | None, code: Any) -> None:
    """An error without any event is raised too."""
    if "data: 2" not in text:
        result = read(shell, text, retry=RetryPolicy(retry_ambiguous=True))
        check(result, [], "error_event", ErrorEventReceived)
        assert isinstance(result.error, ErrorEventReceived)
        assert (result.error.message, result.error.code) == (message, code)


@in_turn(
    "understood",
    ["data: 1\n\n", ": hello\n", "id: 7\n\n", "retry: 5\n", "event: ping\ndata: 1\n\n", "data: [DONE]\n\n"],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_something_was_understood(shell: Shell, understood: str, is_first: bool) -> None:
    """An event, even a ping, a comment, an ID or a `retry` makes a body an event stream."""
    body = f"{understood}hello\n" if is_first else f"hello\n{understood}"
    result = read(shell, body, pings={"ping"})
    check(result, ["1"] if understood.startswith("data: 1") else [], "completed", None)


@in_turn("body", ["", "\n\n", "\ufeff", ": pi", "retry: 3"])
def test_an_empty_stream(shell: Shell, body: str) -> None:
    """A body without an unknown line is an empty stream."""
    check(read(shell, body), [], "completed", None)


@in_turn("body", ["d", "ev", "hello\nda", "data: x", "hello\ndata: x\n"])
def test_the_beginning_of_a_field(shell: Shell, body: str) -> None:
    """If the possible beginning of an event was cut, the stream is truncated."""
    check(read(shell, body, retry=None), [], "truncated", StreamTruncated)


def test_a_page_in_a_resume(shell: Shell) -> None:
    """A page instead of the rest of a stream is a failed attempt, which is retried."""
    answers = Answer("id: 1\ndata: 1\n\n", RST), PAGE, "id: 2\ndata: 2\n\n"
    check(read(shell, *answers, resume=LastEventID()), ["1", "2"], "completed", None)
    result = read(shell, answers[0], PAGE, resume=LastEventID(retry=RetryPolicy(max_retries=1)))
    check(result, ["1"], "interrupted", StreamInterrupted)
    assert result.error is not None
    assert isinstance(result.error.__cause__, ContentTypeError)


@in_turn("text", [PAGE, VERTEX, LLAMA], ids=["page", "object", "line"])
def test_a_subscription_goes_on(shell: Shell, text: str) -> None:
    """A subscription ignores unknown lines and reconnects, as a browser does."""
    answers = text, f"data: 1\n\n{text}", Answer(text, RST), Answer(status=204)
    check(read(shell, *answers, method="SUBSCRIBE"), ["1"], "completed", None)


# Limits


def test_what_is_kept_is_bounded(shell: Shell) -> None:
    """At most 64 KiB of unknown lines are kept, whether they are many or long."""
    for body in ("ab\n" * 100_000, "x" * 300_000 + "\n", "é" * 150_000):
        error = read(shell, body).error
        assert isinstance(error, ContentTypeError)
        assert len(error.body) <= MAX_KEPT == 64 * 1024
        assert len(str(error)) < 1000


def test_what_comes_first_is_kept() -> None:
    """Lines after the limit are dropped, and an error that was kept is found."""
    strays = Strays()
    strays.add(LLAMA)
    for _ in range(100_000):
        strays.add("{")
    assert len(strays.body) <= MAX_KEPT
    assert strays.first == LLAMA
    assert strays.error() is not None


@pytest.mark.parametrize("line", ["{", "[", "{x}", "[1,", '{"error":[', "error: {", "[" * 2000])
def test_lines_without_end(line: str) -> None:
    """Whatever the lines are, searching for an error in them is fast, and raises nothing."""
    strays = Strays()
    for _ in range(MAX_KEPT):
        strays.add(line)
    assert strays.error() is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        *[(line, True) for line in ("hello", "{", "error: {", "datax", "data x", " data: x", "Data: 1", "dat: 1", "é")],
        *[(line, False) for line in ("data: x", "id", "i", "re", "retry: 3", ": x", ":", "event:", "e")],
    ],
)
def test_what_is_stray(line: str, expected: bool) -> None:
    """A line that is cut is stray as soon as it cannot become a known field."""
    assert is_stray(line) is expected


# Real streams


@pytest.mark.skipif(not STREAMS.is_dir(), reason="the recorded streams are not beside this checkout")
def test_recorded_streams() -> None:
    """Recorded streams cause no false alarm, and an error after one is found."""
    shell = Shell("sync", httpx)
    paths = sorted(STREAMS.glob("*/*.sse"))
    assert paths
    for path in paths:
        body = path.read_bytes()
        count = len(EventParser().feed(body))
        result = read(shell, Answer(body), terminator=None)
        assert result.error is None or isinstance(result.error, StreamTruncated), path
        assert len(result.events) == count
        for text in (LLAMA, VERTEX):
            error = read(shell, Answer(body, f"\n\n{text}\n"), terminator=None).error
            assert isinstance(error, ErrorEventReceived), path
            assert error.code == (500 if text is LLAMA else 503)
