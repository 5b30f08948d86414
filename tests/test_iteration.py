"""
A stream is read once: the effect of iterating it, in each state that it can be in.

The table is the test; its rows run in the shells in turn. The stream has the events a, b and c, unless it fails after
a.

    state               | iter | next  | dispatch | accumulate | final     | snapshot | events | close
    not entered         | abc  | a     | complete | begins     | abc       |          | 0      | cancelled
    entered             | abc  | a     | complete | begins     | abc       |          | 0      | cancelled
    reading             | bc   | b     | complete | begins     | abc       | a        | 1      | cancelled
    broken out of       | bc   | b     | complete | begins     | abc       | a        | 1      | cancelled
    at the last event   |      | stop  | complete | begins     | abc       | abc      | 3      | cancelled
    exhausted           | over | stop  | over     | over       | abc       | abc      | 3      | completed
    empty               |      | stop  | complete | begins     |           |          | 0      | completed
    closed before       |      | stop  | cancel   | begins     | cancelled |          | 0      | cancelled
    closed during       |      | stop  | cancel   | begins     | cancelled | a        | 1      | cancelled
    exhausted by close  |      | stop  | cancel   | begins     | cancelled | a        | 1      | cancelled
    closed after        | over | stop  | over     | over       | abc       | abc      | 3      | completed
    left                | over | stop  | over     | over       | cancelled | a        | 1      | abandoned
    left at the end     | over | stop  | over     | over       | abc       | abc      | 3      | completed
    closed and left     | over | stop  | over     | over       | cancelled | a        | 1      | cancelled
    interrupted         | over | stop  | over     | over       | cancelled | a        | 1      | cancelled
    failed              | over | error | over     | over       | error     | a        | 1      | interrupted
    dispatched          | over | stop  | over     | over       | abc       | abc      | 3      | completed

`over` is a `RuntimeError` that names the outcome; `stop` is StopIteration; an empty cell is an empty result. `begins`
is an accumulation whose snapshot can be read. `final` and `snapshot` belong to an accumulation that began before the
first event; `events` are those of `stats`; `close` is the outcome after `close()`. An async stream must be entered
before anything but `dispatch` and `close` reads it.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx
import pytest
from shells import Shell, in_turn

from sse_client import (
    AsyncEventStream,
    DecodeError,
    EventStream,
    Handlers,
    ServerSentEvent,
    SSEClient,
    StatusError,
    StreamCancelled,
    StreamInterrupted,
    iter_events,
    join_text,
)
from sse_client.testing import FIN, Answer, scripted_transport

Stream: TypeAlias = EventStream[Any] | AsyncEventStream[Any]

ROWS = [[cell.strip() for cell in line.split("|")] for line in str(__doc__).splitlines() if "|" in line]
OPERATIONS = ROWS[0][1:]
TABLE = {row[0]: dict(zip(OPERATIONS, row[1:], strict=True)) for row in ROWS[1:]}

ABC = Answer("data: a\n\n", "data: b\n\n", "data: c\n\n", "data: [DONE]\n\n")
ANSWERS = {"failed": Answer("data: a\n\n", FIN), "empty": Answer(status=204)}


def data_of(event: ServerSentEvent) -> str:
    return event.data


async def done(value: Any) -> Any:
    """The result of a method, sync or async."""
    return await value if inspect.isawaitable(value) else value


async def following(stream: Stream) -> str:
    """The next event."""
    try:
        event = next(stream) if isinstance(stream, EventStream) else await anext(stream)
    except (StopIteration, StopAsyncIteration):
        return "stop"
    return str(event.data)


async def rest(stream: Any) -> str:
    """All events of a loop."""
    if isinstance(stream, EventStream):
        return "".join(event.data for event in stream)
    return "".join([event.data async for event in stream])


async def close(stream: Stream) -> None:
    if isinstance(stream, EventStream):
        stream.close()
    else:
        await stream.aclose()


async def enter(stream: Any) -> None:
    if isinstance(stream, EventStream):
        stream.__enter__()
    else:
        await stream.__aenter__()


async def leave(stream: Any, error: BaseException | None = None) -> None:
    if isinstance(stream, EventStream):
        stream.__exit__(None, error, None)
    else:
        await stream.__aexit__(None, error, None)


async def read_one(stream: Any) -> Any:
    """Begin a loop, which is kept, and take its first event."""
    events: Any = iter(stream) if isinstance(stream, EventStream) else aiter(stream)
    assert (next(events) if isinstance(stream, EventStream) else await anext(events)).data == "a"
    return events


async def bring(stream: Stream, state: str) -> Any:
    """Bring a new stream into the state; return the object to keep alive for it."""
    if state == "not entered":
        return None
    if state == "dispatched":
        await done(stream.dispatch(Handlers()))
        return None
    await enter(stream)
    match state:
        case "reading" | "broken out of":
            events = await read_one(stream)
            return events if state == "reading" else None
        case "at the last event":
            assert [await following(stream) for _ in range(3)] == ["a", "b", "c"]
        case "exhausted" | "left at the end" | "closed after":
            assert await rest(stream) == "abc"
        case "failed":
            with pytest.raises(StreamInterrupted):
                await rest(stream)
        case "closed before":
            await close(stream)
        case "closed during" | "closed and left" | "exhausted by close":
            await read_one(stream)
            await close(stream)
        case "left" | "interrupted":
            await read_one(stream)
    match state:
        case "exhausted by close":
            assert await rest(stream) == ""
        case "closed after":
            await close(stream)
        case "left" | "left at the end" | "closed and left":
            await leave(stream)
        case "interrupted":
            await leave(stream, KeyboardInterrupt())
    return None


async def perform(operation: str, stream: Stream, reply: Any) -> str:
    """Do the operation; return its result as in the table."""
    match operation:
        case "iter":
            return await rest(stream)
        case "next":
            return await following(stream)
        case "dispatch":
            ends: list[str] = []
            on = Handlers()
            on.complete(lambda: ends.append("complete"))
            on.cancel(lambda: ends.append("cancel"))
            await done(stream.dispatch(on))
            return "".join(ends)
        case "accumulate":
            assert stream.accumulate(join_text(data_of), ">").snapshot == ">"
            return "begins"
        case "final":
            return str(await done(reply.final()))
        case "snapshot":
            return str(reply.snapshot)
        case "events":
            return str(stream.stats.events)
        case _:
            await close(stream)
            return str(stream.outcome)


async def said(operation: str, stream: Stream, reply: Any) -> str:
    try:
        return await perform(operation, stream, reply)
    except StreamCancelled:
        return "cancelled"
    except StreamInterrupted:
        return "error"
    except RuntimeError as error:
        over = f"this stream is over ({stream.outcome}), and can be read only once: make a new request"
        is_told = str(error) == over and (stream.outcome == "interrupted") == (error.__cause__ is not None)
        return "over" if is_told else "enter" if "enter the stream first" in str(error) else repr(error)


@in_turn("state", TABLE)
def test_table(shell: Shell, state: str) -> None:
    """Each cell of the table above. Operations that can be repeated have the same result the second time."""
    expected = dict(TABLE[state])
    if state == "not entered" and shell.kind != "sync":
        expected |= dict.fromkeys(("iter", "next", "final"), "enter")

    async def main() -> None:
        for operation in OPERATIONS:
            transport = scripted_transport(ANSWERS.get(state, ABC))
            async with shell.any_client(http={"transport": transport}) as client:
                stream: Any = client.post("http://test/")
                reply = stream.accumulate(join_text(data_of), "")
                kept = await bring(stream, state)
                found[operation] = await said(operation, stream, reply)
                if operation in ("final", "snapshot", "events", "close") or found[operation] in ("over", "stop"):
                    assert await said(operation, stream, reply) == found[operation]
                await close(stream)
                del kept

    found: dict[str, str] = {}
    shell.run(main)
    assert found == expected


def run(shell: Shell, answer: Answer, test: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with shell.any_client(http={"transport": scripted_transport(answer)}) as client:
            await test(client.post("http://test/", **options))

    shell.run(main)


def test_the_check_is_at_iter(shell: Shell) -> None:
    """The error is raised by `iter()` itself, not by the first `next()`; a loop that began before that just ends."""

    async def test(stream: Any) -> None:
        begin: Callable[[Any], Any] = iter if isinstance(stream, EventStream) else aiter
        await enter(stream)
        before = begin(stream)
        assert await rest(stream) == "abc"
        with pytest.raises(RuntimeError, match=r"this stream is over \(completed\)"):
            begin(stream)
        assert (next(before, None) if isinstance(stream, EventStream) else await anext(before, None)) is None

    run(shell, ABC, test)


def test_iterating_a_reply(shell: Shell) -> None:
    """Iterating an accumulation iterates its stream, which is possible only once."""

    async def test(stream: Any) -> None:
        await enter(stream)
        reply = stream.accumulate(join_text(data_of), "")
        assert await done(reply.final()) == "abc"
        with pytest.raises(RuntimeError, match=r"this stream is over \(completed\)"):
            (iter if isinstance(stream, EventStream) else aiter)(reply)

    run(shell, ABC, test)


def test_loop_after_loop(shell: Shell) -> None:
    """A loop that `break` left is continued by the next one, any number of times, until the end."""

    async def test(stream: Any) -> None:
        await enter(stream)
        seen: list[str] = []
        for _ in range(3):
            await take_one(stream, seen)
        assert await rest(stream) == ""
        assert seen == ["a", "b", "c"]
        await leave(stream)
        assert stream.outcome == "completed"

    run(shell, ABC, test)


async def take_one(stream: Any, seen: list[str]) -> None:
    if isinstance(stream, EventStream):
        for event in stream:
            seen.append(event.data)
            break
    else:
        async for event in stream:
            seen.append(event.data)
            break


def test_two_loops_and_a_stop_button(shell: Shell) -> None:
    """A stream that is closed in its first loop is empty for each later loop."""

    async def test(stream: Any) -> None:
        await enter(stream)
        await take_one(stream, [])
        await close(stream)
        assert await rest(stream) == await rest(stream) == ""

    run(shell, ABC, test)


def test_an_event_that_does_not_fit(shell: Shell) -> None:
    """After a `DecodeError`, another loop continues with the next event."""

    async def values(stream: Any) -> list[int]:
        return list(stream) if isinstance(stream, EventStream) else [value async for value in stream]

    async def test(stream: Any) -> None:
        await enter(stream)
        with pytest.raises(DecodeError):
            await values(stream)
        assert await values(stream) == [2]

    run(shell, Answer("data: 1\n\n", "data: x\n\n", "data: 2\n\n"), test, events=int)


def test_a_response_that_was_given() -> None:
    """The events of the user's response are iterated once too."""
    with httpx.Client(transport=scripted_transport(ABC)) as client, client.stream("GET", "http://test/") as response:
        stream = iter_events(response)
        assert [event.data for event in stream] == ["a", "b", "c"]
        with pytest.raises(RuntimeError, match=r"this stream is over \(completed\)"):
            iter(stream)


def test_a_failure_to_enter(shell: Shell) -> None:
    """A stream that could not be entered is over, and its error is the cause."""

    async def test(stream: Any) -> None:
        with pytest.raises(StatusError) as caught:
            await enter(stream)
        with pytest.raises(RuntimeError, match=r"this stream is over \(failed\)") as over:
            await rest(stream)
        assert over.value.__cause__ is caught.value

    run(shell, Answer(status=400), test)


def test_without_with() -> None:
    """A stream that is iterated without `with` is read once too; if it was closed before, it is empty."""
    http = httpx.Client(transport=scripted_transport(ABC))
    with http, SSEClient(http_client=http) as client:
        stream = client.post("http://test/")
        assert "".join(event.data for event in stream) == "abc"
        with pytest.raises(RuntimeError, match=r"over \(completed\)"):
            list(stream)
        closed = client.post("http://test/")
        closed.close()
        assert list(closed) == []
