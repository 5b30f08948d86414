"""
A response is a value, and a script a function of the request: both are tested here without playing them.

Their bytes are the same on a socket and without one, and are tested with `wire`, which both use.
"""

import http.client
import json
import math
import time

import pytest

from sse_client import EventParser, ServerSentEvent
from sse_client.testing import (
    FIN,
    RST,
    Answer,
    EventServer,
    Pause,
    RecordedRequest,
    pings,
    resumable,
    scripted_transport,
)
from sse_client.testing._script import Headers, Scripts, wire


def request(method: str = "POST", **headers: str) -> RecordedRequest:
    named = ((name.replace("_", "-"), value) for name, value in headers.items())
    return RecordedRequest(method, "/", Headers(named), b"", 1)


def events_of(answer: Answer) -> list[ServerSentEvent]:
    return EventParser().feed(b"".join(step for step in answer.steps if isinstance(step, bytes)))


def test_json() -> None:
    """A JSON response has its media type, its length and its status."""
    answer = Answer.json({"error": {"message": "é"}}, status=429)
    head, body = wire(answer, request())
    assert isinstance(body, bytes)
    assert head == (
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    assert json.loads(body) == {"error": {"message": "é"}}


def test_delay() -> None:
    """The delay of a response is a pause before its head; without a delay there is none."""
    assert next(wire(Answer(delay=1.5), request())) == Pause(1.5)
    assert next(wire(Answer(delay=math.inf), request())) == Pause(math.inf)
    assert isinstance(next(wire(Answer(), request())), bytes)


def test_delay_on_a_socket() -> None:
    """A server is silent for the delay, whatever the framing."""
    with EventServer(Answer("ab", delay=0.05), Answer("HTTP/1.1 200 OK\r\n\r\n", framing="raw", delay=0.05)) as server:
        for _ in range(2):
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            began = time.monotonic()
            client.request("GET", "/", headers={"Connection": "close"})
            with client.getresponse():
                assert time.monotonic() - began > 0.04


@pytest.mark.parametrize("delay", [-1.0, math.nan])
def test_a_delay_that_cannot_be(delay: float) -> None:
    """A negative delay or NaN is an error."""
    with pytest.raises(ValueError, match="expected delay >= 0"):
        Answer(delay=delay)


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_a_pause_that_cannot_be(seconds: float) -> None:
    """A negative pause or NaN is an error."""
    with pytest.raises(ValueError, match="expected"):
        Pause(seconds)


def test_playing() -> None:
    """`playing` sends other steps after the same head, and does not change the original response."""
    answer = Answer("ab", status=503, headers={"X-Id": "1"}, framing="length", delay=2.0)
    other = answer.playing(["é", ServerSentEvent(data="1"), RST])
    assert other.steps == (b"\xc3\xa9", b"data: 1\n\n", RST)
    assert list(wire(other, request()))[:2] == list(wire(answer, request()))[:2]
    assert (other.framing, other.delay, answer.steps) == ("length", 2.0, (b"ab",))
    with pytest.raises(ValueError, match="as the last step"):
        answer.playing([FIN, "ab"])


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        (Answer("ab", framing="length"), "9"),
        (Answer("ab", framing="length", headers={"content-length": "2"}), "9"),
        (Answer("ab", framing="length", headers={"Content-Length": "3"}), "3"),
        (Answer("ab", framing="length", headers={"Content-Length": None}), None),
        (Answer("ab"), None),
        (Answer("ab", framing="close"), None),
    ],
    ids=["length", "lower case", "another", "removed", "chunked", "close"],
)
def test_announcing(answer: Answer, length: str | None) -> None:
    """A correct length is replaced; one that the user made up, or removed, is kept."""
    assert Headers(answer.announcing(9).headers).get("content-length") == length


def test_announcing_alone() -> None:
    """Only the Content-Length is replaced, and not in the original response."""
    answer = Answer("ab", framing="length", headers={"X-Size": "2"})
    assert answer.announcing(9) == Answer("ab", framing="length", headers={"X-Size": "2", "Content-Length": "9"})
    assert Headers(answer.headers)["content-length"] == "2"


def test_pings() -> None:
    """Pings are comments, each with a pause after it, and not events; by default they outlast a test."""
    assert pings(0.5, 2) == (": ping\n\n", Pause(0.5), ": ping\n\n", Pause(0.5))
    assert events_of(Answer(*pings())) == []
    assert sum(step.seconds for step in pings() if isinstance(step, Pause)) == 15_000


@pytest.mark.parametrize(
    ("last_event_id", "data"),
    [(None, "abc"), ("1", "bc"), ("é", "c"), ("3", ""), ("2", "abc"), ("", "abc")],
    ids=["no header", "number", "its own", "the last", "unknown", "empty"],
)
def test_resumable(last_event_id: str | None, data: str) -> None:
    """A server that remembers sends the events after the ID, or all events if it does not know the ID."""
    script = resumable("a", ServerSentEvent(event="token", data="b", id="é", retry=7), "c")
    headers = {} if last_event_id is None else {"last_event_id": last_event_id}
    assert "".join(event.data for event in events_of(script(request(**headers)))) == data


def test_resumable_events() -> None:
    """Each event is a separate step, has its own ID or its number, and keeps everything else."""
    event = ServerSentEvent(event="token", data="b", id="é", retry=7)
    answer = resumable("a", event, "c")(request())
    assert answer.steps == (
        b"id: 1\ndata: a\n\n",
        "event: token\nid: é\nretry: 7\ndata: b\n\n".encode(),
        b"id: 3\ndata: c\n\n",
    )
    assert event == ServerSentEvent(event="token", data="b", id="é", retry=7)


def test_resumable_behind_an_id_with_blanks() -> None:
    """An ID is found again even though HTTP trims it (RFC 9110, section 5.5)."""
    script = resumable(ServerSentEvent(data="a", id=" x "), "b")
    assert [event.data for event in events_of(script(request(last_event_id="x")))] == ["b"]


def test_scripts() -> None:
    """A single script is for all requests. Of several, each is for one, and further requests get a 500."""
    one, two = Answer("1"), Answer("2")
    assert [Scripts((one,)).answer(request(), number) for number in (1, 2, 9)] == [one] * 3
    scripts = Scripts((one, lambda request: two.playing([request.method])))
    assert scripts.answer(request(), 1) == one
    assert scripts.answer(request("PUT"), 2).steps == (b"PUT",)
    assert (scripts.answer(request(), 3).status, Scripts(()).answer(request(), 1).status) == (500, 500)


@pytest.mark.parametrize("play", [EventServer, scripted_transport], ids=["server", "transport"])
def test_no_script(play: type[EventServer]) -> None:
    """A value that is not a script is an error at once, not when it is played."""
    with pytest.raises(TypeError, match="expected an Answer, or a function that returns one, got 'data: 1'"):
        play("data: 1")  # type: ignore[arg-type]
