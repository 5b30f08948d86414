"""OPENAI_CHAT and MISTRAL_CHAT: the protocol, and where servers deviate from it."""

import json
from typing import Any

import httpx
import pytest

from sse_client import ContentTypeError, ErrorEventReceived, ServerSentEvent, SSEClient, StreamTruncated
from sse_client.dialects import (
    MISTRAL_CHAT,
    OPENAI_CHAT,
    Data,
    Other,
    PartAdded,
    TextDelta,
)
from sse_client.testing import Answer, scripted_transport

from .playing import Reply, check, play, script


def chunk(delta: Any = None, finish: Any = None, *, index: Any = 0, **fields: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice], **fields}


def call(arguments: Any = None, *, index: Any = 0, **fields: Any) -> dict[str, Any]:
    """A delta with a piece of one call."""
    function = {"arguments": arguments}
    if "name" in fields:
        function["name"] = fields.pop("name")
    piece = {"function": function, **fields}
    return {"tool_calls": [piece if index is None else {"index": index, **piece}]}


USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 7,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
DONE = "[DONE]"


def chat(*values: Any) -> Reply:
    """Play a stream, whole and in pieces of 7 bytes: the deltas are the same."""
    data = script(*values)
    reply = play(OPENAI_CHAT, data)
    check(reply)
    assert play(OPENAI_CHAT, data, 7).kinds == reply.kinds
    return reply


def test_a_reply() -> None:
    """Text comes as deltas, then the finish, then the usage; empty text yields none, and the ID no delta at all."""
    reply = chat(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        {"id": "c1", "choices": [], "usage": USAGE},
        DONE,
    )
    message = reply.message
    assert reply.kinds == ["TextDelta", "TextDelta", "Finish", "UsageUpdate"]
    assert (message.id, message.model, message.role, message.text) == ("c1", "m", "assistant", "Hello")
    assert message.usage is not None
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 7, 12)
    assert (usage.cached_tokens, usage.reasoning_tokens, usage.native) == (2, 3, USAGE)
    assert message.ended_well
    assert message.native == {
        "id": "c1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def test_two_calls() -> None:
    """A call ends when another begins and it is whole, the last at the finish reason."""
    reply = chat(
        chunk(call("", id="a", type="function", name="add")),
        chunk(call('{"x"')),
        chunk(call(":1}")),
        chunk(call("", index=1, id="b", type="function", name="now", extra_content={"google": {"signature": "s"}})),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert reply.kinds == [
        *("ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd"),
        *("ToolCallStart", "ToolCallEnd", "Finish"),
    ]
    add, now = reply.message.tool_calls
    assert (add.id, add.name, add.input, now.id, now.name, now.input) == ("a", "add", {"x": 1}, "b", "now", {})
    assert reply.message.ended_well
    assert reply.message.native["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}},
            {
                "id": "b",
                "type": "function",
                "function": {"name": "now", "arguments": ""},
                "extra_content": {"google": {"signature": "s"}},
            },
        ],
    }


def test_calls_that_interleave() -> None:
    """Calls may grow in turns: each piece goes by its index."""
    reply = chat(
        chunk(call("", id="a", name="f")),
        chunk(call("", index=1, id="b", name="g")),
        chunk(call('{"x":')),
        chunk(call('{"y":', index=1)),
        chunk(call("1}")),
        chunk(call("2}", index=1)),
        chunk({}, "tool_calls"),
    )
    assert [each.input for each in reply.message.tool_calls] == [{"x": 1}, {"y": 2}]
    assert reply.kinds[-3:] == ["ToolCallEnd", "ToolCallEnd", "Finish"]


def test_a_call_that_is_cut_by_the_limit() -> None:
    """At `length` a call may be half: it stays open, never ends, and has no input."""
    reply = chat(chunk(call('{"path": "a', id="a", name="write")), chunk({}, "length"), DONE)
    [half] = reply.message.tool_calls
    assert (half.is_whole, half.is_done, half.partial) == (False, False, {"path": "a"})
    assert "ToolCallEnd" not in reply.kinds
    assert reply.error is None
    assert not reply.message.ended_well


def test_a_call_that_is_not_whole_whatever_the_reason_says() -> None:
    """A server that says `tool_calls` after half of the arguments is not believed."""
    reply = chat(chunk(call('{"path": "a', id="a", name="write")), chunk({}, "tool_calls"), DONE)
    assert "ToolCallEnd" not in reply.kinds
    assert not reply.message.ended_well


ENDS: dict[str, tuple[Any, ...]] = {
    "stop": ("stop", True),
    "eos_token": ("stop", True),
    "length": ("length", False),
    "model_length": ("length", False),
    "max_tokens": ("length", False),
    "tool_calls": ("tool_calls", True),
    "function_call": ("tool_calls", True),
    "content_filter": ("content_filter", False),
    "error": ("error", False),
    "insufficient_system_resource": ("error", False),
    "sleepy": ("other", False),
}


@pytest.mark.parametrize("native", ENDS)
def test_reasons(native: str) -> None:
    """Each finish reason has a neutral word; those that are no success are no error either."""
    reply = chat(chunk({"content": "a"}), chunk({}, native))
    assert (reply.message.finish_reason, reply.message.ended_well) == ENDS[native]
    assert reply.message.native_finish_reason == native
    assert reply.is_complete
    assert reply.error is None


def test_a_clean_end_too_early() -> None:
    """Without a finish reason and without [DONE] the reply is cut: open parts stay open, and nothing finishes."""
    reply = chat(chunk({"content": "a"}), chunk(call("{}", id="a", name="f")))
    assert isinstance(reply.error, StreamTruncated)
    assert reply.message.finish_reason is None
    assert [part.is_done for part in reply.message.parts] == [True, False]
    assert not reply.message.ended_well


def test_done_alone() -> None:
    """[DONE] without a finish reason is a complete end (Snowflake): whole calls end, and no reason is made up."""
    reply = chat(chunk({"content": "a"}), chunk(call("{}", id="a", name="f")), DONE)
    assert reply.kinds == ["TextDelta", "ToolCallStart", "ToolCallDelta", "ToolCallEnd"]
    assert reply.is_complete
    assert reply.message.finish_reason is None
    assert not reply.message.ended_well


def test_no_done() -> None:
    """Without [DONE], a clean end after the finish reasons is complete (TGI, Perplexity, Writer)."""
    reply = chat(chunk({"content": "a"}, "eos_token"))
    assert reply.is_complete
    assert reply.message.ended_well
    assert reply.message.parts[0].is_done


def test_nothing() -> None:
    """A stream without any choice is cut."""
    assert isinstance(chat().error, StreamTruncated)
    assert isinstance(chat({"choices": [], "usage": USAGE}).error, StreamTruncated)


def test_several_choices() -> None:
    """Each choice is a message of its own, and the reply is complete when all have finished."""
    values = [
        chunk({"content": "b"}, index=1),
        chunk({"content": "a"}),
        chunk({}, "stop"),
        chunk({"content": "B"}, index=1),
    ]
    reply = chat(*values)
    assert isinstance(reply.error, StreamTruncated)
    reply = chat(*values, chunk({}, "length", index=1))
    assert reply.error is None
    assert {index: choice.text for index, choice in reply.message.choices.items()} == {0: "a", 1: "bB"}
    assert reply.message.choices[1].finish_reason == "length"
    assert [each["message"]["content"] for each in reply.message.native["choices"]] == ["a", "bB"]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning(name: str) -> None:
    """Reasoning has two names, and is never joined to the text; native keeps the name."""
    reply = chat(
        chunk({"role": "assistant", "content": "", name: "I "}),
        chunk({"content": None, name: "think"}),
        chunk({"content": "so"}),
        chunk({}, "stop"),
    )
    assert reply.kinds == ["ReasoningDelta", "ReasoningDelta", "TextDelta", "Finish"]
    assert (reply.message.reasoning, reply.message.text) == ("I think", "so")
    assert reply.message.native["choices"][0]["message"] == {"role": "assistant", "content": "so", name: "I think"}


def test_reasoning_under_both_names() -> None:
    """A gateway that sends reasoning under both names does not double it."""
    reply = chat(chunk({"reasoning": "a", "reasoning_content": "a"}), chunk({}, "stop"))
    assert reply.message.reasoning == "a"


def test_reasoning_details() -> None:
    """OpenRouter's details of the reasoning are joined by index in native, as the next request must have them."""
    encrypted = {"type": "reasoning.encrypted", "data": "x", "index": 0}
    reply = chat(
        chunk({"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]}),
        chunk({"reasoning": "b", "reasoning_details": [{"type": "reasoning.text", "text": "b", "index": 0}]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "text": None, "signature": "s", "index": 0}]}),
        chunk({"content": "b", "reasoning_details": [encrypted, {"type": "reasoning.summary", "summary": "c"}, "odd"]}),
        chunk({"content": "", "channel": "final"}, "stop", service="x"),
    )
    message = reply.message.native["choices"][0]["message"]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "ab", "signature": "s", "index": 0},
        encrypted,
        {"type": "reasoning.summary", "summary": "c"},
        "odd",
    ]
    assert message["channel"] == "final"
    assert reply.message.native["service"] == "x"


def test_think_tags() -> None:
    """Tags in the content are content."""
    assert chat(chunk({"content": "<think>a</think>b"}), DONE).message.text == "<think>a</think>b"


def test_a_refusal() -> None:
    """A refusal is no text."""
    reply = chat(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk({}, "stop"))
    assert (reply.message.refusal, reply.message.text) == ("I won't", "")
    assert reply.message.native["choices"][0]["message"]["refusal"] == "I won't"


def test_annotations_and_images() -> None:
    """Annotations and images are parts, and extend the lists in native."""
    link, image = {"type": "url_citation", "url_citation": {"url": "x"}}, {"image_url": {"url": "data:"}}
    reply = chat(
        chunk({"annotations": [link]}),
        chunk({"annotations": [link], "images": [image]}),
        chunk({"content": "a"}, "stop"),
    )
    assert [part.kind for part in reply.message.parts if isinstance(part, Other)] == ["url_citation"] * 2 + ["images"]
    assert [type(delta) for delta in reply.deltas[:3]] == [PartAdded] * 3
    message = reply.message.native["choices"][0]["message"]
    assert (message["annotations"], message["images"]) == ([link, link], [image])


def test_audio() -> None:
    """Audio comes as data; its pieces are joined in native."""
    reply = chat(
        chunk({"audio": {"id": "a1", "transcript": "Hel"}}),
        chunk({"audio": {"transcript": "lo", "data": "QU"}}),
        chunk({"audio": {"data": "JD", "expires_at": 9, "nothing": None}}),
        chunk({}, "stop"),
    )
    assert [delta.kind for delta in reply.deltas if isinstance(delta, Data)] == ["audio"] * 3
    assert reply.message.native["choices"][0]["message"]["audio"] == {
        "id": "a1",
        "transcript": "Hello",
        "data": "QUJD",
        "expires_at": 9,
    }


def test_log_probabilities() -> None:
    """Log probabilities extend the lists in native."""

    def with_logprobs(text: str, logprobs: Any) -> Any:
        value = chunk({"content": text})
        value["choices"][0]["logprobs"] = logprobs
        return value

    reply = chat(
        with_logprobs("a", {"content": [{"token": "a"}], "refusal": None}),
        with_logprobs("b", {"content": [{"token": "b"}], "model": "m"}),
        chunk({}, "stop"),
    )
    expected = {"content": [{"token": "a"}, {"token": "b"}], "model": "m"}
    assert reply.message.native["choices"][0]["logprobs"] == expected


def test_a_legacy_function_call() -> None:
    """The function call of old servers is a call like any other, and goes back as it came."""
    reply = chat(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a":1}'}}),
        chunk({}, "function_call"),
    )
    [only] = reply.message.tool_calls
    assert (only.name, only.input) == ("f", {"a": 1})
    message = reply.message.native["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}}


def test_a_custom_tool() -> None:
    """A custom tool's input is text, whole when it has ended."""
    piece = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "run", "input": "print("}}
    rest = {"index": 0, "type": "custom", "custom": {"input": "1)"}}
    reply = chat(chunk({"tool_calls": [piece]}), chunk({"tool_calls": [rest]}), chunk({}, "tool_calls"))
    [only] = reply.message.tool_calls
    assert (only.kind, only.name, only.input, only.is_whole) == ("custom", "run", "print(1)", True)
    assert only.native == {"id": "a", "type": "custom", "custom": {"name": "run", "input": "print(1)"}}
    assert reply.message.ended_well


def test_legacy_completions() -> None:
    """Completions have text instead of a delta; native is a text completion."""

    def old(text: str, finish: str | None = None) -> Any:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice], "model": "m"}

    reply = chat(old("a"), old("b"), old("", "stop"), DONE)
    assert reply.kinds == ["TextDelta", "TextDelta", "Finish"]
    assert reply.message.native == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "ab", "finish_reason": "stop"}],
    }


WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "refusal": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
}


def test_a_whole_response() -> None:
    """A response that was not streamed reads as the same message, and is its own native."""
    reply = chat(WHOLE)
    assert reply.kinds == [
        *("TextDelta", "ToolCallStart", "ToolCallDelta", "ToolCallEnd"),
        *("ToolCallStart", "ToolCallDelta", "ToolCallEnd", "Finish", "UsageUpdate"),
    ]
    assert (reply.message.text, reply.message.tool_calls[0].input, reply.message.role) == ("Hi", {"x": 1}, "assistant")
    assert reply.message.native == WHOLE
    assert reply.message.ended_well


# Where servers deviate.


def test_azure() -> None:
    """Azure's first chunk has no choices and an empty ID; filter results come late, without a delta."""
    filtered: Any = {
        "index": 0,
        "finish_reason": None,
        "content_filter_results": {"hate": {}},
        "content_filter_offsets": {},
    }
    reply = chat(
        {
            "id": "",
            "model": "",
            "object": "",
            "created": 0,
            "choices": [],
            "prompt_filter_results": [{"prompt_index": 0}],
        },
        chunk({"content": "a"}, usage=None),
        chunk({}, "stop", usage=None),
        {"id": "", "choices": [filtered]},
        chunk({"content": "b"}),
        DONE,
    )
    assert (reply.message.id, reply.message.model, reply.message.text) == ("c1", "m", "ab")
    native = reply.message.native
    assert (native["created"], native["prompt_filter_results"]) == (7, [{"prompt_index": 0}])
    assert native["choices"][0]["content_filter_results"] == {"hate": {}}
    assert reply.message.ended_well


def test_ollama_repeats_the_role_and_the_index() -> None:
    """A server that gives all its calls index 0 means another call by another ID."""
    reply = chat(
        chunk({"role": "assistant", **call('{"a":1}', id="x", name="f")}),
        chunk({"role": "assistant", **call('{"b":2}', id="y", name="g")}),
        chunk({"role": "assistant", "content": ""}, "tool_calls"),
    )
    assert [(each.id, each.name, each.input) for each in reply.message.tool_calls] == [
        ("x", "f", {"a": 1}),
        ("y", "g", {"b": 2}),
    ]


def test_the_same_index_without_arguments() -> None:
    """Without arguments another ID means another call only if a name comes with it."""
    values = [chunk(call("", id="x", name="f")), chunk(call("", id="y", name="g")), chunk({}, "tool_calls")]
    assert [each.name for each in chat(*values).message.tool_calls] == ["f", "g"]
    values = [chunk(call("", id="x", name="f")), chunk(call("{}", id="y")), chunk({}, "tool_calls")]
    [only] = chat(*values).message.tool_calls
    assert (only.id, only.arguments) == ("x", "{}")


def test_an_id_that_changes_within_a_call() -> None:
    """While the arguments are not whole, another ID does not begin another call."""
    values = [chunk(call('{"a"', id="x", name="f")), chunk(call(":1}", id="y")), chunk({}, "tool_calls")]
    [only] = chat(*values).message.tool_calls
    assert (only.id, only.input) == ("x", {"a": 1})


def test_mistral_calls_without_index() -> None:
    """Calls without an index go by their ID; a piece without either belongs to the latest."""
    piece = call('{"a":', index=None, id="x", name="f")
    other = call('{"b":2}', index=None, id="y", name="g")
    reply = chat(
        chunk(piece),
        chunk(call("1", index=None, id="x")),
        chunk(call("}", index=None)),
        chunk(other),
        chunk(call("{}", index=None, name="h")),
        chunk({}, "tool_calls"),
    )
    assert [(each.name, each.input) for each in reply.message.tool_calls] == [
        ("f", {"a": 1}),
        ("g", {"b": 2}),
        ("h", {}),
    ]


def test_writer() -> None:
    """A continuation with an empty ID and name overwrites neither; `message: null` beside a delta is ignored."""
    values = [chunk(call('{"a":', id="x", name="f")), chunk(call("1}", id="", name="")), chunk({}, "tool_calls")]
    for value in values:
        value["choices"][0]["message"] = None
    [only] = chat(*values).message.tool_calls
    assert (only.id, only.name, only.input) == ("x", "f", {"a": 1})


def test_perplexity() -> None:
    """The message so far beside each delta is ignored; the citations are kept."""
    values = [chunk({"content": "a"}, citations=["u"]), chunk({"content": "b"}, "stop", citations=["u", "v"])]
    for value in values:
        value["choices"][0]["message"] = {"role": "assistant", "content": "ab"}
    reply = chat(*values)
    assert reply.message.text == "ab"
    assert reply.message.native["citations"] == ["u", "v"]


def test_two_entries_of_one_index() -> None:
    """Two pieces of one index in one chunk are one call."""
    delta = {
        "tool_calls": [
            {"index": 0, "id": "x", "function": {"name": "f"}},
            {"index": 0, "function": {"arguments": "{}"}},
        ]
    }
    [only] = chat(chunk(delta), chunk({}, "tool_calls")).message.tool_calls
    assert (only.name, only.input) == ("f", {})


def test_arguments_as_an_object() -> None:
    """Arguments that come parsed are dumped."""
    [only] = chat(chunk(call({"a": "ü"}, id="x", name="f")), chunk({}, "tool_calls")).message.tool_calls
    assert (only.arguments, only.input) == ('{"a": "ü"}', {"a": "ü"})


def test_openrouter_finishes_twice() -> None:
    """A reason that comes again is told once; another one replaces it."""
    reply = chat(chunk({"content": "a"}, "stop"), chunk({"content": ""}, "stop"), chunk({}, "length"), DONE)
    assert [delta for delta in reply.kinds if delta == "Finish"] == ["Finish"] * 2
    assert reply.message.finish_reason == "length"


def test_text_after_the_finish_reason() -> None:
    """Text after a finish reason is text."""
    assert chat(chunk({"content": "a"}, "stop"), chunk({"content": "b"}), DONE).message.text == "ab"


def test_a_call_after_the_finish_reason() -> None:
    """A call that comes after the finish reason ends as soon as it is whole."""
    reply = chat(chunk({"content": "a"}, "stop"), chunk(call('{"a"', id="x", name="f")), chunk(call(":1}")))
    assert reply.kinds[1:] == ["Finish", "ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd"]
    assert reply.message.tool_calls[0].input == {"a": 1}


def test_groq() -> None:
    """Usage may be in x_groq; an event named `error` ends the stream."""
    first = chunk({"role": "assistant"}, x_groq={"id": "r", "seed": 1})
    reply = chat(first, chunk({"content": "a"}, "stop", x_groq={"id": "r", "usage": USAGE}), DONE)
    assert reply.message.native["x_groq"] == {"id": "r", "seed": 1, "usage": USAGE}
    assert reply.message.usage is not None
    assert reply.message.usage.input_tokens == 5
    reply = chat({"x_groq": {"id": "r", "usage": USAGE}})
    assert reply.message.usage is not None
    error = {"error": {"message": "no", "type": "invalid_request_error", "code": "tool_use_failed"}}
    reply = play(OPENAI_CHAT, script(chunk({"content": "a"}), error, names=["", "error"]))
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.code, reply.message.text) == ("no", "tool_use_failed", "a")


ERRORS: list[tuple[Any, Any]] = [
    ({"error": {"message": "no", "code": 400}, "choices": [{"index": 0, "delta": {"content": "b"}}]}, 400),
    ({"object": "error", "message": "no", "code": 500}, 500),
    ({"error": {"message": "no", "type": "overloaded"}}, "overloaded"),
    ({"choices": [{"index": 0, "delta": {}, "error": {"message": "no", "code": 502}}]}, 502),
]


@pytest.mark.parametrize(("value", "code"), ERRORS, ids=["openrouter", "vllm", "openai", "in-a-choice"])
def test_errors(value: Any, code: Any) -> None:
    """An error ends the stream, also beside healthy choices; what came before is kept."""
    reply = chat(chunk({"content": "a"}), value)
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.code, reply.message.text) == ("no", code, "a")
    assert not reply.message.ended_well


@pytest.mark.parametrize(
    ("value", "is_transient"),
    [
        ({"error": {"message": "no", "code": "rate_limit_exceeded"}}, True),
        ({"error": {"message": "no", "type": "server_error", "code": None}}, True),
        ({"error": {"message": "no", "code": 503}}, True),
        ({"object": "error", "message": "no", "code": 500}, True),
        ({"choices": [{"index": 0, "error": {"message": "no", "code": 502}}]}, True),
        ({"error": {"message": "no", "code": "context_length_exceeded"}}, False),
        ({"error": {"message": "no", "code": 400}}, False),
        ({"error": {"message": "no", "code": "insufficient_quota", "type": "insufficient_quota"}}, False),
        ({"error": "no"}, False),
    ],
    ids=["rate", "server", "number", "vllm", "in-a-choice", "too-long", "bad-request", "quota", "without-a-code"],
)
def test_transient_errors(value: Any, is_transient: bool) -> None:
    """An error is transient if the same request may succeed later."""
    event = ServerSentEvent(data=json.dumps(value))
    assert OPENAI_CHAT.errors is not None
    mark = OPENAI_CHAT.errors.match(event)
    assert mark is not None
    assert mark.is_transient(mark.read(event)[1]) is is_transient


def test_a_request_without_stream() -> None:
    """A request that forgot `"stream": true` gets JSON, and an error that says so."""
    whole = Answer('{"object": "chat.completion"}', headers={"Content-Type": "application/json"})
    with httpx.Client(transport=scripted_transport(whole)) as http, SSEClient(http_client=http) as client:
        stream = client.post("http://test/chat", json={"messages": []}, dialect=OPENAI_CHAT)
        with pytest.raises(ContentTypeError, match='the request has no "stream": true'):
            list(stream)


def test_no_error() -> None:
    """A field `error` that is null or empty is none."""
    reply = chat(chunk({"content": "a"}, error=None), chunk({}, "stop", error={}), DONE)
    assert reply.error is None


def test_deepseek_usage() -> None:
    """DeepSeek counts cache hits under a name of its own."""
    reply = chat(chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 1, "prompt_cache_hit_tokens": 2}))
    assert reply.message.usage is not None
    assert (reply.message.usage.cached_tokens, reply.message.usage.total_tokens) == (2, 4)


def test_mistral_blocks() -> None:
    """Content may be a list of text, thinking and other blocks; native is a list then."""
    reference = {"type": "reference", "reference_ids": [1]}
    data = script(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "I "}]}]}),
        chunk({"content": [{"type": "thinking", "thinking": "think"}]}),
        chunk({"content": [{"type": "text", "text": "so"}, reference, " be", {"odd": 1}]}),
        chunk({"content": " it"}, "stop"),
        DONE,
    )
    reply = play(MISTRAL_CHAT, data)
    check(reply)
    assert (reply.message.reasoning, reply.message.text) == ("I think", "so be it")
    assert reply.message.native["choices"][0]["message"]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "I think"}]},
        {"type": "text", "text": "so"},
        reference,
        {"type": "text", "text": " be"},
        {"odd": 1},
        {"type": "text", "text": " it"},
    ]


def test_copilot() -> None:
    """Chunks without an ID or an object are chunks; the padding of others is not kept."""
    reply = chat({"choices": [{"index": 0, "text": "a"}], "obfuscation": "xx", "p": "y"}, DONE)
    assert reply.message.text == "a"
    assert not reply.message.native.keys() & {"obfuscation", "p"}


def test_what_is_unknown() -> None:
    """An unknown event is data, whatever its shape; a ping is nothing."""
    reply = play(
        OPENAI_CHAT,
        script(
            {"type": "ping"},
            {"type": "later", "value": 1},
            [1],
            {"step": 1},
            "",
            {"id": "x", "object": "chat.completion.chunk"},
            {"choices": None},
            chunk({"content": "a"}),
            dict.fromkeys("vwxyz", 1),
            DONE,
            names=["", "", "", "progress", ""],
        ),
    )
    assert [(delta.kind, delta.value) for delta in reply.deltas if isinstance(delta, Data)] == [
        ("later", {"type": "later", "value": 1}),
        ("message", [1]),
        ("progress", {"step": 1}),
        ("message", dict.fromkeys("vwxyz", 1)),
    ]
    assert reply.kinds == ["Data", "Data", "Data", "TextDelta", "Data"]
    assert not reply.message.native.keys() & {"type", "step", "v"}


def test_what_is_not_json() -> None:
    """Data that is not JSON raises ValueError and changes nothing."""
    assert OPENAI_CHAT.reader is not None
    reader = OPENAI_CHAT.reader()
    with pytest.raises(ValueError, match="Expecting"):
        reader.read(ServerSentEvent(data="nonsense"))
    assert reader.read(ServerSentEvent(data="")) == []
    reader.read(ServerSentEvent(data='{"choices": [{"delta": {"content": "a"}}]}'))
    assert reader.snapshot.text == "a"


def test_structured_output_grows() -> None:
    """The part of a text delta shows the JSON so far."""
    reply = chat(chunk({"content": '{"title": "Pan'}), chunk({"content": 'cakes", "n"'}), chunk({}, "length"))
    delta = reply.deltas[-2]
    assert isinstance(delta, TextDelta)
    assert delta.part.partial == {"title": "Pancakes"}
