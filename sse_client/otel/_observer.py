"""
One stream as spans and metrics.

All numbers are in the statistics of the stream already, so nothing is counted here. A span is filled at its end, from
the difference between two statistics: those of its beginning and of its end.

Whoever ends a span takes it off a list first, so that it ends once, even if two threads stop the stream.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Token
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagate import inject
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, set_span_in_context

from .._core.phases import Outcome, failed_outcome
from .._core.plan import Plan
from .._core.redirects import is_same_origin
from .._core.session import Session
from .._core.steps import Arrived, Change, Opened, Retrying, Stop
from .._errors import SSEError, StreamTruncated
from .._request import public_path
from .._stats import StreamStats
from . import _names as names
from ._attributes import Attributes, clock_of, counts_of, error_type_of, place_of, reply_of
from ._quietly import quietly

if TYPE_CHECKING:
    from ._telemetry import Telemetry

# Outcomes that are not errors: to leave a loop is no fault of the operation, and an exception of the user's own belongs
# to the user's own span.
GOOD = ("completed", "cancelled", "abandoned")

# The observers of streams that were dropped, whose spans are still to be ended.
DROPPED: "deque[StreamObserver]" = deque()


class Part:
    """The part of a stream that one span describes: all of it, or in a subscription one connection."""

    __slots__ = ("attributes", "head", "opened_after", "process", "skipped", "span", "stats")

    def __init__(self, span: Span, attributes: Attributes, session: Session, stats: StreamStats, skipped: float):
        self.span = span
        self.attributes = attributes
        """Those of all its metrics."""
        self.stats = stats
        """The statistics of the stream before this part."""
        self.skipped = skipped
        """The duration of the stream before this part, in seconds."""
        self.head = session.head
        """The response before this part, if any."""
        self.opened_after: float | None = None
        """How long it took until the headers of an event stream."""
        self.process = os.getpid()


class StreamObserver:
    """Follows one stream; see `Observer`."""

    __slots__ = (
        *("__weakref__", "_dropped_at", "_gen_ai", "_home", "_parent", "_parts", "_plan", "_previous"),
        *("_session", "_stats", "_telemetry", "now"),
    )

    def __init__(self, telemetry: "Telemetry", plan: Plan, session: Session) -> None:
        self._parts: list[Part] = []  # the one that runs, if any
        self.now: Callable[[], float] = time.monotonic
        self._telemetry = telemetry
        self._plan = plan
        self._session = session
        self._parent = get_current()
        self._gen_ai = telemetry._gen_ai_of(plan)
        self._home: str | None = None  # the URL of the first request
        self._stats = StreamStats()  # at the end of the previous part
        self._previous: SpanContext | None = None
        self._dropped_at = 0.0, 0

    def sending(self, request: Any, *, is_foreign: bool) -> "Current":
        return Current(self._context_of(request, is_foreign=is_foreign))

    @quietly
    def changed(self, change: Change) -> None:
        match change:
            case Arrived(count, since):
                self._arrived(count, since)
            case Opened(response):
                self._part(response.request.url).opened_after = self.now() - self._session.attempted_at
            case Retrying(error, delay):
                self._retrying(error, delay)
            case Stop(error):
                if self._session.has_started:
                    self._part()
                self._end(self._session.outcome or "abandoned", error, self._session.stats(self.now()))
                end_dropped()

    def __del__(self) -> None:
        if self._parts:
            # The garbage collector may run while this thread holds a lock that an exporter needs. So the span ends
            # later, with the time of now.
            self._session.observe = None
            self._dropped_at = self.now(), time.time_ns()
            DROPPED.append(self)

    @quietly
    def _context_of(self, request: Any, *, is_foreign: bool) -> Context | None:
        """Begin the span if necessary; return the context in which to send the request."""
        if self._session.outcome is not None:
            return None
        url = str(request.url)
        if self._home is None:
            self._home = url
        context = set_span_in_context(self._part(request.url).span)
        if self._telemetry._propagates and not is_foreign and is_same_origin(self._home, url):
            headers: dict[str, str] = {}
            inject(headers, context)
            request.headers.update(headers)
        return context

    def _part(self, url: Any = None) -> Part:
        """Return the part that runs, or begin one. The URL is that of the request, if it has come to one."""
        for part in self._parts:
            return part
        telemetry, request = self._telemetry, self._plan.request
        attributes: Attributes = {} if url is None else place_of(url)
        name = f"SSE {request.method}"
        if self._gen_ai is not None:
            operation, provider = self._gen_ai
            attributes |= {names.OPERATION: operation, names.PROVIDER: provider}
            model = telemetry._model_of(self._plan)
            if model is not None:
                attributes[names.REQUEST_MODEL] = model
            name = operation if model is None else f"{operation} {model}"
        path = public_path(request.url) if url is None else url.raw_path.partition(b"?")[0].decode()
        more: Attributes = {names.METHOD: request.method}
        if path.startswith("/"):
            more[names.PATH] = path
        if self._gen_ai is not None:
            more[names.REQUEST_STREAM] = True
        now = self.now()
        elapsed = now - self._session.attempted_at
        span = telemetry._tracer.start_span(
            name,
            self._parent,
            SpanKind.CLIENT,
            {**attributes, **more},
            [] if self._previous is None else [Link(self._previous)],
            time.time_ns() - int(elapsed * 1e9),  # headers= may be a function, which takes its time
        )
        skipped = self._session.stats(now).duration - elapsed if self._plan.is_subscription else 0.0
        part = Part(span, attributes, self._session, self._stats, skipped)
        self._parts.append(part)
        telemetry._instruments.active.add(1, attributes)
        return part

    def _arrived(self, count: int, since: float) -> None:
        instruments = self._telemetry._instruments
        between = instruments.between if self._gen_ai is None else instruments.gen_ai_between
        attributes = self._part().attributes
        if since < float("inf"):
            between.record(since, attributes)
        for _ in range(count - 1):
            between.record(0.0, attributes)

    def _retrying(self, error: SSEError, delay: float) -> None:
        stats = error.stats
        self._tell_retry(self._part().span, error, stats.attempts + 1, delay)
        if self._plan.is_subscription:
            # A feed may end a connection cleanly whenever it likes; the next one continues.
            is_good = isinstance(error, StreamTruncated)
            outcome = "completed" if is_good else failed_outcome(error)
            self._end(outcome, None if is_good else error, stats, retries=0 if is_good else 1)

    def _tell_retry(self, span: Span, error: SSEError, attempt: int, delay: float) -> None:
        """Record that another attempt follows: as a span event, as long as there are span events."""
        attributes: Attributes = {
            names.RETRY_ATTEMPT: attempt,
            names.RETRY_DELAY: delay,
            names.ERROR_TYPE: error_type_of(error),
        }
        span.add_event(names.RETRY, attributes)

    @quietly
    def end_dropped(self) -> None:
        """End the span of a stream that was dropped."""
        now, moment = self._dropped_at
        self._session.drop(now)
        self._end(self._session.outcome or "abandoned", None, self._session.stats(now), moment=moment)

    def _end(
        self,
        outcome: Outcome,
        error: SSEError | None,
        stats: StreamStats,
        *,
        retries: int | None = None,
        moment: int | None = None,
    ) -> None:
        """End the span of the part that runs, if there is one, with the statistics at its end."""
        try:
            part = self._parts.pop()
        except IndexError:
            return
        if part.process != os.getpid():
            return  # a copy, in a forked process
        before, self._stats, self._previous = self._stats, stats, part.span.get_span_context()
        ended = Ended(outcome, None if outcome in GOOD else error_type_of(error), stats.duration - part.skipped)
        if self._gen_ai is not None and self._session.reading is not None:
            ended.reply = self._reply() or {}
        if stats.time_to_first_event is not None and before.time_to_first_event is None:
            ended.first = stats.time_to_first_event - part.skipped
        counts = counts_of(stats, before)
        try:
            self._fill(part, ended, counts, error, stats, before)
        finally:
            part.span.end(moment)
            retried = max(stats.attempts - 1, 0) if retries is None else retries
            self._record(part, ended, stats.events - before.events, retried)

    @quietly
    def _reply(self) -> Attributes:
        reading = self._session.reading
        return {} if reading is None else reply_of(reading.snapshot)

    @quietly
    def _fill(
        self,
        part: Part,
        ended: "Ended",
        counts: Attributes,
        error: SSEError | None,
        stats: StreamStats,
        before: StreamStats,
    ) -> None:
        span, head, is_subscription = part.span, self._session.head, self._plan.is_subscription
        if not span.is_recording():
            return
        attributes: Attributes = {names.OUTCOME: ended.outcome, **counts, **ended.reply}
        if ended.error_type is not None:
            attributes |= {names.ERROR_TYPE: ended.error_type, **clock_of(error)}
            span.set_status(Status(StatusCode.ERROR))  # without a description: our texts quote the server
        if head is not None and head is not part.head:
            attributes[names.STATUS_CODE] = head.status_code
        if stats.attempts > 1 and not is_subscription:
            attributes[names.RESEND_COUNT] = stats.attempts - 1
        opened_after = part.opened_after if is_subscription else stats.time_to_headers
        if opened_after is not None:
            attributes[names.TIME_TO_HEADERS] = opened_after
        if ended.first is not None:
            name = names.TIME_TO_FIRST_EVENT if self._gen_ai is None else names.TIME_TO_FIRST_CHUNK
            attributes[name] = ended.first
        if not is_subscription or stats.longest_gap > before.longest_gap:
            attributes[names.LONGEST_GAP] = stats.longest_gap
        span.set_attributes(attributes)

    @quietly
    def _record(self, part: Part, ended: "Ended", events: int, retries: int) -> None:
        instruments, is_gen_ai = self._telemetry._instruments, self._gen_ai is not None
        instruments.active.add(-1, part.attributes)
        known = part.attributes
        if names.RESPONSE_MODEL in ended.reply:
            known = {**known, names.RESPONSE_MODEL: ended.reply[names.RESPONSE_MODEL]}
        attributes = {**known, names.OUTCOME: ended.outcome}
        if ended.error_type is not None:
            attributes[names.ERROR_TYPE] = ended.error_type
        (instruments.gen_ai_duration if is_gen_ai else instruments.duration).record(ended.duration, attributes)
        if ended.first is not None:
            (instruments.gen_ai_first if is_gen_ai else instruments.first).record(ended.first, known)
        instruments.events.add(events, attributes)
        if retries:
            instruments.retries.add(retries, attributes)
        if ended.outcome == "completed":
            for kind, name in (("input", names.INPUT_TOKENS), ("output", names.OUTPUT_TOKENS)):
                if isinstance(count := ended.reply.get(name), int):
                    instruments.tokens.record(count, {**known, names.TYPE_OF_TOKENS: kind})


class Ended:
    """How a part of a stream ended, for its span and its metrics."""

    __slots__ = ("duration", "error_type", "first", "outcome", "reply")

    def __init__(self, outcome: Outcome, error_type: str | None, duration: float) -> None:
        self.outcome = outcome
        self.error_type = error_type
        self.duration = duration
        self.first: float | None = None
        """The time to the first event, if that came in this part."""
        self.reply: Attributes = {}


class Current:
    """Makes a context current while a request is sent."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context | None) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    @quietly
    def __enter__(self) -> None:
        if self._context is not None:
            self._token = attach(self._context)

    @quietly
    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            detach(self._token)


def end_dropped() -> None:
    """End the spans of all streams that were dropped meanwhile."""
    while DROPPED:
        with suppress(IndexError):  # another thread took it
            DROPPED.popleft().end_dropped()
