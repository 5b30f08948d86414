"""Invariants that hold wherever a stream is cut."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from session.driver import (
    HTML,
    JSON,
    NO_ANSWER,
    REFUSED,
    RESET,
    WHATEVER,
    Reply,
    Scene,
    answer,
    event,
    in_pieces,
    ok,
    plan,
)
from sse_client._core.plan import Plan
from sse_client._core.steps import Connect, Stop
from sse_client._errors import (
    StreamError,
)
from sse_client._marks import Terminator
from sse_client._resume import LastEventID
from sse_client._retry import RetryPolicy

PATIENT = RetryPolicy(max_retries=None, retry_ambiguous=True)
FAULTS: list[Reply] = [REFUSED, NO_ANSWER, answer(503), answer(429, retry_after="1")]
RESUME_FAULTS: list[Reply] = [*FAULTS, JSON, HTML, ok(b": ping\n\n", RESET)]
ENDING = "end"


def block(number: int, has_extra: bool) -> bytes:
    """One event of the feed, sometimes with a comment and a `retry` before it."""
    return (b": ping\n\nretry: 10\n\n" if has_extra else b"") + event(number)


@dataclass
class Feed:
    """A server that resumes after `Last-Event-ID`, and cuts its responses anywhere."""

    blocks: list[bytes]
    cuts: list[tuple[int, int, int]]
    """
    For each response: the number of bytes before its cut, the size of its pieces, and the fault that may replace it.
    """

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
        # A clean end inside the terminator would be the end: only its blank line is missing.
        is_reset = fault % 2 == 1 or length > len(body)
        return ok(*in_pieces((whole[:length],), size), *[RESET] * is_reset)


CUTS = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 60), st.integers(0, 25)), max_size=12)
BLOCKS = st.lists(st.booleans(), max_size=12).map(lambda extras: [block(n, x) for n, x in enumerate(extras, 1)])


def drive(feed: Feed, plan: Plan, limit: int | None = None) -> Scene:
    """Read a feed to its end, or stop in the middle of the event `limit`."""
    result = Scene(plan)
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
    """Wherever a stream is cut, and by whatever faults, each event is delivered once and in order, up to its end."""
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
    """With few attempts, a prefix of the stream is delivered, there is one outcome, and nothing follows it."""
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
    """With the last event ID of a stream that the user left, another one resumes after the finished events."""
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
