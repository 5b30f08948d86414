"""
A stream that is opened without `with`: it connects, raises the same errors as entering, and its caller closes it.

In every shell that can differ.
"""

import gc
import inspect
import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from shells import Shell

from sse_client import (
    AsyncSSEClient,
    EventStream,
    Handlers,
    SSEClient,
    StatusError,
    aiter_events,
    iter_events,
)
from sse_client.testing import Answer, Pause, scripted_transport

AB = Answer("data: a\n\n", "data: b\n\n", "data: [DONE]\n\n")
UNAUTHORIZED = Answer('{"detail": "wrong token"}', status=401, headers={"content-type": "application/json"})


async def done(value: Any) -> Any:
    """The result of a method, sync or async."""
    return await value if inspect.isawaitable(value) else value


async def close(stream: Any) -> None:
    if isinstance(stream, EventStream):
        stream.close()
    else:
        await stream.aclose()


async def rest(stream: Any) -> str:
    """The data of all events of a loop."""
    if isinstance(stream, EventStream):
        return "".join(event.data for event in stream)
    return "".join([event.data async for event in stream])


async def enter(stream: Any) -> Any:
    return stream.__enter__() if isinstance(stream, EventStream) else await stream.__aenter__()


async def leave(stream: Any) -> None:
    if isinstance(stream, EventStream):
        stream.__exit__(None, None, None)
    else:
        await stream.__aexit__(None, None, None)


def run(shell: Shell, answer: Answer, test: Callable[[Any, Any], Awaitable[None]], **client: Any) -> None:
    """Run a test with a stream, and the transport that counts its requests."""

    async def main() -> None:
        transport = scripted_transport(answer)
        async with shell.any_client(client, http={"transport": transport}) as sse:
            await test(sse.post("http://test/"), transport)

    shell.run(main)


def test_open_connects(shell: Shell) -> None:
    """`open()` sends the request, returns the stream itself, and leaves its events to a loop."""

    async def test(stream: Any, transport: Any) -> None:
        assert not transport.requests
        assert await done(stream.open()) is stream
        assert len(transport.requests) == 1
        assert stream.response.status_code == 200
        assert (stream.state, stream.stats.events) == ("waiting", 0)
        assert await rest(stream) == "ab"
        assert stream.outcome == "completed"
        assert len(transport.requests) == 1

    run(shell, AB, test)


def test_an_open_stream_is_closed_by_its_caller(shell: Shell) -> None:
    """`close()` ends an open stream at once; a loop that begins after that is empty."""

    async def test(stream: Any, _: Any) -> None:
        await done(stream.open())
        await close(stream)
        assert (stream.outcome, await rest(stream)) == ("cancelled", "")

    run(shell, Answer("data: a\n\n", Pause(math.inf)), test)


def test_entering_an_open_stream(shell: Shell) -> None:
    """Entering an open stream does not connect again; leaving it closes it."""

    async def test(stream: Any, transport: Any) -> None:
        await done(stream.open())
        assert await enter(stream) is stream
        assert len(transport.requests) == 1
        await leave(stream)
        assert stream.outcome == "abandoned"

    run(shell, AB, test)


async def opened(stream: Any) -> None:
    await done(stream.open())


async def opened_and_closed(stream: Any) -> None:
    await done(stream.open())
    await close(stream)


async def opened_and_begun(stream: Any) -> None:
    await done(stream.open())
    assert (next(stream) if isinstance(stream, EventStream) else await anext(stream)).data == "a"


@pytest.mark.parametrize("bring", [opened, opened_and_closed, opened_and_begun, enter], ids=lambda each: each.__name__)
def test_a_stream_is_opened_once(shell: Shell, bring: Callable[[Any], Awaitable[None]]) -> None:
    """A stream that was opened or entered cannot be opened again, whatever its state; nothing is sent."""

    async def test(stream: Any, transport: Any) -> None:
        await bring(stream)
        with pytest.raises(RuntimeError, match=r"this stream is open already"):
            await done(stream.open())
        assert len(transport.requests) == 1
        await close(stream)

    run(shell, AB, test)


async def read(stream: Any) -> None:
    await enter(stream)
    await rest(stream)


async def left(stream: Any) -> None:
    await enter(stream)
    await leave(stream)


async def dispatched(stream: Any) -> None:
    await done(stream.dispatch(Handlers()))


@pytest.mark.parametrize("bring", [read, left, dispatched], ids=lambda each: each.__name__)
def test_a_stream_that_is_over(shell: Shell, bring: Callable[[Any], Awaitable[None]]) -> None:
    """A stream that is over cannot be opened: the error names its outcome."""

    async def test(stream: Any, transport: Any) -> None:
        await bring(stream)
        with pytest.raises(RuntimeError, match=rf"this stream is over \({stream.outcome}\)"):
            await done(stream.open())
        assert len(transport.requests) == 1

    run(shell, AB, test)


def test_a_sync_stream_that_is_iterated() -> None:
    """A loop without `with` opens a sync stream too."""
    http = httpx.Client(transport=scripted_transport(AB))
    with http, SSEClient(http_client=http) as client:
        stream = client.post("http://test/")
        assert next(stream).data == "a"
        with pytest.raises(RuntimeError, match=r"this stream is open already"):
            stream.open()
        stream.close()


def test_closed_before(shell: Shell) -> None:
    """Opening a stream that was closed before sends nothing, and the stream is empty."""

    async def test(stream: Any, transport: Any) -> None:
        await close(stream)
        await done(stream.open())
        assert (await rest(stream), stream.outcome) == ("", "cancelled")
        assert not transport.requests

    run(shell, AB, test)


def test_a_refusal(shell: Shell) -> None:
    """`open()` raises the error of a refused request with the server's message; there is nothing to close then."""

    async def test(stream: Any, transport: Any) -> None:
        with pytest.raises(StatusError) as caught:
            await done(stream.open())
        assert (caught.value.status_code, caught.value.message) == (401, "wrong token")
        assert (stream.outcome, stream.response.is_closed) == ("failed", True)
        for begin in (stream.open, lambda: rest(stream)):
            with pytest.raises(RuntimeError, match=r"this stream is over \(failed\)") as over:
                await done(begin())
            assert over.value.__cause__ is caught.value
        assert len(transport.requests) == 1

    run(shell, UNAUTHORIZED, test)


def test_an_exception_of_the_user(shell: Shell) -> None:
    """An exception of the user's own transport comes out of `open()`, and the stream is over."""

    async def test(stream: Any, _: Any) -> None:
        with pytest.raises(KeyError, match="mine"):
            await done(stream.open())
        assert stream.outcome == "abandoned"

    def fail(_: Any) -> Answer:
        raise KeyError("mine")

    run(shell, fail, test)  # type: ignore[arg-type]


def test_a_dispatch_of_an_open_stream(shell: Shell) -> None:
    """An open stream is dispatched like any other, `on.open` included."""

    async def test(stream: Any, transport: Any) -> None:
        seen: list[str] = []
        on = Handlers()
        on.open(lambda response: seen.append(str(response.status_code)))
        on.event(lambda event: seen.append(event.data))
        await done(stream.open())
        await done(stream.dispatch(on))
        assert seen == ["200", "a", "b"]
        assert len(transport.requests) == 1

    run(shell, AB, test)


def test_async_without_with(anyio_backend: Any) -> None:
    """Iterating an async stream that was not opened is an error that names both ways to open it."""

    async def main() -> None:
        http = httpx.AsyncClient(transport=scripted_transport(AB))
        async with http, AsyncSSEClient(http_client=http) as client:
            stream = client.post("http://test/")
            with pytest.raises(RuntimeError, match=r"enter the stream first: .* or open it: await stream.open\(\)"):
                aiter(stream)
            await stream.open()
            assert [event.data async for event in stream] == ["a", "b"]

    backend, options = anyio_backend
    anyio.run(main, backend=backend, backend_options=options)


def test_a_response_that_was_given() -> None:
    """`open()` on the stream of the user's response checks the response."""
    with httpx.Client(transport=scripted_transport(UNAUTHORIZED)) as client:
        with client.stream("GET", "http://test/") as response, pytest.raises(StatusError):
            iter_events(response).open()
        with client.stream("GET", "http://test/") as response, pytest.raises(RuntimeError, match="there is no resp"):
            _ = iter_events(response).response


def test_a_response_that_was_given_in_async() -> None:
    """`open()` works on the async stream of the user's response too."""

    async def main() -> None:
        transport = scripted_transport(AB)
        async with httpx.AsyncClient(transport=transport) as http, http.stream("GET", "http://test/") as response:
            stream = await aiter_events(response).open()
            assert [event.data async for event in stream] == ["a", "b"]

    anyio.run(main)


def test_a_cancelled_open(anyio_backend: Any) -> None:
    """A cancellation ends `open()`; there is nothing to close then."""

    async def main() -> None:
        http = httpx.AsyncClient(transport=scripted_transport(AB))
        async with http, AsyncSSEClient(http_client=http) as client:
            stream = client.post("http://test/", headers=never)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await stream.open()
            assert scope.cancelled_caught
            assert stream.outcome == "cancelled"
            with pytest.raises(RuntimeError, match="there is no response"):
                _ = stream.response

    async def never() -> None:
        await anyio.sleep_forever()

    backend, options = anyio_backend
    anyio.run(main, backend=backend, backend_options=options)


@pytest.mark.usefixtures("collected")
def test_a_sync_stream_closes_itself() -> None:
    """An open sync stream that is collected closes its response."""
    http = httpx.Client(transport=scripted_transport(Answer("data: a\n\n", Pause(math.inf))))
    with http, SSEClient(http_client=http) as client:
        stream: EventStream | None = client.post("http://test/").open()
        assert stream is not None
        response: Any = stream.response
        del stream
        gc.collect()
        assert response.is_closed


def test_the_client_closes_open_streams(shell: Shell) -> None:
    """Closing the client closes its open streams; opening one after that is a `RuntimeError`."""

    async def main() -> None:
        transport = scripted_transport(AB)
        async with shell.any_client(http={"transport": transport}) as client:
            stream: Any = client.post("http://test/")
            late: Any = client.post("http://test/")
            await done(stream.open())
            await (client.aclose() if isinstance(client, AsyncSSEClient) else anyio.to_thread.run_sync(client.close))
            assert stream.outcome == "cancelled"
            with pytest.raises(RuntimeError, match="the client is closed"):
                await done(late.open())
            assert len(transport.requests) == 1

    shell.run(main)


@pytest.mark.parametrize("call", ["post", "get", "subscribe"])
def test_nothing_is_sent_before(shell: Shell, call: str) -> None:
    """A stream that was never entered, opened or iterated has sent nothing, whatever else is done with it."""

    async def main() -> None:
        transport = scripted_transport(AB)
        async with shell.any_client(http={"transport": transport}) as client:
            stream: Any = getattr(client, call)("http://test/")
            reply = stream.accumulate(lambda count, event: count + 1, 0)
            assert (stream.outcome, stream.state, stream.stats.attempts) == (None, "waiting", 0)
            assert (stream.last_event, stream.last_event_id, stream.snapshot, reply.snapshot) == (None, "", None, 0)
            with pytest.raises(RuntimeError, match="there is no response yet"):
                _ = stream.response
        assert not transport.requests

    shell.run(main)
