"""
The whole reply from its parts: the result of a fold, at any time and however the stream ends.

The same in all shells. A test of the middle of a stream reads it with `entered()`.
"""

import copy
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import httpx
import pytest
from pydantic import BaseModel
from shells import Reader, Shell, entered, in_turn

from sse_client import (
    Accumulation,
    AsyncAccumulation,
    AsyncEventStream,
    DecodeError,
    Dialect,
    ErrorEvent,
    ErrorEventReceived,
    EventStream,
    EventTooLarge,
    Handlers,
    LastEventID,
    Named,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    SSEError,
    StatusError,
    StreamCancelled,
    StreamError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Terminator,
    Timeouts,
    join_text,
)
from sse_client._accumulate import Folding, Pieces
from sse_client.testing import FIN, Answer, EventServer, Pause, scripted_transport

Stream: TypeAlias = EventStream[Any] | AsyncEventStream[Any]

THREE = ("data: a\n\n", "data: b\n\n", "data: c\n\n")
QUICK = RetryPolicy(initial_delay=0.01, jitter=0)


class Delta(BaseModel):
    content: str | None = None


def join(text: str, event: ServerSentEvent) -> str:
    return text + event.data


def gather(found: list[str] | None, event: ServerSentEvent) -> list[str]:
    return [*(found or []), event.data]


def add(total: int, event: int) -> int:
    return total + event


async def final(reply: Any) -> Any:
    """Read to the end, sync or async."""
    result = reply.final()
    return await result if isinstance(result, Awaitable) else result


async def advance(stream: Stream) -> Any:
    """Take the next event."""
    return await anext(Reader(stream))


def run(shell: Shell, answers: Any, test: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    """Run a test on a stream that was entered."""

    async def main() -> None:
        async with shell.any_client({"retry": None}) as client, entered(client.post(server.url, **options)) as reader:
            await test(reader.stream)

    with EventServer(*answers) as server:
        shell.run(main)


def test_a_fold_is_a_plain_function() -> None:
    """A snapshot is the fold's result for the last snapshot and the event; nothing else is kept."""
    folding = Folding(add, 0)
    assert folding.snapshot == 0
    for event, snapshot in ((1, 1), (2, 3), (3, 6)):
        folding.take(event)
        assert folding.snapshot == snapshot


@pytest.mark.parametrize(
    ("parts", "text"),
    [([], ""), (["a"], "a"), (["a", None, "", "b"], "ab"), ([None], "")],
)
def test_join_text(parts: list[str | None], text: str) -> None:
    """`join_text` joins the text of each event; an event without text adds nothing."""

    def content(event: Delta) -> str | None:
        return event.content

    fold = join_text(content)
    snapshot = ""
    for part in parts:
        snapshot = fold(snapshot, Delta(content=part))
    assert snapshot == text


def test_join_text_is_linear() -> None:
    """A hundred thousand deltas are joined in linear time: each is copied once, not again with each later one."""
    reply = Folding(join_text(content_of), "")
    delta = Delta(content="token ")
    began = time.thread_time()
    for _ in range(100_000):
        reply.take(delta)
    assert len(reply.snapshot) == 600_000
    assert time.thread_time() - began < 1  # 0.03 s; 4.9 s if everything is copied for each


def test_join_text_at_any_time() -> None:
    """The snapshot of joined text is a `str` at any time, and the same object if it is read twice."""
    reply = Folding(join_text(content_of), ">")
    seen: list[str] = []
    for part in ("a", None, "é", "", "\r\n", "\ud83d", "\ude00"):
        reply.take(Delta.model_construct(content=part))
        assert reply.snapshot is reply.snapshot
        seen.append(reply.snapshot)
    assert seen == [">a", ">a", ">aé", ">aé", ">aé\r\n", ">aé\r\n\ud83d", ">aé\r\n\ud83d\ude00"]


def test_join_text_of_what_is_no_text() -> None:
    """A value that is not text raises with its event, and the snapshot stays."""
    reply = Folding(join_text(lambda part: part), "")
    reply.take("a")
    with pytest.raises(TypeError):
        reply.take(5)
    assert reply.snapshot == "a"


def test_pieces() -> None:
    """Text that grows can be copied, and the copy grows independently."""
    text = Pieces("a")
    text.add("b")
    assert text.text == "ab"
    other = copy.deepcopy(text)
    text.add("c")
    other.add("d")
    assert (text.text, other.text, Pieces().text) == ("abc", "abd", "")


def append(found: list[str], event: ServerSentEvent) -> list[str]:
    found.append(event.data)
    return found


def append_below(found: dict[str, list[str]], event: ServerSentEvent) -> dict[str, list[str]]:
    found["parts"].append(event.data)
    return found


@in_turn(
    ("fold", "initial", "result"),
    [
        (append, [], ["a", "b", "c"]),
        (append, list, ["a", "b", "c"]),
        (append, lambda: [">"], [">", "a", "b", "c"]),
        (append_below, {"parts": []}, {"parts": ["a", "b", "c"]}),
    ],
    ids=["value", "type", "function", "nested"],
)
@pytest.mark.parametrize("is_dialect", [True, False], ids=["dialect", "argument"])
def test_each_begins_anew(shell: Shell, is_dialect: bool, fold: Any, initial: Any, result: Any) -> None:
    """No stream sees another stream's changes to the initial value that they share."""
    replies: list[Any] = []

    async def test(stream: Stream) -> None:
        reply = stream.accumulate() if is_dialect else stream.accumulate(fold, initial)
        replies.append(await final(reply))

    options = {"dialect": Dialect(events=ServerSentEvent, fold=fold, initial=initial)} if is_dialect else {}
    for _ in range(2):
        run(shell, [Answer(*THREE)], test, **options)
    assert replies == [result, result]
    assert initial in ([], {"parts": []}) or callable(initial)


def test_two_of_one_stream_begin_anew() -> None:
    """Two accumulations of one stream share nothing either."""
    dialect = Dialect(events=ServerSentEvent, fold=append, initial=[])
    initial: list[str] = []
    with (
        EventServer(Answer(*THREE)) as server,
        SSEClient() as client,
        client.post(server.url, dialect=dialect) as stream,
    ):
        one, other, own = stream.accumulate(append, initial), stream.accumulate(append, initial), stream.accumulate()
        assert one.final() == other.final() == own.final() == ["a", "b", "c"]
        assert len({id(each) for each in (one.snapshot, other.snapshot, own.snapshot, initial, dialect.initial)}) == 5


class Doubling:
    """Reads each event as two values."""

    snapshot = None
    is_complete = None

    def read(self, event: ServerSentEvent) -> list[str]:
        return [event.data, event.data.upper()]

    def resumed(self) -> None:
        pass

    def close(self, error: SSEError | None) -> None:
        pass


@pytest.mark.parametrize(
    ("options", "result"),
    [({}, "b c d"), ({"events": str}, "b c d"), ({"dialect": Dialect(reader=Doubling)}, "A b B c C d D")],
    ids=["raw", "typed", "reader"],
)
def test_a_fold_that_begins_in_a_loop(options: dict[str, Any], result: str) -> None:
    """A fold that begins in the body of a loop gets everything that the loop delivers from then on."""
    quote = '"' if "events" in options else ""
    a, b, c, d = (f"data: {quote}{letter}{quote}\n\n" for letter in "abcd")
    transport = scripted_transport(Answer(a + b + c, Pause(1), d))
    reply = None
    with (
        SSEClient(http_client=httpx.Client(transport=transport)) as client,
        client.post("http://test/", **options) as stream,
    ):
        for _ in stream:
            reply = reply or stream.accumulate(lambda got, each: [*got, getattr(each, "data", each)], [])
    assert reply is not None
    assert " ".join(reply.snapshot) == result


def test_an_initial_value_that_cannot_be_copied() -> None:
    """An initial value that cannot be copied is an error that says what to pass instead."""
    with (
        SSEClient() as client,
        pytest.raises(TypeError, match=r"lock cannot be copied: pass a function that returns a new one"),
    ):
        client.post("http://test/").accumulate(lambda lock, event: lock, threading.Lock())


def test_final(shell: Shell) -> None:
    """`final()` reads to the end and returns the fold of all events, even if it is called again."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, ">")
        assert reply.snapshot == ">"
        assert await final(reply) == ">abc"
        assert await final(reply) == reply.snapshot == ">abc"
        assert stream.outcome == "completed"

    run(shell, [Answer(*THREE)], test)


def test_a_snapshot_at_any_time(shell: Shell) -> None:
    """The snapshot contains exactly the events that were delivered so far."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, "")
        seen = []
        async for _ in Reader(stream):
            seen.append(reply.snapshot)
            if reply.snapshot == "ab":
                break
        assert seen == ["a", "ab"]
        assert await final(reply) == "abc"

    run(shell, [Answer("".join(THREE))], test)


def test_iterating_the_reply(shell: Shell) -> None:
    """Iterating a reply iterates its stream, and the snapshot includes the current event."""

    async def test(stream: Stream) -> None:
        reply: Any = stream.accumulate(join, "")
        seen: list[tuple[str, str]] = []
        if isinstance(stream, EventStream):
            seen += [(event.data, reply.snapshot) for event in reply]
        else:
            seen += [(event.data, reply.snapshot) async for event in reply]
        assert seen == [("a", "a"), ("b", "ab"), ("c", "abc")]
        assert await final(reply) == "abc"

    run(shell, [Answer("".join(THREE))], test)


def test_without_an_initial_value(shell: Shell) -> None:
    """A fold without an initial value starts with `None`, which is also the result without events."""

    async def test(stream: Stream) -> None:
        assert await final(stream.accumulate(gather)) == ["a", "b", "c"]

    async def empty(stream: Stream) -> None:
        assert await final(stream.accumulate(gather)) is None

    run(shell, [Answer(*THREE)], test)
    run(shell, [Answer(status=204)], empty)


@pytest.mark.parametrize("cls", [Accumulation, AsyncAccumulation])
def test_a_snapshot_is_read_only(cls: type) -> None:
    """An accumulation has no public method that changes its snapshot."""
    assert {name for name in dir(cls) if not name.startswith("_")} == {"final", "snapshot"}
    assert isinstance(vars(cls)["snapshot"], property)
    assert vars(cls)["snapshot"].fset is None


def test_begun_later(shell: Shell) -> None:
    """Events that were delivered before an accumulation are not in it."""

    async def test(stream: Stream) -> None:
        await advance(stream)
        assert await final(stream.accumulate(join, "")) == "bc"

    run(shell, [Answer(*THREE)], test)


def test_two_of_one_stream(shell: Shell) -> None:
    """A stream may have several accumulations."""

    async def test(stream: Stream) -> None:
        text = stream.accumulate(join, "")
        count = stream.accumulate(lambda count, event: count + 1, 0)
        assert await final(text) == "abc"
        assert await final(count) == 3

    run(shell, [Answer(*THREE)], test)


def test_the_terminator_is_folded_too(shell: Shell) -> None:
    """Events that are delivered are folded: a terminator, but not `[DONE]`."""

    async def test(stream: Stream) -> None:
        assert await final(stream.accumulate(join, "")) == "abc"

    run(shell, [Answer(*THREE, "data: [DONE]\n\n")], test)
    run(shell, [Answer(*THREE)], test, terminator=Terminator(data="c"))


def content_of(event: Delta) -> str | None:
    return event.content


CHAT = Dialect(events=Delta, fold=join_text(content_of), initial=">")


def test_typed(shell: Shell) -> None:
    """A fold gets the values that a typed stream delivers; skipped events are not in it."""

    async def test(stream: Stream) -> None:
        assert await final(stream.accumulate(join_text(content_of), "")) == "ab"

    events = (
        'data: {"content": "a"}\n\n',
        "id: 7\ndata:\n\n",
        'data: {"content": null}\n\n',
        'data: {"content": "b"}\n\n',
    )
    run(shell, [Answer(*events)], test, events=Delta)


def test_unknown_events_that_are_kept(shell: Shell) -> None:
    """With `unknown="keep"` the fold also gets the events that are kept."""

    async def test(stream: Stream) -> None:
        kinds = await final(stream.accumulate(lambda kinds, event: [*kinds, type(event).__name__], []))
        assert kinds == ["Delta", "ServerSentEvent"]

    events = Annotated[Delta, Named("delta")]
    run(shell, [Answer("event: delta\ndata: {}\n\nevent: x\ndata: 1\n\n")], test, events=events, unknown="keep")


def test_the_fold_of_a_dialect(shell: Shell) -> None:
    """Without arguments the dialect's fold and initial value are used. A fold in the call takes precedence."""

    async def test(stream: Stream) -> None:
        assert await final(stream.accumulate()) == ">a"

    async def own(stream: Stream) -> None:
        assert await final(stream.accumulate(lambda count, event: count + 1, 0)) == 1

    run(shell, [Answer('data: {"content": "a"}\n\n')], test, dialect=CHAT)
    run(shell, [Answer('data: {"content": "a"}\n\n')], own, dialect=CHAT)


def test_no_fold() -> None:
    """`accumulate()` without a fold is an error if the dialect has none either."""
    with SSEClient() as client:
        for options in ({}, {"dialect": Dialect(events=Delta)}):
            with pytest.raises(TypeError, match=r"accumulate\(\) needs a fold: this stream's dialect has neither"):
                client.post("http://test/", **options).accumulate()  # type: ignore[call-overload]


def test_without_entering() -> None:
    """In the sync client `final()` connects if necessary."""
    with EventServer(Answer(*THREE)) as server, SSEClient() as client:
        assert client.post(server.url).accumulate(join, "").final() == "abc"


def test_over_a_resume(shell: Shell) -> None:
    """A resumed stream continues the same snapshot."""

    async def test(stream: Stream) -> None:
        assert await final(stream.accumulate(join, "")) == "abc"
        assert stream.stats.connections == 2

    answers = Answer("id: 1\ndata: a\nretry: 50\n\n", "id: 2\ndata: b\n\n", FIN), Answer("id: 3\ndata: c\n\n")
    run(shell, answers, test, resume=LastEventID(retry=QUICK))


@dataclass(frozen=True)
class Fault:
    error: type[SSEError]
    end: tuple[Any, ...]
    options: dict[str, Any]


FAULTS = [
    Fault(StreamTruncated, (), {"terminator": Terminator(data="end")}),
    Fault(StreamInterrupted, (FIN,), {}),
    Fault(StreamTimeout, (Pause(5),), {"timeout": Timeouts(idle=0.05)}),
    Fault(ErrorEventReceived, ("event: error\ndata: no\n\n",), {"errors": ErrorEvent(event="error")}),
]


@in_turn("fault", FAULTS, ids=lambda fault: fault.error.__name__)
def test_partial(shell: Shell, fault: Fault) -> None:
    """An error of the stream has the result so far as `partial`. The snapshot stays, and `final()` raises again."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, "")
        for _ in range(2):
            with pytest.raises(fault.error) as caught:
                await final(reply)
            assert isinstance(caught.value, StreamError)
            assert caught.value.partial == "abc"
            assert caught.value.stats.events == 3
            assert reply.snapshot == "abc"

    run(shell, [Answer(*THREE, *fault.end)], test, **fault.options)


def test_partial_while_iterating(shell: Shell) -> None:
    """`partial` is also set if the stream itself is iterated; without an accumulation it is `None`."""

    async def test(stream: Stream) -> None:
        stream.accumulate(join, "")
        with pytest.raises(StreamInterrupted) as caught:
            async for _ in Reader(stream):
                pass
        assert caught.value.partial == "abc"

    async def without(stream: Stream) -> None:
        with pytest.raises(StreamInterrupted) as caught:
            async for _ in Reader(stream):
                pass
        assert caught.value.partial is None

    run(shell, [Answer(*THREE, FIN)], test)
    run(shell, [Answer(*THREE, FIN)], without)


def test_too_large(shell: Shell) -> None:
    """After any other error the snapshot is still available."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, "")
        with pytest.raises(EventTooLarge):
            await final(reply)
        assert reply.snapshot == "abc"

    run(shell, [Answer(*THREE, f"data: {'x' * 100}\n\n")], test, max_event_size=50)


def test_decode_error(shell: Shell) -> None:
    """An event that does not match its type is not in the result, which continues after it."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(add, 0)
        with pytest.raises(DecodeError):
            await final(reply)
        assert reply.snapshot == 1
        assert await final(reply) == 4

    run(shell, [Answer("data: 1\n\ndata: x\n\ndata: 3\n\n")], test, events=int)


def test_closed(shell: Shell) -> None:
    """`final()` of a stream that was closed raises `StreamCancelled` with the result so far."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, "")
        await advance(stream)
        if isinstance(stream, EventStream):
            stream.close()
        else:
            await stream.aclose()
        for _ in range(2):
            with pytest.raises(StreamCancelled, match="the stream was closed after 1 event") as caught:
                await final(reply)
            assert caught.value.partial == "a"
            assert caught.value.stats.events == 1
            assert caught.value.last_event_id == "7"
        assert stream.outcome == "cancelled"

    run(shell, [Answer("id: 7\ndata: a\n\n", *THREE)], test)


def test_closed_behind_the_end(shell: Shell) -> None:
    """Closing a stream that is completed does not change its result."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, "")
        assert await final(reply) == "abc"
        if isinstance(stream, EventStream):
            stream.close()
        else:
            await stream.aclose()
        assert await final(reply) == "abc"

    run(shell, [Answer(*THREE)], test)


def test_left(shell: Shell) -> None:
    """`final()` of a stream that the user left early raises `StreamCancelled` too."""

    async def main() -> None:
        async with shell.any_client() as client:
            async with entered(client.post(server.url)) as reader:
                reply = reader.stream.accumulate(join, "")
                await anext(reader)
            with pytest.raises(StreamCancelled) as caught:
                await final(reply)
            assert caught.value.partial == "a"

    with EventServer(Answer(*THREE)) as server:
        shell.run(main)


def test_a_fold_that_raises(shell: Shell) -> None:
    """An exception in a fold comes out unchanged, and the snapshot stays."""

    def divide(number: float, event: ServerSentEvent) -> float:
        return number / int(event.data)

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(divide, 6.0)
        with pytest.raises(ZeroDivisionError):
            await final(reply)
        assert reply.snapshot == 3.0

    run(shell, [Answer("data: 2\n\ndata: 0\n\n")], test)


def test_no_answer(shell: Shell) -> None:
    """If the stream was refused, its error is raised."""

    async def main() -> None:
        async with shell.any_client({"retry": None}) as client:
            stream: Stream = client.post(server.url)
            reply = stream.accumulate(join, "")
            with pytest.raises(StatusError):
                async with entered(stream):
                    await final(reply)
            assert reply.snapshot == ""

    with EventServer(Answer(status=400)) as server:
        shell.run(main)


@pytest.mark.parametrize("answer", [Answer(*THREE), Answer(*THREE, FIN)], ids=["complete", "cut"])
def test_dispatch(shell: Shell, answer: Answer) -> None:
    """A stream that is dispatched accumulates too, and handlers may read the snapshot."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, "")
        seen: list[Any] = []
        on = Handlers()
        on.event(lambda event: seen.append(reply.snapshot))

        @on.error
        def look(error: SSEError) -> None:
            assert isinstance(error, StreamError)
            seen.append(f"error {error.partial}")

        on.complete(lambda: seen.append(f"complete {reply.snapshot}"))
        try:
            if isinstance(stream, EventStream):
                stream.dispatch(on)
            else:
                await stream.dispatch(on)
        except StreamInterrupted as error:
            assert seen == ["a", "ab", "abc", "error abc"]
            assert error.partial == "abc"  # noqa: PT017
        else:
            assert seen == ["a", "ab", "abc", "complete abc"]
            assert await final(reply) == "abc"

    run(shell, [answer], test)


def test_dispatch_with_a_batch(shell: Shell) -> None:
    """With a batch, too, a handler sees the snapshot up to its event, without events that were read ahead."""

    async def test(stream: Stream) -> None:
        reply = stream.accumulate(join, "")
        seen: list[str] = []
        on = Handlers()
        on.event(lambda event: seen.append(reply.snapshot))
        on.batch("never")(lambda events: None)
        if isinstance(stream, EventStream):
            stream.dispatch(on)
        else:
            await stream.dispatch(on)
        assert seen == ["a", "ab", "abc"]

    run(shell, [Answer("".join(THREE))], test)
