"""A case: an exchange, its body and the user's options; and its diagnosis, the findings about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ._body import Body, body_of
from ._exchange import Exchange
from ._finding import Finding, Level


@dataclass(frozen=True)
class Case:
    """An exchange to be judged. The body is taken apart when it is first needed."""

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
        """Whether there is something to be read as events: a 200 that is not of quite another type."""
        kind = self.exchange.content_type
        is_other = kind in ("text/html", "application/json", "application/problem+json") and not self.body.arrivals
        return self.exchange.status == 200 and not is_other


Check = Callable[[Case], Iterator[Finding]]


@dataclass(frozen=True)
class Diagnosis:
    """The findings about a case, in the order of the checks."""

    case: Case
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Level:
        return max((finding.level for finding in self.findings), default=Level.ok)
