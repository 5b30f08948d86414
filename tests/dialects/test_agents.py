"""All protocols of agents alike: any cut of the bytes, any end of the stream, deep JSON, unknown kinds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_client import Dialect, StreamInterrupted
from sse_client.dialects import (
    A2A,
    AG_UI,
    COHERE_CHAT,
    DIFY,
    LANGGRAPH,
    LANGGRAPH_EVENTS,
    VERCEL_UI,
    Data,
    Delta,
    Message,
    ToolCall,
    mcp_call,
)

from . import test_a2a, test_ag_ui, test_cohere, test_dify, test_langgraph, test_mcp, test_vercel
from .playing import check, outline, play_pieces
from .playing import play as play_bytes
from .scripts import changed, encode, event, paths, play

SCRIPTS: dict[str, tuple[Dialect[Delta, Message], list[Any]]] = {
    "mcp": (mcp_call(2), [test_mcp.PROGRESS, test_mcp.ELICIT, test_mcp.response(test_mcp.RESULT)]),
    "cohere": (COHERE_CHAT, [test_cohere.START, *test_cohere.CALLS, test_cohere.end("TOOL_CALL")]),
    "vercel": (VERCEL_UI, [*test_vercel.START, *test_vercel.CALL, *test_vercel.TEXT, *test_vercel.END[:2]]),
    "ag_ui": (AG_UI, [test_ag_ui.RUN, *test_ag_ui.RAIN, *test_ag_ui.HELLO, test_ag_ui.END]),
    "langgraph": (
        LANGGRAPH,
        [test_langgraph.META, *test_langgraph.CHUNKS, test_langgraph.values(*test_langgraph.STATE)],
    ),
    "langgraph, version 3": (LANGGRAPH_EVENTS, test_langgraph.V3),
    "a2a": (A2A, test_a2a.SCRIPT),
    "dify": (
        DIFY,
        [test_dify.STARTED, test_dify.say("It "), test_dify.say("rains."), test_dify.END, test_dify.FINISHED],
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
@settings(max_examples=30)
@given(st.data())
def test_any_cut(name: str, data: st.DataObject) -> None:
    """However the bytes are cut, the message and its deltas are the same."""
    dialect, script = SCRIPTS[name]
    stream = encode(*script)
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    reply = play_pieces(dialect, [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)])
    whole = play_bytes(dialect, stream)
    assert outline(reply.message) == outline(whole.message)
    assert reply.kinds == whole.kinds


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_clean_end_after_each_event(name: str) -> None:
    """A clean end before the last event is a truncation, but in LangGraph's runs, which do not say when they end."""
    dialect, script = SCRIPTS[name]
    whole = play(dialect, *script)
    assert whole.error is None
    assert whole.message.ended_well
    for count in range(len(script)):
        reply = play(dialect, *script[:count])
        assert (reply.error is None) == (name == "langgraph" and count > 0)
        assert whole.message.text.startswith(reply.message.text)
        assert reply.error is None or not reply.message.ended_well


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_lost_connection_after_each_event(name: str) -> None:
    """After a lost connection there is all that came; nothing ends by it, and nothing counts as whole."""
    dialect, script = SCRIPTS[name]
    assert dialect.reader is not None
    for count in range(len(script)):
        reader = dialect.reader()
        for each in script[:count]:
            reader.read(event(each))
        before = [part.is_done for part in reader.snapshot.parts]
        reader.close(StreamInterrupted("lost"))
        message = reader.snapshot
        assert [part.is_done for part in message.parts] == before
        assert not message.ended_well
        assert message.text == play(dialect, *script[:count]).message.text
        for part in message.parts:
            if isinstance(part, ToolCall) and not part.is_whole:
                with pytest.raises(ValueError, match="not"):
                    _ = part.input


@pytest.mark.parametrize("nested", ["[" * 500 + "]" * 500, '{"a":' * 500 + "1" + "}" * 500], ids=["lists", "objects"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_deep_json(name: str, nested: str) -> None:
    """A value that is nested as deeply as Python parses it is read in the place of any other, twice."""
    dialect, script = SCRIPTS[name]
    assert dialect.reader is not None
    for place, each in enumerate(script):
        kind, value = each if isinstance(each, tuple) else ("message", each)
        for path in paths(value):
            data = json.dumps(changed(value, path, "DEEP")).replace('"DEEP"', nested)
            reader = dialect.reader()
            for line in [*script[:place], (kind, data), (kind, data), *script[place + 1 :]]:
                reader.read(event(line))
            reader.close(None)
            assert reader.snapshot.ended_well in (True, False)
            assert all(call.is_whole in (True, False) for call in reader.snapshot.tool_calls)


@pytest.mark.parametrize("name", SCRIPTS)
def test_unknown_kinds_survive(name: str) -> None:
    """An event of an unknown kind is data, and changes nothing."""
    dialect, script = SCRIPTS[name]
    unknown = {"type": "brand.new", "a": 1}
    for count in range(len(script)):
        reply = play_bytes(dialect, encode(*script[:count], unknown, *script[count:]))
        check(reply)
        assert Data("brand.new", unknown) in reply.deltas
        if count:
            assert outline(reply.message) == outline(play(dialect, *script).message)
