"""
Which failures are worth another attempt, how often, and after how long.

Nothing here waits, draws a random number or looks at a clock: all that comes in as an argument, and the answer is a
number. `parse_delay` reads what the server asks for (RFC 9110, section 10.2.3, and two headers of OpenAI's).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar

from ._errors import SSEError

# A server that asks for more wants to be left alone; the caller should hear that at once.
MAX_SERVER_DELAY = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    How often to try again, and how long to wait before each time. Delays are in seconds.

    Which policy applies: before the first event the call's `retry=`, else the client's, else `RetryPolicy()`; from
    then on that of `resume=`, by default `RetryPolicy.RESUME`. A subscription has one for all of its life: that of
    `resume=` if one was given there, else the call's `retry=`, else `RetryPolicy.RECONNECT`; never the client's. To
    change one number and keep the others, write `dataclasses.replace(RetryPolicy.RECONNECT, max_delay=60.0)`.

    Retried are: no connection; the statuses 408, 409, 425, 429 and 5xx but 501 and 505; whatever a server marks
    with `x-should-retry: true`. A server's `retry-after-ms` or `Retry-After` is a floor under the delay; where it is
    above 120 s, the error is raised at once.
    """

    RESUME: ClassVar["RetryPolicy"]
    """The default of `resume=`: five attempts in a row, 1 s after the cut, up to 30 s."""
    RECONNECT: ClassVar["RetryPolicy"]
    """The default of a subscription: no limit of attempts, 3 s after the connection ends, up to 30 s."""

    max_retries: int | None = 2
    """Attempts after the first, or after the last that brought an event; `None` for no limit."""
    initial_delay: float = 0.5
    """The first delay; it is doubled for each failure in a row."""
    max_delay: float = 8.0
    """What the doubling ends at."""
    jitter: float = 1.0
    """Up to so many seconds are added at random, so that clients do not come back all at once."""
    retry_ambiguous: bool = False
    """Whether to send a POST again that the server may already have acted upon."""
    on: Callable[[int, SSEError], bool | None] | None = None
    """Asked before each retry with the number of the failed attempt (from 1) and its error: `True` tries again even
    where the rules would not, `False` never, `None` leaves it to them. It cannot pass `max_retries`."""

    def __post_init__(self) -> None:
        if self.max_retries is not None and self.max_retries < 0:
            raise ValueError(f"expected max_retries of 0 or more, or None, got {self.max_retries!r}")
        for name in ("initial_delay", "max_delay", "jitter"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} of 0 seconds or more, got {getattr(self, name)!r}")

    @classmethod
    def _of(cls, retry: object) -> "RetryPolicy | None":
        """Take a policy, or None for none; a number, which others mean by `retry`, is told how to say that."""
        if retry is None or isinstance(retry, cls):
            return retry
        hint = f"; write RetryPolicy(max_retries={retry!r})" if type(retry) is int else ""
        raise TypeError(f"expected RetryPolicy or None for retry, got {retry!r}{hint}")

    def _allows(self, retries: int) -> bool:
        """Whether there may be another retry after so many."""
        return self.max_retries is None or retries < self.max_retries

    def delay(
        self, failures: int, *, random: float, server_delay: float | None = None, initial_delay: float | None = None
    ) -> float:
        """
        Return the seconds to wait after so many failures in a row (from 1).

        `random` is a number from 0 to 1. `server_delay` is what the server asked for. `initial_delay` takes the
        place of the policy's own, where the stream has set a reconnection time.
        """
        first = self.initial_delay if initial_delay is None else initial_delay
        # A server's own reconnection time may well be above our limit: the doubling stops, the time stays.
        backoff = min(first * 2.0 ** min(failures - 1, 64), max(self.max_delay, first))
        return max(backoff, server_delay or 0.0) + self.jitter * random


# Without jitter: the server's own `retry` says when to resume, or to reconnect.
RetryPolicy.RESUME = RetryPolicy(max_retries=5, initial_delay=1.0, max_delay=30.0, jitter=0.0)
# 3 s as Chromium and Firefox have it.
RetryPolicy.RECONNECT = RetryPolicy(max_retries=None, initial_delay=3.0, max_delay=30.0, jitter=0.0)


def is_retryable(status_code: int) -> bool:
    """Whether the same request may be answered better next time."""
    return status_code in (408, 409, 425, 429) or (500 <= status_code < 600 and status_code not in (501, 505))


def server_wish(headers: Mapping[str, str]) -> bool | None:
    """What the server says itself of another attempt, in `x-should-retry`; it overrides the status."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def parse_delay(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how many seconds the server asks to be left alone, or `None` where it does not say, or not clearly."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:  # "-0000": in UTC, of nobody's zone
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _number(value: str | None) -> float | None:
    """Read digits, with a fraction or without; `float` alone would take "inf", "1_0" and "-1"."""
    digits = (value or "").strip()
    whole, _, fraction = digits.partition(".")
    if not (digits.isascii() and whole.isdigit() and (not fraction or fraction.isdigit())):
        return None
    return float(digits)
