"""
The Model Context Protocol over Streamable HTTP, 2025-03-26 to 2026-07-28: one JSON-RPC request, one stream.

The stream has notifications, requests of the server's own, to which you reply in another POST, and the response to
your request, which ends it. Older revisions resume with a GET; in 2026-07-28 closing the stream cancels the request,
so pass `resume=None` there.
"""

from typing import Any

from sse_client import Dialect, ErrorEvent, LastEventID, ServerSentEvent, Terminator

from ._message import Message
from ._reader import PINGS, MessageReader, as_dict, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta

JSON_OR_STREAM = "application/json, text/event-stream"


def mcp_call(request_id: str | int) -> Dialect[Delta, Message]:
    """
    Make the dialect of one MCP request, by its JSON-RPC `id`: `dialect=mcp_call(2)`.

    Notifications are `Data(method, params)`. A request of the server's is `Data(method, request)`: its `id` is for
    your reply. `message.native` is the `result`. Pass the headers of the session and of the protocol's version.
    """

    def has_response(event: ServerSentEvent) -> bool:
        """Whether the event is the response, or a batch with it: a request of the server's may have the same ID."""
        if '"result"' not in event.data and '"error"' not in event.data:
            return False
        value = value_in(event)
        return any(is_response(as_dict(each), request_id) for each in as_list(value) or [value])

    def is_error(event: ServerSentEvent) -> bool:
        """Whether the event is the error of the request, or one for which the server knew no ID."""
        if '"error"' not in event.data:
            return False
        fields = as_dict(value_in(event))
        is_ours = fields.get("id") is None or is_response(fields, request_id)
        return is_ours and bool(fields.get("error")) and "method" not in fields

    return Dialect(
        reader=lambda: MCPReader(request_id),
        terminator=Terminator(test=has_response),
        pings=PINGS,
        errors=ErrorEvent(test=is_error, message="error.message", code="error.code"),
        resume=LastEventID(method="GET"),
        accept=JSON_OR_STREAM,
        accept_json=True,
    )


class MCPReader(MessageReader):
    """Reads JSON-RPC messages, one or a batch in each event, up to the response to one request."""

    def __init__(self, request_id: str | int) -> None:
        super().__init__()
        self._request_id = request_id
        self._native: Any = None

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data:
            return []  # only its ID and its `retry` count
        if event.event == "endpoint":
            return [Data(event.event, event.data)]  # of the old transport: the URL for POST requests, in plain text
        value = event.json()
        deltas: list[Delta] = []
        for each in as_list(value) or [value]:
            deltas += self._read(event, each)
        return deltas

    def _read(self, event: ServerSentEvent, value: Any) -> list[Delta]:
        fields = as_dict(value)
        if method := as_text(fields.get("method")):
            return [Data(method, fields if fields.get("id") is not None else fields.get("params"))]
        if not is_response(fields, self._request_id):
            return unknown(kind_of(event, value), value)
        if fields.get("error"):  # in a batch: alone, it is an error of the stream
            self._native = fields
            return self.finish("error")
        self._native = fields.get("result")
        return self._result(as_dict(self._native))

    def _result(self, result: dict[str, Any]) -> list[Delta]:
        deltas: list[Delta] = []
        for index, block in enumerate(as_list(result.get("content"))):
            fields = as_dict(block)
            kind = as_text(fields.get("type"))
            if kind == "text" and as_text(fields.get("text")):
                deltas += self.text(fields["text"], index)
                self.message.parts[-1]._native = block
            elif kind != "text":
                deltas += self.add(kind or "content", block)
        kind = as_text(result.get("resultType"))
        if result.get("isError"):
            deltas += self.finish("error")
        elif kind == "input_required":
            deltas += self.finish("pause", kind)
        else:
            deltas += self.finish("stop")
        return deltas

    def native(self) -> Any:
        return self._native


def is_response(fields: dict[str, Any], request_id: str | int) -> bool:
    """Whether a JSON-RPC message is the response to the request: a number is not the text of it, nor a boolean."""
    found = fields.get("id")
    is_ours = found == request_id and type(found) is type(request_id) and "method" not in fields
    return is_ours and ("result" in fields or "error" in fields)


def value_in(event: ServerSentEvent) -> Any:
    try:
        return event.json()
    except ValueError:
        return None
