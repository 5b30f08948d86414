"""
One stream from its first request to its end, as decisions without I/O.

Two rules. Every decision about a connection is made here: which answer is a stream, where it ends, what is retried
or resumed and when, which clock has run out, what is raised. And this file imports neither httpx, time nor random:
what happened, what time it is and what chance says come in as arguments.

How it is driven. A shell asks `next_step(now)` and does what it says:

    Connect     send a request           then answered(head) or not_answered(failure)
    Read        read the next piece      then received(data), ended() or lost(failure)
    ReadBody    read an error's body     then refused(body)
    Drain       read to the end, briefly then drained()
    Wait        close the response, and wait
    Stop        close the response; raise the error, or end the iteration

Events that a piece completed wait in `ready`, an iterator that the shell hands out from before it asks again. That
it asks again says that the user has finished with them; which events those are is what a resume stands on.

A stream is `connecting` until an answer is accepted, `reading` from then on, `draining` behind its terminator, and
`stopped` for good; `refusing` reads the body of an answer that is no stream, `waiting` lies between two attempts.
"""

import logging
import re
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from math import inf
from operator import length_hint
from typing import Any, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit

from .._errors import (
    ConnectionFailed,
    ContentTypeError,
    ErrorEventReceived,
    EventTooLarge,
    ResponseError,
    SSEError,
    StatusError,
    StreamError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    quote,
    shown,
)
from .._event import ServerSentEvent
from .._marks import DONE, ErrorEvent, Terminator, is_done, needles_of
from .._parser import BOM, EventParser
from .._request import Request, public_url
from .._resume import DEFAULT, Cursor, LastEventID
from .._retry import MAX_SERVER_DELAY, RetryPolicy, is_retryable, parse_delay, server_wish
from .._stats import StreamStats
from .steps import (
    Commented,
    Connect,
    Drain,
    Failure,
    Head,
    Note,
    Opened,
    Plan,
    Read,
    ReadBody,
    Retrying,
    Step,
    Stop,
    Wait,
)
from .strays import Strays, is_stray

logger = logging.getLogger("sse_client")

Outcome: TypeAlias = Literal[
    "completed", "truncated", "interrupted", "timeout", "error_event", "cancelled", "abandoned", "failed"
]
State: TypeAlias = Literal["waiting", "streaming", "closed"]
Phase: TypeAlias = Literal["connecting", "reading", "refusing", "draining", "waiting", "stopped"]

EVENT_STREAM = "text/event-stream"

# Enough for any error page worth reading; a body of errors may never end.
MAX_BODY = 64 * 1024
MAX_BODY_SECONDS = 5.0

# The fields of the standard (section 9.2.6): a body that begins with one of them is an event stream.
FIELDS = (b"data", b"event", b"id", b"retry")

# No text has these, and hardly a compressed body is without.
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")

# A comma in quotes separates nothing. The end of the quotes may be missing, so that the search stays linear.
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?')

# What has to be installed for the client to decode a coding.
EXTRAS = {"br": "httpx[brotli]", "zstd": "httpx[zstd]"}

# What stands behind a terminator is a last chunk, now and then a comment: not worth more than a new connection costs.
MAX_DRAIN = 64 * 1024
MAX_DRAIN_SECONDS = 0.1

# Optional white space around a header's value is no part of it (RFC 9110, section 5.5).
BLANKS = " \t"

# The least time between two connections of one stream, whatever `retry` says: a loop must not hurt a server.
MIN_DELAY = 0.05

# A transport takes 0 for "at once", or for "never"; neither is meant.
MIN_TIMEOUT = 0.001

# A transport's clock is not quite ours, and rounds.
CLOCK_TOLERANCE = 0.01

# As many as httpx and the browsers follow.
MAX_REDIRECTS = 20

# Of the IDs before the last one: a server that starts over begins with one of them.
MAX_IDS = 1024
MAX_ID = 1024  # characters: the longest of real servers, tokens of where they are, have some hundreds

# A feed may well be polled; but a delay beyond a day is a mistake, or malice.
MAX_SUBSCRIPTION_DELAY = 86_400.0

# Of a reason phrase, which the server may make as long as a header.
MAX_REASON = 100

USED_UP = "not sent again: a body that is an iterator or a file is used up by one attempt"

# What ends a stream by default.
DONE_EVENT = ServerSentEvent(data=DONE)
UNNAMED_DONE = Terminator(data=DONE_EVENT.data, event=DONE_EVENT.event)
ANY_ERROR = ErrorEvent(event="error")

NO_EVENTS: list[ServerSentEvent] = []
NO_IDS: deque[str] = deque(maxlen=0)
NO_PAST_IDS: frozenset[str] = frozenset()
READ = Read()
DRAIN = Drain(MAX_DRAIN, MAX_DRAIN_SECONDS)


class Session:
    """
    The decisions of one stream; the module tells how it is driven.

    All of it belongs to one thread or task at a time, but for `close`, which any thread may call at any time.
    """

    # A process may hold thousands of streams: with a dict each, a session would take three times as much memory.
    __slots__ = (
        *("ready", "outcome", "head", "is_reading", "is_closing", "notes", "has_deadlines", "attempted_at"),
        *("_plan", "_random", "_utc_now", "_phase", "_error"),
        *("_request", "_attempts", "_failures", "_last_failure", "_wait_until", "_has_refreshed"),
        *("_redirects", "_redirect_url", "_is_foreign", "_refusal", "_first_head", "_is_first_foreign"),
        *("_parser", "_feed", "_body", "_beginning", "_batch", "_closing_outcome", "_is_cut_short", "_previous"),
        *("_finished", "_finished_id", "_reconnection_time", "_cursor", "_remembers", "_examines"),
        *("_needles", "_names", "_is_told"),
        *("unfinished", "_ends_at_done", "_strays", "_at_open", "_settled", "_ahead"),
        *("_first_id", "_latest_id", "_recent_ids", "_past_ids", "_shares_ids"),
        *("_started_at", "_stopped_at", "_received_at", "_waiting_since", "_event_at", "_has_event"),
        *("_connections", "_comments", "_bytes", "_time_to_headers", "_time_to_first_event", "_longest_gap"),
    )

    ready: Iterator[ServerSentEvent]
    """The events to hand out before the next step."""
    outcome: Outcome | None
    """How the stream ended; `None` while it runs."""
    head: Head | None
    """The head of the latest answer."""
    is_reading: bool
    """Whether the next step is `Read` and nothing else, until something but `received` happens or `is_closing`. It
    spares a shell the question, which is a good part of what an event costs."""
    is_closing: bool
    """Whether somebody has closed the stream."""
    notes: deque[Note] | None
    """What else has happened, for who listens: `None` where nobody does."""
    has_deadlines: bool
    """Whether `deadline` can ever be anything but infinite."""
    attempted_at: float
    """When the latest request was made."""
    unfinished: ServerSentEvent | None
    """The block that counted as the terminator though its blank line did not come; it is not handed out."""

    def __init__(self, plan: Plan, *, random: Callable[[], float], utc_now: Callable[[], datetime]) -> None:
        self.ready = iter(())
        self.outcome = None
        self.head = None
        self.is_reading = False
        self.is_closing = False
        self.notes = None
        self.unfinished = None

        self._plan = plan
        self._random = random
        self._utc_now = utc_now
        self._phase: Phase = "connecting"
        self._error: SSEError | None = None  # what the stream ends with, once it is stopped or draining

        # Attempts. A failure in a row is one since the last event; in a subscription, since the last open stream.
        self._request = plan.request  # what the next attempt sends, or the latest has sent
        self._attempts = 0
        self._failures = 0
        self._last_failure: SSEError | None = None
        self._wait_until = 0.0
        self._has_refreshed = False
        self._redirects = 0
        self._redirect_url: str | None = None
        self._is_foreign = False
        self._refusal = ""  # why a redirect was not followed
        self._first_head: Head | None = None  # of the first stream, which a resume may ask for its URL
        self._is_first_foreign = False

        # Events. A batch is what one piece completed; the user has finished with all before it.
        self._parser = self._new_parser(plan.last_event_id)
        self._feed: Callable[[bytes], list[ServerSentEvent]] = self._parser.feed
        self._body: bytearray | None = None  # of a JSON answer in place of a stream
        self._beginning = b""  # of a body that is, or may be, no stream
        self._batch: list[ServerSentEvent] = []
        self._closing_outcome: Outcome = "cancelled"
        self._is_cut_short = False  # closed before all that had come was handed out
        self._settled: Outcome | None = None
        self._is_told = False  # the user knows how the stream ended, or has left it
        self._previous = NO_EVENTS  # the batch before, which the user has finished with
        self._finished = 0
        self._finished_id = plan.last_event_id
        self._reconnection_time: float | None = None  # in seconds
        # A copy: `advance` may change it in place, and the plan may be that of many streams.
        self._cursor: Any = deepcopy(plan.resume.initial) if isinstance(plan.resume, Cursor) else None
        self._remembers = plan.resume is not None
        self._needles: tuple[str, ...] | None
        self._names: frozenset[str] | None
        self._needles, self._names = needles_of(plan.errors, plan.terminator) or (None, None)
        self._ends_at_done = plan.ends_at_done
        if plan.is_subscription:
            # To a browser it is an event like any other: only a terminator that is asked for ends a feed.
            self._ends_at_done = plan.terminator is not None and plan.terminator.match(DONE_EVENT) is not None
        if plan.errors or plan.terminator or plan.resume or plan.pings:
            self._examines: bool | None = True
        else:
            self._examines = False if self._ends_at_done else None

        # What no parser understands: the unknown lines of this connection; and by what was known before it, whether
        # there is nothing else in it.
        self._strays: Strays | None = None
        self._ahead = 0  # events of this piece that the parser has handed over before the rest of it
        self._at_open: tuple[int, int, str] | None = None

        # IDs that came before the last one, and so must not come after a resume.
        self._first_id = self._latest_id = ""
        self._recent_ids = deque[str](maxlen=MAX_IDS) if isinstance(plan.resume, LastEventID) else NO_IDS
        self._past_ids = NO_PAST_IDS
        self._shares_ids = False  # whether two events in a row had one ID of their own

        # Times.
        timeouts = plan.timeouts
        clocks = timeouts.first_event, timeouts.idle, timeouts.total
        self.has_deadlines = any(clock is not None and clock < inf for clock in clocks)
        self._started_at: float | None = None
        self._stopped_at: float | None = None
        self.attempted_at = 0.0
        self._received_at = 0.0  # the last byte, or the head
        self._waiting_since = 0.0  # for an event, on this connection
        self._event_at = -inf  # when the last event was received
        self._has_event = False  # whether one has been received, on any connection
        self._connections = 0
        self._comments = 0
        self._bytes = 0
        self._time_to_headers: float | None = None
        self._time_to_first_event: float | None = None
        self._longest_gap = 0.0

    # What users ask --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """For a screen to show."""
        if self._phase == "stopped" or self.is_closing:
            return "closed"
        return "streaming" if self._has_event else "waiting"

    @property
    def last_event(self) -> ServerSentEvent | None:
        """The event that was handed out last."""
        handed_out = self._handed_out
        if handed_out:
            return self._batch[handed_out - 1]
        return self._previous[-1] if self._previous else None

    @property
    def last_event_id(self) -> str:
        """The ID of the last event that the user has finished with, blocks of an ID alone included."""
        handed_out = self._handed_out
        return self._batch[handed_out - 2].id if handed_out >= 2 else self._finished_id

    def stats(self, now: float) -> StreamStats:
        """Return the numbers so far."""
        started, stopped = self._started_at, self._stopped_at
        return StreamStats(
            attempts=self._attempts,
            connections=self._connections,
            events=self._finished + self._handed_out,
            comments=self._comments,
            bytes=self._bytes,
            time_to_headers=self._time_to_headers,
            time_to_first_event=self._time_to_first_event,
            longest_gap=self._longest_gap,
            duration=0.0 if started is None else (now if stopped is None else stopped) - started,
        )

    def begin(self) -> None:
        """
        Take that the user begins a loop, a dispatch or an accumulation.

        Raises `RuntimeError` if the end of the stream was told, or the user has left it: another loop would look like
        an empty stream. After `close()` there is no such error: who presses Stop does not wait for a loop to begin.
        """
        if self._is_told:
            text = f"this stream is over ({self.outcome}), and can be read only once: make a new request"
            raise RuntimeError(text) from self._error

    def close(self, outcome: Outcome = "cancelled") -> None:
        """End the stream as soon as its shell asks; no event and no request goes out from now on. Any thread."""
        if not self.is_closing:
            self._closing_outcome = outcome
        self.is_closing = True
        if left := length_hint(self.ready):
            self._is_cut_short = True
            del self._batch[-left:]  # which ends `ready`, wherever it is being iterated

    def closed(self, now: float) -> None:
        """End the stream that was closed; nobody is in the middle of a step."""
        if self._phase != "stopped":
            is_complete = self._phase == "draining" and self._error is None and not self._is_cut_short
            self._stop(None, now, "completed" if is_complete else self._closing_outcome)

    def cut_short(self) -> None:
        """Take that what was read ahead of the user is not handed out: they closed the stream before."""
        if self.outcome == "completed":
            self.outcome = self._closing_outcome

    def settle(self, outcome: Outcome) -> None:
        """Take that to its user the stream ends so, however far it was read ahead of them. Any thread."""
        self._settled = self._closing_outcome if self.is_closing else outcome
        if self.outcome is not None:
            self.outcome = self._settled

    def leave(self, error: BaseException | None, now: float) -> None:
        """End the stream because the user left it: at the end of their own code, or by an exception of theirs."""
        left = length_hint(self.ready)
        self._is_told = True
        if error is None:
            self._finish_batch(now)
        else:
            # What the user failed on is not finished, and is handed out again behind the ID before it.
            self._previous = self._batch[: self._handed_out] or self._previous
            self._finished_id, self._finished = self.last_event_id, self._finished + self._handed_out
            self._batch = []
        self.ready = iter(())
        has_failed = not (error is None or isinstance(error, GeneratorExit))
        is_complete = self._phase == "draining" and self._error is None and not left and not has_failed
        if self._phase == "stopped" or is_complete:
            return  # behind the terminator nothing can go wrong any more, and the connection can be used again
        self._stop(None, now, self._closing_outcome if self.is_closing else outcome_of(error))

    # What to do ------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether entering the stream is done: it has been accepted, or is over without an error."""
        return self._phase in ("reading", "draining") or (self._phase == "stopped" and self._error is None)

    @property
    def has_started(self) -> bool:
        """Whether its first step has been taken."""
        return self._started_at is not None

    @property
    def total_deadline(self) -> float:
        """When the total runs out."""
        total = self._plan.timeouts.total
        return inf if total is None or self._started_at is None else self._started_at + total

    def may_send(self, now: float) -> bool:
        """Whether the request of this attempt may still go out, which the time before it may have changed."""
        return not self.is_closing and now < self.total_deadline

    @property
    def deadline(self) -> float:
        """When the read that comes next must have ended, by the clocks that the transport does not keep itself."""
        return self._deadline()[0]

    def read_timeout(self, now: float, *, is_watched: bool) -> float | None:
        """
        Return after what time without a byte the transport is to give up, which it keeps for the whole of the body.

        Where nobody watches the `deadline`, this has to do for the other clocks too: it is never too early for them.
        """
        timeouts = self._plan.timeouts
        limits = [timeouts.read]
        if not is_watched:
            limits.append(_at_most(None, self._left(now)))
            if timeouts.first_event is not None and timeouts.idle is not None:
                limits.append(max(timeouts.first_event, timeouts.idle))
        return min((limit for limit in limits if limit is not None), default=None)

    def next_note(self) -> Note | None:
        """Return the first of the notes, if it came before the next event of `ready`; for who listens."""
        assert self.notes is not None
        first = self.notes[0] if self.notes else None
        if isinstance(first, Commented) and first.after > self._finished + self._handed_out:
            return None
        return self.notes.popleft() if self.notes else None

    def next_step(self, now: float) -> Step:
        """Return what to do next. To ask is to say that the user has finished with all events of `ready`."""
        if self._batch:
            self._finish_batch(now)
        if self._phase == "reading" and not self.is_closing and not self.has_deadlines:
            return READ  # all that a stream asks for most of the time
        if self.is_closing:
            self.closed(now)
        if self._phase == "reading":
            deadline, clock = self._deadline()
            if now >= deadline:
                self._time_out(clock, now)
        if self._phase == "waiting":
            if now < self._wait_until:
                return Wait(self._wait_until - now)
            self._enter("connecting")
        match self._phase:
            case "connecting":
                return self._connect(now)
            case "reading":
                return READ
            case "refusing":
                return ReadBody(MAX_BODY, min(MAX_BODY_SECONDS, self._left(now)))
            case "draining":
                return DRAIN
            case _:
                if not self.is_closing or self._error is not None:
                    self._is_told = True
                return Stop(self._error)

    def _left(self, now: float) -> float:
        """What is left of the total, in seconds."""
        return max(self.total_deadline - now, 0.0)

    @property
    def _is_over(self) -> bool:
        """Whether what happens is of no interest any more: nobody is told, and nothing is tried again."""
        return self.is_closing or self._phase == "stopped"

    # What happened ---------------------------------------------------------------------------------------------------

    def answered(self, head: Head, now: float) -> None:
        """Take the head of an answer."""
        self.head = head
        self._beginning = b""
        if self._started_at is None:
            self._started_at = now  # the response came from the user
        if self._is_over:
            return
        if self._follows(head):
            self._enter("connecting")
        elif self._is_stream(head):
            self._open(head, now)
        elif head.status_code == 204 and (self._plan.is_subscription or not self._has_begun):
            self._stop(None, now)
        elif head.status_code == 204:
            self._end_without_more(now)
        else:
            self._enter("refusing")

    def not_answered(self, failure: Failure, now: float) -> None:
        """Take that a request got no answer."""
        if self._is_over:
            return
        clock = self._connect_clock(failure, now)
        text = f"{label(self._request)} got no response: {failure.text}"
        if clock is not None:
            text = f"{text} (the {clock} clock of {getattr(self._plan.timeouts, clock):g} s ran out)"
        error = ConnectionFailed(text, ambiguous=failure.was_sent, clock=clock)
        error.__cause__ = failure.cause
        if clock == "total":
            self._time_out(clock, now, failure.cause)
        else:
            self._fail(error, now, is_worth_it=not failure.is_final, is_ambiguous=failure.was_sent)

    def refused(self, body: bytes, now: float) -> None:
        """Take the body of an answer that is no stream."""
        if self._is_over:
            return
        head = self.head
        assert head is not None
        if self._is_accepted(head, body):
            self._stop(None, now)
            return
        error = self._response_error(head, (self._beginning + body)[:MAX_BODY])
        can_refresh = head.status_code == 401 and self._can_refresh
        if can_refresh and self._request.is_repeatable:
            self._has_refreshed = True
            self._redirects = 0
            self._enter("connecting")
            logger.info("%s returned 401: requesting its headers again", label(self._request))
        else:
            self._fail(
                error,
                now,
                is_worth_it=self._is_worth_repeating(error),
                server_delay=parse_delay(head.headers, self._utc_now()),
                why_not=USED_UP if can_refresh else "",
            )

    def received(self, data: bytes, now: float) -> bool:
        """Take a piece of the body; return whether it put events into `ready`, which has been used up."""
        if batch := self._batch:
            self._finished += len(batch)
            self._previous = batch
            if self._remembers:
                self._remember(batch)
            self._batch = NO_EVENTS
        self._finished_id = self._parser.last_event_id  # also of the blocks without data behind the last event
        self._bytes += len(data)
        self._received_at = now
        try:
            events = self._feed(data)
        except EventTooLarge as error:
            if not self._is_over:
                self._give_up(error, now)
            return False
        if not events or self._phase != "reading":
            return False
        examines = self._examines
        if examines:
            events = self._examine(events)
        elif examines is not None:
            for event in events:
                if event.data == DONE and event.event == "message":
                    index = events.index(event)
                    self._terminate(index)
                    events = events[:index]
                    break
        if not events:
            return False
        # `_hand_out` without the call: this is the way of nearly every piece.
        if now - self._event_at > self._longest_gap:
            self._note_gap(now)
        self._event_at = now
        self._failures = 0
        self._batch = events
        self.ready = iter(events)
        if self.is_closing:
            self.close()
            return False
        return True

    def _hand_out(self, events: list[ServerSentEvent], now: float) -> bool:
        if not events:
            return False
        if now - self._event_at > self._longest_gap:
            self._note_gap(now)
        self._event_at = now
        self._failures = 0
        self._batch = events
        self.ready = iter(events)
        if self.is_closing:
            self.close()  # once more: these came behind it
            return False
        return True

    def _collect(self, data: bytes) -> list[ServerSentEvent]:
        """Take a piece of a JSON answer, which is one event once it is whole."""
        assert self._body is not None
        self._body += data
        if len(self._body) > self._plan.max_event_size:
            raise EventTooLarge(f"the JSON answer is larger than {self._plan.max_event_size:,} bytes")
        return []

    def _look(self, data: bytes) -> list[ServerSentEvent]:
        """
        Take the first bytes of a body that says it is compressed, in a way that nobody here can decode.

        Servers also say so of bodies that are not, so it is read if it plainly is an event stream, and refused if not.
        """
        self._beginning += data
        is_stream = begins_a_stream(self._beginning)
        if is_stream is None:
            return []
        if not is_stream:
            self._enter("refusing")
            return []
        data, self._beginning = self._beginning, b""
        self._feed = self._first_feed
        return self._feed(data)

    @property
    def _first_feed(self) -> Callable[[bytes], list[ServerSentEvent]]:
        """What takes the first bytes of an event stream."""
        return self._feed_first if self._plan.resume is not None and self._finished_id else self._parser.feed

    def ended(self, now: float) -> bool:
        """Take that the body has ended in good order; return whether that put an event into `ready`."""
        self._finish_batch(now)
        if self._is_over:
            return False
        if self._phase != "reading":
            self.drained(now)
            return False
        if self._body is not None:
            assert self.head is not None
            if self._is_accepted(self.head, self._body):
                self._stop(None, now)
                return False
            if self.head.undecodable and not is_text(self._body):
                self._beginning = bytes(self._body)
                self._enter("refusing")
                return False
            events = self._examine([ServerSentEvent(data=self._body.decode("utf-8", "replace"))])
            if self._phase == "reading":
                self._terminate(0)
            return self._hand_out(events, now)
        self._ended(now)
        return False

    def _ended(self, now: float, *, is_whole: bool = True) -> None:
        try:
            self._parser.feed(self._beginning)
        except EventTooLarge as error:
            self._give_up(error, now)
            return
        if self._ends_in_terminator():
            self._stop(None, now)
        elif self._plan.is_subscription:
            self._fail(StreamTruncated("the server ended the stream"), now)
        elif (stray := self._stray_error()) is not None:
            self._stop(stray, now)
        elif (refusal := self._no_event_stream()) is not None:
            self._fail(refusal, now, is_worth_it=self._is_worth_repeating(refusal))
        else:
            self._end_without_more(now, is_whole=is_whole)

    def lost(self, failure: Failure, now: float) -> None:
        """Take that the body broke off."""
        deadline, clock = self._deadline()
        self._finish_batch(now)
        if self._is_over:
            return
        if self._phase != "reading":
            self.drained(now)
            return
        if now >= deadline or (failure.is_deadline and clock):
            self._time_out(clock, now, failure.cause)
        elif failure.is_timeout and self._has_elapsed(self._plan.timeouts.read, self._received_at, now):
            self._time_out("read", now, failure.cause)
        elif failure.is_early_end:
            self._ended(now, is_whole=False)
        elif (stray := self._stray_error()) is not None:
            # An error that is an event would have ended the stream before this.
            stray.__cause__ = failure.cause
            self._stop(stray, now)
        else:
            error = StreamInterrupted(f"the connection was lost{self._so_far}: {failure.text}")
            error.__cause__ = failure.cause
            self._fail(error, now, is_ambiguous=True)

    def drained(self, now: float) -> None:
        """Take that nothing more is to be had behind the terminator."""
        if self._phase == "draining":
            self._stop(self._error, now)

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        # A cursor is the user's own code, whose errors are not for the short way.
        self.is_reading = phase == "reading" and not self.has_deadlines and not isinstance(self._plan.resume, Cursor)

    # Connecting ------------------------------------------------------------------------------------------------------

    @property
    def _has_begun(self) -> bool:
        """
        Whether the first request must not simply be sent again.

        The user has had an event; or, if the stream is resumed by ID, it has one to resume after.
        """
        return self._finished > 0 or (isinstance(self._plan.resume, LastEventID) and self._has_place)

    def _connect(self, now: float) -> Step:
        if self._started_at is None:
            self._started_at = now
        self.attempted_at = now
        try:
            headers = self._headers()
        except ValueError as error:
            interrupted = StreamInterrupted(f"the stream cannot be taken up again: {error}")
            interrupted.__cause__ = self._last_failure
            self._give_up(interrupted, now)
            return Stop(self._error)
        if not self._redirects:
            self._attempts += 1
        timeouts, left = self._plan.timeouts, self._left(now)
        request, is_exact = self._request, self._is_exact
        if self._redirect_url is not None:
            request, is_exact = replace(request, url=self._redirect_url, params=None), True
        return Connect(
            request,
            headers,
            self._is_foreign,
            is_exact,
            _at_most(timeouts.connect, left),
            _at_most(timeouts.response, left),
            self._plan.accepts_json,
        )

    def _next_request(self) -> Request | None:
        """Make the request of the next attempt; `None` if the user's own code says that there is none."""
        plan = self._plan
        resume = plan.resume
        if not self._has_begun or resume is None:
            return plan.request
        if isinstance(resume, Cursor):
            return resume.request(self._cursor, plan.request)
        first = self._first_head
        request = resume.request(plan.request, None if first is None else first.response)
        if request is not None and callable(resume.url) and first is not None:
            return replace(request, url=joined(first.url, request.url))
        return request

    @property
    def _is_exact(self) -> bool:
        """Whether the URL of the request is one of a resume, which parameters of the client would change."""
        request, first = self._request, self._plan.request
        if isinstance(self._plan.resume, LastEventID):
            return request is not first and self._plan.resume.url is not None
        return request.params is None and request.url != first.url and "?" in request.url

    def _headers(self) -> dict[str, bytes]:
        plan = self._plan
        headers: dict[str, bytes] = {}
        if plan.idempotency_key is not None:
            name, key = plan.idempotency_key
            headers[name] = key.encode("ascii")
        if plan.is_subscription or isinstance(plan.resume, LastEventID):
            last_event_id = self._finished_id
        else:
            last_event_id = plan.last_event_id
        try:
            value = id_header(last_event_id)
        except ValueError as error:
            if not plan.is_subscription:
                raise
            logger.info("%s: %s; reconnecting without it", label(self._request), error)
            value = b""
        if value:
            headers["Last-Event-ID"] = value
        return headers

    def _open(self, head: Head, now: float) -> None:
        self._connections += 1
        if self._time_to_headers is None:
            self._time_to_headers = now - self._started_at if self._started_at is not None else 0.0
            self._first_head, self._is_first_foreign = head, self._is_foreign
        if self._plan.is_subscription:
            self._failures = 0
        if self._has_begun:
            self._past_ids = frozenset((*self._recent_ids, self._first_id)) - {self._finished_id, ""}
        self._has_refreshed = False
        self._note(Opened(head.response))
        self._shares_ids = self._shares_ids or self._parser._repeated_ids > 0
        self._parser = self._new_parser(self._finished_id)
        self._feed = self._first_feed
        self._strays = None
        self._at_open = self._finished, self._comments, self._finished_id
        self._body = None
        if self._plan.accepts_json and media_type(head) != EVENT_STREAM:
            self._body = bytearray()
            self._feed = self._collect
        elif head.undecodable:
            self._feed = self._look
        self._enter("reading")
        self._received_at = self._waiting_since = now

    def _feed_first(self, data: bytes) -> list[ServerSentEvent]:
        """
        Take the beginning of a stream that may be resumed, up to its first event, and drop that if it is a repeat.

        A server may repeat the event that it was asked to resume after. An equal ID alone is no repeat: servers give
        one ID to several events, and an event without an ID of its own has the last one.
        """
        parser, pings = self._parser, self._plan.pings
        events: list[ServerSentEvent] = []
        lines = data.splitlines(keepends=True)  # of bytes: at CR, LF and CRLF, and nowhere else
        for number, line in enumerate(lines, start=1):
            # Line by line, for the parser tells of all its events together which IDs are their own.
            before, repeated_ids = parser.last_event_id, parser._repeated_ids
            events += parser.feed(line)
            if not events or events[-1].event in pings:
                continue
            first = events[-1]
            has_own_id = first.id != before or parser._repeated_ids > repeated_ids
            if has_own_id and not self._shares_ids and self._is_repeat(first):
                logger.info("%s: the server repeated the last event, which is skipped", label(self._request))
                del events[-1]
                parser._repeated_ids = repeated_ids
                self._at_open = None  # it was understood all the same
            elif not self._finished:
                parser._repeated_ids = 0  # the ID before it is that of another stream
            self._feed = parser.feed
            self._ahead = len(events)
            try:
                events += parser.feed(b"".join(lines[number:]))
            except EventTooLarge:
                if not events:  # else the next call raises it
                    raise
            finally:
                self._ahead = 0
            return events
        return events

    def _is_repeat(self, event: ServerSentEvent) -> bool:
        """Whether the event equals the last that the user has finished with."""
        last = self._previous[-1] if self._previous else None
        return (
            last is not None
            and bool(event.id)
            and (event.id, event.event, event.data) == (last.id, last.event, last.data)
        )

    def _new_parser(self, last_event_id: str) -> EventParser:
        return EventParser(
            last_event_id=last_event_id,
            max_event_size=self._plan.max_event_size,
            on_comment=self._count_comment,
            on_unknown=None if self._plan.is_subscription else self._keep_stray,
        )

    def _count_comment(self, text: str) -> None:
        self._comments += 1
        if self.notes is not None:
            # All events before this piece have been handed out.
            self.notes.append(Commented(text, self._finished + self._ahead + self._parser._completed))

    def _keep_stray(self, line: str) -> None:
        if self._strays is None:
            self._strays = Strays()
        self._strays.add(line)

    def _note(self, note: Note) -> None:
        if self.notes is not None:
            self.notes.append(note)

    def _is_stream(self, head: Head) -> bool:
        found = media_type(head)
        is_json = found == "application/json" or (found.startswith("application/") and found.endswith("+json"))
        is_json = is_json and "," not in found
        # For the rest of a stream that has begun, JSON is no more than an error that came with a good status.
        takes_json = self._plan.accepts_json and not self._has_begun
        return self._is_good(head.status_code) and (found == EVENT_STREAM or (is_json and takes_json))

    def _is_accepted(self, head: Head, body: bytes | bytearray) -> bool:
        """Whether an answer says that the server has taken a message, and has nothing to say to it, as in MCP."""
        is_asked_for = self._plan.accepts_json and not self._plan.is_subscription and not self._has_begun
        # A body that broke off before its first byte is none that is empty.
        is_empty = not body and head.headers.get("content-length", "0") == "0"
        return is_asked_for and head.status_code == 202 and is_empty

    def _is_good(self, status_code: int) -> bool:
        if self._plan.is_subscription:
            return status_code == 200
        return 200 <= status_code < 300 and status_code not in (204, 205)

    def _follows(self, head: Head) -> bool:
        """Whether the answer is a redirect to follow; if so, the next request goes there."""
        if head.status_code not in (301, 302, 303, 307, 308) or (location := head.headers.get("location")) is None:
            return False
        request = self._request
        try:
            target = urljoin(head.url, location)
            is_foreign = not is_same_origin(head.url, target)
        except ValueError:
            target, is_foreign = "", False
        refusal = None
        if not location.strip() or not target:
            refusal = "its Location is empty, or no URL"
        elif self._redirects >= MAX_REDIRECTS:
            refusal = f"it is the one after {MAX_REDIRECTS}"
        elif request.method not in ("GET", "HEAD") and head.status_code not in (307, 308):
            refusal = f"a {request.method} would become a GET"
        elif not request.is_repeatable:
            refusal = "the body cannot be sent again"
        elif head.url.startswith("https:") and not target.startswith("https:"):
            refusal = "it leads from https to http"
        elif is_foreign and not self._plan.cross_origin_redirects:
            refusal = f"it leads to another origin, {origin(target)}; cross_origin_redirects=True allows that"
        if refusal is not None:
            self._refusal = f"; the redirect is not followed: {refusal}"
            return False
        self._redirects += 1
        self._redirect_url = target if is_foreign else with_user_of(head.url, target)
        self._is_foreign = self._is_foreign or is_foreign
        return True

    def _response_error(self, head: Head, body: bytes) -> ResponseError:
        status_code, got = head.status_code, media_type(head)
        request = label(self._request)
        is_readable = not head.undecodable or is_text(body)
        kind: type[ResponseError]
        if self._is_good(status_code):
            kind = ContentTypeError
            text = f"expected text/event-stream from {request}, got {repr(got) if got else 'no content type'}"
            if head.undecodable and (not is_readable or self._is_stream(head)):
                text = f"{text} {undecoded(head)}"
            text = f"{text} (status {status_code})"
        else:
            kind = StatusError
            text = f"{request} returned {status_code} {head.reason[:MAX_REASON]}".rstrip()
            if not is_readable:
                text = f"{text} {undecoded(head)}"
        error = kind(text, status_code=status_code, headers=head.headers, body=body)
        said = error.message or (body.decode("utf-8", "replace").strip() if is_readable else "")
        error.args = ("".join((text, f": {quote(said)}" if said else "", self._refusal)),)
        self._refusal = ""
        return error

    def _connect_clock(self, failure: Failure, now: float) -> str | None:
        """Which clock has run out, by our time: a client may call a refused connection a timeout."""
        timeouts = self._plan.timeouts
        if self._has_elapsed(timeouts.total, self._started_at, now):
            return "total"
        name = "response" if failure.was_sent else "connect"
        seconds = timeouts.response if failure.was_sent else timeouts.connect
        is_time = failure.is_timeout or failure.is_deadline
        return name if is_time and self._has_elapsed(seconds, self.attempted_at, now) else None

    # Reading ---------------------------------------------------------------------------------------------------------

    def _examine(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """Return the events up to the one that ends the stream, or should not have come."""
        plan = self._plan
        errors, terminator, past_ids = plan.errors, plan.terminator, self._past_ids
        needles, names = None if past_ids else self._needles, self._names
        if plan.pings:
            self._at_open = None  # a ping, too, is something that was understood
            received, events = events, [event for event in events if event.event not in plan.pings]
            if self.notes:
                self._place_comments(received, events)
        for index, event in enumerate(events):
            data = event.data
            if needles is not None:
                # Nearly every event of a stream is seen off here. One character is found five times as fast as two.
                for needle in needles:
                    if needle in data:
                        break
                else:
                    if (
                        ("\\" not in data or "\\u" not in data)
                        and (data != DONE or event.event != "message")
                        and (names is None or event.event not in names)
                    ):
                        continue
            if event.id in past_ids:
                text = f"the server started over: event {quote(event.id)} came again behind {quote(self._finished_id)}"
                self._terminate(index, StreamInterrupted(text))
                return events[:index]
            if errors is not None and (mark := errors.match(event)) is not None:
                self._terminate(index, _error_event("the server sent an error event", event, mark))
                return events[:index]
            if self._ends_at_done and is_done(event):
                is_asked_for = terminator is None or terminator.match(event) is not None
                error = None if is_asked_for else StreamTruncated("the server sent [DONE], and no terminator")
                self._terminate(index, error)
                return events[:index]
            if terminator is not None and terminator.match(event) is not None:
                self._terminate(index)
                return events[: index + 1]
        return events

    def _note_gap(self, now: float) -> None:
        """Note the longest gap so far. The first event has none before it."""
        if self._has_event:
            self._longest_gap = now - self._event_at
        else:
            self._has_event = True
            self._time_to_first_event = now - self._started_at if self._started_at is not None else 0.0

    def _terminate(self, index: int, error: SSEError | None = None) -> None:
        """Nothing after the event at that index of its piece counts any more, and nothing can fail any more."""
        self._error = error
        self._enter("draining")
        while self.notes and isinstance(last := self.notes[-1], Commented) and last.after > self._finished + index:
            self.notes.pop()

    def _place_comments(self, received: list[ServerSentEvent], left: list[ServerSentEvent]) -> None:
        """Keep the order of the comments and the events of a piece, of which some events have been taken out."""
        assert self.notes is not None
        kept = set(map(id, left))
        places = [0, *accumulate(id(event) in kept for event in received)]
        for index, note in enumerate(self.notes):
            if isinstance(note, Commented) and note.after > self._finished:
                self.notes[index] = Commented(note.text, self._finished + places[note.after - self._finished])

    def _ends_in_terminator(self) -> bool:
        """Whether the body has ended in a block that is the terminator, but for its blank line."""
        event = self._parser._unfinished()
        terminator = self._plan.terminator or (UNNAMED_DONE if self._ends_at_done else None)
        if event is None or terminator is None:
            return False
        open_field = self._parser._open_line.partition(":")[0]
        if open_field == "retry":
            open_field = ""  # like a comment, whose field is "": no part of the event
        if terminator._match_unfinished(event, open_field) is None:
            return False
        self.unfinished = event
        return True

    def _stray_error(self) -> ErrorEventReceived | None:
        """Return the error that the server reported outside any field; for the end of the body."""
        open_line = self._parser._open_line
        if open_line and not self._plan.is_subscription and is_stray(open_line):
            self._keep_stray(open_line)
        event = None if self._strays is None else self._strays.error()
        if event is None:
            return None
        event.id = self._parser.last_event_id
        errors = self._plan.errors
        mark = None if errors is None else errors.match(event)  # the user may have said how to read it
        return _error_event("the server sent an error outside any event", event, mark or ANY_ERROR)

    def _no_event_stream(self) -> ContentTypeError | None:
        """Return the error of a body that has ended and was all unknown lines."""
        parser, strays, head = self._parser, self._strays, self.head
        known = self._finished, self._comments, parser.last_event_id
        if strays is None or known != self._at_open or parser.reconnection_time is not None:
            return None
        if parser.is_mid_block and not is_stray(parser._open_line):
            return None  # an event has begun
        assert head is not None
        text = f"expected events from {label(self._request)}, got text that is not an event stream"
        return ContentTypeError(
            f"{text} (status {head.status_code}): {quote(strays.first)}",
            status_code=head.status_code,
            headers=head.headers,
            body=strays.body,
        )

    def _end_without_more(self, now: float, *, is_whole: bool = True) -> None:
        """The server has said in good order that nothing more comes: the end, unless something is missing."""
        if self._plan.terminator is not None:
            text = f"the stream ended{self._so_far}, before its terminator"
        elif not is_whole:
            text = f"the stream ended{self._so_far}, before the end of its compressed body"
        elif self._phase == "reading" and self._parser.is_mid_block:
            text = f"the stream ended{self._so_far}, in the middle of the next"
        else:
            if self._phase == "reading" and self._plan.resume is not None and self._finished and self._has_place:
                # Some proxies end the body of a server that has died cleanly: then this was a cut.
                logger.info("%s ended without a terminator%s", label(self._request), self._so_far)
            self._stop(None, now)
            return
        error = StreamTruncated(text)
        if self._phase == "reading":
            self._fail(error, now, is_ambiguous=True)
        else:
            self._give_up(error, now)

    @property
    def _handed_out(self) -> int:
        """How many events of the batch the user has got."""
        return len(self._batch) - length_hint(self.ready)

    def _finish_batch(self, now: float) -> None:
        """Take that the user has finished with what was handed out. `received` does the same, for all of a batch."""
        batch, self._batch = self._batch, []
        if left := length_hint(self.ready):
            batch = batch[:-left]  # the stream was closed, or left, in the middle
        self._finished += len(batch)
        if batch:
            self._previous = batch
            self._waiting_since = now
        if self._remembers:
            self._remember(batch)
        if self._phase == "reading" and not left and not self._is_cut_short:
            self._finished_id = self._parser.last_event_id
        elif batch:
            self._finished_id = batch[-1].id

    def _remember(self, batch: list[ServerSentEvent]) -> None:
        """Keep what a resume needs of the events that the user has finished with."""
        resume = self._plan.resume
        if isinstance(resume, Cursor):
            for event in batch:
                self._cursor = resume.advance(self._cursor, event)
        else:
            for event in batch:
                if event.id and event.id != self._latest_id:
                    self._first_id = self._first_id or event.id
                    self._latest_id = event.id
                    if len(event.id) <= MAX_ID:
                        self._recent_ids.append(event.id)

    def _deadline(self) -> tuple[float, str]:
        """Return when the clocks that run while reading run out, and which one is first."""
        timeouts = self._plan.timeouts
        deadline, clock = inf, ""
        if timeouts.total is not None and self._started_at is not None:
            deadline, clock = self._started_at + timeouts.total, "total"
        name = "idle" if self._has_event else "first_event"
        seconds = timeouts.idle if self._has_event else timeouts.first_event
        if seconds is not None and self._waiting_since + seconds < deadline:
            deadline, clock = self._waiting_since + seconds, name
        return deadline, clock

    def _time_out(self, clock: str, now: float, cause: Exception | None = None) -> None:
        seconds = getattr(self._plan.timeouts, clock)
        waited = {
            "read": f"no byte came for {seconds:g} s",
            "first_event": f"no event came within {seconds:g} s of the headers",
            "idle": f"no event came for {seconds:g} s",
            "total": f"the stream was not over within {seconds:g} s",
        }[clock]
        error = StreamTimeout(f"{waited}{self._so_far}", clock=clock)
        error.__cause__ = cause
        if clock == "total":
            self._give_up(error, now)
        else:
            self._fail(error, now, is_ambiguous=True)

    # Coming back, or not ---------------------------------------------------------------------------------------------

    @property
    def _can_refresh(self) -> bool:
        plan = self._plan
        return plan.can_refresh and not self._has_refreshed and not self._is_foreign

    def _is_worth_repeating(self, error: ResponseError) -> bool:
        # In the middle of a stream another media type is some proxy's page, at its beginning the server's answer.
        is_page = isinstance(error, ContentTypeError) and self._has_begun and not self._plan.is_subscription
        wish = server_wish(error.headers)
        return wish if wish is not None else is_page or is_retryable(error.status_code)

    def _policy(self) -> tuple[RetryPolicy | None, str]:
        """Return by what policy to come back, or None and why not."""
        plan = self._plan
        resume = plan.resume
        if plan.is_subscription:
            return (plan.retry if resume is None or resume.retry is DEFAULT else resume.retry), ""
        if not self._has_begun:
            return plan.retry, ""
        if resume is None:
            return None, ""
        if isinstance(resume, LastEventID) and not self._has_place:
            return None, "the stream had no event IDs to resume from"
        return resume.retry, ""

    @property
    def _has_place(self) -> bool:
        """Whether this stream has given an ID to go on behind; one from an earlier stream would replay this one."""
        return self._finished_id != self._plan.last_event_id and bool(self._finished_id.strip(BLANKS))

    def _fail(
        self,
        error: SSEError,
        now: float,
        *,
        is_worth_it: bool = True,
        is_ambiguous: bool = False,
        server_delay: float | None = None,
        why_not: str = "",
    ) -> None:
        """Take that an attempt has failed, or an open stream: come back where that is allowed and may help."""
        self._failures += 1
        self._last_failure = error
        error.stats = self.stats(now)
        request = label(self._request)
        delay, why_not = self._verdict(error, now, is_worth_it, is_ambiguous, server_delay, why_not)
        if delay is not None:
            said = str(error) if request in str(error) else f"{request}: {error}"
            logger.info("%s; attempt %d follows in %.2f s", said, self._attempts + 1, delay)
            self._note(Retrying(error, delay))
            self._wait(delay, now)
            return
        is_cut = isinstance(error, StreamError) and (self._failures == 1 or isinstance(error, StreamInterrupted))
        if self._has_begun and not self._plan.is_subscription and not is_cut:
            # The user had a stream: what they lost is that, and this is why it did not come back.
            cause = error
            error = StreamInterrupted(f"the connection was lost{self._so_far}, and not resumed: {cause}")
            error.__cause__ = cause
        self._give_up(error, now, why_not)

    def _verdict(
        self,
        error: SSEError,
        now: float,
        is_worth_it: bool,
        is_ambiguous: bool,
        server_delay: float | None,
        why_not: str,
    ) -> tuple[float | None, str]:
        """Return after what delay to come back, or None and why not, where the user can do something about it."""
        plan = self._plan
        policy, why_no_policy = self._policy()
        if policy is None:
            return None, why_no_policy or why_not
        if is_ambiguous and not self._is_safe_to_repeat(policy):
            is_worth_it = False
            why_not = (
                f"not sent again, because the server may have acted upon this {plan.request.method}: "
                "RetryPolicy(retry_ambiguous=True) or idempotency_key_header= allows it"
            )
        if not policy._allows(self._failures - 1):
            return None, "" if is_worth_it else why_not
        if policy.on is not None and (verdict := policy.on(self._attempts, error)) is not None:
            is_worth_it = verdict
        if not is_worth_it:
            return None, why_not
        request = self._next_request()
        if request is None:
            return None, ""
        if not request.is_repeatable:
            return None, USED_UP
        delay, asked, limit = self._delay(policy, server_delay)
        if asked > limit:
            return None, f"the server asked for a delay of {asked:.12g} s, above the limit of {limit:.12g} s"
        if delay >= self._left(now) < inf:
            return None, f"the total of {plan.timeouts.total:g} s leaves no time for another attempt"
        self._request = request
        return delay, ""

    def _is_safe_to_repeat(self, policy: RetryPolicy) -> bool:
        """Whether the server may get the request twice."""
        plan = self._plan
        if plan.is_subscription or self._has_begun or plan.request.is_idempotent:
            return True
        return policy.retry_ambiguous or plan.idempotency_key is not None

    def _delay(self, policy: RetryPolicy, server_delay: float | None) -> tuple[float, float, float]:
        """Return how long to wait, how long the server asked for, and what it may ask for at the most."""
        initial_delay, least = None, 0.0
        if self._plan.is_subscription or self._has_begun:
            if self._parser.reconnection_time is not None:
                self._reconnection_time = self._parser.reconnection_time / 1000
            initial_delay, least = self._reconnection_time, MIN_DELAY
        asked = max(initial_delay or 0.0, server_delay or 0.0)
        limit = MAX_SUBSCRIPTION_DELAY if self._plan.is_subscription else MAX_SERVER_DELAY
        delay = policy.delay(
            self._failures,
            random=self._random(),
            server_delay=server_delay,
            initial_delay=initial_delay,
        )
        return max(delay, least), asked, limit

    def _wait(self, delay: float, now: float) -> None:
        self._enter("waiting")
        self._wait_until = now + delay
        self._redirects = 0
        resume = self._plan.resume if self._has_begun else None
        url = resume.url if isinstance(resume, LastEventID) else None
        names_url = url is not None or isinstance(resume, Cursor)
        # What goes on, goes on where it was (the browsers do the same); what starts again, starts at the beginning.
        goes_on = resume is not None or self._plan.is_subscription
        if names_url or not goes_on:
            self._redirect_url = None
            # A URL that another origin has named is as foreign as that.
            self._is_foreign = callable(url) and self._is_first_foreign

    def _give_up(self, error: SSEError, now: float, why: str = "") -> None:
        """Stop with the error, and with all that is known about it."""
        if why:
            error.args = (f"{error}; {why}",)
        self._stop(error, now)

    def _stop(self, error: SSEError | None, now: float, outcome: Outcome = "completed") -> None:
        match error:
            case None:
                self.outcome = outcome
            case StreamTruncated():
                self.outcome = "truncated"
            case StreamInterrupted():
                self.outcome = "interrupted"
            case StreamTimeout():
                self.outcome = "timeout"
            case ErrorEventReceived():
                self.outcome = "error_event"
            case _:
                self.outcome = "failed"
        if self._settled is not None:  # after the outcome was set: `settle` may come from another thread
            self.outcome = self._settled
        self._enter("stopped")
        self._error = error
        self._stopped_at = now
        if error is None:
            return
        error.stats = stats = self.stats(now)
        if stats.attempts > 1:
            # In the text, not in a note: a note does not reach a log.
            error.args = (f"{error}; gave up after {stats.attempts} attempts in {stats.duration:.1f} s",)
        if isinstance(error, StreamError):
            error.last_event_id = self.last_event_id

    @property
    def _so_far(self) -> str:
        """How far the stream has come, for a text."""
        count = self._finished
        return f" after {count} event{'s' if count != 1 else ''}"

    @staticmethod
    def _has_elapsed(seconds: float | None, since: float | None, now: float) -> bool:
        return seconds is not None and since is not None and now - since >= seconds - CLOCK_TOLERANCE


# Small questions -----------------------------------------------------------------------------------------------------


def _error_event(text: str, event: ServerSentEvent, mark: ErrorEvent) -> ErrorEventReceived:
    """The error that the server has sent in an event, in words that begin with the text."""
    message, code = mark.read(event)
    if message:
        text = f"{text}: {quote(message)}"
    if code is not None:
        text = f"{text} (code {quote(shown(code))})"
    return ErrorEventReceived(text, event=event, code=code, message=message)


def outcome_of(error: BaseException | None) -> Outcome:
    """What it is called when the user leaves a stream: by a cancellation or Ctrl-C, or in any other way."""
    return "abandoned" if error is None or isinstance(error, Exception | GeneratorExit) else "cancelled"


def label(request: Request) -> str:
    """How a request is called in texts: without its query and user, which hold secrets."""
    return f"{request.method} {public_url(str(request.url))}"


def id_header(last_event_id: str) -> bytes:
    """
    Return what `Last-Event-ID` is to say, `b""` for no header at all.

    In UTF-8, as the standard has it. Raises `ValueError` where HTTP cannot carry the ID (RFC 9110, section 5.5).
    """
    value = last_event_id.strip(BLANKS).encode()
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value):
        raise ValueError(f"the last event ID {quote(last_event_id)} cannot be sent in a header")
    return value


def with_user_of(url: str, target: str) -> str:
    """Return the target with the user of the URL, unless it names one: an origin's credentials are for all of it."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    parts = urlsplit(target)
    return target if not at or "@" in parts.netloc else parts._replace(netloc=f"{user}@{parts.netloc}").geturl()


def joined(base: str, url: str) -> str:
    """Return the URL as seen from the base; unchanged if it is no URL, of which the client makes an error."""
    try:
        return urljoin(base, url)
    except ValueError:
        return url


def media_type(head: Head) -> str:
    """
    The type and subtype of a `Content-Type`, without its parameters.

    A server and its proxy may both send the header, and a client joins the values with commas: it is one type if all
    are equal, and otherwise all of them, which are none that we read.
    """
    values = QUOTED.sub("", head.headers.get("content-type", "")).split(",")
    types = dict.fromkeys(value.partition(";")[0].strip().lower() for value in values)
    return ", ".join(each for each in types if each)


def begins_a_stream(body: bytes) -> bool | None:
    """Whether a body's first line is a comment or a field of the standard; `None` if that takes more bytes."""
    if BOM.startswith(body):
        return None
    line = body.removeprefix(BOM)
    if line.startswith(b":"):
        return True
    for field in FIELDS:
        if field.startswith(line):
            return None
        if line.startswith(field):
            return line[len(field)] in b":\r\n"
    return False


def is_text(body: bytes | bytearray) -> bool:
    """Whether the beginning of a body is text, for all that can be seen."""
    try:
        getincrementaldecoder("utf-8")().decode(body)  # whose last character may be cut
    except UnicodeDecodeError:
        return False
    return CONTROLS.search(body) is None


def undecoded(head: Head) -> str:
    """Say in which coding a response came, and what would decode it."""
    extra = EXTRAS.get(head.undecodable)
    remedy = f" without {extra}" if extra else ""
    return f"in the content coding {quote(head.undecodable)}, which cannot be decoded{remedy}"


def origin(url: str) -> str:
    """The origin of a URL (RFC 6454), as far as a text needs it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def is_same_origin(url: str, other: str) -> bool:
    """Whether both URLs are of one origin; from http to https of one host, each at its default port, counts as one."""
    here, there = _origin_of(url), _origin_of(other)
    return here == there or (
        (here[0], here[2], there[0], there[2]) == ("http", 80, "https", 443) and here[1] == there[1]
    )


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _at_most(seconds: float | None, left: float) -> float | None:
    """The time that a clock has, within what is left of the total."""
    if seconds is None:
        return None if left == inf else max(left, MIN_TIMEOUT)
    return max(min(seconds, left), MIN_TIMEOUT)
