"""`doctor`, the reply: each row of the tables is one fact about a reply under a dialect, or under marks."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cases import exchange, findings
from dialects.playing import STREAMS, expectations, recorded
from hypothesis import given
from hypothesis import strategies as st

from sse_client import ErrorEvent, Terminator
from sse_client.cli._reading import DIALECTS
from sse_client.cli._text import in_one_line
from sse_client.cli.doctor._case import Case
from sse_client.cli.doctor._exchange import End, Exchange
from sse_client.cli.doctor._finding import Finding, Level

OK, NOTE, WARN, FAIL = Level.ok, Level.note, Level.WARN, Level.FAIL
DONE = "data: [DONE]\n\n"


def event(value: Any, name: str = "") -> str:
    """One event with this JSON as its data."""
    return f"{f'event: {name}' + chr(10) if name else ''}data: {json.dumps(value)}\n\n"


def chat(delta: dict[str, Any], reason: str | None = None, **more: Any) -> str:
    """A chunk of OpenAI's chat completions."""
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more})


def call(arguments: str) -> str:
    function = {"name": "weather", "arguments": arguments}
    return chat({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}})
TEXT = chat({"content": "It rains."})
STOP = chat({}, "stop")


def of_reply(case: Case) -> list[Finding]:
    """The findings of the reply."""
    return [finding for finding in findings(case) if finding.area == "reply"]


def levels(case: Case) -> dict[str, Level]:
    """The level of each check of the reply; a check with several findings has the worst."""
    found: dict[str, Level] = {}
    for finding in of_reply(case):
        found[finding.check] = max(finding.level, found.get(finding.check, OK))
    return found


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini", "mistral", "cohere", "openai-responses"])
def test_another_dialect(dialect: str) -> None:
    """If no event is part of a reply of the dialect, it may be the wrong one; a reply of the dialect is."""
    foreign = [event({"token": f"t{n}"}, "token") for n in range(6)]
    for parts in (foreign, [*foreign, DONE]):
        assert levels(Case(exchange((0.3, "".join(parts))), dialect=dialect))["dialect"] == NOTE
    assert "dialect" not in levels(Case(exchange((0.3, foreign[0])), dialect=dialect))
    assert "dialect" not in levels(openai(TEXT, TEXT, STOP, DONE))


def openai(*parts: str, **options: Any) -> Case:
    return Case(exchange((0.3, "".join(parts)), **options), dialect="openai")


REPLIES: dict[str, tuple[Case, dict[str, Level]]] = {
    "complete": (openai(TEXT, STOP, USAGE, DONE), {"reply": OK, "finish-reason": OK, "usage": OK}),
    "without usage": (openai(TEXT, STOP, DONE), {"reply": OK, "finish-reason": OK, "usage": NOTE}),
    "without a finish reason": (openai(TEXT, DONE), {"reply": OK, "finish-reason": NOTE, "usage": NOTE}),
    "without [DONE]": (openai(TEXT, STOP, USAGE), {"reply": OK, "finish-reason": OK, "usage": OK}),
    "truncated": (openai(TEXT), {"reply": FAIL}),
    "empty": (openai(""), {"reply": FAIL}),
    "cut": (openai(TEXT, end=End.CUT), {"reply": FAIL}),
    "cut after the end": (
        openai(TEXT, STOP, USAGE, DONE, end=End.CUT),
        {"reply": OK, "finish-reason": OK, "usage": OK},
    ),
    "not read to its end": (openai(TEXT, end=End.LEFT), {"reply": NOTE}),
    "left after its end": (
        openai(TEXT, STOP, USAGE, DONE, end=End.LEFT),
        {"reply": OK, "finish-reason": OK, "usage": OK},
    ),
    "an error": (openai(TEXT, event({"error": {"message": "boom", "code": "x"}})), {"error-event": FAIL}),
    "an error outside any event": (openai('{"error": {"message": "boom"}}\n'), {"error-event": FAIL}),
    "the limit of tokens": (
        openai(TEXT, chat({}, "length"), USAGE, DONE),
        {"reply": OK, "finish-reason": WARN, "usage": OK},
    ),
    "a filter": (
        openai(TEXT, chat({}, "content_filter"), USAGE, DONE),
        {"reply": OK, "finish-reason": WARN, "usage": OK},
    ),
    "a new reason": (openai(TEXT, chat({}, "bored"), USAGE, DONE), {"reply": OK, "finish-reason": NOTE, "usage": OK}),
    "a call": (
        openai(call('{"city": "Ulm"}'), chat({}, "tool_calls"), USAGE, DONE),
        {"reply": OK, "finish-reason": OK, "usage": OK, "tool-calls": OK},
    ),
    "half a call": (
        openai(call('{"city": "U'), chat({}, "tool_calls"), USAGE, DONE),
        {"reply": OK, "finish-reason": OK, "usage": OK, "tool-calls": FAIL},
    ),
    "half a call, left": (openai(call('{"city": "U'), end=End.LEFT), {"reply": NOTE, "tool-calls": NOTE}),
    "half a call, cut": (openai(call('{"city": "U'), end=End.CUT), {"reply": FAIL, "tool-calls": FAIL}),
    "an event that is not JSON": (
        openai(TEXT, "data: hello\n\n", STOP, USAGE, DONE),
        {"reply": OK, "unfit-events": WARN, "finish-reason": OK, "usage": OK},
    ),
    "JSON with an error": (
        openai('{"error": {"message": "no key"}}', more={"content-type": "application/json"}),
        {"error-event": FAIL},
    ),
    "JSON without one": (openai('{"choices": []}', more={"content-type": "application/json"}), {}),
    "a page": (openai("<p>", more={"content-type": "text/html"}), {}),
    "not found": (openai(TEXT, status=404), {}),
    "damaged": (openai(TEXT, more={"content-encoding": "gzip"}), {"reply": NOTE}),
    "anthropic": (
        Case(
            exchange(
                (0.1, event({"type": "message_start", "message": {"usage": {"input_tokens": 2}}}, "message_start")),
                (0.2, event({"type": "ping"}, "ping")),
                (0.3, event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, "message_delta")),
                (0.4, event({"type": "message_stop"}, "message_stop")),
            ),
            dialect="anthropic",
        ),
        {"reply": OK, "finish-reason": OK, "usage": OK},
    ),
    "anthropic, truncated": (
        Case(exchange((0.1, event({"type": "message_start", "message": {}}, "message_start"))), dialect="anthropic"),
        {"reply": FAIL},
    ),
    "anthropic, overloaded": (
        Case(
            exchange(
                (0.1, event({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "error"))
            ),
            dialect="anthropic",
        ),
        {"error-event": FAIL},
    ),
    "mcp": (
        Case(exchange((0.1, event({"jsonrpc": "2.0", "id": 7, "result": {"content": []}}))), dialect="mcp"),
        {"reply": OK, "finish-reason": OK},
    ),
    "mcp, a failed tool": (
        Case(exchange((0.1, event({"jsonrpc": "2.0", "id": 7, "result": {"isError": True}}))), dialect="mcp"),
        {"reply": OK, "finish-reason": WARN},
    ),
    "mcp, an error": (
        Case(exchange((0.1, event({"jsonrpc": "2.0", "id": 7, "error": {"message": "boom"}}))), dialect="mcp"),
        {"error-event": FAIL},
    ),
    "mcp, without a response": (
        Case(exchange((0.1, event({"jsonrpc": "2.0", "method": "notifications/progress"}))), dialect="mcp"),
        {"reply": WARN},
    ),
    "a finish reason of an error": (
        openai(TEXT, chat({}, "error"), USAGE, DONE),
        {"reply": OK, "finish-reason": FAIL, "usage": OK},
    ),
    "--until": (Case(exchange((0.1, event(1, "end"))), marks={"terminator": Terminator(event="end")}), {"reply": OK}),
    "--until, missing": (
        Case(exchange((0.1, event(1))), marks={"terminator": Terminator(event="end")}),
        {"reply": FAIL},
    ),
    "--until, cut after it": (
        Case(exchange((0.1, event(1, "end")), end=End.CUT), marks={"terminator": Terminator(event="end")}),
        {"reply": OK},
    ),
    "--error": (
        Case(exchange((0.1, event({"message": "boom"}, "error"))), marks={"errors": ErrorEvent(event="error")}),
        {"error-event": FAIL},
    ),
    "--error, none": (Case(exchange((0.1, event(1))), marks={"errors": ErrorEvent(event="error")}), {"reply": OK}),
    "neither a dialect nor marks": (Case(exchange((0.1, TEXT))), {}),
}


@pytest.mark.parametrize("name", REPLIES)
def test_replies(name: str) -> None:
    """A reply is a FAIL if it is certain that something is missing, or that the server reported an error."""
    case, expected = REPLIES[name]
    assert levels(case) == expected


def test_evidence() -> None:
    """The evidence has the words of the server, the reason, the tokens and the calls."""
    parts = [call('{"city": "Ulm"}'), chat({}, "tool_calls"), USAGE, DONE]
    assert [(finding.check, finding.evidence) for finding in of_reply(openai(*parts))] == [
        ("reply", "complete after 4 events"),
        ("finish-reason", "tool_calls"),
        ("usage", "3 tokens in, 5 out"),
        ("tool-calls", "1 complete: weather"),
    ]
    (finding,) = of_reply(openai(event({"error": {"message": "bo\x1bom", "code": "x"}})))
    assert finding.evidence == "the server reported an error: bo\\x1bom (code x)"


def test_several_choices() -> None:
    """Each choice has a finish reason of its own."""
    choices = [{"index": index, "delta": {"content": "a"}, "finish_reason": "stop"} for index in (0, 1)]
    found = [finding.evidence for finding in of_reply(openai(event({"choices": choices}), DONE))]
    assert found[1:3] == ["choice 0: stop", "choice 1: stop"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "type", "choices", "delta", "error", "message", "result"]), inner)
    ),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=3), st.sampled_from(sorted(DIALECTS)), st.sampled_from(list(End)))
def test_any_reply(values: list[Any], dialect: str, end: End) -> None:
    """No reply, however odd, makes a check fail, under any dialect; its text is one line that a terminal can show."""
    parts = [(0.1 * at, event(value)) for at, value in enumerate(values, start=1)]
    for finding in of_reply(Case(exchange(*parts, end=end), dialect=dialect)):
        assert finding.evidence
        assert in_one_line(finding.evidence + finding.cure) == finding.evidence + finding.cure


NAMES = {
    **dict.fromkeys(("openai_chat", "azure_openai", "deepseek", "groq", "openrouter", "avian", "zai"), "openai"),
    **dict.fromkeys(("github_copilot", "llamacpp", "ollama", "openai_compat_misc", "openai_completions"), "openai"),
    **dict.fromkeys(("anthropic", "anthropic_vertex"), "anthropic"),
    **dict.fromkeys(("openai_responses", "xai_responses"), "openai-responses"),
    **dict.fromkeys(("gemini", "gemini_vertex"), "gemini"),
    "mistral": "mistral",
    "cohere_v2": "cohere",
    "vercel_ui": "vercel",
    "ag_ui": "ag-ui",
    "langgraph": "langgraph",
    "a2a": "a2a",
    "dify": "dify",
    "mcp": "mcp",
}
RECORDED = sorted(name for folder in NAMES for name in recorded(folder))
are_there = pytest.mark.skipif(not STREAMS.exists(), reason="the recorded streams are not part of the repository")


def played(name: str, **options: Any) -> Exchange:
    """A recorded stream as an exchange: its bytes in four pieces."""
    data = (STREAMS / name).read_bytes()
    size = len(data) // 4 + 1
    pieces = [(0.3 * (at + 1), data[at * size : (at + 1) * size]) for at in range(4)]
    return exchange(*pieces, **options)


@are_there
@pytest.mark.parametrize("name", RECORDED)
def test_recorded(name: str) -> None:
    """A recorded stream has a FAIL only if the server reported an error in it, and none in its head."""
    expected = expectations()[name]
    found = findings(Case(played(name), dialect=NAMES[name.partition("/")[0]]))
    fails = {finding.check for finding in found if finding.level == FAIL and finding.area in ("head", "reply")}
    if expected["error"] is None:
        assert fails == set()
    else:
        assert fails & {"error-event", "finish-reason"}


@are_there
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_stream_that_we_left(name: str) -> None:
    """A recorded stream that we stopped reading in the middle has no FAIL for what is missing."""
    whole = played(name)
    left = replace(whole, pieces=whole.pieces[:2], end=End.LEFT)
    case = Case(left, dialect=NAMES[name.partition("/")[0]])
    assert {finding.check for finding in of_reply(case) if finding.level == FAIL} <= {"error-event", "finish-reason"}
