"""
AgentHub: the kind of an event is a field of its data, `{"type": "text", "content": "Hel"}`.

It shows a protocol as one constant, a token that is requested before each attempt, a screen that is drawn 60 times per
second however fast the tokens arrive, and a Stop button that ends both sides.

    python examples/apps/agenthub.py
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, TypeAlias

from _serving import running
from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from sse_client import AsyncEventStream, AsyncSSEClient, Dialect, ErrorEvent, Handlers, RetryPolicy, Terminator

# The protocol


class Text(BaseModel):
    type: Literal["text"] = "text"
    content: str


class ToolCall(BaseModel):
    type: Literal["tool_call"] = "tool_call"
    name: str
    arguments: dict[str, Any]


class ToolResult(BaseModel):
    type: Literal["tool_result"] = "tool_result"
    name: str
    result: Any


class Done(BaseModel):
    type: Literal["done"] = "done"


ChatEvent: TypeAlias = Annotated[Text | ToolCall | ToolResult | Done, Field(discriminator="type")]


def add_text(text: str, event: ChatEvent) -> str:
    return text + event.content if isinstance(event, Text) else text


AGENTHUB = Dialect(
    events=ChatEvent,
    terminator=Terminator(field="type", values={"done"}),
    errors=ErrorEvent(field="type", values={"error"}, message="message"),
    fold=add_text,
    initial="",
)


# The client

# Three attempts. The delays would be 1, 2, 4, 8, 10, 10, … s; two of them are used.
RETRY = RetryPolicy(max_retries=2, initial_delay=1.0, max_delay=10.0, jitter=0.0)


class NotSignedIn(Exception):
    """There is no token, so no request can be sent."""


class TokenStore:
    """The tokens of a user, the oldest first: each is used once, the last one repeatedly."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    async def headers(self) -> dict[str, str]:
        """Called before each attempt, and once more after a 401."""
        if not self._tokens:
            raise NotSignedIn
        return {"X-Extension-Token": self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]}


def connect(url: str, tokens: TokenStore, retry: RetryPolicy = RETRY) -> AsyncSSEClient:
    return AsyncSSEClient(base_url=url, headers=tokens.headers, retry=retry, timeout=120.0)


def ask(client: AsyncSSEClient, message: str) -> AsyncEventStream[ChatEvent]:
    body = {"conversation_id": "c1", "message": message}
    return client.post("/api/chat/stream", json=body, dialect=AGENTHUB)


def screen() -> Handlers:
    """The user's view: text is drawn every 16 ms, tool calls are shown as they arrive."""
    on = Handlers()

    @on.batch(Text, interval=0.016)
    def draw(texts: list[Text]) -> None:
        print("".join(text.content for text in texts), end="", flush=True)

    @on(ToolCall)
    def show(call: ToolCall) -> None:
        print(f"[{call.name} {call.arguments}] ", end="", flush=True)

    @on.close
    def end_line() -> None:
        print()

    return on


# The server

PACE = 0.02
"""Seconds from one token to the next."""

app = FastAPI()
generating: set[str] = set()
"""The conversations whose reply is being generated now."""


class Question(BaseModel):
    conversation_id: str
    message: str


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/chat/stream")
async def chat(question: Question, x_extension_token: Annotated[str, Header()] = "") -> StreamingResponse:
    if x_extension_token != "test-token":  # noqa: S105
        raise HTTPException(401, "this token is unknown, or no longer valid")
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(answer(question), media_type="text/event-stream", headers=headers)


async def answer(question: Question) -> AsyncIterator[str]:
    """Repeat the question, word by word. Cancelled at once if the client leaves."""
    generating.add(question.conversation_id)
    try:
        words = question.message.split()
        yield event(ToolCall(name="count", arguments={"of": "words"}))
        yield event(ToolResult(name="count", result=len(words)))
        for word in words:
            await asyncio.sleep(PACE)
            yield event(Text(content=f"{word} "))
        yield event(Done())
    finally:
        generating.discard(question.conversation_id)


def event(value: BaseModel) -> str:
    return f"data: {value.model_dump_json()}\n\n"


# Both together


def main() -> None:
    with running(app) as url:
        asyncio.run(talk(url))


async def talk(url: str) -> None:
    # The first token has expired: after the 401 the next one is sent, and the user does not notice.
    async with connect(url, TokenStore("test-token-of-yesterday", "test-token")) as client:
        async with ask(client, "Twelve tokens a quarter of a second, and each of them is drawn once.") as stream:
            reply = stream.accumulate()
            stats = await stream.dispatch(screen())
        print(f"{stream.outcome}: {len(reply.snapshot)} characters, {stats.events} events, {stats.attempts} attempts")

        async with asyncio.TaskGroup() as tasks, ask(client, "This would go on and on, " * 100) as stream:
            tasks.create_task(press_stop(stream))
            stats = await stream.dispatch(screen())
        await asyncio.sleep(0.05)
        print(f"{stream.outcome}: {stats.events} events, and the server is busy with {len(generating)} conversations")


async def press_stop(stream: AsyncEventStream[ChatEvent]) -> None:
    """From another task, like a button. With the sync client, call `close()` from another thread."""
    await asyncio.sleep(0.3)
    await stream.aclose()


if __name__ == "__main__":
    main()
