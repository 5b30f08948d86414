"""
The shape of a stream: when its events came; and the comparison of two shapes.

The same reply came twice, on two ways. If it was spread over seconds on one way, and came in one lump on the other
after about as long, then the other way holds it back. A single stream cannot tell that: its server may have needed that
long. Two runs of a model are never quite the same, nor are two of a network, so each threshold leaves them room.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import pairwise
from statistics import median

from .._case import Case
from .._checks.bursts import Burst, bursts_of
from .._exchange import End
from .._finding import Level

# Fewer bursts have no rhythm that could be compared.
MIN_BURSTS = 3
# A network can do as much: Linux sends a lost packet again after 0.2 s, and everything after the packet waits for it.
MIN_SPREAD = 0.3  # seconds
# A second lost packet waits for 0.4 s more. Only beyond both can a lump not be the network's.
SURE_SPREAD = 1.0  # seconds

# A lump has at most this part of the other's spread. It has some: a megabyte sent at once still takes many round trips.
LUMP = 0.1
# A buffer lets go when the reply is complete: at about the time of the other's last event. A model does not need the
# same time twice, so the bounds are wide.
EARLIEST, LATEST = 0.7, 1.5  # of the time until the other's last event
# What a connection, TLS or a queue may add to a short reply.
SLACK = 1.0  # seconds

# A buffer of fixed size makes many bursts few. Networks merge neighbours, so two or three times fewer say nothing.
FEWER_BURSTS = 4
# Three pauses are a rhythm; one or two may be accidents.
MIN_LUMPS = 4
# The pauses between lumps. A mobile network pauses for 0.1 s by itself, for 0.5 s only if it is broken.
LIKELY_PAUSE, SURE_PAUSE = 0.15, 0.5  # seconds
# The pauses must be longer than the other's: the same pauses are the server's.
LONGER_PAUSE = 3

# The beginning came late and in one: a buffer that has to fill once.
FIRST_LUMP = 4  # events
MIN_DELAY = 0.5  # seconds: above what a new connection with TLS takes to another continent


class Why(Enum):
    """How a stream came differently from another."""

    SILENT = "silent"
    """Nothing came at all."""
    LUMP = "lump"
    """All events came together, when the other was about to end."""
    LUMPS = "lumps"
    """The events came in few lumps with long pauses."""
    LATE = "late"
    """The first events came late, and together."""


@dataclass(frozen=True)
class Shape:
    """When the events of an exchange came, without keep-alives; or its pieces, if neither exchange has events."""

    times: tuple[float, ...]
    noun: str
    begins: float
    """When the first byte came."""
    end: End
    ended_at: float

    @property
    def first(self) -> float:
        return self.times[0]

    @property
    def last(self) -> float:
        return self.times[-1]

    @property
    def spread(self) -> float:
        return self.last - self.first if self.times else 0.0

    @cached_property
    def bursts(self) -> list[Burst]:
        return bursts_of(self.times)

    @cached_property
    def pause(self) -> float:
        """The median time between two bursts."""
        return median(later.begin - burst.end for burst, later in pairwise(self.bursts)) if self.bursts[1:] else 0.0

    @property
    def crowd(self) -> float:
        """How many events a burst has, on average."""
        return len(self.times) / len(self.bursts)

    @property
    def is_spread(self) -> bool:
        """Whether it takes long enough, in enough parts, to tell how it was sent."""
        return len(self.bursts) >= MIN_BURSTS and self.spread >= MIN_SPREAD

    def __str__(self) -> str:
        if not self.times:
            return f"no {self.noun} in {in_seconds(self.ended_at)}"
        if len(self.times) == 1:
            return f"one {self.noun} after {in_seconds(self.first)}"
        if len(self.bursts) == 1:
            return f"one burst of {len(self.times)} {self.noun}s after {in_seconds(self.first)}"
        text = f"{len(self.times)} {self.noun}s over {in_seconds(self.spread)}, from {in_seconds(self.first)} on"
        return f"{text}, in {len(self.bursts)} bursts" if self.crowd >= FEWER_BURSTS else text


def shapes(one: Case, other: Case) -> tuple[Shape, Shape]:
    """Return the shapes of two exchanges, both of events, or both of pieces."""
    has_events = bool(one.events or other.events)

    def shape(case: Case) -> Shape:
        exchange, pieces = case.exchange, [piece.time for piece in case.body.pieces if piece.data]
        times = [arrival.time for arrival in case.events] if has_events else pieces
        begins = min([*pieces[:1], exchange.ended_at])
        return Shape(tuple(times), "event" if has_events else "piece", begins, exchange.end, exchange.ended_at)

    return shape(one), shape(other)


def delayed(shape: Shape, beside: Shape) -> tuple[Why, Level] | None:
    """
    Return how a stream came later, or in larger lumps, than the other; `None` if it did not.

    The level is FAIL only if neither a network nor another run of the same model can be the reason.
    """
    if not shape.times:
        level = _silence(shape, beside)
        return None if level is None else (Why.SILENT, level)
    if not beside.is_spread:
        return None
    is_late = shape.first >= EARLIEST * beside.last
    if shape.spread <= LUMP * beside.spread and is_late:
        is_sure = (
            beside.end is End.CLEAN  # two minutes of a feed may differ
            and shape.begins >= EARLIEST * beside.last  # a buffer keeps comments too
            and beside.spread >= SURE_SPREAD
            and len(shape.times) >= MIN_BURSTS
            and shape.first <= LATEST * beside.last + SLACK
        )
        return Why.LUMP, Level.FAIL if is_sure else Level.WARN
    if (
        len(shape.bursts) >= MIN_LUMPS
        and shape.crowd >= FEWER_BURSTS * beside.crowd
        and shape.pause >= max(LIKELY_PAUSE, LONGER_PAUSE * beside.pause)
    ):
        return Why.LUMPS, Level.FAIL if shape.pause >= SURE_PAUSE else Level.WARN
    if shape.bursts[0].count >= max(
        FIRST_LUMP, FEWER_BURSTS * beside.bursts[0].count
    ) and shape.first - beside.first >= max(MIN_DELAY, LUMP * beside.spread):
        return Why.LATE, Level.WARN
    return None


def _silence(shape: Shape, beside: Shape) -> Level | None:
    """Return how bad it is that nothing came, while the other had events."""
    if not beside.times:
        return None
    had_time = shape.ended_at >= LATEST * beside.ended_at + SLACK
    if beside.end is End.CLEAN and (shape.end is End.CUT or (shape.end is End.LEFT and had_time)):
        return Level.FAIL
    # A feed may be silent for as long as it likes.
    return Level.WARN if shape.end is not End.LEFT or shape.ended_at >= LATEST * beside.first + SLACK else None


def in_seconds(seconds: float) -> str:
    """Return a time for a report."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
