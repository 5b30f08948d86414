"""GEMINI: the protocol, and where servers deviate from it."""

import copy
import json
import pickle
from typing import Any

import pytest

from sse_client import ErrorEventReceived, ServerSentEvent, StreamTruncated
from sse_client.dialects import (
    GEMINI,
    Data,
    Delta,
    Finish,
    PartAdded,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from sse_client.dialects._gemini import GeminiReader, path_of

from .playing import Reply, check, is_transient, outline, play, script

COUNTS = {"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 3, "totalTokenCount": 15}


def candidate(*parts: Any, finish: Any = None, **fields: Any) -> dict[str, Any]:
    content = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    return {**content, **({"finishReason": finish} if finish else {}), **fields}


def chunk(*parts: Any, finish: Any = None, usage: Any = None, **fields: Any) -> dict[str, Any]:
    plain = {"candidates": [candidate(*parts, finish=finish, **fields)], "modelVersion": "gemini", "responseId": "r1"}
    return {**plain, **({"usageMetadata": usage} if usage else {})}


def text(text: Any, **fields: Any) -> dict[str, Any]:
    return {"text": text, **fields}


def call(**fields: Any) -> dict[str, Any]:
    return {"functionCall": fields}


def leaf(path: Any, goes_on: bool = False, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value, **({"willContinue": True} if goes_on else {})}


def gemini(*values: Any) -> Reply:
    """Play a stream, with LF and with CRLF, whole and in pieces of 7 bytes, and as a JSON list: all is the same."""
    data = script(*values)
    reply = play(GEMINI, data)
    check(reply)
    others = [play(GEMINI, data.replace(b"\n", b"\r\n")), play(GEMINI, data, 7)]
    if reply.error is None:
        others.append(play(GEMINI, script(list(values))))
    for other in others:
        assert other.kinds == reply.kinds
        assert outline(other.message) == outline(reply.message)
    return reply


def test_a_reply() -> None:
    """Text comes as deltas; the reason and the usage are the last; native is one response."""
    reply = gemini(
        chunk(text("Hel"), usage={"promptTokenCount": 5, "totalTokenCount": 5}),
        chunk(text("lo"), finish="STOP", usage=COUNTS),
    )
    message = reply.message
    assert reply.kinds == ["TextDelta", "UsageUpdate", "TextDelta", "Finish", "UsageUpdate"]
    assert (message.id, message.model, message.role, message.text) == ("r1", "gemini", "model", "Hello")
    assert (message.finish_reason, message.native_finish_reason, message.ended_well) == ("stop", "STOP", True)
    usage = message.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.reasoning_tokens) == (5, 10, 15, 3)
    assert message.native == {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
        "modelVersion": "gemini",
        "responseId": "r1",
        "usageMetadata": COUNTS,
    }
    assert message.parts[0].native == {"text": "Hello"}


def test_thoughts_and_signatures() -> None:
    """Thoughts are reasoning; a signature stays on its own part in native, also one without text."""
    parts = [
        text("I ", thought=True),
        text("think", thought=True),
        text("A"),
        text("B", thoughtSignature="s1"),
        text("C"),
        text(""),
        text("", thoughtSignature="s2"),
        {"thoughtSignature": "s3"},
        text("D"),
    ]
    reply = gemini(*(chunk(part) for part in parts), chunk(finish="STOP"))
    message = reply.message
    assert (message.reasoning, message.text) == ("I think", "ABCD")
    assert [type(part) for part in message.parts] == [Reasoning, Text]
    assert message.native["candidates"][0]["content"]["parts"] == [
        text("I think", thought=True),
        text("A"),
        text("B", thoughtSignature="s1"),
        text("C"),
        text("", thoughtSignature="s2"),
        {"thoughtSignature": "s3"},
        text("D"),
    ]
    assert [part.native for part in message.parts] == [
        text("I think", thought=True),
        text("ABCD", thoughtSignature="s2"),
    ]
    alone = gemini(
        chunk(text("", thoughtSignature="s1"), text("x", thought=True, thoughtSignature="s2"), finish="STOP")
    )
    assert (alone.message.text, alone.message.reasoning, len(alone.message.parts)) == ("", "x", 1)


def test_calls() -> None:
    """A call comes whole, with or without an ID or arguments, and its signature; the reason is then tool_calls."""
    signed = {**call(name="f", args={"x": "ü"}), "thoughtSignature": "s"}
    reply = gemini(
        chunk(text("a"), signed, call(id="c2", name="g"), call(name="h", args={}), text("b")), chunk(finish="STOP")
    )
    first, second, third = reply.message.tool_calls
    assert reply.kinds[1:4] == ["ToolCallStart", "ToolCallDelta", "ToolCallEnd"]
    assert (first.id, first.name, first.kind, first.arguments, first.input) == (
        *(None, "f", "function", '{"x":"ü"}', {"x": "ü"}),
    )
    assert (second.id, second.arguments, second.is_whole, second.input) == ("c2", "", True, {})
    assert (third.arguments, first.native) == ("{}", signed)
    assert [part.text for part in reply.message.parts if isinstance(part, Text)] == ["a", "b"]
    assert (reply.message.finish_reason, reply.message.native_finish_reason) == ("tool_calls", "STOP")
    assert (reply.message.ended_well, len(reply.message.native["candidates"][0]["content"]["parts"])) == (True, 5)


def test_arguments_in_leaves() -> None:
    """Vertex can stream arguments leaf by leaf: `partial` and `changes` tell them at once, `arguments` at the end."""
    reply = gemini(
        chunk({**call(name="write", willContinue=True), "thoughtSignature": "s"}),
        chunk(call(partialArgs=[leaf("$.path", stringValue="a.txt")], willContinue=True)),
        chunk(call(partialArgs=[leaf("$.rows[0].n", numberValue=1)], willContinue=True)),
        chunk(
            call(
                partialArgs=[leaf("$.rows[0].t", True, stringValue="He"), leaf("$.rows[0].t", True, stringValue="l")],
                willContinue=True,
            )
        ),
        chunk(call(partialArgs=[leaf("$.rows[0].t", stringValue="lo")], willContinue=True)),
        chunk(call(partialArgs=[leaf("$.rows[0].t")], willContinue=True)),
        chunk(
            call(
                partialArgs=[
                    leaf("$.rows[1]", boolValue=True),
                    leaf("$['a b']", nullValue="NULL_VALUE"),
                    leaf("$.rows[1]", boolValue=False),
                ],
                id="c1",
                willContinue=True,
            )
        ),
        chunk(call()),
        chunk(finish="STOP"),
    )
    args = {"path": "a.txt", "rows": [{"n": 1, "t": "Hello"}, False], "a b": None}
    [made] = reply.message.tool_calls
    assert (made.id, made.name, made.is_whole, made.input, made.partial) == ("c1", "write", True, args, args)
    assert reply.kinds == ["ToolCallStart", *["ToolCallDelta"] * 7, "ToolCallEnd", "Finish"]
    assert [delta.changes for delta in reply.deltas if isinstance(delta, ToolCallDelta)] == [
        [(("path",), "a.txt")],
        [],
        [(("rows", 0, "t"), "He"), (("rows", 0, "t"), "l")],
        [(("rows", 0, "t"), "lo")],
        [],
        [],
        (),
    ]
    assert reply.message.native["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "c1", "name": "write", "args": args}, "thoughtSignature": "s"}
    ]
    for kept in (copy.deepcopy(reply.message), pickle.loads(pickle.dumps(reply.message))):
        assert outline(kept) == outline(reply.message)


def test_arguments_that_are_cut() -> None:
    """Arguments in leaves are whole only if the server has ended the call: not after a cut, nor after a bare STOP."""
    begin = chunk(call(name="f", willContinue=True))
    more = chunk(call(partialArgs=[leaf("$.x", True, stringValue="ab")], willContinue=True))
    for end in ([], [chunk(finish="STOP")], [chunk(finish="MAX_TOKENS")], [chunk(call(name="g"))]):
        reply = gemini(begin, more, *end)
        made = reply.message.tool_calls[0]
        assert (made.is_done, made.is_whole, made.partial, made.arguments) == (False, False, {"x": "ab"}, "")
        assert not reply.message.ended_well
        part = reply.message.native["candidates"][0]["content"]["parts"][0]
        assert part == {"functionCall": {"name": "f", "args": {"x": "ab"}}}
    reply = gemini(begin)
    assert (reply.message.tool_calls[0].partial, reply.message.tool_calls[0].is_whole) == (None, False)


def test_calls_that_end_unsaid() -> None:
    """If the last leaf does not go on, and the server said no more of the call, its end is that of the reply."""
    reply = gemini(
        chunk(call(name="f", partialArgs=[leaf("$.x", stringValue="a")])),
        chunk(call(name="g", partialArgs=[leaf("$.y", numberValue=1)])),
        chunk(call(id="h1", name="h", partialArgs=[leaf("$.z", numberValue=1)])),
        chunk(call(id="h2", name="h", args={"w": 1}, willContinue=True)),
        chunk(call(name="h")),
        chunk(finish="STOP"),
    )
    assert [made.input for made in reply.message.tool_calls] == [{"x": "a"}, {"y": 1}, {"z": 1}, {"w": 1}]
    assert [made.id for made in reply.message.tool_calls] == [None, None, "h1", "h2"]
    assert reply.message.ended_well


BROKEN = [
    leaf("$.x", structValue={}),
    leaf("$.x", stringValue=1),
    leaf("$.x", stringValue="a", boolValue=True),
    leaf("x", stringValue="a"),
    leaf("$", stringValue="a"),
    leaf("$[0]", stringValue="a"),
    leaf("$.x[*]", stringValue="a"),
    leaf(None, stringValue="a"),
    leaf("$" + ".a" * 101, stringValue="a"),
    leaf("$.list[1]", stringValue="a"),
    leaf("$.list[99999999999]", stringValue="a"),
    leaf("$.text.x", stringValue="a"),
    leaf("$.text[0].y", stringValue="a"),
    leaf("$.text", numberValue=1),
]


@pytest.mark.parametrize("odd", BROKEN, ids=range(len(BROKEN)))
def test_leaves_that_are_not_understood(odd: Any) -> None:
    """A leaf that is not understood makes a call that is never whole: it must not run without it."""
    reply = gemini(
        chunk(call(name="f", partialArgs=[leaf("$.text", stringValue="t"), odd], willContinue=True)),
        chunk(call()),
        chunk(finish="STOP"),
    )
    [made] = reply.message.tool_calls
    assert (made.is_whole, made.partial["text"], reply.message.ended_well) == (False, "t", False)


PATHS = [
    ("$.a[0].b", ("a", 0, "b")),
    ("$['a.b']['c\\'d']", ("a.b", "c'd")),
    ('$["a\\n\\u00fc"]', ("a\nü",)),
    ("$['']", ("",)),
    ("$.a..b", None),
]


@pytest.mark.parametrize(("given", "expected"), PATHS, ids=range(len(PATHS)))
def test_paths(given: str, expected: Any) -> None:
    """Paths are names, indexes, and names in quotes."""
    assert path_of(given) == expected


def test_arguments_that_are_nested_too_deeply() -> None:
    """Arguments that can be read but not written are not whole."""
    reader = GeminiReader()
    args: Any = {}
    for _ in range(100_000):
        args = {"x": args}
    part: Any = call(name="f", args=args)
    deltas: list[Delta] = []
    reader._read_candidate(candidate(part, finish="STOP"), deltas)
    assert [type(delta) for delta in deltas] == [ToolCallStart, ToolCallDelta, ToolCallEnd, Finish]
    assert not reader.message.tool_calls[0].is_whole
    while args:
        args = args.pop("x")  # or its end would be a recursion too


def test_other_parts() -> None:
    """Code, its result, files and what is new are parts that came whole, in their place in native."""
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "1+1", "id": "e1"}, "thoughtSignature": "s"},
        text(""),
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
        text("two"),
        {"inlineData": {"mimeType": "image/png", "data": "QQ"}, "thought": True},
        {"hologram": 1},
        "odd",
        {},
    ]
    reply = gemini(chunk(*parts, finish="STOP"))
    added = [delta.part for delta in reply.deltas if isinstance(delta, PartAdded)]
    assert [part.kind for part in added] == [
        *("executableCode", "codeExecutionResult", "inlineData", "hologram", "part"),
    ]
    assert (added[0].id, added[0].native, added[0].is_done) == ("e1", parts[0], True)
    del parts[1], parts[-1]
    assert reply.message.native["candidates"][0]["content"]["parts"] == parts


def test_candidates() -> None:
    """Each candidate is a choice by its index; the reply is complete if each that was seen has a reason."""
    values = [
        {"candidates": [candidate(text("a")), candidate(text("x"), index=1)]},
        {"candidates": [candidate(text("y"), index=1, finish="MAX_TOKENS"), None, 3]},
    ]
    cut = gemini(*values)
    assert isinstance(cut.error, StreamTruncated)
    reply = gemini(*values, {"candidates": [candidate(text("b"), finish="STOP", index=0.0)]})
    assert reply.error is None
    assert [(each.text, each.finish_reason) for _, each in sorted(reply.message.choices.items())] == [
        *(("ab", "stop"), ("xy", "length")),
    ]
    assert [delta for delta in reply.deltas if isinstance(delta, Finish | Data)] == [
        *(Finish("length", "MAX_TOKENS", 1), Data("candidate", 3), Finish("stop", "STOP")),
    ]
    assert [each["finishReason"] for each in reply.message.native["candidates"]] == ["STOP", "MAX_TOKENS"]


REASONS = [
    *(("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter")),
    *(("LANGUAGE", "content_filter"), ("BLOCKLIST", "content_filter"), ("PROHIBITED_CONTENT", "content_filter")),
    *(("SPII", "content_filter"), ("IMAGE_SAFETY", "content_filter"), ("MODEL_ARMOR", "content_filter")),
    *(("MALFORMED_FUNCTION_CALL", "error"), ("UNEXPECTED_TOOL_CALL", "error"), ("TOO_MANY_TOOL_CALLS", "error")),
    *(("MALFORMED_RESPONSE", "error"), ("MISSING_THOUGHT_SIGNATURE", "error"), ("CONTINUATION", "pause")),
    *(("OTHER", "other"), ("NO_IMAGE", "other"), ("NEW", "other")),
]


@pytest.mark.parametrize(("native", "reason"), REASONS)
def test_reasons(native: str, reason: str) -> None:
    """A reply has ended with any reason, also without content; only STOP is well."""
    reply = gemini(chunk(text("a")), chunk(finish=native))
    assert (reply.error, reply.message.finish_reason, reply.message.native_finish_reason) == (None, reason, native)
    assert reply.message.ended_well == (native == "STOP")


def test_a_blocked_prompt() -> None:
    """A prompt that was blocked is a complete reply without content, with the reason in native."""
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": COUNTS, "modelVersion": "gemini"}
    reply = gemini(blocked, blocked)
    assert (reply.error, reply.is_complete, reply.message.parts) == (None, True, [])
    assert (reply.message.finish_reason, reply.message.native_finish_reason) == ("content_filter", "SAFETY")
    assert (reply.kinds, reply.message.ended_well) == (["UsageUpdate", "Finish"], False)
    assert reply.message.native == blocked
    only_ratings = gemini({"promptFeedback": {"safetyRatings": []}}, chunk(text("a"), finish="STOP"))
    assert only_ratings.message.finish_reason == "stop"


@pytest.mark.parametrize("count", range(3))
def test_a_clean_end_too_early(count: int) -> None:
    """Without a finishReason a reply is truncated; one that says nothing is none."""
    values = [chunk(text("a")), chunk(text("b"), finish="FINISH_REASON_UNSPECIFIED"), chunk(finish="STOP")]
    reply = gemini(*values[:count])
    assert isinstance(reply.error, StreamTruncated)
    assert (reply.message.finish_reason, reply.message.ended_well) == (None, False)
    assert [part.is_done for part in reply.message.parts] == [False] * (count > 0)


def test_text_after_the_reason() -> None:
    """The reason may precede text, calls and another reason; old Vertex APIs write STOP into every event."""
    reply = gemini(chunk(text("a"), finish="STOP"), chunk(text("b"), finish="STOP"))
    assert reply.kinds == ["TextDelta", "Finish", "TextDelta"]
    assert (reply.message.text, len(reply.message.parts)) == ("ab", 1)
    reply = gemini(chunk(text("a"), finish="STOP"), chunk(call(name="f", args={})), chunk(finish="MAX_TOKENS"))
    assert [delta.reason for delta in reply.deltas if isinstance(delta, Finish)] == ["stop", "tool_calls", "length"]


def test_the_last_metadata() -> None:
    """Metadata of the reply and of a candidate are the last; null and nothing overwrite none."""
    reply = gemini(
        chunk(text("a"), groundingMetadata={"x": 1}, citationMetadata={"n": 1}, index=0, tokenCount=None),
        chunk(text("b"), groundingMetadata={}, citationMetadata={"n": 2}),
        {**chunk(finish="STOP"), "modelVersion": "", "createTime": "now", "new": {"a": 1}, "usageMetadata": None},
    )
    native = reply.message.native
    assert (native["modelVersion"], native["createTime"], native["new"]) == ("gemini", "now", {"a": 1})
    assert native["candidates"][0] == {
        "content": {"role": "model", "parts": [{"text": "ab"}]},
        "groundingMetadata": {"x": 1},
        "citationMetadata": {"n": 2},
        "index": 0,
        "finishReason": "STOP",
    }


def test_usage_without_counts() -> None:
    """Vertex: usage may have no counts until the end; without thoughts the candidates' count is the output."""
    reply = gemini(
        chunk(text("a"), usage={"trafficType": "ON_DEMAND"}), chunk(finish="STOP", usage={"totalTokenCount": 9})
    )
    usage = reply.message.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (None, None, 9)
    reply = gemini(chunk(usage={"candidatesTokenCount": 4, "cachedContentTokenCount": 2}))
    usage = reply.message.usage
    assert usage is not None
    assert (usage.output_tokens, usage.cached_tokens) == (4, 2)


def test_errors() -> None:
    """An error is raised, also after a reason, and the message has what came before."""
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    for last in (error, [error]):
        reply = gemini(chunk(text("Hal"), finish="STOP"), last)
        assert isinstance(reply.error, ErrorEventReceived)
        assert (str(reply.error), reply.code, reply.message.text, reply.message.ended_well) == (
            *("overloaded", 503, "Hal", False),
        )
        assert is_transient(GEMINI, last)
    assert not is_transient(GEMINI, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}})
    assert is_transient(GEMINI, {"error": {"status": "UNAVAILABLE"}})


def test_a_whole_response() -> None:
    """A response that was not streamed is read by the same dialect, and is its own native."""
    whole = {
        "candidates": [candidate(text("a", thought=True), text("b"), call(name="f", args={"x": 1}), finish="STOP")],
        "usageMetadata": COUNTS,
        "modelVersion": "gemini",
        "responseId": "r1",
    }
    reply = gemini(whole)
    assert reply.message.native == whole
    assert [type(part) for part in reply.message.parts] == [Reasoning, Text, ToolCall]
    assert [delta.call.name for delta in reply.deltas if isinstance(delta, ToolCallEnd)] == ["f"]


def test_what_is_unknown() -> None:
    """Objects without any field of a response survive as data; a ping is nothing."""
    odd = [{"brand": "new"}, 3, "text", None]
    reply = play(GEMINI, script(*map(json.dumps, [{"type": "ping"}, *odd]), {"candidates": "x"}))
    assert [delta.value for delta in reply.deltas if isinstance(delta, Data)] == odd
    assert reply.message.native == {}


def test_what_is_not_json() -> None:
    """Data that is not JSON raises ValueError; [DONE] and empty data are nothing."""
    reader = GeminiReader()
    with pytest.raises(ValueError, match="Expecting"):
        reader.read(ServerSentEvent(data="nonsense"))
    assert reader.read(ServerSentEvent(data="")) == reader.read(ServerSentEvent(data="[DONE]")) == []
    assert reader.native() is None
