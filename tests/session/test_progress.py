"""The progress that a session reports while it runs: the last event ID, the state, the head, the stats."""

import pytest

from session.driver import (
    DONE,
    END_TEXT,
    GONE,
    REFUSED,
    RESET,
    RESUME,
    A,
    B,
    Scene,
    answer,
    approx,
    clocks,
    event,
    events,
    ok,
    plan,
    run,
)
from sse_client._core.steps import Read, Wait
from sse_client._errors import (
    StreamInterrupted,
    StreamTimeout,
)


def test_the_last_event_id_at_each_point() -> None:
    """An event is finished when the user takes the next one, not when it is delivered."""
    result = Scene(plan(last_event_id="0"), ok(events(1, 2) + A, b"id: 4\n\n", event(5)))
    seen = [result.session.last_event_id]
    while result.next() is not None:
        seen.append(result.session.last_event_id)
    seen.append(result.session.last_event_id)
    assert seen == ["0", "0", "1", "2", "4", "5"]


@pytest.mark.parametrize(
    ("error", "last"), [(None, "2"), (ValueError(), "1"), (KeyboardInterrupt(), "1"), (GeneratorExit(), "1")]
)
def test_leaving_finishes_an_event(error: BaseException | None, last: str) -> None:
    """
    A user who leaves without an exception finishes the current event. An exception does not, nor are pending events
    finished.
    """
    result = Scene(plan(resume=RESUME), ok(events(1, 2, 3))).take(2)
    result.session.leave(error, result.now)
    assert result.session.last_event_id == last
    result.ask()
    assert result.session.last_event_id == last


@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt()])
def test_leaving_forgets_what_is_pending(error: BaseException | None) -> None:
    """After the user leaves in the middle of a piece, only delivered events are counted, and no more are delivered."""
    result = Scene(plan(resume=RESUME), ok(events(1, 2, 3, 4))).take(2).leave(error)
    assert result.session.stats(result.now).events == 2
    assert list(result.session.ready) == []
    assert result.session.stats(result.now).events == 2


def test_closing_finishes_nothing_that_was_not_handed_out() -> None:
    """After a close in the middle of a piece, the events that were not delivered are not finished."""
    result = Scene(plan(resume=RESUME), ok(events(1, 2, 3, 4))).take(2)
    result.session.close()
    assert result.session.last_event_id == "1"
    result.to_end()
    assert result.session.last_event_id in ("1", "2")
    assert result.session.stats(result.now).events == 2


def test_leaving_at_the_end_of_a_piece() -> None:
    """A user who leaves at the last event of a piece also finishes later blocks of an ID in that piece."""
    result = Scene(plan(), ok(events(1) + b"id: 2\n\n")).take(1).leave()
    assert result.session.last_event_id == "2"


def test_leaving_by_an_exception_at_the_terminator() -> None:
    """An exception of the user's code at the last event leaves that event unfinished."""
    result = Scene(plan(terminator=DONE), ok(event(1) + event(2, END_TEXT))).take(2)
    result.leave(ValueError())
    assert result.session.last_event_id == "1"


def test_an_error_knows_what_was_finished() -> None:
    """The error of a stream has the last event ID and the stats."""
    error = run(plan(), ok(events(1, 2) + b": x\n", RESET)).failed(StreamInterrupted)
    assert (error.last_event_id, error.stats.events) == ("2", 2)
    assert (error.stats.events, error.stats.comments, error.stats.attempts) == (2, 1, 1)


def test_the_state() -> None:
    """A stream waits until its first event, streams, and is closed; it stays streaming during a resume."""
    result = Scene(plan(resume=RESUME), ok(event(1), RESET), ok(event(2)))
    states = [result.session.state]
    result.to(Read)
    states.append(result.session.state)
    result.do(Read())
    result.take(1)
    states.append(result.session.state)
    result.to(Wait)
    states.append(result.session.state)
    result.to_end()
    states.append(result.session.state)
    assert states == ["waiting", "waiting", "streaming", "streaming", "closed"]


def test_when_a_stream_is_open() -> None:
    """Entering is done once a response is accepted, or if the stream is over without an error."""
    result = Scene(plan(), REFUSED, ok(A))
    result.to(Wait)
    assert not result.session.is_open
    result.to(Read)
    assert result.session.is_open
    assert run(plan(), GONE).session.is_open
    assert not run(plan(), answer(404)).session.is_open


def test_the_latest_head() -> None:
    """The session's head is that of the latest response."""
    result = run(plan(resume=RESUME), answer(307, location="/b"), ok(event(1), RESET), answer(206, A))
    assert result.session.head is result.heads[-1]
    assert result.heads[-1].status_code == 206


def test_the_numbers() -> None:
    """The stats count over all attempts, and their times are the time spent waiting."""
    first = answer(200, b": hi\n\n", 3.0, event(1), 4.0, event(2), RESET, after=2.0)
    result = Scene(plan(resume=RESUME, can_refresh=True), answer(401, after=1.0), first, ok(6.0, event(3), 1.0))
    result.to_end()
    stats = result.session.stats(result.now + 100)
    body = len(b": hi\n\n" + events(1, 2, 3))
    assert (stats.attempts, stats.connections, stats.events, stats.comments, stats.bytes) == (3, 2, 3, 1, body)
    assert stats.time_to_headers == approx(3.0)
    assert stats.time_to_first_event == approx(6.0)
    assert stats.longest_gap == approx(7.0)  # a wait of 1 s, and 6 s of silence
    assert stats.duration == approx(3 + 3 + 4 + 1 + 6 + 1)


def test_the_numbers_in_between() -> None:
    """The stats of a running stream are current; before it began they do not change."""
    result = Scene(plan(), ok(A + B))
    assert result.session.stats(result.now) == result.session.stats(result.now + 5)
    assert result.session.stats(result.now).time_to_headers is None
    result.take(1)
    stats = result.session.stats(result.now + 5)
    assert (stats.events, stats.duration) == (1, approx(5.0))


def test_errors_of_a_stream_carry_the_numbers_of_their_end() -> None:
    """The stats in an error are those of the moment it was raised."""
    error = run(plan(timeouts=clocks(idle=10)), ok(2.0, A, 20.0)).failed(StreamTimeout)
    assert error.stats.duration == approx(12.0)
