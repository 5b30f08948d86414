"""
Callbacks: the calls for each event, and their order over the whole life of a stream.

`Dispatch` is one stream dispatched to one `Handlers`. It is a generator that requests the next signal (`Next`) and
yields the calls to make (`Call`), for both the sync and the async shell. So the order of all callbacks is decided only
here:

    `open` once for each connection, then the events, comments and retries; at the end the pending batches, then
    exactly one of `complete`, `error` and `cancel`, then `close`, in every case.

An exception in a handler is the user's: it stops the stream, and propagates unchanged.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeAlias, cast

from .._errors import DecodeError, SSEError, StreamError
from .._event import ServerSentEvent
from .._handlers import Entry, Handler, Handlers, needs_a_loop
from .._stats import StreamStats
from .._typed import Nothing
from .phases import Outcome, outcome_of
from .steps import Commented, Note, Opened, Retrying


@dataclass(frozen=True, slots=True)
class Received:
    """An event came: as it is, and the values that were made of it."""

    event: ServerSentEvent | None
    """`None` if the values alone are delivered: the rest of an event, or those of a terminator that is not."""
    values: tuple[Any, ...]
    """One, which may be a `Nothing`; several or none with a dialect's reader."""


@dataclass(frozen=True, slots=True)
class Passed:
    """The deadline of `Next` has passed without a signal."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream is over: with an error, closed, or complete."""

    error: SSEError | None
    is_cancelled: bool


Signal: TypeAlias = Note | Received | Passed | Ended


@dataclass(frozen=True, slots=True)
class Next:
    """Return the next signal, or `Passed` if the deadline passes first, by the clock of the dispatch."""

    deadline: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call the handler, and await its result if that is awaitable."""

    handler: Handler
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """Close the stream, for this reason."""

    error: BaseException | None


Steps: TypeAlias = Generator[Next | Call | Leave, Any, StreamStats]
Endings: TypeAlias = Generator[Call | Leave, Any, BaseException | None]


@dataclass(slots=True)
class Batch:
    """The pending events of one entry."""

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


class Dispatch:
    """One stream that is dispatched to one registry."""

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
        self._may_await = True
        self._has_fields = any(entry.is_field for entry in on._entries)
        self._batches = {id(entry): Batch(entry) for entry in on._entries if entry.interval is not None}

    def __iter__(self) -> Steps:
        """Yield the steps until the end, and receive the signals that `Next` requests. Returns the statistics."""
        try:
            while not isinstance(signal := (yield Next(self._deadline)), Ended):
                yield from self._calls(signal)
                if isinstance(signal, Received) and signal.event is not None:
                    self._latest = signal.event
                if self._deadline == inf:
                    self.finished = self._latest
            yield from self._flush()
            self.finished = self._latest
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001
            failure = yield from self._interrupted(error)
        else:
            failure = yield from self._ended(signal)
        failure = yield from self._try(failure, self._moment("close"))
        if failure is not None:
            raise failure
        return self._stats()

    def _interrupted(self, error: BaseException) -> Endings:
        """End after an error that is not the stream's: an exception in a handler, or a cancellation."""
        self._settle(outcome_of(error))
        # The event on which a handler failed is not finished, but pending batches are delivered.
        return (yield from self._try(error, [Leave(error)], self._flush(), self._moment("cancel")))

    def _ended(self, signal: Ended) -> Endings:
        """End with the stream."""
        error = signal.error
        if self.has_batches and isinstance(error, StreamError) and self.finished is not None:
            error.last_event_id = self.finished.id
        if isinstance(error, DecodeError):
            self._settle("failed")  # the stream itself would have continued
        name = "error" if error else "cancel" if signal.is_cancelled else "complete"
        return (yield from self._try(error, [Leave(error)], self._moment(name, error)))

    def farewell(self) -> None:
        """
        Record that the time for the last calls is over: from now on, make only calls that need no event loop.

        If a handler was being awaited, it has failed: throw the error that ended the wait into the generator.
        """
        self._may_await = False

    def _try(self, failure: BaseException | None, *parts: Iterable[Call | Leave]) -> Endings:
        """Go through all parts, even if one raises; return the latest exception."""
        for part in parts:
            try:
                for step in part:
                    if self._may_await or not (isinstance(step, Call) and needs_a_loop(step.handler)):
                        yield step
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001
                failure = error
        return failure

    @property
    def _deadline(self) -> float:
        return min(batch.deadline for batch in self._batches.values()) if self._batches else inf

    def _calls(self, signal: Signal) -> Iterator[Call]:
        match signal:
            case Received(event, values):
                is_known = yield from self._receive(event, values)
                if (values and values[0] is Nothing.UNKNOWN) or not (self._is_typed or is_known):
                    yield from self._moment("unknown", event)
            case Opened(response):
                yield from self._moment("open", response)
            case Commented(text):
                yield from self._moment("comment", text)
            case Retrying(error):
                yield from self._moment("retry", error)
            case _:
                pass
        if self._batches:
            now = self._now()
            for batch in self._batches.values():
                if batch.is_due(now):
                    yield batch.take(now)

    def _receive(self, event: ServerSentEvent | None, values: tuple[Any, ...]) -> Generator[Call, None, bool]:
        """Call the handlers of an event, in the order of its values; return whether there was one."""
        entries = self._on._entries
        fields = _object(event) if self._has_fields and event is not None else {}
        is_known = not entries
        for value in values or (Nothing.EMPTY,):
            for entry in entries:
                if not (arguments := entry.arguments(event, value, fields)):
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
            event, fields = None, {}  # handlers by name and by field are called once for an event
        return is_known

    def _flush(self) -> Iterator[Call]:
        for batch in self._batches.values():
            if batch.pending:
                yield batch.take(self._now())

    def _moment(self, name: str, argument: Any = None) -> Iterator[Call]:
        for handler in self._on._moments.get(name, ()):
            yield Call(handler, (self._stats() if argument is None else argument,))


def _object(event: ServerSentEvent) -> dict[str, Any]:
    try:
        value = event.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
