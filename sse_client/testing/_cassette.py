"""
Recordings of real streams: written to a file piece by piece, and played again as a script.

A cassette has one JSON object per line. Each connection of the stream has a `request` (the method; URL, headers), a
`response` (the status; HTTP version, headers), then each piece as `data`, or as `base64` if the piece alone is not
UTF-8, and finally `end`, or `lost` with the name of the error. Without either, the recording stopped there: the reader
left, or one of its clocks ran out. `time` is in seconds since the recording began, by the stream's own clock.

Secrets are left out: the values of all headers that are not known to be harmless, the values of the URL's query, the
user in the URL, and the body of the request. The body of the response is recorded in full.
"""

import base64
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import inf, isnan
from os import PathLike
from pathlib import Path
from typing import Any, Self, overload
from urllib.parse import urlsplit, urlunsplit

from pydantic import Base64Bytes, BaseModel, ValidationError

from sse_client._shells.async_ import AsyncEventStream
from sse_client._shells.codings import coding_of, decoder_for
from sse_client._shells.recording import Recorder
from sse_client._shells.sync import EventStream
from sse_client._typed import T
from sse_client.testing._script import FIN, RST, Answer, Framing, Pause, Step

REDACTED = "[redacted]"

# By their meaning in RFC 9110 and 9111, these identify no person. The value of any other header may be a secret.
HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "cache-control", "connection", "content-encoding", "content-length"),
        *("content-type", "date", "keep-alive", "last-event-id", "retry-after", "retry-after-ms", "server"),
        *("transfer-encoding", "user-agent", "vary", "x-accel-buffering", "x-should-retry"),
    }
)

# These describe how one connection carried the body. The replay carries it differently.
HOP_BY_HOP = frozenset({"connection", "content-encoding", "keep-alive", "transfer-encoding"})


@overload
def record(
    stream: EventStream[T],
    path: str | PathLike[str] | Recorder,
    *,
    keep: Collection[str] = (),
    redact: Collection[str] = (),
) -> EventStream[T]: ...
@overload
def record(
    stream: AsyncEventStream[T],
    path: str | PathLike[str] | Recorder,
    *,
    keep: Collection[str] = (),
    redact: Collection[str] = (),
) -> AsyncEventStream[T]: ...
def record(
    stream: Any, path: str | PathLike[str] | Recorder, *, keep: Collection[str] = (), redact: Collection[str] = ()
) -> Any:
    """
    Write a cassette of the stream to `path` while it is read. Returns the stream, to enter and read as usual.

    Each piece is written when it is received, with its time, so if the program dies the cassette is complete up to that
    moment. If the stream reconnects, all of its connections are recorded. `keep` names headers whose values are not
    secret; the values of all others, except common ones, are replaced by "[redacted]". `redact` names common headers
    of the request whose values are secret too.

    A `Recorder` in place of the path is told about each piece and its time. A stream may have several recorders.

    Raises `RuntimeError` for a stream that was already entered, because its beginning is lost. Reading the stream
    raises it if the file cannot be written.
    """
    if isinstance(path, str | PathLike):
        harmless = frozenset(name.lower() for name in keep) | HARMLESS
        stream._record(_Recorder(Path(path), harmless, frozenset(name.lower() for name in redact)))
    else:
        stream._record(path)
    return stream


def replay(path: str | PathLike[str], *, speed: float = 1.0) -> tuple[Answer, ...]:
    """
    Read a cassette and return its responses as scripts, one per connection, in order.

    The pieces are the recorded ones. The pauses between them are divided by `speed`: 2 is twice as fast, `math.inf`
    removes them. A lost connection is cut after its last piece; a connection whose recording stops before its end goes
    silent there. Pass the scripts to `EventServer(*replay(path))` or `scripted_transport`, and each through `Faults` to
    cut the pieces differently.

    Raises `ValueError` for a speed that is not above 0, and for a file that is not a cassette; the error names the
    wrong line.
    """
    if isnan(speed) or speed <= 0:
        raise ValueError(f"expected speed > 0, got {speed!r}")
    return tuple(_answer(connection, speed) for connection in read_cassette(path))


@dataclass(frozen=True, slots=True)
class Connection:
    """
    A connection of a cassette, as it was recorded. All times are in seconds since the beginning of the recording.

    The value of a header that may be a secret is `"[redacted]"`.
    """

    method: str
    """The method of the request; empty if the cassette has no request."""
    url: str
    """The URL of the request, without its user and the values of its query."""
    request_headers: tuple[tuple[str, str], ...]
    """The headers of the request; a recorded name is in lower case."""
    requested_at: float
    """When the request was sent."""
    status: int
    """The status of the response."""
    http_version: str
    """The HTTP version of the response, as in `"HTTP/1.1"`; empty if the cassette does not have it."""
    headers: tuple[tuple[str, str], ...]
    """The headers of the response; a recorded name is in lower case."""
    opened_at: float
    """When the head of the response was received."""
    pieces: tuple[tuple[float, bytes], ...] = ()
    """The pieces of the body, decompressed, each with its time."""
    ended_at: float | None = None
    """When the body ended or was lost; `None` if the recording stopped before."""
    lost: str | None = None
    """The name of the error that cut the body; `None` if it did not."""


def read_cassette(path: str | PathLike[str]) -> tuple[Connection, ...]:
    """
    Read a cassette, and return its connections with their original times, in order. `replay` makes scripts of them.

    Raises `ValueError` for a file that is not a cassette; the error names the wrong line.
    """
    connections: list[tuple[_Entry, _Entry, list[_Entry]]] = []
    request = _Entry(time=0.0)
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        entry = _Entry.of(line, f"{Path(path)}, line {number}")
        if entry.request is not None:
            request = entry
        elif entry.response is not None:
            connections.append((request, entry, []))
        elif connections:
            connections[-1][-1].append(entry)
        else:
            raise ValueError(f"{Path(path)}, line {number}: expected a response before its body")
    if not connections:
        raise ValueError(f"expected a cassette in {path}, got a file without a response")
    return tuple(_connection(*entries) for entries in connections)


def _connection(request: "_Entry", response: "_Entry", body: "list[_Entry]") -> Connection:
    assert response.response is not None
    pieces = [(entry.time, entry.base64 if entry.data is None else entry.data.encode()) for entry in body]
    ends = [entry for entry in body if entry.end or entry.lost is not None]
    return Connection(
        method=request.request or "",
        url=request.url,
        request_headers=tuple(request.headers),
        requested_at=request.time,
        status=response.response,
        http_version=response.version,
        headers=tuple(response.headers),
        opened_at=response.time,
        pieces=tuple((time, data) for time, data in pieces if data is not None),
        ended_at=ends[-1].time if ends else None,
        lost=ends[-1].lost if ends else None,
    )


def write_cassette(path: str | PathLike[str], *connections: Connection, keep: Collection[str] = ()) -> None:
    """
    Write connections to a cassette, without secrets. `keep` is that of `record`, which writes while a stream is read.

    Raises `OSError` if the file cannot be written.
    """
    recorder = _Recorder(Path(path), frozenset(name.lower() for name in keep) | HARMLESS)
    recorder.begin(0.0)
    for connection in connections:
        recorder.write(connection)


class _Entry(BaseModel, strict=True, extra="forbid"):
    """A line of a cassette."""

    time: float
    request: str | None = None
    url: str = ""
    response: int | None = None
    version: str = ""
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


def _answer(connection: Connection, speed: float) -> Answer:
    """Return the script of one connection."""
    headers = {name.lower(): value for name, value in connection.headers if value != REDACTED}
    hop_by_hop = HOP_BY_HOP
    if coding := coding_of(headers.get("content-encoding", "")):
        if decoder_for(coding) is None:
            hop_by_hop -= {"content-encoding"}  # the body was recorded as it came
        else:
            headers.pop("content-length", None)  # of the compressed body, and the recorded one is decompressed
    framing: Framing = "length" if "content-length" in headers else "chunked"
    if headers.get("connection") == "close" and "transfer-encoding" not in headers and framing == "chunked":
        framing = "close"

    steps: list[Step] = []
    now = connection.opened_at

    def wait_until(time: float) -> None:
        nonlocal now
        pause = round((time - now) / speed, 6)  # microseconds, as recorded
        now = time
        if pause > 0:
            steps.append(Pause(pause))

    for time, data in connection.pieces:
        wait_until(time)
        steps.append(data)
    if connection.ended_at is None:
        steps.append(Pause(inf))
    else:
        wait_until(connection.ended_at)
        if connection.lost is not None:
            steps.append(RST if framing == "close" else FIN)  # a FIN would end this body cleanly

    kept: dict[str, str | None] = {"content-type": None, "cache-control": None}
    kept |= {name: value for name, value in headers.items() if name not in hop_by_hop}
    delay = max((connection.opened_at - connection.requested_at) / speed, 0.0)
    return Answer(*steps, status=connection.status, headers=kept, framing=framing, delay=round(delay, 6))


class _Recorder:
    """Writes the lines of one cassette: the `Recorder` of a stream."""

    def __init__(self, path: Path, harmless: Collection[str], secret: Collection[str] = ()) -> None:
        self._path = path
        self._harmless = harmless
        self._secret = secret  # headers of the request
        self._started_at = 0.0

    def begin(self, now: float) -> None:
        self._started_at = now
        self._path.write_bytes(b"")

    def opened(self, response: Any, requested_at: float, now: float) -> None:
        request = response.request
        sent = self._redacted(request.headers.multi_items(), self._secret)
        self._write(requested_at, request=request.method, url=redacted_url(str(request.url)), headers=sent)
        headers = self._redacted(response.headers.multi_items())
        self._write(now, response=response.status_code, version=response.http_version, headers=headers)

    def received(self, data: bytes, now: float) -> None:
        try:
            self._write(now, data=data.decode())
        except UnicodeDecodeError:
            self._write(now, base64=base64.b64encode(data).decode())

    def ended(self, error: Exception | None, now: float) -> None:
        if error is None:
            self._write(now, end=True)
        else:
            self._write(now, lost=type(error).__name__)

    def write(self, connection: Connection) -> None:
        sent, headers = self._redacted(connection.request_headers), self._redacted(connection.headers)
        url = redacted_url(connection.url)
        self._write(connection.requested_at, request=connection.method, url=url, headers=sent)
        version = {"version": connection.http_version} if connection.http_version else {}
        self._write(connection.opened_at, response=connection.status, **version, headers=headers)
        for time, data in connection.pieces:
            self.received(data, time)
        if connection.lost is not None:
            self._write(connection.ended_at or 0.0, lost=connection.lost)
        elif connection.ended_at is not None:
            self._write(connection.ended_at, end=True)

    def _redacted(self, headers: Iterable[tuple[str, str]], secret: Collection[str] = ()) -> list[tuple[str, str]]:
        return [
            (name, REDACTED if name.lower() in secret else self._harmless_value(name.lower(), value))
            for name, value in headers
        ]

    def _harmless_value(self, name: str, value: str) -> str:
        if name == "location":
            return redacted_url(value)
        return value if name in self._harmless else REDACTED

    def _write(self, now: float, **entry: Any) -> None:
        line = json.dumps({"time": round(now - self._started_at, 6), **entry})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            # An `OSError` would look like an error of the connection.
            raise RuntimeError(f"the cassette cannot be written: {error}") from error


def redacted_url(url: str) -> str:
    """Return the URL without its user, the values of its query and its fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    fields = (field.partition("=") for field in parts.query.split("&") if field)
    query = "&".join(f"{name}={REDACTED}" if equals else REDACTED for name, equals, _ in fields)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
