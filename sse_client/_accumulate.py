"""
The whole reply from its parts: a fold `(snapshot, event) -> snapshot` over the events of a stream.

The fold is a plain function without a state, and so the same for both clients. `Folding` keeps the snapshot.
Text is kept in `Pieces` until it is asked for: a fold that copied it with each event would take quadratic time.
"""

from collections.abc import Callable
from copy import deepcopy
from io import StringIO
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

T = TypeVar("T")


class Pieces:
    """
    Text that grows: adding to it copies nothing, asking for it joins what was added.

    Any thread may ask while another one adds.
    """

    __slots__ = ("_buffer", "_text")

    def __init__(self, text: str = "") -> None:
        self._buffer = StringIO()  # a list of pieces, but in C, and it does not keep thousands of small ones alive
        self._buffer.write(text)
        self._text = text

    def add(self, text: str) -> None:
        """Add text to the end."""
        self._buffer.write(text)

    @property
    def text(self) -> str:
        """The text so far."""
        # What was joined is kept for whoever asks again. It has only ever grown: its length tells whether it is whole.
        if len(self._text) != self._buffer.tell():
            self._text = self._buffer.getvalue()
        return self._text


class Accumulating(Protocol):
    """The result of a stream so far, for anyone who asks."""

    @property
    def snapshot(self) -> Any: ...


class _State(Accumulating, Protocol):
    """A fold at work."""

    def take(self, event: Any) -> None: ...


class _Folded:
    """The fold of a plain function."""

    def __init__(self, fold: Callable[[Any, Any], Any], initial: Any) -> None:
        self._fold = fold
        self.snapshot = initial

    def take(self, event: Any) -> None:
        self.snapshot = self._fold(self.snapshot, event)


class _Joined:
    """The fold of `join_text`, which joins when it is asked."""

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
    """A fold at work in one stream."""

    __slots__ = ("_state", "take")

    take: Callable[[object], None]
    """Fold a value in."""

    def __init__(self, fold: Callable[[Any, Any], Any], initial: Any) -> None:
        self._state: _State = fold.begin(initial) if isinstance(fold, _JoinText) else _Folded(fold, initial)
        self.take = self._state.take

    @property
    def snapshot(self) -> Any:
        """The fold of all values so far."""
        return self._state.snapshot


def first_value(initial: Any) -> Any:
    """
    Return the value that one accumulation begins with: what the function returns, or a copy.

    A dialect is one constant for all streams, and a fold may well change what it is given. The copy is a deep one:
    in `{"text": "", "tools": []}` a shallow copy would share the list.
    """
    if callable(initial):
        return initial()
    try:
        return deepcopy(initial)
    except Exception as error:
        kind = type(initial).__name__
        raise TypeError(
            f"each stream needs an initial value of its own, and {kind} cannot be copied: "
            "give a function that makes one"
        ) from error


class _JoinText(Generic[T]):
    """A fold that joins text; `Folding` asks it to `begin`, and so never copies the text so far."""

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
    Make a fold that joins text, to begin with `""`: `stream.accumulate(join_text(content), "")`.

    `text` returns an event's part of the text, or `None` where it has none. Takes linear time: the parts are joined
    when the snapshot is asked for.
    """
    return _JoinText(text)
