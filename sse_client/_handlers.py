"""
Callbacks: what to call for what, and in which order, over the whole life of a stream.

`Handlers` is the user's registry. `conversation` is what happens when a stream is dispatched to it: a generator that
asks for what happens next (`Next`), and says what to call (`Call`), for the sync and the async shell alike. It does no
I/O and looks at no clock of its own, so the order of all callbacks is decided in this one place:

    open once for each connection, then what comes; at the end what is pending in batches, then exactly one of
    complete, error and cancel, then close, whatever happens.

An exception in a handler is the user's: it stops the stream, and comes out unchanged.
"""

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, Generic, TypeAlias, cast, get_args, overload

from typing_extensions import TypeForm, TypeVar

from ._core.session import Outcome, outcome_of
from ._core.steps import Commented, Opened, Retrying
from ._errors import DecodeError, SSEError, StreamError
from ._event import ServerSentEvent
from ._stats import StreamStats
from ._typed import Nothing, is_union, unwrap

T = TypeVar("T", default=Any)
E = TypeVar("E")
R = TypeVar("R")

Handler: TypeAlias = Callable[..., Any]

# As often as a screen is drawn.
DEFAULT_INTERVAL = 1 / 60


# What happens, and what to do about it -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """An event came: as it is, and what its type made of it."""

    event: ServerSentEvent
    value: Any


@dataclass(frozen=True, slots=True)
class Passed:
    """The time of `Next` has passed, and nothing came."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream is over: by an error, or closed by somebody, or complete."""

    error: SSEError | None
    is_cancelled: bool


Happening: TypeAlias = Opened | Received | Commented | Retrying | Passed | Ended


@dataclass(frozen=True, slots=True)
class Next:
    """Tell what happens next; `Passed` where nothing has by then (`time.monotonic()`)."""

    deadline: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call the handler, and await what it returns where that is awaitable."""

    handler: Handler
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """Close the stream, for this reason."""

    error: BaseException | None


Steps: TypeAlias = Generator[Next | Call | Leave, Any, StreamStats]


# The registry --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Entry:
    """One registration: which events it is for, and what to call."""

    kind: tuple[type, ...] | str | None
    """Types for an event's value, a name for the event, or `None` for every event."""
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

    def arguments(self, happening: Received, fields: dict[str, Any]) -> tuple[Any, ...]:
        """What the handler is called with for an event; empty where it is not called at all."""
        if self.kind is None:
            return () if isinstance(happening.value, Nothing) else (happening.value,)
        if isinstance(self.kind, str):
            if self.is_field:
                return (fields[self.kind],) if self.kind in fields else ()
            return (happening.event,) if happening.event.event == self.kind else ()
        return (happening.value,) if isinstance(happening.value, self.kind) else ()


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
    A registry of callbacks for `stream.dispatch(on)`: plain functions, or async ones for the async client.

    By what an event is: `@on(Text)` for a type, called with the value; `@on("ping")` for an event's name, called with
    the `ServerSentEvent`; `@on.field("token")` for a field of the JSON object in its data, called with the field's
    value, whatever that is. Several may be called for one event, in the order in which they were registered.

    By what happens to the stream: `on.open(response)`, `on.event(value)` for every event, `on.unknown(event)` for one
    that nothing here, or its type, has a place for, `on.comment(text)`, `on.retry(error)`, `on.complete(stats)`,
    `on.error(error)`, `on.cancel(stats)`, `on.close(stats)`. These handlers may also take no argument.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._moments: dict[str, list[Handler]] = {}
        self.open: Lifecycle[Any] = Lifecycle(self, "open", "response")
        self.unknown: Lifecycle[ServerSentEvent] = Lifecycle(self, "unknown", "event")
        self.comment: Lifecycle[str] = Lifecycle(self, "comment", "text")
        self.retry: Lifecycle[SSEError] = Lifecycle(self, "retry", "error")
        self.complete: Lifecycle[StreamStats] = Lifecycle(self, "complete", "stats")
        self.error: Lifecycle[SSEError] = Lifecycle(self, "error", "error")
        self.cancel: Lifecycle[StreamStats] = Lifecycle(self, "cancel", "stats")
        self.close: Lifecycle[StreamStats] = Lifecycle(self, "close", "stats")

    def __repr__(self) -> str:
        moments = (f"on.{name}" for name, handlers in self._moments.items() for _ in handlers)
        registered = ", ".join([*map(str, self._entries), *moments])
        return f"<Handlers {registered}>" if registered else "<Handlers>"

    @overload
    def __call__(self, kind: str) -> Callable[[Callable[[ServerSentEvent], R]], Callable[[ServerSentEvent], R]]: ...
    @overload
    def __call__(self, kind: TypeForm[E]) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...
    def __call__(self, kind: Any) -> Callable[[Handler], Handler]:
        """Register for the events of a type, or of a name."""
        return self._register(kind if isinstance(kind, str) else _classes(kind), f"on({_label(kind)})")

    def field(self, name: str) -> Callable[[Callable[[Any], R]], Callable[[Any], R]]:
        """Register for the events whose data is a JSON object with this field; called with its value."""
        return self._register(name, f"on.field({name!r})", is_field=True)

    def event(self, handler: Callable[[Any], R]) -> Callable[[Any], R]:
        """Register for every event that is handed out; called with its value."""
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
        Register for the events of a type, or of a name, many in one call: for a screen, say.

        Called with a list: at once with the first event, then at most once in each `interval`, in seconds, also while
        nothing comes; earlier where `max_items` are pending. What is pending is handed over at the end, whatever
        kind of end that is. The handlers of later events do not wait for it: what must come last is `on.complete`.
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
        """Refuse what could never be called: async handlers without a loop, types without `events=`."""
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
                    raise TypeError(f"a handler for {names} needs a stream with events=: this one is untyped")


def _taking(handler: Handler, label: str, arguments: tuple[str, ...], *, exactly: bool = False) -> Handler:
    """Check that the handler can be called so; return it, wrapped where it takes nothing of what there is."""
    if not callable(handler):
        raise TypeError(f"{label} decorates a function, got {handler!r}")
    try:
        signature = inspect.signature(handler)
    except ValueError:  # a builtin that does not tell
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
    """The classes of a type, through its unions and annotations: what isinstance can tell."""
    form, _ = unwrap(form)
    if is_union(form):
        return tuple(cls for member in get_args(form) for cls in _classes(member))
    try:
        isinstance(None, form)
    except TypeError:  # a TypedDict, Any, list[str]: of these no value can be told
        raise TypeError(f"a handler is for a class, or for the name of an event, got {form!r}") from None
    return (form,)


def _object(event: ServerSentEvent) -> dict[str, Any]:
    try:
        value = event.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


# Dispatching ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Batch:
    """What is pending for one entry."""

    entry: Entry
    pending: list[Any] = field(default_factory=list[Any])
    called_at: float = -inf

    @property
    def deadline(self) -> float:
        assert self.entry.interval is not None
        if not self.pending:
            return inf
        # The first is due at once, even if the interval is infinite.
        return self.called_at + self.entry.interval if self.called_at > -inf else -inf

    def is_due(self, now: float) -> bool:
        limit = self.entry.max_items
        return now >= self.deadline or (limit is not None and len(self.pending) >= limit)

    def take(self, now: float) -> Call:
        pending, self.pending = self.pending, []
        self.called_at = now
        return Call(self.entry.handler, (pending,))


class Conversation:
    """One stream, dispatched to one registry."""

    finished: ServerSentEvent | None
    """The last event that all handlers have finished with; one that is pending in a batch is not."""

    def __init__(
        self,
        on: Handlers,
        now: Callable[[], float],
        stats: Callable[[], StreamStats],
        settle: Callable[[Outcome], object],
        *,
        is_typed: bool,
    ) -> None:
        self.finished = None
        self._latest: ServerSentEvent | None = None
        self.has_batches = on._has_batches
        self._on = on
        self._now = now
        self._stats = stats
        self._settle = settle
        self._is_typed = is_typed
        self._has_fields = any(entry.is_field for entry in on._entries)
        self._batches = {id(entry): Batch(entry) for entry in on._entries if entry.interval is not None}

    def __iter__(self) -> Steps:
        """Say what to do, until the end; what `Next` asks for is sent in. Returns the numbers of the stream."""
        failure: BaseException | None = None
        try:
            while not isinstance(happening := (yield Next(self._deadline)), Ended):
                yield from self._calls(happening)
                if isinstance(happening, Received):
                    self._latest = happening.event
                if self._deadline == inf:
                    self.finished = self._latest
            yield from self._flush()
            self.finished = self._latest
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001
            # Not the stream's: a handler's own, or a cancellation. Who failed has not had all of it.
            self._settle(outcome_of(error))
            failure = yield from self._try(error, self._leave(error), self._flush(), self._moment("cancel"))
        else:
            ended = happening.error
            if self.has_batches and isinstance(ended, StreamError) and self.finished is not None:
                ended.last_event_id = self.finished.id
            if isinstance(ended, DecodeError):
                self._settle("failed")  # the stream itself would have gone on
            name = "error" if ended else "cancel" if happening.is_cancelled else "complete"
            failure = yield from self._try(ended, self._leave(ended), self._moment(name, ended))
        failure = yield from self._try(failure, self._moment("close"))
        if failure is not None:
            raise failure
        return self._stats()

    def _try(
        self, failure: BaseException | None, *parts: Iterator[Call | Leave]
    ) -> Generator[Call | Leave, Any, BaseException | None]:
        """Go through all parts, whatever is raised in one; return the latest of what was."""
        for part in parts:
            try:
                yield from part
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001
                failure = error
        return failure

    def _leave(self, error: BaseException | None) -> Iterator[Leave]:
        yield Leave(error)

    @property
    def _deadline(self) -> float:
        return min((batch.deadline for batch in self._batches.values()), default=inf)

    def _calls(self, happening: Happening) -> Iterator[Call]:
        match happening:
            case Received(event, value):
                is_known = yield from self._receive(happening)
                if value is Nothing.UNKNOWN or not (self._is_typed or is_known):
                    yield from self._moment("unknown", event)
            case Opened(response):
                yield from self._moment("open", response)
            case Commented(text):
                yield from self._moment("comment", text)
            case Retrying(error):
                yield from self._moment("retry", error)
            case _:
                pass
        now = self._now()
        for batch in self._batches.values():
            if batch.is_due(now):
                yield batch.take(now)

    def _receive(self, happening: Received) -> Generator[Call, None, bool]:
        """Call the handlers of an event; return whether there was one."""
        entries = self._on._entries
        fields = _object(happening.event) if self._has_fields else {}
        is_known = not entries
        for entry in entries:
            if not (arguments := entry.arguments(happening, fields)):
                continue
            is_known = True
            if entry.interval is None:
                yield Call(entry.handler, arguments)
                continue
            batch = self._batches[id(entry)]
            batch.pending.append(arguments[0])
            now = self._now()
            if batch.is_due(now):
                yield batch.take(now)
        return is_known

    def _flush(self) -> Iterator[Call]:
        for batch in self._batches.values():
            if batch.pending:
                yield batch.take(self._now())

    def _moment(self, name: str, argument: Any = None) -> Iterator[Call]:
        for handler in self._on._moments.get(name, ()):
            yield Call(handler, (self._stats() if argument is None else argument,))
