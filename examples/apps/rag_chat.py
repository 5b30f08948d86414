"""
RAG chat: an event is a JSON object, and each of its keys is something that has happened.

It shows a callback for each key, several of which may share one event; tokens that are drawn every 50 ms; and a chat
where a new question takes the place of the one that is still being answered.

    python examples/apps/rag_chat.py
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from _serving import running
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from sse_client import (
    AsyncEventStream,
    AsyncSSEClient,
    Dialect,
    ErrorEvent,
    Handlers,
    RetryPolicy,
    SSEError,
    Terminator,
)

# The protocol --------------------------------------------------------------------------------------------------------


class Source(BaseModel):
    chunk_id: str
    document_name: str
    text: str
    score: float


class Update(BaseModel):
    """What an event may hold; which of it is there is what the event means."""

    stage: str | None = None
    token: str | None = None
    sources: list[Source] = []
    quality_score: float | None = None
    follow_up_questions: list[str] = []
    metadata: dict[str, Any] = {}


def add_token(text: str, update: Update) -> str:
    return text + (update.token or "")


RAG = Dialect(
    events=Update,
    terminator=Terminator(data="[DONE]"),
    errors=ErrorEvent(field="error", message="error"),
    fold=add_token,
    initial="",
)


# The client ----------------------------------------------------------------------------------------------------------

# Three attempts; the delays are 1 and 2 s.
RETRY = RetryPolicy(max_retries=2, initial_delay=1.0, jitter=0.0)


class Chat:
    """One conversation. A new question cancels the one that is being answered."""

    def __init__(self, client: AsyncSSEClient, session_id: str) -> None:
        self._client = client
        self._session_id = session_id
        self._stream: AsyncEventStream[Update] | None = None
        self._turn = anyio.Lock()

    async def ask(self, message: str, on: Handlers) -> str:
        """Return the whole answer, or what there was of it when the next question was asked."""
        body = {"message": message, "session_id": self._session_id}
        running = self._stream
        stream = self._stream = self._client.post("/api/chat/stream", json=body, dialect=RAG)
        if running is not None:
            await running.aclose()
        async with self._turn:  # the last callback of the old question comes before the first of the new one
            reply = stream.accumulate()
            await stream.dispatch(on)
            return reply.snapshot


def connect(url: str, retry: RetryPolicy = RETRY) -> AsyncSSEClient:
    return AsyncSSEClient(base_url=url, retry=retry, timeout=60.0)


def screen() -> Handlers:
    """What a user sees."""
    on = Handlers()

    @on.field("stage")
    def show_stage(stage: str) -> None:
        print(f"({stage}) ", end="", flush=True)

    @on.batch(Update, interval=0.05)
    def draw(updates: list[Update]) -> None:
        print("".join(update.token or "" for update in updates), end="", flush=True)

    @on.field("sources")
    def show_sources(sources: list[dict[str, Any]]) -> None:
        print(f"[from {', '.join(source['document_name'] for source in sources)}] ", end="")

    @on.field("quality_score")
    def show_quality(score: float) -> None:
        print(f"\n  quality: {score}")

    @on.field("follow_up_questions")
    def show_follow_ups(questions: list[str]) -> None:
        print(f"  next: {' '.join(questions)}")

    @on.field("metadata")
    def show_metadata(metadata: dict[str, Any]) -> None:
        print(f"  {metadata}")

    @on.complete
    def show_end() -> None:
        print("  complete")

    @on.cancel
    def show_cancel() -> None:
        print("\n  cancelled")

    @on.error
    def show_error(error: SSEError) -> None:
        print(f"\n  failed: {error}")

    return on


# The server ----------------------------------------------------------------------------------------------------------

KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment is sent."""

app = FastAPI()


class Question(BaseModel):
    message: str
    session_id: str


@app.post("/api/chat/stream")
async def chat(question: Question) -> StreamingResponse:
    return StreamingResponse(kept_alive(answer(question.message)), media_type="text/event-stream")


async def answer(message: str) -> AsyncIterator[str]:
    """Find the words of the question in the question."""
    yield event(stage="searching", token="")
    await asyncio.sleep(0.05)
    source = Source(chunk_id="1", document_name="question.txt", text=message, score=0.0)
    yield event(stage="writing", sources=[source.model_dump()])
    for word in message.split():
        await asyncio.sleep(0.02)
        yield event(token=f"{word} ")
    yield event(quality_score=0.0, follow_up_questions=["Really?"])
    yield event(metadata={"words": len(message.split())})
    yield "data: [DONE]\n\n"


async def kept_alive(events: AsyncIterator[str]) -> AsyncIterator[str]:
    """The events, and a comment whenever there has been none for a while."""
    event = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait([event], timeout=KEEP_ALIVE)
            if not done:
                yield ": keepalive\n\n"
                continue
            if (text := event.result()) is None:
                return
            yield text
            event = asyncio.ensure_future(anext(events, None))
    finally:
        event.cancel()


def event(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


# Both together -------------------------------------------------------------------------------------------------------


def main() -> None:
    with running(app) as url:
        asyncio.run(talk(url))


async def talk(url: str) -> None:
    async with connect(url) as client, asyncio.TaskGroup() as tasks:
        chat = Chat(client, "s1")
        first = tasks.create_task(chat.ask("This is a question that nobody waits for. " * 20, screen()))
        await asyncio.sleep(0.4)
        second = await chat.ask("And what is in this one?", screen())
        print(f"{len(first.result().split())} words of the first answer, {len(second.split())} of the second")


if __name__ == "__main__":
    main()
