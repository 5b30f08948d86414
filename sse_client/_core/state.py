"""
The state of a session, and its properties, which can be read at any time and change nothing.

The decisions, which change the state, are in `session`. Both are one object, because attributes that are used for every
piece of a body must be attributes of the session itself.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from math import inf
from operator import length_hint
from typing import Any

from .._errors import SSEError
from .._event import ServerSentEvent
from .._stats import StreamStats
from .bodies import Body
from .clocks import read_timeout, reading_deadline
from .endings import Marks
from .phases import Outcome, Phase, State
from .place import NO_PAST_IDS, place_of
from .plan import Plan
from .reading import Reading
from .redirects import Route
from .steps import Change, Head, Note
from .tally import Tally

NO_EVENTS: list[ServerSentEvent] = []


class SessionState:
    """The state of one stream."""

    # A process may hold thousands of streams, and with a `__dict__` a session would take three times as much memory.
    # Attributes that are used for every piece of a body are here and not in a part, because a second lookup costs time.
    __slots__ = (
        *("ready", "outcome", "head", "is_reading", "is_closing", "notes", "has_deadlines", "total_deadline"),
        *("attempted_at", "reading", "unfinished", "observe", "_plan", "_random", "_utc_now", "_phase", "_error"),
        *("_place", "_route", "_request", "_failures", "_fruitless", "_last_failure", "_wait_until", "_has_refreshed"),
        *("_body", "_parser", "_feed", "_batch", "_previous", "_finished", "_finished_id", "_reconnection_time"),
        *("_remembers", "_has_marks", "_has_only_done", "_pings", "_first_mark", "_past_ids", "_at_open"),
        *("_closing_outcome", "_is_cut_short", "_settled", "_is_told"),
        *("_tally", "_bytes", "_longest_gap", "_received_at", "_waiting_since", "_event_at", "_has_event"),
    )

    ready: Iterator[ServerSentEvent]
    """The events to deliver before the next step."""
    outcome: Outcome | None
    """How the stream ended; `None` while it runs."""
    head: Head | None
    """The head of the latest response."""
    is_reading: bool
    """Whether the next step is certainly `Read`, as long as only `received` is called and `is_closing` is false. It
    saves the shell a call of `next_step`, which is a large part of the cost of an event."""
    is_closing: bool
    """Whether `close` was called."""
    notes: deque[Note] | None
    """Notes that are not delivered yet; `None` without listeners."""
    has_deadlines: bool
    """Whether `deadline` can ever be anything but infinite."""
    total_deadline: float
    """When `total` runs out; infinite before the first step."""
    attempted_at: float
    """When the latest request was made."""
    reading: Reading | None
    """The dialect's reader and its values; `None` without a reader."""
    unfinished: ServerSentEvent | None
    """A last block that counted as the terminator although its blank line was missing; it is not delivered."""
    observe: Callable[[Change], object] | None
    """Told what happens to the stream, at once, on whatever thread that is. It must not raise."""

    def __init__(
        self,
        plan: Plan,
        *,
        random: Callable[[], float],
        utc_now: Callable[[], datetime],
        on_comment: Callable[[str], object],
    ) -> None:
        self.ready = iter(())
        self.outcome = None
        self.head = None
        self.is_reading = False
        self.is_closing = False
        self.notes = None
        self.reading = None if plan.reader is None else Reading(plan.reader)
        self.unfinished = None
        self.observe = None
        self._plan = plan
        self._random = random
        self._utc_now = utc_now
        self._phase: Phase = "connecting"
        self._error: SSEError | None = None  # the error that ends the stream, once it is draining or stopped

        # Attempts. An event ends a row of failures; in a subscription, an opened stream does.
        self._place = place_of(plan)
        self._route = Route()
        self._request = plan.request  # the request of the current or next attempt
        self._failures = 0  # in a row
        self._fruitless = 0  # failures before the user received anything
        self._last_failure: SSEError | None = None
        self._wait_until = 0.0
        self._has_refreshed = False

        # Events. A batch is the events that one piece completed; the user has finished with all events before it.
        self._body = Body(plan, None, plan.last_event_id, on_comment=on_comment)
        self._parser = self._body.parser
        self._feed: Callable[[bytes], list[ServerSentEvent]] = self._parser.feed
        self._batch: list[ServerSentEvent] = []
        self._previous = NO_EVENTS  # the previous batch, which the user has finished with
        self._finished = 0
        self._finished_id = plan.last_event_id
        self._reconnection_time: float | None = None  # in seconds
        self._remembers = plan.resume is not None
        self._pings = plan.pings
        self._first_mark = Marks(plan).first
        self._past_ids = NO_PAST_IDS  # IDs that must not come again after a resume
        self._at_open = 0, 0, ""  # the numbers of events and comments, and the last ID, before this connection
        self._has_marks = bool(plan.errors or plan.terminator or plan.resume or plan.pings)
        self._has_only_done = plan.ends_at_done and not self._has_marks  # as in most streams

        # An end that the user or the shell decided.
        self._closing_outcome: Outcome = "cancelled"
        self._is_cut_short = False  # closed before all received events were delivered
        self._settled: Outcome | None = None
        self._is_told = False  # the user knows how the stream ended, or has left it

        # Statistics and times.
        clocks = plan.timeouts.first_event, plan.timeouts.idle, plan.timeouts.total
        self.has_deadlines = any(clock is not None and clock < inf for clock in clocks)
        self.total_deadline = inf
        self.attempted_at = 0.0
        self._tally = Tally()
        self._bytes = 0
        self._longest_gap = 0.0
        self._received_at = 0.0  # when the last byte, or the head, was received
        self._waiting_since = 0.0  # since when the user waits for an event on this connection
        self._event_at = -inf  # when the last event was received
        self._has_event = False  # whether an event was received, on any connection

    @property
    def state(self) -> State:
        """The state for display: waiting for the first event, streaming, or closed."""
        if self._phase == "stopped" or self.is_closing:
            return "closed"
        return "streaming" if self._has_event else "waiting"

    @property
    def is_open(self) -> bool:
        """Whether entering the stream is complete: a response was accepted, or the stream ended without an error."""
        return self._phase in ("reading", "draining") or (self._phase == "stopped" and self._error is None)

    @property
    def has_started(self) -> bool:
        """Whether the first step was taken."""
        return self._tally.started_at is not None

    @property
    def last_event(self) -> ServerSentEvent | None:
        """The last delivered event."""
        delivered = self._delivered
        if delivered:
            return self._batch[delivered - 1]
        return self._previous[-1] if self._previous else None

    @property
    def last_event_id(self) -> str:
        """The ID of the last event that the user has finished with, or of a block after it that has only an ID."""
        delivered = self._delivered
        return self._batch[delivered - 2].id if delivered >= 2 else self._finished_id

    @property
    def cursor(self) -> Any:
        """The cursor of the stream's `resume`, after the last event that the user has finished with."""
        return self._place.cursor

    def stats(self, now: float) -> StreamStats:
        """Return the statistics so far."""
        events = self._finished + self._delivered
        return self._tally.stats(now, events=events, bytes=self._bytes, longest_gap=self._longest_gap)

    @property
    def deadline(self) -> float:
        """The deadline of the next read, by the clocks that the transport does not have itself."""
        return self._deadline()[0]

    def read_timeout(self, now: float, *, is_watched: bool) -> float | None:
        """
        Return the transport's read timeout, which stays the same for the whole body.

        If no watchdog watches the `deadline`, it also stands in for the other clocks: it may be late for them, but
        never early.
        """
        return read_timeout(self._plan.timeouts, self._left(now), is_watched=is_watched)

    def may_send(self, now: float) -> bool:
        """Whether the request of this attempt may still be sent: preparing it takes time, and the user may close."""
        return not self.is_closing and now < self.total_deadline

    @property
    def _delivered(self) -> int:
        """The number of events of the batch that were delivered."""
        return len(self._batch) - length_hint(self.ready)

    @property
    def _has_begun(self) -> bool:
        """Whether another attempt would be a resume, and not a repetition of the first request."""
        return self._place.has_begun(self._finished_id, has_delivered=self._has_delivered)

    @property
    def _has_delivered(self) -> bool:
        """Whether the user received anything that a repeated request would duplicate: an event, or a reader's value."""
        return self._finished > 0 if self.reading is None else self.reading.has_values

    @property
    def _is_over(self) -> bool:
        """Whether reports of the shell are ignored: the stream is being closed, or is stopped."""
        return self.is_closing or self._phase == "stopped"

    @property
    def _so_far(self) -> str:
        """The number of finished events, for a text."""
        count = self._finished
        return f" after {count} event{'s' if count != 1 else ''}"

    def _deadline(self) -> tuple[float, str]:
        """Return the earliest deadline of the clocks that run while reading, and its clock."""
        return reading_deadline(self._plan.timeouts, self.total_deadline, self._waiting_since, self._has_event)

    def _left(self, now: float) -> float:
        """Return the rest of `total`, in seconds."""
        return max(self.total_deadline - now, 0.0)
