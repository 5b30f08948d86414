"""
A dialect's reader at work in one stream: each event becomes several values, or none, and adds to a snapshot.

The shells ask it for the values of each event; the session asks it what a clean end means, and whether the user has
had anything yet. It is made once per stream. The reader in it is replaced if an attempt starts over.
"""

from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any

from .._errors import DecodeError, SSEError, quote
from .._event import ServerSentEvent
from .._reader import Reader

NO_VALUES: Iterator[Any] = iter(())


class Reading:
    """What the reader has made of the events so far."""

    __slots__ = ("_has_values", "_is_closed", "_make", "_reader", "last", "values")

    values: Iterator[Any]
    """The values of the latest event that are still to be delivered. An event is finished with the last of them."""
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
        """The reader's."""
        return self._reader.snapshot

    @property
    def is_complete(self) -> bool | None:
        """Whether a clean end now is the end of the reply; `None` if the protocol does not say."""
        return self._reader.is_complete

    @property
    def has_values(self) -> bool:
        """Whether there has been a value: until then, an attempt that starts over doubles nothing."""
        return self._has_values

    @property
    def is_mid_event(self) -> bool:
        """Whether some values of the latest event are still to be delivered."""
        return length_hint(self.values) > 0

    def read(self, event: ServerSentEvent) -> Iterator[Any]:
        """Return the values of the event, which are `values` from now on. Raises `DecodeError`."""
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
        """Return the values that a terminator adds which is not delivered as an event; there are some only once."""
        event, self.last = self.last, None
        return NO_VALUES if event is None else self.read(event)

    def renew_values(self) -> None:
        """Put the values that are left into a new iterator, and end the old one wherever it is in use."""
        self.values = iter(list(self.values))

    def drop(self) -> bool:
        """Deliver no more values of the latest event; return whether there were any. Any thread."""
        has_left = self.is_mid_event
        for _ in self.values:  # whoever iterates it meanwhile comes to its end
            pass
        return has_left

    def start_over(self) -> None:
        """Take that the next attempt starts over: the events of the last one count no more."""
        self._reader = self._make()
        self.values = NO_VALUES
        self.last = None

    def resumed(self) -> None:
        """Take that a new connection continues after the last event."""
        self._reader.resumed()

    def close(self, error: SSEError | None) -> None:
        """Take that the stream is over."""
        if not self._is_closed:
            self._is_closed = True
            self._reader.close(error)
