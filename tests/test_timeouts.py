"""The clocks of a stream: their defaults, invalid values, and the meaning of a plain number."""

from dataclasses import FrozenInstanceError
from math import inf, nan
from typing import Any

import httpx
import pytest

from sse_client._timeouts import Timeouts

CLOCKS = ["connect", "response", "read", "first_event", "idle", "total"]
OFF = dict.fromkeys(CLOCKS)


def seconds(timeouts: Timeouts) -> dict[str, float | None]:
    return {name: getattr(timeouts, name) for name in CLOCKS}


def test_defaults() -> None:
    """By default a connection has 10 s, headers and silence 300 s each, and the other clocks are off."""
    assert seconds(Timeouts()) == {**OFF, "connect": 10.0, "response": 300.0, "read": 300.0}


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (Timeouts(idle=3), {"connect": 10.0, "response": 300.0, "read": 300.0, "idle": 3}),
        (30, {"connect": 10.0, "response": 300.0, "read": 300.0, "total": 30}),
        (0.5, {"connect": 10.0, "response": 300.0, "read": 300.0, "total": 0.5}),
        (None, {}),
    ],
)
def test_of(timeout: Timeouts | float | None, expected: dict[str, float]) -> None:
    """A number is the total, and the other clocks keep their defaults; `None` switches all clocks off."""
    assert seconds(Timeouts._of(timeout)) == {**OFF, **expected}


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("value", [0, -1, -0.5, nan, -inf, True, False, "5", [5]])
def test_what_is_refused(name: str, value: Any) -> None:
    """A value that is not a positive number is an error that names the clock."""
    with pytest.raises(ValueError, match=rf"for {name}, got "):
        Timeouts(**{name: value})


@pytest.mark.parametrize("value", [0, -1, nan])
def test_a_plain_number_is_checked_too(value: float) -> None:
    """A total that is not positive is an error as well."""
    with pytest.raises(ValueError, match="for total"):
        Timeouts._of(value)


@pytest.mark.parametrize("value", [httpx.Timeout(5), "5", (5, 5), True], ids=["httpx", "str", "tuple", "bool"])
def test_what_is_no_timeout(value: Any) -> None:
    """A timeout of another library is a TypeError that says what is expected."""
    with pytest.raises(TypeError, match=r"^expected seconds, an sse_client.Timeouts or None, got ") as caught:
        Timeouts._of(value)
    assert str(caught.value).endswith(repr(value))


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("value", [None, 1, 0.001, 1e10, 1e300, inf])
def test_what_is_taken(name: str, value: float | None) -> None:
    """Each clock accepts seconds, or `None` for off."""
    assert getattr(Timeouts(**{name: value}), name) == value


def test_a_value() -> None:
    """The clocks are a frozen value, and take keyword arguments only."""
    assert Timeouts(read=5) == Timeouts(read=5)
    with pytest.raises(FrozenInstanceError):
        Timeouts().read = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        Timeouts(5)  # type: ignore[call-arg, call-arg]
