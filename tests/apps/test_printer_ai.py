"""Printer AI, where the event's name is the type: its promises, over real sockets."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import anyio
import printer_ai
import pytest
from _serving import running
from printer_ai import PRINTER_AI, RETRY, Conversation, Reply, Screen, StreamEnd, StreamStart, Token, ask, connect
from shells import PATIENCE, Shell

from apps.helpers import eventually, named, recording
from sse_client import ErrorEventReceived, Handlers, ServerSentEvent, SSEError, StatusError, StreamError
from sse_client.testing import FIN, Answer, EventServer, Pause, encode

HEADERS = {"Authorization": "Bearer test-token"}
FAST = replace(RETRY, initial_delay=0.05)

START = named("stream_start", status="streaming")
CONVERSATION = named("conversation_id", conversation_id="c1")
HELLO = [named("message", token="Hel"), named("data", token="lo")]
END = named("stream_end", message_id="m1", status="complete")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(printer_ai.app) as url:
        yield url


def dispatch(shell: Shell, url: str, on: Handlers) -> None:
    """Send a request, and call the handlers, in a client of the shell's kind."""

    async def adispatch() -> None:
        async with shell.aclient({"retry": FAST}, {}) as client:
            await client.post(url, dialect=PRINTER_AI).dispatch(on)

    if shell.kind == "sync":
        with shell.client({"retry": FAST}, {}) as client:
            client.post(url, dialect=PRINTER_AI).dispatch(on)
    else:
        anyio.run(adispatch, backend=shell.kind)


class Completions(list[tuple[str, str, str]]):
    """Records the calls of `on_complete`."""

    def __call__(self, text: str, conversation_id: str, message_id: str) -> None:
        self.append((text, conversation_id, message_id))


def test_whole_reply(url: str, shell: Shell) -> None:
    """The names come in their order, each with its type; `message` and `data` are both tokens."""
    body = {"user_message": "a  b", "context_node_ids": [], "project_id": "p1", "chat_node_id": "n1"}
    result = shell.read(f"{url}/api/chat/stream", json=body, headers=HEADERS, dialect=PRINTER_AI)
    events: list[object] = list(result.events)
    assert events == [
        StreamStart(),
        Conversation(conversation_id="c1"),
        Token(token="a"),
        Token(token=" "),
        Token(token=" b"),
        StreamEnd(message_id="m1"),
    ]


def test_complete_comes_once_with_all_there_is(url: str) -> None:
    """`on_complete` is called once with the whole text, the conversation and the message."""
    completions = Completions()
    with connect(url) as client:
        ask(client, "first of all", Handlers(), completions)
        ask(client, "and then", Handlers(), completions, conversation="c9")
    assert completions == [("first of all", "c1", "m1"), ("and then", "c9", "m1")]


def test_the_request_is_what_it_should_be() -> None:
    """The request has the conversation if it is known, and else does not mention it."""
    with EventServer(Answer(END)) as server, connect(server.url) as client:
        ask(client, "hi", Handlers(), Completions())
        ask(client, "hi", Handlers(), Completions(), conversation="c1")
    first, second = server.requests
    body = {"user_message": "hi", "context_node_ids": [], "project_id": "p1", "chat_node_id": "n1"}
    assert (first.method, first.target, first.headers["authorization"]) == (
        "POST",
        "/api/chat/stream",
        "Bearer test-token",
    )
    assert (first.json(), second.json()) == (body, body | {"conversation_id": "c1"})


def test_three_states() -> None:
    """
    The screen is waiting until the first token, whatever comes before it, then streaming, and complete at the end.
    """
    screen = Screen()
    states: list[str] = []
    steps = [START, CONVERSATION, HELLO[0], HELLO[1], END]
    on = screen.handlers()
    on.event(lambda _: states.append(screen.state))
    on.close(lambda: states.append(screen.state))
    with EventServer(Answer(*steps)) as server, connect(server.url) as client:
        assert screen.state == "waiting"
        ask(client, "hi", on, Completions())
    assert states == ["waiting", "waiting", "streaming", "streaming", "streaming", "complete"]
    assert screen.text == "Hello"


def test_a_screen_is_drawn_now_and_then() -> None:
    """Tokens that come faster than every 16 ms are drawn together, each once and in order."""
    drawn: list[str] = []
    on = Handlers()
    on.batch(Token, interval=0.016)(lambda tokens: drawn.append("".join(token.token for token in tokens)))
    steps = [step for n in range(100) for step in (named("data", token=f"{n} "), Pause(0.001))]
    completions = Completions()
    with EventServer(Answer(*steps, END)) as server, connect(server.url) as client:
        ask(client, "count", on, completions)
    assert 2 <= len(drawn) <= 50
    assert "".join(drawn) == completions[0][0] == "".join(f"{n} " for n in range(100))


BLANKS = ["  two before", "two behind  ", " ", "\t\t", "line\nline", "\n\n", "a\r\nb", "{", "data: x", "\u2028\u0085"]


@pytest.mark.parametrize("token", BLANKS)
def test_a_token_arrives_unchanged(token: str, shell: Shell) -> None:
    """A token keeps its blanks and line ends, in JSON of one line or of many."""
    pretty = json.dumps({"token": token}, indent=2, ensure_ascii=False)
    events = [ServerSentEvent("data", json.dumps({"token": token})), ServerSentEvent("message", pretty)]
    with EventServer(Answer(encode(*events), END)) as server:
        result = shell.read(server.url, dialect=PRINTER_AI)
    values: list[object] = list(result.events)
    assert values == [Token(token=token), Token(token=token), StreamEnd(message_id="m1")]


def test_raw_data_arrives_unchanged(shell: Shell) -> None:
    """Without types, too, one blank after the colon is the format's, all others are data; lines are joined."""
    stream = "event: data\ndata:  two blanks  \ndata:\ndata:none\ndata: \t\n\n"
    with EventServer(Answer(stream, END)) as server:
        result = shell.read(server.url, terminator=PRINTER_AI.terminator)
    assert result.data[0] == " two blanks  \n\nnone\n\t"
    assert result.error is None


def test_a_name_that_is_not_known_is_skipped(shell: Shell) -> None:
    """An event of a kind that is newer than the client is only unknown, and does no harm."""
    on, seen = recording()
    on.unknown(lambda event: seen.append(event.event))
    with EventServer(Answer(START, named("ink_level", percent=3), END)) as server:
        dispatch(shell, server.url, on)
    assert seen == ["ink_level", "complete", "close"]


@pytest.mark.parametrize("end", [[], [FIN], ["event: stream_e", FIN], ["event: data\ndata: {"]])
def test_an_early_stop_is_an_error_that_has_the_text_so_far(end: list[Any]) -> None:
    """A reply without `stream_end` is an error with the text so far, and is not completed."""
    on, seen = recording()
    completions = Completions()
    with (
        EventServer(Answer(START, CONVERSATION, *HELLO, *end)) as server,
        connect(server.url, FAST) as client,
        pytest.raises(StreamError) as caught,
    ):
        ask(client, "hi", on, completions)
    assert caught.value.partial == Reply(text="Hello", conversation_id="c1")
    assert type(caught.value).__name__ in ("StreamTruncated", "StreamInterrupted")
    assert seen == [type(caught.value).__name__, "close"]
    assert completions == []
    assert len(server.requests) == 1


PATHS: dict[str, tuple[list[Any], str]] = {
    "complete": ([*HELLO, END], "complete"),
    "an error event": ([*HELLO, named("error", error="out of paper")], "ErrorEventReceived"),
    "an early end": (HELLO, "StreamTruncated"),
    "a cut": ([*HELLO, FIN], "StreamInterrupted"),
    "an event that does not fit": ([named("data", tokens=1), END], "DecodeError"),
}


@pytest.mark.parametrize("path", PATHS)
def test_close_comes_once_on_every_path(path: str, shell: Shell) -> None:
    """`close` is called once, after exactly one of complete and error."""
    steps, expected = PATHS[path]
    on, seen = recording()
    with EventServer(Answer(START, *steps)) as server, suppress(SSEError):
        dispatch(shell, server.url, on)
    assert seen == [expected, "close"]


def test_close_comes_once_without_a_stream(shell: Shell) -> None:
    """`close` is also called once if the request was refused, or no server listens."""
    on, seen = recording()
    with EventServer(Answer(status=403, framing="length")) as server, pytest.raises(StatusError):
        dispatch(shell, server.url, on)
    on, more = recording()
    with pytest.raises(SSEError):
        dispatch(shell, server.url, on)
    assert seen + more == ["StatusError", "close", "ConnectionFailed", "close"]


def test_close_comes_once_where_a_handler_fails(shell: Shell) -> None:
    """A handler's exception comes out after cancel and close."""
    on, seen = recording()

    @on(Token)
    def fail(_: Token) -> None:
        raise LookupError("the user's own")

    with EventServer(Answer(START, *HELLO, END)) as server, pytest.raises(LookupError, match="the user's own"):
        dispatch(shell, server.url, on)
    assert seen == ["cancel", "close"]


def test_close_comes_once_where_somebody_stops_it() -> None:
    """A Stop is neither an error nor a completion, and closes the connection."""
    on, seen = recording()
    completions = Completions()
    threads: list[threading.Thread] = []

    with (
        EventServer(Answer(START, *HELLO, Pause(10), END)) as server,
        connect(server.url) as client,
        client.post("/", dialect=PRINTER_AI) as stream,
    ):

        @on(Token)
        def stop(_: Token) -> None:
            threads.append(threading.Thread(target=stream.close))
            threads[-1].start()

        stream.dispatch(on)
        for thread in threads:
            thread.join()
        assert eventually(server.requests[0].done.is_set, 0.5), "the server is told too"
        assert not server.requests[0].responded
    assert seen == ["cancel", "close"]
    assert completions == []


def test_an_error_says_what_the_server_said(shell: Shell) -> None:
    """An error event is raised with the server's message, and nothing after it counts."""
    with EventServer(Answer(START, *HELLO, named("error", error="out of paper"), END)) as server:
        result = shell.read(server.url, dialect=PRINTER_AI)
    assert isinstance(result.error, ErrorEventReceived)
    assert (result.error.message, len(result.events)) == ("out of paper", 3)


def test_three_attempts(shell: Shell) -> None:
    """The delays are `1000·n` ms; the server sees them with a twentieth of these."""
    assert [RETRY.delay(n, random=0.5) for n in (1, 2)] == [1, 2]
    on, seen = recording()
    on.retry(lambda: seen.append("retry"))
    with EventServer(Answer(status=503, framing="length")) as server, pytest.raises(StatusError):
        dispatch(shell, server.url, on)
    delays = [after.received_at - before.received_at for before, after in pairwise(server.requests)]
    assert len(delays) == 2
    assert delays[0] >= 0.05
    assert delays[1] >= 0.1
    assert sum(delays) < PATIENCE
    assert seen == ["retry", "retry", "StatusError", "close"]
