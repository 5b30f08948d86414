"""ANTHROPIC_MESSAGES: the protocol, and where servers deviate from it."""

import json
from typing import Any

import pytest

from sse_client import ErrorEventReceived, ServerSentEvent, StreamTruncated
from sse_client.dialects import (
    ANTHROPIC_MESSAGES,
    Data,
    Finish,
    Other,
    PartAdded,
    Replaced,
    Text,
    ToolCallEnd,
    ToolResult,
)

from .playing import Reply, check, play, script

STOP = {"type": "message_stop"}


def message_start(**fields: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 5,
            "cache_read_input_tokens": 2,
            "cache_creation_input_tokens": 1,
            "output_tokens": 1,
        },
    }
    return {"type": "message_start", "message": {**message, **fields}}


def start(index: Any = 0, kind: str = "text", **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **block}}


def delta(index: Any = 0, kind: str = "text_delta", **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: Any = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def reason(name: Any = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": name, "stop_sequence": None}, "usage": usage}


TEXT = [start(text=""), delta(text="Hel"), delta(text="lo"), stop()]


def messages(*values: Any, with_names: bool = True) -> Reply:
    """Play a stream, with and without event names, whole and in pieces of 7 bytes: the deltas are the same."""
    names = [value.get("type", "") if isinstance(value, dict) else "" for value in values]
    reply = play(ANTHROPIC_MESSAGES, script(*values, names=names))
    check(reply)
    assert play(ANTHROPIC_MESSAGES, script(*values)).kinds == reply.kinds
    assert play(ANTHROPIC_MESSAGES, script(*values, names=names), 7).kinds == reply.kinds
    return reply


def test_a_reply() -> None:
    """Text comes as deltas, then the usage, then the finish; a ping and an ID yield none."""
    reply = messages(message_start(), {"type": "ping"}, *TEXT, reason(output_tokens=7), STOP)
    message = reply.message
    assert reply.kinds == ["TextDelta", "TextDelta", "UsageUpdate", "Finish"]
    assert (message.id, message.model, message.role, message.text) == ("m1", "claude", "assistant", "Hello")
    assert (message.finish_reason, message.native_finish_reason, message.ended_well) == ("stop", "end_turn", True)
    assert message.usage is not None
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.total_tokens) == (5, 7, 2, 15)
    assert message.native == {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 5,
            "cache_read_input_tokens": 2,
            "cache_creation_input_tokens": 1,
            "output_tokens": 7,
        },
    }


def test_usage_before_the_first_delta() -> None:
    """The usage that a message begins with is in the snapshot, and is no delta: the request can still be repeated."""
    reply = messages(message_start())
    assert reply.deltas == []
    assert reply.message.usage is not None
    assert reply.message.usage.input_tokens == 5


def test_thinking() -> None:
    """Thinking is reasoning, with its signature in native; redacted thinking is a part that is kept whole."""
    reply = messages(
        message_start(),
        start(kind="thinking", thinking="", signature=""),
        delta(kind="thinking_delta", thinking="I "),
        delta(kind="thinking_delta", thinking="think"),
        delta(kind="signature_delta", signature="s1"),
        delta(kind="signature_delta", signature="s2"),
        stop(),
        start(1, "redacted_thinking", data="xyz"),
        stop(1),
        reason(output_tokens_details={"thinking_tokens": 4}),
        STOP,
    )
    assert reply.kinds == ["ReasoningDelta", "ReasoningDelta", "PartAdded", "UsageUpdate", "Finish"]
    assert (reply.message.reasoning, reply.message.text) == ("I think", "")
    assert reply.message.native["content"] == [
        {"type": "thinking", "thinking": "I think", "signature": "s2"},
        {"type": "redacted_thinking", "data": "xyz"},
    ]
    assert all(part.is_done for part in reply.message.parts)
    assert reply.message.usage is not None
    assert reply.message.usage.reasoning_tokens == 4


def tool(index: int = 0, kind: str = "tool_use", **fields: Any) -> dict[str, Any]:
    return start(index, kind, **{"id": "t1", "name": "add", "input": {}, **fields})


def json_delta(text: Any, index: int = 0) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=text)


def test_a_call() -> None:
    """A call starts and ends with its block; no arguments are {}."""
    reply = messages(
        message_start(),
        tool(),
        json_delta(""),
        json_delta('{"a"'),
        json_delta(":1}"),
        stop(),
        tool(1, id="t2", name="now"),
        json_delta("", 1),
        stop(1),
        reason("tool_use"),
        STOP,
    )
    assert reply.kinds == [
        *("ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd"),
        *("ToolCallStart", "ToolCallEnd", "Finish"),
    ]
    add, now = reply.message.tool_calls
    assert (add.kind, add.id, add.name, add.input) == ("function", "t1", "add", {"a": 1})
    assert now.input == {}
    assert reply.message.ended_well
    assert reply.message.native["content"] == [
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "now", "input": {}},
    ]
    add.input["a"] = 2
    assert reply.message.native["content"][0]["input"] == {"a": 1}


def test_a_call_that_is_cut_by_the_limit() -> None:
    """A call that the server ends in the middle is done, but not whole; its native input stays empty."""
    reply = messages(message_start(), tool(), json_delta('{"path": "a'), stop(), reason("max_tokens"), STOP)
    [call] = reply.message.tool_calls
    assert [delta for delta in reply.deltas if isinstance(delta, ToolCallEnd)] == [ToolCallEnd(call)]
    assert (call.is_done, call.is_whole, call.partial) == (True, False, {"path": "a"})
    assert reply.message.native["content"][0]["input"] == {}
    assert reply.message.finish_reason == "length"
    assert not reply.message.ended_well


def test_input_at_the_start() -> None:
    """A gateway may send the input with the start, instead of deltas."""
    reply = messages(message_start(), tool(input={"a": "ü"}), stop(), reason("tool_use"), STOP)
    assert reply.kinds == ["ToolCallStart", "ToolCallDelta", "ToolCallEnd", "Finish"]
    assert reply.message.tool_calls[0].arguments == '{"a": "ü"}'


def test_tools_of_the_server() -> None:
    """Calls that the server runs are calls of another kind; their results are parts, and kept on the calls."""
    failed = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    reply = messages(
        message_start(),
        tool(0, "server_tool_use", id="s1", name="web_search"),
        json_delta('{"query":"x"}'),
        stop(),
        start(1, "web_search_tool_result", tool_use_id="s1", content=[{"url": "u"}]),
        stop(1),
        tool(2, "mcp_tool_use", id="s2"),
        stop(2),
        start(3, "mcp_tool_result", tool_use_id="s2", is_error=True, content="no"),
        stop(3),
        tool(4, "server_tool_use", id="s3"),
        start(5, "web_search_tool_result", tool_use_id="s3", content=failed),
        start(6, "web_search_tool_result", tool_use_id="s9", content=failed),
        reason("pause_turn"),
        STOP,
    )
    search, mcp, late = reply.message.tool_calls
    assert [call.kind for call in reply.message.tool_calls] == ["server", "mcp", "server"]
    assert (search.output, mcp.error, late.error) == ([{"url": "u"}], "no", failed)
    assert [type(delta) for delta in reply.deltas].count(PartAdded) == 4
    assert [type(delta) for delta in reply.deltas].count(ToolResult) == 3
    assert [block["type"] for block in reply.message.native["content"]][:2] == [
        "server_tool_use",
        "web_search_tool_result",
    ]
    assert (reply.message.finish_reason, reply.message.ended_well) == ("pause", False)


def test_citations() -> None:
    """Citations extend the list of their block, and each is a part."""
    first, second = {"type": "char_location", "cited_text": "a"}, {"cited_text": "b"}
    reply = messages(
        message_start(),
        start(text="", citations=[]),
        delta(text="a"),
        delta(kind="citations_delta", citation=first),
        delta(text="b"),
        stop(),
        start(1, text="c"),
        delta(1, kind="citations_delta", citation=second),
        stop(1),
        reason(),
        STOP,
    )
    assert [part.kind for part in reply.message.parts if isinstance(part, Other)] == ["char_location", "citation"]
    assert reply.message.text == "abc"
    assert reply.message.native["content"] == [
        {"type": "text", "text": "ab", "citations": [first]},
        {"type": "text", "text": "c", "citations": [second]},
    ]


def test_a_fallback() -> None:
    """A fallback block names the model that goes on."""
    block = start(kind="fallback", **{"from": {"model": "claude"}, "to": {"model": "claude-2"}})
    reply = messages(message_start(), block, stop(), *TEXT, reason(), STOP)
    assert reply.message.model == "claude-2"
    assert reply.message.native["model"] == "claude-2"
    assert reply.message.native["content"][0]["type"] == "fallback"


def test_compaction() -> None:
    """The summary of a compaction grows, and what comes beside it is kept."""
    reply = messages(
        message_start(),
        start(kind="compaction", content=None),
        delta(kind="compaction_delta", content="a"),
        delta(kind="compaction_delta", content="b", encrypted_content="x"),
        delta(kind="compaction_delta", content=None),
        stop(),
        reason("compaction"),
        STOP,
    )
    assert reply.message.native["content"] == [{"type": "compaction", "content": "ab", "encrypted_content": "x"}]
    assert reply.message.finish_reason == "pause"


def test_text_at_the_start() -> None:
    """A block may bring text at once."""
    reply = messages(
        message_start(), start(text="a"), delta(text="b"), stop(), start(1, "thinking", thinking="c"), STOP
    )
    assert (reply.message.text, reply.message.reasoning) == ("ab", "c")
    assert reply.kinds == ["TextDelta", "TextDelta", "ReasoningDelta"]


def test_blocks_without_a_start() -> None:
    """A delta for an unknown index, or of another type than its block, begins a block."""
    reply = messages(
        message_start(),
        delta(3, text="a"),
        delta(3, kind="thinking_delta", thinking="b"),
        json_delta("{}", 3),
        delta(8, kind="signature_delta", signature="s"),
        delta(None, text="c"),
        delta(None, text="d"),
        reason(),
        STOP,
    )
    assert [type(part).__name__ for part in reply.message.parts] == ["Text", "Reasoning", "ToolCall", "Other", "Text"]
    assert reply.message.text == "acd"
    assert reply.message.native["content"] == [
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": "b"},
        {"type": "tool_use", "input": {}},
        {"signature": "s"},
        {"type": "text", "text": "cd"},
    ]


def test_the_same_index_again() -> None:
    """A block that starts at a taken index is another block."""
    reply = messages(message_start(), *TEXT, *TEXT, reason(), STOP)
    assert [part.text for part in reply.message.parts if isinstance(part, Text)] == ["Hello", "Hello"]


REASONS: dict[str, tuple[Any, bool]] = {
    "end_turn": ("stop", True),
    "stop_sequence": ("stop", True),
    "max_tokens": ("length", False),
    "model_context_window_exceeded": ("length", False),
    "tool_use": ("tool_calls", True),
    "refusal": ("refusal", False),
    "pause_turn": ("pause", False),
    "compaction": ("pause", False),
    "sleepy": ("other", False),
}


@pytest.mark.parametrize("native", REASONS)
def test_reasons(native: str) -> None:
    """Each stop reason has a neutral word; those that are no success are no error either."""
    reply = messages(message_start(), *TEXT, reason(native), STOP)
    assert (reply.message.finish_reason, reply.message.ended_well) == REASONS[native]
    assert reply.deltas[-1] == Finish(REASONS[native][0], native)
    assert reply.error is None


def test_a_clean_end_too_early() -> None:
    """Without message_stop a reply is cut, also after the reason: nothing finishes, and open parts stay open."""
    reply = messages(message_start(), *TEXT, tool(1), json_delta("{}", 1), reason("tool_use"))
    assert isinstance(reply.error, StreamTruncated)
    assert reply.message.finish_reason is None
    assert [part.is_done for part in reply.message.parts] == [True, False]
    assert reply.message.native["stop_reason"] == "tool_use"
    assert not reply.message.ended_well


def test_the_last_blank_line_is_missing() -> None:
    """message_stop counts without its blank line."""
    reply = play(ANTHROPIC_MESSAGES, script(message_start(), *TEXT, reason(), STOP).rstrip())
    assert reply.message.ended_well


def test_stop_without_a_reason() -> None:
    """A message that stops without a reason is complete; whole calls end, and no reason is made up."""
    reply = messages(message_start(), tool(), json_delta("{}"), STOP)
    assert reply.kinds[-1] == "ToolCallEnd"
    assert reply.is_complete
    assert reply.message.finish_reason is None


ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize("name", ["error", "message"])
@pytest.mark.parametrize(
    ("code", "is_transient"),
    [
        ("overloaded_error", True),
        ("rate_limit_error", True),
        ("api_error", True),
        ("timeout_error", True),
        ("invalid_request_error", False),
        ("authentication_error", False),
    ],
)
def test_transient_errors(code: str, is_transient: bool, name: str) -> None:
    """An error is transient if the same request may succeed later, with or without a name."""
    event = ServerSentEvent(name, json.dumps({"type": "error", "error": {"type": code, "message": "no"}}))
    assert ANTHROPIC_MESSAGES.errors is not None
    mark = ANTHROPIC_MESSAGES.errors.match(event)
    assert mark is not None
    assert mark.is_transient(mark.read(event)[1]) is is_transient


@pytest.mark.parametrize("before", [[], [message_start(), *TEXT[:2]]], ids=["first", "later"])
def test_errors(before: list[Any]) -> None:
    """An error event ends the stream at any time; what came before is kept."""
    reply = messages(*before, ERROR)
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.code) == ("Overloaded", "overloaded_error")
    assert reply.message.text == ("Hel" if before else "")


def test_message_start_twice() -> None:
    """A second start with the same ID is ignored; one with another ID takes back all that came."""
    reply = messages(message_start(), *TEXT, message_start(), *TEXT, {"type": "message_start"}, reason(), STOP)
    assert reply.message.text == "HelloHello"
    reply = messages(message_start(), *TEXT, tool(1), message_start(id="m2"), *TEXT, reason(), STOP)
    assert (reply.message.id, reply.message.text, reply.message.tool_calls) == ("m2", "Hello", [])
    assert [delta for delta in reply.deltas if isinstance(delta, Replaced)] == [Replaced(reply.message)]
    assert reply.message.native["content"] == [{"type": "text", "text": "Hello"}]
    reply = messages(message_start(), message_start(id="m2"), *TEXT, reason(), STOP)
    assert "Replaced" not in reply.kinds


def test_what_comes_beside_the_reason() -> None:
    """Fields beside the delta and its usage are part of the message."""
    last = {
        **reason(),
        "context_management": {"applied_edits": []},
        "usage": {"output_tokens": 3, "input_tokens": None},
    }
    last["delta"]["container"] = {"id": "c"}
    reply = messages(message_start(), last, STOP)
    assert reply.message.native["context_management"] == {"applied_edits": []}
    assert reply.message.native["container"] == {"id": "c"}
    assert reply.message.usage is not None
    assert reply.message.usage.input_tokens == 5


def test_a_whole_response() -> None:
    """A response that was not streamed reads as the same message, and is its own native."""
    whole = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "Hi", "citations": None},
            {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    reply = messages(whole)
    assert reply.kinds == [
        *("ReasoningDelta", "TextDelta", "ToolCallStart", "ToolCallDelta", "ToolCallEnd", "UsageUpdate", "Finish"),
    ]
    assert reply.message.native == whole
    assert reply.is_complete
    assert reply.message.ended_well
    reply = messages({"type": "message", "content": None})
    assert reply.deltas == []


def test_legacy_completions() -> None:
    """Legacy completions are text, complete at their stop reason."""
    values = [
        {"type": "completion", "id": "c1", "completion": " Hel", "stop_reason": None, "model": "claude-2"},
        {"type": "completion", "id": "c1", "completion": "lo", "stop_reason": "stop_sequence", "model": "claude-2"},
    ]
    assert isinstance(messages(values[0]).error, StreamTruncated)
    reply = messages(*values)
    assert reply.kinds == ["TextDelta", "TextDelta", "Finish"]
    assert reply.message.ended_well
    assert reply.message.native == {
        "type": "completion",
        "id": "c1",
        "completion": " Hello",
        "stop_reason": "stop_sequence",
        "model": "claude-2",
    }


def test_what_is_unknown() -> None:
    """Unknown events, deltas and blocks survive, as data, in native, and as parts."""
    reply = messages(
        message_start(),
        start(kind="hologram", id="h1", rays=3),
        delta(kind="hologram_delta", more=1),
        delta(9, kind="", odd=1),
        {"type": "later", "x": 1},
        {"neither": 1},
        [1],
        {"type": "content_block_delta", "index": 0, "delta": None},
        stop(),
        STOP,
    )
    part = reply.message.parts[0]
    assert (part.kind, part.id, part.native) == (
        "hologram",
        "h1",
        {"type": "hologram", "rays": 3, "id": "h1", "more": 1},
    )
    assert [delta.kind for delta in reply.deltas if isinstance(delta, Data)] == [
        *("hologram_delta", "content_block_delta", "later", "message", "message"),
    ]


def test_what_is_not_json() -> None:
    """Data that is not JSON raises ValueError; [DONE] and empty data are nothing."""
    assert ANTHROPIC_MESSAGES.reader is not None
    reader = ANTHROPIC_MESSAGES.reader()
    with pytest.raises(ValueError, match="Expecting"):
        reader.read(ServerSentEvent(data="nonsense"))
    assert reader.read(ServerSentEvent(data="")) == reader.read(ServerSentEvent(data="[DONE]")) == []


def test_the_name_and_the_type_differ() -> None:
    """If an event's name and its type differ the type wins."""
    reply = play(ANTHROPIC_MESSAGES, script(message_start(), *TEXT, names=["", "", "content_block_stop"]))
    assert reply.message.text == "Hello"
