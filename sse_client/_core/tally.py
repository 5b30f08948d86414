"""The statistics of one stream over all its attempts, except those that change with every piece of the body."""

from .._stats import StreamStats


class Tally:
    """The source of `stream.stats`. Times are in seconds, by the shell's clock."""

    __slots__ = (
        *("attempts", "connections", "comments", "unknown", "started_at", "stopped_at"),
        *("_time_to_headers", "_time_to_first_event"),
    )

    def __init__(self) -> None:
        self.attempts = 0
        self.connections = 0
        self.comments = 0
        self.unknown = 0
        self.started_at: float | None = None
        self.stopped_at: float | None = None
        self._time_to_headers: float | None = None
        self._time_to_first_event: float | None = None

    def opened(self, now: float) -> None:
        """Record that a response was accepted as a stream."""
        self.connections += 1
        if self._time_to_headers is None:
            self._time_to_headers = self._since_start(now)

    def first_event(self, now: float) -> None:
        """Record the time of the first event."""
        self._time_to_first_event = self._since_start(now)

    def stats(self, now: float, *, events: int, bytes: int, longest_gap: float) -> StreamStats:
        """Return the statistics so far."""
        return StreamStats(
            attempts=self.attempts,
            connections=self.connections,
            events=events,
            unknown=self.unknown,
            comments=self.comments,
            bytes=bytes,
            time_to_headers=self._time_to_headers,
            time_to_first_event=self._time_to_first_event,
            longest_gap=longest_gap,
            duration=self._since_start(now if self.stopped_at is None else self.stopped_at),
        )

    def _since_start(self, now: float) -> float:
        return 0.0 if self.started_at is None else now - self.started_at
