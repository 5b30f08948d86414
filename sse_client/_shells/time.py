"""
The time of a stream: real, or virtual over a scripted transport.

A stream has one `Clock`. It is the real one until a scripted transport requests virtual time.
"""

import time
from collections.abc import Callable
from math import inf

from .waking import Channel

# The key in a request's extensions by which a scripted transport gets the stream's `VirtualTime`. The method is
# referenced weakly: the stream refers to its response and thereby to its request, and a cycle would delay the closing
# of a stream that is no longer referenced.
VIRTUAL_TIME = "sse_client.virtual_time"


class Clock:
    """Real time. It has no state, so all streams share one."""

    __slots__ = ()

    now = staticmethod(time.monotonic)
    """The time, in seconds since some moment in the past."""

    def wait(self, seconds: float) -> float:
        """Let virtual time pass; return the seconds that the caller must wait in real time."""
        return seconds

    def waited_until(self, deadline: float) -> None:
        """Record that nothing happened until a deadline."""

    def watch(self, channel: Channel, deadline: float) -> None:
        """Give up the next read at the deadline."""
        channel.watch(deadline)

    def limit(self, seconds: float) -> None:
        """Record that the next step is given up after this time; in real time, a cancellation does that."""


class VirtualTime(Clock):
    """
    The time of a stream over a scripted transport: it passes only when the stream would wait.

    It advances when the transport waits for the server, or the shell for its next attempt. A read is given up at
    `deadline`.
    """

    __slots__ = ("_now", "deadline", "wait_until_closed")

    def __init__(self, now: float, wait_until_closed: Callable[[float], bool] | None) -> None:
        self.deadline = inf
        self.wait_until_closed = wait_until_closed
        """A function for a thread that would wait for ever: it waits at most the given real seconds, and returns
        whether the stream was closed. `None` if a cancellation ends the wait."""
        self._now = now

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance the time."""
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
