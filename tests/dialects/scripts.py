"""Replies as scripted events: a value is an unnamed event, a pair has a name, a text is data as it stands."""

import copy
import json
import pickle
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from sse_client import Dialect, ServerSentEvent
from sse_client.dialects import Delta, Message

from .playing import STREAMS, Reply, check, cuts, expectations, outline, play_pieces
from .playing import play as play_bytes
from .playing import recorded as names_in

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
DROPPED: Any = object()


def encode(*script: Any) -> bytes:
    """Make the bytes of a stream."""
    lines: list[str] = []
    for each in script:
        name, value = each if isinstance(each, tuple) else ("", each)
        lines.append(f"event: {name}\n" if name else "")
        lines.append(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n")
    return "".join(lines).encode("utf-8", "surrogatepass")


def event(line: Any) -> ServerSentEvent:
    """Make an event of a line of a script."""
    name, value = line if isinstance(line, tuple) else ("message", line)
    return ServerSentEvent(name, value if isinstance(value, str) else json.dumps(value))


def play(dialect: Dialect[Delta, Message], *script: Any) -> Reply:
    """Read a stream that ends cleanly, whole and in pieces: the same comes out. Its parts add up."""
    data = encode(*script)
    reply = play_bytes(dialect, data)
    check(reply)
    again = play_bytes(dialect, data, 7)
    kept = pickle.loads(pickle.dumps(reply.message))
    assert outline(kept) == outline(copy.deepcopy(reply.message)) == outline(reply.message) == outline(again.message)
    assert again.kinds == reply.kinds
    return reply


def fuzz(dialect: Dialect[Delta, Message], *script: Any) -> None:
    """Replace, null and drop each field of each event, in turn: nothing is raised, and the message stays a message."""
    chance = random.Random(7)
    for place, each in enumerate(script):
        name, value = each if isinstance(each, tuple) else ("message", each)
        before, after = script[:place], script[place + 1 :]
        for path in paths(value):
            for shape in (DROPPED, None, *chance.sample(SHAPES, 4)):
                _survive(dialect, [*before, (name, changed(value, path, shape)), *after])
        for shape in SHAPES:
            _survive(dialect, [*before, (name, json.dumps(shape)), *after])
        _survive(dialect, [*before, *after])
        _survive(dialect, [*before, each, each, *after])
        _survive(dialect, [each, *before, *after])
    unknown = ("", {"type": "brand.new", "a": 1})
    assert "Data" in play_bytes(dialect, encode(*script[:1], unknown)).kinds


def _survive(dialect: Dialect[Delta, Message], script: Sequence[Any]) -> None:
    """Read whatever it is; ask for everything that a message has."""
    assert dialect.reader is not None
    reader = dialect.reader()
    reply = Reply(reader.snapshot)
    for each in script:
        reply.deltas += reader.read(event(each))
        assert reader.is_complete in (True, False, None)
    check(reply)
    reader.close(None)
    message = reader.snapshot
    assert isinstance(message.last_text, str)
    json.dumps([[part.native for part in message.parts], [call.partial for call in message.tool_calls]])
    json.dumps(message.native)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value within a value."""
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        yield from paths(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return the value with another one at a path."""
    value = copy.deepcopy(value)
    target = value
    for key in path[:-1]:
        target = target[key]
    if new is DROPPED:
        del target[path[-1]]
    else:
        target[path[-1]] = new
    return value


def recorded(folder: str) -> list[Any]:
    """The expected results of a folder's recorded streams; one that is skipped if there are none."""
    found = [pytest.param(expectations()[name], id=name) for name in names_in(folder)]
    absent = pytest.mark.skip(reason="the recorded streams are not part of the repository")
    return found or [pytest.param({}, marks=absent, id="none")]


def replay(dialect: Dialect[Delta, Message], expected: dict[str, Any]) -> Reply:
    """Read a recorded stream in several cuts: the same comes out."""
    replies = [play_pieces(dialect, pieces) for pieces in cuts((STREAMS / expected["file"]).read_bytes())]
    for each in replies:
        check(each)
        assert (each.kinds, outline(each.message)) == (replies[0].kinds, outline(replies[0].message))
    return replies[0]


def early_ends(dialect: Dialect[Delta, Message], expected: dict[str, Any]) -> list[int]:
    """After how many events of a recorded stream a clean end would count as its end, though more comes."""
    blocks = (STREAMS / expected["file"]).read_bytes().replace(b"\r\n", b"\n").strip(b"\n").split(b"\n\n")
    replies = [play_pieces(dialect, [b"\n\n".join(blocks[:count]) + b"\n\n"]) for count in range(len(blocks))]
    return [count for count, reply in enumerate(replies) if reply.error is None]
