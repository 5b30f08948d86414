"""Closing and leaving a stream, at every point of it."""

from collections.abc import Callable
from typing import Any

import pytest

from session.driver import (
    DONE,
    END,
    ERROR,
    ERRORS,
    REFUSED,
    RESET,
    RESUME,
    WHATEVER,
    A,
    B,
    Item,
    Scene,
    answer,
    event,
    events,
    ok,
    plan,
    run,
)
from sse_client._core.phases import Outcome
from sse_client._core.plan import Plan
from sse_client._core.steps import Connect, Drain, Read, ReadBody, Stop, Wait
from sse_client._errors import (
    StreamInterrupted,
)


def at_connect(plan: Plan) -> Scene:
    result = Scene(plan)
    result.to(Connect)
    return result


def at_read(plan: Plan) -> Scene:
    result = Scene(plan, ok(A))
    result.to(Read)
    return result


def at_event(plan: Plan) -> Scene:
    return Scene(plan, ok(events(1, 2, 3))).take(2)


def at_read_body(plan: Plan) -> Scene:
    result = Scene(plan, answer(503))
    result.to(ReadBody)
    return result


def at_wait(plan: Plan) -> Scene:
    result = Scene(plan, REFUSED)
    result.to(Wait)
    return result


def at_wait_to_resume(plan: Plan) -> Scene:
    result = Scene(plan, ok(event(1), RESET))
    result.to(Wait)
    return result


PHASES = [at_connect, at_read, at_event, at_read_body, at_wait, at_wait_to_resume]


@pytest.mark.parametrize("happens", WHATEVER)
@pytest.mark.parametrize("phase", PHASES)
def test_close(phase: Callable[[Plan], Scene], happens: str) -> None:
    """
    After `close`, no event is delivered and no request is sent, whatever happens: the stream is cancelled, without an
    error.
    """
    result = phase(plan(resume=RESUME))
    seen = len(result.events)
    result.session.close()
    assert result.session.state == "closed"
    WHATEVER[happens](result.session, result.now)
    assert list(result.session.ready) == []
    assert result.ask() == Stop(None)
    assert (result.outcome, len(result.events)) == ("cancelled", seen)
    result.to_end()


def test_close_before_the_beginning() -> None:
    """A stream that is closed before it began never sends a request."""
    result = Scene(plan())
    result.session.close()
    assert result.to_end().steps == [Stop(None)]
    assert result.outcome == "cancelled"


def test_close_after_the_end() -> None:
    """Closing a stream that has ended changes nothing."""
    result = run(plan(), ok(A, RESET))
    result.session.close()
    result.session.leave(None, result.now)
    assert (result.to_end().outcome, type(result.error)) == ("interrupted", StreamInterrupted)


def test_close_behind_the_terminator() -> None:
    """A stream that is closed after its terminator was delivered is completed."""
    result = Scene(plan(terminator=DONE), ok(END)).take(1)
    result.session.close()
    assert (result.to_end().outcome, result.error) == ("completed", None)


def test_close_with_the_terminator_pending() -> None:
    """A stream that is closed before its terminator was delivered is cancelled."""
    result = Scene(plan(terminator=DONE), ok(A + END)).take(1)
    result.session.close()
    assert (result.to_end().outcome, result.error, result.data) == ("cancelled", None, ["a"])


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "abandoned"),
        (ValueError(), "abandoned"),
        (GeneratorExit(), "abandoned"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(), "cancelled"),
    ],
)
@pytest.mark.parametrize("phase", PHASES)
def test_leave(phase: Callable[[Plan], Scene], error: BaseException | None, outcome: Outcome) -> None:
    """A user who leaves early abandons the stream, even by an exception; Ctrl-C and SystemExit cancel it."""
    result = phase(plan(resume=RESUME)).leave(error)
    assert (result.outcome, result.error) == (outcome, None)
    assert result.to_end().outcome == outcome


@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt()])
def test_leave_after_close(error: BaseException | None) -> None:
    """A stream that was closed is cancelled, however the user then leaves its loop."""
    result = at_event(plan())
    result.session.close()
    assert result.leave(error).outcome == "cancelled"


def test_leave_before_the_beginning() -> None:
    """A stream that the user leaves before it began never sends a request."""
    result = Scene(plan()).leave()
    assert (result.steps, result.outcome) == ([Stop(None)], "abandoned")


def test_leave_after_the_terminator() -> None:
    """A user who leaves at the terminator has a completed stream."""
    result = Scene(plan(terminator=DONE), ok(A + END)).take(2).leave()
    assert (result.outcome, result.error) == ("completed", None)
    assert isinstance(result.steps[-2], Drain)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (GeneratorExit(), "completed"),
        (ValueError(), "abandoned"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
@pytest.mark.parametrize(
    ("options", "body"),
    [({"terminator": DONE}, (A + END,)), ({"terminator": DONE}, (A, END)), ({}, (A + B + b"data: [DONE]\n\n",))],
    ids=["terminator", "terminator-apart", "done"],
)
def test_fail_at_the_last_event(
    error: BaseException, outcome: Outcome, options: dict[str, Any], body: tuple[Item, ...]
) -> None:
    """If the user's code fails at the last event, the stream is not completed, even if its end was received."""
    result = Scene(plan(**options), ok(*body)).take(2).leave(error)
    assert (result.outcome, result.error) == (outcome, None)
    assert result.to_end().outcome == outcome


def test_fail_after_the_end() -> None:
    """If the user's code fails after the end was reported, the stream is completed."""
    result = run(plan(terminator=DONE), ok(A + END)).leave(ValueError())
    assert result.outcome == "completed"


@pytest.mark.parametrize("error", [None, ValueError()], ids=["in-good-order", "by-an-error"])
def test_leave_before_a_pending_error_event(error: Exception | None) -> None:
    """If the user leaves before a pending error event, it is never raised, and the stream is abandoned."""
    result = Scene(plan(errors=ERRORS), ok(A + B + ERROR)).take(1).leave(error)
    assert (result.outcome, result.error) == ("abandoned", None)


def test_leave_before_a_pending_terminator() -> None:
    """If the user leaves before the last event, the stream is abandoned, even if the end was received."""
    result = Scene(plan(terminator=DONE), ok(A + B + END)).take(1).leave()
    assert result.outcome == "abandoned"


def test_an_end_is_said_again() -> None:
    """After a failure, each further call returns the same error."""
    result = run(plan(), ok(A, RESET))
    assert result.ask() is not None
    assert [step.error for step in result.steps if isinstance(step, Stop)] == [result.error] * 2
