"""`Dialect` as a value, and a dialect that leaves the events as they are."""

import pickle
from copy import deepcopy
from dataclasses import FrozenInstanceError, replace
from typing import Any

import httpx
import pytest

from sse_client import (
    AsyncSSEClient,
    ContentTypeError,
    Dialect,
    ErrorEvent,
    ServerSentEvent,
    SSEClient,
    SSEError,
    StreamTruncated,
    Terminator,
    iter_events,
)
from sse_client._shells.options import dialect_of, plan_of
from sse_client.testing import Answer, scripted_transport

END = Terminator(event="end")


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(terminator=END),
        Dialect(events=ServerSentEvent, terminator=END),
        Dialect[ServerSentEvent](terminator=END),
    ],
    ids=["alone", "with-events", "with-its-type"],
)
def test_a_terminator_alone(dialect: Dialect[ServerSentEvent]) -> None:
    """Without `events`, a dialect delivers events as they are, and its terminator is required."""

    def read(body: str) -> list[ServerSentEvent]:
        http = httpx.Client(base_url="http://test", transport=scripted_transport(Answer(body)))
        with http, SSEClient(http_client=http) as client:
            return list(client.post("/chat", dialect=dialect))

    assert read("data: 1\n\nevent: end\ndata: 2\n\ndata: 3\n\n") == [
        ServerSentEvent(data="1"),
        ServerSentEvent("end", "2"),
    ]
    with pytest.raises(StreamTruncated):
        read("data: 1\n\n")


def test_a_dialect_says_its_type_in_brackets() -> None:
    """`Dialect[int]` gives the type of a dialect. A dialect is a value: equal, copied, pickled and frozen."""
    dialect = Dialect[int](events=int, terminator=END)
    assert dialect == Dialect(events=int, terminator=END)
    assert dialect == pickle.loads(pickle.dumps(dialect)) == deepcopy(dialect)
    assert replace(dialect, terminator=None) == Dialect(events=int)
    with pytest.raises(FrozenInstanceError):
        dialect.unknown = "keep"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        dialect.terminater = END  # type: ignore[attr-defined]


class Mistake(Exception):
    """An exception of the user's code."""


def fail(event: ServerSentEvent) -> bool:
    if event.data == "2":
        raise Mistake
    return False


BAD_TERMINATOR: dict[str, Any] = {"terminator": Terminator(test=fail)}
BAD_ERRORS: dict[str, Any] = {"errors": ErrorEvent(event="message", test=fail) | ErrorEvent(event="error")}
BAD = pytest.mark.parametrize(
    ("marks", "last"),
    [
        pytest.param(BAD_TERMINATOR, "data: 2\n\n", id="terminator"),
        pytest.param(BAD_ERRORS, "data: 2\n\n", id="errors"),
        pytest.param(BAD_TERMINATOR, "data: 2\n", id="unfinished"),
    ],
)


@BAD
def test_a_test_that_raises(marks: dict[str, Any], last: str) -> None:
    """An exception in the `test` of a mark propagates from a loop without `with`, and the response is closed."""
    http = httpx.Client(transport=scripted_transport(Answer("data: 1\n\n", last)))
    with http, SSEClient(http_client=http) as client:
        stream = client.post("http://test/chat", **marks)
        events = iter(stream)
        assert next(events).data == "1"
        with pytest.raises(Mistake):
            next(events)
        assert stream.outcome == "abandoned"
        response: Any = stream.response
        assert response.is_closed


@pytest.mark.anyio
@BAD
async def test_a_test_that_raises_async(marks: dict[str, Any], last: str) -> None:
    """An exception in the `test` of a mark propagates from an async loop too, and the response is closed."""
    http = httpx.AsyncClient(transport=scripted_transport(Answer("data: 1\n\n", last)))
    async with http, AsyncSSEClient(http_client=http) as client, client.post("http://test/chat", **marks) as stream:
        events = aiter(stream)
        assert (await anext(events)).data == "1"
        with pytest.raises(Mistake):
            await anext(events)
        response: Any = stream.response
        assert response.is_closed
    assert stream.outcome == "abandoned"


def test_a_subscription_with_a_test() -> None:
    """A test is called only with events of the stream."""
    http = httpx.Client(transport=scripted_transport(Answer("data: [DONE]\n\ndata: 1\n\n")))
    with http, SSEClient(http_client=http) as client:
        stream = client.subscribe("http://test/feed", terminator=Terminator(test=lambda event: event.json() == 1))
        with pytest.raises(ValueError):
            next(iter(stream))


JSON = '{"id": 1}'
BOTH = "application/json;q=0.9, text/event-stream"


@pytest.mark.parametrize(
    ("dialect", "options", "accept", "takes_json"),
    [
        pytest.param({}, {}, "text/event-stream", False, id="default"),
        pytest.param({"accept": BOTH, "accept_json": True}, {}, BOTH, True, id="dialect"),
        pytest.param({"accept_json": True}, {}, "application/json, text/event-stream", True, id="json"),
        pytest.param({"accept": "text/plain"}, {}, "text/plain", False, id="header"),
        pytest.param(
            {"accept": BOTH, "accept_json": True}, {"accept_json": False}, "text/event-stream", False, id="argument"
        ),
        pytest.param(
            {"accept": BOTH}, {"accept_json": True}, "application/json, text/event-stream", True, id="argument-true"
        ),
        pytest.param(
            {"accept": BOTH, "accept_json": True}, {"headers": {"accept": "x/y"}}, "x/y", True, id="header-of-the-call"
        ),
        pytest.param({"accept": BOTH}, {"headers": lambda: {"Accept": "x/y"}}, "x/y", False, id="header-of-a-function"),
    ],
)
def test_accept(dialect: dict[str, Any], options: dict[str, Any], accept: str, takes_json: bool) -> None:
    """A dialect sets the Accept header; an argument or a header of the call overrides it."""
    transport = scripted_transport(Answer(JSON, headers={"Content-Type": "application/json"}))
    with httpx.Client(transport=transport) as http, SSEClient(http_client=http) as client:
        stream = client.post("http://test/chat", dialect=Dialect(**dialect), **options)
        if takes_json:
            assert [event.data for event in stream] == [JSON]
        else:
            with pytest.raises(ContentTypeError):
                list(stream)
    assert [request.headers["Accept"] for request in transport.requests] == [accept]


def test_accept_of_a_client() -> None:
    """An Accept header of either client overrides the dialect's."""
    dialect = Dialect(accept=BOTH)
    transport = scripted_transport(*[Answer("data: 1\n\n")] * 2)
    with httpx.Client(transport=transport, headers={"Accept": "a/b"}) as http, SSEClient(http_client=http) as client:
        list(client.post("http://test/chat", dialect=dialect))
    with httpx.Client(transport=transport) as http:
        client = SSEClient(http_client=http, headers={"Accept": "c/d"})
        list(client.post("http://test/chat", dialect=dialect))
    assert [request.headers["Accept"] for request in transport.requests] == ["a/b", "c/d"]


@pytest.mark.parametrize(("body", "is_told"), [({"n": 1}, True), ({"stream": True}, False)], ids=["absent", "true"])
def test_a_request_without_its_stream_field(body: Any, is_told: bool) -> None:
    """If a request without `"stream": true` gets a JSON response, the error says so."""
    transport = scripted_transport(Answer(JSON, headers={"Content-Type": "application/json"}))
    with httpx.Client(transport=transport) as http, SSEClient(http_client=http) as client:
        with pytest.raises(ContentTypeError) as caught:
            list(client.post("http://test/chat", json=body, dialect=Dialect(stream_field="stream")))
        assert str(caught.value).endswith('; the request has no "stream": true') is is_told


def test_a_response_of_ones_own_in_json() -> None:
    """`iter_events` reads a JSON response as one event if the dialect accepts JSON."""
    response = httpx.Response(200, json={"id": 1}, request=httpx.Request("POST", "http://test/chat"))
    (event,) = iter_events(response, dialect=Dialect(accept_json=True))
    assert event.json() == {"id": 1}


class Count:
    """A reader that counts events."""

    def __init__(self) -> None:
        self.snapshot = 0
        self.is_complete: bool | None = None

    def read(self, event: ServerSentEvent) -> list[int]:
        self.snapshot += 1
        return [self.snapshot]

    def resumed(self) -> None:
        pass

    def close(self, error: SSEError | None) -> None:
        pass


def test_events_replace_the_reader() -> None:
    """`events=` in the call replaces the dialect's reader, because both set the values of a loop."""
    dialect: Dialect[int, int] = Dialect(reader=Count)
    assert dialect_of(None, dialect, None).reader is Count
    assert dialect_of(None, dialect, "keep").reader is Count
    assert dialect_of(int, dialect, None).reader is None


def test_the_plan_has_the_reader() -> None:
    """The plan of a call has the function that makes a reader for each of its streams."""
    response: Any = httpx.Response(200, request=httpx.Request("POST", "http://test/chat"))
    dialect: Dialect[int, int] = Dialect(reader=Count)
    assert plan_of(response, {}, dialect).reader is Count
    assert plan_of(response, {}, Dialect()).reader is None


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("dialect", "Dialect"),
        ("terminator", "Terminator"),
        ("errors", "ErrorEvent"),
        ("resume", "LastEventID or Cursor"),
        ("last_event_id", "str"),
        ("max_event_size", "int"),
    ],
)
def test_arguments_of_another_type(name: str, kinds: str) -> None:
    """An argument of the wrong type is a TypeError at the call, which says what was expected."""
    options: dict[str, Any] = {name: object}
    with SSEClient() as client, pytest.raises(TypeError, match=f"expected {kinds} for {name}, got <class 'object'>"):
        client.post("http://test/chat", **options)
