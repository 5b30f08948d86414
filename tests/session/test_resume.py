"""Resuming after the first event: after which ID, how often, and at which URL."""

from dataclasses import replace
from typing import Any

import pytest

from session.driver import (
    AMBIGUOUS_OK,
    BAD_URL,
    DONE,
    END_TEXT,
    GET,
    GONE,
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
    B,
    Item,
    Reply,
    answer,
    approx,
    event,
    events,
    ok,
    plan,
    rows,
    run,
)
from sse_client._core.phases import Outcome
from sse_client._errors import (
    ConnectionFailed,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTruncated,
)
from sse_client._request import Request
from sse_client._resume import Cursor, LastEventID
from sse_client._retry import RetryPolicy


@pytest.mark.parametrize("request_", [POST, GET, replace(POST, method="PUT")], ids=["post", "get", "put"])
@pytest.mark.parametrize("options", [{}, {"retry": AMBIGUOUS_OK}, {"idempotency_key": KEY}])
def test_never_a_silent_replay(request_: Request, options: dict[str, Any]) -> None:
    """After the first event, without `resume=`, no request is sent again, whatever the retry policy says."""
    result = run(plan(request_, **options), ok(event(1), RESET))
    assert (result.data, result.outcome, len(result.connects)) == (["1"], "interrupted", 1)


RESUMED_IDS = rows(
    ("last-event", (events(1, 2), RESET), "2"),
    ("cut-in-an-event", (events(1, 2) + b"id: 3\ndata: 3\n", RESET), "2"),
    ("truncated", (events(1) + b"id: 2\ndata: 2",), "1"),
    ("event-without-id", (events(1) + A, RESET), "1"),
    ("id-alone-in-the-piece", (events(1) + b"id: 2\n\n", RESET), "2"),
    ("id-alone-in-a-piece-of-its-own", (events(1), b"id: 2\n\n", RESET), "2"),
    ("ids-alone", (events(1), b"id: 2\n\n", b": ping\n\n", b"id: 3\n\n", RESET), "3"),
    ("id-alone-unfinished", (events(1), b"id: 2\n", RESET), "1"),
    ("id-first", (b"id: 9\n\n" + A, RESET), "9"),
    ("id-with-nul", (events(1) + b"id: \0\n" + A, RESET), "1"),
    ("id-beyond-ascii", (event("é☃"), RESET), "é☃"),
    ("id-with-outer-blanks", (event(" a b\t"), RESET), "a b"),
)


@pytest.mark.parametrize(("body", "sent"), RESUMED_IDS)
def test_the_id_that_a_resume_sends(body: tuple[Item, ...], sent: str) -> None:
    """A resume sends the ID of the last event, or block with only an ID, that the user has finished."""
    result = run(plan(resume=RESUME), ok(*body), ok(b"data: end\n\n"))
    assert result.ids == [None, sent]
    assert (result.outcome, result.data[-1]) == ("completed", "end")


@pytest.mark.parametrize(
    "body",
    [(A, RESET), (event(1) + b"id:\n" + A, RESET), (event(1) + b"id\n\n", RESET), (event(" "), RESET)],
    ids=["never", "cleared", "cleared-alone", "blank"],
)
def test_no_id_no_resume(body: tuple[Item, ...]) -> None:
    """Without an ID there is nothing to resume after: the stream is interrupted, and the error says why."""
    result = run(plan(resume=RESUME), ok(*body))
    assert (result.outcome, len(result.connects)) == ("interrupted", 1)
    assert "no event ID" in str(result.error)


def test_an_id_of_another_stream_is_no_place_to_go_on() -> None:
    """The user's `last_event_id=` is not resumed after: that would repeat events."""
    result = run(plan(resume=RESUME, last_event_id="7"), ok(A, RESET))
    assert (result.outcome, result.ids, result.data) == ("interrupted", ["7"], ["a"])


def test_the_users_id_goes_with_each_attempt() -> None:
    """`last_event_id=` is sent with the first request and its retries, until the stream has an ID."""
    result = run(plan(resume=RESUME, last_event_id="7"), REFUSED, ok(event(8), RESET), ok(A))
    assert result.ids == ["7", "7", "8"]


@pytest.mark.parametrize("resume", [None, Cursor(0, lambda cursor, _: cursor, lambda _, request: request)])
def test_the_users_id_without_a_resume_by_id(resume: Any) -> None:
    """`last_event_id=` is sent whether or not the stream is resumed by ID."""
    assert run(plan(resume=resume, last_event_id="7"), REFUSED, ok(A)).ids == ["7", "7"]


def test_an_event_without_an_id_has_the_users() -> None:
    """An event without an ID has the user's ID, or the last one of the connection before, as in browsers."""
    result = run(plan(resume=RESUME, last_event_id="7"), ok(A, event(8), RESET), ok(B))
    assert [event.id for event in result.events] == ["7", "8", "8"]


FAILED_ATTEMPTS = rows(
    ("refused", REFUSED),
    ("lost", NO_ANSWER),
    ("503", answer(503)),
    ("429", answer(429)),
    ("json", JSON),
    ("html", HTML),
    ("cut-at-once", ok(RESET)),
    ("comment-then-cut", ok(b": ping\n\n", RESET)),
    ("retry-then-cut", ok(b"retry: 1000\n\n", RESET)),
    ("unfinished", ok(b"id: 99\ndata: x\n")),
)


@pytest.mark.parametrize("reply", FAILED_ATTEMPTS)
def test_a_failed_attempt_is_no_data(reply: Reply) -> None:
    """A failed attempt adds neither data nor an ID. The next one sends the same ID, after twice the delay."""
    result = run(plan(resume=RESUME, terminator=DONE), ok(events(1, 2), RESET), reply, ok(event(3, END_TEXT)))
    assert result.ids == [None, "2", "2"]
    assert result.data == ["1", "2", END_TEXT]
    assert result.waits == approx([1.0, 2.0])


@pytest.mark.parametrize(
    ("reply", "kind"),
    rows(
        ("404", answer(404), StatusError),
        ("401", answer(401), StatusError),
        ("501", answer(501), StatusError),
        ("503-said-final", answer(503, x_should_retry="false"), StatusError),
        ("bad-url", BAD_URL, ConnectionFailed),
        ("redirect-to-another-origin", answer(307, location="http://other/"), StatusError),
    ),
)
def test_an_answer_that_ends_a_resume(reply: Reply, kind: type[SSEError]) -> None:
    """If another attempt would not help, the stream is interrupted, and the response is the cause."""
    result = run(plan(resume=RESUME), ok(events(1, 2), RESET), reply)
    error = result.failed(StreamInterrupted)
    assert (type(error.__cause__), result.outcome, len(result.connects)) == (kind, "interrupted", 2)
    assert (error.last_event_id, error.stats.events) == ("2", 2)
    assert str(error).endswith("; gave up after 2 attempts in 1.0 s")


@pytest.mark.parametrize(
    ("options", "outcome", "kind"),
    [({}, "completed", None), ({"terminator": DONE}, "truncated", StreamTruncated)],
)
def test_204_to_a_resume(options: dict[str, Any], outcome: Outcome, kind: type[SSEError] | None) -> None:
    """A 204 to a resume means that nothing more comes: completed, or truncated if a terminator is required."""
    result = run(plan(resume=RESUME, **options), ok(event(1), RESET), GONE)
    assert result.outcome == outcome
    assert (None if result.error is None else type(result.error)) is kind


def test_attempts_of_a_resume_are_counted_in_a_row() -> None:
    """There are five attempts in a row, after 1, 2, 4, 8 and 16 s. Then the last failure is the cause."""
    result = run(plan(resume=RESUME), ok(event(1), RESET), *[REFUSED] * 5)
    error = result.failed(StreamInterrupted)
    assert result.waits == approx([1, 2, 4, 8, 16])
    assert isinstance(error.__cause__, ConnectionFailed)
    assert str(error).endswith("; gave up after 6 attempts in 31.0 s")
    assert (error.stats.attempts, error.stats.connections) == (6, 1)


def test_only_an_event_resets_the_count() -> None:
    """Only an event resets the count of failures; an opened stream, a comment or an ID alone does not."""
    empty = ok(b"id: 2\n\n: ping\n\n", RESET)
    result = run(plan(resume=RESUME), ok(event(1), RESET), *[empty] * 3, ok(event(3), RESET), *[empty] * 5)
    assert result.outcome == "interrupted"
    assert result.waits == approx([1, 2, 4, 8, 1, 2, 4, 8, 16])


def test_progress_never_runs_out() -> None:
    """A stream that is cut after each event is read to its end."""
    replies = [ok(event(number), RESET) for number in range(1, 40)]
    result = run(plan(resume=RESUME), *replies, ok(event(40)))
    assert result.data == [str(number) for number in range(1, 41)]
    assert result.waits == approx([1.0] * 39)


@pytest.mark.parametrize(
    ("field", "delays"),
    [
        ("", [1, 2, 4, 8, 16, 30, 30]),
        ("retry: 2000\n", [2, 4, 8, 16, 30, 30, 30]),
        ("retry: 100\n", [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]),
        ("retry: 10\n", [0.05, 0.05, 0.05, 0.08, 0.16, 0.32, 0.64]),
        ("retry: 0\n", [0.05] * 7),
        ("retry: 1_0\n", [1, 2, 4, 8, 16, 30, 30]),
    ],
)
def test_delays_of_a_resume(field: str, delays: list[float]) -> None:
    """The delay is the server's `retry`, or 1 s, doubled for each failure in a row up to 30 s, and at least 50 ms."""
    resume = LastEventID(retry=replace(RESUME.retry, max_retries=7))
    result = run(plan(resume=resume), ok(field.encode() + event(1), RESET), *[REFUSED] * 6, ok(A))
    assert result.waits == approx(delays)


def test_the_reconnection_time_outlives_its_connection() -> None:
    """A `retry` applies to all later connections, until another one comes."""
    result = run(
        plan(resume=RESUME),
        ok(b"retry: 300\n" + event(1), RESET),
        ok(event(2), RESET),
        ok(event(3) + b"retry: 700\n\n", RESET),
        ok(event(4)),
    )
    assert result.waits == approx([0.3, 0.3, 0.7])


def test_a_servers_delay_in_a_resume() -> None:
    """`Retry-After` is a minimum for the delay of a resume too; above 120 s the stream is interrupted."""
    result = run(plan(resume=RESUME), ok(event(1), RESET), answer(503, retry_after="7"), ok(A))
    assert result.waits == approx([1, 7])
    result = run(plan(resume=RESUME), ok(event(1), RESET), answer(503, retry_after="200"))
    assert "asked for a delay of 200 s, above the limit of 120 s" in str(result.failed(StreamInterrupted))


def test_the_policy_of_a_resume() -> None:
    """The policy in `resume=` decides about a resume: its delays, its jitter, its hook."""
    asked: list[int] = []

    def on(attempt: int, error: SSEError) -> bool | None:
        asked.append(attempt)
        return None if len(asked) < 3 else False

    resume = LastEventID(retry=RetryPolicy(max_retries=9, initial_delay=3.0, max_delay=4.0, jitter=2.0, on=on))
    result = run(plan(resume=resume), ok(event(1), RESET), REFUSED, REFUSED, random=0.5)
    assert (result.waits, result.outcome, asked) == (approx([4.0, 5.0]), "interrupted", [1, 2, 3])


def test_no_attempts_left_to_a_resume() -> None:
    """With `max_retries=0` in `resume=`, the cut itself is raised."""
    error = run(plan(resume=LastEventID(retry=RetryPolicy(max_retries=0))), ok(event(1), RESET)).failed(
        StreamInterrupted
    )
    assert error.__cause__ is RESET.cause


def test_a_resume_needs_no_retry_policy() -> None:
    """`retry=None` applies only before the first event; a resume has its own policy."""
    assert run(plan(resume=RESUME, retry=None), ok(event(1), RESET), ok(A)).outcome == "completed"


def test_a_resume_repeats_the_request() -> None:
    """The same request is sent again, with `Last-Event-ID`, and with the same idempotency key."""
    result = run(plan(resume=RESUME, idempotency_key=KEY), ok(event(1), RESET), ok(A))
    assert [step.request for step in result.connects] == [POST, POST]
    assert result.connects[1].headers == {"Idempotency-Key": b"k1", "Last-Event-ID": b"1"}


def test_a_resume_elsewhere() -> None:
    """A resume may have its own method and URL, which may come from the first response; a GET has no body."""
    resume = LastEventID(method="get", url=lambda response: f"http://test/streams/{response}")
    request = replace(POST, params={"a": 1}, headers={"X": "y"})
    first = answer(200, event(1), RESET, response="s1")
    second = answer(200, event(2), RESET, response="s2")
    result = run(plan(request, resume=resume), first, second, ok(A))
    again = Request(method="GET", url="http://test/streams/s1", headers={"X": "y"})
    assert [step.request for step in result.connects] == [request, again, again]


def test_a_used_up_body_cannot_be_resumed() -> None:
    """A body that can be sent only once ends the stream at the first cut, unless the resume sends none."""
    request = Request(method="POST", url=URL, content=iter([b"x"]))
    result = run(plan(request, resume=RESUME), ok(event(1), RESET))
    assert "used up by one attempt" in str(result.failed(StreamInterrupted))
    result = run(plan(request, resume=LastEventID(method="GET")), ok(event(1), RESET), ok(A))
    assert (result.outcome, result.connects[1].request.content) == ("completed", None)


@pytest.mark.parametrize("bad", ["a\x0bb", "a\x0cb", "a\x7fb", "\x01"])
def test_an_id_that_http_cannot_carry(bad: str) -> None:
    """If a header cannot carry the ID, the stream is interrupted and not resumed."""
    result = run(plan(resume=RESUME), ok(event(bad, "x"), RESET))
    error = result.failed(StreamInterrupted)
    assert (len(result.connects), error.last_event_id) == (1, bad)
    assert "cannot be sent in a header" in str(error)


def test_a_long_id_makes_no_long_error() -> None:
    """The text of an error is bounded, however long the ID in it is."""
    result = run(plan(resume=RESUME), ok(event("x" * 100_000 + "\x0b", "a"), RESET))
    assert len(str(result.error)) < 1000
    again = event("x" * 100_000, "a")
    result = run(plan(resume=RESUME), ok(again + event(2), RESET), ok(again))
    assert len(str(result.error)) < 1000


def test_a_body_that_a_cursor_cannot_send_again() -> None:
    """A cursor cannot resume with the first body if it can be sent only once; with its own body it can."""
    request = Request(method="POST", url=URL, content=iter([b"x"]))
    same = Cursor(0, lambda cursor, _: cursor, lambda _, request: request)
    result = run(plan(request, resume=same), ok(event(1), RESET))
    assert "used up by one attempt" in str(result.failed(StreamInterrupted))
    other = Cursor(0, lambda cursor, _: cursor, lambda _, request: replace(request, content=None, json={}))
    assert run(plan(request, resume=other), ok(event(1), RESET), ok(A)).outcome == "completed"
