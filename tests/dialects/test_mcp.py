"""MCP: the response to one request, and everything that comes before it."""

from typing import Any

import pytest

from sse_client import Dialect, ErrorEventReceived, LastEventID, ServerSentEvent
from sse_client.dialects import Data, Delta, Finish, Message, PartAdded, TextDelta, mcp_call

from .playing import Reply, digest
from .scripts import early_ends, fuzz, play, recorded, replay

PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": 1}}
ELICIT = {"jsonrpc": "2.0", "id": 2, "method": "elicitation/create", "params": {"message": "Which city?"}}
IMAGE = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
TEXT = {"type": "text", "text": "It rains.", "annotations": {"audience": ["user"]}}
RESULT: dict[str, Any] = {"content": [TEXT, IMAGE, {"type": "text", "text": ""}], "structuredContent": {"rain": True}}


def response(result: Any, request_id: Any = 2) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def test_a_call_with_progress() -> None:
    """Notifications are data, the response ends the stream: its text is text, other content are parts."""
    reply = play(mcp_call(2), "", ("message", PROGRESS), response(RESULT), PROGRESS)
    progress, text, part, finish = reply.deltas
    assert progress == Data("notifications/progress", PROGRESS["params"])
    assert isinstance(text, TextDelta)
    assert isinstance(part, PartAdded)
    assert (text.text, part.part.kind, part.part.native) == ("It rains.", "image", IMAGE)
    assert text.part.native == TEXT
    assert finish == Finish("stop")
    assert reply.error is None
    assert reply.message.ended_well
    assert reply.message.native == RESULT


def test_a_request_of_the_servers() -> None:
    """A request of the server's has the ID for the reply; it ends nothing, though its ID is ours."""
    reply = play(mcp_call(2), ELICIT)
    assert reply.deltas == [Data("elicitation/create", ELICIT)]
    assert reply.error is not None
    assert reply.message.native is None


@pytest.mark.parametrize(
    ("request_id", "other"), [(2, 3), (2, "2"), ("a", "b"), (1, True), (1, None)], ids=lambda value: repr(value)
)
def test_another_response(request_id: Any, other: Any) -> None:
    """The response to another request is data."""
    reply = play(mcp_call(request_id), response({}, other))
    assert reply.deltas == [Data("message", response({}, other))]
    assert reply.is_complete is False


def test_a_batch() -> None:
    """A batch (2025-03-26) is read message by message."""
    reply = play(mcp_call("a"), [PROGRESS], [PROGRESS, response({"content": [TEXT]}, "a")], PROGRESS)
    assert [type(delta) for delta in reply.deltas] == [Data, Data, TextDelta, Finish]
    assert reply.error is None


def test_an_error_in_a_batch() -> None:
    """The error of a call within a batch is its result, as a batch is not an error of the stream."""
    failed = {"jsonrpc": "2.0", "id": 2, "error": {"code": -32602, "message": "no such tool"}}
    reply = play(mcp_call(2), [failed])
    assert reply.deltas == [Finish("error")]
    assert (reply.error, reply.message.native) == (None, failed)


def test_an_error() -> None:
    """The error of a call is raised, with its code and message; an error that is null is none."""
    failed = {"jsonrpc": "2.0", "id": 2, "error": {"code": -32602, "message": "no such tool"}}
    reply = play(mcp_call(2), failed)
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.code) == ("no such tool", -32602)
    assert play(mcp_call(2), {**response(RESULT), "error": None}).message.ended_well
    assert play(mcp_call(2), {**failed, "id": None}).code == -32602
    assert play(mcp_call(2), {**failed, "id": 3}).kinds == ["Data"]
    assert play(mcp_call(2), {**failed, "method": "x"}).kinds == ["Data"]


@pytest.mark.parametrize(
    ("result", "deltas"),
    [
        ({"content": [], "isError": True}, [Finish("error")]),
        ({"resultType": "input_required", "inputRequests": {}}, [Finish("pause", "input_required")]),
        ({"resultType": "complete", "tools": []}, [Finish("stop")]),
        ({}, [Finish("stop")]),
        (None, [Finish("stop")]),
    ],
    ids=["the tool failed", "input required", "a list of tools", "empty", "null"],
)
def test_results_without_content(result: Any, deltas: list[Any]) -> None:
    """A tool that failed, or that asks for input, ends the reply as such; a result may have no content."""
    reply = play(mcp_call(2), response(result))
    assert reply.deltas == deltas
    assert reply.message.native == result


def test_content_of_an_unknown_shape() -> None:
    """Content that is not known is kept as a part."""
    reply = play(mcp_call(2), response({"content": [{"type": "hologram"}, 1]}))
    assert [(part.kind, part.native) for part in reply.message.parts] == [
        ("hologram", {"type": "hologram"}),
        ("content", 1),
    ]


def test_the_old_transport() -> None:
    """The `endpoint` of the old transport is plain text."""
    assert play(mcp_call(2), ("endpoint", "/messages?session=1")).deltas == [Data("endpoint", "/messages?session=1")]


def test_data_that_is_no_json() -> None:
    """Data that is not JSON is neither the end nor an error: the reader refuses it."""
    dialect, odd = mcp_call(2), ServerSentEvent(data='{"result": "error"')
    assert dialect.terminator is not None
    assert dialect.terminator.match(odd) is None
    assert dialect.reader is not None
    with pytest.raises(ValueError, match=r"JSON|delimiter"):
        dialect.reader().read(odd)


def test_the_request() -> None:
    """The dialect asks for JSON or a stream, and resumes with a GET."""
    dialect = mcp_call(2)
    assert (dialect.accept, dialect.accept_json) == ("application/json, text/event-stream", True)
    assert isinstance(dialect.resume, LastEventID)
    assert dialect.resume.method == "GET"


def test_any_shape() -> None:
    """Messages of any shape are read."""
    fuzz(mcp_call(2), PROGRESS, ELICIT, [PROGRESS], response(RESULT))


def dialect_of(expected: dict[str, Any]) -> Dialect[Delta, Message]:
    """The dialect of the request that a recorded stream is for; of one that had no response, of any other request."""
    request_id = expected["response_id"]
    return mcp_call(99 if request_id is None else request_id)


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    notifications = [digest(delta.kind) for delta in reply.deltas if isinstance(delta, Data)]
    assert [kind for kind in notifications if kind in expected["notifications"]] == expected["notifications"]
    assert digest(reply.message.text or None) == expected["text"]
    assert (reply.error is None) == (expected["response_id"] is not None)


@pytest.mark.parametrize("expected", recorded("mcp"))
def test_recorded(expected: dict[str, Any]) -> None:
    """Recorded streams give the expected results."""
    dialect = dialect_of(expected)
    reply = replay(dialect, expected)
    check_expected(reply, expected)
    assert early_ends(dialect, expected) == []
