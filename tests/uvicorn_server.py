"""A FastAPI application on uvicorn, on loopback: a server like those of real applications."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Self

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

# Between two events, in seconds: longer than a burst lasts.
PAUSE = 0.03

# Set by a reader that has the first event of `/chat`.
first_is_read = threading.Event()

app = FastAPI()


def stream(events: AsyncIterator[str], **headers: str) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache", **headers})


@app.api_route("/echo", methods=["GET", "POST", "PUT"])
async def echo(request: Request) -> StreamingResponse:
    """Return the request as an event."""
    body = (await request.body()).decode(errors="replace")
    told = {"method": request.method, "query": request.url.query, "headers": dict(request.headers), "body": body}

    async def events() -> AsyncIterator[str]:
        yield f": hello\n\nevent: request\nid: 1\ndata: {json.dumps(told)}\n\n"
        yield 'event: bye\ndata: {"type": "done"}\n\n'

    return stream(events())


@app.api_route("/chat", methods=["GET", "POST"])
async def chat(count: int = 10, patience: float = 0.0, silence: float = 0.0, accel: str = "") -> StreamingResponse:
    """Return events one at a time: wait for the reader of the first, and report that in the last."""

    async def events() -> AsyncIterator[str]:
        first_is_read.clear()
        yield 'id: 1\ndata: {"n": 1}\n\n'
        was_read = patience > 0 and await asyncio.to_thread(first_is_read.wait, patience)
        for number in range(2, count + 1):
            await asyncio.sleep(PAUSE)
            yield f'id: {number}\ndata: {{"n": {number}}}\n\n'
        await asyncio.sleep(silence or PAUSE)
        yield f"event: done\ndata: {json.dumps({'was_read': was_read})}\n\n"

    return stream(events(), **({"X-Accel-Buffering": accel} if accel else {}))


@app.get("/feed")
async def feed(request: Request) -> Response:
    """Return an event for each connection, and after the third a 204."""
    last = int(request.headers.get("last-event-id", "0"))
    if last >= 3:
        return Response(status_code=204)

    async def events() -> AsyncIterator[str]:
        yield f"retry: 10\nid: {last + 1}\ndata: {last + 1}\n\n"

    return stream(events())


class UvicornServer:
    """Runs the application in a thread."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.bind((host, 0))
        self._socket.listen()
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
