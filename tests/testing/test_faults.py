"""
A fault changes the bytes that a client receives as described, and nothing else.

A plain httpx client over a scripted transport, which keeps pieces apart, receives the bytes. That a stream survives its
faults is shown with `resumable`, which remembers, and a cut at each possible place.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from math import inf
from typing import Any, Literal

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shells import Shell

from sse_client import EventParser, LastEventID, RetryPolicy, ServerSentEvent
from sse_client.testing import (
    FIN,
    RST,
    Answer,
    EventServer,
    Faults,
    Pause,
    RecordedRequest,
    encode,
    pings,
    resumable,
    scripted_transport,
)
from sse_client.testing._faults import MAX_RANDOM_PIECE, Cut
from sse_client.testing._script import Framing, Headers, Script

URL = "https://api.example.org/chat"
LineEnd = Literal["\n", "\r\n", "\r"]
LINE_ENDS: list[LineEnd] = ["\n", "\r\n", "\r"]
CUTS: list[Cut] = ["bytes", "random", "crlf", "characters"]

EVENTS = [
    ServerSentEvent(data="1", id="a"),
    ServerSentEvent(event="token", data="é\n\n€", id="b", retry=10),
    ServerSentEvent(data="", id="c"),
    ServerSentEvent(data="😀x", id="d"),
]
BODY = encode(*EVENTS)
ENDS = [len(encode(*EVENTS[:count])) for count in range(len(EVENTS) + 1)]


@dataclass
class Received:
    """The pieces of a response that a plain client receives, and the error that it ends with."""

    pieces: list[bytes]
    error: type[Exception] | None
    response: httpx.Response

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def receive(script: Script) -> Received:
    with (
        httpx.Client(transport=scripted_transport(script), timeout=5) as client,
        client.stream("POST", URL) as response,
    ):
        received = Received([], None, response)
        try:
            received.pieces.extend(response.iter_raw())
        except httpx.HTTPError as error:
            received.error = type(error)
        return received


def parse(body: bytes) -> list[ServerSentEvent]:
    return EventParser().feed(body)


def split(body: bytes, places: list[int]) -> list[bytes]:
    """Cut a body at these places, wherever they are."""
    marks = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(marks)]


def request() -> RecordedRequest:
    return RecordedRequest("POST", "/", Headers([]), b"", 1)


Places = st.lists(st.integers(0, 10_000), max_size=8)
Lines = st.lists(st.sampled_from(["data: é", "data", ":€", "id: 1", "event: 😀", "", "\ufeff", "x"]), max_size=20)


@pytest.mark.parametrize(
    ("cut", "pieces"),
    [
        ("bytes", [b"a", b"\r", b"\n", b"\xc3", b"\xa9", b"b"]),
        ("crlf", [b"a\r", b"\n\xc3\xa9", b"b"]),
        ("characters", [b"a\r\n\xc3", b"\xa9", b"b"]),
    ],
)
def test_cut(cut: Cut, pieces: list[bytes]) -> None:
    """Each step is cut in its own way; separate steps stay apart."""
    assert receive(Faults(cut=cut)(Answer("a\r\né", b"", "b"))).pieces == pieces


def test_cut_in_every_place_of_a_character() -> None:
    """With `cut="characters"`, a body is cut after each byte of a character except its last."""
    assert receive(Faults(cut="characters")(Answer("a€😀b"))).pieces == [
        *(b"a\xe2", b"\x82", b"\xac\xf0"),
        *(b"\x9f", b"\x98", b"\x80b"),
    ]


def test_cut_at_random() -> None:
    """Random pieces are short, the same for one seed, and different for another."""
    body = b"x" * 2000
    pieces = [receive(Faults(cut="random", seed=seed)(Answer(body))).pieces for seed in (1, 1, 2)]
    assert pieces[0] == pieces[1] != pieces[2]
    assert {len(piece) for piece in pieces[0][:-1]} == set(range(1, MAX_RANDOM_PIECE + 1))


@given(
    lines=Lines,
    line_end=st.sampled_from(LINE_ENDS),
    places=Places,
    cut=st.sampled_from(CUTS),
    seed=st.integers(),
    framing=st.sampled_from(["chunked", "length", "close"]),
)
def test_any_cut_gives_the_same_bytes(
    lines: list[str], line_end: str, places: list[int], cut: Cut, seed: int, framing: Framing
) -> None:
    """However a script is cut, its bytes and its end are the same."""
    body = line_end.join(lines).encode()
    received = receive(Faults(cut=cut, seed=seed)(Answer(*split(body, places), framing=framing)))
    assert (received.body, received.error) == (body, None)


@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("count", range(len(EVENTS) + 2))
def test_stop_behind_each_event(count: int, framing: Framing) -> None:
    """`after_events` whole events come, then the connection is cut; a body with fewer events is not changed."""
    received = receive(Faults(after_events=count)(Answer(*EVENTS, framing=framing)))
    assert received.body == (BODY[: ENDS[count]] if count <= len(EVENTS) else BODY)
    # With a length, a body whose last byte has come is whole, whatever happens to the connection after it.
    is_cut = count < len(EVENTS) or (count == len(EVENTS) and framing == "chunked")
    assert received.error is (httpx.RemoteProtocolError if is_cut else None)


@given(after=st.integers(0, len(BODY) + 2), places=Places, cut=st.sampled_from(CUTS) | st.none())
def test_stop_behind_each_byte(after: int, places: list[int], cut: Cut | None) -> None:
    """Exactly `after_bytes` bytes come, whatever the steps of the script and its pieces."""
    received = receive(Faults(after_bytes=after, cut=cut)(Answer(*split(BODY, places))))
    assert received.body == BODY[:after]
    assert received.error is (httpx.RemoteProtocolError if after <= len(BODY) else None)


@given(count=st.integers(0, len(EVENTS)), places=Places, line_end=st.sampled_from(LINE_ENDS))
def test_stop_behind_an_event_of_any_script(count: int, places: list[int], line_end: LineEnd) -> None:
    """The events of the body are counted, not the steps that write it, whatever its line ends."""
    body = BODY.replace(b"\n", line_end.encode())
    received = receive(Faults(after_events=count)(Answer(*split(body, places))))
    assert parse(received.body) == EVENTS[:count]
    assert body.startswith(received.body)
    assert count == 0 or parse(received.body[:-1]) == EVENTS[: count - 1]


@pytest.mark.parametrize(
    ("then", "behind", "error"),
    [
        (FIN, b"", httpx.RemoteProtocolError),
        (RST, b"", httpx.ReadError),
        (Pause(inf), b"", httpx.ReadTimeout),
        (pings(4, 3), b": ping\n\n" * 3, None),
        (pings(6), b": ping\n\n", httpx.ReadTimeout),
        (b"\xff<html>", b"\xff<html>", None),
        (EVENTS[3], encode(EVENTS[3]), None),
        (("<html>", Pause(4), "\n", RST), b"<html>\n", httpx.ReadError),
        ((), b"", None),
        (lambda: None, b"", None),
    ],
    ids=["FIN", "RST", "stall", "pings", "slow pings", "garbage", "event", "several", "nothing", "call"],
)
@pytest.mark.parametrize("where", [{"after_events": 1}, {"after_bytes": ENDS[1]}], ids=["events", "bytes"])
def test_then(where: dict[str, Any], then: Any, behind: bytes, error: type[Exception] | None) -> None:
    """`then` replaces the rest; after anything but FIN and RST the body ends cleanly."""
    received = receive(Faults(then=then, **where)(Answer(*EVENTS)))
    assert (received.body, received.error) == (BODY[: ENDS[1]] + behind, error)


def test_then_in_the_place_of_all() -> None:
    """With `after_events=0` nothing of the body is played, not even its pauses and calls."""
    fault = Faults(after_events=0, then=RST)
    received = receive(fault(Answer(Pause(inf), lambda: pytest.fail("called"), *EVENTS)))
    assert (received.body, received.error) == (b"", httpx.ReadError)


def test_the_length_of_the_whole() -> None:
    """The head still announces the length of the whole body, an event that is sent twice included."""
    for duplicate, size in ((None, len(BODY)), (1, len(BODY) + ENDS[1])):
        received = receive(Faults(after_events=2, duplicate=duplicate)(Answer(*EVENTS, framing="length")))
        assert received.response.headers["content-length"] == str(size)
        assert received.error is httpx.RemoteProtocolError
    longer = Answer(*EVENTS, framing="length", headers={"Content-Length": "9999"})
    assert receive(Faults(duplicate=1)(longer)).response.headers["content-length"] == "9999"


def test_all_else_of_an_answer_is_kept() -> None:
    """Status, headers, framing and delay are those of the script."""
    answer = Answer(*EVENTS, status=201, headers={"X-Id": "1"}, framing="close", delay=2)
    assert Faults(after_bytes=0, then=())(answer)(request()) == answer.playing([])


@given(number=st.integers(1, len(EVENTS) + 1), places=Places, line_end=st.sampled_from(LINE_ENDS))
def test_duplicate(number: int, places: list[int], line_end: LineEnd) -> None:
    """One event comes twice in a row, and all others once; a number without an event changes nothing."""
    received = receive(Faults(duplicate=number, line_end=line_end)(Answer(*split(BODY, places))))
    assert parse(received.body) == EVENTS[:number] + EVENTS[number - 1 :]
    assert received.error is None


def test_duplicate_behind_a_byte_order_mark() -> None:
    """The first event is sent twice even if a byte order mark comes before it."""
    received = receive(Faults(duplicate=1)(Answer("\ufeffdata: 1\n\ndata: 2\n\n")))
    assert [event.data for event in parse(received.body)] == ["1", "1", "2"]


@given(number=st.integers(1, len(EVENTS) + 1), places=Places, line_end=st.sampled_from(LINE_ENDS))
def test_damage(number: int, places: list[int], line_end: LineEnd) -> None:
    """The UTF-8 of one event is damaged, and of no other; it is still an event."""
    received = receive(Faults(damage=number, line_end=line_end)(Answer(*split(BODY, places))))
    spoilt = [replace(event, data=event.data.replace("é", "�").replace("😀", "�")) for event in EVENTS]
    spoilt[0].data, spoilt[2].data = "1�", "�"
    events = parse(received.body)
    assert events[number - 1 : number] == spoilt[number - 1 : number]
    assert events[: number - 1] + events[number:] == EVENTS[: number - 1] + EVENTS[number:]


@pytest.mark.parametrize(
    ("event", "spoilt"),
    [
        ("data: aé€\n\n", b"data: a\xc3\xe2\x82\xac\n\n"),
        ("data: €é\n\n", b"data: \xe2\x82\xc3\xa9\n\n"),
        ("data: 😀\n\n", b"data: \xf0\x9f\x98\n\n"),
        ("data: a\nid: 1\r\n\r\n", b"data: a\nid: 1\xff\r\n\r\n"),
        ("data:\r\r", b"data:\xff\r\r"),
    ],
)
def test_what_damage_is(event: str, spoilt: bytes) -> None:
    """The first character of several bytes loses its last one; if there is none, an invalid byte is added."""
    assert receive(Faults(damage=1)(Answer(event))).body == spoilt


@given(
    lines=st.lists(st.sampled_from(["data: é", ":", "", "\n", "\r", "\r\n"])),
    places=Places,
    line_end=st.sampled_from(LINE_ENDS),
)
def test_line_end(lines: list[str], places: list[int], line_end: LineEnd) -> None:
    """Each line end is replaced, even if a step ends between CR and LF; nothing else changes."""
    body = "".join(lines).encode()
    received = receive(Faults(line_end=line_end)(Answer(*split(body, places))))
    assert received.body == re.sub(rb"\r\n|\r|\n", line_end.encode(), body)


def test_all_at_once() -> None:
    """The faults of one `Faults` are applied in order: line ends, events, pieces, and the stop."""
    fault = Faults(line_end="\r\n", damage=1, duplicate=2, cut="crlf", after_events=3)
    received = receive(fault(Answer("data: 1\n\ndata: 2\n\ndata: 3\n\n")))
    assert received.pieces == [
        *(b"data: 1\xff\r", b"\n\r", b"\ndata: 2\r", b"\n\r"),
        *(b"\ndata: 2\r", b"\n\r"),
    ]
    assert [event.data for event in parse(received.body)] == ["1�", "2", "2"]


def test_other_steps_stay_where_they_are() -> None:
    """Pauses, calls and the end of a script are neither cut nor moved, whatever happens to the bytes around them."""
    fault = Faults(cut="crlf", line_end="\r\n", duplicate=1, damage=1)
    answer = fault(Answer("data: 1\n", Pause(1), "\n", print, ":", RST))(request())
    assert answer.steps == (
        *(b"data: 1\xff\r", b"\n", Pause(1)),
        *(b"\rdata: 1\xff\r", b"\n\r", b"\n", print, b":", RST),
    )


@pytest.mark.parametrize("hits", [0, 1, 3])
def test_requests(hits: int) -> None:
    """Only the first `requests` requests get the fault; each faulty script counts its own."""
    fault = Faults(after_bytes=0, then="x", requests=hits)
    for script in (Answer("ab"), lambda request: Answer("ab")):
        transport = scripted_transport(fault(script))
        with httpx.Client(transport=transport) as client:
            assert [client.post(URL).text for _ in range(4)] == ["x"] * hits + ["ab"] * (4 - hits)


def test_answer(shell: Shell) -> None:
    """`answer=` replaces the script's response for the first requests, and the stream comes through after them."""
    for answer in (Answer.json({"error": "busy"}, status=503), Answer("<html>", status=502), Answer(status=429)):
        transport = scripted_transport(Faults(answer=answer, requests=2)(Answer(*EVENTS)))
        result = shell.read(URL, http={"transport": transport})
        assert result.events == EVENTS
        assert len(transport.requests) == 3


def test_functions_are_asked_for_each_request() -> None:
    """A script that is a function is called for each request, and the fault applies to its response."""
    fault = Faults(cut="bytes")
    with httpx.Client(transport=scripted_transport(fault(lambda request: Answer(request.body)))) as client:
        assert [client.post(URL, content=text).text for text in ("ab", "é")] == ["ab", "é"]


def test_nested() -> None:
    """Faults apply to faulty scripts, each with its own count of requests."""
    inner = Faults(after_events=3, then=EVENTS[0], requests=2)
    outer = Faults(after_events=1, cut="bytes", requests=1)
    transport = scripted_transport(outer(inner(Answer(*EVENTS))))
    bodies = []
    with httpx.Client(transport=transport) as client:
        for _ in range(3):
            body = b""
            try:
                with client.stream("POST", URL) as response:
                    for piece in response.iter_raw():
                        body += piece
            except httpx.RemoteProtocolError:
                body += b"cut"
            bodies.append(body)
    assert bodies == [BODY[: ENDS[1]] + b"cut", BODY[: ENDS[3]] + BODY[: ENDS[1]], BODY]


@pytest.mark.parametrize(
    "options",
    [
        {"after_events": 1, "after_bytes": 1},
        {"after_events": -1},
        {"after_bytes": -1},
        {"duplicate": 0},
        {"damage": 0},
        {"requests": -1},
        {"answer": Answer(), "cut": "bytes"},
        {"answer": Answer(), "after_events": 0},
        {"answer": Answer(), "line_end": "\r"},
    ],
    ids=str,
)
def test_faults_that_cannot_be(options: dict[str, Any]) -> None:
    """Contradictory faults and counts that are too low are an error at once."""
    with pytest.raises(ValueError, match="expected"):
        Faults(**options)


def test_a_raw_answer() -> None:
    """A fault on a raw response, which has no body, is an error of the request, or of the server when it is closed."""
    raw = Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", framing="raw")
    with pytest.raises(ValueError, match="got a raw one"):
        receive(Faults(cut="bytes")(raw))
    server = EventServer(Faults(cut="bytes")(raw)).start()
    with pytest.raises(httpx.TransportError):
        httpx.post(server.url)
    with pytest.raises(ValueError, match="got a raw one"):
        server.close()
    assert receive(Faults(cut="bytes", requests=0)(raw)).body == b"ab"
    assert receive(Faults(answer=raw)(Answer())).body == b"ab"


REMEMBERED = resumable(*EVENTS)
REMEMBERED_SIZE = sum(len(encode(event)) for event in EVENTS)
RESUME: dict[str, Any] = {
    "resume": LastEventID(retry=RetryPolicy(initial_delay=0, jitter=0)),
    # A cut before the first event is not resumed but retried.
    "retry": RetryPolicy(initial_delay=0, jitter=0, retry_ambiguous=True),
}
ALL_CUTS: list[Faults] = [
    *(Faults(after_events=count, requests=1) for count in range(len(EVENTS) + 1)),
    *(Faults(after_bytes=size, requests=1) for size in range(REMEMBERED_SIZE + 1)),
    *(Faults(after_events=count) for count in range(1, len(EVENTS) + 1)),
]


def test_every_cut_is_survived(shell: Shell) -> None:
    """Cut after any event or byte, on the first connection or on each, a resumed stream has each event once."""
    for fault, end in zip(ALL_CUTS, cycle((FIN, RST, FIN)), strict=False):
        transport = scripted_transport(replace(fault, then=end)(REMEMBERED))
        result = shell.read(URL, http={"transport": transport}, **RESUME)
        assert (result.error, result.events) == (None, EVENTS), fault
        assert len(transport.requests) > 1


@pytest.mark.parametrize("shell", [Shell("sync", httpx), Shell("asyncio", httpx), Shell("trio", httpx2)], ids=str)
def test_every_cut_is_survived_on_a_socket(shell: Shell) -> None:
    """A resumed stream also survives real cuts; many streams at once, because each waits before it reconnects."""
    faults = ALL_CUTS[:: 1 if shell.kind == "sync" else 3]
    scripts = {f"/{number}": fault(REMEMBERED) for number, fault in enumerate(faults)}
    with EventServer(lambda request: scripts[request.target](request)) as server, ThreadPoolExecutor(32) as threads:
        results = threads.map(lambda path: shell.read(f"{server.url}{path}", **RESUME), scripts)
        for result, fault in zip(results, faults, strict=True):
            assert (result.error, result.events) == (None, EVENTS), fault


def test_the_end_of_an_announced_length() -> None:
    """After steps that do not close it, a body that is shorter than its length ends with the connection."""
    faulty = Faults(after_events=1, then=b": bye\n\n")(Answer("data: 1\n\n", "data: 2\n\n", framing="length"))
    with (
        EventServer(faulty) as server,
        httpx.Client(timeout=5) as client,
        pytest.raises(httpx.RemoteProtocolError, match="18"),
    ):
        client.post(server.url)
