"""
A dialect's state for one stream: events in, values and a snapshot out.

A `Dialect` names a function that makes a `Reader`; each stream has its own, and an attempt that starts over has a new
one. The session decides how a stream ends, and asks the reader only what a clean end means.
"""

from collections.abc import Sequence
from typing import Protocol

from typing_extensions import TypeVar

from ._errors import SSEError
from ._event import ServerSentEvent

T_co = TypeVar("T_co", covariant=True)
S_co = TypeVar("S_co", covariant=True)


class Reader(Protocol[T_co, S_co]):
    """Reads the events of one stream: what is new in each, and what they add up to."""

    @property
    def snapshot(self) -> S_co:
        """The result so far. It is live: the next event may change it. Asking for it costs next to nothing."""
        ...

    @property
    def is_complete(self) -> bool | None:
        """Whether a clean end of the body now would be the end of the reply; `None` if the protocol does not say."""
        ...

    def read(self, event: ServerSentEvent) -> Sequence[T_co]:
        """
        Return what is new, in order; most often nothing or one value.

        The terminator is passed too, also a `[DONE]` and an unfinished block that counts as the terminator; an event
        that `errors` recognizes is not. JSON of any shape is accepted: what the reader does not know, it hands out or
        ignores. Raises `ValueError`, without any change, if the data must be JSON and is not; the stream makes a
        `DecodeError` of it. Empty data returns nothing.
        """
        ...

    def resumed(self) -> None:
        """A new connection continues after the last event: the server may repeat some of them."""
        ...

    def close(self, error: SSEError | None) -> None:
        """
        The stream is over. Called once, after the last `read`.

        `error` is `None` only if it completed; a stream that was left or closed early has a `StreamCancelled`.
        """
        ...
