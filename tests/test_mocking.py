"""
Replacements for a server in users' own tests: respx, the libraries' mock transports, an ASGI app.

None of them exposes a socket, or reports how far a request has come. All must be read like a real server.
"""

import json
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest
import respx
from shells import Shell, entered, in_turn

from sse_client import (
    AsyncSSEClient,
    ConnectionFailed,
    RetryPolicy,
    SSEClient,
    StatusError,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
)

URL = "https://api.example.test/chat"
EVENT_STREAM = {"Content-Type": "text/event-stream"}
AT_ONCE = RetryPolicy(initial_delay=0, jitter=0)


def streamed(text: str) -> httpx.Response:
    return httpx.Response(200, headers=EVENT_STREAM, text=text)


@respx.mock
def test_respx() -> None:
    """A mocked route serves a stream of a client that the SSEClient makes, and records the request."""
    route = respx.post(URL).mock(return_value=streamed("data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"))
    with SSEClient(headers={"X-One": "1"}) as client, client.post(URL, json={"n": 1}) as stream:
        assert [event.data for event in stream] == ["1", "2"]
        assert stream.outcome == "completed"
    request = route.calls.last.request
    assert json.loads(request.content) == {"n": 1}
    assert (request.headers["x-one"], request.headers["accept"]) == ("1", "text/event-stream")


@pytest.mark.anyio
async def test_respx_async() -> None:
    """A mocked route serves an async stream."""
    with respx.mock:
        route = respx.post(URL).mock(return_value=streamed("data: 1\n\ndata: 2\n\n"))
        async with AsyncSSEClient() as client, client.post(URL) as stream:
            assert [event.data async for event in stream] == ["1", "2"]
            assert stream.outcome == "completed"
        assert route.call_count == 1


HTTPX_SHELLS = [Shell(kind, httpx) for kind in ("sync", "asyncio", "trio")]


@pytest.mark.parametrize("shell", HTTPX_SHELLS, ids=str)
@respx.mock
def test_respx_pieces(shell: Shell) -> None:
    """A route whose content is an iterator is read piece by piece; a function makes a new response for each call."""

    def pieces() -> Iterator[bytes]:
        yield b"data: \xc3"
        yield b"\xa9\r"
        yield b"\n\r\ndata: 2\n"
        yield b"\n"

    async def apieces() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    def answer(_: httpx.Request) -> httpx.Response:
        content = pieces() if shell.kind == "sync" else apieces()
        return httpx.Response(200, headers=EVENT_STREAM, content=content)

    respx.post(URL).mock(side_effect=answer)
    for _ in range(2):
        result = shell.read(URL)
        assert result.data == ["é", "2"]
        assert result.error is None


@pytest.mark.parametrize("shell", HTTPX_SHELLS, ids=str)
@respx.mock
def test_respx_status(shell: Shell) -> None:
    """A mocked status is an error with its message."""
    respx.post(URL).mock(return_value=httpx.Response(429, json={"error": {"message": "slow down"}}))
    result = shell.read(URL, client={"retry": None})
    assert isinstance(result.error, StatusError)
    assert (result.error.status_code, result.error.message) == (429, "slow down")


@pytest.mark.parametrize("shell", HTTPX_SHELLS, ids=str)
@respx.mock
def test_respx_side_effects(shell: Shell) -> None:
    """Side effects are attempts: a failed connection and a transient status are retried."""
    route = respx.post(URL).mock(
        side_effect=[httpx.ConnectError("refused"), httpx.Response(503), streamed("data: 1\n\n")]
    )
    result = shell.read(URL, client={"retry": AT_ONCE})
    assert result.data == ["1"]
    assert result.stream is not None
    assert (result.stream.stats.attempts, result.stream.outcome) == (3, "completed")
    assert route.call_count == 3


@pytest.mark.parametrize("shell", HTTPX_SHELLS, ids=str)
@pytest.mark.parametrize(
    ("error", "ambiguous", "calls"),
    [
        (httpx.ConnectError, False, 3),
        (httpx.ConnectTimeout, False, 3),
        (httpx.PoolTimeout, False, 3),
        (httpx.ReadTimeout, True, 1),
        (httpx.ReadError, True, 1),
        (httpx.WriteError, True, 1),
        (httpx.RemoteProtocolError, True, 1),
        (httpx.UnsupportedProtocol, False, 1),
    ],
)
@respx.mock
def test_respx_errors(shell: Shell, error: type[Exception], ambiguous: bool, calls: int) -> None:
    """If a transport does not report whether the request was sent, the class of its error decides."""
    route = respx.post(URL).mock(side_effect=error("mocked"))
    result = shell.read(URL, client={"retry": AT_ONCE})
    assert isinstance(result.error, ConnectionFailed)
    assert isinstance(result.error.__cause__, error)
    assert result.error.ambiguous is ambiguous
    assert result.error.clock is None
    assert "mocked" in str(result.error)
    assert route.call_count == calls


@pytest.mark.parametrize("shell", HTTPX_SHELLS, ids=str)
@respx.mock
def test_respx_users_error(shell: Shell) -> None:
    """An error that is not the library's comes out unchanged."""
    respx.post(URL).mock(side_effect=ZeroDivisionError("mine"))
    with pytest.raises(ZeroDivisionError, match="mine"):
        shell.read(URL)


class Log(list[str]):
    """The calls of a mocked body, in order."""


def transport_of(shell: Shell, log: Log, *pieces: bytes | Exception, **response: Any) -> Any:
    """A mock transport whose response has these pieces; an error among them is raised in its place."""
    library = shell.library

    class Body(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Iterator[bytes]:
            for piece in pieces:
                if isinstance(piece, Exception):
                    raise piece
                log.append(piece.decode().strip())
                yield piece

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in self.__iter__():
                await anyio.lowlevel.checkpoint()
                yield piece

        def close(self) -> None:
            log.append("closed")

        async def aclose(self) -> None:
            await anyio.lowlevel.checkpoint()
            log.append("closed")

    def answer(request: Any) -> Any:
        log.append(request.method)
        return library.Response(**{"status_code": 200, "headers": EVENT_STREAM, "stream": Body(), **response})

    return library.MockTransport(answer)


def test_transport(shell: Shell) -> None:
    """A mocked body is read piece by piece, each only when its events are needed, and closed at its end."""
    log = Log()
    transport = transport_of(shell, log, b"data: 1\n\n", b": hi\n\n", b"data: 2\n\ndata: 3\n\n", b"data: 4\n\n")

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            async with entered(client.post(URL)) as reader:
                assert log == ["POST"]
                assert (await anext(reader)).data == "1"
                assert log == ["POST", "data: 1"]
                assert [(await anext(reader)).data, (await anext(reader)).data] == ["2", "3"]
                assert len(log) == 4
                assert [event.data async for event in reader] == ["4"]
                assert log[-1] == "closed"
            assert log.count("closed") == 1
            assert reader.stream.outcome == "completed"

    shell.run(main)


def test_transport_left_early(shell: Shell) -> None:
    """A mocked body that the user leaves early is closed, and not read further."""
    log = Log()
    transport = transport_of(shell, log, b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n")
    result = shell.read(URL, http={"transport": transport}, limit=1)
    assert log[:3] == ["POST", "data: 1", "closed"]
    assert result.stream is not None
    assert result.stream.outcome == "abandoned"


def test_transport_behind_the_terminator(shell: Shell) -> None:
    """After a terminator a mocked body is read to its end and closed; its errors there are ignored."""
    log = Log()
    error = shell.library.ReadError("late")
    transport = transport_of(shell, log, b"data: bye\n\n", b"data: 2\n\n", error)
    result = shell.read(URL, http={"transport": transport}, terminator=Terminator(data="bye"))
    assert result.data == ["bye"]
    assert result.error is None
    assert log[-1] == "closed"


def test_transport_clean_end(shell: Shell) -> None:
    """A mocked body that ends before its terminator is truncated."""
    transport = transport_of(shell, Log(), b"data: 1\n\n")
    result = shell.read(URL, http={"transport": transport}, terminator=Terminator(data="bye"))
    assert result.data == ["1"]
    assert isinstance(result.error, StreamTruncated)


@in_turn("name", ["ReadError", "RemoteProtocolError", "ReadTimeout", "DecodingError", "StreamClosed"])
def test_transport_that_breaks(shell: Shell, name: str) -> None:
    """Whichever of the library's errors a mocked body raises, the stream is interrupted, and the error is its cause."""
    kind = getattr(shell.library, name)
    error = kind() if name == "StreamClosed" else kind("broken")
    log = Log()
    transport = transport_of(shell, log, b"data: 1\n\n", error)
    result = shell.read(URL, http={"transport": transport})
    assert result.data == ["1"]
    assert isinstance(result.error, StreamInterrupted)
    assert result.error.__cause__ is error
    assert log[-1] == "closed"


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), BrokenPipeError("pipe")])
def test_transport_that_breaks_below(shell: Shell, error: OSError) -> None:
    """An OSError of a transport is a lost connection too."""
    result = shell.read(URL, http={"transport": transport_of(shell, Log(), b"data: 1\n\n", error)})
    assert result.data == ["1"]
    assert isinstance(result.error, StreamInterrupted)
    assert result.error.__cause__ is error


def test_transport_with_a_mistake(shell: Shell) -> None:
    """Any other error in a mocked body comes out unchanged, and the response is closed."""
    log = Log()
    transport = transport_of(shell, log, b"data: 1\n\n", ZeroDivisionError("mine"))
    with pytest.raises(ZeroDivisionError, match="mine"):
        shell.read(URL, http={"transport": transport})
    assert log[-1] == "closed"


def test_transport_that_was_read(shell: Shell) -> None:
    """A mocked response that already has its content is a stream as well, any number of times."""
    transport = transport_of(shell, Log(), stream=None, content=b"data: 1\n\ndata: 2\n\n")
    for _ in range(2):
        assert shell.read(URL, http={"transport": transport}).data == ["1", "2"]


def test_transport_status(shell: Shell) -> None:
    """A mocked error status is a `StatusError`, and its body is closed."""
    log = Log()
    transport = transport_of(shell, log, b'{"detail"', b': "no"}', status_code=422)
    result = shell.read(URL, http={"transport": transport})
    assert isinstance(result.error, StatusError)
    assert result.error.message == "no"
    assert log[-1] == "closed"


def test_generator(shell: Shell) -> None:
    """
    A generator, sync or async, may be the content. If the user leaves early, nothing is left for the garbage collector.
    """

    def pieces() -> Iterator[bytes]:
        yield b"data: 1\n\n"
        yield b"data: 2\n\n"

    async def apieces() -> AsyncIterator[bytes]:
        for piece in pieces():
            await anyio.lowlevel.checkpoint()
            yield piece

    def answer(_: Any) -> Any:
        content = pieces() if shell.kind == "sync" else apieces()
        return shell.library.Response(200, headers=EVENT_STREAM, content=content)

    for limit in (1, None):
        transport = shell.library.MockTransport(answer)
        assert shell.read(URL, http={"transport": transport}, limit=limit).data == ["1", "2"][:limit]


@pytest.mark.anyio
async def test_aclose_wakes_a_mocked_body(library: ModuleType) -> None:
    """`aclose()` wakes the reader of a mocked body that never continues, although it has no httpcore connection."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await anyio.sleep_forever()

    def answer(_: Any) -> Any:
        return library.Response(200, headers=EVENT_STREAM, content=pieces())

    transport = library.MockTransport(answer)
    async with library.AsyncClient(transport=transport) as http, AsyncSSEClient(http_client=http) as client:
        with anyio.fail_after(2):
            async with client.post(URL) as stream, anyio.create_task_group() as tasks:
                assert (await anext(stream)).data == "1"

                async def close() -> None:
                    await anyio.sleep(0.02)
                    await stream.aclose()

                tasks.start_soon(close)
                assert await anext(stream, None) is None
        assert stream.outcome == "cancelled"


@pytest.mark.anyio
async def test_asgi(library: ModuleType) -> None:
    """An application can be tested without a server: httpx collects its response first, which is then a stream."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in (b"data: ", body, b"\n\n", b"data: [DONE]\n\n"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    transport = library.ASGITransport(app=app)
    async with (
        library.AsyncClient(transport=transport) as http,
        AsyncSSEClient(http_client=http) as client,
        client.post(URL, json={"n": 1}) as stream,
    ):
        assert [event.json() async for event in stream] == [{"n": 1}]
        assert stream.outcome == "completed"
