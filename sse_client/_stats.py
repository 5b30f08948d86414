"""The numbers of one stream: what `stream.stats` returns, and what an error carries."""

from dataclasses import dataclass


@dataclass(slots=True)
class StreamStats:
    """Counts and times of one stream, over all its attempts; a snapshot, complete on every path. Times in seconds."""

    attempts: int = 0
    """Requests sent, redirects not counted."""
    connections: int = 0
    """Attempts that were answered with an event stream."""
    events: int = 0
    """Events handed to the user."""
    unknown: int = 0
    """Of these, events that their type has no place for."""
    comments: int = 0
    """Comments, which servers send to keep a connection alive."""
    bytes: int = 0
    """Bytes of the bodies, without transfer coding and decompressed."""
    time_to_headers: float | None = None
    """From the first attempt to the headers of the first event stream."""
    time_to_first_event: float | None = None
    """From the first attempt to the first event."""
    longest_gap: float = 0.0
    """The longest time from one event to the next, as they were received."""
    duration: float = 0.0
    """From the first attempt to the end, or to now."""
