"""
Which event ends a stream, and which one is an error in disguise.

Both are marks: an event is recognised by its data, its name, or a field of the JSON object in its data, by all that
is given together. `|` makes alternatives. Every event of a stream passes here, so the raw text is searched before
any JSON is parsed.
"""

import dataclasses
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Self, cast

from ._errors import code_in, message_in, shown
from ._event import ServerSentEvent

DONE = "[DONE]"

# Text that JSON can write in one other way only: with \u escapes.
PLAIN = re.compile(r"[A-Za-z0-9_.: -]*")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Mark:
    """What an event is recognised by. Two marks of one kind are joined by `|`."""

    data: str | None = None
    """The event's whole data."""
    event: str | None = None
    """The event's name."""
    field: str | None = None
    """A field of the JSON object in the data: with one of `values`, or merely present where there are none."""
    values: Iterable[Any] | None = None
    """What the field may hold."""
    alternatives: tuple[Self, ...] = dataclasses.field(default=(), repr=False)
    """The marks that were joined to this one by `|`."""

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if self.data is None and self.event is None and self.field is None:
            raise TypeError(f"{kind} needs data=, event= or field=")
        if self.values is not None:
            if self.field is None:
                raise TypeError(f"{kind}(values=…) needs the field= that holds them")
            if isinstance(self.values, str):
                raise TypeError(f"expected a collection for values, got {self.values!r}; write {{{self.values!r}}}")
            # A tuple: what JSON holds need not be hashable. In an order of its own: that of a set changes between runs.
            values = {_same(value): value for value in reversed(tuple(self.values))}.values()
            object.__setattr__(self, "values", tuple(sorted(values, key=_rank)))

    def __or__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        joined = (*self.alternatives, dataclasses.replace(other, alternatives=()), *other.alternatives)
        return dataclasses.replace(self, alternatives=joined)

    def __eq__(self, other: object) -> bool:
        return self._meaning() == other._meaning() if isinstance(other, Mark) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._meaning())

    def __repr__(self) -> str:
        marks: tuple[Mark, ...] = (self, *self.alternatives)
        return " | ".join(mark._shown() for mark in marks)

    def _meaning(self) -> Hashable:
        """What marks that mean the same have in common."""
        marks: tuple[Mark, ...] = (self, *self.alternatives)
        conditions = (mark._conditions() for mark in marks)
        # The first that fits says where an error's message is: if they differ in that, their order counts.
        is_ordered = len({mark._places() for mark in marks}) > 1
        return type(self), tuple(dict.fromkeys(conditions)) if is_ordered else frozenset(conditions)

    def _conditions(self) -> Hashable:
        values = None if self.values is None else frozenset(map(_same, self.values))
        return self.data, self.event, self.field, values, self._places()

    def _places(self) -> Hashable:
        """Where the mark says that something else is to be found."""
        return None

    def _shown(self) -> str:
        """The mark without its alternatives, as it was given."""
        given: list[str] = []
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if each.repr and value != each.default:
                given.append(f"{each.name}={_as_set(value) if each.name == 'values' else repr(value)}")
        return f"{type(self).__name__}({', '.join(given)})"

    def match(self, event: ServerSentEvent) -> Self | None:
        """Return the alternative that the event bears, or `None`."""
        if self._is_on(event):
            return self
        for mark in self.alternatives:
            if mark._is_on(event):
                return mark
        return None

    def _match_unfinished(self, event: ServerSentEvent, open_field: str) -> Self | None:
        """
        Return the alternative that a block bears whose blank line did not come, or `None`.

        `event` is the block as if its last line had ended; `open_field` is the field of that line if it had not, else
        `""`. More of an open line could have come, so it counts only as `[DONE]`, or as JSON that is whole.
        """
        for mark in (self, *self.alternatives):
            if mark._is_on(event) and (not open_field or mark._is_certain(event, open_field)):
                return mark
        return None

    def _is_certain(self, event: ServerSentEvent, open_field: str) -> bool:
        """Whether what the mark goes by has come whole, though a line is open."""
        if "event".startswith(open_field):  # the line is a name, or could have become one
            return self.field is not None and self.event is None
        return self.field is not None or is_done(event)

    def _is_on(self, event: ServerSentEvent) -> bool:
        if self.event is not None and event.event != self.event:
            return False
        if self.data is not None and event.data != self.data:
            return False
        return self.field is None or self._is_in(event)

    def _is_in(self, event: ServerSentEvent) -> bool:
        assert self.field is not None
        values = cast("tuple[Any, ...] | None", self.values)
        if not _may_hold(event.data, (self.field,)):
            return False
        if values is not None and not _may_hold(event.data, values):
            return False
        found = _object_in(event)
        if self.field not in found:
            return False
        value = found[self.field]
        if values is None:
            return self._is_present(value)
        return any(value == each and _same(value) == _same(each) for each in values)

    def _is_present(self, value: Any) -> bool:  # noqa: ARG002
        """Whether a field that holds the value counts as there."""
        return True


def _same(value: Any) -> Hashable:
    """What equal values have in common: in JSON, true is not 1, and an object is the same in any order."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, list):
        return list, tuple(_same(each) for each in cast("Iterable[Any]", value))
    if isinstance(value, dict):
        return dict, frozenset((name, _same(each)) for name, each in cast("dict[str, Any]", value).items())
    if not isinstance(value, Hashable):
        raise TypeError(f"expected values that JSON can have, got {value!r}")
    return value


def _rank(value: Any) -> tuple[str, str]:
    return type(value).__name__, repr(value)


def _as_set(values: tuple[Any, ...]) -> str:
    """Values as the set that they mean, or as a list, if Python has no such set."""
    text = ", ".join(map(repr, values))
    try:
        is_set = len(set(values)) == len(values) > 0
    except TypeError:
        is_set = False
    return f"{{{text}}}" if is_set else f"[{text}]"


def needles_of(*marks: Mark | None) -> tuple[tuple[str, ...], frozenset[str] | None] | None:
    """
    Return texts and names: an event that bears one of the marks has one of the texts in its data, or one of the names.

    But for \\u escapes in the data. `None` if a mark goes by what JSON can write in several ways.
    """
    needles: list[str] = []
    names: set[str] = set()
    for mark in marks:
        alternatives: tuple[Mark, ...] = () if mark is None else (mark, *mark.alternatives)
        for each in alternatives:
            values = cast("tuple[Any, ...] | None", each.values)
            if each.event is not None and each.event != "message":
                names.add(each.event)  # which says more than any text: few events have it
            elif each.data is not None:
                needles.append(each.data)
            elif values and _are_plain(values):
                needles.extend(values)
            elif each.field is not None and _are_plain((each.field,)):
                needles.append(each.field)
            elif each.event is not None and each.field is None:
                names.add(each.event)
            else:
                return None
    return tuple(needles), frozenset(names) or None


def _are_plain(values: tuple[Any, ...]) -> bool:
    return all(isinstance(value, str) and PLAIN.fullmatch(value) for value in values)


def _may_hold(text: str, values: tuple[Any, ...]) -> bool:
    """Whether JSON text may hold one of the values; `False` is certain, `True` is worth parsing for."""
    if "\\u" in text:
        return True
    return any(not isinstance(value, str) or not PLAIN.fullmatch(value) or value in text for value in values)


def _object_in(event: ServerSentEvent) -> dict[str, Any]:
    try:
        value = event.json()
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Terminator(Mark):
    """
    The event that ends a stream: nothing behind it is read, and without it the stream is `StreamTruncated`.

    The event is handed out, then the iteration ends; but an unnamed `data: [DONE]` is never handed out. Example:
    `Terminator(field="type", values={"done"}) | Terminator(event="stream_end")`. `Terminator(data="[DONE]")` makes a
    `[DONE]` required, which otherwise ends a stream only if it comes.
    """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ErrorEvent(Mark):
    """
    An event that is an error: it ends the stream, and `ErrorEventReceived` is raised from it.

    `message` and `code` name where the object in its data has them, with dots into objects within (`error.message`).
    Without them, the usual places are searched: `error.message`, `error`, `message`, `detail`; `error.code`,
    `error.type`, `error.status`, `code`, `status`.

    A `field` without `values` must hold something: null, false, `""`, `{}` and `[]` say that there is no error.
    """

    message: str | None = None
    """Where the server's own words are."""
    code: str | None = None
    """Where the error's code is."""

    def _places(self) -> Hashable:
        return self.message, self.code

    def read(self, event: ServerSentEvent) -> tuple[str | None, Any]:
        """Return the message and the code that the event carries, `None` for what it does not."""
        found = _object_in(event)
        message = message_in(found) if self.message is None else _at(found, self.message)
        if message is None and not found:
            message = event.data or None
        code = code_in(found) if self.code is None else _at(found, self.code)
        return (message if message is None or isinstance(message, str) else shown(message)), code

    def _is_present(self, value: Any) -> bool:
        return not (value is None or value is False or value in ("", {}, []))


def _at(value: Any, path: str) -> Any:
    """Follow dotted names into an object."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(name)
    return value


def is_done(event: ServerSentEvent) -> bool:
    """Whether the event is the end marker of the OpenAI dialects: an unnamed `data: [DONE]`."""
    return event.data == DONE and event.event == "message"
