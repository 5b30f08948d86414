"""An application's protocol as one value: what `client.post(url, dialect=AGENTHUB)` needs to know of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import TypeForm, TypeVar

from ._marks import ErrorEvent, Terminator
from ._reader import Reader
from ._resume import Cursor, LastEventID
from ._typed import T, Unknown

S = TypeVar("S", default=Any)


def absent() -> Any:
    """
    Make the default of `events`, which must not have a type of its own.

    mypy takes a union for a type only where nothing else may stand, so `None` cannot be part of the field's type; and
    pyright infers the type of the events from a default that is a value, but not from one that is made.
    """
    return None


@dataclass(frozen=True, kw_only=True)  # without slots: `Dialect[X](…)` would be a TypeError in Python 3.11
class Dialect(Generic[T, S]):
    """
    How a server speaks. Each part means what the argument of the same name means in a call, which overrides it.

    Example: `Dialect(events=ChatEvent, terminator=Terminator(field="type", values={"done"}))`.
    """

    events: TypeForm[T] = field(default_factory=absent)
    """The type of its events. Without one they are `ServerSentEvent`, or the values of the `reader`."""
    reader: Callable[[], Reader[T, S]] | None = None
    """Makes what reads one stream: from events to values, none or several for each, and to a snapshot. `events=` in a
    call replaces it."""
    terminator: Terminator | None = None
    """The event that must end a stream."""
    errors: ErrorEvent | None = None
    """Which events are errors."""
    pings: Collection[str] = ()
    """The names of events that only keep the connection alive: they reach nobody."""
    resume: LastEventID | Cursor[Any] | None = None
    """How to take a broken stream up again."""
    fold: Callable[[S, T], S] | None = None
    """What `stream.accumulate()` makes of the events."""
    initial: S | Callable[[], S] | None = None
    """What the fold begins with, or a function that makes it. Each stream has its own: a value is copied, deeply."""
    unknown: Unknown = "skip"
    """How an event that `events` does not cover is handled: skipped, handed out as it came, as a `ServerSentEvent`
    (`"keep"`), or a `DecodeError` (`"raise"`)."""
    accept: str | None = None
    """The `Accept` header. One that the call or its client has wins, and so does `accept_json=` in the call."""
    accept_json: bool = False
    """Whether a JSON response is one event of the stream."""
    stream_field: str | None = None
    """The field of the request's JSON that asks for a stream. If it is not true there, and the response is JSON, the
    `ContentTypeError` says so."""


RAW = Dialect()
