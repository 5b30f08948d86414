"""AG_UI: the run of an agent, with several messages, calls, and a state."""

import dataclasses
from typing import Any

import pytest

from sse_client import ErrorEventReceived
from sse_client.dialects import AG_UI, Data, Finish, Replaced, ToolCallEnd

from .playing import Reply, digest
from .scripts import early_ends, fuzz, play, recorded, replay


def of(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": 7, **fields}


def text(step: str, id: str = "m1", **fields: Any) -> dict[str, Any]:
    return of(f"TEXT_MESSAGE_{step}", messageId=id, **fields)


def call(step: str, id: str = "c1", **fields: Any) -> dict[str, Any]:
    return of(f"TOOL_CALL_{step}", toolCallId=id, **fields)


RUN = of("RUN_STARTED", threadId="t1", runId="r1")
END = of("RUN_FINISHED", threadId="t1", runId="r1")
HELLO = [text("START", role="assistant"), text("CONTENT", delta="Hel"), text("CONTENT", delta="lo"), text("END")]
THOUGHT = [
    of("REASONING_START", messageId="r1"),
    of("REASONING_MESSAGE_START", messageId="r1", role="reasoning"),
    of("REASONING_MESSAGE_CONTENT", messageId="r1", delta="Hm."),
    of("REASONING_MESSAGE_END", messageId="r1"),
    of("REASONING_END", messageId="r1"),
]
RAIN = [
    call("START", toolCallName="rain", parentMessageId="m0"),
    call("ARGS", delta='{"city": '),
    call("ARGS", delta='"Ulm"}'),
    call("END"),
    call("RESULT", messageId="t1", content="wet", role="tool"),
]
NATIVE_CALL: dict[str, Any] = {
    "id": "c1",
    "type": "function",
    "function": {"name": "rain", "arguments": '{"city": "Ulm"}'},
}
NATIVE: list[Any] = [
    {"id": "r1", "role": "reasoning", "content": "Hm."},
    {"id": "m0", "role": "assistant", "toolCalls": [NATIVE_CALL]},
    {"id": "t1", "role": "tool", "toolCallId": "c1", "content": "wet"},
    {"id": "m1", "role": "assistant", "content": "Hello"},
]


def test_a_run() -> None:
    """Reasoning, a message with a call alone, its result, and a text; the native object is for the next request."""
    reply = play(AG_UI, RUN, *THOUGHT, *RAIN, *HELLO, END, RUN)
    calls = ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd", "ToolResult"]
    assert reply.kinds == ["ReasoningDelta", *calls, "TextDelta", "TextDelta", "Finish"]
    message = reply.message
    assert (message.id, message.role, message.text, message.reasoning) == ("r1", "assistant", "Hello", "Hm.")
    assert (message.tool_calls[0].input, message.tool_calls[0].output) == ({"city": "Ulm"}, "wet")
    assert (reply.has_terminator, message.ended_well) == (True, True)
    assert message.native == {"messages": NATIVE, "state": None}


def test_the_last_text() -> None:
    """A run has several messages; the user waits for the text of the last one."""
    again = [text("START", "m2"), text("CONTENT", "m2", delta="Bye"), text("END", "m2")]
    message = play(AG_UI, RUN, *HELLO, *again, END).message
    assert (message.text, message.last_text) == ("HelloBye", "Bye")


def test_a_call_in_a_message_with_text() -> None:
    """A call belongs to its parent, which may get a text before or after; without one it is a message of its own."""
    wanted = {"id": "m1", "role": "assistant", "content": "Hello", "toolCalls": [NATIVE_CALL]}
    calls = [call("START", toolCallName="rain", parentMessageId="m1"), *RAIN[1:4]]
    for script in ([*HELLO, *calls], [*calls, *HELLO]):
        assert play(AG_UI, RUN, *script, END).message.native["messages"] == [wanted]
    alone = play(AG_UI, RUN, call("START", toolCallName="rain"), *RAIN[1:4], END).message.native["messages"]
    assert alone == [{"id": "c1", "role": "assistant", "toolCalls": [NATIVE_CALL]}]


def test_chunks() -> None:
    """A chunk starts a message or goes on with it; another message, or the end, ends it."""
    reply = play(
        AG_UI,
        RUN,
        of("REASONING_MESSAGE_CHUNK", messageId="r1", delta="Hm."),
        text("CHUNK", role="assistant", delta="Hel"),
        of("RAW", event={}),
        of("TEXT_MESSAGE_CHUNK", delta="lo"),
        call("CHUNK", toolCallName="rain", parentMessageId="m1", delta='{"city": '),
        of("CUSTOM", name="n", value=1),
        of("TOOL_CALL_CHUNK", delta='"Ulm"}'),
        call("CHUNK", "c2", toolCallName="now"),
        of("STEP_STARTED", stepName="s"),
        END,
    )
    calls = ["ToolCallStart", "ToolCallDelta", "Data", "ToolCallDelta", "ToolCallEnd", "ToolCallStart", "ToolCallEnd"]
    assert reply.kinds == ["ReasoningDelta", "TextDelta", "Data", "TextDelta", *calls, "Data", "Finish"]
    assert [part.is_done for part in reply.message.parts] == [True] * 4
    assert reply.message.native["messages"][1]["toolCalls"][0] == NATIVE_CALL


def test_a_chunk_that_is_not_whole() -> None:
    """A call whose chunks stop in the middle is not ended by the next event."""
    reply = play(AG_UI, RUN, call("CHUNK", toolCallName="rain", delta='{"city'), *HELLO, END)
    assert "ToolCallEnd" not in reply.kinds
    assert not reply.message.ended_well


def test_thinking_before_1_0() -> None:
    """The old events for reasoning have no IDs: each start is a new one."""
    steps = [of("THINKING_TEXT_MESSAGE_START"), of("THINKING_TEXT_MESSAGE_CONTENT", delta="Hm.")]
    script = [of("THINKING_START"), *steps, of("THINKING_TEXT_MESSAGE_END"), *steps, of("THINKING_END")]
    reply = play(AG_UI, RUN, *script, of("THINKING_START", title="Weather"), END)
    assert [delta for delta in reply.deltas if isinstance(delta, Data)] == [
        Data("THINKING_START", of("THINKING_START", title="Weather"))
    ]
    assert [part.kind for part in reply.message.parts] == ["reasoning", "reasoning"]
    assert reply.message.reasoning == "Hm.Hm."
    assert [part.id for part in reply.message.parts] == [None, None]


def test_the_text_of_another() -> None:
    """Text that is not the assistant's does not belong to the reply: it is data, and in the native messages."""
    question = [text("START", "u1", role="user", name="Ann"), text("CONTENT", "u1", delta="Hi"), text("END", "u1")]
    reply = play(AG_UI, RUN, *question, *HELLO, END)
    assert reply.deltas[:2] == [Data("TEXT_MESSAGE_START", question[0]), Data("TEXT_MESSAGE_CONTENT", question[1])]
    assert reply.message.text == "Hello"
    assert reply.message.native["messages"][0] == {"id": "u1", "role": "user", "name": "Ann", "content": "Hi"}


def test_names_in_snake_case() -> None:
    """Some servers write the fields in snake_case."""
    script = [of("TEXT_MESSAGE_START", message_id="m1"), of("TEXT_MESSAGE_CONTENT", message_id="m1", delta="Hello")]
    rain = [of("TOOL_CALL_START", tool_call_id="c1", tool_call_name="rain", parent_message_id="m1")]
    rain += [of("TOOL_CALL_ARGS", tool_call_id="c1", delta='{"city": "Ulm"}'), of("TOOL_CALL_END", tool_call_id="c1")]
    reply = play(AG_UI, of("RUN_STARTED", run_id="r1"), *script, *rain, END)
    assert reply.message.native["messages"] == [
        {"id": "m1", "role": "assistant", "content": "Hello", "toolCalls": [NATIVE_CALL]}
    ]


def test_the_state() -> None:
    """The state is replaced by a snapshot and changed by a patch; a patch that does not fit is handed out as it is."""
    odd = of("STATE_DELTA", delta=[{"op": "remove", "path": "/q"}])
    first = of("STATE_DELTA", delta=[{"op": "add", "path": "/n", "value": 1}])
    reply = play(AG_UI, RUN, first, of("STATE_SNAPSHOT", snapshot={"n": 5}), odd, of("STATE_DELTA", delta=[]), END)
    assert reply.deltas[:-1] == [
        *(Data("state", {"n": 1}), Data("state", {"n": 5})),
        *(Data("STATE_DELTA", odd), Data("state", {"n": 5})),
    ]
    assert reply.message.native["state"] == {"n": 5}


HISTORY = [{"id": "u0", "role": "user", "content": "Hi"}, {"id": "a0", "role": "assistant", "content": "Ho"}]
QUESTION = {"id": "u1", "role": "user", "content": "Rain?"}


def test_a_snapshot_of_all_messages() -> None:
    """A snapshot replaces all messages: the parts are those since the question, a known call does not start again."""
    other = {**NATIVE_CALL, "id": "c2", "function": {"name": "now", "arguments": ""}}
    messages = [*HISTORY, QUESTION, NATIVE[0], {**NATIVE[1], "toolCalls": [NATIVE_CALL, other]}, NATIVE[2]]
    snapshot = of("MESSAGES_SNAPSHOT", messages=[*messages, {"id": "m1", "role": "assistant", "content": "Hey"}])
    reply = play(AG_UI, RUN, *RAIN[:3], *HELLO, snapshot, text("CONTENT", delta="!"), END)
    at = reply.kinds.index("Replaced")
    assert reply.deltas[at] == Replaced(reply.message)
    assert reply.kinds[at:] == [
        *("Replaced", "ToolCallEnd", "ToolCallStart", "ToolCallEnd", "ToolResult"),
        *("TextDelta", "Finish"),
    ]
    message = reply.message
    assert [part.kind for part in message.parts] == ["reasoning", "function", "function", "text"]
    assert (message.text, message.reasoning) == ("Hey!", "Hm.")
    assert len([delta for delta in reply.deltas if isinstance(delta, ToolCallEnd)]) == 2
    assert message.native["messages"] == [*messages, {"id": "m1", "role": "assistant", "content": "Hey!"}]
    assert message.ended_well


def test_a_snapshot_alone() -> None:
    """If nothing came before a snapshot, its text comes as deltas; the messages before the question yield none."""
    reply = play(AG_UI, RUN, of("MESSAGES_SNAPSHOT", messages=[*HISTORY, QUESTION]), END)
    assert reply.kinds == ["Finish"]
    reply = play(AG_UI, RUN, of("MESSAGES_SNAPSHOT", messages=[*HISTORY, QUESTION, *NATIVE]), END)
    calls = ["ToolCallStart", "ToolCallDelta", "ToolCallEnd", "ToolResult"]
    assert reply.kinds == ["ReasoningDelta", *calls, "TextDelta", "Finish"]


def test_a_question_within_the_run() -> None:
    """The messages of this run stay in the parts, also if one of the user's follows."""
    snapshot = of("MESSAGES_SNAPSHOT", messages=[*HISTORY, NATIVE[3], QUESTION])
    assert play(AG_UI, RUN, *HELLO, snapshot, END).message.text == "Hello"


def test_encrypted_reasoning() -> None:
    """An encrypted value goes back with the message, or the call, that it belongs to."""
    encrypted = [
        of("REASONING_ENCRYPTED_VALUE", subtype="message", entityId="r1", encryptedValue="x"),
        of("REASONING_ENCRYPTED_VALUE", subtype="tool-call", entityId="c1", encryptedValue="y"),
    ]
    reply = play(AG_UI, RUN, *THOUGHT, *RAIN, *encrypted, END)
    assert reply.kinds[-3:] == ["Data", "Data", "Finish"]
    thought, calls, _ = reply.message.native["messages"]
    assert (thought["encryptedValue"], calls["toolCalls"][0]["encryptedValue"]) == ("x", "y")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, Finish("stop")),
        ({"outcome": None}, Finish("stop")),
        ({"outcome": {"type": "success"}}, Finish("stop", "success")),
        ({"outcome": {"type": "interrupt", "interrupts": [{"id": "i"}]}}, Finish("pause", "interrupt")),
        ({"outcome": "interrupt"}, Finish("pause", "interrupt")),
        ({"outcome": {"type": "cancelled"}}, Finish("cancelled", "cancelled")),
        ({"outcome": {"type": "bored"}, "result": 1}, Finish("other", "bored")),
        ({"finishReason": "length"}, Finish("length", "length")),
    ],
    ids=repr,
)
def test_outcomes(fields: Any, reason: Finish) -> None:
    """How a run ended, in the words of all dialects; TanStack sends a reason, others the bare type of an outcome."""
    reply = play(AG_UI, RUN, *HELLO, {**END, **fields})
    assert reply.deltas[-1] == reason
    assert (reply.error, reply.message.ended_well) == (None, reason.reason == "stop")
    kept = {name: value for name, value in fields.items() if value is not None and name != "finishReason"}
    assert reply.message.native == {"messages": [NATIVE[3]], "state": None, **kept}


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ([{"inputTokens": 3, "outputTokens": 2, "model": "a"}, {"inputTokens": 4, "outputTokens": 1}, 1], (7, 3, 10)),
        ({"promptTokens": 3, "completionTokens": 2, "totalTokens": 6}, (3, 2, 6)),
    ],
    ids=["a list", "TanStack"],
)
def test_usage(usage: Any, counts: tuple[int, int, int]) -> None:
    """The usage is a list, one for each model: it is summed up."""
    found = play(AG_UI, RUN, {**END, "usage": usage}).message.usage
    assert found is not None
    assert (found.input_tokens, found.output_tokens, found.total_tokens) == counts


def test_several_runs() -> None:
    """With `terminator=None` a stream may have several runs: it is complete if none is open."""
    dialect = dataclasses.replace(AG_UI, terminator=None)
    assert play(dialect, RUN, END, RUN, *HELLO).error is not None
    reply = play(dialect, RUN, END, RUN, *HELLO, END)
    assert (reply.error, reply.message.text, reply.message.ended_well) == (None, "Hello", True)


def test_an_error() -> None:
    """A run that fails is raised, with its message and code; a stream without the end of its run is truncated."""
    reply = play(AG_UI, RUN, *HELLO, of("RUN_ERROR", message="exploded", code="E1"))
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.code, reply.message.text) == ("exploded", "E1", "Hello")
    assert play(AG_UI, RUN, *HELLO).error is not None


def test_what_is_beside_the_message() -> None:
    """Activities, steps, subagents, and results of unknown calls are data; an end without a start is nothing."""
    beside = [of("ACTIVITY_SNAPSHOT", content={}), of("STEP_FINISHED"), of("SUBAGENT_STARTED"), of("TOOL_CALL_FLEW")]
    reply = play(AG_UI, RUN, "", *beside, RAIN[-1], text("END"), call("END"), END, "[DONE]")
    assert reply.deltas[:-1] == [Data(each["type"], each) for each in [*beside, RAIN[-1]]]
    assert reply.message.parts == []


def test_a_whole_response() -> None:
    """Messages and a state without a stream are read like a snapshot."""
    whole = {"messages": [QUESTION, *NATIVE], "state": {"n": 1}}
    reply = play(AG_UI, whole)
    assert (reply.error, reply.message.native, reply.message.text) == (None, whole, "Hello")
    assert reply.message.ended_well


def test_any_shape() -> None:
    """Events of any shape are read."""
    snapshot = of("MESSAGES_SNAPSHOT", messages=[QUESTION, *NATIVE])
    end = {**END, "usage": [{"inputTokens": 1}, {"inputTokens": 2}], "outcome": {"type": "interrupt"}}
    encrypted = of("REASONING_ENCRYPTED_VALUE", entityId="m1", encryptedValue="x")
    delta = of("STATE_DELTA", delta=[{"op": "add", "path": "/a", "value": 1}])
    fuzz(AG_UI, RUN, *THOUGHT, *RAIN, *HELLO, snapshot, call("CHUNK", "c2", delta="{}"), encrypted, delta, end)
    fuzz(AG_UI, delta, {"messages": [QUESTION, *NATIVE], "state": {}})


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    assert digest(reply.said) == expected["error"]
    assert digest(reply.message.last_text) == expected["text"]
    wanted = [{name: each[name] for name in each if name != "id"} for each in expected["messages"]]
    found = [{name: each[name] for name in each if name != "id"} for each in reply.message.native["messages"]]
    assert digest(found) == wanted
    assert [each["id"] for each in expected["messages"]] == [each["id"] for each in reply.message.native["messages"]]
    assert [call.id for call in reply.message.tool_calls] == [each["id"] for each in expected["tool_calls"]]


@pytest.mark.parametrize("expected", recorded("ag_ui"))
def test_recorded(expected: dict[str, Any]) -> None:
    """Recorded streams give the expected results, and are complete at their end alone."""
    reply = replay(AG_UI, expected)
    check_expected(reply, expected)
    assert early_ends(AG_UI, expected) == []
