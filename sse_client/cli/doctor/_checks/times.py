"""
The checks of the times: when the reply began, whether it streams, and whether a connection survives its silences.

The rule for bursts. Events that come at once say nothing if the whole reply was fast, so only a burst after a
noticeable wait counts; a short one is enough for many events long after the head. Then:

- All events in one burst at the very end, faster than any model writes, and nothing before it: FAIL, nothing streams.
  Whether the server or a proxy collected them matters only for the cure: `--compare` tells them apart.
- The same, but after keep-alives or a first event that came through earlier: WARN. A buffer would have kept them too.
- The same, but not so many, not so fast or not so late: WARN. A connection that stays open: a note. A few words: a
  note too, but WARN if the reply has a length, or nginx kept its head as well.
- Several large bursts: WARN. A model may write in bursts. Only a buffer's signature (pieces of a fixed size that end
  inside events) or timestamps in the data make it a FAIL, each by a check of its own.

A response whose head comes together with everything else may be a cold server that had its reply ready, so it must have
been longer on its way. But less is enough for a reply with a length, and for one of nginx, which by default collects a
reply together with its head.
"""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from .._case import Case, Check
from .._exchange import End
from .._finding import Finding, Level
from .bursts import BURST_GAP, COLLECTED, MANY, NOTICEABLE, Burst, buffer_of, bursts_of, is_timed, on_its_way
from .coding import compression_cure
from .held import held_back
from .idle import keep_alive, wait
from .proxies import OF_NGINX, seen

# A process that loads its modules, or a function in a cloud, takes a moment for its first response: most take less.
COLD_START = 2.0  # seconds

# No cold start, query or network takes so long that even a few events can be made or joined in that time by chance.
LONG = 3.0  # seconds

# Most models write less than 200 tokens a second; on special chips it is up to 3,000.
FAST = 2000.0  # events per second
FASTEST = 5000.0  # events per second

# Networks join what comes within 0.2 s: a radio that sleeps, a packet that is sent again. In that time, most models
# write less than this. So a smaller reply that came at once is suspect, but it may have been the network.
PLENTY = 20  # events

# A head that was kept comes in one write with the body; the way and the scheduler may part them a little.
WITH_HEAD = 0.2  # seconds

# Below this number, "all at once" is the usual form of a short reply.
FEW = 5  # events

# The end of a body comes with its last event; a server that closes its files and logs first takes a moment.
AT_THE_END = 0.5  # seconds

# Large bursts must hold nearly all events, each after a pause that a reader notices as one. A stalled Wi-Fi collects
# some events too, but not all the time, and seldom for half a second.
NEARLY_ALL = 0.8
PAUSE = 0.5  # seconds

# A large reply sent at once takes several round trips on a new connection, so it comes in bursts too: but within a
# small part of the time that the client waited for it.
SMALL_PART = 0.1

# Until its first byte, Heroku gives a response 30 s, and nginx 60 s (proxy_read_timeout).
SLOW_HEAD = 30.0  # seconds

# After ten seconds without any sign most people leave (Nielsen again).
SLOW_START = 10.0  # seconds


def is_lump(burst: Burst) -> bool:
    """Whether a burst is large, and faster than most models."""
    return burst.count >= MANY and burst.took <= burst.count / FAST


def start(case: Case) -> Iterator[Finding]:
    """How long did it take until the head, the first byte and the first event?"""
    exchange = case.exchange
    if not exchange.status:
        return
    if not is_timed(case):
        yield Finding("time", "start", Level.note, "the recording has no usable times, so delays cannot be judged")
        return
    parts = [f"head after {exchange.head_at:.2f} s"]
    if exchange.pieces:
        parts.append(f"first byte after {exchange.pieces[0].time:.2f} s")
    if case.body.arrivals:
        parts.append(f"first event after {case.body.arrivals[0].time:.2f} s")
    level, cure = Level.ok, ""
    if exchange.head_at >= SLOW_HEAD:
        level = Level.WARN
        cure = "send the head before calling the model: Heroku gives up after 30 s without a byte, nginx after 60 s"
    elif exchange.head_at >= SLOW_START:
        level = Level.note
        cure = "send the head before calling the model, so that clients know the request was accepted"
    yield Finding("time", "start", level, ", ".join(parts), cure)


def buffering(case: Case) -> Iterator[Finding]:
    """Do the events come one by one, or in bursts?"""
    arrivals = case.events
    if not (case.is_stream and arrivals and is_timed(case)):
        return
    bursts = bursts_of(arrival.time for arrival in arrivals)
    if len(bursts) == 1:
        yield _one_burst(case, bursts[0])
        return
    count = len(arrivals)
    pauses = [later.begin - burst.end for burst, later in pairwise(bursts)]
    lumps = [burst for burst in bursts if is_lump(burst)]
    has_lumps = len(lumps) > 1 and sum(burst.count for burst in lumps) >= NEARLY_ALL * count
    first, last = bursts[0], bursts[-1]
    took = last.end - first.begin
    waited = on_its_way(case, first.begin)
    evidence = f"{count} events in {len(bursts)} bursts"
    most = max(burst.count for burst in bursts)
    level, cure = Level.WARN, _cure(case)
    if has_lumps and median(pauses) >= PAUSE:
        evidence = f"{evidence} of up to {most}, with pauses of {median(pauses):.1f} s"
    elif has_lumps and waited >= NOTICEABLE and took <= SMALL_PART * waited and _is_at_the_end(case, first):
        evidence = f"{evidence} within {took:.2f} s at the end, after {first.begin:.1f} s"
    elif is_lump(last) and last.count >= count / 2 and pauses[-1] >= NOTICEABLE and _is_at_the_end(case, last):
        evidence = f"{last.count} of {count} events in one burst at the end, after {pauses[-1]:.1f} s of silence"
    else:
        level, cure = Level.ok, ""
        evidence = f"{evidence} over {took:.2f} s, at most {most} at once"
    yield Finding("time", "buffering", level, evidence, cure)


def _one_burst(case: Case, burst: Burst) -> Finding:
    """Judge a reply whose events all came at once."""
    exchange = case.exchange
    waited = on_its_way(case, burst.begin)
    is_at_the_end = _is_at_the_end(case, burst)
    evidence = f"one burst of {burst.count} events{' at the end' if is_at_the_end else ''}, after {burst.begin:.1f} s"
    if burst.count < FEW:
        text = "1 event" if burst.count == 1 else f"{burst.count} events at once"
        return Finding("time", "buffering", Level.ok, f"{text}: too few to tell whether it streams")
    is_collected = _is_collected(case, burst)
    was_silent = burst.count >= PLENTY and burst.begin - exchange.head_at >= COLLECTED
    if waited < (COLLECTED if is_collected or was_silent else NOTICEABLE) or burst.took > burst.count / FAST:
        evidence = f"{burst.count} events within {burst.took:.3f} s, after {burst.begin:.2f} s: too fast to tell"
        return Finding("time", "buffering", Level.note, evidence)
    if is_at_the_end and is_collected and waited >= NOTICEABLE and burst.count < MANY:
        # Few, so they may have been made at once; but it is known what would have collected them too.
        return Finding("time", "buffering", Level.WARN, evidence, _cure(case))
    if not (is_at_the_end and is_lump(burst)):
        # A few words, or the news of a feed.
        return Finding("time", "buffering", Level.note, f"{evidence}: not enough to tell whether it streams")
    if any(exchange.head_at <= time < burst.begin - BURST_GAP for time in case.keep_alives):
        evidence = f"{evidence}; keep-alives arrived earlier, so the server itself wrote the events at once"
        return Finding("time", "buffering", Level.WARN, evidence, "write and flush each event when it is ready")
    is_late = is_collected or waited >= COLD_START or burst.begin - exchange.head_at >= NOTICEABLE
    is_many = burst.count >= (MANY if is_collected or waited >= LONG else PLENTY)
    is_enough = is_many and burst.took <= burst.count / FASTEST
    return Finding("time", "buffering", Level.FAIL if is_late and is_enough else Level.WARN, evidence, _cure(case))


def _is_at_the_end(case: Case, burst: Burst) -> bool:
    """Whether the reply was over with this burst: the body ended, or its terminator came."""
    last = case.last
    if last is not None:
        return case.body.arrivals[last].time >= burst.begin
    return case.exchange.end is not End.LEFT and case.exchange.ended_at - burst.end <= AT_THE_END


def _is_collected(case: Case, burst: Burst) -> bool:
    """Whether the reply shows that it was collected: by its length, or by a head that nginx kept until its end."""
    is_kept = any(proxy.name in OF_NGINX for proxy in seen(case)) and burst.begin - case.exchange.head_at <= WITH_HEAD
    return is_kept or "content-length" in case.exchange.headers


def _cure(case: Case) -> str:
    """Return the cure for what most likely collects the reply."""
    if "content-length" in case.exchange.headers:
        return "send no Content-Length: it is only known when the reply is complete"
    if case.exchange.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return compression_cure(case)
    for proxy in seen(case):
        if proxy.buffering_cure:
            return proxy.buffering_cure
    return "flush each event in the server; turn off buffering in proxies; `--compare` with the origin shows which"


def buffer_size(case: Case) -> Iterator[Finding]:
    """Are the pieces blocks of a fixed size?"""
    if case.has_events and is_timed(case):
        yield from buffer_of(case, _cure(case))


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
