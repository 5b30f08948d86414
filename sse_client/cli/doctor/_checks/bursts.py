"""Bursts of events, when one is late and large enough to be suspicious, and the blocks of a full buffer."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from .._case import Case
from .._finding import Finding, Level

# Events that a server writes one by one are at least this far apart after a network; those of one read are not.
BURST_GAP = 0.005  # seconds

# Streaming is for readers: up to a second (Nielsen's limit for an uninterrupted thought) none of them misses it. It is
# also longer than a retransmission, a slow start over a far network, or a stalled Wi-Fi usually takes.
NOTICEABLE = 1.0  # seconds

# Less is enough if the head came before, or if it is known what collects the reply. A slow connection takes its time.
COLLECTED = 0.5  # seconds

# Less than ten events at once may be a few words, or a tool call: not a reply that could have been streamed.
MANY = 10  # events

# Proxies and servers allocate their buffers in multiples of a KiB, so this many blocks of exactly such a size, one
# after the other, are not chance (each is one in a thousand): TCP segments have 1448 or 1460 bytes.
BLOCK = 1024  # bytes
LARGEST_BLOCK = 65536  # bytes
BLOCKS_IN_A_ROW = 3

# While a buffer fills, time goes by: less delay than this is not worth a word.
FILLING = 0.1  # seconds

# But records of TLS and frames of HTTP/2 are received as a whole, and may be as large as the blocks that proxies copy.
# So a long text on a slow line has the same pauses, if the line is as slow as this (256 kbit/s); models are slower.
SLOWEST_LINE = 32_000  # bytes per second


@dataclass(frozen=True, slots=True)
class Burst:
    """Things that came together: events, or pieces."""

    begin: float
    end: float
    count: int

    @property
    def took(self) -> float:
        return self.end - self.begin


def bursts_of(times: Iterable[float]) -> list[Burst]:
    """Join what came less than 5 ms apart."""
    bursts: list[Burst] = []
    for time in times:
        if bursts and time - bursts[-1].end < BURST_GAP:
            bursts[-1] = Burst(bursts[-1].begin, time, bursts[-1].count + 1)
        else:
            bursts.append(Burst(time, time, 1))
    return bursts


def is_timed(case: Case) -> bool:
    """Whether the times mean anything. A recording may have none: then everything has one early time."""
    times = {case.exchange.head_at, *(piece.time for piece in case.exchange.pieces)}
    return not case.exchange.is_recorded or len(times) > 1 or max(times, default=0.0) >= NOTICEABLE


def on_its_way(case: Case, until: float) -> float:
    """Return how long the reply took from the request until this time, without the time for the connection."""
    return until - (case.exchange.connected_at or 0.0)


@dataclass(frozen=True, slots=True)
class Flush:
    """Pieces that came together, with a pause after them."""

    size: int
    """In bytes."""
    pause: float
    """Until the next; 0 after the last."""
    ends_inside: bool
    """Whether it ends inside an event."""
    has_end: bool
    """Whether an event ends in it: otherwise it is the middle of a large one."""

    def is_block(self, line: float) -> bool:
        """Whether it looks like a full buffer, for a line that is this slow, in bytes per second."""
        is_whole = self.size > 0 and self.size % BLOCK == 0
        return is_whole and self.ends_inside and self.has_end and self.pause >= max(FILLING, self.size / line)


def buffer_of(case: Case, cure: str) -> Iterator[Finding]:
    """Tell whether the pieces are blocks of a fixed size that end inside events, as a full buffer sends them."""
    exchange = case.exchange
    if "content-encoding" in exchange.headers or "content-encoding" in exchange.redacted:
        return  # a compressed piece does not end with an event
    flushes = _flushes(case)
    line = inf if exchange.url.startswith("http:") and exchange.http_version != "HTTP/2" else SLOWEST_LINE
    row: list[int] = []
    best: list[int] = []
    for flush in flushes:
        if flush.is_block(line):
            row.append(flush.size)
        else:
            best, row = max(best, row, key=len), []
    if len(best) >= BLOCKS_IN_A_ROW:
        size = LARGEST_BLOCK
        while any(each % size for each in best):
            size //= 2
        evidence = f"{len(best)} pieces in a row are multiples of {size} bytes and end inside events, like full buffers"
        yield Finding("time", "buffer-size", Level.FAIL, evidence, cure)
    elif len(flushes) >= BLOCKS_IN_A_ROW:
        whole = sum(not flush.ends_inside for flush in flushes)
        yield Finding("time", "buffer-size", Level.ok, f"{whole} of {len(flushes)} pieces end at the end of an event")


def _flushes(case: Case) -> list[Flush]:
    body = case.body
    bursts = bursts_of(piece.time for piece in body.pieces)
    ends = [arrival.time for arrival in body.arrivals]
    pauses = [*(later.begin - burst.end for burst, later in pairwise(bursts)), 0.0]
    flushes: list[Flush] = []
    at = 0
    for burst, pause in zip(bursts, pauses, strict=False):
        pieces = body.pieces[at : at + burst.count]
        at += burst.count
        has_end = bisect_left(ends, burst.begin) < bisect_right(ends, burst.end)
        # Of the piece that has the fault, nothing more is known.
        ends_inside = body.ends_inside[at - 1] if at <= len(body.ends_inside) else False
        flushes.append(Flush(sum(len(piece.data) for piece in pieces), pause, ends_inside, has_end))
    return flushes
