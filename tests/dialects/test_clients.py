"""The dialects through the clients: resuming, transient errors, whole responses, ends, handlers, the final message."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import Shell

from sse_client import (
    ContentTypeError,
    DecodeError,
    Dialect,
    ErrorEventReceived,
    EventStream,
    Handlers,
    RetryPolicy,
    StreamCancelled,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
)
from sse_client.dialects import (
    ANTHROPIC_MESSAGES,
    COHERE_CHAT,
    GEMINI,
    LANGGRAPH,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    Delta,
    Finish,
    Message,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    UsageUpdate,
    mcp_call,
)
from sse_client.testing import FIN, Answer, Pause, scripted_transport

from .playing import Reply, check, outline
from .replies import (
    ANTHROPIC_START,
    ANTHROPIC_TEXT,
    CHAT,
    CREATED,
    DONE,
    FUNCTION_CALL,
    ITEM,
    OUTPUT_CALL,
    OUTPUT_TEXT,
    PROTOCOLS,
    USAGE,
    Protocol,
    chunk,
    datum,
    event,
    response,
)
from .scripts import encode
from .test_langgraph import META
from .test_langgraph import chunk as said
from .test_mcp import PROGRESS, RESULT
from .test_mcp import response as mcp_response
from .through import THREE, URL, answer, read, three_shells

SYNC = THREE[0]
RETRY = RetryPolicy(max_retries=2)
JSON = {"Content-Type": "application/json"}


async def done(value: Any) -> Any:
    """The result of a method, sync or async."""
    return await value if inspect.isawaitable(value) else value


async def loop(stream: Any, count: int = -1) -> list[Delta]:
    """All deltas of a loop, or so many."""
    deltas: list[Delta] = []
    if isinstance(stream, EventStream):
        for delta in stream:
            deltas.append(delta)
            if len(deltas) == count:
                break
    else:
        async for delta in stream:
            deltas.append(delta)
            if len(deltas) == count:
                break
    return deltas


def run(shell: Shell, answers: Any, test: Callable[[Any], Awaitable[None]], **options: Any) -> Any:
    """Run a test on an open stream; return its transport."""
    transport = scripted_transport(*answers)

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            stream = client.post(URL, json={}, **{"retry": None, **options})
            await test(await done(stream.open()))
            await done((stream.close if isinstance(stream, EventStream) else stream.aclose)())

    shell.run(main)
    return transport


# Any cut.


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_cut(protocol: Protocol, data: st.DataObject) -> None:
    """However the bytes are cut, the deltas and the message are the same."""
    stream = encode(*protocol.whole).replace(b"\n", data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"])))
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    reply = read(SYNC, protocol.dialect, answer(pieces))
    whole = read(SYNC, protocol.dialect, answer(encode(*protocol.whole)))
    check(reply)
    assert (outline(reply.message), reply.kinds) == (outline(whole.message), whole.kinds)


# Resuming.


def numbered(*values: Any) -> list[str]:
    """Events with an ID, from 1 on; a text is data as it stands."""
    lines = [each if isinstance(each, tuple) else ("message", each) for each in values]
    return [
        f"event: {name}\nid: {number}\ndata: {json.dumps(each)}\n\n" for number, (name, each) in enumerate(lines, 1)
    ]


def sequenced(is_background: bool) -> list[str]:
    """The events of a response, with their numbers."""
    created = event("created", response=response("queued", background=is_background))
    completed = event("completed", response=response("completed", output=[ITEM, FUNCTION_CALL], usage=USAGE))
    values = [value for _, value in (created, *OUTPUT_TEXT, *OUTPUT_CALL, completed)]
    return [f"data: {json.dumps({**each, 'sequence_number': n})}\n\n" for n, each in enumerate(values)]


RUN = numbered(META, said("It "), said("rains."), ("values", {"messages": []}))
CALL = numbered(PROGRESS, PROGRESS, mcp_response(RESULT))
RUN_URL = {"Location": "/threads/t/runs/r/stream"}


@three_shells
@pytest.mark.parametrize("repeats", [False, True], ids=["exact", "repeating"])
def test_a_response_is_resumed_after_any_event(shell: Shell, repeats: bool) -> None:
    """A response in the background goes on after the cut, wherever that is: each event once, one message."""
    events = sequenced(is_background=True)
    whole = read(SYNC, OPENAI_RESPONSES, answer("".join(events).encode()))
    for count in range(1, len(events)):
        rest = events[max(count - 2, 0) if repeats else count :]
        first, second = Answer("".join(events[:count]), FIN), Answer("".join(rest))
        replies: list[Reply] = []

        async def test(stream: Any, replies: list[Reply] = replies) -> None:
            deltas = await loop(stream)
            replies.append(Reply(await done(stream.final()), deltas))

        transport = run(shell, [first, second], test, dialect=OPENAI_RESPONSES)
        check(replies[0])
        assert (outline(replies[0].message), replies[0].kinds) == (outline(whole.message), whole.kinds)
        assert [(each.method, each.target) for each in transport.requests] == [
            ("POST", "/v1/stream"),
            ("GET", f"/v1/stream/r1?stream=true&starting_after={count - 1}"),
        ]


@three_shells
@pytest.mark.parametrize(
    ("dialect", "events", "headers", "target", "ends"),
    [
        (LANGGRAPH, RUN, RUN_URL, "/threads/t/runs/r/stream", [(FIN,)]),
        (mcp_call(2), CALL, {}, "/v1/stream", [(FIN,), ()]),
    ],
    ids=["langgraph", "mcp"],
)
def test_resumed_after_any_event(
    shell: Shell, dialect: Dialect[Delta, Message], events: list[str], headers: Any, target: str, ends: list[Any]
) -> None:
    """LangGraph's run is joined at its Location, MCP's call at its own URL, after the last event: one message."""
    whole = read(SYNC, dialect, answer("".join(events).encode()))
    for count in range(1, len(events)):
        for end in ends:
            first, second = Answer("".join(events[:count]), *end, headers=headers), Answer("".join(events[count:]))
            transport = scripted_transport(first, second)
            made = shell.read(URL, http={"transport": transport}, dialect=dialect, json={})
            assert made.error is None
            assert [type(each).__name__ for each in made.events] == whole.kinds
            assert made.stream is not None
            assert outline(made.stream.snapshot) == outline(whole.message)
            assert [(each.method, each.target) for each in transport.requests] == [
                ("POST", "/v1/stream"),
                ("GET", target),
            ]
            assert transport.requests[1].headers["last-event-id"] == str(count)


@three_shells
@pytest.mark.parametrize(
    ("dialect", "first"),
    [
        (OPENAI_RESPONSES, "".join(sequenced(is_background=False)[:4])),
        (LANGGRAPH, "".join(RUN[:2])),
        (mcp_call(2), encode(PROGRESS).decode()),
        (OPENAI_CHAT, encode(*CHAT).decode()),
        (ANTHROPIC_MESSAGES, encode(ANTHROPIC_START, *ANTHROPIC_TEXT).decode()),
    ],
    ids=["responses", "langgraph", "mcp", "chat", "anthropic"],
)
def test_what_cannot_be_resumed(shell: Shell, dialect: Dialect[Delta, Message], first: str) -> None:
    """If the server keeps no events, the cut is raised, and nothing is requested again."""
    transport = scripted_transport(Answer(first, FIN))
    made = shell.read(URL, http={"transport": transport}, dialect=dialect, json={})
    assert isinstance(made.error, StreamInterrupted)
    assert made.stream is not None
    assert made.error.partial is made.stream.snapshot
    assert len(transport.requests) == 1


@three_shells
def test_a_run_that_another_origin_would_join(shell: Shell) -> None:
    """LangGraph's run is not joined at another origin, which would get the user's token: the cut is raised."""
    transport = scripted_transport(Answer(RUN[0] + RUN[1], FIN, headers={"Location": "https://other/x"}))
    made = shell.read(URL, http={"transport": transport}, dialect=LANGGRAPH, json={})
    assert isinstance(made.error, StreamInterrupted)
    assert len(transport.requests) == 1


# Transient errors.

OVERLOADED = encode(("error", {"type": "error", "error": {"type": "overloaded_error", "message": "sorry"}})).decode()
ANTHROPIC_WHOLE = encode(*PROTOCOLS["anthropic"].whole).decode()
TRANSIENT: dict[str, tuple[Dialect[Delta, Message], Any, str]] = {
    "anthropic": (ANTHROPIC_MESSAGES, ANTHROPIC_START, OVERLOADED),
    "chat": (OPENAI_CHAT, CHAT[0], encode({"error": {"code": "server_error", "message": "sorry"}}).decode()),
    "responses": (
        OPENAI_RESPONSES,
        CREATED,
        encode({"type": "error", "code": "rate_limit_exceeded", "message": "sorry"}).decode(),
    ),
    "gemini": (GEMINI, {"responseId": "g0"}, encode({"error": {"code": 503, "message": "sorry"}}).decode()),
}


@three_shells
@pytest.mark.parametrize("name", TRANSIENT)
def test_a_transient_error_before_any_delta(shell: Shell, name: str) -> None:
    """The request is sent again, as after a response of that kind: one message, and no delta comes twice."""
    dialect, start, error = TRANSIENT[name]
    whole = encode(*PROTOCOLS[name].whole).decode()
    answers = [Answer(encode(start).decode() + error), Answer(error), Answer(whole)]
    reply = read(shell, dialect, *answers, retry=RETRY)
    expected = read(SYNC, dialect, answer(whole.encode()))
    assert reply.error is None
    check(reply)
    assert (outline(reply.message), reply.kinds) == (outline(expected.message), expected.kinds)


@three_shells
@pytest.mark.parametrize("name", TRANSIENT)
def test_a_transient_error_after_a_delta(shell: Shell, name: str) -> None:
    """Once the user has had a delta, the error is raised; it says that it may pass."""
    dialect, _, error = TRANSIENT[name]
    script = PROTOCOLS[name].whole
    firsts = [encode(*script[:count]) for count in range(len(script))]
    first = next(each for each in firsts if read(SYNC, dialect, answer(each)).deltas)
    reply = read(shell, dialect, Answer(first, error), retry=RETRY)
    assert isinstance(reply.error, ErrorEventReceived)
    assert reply.error.is_transient
    assert reply.error.partial is reply.message
    assert reply.deltas


@pytest.mark.parametrize("stray", PROTOCOLS["gemini"].strays[:1])
def test_a_transient_error_outside_any_event(stray: bytes) -> None:
    """The same of an error that Vertex sends without `data:`; after a delta it is raised."""
    whole = encode(*PROTOCOLS["gemini"].whole)
    reply = read(SYNC, GEMINI, Answer(encode({"responseId": "g0"}), stray), Answer(whole), retry=RETRY)
    assert (reply.error, reply.message.id, reply.message.ended_well) == (None, "g1", True)
    reply = read(SYNC, GEMINI, Answer(encode(datum("It ")), stray), retry=RETRY)
    assert isinstance(reply.error, ErrorEventReceived)
    assert (reply.error.is_transient, reply.message.text) == (True, "It ")


@three_shells
@pytest.mark.parametrize("has_batch", [False, True], ids=["plain", "batch"])
def test_a_transient_error_in_a_dispatch(shell: Shell, has_batch: bool) -> None:
    """Handlers see the retry, and then each delta once, also if a batch has the stream read ahead."""
    seen: list[str] = []
    on = Handlers()
    on.retry(lambda: seen.append("retry"))
    if has_batch:
        on.batch(TextDelta, interval=0.05)(lambda deltas: seen.extend(delta.text for delta in deltas))
    else:
        on(TextDelta)(lambda delta: seen.append(delta.text))

    async def test(stream: Any) -> None:
        await done(stream.dispatch(on))
        assert stream.snapshot.ended_well

    first = Answer(encode(ANTHROPIC_START).decode() + OVERLOADED)
    run(shell, [first, Answer(ANTHROPIC_WHOLE)], test, dialect=ANTHROPIC_MESSAGES, retry=RETRY)
    assert seen == ["retry", "It ", "rains."]


def test_an_error_that_does_not_pass() -> None:
    """An error that is not transient is raised at once, and so is a transient one when the attempts are used up."""
    invalid = encode({"type": "error", "error": {"type": "invalid_request_error", "message": "sorry"}}).decode()
    reply = read(SYNC, ANTHROPIC_MESSAGES, Answer(invalid), retry=RETRY)
    assert isinstance(reply.error, ErrorEventReceived)
    assert not reply.error.is_transient
    reply = read(SYNC, ANTHROPIC_MESSAGES, *[Answer(OVERLOADED)] * 3, retry=RETRY)
    assert isinstance(reply.error, ErrorEventReceived)
    assert "gave up after 3 attempts" in str(reply.error)


# JSON instead of a stream.

FUNCTION = {"id": "t1", "type": "function", "function": {"name": "rain", "arguments": '{"city": "Ulm"}'}}
SPOKEN = {"role": "assistant", "content": "It rains.", "tool_calls": [FUNCTION]}
TOOL_USE = {"type": "tool_use", "id": "t1", "name": "rain", "input": {"city": "Ulm"}}
WHOLE: dict[str, Any] = {
    "chat": {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": SPOKEN, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    },
    "responses": response("completed", output=[ITEM, FUNCTION_CALL], usage=USAGE),
    "anthropic": {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "It rains."}, TOOL_USE],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 5},
    },
    "gemini": datum("It rains.", {"functionCall": {"name": "rain", "args": {"city": "Ulm"}}}, reason="STOP"),
    "cohere": {
        "id": "m1",
        "finish_reason": "TOOL_CALL",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "It rains."}], "tool_calls": [FUNCTION]},
    },
}
WHOLE["mistral"] = WHOLE["chat"]


@three_shells
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_response(shell: Shell, name: str) -> None:
    """With `accept_json=True` a response that was not streamed is read too; it is `native` as it came."""
    reply = read(shell, PROTOCOLS[name].dialect, Answer(json.dumps(WHOLE[name]), headers=JSON), accept_json=True)
    check(reply)
    assert (reply.error, reply.is_complete) == (None, True)
    assert reply.message.text == "It rains."
    assert [(call.name, call.input, call.is_done) for call in reply.message.tool_calls] == [
        ("rain", {"city": "Ulm"}, True)
    ]
    assert reply.message.ended_well
    assert reply.message.native == WHOLE[name]


TASK = {
    "id": "t1",
    "status": {"state": "completed"},
    "artifacts": [{"artifactId": "a", "parts": [{"text": "It rains."}]}],
}
SAYS = {"role": "assistant", "content": "It rains.", "id": "a1"}
WHOLE_RUNS: dict[str, tuple[Any, Any]] = {
    "mcp": (mcp_response(RESULT), RESULT),
    "a2a": ({"jsonrpc": "2.0", "id": 1, "result": {"kind": "task", **TASK}}, {"kind": "task", **TASK}),
    "dify": ({"event": "message", "mode": "chat", "message_id": "m1", "answer": "It rains.", "metadata": {}}, None),
    "vercel": ({"id": "m1", "role": "assistant", "parts": [{"type": "text", "text": "It rains."}]}, None),
    "ag_ui": ({"messages": [SAYS], "state": {"mm": 4}}, None),
    "langgraph": ({"messages": [{**SAYS, "type": "ai"}]}, None),
}


@three_shells
@pytest.mark.parametrize("name", WHOLE_RUNS)
def test_a_whole_run(shell: Shell, name: str) -> None:
    """The same of agents: what they return without streaming is read, and is `native`."""
    value, native = WHOLE_RUNS[name]
    reply = read(shell, PROTOCOLS[name].dialect, Answer(json.dumps(value), headers=JSON), accept_json=True)
    check(reply)
    assert (reply.error, reply.is_complete) == (None, True)
    assert reply.message.text == "It rains."
    assert reply.message.native == (value if native is None else native)


@pytest.mark.parametrize(
    ("dialect", "value"),
    [
        (OPENAI_RESPONSES, response("queued")),
        (OPENAI_CHAT, {**WHOLE["chat"], "choices": [{"index": 0, "message": SPOKEN, "finish_reason": None}]}),
        (GEMINI, [datum("It ")]),
        (mcp_call(2), PROGRESS),
    ],
    ids=["responses", "chat", "gemini", "mcp"],
)
def test_a_response_that_is_not_whole(dialect: Dialect[Delta, Message], value: Any) -> None:
    """JSON that is not all of the reply is a truncation, as an early end of a stream is."""
    reply = read(SYNC, dialect, Answer(json.dumps(value), headers=JSON), accept_json=True)
    check(reply)
    assert isinstance(reply.error, StreamTruncated)
    assert reply.error.partial is reply.message
    assert not reply.message.ended_well


def test_a_list_of_responses() -> None:
    """Gemini without `alt=sse` returns one JSON array, of which each element is read as an event is."""
    data = [datum("It "), datum("rains.", reason="STOP")]
    reply = read(SYNC, GEMINI, Answer(json.dumps(data), headers=JSON))
    assert (reply.message.text, reply.is_complete, reply.message.ended_well) == ("It rains.", True, True)


def test_an_error_in_json() -> None:
    """JSON that is an error is raised, in a response and in a list of them."""
    error = {"error": {"code": 503, "message": "sorry", "status": "UNAVAILABLE"}}
    for value in (error, [error]):
        reply = read(SYNC, GEMINI, Answer(json.dumps(value), headers=JSON))
        assert isinstance(reply.error, ErrorEventReceived)
        assert (reply.error.code, reply.said) == (503, "sorry")


@pytest.mark.parametrize("name", ["chat", "mistral", "responses", "anthropic", "cohere"])
def test_a_request_that_asks_for_no_stream(name: str) -> None:
    """Without `accept_json`, JSON is an error, which says if the request did not ask for a stream."""
    for body, hint in (({}, True), ({"stream": False}, True), ({"stream": True}, False)):
        reply = read(SYNC, PROTOCOLS[name].dialect, Answer(json.dumps(WHOLE[name]), headers=JSON), json=body)
        assert isinstance(reply.error, ContentTypeError)
        assert ('the request has no "stream": true' in str(reply.error)) is hint


@three_shells
def test_a_message_that_is_accepted(shell: Shell) -> None:
    """MCP's 202 to a notification is an empty stream that is complete; the request accepts JSON and streams."""

    async def test(stream: Any) -> None:
        assert await loop(stream) == []
        assert stream.outcome == "completed"
        assert (await done(stream.final())).parts == []

    accepted = Answer(status=202, headers={"Content-Type": None}, framing="length")
    transport = run(shell, [accepted], test, dialect=mcp_call(2))
    assert transport.requests[0].headers["accept"] == "application/json, text/event-stream"


# Ends.


@three_shells
def test_done_reaches_the_reader(shell: Shell) -> None:
    """A chat without a finish reason ends at `[DONE]`, which ends its calls too; without it, it is truncated."""
    silent = [chunk({"content": "It "}), *PROTOCOLS["chat"].whole[3:5]]
    for has_blank_line in (True, False):
        data = encode(*silent, DONE)
        reply = read(shell, OPENAI_CHAT, answer(data if has_blank_line else data.removesuffix(b"\n\n")))
        assert (reply.error, reply.is_complete) == (None, True)
        assert isinstance(reply.deltas[-1], ToolCallEnd)
        assert reply.message.tool_calls[0].is_done
    assert isinstance(read(shell, OPENAI_CHAT, answer(encode(*silent))).error, StreamTruncated)


@three_shells
@pytest.mark.parametrize("missing", [b"\n", b"\n\n"], ids=["line end", "line ends"])
def test_an_unfinished_message_stop(shell: Shell, missing: bytes) -> None:
    """A `message_stop` counts without its last line end: the reply ends well, and its reason comes."""
    data = encode(*PROTOCOLS["anthropic"].whole)
    reply = read(shell, ANTHROPIC_MESSAGES, answer(data.removesuffix(missing)))
    whole = read(shell, ANTHROPIC_MESSAGES, answer(data))
    assert (reply.error, reply.is_complete, reply.message.ended_well) == (None, True, True)
    assert reply.deltas[-1] == Finish("tool_calls", "tool_use")
    assert (outline(reply.message), reply.kinds) == (outline(whole.message), whole.kinds)


def test_done_is_not_the_end_of_a_message() -> None:
    """`[DONE]` in place of a protocol's own end is a truncation, unless the reply is complete."""
    script = PROTOCOLS["cohere"].whole
    assert isinstance(read(SYNC, COHERE_CHAT, answer(encode(*script[:4], DONE))).error, StreamTruncated)
    assert isinstance(read(SYNC, ANTHROPIC_MESSAGES, answer(encode(ANTHROPIC_START, DONE))).error, StreamTruncated)


def test_a_strict_chat() -> None:
    """With `terminator=` in the call, `[DONE]` is required: a usage that is lost shows."""
    cut = encode(*PROTOCOLS["chat"].whole[:-2])
    assert read(SYNC, OPENAI_CHAT, answer(cut)).is_complete
    strict = Terminator(data="[DONE]")
    assert isinstance(read(SYNC, OPENAI_CHAT, answer(cut), terminator=strict).error, StreamTruncated)
    assert read(SYNC, OPENAI_CHAT, answer(encode(*PROTOCOLS["chat"].whole)), terminator=strict).message.ended_well


# Data that is not JSON.


@three_shells
@pytest.mark.parametrize("name", PROTOCOLS)
def test_data_that_is_not_json(shell: Shell, name: str) -> None:
    """Data that is not JSON is a `DecodeError`, after which the stream can be read on: nothing else is lost."""
    protocol = PROTOCOLS[name]
    script = protocol.whole
    whole = read(SYNC, protocol.dialect, answer(encode(*script)))

    async def test(stream: Any) -> None:
        deltas: list[Delta] = []
        with pytest.raises(DecodeError, match=r"not JSON: '\{oops'"):
            while True:
                deltas += await loop(stream, 1)
        deltas += await loop(stream)
        assert [type(each).__name__ for each in deltas] == whole.kinds
        assert outline(await done(stream.final())) == outline(whole.message)

    run(shell, [answer(encode(*script[:2], "{oops", *script[2:]))], test, dialect=protocol.dialect)


# The final message.


@three_shells
def test_the_final_message(shell: Shell) -> None:
    """`final()` returns the message after a loop, at once, and in the middle of one, by reading on."""

    async def after_a_loop(stream: Any) -> None:
        await loop(stream)
        message = await done(stream.final())
        assert message is stream.snapshot
        assert (message.text, message.ended_well) == ("It rains.", True)
        assert await done(stream.accumulate().final()) is message

    async def in_the_middle(stream: Any) -> None:
        await loop(stream, 1)
        assert stream.snapshot.text in ("It ", "It rains.")
        assert (await done(stream.final())).text == "It rains."

    for test in (after_a_loop, in_the_middle):
        run(shell, [answer(encode(*PROTOCOLS["chat"].whole))], test, dialect=OPENAI_CHAT)


@three_shells
def test_the_final_message_that_is_too_long(shell: Shell) -> None:
    """A reply that ended at its length is no error; the message says so."""

    async def test(stream: Any) -> None:
        message = await done(stream.final())
        assert (message.text, message.finish_reason, message.ended_well) == ("It rains.", "length", False)

    run(shell, [answer(encode(*CHAT, chunk(reason="length"), DONE))], test, dialect=OPENAI_CHAT)


@three_shells
def test_no_final_message(shell: Shell) -> None:
    """After a cut, or if the stream was closed, `final()` raises how it ended, with the message so far."""

    async def cut(stream: Any) -> None:
        with pytest.raises(StreamTruncated) as caught:
            await done(stream.final())
        assert caught.value.partial is stream.snapshot
        assert stream.snapshot.text == "It rains."

    async def closed(stream: Any) -> None:
        await loop(stream, 1)
        await done((stream.close if isinstance(stream, EventStream) else stream.aclose)())
        with pytest.raises(StreamCancelled) as caught:
            await done(stream.final())
        assert isinstance(caught.value.partial, Message)
        assert not caught.value.partial.ended_well

    run(shell, [answer(encode(*CHAT))], cut, dialect=OPENAI_CHAT)
    run(shell, [Answer(encode(*CHAT[:2]), Pause(99))], closed, dialect=OPENAI_CHAT)


@three_shells
def test_only(shell: Shell) -> None:
    """`only()` hands out the deltas of some classes; the message has all of them."""

    async def test(stream: Any) -> None:
        found = stream.only(TextDelta, ToolCallEnd)
        deltas = list(found) if isinstance(stream, EventStream) else [each async for each in found]
        assert [type(each) for each in deltas] == [TextDelta, TextDelta, ToolCallEnd]
        assert (await done(stream.final())).usage is not None

    run(shell, [answer(encode(*PROTOCOLS["chat"].whole))], test, dialect=OPENAI_CHAT)


# Handlers.


@three_shells
@pytest.mark.parametrize("is_one_piece", [False, True], ids=["events", "one piece"])
def test_handlers(shell: Shell, is_one_piece: bool) -> None:
    """Handlers for a class of deltas are called for each of them, in order; others are handlers of the stream."""
    seen: list[str] = []
    on = Handlers()

    @on(TextDelta)
    def show(delta: TextDelta) -> None:
        seen.append(delta.text)

    @on(ToolCallStart | ToolCallDelta | ToolCallEnd)
    def call(delta: ToolCallStart | ToolCallDelta | ToolCallEnd) -> None:
        seen.append(type(delta).__name__)

    @on(UsageUpdate)
    def usage(_: UsageUpdate) -> None:
        seen.append("usage")

    @on(Finish)
    def finish(delta: Finish) -> None:
        seen.append(delta.reason)

    on.complete(lambda: seen.append("complete"))

    async def test(stream: Any) -> None:
        await done(stream.dispatch(on))
        assert stream.snapshot.ended_well

    data = encode(*PROTOCOLS["chat"].whole)
    pieces = [data] if is_one_piece else data.splitlines(keepends=True)
    run(shell, [answer(pieces)], test, dialect=OPENAI_CHAT)
    calls = ["ToolCallStart", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd"]
    assert seen == ["It ", "rains.", *calls, "tool_calls", "usage", "complete"]


@three_shells
def test_batches(shell: Shell) -> None:
    """A batch collects the deltas of a class over many events; it is handed over in time, and at the end."""
    batches: list[list[str]] = []
    on = Handlers()

    @on.batch(TextDelta, interval=0.05)
    def draw(deltas: list[TextDelta]) -> None:
        batches.append([delta.text for delta in deltas])

    async def test(stream: Any) -> None:
        await done(stream.dispatch(on))

    texts = [chunk({"content": str(number)}) for number in range(8)]
    run(shell, [answer([encode(each) for each in [*texts, chunk(reason="stop"), DONE]])], test, dialect=OPENAI_CHAT)
    assert "".join(text for batch in batches for text in batch) == "01234567"
    assert len(batches) < 8


@three_shells
def test_async_handlers_and_errors(shell: Shell) -> None:
    """A handler of errors sees the message so far; handlers of an async stream may be async."""
    seen: list[Any] = []
    on = Handlers()
    if shell.kind == "sync":
        on(TextDelta)(lambda delta: seen.append(delta.text))
    else:

        @on(TextDelta)
        async def show(delta: TextDelta) -> None:
            seen.append(delta.text)

    @on.error
    def look(error: Exception) -> None:
        assert isinstance(error, StreamTruncated)
        seen.append(error.partial.text)

    async def test(stream: Any) -> None:
        with pytest.raises(StreamTruncated):
            await done(stream.dispatch(on))

    run(shell, [answer(encode(*CHAT))], test, dialect=OPENAI_CHAT)
    assert seen == ["It ", "rains.", "It rains."]
