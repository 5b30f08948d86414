"""
The twelve deltas, the new parts of a reply: one class for each kind, for `match`, `isinstance` and handlers.

A delta has the text that is new, and the live part that it belongs to. They are plain slotted records: a dataclass
costs half a millisecond of every import, and these are made once per event.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from ._message import FinishReason, Message, Other, Reasoning, Refusal, Text, ToolCall, Usage
from ._partial import Path


class Record:
    """A record that compares and shows its fields."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({fields})"


class TextDelta(Record):
    """More text for the user, at the end of `part`."""

    __slots__ = ("choice", "part", "text")
    __match_args__ = ("text", "part", "choice")

    def __init__(self, text: str, part: Text, choice: int = 0) -> None:
        self.text = text
        self.part = part
        self.choice = choice


class ReasoningDelta(Record):
    """More reasoning, at the end of `part`."""

    __slots__ = ("choice", "part", "text")
    __match_args__ = ("text", "part", "choice")

    def __init__(self, text: str, part: Reasoning, choice: int = 0) -> None:
        self.text = text
        self.part = part
        self.choice = choice


class RefusalDelta(Record):
    """More of a refusal, at the end of `part`."""

    __slots__ = ("choice", "part", "text")
    __match_args__ = ("text", "part", "choice")

    def __init__(self, text: str, part: Refusal, choice: int = 0) -> None:
        self.text = text
        self.part = part
        self.choice = choice


class ToolCallStart(Record):
    """A call of a tool begins. Its ID and its name are there if the server sends them first, as all known ones do."""

    __slots__ = ("call", "choice")
    __match_args__ = ("call", "choice")

    def __init__(self, call: ToolCall, choice: int = 0) -> None:
        self.call = call
        self.choice = choice


class ToolCallDelta(Record):
    """More text of a call's arguments."""

    __slots__ = ("_index", "arguments", "call", "choice")
    __match_args__ = ("arguments", "call", "choice")

    def __init__(self, arguments: str, call: ToolCall, choice: int = 0) -> None:
        self.arguments = arguments
        self.call = call
        self.choice = choice
        self._index = len(call._pieces) - 1

    @property
    def changes(self) -> Sequence[tuple[Path, str]]:
        """
        The strings in the arguments that this delta extends: their paths, and the characters that are new.

        `(("content",), "more text")` while a file is written. Costs as much as the delta is long.
        """
        return self.call._changes_of(self._index)


class ToolCallEnd(Record):
    """The server has ended a call. Run it only if `call.is_whole`; then `call.input` has the arguments."""

    __slots__ = ("call", "choice")
    __match_args__ = ("call", "choice")

    def __init__(self, call: ToolCall, choice: int = 0) -> None:
        self.call = call
        self.choice = choice


class ToolResult(Record):
    """The result of a tool that the server ran; one that is preliminary may be followed by another."""

    __slots__ = ("call", "error", "is_preliminary", "output")
    __match_args__ = ("call", "output", "error", "is_preliminary")

    def __init__(self, call: ToolCall, output: Any, error: Any = None, is_preliminary: bool = False) -> None:
        self.call = call
        self.output = output
        self.error = error
        self.is_preliminary = is_preliminary


class PartAdded(Record):
    """A part that came as a whole: see `part.kind` and `part.native`."""

    __slots__ = ("part",)
    __match_args__ = ("part",)

    def __init__(self, part: Other) -> None:
        self.part = part


class Data(Record):
    """Something beside the message: progress, state, logs, and every event that the dialect does not know."""

    __slots__ = ("kind", "value")
    __match_args__ = ("kind", "value")

    def __init__(self, kind: str, value: Any) -> None:
        self.kind = kind
        self.value = value


class Replaced(Record):
    """The server took back what it had sent: draw the message anew."""

    __slots__ = ("message",)
    __match_args__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message


class UsageUpdate(Record):
    """The tokens of the reply so far: totals, not additions."""

    __slots__ = ("usage",)
    __match_args__ = ("usage",)

    def __init__(self, usage: Usage) -> None:
        self.usage = usage


class Finish(Record):
    """Why a reply, or one of its choices, ended. `native_reason` is the server's own word."""

    __slots__ = ("choice", "native_reason", "reason")
    __match_args__ = ("reason", "native_reason", "choice")

    def __init__(self, reason: FinishReason, native_reason: str | None = None, choice: int = 0) -> None:
        self.reason = reason
        self.native_reason = native_reason
        self.choice = choice


Delta: TypeAlias = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallStart
    | ToolCallDelta
    | ToolCallEnd
    | ToolResult
    | PartAdded
    | Data
    | Replaced
    | UsageUpdate
    | Finish
)
"""The values that a loop over a dialect's stream yields."""
