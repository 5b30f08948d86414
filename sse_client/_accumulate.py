"""
The whole reply from its parts: a fold `(snapshot, event) -> snapshot` over the events of a stream.

The fold is a plain function without state, so both clients can use the same one. `Folding` keeps the snapshot.
Text is kept in `Pieces` until the snapshot is read: copying it with each event would take quadratic time.
"""

from collections.abc import Callable
from copy import deepcopy
from io import StringIO
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

T = TypeVar("T")


class Pieces:
    """
    Text that grows: adding to it copies nothing, reading it joins the pieces.

    One thread may read it while another adds to it.
    """

    __slots__ = ("_buffer", "_text")

    def __init__(self, text: str = "") -> None:
        self._buffer = StringIO()  # like a list of pieces, but in C, and without thousands of small objects
        self._buffer.write(text)
        self._text = text

    def add(self, text: str) -> None:
        """Add text to the end."""
        self._buffer.write(text)

    @property
    def text(self) -> str:
        """The text so far."""
        # The joined text is kept for the next read. Text only grows, so its length shows whether it is up to date.
        if len(self._text) != self._buffer.tell():
            self._text = self._buffer.getvalue()
        return self._text


class Accumulating(Protocol):
    """An object with the result of a stream so far."""

    @property
    def snapshot(self) -> Any: ...


class _State(Accumulating, Protocol):
    """The state of a fold in one stream."""

    def take(self, event: Any) -> None: ...


class _Folded:
    """The state of a fold by a plain function."""

    def __init__(self, fold: Callable[[Any, Any], Any], initial: Any) -> None:
        self._fold = fold
        self.snapshot = initial

    def take(self, event: Any) -> None:
        self.snapshot = self._fold(self.snapshot, event)


class _Joined:
    """The state of a fold by `join_text`, which joins the text only when the snapshot is read."""

    def __init__(self, text_of: Callable[[Any], str | None], initial: str) -> None:
        self._text_of = text_of
        self._pieces = Pieces(initial)

    @property
    def snapshot(self) -> str:
        return self._pieces.text

    def take(self, event: Any) -> None:
        if text := self._text_of(event):
            self._pieces.add(text)


class Folding:
    """A fold in one stream, with its snapshot."""

    __slots__ = ("_state", "take")

    take: Callable[[object], None]
    """Fold a value into the snapshot."""

    def __init__(self, fold: Callable[[Any, Any], Any], initial: Any) -> None:
        self._state: _State = fold.begin(initial) if isinstance(fold, _JoinText) else _Folded(fold, initial)
        self.take = self._state.take

    @property
    def snapshot(self) -> Any:
        """The result of folding all values so far."""
        return self._state.snapshot


def first_value(initial: Any) -> Any:
    """
    Return the initial snapshot of one accumulation: the result of the function, or a deep copy of the value.

    A dialect is one constant for all streams, and a fold may change its snapshot in place. A shallow copy of
    `{"text": "", "tools": []}` would share the list.
    """
    if callable(initial):
        return initial()
    try:
        return deepcopy(initial)
    except Exception as error:
        kind = type(initial).__name__
        raise TypeError(
            f"each stream needs its own initial value, but {kind} cannot be copied: "
            "pass a function that returns a new one"
        ) from error


class _JoinText(Generic[T]):
    """A fold that joins text. `Folding` calls `begin`, so that the text so far is never copied."""

    def __init__(self, text_of: Callable[[T], str | None]) -> None:
        self._text_of = text_of

    def __call__(self, snapshot: str, event: T) -> str:
        return snapshot + (self._text_of(event) or "")

    def __repr__(self) -> str:
        return f"join_text({self._text_of!r})"

    def begin(self, initial: Any) -> _Joined:
        return _Joined(self._text_of, initial or "")


def join_text(text: Callable[[T], str | None]) -> Callable[[str, T], str]:
    """
    Return a fold that joins text, for the initial value `""`: `stream.accumulate(join_text(content), "")`.

    `text` returns an event's part of the text, or `None` if it has none. It takes linear time, because the parts are
    joined only when the snapshot is read.
    """
    return _JoinText(text)
