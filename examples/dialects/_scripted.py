"""Shared by the examples: replies of language models, written after the protocols of three providers."""

import json
from collections.abc import Iterator
from typing import Any

from sse_client import ServerSentEvent


def event(value: Any, name: str = "message", id: str = "") -> ServerSentEvent:
    """One event whose data is the JSON of the value."""
    return ServerSentEvent(event=name, data=json.dumps(value), id=id)


def pieces(text: str, length: int = 7) -> Iterator[str]:
    """Cut a text as a model would: anywhere."""
    return (text[start : start + length] for start in range(0, len(text), length))


def openai(text: str) -> Iterator[ServerSentEvent]:
    """A reply of OpenAI's chat completions."""
    deltas = [{"role": "assistant"}, *({"content": each} for each in pieces(text)), {}]
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
        yield event({"id": "c1", "object": "chat.completion.chunk", "model": "scripted", "choices": [choice]})
    yield ServerSentEvent(data="[DONE]")


def anthropic(*blocks: dict[str, Any], stop_reason: str = "end_turn") -> Iterator[ServerSentEvent]:
    """A reply of Anthropic's messages that has these blocks."""

    def send(kind: str, **fields: Any) -> ServerSentEvent:
        return event({"type": kind, **fields}, kind)

    yield send("message_start", message={"id": "m1", "type": "message", "role": "assistant", "content": []})
    for index, block in enumerate(blocks):
        kind, field, text, start = written(block)
        yield send("content_block_start", index=index, content_block=block | start)
        for each in pieces(text):
            yield send("content_block_delta", index=index, delta={"type": kind, field: each})
        if "signature" in block:
            delta = {"type": "signature_delta", "signature": block["signature"]}
            yield send("content_block_delta", index=index, delta=delta)
        yield send("content_block_stop", index=index)
    yield send("message_delta", delta={"stop_reason": stop_reason}, usage={"output_tokens": 12})
    yield send("message_stop")


def written(block: dict[str, Any]) -> tuple[str, str, str, dict[str, Any]]:
    """How a block is written: by deltas of this type, in this field, to this text, from these fields of its start."""
    match block["type"]:
        case "thinking":
            return "thinking_delta", "thinking", block["thinking"], {"thinking": "", "signature": ""}
        case "tool_use":
            return "input_json_delta", "partial_json", json.dumps(block["input"]), {"input": {}}
        case _:
            return "text_delta", "text", block["text"], {"text": ""}


def gemini(text: str) -> Iterator[ServerSentEvent]:
    """A reply of Gemini."""
    for each in pieces(text):
        yield event({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": each}]}}]})
    yield event({"candidates": [{"index": 0, "content": {"role": "model"}, "finishReason": "STOP"}]})
