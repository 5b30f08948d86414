"""How a stream ends: by its bytes, by its body, by an error event."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from session.driver import (
    DONE,
    END,
    END_TEXT,
    ERROR,
    ERRORS,
    GET,
    GONE,
    LAST,
    POST,
    RESET,
    RESUME,
    A,
    B,
    Item,
    Scene,
    answer,
    event,
    events,
    in_pieces,
    ok,
    plan,
    rows,
    run,
)
from sse_client._core.phases import Outcome
from sse_client._core.steps import Drain, Read, Stop
from sse_client._errors import (
    ErrorEventReceived,
    EventTooLarge,
    SSEError,
    StreamInterrupted,
    StreamTruncated,
)
from sse_client._marks import ErrorEvent, Terminator
from sse_client._resume import Cursor

NAMED, TYPED = Terminator(event="end"), Terminator(field="type")

ENDS = rows(
    ("end-of-body", {}, (A, B), ["a", "b"], "completed", None),
    ("empty-body", {}, (), [], "completed", None),
    ("only-comments", {}, (b": hello\n\n: again\n",), [], "completed", None),
    ("done", {}, (A + b"data: [DONE]\n\n",), ["a"], "completed", None),
    ("done-then-garbage", {}, (b"data: [DONE]\n\ndata: x\n\n\xff", RESET), [], "completed", None),
    ("done-without-blank-line", {}, (A + b"data: [DONE]",), ["a"], "completed", None),
    ("done-with-a-name", {}, (b"event: x\ndata: [DONE]\n\n",), ["[DONE]"], "completed", None),
    ("done-among-data", {}, (b"data: [DONE]\ndata: x\n\n",), ["[DONE]\nx"], "completed", None),
    ("done-is-data", {"ends_at_done": False}, (b"data: [DONE]\n\n" + A,), ["[DONE]", "a"], "completed", None),
    ("unfinished-data", {}, (A + b"data: b",), ["a"], "truncated", StreamTruncated),
    ("unfinished-line-end", {}, (A + b"data: b\n",), ["a"], "truncated", StreamTruncated),
    ("unfinished-id", {}, (A + b"id: 1\n",), ["a"], "truncated", StreamTruncated),
    ("unfinished-name", {}, (A + b"event: end\n",), ["a"], "truncated", StreamTruncated),
    ("retry-is-no-block", {}, (A + b"retry: 1\n",), ["a"], "completed", None),
    ("terminator", {"terminator": DONE}, (A + END,), ["a", END_TEXT], "completed", None),
    ("terminator-first", {"terminator": DONE}, (END,), [END_TEXT], "completed", None),
    ("terminator-then-events", {"terminator": DONE}, (END + A,), [END_TEXT], "completed", None),
    ("terminator-then-reset", {"terminator": DONE}, (END, RESET), [END_TEXT], "completed", None),
    ("terminator-then-error", {"terminator": DONE, "errors": ERRORS}, (END + ERROR,), [END_TEXT], "completed", None),
    ("terminator-without-blank-line", {"terminator": DONE}, (A + END[:-1],), ["a"], "completed", None),
    ("terminator-without-line-end", {"terminator": DONE}, (A + END[:-2],), ["a"], "completed", None),
    ("terminator-cut-by-reset", {"terminator": DONE}, (A + END[:-1], RESET), ["a"], "interrupted", StreamInterrupted),
    ("terminator-missing", {"terminator": DONE}, (A,), ["a"], "truncated", StreamTruncated),
    ("terminator-in-half", {"terminator": DONE}, (A + END[:9],), ["a"], "truncated", StreamTruncated),
    ("terminator-after-done", {"terminator": DONE}, (A + b"data: [DONE]\n\n",), ["a"], "truncated", StreamTruncated),
    ("terminator-unfinished-done", {"terminator": DONE}, (A + b"data: [DONE]",), ["a"], "truncated", StreamTruncated),
    ("terminator-is-done", {"terminator": LAST}, (A + b"data: [DONE]\n\n",), ["a"], "completed", None),
    ("terminator-is-name", {"terminator": NAMED}, (b"event: end\ndata\n\n",), [""], "completed", None),
    (
        "terminator-is-named-done",
        {"terminator": NAMED},
        (b"event: end\ndata: [DONE]\n\n",),
        ["[DONE]"],
        "completed",
        None,
    ),
    ("second-terminator", {"terminator": Terminator(data="x") | DONE}, (A + END,), ["a", END_TEXT], "completed", None),
    ("error-event", {"errors": ERRORS}, (A + ERROR + B,), ["a"], "error_event", ErrorEventReceived),
    ("error-event-first", {"errors": ERRORS}, (ERROR,), [], "error_event", ErrorEventReceived),
    ("error-event-then-reset", {"errors": ERRORS}, (ERROR, RESET), [], "error_event", ErrorEventReceived),
    ("error-or-terminator", {"errors": ERRORS, "terminator": TYPED}, (ERROR,), [], "error_event", ErrorEventReceived),
    ("error-event-unfinished", {"errors": ERRORS}, (A + ERROR[:-1],), ["a"], "truncated", StreamTruncated),
    ("reset", {}, (A, RESET), ["a"], "interrupted", StreamInterrupted),
    ("reset-between-events", {}, (A, B, RESET), ["a", "b"], "interrupted", StreamInterrupted),
    ("too-large", {"max_event_size": 20}, (A, b"data: " + b"x" * 30), ["a"], "failed", EventTooLarge),
    ("too-large-behind-an-event", {"max_event_size": 20}, (A + b"data: " + b"x" * 30,), ["a"], "failed", EventTooLarge),
    ("too-large-behind-done", {"max_event_size": 20}, (b"data: [DONE]\n\n" + b"x" * 30,), [], "completed", None),
)  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("options", "body", "data", "outcome", "error"), ENDS)
def test_ends(
    options: dict[str, Any],
    body: tuple[Item, ...],
    data: list[str],
    outcome: Outcome,
    error: type[SSEError] | None,
    size: int,
) -> None:
    """The end of a stream depends on its bytes and on the end of its body, not on how it is cut into pieces."""
    result = run(plan(**options), ok(*in_pieces(body, size)))
    assert (result.data, result.outcome) == (data, outcome)
    assert (None if result.error is None else type(result.error)) is error


NO_TERMINATOR = rows(
    ("ids", {"resume": RESUME}, (events(1, 2),), True),
    ("an-id-alone", {"resume": RESUME}, (A, b"id: 1\n\n"), True),
    ("none-asked-for", {"resume": RESUME, "ends_at_done": False}, (events(1, 2) + b"data: [DONE]\n\n",), True),
    ("cursor", {"resume": Cursor(0, lambda cursor, _: cursor, lambda _, request: request)}, (events(1, 2),), True),
    ("done", {"resume": RESUME}, (events(1, 2) + b"data: [DONE]\n\n",), False),
    ("done-in-half", {"resume": RESUME}, (events(1, 2) + b"data: [DONE]",), False),
    ("terminator", {"resume": RESUME, "terminator": DONE}, (events(1, 2) + END,), False),
    ("no-resume", {}, (events(1, 2),), False),
    ("no-ids", {"resume": RESUME}, (A + B,), False),
    ("ids-of-another-stream", {"resume": RESUME, "last_event_id": "7"}, (A + B,), False),
    ("no-events", {"resume": RESUME}, (b": hi\n\n",), False),
)


@pytest.mark.parametrize(("options", "body", "is_logged"), NO_TERMINATOR)
def test_an_end_without_a_terminator(
    options: dict[str, Any], body: tuple[Item, ...], is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """If a stream that could be resumed ends only by its body, that is logged: with some proxies it may be a cut."""
    caplog.set_level(logging.INFO, "sse_client")
    request = replace(POST, url="http://me:secret@test/chat?token=secret")
    assert run(plan(request, **options), ok(*body)).outcome == "completed"
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [text.startswith("POST http://test/chat ended without a terminator after ") for text in logged] == (
        [True] * is_logged
    )
    assert "secret" not in caplog.text


def test_a_204_needs_no_terminator(caplog: pytest.LogCaptureFixture) -> None:
    """A 204 to a resume means that the stream was complete: nothing is logged."""
    caplog.set_level(logging.INFO, "sse_client")
    assert run(plan(resume=RESUME), ok(event(1), RESET), GONE).outcome == "completed"
    assert "without a terminator" not in caplog.text


def test_terminator_is_followed_by_one_drain() -> None:
    """The rest of the body after the terminator is read on the next call, for at most 0.1 s and 64 KiB."""
    result = run(plan(), ok(A + b"data: [DONE]\n\n", B))
    steps = [step for step in result.steps if not isinstance(step, Read)]
    assert steps == [result.connects[0], Drain(65536, 0.1), Stop(None)]


@pytest.mark.parametrize("behind", ["ended", "lost", "drained"])
def test_nothing_fails_behind_the_terminator(behind: str) -> None:
    """After the terminator, neither an end nor a reset changes the outcome: the stream is completed."""
    result = Scene(plan(terminator=DONE), ok(END)).take(1)
    assert isinstance(result.ask(), Drain)
    match behind:
        case "ended":
            result.session.ended(result.now)
        case "lost":
            result.session.lost(RESET, result.now)
        case _:
            result.session.drained(result.now)
    assert result.to_end().outcome == "completed"


def test_error_event_says_what_the_server_said() -> None:
    """An error event is raised with its event, code and message, and with the last event ID and stats of the stream."""
    error = run(plan(errors=ERRORS), ok(b"id: 4\n" + A + ERROR)).failed(ErrorEventReceived)
    assert (error.message, error.code, error.event.data) == ("too busy", 7, ERROR[6:-2].decode())
    assert (error.last_event_id, error.stats.events) == ("4", 1)
    assert "too busy" in str(error)


def test_an_interrupted_stream_has_the_cause() -> None:
    """The HTTP client's error is the cause, and the text has the number of events."""
    error = run(plan(), ok(A, B, RESET)).failed(StreamInterrupted)
    assert error.__cause__ is RESET.cause
    assert error.stats.events == 2
    assert str(error) == "the connection was lost after 2 events: reset by peer"


def test_a_long_code_makes_no_long_error() -> None:
    """A long code of an error event, or a long `Location`, does not make a long error text."""
    code = f'data: {{"type": "error", "code": "{"x" * 100_000}"}}\n\n'.encode()
    assert len(str(run(plan(errors=ERRORS), ok(code)).error)) < 1000
    assert len(str(run(plan(GET), answer(302, location="http://[/" + "x" * 5000)).error)) < 1000


@pytest.mark.parametrize("depth", [100, 500, 900, 980, 990, 2_000, 9_000, 100_000])
@pytest.mark.parametrize(
    "data",
    ['{"type": "error", "code": %s}', '{"type": "error", "detail": %s}', '{"type": "error", "error": {"message": %s}}'],
)
def test_an_error_event_nested_deeply(data: str, depth: int) -> None:
    """An error event whose JSON is nested deeply is still an `ErrorEventReceived`."""
    data = data % ("[" * depth + "]" * depth)
    result = run(plan(errors=ErrorEvent(event="error", code="code")), ok(f"event: error\ndata: {data}\n\n".encode()))
    assert len(str(result.failed(ErrorEventReceived))) < 1000
