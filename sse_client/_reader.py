"""
A dialect's state for one stream: events in, values and a snapshot out.

A `Dialect` has a function that makes a `Reader`. Each stream has its own, and an attempt that starts over gets a new
one. The session decides how a stream ends; the reader only says whether a clean end is complete.
"""

from collections.abc import Sequence
from typing import Protocol

from typing_extensions import TypeVar

from ._errors import SSEError
from ._event import ServerSentEvent

T_co = TypeVar("T_co", covariant=True)
S_co = TypeVar("S_co", covariant=True)


class Reader(Protocol[T_co, S_co]):
    """Reads the events of one stream: it returns the new values of each, and keeps a snapshot of the whole."""

    @property
    def snapshot(self) -> S_co:
        """The result so far. It is live: the next event may change it. Reading it costs next to nothing."""
        ...

    @property
    def is_complete(self) -> bool | None:
        """Whether the reply would be complete if the body ended cleanly now; `None` if the protocol does not say."""
        ...

    def read(self, event: ServerSentEvent) -> Sequence[T_co]:
        """
        Return the new values of an event, in order; usually none or one.

        The terminator is passed too, even if it is `[DONE]` or an unfinished block that counts as the terminator.
        Events that `errors` recognizes are not passed. JSON of any shape is accepted: the reader returns or ignores
        values that it does not know. If the data must be JSON and is not, it raises `ValueError` and changes nothing;
        the stream raises `DecodeError` from that. Empty data returns nothing.
        """
        ...

    def resumed(self) -> None:
        """A new connection continues after the last event; the server may repeat some events."""
        ...

    def close(self, error: SSEError | None) -> None:
        """
        The stream is over. Called once, after the last `read`.

        `error` is `None` only if it completed; a stream that was left or closed early has a `StreamCancelled`.
        """
        ...
