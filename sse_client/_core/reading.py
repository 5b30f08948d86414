"""
A dialect's reader at work in one stream: each event becomes several values, or none, and adds to a snapshot.

The shells get the values of each event from it. The session uses it to judge a clean end, and to know whether the user
has received anything yet. There is one per stream; its reader is replaced if an attempt starts over.
"""

from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any

from .._errors import DecodeError, SSEError, quote
from .._event import ServerSentEvent
from .._reader import Reader

NO_VALUES: Iterator[Any] = iter(())


class Reading:
    """A dialect's reader in one stream, with the values that are still to be delivered."""

    __slots__ = ("_has_values", "_is_closed", "_make", "_reader", "last", "values")

    values: Iterator[Any]
    """The values of the latest event that are still to be delivered. After the last one, the event is finished."""
    last: ServerSentEvent | None
    """The terminator, if it is not delivered as an event: `[DONE]`, or a block whose blank line did not come."""

    def __init__(self, make: Callable[[], Reader[Any, Any]]) -> None:
        self._make = make
        self._reader = make()
        self._has_values = False
        self._is_closed = False
        self.values = NO_VALUES
        self.last = None

    @property
    def snapshot(self) -> Any:
        """The reader's snapshot."""
        return self._reader.snapshot

    @property
    def is_complete(self) -> bool | None:
        """Whether the reply would be complete if the body ended cleanly now; `None` if the protocol does not say."""
        return self._reader.is_complete

    @property
    def has_values(self) -> bool:
        """Whether there has been a value. Until then, an attempt that starts over duplicates nothing."""
        return self._has_values

    @property
    def is_mid_event(self) -> bool:
        """Whether some values of the latest event are still to be delivered."""
        return length_hint(self.values) > 0

    def read(self, event: ServerSentEvent) -> Iterator[Any]:
        """Return the values of the event, and set `values` to them. Raises `DecodeError`."""
        try:
            values = self._reader.read(event)
        except ValueError as error:
            raise DecodeError(
                f"the data of a {event.event!r} event is not JSON: {quote(event.data)}", event=event
            ) from error
        if values:
            self._has_values = True
        self.values = iter(values)
        return self.values

    def rest(self) -> Iterator[Any]:
        """Return the values of a terminator that is not delivered as an event, the first time it is called."""
        event, self.last = self.last, None
        return NO_VALUES if event is None else self.read(event)

    def renew_values(self) -> None:
        """Put the values that are left into a new iterator, and end the old one wherever it is in use."""
        self.values = iter(list(self.values))

    def drop(self) -> bool:
        """Drop the undelivered values of the latest event; return whether there were any. For any thread."""
        has_left = self.is_mid_event
        for _ in self.values:  # exhausts the iterator, even if a loop is iterating it
            pass
        return has_left

    def start_over(self) -> None:
        """Begin with a new reader, because the next attempt starts over and earlier events no longer count."""
        self._reader = self._make()
        self.values = NO_VALUES
        self.last = None

    def resumed(self) -> None:
        """Tell the reader that a new connection continues after the last event."""
        self._reader.resumed()

    def close(self, error: SSEError | None) -> None:
        """Tell the reader, once, that the stream is over."""
        if not self._is_closed:
            self._is_closed = True
            self._reader.close(error)
