"""
Which clock of a stream runs out, and when: pure functions of the timeouts and of times.

They name the clock. The session makes the error, since only it knows how far the stream has come.
"""

from math import inf

from .._timeouts import Timeouts
from .steps import Failure

# A transport takes 0 for "at once", or for "never"; neither is meant.
MIN_TIMEOUT = 0.001

# A transport's clock differs a little from ours, and rounds.
CLOCK_TOLERANCE = 0.01


def total_deadline(timeouts: Timeouts, started_at: float) -> float:
    """Return when the total of a stream runs out."""
    return inf if timeouts.total is None else started_at + timeouts.total


def reading_deadline(
    timeouts: Timeouts, total_deadline: float, waiting_since: float, has_event: bool
) -> tuple[float, str]:
    """Return when the first of the clocks that run while reading runs out, and which one it is, `""` for none."""
    seconds = timeouts.idle if has_event else timeouts.first_event
    if seconds is not None and waiting_since + seconds < total_deadline:
        return waiting_since + seconds, "idle" if has_event else "first_event"
    return total_deadline, "total" if total_deadline < inf else ""


def connecting_clock(
    timeouts: Timeouts, failure: Failure, started_at: float | None, attempted_at: float, now: float
) -> str | None:
    """
    Return which clock has run out before the headers, or `None`.

    By our own time: a client may call a refused connection a timeout.
    """
    if has_elapsed(timeouts.total, started_at, now):
        return "total"
    name = "response" if failure.was_sent else "connect"
    seconds = timeouts.response if failure.was_sent else timeouts.connect
    is_time = failure.is_timeout or failure.is_deadline
    return name if is_time and has_elapsed(seconds, attempted_at, now) else None


def read_timeout(timeouts: Timeouts, left: float, *, is_watched: bool) -> float | None:
    """
    Return the time without a byte after which the transport gives up, which it keeps for the whole of the body.

    `left` is what is left of the total. If the deadlines are not watched, this one number has to do for the other
    clocks too: it is never too early for them.
    """
    limits = [timeouts.read]
    if not is_watched:
        limits.append(at_most(None, left))
        if timeouts.first_event is not None and timeouts.idle is not None:
            limits.append(max(timeouts.first_event, timeouts.idle))
    return min((limit for limit in limits if limit is not None), default=None)


def at_most(seconds: float | None, left: float) -> float | None:
    """Return the time that a clock has, within what is left of the total."""
    if seconds is None:
        return None if left == inf else max(left, MIN_TIMEOUT)
    return max(min(seconds, left), MIN_TIMEOUT)


def has_elapsed(seconds: float | None, since: float | None, now: float) -> bool:
    """Return whether a clock has run out; one that is switched off or has not started never does."""
    return seconds is not None and since is not None and now - since >= seconds - CLOCK_TOLERANCE


def seconds_of(timeouts: Timeouts, clock: str) -> float:
    """Return how long the clock of that name runs."""
    seconds: float = getattr(timeouts, clock)
    return seconds


def silence(timeouts: Timeouts, clock: str) -> str:
    """Say what did not happen in time, for the text of an error."""
    seconds = seconds_of(timeouts, clock)
    return {
        "read": f"no byte came for {seconds:g} s",
        "first_event": f"no event came within {seconds:g} s of the headers",
        "idle": f"no event came for {seconds:g} s",
        "total": f"the stream was not over within {seconds:g} s",
    }[clock]
