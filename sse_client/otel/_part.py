"""
One span with its metrics: all of a stream, or one connection of a subscription.

All numbers are in the statistics of the stream already, so nothing is counted here: a part is filled at its end, from
the difference between the statistics then and at its beginning.
"""

import os
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, SpanKind, Status, StatusCode

from .._core.phases import Outcome
from .._core.plan import Plan
from .._core.session import Session
from .._core.steps import Head
from .._errors import SSEError
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


class Part:
    """
    A span that runs. It begins with the first attempt, or with each attempt of a subscription.

    `before`, `head` and `previous` are the statistics, the response and the span at the end of the previous part.
    """

    __slots__ = (
        *("attributes", "before", "opened_after", "span", "_gen_ai", "_head", "_plan", "_process", "_session"),
        *("_skipped", "_telemetry"),
    )

    attributes: Attributes
    """Those of all its metrics."""
    opened_after: float | None
    """The seconds until the headers of an event stream, if it has come to that."""

    def __init__(
        self,
        telemetry: "Telemetry",
        plan: Plan,
        session: Session,
        url: Any,
        *,
        now: float,
        parent: Context | None,
        before: StreamStats,
        head: Head | None,
        previous: SpanContext | None,
    ) -> None:
        self._telemetry = telemetry
        self._plan = plan
        self._session = session
        self._gen_ai = telemetry._gen_ai_of(plan)
        self._head = head
        self._process = os.getpid()
        elapsed = now - session.attempted_at  # `headers=` may be a function, which takes its time
        self._skipped = session.stats(now).duration - elapsed if plan.is_subscription else 0.0
        self.before = before
        self.opened_after = None
        self.attributes, name = {} if url is None else place_of(url), f"SSE {plan.request.method}"
        if self._gen_ai is not None:
            name, provider = self._gen_ai
            self.attributes |= {names.OPERATION: name, names.PROVIDER: provider}
            if (model := telemetry._model_of(plan)) is not None:
                self.attributes[names.REQUEST_MODEL] = model
                name = f"{name} {model}"
        links = [] if previous is None else [Link(previous)]
        self.span = self._start(name, parent, links, url, time.time_ns() - int(elapsed * 1e9)) or INVALID_SPAN
        self._count(1)

    @quietly
    def _count(self, change: int) -> None:
        self._telemetry._instruments.active.add(change, self.attributes)

    @quietly
    def _start(self, name: str, parent: Context | None, links: list[Link], url: Any, moment: int) -> Span:
        attributes: Attributes = {**self.attributes, names.METHOD: self._plan.request.method}
        path = public_path(self._plan.request.url) if url is None else url.raw_path.partition(b"?")[0].decode()
        if path.startswith("/"):
            attributes[names.PATH] = path
        if self._gen_ai is not None:
            attributes[names.REQUEST_STREAM] = True
        return self._telemetry._tracer.start_span(name, parent, SpanKind.CLIENT, attributes, links, moment)

    @quietly
    def tell_retry(self, error: SSEError, attempt: int, delay: float) -> None:
        """Record that another attempt follows: as a span event, as long as OpenTelemetry has span events."""
        attributes: Attributes = {
            names.RETRY_ATTEMPT: attempt,
            names.RETRY_DELAY: delay,
            names.ERROR_TYPE: error_type_of(error),
        }
        self.span.add_event(names.RETRY, attributes)

    def arrived(self, count: int, since: float) -> None:
        """Record the times between events, of which only the first in a piece has one."""
        instruments = self._telemetry._instruments
        between = instruments.between if self._gen_ai is None else instruments.gen_ai_between
        if since < float("inf"):
            between.record(since, self.attributes)
        for _ in range(count - 1):
            between.record(0.0, self.attributes)

    def end(
        self, outcome: Outcome, error: SSEError | None, stats: StreamStats, retries: int, moment: int | None
    ) -> None:
        """Fill the span and end it, and record the metrics. Each is done even if another fails."""
        if self._process != os.getpid():
            return  # a copy of the parent's, in a forked process
        found: Attributes = {names.OUTCOME: outcome}
        if error is not None and outcome not in GOOD:
            found[names.ERROR_TYPE] = error_type_of(error)
        reply = self._reply() or {}
        first = stats.time_to_first_event if self.before.time_to_first_event is None else None
        first = None if first is None else first - self._skipped
        self._fill({**found, **clock_of(error), **reply}, stats, first)
        self._end_span(moment)
        self._count(-1)
        self._measure(found, reply, stats, first, retries)

    @quietly
    def _reply(self) -> Attributes:
        reading = self._session.reading
        return {} if self._gen_ai is None or reading is None else reply_of(reading.snapshot)

    @quietly
    def _fill(self, found: Attributes, stats: StreamStats, first: float | None) -> None:
        if not self.span.is_recording():
            return
        is_subscription, head = self._plan.is_subscription, self._session.head
        found |= counts_of(stats, self.before)
        if head is not None and head is not self._head:
            found[names.STATUS_CODE] = head.status_code
        if stats.attempts > 1 and not is_subscription:
            found[names.RESEND_COUNT] = stats.attempts - 1
        opened_after = self.opened_after if is_subscription else stats.time_to_headers
        if opened_after is not None:
            found[names.TIME_TO_HEADERS] = opened_after
        if first is not None:
            found[names.TIME_TO_FIRST_EVENT if self._gen_ai is None else names.TIME_TO_FIRST_CHUNK] = first
        if not is_subscription or stats.longest_gap > self.before.longest_gap:
            found[names.LONGEST_GAP] = stats.longest_gap
        self.span.set_attributes(found)
        if names.ERROR_TYPE in found:
            self.span.set_status(Status(StatusCode.ERROR))  # without a description: our texts quote the server

    @quietly
    def _end_span(self, moment: int | None) -> None:
        self.span.end(moment)

    @quietly
    def _measure(
        self, found: Attributes, reply: Attributes, stats: StreamStats, first: float | None, retries: int
    ) -> None:
        instruments, is_gen_ai = self._telemetry._instruments, self._gen_ai is not None
        known = self.attributes
        if names.RESPONSE_MODEL in reply:
            known = {**known, names.RESPONSE_MODEL: reply[names.RESPONSE_MODEL]}
        every = {**known, **found}
        duration = instruments.gen_ai_duration if is_gen_ai else instruments.duration
        duration.record(stats.duration - self._skipped, every)
        if first is not None:
            (instruments.gen_ai_first if is_gen_ai else instruments.first).record(first, known)
        instruments.events.add(stats.events - self.before.events, every)
        if retries:
            instruments.retries.add(retries, every)
        if found[names.OUTCOME] == "completed":
            for kind, name in (("input", names.INPUT_TOKENS), ("output", names.OUTPUT_TOKENS)):
                if isinstance(count := reply.get(name), int):
                    instruments.tokens.record(count, {**known, names.TYPE_OF_TOKENS: kind})
