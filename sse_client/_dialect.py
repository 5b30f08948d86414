"""An application's protocol as one value: what `client.post(url, dialect=AGENTHUB)` needs to know of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic

from typing_extensions import TypeForm

from ._event import ServerSentEvent
from ._marks import ErrorEvent, Terminator
from ._resume import Cursor, LastEventID
from ._typed import T, Unknown


@dataclass(frozen=True, kw_only=True)  # without slots: `Dialect[X](…)` would be a TypeError in Python 3.11
class Dialect(Generic[T]):
    """
    How a server speaks. Each part means what the argument of the same name means in a call, which overrides it.

    Example: `Dialect(events=ChatEvent, terminator=Terminator(field="type", values={"done"}))`.
    """

    events: TypeForm[T] = ServerSentEvent  # type: ignore[assignment]  # the default of T, which no checker knows here
    """The type of its events; by default they are handed out as they are."""
    terminator: Terminator | None = None
    """The event that must end a stream."""
    errors: ErrorEvent | None = None
    """Which events are errors."""
    pings: Collection[str] = ()
    """The names of events that only keep the connection alive: they reach nobody."""
    resume: LastEventID | Cursor[Any] | None = None
    """How to take a broken stream up again."""
    fold: Callable[[Any, T], Any] | None = None
    """What `stream.accumulate()` makes of the events."""
    initial: Any = None
    """What the fold begins with, or a function that makes it. Each stream has its own: a value is copied, deeply."""
    unknown: Unknown = "skip"
    """How an event that `events` does not cover is handled: skipped, handed out as it came, as a `ServerSentEvent`
    (`"keep"`), or a `DecodeError` (`"raise"`)."""


RAW = Dialect()
