"""
`MessageReader`: the base of all readers here, and of yours.

A subclass translates one protocol: its `read` looks at an event and calls the building blocks (`text`, `tool_call`,
`finish`, …), each of which adds to the message and returns the deltas for it. They accept anything a server may send in
their place: what is not a text, or is empty, adds nothing and returns no delta. So a reader rarely checks a type.

A new protocol file has

- a subclass with `read`, and if the default does not fit, `is_complete`;
- `native`, which makes the server's own object from the message and what the reader has kept;
- if the protocol says when each part ends: `ENDS_PARTS = True`, and calls of `end`;
- the dialect: `NAME: Dialect[Delta, Message] = Dialect(reader=…, terminator=…, errors=…)`.

Parts are found by a key of the protocol's (an index, an ID), never by their place in a list. Without a key, text goes
on in the last part if that is of the same kind, else in a new one.
"""

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar, TypeVar, cast

from sse_client import ServerSentEvent, SSEError

from ._message import FinishReason, Message, Other, Part, Reasoning, Refusal, Text, ToolCall, Usage, Written
from ._vocabulary import (
    Data,
    Delta,
    Finish,
    PartAdded,
    ReasoningDelta,
    RefusalDelta,
    Replaced,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    UsageUpdate,
)

W = TypeVar("W", bound=Written)

DONE = "[DONE]"

# What servers and gateways call an event that only keeps the connection open, whatever their protocol.
PINGS = frozenset({"ping", "keepalive"})

# Which `json.dumps` would make anew each time.
write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def as_text(value: Any) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_count(value: Any) -> int | None:
    """The value if it is a whole number (some servers count tokens in floats), else `None`."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_json(value: Any) -> str:
    """
    The text of a call's arguments: a string as it is, an object as JSON, `None` as an empty text.

    An object that is nested too deeply to be written becomes text that is not whole.
    """
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return write_json(value)
    except RecursionError:
        return "{"


def as_key(value: Any, default: str | int = 0) -> str | int:
    """The value if it can be the key of a part, else the default."""
    return value if isinstance(value, str | int) else default


def kind_of(event: ServerSentEvent, value: Any) -> str:
    """Return the type of an event: its name, or a field with its type."""
    if event.event != "message":
        return event.event
    fields = as_dict(value)
    names = (as_text(fields.get(name)) for name in ("type", "event_type", "event", "object", "method"))
    return next(filter(None, names), "message")


def unknown(kind: str, value: Any) -> list[Delta]:
    """Return what an event of no known kind is: data, or nothing if it only keeps the connection open."""
    return [] if kind in PINGS else [Data(kind, value)]


def is_whole_by_its_end(part: Part) -> bool:
    """Whether nothing but its end makes a call whole."""
    return isinstance(part, ToolCall) and not (part._is_json and part._pieces)


class MessageReader:
    """
    Reads one reply: a `Reader[Delta, Message]` to subclass. See the module's text for how.

    `read` must be given. `is_complete` is true by default if a choice was seen, and each has a finish reason.
    """

    ENDS_PARTS: ClassVar[bool] = False
    """Whether the protocol says when each part ends. Else a part ends when another begins; a call only if whole."""
    RENDER: ClassVar[Mapping[type[Part], Callable[[Any], Any]]] = {}
    """How parts that the building blocks begin make their `native`."""

    message: Message
    """The reply so far."""

    def __init__(self) -> None:
        self.message = Message(self)
        self._seen: dict[int, Message] = {}
        self._parts: dict[tuple[type[Part], Hashable, int], Part] = {}
        self._open: list[tuple[Part, int]] = []
        self._is_over = False
        self._has_failed = False

    # Called by the stream.

    @property
    def snapshot(self) -> Message:
        """The reply so far."""
        return self.message

    @property
    def is_complete(self) -> bool | None:
        """Whether a clean end of the body now would be the end of the reply; `None` if the protocol does not say."""
        if not self._seen:
            return False
        return all(choice.finish_reason is not None for choice in self._seen.values())

    def read(self, event: ServerSentEvent) -> list[Delta]:
        """Return what is new in the event, in order."""
        raise NotImplementedError

    def resumed(self) -> None:
        """A new connection continues after the last event."""

    def close(self, error: SSEError | None) -> None:
        """The stream is over. If it ended well its texts are done; a call that nothing has ended stays open."""
        self._is_over = True
        self._has_failed = error is not None
        if error is None:
            for part, _ in self._open:
                # Only a delta ends a call.
                part.is_done = part.is_done or not isinstance(part, ToolCall)

    # Called by the message.

    @property
    def has_ended(self) -> bool:
        """Whether the reply has come to its end, as far as the protocol tells."""
        if self._has_failed:
            return False
        is_complete = self.is_complete
        return self._is_over if is_complete is None else is_complete

    def native(self) -> Any:
        """Make what the server would have returned without streaming. By default `None`."""
        return None

    # The building blocks: each adds to the message, and returns the deltas for it.

    def choice(self, index: int = 0) -> Message:
        """Return the message of a choice, which is seen by that: the reply is complete only if it finishes."""
        found = self._seen.get(index)
        if found is None:
            choices = self.message.choices
            found = self._seen[index] = self.message if index == 0 else Message(self, index=index)
            found.choices = choices
            choices[index] = found
        return found

    def identify(self, *, id: Any = None, model: Any = None, role: Any = None, choice: int = 0) -> None:
        """Set what is not set yet, if it is given."""
        message = self.message if choice == 0 else self.choice(choice)
        if message.id is None and isinstance(id, str) and id:
            message.id = id
        if message.model is None and isinstance(model, str) and model:
            message.model = model
        if message.role is None and isinstance(role, str) and role:
            message.role = role

    def text(self, text: Any, key: Hashable = None, *, choice: int = 0) -> list[Delta]:
        """Add text for the user."""
        if not isinstance(text, str) or not text:
            return []
        part, deltas = self._written(Text, key, choice)
        part._pieces.append(text)
        deltas.append(TextDelta(text, part, choice))
        return deltas

    def reasoning(self, text: Any, key: Hashable = None, *, choice: int = 0) -> list[Delta]:
        """Add reasoning."""
        if not isinstance(text, str) or not text:
            return []
        part, deltas = self._written(Reasoning, key, choice)
        part._pieces.append(text)
        deltas.append(ReasoningDelta(text, part, choice))
        return deltas

    def refusal(self, text: Any, key: Hashable = None, *, choice: int = 0) -> list[Delta]:
        """Add text of a refusal."""
        if not isinstance(text, str) or not text:
            return []
        part, deltas = self._written(Refusal, key, choice)
        part._pieces.append(text)
        deltas.append(RefusalDelta(text, part, choice))
        return deltas

    def grow(self, part: Written, text: Any, *, choice: int = 0) -> list[Delta]:
        """Add text, or arguments, to a part that you have."""
        if not isinstance(text, str) or not text:
            return []
        part._pieces.append(text)
        match part:
            case Text():
                return [TextDelta(text, part, choice)]
            case Reasoning():
                return [ReasoningDelta(text, part, choice)]
            case Refusal():
                return [RefusalDelta(text, part, choice)]
            case ToolCall():
                return [ToolCallDelta(text, part, choice)]
            case _:
                return []

    def tool_call(
        self,
        key: Hashable,
        arguments: Any = None,
        *,
        id: Any = None,
        name: Any = None,
        kind: str = "function",
        is_json: bool = True,
        choice: int = 0,
    ) -> list[Delta]:
        """
        Begin a call, or go on with the one that has the key; add to its arguments.

        The ID and the name are set if they are not yet. `is_json` is false for an input that is text by definition.
        """
        deltas: list[Delta] = []
        call = self.find(ToolCall, key, choice)
        if call is None:
            call = ToolCall(kind, is_json=is_json, render=self.RENDER.get(ToolCall))
            deltas = self.begin(call, key, choice=choice)
        if call.id is None and isinstance(id, str) and id:
            call.id = id
        if call.name is None and isinstance(name, str) and name:
            call.name = name
        if isinstance(arguments, str) and arguments:
            call._pieces.append(arguments)
            deltas.append(ToolCallDelta(arguments, call, choice))
        return deltas

    def tool_result(
        self, call: ToolCall | None, output: Any, error: Any = None, *, is_preliminary: bool = False
    ) -> list[Delta]:
        """Keep the result of a tool that the server ran; without its call it is `Data`."""
        if call is None:
            return [Data("tool_result", output if error is None else error)]
        call.output = output
        call.error = error
        return [ToolResult(call, output, error, is_preliminary)]

    def add(self, kind: str, native: Any, key: Hashable = None, *, id: Any = None, choice: int = 0) -> list[Delta]:
        """Add a part that came as a whole."""
        part = Other(kind, id=as_text(id) or None, native=native)
        part.is_done = True
        deltas = self.begin(part, key, choice=choice)
        deltas.append(PartAdded(part))
        return deltas

    def begin(self, part: Part, key: Hashable = None, *, choice: int = 0) -> list[Delta]:
        """Add a part that you made; a key that was taken means this part from now on. Returns no `PartAdded`."""
        deltas: list[Delta] = []
        parts = self.choice(choice).parts
        if parts and not self.ENDS_PARTS:
            last = parts[-1]
            # No arguments yet are not the end of them: servers may begin all calls at once.
            if not isinstance(last, ToolCall) or last._pieces:
                deltas = self.end(last, choice=choice, must_be_whole=True)
        parts.append(part)
        if key is not None:
            self._parts[type(part), key, choice] = part
        if not part.is_done:
            self._open.append((part, choice))
        if isinstance(part, ToolCall):
            deltas.append(ToolCallStart(part, choice))
        return deltas

    def find(self, kind: type[W], key: Hashable, choice: int = 0) -> W | None:
        """Return the part of that class that has the key."""
        return cast("W | None", self._parts.get((kind, key, choice)))

    def forget(self, kind: type[Part], key: Hashable, choice: int = 0) -> None:
        """Free the key: if it comes again it means a new part."""
        self._parts.pop((kind, key, choice), None)

    def end(self, part: Part | None, *, choice: int = 0, must_be_whole: bool = False) -> list[Delta]:
        """End a part, once. A call may have to be whole for it, if it is not the server that says so."""
        if part is None or part.is_done:
            return []
        if not isinstance(part, ToolCall):
            part.is_done = True
            return []
        if must_be_whole and part._is_json and part._pieces and not part._is_whole():
            return []
        part.is_done = True
        return [ToolCallEnd(part, choice)]

    def take_back(self, start: int = 0, *, choice: int = 0) -> None:
        """Forget the parts from that place on, and their keys: the server does not mean them any more."""
        message = self.choice(choice)
        gone = set(map(id, message.parts[start:]))
        message.parts = message.parts[:start]
        self._parts = {key: part for key, part in self._parts.items() if id(part) not in gone}
        self._open = [each for each in self._open if id(each[0]) not in gone]

    def end_all(self, choice: int = 0) -> list[Delta]:
        """End all parts of a choice, and those calls that are whole."""
        deltas: list[Delta] = []
        for part, index in self._open:
            if index == choice:
                deltas += self.end(part, choice=index, must_be_whole=True)
        self._open = [each for each in self._open if not each[0].is_done]
        return deltas

    def replace(self, part: Written, text: Any, *, choice: int = 0) -> list[Delta]:
        """Set all of a part's text or arguments: a delta if that goes on with what is there, else `Replaced`."""
        if not isinstance(text, str):
            return []
        before = part._text()
        if not text.startswith(before):
            part._replace(text)
            return [Replaced(self.message)]
        return self.grow(part, text[len(before) :], choice=choice)

    def usage(
        self,
        native: Any,
        *,
        input_tokens: Any = None,
        output_tokens: Any = None,
        total_tokens: Any = None,
        cached_tokens: Any = None,
        reasoning_tokens: Any = None,
    ) -> list[Delta]:
        """Set the tokens of the reply; without an object of the server's, or if nothing has changed, nothing is new."""
        if not isinstance(native, dict) or not native:
            return []
        before = self.message.usage
        if before is not None and before.native == native:
            return []
        total, read, written = as_count(total_tokens), as_count(input_tokens), as_count(output_tokens)
        if total is None and read is not None and written is not None:
            total = read + written
        usage = Usage(read, written, total, as_count(cached_tokens), as_count(reasoning_tokens), native)
        self.message.usage = usage
        return [UsageUpdate(usage)]

    def finish(self, reason: FinishReason, native_reason: str | None = None, *, choice: int = 0) -> list[Delta]:
        """End all parts of a choice, and say why; again only if the reason is another."""
        message = self.choice(choice)
        if reason != "stop" and reason != "tool_calls":
            # An input that is text, or absent, is whole when it has ended: so one that may have been cut must not.
            self._open = [each for each in self._open if each[1] != choice or not is_whole_by_its_end(each[0])]
        deltas = self.end_all(choice)
        if message.finish_reason != reason or message.native_finish_reason != native_reason:
            message.finish_reason = reason
            message.native_finish_reason = native_reason
            deltas.append(Finish(reason, native_reason, choice))
        return deltas

    def _written(self, kind: type[W], key: Hashable, choice: int) -> tuple[W, list[Delta]]:
        """Return the part that text goes on in, a new one if need be."""
        if key is None:
            parts = self.choice(choice).parts
            if parts and type(parts[-1]) is kind:
                return parts[-1], []
        elif found := self.find(kind, key, choice):
            return found, []
        part = kind(kind.__name__.lower(), render=self.RENDER.get(kind))
        return part, self.begin(part, key, choice=choice)
