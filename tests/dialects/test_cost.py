"""The cost of reading grows with the bytes alone: no event pays for what came before it."""

import json
import sys
from typing import Any

import pytest

from sse_client import Dialect, ServerSentEvent
from sse_client.dialects import (
    A2A,
    AG_UI,
    ANTHROPIC_MESSAGES,
    COHERE_CHAT,
    DIFY,
    GEMINI,
    LANGGRAPH_EVENTS,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    VERCEL_UI,
    Delta,
    Message,
    TextDelta,
    ToolCallDelta,
)


def chat(delta: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **fields}


def chat_call(arguments: str, **fields: Any) -> dict[str, Any]:
    return chat({"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **fields}]})


def block(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": {"type": kind, **fields}}


def delta(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": f"{kind}_delta", **fields}}


def response(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": 0, **fields}


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return response("output_item.added", item={"type": kind, "id": "i", **fields})


def gemini(**part: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [part]}}], "usageMetadata": {"totalTokenCount": 1}}


def leaf(**value: Any) -> dict[str, Any]:
    leaves = [{"jsonPath": "$.a", **value, "willContinue": True}]
    return gemini(functionCall={"name": "f", "partialArgs": leaves, "willContinue": True})


def langgraph(method: str, data: Any) -> dict[str, Any]:
    return {"type": "event", "method": method, "params": {"data": data}}


AGENTS: dict[str, tuple[Dialect[Delta, Message], dict[str, Any]]] = {
    "cohere": (
        COHERE_CHAT,
        {"type": "content-delta", "delta": {"message": {"content": {"text": "[["}}}, "logprobs": {}},
    ),
    "vercel": (VERCEL_UI, {"type": "text-delta", "id": "t", "delta": "[["}),
    "vercel, a call": (VERCEL_UI, {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": "["}),
    "ag_ui": (AG_UI, {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "[["}),
    "ag_ui, state": (AG_UI, {"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/a", "value": 1}]}),
    "a2a": (A2A, {"artifactUpdate": {"artifact": {"parts": [{"text": "[["}, {"url": "x"}]}, "append": True}}),
    "a2a, progress": (A2A, {"statusUpdate": {"status": {"state": "working", "message": {"parts": []}}}}),
    "dify": (DIFY, {"event": "message", "task_id": "k", "answer": "[["}),
}

STREAMS: dict[str, tuple[Dialect[Delta, Message], dict[str, Any], dict[str, Any]]] = {
    "chat": (OPENAI_CHAT, chat({"content": '{"a": "'}), chat({"content": "more"})),
    "chat, reasoning": (OPENAI_CHAT, chat({"role": "assistant"}), chat({"content": "", "reasoning": "more"})),
    "chat, a call": (OPENAI_CHAT, chat_call('{"a": "', id="a"), chat_call("more")),
    "chat, a call whose ID changes": (OPENAI_CHAT, chat_call('{"a": "', id="a"), chat_call("more", id="b")),
    "chat, details": (
        OPENAI_CHAT,
        chat({"role": "assistant"}),
        chat({"reasoning_details": [{"index": 0, "text": "more"}], "annotations": [{"type": "a"}]}),
    ),
    "anthropic": (ANTHROPIC_MESSAGES, block("text", text='{"a": "'), delta("text", text="more")),
    "anthropic, a call": (
        ANTHROPIC_MESSAGES,
        block("tool_use", id="a"),
        delta("input_json", partial_json="[["),
    ),
    "anthropic, citations": (
        ANTHROPIC_MESSAGES,
        block("text", text=""),
        delta("citations", citation={"type": "a"}),
    ),
    "responses": (
        OPENAI_RESPONSES,
        response("output_text.delta", item_id="i", content_index=0, delta='{"a": "'),
        response("output_text.delta", item_id="i", content_index=0, delta="more"),
    ),
    "responses, IDs that differ": (OPENAI_RESPONSES, item("message"), response("output_text.delta", delta="[[")),
    "responses, a call": (
        OPENAI_RESPONSES,
        item("function_call"),
        response("function_call_arguments.delta", item_id="i", delta="[["),
    ),
    "responses, annotations": (
        OPENAI_RESPONSES,
        response("output_text.delta", delta="[["),
        response("output_text.annotation.added", annotation={"type": "a"}),
    ),
    "gemini": (GEMINI, gemini(text='{"a": "'), gemini(text="more")),
    "gemini, signatures": (GEMINI, gemini(text='{"a": "'), gemini(text="more", thoughtSignature="s")),
    "gemini, a call in leaves": (GEMINI, leaf(stringValue="a"), leaf(stringValue="more")),
    "langgraph": (
        LANGGRAPH_EVENTS,
        langgraph("values", {}),
        langgraph("messages", {"event": "content-block-delta", "delta": {"type": "text-delta", "text": "[["}}),
    ),
    **{name: (dialect, more, more) for name, (dialect, more) in AGENTS.items()},
}


def work(name: str, count: int) -> int:
    """Count the lines of Python that so many deltas take, with a look at what changed at each of them."""
    dialect, first, more = STREAMS[name]
    assert dialect.reader is not None
    reader = dialect.reader()
    events = [ServerSentEvent(data=json.dumps(first)), *[ServerSentEvent(data=json.dumps(more))] * count]
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for event in events:
            for each in reader.read(event):
                match each:
                    case ToolCallDelta():
                        assert each.changes is not None
                    case TextDelta():
                        assert each.part.partial is not None
                    case _:
                        pass
        assert reader.snapshot.native is not None
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("name", STREAMS)
def test_linear(name: str) -> None:
    """Eight times the deltas take at most nine times the work, with a look at the JSON so far at each of them."""
    assert work(name, 800) <= 9 * work(name, 100)


def test_a_million_characters() -> None:
    """A long reply in deltas of four characters is read whole, and its text is joined once."""
    assert OPENAI_CHAT.reader is not None
    reader = OPENAI_CHAT.reader()
    event = ServerSentEvent(data=json.dumps(chat({"content": "word"})))
    for _ in range(250_000):
        reader.read(event)
    assert len(reader.snapshot.text) == 1_000_000
