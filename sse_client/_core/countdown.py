"""
The clocks of one request until its headers: `connect` runs up to the first byte that is sent, `response` from there on.

A transport counts each of its phases anew: the wait for a connection, TCP, a proxy, TLS. Here they share one clock, and
`total` is above both.
"""

from math import inf


class Countdown:
    """Which clock a request is under, and when it runs out. A shell reports each change and re-arms what ends it."""

    __slots__ = ("_connect", "_connect_by", "_response", "_total_deadline", "deadline")

    deadline: float
    """When the phase that the request is in must be over."""

    def __init__(self, connect: float | None, response: float | None, total_deadline: float) -> None:
        self._connect = inf if connect is None else connect
        self._response = inf if response is None else response
        self._total_deadline = total_deadline
        self._connect_by = self.deadline = inf

    def wait_for_connection(self, now: float) -> None:
        """Begin with a request, which may get a connection that is there, or a new one."""
        self._connect_by = min(now + self._connect, self._total_deadline)
        # As long as the transport does not say which of the two it is.
        self.deadline = min(now + self._connect + self._response, self._total_deadline)

    def connect(self) -> None:
        """Take that a new connection is being made."""
        self.deadline = self._connect_by

    def send(self, now: float) -> None:
        """Take that the request is about to be sent."""
        self.deadline = min(now + self._response, self._total_deadline)

    def left(self, now: float) -> float:
        """How many seconds the phase has left."""
        return self.deadline - now

    def left_to_connect(self, now: float) -> float:
        """How many seconds there are for a connection; for a transport's own timeouts."""
        return self._connect_by - now

    def left_to_respond(self, now: float) -> float:
        """How many seconds there are for the response, if the request is sent now."""
        return min(self._response, self._total_deadline - now)
