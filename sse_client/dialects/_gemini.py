"""
Gemini: `:streamGenerateContent`, of the Gemini API and of Vertex.

Every event is a whole response with what is new, and has no name. Its parts come in order: a text goes on in the last
part if that is of the same kind. `native` is one response: the parts of all events, with adjacent texts joined, unless
one of them has a signature, which belongs to its own part.

An old Vertex API writes `STOP` into every event: of its streams nothing can tell whether the end is missing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, cast

from sse_client import Dialect, ErrorEvent, ServerSentEvent

from ._message import FinishReason, Message, Part, Reasoning, Text, ToolCall, Usage, Written
from ._partial import Path
from ._reader import DONE, PINGS, MessageReader, as_count, as_dict, as_json, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta, ReasoningDelta, TextDelta, ToolCallDelta, UsageUpdate

REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",  # a limit of one request, after which another goes on
    **dict.fromkeys(("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT"), "content_filter"),
    **dict.fromkeys(("SPII", "MODEL_ARMOR", "ESCALATION"), "content_filter"),
    **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"), "error"),
    **dict.fromkeys(("MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"), "error"),
}
UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"

# The fields that identify an object as a response; it may have any other field too.
FIELDS = {"candidates", "usageMetadata", "promptFeedback", "modelVersion", "responseId", "createTime", "modelStatus"}
# Fields that accompany the one field that determines the kind of a part.
BESIDE = {"thought", "thoughtSignature"}
PLAIN = {"text", "thought"}

# A step of a path (RFC 9535, section 2.7): a name, an index, or a name in quotes.
STEP = re.compile(r"""\.([^.\[\]]+)|\[([0-9]{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""", re.DOTALL)
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# As deep as JSON is ever nested in arguments, and far from what the interpreter allows.
MAX_DEPTH = 100


def text_native(part: Written) -> dict[str, Any]:
    """A text as one part of the server, with the last of its signatures."""
    is_thought = {"thought": True} if isinstance(part, Reasoning) else {}
    return {"text": part._text(), **is_thought, **as_dict(part._native)}


def path_of(text: Any) -> Path | None:
    """Parse the path of an argument, as `$.rows[0].name`; `None` if it has anything else."""
    if not isinstance(text, str) or not text.startswith("$"):
        return None
    path: list[str | int] = []
    place = 1
    while place < len(text):
        step = STEP.match(text, place)
        if step is None or len(path) == MAX_DEPTH:
            return None
        place = step.end()
        name, index, single, double = step.groups()
        if index is not None:
            path.append(int(index))
        else:
            quoted = single if name is None and double is None else double
            path.append(name if name is not None else ESCAPE.sub(unescape, quoted))
    return tuple(path) if path and isinstance(path[0], str) else None


def unescape(match: re.Match[str]) -> str:
    what = match[1]
    return chr(int(what[1:], 16)) if len(what) > 1 else ESCAPED.get(what, what)


class Run:
    """Adjacent texts that are one part in `native`."""

    __slots__ = ("is_plain", "is_thought", "part", "pieces")

    def __init__(self, part: dict[str, Any], text: str, is_plain: bool) -> None:
        self.part = part
        self.pieces = [text]
        self.is_plain = is_plain  # more can be joined to it
        self.is_thought = part.get("thought") is True

    @property
    def native(self) -> dict[str, Any]:
        return {**self.part, "text": "".join(self.pieces)}


class Leaf:
    """A text in the arguments, in pieces until it is asked for."""

    __slots__ = ("container", "joined", "key", "pieces")

    def __init__(self, container: Any, key: str | int, text: str) -> None:
        self.container = container
        self.key = key
        self.pieces = [text]
        self.joined = "", 0  # the text and its number of pieces; one value, because another thread may read it

    def join(self) -> None:
        """Put the text into its container."""
        text, count = self.joined
        total = len(self.pieces)
        text += "".join(self.pieces[count:total])
        self.joined = text, total
        self.container[self.key] = text


class Call(ToolCall):
    """
    A call whose arguments come leaf by leaf; their text comes at its end.

    Its deltas have `changes` instead of text, and `partial` has the value so far.
    """

    __slots__ = ("_args", "_changed", "_leaves", "_steps")

    def __init__(self, part: dict[str, Any]) -> None:
        super().__init__(native=part)
        self._args: dict[str, Any] = {}
        self._leaves: dict[Path, Leaf] = {}
        self._changed: dict[Path, None] = {}
        self._steps: list[list[tuple[Path, str]]] = []

    @property
    def native(self) -> Any:
        """The part of the server, with the arguments so far."""
        part: dict[str, Any] = self._native
        known = {"id": self.id, "name": self.name}
        call = {name: value for name, value in known.items() if value is not None}
        return {**part, "functionCall": {**call, "args": self.partial or {}}}

    @property
    def partial(self) -> Any:
        """The arguments so far; `None` if they have not begun. The value is live: copy it if you keep it."""
        while self._changed:
            self._leaves[self._changed.popitem()[0]].join()
        return self._args or None

    def set(self, path: Path, value: Any) -> bool:
        """Set a leaf, or extend it if it is text; return whether there can be such a leaf."""
        leaf = self._leaves.get(path)
        if leaf is not None:
            if not isinstance(value, str):
                return False
            leaf.pieces.append(value)
            self._changed[path] = None
            return True
        container: Any = self._args
        for key, next_key in pairwise(path):
            made: Any = {} if isinstance(next_key, str) else []
            if not put(container, key, made, is_new=False):
                return False
            container = container[key]
        if not put(container, path[-1], value):
            return False
        if isinstance(value, str):
            self._leaves[path] = Leaf(container, path[-1], value)
        return True

    def _changes_of(self, index: int) -> Sequence[tuple[Path, str]]:
        return self._steps[index] if index >= 0 else ()


def put(container: Any, key: Any, value: Any, *, is_new: bool = True) -> bool:
    """Put a value into an object or a list, if it can be there; the items of a list come in order."""
    if container.__class__ is dict and isinstance(key, str):
        if is_new or key not in container:
            container[key] = value
        return True
    if container.__class__ is not list or not isinstance(key, int) or key > len(container):
        return False
    if key == len(container):
        container.append(value)
    elif is_new:
        container[key] = value
    return True


class Candidate:
    """The parts of a candidate other than its message."""

    __slots__ = ("call", "content", "fields", "is_broken", "may_end", "message", "parts", "reason")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.fields: dict[str, Any] = {}
        self.content: dict[str, Any] = {}
        self.parts: list[Any] = []  # of `native`
        self.call: Call | None = None  # the one that goes on
        self.is_broken = False  # whether something of its arguments is not understood
        self.may_end = False  # whether the server has not said that it goes on
        self.reason = ""

    def native(self) -> dict[str, Any]:
        if not self.content and not self.parts:
            return {name: value for name, value in self.fields.items() if name != "content"}
        parts = [part.native if isinstance(part, Run | Call) else part for part in self.parts]
        return {**self.fields, "content": {**self.content, "parts": parts}}


class GeminiReader(MessageReader):
    """Reads the responses that one response was cut into; also a whole one, or a list of them."""

    RENDER: ClassVar[Mapping[type[Part], Callable[[Any], Any]]] = {Text: text_native, Reasoning: text_native}

    def __init__(self) -> None:
        super().__init__()
        self._top: dict[str, Any] = {}
        self._candidates: dict[int, Candidate] = {}

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        deltas: list[Delta] = []
        if value.__class__ is list:
            for each in value:
                self._read(event, each, deltas)
        else:
            self._read(event, value, deltas)
        return deltas

    def native(self) -> Any:
        """Return all responses as one."""
        if not self._top and not self._candidates:
            return None
        candidates = [candidate.native() for _, candidate in sorted(self._candidates.items())]
        top = {name: value for name, value in self._top.items() if name != "candidates"}
        return {**({"candidates": candidates} if candidates else {}), **top}

    def _read(self, event: ServerSentEvent, value: Any, deltas: list[Delta]) -> None:
        if value.__class__ is not dict or ("candidates" not in value and value.keys().isdisjoint(FIELDS)):
            deltas += unknown(kind_of(event, value), value)
            return
        candidates = value.get("candidates")
        if candidates.__class__ is list:
            for candidate in candidates:
                if candidate.__class__ is dict:
                    self._read_candidate(candidate, deltas)
                elif candidate is not None:
                    deltas.append(Data("candidate", candidate))
        keep(self._top, value)
        message = self.message
        if message.id is None or message.model is None:
            self.identify(id=value.get("responseId"), model=value.get("modelVersion"))
        usage: Any = value.get("usageMetadata")
        if usage.__class__ is dict and usage and (message.usage is None or message.usage.native != usage):
            message.usage = usage_of(usage)
            deltas.append(UsageUpdate(message.usage))
        if "promptFeedback" in value and not candidates:
            reason = as_text(as_dict(value["promptFeedback"]).get("blockReason"))
            if reason and message.finish_reason is None:
                deltas += self.finish("content_filter", reason)

    def _read_candidate(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        index: Any = value.get("index")
        if index.__class__ is not int:
            index = 0
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = Candidate(self.choice(index))
        content: Any = value.get("content")
        if content.__class__ is dict:
            if not candidate.content:
                keep(candidate.content, content)
                self.identify(role=content.get("role"), choice=index)
            parts = content.get("parts")
            for part in parts if parts.__class__ is list else ():
                text: Any = part.get("text") if part.__class__ is dict else None
                if text.__class__ is str:
                    self._add_text(candidate, index, part, text, deltas)
                elif part:
                    self._add(candidate, index, part, deltas)
        keep(candidate.fields, value)
        reason = value.get("finishReason")
        if reason.__class__ is str and reason and reason != UNSPECIFIED:
            candidate.reason = reason
        if candidate.reason:  # also one that came before: there may be a call now
            self._finish(candidate, index, deltas)

    def _add_text(self, candidate: Candidate, index: int, part: dict[str, Any], text: str, deltas: list[Delta]) -> None:
        is_thought = part.get("thought") is True
        is_plain = len(part) == 1 or part.keys() <= PLAIN
        last: Any = candidate.parts[-1] if candidate.parts else None
        if is_plain and last.__class__ is Run and last.is_plain and last.is_thought is is_thought:
            if not text:
                return
            last.pieces.append(text)
            shown: Any = candidate.message.parts[-1]
            shown._pieces.append(text)
            deltas.append(ReasoningDelta(text, shown, index) if is_thought else TextDelta(text, shown, index))
            return
        if text or not is_plain:
            candidate.parts.append(Run(part, text, is_plain))
        deltas += self.reasoning(text, choice=index) if is_thought else self.text(text, choice=index)
        parts = candidate.message.parts
        if not is_plain and parts and isinstance(parts[-1], Reasoning if is_thought else Text):
            beside = {name: each for name, each in part.items() if name not in PLAIN}
            parts[-1]._native = {**as_dict(parts[-1]._native), **beside}

    def _add(self, candidate: Candidate, index: int, part: Any, deltas: list[Delta]) -> None:
        """Add a part that is not text."""
        fields = as_dict(part)
        call = fields.get("functionCall")
        if isinstance(call, dict):
            self._add_call(candidate, index, fields, cast("dict[str, Any]", call), deltas)
            return
        candidate.parts.append(part)
        kind = next((name for name in fields if name not in BESIDE), "" if fields else "part")
        if kind:  # else it has only a signature
            deltas += self.add(kind, part, id=as_dict(fields.get(kind)).get("id"), choice=index)

    def _add_call(
        self, candidate: Candidate, index: int, part: dict[str, Any], fields: dict[str, Any], deltas: list[Delta]
    ) -> None:
        """Add a call, or more of its arguments."""
        own_id, name = as_text(fields.get("id")), as_text(fields.get("name"))
        leaves, goes_on = as_list(fields.get("partialArgs")), fields.get("willContinue") is True
        call = candidate.call
        if call is not None and ((name and name != call.name) or (own_id and call.id and own_id != call.id)):
            self._end_call(candidate, index, deltas)
            call = None
        if call is None and not leaves and not goes_on:
            whole = ToolCall(id=own_id or None, name=name or None, native=part)
            candidate.parts.append(part)
            deltas += self.begin(whole, choice=index)
            self._write(whole, index, fields.get("args"), deltas)
            return
        if call is None:
            call = candidate.call = Call(part)
            candidate.is_broken = False
            candidate.parts.append(call)
            call.id, call.name = own_id or None, name or None
            deltas += self.begin(call, choice=index)
            self._open.pop()  # nothing ends it but its own end
        else:
            call._native = {**call._native, **part}
            call.id = call.id or own_id or None
        call._args.update(as_dict(fields.get("args")))
        candidate.may_end = not goes_on
        steps: list[tuple[Path, str]] = []
        for leaf in leaves:
            self._set_leaf(candidate, call, as_dict(leaf), steps)
        if leaves:
            delta = ToolCallDelta("", call, index)
            delta._index = len(call._steps)
            call._steps.append(steps)
            deltas.append(delta)
        elif not goes_on:
            self._end_call(candidate, index, deltas)

    def _set_leaf(self, candidate: Candidate, call: Call, leaf: dict[str, Any], steps: list[tuple[Path, str]]) -> None:
        """Set a leaf of the arguments; what is not understood makes a call that is never whole."""
        path = path_of(leaf.get("jsonPath"))
        if leaf.get("willContinue") is True:
            candidate.may_end = False
        given = leaf.keys() - {"jsonPath", "willContinue"}
        if path is not None and not given:
            return
        value: Any = None
        match leaf:
            case {"stringValue": str(value)} | {"numberValue": int(value) | float(value)} | {"boolValue": bool(value)}:
                pass
            case {"nullValue": _}:
                pass
            case _:
                path = None
        if path is None or len(given) != 1 or not call.set(path, value):
            candidate.is_broken = True
        elif isinstance(value, str) and value:
            steps.append((path, value))

    def _end_call(self, candidate: Candidate, index: int, deltas: list[Delta]) -> None:
        """End the call that goes on, if the server has, and all of it is understood; else it stays open."""
        call, candidate.call = candidate.call, None
        if call is not None and candidate.may_end and not candidate.is_broken:
            self._write(call, index, call.partial or {}, deltas)

    def _write(self, call: ToolCall, index: int, args: Any, deltas: list[Delta]) -> None:
        """Write all arguments of a call, and end it."""
        if text := as_json(args):
            call._pieces.append(text)
            delta = ToolCallDelta(text, call, index)
            if isinstance(call, Call):
                delta._index = -1  # its changes have been told
            deltas.append(delta)
        deltas += self.end(call, choice=index)

    def _finish(self, candidate: Candidate, index: int, deltas: list[Delta]) -> None:
        native = candidate.reason
        reason = REASONS.get(native, "content_filter" if native.startswith("IMAGE_") else "other")
        if reason == "stop":
            self._end_call(candidate, index, deltas)
            if any(isinstance(part, ToolCall) for part in self.choice(index).parts):
                reason = "tool_calls"
        deltas += self.finish(reason, native, choice=index)


def keep(kept: dict[str, Any], fields: dict[str, Any]) -> None:
    """Keep the last of each field; null or nothing overwrites none."""
    for name, value in fields.items():
        if value or (value is not None and name not in kept):
            kept[name] = value


def usage_of(native: dict[str, Any]) -> Usage:
    """Return the tokens of a reply: what it has written are its candidates and its thoughts."""
    get = native.get
    read, written, thoughts = get("promptTokenCount"), get("candidatesTokenCount"), get("thoughtsTokenCount")
    total, cached = get("totalTokenCount"), get("cachedContentTokenCount")
    # Every event of a reply has its usage, so the usual types take no call.
    read = read if read.__class__ is int else as_count(read)
    written = written if written.__class__ is int else as_count(written)
    thoughts = thoughts if thoughts.__class__ is int else as_count(thoughts)
    total = total if total.__class__ is int else as_count(total)
    output = written if thoughts is None else thoughts + (written or 0)
    return Usage(read, output, total, None if cached is None else as_count(cached), thoughts, native)


# By their code, or if that is missing, by their status.
TRANSIENT: set[int | str] = {429, 500, 503, "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"}

GEMINI: Dialect[Delta, Message] = Dialect(
    reader=GeminiReader,
    pings=PINGS,
    errors=(
        ErrorEvent(field="error", retry=TRANSIENT)
        | ErrorEvent(field="0.error", message="0.error.message", code="0.error.code", retry=TRANSIENT)
    ),
    accept_json=True,
)
"""
Gemini: `POST /models/{model}:streamGenerateContent?alt=sse`; also without `alt=sse`, where the response is a list.

Nothing marks the end. A reply is complete if every candidate has a `finishReason`, or the prompt was blocked.
"""
