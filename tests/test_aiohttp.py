"""
Streams over aiohttp: `httpx-aiohttp` puts aiohttp's connections below a client of httpx or httpx2.

Such a transport exposes no socket, does not trace, has one read timeout for the headers and the body, and raises its
own errors. Each test covers behavior that depends on one of these. aiohttp runs on asyncio only.
"""

import gzip
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import httpx
import httpx2
import httpx_aiohttp
import httpx_aiohttp.httpx2
import pytest
import trustme
from shells import HAS_UVLOOP, PATIENCE, TLS, Shell, entered
from test_clocks import BODIES, CLOCK, SLOW_HEADS, check_fired, check_left_alone, full_listener, only, run, url_of

from sse_client import (
    AsyncSSEClient,
    ConnectionFailed,
    ContentTypeError,
    LastEventID,
    RetryPolicy,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Terminator,
    Timeouts,
    aiter_events,
)
from sse_client.testing import FIN, RST, Answer, EventServer, Pause, RecordedRequest

FOREVER = Pause(math.inf)
ONE = Answer("data: 1\n\n")
SILENT = Answer("data: 1\n\n", FOREVER)
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
AT_ONCE = RetryPolicy(initial_delay=0, jitter=0)
NO_RETRY: dict[str, Any] = {"retry": None}

# Waking takes 1 ms; a slow machine has time to run the other task.
SOON = 0.3 * PATIENCE
MOMENT = 0.05


@dataclass(frozen=True)
class AiohttpShell(Shell):
    """A shell whose HTTP client uses aiohttp."""

    transport: Any

    @asynccontextmanager
    async def aclient(self, client: dict[str, Any], http: dict[str, Any]) -> AsyncIterator[AsyncSSEClient]:
        options = {**http, "transport": self.transport(verify=http.get("verify", TLS))}
        async with (
            self.library.AsyncClient(**options) as below,
            AsyncSSEClient(http_client=below, **client) as sse,
        ):
            yield sse


SHELLS = [
    AiohttpShell("asyncio", httpx, httpx_aiohttp.AiohttpTransport),
    AiohttpShell("asyncio", httpx2, httpx_aiohttp.httpx2.AiohttpTransport),
]
if HAS_UVLOOP:
    SHELLS.append(AiohttpShell("asyncio", httpx, httpx_aiohttp.AiohttpTransport, has_uvloop=True))


@pytest.fixture(params=SHELLS, ids=str)
def shell(request: pytest.FixtureRequest) -> Shell:
    shell: Shell = request.param
    return shell


pytestmark = pytest.mark.usefixtures("collected")


async def done(request: RecordedRequest) -> bool:
    """Wait until the server has seen the end of a request, while the loop runs: aiohttp closes a turn later."""
    return await anyio.to_thread.run_sync(request.done.wait, 5)


@pytest.mark.parametrize("framing", ["chunked", "length", "close", "one chunk"])
def test_each_event_arrives_before_the_next_is_sent(shell: Shell, framing: Any) -> None:
    """An event is delivered with its last byte, whatever the framing: the server waits for that before the next."""
    received = [threading.Event() for _ in range(5)]
    steps: list[Any] = []
    for number, event in enumerate(received):
        steps += [f"data: {number}\n\n", lambda event=event: event.wait(5) or pytest.fail("it has not arrived")]
    if framing == "one chunk":
        size = sum(len(step) for step in steps if isinstance(step, str))
        steps = [f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n", *steps, "\r\n0\r\n\r\n"]
        framing = "raw"

    async def main() -> None:
        async with shell.any_client(NO_RETRY) as client, entered(client.post(server.url)) as reader:
            async for event in reader:
                received[int(event.data)].set()
            assert reader.stream.outcome == "completed"

    with EventServer(Answer(*steps, framing=framing)) as server:
        shell.run(main)
        assert all(event.is_set() for event in received)


def test_what_is_sent(shell: Shell) -> None:
    """The body and the headers of a call arrive as over httpx's own transport."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    with EventServer(ONE) as server:
        headers = [("X-Tag", "1"), ("X-Tag", "2")]
        shell.read(f"{server.url}/a?q=%C3%A9", json={"n": 1}, headers=headers, last_event_id="é-1")
        shell.read(server.url, content=pieces())
        shell.read(server.url, files={"f": ("name.txt", b"the file", "text/plain")})
        in_json, in_pieces, in_parts = server.requests
    assert (in_json.target, in_json.json()) == ("/a?q=%C3%A9", {"n": 1})
    got = [in_json.headers[name] for name in ("content-type", "accept", "accept-encoding", "x-tag", "last-event-id")]
    assert got == ["application/json", "text/event-stream", "identity", "1, 2", "é-1"]
    assert re.fullmatch(r"sse-client/\S+ python-httpx2?/\S+", in_json.headers["user-agent"])
    assert in_pieces.body == b"one two"
    assert b'filename="name.txt"\r\nContent-Type: text/plain\r\n\r\nthe file\r\n' in in_parts.body


def test_compressed(shell: Shell) -> None:
    """A compressed stream is decoded once, by httpx and not by aiohttp."""
    packed = gzip.compress(b"data: 1\n\n")
    with EventServer(Answer(packed, headers={"Content-Encoding": "gzip"})) as server:
        assert shell.read(server.url).data == ["1"]


def test_over_tls(shell: Shell) -> None:
    """TLS is set on the transport, as `verify=`. An untrusted certificate is a failed connection."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with EventServer(ONE, ssl_context=context) as server:
        assert shell.read(server.url, http={"verify": trusting}).data == ["1"]
        error = shell.read(server.url, client=NO_RETRY).error
    assert isinstance(error, ConnectionFailed)
    assert not error.ambiguous


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "make", [httpx_aiohttp.HttpxAiohttpClient, httpx_aiohttp.httpx2.Httpx2AiohttpClient], ids=["httpx", "httpx2"]
)
async def test_its_own_client(make: Any) -> None:
    """The package's clients, which are derived from httpx's, work like any other, and so do their responses."""
    with EventServer(ONE) as server:
        async with make(verify=TLS) as http:
            async with AsyncSSEClient(http_client=http) as client, client.post(server.url) as stream:
                assert [event.data async for event in stream] == ["1"]
            async with http.stream("POST", server.url) as response:
                assert [event.data async for event in aiter_events(response)] == ["1"]


@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("how", [FIN, RST], ids=str)
def test_cut(shell: Shell, framing: Any, how: Any) -> None:
    """A cut in a chunked or length-delimited body interrupts the stream, even between two events."""
    headers = {"Content-Length": "1000"} if framing == "length" else {}
    answer = Answer("data: 1\n\n", "data: 2\n\n", Pause(MOMENT), how, headers=headers, framing=framing)
    with EventServer(answer) as server:
        result = shell.read(server.url, client=NO_RETRY)
    assert result.data == ["1", "2"]
    assert isinstance(result.error, StreamInterrupted)
    assert isinstance(result.error.__cause__, shell.library.ReadError)


@pytest.mark.parametrize("how", [FIN, RST], ids=str)
def test_cut_of_a_close_delimited_body(shell: Shell, how: Any) -> None:
    """aiohttp treats a reset as the end of a close-delimited body; missing data is noticed as after any other cut."""
    cases: list[tuple[str, dict[str, Any], type[object]]] = [
        ("", {}, type(None)),
        ("data: 2", {}, StreamTruncated),
        ("", {"terminator": Terminator(data="bye")}, StreamTruncated),
    ]
    for tail, options, kind in cases:
        with EventServer(Answer("data: 1\n\n", tail, Pause(MOMENT), how, framing="close")) as server:
            result = shell.read(server.url, client=NO_RETRY, **options)
        assert (result.data, type(result.error)) == (["1"], kind)


def test_refused(shell: Shell) -> None:
    """A refused connection is retried: nothing was sent, even though its cause is called a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = url_of(listener)
    result = shell.read(url, client={"retry": AT_ONCE})
    assert isinstance(result.error, ConnectionFailed)
    assert (result.error.ambiguous, result.error.clock) == (False, None)
    assert result.stream is not None
    assert result.stream.stats.attempts == 3


LOST: dict[str, list[Any]] = {
    "FIN": [FIN],
    "RST": [RST],
    "half a head": [HEAD[:30], FIN],
    "no HTTP": ["no HTTP at all\r\n\r\n"],
}


@pytest.mark.parametrize("steps", LOST.values(), ids=LOST)
def test_lost_before_the_headers(shell: Shell, steps: list[Any]) -> None:
    """A POST that was lost without a response may have been acted upon, and is not sent again."""
    with EventServer(Answer(*steps, framing="raw")) as server:
        result = shell.read(f"{server.url}/?key=test-token", client={"retry": AT_ONCE})
        assert len(server.requests) == 1
    assert isinstance(result.error, ConnectionFailed)
    assert result.error.ambiguous
    assert "retry_ambiguous=True" in str(result.error)
    cause = result.error.__cause__
    assert not any("test-token" in text for text in (str(result.error), repr(cause), str(cause)))


def test_refusal(shell: Shell) -> None:
    """An error of the status or the media type has the server's message."""
    json = {"Content-Type": "application/json"}
    with EventServer(
        Answer('{"error": {"message": "too long"}}', status=422, headers=json),
        Answer('{"detail": "log in"}', headers=json, framing="length"),
    ) as server:
        status, media_type = (shell.read(server.url).error for _ in range(2))
    assert isinstance(status, StatusError)
    assert (status.status_code, status.message) == (422, "too long")
    assert isinstance(media_type, ContentTypeError)
    assert media_type.message == "log in"


@pytest.mark.parametrize("how", [FIN, RST], ids=str)
def test_resume(shell: Shell, how: Any) -> None:
    """A broken stream is resumed after its last event."""
    with EventServer(
        Answer("retry: 10\n\nid: é-1\ndata: 1\n\n", Pause(MOMENT), how), Answer("id: é-2\ndata: 2\n\n")
    ) as server:
        result = shell.read(server.url, resume=LastEventID())
        assert [request.headers.get("last-event-id") for request in server.requests] == [None, "é-1"]
    assert (result.data, result.error) == (["1", "2"], None)


def test_redirect(shell: Shell) -> None:
    """Redirects over aiohttp follow the same rules: another origin gets none of the call's headers."""
    with EventServer(ONE) as other:
        redirect = Answer(status=307, headers={"Location": f"{other.url}/b"}, framing="length")
        with EventServer(redirect) as server:
            headers = {"X-Token": "test-token", "Authorization": "test-token"}
            assert shell.read(server.url, headers=headers).error is not None
            assert other.requests == []
            assert shell.read(server.url, headers=headers, json={}, cross_origin_redirects=True).data == ["1"]
    (request,) = other.requests
    assert (request.method, request.json()) == ("POST", {})
    assert "test-token" not in str(request.headers)


@pytest.mark.parametrize(
    ("behind", "connections"), [([Pause(0.03), ": bye\n\n"], 1), ([FOREVER], 3)], ids=["a last chunk", "no end"]
)
def test_connection_behind_a_terminator(shell: Shell, behind: list[Any], connections: int) -> None:
    """The rest after a terminator is read for a moment. Then its connection is used again, or given up."""

    async def main() -> None:
        async with shell.any_client(NO_RETRY) as client:
            for _ in range(3):
                async with entered(client.post(server.url)) as reader:
                    assert [event.data async for event in reader] == ["1"]
                    assert reader.stream.outcome == "completed"

    with EventServer(Answer("data: 1\n\n", "data: [DONE]\n\n", *behind)) as server:
        started = time.monotonic()
        shell.run(main)
        assert time.monotonic() - started < 1.5 * PATIENCE
        assert server.connections == connections


def check_clock(shell: Shell, url: str, kind: Any, clock: str, mark: str, timeouts: Timeouts) -> None:
    result = run(shell, url, timeout=timeouts)
    check_fired({str(shell): result}, kind, clock, mark)
    if isinstance(result.error, ConnectionFailed):
        assert result.error.ambiguous == (clock == "response")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connect(shell: Shell, scheme: str) -> None:
    """`connect` covers the connection and its TLS handshake."""
    if scheme == "http":
        with full_listener() as listener:
            check_clock(shell, url_of(listener), ConnectionFailed, "connect", "start", only(connect=CLOCK))
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            check_clock(shell, url_of(listener, "https"), ConnectionFailed, "connect", "start", only(connect=CLOCK))


@pytest.mark.parametrize("steps", SLOW_HEADS.values(), ids=SLOW_HEADS)
def test_response(shell: Shell, steps: list[Any]) -> None:
    """
    `response` covers the whole head. The time at which the request was sent is unknown, so `connect` is added to it.
    """
    with EventServer(Answer(*steps, framing="raw")) as server:
        timeouts = only(connect=MOMENT, response=CLOCK)
        check_clock(shell, server.url, ConnectionFailed, "response", "start", timeouts)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("clock", ["read", "first_event", "idle", "total"])
def test_clock_of_the_body(shell: Shell, clock: str, body: str) -> None:
    """Each clock of the body fires at its time: `read` only during silence, the others until an event comes."""
    steps = BODIES[body] if clock == "first_event" else ["data: 1\n\n", *BODIES[body]]
    mark = {"first_event": "open", "total": "start"}.get(clock, "event")
    with EventServer(Answer(*steps)) as server:
        if clock == "read" and body != "silence":
            timeouts = only(read=CLOCK, total=2 * CLOCK)
            result = run(shell, server.url, timeout=timeouts)
            assert getattr(result.error, "clock", None) == "total"
        else:
            check_clock(shell, server.url, StreamTimeout, clock, mark, only(**{clock: CLOCK}))


IN_TIME = {
    "no read": only(response=CLOCK),
    "a longer read": only(response=CLOCK, read=9.0),
    "a longer response": only(response=9.0, read=3 * CLOCK),
}


@pytest.mark.parametrize("timeouts", IN_TIME.values(), ids=IN_TIME)
def test_a_silence_in_time(shell: Shell, timeouts: Timeouts) -> None:
    """`response` ends with the headers: it is not a read timeout of the body, although aiohttp has only one."""
    with EventServer(Answer("data: 1\n\n", Pause(2 * CLOCK), "data: 2\n\n")) as server:
        result = run(shell, server.url, timeout=timeouts)
    check_left_alone({str(shell): result}, ["1", "2"])


PLACES = {
    "read": SILENT,
    "first read": Answer(FOREVER),
    "headers": Answer(FOREVER, framing="raw"),
    "body of an error": Answer("an error", FOREVER, status=400),
}


@pytest.mark.parametrize("answer", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("how", ["aclose", "cancel"])
def test_leaving(shell: Shell, answer: Answer, how: str) -> None:
    """
    Wherever a task waits, `aclose()` from another task or a cancellation wakes it, and the server sees that at once.
    """

    async def main() -> None:
        async with shell.aclient(NO_RETRY, {}) as client:
            for number in range(5):
                stream = client.post(server.url)
                left_at = math.inf

                async def leave(stream: Any = stream, number: int = number) -> None:
                    nonlocal left_at
                    await anyio.to_thread.run_sync(server.wait_for_requests, number + 1)
                    await anyio.sleep(MOMENT)
                    left_at = time.monotonic()
                    if how == "aclose":
                        await stream.aclose()
                    else:
                        scope.cancel()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(leave)
                    with anyio.CancelScope() as scope:
                        async with stream:
                            async for event in stream:
                                assert event.data == "1"
                assert time.monotonic() - left_at < SOON
                assert (stream.outcome, stream.state) == ("cancelled", "closed")
                assert await done(server.requests[number])
                assert time.monotonic() - left_at < SOON

    with EventServer(answer) as server:
        shell.run(main)
        assert not any(request.responded for request in server.requests)
        assert server.connections == len(server.requests) == 5


def test_break(shell: Shell) -> None:
    """A user who leaves the `async with` early closes the connection; the next call has a new one."""

    async def main() -> None:
        async with shell.aclient(NO_RETRY, {}) as client:
            async with client.post(server.url) as stream:
                async for _ in stream:
                    break
            assert stream.outcome == "abandoned"
            assert await done(server.requests[0])
            async with client.post(server.url) as stream:
                assert [event.data async for event in stream] == ["1"]

    with EventServer(SILENT, ONE) as server:
        shell.run(main)
        assert server.connections == 2
