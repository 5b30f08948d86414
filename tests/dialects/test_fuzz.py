"""What servers get wrong: fields of other types, dropped, or null. No reader raises, and its reply is consistent."""

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_client import Dialect, ServerSentEvent
from sse_client.dialects import ANTHROPIC_MESSAGES, GEMINI, OPENAI_CHAT, OPENAI_RESPONSES, Data, Delta, Message

from .playing import check, outline, play, play_pieces, script


def chunk(delta: Any, finish: Any = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": {"content": [{"token": "a"}]}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{**choice, "extra": 1}], **fields}


CHAT: list[Any] = [
    chunk({"role": "assistant", "content": "", "reasoning": "r"}),
    chunk({"content": "Hello", "annotations": [{"type": "url_citation"}]}),
    chunk({"content": " you"}),
    chunk({"content": [{"type": "text", "text": "t"}, {"type": "thinking", "thinking": [{"text": "th"}]}]}),
    chunk(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}, "extra_content": {}}]}
    ),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}, {"id": "b", "function": {"name": "g"}}]}),
    chunk({"function_call": {"name": "f", "arguments": "{}"}, "audio": {"data": "QQ"}, "details": [1]}),
    {"id": "c", "choices": [{"text": "old"}]},
    chunk({"refusal": "no", "details": [2]}, "stop", x_groq={"usage": {"prompt_tokens": 1}}),
    {"choices": [], "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}},
    {"choices": [{"index": 1, "message": {"content": "w"}, "finish_reason": "stop"}]},
]


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[Any]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


ANTHROPIC: list[Any] = [
    {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 1}}},
    *block(0, {"type": "thinking"}, {"type": "thinking_delta", "thinking": "t"}, {"type": "signature_delta"}),
    *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}, {"type": "citations_delta"}),
    *block(2, {"type": "server_tool_use", "id": "s"}, {"type": "input_json_delta", "partial_json": "{}"}),
    *block(3, {"type": "web_tool_result", "tool_use_id": "s", "content": {"type": "web_error"}}),
    *block(4, {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}),
    *block(5, {"type": "compaction"}, {"type": "compaction_delta", "content": "c"}),
    *block(6, {"type": "fallback", "to": {"model": "d"}}, {"type": "new_delta"}),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message", "id": "w", "content": [{"type": "text", "text": "w"}], "stop_reason": "end_turn"},
    {"type": "completion", "completion": "x", "stop_reason": "stop_sequence"},
    {"type": "message_stop"},
]


def item(kind: str, index: int = 0, *, id: str = "i", **fields: Any) -> list[Any]:
    plain = {"id": id, "type": kind}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": plain},
        {"type": "response.output_item.done", "output_index": index, "item": {**plain, **fields}},
    ]


def about(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": index, "item_id": "i", "sequence_number": 1, **fields}


CONTENT = [
    {"type": "output_text", "text": "abc", "annotations": [{"type": "url_citation"}]},
    {"type": "refusal", "refusal": "no"},
]
RESPONSES: list[Any] = [
    {"type": "response.created", "response": {"id": "r", "model": "m", "background": True}},
    item("message")[0],
    about("content_part.added", content_index=0, part={"type": "output_text", "text": "", "annotations": []}),
    about("output_text.delta", content_index=0, delta="a"),
    about("output_text.delta", content_index=0, delta="b"),
    about("output_text.annotation.added", content_index=0, annotation={"type": "url_citation"}),
    about("output_text.done", content_index=0, text="abc"),
    about("refusal.delta", content_index=1, delta="no"),
    item("message", role="assistant", content=CONTENT)[1],
    *item("reasoning", 1, id="j", summary=[{"type": "summary_text", "text": "s"}]),
    about("reasoning_summary_text.delta", 1, summary_index=0, delta="x"),
    item("function_call", 2, id="f")[0],
    about("function_call_arguments.delta", 2, delta='{"x"'),
    about("function_call_arguments.done", 2, arguments='{"x":1}'),
    item("function_call", 2, id="f", call_id="c", name="f", arguments='{"x":1}', status="completed")[1],
    *item("mcp_call", 3, id="m", arguments="{}", output="o", error={"code": 1}),
    *item("shell_call", 4, id="s", action={"commands": ["ls"]}),
    about("shell_call_command.delta", 4, command_index=0, delta="l"),
    *item("web_search_call", 5, id="w", action={"query": "q"}),
    {
        "type": "response.completed",
        "response": {
            "id": "r",
            "status": "completed",
            "output": [
                {"id": "i", "type": "message", "role": "assistant", "content": CONTENT},
                {"id": "f", "type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
            ],
            "incomplete_details": {"reason": "x"},
            "usage": {"input_tokens": 1, "output_tokens_details": {"reasoning_tokens": 1}},
        },
    },
]

GEMINI_CHUNKS: list[Any] = [
    {
        "candidates": [
            {
                "index": 0,
                "content": {"role": "model", "parts": [{"text": "a", "thought": True}, {"text": "b"}]},
                "groundingMetadata": {"x": 1},
            },
            {"index": 1, "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"},
        ],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 3},
        "modelVersion": "m",
        "responseId": "r",
    },
    {"candidates": [{"content": {"parts": [{"text": "c", "thoughtSignature": "s"}, {"inlineData": {"data": "QQ"}}]}}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"id": "c", "name": "f", "args": {"x": 1}}}]}}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"name": "g", "willContinue": True}}]}}]},
    {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {
                            "functionCall": {
                                "partialArgs": [
                                    {"jsonPath": "$.a[0].b", "stringValue": "t", "willContinue": True},
                                    {"jsonPath": "$.a[0].b", "stringValue": "u"},
                                    {"jsonPath": "$.a[1]", "numberValue": 1},
                                ],
                                "willContinue": True,
                            }
                        }
                    ]
                }
            }
        ]
    },
    {"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]},
    {"candidates": [{"finishReason": "STOP"}], "promptFeedback": {"blockReason": "SAFETY"}},
]

SAMPLES: dict[str, tuple[Dialect[Delta, Message], list[Any]]] = {
    "chat": (OPENAI_CHAT, CHAT),
    "anthropic": (ANTHROPIC_MESSAGES, ANTHROPIC),
    "responses": (OPENAI_RESPONSES, RESPONSES),
    "gemini": (GEMINI, GEMINI_CHUNKS),
}
ODD: list[Any] = [None, True, 0, -1, 10**20, 1.5, "", "x", [], [None], [[1]], {}, {"type": None}, {"x": {"y": []}}]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=6,
)


def mutations(value: Any) -> Iterator[Any]:
    """The value with each of its nodes dropped, or replaced by each odd value."""
    yield from ODD
    if isinstance(value, dict):
        for name, each in value.items():
            yield {key: other for key, other in value.items() if key != name}
            yield from ({**value, name: odd} for odd in mutations(each))
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield value[:index] + value[index + 1 :]
            yield from ([*value[:index], odd, *value[index + 1 :]] for odd in mutations(each))


@pytest.mark.parametrize("name", SAMPLES)
def test_mutations(name: str) -> None:
    """Whatever a field is replaced by, nothing raises, deltas add up to the message, and native can be made."""
    dialect, values = SAMPLES[name]
    texts = [json.dumps(value) for value in values]
    for index, value in enumerate(values):
        for odd in mutations(value):
            reply = play(dialect, script(*texts[:index], json.dumps(odd), *texts[index + 1 :]))
            check(reply)
            json.dumps(reply.message.native)


@pytest.mark.parametrize("name", SAMPLES)
def test_events_dropped_doubled_and_swapped(name: str) -> None:
    """Events may be missing, come twice or in another order."""
    dialect, values = SAMPLES[name]
    for index in range(len(values)):
        check(play(dialect, script(*values[:index], *values[index + 1 :])))
        check(play(dialect, script(*values[: index + 1], *values[index:])))
        check(play(dialect, script(*values[index:], *values[:index])))


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=50)
@given(st.data())
def test_random_json(name: str, data: st.DataObject) -> None:
    """Random JSON, alone and in the place of any field, raises nothing."""
    dialect, values = SAMPLES[name]
    value = data.draw(st.sampled_from(values))
    field = data.draw(st.sampled_from(sorted(value)))
    events = [data.draw(JSON), {**value, field: data.draw(JSON)}, {**value, data.draw(st.text()): data.draw(JSON)}]
    check(play(dialect, script(*map(json.dumps, events))))


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=50)
@given(st.data())
def test_any_cut(name: str, data: st.DataObject) -> None:
    """However the bytes are cut, the message and its deltas are the same."""
    dialect, values = SAMPLES[name]
    stream = script(*values)
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    reply = play_pieces(dialect, [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)])
    whole = play(dialect, stream)
    assert outline(reply.message) == outline(whole.message)
    assert reply.kinds == whole.kinds


@pytest.mark.parametrize("name", SAMPLES)
def test_copies(name: str) -> None:
    """A message, as an error has it in `partial`, can be copied and pickled at any event."""
    dialect, values = SAMPLES[name]
    for count in range(len(values) + 1):
        message = play(dialect, script(*values[:count])).message
        assert outline(copy.deepcopy(message)) == outline(message)
        assert outline(pickle.loads(pickle.dumps(message))) == outline(message)


@pytest.mark.parametrize("name", SAMPLES)
def test_unknown_kinds_survive(name: str) -> None:
    """An event of an unknown kind is handed out as data."""
    dialect, values = SAMPLES[name]
    assert dialect.reader is not None
    reader = dialect.reader()
    for value in values:
        reader.read(ServerSentEvent(data=json.dumps(value)))
    assert reader.read(ServerSentEvent(data='{"type": "brand.new", "a": 1}')) == [
        Data("brand.new", {"type": "brand.new", "a": 1})
    ]
