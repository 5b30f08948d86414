"""
HTTP/2: leaving a stream resets it and harms no other, however the user leaves it; and a read ends when it should.

Over a real server, with `another` stream open on the same connection all the time. The user may leave a stream in these
states: waiting for headers, in silence, between events, during a flood that is not read, and ended by the server.
"""

import importlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import h2.connection
import httpx
import httpx2
import pytest
from h2_server import H2Server
from shells import HAS_UVLOOP, KINDS, Reader, Shell, entered

from sse_client import (
    AsyncEventStream,
    AsyncSSEClient,
    ConnectionFailed,
    EventStream,
    LastEventID,
    RetryPolicy,
    SSEClient,
    StreamTimeout,
    Timeouts,
    aiter_events,
    iter_events,
)

CANCEL = 8

# Nothing here takes a tenth of a second; a slow machine has all the time that another clock leaves.
IN_TIME = 5.0

HTTP2 = {"http1": False, "http2": True}
Stream = EventStream[Any] | AsyncEventStream[Any]


# The streams of a connection are httpcore's own: sync and async, of both libraries.
RUNNERS = [*KINDS, Shell("asyncio", httpx2, has_uvloop=True)] if HAS_UVLOOP else KINDS
TASKS = [runner for runner in RUNNERS if runner.kind != "sync"]
THREADS = [runner for runner in RUNNERS if runner.kind == "sync"]


@pytest.fixture(params=RUNNERS, ids=str)
def runner(request: pytest.FixtureRequest) -> Shell:
    chosen: Shell = request.param
    return chosen


@pytest.fixture
def server() -> Iterator[H2Server]:
    with H2Server() as server:
        yield server
    assert server.errors == []


@asynccontextmanager
async def another(runner: Shell, server: H2Server, **http: Any) -> AsyncIterator[SSEClient | AsyncSSEClient]:
    """A client with another stream open, which must continue to its end, on the connection of all streams."""
    async with (
        runner.any_client({"retry": None}, {**HTTP2, **http}) as client,
        entered(client.post(f"{server.url}/another")) as reader,
    ):
        assert (await anext(reader)).data == "1"
        yield client
        server.may_go_on.set()
        assert [event.data async for event in reader] == ["2", "3"]
        assert reader.stream.outcome == "completed"
    assert server.on("/another")[0].resets == []


async def aclose(stream: Stream) -> None:
    if isinstance(stream, EventStream):
        stream.close()
    else:
        await stream.aclose()


async def read_on(reader: Reader) -> None:
    async for _ in reader:
        pass


@asynccontextmanager
async def closing_elsewhere(stream: Stream, server: H2Server) -> AsyncIterator[None]:
    """Close the stream from another thread or task, once the server has its request and the block has begun."""
    number = len(server.streams)

    def has_begun() -> bool:
        return len(server.streams) > number or stream.state == "streaming"

    if isinstance(stream, EventStream):

        def later() -> None:
            server.wait_for(has_begun)
            time.sleep(0.05)
            stream.close()

        thread = threading.Thread(target=later)
        thread.start()
        yield
        thread.join()
    else:

        async def soon() -> None:
            await anyio.to_thread.run_sync(server.wait_for, has_begun)
            await anyio.sleep(0.05)
            await stream.aclose()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(soon)
            yield


async def by_break(stream: Stream, server: H2Server) -> None:
    async with entered(stream) as reader:
        async for _ in reader:
            break


async def by_leaving_at_once(stream: Stream, server: H2Server) -> None:
    async with entered(stream):
        pass


async def by_an_exception(stream: Stream, server: H2Server) -> None:
    with pytest.raises(ZeroDivisionError):
        async with entered(stream) as reader:
            await anext(reader)
            raise ZeroDivisionError


async def by_closing_in_the_loop(stream: Stream, server: H2Server) -> None:
    async with entered(stream) as reader:
        async for _ in reader:
            await aclose(stream)


async def by_closing_elsewhere(stream: Stream, server: H2Server) -> None:
    async with entered(stream) as reader:
        await anext(reader)
        async with closing_elsewhere(stream, server):
            await read_on(reader)
    assert stream.outcome == "cancelled"


async def by_closing_before_the_headers(stream: Stream, server: H2Server) -> None:
    async with closing_elsewhere(stream, server), entered(stream) as reader:
        await read_on(reader)
    assert stream.outcome == "cancelled"


async def by_a_cancellation(stream: Stream, server: H2Server) -> None:
    number = len(server.streams)

    async def read() -> None:
        async with entered(stream) as reader:
            await read_on(reader)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.to_thread.run_sync(server.wait_for, lambda: len(server.streams) > number)
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert stream.outcome == "cancelled"


async def by_the_garbage_collector(stream: Stream, server: H2Server) -> None:
    assert isinstance(stream, EventStream)
    next(stream)


WAYS: list[tuple[Callable[[Stream, H2Server], Awaitable[None]], list[Shell], list[str]]] = [
    (by_break, RUNNERS, ["/silent", "/pings", "/flood"]),
    (by_leaving_at_once, RUNNERS, ["/silent", "/flood"]),
    (by_an_exception, RUNNERS, ["/silent", "/flood"]),
    (by_closing_in_the_loop, RUNNERS, ["/silent", "/flood"]),
    (by_closing_elsewhere, RUNNERS, ["/silent", "/pings", "/flood"]),
    (by_closing_before_the_headers, RUNNERS, ["/headless"]),
    (by_a_cancellation, TASKS, ["/headless", "/silent", "/flood"]),
    (by_the_garbage_collector, THREADS, ["/silent", "/flood"]),
]


@pytest.mark.parametrize(
    ("leave", "runner", "paths"),
    [
        pytest.param(leave, runner, paths, id=f"{leave.__name__}-{runner}")
        for leave, runners, paths in WAYS
        for runner in runners
    ],
)
def test_leaving_resets_the_stream(
    leave: Callable[[Stream, H2Server], Awaitable[None]], runner: Shell, paths: list[str], server: H2Server
) -> None:
    """
    However the user leaves a stream, the server sees at once that it is cancelled, and the other streams continue.
    """

    async def main() -> None:
        async with another(runner, server) as client:
            for path in paths:
                await leave(client.post(f"{server.url}{path}"), server)
                (stream,) = server.on(path)
                assert server.wait_for(lambda stream=stream: stream.is_over, IN_TIME)  # type: ignore[misc]
                assert stream.resets[0] == CANCEL
                assert stream.sent == stream.sent_at_reset
        assert server.connections == 1

    runner.run(main)


def test_a_stream_that_has_ended_is_not_reset(runner: Shell, server: H2Server) -> None:
    """A stream that the server has completed is not reset, even if its end comes a moment after the terminator."""
    server.may_go_on.set()

    async def main() -> None:
        async with runner.any_client({"retry": None}, HTTP2) as client:
            for path in ("/another", "/done", "/short"):
                async with entered(client.post(f"{server.url}{path}")) as reader:
                    await read_on(reader)
                assert reader.stream.outcome == "completed"
            await by_break(client.post(f"{server.url}/silent"), server)  # by now it would have seen a reset
            assert server.wait_for(lambda: server.on("/silent")[0].is_over, IN_TIME)
        assert [stream.resets for stream in server.streams] == [[], [], [], [CANCEL]]

    runner.run(main)


def test_a_response_of_your_own(runner: Shell, server: H2Server) -> None:
    """Leaving a stream of the user's response resets it too, and the user's trace is called."""
    names: list[str] = []

    def main() -> None:
        with runner.library.Client(**HTTP2) as client:
            request = client.build_request("POST", f"{server.url}/silent", extensions={"trace": trace})
            with iter_events(client.send(request, stream=True)) as stream:
                next(stream)

    def trace(name: str, _: Any) -> None:
        names.append(name)

    async def amain() -> None:
        async def atrace(name: str, _: Any) -> None:
            trace(name, _)

        async with runner.library.AsyncClient(**HTTP2) as client:
            request = client.build_request("POST", f"{server.url}/silent", extensions={"trace": atrace})
            async with aiter_events(await client.send(request, stream=True)) as stream:
                await anext(stream)

    if runner.kind == "sync":
        main()
    else:
        runner.run(amain)
    assert server.wait_for(lambda: server.streams[0].is_over, IN_TIME)
    assert server.streams[0].resets == [CANCEL]
    assert {"http2.send_request_headers.started", "http2.response_closed.complete"} <= set(names)


def connection_of(client: SSEClient | AsyncSSEClient) -> Any:
    """httpcore's connection, of a client that has one."""
    (connection,) = client._http_client._transport._pool.connections
    return connection._connection


def owed(client: SSEClient | AsyncSSEClient) -> int:
    """The part of the connection's flow-control window that the client has received and not returned."""
    window = connection_of(client)._h2_state._inbound_flow_control_window_manager
    size: int = window.max_window_size - window.current_window_size - window._bytes_processed
    return size


@pytest.fixture
def _small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client give the server a window of 256 kilobytes instead of 16 megabytes."""
    open_window = h2.connection.H2Connection.increment_flow_control_window

    def increment(self: Any, increment: int, stream_id: int | None = None) -> None:
        open_window(self, min(increment, 2**18 - 2**16 + 1), stream_id)

    monkeypatch.setattr(h2.connection.H2Connection, "increment_flow_control_window", increment)


@pytest.mark.usefixtures("_small_window")
def test_a_hundred_streams_that_nobody_reads(runner: Shell, server: H2Server) -> None:
    """Unread data of streams that were left takes no window from the others: a long stream is complete."""

    async def main() -> None:
        async with runner.any_client({"retry": None, "timeout": Timeouts(read=IN_TIME)}, HTTP2) as client:
            for number in range(100):
                async with entered(client.post(f"{server.url}/short")) as reader:
                    await anext(reader)
                    assert server.wait_for(lambda number=number: server.on("/short")[number].is_over)  # type: ignore[misc]
            async with entered(client.post(f"{server.url}/long")) as reader:
                size = sum([len(event.data) async for event in reader])
            assert size > 1_000_000
            assert owed(client) == 0
        assert server.connections == 1
        assert sum(stream.sent for stream in server.on("/short")) > 6_000_000

    runner.run(main)


def test_what_was_read_but_not_handed_out(runner: Shell, server: H2Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window of data that httpcore has read of a stream is returned, even if the server has ended the stream."""
    for name in ("HTTP2Connection", "AsyncHTTP2Connection"):
        for core in ("httpcore", "httpcore2"):
            monkeypatch.setattr(f"{core}.{name}.READ_NUM_BYTES", 2**20)

    async def main() -> None:
        async with runner.any_client({"retry": None}, HTTP2) as client:
            for _ in range(3):
                async with entered(client.post(f"{server.url}/short")) as reader:
                    await anext(reader)
            await by_break(client.post(f"{server.url}/silent"), server)
            assert server.wait_for(lambda: server.on("/silent")[0].is_over, IN_TIME)
            async with entered(client.post(f"{server.url}/done")) as reader:
                await read_on(reader)
            assert owed(client) == 0

    runner.run(main)


def test_each_stream_gives_its_place_back_once(runner: Shell) -> None:
    """However streams are left, httpcore has all its places for streams again, and no more."""
    server = H2Server(limit=2)

    async def main() -> None:
        async with runner.any_client({"retry": None}, HTTP2) as client:
            await by_break(client.post(f"{server.url}/silent"), server)
            places: Any = connection_of(client)._max_streams_semaphore
            for leave in (by_break, by_closing_elsewhere, by_an_exception, by_closing_in_the_loop):
                await leave(client.post(f"{server.url}/silent"), server)
            await by_closing_before_the_headers(client.post(f"{server.url}/headless"), server)
            if runner.kind != "sync":
                await by_a_cancellation(client.post(f"{server.url}/silent"), server)
            assert connection_of(client)._events == {}
            below = next(value for name, value in vars(places).items() if name.endswith("_semaphore"))
            value: int = getattr(below, "_value", None) or below.value
            assert value == 2
        assert server.connections == 1

    with server:
        runner.run(main)


@contextmanager
def readers(client: SSEClient, url: str, number: int, **options: Any) -> Iterator[list[EventStream]]:
    """Let that many threads read streams that are silent."""
    streams = [client.post(url, **options) for _ in range(number)]

    def read(stream: EventStream, has_begun: threading.Event) -> None:
        with stream:
            for _ in stream:
                has_begun.set()

    threads = []
    for stream in streams:
        has_begun = threading.Event()
        threads.append(threading.Thread(target=read, args=(stream, has_begun), daemon=True))
        threads[-1].start()
        assert has_begun.wait(IN_TIME)
    try:
        yield streams
    finally:
        for stream in streams:
            stream.close()
        for thread in threads:
            thread.join(IN_TIME)
    assert not any(thread.is_alive() for thread in threads)
    assert [stream.outcome for stream in streams] == ["cancelled"] * number


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def client(request: pytest.FixtureRequest) -> Iterator[SSEClient]:
    library: ModuleType = request.param
    with library.Client(**HTTP2) as below, SSEClient(http_client=below, retry=None) as client:
        yield client


@pytest.mark.parametrize("position", [0, 2, 5])
def test_close_wakes_a_thread_among_others(client: SSEClient, server: H2Server, position: int) -> None:
    """Of many threads that read over one connection, `close` ends only its own, whichever reads for all."""
    with readers(client, f"{server.url}/silent", position) as before:
        stream = client.post(f"{server.url}/silent")
        thread = threading.Thread(target=lambda: list(stream), daemon=True)
        thread.start()
        assert server.wait_for(lambda: len(server.streams) > position)
        with readers(client, f"{server.url}/silent", 5 - position) as behind:
            stream.close()
            thread.join(IN_TIME)
            assert not thread.is_alive()
            assert stream.outcome == "cancelled"
            assert [other.outcome for other in (*before, *behind)] == [None] * 5
            assert server.wait_for(lambda: [served.is_over for served in server.streams].count(True) == 1)
            # The others still get their events.
            server.may_go_on.set()
            with client.post(f"{server.url}/another") as another:
                assert [event.data for event in another] == ["1", "2", "3"]
    assert server.connections == 1


def test_an_event_waits_for_no_other_stream(client: SSEClient, server: H2Server) -> None:
    """A thread gets its headers, events and end as they come, while another one waits in silence for all."""
    with readers(client, f"{server.url}/silent", 3):
        for _ in range(10):
            with client.post(f"{server.url}/done", timeout=Timeouts(response=IN_TIME, read=IN_TIME)) as stream:
                assert [event.data for event in stream] == ["1"]
    assert [served.resets for served in server.on("/done")] == [[]] * 10


@pytest.mark.parametrize(
    ("clock", "path"),
    [("total", "/silent"), ("total", "/pings"), ("idle", "/silent"), ("idle", "/pings"), ("first_event", "/dumb")],
)
def test_a_clock_ends_its_own_stream(runner: Shell, server: H2Server, clock: str, path: str) -> None:
    """A clock ends its own stream on time, even in silence, and resets it."""

    async def main() -> None:
        async with another(runner, server) as client:
            started = time.monotonic()
            with pytest.raises(StreamTimeout) as caught:
                async with entered(client.post(f"{server.url}{path}", timeout=Timeouts(**{clock: 0.2}))) as reader:
                    await read_on(reader)
            assert caught.value.clock == clock
            assert 0.2 <= time.monotonic() - started < IN_TIME
            (stream,) = server.on(path)
            assert server.wait_for(lambda: stream.is_over, IN_TIME)
            assert stream.resets[0] == CANCEL
        assert server.connections == 1

    runner.run(main)


def test_a_clock_of_a_thread_that_waits_its_turn(client: SSEClient, server: H2Server) -> None:
    """A clock ends the read of a thread even while another one reads for all, and that one continues."""
    with readers(client, f"{server.url}/silent", 2):
        for clock in ("idle", "total", "read"):
            started = time.monotonic()
            with (
                pytest.raises(StreamTimeout) as caught,
                client.post(f"{server.url}/silent", timeout=Timeouts(**{clock: 0.2})) as stream,
            ):
                list(stream)
            assert caught.value.clock == clock
            assert time.monotonic() - started < IN_TIME
        with (
            pytest.raises(ConnectionFailed) as failed,
            client.post(f"{server.url}/headless", timeout=Timeouts(response=0.2)),
        ):
            pass
        assert failed.value.clock == "response"
    assert server.connections == 1


@pytest.mark.parametrize("runner", TASKS, ids=str)
def test_a_read_timeout_ends_its_own_stream(runner: Shell, server: H2Server) -> None:
    """A task's `read` and `response` timeouts end no other stream; the next request has a new connection."""

    async def main() -> None:
        async with another(runner, server) as client:
            with pytest.raises(StreamTimeout) as caught:
                async with entered(client.post(f"{server.url}/silent", timeout=Timeouts(read=0.1))) as reader:
                    await read_on(reader)
            assert caught.value.clock == "read"
            with pytest.raises(ConnectionFailed) as failed:
                async with entered(client.post(f"{server.url}/headless", timeout=Timeouts(response=0.1))):
                    pass
            assert failed.value.clock == "response"
        assert [stream.connection for stream in server.streams] == [1, 1, 2]

    runner.run(main)


@pytest.mark.parametrize("clock", ["read", "idle"])
@pytest.mark.parametrize("runner", TASKS, ids=str)
def test_a_connection_that_is_dead(runner: Shell, server: H2Server, clock: str) -> None:
    """A stream that is resumed after a silence uses a new connection, because the old one may be dead."""

    async def main() -> None:
        timeout = Timeouts(**{clock: 0.2, "response": IN_TIME})
        async with (
            runner.any_client({"timeout": timeout}, HTTP2) as client,
            entered(client.get(f"{server.url}/numbered", resume=LastEventID())) as reader,
        ):
            assert (await anext(reader)).id == "1"
            server.mute.add(1)
            assert (await anext(reader)).id == "2"
        assert [stream.connection for stream in server.streams] == [1, 2]

    runner.run(main)


@pytest.fixture
def cancelled_writes(runner: Shell, monkeypatch: pytest.MonkeyPatch) -> list[anyio.CancelScope]:
    """Scopes, each of which is cancelled at the beginning of the next write of an async connection."""
    scopes: list[anyio.CancelScope] = []
    core = "httpcore" if runner.library is httpx else "httpcore2"
    module, name = ("trio", "TrioStream") if runner.kind == "trio" else ("anyio", "AnyIOStream")
    stream = getattr(importlib.import_module(f"{core}._backends.{module}"), name)
    write = stream.write

    async def cancelled(self: Any, buffer: bytes, timeout: float | None = None) -> None:
        if buffer and scopes:
            scopes.pop().cancel()
        await write(self, buffer, timeout)

    monkeypatch.setattr(stream, "write", cancelled)
    return scopes


@pytest.mark.parametrize("runner", TASKS, ids=str)
def test_a_cancellation_loses_no_frame(
    runner: Shell, server: H2Server, cancelled_writes: list[anyio.CancelScope]
) -> None:
    """A frame that a task is writing when it is cancelled is completed; otherwise the whole connection would break."""

    async def main() -> None:
        async with another(runner, server) as client:
            for _ in range(3):
                with anyio.CancelScope() as scope:
                    cancelled_writes.append(scope)
                    async with entered(client.post(f"{server.url}/silent")):
                        pass
                assert scope.cancelled_caught
            assert server.wait_for(lambda: all(stream.is_over for stream in server.on("/silent")), IN_TIME)
        assert [stream.resets[0] for stream in server.on("/silent")] == [CANCEL] * 3
        assert server.connections == 1

    runner.run(main)


@pytest.mark.parametrize("runner", TASKS, ids=str)
def test_a_cancellation_while_connecting(
    runner: Shell, server: H2Server, cancelled_writes: list[anyio.CancelScope]
) -> None:
    """A task that waits for a connection whose opening is cancelled with another task retries."""
    results: list[str] = []

    async def main() -> None:
        async with runner.aclient({"retry": RetryPolicy(initial_delay=0, jitter=0)}, HTTP2) as client:

            async def first() -> None:
                with anyio.CancelScope() as scope:
                    cancelled_writes.append(scope)
                    async with client.post(f"{server.url}/silent"):
                        pass

            async def second() -> None:
                async with client.post(f"{server.url}/done") as stream:
                    results.extend([event.data async for event in stream])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first)
                for _ in range(3):
                    tasks.start_soon(second)

    runner.run(main)
    assert results == ["1"] * 3
    assert server.on("/silent") == []


def test_without_the_names(runner: Shell, server: H2Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """If httpcore's internals change, streams can still be read and left, but the server is not told."""

    def not_found() -> None:
        raise AttributeError("_connection")

    async def main() -> None:
        async with another(runner, server) as client:
            await by_break(client.post(f"{server.url}/silent"), server)
            with pytest.raises(StreamTimeout):
                async with entered(client.post(f"{server.url}/pings", timeout=Timeouts(total=0.1))) as pings:
                    await read_on(pings)
            if runner.kind != "sync":
                await by_closing_elsewhere(client.post(f"{server.url}/silent"), server)
                await by_a_cancellation(client.post(f"{server.url}/headless"), server)
        assert [stream.resets for stream in server.streams] == [[]] * len(server.streams)

    monkeypatch.setattr("sse_client._shells.http2._calling_connection", not_found)
    runner.run(main)
