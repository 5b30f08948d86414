"""
Each clock fires at its time, whatever else happens; over real sockets, in real seconds.

A clock's test is mostly waiting, so all shells wait at once: a test here is one scenario, run by `everywhere`.
"""

import math
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from shells import PATIENCE, SHELLS, Run, Shell

from sse_client import (
    ConnectionFailed,
    EventStream,
    LastEventID,
    RetryPolicy,
    SSEError,
    StreamTimeout,
    Timeouts,
)
from sse_client.testing import Answer, EventServer, Pause, RecordedRequest

CLOCK = 0.3

# A slow machine may be late. No clock may be early, except for the moment between its start and the test's timestamp.
LATE = 0.35 * PATIENCE
EARLY = 0.01 * PATIENCE

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
FOREVER = Pause(math.inf)
EVENT = "id: 1\ndata: 1\n\n"


def only(**clocks: float) -> Timeouts:
    """Timeouts with the given clocks and no others."""
    return Timeouts(**{"connect": None, "response": None, "read": None, **clocks})


def drip(data: bytes, pieces: int = 200) -> list[Any]:
    """One byte every 10 ms, for longer than any clock here runs; the data is repeated for that."""
    return [step for number in range(pieces) for step in (data[number % len(data) :][:1], Pause(0.01))]


def every_10_ms(text: str, times: int = 200) -> list[Any]:
    return [text, Pause(0.01)] * times


def run(shell: Shell, url: str, **options: Any) -> Run:
    """Read a stream that is not retried."""
    return shell.read(url, **{"retry": None, **options})


def everywhere(
    url: str,
    handler: Callable[[], float] = lambda: 0.0,
    http: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Run]:
    """Run all shells at once."""

    def one(shell: Shell) -> Run:
        return run(shell, url, on_event=handler, http=http, **{"headers": {"X-Shell": str(shell)}, **options})

    with ThreadPoolExecutor(len(SHELLS)) as pool:
        return dict(zip(map(str, SHELLS), pool.map(one, SHELLS), strict=True))


def check_fired(runs: dict[str, Run], kind: type[SSEError], clock: str, mark: str) -> None:
    assert {name: type(run.error) for name, run in runs.items()} == dict.fromkeys(runs, kind)
    assert {name: getattr(run.error, "clock", None) for name, run in runs.items()} == dict.fromkeys(runs, clock)
    outcome = "timeout" if kind is StreamTimeout else "failed"
    assert {name: run.outcome for name, run in runs.items()} == dict.fromkeys(runs, outcome)
    seconds = {name: run.since(mark) for name, run in runs.items()}
    assert all(CLOCK - EARLY <= each < CLOCK + LATE for each in seconds.values()), seconds


def check_left_alone(runs: dict[str, Run], data: list[str]) -> None:
    assert {name: (run.error, run.outcome, run.data) for name, run in runs.items()} == dict.fromkeys(
        runs, (None, "completed", data)
    )


@contextmanager
def full_listener() -> Iterator[socket.socket]:
    """A listening socket whose queue is full, so that no further connection is accepted."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        time.sleep(0.05)
        yield listener
        for client in waiting:
            client.close()


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"


def test_connect() -> None:
    """
    A server that accepts no connection is given up at `connect`. It never got the request, so a retry would be safe.
    """
    with full_listener() as listener:
        runs = everywhere(url_of(listener), timeout=only(connect=CLOCK))
    check_fired(runs, ConnectionFailed, "connect", "start")
    for run in runs.values():
        assert isinstance(run.error, ConnectionFailed)
        assert not run.error.ambiguous


def test_connect_and_tls() -> None:
    """A server that never responds to the TLS handshake is given up at `connect` too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        runs = everywhere(url_of(listener, "https"), timeout=only(connect=CLOCK))
    check_fired(runs, ConnectionFailed, "connect", "start")
    for run in runs.values():
        assert isinstance(run.error, ConnectionFailed)
        assert not run.error.ambiguous


def test_response_never_accepted() -> None:
    """A connection that the system has accepted, but not the server, is given up at `response`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        runs = everywhere(url_of(listener), timeout=only(response=CLOCK))
    check_fired(runs, ConnectionFailed, "response", "start")


SLOW_HEADS = {
    "silence": [FOREVER],
    "one byte every 10 ms": drip(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 200),
    "a 103 every 10 ms": every_10_ms("HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@pytest.mark.parametrize("steps", SLOW_HEADS.values(), ids=SLOW_HEADS)
def test_response(steps: list[Any]) -> None:
    """
    `response` is for the whole head, not for each byte. The server has received the request, so the failure is
    ambiguous.
    """
    with EventServer(Answer(*steps, framing="raw")) as server:
        runs = everywhere(server.url, timeout=only(response=CLOCK))
        check_fired(runs, ConnectionFailed, "response", "start")
        for run in runs.values():
            assert isinstance(run.error, ConnectionFailed)
            assert run.error.ambiguous
        assert len(server.requests) == len(SHELLS)


@pytest.mark.parametrize("steps", SLOW_HEADS.values(), ids=SLOW_HEADS)
def test_total_before_the_headers(steps: list[Any]) -> None:
    """`total` also fires before the headers."""
    with EventServer(Answer(*steps, framing="raw")) as server:
        runs = everywhere(server.url, timeout=CLOCK)
        check_fired(runs, StreamTimeout, "total", "start")


def test_total_while_connecting() -> None:
    """`total` also fires while connecting."""
    with full_listener() as listener:
        runs = everywhere(url_of(listener), timeout=CLOCK)
    check_fired(runs, StreamTimeout, "total", "start")


def test_response_leaves_a_slow_body_alone() -> None:
    """After the headers, neither `connect` nor `response` runs any more."""
    with EventServer(Answer(EVENT, Pause(2 * CLOCK), "data: 2\n\n")) as server:
        check_left_alone(everywhere(server.url, timeout=only(connect=CLOCK, response=CLOCK)), ["1", "2"])


BODIES: dict[str, list[Any]] = {
    "silence": [FOREVER],
    "a comment every 10 ms": every_10_ms(": ping\n\n"),
    "one byte every 10 ms": drip(b"data: " + b"x" * 200),
    "blocks without data": every_10_ms("id: 7\nevent: e\n\n"),
}
NOT_SILENT = list(BODIES)[1:]
EVENTS = every_10_ms("data: more\n\n")


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("mark", ["open", "event"])
def test_read(mark: str, framing: Any) -> None:
    """`read` fires when no byte comes, before the first event and after it."""
    steps = [EVENT] if mark == "event" else []
    with EventServer(Answer(*steps, FOREVER, framing=framing)) as server:
        runs = everywhere(server.url, timeout=only(read=CLOCK))
        check_fired(runs, StreamTimeout, "read", mark)


@pytest.mark.parametrize("body", NOT_SILENT)
def test_read_is_fed_by_every_byte(body: str) -> None:
    """Any byte restarts `read`, whatever it is part of."""
    with EventServer(Answer(*BODIES[body][:100], "\n\ndata: end\n\n", "data: [DONE]\n\n")) as server:
        runs = everywhere(server.url, timeout=only(read=CLOCK))
    assert {(run.error, run.outcome) for run in runs.values()} == {(None, "completed")}
    assert all(run.data[-1] == "end" for run in runs.values())
    assert all(run.finished - run.opened > CLOCK for run in runs.values())


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("body", BODIES)
def test_first_event(body: str, framing: Any) -> None:
    """`first_event` fires if only other data comes, however much."""
    with EventServer(Answer(*BODIES[body], framing=framing)) as server:
        runs = everywhere(server.url, timeout=only(first_event=CLOCK))
        check_fired(runs, StreamTimeout, "first_event", "open")


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("body", BODIES)
def test_idle(body: str, framing: Any) -> None:
    """`idle` fires if no event follows another, however much other data comes."""
    with EventServer(Answer(EVENT, *BODIES[body], framing=framing)) as server:
        runs = everywhere(server.url, timeout=only(idle=CLOCK))
        check_fired(runs, StreamTimeout, "idle", "event")


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("body", [*BODIES, "events"])
def test_total(body: str, framing: Any) -> None:
    """`timeout=0.3` is for the whole call: it fires whatever comes, even events."""
    with EventServer(Answer(EVENT, *BODIES.get(body, EVENTS), framing=framing)) as server:
        runs = everywhere(server.url, timeout=CLOCK)
        check_fired(runs, StreamTimeout, "total", "start")
    for run in runs.values():
        assert run.data[:1] in (["1"], [])  # on a slow machine it may come too late
        assert isinstance(run.error, TimeoutError)
        assert isinstance(run.error, StreamTimeout)
        assert run.error.stats.events == len(run.events)


GZIP = zlib.compressobj(wbits=31)
COMPRESSED = GZIP.compress(EVENT.encode()) + GZIP.flush(zlib.Z_SYNC_FLUSH)
EMPTY_BLOCK = b"\0\0\0\xff\xff"  # RFC 1951, section 3.2.4


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize(
    ("clock", "mark", "steps"),
    [
        ("total", "start", [FOREVER]),
        ("total", "start", [COMPRESSED, FOREVER]),
        ("total", "start", [COMPRESSED, *[EMPTY_BLOCK, Pause(0.01)] * 200]),
        ("first_event", "open", [FOREVER]),
        ("first_event", "open", [COMPRESSED[:10], *[EMPTY_BLOCK, Pause(0.01)] * 200]),
        ("idle", "event", [COMPRESSED, FOREVER]),
        ("idle", "event", [COMPRESSED, *[EMPTY_BLOCK, Pause(0.01)] * 200]),
    ],
    ids=["total", "total-event", "total-blocks", "first_event", "first_event-blocks", "idle", "idle-blocks"],
)
def test_a_compressed_body(clock: str, mark: str, steps: list[Any], framing: Any) -> None:
    """Each clock also fires on a compressed body, during silence and during bytes that decompress to nothing."""
    with EventServer(Answer(*steps, headers={"Content-Encoding": "gzip"}, framing=framing)) as server:
        runs = everywhere(server.url, timeout=only(**{clock: CLOCK}))
    check_fired(runs, StreamTimeout, clock, mark)


def test_first_event_and_idle_have_their_times() -> None:
    """`first_event` stops with the first event, and `idle` starts with it."""
    first_late = Answer(Pause(2 * CLOCK), EVENT, "data: 2\n\n")
    second_late = Answer(EVENT, Pause(2 * CLOCK), "data: 2\n\n")
    with EventServer(first_late) as server:
        check_left_alone(everywhere(server.url, timeout=only(idle=CLOCK)), ["1", "2"])
    with EventServer(second_late) as server:
        check_left_alone(everywhere(server.url, timeout=only(first_event=CLOCK)), ["1", "2"])


def test_idle_is_fed_by_events() -> None:
    """Events that come in time do not fire a clock, even if they take longer than it in total."""
    steps = [step for number in range(5) for step in (f"data: {number}\n\n", Pause(CLOCK / 2))]
    with EventServer(Answer(*steps)) as server:
        runs = everywhere(server.url, timeout=only(first_event=CLOCK, idle=CLOCK))
    check_left_alone(runs, ["0", "1", "2", "3", "4"])


@pytest.mark.parametrize("clock", ["read", "first_event", "idle"])
def test_the_user_s_own_code_has_all_the_time(clock: str) -> None:
    """No clock but `total` runs while the user's code handles an event."""
    # The user takes 0.5 s for each event. The third event comes 0.2 s after the user is done with the second.
    with EventServer(Answer("data: 1\n\n", Pause(0.1), "data: 2\n\n", Pause(1.1), "data: 3\n\n")) as server:
        check_left_alone(everywhere(server.url, lambda: 0.5, timeout=only(**{clock: CLOCK})), ["1", "2", "3"])


def test_total_runs_while_the_user_is_busy() -> None:
    """`total` is for the whole call: a user who takes too long gets no further event."""
    with EventServer(Answer("data: 1\n\n", Pause(0.1), "data: 2\n\n", FOREVER)) as server:
        runs = everywhere(server.url, lambda: 2 * CLOCK, timeout=CLOCK)
    assert {(type(run.error), getattr(run.error, "clock", "")) for run in runs.values()} == {(StreamTimeout, "total")}
    assert all(run.data == ["1"] for run in runs.values())
    assert all(run.since("event") < 2 * CLOCK + LATE for run in runs.values())


def first_silent(request: RecordedRequest) -> Answer:
    """One event and then silence; on a resume after that event, the rest."""
    if request.headers.get("last-event-id") == "1":
        return Answer("data: 2\n\n")
    return Answer("retry: 1\n", EVENT, FOREVER)


@pytest.mark.parametrize("clock", ["read", "idle"])
def test_silence_is_resumed(clock: str) -> None:
    """A `read` or `idle` timeout is a fault of the connection, and is resumed like a cut."""
    with EventServer(first_silent) as server:
        runs = everywhere(server.url, timeout=only(**{clock: CLOCK}), resume=LastEventID())
        check_left_alone(runs, ["1", "2"])
        assert len(server.requests) == 2 * len(SHELLS)
    assert all(CLOCK <= run.finished - run.started < CLOCK + 2 * LATE for run in runs.values())


@pytest.mark.parametrize("clock", ["response", "read", "first_event"])
def test_silence_before_the_first_event_is_retried(clock: str) -> None:
    """Before the first event, a timeout is retried if the policy allows ambiguous retries."""
    seen: set[str] = set()

    def second_time(request: RecordedRequest) -> Answer:
        name = request.headers["x-shell"]
        if name in seen:
            return Answer(EVENT)
        seen.add(name)
        return Answer(FOREVER, framing="raw" if clock == "response" else "chunked")

    policy = RetryPolicy(retry_ambiguous=True, initial_delay=0, jitter=0)
    with EventServer(second_time) as server:
        check_left_alone(everywhere(server.url, timeout=only(**{clock: CLOCK}), retry=policy), ["1"])
        assert len(server.requests) == 2 * len(SHELLS)


def test_total_is_never_resumed() -> None:
    """After `total` has fired, there is no other request."""
    policy = RetryPolicy(retry_ambiguous=True, initial_delay=0, jitter=0)
    with EventServer(first_silent) as server:
        runs = everywhere(server.url, timeout=CLOCK, resume=LastEventID(), retry=policy)
        check_fired(runs, StreamTimeout, "total", "start")
        assert len(server.requests) == len(SHELLS)


def test_total_is_for_all_attempts() -> None:
    """`total` does not start again with another attempt."""
    policy = RetryPolicy(max_retries=None, initial_delay=0.02, max_delay=0.02, jitter=0)
    with EventServer(Answer(status=503)) as server:
        runs = everywhere(server.url, timeout=CLOCK, retry=policy)
        assert len(server.requests) > 2 * len(SHELLS)
    assert all(run.error is not None for run in runs.values())
    assert all(run.finished - run.started < CLOCK + LATE for run in runs.values())


def test_a_pause_longer_than_httpx_s_timeout() -> None:
    """httpx's default of 5 s does not apply to streams, neither before the headers nor between events."""
    head_late = Answer(Pause(5.5), HEAD, "data: 1\n\ndata: 2\n\n", framing="raw")
    body_late = Answer("data: 1\n\n", Pause(5.5), "data: 2\n\n")
    with EventServer(head_late) as one, EventServer(body_late) as other, ThreadPoolExecutor(2) as pool:
        for runs in pool.map(everywhere, [one.url, other.url]):
            check_left_alone(runs, ["1", "2"])
            assert all(run.finished - run.started >= 5.5 for run in runs.values())


def test_the_http_client_s_own_timeout() -> None:
    """The timeout of the user's HTTP client does not apply to streams."""
    answer = Answer(Pause(0.4), HEAD, "data: 1\n\n", Pause(0.4), "data: 2\n\n", framing="raw")
    with EventServer(answer) as server:
        check_left_alone(everywhere(server.url, http={"timeout": 0.2}), ["1", "2"])


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 1e10, 3e6])
def test_clocks_far_away(seconds: float) -> None:
    """Infinity switches a clock off, like `None`, and so does any number too large for the system to wait."""
    clocks = ["connect", "response", "read", "first_event", "idle", "total"]
    with EventServer(Answer(Pause(0.05), "data: 1\n\n", Pause(0.05), "data: 2\n\n")) as server:
        check_left_alone(everywhere(server.url, timeout=Timeouts(**dict.fromkeys(clocks, seconds))), ["1", "2"])
        for clock in clocks:
            check_left_alone(everywhere(server.url, timeout=only(**{clock: seconds})), ["1", "2"])


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 1e10])
def test_a_delay_far_away(shell: Shell, seconds: float) -> None:
    """A delay before a retry may be as long, and closing the stream ends it."""
    policy = RetryPolicy(initial_delay=seconds, max_delay=seconds, jitter=0)

    async def main() -> None:
        async with shell.any_client({"retry": policy}) as client:
            stream = client.post(server.url)
            if isinstance(stream, EventStream):
                timer = threading.Timer(0.05, stream.close)
                timer.start()
                assert list(stream) == []
                timer.join()
            else:
                async with anyio.create_task_group() as tasks:

                    async def close() -> None:
                        await anyio.sleep(0.05)
                        await stream.aclose()

                    tasks.start_soon(close)
                    async with stream:
                        pass
            assert stream.outcome == "cancelled"

    with EventServer(Answer(status=503)) as server:
        shell.run(main)
        assert len(server.requests) == 1


def test_no_clock_at_all() -> None:
    """`timeout=None` switches all clocks off."""
    with EventServer(Answer("data: 1\n\n", Pause(CLOCK), "data: 2\n\n")) as server:
        check_left_alone(everywhere(server.url, timeout=None), ["1", "2"])
