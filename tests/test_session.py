"""Connecting, retry, resume, ends and timing of a stream, as tables: no server, no clock, no event loop."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from math import inf, nextafter
from typing import Any, TypeAlias, TypeVar

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_client._core.session import MIN_TIMEOUT, Outcome, Session
from sse_client._core.steps import Connect, Drain, Failure, Head, Plan, Read, ReadBody, Step, Stop, Wait
from sse_client._errors import (
    ConnectionFailed,
    ContentTypeError,
    ErrorEventReceived,
    EventTooLarge,
    SSEError,
    StatusError,
    StreamError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)
from sse_client._event import ServerSentEvent
from sse_client._marks import ErrorEvent, Terminator
from sse_client._request import Request
from sse_client._resume import Cursor, LastEventID
from sse_client._retry import RetryPolicy
from sse_client._timeouts import Timeouts

# The driver ----------------------------------------------------------------------------------------------------------

URL = "http://test/chat"
STREAM = "text/event-stream"
START = 1000.0
TODAY = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)

# Of any type, so that it may stand in a tuple with others.
approx: Any = pytest.approx

Item: TypeAlias = bytes | Failure | float
E = TypeVar("E", bound=SSEError)
S = TypeVar("S", bound=Connect | Read | ReadBody | Drain | Wait | Stop)


@dataclass(frozen=True)
class Answer:
    """What the server does with one request: a head and a body, where a float is so many seconds of silence."""

    status: int
    body: tuple[Item, ...]
    headers: dict[str, str]
    after: float = 0.0
    url: str | None = None
    response: Any = None
    reason: str = ""


Reply: TypeAlias = Answer | Failure


def answer(
    status: int, *body: Item, type: str = STREAM, after: float = 0.0, response: Any = None, **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if type:
        named["Content-Type"] = type
    return Answer(status, body, named, after, response=response)


def with_headers(status: int, headers: dict[str, str]) -> Answer:
    return Answer(status, (), {name.replace("_", "-"): value for name, value in headers.items()})


def ok(*body: Item) -> Answer:
    return answer(200, *body)


def event(number: int | str, data: str | None = None) -> bytes:
    return f"id: {number}\ndata: {number if data is None else data}\n\n".encode()


def events(*numbers: int) -> bytes:
    return b"".join(map(event, numbers))


REFUSED = Failure(ConnectionRefusedError("refused"), "refused", was_sent=False)
RESET = Failure(ConnectionResetError("reset by peer"), "reset by peer")
BAD_URL = Failure(ValueError("no URL"), "no URL", was_sent=False, is_final=True)
JSON = answer(200, b'{"error": "overloaded"}', type="application/json")
HTML = answer(200, b"<!doctype html>", type="text/html; charset=utf-8")
GONE = answer(204, type="")

POST = Request(method="POST", url=URL, json={"message": "hi"})
GET = Request(method="GET", url=URL)
DONE = Terminator(field="type", values={"done"})
NO_JITTER = RetryPolicy(jitter=0.0)
RESUME = LastEventID()


def plan(request: Request = POST, **options: Any) -> Plan:
    return Plan(**{"request": request, "retry": NO_JITTER, **options})


def subscription(**options: Any) -> Plan:
    return Plan(**{"request": GET, "is_subscription": True, "retry": RetryPolicy.RECONNECT, **options})


class Run:
    """A stream between a scripted server and a scripted user; every step and every event is on record."""

    hurries = False
    """Whether to read on without asking, where the session says that it would only say so, as the shells do."""

    def __init__(self, plan: Plan, *replies: Reply, random: float = 0.0) -> None:
        self.session = Session(plan, random=lambda: random, utc_now=lambda: TODAY)
        self.now = START
        self.steps: list[Step] = []
        self.events: list[ServerSentEvent] = []
        self.heads: list[Head] = []
        self._plan = plan
        self.server: Callable[[Connect], Reply] = self._next_reply
        self._replies = list(replies)
        self._body: list[Item] = []

    # What is on record.

    @property
    def data(self) -> list[str]:
        return [event.data for event in self.events]

    @property
    def outcome(self) -> Outcome | None:
        return self.session.outcome

    @property
    def error(self) -> SSEError | None:
        last = self.steps[-1]
        assert isinstance(last, Stop), last
        return last.error

    def failed(self, kind: type[E]) -> E:
        """The error that the stream ended with, of exactly that class."""
        assert type(self.error) is kind, repr(self.error)
        assert isinstance(self.error, kind)
        return self.error

    @property
    def connects(self) -> list[Connect]:
        return [step for step in self.steps if isinstance(step, Connect)]

    @property
    def waits(self) -> list[float]:
        return [step.seconds for step in self.steps if isinstance(step, Wait)]

    @property
    def ids(self) -> list[str | None]:
        """The `Last-Event-ID` of each request."""
        found = [step.headers.get("Last-Event-ID") for step in self.connects]
        return [None if value is None else value.decode() for value in found]

    # What goes on.

    def ask(self) -> Step:
        step = self.session.next_step(self.now)
        self.steps.append(step)
        return step

    def advance(self) -> Step:
        """Do what is next."""
        is_known = self.hurries and self.session.is_reading and not self.session.is_closing
        step = Read() if is_known else self.ask()
        self.do(step)
        return step

    def do(self, step: Step) -> None:
        match step:
            case Connect():
                self._connect(step)
            case Read():
                self._read()
            case ReadBody(size):
                self.session.refused(b"".join(item for item in self._body if isinstance(item, bytes))[:size], self.now)
            case Drain():
                self.session.drained(self.now)
            case Wait(seconds):
                self.now = nextafter(self.now + seconds, inf)
            case Stop():
                pass

    def _next_reply(self, step: Connect) -> Reply:
        assert self._replies, f"a request too many: {step}"
        return self._replies.pop(0)

    def _connect(self, step: Connect) -> None:
        reply = self.server(step)
        if isinstance(reply, Failure):
            self.session.not_answered(reply, self.now)
            return
        if step.response is not None and reply.after > step.response:
            self.now += step.response
            timeout = Failure(TimeoutError("no headers"), "no headers", is_timeout=True)
            self.session.not_answered(timeout, self.now)
            return
        self.now += reply.after
        self._body = list(reply.body)
        url = reply.url or step.request.url
        head = Head(reply.status, httpx.Headers(reply.headers), url, reply.response, reply.reason)
        self.heads.append(head)
        self.session.answered(head, self.now)

    def _read(self) -> None:
        silence = 0.0
        while self._body and isinstance(first := self._body[0], float):
            silence += first
            del self._body[0]
        read = self._plan.timeouts.read or inf
        left = self.session.deadline - self.now
        if silence > min(read, left):
            self.now += min(read, left)
            failure = Failure(TimeoutError("no byte"), "no byte", is_timeout=read < left, is_deadline=left <= read)
            self.session.lost(failure, self.now)
            return
        self.now += silence
        if not self._body:
            self.session.ended(self.now)
            return
        item = self._body.pop(0)
        if isinstance(item, Failure):
            self.session.lost(item, self.now)
        else:
            assert isinstance(item, bytes)
            self.session.received(item, self.now)

    def next(self) -> ServerSentEvent | None:
        """Come back for the next event, as a `for` does; `None` at the end, or at an error."""
        while True:
            for each in self.session.ready:
                self.events.append(each)
                return each
            step = self.advance()
            if isinstance(step, Stop):
                return None

    def to_end(self) -> "Run":
        """Read to the end; also that it is one, that it stays, and that it has exactly one outcome."""
        while self.next() is not None:
            assert len(self.events) < 10_000
        outcome, last = self.session.outcome, self.steps[-1]
        assert outcome is not None
        assert self.session.next_step(self.now + 9.0) == last
        assert self.session.outcome == outcome
        assert self.session.state == "closed"
        return self

    def take(self, count: int) -> "Run":
        """Take so many events, and be busy with the last of them."""
        for _ in range(count):
            assert self.next() is not None
        return self

    def to(self, kind: type[S]) -> S:
        """Go on to the first step of that kind, and do not do it."""
        while True:
            for each in self.session.ready:
                self.events.append(each)
            step = self.ask()
            if isinstance(step, kind):
                return step
            assert not isinstance(step, Stop), step
            self.do(step)

    def leave(self, error: BaseException | None = None) -> "Run":
        """Leave the stream, as a `with` does."""
        self.session.leave(error, self.now)
        while not isinstance(step := self.ask(), Stop):
            self.do(step)
        return self


@pytest.fixture(autouse=True, params=["asking", "hurrying"])
def _shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it holds for a shell that asks before each read, and for one that does not ask what it knows."""
    monkeypatch.setattr(Run, "hurries", request.param == "hurrying")


def run(plan: Plan, *replies: Reply, random: float = 0.0) -> Run:
    return Run(plan, *replies, random=random).to_end()


def rows(*table: tuple[Any, ...]) -> Any:
    """A table whose first column names the row."""
    return [pytest.param(*row[1:], id=row[0]) for row in table]


def in_pieces(body: tuple[Item, ...], size: int) -> tuple[Item, ...]:
    """The body with its bytes cut into pieces of that size."""
    pieces: list[Item] = []
    for item in body:
        if isinstance(item, bytes):
            pieces += [item[start : start + size] for start in range(0, len(item), size)]
        else:
            pieces.append(item)
    return tuple(pieces)


# How a stream ends ---------------------------------------------------------------------------------------------------

A, B = b"data: a\n\n", b"data: b\n\n"
END = b'data: {"type": "done"}\n\n'
END_TEXT = '{"type": "done"}'
ERROR = b'data: {"type": "error", "message": "too busy", "code": 7}\n\n'
ERRORS = ErrorEvent(field="type", values={"error"})
LAST, NAMED, TYPED = Terminator(data="[DONE]"), Terminator(event="end"), Terminator(field="type")

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
    """How a stream ends is told by its bytes and by how its body ends, not by how it is cut into pieces."""
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
    """A stream that could be resumed and ends by its body alone is logged: with some proxies that may be a cut."""
    caplog.set_level(logging.INFO, "sse_client")
    request = replace(POST, url="http://me:secret@test/chat?token=secret")
    assert run(plan(request, **options), ok(*body)).outcome == "completed"
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [text.startswith("POST http://test/chat ended without a terminator after ") for text in logged] == (
        [True] * is_logged
    )
    assert "secret" not in caplog.text


def test_a_204_needs_no_terminator(caplog: pytest.LogCaptureFixture) -> None:
    """A 204 to a resume says that this was all: nothing is missing."""
    caplog.set_level(logging.INFO, "sse_client")
    assert run(plan(resume=RESUME), ok(event(1), RESET), GONE).outcome == "completed"
    assert "without a terminator" not in caplog.text


def test_terminator_is_followed_by_one_drain() -> None:
    """What stands behind the terminator is read on the call after it, for at most 0.1 s and 64 KiB."""
    result = run(plan(), ok(A + b"data: [DONE]\n\n", B))
    steps = [step for step in result.steps if not isinstance(step, Read)]
    assert steps == [result.connects[0], Drain(65536, 0.1), Stop(None)]


@pytest.mark.parametrize("behind", ["ended", "lost", "drained"])
def test_nothing_fails_behind_the_terminator(behind: str) -> None:
    """Behind the terminator, neither an end nor a reset can change that the stream is completed."""
    result = Run(plan(terminator=DONE), ok(END)).take(1)
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
    """An error event is raised with its event, its code and its message, and with what was known of the stream."""
    error = run(plan(errors=ERRORS), ok(b"id: 4\n" + A + ERROR)).failed(ErrorEventReceived)
    assert (error.message, error.code, error.event.data) == ("too busy", 7, ERROR[6:-2].decode())
    assert (error.last_event_id, error.stats.events) == ("4", 1)
    assert "too busy" in str(error)


def test_an_interrupted_stream_has_the_cause() -> None:
    """The error of the HTTP client is the cause, and the text says how far the stream came."""
    error = run(plan(), ok(A, B, RESET)).failed(StreamInterrupted)
    assert error.__cause__ is RESET.cause
    assert error.stats.events == 2
    assert str(error) == "the connection was lost after 2 events: reset by peer"


# Which answers are streams -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "type", ["text/event-stream", "Text/Event-Stream", "text/event-stream; charset=latin-1", " text/event-stream ;x=y"]
)
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
def test_what_is_a_stream(status: int, type: str) -> None:
    """Any 2xx with the media type of an event stream is one, whatever its parameters."""
    assert run(plan(), answer(status, A, type=type)).data == ["a"]


@pytest.mark.parametrize(
    "type", ["", "application/json", "text/html", "text/plain", "text/event-streams", "event-stream"]
)
def test_what_is_no_stream(type: str) -> None:
    """Another media type, or none, is a `ContentTypeError` with the body, and nothing is handed out."""
    result = run(plan(), answer(200, A, type=type))
    error = result.failed(ContentTypeError)
    assert (result.data, result.outcome, error.status_code, error.body) == ([], "failed", 200, A)
    assert "expected text/event-stream from POST http://test/chat" in str(error)
    assert "status 200" in str(error)


@pytest.mark.parametrize("type", [STREAM, ""])
@pytest.mark.parametrize("status", [205, 300, 304, 400, 404, 501])
def test_an_event_stream_of_another_status_is_none(status: int, type: str) -> None:
    """The media type alone does not make a stream."""
    result = run(plan(), answer(status, A, type=type))
    assert (result.failed(StatusError).status_code, result.data) == (status, [])


@pytest.mark.parametrize("type", ["", STREAM, "application/json"])
@pytest.mark.parametrize("options", [{}, {"terminator": DONE}, {"resume": RESUME}])
def test_204_to_the_first_request(options: dict[str, Any], type: str) -> None:
    """A 204 to the first request is an empty and completed stream."""
    result = run(plan(**options), answer(204, type=type))
    assert (result.outcome, result.error, result.data) == ("completed", None, [])


@pytest.mark.parametrize(
    ("reply", "kind"),
    rows(
        ("201", answer(201, A), StatusError),
        ("206", answer(206, A), StatusError),
        ("json", JSON, ContentTypeError),
        ("html", HTML, ContentTypeError),
        ("404", answer(404), StatusError),
        ("501", answer(501), StatusError),
    ),
)
def test_subscribe_takes_200_alone(reply: Answer, kind: type[SSEError]) -> None:
    """A subscription takes a 200 alone, as browsers do; another answer that is final ends it."""
    result = run(subscription(), reply)
    assert (type(result.error), result.outcome, len(result.connects)) == (kind, "failed", 1)


def test_the_body_of_an_error_is_bounded() -> None:
    """The body of an error is asked for up to 64 KiB, and the error's text shows little of it."""
    result = run(plan(), answer(400, b"x" * 100_000, type="text/plain"))
    assert any(isinstance(step, ReadBody) and step.size == 65536 for step in result.steps)
    error = result.failed(StatusError)
    assert len(error.body) == 65536
    assert len(str(error)) < 400


def test_an_error_says_the_servers_own_words() -> None:
    """The text of a `StatusError` names the request, the status and what the server said."""
    request = replace(POST, url="http://user:secret@test/chat?token=secret")
    reply = answer(422, b'{"detail": "no such model"}', type="application/json", x_request_id="r1")
    error = run(plan(request), replace(reply, reason="Not Like This")).failed(StatusError)
    assert str(error) == "POST http://test/chat returned 422 Not Like This: 'no such model'"
    assert (error.message, error.request_id) == ("no such model", "r1")


def test_an_unknown_status() -> None:
    """A status without a reason phrase is shown by its number; a phrase without an end is cut."""
    assert str(run(plan(), answer(499, type="")).error) == "POST http://test/chat returned 499"
    assert len(str(run(plan(), replace(answer(499, type=""), reason="x" * 10_000)).error)) < 200


# Before the first event ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 506, 507, 508, 511, 529, 599])
def test_statuses_that_are_retried(status: int) -> None:
    """408, 409, 425, 429 and 5xx but 501 and 505 are retried, a POST too."""
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
    """`x-should-retry` overrides the status, both ways; other values say nothing."""
    result = run(plan(), answer(status, type="", x_should_retry=header), *[ok(A)] * is_retried)
    assert result.data == ["a"] * is_retried


def test_retries_are_counted() -> None:
    """There are two retries, after 0.5 and 1 s; then the last error comes out, and says how it was tried."""
    result = run(plan(), answer(503), answer(502), answer(500))
    error = result.failed(StatusError)
    assert error.status_code == 500
    assert result.waits == approx([0.5, 1.0])
    assert str(error) == "POST http://test/chat returned 500; gave up after 3 attempts in 1.5 s"
    assert (error.stats.attempts, error.stats.duration) == (3, approx(1.5))


def test_one_attempt_is_not_counted() -> None:
    """An error of the first attempt does not say that it was; its `stats` do."""
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
    """Whatever a stream stops with has its `stats`, and says how many attempts there were, if it was more than one."""
    result = run(plan(**options), *replies)
    error = result.failed(kind)
    attempts = len(result.connects)
    assert error.stats == result.session.stats(result.now)
    assert error.stats.attempts == attempts > 1
    assert str(error).endswith(f"; gave up after {attempts} attempts in {error.stats.duration:.1f} s")
    assert not hasattr(error, "__notes__")


def test_a_retry_knows_the_numbers() -> None:
    """An error that is tried again has them too, as they are when it is told."""
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
    """What the server asks for is the floor under our delay, and the jitter comes above it."""
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
    """Above 120 s the error is raised at once, and says both numbers."""
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
    """A date beyond the calendar is none, and breaks nothing."""
    assert run(plan(), answer(503, retry_after=date), ok(A)).waits == approx([0.5])


NO_ANSWER = Failure(ConnectionResetError("lost"), "lost")
NO_HEADERS = Failure(TimeoutError("late"), "late", is_timeout=True)
KEY = ("Idempotency-Key", "k1")
AMBIGUOUS_OK = RetryPolicy(jitter=0.0, retry_ambiguous=True)

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
    """What the server may have acted upon is sent again only where that is safe, or allowed."""
    result = run(plan(request_, **options), reply, *[ok(END)] * is_retried)
    assert len(result.connects) == 1 + is_retried
    assert (result.outcome == "completed") is is_retried


def test_ambiguity_names_the_switches() -> None:
    """The error of an ambiguous failure says so, and which switches there are."""
    error = run(plan(), NO_ANSWER).failed(ConnectionFailed)
    assert error.ambiguous
    assert error.__cause__ is NO_ANSWER.cause
    assert "retry_ambiguous=True" in str(error)
    assert "idempotency_key_header=" in str(error)


def test_a_refused_connection_is_not_ambiguous() -> None:
    """Where the request was never sent, nothing is ambiguous, and no switch is named."""
    error = run(plan(retry=None), REFUSED).failed(ConnectionFailed)
    assert not error.ambiguous
    assert error.clock is None
    assert str(error) == "POST http://test/chat got no response: refused"


def test_a_stream_lost_before_its_first_event_names_the_switches() -> None:
    """Lost after a 2xx, the error is of the stream, with no event received, and names the switches too."""
    result = run(plan(), ok(b": hi\n\n", RESET))
    error = result.failed(StreamInterrupted)
    assert (error.stats.events, result.outcome) == (0, "interrupted")
    assert "retry_ambiguous=True" in str(error)


def test_the_idempotency_key_is_one() -> None:
    """All attempts of one call carry the same key."""
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
    """`on` overrides the rules with True or False, and leaves it to them with None."""
    asked: list[tuple[int, SSEError]] = []

    def on(attempt: int, error: SSEError) -> bool | None:
        asked.append((attempt, error))
        return verdict

    result = run(plan(retry=RetryPolicy(jitter=0.0, on=on)), reply, *[ok(A)] * is_retried)
    assert result.data == ["a"] * is_retried
    assert [attempt for attempt, _ in asked] == [1]


def test_the_hook_sees_each_failure() -> None:
    """`on` gets the number of the failed attempt and its error, and cannot pass `max_retries`."""
    asked: list[tuple[int, type[SSEError]]] = []

    def on(attempt: int, error: SSEError) -> bool:
        asked.append((attempt, type(error)))
        return True

    result = run(plan(retry=RetryPolicy(jitter=0.0, on=on)), answer(404), REFUSED, JSON)
    assert asked[:2] == [(1, StatusError), (2, ConnectionFailed)]
    assert (type(result.error), len(result.connects)) == (ContentTypeError, 3)


def test_the_hooks_exception_is_the_users() -> None:
    """An exception in `on` comes out as it is."""

    def on(attempt: int, error: SSEError) -> bool:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(plan(retry=RetryPolicy(on=on)), REFUSED)


@pytest.mark.parametrize("reply", [REFUSED, answer(503), NO_ANSWER])
def test_no_policy_no_retry(reply: Reply) -> None:
    """With `retry=None` the first failure is the last."""
    assert len(run(plan(GET, retry=None), reply).connects) == 1


@pytest.mark.parametrize("reply", [REFUSED, answer(503)])
@pytest.mark.parametrize(
    "body", [{"content": iter([b"x"])}, {"files": {"file": BytesIO(b"x")}}], ids=["iterator", "files"]
)
def test_a_body_that_is_used_up(body: dict[str, Any], reply: Reply) -> None:
    """A body that can be sent once is not sent twice, and the error says so."""
    result = run(plan(Request(method="POST", url=URL, **body)), reply)
    assert len(result.connects) == 1
    assert "used up by one attempt" in str(result.error)


def test_a_body_that_is_used_up_is_no_excuse() -> None:
    """Where there would have been no retry anyway, the body is not mentioned."""
    result = run(plan(Request(method="POST", url=URL, content=iter([b"x"]))), answer(404))
    assert "used up" not in str(result.error)


@pytest.mark.parametrize("content", ["x", b"x"], ids=["text", "bytes"])
def test_a_body_of_text_or_bytes_is_sent_again(content: str | bytes) -> None:
    """Text and bytes can be sent any number of times."""
    result = run(plan(Request(method="POST", url=URL, content=content)), REFUSED, ok(A))
    assert [step.request.content for step in result.connects] == [content, content]


@pytest.mark.parametrize("reply", [JSON, HTML], ids=["json", "html"])
def test_a_first_answer_of_another_type_is_final(reply: Answer) -> None:
    """A first answer that is no event stream is the server's answer: it is raised at once."""
    assert len(run(plan(GET), reply).connects) == 1


# After the first event -----------------------------------------------------------------------------------------------


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
    """A resume sends the ID of the last event or block of an ID that the user has finished with."""
    result = run(plan(resume=RESUME), ok(*body), ok(b"data: end\n\n"))
    assert result.ids == [None, sent]
    assert (result.outcome, result.data[-1]) == ("completed", "end")


@pytest.mark.parametrize(
    "body",
    [(A, RESET), (event(1) + b"id:\n" + A, RESET), (event(1) + b"id\n\n", RESET), (event(" "), RESET)],
    ids=["never", "cleared", "cleared-alone", "blank"],
)
def test_no_id_no_resume(body: tuple[Item, ...]) -> None:
    """Without an ID there is nothing to go on behind: the stream is interrupted, and says why."""
    result = run(plan(resume=RESUME), ok(*body))
    assert (result.outcome, len(result.connects)) == ("interrupted", 1)
    assert "no event ID" in str(result.error)


def test_an_id_of_another_stream_is_no_place_to_go_on() -> None:
    """The ID that the user came with is none of this stream: going on behind it would replay what was handed out."""
    result = run(plan(resume=RESUME, last_event_id="7"), ok(A, RESET))
    assert (result.outcome, result.ids, result.data) == ("interrupted", ["7"], ["a"])


def test_the_users_id_goes_with_each_attempt() -> None:
    """`last_event_id=` goes with the first request and its retries, and an ID of the stream takes its place."""
    result = run(plan(resume=RESUME, last_event_id="7"), REFUSED, ok(event(8), RESET), ok(A))
    assert result.ids == ["7", "7", "8"]


@pytest.mark.parametrize("resume", [None, Cursor(0, lambda cursor, _: cursor, lambda _, request: request)])
def test_the_users_id_without_a_resume_by_id(resume: Any) -> None:
    """`last_event_id=` is sent whether or not the stream is resumed by ID."""
    assert run(plan(resume=resume, last_event_id="7"), REFUSED, ok(A)).ids == ["7", "7"]


def test_an_event_without_an_id_has_the_users() -> None:
    """The parser is seeded with the user's ID, and with the last one after a resume, as browsers have it."""
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
    """What a failed attempt brings is neither data nor an ID; the next one asks for the same, after twice the time."""
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
    """Where another attempt would not help, the stream is interrupted, and the answer is the cause."""
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
    """A 204 to a resume means that nothing more comes: completed, or truncated where a terminator is required."""
    result = run(plan(resume=RESUME, **options), ok(event(1), RESET), GONE)
    assert result.outcome == outcome
    assert (None if result.error is None else type(result.error)) is kind


def test_attempts_of_a_resume_are_counted_in_a_row() -> None:
    """Five attempts in a row, after 1, 2, 4, 8 and 16 s; then the last failure is the cause."""
    result = run(plan(resume=RESUME), ok(event(1), RESET), *[REFUSED] * 5)
    error = result.failed(StreamInterrupted)
    assert result.waits == approx([1, 2, 4, 8, 16])
    assert isinstance(error.__cause__, ConnectionFailed)
    assert str(error).endswith("; gave up after 6 attempts in 31.0 s")
    assert (error.stats.attempts, error.stats.connections) == (6, 1)


def test_only_an_event_resets_the_count() -> None:
    """An opened stream, a comment or an ID alone is no progress; an event is."""
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
    """The server's `retry`, else 1 s, doubled for each failure in a row up to 30 s, and never under 50 ms."""
    resume = LastEventID(retry=replace(RESUME.retry, max_retries=7))
    result = run(plan(resume=resume), ok(field.encode() + event(1), RESET), *[REFUSED] * 6, ok(A))
    assert result.waits == approx(delays)


def test_the_reconnection_time_outlives_its_connection() -> None:
    """A `retry` holds for all later connections, until another one comes."""
    result = run(
        plan(resume=RESUME),
        ok(b"retry: 300\n" + event(1), RESET),
        ok(event(2), RESET),
        ok(event(3) + b"retry: 700\n\n", RESET),
        ok(event(4)),
    )
    assert result.waits == approx([0.3, 0.3, 0.7])


def test_a_servers_delay_in_a_resume() -> None:
    """`Retry-After` is a floor under the delay of a resume too, and above 120 s the stream is interrupted."""
    result = run(plan(resume=RESUME), ok(event(1), RESET), answer(503, retry_after="7"), ok(A))
    assert result.waits == approx([1, 7])
    result = run(plan(resume=RESUME), ok(event(1), RESET), answer(503, retry_after="200"))
    assert "asked for a delay of 200 s, above the limit of 120 s" in str(result.failed(StreamInterrupted))


def test_the_policy_of_a_resume() -> None:
    """The policy inside of `resume=` decides about a resume: its delays, its jitter, its hook."""
    asked: list[int] = []

    def on(attempt: int, error: SSEError) -> bool | None:
        asked.append(attempt)
        return None if len(asked) < 3 else False

    resume = LastEventID(retry=RetryPolicy(max_retries=9, initial_delay=3.0, max_delay=4.0, jitter=2.0, on=on))
    result = run(plan(resume=resume), ok(event(1), RESET), REFUSED, REFUSED, random=0.5)
    assert (result.waits, result.outcome, asked) == (approx([4.0, 5.0]), "interrupted", [1, 2, 3])


def test_no_attempts_left_to_a_resume() -> None:
    """A resume of no attempts is none: the cut itself is raised."""
    error = run(plan(resume=LastEventID(retry=RetryPolicy(max_retries=0))), ok(event(1), RESET)).failed(
        StreamInterrupted
    )
    assert error.__cause__ is RESET.cause


def test_a_resume_needs_no_retry_policy() -> None:
    """`retry=None` is about the time before the first event; a resume has its own policy."""
    assert run(plan(resume=RESUME, retry=None), ok(event(1), RESET), ok(A)).outcome == "completed"


def test_a_resume_repeats_the_request() -> None:
    """The same request is sent again, with `Last-Event-ID`, and with the same idempotency key."""
    result = run(plan(resume=RESUME, idempotency_key=KEY), ok(event(1), RESET), ok(A))
    assert [step.request for step in result.connects] == [POST, POST]
    assert result.connects[1].headers == {"Idempotency-Key": b"k1", "Last-Event-ID": b"1"}


def test_a_resume_elsewhere() -> None:
    """A resume may have a method and a URL of its own, which may come from the first response; a GET has no body."""
    resume = LastEventID(method="get", url=lambda response: f"http://test/streams/{response}")
    request = replace(POST, params={"a": 1}, headers={"X": "y"})
    first = answer(200, event(1), RESET, response="s1")
    second = answer(200, event(2), RESET, response="s2")
    result = run(plan(request, resume=resume), first, second, ok(A))
    again = Request(method="GET", url="http://test/streams/s1", headers={"X": "y"})
    assert [step.request for step in result.connects] == [request, again, again]


def test_a_used_up_body_cannot_be_resumed() -> None:
    """A body that can be sent once ends the stream at the first cut, unless the resume sends none."""
    request = Request(method="POST", url=URL, content=iter([b"x"]))
    result = run(plan(request, resume=RESUME), ok(event(1), RESET))
    assert "used up by one attempt" in str(result.failed(StreamInterrupted))
    result = run(plan(request, resume=LastEventID(method="GET")), ok(event(1), RESET), ok(A))
    assert (result.outcome, result.connects[1].request.content) == ("completed", None)


@pytest.mark.parametrize("bad", ["a\x0bb", "a\x0cb", "a\x7fb", "\x01"])
def test_an_id_that_http_cannot_carry(bad: str) -> None:
    """With an ID that no header can hold, the stream is interrupted rather than resumed somewhere else."""
    result = run(plan(resume=RESUME), ok(event(bad, "x"), RESET))
    error = result.failed(StreamInterrupted)
    assert (len(result.connects), error.last_event_id) == (1, bad)
    assert "cannot be sent in a header" in str(error)


def test_a_long_id_makes_no_long_error() -> None:
    """The text of an error is bounded, however long the ID is that it is about."""
    result = run(plan(resume=RESUME), ok(event("x" * 100_000 + "\x0b", "a"), RESET))
    assert len(str(result.error)) < 1000
    again = event("x" * 100_000, "a")
    result = run(plan(resume=RESUME), ok(again + event(2), RESET), ok(again))
    assert len(str(result.error)) < 1000


def test_a_long_code_makes_no_long_error() -> None:
    """The same of the code of an error event, and of a `Location` that cannot be followed."""
    code = f'data: {{"type": "error", "code": "{"x" * 100_000}"}}\n\n'.encode()
    assert len(str(run(plan(errors=ERRORS), ok(code)).error)) < 1000
    assert len(str(run(plan(GET), answer(302, location="http://[/" + "x" * 5000)).error)) < 1000


@pytest.mark.parametrize("depth", [100, 500, 900, 980, 990, 2_000, 9_000, 100_000])
@pytest.mark.parametrize(
    "data",
    ['{"type": "error", "code": %s}', '{"type": "error", "detail": %s}', '{"type": "error", "error": {"message": %s}}'],
)
def test_an_error_event_nested_deeply(data: str, depth: int) -> None:
    """An error event whose JSON is nested deeply is that error, and no other."""
    data = data % ("[" * depth + "]" * depth)
    result = run(plan(errors=ErrorEvent(event="error", code="code")), ok(f"event: error\ndata: {data}\n\n".encode()))
    assert len(str(result.failed(ErrorEventReceived))) < 1000


def test_a_body_that_a_cursor_cannot_send_again() -> None:
    """A cursor that sends the first body again cannot where that is used up; one that sends its own can."""
    request = Request(method="POST", url=URL, content=iter([b"x"]))
    same = Cursor(0, lambda cursor, _: cursor, lambda _, request: request)
    result = run(plan(request, resume=same), ok(event(1), RESET))
    assert "used up by one attempt" in str(result.failed(StreamInterrupted))
    other = Cursor(0, lambda cursor, _: cursor, lambda _, request: replace(request, content=None, json={}))
    assert run(plan(request, resume=other), ok(event(1), RESET), ok(A)).outcome == "completed"


# A server that starts over.


def test_a_server_that_starts_over() -> None:
    """An ID from before the last one, after a resume, is an error, and no event."""
    result = run(plan(resume=RESUME), ok(events(1, 2, 3), RESET), ok(events(1, 2, 3, 4)))
    error = result.failed(StreamInterrupted)
    assert (result.data, result.outcome, error.last_event_id) == (["1", "2", "3"], "interrupted", "3")
    assert "started over" in str(error)


@pytest.mark.parametrize(
    ("number", "is_noticed"),
    [(1, True), (2, False), (1975, False), (1978, True), (2500, True), (2999, True), (3000, False), (3001, False)],
)
def test_how_far_back_is_looked(number: int, is_noticed: bool) -> None:
    """Noticed are the first ID of the stream and the last 1,024; the very last is accepted, for IDs may repeat."""
    long = tuple(event(each) for each in range(1, 3001))
    result = run(plan(resume=RESUME), ok(*long, RESET), ok(event(number, "again")))
    assert (result.outcome == "interrupted") is is_noticed
    assert len(result.data) == 3000 + (not is_noticed)


def test_events_in_front_of_a_repeated_one_are_events() -> None:
    """What comes in front of the repeated ID is handed out, in one piece with it or not."""
    for body in ((event(4), event(1)), (event(4) + event(1),)):
        result = run(plan(resume=RESUME), ok(events(1, 2, 3), RESET), ok(*body))
        assert (result.data, result.outcome) == (["1", "2", "3", "4"], "interrupted")


def test_a_repeated_id_behind_the_terminator() -> None:
    """Behind the terminator nothing can fail, not even a server that starts over."""
    for body in ((event(4, END_TEXT), event(1)), (event(4, END_TEXT) + event(1),)):
        result = run(plan(resume=RESUME, terminator=DONE), ok(events(1, 2, 3), RESET), ok(*body))
        assert (result.data[3:], result.outcome) == ([END_TEXT], "completed")


def test_an_id_that_is_cleared_after_a_resume() -> None:
    """An event without any ID is no sign of a server that starts over."""
    result = run(plan(resume=RESUME), ok(A + b"id: 5\n\n", RESET), ok(b"id\n" + B))
    assert (result.data, result.outcome) == (["a", "b"], "completed")


def test_ids_may_repeat_without_a_resume() -> None:
    """Within one connection an ID may come as often as it likes."""
    assert run(plan(resume=RESUME), ok(events(1, 2, 1, 2, 1))).data == ["1", "2", "1", "2", "1"]


# Cursor.


def test_each_stream_has_a_cursor_of_its_own() -> None:
    """A cursor that `advance` changes in place is not that of other streams with the same `resume=`."""

    def advance(cursor: list[str], event: ServerSentEvent) -> list[str]:
        cursor.append(event.data)
        return cursor

    def request(cursor: list[str], request: Request) -> Request:
        return replace(request, json=list(cursor))

    initial: list[str] = []
    resume = Cursor(initial, advance, request)
    for _ in range(2):
        result = run(plan(resume=resume), ok(A, RESET), ok(B))
        assert result.connects[1].request.json == ["a"]
    assert resume.initial == []


def test_a_cursor() -> None:
    """`advance` is called once for each finished event, in order, and `request` makes the next one from its result."""
    advanced: list[str] = []

    def advance(cursor: int, event: ServerSentEvent) -> int:
        advanced.append(event.data)
        return cursor + 1

    def request(cursor: int, request: Request) -> Request:
        return replace(request, json={"after": cursor})

    cursor = Cursor(10, advance, request)
    result = run(plan(resume=cursor), ok(A + B, RESET), REFUSED, ok(b"data: c\n\n", RESET), ok(b"data: d\n\n"))
    assert result.data == advanced == ["a", "b", "c", "d"]
    assert [step.request.json for step in result.connects] == [
        {"message": "hi"},
        {"after": 12},
        {"after": 12},
        {"after": 13},
    ]
    assert result.ids == [None] * 4


def test_a_cursor_is_not_advanced_by_what_is_not_finished() -> None:
    """An event that is in the user's hands, or still pending, has not been finished with."""
    advanced: list[str] = []

    def advance(_: None, event: ServerSentEvent) -> None:
        advanced.append(event.data)

    result = Run(plan(resume=Cursor(None, advance, lambda _, request: request)), ok(A + B + b"data: c\n\n")).take(2)
    assert advanced in ([], ["a"])
    result.leave(ValueError())
    assert "b" not in advanced
    assert "c" not in advanced


def test_the_users_own_mistake_in_a_cursor() -> None:
    """An exception in `advance` comes out as it is."""

    def advance(_: None, event: ServerSentEvent) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(plan(resume=Cursor(None, advance, lambda _, request: request)), ok(A, RESET))


# subscribe -----------------------------------------------------------------------------------------------------------


def test_a_subscription_goes_on() -> None:
    """A subscription comes back after a clean end, after 3 s, behind the last event; a 204 ends it."""
    result = run(subscription(), ok(event(1)), ok(event(2), RESET), ok(), GONE)
    assert (result.data, result.outcome, result.error) == (["1", "2"], "completed", None)
    assert result.ids == [None, "1", "2", "2"]
    assert result.waits == approx([3, 3, 3])


def test_a_subscription_has_no_limit_of_attempts() -> None:
    """However often it fails, a subscription comes back, and an opened stream resets the delay."""
    result = run(subscription(), *[REFUSED] * 8, ok(), REFUSED, GONE)
    assert result.waits == approx([3, 6, 12, 24, 30, 30, 30, 30, 3, 6])


@pytest.mark.parametrize(
    "reply",
    [REFUSED, NO_ANSWER, answer(503), answer(429), answer(500), ok(RESET), ok(b"data: x"), ok(b": ping\n\n")],
)
def test_what_a_subscription_survives(reply: Reply) -> None:
    """No failure that may pass ends a subscription, before the first event or after."""
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
    """An answer that no other attempt would better ends a subscription, at any time, and is raised as it is."""
    result = run(subscription(), ok(A), reply)
    assert (type(result.error), result.outcome) == (kind, "failed")


@pytest.mark.parametrize(
    ("field", "delays"),
    [("retry: 500\n", [0.5, 1.0, 2.0]), ("retry: 0\n", [0.05] * 3), ("retry: 60000\n", [60.0, 60.0, 60.0])],
)
def test_the_reconnection_time_of_a_subscription(field: str, delays: list[float]) -> None:
    """The server's `retry` takes the place of the 3 s, also from a block without data."""
    result = run(subscription(), ok(field.encode() + b"\n"), REFUSED, REFUSED, ok(), GONE)
    assert result.waits == approx([*delays, delays[0]])


def test_a_subscription_goes_on_from_where_the_user_was() -> None:
    """`last_event_id=` is sent at once, and until the stream has an ID of its own; `id:` with nothing clears it."""
    result = run(subscription(last_event_id="7"), ok(A), ok(event(8)), ok(b"id\n" + A), GONE)
    assert result.ids == ["7", "7", "8", None]


def test_a_block_of_an_id_alone_counts_in_a_subscription() -> None:
    """An ID without data is where the next connection begins, before any event too."""
    result = run(subscription(), ok(b"id: 5\n\n"), GONE)
    assert result.ids == [None, "5"]


def test_a_moved_subscription() -> None:
    """A subscription comes back to the URL behind the redirect, as a browser does."""
    result = run(subscription(), answer(302, location="/feed"), ok(A), REFUSED, ok(B), GONE)
    assert [step.request.url for step in result.connects] == [URL] + ["http://test/feed"] * 4


@pytest.mark.parametrize("options", [{}, {"pings": frozenset({"ping"})}, {"errors": ERRORS}, {"terminator": DONE}])
def test_done_in_a_subscription(options: dict[str, Any]) -> None:
    """To a subscription `[DONE]` is an event like any other, as to a browser: it is handed out, and comes again."""
    body = A + b"data: [DONE]\n\n" + B
    result = run(subscription(**options), ok(body), ok(b"data: [DONE]\n\n"), ok(b"data: [DONE]"), GONE)
    assert (result.data, result.outcome) == (["a", "[DONE]", "b", "[DONE]"], "completed")
    assert result.waits == approx([3, 3, 3])


@pytest.mark.parametrize("terminator", [LAST, DONE | LAST])
def test_done_that_ends_a_subscription(terminator: Terminator) -> None:
    """A subscription that asks for `[DONE]` ends with it, and it is not handed out, as in any stream that asks."""
    result = run(subscription(terminator=terminator), ok(A), ok(B + b"data: [DONE]\n\n" + A))
    assert (result.data, result.outcome) == (["a", "b"], "completed")


def test_an_ended_feed() -> None:
    """A terminator and error events end a subscription too."""
    result = run(subscription(terminator=DONE), ok(A), ok(A + END + B))
    assert (result.data, result.outcome) == (["a", "a", END_TEXT], "completed")
    assert run(subscription(errors=ERRORS), ok(A + ERROR)).outcome == "error_event"


def test_a_subscription_with_a_policy_of_its_own() -> None:
    """A policy given to a subscription bounds the failures in a row; an opened stream resets them."""
    policy = RetryPolicy(max_retries=2, initial_delay=1.0, jitter=0.0)
    result = run(subscription(retry=policy), REFUSED, ok(A), REFUSED, ok(B), REFUSED, REFUSED)
    assert (result.data, type(result.error)) == (["a", "b"], ConnectionFailed)
    assert result.waits == approx([1, 1, 2, 1, 2])


# Clocks --------------------------------------------------------------------------------------------------------------


def clocks(**seconds: float | None) -> Timeouts:
    return Timeouts(**{"connect": None, "response": None, "read": None, **seconds})


CLOCKS = rows(
    ("read", clocks(read=10), (A, 11.0, B), "read", 10.0),
    ("read-comments-feed-it", clocks(read=10), (A, 8.0, b": ping\n", 8.0, b":\n", 8.0, B, 30.0), "read", 34.0),
    ("read-before-the-first-event", clocks(read=10), (11.0, A), "read", 10.0),
    ("first-event", clocks(first_event=10), (11.0, A), "first_event", 10.0),
    ("first-event-comments-do-not-feed-it", clocks(first_event=10), (b":\n", 6.0, b":\n", 6.0, A), "first_event", 10.0),
    ("first-event-ids-do-not-feed-it", clocks(first_event=10), (6.0, b"id: 1\n\n", 6.0, A), "first_event", 10.0),
    ("idle", clocks(idle=10), (30.0, A, 11.0, B), "idle", 40.0),
    ("idle-comments-do-not-feed-it", clocks(idle=10), (A, 6.0, b": ping\n\n", 6.0, B), "idle", 10.0),
    ("idle-named-events-feed-it", clocks(idle=10), (A, 6.0, b"event: ping\ndata\n\n", 6.0, B, 11.0), "idle", 22.0),
    ("idle-half-an-event-does-not-feed-it", clocks(idle=10), (A, 6.0, b"data: x\n", 6.0, b"\n"), "idle", 10.0),
    ("total", clocks(total=10), (A, 4.0, B, 4.0, A, 4.0, B), "total", 10.0),
    ("total-without-an-event", clocks(total=10), (b":\n", 6.0, b":\n", 6.0), "total", 10.0),
    ("the-first-of-several", clocks(total=10, idle=5, read=3), (A, 4.0), "read", 3.0),
    ("the-second-of-several", clocks(total=10, idle=5, read=30), (A, 6.0), "idle", 5.0),
)  # fmt: skip


@pytest.mark.parametrize(("timeouts", "body", "clock", "after"), CLOCKS)
def test_clocks(timeouts: Timeouts, body: tuple[Item, ...], clock: str, after: float) -> None:
    """Each clock measures its own silence, and its error names it."""
    result = run(plan(timeouts=timeouts, retry=None), ok(*body))
    error = result.failed(StreamTimeout)
    assert (error.clock, result.outcome) == (clock, "timeout")
    assert isinstance(error, TimeoutError)
    assert result.now - START == approx(after)


@pytest.mark.parametrize("timeouts", [clocks(), clocks(first_event=10, idle=10, read=10, total=1000)])
def test_a_stream_in_time(timeouts: Timeouts) -> None:
    """Clocks that do not run out change nothing, and clocks that are off never run."""
    result = run(plan(timeouts=timeouts), ok(9.0, A, 9.0, B, 9.0, b"data: c\n\n"))
    assert result.data == ["a", "b", "c"]


def test_clocks_that_are_off() -> None:
    """Without clocks there is no deadline, and a stream may be silent for ever."""
    result = run(plan(timeouts=Timeouts._of(None)), ok(1e9, A, 1e9, B))
    assert (result.data, result.session.deadline, result.session.has_deadlines) == (["a", "b"], inf, False)
    assert (result.connects[0].connect, result.connects[0].response) == (None, None)


@pytest.mark.parametrize("clock", ["idle", "first_event", "read"])
def test_the_users_own_code_takes_its_time(clock: str) -> None:
    """A clock that waits for data does not run while the user's code does."""
    result = Run(plan(timeouts=clocks(**{clock: 10})), ok(A + B, 5.0, b"data: c\n\n", 5.0))
    while result.next() is not None:
        result.now += 100.0
    assert (result.data, result.outcome) == (["a", "b", "c"], "completed")


def test_total_runs_while_the_user_works() -> None:
    """`total` is for the whole call; what was received before it ran out is handed out."""
    result = Run(plan(timeouts=clocks(total=10)), ok(A + B, b"data: c\n\n"))
    while result.next() is not None:
        result.now += 100.0
    assert (result.data, result.failed(StreamTimeout).clock) == (["a", "b"], "total")


@pytest.mark.parametrize("clock", ["read", "idle"])
def test_clocks_that_are_resumed(clock: str) -> None:
    """`read` and `idle` are a cut: the stream is taken up again, and then the clock begins anew."""
    result = run(plan(resume=RESUME, timeouts=clocks(**{clock: 10})), ok(event(1), 20.0), ok(8.0, event(2)))
    assert (result.data, result.ids) == (["1", "2"], [None, "1"])
    assert result.waits == approx([1.0])


def test_idle_after_a_resume() -> None:
    """On a resumed connection `idle` runs from its headers on; the attempts that bring nothing are counted."""
    result = run(plan(resume=RESUME, timeouts=clocks(idle=10)), ok(event(1), 20.0), *[ok(20.0)] * 5)
    error = result.failed(StreamInterrupted)
    assert isinstance(error.__cause__, StreamTimeout)
    assert (error.__cause__.clock, len(result.connects)) == ("idle", 6)


@pytest.mark.parametrize(("request_", "connects"), [(POST, 1), (GET, 2)])
@pytest.mark.parametrize("clock", ["read", "first_event"])
def test_clocks_before_the_first_event(request_: Request, connects: int, clock: str) -> None:
    """Before the first event, silence after a 2xx is ambiguous: retried where that is safe."""
    result = run(plan(request_, timeouts=clocks(**{clock: 10})), ok(20.0, A), *[ok(A)] * (connects - 1))
    assert len(result.connects) == connects
    assert (result.outcome == "completed") is (connects == 2)


@pytest.mark.parametrize(
    "plan_", [plan(resume=RESUME, timeouts=clocks(total=10)), subscription(timeouts=clocks(total=10))]
)
def test_total_is_never_resumed(plan_: Plan) -> None:
    """When the time for the whole call has run out, there is no other attempt."""
    result = run(plan_, ok(event(1), 20.0))
    assert (result.failed(StreamTimeout).clock, len(result.connects)) == ("total", 1)


def test_total_counts_all_attempts() -> None:
    """`total` runs from the first attempt on, waits included."""
    result = run(plan(GET, timeouts=clocks(total=10)), REFUSED, REFUSED, ok(A, 9.0))
    assert result.failed(StreamTimeout).clock == "total"
    assert result.now - START == approx(10.0)


def test_total_leaves_no_time_for_another_attempt() -> None:
    """A wait that would end after `total` is not begun; the failure itself is raised, and says so."""
    result = run(plan(timeouts=clocks(total=5)), answer(503, retry_after="6"))
    assert (result.waits, result.failed(StatusError).status_code) == ([], 503)
    assert "total of 5 s" in str(result.error)


def test_what_an_attempt_may_take() -> None:
    """An attempt gets its own clocks, cut to what is left of the total."""
    timeouts = Timeouts(connect=10, response=300, total=20)
    result = Run(plan(timeouts=timeouts, retry=RetryPolicy(initial_delay=15, max_delay=15, jitter=0)), REFUSED, ok())
    result.to_end()
    first, second = result.connects
    assert (first.connect, first.response) == approx((10, 20))
    assert (second.connect, second.response) == approx((5, 5))


ATTEMPT_CLOCKS = rows(
    ("response", {"response": 30}, {"is_timeout": True}, 30.0, "response"),
    ("response-a-little-early", {"response": 30}, {"is_timeout": True}, 29.99, "response"),
    ("response-by-our-deadline", {"response": 30}, {"is_deadline": True}, 30.0, "response"),
    ("connect", {"connect": 5}, {"is_timeout": True, "was_sent": False}, 5.0, "connect"),
    ("refused-called-a-timeout", {"connect": 5}, {"is_timeout": True, "was_sent": False}, 0.1, None),
    ("no-timeout", {"response": 30}, {}, 10.0, None),
    ("clock-is-off", {}, {"is_timeout": True}, 1000.0, None),
    ("lost-shortly-before-total", {"total": 20}, {}, 19.0, None),
)


@pytest.mark.parametrize(("seconds", "failure", "after", "clock"), ATTEMPT_CLOCKS)
def test_clocks_of_an_attempt(
    seconds: dict[str, float], failure: dict[str, bool], after: float, clock: str | None
) -> None:
    """Which clock of an attempt ran out is told by our time, whatever the client calls it."""
    result = Run(plan(timeouts=clocks(**seconds), retry=None))
    result.to(Connect)
    result.now += after
    result.session.not_answered(Failure(OSError("x"), "x", **failure), result.now)
    result.to_end()
    assert isinstance(result.error, ConnectionFailed)
    assert result.error.clock == clock
    assert result.outcome == "failed"


def test_total_before_the_headers() -> None:
    """A total that runs out before there are headers is a timeout of the stream too, and so a `TimeoutError`."""
    result = Run(plan(timeouts=clocks(total=20)))
    result.to(Connect)
    result.now += 20.0
    result.session.not_answered(Failure(OSError("x"), "x", is_timeout=True), result.now)
    result.to_end()
    assert isinstance(result.error, StreamTimeout)
    assert isinstance(result.error, TimeoutError)
    assert (result.error.clock, result.outcome) == ("total", "timeout")


def test_total_during_a_resume() -> None:
    """A total that runs out while a stream is taken up again is a timeout of the stream."""
    result = Run(plan(resume=RESUME, timeouts=clocks(total=20)), ok(event(1), RESET))
    result.to(Wait)
    result.now += 1.5
    assert isinstance(result.ask(), Connect)
    result.now = START + 20.0
    result.session.not_answered(Failure(TimeoutError(), "late", is_timeout=True), result.now)
    assert result.to_end().failed(StreamTimeout).clock == "total"


def test_a_timeout_that_is_none_of_ours() -> None:
    """A client's timeout before our clock has run out is a lost connection."""
    result = run(plan(timeouts=clocks(read=60)), ok(A, 5.0, Failure(TimeoutError(), "timed out", is_timeout=True)))
    assert result.outcome == "interrupted"


def test_the_deadline_moves() -> None:
    """The deadline of a read is that of the clock that runs out first, counted from when the user came back."""
    result = Run(plan(timeouts=clocks(first_event=5, idle=30, total=100)), ok(A, A, A))
    result.to(Read)
    assert result.session.deadline == approx(START + 5)
    result.do(Read())
    result.take(1)
    result.now += 50
    result.to(Read)
    assert result.session.deadline == approx(START + 80)
    result.now += 30
    result.session.received(B, result.now - 5)
    result.take(1)
    result.to(Read)
    assert result.session.deadline == approx(START + 100)


# Redirects -----------------------------------------------------------------------------------------------------------

SECURE = "https://test/chat"
FOLLOWED = rows(
    ("relative", "GET", URL, 302, "/b", "http://test/b"),
    ("absolute", "GET", URL, 301, "http://test/b?c=d", "http://test/b?c=d"),
    ("sibling", "GET", "http://test/a/b", 302, "c", "http://test/a/c"),
    ("see-other", "GET", URL, 303, "/b", "http://test/b"),
    ("head", "HEAD", URL, 303, "/b", "http://test/b"),
    ("307", "GET", URL, 307, "/b", "http://test/b"),
    ("308", "GET", URL, 308, "/b", "http://test/b"),
    ("post-307", "POST", URL, 307, "/b", "http://test/b"),
    ("post-308", "POST", URL, 308, "/b", "http://test/b"),
    ("same-port", "GET", URL, 302, "http://test:80/b", "http://test:80/b"),
    ("other-case", "GET", URL, 302, "HTTP://TEST/b", None),
    ("http-to-https", "POST", URL, 307, SECURE, SECURE),
    ("scheme-relative", "GET", SECURE, 302, "//test/b", "https://test/b"),
)


@pytest.mark.parametrize(("method", "url", "status", "location", "target"), FOLLOWED)
def test_redirects_that_are_followed(method: str, url: str, status: int, location: str, target: str | None) -> None:
    """A redirect within the origin is followed, with the body and all headers, and is not another attempt."""
    request = Request(method=method, url=url, params={"a": "1"}, content="x")
    result = run(plan(request), answer(status, location=location), ok(A))
    assert result.data == ["a"]
    first, second = result.connects
    assert second.request == replace(request, url=target or second.request.url, params=None)
    assert (first.is_foreign, second.is_foreign) == (False, False)
    assert result.session.stats(result.now).attempts == 1


NOT_FOLLOWED = rows(
    ("other-host", "GET", URL, 302, "http://other/b", "another origin, http://other"),
    ("other-port", "GET", URL, 302, "http://test:81/b", "another origin"),
    ("subdomain", "GET", URL, 302, "http://a.test/b", "another origin"),
    ("https-to-http", "GET", SECURE, 302, URL, "from https to http"),
    ("http-to-https-elsewhere", "GET", URL, 302, "https://other/b", "another origin"),
    ("http-to-https-other-port", "GET", URL, 302, "https://test:8443/b", "another origin"),
    ("other-scheme", "GET", URL, 302, "ftp://test/b", "another origin"),
    ("scheme-relative", "GET", URL, 302, "//other/b", "another origin"),
    ("secret", "GET", URL, 302, "http://me:secret@other/?token=secret", "another origin, http://other;"),
    ("post-301", "POST", URL, 301, "/b", "a POST would become a GET"),
    ("post-302", "POST", URL, 302, "/b", "a POST would become a GET"),
    ("post-303", "POST", URL, 303, "/b", "a POST would become a GET"),
    ("put-302", "PUT", URL, 302, "/b", "a PUT would become a GET"),
    ("empty", "GET", URL, 302, "", "Location is empty, or no URL"),
    ("blank", "GET", URL, 302, "  ", "Location is empty, or no URL"),
    ("broken", "GET", URL, 302, "http://[", "Location is empty, or no URL"),
    ("broken-port", "GET", URL, 302, "http://test:x/", "Location is empty, or no URL"),
    ("broken-secret", "GET", URL, 302, "http://[/?token=secret", "Location is empty, or no URL"),
)


@pytest.mark.parametrize(("method", "url", "status", "location", "why"), NOT_FOLLOWED)
def test_redirects_that_are_refused(method: str, url: str, status: int, location: str, why: str) -> None:
    """Any other redirect is a `StatusError` that says why it was not followed, and shows no secret."""
    result = run(plan(Request(method=method, url=url)), answer(status, location=location))
    error = result.failed(StatusError)
    assert (error.status_code, len(result.connects)) == (status, 1)
    assert why in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_nowhere(status: int) -> None:
    """A redirect without a `Location` is a `StatusError`."""
    assert run(plan(GET), answer(status)).failed(StatusError).status_code == status


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_what_is_no_redirect(status: int) -> None:
    """Other 3xx are not followed, whatever their `Location`."""
    assert run(plan(GET), answer(status, location="/b")).failed(StatusError).status_code == status


@pytest.mark.parametrize("location", ["http://other/b", "http://test:81/b"])
def test_another_origin_gets_no_credentials(location: str) -> None:
    """With `cross_origin_redirects=True` another origin is followed, and marked as foreign from then on."""
    result = run(
        plan(cross_origin_redirects=True),
        answer(307, location=location),
        answer(307, location="/c"),
        answer(307, location=URL),
        ok(A),
    )
    assert [step.is_foreign for step in result.connects] == [False, True, True, True]
    assert result.connects[1].request.url == location


def test_a_redirect_of_a_used_up_body() -> None:
    """A body that can be sent once cannot be redirected."""
    result = run(plan(Request(method="POST", url=URL, content=iter([b"x"]))), answer(307, location="/b"))
    assert "cannot be sent again" in str(result.failed(StatusError))


def test_redirects_are_bounded() -> None:
    """Twenty redirects are followed, the next one is not."""
    result = run(plan(GET), *[answer(302, location="/b")] * 20, ok(A))
    assert (result.data, len(result.connects)) == (["a"], 21)
    result = run(plan(GET), *[answer(302, location="/b")] * 21)
    assert (result.failed(StatusError).status_code, len(result.connects)) == (302, 21)


def test_a_retry_begins_at_the_first_url() -> None:
    """A retry is of the first request, and may be redirected as often as that."""
    replies = [answer(307, location=f"/{number}") for number in range(20)]
    result = run(plan(), *replies, answer(503), *replies, ok(A))
    assert result.data == ["a"]
    assert result.connects[21].request == POST


def test_a_resume_goes_on_behind_the_redirect() -> None:
    """A resume asks where the stream was; one to a URL of its own goes there."""
    result = run(plan(resume=RESUME), answer(307, location="/b"), ok(event(1), RESET), ok(A))
    assert [step.request.url for step in result.connects] == [URL, "http://test/b", "http://test/b"]
    resume = LastEventID(url="http://test/resume")
    result = run(plan(resume=resume), answer(307, location="/b"), ok(event(1), RESET), ok(A))
    assert [step.request.url for step in result.connects] == [URL, "http://test/b", "http://test/resume"]


def test_a_foreign_stream_stays_foreign() -> None:
    """A resume on another origin is without credentials too; a retry, which begins anew, is not."""
    foreign = answer(307, location="http://other/b")
    result = run(plan(resume=RESUME, cross_origin_redirects=True), foreign, ok(event(1), RESET), ok(A))
    assert [step.is_foreign for step in result.connects] == [False, True, True]
    result = run(plan(GET, cross_origin_redirects=True), foreign, answer(503), ok(A))
    assert [step.is_foreign for step in result.connects] == [False, True, False]


def test_a_resume_by_get_follows_as_a_get() -> None:
    """It is the method of the request itself that decides which redirects it follows."""
    result = run(plan(resume=LastEventID(method="GET")), ok(event(1), RESET), answer(302, location="/b"), ok(A))
    assert (result.outcome, result.connects[-1].request.url) == ("completed", "http://test/b")


# Per attempt ---------------------------------------------------------------------------------------------------------


def test_401_asks_for_the_headers_once_more() -> None:
    """A 401 is tried once more, at once, where the headers come from a function."""
    result = run(plan(can_refresh=True), answer(401), ok(A))
    assert (result.data, result.waits, len(result.connects)) == (["a"], [], 2)


def test_401_twice() -> None:
    """The second 401 is raised."""
    result = run(plan(can_refresh=True), answer(401), answer(401))
    assert (result.failed(StatusError).status_code, len(result.connects)) == (401, 2)


def test_401_again_after_an_opened_stream() -> None:
    """A stream that was opened has shown that the headers were good: a later 401 asks for them again."""
    result = run(plan(can_refresh=True, resume=RESUME), answer(401), ok(event(1), RESET), answer(401), ok(A))
    assert (result.outcome, result.waits) == ("completed", approx([1.0]))


def test_401_of_another_origin() -> None:
    """Another origin never gets the headers, so there is nothing to ask for."""
    asked = plan(can_refresh=True, cross_origin_redirects=True)
    result = run(asked, answer(307, location="http://other/"), answer(401))
    assert (result.failed(StatusError).status_code, len(result.connects)) == (401, 2)


def test_401_and_a_used_up_body() -> None:
    """A body that can be sent once is not sent again for a 401."""
    result = run(plan(Request(method="POST", url=URL, content=iter([b""])), can_refresh=True), answer(401))
    assert len(result.connects) == 1


def test_403_is_no_401() -> None:
    """No other status asks for the headers anew."""
    assert len(run(plan(can_refresh=True), answer(403)).connects) == 1


def test_401_does_not_use_up_a_retry() -> None:
    """A 401 that is tried once more is no failure: the retries are all there."""
    result = run(plan(can_refresh=True), answer(401), answer(503), answer(503), ok(A))
    assert (result.data, result.waits) == (["a"], approx([0.5, 1.0]))


# Stopping ------------------------------------------------------------------------------------------------------------


def at_connect(plan: Plan) -> Run:
    result = Run(plan)
    result.to(Connect)
    return result


def at_read(plan: Plan) -> Run:
    result = Run(plan, ok(A))
    result.to(Read)
    return result


def at_event(plan: Plan) -> Run:
    return Run(plan, ok(events(1, 2, 3))).take(2)


def at_read_body(plan: Plan) -> Run:
    result = Run(plan, answer(503))
    result.to(ReadBody)
    return result


def at_wait(plan: Plan) -> Run:
    result = Run(plan, REFUSED)
    result.to(Wait)
    return result


def at_wait_to_resume(plan: Plan) -> Run:
    result = Run(plan, ok(event(1), RESET))
    result.to(Wait)
    return result


PHASES = [at_connect, at_read, at_event, at_read_body, at_wait, at_wait_to_resume]
WHATEVER: dict[str, Callable[[Session, float], object]] = {
    "accepted": lambda session, now: session.answered(Head(200, httpx.Headers({"Content-Type": STREAM}), URL), now),
    "refused-503": lambda session, now: session.answered(Head(503, httpx.Headers(), URL), now),
    "redirected": lambda session, now: session.answered(Head(307, httpx.Headers({"Location": "/b"}), URL), now),
    "not_answered": lambda session, now: session.not_answered(REFUSED, now),
    "received": lambda session, now: session.received(events(7, 8), now),
    "ended": lambda session, now: session.ended(now),
    "lost": lambda session, now: session.lost(RESET, now),
    "refused": lambda session, now: session.refused(b"", now),
    "drained": lambda session, now: session.drained(now),
}


@pytest.mark.parametrize("happens", WHATEVER)
@pytest.mark.parametrize("phase", PHASES)
def test_close(phase: Callable[[Plan], Run], happens: str) -> None:
    """After `close` no event and no request goes out, whatever happens: the stream is cancelled, without an error."""
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
    result = Run(plan())
    result.session.close()
    assert result.to_end().steps == [Stop(None)]
    assert result.outcome == "cancelled"


def test_close_after_the_end() -> None:
    """Closing what has ended changes nothing."""
    result = run(plan(), ok(A, RESET))
    result.session.close()
    result.session.leave(None, result.now)
    assert (result.to_end().outcome, type(result.error)) == ("interrupted", StreamInterrupted)


def test_close_behind_the_terminator() -> None:
    """Who has had the terminator, has had it all: closing the stream then leaves it completed."""
    result = Run(plan(terminator=DONE), ok(END)).take(1)
    result.session.close()
    assert (result.to_end().outcome, result.error) == ("completed", None)


def test_close_with_the_terminator_pending() -> None:
    """A terminator that has not been handed out is as good as none: the stream is cancelled."""
    result = Run(plan(terminator=DONE), ok(A + END)).take(1)
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
def test_leave(phase: Callable[[Plan], Run], error: BaseException | None, outcome: Outcome) -> None:
    """Leaving early is `abandoned`, by the user's own exception too; by what is no `Exception`, `cancelled`."""
    result = phase(plan(resume=RESUME)).leave(error)
    assert (result.outcome, result.error) == (outcome, None)
    assert result.to_end().outcome == outcome


@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt()])
def test_leave_after_close(error: BaseException | None) -> None:
    """A stream that was closed by somebody else is cancelled, however its loop is left."""
    result = at_event(plan())
    result.session.close()
    assert result.leave(error).outcome == "cancelled"


def test_leave_before_the_beginning() -> None:
    """A stream that is left before it began never sends a request."""
    result = Run(plan()).leave()
    assert (result.steps, result.outcome) == ([Stop(None)], "abandoned")


def test_leave_after_the_terminator() -> None:
    """Leaving at the terminator is the end, and no abandonment."""
    result = Run(plan(terminator=DONE), ok(A + END)).take(2).leave()
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
    """Who fails on the last event has not had it: the stream is abandoned, whether its end has been received or not."""
    result = Run(plan(**options), ok(*body)).take(2).leave(error)
    assert (result.outcome, result.error) == (outcome, None)
    assert result.to_end().outcome == outcome


def test_fail_after_the_end() -> None:
    """Who fails when the end was told has had it all."""
    result = run(plan(terminator=DONE), ok(A + END)).leave(ValueError())
    assert result.outcome == "completed"


@pytest.mark.parametrize("error", [None, ValueError()], ids=["in-good-order", "by-an-error"])
def test_leave_before_a_pending_error_event(error: Exception | None) -> None:
    """An error event that was received, but that the user has left before, is never raised, and no outcome."""
    result = Run(plan(errors=ERRORS), ok(A + B + ERROR)).take(1).leave(error)
    assert (result.outcome, result.error) == ("abandoned", None)


def test_leave_before_a_pending_terminator() -> None:
    """Who leaves before the last event has left early, even where the end has been received."""
    result = Run(plan(terminator=DONE), ok(A + B + END)).take(1).leave()
    assert result.outcome == "abandoned"


def test_an_end_is_said_again() -> None:
    """Asked again, a stream that failed says the same thing again."""
    result = run(plan(), ok(A, RESET))
    assert result.ask() is not None
    assert [step.error for step in result.steps if isinstance(step, Stop)] == [result.error] * 2


# What users ask ------------------------------------------------------------------------------------------------------


def test_the_last_event_id_at_each_point() -> None:
    """An event is finished when the user comes back for the next, not when it is handed out."""
    result = Run(plan(last_event_id="0"), ok(events(1, 2) + A, b"id: 4\n\n", event(5)))
    seen = [result.session.last_event_id]
    while result.next() is not None:
        seen.append(result.session.last_event_id)
    seen.append(result.session.last_event_id)
    assert seen == ["0", "0", "1", "2", "4", "5"]


@pytest.mark.parametrize(
    ("error", "last"), [(None, "2"), (ValueError(), "1"), (KeyboardInterrupt(), "1"), (GeneratorExit(), "1")]
)
def test_leaving_finishes_an_event(error: BaseException | None, last: str) -> None:
    """Leaving without an exception finishes the event in hand; leaving by one does not, nor what is pending."""
    result = Run(plan(resume=RESUME), ok(events(1, 2, 3))).take(2)
    result.session.leave(error, result.now)
    assert result.session.last_event_id == last
    result.ask()
    assert result.session.last_event_id == last


@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt()])
def test_leaving_forgets_what_is_pending(error: BaseException | None) -> None:
    """After leaving in the middle of a piece, what was handed out is counted, and nothing more is handed out."""
    result = Run(plan(resume=RESUME), ok(events(1, 2, 3, 4))).take(2).leave(error)
    assert result.session.stats(result.now).events == 2
    assert list(result.session.ready) == []
    assert result.session.stats(result.now).events == 2


def test_closing_finishes_nothing_that_was_not_handed_out() -> None:
    """After a close in the middle of a piece, the events behind are none that the user has finished with."""
    result = Run(plan(resume=RESUME), ok(events(1, 2, 3, 4))).take(2)
    result.session.close()
    assert result.session.last_event_id == "1"
    result.to_end()
    assert result.session.last_event_id in ("1", "2")
    assert result.session.stats(result.now).events == 2


def test_leaving_at_the_end_of_a_piece() -> None:
    """Leaving finishes blocks of an ID that came in one piece with the last event."""
    result = Run(plan(), ok(events(1) + b"id: 2\n\n")).take(1).leave()
    assert result.session.last_event_id == "2"


def test_leaving_by_an_exception_at_the_terminator() -> None:
    """An exception of the user's at the last event has not finished that one."""
    result = Run(plan(terminator=DONE), ok(event(1) + event(2, END_TEXT))).take(2)
    result.leave(ValueError())
    assert result.session.last_event_id == "1"


def test_an_error_knows_what_was_finished() -> None:
    """The error of a stream has the ID of the last event, and its numbers."""
    error = run(plan(), ok(events(1, 2) + b": x\n", RESET)).failed(StreamInterrupted)
    assert (error.last_event_id, error.stats.events) == ("2", 2)
    assert (error.stats.events, error.stats.comments, error.stats.attempts) == (2, 1, 1)


def test_the_state() -> None:
    """A stream waits for its first event, streams, and is closed; a resume is streaming all the while."""
    result = Run(plan(resume=RESUME), ok(event(1), RESET), ok(event(2)))
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
    """Entering is done once an answer is accepted, or when the stream is over without an error."""
    result = Run(plan(), REFUSED, ok(A))
    result.to(Wait)
    assert not result.session.is_open
    result.to(Read)
    assert result.session.is_open
    assert run(plan(), GONE).session.is_open
    assert not run(plan(), answer(404)).session.is_open


def test_the_latest_head() -> None:
    """The head that is shown is that of the latest answer."""
    result = run(plan(resume=RESUME), answer(307, location="/b"), ok(event(1), RESET), answer(206, A))
    assert result.session.head is result.heads[-1]
    assert result.heads[-1].status_code == 206


def test_the_numbers() -> None:
    """The statistics count over all attempts, and their times are those of the waiting."""
    first = answer(200, b": hi\n\n", 3.0, event(1), 4.0, event(2), RESET, after=2.0)
    result = Run(plan(resume=RESUME, can_refresh=True), answer(401, after=1.0), first, ok(6.0, event(3), 1.0))
    result.to_end()
    stats = result.session.stats(result.now + 100)
    body = len(b": hi\n\n" + events(1, 2, 3))
    assert (stats.attempts, stats.connections, stats.events, stats.comments, stats.bytes) == (3, 2, 3, 1, body)
    assert stats.time_to_headers == approx(3.0)
    assert stats.time_to_first_event == approx(6.0)
    assert stats.longest_gap == approx(7.0)  # a wait of 1 s, and 6 s of silence
    assert stats.duration == approx(3 + 3 + 4 + 1 + 6 + 1)


def test_the_numbers_in_between() -> None:
    """The statistics of a stream that runs are those of now; before it began they are nothing."""
    result = Run(plan(), ok(A + B))
    assert result.session.stats(result.now) == result.session.stats(result.now + 5)
    assert result.session.stats(result.now).time_to_headers is None
    result.take(1)
    stats = result.session.stats(result.now + 5)
    assert (stats.events, stats.duration) == (1, approx(5.0))


def test_errors_of_a_stream_carry_the_numbers_of_their_end() -> None:
    """The statistics in an error are those of the moment it was raised."""
    error = run(plan(timeouts=clocks(idle=10)), ok(2.0, A, 20.0)).failed(StreamTimeout)
    assert error.stats.duration == approx(12.0)


# What holds for all --------------------------------------------------------------------------------------------------

PATIENT = RetryPolicy(max_retries=None, retry_ambiguous=True)
FAULTS: list[Reply] = [REFUSED, NO_ANSWER, answer(503), answer(429, retry_after="1")]
RESUME_FAULTS: list[Reply] = [*FAULTS, JSON, HTML, ok(b": ping\n\n", RESET)]
ENDING = "end"


def block(number: int, has_extra: bool) -> bytes:
    """One event of the feed, some with a comment and a `retry` around it."""
    return (b": ping\n\nretry: 10\n\n" if has_extra else b"") + event(number)


@dataclass
class Feed:
    """A server that goes on behind `Last-Event-ID`, and cuts its answers anywhere."""

    blocks: list[bytes]
    cuts: list[tuple[int, int, int]]
    """For each answer: after how many bytes it is cut, the size of its pieces, and which fault comes in its place."""

    def reply(self, step: Connect, has_begun: bool) -> Reply:
        begin = int(step.headers.get("Last-Event-ID", b"0"))
        body = b"".join(self.blocks[begin:])
        whole = body + f"event: {ENDING}\ndata\n\n".encode()
        if not self.cuts:
            return ok(whole)
        length, size, fault = self.cuts.pop()
        faults = RESUME_FAULTS if has_begun else FAULTS
        if fault < len(faults):
            return faults[fault]
        length %= len(whole)
        # An end in good order inside of the terminator would be the end: only its blank line is missing.
        is_reset = fault % 2 == 1 or length > len(body)
        return ok(*in_pieces((whole[:length],), size), *[RESET] * is_reset)


CUTS = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 60), st.integers(0, 25)), max_size=12)
BLOCKS = st.lists(st.booleans(), max_size=12).map(lambda extras: [block(n, x) for n, x in enumerate(extras, 1)])


def drive(feed: Feed, plan: Plan, limit: int | None = None) -> Run:
    """Read a feed to its end, or leave it in the middle of the event `limit`."""
    result = Run(plan)
    while limit is None or len(result.events) < limit:
        for each in result.session.ready:
            result.events.append(each)
            break
        else:
            result.server = lambda step: feed.reply(step, bool(result.events))
            if isinstance(result.advance(), Stop):
                return result
    return result


@given(BLOCKS, CUTS)
@settings(max_examples=150, deadline=None)
def test_each_event_exactly_once(blocks: list[bytes], cuts: list[tuple[int, int, int]]) -> None:
    """Wherever a stream is cut, by whatever faults, each event is handed out once and in order, up to its end."""
    options: dict[str, Any] = {
        "retry": PATIENT,
        "resume": LastEventID(retry=PATIENT),
        "terminator": Terminator(event=ENDING),
    }
    result = drive(Feed(blocks, cuts), plan(**options))
    assert [event.data for event in result.events] == [str(number) for number in range(1, len(blocks) + 1)] + [""]
    assert (result.outcome, result.error) == ("completed", None)
    assert isinstance(result.ask(), Stop)


@given(BLOCKS, CUTS, st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_one_outcome_and_no_request_after_it(
    blocks: list[bytes], cuts: list[tuple[int, int, int]], retries: int
) -> None:
    """With few attempts, what is handed out is the beginning of the stream, there is one outcome, and then silence."""
    policy = RetryPolicy(max_retries=retries)
    options: dict[str, Any] = {
        "retry": policy,
        "resume": LastEventID(retry=policy),
        "terminator": Terminator(event=ENDING),
    }
    result = drive(Feed(blocks, cuts), plan(**options))
    whole = [str(number) for number in range(1, len(blocks) + 1)] + [""]
    assert result.data == whole[: len(result.data)]
    assert (result.outcome == "completed") is (result.error is None) is (result.data == whole)
    if isinstance(result.error, StreamError):
        assert result.error.stats.events == len(result.data)
    last = result.steps[-1]
    for happens in WHATEVER.values():
        happens(result.session, result.now)
        assert result.ask() == last
    assert [type(step) for step in result.steps].index(Stop) == len(result.steps) - 1 - len(WHATEVER)


@given(BLOCKS, CUTS, CUTS, st.integers(0, 12), st.sampled_from([None, ValueError(), KeyboardInterrupt()]))
@settings(max_examples=150, deadline=None)
def test_another_stream_goes_on(
    blocks: list[bytes],
    cuts: list[tuple[int, int, int]],
    later: list[tuple[int, int, int]],
    limit: int,
    error: BaseException | None,
) -> None:
    """With the ID that a stream was left with, another goes on: behind the event in hand, or with it after an error."""
    options: dict[str, Any] = {
        "retry": PATIENT,
        "resume": LastEventID(retry=PATIENT),
        "terminator": Terminator(event=ENDING),
    }
    first = drive(Feed(blocks, cuts), plan(**options), limit)
    first.leave(error)
    second = drive(Feed(blocks, later), plan(**options, last_event_id=first.session.last_event_id))
    finished = first.data if error is None else first.data[:-1]
    finished = [data for data in finished if data]
    assert finished + second.data == [str(number) for number in range(1, len(blocks) + 1)] + [""]


@pytest.mark.parametrize(
    ("timeouts", "watched", "unwatched"),
    [
        (Timeouts(), 300.0, 300.0),
        (Timeouts(read=None), None, None),
        (Timeouts(total=60.0), 300.0, 50.0),
        (Timeouts(total=600.0), 300.0, 300.0),
        (Timeouts(first_event=5.0, idle=20.0), 300.0, 20.0),
        (Timeouts(first_event=20.0, idle=5.0), 300.0, 20.0),
        (Timeouts(first_event=5.0), 300.0, 300.0),
        (Timeouts(idle=5.0), 300.0, 300.0),
        (Timeouts(total=10.0, read=None), None, MIN_TIMEOUT),
    ],
)
def test_read_timeout(timeouts: Timeouts, watched: float | None, unwatched: float | None) -> None:
    """Where nobody watches the deadline, the read timeout stands in for it, and is too early for none of the clocks."""
    session = Session(plan(timeouts=timeouts), random=lambda: 0.0, utc_now=lambda: TODAY)
    session.next_step(100.0)
    assert session.read_timeout(110.0, is_watched=True) == watched
    assert session.read_timeout(110.0, is_watched=False) == unwatched
