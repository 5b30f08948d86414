"""
The UI message stream of Vercel's AI SDK (version 1 of the protocol; the SDK's 5 to 7), which other servers speak too.

It sends a message of a chat: text and reasoning by ID, tools that the server or the browser runs, files, sources, data
of the application's own. The result is the SDK's `UIMessage`. The SDK's older data stream is not an event stream.
"""

from typing import Any, ClassVar, cast

from sse_client import Dialect, ErrorEvent, ServerSentEvent, Terminator

from ._message import FinishReason, Message, Other, Part, Reasoning, Text, ToolCall, parse
from ._reader import DONE, PINGS, MessageReader, as_dict, as_json, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta, Replaced

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool-calls": "tool_calls",
    "content-filter": "content_filter",
    "error": "error",
}

# Metadata has a few levels. Python's own limit is 1,000 calls.
MAX_DEPTH = 50

# The state of a call's part in a `UIMessage`.
STATES = {
    "input-available": "input-available",
    "input-error": "output-error",
    "output-available": "output-available",
    "output-error": "output-error",
    "output-denied": "output-denied",
    "approval-request": "approval-requested",
}

# The fields of an event about a call that the call's part in a `UIMessage` does not have.
NOT_OF_A_CALL = frozenset({"type", "toolName", "dynamic", "inputTextDelta"})


def render_text(part: Text | Reasoning) -> Any:
    return {**as_dict(part._native), "text": part.text, "state": "done" if part.is_done else "streaming"}


def render_call(call: ToolCall) -> Any:
    fields = call._native
    return {**fields, "input": call.partial} if fields["state"] == "input-streaming" else dict(fields)


class VercelReader(MessageReader):
    """Reads the chunks of a UI message stream, or a whole `UIMessage`."""

    ENDS_PARTS = True
    RENDER: ClassVar = {Text: render_text, Reasoning: render_text, ToolCall: render_call}

    def __init__(self) -> None:
        super().__init__()
        self._is_ended = False
        self._metadata: Any = None
        self._whole: Any = None

    @property
    def is_complete(self) -> bool:
        return self._is_ended

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data:
            return []
        if event.data == DONE:
            self._is_ended = True  # also without `finish`: an application that writes its own chunks may send none
            return []
        value = event.json()
        fields = as_dict(value)
        key = as_text(fields.get("id"))
        kind = as_text(fields.get("type")) or kind_of(event, value)
        match kind:
            case "text-delta":
                return self._delta(Text, key, fields)
            case "reasoning-delta":
                return self._delta(Reasoning, key, fields)
            case "text-start" | "reasoning-start":
                self._start(Text if kind == "text-start" else Reasoning, key, fields)
                return []
            case "text-end" | "reasoning-end":
                part = self.find(Text if kind == "text-end" else Reasoning, key)
                if part is not None:
                    self._note(part, fields)
                return self.end(part)
            case "source-url" | "source-document" | "file":
                return self.add(kind, value, id=fields.get("sourceId"))
            case "start-step":
                self._add_silently("step-start", {"type": "step-start"})
                return []
            case "finish-step":
                return []
            case "reset-step":
                parts = self.message.parts
                steps = [index for index, part in enumerate(parts) if part.kind == "step-start"]
                self.take_back(steps[-1] + 1 if steps else 0)
                return [Replaced(self.message)]
            case "start" | "message-metadata" | "finish" | "abort":
                self.identify(id=fields.get("messageId"), role="assistant")
                self._metadata = merged(self._metadata, fields.get("messageMetadata"))
                return self._finish(kind, fields)
            case _:
                if kind.startswith("data-"):
                    return self._data(kind, fields)
                if kind.startswith("tool-") and isinstance(fields.get("toolCallId"), str):
                    return self._tool(kind, fields)
                if isinstance(fields.get("parts"), list):
                    return self._read_whole(fields)
                return unknown(kind, value)

    def _finish(self, kind: str, fields: dict[str, Any]) -> list[Delta]:
        if kind == "finish":
            self._is_ended = True
            reason = as_text(fields.get("finishReason"))
            return self.finish(REASONS.get(reason, "other"), reason or None)
        if kind == "abort":
            self._is_ended = True
            return self.finish("cancelled", as_text(fields.get("reason")) or None)
        return []

    def _start(self, kind: type[Text | Reasoning], key: str, fields: dict[str, Any]) -> Text | Reasoning:
        """Begin a part, also if one had this ID before."""
        part = kind(kind.__name__.lower(), id=key or None, native={"type": kind.__name__.lower()}, render=render_text)
        self._note(part, fields)
        self.begin(part, key)
        return part

    def _delta(self, kind: type[Text | Reasoning], key: str, fields: dict[str, Any]) -> list[Delta]:
        part = self.find(kind, key)
        if part is None:
            part = self._start(kind, key, {})
        self._note(part, fields)
        return self.grow(part, fields.get("delta"))

    def _note(self, part: Part, fields: dict[str, Any]) -> None:
        if (metadata := fields.get("providerMetadata")) is not None:
            part._native["providerMetadata"] = metadata

    def _add_silently(self, kind: str, native: Any, key: Any = None, id: Any = None) -> None:
        part = Other(kind, id=as_text(id) or None, native=native)
        part.is_done = True
        self.begin(part, key)

    def _data(self, kind: str, fields: dict[str, Any]) -> list[Delta]:
        """Data of the application's own: it replaces that of its ID."""
        if fields.get("transient") is not True:
            key = as_text(fields.get("id"))
            before = self._parts.get((Other, (kind, key), 0)) if key else None
            if before is None:
                self._add_silently(kind, fields, (kind, key) if key else None, key)
            else:
                before._native = fields
        return [Data(kind, fields)]

    def _tool(self, kind: str, fields: dict[str, Any]) -> list[Delta]:
        key = fields["toolCallId"]
        step = kind.removeprefix("tool-")
        if self.find(ToolCall, key) is None and not step.startswith("input-"):
            return [Data(kind, fields)]  # about a call of an earlier message
        deltas = self.tool_call(key, fields.get("inputTextDelta"), id=key, name=fields.get("toolName"))
        call = self.find(ToolCall, key)
        assert call is not None
        if fields.get("providerExecuted") is True:
            call.kind = "server"
        if step == "input-delta" and call._native is not None:
            return deltas
        state = call._native = as_dict(call._native) or type_of(call, fields)
        for name, value in fields.items():
            if name == "providerMetadata":
                state["callProviderMetadata" if step.startswith("input-") else "resultProviderMetadata"] = value
            elif name not in NOT_OF_A_CALL:
                state[name] = value
        state["state"] = STATES.get(step, state["state"])
        error = fields.get("errorText")
        match step:
            case "input-start" | "input-delta":
                return deltas
            case "input-available":
                return deltas + self._set_input(call, fields.get("input")) + self.end(call)
            case "input-error":
                deltas += self._set_input(call, fields.get("input")) + self.end(call)
                return deltas + self.tool_result(call, None, error)
            case "output-available":
                is_preliminary = fields.get("preliminary") is True
                if not is_preliminary:
                    state.pop("preliminary", None)
                return deltas + self.tool_result(call, fields.get("output"), is_preliminary=is_preliminary)
            case "output-error" | "output-denied":
                return deltas + self.tool_result(call, None, error if step == "output-error" else "denied")
            case "approval-request":
                state["approval"] = {"id": state.pop("approvalId", None)}
            case _:
                pass
        return [*deltas, Data(kind, fields)]

    def _set_input(self, call: ToolCall, value: Any) -> list[Delta]:
        """Set the whole input. The text of it stays as it came if it means the same."""
        text = call._text()
        if value is None or (text and parse(text) == (value, None)):
            return []
        return self.replace(call, as_json(value))

    def _read_whole(self, message: dict[str, Any]) -> list[Delta]:
        deltas: list[Delta] = []
        for each in map(as_dict, as_list(message["parts"])):
            kind = as_text(each.get("type"))
            match kind:
                case "text" | "reasoning":
                    part = self._start(Text if kind == "text" else Reasoning, "", each)
                    deltas += self._delta(type(part), "", {"delta": each.get("text")}) + self.end(part)
                case "step-start":
                    self._add_silently(kind, each)
                case _ if kind.startswith("data-"):
                    deltas += self._data(kind, each)
                case _ if isinstance(each.get("toolCallId"), str):
                    deltas += self._whole_call(kind, each)
                case _:
                    deltas += self.add(kind or "part", each, id=each.get("sourceId"))
        self._whole = message
        self._is_ended = True
        self.identify(id=message.get("id"), role=message.get("role"))
        return deltas + self.finish("other")

    def _whole_call(self, kind: str, each: dict[str, Any]) -> list[Delta]:
        key = each["toolCallId"]
        name = each.get("toolName") if kind == "dynamic-tool" else kind.removeprefix("tool-")
        source = "server" if each.get("providerExecuted") is True else "function"
        deltas = self.tool_call(key, as_json(each.get("input")), id=key, name=name, kind=source)
        call = self.find(ToolCall, key)
        assert call is not None
        call._native = {"state": "", **each}
        deltas += self.end(call)
        if "output" in each or "errorText" in each:
            deltas += self.tool_result(call, each.get("output"), each.get("errorText"))
        return deltas

    def native(self) -> Any:
        """The `UIMessage`."""
        if self._whole is not None:
            return self._whole
        native: dict[str, Any] = {"id": self.message.id or "", "role": "assistant"}
        if self._metadata is not None:
            native["metadata"] = self._metadata
        return {**native, "parts": [part.native for part in self.message.parts]}


def type_of(call: ToolCall, fields: dict[str, Any]) -> dict[str, Any]:
    """The beginning of a call's part: the type of a tool that the application declares has the tool's name."""
    name = call.name or ""
    kind = {"type": "dynamic-tool", "toolName": name} if fields.get("dynamic") is True else {"type": f"tool-{name}"}
    return {**kind, "toolCallId": call.id, "state": "input-streaming"}


def merged(old: Any, new: Any, depth: int = MAX_DEPTH) -> Any:
    """Merge metadata: objects deeply, everything else replaces; `None` is nothing new."""
    if depth and isinstance(old, dict) and isinstance(new, dict):
        before, more = as_dict(old), as_dict(new)
        return {**before, **{name: merged(before.get(name), more[name], depth - 1) for name in more}}
    return new if new is not None else cast("Any", old)


VERCEL_UI: Dialect[Delta, Message] = Dialect(
    reader=VercelReader,
    terminator=Terminator(data=DONE) | Terminator(field="type", values={"abort"}),
    pings=PINGS,
    errors=ErrorEvent(field="type", values={"error"}, message="errorText"),
)
"""
The UI message stream of Vercel's AI SDK. `finish` or `abort` makes the reply complete; some servers omit `[DONE]`.

`message.native` is the `UIMessage`. To resume, `GET {api}/{chat}/stream` tells all from the beginning: a new call.
"""
