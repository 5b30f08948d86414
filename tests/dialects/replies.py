"""
A table of all dialects: a whole reply of each, and all the ways in which one may end.

A script is a list of events, as in `scripts`. The whole replies have a text and a call where the protocol has them.
"""

from dataclasses import dataclass, field
from typing import Any

from sse_client import Dialect
from sse_client.dialects import (
    A2A,
    AG_UI,
    ANTHROPIC_MESSAGES,
    COHERE_CHAT,
    DIFY,
    GEMINI,
    LANGGRAPH,
    LANGGRAPH_EVENTS,
    MISTRAL_CHAT,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    VERCEL_UI,
    Delta,
    Message,
    mcp_call,
)

from . import test_a2a as a2a
from . import test_ag_ui as ag_ui
from . import test_cohere as cohere
from . import test_dify as dify
from . import test_langgraph as langgraph
from . import test_mcp as mcp
from . import test_vercel as vercel

DONE = "[DONE]"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What the tests know of a dialect."""

    dialect: Dialect[Delta, Message]
    whole: list[Any]
    """A reply that ends well."""
    ends: list[tuple[str, list[Any]]] = field(default_factory=list)
    """Other replies that the server has ended: the finish reason, and the script."""
    broken_call: list[Any] | None = None
    """A reply that the server has ended in the middle of a call's arguments."""
    errors: list[tuple[str, Any, list[Any]]] = field(default_factory=list)
    """Errors that the server sends: a name, the code, and the script. The message is always "sorry"."""
    strays: list[bytes] = field(default_factory=list)
    """Errors outside any event; the message is "sorry"."""
    undetected: int = 0
    """After how many events of `whole` nobody can tell, from a clean end there, that something is missing."""


# Chat completions.


def chunk(delta: Any = None, reason: Any = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": reason}
    return {"id": "c1", "model": "m", "object": "chat.completion.chunk", "choices": [choice], **fields}


def piece(arguments: str, **fields: Any) -> dict[str, Any]:
    return chunk(
        {"tool_calls": [{"index": 0, "function": {"arguments": arguments, **fields.pop("function", {})}, **fields}]}
    )


SORRY = {"code": "server_error", "message": "sorry"}
CHAT = [chunk({"role": "assistant", "content": ""}), chunk({"content": "It "}), chunk({"content": "rains."})]
CHAT_CALL = [piece('{"city": ', id="t1", type="function", function={"name": "rain"}), piece('"Ulm"}')]
CHAT_USAGE = chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
CHAT_ENDS = [
    (reason, [*CHAT, chunk(reason=native), DONE])
    for reason, native in [
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("error", "error"),
        ("error", "insufficient_system_resource"),
        ("other", "weather"),
    ]
]
CHAT_ERRORS: list[tuple[str, Any, list[Any]]] = [
    ("alone", "server_error", [*CHAT[:2], {"error": SORRY}]),
    ("beside content", "server_error", [*CHAT[:2], chunk({"content": ""}, "error", error=SORRY)]),
    ("of a choice", "server_error", [*CHAT[:2], chunk(choices=[{"index": 0, "delta": {}, "error": SORRY}])]),
    (
        "of the second choice",
        "server_error",
        [*CHAT[:2], chunk(choices=[{"index": 0, "delta": {}}, {"index": 1, "delta": {}, "error": SORRY}])],
    ),
    ("named", "server_error", [*CHAT[:2], ("error", {"error": SORRY})]),
    ("by its object", "server_error", [*CHAT[:2], {"object": "error", **SORRY}]),
    ("with a type", "overloaded", [*CHAT[:2], {"error": {"type": "overloaded", "message": "sorry"}}]),
]
CHAT_STRAYS = [b'error: {"code": 1, "message": "sorry"}\n\n', b'{\n "error": {"code": 1, "message": "sorry"}\n}\n']


def chat(dialect: Dialect[Delta, Message]) -> Protocol:
    return Protocol(
        dialect=dialect,
        whole=[*CHAT, *CHAT_CALL, chunk(reason="tool_calls"), CHAT_USAGE, DONE],
        ends=CHAT_ENDS,
        broken_call=[*CHAT, CHAT_CALL[0], chunk(reason="tool_calls"), DONE],
        errors=CHAT_ERRORS,
        strays=CHAT_STRAYS,
        undetected=1,  # the usage
    )


# Anthropic.


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[Any]:
    begun = {"type": "content_block_start", "index": index, "content_block": start}
    return [
        (begun["type"], begun),
        *(("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas),
        ("content_block_stop", {"type": "content_block_stop", "index": index}),
    ]


def stopped(reason: str) -> list[Any]:
    delta = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}
    return [("message_delta", delta), ("message_stop", {"type": "message_stop"})]


def arguments(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "input_json_delta", "partial_json": each} for each in pieces]


ANTHROPIC_START = (
    "message_start",
    {"type": "message_start", "message": {"id": "m1", "type": "message", "role": "assistant", "model": "m"}},
)
PING = ("ping", {"type": "ping"})
ANTHROPIC_TEXT = block(
    0,
    {"type": "text", "text": ""},
    {"type": "text_delta", "text": "It "},
    {"type": "text_delta", "text": "rains."},
)
TOOL = {"type": "tool_use", "id": "t1", "name": "rain", "input": {}}
ANTHROPIC_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "sorry"}}
ANTHROPIC = Protocol(
    dialect=ANTHROPIC_MESSAGES,
    whole=[
        ANTHROPIC_START,
        PING,
        *ANTHROPIC_TEXT,
        *block(1, TOOL, *arguments("", '{"city": ', '"Ulm"}')),
        *stopped("tool_use"),
    ],
    ends=[
        (reason, [ANTHROPIC_START, *ANTHROPIC_TEXT, *stopped(native)])
        for reason, native in [
            ("length", "max_tokens"),
            ("refusal", "refusal"),
            ("pause", "pause_turn"),
            ("other", "weather"),
        ]
    ],
    broken_call=[
        ANTHROPIC_START,
        *ANTHROPIC_TEXT,
        *block(1, TOOL, *arguments("", '{"city": ')),
        *stopped("max_tokens"),
    ],
    errors=[
        ("named", "overloaded_error", [ANTHROPIC_START, *ANTHROPIC_TEXT[:2], ("error", ANTHROPIC_ERROR)]),
        ("unnamed", "overloaded_error", [ANTHROPIC_START, *ANTHROPIC_TEXT[:2], ANTHROPIC_ERROR]),
    ],
)


# Responses.


def event(kind: str, **fields: Any) -> tuple[str, Any]:
    return f"response.{kind}", {"type": f"response.{kind}", **fields}


def response(status: str = "in_progress", **fields: Any) -> dict[str, Any]:
    return {"id": "r1", "object": "response", "model": "m", "status": status, "output": [], **fields}


SAID = {"type": "output_text", "text": "It rains.", "annotations": []}
ITEM = {"type": "message", "id": "i1", "role": "assistant", "status": "completed", "content": [SAID]}
FUNCTION = {"type": "function_call", "id": "i2", "call_id": "t1", "name": "rain", "status": "completed"}
FUNCTION_CALL = {**FUNCTION, "arguments": '{"city": "Ulm"}'}
CREATED = event("created", response=response())
OUTPUT_TEXT = [
    event("output_item.added", output_index=0, item={**ITEM, "status": "in_progress", "content": []}),
    event("content_part.added", output_index=0, content_index=0, part={**SAID, "text": ""}),
    event("output_text.delta", output_index=0, content_index=0, delta="It "),
    event("output_text.delta", output_index=0, content_index=0, delta="rains."),
    event("output_text.done", output_index=0, content_index=0, text="It rains."),
    event("content_part.done", output_index=0, content_index=0, part=SAID),
    event("output_item.done", output_index=0, item=ITEM),
]
OUTPUT_CALL = [
    event("output_item.added", output_index=1, item={**FUNCTION, "status": "in_progress", "arguments": ""}),
    event("function_call_arguments.delta", output_index=1, item_id="i2", delta='{"city": '),
    event("function_call_arguments.delta", output_index=1, item_id="i2", delta='"Ulm"}'),
    event("function_call_arguments.done", output_index=1, item_id="i2", arguments='{"city": "Ulm"}'),
    event("output_item.done", output_index=1, item=FUNCTION_CALL),
]
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
CUT_CALL = {**FUNCTION, "status": "incomplete", "arguments": '{"city": '}


def incomplete(reason: str, *items: Any) -> tuple[str, Any]:
    details = {"reason": reason}
    return event("incomplete", response=response("incomplete", output=list(items), incomplete_details=details))


RESPONSES = Protocol(
    dialect=OPENAI_RESPONSES,
    whole=[
        CREATED,
        *OUTPUT_TEXT,
        *OUTPUT_CALL,
        event("completed", response=response("completed", output=[ITEM, FUNCTION_CALL], usage=USAGE)),
    ],
    ends=[
        ("length", [CREATED, *OUTPUT_TEXT, incomplete("max_output_tokens", ITEM)]),
        ("content_filter", [CREATED, *OUTPUT_TEXT, incomplete("content_filter", ITEM)]),
        ("other", [CREATED, *OUTPUT_TEXT, incomplete("steered", ITEM)]),
        ("cancelled", [CREATED, *OUTPUT_TEXT, event("cancelled", response=response("cancelled", output=[ITEM]))]),
        ("error", [CREATED, *OUTPUT_TEXT, event("failed", response=response("failed", output=[ITEM], error=None))]),
    ],
    broken_call=[
        CREATED,
        *OUTPUT_TEXT,
        *OUTPUT_CALL[:2],
        event("output_item.done", output_index=1, item=CUT_CALL),
        incomplete("max_output_tokens", ITEM, CUT_CALL),
    ],
    errors=[
        ("at the top", "server_error", [CREATED, *OUTPUT_TEXT[:3], ("error", {"type": "error", **SORRY})]),
        ("nested", "server_error", [CREATED, *OUTPUT_TEXT[:3], {"type": "error", "error": SORRY}]),
        (
            "failed",
            "server_error",
            [CREATED, *OUTPUT_TEXT[:3], event("failed", response=response("failed", error=SORRY))],
        ),
    ],
)


# Gemini.


def datum(*parts: Any, reason: Any = None, **fields: Any) -> dict[str, Any]:
    finish = {} if reason is None else {"finishReason": reason}
    content = {"role": "model", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}
    return {
        "responseId": "g1",
        "modelVersion": "m",
        "candidates": [{"content": content, "index": 0, **finish}],
        **fields,
    }


GEMINI_CALL = {"functionCall": {"name": "rain", "args": {"city": "Ulm"}}}
GEMINI_PART = {"functionCall": {"name": "rain", "partialArgs": [], "willContinue": True}}
GEMINI_LEAF = {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Ul", "willContinue": True}], "willContinue": True}
GEMINI_ERROR = {"code": 503, "message": "sorry", "status": "UNAVAILABLE"}
GEMINI_REPLIES = Protocol(
    dialect=GEMINI,
    whole=[
        datum({"text": "Hm.", "thought": True}),
        datum("It "),
        datum("rains."),
        datum(GEMINI_CALL),
        datum("", reason="STOP", usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2}),
    ],
    ends=[
        ("length", [datum("It "), datum("rains.", reason="MAX_TOKENS")]),
        ("content_filter", [datum("It "), datum(reason="SAFETY")]),
        ("content_filter", [{"promptFeedback": {"blockReason": "SAFETY"}}]),
        ("error", [datum("It "), datum(reason="MALFORMED_FUNCTION_CALL")]),
        ("other", [datum("It "), datum(reason="WEATHER")]),
    ],
    broken_call=[
        datum("It rains."),
        datum(GEMINI_PART),
        datum({"functionCall": GEMINI_LEAF}),
        datum(reason="MAX_TOKENS"),
    ],
    errors=[
        ("alone", 503, [datum("It "), {"error": GEMINI_ERROR}]),
        ("in a list", 503, [datum("It "), [{"error": GEMINI_ERROR}]]),
    ],
    strays=[
        b'{\n  "error": {\n    "code": 503,\n    "message": "sorry"\n  }\n}\n',
        b'[{"error": {"message": "sorry"}}]\n',
    ],
)


# Agents.

COHERE = Protocol(
    dialect=COHERE_CHAT,
    whole=[cohere.START, *cohere.TEXT, *cohere.CALLS, cohere.end("TOOL_CALL"), DONE],
    ends=[
        (reason, [cohere.START, *cohere.TEXT, cohere.end(native)])
        for reason, native in [
            ("length", "MAX_TOKENS"),
            ("content_filter", "ERROR_TOXIC"),
            ("cancelled", "USER_CANCEL"),
            ("error", "TIMEOUT"),
        ]
    ]
    + [("error", [cohere.START, *cohere.TEXT, cohere.end("ERROR", error="sorry")])],
    broken_call=[cohere.START, *cohere.TEXT, *cohere.CALLS[:3], cohere.end("MAX_TOKENS")],
)
VERCEL = Protocol(
    dialect=VERCEL_UI,
    whole=[*vercel.START, *vercel.CALL, *vercel.TEXT, *vercel.END],
    ends=[
        ("length", [*vercel.START, *vercel.TEXT, vercel.of("finish", finishReason="length"), DONE]),
        ("content_filter", [*vercel.START, *vercel.TEXT, vercel.of("finish", finishReason="content-filter"), DONE]),
        ("error", [*vercel.START, *vercel.TEXT, vercel.of("finish", finishReason="error"), DONE]),
        ("cancelled", [*vercel.START, *vercel.TEXT, vercel.of("abort")]),
        ("other", [*vercel.START, *vercel.TEXT, vercel.of("finish"), DONE]),
    ],
    broken_call=[*vercel.START, *vercel.TEXT, *vercel.CALL[:2], vercel.of("finish", finishReason="length"), DONE],
    errors=[("alone", None, [*vercel.START, *vercel.TEXT[:2], vercel.of("error", errorText="sorry")])],
)
RUN_ERROR = ag_ui.of("RUN_ERROR", message="sorry", code="overloaded")
OUTCOMES: list[tuple[str, dict[str, Any]]] = [
    ("pause", {"outcome": {"type": "interrupt"}}),
    ("cancelled", {"outcome": {"type": "cancelled"}}),
    ("length", {"finishReason": "length"}),
    ("content_filter", {"finishReason": "content_filter"}),
]
AG = Protocol(
    dialect=AG_UI,
    whole=[ag_ui.RUN, *ag_ui.THOUGHT, *ag_ui.RAIN, *ag_ui.HELLO, ag_ui.END],
    ends=[
        (reason, [ag_ui.RUN, *ag_ui.HELLO, ag_ui.of("RUN_FINISHED", runId="r1", **fields)])
        for reason, fields in OUTCOMES
    ],
    broken_call=[ag_ui.RUN, *ag_ui.HELLO, *ag_ui.RAIN[:2], ag_ui.END],
    errors=[("alone", "overloaded", [ag_ui.RUN, *ag_ui.HELLO[:2], RUN_ERROR])],
)
LANG = Protocol(
    dialect=LANGGRAPH,
    whole=[langgraph.META, *langgraph.CHUNKS, langgraph.values(*langgraph.STATE)],
    ends=[
        ("length", [langgraph.META, langgraph.chunk("It", response_metadata={"finish_reason": "length"})]),
        ("pause", [langgraph.META, langgraph.chunk("It"), ("updates", {"__interrupt__": [{"value": "?"}]})]),
    ],
    broken_call=[
        langgraph.META,
        langgraph.CHUNKS[0],
        langgraph.CHUNKS[1],
        langgraph.chunk("", response_metadata={"finish_reason": "length"}),
    ],
    errors=[
        (
            name,
            "ValueError",
            [langgraph.META, langgraph.chunk("It"), (kind, {"error": "ValueError", "message": "sorry"})],
        )
        for name, kind in [("alone", "error"), ("of a subgraph", "error|sub:1")]
    ],
    undetected=len(langgraph.CHUNKS) + 1,
)
LANG_ERROR = {"type": "error", "error": "no_such_run", "message": "sorry"}
LANG_EVENTS = Protocol(
    dialect=LANGGRAPH_EVENTS,
    whole=langgraph.V3,
    ends=[
        (reason, [*langgraph.V3[:2], langgraph.text("It"), langgraph.of("lifecycle", {"event": state})])
        for reason, state in [("error", "failed"), ("pause", "interrupted"), ("cancelled", "cancelled")]
    ],
    broken_call=[*langgraph.V3[:7], langgraph.COMPLETED],
    errors=[("alone", "no_such_run", [*langgraph.V3[:2], langgraph.text("It"), LANG_ERROR])],
)
MCP_ERROR = {"jsonrpc": "2.0", "id": 2, "error": {"code": -32603, "message": "sorry"}}
MCP = Protocol(
    dialect=mcp_call(2),
    whole=["", mcp.PROGRESS, mcp.ELICIT, mcp.response(mcp.RESULT)],
    ends=[
        ("error", [mcp.PROGRESS, mcp.response({**mcp.RESULT, "isError": True})]),
        ("pause", [mcp.PROGRESS, mcp.response({"resultType": "input_required"})]),
    ],
    errors=[("alone", -32603, [mcp.PROGRESS, MCP_ERROR])],
)
A2A_ERROR = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32001, "message": "sorry"}}
TASKS = Protocol(
    dialect=A2A,
    whole=a2a.SCRIPT,
    ends=[
        (reason, [*a2a.SCRIPT[:3], a2a.status(state)])
        for reason, state in [
            ("error", "TASK_STATE_FAILED"),
            ("error", "rejected"),
            ("cancelled", "TASK_STATE_CANCELED"),
            ("pause", "TASK_STATE_INPUT_REQUIRED"),
            ("pause", "auth-required"),
        ]
    ],
    errors=[
        ("of JSON-RPC", -32001, [*a2a.SCRIPT[:3], A2A_ERROR]),
        ("named", -32001, [*a2a.SCRIPT[:3], ("error", {"code": -32001, "message": "sorry"})]),
    ],
)
DIFY_ERROR = {"event": "error", "status": 400, "code": "provider_quota_exceeded", "message": "sorry"}
CHATFLOW = Protocol(
    dialect=DIFY,
    whole=[dify.STARTED, dify.NODE, dify.say("It "), dify.say("rains."), dify.END, dify.FINISHED],
    ends=[
        (reason, [dify.STARTED, dify.say("It "), dify.END, dify.run("workflow_finished", status=status)])
        for reason, status in [("error", "failed"), ("cancelled", "stopped"), ("pause", "paused")]
    ],
    errors=[("alone", "provider_quota_exceeded", [dify.STARTED, dify.say("It "), DIFY_ERROR])],
)

PROTOCOLS = {
    "chat": chat(OPENAI_CHAT),
    "mistral": chat(MISTRAL_CHAT),
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI_REPLIES,
    "cohere": COHERE,
    "vercel": VERCEL,
    "ag_ui": AG,
    "langgraph": LANG,
    "langgraph_events": LANG_EVENTS,
    "mcp": MCP,
    "a2a": TASKS,
    "dify": CHATFLOW,
}
