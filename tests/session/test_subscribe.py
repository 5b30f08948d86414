"""A subscription reconnects until the server ends it."""

from typing import Any

import pytest

from session.driver import (
    BAD_URL,
    DONE,
    END,
    END_TEXT,
    ERROR,
    ERRORS,
    GONE,
    HTML,
    JSON,
    LAST,
    NO_ANSWER,
    REFUSED,
    RESET,
    URL,
    A,
    B,
    Reply,
    answer,
    approx,
    event,
    ok,
    rows,
    run,
    subscription,
)
from sse_client._errors import (
    ConnectionFailed,
    ContentTypeError,
    SSEError,
    StatusError,
)
from sse_client._marks import Terminator
from sse_client._retry import RetryPolicy


def test_a_subscription_goes_on() -> None:
    """A subscription reconnects even after a clean end, after 3 s and the last event. A 204 ends it."""
    result = run(subscription(), ok(event(1)), ok(event(2), RESET), ok(), GONE)
    assert (result.data, result.outcome, result.error) == (["1", "2"], "completed", None)
    assert result.ids == [None, "1", "2", "2"]
    assert result.waits == approx([3, 3, 3])


def test_a_subscription_has_no_limit_of_attempts() -> None:
    """However often it fails, a subscription reconnects, and an opened stream resets the delay."""
    result = run(subscription(), *[REFUSED] * 8, ok(), REFUSED, GONE)
    assert result.waits == approx([3, 6, 12, 24, 30, 30, 30, 30, 3, 6])


@pytest.mark.parametrize(
    "reply",
    [REFUSED, NO_ANSWER, answer(503), answer(429), answer(500), ok(RESET), ok(b"data: x"), ok(b": ping\n\n")],
)
def test_what_a_subscription_survives(reply: Reply) -> None:
    """No transient failure ends a subscription, neither before the first event nor after it."""
    assert run(subscription(), reply, ok(A), reply, ok(B), GONE).data == ["a", "b"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    rows(
        ("404", answer(404), StatusError),
        ("401", answer(401), StatusError),
        ("201", answer(201, A), StatusError),
        ("json", JSON, ContentTypeError),
        ("html", HTML, ContentTypeError),
        ("final-503", answer(503, x_should_retry="false"), StatusError),
        ("bad-url", BAD_URL, ConnectionFailed),
    ),
)
def test_what_ends_a_subscription(reply: Reply, kind: type[SSEError]) -> None:
    """A response that another attempt would not change ends a subscription at any time, and is raised as it is."""
    result = run(subscription(), ok(A), reply)
    assert (type(result.error), result.outcome) == (kind, "failed")


@pytest.mark.parametrize(
    ("field", "delays"),
    [("retry: 500\n", [0.5, 1.0, 2.0]), ("retry: 0\n", [0.05] * 3), ("retry: 60000\n", [60.0, 60.0, 60.0])],
)
def test_the_reconnection_time_of_a_subscription(field: str, delays: list[float]) -> None:
    """The server's `retry` replaces the 3 s, even from a block without data."""
    result = run(subscription(), ok(field.encode() + b"\n"), REFUSED, REFUSED, ok(), GONE)
    assert result.waits == approx([*delays, delays[0]])


def test_a_subscription_goes_on_from_where_the_user_was() -> None:
    """`last_event_id=` is sent until the stream has its own ID; an empty `id` clears it."""
    result = run(subscription(last_event_id="7"), ok(A), ok(event(8)), ok(b"id\n" + A), GONE)
    assert result.ids == ["7", "7", "8", None]


def test_a_block_of_an_id_alone_counts_in_a_subscription() -> None:
    """The next connection resumes after an ID without data, even before any event."""
    result = run(subscription(), ok(b"id: 5\n\n"), GONE)
    assert result.ids == [None, "5"]


def test_a_moved_subscription() -> None:
    """A subscription reconnects to the URL of the redirect, as a browser does."""
    result = run(subscription(), answer(302, location="/feed"), ok(A), REFUSED, ok(B), GONE)
    assert [step.request.url for step in result.connects] == [URL] + ["http://test/feed"] * 4


@pytest.mark.parametrize("options", [{}, {"pings": frozenset({"ping"})}, {"errors": ERRORS}, {"terminator": DONE}])
def test_done_in_a_subscription(options: dict[str, Any]) -> None:
    """
    In a subscription, `[DONE]` is an event like any other, as in a browser: it is delivered, and does not end the feed.
    """
    body = A + b"data: [DONE]\n\n" + B
    result = run(subscription(**options), ok(body), ok(b"data: [DONE]\n\n"), ok(b"data: [DONE]"), GONE)
    assert (result.data, result.outcome) == (["a", "[DONE]", "b", "[DONE]"], "completed")
    assert result.waits == approx([3, 3, 3])


@pytest.mark.parametrize("terminator", [LAST, DONE | LAST])
def test_done_that_ends_a_subscription(terminator: Terminator) -> None:
    """A subscription that requires `[DONE]` ends with it, and does not deliver it."""
    result = run(subscription(terminator=terminator), ok(A), ok(B + b"data: [DONE]\n\n" + A))
    assert (result.data, result.outcome) == (["a", "b"], "completed")


def test_an_ended_feed() -> None:
    """A terminator and error events end a subscription too."""
    result = run(subscription(terminator=DONE), ok(A), ok(A + END + B))
    assert (result.data, result.outcome) == (["a", "a", END_TEXT], "completed")
    assert run(subscription(errors=ERRORS), ok(A + ERROR)).outcome == "error_event"


def test_a_subscription_with_a_policy_of_its_own() -> None:
    """A policy of a subscription limits the failures in a row; an opened stream resets them."""
    policy = RetryPolicy(max_retries=2, initial_delay=1.0, jitter=0.0)
    result = run(subscription(retry=policy), REFUSED, ok(A), REFUSED, ok(B), REFUSED, REFUSED)
    assert (result.data, type(result.error)) == (["a", "b"], ConnectionFailed)
    assert result.waits == approx([1, 1, 2, 1, 2])
