"""
The connection of an async stream: `sync_connection.py` with `await`, on asyncio and trio.

A response is closed at a known moment, and in a shielded scope. No cancel scope outlives one step.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from math import inf
from types import ModuleType
from typing import Any

import anyio

from .._core.observing import Telemetry
from .._core.plan import Plan
from .._core.steps import Connect, Drain, Read, ReadBody, Step, Stop, Wait
from .._dialect import Dialect
from .._request import Headers
from .._typed import S, T
from .bodies import apieces_of, turn_to_body
from .hooks import asend
from .http import (
    DeadlineReached,
    aresolve,
    build_request,
    head_of,
    is_http2,
    is_woken_by_closing,
    set_read_timeout_below,
)
from .http2 import AsyncHttp2Stream
from .stream import BaseStream
from .waking import Channel

# httpcore receives 64 KiB at a time, and a chunk of one byte takes six.
MAX_BUFFERED_PIECES = 11_000


class AsyncConnection(BaseStream[T, S]):
    """A stream that executes the steps of its session: it connects, waits and closes."""

    def __init__(
        self,
        plan: Plan,
        library: ModuleType,
        dialect: Dialect[Any, Any],
        client: Any,
        headers: Any,
        response: Any = None,
        *,
        comments: bool = False,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(plan, library, dialect, client, headers, response, comments=comments, telemetry=telemetry)
        self._is_entered = response is not None
        self._pieces: AsyncIterator[bytes] | None = None  # of the body, until it has ended
        self._next_piece: Callable[[], Awaitable[bytes]]
        self._scope: anyio.CancelScope | None = None  # cancelled by aclose() while a step waits in it
        self._reads_freely = False
        self._http2 = AsyncHttp2Stream()
        self._is_silent = False  # whether the last wait for the server was given up
        self._read_timeout = inf  # if the transport must not have one, because its timeout would end other streams too

    async def _do(self, step: Step) -> None:
        """Execute a step other than `Read`. Raises the error that ends the stream."""
        match step:
            case Connect():
                await self._connect(step)
            case Wait(seconds):
                await self._close_response()
                with self._cancellable(self._clock.wait(seconds)):
                    await anyio.sleep_forever()
            case ReadBody(size, seconds):
                body = await self._read_up_to(size, seconds)
                await self._close_response()
                self._session.refused(body, self._now())
            case Drain(size, seconds):
                await self._read_up_to(size, seconds)
                self._session.drained(self._now())
            case Stop(error):
                with anyio.CancelScope(shield=True):
                    await self._close_response()
                self._end_reading(error)
                if error is not None:
                    self._complete(error)
                    raise error
            case Read():
                raise AssertionError(step)

    async def _connect(self, step: Connect) -> None:
        await self._close_response()
        session = self._session
        self._channel = channel = Channel()
        if self._is_silent:
            self._http2.retire()
        self._http2 = http2 = AsyncHttp2Stream()
        self._read_timeout = inf
        self._is_silent = False
        response, self._given = self._given, None
        if response is None:
            headers = await self._headers_of(step)
            try:
                response = await self._send(step, headers)
            except self._errors as error:
                self._not_answered(error)
                return
        elif is_http2(response):
            http2.follow(response.request)
        self._response = response
        if session.has_deadlines:
            channel.responded(response)  # it takes anyio a while to look for the socket
        pieces: AsyncIterator[bytes] = self._recorded(response, apieces_of(response))
        self._pieces = pieces
        self._next_piece = pieces.__anext__
        # Otherwise each read needs a cancel scope, which costs as much as the read.
        self._reads_freely = is_woken_by_closing(response) and (channel.is_armed or not session.has_deadlines)
        session.responded(head_of(response), self._now())

    async def _headers_of(self, step: Connect) -> tuple[Headers | None, ...] | None:
        """Return the headers; `None` if the stream was closed or `total` ran out before they were available."""
        with self._cancellable(self._session.total_deadline - self._now()):
            return await aresolve(self._client_headers), await aresolve(step.request.headers)
        return None

    async def _send(self, step: Connect, headers: tuple[Headers | None, ...] | None) -> Any:
        if headers is None:
            raise DeadlineReached("the headers of the request did not come in time")
        request = build_request(self._client, self._library, step, headers)
        attempt = self._attempt(request, step)
        deadline = attempt.deadline
        with self._cancellable(attempt.left) as scope:

            async def trace(name: str, info: dict[str, Any]) -> None:
                nonlocal deadline
                left_open = attempt.note(name, info)
                if left_open is not None:
                    with anyio.CancelScope(shield=True):
                        await left_open.aclose()
                if attempt.deadline != deadline:
                    deadline = attempt.deadline
                    scope.deadline = anyio.current_time() + attempt.left

            request.extensions["trace"] = trace
            self._http2.follow(request)
            with self._sending(request, step):
                response = await asend(self._client, request, step, self._hooks)
            read_timeout = self._session.read_timeout(self._now(), is_watched=True)
            if is_http2(response) and read_timeout is not None:
                self._read_timeout, read_timeout = read_timeout, None
            turn_to_body(request, response, read_timeout)
            set_read_timeout_below(response, read_timeout)
            return response
        self._is_silent = True
        raise DeadlineReached("no headers came in time")

    @contextmanager
    def _cancellable(self, seconds: float) -> Generator[anyio.CancelScope]:
        """A scope that is cancelled after this number of seconds, or by `aclose()`."""
        self._clock.limit(seconds)
        with anyio.CancelScope(deadline=anyio.current_time() + seconds) as scope:
            self._scope = scope
            try:
                yield scope
            finally:
                self._scope = None

    async def _read(self) -> bytes:
        """Read, if closing the response or shutting down its socket wakes the reader."""
        self._clock.watch(self._channel, self._session.deadline)
        data = await self._next_piece()
        self._channel.deadline = inf  # the clocks stand still while the user handles an event
        return data

    async def _read_in_scope(self) -> bytes:
        """Read in a cancel scope, if only a cancellation can end a read."""
        session = self._session
        # A deadline that is not infinite costs a timer.
        seconds = session.deadline - self._now() if session.has_deadlines else inf
        limit = seconds if self._http2.has_events else min(seconds, self._read_timeout)
        with self._cancellable(limit):
            return await self._next_piece()
        if limit < seconds and not session.is_closing:
            self._http2.retire()
            raise TimeoutError("no byte came in time")
        self._is_silent = True
        raise DeadlineReached("no byte came in time")

    async def _read_up_to(self, size: int, seconds: float) -> bytes:
        """Read the body to its end or to either limit. Errors no longer matter."""
        body = bytearray()
        if self._pieces is not None:
            with self._cancellable(seconds), suppress(*self._errors):
                async for piece in self._pieces:
                    body += piece
                    if len(body) >= size:
                        break
                else:
                    self._pieces = None
        return bytes(body[:size])

    async def _close_response(self) -> None:
        response, self._response = self._response, None
        pieces, self._pieces = self._pieces, None
        self._channel.release()
        if response is None:
            return
        with suppress(*self._errors):
            await response.aclose()
        if pieces is not None:
            await _unwind(pieces, self._errors)


async def _unwind(pieces: AsyncIterator[bytes], errors: tuple[type[Exception], ...]) -> None:
    """
    Finish httpx's nested generators now; trio warns about each one that is left to the garbage collector.

    This reads on until the closed connection raises inside the innermost generator, after its buffered data. A read
    that would wait is cancelled. If neither happens, it stops after as many pieces as a buffer can hold.
    """
    with anyio.CancelScope(shield=True) as scope, suppress(*errors, StopAsyncIteration):
        scope.cancel()
        for _ in range(MAX_BUFFERED_PIECES):
            await pieces.__anext__()
