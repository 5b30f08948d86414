"""How a dialect's reader affects a stream: the meaning of a clean end, and when the stream may start over."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from session.driver import LAST, NO_JITTER, POST, RESET, A, Scene, answer, clocks, event, ok, plan, rows, run
from sse_client import (
    Cursor,
    DecodeError,
    ErrorEvent,
    ErrorEventReceived,
    LastEventID,
    Request,
    RetryPolicy,
    ServerSentEvent,
    SSEError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Terminator,
)
from sse_client._core.steps import Connect

AMBIGUOUS_OK = RetryPolicy(jitter=0.0, retry_ambiguous=True)
BUSY = ErrorEvent(field="error", code="code", retry={"busy"})
END, OTHER = Terminator(field="end"), Terminator(field="x")


class Letters:
    """Reads `{"letters": "ab"}` as two values, `{"end": true}` as the end, and any other object as nothing."""

    def __init__(self) -> None:
        self.snapshot: list[str] = []
        self.is_complete: bool | None = False
        self.resumes = 0

    def read(self, event: ServerSentEvent) -> Sequence[str]:
        if event.data == "[DONE]":
            new = ["!"]
        else:
            value = json.loads(event.data)
            self.is_complete = self.is_complete or bool(value.get("end"))
            new = list(value.get("letters", ""))
        self.snapshot += new
        return new

    def resumed(self) -> None:
        self.resumes += 1

    def close(self, error: SSEError | None) -> None:
        pass


class Silent(Letters):
    """The same for a protocol that does not mark the end of a reply."""

    def __init__(self) -> None:
        super().__init__()
        self.is_complete = None

    def read(self, event: ServerSentEvent) -> Sequence[str]:
        new = super().read(event)
        self.is_complete = None
        return new


def data(**value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def reading(*replies: Any, **options: Any) -> Scene:
    return run(plan(**{"reader": Letters, "is_terminator_required": False, **options}), *replies)


AB, C, STARTED, ENDED = data(letters="ab"), data(letters="c"), data(id=1), data(end=True)
DONE = b"data: [DONE]\n\n"
LAST_LINE = b'data: {"end": true, "letters": "c"}'


@pytest.mark.parametrize(
    ("body", "options", "outcome", "values"),
    rows(
        ("complete", (AB, ENDED), {}, "completed", "ab"),
        ("incomplete", (AB,), {}, "truncated", "ab"),
        ("nothing", (), {}, "truncated", ""),
        ("terminator", (AB, ENDED, C), {"terminator": END}, "completed", "ab"),
        ("complete without the terminator", (AB, ENDED), {"terminator": LAST}, "completed", "ab"),
        ("required by the call", (AB, ENDED), {"terminator": LAST, "is_terminator_required": True}, "truncated", "ab"),
        ("done", (AB, DONE, C), {}, "completed", "ab!"),
        ("done with the last event", (AB + DONE + C,), {}, "completed", "ab!"),
        ("done alone", (DONE,), {}, "completed", "!"),
        ("done as the terminator", (AB, DONE), {"terminator": LAST}, "completed", "ab!"),
        ("done without its blank line", (AB, b"data: [DONE]"), {}, "completed", "ab!"),
        (
            "done instead of the terminator",
            (AB, ENDED, DONE),
            {"terminator": Terminator(field="x")},
            "completed",
            "ab!",
        ),
        ("done too early", (AB, DONE), {"terminator": END}, "truncated", "ab!"),
        (
            "terminator without its blank line",
            (AB, b'data: {"end": 1, "letters": "c"}'),
            {"terminator": END},
            "completed",
            "abc",
        ),
        ("in the middle of an event", (AB, ENDED, b"data: {"), {}, "completed", "ab"),
        ("not said", (AB,), {"reader": Silent}, "completed", "ab"),
        ("not said, in the middle of an event", (AB, b"data: {"), {"reader": Silent}, "truncated", "ab"),
        (
            "not said, done instead of the terminator",
            (AB, DONE),
            {"reader": Silent, "terminator": END},
            "completed",
            "ab!",
        ),
        ("error", (AB, data(error="x", code="busy")), {"errors": BUSY}, "error_event", "ab"),
    ),
)
def test_ends(body: tuple[bytes, ...], options: dict[str, Any], outcome: str, values: str) -> None:
    """
    At a clean end the reader decides whether the reply is complete. A terminator ends it in any case, after the reader
    has read it.
    """
    scene = reading(ok(*body), **options)
    assert (scene.outcome, "".join(scene.values)) == (outcome, values)
    assert scene.session.reading is not None
    assert scene.session.reading.snapshot == scene.values


def test_an_incomplete_reply() -> None:
    """The error of a clean end says that the reply was not complete."""
    assert (
        str(reading(ok(AB)).failed(StreamTruncated)) == "the stream ended after 1 event, before the reply was complete"
    )


@pytest.mark.parametrize(
    ("body", "options", "outcome"),
    rows(
        ("complete", b'{"letters": "ab", "end": true}', {}, "completed"),
        ("incomplete", b'{"letters": "ab"}', {}, "truncated"),
        ("not said", b'{"letters": "ab"}', {"reader": Silent}, "completed"),
        ("the terminator", b'{"letters": "ab", "end": true}', {"terminator": END}, "completed"),
        ("not the terminator", b'{"letters": "ab"}', {"terminator": END}, "truncated"),
        ("an error", b'{"error": "x", "code": "no"}', {"errors": BUSY}, "error_event"),
        ("without a reader", b'{"letters": "ab"}', {"reader": None}, "completed"),
    ),
)
def test_json(body: bytes, options: dict[str, Any], outcome: str) -> None:
    """At the end of a JSON body the reader decides too."""
    scene = reading(answer(200, body, type="application/json"), accepts_json=True, **options)
    assert scene.outcome == outcome


def test_an_end_after_a_resume() -> None:
    """A 204 to a resume ends the reply: truncated if it is not complete."""
    for body, outcome in ((event(1, AB[6:-2].decode()), "truncated"), (event(1, ENDED[6:-2].decode()), "completed")):
        scene = reading(ok(body, RESET), answer(204, type=""), resume=LastEventID())
        assert scene.outcome == outcome


@pytest.mark.parametrize(
    ("bodies", "requests", "outcome", "values"),
    rows(
        ("first of all", [data(error="x", code="busy"), AB + ENDED], 2, "completed", "ab"),
        ("after events without a value", [STARTED + data(error="x", code="busy"), AB + ENDED], 2, "completed", "ab"),
        ("in a piece of its own", [(STARTED, data(error="x", code="busy")), AB + ENDED], 2, "completed", "ab"),
        ("each time", [STARTED + data(error="x", code="busy")] * 9, 3, "error_event", ""),
        ("after a value", [AB + data(error="x", code="busy"), C + ENDED], 1, "error_event", "ab"),
        ("after a value in a piece of its own", [(AB, data(error="x", code="busy")), C], 1, "error_event", "ab"),
        ("another code", [data(error="x", code="no"), C], 1, "error_event", ""),
    ),
)
@pytest.mark.parametrize("resume", [None, LastEventID(), Cursor(0, lambda n, _: n + 1, lambda _, request: request)])
def test_transient_errors(bodies: list[Any], requests: int, outcome: str, values: str, resume: Any) -> None:
    """A transient error event before the first value is retried like such a response, from the beginning."""
    replies = [ok(*body) if isinstance(body, tuple) else ok(body) for body in bodies]
    scene = reading(*replies, errors=BUSY, resume=resume)
    assert (len(scene.connects), scene.outcome, "".join(scene.values)) == (requests, outcome, values)
    assert [step.request for step in scene.connects] == [POST] * requests
    assert scene.ids == [None] * requests
    if outcome == "error_event":
        error = scene.failed(ErrorEventReceived)
        assert error.is_transient == (error.code == "busy")
        assert ("gave up after 3 attempts" in str(error)) == (requests == 3)


@pytest.mark.parametrize(
    ("first", "requests", "outcome"),
    rows(
        ("at the end", (b'error: {"error": "x", "code": "busy"}\n',), 2, "completed"),
        ("before a loss", (b'error: {"error": "x", "code": "busy"}\n', RESET), 2, "completed"),
        ("after a value", (AB, b'error: {"error": "x", "code": "busy"}\n'), 1, "error_event"),
        ("another code", (b'error: {"error": "x", "code": "no"}\n',), 1, "error_event"),
    ),
)
def test_transient_errors_outside_any_event(first: tuple[Any, ...], requests: int, outcome: str) -> None:
    """A transient error in a stray line is retried like one in an event."""
    scene = reading(ok(*first), ok(AB, ENDED), errors=BUSY)
    assert (len(scene.connects), scene.outcome) == (requests, outcome)
    assert "".join(scene.values) == ("ab" if requests == 2 or first[0] == AB else "")


def test_a_transient_error_without_a_reader() -> None:
    """Without a reader, a transient error is retried only before the first event."""
    busy = data(error="x", code="busy")
    assert run(plan(errors=BUSY), ok(busy), ok(A)).data == ["a"]
    assert run(plan(errors=BUSY), ok(A, busy), ok(A)).outcome == "error_event"
    assert run(plan(errors=BUSY, retry=None), ok(busy), ok(A)).outcome == "error_event"


def test_a_delay_before_a_transient_error_is_retried() -> None:
    """Delays after transient errors grow as after other failures in a row, even with events between them."""
    busy = ok(STARTED + data(error="x", code="busy"))
    scene = reading(busy, busy, ok(ENDED), errors=BUSY, retry=NO_JITTER)
    assert scene.waits == [0.5, 1.0]


def test_lost_before_the_first_value() -> None:
    """A stream that is lost before its first value may start over, if its request may be sent twice."""
    lost = ok(event(1, STARTED[6:-2].decode()), RESET)
    scene = reading(lost, ok(AB, ENDED), retry=AMBIGUOUS_OK)
    assert (scene.outcome, scene.values, len(scene.connects)) == ("completed", ["a", "b"], 2)
    error = reading(lost).failed(StreamInterrupted)
    assert "not sent again" in str(error)
    assert (error.stats.events, error.last_event_id) == (1, "1")
    assert reading(ok(AB, RESET), retry=AMBIGUOUS_OK).outcome == "interrupted"


def test_lost_each_time_before_the_first_value() -> None:
    """Events without a value are not progress: the number of attempts is limited."""
    scene = reading(*[ok(STARTED, RESET)] * 9, retry=AMBIGUOUS_OK)
    assert (scene.outcome, len(scene.connects), scene.waits) == ("interrupted", 3, [0.5, 1.0])


def test_a_resume() -> None:
    """A resumed stream continues with the same reader, which is told of the resume."""
    made: list[Letters] = []

    def make() -> Letters:
        made.append(Letters())
        return made[-1]

    scene = reading(ok(event(1, AB[6:-2].decode()), RESET), ok(C, ENDED), reader=make, resume=LastEventID())
    assert (scene.values, scene.ids, scene.outcome) == (["a", "b", "c"], [None, "1"], "completed")
    assert [(each.snapshot, each.resumes) for each in made] == [(["a", "b", "c"], 1)]


def test_an_idle_stream_without_a_value() -> None:
    """A clock that runs out before the first value makes a failed attempt."""
    scene = reading(ok(STARTED, 99.0), ok(AB, ENDED), retry=AMBIGUOUS_OK, timeouts=clocks(idle=5.0))
    assert (scene.outcome, scene.values) == ("completed", ["a", "b"])
    assert reading(ok(STARTED, 99.0), timeouts=clocks(idle=5.0)).failed(StreamTimeout).clock == "idle"


@pytest.mark.parametrize("has_failed", [False, True], ids=["left", "failed"])
def test_left_in_the_middle_of_an_event(has_failed: bool) -> None:
    """An event is finished with its last value. If the user leaves in the middle of it, it is not finished."""
    letters = ENDED.replace(b"end", b"letters").replace(b"true", b'"xy"')
    scene = Scene(plan(reader=Letters, resume=LastEventID()), ok(event(1, '{"letters": "ab"}') + b"id: 2\n" + letters))
    session = scene.session
    scene.to(Connect)
    scene.do(scene.steps[-1])
    scene.advance()
    first, second = session.ready
    assert session.reading is not None
    assert list(session.reading.read(first)) == ["a", "b"]
    assert next(session.reading.read(second)) == "x"
    assert session.last_event_id == "1"
    scene.leave(ValueError() if has_failed else None)
    assert (session.last_event_id, session.outcome) == ("1", "abandoned")


def test_closed_in_the_middle_of_an_event() -> None:
    """After `close()` no value is delivered, and the event is not finished."""
    scene = Scene(plan(reader=Letters, resume=LastEventID()), ok(event(1, '{"letters": "ab"}'), b""))
    scene.to(Connect)
    scene.do(scene.steps[-1])
    scene.advance()
    (first,) = scene.session.ready
    assert scene.session.reading is not None
    values = scene.session.reading.read(first)
    assert next(values) == "a"
    scene.session.close()
    assert list(values) == []
    scene.to_end()
    assert (scene.session.last_event_id, scene.outcome) == ("", "cancelled")


def test_data_that_the_reader_cannot_parse() -> None:
    """Data that is not JSON is a `DecodeError`, after which the stream continues."""
    scene = Scene(plan(reader=Letters), ok(b"data: {\n\n" + AB + ENDED))
    with pytest.raises(DecodeError, match=r"'message' event is not JSON: '\{'"):
        scene.next()
    scene.to_end()
    assert (scene.values, scene.outcome) == (["a", "b"], "completed")


def test_the_cursor() -> None:
    """The cursor is that of the last event that the user has finished with, even if their code fails on the next."""

    def count(cursor: int, _: ServerSentEvent) -> int:
        return cursor + 1

    def follow(_: int, request: Request) -> Request:
        return request

    scene = Scene(plan(resume=Cursor(0, count, follow)), ok(A * 3))
    assert (scene.session.cursor, scene.take(3).session.cursor) == (0, 0)
    scene.leave(ValueError("of the user"))
    assert scene.session.cursor == 2
    assert Scene(plan(), ok(A)).to_end().session.cursor is None
    error = run(plan(resume=Cursor(0, count, lambda *_: None)), ok(A, A, RESET)).failed(StreamInterrupted)
    assert error.cursor == 2
