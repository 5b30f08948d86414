"""
The items of a response: each has a slot, with the parts that a message has of it.

A slot makes its item as the server would send it, at any time.
"""

from typing import Any, cast

from ._message import Other, Part, Refusal, ToolCall, Written
from ._reader import as_dict, as_json, as_list, as_text

# Items that are calls: the kind of the call, the field of its arguments, and whether those are JSON.
CALLS: dict[str, tuple[str, str, bool]] = {
    "function_call": ("function", "arguments", True),
    "custom_tool_call": ("custom", "input", False),
    "mcp_call": ("mcp", "arguments", True),
    "code_interpreter_call": ("code_interpreter", "code", False),
    "shell_call": ("shell", "command", False),
}


def content_native(part: Written) -> dict[str, Any]:
    """A text as the server's content part."""
    content: dict[str, Any] = part._native
    return {**content, "refusal" if isinstance(part, Refusal) else "text": part._text()}


def call_native(call: ToolCall) -> dict[str, Any]:
    """A call as the server's item."""
    item: dict[str, Any] = call._native
    field = CALLS[item["type"]][1]
    # The commands of a shell call are in an object, which comes as a whole.
    return item if call.is_done or field == "command" else {**item, field: call.arguments}


class Slot:
    """An item of the output, and its parts."""

    __slots__ = ("annotations", "call", "commands", "contents", "id", "index", "is_done", "item", "parts", "type")

    def __init__(self, index: Any, id: str, type: str = "") -> None:
        self.index = index
        self.id = id
        self.type = type
        self.item: dict[str, Any] = {}  # as the server last sent it
        self.is_done = False
        self.call: ToolCall | None = None
        self.parts: dict[tuple[str, int], Part] = {}
        self.contents: dict[tuple[str, int], dict[str, Any]] = {}  # what `native` of the parts begins with
        self.annotations: dict[int, list[Other]] = {}  # of each text
        self.commands: dict[int, list[str]] = {}  # of a shell call, each in pieces

    def is_of(self, item: dict[str, Any]) -> bool:
        """Whether an item is the slot's own, by an ID."""
        if self.type != item.get("type"):
            return False
        name = "call_id" if as_text(self.item.get("call_id")) and as_text(item.get("call_id")) else "id"
        return bool(as_text(item.get(name))) and self.item.get(name) == item[name]

    def in_order(self) -> list[Part]:
        """Return the parts in the order of the item."""
        if self.call is None and len(self.parts) == 1 and not self.annotations:
            return list(self.parts.values())
        parts: list[Part] = [] if self.call is None else [self.call]
        for key in sorted(self.parts, key=lambda key: (key[0] != "summary", key[1])):
            parts.append(self.parts[key])
            if key[0] == "content":
                parts += self.annotations.get(key[1], [])
        return parts

    def native(self) -> dict[str, Any]:
        """Return the item as the server would send it now."""
        if self.is_done:
            return self.item
        if self.call is not None:
            return cast("dict[str, Any]", self.call.native)
        item = self.item or {"type": self.type, "id": self.id}
        lists: dict[str, list[Any]] = {}
        for (field, _), part in sorted(self.parts.items(), key=lambda each: each[0]):
            if field != "item":
                lists.setdefault(field, []).append(part.native)
        return {**item, **lists}


def arguments_of(item: dict[str, Any]) -> str:
    """Return the arguments of a call, as text."""
    field = CALLS.get(as_text(item.get("type")), ("", "arguments", True))[1]
    if field == "command":
        return "\n".join(map(as_text, as_list(as_dict(item.get("action")).get("commands"))))
    value = item.get(field)
    # An object, from servers that write them so.
    return as_json(value) if isinstance(value, dict) else as_text(value)
