"""
How a stream ends, and which responses are streams: over real sockets, the same in all shells.

Every test reads one response to a POST, and checks the events, the exception, and the stream's state and outcome.
"""

import time
from contextlib import suppress
from typing import Any

import pytest
from shells import PATIENCE, Run, Shell, entered, every_shell, in_turn

from sse_client import (
    ConnectionFailed,
    ContentTypeError,
    ErrorEvent,
    ErrorEventReceived,
    EventTooLarge,
    RetryPolicy,
    SSEError,
    StatusError,
    StreamError,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
)
from sse_client.testing import FIN, RST, Answer, EventServer, Pause

DONE = "data: [DONE]\n\n"
NO_RETRY: dict[str, Any] = {"retry": None}
FRAMINGS: list[Any] = ["chunked", "length", "close"]


def read(shell: Shell, *steps: Any, framing: Any = "chunked", **options: Any) -> Run:
    """Read one response to its end."""
    with EventServer(Answer(*steps, framing=framing)) as server:
        return shell.read(server.url, client=NO_RETRY, **options)


def check(result: Run, data: list[str], outcome: str, error: type[SSEError] | None = None) -> None:
    """Check the events and the end of a stream. However it ended, the stream is closed, and so is its response."""
    assert result.data == data
    assert type(result.error) is (error or type(None)), repr(result.error)
    assert result.stream is not None
    assert (result.stream.outcome, result.stream.state) == (outcome, "closed")
    if not isinstance(result.error, ConnectionFailed):
        assert result.stream.response.is_closed  # type: ignore[attr-defined]
    if isinstance(result.error, StreamError):
        assert result.error.stats.events == len(data)
        assert result.error.stats.events == len(data)


@in_turn("framing", FRAMINGS)
def test_done_ends_a_stream(shell: Shell, framing: Any) -> None:
    """An unnamed `[DONE]` completes a stream. Neither it nor anything after it is delivered."""
    check(read(shell, "data: 1\n\n", DONE, "data: 2\n\n", framing=framing), ["1"], "completed")


def test_done_in_one_piece(shell: Shell) -> None:
    """`[DONE]` also ends the stream in the middle of a piece, and if it is the very first event."""
    check(read(shell, f"data: 1\n\n{DONE}data: 2\n\n"), ["1"], "completed")
    check(read(shell, f"{DONE}data: 2\n\n"), [], "completed")


def test_done_by_another_name(shell: Shell) -> None:
    """A named event with the data `[DONE]` is delivered like any other, and so are data that differ from `[DONE]`."""
    stream = "event: x\ndata: [DONE]\n\ndata: [DONE] \n\ndata: [done]\n\n"
    check(read(shell, stream), ["[DONE]", "[DONE] ", "[done]"], "completed")


def test_done_named_message(shell: Shell) -> None:
    """Naming an event "message" is the same as not naming it (WHATWG HTML, section 9.2.6)."""
    check(read(shell, "event: message\ndata: [DONE]\n\ndata: 2\n\n"), [], "completed")


def test_done_is_no_terminator(shell: Shell) -> None:
    """With `terminator=None`, `[DONE]` is delivered like any other event."""
    check(read(shell, "data: 1\n\n", DONE, "data: 2\n\n", terminator=None), ["1", "[DONE]", "2"], "completed")


def test_clean_end_without_done(shell: Shell) -> None:
    """Without a required terminator, the end of the body completes the stream too."""
    check(read(shell, "data: 1\n\n", "data: 2\n\n"), ["1", "2"], "completed")


def test_clean_end_at_once(shell: Shell) -> None:
    """An event stream without a single byte is empty and completed."""
    check(read(shell), [], "completed")


TERMINATORS = [
    pytest.param(Terminator(data="bye"), "data: bye\n\n", "bye", id="data"),
    pytest.param(Terminator(event="end"), "event: end\ndata\n\n", "", id="event"),
    pytest.param(Terminator(field="done"), 'data: {"done": null}\n\n', '{"done": null}', id="field"),
    pytest.param(Terminator(field="type", values={"x", "y"}), 'data: {"type": "y"}\n\n', '{"type": "y"}', id="values"),
    pytest.param(Terminator(field="last", values=[True]), 'data: {"last":true}\n\n', '{"last":true}', id="true"),
    pytest.param(
        Terminator(event="end", field="type", values={"x"}),
        'event: end\ndata: {"type": "x"}\n\n',
        '{"type": "x"}',
        id="together",
    ),
    pytest.param(Terminator(data="no") | Terminator(event="end"), "event: end\ndata: 3\n\n", "3", id="alternatives"),
    pytest.param(Terminator(data="x") | Terminator(data="bye") | Terminator(data="y"), "data: bye\n\n", "bye", id="|"),
]

NEAR_MISSES = 'data: byebye\n\nevent: ending\ndata: 1\n\ndata: {"type": "z", "last": 1}\n\n'
NEAR_MISSES_DATA = ["byebye", "1", '{"type": "z", "last": 1}']


@in_turn(("terminator", "text", "data"), TERMINATORS)
def test_terminator(shell: Shell, terminator: Terminator, text: str, data: str) -> None:
    """A terminator is delivered, and nothing after it is."""
    result = read(shell, NEAR_MISSES, text, "data: behind\n\n", terminator=terminator)
    check(result, [*NEAR_MISSES_DATA, data], "completed")


@in_turn(("terminator", "text", "data"), TERMINATORS)
def test_terminator_missing(shell: Shell, terminator: Terminator, text: str, data: str) -> None:
    """A clean end without the required terminator is a truncated stream."""
    check(read(shell, NEAR_MISSES, terminator=terminator), NEAR_MISSES_DATA, "truncated", StreamTruncated)


@in_turn(("terminator", "text", "data"), TERMINATORS)
def test_terminator_in_the_last_block(shell: Shell, terminator: Terminator, text: str, data: str) -> None:
    """If the server forgets the last blank line, the terminator counts but is not delivered."""
    check(read(shell, NEAR_MISSES, text[:-1], terminator=terminator), NEAR_MISSES_DATA, "completed")


@in_turn(("terminator", "text", "data"), TERMINATORS)
def test_terminator_in_the_last_line(shell: Shell, terminator: Terminator, text: str, data: str) -> None:
    """If the line end is missing too, the terminator counts only in complete JSON: other data may have been cut."""
    result = read(shell, NEAR_MISSES, text[:-2], terminator=terminator)
    if data.startswith("{"):
        check(result, NEAR_MISSES_DATA, "completed")
    else:
        check(result, NEAR_MISSES_DATA, "truncated", StreamTruncated)


def test_done_before_the_terminator(shell: Shell) -> None:
    """`[DONE]` ends a stream even if another terminator is required, and the stream is truncated without that one."""
    result = read(shell, "data: 1\n\n", DONE, "data: bye\n\n", terminator=Terminator(data="bye"))
    check(result, ["1"], "truncated", StreamTruncated)


def test_done_as_the_terminator(shell: Shell) -> None:
    """`[DONE]` may be required like any other terminator. It is not delivered then either."""
    terminator = Terminator(data="[DONE]")
    check(read(shell, "data: 1\n\n", DONE, terminator=terminator), ["1"], "completed")
    check(read(shell, "data: 1\n\n", terminator=terminator), ["1"], "truncated", StreamTruncated)


def test_nothing_but_an_end(shell: Shell) -> None:
    """An empty body is truncated if a terminator is required."""
    check(read(shell, terminator=Terminator(data="bye")), [], "truncated", StreamTruncated)


@pytest.mark.parametrize("framing", FRAMINGS)
@in_turn("end", ["data: 2", "data: 2\n", "dat", "event: x\n", "id: 7\n", "data: [DON"])
def test_unfinished_block(shell: Shell, framing: Any, end: str) -> None:
    """A clean end inside an event is a truncated stream. The unfinished event is not delivered."""
    check(read(shell, "data: 1\n\n", end, framing=framing), ["1"], "truncated", StreamTruncated)


@in_turn("end", ["data: [DONE]", "data: [DONE]\n", "data:[DONE]\r"])
def test_unfinished_done(shell: Shell, end: str) -> None:
    """A `[DONE]` without its blank line completes the stream."""
    check(read(shell, "data: 1\n\n", end), ["1"], "completed")


@in_turn("end", ["retry: 5\n", ": a comment\n", "\n\n"])
def test_unfinished_nothing(shell: Shell, end: str) -> None:
    """A last line that is not part of an event leaves nothing unfinished."""
    check(read(shell, "data: 1\n\n", end), ["1"], "completed")


def test_unfinished_done_that_is_no_terminator(shell: Shell) -> None:
    """With `terminator=None`, an unfinished `[DONE]` is an unfinished event."""
    check(read(shell, "data: 1\n\n", "data: [DONE]\n", terminator=None), ["1"], "truncated", StreamTruncated)


@every_shell
@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("how", [FIN, RST], ids=str)
def test_cut(shell: Shell, framing: Any, how: Any) -> None:
    """A cut in a chunked or length-delimited body interrupts the stream, even between two events."""
    headers = {"Content-Length": "1000"} if framing == "length" else {}
    # A reset discards data that the client has not read yet; the pause gives it the time to read.
    with EventServer(
        Answer("data: 1\n\n", "data: 2\n\n", Pause(0.05), how, headers=headers, framing=framing)
    ) as server:
        result = shell.read(server.url, client=NO_RETRY)
    check(result, ["1", "2"], "interrupted", StreamInterrupted)
    assert result.error is not None
    errors = (shell.library.ReadError, shell.library.RemoteProtocolError)
    assert isinstance(result.error.__cause__, errors)
    assert str(result.error).startswith("the connection was lost after 2 events: ")


def test_cut_inside_of_a_chunk(shell: Shell) -> None:
    """Events before a cut are delivered, even those of an incomplete chunk. The event that was cut is not."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    result = read(shell, head, "ff\r\ndata: 1\n\ndata: 2\n\ndata: 3", framing="raw")
    check(result, ["1", "2"], "interrupted", StreamInterrupted)


@pytest.mark.parametrize("end", ["data: [DONE]", "data: [DONE]\n"])
def test_cut_inside_of_done(shell: Shell, end: str) -> None:
    """An unfinished `[DONE]` counts only at a clean end: after a cut, more could have followed."""
    check(read(shell, "data: 1\n\n", end, Pause(0.02), FIN), ["1"], "interrupted", StreamInterrupted)


def test_cut_before_the_first_event(shell: Shell) -> None:
    """A POST that is lost after its headers is not sent again. The error names the switch that would allow it."""
    with EventServer(Answer(": hello\n\n", Pause(0.02), FIN)) as server:
        result = shell.read(server.url)
        assert len(server.requests) == 1
    check(result, [], "interrupted", StreamInterrupted)
    assert result.error is not None
    assert "retry_ambiguous=True" in "".join([str(result.error), *getattr(result.error, "__notes__", [])])


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_cut_behind_the_first_event(shell: Shell, method: str) -> None:
    """After the first event, nothing is sent again without `resume=`, even if sending it twice would be safe."""
    with EventServer(Answer("data: 1\n\n", Pause(0.02), FIN)) as server:
        result = shell.read(
            server.url, method=method, client={"retry": RetryPolicy(initial_delay=0, jitter=0, retry_ambiguous=True)}
        )
        assert len(server.requests) == 1
    check(result, ["1"], "interrupted", StreamInterrupted)
    assert isinstance(result.error, StreamInterrupted)
    assert "after 1 event" in str(result.error)


def test_close_delimited(shell: Shell) -> None:
    """If only the end of the connection ends the body, a cut between two events looks like the end of the stream."""
    check(read(shell, "data: 1\n\n", FIN, framing="close"), ["1"], "completed")


@every_shell
def test_close_delimited_and_reset(shell: Shell) -> None:
    """A reset is never a clean end, whatever the framing."""
    result = read(shell, "data: 1\n\n", Pause(0.05), RST, framing="close")
    check(result, ["1"], "interrupted", StreamInterrupted)


def test_close_delimited_with_a_terminator(shell: Shell) -> None:
    """A required terminator tells a complete close-delimited stream from one that was cut."""
    terminator = Terminator(data="bye")
    check(read(shell, "data: bye\n\n", framing="close", terminator=terminator), ["bye"], "completed")
    check(read(shell, "data: 1\n\n", framing="close", terminator=terminator), ["1"], "truncated", StreamTruncated)


BEHIND = [
    pytest.param([b"\xff\xfe garbage"], id="garbage"),
    pytest.param(["data: unfinished"], id="unfinished"),
    pytest.param(["x" * 200_000], id="too much"),
    pytest.param([FIN], id="no last chunk"),
    pytest.param([Pause(0.03), FIN], id="no last chunk, late"),
    pytest.param([Pause(0.03), RST], id="reset"),
    pytest.param(['data: {"error": "late"}\n\n'], id="error"),
    pytest.param([Pause(30)], id="nothing"),
]


@in_turn("behind", BEHIND)
@pytest.mark.parametrize("terminator", [None, Terminator(data="bye")], ids=["[DONE]", "bye"])
def test_nothing_fails_behind_the_terminator(shell: Shell, behind: list[Any], terminator: Terminator | None) -> None:
    """After the terminator, nothing fails, and the stream does not wait long for the end of the body."""
    end, options, last = (
        (DONE, {}, []) if terminator is None else ("data: bye\n\n", {"terminator": terminator}, ["bye"])
    )
    before = time.monotonic()
    result = read(shell, "data: 1\n\n", end, *behind, errors=ErrorEvent(field="error"), **options)
    assert time.monotonic() - before < PATIENCE
    check(result, ["1", *last], "completed")


def test_chunk_that_is_none(shell: Shell) -> None:
    """A violation of HTTP's chunk framing after the terminator does not fail the stream."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    result = read(shell, head, f"{len(DONE):x}\r\n{DONE}\r\n", Pause(0.02), "no chunk\r\n", framing="raw")
    check(result, [], "completed")


def test_the_call_after_the_terminator(shell: Shell) -> None:
    """The terminator is delivered at once. The call after it returns soon, even if the server never ends the body."""

    async def main() -> None:
        async with (
            shell.any_client() as client,
            entered(client.post(server.url, terminator=Terminator(data="bye"))) as reader,
        ):
            assert [(await anext(reader)).data, (await anext(reader)).data] == ["1", "bye"]
            assert reader.stream.outcome is None
            assert not server.requests[0].done.is_set()
            before = time.monotonic()
            assert await anext(reader, None) is None
            assert time.monotonic() - before < 0.3 * PATIENCE
            assert reader.stream.outcome == "completed"
            assert server.requests[0].done.wait(2)
            assert not server.requests[0].responded

    with EventServer(Answer("data: 1\n\n", "data: bye\n\n", Pause(30))) as server:
        shell.run(main)


@in_turn(
    ("steps", "options"),
    [
        pytest.param(["data: 1\n\n", DONE], {}, id="at once"),
        pytest.param(["data: 1\n\n", DONE, Pause(0.03)], {}, id="last chunk late"),
        pytest.param(["data: 1\n\n", DONE, Pause(0.03), ": and a comment\n\n"], {}, id="a comment late"),
        pytest.param(["data: 1\n\n"], {}, id="without a terminator"),
        pytest.param(["data: 1\n\n", "data: bye\n\n", Pause(0.03)], {"terminator": Terminator(data="bye")}, id="bye"),
        pytest.param(["data: 1\n\n", "data: oops\n\n", Pause(0.03)], {"errors": ErrorEvent(data="oops")}, id="error"),
    ],
)
def test_connection_is_used_again(shell: Shell, steps: list[Any], options: dict[str, Any]) -> None:
    """The connection of a stream that ended is used for the next one, even if the last chunk comes a little late."""
    with EventServer(Answer(*steps)) as server:
        assert calls(shell, server, 2, **options) == 1


def test_connection_is_used_again_by_length(shell: Shell) -> None:
    """The connection of a length-delimited body is used for the next call too."""
    with EventServer(Answer("data: 1\n\n", DONE, Pause(0.03), ": bye\n\n", framing="length")) as server:
        assert calls(shell, server, 2) == 1


def test_connection_is_not_used_again(shell: Shell) -> None:
    """A connection whose body does not end is given up after a moment."""
    with EventServer(Answer("data: 1\n\n", DONE, Pause(30))) as server:
        before = time.monotonic()
        assert calls(shell, server, 2) == 2
        assert time.monotonic() - before < PATIENCE


@pytest.mark.parametrize("leaves", [True, False], ids=["left at the terminator", "read to the end"])
def test_left_at_the_terminator(shell: Shell, leaves: bool) -> None:
    """A user who leaves at the terminator has a completed stream, and the connection is used again."""
    with EventServer(Answer("data: 1\n\n", "data: bye\n\n", Pause(0.03))) as server:
        limit = 2 if leaves else None
        assert calls(shell, server, 2, limit=limit, terminator=Terminator(data="bye")) == 1


def calls(shell: Shell, server: EventServer, n: int, limit: int | None = None, **options: Any) -> int:
    """Make `n` calls on one client; return the number of connections that they used."""

    async def main() -> None:
        async with shell.any_client(NO_RETRY) as client:
            for _ in range(n):
                stream = client.post(server.url, **options)
                with suppress(ErrorEventReceived):
                    async with entered(stream) as reader:
                        count = 0
                        async for _ in reader:
                            count += 1
                            if count == limit:
                                break
                assert stream.outcome == ("error_event" if "errors" in options else "completed")

    shell.run(main)
    assert len(server.requests) == n
    return server.connections


ERRORS = [
    pytest.param(
        ErrorEvent(event="error"),
        'event: error\ndata: {"error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n',
        ("Overloaded", "overloaded_error"),
        id="event",
    ),
    pytest.param(
        ErrorEvent(field="type", values={"error"}, message="text", code="number"),
        'data: {"type": "error", "text": "too much", "number": 529}\n\n',
        ("too much", 529),
        id="field and paths",
    ),
    pytest.param(
        ErrorEvent(field="error", message="error.what", code="error.kind"),
        'data: {"error": {"what": "no", "kind": "busy"}}\n\n',
        ("no", "busy"),
        id="dotted paths",
    ),
    pytest.param(ErrorEvent(field="error"), 'data: {"error": "plain", "code": "E1"}\n\n', ("plain", "E1"), id="plain"),
    pytest.param(ErrorEvent(event="error"), "event: error\ndata: no JSON\n\n", ("no JSON", None), id="no JSON"),
    pytest.param(ErrorEvent(event="error"), "event: error\ndata\n\n", (None, None), id="no data"),
    pytest.param(
        ErrorEvent(event="fatal") | ErrorEvent(event="error", code="n"),
        'event: error\ndata: {"n": 7, "detail": "seven"}\n\n',
        ("seven", 7),
        id="alternatives",
    ),
]


@in_turn(("errors", "text", "said"), ERRORS)
def test_error_event(shell: Shell, errors: ErrorEvent, text: str, said: tuple[Any, Any]) -> None:
    """An error event is raised after the events before it, and has the event, its code and its message."""
    result = read(shell, "data: 1\n\n", f"data: 2\n\n{text}data: 3\n\n", errors=errors)
    check(result, ["1", "2"], "error_event", ErrorEventReceived)
    error = result.error
    assert isinstance(error, ErrorEventReceived)
    assert (error.message, error.code) == said
    assert error.event.data == text.partition("data")[2].removeprefix(": ").strip()
    assert (said[0] or "the server sent an error event") in str(error)


def test_error_event_first(shell: Shell) -> None:
    """An error event that comes first is raised too, and nothing is sent again."""
    with EventServer(Answer("event: error\ndata: x\n\n")) as server:
        result = shell.read(server.url, errors=ErrorEvent(event="error"))
        assert len(server.requests) == 1
    check(result, [], "error_event", ErrorEventReceived)


def test_error_event_is_stronger_than_the_terminator(shell: Shell) -> None:
    """An event that matches both the error and the terminator is an error."""
    options = {"errors": ErrorEvent(event="end"), "terminator": Terminator(event="end")}
    check(read(shell, "event: end\ndata: x\n\n", **options), [], "error_event", ErrorEventReceived)


def test_error_event_not_asked_for(shell: Shell) -> None:
    """Without `errors=`, an event named "error" is delivered like any other."""
    check(read(shell, "event: error\ndata: x\n\n"), ["x"], "completed")


AGAIN: list[Any] = [
    pytest.param(Answer("data: 1\n\n", Pause(0.02), FIN), {}, StreamInterrupted, id="interrupted"),
    pytest.param(Answer("data: 1\n\n", "data: 2"), {}, StreamTruncated, id="truncated"),
    pytest.param(
        Answer("data: 1\n\n", "data: oops\n\n"),
        {"errors": ErrorEvent(data="oops")},
        ErrorEventReceived,
        id="error event",
    ),
    pytest.param(
        Answer("data: 1\n\n", f"data: {'x' * 100}\n\n"), {"max_event_size": 50}, EventTooLarge, id="too large"
    ),
    pytest.param(Answer("data: 1\n\n", DONE), {}, None, id="completed"),
]


@in_turn(("answer", "options", "expected"), AGAIN)
def test_asked_again(shell: Shell, answer: Answer, options: dict[str, Any], expected: type[SSEError] | None) -> None:
    """A stream that is over raises the same error on each call, or ends again, and sends nothing more."""
    told: list[SSEError | None] = []

    async def main() -> None:
        async with shell.any_client() as client, entered(client.post(server.url, **options)) as reader:
            assert (await anext(reader)).data == "1"
            for _ in range(3):
                try:
                    assert await anext(reader, None) is None
                    told.append(None)
                except SSEError as error:
                    told.append(error)

    with EventServer(answer) as server:
        shell.run(main)
        assert len(server.requests) == 1
    assert type(told[0]) is (expected or type(None))
    assert told[0] is told[1] is told[2]


@in_turn("status", [200, 201, 202, 206, 299])
def test_status_of_a_stream(shell: Shell, status: int) -> None:
    """Any 2xx with the right media type is a stream."""
    with EventServer(Answer("data: 1\n\n", status=status)) as server:
        result = shell.read(server.url)
    check(result, ["1"], "completed")
    assert result.stream is not None
    assert result.stream.response.status_code == status


@in_turn(
    "content_type",
    ["text/event-stream;charset=utf-8", "TEXT/Event-Stream", "text/event-stream ; x=y; charset=latin-1"],
)
def test_media_type_of_a_stream(shell: Shell, content_type: str) -> None:
    """Neither the case nor the parameters of the media type matter. The charset is ignored: it is always UTF-8."""
    with EventServer(Answer("data: é\n\n", headers={"Content-Type": content_type})) as server:
        check(shell.read(server.url), ["é"], "completed")


def test_no_content(shell: Shell) -> None:
    """204 is an empty, completed stream."""
    with EventServer(Answer(status=204, headers={"Content-Type": None})) as server:
        result = shell.read(server.url)
    check(result, [], "completed")
    assert result.stream is not None
    assert result.stream.response.status_code == 204


@in_turn("status", [205, 300, 301, 304, 307, 400, 401, 404, 422, 451, 499, 501, 505])
def test_status_of_no_stream(shell: Shell, status: int) -> None:
    """Any other status is an error, even with the right media type, and is not retried."""
    with EventServer(Answer(status=status, framing="length")) as server:
        result = shell.read(server.url)
        assert len(server.requests) == 1
    check(result, [], "failed", StatusError)
    assert isinstance(result.error, StatusError)
    assert result.error.status_code == status
    assert f"returned {status}" in str(result.error)


@in_turn("status", [408, 409, 425, 429, 500, 502, 503, 504, 599])
def test_status_that_may_pass(shell: Shell, status: int) -> None:
    """With `retry=None`, the statuses that are otherwise retried are final too."""
    with EventServer(Answer(status=status, framing="length")) as server:
        result = shell.read(server.url, client=NO_RETRY)
        assert len(server.requests) == 1
    check(result, [], "failed", StatusError)


def test_status_error(shell: Shell) -> None:
    """A status error has the server's own message, its body, its headers and the ID of the request."""
    body = '{"error": {"message": "Invalid key", "type": "auth"}}'
    headers = {"Content-Type": "application/json", "X-Request-ID": "req-1"}
    with EventServer(Answer(body, status=401, headers=headers, framing="length")) as server:
        result = shell.read(f"{server.url}/chat?key=s3cret")
        assert len(server.requests) == 1
        url = server.url
    error = result.error
    assert isinstance(error, StatusError)
    assert error.message == "Invalid key"
    assert error.json() == {"error": {"message": "Invalid key", "type": "auth"}}
    assert error.body == body.encode()
    assert error.headers["content-type"] == error.headers["Content-Type"] == "application/json"
    assert error.request_id == "req-1"
    assert str(error) == f"POST {url}/chat returned 401 Unauthorized: 'Invalid key'"


@in_turn(
    ("body", "message"),
    [
        ('{"error": {"message": "a"}}', "a"),
        ('{"error": "b"}', "b"),
        ('{"message": "c"}', "c"),
        ('{"detail": "d"}', "d"),
        ('{"detail": [{"loc": ["body", "x"], "msg": "missing"}]}', '[{"loc": ["body", "x"], "msg": "missing"}]'),
        ('{"other": "e"}', None),
        ('["f"]', None),
        ("no JSON", None),
        ("", None),
        (b"\xff\xfe", None),
    ],
)
def test_message(shell: Shell, body: str | bytes, message: str | None) -> None:
    """The server's message is found in the usual shapes. Whatever the body is, the error is a `StatusError`."""
    with EventServer(Answer(body, status=400, headers={"Content-Type": "x/y"}, framing="length")) as server:
        result = shell.read(server.url)
    check(result, [], "failed", StatusError)
    assert isinstance(result.error, StatusError)
    assert result.error.message == message
    assert (message or "returned 400 Bad Request") in str(result.error)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_long_body(shell: Shell, framing: Any) -> None:
    """At most 64 KiB of an error's body are read."""
    with EventServer(Answer(b"x" * 10 * 1024 * 1024, status=500, framing=framing)) as server:
        before = time.monotonic()
        result = shell.read(server.url, client=NO_RETRY)
        assert time.monotonic() - before < PATIENCE
    check(result, [], "failed", StatusError)
    assert isinstance(result.error, StatusError)
    assert result.error.body == b"x" * 64 * 1024
    assert len(str(result.error)) < 400


@every_shell
@pytest.mark.parametrize("how", [FIN, RST], ids=str)
def test_body_that_breaks_off(shell: Shell, how: Any) -> None:
    """An error's body that breaks off still gives the error of that status, with the bytes that came."""
    answer = Answer("half a", Pause(0.05), how, status=403, headers={"Content-Length": "99"}, framing="length")
    with EventServer(answer) as server:
        result = shell.read(server.url)
    check(result, [], "failed", StatusError)
    assert isinstance(result.error, StatusError)
    assert result.error.body == b"half a"


@in_turn(
    ("content_type", "body", "text"),
    [
        ("application/json", '{"error": "no such model"}', "got 'application/json' (status 200): 'no such model'"),
        ("text/html; charset=utf-8", "<!doctype html>", "got 'text/html' (status 200): '<!doctype html>'"),
        ("text/plain", "data: 1\n\n", "got 'text/plain' (status 200): 'data: 1'"),
        ("text/event-streams", "", "got 'text/event-streams' (status 200)"),
        (None, "data: 1\n\n", "got no content type (status 200): 'data: 1'"),
    ],
)
def test_media_type_of_no_stream(shell: Shell, content_type: str | None, body: str, text: str) -> None:
    """Another media type, or none, is an error even if the status is 200, and is not retried."""
    with EventServer(Answer(body, headers={"Content-Type": content_type}, framing="length")) as server:
        result = shell.read(f"{server.url}/chat", json={"n": 1})
        assert len(server.requests) == 1
        url = server.url
    check(result, [], "failed", ContentTypeError)
    assert isinstance(result.error, ContentTypeError)
    assert result.error.status_code == 200
    assert result.error.body == body.encode()
    assert str(result.error) == f"expected text/event-stream from POST {url}/chat, {text}"


@in_turn("url", ["127.0.0.1/chat", "ftp://127.0.0.1/chat", "http://", "http://[::1", "http://127.0.0.1/\x00", ""])
def test_url_that_is_none(shell: Shell, url: str) -> None:
    """An invalid URL is a `ValueError` of the call, not a failed connection."""
    with pytest.raises(ValueError, match="expected a URL"):
        shell.read(url)


@every_shell
def test_refused(shell: Shell) -> None:
    """If no server listens, the connection fails, and it is certain that no server acted on the request."""
    with EventServer(Answer()) as server:
        url = server.url
    result = shell.read(url, client=NO_RETRY)
    check(result, [], "failed", ConnectionFailed)
    assert isinstance(result.error, ConnectionFailed)
    assert (result.error.ambiguous, result.error.clock) == (False, None)
    assert isinstance(result.error.__cause__, shell.library.ConnectError)


@every_shell
@pytest.mark.parametrize("how", [FIN, RST], ids=str)
def test_no_headers(shell: Shell, how: Any) -> None:
    """
    A connection that is lost before the headers is ambiguous: the server may have acted, so nothing is sent again.
    """
    with EventServer(Answer(how, framing="raw")) as server:
        result = shell.read(server.url)
        assert len(server.requests) == 1
    check(result, [], "failed", ConnectionFailed)
    assert isinstance(result.error, ConnectionFailed)
    assert result.error.ambiguous


def test_answer_that_is_no_http(shell: Shell) -> None:
    """A response that is not HTTP is a failed connection."""
    check(read(shell, "SSH-2.0-OpenSSH_9.6\r\n\r\n", framing="raw"), [], "failed", ConnectionFailed)


def test_too_large(shell: Shell) -> None:
    """An event beyond the limit fails the stream after the events before it, even those of the same piece."""
    result = read(shell, f"data: 1\n\ndata: 2\n\ndata: {'x' * 100}\n\n", "data: 3\n\n", max_event_size=60)
    check(result, ["1", "2"], "failed", EventTooLarge)


def test_too_large_without_an_end(shell: Shell) -> None:
    """A line without an end fails the stream as soon as it is too large."""
    result = read(shell, "data: 1\n\n", "x" * 100, Pause(30), max_event_size=60)
    check(result, ["1"], "failed", EventTooLarge)


def test_too_large_at_the_end(shell: Shell) -> None:
    """An event that is too large is also noticed if the body ends right after it."""
    result = read(shell, f"data: 1\n\ndata: {'x' * 100}", max_event_size=60)
    check(result, ["1"], "failed", EventTooLarge)


def test_ill_formed(shell: Shell) -> None:
    """Ill-formed UTF-8 becomes U+FFFD and fails nothing. Characters that a chunk boundary splits stay whole."""
    check(read(shell, b"data: \xff\xfe|\xc3", b"\xa9|\xf0\x9f", b"\x98\x80|\xc3\n\n"), ["��|é|😀|�"], "completed")


SECRET = "s3cret"
FAILURES: list[Any] = [
    pytest.param([Answer(status=401, framing="length")], {}, id="status"),
    pytest.param([Answer("{}", headers={"Content-Type": "application/json"}, framing="length")], {}, id="media type"),
    pytest.param([Answer("data: 1\n\n", Pause(0.02), FIN)], {}, id="interrupted"),
    pytest.param([Answer("data: 1\n\n", "data: 2")], {}, id="truncated"),
    pytest.param([Answer(FIN, framing="raw")], {}, id="no headers"),
    pytest.param([Answer("data: 1\n\n", Pause(5))], {"timeout": 0.1}, id="total"),
    pytest.param([Answer(status=301, headers={"Location": "/?s3cret"}, framing="length")], {}, id="redirect"),
    pytest.param(
        [Answer(status=307, headers={"Location": "http://u:s3cret@x.test/?s3cret"}, framing="length")], {}, id="foreign"
    ),
    pytest.param([], {}, id="refused"),
]


@in_turn(("answers", "options"), FAILURES)
def test_no_secret_in_an_error(shell: Shell, answers: list[Answer], options: dict[str, Any]) -> None:
    """No text of an error, at any depth, contains the value of a request header, or the URL's query or user."""
    headers = {"Authorization": f"Bearer {SECRET}", "X-Key": SECRET}
    with EventServer(*answers) as server:
        url = f"http://user:{SECRET}@127.0.0.1:{server.port}/chat?key={SECRET}"
        if not answers:
            server.close()
        result = shell.read(url, headers=headers, cookies={"c": SECRET}, client=NO_RETRY, **options)
    error: BaseException | None = result.error
    assert error is not None
    assert result.stream is not None
    assert SECRET not in repr(result.stream)
    while error is not None:
        assert SECRET not in f"{error!r} {error} {getattr(error, '__notes__', '')}"
        error = error.__cause__ or error.__context__


@every_shell
def test_header_that_cannot_be_sent(shell: Shell) -> None:
    """The error about a header that HTTP cannot carry does not contain the header's value either."""
    with EventServer(Answer()) as server:
        result = shell.read(server.url, headers={"Authorization": f"Bearer {SECRET}\n"})
        assert not server.requests
    check(result, [], "failed", ConnectionFailed)
    assert isinstance(result.error, ConnectionFailed)
    assert SECRET not in f"{result.error!r} {result.error} {getattr(result.error, '__notes__', '')}"
    assert not result.error.ambiguous
