"""
The arrivals of one exchange over time: for a terminal, as JSON, and as the numbers of a chart.

A `Timeline` keeps when everything came. Each form divides the time into as many bins as it has room for, so that a
stream of a second and one of an hour take the same number of lines.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..._text import counted
from .._body import Body
from .._exchange import End, Exchange

# With the line of the marks these are ten lines: a report still fits on a screen with them.
MAX_LINES = 9
# Enough for a program to see a burst, and too few to fill the log of a CI run.
MAX_JSON_BINS = 50
# Finer times than this are those of the scheduler, not of the server.
MIN_WIDTH = 0.001  # seconds

BAR = 30  # characters
BLOCKS = " ▏▎▍▌▋▊▉█"
ENDS = {End.CLEAN: "end", End.CUT: "cut", End.LEFT: "stopped reading"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment with a name."""

    time: float
    name: str


@dataclass(slots=True)
class Bin:
    """What came from `start` to `end`, in seconds since the request."""

    start: float
    end: float
    events: int = 0
    bytes: int = 0
    """As they came: still compressed."""
    comments: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """When everything came, in seconds since the request."""

    marks: tuple[Mark, ...]
    """Head, first byte, first event and end, in their order."""
    events: tuple[float, ...]
    pieces: tuple[tuple[float, int], ...]
    """The time and the size of each piece that is not empty."""
    comments: tuple[float, ...]
    length: float

    def bins(self, most: int, length: float | None = None) -> list[Bin]:
        """Divide the time, or the `length` that several timelines share, into at most `most` bins of a round width."""
        length = self.length if length is None else length
        width = round_width(length, most)
        # The margin is for sums that come out a little too high: 0.1 + 0.2 needs no fourth bin.
        bins = [Bin(n * width, (n + 1) * width) for n in range(max(1, math.ceil(length / width - 1e-6)))]

        def bin_at(time: float) -> Bin:
            return bins[min(max(int(time / width + 1e-6), 0), len(bins) - 1)]

        for time in self.events:
            bin_at(time).events += 1
        for time, size in self.pieces:
            bin_at(time).bytes += size
        for time in self.comments:
            bin_at(time).comments += 1
        return bins


def timeline_of(exchange: Exchange, body: Body) -> Timeline:
    """Return the timeline of an exchange."""
    pieces = tuple((piece.time, len(piece.data)) for piece in exchange.pieces if piece.data)
    marks = [Mark(exchange.head_at, "head")]
    if pieces:
        marks.append(Mark(pieces[0][0], "first byte"))
    if body.arrivals:
        marks.append(Mark(body.arrivals[0].time, "first event"))
    marks.append(Mark(exchange.ended_at, ENDS[exchange.end]))
    events = tuple(arrival.time for arrival in body.arrivals)
    length = max(0.0, *(mark.time for mark in marks), *(time for time, _ in pieces))
    return Timeline(tuple(marks), events, pieces, tuple(body.comments), length)


def length_of(timelines: Iterable[Timeline]) -> float:
    """Return the length of the scale on which all of them can be shown."""
    return max((timeline.length for timeline in timelines), default=0.0)


def in_text(timeline: Timeline, *, encoding: str | None = "utf-8", length: float | None = None) -> list[str]:
    """Return at most ten lines: the marks, and a bar for each bin. Without block characters the bars are `#`."""
    bins = timeline.bins(MAX_LINES, length)
    has_blocks = _can_encode(BLOCKS, encoding)
    # Bytes that are no events may be the fault that is looked for.
    values = [each.events for each in bins] if timeline.events else [each.bytes for each in bins]
    highest = max(values) or 1
    starts = _aligned(f"{each.start:.{decimals(each.end - each.start)}f} s" for each in bins)
    events = _aligned(counted(each.events, "event") for each in bins)
    sizes = _aligned(in_bytes(each.bytes) for each in bins)
    lines = [", ".join(f"{mark.name} {mark.time:.3f} s" for mark in timeline.marks)]
    for each, value, start, count, size in zip(bins, values, starts, events, sizes, strict=True):
        bar = _bar(value / highest, has_blocks=has_blocks)
        comments = counted(each.comments, "comment") if each.comments else ""
        lines.append(f"{start}  {bar:{BAR}}  {count}  {size}  {comments}".rstrip())
    return lines


def as_json(timeline: Timeline) -> list[dict[str, Any]]:
    """Return the bins for a program."""
    return [
        {
            "from": round(each.start, 6),
            "to": round(each.end, 6),
            "events": each.events,
            "bytes": each.bytes,
            "comments": each.comments,
        }
        for each in timeline.bins(MAX_JSON_BINS)
    ]


def round_width(length: float, most: int) -> float:
    """Return the smallest of 1, 2, 5, 10, … milliseconds that divides the length into at most `most` parts."""
    width, factors = MIN_WIDTH, (2.0, 2.5, 2.0)
    turn = 0
    while length / width > most + 1e-6:
        width *= factors[turn % 3]
        turn += 1
    return width


def decimals(width: float) -> int:
    """Return how many decimals the multiples of a width need, up to milliseconds."""
    return next((number for number in range(3) if abs(width * 10**number - round(width * 10**number)) < 1e-6), 3)


def in_bytes(number: int) -> str:
    """Return a size for people."""
    for unit, size in (("MB", 1_000_000), ("kB", 1000)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def _aligned(texts: Iterable[str]) -> list[str]:
    listed = [*texts]
    width = max(map(len, listed))
    return [text.rjust(width) for text in listed]


def _bar(part: float, *, has_blocks: bool) -> str:
    """Return a bar; something that is not nothing is always seen."""
    if not has_blocks:
        return "#" * math.ceil(part * BAR)
    eighths = math.ceil(part * BAR * 8)
    return BLOCKS[8] * (eighths // 8) + BLOCKS[eighths % 8].strip()


def _can_encode(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (LookupError, UnicodeError):
        return False
    return True
