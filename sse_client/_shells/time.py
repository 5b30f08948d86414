"""
Real and virtual time.
"""

from collections.abc import Callable
from math import inf

# In a request's extensions: how a transport that has no real time gets the stream's `VirtualTime`. The method is held
# weakly: the stream holds its response, and that its request, and it is closed as soon as nobody holds the stream.
VIRTUAL_TIME = "sse_client.virtual_time"


class VirtualTime:
    """
    The time of a stream over a scripted transport: it passes only where somebody would wait.

    The transport waits for the server in it, the shell for its next attempt. A read gives up at `deadline`.
    """

    def __init__(self, now: float, wait_until_closed: Callable[[float], bool] | None) -> None:
        self.deadline = inf
        self.wait_until_closed = wait_until_closed
        """For a thread that would wait for ever: waits so many real seconds, and returns whether the stream was closed.
        `None` where a cancellation ends that."""
        self._now = now

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
