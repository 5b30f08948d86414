"""A server that starts over instead of resuming."""

import pytest

from session.driver import DONE, END_TEXT, RESET, RESUME, A, B, event, events, ok, plan, run
from sse_client._errors import (
    StreamInterrupted,
)


def test_a_server_that_starts_over() -> None:
    """After a resume, an ID from before the last one is an error, and its event is not delivered."""
    result = run(plan(resume=RESUME), ok(events(1, 2, 3), RESET), ok(events(1, 2, 3, 4)))
    error = result.failed(StreamInterrupted)
    assert (result.data, result.outcome, error.last_event_id) == (["1", "2", "3"], "interrupted", "3")
    assert "started over" in str(error)


@pytest.mark.parametrize(
    ("number", "is_noticed"),
    [(1, True), (2, False), (1975, False), (1978, True), (2500, True), (2999, True), (3000, False), (3001, False)],
)
def test_how_far_back_is_looked(number: int, is_noticed: bool) -> None:
    """The first ID of the stream and the last 1,024 are noticed. The very last is accepted, because IDs may repeat."""
    long = tuple(event(each) for each in range(1, 3001))
    result = run(plan(resume=RESUME), ok(*long, RESET), ok(event(number, "again")))
    assert (result.outcome == "interrupted") is is_noticed
    assert len(result.data) == 3000 + (not is_noticed)


def test_events_in_front_of_a_repeated_one_are_events() -> None:
    """Events before the repeated ID are delivered, whether or not they come in one piece with it."""
    for body in ((event(4), event(1)), (event(4) + event(1),)):
        result = run(plan(resume=RESUME), ok(events(1, 2, 3), RESET), ok(*body))
        assert (result.data, result.outcome) == (["1", "2", "3", "4"], "interrupted")


def test_a_repeated_id_behind_the_terminator() -> None:
    """After the terminator nothing can fail, not even if the server starts over."""
    for body in ((event(4, END_TEXT), event(1)), (event(4, END_TEXT) + event(1),)):
        result = run(plan(resume=RESUME, terminator=DONE), ok(events(1, 2, 3), RESET), ok(*body))
        assert (result.data[3:], result.outcome) == ([END_TEXT], "completed")


def test_an_id_that_is_cleared_after_a_resume() -> None:
    """An event without an ID does not mean that the server starts over."""
    result = run(plan(resume=RESUME), ok(A + b"id: 5\n\n", RESET), ok(b"id\n" + B))
    assert (result.data, result.outcome) == (["a", "b"], "completed")


def test_ids_may_repeat_without_a_resume() -> None:
    """Within one connection an ID may repeat any number of times."""
    assert run(plan(resume=RESUME), ok(events(1, 2, 1, 2, 1))).data == ["1", "2", "1", "2", "1"]
