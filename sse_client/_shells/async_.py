"""
The async stream: `sync.py` with `await`, on asyncio and trio.

It has no async generators, because the garbage collector would finish them in another task. No cancel scope outlives
one `__anext__`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, cast, overload

import anyio
from typing_extensions import TypeVar

from .._accumulate import Accumulating
from .._core.dispatch import Signal
from .._core.phases import outcome_of
from .._core.steps import Read, Stop
from .._errors import SSEError, StreamError
from .._handlers import Handlers
from .._stats import StreamStats
from .._typed import Nothing, S, T
from .accumulations import AsyncAccumulation
from .async_connection import AsyncConnection
from .async_dispatch import AsyncPump, drive
from .http import failure_of
from .only import AsyncOnly, check_kinds

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


class AsyncEventStream(AsyncConnection[T, S], AsyncIterator[T], Generic[T, S]):
    """
    The events of one call. Enter it with `async with`, and iterate over it once.

    Until it is entered or opened, nothing is sent.
    """

    def __aiter__(self) -> Self:
        self._check_entered()
        self._session.begin()
        return self

    async def __anext__(self) -> T:
        session = self._session
        while True:
            if self._is_plain:
                for event in session.ready:
                    return cast("T", event)
            elif self._is_mixed:
                value = self._next_value()
                if value is not Nothing.EMPTY:
                    return cast("T", value)
            else:
                for event in session.ready:
                    value = self._value(event)
                    if value.__class__ is not Nothing:
                        return cast("T", value)
            if session.is_reading and not session.is_closing and self._reads_freely and not self._is_busy:
                # Nearly every piece is read here: `_advance` without another coroutine.
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
        """Continue until there is something to deliver; return `False` if the stream is over."""
        session = self._session
        self._begin()
        try:
            while True:
                step = session.next_step(self._now())
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
                    if isinstance(step, Stop):
                        return False
                if has_events or session.notes:
                    return True
        except BaseException as error:
            await self._clean_up(error)
            raise
        finally:
            self._is_busy = False

    async def _not_read(self, error: BaseException) -> bool:
        """Handle the end of the body, or an error; return whether there is something to deliver."""
        if isinstance(error, StopAsyncIteration):
            self._pieces = None
            return self._ended()
        if not isinstance(error, self._errors):
            await self._clean_up(error)
            raise error
        self._session.lost(failure_of(error, self._library, self._channel), self._now())
        return False

    def _begin(self) -> None:
        """Begin a step. Raises `RuntimeError` if the stream was not entered, or if another task is in a step."""
        self._check_entered()
        if self._is_busy:
            raise RuntimeError("another task is reading this stream")
        self._is_busy = True

    def _check_entered(self) -> None:
        if not self._is_entered:
            raise RuntimeError(
                "enter the stream first: async with client.post(…) as stream: async for event in stream; "
                "or open it: await stream.open()"
            )

    async def __aenter__(self) -> Self:
        await self._connect_once()
        return self

    async def open(self) -> Self:
        """
        Connect without `async with`, and return the stream; you must then close it with `aclose()`.

        Use it to look at the response first: a proxy can turn a server's 401 into its own 401. It raises like entering,
        and then there is nothing to close. Entering an open stream does not connect again. A stream that was opened,
        entered or dispatched before is a `RuntimeError`.
        """
        self._check_unopened()
        await self._connect_once()
        return self

    async def _connect_once(self) -> None:
        """Connect, unless the stream is connected."""
        self._is_entered = True
        session = self._session
        self._begin()
        try:
            while not session.is_open:
                await self._do(session.next_step(self._now()))
        except BaseException as error:
            await self._clean_up(error)
            raise
        finally:
            self._is_busy = False

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        await self._leave(error)

    async def aclose(self) -> None:
        """
        End the stream: its loop ends, and no other request is sent. From any task, any number of times.

        The response is closed when this returns.
        """
        session = self._session
        session.close()
        if self._scope is not None:
            self._scope.cancel()
        with anyio.CancelScope(shield=True):
            if not self._is_busy:
                session.finish_closing(self._now())
                await self._close_response()
                self._end_reading()
            elif self._response is not None:
                # Wakes the task that is reading, which then cleans up.
                with suppress(*self._errors):
                    await self._response.aclose()

    async def _leave(self, error: BaseException | None) -> None:
        """End the stream because the user left it, with this exception or without one."""
        session = self._session
        if self._is_busy:
            session.close(outcome_of(error))  # another task is reading
            await self.aclose()
            return
        session.leave(error, self._now())
        self._is_busy = True
        try:
            with anyio.CancelScope(shield=True):
                while not isinstance(step := session.next_step(self._now()), Stop):
                    await self._do(step)
                await self._close_response()
            self._end_reading()
        finally:
            self._is_busy = False

    async def _clean_up(self, error: BaseException) -> None:
        """Close after an exception: ours, the user's, or a cancellation in the middle of a read."""
        self._session.leave(error, self._now())
        if self._response is not None:
            with anyio.CancelScope(shield=True):
                await self._close_response()
        self._end_reading(error)

    async def dispatch(self, on: Handlers) -> StreamStats:
        """
        Read the stream to its end and call the handlers, in this task, one at a time. Returns the statistics.

        Connects if necessary. Handlers may be plain or async functions. The stream's error is raised after `on.error`
        and `on.close`. An exception in a handler stops the stream, and propagates unchanged. Closing the stream is not
        an error, so put code that must run only after a complete stream in `on.complete`. After a cancellation,
        pending batches, `on.cancel` and `on.close` have one second.
        """
        dispatch = self._start_dispatch(on, is_async=True)
        self._is_entered = True
        try:
            if not dispatch.has_batches:
                return await drive(dispatch, self, self._signal)
            async with AsyncPump(self) as pump:
                return await drive(dispatch, self, pump.signal)
        finally:
            await self._leave(None)

    async def _signal(self, _: float) -> Signal:
        """Read until the next signal, for a dispatch."""
        try:
            while (signal := self._pending()) is None:
                if not await self._advance():
                    return self._over()
        except SSEError as error:
            return self._over(error)
        return signal

    @overload
    def only(self, kind: type[A], /) -> AsyncIterator[A]: ...
    @overload
    def only(self, kind: type[A], kind2: type[B], /) -> AsyncIterator[A | B]: ...
    @overload
    def only(self, kind: type[A], kind2: type[B], kind3: type[C], /) -> AsyncIterator[A | B | C]: ...
    @overload
    def only(
        self, kind: type[A], kind2: type[B], kind3: type[C], kind4: type[D], /
    ) -> AsyncIterator[A | B | C | D]: ...
    def only(self, *kinds: type) -> AsyncIterator[Any]:
        """Iterate over the values of these classes, one to four of them; other values are skipped."""
        check_kinds(kinds)
        return AsyncOnly(aiter(self), kinds)

    async def final(self) -> S:
        """
        Read to the end, which closes the stream, and return the result; immediately if the end is already reached.

        Raises the stream's error, with the snapshot so far as `.partial`; `StreamCancelled` if the stream was closed
        or left before its end; and `TypeError` if the dialect has neither a reader nor a fold. You can keep reading
        after a `DecodeError`.
        """
        return cast("S", await self._final(self._own_result("final() needs accumulate(fold, initial)")))

    @overload
    def accumulate(self) -> AsyncAccumulation[T, S]: ...
    @overload
    def accumulate(self, fold: Callable[[A, T], A], initial: A | Callable[[], A]) -> AsyncAccumulation[T, A]: ...
    @overload
    def accumulate(self, fold: Callable[[A | None, T], A]) -> AsyncAccumulation[T, A]: ...
    def accumulate(self, fold: Any = None, initial: Any = None) -> Any:
        """
        Fold the events into one result: `fold(snapshot, event)` returns the new snapshot, starting from `initial`.

        `initial` may be a function that returns the value; a value is copied, so a fold may change it in place. Returns
        immediately. The result's `snapshot` is available at any time; `await final()` reads to the end; iterating over
        it iterates over the stream. Without arguments it is the result of the dialect's own fold or reader, from the
        first event: the same as `snapshot` and `final()` of the stream.
        """
        return AsyncAccumulation(self, self._accumulated(fold, initial))

    async def _final(self, accumulating: Accumulating) -> Any:
        """Read to the end, and return the snapshot, which is then the whole result."""
        try:
            with suppress(StopAsyncIteration):
                while True:
                    await self.__anext__()
        except StreamError as error:
            error.partial = accumulating.snapshot
            raise
        return self._whole(accumulating)
