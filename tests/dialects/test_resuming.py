"""The agents' dialects through a client: resuming a stream, JSON instead of one, and ends that come too early."""

import json
from typing import Any

import httpx
import pytest

from sse_client import SSEClient, StreamInterrupted, StreamTruncated
from sse_client.dialects import A2A, LANGGRAPH, LANGGRAPH_EVENTS, VERCEL_UI, Message, mcp_call
from sse_client.testing import FIN, Answer, scripted_transport

from .test_langgraph import COMPLETED, META, chunk
from .test_mcp import PROGRESS, RESULT, response

JSON = {"Content-Type": "application/json"}
CUT: Any = FIN


def stream(*lines: Any) -> str:
    """The text of events: pairs of an ID and a value, or of an ID and a named event."""
    text = ""
    for event_id, line in lines:
        name, value = line if isinstance(line, tuple) else ("message", line)
        text += f"event: {name}\nid: {event_id}\ndata: {value if isinstance(value, str) else json.dumps(value)}\n\n"
    return text


def final(transport: Any, dialect: Any, **fields: Any) -> Message:
    """Post a request, and return the message of its stream."""
    with SSEClient(http_client=httpx.Client(transport=transport, base_url="https://host/api")) as client:
        message = client.post("/runs/stream", dialect=dialect, **{"json": {}, **fields}).final()
        assert isinstance(message, Message)
        return message


@pytest.mark.parametrize("cut", [(), (CUT,)], ids=["closed early", "lost"])
def test_mcp(cut: Any) -> None:
    """A call whose stream ends before its response is resumed by a GET of the same URL, after the last event."""
    transport = scripted_transport(
        Answer("retry: 10\nid: 1\ndata: \n\n" + stream((2, PROGRESS)), *cut),
        Answer(stream((3, PROGRESS), (4, response(RESULT)), (5, PROGRESS))),
    )
    message = final(transport, mcp_call(2))
    assert (message.text, message.ended_well, message.native) == ("It rains.", True, RESULT)
    assert [request.method for request in transport.requests] == ["POST", "GET"]
    assert transport.requests[1].headers["last-event-id"] == "2"


def test_mcp_without_resuming() -> None:
    """In the newest version a broken stream loses the call: it is not resumed."""
    transport = scripted_transport(Answer(stream((1, PROGRESS)), framing="close"))
    with pytest.raises(StreamTruncated) as caught:
        final(transport, mcp_call(2), resume=None)
    assert isinstance(caught.value.partial, Message)
    assert len(transport.requests) == 1


def test_json_instead_of_a_stream() -> None:
    """Servers of MCP and A2A may return JSON: it is the whole reply."""
    transport = scripted_transport(Answer(json.dumps(response(RESULT)), headers=JSON))
    assert final(transport, mcp_call(2)).ended_well
    assert transport.requests[0].headers["accept"] == "application/json, text/event-stream"
    task = {"id": "t1", "status": {"state": "completed"}, "artifacts": [{"artifactId": "a", "parts": [{"text": "Hi"}]}]}
    transport = scripted_transport(Answer(json.dumps({"result": {"kind": "task", **task}}), headers=JSON))
    assert final(transport, A2A).text == "Hi"


def test_langgraph() -> None:
    """A run is joined at the path in the first response's Location, after the last event; no delta comes twice."""
    first = stream((1, META), (2, chunk("It ")))
    headers = {"Location": "/threads/t/runs/r/stream"}
    transport = scripted_transport(Answer(first, CUT, headers=headers), Answer(stream((3, chunk("rains.")))))
    assert final(transport, LANGGRAPH).text == "It rains."
    assert [request.method for request in transport.requests] == ["POST", "GET"]
    assert transport.requests[1].target == "/threads/t/runs/r/stream"
    assert transport.requests[1].headers["last-event-id"] == "2"


def test_langgraph_that_cannot_be_joined() -> None:
    """Without a Location, or without event IDs, the cut is raised."""
    for first in (Answer(stream((1, META)), CUT), Answer("data: {}\n\n", CUT, headers={"Location": "/x"})):
        transport = scripted_transport(first)
        with pytest.raises(StreamInterrupted):
            final(transport, LANGGRAPH)
        assert len(transport.requests) == 1


def test_langgraph_version_3() -> None:
    """The request is sent again for the events since the last number; an event that comes again is dropped."""
    first, last = {**COMPLETED, "method": "custom", "seq": 1}, {**COMPLETED, "seq": 2}
    transport = scripted_transport(
        Answer(f"data: {json.dumps(first)}\n\n", CUT),
        Answer(f"data: {json.dumps(first)}\n\ndata: {json.dumps(last)}\n\n"),
    )
    assert final(transport, LANGGRAPH_EVENTS, json={"channels": ["custom"]}).ended_well
    assert [json.loads(request.body) for request in transport.requests] == [
        {"channels": ["custom"]},
        {"channels": ["custom"], "since": 1},
    ]


def test_an_end_that_comes_too_early() -> None:
    """A clean end of the body before the end of the reply is a truncation; the message so far is in the error."""
    transport = scripted_transport(Answer('data: {"type": "text-delta", "id": "t", "delta": "It "}\n\n'))
    with pytest.raises(StreamTruncated) as caught:
        final(transport, VERCEL_UI)
    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.text == "It "
