"""The request that resumes a broken stream."""

import pickle
from dataclasses import FrozenInstanceError, replace
from io import BytesIO
from typing import Any

import httpx
import pytest

from sse_client import SSEClient
from sse_client._event import ServerSentEvent
from sse_client._request import Request
from sse_client._resume import Cursor, LastEventID
from sse_client._retry import RetryPolicy
from sse_client.testing import RST, Answer, scripted_transport

POST = Request(
    method="POST",
    url="http://test/chat",
    params={"a": "1"},
    headers={"X": "y"},
    cookies={"c": "d"},
    json={"message": "hi"},
    auth=("me", "secret"),
)
WITHOUT_BODY = replace(POST, json=None)


@pytest.mark.parametrize(
    ("resume", "expected"),
    [
        pytest.param(LastEventID(), POST, id="the-same"),
        pytest.param(LastEventID(method="POST"), POST, id="post"),
        pytest.param(LastEventID(method="put"), replace(POST, method="PUT"), id="put-has-the-body"),
        pytest.param(LastEventID(method="GET"), replace(WITHOUT_BODY, method="GET"), id="get-has-none"),
        pytest.param(LastEventID(method="get"), replace(WITHOUT_BODY, method="GET"), id="in-any-case"),
        pytest.param(LastEventID(method="HEAD"), replace(WITHOUT_BODY, method="HEAD"), id="head-has-none"),
        pytest.param(LastEventID(url="/r"), replace(POST, url="/r", params=None), id="url"),
        pytest.param(
            LastEventID(url=lambda r: f"/r/{r}"), replace(POST, url="/r/7", params=None), id="url-of-response"
        ),
        pytest.param(
            LastEventID(method="GET", url="/r"),
            replace(WITHOUT_BODY, method="GET", url="/r", params=None),
            id="get-elsewhere",
        ),
    ],
)
def test_request(resume: LastEventID, expected: Request) -> None:
    """A resume sends the same request, or uses another method or URL. Another URL replaces the parameters too."""
    assert resume.request(POST, 7) == expected


@pytest.mark.parametrize("field", ["json", "content", "data", "files"])
def test_no_body_is_left_to_a_get(field: str) -> None:
    """A GET has no body of any kind."""
    body: dict[str, Any] = {field: "x"}
    request = Request(method="POST", url="/", **body)
    assert LastEventID(method="GET").request(request, None) == Request(method="GET", url="/")


@pytest.mark.parametrize(
    "retry", [LastEventID().retry, Cursor(None, lambda cursor, _: cursor, lambda _, request: request).retry]
)
def test_the_policy(retry: RetryPolicy) -> None:
    """By default a resume makes up to five attempts in a row: after 1 s, doubled up to 30 s, without jitter."""
    assert retry == RetryPolicy(max_retries=5, initial_delay=1.0, max_delay=30.0, jitter=0.0)


def test_values() -> None:
    """Both ways to resume are frozen values."""
    with pytest.raises(FrozenInstanceError):
        LastEventID().method = "GET"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Cursor(0, lambda cursor, _: cursor, lambda _, request: request).initial = 1  # type: ignore[misc]


def test_cursor_of_a_type() -> None:
    """`Cursor[int]` gives the type of a cursor. A cursor is a value: equal, hashable, copied and pickled."""
    cursor = Cursor[int](0, max, min)  # type: ignore[arg-type]
    assert cursor == Cursor(0, max, min)  # type: ignore[arg-type]
    assert hash(cursor) == hash(pickle.loads(pickle.dumps(cursor)))
    assert replace(cursor, initial=1).initial == 1
    with pytest.raises(FrozenInstanceError):
        cursor.intial = 1  # type: ignore[attr-defined]


def test_cursor() -> None:
    """
    A cursor has three parts: an initial value, a function that advances it, and a function that makes the request.
    """
    cursor = Cursor(0, lambda cursor, event: cursor + len(event.data), lambda cursor, _: replace(POST, json=cursor))
    assert cursor.advance(cursor.initial, ServerSentEvent(data="abc")) == 3
    assert cursor.request(3, POST) == replace(POST, json=3)


@pytest.mark.parametrize(
    ("method", "is_idempotent"),
    [
        ("GET", True),
        ("HEAD", True),
        ("OPTIONS", True),
        ("PUT", True),
        ("DELETE", True),
        ("POST", False),
        ("PATCH", False),
    ],
)
def test_which_requests_are_idempotent(method: str, is_idempotent: bool) -> None:
    """POST and PATCH are not idempotent: sent twice, they may do their work twice (RFC 9110, section 9.2.2)."""
    assert replace(POST, method=method).is_idempotent is is_idempotent


@pytest.mark.parametrize(
    ("request_", "is_repeatable"),
    [
        pytest.param(POST, True, id="json"),
        pytest.param(replace(POST, content="x"), True, id="text"),
        pytest.param(replace(POST, content=b"x"), True, id="bytes"),
        pytest.param(replace(POST, data={"a": "b"}), True, id="form"),
        pytest.param(replace(POST, content=[b"x"]), False, id="list"),
        pytest.param(replace(POST, content=iter([b"x"])), False, id="iterator"),
        pytest.param(replace(POST, files={"a": BytesIO(b"x")}), False, id="files"),
    ],
)
def test_which_bodies_can_be_sent_again(request_: Request, is_repeatable: bool) -> None:
    """Whether a body can be sent again is known from the argument, before it is sent."""
    assert request_.is_repeatable is is_repeatable


def after(cursor: int, request: Request) -> Request:
    return replace(request, url=f"http://test/runs/1?after={cursor}")


RESUME: Cursor[int] = Cursor(0, lambda _, event: event.json(), after, retry=RetryPolicy(initial_delay=0.0, jitter=0.0))


def test_a_cursor_of_an_earlier_stream() -> None:
    """A saved cursor resumes a stream in another call. The first request is the call's, later ones are the cursor's."""
    transport = scripted_transport(Answer("data: 3\n\n", RST), Answer(RST), Answer("data: 4\n\n"))
    http = httpx.Client(base_url="http://test", transport=transport)
    with http, SSEClient(http_client=http) as client:
        saved = 2
        stream = client.get(f"/runs/1?after={saved}", resume=replace(RESUME, initial=saved))
        assert [event.data for event in stream] == ["3", "4"]
    assert [request.target for request in transport.requests] == [f"/runs/1?after={number}" for number in (2, 3, 3)]
