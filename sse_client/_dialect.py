"""An application's protocol as one value, for `client.post(url, dialect=AGENTHUB)`."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import TypeForm

from ._marks import ErrorEvent, Terminator
from ._reader import Reader
from ._resume import Cursor, LastEventID
from ._typed import S, T, Unknown


def absent() -> Any:
    """
    Return the default of `events`, as a function because the default must not affect the inferred type.

    mypy accepts a union as a type only if the field's type has no other alternative, so it cannot include `None`. And
    pyright infers the type of the events from a default value, but not from a default factory.
    """
    return None


@dataclass(frozen=True, kw_only=True)  # without slots: `Dialect[X](…)` would be a TypeError in Python 3.11
class Dialect(Generic[T, S]):
    """
    A server's protocol. Each field has the meaning of the argument of the same name in a call, which overrides it.

    Example: `Dialect(events=ChatEvent, terminator=Terminator(field="type", values={"done"}))`.
    """

    events: TypeForm[T] = field(default_factory=absent)
    """The type of its events. Without one they are `ServerSentEvent`, or the values of the `reader`."""
    reader: Callable[[], Reader[T, S]] | None = None
    """A function that makes the reader of one stream, which turns each event into any number of values, and all events
    into a snapshot. `events=` in a call replaces it."""
    terminator: Terminator | None = None
    """The event that must end a stream."""
    errors: ErrorEvent | None = None
    """Which events are errors."""
    pings: Collection[str] = ()
    """The names of events that only keep the connection alive; they are never delivered."""
    resume: LastEventID | Cursor[Any] | None = None
    """How to resume a broken stream."""
    fold: Callable[[S, T], S] | None = None
    """The fold for `stream.accumulate()`."""
    initial: S | Callable[[], S] | None = None
    """The initial snapshot of the fold, or a function that makes it. Each stream gets its own deep copy of a value."""
    unknown: Unknown = "skip"
    """How an event that `events` does not cover is handled: it is skipped (`"skip"`), delivered as a `ServerSentEvent`
    (`"keep"`), or raises `DecodeError` (`"raise"`)."""
    accept: str | None = None
    """The `Accept` header. A header of the call or its client overrides it, and so does `accept_json=` in the call."""
    accept_json: bool = False
    """Whether a JSON response is read as a stream of one event."""
    stream_field: str | None = None
    """The field of the request's JSON that requests a stream. If it is not true there, and the response is JSON, the
    `ContentTypeError` says so."""


RAW = Dialect()
