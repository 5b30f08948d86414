"""
Turns at reading: which thread reads from an HTTP/2 connection for all of its streams.

In sync, httpcore's readers wait for a lock while one of them reads for all. No other thread can end that wait, and the
one that has just released the lock is mostly the first to get it again, so that the others wait on, for ever if need
be, although their events are there. So they wait here, in turn, before they come to that lock.
"""

import threading
from typing import Any, SupportsIndex


class Turns:
    """Which thread reads from a connection. The others wait here, each until an event has come for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._reader: Queue | None = None
        self._waiting: list[threading.Condition] = []

    def take(self, queue: "Queue", seconds: float | None) -> None:
        """Wait until an event has come into the queue, or it is its turn to read. Raises `TimeoutError`."""
        with self.lock:
            if self._reader is not None and not queue:
                self._wait(queue, seconds)
            if not queue:
                self._reader = queue

    def _wait(self, queue: "Queue", seconds: float | None) -> None:
        self._waiting.append(queue.changed)
        queue.is_awaited = True
        try:
            seconds = None if seconds is None else min(seconds, threading.TIMEOUT_MAX)
            if not queue.changed.wait_for(lambda: queue or self._reader is None, seconds):
                raise TimeoutError("no byte came in time")
        finally:
            queue.is_awaited = False
            self._waiting.remove(queue.changed)
            self._notify()  # this one may have been notified, and need no turn any more

    def give(self, queue: "Queue") -> None:
        """End its turn, if it has one."""
        with self.lock:
            if self._reader is queue:
                self._reader = None
                self._notify()

    def _notify(self) -> None:
        if self._waiting and self._reader is None:
            self._waiting[0].notify()


class Queue(list[Any]):
    """The events of a stream, for httpcore to fill; the thread that waits for one is told."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self.turns = turns
        self.changed = threading.Condition(turns.lock)
        self.is_awaited = False

    def append(self, event: Any) -> None:
        super().append(event)
        self._tell()

    def insert(self, index: SupportsIndex, event: Any) -> None:
        super().insert(index, event)
        self._tell()

    def _tell(self) -> None:
        # In this order: a thread that waits says so first, and then looks for an event.
        if self.is_awaited:
            with self.changed:
                self.changed.notify()
