"""
Waking a thread that is blocked in a read, and no other: `close`, deadlines, and the connection pool.

Over plain TCP and over TLS, where only the socket under the TLS layer may be shut down; and on HTTP/2, where one socket
carries many streams and must not be shut down.
"""

import math
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest
import trustme
from shells import PATIENCE, SHELLS, Shell

from sse_client import EventStream, SSEClient, StreamInterrupted, StreamTimeout
from sse_client.testing import RST, Answer, EventServer, Pause, RecordedRequest

FILES = Path("/proc/self/fd")

# Waking takes 1 ms; a slow machine has time to run the other thread.
SOON = 0.3 * PATIENCE

# The async shells; threads have their own tests.
TASKS = [shell for shell in SHELLS if shell.kind != "sync"]

FOREVER = Pause(math.inf)
SILENT = Answer("data: 1\n\n", FOREVER)


@dataclass(frozen=True)
class Certificates:
    server: ssl.SSLContext
    client: ssl.SSLContext


def new_certificates() -> Certificates:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(server, client)


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return new_certificates()


@dataclass(frozen=True)
class Wire:
    """How to make servers, and the arguments of HTTP clients for them."""

    server: Callable[..., EventServer]
    http: dict[str, Any]


@pytest.fixture(params=["tcp", "tls"])
def wire(request: pytest.FixtureRequest, certificates: Certificates) -> Wire:
    if request.param == "tcp":
        return Wire(EventServer, {})
    return Wire(
        lambda *answers: EventServer(*answers, ssl_context=certificates.server), {"verify": certificates.client}
    )


@contextmanager
def client_of(library: ModuleType, **http: Any) -> Iterator[SSEClient]:
    with library.Client(**http) as below, SSEClient(http_client=below, retry=None) as client:
        yield client


def threads() -> set[threading.Thread]:
    """All threads except the one that watches the deadlines, which lives as long as the process."""
    return {thread for thread in threading.enumerate() if thread.name != "sse_client watchdog"}


def open_files() -> int:
    """The number of files and sockets that this process has open, if the system tells."""
    return sum(1 for _ in FILES.iterdir()) if FILES.exists() else 0


class Closer(threading.Thread):
    """Closes a stream from another thread after a delay."""

    def __init__(self, stream: EventStream, seconds: float, after: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.stream = stream
        self.seconds = seconds
        self.after = after
        self.at = math.inf
        self.start()

    def run(self) -> None:
        if self.after is not None:
            self.after()
        time.sleep(self.seconds)
        self.at = time.monotonic()
        self.stream.close()


def test_close_wakes_a_blocked_read(library: ModuleType, wire: Wire) -> None:
    """`close` ends the loop at once, a hundred times in a row, and leaves no thread, socket or connection."""
    with wire.server(SILENT) as server, client_of(library, **wire.http) as client:
        before = threads()
        close_while_reading(client, server)  # once before counting, to open everything that stays open
        assert left_behind(before) == set()
        files = open_files()
        for _ in range(100):
            close_while_reading(client, server)
        for request in server.requests:
            assert request.done.wait(5)
            assert not request.responded
        # No connection was used again after a close.
        assert server.connections == len(server.requests) == 101
        assert left_behind(before) == set()
        assert open_files() <= files


def close_while_reading(client: SSEClient, server: EventServer) -> None:
    stream = client.post(server.url)
    data = []
    with stream:
        for event in stream:
            data.append(event.data)
            closer = Closer(stream, 0.005)
    took = time.monotonic() - closer.at
    closer.join()
    assert (data, stream.outcome) == (["1"], "cancelled")
    assert 0 <= took < SOON


def left_behind(before: set[threading.Thread]) -> set[threading.Thread]:
    """The threads that are still there after the server's threads have had time to end."""
    deadline = time.monotonic() + 5
    while (left := threads() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def test_close_in_the_middle_of_a_flood(library: ModuleType, wire: Wire) -> None:
    """If a fast stream is closed at any moment, the events delivered so far are complete and in order."""
    dice = random.Random(0)
    pieces = [f"event: {number}\ndata: {'x' * 50}\n\n" for number in range(2000)]
    with wire.server(Answer(*pieces, FOREVER)) as server, client_of(library, **wire.http) as client:
        for _ in range(25):
            stream = client.post(server.url)
            with stream:
                closer = Closer(stream, dice.random() * 0.03)
                events = list(stream)
            closer.join()
            assert stream.outcome == "cancelled"
            assert [event.event for event in events] == [str(number) for number in range(len(events))]
            assert {event.data for event in events} <= {"x" * 50}


def test_close_while_waiting_for_the_headers(library: ModuleType, wire: Wire) -> None:
    """`close` also wakes a thread that waits for the headers on a new connection."""
    with wire.server(Answer(FOREVER, framing="raw")) as server, client_of(library, **wire.http) as client:
        for number in range(10):
            stream = client.post(server.url)
            closer = Closer(stream, 0.01, after=partial(server.wait_for_requests, number + 1))
            with stream:
                assert list(stream) == []
            assert 0 <= time.monotonic() - closer.at < SOON
            closer.join()
            assert stream.outcome == "cancelled"
        assert len(server.requests) == 10


def test_close_while_waiting_to_come_back(library: ModuleType) -> None:
    """`close` wakes a wait between two attempts, and no further request is sent."""
    with EventServer(Answer("retry: 60000\n\ndata: 1\n\n")) as server, client_of(library) as client:
        stream = client.subscribe(server.url)
        with stream:
            closer = Closer(stream, 0.05)
            assert [event.data for event in stream] == ["1"]
        assert 0 <= time.monotonic() - closer.at < SOON
        closer.join()
        assert stream.outcome == "cancelled"
    assert len(server.requests) == 1


def test_close_at_any_time(library: ModuleType) -> None:
    """`close` works before the start, after the end, and from many threads at once."""
    with EventServer(Answer("data: 1\n\n")) as server, client_of(library) as client:
        early = client.post(server.url)
        early.close()
        with early:
            assert list(early) == []
        assert early.outcome == "cancelled"
        assert server.requests == []

        late = client.post(server.url)
        with late:
            assert [event.data for event in late] == ["1"]
        late.close()
        assert late.outcome == "completed"

    with EventServer(SILENT) as server, client_of(library) as client:
        stream = client.post(server.url)
        with stream:
            next(stream)
            closers = [Closer(stream, 0.02) for _ in range(10)]
            assert list(stream) == []
        for closer in closers:
            closer.join()
        assert stream.outcome == "cancelled"


def test_a_closed_connection_is_not_used_again(library: ModuleType, wire: Wire) -> None:
    """A connection that was closed in the middle is not used again; one that was read to its end is."""
    answers = [Answer("data: 1\n\n"), Answer("data: 2\n\n"), SILENT, Answer("data: 3\n\n")]
    with wire.server(*answers) as server, client_of(library, **wire.http) as client:
        for _ in range(2):
            with client.post(server.url) as stream:
                list(stream)
        with client.post(server.url) as stream:
            next(stream)
            closer = Closer(stream, 0.02)
            assert list(stream) == []
            closer.join()
        with client.post(server.url) as stream:
            assert [event.data for event in stream] == ["3"]
    assert [request.connection for request in server.requests] == [1, 1, 1, 2]


@pytest.mark.parametrize("shell", TASKS, ids=str)
def test_aclose_wakes_a_blocked_read(shell: Shell, wire: Wire) -> None:
    """`aclose` ends the loop in another task, and the response is closed when `aclose` returns."""

    async def main() -> None:
        async with shell.aclient({"retry": None}, wire.http) as client:
            for answer_number in range(20):
                stream = client.post(server.url)
                data: list[str] = []
                async with stream, anyio.create_task_group() as tasks:
                    closed_at = [math.inf]

                    async def close(stream: Any = stream, closed_at: list[float] = closed_at) -> None:
                        await anyio.sleep(0.005)
                        closed_at[0] = time.monotonic()
                        await stream.aclose()
                        assert stream.response.is_closed

                    async for event in stream:
                        data.append(event.data)
                        tasks.start_soon(close)
                    assert 0 <= time.monotonic() - closed_at[0] < SOON
                assert (data, stream.outcome) == (["1"], "cancelled")
                assert len(server.requests) == answer_number + 1

    with wire.server(SILENT) as server:
        shell.run(main)
        for request in server.requests:
            assert request.done.wait(5)
            assert not request.responded
        assert server.connections == 20


@pytest.mark.parametrize("shell", TASKS, ids=str)
def test_aclose_while_waiting_for_the_headers(shell: Shell) -> None:
    """`aclose` wakes a task that waits for the headers."""

    async def main() -> None:
        async with shell.aclient({"retry": None}, {}) as client:
            stream = client.post(server.url)

            async def close() -> None:
                await anyio.sleep(0.05)
                await stream.aclose()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close)
                started = time.monotonic()
                async with stream:
                    assert [event async for event in stream] == []
                assert time.monotonic() - started < SOON
            assert stream.outcome == "cancelled"

    with EventServer(Answer(FOREVER, framing="raw")) as server:
        shell.run(main)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_deadline_over_tls(library: ModuleType, certificates: Certificates, framing: Any) -> None:
    """A deadline wakes the reader over TLS as well, and is reported as the deadline."""
    answer = Answer("data: 1\n\n", FOREVER, framing=framing)
    with (
        EventServer(answer, ssl_context=certificates.server) as server,
        client_of(library, verify=certificates.client) as client,
    ):
        started = time.monotonic()
        stream = client.post(server.url, timeout=0.2)
        with pytest.raises(StreamTimeout) as caught, stream:
            list(stream)
        assert 0.2 <= time.monotonic() - started < 0.2 + SOON
        assert caught.value.clock == "total"
        assert stream.outcome == "timeout"


def test_a_pooled_connection_outlives_deadlines(library: ModuleType) -> None:
    """
    A stream that ends right at its deadline returns a connection that is not shut down later.

    In each of eight threads, a stream ends some milliseconds around its deadline, earlier after each timeout, since the
    machine may be slow. The next stream takes any free connection, and must reach its end.
    """

    def answer(request: RecordedRequest) -> Answer:
        if request.target == "/next":
            return Answer("data: 1\n\n", Pause(0.03), "data: 2\n\n")
        return Answer("data: 1\n\n", Pause(float(request.target.removeprefix("/end/"))), "data: 2\n\n")

    outcomes: list[str | None] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        end = deadline = 0.08
        with client_of(library) as client:
            for _ in range(15):
                delay = min(max(end + dice.uniform(-0.012, 0.006), 0.0), deadline + 0.006)
                stream = client.post(f"{server.url}/end/{delay}", timeout=deadline)
                with suppress(StreamTimeout), stream:
                    list(stream)
                outcomes.append(stream.outcome)
                end += 0.002 if stream.outcome == "completed" else -0.01
                with client.post(f"{server.url}/next") as following:
                    assert [event.data for event in following] == ["1", "2"]

    with EventServer(answer) as server, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert set(outcomes) == {"completed", "timeout"}
    # Connections of streams that reached their end were used again.
    assert server.connections < len(server.requests)


def test_a_pooled_connection_outlives_closes(library: ModuleType) -> None:
    """A `close` during or after the end of a stream does not harm the next one on its connection."""

    def answer(request: RecordedRequest) -> Answer:
        return Answer("data: 1\n\n", Pause(0.01), "data: 2\n\n")

    outcomes: list[str | None] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        with client_of(library) as client:
            for _ in range(15):
                stream = client.post(server.url)
                with stream:
                    closer = Closer(stream, 0.01 + dice.uniform(-0.003, 0.012))
                    list(stream)
                outcomes.append(stream.outcome)
                with client.post(server.url) as following:
                    assert [event.data for event in following] == ["1", "2"]
                closer.join()

    with EventServer(answer) as server, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert set(outcomes) == {"completed", "cancelled"}
    assert server.connections < len(server.requests)


class H2Server:
    """
    A small HTTP/2 server: `/ticks` sends numbered events, one every 10 ms, and ends; `/pings` sends an event and then
    endless comments; `/silent` sends an event and nothing more.
    """

    TICKS = 30

    def __init__(self, context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.context = context
        self.connections = 0
        self.is_stopping = False
        self.threads: list[threading.Thread] = []
        self.spawn(self.accept)

    def spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self.threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_stopping = True
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def accept(self) -> None:
        while not self.is_stopping:
            if select.select([self.listener], [], [], 0.02)[0]:
                client, _ = self.listener.accept()
                self.connections += 1
                self.spawn(self.serve, client)

    def serve(self, client: socket.socket) -> None:
        with suppress(OSError), self.context.wrap_socket(client, server_side=True) as tls:
            self.talk(tls)

    def talk(self, tls: ssl.SSLSocket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        streams: dict[int, Iterator[bytes | None]] = {}
        due = time.monotonic()
        while not self.is_stopping:
            if time.monotonic() >= due:
                self.tick(connection, streams)
                due += 0.01
            tls.sendall(connection.data_to_send())
            if not tls.pending() and not select.select([tls], [], [], max(0.0, due - time.monotonic()))[0]:
                continue
            data = tls.recv(65_536)
            if not data:
                return
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    path = dict(event.headers or [])[b":path"].decode()
                    streams[event.stream_id] = self.script(path)
                    connection.send_headers(
                        event.stream_id, [(":status", "200"), ("content-type", "text/event-stream")]
                    )

    def tick(self, connection: h2.connection.H2Connection, streams: dict[int, Iterator[bytes | None]]) -> None:
        for stream_id, script in list(streams.items()):
            try:
                data = next(script, b"")
                if data == b"":
                    del streams[stream_id]
                    connection.end_stream(stream_id)
                elif data is not None:
                    connection.send_data(stream_id, data)
            except h2.exceptions.ProtocolError:
                streams.pop(stream_id, None)  # the client has left it

    def script(self, path: str) -> Iterator[bytes | None]:
        """The data to send with each tick; `None` for nothing."""
        if path == "/ticks":
            for number in range(self.TICKS):
                yield b"data: %d\n\n" % number
            return
        yield b"data: 1\n\n"
        while True:
            yield b": ping\n\n" if path == "/pings" else None


TICKS = [str(number) for number in range(H2Server.TICKS)]


@contextmanager
def h2_client(library: ModuleType, certificates: Certificates) -> Iterator[tuple[H2Server, SSEClient]]:
    with H2Server(certificates.server) as server, client_of(library, http2=True, verify=certificates.client) as client:
        # One stream first, so that the others share its connection.
        with client.post(f"{server.url}/silent") as stream:
            assert stream.response.http_version == "HTTP/2"
            next(stream)
        yield server, client


@contextmanager
def another_stream(server: H2Server, client: SSEClient) -> Iterator[None]:
    """
    Keep another stream open on the same connection, and read it to its end after the block.

    On this thread: over TLS, httpx itself loses streams if several threads share a connection.
    """
    with client.post(f"{server.url}/ticks") as stream:
        first = next(stream)
        yield
        assert [event.data for event in (first, *stream)] == TICKS
        assert stream.outcome == "completed"
    with client.post(f"{server.url}/ticks") as stream:
        assert [event.data for event in stream] == TICKS
    assert server.connections == 1


@pytest.fixture
def fresh_certificates() -> Certificates:
    """Separate certificates for each test, because the server's context decides whether there is HTTP/2."""
    return new_certificates()


def test_http2_close_harms_no_other_stream(library: ModuleType, fresh_certificates: Certificates) -> None:
    """On HTTP/2 a `close` from another thread ends its stream with the next byte, and no other stream."""
    with h2_client(library, fresh_certificates) as (server, client), another_stream(server, client):
        stream = client.post(f"{server.url}/pings")
        with stream:
            closer = None
            for _ in stream:
                closer = Closer(stream, 0.05)
            assert closer is not None
            assert 0 <= time.monotonic() - closer.at < SOON
            closer.join()
        assert stream.outcome == "cancelled"


def test_http2_leaving_harms_no_other_stream(library: ModuleType, fresh_certificates: Certificates) -> None:
    """On HTTP/2 a user who leaves a stream in the middle does not disturb the others on its connection."""
    with h2_client(library, fresh_certificates) as (server, client), another_stream(server, client):
        for path in ("/silent", "/pings", "/ticks"):
            with client.post(f"{server.url}{path}") as stream:
                next(stream)
            assert stream.outcome == "abandoned"


def test_http2_a_deadline_harms_no_other_stream(library: ModuleType, fresh_certificates: Certificates) -> None:
    """On HTTP/2 a deadline ends only its own stream."""
    with h2_client(library, fresh_certificates) as (server, client), another_stream(server, client):
        started = time.monotonic()
        stream = client.post(f"{server.url}/pings", timeout=0.1)
        with pytest.raises(StreamTimeout) as caught, stream:
            list(stream)
        assert 0.1 <= time.monotonic() - started < 0.1 + SOON
        assert caught.value.clock == "total"


@pytest.mark.parametrize("shell", TASKS, ids=str)
def test_http2_aclose_harms_no_other_stream(shell: Shell, fresh_certificates: Certificates) -> None:
    """On HTTP/2 `aclose` ends only its own stream, even a silent one."""

    async def main() -> None:
        http = {"http2": True, "verify": fresh_certificates.client}
        async with shell.aclient({"retry": None}, http) as client:
            async with client.post(f"{server.url}/silent") as first:
                assert first.response.http_version == "HTTP/2"
            results: list[list[str]] = []

            async def read() -> None:
                async with client.post(f"{server.url}/ticks") as stream:
                    results.append([event.data async for event in stream])

            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(read)
                for path in ("/silent", "/pings"):
                    stream = client.post(f"{server.url}{path}")
                    async with stream, anyio.create_task_group() as closers:

                        async def close(stream: Any = stream) -> None:
                            await anyio.sleep(0.03)
                            await stream.aclose()

                        async for _ in stream:
                            closers.start_soon(close)
                            started = time.monotonic()
                        assert time.monotonic() - started < SOON
                    assert stream.outcome == "cancelled"
            assert results == [TICKS] * 3

    with H2Server(fresh_certificates.server) as server:
        shell.run(main)
        assert server.connections == 1


@pytest.mark.parametrize("shell", TASKS, ids=str)
def test_http2_a_task_s_deadline_harms_no_other_stream(shell: Shell, fresh_certificates: Certificates) -> None:
    """On HTTP/2 a task's deadline ends only its own stream, in silence and while comments come."""

    async def main() -> None:
        http = {"http2": True, "verify": fresh_certificates.client}
        async with shell.aclient({"retry": None}, http) as client:
            async with client.post(f"{server.url}/silent") as first:
                assert first.response.http_version == "HTTP/2"
            results: list[list[str]] = []

            async def read() -> None:
                async with client.post(f"{server.url}/ticks") as stream:
                    results.append([event.data async for event in stream])

            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(read)
                for path in ("/silent", "/pings"):
                    started = time.monotonic()
                    with pytest.raises(StreamTimeout):
                        async with client.post(f"{server.url}{path}", timeout=0.1) as stream:
                            async for _ in stream:
                                pass
                    assert 0.1 <= time.monotonic() - started < 0.1 + SOON
            assert results == [TICKS] * 3

    with H2Server(fresh_certificates.server) as server:
        shell.run(main)
        assert server.connections == 1


def test_a_reset_is_no_close(library: ModuleType) -> None:
    """A connection that the server resets is an error, even if the stream is closed afterwards."""
    with EventServer(Answer("data: 1\n\n", RST)) as server, client_of(library) as client:
        stream = client.post(server.url)
        with pytest.raises(StreamInterrupted), stream:
            list(stream)
        stream.close()
        assert stream.outcome == "interrupted"
