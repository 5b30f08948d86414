"""
A transport for a client of httpx or httpx2 that plays the scripts of `EventServer` without a socket or waiting.

The bytes of a script go through h11, like those that httpx's own transport reads: a cut chunk, a missing byte or a
broken head causes the same error with the same text. Nothing waits: a `Pause` advances the virtual time of the stream
that reads, and so do the delays between its attempts. Without a stream of sse_client, there is no virtual time, and
pauses take no time at all.
"""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from math import inf
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.lowlevel
import h11
import httpx

from sse_client._shells.http import library_of
from sse_client._shells.time import VIRTUAL_TIME, VirtualTime
from sse_client.testing._script import (
    Close,
    Headers,
    Pause,
    PlayedStep,
    RecordedRequest,
    Script,
    Scripts,
    ends_connection,
    wire,
)

if TYPE_CHECKING:
    import httpx2

    class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport, httpx2.BaseTransport, httpx2.AsyncBaseTransport):
        """A transport of both libraries, sync and async."""

        def handle_request(self, request: Any) -> Any: ...
        async def handle_async_request(self, request: Any) -> Any: ...
else:

    class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
        """The base classes that httpx requires; httpx2 does not check a transport's class."""


MAX_HEAD = 100 * 1024  # bytes: httpcore's own bound

# In real time: long enough for another thread or task to close the stream, and shorter than a test may take.
PATIENCE = 3.0


def scripted_transport(*scripts: Script) -> "ScriptedTransport":
    """
    Return a transport that plays a script, like `EventServer`, without a socket and without waiting.

    Pass it to a client of httpx or httpx2, sync or async: `httpx.Client(transport=scripted_transport(answer))`. An
    exception of a function of the script is raised by the request, so a function can raise `httpx.ConnectError` for a
    server that cannot be reached.

    Time is virtual: the clocks and retry delays of an `sse_client` stream pass at once. A `Pause` that would never end
    raises `RuntimeError`: if no clock runs out, another thread or task has three real seconds to close the stream.

    The transport can also be called with a request, so it works as a `side_effect` of respx.
    """
    return ScriptedTransport(*scripts)


class ScriptedTransport(Transport):
    """A transport that plays a script, made by `scripted_transport()`."""

    def __init__(self, *scripts: Script) -> None:
        self.requests: list[RecordedRequest] = []
        """All requests so far, in the order of arrival; each counts as a separate connection."""
        self._scripts = Scripts(scripts)

    def __repr__(self) -> str:
        count = len(self.requests)
        return f"<{type(self).__name__} {self._scripts}, {count} request{'' if count == 1 else 's'}>"

    def __call__(self, request: Any) -> Any:
        """Return the response to a request, sync or async, whose body has been read."""
        with self._begun(request) as exchange:
            while not exchange.has_head:
                if not exchange.advance():
                    exchange.wait_for_ever()
            return exchange.response()

    def handle_request(self, request: Any) -> Any:
        """Return the response to a request of a sync client."""
        request.read()
        return self(request)

    async def handle_async_request(self, request: Any) -> Any:
        """Return the response to a request of an async client."""
        await request.aread()
        await anyio.lowlevel.checkpoint()
        with self._begun(request) as exchange:
            while not exchange.has_head:
                if not exchange.advance():
                    await await_for_ever()
            return exchange.response()

    @contextmanager
    def _begun(self, request: Any) -> "Generator[_Exchange]":
        exchange = _Exchange(request, len(self.requests) + 1)
        self.requests.append(exchange.recorded)
        try:
            answer = self._scripts.answer(exchange.recorded, len(self.requests))
            exchange.steps = wire(answer, exchange.recorded)
            exchange.end = Close.FIN if ends_connection(answer, exchange.recorded) else Pause(inf)
            yield exchange
        except BaseException:
            exchange.close()
            raise


WAITED = (
    "the script pauses for ever, and nothing would end the pause: no timeout is set that would run out, and the stream "
    f"was not closed within {PATIENCE:g} s"
)


async def await_for_ever() -> NoReturn:
    """Wait for a cancellation: in a task, that is how a stream is closed."""
    with anyio.move_on_after(PATIENCE):
        await anyio.sleep_forever()
    raise RuntimeError(WAITED)


class _Exchange:
    """A request and its response, on a connection of their own."""

    def __init__(self, request: Any, number: int) -> None:
        self._library = library_of(request, "Request")
        self._request = request
        use_virtual_time = request.extensions.get(VIRTUAL_TIME)
        self._time: VirtualTime | None = None if use_virtual_time is None else use_virtual_time()()
        self._silence = 0.0  # seconds since the last byte
        self._head: h11.Response | None = None
        self._pieces: list[bytes] = []
        self._is_over = False
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._send()
        headers = ((name.decode(), value.decode(errors="surrogateescape")) for name, value in request.headers.raw)
        target = request.url.raw_path.decode()
        self.recorded = RecordedRequest(request.method, target, Headers(headers), request.content, number)
        if self._time is not None:
            self.recorded.received_at = self._time.now()
        self.steps: Iterator[PlayedStep] = iter(())
        self.end: Close | Pause = Close.FIN  # played after the steps

    @property
    def has_head(self) -> bool:
        return self._head is not None

    def response(self) -> Any:
        """Return the response, whose body is read later."""
        assert self._head is not None
        match event := self._received():
            case h11.EndOfMessage():
                self._finish()  # without a body
            case h11.Data():
                self._pieces.append(bytes(event.data))
            case _:
                pass
        return self._library.Response(
            self._head.status_code,
            headers=self._head.headers.raw_items(),
            stream=body_class(self._library)(self),
            extensions={"http_version": b"HTTP/" + self._head.http_version, "reason_phrase": self._head.reason},
        )

    def read(self) -> bytes | None:
        """Return the next piece of the body: `b""` if the script pauses for ever, `None` at the end."""
        while not self._pieces:
            if self._is_over:
                return None
            if not self.advance():
                return b""
        return self._pieces.pop(0)

    def advance(self) -> bool:
        """Play at most one more step; return `False` if the script pauses for ever."""
        match event := self._received():
            case h11.Response():
                self._head = event
                self._silence = 0.0
            case h11.Data():
                self._pieces.append(bytes(event.data))
            case h11.EndOfMessage():
                self._finish()
            case h11.NEED_DATA:
                return self._play(next(self.steps, self.end))
            case _:
                pass  # a 1xx response
        return True

    def wait_for_ever(self) -> NoReturn:
        """Wait until another thread closes the stream."""
        if self._time is None or self._time.wait_until_closed is None:
            raise RuntimeError("the script pauses for ever, and no timeout would end the pause")
        if not self._time.wait_until_closed(PATIENCE):
            raise RuntimeError(WAITED)
        raise self._library.ReadError("the stream was closed")

    def close(self) -> None:
        self.recorded.done.set()

    def _finish(self) -> None:
        """Record the end of the body, and call the callables after it; the client does not wait for them."""
        self._is_over = self.recorded.responded = True
        for step in self.steps:
            if isinstance(step, Pause | Close):
                break
            if not isinstance(step, bytes):
                step()
        self.close()

    def _send(self) -> None:
        """Pass the request to h11, which checks it and needs it to read the response."""
        request = self._request
        try:
            self._connection.send(
                h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            )
            self._connection.send(h11.Data(data=request.content))
            self._connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise self._library.LocalProtocolError(str(error)) from error

    def _received(self) -> Any:
        try:
            return self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise self._library.RemoteProtocolError(str(error)) from error

    def _play(self, step: Any) -> bool:
        match step:
            case bytes():
                if self._time is None or self._head is not None:
                    self._silence = 0.0  # a part of the head does not reset the clock `response`
                self._connection.receive_data(step)
            case Pause(seconds):
                return self._pause(seconds)
            case Close.FIN:
                self.recorded.responded = True
                if self._connection.their_state is h11.SEND_RESPONSE:
                    raise self._library.RemoteProtocolError("the server disconnected without a response")
                self._connection.receive_data(b"")
            case Close.RST:
                self.recorded.responded = True
                raise self._library.ReadError("the connection was reset")
            case _:
                step()
        return True

    def _pause(self, seconds: float) -> bool:
        """Advance the time, at most to the first clock that runs out; return whether the pause has an end."""
        read_timeout = self._request.extensions.get("timeout", {}).get("read")
        left = inf if read_timeout is None else max(read_timeout - self._silence, 0.0)
        if self._time is not None:
            left = min(left, max(self._time.deadline - self._time.now(), 0.0))
        if seconds == left == inf:
            return False
        passed = min(seconds, left)
        self._silence += passed
        if self._time is not None:
            self._time.sleep(passed)
        if passed == left:
            raise self._library.ReadTimeout("the script pauses for longer than the client waits")
        return True


class _Body:
    """The body of a scripted response: a stream for sync and async clients."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._exchange.read()) is not None:
            yield piece or self._exchange.wait_for_ever()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(self._exchange)

    def close(self) -> None:
        self._exchange.close()

    async def aclose(self) -> None:
        self._exchange.close()


class _Pieces(AsyncIterator[bytes]):
    """The pieces of a body; a class, because an async generator would have to be closed."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        piece = self._exchange.read()
        if piece is None:
            raise StopAsyncIteration
        if not piece:
            await await_for_ever()
        return piece


@cache
def body_class(library: ModuleType) -> Any:
    """Return a class that the library's client accepts as a stream."""
    return type("ScriptedBody", (_Body, library.SyncByteStream, library.AsyncByteStream), {})
