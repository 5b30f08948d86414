"""`Dialect` as a value, and a dialect that leaves the events as they are."""

import pickle
from copy import deepcopy
from dataclasses import FrozenInstanceError, replace
from typing import Any

import httpx
import pytest

from sse_client import AsyncSSEClient, Dialect, ErrorEvent, ServerSentEvent, SSEClient, StreamTruncated, Terminator
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
    """Without `events`, a dialect hands out events as they are, and its terminator is required."""

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
    """A dialect may name its type, and is a value like any other: equal, copied, pickled and never changed."""
    dialect = Dialect[int](events=int, terminator=END)
    assert dialect == Dialect(events=int, terminator=END)
    assert dialect == pickle.loads(pickle.dumps(dialect)) == deepcopy(dialect)
    assert replace(dialect, terminator=None) == Dialect(events=int)
    with pytest.raises(FrozenInstanceError):
        dialect.unknown = "keep"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        dialect.terminater = END  # type: ignore[attr-defined]


class Mistake(Exception):
    """An exception of the user's own."""


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
    """In an async loop it is the same."""
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
    """A test is never called before there is an event."""
    http = httpx.Client(transport=scripted_transport(Answer("data: [DONE]\n\ndata: 1\n\n")))
    with http, SSEClient(http_client=http) as client:
        stream = client.subscribe("http://test/feed", terminator=Terminator(test=lambda event: event.json() == 1))
        with pytest.raises(ValueError):
            next(iter(stream))
