"""
Theo: names, IDs, heartbeats, and a feed for many users; a reader that was cut off resumes after its last event.

It shows the user's own HTTP client with its cookies, a stream that reconnects with `Last-Event-ID`, a fold in which the
finished message replaces its pieces, and a server that sends to all connections of one user.

    python examples/apps/theo.py
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

import httpx
from _serving import running
from fastapi import BackgroundTasks, Cookie, FastAPI, Header, HTTPException, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from sse_client import AsyncSSEClient, Dialect, ErrorEvent, LastEventID, Named, Terminator

# The protocol


class Typing(BaseModel):
    is_typing: bool = Field(alias="isTyping")


class Chunk(BaseModel):
    content: str


class Message(BaseModel):
    id: str
    role: Literal["assistant", "user"]
    content: str


class Progress(BaseModel):
    percent: int


class Notification(BaseModel):
    text: str


class Done(BaseModel):
    pass


ChatEvent: TypeAlias = (
    Annotated[Typing, Named("typing")]
    | Annotated[Chunk, Named("chunk")]
    | Annotated[Message, Named("message")]
    | Annotated[Progress, Named("progress")]
    | Annotated[Notification, Named("notification")]
    | Annotated[Done, Named("done")]
)


def add(text: str, event: ChatEvent) -> str:
    match event:
        case Chunk(content=piece):
            return text + piece
        case Message(content=whole):
            return whole
        case _:
            return text


THEO = Dialect(
    events=ChatEvent,
    terminator=Terminator(event="done"),
    errors=ErrorEvent(event="error", message="message", code="code"),
    pings={"heartbeat"},
    resume=LastEventID(),
    fold=add,
    initial="",
)


# The client


async def follow(http: httpx.AsyncClient, conversation: str, question: str) -> str:
    """Listen, ask, and return the complete reply, even if the connection is lost in between."""
    client = AsyncSSEClient(http_client=http)
    async with client.get(f"/api/chat/conversations/{conversation}/stream", dialect=THEO) as stream:
        await http.post(f"/api/chat/conversations/{conversation}/messages", json={"content": question})
        reply = stream.accumulate(add, "")
        async for event in reply:
            match event:
                case Chunk(content=piece):
                    print(piece, end="", flush=True)
                case Notification(text=text):
                    print(f"[{text}] ", end="", flush=True)
                case _:
                    pass
        print(f"\n{stream.stats.events} events over {stream.stats.connections} connections, to {stream.last_event_id}")
        return reply.snapshot


# The server


@dataclass(eq=False)
class Connection:
    """One reader: the keys that it listens to, and the events that are not sent to it yet."""

    keys: tuple[str, ...]
    pending: asyncio.Queue[tuple[str, str]] = field(default_factory=asyncio.Queue[tuple[str, str]])
    """The name of each event, and the event as text."""


class Connections:
    """
    The readers of each key. Events are numbered across all keys, so that one ID is enough to resume all of them.

    Sent events are kept for readers that reconnect; a real server would keep the last hour.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, set[Connection]] = {}
        self._sent: list[tuple[str, str, str]] = []

    def register(self, *keys: str, last_event_id: str = "") -> Connection:
        """Listen to the keys from now on, or after the event with this ID (`msg-7`)."""
        connection = Connection(keys)
        for key in keys:
            self._by_key.setdefault(key, set()).add(connection)
        number = last_event_id.removeprefix("msg-")
        if number.isascii() and number.isdigit():
            for key, name, event in self._sent[int(number) :]:
                if key in keys:
                    connection.pending.put_nowait((name, event))
        return connection

    def unregister(self, connection: Connection) -> None:
        for key in connection.keys:
            self._by_key[key].discard(connection)
            if not self._by_key[key]:
                del self._by_key[key]

    def broadcast(self, key: str, name: str, data: dict[str, Any]) -> int:
        """Send an event to all connections of the key; return how many there are."""
        event = f"event: {name}\nid: msg-{len(self._sent) + 1}\ndata: {json.dumps(data)}\n\n"
        self._sent.append((key, name, event))
        for connection in self._by_key.get(key, ()):
            connection.pending.put_nowait((name, event))
        return self.count(key)

    def count(self, key: str) -> int:
        return len(self._by_key.get(key, ()))

    def keys(self) -> list[str]:
        return sorted(self._by_key)


SESSIONS = {"test-session": 42}
"""The users by their session cookie."""


class Question(BaseModel):
    content: str


def create_app(
    connections: Connections, *, retry: int = 3000, heartbeat: float = 30.0, cut_after: int | None = None
) -> FastAPI:
    """
    Make the server.

    `retry` is the delay before clients reconnect, in milliseconds; `heartbeat` is in seconds. With `cut_after`, each
    connection breaks off after that many events.
    """
    app = FastAPI()

    @app.post("/api/session", status_code=204)
    async def sign_in(response: Response) -> None:
        response.set_cookie("session", "test-session", httponly=True)

    @app.get("/api/chat/conversations/{conversation}/stream")
    async def stream(
        conversation: str, session: Annotated[str, Cookie()] = "", last_event_id: Annotated[str, Header()] = ""
    ) -> StreamingResponse:
        if session not in SESSIONS:
            raise HTTPException(401, "sign in first")
        keys = (f"user:{SESSIONS[session]}", f"conversation:{conversation}")
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        return StreamingResponse(feed(keys, last_event_id), media_type="text/event-stream", headers=headers)

    async def feed(keys: tuple[str, ...], last_event_id: str) -> AsyncIterator[str]:
        connection = connections.register(*keys, last_event_id=last_event_id)
        sent = 0
        try:
            yield f"retry: {retry}\n\n"
            while sent != cut_after:
                try:
                    name, event = await asyncio.wait_for(connection.pending.get(), heartbeat)
                except TimeoutError:
                    name, event = "heartbeat", "event: heartbeat\ndata: {}\n\n"
                else:
                    sent += 1
                yield event
                if name == "done":
                    return
        finally:
            connections.unregister(connection)
        raise ConnectionResetError("a cable is pulled")

    @app.post("/api/chat/conversations/{conversation}/messages", status_code=202)
    async def post_message(conversation: str, question: Question, background: BackgroundTasks) -> None:
        background.add_task(reply, f"conversation:{conversation}", question.content)

    async def reply(key: str, question: str) -> None:
        """Repeat the question, word by word, then all of it in capitals."""
        words = question.split()
        connections.broadcast(key, "typing", {"isTyping": True})
        for index, word in enumerate(words, 1):
            await asyncio.sleep(0.02)
            connections.broadcast(key, "chunk", {"content": f"{word} "})
            connections.broadcast(key, "progress", {"percent": 100 * index // len(words)})
        connections.broadcast(key, "message", {"id": "m1", "role": "assistant", "content": question.upper()})
        connections.broadcast(key, "done", {})

    @app.post("/api/users/{user}/notifications")
    async def notify(user: int, text: str) -> dict[str, int]:
        return {"reached": connections.broadcast(f"user:{user}", "notification", {"text": text})}

    return app


# Both together


def main() -> None:
    with running(create_app(Connections(), retry=100, cut_after=5)) as url:
        asyncio.run(talk(url))


async def talk(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http, asyncio.TaskGroup() as tasks:
        await http.post("/api/session")  # its cookie stays in the client
        tasks.create_task(notify_soon(http))
        print(await follow(http, "c1", "a reader that was cut off reconnects and misses nothing"))


async def notify_soon(http: httpx.AsyncClient) -> None:
    await asyncio.sleep(0.15)
    await http.post("/api/users/42/notifications", params={"text": "you have mail"})


if __name__ == "__main__":
    main()
