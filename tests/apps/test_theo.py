"""Theo, with names, IDs, retry and a feed for many: its promises, over real sockets."""

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import anyio
import httpx
import pytest
import theo
from _serving import running
from shells import PATIENCE, Shell
from theo import THEO, Chunk, Connections, Done, Message, Notification, Progress, Typing, create_app

from apps.helpers import eventually, named, recording
from sse_client import AsyncSSEClient, ErrorEventReceived, SSEClient, StatusError, StreamInterrupted
from sse_client.testing import FIN, RST, Answer, EventServer, Pause

STREAM = "/api/chat/conversations/c1/stream"
MESSAGES = "/api/chat/conversations/c1/messages"
COOKIE = {"Cookie": "session=test-session"}

CHUNKS = [f"id: msg-{n}\n{named('chunk', content=f'{n} ')}" for n in range(1, 7)]
DONE = f"id: msg-7\n{named('done')}"
RETRY = "retry: 60\n\n"


@contextlib.contextmanager
def serving(connections: Connections, **options: Any) -> Iterator[str]:
    """The application, with a shorter delay before its clients reconnect."""
    with running(create_app(connections, **{"retry": 50, **options})) as url:
        yield url


def history(connections: Connections, question: str = "one two three") -> None:
    """Put a reply in the history, for clients that resume."""
    key = "conversation:c1"
    connections.broadcast(key, "typing", {"isTyping": True})
    words = question.split()
    for number, word in enumerate(words, 1):
        connections.broadcast(key, "chunk", {"content": f"{word} "})
        connections.broadcast(key, "progress", {"percent": 100 * number // len(words)})
    connections.broadcast(key, "message", {"id": "m1", "role": "assistant", "content": question.upper()})
    connections.broadcast(key, "done", {})


def test_a_stream_needs_a_session(shell: Shell) -> None:
    """Without the cookie there is a 401, which is not retried."""
    with serving(Connections()) as url:
        result = shell.read(url + STREAM, method="GET", dialect=THEO)
    assert isinstance(result.error, StatusError)
    assert (result.error.status_code, result.error.message) == (401, "sign in first")
    assert result.stream is not None
    assert result.stream.stats.attempts == 1


def test_the_session_s_cookie_is_the_http_client_s() -> None:
    """A user who signed in with their own HTTP client streams with it, too."""
    connections = Connections()
    with serving(connections) as url, httpx.Client(base_url=url) as http:
        http.post("/api/session")
        with SSEClient(http_client=http).get(STREAM, dialect=THEO) as stream:
            headers = stream.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"


def test_whole_reply(shell: Shell) -> None:
    """Each name has its own type, and each event has its ID."""
    connections = Connections()
    history(connections, "one two")
    with serving(connections) as url:
        result = shell.read(url + STREAM, method="GET", dialect=THEO, headers=COOKIE, last_event_id="msg-0")
    events: list[object] = list(result.events)
    assert events == [
        Typing(isTyping=True),
        Chunk(content="one "),
        Progress(percent=50),
        Chunk(content="two "),
        Progress(percent=100),
        Message(id="m1", role="assistant", content="ONE TWO"),
        Done(),
    ]
    assert result.stream is not None
    assert result.stream.last_event_id == "msg-7"


def test_the_message_takes_the_place_of_its_chunks() -> None:
    """The fold is the chunks so far, and then only the whole message."""
    connections = Connections()
    history(connections, "one two")
    snapshots: list[str] = []
    with (
        serving(connections) as url,
        SSEClient(base_url=url, headers=COOKIE) as client,
        client.get(STREAM, dialect=THEO, last_event_id="msg-0") as stream,
    ):
        reply = stream.accumulate(theo.add, "")
        snapshots.extend(reply.snapshot for _ in reply)
    assert snapshots == ["", "one ", "one ", "one two ", "one two ", "ONE TWO", "ONE TWO"]
    assert reply.snapshot == "ONE TWO"


def test_the_application_s_own_client(anyio_backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The application's client gets the whole reply even if it is cut off several times."""

    async def main() -> str:
        async with httpx.AsyncClient(base_url=url) as http:
            await http.post("/api/session")
            return await theo.follow(http, "c1", "one two three")

    with serving(Connections(), cut_after=3) as url:
        assert anyio.run(main, backend=anyio_backend) == "ONE TWO THREE"
    assert "9 events over 3 connections, to msg-9" in capsys.readouterr().out


@pytest.mark.parametrize("cut_after", [1, 4])
def test_nothing_is_lost_and_nothing_doubled(cut_after: int, shell: Shell) -> None:
    """However often the connection breaks, the client gets every event once, in order."""
    connections = Connections()
    history(connections)
    with serving(connections, cut_after=cut_after) as url:
        result = shell.read(url + STREAM, method="GET", dialect=THEO, headers=COOKIE, last_event_id="msg-0")
    chunks = [event.content for event in list[object](result.events) if isinstance(event, Chunk)]
    assert result.error is None
    assert (len(result.events), chunks) == (9, ["one ", "two ", "three "])
    assert result.stream is not None
    assert result.stream.stats.connections == -(-9 // cut_after)


@pytest.mark.parametrize("end", [[FIN], [RST], [], ["data: {}\nid: msg-9"], [CHUNKS[2].encode()[:-9], FIN]])
def test_the_client_comes_back_behind_what_it_has(end: list[Any], shell: Shell) -> None:
    """After a cut between or within events, the next request has the ID of the last complete event."""
    pause = [Pause(0.05)] if end == [RST] else []  # a reset discards unread data
    answers = [Answer(RETRY, *CHUNKS[:2], *pause, *end), Answer(*CHUNKS[2:], DONE)]
    with EventServer(*answers) as server:
        result = shell.read(server.url, method="GET", dialect=THEO)
    contents = [event.content for event in list[object](result.events) if isinstance(event, Chunk)]
    assert (result.error, contents) == (None, ["1 ", "2 ", "3 ", "4 ", "5 ", "6 "])
    first, second = server.requests
    assert ("last-event-id" in first.headers, second.headers["last-event-id"]) == (False, "msg-2")


def test_the_server_says_when_to_come_back(shell: Shell) -> None:
    """The delay is the server's `retry`, doubled for each failure in a row; an event resets it."""
    gone = Answer(status=503, framing="length")
    answers = [
        Answer("retry: 100\n\n", *CHUNKS[:2], FIN),
        gone,
        Answer(*CHUNKS[2:4], FIN),
        Answer(*CHUNKS[4:], DONE),
    ]
    with EventServer(*answers) as server:
        result = shell.read(server.url, method="GET", dialect=THEO)
    assert (result.error, len(result.events)) == (None, 7)
    delays = [after.received_at - before.received_at for before, after in pairwise(server.requests)]
    assert all(delay >= least for delay, least in zip(delays, [0.1, 0.2, 0.1], strict=True)), delays
    assert delays[2] < 0.35 * PATIENCE, "not the 0.4 s that a third failure in a row would have cost"
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "msg-2", "msg-2", "msg-4"]


@pytest.mark.parametrize("end", [[], [FIN], [*CHUNKS, FIN]])
def test_nobody_comes_back_behind_done(end: list[Any], shell: Shell) -> None:
    """After `done` the client does not reconnect, whatever happens to the connection."""
    with EventServer(Answer(RETRY, *CHUNKS, DONE, *end)) as server:
        result = shell.read(server.url, method="GET", dialect=THEO)
        assert (result.error, len(result.events)) == (None, 7)
        with pytest.raises(TimeoutError):
            server.wait_for_requests(2, 0.12)


def test_a_server_that_starts_over_is_noticed(shell: Shell) -> None:
    """A server that ignores the ID and starts over is an error, before any event is repeated."""
    with EventServer(Answer(RETRY, *CHUNKS[:3], FIN), Answer(RETRY, *CHUNKS, DONE)) as server:
        result = shell.read(server.url, method="GET", dialect=THEO)
    assert isinstance(result.error, StreamInterrupted)
    assert "started over" in str(result.error)
    assert len(result.events) == 3


def test_an_error_is_not_come_back_from(shell: Shell) -> None:
    """After an error event the client does not reconnect; the error has the server's message and code."""
    for fields, code in ({"code": "overloaded", "message": "later"}, "overloaded"), ({"message": "later"}, None):
        with EventServer(Answer(RETRY, CHUNKS[0], named("error", **fields))) as server:
            result = shell.read(server.url, method="GET", dialect=THEO)
        assert isinstance(result.error, ErrorEventReceived)
        assert (result.error.message, result.error.code) == ("later", code)
        assert len(server.requests) == 1


def test_it_gives_up_in_the_end(shell: Shell) -> None:
    """If the server stays down, the client gives up after five attempts, and the error has the ID to resume after."""
    answers = [Answer("retry: 1\n\n", *CHUNKS[:2], FIN), *[Answer(status=503, framing="length")] * 6]
    with EventServer(*answers) as server:
        result = shell.read(server.url, method="GET", dialect=THEO)
    assert isinstance(result.error, StreamInterrupted)
    assert (result.error.last_event_id, result.error.stats.events) == ("msg-2", 2)
    assert len(server.requests) == 6


def test_heartbeats_reach_nobody(shell: Shell) -> None:
    """Heartbeats are not events: they are neither delivered nor counted."""
    connections = Connections()
    with serving(connections, heartbeat=0.01) as url:
        result = shell.read(url + STREAM, method="GET", dialect=THEO, headers=COOKIE, timeout=0.2)
    assert result.events == []
    assert result.stream is not None
    assert (result.stream.outcome, result.stream.stats.events) == ("timeout", 0)
    assert result.stream.stats.bytes > 5 * len("event: heartbeat\ndata: {}\n\n")
    assert eventually(lambda: connections.keys() == [])


def test_heartbeats_reach_no_callback() -> None:
    """Heartbeats reach no callback, not even one for all events or for unknown ones."""
    on, seen = recording()
    on.event(lambda event: seen.append(type(event).__name__))
    on.unknown(lambda _: seen.append("unknown"))
    on("heartbeat")(lambda _: seen.append("heartbeat"))
    beat = named("heartbeat")
    with EventServer(Answer(beat, CHUNKS[0], beat, beat, DONE)) as server, SSEClient(base_url=server.url) as client:
        client.get("/", dialect=THEO).dispatch(on)
    assert seen == ["Chunk", "Done", "complete", "close"]


def test_heartbeats_are_no_place_to_go_on_behind(shell: Shell) -> None:
    """A heartbeat after an event does not change the ID to resume after."""
    answers = [Answer(RETRY, CHUNKS[0], named("heartbeat"), FIN), Answer(*CHUNKS[1:], DONE)]
    with EventServer(*answers) as server:
        result = shell.read(server.url, method="GET", dialect=THEO)
    assert (result.error, len(result.events)) == (None, 7)
    assert server.requests[1].headers["last-event-id"] == "msg-1"


def test_the_registry() -> None:
    """The registry registers, unregisters, broadcasts to all of a key, and counts."""
    connections = Connections()
    phone, laptop = connections.register("user:42"), connections.register("user:42", "conversation:c1")
    other = connections.register("user:7")
    assert connections.keys() == ["conversation:c1", "user:42", "user:7"]
    assert [connections.count(key) for key in ("user:42", "user:7", "user:0")] == [2, 1, 0]
    assert connections.broadcast("user:42", "notification", {"text": "hi"}) == 2
    assert [each.pending.qsize() for each in (phone, laptop, other)] == [1, 1, 0]
    connections.unregister(laptop)
    assert connections.keys() == ["user:42", "user:7"]
    assert connections.broadcast("user:42", "notification", {"text": "ho"}) == 1
    assert [each.pending.qsize() for each in (phone, laptop, other)] == [2, 1, 0]
    connections.unregister(phone)
    connections.unregister(other)
    assert connections.keys() == []


def test_the_registry_knows_what_was_missed() -> None:
    """A client that reconnects with an ID gets the later events of its keys, and nothing else."""
    connections = Connections()
    for text in "abc":
        connections.broadcast("user:42", "notification", {"text": text})
        connections.broadcast("user:7", "notification", {"text": text})
    connection = connections.register("user:42", last_event_id="msg-2")
    assert [connection.pending.get_nowait()[1].splitlines()[1] for _ in range(2)] == ["id: msg-3", "id: msg-5"]
    assert connection.pending.empty()
    assert connections.register("user:42", last_event_id="none of ours").pending.empty()
    assert connections.register("user:42").pending.empty()


def test_all_connections_of_a_user_are_told(anyio_backend: str) -> None:
    """A notification reaches each reader of the user once, even one that was cut off; no connection is left over."""
    connections = Connections()
    told: list[list[str]] = [[], []]

    async def listen(client: AsyncSSEClient, conversation: str, texts: list[str]) -> None:
        path = f"/api/chat/conversations/{conversation}/stream"
        async with client.get(path, dialect=THEO) as stream:
            async for event in stream:
                if isinstance(event, Notification):
                    texts.append(event.text)
                    if len(texts) == 5:
                        break

    async def main() -> None:
        async with httpx.AsyncClient(base_url=url, headers=COOKIE) as http:
            async with anyio.create_task_group() as tasks:
                for conversation, texts in zip(("c1", "c2"), told, strict=True):
                    tasks.start_soon(listen, AsyncSSEClient(http_client=http), conversation, texts)
                assert await anyio.to_thread.run_sync(eventually, lambda: connections.count("user:42") == 2)
                answers = [
                    await http.post("/api/users/42/notifications", params={"text": str(number)}) for number in range(5)
                ]
            assert answers[0].json() == {"reached": 2}
            nobody = await http.post("/api/users/7/notifications", params={"text": "hello?"})
            assert nobody.json() == {"reached": 0}

    with serving(connections, cut_after=2) as url:
        anyio.run(main, backend=anyio_backend)
        assert told == [list("01234")] * 2
        assert eventually(lambda: connections.keys() == [])
