"""
The recorded streams beside the checkout: the dialect of each, and what is expected of it.

Five come from applications of no protocol that is shipped, and watsonx's is not shipped either. They have readers here,
as a user would write them.
"""

from collections.abc import Callable
from typing import Any

from sse_client import Dialect, ErrorEvent, ErrorEventReceived, ServerSentEvent, Terminator
from sse_client.dialects import (
    A2A,
    AG_UI,
    ANTHROPIC_MESSAGES,
    COHERE_CHAT,
    DIFY,
    GEMINI,
    LANGGRAPH,
    MISTRAL_CHAT,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    VERCEL_UI,
    Delta,
    Message,
    MessageReader,
)

from . import test_a2a, test_ag_ui, test_cohere, test_dify, test_langgraph, test_mcp, test_vercel
from .playing import Reply, digest


class WatsonxReader(MessageReader):
    """Reads watsonx.ai's text generation."""

    def read(self, event: ServerSentEvent) -> list[Delta]:
        deltas: list[Delta] = []
        for result in event.json().get("results") or ():
            deltas += self.text(result.get("generated_text"))
            if (reason := result.get("stop_reason", "not_finished")) != "not_finished":
                deltas += self.finish("length" if reason == "max_tokens" else "stop", reason)
        return deltas


class TokensReader(MessageReader):
    """Reads pieces of text in a field of any event; events of one name, or of one type, end the reply."""

    field = "token"
    last = ""

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if event.data == "[DONE]":
            return []
        value = event.json()
        deltas = [] if "role" in value else self.text(value.get(self.field))  # with a role, it is all of the text again
        if self.last in (event.event, value.get("type")):
            deltas += self.finish("stop", self.last)
        return deltas


class PrinterReader(TokensReader):
    last = "stream_end"


class TheoReader(TokensReader):
    field, last = "content", "done"


class WisquReader(TokensReader):
    field, last = "content", "metadata"


ERRORS = ErrorEvent(field="error", message="error")
DIALECTS: dict[str, Dialect[Delta, Message]] = {
    **dict.fromkeys(("openai_chat", "azure_openai", "deepseek", "groq", "openrouter", "avian", "zai"), OPENAI_CHAT),
    **dict.fromkeys(("github_copilot", "llamacpp", "ollama", "openai_compat_misc", "openai_completions"), OPENAI_CHAT),
    "mistral": MISTRAL_CHAT,
    **dict.fromkeys(("anthropic", "anthropic_vertex"), ANTHROPIC_MESSAGES),
    **dict.fromkeys(("openai_responses", "xai_responses"), OPENAI_RESPONSES),
    **dict.fromkeys(("gemini", "gemini_vertex"), GEMINI),
}
AGENTS: dict[str, Dialect[Delta, Message]] = {
    "cohere_v2": COHERE_CHAT,
    "vercel_ui": VERCEL_UI,
    "ag_ui": AG_UI,
    "langgraph": LANGGRAPH,
    "a2a": A2A,
    "dify": DIFY,
}
OWN: dict[str, Dialect[Delta, Message]] = {
    "watsonx": Dialect(reader=WatsonxReader, errors=ErrorEvent(event="error")),
    "seed_rag": Dialect(reader=TokensReader, errors=ERRORS, terminator=Terminator(data="[DONE]")),
    "seed_printer": Dialect(reader=PrinterReader, errors=ERRORS),
    "seed_theo": Dialect(reader=TheoReader, errors=ERRORS),
    "seed_wisqu": Dialect(reader=WisquReader, errors=ERRORS),
}
CHECKS: dict[str, Callable[[Reply, dict[str, Any]], None]] = {
    "cohere_v2": test_cohere.check_expected,
    "vercel_ui": test_vercel.check_expected,
    "ag_ui": test_ag_ui.check_expected,
    "langgraph": test_langgraph.check_expected,
    "mcp": test_mcp.check_expected,
    "a2a": test_a2a.check_expected,
    "dify": test_dify.check_expected,
}


def folder_of(expected: dict[str, Any]) -> str:
    return str(expected["file"]).partition("/")[0]


def dialect_of(expected: dict[str, Any]) -> Dialect[Delta, Message]:
    """The dialect of a recorded stream."""
    folder = folder_of(expected)
    return test_mcp.dialect_of(expected) if folder == "mcp" else {**DIALECTS, **AGENTS, **OWN}[folder]


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    CHECKS.get(folder_of(expected), check_reply)(reply, expected)


def check_reply(reply: Reply, expected: dict[str, Any]) -> None:
    """Check the reply of a model."""
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
    # An end marker is no reason.
    if expected["error"] is None and expected["finish_reason"] != "[DONE]":
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


def as_expected(text: str) -> Any:
    return digest(text) if text else None


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
