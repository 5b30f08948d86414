"""How far the user has read: the three kinds of place, in the same tests."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from sse_client import Cursor, LastEventID, Request, ServerSentEvent
from sse_client._core.place import MAX_ID, MAX_IDS, CursorPlace, IdPlace, NoPlace, id_header, joined, place_of
from sse_client._core.plan import Plan
from sse_client._core.redirects import Route
from sse_client._core.steps import Head

POST = Request(method="POST", url="http://test/chat", params={"a": 1}, json={})
FAR = Route(3, "http://other/b", True)
COUNT: Cursor[int] = Cursor(
    0, lambda cursor, _: cursor + 1, lambda cursor, request: replace(request, url=f"/rest?from={cursor}", params=None)
)


def place(resume: Any = None, **options: Any) -> NoPlace:
    return place_of(Plan(request=POST, resume=resume, **options))


def events(*ids: str) -> list[ServerSentEvent]:
    return [ServerSentEvent(id=each) for each in ids]


def head(url: str = "http://test/chat", response: Any = None) -> Head:
    return Head(200, httpx.Headers(), url, response)


def test_kinds() -> None:
    """Each way to resume has its kind of place, and only a cursor's runs the user's code."""
    kinds = [type(place(resume)) for resume in (None, LastEventID(), COUNT)]
    assert kinds == [NoPlace, IdPlace, CursorPlace]
    assert [kind.runs_user_code for kind in kinds] == [False, False, True]


@pytest.mark.parametrize(
    ("resume", "has_delivered", "last_event_id", "has_begun"),
    [
        pytest.param(None, False, "7", False, id="none-and-an-id"),
        pytest.param(None, True, "", True, id="none-and-an-event"),
        pytest.param(LastEventID(), False, "7", True, id="by-id-and-an-id"),
        pytest.param(LastEventID(), False, "3", False, id="by-id-and-that-of-an-earlier-stream"),
        pytest.param(LastEventID(), False, " \t", False, id="by-id-and-a-blank"),
        pytest.param(LastEventID(), True, "", True, id="by-id-and-an-event"),
        pytest.param(COUNT, False, "7", False, id="cursor-and-an-id"),
        pytest.param(COUNT, True, "", True, id="cursor-and-an-event"),
    ],
)
def test_beginnings(resume: Any, has_delivered: bool, last_event_id: str, has_begun: bool) -> None:
    """A stream has begun with an event or, if it is resumed by ID, with its own ID."""
    assert place(resume, last_event_id="3").has_begun(last_event_id, has_delivered=has_delivered) is has_begun


def test_why_not() -> None:
    """Only a resume by ID needs an ID."""
    assert place(LastEventID()).why_not("") == "the stream had no event IDs to resume from"
    assert [place(resume).why_not(each) for resume, each in ((LastEventID(), "7"), (COUNT, ""), (None, ""))] == [""] * 3


@pytest.mark.parametrize(
    ("resume", "is_subscription", "sent"),
    [(None, False, "3"), (LastEventID(), False, "7"), (COUNT, False, "3"), (None, True, "7"), (COUNT, True, "7")],
    ids=["none", "by-id", "cursor", "feed", "feed-with-a-cursor"],
)
def test_ids_to_send(resume: Any, is_subscription: bool, sent: str) -> None:
    """A resume by ID and a subscription send the last ID; all others send the user's `last_event_id=`."""
    assert place(resume, is_subscription=is_subscription, last_event_id="3").id_to_send("7") == sent


def test_the_first_request_again() -> None:
    """A stream that has not begun starts again with the first request, whatever the way to resume."""
    for resume in (None, LastEventID(method="GET", url="/rest"), COUNT):
        assert place(resume).next_request(has_begun=False) is POST
        assert place(resume).next_route(FAR, has_begun=False) == Route()
    assert place().next_request(has_begun=True) is POST


def test_the_request_of_an_id() -> None:
    """A resume by ID is sent to its own URL exactly, or else to the URL after redirects."""
    here, there = place(LastEventID()), place(LastEventID(method="get", url="/rest"))
    assert here.next_request(has_begun=True) == POST
    assert (here.next_route(FAR, has_begun=True), here.is_exact(POST)) == (FAR.again(), False)
    request = there.next_request(has_begun=True)
    assert request is not None
    assert (request.method, request.url, request.params, request.json) == ("GET", "/rest", None, None)
    assert (there.next_route(FAR, has_begun=True), there.is_exact(request)) == (Route(), True)


def test_the_request_of_a_response() -> None:
    """A URL from the first response is relative to that response's URL, and as foreign as that was."""
    asked = place(LastEventID(url=lambda response: response))
    asked.opened(head("https://other/a/b", "c?d"), FAR)
    asked.opened(head("https://test/x", "never"), Route())
    request = asked.next_request(has_begun=True)
    assert request is not None
    assert request.url == "https://other/a/c?d"
    assert asked.next_route(FAR, has_begun=True) == Route(is_foreign=True)


def test_a_response_that_cannot_be_resumed() -> None:
    """If the function returns no URL, there is no request."""
    asked = place(LastEventID(url=lambda _: None))
    asked.opened(head(), Route())
    assert asked.next_request(has_begun=True) is None


def test_the_request_of_a_cursor() -> None:
    """A cursor advances with each finished event, and its request is sent to exactly its URL."""
    asked = place(COUNT)
    asked.remember(events("", "", ""))
    request = asked.next_request(has_begun=True)
    assert request is not None
    assert request.url == "/rest?from=3"
    assert (asked.is_exact(request), asked.next_route(FAR, has_begun=True)) == (True, Route())
    assert not asked.is_exact(POST)


def test_a_cursor_of_its_own() -> None:
    """Two streams of one plan do not share a cursor that is changed in place."""

    def advance(cursor: list[str], event: ServerSentEvent) -> list[str]:
        cursor.append(event.id)
        return cursor

    nothing: list[str] = []
    shared = Cursor(nothing, advance, lambda cursor, request: replace(request, url=",".join(cursor)))
    one, other = place(shared), place(shared)
    one.remember(events("1"))
    other.remember(events("2"))
    found = one.next_request(has_begun=True), other.next_request(has_begun=True)
    assert [request and request.url for request in found] == ["1", "2"]


def test_a_feed_goes_on_where_it_was() -> None:
    """A subscription without `resume=` keeps its redirects."""
    asked = place(is_subscription=True)
    assert [asked.next_route(FAR, has_begun=each) for each in (False, True)] == [FAR.again()] * 2


def test_past_ids() -> None:
    """The IDs before the last one must not come again: the first, and the latest, bounded in number and length."""
    asked = place(LastEventID())
    asked.remember(events("", "1", "1", "2", "x" * (MAX_ID + 1), "3"))
    assert asked.past_ids("3") == {"1", "2"}
    asked.remember(events(*map(str, range(1_000, 1_000 + MAX_IDS))))
    assert asked.past_ids("") == {"1", *map(str, range(1_000, 1_000 + MAX_IDS))}
    assert place(COUNT).past_ids("3") == place().past_ids("3") == frozenset()


@pytest.mark.parametrize(
    ("last_event_id", "header"), [("", b""), (" \t", b""), (" 7 ", b"7"), ("é", b"\xc3\xa9"), ("a\tb", b"a\tb")]
)
def test_headers(last_event_id: str, header: bytes) -> None:
    """An ID is sent as UTF-8, without the blanks around it."""
    assert id_header(last_event_id) == header


@pytest.mark.parametrize("last_event_id", ["a\x0bb", "\x7f", "a\x01"])
def test_what_is_no_header(last_event_id: str) -> None:
    """An ID that HTTP cannot carry is an error that names it."""
    with pytest.raises(ValueError, match="cannot be sent in a header"):
        id_header(last_event_id)


def test_joined() -> None:
    """A value that is not a URL is left to the HTTP client."""
    assert joined("http://a/b", "c") == "http://a/c"
    assert joined("http://a/b", "http://[") == "http://["
