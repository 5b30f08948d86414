"""
WisQu: pieces of text, then the metadata. The fields of an event give its type, and there is no `[DONE]`.

It shows types that are resolved by their fields, and a fallback for when streaming does not work at all, for example
behind a proxy that breaks it: the same question is sent again for a reply in one piece of JSON, but only if no text was
shown yet. Once in sync and once in async code.

    python examples/apps/wisqu.py
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Annotated, Any, Self, TypeAlias

from _serving import running
from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from sse_client import AsyncSSEClient, Dialect, ErrorEvent, SSEClient, SSEError, Terminator

# The protocol


class Content(BaseModel):
    content: str


class Metadata(BaseModel):
    message_id: str
    usage: dict[str, int]


class Reply(BaseModel):
    """The complete reply: the result of a stream, and the response to a request without streaming."""

    content: str = ""
    message_id: str = ""
    usage: dict[str, int] = {}


ChatEvent: TypeAlias = Content | Metadata


def add(reply: Reply, event: ChatEvent) -> Reply:
    match event:
        case Content(content=text):
            return reply.model_copy(update={"content": reply.content + text})
        case Metadata(message_id=message_id, usage=usage):
            return reply.model_copy(update={"message_id": message_id, "usage": usage})


WISQU = Dialect(
    events=ChatEvent,
    terminator=Terminator(field="message_id"),
    errors=ErrorEvent(field="error", message="error"),
)


# The client

CHAT = "/api/v1/chat/"
"""With the slash at its end. Without it, the server redirects here, and the client follows."""

TIMEOUT = 30.0
"""Seconds for the complete reply."""


class Buffer:
    """Draws text in pieces of ten characters or more, and the rest at the end of the block, however it ends."""

    def __init__(self, draw: Callable[[str], object]) -> None:
        self._draw = draw
        self._text = ""

    def add(self, text: str) -> None:
        self._text += text
        if len(self._text) >= 10:
            self._flush()

    def _flush(self) -> None:
        text, self._text = self._text, ""
        if text:
            self._draw(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._flush()


def question(message: str, *, stream: bool) -> dict[str, Any]:
    return {"conversation_id": "c1", "message": message, "stream": stream}


def ask(client: SSEClient, message: str, draw: Callable[[str], object]) -> Reply:
    stream = client.post(CHAT, json=question(message, stream=True), dialect=WISQU)
    try:
        with stream, Buffer(draw) as screen:
            reply = stream.accumulate(add, Reply())
            for event in reply:
                if isinstance(event, Content):
                    screen.add(event.content)
            return reply.snapshot
    except SSEError:
        if stream.stats.events:
            raise  # some text was already shown
    [whole] = client.post(CHAT, json=question(message, stream=False), events=Reply, accept_json=True)
    draw(whole.content)
    return whole


async def ask_async(client: AsyncSSEClient, message: str, draw: Callable[[str], object]) -> Reply:
    stream = client.post(CHAT, json=question(message, stream=True), dialect=WISQU)
    try:
        async with stream:
            reply = stream.accumulate(add, Reply())
            with Buffer(draw) as screen:
                async for event in reply:
                    if isinstance(event, Content):
                        screen.add(event.content)
            return reply.snapshot
    except SSEError:
        if stream.stats.events:
            raise  # some text was already shown
    async with client.post(CHAT, json=question(message, stream=False), events=Reply, accept_json=True) as answer:
        [whole] = [each async for each in answer]
    draw(whole.content)
    return whole


# The server

app = FastAPI()


class Question(BaseModel):
    conversation_id: str
    message: str
    stream: bool


@app.post(CHAT)
async def chat(question: Question, authorization: Annotated[str, Header()] = "") -> Response:
    """Repeat the message. With "no stream" in it, the response is that of a proxy that breaks streaming."""
    if authorization != "Bearer test-token":
        raise HTTPException(401, "sign in first")
    usage = {"words": len(question.message.split())}
    if not question.stream:
        return JSONResponse({"content": question.message, "message_id": "m1", "usage": usage})
    if "no stream" in question.message:
        return Response("<h1>Bad gateway</h1>", 502, media_type="text/html", headers={"x-should-retry": "false"})
    return StreamingResponse(answer(question.message, usage), media_type="text/event-stream")


async def answer(message: str, usage: dict[str, int]) -> AsyncIterator[str]:
    for character in message:
        await asyncio.sleep(0.002)
        yield event(Content(content=character))
    yield event(Metadata(message_id="m1", usage=usage))


def event(value: BaseModel) -> str:
    return f"data: {value.model_dump_json()}\n\n"


# Both together

HEADERS = {"Authorization": "Bearer test-token"}


def main() -> None:
    with running(app) as url:
        with SSEClient(base_url=url, headers=HEADERS, timeout=TIMEOUT) as client:
            show("sync", ask(client, "السلام عليكم ورحمة الله وبركاته", draw))
            show("fallback", ask(client, "There is no stream today, so this comes in one piece.", draw))
        asyncio.run(main_async(url))


async def main_async(url: str) -> None:
    async with AsyncSSEClient(base_url=url, headers=HEADERS, timeout=TIMEOUT) as client:
        show("async", await ask_async(client, "و عليكم السلام", draw))


def draw(text: str) -> None:
    print(text, end="|", flush=True)


def show(label: str, reply: Reply) -> None:
    print(f"\n{label}: {reply.message_id}, {len(reply.content)} characters, {reply.usage['words']} words")


if __name__ == "__main__":
    main()
