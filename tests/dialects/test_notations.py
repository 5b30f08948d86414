"""A reply means the same in every notation of its events: with names or without, on several lines, among comments."""

import json
from typing import Any

import pytest

from .playing import outline
from .replies import PROTOCOLS
from .scripts import encode
from .through import THREE, answer, read


def written(
    script: list[Any],
    *,
    has_names: bool = True,
    has_types: bool = True,
    indent: int | None = None,
    has_comments: bool = False,
    line_end: str = "\n",
    space: str = " ",
    tail: str = "",
) -> bytes:
    """Write a script in a notation."""
    comment = ": hi\n" if has_comments else ""
    lines: list[str] = []
    for each in script:
        name, value = each if isinstance(each, tuple) else ("message", each)
        if isinstance(value, dict) and not has_types:
            value = {key: field for key, field in value.items() if key != "type"}
        text = value if isinstance(value, str) else json.dumps(value, indent=indent)
        lines.append(f"{comment}\nevent:{space}{name}\n" if has_names and name != "message" else f"{comment}\n")
        lines.append("".join(f"data:{space}{line}\n{comment}" for line in text.split("\n")) + "\n")
    return ("".join(lines) + tail).replace("\n", line_end).encode()


NOTATIONS: dict[str, dict[str, Any]] = {
    "comments": {"has_comments": True},
    "several lines": {"indent": 1},
    "CRLF": {"line_end": "\r\n"},
    "CR": {"line_end": "\r"},
    "without a space": {"space": ""},
    "DONE after the end": {"tail": "data: [DONE]\n\n"},
    "a ping after the end": {"tail": "event: ping\ndata: {}\n\n"},
    "all of it": {"has_comments": True, "indent": 1, "line_end": "\r\n", "space": "", "tail": "data: [DONE]\n\n"},
    "without names": {"has_names": False},
    "without types": {"has_types": False},
}
# Protocols whose events have nothing but a name, or nothing but a type.
NEED = {
    "without names": {"langgraph"},
    "without types": {"vercel", "ag_ui", "langgraph_events"},
}


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_any_notation(name: str, notation: str) -> None:
    """The deltas and the message are the same, if the events can be told apart at all."""
    protocol = PROTOCOLS[name]
    reply = read(THREE[0], protocol.dialect, answer(written(protocol.whole, **NOTATIONS[notation])))
    whole = read(THREE[0], protocol.dialect, answer(encode(*protocol.whole)))
    if name in NEED.get(notation, ()):
        assert "Data" in reply.kinds
        return
    assert reply.error is None
    assert (outline(reply.message), reply.kinds) == (outline(whole.message), whole.kinds)


PINGS: dict[str, Any] = {
    "named": ("ping", {}),
    "with a time": ("ping", "2026-01-01 00:00:00"),
    "without data": ("ping", ""),
    "with a type alone": {"type": "ping"},
    "keepalive": ("keepalive", {"type": "keepalive"}),
}


@pytest.mark.parametrize("ping", PINGS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_pings(name: str, ping: str) -> None:
    """What servers, their libraries and gateways send to keep a connection open is no delta, and changes nothing."""
    protocol = PROTOCOLS[name]
    pinged = [each for event in protocol.whole for each in (PINGS[ping], event)]
    reply = read(THREE[0], protocol.dialect, answer(encode(*pinged)))
    whole = read(THREE[0], protocol.dialect, answer(encode(*protocol.whole)))
    assert reply.error is None
    assert (outline(reply.message), reply.kinds) == (outline(whole.message), whole.kinds)
