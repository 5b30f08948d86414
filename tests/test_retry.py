"""Which failures are retried, how often and after how long: pure functions, as tables."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_client._retry import RetryPolicy, is_retryable, parse_delay, server_wish

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "failures", "arguments", "seconds"),
    [
        ({}, 1, {}, 0.5),
        ({}, 2, {}, 1.0),
        ({}, 3, {}, 2.0),
        ({}, 5, {}, 8.0),
        ({}, 6, {}, 8.0),
        ({}, 10_000, {}, 8.0),
        ({}, 1, {"random": 0.5}, 1.0),
        ({}, 1, {"random": 1.0}, 1.5),
        ({}, 9, {"random": 1.0}, 9.0),
        ({"jitter": 0.0}, 1, {"random": 1.0}, 0.5),
        ({"jitter": 4.0}, 1, {"random": 0.25}, 1.5),
        ({"initial_delay": 3.0, "max_delay": 5.0}, 1, {}, 3.0),
        ({"initial_delay": 3.0, "max_delay": 5.0}, 2, {}, 5.0),
        ({"initial_delay": 0.0}, 9, {}, 0.0),
        ({"max_delay": 0.1}, 1, {}, 0.5),
        ({}, 1, {"server_delay": 3.0}, 3.0),
        ({}, 1, {"server_delay": 3.0, "random": 0.5}, 3.5),
        ({}, 5, {"server_delay": 3.0}, 8.0),
        ({}, 1, {"server_delay": 0.0}, 0.5),
        ({}, 1, {"server_delay": 60.0}, 60.0),
        ({}, 1, {"initial_delay": 2.0}, 2.0),
        ({}, 2, {"initial_delay": 2.0}, 4.0),
        ({}, 1, {"initial_delay": 0.0}, 0.0),
        ({}, 1, {"initial_delay": 20.0}, 20.0),
        ({}, 2, {"initial_delay": 20.0}, 20.0),
        ({}, 1, {"initial_delay": 2.0, "server_delay": 3.0, "random": 1.0}, 4.0),
    ],
)
def test_delay(policy: dict[str, Any], failures: int, arguments: dict[str, float], seconds: float) -> None:
    """
    The delay doubles from `initial_delay` up to `max_delay`, but is at least the server's delay; jitter is added on
    top.
    """
    assert RetryPolicy(**policy).delay(failures, **{"random": 0.0, **arguments}) == seconds


@given(st.integers(1, 10**6), st.floats(0, 1), st.none() | st.floats(0, 120), st.none() | st.floats(0, 10**6))
def test_delays_are_bounded(
    failures: int, random: float, server_delay: float | None, initial_delay: float | None
) -> None:
    """A delay is never below the server's delay, and never above the largest bound plus the jitter."""
    delay = RetryPolicy().delay(failures, random=random, server_delay=server_delay, initial_delay=initial_delay)
    assert (server_delay or 0.0) <= delay <= max(8.0, server_delay or 0.0, initial_delay or 0.0) + 1.0


@pytest.mark.parametrize(
    ("max_retries", "allowed"), [(0, []), (1, [0]), (2, [0, 1]), (5, [0, 1, 2, 3, 4]), (None, list(range(9)))]
)
def test_allows(max_retries: int | None, allowed: list[int]) -> None:
    """`max_retries` is the number of retries that are allowed; `None` means no limit."""
    policy = RetryPolicy(max_retries=max_retries)
    assert [retries for retries in range(9) if policy._allows(retries)] == allowed


@pytest.mark.parametrize("name", ["initial_delay", "max_delay", "jitter"])
@pytest.mark.parametrize("seconds", [-1, -0.001, nan, -inf])
def test_wrong_seconds(name: str, seconds: float) -> None:
    """A delay that is negative or NaN is an error that names the argument."""
    delays: dict[str, Any] = {name: seconds}
    with pytest.raises(ValueError, match=f"expected {name} of 0 seconds or more, got {seconds!r}"):
        RetryPolicy(**delays)


def test_wrong_max_retries() -> None:
    """A negative number of retries is an error."""
    with pytest.raises(ValueError, match="expected max_retries of 0 or more, or None, got -1"):
        RetryPolicy(max_retries=-1)


def test_a_policy_is_a_value() -> None:
    """A policy is frozen, compares by value, and takes keyword arguments only."""
    assert RetryPolicy() == RetryPolicy(max_retries=2, initial_delay=0.5, max_delay=8.0, jitter=1.0)
    with pytest.raises(FrozenInstanceError):
        RetryPolicy().jitter = 0.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        RetryPolicy(3)  # type: ignore[call-arg]


def test_which_statuses_are_retried() -> None:
    """408, 409, 425, 429 and 5xx except 501 and 505 are retried."""
    retried = [status for status in range(100, 700) if is_retryable(status)]
    assert retried == [408, 409, 425, 429, *(status for status in range(500, 600) if status not in (501, 505))]


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        ("true", True),
        ("True", True),
        (" true", True),
        ("false", False),
        ("FALSE ", False),
        ("", None),
        ("1", None),
        ("yes", None),
        ("true, false", None),
    ],
)
def test_x_should_retry(header: str, verdict: bool | None) -> None:
    """`x-should-retry` is true or false; any other value is ignored."""
    assert server_wish(httpx.Headers({"X-Should-Retry": header})) is verdict


SECONDS = [
    ("0", 0.0),
    ("1", 1.0),
    (" 7 ", 7.0),
    ("007", 7.0),
    ("1.5", 1.5),
    ("120", 120.0),
    ("999999999", 999999999.0),
    ("9" * 400, inf),
    ("", None),
    ("  ", None),
    ("inf", None),
    ("Infinity", None),
    ("nan", None),
    ("-1", None),
    ("+1", None),
    ("1_0", None),
    ("1e3", None),
    ("0x10", None),
    (".", None),
    (".5", None),
    ("1.2.3", None),
    ("1,5", None),
    ("1 s", None),
    ("٣", None),
    ("²", None),
    ("soon", None),
    ("9" * 5000, inf),
]


@pytest.mark.parametrize(
    ("value", "seconds"), SECONDS, ids=[repr(value[:12]) + str(len(value)) for value, _ in SECONDS]
)
def test_seconds(value: str, seconds: float | None) -> None:
    """`Retry-After` is digits, with or without a fraction. Everything else that `float` would accept is ignored."""
    assert parse_delay({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"), SECONDS, ids=[repr(value[:12]) + str(len(value)) for value, _ in SECONDS]
)
def test_milliseconds(value: str, seconds: float | None) -> None:
    """`retry-after-ms` is parsed in the same way, in milliseconds."""
    found = parse_delay({"retry-after-ms": value}, NOW)
    assert found == (None if seconds is None else seconds / 1000)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Tue, 01 Jan 2030 12:00:30 GMT", 30.0),
        ("Tue, 01 Jan 2030 12:00:00 GMT", 0.0),
        ("Tue, 01 Jan 2030 13:00:30 +0100", 30.0),
        ("Tue, 01 Jan 2030 12:00:30 -0000", 30.0),
        ("Tuesday, 01-Jan-30 12:00:30 GMT", 30.0),
        ("Tue, 01 Jan 2030 11:59:59 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Wed, 02 Jan 2030 12:00:00 GMT", 86400.0),
        ("Tue, 32 Jan 2030 12:00:30 GMT", None),
        ("Tue, 01 Foo 2030 12:00:30 GMT", None),
        ("Tue, 01 Jan 2030 25:00:30 GMT", None),
        ("2030-01-01T12:00:30Z", None),
        ("tomorrow", None),
        ("Tue, 01 Jan 99999 12:00:00 GMT", None),
        ("Tue, 01 Jan 99999999999999999999 12:00:00 GMT", None),
        ("Tue, 01 Jan 2030 12:00:00 +9999999999999999999999", None),
        ("Tue, 01 Jan " + "9" * 5000 + " 12:00:00 GMT", None),
        (",", None),
        ("\x00", None),
    ],
    ids=lambda value: repr(value[:50]) if isinstance(value, str) else str(value),
)
def test_dates(value: str, seconds: float | None) -> None:
    """`Retry-After` may be an HTTP date. A date in the past means no delay, and an impossible one is ignored."""
    assert parse_delay({"retry-after": value}, NOW) == seconds


@given(st.text(st.characters(codec="latin-1"), max_size=60))
def test_no_header_raises(value: str) -> None:
    """Whatever the server sends in these headers, the result is a number of seconds or `None`."""
    for name in ("retry-after", "retry-after-ms"):
        found = parse_delay({name: value}, NOW)
        assert found is None or found >= 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "60"}, 1.5),
        ({"Retry-After-Ms": "0", "Retry-After": "60"}, 0.0),
        ({"Retry-After-Ms": "soon", "Retry-After": "60"}, 60.0),
        ({"Retry-After-Ms": "", "Retry-After": "60"}, 60.0),
        ({"Retry-After-Ms": "-5", "Retry-After": "later"}, None),
    ],
)
def test_which_header_counts(headers: dict[str, str], seconds: float | None) -> None:
    """`retry-after-ms` takes precedence over `Retry-After`, unless it is invalid."""
    assert parse_delay(httpx.Headers(headers), NOW) == seconds
