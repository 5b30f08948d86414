"""
Computed late, or held back? Timestamps in the data tell, if the server writes them when it makes an event.

They must have been written for this request: a feed that begins with its history has timestamps of hours, which rightly
come at once. Timestamps that lie further apart than the request is old are a history. So are those that are older than
the request, by the `Date` of the head; without it that is not known, so there is no FAIL.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from .._case import Case
from .._finding import Finding, Level, quoted

# The usual names. `created` of OpenAI is the same in all chunks of a reply, and so tells nothing.
NAMES = ("created_at", "created", "timestamp", "ts", "time")

# Unix times between 2001 and 2286, in seconds and in milliseconds: another number is not a time, but a duration.
SECONDS = range(10**9, 10**10)
MILLISECONDS = range(10**12, 10**13)
ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")

# Fewer tell nothing about a stream.
FEWEST = 5  # timestamps
FEWEST_DIFFERENT = 3

# The network may hold back events too: a lost packet for a second or two, a stalled Wi-Fi likewise.
HELD = 2.0  # seconds

# And it must have lost most of its rhythm: one pause in a long stream is no buffer.
SQUEEZED = 0.5  # of the time between the first and the last timestamp

# Clocks of servers that NTP keeps differ by less, and `Date` has whole seconds.
SKEW = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Stamps:
    """The timestamps under one name, in the order of the events that have one."""

    name: str
    times: tuple[float, ...]
    arrived: tuple[float, ...]

    @property
    def spread(self) -> float:
        return self.times[-1] - self.times[0]

    @property
    def resolution(self) -> float:
        return 0.0 if any(time % 1 for time in self.times) else 1.0

    @property
    def late(self) -> float:
        """For how long the first one was held back, at least, if the last was not."""
        return self.spread - self.resolution - (self.arrived[-1] - self.arrived[0])

    @property
    def tells(self) -> bool:
        """Whether the times were written one after the other."""
        rises = all(one <= other for one, other in zip(self.times, self.times[1:], strict=False))
        return rises and len(self.times) >= FEWEST and len(set(self.times)) >= FEWEST_DIFFERENT


def held_back(case: Case, *, is_suspect: bool, cure: str) -> Iterator[Finding]:
    """Compare the timestamps in the data with the arrivals. `is_suspect`: the arrivals alone look like a buffer."""
    stamps = _stamps(case)
    if stamps is None:
        if is_suspect:
            evidence = (
                "without timestamps in the data, it is unclear whether late events were computed late or held back"
            )
            yield Finding("time", "held-back", Level.note, evidence, "`--compare` with the origin to find out")
        return
    arrived = stamps.arrived[-1] - stamps.arrived[0]
    evidence = f"the timestamps in `{quoted(stamps.name)}` span {stamps.spread:.1f} s, the arrivals {arrived:.1f} s"
    if stamps.late < HELD or arrived > SQUEEZED * stamps.spread:
        yield Finding("time", "held-back", Level.ok, evidence)
    elif (is_history := _is_history(case, stamps)) is True:
        yield Finding("time", "held-back", Level.ok, f"{evidence}: events from before the request")
    else:
        level = Level.WARN if is_history is None else Level.FAIL
        yield Finding("time", "held-back", level, f"held back for {stamps.late:.1f} s: {evidence}", cure)


def _is_history(case: Case, stamps: Stamps) -> bool | None:
    """Whether the events were made before the request; `None` if that is not known."""
    if stamps.spread > stamps.arrived[-1] + stamps.resolution:
        return True
    try:
        date = parsedate_to_datetime(case.exchange.headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
    return stamps.times[0] < date - case.exchange.head_at - SKEW


def _stamps(case: Case) -> Stamps | None:
    """Return the timestamps that tell most, or `None`."""
    found: dict[str, list[tuple[float, float]]] = {}
    for arrival in case.events:
        if not arrival.event.data.startswith("{"):
            continue
        try:
            value = json.loads(arrival.event.data)
        except (ValueError, RecursionError):
            continue
        for name in NAMES:
            time = _time(cast("dict[str, Any]", value).get(name))
            if time is not None:
                found.setdefault(name, []).append((time, arrival.time))
    every = [Stamps(name, *cast("Any", zip(*pairs, strict=True))) for name, pairs in found.items()]
    return max((stamps for stamps in every if stamps.tells), key=lambda stamps: len(stamps.times), default=None)


def _time(value: Any) -> float | None:
    """Return a timestamp in seconds; `None` if it is not one."""
    if isinstance(value, str):
        return _iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    if SECONDS.start <= value < SECONDS.stop:
        return float(value)
    if MILLISECONDS.start <= value < MILLISECONDS.stop:
        return value / 1000
    return None


def _iso(text: str) -> float | None:
    if not ISO.match(text):
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
