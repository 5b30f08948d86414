"""COHERE_CHAT: content, calls and citations, each with a start and an end."""

from typing import Any

import pytest

from sse_client.dialects import COHERE_CHAT, Data, Finish, PartAdded, TextDelta

from .playing import Reply, digest
from .scripts import early_ends, fuzz, play, recorded, replay

USAGE = {
    "billed_units": {"input_tokens": 3, "output_tokens": 2},
    "tokens": {"input_tokens": 30.0, "output_tokens": 7.0, "reasoning_tokens": 2},
    "cached_tokens": 16,
}
CITATION = {"start": 0, "end": 2, "text": "It", "sources": [{"type": "document", "id": "d0"}], "type": "TEXT_CONTENT"}


def of(kind: str, name: str = "", value: Any = None, index: Any = 0, **fields: Any) -> tuple[str, Any]:
    delta = {"delta": {"message": {name: value}}} if name else {}
    return kind, {"type": kind, "index": index, **delta, **fields}


def call(name: str, arguments: Any = "", id: str = "c1") -> Any:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def end(reason: Any = "COMPLETE", **fields: Any) -> tuple[str, Any]:
    return "message-end", {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **fields}}


START = ("message-start", {"id": "m1", "type": "message-start", "delta": {"message": {"role": "assistant"}}})
TEXT = [
    of("content-start", "content", {"type": "thinking", "thinking": ""}),
    of("content-delta", "content", {"thinking": "Hm."}),
    of("content-end"),
    of("content-start", "content", {"type": "text", "text": "It "}, 1),
    of("content-delta", "content", {"text": "rains."}, 1, logprobs={"text": "rains."}),
    of("citation-start", "citations", CITATION),
    of("citation-end"),
    of("content-end", index=1),
]
CALLS = [
    of("tool-plan-delta", "tool_plan", "I "),
    of("tool-plan-delta", "tool_plan", "look."),
    of("tool-call-start", "tool_calls", call("rain", '{"city": ')),
    of("tool-call-delta", "tool_calls", {"function": {"arguments": '"Ulm"}'}}),
    of("tool-call-end"),
    of("tool-call-start", "tool_calls", call("now", id="c2"), 1),
    of("tool-call-end", index=1),
]


def test_a_reply() -> None:
    """Thinking, text, a citation, the usage and the reason; the native object is the response without streaming."""
    reply = play(COHERE_CHAT, START, *TEXT, end())
    assert reply.kinds == ["ReasoningDelta", "TextDelta", "TextDelta", "PartAdded", "UsageUpdate", "Finish"]
    message = reply.message
    assert (message.id, message.role, message.text, message.reasoning) == ("m1", "assistant", "It rains.", "Hm.")
    assert [part.is_done for part in message.parts] == [True, True, True]
    assert message.usage is not None
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (30, 7, 37)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (16, 2)
    assert message.ended_well
    assert message.native == {
        "id": "m1",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "It rains."}],
            "citations": [CITATION],
        },
        "finish_reason": "COMPLETE",
        "usage": USAGE,
        "logprobs": [{"text": "rains."}],
    }


def test_calls() -> None:
    """A call starts with its name, perhaps with arguments, and ends when the server says so; the plan is data."""
    reply = play(COHERE_CHAT, START, *CALLS, end("TOOL_CALL"), "[DONE]")
    names = ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd", "ToolCallStart", "ToolCallEnd"]
    assert reply.kinds == ["Data", "Data", *names, "UsageUpdate", "Finish"]
    assert reply.deltas[1] == Data("tool_plan", "look.")
    assert [(each.id, each.name, each.input) for each in reply.message.tool_calls] == [
        ("c1", "rain", {"city": "Ulm"}),
        ("c2", "now", {}),
    ]
    assert reply.message.ended_well
    calls = [call("rain", '{"city": "Ulm"}'), call("now", id="c2")]
    assert reply.message.native["message"] == {"role": "assistant", "tool_calls": calls, "tool_plan": "I look."}


@pytest.mark.parametrize("script", [[*TEXT, end()], [*CALLS, end("TOOL_CALL")]], ids=["text", "calls"])
def test_a_whole_response(script: list[Any]) -> None:
    """The response without streaming gives the same message, and is the native object as it stands."""
    streamed = play(COHERE_CHAT, START, *script).message
    whole = {"extra": 1, **streamed.native}
    reply = play(COHERE_CHAT, whole)
    assert reply.error is None
    message = reply.message
    assert (message.text, message.reasoning) == (streamed.text, streamed.reasoning)
    assert [part.native for part in message.parts] == [part.native for part in streamed.parts]
    assert message.usage == streamed.usage
    assert message.ended_well
    assert message.native == whole


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("ERROR_LIMIT", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("USER_CANCEL", "cancelled"),
        ("BORED", "other"),
        (None, "other"),
    ],
)
def test_reasons(native: Any, reason: Any) -> None:
    """The server's reasons in the words of all dialects; the reply is complete at any of them."""
    reply = play(COHERE_CHAT, START, end(native))
    assert reply.deltas[-1] == Finish(reason, native)
    assert reply.error is None
    assert reply.message.ended_well == (reason == "stop")


def test_a_failure() -> None:
    """A failure comes with the end: it is a reason, with the server's words as data, and no error of the stream."""
    reply = play(COHERE_CHAT, START, end("ERROR", error="out of memory"))
    assert (reply.error, reply.deltas[1:]) == (None, [Data("error", "out of memory"), Finish("error", "ERROR")])
    assert reply.message.native["error"] == "out of memory"


def test_a_call_cut_by_the_limit() -> None:
    """A call that the limit of tokens has cut is not whole, though the server ends it."""
    start = of("tool-call-start", "tool_calls", call("rain", '{"city": '))
    for ends in ([of("tool-call-end")], []):
        reply = play(COHERE_CHAT, START, start, *ends, end("MAX_TOKENS"))
        [cut] = reply.message.tool_calls
        assert not cut.is_whole
        assert cut.is_done == bool(ends)
        assert not reply.message.ended_well


@pytest.mark.parametrize("tail", [[], ["[DONE]"]], ids=["a clean end", "[DONE] alone"])
def test_truncated(tail: list[str]) -> None:
    """Without `message-end` the reply is truncated: [DONE] does not make it complete."""
    reply = play(COHERE_CHAT, START, *TEXT, *tail)
    assert reply.error is not None
    assert reply.message.text == "It rains."
    assert not reply.message.ended_well


def test_an_index_that_is_used_again() -> None:
    """Servers that always write the index 0: a start after an end begins a new part."""
    start = of("content-start", "content", {"type": "text", "text": "b"})
    reply = play(COHERE_CHAT, *TEXT[3:5], TEXT[-1], of("content-start", "content", {"type": "text"}, 1), START)
    assert reply.message.text == "It rains."
    reply = play(COHERE_CHAT, start, of("content-end"), start, *CALLS[2:5], *CALLS[2:5], end("TOOL_CALL"))
    assert [part.kind for part in reply.message.parts] == ["text", "text", "function", "function"]
    assert reply.message.ended_well


def test_content_of_other_kinds() -> None:
    """Content that is neither text nor thinking is kept as a part; a list of citations is several."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    reply = play(COHERE_CHAT, of("content-start", "content", image), of("citation-start", "citations", [1, {}]), end())
    assert [part.kind for part in reply.message.parts] == ["image_url", "citation", "citation"]
    assert reply.message.native["message"] == {"role": "assistant", "content": [image], "citations": [1, {}]}


def test_arguments_that_are_an_object() -> None:
    """Arguments that come as an object are dumped; events need no names, and the type wins over a name."""
    reply = play(COHERE_CHAT, ("odd", of("tool-call-start", "tool_calls", call("f", {"a": [1]}))[1]), end()[1])
    assert reply.message.tool_calls[0].arguments == '{"a":[1]}'
    assert reply.error is None


def test_a_delta_after_its_end() -> None:
    """A delta of a part that has ended is appended and handed out."""
    late = of("content-delta", "content", {"text": "!"}, 1)
    reply = play(COHERE_CHAT, *TEXT, late, end())
    text = next(part for part in reply.message.parts if part.kind == "text")
    assert TextDelta("!", text) in reply.deltas  # type: ignore[arg-type]
    assert reply.message.text == "It rains.!"


def test_any_shape() -> None:
    """Events of any shape are read."""
    fuzz(COHERE_CHAT, START, *TEXT, *CALLS, end("TOOL_CALL"))
    fuzz(COHERE_CHAT, {"type": "debug"}, play(COHERE_CHAT, START, *TEXT, *CALLS, end()).message.native)


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    message = reply.message
    assert reply.error is None
    assert digest(message.text) == (expected["text"] or digest(""))
    assert digest(message.reasoning or None) == expected["reasoning"]
    assert message.native_finish_reason == expected["finish_reason"]
    calls = [{"id": each.id, "name": each.name, "arguments": digest(each.arguments)} for each in message.tool_calls]
    assert calls == expected["tool_calls"]
    assert digest(message.native["message"].get("tool_plan")) == expected["tool_plan"]
    assert len([delta for delta in reply.deltas if isinstance(delta, PartAdded)]) == expected["citations"]
    assert message.usage is not None
    assert message.usage.native["tokens"].items() >= expected["usage"].items()


@pytest.mark.parametrize("expected", recorded("cohere_v2"))
def test_recorded(expected: dict[str, Any]) -> None:
    """Recorded streams give the expected results, and are complete at their end alone."""
    reply = replay(COHERE_CHAT, expected)
    check_expected(reply, expected)
    assert len(early_ends(COHERE_CHAT, expected)) <= 1  # before [DONE]
