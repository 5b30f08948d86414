"""
A tool call over MCP (Streamable HTTP): progress while the tool runs, then its result, over a connection that is cut.

The server may close the connection at any time. The dialect then gets the rest with a GET that has the ID of the last
event, and the loop notices nothing.

Run it, offline: `python examples/dialects/mcp_tool.py`.
"""

from typing import Any

from _scripted import event

from sse_client import ServerSentEvent, SSEClient
from sse_client.dialects import Data, Message, TextDelta, mcp_call
from sse_client.testing import Answer, EventServer, RecordedRequest


def call_tool(client: SSEClient, request_id: int, name: str, arguments: dict[str, Any]) -> Message:
    """Call a tool; print its progress and its text."""
    params = {"name": name, "arguments": arguments, "_meta": {"progressToken": request_id}}
    request = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
    headers = {"MCP-Protocol-Version": "2025-06-18", "MCP-Session-Id": "s1"}
    with client.post("/mcp", json=request, headers=headers, dialect=mcp_call(request_id)) as stream:
        for delta in stream:
            match delta:
                case Data(kind="notifications/progress", value={"progress": done, "total": total}):
                    print(f"{name}: {done} of {total}")
                case TextDelta(text=text):
                    print(f"{name}: {text}")
                case _:
                    pass
        return stream.final()


# The server

PAGES = 3


def server(request: RecordedRequest) -> Answer:
    """Send the first page and close. A GET gets everything after the event whose ID it has."""
    if request.method == "POST":
        return Answer(ServerSentEvent(id="0", retry=50), *log(request.json()["id"])[:1])
    return Answer(*log(7)[int(request.headers["last-event-id"]) :])


def log(request_id: int) -> list[ServerSentEvent]:
    """Everything that the call sends: its progress, and its result."""
    values: list[dict[str, Any]] = [
        {"method": "notifications/progress", "params": {"progressToken": request_id, "progress": page, "total": PAGES}}
        for page in range(1, PAGES + 1)
    ]
    content = [{"type": "text", "text": f"{PAGES} pages are in the index"}]
    values.append({"id": request_id, "result": {"content": content, "structuredContent": {"pages": PAGES}}})
    return [event({"jsonrpc": "2.0", **value}, id=str(number)) for number, value in enumerate(values, 1)]


def main() -> None:
    with EventServer(server) as scripted, SSEClient(base_url=scripted.url) as client:
        message = call_tool(client, 7, "index", {"folder": "reports"})
        print(message.finish_reason, message.native["structuredContent"])
        print(*(request.method for request in scripted.requests))


if __name__ == "__main__":
    main()
