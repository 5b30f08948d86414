"""The timeouts of a stream, called clocks. Each is independent, and `None` switches it off."""

from dataclasses import dataclass, fields
from typing import cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """
    Time limits in seconds; `None` and infinity mean no limit.

    Unlike in httpx, a plain number passed as `timeout=` limits the whole stream: it means `total`. A clock that waits
    for data counts only while the stream is waiting, not while your own code handles an event.

    In the sync client, `first_event`, `idle` and `total` end a blocked read by shutting down its socket. If the
    transport does not give access to the socket, its own read timeout ends a silence. That is a single number: the rest
    of `total`, or the longer of `first_event` and `idle`.

    Over HTTP/2, streams share a connection. In the sync client, `read` and `response` then end all streams of the
    connection; an event may wait while another request of yours reads from it; and a request beyond the server's limit
    of streams waits without a clock. A server that closes the connection gracefully interrupts its streams. If that
    matters, use one client per stream, or HTTP/1.1.

    Before there is a connection, the sync client cannot interrupt two things: the resolution of a host name, and your
    own `headers=` function. It tries each address of a name for as long as `connect` and `total` allow at that moment.
    """

    connect: float | None = 10.0
    """The time to get a connection: the pool, TCP, a proxy and TLS together. Raises `ConnectionFailed`."""
    response: float | None = 300.0
    """The time from the connection to the headers; a model may think for minutes. Raises `ConnectionFailed`."""
    read: float | None = 300.0
    """The longest time without a single byte; comments count as bytes. Raises `StreamTimeout`."""
    first_event: float | None = None
    """The time from the headers to the first event of the stream. Raises `StreamTimeout`."""
    idle: float | None = None
    """The longest time to wait for each event after the first; comments are not events. Raises `StreamTimeout`."""
    total: float | None = None
    """The time for the whole stream, from its first attempt. Raises `StreamTimeout`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds: object = getattr(self, field.name)
            if seconds is None:
                continue
            if isinstance(seconds, bool) or not (isinstance(seconds, int | float) and seconds > 0):
                raise ValueError(f"expected a positive number of seconds or None for {field.name}, got {seconds!r}")

    @classmethod
    def _of(cls, timeout: "Timeouts | float | None") -> "Timeouts":
        """Convert a `timeout` argument: a `Timeouts`, seconds for the whole stream, or `None` for no clocks at all."""
        if isinstance(timeout, Timeouts):
            return timeout
        if timeout is None:
            return cls(connect=None, response=None, read=None)
        if isinstance(timeout, bool) or not isinstance(cast("object", timeout), int | float):
            raise TypeError(f"expected seconds, an sse_client.Timeouts or None, got {timeout!r}")
        return cls(total=timeout)
