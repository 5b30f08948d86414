"""
Chat completions: OpenAI, and the many servers that speak like it, each with deviations of its own.

A chunk has one delta for each of its choices. Nothing says when a text or a call ends: a part ends when another begins,
at the finish reason, or at `[DONE]`, and a call only if its arguments are whole. The same reader reads legacy
completions (`text` instead of `delta`) and whole responses (`message` instead of `delta`).
"""

import json
from typing import Any

from sse_client import Dialect, ErrorEvent, ServerSentEvent

from ._message import FinishReason, Message, Reasoning, Text, ToolCall
from ._reader import DONE, PINGS, MessageReader, as_dict, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta, Finish, TextDelta, ToolCallDelta

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",  # TGI
    "length": "length",
    "model_length": "length",  # Mistral
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",  # DeepSeek
}

# Not of the whole response: what is read elsewhere, and padding against guesses from the length of a chunk.
NOT_KEPT = frozenset({"choices", "usage", "obfuscation", "p"})
OF_A_CHOICE = frozenset({"index", "delta", "message", "text", "finish_reason", "logprobs"})
OF_A_CALL = frozenset({"index", "id", "type", "function", "custom"})

# The legacy function call has no index. No tool call has this one.
FUNCTION_CALL = -1


class Choice:
    """The state of one choice, besides its message."""

    __slots__ = (
        *("audio", "by_id", "by_index", "content", "details"),
        *("extras", "fields", "latest", "logprobs", "message"),
    )

    def __init__(self, message: Message) -> None:
        self.message = message
        self.content: str | None = None
        """How the content came: as `str`, as `list`, or as the `text` of a legacy completion."""
        self.extras: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}
        self.logprobs: dict[str, Any] | None = None
        self.audio: dict[str, list[str]] = {}
        self.details: list[tuple[Any, list[str]]] = []
        """OpenRouter's `reasoning_details`, each with the pieces of its text."""
        self.by_index: dict[int, ToolCall] = {}
        self.by_id: dict[str, ToolCall] = {}
        self.latest: ToolCall | None = None

    def add_detail(self, given: Any) -> None:
        """Add a piece of the reasoning's details: those of one index are one, if they are in a row."""
        fields = as_dict(given)
        text = as_text(fields.get("text"))
        if self.details and "index" in fields:
            before, pieces = self.details[-1]
            if all(as_dict(before).get(name) == fields.get(name) for name in ("index", "type")):
                before.update({name: value for name, value in fields.items() if value is not None})
                pieces.append(text)
                return
        self.details.append(({**fields} if fields else given, [text]))


class ChatReader(MessageReader):
    """Reads chunks of chat completions, legacy completions, and whole responses."""

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, Choice] = {}
        self._top: dict[str, Any] = {}
        self._width = -1  # how many fields the last chunk had
        self._whole: dict[str, Any] | None = None
        self._has_ended = False

    @property
    def is_complete(self) -> bool | None:
        """Whether `[DONE]` came, or each choice that was seen has a finish reason."""
        return self._has_ended or super().is_complete

    def read(self, event: ServerSentEvent) -> list[Delta]:
        """Return what is new in a chunk."""
        data = event.data
        if not data:
            return []
        if data == DONE:
            return self._end()
        chunk = event.json()
        if chunk.__class__ is not dict:
            return [Data(kind_of(event, chunk), chunk)]
        choices = chunk.get("choices")
        usage = chunk.get("usage")
        if not usage and "x_groq" in chunk:
            usage = as_dict(chunk["x_groq"]).get("usage")
        if choices is None and not usage:
            return self._read_other(event, chunk)
        if len(chunk) != self._width or usage or self.message.id is None:
            self._keep(chunk)
        deltas: list[Delta] = []
        for each in as_list(choices):
            if each.__class__ is dict:
                self._read_choice(each, chunk, deltas)
        if deltas and type(deltas[-1]) is Finish:
            self._keep(chunk)
        if usage:
            deltas += self._read_usage(usage)
        return deltas

    def _read_choice(self, given: dict[str, Any], chunk: dict[str, Any], deltas: list[Delta]) -> None:
        index = given.get("index")
        if type(index) is not int:
            index = 0
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Choice(self.choice(index))
        delta: Any = given.get("delta")
        if delta.__class__ is dict:
            content = delta.get("content")
            parts = choice.message.parts
            if len(delta) == 1 and type(content) is str and content and parts and type(parts[-1]) is Text:
                # The usual delta, without the way through everything that one may have.
                part = parts[-1]
                part._pieces.append(content)
                deltas.append(TextDelta(content, part, index))
            else:
                self._read_delta(choice, index, delta, deltas)
        elif given.get("message").__class__ is dict:
            self._whole = chunk
            self._read_delta(choice, index, given["message"], deltas)
        elif type(text := given.get("text")) is str:
            choice.content = "text"
            deltas += self.text(text, choice=index)
        if (logprobs := given.get("logprobs")) is not None:
            choice.logprobs = choice.logprobs or {}
            for name, value in as_dict(logprobs).items():
                if value is not None:
                    _extend(choice.logprobs, name, value)
        if not OF_A_CHOICE.issuperset(given):
            for name in given.keys() - OF_A_CHOICE:
                if (value := given[name]) is not None:
                    choice.extras[name] = value
        if (reason := given.get("finish_reason")) and type(reason) is str:
            deltas += self.finish(REASONS.get(reason, "other"), reason, choice=index)

    def _read_delta(self, choice: Choice, index: int, delta: dict[str, Any], deltas: list[Delta]) -> None:
        """Read a delta, or the message of a whole response, which has the same fields."""
        reasoning = "reasoning_content" if delta.get("reasoning_content") else "reasoning"
        # Reasoning before the content: a server that switches from one to the other may send both in one delta.
        if (value := delta.get(reasoning)) and type(value) is str:
            choice.fields[reasoning] = None
            deltas += self.reasoning(value, choice=index)
        for name, value in delta.items():
            if value is None or name == "reasoning" or name == "reasoning_content":
                continue
            match name:
                case "content":
                    self._read_content(choice, index, value, deltas)
                case "role":
                    self.identify(role=value, choice=index)
                case "refusal":
                    deltas += self.refusal(value, choice=index)
                case "tool_calls":
                    for each in as_list(value):
                        if isinstance(each, dict):
                            self._read_call(choice, index, as_dict(each), deltas)
                case "function_call":
                    call = choice.by_index.get(FUNCTION_CALL)
                    if call is None:
                        call = self._begin_call(choice, index, "function", deltas)
                        choice.by_index[FUNCTION_CALL] = call
                    self._go_on(call, index, as_dict(value), "arguments", deltas)
                case "audio":
                    deltas.append(Data("audio", value))
                    for key, each in as_dict(value).items():
                        if key in ("data", "transcript") and isinstance(each, str):
                            choice.audio.setdefault(key, []).append(each)
                        elif each is not None:
                            choice.fields["audio"] = {**as_dict(choice.fields.get("audio")), key: each}
                case "annotations" | "images":
                    for each in as_list(value):
                        deltas += self.add(as_text(as_dict(each).get("type")) or name, each, choice=index)
                    _extend(choice.fields, name, as_list(value))
                case "reasoning_details":
                    for each in as_list(value):
                        choice.add_detail(each)
                case _:
                    _extend(choice.fields, name, value)

    def _read_content(self, choice: Choice, index: int, content: Any, deltas: list[Delta]) -> None:
        """Read text, or a list of blocks of text, thinking (Mistral) and other things."""
        if isinstance(content, str):
            choice.content = choice.content or "str"
            deltas += self.text(content, choice=index)
            return
        choice.content = "list"
        for block in as_list(content):
            if isinstance(block, str):
                deltas += self.text(block, choice=index)
                continue
            fields = as_dict(block)
            kind = as_text(fields.get("type"))
            if kind == "text":
                deltas += self.text(fields.get("text"), choice=index)
            elif kind == "thinking":
                thinking = fields.get("thinking")
                deltas += self.reasoning(thinking, choice=index)
                for each in as_list(thinking):
                    deltas += self.reasoning(as_dict(each).get("text"), choice=index)
            else:
                deltas += self.add(kind or "content", block, choice=index)

    def _read_call(self, choice: Choice, index: int, given: dict[str, Any], deltas: list[Delta]) -> None:
        """Read a piece of a call; find which one it belongs to."""
        key = given.get("index")
        call_id = as_text(given.get("id"))
        kind = as_text(given.get("type")) or "function"
        body = as_dict(given.get(kind)) or as_dict(given.get("function"))
        if type(key) is int:
            call = choice.by_index.get(key)
            if call is not None and _is_another(call, call_id, body):
                call = None  # a server that gives each of its calls the same index
        else:
            key = None
            call = choice.by_id.get(call_id) if call_id else None
            if call is None and not call_id and not body.get("name"):
                call = choice.latest
        if call is None:
            call = self._begin_call(choice, index, kind, deltas)
            if key is not None:
                choice.by_index[key] = call
        if call_id:
            choice.by_id.setdefault(call_id, call)
            call.id = call.id or call_id
        choice.latest = call
        for name in given.keys() - OF_A_CALL:
            if (value := given[name]) is not None:
                call._native[name] = value
        self._go_on(call, index, body, "input" if kind == "custom" else "arguments", deltas)

    def _begin_call(self, choice: Choice, index: int, kind: str, deltas: list[Delta]) -> ToolCall:
        call = ToolCall(kind, is_json=kind != "custom", native={}, render=_call)
        choice.latest = call
        deltas += self.begin(call, choice=index)
        return call

    def _go_on(self, call: ToolCall, index: int, body: dict[str, Any], field: str, deltas: list[Delta]) -> None:
        """Add to a call what a piece of it brings."""
        call.name = call.name or as_text(body.get("name")) or None
        arguments = body.get(field)
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(arguments, str) and arguments:
            call._pieces.append(arguments)
            deltas.append(ToolCallDelta(arguments, call, index))
            if self._choices[index].message.finish_reason is not None:
                # Nothing else will end a call that comes after the finish reason.
                deltas += self.end(call, choice=index, must_be_whole=True)

    def _read_usage(self, usage: Any) -> list[Delta]:
        usage = as_dict(usage)
        cached = as_dict(usage.get("prompt_tokens_details")).get("cached_tokens")
        return self.usage(
            usage,
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            total_tokens=usage.get("total_tokens"),
            cached_tokens=usage.get("prompt_cache_hit_tokens") if cached is None else cached,  # DeepSeek
            reasoning_tokens=as_dict(usage.get("completion_tokens_details")).get("reasoning_tokens"),
        )

    def _read_other(self, event: ServerSentEvent, chunk: dict[str, Any]) -> list[Delta]:
        """Read what has no choices: a chunk that only tells of itself, or an unknown event."""
        kind = kind_of(event, chunk)
        if "choices" in chunk or kind in ("chat.completion.chunk", "text_completion"):
            self._keep(chunk)
            return []
        return unknown(kind, chunk)

    def _keep(self, chunk: dict[str, Any]) -> None:
        """Keep the fields of a chunk that the whole response would have."""
        self._width = len(chunk)
        self.identify(id=chunk.get("id"), model=chunk.get("model"))
        for name, value in chunk.items():
            # The first of a plain value, as servers fill them in late; the last of a list, which may grow.
            is_new = isinstance(value, list | dict) or not self._top.get(name)
            if is_new and value is not None and name not in NOT_KEPT:
                self._top[name] = {**as_dict(self._top.get(name)), **value} if isinstance(value, dict) else value

    def _end(self) -> list[Delta]:
        self._has_ended = True
        deltas: list[Delta] = []
        for index in self._choices:
            deltas += self.end_all(index)
        return deltas

    def native(self) -> Any:
        """Make the `chat.completion`, or the `text_completion`; a whole response is returned as it came."""
        if self._whole is not None:
            return self._whole
        is_legacy = any(choice.content == "text" for choice in self._choices.values())
        native: dict[str, Any] = {**self._top, "id": self.message.id, "model": self.message.model}
        native["object"] = "text_completion" if is_legacy else "chat.completion"
        native["choices"] = [_choice(index, self._choices[index]) for index in sorted(self._choices)]
        if self.message.usage is not None:
            native["usage"] = self.message.usage.native
        return native


def _is_another(call: ToolCall, call_id: str, body: dict[str, Any]) -> bool:
    """Whether a piece with the key of a call is of another one: it has another ID, and the call is whole."""
    if not call_id or not call.id or call_id == call.id:
        return False
    # Without arguments the name decides: a server that changes IDs in mid-call does not repeat the name.
    return call._is_whole() if call._pieces else bool(body.get("name"))


def _extend(fields: dict[str, Any], name: str, value: Any) -> None:
    """Set a field, or extend the list that it has: that is always one made here, never a part of a chunk."""
    if not isinstance(value, list):
        fields[name] = value
    elif isinstance(fields.get(name), list):
        fields[name] += value
    else:
        fields[name] = [*as_list(value)]


def _choice(index: int, choice: Choice) -> dict[str, Any]:
    """Make a choice of the whole response."""
    message = choice.message
    native: dict[str, Any] = {"index": index, **choice.extras, "finish_reason": message.native_finish_reason}
    if choice.logprobs is not None:
        native["logprobs"] = choice.logprobs
    if choice.content == "text":
        return {**native, "text": message.text}
    fields: dict[str, Any] = {"role": message.role or "assistant", **choice.fields}
    if choice.content == "list":
        fields["content"] = [_block(part) for part in message.parts if not isinstance(part, ToolCall)]
    else:
        fields["content"] = message.text if choice.content else None
        for name in ("reasoning_content", "reasoning"):
            if name in choice.fields:
                fields[name] = message.reasoning
                break
    if refusal := message.refusal:
        fields["refusal"] = refusal
    if choice.audio:
        audio = {name: "".join(pieces) for name, pieces in choice.audio.items()}
        fields["audio"] = {**as_dict(fields.get("audio")), **audio}
    if choice.details:
        fields["reasoning_details"] = [
            {**detail, "text": "".join(pieces)} if "text" in as_dict(detail) else detail
            for detail, pieces in choice.details
        ]
    function = choice.by_index.get(FUNCTION_CALL)
    if calls := [call.native for call in message.tool_calls if call is not function]:
        fields["tool_calls"] = calls
    if function is not None:
        fields["function_call"] = {"name": function.name, "arguments": function.arguments}
    return {**native, "message": fields}


def _block(part: Any) -> Any:
    """Make a block of content that came as a list."""
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Reasoning():
            return {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]}
        case _:
            return part.native


def _call(call: ToolCall) -> dict[str, Any]:
    """Make a call of the whole response."""
    body = {"name": call.name, "input" if call.kind == "custom" else "arguments": call.arguments}
    return {"id": call.id, "type": call.kind, call.kind: body, **call._native}


# The codes of transient errors, and the HTTP statuses that are retried, which gateways write as numbers.
TRANSIENT: frozenset[str | int] = frozenset(
    {"rate_limit_exceeded", "server_error", "server_is_overloaded", 408, 429, 500, 502, 503, 504}
)

# A chunk seldom has more than one choice, and hardly ever this many.
MAX_CHOICES = 8


def errors() -> ErrorEvent:
    """Make the marks of all forms in which servers send an error."""
    mark = (
        ErrorEvent(event="error", retry=TRANSIENT)
        | ErrorEvent(field="error", retry=TRANSIENT)
        | ErrorEvent(field="object", values={"error"}, retry=TRANSIENT)
    )
    for index in range(MAX_CHOICES):
        path = f"choices.{index}.error"
        mark |= ErrorEvent(field=path, message=f"{path}.message", code=f"{path}.code", retry=TRANSIENT)
    return mark


ERRORS = errors()

OPENAI_CHAT: Dialect[Delta, Message] = Dialect(reader=ChatReader, errors=ERRORS, pings=PINGS, stream_field="stream")
"""
Chat completions, of OpenAI and all that speak like it, legacy completions too.

A stream is complete at `[DONE]`, or at a clean end after the finish reason of each choice: not every server sends
`[DONE]`. If yours does, `terminator=Terminator(data="[DONE]")` in the call requires it, and no usage is lost unseen.
"""

MISTRAL_CHAT: Dialect[Delta, Message] = Dialect(reader=ChatReader, errors=ERRORS, pings=PINGS, stream_field="stream")
"""Mistral's chat completions, whose content may be a list of blocks; else like `OPENAI_CHAT`."""
