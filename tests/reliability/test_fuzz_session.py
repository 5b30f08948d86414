"""
A session in random orders: every order of calls by a shell, a server, a user and the clock.

Hypothesis plays the shell, one call at a time, so that anything may come between any two of them: time passes, another
thread closes the stream in the middle of a step, the user leaves, the stats are read. The server is honest, and every
transient failure is retried without a limit, so the right result is known: all of the stream, unless it was closed,
left, or finally refused.
"""

import itertools
from datetime import UTC, datetime
from math import nextafter
from typing import Any

import httpx
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from reliability.proof import SEED, Ledger, fuzz
from sse_client import LastEventID, RetryPolicy, SSEError, StreamError, Terminator, Timeouts
from sse_client._core.phases import Outcome
from sse_client._core.place import MAX_IDS
from sse_client._core.plan import Plan
from sse_client._core.session import Session
from sse_client._core.steps import Connect, Drain, Failure, Head, Read, ReadBody, Step, Stop, Wait
from sse_client._request import Request

URL = "http://test.example.org/chat"
EVENTS = 30
FEED = [str(number) for number in range(1, EVENTS + 1)]
END = b"event: end\ndata: end\n\n"

PATIENT = RetryPolicy(max_retries=None, jitter=1.0, retry_ambiguous=True)
PLAN = Plan(
    request=Request(method="POST", url=URL, json={"message": "hi"}),
    retry=PATIENT,
    resume=LastEventID(retry=PATIENT),
    terminator=Terminator(event="end"),
    timeouts=Timeouts(first_event=60.0, idle=60.0),
)

PASSING_ANSWERS: list[tuple[int, dict[str, str]]] = [
    *[(status, {}) for status in (408, 409, 425, 429, 500, 503)],
    *[(503, {"Retry-After": "7"}), (400, {"x-should-retry": "true"}), (307, {"Location": "/elsewhere"})],
]
PASSING = st.sampled_from(PASSING_ANSWERS)
FINAL_ANSWERS: list[tuple[int, dict[str, str]]] = [
    *[(status, {}) for status in (302, 400, 404, 501)],
    *[(503, {"Retry-After": "500"}), (500, {"x-should-retry": "false"})],
]
FINAL = st.one_of(st.sampled_from(PASSING_ANSWERS), st.sampled_from(FINAL_ANSWERS))
FAILURES = st.sampled_from(
    [
        Failure(ConnectionRefusedError(), "refused", was_sent=False),
        Failure(ConnectionResetError(), "reset"),
        Failure(TimeoutError(), "too late", is_timeout=True),
    ]
)
PIECES = st.integers(1, 150)
SELDOM = st.sampled_from([False] * 9 + [True])


def block(number: int) -> bytes:
    around = b": ping\n\nretry: 10\n\n" if number % 3 == 0 else b""
    return around + f"id: {number}\ndata: {number}\n\n".encode()


class Play(RuleBasedStateMachine):
    """One stream, from its first request to its end."""

    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        # Not random, so that it is repeatable.
        jitter = itertools.cycle([0.0, 0.3, 0.9])
        self.session = Session(PLAN, random=lambda: next(jitter), utc_now=lambda: datetime(2030, 1, 1, tzinfo=UTC))
        self.step: Step | None = None  # the step that the shell is executing
        self.body = b""
        self.received: list[str] = []
        self.finished = 0
        self.faults = 0
        self.outcome: Outcome | None = None
        self.was_stopped = False  # by a rule of this test
        self.is_doomed = False  # by a final response
        self.end: Stop | None = None

    # The user.

    @precondition(lambda self: self.step is None and self.end is None)
    @rule(hurries=st.booleans())
    def go_on(self, hurries: bool = True) -> None:
        """Take the next event, or else the next step."""
        for event in self.session.ready:
            assert not self.session.is_closing
            self.finished = len(self.received)
            self.received.append(event.data)
            return
        self.finished = len(self.received)
        if hurries and self.session.is_reading and not self.session.is_closing:
            self.step = Read()
            return
        step = self.session.next_step(self.now)
        if isinstance(step, Stop):
            self.end = step
        else:
            assert isinstance(step, Drain) or not self.session.is_closing
            self.step = step

    @precondition(lambda self: self.step is None and self.end is None)
    @rule(error=st.sampled_from([None, ValueError(), KeyboardInterrupt()]), happens=SELDOM)
    def leave(self, error: BaseException | None, happens: bool) -> None:
        if not happens:
            return
        self.was_stopped = True
        if error is None:
            self.finished = len(self.received)
        self.session.leave(error, self.now)
        while not isinstance(step := self.session.next_step(self.now), Stop):
            assert isinstance(step, Drain)
            self.session.drained(self.now)
        self.end = step

    @rule(seconds=st.sampled_from([0.0, 0.01, 1.0, 45.0]), closes=SELDOM)
    def meanwhile(self, seconds: float, closes: bool) -> None:
        """Let time pass, or let another thread close the stream, in the middle of anything."""
        self.now += seconds
        if closes:
            self.was_stopped = True
            self.session.close()

    # The server and the network.

    @precondition(lambda self: self.step is not None)
    @rule(data=st.data())
    def do(self, data: st.DataObject) -> None:
        """Do the step, and report its result."""
        step, self.step = self.step, None
        match step:
            case Connect():
                self.connect(step, data.draw(st.one_of(st.none(), st.none(), st.none(), FAILURES, PASSING, FINAL)))
            case Read():
                self.read(data.draw(st.one_of(PIECES, PIECES, PIECES, FAILURES, st.just(0))))
            case ReadBody():
                self.session.refused(b'{"message": "no"}', self.now)
            case Drain():
                self.session.drained(self.now)
            case Wait(seconds):
                # It may be woken too early.
                self.now = nextafter(self.now + seconds * data.draw(st.sampled_from([1.0, 1.0, 0.3])), 1e9)
            case _:
                raise AssertionError(step)

    def connect(self, step: Connect, answer: Failure | tuple[int, dict[str, str]] | None) -> None:
        last = int(step.headers.get("Last-Event-ID", b"0"))
        assert last == self.finished
        self.faults += answer is not None
        if answer is None:
            self.body = b"".join(map(block, range(last + 1, EVENTS + 1))) + END
            self.session.responded(Head(200, httpx.Headers({"Content-Type": "text/event-stream"}), URL), self.now)
        elif isinstance(answer, Failure):
            self.session.not_responded(answer, self.now)
        else:
            status, headers = answer
            self.is_doomed = self.is_doomed or (answer in FINAL_ANSWERS and not self.session.is_closing)
            self.session.responded(Head(status, httpx.Headers(headers), URL), self.now)

    def read(self, what: Failure | int) -> None:
        """Bring that many bytes; or none, and end cleanly, wherever that is; or break off."""
        if isinstance(what, Failure):
            self.faults += 1
            self.session.lost(what, self.now)
        elif what and self.body:
            piece, self.body = self.body[:what], self.body[what:]
            self.session.received(piece, self.now)
        else:
            self.faults += bool(self.body)
            self.session.ended(self.now)

    # The invariants.

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        texts = [text for text in self.received if text != "end"]
        assert texts == FEED[: len(texts)]
        assert "end" not in self.received or self.received == [*FEED, "end"]

    @invariant()
    def what_is_known_is_right(self) -> None:
        session = self.session
        assert session.last_event_id == (str(min(self.finished, EVENTS)) if self.finished else "")
        assert session.stats(self.now).events == len(self.received)
        last = session.last_event
        assert (last.data if last else None) == (self.received[-1] if self.received else None)

    @invariant()
    def there_is_one_outcome(self) -> None:
        outcome = self.session.outcome
        assert self.outcome in (None, outcome)
        self.outcome = outcome
        if self.end is not None:
            assert outcome is not None
            assert self.session.next_step(self.now) == self.end
            assert self.session.state == "closed"
            assert self.end.error is None or outcome not in ("completed", "cancelled", "abandoned")

    @invariant()
    def memory_is_bounded(self) -> None:
        session = self.session
        assert len(session._place.past_ids("")) <= MAX_IDS + 1
        assert len(session._past_ids) <= MAX_IDS + 1
        assert len(session._batch) + len(session._previous) <= EVENTS + 2
        assert session.notes is None

    def teardown(self) -> None:
        """Let everything succeed from here on, and check the result."""
        for _ in range(1_000):
            match self.step:
                case _ if self.end is not None:
                    break
                case None:
                    self.go_on()
                    continue
                case Connect() as step:
                    self.connect(step, None)
                case Read():
                    self.read(1_000)
                case ReadBody():
                    self.session.refused(b"", self.now)
                case Drain():
                    self.session.drained(self.now)
                case Wait(seconds):
                    self.now = nextafter(self.now + seconds, 1e9)
            self.step = None
        assert self.end is not None
        self.there_is_one_outcome()
        is_complete = self.outcome == "completed"
        # A terminator without its blank line ends the stream, and is not delivered.
        received = [text for text in self.received if text != "end"]
        self.ledger.stream(FEED, received, is_complete=is_complete, faults=self.faults + self.was_stopped)
        if self.is_doomed:
            assert isinstance(self.end.error, SSEError) or self.was_stopped
        if isinstance(self.end.error, StreamError):
            assert self.end.error.stats.events == len(self.received)
        assert is_complete or self.was_stopped or self.is_doomed


def test_any_order(ledger: Ledger) -> None:
    """Whatever the order of calls, the session loses or repeats no event, and has one final end."""
    play: Any = seed(SEED)(type("Play", (Play,), {"ledger": ledger}))
    run_state_machine_as_test(play, settings=settings(fuzz(100, 5_000), stateful_step_count=120))
