"""LANGGRAPH and LANGGRAPH_EVENTS: a run's messages, which come in chunks, as wholes that grow, and in the state."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sse_client import Cursor, ErrorEventReceived, LastEventID, Request, ServerSentEvent
from sse_client.dialects import LANGGRAPH, LANGGRAPH_EVENTS, Data, Finish, PartAdded, ToolResult

from .playing import Reply, digest
from .scripts import fuzz, play, recorded, replay

META = ("metadata", {"run_id": "r1", "attempt": 1})
HUMAN = {"type": "human", "content": "Rain?", "id": "h1"}


def ai(content: Any, id: Any = "a1", type: str = "ai", **fields: Any) -> dict[str, Any]:
    return {"type": type, "content": content, "id": id, **fields}


def chunk(content: Any, id: Any = "a1", **fields: Any) -> tuple[str, Any]:
    return "messages", [ai(content, id, "AIMessageChunk", **fields), {"langgraph_node": "agent"}]


def values(*messages: Any, **fields: Any) -> tuple[str, Any]:
    return "values", {"messages": list(messages), **fields}


def piece(args: Any = None, index: Any = 0, **fields: Any) -> dict[str, Any]:
    return {"tool_call_chunks": [{"args": args, "index": index, "type": "tool_call_chunk", **fields}]}


CALL = {"name": "rain", "args": {"city": "Ulm"}, "id": "c1", "type": "tool_call"}
TOOL = {"type": "tool", "content": "wet", "tool_call_id": "c1", "id": "t1"}
USAGE = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4, "input_token_details": {"cache_read": 2}}
CHUNKS = [
    chunk("", **piece("", id="c1", name="rain")),
    chunk("", **piece('{"city": ')),
    chunk("", **piece('"Ulm"}'), usage_metadata=USAGE),
    chunk("", response_metadata={"finish_reason": "tool_calls", "model_name": "m"}),
    ("messages", [TOOL, {}]),
    chunk("It ", "a2"),
    chunk("rains.", "a2", usage_metadata=USAGE),
    chunk("", "a2", response_metadata={"stop_reason": "end_turn"}, usage_metadata={"output_tokens": 5, "x": None}),
]
STATE = [HUMAN, ai("", tool_calls=[CALL]), TOOL, ai("It rains.", "a2")]


def test_chunks() -> None:
    """A run in chunks: a call, its result, a text; the state at the end says nothing new but itself."""
    reply = play(LANGGRAPH, META, *CHUNKS, values(*STATE))
    call = ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "UsageUpdate", "ToolCallEnd", "Finish", "ToolResult"]
    assert reply.kinds == [*call, "TextDelta", "TextDelta", "UsageUpdate", "Finish", "Data"]
    message = reply.message
    assert (message.id, message.model, message.role) == ("r1", "m", "assistant")
    assert (message.text, message.last_text) == ("It rains.", "It rains.")
    assert (message.tool_calls[0].input, message.tool_calls[0].output) == ({"city": "Ulm"}, "wet")
    assert message.usage is not None
    assert (message.usage.input_tokens, message.usage.output_tokens, message.usage.cached_tokens) == (3, 6, 2)
    assert message.native_finish_reason == "end_turn"
    assert message.ended_well
    assert message.native == {"messages": STATE}


def test_text_that_comes_only_with_the_state() -> None:
    """Without chunks, the messages since the user's last one come as deltas, once; those of earlier turns do not."""
    before = [{"type": "human", "content": "Hi", "id": "h0"}, ai("Ho", "a0")]
    turns = [before, [*before, HUMAN], [*before, *STATE[:2]], [*before, *STATE[:3]], [*before, *STATE]]
    reply = play(LANGGRAPH, META, *(values(*messages) for messages in turns[1:]))
    call = ["ToolCallStart", "ToolCallDelta", "ToolCallEnd"]
    assert reply.kinds == ["Data", "Data", *call, "Data", "ToolResult", "Data", "TextDelta"]
    assert (reply.message.text, reply.message.finish_reason) == ("It rains.", None)
    assert reply.error is None


def test_a_message_that_the_state_has_alone() -> None:
    """A message that no chunk told is handed out beside those that came so; one with the same text is not."""
    reply = play(LANGGRAPH, chunk("It "), chunk("rains."), values(HUMAN, ai("It rains.", "other"), ai("Bye.", "a2")))
    assert (reply.message.text, reply.message.last_text) == ("It rains.Bye.", "Bye.")


def test_messages_that_grow() -> None:
    """A whole message that goes on with the one before is a delta, else it replaces; calls end with the last one."""
    partial = [
        ("messages/metadata", {"a1": {}}),
        ("messages/partial", [ai("It")]),
        ("messages/partial", [ai("It rains", tool_calls=[{**CALL, "args": {"city": "U"}}])]),
        ("messages/complete", [ai("It rains.", tool_calls=[CALL], response_metadata={"finish_reason": "stop"})]),
        ("messages/complete", [HUMAN]),
    ]
    reply = play(LANGGRAPH, *partial[:3])
    assert reply.message.tool_calls[0].partial == {"city": "U"}
    assert not reply.message.tool_calls[0].is_whole
    reply = play(LANGGRAPH, *partial, values(HUMAN, ai("It rains.")))
    call = ["TextDelta", "ToolCallStart", "TextDelta", "ToolCallDelta", "ToolCallEnd", "Finish"]
    assert reply.kinds == ["Data", "TextDelta", *call, "Data", "Data"]
    assert reply.message.tool_calls[0].input == {"city": "Ulm"}
    reply = play(LANGGRAPH, ("messages/partial", [ai("It rains")]), ("messages/partial", [ai("Sun")]))
    assert reply.kinds == ["TextDelta", "Replaced"]
    assert reply.message.text == "Sun"


def test_blocks() -> None:
    """Content may be blocks: text and reasoning of several makers; calls come again beside it; others are parts."""
    image = {"type": "image_url", "image_url": {"url": "x"}, "index": 9}
    reply = play(
        LANGGRAPH,
        chunk([{"type": "thinking", "thinking": "Hm", "index": 0}]),
        chunk([{"type": "thinking", "thinking": ".", "index": 0, "signature": "s"}]),
        chunk([{"type": "text", "text": "It ", "index": 1}, "rains."]),
        chunk([{"type": "reasoning", "summary": [{"text": "So"}, 1]}, {"type": "reasoning", "reasoning": "!"}, image]),
        chunk([{"type": "tool_use", "id": "c1"}, image, {}, 1]),
        chunk("", additional_kwargs={"reasoning_content": "Deep"}),
    )
    assert (reply.message.text, reply.message.reasoning) == ("It rains.", "Hm.So!Deep")
    assert [delta.part.native for delta in reply.deltas if isinstance(delta, PartAdded)] == [image]
    whole = ai([{"type": "text", "text": "It "}, {"type": "text", "text": "rains."}, "!"])
    reply = play(LANGGRAPH, values(HUMAN, whole), values(HUMAN, whole))
    assert reply.message.text == "It rains.!"


def test_nodes_at_the_same_time() -> None:
    """Messages of several nodes interleave: each grows its own part."""
    reply = play(LANGGRAPH, chunk("A", "a"), chunk("B", "b"), chunk("a", "a"), chunk("b", "b"))
    assert [part.text for part in reply.message.parts] == ["Aa", "Bb"]  # type: ignore[attr-defined]


def test_calls_without_an_index() -> None:
    """Pieces of calls go by their index, else by their ID, else they go on with the last one."""
    reply = play(
        LANGGRAPH,
        chunk("", **piece("{", None, id="c1", name="f")),
        chunk("", **piece("}", None)),
        chunk("", **piece({"x": 1}, None, id="c2", name="g")),
        chunk("", "b", **piece("{}", None)),
        chunk("", "b", response_metadata={"finish_reason": "tool_use"}),
    )
    assert [(call.id, call.arguments) for call in reply.message.tool_calls] == [
        ("c1", "{}"),
        ("c2", '{"x":1}'),
        (None, "{}"),
    ]
    assert reply.message.ended_well


def test_a_whole_message_in_the_place_of_a_chunk() -> None:
    """A model that does not stream sends whole messages, with parsed calls; a chunk only guesses at its calls."""
    reply = play(LANGGRAPH, ("messages", [ai("Ok", tool_calls=[CALL]), {}]), chunk("", "b", tool_calls=[CALL]))
    assert reply.kinds == ["TextDelta", "ToolCallStart", "ToolCallDelta", "ToolCallEnd"]


def test_serialized_messages() -> None:
    """Some servers send LangChain's serialized objects, others roles, or no type at all."""
    made = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "AIMessageChunk"], "kwargs": {"content": "A"}}
    reply = play(LANGGRAPH, ("messages", [made, {}]), ("messages", [{"role": "assistant", "content": "b"}, {}]))
    assert reply.message.text == "Ab"
    assert play(LANGGRAPH, ("messages/partial", [{"content": "hel"}])).message.text == "hel"


def test_what_is_beside_the_messages() -> None:
    """Updates, custom events, the states of subgraphs, and messages of others are data."""
    beside: list[tuple[str, Any]] = [
        *(("updates", {"agent": {}}), ("custom", 1), ("debug", {}), ("events", []), ("tasks", {}), ("checkpoints", {})),
        *(("values|sub:1", {"messages": [ai("no")]}), ("messages|sub:1", [HUMAN, {}]), ("messages", {}), ("end", {})),
    ]
    reply = play(LANGGRAPH, META, "", *beside, META)
    assert reply.deltas == [Data(name, value) for name, value in beside]
    assert (reply.has_terminator, reply.message.native) == (True, None)
    assert play(LANGGRAPH, ("messages|sub:1", [ai("yes"), {}]), ("end", None)).message.text == "yes"


@pytest.mark.parametrize("name", ["updates", "values"])
def test_an_interrupt(name: str) -> None:
    """A run that waits for its user has an interrupt in its state, or in an update."""
    reply = play(LANGGRAPH, META, chunk("Sure?"), (name, {"__interrupt__": [{"value": "ok?"}]}))
    assert reply.deltas[-1] == Finish("pause", "interrupt")
    assert (reply.error, reply.message.ended_well) == (None, False)


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("refusal", "refusal"),
        ("x", "other"),
    ],
)
def test_reasons(native: str, reason: Any) -> None:
    """The reasons of the models, in the words of all dialects."""
    reply = play(LANGGRAPH, chunk("A", response_metadata={"finish_reason": native}))
    assert reply.deltas[-1] == Finish(reason, native)
    assert (reply.error, reply.message.ended_well) == (None, False)


def test_the_end_is_not_told() -> None:
    """A clean end is taken for the end: the protocol does not say; the reason is not known then."""
    reply = play(LANGGRAPH, META, chunk("It "))
    assert (reply.is_complete, reply.error, reply.message.finish_reason) == (None, None, None)
    assert not reply.message.ended_well


def test_errors() -> None:
    """An error is raised, with its class as the code; also the one in the state of a run that did not stream."""
    failed = {"error": "ValueError", "message": "exploded"}
    for script in ([META, ("error", failed)], [chunk("A"), ("error|sub:1", failed)], [{"__error__": failed}]):
        reply = play(LANGGRAPH, *script)
        assert isinstance(reply.error, ErrorEventReceived)
        assert (str(reply.error), reply.code) == ("exploded", "ValueError")


def test_a_whole_response() -> None:
    """The state that a run returns without streaming is read; one without messages is data."""
    whole = {"messages": STATE, "n": 1}
    reply = play(LANGGRAPH, whole)
    assert (reply.message.text, reply.message.native) == ("It rains.", whole)
    assert len([delta for delta in reply.deltas if isinstance(delta, ToolResult)]) == 1
    assert play(LANGGRAPH, {"n": 1}).deltas == [Data("message", {"n": 1})]
    assert play(LANGGRAPH, {"n": 1}).message.native == {"n": 1}


def test_messages_without_ids() -> None:
    """In the state, messages without IDs go by their place."""
    state = [HUMAN, ai("A", None, usage_metadata=USAGE), ai("B", None, usage_metadata=USAGE)]
    reply = play(LANGGRAPH, values(*state), values(*state))
    assert reply.kinds == ["Data", "TextDelta", "UsageUpdate", "TextDelta", "Data"]


LOCATIONS = [
    ("/threads/t/runs/r/stream", True),
    ("stream?x=1", True),
    ("https://host/threads/t", True),
    ("", False),
    ("https://other/threads/t", False),
    ("http://host/threads/t", False),
    ("//other/threads/t", False),
    ("https://[/", False),
]


@pytest.mark.parametrize(("location", "is_followed"), LOCATIONS, ids=[each for each, _ in LOCATIONS])
def test_resuming(location: str, is_followed: bool) -> None:
    """A run is joined at the URL that the server names, unless that is of another origin."""
    resume = LANGGRAPH.resume
    assert isinstance(resume, LastEventID)
    assert resume.method == "GET"
    assert callable(resume.url)
    response = SimpleNamespace(headers={"location": location}, url="https://host/runs/stream")
    assert resume.url(response) == (location if is_followed else None)


def test_any_shape() -> None:
    """Events of any shape are read."""
    blocks = chunk([{"type": "thinking", "thinking": "Hm", "index": 0}, {"type": "image", "index": 1}], "a3")
    fuzz(LANGGRAPH, META, *CHUNKS[:3], CHUNKS[4], blocks, CHUNKS[-1])
    fuzz(
        LANGGRAPH, META, values(*STATE), ("messages/partial", [ai([{"type": "text", "text": "a"}], tool_calls=[CALL])])
    )


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    if expected["error"]:
        assert isinstance(reply.error, ErrorEventReceived)
        assert digest(reply.error.code) == expected["error"]["error"]
        assert digest(reply.said) == expected["error"]["message"]
        assert reply.message.text == ""  # the expected one is the user's own message
    else:
        assert reply.error is None
        assert digest(reply.message.last_text) == expected["text"]
    assert reply.message.native_finish_reason == expected["finish_reason"]
    assert [call.id for call in reply.message.tool_calls] == expected["tool_calls"]


@pytest.mark.parametrize("expected", recorded("langgraph"))
def test_recorded(expected: dict[str, Any]) -> None:
    """Recorded streams give the expected results, also if the text comes only with the state."""
    reply = replay(LANGGRAPH, expected)
    check_expected(reply, expected)


# Protocol version 3.


def of(method: str, data: Any, *, seq: Any = None, where: Any = ()) -> dict[str, Any]:
    return {"type": "event", "seq": seq, "method": method, "params": {"namespace": list(where), "data": data}}


def step(event: str, index: int = 0, where: Any = ("agent",), **fields: Any) -> dict[str, Any]:
    return of("messages", {"event": event, "index": index, **fields}, where=where)


def text(value: str, index: int = 0) -> dict[str, Any]:
    return step("content-block-delta", index, delta={"type": "text-delta", "text": value})


RUNNING, COMPLETED = of("lifecycle", {"event": "running"}), of("lifecycle", {"event": "completed"})
BEGIN = step("message-start", id="a1", role="ai")
V3 = [
    RUNNING,
    BEGIN,
    step("content-block-start", content={"type": "reasoning", "reasoning": ""}),
    step("content-block-delta", delta={"type": "reasoning-delta", "reasoning": "Hm."}),
    step("content-block-finish", content={"type": "reasoning", "reasoning": "Hm."}),
    step("content-block-start", 1, content={"type": "tool_call_chunk", "id": "c1", "name": "rain", "args": ""}),
    step(
        "content-block-delta", 1, delta={"type": "block-delta", "fields": {"type": "tool_call_chunk", "args": '{"ci'}}
    ),
    step(
        *("content-block-delta", 1),
        delta={"type": "block-delta", "fields": {"type": "tool_call_chunk", "args": '{"city": "Ulm"}'}},
    ),
    step("content-block-finish", 1, content=CALL),
    step("message-finish", reason="tool_use", usage=USAGE),
    of("tools", {"event": "tool-started", "tool_call_id": "c1"}, where=["tools"]),
    of("tools", {"event": "tool-finished", "tool_call_id": "c1", "output": "wet"}, where=["tools"]),
    step("message-start", id="a2", role="ai"),
    step("content-block-start", content={"type": "text", "text": ""}),
    text("It "),
    text("rains."),
    step("content-block-finish", content={"type": "text", "text": "It rains."}),
    step("message-finish", reason="stop"),
    of("values", {"messages": STATE}),
    COMPLETED,
]


def test_version_3() -> None:
    """A run in blocks: reasoning, a call, its result, a text; its lifecycle makes it complete."""
    reply = play(LANGGRAPH_EVENTS, *V3)
    call = ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd", "UsageUpdate", "Finish"]
    tail = ["Data", "ToolResult", "TextDelta", "TextDelta", "Finish", "Data", "Data"]
    assert reply.kinds == ["Data", "ReasoningDelta", *call, *tail]
    message = reply.message
    assert (message.text, message.reasoning, message.native) == ("It rains.", "Hm.", {"messages": STATE})
    assert (message.tool_calls[0].input, message.tool_calls[0].output) == ({"city": "Ulm"}, "wet")
    assert message.ended_well
    for count in range(1, len(V3)):
        assert play(LANGGRAPH_EVENTS, *V3[:count]).error is not None


@pytest.mark.parametrize(
    ("state", "reason"),
    [("completed", "stop"), ("failed", "error"), ("interrupted", "pause"), ("cancelled", "cancelled")],
)
def test_lifecycles(state: str, reason: Any) -> None:
    """How the lifecycle ends says how the reply does; that of a subgraph, or an unknown one, says nothing."""
    beside = [of("lifecycle", {"event": state}, where=["sub"]), of("lifecycle", {"event": "sleeping"})]
    reply = play(LANGGRAPH_EVENTS, *beside, of("lifecycle", {"event": state}))
    assert reply.deltas[-1] == Finish(reason, state)
    assert reply.is_complete
    assert play(LANGGRAPH_EVENTS, RUNNING, *beside).error is not None


def test_a_stream_without_a_lifecycle() -> None:
    """If the lifecycle was not asked for, the stream does not say when the run ends."""
    reply = play(LANGGRAPH_EVENTS, BEGIN, text("It "))
    assert (reply.is_complete, reply.error) == (None, None)


def test_a_message_that_is_told_again() -> None:
    """The end of a node tells its messages again, and those of its user: they say nothing new."""
    again = [step("message-start", id="a1", role="ai"), step("message-start", id="h1", role="human")]
    reply = play(LANGGRAPH_EVENTS, BEGIN, text("Hi"), *[each for start in again for each in (start, text("Hi"))])
    assert (reply.kinds, reply.message.text) == (["TextDelta"], "Hi")


def test_earlier_drafts() -> None:
    """Earlier servers call the block `content_block` or `contentBlock`, send no IDs, and pieces of arguments."""
    first = {"type": "tool_call_chunk", "id": "c1", "name": "f", "args": "{"}
    reply = play(
        LANGGRAPH_EVENTS,
        step("content-block-delta", content_block={"type": "text", "text": "It "}),
        step("content-block-delta", contentBlock={"type": "text", "text": "rains."}),
        step("message-start"),
        step("content-block-start", 1, content_block=first),
        step("content-block-delta", 1, content_block={"type": "tool_call_chunk", "args": "}"}),
        step("content-block-finish", 1, content_block={"type": "invalid_tool_call", "args": None}),
        step("content-block-finish", 2, content={"type": "image", "url": "x"}),
        step("content-block-flip", 2),
        step("message-finish"),
    )
    calls = ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd"]
    assert reply.kinds == ["TextDelta", "TextDelta", *calls, "PartAdded", "Data"]
    assert reply.message.tool_calls[0].arguments == "{}"


def test_tools_of_version_3() -> None:
    """A tool may fail; the result of an unknown call is data."""
    error = {"event": "tool-error", "tool_call_id": "c1", "message": "dry"}
    reply = play(LANGGRAPH_EVENTS, *V3[:9], of("tools", error), of("tools", {**error, "tool_call_id": "c2"}))
    assert reply.kinds[-2:] == ["ToolResult", "Data"]
    assert reply.message.tool_calls[0].error == "dry"


def test_what_version_3_has_beside() -> None:
    """Other channels, and responses to commands, are data; an error is raised."""
    sub = of("values", {"messages": [ai("no")]}, where=["sub"])
    reply = play(LANGGRAPH_EVENTS, "", {"type": "success", "id": 1}, of("custom", 1), sub, {"messages": [ai("yes")]})
    assert [delta.kind for delta in reply.deltas if isinstance(delta, Data)] == [
        "success",
        "custom",
        "values",
        "values",
    ]
    assert reply.message.text == "yes"
    reply = play(LANGGRAPH_EVENTS, {"type": "error", "id": 1, "error": "no_such_run", "message": "unknown"})
    assert (str(reply.error), reply.code) == ("unknown", "no_such_run")


def test_resuming_version_3() -> None:
    """The same request asks for the events since the last number; those that come again are dropped then."""
    assert LANGGRAPH_EVENTS.reader is not None
    reader = LANGGRAPH_EVENTS.reader()
    events = [of("custom", seq, seq=seq) for seq in (1, 1, 2)]
    made = [ServerSentEvent(data=json.dumps(each)) for each in events]
    assert [len(reader.read(each)) for each in made] == [1, 1, 1]
    reader.resumed()
    assert [len(reader.read(each)) for each in made] == [0, 0, 0]
    resume = LANGGRAPH_EVENTS.resume
    assert isinstance(resume, Cursor)
    request = Request(method="POST", url="/threads/t/stream", json={"channels": ["messages"]})
    cursor = resume.advance(resume.initial, made[0])
    assert cursor == resume.advance(1, ServerSentEvent(data="{}")) == resume.advance(1, ServerSentEvent(data="?")) == 1
    again = resume.request(cursor, request)
    assert again is not None
    assert again.json == {"channels": ["messages"], "since": 1}
    assert resume.request(None, request) is None
    assert resume.request(1, Request(method="POST", url="/")) is None


def test_any_shape_of_version_3() -> None:
    """Events of any shape are read."""
    fuzz(LANGGRAPH_EVENTS, *V3[1:13], V3[14], of("values", {"messages": STATE[:2]}), COMPLETED)
