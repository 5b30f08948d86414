"""OPENAI_RESPONSES and RESPONSES_RESUME: the protocol, and where servers deviate from it."""

import copy
import dataclasses
import json
import pickle
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from sse_client import ErrorEventReceived, Request, ServerSentEvent, SSEClient, StreamInterrupted, StreamTruncated
from sse_client.dialects import (
    OPENAI_RESPONSES,
    RESPONSES_RESUME,
    Data,
    Finish,
    Other,
    PartAdded,
    Reasoning,
    Replaced,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolResult,
)
from sse_client.dialects._responses import ResponsesReader
from sse_client.testing import FIN, Answer, encode, scripted_transport

from .playing import Reply, check, is_transient, outline, play, script

USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 12,
}


def event(kind: str, index: Any = None, **fields: Any) -> dict[str, Any]:
    place = {} if index is None else {"output_index": index}
    return {"type": f"response.{kind}", **place, **fields}


def response(status: str = "in_progress", *output: Any, **fields: Any) -> dict[str, Any]:
    plain = {"id": "resp_1", "object": "response", "status": status, "model": "gpt", "output": list(output)}
    return {**plain, "usage": USAGE if status == "completed" else None, **fields}


CREATED = event("created", response=response())


def last(*output: Any, status: str = "completed", **fields: Any) -> dict[str, Any]:
    return event(status, response=response(status, *output, **fields))


def message(text: str = "Hello", id: str = "msg_1", **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    return {"id": id, "type": "message", "status": "completed", "role": "assistant", "content": content, **fields}


def call(arguments: Any = '{"x":1}', id: str = "fc_1", **fields: Any) -> dict[str, Any]:
    plain = {"id": id, "type": "function_call", "call_id": f"call_{id}", "name": "f", "status": "completed"}
    return {**plain, "arguments": arguments, **fields}


def added(item: Any, index: Any = 0) -> dict[str, Any]:
    return event("output_item.added", index, item=item)


def done(item: Any, index: Any = 0) -> dict[str, Any]:
    return event("output_item.done", index, item=item)


def text(piece: Any, index: Any = 0, id: str = "msg_1", content_index: Any = 0) -> dict[str, Any]:
    return event("output_text.delta", index, item_id=id, content_index=content_index, delta=piece)


def arguments(piece: Any, index: Any = 0, id: str = "fc_1") -> dict[str, Any]:
    return event("function_call_arguments.delta", index, item_id=id, delta=piece)


def responses(*values: Any, with_names: bool = True) -> Reply:
    """Play a stream, with and without event names, whole and in pieces of 7 bytes: the deltas are the same."""
    names = [value.get("type", "") if isinstance(value, dict) else "" for value in values]
    reply = play(OPENAI_RESPONSES, script(*values, names=names))
    check(reply)
    for other in (
        play(OPENAI_RESPONSES, script(*values)),
        play(OPENAI_RESPONSES, script(*values, names=names), 7),
    ):
        assert other.kinds == reply.kinds
        assert outline(other.message) == outline(reply.message)
    return reply


def test_a_reply() -> None:
    """Text comes as deltas; what the done events and the last one repeat is not new; native is the last response."""
    part = {"type": "output_text", "text": "", "annotations": []}
    reply = responses(
        CREATED,
        event("in_progress", response=response()),
        added(message("", status="in_progress")),
        event("content_part.added", 0, item_id="msg_1", content_index=0, part=part),
        text("Hel"),
        text(""),
        text("lo"),
        event("output_text.done", 0, item_id="msg_1", content_index=0, text="Hello"),
        event("content_part.done", 0, item_id="msg_1", content_index=0, part={**part, "text": "Hello"}),
        done(message()),
        last(message()),
        "[DONE]",
    )
    assert reply.kinds == ["TextDelta", "TextDelta", "UsageUpdate", "Finish"]
    assert (reply.message.id, reply.message.model, reply.message.role) == ("resp_1", "gpt", "assistant")
    assert (reply.message.text, reply.message.finish_reason, reply.message.ended_well) == ("Hello", "stop", True)
    assert reply.message.native_finish_reason == "completed"
    assert reply.message.native == response("completed", message())
    assert reply.message.parts[0].native == message()["content"][0]
    assert (reply.message.parts[0].id, reply.message.parts[0].is_done) == ("msg_1", True)
    usage = reply.message.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 7, 12)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (2, 3)


def test_reasoning() -> None:
    """Summaries and raw reasoning are reasoning, each in its own part; an encrypted item is kept in native."""
    item = {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "short"}, {"type": "summary_text", "text": "s2"}],
        "content": [{"type": "reasoning_text", "text": "long"}],
        "encrypted_content": "abc",
    }
    values = [
        CREATED,
        added({"id": "rs_1", "type": "reasoning", "summary": []}),
        event("reasoning_summary_part.added", 0, item_id="rs_1", summary_index=0, part={"type": "summary_text"}),
        event("reasoning_summary_text.delta", 0, item_id="rs_1", summary_index=0, delta="sho"),
        event("reasoning_summary_text.delta", 0, item_id="rs_1", summary_index=0, delta="rt"),
        event("reasoning_summary_text.done", 0, item_id="rs_1", summary_index=0, text="short"),
        event("reasoning_summary_text.delta", 0, item_id="rs_1", summary_index=1, delta="s2"),
        event("reasoning_text.delta", 0, item_id="rs_1", content_index=0, delta="long"),
    ]
    cut = responses(*values)
    assert cut.message.native == response(
        "in_progress",
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": item["summary"],
            "content": [{"type": "reasoning_text", "text": "long"}],
        },
    )
    reply = responses(*values, done(item), last(item))
    assert reply.kinds == [*["ReasoningDelta"] * 4, "UsageUpdate", "Finish"]
    assert [part.text for part in reply.message.parts if isinstance(part, Reasoning)] == ["short", "s2", "long"]
    assert (reply.message.reasoning, reply.message.text) == ("shorts2long", "")
    assert reply.message.native["output"][0]["encrypted_content"] == "abc"


def test_a_refusal() -> None:
    """A refusal has deltas and a part of its own."""
    content = [{"type": "refusal", "refusal": "I can't"}]
    reply = responses(
        CREATED,
        added(message("")),
        event("refusal.delta", 0, item_id="msg_1", content_index=0, delta="I can"),
        event("refusal.done", 0, item_id="msg_1", content_index=0, refusal="I can't"),
        last(message(content=content)),
    )
    assert reply.kinds == ["RefusalDelta", "RefusalDelta", "UsageUpdate", "Finish"]
    assert (reply.message.refusal, reply.message.parts[0].native) == ("I can't", content[0])


def test_calls() -> None:
    """A call starts with its item, grows, and ends with its item; it goes by the ID that its output must name."""
    values = [
        CREATED,
        added(call("", status="in_progress")),
        arguments('{"x"'),
        arguments(":1}"),
        event("function_call_arguments.done", 0, item_id="fc_1", arguments='{"x":1}'),
    ]
    open_ = responses(*values)
    assert open_.kinds == ["ToolCallStart", "ToolCallDelta", "ToolCallDelta"]
    assert isinstance(open_.error, StreamTruncated)
    assert open_.message.native["output"] == [call('{"x":1}', status="in_progress")]
    reply = responses(*values, done(call()), last(call()))
    [made] = reply.message.tool_calls
    assert reply.kinds[3:] == ["ToolCallEnd", "UsageUpdate", "Finish"]
    assert (made.id, made.name, made.kind, made.is_whole, made.input) == ("call_fc_1", "f", "function", True, {"x": 1})
    assert made.native == call()
    assert (reply.message.finish_reason, reply.message.ended_well) == ("tool_calls", True)


def test_a_custom_tool() -> None:
    """The input of a custom tool is text, whole when the item has ended."""
    item = {"id": "ct_1", "type": "custom_tool_call", "call_id": "c1", "name": "py", "input": ""}
    reply = responses(
        CREATED,
        added(item),
        event("custom_tool_call_input.delta", 0, item_id="ct_1", delta="print("),
        event("custom_tool_call_input.done", 0, item_id="ct_1", input="print(1)"),
        done({**item, "input": "print(1)"}),
        last({**item, "input": "print(1)"}),
    )
    [made] = reply.message.tool_calls
    assert (made.kind, made.input, made.is_whole) == ("custom", "print(1)", True)
    assert reply.message.finish_reason == "tool_calls"


@pytest.mark.parametrize("with_done", [True, False])
@pytest.mark.parametrize(
    "item",
    [
        {"id": "c1", "type": "custom_tool_call", "call_id": "c", "name": "py", "input": "rm -r /tm"},
        call("", id="c1"),
        call('{"x":', id="c1"),
    ],
    ids=["text", "nothing yet", "JSON"],
)
def test_a_call_that_was_cut_at_the_limit(item: dict[str, Any], with_done: bool) -> None:
    """A call that the token limit has cut is not whole: not as text, and not before its first argument either."""
    cut = {**item, "status": "incomplete"}
    end = last(*[cut] * with_done, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    reply = responses(CREATED, added(item), *[done(cut)] * with_done, end)
    [made] = reply.message.tool_calls
    assert not made.is_whole
    assert (reply.message.finish_reason, reply.message.ended_well) == ("length", False)


SERVER_SIDE = [
    (
        {"id": "m1", "type": "mcp_call", "name": "ask", "server_label": "s", "arguments": '{"q":1}', "output": "42"},
        ("mcp", '{"q":1}', "42", None),
    ),
    (
        {"id": "m1", "type": "mcp_call", "name": "ask", "arguments": "{}", "output": None, "error": {"code": 1}},
        ("mcp", "{}", None, {"code": 1}),
    ),
    (
        {"id": "ci_1", "type": "code_interpreter_call", "code": "1+1", "outputs": [{"type": "logs", "logs": "2"}]},
        ("code_interpreter", "1+1", [{"type": "logs", "logs": "2"}], None),
    ),
]


@pytest.mark.parametrize(("item", "expected"), SERVER_SIDE, ids=["mcp", "mcp error", "code"])
def test_calls_that_the_server_runs(item: dict[str, Any], expected: Any) -> None:
    """A call that the server runs brings its result when it ends; the reply does not wait for the user."""
    kind = "mcp_call_arguments" if item["type"] == "mcp_call" else "code_interpreter_call_code"
    began = {name: value for name, value in item.items() if name in ("id", "type", "name")}
    reply = responses(
        CREATED,
        added(began),
        event(f"{item['type']}.in_progress", 0, item_id=item["id"]),
        event(f"{kind}.delta", 0, item_id=item["id"], delta=expected[1][:1]),
        event(f"{kind}.done", 0, item_id=item["id"], arguments=expected[1], code=expected[1]),
        done(item),
        last(item),
    )
    [made] = reply.message.tool_calls
    assert (made.kind, made.arguments, made.output, made.error) == expected
    assert made.id == item["id"]
    results = [delta for delta in reply.deltas if isinstance(delta, ToolResult)]
    assert results == [ToolResult(made, expected[2], expected[3])]
    assert [delta.kind for delta in reply.deltas if isinstance(delta, Data)] == [f"response.{item['type']}.in_progress"]
    assert reply.message.finish_reason == "stop"


def test_a_shell_call() -> None:
    """The commands of a shell call are its input, a line for each, however they come; its output is data."""
    action = {"commands": ["ls -l", "pwd"], "timeout_ms": None}
    item = {"id": "sh_1", "type": "shell_call", "call_id": "c1", "action": action, "status": "completed"}
    reply = responses(
        CREATED,
        added({**item, "action": {"commands": []}}),
        event("shell_call_command.added", 0, command_index=0, command=""),
        event("shell_call_command.delta", 0, command_index=0, delta="l"),
        event("shell_call_command.delta", 0, command_index=0, delta="s"),
        event("shell_call_command.delta", 0, command_index=0, delta=""),
        event("shell_call_command.done", 0, command_index=0, command="ls -l"),
        event("shell_call_command.delta", 0, command_index=1, delta="pw"),
        event("shell_call_command.done", 0, command_index=None, command="ls -l"),
        event("shell_call_output_content.delta", 0, command_index=0, delta={"stdout": "x"}),
        event("shell_call_output_content.done", 0, command_index=0, output=[]),
        done(item),
        last(item),
    )
    [made] = reply.message.tool_calls
    assert [delta.arguments for delta in reply.deltas if isinstance(delta, ToolCallDelta)] == [
        *("l", "s", " -l", "\npw", "d"),
    ]
    assert (made.kind, made.input, made.native) == ("shell", "ls -l\npwd", item)
    assert [delta.kind for delta in reply.deltas if isinstance(delta, Data)] == [
        *("response.shell_call_output_content.delta", "response.shell_call_output_content.done")
    ]
    cut = responses(CREATED, added(item), event("shell_call_command.delta", 0, command_index=0, delta="l"))
    assert cut.message.native["output"] == [item]


def test_other_items() -> None:
    """Any other item is a part as soon as it begins; its end, which may bring the result, is data."""
    began = {"id": "ig_1", "type": "image_generation_call", "status": "in_progress"}
    item = {**began, "status": "completed", "result": "QUJD"}
    reply = responses(
        CREATED,
        added(began),
        event("image_generation_call.generating", 0, item_id="ig_1"),
        event("image_generation_call.partial_image", 0, item_id="ig_1", partial_image_b64="QQ"),
        done(item),
        done({"type": "compaction", "id": "cm_1", "encrypted_content": "x"}, 1),
        last(item, {"type": "compaction", "id": "cm_1", "encrypted_content": "x"}),
    )
    assert reply.kinds == ["PartAdded", "Data", "Data", "Data", "PartAdded", "UsageUpdate", "Finish"]
    image, compaction = reply.message.parts
    assert (image.kind, image.id, image.native, image.is_done) == ("image_generation_call", "ig_1", item, True)
    assert compaction.kind == "compaction"
    assert "QQ" not in json.dumps(reply.message.native)
    cut = responses(CREATED, added(began))
    assert (cut.message.native["output"], cut.message.parts[0].is_done) == ([began], False)


def test_annotations() -> None:
    """An annotation is a part after its text, once, though the events after it repeat it; its text has it in native."""
    cite = [{"type": "url_citation", "url": "https://a"}, {"type": "url_citation", "url": "https://b"}]
    content = [{"type": "output_text", "text": "Hi", "annotations": cite}]
    values = [
        CREATED,
        added(message("")),
        text("Hi"),
        event("output_text.annotation.added", 0, item_id="msg_1", content_index=0, annotation=cite[0]),
    ]
    cut = responses(*values)
    assert cut.message.native["output"][0]["content"] == [{**content[0], "annotations": cite[:1]}]
    reply = responses(*values, done(message(content=content)), last(message(content=content)))
    assert reply.kinds == ["TextDelta", "PartAdded", "PartAdded", "UsageUpdate", "Finish"]
    assert [part.native for part in reply.message.parts if isinstance(part, Other)] == cite
    early = responses(event("output_text.annotation.added", 0, annotation=cite[0]), text("Hi", id=""))
    assert early.message.native["output"][0]["content"] == [{**content[0], "annotations": cite[:1]}]


def test_content_of_other_kinds() -> None:
    """Content that is neither text nor a refusal is a part, once."""
    audio = {"type": "output_audio", "data": "QQ"}
    reply = responses(
        CREATED,
        added(message("")),
        event("content_part.added", 0, item_id="msg_1", content_index=0, part={"type": "output_audio"}),
        event("content_part.done", 0, item_id="msg_1", content_index=0, part=audio),
        done(message(content=[audio])),
        last(message(content=[audio, {}])),
    )
    assert reply.kinds == ["PartAdded", "UsageUpdate", "Finish"]
    assert reply.message.parts[0].native == audio


ENDS = [
    (last(message()), ("stop", "completed", True)),
    (last(call()), ("tool_calls", "completed", True)),
    (
        last(message(), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ("length", "max_output_tokens", False),
    ),
    (
        last(message(), status="incomplete", incomplete_details={"reason": "content_filter"}),
        ("content_filter", "content_filter", False),
    ),
    (last(status="incomplete", incomplete_details={"reason": "steered"}), ("other", "steered", False)),
    (last(status="incomplete", incomplete_details=None), ("other", "incomplete", False)),
    (last(message(), status="cancelled"), ("cancelled", "cancelled", False)),
    ({"type": "response.completed", "response": None}, ("stop", "completed", True)),
]


@pytest.mark.parametrize(("end", "expected"), ENDS, ids=range(len(ENDS)))
def test_ends(end: Any, expected: Any) -> None:
    """A reply ends with one of four events; what it was cut by is the server's own reason."""
    reply = responses(CREATED, end)
    assert (reply.error, reply.is_complete, reply.has_terminator) == (None, True, True)
    found = reply.message
    assert (found.finish_reason, found.native_finish_reason, found.ended_well) == expected
    assert [delta for delta in reply.deltas if isinstance(delta, Finish)] == [Finish(expected[0], expected[1])]
    assert found.id == "resp_1"


def test_a_failure_that_the_reader_sees() -> None:
    """A response that failed is finished, with the reason `error`, if its error is not raised."""
    reader = ResponsesReader()
    assert reader.is_complete is False
    failed = last(message("Hal"), status="failed", error=None)
    deltas = reader.read(ServerSentEvent(data=json.dumps(failed)))
    assert deltas[-1] == Finish("error", "failed")
    assert (reader.is_complete, reader.message.text, reader.message.ended_well) == (True, "Hal", False)


ERRORS = [
    {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
    {"type": "error", "error": {"type": "server_error", "code": "rate_limit_exceeded", "message": "slow down"}},
    {"error": {"code": "rate_limit_exceeded", "message": "slow down"}},
    last(status="failed", error={"code": "rate_limit_exceeded", "message": "slow down"}),
]


@pytest.mark.parametrize("error", ERRORS, ids=["top level", "nested", "of a gateway", "failed"])
def test_errors(error: dict[str, Any]) -> None:
    """An error is raised with its code and its words, and the message has what came before."""
    reply = responses(CREATED, text("Hal"), error)
    assert isinstance(reply.error, ErrorEventReceived)
    assert (reply.code, str(reply.error)) == ("rate_limit_exceeded", "slow down")
    assert (reply.message.text, reply.message.finish_reason, reply.message.ended_well) == ("Hal", None, False)
    assert not reply.message.parts[0].is_done
    assert is_transient(OPENAI_RESPONSES, error)


def test_a_failure_without_an_error() -> None:
    """A response that failed and does not say why is a reply that has ended with an error."""
    reply = responses(CREATED, text("Hal"), last(status="failed", error=None))
    assert (reply.error, reply.message.finish_reason, reply.message.ended_well) == (None, "error", False)
    assert not is_transient(OPENAI_RESPONSES, {"type": "error", "code": "invalid_prompt"})


@pytest.mark.parametrize("count", range(1, 5))
def test_a_clean_end_too_early(count: int) -> None:
    """Without one of the four last events a reply is truncated, even if its items have ended."""
    values = [CREATED, added(message("")), text("Hello"), done(message())]
    reply = responses(*values[:count])
    assert isinstance(reply.error, StreamTruncated)
    assert (reply.is_complete, reply.message.finish_reason, reply.message.ended_well) == (False, None, False)
    assert [part.is_done for part in reply.message.parts] == [count == 4] * (count > 2)


# Where servers deviate.


def test_copilot_gives_each_event_another_id() -> None:
    """GitHub Copilot: each event of an item has another ID; the index says which item it is."""
    reply = responses(
        CREATED,
        added(message("", id="a")),
        added(call("", id="b", call_id="c1"), 1),
        text("Hel", id="c"),
        arguments('{"x"', 1, id="d"),
        text("lo", id="e"),
        arguments(":1}", 1, id="f"),
        done(message(id="g")),
        done(call(id="h", call_id="c1"), 1),
        last(message(id="i"), call(id="j", call_id="c1")),
    )
    assert "Replaced" not in reply.kinds
    assert reply.kinds.count("ToolCallEnd") == 1
    assert (reply.message.text, reply.message.tool_calls[0].input) == ("Hello", {"x": 1})


def test_servers_that_always_write_index_0() -> None:
    """Several compatible servers: all items have the index 0; another item at it is a new one, whatever is there."""
    second = call('{"y":2}', id="fc_2")
    reply = responses(
        CREATED,
        added(message("")),
        text("Hi"),
        done(message("Hi")),
        added(call("")),
        added(call("", id="fc_2")),
        arguments('{"x":1}'),
        arguments('{"y":', id="fc_2"),
        done(call()),
        arguments("2}", id="fc_2"),
        done(second),
        last(message("Hi"), call(), second),
    )
    assert [made.input for made in reply.message.tool_calls] == [{"x": 1}, {"y": 2}]
    assert reply.message.text == "Hi"
    assert "Replaced" not in reply.kinds


def test_items_without_indexes() -> None:
    """Servers without indexes: items go by their ID; without that too, by the latest item."""
    reply = responses(
        CREATED,
        added(message(""), None),
        event("output_text.delta", item_id="msg_1", delta="He"),
        added(call(""), None),
        event("output_text.delta", item_id="msg_1", delta="llo"),
        event("function_call_arguments.delta", item_id="fc_1", delta='{"x":1}'),
        done(message(), None),
        done(call(), None),
        last(message(), call()),
    )
    assert (reply.message.text, reply.message.tool_calls[0].input) == ("Hello", {"x": 1})
    bare = responses(event("output_text.delta", delta="a"), event("output_text.delta", delta="b"), last())
    assert (bare.message.text, len(bare.message.parts)) == ("ab", 1)
    twice = responses(done({**message("a"), "id": None}), done({**message("b"), "id": None}), last())
    assert twice.message.text == "ab"


def test_deltas_before_their_item() -> None:
    """A delta whose item has not been added begins it; the item is taken up when it comes."""
    reply = responses(
        text("Hel"),
        arguments('{"x"', 1),
        event("custom_tool_call_input.delta", 2, item_id="ct", delta="in"),
        event("reasoning_text.delta", 3, item_id="rs", delta="r"),
        added(message("")),
        text("lo"),
        done(call(), 1),
    )
    assert (reply.message.text, reply.message.reasoning) == ("Hello", "r")
    assert [(made.kind, made.id, made.arguments) for made in reply.message.tool_calls] == [
        ("function", "call_fc_1", '{"x":1}'),
        ("custom", "ct", "in"),
    ]
    assert reply.message.native["object"] == "response"
    assert [item["type"] for item in reply.message.native["output"][:2]] == ["message", "function_call"]


def test_output_left_out_at_the_end() -> None:
    """Some servers leave the items out of the last response: native has those that were streamed."""
    outputs: list[Any] = [[], None, "x"]
    for output in outputs:
        reply = responses(CREATED, added(message("")), text("Hello"), done(message()), last(output=output))
        assert (reply.message.text, reply.message.ended_well) == ("Hello", True)
        assert reply.message.native["output"] == [message()]


def test_xai_adds_no_item() -> None:
    """xAI: an `added` without an item is nothing; one of another type is data; the indexes may have a gap."""
    reply = responses(CREATED, added(None), added("x", 1), added(message(""), 2), text("Hello", 2), last(message()))
    assert (reply.message.text, reply.kinds[0]) == ("Hello", "Data")


def test_only_the_last_event_has_the_text() -> None:
    """Servers that send no deltas: what the last response has is new."""
    reply = responses(CREATED, last(message(), call()))
    assert reply.kinds == [*("TextDelta", "ToolCallStart", "ToolCallDelta", "ToolCallEnd", "UsageUpdate", "Finish")]
    assert (reply.message.text, reply.message.tool_calls[0].input) == ("Hello", {"x": 1})


def test_the_last_response_is_authoritative() -> None:
    """Texts, arguments and order are those of the last response: if they differ the message is to be drawn anew."""
    reply = responses(CREATED, text("Helo"), last(message()))
    assert reply.kinds == ["TextDelta", "Replaced", "UsageUpdate", "Finish"]
    assert reply.message.text == "Hello"
    reply = responses(CREATED, text("B", 1, "b"), text("A", 0, "a"), last(message("A", "a"), message("B", "b")))
    assert [delta for delta in reply.deltas if isinstance(delta, Replaced)] == [Replaced(reply.message)]
    assert reply.message.text == "AB"
    reply = responses(CREATED, added(call("")), arguments("{'x'"), done(call()), last(call()))
    assert reply.kinds[:4] == ["ToolCallStart", "ToolCallDelta", "Replaced", "ToolCallEnd"]
    assert reply.message.tool_calls[0].input == {"x": 1}


def test_items_that_the_last_response_has_not() -> None:
    """An item that has ended stays, in its place; one that has not ended, as after a failover, is void."""
    reply = responses(
        CREATED,
        done({"id": "rs", "type": "reasoning", "content": [{"type": "reasoning_text", "text": "r"}]}, 0),
        text("void", 1, "lost"),
        added(message("", "kept"), 2),
        text("Hello", 2, "kept"),
        done(call(), 3),
        last(message("Hello", "kept")),
    )
    assert [type(part).__name__ for part in reply.message.parts] == ["Reasoning", "Text", "ToolCall"]
    assert "Replaced" in reply.kinds
    assert (reply.message.text, reply.message.finish_reason) == ("Hello", "tool_calls")


def test_arguments_in_other_forms() -> None:
    """Arguments that are an object become text; those that come with the item are the first; empty ones end nothing."""
    reply = responses(CREATED, done(call({"x": "ü"})), last(call({"x": "ü"})))
    assert (reply.message.tool_calls[0].arguments, "Replaced" in reply.kinds) == ('{"x":"ü"}', False)
    reply = responses(CREATED, added(call('{"x"')), arguments(":1}"), done(call("")), last(call()))
    assert reply.kinds[:4] == ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd"]
    assert reply.message.tool_calls[0].input == {"x": 1}


def test_a_type_that_differs_from_the_name() -> None:
    """If an event's name and its type differ the type wins; without a type it is the name."""
    plain = {key: value for key, value in text("b").items() if key != "type"}
    data = script(
        CREATED, text("a"), plain, {"delta": "c"}, names=["", "response.created", text("")["type"], "x.delta"]
    )
    reply = play(OPENAI_RESPONSES, data)
    assert reply.message.text == "ab"
    assert reply.deltas[-1] == Data("x.delta", {"delta": "c"})


def test_text_after_its_end() -> None:
    """A delta of a part that has ended is added and handed out."""
    reply = responses(CREATED, added(message("")), text("Hi"), done(message("Hi")), text("!"), last(message("Hi!")))
    assert (reply.kinds[:2], reply.message.text) == (["TextDelta", "TextDelta"], "Hi!")
    assert responses(CREATED, event("output_text.done", 0, item_id="msg_1", text="")).message.parts == []
    reply = responses(CREATED, done(message("Hi")), text("!"), last(message("Hi")))
    assert (reply.kinds[2], reply.message.text) == ("Replaced", "Hi")


def test_what_is_unknown() -> None:
    """Unknown events survive as data, unknown items as parts; pings are nothing."""
    odd = [
        event("audio.transcript.delta", delta="x"),
        event("new_call_arguments.delta", 7, delta="x"),
        event("new_thing.done", value=1),
        event("output_text.changed", delta="x"),
        event("brand_new", response={"id": "resp_1"}),
        event("shell_call_command.delta", 0, delta="ls"),
        event("function_call_arguments.done", 0, arguments="{}"),
        {"neither": 1},
        [1],
    ]
    reply = responses(CREATED, added(message("")), {"type": "keepalive"}, {"type": "ping"}, *odd)
    assert [delta.value for delta in reply.deltas if isinstance(delta, Data)] == odd
    assert len(reply.deltas) == len(odd)
    reply = responses(CREATED, done({"id": "x", "type": "hologram", "rays": 3}), done({"rays": 4}, 1), last())
    assert [(part.kind, part.native.get("rays")) for part in reply.message.parts] == [("hologram", 3), ("item", 4)]


def test_indexes_that_are_none() -> None:
    """Indexes of other types are no indexes."""
    odd = [text("a", [0], content_index={}), text("b", [0], content_index={}), text("c", "0", content_index="x")]
    reply = responses(added(message("")), *odd, added(None, []))
    assert reply.message.text == "abc"


def test_what_is_not_json() -> None:
    """Data that is not JSON raises ValueError; [DONE] and empty data are nothing."""
    reader = ResponsesReader()
    with pytest.raises(ValueError, match="Expecting"):
        reader.read(ServerSentEvent(data="nonsense"))
    assert reader.read(ServerSentEvent(data="")) == reader.read(ServerSentEvent(data="[DONE]")) == []
    assert reader.native() is None


# A response that was not streamed.


def test_a_whole_response() -> None:
    """A response that was not streamed is read by the same dialect, and is its own native."""
    whole = response("completed", message(), call())
    reply = play(OPENAI_RESPONSES, script(whole))
    check(reply)
    assert (reply.message.text, reply.message.finish_reason, reply.is_complete) == ("Hello", "tool_calls", True)
    assert reply.message.native == whole
    for status, reason in (("incomplete", "other"), ("new", "other"), (None, "stop")):
        reply = play(OPENAI_RESPONSES, script({**response("", message()), "status": status}))
        assert (reply.is_complete, reply.message.finish_reason) == (True, reason)


def test_a_whole_response_that_has_only_begun() -> None:
    """A response in the background returns at once: it is not complete."""
    reply = play(OPENAI_RESPONSES, script(response("queued", background=True)))
    assert (reply.is_complete, reply.message.id, reply.deltas) == (False, "resp_1", [])


def test_a_whole_response_that_failed() -> None:
    """The error of a response that was not streamed is raised."""
    reply = play(OPENAI_RESPONSES, script(response("failed", error={"code": "server_error", "message": "sorry"})))
    assert isinstance(reply.error, ErrorEventReceived)
    assert reply.code == "server_error"


# Resuming.

BACKGROUND = {**event("created", response=response("queued", background=True)), "sequence_number": 0}


def numbered(*values: dict[str, Any]) -> list[ServerSentEvent]:
    return [
        ServerSentEvent(data=json.dumps({**value, "sequence_number": number})) for number, value in enumerate(values)
    ]


def advanced(*events: ServerSentEvent) -> Any:
    cursor = RESPONSES_RESUME.initial
    for each in events:
        cursor = RESPONSES_RESUME.advance(cursor, each)
    return cursor


def test_the_cursor() -> None:
    """The cursor is the response and the last number, if it runs in the background; else there is none."""
    assert advanced() is None
    assert advanced(*numbered(BACKGROUND, text("background"))) == ("resp_1", 1)
    assert advanced(*numbered(CREATED, text("background"))) is None
    unnumbered = ServerSentEvent(data=json.dumps(event("created", response=response(background=True))))
    assert advanced(unnumbered) is None
    odd = [ServerSentEvent(data=data) for data in ("", "[DONE]", "[1]", "{}", '{"sequence_number": null}')]
    assert advanced(*numbered(BACKGROUND), *odd) == ("resp_1", 0)
    assert advanced(ServerSentEvent(data="background"), *odd) is None


PARAMS = [
    (None, "", []),
    (None, "?api-version=1&b=", [("api-version", "1"), ("b", "")]),
    ({"api-version": 1, "b": [2, 3]}, "", [("api-version", 1), ("b", 2), ("b", 3)]),
    ([("a", "1")], "", [("a", "1")]),
    (httpx.QueryParams("a=1&a=2"), "", [("a", "1"), ("a", "2")]),
    ("a=1", "", [("a", "1")]),
    (b"a=1", "", [("a", "1")]),
]


@pytest.mark.parametrize(("params", "query", "kept"), PARAMS, ids=range(len(PARAMS)))
def test_the_request_that_resumes(params: Any, query: str, kept: Any) -> None:
    """It is a GET of the response's own URL, with the parameters of the first request, as Azure needs them."""
    first = Request(method="POST", url=f"https://host/v1/responses{query}", params=params, json={"a": 1})
    assert RESPONSES_RESUME.request(None, first) is None
    request = RESPONSES_RESUME.request(("resp/1", 7), first)
    assert request is not None
    assert (request.method, request.url, request.json) == ("GET", "https://host/v1/responses/resp%2F1", None)
    assert request.params == [*kept, ("stream", "true"), ("starting_after", "7")]
    built = httpx.Request("GET", request.url, params=request.params)
    assert built.url.params["starting_after"] == "7"


def test_numbers_count_only_after_a_resume() -> None:
    """After a resume, events that came before are dropped; without one, servers that always write 0 lose nothing."""
    reader = ResponsesReader()
    events = numbered(BACKGROUND, added(message("")), text("Hel"), text("lo"), last(message()))
    for each in events[:3]:
        reader.read(each)
    reader.resumed()
    deltas = [delta for each in events[1:] for delta in reader.read(each)]
    assert [type(delta) for delta in deltas[:1]] == [TextDelta]
    assert (reader.message.text, reader.is_complete) == ("Hello", True)
    zeros = [{**value, "sequence_number": 0} for value in (CREATED, text("Hel"), text("lo"), last(message()))]
    assert responses(*zeros).message.text == "Hello"


def test_a_saved_cursor() -> None:
    """A cursor that was saved begins the next call, and advances from there."""
    resume = dataclasses.replace(RESPONSES_RESUME, initial=("resp_1", 5))
    assert resume.advance(resume.initial, ServerSentEvent(data='{"sequence_number": 6}')) == ("resp_1", 6)
    assert OPENAI_RESPONSES.resume is RESPONSES_RESUME


def test_a_copy() -> None:
    """A copy, or a pickle, keeps the parts and the native objects of its moment."""
    reply = responses(CREATED, added(message("")), text("Hi"), added(call(""), 1), arguments('{"x"', 1))
    for kept in (copy.deepcopy(reply.message), pickle.loads(pickle.dumps(reply.message))):
        assert outline(kept) == outline(reply.message)


def test_the_same_classes_everywhere() -> None:
    """The calls of deltas are those of the message."""
    reply = responses(CREATED, done(call()), last(call()))
    ended = [delta.call for delta in reply.deltas if isinstance(delta, ToolCallEnd)]
    assert ended == [part for part in reply.message.parts if isinstance(part, ToolCall)]
    reply = responses(CREATED, done({"type": "x"}))
    assert [delta.part for delta in reply.deltas if isinstance(delta, PartAdded)] == reply.message.parts


# Through a client.


def stream_of(*events: ServerSentEvent) -> bytes:
    return b"".join(encode(each) for each in events)


@pytest.mark.parametrize(("created", "count"), [(BACKGROUND, 2), (CREATED, 1)], ids=["background", "foreground"])
def test_a_cut(created: Any, count: int) -> None:
    """A response in the background goes on by a GET of its own URL; any other is not asked for again."""
    events = numbered(created, added(message("")), text("Hel"), text("lo"), last(message()))
    transport = scripted_transport(Answer(stream_of(*events[:3]), FIN), Answer(stream_of(*events[3:])))
    received: list[ServerSentEvent] = []
    with SSEClient(http_client=httpx.Client(transport=transport, base_url="https://host/v1")) as client:
        stream = client.post(
            "/responses",
            json={},
            params={"api-version": "1"},
            events=ServerSentEvent,
            terminator=OPENAI_RESPONSES.terminator,
            errors=OPENAI_RESPONSES.errors,
            resume=RESPONSES_RESUME,
        )
        with nullcontext() if count == 2 else pytest.raises(StreamInterrupted):
            received.extend(stream)
    assert [event.data for event in received] == [event.data for event in events][: 5 if count == 2 else 3]
    assert [(request.method, request.target) for request in transport.requests] == [
        ("POST", "/v1/responses?api-version=1"),
        ("GET", "/v1/responses/resp_1?api-version=1&stream=true&starting_after=2"),
    ][:count]
