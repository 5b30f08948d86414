"""
The parser against three sources: a browser's results (`data/`), the standard (`reference.py`), and rules, one by one.

Every stream is parsed whole, byte by byte and in other pieces: the result must not depend on how the network cuts it.
"""

import json
import random
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, NotRequired, TypedDict, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import BOM, Result, parse

from sse_client._errors import EventTooLarge
from sse_client._event import ServerSentEvent
from sse_client._parser import MAX_RECONNECTION_TIME, EventParser

DATA = Path(__file__).parent / "data"

# No clock counts a year of waiting: a "huge" reconnection time may have any value beyond that.
A_YEAR = 365 * 24 * 60 * 60 * 1000


class Vector(TypedDict):
    name: str
    chunks: list[str]
    events: list[dict[str, str]]
    retry: int | None
    comments: list[str]
    last_event_id: str
    after: list[int]


class Recording(TypedDict):
    i: int
    cat: str
    b64: str
    events: list[list[str]]
    spec_events: NotRequired[list[list[str]]]
    retry: int | Literal["huge"] | None
    leid: NotRequired[str | None]
    leid_trim: NotRequired[int]
    comments: int


def json_lines(name: str) -> list[object]:
    # Not splitlines(): the strings hold U+2028.
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").split("\n") if line]


VECTORS = cast("list[Vector]", json_lines("vectors.jsonl"))
RECORDINGS = cast("list[Recording]", json_lines("chromium.jsonl"))


def run(pieces: Iterable[bytes]) -> Result:
    """Parse the pieces; return the result in the reference's terms."""
    comments: list[str] = []
    parser = EventParser(on_comment=comments.append)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return Result(events, parser.last_event_id, parser.reconnection_time, comments)


def in_pieces(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[start : start + size] for start in range(0, len(stream), size))


def cut(stream: bytes, *offsets: int) -> list[bytes]:
    bounds = [0, *sorted(offsets), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


def whole(stream: bytes) -> Iterable[bytes]:
    return [stream]


def byte_by_byte(stream: bytes) -> Iterable[bytes]:
    return in_pieces(stream, 1)


def by_sixteen(stream: bytes) -> Iterable[bytes]:
    return in_pieces(stream, 16)


def at_random(stream: bytes) -> Iterable[bytes]:
    # Seeded by the stream, so that a failure has the same cuts each time.
    generator = random.Random(stream)
    return cut(stream, *(generator.randint(0, len(stream)) for _ in range(generator.randint(1, 8))))


Cutter = Callable[[bytes], Iterable[bytes]]
cutters = pytest.mark.parametrize("pieces", [whole, byte_by_byte, by_sixteen, at_random])


# A browser's results


def assert_is(result: Result, vector: Vector) -> None:
    assert [{"event": e.event, "data": e.data, "id": e.id} for e in result.events] == vector["events"]
    assert result.last_event_id == vector["last_event_id"]
    assert result.reconnection_time == vector["retry"]
    assert result.comments == vector["comments"]


def differences(result: Result, recording: Recording) -> Iterator[str]:
    """Compare with the browser's result for the same stream."""
    events = recording.get("spec_events", recording["events"])
    if (got := [[e.event, e.data, e.id] for e in result.events]) != events:
        yield f"events {got!r}, not {events!r}"

    if recording["retry"] == "huge":
        if result.reconnection_time is None or result.reconnection_time < A_YEAR:
            yield f"reconnection time {result.reconnection_time!r}, not a huge one"
    elif result.reconnection_time != recording["retry"]:
        yield f"reconnection time {result.reconnection_time!r}, not {recording['retry']!r}"

    if len(result.comments) != recording["comments"]:
        yield f"comments {result.comments!r}, not {recording['comments']} of them"

    if "spec_events" in recording:
        # The browser's header is affected by the same bug as its events.
        if result.last_event_id != events[-1][2]:
            yield f"last event ID {result.last_event_id!r}, not {events[-1][2]!r}"
    elif "leid" in recording:
        # The header is UTF-8, and is not sent for an empty ID. An ID of nothing but blanks is sent as an empty header.
        header = result.last_event_id.encode() if result.last_event_id else None
        if header is not None and "leid_trim" in recording:
            header = header.strip(b" \t")
        sent = None if recording["leid"] is None else b64decode(recording["leid"])
        if header != sent:
            yield f"Last-Event-ID {header!r}, not {sent!r}"


def assert_no_differences(read: Callable[[bytes], Result]) -> None:
    found = [
        f"{recording['i']} ({recording['cat']}) {stream!r}: {difference}"
        for recording in RECORDINGS
        for stream in [b64decode(recording["b64"])]
        for difference in differences(read(stream), recording)
    ]
    assert not found, "\n".join([f"{len(found)} differences, of which the first:", *found[:5]])


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vector(vector: Vector) -> None:
    """
    Each named case has its events, ID, reconnection time and comments, and each event is returned with the right piece.
    """
    comments: list[str] = []
    parser = EventParser(on_comment=comments.append)
    events: list[ServerSentEvent] = []
    after: list[int] = []
    for chunk in vector["chunks"]:
        events += parser.feed(b64decode(chunk))
        after.append(len(events))

    assert_is(Result(events, parser.last_event_id, parser.reconnection_time, comments), vector)
    assert after == vector["after"]


@cutters
def test_vectors_in_other_pieces(pieces: Cutter) -> None:
    """The named cases have the same results however their streams are cut."""
    for vector in VECTORS:
        assert_is(run(pieces(b"".join(b64decode(chunk) for chunk in vector["chunks"]))), vector)


@cutters
def test_browser(pieces: Cutter) -> None:
    """4,200 streams have the same results as in Chromium, or the standard's if Chromium has a bug."""
    assert len(RECORDINGS) == 4200
    assert_no_differences(lambda stream: run(pieces(stream)))


def test_reference_agrees_with_the_vectors() -> None:
    """The reference that the tests below trust agrees with the named cases."""
    assert len(VECTORS) == 126
    for vector in VECTORS:
        assert_is(parse(b"".join(b64decode(chunk) for chunk in vector["chunks"])), vector)


def test_reference_agrees_with_the_browser() -> None:
    """The reference agrees with the browser on the 4,200 streams."""
    assert_no_differences(parse)


# The standard, for generated streams

NEWLINES = st.sampled_from([b"\n", b"\r", b"\r\n"])
NAMES = st.sampled_from([b"data", b"event", b"id", b"retry", b"", b"Data", b"foo", b" data", b"\xef\xbb\xbfdata"])
COLONS = st.sampled_from([b": ", b":", b"", b":  ", b"::", b" :"])
VALUES = st.one_of(
    st.sampled_from([b"", b"a", b" ", b"42", b"007", b"-1", b"1_0", b"9" * 19, b"0" * 20 + b"5", b"data: x"]),
    # Line ends of str.splitlines(), digits of str.isdigit(), NUL, a BOM, characters of each length, and broken ones.
    st.sampled_from("\x0b\x0c\x1c\x85\u2028\u2029٣２\0\ufeffé€😀").map(str.encode),
    st.sampled_from([b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xff", b"\x80", b"\xc0\x80", b"\xed\xa0\x80"]),
    st.binary(max_size=3),
)
FIELD_LINES = st.tuples(NAMES, COLONS, VALUES, VALUES).map(b"".join)
# The lines that most servers send.
COMMON_LINES = st.sampled_from([b"data: a", b"data: b", b"event: e", b"event: ", b"id: 1", b"retry: 5", b": ping", b""])
CHUNKS = st.one_of(COMMON_LINES, COMMON_LINES, FIELD_LINES, VALUES, NEWLINES)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Streams close to the format: lines of fields, mostly with one kind of line end, with anything in between."""
    newline = draw(NEWLINES)
    newlines = st.sampled_from([newline, newline, newline, newline * 2, b"\n", b"\r", b"\r\n", b""])
    parts = draw(st.lists(st.tuples(CHUNKS, newlines), max_size=12))
    start = draw(st.sampled_from([b"", b"", b"", BOM, BOM[:2], BOM * 2, newline]))
    return start + b"".join(part for pair in parts for part in pair)


@st.composite
def streams_in_pieces(draw: st.DrawFn) -> list[bytes]:
    """Streams cut anywhere, or after each event and anywhere else: most servers flush event by event."""
    stream = draw(streams())
    flushes = [match.end() for match in re.finditer(rb"\n\n|\r\r|\r\n\r\n", stream)] if draw(st.booleans()) else []
    return cut(stream, *flushes, *draw(st.lists(st.integers(0, len(stream)), max_size=8)))


any_stream = settings(max_examples=150, deadline=None)


def clamped(result: Result) -> Result:
    """The reference counts without a limit; the parser stops at a number that no clock reaches."""
    for event in result.events:
        if event.retry is not None:
            event.retry = min(event.retry, MAX_RECONNECTION_TIME)
    if result.reconnection_time is None:
        return result
    return result._replace(reconnection_time=min(result.reconnection_time, MAX_RECONNECTION_TIME))


@any_stream
@given(streams_in_pieces())
def test_any_stream_in_any_pieces(pieces: list[bytes]) -> None:
    """Any stream, cut anywhere, has the standard's result for the whole."""
    assert run(pieces) == clamped(parse(b"".join(pieces)))


@any_stream
@given(st.lists(st.binary(max_size=20), max_size=6))
def test_any_bytes_in_any_pieces(pieces: list[bytes]) -> None:
    """Arbitrary bytes raise nothing, and have the standard's result."""
    assert run(pieces) == clamped(parse(b"".join(pieces)))


@any_stream
@given(streams())
def test_any_stream_whole_and_byte_by_byte(stream: bytes) -> None:
    """The whole stream at once and each byte by itself have the same result."""
    assert run([stream]) == run(byte_by_byte(stream))


@any_stream
@given(streams())
def test_events_are_prompt(stream: bytes) -> None:
    """After each byte, every event whose blank line has come is returned."""
    comments: list[str] = []
    parser = EventParser(on_comment=comments.append)
    events: list[ServerSentEvent] = []
    for end in range(1, len(stream) + 1):
        events += parser.feed(stream[end - 1 : end])
        due = clamped(parse(stream[:end]))
        assert Result(events, parser.last_event_id, parser.reconnection_time, comments) == due


@any_stream
@given(streams_in_pieces())
def test_hooks_do_not_depend_on_the_cut(pieces: list[bytes]) -> None:
    """Comments and unknown lines are reported in the order of the stream, the same for any cut."""

    def told(pieces: Iterable[bytes]) -> list[tuple[str, str]]:
        calls: list[tuple[str, str]] = []
        parser = EventParser(
            on_comment=lambda text: calls.append(("comment", text)),
            on_unknown=lambda line: calls.append(("unknown", line)),
        )
        for piece in pieces:
            parser.feed(piece)
        return calls

    assert told(pieces) == told([b"".join(pieces)])


@any_stream
@given(streams_in_pieces())
def test_unfinished_is_what_a_blank_line_would_complete(pieces: list[bytes]) -> None:
    """`_unfinished` is the event that would be dispatched if the line and the block ended here, and changes nothing."""
    comments: list[str] = []
    parser = EventParser(on_comment=comments.append)
    events: list[ServerSentEvent] = []
    stream = b""
    for piece in pieces:
        stream += piece
        events += parser.feed(piece)
        completed = clamped(parse(stream + b"\r\r")).events[len(events) :]
        assert parser._unfinished() == (completed[0] if completed else None)

    # The calls have changed nothing.
    assert Result(events, parser.last_event_id, parser.reconnection_time, comments) == clamped(parse(stream))


class Outcome(NamedTuple):
    events: list[ServerSentEvent]
    is_too_large: bool
    last_event_id: str
    reconnection_time: int | None
    comments: list[str]


def run_limited(pieces: Iterable[bytes], max_event_size: int) -> Outcome:
    comments: list[str] = []
    parser = EventParser(max_event_size=max_event_size, on_comment=comments.append)
    events: list[ServerSentEvent] = []
    is_too_large = False
    try:
        for piece in [*pieces, b""]:
            events += parser.feed(piece)
    except EventTooLarge:
        is_too_large = True
    return Outcome(events, is_too_large, parser.last_event_id, parser.reconnection_time, comments)


def sizes(stream: bytes) -> Iterator[tuple[int, int]]:
    """
    For each line, complete or not, its start and the bytes that are kept once it has come: its block so far, and
    itself.
    """
    committed = ""
    data, event_type, event_id = 0, "", ""
    start = len(BOM) if stream.startswith(BOM) else 0
    for line in re.split(rb"\r\n|\n|\r", stream[start:]):
        # An ID is kept for the block only if it differs from the one that is kept anyway.
        kept = data + utf8_length(event_type) + (utf8_length(event_id) if event_id != committed else 0)
        yield start, kept + len(line)
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if line == b"":
            data, event_type, committed = 0, "", event_id
        elif field == "data":
            data += utf8_length(value) + 1
        elif field == "event":
            event_type = value
        elif field == "id" and "\0" not in value:
            event_id = value
        start += len(line)
        start += 2 if stream[start : start + 2] == b"\r\n" else 1


def utf8_length(text: str) -> int:
    return len(text.encode())


@any_stream
@given(streams_in_pieces(), st.integers(len(BOM), 40))
@example([b"id: 1\n\nid: 1\nid: 1\n"], 5)
def test_limit_does_not_depend_on_the_cut(pieces: list[bytes], max_event_size: int) -> None:
    """However a stream is cut, it exceeds the limit at the same line, or never, after the same events."""
    stream = b"".join(pieces)
    ends = [start for start, size in sizes(stream) if size > max_event_size]
    # Events before the line that is too large are returned: the reference ignores an unfinished one.
    before = clamped(parse(stream[: ends[0]] if ends else stream))

    expected = Outcome(before.events, bool(ends), before.last_event_id, before.reconnection_time, before.comments)
    assert run_limited(pieces, max_event_size) == expected
    assert run_limited(byte_by_byte(stream), max_event_size) == expected


# The rules, one by one


def message(data: str, *, id: str = "", retry: int | None = None) -> ServerSentEvent:
    return ServerSentEvent("message", data, id, retry)


def events_of(*pieces: bytes) -> list[ServerSentEvent]:
    return run(pieces).events


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_line_ends(newline: bytes) -> None:
    """LF, CR and CR LF end a line."""
    stream = newline.join([b"event: e", b"data: a", b"data: b", b"", b"data: c", b"", b""])
    assert events_of(stream) == [ServerSentEvent("e", "a\nb"), message("c")]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_no_other_line_ends(character: str) -> None:
    """The other line ends of `str.splitlines` are text, in each field."""
    stream = f"event: e{character}\nid: i{character}\ndata: a{character}data: b\n\n".encode()
    assert events_of(stream) == [ServerSentEvent(f"e{character}", f"a{character}data: b", f"i{character}")]


def test_cr_acts_at_once() -> None:
    """An event is returned with the CR of its blank line. The LF after it may come later, and ends no line."""
    parser = EventParser()
    assert parser.feed(b"data: a\r\n\r") == [message("a")]
    assert parser.feed(b"\n") == []
    assert parser.feed(b"data: b\r") == []
    assert parser.feed(b"\ndata: c\r") == []
    assert parser.feed(b"\r") == [message("b\nc")]


def test_lf_after_cr_in_a_later_piece() -> None:
    """A CR waits for its LF over empty pieces, and only one LF belongs to it."""
    assert events_of(b"data: a\r", b"", b"\n", b"data: b\n\n") == [message("a\nb")]
    assert events_of(b"data: a\r", b"\n\n") == [message("a")]


def test_bom_in_three_pieces() -> None:
    """One leading BOM is dropped, even if each of its bytes comes by itself."""
    assert events_of(b"\xef", b"\xbb", b"\xbf", b"data: a\n\n") == [message("a")]


def test_bom_before_a_blank_line() -> None:
    """A line of only the leading BOM is a blank line, and a BOM in the next line is text."""
    assert events_of(BOM + b"\ndata: a\n\n") == [message("a")]
    assert events_of(BOM + b"\n" + BOM + b"data: a\n\n") == []


def test_second_bom_is_text() -> None:
    """Only one BOM is dropped, and only at the start of the stream."""
    assert events_of(BOM + BOM + b"data: a\n\n") == []
    assert events_of(b"data: a\n\n" + BOM + b"data: b\n\n") == [message("a")]


def test_half_a_bom_is_text() -> None:
    """Two bytes of a BOM are ill-formed text, so the field has another name."""
    assert events_of(b"\xef\xbbdata: a\n\ndata: b\n\n") == [message("b")]


def test_ill_formed_bytes() -> None:
    """Bytes that are not UTF-8 become U+FFFD, one for each maximal subpart, and swallow no line end."""
    assert events_of(b"data: \xf0\x9f\x98\ndata: \xff\xffa\xed\xa0\x80\n\n") == [
        message("\ufffd\n\ufffd\ufffda" + "\ufffd" * 3)
    ]


def test_character_in_pieces() -> None:
    """A character may be cut anywhere."""
    assert events_of(*byte_by_byte("data: é€😀\n\n".encode())) == [message("é€😀")]


def test_empty_data() -> None:
    """`data:` alone, or `data` without a colon, is an event with empty data."""
    assert events_of(b"data:\n\n", b"data\n\n", b"data: \n\n") == [message("")] * 3


def test_empty_data_lines() -> None:
    """Each data line adds a line feed, and only the last is removed."""
    assert events_of(b"data\ndata\n\n", b"data: a\ndata:\n\n") == [message("\n"), message("a\n")]


def test_one_space_is_removed() -> None:
    """One space after the colon is not part of the value; a second one is, and so is a tab."""
    assert events_of(b"data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n") == [
        message(data) for data in ("a", "a", " a", "\ta")
    ]


def test_block_without_data() -> None:
    """A block without data dispatches nothing, and its event type does not reach the next block."""
    assert events_of(b"event: e\n\ndata: a\n\n") == [message("a")]


def test_event_type() -> None:
    """The last `event` of a block is its type, and an empty one is `message`. `data` may come before it."""
    assert events_of(b"event: a\ndata: x\nevent: b\n\n") == [ServerSentEvent("b", "x")]
    assert events_of(b"event: a\ndata: x\nevent\n\n") == [message("x")]
    assert events_of(b"event: \ndata: x\n\n", b"event:\ndata: y\n\n") == [message("x"), message("y")]


def test_id_persists() -> None:
    """An ID holds for each event until the next `id`; an empty one clears it."""
    stream = b"id: 1\ndata: a\n\ndata: b\n\ndata: c\nid: 2\n\nid\ndata: d\n\ndata: e\n\n"
    assert [event.id for event in events_of(stream)] == ["1", "1", "2", "", ""]


def test_id_of_a_block_without_data() -> None:
    """The ID of a block without data counts from its blank line on."""
    parser = EventParser()
    assert parser.feed(b"id: 1\n") == []
    assert parser.last_event_id == ""
    assert parser.feed(b"\n") == []
    assert parser.last_event_id == "1"
    assert parser.feed(b"data: a\n\n") == [message("a", id="1")]


def test_id_of_an_unfinished_block() -> None:
    """The ID of an unfinished block does not count, even if only the blank line is missing."""
    assert run([b"id: 1\ndata: a\n\nid: 2\ndata: b\n"]).last_event_id == "1"


def test_id_with_nul_is_ignored() -> None:
    """An ID that contains NUL is ignored, and the one before it stays. NUL elsewhere is text."""
    assert events_of(b"id: 1\nid: 2\0\ndata: a\0\n\n") == [message("a\0", id="1")]


def test_first_last_event_id() -> None:
    """The events of a parser with an initial ID have it until the stream sends another."""
    parser = EventParser(last_event_id="7")
    assert parser.last_event_id == "7"
    assert parser.feed(b"data: a\n\n\n\nid: 8\ndata: b\n\n") == [message("a", id="7"), message("b", id="8")]
    assert EventParser(last_event_id="7").feed(b"id\ndata: a\n\n") == [message("a")]


def test_retry() -> None:
    """`retry` takes effect with the end of its line, and needs neither data nor a blank line."""
    parser = EventParser()
    assert parser.reconnection_time is None
    parser.feed(b"retry: 1500")
    assert parser.reconnection_time is None
    parser.feed(b"\n")
    assert parser.reconnection_time == 1500


def test_retry_of_each_block() -> None:
    """An event's `retry` is that of its own block, or `None`; the parser's stays."""
    parser = EventParser()
    events = parser.feed(
        b"retry: 1\nretry: 2\ndata: a\n\ndata: b\n\nretry: 3\n\ndata: c\n\nretry: 0\ndata: d\n\ndata: e\n\n"
    )
    assert [event.retry for event in events] == [2, None, None, 0, None]
    assert parser.reconnection_time == 0


@pytest.mark.parametrize(
    "value", ["", "+5", "-5", "1_0", " 5", "5 ", "5.0", "0x5", "1e3", "٣", "２", "²", "5\0", "5\ufeff"]
)
def test_retry_is_ascii_digits(value: str) -> None:
    """A `retry` of anything but ASCII digits is ignored, even if `int()` or `str.isdigit()` would accept it."""
    result = run([f"retry: 7\ndata: a\n\nretry: {value}\ndata: b\n\n".encode()])
    assert result.events == [message("a", retry=7), message("b")]
    assert result.reconnection_time == 7


def test_retry_of_5000_digits() -> None:
    """A `retry` of more digits than `int()` accepts is clamped, and raises nothing."""
    result = run([b"retry: " + b"9" * 5000 + b"\ndata: a\n\n"])
    assert result.reconnection_time == MAX_RECONNECTION_TIME
    assert result.events == [message("a", retry=MAX_RECONNECTION_TIME)]


def test_retry_with_5000_zeros() -> None:
    """Leading zeros do not count: the number is read in base ten."""
    assert run([b"retry: " + b"0" * 5000 + b"70\n"]).reconnection_time == 70
    assert run([b"retry: " + b"0" * 5000 + b"\n"]).reconnection_time == 0


def test_field_names_are_literal() -> None:
    """A field's name has one spelling, without blanks."""
    assert events_of(b"Data: a\n\ndata : b\n\n data: c\n\ndatas: d\n\nda: e\n\n") == []


def test_comments() -> None:
    """`on_comment` gets the text after the colon, its space included, when the line ends."""
    comments: list[str] = []
    parser = EventParser(on_comment=comments.append)
    parser.feed(b": ping")
    assert comments == []
    parser.feed(b"\n:\n::a\n")
    assert comments == [" ping", "", ":a"]


@pytest.mark.parametrize(
    "pieces", [[b": a\n\ndata: 1\n\n: b\ndata: 2\n: c\n\n: d\n"], [b": a\n\ndata: 1\n", b"\n: b\n"]]
)
def test_where_a_comment_stands(pieces: list[bytes]) -> None:
    """During `on_comment`, `_completed` is the number of events that the same piece has completed before it."""
    places: list[tuple[str, int]] = []
    parser = EventParser(on_comment=lambda text: places.append((text, parser._completed)))
    for piece in pieces:
        parser.feed(piece)
    assert places == [(" a", 0), (" b", 1), (" c", 1), (" d", 2)][: 4 if len(pieces) == 1 else 2]


def test_comments_change_nothing() -> None:
    """A comment in the middle of a block is not part of it."""
    assert events_of(b"event: e\n: x\ndata: a\n: y\ndata: b\n: z\n\n") == [ServerSentEvent("e", "a\nb")]


def test_comments_and_blank_lines_make_no_events() -> None:
    """A keep-alive comment with its blank line is not an event, even after an event with an ID."""
    assert events_of(b"id: 1\ndata: a\n\n: ping\n\n\n\n: ping\n\n") == [message("a", id="1")]


def test_unknown_lines() -> None:
    """`on_unknown` gets the whole line of each field that is not in the standard, and no other line."""
    unknown: list[str] = []
    parser = EventParser(on_unknown=unknown.append)
    parser.feed(b'error: {"a": 1}\n{"detail":"x"}\nfoo\n : x\nData:y\n')
    parser.feed(b"data: a\nevent: e\nid: 1\nid: 2\0\nretry: 1\nretry: x\n: c\n\n")
    assert unknown == ['error: {"a": 1}', '{"detail":"x"}', "foo", " : x", "Data:y"]


def test_hooks_come_in_order() -> None:
    """The hooks are called while the piece is parsed, before its events are returned."""
    calls: list[str] = []
    parser = EventParser(on_comment=calls.append, on_unknown=calls.append)
    calls += [event.data for event in parser.feed(b":1\n2\ndata: 4\n\n:3\n")]
    assert calls == ["1", "2", "3", "4"]


def test_bom_is_no_part_of_the_first_line() -> None:
    """The hooks see the first line without its BOM."""
    calls: list[str] = []
    EventParser(on_unknown=calls.append).feed(BOM + b"foo\n")
    EventParser(on_comment=calls.append).feed(BOM + b":bar\n")
    assert calls == ["foo", "bar"]


def test_empty_piece() -> None:
    """An empty piece completes nothing and changes nothing."""
    assert events_of(b"", b"data: a", b"", b"\n", b"", b"\n", b"") == [message("a")]


def test_the_list_is_the_callers() -> None:
    """The list that `feed` returns is never changed later."""
    parser = EventParser()
    first = parser.feed(b"data: a\n\n")
    parser.feed(b"data: b\n\n")
    assert first == [message("a")]


def test_unfinished_event_is_never_returned() -> None:
    """Without its blank line, an event is never returned."""
    assert events_of(b"data: a\n\ndata: b\n") == [message("a")]
    assert events_of(b"data: a\n\ndata: b") == [message("a")]


# Unfinished events


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", None),
        (b"data: a\n\n", None),
        (b"data: a\n", message("a")),
        (b"data: a", message("a")),
        (b"data: [DONE]\r\n", message("[DONE]")),
        (b"data: a\ndata: b", message("a\nb")),
        (b"data: a\ndata", message("a\n")),
        (b"data: a\nevent: e", ServerSentEvent("e", "a")),
        (b"data: a\nid: 1\nretry: 5\n", message("a", id="1", retry=5)),
        (b"id: 1\ndata: a\n\ndata: b\n", message("b", id="1")),
        (b"data: \xf0\x9f\x98", message("\ufffd")),
        (BOM + b"data: a", message("a")),
        (BOM, None),
        (b"event: e\nid: 1\n", None),
        (b"dat", None),
        (b": data: a", None),
        (b"data: a\n\n: ping\n", None),
    ],
)
def test_unfinished(stream: bytes, expected: ServerSentEvent | None) -> None:
    """`_unfinished` is the open block as an event, with its open line as if it were complete; `None` without data."""
    parser = EventParser()
    parser.feed(stream)
    assert parser._unfinished() == expected
    assert parser._unfinished() == expected


def test_unfinished_changes_nothing() -> None:
    """`_unfinished` commits no ID and no reconnection time, calls no hook, and the block continues."""
    calls: list[str] = []
    parser = EventParser(on_comment=calls.append, on_unknown=calls.append)
    parser.feed(b"id: 1\ndata: a\nretry: 5")
    assert parser._unfinished() == message("a", id="1", retry=5)
    assert parser.last_event_id == ""
    assert parser.reconnection_time is None
    parser.feed(b"0\n: comm")
    parser._unfinished()
    parser.feed(b"ent\nfo")
    parser._unfinished()
    assert calls == [" comment"]
    assert parser.feed(b"o\ndata: b\r") == []
    assert parser._unfinished() == message("a\nb", id="1", retry=50)
    assert parser.feed(b"\n\n") == [message("a\nb", id="1", retry=50)]
    assert calls == [" comment", "foo"]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", False),
        (b"\n\n", False),
        (b"data: a\n\n", False),
        (b"data: a\r\n\r", False),
        (b": ping\n", False),
        (b"data: a\n\n: ping\n", False),
        (b"retry: 5\n", False),
        (b"foo\n", False),
        (b"data: a\n", True),
        (b"data\n", True),
        (b"event: e\n", True),
        (b"id: 1\n", True),
        (b"data: a\n: ping\n", True),
        (b"data: a\n\nid: 1\r", True),
        (b"d", True),
        (b": pi", False),
        (b"retry: 5", False),
        (b"retr", True),
        (b"data: a\n: pi", True),
        (b"data: a\n\nfo", True),
    ],
)
@pytest.mark.parametrize("pieces", [whole, byte_by_byte])
def test_is_mid_block(stream: bytes, expected: bool, pieces: Cutter) -> None:
    """A block is open after a line of an event without its end, or a field of one without its blank line."""
    parser = EventParser()
    for piece in pieces(stream):
        parser.feed(piece)
    assert parser.is_mid_block is expected


def test_is_mid_block_with_the_same_id() -> None:
    """An `id` that repeats the last one still opens a block."""
    parser = EventParser()
    parser.feed(b"id: 1\ndata: a\n\n")
    assert not parser.is_mid_block
    parser.feed(b"id: 1\n")
    assert parser.is_mid_block
    parser.feed(b"\n")
    assert not parser.is_mid_block


# Limits


def feed_until_too_large(parser: EventParser, pieces: Iterable[bytes]) -> list[ServerSentEvent]:
    events: list[ServerSentEvent] = []
    with pytest.raises(EventTooLarge):
        for piece in [*pieces, b""]:
            events += parser.feed(piece)
    return events


@cutters
@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (b"data: 0123456789\n\n", 16),
        (b"data: 0123456789\r\n\r\n", 16),
        (b"data: 0123456789", 16),
        (BOM + b"data: 0123456789\n\n", 16),
        (b": 0123456789\n", 12),
        (b"foo: 0123456789\n", 15),
        (b"0123456789", 10),
        (b"retry: 0123456789\n", 17),
        # An ill-formed byte is kept as U+FFFD, three bytes.
        (b"data: \xff\xff\xff\xff\n\n", 4 * 3 + 1),
        ("data: €€\n\n".encode(), 12),
        # The bytes kept before, and the line: 11 + 6, then 2 + 6 and so on.
        (b"data: 0123456789\ndata:0\n\n", 11 + 6),
        (b"data:0\ndata: 0123456789\n\n", 2 + 16),
        (b"data\ndata\ndata\ndata\n\n", 3 + 4),
        (b"event: 0123\nid: 01234567\ndata:0\n\n", 4 + 8 + 6),
        (b"data: a\n: 0123456789\n\n", 2 + 12),
        # The next block starts from zero.
        (b"data: 0123456789\n\ndata: 01234567890\n\n", 17),
        (b"id: 0123456789\ndata: 0\n\ndata: 0123\n\n", 10 + 7),
    ],
)
def test_max_event_size(stream: bytes, size: int, pieces: Cutter) -> None:
    """The bytes kept for an event plus the current line may be as large as the limit, and no byte larger."""
    parser = EventParser(max_event_size=size)
    events = [event for piece in pieces(stream) for event in parser.feed(piece)]
    assert events == parse(stream).events

    feed_until_too_large(EventParser(max_event_size=size - 1), pieces(stream))


@cutters
def test_events_before_a_too_large_one(pieces: Cutter) -> None:
    """The events that were complete before the one that is too large are returned first."""
    stream = b"data: a\n\nid: 1\ndata: b\n\ndata: 0123456789\n\ndata: c\n\n"
    parser = EventParser(max_event_size=15)
    assert feed_until_too_large(parser, pieces(stream)) == [message("a"), message("b", id="1")]
    assert parser.last_event_id == "1"


@pytest.mark.parametrize("too_large", [b"data: 0123456789\n\ndata: c\n\n", b"data: 0123456789"])
def test_too_large_is_raised_by_the_next_feed(too_large: bytes) -> None:
    """
    A piece that completes an event before one that is too large returns it. The next `feed` raises, even if empty.
    """
    parser = EventParser(max_event_size=15)
    assert parser.feed(b"data: a\n\n" + too_large) == [message("a")]
    with pytest.raises(EventTooLarge):
        parser.feed(b"")


def test_too_large_is_raised_again() -> None:
    """After an event that is too large, the parser accepts nothing more, and raises each time."""
    parser = EventParser(max_event_size=15)
    feed_until_too_large(parser, [b"data: 0123456789\n\n"])
    for piece in [b"", b"data: a\n\n", b""]:
        with pytest.raises(EventTooLarge, match="15"):
            parser.feed(piece)
    assert parser._unfinished() is None


def test_unfinished_never_raises() -> None:
    """If only the end of the line would make the event too large, by its U+FFFD, `_unfinished` still raises nothing."""
    parser = EventParser(max_event_size=10)
    parser.feed(b"data: \xff\xff\xff\xff")
    assert parser._unfinished() in (None, message("\ufffd" * 4))


@cutters
@pytest.mark.parametrize("line", [b": ping\n", b"foo: bar\n", b"retry: 5\n", b"event: e\n", b"id: 1\n", b": ping\r\n"])
def test_lines_that_nothing_is_kept_of(line: bytes, pieces: Cutter) -> None:
    """An endless block of lines that are not kept, or that replace each other, is never too large."""
    stream = line * 100 + b"\ndata: a\n\n"
    parser = EventParser(max_event_size=20)
    events = [event for piece in pieces(stream) for event in parser.feed(piece)]
    assert [event.data for event in events] == ["a"]


@pytest.mark.parametrize("start", [b"data: ", b": ", b"foo", BOM])
def test_endless_line(start: bytes) -> None:
    """A line without an end becomes too large, whether or not any of it would be kept."""
    parser = EventParser(max_event_size=1000)
    parser.feed(start)
    with pytest.raises(EventTooLarge):
        for _ in range(1001):
            parser.feed(b"x")


def test_endless_block() -> None:
    """A block without an end becomes too large, however short its lines."""
    parser = EventParser(max_event_size=1000)
    with pytest.raises(EventTooLarge):
        for _ in range(1001):
            parser.feed(b"data\n")


def test_default_max_event_size() -> None:
    """The default limit allows an event of several MiB, such as a picture."""
    data = b"x" * (4 * 1024 * 1024)
    [event] = events_of(b"data: " + data + b"\n\n")
    assert len(event.data) == len(data)


@pytest.mark.parametrize(
    ("line", "newline"),
    [(b"", b""), (b"data: 0123456789", b"\n"), (b"data: 0123456789", b"\r\n"), (b": 0123456789", b"\n")],
    ids=["one line", "lines", "lines with CR LF", "comments"],
)
def test_time_is_linear(line: bytes, newline: bytes) -> None:
    """In pieces of 16 bytes, four times the bytes take about four times as long, not sixteen times."""

    def seconds(size: int) -> float:
        body = (line + newline) * (size // len(line + newline)) if line else b"x" * size
        pieces = [b"data: ", *in_pieces(body, 16), b"\n\n"]
        best = float("inf")
        for _ in range(3):
            parser = EventParser()
            start = time.process_time()
            for piece in pieces:
                parser.feed(piece)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(1024 * 1024) < 8 * seconds(256 * 1024)
