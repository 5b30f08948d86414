"""
The time of a stream: real, or virtual over a scripted transport.

A stream has one `Clock`. It is the real one until a transport that has no real time asks for another.
"""

import time
from collections.abc import Callable
from math import inf

from .waking import Channel

# In a request's extensions: how a transport that has no real time gets the stream's `VirtualTime`. The method is held
# weakly: the stream holds its response, and that its request, and it is closed as soon as nobody holds the stream.
VIRTUAL_TIME = "sse_client.virtual_time"


class Clock:
    """Real time. It has no state, so that all streams share one."""

    __slots__ = ()

    now = staticmethod(time.monotonic)
    """The time, in seconds since some moment in the past."""

    def wait(self, seconds: float) -> float:
        """Wait for so many seconds, except for those of real time; return how many these are."""
        return seconds

    def waited_until(self, deadline: float) -> None:
        """Take that nothing happened in real time until a deadline."""

    def watch(self, channel: Channel, deadline: float) -> None:
        """Have the next read given up at the deadline."""
        channel.watch(deadline)

    def limit(self, seconds: float) -> None:
        """Take that the step that follows is given up after so many seconds, by a cancellation in real time."""


class VirtualTime(Clock):
    """
    The time of a stream over a scripted transport: it passes only when a stream would wait.

    The transport waits for the server in it, the shell for its next attempt. A read gives up at `deadline`.
    """

    __slots__ = ("_now", "deadline", "wait_until_closed")

    def __init__(self, now: float, wait_until_closed: Callable[[float], bool] | None) -> None:
        self.deadline = inf
        self.wait_until_closed = wait_until_closed
        """For a thread that would wait for ever: waits so many real seconds, and returns whether the stream was closed.
        `None` where a cancellation ends that."""
        self._now = now

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += seconds

    def wait(self, seconds: float) -> float:
        self._now += seconds
        return 0.0

    def waited_until(self, deadline: float) -> None:
        self._now = max(deadline, self._now)

    def watch(self, channel: Channel, deadline: float) -> None:
        self.deadline = deadline
        channel.watch(deadline)

    def limit(self, seconds: float) -> None:
        self.deadline = self._now + seconds


REAL_TIME = Clock()
