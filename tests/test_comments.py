"""
Comments in the loop: with `comments=True` they are delivered between the events, in the order of the bytes.

They are not events for clocks, IDs, stats, marks or folds.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest
from pydantic import BaseModel
from shells import Shell, in_turn

from sse_client import (
    AsyncSSEClient,
    Comment,
    Dialect,
    EventEncoder,
    EventStream,
    Handlers,
    LastEventID,
    ServerSentEvent,
    SSEClient,
    StreamInterrupted,
    StreamTimeout,
    Terminator,
    Timeouts,
    aiter_events,
    iter_events,
)
from sse_client.testing import FIN, Answer, Pause, scripted_transport


class Text(BaseModel):
    content: str


def shown(value: Any) -> str:
    """A comment as it is sent, an event as its data."""
    return f":{value.text}" if isinstance(value, Comment) else value.data


def join(text: str, event: ServerSentEvent) -> str:
    return text + event.data


async def done(value: Any) -> Any:
    """The result of a method, sync or async."""
    return await value if inspect.isawaitable(value) else value


async def loop(stream: Any) -> list[str]:
    if isinstance(stream, EventStream):
        return [shown(value) for value in stream]
    return [shown(value) async for value in stream]


async def following(stream: Any) -> str:
    return shown(next(stream) if isinstance(stream, EventStream) else await anext(stream))


def run(shell: Shell, answers: Any, test: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    """Run a test on an open stream with comments."""

    async def main() -> None:
        transport = scripted_transport(*answers)
        async with shell.any_client({"retry": None}, {"transport": transport}) as client:
            await test(await done(client.post("http://test/", comments=True, **options).open()))

    shell.run(main)


@in_turn(
    ("pieces", "expected"),
    [
        ((": 1\n", "data: a\n\n", ": 2\n: 3\n", "data: b\n\n"), [": 1", "a", ": 2", ": 3", "b"]),
        ((": 1\ndata: a\n\n: 2\n: 3\ndata: b\n\n: 4\n",), [": 1", "a", ": 2", ": 3", "b", ": 4"]),
        (("data: a\n: inside\ndata: b\n\n",), [": inside", "a\nb"]),
        ((":\n", ":\n\n", "\n"), [":", ":"]),
        (("data: a\n\n: 1\n\ndata: [DONE]\n\n: after\n\n",), ["a", ": 1"]),
        ((": 1\n\n",), [": 1"]),
        ((), []),
    ],
    ids=["by piece", "one piece", "inside", "empty", "terminator", "alone", "nothing"],
)
def test_order(shell: Shell, pieces: tuple[str, ...], expected: list[str]) -> None:
    """A loop has comments and events in the order of the bytes; nothing comes after the terminator."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == expected
        assert stream.outcome == "completed"

    run(shell, [Answer(*pieces)], test)


@pytest.mark.parametrize("size", [1, 7])
def test_any_cut(shell: Shell, size: int) -> None:
    """The order is the same however the bytes are cut."""
    data = ": 1\r\ndata: a\r\n\r\n: 2\n: 3\rdata: b\n\n: 4\n\n"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]

    async def test(stream: Any) -> None:
        assert await loop(stream) == [": 1", "a", ": 2", ": 3", "b", ": 4"]

    run(shell, [Answer(*pieces)], test)


def test_next_and_for(shell: Shell) -> None:
    """`next()` returns comments too, and a loop continues after it."""

    async def test(stream: Any) -> None:
        assert [await following(stream) for _ in range(3)] == [": 1", "a", ": 2"]
        assert await loop(stream) == ["b", ": 3"]

    run(shell, [Answer(": 1\ndata: a\n\n: 2\ndata: b\n\n: 3\n\n")], test)


def test_without_them(shell: Shell) -> None:
    """By default comments are not delivered."""

    async def main() -> None:
        async with shell.any_client(http={"transport": scripted_transport(Answer(": 1\ndata: a\n\n"))}) as client:
            stream = await done(client.post("http://test/", comments=False).open())
            assert await loop(stream) == ["a"]

    shell.run(main)


def test_they_are_no_events(shell: Shell) -> None:
    """A comment is not counted as an event, is never the last event, and changes no ID."""

    async def test(stream: Any) -> None:
        assert [await following(stream) for _ in range(2)] == [": 1", "a"]
        assert (stream.stats.events, stream.last_event_id) == (1, "")
        assert await following(stream) == ": 2"
        assert (stream.stats.events, stream.stats.comments, stream.last_event.data) == (1, 2, "a")
        assert await following(stream) == "b"
        assert (stream.stats.events, stream.last_event_id) == (2, "7")
        assert await loop(stream) == []

    run(shell, [Answer(": 1\n", "id: 7\ndata: a\n\n", ": 2\n", "data: b\n\n")], test)


def test_they_feed_no_clock(shell: Shell) -> None:
    """Comments do not restart the idle clock."""
    pings = (": ping\n\n", Pause(4)) * 5

    async def test(stream: Any) -> None:
        found = [await following(stream)]
        with pytest.raises(StreamTimeout) as caught:
            while True:
                found.append(await following(stream))
        assert caught.value.clock == "idle"
        assert found == ["a", ": ping", ": ping", ": ping"]

    run(shell, [Answer("data: a\n\n", *pings)], test, timeout=Timeouts(idle=10))


def test_they_are_no_marks(shell: Shell) -> None:
    """The text of a comment never matches a mark."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == [":end", ": [DONE]", "a", "end"]

    run(shell, [Answer(":end\n: [DONE]\ndata: a\n\ndata: end\n\n: x\n")], test, terminator=Terminator(data="end"))


def test_they_are_not_folded(shell: Shell) -> None:
    """A fold gets only the events; iterating its accumulation delivers the comments too."""

    async def test(stream: Any) -> None:
        reply = stream.accumulate(join, "")
        values: list[Any] = list(reply) if isinstance(stream, EventStream) else [value async for value in reply]
        assert [shown(value) for value in values] == [": 1", "a", ": 2", "b"]
        assert await done(reply.final()) == "ab"

    run(shell, [Answer(": 1\ndata: a\n\n: 2\ndata: b\n\n")], test)


def test_pings_and_comments(shell: Shell) -> None:
    """A comment keeps its place if an event before it is a ping."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == ["a", ": 1", ": 2", "b"]

    run(shell, [Answer("data: a\n\n: 1\nevent: ping\ndata:\n\n: 2\ndata: b\n\n")], test, pings={"ping"})


def test_a_resumed_stream(shell: Shell) -> None:
    """The comments of each connection come in their place, and the loop does not notice the resume."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == [": 1", "a", ": 2", ": 3", "b"]
        assert stream.stats.attempts == 2

    first, second = Answer(": 1\nid: 1\ndata: a\n\n: 2\n", FIN), Answer(": 3\nid: 2\ndata: b\n\n")
    run(shell, [first, second], test, resume=LastEventID())


def test_comments_before_an_error(shell: Shell) -> None:
    """Events and comments before a lost connection are delivered; then the error is raised."""

    async def test(stream: Any) -> None:
        assert [await following(stream) for _ in range(2)] == ["a", ": 1"]
        with pytest.raises(StreamInterrupted):
            await following(stream)

    run(shell, [Answer("data: a\n\n: 1\n", FIN)], test)


def test_closed_among_comments(shell: Shell) -> None:
    """A loop ends at once if its stream is closed, even if comments were already read."""

    async def test(stream: Any) -> None:
        assert await following(stream) == ": 1"
        await done((stream.close if isinstance(stream, EventStream) else stream.aclose)())
        assert await loop(stream) == []
        assert stream.outcome == "cancelled"

    run(shell, [Answer(": 1\n: 2\ndata: a\n\n")], test)


def test_dispatch(shell: Shell) -> None:
    """A dispatch passes comments to `on.comment`; one that a loop has not delivered is not lost."""

    async def test(stream: Any) -> None:
        seen: list[str] = []
        on = Handlers()
        on.open(lambda: seen.append("open"))
        on.event(lambda event: seen.append(event.data))
        on.comment(lambda text: seen.append(f":{text}"))
        assert await following(stream) == ": 1"
        await done(stream.dispatch(on))
        assert seen == ["open", ": 2", "a", ": 3"]

    run(shell, [Answer(": 1\n: 2\ndata: a\n\n: 3\n")], test)


@pytest.mark.parametrize(
    "options",
    [{"events": Text}, {"dialect": Dialect(events=Text)}, {"dialect": Dialect(events=Text), "unknown": "keep"}],
    ids=["events", "dialect", "keep"],
)
def test_only_raw_events(options: Any) -> None:
    """`comments=True` on a typed stream raises before anything is sent."""
    response = httpx.Response(200, request=httpx.Request("GET", "http://test/"))
    with SSEClient() as client:
        calls: list[Callable[..., object]] = [client.post, client.get, client.subscribe]
        for call in calls:
            with pytest.raises(TypeError, match=r"comments=True needs raw events"):
                call("http://test/", comments=True, **options)
    for each in (iter_events, aiter_events):
        with pytest.raises(TypeError, match=r"comments=True needs raw events"):
            each(response, comments=True, **options)


def test_a_raw_dialect(shell: Shell) -> None:
    """A dialect without a type allows comments."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == [": 1", "a"]

    run(shell, [Answer(": 1\ndata: a\n\nevent: ping\n\n")], test, dialect=Dialect(pings={"ping"}))


def test_every_call() -> None:
    """All calls and `iter_events` accept `comments=`."""
    http = httpx.Client(transport=scripted_transport(*[Answer(": 1\ndata: a\n\n")] * 5))
    with http, SSEClient(http_client=http) as client:
        for call in (client.post, client.get, client.subscribe):
            with call("http://test/", comments=True) as stream:
                assert shown(next(stream)) == ": 1"
        with client.stream("PUT", "http://test/", comments=True) as stream:
            assert [shown(value) for value in stream] == [": 1", "a"]
        with http.stream("GET", "http://test/") as response:
            assert [shown(value) for value in iter_events(response, comments=True)] == [": 1", "a"]


def test_every_async_call() -> None:
    """All async calls and `aiter_events` accept `comments=`."""

    async def main() -> None:
        http = httpx.AsyncClient(transport=scripted_transport(*[Answer(": 1\ndata: a\n\n")] * 4))
        async with http, AsyncSSEClient(http_client=http) as client:
            for call in (client.post, client.get, client.subscribe):
                async with call("http://test/", comments=True) as stream:
                    assert shown(await anext(stream)) == ": 1"
            async with http.stream("GET", "http://test/") as response:
                found = [shown(value) async for value in aiter_events(response, comments=True)]
                assert found == [": 1", "a"]

    anyio.run(main)


def test_a_relay(shell: Shell) -> None:
    """A proxy that encodes the values that it reads sends the same events, and the same keep-alives between them."""
    data = ": keep-alive\ndata: a\n\n:\nid: 1\ndata: b\n\n: last\n"

    async def test(stream: Any) -> None:
        encoder = EventEncoder()
        values: list[Any] = list(stream) if isinstance(stream, EventStream) else [value async for value in stream]
        sent = [
            encoder.comment(value.text) if isinstance(value, Comment) else encoder.encode(value) for value in values
        ]
        relayed.append(b"".join(sent).decode())

    relayed: list[str] = []
    run(shell, [Answer(data)], test)

    async def again(stream: Any) -> None:
        assert await loop(stream) == [": keep-alive", "a", ":", "b", ": last"]

    run(shell, [Answer(relayed[0])], again)


def test_the_record() -> None:
    """A comment compares by its text, and its repr shows it."""
    assert Comment(" ping") == Comment(text=" ping") != Comment("")
    assert repr(Comment(" ping")) == "Comment(text=' ping')"
    assert not hasattr(Comment(""), "__dict__")
