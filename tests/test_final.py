"""
The result of a stream whose dialect accumulates: `stream.snapshot` at any time, and `stream.final()` at its end.

Each test runs with a dialect that has a fold and with one that has a reader, and both have the same results.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from shells import Shell

from sse_client import (
    Dialect,
    ErrorEvent,
    ErrorEventReceived,
    EventStream,
    Handlers,
    ServerSentEvent,
    SSEError,
    StatusError,
    StreamCancelled,
    StreamError,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
)
from sse_client.testing import FIN, Answer, scripted_transport


def join(text: str, event: ServerSentEvent) -> str:
    return text + event.data


class Joining:
    """A reader that does the same as `join`."""

    is_complete: bool | None = None

    def __init__(self) -> None:
        self.snapshot = ""
        self.ends: list[SSEError | None] = []

    def read(self, event: ServerSentEvent) -> Sequence[ServerSentEvent]:
        if event.data == "[DONE]":
            return ()
        self.snapshot += event.data
        return (event,)

    def resumed(self) -> None:
        pass

    def close(self, error: SSEError | None) -> None:
        self.ends.append(error)


FOLD: Dialect[ServerSentEvent, str] = Dialect(events=ServerSentEvent, fold=join, initial="")
READER: Dialect[ServerSentEvent, str] = Dialect(reader=Joining)

ABC = ("data: a\n\n", "data: b\n\n", "data: c\n\n", "data: [DONE]\n\n")
both = pytest.mark.parametrize("dialect", [FOLD, READER], ids=["fold", "reader"])


async def done(value: Any) -> Any:
    """The result of a method, sync or async."""
    return await value if inspect.isawaitable(value) else value


async def loop(stream: Any) -> str:
    if isinstance(stream, EventStream):
        return "".join(event.data for event in stream)
    return "".join([event.data async for event in stream])


async def following(stream: Any) -> str:
    event = next(stream) if isinstance(stream, EventStream) else await anext(stream)
    return str(event.data)


async def close(stream: Any) -> None:
    await done((stream.close if isinstance(stream, EventStream) else stream.aclose)())


async def leave(stream: Any) -> None:
    await done((stream.__exit__ if isinstance(stream, EventStream) else stream.__aexit__)(None, None, None))


def run(shell: Shell, answers: Any, test: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    """Run a test on an open stream."""

    async def main() -> None:
        transport = scripted_transport(*answers)
        async with shell.any_client({"retry": None}, {"transport": transport}) as client:
            await test(await done(client.post("http://test/", **options).open()))

    shell.run(main)


@both
def test_final(shell: Shell, dialect: Any) -> None:
    """`final()` reads to the end, closes the stream and returns the result, as often as it is called."""

    async def test(stream: Any) -> None:
        assert stream.snapshot == ""
        assert await following(stream) == "a"
        assert stream.snapshot == "a"
        assert await done(stream.final()) == await done(stream.final()) == stream.snapshot == "abc"
        assert (stream.outcome, stream.state, stream.response.is_closed) == ("completed", "closed", True)

    run(shell, [Answer(*ABC)], test, dialect=dialect)


@both
def test_after_a_loop(shell: Shell, dialect: Any) -> None:
    """After a loop that reached the end, `final()` returns the result, even after the stream was left."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == "abc"
        assert await done(stream.final()) == "abc"
        await leave(stream)
        assert await done(stream.final()) == await done(stream.accumulate().final()) == "abc"

    run(shell, [Answer("".join(ABC))], test, dialect=dialect)


@both
def test_the_snapshot_in_a_loop(shell: Shell, dialect: Any) -> None:
    """The snapshot contains the events that were delivered, even if one piece had them all."""

    async def test(stream: Any) -> None:
        seen: list[str] = []
        if isinstance(stream, EventStream):
            seen += [stream.snapshot for _ in stream]
        else:
            seen += [stream.snapshot async for _ in stream]
        assert seen == ["a", "ab", "abc"]

    run(shell, [Answer("".join(ABC))], test, dialect=dialect)


@both
def test_accumulate(shell: Shell, dialect: Any) -> None:
    """`accumulate()` without a fold is the stream's own result, from the first event on."""

    async def test(stream: Any) -> None:
        assert await following(stream) == "a"
        reply = stream.accumulate()
        assert reply.snapshot == "a"
        assert await done(reply.final()) == "abc"

    run(shell, [Answer(*ABC)], test, dialect=dialect)


@both
def test_a_fold_of_the_user(shell: Shell, dialect: Any) -> None:
    """A fold of the user is another result, in addition to the dialect's."""

    async def test(stream: Any) -> None:
        count = stream.accumulate(lambda count, event: count + 1, 0)
        assert await done(count.final()) == 3
        assert await done(stream.final()) == "abc"

    run(shell, [Answer(*ABC)], test, dialect=dialect)


@pytest.mark.parametrize(
    "options",
    [{}, {"dialect": Dialect()}, {"events": int}, {"dialect": READER, "events": int}, {"dialect": FOLD, "events": int}],
    ids=["raw", "dialect", "typed", "instead of a reader", "instead of a fold"],
)
def test_without(shell: Shell, options: Any) -> None:
    """Without a reader or a fold there is no snapshot, and `final()` raises before anything is read."""

    async def test(stream: Any) -> None:
        assert stream.snapshot is None
        with pytest.raises(
            TypeError, match=r"^final\(\) needs accumulate\(fold, initial\): this stream's dialect has ne"
        ):
            await done(stream.final())
        with pytest.raises(TypeError, match=r"^accumulate\(\) needs a fold"):
            stream.accumulate()
        assert stream.stats.events == 0
        await close(stream)

    run(shell, [Answer("data: 1\n\n")], test, **options)


FAULTS: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[StreamError]]] = {
    "interrupted": ((*ABC[:2], FIN), {}, StreamInterrupted),
    "truncated": (ABC[:2], {"terminator": Terminator(data="c")}, StreamTruncated),
    "error event": ((*ABC[:2], "event: error\ndata: x\n\n"), {"errors": ErrorEvent(event="error")}, ErrorEventReceived),
}


@both
@pytest.mark.parametrize("fault", FAULTS)
def test_an_error(shell: Shell, dialect: Any, fault: str) -> None:
    """The stream's error is raised with the snapshot so far, by a loop and by each `final()`."""
    steps, options, kind = FAULTS[fault]

    async def test(stream: Any) -> None:
        with pytest.raises(kind) as looped:
            await loop(stream)
        assert looped.value.partial == "ab"
        for _ in range(2):
            with pytest.raises(kind) as caught:
                await done(stream.final())
            assert caught.value is looped.value
            assert caught.value.partial == stream.snapshot == "ab"

    async def at_once(stream: Any) -> None:
        with pytest.raises(kind) as caught:
            await done(stream.final())
        assert caught.value.partial == "ab"

    run(shell, [Answer(*steps)], test, dialect=dialect, **options)
    run(shell, [Answer(*steps)], at_once, dialect=dialect, **options)


@both
def test_each_final_has_its_own_partial(shell: Shell, dialect: Any) -> None:
    """The error of a `final()` has the snapshot of that result: of the user's fold, or of the dialect."""

    async def test(stream: Any) -> None:
        count = stream.accumulate(lambda count, event: count + 1, 0)
        for result, partial in ((count, 2), (stream, "ab"), (stream.accumulate(), "ab"), (count, 2)):
            with pytest.raises(StreamInterrupted) as caught:
                await done(result.final())
            assert caught.value.partial == partial

    run(shell, [Answer(*ABC[:2], FIN)], test, dialect=dialect)


@both
@pytest.mark.parametrize("end", [close, leave], ids=lambda end: end.__name__)
def test_closed_early(shell: Shell, dialect: Any, end: Any) -> None:
    """`final()` of a stream that was closed or left early raises `StreamCancelled` with the snapshot."""

    async def test(stream: Any) -> None:
        assert await following(stream) == "a"
        await end(stream)
        for result in (stream, stream.accumulate()):
            with pytest.raises(StreamCancelled, match=r"closed after 1 event") as caught:
                await done(result.final())
            assert caught.value.partial == stream.snapshot == "a"
            assert caught.value.stats.events == 1

    run(shell, [Answer(*ABC)], test, dialect=dialect)


@both
def test_an_empty_stream(shell: Shell, dialect: Any) -> None:
    """A 204 is a completed stream with an empty result."""

    async def test(stream: Any) -> None:
        assert await done(stream.final()) == ""

    run(shell, [Answer(status=204)], test, dialect=dialect)


@both
def test_without_a_stream(shell: Shell, dialect: Any) -> None:
    """A refused request has no result: `final()` raises a `StatusError` too, and the snapshot is empty."""

    async def main() -> None:
        async with shell.any_client(http={"transport": scripted_transport(Answer(status=400))}) as client:
            stream: Any = client.post("http://test/", dialect=dialect)
            with pytest.raises(StatusError):
                await done(stream.open())
            with pytest.raises(StatusError):
                await done(stream.final())
            assert stream.snapshot == ""

    shell.run(main)


@both
def test_before_it_is_entered(shell: Shell, dialect: Any) -> None:
    """The snapshot is available before a request is sent. `final()` connects, in async only after `open()`."""

    async def main() -> None:
        transport = scripted_transport(Answer(*ABC))
        async with shell.any_client(http={"transport": transport}) as client:
            stream: Any = client.post("http://test/", dialect=dialect)
            assert stream.snapshot == ""
            assert not transport.requests
            if shell.kind == "sync":
                assert stream.final() == "abc"
            else:
                with pytest.raises(RuntimeError, match="enter the stream first"):
                    await stream.final()

    shell.run(main)


@both
def test_dispatch(shell: Shell, dialect: Any) -> None:
    """A dispatched stream has a result too."""

    async def test(stream: Any) -> None:
        on = Handlers()
        seen: list[str] = []
        on.event(lambda event: seen.append(event.data))
        await done(stream.dispatch(on))
        assert (seen, stream.snapshot, await done(stream.final())) == (["a", "b", "c"], "abc", "abc")

    run(shell, [Answer(*ABC)], test, dialect=dialect)


def test_a_fold_that_fails(shell: Shell) -> None:
    """An exception of the dialect's fold comes out of the loop unchanged."""

    def fail(snapshot: Any, event: ServerSentEvent) -> Any:
        raise KeyError("mine")

    async def test(stream: Any) -> None:
        with pytest.raises(KeyError, match="mine"):
            await loop(stream)
        await close(stream)

    run(shell, [Answer(*ABC)], test, dialect=Dialect(events=ServerSentEvent, fold=fail))
