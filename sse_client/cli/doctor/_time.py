"""
The checks of the times: when the reply began, whether it streams, and whether a connection survives its silences.

The rule for bursts. Events that come at once say nothing if the whole reply was fast, so only a burst after a
noticeable wait counts. Then:

- All events in one burst at the very end, faster than any model writes, and nothing before it: FAIL, nothing streams.
  It makes no difference whether the server or a proxy collected them, but the cure does: `--compare` tells them apart.
- The same, but after keep-alives or a first event that came through earlier: WARN. A buffer would have kept them too.
- Fewer events, or a connection that stays open after them: a note.
- Several large bursts: WARN. A model may write in bursts. Only a buffer's signature (pieces of a fixed size that end
  inside events) or timestamps in the data make it a FAIL, each by a check of its own.

A response whose head comes together with everything else may be a cold server that had its reply ready; so it must have
been longer on its way, unless something was seen that collects replies by default: nginx, a length, a compression.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

from ._case import Case, Check
from ._exchange import End
from ._finding import Finding, Level
from ._held import held_back
from ._idle import keep_alive, wait
from ._marks import beats_of, events_of, last_of
from ._via import OF_NGINX, seen

# Events that a server writes one by one are at least this far apart after a network; those of one read are not.
BURST_GAP = 0.005  # seconds

# Streaming is for readers: up to a second (Nielsen's limit for an uninterrupted thought) none of them misses it. It is
# also longer than a retransmission, a slow start over a far network, or a stalled Wi-Fi usually takes.
NOTICEABLE = 1.0  # seconds

# A query or a tool may take longer, and its result is there all at once; few readers are content with more.
QUERY = 2.0  # seconds

# A function in a cloud, or a process that loads its modules, takes some seconds until its first response.
COLD_START = 5.0  # seconds

# The fastest models write 1,000 to 2,000 tokens a second, and put several into an event.
FASTEST = 2000.0  # events per second

# Less than ten events at once may be one word in ten tokens, or a tool call: no reply that could have been streamed.
MANY = 10  # events

# Below this number, "all at once" is the usual form of a short reply.
FEW = 5  # events

# The end of a body comes with its last event; a server that closes its files and logs first takes a moment.
AT_THE_END = 0.5  # seconds

# Large bursts must hold nearly all events, each after a pause that a reader notices as one. A stalled Wi-Fi collects
# some events too, but not all the time, and seldom for half a second.
NEARLY_ALL = 0.8
PAUSE = 0.5  # seconds

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

# Until its first byte, Heroku gives a response 30 s, and nginx 60 s (proxy_read_timeout).
SLOW_HEAD = 30.0  # seconds

# After ten seconds without any sign most people leave (Nielsen again).
SLOW_START = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Burst:
    """Things that came together: events, or pieces."""

    begin: float
    end: float
    count: int

    @property
    def is_lump(self) -> bool:
        """Whether it is large, and faster than any model."""
        return self.count >= MANY and self.end - self.begin <= self.count / FASTEST


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
    """Whether the times mean anything. A recording may have none; then all of it came at one moment, and early."""
    times = {piece.time for piece in case.exchange.pieces}
    return not case.exchange.is_recorded or len(times) > 1 or max(times, default=0.0) >= NOTICEABLE


def start(case: Case) -> Iterator[Finding]:
    """How long did it take until the head, the first byte and the first event?"""
    exchange = case.exchange
    if not exchange.status:
        return
    if not is_timed(case):
        yield Finding("time", "start", Level.note, "all of the recording has one time, so delays cannot be judged")
        return
    parts = [f"head after {exchange.head_at:.2f} s"]
    if exchange.pieces:
        parts.append(f"first byte after {exchange.pieces[0].time:.2f} s")
    if case.body.arrivals:
        parts.append(f"first event after {case.body.arrivals[0].time:.2f} s")
    level, cure = Level.ok, ""
    if exchange.head_at >= SLOW_HEAD:
        level = Level.WARN
        cure = "send the head before the model is asked: Heroku gives up after 30 s without a byte, nginx after 60 s"
    elif exchange.head_at >= SLOW_START:
        level = Level.note
        cure = "send the head before the model is asked, so that a client knows that its request was accepted"
    yield Finding("time", "start", level, ", ".join(parts), cure)


def buffering(case: Case) -> Iterator[Finding]:
    """Do the events come one by one, or in bursts?"""
    arrivals = events_of(case)
    if not (case.is_stream and arrivals and is_timed(case)):
        return
    bursts = bursts_of(arrival.time for arrival in arrivals)
    if len(bursts) == 1:
        yield _one_burst(case, bursts[0])
        return
    count = len(arrivals)
    pauses = [later.begin - burst.end for burst, later in pairwise(bursts)]
    large = [burst for burst, pause in zip(bursts[1:], pauses, strict=True) if burst.is_lump and pause >= PAUSE]
    large = [burst for burst in bursts[:1] if large and burst.is_lump] + large
    last = bursts[-1]
    if len(large) > 1 and sum(burst.count for burst in large) >= NEARLY_ALL * count:
        most = max(burst.count for burst in large)
        evidence = f"{count} events in {len(bursts)} bursts of up to {most}, with pauses of {median(pauses):.1f} s"
        yield Finding("time", "buffering", Level.WARN, evidence, _cure(case))
    elif last.is_lump and last.count >= count / 2 and pauses[-1] >= NOTICEABLE and _is_at_the_end(case, last):
        evidence = f"{last.count} of {count} events in one burst at the end, after {pauses[-1]:.1f} s of silence"
        yield Finding("time", "buffering", Level.WARN, evidence, _cure(case))
    else:
        most = max(burst.count for burst in bursts)
        evidence = f"{count} events in {len(bursts)} bursts over {last.end - bursts[0].begin:.2f} s, {most} at most"
        yield Finding("time", "buffering", Level.ok, evidence)


def _one_burst(case: Case, burst: Burst) -> Finding:
    """Judge a reply whose events all came at once."""
    exchange = case.exchange
    silence = burst.begin - exchange.head_at
    on_its_way = burst.begin - (exchange.connected_at or 0.0)
    has_waited = silence >= QUERY or on_its_way >= (NOTICEABLE if _is_collected(case) else COLD_START)
    if burst.count < FEW:
        text = "1 event" if burst.count == 1 else f"{burst.count} events at once"
        return Finding("time", "buffering", Level.ok, f"{text}: too few to tell whether they stream")
    if burst.end - burst.begin > burst.count / FASTEST:
        evidence = f"{burst.count} events in {burst.end - burst.begin:.3f} s: too fast to tell whether they stream"
        return Finding("time", "buffering", Level.note, evidence)
    if on_its_way < NOTICEABLE:
        evidence = f"{burst.count} events at once, but after {on_its_way:.2f} s: too fast to tell whether they stream"
        return Finding("time", "buffering", Level.note, evidence)
    is_at_the_end = _is_at_the_end(case, burst)
    evidence = f"one burst of {burst.count} events{' at the end' if is_at_the_end else ''}, after {burst.begin:.1f} s"
    if not (is_at_the_end and burst.is_lump):
        # A few words, or the news of a feed.
        return Finding("time", "buffering", Level.note, f"{evidence}: not enough to tell whether they stream")
    if any(exchange.head_at <= time < burst.begin - BURST_GAP for time in beats_of(case)):
        evidence = f"{evidence}; keep-alives came earlier, so the server itself wrote the events at once"
        return Finding("time", "buffering", Level.WARN, evidence, "write and flush each event when it is ready")
    return Finding("time", "buffering", Level.FAIL if has_waited else Level.WARN, evidence, _cure(case))


def _is_at_the_end(case: Case, burst: Burst) -> bool:
    """Whether the reply was over with this burst: the body ended, or its terminator came."""
    last = last_of(case)
    if last is not None:
        return case.body.arrivals[last].time >= burst.begin
    return case.exchange.end is not End.LEFT and case.exchange.ended_at - burst.end <= AT_THE_END


def _is_collected(case: Case) -> bool:
    """Whether something was seen that collects a reply by default."""
    headers = case.exchange.headers
    by_nginx = any(proxy.name in OF_NGINX for proxy in seen(case))
    return by_nginx or "content-length" in headers or bool(case.exchange.coding)


def _cure(case: Case) -> str:
    """Return the cure for what most likely collects the reply."""
    if "content-length" in case.exchange.headers:
        return "send no Content-Length: only a reply that is complete can be counted"
    if case.exchange.coding:
        return "do not compress text/event-stream, or flush the compressor after each event"
    for proxy in seen(case):
        if proxy.buffering_cure:
            return proxy.buffering_cure
    return "flush each event in the server; switch off buffering in proxies; `--compare` the origin to know which it is"


def buffer_size(case: Case) -> Iterator[Finding]:
    """Are the pieces blocks of a fixed size that end inside events, as a buffer sends them when it is full?"""
    exchange, body = case.exchange, case.body
    is_coded = "content-encoding" in exchange.headers or "content-encoding" in exchange.redacted
    if is_coded or not (case.is_stream and body.arrivals and is_timed(case)):
        return  # a compressed piece never ends with an event
    flushes = bursts_of(piece.time for piece in body.pieces)
    sizes: list[int] = []
    at = 0
    inside: list[bool] = []
    for flush in flushes:
        sizes.append(sum(len(piece.data) for piece in body.pieces[at : at + flush.count]))
        at += flush.count
        inside.append(body.ends_inside[at - 1] if at <= len(body.ends_inside) else False)
    ends = [arrival.time for arrival in body.arrivals]
    line = inf if exchange.url.startswith("http:") and exchange.http_version != "HTTP/2" else SLOWEST_LINE
    row: list[int] = []
    best: list[int] = []
    for flush, follower, size, is_inside in zip(flushes, flushes[1:], sizes, inside, strict=False):
        pause = follower.begin - flush.end
        has_ends = any(flush.begin <= time <= flush.end for time in ends)
        is_block = size and size % BLOCK == 0 and is_inside and has_ends
        row = [*row, size] if is_block and pause >= max(FILLING, size / line) else []
        best = max(best, row, key=len)
    if len(best) >= BLOCKS_IN_A_ROW:
        block = next(size for size in _powers() if all(each % size == 0 for each in best))
        evidence = (
            f"{len(best)} pieces in a row are multiples of {block} bytes and end inside events: a full buffer each"
        )
        yield Finding("time", "buffer-size", Level.FAIL, evidence, _cure(case))
    elif len(flushes) >= BLOCKS_IN_A_ROW:
        whole = inside.count(False)
        yield Finding("time", "buffer-size", Level.ok, f"{whole} of {len(flushes)} pieces end where an event ends")


def _powers() -> Iterator[int]:
    size = LARGEST_BLOCK
    while size >= BLOCK:
        yield size
        size //= 2


def held(case: Case) -> Iterator[Finding]:
    """Do timestamps in the data tell whether the events were computed late or held back?"""
    if case.is_stream and is_timed(case):
        # A compressor, or a buffer that shows its size, has been found already.
        has_bursts = any(finding.level >= Level.WARN for finding in buffering(case))
        is_known = case.exchange.coding or any(finding.level is Level.FAIL for finding in buffer_size(case))
        is_suspect = has_bursts and not is_known
        yield from held_back(case, is_suspect=is_suspect, cure=_cure(case))


def idle(case: Case) -> Iterator[Finding]:
    """Would a proxy end the connection in one of its silences?"""
    if case.is_stream and is_timed(case):
        yield from keep_alive(case)
        yield from wait(case)


CHECKS: tuple[Check, ...] = (start, buffering, buffer_size, held, idle)
