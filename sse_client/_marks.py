"""
Marks: the events that end a stream, and the events that are errors.

A mark recognizes an event by its data, its name, a field of the JSON in its data, or a function of the user; all given
conditions must hold. `|` joins alternatives. Marks see every event of a stream, so they search the raw text before they
parse any JSON.
"""

import dataclasses
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from ._errors import code_in, message_in, shown
from ._event import ServerSentEvent

DONE = "[DONE]"

# Text that JSON can write in only one other way: with \u escapes.
PLAIN = re.compile(r"[A-Za-z0-9_.: -]*")

MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Mark:
    """The conditions by which an event is recognized. `|` joins two marks of one kind."""

    data: str | None = None
    """The event's whole data."""
    event: str | None = None
    """The event's name."""
    field: str | None = None
    """
    A field of the JSON in the data: with one of `values`, or merely present if none are given.

    Dots lead into objects and lists: `choices.0.error` is the `error` of the first of `choices`. If the outermost
    object has a field with the whole name, including the dots, that field is used.
    """
    values: Iterable[Any] | None = None
    """The possible values of the field."""
    test: Callable[[ServerSentEvent], bool] | None = None
    """
    A function for conditions that the others cannot express, such as the absence of a field.

    It is called if all other conditions hold. If there are none, it is called for every event, and for some twice, so
    it should be cheap: look at the name, or search the data for a text, before you parse it. The data may be anything,
    including empty or not JSON. If it raises an exception, the stream is over, and the exception propagates unchanged.
    """
    alternatives: tuple[Self, ...] = dataclasses.field(default=(), repr=False)
    """The marks that were joined to this one by `|`."""
    _names: tuple[str, ...] = dataclasses.field(init=False, repr=False)
    _texts: tuple[str, ...] | None = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if self.data is None and self.event is None and self.field is None and self.test is None:
            raise TypeError(f"{kind} needs data=, event=, field= or test=")
        if not (self.test is None or callable(self.test)):
            raise TypeError(f"expected a function for test, got {self.test!r}")
        if self.values is not None:
            if self.field is None:
                raise TypeError(f"{kind}(values=…) needs the field= that holds them")
            if isinstance(self.values, str):
                raise TypeError(f"expected a collection for values, got {self.values!r}; write {{{self.values!r}}}")
            # A tuple, because JSON values may be unhashable. Sorted, because the order of a set changes between runs.
            values = {_same(value): value for value in reversed(tuple(self.values))}.values()
            object.__setattr__(self, "values", tuple(sorted(values, key=_rank)))
        # The raw text of the data must contain each of the names, and one of the texts, if there are any.
        object.__setattr__(self, "_names", () if self.field is None else _names_in(self.field))
        object.__setattr__(self, "_texts", self.values if self.values is not None and _are_plain(self.values) else None)

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
        """Return a value that is equal for marks with the same meaning."""
        marks: tuple[Mark, ...] = (self, *self.alternatives)
        conditions = (mark._conditions() for mark in marks)
        # The first match says where an error's message is, and whether it is transient. If they differ, order counts.
        is_ordered = len({mark._places() for mark in marks}) > 1
        return type(self), tuple(dict.fromkeys(conditions)) if is_ordered else frozenset(conditions)

    def _conditions(self) -> Hashable:
        values = None if self.values is None else frozenset(map(_same, self.values))
        # Two tests have the same meaning only if they are one object, which may not be hashable.
        test = id(self.test) if type(self.test).__hash__ is None else self.test
        return self.data, self.event, self.field, values, test, self._places()

    def _places(self) -> Hashable:
        """Return the rest of the mark, which matters only after a match."""
        return None

    def _shown(self) -> str:
        """Return the mark without its alternatives, as the user wrote it."""
        given: list[str] = []
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if each.repr and value != each.default:
                given.append(f"{each.name}={SHOWN.get(each.name, repr)(value)}")
        return f"{type(self).__name__}({', '.join(given)})"

    def match(self, event: ServerSentEvent) -> Self | None:
        """Return the first alternative that matches the event, or `None`."""
        parsed: list[Any] = []
        for mark in (self, *self.alternatives):
            if mark._is_on(event, parsed):
                return mark
        return None

    def _match_unfinished(self, event: ServerSentEvent, open_field: str) -> Self | None:
        """
        Return the first alternative that matches a last block without its blank line, or `None`.

        `event` is the block as if its last line were complete. If it is not, `open_field` is the field of that line;
        otherwise it is `""`. An incomplete line counts only if it is `[DONE]` or complete JSON.
        """
        parsed: list[Any] = []
        for mark in (self, *self.alternatives):
            if mark._is_on(event, parsed) and (not open_field or mark._is_certain(event, open_field)):
                return mark
        return None

    def _is_certain(self, event: ServerSentEvent, open_field: str) -> bool:
        """Whether the mark's conditions were received completely, although the last line is incomplete."""
        if "event".startswith(open_field):  # the line is, or could have become, the name of the event
            return self.field is not None and self.event is None and self.test is None
        if self.test is not None and ("id".startswith(open_field) or self.data is not None):
            return False
        if self.field is not None or is_done(event):
            return True
        return self.test is not None and isinstance(_json_in(event), dict | list)

    def _is_on(self, event: ServerSentEvent, parsed: list[Any]) -> bool:
        """Whether this alternative matches the event. `parsed` caches its JSON for the next alternatives."""
        if self.event is not None and event.event != self.event:
            return False
        if self.data is not None and event.data != self.data:
            return False
        if self.field is not None and not self._is_in(event, parsed):
            return False
        return self.test is None or bool(self.test(event))

    def _is_in(self, event: ServerSentEvent, parsed: list[Any]) -> bool:
        assert self.field is not None
        if not self._may_be_in(event.data):
            return False
        if not parsed:
            parsed.append(_json_in(event))
        value = _at(parsed[0], self.field, MISSING)
        if value is MISSING:
            return False
        if self.values is None:
            return self._is_present(value)
        return any(value == each and _same(value) == _same(each) for each in self.values)

    def _may_be_in(self, text: str) -> bool:
        """Whether JSON text may have the field with one of the values. `False` is certain; after `True`, parse it."""
        if "\\u" in text:
            return True
        for name in self._names:
            if name not in text:
                return False
        return self._texts is None or any(map(text.__contains__, self._texts))

    def _is_present(self, value: Any) -> bool:  # noqa: ARG002
        """Whether a field with this value counts as present."""
        return True


def _same(value: Any) -> Hashable:
    """Return a hashable value that is equal for equal JSON: true differs from 1, and the order of fields is ignored."""
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
    """Return the source of a set with the values, or of a list if they cannot be in a set."""
    text = ", ".join(map(repr, values))
    try:
        is_set = len(set(values)) == len(values) > 0
    except TypeError:
        is_set = False
    return f"{{{text}}}" if is_set else f"[{text}]"


def _name_of(function: Any) -> str:
    """Return the name of a function. Its repr would contain an address, which changes between runs."""
    return getattr(function, "__qualname__", None) or f"<{type(function).__qualname__}>"


# Fields that are not shown by the repr of their value.
SHOWN: dict[str, Callable[[Any], str]] = {"values": _as_set, "retry": _as_set, "test": _name_of}


@dataclass(frozen=True, slots=True)
class Needles:
    """A cheap test: an event that matches a mark has one of these, unless its data contains \\u escapes."""

    texts: tuple[str, ...]
    """Texts to find in the data."""
    names: frozenset[str] | None
    """Names of events; `None` if there are none."""
    tests: tuple[Callable[[ServerSentEvent], bool], ...] | None
    """The user's functions that are the only condition of a mark; `None` if there are none."""


def needles_of(*marks: Mark | None) -> Needles | None:
    """Return the needles of the marks; `None` if JSON can write the text of one of them in several ways."""
    texts: list[str] = []
    names: set[str] = set()
    tests: list[Callable[[ServerSentEvent], bool]] = []
    for mark in marks:
        alternatives: tuple[Mark, ...] = () if mark is None else (mark, *mark.alternatives)
        for each in alternatives:
            if each.event is not None and each.event != "message":
                names.add(each.event)  # better than any text, because few events have it
            elif each.data is not None:
                texts.append(each.data)
            elif each._texts:
                texts.extend(each._texts)
            elif each._names:
                texts.append(each._names[-1])  # the innermost, because more events have the names around it
            elif each.field is not None:
                return None
            elif each.event is not None:
                names.add(each.event)
            else:
                assert each.test is not None
                tests.append(each.test)
    return Needles(tuple(dict.fromkeys(texts)), frozenset(names) or None, tuple(tests) or None)


def _are_plain(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) and PLAIN.fullmatch(value) for value in values)


def _json_in(event: ServerSentEvent) -> Any:
    try:
        return event.json()
    except (ValueError, RecursionError):
        return None


def _at(value: Any, path: str, default: Any = None) -> Any:
    """Follow a path into JSON. A name in the outermost object may itself contain the dots."""
    found = _child(value, path)
    if found is MISSING:
        found = value
        for step in path.split("."):
            found = _child(found, step)
    return default if found is MISSING else found


def _child(value: Any, step: str) -> Any:
    """Follow one step: a name leads into an object, an index into a list."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).get(step, MISSING)
    if isinstance(value, list) and _is_index(step):
        items = cast("Sequence[Any]", value)
        return items[int(step)] if int(step) < len(items) else MISSING
    return MISSING


def _is_index(step: str) -> bool:
    return step.isascii() and step.isdigit()


def _names_in(path: str) -> tuple[str, ...]:
    """Return the names in a path that appear unchanged in the JSON text, which indexes need not."""
    return tuple(name for name in path.split(".") if name and not _is_index(name) and _are_plain((name,)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Terminator(Mark):
    """
    The event that ends a stream: nothing after it is read, and a stream without it raises `StreamTruncated`.

    The event is delivered, then the iteration ends; but an unnamed `data: [DONE]` is never delivered. Example:
    `Terminator(field="type", values={"done"}) | Terminator(event="stream_end")`. `Terminator(data="[DONE]")` makes
    `[DONE]` required; without it, `[DONE]` ends a stream but may be missing.
    """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ErrorEvent(Mark):
    """
    An event that is an error: it ends the stream, and `ErrorEventReceived` is raised from it.

    `message` and `code` are paths to these in the JSON, like `field`: `message="error.message"`. By default, the usual
    paths are tried: `error.message`, `error`, `message`, `detail`; `error.code`, `error.type`, `error.status`, `code`,
    `status`.

    A `field` without `values` must have a value: null, false, `""`, `{}` and `[]` do not count as errors.

    `retry` lists the codes of transient errors, which may be gone at the next attempt; their `error.is_transient` is
    true.
    """

    message: str | None = None
    """The path to the server's message."""
    code: str | None = None
    """The path to the error's code."""
    retry: Iterable[str | int] = ()
    """The codes of transient errors, such as `overloaded_error`, for this mark and not for its alternatives."""

    def __post_init__(self) -> None:
        Mark.__post_init__(self)
        if isinstance(self.retry, str):
            raise TypeError(f"expected a collection for retry, got {self.retry!r}; write {{{self.retry!r}}}")
        codes: tuple[Any, ...] = tuple(sorted(set(self.retry), key=_rank))
        if any(not isinstance(code, str | int) or isinstance(code, bool) for code in codes):
            raise TypeError(f"expected strings and integers for retry, got {list(codes)!r}")
        object.__setattr__(self, "retry", codes)

    def is_transient(self, code: Any) -> bool:
        """Whether an error with this code may be gone at the next attempt. `code` is any JSON value."""
        return isinstance(code, str | int) and not isinstance(code, bool) and code in self.retry

    def _places(self) -> Hashable:
        return self.message, self.code, self.retry

    def read(self, event: ServerSentEvent) -> tuple[str | None, Any]:
        """Return the message and the code in the event; `None` for each that is missing."""
        value = _json_in(event)
        message = message_in(value) if self.message is None else _at(value, self.message)
        if message is None and not (value and isinstance(value, dict)):
            message = event.data or None
        code = code_in(value) if self.code is None else _at(value, self.code)
        return (message if message is None or isinstance(message, str) else shown(message)), code

    def _is_present(self, value: Any) -> bool:
        return not (value is None or value is False or value in ("", {}, []))


def is_done(event: ServerSentEvent) -> bool:
    """Whether the event is the end marker of the OpenAI dialects: an unnamed `data: [DONE]`."""
    return event.data == DONE and event.event == "message"


def asks_for_done(mark: Terminator | None) -> bool:
    """Whether the mark matches an unnamed `[DONE]`. A `test` is not called: it is for the events of a stream."""
    done = ServerSentEvent(data=DONE)
    return mark is not None and any(each.test is None and each._is_on(done, []) for each in (mark, *mark.alternatives))
