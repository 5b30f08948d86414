"""
The clocks of one request until its headers: `connect` until the first byte is sent, then `response`.

A transport's own timeout starts again in each phase: the pool, TCP, a proxy, TLS. Here they share one clock, and
`total` limits both.
"""

from math import inf


class Countdown:
    """The clock that applies to a request now. A shell reports each change of phase, and then re-arms its watchdog."""

    __slots__ = ("_connect", "_connect_by", "_response", "_total_deadline", "deadline")

    deadline: float
    """When the current phase must be over."""

    def __init__(self, connect: float | None, response: float | None, total_deadline: float) -> None:
        self._connect = inf if connect is None else connect
        self._response = inf if response is None else response
        self._total_deadline = total_deadline
        self._connect_by = self.deadline = inf

    def wait_for_connection(self, now: float) -> None:
        """Start with a request, which may use an existing connection or a new one."""
        self._connect_by = min(now + self._connect, self._total_deadline)
        # The sum, until the transport reports which of the two it is.
        self.deadline = min(now + self._connect + self._response, self._total_deadline)

    def connect(self) -> None:
        """Record that a new connection is being made."""
        self.deadline = self._connect_by

    def send(self, now: float) -> None:
        """Record that the request is about to be sent."""
        self.deadline = min(now + self._response, self._total_deadline)

    def left(self, now: float) -> float:
        """Return the seconds left in the current phase."""
        return self.deadline - now

    def left_to_connect(self, now: float) -> float:
        """Return the seconds left for a connection, for the transport's own timeouts."""
        return self._connect_by - now

    def left_to_respond(self, now: float) -> float:
        """Return the seconds left for the response, if the request is sent now."""
        return min(self._response, self._total_deadline - now)
