"""Exchanges made by hand, for the checks of `doctor`: no socket, and each time as the test says."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx

from sse_client.cli.doctor._case import Case
from sse_client.cli.doctor._checks import diagnose
from sse_client.cli.doctor._exchange import End, Exchange, Piece
from sse_client.cli.doctor._finding import Finding, Level

# The head of a server that does everything right.
HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "transfer-encoding": "chunked",
}

At = tuple[float, bytes | str]
"""A piece of a body, and when it came: in seconds since the request."""


def exchange(
    *pieces: At,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, str | None] | None = None,
    head_at: float | None = None,
    ended_at: float | None = None,
    end: End = End.CLEAN,
    method: str = "POST",
    url: str = "http://api.test/chat",
    http_version: str = "HTTP/1.1",
    **others: Any,
) -> Exchange:
    """
    Make an exchange of these pieces, healthy in everything that is not said.

    `headers` replaces the usual head; `more` changes single headers of it, and `None` removes one. The head comes 20 ms
    after the request, or with the first piece if that is earlier; the body ends 1 ms after the last piece.
    """
    made = tuple(Piece(time, data.encode() if isinstance(data, str) else data) for time, data in pieces)
    head = dict(HEADERS if headers is None else headers)
    for name, value in (more or {}).items():
        head.pop(name, None)
        if value is not None:
            head[name] = value
    if head_at is None:
        head_at = min(0.02, made[0].time) if made else 0.02
    if ended_at is None:
        ended_at = made[-1].time + 0.001 if made else head_at + 0.001
    return Exchange(
        method=method,
        url=url,
        status=status,
        headers=httpx.Headers(head),
        head_at=head_at,
        pieces=made,
        ended_at=ended_at,
        end=end,
        http_version=http_version,
        **others,
    )


def found(case: Case | Exchange) -> dict[str, Level]:
    """Return the worst level of each check about a case, of all areas."""
    levels: dict[str, Level] = {}
    for finding in findings(case):
        levels[finding.check] = max(finding.level, levels.get(finding.check, Level.ok))
    return levels


def findings(case: Case | Exchange) -> tuple[Finding, ...]:
    """Return all findings about a case."""
    return diagnose(case if isinstance(case, Case) else Case(case)).findings


def the(check: str, case: Case | Exchange) -> Finding:
    """Return the only finding of this check."""
    (finding,) = (finding for finding in findings(case) if finding.check == check)
    return finding


def blocks(count: int, *, event: str | None = None, size: int = 0, done: bool = True) -> list[str]:
    """Return the blocks of a reply: JSON tokens, each at least `size` characters long, then `[DONE]`."""
    head = f"event: {event}\n" if event else ""
    made = [f"{head}data: {json.dumps({'token': f't{n}'.ljust(size, '.')})}\n\n" for n in range(count)]
    return [*made, "data: [DONE]\n\n"] if done else made


def paced(parts: Iterable[bytes | str], *, start: float = 0.3, step: float = 0.05) -> Iterator[At]:
    """Give each part a time: the first comes at `start`, and each other `step` seconds after the one before."""
    for number, part in enumerate(parts):
        yield round(start + number * step, 6), part


def recut(data: bytes, size: int) -> list[bytes]:
    """Cut a body into pieces of this size."""
    return [data[at : at + size] for at in range(0, len(data), size)]
