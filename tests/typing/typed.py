"""Typed events, handlers and results as type checkers see them. This file is checked and never run."""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import Annotated, Any, Literal, assert_never, assert_type

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from sse_client import (
    Accumulation,
    AsyncAccumulation,
    AsyncEventStream,
    AsyncSSEClient,
    Dialect,
    ErrorEvent,
    EventStream,
    Handlers,
    LastEventID,
    Named,
    ServerSentEvent,
    SSEClient,
    SSEError,
    Terminator,
    join_text,
)


class Text(BaseModel):
    type: Literal["text"] = "text"
    content: str


class ToolCall(BaseModel):
    type: Literal["tool_call"] = "tool_call"
    name: str


class Done(BaseModel):
    type: Literal["done"] = "done"


class Token(TypedDict):
    token: str


ChatEvent = Annotated[Text | ToolCall | Done, Field(discriminator="type")]
Mixed = Annotated[Text, Named("message", "data")] | Annotated[Done, Named("stream_end")]

CHAT = Dialect(
    events=ChatEvent,
    terminator=Terminator(field="type", values={"done"}),
    errors=ErrorEvent(field="type", values={"error"}),
    pings={"ping"},
    resume=LastEventID(),
)


class Lengths:
    """A reader of one's own."""

    snapshot: str = ""
    is_complete: bool | None = None

    def read(self, event: ServerSentEvent) -> list[int]:
        self.snapshot += event.data
        return [len(event.data)]

    def resumed(self) -> None: ...
    def close(self, error: SSEError | None) -> None: ...


def forms(client: SSEClient) -> None:
    assert_type(client.post("/", events=Text), EventStream[Text])
    assert_type(client.post("/", events=ChatEvent), EventStream[Text | ToolCall | Done])
    assert_type(client.post("/", events=Mixed), EventStream[Text | Done])
    assert_type(client.post("/", events=Text | Done), EventStream[Text | Done])
    assert_type(client.post("/", events=dict[str, Any]), EventStream[dict[str, Any]])
    assert_type(client.post("/", events=Token), EventStream[Token])
    assert_type(client.post("/", events=list[int]), EventStream[list[int]])
    assert_type(client.post("/", events=Literal["a", "b"]), EventStream[Literal["a", "b"]])
    assert_type(client.post("/"), EventStream[ServerSentEvent])
    assert_type(client.get("/", events=Text), EventStream[Text])
    assert_type(client.stream("PUT", "/", events=Text), EventStream[Text])
    assert_type(client.subscribe("/", events=Text), EventStream[Text])


def unknown(client: SSEClient) -> None:
    assert_type(client.post("/", events=Text, unknown="skip"), EventStream[Text])
    assert_type(client.post("/", events=Text, unknown="raise"), EventStream[Text])
    assert_type(client.post("/", events=Text, unknown="keep"), EventStream[Text | ServerSentEvent])
    client.post("/", events=Text, unknown="ignore")  # type: ignore[call-overload]
    client.post("/", unknown="keep")  # type: ignore[call-overload]


def dialects(client: SSEClient) -> None:
    assert_type(CHAT, Dialect[Text | ToolCall | Done])
    assert_type(client.post("/", dialect=CHAT), EventStream[Text | ToolCall | Done])
    assert_type(client.subscribe("/", dialect=CHAT, terminator=None), EventStream[Text | ToolCall | Done])
    assert_type(client.post("/", dialect=CHAT, events=Text), EventStream[Text])
    assert_type(client.post("/", dialect=CHAT, events=Text, unknown="keep"), EventStream[Text | ServerSentEvent])
    assert_type(Dialect(), Dialect[ServerSentEvent])
    assert_type(Dialect(terminator=Terminator(data="x")), Dialect[ServerSentEvent])
    assert_type(client.post("/", dialect=Dialect(pings={"ping"})), EventStream[ServerSentEvent])
    assert_type(Dialect(reader=Lengths), Dialect[int, str])
    assert_type(Dialect[Text | Done](events=Text | Done), Dialect[Text | Done])
    Dialect[Text](events=int)  # type: ignore[arg-type]
    Dialect(events=Text, unknown="ignore")  # type: ignore[arg-type]
    Dialect(Text)  # type: ignore[call-arg]
    CHAT.unknown = "keep"  # type: ignore[misc]


def show(client: SSEClient) -> str:
    shown = ""
    with client.post("/", events=ChatEvent, json={}) as stream:
        assert_type(next(stream), Text | ToolCall | Done)
        assert_type(stream.last_event, ServerSentEvent | None)
        assert_type(stream.stats.unknown, int)
        for event in stream:
            match event:
                case Text(content=content):
                    shown += assert_type(content, str)
                case ToolCall(name=name):
                    shown += assert_type(name, str)
                case Done():
                    return shown
                case _:
                    assert_never(event)
    return shown


def forgets_one(client: SSEClient) -> None:
    for event in client.post("/", events=ChatEvent):
        match event:
            case Text() | ToolCall():
                pass
            case _:
                assert_never(event)  # type: ignore[arg-type]


def by_instance(client: SSEClient) -> None:
    for event in client.post("/", events=Text | Done, unknown="keep"):
        if isinstance(event, ServerSentEvent):
            assert_type(event.data, str)
        else:
            assert_type(event, Text | Done)


async def read_async(client: AsyncSSEClient) -> None:
    assert_type(client.post("/", events=Text), AsyncEventStream[Text])
    assert_type(client.post("/", events=ChatEvent), AsyncEventStream[Text | ToolCall | Done])
    assert_type(client.post("/", events=Mixed), AsyncEventStream[Text | Done])
    assert_type(client.post("/", events=Text, unknown="keep"), AsyncEventStream[Text | ServerSentEvent])
    assert_type(client.post("/", dialect=CHAT), AsyncEventStream[Text | ToolCall | Done])
    assert_type(client.post("/", dialect=CHAT, events=Text), AsyncEventStream[Text])
    assert_type(client.get("/", events=Text), AsyncEventStream[Text])
    assert_type(client.stream("PUT", "/", events=Text), AsyncEventStream[Text])
    assert_type(client.subscribe("/", events=dict[str, Any]), AsyncEventStream[dict[str, Any]])
    async with client.post("/", events=ChatEvent) as stream:
        assert_type(await anext(stream), Text | ToolCall | Done)
        async for event in stream:
            match event:
                case Text(content=content):
                    assert_type(content, str)
                case ToolCall() | Done():
                    pass
                case _:
                    assert_never(event)


on = Handlers()


@on(Text)
def on_text(event: Text) -> int:
    return len(event.content)


assert_type(on_text(Text(content="")), int)


@on(Text | Done)
def on_either(event: Text | Done) -> None: ...


@on(Text)
def on_a_base(event: BaseModel) -> None: ...


@on(ChatEvent)
def on_any(event: Text | ToolCall | Done) -> None: ...


@on("ping")
def on_ping(event: ServerSentEvent) -> None: ...


@on(Text)
async def on_text_async(event: Text) -> None: ...


@on.field("token")
def on_token(token: str) -> None: ...


@on.event
def on_event(event: Text | ToolCall | Done) -> None: ...


@on.batch(Text, interval=0.05, max_items=64)
def draw(events: list[Text]) -> None: ...


@on.batch("ping")
async def draw_pings(events: list[ServerSentEvent]) -> None: ...


@on.complete
@on.cancel
def on_end() -> None: ...


@on.error
@on.retry
async def on_error(error: SSEError) -> None: ...


on.comment(lambda text: text.strip())
on.unknown(lambda event: event.json())


@on.close
def on_close() -> None: ...


@on(Text)  # type: ignore[arg-type]
def wrong_type(event: Done) -> None: ...


@on("ping")  # type: ignore[arg-type]
def wrong_for_a_name(event: Text) -> None: ...


@on(Text)  # type: ignore[arg-type]
def too_few() -> None: ...


@on(Text)  # type: ignore[arg-type]
def too_many(event: Text, other: int) -> None: ...


@on.batch(Text)  # type: ignore[arg-type]
def wrong_batch(event: Text) -> None: ...


@on.batch(Text)  # type: ignore[arg-type]
def wrong_items(events: list[Done]) -> None: ...


@on.error  # type: ignore[arg-type]
def wrong_error(error: int) -> None: ...


@on.comment  # type: ignore[arg-type]
def two_comments(text: str, other: str) -> None: ...


def dispatch(client: SSEClient) -> None:
    stats = client.post("/", events=ChatEvent).dispatch(on)
    assert_type(stats.events, int)
    client.post("/").dispatch(on_text)  # type: ignore[arg-type]


async def dispatch_async(client: AsyncSSEClient) -> None:
    stats = await client.post("/", events=ChatEvent).dispatch(on)
    assert_type(stats.time_to_first_event, float | None)


def count(snapshot: int, event: Text) -> int:
    return snapshot + len(event.content)


def text_of(event: Text) -> str | None:
    return event.content or None


def latest(snapshot: Text | None, event: Text) -> Text:
    return event


def gather(snapshot: list[str], event: Text) -> list[str]:
    return [*snapshot, event.content]


def accumulate(client: SSEClient, stream: EventStream[Text]) -> None:
    reply = stream.accumulate(count, 0)
    assert_type(reply, Accumulation[Text, int])
    assert_type(reply.snapshot, int)
    assert_type(reply.final(), int)
    reply.snapshot = 0  # type: ignore[misc]
    for event in reply:
        assert_type(event, Text)
    assert_type(stream.accumulate(latest).final(), Text)
    assert_type(stream.accumulate(join_text(text_of), "").final(), str)
    assert_type(stream.accumulate(join_text(text_of), "").snapshot, str)
    assert_type(stream.accumulate(gather, list).final(), list[str])
    assert_type(stream.accumulate(gather, []).final(), list[str])
    assert_type(stream.accumulate(gather, lambda: ["a"]).final(), list[str])
    assert_type(stream.accumulate(lambda count, event: count + len(event.content), 0).final(), int)
    assert_type(client.post("/", dialect=CHAT).accumulate().final(), Any)
    stream.accumulate(count, "")  # type: ignore[misc]
    client.post("/", events=Done).accumulate(count, 0)  # type: ignore[arg-type]


async def accumulate_async(client: AsyncSSEClient, stream: AsyncEventStream[Text]) -> None:
    reply = stream.accumulate(count, 0)
    assert_type(reply, AsyncAccumulation[Text, int])
    assert_type(reply.snapshot, int)
    assert_type(await reply.final(), int)
    async for event in reply:
        assert_type(event, Text)
    assert_type(await stream.accumulate(latest).final(), Text)
    assert_type(await stream.accumulate(gather, list).final(), list[str])
    assert_type(await stream.accumulate(gather, []).final(), list[str])
    assert_type(await client.post("/", dialect=CHAT).accumulate().final(), Any)
    await stream.accumulate(count, "").final()  # type: ignore[misc]


def folds() -> None:
    assert_type(Dialect(events=Text, fold=join_text(text_of), initial=""), Dialect[Text, str])
    Dialect(events=Done, fold=join_text(text_of), initial="")  # type: ignore[arg-type]
    Named(1)  # type: ignore[arg-type]
