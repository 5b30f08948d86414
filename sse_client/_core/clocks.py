"""
The clocks of a stream as pure functions: which one runs out first, and when.

They return the clock's name. The session makes the error, because only it knows how many events came before.
"""

from math import inf

from .._timeouts import Timeouts
from .steps import Failure

# Transports read a timeout of 0 as "at once" or as "never"; neither is meant.
MIN_TIMEOUT = 0.001

# The transport's clock differs a little from ours, and is rounded.
CLOCK_TOLERANCE = 0.01


def total_deadline(timeouts: Timeouts, started_at: float) -> float:
    """Return when the `total` of a stream runs out."""
    return inf if timeouts.total is None else started_at + timeouts.total


def reading_deadline(
    timeouts: Timeouts, total_deadline: float, waiting_since: float, has_event: bool
) -> tuple[float, str]:
    """Return the earliest deadline of the clocks that run while reading, and its clock; `""` if none runs."""
    seconds = timeouts.idle if has_event else timeouts.first_event
    if seconds is not None and waiting_since + seconds < total_deadline:
        return waiting_since + seconds, "idle" if has_event else "first_event"
    return total_deadline, "total" if total_deadline < inf else ""


def connecting_clock(
    timeouts: Timeouts, failure: Failure, started_at: float | None, attempted_at: float, now: float
) -> str | None:
    """
    Return the clock that ran out before the headers, or `None`.

    By our own time, because an HTTP client may report a refused connection as a timeout.
    """
    if has_elapsed(timeouts.total, started_at, now):
        return "total"
    name = "response" if failure.was_sent else "connect"
    seconds = timeouts.response if failure.was_sent else timeouts.connect
    is_time = failure.is_timeout or failure.is_deadline
    return name if is_time and has_elapsed(seconds, attempted_at, now) else None


def read_timeout(timeouts: Timeouts, left: float, *, is_watched: bool) -> float | None:
    """
    Return the transport's read timeout, which stays the same for the whole body.

    `left` is the rest of `total`. If no watchdog watches the deadlines, this one number also stands in for the other
    clocks: it may be late for them, but never early.
    """
    limits = [timeouts.read]
    if not is_watched:
        limits.append(at_most(None, left))
        if timeouts.first_event is not None and timeouts.idle is not None:
            limits.append(max(timeouts.first_event, timeouts.idle))
    return min((limit for limit in limits if limit is not None), default=None)


def at_most(seconds: float | None, left: float) -> float | None:
    """Return the timeout of a clock, limited by the rest of `total`."""
    if seconds is None:
        return None if left == inf else max(left, MIN_TIMEOUT)
    return max(min(seconds, left), MIN_TIMEOUT)


def has_elapsed(seconds: float | None, since: float | None, now: float) -> bool:
    """Whether a clock has run out. A clock that is switched off or has not started never runs out."""
    return seconds is not None and since is not None and now - since >= seconds - CLOCK_TOLERANCE


def seconds_of(timeouts: Timeouts, clock: str) -> float:
    """Return the duration of the clock of this name."""
    seconds: float = getattr(timeouts, clock)
    return seconds


def silence(timeouts: Timeouts, clock: str) -> str:
    """Return the text of the error for this clock."""
    seconds = seconds_of(timeouts, clock)
    return {
        "read": f"no byte came for {seconds:g} s",
        "first_event": f"no event came within {seconds:g} s of the headers",
        "idle": f"no event came for {seconds:g} s",
        "total": f"the stream was not over within {seconds:g} s",
    }[clock]
