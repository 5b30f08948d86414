"""Replies as scripted events: a value is an unnamed event, a pair has a name, a text is data as it stands."""

import copy
import json
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sse_client import Dialect, ErrorEvent, EventParser, ServerSentEvent
from sse_client.dialects import Delta, Message, TextDelta, ToolCallDelta, ToolCallEnd, ToolCallStart
from sse_client.dialects._reader import DONE, MessageReader


def event(script: Any) -> ServerSentEvent:
    """Make an event of a line of a script."""
    name, value = script if isinstance(script, tuple) else ("message", script)
    return ServerSentEvent(name, value if isinstance(value, str) else json.dumps(value))


@dataclass
class Outcome:
    """How a reply was read."""

    deltas: list[Delta]
    message: Message
    reader: MessageReader
    error: tuple[str | None, Any] | None
    has_terminator: bool

    @property
    def is_completed(self) -> bool:
        """Whether the stream counts as completed at this clean end."""
        return self.error is None and (self.has_terminator or self.reader.is_complete is not False)


def play(dialect: Dialect[Delta, Message], *script: Any) -> Outcome:
    """Read scripted events as a stream of the dialect, up to a clean end."""
    return read(dialect, map(event, script))


def read(dialect: Dialect[Delta, Message], events: Any) -> Outcome:
    """Read events as a stream would: up to an error or the terminator."""
    assert dialect.reader is not None
    reader = dialect.reader()
    assert isinstance(reader, MessageReader)
    deltas: list[Delta] = []
    error = None
    has_terminator = False
    for each in events:
        mark = dialect.errors.match(each) if dialect.errors else None
        if mark is not None:
            assert isinstance(mark, ErrorEvent)
            error = mark.read(each)
            break
        deltas += reader.read(each)
        has_terminator = dialect.terminator is not None and dialect.terminator.match(each) is not None
        if has_terminator or each.data == DONE:
            break
    return Outcome(deltas, reader.message, reader, error, has_terminator)


def kinds(deltas: Sequence[Delta]) -> list[str]:
    """The names of the deltas' classes."""
    return [type(delta).__name__ for delta in deltas]


def check_calls(outcome: Outcome) -> None:
    """Each call starts once, and ends at most once, after its arguments."""
    for call in outcome.message.tool_calls:
        order = [d for d in outcome.deltas if isinstance(d, ToolCallStart | ToolCallDelta | ToolCallEnd)]
        names = kinds([delta for delta in order if delta.call is call])
        assert names[0] == "ToolCallStart"
        assert names.count("ToolCallStart") == 1
        assert names.count("ToolCallEnd") <= 1
        assert names[-1] == "ToolCallEnd" or "ToolCallEnd" not in names


def text_of(deltas: Sequence[Delta]) -> str:
    """The text that a screen shows which knows nothing else."""
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


# Values of any shape, in place of any other.
SHAPES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    "[DONE]",
    [],
    {},
    [None],
    {"": None},
    [[]],
    {"type": 1},
    ["x", {}],
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value within a value."""
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*path, index))


def mutate(script: Any, change: Callable[[Any, Any], None], path: tuple[Any, ...]) -> Any:
    """Return the line of a script with one of its values changed."""
    name, value = script if isinstance(script, tuple) else ("message", script)
    value = copy.deepcopy(value)
    target = value
    for key in path[:-1]:
        target = target[key]
    change(target, path[-1])
    return name, value


def fuzz(dialect: Dialect[Delta, Message], *script: Any) -> None:
    """Replace, null and drop each field of each event, in turn: nothing is raised, and the message stays a message."""
    chance = random.Random(7)
    for line, each in enumerate(script):
        value = each[1] if isinstance(each, tuple) else each
        if isinstance(value, str):
            continue
        for path in places(value):
            for shape in (..., None, *chance.sample(SHAPES, 3)):
                changed = mutate(each, lambda at, key, new=shape: drop_or_set(at, key, new), path)  # type: ignore[misc]
                survive(dialect, [*script[:line], changed, *script[line + 1 :]])
        for shape in SHAPES:
            name = each[0] if isinstance(each, tuple) else "message"
            survive(dialect, [*script[:line], (name, json.dumps(shape)), *script[line + 1 :]])
        survive(dialect, [*script[:line], *script[line + 1 :]])
        survive(dialect, [*script[: line + 1], *script[line:]])


def drop_or_set(at: Any, key: Any, value: Any) -> None:
    """Set the place to a value; `...` deletes it."""
    if value is ...:
        del at[key]
    else:
        at[key] = value


def survive(dialect: Dialect[Delta, Message], script: Sequence[Any]) -> None:
    """Read whatever it is; ask for everything that a message has."""
    assert dialect.reader is not None
    reader = dialect.reader()
    for each in script:
        reader.read(event(each))
        assert reader.is_complete in (True, False, None)
    message = reader.snapshot
    assert isinstance(message.text + message.last_text + message.reasoning + message.refusal, str)
    for call in message.tool_calls:
        assert call.is_whole in (True, False)
        json.dumps(call.partial)
    json.dumps(message.native)
    json.dumps([part.native for part in message.parts])
    reader.close(None)
    assert message.ended_well in (True, False)
    kept = pickle.loads(pickle.dumps(message))
    assert kept.native == copy.deepcopy(message).native == message.native


def cuts(body: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Cut a body in four ways."""
    for size in (len(body) or 1, 1, 13, 4096):
        yield f"{size}", [body[start : start + size] for start in range(0, len(body), size)]


def parse(pieces: Sequence[bytes]) -> list[ServerSentEvent]:
    """The events of a body that came in these pieces."""
    parser = EventParser()
    return [each for piece in pieces for each in parser.feed(piece)]
