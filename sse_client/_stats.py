"""The statistics of a stream: the value of `stream.stats` and `error.stats`."""

from dataclasses import dataclass


@dataclass(slots=True)
class StreamStats:
    """
    Statistics of one stream over all its attempts. Times are in seconds.

    A snapshot, which does not change afterwards. It is available however the stream ends.
    """

    attempts: int = 0
    """Requests sent, without redirects."""
    connections: int = 0
    """Attempts whose response was an event stream."""
    events: int = 0
    """Events delivered to the user."""
    unknown: int = 0
    """Delivered events that the `events` type does not cover."""
    comments: int = 0
    """Comments, which servers send to keep a connection alive."""
    bytes: int = 0
    """Bytes of the bodies, decompressed and without the transfer coding."""
    time_to_headers: float | None = None
    """From the first attempt to the headers of the first event stream."""
    time_to_first_event: float | None = None
    """From the first attempt to the first event."""
    longest_gap: float = 0.0
    """The longest time from one received event to the next."""
    duration: float = 0.0
    """From the first attempt to the end, or until now."""
