"""
All that a session knows, and what can be asked of it at any time. Questions change nothing.

The decisions, which do, are in `session`. The two are one object, because what every piece of a body touches has to
be an attribute of the session itself.
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
from .steps import Head, Note
from .tally import Tally

NO_EVENTS: list[ServerSentEvent] = []


class SessionState:
    """What a session knows about its stream."""

    # A process may hold thousands of streams: with a dict each, a session would take three times as much memory. What
    # is used for every piece of a body is here, and not in a part: a second hop to an attribute costs.
    __slots__ = (
        *("ready", "outcome", "head", "is_reading", "is_closing", "notes", "has_deadlines", "total_deadline"),
        *("attempted_at", "reading", "unfinished", "_plan", "_random", "_utc_now", "_phase", "_error"),
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
    """Whether the next step is `Read` and nothing else, until something but `received` happens or `is_closing`. It
    spares a shell the question, which is a good part of what an event costs."""
    is_closing: bool
    """Whether `close` was called."""
    notes: deque[Note] | None
    """What has happened besides events; `None` if there are no listeners."""
    has_deadlines: bool
    """Whether `deadline` can ever be anything but infinite."""
    total_deadline: float
    """When the total runs out; infinite before the first step."""
    attempted_at: float
    """When the latest request was made."""
    reading: Reading | None
    """The dialect's reader at work; `None` without one."""
    unfinished: ServerSentEvent | None
    """The block that counted as the terminator though its blank line did not come; it is not delivered."""

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
        self._plan = plan
        self._random = random
        self._utc_now = utc_now
        self._phase: Phase = "connecting"
        self._error: SSEError | None = None  # what the stream ends with, once it is stopped or draining

        # Attempts. A failure in a row is one since the last event; in a subscription, since the last open stream.
        self._place = place_of(plan)
        self._route = Route()
        self._request = plan.request  # what the next attempt sends, or the latest has sent
        self._failures = 0
        self._fruitless = 0  # those before the user has had anything
        self._last_failure: SSEError | None = None
        self._wait_until = 0.0
        self._has_refreshed = False

        # Events. A batch is what one piece completed; the user has finished with all before it.
        self._body = Body(plan, None, plan.last_event_id, on_comment=on_comment)
        self._parser = self._body.parser
        self._feed: Callable[[bytes], list[ServerSentEvent]] = self._parser.feed
        self._batch: list[ServerSentEvent] = []
        self._previous = NO_EVENTS  # the batch before, which the user has finished with
        self._finished = 0
        self._finished_id = plan.last_event_id
        self._reconnection_time: float | None = None  # in seconds
        self._remembers = plan.resume is not None
        self._pings = plan.pings
        self._first_mark = Marks(plan).first
        self._past_ids = NO_PAST_IDS  # which must not come again after a resume
        self._at_open = 0, 0, ""  # how many events and comments, and which ID, there were before this connection
        self._has_marks = bool(plan.errors or plan.terminator or plan.resume or plan.pings)
        self._has_only_done = plan.ends_at_done and not self._has_marks  # what most streams have

        # The end, as others have decided it.
        self._closing_outcome: Outcome = "cancelled"
        self._is_cut_short = False  # closed before all that had come was delivered
        self._settled: Outcome | None = None
        self._is_told = False  # the user knows how the stream ended, or has left it

        # Numbers and times.
        clocks = plan.timeouts.first_event, plan.timeouts.idle, plan.timeouts.total
        self.has_deadlines = any(clock is not None and clock < inf for clock in clocks)
        self.total_deadline = inf
        self.attempted_at = 0.0
        self._tally = Tally()
        self._bytes = 0
        self._longest_gap = 0.0
        self._received_at = 0.0  # the last byte, or the head
        self._waiting_since = 0.0  # for an event, on this connection
        self._event_at = -inf  # when the last event was received
        self._has_event = False  # whether one has been received, on any connection

    @property
    def state(self) -> State:
        """For a screen to show."""
        if self._phase == "stopped" or self.is_closing:
            return "closed"
        return "streaming" if self._has_event else "waiting"

    @property
    def is_open(self) -> bool:
        """Whether entering the stream is done: it has been accepted, or is over without an error."""
        return self._phase in ("reading", "draining") or (self._phase == "stopped" and self._error is None)

    @property
    def has_started(self) -> bool:
        """Whether its first step has been taken."""
        return self._tally.started_at is not None

    @property
    def last_event(self) -> ServerSentEvent | None:
        """The event that was delivered last."""
        delivered = self._delivered
        if delivered:
            return self._batch[delivered - 1]
        return self._previous[-1] if self._previous else None

    @property
    def last_event_id(self) -> str:
        """The ID of the last event that the user has finished with, blocks of an ID alone included."""
        delivered = self._delivered
        return self._batch[delivered - 2].id if delivered >= 2 else self._finished_id

    @property
    def cursor(self) -> Any:
        """The cursor of the stream's `resume`, after the last event that the user has finished with."""
        return self._place.cursor

    def stats(self, now: float) -> StreamStats:
        """Return the numbers so far."""
        events = self._finished + self._delivered
        return self._tally.stats(now, events=events, bytes=self._bytes, longest_gap=self._longest_gap)

    @property
    def deadline(self) -> float:
        """When the read that comes next must have ended, by the clocks that the transport does not keep itself."""
        return self._deadline()[0]

    def read_timeout(self, now: float, *, is_watched: bool) -> float | None:
        """
        Return the time without a byte after which the transport gives up, which it keeps for the whole of the body.

        If the `deadline` is not watched, this has to do for the other clocks too: it is never too early for them.
        """
        return read_timeout(self._plan.timeouts, self._left(now), is_watched=is_watched)

    def may_send(self, now: float) -> bool:
        """Whether the request of this attempt may still go out, which the time before it may have changed."""
        return not self.is_closing and now < self.total_deadline

    @property
    def _delivered(self) -> int:
        """How many events of the batch the user has got."""
        return len(self._batch) - length_hint(self.ready)

    @property
    def _has_begun(self) -> bool:
        """Whether another attempt would be a resume, and not the first request again."""
        return self._place.has_begun(self._finished_id, has_delivered=self._has_delivered)

    @property
    def _has_delivered(self) -> bool:
        """Whether the user has had something that another stream would double: an event, or a value of a reader."""
        return self._finished > 0 if self.reading is None else self.reading.has_values

    @property
    def _is_over(self) -> bool:
        """Whether what happens does not matter any more: the user does not hear of it, and nothing is tried again."""
        return self.is_closing or self._phase == "stopped"

    @property
    def _so_far(self) -> str:
        """How far the stream has come, for a text."""
        count = self._finished
        return f" after {count} event{'s' if count != 1 else ''}"

    def _deadline(self) -> tuple[float, str]:
        """Return when the clocks that run while reading run out, and which one is first."""
        return reading_deadline(self._plan.timeouts, self.total_deadline, self._waiting_since, self._has_event)

    def _left(self, now: float) -> float:
        """Return what is left of the total, in seconds."""
        return max(self.total_deadline - now, 0.0)
