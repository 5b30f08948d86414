"""`Dialect` as a value, and a dialect that leaves the events as they are."""

import pickle
from copy import deepcopy
from dataclasses import FrozenInstanceError, replace

import httpx
import pytest

from sse_client import Dialect, ServerSentEvent, SSEClient, StreamTruncated, Terminator
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
