"""
Real streams on file: recorded piece by piece as they come, and played again as a script.

A cassette has one JSON object a line. For each connection of the stream: its `request` (the method; URL, headers), its
`response` (the status; headers), then each piece as `data`, or as `base64` where it is no UTF-8 by itself, and at
last `end`, or `lost` with the name of the error. Without either, the recording stops there: the reader left, or one
of its clocks ran out. `time` is in seconds, from the beginning of the recording, by the stream's own clock.

Nothing secret is written: a header's value only where its name is known to be harmless, no value of the URL's query,
no user of it, and no body of the request. What the server sent in the body is there whole; that is what it is for.
"""

import base64
import json
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from math import inf, isnan
from os import PathLike
from pathlib import Path
from typing import Any, Self, overload
from urllib.parse import urlsplit, urlunsplit
from weakref import ref

from pydantic import Base64Bytes, BaseModel, ValidationError

from sse_client._shells.async_ import AsyncEventStream
from sse_client._shells.codings import coding_of, decoder_for
from sse_client._shells.sync import EventStream
from sse_client._typed import T
from sse_client.testing._script import FIN, RST, Answer, Framing, Pause, Step

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


@overload
def record(stream: EventStream[T], path: str | PathLike[str], *, keep: Collection[str] = ()) -> EventStream[T]: ...
@overload
def record(
    stream: AsyncEventStream[T], path: str | PathLike[str], *, keep: Collection[str] = ()
) -> AsyncEventStream[T]: ...
def record(stream: Any, path: str | PathLike[str], *, keep: Collection[str] = ()) -> Any:
    """
    Write a cassette of the stream to `path` while it is read; return the stream, to be entered and read as ever.

    Each piece is written when it comes, with its time, so that a cassette is whole up to the moment where a program
    died. All connections of a stream that comes back are in it. `keep` names headers whose values are no secrets
    here; all but the common ones are replaced by "[redacted]".

    Raises `RuntimeError` for a stream that has been entered, whose beginning is lost; so does reading it, where the
    file cannot be written.
    """
    if stream._session.head is not None:
        raise RuntimeError("record a stream before it is entered: with record(client.post(…), path) as stream")
    recorder = _Recorder(stream, Path(path), frozenset(name.lower() for name in keep) | HARMLESS)
    stream._tap = recorder.atap if hasattr(stream, "__anext__") else recorder.tap
    return stream


def replay(path: str | PathLike[str], *, speed: float = 1.0) -> tuple[Answer, ...]:
    """
    Read a cassette; return the answers to its requests, one for each connection, in order.

    The pieces are those that came, with the pauses between them divided by `speed`: 2 is twice as fast, `math.inf` at
    once. A connection that was lost is cut behind its last piece; one whose recording stops before its end goes silent
    there. The script goes to `EventServer(*replay(path))`, or `scripted_transport`; `Faults` cuts its pieces anew.

    Raises `ValueError` for a speed that is not above 0, and for a file that is no cassette: it names the wrong line.
    """
    if isnan(speed) or speed <= 0:
        raise ValueError(f"expected speed > 0, got {speed!r}")
    connections: list[tuple[float, list[_Entry]]] = []
    asked_at = 0.0
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        entry = _Entry.of(line, f"{Path(path)}, line {number}")
        if entry.request is not None:
            asked_at = entry.time
        elif entry.response is not None:
            connections.append((entry.time - asked_at, [entry]))
        elif connections:
            connections[-1][1].append(entry)
        else:
            raise ValueError(f"{Path(path)}, line {number}: expected a response before what came of it")
    if not connections:
        raise ValueError(f"expected a cassette in {path}, got a file without a response")
    return tuple(_answer(delay, *entries, speed=speed) for delay, entries in connections)


class _Entry(BaseModel, strict=True, extra="forbid"):
    """A line of a cassette."""

    time: float
    request: str | None = None
    url: str = ""
    response: int | None = None
    headers: list[tuple[str, str]] = []
    data: str | None = None
    base64: Base64Bytes | None = None
    end: bool = False
    lost: str | None = None

    @classmethod
    def of(cls, line: bytes, place: str) -> Self:
        try:
            return cls.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = "".join(f" ({name})" for name in first["loc"][:1])
            raise ValueError(f"{place}: expected an entry of a cassette, got: {first['msg']}{where}") from error


def _answer(delay: float, head: _Entry, *pieces: _Entry, speed: float) -> Answer:
    """What the server did with one request, whose answer began after this delay."""
    assert head.response is not None
    headers = {name.lower(): value for name, value in head.headers if value != REDACTED}
    hop_by_hop = HOP_BY_HOP
    if coding := coding_of(headers.get("content-encoding", "")):
        if decoder_for(coding) is None:
            hop_by_hop -= {"content-encoding"}  # the body was recorded as it came
        else:
            headers.pop("content-length", None)  # the length of what was decompressed before it was recorded
    framing: Framing = "length" if "content-length" in headers else "chunked"
    if headers.get("connection") == "close" and "transfer-encoding" not in headers and framing == "chunked":
        framing = "close"

    steps: list[Step] = []
    now = head.time
    for entry in pieces:
        pause = round((entry.time - now) / speed, 6)  # microseconds, as recorded
        now = entry.time
        if pause > 0:
            steps.append(Pause(pause))
        if entry.data is not None:
            steps.append(entry.data)
        elif entry.base64 is not None:
            steps.append(entry.base64)
        elif entry.lost is not None:
            steps.append(RST if framing == "close" else FIN)  # a FIN would be the end of this body in good order
    if not any(entry.end or entry.lost is not None for entry in pieces):
        steps.append(Pause(inf))

    kept: dict[str, str | None] = {"content-type": None, "cache-control": None}
    kept |= {name: value for name, value in headers.items() if name not in hop_by_hop}
    delay = max(delay / speed, 0.0)
    return Answer(*steps, status=head.response, headers=kept, framing=framing, delay=round(delay, 6))


class _Recorder:
    """Writes the lines of one cassette."""

    def __init__(self, stream: Any, path: Path, harmless: Collection[str]) -> None:
        self._path = path
        self._harmless = harmless
        self._stream: Any = ref(stream)
        self._started_at = stream._now()
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
        if not piece or self._has_left(response):
            return  # compressed bytes that came to nothing yet; or the reader only empties its buffers
        try:
            self._write(data=piece.decode())
        except UnicodeDecodeError:
            self._write(base64=base64.b64encode(piece).decode())

    def end(self, response: Any, error: Exception | None) -> None:
        if self._has_left(response):
            return
        if error is None:
            self._write(end=True)
        elif not isinstance(error, self._stream()._library.TimeoutException):
            self._write(lost=type(error).__name__)

    def _has_left(self, response: Any) -> bool:
        """Whether the stream has left this response, or was made to: what comes of it then is no news."""
        stream = self._stream()
        if stream is None or stream._response is not response:
            return True
        return bool(stream._session.is_closing or stream._channel.is_expired)

    def _begin(self, response: Any) -> None:
        request = response.request
        sent = self._redacted(request.headers.multi_items())
        asked_at = self._stream()._session.attempted_at
        self._write(asked_at, request=request.method, url=redacted_url(str(request.url)), headers=sent)
        self._write(response=response.status_code, headers=self._redacted(response.headers.multi_items()))

    def _redacted(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(name, self._harmless_value(name.lower(), value)) for name, value in headers]

    def _harmless_value(self, name: str, value: str) -> str:
        if name == "location":
            return redacted_url(value)
        return value if name in self._harmless else REDACTED

    def _write(self, now: float | None = None, **entry: Any) -> None:
        now = self._stream()._now() if now is None else now
        line = json.dumps({"time": round(now - self._started_at, 6), **entry})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            # As it is, it would be taken for an error of the connection.
            raise RuntimeError(f"the cassette cannot be written: {error}") from error


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
    fields = (field.partition("=") for field in parts.query.split("&") if field)
    query = "&".join(f"{name}={REDACTED}" if equals else REDACTED for name, equals, _ in fields)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
