"""The clocks of a stream. Each is its own question, and each can be switched off with `None`."""

from dataclasses import dataclass, fields
from typing import cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """
    How long to wait for what, in seconds; `None` and infinity wait for ever.

    A plain number where a `Timeouts` is expected means `total`. A clock that waits for data counts only while the
    stream is waiting, not while your own code handles an event.

    In the sync client, `first_event`, `idle` and `total` end a blocked read by shutting its socket down. Where there is
    none to shut (a transport that does not show it), a silence ends by the transport's own read
    timeout, which can be one number only: what is left of `total`, or the longer of `first_event` and `idle`.

    Over HTTP/2, streams share a connection. In the sync client, `read` and `response` then end all of its streams; an
    event may wait while a request of your own reads from it; and a request beyond the server's limit of streams waits
    without a clock. A server that closes the connection gracefully interrupts its streams. If that matters, use one
    client per stream, or HTTP/1.1.

    Before there is a connection, the sync client cannot interrupt two things: a name that is being resolved, and your
    own `headers=` function. It tries each address of a name for as long as `connect` and `total` allow at that moment.
    """

    connect: float | None = 10.0
    """For a connection: a place in the pool, TCP, a proxy and TLS together. `ConnectionFailed`."""
    response: float | None = 300.0
    """For the headers, once connected: a model may think for minutes before it answers. `ConnectionFailed`."""
    read: float | None = 300.0
    """Without a single byte, comments included. `StreamTimeout`."""
    first_event: float | None = None
    """From the headers to the first event of the stream. `StreamTimeout`."""
    idle: float | None = None
    """For the next event after the first; comments do not count as one. `StreamTimeout`."""
    total: float | None = None
    """For the whole call, from its first attempt on. `StreamTimeout`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds: object = getattr(self, field.name)
            if seconds is None:
                continue
            if isinstance(seconds, bool) or not (isinstance(seconds, int | float) and seconds > 0):
                raise ValueError(f"expected a positive number of seconds or None for {field.name}, got {seconds!r}")

    @classmethod
    def _of(cls, timeout: "Timeouts | float | None") -> "Timeouts":
        """Take what users write for a timeout: ours, seconds for the whole call, or None for no clock at all."""
        if isinstance(timeout, Timeouts):
            return timeout
        if timeout is None:
            return cls(connect=None, response=None, read=None)
        if isinstance(timeout, bool) or not isinstance(cast("object", timeout), int | float):
            raise TypeError(f"expected seconds, an sse_client.Timeouts or None, got {timeout!r}")
        return cls(total=timeout)
