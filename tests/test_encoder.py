"""`EventEncoder` writes events that a parser reads back, and no value forges a field."""

import enum
import inspect
import re
import textwrap
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sse_client
from sse_client import AsyncSSEClient, EventEncoder, EventParser, ServerSentEvent, SSEClient, StreamInterrupted
from sse_client.testing import RST, Answer, scripted_transport

Event = ServerSentEvent


def encoded(*events: ServerSentEvent, last_event_id: str = "") -> bytes:
    encoder = EventEncoder(last_event_id=last_event_id)
    return b"".join(map(encoder.encode, events))


class Read:
    """Everything that a parser finds in a stream, in pieces of some sizes."""

    def __init__(self, stream: bytes, sizes: Iterator[int] | None = None, last_event_id: str = "") -> None:
        self.events: list[ServerSentEvent] = []
        self.comments: list[str] = []
        self.unknown: list[str] = []
        parser = EventParser(
            last_event_id=last_event_id, on_comment=self.comments.append, on_unknown=self.unknown.append
        )
        while stream:
            size = len(stream) if sizes is None else next(sizes)
            self.events += parser.feed(stream[:size])
            stream = stream[size:]
        self.is_mid_block = parser.is_mid_block
        self.reconnection_time = parser.reconnection_time
        self.last_event_id = parser.last_event_id


@pytest.mark.parametrize(
    ("events", "stream"),
    [
        ([], b""),
        ([Event()], b"data: \n\n"),
        ([Event(data="hi")], b"data: hi\n\n"),
        ([Event(data=" hi ")], b"data:  hi \n\n"),
        ([Event("message", "hi")], b"data: hi\n\n"),
        ([Event("ping", "")], b"event: ping\ndata: \n\n"),
        ([Event(" ping", "x")], b"event:  ping\ndata: x\n\n"),
        ([Event("ping", "x", "7", 0)], b"event: ping\nid: 7\nretry: 0\ndata: x\n\n"),
        ([Event(data="a\n\nb\n")], b"data: a\ndata: \ndata: b\ndata: \n\n"),
        ([Event(data="a\rb\r\nc\n\rd")], b"data: a\ndata: b\ndata: c\ndata: \ndata: d\n\n"),
        ([Event(data="\r")], b"data: \ndata: \n\n"),
        ([Event(data="a\x0b\x0c\x1c\x85\u2028b")], "data: a\x0b\x0c\x1c\x85\u2028b\n\n".encode()),
        ([Event(data="a\0b")], b"data: a\0b\n\n"),
        ([Event(data="\ufeff")], b"data: \xef\xbb\xbf\n\n"),
        ([Event(data="a", id="1"), Event(data="b", id="1")], b"id: 1\ndata: a\n\ndata: b\n\n"),
        ([Event(data="a", id="1"), Event(data="b", id="2")], b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"),
        ([Event(data="a", id="1"), Event(data="b")], b"id: 1\ndata: a\n\nid:\ndata: b\n\n"),
        ([Event(data="a", id="1"), Event(data="b"), Event(data="c")], b"id: 1\ndata: a\n\nid:\ndata: b\n\ndata: c\n\n"),
        ([Event(data="a", id=" ")], b"id:  \ndata: a\n\n"),
    ],
)
def test_bytes(events: list[ServerSentEvent], stream: bytes) -> None:
    """
    The fields are written in the order event, id, retry, data, with one space after the colon; defaults are omitted.
    """
    assert encoded(*events) == stream


@pytest.mark.parametrize(
    ("last_event_id", "id", "stream"),
    [
        ("", "", b"data: a\n\n"),
        ("7", "7", b"data: a\n\n"),
        ("7", "8", b"id: 8\ndata: a\n\n"),
        ("7", "", b"id:\ndata: a\n\n"),
    ],
)
def test_an_id_that_the_receiver_has(last_event_id: str, id: str, stream: bytes) -> None:
    """An ID is written only if it differs from the receiver's, and an empty one resets it."""
    assert encoded(Event(data="a", id=id), last_event_id=last_event_id) == stream


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("", b":\n\n"),
        ("ping", b":ping\n\n"),
        (" ping", b": ping\n\n"),
        ("a\nb\rc\r\nd", b":a\n:b\n:c\n:d\n\n"),
        ("\n", b":\n:\n\n"),
        ("\n\ndata: forged\n\n", b":\n:\n:data: forged\n:\n:\n\n"),
        ("a\0b", b":a\0b\n\n"),
    ],
)
def test_comment(text: str, stream: bytes) -> None:
    """The text of a comment follows the colon as it is, and each of its lines is a comment."""
    assert EventEncoder().comment(text) == stream


@pytest.mark.parametrize(
    ("milliseconds", "stream"), [(0, b"retry: 0\n\n"), (3000, b"retry: 3000\n\n"), (True, b"retry: 1\n\n")]
)
def test_retry(milliseconds: int, stream: bytes) -> None:
    """A reconnection time is sent in its own block."""
    assert EventEncoder().retry(milliseconds) == stream


@pytest.mark.parametrize("milliseconds", [1.5, "1", "1\ndata: forged", None])
def test_retry_that_is_not_a_number_of_milliseconds(milliseconds: object) -> None:
    """A reconnection time must be an integer; nothing else is converted to one."""
    with pytest.raises(TypeError):
        EventEncoder().retry(milliseconds)  # type: ignore[arg-type]
    if milliseconds is not None:
        with pytest.raises(TypeError):
            encoded(Event(retry=milliseconds))  # type: ignore[arg-type]


REFUSED = [
    (Event(event=""), "expected a non-empty event name without CR, LF and NUL, got ''"),
    (Event(event="a\rb"), r"expected a non-empty event name without CR, LF and NUL, got 'a\rb'"),
    (Event(event="a\n"), r"expected a non-empty event name without CR, LF and NUL, got 'a\n'"),
    (Event(event="a\0"), r"expected a non-empty event name without CR, LF and NUL, got 'a\x00'"),
    (Event(id="a\rb"), r"expected an id without CR, LF and NUL, got 'a\rb'"),
    (Event(id="\n"), r"expected an id without CR, LF and NUL, got '\n'"),
    (Event(id="a\0b"), r"expected an id without CR, LF and NUL, got 'a\x00b'"),
    (Event(retry=-1), "expected retry >= 0 (milliseconds), got -1"),
]


@pytest.mark.parametrize(("event", "message"), REFUSED)
def test_what_the_format_cannot_carry(event: ServerSentEvent, message: str) -> None:
    """A value that a parser would read back differently is an error that names the field and the value."""
    with pytest.raises(ValueError) as caught:
        encoded(event)
    assert str(caught.value) == message


def test_a_refused_value_is_shortened() -> None:
    """The error about a value of any size fits in a log line."""
    with pytest.raises(ValueError) as caught:
        encoded(Event(event="\n" * 1_000_000))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("event", [Event(data="\ud800"), Event("\ud800"), Event(id="\ud800")])
def test_half_of_a_surrogate_pair(event: ServerSentEvent) -> None:
    """UTF-8 has no lone surrogates, so they are an error in every field, and in comments."""
    with pytest.raises(UnicodeEncodeError):
        encoded(event)
    with pytest.raises(UnicodeEncodeError):
        EventEncoder().comment("\ud800")


@pytest.mark.parametrize("event", [*(event for event, _ in REFUSED), Event(data="\ud800", id="2")])
def test_an_error_changes_nothing(event: ServerSentEvent) -> None:
    """After an error the encoder continues as if the event had not been given."""
    encoder = EventEncoder(last_event_id="1")
    with pytest.raises(ValueError):
        encoder.encode(event)
    assert encoder.encode(Event(data="a", id="1")) == b"data: a\n\n"


class Kind(str, enum.Enum):  # noqa: UP042 - a StrEnum formats as its value, this does not
    TOKEN = "token"
    SEVEN = "7"


def test_members_of_an_enumeration() -> None:
    """A member of a `str` enumeration is written as its value."""
    event = Event(Kind.TOKEN, Kind.TOKEN, Kind.SEVEN)
    assert encoded(event) == b"event: token\nid: 7\ndata: token\n\n"
    assert EventEncoder().comment(Kind.TOKEN) == b":token\n\n"


def test_repr() -> None:
    """The repr shows the state."""
    encoder = EventEncoder()
    assert repr(encoder) == "<EventEncoder last_event_id=''>"
    encoder.encode(Event(id="7"))
    assert repr(encoder) == "<EventEncoder last_event_id='7'>"


# Few characters, so that those with a meaning for a parser are frequent.
anything = st.text(st.sampled_from(" :\n\r\0\ufeff\u2028\x85aé😀") | st.characters(codec="utf-8")) | st.sampled_from(
    ["\ndata: forged\n\n", "\r\rdata: forged\r\r", "\0\nid: forged", "\nevent: forged", "\n: forged", "\nretry: 1\n\n"]
)
names = anything.map(lambda text: re.sub(r"[\r\n\0]", "-", text) or "message")
ids = st.sampled_from(["", "1", "2"]) | anything.map(lambda text: re.sub(r"[\r\n\0]", "-", text))
retries = st.none() | st.integers(min_value=0, max_value=10**18)
events = st.builds(Event, names, anything, ids, retries)
sizes = st.lists(st.integers(min_value=1, max_value=9), min_size=1)


def cycle(values: list[int]) -> Iterator[int]:
    while True:
        yield from values


def normalised(text: str) -> str:
    return re.sub(r"\r\n|\r", "\n", text)


@settings(deadline=None)
@given(st.lists(events), sizes, st.sampled_from(["", "1", "7"]))
def test_round_trip(events: list[ServerSentEvent], sizes: list[int], last_event_id: str) -> None:
    """A parser reads back the same events, however the bytes are cut; only the line ends in data become LF."""
    read = Read(encoded(*events, last_event_id=last_event_id), cycle(sizes), last_event_id)
    assert read.events == [Event(event.event, normalised(event.data), event.id, event.retry) for event in events]
    assert (read.comments, read.unknown, read.is_mid_block) == ([], [], False)


@settings(deadline=None)
@given(st.lists(events | anything | st.integers(0, 10**18)), sizes)
def test_comments_and_times_between_events(parts: list[ServerSentEvent | str | int], sizes: list[int]) -> None:
    """Comments and reconnection times between events change no event, and are read back too."""
    encoder = EventEncoder()
    stream = b""
    for part in parts:
        match part:
            case ServerSentEvent():
                stream += encoder.encode(part)
            case str():
                stream += encoder.comment(part)
            case int():
                stream += encoder.retry(part)
    read = Read(stream, cycle(sizes))
    sent = [part for part in parts if isinstance(part, ServerSentEvent)]
    assert read.events == [Event(event.event, normalised(event.data), event.id, event.retry) for event in sent]
    assert read.comments == [line for part in parts if isinstance(part, str) for line in normalised(part).split("\n")]
    times = [part if isinstance(part, int) else part.retry for part in parts if not isinstance(part, str)]
    known = [time for time in times if time is not None]
    assert read.reconnection_time == (known[-1] if known else None)
    assert read.unknown == []


@settings(deadline=None)
@given(anything, anything, anything, st.integers(-1, 1))
def test_nothing_forges_a_field(name: str, data: str, id: str, retry: int) -> None:
    """For any values, a parser reads one event with exactly these values, or encoding raises."""
    is_refused = name == "" or set(name) & {"\r", "\n", "\0"} or set(id) & {"\r", "\n", "\0"} or retry < 0
    try:
        stream = encoded(Event(name, data, id, retry))
    except ValueError:
        assert is_refused
        return
    assert not is_refused
    read = Read(stream)
    assert read.events == [Event(name, normalised(data), id, retry)]
    assert (read.comments, read.unknown, read.last_event_id) == ([], [], id)


UPSTREAM = b": hi\n\nid: 1\ndata: a\r\n\r\nevent: note\rdata: b\rdata: c\r\rid\ndata: d\n\ndata: [DONE]\n\n"


def test_a_relay() -> None:
    """The relay in the docstring forwards the events of another server, with names, IDs, resets, and the `[DONE]`."""
    text = inspect.getdoc(EventEncoder)
    assert text is not None
    scope: dict[str, Any] = {"AsyncIterator": AsyncIterator, **vars(sse_client)}
    exec(textwrap.dedent(text[text.index("    async def relay") :]), scope)
    relay = scope["relay"]

    async def relayed() -> bytes:
        http = httpx.AsyncClient(base_url="http://upstream", transport=scripted_transport(Answer(UPSTREAM)))
        async with http, AsyncSSEClient(http_client=http) as client:
            return b"".join([piece async for piece in relay(client, "hi")])

    stream = anyio.run(relayed)
    assert stream == b"id: 1\ndata: a\n\nevent: note\ndata: b\ndata: c\n\nid:\ndata: d\n\ndata: [DONE]\n\n"
    assert Read(stream).events == Read(UPSTREAM).events


def test_a_relay_of_a_cut_stream() -> None:
    """A relay of a stream that is cut has sent only complete events."""
    encoder = EventEncoder()
    sent = b""
    transport = scripted_transport(Answer("data: a\n\nid: 2\ndata: b", RST))
    http = httpx.Client(base_url="http://upstream", transport=transport)
    with http, SSEClient(http_client=http) as client, pytest.raises(StreamInterrupted):
        for event in client.get("/chat"):
            sent += encoder.encode(event)
    assert sent == b"data: a\n\n"
