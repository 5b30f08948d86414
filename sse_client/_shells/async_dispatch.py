"""
Callbacks in a task: `sync_dispatch.py` with `await`, on asyncio and trio.

With batches a task of its own reads, so that the caller's task, which makes the calls, can look at the clock.
"""

import inspect
from collections.abc import Awaitable, Callable
from math import inf
from types import CoroutineType, TracebackType
from typing import Any, NoReturn, Protocol, Self

import anyio

from .._core.dispatch import Call, Dispatch, Ended, Leave, Next, Passed, Signal, Steps
from .._stats import StreamStats
from .time import Clock

# For the last callbacks of a cancelled dispatch, in seconds: enough to draw or save what is there.
MAX_FAREWELL = 1.0


class Source(Protocol):
    """A stream, as far as a dispatch needs it."""

    _now: Callable[[], float]
    _clock: Clock

    async def _signal(self, deadline: float, /) -> Signal: ...
    def _observe(self, signal: Signal) -> Signal: ...
    async def _leave(self, error: BaseException | None) -> None: ...
    async def aclose(self) -> None: ...


async def drive(dispatch: Dispatch, stream: Source, read: Callable[[float], Awaitable[Signal]]) -> StreamStats:
    """Call what the dispatch asks for, to its end; return the numbers of the stream, or raise what it ends with."""
    steps = iter(dispatch)
    try:
        return await _drive_from(next(steps), steps, stream, read)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001
        # A cancellation: the last handlers are still called, but must not delay it for long.
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + MAX_FAREWELL):
            await _drive_from(steps.throw(error), steps, stream, read)
        dispatch.farewell()
        _call_the_rest(steps.throw(error), steps)


async def _drive_from(
    step: Next | Call | Leave, steps: Steps, stream: Source, read: Callable[[float], Awaitable[Signal]]
) -> StreamStats:
    answer: Any = None
    while True:
        try:
            match step:
                case Next(deadline):
                    answer = stream._observe(await read(deadline))
                case Call(handler, arguments):
                    answer = handler(*arguments)
                    if inspect.isawaitable(answer):
                        await answer
                case Leave(error):
                    await stream._leave(error)
        except Exception as error:  # noqa: BLE001
            step = steps.throw(error)
            continue
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            stats: StreamStats = stop.value
            return stats


def _call_the_rest(step: Next | Call | Leave, steps: Steps) -> NoReturn:
    """Make the calls that need no loop; raise what the dispatch ends with, which is the cancellation at least."""
    while True:
        try:
            if isinstance(step, Call):
                answer = step.handler(*step.arguments)
                if isinstance(answer, CoroutineType):
                    answer.close()
        except BaseException as error:  # noqa: BLE001
            step = steps.throw(error)
        else:
            step = steps.send(None)


class AsyncPump:
    """Reads in a task of its own, as far ahead as its queue is long. Leaving it closes the stream."""

    def __init__(self, stream: Source) -> None:
        self._stream = stream
        self._send, self._receive = anyio.create_memory_object_stream[Signal | Exception](256)
        self._tasks = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._run)
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        with self._send, self._receive:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            self._tasks.cancel_scope.cancel()
            try:
                await self._tasks.__aexit__(None, None, None)
            except BaseException:
                # An error of the block is raised as it is: neither in the group of a task, nor below a cancellation.
                if error is None:
                    raise

    async def _run(self) -> None:
        signal: Signal | Exception | None = None
        while not isinstance(signal, Ended | Exception):
            try:
                signal = await self._stream._signal(inf)
            except Exception as error:  # noqa: BLE001
                signal = error
            await self._send.send(signal)

    async def signal(self, deadline: float) -> Signal:
        """Return what comes next, or `Passed` if nothing has by the deadline."""
        stream = self._stream
        with anyio.move_on_after(deadline - stream._now()):
            signal = await self._receive.receive()
            if isinstance(signal, Exception):
                raise signal
            return signal
        stream._clock.waited_until(deadline)
        return Passed()
