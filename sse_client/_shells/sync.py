"""
The sync client: a thin shell that does what a `Session` says, on the caller's own thread.

Nothing is decided here. What looks like a decision is about threads: `close` may come from another one at any time.
A thread that is inside a step says so in `_is_busy`; whoever closes wakes it, or cleans up in its place.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from math import inf
from types import CoroutineType, TracebackType
from typing import Any, Generic, Literal, Self, Unpack, cast, overload

import httpx
from typing_extensions import TypeForm, TypeVar

from .._accumulate import Accumulation
from .._core.session import Outcome, outcome_of
from .._core.steps import Connect, Drain, Plan, Read, ReadBody, Step, Stop, Wait
from .._dialect import Dialect
from .._errors import SSEError
from .._event import ServerSentEvent
from .._handlers import Call, Ended, Handlers, Happening, Leave, Next, Passed, Received
from .._request import Headers, HeadersSource
from .._retry import RetryPolicy
from .._stats import StreamStats
from .._timeouts import Timeouts
from .._typed import Nothing, T
from .http import (
    build_request,
    check_url,
    failure_of,
    head_of,
    is_http2,
    library_of,
    pieces_of,
    resolve,
    send,
    transport_errors,
    turn_to_body,
)
from .http2 import Http2Stream
from .stream import (
    DEFAULT_RETRY,
    DEFAULT_TIMEOUTS,
    LIMITS,
    BaseClient,
    BaseStream,
    ReadOptions,
    SyncOptions,
    dialect_of,
    made_for_this,
    plan_of,
)
from .waking import Channel

E = TypeVar("E")
S = TypeVar("S", default=Any)


class SSEClient(BaseClient):
    """
    A client that reads event streams, over httpx or httpx2.

    With `http_client` it uses yours, an `httpx.Client` or `httpx2.Client` with all that you have set there, and leaves
    it open; without, it makes an `httpx.Client` of its own, and closes it.

    A response hook of yours may raise: an `HTTPStatusError` (`raise_for_status`) is taken for the response that it
    carries, with its retries and errors; any other exception is yours, and comes out as it is.

    `headers` go with every call; a function is asked for them before each attempt. `retry` and `timeout` are the
    defaults of its calls. `idempotency_key_header` names a header that carries one key with all attempts of a call
    that is not idempotent, which makes it safe to repeat where the server knows that header.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        headers: HeadersSource | None = None,
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
            self._http_client: Any = httpx.Client(base_url=base_url or "", auth=auth, limits=limits)
            self._library = library_of(self._http_client, "Client")
        else:
            self._http_client = http_client
            self._library = library_of(http_client, "Client")
            made_for_this(self._library, base_url=base_url, auth=auth)

    @overload
    def stream(self, method: str, url: str, **options: Unpack[SyncOptions]) -> "EventStream[ServerSentEvent]": ...
    @overload
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E | ServerSentEvent]": ...
    @overload
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E]": ...
    @overload
    def stream(
        self, method: str, url: str, *, dialect: Dialect[E], **options: Unpack[SyncOptions]
    ) -> "EventStream[E]": ...
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: Any = None,
        dialect: Any = None,
        unknown: Any = None,
        **options: Unpack[SyncOptions],
    ) -> Any:
        """
        Ask for an event stream; enter what is returned to connect, and iterate it.

        `events` is the type of its events, anything that pydantic validates; without it, they are handed out as they
        are. `unknown` says what becomes of an event that the type has no place for: it is skipped, handed out as it
        is ("keep"), or a `DecodeError` ("raise"). `dialect` is all of this, and more, as one value.

        Entering raises `ConnectionFailed`, `StatusError` or `ContentTypeError` where there is no stream to read.
        Iterating raises a `StreamError` where it does not end well, and `DecodeError` for an event that does not fit
        its type; the stream can be read on behind that.
        """
        spoken = dialect_of(events, dialect, unknown)
        plan = self._plan(method, url, options, spoken, is_subscription=False)
        return self._keep(EventStream(plan, self._library, spoken, self._http_client, self._headers))

    @overload
    def post(self, url: str, **options: Unpack[SyncOptions]) -> "EventStream[ServerSentEvent]": ...
    @overload
    def post(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E | ServerSentEvent]": ...
    @overload
    def post(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E]": ...
    @overload
    def post(self, url: str, *, dialect: Dialect[E], **options: Unpack[SyncOptions]) -> "EventStream[E]": ...
    def post(
        self, url: str, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[SyncOptions]
    ) -> Any:
        """POST, and read the events that are answered; see `stream`."""
        return self.stream("POST", url, events=events, dialect=dialect, unknown=unknown, **options)

    @overload
    def get(self, url: str, **options: Unpack[SyncOptions]) -> "EventStream[ServerSentEvent]": ...
    @overload
    def get(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E | ServerSentEvent]": ...
    @overload
    def get(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E]": ...
    @overload
    def get(self, url: str, *, dialect: Dialect[E], **options: Unpack[SyncOptions]) -> "EventStream[E]": ...
    def get(
        self, url: str, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[SyncOptions]
    ) -> Any:
        """GET a stream of events; see `stream`."""
        return self.stream("GET", url, events=events, dialect=dialect, unknown=unknown, **options)

    @overload
    def subscribe(self, url: str, **options: Unpack[SyncOptions]) -> "EventStream[ServerSentEvent]": ...
    @overload
    def subscribe(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E | ServerSentEvent]": ...
    @overload
    def subscribe(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> "EventStream[E]": ...
    @overload
    def subscribe(self, url: str, *, dialect: Dialect[E], **options: Unpack[SyncOptions]) -> "EventStream[E]": ...
    def subscribe(
        self, url: str, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[SyncOptions]
    ) -> Any:
        """
        Follow a feed that never ends, as a browser's `EventSource` does (WHATWG HTML, section 9.2.3).

        Comes back whenever the connection ends, in good order or not, after the server's `retry` or 3 s, for as long
        as it takes, and behind the last event. It ends with a 204, or an answer that no other attempt would better.
        The arguments are those of `stream`.
        """
        spoken = dialect_of(events, dialect, unknown)
        plan = self._plan("GET", url, options, spoken, is_subscription=True)
        return self._keep(EventStream(plan, self._library, spoken, self._http_client, self._headers))

    def close(self) -> None:
        """
        End all open streams, as their own `close()` would; then close the HTTP client, where it was made here.

        A stream that has not been entered yet, and any other call, is a `RuntimeError` from then on.
        """
        try:
            for stream in self._close_calls():
                stream.close()
        finally:
            if self._owns_client:
                self._http_client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EventStream(BaseStream[T], Iterator[T]):
    """
    The events of one call, to be iterated once.

    Enter it to connect, and leave it to close it. Iterated without, it connects at the first event, and closes at
    the end, at an error, or when it is collected.
    """

    def __init__(
        self, plan: Plan, library: Any, dialect: Dialect[T], client: Any, headers: Any, response: Any = None
    ) -> None:
        super().__init__(plan, library, dialect)
        self._client = client
        self._client_headers = headers
        self._errors = transport_errors(library)
        self._given = response
        self._response: Any = None
        self._pieces: Iterator[bytes] = iter(())
        self._is_busy = False
        self._closing = threading.Event()
        self._wait_until_closed = self._closing.wait
        self._cleaning = threading.Lock()

    # Iterating -------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:  # noqa: PYI034
        self._session.begin()
        return self._events()

    def _events(self) -> Iterator[T]:
        # A generator over the state that `__next__` uses too: it costs a quarter, and they may be mixed.
        session = self._session
        while True:
            if self._is_plain:
                yield from cast("Iterator[T]", session.ready)
            else:
                for event in session.ready:
                    value = self._value(event)
                    if value.__class__ is not Nothing:
                        yield cast("T", value)
            if self._is_busy:
                raise self._in_use()
            try:
                self._is_busy = True
                if session.is_reading and not session.is_closing:
                    # The way of nearly every piece: `_advance` without the call.
                    try:
                        data = next(self._pieces)
                    except BaseException as error:  # noqa: BLE001
                        self._not_read(error)
                    else:
                        session.received(data, self._now())
                elif not self._advance():
                    return
            finally:
                self._is_busy = False

    def __next__(self) -> T:
        while True:
            for event in self._session.ready:
                value = self._value(event)
                if not isinstance(value, Nothing):
                    return value
            if self._is_busy:
                raise self._in_use()
            try:
                self._is_busy = True
                if not self._advance():
                    raise StopIteration
            finally:
                self._is_busy = False

    def _advance(self) -> bool:
        """
        Go on until there is something to hand out; return whether there is, or the stream is over.

        Whoever calls has looked at `_is_busy` and then set it; between the two, CPython gives no other thread its turn.
        `close` sets `is_closing` and then looks at `_is_busy`; here it is the other way round: either sees the other.
        """
        session = self._session
        try:
            while True:
                step = session.next_step(self._now())
                if isinstance(step, Stop):
                    return self._stop(step)
                has_events = False
                if isinstance(step, Read):
                    self._watch(session.deadline)
                    try:
                        data = next(self._pieces)
                    except BaseException as error:  # noqa: BLE001
                        has_events = self._not_read(error)
                    else:
                        self._channel.deadline = inf  # the clocks stand still while the user handles an event
                        has_events = session.received(data, self._now())
                else:
                    self._do(step)
                if has_events or session.notes:
                    return True
        except BaseException as error:
            self._abandon(error)
            raise

    def _in_use(self) -> RuntimeError:
        return RuntimeError("another thread is reading this stream: it can be read by one thread at a time")

    def _not_read(self, error: BaseException) -> bool:
        """Take that there is no next piece, for this reason; return whether there is something to hand out."""
        if isinstance(error, StopIteration):
            return self._ended()
        # A read from a TLS socket that is closed meanwhile, with its client, is a ValueError.
        expected: tuple[type[Exception], ...] = self._errors
        if self._session.is_closing:
            expected = *expected, ValueError
        if not isinstance(error, expected):
            self._abandon(error)
            raise error
        self._session.lost(failure_of(error, self._library, self._channel), self._now())
        return False

    def __enter__(self) -> Self:
        session = self._session
        if self._is_busy:
            raise self._in_use()
        try:
            self._is_busy = True
            while not session.is_open:
                step = session.next_step(self._now())
                if isinstance(step, Stop):
                    self._stop(step)
                else:
                    self._do(step)
        except BaseException as error:
            self._abandon(error)
            raise
        finally:
            self._is_busy = False
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._end(error)

    def close(self) -> None:
        """
        End the stream: a loop over it ends, and no request goes out any more. From any thread, any number of times.

        Wakes a thread that is blocked in a read, if the transport shows its socket (httpx's own does); else that
        thread ends with the next byte. Over HTTP/2 only the stream is reset, and the connection is kept.
        """
        self._close("cancelled")

    def _close(self, outcome: Outcome) -> None:
        self._session.close(outcome)
        self._closing.set()
        if self._is_busy:
            self._channel.shut_down()  # wakes the thread that is busy, which then cleans up
        else:
            self._session.closed(self._now())
            self._close_response()

    def __del__(self) -> None:
        # Where the constructor has failed, there is no response to close; in a forked process it is the parent's.
        if getattr(self, "_response", None) is not None and not self._channel.is_inherited:
            self._abandon(GeneratorExit())

    def _end(self, error: BaseException | None) -> None:
        if self._is_busy:
            self._close(outcome_of(error))  # another thread is reading
            return
        session = self._session
        try:
            self._is_busy = True
            session.leave(error, self._now())
            while not isinstance(step := session.next_step(self._now()), Stop):
                self._do(step)
            self._close_response()
        finally:
            self._is_busy = False

    # Callbacks and results -------------------------------------------------------------------------------------------

    def dispatch(self, on: Handlers) -> StreamStats:
        """
        Read the stream to its end, and call the handlers, on this thread, one at a time; return its numbers.

        Connects where that has not been done. The stream's error is raised behind `on.error` and `on.close`; a
        handler's own exception stops the stream, and comes out as it is. A stream that somebody closed is no error:
        what must follow a complete one only belongs to `on.complete`. With batches, a helper thread reads, so that
        they are handed over in time also while nothing comes.
        """
        if self._is_busy:
            raise self._in_use()
        conversation = self._converse(on, is_async=False)
        source = _Pump(self._happen, lambda: self._now(), self._passed) if on._has_batches else self
        steps = iter(conversation)
        answer: Any = None
        try:
            step = next(steps)
            while True:
                try:
                    match step:
                        case Next(deadline):
                            answer = self._told(source.happening(deadline))
                        case Call(handler, arguments):
                            answer = handler(*arguments)
                            if isinstance(answer, CoroutineType):
                                answer.close()
                                raise TypeError(f"{handler!r} returned a coroutine, which needs AsyncSSEClient")
                        case Leave(error):
                            self._end(error)
                except BaseException as error:  # noqa: BLE001
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            stats: StreamStats = stop.value
            return stats
        finally:
            if isinstance(source, _Pump):
                self.close()
                source.join()
            self._end(None)

    def happening(self, deadline: float) -> Happening:  # noqa: ARG002
        return self._happen()

    def _happen(self) -> Happening:
        """Wait for what happens next, for a dispatch."""
        session = self._session
        assert session.notes is not None
        try:
            while True:
                if session.notes and (note := session.next_note()) is not None:
                    return note
                for event in session.ready:
                    return Received(event, self._decode(event))
                if self._is_busy:
                    raise self._in_use()
                try:
                    self._is_busy = True
                    if not self._advance():
                        return Ended(None, is_cancelled=session.outcome != "completed")
                finally:
                    self._is_busy = False
        except SSEError as error:
            return Ended(error, is_cancelled=False)

    @overload
    def accumulate(self) -> "Reply[T, Any]": ...
    @overload
    def accumulate(self, fold: Callable[[S, T], S], initial: S | Callable[[], S]) -> "Reply[T, S]": ...
    @overload
    def accumulate(self, fold: Callable[[S | None, T], S]) -> "Reply[T, S]": ...
    def accumulate(self, fold: Any = None, initial: Any = None) -> Any:
        """
        Fold the events into one result: `fold(snapshot, event)` returns the new snapshot, beginning with `initial`.

        `initial` may be a function that makes the value; a value is copied, so that a fold may change it in place.
        Returns at once. The result's `snapshot` is there at any time; `final()` reads on to the end; iterating it
        iterates the stream. Without arguments, the dialect's fold is used.
        """
        return Reply(self, *self._fold(fold, initial))

    # Acting ----------------------------------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        """Do what the session says, short of reading on and of stopping."""
        match step:
            case Connect():
                self._connect(step)
            case Wait(seconds):
                self._close_response()
                self._closing.wait(min(self._to_wait(seconds), threading.TIMEOUT_MAX))
            case ReadBody(size, seconds):
                body = self._read_up_to(size, seconds)
                self._close_response()
                self._session.refused(body, self._now())
            case Drain(size, seconds):
                if self._channel.is_armed:
                    self._read_up_to(size, seconds)
                self._session.drained(self._now())
            case Read() | Stop():
                raise AssertionError(step)

    def _stop(self, step: Stop) -> Literal[False]:
        self._close_response()
        if step.error is not None:
            self._complete(step.error)
            raise step.error
        return False

    def _abandon(self, error: BaseException) -> None:
        """Clean up behind an exception: ours, the user's, or one that came from anywhere in the middle of a read."""
        self._session.leave(error, self._now())
        self._close_response()

    def _connect(self, step: Connect) -> None:
        self._close_response()
        session = self._session
        self._channel = channel = Channel()
        http2 = Http2Stream()
        if self._closing.is_set():
            return
        response, self._given = self._given, None
        if response is None:
            headers = resolve(self._client_headers), resolve(step.request.headers)
            try:
                response = self._send(step, headers, channel, http2)
            except self._errors as error:
                session.not_answered(failure_of(error, self._library, channel, self._hooks), self._now())
                return
            finally:
                channel.deadline = inf
        else:
            channel.answered(response)
            if is_http2(response):
                http2.follow(response.request, channel)
        self._response = response
        self._pieces = self._tap(response, http2.in_turn(pieces_of(response)))
        session.answered(head_of(response), self._now())

    def _send(self, step: Connect, headers: tuple[Headers | None, ...], channel: Channel, http2: Http2Stream) -> Any:
        request = build_request(self._client, self._library, step, headers)
        request.extensions["trace"] = self._attempt(request, step).trace
        http2.follow(request, channel)
        response = send(self._client, request, step, self._hooks)
        channel.answered(response)
        turn_to_body(request, response, self._session.read_timeout(self._now(), is_watched=channel.is_watched))
        return response

    def _read_up_to(self, size: int, seconds: float) -> bytes:
        """Read the body, to its end or to either bound. What goes wrong on the way is of no interest any more."""
        body = bytearray()
        self._watch(self._now() + seconds)
        try:
            for piece in self._pieces:
                body += piece
                if len(body) >= size:
                    break
            else:
                self._channel.release()
        except self._errors:
            pass
        self._channel.deadline = inf
        return bytes(body[:size])

    def _close_response(self) -> None:
        if self._channel.is_inherited:
            self._cleaning = threading.Lock()  # whoever holds the old one is not in this process
        with self._cleaning:
            response, self._response = self._response, None
        self._channel.release()
        self._pieces = iter(())
        if response is not None:
            with suppress(*self._errors):
                response.close()


@overload
def iter_events(response: Any, **options: Unpack[ReadOptions]) -> EventStream[ServerSentEvent]: ...
@overload
def iter_events(
    response: Any,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["keep"],
    **options: Unpack[ReadOptions],
) -> EventStream[E | ServerSentEvent]: ...
@overload
def iter_events(
    response: Any,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["skip", "raise"] = "skip",
    **options: Unpack[ReadOptions],
) -> EventStream[E]: ...
@overload
def iter_events(response: Any, *, dialect: Dialect[E], **options: Unpack[ReadOptions]) -> EventStream[E]: ...
def iter_events(
    response: Any, *, events: Any = None, dialect: Any = None, unknown: Any = None, **options: Unpack[ReadOptions]
) -> Any:
    """
    Iterate the events of a response that you have: `httpx`'s or `httpx2`'s, asked for with `stream=True`.

    `events`, `dialect` and `unknown` mean what they mean to a client's `stream`. Raises, at the first event,
    `StatusError` or `ContentTypeError` where it is no event stream. Nothing is retried.
    """
    library = library_of(response, "Response")
    spoken = dialect_of(events, dialect, unknown)
    return EventStream(plan_of(response, options, spoken), library, spoken, None, None, response)


class Reply(Accumulation[S], Generic[T, S]):
    """What a stream comes to: a snapshot so far, and the final one. Iterating it iterates the stream."""

    def __init__(self, stream: EventStream[T], fold: Callable[[S, T], S], initial: S) -> None:
        super().__init__(fold, initial)
        self._stream = stream
        stream._accumulate(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._stream!r}>"

    def __iter__(self) -> Iterator[T]:
        return iter(self._stream)

    def final(self) -> S:
        """
        Read on to the end of the stream; return the fold of all its events.

        Raises the stream's error, with the snapshot so far as `.partial`, and `StreamCancelled` where somebody closed
        the stream before its end.
        """
        for _ in self._stream._events():
            pass
        self._stream._check_whole(self)
        return self.snapshot


class _Pump:
    """Reads on a thread of its own, as far ahead as its queue is long, so that somebody else can look at the clock."""

    def __init__(
        self, read: Callable[[], Happening], now: Callable[[], float], passed: Callable[[float], None]
    ) -> None:
        self._read = read
        self._now = now
        self._passed = passed
        self._queue: queue.Queue[Happening | BaseException] = queue.Queue(maxsize=256)
        # What the caller has set for this call, a tenant or a trace, holds for `headers=`, hooks and validators too.
        run = copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="sse_client reader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        happening: Happening | BaseException | None = None
        while not isinstance(happening, Ended | BaseException):
            try:
                happening = self._read()
            except BaseException as error:  # noqa: BLE001
                happening = error
            self._queue.put(happening)

    def happening(self, deadline: float) -> Happening:
        try:
            left = None if deadline == inf else min(max(deadline - self._now(), 0.0), threading.TIMEOUT_MAX)
            happening = self._queue.get(timeout=left)
        except queue.Empty:
            self._passed(deadline)
            return Passed()
        if isinstance(happening, BaseException):
            raise happening
        return happening

    def join(self) -> None:
        """Wait for the reader, which somebody has woken; what it still brings is of no interest."""
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._queue.get(timeout=0.01)
