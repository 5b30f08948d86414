"""
RAG chat: an event is a JSON object, and each of its keys has a meaning of its own.

It shows a callback for each key, several of which may be in one event; tokens that are drawn every 50 ms; and a chat in
which a new question cancels the reply to the previous one.

    python examples/apps/rag_chat.py
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

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
    Terminator,
    join_text,
)

# The protocol


class Source(BaseModel):
    chunk_id: str
    document_name: str
    text: str
    score: float


class Update(BaseModel):
    """All keys that an event may have. The keys that are present give the event its meaning."""

    stage: str | None = None
    token: str | None = None
    sources: list[Source] = []
    quality_score: float | None = None
    follow_up_questions: list[str] = []
    metadata: dict[str, Any] = {}


RAG = Dialect(
    events=Update,
    terminator=Terminator(data="[DONE]"),
    errors=ErrorEvent(field="error", message="error"),
    fold=join_text(lambda update: update.token),
    initial="",
)


# The client

# Three attempts, with delays of 1 and 2 s.
RETRY = RetryPolicy(max_retries=2, initial_delay=1.0, jitter=0.0)


def connect(url: str, retry: RetryPolicy = RETRY) -> AsyncSSEClient:
    return AsyncSSEClient(base_url=url, retry=retry, timeout=60.0)


class Chat:
    """One conversation. A new question cancels the reply to the previous one."""

    def __init__(self, client: AsyncSSEClient, session_id: str) -> None:
        self._client = client
        self._session_id = session_id
        self._stream: AsyncEventStream[Update] | None = None
        self._turn = anyio.Lock()

    async def ask(self, message: str, on: Handlers) -> None:
        """Return when the reply is complete, or cancelled by the next question; raise if it fails."""
        body = {"message": message, "session_id": self._session_id}
        running, self._stream = self._stream, self._client.post("/api/chat/stream", json=body, dialect=RAG)
        stream = self._stream
        if running is not None:
            await running.aclose()
        async with self._turn:  # the last callback for the old question runs before the first one for the new question
            await stream.dispatch(on)


@dataclass
class Page:
    """The user's view of one reply: each part is filled by its own callback."""

    stage: str = ""
    text: str = ""
    sources: list[str] = field(default_factory=list[str])
    quality: float | None = None
    follow_ups: list[str] = field(default_factory=list[str])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    ending: Literal["", "complete", "cancelled", "failed"] = ""

    def handlers(self) -> Handlers:
        on = Handlers()

        @on.batch(Update, interval=0.05)
        def draw(updates: list[Update]) -> None:
            self.text += "".join(update.token or "" for update in updates)

        @on.field("stage")
        def show_stage(stage: str) -> None:
            self.stage = stage

        @on.field("sources")
        def show_sources(sources: list[dict[str, Any]]) -> None:
            self.sources = [source["document_name"] for source in sources]

        @on.field("quality_score")
        def show_quality(score: float) -> None:
            self.quality = score

        @on.field("follow_up_questions")
        def show_follow_ups(questions: list[str]) -> None:
            self.follow_ups = questions

        @on.field("metadata")
        def show_metadata(metadata: dict[str, Any]) -> None:
            self.metadata = metadata

        # Exactly one of these three is called, once.
        @on.complete
        def complete() -> None:
            self.ending = "complete"

        @on.cancel
        def cancel() -> None:
            self.ending = "cancelled"

        @on.error
        def fail() -> None:
            self.ending = "failed"

        return on


# The server

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
    """Use the question itself as the only source."""
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
    """Yield the events, and a comment whenever no event came for a while."""
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


# Both together


def main() -> None:
    with running(app) as url:
        asyncio.run(talk(url))


async def talk(url: str) -> None:
    async with connect(url) as client, asyncio.TaskGroup() as tasks:
        chat, first, second = Chat(client, "s1"), Page(), Page()
        tasks.create_task(chat.ask("This question is cancelled by the next one. " * 20, first.handlers()))
        await asyncio.sleep(0.4)
        await chat.ask("And what is in this one?", second.handlers())
        print(f"{first.ending}: {len(first.text.split())} words", second, sep="\n")


if __name__ == "__main__":
    main()
