"""AgentHub, where the type is a field: its promises, over real sockets."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import agenthub
import anyio
import httpx
import pytest
from _serving import running
from agenthub import AGENTHUB, RETRY, ChatEvent, Done, NotSignedIn, Text, TokenStore, ToolCall, ToolResult, ask, connect
from shells import PATIENCE, Shell

from apps.helpers import data, eventually, recording
from sse_client import (
    AsyncEventStream,
    ErrorEventReceived,
    Handlers,
    SSEClient,
    StatusError,
    StreamError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)
from sse_client.testing import FIN, Answer, EventServer, Pause

PATH = "/api/chat/stream"
BODY = {"conversation_id": "c1", "message": "one two three"}
HEADERS = {"X-Extension-Token": "test-token"}
FAST = replace(RETRY, initial_delay=0.05, max_delay=0.2)
ENDLESS = {"conversation_id": "endless", "message": "word " * 5000}

HELLO = [data(type="text", content="Hel"), data(type="text", content="lo")]
DONE = data(type="done")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(agenthub.app) as url:
        yield url


def has_stopped() -> bool:
    """Whether the server stops with the endless reply after its reader has left."""
    return eventually(lambda: "endless" not in agenthub.generating, 0.5)


def test_whole_reply(url: str, shell: Shell) -> None:
    """Each event has its type, and `done` is the last one, and ends the stream."""
    result = shell.read(url + PATH, json=BODY, headers=HEADERS, dialect=AGENTHUB)
    events: list[object] = list(result.events)
    assert events == [
        ToolCall(name="count", arguments={"of": "words"}),
        ToolResult(name="count", result=3),
        *(Text(content=word) for word in ("one ", "two ", "three ")),
        Done(),
    ]
    assert result.error is None


def test_the_server_is_what_it_should_be(url: str) -> None:
    """`/health` returns 200; a stream is neither cached nor buffered; without a token it is a 401."""
    assert httpx.get(f"{url}/health").status_code == 200
    with SSEClient(base_url=url, headers=HEADERS).post(PATH, json=BODY) as stream:
        assert stream.response.headers["cache-control"] == "no-cache"
        assert stream.response.headers["x-accel-buffering"] == "no"
    assert httpx.post(url + PATH, json=BODY).status_code == 401


def test_the_request_is_what_it_should_be(shell: Shell) -> None:
    """The request has its three headers, and the body as JSON."""
    with EventServer(Answer(DONE)) as server:
        shell.read(server.url + PATH, json=BODY, headers=HEADERS, dialect=AGENTHUB)
    [request] = server.requests
    assert (request.method, request.target, request.json()) == ("POST", PATH, BODY)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["x-extension-token"] == "test-token"


def test_a_screen_is_drawn_now_and_then(anyio_backend: str) -> None:
    """Tokens that come faster than every 16 ms are drawn together, each once and in order."""
    steps = [step for n in range(100) for step in (data(type="text", content=f"{n} "), Pause(0.001))]
    drawn: list[str] = []

    async def main() -> None:
        on = Handlers()
        on.batch(Text, interval=0.016)(lambda texts: drawn.append("".join(text.content for text in texts)))
        async with connect(server.url, TokenStore("test-token")) as client, ask(client, "count") as stream:
            reply = stream.accumulate()
            await stream.dispatch(on)
            assert reply.snapshot == "".join(drawn) == "".join(f"{n} " for n in range(100))

    with EventServer(Answer(*steps, DONE)) as server:
        anyio.run(main, backend=anyio_backend)
    assert 2 <= len(drawn) <= 50


def test_no_token_is_no_request(anyio_backend: str) -> None:
    """Without a token there is an error of the application's own, and no request."""

    async def main() -> None:
        async with connect(server.url, TokenStore()) as client:
            with pytest.raises(NotSignedIn):
                async with ask(client, "hello"):
                    pass

    with EventServer(Answer(DONE)) as server:
        anyio.run(main, backend=anyio_backend)
        assert server.connections == 0


def test_a_401_asks_for_a_fresh_token_once(shell: Shell) -> None:
    """After a 401 the request is sent again at once, with the next token."""
    tokens = iter(["test-token-1", "test-token-2", "test-token-3"])
    with EventServer(Answer(status=401, framing="length"), Answer(*HELLO, DONE)) as server:
        result = shell.read(
            server.url, json=BODY, headers=lambda: {"X-Extension-Token": next(tokens)}, dialect=AGENTHUB
        )
    assert (result.error, len(result.events)) == (None, 3)
    assert [request.headers["x-extension-token"] for request in server.requests] == ["test-token-1", "test-token-2"]
    assert server.requests[1].received_at - server.requests[0].received_at < 0.5 * PATIENCE


def test_a_second_401_is_the_end(shell: Shell) -> None:
    """If the fresh token is refused too, the 401 is the error."""
    with EventServer(Answer('{"detail": "unknown token"}', status=401, framing="length")) as server:
        result = shell.read(server.url, json=BODY, headers=lambda: HEADERS, dialect=AGENTHUB, retry=FAST)
    assert isinstance(result.error, StatusError)
    assert (result.error.status_code, result.error.message) == (401, "unknown token")
    assert len(server.requests) == 2


def test_an_async_store_is_asked_for_each_attempt(anyio_backend: str) -> None:
    """The async token store is called for each attempt, even after a 503."""

    async def main() -> None:
        async with (
            connect(server.url, TokenStore("test-token-1", "test-token-2"), FAST) as client,
            ask(client, "hello") as stream,
        ):
            assert [type(event) async for event in stream] == [Text, Text, Done]

    with EventServer(Answer(status=503, framing="length"), Answer(*HELLO, DONE)) as server:
        anyio.run(main, backend=anyio_backend)
    assert [request.headers["x-extension-token"] for request in server.requests] == ["test-token-1", "test-token-2"]


@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 410, 413, 422, 451])
def test_what_the_client_did_wrong_is_not_retried(status: int, shell: Shell) -> None:
    """A 4xx that is the client's fault is not retried: one request, one error."""
    with EventServer(Answer(status=status, framing="length")) as server:
        result = shell.read(server.url, json=BODY, dialect=AGENTHUB, retry=FAST)
    assert isinstance(result.error, StatusError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
def test_what_may_pass_is_tried_three_times(status: int, shell: Shell) -> None:
    """Four of the 4xx and the server's own faults are retried: three attempts in all."""
    with EventServer(Answer(status=status, framing="length")) as server:
        result = shell.read(server.url, json=BODY, dialect=AGENTHUB, retry=replace(FAST, initial_delay=0.01))
    assert isinstance(result.error, StatusError)
    assert len(server.requests) == 3


def test_the_delays_are_the_application_s(shell: Shell) -> None:
    """The delays are `min(1000·2ⁿ, 10000)` ms; the server sees them with a twentieth of these."""
    assert [RETRY.delay(n + 1, random=0.5) for n in range(6)] == [1, 2, 4, 8, 10, 10]
    with EventServer(Answer(status=503, framing="length")) as server:
        shell.read(server.url, json=BODY, dialect=AGENTHUB, retry=FAST)
    delays = [after.received_at - before.received_at for before, after in pairwise(server.requests)]
    assert delays[0] >= 0.05
    assert delays[1] >= 0.1
    assert sum(delays) < PATIENCE


CUTS = {
    "an end in good order": Answer(*HELLO),
    "a body that is not whole": Answer(*HELLO, FIN),
    "a connection that just closes": Answer(*HELLO, framing="close"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_between_events_is_no_success(cut: str, shell: Shell) -> None:
    """However the connection ends, a reply without `done` is an error, and is not requested again."""
    with EventServer(CUTS[cut]) as server:
        result = shell.read(server.url, json=BODY, dialect=AGENTHUB, retry=FAST)
    assert isinstance(result.error, StreamTruncated | StreamInterrupted)
    assert result.error.stats.events == 2
    events: list[object] = list(result.events)
    assert events == [Text(content="Hel"), Text(content="lo")], "no token is lost, and none is doubled"
    assert len(server.requests) == 1


@pytest.mark.parametrize("keyed", [False, True])
def test_a_cut_before_the_first_event(keyed: bool, shell: Shell) -> None:
    """The server may have begun the work, so the request is sent again only with an idempotency key."""
    key_header = "Idempotency-Key" if keyed else None
    with EventServer(Answer(": hello\n\n", FIN), Answer(*HELLO, DONE)) as server:
        result = shell.read(
            server.url,
            client={"idempotency_key_header": key_header},
            json=BODY,
            dialect=AGENTHUB,
            retry=FAST,
        )
    if keyed:
        assert (result.error, len(result.events), len(server.requests)) == (None, 3, 2)
        assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
    else:
        assert isinstance(result.error, StreamError)
        assert (len(result.events), len(server.requests)) == (0, 1)


def test_an_error_event_ends_the_stream(shell: Shell) -> None:
    """An error event is raised with the server's message, and nothing after it counts."""
    with EventServer(Answer(*HELLO, data(type="error", message="out of credit"), *HELLO, DONE)) as server:
        result = shell.read(server.url, json=BODY, dialect=AGENTHUB, retry=FAST)
    assert isinstance(result.error, ErrorEventReceived)
    assert (result.error.message, len(result.events)) == ("out of credit", 2)
    assert len(server.requests) == 1


def test_nothing_counts_behind_done(shell: Shell) -> None:
    """After `done`, neither further data nor a cut counts."""
    with EventServer(Answer(*HELLO, DONE, *HELLO, "data: {", FIN)) as server:
        result = shell.read(server.url, json=BODY, dialect=AGENTHUB)
    assert (result.error, len(result.events)) == (None, 3)


def test_stop_from_another_thread(url: str) -> None:
    """A Stop button ends both sides at once without an error: the loop ends, and the server stops generating."""
    with (
        SSEClient(base_url=url, headers=HEADERS) as client,
        client.post(PATH, json=ENDLESS, dialect=AGENTHUB) as stream,
    ):
        button = threading.Timer(0.1, stream.close)
        started = time.monotonic()
        button.start()
        texts = [event.content for event in stream if isinstance(event, Text)]
        assert time.monotonic() - started < 0.6 * PATIENCE
        assert has_stopped()
        button.join()
    assert texts
    assert set(texts) == {"word "}
    assert stream.outcome == "cancelled"


def test_stop_of_a_dispatch_from_another_thread(url: str) -> None:
    """With callbacks, Stop is `cancel` and then `close`, and not an error."""
    on, seen = recording()
    on.batch(Text, interval=0.016)(lambda _: None)
    with (
        SSEClient(base_url=url, headers=HEADERS) as client,
        client.post(PATH, json=ENDLESS, dialect=AGENTHUB) as stream,
    ):
        button = threading.Timer(0.1, stream.close)
        button.start()
        started = time.monotonic()
        stream.dispatch(on)
        assert time.monotonic() - started < 0.6 * PATIENCE
        button.join()
    assert has_stopped()
    assert seen == ["cancel", "close"]


def test_stop_from_another_task(url: str, anyio_backend: str) -> None:
    """In async, too, another task can stop a dispatch: `cancel` and then `close`."""
    on, seen = recording()
    on.batch(Text, interval=0.016)(lambda _: None)

    async def press(stream: AsyncEventStream[ChatEvent]) -> None:
        await anyio.sleep(0.1)
        await stream.aclose()

    async def main() -> None:
        async with (
            connect(url, TokenStore("test-token")) as client,
            anyio.create_task_group() as tasks,
            client.post(PATH, json=ENDLESS, dialect=AGENTHUB) as stream,
        ):
            tasks.start_soon(press, stream)
            with anyio.fail_after(0.6 * PATIENCE):
                await stream.dispatch(on)
            assert stream.outcome == "cancelled"
            assert await anyio.to_thread.run_sync(has_stopped)

    anyio.run(main, backend=anyio_backend)
    assert seen == ["cancel", "close"]


def test_a_cancelled_task(url: str) -> None:
    """A task that is cancelled ends as cancelled, not as failed, and the server stops generating."""
    on, seen = recording()

    async def dispatch() -> None:
        async with connect(url, TokenStore("test-token")) as client:
            await client.post(PATH, json=ENDLESS, dialect=AGENTHUB).dispatch(on)

    async def main() -> None:
        task = asyncio.create_task(dispatch())
        async with asyncio.timeout(5):
            while "endless" not in agenthub.generating:  # noqa: ASYNC110 - the server has no event
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # until the first tokens have come
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 0.5 * PATIENCE)
        assert await asyncio.to_thread(has_stopped)

    asyncio.run(main())
    assert seen == ["cancel", "close"]


def test_a_time_out_is_not_a_cancellation(url: str, shell: Shell) -> None:
    """If `total` runs out while tokens come, that is an error, and the events so far were delivered."""
    started = time.monotonic()
    result = shell.read(url + PATH, json=ENDLESS, headers=HEADERS, dialect=AGENTHUB, timeout=0.2)
    assert time.monotonic() - started < 0.7 * PATIENCE
    assert isinstance(result.error, StreamTimeout)
    assert isinstance(result.error, TimeoutError)
    assert result.error.clock == "total"
    assert len(result.events) > 2
    assert result.stream is not None
    assert result.stream.outcome == "timeout"
    assert has_stopped()


def test_a_time_out_of_a_dispatch_is_not_a_cancellation(url: str) -> None:
    """With callbacks, a timeout is `error` and then `close`; the error has the text so far."""
    on, seen = recording()
    with SSEClient(base_url=url, headers=HEADERS, timeout=0.2) as client:
        stream = client.post(PATH, json=ENDLESS, dialect=AGENTHUB)
        stream.accumulate()
        with pytest.raises(StreamTimeout) as caught:
            stream.dispatch(on)
    assert seen == ["StreamTimeout", "close"]
    assert caught.value.partial.startswith("word ")
