"""
A script means the same without a socket as on one, and takes no time.

For the meaning, `on_both` plays a script to the same client with `EventServer` and with `scripted_transport`, and
everything that can be seen of it, on either side, must be equal. For the time, only the transport is tested, in virtual
seconds, and hours of them must be over within a real one.
"""

import gc
import gzip
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from math import inf
from types import ModuleType
from typing import Any, Literal

import anyio
import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from shells import PATIENCE, Run, Shell, entered, in_turn

from sse_client import (
    AsyncEventStream,
    AsyncSSEClient,
    ConnectionFailed,
    ContentTypeError,
    EventStream,
    Handlers,
    LastEventID,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    Terminator,
    Timeouts,
)
from sse_client.testing import (
    FIN,
    RST,
    Answer,
    EventServer,
    Pause,
    RecordedRequest,
    ScriptedTransport,
    _transport,
    pings,
    scripted_transport,
)
from sse_client.testing._script import Framing, Script, Step

URL = "https://api.example.org/chat"
EVENT = "id: 1\ndata: 1\n\n"
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
FOREVER = Pause(inf)
HOUR = 3600.0
AT_ONCE = RetryPolicy(initial_delay=0, jitter=0)
EVENLY = RetryPolicy(jitter=0)

# A stream's time is virtual from its first request on; before that, time is real.
BEFORE = 0.5

SOON = 0.03  # in real seconds, for a wait that only another thread or task can end


@contextmanager
def in_no_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < PATIENCE


def only(**clocks: float) -> Timeouts:
    """Timeouts with the given clocks and no others."""
    return Timeouts(**{"connect": None, "response": None, "read": None, **clocks})


def again(times: int, *steps: Step) -> tuple[Step, ...]:
    return steps * times


def gaps(requests: list[RecordedRequest]) -> list[float]:
    """The seconds from each request to the next."""
    times = [request.received_at for request in requests]
    return [round(later - earlier, 3) for earlier, later in pairwise(times)]


def seen(run: Run, played: EventServer | ScriptedTransport) -> tuple[Any, ...]:
    """Everything that can be seen of a stream and of its requests, except times."""
    # Two errors are never equal, so their types and attributes are compared.
    error, stream = run.error, run.stream
    assert stream is not None
    known = [getattr(error, name, None) for name in ("ambiguous", "clock", "status_code", "body", "last_event_id")]
    errors = type(error), type(error and error.__cause__), known
    response: Any = None
    if stream._session.head is not None:
        shown: Any = stream.response
        response = shown.status_code, shown.reason_phrase, shown.headers.multi_items(), shown.http_version
    counts = [getattr(stream.stats, name) for name in ("attempts", "connections", "comments", "bytes")]
    requests = [(request.method, request.target, dict(request.headers), request.body) for request in played.requests]
    return run.data, errors, run.outcome, response, counts, requests


def on_both(shell: Shell, *scripts: Script, gate: threading.Event | None = None, **options: Any) -> Run:
    """
    Play a script on a socket and without one, compare everything that is seen, and return the result.

    The gate is open from the first event on, for scripts that must not continue before.
    """
    gate = gate or threading.Event()
    with EventServer(*scripts) as server:
        on_a_socket = shell.read(f"{server.url}/chat?q=é", on_event=gate.set, **options)
    gate.clear()
    transport = scripted_transport(*scripts)
    without = shell.read(f"{server.url}/chat?q=é", on_event=gate.set, http={"transport": transport}, **options)
    assert seen(without, transport) == seen(on_a_socket, server)
    return without


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "inside"])
@pytest.mark.parametrize("end", [None, FIN, RST], ids=["end", "FIN", "RST"])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_ends(shell: Shell, framing: Framing, end: Step | None, is_whole: bool) -> None:
    """However a body ends, after an event or inside one, the same is seen of it on both."""
    gate = threading.Event()
    body = f"{EVENT}: hi\n" if is_whole else f"{EVENT}: hi\ndata: 2\n"
    answer = Answer(body, *(() if end is None else (lambda: gate.wait(5), end)), framing=framing)
    if end is not None:
        answer = answer.announcing(99)
    result = on_both(shell, answer, gate=gate)
    assert result.data == ["1"]
    is_cut = end is RST or (end is FIN and framing != "close")
    assert result.outcome == ("interrupted" if is_cut else "completed" if is_whole else "truncated")


def raw(*lines: Step) -> Answer:
    return Answer(*lines, framing="raw")


ANSWERS: dict[str, tuple[list[Script], dict[str, Any], Any]] = {
    "events": ([Answer(EVENT, ": hi\n\n", "", "data: é\r\rdata: 3\r\n\r\n")], {}, ["1", "é", "3"]),
    "nothing": ([Answer()], {}, []),
    "nothing by length": ([Answer(framing="length")], {}, []),
    "[DONE]": ([Answer(EVENT, "data: [DONE]\n\n", "data: 2\n\n", FIN)], {}, ["1"]),
    "terminator": ([Answer(EVENT, FIN)], {"terminator": Terminator(data="1")}, ["1"]),
    "204": ([Answer(EVENT, status=204)], {}, []),
    "HEAD": ([Answer(EVENT)], {"method": "HEAD"}, []),
    "HEAD by length": ([Answer(EVENT, framing="length")], {"method": "HEAD"}, []),
    "404": ([Answer.json({"detail": "no"}, status=404)], {}, StatusError),
    "529": ([Answer("busy", status=529, framing="close")], {}, StatusError),
    "error that is cut": ([Answer('{"detail"', FIN, status=404)], {}, StatusError),
    "JSON": ([Answer.json({"n": 1})], {}, ContentTypeError),
    "JSON as an event": ([Answer.json({"n": 1})], {"accept_json": True}, ['{"n": 1}']),
    "no content type": ([Answer(EVENT, headers={"Content-Type": None, "X-Name": "é"})], {}, ContentTypeError),
    "gzip": ([Answer(gzip.compress(EVENT.encode()), headers={"Content-Encoding": "gzip"})], {}, ["1"]),
    "too long a length": ([Answer(EVENT, FIN, headers={"Content-Length": "99"}, framing="length")], {}, "interrupted"),
    "too short a length": ([Answer(EVENT, EVENT, headers={"Content-Length": "15"}, framing="length")], {}, ["1"]),
    "103": ([raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", f"{HEAD}\r\n", EVENT)], {}, ["1"]),
    "HTTP/1.0": ([raw("HTTP/1.0 200 Fine\r\ncontent-type: text/event-stream\r\n\r\n", EVENT)], {}, ["1"]),
    "no HTTP": ([raw("SSH-2.0-OpenSSH_9.6\r\n\r\n")], {}, ConnectionFailed),
    "head that is cut": ([raw(HEAD)], {}, ConnectionFailed),
    "head without end": ([raw(HEAD, "X: " + "x" * 120_000)], {}, ConnectionFailed),
    "early disconnect": ([Answer(FIN, framing="raw")], {}, ConnectionFailed),
    "chunk that is none": ([raw(HEAD, "Transfer-Encoding: chunked\r\n\r\n", "z\r\n")], {}, "interrupted"),
    "chunk that is cut": ([raw(HEAD, "Transfer-Encoding: chunked\r\n\r\n", f"ff\r\n{EVENT}")], {}, "interrupted"),
    "redirect": ([Answer(status=307, headers={"Location": "/b"}, framing="length"), Answer(EVENT)], {}, ["1"]),
    "retry": ([Answer(status=503), Answer(status=429), Answer(EVENT)], {"retry": AT_ONCE}, ["1"]),
    "ambiguous": ([Answer(FIN, framing="raw"), Answer(EVENT)], {"retry": AT_ONCE}, ConnectionFailed),
    "repeated": (
        [Answer(FIN, framing="raw"), Answer(EVENT)],
        {"retry": RetryPolicy(initial_delay=0, jitter=0, retry_ambiguous=True)},
        ["1"],
    ),
    "resumed": (
        [Answer(EVENT, FIN), Answer("id: é\ndata: 2\n\n", FIN), Answer("data: 3\n\n")],
        {"resume": LastEventID(retry=AT_ONCE)},
        ["1", "2", "3"],
    ),
    "out of answers": ([Answer(status=503), Answer(status=503)], {"retry": AT_ONCE}, StatusError),
    "by the request": ([lambda request: Answer(f"data: {request.method} {request.target}\n\n")], {}, None),
}


@pytest.mark.parametrize(("scripts", "options", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_answers(shell: Shell, scripts: list[Script], options: dict[str, Any], expected: Any) -> None:
    """Whatever the response, the same is seen of it on both, and it is as expected."""
    result = on_both(shell, *scripts, **{"retry": None, **options})
    if isinstance(expected, list):
        assert (result.data, result.outcome) == (expected, "completed")
    elif isinstance(expected, type):
        assert isinstance(result.error, expected)
    elif expected is not None:
        assert result.outcome == expected


def form() -> Iterator[bytes]:
    yield b"a=1&"
    yield b"b=2"


async def async_form() -> AsyncIterator[bytes]:
    for piece in form():
        yield piece


@in_turn(
    "options",
    [
        {"json": {"message": "é"}, "headers": {"X-Extension-Token": "test-token", "X-Name": "a b"}},
        {"data": {"a": "1"}, "cookies": {"session": "test-token"}},
        {
            "files": {"file": ("a.txt", b"a", "text/plain")},
            "headers": {"Content-Type": "multipart/form-data; boundary=b"},
        },
        {"content": b"\x00\xff", "params": {"a": "é&", "b": ""}},
        {"content": "iterator"},
        {"last_event_id": "é", "method": "GET"},
        {"auth": ("user", "test-token"), "headers": [("X-Tag", "1"), ("X-Tag", "2")]},
    ],
    ids=["json", "data", "files", "bytes", "iterator", "GET", "auth"],
)
def test_requests(shell: Shell, options: dict[str, Any]) -> None:
    """A request is recorded as a socket would receive it."""
    if options.get("content") == "iterator":
        options = {"content": form() if shell.kind == "sync" else async_form()}
        transport = scripted_transport(Answer(EVENT))
        shell.read(URL, http={"transport": transport}, **options)
        [request] = transport.requests
        assert (request.body, request.headers["transfer-encoding"]) == (b"a=1&b=2", "chunked")
    else:
        result = on_both(shell, Answer(EVENT), **options)
        assert result.data == ["1"]


def test_a_header_that_http_cannot_carry(shell: Shell) -> None:
    """A header that httpx's own transport does not send is an error here too, and nothing is recorded."""
    result = on_both(shell, Answer(EVENT), headers={"X-Name": "a\nb"})
    assert isinstance(result.error, ConnectionFailed)
    assert not result.error.ambiguous
    transport = scripted_transport(Answer(EVENT))
    shell.read(URL, http={"transport": transport}, headers={"X-Name": "a\nb"})
    assert transport.requests == []


def test_requests_are_numbered() -> None:
    """Each request counts as a separate connection."""
    transport = scripted_transport(Answer(EVENT))
    with httpx.Client(transport=transport) as client:
        for _ in range(3):
            client.post(URL)
    assert [request.connection for request in transport.requests] == [1, 2, 3]


def test_an_answer_that_was_read(shell: Shell) -> None:
    """A response that was read to its end is done and responded."""
    transport = scripted_transport(Answer(EVENT))
    assert shell.read(URL, http={"transport": transport}).data == ["1"]
    assert [(request.done.is_set(), request.responded) for request in transport.requests] == [(True, True)]


def test_an_answer_that_was_left(shell: Shell) -> None:
    """A response that the user left early is done and not responded; nothing is left for the garbage collector."""
    transport = scripted_transport(Answer(EVENT, EVENT, FOREVER))
    result = shell.read(URL, http={"transport": transport}, limit=1)
    assert result.stream is not None
    assert result.stream.outcome == "abandoned"
    assert [(request.done.is_set(), request.responded) for request in transport.requests] == [(True, False)]
    del result
    if shell.kind == "trio":  # which warns of generators that are collected
        gc.collect()


@in_turn("answer", [Answer(EVENT, FIN), Answer(EVENT, RST), Answer(status=204)])
def test_answered(shell: Shell, answer: Answer) -> None:
    """A script that cuts the connection, or has no body, is played to its end, as on a socket."""
    transport = scripted_transport(answer)
    shell.read(URL, http={"transport": transport})
    assert [(request.done.is_set(), request.responded) for request in transport.requests] == [(True, True)]


@in_turn("answer", [Answer(FIN, framing="raw"), raw("no HTTP\r\n\r\n"), Answer(delay=inf)])
def test_done_without_a_head(shell: Shell, answer: Answer) -> None:
    """A request whose response fails before there is a head is done, as on a socket."""
    transport = scripted_transport(answer)
    assert shell.read(URL, http={"transport": transport}, retry=None).error is not None
    assert transport.requests[0].done.is_set()


@pytest.mark.parametrize(("framing", "status"), [("length", 200), ("chunked", 204)])
def test_calls_behind_the_body(shell: Shell, framing: Framing, status: int) -> None:
    """A callable after the last byte is called, as on a socket."""
    called = threading.Event()
    transport = scripted_transport(Answer(EVENT, called.set, status=status, framing=framing))
    shell.read(URL, http={"transport": transport})
    assert called.is_set()


def test_a_length_that_nobody_fills(shell: Shell) -> None:
    """If a body is shorter than its length, without FIN, the connection stays open until a clock, as on a socket."""
    answer = Answer(EVENT, headers={"Content-Length": "99"}, framing="length")
    assert on_both(shell, answer, timeout=only(read=0.1)).outcome == "timeout"


def test_a_server_that_is_not_there(shell: Shell) -> None:
    """An exception of a script's function is the client's error: a ConnectError is not ambiguous, and is retried."""

    def refuses(_: RecordedRequest) -> Answer:
        raise shell.library.ConnectError("refused")

    transport = scripted_transport(refuses, refuses, Answer(EVENT))
    with in_no_time():
        result = shell.read(URL, http={"transport": transport}, client={"retry": EVENLY})
    assert result.data == ["1"]
    assert gaps(transport.requests) == [0.5, 1]

    result = shell.read(URL, http={"transport": scripted_transport(refuses)}, retry=None)
    assert isinstance(result.error, ConnectionFailed)
    assert isinstance(result.error.__cause__, shell.library.ConnectError)
    assert not result.error.ambiguous


def test_a_connection_that_is_lost(shell: Shell) -> None:
    """A ReadError is ambiguous, wherever the script raises it; a POST is not sent again."""

    def loses(_: RecordedRequest) -> Answer:
        raise shell.library.ReadError("lost")

    def lose() -> None:
        raise shell.library.ReadError("lost")

    for script in (loses, Answer(lose)):
        transport = scripted_transport(script)
        result = shell.read(URL, http={"transport": transport})
        assert isinstance(result.error, ConnectionFailed | StreamInterrupted)
        assert "retry_ambiguous" in str(result.error)
        assert len(transport.requests) == 1


def test_a_mistake_in_a_script(shell: Shell) -> None:
    """Any other exception of a script comes out unchanged, from a function and from a step."""

    def fails(*_: RecordedRequest) -> Answer:
        raise ZeroDivisionError("mine")

    for script in (fails, Answer(EVENT, fails)):
        with pytest.raises(ZeroDivisionError, match="mine"):
            shell.read(URL, http={"transport": scripted_transport(script)})


CLOCKS: list[tuple[str, Answer, float]] = [
    ("response", Answer(delay=inf), HOUR),
    ("response", Answer(FOREVER, "HTTP/1.1 200 OK\r\n\r\n", framing="raw"), HOUR),
    ("read", Answer(FOREVER), HOUR),
    ("read", Answer(EVENT, Pause(HOUR - 1), ":", "", Pause(HOUR - 1), Pause(HOUR - 1)), 2 * HOUR - 1),
    ("first_event", Answer(*pings(), delay=100), HOUR + 100),
    ("first_event", Answer(Pause(100), "data: 1\n", FOREVER), HOUR),
    ("idle", Answer(Pause(2 * HOUR), EVENT, Pause(100), EVENT, *pings()), 3 * HOUR + 100),
    ("total", Answer(*again(1000, EVENT, Pause(15)), delay=100), HOUR),
    ("total", Answer(delay=inf), HOUR),
]


@in_turn(("clock", "answer", "seconds"), CLOCKS)
def test_clocks(shell: Shell, clock: str, answer: Answer, seconds: float) -> None:
    """Each clock runs out at its virtual time, without a real wait."""
    transport = scripted_transport(answer)
    with in_no_time():
        result = shell.read(URL, http={"transport": transport}, retry=None, timeout=only(**{clock: HOUR}))
    assert isinstance(result.error, ConnectionFailed if clock == "response" else StreamTimeout)
    assert result.error.clock == clock
    assert result.stream is not None
    assert result.stream.stats.duration == pytest.approx(seconds, abs=BEFORE)


@in_turn(
    ("clock", "answer", "seconds"),
    [
        ("response", Answer(EVENT, Pause(9 * HOUR), delay=HOUR - 1), 10 * HOUR - 1),
        ("read", Answer(*again(3, Pause(HOUR - 1), EVENT)), 3 * HOUR - 3),
        ("first_event", Answer(Pause(HOUR - 1), EVENT, Pause(9 * HOUR), delay=HOUR), 11 * HOUR - 1),
        ("idle", Answer(Pause(9 * HOUR), *again(3, EVENT, Pause(HOUR - 1))), 12 * HOUR - 3),
        ("total", Answer(EVENT, Pause(HOUR - 2)), HOUR - 2),
    ],
)
def test_clocks_that_are_kept_to(shell: Shell, clock: str, answer: Answer, seconds: float) -> None:
    """A server that is just in time fires no clock, and the stream's stats have its duration."""
    transport = scripted_transport(answer)
    with in_no_time():
        result = shell.read(URL, http={"transport": transport}, timeout=only(**{clock: HOUR}))
    assert result.error is None
    assert result.stream is not None
    assert result.stream.stats.duration == pytest.approx(seconds, abs=BEFORE)


def test_a_head_that_drips(shell: Shell) -> None:
    """The clock `response` is for the whole head, as on a socket."""
    lines: list[Step] = [step for number in range(9) for step in (f"X-{number}: 1\r\n", Pause(HOUR / 2))]
    transport = scripted_transport(raw(HEAD, *lines, "\r\n", EVENT))
    result = shell.read(URL, http={"transport": transport}, retry=None, timeout=only(response=HOUR))
    assert isinstance(result.error, ConnectionFailed)
    assert result.error.clock == "response"


def test_stats(shell: Shell) -> None:
    """All times of the stats are virtual."""
    answer = Answer(Pause(HOUR), EVENT, Pause(2 * HOUR), EVENT, delay=100)
    with in_no_time():
        stream = shell.read(URL, http={"transport": scripted_transport(answer)}, timeout=None).stream
    assert stream is not None
    stats = stream.stats
    times = (stats.time_to_headers, stats.time_to_first_event, stats.longest_gap, stats.duration)
    assert times == pytest.approx((100, HOUR + 100, 2 * HOUR, 3 * HOUR + 100), abs=BEFORE)


BUSY = Answer(status=503)
RETRIES: dict[str, tuple[list[Script], dict[str, Any], list[float]]] = {
    "backoff": ([BUSY, BUSY, Answer(EVENT)], {"retry": EVENLY}, [0.5, 1]),
    "limit": ([BUSY], {"retry": RetryPolicy(jitter=0, max_retries=7)}, [0.5, 1, 2, 4, 8, 8, 8]),
    "answers that take time": ([Answer(status=503, delay=100), Answer(EVENT)], {"retry": EVENLY}, [100.5]),
    "errors that stall": ([Answer("…", FOREVER, status=503), Answer(EVENT)], {"retry": EVENLY}, [5.5]),
    "Retry-After": (
        [Answer(status=429, headers={"Retry-After": "60"}), Answer(EVENT)],
        {"retry": EVENLY},
        [60],
    ),
    "retry-after-ms": (
        [Answer(status=429, headers={"Retry-After-Ms": "1500"}), Answer(EVENT)],
        {"retry": EVENLY},
        [1.5],
    ),
    "resume": ([Answer(EVENT, FIN), Answer(FIN)], {"resume": LastEventID()}, [1]),
    "resume, its end": (
        [Answer(EVENT, FIN), *[Answer(FIN)] * 5],
        {"resume": LastEventID()},
        [1, 2, 4, 8, 16],
    ),
    "resume, after a clock": (
        [Answer(EVENT, FOREVER), Answer("data: 2\n\n")],
        {"resume": LastEventID(), "timeout": only(idle=HOUR)},
        [HOUR + 1],
    ),
    "resume, as the server has it": (
        [Answer("retry: 5000\n", EVENT, FIN), Answer(FIN), Answer("data: 2\n\n")],
        {"resume": LastEventID()},
        [5, 10],
    ),
    "subscribe": ([Answer(EVENT), Answer(EVENT), Answer(status=204)], {"method": "SUBSCRIBE"}, [3, 3]),
    "subscribe, backoff": (
        [Answer(EVENT), *[BUSY] * 5, Answer(status=204)],
        {"method": "SUBSCRIBE"},
        [3, 6, 12, 24, 30, 30],
    ),
    "subscribe, as the server has it": (
        [Answer("retry: 86400000\n", EVENT, Pause(HOUR)), Answer(status=204)],
        {"method": "SUBSCRIBE", "timeout": None},
        [86_400 + HOUR],
    ),
}


@in_turn(("scripts", "options", "expected"), RETRIES.values(), ids=RETRIES)
def test_retries(shell: Shell, scripts: list[Script], options: dict[str, Any], expected: list[float]) -> None:
    """The delays between attempts pass in virtual time, and are seen in the times of the requests."""
    transport = scripted_transport(*scripts)
    with in_no_time():
        shell.read(URL, http={"transport": transport}, **options)
    assert gaps(transport.requests)[: len(expected)] == expected


def test_no_time_is_left_for_a_retry(shell: Shell) -> None:
    """Delays are a part of the total, in virtual time too."""
    transport = scripted_transport(Answer(status=503, headers={"Retry-After": "60"}))
    with in_no_time():
        result = shell.read(URL, http={"transport": transport}, retry=EVENLY, timeout=100)
    assert isinstance(result.error, StatusError)
    assert "the total of 100 s leaves no time" in str(result.error)
    assert gaps(transport.requests) == [60]


def test_behind_the_terminator(shell: Shell) -> None:
    """After its terminator a stream does not wait for the server, not even in virtual time."""
    transport = scripted_transport(Answer(EVENT, Pause(HOUR), EVENT))
    result = shell.read(URL, http={"transport": transport}, terminator=Terminator(data="1"))
    assert result.stream is not None
    assert (result.data, result.stream.outcome) == (["1"], "completed")
    assert result.stream.stats.duration == pytest.approx(0, abs=BEFORE)


def test_dispatch(shell: Shell) -> None:
    """Batches are delivered in virtual time too, complete and in order, however long the server takes."""
    numbers = [str(number) for number in range(50)]
    steps = [step for number in numbers for step in (f"data: {number}\n\n", Pause(HOUR))]
    transport = scripted_transport(Answer(*steps))
    on = Handlers()
    single: list[str] = []
    batched: list[str] = []

    @on("message")
    def take(event: ServerSentEvent) -> None:
        single.append(event.data)

    @on.batch("message", interval=2 * HOUR, max_items=7)
    def take_many(events: list[ServerSentEvent]) -> None:
        assert len(events) <= 7
        batched.extend(event.data for event in events)

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            stream = client.post(URL, timeout=None)
            stats = stream.dispatch(on) if isinstance(stream, EventStream) else await stream.dispatch(on)
            assert stats.duration == pytest.approx(50 * HOUR, abs=BEFORE)

    with in_no_time():
        shell.run(main)
    assert single == batched == numbers


@asynccontextmanager
async def closed_behind(reached: threading.Event, stream: EventStream | AsyncEventStream) -> AsyncIterator[None]:
    """Close a stream from another thread or task, a moment after its script has reached that point."""
    if isinstance(stream, EventStream):

        def close() -> None:
            reached.wait(5)
            time.sleep(SOON)
            stream.close()

        thread = threading.Thread(target=close)
        thread.start()
        yield
        thread.join()
    else:
        async with anyio.create_task_group() as tasks:

            async def aclose() -> None:
                while not reached.is_set():  # noqa: ASYNC110 - the script has no event loop
                    await anyio.sleep(0.001)
                await anyio.sleep(SOON)
                await stream.aclose()

            tasks.start_soon(aclose)
            yield


def test_a_batch_in_a_pause_without_end(shell: Shell) -> None:
    """The pending events of a timed batch are delivered even if nothing else ever happens."""
    on = Handlers()
    states: list[str] = []
    reached = threading.Event()
    transport = scripted_transport(Answer(EVENT * 3, reached.set, FOREVER))

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            stream = client.post(URL, timeout=None)
            on.batch("message", interval=0.01)(lambda _: states.append(stream.state))
            async with closed_behind(reached, stream):
                _ = stream.dispatch(on) if isinstance(stream, EventStream) else await stream.dispatch(on)

    shell.run(main)
    assert states == ["streaming", "streaming"]


@pytest.mark.parametrize("place", ["body", "head"])
def test_close(shell: Shell, place: str) -> None:
    """If a script pauses for ever and no clock runs, closing the stream ends it, as on a socket."""
    reached = threading.Event()
    transport = scripted_transport(
        Answer(EVENT, reached.set, FOREVER) if place == "body" else raw(reached.set, FOREVER)
    )
    data: list[str] = []

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            stream = client.post(URL, timeout=None)
            async with closed_behind(reached, stream), entered(stream) as reader:
                data.extend([event.data async for event in reader])
            assert stream.outcome == "cancelled"

    with in_no_time():
        shell.run(main)
    [request] = transport.requests
    assert not request.responded
    if place == "body":
        assert data == ["1"]
        assert request.done.is_set()


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["body", "head"])
async def test_cancellation(library: ModuleType, place: str) -> None:
    """A cancellation ends an endless pause, and closes the response."""
    scope = anyio.CancelScope()
    answer = Answer(EVENT, scope.cancel, FOREVER) if place == "body" else raw(scope.cancel, FOREVER)
    transport = scripted_transport(answer)
    async with library.AsyncClient(transport=transport) as http, AsyncSSEClient(http_client=http) as client:
        stream = client.post(URL, timeout=None)
        data = []
        with scope:
            async with stream:
                data += [event.data async for event in stream]
        assert scope.cancelled_caught
        assert stream.outcome == "cancelled"
    if place == "body":
        assert transport.requests[0].done.is_set()


@pytest.mark.parametrize("answer", [Answer(EVENT, FOREVER), Answer(EVENT, delay=inf)], ids=["body", "head"])
def test_nobody_would_end_it(library: ModuleType, answer: Answer) -> None:
    """A plain sync client without a timeout gets an error for an endless pause."""
    transport = scripted_transport(answer)
    with (
        library.Client(transport=transport, timeout=None) as client,
        pytest.raises(RuntimeError, match="pauses for ever"),
    ):
        client.post(URL)


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [Answer(EVENT, FOREVER), Answer(EVENT, delay=inf)], ids=["body", "head"])
async def test_a_task_waits(library: ModuleType, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain async client waits in an endless pause, because it can be cancelled; after a while it gets an error."""
    async with library.AsyncClient(transport=scripted_transport(answer), timeout=None) as client:
        with anyio.move_on_after(SOON) as scope:
            await client.post(URL)
        assert scope.cancelled_caught
        monkeypatch.setattr(_transport, "PATIENCE", SOON)
        with pytest.raises(RuntimeError, match="pauses for ever"):
            await client.post(URL)


@pytest.mark.parametrize("answer", [Answer(EVENT, FOREVER), Answer(EVENT, delay=inf)], ids=["body", "head"])
@pytest.mark.parametrize("timeout", [None, Timeouts(read=None, response=None)], ids=["none", "connect alone"])
def test_a_test_that_would_hang(
    shell: Shell, answer: Answer, timeout: Timeouts | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream without a clock that could run out gets an error for an endless pause, and is closed by it."""
    assert 1 <= _transport.PATIENCE <= 5
    monkeypatch.setattr(_transport, "PATIENCE", SOON)
    transport = scripted_transport(answer)
    streams: list[Any] = []

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            stream: Any = client.post(URL, timeout=timeout)
            streams.append(stream)
            async with entered(stream) as reader:
                async for _ in reader:
                    pass

    with pytest.raises(RuntimeError, match="the script pauses for ever, and nothing would end the pause: no timeout"):
        shell.run(main)
    assert streams[0].outcome == "abandoned"
    assert transport.requests[0].done.is_set()


def test_streams_at_once(shell: Shell) -> None:
    """Streams over one transport have separate times."""

    def slow(request: RecordedRequest) -> Answer:
        return Answer(EVENT, Pause(request.json() * HOUR), EVENT)

    transport = scripted_transport(slow)
    durations: dict[int, float] = {}

    def read(client: SSEClient, hours: int) -> None:
        with client.post(URL, json=hours, timeout=None) as stream:
            assert len(list(stream)) == 2
        durations[hours] = stream.stats.duration

    async def aread(client: AsyncSSEClient, hours: int) -> None:
        async with client.post(URL, json=hours, timeout=None) as stream:
            assert len([event async for event in stream]) == 2
        durations[hours] = stream.stats.duration

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            if isinstance(client, SSEClient):
                with ThreadPoolExecutor(10) as threads:
                    list(threads.map(read, [client] * 10, range(10)))
            else:
                async with anyio.create_task_group() as tasks:
                    for hours in range(10):
                        tasks.start_soon(aread, client, hours)

    with in_no_time():
        shell.run(main)
    assert durations == pytest.approx({hours: hours * HOUR for hours in range(10)}, abs=BEFORE)


def test_scripts_are_for_requests_in_their_order(shell: Shell) -> None:
    """Of several scripts each is for one request, even across streams."""
    transport = scripted_transport(Answer("data: 1\n\n"), Answer("data: 2\n\n"))
    results = [shell.read(URL, http={"transport": transport}, retry=None) for _ in range(3)]
    assert [result.data for result in results] == [["1"], ["2"], []]
    assert isinstance(results[2].error, StatusError)
    assert "no response for request 3" in str(results[2].error)


PIECES = [b"data: \xc3", b"\xa9\r", b"\n\r\n", b"x"]


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_plain_client(library: ModuleType, framing: Framing) -> None:
    """Any client reads a script in its pieces, and its pauses take no time."""
    transport = scripted_transport(Answer(*[step for piece in PIECES for step in (piece, Pause(4))], framing=framing))
    with in_no_time(), library.Client(transport=transport, timeout=5) as client:
        with client.stream("POST", URL, json=1) as response:
            assert list(response.iter_raw()) == PIECES
        assert client.get(URL).content == b"".join(PIECES)
    assert [request.method for request in transport.requests] == ["POST", "GET"]
    assert all(request.done.is_set() and request.responded for request in transport.requests)


@pytest.mark.anyio
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_a_plain_async_client(library: ModuleType, framing: Framing) -> None:
    """Any async client reads a script in its pieces, and its pauses take no time."""
    transport = scripted_transport(Answer(*[step for piece in PIECES for step in (piece, Pause(4))], framing=framing))
    with in_no_time():
        async with library.AsyncClient(transport=transport, timeout=5) as client:
            async with client.stream("POST", URL, json=1) as response:
                assert [piece async for piece in response.aiter_raw()] == PIECES
            assert (await client.get(URL)).content == b"".join(PIECES)


@pytest.mark.parametrize(
    ("answer", "received"),
    [
        (Answer("a", Pause(4), "b", Pause(4), Pause(0.5), Pause(1), "c"), b"ab"),
        (Answer("a", Pause(6), "b"), b"a"),
        (Answer("a", FOREVER, "b"), b"a"),
        (Answer("a", delay=6), b""),
    ],
    ids=["pauses", "pause", "for ever", "head"],
)
def test_a_plain_read_timeout(library: ModuleType, answer: Answer, received: bytes) -> None:
    """A client's own read timeout fires in virtual time if no byte comes for that long."""
    body = b""
    with (
        in_no_time(),
        library.Client(transport=scripted_transport(answer), timeout=5) as client,
        pytest.raises(library.ReadTimeout),
        client.stream("POST", URL) as response,
    ):
        for piece in response.iter_raw():
            body += piece
    assert body == received


@given(
    steps=st.lists(st.binary(max_size=30) | st.text(max_size=10) | st.just(Pause(100))),
    framing=st.sampled_from(["chunked", "length", "close"]),
)
def test_any_script(steps: list[Step], framing: Framing) -> None:
    """A client reads exactly the pieces that the script writes."""
    written = [step.encode() if isinstance(step, str) else step for step in steps if isinstance(step, bytes | str)]
    transport = scripted_transport(Answer(*steps, framing=framing))
    with httpx.Client(transport=transport, timeout=None) as client, client.stream("POST", URL) as response:
        assert list(response.iter_raw()) == [piece for piece in written if piece]


@pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
@respx.mock
def test_respx(kind: Literal["sync", "asyncio", "trio"]) -> None:
    """As the side effect of a mocked route, a script is played as usual, in virtual time."""
    shell = Shell(kind, httpx)
    transport = scripted_transport(BUSY, Answer(EVENT, Pause(HOUR), EVENT, FOREVER))
    route = respx.post(URL).mock(side_effect=transport)
    with in_no_time():
        result = shell.read(URL, json={"n": 1}, timeout=only(idle=2 * HOUR), client={"retry": EVENLY})
    assert result.data == ["1", "1"]
    assert isinstance(result.error, StreamTimeout)
    assert result.error.clock == "idle"
    assert result.error.stats is not None
    assert result.error.stats.duration == pytest.approx(0.5 + 3 * HOUR, abs=BEFORE)
    assert gaps(transport.requests) == [0.5]
    assert transport.requests[0].json() == {"n": 1}
    assert route.call_count == 2


@respx.mock
def test_respx_pieces() -> None:
    """Through respx the pieces of a script are kept apart."""
    respx.post(URL).mock(side_effect=scripted_transport(Answer(*PIECES)))
    with httpx.Client() as client, client.stream("POST", URL) as response:
        assert list(response.iter_raw()) == PIECES


@pytest.mark.anyio
async def test_respx_pieces_async() -> None:
    """Through respx the pieces of a script are kept apart in async too."""
    with respx.mock:
        respx.post(URL).mock(side_effect=scripted_transport(Answer(*PIECES)))
        async with httpx.AsyncClient() as client, client.stream("POST", URL) as response:
            assert [piece async for piece in response.aiter_raw()] == PIECES
