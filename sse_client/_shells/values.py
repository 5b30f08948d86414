"""
The values that a stream delivers, and the results accumulated from them. No I/O.

Most streams deliver each event unchanged, or as one value of its type. A stream is *mixed* if it also delivers
comments, or if a dialect's reader makes several values of an event, or none.
"""

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Generic, cast

from .._accumulate import Accumulating, Folding, first_value
from .._core.dispatch import Dispatch
from .._core.observing import Telemetry, TimedSession
from .._core.phases import Outcome, State
from .._core.plan import Plan
from .._core.session import Session
from .._core.steps import Commented
from .._dialect import Dialect
from .._errors import DecodeError, SSEError, StreamCancelled, StreamError
from .._event import Comment, ServerSentEvent
from .._stats import StreamStats
from .._typed import Nothing, S, T, decoder_of
from .._types import Response
from .telemetry import Process, observe
from .time import REAL_TIME


class Values(Generic[T, S]):
    """The part of a stream that its user sees."""

    def __init__(
        self, plan: Plan, dialect: Dialect[Any, Any], *, comments: bool, telemetry: Telemetry | None = None
    ) -> None:
        self._plan = plan
        telemetry = Process.telemetry if telemetry is None else telemetry
        kind = Session if telemetry is None or not telemetry._times_events else TimedSession
        self._session = kind(plan, random=random.random, utc_now=lambda: datetime.now(UTC))
        self._observer = None if telemetry is None else observe(telemetry, plan, self._session)
        self._now: Callable[[], float] = REAL_TIME.now  # the clock's own function: it is called for each piece
        self._dialect = dialect
        self._dispatch: Dispatch | None = None
        self._reading = reading = self._session.reading
        events: Any = dialect.events
        is_raw = reading is None and (events is None or events is ServerSentEvent)
        self._is_typed = not is_raw
        self._decoder = None if is_raw or reading is not None else decoder_of(events)
        if comments:
            if self._is_typed:
                raise TypeError("comments=True needs raw events: it cannot be combined with events= or a typed dialect")
            self._session.notes = deque()
        self._is_mixed = comments or reading is not None
        self._is_plain = is_raw and not comments  # each event is delivered unchanged, and nothing else uses it
        self._foldings: list[Folding] = []
        self._result: Accumulating | None = reading
        if dialect.fold is not None:
            self._result = self._begin_folding(dialect.fold, dialect.initial)

    def _value(self, event: ServerSentEvent) -> T | Nothing:
        """Return the value of an event, and fold it into the accumulations. Raises `DecodeError`."""
        # `_decode` without the call, for speed.
        try:
            value: Any = event if self._decoder is None else self._decoder.decode(event)
            if value.__class__ is Nothing:
                value = self._unknown_value(event, value)
        except DecodeError as error:
            self._complete(error)
            raise
        if self._foldings:
            self._take(value)
        return cast("T | Nothing", value)

    def _next_value(self) -> Any:
        """Return the next value of a mixed stream; `Nothing.EMPTY` if it must read first."""
        session, reading = self._session, self._reading
        if reading is None:
            return self._next_or_comment()
        try:
            while True:
                for value in reading.values:
                    if self._foldings:
                        self._take(value)
                    return value
                for event in session.ready:
                    reading.read(event)
                    break
                else:
                    if reading.last is None or session.is_closing:
                        return Nothing.EMPTY
                    reading.rest()
        except DecodeError as error:
            self._complete(error)
            raise

    def _next_or_comment(self) -> Any:
        session = self._session
        while session.notes and (note := session.next_note()) is not None:
            if isinstance(note, Commented) and not session.is_closing:
                return Comment(note.text)
        for event in session.ready:
            return self._value(event)
        return Nothing.EMPTY

    def _decode(self, event: ServerSentEvent) -> T | Nothing:
        value: Any = event if self._decoder is None else self._decoder.decode(event)
        return self._unknown_value(event, value) if value.__class__ is Nothing else value

    def _unknown_value(self, event: ServerSentEvent, nothing: Nothing) -> T | Nothing:
        """Return the value of an event that its type does not cover. Raises `DecodeError` if `unknown` is "raise"."""
        if nothing is Nothing.EMPTY or self._decoder is None:
            return nothing
        self._session.note_unknown()
        if self._dialect.unknown == "raise":
            raise self._decoder.unknown(event)
        return cast("T", event) if self._dialect.unknown == "keep" else nothing

    def _take(self, value: Any) -> None:
        if value.__class__ is not Nothing:
            for folding in self._foldings:
                folding.take(value)

    def _begin_folding(self, fold: Any, initial: Any) -> Folding:
        """Fold all values from now on."""
        folding = Folding(fold, first_value(initial))
        self._session.begin()
        if self._is_plain or (self._reading is not None and not self._foldings):
            # A running loop does not call us for each event: end its inner loop, so that it starts again with the rest.
            self._session.renew_ready()
            if self._reading is not None:
                self._reading.renew_values()
        self._foldings.append(folding)
        self._is_plain = False
        return folding

    def _accumulated(self, fold: Any, initial: Any) -> Accumulating:
        """Return the result of a fold that begins now, or without a fold, that of the dialect."""
        return self._own_result("accumulate() needs a fold") if fold is None else self._begin_folding(fold, initial)

    def _own_result(self, lack: str) -> Accumulating:
        """Return the result of the dialect's fold or reader. Raises `TypeError` if it has neither."""
        if self._result is None:
            raise TypeError(f"{lack}: this stream's dialect has neither a reader nor a fold")
        return self._result

    def _whole(self, result: Accumulating) -> Any:
        """Return the snapshot of a stream that is over without an error. Raises `StreamCancelled` unless complete."""
        if self.outcome != "completed":
            error = self._cancelled()
            error.partial = result.snapshot
            raise error
        return result.snapshot

    def _cancelled(self) -> StreamCancelled:
        error = StreamCancelled(f"the stream was closed after {self.stats.events} events: there is no final result")
        self._complete(error)
        return error

    def _end_reading(self, error: BaseException | None = None) -> None:
        """Tell the reader, once, that the stream is over, with this error, or because it was closed."""
        reading = self._reading
        if reading is None or self.outcome is None:
            return
        if self.outcome == "completed":
            # The user left before the terminator was delivered, but it belongs to the snapshot.
            with suppress(DecodeError):
                reading.rest()
            reading.drop()
            reading.close(None)
        else:
            reading.close(error if isinstance(error, SSEError) else self._cancelled())

    def _complete(self, error: BaseException) -> None:
        """Add the attributes of an error that the session does not know."""
        if isinstance(error, SSEError):
            error.stats = self.stats
        if isinstance(error, StreamError):
            error.last_event_id = self.last_event_id
            result = self._foldings[-1] if self._foldings else self._reading
            if result is not None:
                error.partial = result.snapshot

    @property
    def response(self) -> Response:
        """
        The latest response: status, headers, HTTP version.

        Raises `RuntimeError` before it has arrived; entering the stream waits for it.
        """
        head = self._session.head
        if head is None:
            raise RuntimeError("there is no response yet: enter the stream with `with`, or open() it")
        response: Response = head.response
        return response

    @property
    def outcome(self) -> Outcome | None:
        """How the stream ended: `None` while it runs, then `"completed"`, `"truncated"`, `"interrupted"`,
        `"timeout"`, `"error_event"`, `"cancelled"`, `"abandoned"` or `"failed"`."""
        return self._session.outcome

    @property
    def state(self) -> State:
        """`"waiting"` for the first event, `"streaming"`, or `"closed"`."""
        return self._session.state

    @property
    def last_event(self) -> ServerSentEvent | None:
        """The last delivered event as received, also if a typed value of it was delivered."""
        return self._session.last_event

    @property
    def last_event_id(self) -> str:
        """
        The ID of the last event that you finished processing: you requested the next one, or left without an error.

        In a dispatch with batches, pending events are not finished.
        """
        if self._dispatch is not None and self._dispatch.has_batches:
            finished = self._dispatch.finished
            return finished.id if finished is not None else self._plan.last_event_id
        return self._session.last_event_id

    @property
    def cursor(self) -> Any:
        """
        The cursor of `resume=Cursor(…)`, after the last event that you finished processing; otherwise `None`.

        As the `initial` of another `Cursor` it resumes the stream in another call or another process. It is also `None`
        in a dispatch with batches, which reads ahead of its handlers.
        """
        if self._dispatch is not None and self._dispatch.has_batches:
            return None
        return self._session.cursor

    @property
    def snapshot(self) -> S:
        """
        The result so far, from the dialect's reader or fold. Available at any time, even after an error.

        `None` without a reader or a fold; then use `accumulate()` with a fold of your own.
        """
        return cast("S", None if self._result is None else self._result.snapshot)

    @property
    def stats(self) -> StreamStats:
        """The statistics of the stream so far."""
        return self._session.stats(self._now())
