"""LLM and agent protocols as typed deltas and one message: `client.post(url, json=body, dialect=OPENAI_CHAT)`."""

from ._a2a import A2A
from ._ag_ui import AG_UI
from ._anthropic import ANTHROPIC_MESSAGES
from ._chat import MISTRAL_CHAT, OPENAI_CHAT
from ._cohere import COHERE_CHAT
from ._dify import DIFY
from ._gemini import GEMINI
from ._langgraph import LANGGRAPH, LANGGRAPH_EVENTS
from ._mcp import mcp_call
from ._message import FinishReason, Message, Other, Part, Reasoning, Refusal, Text, ToolCall, Usage
from ._partial import PartialJSON
from ._reader import MessageReader
from ._responses import OPENAI_RESPONSES
from ._responses_resume import RESPONSES_RESUME
from ._vercel import VERCEL_UI
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
    "A2A",
    "AG_UI",
    "ANTHROPIC_MESSAGES",
    "COHERE_CHAT",
    "DIFY",
    "GEMINI",
    "LANGGRAPH",
    "LANGGRAPH_EVENTS",
    "MISTRAL_CHAT",
    "OPENAI_CHAT",
    "OPENAI_RESPONSES",
    "RESPONSES_RESUME",
    "VERCEL_UI",
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
    "mcp_call",
]
