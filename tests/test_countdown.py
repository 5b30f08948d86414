"""The clocks of a request up to its headers: which of them apply in each phase, and when they run out."""

from math import inf

import pytest

from sse_client._core.countdown import Countdown

# Each phase begins this many seconds after the one before it.
STEP = 2.0


def deadlines(connect: float | None, response: float | None, total: float, phases: str) -> list[float]:
    """Go through the phases: (w)ait for a connection, (c)onnect, (s)end. Return the deadline in each."""
    countdown = Countdown(connect, response, total)
    now = 0.0
    seen: list[float] = []
    for phase in phases:
        match phase:
            case "w":
                countdown.wait_for_connection(now)
            case "c":
                countdown.connect()
            case _:
                countdown.send(now)
        assert countdown.left(now) == countdown.deadline - now
        seen.append(countdown.deadline)
        now += STEP
    return seen


@pytest.mark.parametrize(
    ("connect", "response", "total", "phases", "expected"),
    [
        (5, 20, inf, "wcs", [25, 5, 24]),
        (5, 20, inf, "ws", [25, 22]),
        (5, 20, inf, "wccs", [25, 5, 5, 26]),
        (5, 20, 15, "wcs", [15, 5, 15]),
        (5, 20, 3, "wcs", [3, 3, 3]),
        (None, 20, inf, "wcs", [inf, inf, 24]),
        (5, None, inf, "wcs", [inf, 5, inf]),
        (None, None, 9, "wcs", [9, 9, 9]),
        (5, 20, inf, "wcswcs", [25, 5, 24, 31, 11, 30]),
    ],
    ids=[
        "all phases",
        "a connection that is there",
        "a handshake shares the clock",
        "total cuts the response",
        "total cuts all",
        "no connect",
        "no response",
        "total alone",
        "a second request, of auth",
    ],
)
def test_deadlines(connect: float, response: float, total: float, phases: str, expected: list[float]) -> None:
    """Each phase has its own clock. Both apply until the next phase is known, and the total always does."""
    assert deadlines(connect, response, total, phases) == expected


@pytest.mark.parametrize(("total", "expected"), [(inf, (4, 20)), (10, (4, 9)), (3, (2, 2))])
def test_limits_of_the_transport(total: float, expected: tuple[float, float]) -> None:
    """The transport's limits are the rest of each clock, within the total."""
    countdown = Countdown(5, 20, total)
    countdown.wait_for_connection(0.0)
    assert (countdown.left_to_connect(1.0), countdown.left_to_respond(1.0)) == expected
