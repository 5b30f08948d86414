"""Recordings: cassettes, and files with the bytes of a body, read as exchanges; an exchange written as a cassette."""

import json
from pathlib import Path
from typing import BinaryIO

import httpx

from sse_client._secrets import REDACTED, public_url
from sse_client.testing import Connection, read_cassette, write_cassette

from ..._usage import UsageError
from .._body import Body
from .._checks.ways import CACHES
from .._exchange import End, Exchange, Piece

# No URL ends in one of these, so a target that does is the name of a file that is not there.
SUFFIXES = frozenset({".jsonl", ".json", ".txt", ".sse", ".log", ".raw", ".bin"})

# These have no body, so a recording has no end of one.
WITHOUT_BODY = frozenset({204, 304})

# Response headers about the way of a response, which tell nothing about who asked for it.
KEPT = frozenset(
    {
        *(*CACHES, "cache-status", "x-cache-hits"),
        *("age", "via", "x-varnish", "x-served-by", "alt-svc", "pragma", "expires", "surrogate-control"),
        *("access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers"),
        *(
            "cdn-cache-control",
            "x-envoy-upstream-service-time",
            "content-disposition",
            "x-content-type-options",
            "allow",
        ),
    }
)


def is_file(target: str | None) -> bool:
    """Whether a target is a recording and not a URL. Raises `UsageError` for the name of a file that is not there."""
    if target in (None, "-"):
        return target is not None
    try:
        if Path(target).is_file():
            return True
    except (OSError, ValueError):
        return False
    is_path = target.startswith(("/", ".", "~")) or (
        ":" not in target and Path(target.partition("?")[0]).suffix.lower() in SUFFIXES and "/" not in target
    )
    if is_path:
        name = target.partition("?")[0]  # it may be a URL without its host
        raise UsageError(f"cannot read {name}: expected a URL, a recording, or a file with the bytes of a body")
    return False


def read(path: str, stdin: BinaryIO) -> tuple[Exchange, ...]:
    """Return the connections of a cassette, or one for the bytes of a body: of a file, or of standard input (`-`)."""
    try:
        data = stdin.read() if path == "-" else Path(path).read_bytes()
        if not _is_cassette(data):
            return (_body_alone(path, data),)
        if path == "-":
            raise UsageError("expected the bytes of a body on standard input; a recording must be a file")
        return tuple(map(exchange_of, read_cassette(path)))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _is_cassette(data: bytes) -> bool:
    """Whether the first line is that of a cassette, also if the others are not."""
    try:
        first = json.loads(data.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "time" in first and not first.keys().isdisjoint({"request", "response"})


def _body_alone(path: str, data: bytes) -> Exchange:
    return Exchange(
        method="",
        url=path,
        status=200,
        headers=httpx.Headers({"Content-Type": "text/event-stream"}),
        head_at=0.0,
        pieces=(Piece(0.0, data),),
        ended_at=0.0,
        end=End.CLEAN,
        is_recorded=True,
        has_head=False,
    )


def exchange_of(connection: Connection) -> Exchange:
    """Return a connection of a cassette as an exchange; its request was sent at 0."""
    start = connection.requested_at
    sent = httpx.Headers(connection.request_headers)
    last = connection.pieces[-1][0] if connection.pieces else connection.opened_at
    if connection.ended_at is None and connection.status not in WITHOUT_BODY:
        end = End.LEFT
    else:
        end = End.CLEAN if connection.lost is None else End.CUT
    return Exchange(
        method=connection.method,
        url=public_url(connection.url),
        status=connection.status,
        headers=httpx.Headers([(name, value) for name, value in connection.headers if value != REDACTED]),
        head_at=_since(start, connection.opened_at),
        pieces=tuple(Piece(_since(start, time), data) for time, data in connection.pieces),
        ended_at=_since(start, last if connection.ended_at is None else connection.ended_at),
        end=end,
        error=connection.lost or "",
        http_version=connection.http_version,
        accepted=sent.get("accept-encoding", ""),
        redacted=frozenset(name.lower() for name, value in connection.headers if value == REDACTED),
        is_recorded=True,
        left="the recording stops" if end is End.LEFT else "",
        sent=sent,
    )


def _since(start: float, time: float) -> float:
    return round(time - start, 6)


def write(path: str, exchange: Exchange, body: Body) -> None:
    """Write an exchange as a cassette, empty without a response. Raises `OSError` if the file cannot be written."""
    if exchange.status:
        write_cassette(path, connection_of(exchange, body), keep=KEPT)
    else:
        Path(path).write_bytes(b"")


def connection_of(exchange: Exchange, body: Body) -> Connection:
    """Return an exchange as a connection of a cassette, decompressed as far as it can be."""
    pieces = exchange.pieces if body.fault and not body.pieces else body.pieces
    is_over = exchange.end is not End.LEFT
    return Connection(
        method=exchange.method,
        url=exchange.url,
        request_headers=tuple(exchange.sent.multi_items()),
        requested_at=0.0,
        status=exchange.status,
        http_version=exchange.http_version,
        headers=tuple(exchange.headers.multi_items()),
        opened_at=exchange.head_at,
        pieces=tuple((piece.time, piece.data) for piece in pieces if piece.data),
        ended_at=exchange.ended_at if is_over else None,
        lost=exchange.error or None,
    )
