"""
Long and nasty streams against the standard, one byte at a time.

`Plain` is the standard's algorithm as a machine that takes one byte and has its whole state after each, so that the
parser can be checked after every piece, even in the middle of a line. At the end of a stream it must agree with the
reference, which takes the whole. The streams are made of lines from a grammar, with every kind of line end, ill-formed
UTF-8, NULs, BOMs and impossible numbers in every place, each repeated up to thousands of times.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st
from reference import BOM, parse

from reliability.proof import SEED, Ledger, fuzz, size
from sse_client import EventParser, EventTooLarge, ServerSentEvent
from sse_client._parser import MAX_RECONNECTION_TIME

# A failing example may be long, and is shown anyway.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

CR, LF = b"\r\n"

# The most memory for a counted byte: a `data` line of two characters counts three, and is a separate string.
OVERHEAD = 32


class Plain:
    """
    The standard (WHATWG HTML, sections 9.2.5 and 9.2.6), a byte at a time; with a limit, up to the event that is too
    large.
    """

    def __init__(self, max_event_size: int = sys.maxsize) -> None:
        self.events: list[ServerSentEvent] = []
        self.comments: list[str] = []
        self.unknown: list[str] = []
        self.last_event_id = ""
        self.reconnection_time: int | None = None
        self.is_too_large = False
        self._max_event_size = max_event_size
        self._bytes = 0
        self._line = bytearray()
        self._is_first = True
        self._is_after_cr = False
        self._data: list[str] = []
        self._event = self._id = ""
        self._has_id = False
        self._retry: int | None = None
        self._block_size = 0

    def take(self, piece: bytes) -> None:
        for byte in piece:
            if self.is_too_large:
                return
            self._bytes += 1
            if byte == LF and self._is_after_cr:
                self._is_after_cr = False
                continue
            self._is_after_cr = byte == CR
            if byte in (CR, LF):
                self._end_line()
            else:
                self._line.append(byte)
                if self._is_first and self._line == BOM:
                    self._is_first = False
                    self._line.clear()
                self.is_too_large = self._block_size + len(self._line) > self._max_event_size

    @property
    def is_mid_block(self) -> bool:
        is_line = bytes(self._line).partition(b":")[0] not in (b"", b"retry")
        return bool(is_line or self._data or self._event or self._has_id)

    @property
    def is_bom(self) -> bool:
        """Whether only a BOM has come; another test is about that."""
        return self._bytes == len(BOM) and not self._is_first and not self._line

    def _end_line(self) -> None:
        line, self._line, self._is_first = self._line.decode("utf-8", "replace"), bytearray(), False
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "" if not colon:
                self._end_block()
            case "":
                self.comments.append(line[1:])
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id":
                self._has_id = True
                self._id = self._id if "\0" in value else value
            case "retry":
                if value.isascii() and value.isdigit():
                    digits = value.lstrip("0") or "0"
                    self._retry = int(digits) if len(digits) < 20 else MAX_RECONNECTION_TIME
                    self.reconnection_time = self._retry = min(self._retry, MAX_RECONNECTION_TIME)
            case _:
                self.unknown.append(line)
        if self._max_event_size < sys.maxsize:
            data = sum(len(value.encode()) + 1 for value in self._data)
            self._block_size = data + len(self._event.encode()) + (len(self._id.encode()) if self._has_id else 0)
            self.is_too_large = self._block_size > self._max_event_size

    def _end_block(self) -> None:
        self.last_event_id = self._id
        if self._data:
            self.events.append(ServerSentEvent(self._event or "message", "\n".join(self._data), self._id, self._retry))
        self._data, self._event, self._has_id, self._retry = [], "", False, None


SCRAPS = st.sampled_from(
    [
        *[b"", b" ", b"a", b"0", b":", b": ", b"\0", b"\t", b"data: x", BOM, BOM[:2], BOM[2:]],
        *[text.encode() for text in "\x0b\x0c\x1c\x85\u2028\u2029é€😀٣"],
        # Halves of characters, bytes that never occur, an overlong one, half of a surrogate pair, beyond Unicode.
        *[b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"],
    ]
)
TIMES = st.sampled_from([0, 1, 1, 1, 2, 3, 50, size(4_000, 40_000)])
VALUES = st.one_of(
    SCRAPS,
    st.tuples(SCRAPS, SCRAPS, SCRAPS).map(b"".join),
    st.builds(lambda scrap, times: scrap * times, SCRAPS, TIMES),
    st.binary(max_size=6),
)
NUMBERS = st.one_of(
    st.integers(0, 10**20).map(lambda number: b"%d" % number),
    st.sampled_from([b"", b"-1", b"+5", b"1_0", b" 7", b"7 ", b"1.5", "٣".encode(), b"9" * 5_000, b"0" * 5_000 + b"8"]),
)
COLONS = st.sampled_from([b":", b": ", b": ", b":  ", b"::", b" :", b""])
NAMES = st.sampled_from(
    [b"data", b"data", b"event", b"id", b"", b"Data", b"data ", b"\0data", b"dat\xc3\xa0", BOM + b"id"]
)
LINES = st.one_of(
    st.sampled_from([b"data: a", b"data:b", b"data", b"event: e", b"id: 1", b"id", b": ping", b"retry: 5", b""]),
    st.sampled_from([b"data: a", b"data: {}", b"event: token", b"id: 42"]),
    st.tuples(NAMES, COLONS, VALUES).map(b"".join),
    st.tuples(st.just(b"retry"), COLONS, NUMBERS).map(b"".join),
    VALUES,
)
NEWLINES = st.sampled_from([b"\n", b"\r", b"\r\n"])
REPEATS = st.sampled_from([1, 1, 2, 5, size(60, 600)])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Blocks of lines in any order, with one kind of line end or with all of them, and many of them repeated."""
    newlines = draw(st.sampled_from([st.just(b"\n"), st.just(b"\r"), st.just(b"\r\n"), NEWLINES]))
    stream = draw(st.sampled_from([b"", b"", BOM, BOM * 2, BOM[:2], b"\xfe\xff"]))
    for _ in range(draw(st.integers(0, 15))):
        lines = [draw(LINES) + draw(newlines) for _ in range(draw(st.integers(0, 5)))]
        block = b"".join(lines) + draw(newlines) * draw(st.sampled_from([1, 1, 1, 0, 2]))
        stream += block * (draw(REPEATS) if len(block) < 200 else 1)
    return stream + draw(VALUES)


# Sizes of pieces, over and over: by the byte, as a network cuts, as a proxy collects.
SIZES = st.lists(st.sampled_from([1, 1, 2, 3, 5, 16, 100, 1_460, 65_536]), min_size=1, max_size=5)


def pieces_of(stream: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for length in cycle(sizes):
        if start >= len(stream):
            return
        yield stream[start : start + length]
        start += length


@seed(SEED)
@fuzz(250, 2_000)
@given(streams(), SIZES)
def test_state_after_each_piece(ledger: Ledger, stream: bytes, sizes: list[int]) -> None:
    """After each piece of any stream, the parser's events and state are those of the standard for its bytes."""
    comments: list[str] = []
    unknown: list[str] = []
    parser = EventParser(on_comment=comments.append, on_unknown=unknown.append)
    plain, count, pieces = Plain(), 0, 0
    for piece in pieces_of(stream, sizes):
        plain.take(piece)
        events = parser.feed(piece)
        assert events == plain.events[count:]
        assert parser.last_event_id == plain.last_event_id
        assert parser.reconnection_time == plain.reconnection_time
        assert (len(comments), len(unknown)) == (len(plain.comments), len(plain.unknown))
        assert parser.is_mid_block == plain.is_mid_block or plain.is_bom
        count, pieces = count + len(events), pieces + 1
    assert (comments, unknown) == (plain.comments, plain.unknown)

    whole = parse(stream)
    assert len(whole.events) == count
    assert [(each.event, each.data, each.id) for each in whole.events] == [
        (each.event, each.data, each.id) for each in plain.events
    ]
    assert (whole.last_event_id, whole.comments) == (plain.last_event_id, plain.comments)
    ledger.add(streams=1, complete=1, events=count, faults=pieces > 1)


def held(parser: EventParser) -> int:
    """The bytes of memory that the parser holds for the stream."""
    lines = {id(line): sys.getsizeof(line) for line in parser._data}  # one that is a single character is shared
    data = sum(lines.values()) + sys.getsizeof(parser._data)
    texts = sys.getsizeof(parser._event) + sys.getsizeof(parser._id) + sys.getsizeof(parser.last_event_id)
    return sys.getsizeof(parser._line) + data + texts


@seed(SEED)
@fuzz(250, 2_000)
@given(streams(), SIZES, st.integers(len(BOM), 3_000))
def test_memory_is_bounded(ledger: Ledger, stream: bytes, sizes: list[int], max_event_size: int) -> None:
    """For any stream, the parser holds a bounded multiple of a piece and `max_event_size`; beyond that it raises."""
    parser = EventParser(max_event_size=max_event_size)
    plain, events = Plain(max_event_size), list[ServerSentEvent]()
    is_too_large, longest = False, 0
    for piece in (*pieces_of(stream, sizes), b"\n"):
        plain.take(piece)
        longest = max(longest, len(piece))
        try:
            events += parser.feed(piece)
        except EventTooLarge:
            is_too_large = True
        assert len(events) == len(plain.events)
        assert held(parser) <= OVERHEAD * max_event_size + 2 * longest + 4_096
        if is_too_large:
            break
    assert (events, is_too_large) == (plain.events, plain.is_too_large)
    ledger.add(streams=1, events=len(events), complete=not is_too_large, faults=is_too_large)


def test_too_large_is_raised_with_a_line_in_hand() -> None:
    """An event that is too large is raised by the next feed, even an empty one, whatever came after it."""
    parser = EventParser(max_event_size=30)
    assert len(parser.feed(b"data: a\n\n" + b"x" * 40 + b"\n ")) == 1
    with pytest.raises(EventTooLarge):
        parser.feed(b"")


def test_nothing_is_kept_behind_what_is_too_large() -> None:
    """A parser that is fed after an event that was too large keeps nothing."""
    parser = EventParser(max_event_size=30)
    for _ in range(1_000):
        with suppress(EventTooLarge):
            parser.feed(b"x" * 10)
    assert held(parser) < 4_096


def test_a_bom_alone_is_an_empty_stream() -> None:
    """A BOM alone does not begin a block: it is stripped, and nothing is left."""
    parser = EventParser()
    assert parser.feed(BOM) == []
    assert not parser.is_mid_block
