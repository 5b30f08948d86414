"""The changes that a session reports to its observer at once, and the end of a stream that is dropped."""

from math import inf

import httpx
import pytest

from session.driver import RESET, RESUME, START, STREAM, TODAY, URL, A, B, Scene, answer, event, ok, plan
from sse_client._core.observing import TimedSession
from sse_client._core.steps import Arrived, Change, Head, Opened, Retrying, Stop
from sse_client._errors import StatusError, StreamInterrupted


def observed(scene: Scene) -> list[Change]:
    changes: list[Change] = []
    scene.session.observe = changes.append
    return changes


def test_changes() -> None:
    """An observer is told of each opened response, each attempt that follows, and the end, in order."""
    scene = Scene(plan(resume=RESUME), answer(503), ok(event(1), RESET), ok(event(2)))
    changes = observed(scene)
    scene.to_end()
    kinds = [type(change) for change in changes]
    assert kinds == [Retrying, Opened, Retrying, Opened, Stop]
    errors = [type(change.error) for change in changes if isinstance(change, Retrying)]
    assert errors == [StatusError, StreamInterrupted]
    assert changes[-1] == Stop(None)
    assert scene.session.notes is None  # which are the dispatch's


def test_error_is_whole() -> None:
    """The end is reported when outcome, error and statistics are final."""
    scene = Scene(plan(), answer(404))
    seen: list[tuple[Change, str | None, int]] = []
    session = scene.session
    session.observe = lambda change: seen.append((change, session.outcome, session.stats(scene.now).attempts))
    scene.to_end()
    [(change, outcome, attempts)] = seen
    assert isinstance(change, Stop)
    assert isinstance(change.error, StatusError)
    assert change.error.stats.attempts == attempts == 1
    assert outcome == "failed"


def test_left() -> None:
    """Leaving is an end without an error."""
    scene = Scene(plan(), ok(A, B))
    changes = observed(scene)
    scene.take(1).leave(ValueError())
    assert changes[1:] == [Stop(None)]
    assert scene.session.outcome == "abandoned"


def timed() -> tuple[TimedSession, list[Change]]:
    changes: list[Change] = []
    session = TimedSession(plan(), random=lambda: 0.0, utc_now=lambda: TODAY)
    session.observe = changes.append
    session.next_step(START)
    session.responded(Head(200, httpx.Headers({"Content-Type": STREAM}), URL), START)
    return session, changes


def test_times() -> None:
    """A `TimedSession` also reports events, all of a piece at once, with the time since the event before."""
    session, changes = timed()
    for data, now in (A, START + 1), (b": hi\n\n", START + 2), (A + B, START + 4), (b"data: [DONE]\n\n", START + 5):
        session.received(data, now)
        list(session.ready)
    assert changes[1:] == [Arrived(1, inf), Arrived(2, 3.0)]


def test_times_without_an_observer() -> None:
    """Without an observer it is a session like any other."""
    session, _ = timed()
    session.observe = None
    assert session.received(A, START)


@pytest.mark.parametrize(
    ("data", "outcome"), [(A, "abandoned"), (A + b"data: [DONE]\n\n", "completed"), (A + B, "abandoned")]
)
def test_dropped(data: bytes, outcome: str) -> None:
    """A stream that is dropped is abandoned, unless its end was received and all before it was delivered."""
    scene = Scene(plan(), ok(data))
    changes = observed(scene)
    scene.take(1).session.drop(scene.now)
    assert scene.session.outcome == outcome
    assert changes[1:] == [Stop(None)]
    scene.session.drop(scene.now)
    assert len(changes) == 2
