"""Cohere's chat, version 2: content, calls and citations by index, each with a start and an end."""

from typing import Any, ClassVar

from sse_client import Dialect, ServerSentEvent, Terminator

from ._message import FinishReason, Message, Reasoning, Text, ToolCall
from ._reader import DONE, PINGS, MessageReader, as_dict, as_json, as_key, as_list, as_text, unknown
from ._vocabulary import Data, Delta

REASONS: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
    "TIMEOUT": "error",
    # of the older API
    "ERROR_LIMIT": "length",
    "ERROR_TOXIC": "content_filter",
    "USER_CANCEL": "cancelled",
}


def render_text(part: Text) -> Any:
    return {"type": "text", "text": part.text}


def render_thinking(part: Reasoning) -> Any:
    return {"type": "thinking", "thinking": part.text}


def render_call(call: ToolCall) -> Any:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


class CohereReader(MessageReader):
    """
    Reads the events of a v2 chat, or the response of one without streaming.

    The plan for the calls is `Data("tool_plan", text)`; the words on a failure are `Data("error", text)`.
    """

    ENDS_PARTS = True
    RENDER: ClassVar = {Text: render_text, Reasoning: render_thinking, ToolCall: render_call}

    def __init__(self) -> None:
        super().__init__()
        self._is_ended = False
        self._plan: list[str] = []
        self._citations: list[Any] = []
        self._logprobs: list[Any] = []
        self._rest: dict[str, Any] = {}  # the reason and the usage, as in the last event
        self._whole: Any = None

    @property
    def is_complete(self) -> bool:
        return self._is_ended

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        fields = as_dict(value)
        delta = as_dict(fields.get("delta"))
        message = as_dict(delta.get("message"))
        index = as_key(fields.get("index"))
        match as_text(fields.get("type")) or event.event:
            case "message-start":
                self.identify(id=fields.get("id"), model=fields.get("model"), role=message.get("role"))
                return []
            case "content-start":
                for kind in (Text, Reasoning):
                    if (part := self.find(kind, index)) is not None and part.is_done:
                        self.forget(kind, index)
                return self._content(index, message.get("content"))
            case "content-delta":
                if (logprobs := fields.get("logprobs")) is not None:
                    self._logprobs.append(logprobs)
                content = message.get("content")
                part = self.find(Text, index)
                if part is not None and isinstance(content, dict) and as_dict(content).keys() == {"text"}:
                    return self.grow(part, content["text"])
                return self._content(index, content)
            case "content-end":
                return self.end(self.find(Text, index)) + self.end(self.find(Reasoning, index))
            case "tool-plan-delta":
                return self._add_plan(message.get("tool_plan"))
            case "tool-call-start":
                if (call := self.find(ToolCall, index)) is not None and call.is_done:
                    self.forget(ToolCall, index)
                return self._call(index, message.get("tool_calls"))
            case "tool-call-delta":
                return self._call(index, message.get("tool_calls"))
            case "tool-call-end":
                return self.end(self.find(ToolCall, index))
            case "citation-start":
                return self._add_citations(message.get("citations"))
            case "citation-end":
                return []
            case "message-end":
                self._is_ended = True
                self._rest = delta
                return self._end(delta)
            case kind:
                if isinstance(fields.get("message"), dict) and "finish_reason" in fields:
                    return self._read_whole(fields)
                return unknown(kind, value)

    def _content(self, index: Any, content: Any) -> list[Delta]:
        """Add text or reasoning; any other content is a part."""
        fields = as_dict(content)
        kind = as_text(fields.get("type"))
        if kind not in ("", "text", "thinking"):
            return self.add(kind, content, index)
        return self.reasoning(fields.get("thinking"), index) + self.text(fields.get("text"), index)

    def _call(self, index: Any, call: Any) -> list[Delta]:
        fields = as_dict(call)
        function = as_dict(fields.get("function"))
        name, arguments = function.get("name"), as_json(function.get("arguments"))
        return self.tool_call(index, arguments, id=fields.get("id"), name=name)

    def _add_plan(self, text: Any) -> list[Delta]:
        if not as_text(text):
            return []
        self._plan.append(text)
        return [Data("tool_plan", text)]

    def _add_citations(self, citations: Any) -> list[Delta]:
        deltas: list[Delta] = []
        for each in as_list(citations) if isinstance(citations, list) else [citations]:
            if each is not None:
                self._citations.append(each)
                deltas += self.add("citation", each)
        return deltas

    def _end(self, fields: dict[str, Any]) -> list[Delta]:
        usage = as_dict(fields.get("usage"))
        tokens = as_dict(usage.get("tokens"))
        deltas = self.usage(
            usage,
            input_tokens=tokens.get("input_tokens"),
            output_tokens=tokens.get("output_tokens"),
            cached_tokens=usage.get("cached_tokens"),
            reasoning_tokens=tokens.get("reasoning_tokens"),
        )
        if (error := fields.get("error")) is not None:
            deltas.append(Data("error", error))
        reason = as_text(fields.get("finish_reason"))
        return deltas + self.finish(REASONS.get(reason, "other"), reason or None)

    def _read_whole(self, fields: dict[str, Any]) -> list[Delta]:
        self._whole = fields
        self._is_ended = True
        message = as_dict(fields.get("message"))
        self.identify(id=fields.get("id"), role=message.get("role"))
        deltas = self._add_plan(message.get("tool_plan"))
        for index, each in enumerate(as_list(message.get("content"))):
            deltas += self._content(index, each)
        for index, each in enumerate(as_list(message.get("tool_calls"))):
            deltas += self._call(index, each)
        for part in self.message.parts:
            deltas += self.end(part)
        return deltas + self._add_citations(as_list(message.get("citations"))) + self._end(fields)

    def native(self) -> Any:
        """The response of a v2 chat."""
        if self._whole is not None:
            return self._whole
        message: dict[str, Any] = {"role": self.message.role or "assistant"}
        parts = self.message.parts
        if calls := [part.native for part in parts if isinstance(part, ToolCall)]:
            message["tool_calls"] = calls
        if self._plan:
            message["tool_plan"] = "".join(self._plan)
        if content := [part.native for part in parts if not isinstance(part, ToolCall) and part.kind != "citation"]:
            message["content"] = content
        if self._citations:
            message["citations"] = list(self._citations)
        native = {"id": self.message.id, "message": message, "finish_reason": None, **self._rest}
        return {**native, "logprobs": list(self._logprobs)} if self._logprobs else native


COHERE_CHAT: Dialect[Delta, Message] = Dialect(
    reader=CohereReader,
    pings=PINGS,
    terminator=Terminator(event="message-end") | Terminator(field="type", values={"message-end"}),
    stream_field="stream",
)
"""Cohere's v2 chat. `[DONE]` alone is a truncation: the reply ends with `message-end`."""
