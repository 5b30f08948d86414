"""Silences, the keep-alives against them, and the limits of the proxies that were seen."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from .._case import Case
from .._exchange import End
from .._finding import Finding, Level, quoted
from .proxies import seen

# The most common limits are 60 s, Heroku's is 55 s (`proxies` has the sources), so this is near all of them, or above.
USUAL_LIMIT = 55.0  # seconds
HALF = 0.5
NEAR = 0.8

# Timers of proxies are exact to a second or so, and never early; but the last byte may have been late.
EARLY, LATE = 0.5, 1.5  # seconds

# Less than that is not a silence, but a pause.
SILENCE = 1.0  # seconds

# If the last silence was this many times as long as any other, it is likely to have been the reason.
OUTSTANDING = 2.0

# The standard's own advice for authors: a comment about every 15 s.
CURE = "send a comment (`: keep-alive` and a blank line) every 15 s"


def keep_alive(case: Case) -> Iterator[Finding]:
    """How long were the silences, against the idle limits of the proxies that were seen?"""
    silences = _silences(case)
    longest = max(silences)
    beats = case.keep_alives
    parts = [f"longest silence {longest:.1f} s", f"median {median(silences):.2f} s", _beats(beats)]
    evidence = ", ".join(parts)
    limits = sorted((proxy for proxy in seen(case) if proxy.idle_limit), key=lambda proxy: proxy.idle_limit or 0.0)
    if (ended := _ended_by(case, silences)) is not None:
        yield ended
        return
    if not limits:
        level = Level.WARN if longest >= USUAL_LIMIT else Level.note if longest >= HALF * USUAL_LIMIT else Level.ok
        if level is not Level.ok:
            evidence = f"{evidence}; proxies often close a silent connection after 55 s (Heroku) or 60 s (nginx)"
        yield Finding("time", "keep-alive", level, evidence, CURE if level is not Level.ok else "")
        return
    lowest = limits[0]
    limit = lowest.idle_limit or 0.0
    evidence = f"{evidence}; {lowest.name} closes a silent connection after {limit:g} s ({lowest.source})"
    if longest > limit + LATE:
        evidence = f"{evidence}, but did not: its limit must be higher"
        yield Finding("time", "keep-alive", Level.note, evidence, CURE)
    elif longest >= HALF * limit:
        yield Finding("time", "keep-alive", Level.WARN if longest >= NEAR * limit else Level.note, evidence, CURE)
    else:
        yield Finding("time", "keep-alive", Level.ok, evidence)


def _ended_by(case: Case, silences: Sequence[float]) -> Finding | None:
    """Return the limit that cut the connection, if it was one."""
    exchange = case.exchange
    if exchange.end is not End.CUT or case.last is not None:
        return None
    proxies = seen(case)
    silence = silences[-1]
    for proxy in proxies:
        if _fits(silence, proxy.idle_limit):
            evidence = f"cut after {silence:.1f} s of silence, the idle limit of {proxy.name} ({proxy.source})"
            return Finding("time", "keep-alive", Level.FAIL, evidence, CURE)
    for proxy in proxies:
        if _fits(exchange.ended_at, proxy.total_limit):
            evidence = f"cut {exchange.ended_at:.1f} s after the request, the limit of {proxy.name} ({proxy.source})"
            return Finding("time", "keep-alive", Level.FAIL, evidence, f"raise this limit of {proxy.name}")
    if silence >= SILENCE and silence >= OUTSTANDING * max(silences[:-1], default=0.0):
        evidence = f"cut after {silence:.1f} s of silence, by far the longest: probably an idle limit"
        return Finding("time", "keep-alive", Level.WARN, evidence, CURE)
    return None


def _fits(time: float, limit: float | None) -> bool:
    return limit is not None and -EARLY <= time - limit <= LATE


def _silences(case: Case) -> list[float]:
    """Return the times without a byte after the head. What comes after the end of the reply does not count."""
    exchange = case.exchange
    times = [exchange.head_at, *(piece.time for piece in exchange.pieces)]
    # The silence after a reply does no harm, and that of `--wait` was asked for.
    is_over = case.last is not None or (case.wait is not None and exchange.end is not End.CUT)
    if not is_over or len(times) == 1:
        times.append(exchange.ended_at)
    return [max(later - time, 0.0) for time, later in pairwise(times)]


def _beats(beats: Sequence[float]) -> str:
    if len(beats) < 2:
        return "no keep-alives" if not beats else "1 keep-alive"
    gaps = [later - time for time, later in pairwise(beats)]
    return f"{len(beats)} keep-alives, every {median(gaps):.1f} s, at most {max(gaps):.1f} s apart"


def wait(case: Case) -> Iterator[Finding]:
    """At which second did the idle connection fall, and how?"""
    if case.wait is None:
        return
    exchange = case.exchange
    last = exchange.pieces[-1].time if exchange.pieces else exchange.head_at
    idle = exchange.ended_at - last
    if exchange.end is End.LEFT and idle >= SILENCE:
        yield Finding(
            "time", "wait", Level.ok, f"still open after {idle:.1f} s without a byte, when we stopped reading"
        )
    elif exchange.end is End.LEFT:
        yield Finding("time", "wait", Level.note, f"the stream was not idle: its last silence lasted {idle:.1f} s")
    elif case.last is not None or idle < SILENCE:
        evidence = "the response ended before the connection was idle, so there was nothing to observe"
        yield Finding("time", "wait", Level.note, evidence)
    else:
        error = f" ({quoted(exchange.error)})" if exchange.error else ""
        how = f"was cut{error}" if exchange.end is End.CUT else "was closed cleanly"
        yield Finding("time", "wait", Level.WARN, f"the idle connection {how} after {idle:.1f} s", CURE)
