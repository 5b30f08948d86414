"""
Typed events: an event's name and data are validated as the user's own type, directly from the JSON text.

The type itself says how its members are distinguished: a discriminated union by a field, a plain union by the fields
that are present, and members with `Named` by the event's name. `Decoder` reads that from the type once; after that it
only calls pydantic.
"""

import enum
import re
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Generic, Literal, TypeAlias, Union, get_args, get_origin

import pydantic
from pydantic_core import ValidationError
from typing_extensions import TypeForm, TypeVar

from ._errors import DecodeError, quote
from ._event import ServerSentEvent

T = TypeVar("T", default=ServerSentEvent)  # what a loop yields
S = TypeVar("S", default=Any)  # the snapshot

Unknown: TypeAlias = Literal["skip", "keep", "raise"]

# An escape for half of a surrogate pair: JSON needs two for a character above U+FFFF, such as an emoji.
HALF = re.compile(r"\\u[dD][89a-fA-F]")
Validate: TypeAlias = Callable[[str], Any]


class Named:
    """
    Marks a member of a union with the names of its events: `Annotated[Token, Named("message", "data")]`.

    An event's name takes precedence over a discriminator field, unless it is `message`, the name of all events that
    have none.
    """

    names: tuple[str, ...]
    """The names of the events; `"message"` is an event without a name."""

    def __init__(self, *names: str) -> None:
        if not names:
            raise TypeError("Named() requires at least one event name")
        self.names = names

    def __repr__(self) -> str:
        return f"Named({', '.join(map(repr, self.names))})"


class Nothing(enum.Enum):
    """The result for an event that the type does not cover."""

    EMPTY = "an event without data, which some servers send to set an ID"
    UNKNOWN = "a name, or a value of the discriminator, that the type does not list"


class Decoder(Generic[T]):
    """Converts events to values of one type."""

    def __init__(self, form: TypeForm[T]) -> None:
        if isinstance(form, str):
            raise TypeError(f"expected the type itself for events, got its name, {form!r}")
        self._label = " | ".join(_labels(form))
        named: dict[str, list[Any]] = {}
        others: list[Any] = []
        for names, member in _members(form):
            for name in names:
                named.setdefault(name, []).append(member)
            if not names:
                others.append(member)
        # A type without named members goes to pydantic unchanged, with all of its annotations.
        self._by_data = _validator(others if named else [form])
        self._by_name = {name: _validator(members) for name, members in named.items()}

    def decode(self, event: ServerSentEvent) -> T | Nothing:
        """Return the value of the event. Raises `DecodeError` if the type covers the event but its data is invalid."""
        if not event.data:
            return Nothing.EMPTY
        validate, named = self._by_data, None
        if self._by_name:
            named = self._by_name.get(event.event)
            if named is not None and not (event.event == "message" and validate):
                validate = named
        if validate is None:
            return Nothing.UNKNOWN
        try:
            return validate(event.data)  # type: ignore[no-any-return]
        except ValidationError as error:
            if validate is not self._by_data or not _is_unknown(error):
                raise self._error(event, error) from error
            if named is None:
                return Nothing.UNKNOWN
        try:
            return named(event.data)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise self._error(event, error) from error

    def unknown(self, event: ServerSentEvent) -> DecodeError:
        """Return the error for an event that the type does not cover, with `unknown="raise"`."""
        return DecodeError(f"{self._label} does not cover this {quote(event.event)} event", event=event)

    def _error(self, event: ServerSentEvent, error: ValidationError) -> DecodeError:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"] + (f" ({where})" if where else "")
        if first["type"] == "json_invalid" and HALF.search(event.data) and _is_json(event):
            said = "its JSON has half of a surrogate pair, which pydantic cannot parse; the event's json() can"
        return DecodeError(f"{quote(event.event)} event does not match {self._label}: {said}", event=event)


def shape(form: Any) -> Any:
    """Return the key of a type for a cache, with the order of its members, which `==` of unions ignores."""
    arguments = get_args(form)
    return (get_origin(form), *map(shape, arguments)) if arguments else (type(form), form)


def _members(form: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the members of a union, or the single type, each after the names of its events."""
    form, metadata = unwrap(form)
    names = tuple(name for each in metadata if isinstance(each, Named) for name in each.names)
    rest = [each for each in metadata if not isinstance(each, Named)]
    if names or not is_union(form):
        yield names, _annotate(form, rest)
        return
    members = [member for each in get_args(form) for member in _members(each)]
    if not rest:
        yield from members
        return
    # An annotation of the union, such as its discriminator, applies to the members without names.
    yield from (member for member in members if member[0])
    if others := [member for names, member in members if not names]:
        yield (), _annotate(_union(others), rest if len(others) > 1 else [])


def unwrap(form: Any) -> tuple[Any, list[Any]]:
    """Resolve aliases and annotations; return the type and its metadata."""
    metadata: list[Any] = []
    while True:
        if hasattr(form, "__value__"):  # `type X = …`, and typing_extensions.TypeAliasType
            form = form.__value__
        elif get_origin(form) is Annotated:
            form, *more = get_args(form)
            metadata = [*more, *metadata]
        else:
            return form, metadata


def _labels(form: Any) -> Iterator[str]:
    form, _ = unwrap(form)
    if is_union(form):
        for member in get_args(form):
            yield from _labels(member)
    else:
        yield getattr(form, "__name__", None) or str(form)


def is_union(form: Any) -> bool:
    return get_origin(form) in (Union, types.UnionType)


def _union(members: list[Any]) -> Any:
    return Union[tuple(members)]  # noqa: UP007


def _annotate(form: Any, metadata: list[Any]) -> Any:
    return Annotated[(form, *metadata)] if metadata else form


def _validator(members: list[Any]) -> Validate | None:
    if not members:
        return None
    # `pydantic` loads `TypeAdapter` only on this access: a program that reads raw events never loads half of pydantic.
    return pydantic.TypeAdapter(members[0] if len(members) == 1 else _union(members)).validator.validate_json


def _is_json(event: ServerSentEvent) -> bool:
    try:
        event.json()
    except ValueError:
        return False
    return True


def _is_unknown(error: ValidationError) -> bool:
    """Whether the only error is a value of the discriminator that the union does not list."""
    first, *more = error.errors(include_url=False, include_context=False, include_input=False)
    return not more and first["type"] == "union_tag_invalid" and first["loc"] == ()


# More types than a large application streams. Building a validator takes pydantic up to some milliseconds.
MAX_DECODERS = 256
_decoders: dict[Any, Decoder[Any]] = {}


def decoder_of(form: Any) -> Decoder[Any]:
    """Return the decoder for the type, which is made once."""
    try:
        key = shape(form)
        found = _decoders.get(key)
    except TypeError:  # an annotation cannot be hashed
        return Decoder(form)
    if found is None:
        if len(_decoders) >= MAX_DECODERS:
            _decoders.clear()
        found = _decoders[key] = Decoder(form)
    return found
