"""How a stream is resumed: by which request and which policy, after an ID alone, at another URL, or not at all."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from session.driver import (
    GET,
    HTML,
    POST,
    REFUSED,
    RESET,
    URL,
    A,
    Reply,
    answer,
    approx,
    clocks,
    event,
    ok,
    plan,
    rows,
    run,
    subscription,
)
from shells import Shell

from sse_client import (
    Cursor,
    LastEventID,
    Request,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Terminator,
)
from sse_client._core.plan import Plan
from sse_client._dialect import RAW
from sse_client.testing import RST, Answer, scripted_transport

EAGER = RetryPolicy(jitter=0.0, retry_ambiguous=True)
RESUME = LastEventID()
BY_GET = LastEventID(method="GET")
CURSOR = Cursor(None, lambda cursor, _: cursor, lambda _, request: request)
PRIMING = b"id: p\n\n"
CUT = ok(PRIMING, RESET)

POLICIES = [None, RetryPolicy(jitter=0.0), EAGER]
POLICY_NAMES = ["none", "careful", "eager"]


@pytest.mark.parametrize("policy", POLICIES, ids=POLICY_NAMES)
@pytest.mark.parametrize(
    "cut", [CUT, ok(PRIMING), ok(PRIMING + b": ping\n\n", 5.0, RESET)], ids=["reset", "end", "late"]
)
@pytest.mark.parametrize(("resume", "method"), [(BY_GET, "GET"), (RESUME, "POST")], ids=["by-get", "same"])
def test_an_id_alone_is_resumed(resume: LastEventID, method: str, cut: Reply, policy: RetryPolicy | None) -> None:
    """A block with only an ID begins the stream: it is resumed after that ID, by the policy of `resume=`."""
    terminator = Terminator(data="end")
    result = run(plan(resume=resume, retry=policy, terminator=terminator), cut, REFUSED, ok(event("q", "end")))
    assert [step.request.method for step in result.connects] == ["POST", method, method]
    assert (result.ids, result.waits) == ([None, "p", "p"], approx([1, 2]))
    assert (result.data, result.outcome) == (["end"], "completed")


@pytest.mark.parametrize("policy", POLICIES, ids=POLICY_NAMES)
def test_the_first_request_is_never_sent_again_after_an_id(policy: RetryPolicy | None) -> None:
    """With `method="GET"` the POST is sent once, however the resume fails, and the error is that of a lost stream."""
    result = run(plan(resume=BY_GET, retry=policy), CUT, REFUSED, answer(503), HTML, CUT, ok(RESET))
    assert [step.request.method for step in result.connects] == ["POST", *["GET"] * 5]
    assert result.failed(StreamInterrupted).last_event_id == "p"
    result = run(plan(resume=BY_GET, retry=policy), CUT, answer(404))
    error = result.failed(StreamInterrupted)
    assert isinstance(error.__cause__, StatusError)
    assert (result.outcome, error.stats.events) == ("interrupted", 0)
    assert "after 0 events" in str(error)


@pytest.mark.parametrize(
    ("options", "outcome"), [({}, "completed"), ({"terminator": Terminator(data="end")}, "truncated")]
)
def test_204_after_an_id_alone(options: dict[str, Any], outcome: str) -> None:
    """A 204 to such a resume is the end of the stream, as for any resume."""
    assert run(plan(resume=BY_GET, **options), CUT, answer(204)).outcome == outcome


def test_json_after_an_id_alone() -> None:
    """JSON instead of the rest of a stream is a failed attempt, even before the first event."""
    json = answer(200, b'{"error": "no"}', type="application/json")
    result = run(plan(resume=BY_GET, accepts_json=True), CUT, json, ok(event(1)))
    assert (result.data, result.waits) == (["1"], approx([1, 2]))


@pytest.mark.parametrize("resume", [None, CURSOR], ids=["none", "cursor"])
def test_an_id_alone_without_a_resume_by_id(resume: Any) -> None:
    """Without a resume by ID, a stream without an event is not a response yet: the retry policy decides."""
    assert run(plan(resume=resume), CUT).outcome == "interrupted"
    result = run(plan(resume=resume, retry=EAGER), CUT, ok(A))
    assert ([step.request.method for step in result.connects], result.ids) == (["POST", "POST"], [None, None])


@pytest.mark.parametrize("body", [b"id\n\n", b"id: p\n\nid\n\n", b"id: p\n", b"id: p", b": p\n\n", b"id: 7\n\n"])
def test_what_is_no_id_of_this_stream(body: bytes) -> None:
    """A cleared ID, one whose block has not ended, and the user's `last_event_id=` are not resumed after."""
    assert len(run(plan(resume=BY_GET, last_event_id="7"), ok(body, RESET)).connects) == 1
    result = run(plan(resume=BY_GET, retry=EAGER, last_event_id="7"), ok(body, RESET), ok(A))
    assert [step.request.method for step in result.connects] == ["POST", "POST"]


def test_a_clock_after_an_id_alone() -> None:
    """A clock that runs out is resumed like a cut; `total` is not."""
    result = run(plan(resume=BY_GET, timeouts=clocks(first_event=5)), ok(PRIMING, 9.0), ok(event(1)))
    assert [step.request.method for step in result.connects] == ["POST", "GET"]
    result = run(plan(resume=BY_GET, timeouts=clocks(total=5)), ok(PRIMING, 9.0))
    assert result.failed(StreamTimeout).clock == "total"


def test_priming_in_all_shells(shell: Shell) -> None:
    """MCP's priming event without `data` makes a GET with that ID, and only one POST."""
    transport = scripted_transport(Answer("id: p\nretry: 7\n\n", RST), Answer("id: q\ndata: hi\n\n"))
    result = shell.read("http://test/", http={"transport": transport}, json={}, resume=BY_GET)
    assert (result.error, result.data) == (None, ["hi"])
    first, second = transport.requests
    assert (first.method, first.headers.get("last-event-id")) == ("POST", None)
    assert (second.method, second.headers.get("last-event-id"), second.body) == ("GET", "p", b"")


ONE, TWO, SIX = (RetryPolicy(max_retries=number, initial_delay=number, jitter=0) for number in (1, 2, 6))


class Client(SSEClient):
    """A client that only makes plans."""

    def __init__(self) -> None:
        super().__init__(headers=None, retry=SIX, timeout=None, idempotency_key_header=None)

    def plan(self, *, is_subscription: bool, **options: Any) -> Plan:
        return self._plan("GET", URL, options, RAW, is_subscription=is_subscription)  # type: ignore[arg-type]


# The arguments: of the call as `retry=`, and inside `resume=`. The effect: the retries before the first event, after
# it, and in a subscription. The client's own policy, with six retries, is always there.
GIVEN = rows(
    ("nothing", {}, 6, 0, None),
    ("retry", {"retry": ONE}, 1, 0, 1),
    ("no-retry", {"retry": None}, 0, 0, 0),
    ("resume", {"resume": LastEventID()}, 6, 5, None),
    ("resume-policy", {"resume": LastEventID(retry=TWO)}, 6, 2, 2),
    ("resume-policy-and-retry", {"resume": LastEventID(retry=TWO), "retry": ONE}, 1, 2, 2),
    ("resume-and-retry", {"resume": LastEventID(), "retry": ONE}, 1, 5, 1),
    ("resume-and-no-retry", {"resume": LastEventID(), "retry": None}, 0, 5, 0),
    ("resume-default-policy", {"resume": LastEventID(retry=RetryPolicy.RESUME)}, 6, 5, 5),
    ("resume-elsewhere", {"resume": replace(LastEventID(), method="GET")}, 6, 5, None),
    ("cursor", {"resume": CURSOR}, 6, 5, None),
    ("cursor-policy", {"resume": replace(CURSOR, retry=TWO)}, 6, 2, 2),
)


@pytest.mark.parametrize(("options", "before", "after", "feed"), GIVEN)
def test_which_policy_applies(options: dict[str, Any], before: int, after: int, feed: int | None) -> None:
    """
    Before the first event the call's or client's policy applies, then that of `resume=`; for a feed never the client's.
    """
    call = Client().plan(is_subscription=False, **options)
    assert len(run(call, *[REFUSED] * (before + 1)).connects) == before + 1
    assert len(run(call, ok(event(1), RESET), *[REFUSED] * after).connects) == after + 1
    followed = Client().plan(is_subscription=True, **options)
    for begin in ([], [ok(event(1), RESET)]):
        if feed is None:
            result = run(followed, *begin, *[REFUSED] * 30, answer(204))
            assert result.waits[:5] == approx([3, 6, 12, 24, 30])
            assert len(result.connects) == len(begin) + 31
        else:
            result = run(followed, *begin, *[REFUSED] * (feed + 1 - len(begin)))
            assert len(result.connects) == feed + 1


def test_one_number_of_a_default_is_changed() -> None:
    """The default policies are public, so that users can change one number and keep the others."""
    assert RetryPolicy(max_retries=5, initial_delay=1.0, max_delay=30.0, jitter=0.0) == RetryPolicy.RESUME
    assert RetryPolicy(max_retries=None, initial_delay=3.0, max_delay=30.0, jitter=0.0) == RetryPolicy.RECONNECT
    assert LastEventID().retry == CURSOR.retry == RetryPolicy.RESUME
    slow = replace(RetryPolicy.RECONNECT, max_delay=300.0)
    for options in ({"resume": LastEventID(retry=slow)}, {"retry": slow}):
        result = run(Client().plan(is_subscription=True, **options), *[REFUSED] * 9, answer(204))
        assert result.waits == approx([3, 6, 12, 24, 48, 96, 192, 300, 300])


def test_a_subscription_honours_the_policy_of_a_resume(shell: Shell) -> None:
    """`subscribe(resume=LastEventID(retry=…))` ends after as many failures in a row as that policy allows."""
    transport = scripted_transport(Answer("id: 1\ndata: 1\n\n"), *[Answer(status=503)] * 5, Answer(status=204))
    result = shell.read(
        "http://test/", method="SUBSCRIBE", http={"transport": transport}, resume=LastEventID(retry=TWO)
    )
    assert isinstance(result.error, StatusError)
    assert len(transport.requests) == 3


BAD_IDS = ["a\x0bb", "a\x0cb", "a\x7fb", "\x01"]


@pytest.mark.parametrize("resume", [None, RESUME], ids=["alone", "resume"])
@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_subscription_goes_on_without_a_bad_id(bad: str, resume: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A feed reconnects without the header, as a browser does, and logs that; the next ID is sent again."""
    caplog.set_level(logging.INFO, "sse_client")
    result = run(subscription(resume=resume), ok(event(bad, "x")), ok(A, RESET), ok(event(2)), answer(204))
    assert (result.data, result.ids) == (["x", "a", "2"], [None, None, None, "2"])
    said = [record for record in caplog.records if "cannot be sent" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.INFO] * 2


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_resume_does_not_go_on_without_its_id(bad: str) -> None:
    """A resume without the header would repeat the stream, so it is interrupted, after an event or an ID alone."""
    for body in (event(bad, "x"), f"id: {bad}\n\n".encode()):
        result = run(plan(resume=RESUME), ok(body, RESET))
        assert "cannot be sent in a header" in str(result.failed(StreamInterrupted))
        assert len(result.connects) == 1


@pytest.mark.parametrize(
    ("answered_at", "named", "asked"),
    [
        ("http://test/v1/chat", "/runs/7", "http://test/runs/7"),
        ("http://test/v1/chat", "runs/7", "http://test/v1/runs/7"),
        ("http://test/v1/chat?a=b", "?after=7", "http://test/v1/chat?after=7"),
        ("http://test/v1/chat", "//other/runs/7", "http://other/runs/7"),
        ("http://test/v1/chat", "https://other/runs/7?a=b", "https://other/runs/7?a=b"),
        ("http://moved/v2/chat", "runs/7", "http://moved/v2/runs/7"),
        ("http://test/v1/chat", "http://[", "http://["),
    ],
)
def test_where_a_function_leads(answered_at: str, named: str, asked: str) -> None:
    """A URL from a function is relative to the URL of the response that it was called with."""
    first = replace(ok(event(1), RESET), url=answered_at, response=named)
    resume = LastEventID(method="GET", url=lambda response: response)
    result = run(plan(resume=resume), first, replace(ok(event(2), RESET), response="/wrong"), ok(event(3)))
    assert [step.request.url for step in result.connects] == [URL, asked, asked]


def test_a_url_of_the_library(shell: Shell) -> None:
    """A function may return the library's own URL, or a relative `Location` unchanged."""
    for make in (lambda response: response.url.join("r/7?a=b"), lambda response: response.headers["location"]):
        transport = scripted_transport(
            Answer("id: 1\ndata: 1\n\n", RST, headers={"Location": "r/7?a=b"}), Answer("id: 2\ndata: 2\n\n")
        )
        result = shell.read(
            "v1/chat",
            http={"transport": transport, "base_url": "http://test/api/"},
            resume=LastEventID(method="GET", url=make),
        )
        assert (result.error, result.data) == (None, ["1", "2"])
        assert transport.requests[1].target == "/api/v1/r/7?a=b"


def never(_: Any, __: Any = None) -> None:
    """Return no URL and no request."""


NOT_RESUMABLE: list[Any] = [
    LastEventID(url=never),
    LastEventID(method="GET", url=never),
    Cursor(0, lambda c, _: c, never),
]
CUTS = rows(
    ("reset", (event(1), RESET), {}, StreamInterrupted, "the connection was lost after 1 event: reset by peer"),
    ("end", (event(1),), {"terminator": Terminator(data="end")}, StreamTruncated, "before its terminator"),
    ("clock", (event(1), 9.0), {"timeouts": clocks(idle=5)}, StreamTimeout, "no event came for 5 s after 1 event"),
)


@pytest.mark.parametrize(("body", "options", "kind", "text"), CUTS)
@pytest.mark.parametrize("resume", NOT_RESUMABLE, ids=["url", "url-by-get", "cursor"])
def test_none_is_not_resumable(resume: Any, body: Any, options: Any, kind: type[SSEError], text: str) -> None:
    """If the user's function returns `None`, the cut is raised as it was."""
    result = run(plan(resume=resume, **options), ok(*body))
    plain = run(plan(**options), ok(*body))
    error = result.error
    assert type(error) is kind
    assert str(error) == str(plain.error)
    assert str(error).endswith(text)
    assert not getattr(error, "__notes__", [])
    assert (result.outcome, len(result.connects), result.waits) == (plain.outcome, 1, [])


def test_none_later() -> None:
    """A cursor may return `None` at any time: then the latest failure is raised, as if no attempts were left."""

    def advance(_: str, event: ServerSentEvent) -> str:
        return event.data

    def request(cursor: str, request: Request) -> Request | None:
        return None if cursor == "2" else request

    resume = Cursor("", advance, request)
    result = run(plan(resume=resume), ok(event(1), RESET), ok(event(2), RESET))
    text = "the connection was lost after 2 events: reset by peer; gave up after 2 attempts in 1.0 s"
    assert str(result.failed(StreamInterrupted)) == text
    result = run(subscription(resume=resume), ok(event(1)), ok(event(2)))
    assert str(result.failed(StreamTruncated)) == "the server ended the stream; gave up after 2 attempts in 3.0 s"


def test_none_before_an_event() -> None:
    """Before the stream has begun, nothing is resumed, so no function is called."""
    for resume in NOT_RESUMABLE:
        assert run(plan(GET, resume=resume), REFUSED, answer(503), ok(A)).data == ["a"]


def test_what_the_function_raises_is_the_users() -> None:
    """An exception of the function comes out unchanged."""

    def url(response: Any) -> str:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(plan(POST, resume=LastEventID(url=url)), ok(event(1), RESET))
