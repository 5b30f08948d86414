"""A scripted server and a scripted user around a session; every step and every event is recorded."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, nextafter
from typing import Any, TypeAlias, TypeVar

import httpx
import pytest

from sse_client._core.phases import Outcome
from sse_client._core.plan import Plan
from sse_client._core.session import Session
from sse_client._core.steps import Connect, Drain, Failure, Head, Read, ReadBody, Step, Stop, Wait
from sse_client._errors import (
    SSEError,
)
from sse_client._event import ServerSentEvent
from sse_client._marks import ErrorEvent, Terminator
from sse_client._request import Request
from sse_client._resume import LastEventID
from sse_client._retry import RetryPolicy
from sse_client._timeouts import Timeouts

URL = "http://test/chat"
STREAM = "text/event-stream"
START = 1000.0
TODAY = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)

# Of any type, so that it may be in a tuple with others.
approx: Any = pytest.approx

Item: TypeAlias = bytes | Failure | float
E = TypeVar("E", bound=SSEError)
S = TypeVar("S", bound=Connect | Read | ReadBody | Drain | Wait | Stop)


@dataclass(frozen=True)
class Answer:
    """The server's response to one request: a head and a body, in which a float is that many seconds of silence."""

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

A, B = b"data: a\n\n", b"data: b\n\n"
END = b'data: {"type": "done"}\n\n'
END_TEXT = '{"type": "done"}'
ERROR = b'data: {"type": "error", "message": "too busy", "code": 7}\n\n'
ERRORS = ErrorEvent(field="type", values={"error"})
LAST = Terminator(data="[DONE]")

NO_ANSWER = Failure(ConnectionResetError("lost"), "lost")
KEY = ("Idempotency-Key", "k1")
AMBIGUOUS_OK = RetryPolicy(jitter=0.0, retry_ambiguous=True)


def plan(request: Request = POST, **options: Any) -> Plan:
    return Plan(**{"request": request, "retry": NO_JITTER, **options})


def clocks(**seconds: float | None) -> Timeouts:
    return Timeouts(**{"connect": None, "response": None, "read": None, **seconds})


def subscription(**options: Any) -> Plan:
    return Plan(**{"request": GET, "is_subscription": True, "retry": RetryPolicy.RECONNECT, **options})


class Scene:
    """A stream between a scripted server and a scripted user; every step and every event is recorded."""

    hurries = False
    """Whether to read on without asking while the session says that another read is next, as the shells do."""

    def __init__(self, plan: Plan, *replies: Reply, random: float = 0.0) -> None:
        self.session = Session(plan, random=lambda: random, utc_now=lambda: TODAY)
        self.now = START
        self.steps: list[Step] = []
        self.events: list[ServerSentEvent] = []
        self.values: list[Any] = []
        """The values that a reader has made of the events."""
        self.heads: list[Head] = []
        self._plan = plan
        self.server: Callable[[Connect], Reply] = self._next_reply
        self._replies = list(replies)
        self._body: list[Item] = []

    # The record.

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

    # The actions.

    def ask(self) -> Step:
        step = self.session.next_step(self.now)
        self.steps.append(step)
        return step

    def advance(self) -> Step:
        """Do the next step."""
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
            self.session.not_responded(reply, self.now)
            return
        if step.response is not None and reply.after > step.response:
            self.now += step.response
            timeout = Failure(TimeoutError("no headers"), "no headers", is_timeout=True)
            self.session.not_responded(timeout, self.now)
            return
        self.now += reply.after
        self._body = list(reply.body)
        url = reply.url or step.request.url
        head = Head(reply.status, httpx.Headers(reply.headers), url, reply.response, reply.reason)
        self.heads.append(head)
        self.session.responded(head, self.now)

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
        """Take the next event, as a `for` does; `None` at the end, or at an error."""
        reading = self.session.reading
        while True:
            for each in self.session.ready:
                self.events.append(each)
                if reading is not None:
                    self.values += reading.read(each)
                return each
            if reading is not None:
                self.values += reading.rest()
            step = self.advance()
            if isinstance(step, Stop):
                return None

    def to_end(self) -> "Scene":
        """Read to the end. Check that the end is final, and has exactly one outcome."""
        while self.next() is not None:
            assert len(self.events) < 10_000
        outcome, last = self.session.outcome, self.steps[-1]
        assert outcome is not None
        assert self.session.next_step(self.now + 9.0) == last
        assert self.session.outcome == outcome
        assert self.session.state == "closed"
        return self

    def take(self, count: int) -> "Scene":
        """Take that many events, and be busy with the last of them."""
        for _ in range(count):
            assert self.next() is not None
        return self

    def to(self, kind: type[S]) -> S:
        """Go on to the first step of that kind, without doing it."""
        while True:
            for each in self.session.ready:
                self.events.append(each)
            step = self.ask()
            if isinstance(step, kind):
                return step
            assert not isinstance(step, Stop), step
            self.do(step)

    def leave(self, error: BaseException | None = None) -> "Scene":
        """Leave the stream, as a `with` does."""
        self.session.leave(error, self.now)
        while not isinstance(step := self.ask(), Stop):
            self.do(step)
        return self


def run(plan: Plan, *replies: Reply, random: float = 0.0) -> Scene:
    return Scene(plan, *replies, random=random).to_end()


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


WHATEVER: dict[str, Callable[[Session, float], object]] = {
    "accepted": lambda session, now: session.responded(Head(200, httpx.Headers({"Content-Type": STREAM}), URL), now),
    "refused-503": lambda session, now: session.responded(Head(503, httpx.Headers(), URL), now),
    "redirected": lambda session, now: session.responded(Head(307, httpx.Headers({"Location": "/b"}), URL), now),
    "not_responded": lambda session, now: session.not_responded(REFUSED, now),
    "received": lambda session, now: session.received(events(7, 8), now),
    "ended": lambda session, now: session.ended(now),
    "lost": lambda session, now: session.lost(RESET, now),
    "refused": lambda session, now: session.refused(b"", now),
    "drained": lambda session, now: session.drained(now),
}
"""Everything that may still happen to a session, even after it is over."""
