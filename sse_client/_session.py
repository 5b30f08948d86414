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
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from math import inf
from operator import length_hint
from typing import Any, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit

from ._errors import (
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
)
from ._event import ServerSentEvent
from ._marks import DONE, is_done, needles_of
from ._parser import EventParser
from ._request import Request
from ._resume import Cursor, LastEventID
from ._retry import MAX_SERVER_DELAY, RetryPolicy, is_retryable, parse_delay, server_wish
from ._stats import StreamStats
from ._steps import (
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

STATUSES = frozenset(HTTPStatus)

# `subscribe`: 3 s as Chromium and Firefox have it, where the server does not say.
RECONNECT = RetryPolicy(max_retries=None, initial_delay=3.0, max_delay=30.0, jitter=0.0)


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
        *("_redirects", "_redirect_url", "_is_foreign", "_refusal", "_first_response"),
        *("_parser", "_feed", "_body", "_batch", "_closing_outcome", "_is_cut_short", "_previous"),
        *("_finished", "_finished_id", "_reconnection_time", "_cursor", "_remembers", "_examines", "_needles"),
        *("_first_id", "_latest_id", "_recent_ids", "_past_ids"),
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

    def __init__(self, plan: Plan, *, random: Callable[[], float], utc_now: Callable[[], datetime]) -> None:
        self.ready = iter(())
        self.outcome = None
        self.head = None
        self.is_reading = False
        self.is_closing = False
        self.notes = None

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
        self._first_response: Any = None

        # Events. A batch is what one piece completed; the user has finished with all before it.
        self._parser = self._new_parser(plan.last_event_id)
        self._feed = self._parser.feed
        self._body: bytearray | None = None  # of a JSON answer in place of a stream
        self._batch: list[ServerSentEvent] = []
        self._closing_outcome: Outcome = "cancelled"
        self._is_cut_short = False  # closed before all that had come was handed out
        self._previous = NO_EVENTS  # the batch before, which the user has finished with
        self._finished = 0
        self._finished_id = plan.last_event_id
        self._reconnection_time: float | None = None  # in seconds
        self._cursor: Any = plan.resume.initial if isinstance(plan.resume, Cursor) else None
        self._remembers = plan.resume is not None
        self._needles = needles_of(plan.errors, plan.terminator)
        self._examines = bool(plan.errors or plan.terminator or plan.resume or plan.pings or not plan.ends_at_done)

        # IDs that came before the last one, and so must not come after a resume.
        self._first_id = self._latest_id = ""
        self._recent_ids = deque[str](maxlen=MAX_IDS) if isinstance(plan.resume, LastEventID) else NO_IDS
        self._past_ids = NO_PAST_IDS

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

    def leave(self, error: BaseException | None, now: float) -> None:
        """End the stream because the user left it: at the end of their own code, or by an exception of theirs."""
        left = length_hint(self.ready)
        if error is None:
            self._finish_batch(now)
        else:
            # What the user failed on is not finished, and is handed out again behind the ID before it.
            self._previous = self._batch[: self._handed_out] or self._previous
            self._finished_id, self._finished = self.last_event_id, self._finished + self._handed_out
            self._batch = []
        self.ready = iter(())
        is_complete = self._phase == "draining" and self._error is None and not left
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
        text = f"{label(self._request)} got no answer: {failure.text}"
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
        error = self._response_error(head, body)
        if head.status_code == 401 and self._can_refresh:
            self._has_refreshed = True
            self._redirects = 0
            self._enter("connecting")
            logger.info("%s was answered 401: asking for its headers anew", label(self._request))
        else:
            self._fail(
                error,
                now,
                is_worth_it=self._is_worth_repeating(error),
                server_delay=parse_delay(head.headers, self._utc_now()),
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
        if self._examines:
            events = self._examine(events)
        else:
            for event in events:
                if event.data == DONE and event.event == "message":
                    self._terminate()
                    events = events[: events.index(event)]
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

    def ended(self, now: float) -> bool:
        """Take that the body has ended in good order; return whether that put an event into `ready`."""
        self._finish_batch(now)
        if self._is_over:
            return False
        if self._phase != "reading":
            self.drained(now)
            return False
        if self._body is not None:
            events = self._examine([ServerSentEvent(data=self._body.decode("utf-8", "replace"))])
            if self._phase == "reading":
                self._terminate()
            return self._hand_out(events, now)
        self._ended(now)
        return False

    def _ended(self, now: float) -> None:
        try:
            self._parser.feed(b"")
        except EventTooLarge as error:
            self._give_up(error, now)
            return
        if self._plan.is_subscription:
            self._fail(StreamTruncated("the server ended the stream"), now)
            return
        unfinished = self._parser.unfinished()
        if unfinished is not None and self._is_end(unfinished):
            self._stop(None, now)
        else:
            self._end_without_more(now)

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
        """Whether the user has had an event: from then on, the first request is never simply sent again."""
        return self._finished > 0

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
        request = self._request
        if self._redirect_url is not None:
            request = replace(request, url=self._redirect_url, params=None)
        return Connect(
            request,
            headers,
            self._is_foreign,
            _at_most(timeouts.connect, left),
            _at_most(timeouts.response, left),
        )

    def _next_request(self) -> Request:
        """Make what is sent when the stream comes back."""
        resume = self._plan.resume
        if not self._has_begun or resume is None:
            return self._plan.request
        if isinstance(resume, LastEventID):
            return resume.request(self._plan.request, self._first_response)
        return resume.request(self._cursor, self._plan.request)

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
        if value := id_header(last_event_id):
            headers["Last-Event-ID"] = value
        return headers

    def _open(self, head: Head, now: float) -> None:
        self._connections += 1
        if self._time_to_headers is None:
            self._time_to_headers = now - self._started_at if self._started_at is not None else 0.0
            self._first_response = head.response
        if self._plan.is_subscription:
            self._failures = 0
        if self._has_begun:
            self._past_ids = frozenset((*self._recent_ids, self._first_id)) - {self._finished_id, ""}
        self._has_refreshed = False
        self._note(Opened(head.response))
        self._parser = self._new_parser(self._finished_id)
        self._feed = self._parser.feed
        self._body = None
        if self._plan.accepts_json and media_type(head) != EVENT_STREAM:
            self._body = bytearray()
            self._feed = self._collect
        self._enter("reading")
        self._received_at = self._waiting_since = now

    def _new_parser(self, last_event_id: str) -> EventParser:
        return EventParser(
            last_event_id=last_event_id, max_event_size=self._plan.max_event_size, on_comment=self._count_comment
        )

    def _count_comment(self, text: str) -> None:
        self._comments += 1
        self._note(Commented(text))

    def _note(self, note: Note) -> None:
        if self.notes is not None:
            self.notes.append(note)

    def _is_stream(self, head: Head) -> bool:
        found = media_type(head)
        is_json = found == "application/json" or (found.startswith("application/") and found.endswith("+json"))
        # For the rest of a stream that has begun, JSON is no more than an error that came with a good status.
        takes_json = self._plan.accepts_json and not self._has_begun
        return self._is_good(head.status_code) and (found == EVENT_STREAM or (is_json and takes_json))

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
        elif is_foreign and not self._plan.follow_redirects:
            refusal = f"it leads to another origin, {origin(target)}; follow_redirects=True allows that"
        if refusal is not None:
            self._refusal = f"; the redirect is not followed: {refusal}"
            return False
        self._redirects += 1
        self._redirect_url = target
        self._is_foreign = self._is_foreign or is_foreign
        return True

    def _response_error(self, head: Head, body: bytes) -> ResponseError:
        status_code, got = head.status_code, media_type(head)
        request = label(self._request)
        kind: type[ResponseError]
        if self._is_good(status_code):
            kind = ContentTypeError
            text = f"expected text/event-stream from {request}, got {repr(got) if got else 'no content type'}"
            text = f"{text} (status {status_code})"
        else:
            kind = StatusError
            phrase = HTTPStatus(status_code).phrase if status_code in STATUSES else ""
            text = f"{request} was answered {status_code} {phrase}".rstrip()
        error = kind(text, status_code=status_code, headers=head.headers, body=body)
        said = error.message or body.decode("utf-8", "replace").strip()
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
        errors, terminator, needles, past_ids = plan.errors, plan.terminator, self._needles, self._past_ids
        if plan.pings:
            events = [event for event in events if event.event not in plan.pings]
        for index, event in enumerate(events):
            data = event.data
            if needles is not None and not past_ids:
                # Nearly every event of a stream is seen off here. One character is found five times as fast as two.
                for needle in needles:
                    if needle in data:
                        break
                else:
                    if ("\\" not in data or "\\u" not in data) and (data != DONE or event.event != "message"):
                        continue
            if event.id in past_ids:
                text = f"the server started over: event {quote(event.id)} came again behind {quote(self._finished_id)}"
                self._terminate(StreamInterrupted(text))
                return events[:index]
            if errors is not None and (mark := errors.match(event)) is not None:
                message, code = mark.read(event)
                said = f": {quote(message)}" if message else ""
                text = f"the server sent an error event{said}" + (
                    f" (code {quote(str(code))})" if code is not None else ""
                )
                self._terminate(ErrorEventReceived(text, event=event, code=code, message=message))
                return events[:index]
            if plan.ends_at_done and is_done(event):
                is_asked_for = terminator is None or terminator.match(event) is not None
                self._terminate(None if is_asked_for else StreamTruncated("the server sent [DONE], and no terminator"))
                return events[:index]
            if terminator is not None and terminator.match(event) is not None:
                self._terminate()
                return events[: index + 1]
        return events

    def _note_gap(self, now: float) -> None:
        """Note the longest gap so far. The first event has none before it."""
        if self._has_event:
            self._longest_gap = now - self._event_at
        else:
            self._has_event = True
            self._time_to_first_event = now - self._started_at if self._started_at is not None else 0.0

    def _terminate(self, error: SSEError | None = None) -> None:
        """Nothing behind this event counts any more, and nothing can fail any more."""
        self._error = error
        self._enter("draining")

    def _is_end(self, event: ServerSentEvent) -> bool:
        plan = self._plan
        if plan.terminator is not None:
            return plan.terminator.match(event) is not None
        return plan.ends_at_done and is_done(event)

    def _end_without_more(self, now: float) -> None:
        """The server has said in good order that nothing more comes: the end, unless something is missing."""
        if self._plan.terminator is not None:
            text = f"the stream ended{self._so_far}, before its terminator"
        elif self._phase == "reading" and self._parser.is_mid_block:
            text = f"the stream ended{self._so_far}, in the middle of the next"
        else:
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
        return plan.can_refresh and not self._has_refreshed and not self._is_foreign and self._request.is_repeatable

    def _is_worth_repeating(self, error: ResponseError) -> bool:
        # In the middle of a stream another media type is some proxy's page, at its beginning the server's answer.
        is_page = isinstance(error, ContentTypeError) and self._has_begun and not self._plan.is_subscription
        wish = server_wish(error.headers)
        return wish if wish is not None else is_page or is_retryable(error.status_code)

    def _policy(self) -> tuple[RetryPolicy | None, str]:
        """Return by what policy to come back, or None and why not."""
        plan = self._plan
        if plan.is_subscription or not self._has_begun:
            return plan.retry, ""
        if plan.resume is None:
            return None, ""
        if isinstance(plan.resume, LastEventID) and not self._has_place:
            return None, "the stream gave no event ID to go on behind"
        return plan.resume.retry, ""

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
    ) -> None:
        """Take that an attempt has failed, or an open stream: come back where that is allowed and may help."""
        self._failures += 1
        self._last_failure = error
        delay, why_not = self._verdict(error, now, is_worth_it, is_ambiguous, server_delay)
        if delay is not None:
            logger.info("%s: %s; attempt %d follows in %.2f s", label(self._request), error, self._attempts + 1, delay)
            self._note(Retrying(error, delay))
            self._wait(delay, now)
            return
        is_cut = isinstance(error, StreamError) and (self._failures == 1 or isinstance(error, StreamInterrupted))
        if self._has_begun and not self._plan.is_subscription and not is_cut:
            # The user had a stream: what they lost is that, and this is why it did not come back.
            cause = error
            error = StreamInterrupted(f"the connection was lost{self._so_far}, and not taken up again: {cause}")
            error.__cause__ = cause
        self._give_up(error, now, why_not)

    def _verdict(
        self, error: SSEError, now: float, is_worth_it: bool, is_ambiguous: bool, server_delay: float | None
    ) -> tuple[float | None, str]:
        """Return after what delay to come back, or None and why not, where the user can do something about it."""
        plan = self._plan
        policy, why_not = self._policy()
        if policy is None:
            return None, why_not
        if is_ambiguous and not self._is_safe_to_repeat(policy):
            is_worth_it = False
            why_not = (
                f"not sent again, because the server may have acted upon this {plan.request.method}: "
                "RetryPolicy(retry_ambiguous=True) or idempotency_key_header= allows it"
            )
        if not policy.allows(self._failures - 1):
            return None, "" if is_worth_it else why_not
        if policy.on is not None and (verdict := policy.on(self._attempts, error)) is not None:
            is_worth_it = verdict
        if not is_worth_it:
            return None, why_not
        request = self._next_request()
        if not request.is_repeatable:
            return None, "not sent again: a body that is an iterator or a file is used up by one attempt"
        delay = self._delay(policy, server_delay)
        if delay is None:
            return None, "the server asks to be left alone for too long"
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

    def _delay(self, policy: RetryPolicy, server_delay: float | None) -> float | None:
        """Return how long to wait, or None where the server asks for too much."""
        initial_delay, least = None, 0.0
        if self._plan.is_subscription or self._has_begun:
            if self._parser.reconnection_time is not None:
                self._reconnection_time = self._parser.reconnection_time / 1000
            initial_delay, least = self._reconnection_time, MIN_DELAY
        asked = max(initial_delay or 0.0, server_delay or 0.0)
        if asked > (MAX_SUBSCRIPTION_DELAY if self._plan.is_subscription else MAX_SERVER_DELAY):
            return None
        delay = policy.delay(
            self._failures,
            random=self._random(),
            server_delay=server_delay,
            initial_delay=initial_delay,
        )
        return max(delay, least)

    def _wait(self, delay: float, now: float) -> None:
        self._enter("waiting")
        self._wait_until = now + delay
        self._redirects = 0
        resume = self._plan.resume
        goes_on = self._has_begun and isinstance(resume, LastEventID) and resume.url is None
        # What goes on, goes on where it was (the browsers do the same); what starts again, starts at the beginning.
        if not goes_on and not self._plan.is_subscription:
            self._redirect_url = None
            self._is_foreign = False

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
        self._enter("stopped")
        self._error = error
        self._stopped_at = now
        if error is not None and self._attempts > 1 and self._started_at is not None:
            error.add_note(f"gave up after {self._attempts} attempts in {now - self._started_at:.1f} s")
        if isinstance(error, StreamError):
            error.last_event_id = self.last_event_id
            error.stats = self.stats(now)
            error.events_received = error.stats.events

    @property
    def _so_far(self) -> str:
        """How far the stream has come, for a text."""
        count = self._finished
        return f" after {count} event{'s' if count != 1 else ''}"

    @staticmethod
    def _has_elapsed(seconds: float | None, since: float | None, now: float) -> bool:
        return seconds is not None and since is not None and now - since >= seconds - CLOCK_TOLERANCE


# Small questions -----------------------------------------------------------------------------------------------------


def outcome_of(error: BaseException | None) -> Outcome:
    """What it is called when the user leaves a stream: by a cancellation or Ctrl-C, or in any other way."""
    return "abandoned" if error is None or isinstance(error, Exception | GeneratorExit) else "cancelled"


def label(request: Request) -> str:
    """How a request is called in texts: without its query and user, which hold secrets."""
    # By hand: what is called may be no URL at all, and that is just what the text is about.
    scheme, separator, rest = request.url.partition("?")[0].rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{request.method} {scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def id_header(last_event_id: str) -> bytes:
    """
    Return what `Last-Event-ID` is to say, `b""` for no header at all.

    In UTF-8, as the standard has it. Raises `ValueError` where HTTP cannot carry the ID (RFC 9110, section 5.5).
    """
    value = last_event_id.strip(BLANKS).encode()
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value):
        raise ValueError(f"the last event ID {quote(last_event_id)} cannot be sent in a header")
    return value


def media_type(head: Head) -> str:
    """The type and subtype of a `Content-Type`, without its parameters."""
    return head.headers.get("content-type", "").partition(";")[0].strip().lower()


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
