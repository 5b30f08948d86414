"""Whether and when to make another attempt: the verdict as a table, without a stream, a server or a clock."""

from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

import httpx
import pytest

from sse_client import (
    ConnectionFailed,
    ContentTypeError,
    Cursor,
    LastEventID,
    Request,
    RetryPolicy,
    ServerSentEvent,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Timeouts,
)
from sse_client._core.attempts import (
    MIN_DELAY,
    USED_UP,
    Again,
    Fault,
    No,
    Refresh,
    Situation,
    connect,
    explain,
    fault_of,
    headers_of,
    loss_of,
    refusal_of,
    verdict,
)
from sse_client._core.place import place_of
from sse_client._core.plan import MAX_SUBSCRIPTION_DELAY, Plan
from sse_client._core.redirects import Route
from sse_client._stats import StreamStats

POST = Request(method="POST", url="http://test/chat", json={})
GET = Request(method="GET", url="http://test/feed")
ONCE = Request(method="POST", url="http://test/chat", content=iter([b"x"]))
NOW = datetime(2030, 1, 1, tzinfo=UTC)
POLICY = RetryPolicy(jitter=0.0)
EAGER = RetryPolicy(jitter=0.0, retry_ambiguous=True)
RESUME = LastEventID()
LOST = Fault(error=ConnectionFailed("lost"))
CUT = Fault(error=StreamInterrupted("cut"), is_ambiguous=True)

FIRST = Situation(attempts=1, failures=1, has_begun=False, last_event_id="", reconnection_time=None, left=inf)
BEGUN = replace(FIRST, has_begun=True, last_event_id="7")


def plan(request: Request = POST, **options: Any) -> Plan:
    return Plan(**{"request": request, "retry": POLICY, **options})


def decide(plan: Plan, fault: Fault, situation: Situation) -> Again | No:
    return verdict(plan, place_of(plan), fault, situation, random=lambda: 0.0)


def refuses(_: int, __: SSEError) -> bool:
    return False


def insists(_: int, __: SSEError) -> bool:
    return True


def leaves_it(_: int, __: SSEError) -> None:
    return None


NEVER_AGAIN = replace(LOST, is_worth_it=False, why_not="that is why")
ASKED = replace(LOST, server_delay=7.0)
MAY_HAVE_ACTED = (
    "not sent again, because the server may have acted upon this POST: "
    "RetryPolicy(retry_ambiguous=True) or idempotency_key_header= allows it"
)
NO_IDS = "the stream had no event IDs to resume from"

AGAIN: dict[str, tuple[Plan, Fault, Situation, float]] = {
    "first": (plan(), LOST, FIRST, 0.5),
    "second": (plan(), LOST, replace(FIRST, failures=2), 1.0),
    "a-server-that-asks": (plan(), ASKED, FIRST, 7.0),
    "ambiguous-but-idempotent": (plan(GET), CUT, FIRST, 0.5),
    "ambiguous-but-allowed": (plan(retry=EAGER), CUT, FIRST, 0.5),
    "ambiguous-but-with-a-key": (plan(idempotency_key=("Key", "1")), CUT, FIRST, 0.5),
    "the-user-insists": (plan(retry=RetryPolicy(on=insists, jitter=0.0)), NEVER_AGAIN, FIRST, 0.5),
    "the-user-leaves-it": (plan(retry=RetryPolicy(on=leaves_it, jitter=0.0)), LOST, FIRST, 0.5),
    "a-resume": (plan(resume=RESUME), CUT, BEGUN, 1.0),
    "a-resume-after-a-retry-field": (plan(resume=RESUME), CUT, replace(BEGUN, reconnection_time=4.0), 4.0),
    "a-resume-is-never-at-once": (plan(resume=RESUME), CUT, replace(BEGUN, reconnection_time=0.0), MIN_DELAY),
    "a-retry-field-before-the-first-event": (plan(), LOST, replace(FIRST, reconnection_time=4.0), 0.5),
    "within-the-total": (plan(), LOST, replace(FIRST, left=0.6), 0.5),
    "a-feed": (plan(GET, is_subscription=True, retry=RetryPolicy.RECONNECT), CUT, FIRST, 3.0),
    "a-feed-by-post": (plan(is_subscription=True, retry=RetryPolicy.RECONNECT), CUT, FIRST, 3.0),
    "a-feed-with-a-policy-of-resume": (
        plan(is_subscription=True, resume=LastEventID(retry=POLICY)),
        CUT,
        BEGUN,
        0.5,
    ),
    "a-feed-that-is-to-wait-for-hours": (plan(is_subscription=True), replace(LOST, server_delay=7200.0), FIRST, 7200.0),
}

NO: dict[str, tuple[Plan, Fault, Situation, str]] = {
    "no-policy": (plan(retry=None), LOST, FIRST, ""),
    "no-policy-and-why-not": (plan(retry=None), NEVER_AGAIN, FIRST, "that is why"),
    "not-worth-it": (plan(), NEVER_AGAIN, FIRST, "that is why"),
    "too-often": (plan(), LOST, replace(FIRST, failures=3), ""),
    "too-often-and-why-not": (plan(), NEVER_AGAIN, replace(FIRST, failures=3), "that is why"),
    "the-user-refuses": (plan(retry=RetryPolicy(on=refuses)), LOST, FIRST, ""),
    "ambiguous": (plan(), CUT, FIRST, MAY_HAVE_ACTED),
    "a-body-that-is-used-up": (plan(ONCE), LOST, FIRST, USED_UP),
    "no-resume": (plan(), CUT, BEGUN, ""),
    "no-id-to-resume-after": (plan(resume=RESUME), CUT, replace(BEGUN, last_event_id=""), NO_IDS),
    "only-the-id-of-an-earlier-stream": (plan(resume=RESUME, last_event_id="7"), CUT, BEGUN, NO_IDS),
    "nowhere-to-resume": (plan(resume=LastEventID(url=lambda _: None)), CUT, BEGUN, ""),
    "a-cursor-that-refuses": (plan(resume=Cursor(0, lambda c, _: c, lambda *_: None)), CUT, BEGUN, ""),
    "a-server-that-asks-too-much": (
        plan(),
        replace(LOST, server_delay=121.0),
        FIRST,
        "the server asked for a delay of 121 s, above the limit of 120 s",
    ),
    "a-retry-field-that-asks-too-much": (
        plan(resume=RESUME),
        CUT,
        replace(BEGUN, reconnection_time=500.0),
        "the server asked for a delay of 500 s, above the limit of 120 s",
    ),
    "a-feed-that-is-to-wait-for-days": (
        plan(is_subscription=True),
        replace(LOST, server_delay=MAX_SUBSCRIPTION_DELAY + 1),
        FIRST,
        "the server asked for a delay of 86401 s, above the limit of 86400 s",
    ),
    "no-time-left": (
        plan(timeouts=Timeouts(total=9.0)),
        LOST,
        replace(FIRST, left=0.4),
        "the total of 9 s leaves no time for another attempt",
    ),
}


@pytest.mark.parametrize("row", AGAIN.values(), ids=AGAIN)
def test_again(row: tuple[Plan, Fault, Situation, float]) -> None:
    """There is another attempt, after that delay, with the request of the plan."""
    plan, fault, situation, delay = row
    found = decide(plan, fault, situation)
    assert isinstance(found, Again)
    assert found.delay == pytest.approx(delay)
    assert found.request is plan.request


@pytest.mark.parametrize("row", NO.values(), ids=NO)
def test_no(row: tuple[Plan, Fault, Situation, str]) -> None:
    """There is no other attempt, and the text says why if the user can do something about it."""
    plan, fault, situation, why = row
    assert decide(plan, fault, situation) == No(why)


def test_it_writes_nothing() -> None:
    """The verdict is the same however often it is requested."""
    asked = plan(resume=RESUME)
    place = place_of(asked)
    verdicts = [verdict(asked, place, CUT, BEGUN, random=lambda: 0.5) for _ in range(3)]
    assert verdicts == [Again(1.0, POST)] * 3


def test_a_request_of_its_own() -> None:
    """A resume has its own request; a plain retry has the first one."""
    asked = plan(resume=LastEventID(method="GET", url="http://test/rest"))
    resumed = decide(asked, CUT, BEGUN)
    assert isinstance(resumed, Again)
    assert (resumed.request.method, resumed.request.url) == ("GET", "http://test/rest")
    retried = decide(asked, LOST, FIRST)
    assert isinstance(retried, Again)
    assert retried.request is POST


def refused(status: int, kind: type[StatusError | ContentTypeError] = StatusError, **headers: str) -> Any:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return kind("no", status_code=status, headers=named, body=b"")


@pytest.mark.parametrize(
    ("error", "has_begun", "is_worth_it", "server_delay"),
    [
        pytest.param(refused(503), False, True, None, id="503"),
        pytest.param(refused(404), False, False, None, id="404"),
        pytest.param(refused(429, retry_after="9"), False, True, 9.0, id="retry-after"),
        pytest.param(refused(404, x_should_retry="true"), False, True, None, id="told-to"),
        pytest.param(refused(503, x_should_retry="false"), False, False, None, id="told-not-to"),
        pytest.param(refused(200, ContentTypeError), False, False, None, id="a-page"),
        pytest.param(refused(200, ContentTypeError), True, True, None, id="a-page-in-a-resume"),
    ],
)
def test_faults_of_responses(error: Any, has_begun: bool, is_worth_it: bool, server_delay: float | None) -> None:
    """Whether a refused response is worth another attempt, and when."""
    found = fault_of(error, plan(), NOW, has_begun=has_begun)
    assert found == Fault(error=error, is_worth_it=is_worth_it, server_delay=server_delay)


def test_a_page_is_the_end_of_a_feed() -> None:
    """In a subscription, another media type is the server's own response, at any time."""
    error = refused(200, ContentTypeError)
    assert not fault_of(error, plan(is_subscription=True), NOW, has_begun=True).is_worth_it


def test_refresh() -> None:
    """A 401 calls the headers function once more, unless the body is used up."""

    def found(status: int, request: Request, *, can_refresh: bool) -> Refresh | Fault:
        return refusal_of(refused(status), plan(request), request, NOW, can_refresh=can_refresh, has_begun=False)

    assert found(401, POST, can_refresh=True) == Refresh()
    assert isinstance(found(403, POST, can_refresh=True), Fault)
    assert isinstance(found(401, POST, can_refresh=False), Fault)
    used_up = found(401, ONCE, can_refresh=True)
    assert isinstance(used_up, Fault)
    assert used_up.why_not == USED_UP


@pytest.mark.parametrize(
    ("error", "failures", "is_itself"),
    [
        pytest.param(StreamInterrupted("cut"), 1, True, id="cut"),
        pytest.param(StreamTruncated("early"), 1, True, id="truncated"),
        pytest.param(StreamTimeout("late", clock="idle"), 1, True, id="late"),
        pytest.param(StreamInterrupted("cut"), 3, True, id="cut-again"),
        pytest.param(StreamTimeout("late", clock="idle"), 2, False, id="late-after-a-resume"),
        pytest.param(ConnectionFailed("refused"), 2, False, id="refused"),
        pytest.param(refused(404), 2, False, id="404"),
    ],
)
def test_losses(error: SSEError, failures: int, is_itself: bool) -> None:
    """A loss is its own error. A failed resume becomes the cause of an error that says how many events came."""
    found = loss_of(error, failures, " after 3 events")
    if is_itself:
        assert found is error
    else:
        assert isinstance(found, StreamInterrupted)
        assert found.__cause__ is error
        assert str(found) == f"the connection was lost after 3 events, and not resumed: {error}"


def test_explanations() -> None:
    """An error says why there was no other attempt, and has the number of attempts and the last event ID."""
    error = StreamInterrupted("cut")
    explain(error, "because", StreamStats(attempts=3, duration=4.06), "7", None)
    assert str(error) == "cut; because; gave up after 3 attempts in 4.1 s"
    assert (error.stats.attempts, error.last_event_id) == (3, "7")
    alone = StreamInterrupted("cut")
    explain(alone, "", StreamStats(attempts=1), "", None)
    assert str(alone) == "cut"


@pytest.mark.parametrize(
    ("plan", "headers"),
    [
        pytest.param(plan(), {}, id="none"),
        pytest.param(plan(last_event_id="3"), {"Last-Event-ID": b"3"}, id="of-an-earlier-stream"),
        pytest.param(plan(resume=RESUME), {"Last-Event-ID": b"7"}, id="resume"),
        pytest.param(plan(is_subscription=True), {"Last-Event-ID": b"7"}, id="feed"),
        pytest.param(plan(idempotency_key=("Key", "k")), {"Key": b"k"}, id="key"),
    ],
)
def test_headers(plan: Plan, headers: dict[str, bytes]) -> None:
    """The headers of an attempt are the call's idempotency key, and the ID if the plan has one to send."""
    step = connect(plan, place_of(plan), POST, Route(), last_event_id="7", left=inf)
    assert (step.headers, step.request, step.is_foreign, step.is_exact) == (headers, POST, False, False)


def test_an_id_that_cannot_be_sent() -> None:
    """An ID that cannot be sent is an error of a resume; a subscription reconnects without it."""
    with pytest.raises(ValueError, match="cannot be sent"):
        headers_of(plan(resume=RESUME), POST, "\x01")
    assert headers_of(plan(is_subscription=True), POST, "\x01") == {}


def test_the_clocks_of_an_attempt() -> None:
    """Each clock of an attempt is at most the rest of the total."""
    asked = plan(timeouts=Timeouts(connect=5.0, response=None, total=9.0))
    step = connect(asked, place_of(asked), POST, Route(2, "http://other/x", True), last_event_id="", left=3.0)
    assert (step.connect, step.response) == (3.0, 3.0)
    assert (step.request.url, step.is_foreign, step.is_exact) == ("http://other/x", True, True)


def test_an_event_that_has_no_place() -> None:
    """Without `resume=`, finished events are accepted and not kept."""
    place_of(plan()).remember([ServerSentEvent(id="1")])
