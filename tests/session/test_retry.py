"""Retries before the first event: which failures, how often, and after how long."""

import re
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest

from session.driver import (
    AMBIGUOUS_OK,
    BAD_URL,
    DONE,
    END,
    GET,
    HTML,
    JSON,
    KEY,
    NO_ANSWER,
    POST,
    REFUSED,
    RESET,
    RESUME,
    URL,
    A,
    Answer,
    B,
    Reply,
    answer,
    approx,
    event,
    ok,
    plan,
    rows,
    run,
    with_headers,
)
from sse_client._core.steps import Failure
from sse_client._errors import (
    ConnectionFailed,
    ContentTypeError,
    ErrorEventReceived,
    EventTooLarge,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)
from sse_client._marks import ErrorEvent
from sse_client._request import Request
from sse_client._retry import RetryPolicy
from sse_client._timeouts import Timeouts


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 506, 507, 508, 511, 529, 599])
def test_statuses_that_are_retried(status: int) -> None:
    """408, 409, 425, 429 and 5xx except 501 and 505 are retried, even for a POST."""
    result = run(plan(), answer(status, type=""), ok(A))
    assert (result.data, result.waits) == (["a"], approx([0.5]))


@pytest.mark.parametrize(
    "status", [300, 304, 400, 401, 402, 403, 404, 405, 406, 410, 413, 415, 422, 451, 499, 501, 505, 600]
)
def test_statuses_that_are_final(status: int) -> None:
    """Any other status is raised at once."""
    result = run(plan(), answer(status, type=""))
    assert (result.failed(StatusError).status_code, result.waits, result.outcome) == (status, [], "failed")


@pytest.mark.parametrize(
    ("status", "header", "is_retried"),
    [
        (404, "true", True),
        (400, "TRUE", True),
        (501, " true ", True),
        (503, "false", False),
        (429, "False", False),
        (503, "", True),
        (503, "maybe", True),
        (404, "maybe", False),
    ],
)
def test_x_should_retry(status: int, header: str, is_retried: bool) -> None:
    """`x-should-retry` overrides the status, both ways; other values are ignored."""
    result = run(plan(), answer(status, type="", x_should_retry=header), *[ok(A)] * is_retried)
    assert result.data == ["a"] * is_retried


def test_retries_are_counted() -> None:
    """There are two retries, after 0.5 and 1 s. Then the last error is raised, with the number of attempts."""
    result = run(plan(), answer(503), answer(502), answer(500))
    error = result.failed(StatusError)
    assert error.status_code == 500
    assert result.waits == approx([0.5, 1.0])
    assert str(error) == "POST http://test/chat returned 500; gave up after 3 attempts in 1.5 s"
    assert (error.stats.attempts, error.stats.duration) == (3, approx(1.5))


def test_one_attempt_is_not_counted() -> None:
    """The text of an error of the first attempt does not count attempts; its `stats` do."""
    error = run(plan(), answer(404, after=2.0)).failed(StatusError)
    assert str(error) == "POST http://test/chat returned 404"
    assert (error.stats.attempts, error.stats.duration) == (1, approx(2.0))


EVERY_END: list[tuple[dict[str, Any], tuple[Reply, ...], type[SSEError]]] = [
    ({}, (REFUSED, REFUSED, REFUSED), ConnectionFailed),
    ({}, (REFUSED, answer(404)), StatusError),
    ({}, (REFUSED, HTML), ContentTypeError),
    ({}, (REFUSED, ok(A, RESET)), StreamInterrupted),
    ({"terminator": DONE}, (REFUSED, ok(A)), StreamTruncated),
    ({"timeouts": Timeouts(idle=1)}, (REFUSED, ok(A, 5.0)), StreamTimeout),
    ({"timeouts": Timeouts(total=9)}, (REFUSED, ok(A, 50.0)), StreamTimeout),
    ({"errors": ErrorEvent(data="b")}, (REFUSED, ok(A, B)), ErrorEventReceived),
    ({"max_event_size": 10}, (REFUSED, ok(A, b"data: too large\n\n")), EventTooLarge),
    ({"resume": RESUME}, (REFUSED, ok(event(1), RESET), answer(404)), StreamInterrupted),
]


@pytest.mark.parametrize(
    ("options", "replies", "kind"), EVERY_END, ids=[f"{n}-{kind.__name__}" for n, (_, _, kind) in enumerate(EVERY_END)]
)
def test_every_error_knows_the_numbers(
    options: dict[str, Any], replies: tuple[Reply, ...], kind: type[SSEError]
) -> None:
    """Every error has the `stats` of its stream, and its text has the number of attempts if there were several."""
    result = run(plan(**options), *replies)
    error = result.failed(kind)
    attempts = len(result.connects)
    assert error.stats == result.session.stats(result.now)
    assert error.stats.attempts == attempts > 1
    assert str(error).endswith(f"; gave up after {attempts} attempts in {error.stats.duration:.1f} s")
    assert not hasattr(error, "__notes__")


def test_a_retry_knows_the_numbers() -> None:
    """An error that is retried has current stats too when it is passed to the hook."""
    told: list[tuple[int, int]] = []

    def on(attempt: int, error: SSEError) -> None:
        told.append((attempt, error.stats.attempts))

    run(plan(retry=RetryPolicy(on=on)), answer(503), REFUSED, answer(503))
    assert told == [(1, 1), (2, 2)]


def test_delays_double_up_to_the_most() -> None:
    """The delay is doubled for each failure in a row, up to `max_delay`."""
    result = run(plan(retry=RetryPolicy(max_retries=7, jitter=0.0)), *[REFUSED] * 7, ok(A))
    assert result.waits == approx([0.5, 1, 2, 4, 8, 8, 8])


@pytest.mark.parametrize(
    ("headers", "random", "delay"),
    [
        ({}, 0.0, 0.5),
        ({}, 0.25, 0.75),
        ({"retry_after": "3"}, 0.0, 3.0),
        ({"retry_after": "3"}, 0.5, 3.5),
        ({"retry_after": "0"}, 0.5, 1.0),
        ({"retry_after": "120"}, 0.5, 120.5),
        ({"retry_after": "Tue, 01 Jan 2030 12:00:10 GMT"}, 0.0, 10.0),
        ({"retry_after": "Tue, 01 Jan 2030 11:00:00 GMT"}, 0.0, 0.5),
        ({"retry_after": "soon"}, 0.0, 0.5),
        ({"retry_after_ms": "1500"}, 0.5, 2.0),
        ({"retry_after_ms": "1500", "retry_after": "60"}, 0.0, 1.5),
        ({"retry_after_ms": "x", "retry_after": "60"}, 0.0, 60.0),
    ],
)
def test_a_servers_delay(headers: dict[str, str], random: float, delay: float) -> None:
    """The server's delay is a minimum for ours, and jitter is added on top."""
    result = run(plan(retry=RetryPolicy()), with_headers(429, headers), ok(A), random=random)
    assert result.waits == approx([delay])


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "121"},
        {"retry_after": "9" * 400},
        {"retry_after_ms": "120001"},
        {"retry_after": "Tue, 01 Jan 2030 12:02:01 GMT"},
    ],
)
def test_a_servers_long_delay_is_not_waited_for(headers: dict[str, str]) -> None:
    """If the server asks for more than 120 s, the error is raised at once, with both numbers."""
    result = run(plan(), with_headers(429, headers))
    assert (result.waits, len(result.connects)) == ([], 1)
    said = re.search(
        r"; the server asked for a delay of (\S+) s, above the limit of 120 s$", str(result.failed(StatusError))
    )
    assert said is not None
    assert float(said[1]) > 120


@pytest.mark.parametrize(
    "date", ["Wed, 21 Oct 99999999999999999999 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 +99999999999999999999"]
)
def test_a_servers_absurd_date(date: str) -> None:
    """A date beyond the calendar is ignored."""
    assert run(plan(), answer(503, retry_after=date), ok(A)).waits == approx([0.5])


NO_HEADERS = Failure(TimeoutError("late"), "late", is_timeout=True)

AMBIGUITY = rows(
    ("post-refused", POST, {}, REFUSED, True),
    ("post-lost", POST, {}, NO_ANSWER, False),
    ("post-timed-out", POST, {}, NO_HEADERS, False),
    ("post-lost-after-2xx", POST, {}, ok(RESET), False),
    ("post-lost-after-comment", POST, {}, ok(b": ping\n\n", RESET), False),
    ("post-truncated-before-an-event", POST, {"terminator": DONE}, ok(), False),
    ("post-cut-in-first-event", POST, {}, ok(b"data: a\n"), False),
    ("post-allowed", POST, {"retry": AMBIGUOUS_OK}, NO_ANSWER, True),
    ("post-allowed-after-2xx", POST, {"retry": AMBIGUOUS_OK}, ok(RESET), True),
    ("post-with-key", POST, {"idempotency_key": KEY}, NO_ANSWER, True),
    ("post-with-key-after-2xx", POST, {"idempotency_key": KEY}, ok(RESET), True),
    ("post-resumable", POST, {"resume": RESUME}, ok(RESET), False),
    ("patch-lost", replace(POST, method="PATCH"), {}, NO_ANSWER, False),
    ("get-lost", GET, {}, NO_ANSWER, True),
    ("get-timed-out", GET, {}, NO_HEADERS, True),
    ("get-lost-after-2xx", GET, {}, ok(RESET), True),
    ("get-truncated-before-an-event", GET, {"terminator": DONE}, ok(), True),
    ("put-lost", replace(POST, method="PUT"), {}, NO_ANSWER, True),
    ("delete-lost", replace(POST, method="DELETE"), {}, ok(RESET), True),
    ("final", GET, {}, BAD_URL, False),
)


@pytest.mark.parametrize(("request_", "options", "reply", "is_retried"), AMBIGUITY)
def test_ambiguity(request_: Request, options: dict[str, Any], reply: Reply, is_retried: bool) -> None:
    """A request on which the server may have acted is sent again only if that is safe or allowed."""
    result = run(plan(request_, **options), reply, *[ok(END)] * is_retried)
    assert len(result.connects) == 1 + is_retried
    assert (result.outcome == "completed") is is_retried


def test_ambiguity_names_the_switches() -> None:
    """The error of an ambiguous failure says so, and names the options that allow a retry."""
    error = run(plan(), NO_ANSWER).failed(ConnectionFailed)
    assert error.ambiguous
    assert error.__cause__ is NO_ANSWER.cause
    assert "retry_ambiguous=True" in str(error)
    assert "idempotency_key_header=" in str(error)


def test_a_refused_connection_is_not_ambiguous() -> None:
    """If the request was never sent, the failure is not ambiguous, and no option is named."""
    error = run(plan(retry=None), REFUSED).failed(ConnectionFailed)
    assert not error.ambiguous
    assert error.clock is None
    assert str(error) == "POST http://test/chat got no response: refused"


def test_a_stream_lost_before_its_first_event_names_the_switches() -> None:
    """If the stream is lost after a 2xx but before an event, its error names the options too."""
    result = run(plan(), ok(b": hi\n\n", RESET))
    error = result.failed(StreamInterrupted)
    assert (error.stats.events, result.outcome) == (0, "interrupted")
    assert "retry_ambiguous=True" in str(error)


def test_the_idempotency_key_is_one() -> None:
    """All attempts of one call have the same key."""
    result = run(plan(idempotency_key=KEY), NO_ANSWER, answer(503), ok(A))
    assert [step.headers["Idempotency-Key"] for step in result.connects] == [b"k1"] * 3


@pytest.mark.parametrize(
    ("verdict", "reply", "is_retried"),
    [
        (True, answer(404), True),
        (True, JSON, True),
        (True, NO_ANSWER, True),
        (True, ok(RESET), True),
        (True, BAD_URL, True),
        (False, answer(503), False),
        (False, REFUSED, False),
        (None, answer(503), True),
        (None, answer(404), False),
        (None, NO_ANSWER, False),
    ],
)
def test_the_hook_decides(verdict: bool | None, reply: Reply, is_retried: bool) -> None:
    """`on` overrides the rules with True or False; None leaves the decision to them."""
    asked: list[tuple[int, SSEError]] = []

    def on(attempt: int, error: SSEError) -> bool | None:
        asked.append((attempt, error))
        return verdict

    result = run(plan(retry=RetryPolicy(jitter=0.0, on=on)), reply, *[ok(A)] * is_retried)
    assert result.data == ["a"] * is_retried
    assert [attempt for attempt, _ in asked] == [1]


def test_the_hook_sees_each_failure() -> None:
    """`on` gets the number of the failed attempt and its error, and cannot exceed `max_retries`."""
    asked: list[tuple[int, type[SSEError]]] = []

    def on(attempt: int, error: SSEError) -> bool:
        asked.append((attempt, type(error)))
        return True

    result = run(plan(retry=RetryPolicy(jitter=0.0, on=on)), answer(404), REFUSED, JSON)
    assert asked[:2] == [(1, StatusError), (2, ConnectionFailed)]
    assert (type(result.error), len(result.connects)) == (ContentTypeError, 3)


def test_the_hooks_exception_is_the_users() -> None:
    """An exception in `on` comes out unchanged."""

    def on(attempt: int, error: SSEError) -> bool:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(plan(retry=RetryPolicy(on=on)), REFUSED)


@pytest.mark.parametrize("reply", [REFUSED, answer(503), NO_ANSWER])
def test_no_policy_no_retry(reply: Reply) -> None:
    """With `retry=None` the first failure is final."""
    assert len(run(plan(GET, retry=None), reply).connects) == 1


@pytest.mark.parametrize("reply", [REFUSED, answer(503)])
@pytest.mark.parametrize(
    "body", [{"content": iter([b"x"])}, {"files": {"file": BytesIO(b"x")}}], ids=["iterator", "files"]
)
def test_a_body_that_is_used_up(body: dict[str, Any], reply: Reply) -> None:
    """A body that can be sent only once is not sent twice, and the error says so."""
    result = run(plan(Request(method="POST", url=URL, **body)), reply)
    assert len(result.connects) == 1
    assert "used up by one attempt" in str(result.error)


def test_a_body_that_is_used_up_is_no_excuse() -> None:
    """If there would be no retry anyway, the error does not mention the body."""
    result = run(plan(Request(method="POST", url=URL, content=iter([b"x"]))), answer(404))
    assert "used up" not in str(result.error)


@pytest.mark.parametrize("content", ["x", b"x"], ids=["text", "bytes"])
def test_a_body_of_text_or_bytes_is_sent_again(content: str | bytes) -> None:
    """Text and bytes can be sent any number of times."""
    result = run(plan(Request(method="POST", url=URL, content=content)), REFUSED, ok(A))
    assert [step.request.content for step in result.connects] == [content, content]


@pytest.mark.parametrize("reply", [JSON, HTML], ids=["json", "html"])
def test_a_first_answer_of_another_type_is_final(reply: Answer) -> None:
    """A first response that is not an event stream is final."""
    assert len(run(plan(GET), reply).connects) == 1
