"""
Checks of the head about the shape of the body: its length, and its content coding.

A compressor collects bytes until it is flushed. A flush leaves a mark in deflate data, an empty block of four bytes
(RFC 1951, section 3.2.4; zlib's Z_SYNC_FLUSH and Z_FULL_FLUSH): without a mark there was no flush. Brotli has no such
mark; there only the times of the events tell.
"""

from collections.abc import Iterator

from ..._text import counted
from .._case import Case
from .._exchange import End
from .._finding import Finding, Level, quoted
from .bursts import COLLECTED, MANY, NOTICEABLE, is_timed, on_its_way
from .proxies import seen

FLUSHED = b"\x00\x00\xff\xff"
DEFLATED = frozenset({"gzip", "x-gzip", "deflate"})

# The pieces of one write come within this time on most networks.
ONE_WRITE = 0.25  # seconds
# Of the events, at least this part must come in a piece of their own: TCP and TLS merge some.
ALONE = 0.5

CURE_LENGTH = "write each event as soon as it is ready, without Content-Length (frameworks set it for a complete body)"


def content_length(case: Case) -> Iterator[Finding]:
    """Whether the length was known in advance: then the reply was complete before its first byte."""
    exchange = case.exchange
    length = exchange.headers.get("content-length")
    if not case.is_stream or "content-length" in exchange.redacted:
        return
    if length is None:
        yield Finding("head", "content-length", Level.ok, "no Content-Length")
        return
    evidence = f"{quoted(length)}: the length was known before the first byte"
    arrivals = case.body.arrivals
    times = [piece.time for piece in exchange.pieces if piece.data]
    if len(arrivals) < 2 or not is_timed(case):
        yield Finding("head", "content-length", Level.note, evidence, CURE_LENGTH)
    elif times[-1] - times[0] > ONE_WRITE:
        text = f"{evidence}, though the body took {times[-1] - times[0]:.1f} s"
        yield Finding("head", "content-length", Level.WARN, text, CURE_LENGTH)
    elif on_its_way(case, times[-1]) < COLLECTED or len(arrivals) < MANY:
        yield Finding("head", "content-length", Level.WARN, f"{evidence}: nothing streams", CURE_LENGTH)
    else:
        text = f"{evidence}, and all {len(arrivals)} events came at once after {times[0]:.1f} s: nothing streams"
        yield Finding("head", "content-length", Level.FAIL, text, CURE_LENGTH)


def content_encoding(case: Case) -> Iterator[Finding]:
    """Whether compressed events can be read one by one."""
    exchange = case.exchange
    if not case.is_stream or not exchange.pieces:
        return
    if "content-encoding" in exchange.redacted:
        yield Finding("head", "content-encoding", Level.note, "unknown: the recording does not contain its value")
    elif not exchange.coding:
        coding = exchange.headers.get("content-encoding", "identity")
        if coding.strip().lower() != "identity":
            evidence = (
                f"{quoted(coding)}: a recording has the body decompressed, so it is not known whether it was flushed"
            )
            yield Finding("head", "content-encoding", Level.note, evidence)
        elif not exchange.is_recorded:
            yield Finding("head", "content-encoding", Level.ok, "none")
    elif not _is_asked_for(exchange.coding, exchange.accepted):
        evidence = f"{quoted(exchange.coding)}, which the request did not accept"
        cure = "honor Accept-Encoding, and send `Vary: Accept-Encoding` so that no cache mixes up the variants"
        yield Finding("head", "content-encoding", Level.FAIL, evidence, cure)
    elif case.body.fault and "damaged" in case.body.fault:
        evidence = f"{quoted(exchange.coding)}: the data is damaged, after {counted(len(case.body.arrivals), 'event')}"
        yield Finding("head", "content-encoding", Level.FAIL, evidence, compression_cure(case))
    elif case.body.fault and not case.body.data:
        evidence = f"{quoted(exchange.coding)}, which doctor cannot decode: the body is not checked"
        yield Finding("head", "content-encoding", Level.WARN, evidence, compression_cure(case))
    else:
        yield _flushing(case)


def _is_asked_for(coding: str, accepted: str) -> bool:
    """Whether each coding of the response is in the `Accept-Encoding` of the request, if that is known."""
    names = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
    wanted = {each.strip().removeprefix("x-") for each in coding.split(",")}
    return not accepted or "*" in names or wanted <= names


def _flushing(case: Case) -> Finding:
    """Return whether the compressor is flushed after each event."""
    exchange, body = case.exchange, case.body
    coding = quoted(exchange.coding)
    count = len(body.arrivals)
    groups = len({arrival.time for arrival in body.arrivals})
    if count == 0 and not body.data and exchange.end is End.LEFT:
        evidence = f"{coding}: compressed bytes arrived, but nothing could be decoded within {exchange.ended_at:.1f} s"
        return Finding("head", "content-encoding", Level.WARN, evidence, compression_cure(case))
    if count < 2:
        return Finding("head", "content-encoding", Level.note, f"{coding}: too few events to see whether it is flushed")
    # Some compressors flush by a partial block, which leaves no mark: then the pieces decode one by one.
    is_marked = FLUSHED in b"".join(piece.data for piece in exchange.pieces)
    if groups >= count * ALONE:
        text = f"{coding}, flushed: the pieces can be decoded one by one"
        return Finding("head", "content-encoding", Level.ok, text)
    if is_marked:
        text = f"{coding}, flushed, but not after each event: {count} events arrived in {groups} pieces"
        return Finding("head", "content-encoding", Level.note, text)
    lumps = "in one piece" if groups == 1 else f"in {groups} pieces"
    evidence = f"{coding}, not flushed: {count} events could only be decoded {lumps}"
    first = body.arrivals[0].time
    is_certain = (
        exchange.coding in DEFLATED and count >= MANY and on_its_way(case, body.arrivals[-1].time) >= NOTICEABLE
    )
    if is_certain and groups == 1:
        evidence = f"{evidence}, after {first:.1f} s"
    return Finding(
        "head", "content-encoding", Level.FAIL if is_certain else Level.WARN, evidence, compression_cure(case)
    )


def compression_cure(case: Case) -> str:
    """Return how to switch off, or flush, the compressor that is probably at work."""
    headers = case.exchange.headers
    if "express" in headers.get("x-powered-by", "").lower():
        return "Express: `res.flush()` after each event, or make `compression` skip text/event-stream"
    for proxy in seen(case):
        if proxy.compression_cure:
            return proxy.compression_cure
    return "do not compress text/event-stream, or flush the compressor after each event"
