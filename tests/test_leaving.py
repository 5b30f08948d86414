"""
However the user leaves a stream, it is closed at once, has the right outcome, and sends nothing more.

The tests also check that the server sees its client go. The garbage collector finds streams that are left open; its
warnings are errors here.
"""

import asyncio
import gc
import math
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest
from shells import PATIENCE, TLS

from sse_client import (
    AsyncEventStream,
    AsyncSSEClient,
    EventStream,
    Handlers,
    RetryPolicy,
    SSEClient,
    StreamInterrupted,
    Timeouts,
)
from sse_client.testing import FIN, Answer, EventServer, Pause

FOREVER = Pause(math.inf)
STREAM = Answer("data: 1\n\n", "data: 2\n\n", FOREVER)
GOOD = Answer("data: good\n\n")

# Long enough to be sure that a thread or a task is blocked, short enough to wait for often.
MOMENT = 0.05


@dataclass(frozen=True)
class Place:
    """The state of a stream when the user leaves it, and the server's response that leads to it."""

    name: str
    answer: Answer
    events: tuple[str, ...] = ()
    is_answered: bool = False

    def __str__(self) -> str:
        return self.name


PLACES = [
    Place("read", Answer("data: 1\n\n", FOREVER), ("1",)),
    Place("first read", Answer(FOREVER)),
    Place("headers", Answer(FOREVER, framing="raw")),
    Place("body", Answer("an error", FOREVER, status=400)),
    Place("wait", Answer(status=503, framing="length"), is_answered=True),
]
IN_A_MOMENT = RetryPolicy(initial_delay=2 * MOMENT, jitter=0)

places = pytest.mark.parametrize("place", PLACES, ids=str)
asynchronous = pytest.mark.anyio


pytestmark = pytest.mark.usefixtures("collected")


@contextmanager
def client_of(library: ModuleType) -> Iterator[SSEClient]:
    with library.Client(verify=TLS) as http, SSEClient(http_client=http, retry=IN_A_MOMENT) as client:
        yield client


@asynccontextmanager
async def aclient_of(library: ModuleType) -> AsyncIterator[AsyncSSEClient]:
    async with library.AsyncClient(verify=TLS) as http, AsyncSSEClient(http_client=http, retry=IN_A_MOMENT) as client:
        yield client


def is_closed(stream: EventStream | AsyncEventStream) -> bool:
    """Whether the stream's response is closed, or there was none."""
    try:
        return bool(stream.response.is_closed)  # type: ignore[attr-defined]
    except RuntimeError:
        return True


def check(stream: EventStream | AsyncEventStream, server: EventServer, outcome: str, *, answered: bool = False) -> None:
    """Check that the stream is closed, and that its server saw that and got no other request."""
    assert (stream.outcome, stream.state) == (outcome, "closed")
    assert is_closed(stream)
    assert len(server.requests) == 1
    assert server.requests[0].done.wait(2)
    assert server.requests[0].responded == answered


async def blocked(server: EventServer) -> None:
    """
    Wait until the task that sent a request to that server is blocked: the request has come, and a moment has passed.
    """
    await anyio.to_thread.run_sync(server.wait_for_requests, 1)
    await anyio.sleep(MOMENT)


def check_silence(server: EventServer, place: Place) -> None:
    """Check that no further request is sent, even after the time of the next attempt."""
    if place.is_answered:
        time.sleep(4 * MOMENT)
    assert len(server.requests) == 1


def test_break(library: ModuleType) -> None:
    """A user who leaves the `with` early closes the response: the stream is abandoned, and over."""
    with EventServer(STREAM) as server, client_of(library) as client:
        with client.post(server.url) as stream:
            for event in stream:
                assert event.data == "1"
                break
            assert (stream.outcome, stream.state) == (None, "streaming")
            assert not is_closed(stream)
        check(stream, server, "abandoned")
        with pytest.raises(RuntimeError, match=r"this stream is over \(abandoned\)"):
            list(stream)


def test_never_iterated(library: ModuleType) -> None:
    """A stream that was entered but not read is abandoned too."""
    with EventServer(STREAM) as server, client_of(library) as client:
        with client.post(server.url) as stream:
            pass
        check(stream, server, "abandoned")


def test_never_entered(library: ModuleType) -> None:
    """A stream that was neither entered nor iterated sends nothing, and has nothing to close."""
    with EventServer(STREAM) as server, client_of(library) as client:
        stream = client.post(server.url)
        assert (stream.outcome, stream.state) == (None, "waiting")
        del stream
        gc.collect()
        assert not server.requests


def test_exception(library: ModuleType) -> None:
    """An exception of the user's code comes out unchanged, and the response is closed."""
    with EventServer(STREAM) as server, client_of(library) as client:
        with pytest.raises(ZeroDivisionError) as caught, client.post(server.url) as stream:
            for _ in stream:
                raise ZeroDivisionError("mine")
        assert caught.value.args == ("mine",)
        check(stream, server, "abandoned")


def test_close_in_the_loop(library: ModuleType) -> None:
    """`close()` ends the loop, even in the middle of a piece, and may be repeated. It closes the response at once."""
    with EventServer(Answer("data: 1\n\ndata: 2\n\n", FOREVER)) as server, client_of(library) as client:
        with client.post(server.url) as stream:
            data = []
            for event in stream:
                data.append(event.data)
                stream.close()
                assert is_closed(stream)
                stream.close()
        assert data == ["1"]
        stream.close()
        check(stream, server, "cancelled")


def test_close_behind_the_end(library: ModuleType) -> None:
    """A stream that is completed stays completed when it is closed."""
    with EventServer(Answer("data: 1\n\n", "data: [DONE]\n\n")) as server, client_of(library) as client:
        with client.post(server.url) as stream:
            assert [event.data for event in stream] == ["1"]
            stream.close()
        check(stream, server, "completed", answered=True)


def test_close_before_the_beginning(library: ModuleType) -> None:
    """A stream that was closed before it was entered sends nothing, and is empty."""
    with EventServer(STREAM) as server, client_of(library) as client:
        stream = client.post(server.url)
        stream.close()
        with stream:
            assert list(stream) == []
        assert not server.requests
    assert (stream.outcome, stream.state) == ("cancelled", "closed")


def test_closed_client(library: ModuleType) -> None:
    """A response that is closed by other code is a lost connection."""
    with EventServer(STREAM) as server, client_of(library) as client:
        with pytest.raises(StreamInterrupted), client.post(server.url) as stream:
            assert next(stream).data == "1"
            stream.response.close()  # type: ignore[attr-defined]
            list(stream)
        check(stream, server, "interrupted")


@places
def test_close_from_another_thread(library: ModuleType, place: Place) -> None:
    """`close()` from another thread wakes the stream, whatever it is blocked in, and its loop ends."""
    closed_at: list[float] = []

    def close() -> None:
        server.wait_for_requests(1)
        time.sleep(MOMENT)
        closed_at.append(time.monotonic())
        stream.close()

    with EventServer(place.answer) as server, client_of(library) as client:
        stream = client.post(server.url)
        thread = threading.Thread(target=close)
        thread.start()
        with stream:
            data = [event.data for event in stream]
        assert time.monotonic() - closed_at[0] < 0.5 * PATIENCE
        thread.join()
        assert tuple(data) == place.events
        check(stream, server, "cancelled", answered=place.is_answered)
        check_silence(server, place)


@places
def test_leave_from_another_thread(library: ModuleType, place: Place) -> None:
    """A stream that one thread iterates can be closed from another. Both continue, and the client stays usable."""
    with EventServer(place.answer, GOOD) as server, client_of(library) as client:
        stream = client.post(server.url)
        data: list[str] = []
        thread = threading.Thread(target=lambda: data.extend(event.data for event in stream))
        thread.start()
        server.wait_for_requests(1)
        time.sleep(MOMENT)
        stream.close()
        thread.join(0.5)
        assert not thread.is_alive()
        assert tuple(data) == place.events
        check(stream, server, "cancelled", answered=place.is_answered)
        with client.post(server.url) as again:
            assert [event.data for event in again] == ["good"]


def test_iterated_without_with(library: ModuleType) -> None:
    """Iterated without `with`, a stream connects at its first event, and closes at its end."""
    with EventServer(Answer("data: 1\n\n", "data: 2\n\n")) as server, client_of(library) as client:
        stream = client.post(server.url)
        events = iter(stream)
        time.sleep(MOMENT)
        assert not server.requests
        assert next(events).data == "1"
        assert not is_closed(stream)
        assert [event.data for event in events] == ["2"]
        check(stream, server, "completed", answered=True)


def test_error_without_with(library: ModuleType) -> None:
    """Iterated without `with`, a stream closes at an error too."""
    with EventServer(Answer("data: 1\n\n", Pause(MOMENT), FIN)) as server, client_of(library) as client:
        stream = client.post(server.url)
        with pytest.raises(StreamInterrupted):
            list(stream)
        check(stream, server, "interrupted", answered=True)


def test_collected_without_with(library: ModuleType) -> None:
    """Iterated without `with`, a stream closes when it is collected."""
    with EventServer(STREAM) as server, client_of(library) as client:
        stream = client.post(server.url)
        assert next(stream).data == "1"
        response: Any = stream.response
        assert not response.is_closed
        del stream
        gc.collect()
        assert response.is_closed
        assert server.requests[0].done.wait(2)
        assert not server.requests[0].responded


def test_broken_off_without_with(library: ModuleType) -> None:
    """A `break` out of `for event in client.post(…)` leaves nothing open."""
    with EventServer(STREAM) as server, client_of(library) as client:
        for event in client.post(server.url):
            assert event.data == "1"
            break
        del event
        gc.collect()
        assert server.requests[0].done.wait(2)
        assert not server.requests[0].responded


def read_on(stream: EventStream, how: str) -> None:
    match how:
        case "next":
            next(stream)
        case "for":
            list(stream)
        case "enter":
            stream.__enter__()
        case "dispatch":
            stream.dispatch(Handlers())
        case "final":
            stream.accumulate(lambda count, event: count + 1, 0).final()


@pytest.mark.parametrize("has_clock", [False, True], ids=["no clock", "clock"])
@pytest.mark.parametrize("how", ["next", "for", "enter", "dispatch", "final"])
def test_two_threads(library: ModuleType, how: str, has_clock: bool) -> None:
    """A second thread that reads the same stream gets an error. The first continues, and gets all events."""
    answer = Answer("data: 1\n\n", lambda: told.wait(5) or pytest.fail("it was not told"), "data: 2\n\n")
    told, data = threading.Event(), list[str]()
    with EventServer(answer) as server, client_of(library) as client:
        stream = client.post(server.url, timeout=Timeouts(idle=30 if has_clock else None))
        first = threading.Thread(target=lambda: data.extend(event.data for event in stream))
        first.start()
        while not stream._is_busy or stream.stats.events == 0:
            time.sleep(0.001)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="one thread at a time"):
                read_on(stream, how)
            assert stream.outcome is None
        told.set()
        first.join()
        assert data == ["1", "2"]
        check(stream, server, "completed", answered=True)


def test_close_behind_a_second_thread(library: ModuleType) -> None:
    """After a second thread was refused, `close()` still wakes the first."""
    with EventServer(STREAM) as server, client_of(library) as client:
        stream = client.post(server.url)
        thread = threading.Thread(target=lambda: list(stream))
        thread.start()
        while not stream._is_busy or stream.stats.events < 2:
            time.sleep(0.001)
        with pytest.raises(RuntimeError, match="one thread at a time"):
            next(stream)
        stream.close()
        thread.join(0.5)
        assert not thread.is_alive()
        check(stream, server, "cancelled")


def test_threads_take_turns(library: ModuleType) -> None:
    """Threads that read one after the other, like those of a pool, get no error."""
    with EventServer(Answer("data: 1\n\n", "data: 2\n\n", "data: 3\n\n")) as server, client_of(library) as client:
        with client.post(server.url) as stream, ThreadPoolExecutor(3) as pool:
            data = [pool.submit(next, stream).result().data for _ in range(3)]
        assert data == ["1", "2", "3"]


def test_threads_at_the_same_time(library: ModuleType) -> None:
    """However threads meet on one stream, each event is delivered once, and the error is always the same."""
    count = 3000
    taken: list[str] = []
    errors: list[BaseException] = []

    def work() -> None:
        while stream.outcome is None:
            try:
                taken.extend(event.data for event in stream)
                return
            except RuntimeError as error:
                errors.append(error)
                time.sleep(0.001)

    answer = Answer(*[f"data: {number}\n\n" for number in range(count)])
    with EventServer(answer) as server, client_of(library) as client, client.post(server.url) as stream:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken, key=int) == [str(number) for number in range(count)]
    assert {str(error) for error in errors} <= {str(stream._in_use())}


interrupts = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")


@contextmanager
def interrupting(server: EventServer) -> Iterator[None]:
    """Press Ctrl-C, in the main thread, a moment after the request."""

    def press() -> None:
        server.wait_for_requests(1)
        time.sleep(MOMENT)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_interrupt_in_the_loop(library: ModuleType) -> None:
    """A KeyboardInterrupt in the user's code comes out, and the stream is cancelled."""
    with EventServer(STREAM) as server, client_of(library) as client:
        with pytest.raises(KeyboardInterrupt), client.post(server.url) as stream:
            for _ in stream:
                signal.raise_signal(signal.SIGINT)
        check(stream, server, "cancelled")


@interrupts
@places
def test_interrupt_while_blocked(library: ModuleType, place: Place) -> None:
    """Ctrl-C interrupts the stream, whatever it is blocked in. Nothing is sent again, and the client stays usable."""
    with EventServer(place.answer, GOOD) as server, client_of(library) as client:
        stream = client.post(server.url)
        with pytest.raises(KeyboardInterrupt), interrupting(server), stream:
            list(stream)
        check(stream, server, "cancelled", answered=place.is_answered)
        check_silence(server, place)
        with client.post(server.url) as again:
            assert [event.data for event in again] == ["good"]


@interrupts
def test_interrupt_without_with(library: ModuleType) -> None:
    """Ctrl-C also closes the response if the stream is iterated without `with`."""
    with EventServer(STREAM) as server, client_of(library) as client:
        stream = client.post(server.url)
        with pytest.raises(KeyboardInterrupt), interrupting(server):
            list(stream)
        check(stream, server, "cancelled")


@interrupts
@places
def test_interrupt_async(library: ModuleType, place: Place, anyio_backend: tuple[str, dict[str, Any]]) -> None:
    """Ctrl-C ends an async program and closes the response."""
    streams: list[AsyncEventStream] = []

    async def main() -> None:
        async with aclient_of(library) as client:
            stream = client.post(server.url)
            streams.append(stream)
            async with stream:
                async for _ in stream:
                    pass

    with EventServer(place.answer) as server:
        with pytest.raises(KeyboardInterrupt), interrupting(server):
            anyio.run(main, backend=anyio_backend[0], backend_options=anyio_backend[1])
        check(streams[0], server, "cancelled", answered=place.is_answered)


@asynchronous
async def test_break_async(library: ModuleType) -> None:
    """A user who leaves the `async with` early closes the response: the stream is abandoned, and over."""
    with EventServer(STREAM) as server:
        async with aclient_of(library) as client:
            async with client.post(server.url) as stream:
                async for event in stream:
                    assert event.data == "1"
                    break
                assert (stream.outcome, stream.state) == (None, "streaming")
                assert not is_closed(stream)
            check(stream, server, "abandoned")
            with pytest.raises(RuntimeError, match=r"this stream is over \(abandoned\)"):
                [event async for event in stream]


@asynchronous
async def test_never_iterated_async(library: ModuleType) -> None:
    """A stream that was entered but not read is abandoned too; one that was not entered sends nothing."""
    with EventServer(STREAM) as server:
        async with aclient_of(library) as client:
            client.post(server.url)
            assert not server.requests
            async with client.post(server.url) as stream:
                pass
            check(stream, server, "abandoned")


@asynchronous
async def test_exception_async(library: ModuleType) -> None:
    """An exception of the user's code comes out unchanged, and the response is closed."""
    with EventServer(STREAM) as server:
        async with aclient_of(library) as client:
            with pytest.raises(ZeroDivisionError) as caught:
                async with client.post(server.url) as stream:
                    async for _ in stream:
                        raise ZeroDivisionError("mine")
            assert caught.value.args == ("mine",)
            check(stream, server, "abandoned")


@asynchronous
async def test_aclose_in_the_loop(library: ModuleType) -> None:
    """`aclose()` ends the loop, even in the middle of a piece, and may be repeated. It closes the response at once."""
    with EventServer(Answer("data: 1\n\ndata: 2\n\n", FOREVER)) as server:
        async with aclient_of(library) as client:
            async with client.post(server.url) as stream:
                data = []
                async for event in stream:
                    data.append(event.data)
                    await stream.aclose()
                    assert is_closed(stream)
                    await stream.aclose()
            assert data == ["1"]
            await stream.aclose()
            check(stream, server, "cancelled")


@asynchronous
async def test_aclose_behind_the_end(library: ModuleType) -> None:
    """A stream that is completed stays completed when it is closed."""
    with EventServer(Answer("data: 1\n\n", "data: [DONE]\n\n")) as server:
        async with aclient_of(library) as client:
            async with client.post(server.url) as stream:
                assert [event.data async for event in stream] == ["1"]
                await stream.aclose()
            check(stream, server, "completed", answered=True)


@asynchronous
async def test_aclose_before_the_beginning(library: ModuleType) -> None:
    """A stream that was closed before it was entered sends nothing, and is empty."""
    with EventServer(STREAM) as server:
        async with aclient_of(library) as client:
            stream = client.post(server.url)
            await stream.aclose()
            async with stream:
                assert [event async for event in stream] == []
        assert not server.requests
    assert (stream.outcome, stream.state) == ("cancelled", "closed")


@asynchronous
@places
async def test_aclose_from_another_task(library: ModuleType, place: Place) -> None:
    """`aclose()` from another task wakes whatever the stream waits for; when it returns, the response is closed."""
    closed_at: list[float] = []

    async def close() -> None:
        await blocked(server)
        closed_at.append(time.monotonic())
        await stream.aclose()
        assert is_closed(stream)
        await stream.aclose()

    with EventServer(place.answer, GOOD) as server:
        async with aclient_of(library) as client:
            stream = client.post(server.url)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close)
                async with stream:
                    data = [event.data async for event in stream]
                assert time.monotonic() - closed_at[0] < 0.5 * PATIENCE
            assert tuple(data) == place.events
            check(stream, server, "cancelled", answered=place.is_answered)
            check_silence(server, place)
            async with client.post(server.url) as again:
                assert [event.data async for event in again] == ["good"]


@asynchronous
@pytest.mark.parametrize("place", PLACES[:2], ids=str)
async def test_left_by_another_task(library: ModuleType, place: Place) -> None:
    """If the task that entered a stream leaves it while another task still reads, the other task's loop ends."""
    data = []

    async def read() -> None:
        data.extend([event.data async for event in stream])

    with EventServer(place.answer) as server:
        async with aclient_of(library) as client, anyio.create_task_group() as tasks:
            async with client.post(server.url) as stream:
                tasks.start_soon(read)
                await anyio.sleep(MOMENT)
            assert is_closed(stream)
            before = time.monotonic()
        assert time.monotonic() - before < 0.5 * PATIENCE
        assert tuple(data) == place.events
        check(stream, server, "abandoned")


@asynchronous
@places
@pytest.mark.parametrize("how", ["scope", "group"])
async def test_cancel_scope(library: ModuleType, place: Place, how: str) -> None:
    """Cancellation by a scope, around the stream or further out, propagates, and the response is closed."""

    async def read() -> None:
        async with stream:
            data.extend([event async for event in stream])

    async def cancel(scope: anyio.CancelScope) -> None:
        await blocked(server)
        cancelled_at.append(time.monotonic())
        scope.cancel()

    data: list[Any] = []
    cancelled_at: list[float] = []
    with EventServer(place.answer, GOOD) as server:
        async with aclient_of(library) as client:
            stream = client.post(server.url)
            async with anyio.create_task_group() as tasks:
                if how == "scope":
                    scope = anyio.CancelScope()
                    tasks.start_soon(cancel, scope)
                    with scope:
                        await read()
                    assert scope.cancelled_caught
                else:
                    tasks.start_soon(read)
                    await cancel(tasks.cancel_scope)
            assert time.monotonic() - cancelled_at[0] < 0.5 * PATIENCE
            assert not data  # the list comprehension was not finished
            check(stream, server, "cancelled", answered=place.is_answered)
            check_silence(server, place)
            async with client.post(server.url) as again:
                assert [event.data async for event in again] == ["good"]


@places
def test_task_cancel(library: ModuleType, place: Place) -> None:
    """asyncio's `task.cancel()` propagates too, and the task counts as cancelled."""

    async def read(stream: AsyncEventStream) -> None:
        async with stream:
            async for _ in stream:
                pass

    async def main() -> None:
        async with aclient_of(library) as client:
            stream = client.post(server.url)
            task = asyncio.create_task(read(stream))
            await blocked(server)
            task.cancel()
            before = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - before < 0.5 * PATIENCE
            assert task.cancelled()
            check(stream, server, "cancelled", answered=place.is_answered)
            check_silence(server, place)
            async with client.post(server.url) as again:
                assert [event.data async for event in again] == ["good"]

    with EventServer(place.answer, GOOD) as server:
        asyncio.run(main())


def test_asyncio_timeout(library: ModuleType) -> None:
    """`asyncio.timeout()` works around a loop over a stream."""

    async def main() -> None:
        async with aclient_of(library) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(None) as timeout, client.post(server.url) as stream:
                    async for _ in stream:
                        timeout.reschedule(asyncio.get_running_loop().time() + MOMENT)
            check(stream, server, "cancelled")

    with EventServer(STREAM) as server:
        asyncio.run(main())


@asynchronous
async def test_cancelled_in_the_loop(library: ModuleType) -> None:
    """Cancellation in the user's code, inside the loop, cancels the stream too."""
    with EventServer(STREAM) as server:
        async with aclient_of(library) as client:
            with anyio.CancelScope() as scope:
                async with client.post(server.url) as stream:
                    async for _ in stream:
                        scope.deadline = anyio.current_time() + MOMENT
                        await anyio.sleep_forever()
            check(stream, server, "cancelled")


@asynchronous
@pytest.mark.parametrize(
    "use",
    [lambda stream: aiter(stream), lambda stream: anext(stream)],
    ids=["aiter", "anext"],
)
async def test_without_async_with(library: ModuleType, use: Callable[[AsyncEventStream], Any]) -> None:
    """Async iteration without `async with` raises at once, with the code to write instead, and sends nothing."""
    with EventServer(STREAM) as server:
        async with aclient_of(library) as client:
            with pytest.raises(RuntimeError, match=r"async with client\.post\(…\) as stream"):
                await use(client.post(server.url))
        assert not server.requests


@asynchronous
async def test_two_readers(library: ModuleType) -> None:
    """A second task that reads the same stream gets an error, and the first is not disturbed."""
    with EventServer(STREAM) as server:
        async with aclient_of(library) as client:
            async with client.post(server.url) as stream, anyio.create_task_group() as tasks:
                assert [(await anext(stream)).data, (await anext(stream)).data] == ["1", "2"]

                async def read_on() -> None:
                    await anext(stream, None)

                tasks.start_soon(read_on)
                await anyio.sleep(MOMENT)
                with pytest.raises(RuntimeError, match="another task is reading this stream"):
                    await anext(stream)
                assert stream.outcome is None
                await stream.aclose()
            check(stream, server, "cancelled")
