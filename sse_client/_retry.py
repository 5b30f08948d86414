"""
The retry policy: the failures that are retried, how often, and after which delay.

Nothing here waits, draws a random number or reads a clock: these are arguments, and the result is a number.
`parse_delay` reads the delay that the server asks for (RFC 9110, section 10.2.3, and a header of OpenAI).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar

from ._errors import SSEError

# If a server asks for a longer delay, the user should learn that at once and not after minutes.
MAX_SERVER_DELAY = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    How often to retry, and how long to wait before each retry. Delays are in seconds.

    Before the first event, the call's `retry=` applies, or else the client's, or else `RetryPolicy()`. After it, the
    policy of `resume=` applies, by default `RetryPolicy.RESUME`. A subscription has one policy from first to last:
    that of `resume=` if one was given there, or else the call's `retry=`, or else `RetryPolicy.RECONNECT`; never the
    client's. To change one number and keep the others, write
    `dataclasses.replace(RetryPolicy.RECONNECT, max_delay=60.0)`.

    These failures are retried: no connection; the statuses 408, 409, 425, 429 and 5xx except 501 and 505; any response
    with `x-should-retry: true`. A server's `retry-after-ms` or `Retry-After` is a lower limit for the delay. If it is
    above 120 s, the error is raised at once.
    """

    RESUME: ClassVar["RetryPolicy"]
    """The default of `resume=`: up to five attempts in a row, the first after 1 s, delays up to 30 s."""
    RECONNECT: ClassVar["RetryPolicy"]
    """The default of a subscription: attempts without limit, the first after 3 s, delays up to 30 s."""

    max_retries: int | None = 2
    """The number of retries after the first attempt, or after the last one with an event; `None` for no limit."""
    initial_delay: float = 0.5
    """The first delay, in seconds; it doubles with each failure in a row."""
    max_delay: float = 8.0
    """Upper limit of the doubling, in seconds."""
    jitter: float = 1.0
    """Upper limit of a random time that is added to each delay, in seconds, so that clients do not reconnect all at the
    same moment."""
    retry_ambiguous: bool = False
    """Whether to send a POST again that the server may already have acted upon."""
    on: Callable[[int, SSEError], bool | None] | None = None
    """Called before each retry with the number of the failed attempt (from 1) and its error. `True` means to retry even
    if the rules would not, `False` not to retry, `None` to follow the rules. It cannot exceed `max_retries`."""

    def __post_init__(self) -> None:
        if self.max_retries is not None and self.max_retries < 0:
            raise ValueError(f"expected max_retries of 0 or more, or None, got {self.max_retries!r}")
        for name in ("initial_delay", "max_delay", "jitter"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} of 0 seconds or more, got {getattr(self, name)!r}")

    @classmethod
    def _of(cls, retry: object) -> "RetryPolicy | None":
        """Check a `retry` argument. The error for a number, which other libraries accept, says how to write it."""
        if retry is None or isinstance(retry, cls):
            return retry
        hint = f"; write RetryPolicy(max_retries={retry!r})" if type(retry) is int else ""
        raise TypeError(f"expected RetryPolicy or None for retry, got {retry!r}{hint}")

    def _allows(self, retries: int) -> bool:
        """Whether another retry is allowed after this number of them."""
        return self.max_retries is None or retries < self.max_retries

    def delay(
        self, failures: int, *, random: float, server_delay: float | None = None, initial_delay: float | None = None
    ) -> float:
        """
        Return the seconds to wait after this number of failures in a row (from 1).

        `random` is a number from 0 to 1. `server_delay` is the delay that the server asked for. `initial_delay`
        replaces the policy's own, for a stream that has set a reconnection time.
        """
        first = self.initial_delay if initial_delay is None else initial_delay
        # The server's reconnection time may be above our limit: then it is used, and does not double.
        backoff = min(first * 2.0 ** min(failures - 1, 64), max(self.max_delay, first))
        return max(backoff, server_delay or 0.0) + self.jitter * random


# Without jitter, because the server's `retry` says when to resume or reconnect.
RetryPolicy.RESUME = RetryPolicy(max_retries=5, initial_delay=1.0, max_delay=30.0, jitter=0.0)
# 3 s as in Chromium and Firefox.
RetryPolicy.RECONNECT = RetryPolicy(max_retries=None, initial_delay=3.0, max_delay=30.0, jitter=0.0)


def is_retryable(status_code: int) -> bool:
    """Whether the same request may succeed next time."""
    return status_code in (408, 409, 425, 429) or (500 <= status_code < 600 and status_code not in (501, 505))


def server_wish(headers: Mapping[str, str]) -> bool | None:
    """Return the value of `x-should-retry`, which overrides the rules for statuses; `None` without one."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def parse_delay(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the delay that the server asks for, in seconds, or `None` if it is missing or unclear."""
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
    if date.tzinfo is None:  # "-0000": UTC, with no information about the time zone
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _number(value: str | None) -> float | None:
    """Parse digits, with or without a fraction; `float` alone would accept "inf", "1_0" and "-1"."""
    digits = (value or "").strip()
    whole, _, fraction = digits.partition(".")
    if not (digits.isascii() and whole.isdigit() and (not fraction or fraction.isdigit())):
        return None
    return float(digits)
