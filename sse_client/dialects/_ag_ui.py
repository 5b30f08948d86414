"""
AG-UI: the run of an agent for a user interface, with several messages, calls, and a state that both sides share.

Messages, reasoning and calls go by their IDs; chunks without an ID go on with the last one. A snapshot of all messages
takes back all that came before. `message.parts` are those of the run, in order; `message.last_text` is the text of its
last message. The protobuf form of AG-UI is not an event stream.
"""

from typing import Any, ClassVar

from sse_client import Dialect, ErrorEvent, ServerSentEvent, Terminator

from ._message import FinishReason, Message, Part, Reasoning, Text, ToolCall
from ._patch import patched
from ._reader import DONE, PINGS, MessageReader, as_count, as_dict, as_json, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta, Replaced, ToolCallDelta, ToolCallEnd, ToolCallStart, ToolResult

REASONS: dict[str, FinishReason] = {
    "": "stop",
    "success": "stop",
    "interrupt": "pause",
    "cancelled": "cancelled",
    # `finishReason`, of TanStack AI
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
}

# By how the kinds of their events begin.
TEXTS: dict[str, type[Text | Reasoning]] = {
    "TEXT_MESSAGE": Text,
    "REASONING_MESSAGE": Reasoning,
    "THINKING_TEXT_MESSAGE": Reasoning,  # before 1.0
}
MARKS = frozenset({"REASONING_START", "REASONING_END", "THINKING_START", "THINKING_END"})

# They come between the chunks of one message.
BESIDE = ("RAW", "CUSTOM", "ACTIVITY_", "REASONING_ENCRYPTED_VALUE", *PINGS)

OF_CALLS = (ToolCallStart, ToolCallDelta, ToolCallEnd, ToolResult)


class Entry:
    """A message of the run."""

    __slots__ = ("calls", "fields", "part")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields
        self.part: Text | Reasoning | None = None
        self.calls: list[ToolCall] = []

    def native(self) -> Any:
        native = dict(self.fields)
        if self.part is not None:
            native["content"] = self.part.text
        if self.calls:
            native["toolCalls"] = [*as_list(native.get("toolCalls")), *(call.native for call in self.calls)]
        return native


def render_call(call: ToolCall) -> Any:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **as_dict(call._native)}


class AGUIReader(MessageReader):
    """Reads the events of runs, or `{"messages": […], "state": …}`."""

    ENDS_PARTS = True
    RENDER: ClassVar = {ToolCall: render_call}

    def __init__(self) -> None:
        super().__init__()
        self._is_running = False
        self._is_ended = False
        self._entries: list[Entry] = []
        self._by_id: dict[Any, Entry] = {}
        self._latest: dict[type[Part], Any] = {}  # the keys of the parts that are being written
        self._chunk: Part | None = None
        self._state: Any = None
        self._rest: dict[str, Any] = {}  # the result and the outcome of the run

    @property
    def is_complete(self) -> bool:
        return self._is_ended and not self._is_running

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        fields = as_dict(value)
        kind = as_text(fields.get("type"))
        if kind == "TEXT_MESSAGE_CONTENT" and self._chunk is None and isinstance(key := fields.get("messageId"), str):
            # The usual event, without the way through everything that one may be.
            part = self.find(Text, key)
            if part is not None and part.kind == "text":
                self._latest[Text] = key
                return self.grow(part, fields.get("delta"))
        kind = kind or kind_of(event, value)
        fields = {camel(name) if "_" in name else name: each for name, each in fields.items()}
        prefix, _, step = kind.rpartition("_")
        if prefix in TEXTS and step in ("START", "CONTENT", "END", "CHUNK"):
            return self._read_text(TEXTS[prefix], step, fields, Data(kind, value))
        if prefix == "TOOL_CALL" and step in ("START", "ARGS", "END", "CHUNK"):
            return self._read_call(step, fields)
        deltas = [] if kind.startswith(BESIDE) else self._end_chunk()
        match kind:
            case "RUN_STARTED":
                self._is_running = True
                self.identify(id=fields.get("runId"), role="assistant")
                return deltas
            case "RUN_FINISHED":
                return deltas + self._finish(fields)
            case "TOOL_CALL_RESULT":
                return deltas + self._result(fields, value)
            case "STATE_SNAPSHOT":
                self._state = fields.get("snapshot")
                return [*deltas, Data("state", self._state)]
            case "STATE_DELTA":
                try:
                    self._state = patched({} if self._state is None else self._state, fields.get("delta"))
                except ValueError:
                    return [*deltas, Data(kind, value)]  # it changes another state than the one that was sent
                return [*deltas, Data("state", self._state)]
            case "MESSAGES_SNAPSHOT":
                return deltas + self._replace_all(as_list(fields.get("messages")))
            case "REASONING_ENCRYPTED_VALUE":
                self._encrypt(fields)
            case "message" if isinstance(fields.get("messages"), list):
                self._state = fields.get("state")
                return self._replace_all(fields["messages"]) + self._finish(fields)
            case _ if kind in MARKS and "title" not in fields:
                return deltas
            case _:
                pass
        return [*deltas, *unknown(kind, value)]

    def _read_text(self, kind: type[Text | Reasoning], step: str, fields: dict[str, Any], data: Data) -> list[Delta]:
        key = self._key(kind, fields.get("messageId"), step)
        part = self.find(kind, key)
        deltas = self._end_chunk(part if step == "CHUNK" else None)
        if step == "END":
            return deltas + self.end(part)
        if part is None:
            part = self._begin_text(kind, key, fields)
        if step == "CHUNK":
            self._chunk = part
        text = as_text(fields.get("delta"))
        if part.kind not in ("text", "reasoning"):
            part._pieces.append(text)
            return [*deltas, data]
        return deltas + self.grow(part, text)

    def _begin_text(self, kind: type[Text | Reasoning], key: Any, fields: dict[str, Any]) -> Text | Reasoning:
        role = as_text(fields.get("role")) or ("assistant" if kind is Text else "reasoning")
        is_said = kind is Reasoning or role == "assistant"
        part = kind(kind.__name__.lower() if is_said else role, id=as_text(fields.get("messageId")) or None)
        entry = self._by_id.get(key) if kind is Text else None
        if entry is None or entry.part is not None:
            named = {"name": fields["name"]} if "name" in fields else {}
            entry = self._add({"id": part.id, "role": role, **named}, key if kind is Text else None)
        entry.part = part
        if is_said:
            self.begin(part, key)
        else:
            self._parts[kind, key, 0] = part  # of another's message: no part of the reply
        return part

    def _read_call(self, step: str, fields: dict[str, Any]) -> list[Delta]:
        key = self._key(ToolCall, fields.get("toolCallId"), step)
        call = self.find(ToolCall, key)
        deltas = self._end_chunk(call if step == "CHUNK" else None)
        if step == "END":
            return deltas + self.end(call)
        deltas += self.tool_call(key, fields.get("delta"), id=fields.get("toolCallId"), name=fields.get("toolCallName"))
        if call is None:
            call = self.find(ToolCall, key)
            assert call is not None
            parent = as_text(fields.get("parentMessageId")) or call.id
            entry = self._by_id.get(parent) or self._add({"id": parent, "role": "assistant"}, parent)
            entry.calls.append(call)
        if step == "CHUNK":
            self._chunk = call
        return deltas

    def _key(self, kind: type[Part], given: Any, step: str) -> Any:
        """The ID; without one the latest part goes on, but a start begins a new one."""
        key = as_text(given)
        if not key:
            is_new = step == "START" or kind not in self._latest
            key = f"{kind.__name__}-{len(self.message.parts)}" if is_new else self._latest[kind]
        self._latest[kind] = key
        return key

    def _end_chunk(self, unless: Part | None = None) -> list[Delta]:
        """Chunks have no end of their own: it is the next event of another message."""
        if self._chunk is None or self._chunk is unless:
            return []
        part, self._chunk = self._chunk, None
        return self.end(part, must_be_whole=True)

    def _result(self, fields: dict[str, Any], value: Any) -> list[Delta]:
        key, content = as_text(fields.get("toolCallId")), fields.get("content")
        self._add({"id": fields.get("messageId"), "role": "tool", "toolCallId": key, "content": content})
        call = self.find(ToolCall, key)
        return (
            [Data("TOOL_CALL_RESULT", value)] if call is None else self.tool_result(call, content, fields.get("error"))
        )

    def _add(self, fields: dict[str, Any], key: Any = None) -> Entry:
        entry = Entry(fields)
        self._entries.append(entry)
        if key is not None:
            self._by_id[key] = entry
        return entry

    def _encrypt(self, fields: dict[str, Any]) -> None:
        """Keep a value that the next request must bring back."""
        encrypted = {"encryptedValue": fields.get("encryptedValue")}
        whose = as_text(fields.get("entityId"))
        for entry in self._entries:
            if whose and entry.fields.get("id") == whose:
                entry.fields = {**entry.fields, **encrypted}
        if (call := self.find(ToolCall, whose)) is not None:
            call._native = encrypted

    def _replace_all(self, messages: list[Any]) -> list[Delta]:
        """Start over with these messages. The parts are those since the user's last one, or since this run's first."""
        before = self.message.parts
        calls = {call.id: call for call in self.message.tool_calls}
        known = {as_text(entry.fields.get("id")) for entry in self._entries if entry.fields.get("role") != "user"}
        self.take_back()
        self._entries, self._by_id = [], {}
        all_fields = list(map(as_dict, messages))
        first = 1 + max((place for place, each in enumerate(all_fields) if each.get("role") == "user"), default=-1)
        first = min(
            [first, *(place for place, each in enumerate(all_fields) if as_text(each.get("id")) in known - {""})]
        )
        deltas: list[Delta] = []
        for place, each in enumerate(all_fields):
            entry = self._add(each, as_text(each.get("id")) or None)
            if place >= first:
                deltas += self._read_message(entry, each, calls)
        if not before:
            return deltas
        return [Replaced(self.message), *(delta for delta in deltas if isinstance(delta, OF_CALLS))]

    def _read_message(self, entry: Entry, fields: dict[str, Any], calls: dict[str | None, ToolCall]) -> list[Delta]:
        key, role, content = as_text(fields.get("id")), fields.get("role"), as_text(fields.get("content"))
        deltas: list[Delta] = []
        if role in ("assistant", "reasoning") and content:
            kind = Text if role == "assistant" else Reasoning
            entry.part = kind(kind.__name__.lower(), id=key or None)
            self.begin(entry.part, key)
            deltas += self.grow(entry.part, content)
            deltas += self.end(entry.part)
        for each in map(as_dict, as_list(fields.get("toolCalls") or fields.get("tool_calls"))):
            function = as_dict(each.get("function"))
            call_id, name, arguments = as_text(each.get("id")), function.get("name"), as_json(function.get("arguments"))
            if self.find(ToolCall, call_id) is None and call_id in calls:
                self.begin(calls[call_id], call_id)  # it started before
            deltas += self.tool_call(call_id, id=call_id, name=name)
            call = self.find(ToolCall, call_id)
            assert call is not None
            deltas += self.replace(call, arguments) + self.end(call)
        if role == "tool" and (call := self.find(ToolCall, as_text(fields.get("toolCallId")))) is not None:
            deltas += self.tool_result(call, fields.get("content"), fields.get("error"))
        return deltas

    def _finish(self, fields: dict[str, Any]) -> list[Delta]:
        self._is_running = False
        self._is_ended = True
        self._rest = {name: fields[name] for name in ("result", "outcome") if fields.get(name) is not None}
        usage = summed(fields.get("usage"))
        deltas = self.usage(
            usage,
            input_tokens=usage.get("inputTokens", usage.get("promptTokens")),
            output_tokens=usage.get("outputTokens", usage.get("completionTokens")),
            total_tokens=usage.get("totalTokens"),
            cached_tokens=usage.get("cachedInputTokens"),
            reasoning_tokens=usage.get("reasoningTokens"),
        )
        outcome = fields.get("outcome")  # some servers send only the type
        reason = as_text(outcome) or as_text(as_dict(outcome).get("type")) or as_text(fields.get("finishReason"))
        return deltas + self.finish(REASONS.get(reason, "other"), reason or None)

    def native(self) -> Any:
        """All messages, and the state, for the next request; and the `result` and `outcome` of the run."""
        return {"messages": [entry.native() for entry in self._entries], "state": self._state, **self._rest}


def camel(name: str) -> str:
    """A name as AG-UI writes it; some servers write snake_case."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def summed(usage: Any) -> dict[str, Any]:
    """The usage of all models, if there are several."""
    if not isinstance(usage, list):
        return as_dict(usage)
    total: dict[str, Any] = {}
    for each in map(as_dict, as_list(usage)):
        for name, value in each.items():
            before, count = as_count(total.get(name)), as_count(value)
            total[name] = value if before is None or count is None else before + count
    return total


AG_UI: Dialect[Delta, Message] = Dialect(
    reader=AGUIReader,
    terminator=Terminator(field="type", values={"RUN_FINISHED"}),
    pings=PINGS,
    errors=ErrorEvent(field="type", values={"RUN_ERROR"}, message="message", code="code"),
)
"""
AG-UI: the run of an agent.

If the server sends several runs in one stream, earlier ones of the thread perhaps, pass `terminator=None`: then a reply
is complete if no run is open.
"""
