"""
A stream dispatched to callbacks: which are called, in which order, when, and on which thread or task.

The order of callbacks is a table: `ENDS` has one row for each way that a stream can end.
"""

import math
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest
from pydantic import AfterValidator
from shells import KINDS, PATIENCE, Run, Shell, in_turn

from sse_client import (
    AsyncEventStream,
    ConnectionFailed,
    ContentTypeError,
    DecodeError,
    ErrorEvent,
    ErrorEventReceived,
    EventStream,
    EventTooLarge,
    Handlers,
    LastEventID,
    RetryPolicy,
    ServerSentEvent,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Terminator,
    Timeouts,
)
from sse_client._shells import async_dispatch
from sse_client._stats import StreamStats
from sse_client.testing import FIN, Answer, EventServer, Pause, RecordedRequest

Stream: TypeAlias = EventStream[Any] | AsyncEventStream[Any]

FOREVER = Pause(math.inf)
QUICK = RetryPolicy(initial_delay=0.01, jitter=0)

# An interval that never ends: a batch's pending events are delivered only at the end.
NEVER = 60.0

# Nothing here takes this long unless it is broken.
AT_ONCE = 0.3


class Mine(Exception):
    """The exception that a handler raises."""


@dataclass
class Dispatched(Run):
    """The result of a dispatch."""

    error: Any = None
    stats: StreamStats | None = None


async def dispatched(stream: Stream, on: Handlers) -> StreamStats:
    return stream.dispatch(on) if isinstance(stream, EventStream) else await stream.dispatch(on)


async def entering(stream: Stream, on: Handlers) -> StreamStats:
    """Enter the stream before it is dispatched."""
    if isinstance(stream, EventStream):
        with stream:
            return stream.dispatch(on)
    async with stream:
        return await stream.dispatch(on)


def run(
    shell: Shell,
    url: str,
    on: Handlers,
    *,
    closes_at: Callable[[], bool] | None = None,
    dispatch: Callable[[Stream, Handlers], Awaitable[StreamStats]] = dispatched,
    **options: Any,
) -> Dispatched:
    """Dispatch one POST; close it from another thread or task as soon as `closes_at()` is true."""
    result = Dispatched()

    async def main() -> None:
        async with shell.any_client({"retry": None}) as client:
            stream: Stream = client.post(url, **options)
            result.stream = stream
            result.started = time.monotonic()
            try:
                if closes_at is None:
                    result.stats = await dispatch(stream, on)
                elif isinstance(stream, EventStream):
                    with closing_thread(stream, closes_at):
                        result.stats = await dispatch(stream, on)
                else:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(close_when, stream, closes_at)
                        try:
                            result.stats = await dispatch(stream, on)
                        except BaseException as error:
                            result.error = error
                        tasks.cancel_scope.cancel()
            except BaseException as error:
                result.error = error
            result.finished = time.monotonic()

    shell.run(main)
    return result


@contextmanager
def closing_thread(stream: EventStream[Any], closes_at: Callable[[], bool]) -> Any:
    def wait() -> None:
        while not closes_at() and not is_over.wait(0.002):
            pass
        stream.close()

    is_over = threading.Event()
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


async def close_when(stream: AsyncEventStream[Any], closes_at: Callable[[], bool]) -> None:
    while not closes_at():  # noqa: ASYNC110 - one question for threads and tasks
        await anyio.sleep(0.002)
    await stream.aclose()


def data_of(value: Any) -> str:
    return value.data if isinstance(value, ServerSentEvent) else str(value)


@dataclass
class Log:
    """All callbacks that were called, in order."""

    calls: list[str] = field(default_factory=list[str])
    raises_in: str = ""
    mine: Mine = field(default_factory=Mine)

    def add(self, call: str) -> None:
        self.calls.append(call)
        if call == self.raises_in:
            raise self.mine

    def handlers(self, *, batch: Any = None, is_async: bool = False) -> Handlers:
        """A handler for everything; with `batch`, also a batch handler for events of that kind."""
        on = Handlers()

        def asynchronous(handler: Callable[[Any], None]) -> Callable[[Any], Any]:
            async def waiting(argument: Any) -> None:
                await anyio.lowlevel.checkpoint()
                handler(argument)

            return waiting if is_async else handler

        def register(decorator: Callable[[Any], Any], text: Callable[[Any], str]) -> None:
            decorator(asynchronous(lambda argument: self.add(text(argument))))

        register(on.event, lambda value: f"event {data_of(value)}")
        if batch is not None:
            register(on.batch(batch, interval=NEVER), lambda many: f"batch {' '.join(map(data_of, many))}")
        register(on.open, lambda response: f"open {response.status_code}")
        register(on.comment, lambda text: f"comment {text}")
        register(on.unknown, lambda event: f"unknown {event.event}")
        register(on.retry, lambda error: f"retry {type(error).__name__}")
        register(on.complete, lambda stats: f"complete {stats.events}")
        register(on.error, lambda error: f"error {type(error).__name__}")
        register(on.cancel, lambda stats: "cancel")
        register(on.close, lambda stats: "close")
        return on


with_batch = pytest.mark.parametrize("has_batch", [False, True], ids=["", "batch"])


@dataclass(frozen=True)
class End:
    """One way to end. In `calls`, entries that begin with "batch" are expected only if a batch is registered."""

    name: str
    answer: Answer | None
    """`None` if no server listens."""
    calls: str
    outcome: str
    error: type[Exception] | None = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    raises_in: str = ""
    closes_behind: str = ""

    def __str__(self) -> str:
        return self.name

    def expected(self, *, has_batch: bool) -> list[str]:
        calls = [call.strip() for call in self.calls.split(",")]
        return [call for call in calls if has_batch or not call.startswith("batch")]


TWO = ("data: 1\n\n", "data: 2\n\n")
SHOWN = "open 200, event 1, batch 1, event 2, batch 2"
PLAIN = {"Content-Type": "text/plain"}

ENDS = [
    End("clean", Answer(*TWO), f"{SHOWN}, complete 2, close", "completed"),
    End("done", Answer(*TWO, "data: [DONE]\n\n"), f"{SHOWN}, complete 2, close", "completed"),
    End(
        "terminator",
        Answer(*TWO, "event: end\ndata: bye\n\n"),
        "open 200, event 1, batch 1, event 2, event bye, batch 2 bye, complete 3, close",
        "completed",
        options={"terminator": Terminator(event="end")},
    ),
    End("no events", Answer(), "open 200, complete 0, close", "completed"),
    End("204", Answer(status=204), "complete 0, close", "completed"),
    End(
        "error event",
        Answer(*TWO, "event: error\ndata: overloaded\n\n"),
        f"{SHOWN}, error ErrorEventReceived, close",
        "error_event",
        ErrorEventReceived,
        {"errors": ErrorEvent(event="error")},
    ),
    End(
        "truncated",
        Answer(*TWO),
        f"{SHOWN}, error StreamTruncated, close",
        "truncated",
        StreamTruncated,
        {"terminator": Terminator(event="end")},
    ),
    End("interrupted", Answer(*TWO, FIN), f"{SHOWN}, error StreamInterrupted, close", "interrupted", StreamInterrupted),
    End(
        "timeout",
        Answer(*TWO, FOREVER),
        f"{SHOWN}, error StreamTimeout, close",
        "timeout",
        StreamTimeout,
        {"timeout": Timeouts(idle=0.05)},
    ),
    End(
        "too large",
        Answer(*TWO, f"data: {'x' * 100}\n\n"),
        f"{SHOWN}, error EventTooLarge, close",
        "failed",
        EventTooLarge,
        {"max_event_size": 50},
    ),
    End(
        "closed from elsewhere",
        Answer(*TWO, FOREVER),
        f"{SHOWN}, cancel, close",
        "cancelled",
        closes_behind="event 2",
    ),
    End(
        "handler raises",
        Answer(*TWO, FOREVER),
        "open 200, event 1, batch 1, event 2, cancel, close",
        "abandoned",
        Mine,
        raises_in="event 2",
    ),
    End(
        "handler raises at the first",
        Answer(*TWO, FOREVER),
        "open 200, cancel, close",
        "abandoned",
        Mine,
        raises_in="open 200",
    ),
    End("4xx", Answer("no", status=400, headers=PLAIN), "error StatusError, close", "failed", StatusError),
    End("no stream", Answer("no", headers=PLAIN), "error ContentTypeError, close", "failed", ContentTypeError),
    End("nobody there", None, "error ConnectionFailed, close", "failed", ConnectionFailed),
]


def nobody() -> str:
    """The URL of a port without a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@with_batch
@in_turn("end", ENDS, ids=str)
def test_ends(shell: Shell, end: End, has_batch: bool) -> None:
    """However a stream ends, pending events come first, then one of complete, error and cancel, then close."""
    log = Log(raises_in=end.raises_in)
    on = log.handlers(batch=ServerSentEvent if has_batch else None, is_async=shell.kind != "sync")
    closes_at = (lambda: end.closes_behind in log.calls) if end.closes_behind else None
    with EventServer(end.answer or Answer()) as server:
        url = server.url if end.answer else nobody()
        result = run(shell, url, on, closes_at=closes_at, **end.options)
    assert log.calls == end.expected(has_batch=has_batch)
    assert type(result.error) is (end.error or type(None)), repr(result.error)
    assert not end.raises_in or result.error is log.mine
    assert result.outcome == end.outcome
    assert result.seconds < 2 * PATIENCE


BYE = "event: end\ndata: 2\n\n"
LAST_EVENTS: dict[str, tuple[Answer, dict[str, Any]]] = {
    "clean end": (Answer(*TWO), {}),
    "clean end in one piece": (Answer("".join(TWO)), {}),
    "[DONE]": (Answer(*TWO, "data: [DONE]\n\n"), {}),
    "[DONE] in one piece": (Answer(TWO[0], f"{TWO[1]}data: [DONE]\n\n"), {}),
    "[DONE] asked for": (Answer(f"{''.join(TWO)}data: [DONE]\n\n"), {"terminator": Terminator(data="[DONE]")}),
    "terminator": (Answer(TWO[0], BYE), {"terminator": Terminator(event="end")}),
    "terminator in one piece": (Answer(TWO[0] + BYE), {"terminator": Terminator(event="end")}),
    "terminator and no end": (Answer(TWO[0] + BYE, FOREVER), {"terminator": Terminator(event="end")}),
    "cut": (Answer(*TWO, Pause(0.02), FIN), {}),
}


@with_batch
@pytest.mark.parametrize("waits", [False, True], ids=["", "when all was read"])
@in_turn(("answer", "options"), LAST_EVENTS.values(), ids=LAST_EVENTS)
def test_raises_at_the_last_event(
    shell: Shell, answer: Answer, options: dict[str, Any], waits: bool, has_batch: bool
) -> None:
    """If a handler raises at the very last event, the stream is abandoned, however far it was read by then."""
    log = Log()
    mine = Mine()
    streams: list[Stream] = []
    on = log.handlers(batch="ping" if has_batch else None, is_async=shell.kind != "sync")

    def fail() -> None:
        log.add("raises")
        raise mine

    @on.event
    def handle(event: ServerSentEvent) -> Any:
        if event.data != "2":
            return None
        if shell.kind == "sync":
            for _ in range(500 if waits and has_batch else 0):
                if streams[0].outcome is None:
                    time.sleep(0.002)
            return fail()
        return wait()

    async def wait() -> None:
        for _ in range(500 if waits and has_batch else 0):
            if streams[0].outcome is None:
                await anyio.sleep(0.002)
        fail()

    def remember(stream: Stream, on: Handlers) -> Awaitable[StreamStats]:
        streams.append(stream)
        return dispatched(stream, on)

    with EventServer(answer) as server:
        result = run(shell, server.url, on, dispatch=remember, **options)
    assert result.error is mine
    assert log.calls == ["open 200", "event 1", "event 2", "raises", "cancel", "close"]
    assert result.outcome == "abandoned"
    assert result.stream is not None
    assert result.stream.state == "closed"


@pytest.mark.parametrize("answer", [Answer(*TWO), Answer(*TWO, FIN)], ids=["completed", "interrupted"])
def test_raises_with_the_last_batch(shell: Shell, answer: Answer) -> None:
    """If a batch handler raises at the end, the stream is abandoned too."""
    log = Log(raises_in="batch 2")
    with EventServer(answer) as server:
        result = run(shell, server.url, log.handlers(batch="message"))
    assert (result.error, result.outcome) == (log.mine, "abandoned")
    assert log.calls[-3:] == ["batch 2", "cancel", "close"]


@with_batch
@pytest.mark.parametrize("rest", [(), ("data: [DONE]\n\n",), (FOREVER,)], ids=["end", "[DONE]", "more"])
def test_decode_error_at_the_last_event(shell: Shell, rest: tuple[Any, ...], has_batch: bool) -> None:
    """A last event that does not match its type fails the stream, and `on.error` and the outcome agree."""
    log = Log()
    on = log.handlers(batch=int if has_batch else None)
    with EventServer(Answer("data: 1\n\n", "data: x\n\n", *rest)) as server:
        result = run(shell, server.url, on, events=int)
    assert (type(result.error), result.outcome) == (DecodeError, "failed")
    assert log.calls[-2:] == ["error DecodeError", "close"]


@with_batch
def test_decode_error(shell: Shell, has_batch: bool) -> None:
    """An event that does not match its type ends a dispatch with an error of the stream."""
    log = Log()
    on = log.handlers(batch=int if has_batch else None)
    with EventServer(Answer("data: 1\n\ndata: 2\n\ndata: x\n\n", FOREVER)) as server:
        result = run(shell, server.url, on, events=int)
    end = End("decode error", None, f"{SHOWN}, error DecodeError, close", "")
    assert log.calls == end.expected(has_batch=has_batch)
    assert isinstance(result.error, DecodeError)
    assert result.error.event.data == "x"


@with_batch
@pytest.mark.parametrize("dispatch", [dispatched, entering])
def test_returns_the_numbers(shell: Shell, dispatch: Any, has_batch: bool) -> None:
    """A dispatch returns the stream's stats. It connects if the stream was not entered, and calls `open` once."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)
    with EventServer(Answer(*TWO)) as server:
        result = run(shell, server.url, on, dispatch=dispatch)
    assert result.error is None
    assert result.stats is not None
    assert result.stream is not None
    assert result.stats == result.stream.stats
    assert (result.stats.events, result.stats.connections) == (2, 1)
    assert log.calls[0] == "open 200"
    assert log.calls.count("open 200") == 1


MOMENTS = [
    ("complete 2", "completed", {}),
    ("error StreamTruncated", "truncated", {"terminator": Terminator(event="end")}),
    ("close", "completed", {}),
]


@with_batch
@pytest.mark.parametrize(("moment", "outcome", "options"), MOMENTS)
def test_last_handlers_raise(shell: Shell, moment: str, outcome: str, options: Any, has_batch: bool) -> None:
    """
    An exception of a handler at the end reaches the user unchanged. `close` is still called, once, and nothing else.
    """
    log = Log(raises_in=moment)
    with EventServer(Answer(*TWO)) as server:
        result = run(shell, server.url, log.handlers(batch="message" if has_batch else None), **options)
    assert result.error is log.mine
    assert result.outcome == outcome
    assert log.calls[-2:] == ([moment, "close"] if moment != "close" else ["complete 2", "close"])
    assert log.calls.count("close") == 1


@with_batch
def test_cancel_handler_raises(shell: Shell, has_batch: bool) -> None:
    """If `on.cancel` raises on a stream that was closed, its exception reaches the user after `close`."""
    log = Log(raises_in="cancel")
    with EventServer(Answer(*TWO, FOREVER)) as server:
        on = log.handlers(batch="message" if has_batch else None)
        result = run(shell, server.url, on, closes_at=lambda: "event 2" in log.calls)
    assert result.error is log.mine
    assert log.calls[-2:] == ["cancel", "close"]


def test_batch_raises_at_the_end(shell: Shell) -> None:
    """A batch handler that raises at the end stops the stream like any handler: cancel, close, and its exception."""
    log = Log(raises_in="batch 2")
    with EventServer(Answer(*TWO)) as server:
        result = run(shell, server.url, log.handlers(batch="message"))
    assert result.error is log.mine
    assert log.calls[-3:] == ["batch 2", "cancel", "close"]


def test_batch_raises_behind_a_handler(shell: Shell) -> None:
    """If a handler raises and the pending batch raises too, there is still one cancel and then one close."""
    log = Log(raises_in="batch 2")
    on = log.handlers(batch="message")
    first = Mine()

    @on("stop")
    def stop(event: ServerSentEvent) -> None:
        raise first

    with EventServer(Answer(*TWO, "event: stop\ndata: 3\n\n", FOREVER)) as server:
        result = run(shell, server.url, on)
    assert result.error in (first, log.mine)
    assert [call.partition(" ")[0] for call in log.calls[-3:]] == ["batch", "cancel", "close"]


@with_batch
def test_handler_closes(shell: Shell, has_batch: bool) -> None:
    """A handler may close the stream: no further event, then cancel and close, and no error."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)
    streams: list[Stream] = []

    def stop() -> Any:
        (stream,) = streams
        return stream.close() if isinstance(stream, EventStream) else stream.aclose()

    def remember(stream: Stream, on: Handlers) -> Awaitable[StreamStats]:
        streams.append(stream)
        return dispatched(stream, on)

    on("stop")(lambda event: stop())
    with EventServer(Answer("event: stop\ndata: 1\n\ndata: 2\n\n", "data: 3\n\n", FOREVER)) as server:
        result = run(shell, server.url, on, dispatch=remember)
    assert result.error is None
    assert result.outcome == "cancelled"
    assert log.calls == ["open 200", "event 1", "cancel", "close"]


def test_comments_and_retries(shell: Shell) -> None:
    """`open` is called for each connection, `retry` before each further attempt, `comment` for each comment."""
    log = Log()
    answers = [
        Answer(status=503, framing="length"),
        Answer(": hello\n\n", "id: 7\ndata: 1\nretry: 50\n\n", FIN),
        Answer("data: 2\n\n"),
    ]
    with EventServer(*answers) as server:
        result = run(shell, server.url, log.handlers(), retry=QUICK, resume=LastEventID(retry=QUICK))
        assert server.requests[2].headers["last-event-id"] == "7"
    assert result.error is None
    assert log.calls == [
        *("retry StatusError", "open 200", "comment  hello", "event 1", "retry StreamInterrupted", "open 200"),
        *("event 2", "complete 2", "close"),
    ]


MIXED = "data: 1\n\n: a\ndata: 2\n: b\n\n: c\n\n: d\nid: 7\n\ndata: 3\n\n: e\n"
IN_ORDER = ["event 1", "comment  a", "comment  b", "event 2", "comment  c", "comment  d", "event 3", "comment  e"]


@with_batch
@in_turn("size", [1, 7, 16, 1000])
def test_comments_in_order(shell: Shell, size: int, has_batch: bool) -> None:
    """Comments and events are delivered in the order of their bytes, however the stream is cut into pieces."""
    log = Log()
    on = log.handlers(batch="ping" if has_batch else None)
    pieces = [MIXED[at : at + size] for at in range(0, len(MIXED), size)]
    with EventServer(Answer(*pieces)) as server:
        result = run(shell, server.url, on)
    assert result.error is None
    assert log.calls == ["open 200", *IN_ORDER, "complete 3", "close"]
    assert result.stats is not None
    assert result.stats.comments == 5


COMMENTED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "[DONE]": ("data: 1\n\n: a\ndata: [DONE]\n\n: b\n", {}, ["event 1", "comment  a"]),
    "terminator": (
        ": a\nevent: end\ndata: 1\n\n: b\ndata: 2\n\n: c\n",
        {"terminator": Terminator(event="end")},
        ["comment  a", "event 1"],
    ),
    "error event": (
        ": a\n\ndata: 1\n\n: b\nevent: error\ndata: x\n\n: c\n",
        {"errors": ErrorEvent(event="error")},
        ["comment  a", "event 1", "comment  b"],
    ),
    "pings": (
        "event: ping\ndata\n\n: a\ndata: 1\n\nevent: ping\ndata\n\n: b\nevent: ping\ndata\n\n: c\ndata: 2\n\n: d\n",
        {"pings": {"ping"}},
        ["comment  a", "event 1", "comment  b", "comment  c", "event 2", "comment  d"],
    ),
    "pings and [DONE]": (
        "data: 1\n\nevent: ping\ndata\n\n: a\ndata: [DONE]\n\n: b\n\n",
        {"pings": {"ping"}},
        ["event 1", "comment  a"],
    ),
    "nothing but comments": (": a\n: b\n\n: c\n", {}, ["comment  a", "comment  b", "comment  c"]),
    "a cut event": ("data: 1\n\n: a\n: b", {}, ["event 1", "comment  a"]),
    "an event that is too large": (
        f": a\ndata: 1\n\n: b\ndata: {'x' * 50}\n\n: c\n",
        {"max_event_size": 40},
        ["comment  a", "event 1", "comment  b"],
    ),
}


@with_batch
@pytest.mark.parametrize("size", [1, 1000])
@in_turn(("body", "options", "calls"), COMMENTED.values(), ids=COMMENTED)
def test_comments_at_the_end(
    shell: Shell, body: str, options: dict[str, Any], calls: list[str], size: int, has_batch: bool
) -> None:
    """A comment before the event that ends a stream is delivered; a comment after it is not."""
    log = Log()
    on = log.handlers(batch="none" if has_batch else None)
    with EventServer(Answer(*(body[at : at + size] for at in range(0, len(body), size)))) as server:
        run(shell, server.url, on, **options)
    shown = [call for call in log.calls if call.startswith(("event", "comment"))]
    assert shown == calls


def test_comments_over_a_resume(shell: Shell) -> None:
    """The order holds over connections too: a comment before a cut is delivered before everything after it."""
    log = Log()
    answers = [
        Answer(": a\nid: 1\ndata: 1\n\n: b\n", "id: 2\ndata: 2\nretry: 50\n\n: c\n", Pause(0.02), FIN),
        Answer(": d\nid: 3\ndata: 3\n\n: e\n"),
    ]
    with EventServer(*answers) as server:
        result = run(shell, server.url, log.handlers(), resume=LastEventID(retry=QUICK))
    assert result.error is None
    assert log.calls == [
        *("open 200", "comment  a", "event 1", "comment  b", "event 2", "comment  c", "retry StreamInterrupted"),
        *("open 200", "comment  d", "event 3", "comment  e", "complete 3", "close"),
    ]


@with_batch
def test_a_comment_after_the_event_that_closes(shell: Shell, has_batch: bool) -> None:
    """After a handler closes the stream, no comment is delivered, even from the same piece."""
    log = Log()
    on = log.handlers(batch="none" if has_batch else None)
    streams: list[Stream] = []

    @on("stop")
    def stop(event: ServerSentEvent) -> Any:
        (stream,) = streams
        return stream.close() if isinstance(stream, EventStream) else stream.aclose()

    def remember(stream: Stream, on: Handlers) -> Awaitable[StreamStats]:
        streams.append(stream)
        return dispatched(stream, on)

    with EventServer(Answer(": a\nevent: stop\ndata: 1\n\n: b\n\ndata: 2\n\n: c\n", FOREVER)) as server:
        result = run(shell, server.url, on, dispatch=remember)
    assert (result.error, result.outcome) == (None, "cancelled")
    assert log.calls == ["open 200", "comment  a", "event 1", "cancel", "close"]


def test_gives_up(shell: Shell) -> None:
    """A failure that another attempt follows is a `retry`; the last one is the `error`."""
    log = Log()
    with EventServer(Answer(status=503, framing="length")) as server:
        result = run(shell, server.url, log.handlers(), retry=RetryPolicy(max_retries=2, initial_delay=0.01, jitter=0))
    assert isinstance(result.error, StatusError)
    assert log.calls == ["retry StatusError", "retry StatusError", "error StatusError", "close"]


@with_batch
def test_twice(shell: Shell, has_batch: bool) -> None:
    """A stream can be dispatched only once. A second call raises, and changes nothing."""
    log = Log()

    async def twice(stream: Stream, on: Handlers) -> StreamStats:
        stats = await dispatched(stream, on)
        with pytest.raises(RuntimeError, match="once"):
            await dispatched(stream, on)
        return stats

    with EventServer(Answer(*TWO)) as server:
        result = run(shell, server.url, log.handlers(batch="message" if has_batch else None), dispatch=twice)
    assert result.error is None
    assert log.calls.count("close") == 1
    assert result.outcome == "completed"


def test_behind_some_events(shell: Shell) -> None:
    """The rest of a stream that was partly iterated can be dispatched."""
    log = Log()

    async def begin(stream: Stream, on: Handlers) -> StreamStats:
        if isinstance(stream, EventStream):
            with stream:
                assert next(stream).data == "1"
                return stream.dispatch(on)
        async with stream:
            assert (await anext(stream)).data == "1"
            return await stream.dispatch(on)

    with EventServer(Answer("data: 1\n\ndata: 2\n\n")) as server:
        result = run(shell, server.url, log.handlers(), dispatch=begin)
    assert result.error is None
    assert [call for call in log.calls if not call.startswith("open")] == ["event 2", "complete 2", "close"]


def test_async_handlers_one_at_a_time(shell: Shell) -> None:
    """A handler finishes before the next begins, even if it waits."""
    if shell.kind == "sync":
        pytest.skip("the sync client has no async handlers")
    calls: list[str] = []
    on = Handlers()

    @on.event
    async def slow(event: ServerSentEvent) -> None:
        calls.append(f"{event.data} begins")
        await anyio.sleep(0.01)
        calls.append(f"{event.data} ends")

    on.event(lambda event: calls.append(f"{event.data} plain"))
    with EventServer(Answer("data: 1\n\ndata: 2\n\n")) as server:
        run(shell, server.url, on)
    assert calls == ["1 begins", "1 ends", "1 plain", "2 begins", "2 ends", "2 plain"]


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sse_client reader"]


@with_batch
def test_threads(shell: Shell, has_batch: bool) -> None:
    """Handlers run on the caller's thread. A sync dispatch with a batch reads on another thread, and leaves none."""
    seen: list[tuple[int, int]] = []
    on = Handlers()

    def note() -> None:
        seen.append((threading.get_ident(), len(readers())))

    on.open(note)
    on.event(lambda event: note())
    on.complete(note)
    on.close(note)
    if has_batch:
        on.batch("message")(lambda events: note())
    with EventServer(Answer("data: 1\n\n", Pause(0.02), "data: 2\n\n", Pause(0.02))) as server:
        run(shell, server.url, on)
    assert {thread for thread, _ in seen} == {threading.get_ident()}
    has_reader = has_batch and shell.kind == "sync"
    assert {count for _, count in seen[:2]} == {int(has_reader)}
    assert not readers()


@pytest.mark.parametrize("interval", [math.inf, 1e300, 1e10])
def test_a_batch_whose_time_is_far_away(shell: Shell, interval: float) -> None:
    """An interval may be longer than any system can wait: after the first event, the rest is delivered at the end."""
    batches: list[list[str]] = []
    on = Handlers()
    on.batch("message", interval=interval)(lambda events: batches.append([event.data for event in events]))
    with EventServer(Answer("data: 1\n\n", Pause(0.02), "data: 2\n\n", Pause(0.02), "data: 3\n\n")) as server:
        assert run(shell, server.url, on).outcome == "completed"
    assert batches == [["1"], ["2", "3"]]


tenant = ContextVar("tenant", default="nobody")


@with_batch
def test_context(shell: Shell, has_batch: bool) -> None:
    """Headers, `auth`, hooks and validators see the caller's context variables, on whatever thread they run."""
    seen: dict[str, str] = {}

    def note(where: str) -> None:
        seen[where] = tenant.get()

    class Auth(shell.library.Auth):  # type: ignore[name-defined, misc]
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            note("auth")
            yield request

    def hook(request: Any) -> Any:
        note("hook")
        return None if shell.kind == "sync" else anyio.lowlevel.checkpoint()

    def validated(number: int) -> int:
        note("validator")
        return number

    on = Handlers()
    on.event(lambda event: note("handler"))
    if has_batch:
        on.batch(int)(lambda numbers: note("batch"))

    async def main() -> None:
        tenant.set("acme")
        async with shell.any_client({"retry": None}, {"event_hooks": {"request": [hook]}}) as client:
            stream: Stream = client.post(
                server.url,
                headers=lambda: {"X-Tenant": tenant.get()},
                auth=Auth(),
                events=Annotated[int, AfterValidator(validated)],
            )
            await dispatched(stream, on)

    with EventServer(Answer("data: 1\n\n")) as server:
        shell.run(main)
        assert server.requests[0].headers["x-tenant"] == "acme"
    places = {"auth", "hook", "validator", "handler", *(["batch"] if has_batch else [])}
    assert seen == dict.fromkeys(places, "acme")


@with_batch
@pytest.mark.anyio
async def test_task(has_batch: bool) -> None:
    """Handlers run in the caller's task."""
    tasks: set[int] = set()
    on = Handlers()
    on.event(lambda event: tasks.add(anyio.get_current_task().id))
    on.close(lambda: tasks.add(anyio.get_current_task().id))
    if has_batch:
        on.batch("message")(lambda events: tasks.add(anyio.get_current_task().id))
    with EventServer(Answer(*TWO)) as server:
        async with KINDS[1].aclient({}, {}) as client:
            await client.post(server.url).dispatch(on)
    assert tasks == {anyio.get_current_task().id}


@pytest.mark.parametrize("how", ["raises", "closed", "cut"])
def test_no_thread_is_left(how: str) -> None:
    """The reader thread of a sync dispatch ends with it, however it ends."""
    on = Handlers()
    on.batch("message")(lambda events: None)
    with EventServer(Answer(*TWO, FIN if how == "cut" else FOREVER)) as server, KINDS[0].client({}, {}) as client:
        stream = client.post(server.url)

        @on.event
        def leave(event: ServerSentEvent) -> None:
            if how == "raises":
                raise Mine
            if how == "closed":
                stream.close()

        with suppress(Mine, StreamInterrupted):
            stream.dispatch(on)
        assert not readers()


@dataclass
class Screen:
    """The batches that were drawn, and when."""

    draws: list[tuple[float, list[str]]] = field(default_factory=list[tuple[float, list[str]]])

    def draw(self, events: list[ServerSentEvent]) -> None:
        self.draws.append((time.monotonic(), [event.data for event in events]))

    @property
    def shown(self) -> list[str]:
        return [data for _, many in self.draws for data in many]

    @property
    def sizes(self) -> list[int]:
        return [len(many) for _, many in self.draws]


def test_a_batch_fires_while_nothing_comes(shell: Shell) -> None:
    """Three tokens, then silence: all are shown as soon as the interval is over, without waiting for a byte."""
    screen = Screen()
    on = Handlers()
    on.batch("message", interval=0.05)(screen.draw)
    begun = time.monotonic()
    closes_at = lambda: len(screen.shown) == 3 or time.monotonic() - begun > 2  # noqa: E731
    with EventServer(Answer("data: 1\n\ndata: 2\n\ndata: 3\n\n", Pause(5))) as server:
        result = run(shell, server.url, on, closes_at=closes_at)
    assert screen.shown == ["1", "2", "3"]
    assert screen.sizes == [1, 2]
    assert 0.04 < screen.draws[1][0] - screen.draws[0][0] < AT_ONCE
    assert result.seconds < PATIENCE
    assert (result.error, result.outcome) == (None, "cancelled")


def test_a_batch_keeps_to_its_interval(shell: Shell) -> None:
    """The first event is shown at once. Then there is at most one call per interval, and nothing is lost."""
    screen = Screen()
    on = Handlers()
    on.batch("message", interval=0.05)(screen.draw)
    steps: list[Any] = []
    for number in range(30):
        steps += [f"data: {number}\n\n", Pause(0.005)]
    with EventServer(Answer(*steps)) as server:
        run(shell, server.url, on)
    assert screen.shown == [str(number) for number in range(30)]
    assert screen.sizes[0] == 1
    times = [at for at, _ in screen.draws]
    inner = pairwise(times[:-1])  # the last one comes at the end
    assert all(later - earlier > 0.04 for earlier, later in inner)
    assert 3 <= len(times) <= 10


def test_max_items(shell: Shell) -> None:
    """With `max_items`, a batch is delivered as soon as it is full, before its interval is over."""
    screen = Screen()
    on = Handlers()
    on.batch("message", interval=NEVER, max_items=3)(screen.draw)
    with EventServer(Answer("".join(f"data: {number}\n\n" for number in range(9)))) as server:
        run(shell, server.url, on)
    assert screen.sizes == [1, 3, 3, 2]
    assert screen.shown == [str(number) for number in range(9)]


def test_batches_of_several(shell: Shell) -> None:
    """Each batch has its own interval and events, and a handler for single events is called at once."""
    slow, quick = Screen(), Screen()
    singles: list[str] = []
    on = Handlers()
    on.batch("a", interval=NEVER)(slow.draw)
    on.batch("b", interval=0.01)(quick.draw)
    on.event(lambda event: singles.append(event.data))
    steps = [f"event: {'ab'[number % 2]}\ndata: {number}\n\n" for number in range(6)]
    with EventServer(Answer("".join(steps), Pause(0.06))) as server:
        run(shell, server.url, on)
    assert singles == list("012345")
    assert (slow.shown, quick.shown) == (list("024"), list("135"))
    assert slow.sizes == [1, 2]
    assert quick.draws[-1][0] < slow.draws[-1][0] - 0.02


def test_a_slow_batch_loses_nothing(shell: Shell) -> None:
    """If handlers are slower than the server, reading waits for them: no event is lost or out of order."""
    screen = Screen()
    on = Handlers()
    on.batch("message", interval=0.001)(screen.draw)
    on("message")(lambda event: time.sleep(0.0001))
    pieces = ["".join(f"data: {number}\n\n" for number in range(start, start + 50)) for start in range(0, 1000, 50)]
    with EventServer(Answer(*pieces)) as server:
        run(shell, server.url, on)
    assert screen.shown == [str(number) for number in range(1000)]


def test_last_event_id_with_batches(shell: Shell) -> None:
    """An event that is pending in a batch is not finished; once the batch is delivered, it is."""
    ids: list[tuple[str, str]] = []
    on = Handlers()
    streams: list[Stream] = []

    def look(what: str) -> None:
        ids.append((what, streams[0].last_event_id))

    def remember(stream: Stream, on: Handlers) -> Awaitable[StreamStats]:
        streams.append(stream)
        return dispatched(stream, on)

    on.event(lambda event: look(event.data))
    on.batch("message", interval=0.05)(lambda events: look(f"batch {len(events)}"))
    on.comment(lambda text: look(text.strip()))
    answer = Answer("id: a\ndata: 1\n\nid: b\ndata: 2\n\nid: c\ndata: 3\n\n", Pause(0.15), ": idle\n\n")
    with EventServer(answer) as server:
        result = run(shell, server.url, on, last_event_id="old", dispatch=remember)
    assert ids == [
        *(("1", "old"), ("batch 1", "old"), ("2", "a"), ("3", "a"), ("batch 2", "a")),
        ("idle", "c"),
    ]
    assert result.stream is not None
    assert result.stream.last_event_id == "c"


def test_last_event_id_of_an_error_with_batches(shell: Shell) -> None:
    """
    A stream that breaks delivers the pending batch first, and its error's `last_event_id` is that of the last event.
    """
    screen = Screen()
    seen: list[str] = []
    on = Handlers()
    on.batch("message", interval=NEVER)(screen.draw)

    @on.error
    def look(error: SSEError) -> None:
        assert isinstance(error, StreamInterrupted)
        seen.append(error.last_event_id)

    with EventServer(Answer("id: a\ndata: 1\n\n", "id: b\ndata: 2\n\n", FIN)) as server:
        result = run(shell, server.url, on)
    assert screen.shown == ["1", "2"]
    assert isinstance(result.error, StreamInterrupted)
    assert seen == ["b"]
    assert result.error.last_event_id == "b"


def test_last_event_id_without_batches(shell: Shell) -> None:
    """Without a batch, an event is not finished while its handler runs, nor if its handler raised."""
    ids: list[str] = []
    on = Handlers()
    streams: list[Stream] = []

    def remember(stream: Stream, on: Handlers) -> Awaitable[StreamStats]:
        streams.append(stream)
        return dispatched(stream, on)

    @on.event
    def look(event: ServerSentEvent) -> None:
        ids.append(streams[0].last_event_id)
        if event.data == "3":
            raise Mine

    with EventServer(Answer("id: a\ndata: 1\n\nid: b\ndata: 2\n\nid: c\ndata: 3\n\n")) as server:
        result = run(shell, server.url, on, dispatch=remember)
    assert ids == ["", "a", "b"]
    assert isinstance(result.error, Mine)
    assert streams[0].last_event_id == "b"


def test_resume_with_a_batch(shell: Shell) -> None:
    """A stream resumes after the last event that was read, and pending events stay pending over the resume."""
    log = Log()
    with EventServer(Answer("id: a\ndata: 1\n\n", "id: b\ndata: 2\n\n", FIN), Answer("id: c\ndata: 3\n\n")) as server:
        result = run(shell, server.url, log.handlers(batch="message"), resume=LastEventID(retry=QUICK))
        assert server.requests[1].headers["last-event-id"] == "b"
    assert result.error is None
    assert log.calls == [
        *("open 200", "event 1", "batch 1", "event 2", "retry StreamInterrupted", "open 200", "event 3"),
        *("batch 2 3", "complete 3", "close"),
    ]


async def cancelled_at(moment: Callable[[], bool], url: str, on: Handlers) -> tuple[Dispatched, anyio.CancelScope]:
    """Dispatch one POST, and cancel it as soon as `moment()` is true."""

    async def cancel() -> None:
        while not moment():  # noqa: ASYNC110 - one question for threads and tasks
            await anyio.sleep(0.002)
        result.started = time.monotonic()
        scope.cancel()

    result = Dispatched()
    async with KINDS[1].aclient({}, {}) as client, anyio.create_task_group() as tasks:
        result.stream = stream = client.post(url)
        with anyio.CancelScope() as scope:
            tasks.start_soon(cancel)
            try:
                await stream.dispatch(on)
            except Exception as error:
                result.error = error
        result.finished = time.monotonic()
        tasks.cancel_scope.cancel()
    return result, scope


@with_batch
@pytest.mark.anyio
async def test_cancellation(has_batch: bool) -> None:
    """A cancelled dispatch delivers pending events, then calls cancel and close, which may wait."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None, is_async=True)
    waited: list[str] = []

    @on.cancel
    async def save(stats: StreamStats) -> None:
        await anyio.sleep(0.05)
        waited.append("saved")

    with EventServer(Answer(*TWO, FOREVER)) as server:
        result, scope = await cancelled_at(lambda: "event 2" in log.calls, server.url, on)
    assert scope.cancelled_caught
    assert log.calls == End("cancelled", None, f"{SHOWN}, cancel, close", "").expected(has_batch=has_batch)
    assert waited == ["saved"]
    assert result.outcome == "cancelled"


@with_batch
@pytest.mark.anyio
async def test_a_farewell_is_short(monkeypatch: pytest.MonkeyPatch, has_batch: bool) -> None:
    """A handler that hangs delays a cancellation by at most `MAX_FAREWELL`, a second."""
    assert async_dispatch.MAX_FAREWELL == 1.0
    monkeypatch.setattr(async_dispatch, "MAX_FAREWELL", 0.2)
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)

    @on.cancel
    async def hang() -> None:
        await anyio.sleep(60)

    with EventServer(Answer(*TWO, FOREVER)) as server:
        result, scope = await cancelled_at(lambda: "event 2" in log.calls, server.url, on)
    assert scope.cancelled_caught
    assert 0.15 < result.seconds < 0.8 * PATIENCE


@with_batch
@pytest.mark.anyio
async def test_a_farewell_raises(has_batch: bool) -> None:
    """
    An exception of `on.cancel` during a cancellation is not lost: it is raised after close, as from any `finally`.
    """
    log = Log(raises_in="cancel")
    on = log.handlers(batch="message" if has_batch else None)
    with EventServer(Answer(*TWO, FOREVER)) as server:
        result, _ = await cancelled_at(lambda: "event 2" in log.calls, server.url, on)
    assert result.error is log.mine
    assert log.calls[-2:] == ["cancel", "close"]


@with_batch
@pytest.mark.anyio
async def test_cancelled_while_a_handler_waits(has_batch: bool) -> None:
    """A handler that waits is cancelled like anything else; cancel and close follow."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)
    seen: list[str] = []

    @on("message")
    async def wait(event: ServerSentEvent) -> None:
        seen.append("waits")
        try:
            await anyio.sleep(60)
        except BaseException as error:
            seen.append("cancelled" if isinstance(error, anyio.get_cancelled_exc_class()) else "?")
            raise

    with EventServer(Answer(*TWO, FOREVER)) as server:
        _, scope = await cancelled_at(lambda: bool(seen), server.url, on)
    assert scope.cancelled_caught
    assert seen == ["waits", "cancelled"]
    assert log.calls[-2:] == ["cancel", "close"]


@with_batch
@pytest.mark.anyio
async def test_cancelled_before_the_headers(has_batch: bool) -> None:
    """A dispatch can be cancelled while it connects."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)
    with EventServer(Answer(FOREVER, framing="raw")) as server:
        _, scope = await cancelled_at(lambda: bool(server.requests), server.url, on)
    assert scope.cancelled_caught
    assert log.calls == ["cancel", "close"]


@with_batch
@pytest.mark.anyio
async def test_cancelled_in_complete(has_batch: bool) -> None:
    """A cancellation after the end calls only close, once."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)

    @on.complete
    async def wait() -> None:
        await anyio.sleep(60)

    with EventServer(Answer(*TWO)) as server:
        result, scope = await cancelled_at(lambda: "complete 2" in log.calls, server.url, on)
    assert scope.cancelled_caught
    assert log.calls[-2:] == ["complete 2", "close"]
    assert result.outcome == "completed"


@with_batch
def test_keyboard_interrupt_in_a_handler(has_batch: bool) -> None:
    """Ctrl-C in a handler is raised as it is, after cancel and close."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)

    @on("message")
    def interrupt(event: ServerSentEvent) -> None:
        raise KeyboardInterrupt

    with EventServer(Answer(*TWO, FOREVER)) as server, KINDS[0].client({}, {}) as client:
        stream = client.post(server.url)
        with pytest.raises(KeyboardInterrupt):
            stream.dispatch(on)
    assert log.calls[-2:] == ["cancel", "close"]
    assert stream.outcome == "cancelled"
    assert not readers()


@with_batch
def test_keyboard_interrupt_while_reading(has_batch: bool) -> None:
    """Ctrl-C while nothing comes ends the dispatch at once, after cancel and close."""
    log = Log()
    on = log.handlers(batch="message" if has_batch else None)

    def press() -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with EventServer(Answer(*TWO, FOREVER)) as server, KINDS[0].client({}, {}) as client:
        stream = client.post(server.url)
        thread = threading.Thread(target=press)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            stream.dispatch(on)
        assert time.monotonic() - begun < PATIENCE
        thread.join()
    assert log.calls[-2:] == ["cancel", "close"]
    assert stream.outcome == "cancelled"
    assert not readers()


@pytest.mark.anyio
@with_batch
async def test_an_exception_is_not_wrapped(has_batch: bool) -> None:
    """A handler's exception reaches the user as the same object: in no group, and with no cause added."""
    mine = Mine()
    on = Handlers()

    @on.event
    async def fail(event: ServerSentEvent) -> None:
        await anyio.lowlevel.checkpoint()
        raise mine

    if has_batch:
        on.batch("message")(lambda events: None)
    with EventServer(Answer(*TWO, FOREVER)) as server:
        async with KINDS[1].aclient({}, {}) as client:
            with pytest.raises(Mine) as caught:
                await client.post(server.url).dispatch(on)
    assert caught.value is mine
    assert mine.__cause__ is None


@with_batch
def test_headers_that_raise(shell: Shell, has_batch: bool) -> None:
    """An exception of the user's headers function is treated like a handler's: cancel, close, and it is raised."""
    log = Log()
    mine = Mine()

    def headers() -> dict[str, str]:
        raise mine

    with EventServer(Answer(*TWO)) as server:
        on = log.handlers(batch="message" if has_batch else None)
        result = run(shell, server.url, on, headers=headers)
    assert result.error is mine
    assert log.calls == ["cancel", "close"]


@with_batch
def test_a_closed_stream(shell: Shell, has_batch: bool) -> None:
    """Dispatching a stream that was already closed sends no request, and calls cancel and close."""
    log = Log()

    async def closed(stream: Stream, on: Handlers) -> StreamStats:
        if isinstance(stream, EventStream):
            stream.close()
        else:
            await stream.aclose()
        return await dispatched(stream, on)

    with EventServer(Answer(*TWO)) as server:
        on = log.handlers(batch="message" if has_batch else None)
        result = run(shell, server.url, on, dispatch=closed)
        assert not server.requests
    assert result.error is None
    assert log.calls == ["cancel", "close"]


@with_batch
def test_closed_while_waiting_for_a_retry(shell: Shell, has_batch: bool) -> None:
    """Closing wakes a dispatch that waits for its next attempt, and no attempt is made."""
    log = Log()
    long = RetryPolicy(initial_delay=30, max_delay=30, jitter=0)
    with EventServer(Answer(status=503, framing="length")) as server:
        on = log.handlers(batch="message" if has_batch else None)
        result = run(shell, server.url, on, retry=long, closes_at=lambda: "retry StatusError" in log.calls)
        assert len(server.requests) == 1
    assert (result.error, result.outcome) == (None, "cancelled")
    assert log.calls == ["retry StatusError", "cancel", "close"]
    assert result.seconds < PATIENCE


def test_requests_are_those_of_an_iteration(shell: Shell) -> None:
    """A dispatch sends the same request as an iteration: method, body, headers."""

    def answer(request: RecordedRequest) -> Answer:
        return Answer(f"data: {request.method} {request.json()['x']} {request.headers['x-token']}\n\n")

    log = Log()
    with EventServer(answer) as server:
        run(shell, server.url, log.handlers(), json={"x": 1}, headers={"X-Token": "t"})
    assert log.calls[1] == "event POST 1 t"
