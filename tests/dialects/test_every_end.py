"""How a reply ends, through a client: every way, for every dialect; and cut after every event, of recorded ones too."""

import functools
import re
from typing import Any

import pytest
from shells import Shell

from sse_client import (
    ContentTypeError,
    Dialect,
    ErrorEventReceived,
    EventParser,
    ServerSentEvent,
    SSEClient,
    SSEError,
    StreamError,
    StreamInterrupted,
    StreamTruncated,
)
from sse_client.dialects import LANGGRAPH_EVENTS, Delta, Finish, Message, ToolCallEnd
from sse_client.testing import FIN

from .expected import dialect_of, folder_of
from .playing import STREAMS, Reply, check, expectations, outline
from .replies import PROTOCOLS, Protocol
from .scripts import encode
from .test_langgraph import BEGIN, text
from .through import THREE, URL, answer, read, reply_of, sync_client, three_shells

EXPECTED = expectations()
SYNC = THREE[0]
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
BLANK_LINE = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")


def rows(of: Any) -> Any:
    """The rows of all protocols, each with a name that tells it from the others."""
    return [
        pytest.param(protocol.dialect, *row, id=f"{name}-{number}-{row[0]}")
        for name, protocol in PROTOCOLS.items()
        for number, row in enumerate(of(protocol))
    ]


# Each row of how a reply may end.


@three_shells
@pytest.mark.parametrize("cut", ["whole", "lines", "bytes"])
@every_protocol
def test_all_there(shell: Shell, protocol: Protocol, cut: str) -> None:
    """A reply that is all there is completed, and has ended well, in any client and any cut."""
    data = encode(*protocol.whole)
    size = len(data) if cut == "whole" else 1
    pieces = (
        data.splitlines(keepends=True) if cut == "lines" else [data[at : at + size] for at in range(0, len(data), size)]
    )
    reply = read(shell, protocol.dialect, answer(pieces))
    check(reply)
    assert reply.error is None
    assert reply.is_complete
    assert reply.message.ended_well
    whole = read(SYNC, protocol.dialect, answer(data))
    assert (outline(reply.message), reply.kinds) == (outline(whole.message), whole.kinds)


@pytest.mark.parametrize(("dialect", "reason", "script"), rows(lambda protocol: protocol.ends))
def test_ended_otherwise(dialect: Dialect[Delta, Message], reason: str, script: list[Any]) -> None:
    """A reply that the server has ended, for another reason, is completed; the message says why, and is not well."""
    reply = read(SYNC, dialect, answer(encode(*script)))
    check(reply)
    assert reply.error is None
    assert reply.is_complete
    assert reply.message.finish_reason == reason
    assert not reply.message.ended_well


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if protocol.broken_call])
def test_a_call_that_is_not_whole(name: str) -> None:
    """If the server ends the reply in the middle of a call, the stream is completed and the call cannot be run."""
    script = PROTOCOLS[name].broken_call
    assert script is not None
    reply = read(SYNC, PROTOCOLS[name].dialect, answer(encode(*script)))
    check(reply)
    assert reply.error is None
    assert reply.is_complete
    call = reply.message.tool_calls[-1]
    assert not call.is_whole
    with pytest.raises(ValueError, match="arguments"):
        _ = call.input
    assert call.partial in ({}, {"city": "Ul"})
    assert not reply.message.ended_well
    assert not any(
        delta.call.is_whole for delta in reply.deltas if isinstance(delta, ToolCallEnd) and delta.call is call
    )


def test_an_end_that_is_not_told() -> None:
    """If the protocol does not say when a reply ends, a clean end is one, and there is no reason."""
    reply = read(SYNC, LANGGRAPH_EVENTS, answer(encode(BEGIN, text("It "))))
    assert (reply.is_complete, reply.message.finish_reason, reply.message.text) == (True, None, "It ")
    assert not reply.message.ended_well


@three_shells
@pytest.mark.parametrize(("dialect", "name", "code", "script"), rows(lambda protocol: protocol.errors))
def test_an_error(shell: Shell, dialect: Dialect[Delta, Message], name: str, code: Any, script: list[Any]) -> None:
    """An error that the server sends is raised with its code, its message and the reply so far."""
    reply = read(shell, dialect, answer(encode(*script, "{}")))
    check(reply)
    assert isinstance(reply.error, ErrorEventReceived), name
    assert (reply.said, reply.error.code) == ("sorry", code)
    assert reply.error.partial is reply.message
    assert outline(reply.message) == outline(prefix(dialect, encode(*script[:-1]), reply.error))


@pytest.mark.parametrize(
    ("dialect", "stray"),
    [
        pytest.param(protocol.dialect, stray, id=f"{name}-{number}")
        for name, protocol in PROTOCOLS.items()
        for number, stray in enumerate(protocol.strays)
    ],
)
@pytest.mark.parametrize("is_whole", [False, True], ids=["early", "after the end"])
def test_a_stray_error(dialect: Dialect[Delta, Message], stray: bytes, is_whole: bool) -> None:
    """An error outside any event is raised, also after a reason to finish."""
    [script] = [protocol.whole for protocol in PROTOCOLS.values() if protocol.dialect is dialect]
    script = [each for each in script if each != "[DONE]"]
    reply = read(SYNC, dialect, answer(encode(*script[: None if is_whole else 3]) + stray))
    assert isinstance(reply.error, ErrorEventReceived)
    assert reply.said == "sorry"
    assert reply.error.partial is reply.message
    assert reply.message.text.startswith("It ")
    assert not reply.message.ended_well


# Cuts.


@functools.lru_cache(maxsize=1)  # of the same bytes several things are asked one after the other
def events_of(data: bytes) -> list[ServerSentEvent]:
    return EventParser().feed(data)


def prefix(dialect: Dialect[Delta, Message], data: bytes, error: StreamError) -> Message:
    """The message of the events in the bytes, of a stream that ended with the error."""
    assert dialect.reader is not None
    reader = dialect.reader()
    for event in events_of(data):
        if event.event not in dialect.pings:
            reader.read(event)
    reader.close(error)
    return reader.snapshot


def has_terminator(dialect: Dialect[Delta, Message], data: bytes) -> bool:
    """Whether a stream has reached an event that ends it."""
    for event in events_of(data):
        if dialect.terminator is not None and dialect.terminator.match(event) is not None:
            return True
        if event.data == "[DONE]" and event.event == "message":
            return True
    return False


def read_one(client: SSEClient, dialect: Dialect[Delta, Message]) -> Reply:
    """Read a stream in a loop, as `read` does, with a client that is there already."""
    stream = client.post(URL, json={}, dialect=dialect, resume=None, retry=None)
    deltas: list[Delta] = []
    error = None
    try:
        with stream:
            deltas.extend(stream)
    except SSEError as caught:
        error = caught
    return reply_of(stream, deltas, error)


def early_ends(dialect: Dialect[Delta, Message], data: bytes) -> list[int]:
    """
    Cut a stream after every event, by a clean end and by a lost connection.

    Returns after how many events a clean end counts as completed, though something is missing.
    """
    blocks = [block for block in BLANK_LINE.split(data) if block.strip()]
    prefixes = [b"".join(blocks[:count]) for count in range(len(blocks) + 1)]
    answers = [answer(each, *end) for each in prefixes for end in ((), (FIN,))]
    found: list[int] = []
    with sync_client(*answers) as client:
        replies = [(read_one(client, dialect), read_one(client, dialect)) for _ in prefixes]
    whole, _ = replies[-1]
    for count, (cut, lost) in enumerate(replies):
        check(cut)
        check(lost)
        is_over = has_terminator(dialect, prefixes[count]) or isinstance(cut.error, ErrorEventReceived)
        assert lost.is_complete is (is_over and lost.error is None)
        if not is_over:
            assert isinstance(lost.error, StreamInterrupted)
        for reply in (cut, lost):
            if reply.error is None or isinstance(reply.error, ContentTypeError):
                continue  # of a recording whose first line is no field
            assert isinstance(reply.error, StreamError)
            assert reply.error.partial is reply.message
            assert not reply.message.ended_well
            if not isinstance(reply.error, ErrorEventReceived):
                assert outline(reply.message) == outline(prefix(dialect, prefixes[count], reply.error))
        if cut.is_complete and outline(cut.message) != outline(whole.message):
            found.append(count)
        elif not cut.is_complete and count < len(blocks):
            assert isinstance(cut.error, StreamTruncated | ErrorEventReceived | ContentTypeError)
            for index, choice in cut.message.choices.items():
                finishes = [delta for delta in cut.deltas if isinstance(delta, Finish) and delta.choice == index]
                assert bool(finishes) == (choice.finish_reason is not None)
    return found


@every_protocol
def test_a_cut_after_every_event(protocol: Protocol) -> None:
    """A reply that is cut is never completed, unless its protocol cannot tell; the error has the message so far."""
    assert len(early_ends(protocol.dialect, encode(*protocol.whole))) == protocol.undetected


@every_protocol
def test_a_cut_within_the_last_event(protocol: Protocol) -> None:
    """A clean end inside the event that ends the reply is a truncation until all of the event is there."""
    data = encode(*protocol.whole)
    last = len(encode(*protocol.whole[:-1]))
    places = sorted(
        {*range(last, len(data), 1 + (len(data) - last) // 100), *range(max(last, len(data) - 20), len(data))}
    )
    with sync_client(answer(data), *(answer(data[:place]) for place in places)) as client:
        whole, before, *cuts = [read_one(client, protocol.dialect) for _ in range(len(places) + 1)]
    for place, reply in zip(places[1:], cuts, strict=True):
        check(reply)
        if reply.error is None:
            # Whole, but for the end of its line; or not begun, if nothing but [DONE] is missing.
            assert outline(reply.message) in (outline(whole.message), outline(before.message))
        else:
            assert isinstance(reply.error, StreamTruncated)
            assert outline(reply.message) == outline(prefix(protocol.dialect, data[:place], reply.error))


# What the protocols cannot tell. After the finish reason of a chat, twelve times the usage is missing, once a tier and
# once the result of a moderation. A LangGraph run has no end.
UNDETECTED = {
    "openai_chat": 5,
    "openrouter": 3,
    **dict.fromkeys(("azure_openai", "ollama", "avian", "llamacpp", "github_copilot", "groq"), 1),
    "langgraph": 4,
}


@pytest.mark.parametrize("folder", sorted(set(map(folder_of, EXPECTED.values()))))
def test_a_cut_after_every_event_of_a_recorded_stream(folder: str) -> None:
    """The same of the recorded streams: how many cuts pass for the end is known, and why."""
    streams = [each for each in EXPECTED.values() if folder_of(each) == folder]
    found = [early_ends(dialect_of(each), (STREAMS / each["file"]).read_bytes()) for each in streams]
    assert sum(map(len, found)) == UNDETECTED.get(folder, 0)


@pytest.mark.parametrize("name", EXPECTED)
def test_no_false_alarm(name: str) -> None:
    """A whole recorded stream is completed, unless the server sent an error, or no response to an MCP request."""
    expected = EXPECTED[name]
    reply = read(SYNC, dialect_of(expected), answer((STREAMS / name).read_bytes()))
    lacks_response = folder_of(expected) == "mcp" and expected["response_id"] is None
    assert isinstance(reply.error, ErrorEventReceived) is (expected["error"] is not None)
    assert isinstance(reply.error, StreamTruncated) is lacks_response
