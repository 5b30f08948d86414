"""
Many streams for `doctor`, faulty and healthy: each fault is named, and no healthy stream has one.

The exchanges are made by hand, with the times of real networks. The recorded streams that lie beside the checkout are
judged too, if they do.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from cases import At, blocks, exchange, findings, found, paced, recut
from command import run
from dialects.playing import STREAMS
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_client import Terminator
from sse_client.cli.doctor._case import Case
from sse_client.cli.doctor._checks.bursts import NOTICEABLE
from sse_client.cli.doctor._exchange import End, Exchange, Hop
from sse_client.cli.doctor._finding import Level
from sse_client.testing import FIN, RST, Answer, EventServer, Pause

WARN, FAIL, note = Level.WARN, Level.FAIL, Level.note
Make = Callable[[], Case | Exchange]

TOKENS = blocks(40)
WHOLE = "".join(TOKENS)
CRLF = [block.replace("\n", "\r\n") for block in TOKENS]


# When the events of `stamped` begin.
DATE = {"date": "Mon, 21 Sep 2026 14:13:20 GMT"}


def stamped(count: int, *, step: float = 0.2, start: float = 1_790_000_000.0) -> list[str]:
    """Events that say when each was made."""
    return [f'data: {{"created_at": {start + n * step:.3f}, "text": "t{n}"}}\n\n' for n in range(count)]


def grouped(parts: list[str], size: int) -> list[str]:
    """Events joined into pieces of this many."""
    return ["".join(parts[at : at + size]) for at in range(0, len(parts), size)]


def zipped(parts: Iterable[str], *, flush: bool) -> list[bytes]:
    """Each part through one gzip compressor, flushed after each or only at the end."""
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    mode = zlib.Z_SYNC_FLUSH if flush else zlib.Z_NO_FLUSH
    made = [compressor.compress(part.encode()) + (compressor.flush(mode) if flush else b"") for part in parts]
    return [*made, compressor.flush()]


def zipped_exchange(parts: Iterable[str], *, flush: bool, step: float = 0.1) -> Exchange:
    pieces = [(time, data) for time, data in paced(zipped(parts, flush=flush), step=step) if data]
    return exchange(*pieces, more={"content-encoding": "gzip"}, accepted="gzip, deflate")


def held(parts: Iterable[str], *, after: float, **options: Any) -> Exchange:
    """All of it in one piece."""
    return exchange((after, "".join(parts)), **options)


FAULTY: dict[str, tuple[str, Level, Make]] = {
    # The times.
    "one burst after the head": ("buffering", FAIL, lambda: held(TOKENS, after=12.3)),
    "one burst with a late head": ("buffering", FAIL, lambda: held(TOKENS, after=12.3, head_at=12.29)),
    "one burst in many reads": (
        "buffering",
        FAIL,
        lambda: exchange(*paced(recut(WHOLE.encode(), 1448), start=8.0, step=0.0004)),
    ),
    "one burst after two seconds, by nginx": (
        "buffering",
        FAIL,
        lambda: held(TOKENS, after=2.2, head_at=2.2, more={"server": "nginx/1.22.1"}),
    ),
    "one burst after two seconds, of unknown cause": (
        "buffering",
        WARN,
        lambda: held(TOKENS, after=2.2, head_at=2.2),
    ),
    "one burst, cut": ("buffering", FAIL, lambda: held(blocks(60, done=False), after=12.3, end=End.CUT)),
    "one burst, and an open connection after [DONE]": (
        "buffering",
        FAIL,
        lambda: held(TOKENS, after=12.3, end=End.LEFT, ended_at=60.0),
    ),
    "one small burst after the head": ("buffering", WARN, lambda: held(TOKENS[-13:], after=12.3)),
    "a few words, by nginx": (
        "buffering",
        WARN,
        lambda: held(TOKENS[-6:], after=1.5, head_at=1.5, more={"server": "nginx", "x-accel-buffering": None}),
    ),
    "one burst after keep-alives": (
        "buffering",
        WARN,
        lambda: exchange((0.1, ": wait\n\n"), (5.0, ": wait\n\n"), (9.0, WHOLE)),
    ),
    "the rest in one burst": ("buffering", WARN, lambda: exchange((0.1, TOKENS[0]), (6.0, "".join(TOKENS[1:])))),
    "large bursts": ("buffering", WARN, lambda: exchange(*paced(grouped(TOKENS, 14), step=1.5))),
    "blocks of 4096 bytes": (
        "buffer-size",
        FAIL,
        lambda: exchange(*paced(recut("".join(blocks(200, size=200)).encode(), 4096), step=1.0)),
    ),
    "blocks of 8192 bytes in packets": (
        "buffer-size",
        FAIL,
        lambda: exchange(
            *(
                (round(0.5 + number * 0.9 + part * 0.0003, 6), data)
                for number, block in enumerate(recut("".join(blocks(250, size=200)).encode(), 8192))
                for part, data in enumerate(recut(block, 1448))
            )
        ),
    ),
    "gzip without a flush": (
        "buffering",
        FAIL,
        lambda: zipped_exchange(blocks(60), flush=False),
    ),
    "made over four seconds, received at once": ("held-back", FAIL, lambda: held(stamped(20), after=4.1, more=DATE)),
    "made over a minute, received in three lumps": (
        "held-back",
        FAIL,
        lambda: exchange(
            (58.0, "".join(stamped(100, step=0.6))), (58.2, ": \n\n"), (61.0, stamped(101, step=0.6)[-1]), more=DATE
        ),
    ),
    "timestamps in ISO 8601": (
        "held-back",
        FAIL,
        lambda: held(
            [f'data: {{"ts": "2026-09-21T14:13:{n + 20:02}.5Z"}}\n\n' for n in range(12)], after=11.7, more=DATE
        ),
    ),
    "timestamps in milliseconds": (
        "held-back",
        FAIL,
        lambda: held(
            [f'data: {{"timestamp": {1_790_000_000_000 + n * 777}}}\n\n' for n in range(12)], after=9.0, more=DATE
        ),
    ),
    "made over four seconds, received at once, without a date": (
        "held-back",
        WARN,
        lambda: held(stamped(20), after=4.1),
    ),
    "a late head": ("start", WARN, lambda: exchange(*paced(TOKENS, start=31.0), head_at=31.0)),
    "a minute of silence": ("keep-alive", WARN, lambda: exchange((0.1, TOKENS[0]), *paced(TOKENS[1:], start=58.0))),
    "a silence near the limit of nginx": (
        "keep-alive",
        WARN,
        lambda: exchange((0.1, TOKENS[0]), *paced(TOKENS[1:], start=50.0), more={"server": "nginx"}),
    ),
    "cut at the idle limit of nginx": (
        "keep-alive",
        FAIL,
        lambda: exchange(
            *paced(TOKENS[:5]), end=End.CUT, ended_at=60.6, error="RemoteProtocolError", more={"server": "nginx"}
        ),
    ),
    "cut after a silence": (
        "keep-alive",
        WARN,
        lambda: exchange(*paced(TOKENS[:5]), end=End.CUT, ended_at=5.5),
    ),
    "an idle connection that fell": (
        "wait",
        WARN,
        lambda: Case(exchange(*paced(TOKENS[:5]), end=End.CUT, ended_at=20.5, error="ReadError"), wait=60.0),
    ),
    # The body.
    "no blank lines": ("events", FAIL, lambda: exchange(*paced(["data: 1\n", "data: 2\n"]))),
    "JSON lines": ("events", FAIL, lambda: exchange(*paced(['{"a": 1}\n', '{"a": 2}\n']))),
    "one JSON text": ("events", FAIL, lambda: exchange((0.3, '{"choices": []}'))),
    "a page of HTML": ("events", FAIL, lambda: exchange((0.3, "<!DOCTYPE html><title>Sign in</title>\n"))),
    "no body": ("events", FAIL, exchange),
    "escaped line feeds": ("events", FAIL, lambda: exchange(*paced([r"data: 1\n\n", r"data: 2\n\n"]))),
    "lines of spaces": ("events", FAIL, lambda: exchange(*paced(["data: 1\n  \n", "data: 2\n  \n"]))),
    "names alone": ("events", FAIL, lambda: exchange(*paced(["event: a\n\n", "event: b\n\n"]))),
    "gzip that the head is silent about": ("events", FAIL, lambda: exchange((0.3, gzip.compress(WHOLE.encode())))),
    "text without fields": ("events", FAIL, lambda: exchange(*paced(["Hello\n\n", "world\n\n"]))),
    "wrapped twice": ("wrapping", FAIL, lambda: exchange(*paced(f"data: {block}" for block in TOKENS))),
    "a whole block as data": (
        "wrapping",
        FAIL,
        lambda: exchange(*paced(f'data: event: a\ndata: data: {{"n": {n}}}\ndata: \n\n' for n in range(5))),
    ),
    "wrapped twice, one event": ("wrapping", FAIL, lambda: exchange((0.3, 'data: data: {"a": 1}\n\n'))),
    "damaged gzip": (
        "decoding",
        FAIL,
        lambda: exchange(
            (0.3, gzip.compress(WHOLE.encode())[:10]), (0.4, b"\xff" * 40), more={"content-encoding": "gzip"}
        ),
    ),
    "no last blank line": ("last-blank-line", WARN, lambda: exchange(*paced(["data: 1\n\n", 'data: {"end": true}\n']))),
    "cut inside an event": ("end", FAIL, lambda: exchange(*paced([*TOKENS[:5], "data: {"]), end=End.CUT)),
    "cut between events": ("end", FAIL, lambda: exchange(*paced(TOKENS[:5]), end=End.CUT)),
    "cut after [DONE]": ("end", WARN, lambda: exchange(*paced(TOKENS), end=End.CUT)),
    "events after [DONE]": ("after-end", WARN, lambda: exchange(*paced([*TOKENS, "data: late\n\n"]))),
    "events after the terminator": (
        "after-end",
        WARN,
        lambda: Case(
            exchange(*paced(["event: done\ndata: 1\n\n", "data: 2\n\n"])),
            marks={"terminator": Terminator(event="done")},
        ),
    ),
    "Latin-1": ("encoding", WARN, lambda: exchange(*paced(["data: caf\xe9\n\n".encode("latin-1"), "data: x\n\n"]))),
    "lines that end in CR": (
        "line-ends",
        WARN,
        lambda: exchange(*paced(block.replace("\n", "\r") for block in TOKENS)),
    ),
    "a NUL in an ID": ("ids", WARN, lambda: exchange(*paced(["id: a\0b\ndata: 1\n\n", "data: 2\n\n"]))),
    "an ID that comes again": (
        "ids",
        WARN,
        lambda: exchange(*paced(f"id: {n}\ndata: {n}\n\n" for n in (1, 2, 3, 1, 4))),
    ),
    "an unknown field": (
        "fields",
        WARN,
        lambda: exchange(*paced([*TOKENS[:3], 'error: {"message": "overloaded"}\n\n'])),
    ),
    "a text with line feeds": ("lines", WARN, lambda: exchange(*paced(["data: one\ntwo\n\n", "data: three\n\n"]))),
    "Python instead of JSON": ("json", WARN, lambda: exchange(*paced([*TOKENS[:20], "data: {'token': 't'}\n\n"]))),
    "an error as text": (
        "json",
        WARN,
        lambda: exchange(*paced([*blocks(9, event="token"), "event: token\ndata: Internal Server Error\n\n"])),
    ),
    "JSON over several events": (
        "json",
        WARN,
        lambda: exchange(*paced(f"data: {line}\n\n" for line in ("{", '"a": 1', "}", '{"b": 2}'))),
    ),
    "Python only": ("json", WARN, lambda: exchange(*paced(f"data: {{'token': {n}}}\n\n" for n in range(5)))),
    "indented JSON, a line in each event": (
        "json",
        WARN,
        lambda: exchange(*paced(f"data: {line}\n\n" for line in ("{", '"a": [', "1,", "2", "]}", '{"b": 2}'))),
    ),
    "one ID for all": ("ids", WARN, lambda: exchange(*paced(f"id: 7\ndata: {n}\n\n" for n in range(5)))),
    "retry: 0": ("retry", WARN, lambda: exchange(*paced(["retry: 0\n\n", *TOKENS]))),
    "retry in microseconds": ("retry", WARN, lambda: exchange(*paced(["retry: 3000000\n\n", *TOKENS]))),
    "retry in words": ("retry", WARN, lambda: exchange(*paced(["retry: 3s\n\n", *TOKENS]))),
    # The head, and the reply.
    "a page at login": ("content-type", FAIL, lambda: exchange((0.1, "<html>"), more={"content-type": "text/html"})),
    "a length": ("content-length", FAIL, lambda: held(TOKENS, after=3.0, more={"content-length": "1000"})),
    "gzip without a flush, by its head": ("content-encoding", FAIL, lambda: zipped_exchange(blocks(60), flush=False)),
    "a 500": ("status", FAIL, lambda: exchange((0.1, "no"), status=500)),
    "a POST that was redirected": (
        "redirect",
        FAIL,
        lambda: exchange(*paced(TOKENS), hops=(Hop(302, "http://api.test/new", is_followed=False),), status=302),
    ),
    "a terminator that never came": (
        "reply",
        FAIL,
        lambda: Case(exchange(*paced(TOKENS[:9])), marks={"terminator": Terminator(event="done")}),
    ),
    "a length, in a recording": (
        "content-length",
        FAIL,
        lambda: held(TOKENS, after=3.0, more={"content-length": "1000"}, is_recorded=True),
    ),
    "one burst of gzip, in a recording": (
        "buffering",
        FAIL,
        lambda: held(TOKENS, after=3.0, more={"content-encoding": "gzip"}, is_recorded=True),
    ),
    "no media type, in a recording": (
        "content-type",
        FAIL,
        lambda: exchange(*paced(TOKENS), more={"content-type": None}, is_recorded=True),
    ),
    "no chunks, in a recording": (
        "framing",
        WARN,
        lambda: exchange(
            *paced(TOKENS[:-1]), more={"transfer-encoding": None, "connection": "close"}, is_recorded=True
        ),
    ),
    "an event named error": (
        "error-event",
        WARN,
        lambda: exchange(*paced([*TOKENS[:3], "event: error\ndata: overloaded\n\n"])),
    ),
    "an error object": (
        "error-event",
        WARN,
        lambda: exchange(*paced([*TOKENS[:3], 'data: {"error": {"message": "overloaded"}}\n\n'])),
    ),
    "an error by its type": (
        "error-event",
        WARN,
        lambda: exchange(*paced([*TOKENS[:3], 'data: {"type": "error", "error": "overloaded"}\n\n'])),
    ),
    "an error in a 200": (
        "error-event",
        FAIL,
        lambda: Case(exchange(*paced(['data: {"error": {"message": "overloaded"}}\n\n'])), dialect="openai"),
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_named(name: str) -> None:
    """A fault is found by its check, at its level; and its cure, if it has one, is one line."""
    check, level, make = FAULTY[name]
    assert found(make()).get(check) is level, [*findings(make())]
    for finding in findings(make()):
        assert "\n" not in finding.evidence + finding.cure


ANTHROPIC = [
    'event: message_start\ndata: {"type": "message_start", "message": {"content": []}}\n\n',
    'event: ping\ndata: {"type": "ping"}\n\n',
    *(
        f'event: content_block_delta\ndata: {{"type": "content_block_delta", "delta": {{"text": "t{n}"}}}}\n\n'
        for n in range(30)
    ),
    'event: ping\ndata: {"type": "ping"}\n\n',
    'event: message_stop\ndata: {"type": "message_stop"}\n\n',
]
PRIMED = [
    "id: s/0\nretry: 3000\ndata: \n\n",
    *(f'id: s/{n}\nevent: message\ndata: {{"jsonrpc": "2.0", "method": "m/{n}"}}\n\n' for n in range(1, 6)),
]
LANGGRAPH = [
    'event: metadata\r\ndata: {"run_id": "1ef"}\r\nid: 1730000000000-0\r\n\r\n',
    *(
        f'event: messages\r\ndata: [{{"content": "t{n}"}}, {{}}]\r\nid: 17300000000{n:02}-0\r\n\r\n'
        for n in (1, 2, 2, 3, 5, 5, 5, 8)
    ),
    ": heartbeat\r\n\r\n",
]


def jittered(parts: Iterable[bytes | str], *, seed: int, start: float = 0.4) -> Iterator[At]:
    """Parts as a network delivers them: mostly even, at times late and then close together."""
    rng = random.Random(seed)
    made_at, time = start, start
    for part in parts:
        made_at += rng.uniform(0.01, 0.06)
        delay = rng.choice([0.0, 0.0, 0.0, 0.01, 0.2]) * rng.random()
        time = max(time + 0.0001, made_at + delay)
        yield round(time, 6), part


# Without a WARN.
HEALTHY: dict[str, Make] = {
    "tokens": lambda: exchange(*paced(TOKENS)),
    "tokens on a network": lambda: exchange(*jittered(TOKENS, seed=1)),
    "tokens in CRLF": lambda: exchange(*paced(CRLF)),
    "a slow start": lambda: exchange(*paced(TOKENS, start=9.0)),
    "a slow start with a late head": lambda: exchange(*paced(TOKENS, start=9.0), head_at=9.0),
    "all at once, from a fast server": lambda: held(TOKENS, after=0.012, head_at=0.01),
    "all at once, over a slow network": lambda: held(TOKENS, after=0.9, head_at=0.6),
    "10,000 events at once": lambda: exchange(*paced(recut("".join(blocks(10_000)).encode(), 65536), step=0.0005)),
    "one event": lambda: exchange((3.0, 'data: {"a": 1}\n\n')),
    "one event after a long time": lambda: exchange((20.0, 'data: {"a": 1}\n\n'), head_at=0.1),
    "three events after a long time": lambda: held(["data: 1\n\n"] * 3, after=20.0),
    "a fast model after a queue": lambda: exchange(*paced(blocks(100, size=250), start=4.0, step=0.001)),
    "a model of small bursts": lambda: exchange(*paced(grouped(TOKENS, 5), step=0.4)),
    "a feed of comments": lambda: exchange(*paced([": keep-alive\n\n"] * 5, step=15.0), end=End.LEFT, ended_at=70.0),
    "a feed without events": lambda: exchange(end=End.LEFT, ended_at=10.0),
    "a feed with news": lambda: exchange(*paced(TOKENS[:6], step=7.0), end=End.LEFT, ended_at=60.0),
    "a feed with a backlog": lambda: exchange((0.2, "".join(TOKENS[:40])), *paced(TOKENS[:2], start=20.0, step=20.0)),
    "a history of days": lambda: held(stamped(30, step=9_000.0), after=0.4, more=DATE),
    "a history of seconds, after a query": lambda: held(
        stamped(9, step=0.3),
        after=4.2,
        head_at=0.05,
        more={"date": "Mon, 21 Sep 2026 14:23:20 GMT"},
    ),
    "timestamps that arrive in time": lambda: exchange(*paced(stamped(20), step=0.2)),
    "a stalled Wi-Fi": lambda: exchange(
        *((max(time, 3.4), data) for time, data in paced(stamped(30), start=1.0, step=0.2))
    ),
    "one time in all events": lambda: exchange(
        *paced(f'data: {{"created": 1790000000, "t": {n}}}\n\n' for n in range(9))
    ),
    "records of TLS": lambda: exchange(*paced(recut("".join(blocks(600, size=200)).encode(), 16384), step=0.02)),
    "a large event over a slow line": lambda: exchange(
        *paced(recut(f'data: {{"image": "{"A" * 400_000}"}}\n\n'.encode(), 16384), step=0.2), url="https://api.test/"
    ),
    "packets that end inside events": lambda: exchange(*paced(recut("".join(blocks(300, size=100)).encode(), 1448))),
    "gzip, flushed": lambda: zipped_exchange(TOKENS, flush=True),
    "Anthropic's pings": lambda: Case(exchange(*paced(ANTHROPIC)), dialect="anthropic"),
    "MCP's old transport": lambda: exchange(
        *paced(["event: endpoint\ndata: /messages?id=1\n\n", *blocks(5, event="message", done=False)]), method="GET"
    ),
    "LangGraph": lambda: exchange(*paced(LANGGRAPH), method="GET"),
    "MCP's priming event": lambda: exchange(*paced(PRIMED)),
    "a resumed stream": lambda: exchange(*paced(f"id: {n}\ndata: {n}\n\n" for n in range(57, 90))),
    "a text of JSON, token by token": lambda: exchange(
        *paced(f"data: {part}\n\n" for part in ('{"na', 'me": ', '"Ann', 'a"}'))
    ),
    "a text that quotes a number": lambda: exchange(
        *paced(f"data: {word}\n\n" for word in ("see", "[", "1", "]", "in", "{braces}"))
    ),
    "data that may have an error": lambda: exchange(
        *paced(f'data: {{"n": {n}, "error": null, "text": "an \\"error\\""}}\n\n' for n in range(5))
    ),
    "a recording with some headers": lambda: exchange(
        *paced(TOKENS), headers={"cache-control": "no-cache, no-transform"}, is_recorded=True
    ),
    "a text with numbers": lambda: exchange(
        *paced(f"data: {word}\n\n" for word in ("I", "have", "3", "of", "10", "null", "things"))
    ),
    "data with line feeds": lambda: exchange(*paced(["data: {\ndata: 1\ndata: }\n\n"] * 3)),
    "a byte order mark": lambda: exchange((0.2, b"\xef\xbb\xbf"), *paced(TOKENS)),
    "[DONE] without a blank line": lambda: exchange(*paced([*TOKENS[:-1], "data: [DONE]\n"])),
    "no terminator": lambda: exchange(*paced(TOKENS[:-1])),
    "keep-alives in a silence": lambda: exchange(
        (0.2, TOKENS[0]), *paced([": \n\n"] * 6, start=15.0, step=15.0), *paced(TOKENS[1:], start=100.0)
    ),
    "a character cut in two": lambda: exchange(*paced(recut("data: größer\n\n".encode() * 9, 7))),
    "a recording without times": lambda: exchange((0.0, WHOLE), head_at=0.0, ended_at=0.0, is_recorded=True),
    "a recording with redacted headers": lambda: exchange(
        *paced(TOKENS), is_recorded=True, headers={}, redacted=frozenset({"content-type", "cache-control"})
    ),
    "an idle connection that holds": lambda: Case(exchange(*paced(TOKENS[:5]), end=End.LEFT, ended_at=60.0), wait=60.0),
}
# A WARN is honest, a FAIL is not.
DOUBTFUL: dict[str, Make] = {
    "a model of large bursts": lambda: exchange(*paced(grouped(blocks(90), 15), step=2.0)),
    "a cold server with its reply at hand": lambda: held(TOKENS, after=3.4, head_at=3.4),
    "a tool, then a reply at once": lambda: exchange((0.2, TOKENS[0]), (8.0, "".join(TOKENS[1:]))),
    "a model that thinks with keep-alives": lambda: exchange((0.2, ": ok\n\n"), (20.0, WHOLE)),
    "a slow line, by blocks of a proxy": lambda: exchange(
        *paced(recut("".join(blocks(2000, size=200)).encode(), 8192), step=0.065)
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_stream_has_no_fault(name: str) -> None:
    """In a healthy stream nothing is worse than a note."""
    assert [finding for finding in findings(HEALTHY[name]()) if finding.level > note] == []


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_stream_does_not_fail(name: str) -> None:
    """In a stream that may be healthy nothing fails."""
    assert [finding for finding in findings(DOUBTFUL[name]()) if finding.level is FAIL] == []


# The recorded streams.

LINES = (STREAMS / "INDEX.jsonl").read_text().splitlines() if STREAMS.exists() else []
NAMES = sorted(json.loads(line)["file"] for line in LINES)
OF_CHAT = "openai_chat azure_openai deepseek groq openrouter avian zai github_copilot llamacpp ollama"
DIALECTS: dict[str, str] = {
    **dict.fromkeys(f"{OF_CHAT} openai_compat_misc openai_completions".split(), "openai"),
    **dict.fromkeys(("anthropic", "anthropic_vertex"), "anthropic"),
    **dict.fromkeys(("openai_responses", "xai_responses"), "openai-responses"),
    **dict.fromkeys(("gemini", "gemini_vertex"), "gemini"),
    **{name: name for name in ("mistral", "a2a", "dify", "mcp", "langgraph")},
    "ag_ui": "ag-ui",
    "cohere_v2": "cohere",
    "vercel_ui": "vercel",
}
# Replies that the server itself did not complete, or whose result is an error: with the dialect, that is told.
TOLD = {
    "mcp/local__mcp_20251125_tool_error.sse": "finish-reason",
    "mcp/local__mcp_20260728_subscriptions_listen.sse": "reply",
    "mcp/local__mcpts_poll_closed_early.sse": "reply",
}


def served(data: bytes, how: str) -> Iterator[At]:
    """A recorded body at once, event by event, or cut by chance at the times of a network."""
    if how == "at once":
        yield 0.4, data
    elif how == "per event":
        ends = data.replace(b"\r\n\r\n", b"\r\n\r\n\0").replace(b"\n\n", b"\n\n\0").split(b"\0")
        yield from paced(filter(None, ends), step=0.04)
    else:
        rng = random.Random(how)
        sizes = [0, *sorted(rng.sample(range(1, len(data)), min(len(data) // 50, 400))), len(data)]
        parts = [data[one:other] for one, other in pairwise(sizes)]
        yield from jittered(parts, seed=rng.randrange(1000))


@pytest.mark.skipif(not STREAMS.exists(), reason="the recorded streams are not part of the repository")
@pytest.mark.parametrize("how", ["at once", "per event", "cut 1", "cut 2"])
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_stream_does_not_fail(name: str, how: str) -> None:
    """A recorded stream has no fault, with and without its dialect, but an error that the server itself reports."""
    data = (STREAMS / name).read_bytes()
    made = exchange(*served(data, how))
    assert [finding for finding in findings(made) if finding.level is FAIL] == []
    if (dialect := DIALECTS.get(name.partition("/")[0])) is not None:
        faults = [finding for finding in findings(Case(made, dialect=dialect)) if finding.level is FAIL]
        assert [finding for finding in faults if finding.check not in ("error-event", TOLD.get(name))] == []


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    body=st.sampled_from(
        [WHOLE, "".join(CRLF), "".join(ANTHROPIC), "".join(LANGGRAPH), "".join(stamped(40, step=0.05))]
    ),
)
def test_cuts_and_delays_are_no_fault(data: st.DataObject, body: str) -> None:
    """However a network cuts a healthy stream and delays its pieces, by less than a second, nothing fails."""
    raw = body.encode()
    # Written over two seconds. What is written within 0.4 s may come in one piece.
    parts = {len(raw) * part // 5 for part in range(6)}
    places = sorted(parts | set(data.draw(st.lists(st.integers(1, len(raw) - 1), max_size=120))))
    time = 0.0
    pieces: list[At] = []
    for begin, end in pairwise(places):
        time = max(time, 0.3 + 2.0 * end / len(raw) + data.draw(st.floats(0.0, 0.9)))
        pieces.append((time, raw[begin:end]))
    made = exchange(*pieces, more={"server": data.draw(st.sampled_from(["uvicorn", "nginx"]))})
    assert [finding for finding in findings(made) if finding.level is FAIL] == []


# Some of them over a socket, by the command.

STREAM = [step for token in TOKENS[-12:] for step in (token, Pause(0.01))]
SERVED: dict[str, tuple[int, str, str, list[str], Callable[[], Answer]]] = {
    "tokens": (0, "ok", "end", [], lambda: Answer(*STREAM)),
    "gzip, flushed": (
        *(0, "ok", "end", []),
        lambda: Answer(
            *(step for piece in zipped(TOKENS, flush=True) for step in (piece, Pause(0.01))),
            headers={"Content-Encoding": "gzip"},
        ),
    ),
    "comments": (
        *(0, "note", "events", ["--timeout", "0.5"]),
        lambda: Answer(": keep-alive\n\n", Pause(0.05), ": keep-alive\n\n", Pause(9)),
    ),
    "all at once": (0, "note", "buffering", [], lambda: Answer(WHOLE)),
    "one burst, by nginx": (
        *(1, "FAIL", "buffering", []),
        lambda: Answer(WHOLE, headers={"Server": "nginx"}, delay=NOTICEABLE + 0.05),
    ),
    "no blank lines": (1, "FAIL", "events", [], lambda: Answer("data: 1\n", "data: 2\n")),
    "JSON lines": (1, "FAIL", "events", [], lambda: Answer('{"a": 1}\n', '{"a": 2}\n')),
    "wrapped twice": (1, "FAIL", "wrapping", [], lambda: Answer(*(f"data: {block}" for block in TOKENS))),
    "cut": (1, "FAIL", "end", [], lambda: Answer(*TOKENS[:3], "data: {", FIN)),
    "reset": (1, "FAIL", "end", [], lambda: Answer(*TOKENS[:3], Pause(0.05), RST)),
    "no last blank line": (0, "WARN", "last-blank-line", [], lambda: Answer(*TOKENS[:3], 'data: {"end": 1}\n')),
    "strictly": (1, "WARN", "last-blank-line", ["--strict"], lambda: Answer(*TOKENS[:3], 'data: {"end": 1}\n')),
    "a terminator that never came": (1, "FAIL", "reply", ["--until", "done"], lambda: Answer(*TOKENS[:3])),
    "an idle connection that fell": (
        *(1, "WARN", "wait", ["--wait", "3"]),
        lambda: Answer(TOKENS[0], Pause(1.3), FIN),
    ),
}


@pytest.mark.parametrize("name", SERVED)
def test_over_a_socket(name: str) -> None:
    """The command finds the same in a response over a socket, and its exit code is that of the worst finding."""
    code, level, check, options, answer = SERVED[name]
    with EventServer(answer()) as server:
        done = run("doctor", server.url, "--json", *options)
    report = json.loads(done.out)
    levels = {finding["check"]: finding["level"] for finding in report["findings"]}
    assert (done.code, levels.get(check)) == (code, level), report["findings"]
    if code == 0 and level != "WARN":
        assert not {"WARN", "FAIL"} & set(levels.values())
