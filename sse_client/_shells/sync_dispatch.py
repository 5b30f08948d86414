"""
Callbacks in a thread: makes the calls that a `Dispatch` asks for, one at a time.

With batches a helper thread reads, so that the caller's thread, which makes the calls, can look at the clock.
"""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from math import inf
from types import CoroutineType, TracebackType
from typing import Any, Protocol, Self

from .._core.dispatch import Call, Dispatch, Ended, Leave, Next, Passed, Signal
from .._stats import StreamStats
from .time import Clock


class Source(Protocol):
    """A stream, as far as a dispatch needs it."""

    _now: Callable[[], float]
    _clock: Clock

    def _signal(self, deadline: float, /) -> Signal: ...
    def _observe(self, signal: Signal) -> Signal: ...
    def _leave(self, error: BaseException | None) -> None: ...
    def close(self) -> None: ...


def drive(dispatch: Dispatch, stream: Source, read: Callable[[float], Signal]) -> StreamStats:
    """Call what the dispatch asks for, to its end; return the numbers of the stream, or raise what it ends with."""
    steps = iter(dispatch)
    answer: Any = None
    try:
        step = next(steps)
        while True:
            try:
                match step:
                    case Next(deadline):
                        answer = stream._observe(read(deadline))
                    case Call(handler, arguments):
                        answer = handler(*arguments)
                        if isinstance(answer, CoroutineType):
                            answer.close()
                            raise TypeError(f"{handler!r} returned a coroutine, which needs AsyncSSEClient")
                    case Leave(error):
                        stream._leave(error)
            except BaseException as error:  # noqa: BLE001
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        stats: StreamStats = stop.value
        return stats


class Pump:
    """Reads on a thread of its own, as far ahead as its queue is long. Leaving it closes the stream."""

    def __init__(self, stream: Source) -> None:
        self._stream = stream
        self._queue: queue.Queue[Signal | BaseException] = queue.Queue(maxsize=256)
        # The caller's context variables, such as a tenant or a trace, also apply to `headers=`, hooks and validators.
        run = copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="sse_client reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._stream.close()
        while self._thread.is_alive():
            # Its further signals do not matter, but it must not wait for room in the queue.
            with suppress(queue.Empty):
                self._queue.get(timeout=0.01)

    def _run(self) -> None:
        signal: Signal | BaseException | None = None
        while not isinstance(signal, Ended | BaseException):
            try:
                signal = self._stream._signal(inf)
            except BaseException as error:  # noqa: BLE001
                signal = error
            self._queue.put(signal)

    def signal(self, deadline: float) -> Signal:
        """Return what comes next, or `Passed` if nothing has by the deadline."""
        stream = self._stream
        try:
            left = None if deadline == inf else min(max(deadline - stream._now(), 0.0), threading.TIMEOUT_MAX)
            signal = self._queue.get(timeout=left)
        except queue.Empty:
            stream._clock.waited_until(deadline)
            return Passed()
        if isinstance(signal, BaseException):
            raise signal
        return signal
