"""
The comparison of two responses to the same request, sent on two ways: which way harms the stream?

`here` is the exchange that all checks are about, `there` the other one. There is one finding: the worst difference, or
`ok` with both shapes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .._case import Case
from .._exchange import End
from .._finding import Finding, Level, quoted
from .shape import MIN_SPREAD, Why, delayed, in_seconds, shapes

# With the same shape, the first event alone may be late by less than this: for a cold cache, a queue, a slow lookup.
LATER = 1.0  # seconds

WORDS = {
    Why.SILENT: "held back",
    Why.LUMP: "held back",
    Why.LUMPS: "held back in lumps",
    Why.LATE: "held back at first",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One of two ways of a request, in words."""

    name: str
    """As the evidence names it: `HTTP/2`."""
    blame: str
    """After "held back", "cut" and "refused": `over HTTP/2`."""
    cure: str
    """If the stream is harmed on this way."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A comparison of two ways."""

    check: str
    here: Way
    there: Way
    there_level: Level = Level.WARN
    """How bad it is at most if only the other way harms the stream. It is not the way that was asked about."""
    is_sure_to_work: bool = True
    """Whether the other way should work at all: a POST in place of a GET may well be refused."""

    def compare(self, case: Case, other: Case) -> Iterator[Finding]:
        """Compare two exchanges."""
        yield self._responses(case, other) or self._bodies(case, other) or self._times(case, other)

    def _finding(self, area: str, level: Level, case: tuple[str, str], why: str = "", cure: str = "") -> Finding:
        """Make a finding of what came on each way."""
        here, there = case
        both = f"{self.there.name}: {there}; {self.here.name}: {here}"
        return Finding(area, self.check, level, f"{both}: {why}" if why else both, cure)

    def _responses(self, case: Case, other: Case) -> Finding | None:
        """Compare what came at all: no connection, a refusal, another type."""
        if case.is_stream and other.is_stream:
            return None
        both = _head(case), _head(other)
        if 429 in (case.exchange.status, other.exchange.status):
            return self._finding("head", Level.note, both, "the server limits requests", "try again later")
        if case.is_stream:
            if not self.is_sure_to_work and other.exchange.failure is None:
                return self._finding("head", Level.ok, both, f"only {self.here.name} streams")
            cure = self.there.cure if other.exchange.failure is None else other.exchange.failure.cure
            return self._finding("head", Level.WARN, both, f"refused {self.there.blame}", cure)
        if other.is_stream:
            level = Level.FAIL if self.is_sure_to_work else Level.WARN
            return self._finding("head", level, both, f"refused {self.here.blame}", self.here.cure)
        return self._finding("head", Level.note, both, "no stream to compare")

    def _bodies(self, case: Case, other: Case) -> Finding | None:
        """Compare whether the bodies are whole."""
        here, there = case.exchange, other.exchange
        if case.body.fault and not other.body.fault and other.body.arrivals:
            both = quoted(case.body.fault), "whole"
            return self._finding("body", Level.FAIL, both, f"damaged {self.here.blame}", self.here.cure)
        counts = tuple(map(str, shapes(case, other)))
        if is_cut(case) and there.end is End.CLEAN:
            both = f"{counts[0]}, cut after {in_seconds(here.ended_at)}", f"{counts[1]}, whole"
            return self._finding("body", Level.FAIL, both, f"cut {self.here.blame}", self.here.cure)
        if is_cut(other) and here.end is End.CLEAN:
            both = f"{counts[0]}, whole", f"{counts[1]}, cut after {in_seconds(there.ended_at)}"
            return self._finding("body", self.there_level, both, f"cut {self.there.blame}", self.there.cure)
        less, more = case.body.data, other.body.data
        if here.end is there.end is End.CLEAN and 0 < len(less) < len(more) and more.startswith(less):
            both = f"only the first {len(less):,} of them", f"{len(more):,} bytes"
            return self._finding("body", Level.WARN, both, f"cut cleanly {self.here.blame}", self.here.cure)
        return None

    def _times(self, case: Case, other: Case) -> Finding:
        """Compare when the events came."""
        here, there = shapes(case, other)
        both = str(here), str(there)
        if harm := delayed(here, there):
            why, level = harm
            return self._finding("time", level, both, f"{WORDS[why]} {self.here.blame}", self.here.cure)
        if harm := delayed(there, here):
            why, level = harm
            level = min(level, self.there_level)
            return self._finding("time", level, both, f"{WORDS[why]} {self.there.blame}", self.there.cure)
        if here.times and there.times:
            if here.first - there.first >= LATER and here.first >= 2 * there.first:
                cure = "run it again: the first request may have hit a cold start"
                return self._finding("time", Level.note, both, "the same, but later", cure)
            if there.is_spread and here.spread < MIN_SPREAD:
                return self._finding("time", Level.note, both, "too different to compare, perhaps from a cache")
        return self._finding("time", Level.ok, both, "no difference")


def is_cut(case: Case) -> bool:
    """Whether something is missing. After the event that ends a reply, nothing is."""
    return case.exchange.end is End.CUT and case.last is None


def _head(case: Case) -> str:
    """Return what came, in short."""
    exchange = case.exchange
    if exchange.failure is not None:
        return exchange.failure.evidence
    return f"{exchange.status} {quoted(exchange.content_type) or 'without a content type'}"
