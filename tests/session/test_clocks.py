"""The clocks of an attempt and of a stream, without a clock."""

from math import inf

import pytest

from session.driver import (
    GET,
    POST,
    REFUSED,
    RESET,
    RESUME,
    START,
    TODAY,
    A,
    B,
    Item,
    Scene,
    answer,
    approx,
    clocks,
    event,
    ok,
    plan,
    rows,
    run,
    subscription,
)
from sse_client._core.clocks import MIN_TIMEOUT
from sse_client._core.plan import Plan
from sse_client._core.session import Session
from sse_client._core.steps import Connect, Failure, Read, Wait
from sse_client._errors import (
    ConnectionFailed,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
)
from sse_client._request import Request
from sse_client._retry import RetryPolicy
from sse_client._timeouts import Timeouts

CLOCKS = rows(
    ("read", clocks(read=10), (A, 11.0, B), "read", 10.0),
    ("read-comments-feed-it", clocks(read=10), (A, 8.0, b": ping\n", 8.0, b":\n", 8.0, B, 30.0), "read", 34.0),
    ("read-before-the-first-event", clocks(read=10), (11.0, A), "read", 10.0),
    ("first-event", clocks(first_event=10), (11.0, A), "first_event", 10.0),
    ("first-event-comments-do-not-feed-it", clocks(first_event=10), (b":\n", 6.0, b":\n", 6.0, A), "first_event", 10.0),
    ("first-event-ids-do-not-feed-it", clocks(first_event=10), (6.0, b"id: 1\n\n", 6.0, A), "first_event", 10.0),
    ("idle", clocks(idle=10), (30.0, A, 11.0, B), "idle", 40.0),
    ("idle-comments-do-not-feed-it", clocks(idle=10), (A, 6.0, b": ping\n\n", 6.0, B), "idle", 10.0),
    ("idle-named-events-feed-it", clocks(idle=10), (A, 6.0, b"event: ping\ndata\n\n", 6.0, B, 11.0), "idle", 22.0),
    ("idle-half-an-event-does-not-feed-it", clocks(idle=10), (A, 6.0, b"data: x\n", 6.0, b"\n"), "idle", 10.0),
    ("total", clocks(total=10), (A, 4.0, B, 4.0, A, 4.0, B), "total", 10.0),
    ("total-without-an-event", clocks(total=10), (b":\n", 6.0, b":\n", 6.0), "total", 10.0),
    ("the-first-of-several", clocks(total=10, idle=5, read=3), (A, 4.0), "read", 3.0),
    ("the-second-of-several", clocks(total=10, idle=5, read=30), (A, 6.0), "idle", 5.0),
)  # fmt: skip


@pytest.mark.parametrize(("timeouts", "body", "clock", "after"), CLOCKS)
def test_clocks(timeouts: Timeouts, body: tuple[Item, ...], clock: str, after: float) -> None:
    """Each clock measures its own silence, and its error names it."""
    result = run(plan(timeouts=timeouts, retry=None), ok(*body))
    error = result.failed(StreamTimeout)
    assert (error.clock, result.outcome) == (clock, "timeout")
    assert isinstance(error, TimeoutError)
    assert result.now - START == approx(after)


@pytest.mark.parametrize("timeouts", [clocks(), clocks(first_event=10, idle=10, read=10, total=1000)])
def test_a_stream_in_time(timeouts: Timeouts) -> None:
    """Clocks that do not run out change nothing, and clocks that are off never run."""
    result = run(plan(timeouts=timeouts), ok(9.0, A, 9.0, B, 9.0, b"data: c\n\n"))
    assert result.data == ["a", "b", "c"]


def test_clocks_that_are_off() -> None:
    """Without clocks there is no deadline, and a stream may be silent for ever."""
    result = run(plan(timeouts=Timeouts._of(None)), ok(1e9, A, 1e9, B))
    assert (result.data, result.session.deadline, result.session.has_deadlines) == (["a", "b"], inf, False)
    assert (result.connects[0].connect, result.connects[0].response) == (None, None)


@pytest.mark.parametrize("clock", ["idle", "first_event", "read"])
def test_the_users_own_code_takes_its_time(clock: str) -> None:
    """A clock that waits for data does not run while the user's code runs."""
    result = Scene(plan(timeouts=clocks(**{clock: 10})), ok(A + B, 5.0, b"data: c\n\n", 5.0))
    while result.next() is not None:
        result.now += 100.0
    assert (result.data, result.outcome) == (["a", "b", "c"], "completed")


def test_total_runs_while_the_user_works() -> None:
    """`total` is for the whole call. Events that were received before it ran out are still delivered."""
    result = Scene(plan(timeouts=clocks(total=10)), ok(A + B, b"data: c\n\n"))
    while result.next() is not None:
        result.now += 100.0
    assert (result.data, result.failed(StreamTimeout).clock) == (["a", "b"], "total")


@pytest.mark.parametrize("clock", ["read", "idle"])
def test_clocks_that_are_resumed(clock: str) -> None:
    """A `read` or `idle` timeout counts as a cut: the stream is resumed, and then the clock starts again."""
    result = run(plan(resume=RESUME, timeouts=clocks(**{clock: 10})), ok(event(1), 20.0), ok(8.0, event(2)))
    assert (result.data, result.ids) == (["1", "2"], [None, "1"])
    assert result.waits == approx([1.0])


def test_idle_after_a_resume() -> None:
    """On a resumed connection `idle` runs from the headers on. Attempts without an event are counted."""
    result = run(plan(resume=RESUME, timeouts=clocks(idle=10)), ok(event(1), 20.0), *[ok(20.0)] * 5)
    error = result.failed(StreamInterrupted)
    assert isinstance(error.__cause__, StreamTimeout)
    assert (error.__cause__.clock, len(result.connects)) == ("idle", 6)


@pytest.mark.parametrize(("request_", "connects"), [(POST, 1), (GET, 2)])
@pytest.mark.parametrize("clock", ["read", "first_event"])
def test_clocks_before_the_first_event(request_: Request, connects: int, clock: str) -> None:
    """Before the first event, silence after a 2xx is ambiguous: it is retried if that is safe."""
    result = run(plan(request_, timeouts=clocks(**{clock: 10})), ok(20.0, A), *[ok(A)] * (connects - 1))
    assert len(result.connects) == connects
    assert (result.outcome == "completed") is (connects == 2)


@pytest.mark.parametrize(
    "plan_", [plan(resume=RESUME, timeouts=clocks(total=10)), subscription(timeouts=clocks(total=10))]
)
def test_total_is_never_resumed(plan_: Plan) -> None:
    """After `total` has run out, there is no other attempt."""
    result = run(plan_, ok(event(1), 20.0))
    assert (result.failed(StreamTimeout).clock, len(result.connects)) == ("total", 1)


def test_total_counts_all_attempts() -> None:
    """`total` runs from the first attempt on, delays included."""
    result = run(plan(GET, timeouts=clocks(total=10)), REFUSED, REFUSED, ok(A, 9.0))
    assert result.failed(StreamTimeout).clock == "total"
    assert result.now - START == approx(10.0)


def test_total_leaves_no_time_for_another_attempt() -> None:
    """A delay that would end after `total` is not begun. The failure itself is raised, with the reason."""
    result = run(plan(timeouts=clocks(total=5)), answer(503, retry_after="6"))
    assert (result.waits, result.failed(StatusError).status_code) == ([], 503)
    assert "total of 5 s" in str(result.error)


def test_what_an_attempt_may_take() -> None:
    """An attempt has its own clocks, limited to the rest of `total`."""
    timeouts = Timeouts(connect=10, response=300, total=20)
    result = Scene(plan(timeouts=timeouts, retry=RetryPolicy(initial_delay=15, max_delay=15, jitter=0)), REFUSED, ok())
    result.to_end()
    first, second = result.connects
    assert (first.connect, first.response) == approx((10, 20))
    assert (second.connect, second.response) == approx((5, 5))


ATTEMPT_CLOCKS = rows(
    ("response", {"response": 30}, {"is_timeout": True}, 30.0, "response"),
    ("response-a-little-early", {"response": 30}, {"is_timeout": True}, 29.99, "response"),
    ("response-by-our-deadline", {"response": 30}, {"is_deadline": True}, 30.0, "response"),
    ("connect", {"connect": 5}, {"is_timeout": True, "was_sent": False}, 5.0, "connect"),
    ("refused-called-a-timeout", {"connect": 5}, {"is_timeout": True, "was_sent": False}, 0.1, None),
    ("no-timeout", {"response": 30}, {}, 10.0, None),
    ("clock-is-off", {}, {"is_timeout": True}, 1000.0, None),
    ("lost-shortly-before-total", {"total": 20}, {}, 19.0, None),
)


@pytest.mark.parametrize(("seconds", "failure", "after", "clock"), ATTEMPT_CLOCKS)
def test_clocks_of_an_attempt(
    seconds: dict[str, float], failure: dict[str, bool], after: float, clock: str | None
) -> None:
    """The clock that ended an attempt is determined by our time, not by the client's exception."""
    result = Scene(plan(timeouts=clocks(**seconds), retry=None))
    result.to(Connect)
    result.now += after
    result.session.not_responded(Failure(OSError("x"), "x", **failure), result.now)
    result.to_end()
    assert isinstance(result.error, ConnectionFailed)
    assert result.error.clock == clock
    assert result.outcome == "failed"


def test_total_before_the_headers() -> None:
    """If `total` runs out before the headers, that is a `StreamTimeout` too, and so a `TimeoutError`."""
    result = Scene(plan(timeouts=clocks(total=20)))
    result.to(Connect)
    result.now += 20.0
    result.session.not_responded(Failure(OSError("x"), "x", is_timeout=True), result.now)
    result.to_end()
    assert isinstance(result.error, StreamTimeout)
    assert isinstance(result.error, TimeoutError)
    assert (result.error.clock, result.outcome) == ("total", "timeout")


def test_total_during_a_resume() -> None:
    """If `total` runs out during a resume, that is a timeout of the stream."""
    result = Scene(plan(resume=RESUME, timeouts=clocks(total=20)), ok(event(1), RESET))
    result.to(Wait)
    result.now += 1.5
    assert isinstance(result.ask(), Connect)
    result.now = START + 20.0
    result.session.not_responded(Failure(TimeoutError(), "late", is_timeout=True), result.now)
    assert result.to_end().failed(StreamTimeout).clock == "total"


def test_a_timeout_that_is_none_of_ours() -> None:
    """A client's timeout before our clock has run out is a lost connection."""
    result = run(plan(timeouts=clocks(read=60)), ok(A, 5.0, Failure(TimeoutError(), "timed out", is_timeout=True)))
    assert result.outcome == "interrupted"


def test_the_deadline_moves() -> None:
    """The deadline of a read is that of the clock that runs out first, counted from the user's return."""
    result = Scene(plan(timeouts=clocks(first_event=5, idle=30, total=100)), ok(A, A, A))
    result.to(Read)
    assert result.session.deadline == approx(START + 5)
    result.do(Read())
    result.take(1)
    result.now += 50
    result.to(Read)
    assert result.session.deadline == approx(START + 80)
    result.now += 30
    result.session.received(B, result.now - 5)
    result.take(1)
    result.to(Read)
    assert result.session.deadline == approx(START + 100)


@pytest.mark.parametrize(
    ("timeouts", "watched", "unwatched"),
    [
        (Timeouts(), 300.0, 300.0),
        (Timeouts(read=None), None, None),
        (Timeouts(total=60.0), 300.0, 50.0),
        (Timeouts(total=600.0), 300.0, 300.0),
        (Timeouts(first_event=5.0, idle=20.0), 300.0, 20.0),
        (Timeouts(first_event=20.0, idle=5.0), 300.0, 20.0),
        (Timeouts(first_event=5.0), 300.0, 300.0),
        (Timeouts(idle=5.0), 300.0, 300.0),
        (Timeouts(total=10.0, read=None), None, MIN_TIMEOUT),
    ],
)
def test_read_timeout(timeouts: Timeouts, watched: float | None, unwatched: float | None) -> None:
    """If no watchdog watches the deadline, the read timeout replaces it, and is never too early."""
    session = Session(plan(timeouts=timeouts), random=lambda: 0.0, utc_now=lambda: TODAY)
    session.next_step(100.0)
    assert session.read_timeout(110.0, is_watched=True) == watched
    assert session.read_timeout(110.0, is_watched=False) == unwatched
