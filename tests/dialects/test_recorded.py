"""The recorded streams that lie beside the checkout, if they do: each comes to what is expected of it."""

from typing import Any

import pytest

from sse_client import Dialect, ErrorEventReceived
from sse_client.dialects import (
    ANTHROPIC_MESSAGES,
    GEMINI,
    MISTRAL_CHAT,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    Data,
    Delta,
    Message,
)

from .playing import STREAMS, Reply, check, cuts, digest, expectations, outline, play_pieces, recorded

FOLDERS: dict[str, Dialect[Delta, Message]] = {
    **dict.fromkeys(("openai_chat", "azure_openai", "deepseek", "groq", "openrouter", "avian", "zai"), OPENAI_CHAT),
    **dict.fromkeys(("github_copilot", "llamacpp", "ollama", "openai_compat_misc", "openai_completions"), OPENAI_CHAT),
    "mistral": MISTRAL_CHAT,
    **dict.fromkeys(("anthropic", "anthropic_vertex"), ANTHROPIC_MESSAGES),
    **dict.fromkeys(("openai_responses", "xai_responses"), OPENAI_RESPONSES),
    **dict.fromkeys(("gemini", "gemini_vertex"), GEMINI),
}
NAMES = sorted(name for folder in FOLDERS for name in recorded(folder))
pytestmark = pytest.mark.skipif(not STREAMS.exists(), reason="the recorded streams are not part of the repository")


def as_expected(text: str) -> Any:
    return digest(text) if text else None


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    message = reply.message
    if expected["error"] is None:
        assert reply.error is None
        assert as_expected(message.text) == (expected["text"] or None)
        assert len(message.tool_calls) == len(expected["tool_calls"])
        assert all(call.is_whole for call in message.tool_calls)
    else:
        assert isinstance(reply.error, ErrorEventReceived)
        assert as_expected(message.text) == (expected.get("partial_text") or expected["text"] or None)
    assert as_expected(message.reasoning) == (expected["reasoning"] or None)
    for call, wanted in zip(message.tool_calls, expected["tool_calls"], strict=False):
        assert call.name == wanted["name"]
        assert call.id == wanted["id"]
        assert wanted["arguments"] in (digest(call.arguments), digest(call.input))
    if expected["error"] is None:
        assert message.native_finish_reason == expected["finish_reason"]
    if expected.get("usage"):
        assert message.usage is not None
        for name, count in expected["usage"].items():
            assert message.usage.native.get(name, message.usage.native.get(camel(name))) == count
    for wanted in expected.get("choices", ()):
        choice = message.choices[wanted["index"]]
        assert as_expected(choice.text) == (wanted["text"] or None)
        assert as_expected(choice.refusal) == (wanted["refusal"] or None)
        assert len(choice.tool_calls) == len(wanted["tool_calls"])
    if expected.get("id"):
        assert message.id == expected["id"]
    if expected.get("model"):
        assert message.model == expected["model"]


@pytest.mark.parametrize("name", NAMES)
def test_as_expected(name: str) -> None:
    """A recorded stream comes to the text, the calls, the reason and the usage that its own SDK finds, in any cut."""
    dialect = FOLDERS[name.partition("/")[0]]
    data = (STREAMS / name).read_bytes()
    outlines = []
    for pieces in cuts(data):
        reply = play_pieces(dialect, pieces)
        check(reply)
        check_expected(reply, expectations()[name])
        outlines.append((outline(reply.message), reply.kinds))
    assert all(each == outlines[0] for each in outlines)


@pytest.mark.parametrize("name", NAMES)
def test_no_delta_is_unknown(name: str) -> None:
    """In a recorded stream nothing is unknown to its dialect."""
    dialect = FOLDERS[name.partition("/")[0]]
    reply = play_pieces(dialect, [(STREAMS / name).read_bytes()])
    # The end of an item that was announced as a part.
    kinds = {delta.kind for delta in reply.deltas if isinstance(delta, Data)}
    assert kinds <= {"response.output_item.done"}


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_after_each_event(name: str) -> None:
    """A stream that ends cleanly after any of its events is complete only if nothing but the usage can be missing."""
    dialect = FOLDERS[name.partition("/")[0]]
    data = (STREAMS / name).read_bytes()
    whole = play_pieces(dialect, [data])
    blocks = data.replace(b"\r\n", b"\n").split(b"\n\n")
    for count in range(len(blocks)):
        reply = play_pieces(dialect, [b"".join(block + b"\n\n" for block in blocks[:count])])
        check(reply)
        if reply.is_complete:
            assert reply.message.text == whole.message.text
            assert reply.message.reasoning == whole.message.reasoning
            assert [call.arguments for call in reply.message.tool_calls] == [
                call.arguments for call in whole.message.tool_calls
            ]
            assert reply.message.finish_reason == whole.message.finish_reason
        else:
            assert not reply.message.ended_well
