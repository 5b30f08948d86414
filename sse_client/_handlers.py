"""
The registry of callbacks, for events and for moments in the life of a stream.

`_core/dispatch.py` decides the order of the calls.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, get_args, overload

from typing_extensions import TypeForm, TypeVar

from ._errors import SSEError
from ._event import ServerSentEvent
from ._stats import StreamStats
from ._typed import Nothing, is_union, unwrap

T = TypeVar("T", default=Any)
E = TypeVar("E")
R = TypeVar("R")

Handler: TypeAlias = Callable[..., Any]

# The usual refresh rate of a screen.
DEFAULT_INTERVAL = 1 / 60


@dataclass(slots=True)
class Entry:
    """One registration: the events, and the handler to call for them."""

    kind: tuple[type, ...] | str | None
    """The types of a value, or the name of an event or field; `None` for every event."""
    handler: Handler
    is_field: bool = False
    interval: float | None = None
    max_items: int | None = None

    def __str__(self) -> str:
        if self.kind is None:
            return "on.event"
        if self.is_field:
            return f"on.field({self.kind!r})"
        kind = repr(self.kind) if isinstance(self.kind, str) else " | ".join(cls.__name__ for cls in self.kind)
        return f"on({kind})" if self.interval is None else f"on.batch({kind})"

    def arguments(self, event: ServerSentEvent | None, value: Any, fields: dict[str, Any]) -> tuple[Any, ...]:
        """
        Return the handler's arguments for an event, one of its values and its JSON object; empty to make no call.

        `event` is passed only with its first value.
        """
        if self.kind is None:
            return () if isinstance(value, Nothing) else (value,)
        if isinstance(self.kind, str):
            if self.is_field:
                return (fields[self.kind],) if self.kind in fields else ()
            return (event,) if event is not None and event.event == self.kind else ()
        return (value,) if isinstance(value, self.kind) else ()


class Lifecycle(Generic[T]):
    """A decorator for one moment in the life of a stream; see `Handlers`."""

    def __init__(self, handlers: "Handlers", name: str, *arguments: str) -> None:
        self._handlers = handlers
        self._name = name
        self._arguments = arguments

    def __repr__(self) -> str:
        count = len(self._handlers._moments.get(self._name, ()))
        return f"<on.{self._name}, {count} handler{'' if count == 1 else 's'}>"

    @overload
    def __call__(self, handler: Callable[[], R]) -> Callable[[], R]: ...
    @overload
    def __call__(self, handler: Callable[[T], R]) -> Callable[[T], R]: ...
    def __call__(self, handler: Handler) -> Handler:
        moments = self._handlers._moments.setdefault(self._name, [])
        moments.append(_taking(handler, f"on.{self._name}", self._arguments))
        return handler


class Handlers:
    """
    A registry of callbacks for `stream.dispatch(on)`: plain functions, or async functions for the async client.

    Handlers for events: `@on(Text)` for a type, called with the value; `@on("ping")` for the name of an event, called
    with the `ServerSentEvent`; `@on.field("token")` for a field of the JSON object in the data, called with the field's
    value. Several handlers may be called for one event, in the order of their registration. If a dialect's reader makes
    several values of an event, handlers for a type are called for each value, the others once.

    Handlers for the stream: `on.open(response)`, `on.event(value)` for every event, `on.unknown(event)` for an event
    without a handler or outside the `events` type, `on.comment(text)`, `on.retry(error)`, `on.complete(stats)`,
    `on.error(error)`, `on.cancel(stats)`, `on.close(stats)`. These handlers may also take no argument.
    """

    open: Lifecycle[Any]
    """A decorator for `on.open(response)`: called each time a connection is open."""
    unknown: Lifecycle[ServerSentEvent]
    """A decorator for `on.unknown(event)`: an event that has no handler, or that the `events` type does not cover."""
    comment: Lifecycle[str]
    """A decorator for `on.comment(text)`: called for each comment."""
    retry: Lifecycle[SSEError]
    """A decorator for `on.retry(error)`: called before each wait for another attempt."""
    complete: Lifecycle[StreamStats]
    """A decorator for `on.complete(stats)`: called if the stream ended as it should."""
    error: Lifecycle[SSEError]
    """A decorator for `on.error(error)`: called if the stream ended with an error."""
    cancel: Lifecycle[StreamStats]
    """A decorator for `on.cancel(stats)`: called if the stream was closed, or stopped by an exception in your code."""
    close: Lifecycle[StreamStats]
    """A decorator for `on.close(stats)`: called last, however the stream ended."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._moments: dict[str, list[Handler]] = {}
        self.open = Lifecycle(self, "open", "response")
        self.unknown = Lifecycle(self, "unknown", "event")
        self.comment = Lifecycle(self, "comment", "text")
        self.retry = Lifecycle(self, "retry", "error")
        self.complete = Lifecycle(self, "complete", "stats")
        self.error = Lifecycle(self, "error", "error")
        self.cancel = Lifecycle(self, "cancel", "stats")
        self.close = Lifecycle(self, "close", "stats")

    def __repr__(self) -> str:
        moments = (f"on.{name}" for name, handlers in self._moments.items() for _ in handlers)
        registered = ", ".join([*map(str, self._entries), *moments])
        return f"<Handlers {registered}>" if registered else "<Handlers>"

    @overload
    def __call__(self, kind: str) -> Callable[[Callable[[ServerSentEvent], R]], Callable[[ServerSentEvent], R]]: ...
    @overload
    def __call__(self, kind: TypeForm[E]) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...
    def __call__(self, kind: Any) -> Callable[[Handler], Handler]:
        """Register a handler for events of a type or with a name."""
        return self._register(kind if isinstance(kind, str) else _classes(kind), f"on({_label(kind)})")

    def field(self, name: str) -> Callable[[Callable[[Any], R]], Callable[[Any], R]]:
        """Register a handler for events whose data is a JSON object with this field; called with the field's value."""
        return self._register(name, f"on.field({name!r})", is_field=True)

    def event(self, handler: Callable[[Any], R]) -> Callable[[Any], R]:
        """Register a handler for every delivered event; called with its value."""
        return self._register(None, "on.event")(handler)

    @overload
    def batch(
        self, kind: str, *, interval: float = DEFAULT_INTERVAL, max_items: int | None = None
    ) -> Callable[[Callable[[list[ServerSentEvent]], R]], Callable[[list[ServerSentEvent]], R]]: ...
    @overload
    def batch(
        self, kind: TypeForm[E], *, interval: float = DEFAULT_INTERVAL, max_items: int | None = None
    ) -> Callable[[Callable[[list[E]], R]], Callable[[list[E]], R]]: ...
    def batch(
        self, kind: Any, *, interval: float = DEFAULT_INTERVAL, max_items: int | None = None
    ) -> Callable[[Handler], Handler]:
        """
        Register a handler for batches of events of a type or with a name, for example to update a screen.

        It is called with a list: immediately for the first event, then at most once per `interval` (in seconds), even
        if no further event comes, or earlier if `max_items` are pending. Pending events are delivered at the end,
        however the stream ends. Handlers of later events do not wait for a batch: code that must run last belongs in
        `on.complete`.
        """
        if not interval > 0:
            raise ValueError(f"expected an interval of more than 0 seconds, got {interval!r}")
        if max_items is not None and max_items < 1:
            raise ValueError(f"expected max_items of at least 1, or None, got {max_items!r}")
        kinds = kind if isinstance(kind, str) else _classes(kind)
        return self._register(kinds, f"on.batch({_label(kind)})", interval=interval, max_items=max_items)

    def _register(self, kind: Any, label: str, **more: Any) -> Callable[[Handler], Handler]:
        def decorate(handler: Handler) -> Handler:
            self._entries.append(Entry(kind, _taking(handler, label, ("event",), exactly=True), **more))
            return handler

        return decorate

    @property
    def _has_batches(self) -> bool:
        return any(entry.interval is not None for entry in self._entries)

    def _check(self, *, is_async: bool, is_typed: bool) -> None:
        """Reject handlers that could never be called: async ones without a loop, types without `events=`."""
        handlers = [entry.handler for entry in self._entries] + [
            each for many in self._moments.values() for each in many
        ]
        for handler in handlers:
            if not is_async and needs_a_loop(handler):
                raise TypeError(f"{_name(handler)} is an async function, which needs AsyncSSEClient")
        if not is_typed:
            for entry in self._entries:
                if isinstance(entry.kind, tuple) and ServerSentEvent not in entry.kind:
                    names = " | ".join(cls.__name__ for cls in entry.kind)
                    raise TypeError(
                        f"a handler for {names} needs a stream with events= or a typed dialect: this one is untyped"
                    )


def _taking(handler: Handler, label: str, arguments: tuple[str, ...], *, exactly: bool = False) -> Handler:
    """Check that the handler accepts the arguments, and return it; wrap it if it takes none."""
    if not callable(handler):
        raise TypeError(f"{label} decorates a function, got {handler!r}")
    try:
        signature = inspect.signature(handler)
    except ValueError:  # a builtin without a signature
        return handler
    if _binds(signature, len(arguments)):
        return handler
    if not exactly and _binds(signature, 0):
        return _Bare(handler)
    raise TypeError(
        f"{label} calls its handler with ({', '.join(arguments)}), which {_name(handler)}{signature} does not take"
    )


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


class _Bare:
    """A handler that takes no argument."""

    def __init__(self, handler: Handler) -> None:
        self.__wrapped__ = handler

    def __call__(self, *_: Any) -> Any:
        return self.__wrapped__()


def needs_a_loop(handler: Handler) -> bool:
    while isinstance(handler, functools.partial | _Bare):
        handler = handler.func if isinstance(handler, functools.partial) else handler.__wrapped__
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def _name(handler: Handler) -> str:
    handler = inspect.unwrap(handler)
    return getattr(handler, "__name__", None) or repr(handler)


def _label(kind: Any) -> str:
    return repr(kind) if isinstance(kind, str) else getattr(kind, "__name__", None) or str(kind)


def _classes(form: Any) -> tuple[type, ...]:
    """Return the classes of a type, for `isinstance`, from its unions and annotations."""
    form, _ = unwrap(form)
    if is_union(form):
        return tuple(cls for member in get_args(form) for cls in _classes(member))
    try:
        isinstance(None, form)
    except TypeError:  # a TypedDict, Any, list[str]: `isinstance` cannot check these
        raise TypeError(f"expected a class or the name of an event for a handler, got {form!r}") from None
    return (form,)
