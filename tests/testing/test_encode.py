"""`encode` writes events that a parser reads back, and raises for values that no stream can carry."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_client._event import ServerSentEvent
from sse_client.testing import encode

Event = ServerSentEvent


@pytest.mark.parametrize(
    ("events", "stream"),
    [
        ([], b""),
        ([Event()], b"data: \n\n"),
        ([Event(data="hi")], b"data: hi\n\n"),
        ([Event(data=" hi ")], b"data:  hi \n\n"),
        ([Event(data="a\n\nb\n")], b"data: a\ndata: \ndata: b\ndata: \n\n"),
        ([Event(data="a: b\u2028c\x00")], b"data: a: b\xe2\x80\xa8c\x00\n\n"),
        ([Event(event="message", data="x")], b"data: x\n\n"),
        ([Event(event=" ping", data="x")], b"event:  ping\ndata: x\n\n"),
        ([Event("ping", "x", "7", 0)], b"event: ping\nid: 7\nretry: 0\ndata: x\n\n"),
        ([Event(data="a", id="1"), Event(data="b", id="1")], b"id: 1\ndata: a\n\ndata: b\n\n"),
        ([Event(data="a", id="1"), Event(data="b")], b"id: 1\ndata: a\n\nid:\ndata: b\n\n"),
        ([Event(data="a", id=" ")], b"id:  \ndata: a\n\n"),
    ],
)
def test_bytes(events: list[ServerSentEvent], stream: bytes) -> None:
    """
    The fields are written in the order event, id, retry, data, with one space after the colon; defaults are omitted.
    """
    assert encode(*events) == stream


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event(data="a\rb"), r"expected data without CR, got 'a\rb'"),
        (Event(event=""), "expected a non-empty event name without CR, LF and NUL, got ''"),
        (Event(event="a\rb"), r"expected a non-empty event name without CR, LF and NUL, got 'a\rb'"),
        (Event(event="a\nb"), r"expected a non-empty event name without CR, LF and NUL, got 'a\nb'"),
        (Event(event="a\0b"), r"expected a non-empty event name without CR, LF and NUL, got 'a\x00b'"),
        (Event(id="a\rb"), r"expected an id without CR, LF and NUL, got 'a\rb'"),
        (Event(id="a\nb"), r"expected an id without CR, LF and NUL, got 'a\nb'"),
        (Event(id="a\0b"), r"expected an id without CR, LF and NUL, got 'a\x00b'"),
        (Event(retry=-1), "expected retry >= 0 (milliseconds), got -1"),
    ],
)
def test_what_the_wire_cannot_carry(event: ServerSentEvent, message: str) -> None:
    """A value that a parser would read back differently is an error that names the field and the value."""
    with pytest.raises(ValueError) as caught:
        encode(Event(data="before"), event)
    assert str(caught.value) == message


@pytest.mark.parametrize("event", [Event(data="\ud800"), Event(event="\ud800"), Event(id="\ud800")])
def test_half_of_a_surrogate_pair(event: ServerSentEvent) -> None:
    """UTF-8 has no lone surrogates, so they are an error in every field."""
    with pytest.raises(UnicodeEncodeError):
        encode(event)


def text(without: str, min_size: int = 0) -> st.SearchStrategy[str]:
    # Few characters, so that those with a meaning for a parser are frequent.
    return st.text(
        st.sampled_from(" :\n\r\0\ufeff\u2028\x85aé😀") | st.characters(codec="utf-8"), min_size=min_size
    ).map(lambda value: value.translate({ord(character): "-" for character in without}))


encodable = st.builds(
    ServerSentEvent,
    event=st.just("message") | text("\r\n\0", min_size=1),
    data=text("\r"),
    id=st.sampled_from(["", "1", "2"]) | text("\r\n\0"),
    retry=st.none() | st.integers(min_value=0),
)


@settings(deadline=None)
@given(st.lists(encodable))
def test_round_trip(events: list[ServerSentEvent]) -> None:
    """Events that can be encoded are read back unchanged."""
    assert read(encode(*events)) == events


def read(stream: bytes) -> list[ServerSentEvent]:
    """Read a stream by WHATWG HTML, section 9.2.6, line by line; LF is the only line end needed here."""
    events: list[ServerSentEvent] = []
    event, data, last_event_id, retry = "", "", "", None
    for line in stream.decode().removeprefix("\ufeff").split("\n")[:-1]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append(Event(event or "message", data.removesuffix("\n"), last_event_id, retry))
            event, data, retry = "", "", None
        elif name == "event":
            event = value
        elif name == "data":
            data += value + "\n"
        elif name == "id" and "\0" not in value:
            last_event_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            retry = int(value)
    return events
