"""LLM and agent protocols as typed deltas and one message: `client.post(url, json=body, dialect=OPENAI_CHAT)`."""

from ._anthropic import ANTHROPIC_MESSAGES
from ._chat import MISTRAL_CHAT, OPENAI_CHAT
from ._gemini import GEMINI
from ._message import FinishReason, Message, Other, Part, Reasoning, Refusal, Text, ToolCall, Usage
from ._partial import PartialJSON
from ._reader import MessageReader
from ._responses import OPENAI_RESPONSES
from ._responses_resume import RESPONSES_RESUME
from ._vocabulary import (
    Data,
    Delta,
    Finish,
    PartAdded,
    ReasoningDelta,
    RefusalDelta,
    Replaced,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    UsageUpdate,
)

__all__ = [
    "ANTHROPIC_MESSAGES",
    "GEMINI",
    "MISTRAL_CHAT",
    "OPENAI_CHAT",
    "OPENAI_RESPONSES",
    "RESPONSES_RESUME",
    "Data",
    "Delta",
    "Finish",
    "FinishReason",
    "Message",
    "MessageReader",
    "Other",
    "Part",
    "PartAdded",
    "PartialJSON",
    "Reasoning",
    "ReasoningDelta",
    "Refusal",
    "RefusalDelta",
    "Replaced",
    "Text",
    "TextDelta",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallEnd",
    "ToolCallStart",
    "ToolResult",
    "Usage",
    "UsageUpdate",
]
