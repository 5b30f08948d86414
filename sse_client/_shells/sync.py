"""
The sync stream: a thin shell that executes the steps of a `Session`, on the caller's own thread.

The only decisions here are about threads, because `close` may be called from another one at any time. If a thread is
inside a step, `close` only wakes it, and that thread cleans up; otherwise `close` cleans up itself.

A thread first sets `_is_busy` and then reads `is_closing`; `close` first sets `is_closing` and then reads `_is_busy`.
So at least one of them notices the other, and no event needs a lock.
"""

from collections.abc import Callable, Iterator
from math import inf
from types import TracebackType
from typing import Any, Generic, Self, cast, overload

from typing_extensions import TypeVar

from .._accumulate import Accumulating
from .._core.dispatch import Signal
from .._core.phases import outcome_of
from .._core.steps import Read, Stop
from .._errors import DecodeError, SSEError, StreamError
from .._handlers import Handlers
from .._stats import StreamStats
from .._typed import Nothing, S, T
from .accumulations import Accumulation
from .http import failure_of
from .only import check_kinds
from .sync_connection import Connection
from .sync_dispatch import Pump, drive

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


class EventStream(Connection[T, S], Iterator[T], Generic[T, S]):
    """
    The events of one call, to iterate over once.

    Enter it to connect, and leave it to close it. If it is iterated without `with`, it connects at the first event, and
    closes at the end, after an error, or when it is garbage-collected. Until it is entered, opened or iterated, nothing
    is sent.
    """

    def __iter__(self) -> Iterator[T]:  # noqa: PYI034
        self._session.begin()
        return self._events()

    def _events(self) -> Iterator[T]:
        # A generator on the same state as `__next__`, at a quarter of its cost; the two may be mixed.
        session, reading = self._session, self._reading
        while True:
            if self._is_plain:
                yield from cast("Iterator[T]", session.ready)
                if not self._is_plain:
                    continue  # a fold began in the middle
            elif reading is not None and not self._foldings:
                # `_next_value` without a call for each value.
                try:
                    yield from reading.values
                    for event in session.ready:
                        yield from reading.read(event)
                    if self._foldings:
                        continue  # a fold began in the middle
                    if reading.last is not None and not session.is_closing:
                        yield from reading.rest()
                except DecodeError as error:
                    self._complete(error)
                    raise
            elif self._is_mixed:
                while (value := self._next_value()) is not Nothing.EMPTY:
                    yield value
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
                    # Nearly every piece is read here: `_advance` without the call.
                    try:
                        data = next(self._pieces)
                    except BaseException as error:  # noqa: BLE001
                        self._not_read(error)
                    else:
                        session.received(data, self._now())
                    continue
            finally:
                self._is_busy = False
            if not self._advance():
                return

    def __next__(self) -> T:
        session = self._session
        while True:
            if self._is_mixed:
                value = self._next_value()
                if value is not Nothing.EMPTY:
                    return cast("T", value)
            else:
                for event in session.ready:
                    value = self._value(event)
                    if value.__class__ is not Nothing:
                        return cast("T", value)
            if not self._advance():
                raise StopIteration

    def _advance(self) -> bool:
        """Continue until there is something to deliver; return `False` if the stream is over."""
        session = self._session
        # CPython does not switch threads between this test and the assignment.
        if self._is_busy:
            raise self._in_use()
        try:
            self._is_busy = True
            while True:
                step = session.next_step(self._now())
                has_events = False
                if isinstance(step, Read):
                    self._clock.watch(self._channel, session.deadline)
                    try:
                        data = next(self._pieces)
                    except BaseException as error:  # noqa: BLE001
                        has_events = self._not_read(error)
                    else:
                        self._channel.deadline = inf  # the clocks stand still while the user handles an event
                        has_events = session.received(data, self._now())
                else:
                    self._do(step)
                    if isinstance(step, Stop):
                        return False
                if has_events or session.notes:
                    return True
        except BaseException as error:
            self._clean_up(error)
            raise
        finally:
            self._is_busy = False

    def _in_use(self) -> RuntimeError:
        return RuntimeError("another thread is reading this stream: it can be read by one thread at a time")

    def _not_read(self, error: BaseException) -> bool:
        """Handle the end of the body, or an error; return whether there is something to deliver."""
        if isinstance(error, StopIteration):
            return self._ended()
        # If the HTTP client is closed during a read, a TLS socket raises ValueError.
        expected: tuple[type[Exception], ...] = self._errors
        if self._session.is_closing:
            expected = *expected, ValueError
        if not isinstance(error, expected):
            self._clean_up(error)
            raise error
        self._session.lost(failure_of(error, self._library, self._channel), self._now())
        return False

    def __enter__(self) -> Self:
        self._connect_once()
        return self

    def open(self) -> Self:
        """
        Connect without `with`, and return the stream; you must then close it.

        Use it to look at the response first: a proxy can turn a server's 401 into its own 401. It raises like entering,
        and then there is nothing to close. Entering an open stream does not connect again. A stream that was opened,
        entered or iterated before is a `RuntimeError`.
        """
        self._check_unopened()
        self._connect_once()
        return self

    def _connect_once(self) -> None:
        """Connect, unless the stream is connected."""
        session = self._session
        if self._is_busy:
            raise self._in_use()
        try:
            self._is_busy = True
            while not session.is_open:
                self._do(session.next_step(self._now()))
        except BaseException as error:
            self._clean_up(error)
            raise
        finally:
            self._is_busy = False

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._leave(error)

    def close(self) -> None:
        """
        End the stream: its loop ends, and no other request is sent. From any thread, any number of times.

        Wakes a thread that is blocked in a read, if the transport gives access to its socket (httpx's own does);
        otherwise that thread ends with the next byte. Over HTTP/2 only the stream is reset, and the connection is kept.
        """
        self._session.close()
        self._closing.set()
        if self._is_busy:
            self._channel.shut_down()  # wakes the thread that is busy, which then cleans up
        else:
            self._session.finish_closing(self._now())
            self._close_response()
            self._end_reading()

    def __del__(self) -> None:
        # A constructor that failed left no response to close; in a forked process it belongs to the parent.
        if getattr(self, "_response", None) is not None and not self._channel.is_inherited:
            self._session.observe = None  # an observer may need a lock that this thread holds; it will see for itself
            self._clean_up(GeneratorExit())

    def _leave(self, error: BaseException | None) -> None:
        """End the stream because the user left it, with this exception or without one."""
        session = self._session
        if self._is_busy:
            session.close(outcome_of(error))  # another thread is reading
            self.close()
            return
        try:
            self._is_busy = True
            session.leave(error, self._now())
            while not isinstance(step := session.next_step(self._now()), Stop):
                self._do(step)
            self._close_response()
            self._end_reading()
        finally:
            self._is_busy = False

    def _clean_up(self, error: BaseException) -> None:
        """Close after an exception: ours, the user's, or one that came from anywhere in the middle of a read."""
        self._session.leave(error, self._now())
        self._close_response()
        self._end_reading(error)

    def dispatch(self, on: Handlers) -> StreamStats:
        """
        Read the stream to its end and call the handlers, on this thread, one at a time. Returns the statistics.

        Connects if necessary. The stream's error is raised after `on.error` and `on.close`. An exception in a handler
        stops the stream, and propagates unchanged. Closing the stream is not an error, so put code that must run only
        after a complete stream in `on.complete`. With batches, a helper thread reads, so that they are delivered in
        time even while the server sends nothing.
        """
        if self._is_busy:
            raise self._in_use()
        dispatch = self._start_dispatch(on, is_async=False)
        try:
            if not dispatch.has_batches:
                return drive(dispatch, self, self._signal)
            with Pump(self) as pump:
                return drive(dispatch, self, pump.signal)
        finally:
            self._leave(None)

    def _signal(self, _: float) -> Signal:
        """Read until the next signal, for a dispatch."""
        try:
            while (signal := self._pending()) is None:
                if not self._advance():
                    return self._over()
        except SSEError as error:
            return self._over(error)
        return signal

    @overload
    def only(self, kind: type[A], /) -> Iterator[A]: ...
    @overload
    def only(self, kind: type[A], kind2: type[B], /) -> Iterator[A | B]: ...
    @overload
    def only(self, kind: type[A], kind2: type[B], kind3: type[C], /) -> Iterator[A | B | C]: ...
    @overload
    def only(self, kind: type[A], kind2: type[B], kind3: type[C], kind4: type[D], /) -> Iterator[A | B | C | D]: ...
    def only(self, *kinds: type) -> Iterator[Any]:
        """Iterate over the values of these classes, one to four of them; other values are skipped."""
        check_kinds(kinds)
        return (value for value in self if isinstance(value, kinds))

    def final(self) -> S:
        """
        Read to the end, which closes the stream, and return the result; immediately if the end is already reached.

        Raises the stream's error, with the snapshot so far as `.partial`; `StreamCancelled` if the stream was closed
        or left before its end; and `TypeError` if the dialect has neither a reader nor a fold. You can keep reading
        after a `DecodeError`.
        """
        return cast("S", self._final(self._own_result("final() needs accumulate(fold, initial)")))

    @overload
    def accumulate(self) -> Accumulation[T, S]: ...
    @overload
    def accumulate(self, fold: Callable[[A, T], A], initial: A | Callable[[], A]) -> Accumulation[T, A]: ...
    @overload
    def accumulate(self, fold: Callable[[A | None, T], A]) -> Accumulation[T, A]: ...
    def accumulate(self, fold: Any = None, initial: Any = None) -> Any:
        """
        Fold the events into one result: `fold(snapshot, event)` returns the new snapshot, starting from `initial`.

        `initial` may be a function that returns the value; a value is copied, so a fold may change it in place. Returns
        immediately. The result's `snapshot` is available at any time; `final()` reads to the end; iterating over it
        iterates over the stream. Without arguments it is the result of the dialect's own fold or reader, from the first
        event: the same as `snapshot` and `final()` of the stream.
        """
        return Accumulation(self, self._accumulated(fold, initial))

    def _final(self, accumulating: Accumulating) -> Any:
        """Read to the end, and return the snapshot, which is then the whole result."""
        try:
            for _ in self._events():
                pass
        except StreamError as error:
            error.partial = accumulating.snapshot
            raise
        return self._whole(accumulating)
