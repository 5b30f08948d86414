"""
Streams with a dialect's reader: several values for one event, or none, and a snapshot.

The reader here joins letters: `data: abc` is three values, `data: ab!` two and the end of a word, `data: -` none.
"""

import inspect
import math
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx
import pytest
from shells import Shell, in_turn

from sse_client import (
    DecodeError,
    Dialect,
    ErrorEvent,
    ErrorEventReceived,
    EventStream,
    EventTooLarge,
    Handlers,
    LastEventID,
    ServerSentEvent,
    SSEClient,
    SSEError,
    StatusError,
    StreamCancelled,
    StreamInterrupted,
    StreamTimeout,
    Terminator,
    Timeouts,
)
from sse_client.testing import FIN, Answer, EventServer, Pause, scripted_transport


@dataclass(frozen=True, slots=True)
class Letter:
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    text: str


@dataclass(frozen=True, slots=True)
class End:
    text: str = "end"


class Letters:
    """Reads letters; records its calls."""

    is_complete: bool | None = None
    made: ClassVar["list[Letters]"] = []

    def __init__(self) -> None:
        self.snapshot = ""
        self.ends: list[SSEError | None] = []
        self.resumes = 0
        self.made.append(self)

    def read(self, event: ServerSentEvent) -> Sequence[Letter | Word | End]:
        assert not self.ends, "nothing is read after the end"
        if event.data == "bad":
            raise ValueError("bad")
        if event.data == "[DONE]":
            self.snapshot += "."
            return [End()]
        values: list[Letter | Word | End] = [Letter(letter) for letter in event.data if letter.isalpha()]
        self.snapshot += "".join(value.text for value in values)
        if event.data.endswith("!"):
            values.append(Word(event.data[:-1]))
        return values

    def resumed(self) -> None:
        self.resumes += 1

    def close(self, error: SSEError | None) -> None:
        self.ends.append(error)


LETTERS: Dialect[Letter | Word | End, str] = Dialect(reader=Letters, errors=ErrorEvent(event="error"))
DONE = "data: [DONE]\n\n"


@pytest.fixture(autouse=True)
def made() -> Iterator[list[Letters]]:
    """The readers that a test makes."""
    Letters.made.clear()
    yield Letters.made
    Letters.made.clear()


def join(text: str, value: Letter | Word | End) -> str:
    return text + value.text


async def done(value: Any) -> Any:
    """The result of a method, sync or async."""
    return await value if inspect.isawaitable(value) else value


async def loop(stream: Any) -> list[str]:
    """The text of all values of a loop."""
    if isinstance(stream, EventStream):
        return [value.text for value in stream]
    return [value.text async for value in stream]


async def following(stream: Any) -> str:
    value = next(stream) if isinstance(stream, EventStream) else await anext(stream)
    return str(value.text)


async def take(stream: Any, count: int) -> list[str]:
    """The text of that many values, by a loop that is left then."""
    found: list[str] = []
    if isinstance(stream, EventStream):
        for value in stream:
            found.append(value.text)
            if len(found) == count:
                break
    else:
        async for value in stream:
            found.append(value.text)
            if len(found) == count:
                break
    return found


async def close(stream: Any) -> None:
    await done((stream.close if isinstance(stream, EventStream) else stream.aclose)())


async def leave(stream: Any, error: BaseException | None = None) -> None:
    await done((stream.__exit__ if isinstance(stream, EventStream) else stream.__aexit__)(None, error, None))


def run(shell: Shell, answers: Any, test: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    """Run a test on an open stream."""

    async def main() -> None:
        transport = scripted_transport(*answers)
        async with shell.any_client({"retry": None}, {"transport": transport}) as client:
            await test(await done(client.post("http://test/", **{"dialect": LETTERS, **options}).open()))

    shell.run(main)


PIECES = ["data: ab!\n\n", "data: -\n\n", "data:\n\n", "data: cd\n\n", DONE]
VALUES = ["a", "b", "ab", "c", "d", "end"]


@in_turn(
    "pieces",
    [PIECES, ["".join(PIECES)], ["".join(PIECES[:3]), "".join(PIECES[3:])], list("".join(PIECES))],
    ids=["events", "one piece", "two pieces", "bytes"],
)
@pytest.mark.parametrize("has_deadlines", [False, True], ids=["free", "deadlines"])
def test_values(shell: Shell, pieces: list[str], has_deadlines: bool) -> None:
    """A loop has the values of each event, in order, and those of the terminator last."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == VALUES
        assert (stream.outcome, stream.snapshot, stream.stats.events) == ("completed", "abcd.", 4)
        assert Letters.made[0].ends == [None]

    run(shell, [Answer(*pieces)], test, timeout=Timeouts(idle=10) if has_deadlines else None)


@in_turn("cut", list(range(1, 6)), ids=str)
def test_loop_after_loop(shell: Shell, cut: int) -> None:
    """The values of an event are continued where a loop or `next()` left them."""

    async def test(stream: Any) -> None:
        assert await take(stream, cut) == VALUES[:cut]
        assert await following(stream) == VALUES[cut]
        assert await loop(stream) == VALUES[cut + 1 :]

    run(shell, [Answer("".join(PIECES))], test)


def test_next_alone(shell: Shell) -> None:
    """`next()` returns the same values, one at a time, until they end."""

    async def test(stream: Any) -> None:
        assert [await following(stream) for _ in VALUES] == VALUES
        assert (next(stream, None) if isinstance(stream, EventStream) else await anext(stream, None)) is None
        assert stream.outcome == "completed"

    run(shell, [Answer(*PIECES)], test)


def test_the_snapshot_in_a_loop(shell: Shell) -> None:
    """The snapshot includes an event as soon as its first value is delivered, and nothing of a later event."""

    async def test(stream: Any) -> None:
        seen = []
        for _ in VALUES:
            await following(stream)
            seen.append(stream.snapshot)
        assert seen == ["ab", "ab", "ab", "abcd", "abcd", "abcd."]
        await close(stream)

    run(shell, [Answer("".join(PIECES))], test)


def test_each_stream_has_its_own(shell: Shell) -> None:
    """Two streams of one dialect share no reader."""

    async def test(stream: Any) -> None:
        assert await done(stream.final()) == "a."

    run(shell, [Answer("data: a\n\n", DONE)], test)
    run(shell, [Answer("data: a\n\n", DONE)], test)
    assert len(Letters.made) == 2


def test_only(shell: Shell) -> None:
    """`only()` iterates the values of some classes, and the rest of the stream can still be read."""

    async def test(stream: Any) -> None:
        words = stream.only(Word, End)
        assert await following(words) if shell.kind != "sync" else next(words).text == "ab"
        letters: Any = stream.only(Letter)
        found = [each.text for each in letters] if shell.kind == "sync" else [each.text async for each in letters]
        assert found == ["c", "d"]
        assert await done(stream.final()) == "abcd."

    run(shell, [Answer("".join(PIECES))], test)


def test_only_of_what() -> None:
    """`only()` with anything but classes is an error at once."""
    with SSEClient() as client:
        for kinds in ((), ("text",), (Letter | Word,)):
            stream: Any = client.post("http://test/", dialect=LETTERS)
            with pytest.raises(TypeError, match=r"expected classes, as in only\(TextDelta, ToolCallEnd\), got"):
                stream.only(*kinds)


def test_only_of_what_is_over(shell: Shell) -> None:
    """`only()` on a stream that is over is an error at once."""

    async def test(stream: Any) -> None:
        await loop(stream)
        with pytest.raises(RuntimeError, match=r"this stream is over \(completed\)"):
            stream.only(Letter)

    run(shell, [Answer(*PIECES)], test)


def test_only_of_events(shell: Shell) -> None:
    """`only()` works on any stream, such as one of a union of types."""

    async def test(stream: Any) -> None:
        numbers: Any = stream.only(int)
        assert (list(numbers) if shell.kind == "sync" else [each async for each in numbers]) == [1, 2]

    run(shell, [Answer('data: 1\n\ndata: "a"\n\ndata: 2\n\n')], test, dialect=None, events=int | str)


# Ends


async def reach_the_end(stream: Any) -> None:
    await loop(stream)


async def close_at_once(stream: Any) -> None:
    await close(stream)


async def close_in_an_event(stream: Any) -> None:
    assert await following(stream) == "a"
    await close(stream)
    assert await loop(stream) == []


async def leave_in_an_event(stream: Any) -> None:
    assert await following(stream) == "a"
    await leave(stream)


async def raise_in_an_event(stream: Any) -> None:
    assert await following(stream) == "a"
    await leave(stream, KeyError())


@pytest.mark.parametrize(
    ("end", "outcome", "kind"),
    [
        (reach_the_end, "completed", None),
        (close_at_once, "cancelled", StreamCancelled),
        (close_in_an_event, "cancelled", StreamCancelled),
        (leave_in_an_event, "abandoned", StreamCancelled),
        (raise_in_an_event, "abandoned", StreamCancelled),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
@pytest.mark.parametrize("pieces", [PIECES, ["".join(PIECES)]], ids=["events", "one piece"])
def test_the_end(shell: Shell, pieces: list[str], end: Any, outcome: str, kind: Any) -> None:
    """The reader's `close` is called once, with `None` only if the stream completed."""

    async def test(stream: Any) -> None:
        await end(stream)
        assert stream.outcome == outcome
        await close(stream)
        await leave(stream)
        [error] = Letters.made[0].ends
        assert type(error) is (type(None) if kind is None else kind)
        assert stream.snapshot in ("", "ab", "abcd.")

    run(shell, [Answer(*pieces)], test)


ERRORS: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[SSEError]]] = {
    "interrupted": (("data: ab\n\n", FIN), {}, StreamInterrupted),
    "error event": (("data: ab\n\nevent: error\ndata: x\n\n",), {}, ErrorEventReceived),
    "timeout": (("data: ab\n\n", Pause(99)), {"timeout": Timeouts(idle=9)}, StreamTimeout),
    "too large": (("data: ab\n\n", "data: " + "x" * 99), {"max_event_size": 50}, EventTooLarge),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_an_error(shell: Shell, fault: str) -> None:
    """The reader's `close` gets the error that is raised, once; a `StreamError` always has the snapshot."""
    steps, options, kind = ERRORS[fault]

    async def test(stream: Any) -> None:
        assert [await following(stream) for _ in range(2)] == ["a", "b"]
        with pytest.raises(kind) as caught:
            await following(stream)
        assert Letters.made[0].ends == [caught.value]
        assert getattr(caught.value, "partial", "ab") == "ab"
        await leave(stream)
        assert len(Letters.made[0].ends) == 1

    run(shell, [Answer(*steps)], test, **options)


def test_no_stream(shell: Shell) -> None:
    """A refused request closes its reader too."""

    async def main() -> None:
        async with shell.any_client(http={"transport": scripted_transport(Answer(status=400))}) as client:
            with pytest.raises(StatusError) as caught:
                await done(client.post("http://test/", dialect=LETTERS).open())
        assert Letters.made[0].ends == [caught.value]

    shell.run(main)


def test_left_before_the_terminator(shell: Shell) -> None:
    """A terminator that was read with the last event is in the snapshot, even if the loop was left before it."""

    async def test(stream: Any) -> None:
        assert await take(stream, 2) == ["a", "b"]
        await leave(stream)
        assert (stream.outcome, stream.snapshot) == ("completed", "ab.")
        assert await done(stream.final()) == "ab."
        assert Letters.made[0].ends == [None]

    run(shell, [Answer("data: ab\n\n" + DONE)], test)


def test_an_unfinished_terminator(shell: Shell) -> None:
    """A `[DONE]` whose blank line did not come reaches the reader."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == ["a", "end"]
        assert (stream.outcome, stream.snapshot, Letters.made[0].ends) == ("completed", "a.", [None])

    run(shell, [Answer("data: a\n\n", "data: [DONE]")], test)


def test_a_terminator_of_its_own(shell: Shell) -> None:
    """A terminator that is delivered as an event has values like any other."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == ["a", "e", "n", "d"]
        assert stream.outcome == "completed"

    run(shell, [Answer("data: a\n\ndata: end\n\ndata: x\n\n")], test, terminator=Terminator(data="end"))


# Errors of the data


def test_bad_data(shell: Shell) -> None:
    """Data that the reader cannot read is a `DecodeError`; a loop, `next()` and `final()` continue after it."""

    async def test(stream: Any) -> None:
        for read in (lambda: take(stream, 9), lambda: following(stream), stream.final):
            with pytest.raises(DecodeError, match=r"not JSON: 'bad'") as caught:
                await done(read())
            assert caught.value.event.data == "bad"
            assert caught.value.stats.events > 0
            assert stream.outcome is None
            assert Letters.made[0].ends == []
        assert await following(stream) == "b"
        assert await done(stream.final()) == "ab."

    bad = "data: bad\n\n"
    run(shell, [Answer(f"data: a\n\n{bad}", bad + bad + "data: b\n\n" + DONE)], test)


def test_an_exception_of_the_reader(shell: Shell) -> None:
    """Any other exception of a reader is a mistake in it, and comes out unchanged."""

    class Broken(Letters):
        def read(self, event: ServerSentEvent) -> Sequence[Letter | Word | End]:
            raise KeyError("mine")

    async def test(stream: Any) -> None:
        with pytest.raises(KeyError, match="mine"):
            await loop(stream)
        await close(stream)

    run(shell, [Answer(*PIECES)], test, dialect=Dialect(reader=Broken))


# Finished events


def test_a_finished_event(shell: Shell) -> None:
    """An event is finished with its last value: if the user leaves before that, a resume repeats the event."""

    async def test(stream: Any) -> None:
        assert [await following(stream) for _ in range(3)] == ["a", "b", "c"]
        await leave(stream)
        assert stream.last_event_id == "1"

    async def whole(stream: Any) -> None:
        assert [await following(stream) for _ in range(4)] == ["a", "b", "c", "d"]
        await leave(stream)
        assert stream.last_event_id == "2"

    for each in (test, whole):
        run(shell, [Answer("id: 1\ndata: ab\n\nid: 2\ndata: cd\n\n", Pause(1))], each)


def test_resumed(shell: Shell) -> None:
    """A resumed stream continues with the same reader, whose `resumed` is called."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == ["a", "b", "c", "end"]
        assert (Letters.made[0].resumes, len(Letters.made), stream.snapshot) == (1, 1, "abc.")

    first, second = Answer("id: 1\ndata: ab\n\n", FIN), Answer("id: 2\ndata: c\n\n", DONE)
    run(shell, [first, second], test, resume=LastEventID())


# With folds, handlers, comments


def test_a_fold(shell: Shell) -> None:
    """A fold of the user gets each value."""

    async def test(stream: Any) -> None:
        reply = stream.accumulate(join, "")
        assert await following(stream) == "a"
        assert await following(stream) == "b"
        assert reply.snapshot == "ab"
        assert await take(stream, 1) == ["ab"]
        assert await done(reply.final()) == "ababcdend"

    run(shell, [Answer("".join(PIECES))], test)


def test_events_instead(shell: Shell) -> None:
    """`events=` in a call replaces the reader of its dialect, and keeps the rest."""

    async def test(stream: Any) -> None:
        values = list(stream) if isinstance(stream, EventStream) else [value async for value in stream]
        assert (values, Letters.made) == ([1], [])

    run(shell, [Answer("data: 1\n\n", DONE)], test, events=int)


def test_comments() -> None:
    """A dialect with a reader does not allow `comments=True`."""
    with SSEClient() as client, pytest.raises(TypeError, match="comments=True needs raw events"):
        client.post("http://test/", dialect=LETTERS, comments=True)  # type: ignore[call-overload]


@pytest.mark.parametrize("has_batch", [False, True], ids=["plain", "batch"])
@pytest.mark.parametrize("pieces", [PIECES, ["".join(PIECES)]], ids=["events", "one piece"])
def test_handlers(shell: Shell, pieces: list[str], has_batch: bool) -> None:
    """Handlers for a type are called for each value, those for a name once for each event, in order."""

    async def test(stream: Any) -> None:
        seen: list[str] = []
        on = Handlers()
        on(Letter)(lambda letter: seen.append(letter.text))
        on("message")(lambda event: seen.append(f"<{event.data}>"))
        on(Word | End)(lambda value: seen.append(f"{value.text}!"))
        on.unknown(lambda event: seen.append("unknown"))
        on.complete(lambda: seen.append(f"complete {stream.snapshot}"))
        if has_batch:
            on.batch("never")(lambda events: None)
        await done(stream.dispatch(on))
        expected = ["a", "<ab!>", "b", "ab!", "<->", "<>", "c", "<cd>", "d", "end!", "complete abcd."]
        assert seen == expected
        assert Letters.made[0].ends == [None]

    run(shell, [Answer(*pieces)], test)


def test_handlers_of_all_values(shell: Shell) -> None:
    """`on.event` is called for each value, `on.field` once for each event with that field."""

    class Fields(Letters):
        def read(self, event: ServerSentEvent) -> Sequence[Letter | Word | End]:
            return [Letter(text) for text in event.json()["n"]]

    async def test(stream: Any) -> None:
        seen: list[str] = []
        on = Handlers()
        on.event(lambda value: seen.append(value.text))
        on.field("n")(lambda value: seen.append(f"<{value}>"))
        await done(stream.dispatch(on))
        assert seen == ["x", "<xy>", "y"]

    run(shell, [Answer('data: {"n": "xy"}\n\n')], test, dialect=Dialect(reader=Fields))


def test_batches(shell: Shell) -> None:
    """A batch for a type collects the values of many events, in order."""

    async def test(stream: Any) -> None:
        batches: list[str] = []
        on = Handlers()
        on.batch(Letter, interval=60)(lambda letters: batches.append("".join(each.text for each in letters)))
        await done(stream.dispatch(on))
        assert batches == ["a", "bcd"]

    run(shell, [Answer("".join(PIECES))], test)


def test_a_dispatch_in_an_event(shell: Shell) -> None:
    """A dispatch begins with the values of an event that a loop has left, only for handlers by type."""

    async def test(stream: Any) -> None:
        seen: list[str] = []
        on = Handlers()
        on(Letter | Word | End)(lambda value: seen.append(value.text))
        on("message")(lambda event: seen.append("message"))
        assert await following(stream) == "a"
        await done(stream.dispatch(on))
        assert seen == ["b", "ab", "message", "message", "c", "message", "d", "end"]

    run(shell, [Answer(*PIECES)], test)


def test_an_error_in_a_dispatch(shell: Shell) -> None:
    """The error that `on.error` gets has the snapshot."""

    async def test(stream: Any) -> None:
        seen: list[Any] = []
        on = Handlers()

        @on.error
        def look(error: SSEError) -> None:
            assert isinstance(error, StreamInterrupted)
            seen.append(error.partial)

        with pytest.raises(StreamInterrupted) as caught:
            await done(stream.dispatch(on))
        assert seen == [caught.value.partial] == ["ab"]
        assert Letters.made[0].ends == [caught.value]

    run(shell, [Answer("data: ab\n\n", FIN)], test)


@pytest.mark.usefixtures("collected")
def test_collected() -> None:
    """A sync stream that is collected in the middle closes its reader."""
    transport = scripted_transport(Answer("data: ab\n\n", Pause(1)))
    with httpx.Client(transport=transport) as http, SSEClient(http_client=http) as client:
        stream = client.post("http://test/", dialect=LETTERS)
        assert next(stream) == Letter("a")
        del stream
        [error] = Letters.made[0].ends
        assert isinstance(error, StreamCancelled)


def test_closed_by_another_thread() -> None:
    """A stream that another thread closes during a read ends its loop, and then closes its reader, once."""
    with EventServer(Answer("data: ab\n\n", Pause(math.inf))) as server, SSEClient() as client:
        stream = client.post(server.url, dialect=LETTERS)
        with stream:
            found = [next(stream).text, next(stream).text]
            timer = threading.Timer(0.05, stream.close)
            timer.start()
            found += [value.text for value in stream]
            timer.join()
        assert (found, stream.outcome, stream.snapshot) == (["a", "b"], "cancelled", "ab")
        [error] = Letters.made[0].ends
        assert isinstance(error, StreamCancelled)
