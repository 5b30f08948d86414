"""
The async client: `_sync.py` with `await`, on asyncio and trio.

The response is closed at a known moment, in a shielded scope, whether the stream ends, is left, is cancelled, or is
closed from another task. So there is no async generator in here, which the garbage collector would finish in a task
of its own; and no cancel scope outlives one `__anext__`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic
from types import TracebackType
from typing import Any, Self

import anyio
import httpx
from typing_extensions import Unpack

from ._client import (
    DEFAULT_RETRY,
    DEFAULT_TIMEOUTS,
    AsyncOptions,
    BaseClient,
    BaseStream,
    ReadOptions,
    made_for_this,
    plan_of,
)
from ._event import ServerSentEvent
from ._http import (
    Channel,
    DeadlineReached,
    apieces_of,
    aresolve,
    build_request,
    failure_of,
    head_of,
    library_of,
    send_options,
    set_read_timeout,
    transport_errors,
)
from ._request import AsyncHeadersSource, Headers
from ._retry import RetryPolicy
from ._session import Connect, Drain, Plan, Read, ReadBody, Step, Stop, Wait
from ._timeouts import Timeouts

# httpcore receives 64 KiB at a time, and a chunk of one byte takes six.
MAX_BUFFERED_PIECES = 11_000


class AsyncSSEClient(BaseClient):
    """
    A client that reads event streams, over httpx or httpx2, on asyncio or trio.

    As `SSEClient`, with an `httpx.AsyncClient` or `httpx2.AsyncClient` below it; `headers` may be an async function.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        headers: AsyncHeadersSource | None = None,
        auth: Any = None,
        http_client: Any = None,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        timeout: Timeouts | float | None = DEFAULT_TIMEOUTS,
        idempotency_key_header: str | None = None,
    ) -> None:
        super().__init__(headers=headers, retry=retry, timeout=timeout, idempotency_key_header=idempotency_key_header)
        self._owns_client = http_client is None
        if http_client is None:
            # A stream keeps its connection for minutes: httpx's limit of 100 would let the next one wait for it.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
            self._http_client: Any = httpx.AsyncClient(base_url=base_url or "", auth=auth, limits=limits)
            self._library = library_of(self._http_client, "AsyncClient")
        else:
            self._http_client = http_client
            self._library = library_of(http_client, "AsyncClient")
            made_for_this(self._library, base_url=base_url, auth=auth)

    def stream(self, method: str, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream":
        """
        Ask for an event stream; enter what is returned with `async with` to connect, and iterate it.

        Entering raises `ConnectionFailed`, `StatusError` or `ContentTypeError` where there is no stream to read.
        Iterating raises a `StreamError` where it does not end well.
        """
        plan = self._plan(method, url, options, is_subscription=False)
        return AsyncEventStream(plan, self._library, self._http_client, self._headers)

    def post(self, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream":
        """POST, and read the events that are answered; see `stream`."""
        return self.stream("POST", url, **options)

    def get(self, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream":
        """GET a stream of events; see `stream`."""
        return self.stream("GET", url, **options)

    def subscribe(self, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream":
        """
        Follow a feed that never ends, as a browser's `EventSource` does (WHATWG HTML, section 9.2.3).

        Comes back whenever the connection ends, in good order or not, after the server's `retry` or 3 s, for as long
        as it takes, and behind the last event. It ends with a 204, or an answer that no other attempt would better.
        """
        plan = self._plan("GET", url, options, is_subscription=True)
        return AsyncEventStream(plan, self._library, self._http_client, self._headers)

    async def aclose(self) -> None:
        """Close the HTTP client, where it was made here."""
        if self._owns_client:
            await self._http_client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncEventStream(BaseStream, AsyncIterator[ServerSentEvent]):
    """The events of one call, to be entered with `async with` and iterated once."""

    def __init__(self, plan: Plan, library: Any, client: Any, headers: Any, response: Any = None) -> None:
        super().__init__(plan, library)
        self._client = client
        self._client_headers = headers
        self._errors = transport_errors(library)
        self._given = response
        self._response: Any = None
        self._pieces: AsyncIterator[bytes] | None = None  # of the body, as long as it has not ended
        self._next_piece: Callable[[], Awaitable[bytes]]
        self._is_entered = response is not None
        self._is_busy = False
        self._scope: anyio.CancelScope | None = None  # what aclose() cancels, while a step waits inside of it
        self._needs_scope = False

    # Iterating -------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        self._check_entered()
        return self

    async def __anext__(self) -> ServerSentEvent:
        session = self._session
        for event in session.ready:
            return event
        self._begin()
        try:
            while True:
                if session.is_reading and not session.is_closing and not self._needs_scope:
                    # The way of nearly every piece, so without a coroutine more than it needs.
                    try:
                        data = await self._next_piece()
                    except StopAsyncIteration:
                        self._end()
                    except self._errors as error:
                        session.lost(failure_of(error, self._library), monotonic())
                    else:
                        session.received(data, monotonic())
                else:
                    step = session.next_step(monotonic())
                    if isinstance(step, Stop):
                        await self._stop(step)
                        raise StopAsyncIteration
                    await self._do(step)
                for event in session.ready:
                    return event
        except BaseException as error:
            await self._abandon(error)
            raise
        finally:
            self._is_busy = False

    async def __aenter__(self) -> Self:
        self._is_entered = True
        session = self._session
        self._begin()
        try:
            while not session.is_open:
                step = session.next_step(monotonic())
                if isinstance(step, Stop):
                    await self._stop(step)
                else:
                    await self._do(step)
        except BaseException as error:
            await self._abandon(error)
            raise
        finally:
            self._is_busy = False
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        session = self._session
        if self._is_busy:
            await self.aclose()  # another task is reading
            return
        session.leave(error, monotonic())
        with anyio.CancelScope(shield=True):
            while not isinstance(step := session.next_step(monotonic()), Stop):
                await self._do(step)
            await self._close_response()

    async def aclose(self) -> None:
        """
        End the stream: a loop over it ends, and no request goes out any more. From any task, any number of times.

        The response is closed when this returns.
        """
        session = self._session
        session.close()
        if self._scope is not None:
            self._scope.cancel()
        with anyio.CancelScope(shield=True):
            if not self._is_busy:
                session.closed(monotonic())
                await self._close_response()
            elif self._response is not None:
                # Wakes the task that is reading, which then cleans up.
                with suppress(*self._errors):
                    await self._response.aclose()

    def _check_entered(self) -> None:
        if not self._is_entered:
            raise RuntimeError("enter the stream first: async with client.post(…) as stream: async for event in stream")

    def _begin(self) -> None:
        self._check_entered()
        if self._is_busy:
            raise RuntimeError("another task is reading this stream")
        self._is_busy = True

    # Acting ----------------------------------------------------------------------------------------------------------

    async def _do(self, step: Step) -> None:
        """Do what the session says, short of stopping."""
        match step:
            case Read():
                await self._read()
            case Connect():
                await self._connect(step)
            case Wait(seconds):
                await self._close_response()
                with self._cancellable(seconds):
                    await anyio.sleep_forever()
            case ReadBody(size, seconds):
                body = await self._read_up_to(size, seconds)
                await self._close_response()
                self._session.refused(body, monotonic())
            case Drain(size, seconds):
                await self._read_up_to(size, seconds)
                self._session.drained(monotonic())
            case Stop():
                raise AssertionError("a stop is the end of doing")

    async def _stop(self, step: Stop) -> None:
        with anyio.CancelScope(shield=True):
            await self._close_response()
        if step.error is not None:
            raise step.error

    async def _abandon(self, error: BaseException) -> None:
        """Clean up behind an exception: ours, the user's, or a cancellation in the middle of a read."""
        self._session.leave(error, monotonic())
        if self._response is not None:
            with anyio.CancelScope(shield=True):
                await self._close_response()

    @contextmanager
    def _cancellable(self, seconds: float) -> Generator[anyio.CancelScope]:
        """A scope that ends after so many seconds, or by aclose()."""
        with anyio.CancelScope(deadline=anyio.current_time() + seconds) as scope:
            self._scope = scope
            try:
                yield scope
            finally:
                self._scope = None

    async def _read(self) -> None:
        """Read where there is a deadline, or a transport that does not wake a read whose response is closed."""
        session = self._session
        try:
            with self._cancellable(session.deadline - monotonic()) as scope:
                data = await self._next_piece()
            if scope.cancelled_caught:
                raise DeadlineReached("no byte came in time")
        except StopAsyncIteration:
            self._end()
        except self._errors as error:
            session.lost(failure_of(error, self._library), monotonic())
        else:
            session.received(data, monotonic())

    def _end(self) -> None:
        self._pieces = None
        self._session.ended(monotonic())

    async def _connect(self, step: Connect) -> None:
        await self._close_response()
        session = self._session
        response, self._given = self._given, None
        if response is None:
            headers = await aresolve(self._client_headers), await aresolve(step.request.headers)
            channel = Channel()
            try:
                response = await self._send(step, headers, channel)
            except self._errors as error:
                session.not_answered(failure_of(error, self._library, channel), monotonic())
                return
        self._response = response
        self._pieces = apieces_of(response)
        self._next_piece = self._pieces.__anext__
        # A transport that is not httpcore need not wake a read whose response is closed.
        self._needs_scope = session.has_deadlines or "network_stream" not in response.extensions
        session.answered(head_of(response), monotonic())

    async def _send(self, step: Connect, headers: tuple[Headers | None, ...], channel: Channel) -> Any:
        request = build_request(self._client, self._library, step, headers)
        response_timeout = inf if step.response is None else step.response
        connect_timeout = inf if step.connect is None else step.connect
        with self._cancellable(connect_timeout + response_timeout) as scope:

            async def trace(name: str, _: Any) -> None:
                channel.note(name)
                if name.endswith("send_request_headers.started"):
                    scope.deadline = anyio.current_time() + response_timeout

            request.extensions["trace"] = trace
            response = await self._client.send(request, **send_options(step))
            set_read_timeout(request, self._plan.timeouts.read)
            return response
        raise DeadlineReached("no headers came in time")

    async def _read_up_to(self, size: int, seconds: float) -> bytes:
        """Read the body, to its end or to either bound. What goes wrong on the way is of no interest any more."""
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
        if response is None:
            return
        with suppress(*self._errors):
            await response.aclose()
        if pieces is not None:
            await _unwind(pieces, self._errors)


async def _unwind(pieces: AsyncIterator[bytes], errors: tuple[type[Exception], ...]) -> None:
    """
    Finish httpx's nested generators here and now; left to the garbage collector, trio warns of each.

    Reading on does it: the closed connection raises inside of the innermost, behind what it has in its buffer. One
    that would wait is cancelled, and one that never does either is left alone after as many pieces as a buffer holds.
    """
    with anyio.CancelScope(shield=True) as scope, suppress(*errors, StopAsyncIteration):
        scope.cancel()
        for _ in range(MAX_BUFFERED_PIECES):
            await pieces.__anext__()


def aiter_events(response: Any, **options: Unpack[ReadOptions]) -> AsyncEventStream:
    """
    Iterate the events of a response that you have: `httpx`'s or `httpx2`'s, asked for with `stream=True`.

    Raises, at the first event, `StatusError` or `ContentTypeError` where it is no event stream. Nothing is retried.
    """
    library = library_of(response, "Response")
    return AsyncEventStream(plan_of(response, options), library, None, None, response)
