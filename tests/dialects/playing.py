"""
Streams through a dialect's reader, without a client: what the session decides is done here in a few lines.

`play` feeds bytes in pieces. `script` makes the bytes of a stream from values.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sse_client
from sse_client import Dialect, ErrorEventReceived, EventParser, ServerSentEvent, SSEError, StreamTruncated
from sse_client.dialects import (
    Delta,
    Finish,
    Message,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Replaced,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)

STREAMS = Path(sse_client.__file__).parents[2] / "shared" / "streams"


@dataclass
class Reply:
    """What a stream came to."""

    message: Message
    deltas: list[Delta] = field(default_factory=list)
    error: SSEError | None = None
    code: Any = None
    has_terminator: bool = False
    is_complete: bool | None = None

    @property
    def said(self) -> str | None:
        """The server's own words in an error that it sent."""
        return self.error.message if isinstance(self.error, ErrorEventReceived) else None

    @property
    def kinds(self) -> list[str]:
        """The names of the deltas' classes."""
        return [type(delta).__name__ for delta in self.deltas]

    def joined(self, kind: type[Any], choice: int = 0) -> str:
        """The text of all deltas of a kind."""
        return "".join(delta.text for delta in self.deltas if isinstance(delta, kind) and delta.choice == choice)


def script(*values: Any, names: Iterable[str] = ()) -> bytes:
    """The bytes of a stream: JSON for each value but text, which stands as it is; with names, if there are any."""
    lines = []
    given = iter(names)
    for value in values:
        if name := next(given, ""):
            lines.append(f"event: {name}\n")
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"data: {text}\n\n")
    return "".join(lines).encode("utf-8", "surrogatepass")


def play(dialect: Dialect[Delta, Message], data: bytes, size: int | None = None) -> Reply:
    """Read a stream that ends cleanly after these bytes, in pieces of that size."""
    pieces = [data] if size is None else [data[at : at + size] for at in range(0, len(data), size)]
    return play_pieces(dialect, pieces)


def play_pieces(dialect: Dialect[Delta, Message], pieces: Iterable[bytes]) -> Reply:
    """Read a stream that ends cleanly after these pieces."""
    assert dialect.reader is not None
    reader = dialect.reader()
    reply = Reply(reader.snapshot)
    parser = EventParser()
    for piece in pieces:
        for event in parser.feed(piece):
            if _take(dialect, reader, reply, event):
                reader.close(reply.error)
                return reply
    # A block without its blank line counts if it is the terminator.
    for event in parser.feed(b"\n\n"):
        if _is_terminator(dialect, event):
            _take(dialect, reader, reply, event)
    reply.is_complete = True if reply.has_terminator else reader.is_complete
    if reply.is_complete is False:
        reply.error = StreamTruncated("cut")
    reader.close(reply.error)
    return reply


def _take(dialect: Dialect[Delta, Message], reader: Any, reply: Reply, event: ServerSentEvent) -> bool:
    """Take an event in; return whether it is the last."""
    if event.event in dialect.pings:
        return False
    if dialect.errors is not None and (mark := dialect.errors.match(event)):
        message, reply.code = mark.read(event)
        reply.error = ErrorEventReceived(message or "", event=event, code=reply.code, message=message)
        return True
    reply.deltas += reader.read(event)
    reply.has_terminator = _is_terminator(dialect, event)
    reply.is_complete = True if reply.has_terminator else None
    return reply.has_terminator


def _is_terminator(dialect: Dialect[Delta, Message], event: ServerSentEvent) -> bool:
    if dialect.terminator is not None:
        return dialect.terminator.match(event) is not None
    return event.data == "[DONE]" and event.event == "message"


def outline(message: Message) -> Any:
    """All that a message says, as plain values that can be compared."""
    return [
        message.id,
        message.model,
        message.role,
        message.finish_reason,
        message.native_finish_reason,
        message.native,
        message.usage and message.usage.native,
        message.ended_well,
        [[_outline_of(part) for part in choice.parts] for _, choice in sorted(message.choices.items())],
    ]


def _outline_of(part: Part) -> list[Any]:
    plain = [type(part).__name__, part.kind, part.id, part.is_done, part.native]
    match part:
        case ToolCall():
            return [*plain, part.name, part.arguments, part.is_whole, part.output, part.error]
        case Text() | Reasoning() | Refusal():
            return [*plain, part.text]
        case _:
            return plain


def check(reply: Reply) -> None:
    """Check what is true of every reply: deltas add up to the message, and calls start and end once."""
    for index, choice in reply.message.choices.items():
        if not any(isinstance(delta, Replaced) for delta in reply.deltas):
            # By part: parts may grow at the same time.
            texts: dict[int, str] = {}
            for delta in reply.deltas:
                if isinstance(delta, TextDelta | ReasoningDelta | RefusalDelta) and delta.choice == index:
                    texts[id(delta.part)] = texts.get(id(delta.part), "") + delta.text
            written = [part for part in choice.parts if isinstance(part, Text | Reasoning | Refusal)]
            assert texts == {id(part): part.text for part in written if part.text}
        finishes = [delta for delta in reply.deltas if isinstance(delta, Finish) and delta.choice == index]
        assert (finishes[-1].reason if finishes else None) == choice.finish_reason
    states: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for delta in reply.deltas:
        match delta:
            case ToolCallStart(call):
                assert id(call) not in states
                states[id(call)] = "open"
            case ToolCallDelta(text, call):
                assert id(call) in states
                arguments[id(call)] = arguments.get(id(call), "") + text
            case ToolCallEnd(call):
                assert states[id(call)] == "open"
                states[id(call)] = "done"
            case _:
                pass
    for choice in reply.message.choices.values():
        for call in choice.tool_calls:
            assert states[id(call)] == ("done" if call.is_done else "open")
            if not any(isinstance(delta, Replaced) for delta in reply.deltas):
                assert arguments.get(id(call), "") == call.arguments
    if reply.message.ended_well:
        assert all(call.is_whole for call in reply.message.tool_calls)


def recorded(folder: str) -> list[str]:
    """The names of the streams of a folder that has expectations; none if the folder is absent."""
    return [name for name in expectations() if name.startswith(folder + "/")]


def expectations() -> dict[str, dict[str, Any]]:
    """What each recorded stream must come to, by its name."""
    path = STREAMS / "expected.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {value["file"]: value for value in map(json.loads, lines)}


def digest(value: Any) -> Any:
    """A value with its strings replaced by their hash and length, like the expectations."""
    if isinstance(value, str):
        return {"sha256": hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest(), "len": len(value)}
    if isinstance(value, dict):
        return {name: digest(each) for name, each in value.items()}
    return [digest(each) for each in value] if isinstance(value, list) else value


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Some ways to cut a stream: whole, at line ends, in pieces of 13 bytes, in single bytes if it is short."""
    yield [data]
    yield data.splitlines(keepends=True)
    yield [data[at : at + 13] for at in range(0, len(data), 13)]
    if len(data) <= 30_000:
        yield [data[at : at + 1] for at in range(len(data))]


def is_transient(dialect: Dialect[Delta, Message], error: Any) -> bool:
    """Whether the dialect counts an error event as one that may be gone at the next attempt."""
    assert dialect.errors is not None
    event = ServerSentEvent(data=json.dumps(error))
    mark = dialect.errors.match(event)
    assert mark is not None
    return mark.is_transient(mark.read(event)[1])
