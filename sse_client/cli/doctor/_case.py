"""
A case: an exchange, its body and the user's options; and its diagnosis, the findings about it.

What several checks ask for is decided here, once: whether the response is to be read as a stream, which event ends the
reply, and which only keep the connection alive.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sse_client import Dialect, ServerSentEvent, Terminator

from .._reading import DIALECTS, dialect_named, is_done
from ._body import Arrival, Body, body_of
from ._exchange import Exchange
from ._finding import Finding, Level

# Common names for keep-alives that are sent as events.
PINGS = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})

# The media types of responses that are often sent in place of a stream.
OTHER_TYPES = frozenset({"text/html", "application/json", "application/problem+json"})


@dataclass(frozen=True)
class Case:
    """An exchange to be judged. Each cached value is computed when it is first needed."""

    exchange: Exchange
    origin: str | None = None
    """The origin of a page that is to read the stream, for CORS."""
    dialect: str | None = None
    marks: dict[str, Any] = field(default_factory=dict[str, Any])
    """The terminator, errors and pings that the user named, as arguments of a call."""
    wait: float | None = None
    """For how many seconds an idle connection was to be watched."""

    @cached_property
    def body(self) -> Body:
        return body_of(self.exchange)

    @property
    def is_stream(self) -> bool:
        """Whether the response is to be read as events: a page or a JSON value only if it has events."""
        is_other = self.exchange.content_type in OTHER_TYPES and not self.body.arrivals
        return self.exchange.has_body and not is_other

    @property
    def has_events(self) -> bool:
        """Whether the response is to be read as events, and has some."""
        return self.is_stream and bool(self.body.arrivals)

    @cached_property
    def last(self) -> int | None:
        """The index of the event that ends the reply; `None` if there is none."""
        return next((n for n, arrival in enumerate(self.body.arrivals) if self.ends_with(arrival.event)), None)

    def ends_with(self, event: ServerSentEvent) -> bool:
        """Whether the event ends the reply: an unnamed `[DONE]`, or the terminator of the user or of the dialect."""
        return is_done(event) or (self._terminator is not None and self._terminator.match(event) is not None)

    @cached_property
    def events(self) -> list[Arrival]:
        """All events but keep-alives."""
        return [arrival for arrival in self.body.arrivals if arrival.event.event not in self.pings]

    @cached_property
    def keep_alives(self) -> list[float]:
        """When each keep-alive came: comments, and events with a name for one."""
        pings = (arrival.time for arrival in self.body.arrivals if arrival.event.event in self.pings)
        return sorted([*self.body.comments, *pings])

    @cached_property
    def pings(self) -> frozenset[str]:
        """The names of events that only keep the connection alive."""
        own = () if self._dialect is None else self._dialect.pings
        return PINGS | frozenset(own) | frozenset(self.marks.get("pings", ()))

    @cached_property
    def _terminator(self) -> Terminator | None:
        # Which response ends an MCP call depends on the ID of its request, which is not known here.
        own = None if self._dialect is None or self.dialect == "mcp" else self._dialect.terminator
        terminator: Terminator | None = self.marks.get("terminator", own)
        return terminator

    @cached_property
    def _dialect(self) -> Dialect[Any, Any] | None:
        return dialect_named(self.dialect, 0) if self.dialect in DIALECTS else None


Check = Callable[[Case], Iterator[Finding]]


@dataclass(frozen=True)
class Diagnosis:
    """The findings about a case, in the order of the checks."""

    case: Case
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Level:
        return max((finding.level for finding in self.findings), default=Level.ok)
