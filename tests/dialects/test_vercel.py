"""VERCEL_UI: the message of a chat, part by part, as the AI SDK has it."""

from typing import Any

import pytest

from sse_client import ErrorEventReceived
from sse_client.dialects import VERCEL_UI, Data, Finish, PartAdded, Replaced, ToolResult

from .playing import Reply, digest
from .scripts import early_ends, fuzz, play, recorded, replay

SOURCE = {"type": "source-url", "sourceId": "s1", "url": "https://example.com"}
FILE = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,aGk="}


def of(kind: str, id: str = "", **fields: Any) -> dict[str, Any]:
    return {"type": kind, **({"id": id} if id else {}), **fields}


def tool(step: str, id: str = "c1", **fields: Any) -> dict[str, Any]:
    return {"type": f"tool-{step}", "toolCallId": id, **fields}


START = [of("start", messageId="m1", messageMetadata={"a": {"x": 1}}), of("start-step")]
THOUGHT = [of("reasoning-start", "r"), of("reasoning-delta", "r", delta="Hm."), of("reasoning-end", "r")]
TEXT = [of("text-start", "t"), of("text-delta", "t", delta="It "), of("text-delta", "t", delta="rains.")]
CALL = [
    tool("input-start", toolName="rain", title="Rain"),
    tool("input-delta", inputTextDelta='{"city": '),
    tool("input-delta", inputTextDelta='"Ulm"}'),
    tool("input-available", toolName="rain", input={"city": "Ulm"}, providerMetadata={"p": 1}),
    tool("output-available", output={"mm": 3}, preliminary=True),
    tool("output-available", output={"mm": 4}, providerMetadata={"p": 2}),
]
END = [of("finish-step"), of("finish", finishReason="stop", messageMetadata={"a": {"y": 2}}), "[DONE]"]


def test_a_reply() -> None:
    """Two steps with reasoning, a call that the server runs, text, a source and a file; the native is the UIMessage."""
    script = [*START, *THOUGHT, *CALL, of("finish-step"), of("start-step"), *TEXT, of("text-end", "t"), SOURCE, FILE]
    reply = play(VERCEL_UI, "", *script, *END)
    call = ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd", "ToolResult", "ToolResult"]
    assert reply.kinds == ["ReasoningDelta", *call, "TextDelta", "TextDelta", "PartAdded", "PartAdded", "Finish"]
    message = reply.message
    assert (message.id, message.role, message.text, message.reasoning) == ("m1", "assistant", "It rains.", "Hm.")
    assert [delta.is_preliminary for delta in reply.deltas if isinstance(delta, ToolResult)] == [True, False]
    [added] = message.tool_calls
    assert (added.id, added.name, added.kind, added.output) == ("c1", "rain", "function", {"mm": 4})
    assert message.ended_well
    assert message.native == {
        "id": "m1",
        "role": "assistant",
        "metadata": {"a": {"x": 1, "y": 2}},
        "parts": [
            {"type": "step-start"},
            {"type": "reasoning", "text": "Hm.", "state": "done"},
            {
                "type": "tool-rain",
                "toolCallId": "c1",
                "title": "Rain",
                "state": "output-available",
                "input": {"city": "Ulm"},
                "output": {"mm": 4},
                "callProviderMetadata": {"p": 1},
                "resultProviderMetadata": {"p": 2},
            },
            {"type": "step-start"},
            {"type": "text", "text": "It rains.", "state": "done"},
            SOURCE,
            FILE,
        ],
    }


def test_a_part_that_streams() -> None:
    """While a text or an input grows, the native part says so, and has all that came."""
    reply = play(VERCEL_UI, *TEXT, *CALL[:2], tool("input-delta", inputTextDelta='"Ul'))
    assert reply.error is not None
    assert [part.native for part in reply.message.parts] == [
        {"type": "text", "text": "It rains.", "state": "streaming"},
        {
            "type": "tool-rain",
            "toolCallId": "c1",
            "title": "Rain",
            "state": "input-streaming",
            "input": {"city": "Ul"},
        },
    ]


def test_an_id_that_is_used_again() -> None:
    """An ID that starts again is a new part; a text without a start is one too; provider metadata stays on its part."""
    again = [of("text-start", "t", providerMetadata={"p": 1}), of("text-delta", "t", delta="Yes.")]
    reply = play(
        VERCEL_UI, *TEXT, of("text-end", "t"), *again, of("reasoning-delta", "r", delta="Hm."), of("text-end", "?")
    )
    assert [part.native.get("providerMetadata") for part in reply.message.parts] == [None, {"p": 1}, None]
    assert (reply.message.text, reply.message.last_text) == ("It rains.Yes.", "It rains.Yes.")


def test_the_input_as_a_whole() -> None:
    """An input that comes at once starts and ends its call; if it differs from its pieces it replaces them."""
    reply = play(VERCEL_UI, tool("input-available", toolName="rain", input={"city": "Ulm"}, providerExecuted=True))
    assert reply.kinds == ["ToolCallStart", "ToolCallDelta", "ToolCallEnd"]
    assert (reply.message.tool_calls[0].kind, reply.message.tool_calls[0].input) == ("server", {"city": "Ulm"})
    reply = play(VERCEL_UI, *CALL[:2], tool("input-available", input={"a": 1}))
    assert reply.kinds == ["ToolCallStart", "ToolCallDelta", "Replaced", "ToolCallEnd"]
    assert reply.message.tool_calls[0].input == {"a": 1}


def test_an_input_that_is_wrong() -> None:
    """An input that the server refuses ends its call with an error; text that is not JSON is not whole."""
    wrong = tool("input-error", toolName="rain", input="{city", errorText="not JSON", dynamic=True)
    reply = play(VERCEL_UI, wrong, *END)
    assert reply.kinds == ["ToolCallStart", "ToolCallDelta", "ToolCallEnd", "ToolResult", "Finish"]
    [call] = reply.message.tool_calls
    assert (call.is_whole, call.error, call.arguments) == (False, "not JSON", "{city")
    assert not reply.message.ended_well
    assert call.native == {
        "type": "dynamic-tool",
        "toolName": "rain",
        "toolCallId": "c1",
        "state": "output-error",
        "input": "{city",
        "errorText": "not JSON",
    }


@pytest.mark.parametrize(
    ("step", "fields", "state"),
    [
        (tool("output-error", errorText="no rain"), ToolResult, "output-error"),
        (tool("output-denied"), ToolResult, "output-denied"),
        (tool("approval-request", approvalId="a1"), Data, "approval-requested"),
        (tool("output-eaten"), Data, "input-available"),
    ],
    ids=["error", "denied", "approval", "unknown"],
)
def test_how_a_call_goes_on(step: dict[str, Any], fields: type, state: str) -> None:
    """A tool may fail, be denied, or wait for an approval."""
    reply = play(VERCEL_UI, *CALL[:4], step)
    assert type(reply.deltas[-1]) is fields
    [call] = reply.message.tool_calls
    assert call.native["state"] == state
    assert call.native.get("approval") == ({"id": "a1"} if state == "approval-requested" else None)
    assert call.error == {"output-error": "no rain", "output-denied": "denied"}.get(state)


def test_the_output_of_an_earlier_call() -> None:
    """The output of a call that an earlier message has is data."""
    assert play(VERCEL_UI, CALL[5]).deltas == [Data("tool-output-available", CALL[5])]


def test_data() -> None:
    """Data of the application's own is handed out each time: its ID replaces a part, if transient it has none."""
    first, second = of("data-sky", "d", data="grey"), of("data-sky", "d", data="blue")
    other, gone = of("data-sky", data="red"), of("data-sky", data="black", transient=True)
    reply = play(VERCEL_UI, first, second, other, gone, of("data-sun", "d", data=1))
    assert reply.deltas[:4] == [Data("data-sky", each) for each in (first, second, other, gone)]
    assert reply.message.native["parts"] == [second, other, of("data-sun", "d", data=1)]


def test_a_step_that_is_reset() -> None:
    """The SDK's version 7 takes back the parts since the last step began, or all."""
    reply = play(
        VERCEL_UI, *START, *TEXT, of("start-step"), *CALL[:2], of("text-delta", "u", delta="?"), of("reset-step")
    )
    assert reply.deltas[-1] == Replaced(reply.message)
    assert (reply.message.text, [part.kind for part in reply.message.parts]) == (
        "It rains.",
        ["step-start", "text", "step-start"],
    )
    reply = play(VERCEL_UI, *TEXT, of("reset-step"), *TEXT)
    assert reply.message.text == "It rains."


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("length", "length"),
        ("tool-calls", "tool_calls"),
        ("content-filter", "content_filter"),
        ("error", "error"),
        ("unknown", "other"),
        (None, "other"),
    ],
)
def test_reasons(native: Any, reason: Any) -> None:
    """The reasons in the words of all dialects; a reply is complete without [DONE], and without a reason."""
    reply = play(VERCEL_UI, *START, *TEXT, of("finish", finishReason=native))
    assert reply.deltas[-1] == Finish(reason, native)
    assert reply.error is None
    assert reply.message.ended_well == (reason == "tool_calls")


def test_an_abort() -> None:
    """An abort ends the stream: the reply was cancelled."""
    reply = play(VERCEL_UI, *START, *TEXT, of("abort", reason="stopped"), *TEXT)
    assert reply.deltas[-1] == Finish("cancelled", "stopped")
    assert (reply.error, reply.has_terminator, reply.message.text) == (None, True, "It rains.")


def test_done_alone() -> None:
    """An application that writes its own chunks may send [DONE] alone: an end, of which the reason is not known."""
    reply = play(VERCEL_UI, *TEXT, "[DONE]")
    assert (reply.error, reply.message.finish_reason, reply.message.ended_well) == (None, None, False)
    assert play(VERCEL_UI, *TEXT).error is not None


def test_an_error() -> None:
    """An error is raised at once, though `finish` and [DONE] follow."""
    reply = play(VERCEL_UI, *START, *TEXT, of("error", errorText="exploded"), *END)
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.message.text, reply.message.finish_reason) == ("exploded", "It rains.", None)


def test_a_whole_message() -> None:
    """A UIMessage gives the same parts as its stream; it has no reason."""
    server = tool("input-available", "c2", toolName="find", input={}, providerExecuted=True, dynamic=True)
    script = [*START, *THOUGHT, *CALL, server, tool("output-error", "c2", errorText="no"), *TEXT, of("text-end", "t")]
    streamed = play(VERCEL_UI, *script, SOURCE, of("data-sky", "d", data=1), *END).message
    whole = streamed.native
    reply = play(VERCEL_UI, whole)
    assert (reply.error, reply.message.native, reply.message.finish_reason) == (None, whole, "other")
    assert [part.native for part in reply.message.parts] == whole["parts"]
    assert [(part.kind, part.is_done) for part in reply.message.parts] == [
        (part.kind, part.is_done) for part in streamed.parts
    ]
    assert [call.name for call in reply.message.tool_calls] == ["rain", "find"]
    assert [call.error for call in reply.message.tool_calls] == [None, "no"]
    assert isinstance(next(delta for delta in reply.deltas if isinstance(delta, PartAdded)), PartAdded)


def test_any_shape() -> None:
    """Chunks of any shape are read."""
    script = [*START, *THOUGHT, *CALL, *TEXT, SOURCE, of("data-sky", "d", data=1), of("reset-step"), *END[:2]]
    fuzz(VERCEL_UI, *script)
    fuzz(VERCEL_UI, of("start"), play(VERCEL_UI, *script[:-3]).message.native)


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    message = reply.message
    assert digest(reply.said) == expected["error"]
    assert digest(message.text) == expected["text"]
    assert digest(message.reasoning or None) == expected["reasoning"]
    assert message.native["id"] == expected["message_id"]
    assert digest(message.native.get("metadata")) == expected["metadata"]
    assert [digest(part["type"]) for part in message.native["parts"]] == expected["parts"]
    for call, wanted in zip(message.tool_calls, expected["tool_calls"], strict=True):
        assert (call.id, call.name) == (wanted["id"], wanted["name"])
        assert digest(call.input) == wanted["arguments"]
        assert digest(call.native["input"]) == wanted["arguments"]
        assert digest(call.output) == wanted["output"]
        assert digest(call.native["state"]) == wanted["state"]


@pytest.mark.parametrize("expected", recorded("vercel_ui"))
def test_recorded(expected: dict[str, Any]) -> None:
    """Recorded streams give the expected results, and are complete at their end alone."""
    reply = replay(VERCEL_UI, expected)
    check_expected(reply, expected)
    assert len(early_ends(VERCEL_UI, expected)) <= 1  # before [DONE]
