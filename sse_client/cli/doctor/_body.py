"""
The body of an exchange, taken apart: decompressed pieces, events with their times, and lines as they were written.

The parser of the library reads the events. It is lenient, as the standard wants it, so the lines are looked at here
once more: for all that a client silently ignores.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from sse_client import EventParser, EventTooLarge, ServerSentEvent

from ._decoding import MAX_BYTES, decoder_of
from ._exchange import Exchange, Piece

FIELDS = frozenset({"data", "event", "id", "retry"})
LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|\Z)")
BOM = b"\xef\xbb\xbf"
ENDS = {b"\n": "LF", b"\r\n": "CRLF", b"\r": "CR"}

# More than any stream has in the minutes that are watched. Each is an object, and 64 MiB may hold ten million.
MAX_EVENTS = 200_000
MAX_LINES = 1_000_000
# What the parser gets at once: a limit can stop it in between.
STEP = 65_536  # bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, and when its last byte came: in seconds since the request."""

    time: float
    event: ServerSentEvent


@dataclass(slots=True)
class Lines:
    """The lines of a body."""

    ends: Counter[str] = field(default_factory=Counter[str])
    """How many lines end in LF, CRLF and CR."""
    unknown: Counter[str] = field(default_factory=Counter[str])
    """Fields that the standard does not have, by name."""
    bare: list[str] = field(default_factory=list[str])
    """Lines without a colon: a client takes the whole line for the name of a field."""
    retries: list[str] = field(default_factory=list[str])
    """The values of `retry`."""
    ids: int = 0
    """`id` fields with a value that clients keep."""
    nul_ids: int = 0
    """`id` fields with a NUL, which clients ignore."""
    count: int = 0
    """Lines that are not blank."""
    first: list[str] = field(default_factory=list[str])
    """The first lines that are not blank."""


@dataclass(slots=True)
class Body:
    """A body, decompressed and read."""

    pieces: tuple[Piece, ...] = ()
    """Decompressed; one for each piece of the exchange, some of them empty."""
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    comments: list[float] = field(default_factory=list[float])
    """When each comment came."""
    ends_inside: list[bool] = field(default_factory=list[bool])
    """For each piece: whether it ends inside an event."""
    fault: str = ""
    """Why the rest could not be decompressed or read; empty if all was."""
    limit: str = ""
    """After how much the rest was not looked at; empty if all was."""
    lines: Lines = field(default_factory=Lines)
    data: bytes = b""
    """All of it, in one."""

    @property
    def has_bom(self) -> bool:
        return self.data.startswith(BOM)

    @property
    def is_utf8(self) -> bool:
        try:
            self.data.decode()
        except UnicodeDecodeError as error:
            return error.end >= len(self.data) and error.reason == "unexpected end of data"
        return True

    @property
    def unfinished(self) -> bytes:
        """What comes after the last blank line: clients drop it."""
        return re.split(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n|\r\n\r", self.data)[-1]


def body_of(exchange: Exchange) -> Body:
    """Decompress and read the body of an exchange."""
    body = Body()
    now = 0.0
    parser = EventParser(on_comment=lambda _: body.comments.append(now))
    pieces: list[Piece] = []
    try:
        for piece in _decompressed(exchange):
            now, end = piece.time, 0
            while end < len(piece.data) and not body.limit:
                end += STEP
                body.arrivals += [Arrival(now, event) for event in parser.feed(piece.data[end - STEP : end])]
                if len(body.arrivals) + len(body.comments) >= MAX_EVENTS:
                    body.limit = f"{MAX_EVENTS} events"
            pieces.append(piece if end >= len(piece.data) else Piece(now, piece.data[:end]))
            body.ends_inside.append(parser.is_mid_block)
            if body.limit:
                break
    except TooLarge as error:
        body.limit = str(error)
    except (EventTooLarge, ValueError) as error:
        body.fault = str(error)
    body.pieces = tuple(pieces)
    body.data = b"".join(piece.data for piece in pieces)
    body.lines = _lines_of(body.data)
    return body


class TooLarge(Exception):
    """The body is larger than is looked at."""


def _decompressed(exchange: Exchange) -> Iterator[Piece]:
    """Decompress each piece as far as it goes. Raises `ValueError` at the first fault."""
    if not exchange.coding:
        yield from exchange.pieces
        return
    decode = decoder_of(exchange.coding)
    left = MAX_BYTES
    for piece in exchange.pieces:
        try:
            data = decode(piece.data, left)
        except Exception as error:  # each module raises one of its own
            raise ValueError(f"the {exchange.coding} data is damaged") from error
        left -= len(data)
        yield Piece(piece.time, data)
        if left <= 0:
            raise TooLarge(f"{MAX_BYTES // 1024 // 1024} MiB, decompressed")


def _lines_of(data: bytes) -> Lines:
    lines = Lines()
    for match in islice(LINE.finditer(data.removeprefix(BOM)), MAX_LINES):
        raw, end = match.groups()
        if end:
            lines.ends[ENDS[end]] += 1
        if not raw:
            continue
        lines.count += 1
        line = raw.decode("utf-8", "replace")
        if len(lines.first) < 20:
            lines.first.append(line)
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name or not end:
            continue  # a comment, or a line that is not complete
        if not colon and name not in FIELDS:
            lines.bare.append(line)
        elif name not in FIELDS:
            lines.unknown[name] += 1
        elif name == "retry":
            lines.retries.append(value)
        elif name == "id" and "\0" in value:
            lines.nul_ids += 1
        elif name == "id" and value:
            lines.ids += 1
    return lines
