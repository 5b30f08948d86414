"""Dialects with a reader, as type checkers see them. This file is checked and never run."""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, assert_type

import httpx

from sse_client import (
    Accumulation,
    AsyncAccumulation,
    AsyncEventStream,
    AsyncSSEClient,
    Dialect,
    EventStream,
    Handlers,
    ServerSentEvent,
    SSEClient,
    SSEError,
    aiter_events,
    iter_events,
)
from sse_client.dialects import (
    OPENAI_CHAT,
    Delta,
    Finish,
    Message,
    ReasoningDelta,
    TextDelta,
    ToolCallEnd,
    UsageUpdate,
)


def read(client: SSEClient, body: dict[str, Any]) -> None:
    for delta in client.post("/chat", json=body, dialect=OPENAI_CHAT):
        assert_type(delta, Delta)
        match delta:
            case TextDelta(text=text):
                assert_type(text, str)
            case _:
                pass
    with client.post("/chat", json=body, dialect=OPENAI_CHAT) as stream:
        assert_type(stream, EventStream[Delta, Message])
        assert_type(stream.open(), EventStream[Delta, Message])
        assert_type(next(stream), Delta)
        assert_type(stream.snapshot, Message)
        assert_type(stream.final(), Message)
        assert_type(stream.accumulate(), Accumulation[Delta, Message])
        assert_type(stream.accumulate().final(), Message)
        assert_type(stream.accumulate().snapshot, Message)
        assert_type(stream.accumulate(count, 0).final(), int)


async def read_async(client: AsyncSSEClient, body: dict[str, Any]) -> None:
    async with client.post("/chat", json=body, dialect=OPENAI_CHAT) as stream:
        assert_type(stream, AsyncEventStream[Delta, Message])
        async for delta in stream:
            assert_type(delta, Delta)
        assert_type(stream.snapshot, Message)
        assert_type(await stream.final(), Message)
        assert_type(stream.accumulate(), AsyncAccumulation[Delta, Message])
        assert_type(await stream.accumulate().final(), Message)
        assert_type(stream.accumulate().snapshot, Message)
        assert_type(await stream.accumulate(count, 0).final(), int)


def calls(client: SSEClient, aclient: AsyncSSEClient, response: httpx.Response) -> None:
    assert_type(client.get("/", dialect=OPENAI_CHAT), EventStream[Delta, Message])
    assert_type(client.stream("PUT", "/", dialect=OPENAI_CHAT), EventStream[Delta, Message])
    assert_type(client.subscribe("/", dialect=OPENAI_CHAT), EventStream[Delta, Message])
    assert_type(aclient.subscribe("/", dialect=OPENAI_CHAT, retry=None), AsyncEventStream[Delta, Message])
    assert_type(iter_events(response, dialect=OPENAI_CHAT), EventStream[Delta, Message])
    assert_type(aiter_events(response, dialect=OPENAI_CHAT), AsyncEventStream[Delta, Message])
    assert_type(client.post("/", dialect=OPENAI_CHAT, events=int), EventStream[int])
    client.post("/", dialect=OPENAI_CHAT, comments=True)  # type: ignore[call-overload]


def only(stream: EventStream[Delta, Message], astream: AsyncEventStream[Delta, Message]) -> None:
    assert_type(stream.only(TextDelta), Iterator[TextDelta])
    assert_type(stream.only(TextDelta, ToolCallEnd), Iterator[TextDelta | ToolCallEnd])
    assert_type(stream.only(TextDelta, ToolCallEnd, Finish), Iterator[TextDelta | ToolCallEnd | Finish])
    assert_type(
        stream.only(TextDelta, ToolCallEnd, Finish, UsageUpdate),
        Iterator[TextDelta | ToolCallEnd | Finish | UsageUpdate],
    )
    assert_type(astream.only(TextDelta), AsyncIterator[TextDelta])
    assert_type(astream.only(TextDelta, ReasoningDelta), AsyncIterator[TextDelta | ReasoningDelta])
    for delta in stream.only(TextDelta, ReasoningDelta):
        assert_type(delta.text, str)
    stream.only()  # type: ignore[call-overload]
    stream.only("text")  # type: ignore[call-overload]
    astream.only(TextDelta, 3)  # type: ignore[call-overload]


async def only_async(stream: AsyncEventStream[Delta, Message]) -> None:
    async for delta in stream.only(TextDelta):
        assert_type(delta, TextDelta)
    assert_type(await anext(stream.only(ToolCallEnd)), ToolCallEnd)


def any_dialect(client: SSEClient, dialect: Dialect[Delta, Message]) -> Message:
    with client.post("/", dialect=dialect) as stream:
        return stream.final()


def snapshots(client: SSEClient, stream: EventStream) -> None:
    assert_type(stream.snapshot, Any)
    assert_type(client.post("/").final(), Any)
    stream.snapshot = 3  # type: ignore[misc]


def count(snapshot: int, delta: Delta) -> int:
    return snapshot + 1


on = Handlers()


@on(TextDelta)
def show(delta: TextDelta) -> None: ...


@on(TextDelta | ToolCallEnd)
def show_either(delta: TextDelta | ToolCallEnd) -> None: ...


@on.batch(TextDelta, interval=0.05)
def draw(deltas: list[TextDelta]) -> None: ...


@on(TextDelta)  # type: ignore[arg-type]
def wrong(delta: ToolCallEnd) -> None: ...


class Words:
    """A reader of the user's own; it needs no base class."""

    is_complete: bool | None = None

    def __init__(self) -> None:
        self.snapshot: list[str] = []

    def read(self, event: ServerSentEvent) -> Sequence[str]:
        return event.data.split()

    def resumed(self) -> None: ...

    def close(self, error: SSEError | None) -> None: ...


WORDS: Dialect[str, list[str]] = Dialect(reader=Words)


def own(client: SSEClient, make: Callable[[], Words]) -> None:
    assert_type(client.post("/", dialect=WORDS), EventStream[str, list[str]])
    assert_type(client.post("/", dialect=WORDS).final(), list[str])
