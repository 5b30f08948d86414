"""
Real streams on file: recorded piece by piece as they come, and played again as a script.

A cassette has one JSON object a line. For each connection of the stream: its `request` (the method; URL, headers), its
`response` (the status; headers), then each piece as `data`, or as `base64` where it is no UTF-8 by itself, and at
last `end`, or `lost` with the name of the error. `time` is in seconds, from the beginning of the recording.

Nothing secret is written: a header's value only where its name is known to be harmless, no value of the URL's query,
no user of it, and no body of the request. What the server sent in the body is there whole; that is what it is for.
"""

import base64
import json
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from math import isnan
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from sse_client._async import AsyncEventStream
from sse_client._sync import EventStream
from sse_client.testing._script import FIN, Answer, Framing, Pause, Step

S = TypeVar("S", bound=EventStream[Any] | AsyncEventStream[Any])

REDACTED = "[redacted]"

# By what they mean in RFC 9110 and 9111, none of these says who somebody is. Every other name is taken for a secret.
HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
        "last-event-id",
        "retry-after",
        "retry-after-ms",
        "server",
        "transfer-encoding",
        "user-agent",
        "vary",
        "x-accel-buffering",
        "x-should-retry",
    }
)

# These say how one connection carried the body; the replay carries it in its own way.
HOP_BY_HOP = frozenset({"connection", "content-encoding", "keep-alive", "transfer-encoding"})


def record(stream: S, path: str | PathLike[str], *, keep: Collection[str] = ()) -> S:
    """
    Write a cassette of the stream to `path` while it is read; return the stream, to be entered and read as ever.

    Each piece is written when it comes, with its time, so that a cassette is whole up to the moment where a program
    died. All connections of a stream that comes back are in it. `keep` names headers whose values are no secrets
    here; all but the common ones are replaced by "[redacted]".

    Raises `RuntimeError` for a stream that has been entered, whose beginning is lost.
    """
    if stream._session.head is not None:
        raise RuntimeError("record a stream before it is entered: with record(client.post(…), path) as stream")
    recorder = _Recorder(Path(path), frozenset(name.lower() for name in keep) | HARMLESS)
    stream._tap = recorder.tap if isinstance(stream, EventStream) else recorder.atap
    return stream


def replay(path: str | PathLike[str], *, speed: float = 1.0) -> tuple[Answer, ...]:
    """
    Read a cassette; return the answers to its requests, one for each connection, in order.

    The pieces are those that came, with the pauses between them divided by `speed`: 2 is twice as fast, `math.inf` at
    once. A connection that was lost is cut behind its last piece. The script goes to `EventServer(*replay(path))`, or
    `scripted_transport`; `Faults` cuts its pieces anew.

    Raises `ValueError` for a speed that is not above 0, and for a file that is no cassette.
    """
    if isnan(speed) or speed <= 0:
        raise ValueError(f"expected speed > 0, got {speed!r}")
    connections: list[list[dict[str, Any]]] = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "response" in entry:
            connections.append([entry])
        elif connections:
            connections[-1].append(entry)
    if not connections:
        raise ValueError(f"expected a cassette in {path}, got a file without a response")
    return tuple(_answer(*entries, speed=speed) for entries in connections)


def _answer(head: dict[str, Any], *entries: dict[str, Any], speed: float) -> Answer:
    steps: list[Step] = []
    now = head["time"]
    for entry in entries:
        pause = round((entry["time"] - now) / speed, 6)  # microseconds, as recorded
        now = entry["time"]
        if pause > 0:
            steps.append(Pause(pause))
        if "data" in entry:
            steps.append(entry["data"])
        elif "base64" in entry:
            steps.append(base64.b64decode(entry["base64"]))
        elif "lost" in entry:
            steps.append(FIN)
    headers = {name.lower(): value for name, value in head["headers"] if value != REDACTED}
    framing: Framing = "length" if "content-length" in headers else "chunked"
    if headers.get("connection") == "close" and "transfer-encoding" not in headers and framing == "chunked":
        framing = "close"
    kept: dict[str, str | None] = {"content-type": None, "cache-control": None}
    kept |= {name: value for name, value in headers.items() if name not in HOP_BY_HOP}
    return Answer(*steps, status=head["response"], headers=kept, framing=framing)


class _Recorder:
    """Writes the lines of one cassette."""

    def __init__(self, path: Path, harmless: Collection[str]) -> None:
        self._path = path
        self._harmless = harmless
        self._started_at = time.monotonic()
        path.write_bytes(b"")

    def tap(self, response: Any, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Record a response of a sync client, and hand on its pieces."""
        self._begin(response)
        return self._tapped(response, pieces)

    def _tapped(self, response: Any, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for piece in pieces:
                self.take(response, piece)
                yield piece
        except Exception as error:
            self.end(response, error)
            raise
        self.end(response, None)

    def atap(self, response: Any, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same, async."""
        self._begin(response)
        return _AsyncTap(self, response, pieces)

    def take(self, response: Any, piece: bytes) -> None:
        if response.is_closed:
            return  # the reader has left, and only empties its buffers
        try:
            self._write(data=piece.decode())
        except UnicodeDecodeError:
            self._write(base64=base64.b64encode(piece).decode())

    def end(self, response: Any, error: Exception | None) -> None:
        if response.is_closed and error is not None:
            return  # the same
        if error is None:
            self._write(end=True)
        else:
            self._write(lost=type(error).__name__)

    def _begin(self, response: Any) -> None:
        request = response.request
        sent = self._redacted(request.headers.multi_items())
        self._write(request=request.method, url=redacted_url(str(request.url)), headers=sent)
        self._write(response=response.status_code, headers=self._redacted(response.headers.multi_items()))

    def _redacted(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(name, value if name.lower() in self._harmless else REDACTED) for name, value in headers]

    def _write(self, **entry: Any) -> None:
        line = json.dumps({"time": round(time.monotonic() - self._started_at, 6), **entry})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


class _AsyncTap(AsyncIterator[bytes]):
    """The pieces of an async response, which are recorded while they go by."""

    def __init__(self, recorder: _Recorder, response: Any, pieces: AsyncIterator[bytes]) -> None:
        self._recorder = recorder
        self._response = response
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        try:
            piece = await self._pieces.__anext__()
        except StopAsyncIteration:
            self._recorder.end(self._response, None)
            raise
        except Exception as error:
            self._recorder.end(self._response, error)
            raise
        self._recorder.take(self._response, piece)
        return piece


def redacted_url(url: str) -> str:
    """The URL without its user, and without the values of its query."""
    parts = urlsplit(url)
    query = "&".join(f"{name}={REDACTED}" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
