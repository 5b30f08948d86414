"""
The async client: `sync.py` with `await`, on asyncio and trio.

The response is closed at a known moment, in a shielded scope, whether the stream ends, is left, is cancelled, or is
closed from another task. So there is no async generator in here, which the garbage collector would finish in a task
of its own; and no cancel scope outlives one `__anext__`.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from math import inf
from types import TracebackType
from typing import Any, Generic, Literal, Self, Unpack, cast, overload

import anyio
import httpx
from typing_extensions import TypeForm, TypeVar

from .._accumulate import Accumulation
from .._core.session import Outcome, outcome_of
from .._core.steps import Connect, Drain, Plan, Read, ReadBody, Step, Stop, Wait
from .._dialect import Dialect
from .._errors import SSEError
from .._event import ServerSentEvent
from .._handlers import Call, Ended, Handlers, Happening, Leave, Next, Passed, Received, Steps, needs_a_loop
from .._request import AsyncHeadersSource, Headers
from .._retry import RetryPolicy
from .._stats import StreamStats
from .._timeouts import Timeouts
from .._typed import Nothing, T
from .http import (
    DeadlineReached,
    apieces_of,
    aresolve,
    asend,
    build_request,
    check_url,
    failure_of,
    head_of,
    is_http2,
    is_woken_by_closing,
    library_of,
    set_read_timeout_below,
    transport_errors,
    turn_to_body,
)
from .http2 import AsyncHttp2Stream
from .stream import (
    DEFAULT_RETRY,
    DEFAULT_TIMEOUTS,
    LIMITS,
    AsyncOptions,
    BaseClient,
    BaseStream,
    ReadOptions,
    dialect_of,
    made_for_this,
    plan_of,
)
from .waking import Channel

E = TypeVar("E")
S = TypeVar("S", default=Any)

# httpcore receives 64 KiB at a time, and a chunk of one byte takes six.
MAX_BUFFERED_PIECES = 11_000

# For the last callbacks of a cancelled dispatch, in seconds: enough to draw or save what is there.
MAX_FAREWELL = 1.0


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
            if base_url:
                check_url(httpx, base_url)
            limits = httpx.Limits(**LIMITS)
            self._http_client: Any = httpx.AsyncClient(base_url=base_url or "", auth=auth, limits=limits)
            self._library = library_of(self._http_client, "AsyncClient")
        else:
            self._http_client = http_client
            self._library = library_of(http_client, "AsyncClient")
            made_for_this(self._library, base_url=base_url, auth=auth)

    @overload
    def stream(self, method: str, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream[ServerSentEvent]": ...
    @overload
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E | ServerSentEvent]": ...
    @overload
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E]": ...
    @overload
    def stream(
        self, method: str, url: str, *, dialect: Dialect[E], **options: Unpack[AsyncOptions]
    ) -> "AsyncEventStream[E]": ...
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: Any = None,
        dialect: Any = None,
        unknown: Any = None,
        **options: Unpack[AsyncOptions],
    ) -> Any:
        """
        Ask for an event stream; enter what is returned with `async with` to connect, and iterate it.

        `events` is the type of its events, anything that pydantic validates; without it, they are handed out as they
        are. `unknown` says what becomes of an event that the type has no place for: it is skipped, handed out as it
        is ("keep"), or a `DecodeError` ("raise"). `dialect` is all of this, and more, as one value.

        Entering raises `ConnectionFailed`, `StatusError` or `ContentTypeError` where there is no stream to read.
        Iterating raises a `StreamError` where it does not end well, and `DecodeError` for an event that does not fit
        its type; the stream can be read on behind that.
        """
        spoken = dialect_of(events, dialect, unknown)
        plan = self._plan(method, url, options, spoken, is_subscription=False)
        return self._keep(AsyncEventStream(plan, self._library, spoken, self._http_client, self._headers))

    @overload
    def post(self, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream[ServerSentEvent]": ...
    @overload
    def post(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E | ServerSentEvent]": ...
    @overload
    def post(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E]": ...
    @overload
    def post(self, url: str, *, dialect: Dialect[E], **options: Unpack[AsyncOptions]) -> "AsyncEventStream[E]": ...
    def post(
        self, url: str, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[AsyncOptions]
    ) -> Any:
        """POST, and read the events that are answered; see `stream`."""
        return self.stream("POST", url, events=events, dialect=dialect, unknown=unknown, **options)

    @overload
    def get(self, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream[ServerSentEvent]": ...
    @overload
    def get(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E | ServerSentEvent]": ...
    @overload
    def get(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E]": ...
    @overload
    def get(self, url: str, *, dialect: Dialect[E], **options: Unpack[AsyncOptions]) -> "AsyncEventStream[E]": ...
    def get(
        self, url: str, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[AsyncOptions]
    ) -> Any:
        """GET a stream of events; see `stream`."""
        return self.stream("GET", url, events=events, dialect=dialect, unknown=unknown, **options)

    @overload
    def subscribe(self, url: str, **options: Unpack[AsyncOptions]) -> "AsyncEventStream[ServerSentEvent]": ...
    @overload
    def subscribe(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E | ServerSentEvent]": ...
    @overload
    def subscribe(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[AsyncOptions],
    ) -> "AsyncEventStream[E]": ...
    @overload
    def subscribe(self, url: str, *, dialect: Dialect[E], **options: Unpack[AsyncOptions]) -> "AsyncEventStream[E]": ...
    def subscribe(
        self, url: str, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[AsyncOptions]
    ) -> Any:
        """
        Follow a feed that never ends, as a browser's `EventSource` does (WHATWG HTML, section 9.2.3).

        Comes back whenever the connection ends, in good order or not, after the server's `retry` or 3 s, for as long
        as it takes, and behind the last event. It ends with a 204, or an answer that no other attempt would better.
        The arguments are those of `stream`.
        """
        spoken = dialect_of(events, dialect, unknown)
        plan = self._plan("GET", url, options, spoken, is_subscription=True)
        return self._keep(AsyncEventStream(plan, self._library, spoken, self._http_client, self._headers))

    async def aclose(self) -> None:
        """
        End all open streams, as their own `aclose()` would; then close the HTTP client, where it was made here.

        A stream that has not been entered yet, and any other call, is a `RuntimeError` from then on.
        """
        try:
            for stream in self._close_calls():
                await stream.aclose()
        finally:
            if self._owns_client:
                await self._http_client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncEventStream(BaseStream[T], AsyncIterator[T]):
    """The events of one call, to be entered with `async with` and iterated once."""

    def __init__(
        self, plan: Plan, library: Any, dialect: Dialect[T], client: Any, headers: Any, response: Any = None
    ) -> None:
        super().__init__(plan, library, dialect)
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
        self._reads_freely = False
        self._http2 = AsyncHttp2Stream()
        self._is_silent = False  # whether the last wait for the server was given up
        self._read_timeout = inf  # where the transport must not keep it: its timeout would end other streams too

    # Iterating -------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        self._check_entered()
        self._session.begin()
        return self

    async def __anext__(self) -> T:
        session = self._session
        while True:
            for event in session.ready:
                if self._is_plain:
                    return cast("T", event)
                value = self._value(event)
                if not isinstance(value, Nothing):
                    return value
            if session.is_reading and not session.is_closing and self._reads_freely and not self._is_busy:
                # The way of nearly every piece: `_advance` without a coroutine of its own.
                self._is_busy = True
                try:
                    data = await self._next_piece()
                except BaseException as error:  # noqa: BLE001
                    await self._not_read(error)
                else:
                    session.received(data, self._now())
                finally:
                    self._is_busy = False
            elif not await self._advance():
                raise StopAsyncIteration

    async def _advance(self) -> bool:
        """Go on until there is something to hand out; return whether there is, or the stream is over."""
        session = self._session
        self._begin()
        try:
            while True:
                step = session.next_step(self._now())
                if isinstance(step, Stop):
                    return await self._stop(step)
                has_events = False
                if isinstance(step, Read):
                    try:
                        data = await (self._read() if self._reads_freely else self._read_in_scope())
                    except BaseException as error:  # noqa: BLE001
                        has_events = await self._not_read(error)
                    else:
                        has_events = session.received(data, self._now())
                else:
                    await self._do(step)
                if has_events or session.notes:
                    return True
        except BaseException as error:
            await self._abandon(error)
            raise
        finally:
            self._is_busy = False

    async def _not_read(self, error: BaseException) -> bool:
        """Take that there is no next piece, for this reason; return whether there is something to hand out."""
        if isinstance(error, StopAsyncIteration):
            self._pieces = None
            return self._ended()
        if not isinstance(error, self._errors):
            await self._abandon(error)
            raise error
        self._session.lost(failure_of(error, self._library, self._channel), self._now())
        return False

    async def __aenter__(self) -> Self:
        self._is_entered = True
        session = self._session
        self._begin()
        try:
            while not session.is_open:
                step = session.next_step(self._now())
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
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        if self._is_busy:
            await self._close(outcome_of(error))  # another task is reading
            return
        session = self._session
        session.leave(error, self._now())
        self._is_busy = True
        try:
            with anyio.CancelScope(shield=True):
                while not isinstance(step := session.next_step(self._now()), Stop):
                    await self._do(step)
                await self._close_response()
        finally:
            self._is_busy = False

    async def aclose(self) -> None:
        """
        End the stream: a loop over it ends, and no request goes out any more. From any task, any number of times.

        The response is closed when this returns.
        """
        await self._close("cancelled")

    async def _close(self, outcome: Outcome) -> None:
        session = self._session
        session.close(outcome)
        if self._scope is not None:
            self._scope.cancel()
        with anyio.CancelScope(shield=True):
            if not self._is_busy:
                session.closed(self._now())
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

    # Callbacks and results -------------------------------------------------------------------------------------------

    async def dispatch(self, on: Handlers) -> StreamStats:
        """
        Read the stream to its end, and call the handlers, in this task, one at a time; return its numbers.

        Connects where that has not been done. Handlers may be plain or async functions. The stream's error is raised
        behind `on.error` and `on.close`; a handler's own exception stops the stream, and comes out as it is. A stream
        that somebody closed is no error: what must follow a complete one only belongs to `on.complete`. On a
        cancellation, what is pending in batches, `on.cancel` and `on.close` have one second.
        """
        conversation = self._converse(on, is_async=True)
        self._is_entered = True
        try:
            if on._has_batches:
                return await self._dispatch_ahead(iter(conversation))
            return await self._drive(iter(conversation), self._happening)
        finally:
            await self._end(None)

    async def _dispatch_ahead(self, steps: Steps) -> StreamStats:
        """Read in a task of its own, so that somebody else can look at the clock."""
        failure: BaseException | None = None
        stats = StreamStats()
        send, receive = anyio.create_memory_object_stream[Happening | Exception](256)

        async def read() -> None:
            happening: Happening | Exception | None = None
            while not isinstance(happening, Ended | Exception):
                try:
                    happening = await self._happen()
                except Exception as error:  # noqa: BLE001
                    happening = error
                await send.send(happening)

        async def next_one(deadline: float) -> Happening:
            with anyio.move_on_after(deadline - self._now()):
                happening = await receive.receive()
                if isinstance(happening, Exception):
                    raise happening
                return happening
            self._passed(deadline)
            return Passed()

        try:
            with send, receive:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    try:
                        stats = await self._drive(steps, next_one)
                    except BaseException as error:  # noqa: BLE001
                        failure = error
                    with anyio.CancelScope(shield=True):
                        await self.aclose()
                    tasks.cancel_scope.cancel()
        finally:
            # Outside of the group, which would wrap it, and above a cancellation, which would take its place.
            if failure is not None:
                raise failure
        return stats

    async def _drive(self, steps: Steps, happening: Callable[[float], Awaitable[Happening]]) -> StreamStats:
        try:
            return await self._drive_from(next(steps), steps, happening)
        except Exception:
            raise
        except BaseException as error:
            # A cancellation. What there is still to call is called, but must not hold it up for long.
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + MAX_FAREWELL):
                await self._drive_from(steps.throw(error), steps, happening)
            # They have had their time: what need not be awaited is called all the same.
            with suppress(BaseException):
                step = steps.throw(error)
                while True:
                    if isinstance(step, Call) and not needs_a_loop(step.handler):
                        step.handler(*step.arguments)
                    step = steps.send(None)
            raise

    async def _drive_from(
        self, step: Next | Call | Leave, steps: Steps, happening: Callable[[float], Awaitable[Happening]]
    ) -> StreamStats:
        answer: Any = None
        while True:
            try:
                match step:
                    case Next(deadline):
                        answer = self._told(await happening(deadline))
                    case Call(handler, arguments):
                        answer = handler(*arguments)
                        if inspect.isawaitable(answer):
                            await answer
                    case Leave(error):
                        await self._end(error)
            except Exception as error:  # noqa: BLE001
                step = steps.throw(error)
                continue
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                stats: StreamStats = stop.value
                return stats

    async def _happening(self, _: float) -> Happening:
        return await self._happen()

    async def _happen(self) -> Happening:
        """Wait for what happens next, for a dispatch."""
        session = self._session
        assert session.notes is not None
        try:
            while True:
                if session.notes and (note := session.next_note()) is not None:
                    return note
                for event in session.ready:
                    return Received(event, self._decode(event))
                if not await self._advance():
                    return Ended(None, is_cancelled=session.outcome != "completed")
        except SSEError as error:
            return Ended(error, is_cancelled=False)

    @overload
    def accumulate(self) -> "AsyncReply[T, Any]": ...
    @overload
    def accumulate(self, fold: Callable[[S, T], S], initial: S | Callable[[], S]) -> "AsyncReply[T, S]": ...
    @overload
    def accumulate(self, fold: Callable[[S | None, T], S]) -> "AsyncReply[T, S]": ...
    def accumulate(self, fold: Any = None, initial: Any = None) -> Any:
        """
        Fold the events into one result: `fold(snapshot, event)` returns the new snapshot, beginning with `initial`.

        `initial` may be a function that makes the value; a value is copied, so that a fold may change it in place.
        Returns at once. The result's `snapshot` is there at any time; `await final()` reads on to the end; iterating
        it iterates the stream. Without arguments, the dialect's fold is used.
        """
        return AsyncReply(self, *self._fold(fold, initial))

    # Acting ----------------------------------------------------------------------------------------------------------

    async def _do(self, step: Step) -> None:
        """Do what the session says, short of reading on and of stopping."""
        match step:
            case Connect():
                await self._connect(step)
            case Wait(seconds):
                await self._close_response()
                with self._cancellable(self._to_wait(seconds)):
                    await anyio.sleep_forever()
            case ReadBody(size, seconds):
                body = await self._read_up_to(size, seconds)
                await self._close_response()
                self._session.refused(body, self._now())
            case Drain(size, seconds):
                await self._read_up_to(size, seconds)
                self._session.drained(self._now())
            case Read() | Stop():
                raise AssertionError(step)

    async def _stop(self, step: Stop) -> Literal[False]:
        with anyio.CancelScope(shield=True):
            await self._close_response()
        if step.error is not None:
            self._complete(step.error)
            raise step.error
        return False

    async def _abandon(self, error: BaseException) -> None:
        """Clean up behind an exception: ours, the user's, or a cancellation in the middle of a read."""
        self._session.leave(error, self._now())
        if self._response is not None:
            with anyio.CancelScope(shield=True):
                await self._close_response()

    @contextmanager
    def _cancellable(self, seconds: float) -> Generator[anyio.CancelScope]:
        """A scope that ends after so many seconds, or by aclose()."""
        if self._virtual_time is not None:
            self._virtual_time.deadline = self._now() + seconds
        with anyio.CancelScope(deadline=anyio.current_time() + seconds) as scope:
            self._scope = scope
            try:
                yield scope
            finally:
                self._scope = None

    async def _read(self) -> bytes:
        """Read where closing the response wakes its reader, and so does shutting its socket down."""
        self._watch(self._session.deadline)
        data = await self._next_piece()
        self._channel.deadline = inf  # the clocks stand still while the user handles an event
        return data

    async def _read_in_scope(self) -> bytes:
        """Read where only a cancellation ends a read."""
        seconds = self._session.deadline - self._now()
        # A deadline that is not infinite costs a timer.
        limit = seconds if self._http2.has_events else min(seconds, self._read_timeout)
        with self._cancellable(limit):
            return await self._next_piece()
        if limit < seconds and not self._session.is_closing:
            self._http2.retire()
            raise TimeoutError("no byte came in time")
        self._is_silent = True
        raise DeadlineReached("no byte came in time")

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
                session.not_answered(failure_of(error, self._library, channel, self._hooks), self._now())
                return
        elif is_http2(response):
            http2.follow(response.request)
        self._response = response
        if session.has_deadlines:
            channel.answered(response)  # it takes anyio a while to look for the socket
        pieces: AsyncIterator[bytes] = self._tap(response, apieces_of(response))
        self._pieces = pieces
        self._next_piece = pieces.__anext__
        # Else a scope around each read has to end it, which costs as much as the read.
        self._reads_freely = is_woken_by_closing(response) and (channel.is_armed or not session.has_deadlines)
        session.answered(head_of(response), self._now())

    async def _headers_of(self, step: Connect) -> tuple[Headers | None, ...] | None:
        """Ask for the headers; return `None` if the stream was closed before they came, or its total ran out."""
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
            response = await asend(self._client, request, step, self._hooks)
            read_timeout = self._session.read_timeout(self._now(), is_watched=True)
            if is_http2(response) and read_timeout is not None:
                self._read_timeout, read_timeout = read_timeout, None
            turn_to_body(request, response, read_timeout)
            set_read_timeout_below(response, read_timeout)
            return response
        self._is_silent = True
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
        self._channel.release()
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


@overload
def aiter_events(response: Any, **options: Unpack[ReadOptions]) -> AsyncEventStream[ServerSentEvent]: ...
@overload
def aiter_events(
    response: Any,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["keep"],
    **options: Unpack[ReadOptions],
) -> AsyncEventStream[E | ServerSentEvent]: ...
@overload
def aiter_events(
    response: Any,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["skip", "raise"] = "skip",
    **options: Unpack[ReadOptions],
) -> AsyncEventStream[E]: ...
@overload
def aiter_events(response: Any, *, dialect: Dialect[E], **options: Unpack[ReadOptions]) -> AsyncEventStream[E]: ...
def aiter_events(
    response: Any, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[ReadOptions]
) -> Any:
    """
    Iterate the events of a response that you have: `httpx`'s or `httpx2`'s, asked for with `stream=True`.

    `events`, `dialect` and `unknown` mean what they mean to a client's `stream`. Raises, at the first event,
    `StatusError` or `ContentTypeError` where it is no event stream. Nothing is retried.
    """
    library = library_of(response, "Response")
    spoken = dialect_of(events, dialect, unknown)
    return AsyncEventStream(plan_of(response, options, spoken), library, spoken, None, None, response)


class AsyncReply(Accumulation[S], Generic[T, S]):
    """What a stream comes to: a snapshot so far, and the final one. Iterating it iterates the stream."""

    def __init__(self, stream: AsyncEventStream[T], fold: Callable[[S, T], S], initial: S) -> None:
        super().__init__(fold, initial)
        self._stream = stream
        stream._accumulate(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._stream!r}>"

    def __aiter__(self) -> AsyncIterator[T]:
        return aiter(self._stream)

    async def final(self) -> S:
        """
        Read on to the end of the stream; return the fold of all its events.

        Raises the stream's error, with the snapshot so far as `.partial`, and `StreamCancelled` where somebody closed
        the stream before its end.
        """
        with suppress(StopAsyncIteration):
            while True:
                await self._stream.__anext__()
        self._stream._check_whole(self)
        return self.snapshot
