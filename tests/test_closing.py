"""Closing a client ends its open streams first, whatever they wait for, and allows no new ones."""

import gc
import math
import threading
import time
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest
from shells import TLS, Shell, entered

from sse_client import AsyncSSEClient, EventStream, RetryPolicy, SSEClient
from sse_client.testing import Answer, EventServer, Pause

# Waking takes 1 ms; the rest is for slow machines.
SOON = 0.4

FOREVER = Pause(math.inf)
GOOD = Answer("data: good\n\n")
LONG_WAIT = RetryPolicy(initial_delay=60, jitter=0)

PLACES = {
    "read": Answer("data: 1\n\n", FOREVER),
    "first read": Answer(FOREVER),
    "head": Answer(FOREVER, framing="raw"),
    "error": Answer("an error", FOREVER, status=400),
    "wait": Answer(status=503, framing="length"),
}


async def close(client: SSEClient | AsyncSSEClient) -> None:
    if isinstance(client, AsyncSSEClient):
        await client.aclose()
    else:
        client.close()


@pytest.mark.parametrize("place", PLACES)
def test_open_streams_end(shell: Shell, place: str) -> None:
    """Closing the client ends two open streams at once, whatever they wait for, and no further request is sent."""
    closed_at = math.inf

    async def read(stream: Any) -> list[str]:
        if isinstance(stream, EventStream):
            with stream:
                return [event.data for event in stream]
        async with stream:
            return [event.data async for event in stream]

    async def main() -> None:
        nonlocal closed_at
        async with shell.any_client({"retry": LONG_WAIT}) as client:
            streams: list[Any] = [client.post(server.url) for _ in range(2)]
            data: list[list[str]] = []

            async def use(stream: Any) -> None:
                if isinstance(stream, EventStream):
                    data.append(await anyio.to_thread.run_sync(lambda: anyio.run(read, stream)))
                else:
                    data.append(await read(stream))

            async with anyio.create_task_group() as tasks:
                for stream in streams:
                    tasks.start_soon(use, stream)
                await anyio.to_thread.run_sync(server.wait_for_requests, 2)
                await anyio.sleep(0.05)
                closed_at = time.monotonic()
                await close(client)
            assert time.monotonic() - closed_at < SOON
            assert data == [["1"] if place == "read" else []] * 2
            assert [stream.outcome for stream in streams] == ["cancelled"] * 2

    with EventServer(PLACES[place]) as server:
        shell.run(main)
        assert len(server.requests) == 2


def test_a_client_of_the_user_s_stays_open(shell: Shell) -> None:
    """An HTTP client that the user passed stays open, and so do the streams of another client on it."""

    async def main() -> None:
        async with shell.any_client() as one:
            other: Any = type(one)(http_client=one._http_client)
            async with entered(one.post(server.url)) as first, entered(other.post(server.url)) as second:
                assert [(await anext(first)).data, (await anext(second)).data] == ["1", "1"]
                await close(one)
                assert [event async for event in first] == []
                assert (first.stream.outcome, second.stream.outcome) == ("cancelled", None)
                assert (await anext(second)).data == "2"
            assert not one._http_client.is_closed

    with EventServer(Answer("data: 1\n\n", Pause(0.1), "data: 2\n\n", FOREVER)) as server:
        shell.run(main)


def test_a_client_of_its_own_is_closed() -> None:
    """An HTTP client that the `SSEClient` made is closed after its streams, at the end of the `with` block."""
    with EventServer(PLACES["read"]) as server:
        with SSEClient() as client:
            stream = client.post(server.url)
            assert next(stream).data == "1"
        assert stream.outcome == "cancelled"
        assert client._http_client.is_closed
        assert server.requests[0].done.wait(5)


def test_in_the_loop(shell: Shell) -> None:
    """A loop whose body closes the client ends there. A stream that was over keeps its outcome."""

    async def main() -> None:
        async with shell.any_client() as client:
            over = client.post(f"{server.url}/over")
            async with entered(over) as reader:
                assert [event.data async for event in reader] == ["good"]
            data = []
            async with entered(client.post(server.url)) as reader:
                async for event in reader:
                    data.append(event.data)
                    await close(client)
                    await close(client)
            assert data == ["1"]
            assert (over.outcome, reader.stream.outcome) == ("completed", "cancelled")

    with EventServer(GOOD, Answer("data: 1\n\ndata: 2\n\n", FOREVER)) as server:
        shell.run(main)


def test_nothing_begins_any_more(shell: Shell) -> None:
    """After the client is closed, a new call raises, and so does entering an earlier stream. Nothing is sent."""

    async def main() -> None:
        async with shell.any_client() as client:
            early = client.post(server.url)
            await close(client)
            with pytest.raises(RuntimeError, match="client is closed"):
                async with entered(early):
                    pass
            for call in (client.post, client.get, client.subscribe):
                with pytest.raises(RuntimeError, match="client is closed"):
                    call(server.url)

    with EventServer(GOOD) as server:
        shell.run(main)
        assert server.requests == []


def test_closed_while_it_asks_for_headers(shell: Shell) -> None:
    """A stream whose headers function closes the client does not send its request."""

    async def main() -> None:
        async with shell.any_client() as client:

            def headers() -> Any:
                if isinstance(client, AsyncSSEClient):
                    return client.aclose()
                client.close()
                return None

            stream = client.post(server.url, headers=headers)
            async with entered(stream) as reader:
                assert [event async for event in reader] == []
            assert stream.outcome == "cancelled"

    with EventServer(GOOD) as server:
        shell.run(main)
        assert server.requests == []


def test_a_read_from_a_socket_that_is_closed(library: ModuleType) -> None:
    """The `ValueError` of a TLS socket that is read just after it was closed ends the loop like any other end."""

    class Body(library.SyncByteStream):  # type: ignore[name-defined, misc]
        def __iter__(self) -> Iterator[bytes]:
            yield b"data: 1\n\n"
            client.close()
            raise ValueError("Read on closed or unwrapped SSL socket.")

    def handle(request: Any) -> Any:
        return library.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Body())

    with library.Client(transport=library.MockTransport(handle)) as below:
        client = SSEClient(http_client=below)
        stream = client.post("http://server.example")
        assert [event.data for event in stream] == ["1"]
        assert stream.outcome == "cancelled"


def test_an_abandoned_stream_is_collected(library: ModuleType) -> None:
    """A client does not keep an unreferenced stream alive."""
    with EventServer(PLACES["read"]) as server, library.Client(verify=TLS) as below:
        client = SSEClient(http_client=below)
        stream = client.post(server.url)
        next(stream)
        gone = weakref.ref(stream)
        del stream
        gc.collect()
        assert gone() is None
        assert server.requests[0].done.wait(5)
        assert len(client._streams) == 0
        client.close()


def test_threads_go_on_meanwhile(library: ModuleType) -> None:
    """If a client is closed while eight threads open streams, all threads end with an error that says so."""

    def work(client: SSEClient) -> None:
        with pytest.raises(RuntimeError, match="client is closed"):
            while True:
                stream = client.post(server.url)
                with stream:
                    list(stream)
                outcomes.add(stream.outcome)

    outcomes: set[str | None] = set()
    with EventServer(GOOD) as server, library.Client(verify=TLS) as below:
        for _ in range(5):
            client = SSEClient(http_client=below, retry=None)
            threads = [threading.Thread(target=work, args=(client,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            server.wait_for_requests(len(server.requests) + 20)
            client.close()
            for thread in threads:
                thread.join(5)
                assert not thread.is_alive()
    assert outcomes <= {"completed", "cancelled"}
