"""Which clock runs out, and when: pure functions. The tests of the shells show the clocks in real seconds."""

from math import inf
from typing import Any

import pytest

from sse_client import Timeouts
from sse_client._core.clocks import (
    CLOCK_TOLERANCE,
    MIN_TIMEOUT,
    at_most,
    connecting_clock,
    has_elapsed,
    read_timeout,
    reading_deadline,
    silence,
    total_deadline,
)
from sse_client._core.steps import Failure


def clocks(**seconds: float | None) -> Timeouts:
    """Timeouts with only these clocks."""
    off: dict[str, Any] = {"connect": None, "response": None, "read": None}
    return Timeouts(**{**off, **seconds})


@pytest.mark.parametrize(
    ("timeouts", "total", "has_event", "deadline"),
    [
        pytest.param(clocks(), inf, False, (inf, ""), id="none"),
        pytest.param(clocks(first_event=5), inf, False, (105.0, "first_event"), id="first-event"),
        pytest.param(clocks(first_event=5), inf, True, (inf, ""), id="first-event-has-come"),
        pytest.param(clocks(idle=7), inf, False, (inf, ""), id="idle-before-an-event"),
        pytest.param(clocks(idle=7), inf, True, (107.0, "idle"), id="idle"),
        pytest.param(clocks(total=9), 109.0, False, (109.0, "total"), id="total"),
        pytest.param(clocks(total=9, idle=7), 103.0, True, (103.0, "total"), id="total-first"),
        pytest.param(clocks(total=9, idle=7), 108.0, True, (107.0, "idle"), id="idle-first"),
        pytest.param(clocks(idle=inf), inf, True, (inf, ""), id="for-ever"),
    ],
)
def test_reading(timeouts: Timeouts, total: float, has_event: bool, deadline: tuple[float, str]) -> None:
    """While reading, the clock that runs out first is returned with its time."""
    assert reading_deadline(timeouts, total, 100.0, has_event) == deadline


def test_total() -> None:
    """The total runs from the first attempt."""
    assert total_deadline(clocks(total=9), 100.0) == 109.0
    assert total_deadline(clocks(), 100.0) == inf


SENT, UNSENT = Failure(None, "late", is_timeout=True), Failure(None, "late", was_sent=False, is_timeout=True)


@pytest.mark.parametrize(
    ("failure", "now", "clock"),
    [
        pytest.param(UNSENT, 105.0, "connect", id="connect"),
        pytest.param(UNSENT, 104.0, None, id="a-refused-connection-that-is-called-a-timeout"),
        pytest.param(UNSENT, 105.0 - CLOCK_TOLERANCE / 2, "connect", id="a-clock-that-differs-a-little"),
        pytest.param(Failure(None, "no", was_sent=False), 109.0, None, id="not-a-matter-of-time"),
        pytest.param(SENT, 105.0, None, id="not-yet"),
        pytest.param(SENT, 107.0, "response", id="response"),
        pytest.param(Failure(None, "late", is_deadline=True), 107.0, "response", id="ended-by-us"),
        pytest.param(SENT, 115.0, "total", id="total"),
        pytest.param(Failure(None, "no"), 115.0, "total", id="total-whatever-happened"),
    ],
)
def test_connecting(failure: Failure, now: float, clock: str | None) -> None:
    """Before the headers, our own time decides which clock has run out, not the client's exception."""
    timeouts = clocks(connect=5, response=7, total=15)
    assert connecting_clock(timeouts, failure, 100.0, 100.0, now) == clock


@pytest.mark.parametrize(
    ("timeouts", "left", "is_watched", "seconds"),
    [
        pytest.param(clocks(), inf, True, None, id="none"),
        pytest.param(clocks(read=5), 3.0, True, 5.0, id="watched"),
        pytest.param(clocks(read=5), 3.0, False, 3.0, id="total"),
        pytest.param(clocks(read=5), 0.0, False, MIN_TIMEOUT, id="never-zero"),
        pytest.param(clocks(first_event=2, idle=4), inf, False, 4.0, id="never-too-early"),
        pytest.param(clocks(first_event=2), inf, False, None, id="one-of-two"),
    ],
)
def test_read_timeouts(timeouts: Timeouts, left: float, is_watched: bool, seconds: float | None) -> None:
    """The transport's read timeout is the `read` clock, and also replaces the others if they are not watched."""
    assert read_timeout(timeouts, left, is_watched=is_watched) == seconds


@pytest.mark.parametrize(
    ("seconds", "left", "expected"),
    [(None, inf, None), (None, 3.0, 3.0), (5.0, inf, 5.0), (5.0, 3.0, 3.0), (5.0, 0.0, MIN_TIMEOUT)],
)
def test_at_most(seconds: float | None, left: float, expected: float | None) -> None:
    """A clock is at most the rest of the total, and never zero."""
    assert at_most(seconds, left) == expected


def test_elapsed() -> None:
    """A clock that is off, or has not started, never runs out."""
    assert has_elapsed(5.0, 100.0, 105.0)
    assert not has_elapsed(5.0, 100.0, 104.9)
    assert not has_elapsed(None, 100.0, 999.0)
    assert not has_elapsed(5.0, None, 999.0)


@pytest.mark.parametrize("clock", ["read", "first_event", "idle", "total"])
def test_words(clock: str) -> None:
    """Each clock that ends a stream has a text for its error, with its seconds."""
    assert "2.5 s" in silence(clocks(**{clock: 2.5}), clock)
