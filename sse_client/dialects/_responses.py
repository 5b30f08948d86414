"""
OpenAI Responses, as OpenAI, Azure, xAI, OpenRouter, Copilot and others stream them.

A reply is a list of items: messages, reasoning, calls. Each has a slot, found by its `output_index`. Pieces grow the
parts of a slot; a `done` event sets one part, the item's own `done` sets all of its parts, and the `response` in the
last event sets all items. Mostly that is there already, and then nothing is new. Types of events are matched by their
endings: new ones come every month, and differ in what precedes `_arguments.delta`.

A response that was not streamed is read too: it is the `response` of a last event.
"""

from contextlib import suppress
from typing import Any, cast

from sse_client import Dialect, ErrorEvent, ServerSentEvent, Terminator

from ._message import FinishReason, Message, Other, Part, Reasoning, Refusal, Text, ToolCall, Written
from ._reader import DONE, PINGS, MessageReader, as_dict, as_list, as_text, kind_of, unknown
from ._responses_items import CALLS, Slot, arguments_of, call_native, content_native
from ._responses_resume import RESPONSES_RESUME
from ._vocabulary import (
    Data,
    Delta,
    PartAdded,
    ReasoningDelta,
    RefusalDelta,
    Replaced,
    TextDelta,
    ToolCallDelta,
)

DELTAS: dict[type[Part], Any] = {
    Text: TextDelta,
    Reasoning: ReasoningDelta,
    Refusal: RefusalDelta,
    ToolCall: ToolCallDelta,
}

OWN_KINDS = {"function", "custom"}  # the user runs these, and the reply waits for it

# The last word of a type, as of `function_call_arguments.delta`, says what kind of part the event writes.
WRITTEN: dict[str, type[Written]] = {
    "text": Text,
    "refusal": Refusal,
    **dict.fromkeys(("arguments", "input", "code", "command"), ToolCall),
}
CONTENTS: dict[str, type[Written]] = {
    "output_text": Text,
    "text": Text,
    "refusal": Refusal,
    "summary_text": Reasoning,
    "reasoning_text": Reasoning,
}

BEGINNINGS = {"created", "queued", "in_progress"}
ENDINGS = {"completed", "incomplete", "failed", "cancelled"}
TOO_LONG = {"max_output_tokens", "max_tokens"}
TRANSIENT = {"rate_limit_exceeded", "server_error", "server_is_overloaded"}


def written_by(topic: str) -> type[Written] | None:
    """Return what kind of part the events of that type write, without its `.delta` or `.done`."""
    if topic.startswith("reasoning"):
        return Reasoning
    return WRITTEN.get(topic.rpartition("_")[2])


def place_of(topic: str, fields: dict[str, Any]) -> tuple[str, int]:
    """Return the place in its item to which an event about text belongs: a list, and an index in it."""
    is_summary = "summary" in topic
    index = fields.get("summary_index" if is_summary else "content_index")
    return "summary" if is_summary else "content", index if isinstance(index, int) else 0


class ResponsesReader(MessageReader):
    """Reads one response."""

    ENDS_PARTS = True

    def __init__(self) -> None:
        super().__init__()
        self._response: dict[str, Any] = {}
        self._is_final = False
        self._slots: list[Slot] = []
        self._slot_at: dict[int, Slot] = {}
        self._slot_of: dict[str, Slot] = {}
        self._short_ways: dict[Any, tuple[Written, Any, str]] = {}  # from an event straight to its part
        self._number = -1
        self._was_resumed = False

    def resumed(self) -> None:
        self._was_resumed = True

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        if value.__class__ is not dict:
            return [Data(kind_of(event, value), value)]
        get = value.get
        number = get("sequence_number")
        if number.__class__ is int:
            # Compatible servers write 0 in all events, so only after a resume does the number tell a repeated one.
            if self._was_resumed and number <= self._number:
                return []
            self._number = number
        kind, piece = get("type"), get("delta")
        if piece.__class__ is not str:
            return self._read(kind if kind.__class__ is str else kind_of(event, value), value)
        key = kind, get("output_index"), get("content_index"), get("summary_index")
        name = get("item_id")
        try:
            part, delta, own_name = self._short_ways[key]
            if name == own_name or name not in self._slot_of:  # like `_find`
                if not piece:
                    return []
                part._pieces.append(piece)
                return [delta(piece, part)]
        except (KeyError, TypeError):  # TypeError: the index or ID has the wrong type
            pass
        return self._write(kind if kind.__class__ is str else kind_of(event, value), value, piece, key)

    def native(self) -> Any:
        """Return the response: the server's own once it was received, otherwise its parts so far."""
        if self._is_final and as_list(self._response.get("output")):
            return self._response
        if not self._response and not self._slots:
            return None
        # Some servers leave out the items at the end.
        items = [slot.native() for slot in self._slots_in_order()]
        return {**(self._response or {"object": "response"}), "output": items}

    # Events.

    def _read(self, kind: str, fields: dict[str, Any]) -> list[Delta]:
        """Read an event that is not a piece of text."""
        name = kind.removeprefix("response.")
        response = fields.get("response")
        if name in ENDINGS:
            return self._end(as_dict(response), name)
        if isinstance(response, dict):
            return self._begin(cast("dict[str, Any]", response), kind, fields)
        topic, _, verb = name.rpartition(".")
        match topic, verb:
            case "output_item", "added" | "done":
                return self._take_item(kind, fields, is_done=verb == "done")
            case "content_part" | "reasoning_summary_part" | "reasoning_part", "added" | "done":
                slot = self._slot(fields, "reasoning" if topic.startswith("reasoning") else "message")
                place, content = place_of(topic, fields), as_dict(fields.get("part"))
                if verb == "added":
                    slot.contents[place] = content
                return self._take_content(slot, place, content, is_done=verb == "done")
            case "output_text.annotation", "added":
                slot, annotation = self._slot(fields, "message"), fields.get("annotation")
                place = place_of(topic, fields)
                content = slot.contents.setdefault(place, {"type": "output_text"})
                annotations = as_list(content.get("annotations"))
                annotations.append(annotation)
                content["annotations"] = annotations
                return self._annotate(slot, place[1], annotation)
            case "shell_call_command", "added" | "done":
                return self._write_command(kind, fields, as_text(fields.get("command")), is_all=True)
            case _, "done":
                return self._set(kind, topic, fields)
            case "", "response":
                return self._take_whole(fields)
            case _:
                return unknown(kind, fields)

    def _begin(self, response: dict[str, Any], kind: str, fields: dict[str, Any]) -> list[Delta]:
        """Read what the server tells of the response before its end."""
        self.identify(id=response.get("id"), model=response.get("model"))
        self._response = response
        return [] if kind.removeprefix("response.") in BEGINNINGS else [Data(kind, fields)]

    def _take_whole(self, response: dict[str, Any]) -> list[Delta]:
        """Read a response that was not streamed; one that has only begun, in the background, is not complete."""
        status = as_text(response.get("status")) or "completed"
        if status in BEGINNINGS:
            return self._begin(response, status, response)
        return self._end(response, status)

    def _end(self, response: dict[str, Any], status: str) -> list[Delta]:
        """Read the last event, whose `response` has the last word."""
        self._is_final = True
        self._response = response or self._response
        self.identify(id=response.get("id"), model=response.get("model"))
        deltas = self._settle(response.get("output"))
        usage = as_dict(response.get("usage"))
        deltas += self.usage(
            usage,
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            total_tokens=usage.get("total_tokens"),
            cached_tokens=as_dict(usage.get("input_tokens_details")).get("cached_tokens"),
            reasoning_tokens=as_dict(usage.get("output_tokens_details")).get("reasoning_tokens"),
        )
        reason: FinishReason
        match status, as_text(as_dict(response.get("incomplete_details")).get("reason")):
            case "completed", _:
                reason = "tool_calls" if any(call.kind in OWN_KINDS for call in self.message.tool_calls) else "stop"
            case "incomplete", why:
                reason = "length" if why in TOO_LONG else "content_filter" if why == "content_filter" else "other"
                status = why or status
            case "failed", _:
                reason = "error"
            case "cancelled", _:
                reason = "cancelled"
            case _:
                reason = "other"
        return deltas + self.finish(reason, status)

    # Text and arguments.

    def _write(self, kind: str, fields: dict[str, Any], piece: str, key: Any) -> list[Delta]:
        """Add a piece to its part, and keep the short way to it."""
        topic = kind.removeprefix("response.").removesuffix(".delta")
        is_written = kind.endswith(".delta") and written_by(topic) is not None
        if not piece and is_written:
            return []
        if topic == "shell_call_command":
            return self._write_command(kind, fields, piece)
        part, slot, deltas = self._part_for(topic, fields) if is_written else (None, None, [])
        if part is None or slot is None:
            return [Data(kind, fields)]
        slot.is_done = False  # or no longer
        delta = DELTAS[type(part)]
        if fields.get("output_index") == slot.index:
            with suppress(TypeError):
                self._short_ways[key] = part, delta, slot.id
        part._pieces.append(piece)
        return [*deltas, delta(piece, part)]

    def _set(self, kind: str, topic: str, fields: dict[str, Any]) -> list[Delta]:
        """Set a whole text, or the whole arguments of a call."""
        names = ("arguments", "input", "code") if written_by(topic) is ToolCall else ("text", "refusal")
        text = next(filter(None, (as_text(fields.get(name)) for name in names)), "")
        if not text and written_by(topic) is not None:
            return []
        part, _, deltas = self._part_for(topic, fields)
        if part is None:
            return [Data(kind, fields)]
        deltas += self.replace(part, text)
        if not isinstance(part, ToolCall):
            part.is_done = True
        return deltas

    def _part_for(self, topic: str, fields: dict[str, Any]) -> tuple[Written | None, Slot | None, list[Delta]]:
        """Return the part that an event writes, a new one if need be, and its slot."""
        kind = written_by(topic)
        if kind is None:
            return None, None, []
        slot = self._find(fields)
        if kind is not ToolCall:
            slot = slot or self._slot(fields, "reasoning" if kind is Reasoning else "message")
            return self._content(slot, kind, place_of(topic, fields)), slot, []
        item_type = slot.type if slot is not None else next(filter(topic.startswith, CALLS), "")
        if item_type not in CALLS:
            return None, None, []
        slot = slot or self._slot(fields, item_type)
        call, deltas = self._call(slot, {"id": slot.id, "name": fields.get("name")})
        return call, slot, deltas

    def _content(self, slot: Slot, kind: type[Written], place: tuple[str, int]) -> Written:
        """Return the text at a place of an item, a new one if need be."""
        part = slot.parts.get(place)
        if isinstance(part, kind):
            return part
        content = slot.contents.get(place)
        if not content:
            type_ = "refusal" if kind is Refusal else "output_text" if kind is Text else "reasoning_text"
            content = slot.contents[place] = {"type": "summary_text" if place[0] == "summary" else type_}
            if kind is Text:
                content["annotations"] = []
        made = kind(kind.__name__.lower(), id=slot.id or None, native=content, render=content_native)
        slot.parts[place] = made
        self.begin(made)
        return made

    def _call(self, slot: Slot, item: dict[str, Any]) -> tuple[ToolCall, list[Delta]]:
        """Return the call of a slot, a new one if need be; the item may tell its ID and its name."""
        deltas: list[Delta] = []
        call = slot.call
        kind, _, is_json = CALLS[slot.type]
        native = slot.item or {"type": slot.type, "id": slot.id}
        if call is None:
            call = slot.call = ToolCall(kind, is_json=is_json, native=native, render=call_native)
            deltas = self.begin(call)
        call._native = native
        # The item's own ID until the call's ID is known.
        if as_text(item.get("call_id")):
            call.id = item["call_id"]
        elif call.id is None:
            call.id = as_text(item.get("id")) or None
        if call.name is None:
            call.name = as_text(item.get("name")) or None
        return call, deltas

    def _write_command(self, kind: str, fields: dict[str, Any], piece: str, *, is_all: bool = False) -> list[Delta]:
        """Write a command of a shell call, whose arguments are all its commands, each in a line."""
        call, slot, deltas = self._part_for("shell_call_command", fields)
        if not isinstance(call, ToolCall) or slot is None:
            return [Data(kind, fields)]
        index = fields.get("command_index")
        index = index if isinstance(index, int) else 0
        is_more = index in slot.commands and index == max(slot.commands) and not is_all
        pieces = slot.commands.setdefault(index, [])
        if is_all and piece:
            pieces.clear()
        pieces.append(piece)
        if is_more:
            call._pieces.append(piece)
            return [*deltas, ToolCallDelta(piece, call)]
        commands = ["".join(slot.commands[each]) for each in sorted(slot.commands)]
        return deltas + self.replace(call, "\n".join(commands))

    def _annotate(self, slot: Slot, index: int, annotation: Any) -> list[Delta]:
        """Add an annotation to a text."""
        fields = as_dict(annotation)
        deltas = self.add(as_text(fields.get("type")) or "annotation", annotation)
        added = cast("PartAdded", deltas[-1]).part
        slot.annotations.setdefault(index, []).append(added)
        return deltas

    # Slots.

    def _find(self, fields: dict[str, Any]) -> Slot | None:
        """Return the slot that an event means."""
        index, name = fields.get("output_index"), as_text(fields.get("item_id"))
        if not isinstance(index, int) and not name:
            return self._slots[-1] if self._slots else None
        if not isinstance(index, int):
            return self._slot_of.get(name)
        slot = self._slot_at.get(index)
        if slot is not None and slot.id != name:
            # Servers that give all items one index tell them apart by the ID. Others give each event another ID.
            return self._slot_of.get(name, slot)
        return slot

    def _slot(self, fields: dict[str, Any], type: str = "") -> Slot:
        """Return the slot that an event means, a new one of that type if need be."""
        return self._find(fields) or self._open_slot(fields.get("output_index"), fields.get("item_id"), type)

    def _open_slot(self, index: Any, id: Any, type: str = "") -> Slot:
        """Begin an item; its index means this one from now on."""
        name = as_text(id)
        slot = Slot(index if isinstance(index, int) else len(self._slots), name, type)
        self._slots.append(slot)
        self._slot_at[slot.index] = slot
        if name:
            self._slot_of[name] = slot
        self._short_ways.clear()
        return slot

    def _slots_in_order(self) -> list[Slot]:
        return sorted(self._slots, key=lambda slot: cast("int", slot.index))

    def _slot_for(self, item: dict[str, Any], fields: dict[str, Any], *, is_done: bool) -> Slot:
        """Return the slot that an item has, or begins."""
        index, name = fields.get("output_index"), as_text(item.get("id"))
        at = self._slot_at.get(index) if isinstance(index, int) else self._slot_of.get(name)
        if at is not None:
            if at.is_of(item) or (not at.item and at.type in ("", item.get("type"))):
                return at
            # A server that gives all items one index; or one that gives each event of an item another ID.
            for slot in self._slots:
                if slot.is_of(item):
                    return slot
            if is_done and not at.is_done and at.type == item.get("type"):
                return at
        return self._open_slot(index, name)

    # Items.

    def _take_item(self, kind: str, fields: dict[str, Any], *, is_done: bool) -> list[Delta]:
        """Read an item that begins or ends."""
        item = as_dict(fields.get("item"))
        if not item:
            return [] if fields.get("item") is None else [Data(kind, fields)]
        slot = self._slot_for(item, fields, is_done=is_done)
        if not is_done:
            return self._begin_item(slot, item)
        other = slot.parts.get(("item", 0))
        deltas = self._end_item(slot, item)
        # It was announced before it was whole.
        return [Data(kind, fields)] if other is not None and not deltas else deltas

    def _begin_item(self, slot: Slot, item: dict[str, Any]) -> list[Delta]:
        self._know(slot, item)
        if slot.type in CALLS:
            call, deltas = self._call(slot, item)
            arguments = arguments_of(item)
            return deltas + (self.replace(call, arguments) if arguments and not call._pieces else [])
        if slot.type == "message" or slot.type == "reasoning":
            return []
        return self._take_other(slot, item, is_done=False)

    def _know(self, slot: Slot, item: dict[str, Any]) -> None:
        slot.item = item
        slot.type = as_text(item.get("type")) or slot.type
        if name := as_text(item.get("id")):
            slot.id = name
            self._slot_of[name] = slot
        self.identify(role=item.get("role"))

    def _end_item(self, slot: Slot, item: dict[str, Any]) -> list[Delta]:
        """Set all of an item, and end its parts."""
        self._know(slot, item)
        slot.is_done = True
        self._short_ways.clear()
        if slot.type in CALLS:
            return self._end_call(slot, item)
        if slot.type != "message" and slot.type != "reasoning":
            return self._take_other(slot, item, is_done=True)
        deltas: list[Delta] = []
        for field in ("summary", "content"):
            for index, content in enumerate(as_list(item.get(field))):
                deltas += self._take_content(slot, (field, index), as_dict(content), is_done=True)
        for part in slot.parts.values():
            self.end(part)
        return deltas

    def _end_call(self, slot: Slot, item: dict[str, Any]) -> list[Delta]:
        call, deltas = self._call(slot, item)
        if arguments := arguments_of(item):
            deltas += self.replace(call, arguments)
        # An input that is text, or absent, is whole when it has ended: so one that was cut must not.
        if item.get("status") != "incomplete" or (call._is_json and call._pieces):
            deltas += self.end(call)
        output = item.get("outputs") if item.get("output") is None else item["output"]
        error = item.get("error")
        if call.kind not in OWN_KINDS and (output, error) != (call.output, call.error):
            deltas += self.tool_result(call, output, error)
        return deltas

    def _take_other(self, slot: Slot, item: dict[str, Any], *, is_done: bool) -> list[Delta]:
        """Take an item that is one part."""
        part = slot.parts.get(("item", 0))
        deltas: list[Delta] = []
        if not isinstance(part, Other):
            part = slot.parts["item", 0] = Other(slot.type or "item", id=slot.id or None)
            self.begin(part)
            deltas.append(PartAdded(part))
        part._native = item
        part.is_done = is_done
        return deltas

    def _take_content(
        self, slot: Slot, place: tuple[str, int], content: dict[str, Any], *, is_done: bool
    ) -> list[Delta]:
        """Set a part of an item's content."""
        kind = Reasoning if slot.type == "reasoning" else CONTENTS.get(as_text(content.get("type")))
        part = slot.parts.get(place)
        if kind is None:
            if not is_done or not content:
                return []
            if isinstance(part, Other):
                part._native = content
                return []
            deltas = self.add(as_text(content.get("type")) or "content", content)
            slot.parts[place] = cast("PartAdded", deltas[-1]).part
            return deltas
        text = as_text(content.get("refusal" if kind is Refusal else "text"))
        deltas = []
        if text or type(part) is kind:
            written = self._content(slot, kind, place)
            deltas = self.replace(written, text) if text else []
            written._native = slot.contents[place] = content
            written.is_done = written.is_done or is_done
        known = slot.annotations.get(place[1], []) if place[0] == "content" else []
        for index, annotation in enumerate(as_list(content.get("annotations"))):
            if index < len(known):
                known[index]._native = annotation
            else:
                deltas += self._annotate(slot, place[1], annotation)
        return deltas

    def _settle(self, output: Any) -> list[Delta]:
        """Set all items as the last event has them: their texts, their arguments and their order."""
        items = [item for item in map(as_dict, as_list(output)) if item]
        if not items:
            return []
        before = list(self.message.parts)
        found = self._match(items)
        deltas: list[Delta] = []
        slots: list[Slot] = []
        for item, slot in zip(items, found, strict=True):
            slot = slot or self._open_slot(len(self._slots), item.get("id"))
            slots.append(slot)
            if not slot.is_done or slot.item != item:
                deltas += self._end_item(slot, item)
        # The server has ended these too, but leaves them out at the end. One that it has not ended is void.
        for slot in self._slots_in_order() if len(slots) < len(self._slots) else ():
            if slot.is_done and slot not in slots:
                before_it = [place for place, each in enumerate(slots, 1) if each.index < slot.index]
                slots.insert(before_it[-1] if before_it else 0, slot)
        parts = [part for slot in slots for part in slot.in_order()]
        if parts == before and not deltas:
            return []
        self.message.parts[:] = parts
        self._open = [each for each in self._open if any(each[0] is part for part in parts)]
        if not any(isinstance(delta, Replaced) for delta in deltas) and is_continued(before, parts):
            return deltas
        # Last, and once: the message has by then all that this event brings.
        return [*(delta for delta in deltas if not isinstance(delta, Replaced)), Replaced(self.message)]

    def _match(self, items: list[dict[str, Any]]) -> list[Slot | None]:
        """Return the slot of each item: by its ID, else the next one of the same type."""
        left = self._slots_in_order()
        found: list[Slot | None] = [None] * len(items)
        for is_exact in (True, False):
            for index, item in enumerate(items):
                if found[index] is None:
                    for slot in left:
                        if slot.is_of(item) if is_exact else slot.type in ("", item.get("type")):
                            found[index] = slot
                            left.remove(slot)
                            break
        return found


def is_continued(before: list[Part], after: list[Part]) -> bool:
    """Whether what was shown of a message is still there, with nothing new in between."""
    for kind in (Text, Reasoning, Refusal, ToolCall):
        old = [id(part) for part in before if type(part) is kind]
        new = [id(part) for part in after if type(part) is kind]
        # The order of calls shows nowhere.
        if not set(old) <= set(new) if kind is ToolCall else new[: len(old)] != old:
            return False
    return True


OPENAI_RESPONSES: Dialect[Delta, Message] = Dialect(
    reader=ResponsesReader,
    terminator=Terminator(field="type", values={f"response.{each}" for each in ENDINGS}),
    errors=(
        ErrorEvent(field="type", values={"error"}, retry=TRANSIENT)
        | ErrorEvent(event="error", retry=TRANSIENT)
        | ErrorEvent(field="error", retry=TRANSIENT)
        | ErrorEvent(
            field="response.error",
            message="response.error.message",
            code="response.error.code",
            retry=TRANSIENT,
        )
    ),
    pings=PINGS,
    resume=RESPONSES_RESUME,
    stream_field="stream",
)
"""
OpenAI Responses: `POST /responses` with `"stream": true`.

A reply has ended with one of four events: `response.completed`, `.incomplete`, `.failed` or `.cancelled`. A stream of a
response that runs in the background is resumed if it breaks.
"""
