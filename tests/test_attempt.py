"""
One request on its way, from the pool to its headers: what delays it, what wakes it, and its clocks.

An attempt is in one of these places: it calls the headers function, runs the client's hooks and `auth`, waits for a
connection in the pool, shakes hands with a proxy or over TLS, or waits for the head of the response; on a new
connection or on a used one. In each it may be closed, and in each its clocks may run out.
"""

import math
import random
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, Self

import anyio
import anyio.from_thread
import anyio.to_thread
import httpcore
import httpcore2
import httpx
import pytest
import trustme
from shells import PATIENCE, SHELLS, TLS, Shell, entered

from sse_client import ConnectionFailed, EventStream, SSEClient, SSEError, StreamTimeout, Timeouts
from sse_client._core.plan import Plan
from sse_client._core.session import Session
from sse_client._core.steps import Connect
from sse_client._request import Request
from sse_client._shells.attempt import Attempt
from sse_client._shells.waking import Channel
from sse_client.testing import Answer, EventServer, Pause, RecordedRequest

# Waking takes 1 ms; a slow machine has time to run the other thread.
SOON = 0.3 * PATIENCE
LATE = 0.6 * PATIENCE
CLOCK = 0.4

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
FOREVER = Pause(math.inf)
GOOD = Answer("data: good\n\n", framing="length")
SILENT_HEAD = Answer(FOREVER, framing="raw")
ALONE: dict[str, Any] = {"retry": None}


def only_one(library: ModuleType, **http: Any) -> dict[str, Any]:
    """The arguments of a client whose pool has one connection: if the pool loses it, no request can be sent."""
    return {"limits": library.Limits(max_connections=1), **http}


@contextmanager
def client_of(library: ModuleType, **http: Any) -> Iterator[SSEClient]:
    with library.Client(**{"verify": TLS, **http}) as below, SSEClient(http_client=below, retry=None) as client:
        yield client


def use(client: SSEClient, url: str, **options: Any) -> None:
    """Read a whole stream, which leaves its connection to the next."""
    with client.post(url, **options) as stream:
        assert [event.data for event in stream] == ["good"]


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

    def check(self) -> None:
        assert 0 <= time.monotonic() - self.at < SOON
        self.join()
        assert self.stream.outcome == "cancelled"


class Closing:
    """Closes a stream from the user's code that runs before its request is sent."""

    def __init__(self, shell: Shell) -> None:
        self.is_sync = shell.kind == "sync"
        self.streams: list[Any] = []
        self.library = shell.library

    def close(self) -> None:
        for stream in self.streams:
            thread = threading.Thread(target=stream.close)  # as a button of a screen does it
            thread.start()
            thread.join()

    async def aclose(self) -> None:
        for stream in self.streams:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.aclose)

    def headers(self) -> Any:
        if self.is_sync:
            self.close()
            return None
        return self.aclose()

    def hook(self, request: Any) -> Any:
        if self.is_sync:
            self.close()
            return None
        return self.aclose()

    def auth(self) -> Any:
        closing = self

        class Auth(self.library.Auth):  # type: ignore[name-defined, misc]
            def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
                closing.close()
                yield request

            async def async_auth_flow(self, request: Any) -> AsyncIterator[Any]:
                await closing.aclose()
                yield request

        return Auth()


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("place", ["headers", "hook", "auth"])
def test_closed_before_it_is_sent(shell: Shell, place: str, is_used: bool) -> None:
    """A stream that is closed before its request is written sends nothing, and leaves the pool intact."""
    closing = Closing(shell)
    http: dict[str, Any] = only_one(shell.library)
    options: dict[str, Any] = {}
    if place == "headers":
        options["headers"] = closing.headers
    elif place == "hook":
        http["event_hooks"] = {"request": [closing.hook]}
    else:
        options["auth"] = closing.auth()

    async def main() -> None:
        async with shell.any_client(ALONE, http) as client:
            if is_used:
                async with entered(client.post(server.url)) as reader:
                    assert [event.data async for event in reader] == ["good"]
            stream = client.post(f"{server.url}/closed", **options)
            closing.streams.append(stream)
            async with entered(stream) as reader:
                assert [event async for event in reader] == []
            assert stream.outcome == "cancelled"
            closing.streams.clear()
            async with entered(client.post(server.url)) as reader:
                assert [event.data async for event in reader] == ["good"]

    with EventServer(GOOD) as server:
        shell.run(main)
        assert [request.target for request in server.requests] == ["/"] * (1 + is_used)


def test_closed_before_it_is_sent_without_a_trace(shell: Shell) -> None:
    """A stream that is closed before its request is written sends nothing over a transport without a trace either."""
    sent: list[Any] = []

    def handle(request: Any) -> Any:
        sent.append(request)
        return shell.library.Response(500)

    closing = Closing(shell)

    async def main() -> None:
        async with shell.any_client(ALONE, {"transport": shell.library.MockTransport(handle)}) as client:
            stream = client.post("http://server.example", headers=closing.headers)
            closing.streams.append(stream)
            async with entered(stream) as reader:
                assert [event async for event in reader] == []
            assert stream.outcome == "cancelled"

    shell.run(main)
    assert sent == []


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell.kind != "sync"], ids=str)
def test_closed_while_an_async_function_is_asked_for_headers(shell: Shell) -> None:
    """`aclose()` does not wait for a slow headers function: the function is cancelled."""
    ends: list[str] = []

    async def headers() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ends.append("cancelled")

    async def main() -> None:
        async with shell.aclient(ALONE, {}) as client:
            stream = client.post(server.url, headers=headers)
            async with anyio.create_task_group() as tasks:

                async def close() -> None:
                    await anyio.sleep(0.02)
                    await stream.aclose()

                tasks.start_soon(close)
                async with stream:
                    assert [event async for event in stream] == []
            assert stream.outcome == "cancelled"

    with EventServer(GOOD) as server:
        shell.run(main)
        assert (server.requests, ends) == ([], ["cancelled"])


def test_closed_while_it_waits_for_a_connection(shell: Shell) -> None:
    """A stream that is closed in the queue of a pool sends nothing when its turn comes, and delays no other request."""

    async def main() -> None:
        async with shell.any_client(ALONE, only_one(shell.library)) as client:
            async with entered(client.post(f"{server.url}/first")) as first:
                assert (await anext(first)).data == "1"
                waiting = client.post(f"{server.url}/waiting")

                async def wait() -> None:
                    if isinstance(waiting, EventStream):
                        assert await anyio.to_thread.run_sync(list, waiting) == []
                    else:
                        async with waiting:
                            assert [event async for event in waiting] == []

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(wait)
                    await anyio.sleep(0.05)
                    if isinstance(waiting, EventStream):
                        waiting.close()
                    else:
                        await waiting.aclose()
                    released.set()
                    if isinstance(first.stream, EventStream):
                        first.stream.close()
                    else:
                        await first.stream.aclose()
            assert waiting.outcome == "cancelled"
            async with entered(client.post(f"{server.url}/next")) as reader:
                assert [event.data async for event in reader] == ["good"]

    released = threading.Event()
    with EventServer(Answer("data: 1\n\n", FOREVER), GOOD) as server:
        shell.run(main)
        assert [request.target for request in server.requests] == ["/first", "/next"]


def test_the_total_runs_out_while_headers_are_asked_for() -> None:
    """A request whose total runs out before it is written is not sent; an async headers function is cancelled."""

    def one(shell: Shell) -> None:
        def headers() -> Any:
            if shell.kind == "sync":
                time.sleep(1.5 * CLOCK)
                return None
            return anyio.sleep(10)

        async def main() -> None:
            async with shell.any_client(ALONE, {}) as client:
                started = time.monotonic()
                with pytest.raises(StreamTimeout) as caught:
                    async with entered(client.post(server.url, headers=headers, timeout=CLOCK)):
                        pass
                assert caught.value.clock == "total"
                late = 0.5 * CLOCK if shell.kind == "sync" else 0
                assert CLOCK - 0.01 <= time.monotonic() - started < CLOCK + late + LATE

        shell.run(main)

    with EventServer(GOOD) as server:
        everywhere(one)
        assert server.requests == []


def everywhere(one: Callable[[Shell], None]) -> None:
    """Run a scenario that is mostly waiting in all shells at once."""
    with ThreadPoolExecutor(len(SHELLS)) as pool:
        list(pool.map(one, SHELLS))


class Proxy:
    """A proxy that connects to the requested server after a delay."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.spawn(self.accept)
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.listener, *self.connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for each in (self.listener, *self.connections):
            each.close()

    def spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self.threads.append(thread)
        thread.start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                self.connections.append(self.listener.accept()[0])
                self.spawn(self.serve, self.connections[-1])

    def serve(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (data := client.recv(4096)):
                return
            head += data
        time.sleep(self.seconds)
        host, _, port = head.split()[1].decode().partition(":")
        server = socket.create_connection((host, int(port)))
        self.connections.append(server)
        with suppress(OSError):
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        self.spawn(self.copy, server, client)
        self.copy(client, server)

    def copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Way:
    """How a client connects to its server."""

    server: Callable[..., EventServer]
    http: Callable[[EventServer], dict[str, Any]]
    target: str = ""


@pytest.fixture(scope="module")
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.fixture(params=["tcp", "tls", "proxy", "tunnel"])
def way(request: pytest.FixtureRequest, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Way]:
    server, client = certificates
    match request.param:
        case "tcp":
            yield Way(EventServer, lambda _: {})
        case "tls":
            yield Way(lambda *answers: EventServer(*answers, ssl_context=server), lambda _: {"verify": client})
        case "proxy":
            # The server acts as the proxy; the requested server does not exist.
            yield Way(EventServer, lambda at: {"proxy": at.url}, "http://server.example/")
        case "tunnel":
            with Proxy() as proxy:
                yield Way(
                    lambda *answers: EventServer(*answers, ssl_context=server),
                    lambda _: {"proxy": proxy.url, "verify": client},
                )


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
def test_close_wakes_who_waits_for_the_head(library: ModuleType, way: Way, is_used: bool) -> None:
    """`close()` wakes a thread that waits for a response, even on a used connection."""
    answers = [GOOD, SILENT_HEAD, GOOD] if is_used else [SILENT_HEAD, GOOD]
    with way.server(*answers) as server, client_of(library, **only_one(library, **way.http(server))) as client:
        url = way.target or server.url
        if is_used:
            use(client, url)
        stream = client.post(url)
        closer = Closer(stream, 0.03, after=lambda: server.wait_for_requests(1 + is_used))
        with stream:
            assert list(stream) == []
        closer.check()
        use(client, url)
        assert [request.connection for request in server.requests] == ([1, 1, 2] if is_used else [1, 2])


def drip(data: bytes) -> list[Any]:
    return [step for byte in data for step in (bytes([byte]), Pause(0.01))]


HEADS: dict[str, list[Any]] = {
    "silence": [FOREVER],
    "head": drip(HEAD.replace(b"\r\n\r\n", b"\r\nX-Filler: " + b"x" * 200)),
    "1xx": [b"HTTP/1.1 103 Early Hints\r\n\r\n", Pause(0.01)] * 200,
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("clock", ["response", "total"])
def test_a_clock_on_a_used_connection(clock: str, head: str) -> None:
    """On a used connection, `response` and `total` end a response that does not come, or comes byte by byte."""
    timeouts = Timeouts(**{"connect": None, "response": None, "read": None, clock: CLOCK})

    def answer(request: RecordedRequest) -> Answer:
        return GOOD if request.method == "GET" else Answer(*HEADS[head], framing="raw")

    def one(shell: Shell) -> None:
        async def main() -> None:
            async with shell.any_client(ALONE, only_one(shell.library)) as client:
                url = f"{server.url}/{shell}"
                async with entered(client.get(url)) as reader:
                    assert [event.data async for event in reader] == ["good"]
                started = time.monotonic()
                with pytest.raises(StreamTimeout if clock == "total" else ConnectionFailed) as caught:
                    async with entered(client.post(url, timeout=timeouts)):
                        pass
                assert CLOCK - 0.01 <= time.monotonic() - started < CLOCK + LATE
                assert getattr(caught.value, "clock", None) == clock

        shell.run(main)

    with EventServer(answer) as server:
        everywhere(one)
        connections = {(request.target, request.connection) for request in server.requests}
        assert len(connections) == len(SHELLS)
        assert len(server.requests) == 2 * len(SHELLS)


@contextmanager
def mute() -> Iterator[str]:
    """A server that accepts connections and sends nothing, not even in a TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"


def test_close_wakes_a_handshake(library: ModuleType) -> None:
    """`close()` wakes a thread in the middle of a TLS handshake."""
    with mute() as url, client_of(library) as client:
        stream = client.post(url)
        closer = Closer(stream, 0.05)
        with stream:
            assert list(stream) == []
        closer.check()


def test_closed_in_a_handshake_through_a_proxy(
    shell: Shell, certificates: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """A tunnel that is closed in its TLS handshake gives its place in the pool to the next request."""

    async def main() -> None:
        http = only_one(shell.library, proxy=proxy.url, verify=certificates[1])
        async with shell.any_client(ALONE, http) as client:
            stream = client.post(url)
            if isinstance(stream, EventStream):
                closer = Closer(stream, 0.05)
                with stream:
                    assert list(stream) == []
                closer.check()
            else:
                async with anyio.create_task_group() as tasks:

                    async def close() -> None:
                        await anyio.sleep(0.05)
                        await stream.aclose()

                    tasks.start_soon(close)
                    async with stream:
                        assert [event async for event in stream] == []
            assert stream.outcome == "cancelled"
            async with entered(client.post(server.url)) as reader:
                assert [event.data async for event in reader] == ["good"]

    with mute() as url, Proxy() as proxy, EventServer(GOOD, ssl_context=certificates[0]) as server:
        shell.run(main)


@pytest.mark.parametrize("module", [httpcore, httpcore2], ids=lambda module: module.__name__)
def test_the_private_name_that_leads_to_a_used_connection(module: Any) -> None:
    """The connections of httpcore have the private attribute that we use; without it `close()` comes late, as below."""
    connection = module.HTTP11Connection(
        origin=module.Origin(b"http", b"server.example", 80), stream=(mark := object())
    )
    assert connection._network_stream is mark


def test_without_the_private_name(library: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, silence on a used connection ends by the transport's timeout. A new connection is not affected."""
    monkeypatch.setattr("sse_client._shells.attempt._caller", lambda: None)
    with EventServer(GOOD, SILENT_HEAD, SILENT_HEAD) as server, client_of(library) as client:
        use(client, server.url)
        started = time.monotonic()
        with pytest.raises(ConnectionFailed) as caught, client.post(server.url, timeout=Timeouts(response=CLOCK)):
            pass
        assert CLOCK - 0.01 <= time.monotonic() - started < CLOCK + LATE
        assert caught.value.clock == "response"
        stream = client.post(server.url)
        closer = Closer(stream, 0.03, after=lambda: server.wait_for_requests(3))
        with stream:
            assert list(stream) == []
        closer.check()


# httpcore's reports on each way, and whether the channel has a socket at that time: "a" for armed.
REPORTS = {
    "tcp": """
        connection.connect_tcp.started              .
        connection.connect_tcp.complete             .
        http11.send_request_headers.started         a
        http11.send_request_headers.complete        a
        http11.receive_response_headers.started     a
        http11.receive_response_headers.complete    a
        http11.response_closed.started              .
    """,
    "unix and tls": """
        connection.connect_unix_socket.started      .
        connection.connect_unix_socket.complete     .
        connection.start_tls.started                a
        connection.start_tls.complete               .
        http11.send_request_headers.started         a
    """,
    "tls that fails": """
        connection.connect_tcp.complete             .
        connection.start_tls.started                a
        connection.start_tls.failed                 .
    """,
    "socks and tls": """
        socks.connect_tcp.started                   .
        socks.connect_tcp.complete                  .
        socks.setup_socks5_connection.started       a
        socks.setup_socks5_connection.complete      .
        socks.start_tls.started                     a
        socks.start_tls.complete                    .
        http11.send_request_headers.started         a
    """,
    "socks that fails": """
        socks.connect_tcp.complete                  .
        socks.setup_socks5_connection.started       a
        socks.setup_socks5_connection.failed        .
    """,
    "http2": """
        connection.connect_tcp.complete             .
        connection.start_tls.started                a
        connection.start_tls.complete               .
        http2.send_connection_init.started          .
        http2.send_request_headers.started          .
        http2.receive_response_headers.complete     .
    """,
}


@pytest.mark.parametrize("way", REPORTS)
def test_when_a_thread_can_be_woken(way: str) -> None:
    """The channel has a socket in the phases that read from one, and never one that may belong to another request."""
    ends = socket.socketpair()

    class NetworkStream:
        def get_extra_info(self, name: str) -> Any:
            return ends[0]

        def close(self) -> None:
            pass

    session = Session(
        Plan(request=Request(method="POST", url="http://server.example")), random=random.random, utc_now=datetime.now
    )
    step = session.next_step(time.monotonic())
    assert isinstance(step, Connect)
    request, channel = httpx.Request("POST", "http://server.example", extensions={"timeout": {}}), Channel()
    attempt = Attempt(request, step, session, channel, time.monotonic)
    for name, mark in map(str.split, REPORTS[way].strip().splitlines()):
        attempt.trace(name, {"return_value": NetworkStream()} if name.endswith("complete") else {})
        assert channel.is_armed == (mark == "a"), name
    channel.release()
    for end in ends:
        end.close()


def test_a_hundred_threads_on_a_small_pool(library: ModuleType) -> None:
    """
    A stream that is closed, or whose clock runs out, at any moment around its headers does not harm any other.

    A hundred threads share eight connections. Each alternates between a stream that is given up at about the time of
    its headers and one that must reach its end, on any free connection.
    """

    def answer(request: RecordedRequest) -> Answer:
        time.sleep(0.003)
        return GOOD

    outcomes: set[str | None] = set()

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for number in range(6):
            if number % 2:
                stream = client.post(server.url, timeout=Timeouts(connect=60, total=60))
                closer = Closer(stream, dice.uniform(0, 0.2))
            else:
                stream = client.post(server.url, timeout=Timeouts(connect=60, total=dice.uniform(0.001, 0.2)))
            with suppress(StreamTimeout), stream:
                list(stream)
            outcomes.add(stream.outcome)
            use(client, server.url, timeout=Timeouts(connect=60))
            if number % 2:
                closer.join()

    limits = library.Limits(max_connections=8)
    with EventServer(answer) as server, library.Client(limits=limits, verify=TLS) as below:
        client = SSEClient(http_client=below, retry=None)
        with ThreadPoolExecutor(100) as pool:
            list(pool.map(work, range(100)))
        assert outcomes == {"completed", "cancelled", "timeout"}
        # Connections of streams that reached their end were used again, and no unusable connection is left in the pool.
        assert server.connections < len(server.requests)
        # httpcore itself loses a connection if it makes one for a request whose wait has just timed out. Such a
        # connection was never connected (plain httpx shows the same).
        connections = [each for each in below._transport._pool.connections if each._connection is not None]
        assert all(connection.is_idle() or connection.is_closed() for connection in connections)


def test_between_two_requests_of_an_auth(library: ModuleType) -> None:
    """
    Between two requests of an `auth`, the connection of the first belongs to the pool, and another stream may use it.
    """

    class TwoSteps(library.Auth):  # type: ignore[name-defined, misc]
        requires_response_body = True

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            yield request
            others.append(client.post(f"{server.url}/other").__enter__())
            stream.close()
            yield request

    others: list[EventStream] = []
    with (
        EventServer(GOOD, Answer(Pause(0.05), "data: 1\n\n", Pause(0.05), "data: 2\n\n")) as server,
        client_of(library, **only_one(library)) as client,
    ):
        stream = client.post(server.url, auth=TwoSteps(), timeout=Timeouts(connect=0.1))
        with stream:
            assert list(stream) == []
        assert stream.outcome == "cancelled"
        [other] = others
        assert [event.data for event in other] == ["1", "2"]
        assert [(request.target, request.connection) for request in server.requests] == [("/", 1), ("/other", 1)]


@dataclass
class Late:
    """The time at which each shell's stream was over, and its error."""

    seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, tuple[type[SSEError], str | None]] = field(default_factory=dict)


def measure(open_slowly: Callable[[Shell, Late], None]) -> Late:
    late = Late()
    everywhere(lambda shell: open_slowly(shell, late))
    return late


# Most of the clock is used up when the last phase begins: a clock that started again would be late by nearly as much.
LONG = 0.8
MOST = 0.7


def check(late: Late, clock: str) -> None:
    kind = StreamTimeout if clock == "total" else ConnectionFailed
    assert late.errors == dict.fromkeys(map(str, SHELLS), (kind, clock))
    assert all(LONG - 0.01 <= seconds < LONG + LATE for seconds in late.seconds.values()), late.seconds


async def give_up(client: Any, late: Late, shell: Shell, url: str, clock: str) -> None:
    timeouts = Timeouts(**{"connect": None, "response": None, "read": None, clock: LONG})
    started = time.monotonic()
    with pytest.raises(SSEError) as caught:
        async with entered(client.post(url, timeout=timeouts)):
            pass
    late.seconds[str(shell)] = time.monotonic() - started
    late.errors[str(shell)] = type(caught.value), getattr(caught.value, "clock", None)
    assert not getattr(caught.value, "ambiguous", False)


@pytest.mark.parametrize("clock", ["connect", "total"])
def test_one_clock_for_the_pool_and_tls(clock: str) -> None:
    """The wait for a connection and the handshake share `connect` and `total`."""

    def open_slowly(shell: Shell, late: Late) -> None:
        async def main() -> None:
            async with (
                shell.any_client(ALONE, only_one(shell.library)) as client,
                entered(client.post(server.url)) as reader,
                anyio.create_task_group() as tasks,
            ):
                first = reader.stream
                if isinstance(first, EventStream):
                    threading.Timer(MOST, first.close).start()
                else:

                    async def close() -> None:
                        await anyio.sleep(MOST)
                        await first.aclose()

                    tasks.start_soon(close)
                await give_up(client, late, shell, url, clock)

        shell.run(main)

    with EventServer(Answer(FOREVER)) as server, mute() as url:
        check(measure(open_slowly), clock)


@pytest.mark.parametrize("clock", ["connect", "total"])
def test_one_clock_for_a_proxy_and_tls(clock: str) -> None:
    """A proxy and the handshake share `connect` and `total`; the request has not been sent."""

    def open_slowly(shell: Shell, late: Late) -> None:
        async def main() -> None:
            async with shell.any_client(ALONE, {"proxy": proxy.url}) as client:
                await give_up(client, late, shell, url, clock)

        shell.run(main)

    with mute() as url, Proxy(MOST) as proxy:
        check(measure(open_slowly), clock)


def test_response_begins_anew_with_another_request_of_an_auth(library: ModuleType) -> None:
    """`connect` and `response` apply to each request of an `auth`; `total` applies to all of them."""

    class TwoSteps(library.Auth):  # type: ignore[name-defined, misc]
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            yield request
            yield request

    slow = Answer(Pause(0.25), HEAD, "data: good\n\n", framing="raw")
    with EventServer(slow) as server, client_of(library) as client:
        use(client, server.url, auth=TwoSteps(), timeout=Timeouts(connect=CLOCK, response=CLOCK))
        assert len(server.requests) == 2
        with pytest.raises(StreamTimeout), client.post(server.url, auth=TwoSteps(), timeout=CLOCK):
            pass
