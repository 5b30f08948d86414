"""
Printer AI: the kind of an event is its name, and two names may mean the same.

It shows types by event name, the sync client with callbacks, the three states of a screen, one callback with the
complete reply, and the partial result of a reply that breaks off.

    python examples/apps/printer_ai.py
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeAlias

from _serving import running
from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from sse_client import Dialect, ErrorEvent, Handlers, Named, RetryPolicy, SSEClient, StreamError, Terminator

# The protocol


class StreamStart(BaseModel):
    status: Literal["streaming"] = "streaming"


class Conversation(BaseModel):
    conversation_id: str


class Token(BaseModel):
    token: str


class StreamEnd(BaseModel):
    message_id: str
    status: Literal["complete"] = "complete"


ChatEvent: TypeAlias = (
    Annotated[StreamStart, Named("stream_start")]
    | Annotated[Conversation, Named("conversation_id")]
    | Annotated[Token, Named("message", "data")]
    | Annotated[StreamEnd, Named("stream_end")]
)


@dataclass(frozen=True)
class Reply:
    """The result of a stream."""

    text: str = ""
    conversation_id: str = ""
    message_id: str = ""


def add(reply: Reply, event: ChatEvent) -> Reply:
    match event:
        case Token(token=token):
            return replace(reply, text=reply.text + token)
        case Conversation(conversation_id=conversation_id):
            return replace(reply, conversation_id=conversation_id)
        case StreamEnd(message_id=message_id):
            return replace(reply, message_id=message_id)
        case StreamStart():
            return reply


PRINTER_AI = Dialect(
    events=ChatEvent,
    terminator=Terminator(event="stream_end"),
    errors=ErrorEvent(event="error", message="error"),
)


# The client

# Three attempts, with delays of 1 and 2 s.
RETRY = RetryPolicy(max_retries=2, initial_delay=1.0, jitter=0.0)


def connect(url: str, retry: RetryPolicy = RETRY) -> SSEClient:
    return SSEClient(base_url=url, headers={"Authorization": "Bearer test-token"}, retry=retry)


def ask(
    client: SSEClient, message: str, on: Handlers, on_complete: Callable[[str, str, str], None], conversation: str = ""
) -> None:
    """Ask. If the reply breaks off, raise an error that has the reply so far as `partial`."""
    body: dict[str, Any] = {"user_message": message, "context_node_ids": [], "project_id": "p1", "chat_node_id": "n1"}
    if conversation:
        body["conversation_id"] = conversation
    with client.post("/api/chat/stream", json=body, dialect=PRINTER_AI) as stream:
        # The server sends the conversation's ID with its first message only.
        reply = stream.accumulate(add, Reply(conversation_id=conversation))
        stream.dispatch(on)
    if stream.outcome == "completed":
        whole = reply.snapshot
        on_complete(whole.text, whole.conversation_id, whole.message_id)


@dataclass
class Screen:
    """The user's view."""

    state: Literal["waiting", "streaming", "complete"] = "waiting"
    text: str = ""

    def handlers(self) -> Handlers:
        on = Handlers()

        @on.batch(Token, interval=0.016)
        def draw(tokens: list[Token]) -> None:
            self.state = "streaming"  # at the first token: the events before it mean nothing to the user
            self.text += "".join(token.token for token in tokens)

        @on.complete
        def complete() -> None:
            self.state = "complete"  # not at `stream_end`: the last tokens may not be drawn yet

        return on


# The server

app = FastAPI()


class Question(BaseModel):
    user_message: str
    context_node_ids: list[str]
    project_id: str
    chat_node_id: str
    conversation_id: str | None = None


@app.post("/api/chat/stream")
async def chat(question: Question, authorization: Annotated[str, Header()] = "") -> StreamingResponse:
    if authorization != "Bearer test-token":
        raise HTTPException(401, "sign in first")
    return StreamingResponse(answer(question), media_type="text/event-stream")


async def answer(question: Question) -> AsyncIterator[str]:
    """Repeat the message, spaces included. At the word "jam" the paper jams, and the stream stops."""
    yield event("stream_start", StreamStart())
    if question.conversation_id is None:
        yield event("conversation_id", Conversation(conversation_id="c1"))
    words = question.user_message.split(" ")
    for index, word in enumerate(words):
        await asyncio.sleep(0.02)
        yield event("data" if index % 2 else "message", Token(token=f" {word}" if index else word))
        if word == "jam":
            return
    yield event("stream_end", StreamEnd(message_id="m1"))


def event(name: str, value: BaseModel) -> str:
    """Write the data over several lines, which the parser joins."""
    lines = value.model_dump_json(indent=1).split("\n")
    return f"event: {name}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


# Both together


def main() -> None:
    with running(app) as url, connect(url) as client:
        screen = Screen()
        ask(client, "Print  two  copies,  please.", screen.handlers(), show)
        print(f"{screen.state}: {screen.text!r}")

        screen = Screen()
        try:
            ask(client, "There will be a jam before the end.", screen.handlers(), show, conversation="c1")
        except StreamError as error:
            print(f"{screen.state}: {error}")
            print(f"all there is: {error.partial}")


def show(text: str, conversation_id: str, message_id: str) -> None:
    print(f"{conversation_id}/{message_id}: {len(text)} characters")


if __name__ == "__main__":
    main()
