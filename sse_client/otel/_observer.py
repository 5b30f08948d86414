"""
One stream, as the parts that spans describe: when each begins, and when it ends.

A part is taken off a list before it ends, so that it ends once, even if two threads stop the stream.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Token
from typing import TYPE_CHECKING, Any, assert_never

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanContext, set_span_in_context

from .._core.phases import Outcome, failed_outcome
from .._core.plan import Plan
from .._core.redirects import is_same_origin
from .._core.session import Session
from .._core.steps import Arrived, Change, Head, Opened, Retrying, Stop
from .._errors import SSEError, StreamTruncated
from .._stats import StreamStats
from ._part import Part
from ._quietly import quietly

if TYPE_CHECKING:
    from ._telemetry import Telemetry

# The observers of streams that were dropped, whose spans are still to be ended.
DROPPED: "deque[StreamObserver]" = deque()


class StreamObserver:
    """Follows one stream; see `Observer`."""

    __slots__ = (
        *("__weakref__", "_attempts", "_dropped_at", "_head", "_home", "_parent", "_parts", "_plan", "_previous"),
        *("_session", "_stats", "_telemetry", "now"),
    )

    def __init__(self, telemetry: "Telemetry", plan: Plan, session: Session) -> None:
        self._parts: list[Part] = []  # the one that runs, if any
        self._attempts = 0  # that have a part
        self.now: Callable[[], float] = time.monotonic
        self._telemetry = telemetry
        self._plan = plan
        self._session = session
        self._parent = get_current()
        self._home: str | None = None  # the URL of the first request
        # At the end of the previous part.
        self._stats = StreamStats()
        self._head: Head | None = None
        self._previous: SpanContext | None = None
        self._dropped_at = 0.0, 0

    def sending(self, request: Any, *, is_foreign: bool) -> "Current":
        return Current(self._context_of(request, is_foreign=is_foreign))

    @quietly
    def changed(self, change: Change) -> None:
        match change:
            case Arrived(count, since):
                self._part().arrived(count, since)
            case Opened():
                self._part().opened_after = self.now() - self._session.attempted_at
            case Retrying(error, delay):
                self._retrying(error, delay)
            case Stop(error):
                stats = self._session.stats(self.now())
                if stats.attempts > self._attempts:
                    self._part()  # the attempt has not come to a request
                self._end(self._session.outcome or "abandoned", error, stats)
                end_dropped()
            case _:
                assert_never(change)

    def __del__(self) -> None:
        if self._parts:
            # The garbage collector may run while this thread holds a lock that an exporter needs. So the span ends
            # later, with the time of now.
            self._session.observe = None
            self._dropped_at = self.now(), time.time_ns()
            DROPPED.append(self)

    @quietly
    def end_dropped(self) -> None:
        """End the span of a stream that was dropped."""
        now, moment = self._dropped_at
        self._session.drop(now)
        self._end(self._session.outcome or "abandoned", None, self._session.stats(now), moment=moment)

    @quietly
    def _context_of(self, request: Any, *, is_foreign: bool) -> Context | None:
        """Begin the span if necessary; return the context in which to send the request."""
        if self._session.outcome is not None:
            return None  # the stream was closed meanwhile
        url = str(request.url)
        if self._home is None:
            self._home = url
        span = self._part(request.url).span
        # Without an SDK there may be no span, and the trace that this process was called in is passed on.
        context = set_span_in_context(span) if span.get_span_context().is_valid else get_current()
        if self._telemetry._propagates and not is_foreign and is_same_origin(self._home, url):
            _inject(request, context)
        return context

    def _part(self, url: Any = None) -> Part:
        """Return the part that runs, or begin one. The URL is that of the request, if it has come to one."""
        for part in self._parts:
            return part
        now = self.now()
        self._attempts = self._session.stats(now).attempts
        if url is None and self._session.head is not None:  # as of a response that the user already had
            url = self._session.head.response.request.url
        part = Part(
            self._telemetry,
            self._plan,
            self._session,
            url,
            now=now,
            parent=self._parent,
            before=self._stats,
            head=self._head,
            previous=self._previous,
        )
        self._parts.append(part)
        return part

    def _retrying(self, error: SSEError, delay: float) -> None:
        stats = error.stats
        self._part().tell_retry(error, stats.attempts + 1, delay)
        if self._plan.is_subscription:
            # A feed may end a connection cleanly whenever it likes; the next one continues.
            is_good = isinstance(error, StreamTruncated)
            outcome = "completed" if is_good else failed_outcome(error)
            self._end(outcome, None if is_good else error, stats, is_retried=not is_good)

    def _end(
        self,
        outcome: Outcome,
        error: SSEError | None,
        stats: StreamStats,
        *,
        is_retried: bool = False,
        moment: int | None = None,
    ) -> None:
        """End the part that runs, if there is one, with the statistics at its end."""
        with suppress(IndexError):
            part = self._parts.pop()
            self._stats, self._head, self._previous = stats, self._session.head, part.span.get_span_context()
            retries = int(is_retried) if self._plan.is_subscription else max(stats.attempts - 1, 0)
            part.end(outcome, error, stats, retries, moment)


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


@quietly
def _inject(request: Any, context: Context) -> None:
    headers: dict[str, str] = {}
    inject(headers, context)
    request.headers.update(headers)


def end_dropped() -> None:
    """End the spans of all streams that were dropped meanwhile."""
    while DROPPED:
        with suppress(IndexError):  # another thread took it
            DROPPED.popleft().end_dropped()
