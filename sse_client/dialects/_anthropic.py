"""
Anthropic's messages: of its own API, of Vertex, and of Bedrock through a gateway.

A message is a list of blocks, each with a start, deltas and a stop; they go by their index. The blocks of `native` are
kept as they came, and their text, signature and input are filled in. The reason comes before the end, and counts only
at `message_stop`. The same reader reads whole responses and legacy completions.
"""

import json
from typing import Any

from sse_client import Dialect, ErrorEvent, ServerSentEvent, Terminator

from ._message import FinishReason, Message, Other, Part, Reasoning, Text, ToolCall, parse
from ._reader import DONE, PINGS, MessageReader, as_count, as_dict, as_key, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta, PartAdded, ReasoningDelta, Replaced, TextDelta, ToolCallDelta, UsageUpdate

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "pause",
}

TOOL_USE = "tool_use"
TOOL_RESULT = "_tool_result"


class AnthropicReader(MessageReader):
    """Reads the events of a message, a whole message, and legacy completions."""

    ENDS_PARTS = True

    def __init__(self) -> None:
        super().__init__()
        self._top: dict[str, Any] = {}
        self._content: list[Part] = []
        self._blocks: dict[str | int, Any] = {}  # parts, of which any may be what a delta needs
        self._usage: dict[str, Any] = {}
        self._has_stopped = False

    @property
    def is_complete(self) -> bool | None:
        """Whether `message_stop` came, or the last of legacy completions."""
        return self._has_stopped

    def read(self, event: ServerSentEvent) -> list[Delta]:
        """Return what is new in an event."""
        data = event.data
        if not data or data == DONE:
            return []
        value = event.json()
        if value.__class__ is not dict:
            return [Data(kind_of(event, value), value)]
        kind = value.get("type")
        if not kind and event.event != "message":
            kind = event.event
        match kind:
            case "content_block_delta":
                return self._read_delta(value.get("index"), value.get("delta"))
            case "content_block_start":
                return self._start(value.get("index"), as_dict(value.get("content_block")))
            case "content_block_stop":
                return self._stop(value.get("index"))
            case "message_start":
                return self._begin_message(as_dict(value.get("message")))
            case "message_delta":
                return self._read_message_delta(value)
            case "message_stop":
                return self._end()
            case "message":
                return self._read_whole(value)
            case "completion":
                return self._read_completion(value)
            case _:
                return unknown(as_text(kind) or kind_of(event, value), value)

    def _read_delta(self, index: Any, delta: Any) -> list[Delta]:
        if delta.__class__ is not dict:
            return []
        if index.__class__ is not int:
            index = as_key(index)
        part: Any = self._blocks.get(index)
        match delta.get("type"):
            case "text_delta":
                text = delta.get("text")
                if text.__class__ is not str or not text:
                    return []
                if part.__class__ is not Text:
                    part = self._put(Text("text", native={"type": "text"}, render=_text), index)
                part._pieces.append(text)
                return [TextDelta(text, part)]
            case "input_json_delta":
                text = delta.get("partial_json")
                if text.__class__ is not str or not text:
                    return []
                deltas: list[Delta] = []
                if part.__class__ is not ToolCall:
                    deltas = self._start(index, {"type": TOOL_USE})
                    part = self._blocks[index]
                part._pieces.append(text)
                deltas.append(ToolCallDelta(text, part))
                return deltas
            case "thinking_delta":
                text = delta.get("thinking")
                if text.__class__ is not str or not text:
                    return []
                if part.__class__ is not Reasoning:
                    part = self._put(Reasoning("thinking", native={"type": "thinking"}, render=_thinking), index)
                part._pieces.append(text)
                return [ReasoningDelta(text, part)]
            case kind:
                return self._read_other_delta(index, part, as_text(kind), delta)

    def _read_other_delta(self, index: Any, part: Any, kind: str, delta: dict[str, Any]) -> list[Delta]:
        """Read what belongs to a block beside its text: it is kept in the block's native."""
        if part is None:
            part = self._put(Other(kind.removesuffix("_delta") or "block", native={}), index)
        native: dict[str, Any] = part._native
        match kind:
            case "signature_delta":
                native["signature"] = delta.get("signature")
                return []
            case "citations_delta":
                citation = delta.get("citation")
                citations = as_list(native.get("citations"))
                citations.append(citation)
                native["citations"] = citations
                return self.add(as_text(as_dict(citation).get("type")) or "citation", citation)
            case "compaction_delta":
                for name, value in delta.items():
                    if name == "content" and isinstance(value, str):
                        native[name] = as_text(native.get(name)) + value
                    elif name != "type" and value is not None:
                        native[name] = value
                return []
            case _:
                native.update({name: value for name, value in delta.items() if name != "type"})
                return [Data(kind or "content_block_delta", delta)]

    def _start(self, index: Any, block: dict[str, Any]) -> list[Delta]:
        """Begin a block. It may bring text, or all of itself, at once."""
        index = as_key(index)
        kind = as_text(block.get("type"))
        native = {**block}
        if kind == "text":
            part = self._put(Text(kind, native=native, render=_text), index)
            return self.replace(part, block.get("text"))
        if kind == "thinking":
            reasoning = self._put(Reasoning(kind, native=native, render=_thinking), index)
            return self.replace(reasoning, block.get("thinking"))
        if kind.endswith(TOOL_USE):
            family = kind.removesuffix(TOOL_USE).rstrip("_")
            call = ToolCall(family or "function", native=native, render=_tool_use)
            call.id = as_text(block.get("id")) or None
            call.name = as_text(block.get("name")) or None
            self._content.append(call)
            self._blocks[index] = call
            return self.begin(call)
        other = self._put(Other(kind or "block", id=as_text(block.get("id")) or None, native=native), index)
        deltas: list[Delta] = [PartAdded(other)]
        if kind == "fallback" and (model := as_text(as_dict(block.get("to")).get("model"))):
            self.message.model = self._top["model"] = model
        if kind.endswith(TOOL_RESULT):
            deltas += self._read_result(block)
        return deltas

    def _put(self, part: Any, index: Any) -> Any:
        """Add a block that is not a call."""
        self.begin(part)
        self._content.append(part)
        self._blocks[index] = part
        return part

    def _read_result(self, block: dict[str, Any]) -> list[Delta]:
        """Read the result of a tool that the server ran."""
        call_id = block.get("tool_use_id")
        call = next((each for each in reversed(self.message.tool_calls) if call_id and each.id == call_id), None)
        if call is None:
            return []
        content = block.get("content")
        is_error = block.get("is_error") or as_text(as_dict(content).get("type")).endswith("_error")
        return self.tool_result(call, None if is_error else content, content if is_error else None)

    def _stop(self, index: Any) -> list[Delta]:
        part = self._blocks.get(as_key(index))
        deltas: list[Delta] = []
        if isinstance(part, ToolCall) and not part._pieces and (given := as_dict(part._native.get("input"))):
            # A gateway sends the input with the start, instead of deltas.
            deltas += self.replace(part, json.dumps(given, ensure_ascii=False))
        return deltas + self.end(part)

    def _begin_message(self, given: dict[str, Any]) -> list[Delta]:
        message = self.message
        deltas: list[Delta] = []
        if self._top:
            if not given or given.get("id") == self._top.get("id"):
                return []
            if message.parts:
                deltas.append(Replaced(message))
            self._content, self._blocks, self._usage = [], {}, {}
            self._open.clear()
            message.parts.clear()
            message.id = message.model = message.role = message.usage = None
        self._top = {name: value for name, value in given.items() if name not in ("content", "usage")}
        self.choice()
        self.identify(id=given.get("id"), model=given.get("model"), role=given.get("role"))
        # No delta: until the first of them an overloaded server can be asked again.
        self._read_usage(given.get("usage"))
        return deltas

    def _read_message_delta(self, value: dict[str, Any]) -> list[Delta]:
        given = {name: each for name, each in value.items() if name not in ("type", "delta", "usage")}
        for name, each in (*given.items(), *as_dict(value.get("delta")).items()):
            if each is not None:
                self._top[name] = each
        return self._read_usage(value.get("usage"))

    def _read_usage(self, given: Any) -> list[Delta]:
        """Read totals: they replace what came before, key by key."""
        usage = {**self._usage, **{name: value for name, value in as_dict(given).items() if value is not None}}
        self._usage = usage
        counts = [as_count(usage.get(name)) for name in COUNTS]
        return self.usage(
            usage,
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            total_tokens=sum(filter(None, counts)) if None not in counts[:2] else None,
            cached_tokens=usage.get("cache_read_input_tokens"),
            reasoning_tokens=as_dict(usage.get("output_tokens_details")).get("thinking_tokens"),
        )

    def _end(self) -> list[Delta]:
        self._has_stopped = True
        reason = as_text(self._top.get("stop_reason"))
        return self.finish(REASONS.get(reason, "other"), reason) if reason else self.end_all()

    def _read_whole(self, value: dict[str, Any]) -> list[Delta]:
        """Read a response that was not streamed."""
        deltas = self._begin_message(value)
        for index, block in enumerate(as_list(value.get("content"))):
            deltas += self._start(index, as_dict(block))
            deltas += self._stop(index)
        if usage := self.message.usage:
            deltas += [UsageUpdate(usage)]
        return deltas + self._end()

    def _read_completion(self, value: dict[str, Any]) -> list[Delta]:
        """Read a piece of a legacy completion; its last one has the reason."""
        self._top.update({name: each for name, each in value.items() if each is not None})
        self.identify(id=value.get("id"), model=value.get("model"))
        deltas = self.text(value.get("completion"))
        return deltas + self._end() if value.get("stop_reason") else deltas

    def native(self) -> Any:
        """Make the message, or the legacy completion."""
        if self._top.get("type") == "completion":
            return {**self._top, "completion": self.message.text}
        native = {**self._top, "content": [part.native for part in self._content]}
        if self._usage:
            native["usage"] = self._usage
        return native


# The units by which a request is billed; the first two are always present.
COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def _text(part: Text) -> dict[str, Any]:
    return {**part._native, "text": part.text}


def _thinking(part: Reasoning) -> dict[str, Any]:
    return {**part._native, "thinking": part.text}


def _tool_use(call: ToolCall) -> dict[str, Any]:
    native: dict[str, Any] = {"input": {}, **call._native}
    if call._pieces:
        # Parsed anew: the user may have changed `call.input`. Incomplete JSON leaves the input as it began.
        value, fault = parse(call.arguments)
        if fault is None:
            native["input"] = value
    return native


TRANSIENT = frozenset({"overloaded_error", "rate_limit_error", "api_error", "timeout_error"})

ANTHROPIC_MESSAGES: Dialect[Delta, Message] = Dialect(
    reader=AnthropicReader,
    terminator=Terminator(event="message_stop") | Terminator(field="type", values={"message_stop"}),
    errors=ErrorEvent(event="error", retry=TRANSIENT) | ErrorEvent(field="type", values={"error"}, retry=TRANSIENT),
    pings=PINGS,
    stream_field="stream",
)
"""
Anthropic's messages, also of Vertex, and of Bedrock through a gateway.

A stream is complete at `message_stop`. `message.native["content"]` is the assistant's turn of the next request.
"""
