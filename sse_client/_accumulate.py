"""
The whole reply from its parts: a fold `(snapshot, event) -> snapshot` over the events of a stream.

The fold is a plain function without a state, and so the same for both clients. `Accumulation` keeps the snapshot.
"""

from collections.abc import Callable
from typing import Generic

from typing_extensions import TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Accumulation(Generic[S]):
    """What a stream has come to so far."""

    snapshot: S
    """The fold of all events that were handed out; there at any time, also after a fault."""

    def __init__(self, fold: Callable[[S, T], S], initial: S) -> None:
        self._fold: Callable[[S, object], S] = fold  # type: ignore[assignment]
        self.snapshot = initial

    def take(self, event: object) -> None:
        """Fold an event in."""
        self.snapshot = self._fold(self.snapshot, event)


def join_text(text: Callable[[T], str | None]) -> Callable[[str, T], str]:
    """
    Make a fold that joins text, to begin with `""`: `stream.accumulate(join_text(content), "")`.

    `text` returns an event's part of the text, or `None` where it has none.
    """

    def fold(snapshot: str, event: T) -> str:
        return snapshot + (text(event) or "")

    return fold
