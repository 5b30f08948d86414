"""The ends of a stream: the first marked event of a piece, and the ends of bodies, as values."""

from collections import deque
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sse_client import (
    ContentTypeError,
    ErrorEvent,
    ErrorEventReceived,
    Request,
    ServerSentEvent,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
)
from sse_client._core.attempts import Fault
from sse_client._core.bodies import Body
from sse_client._core.endings import Marks, clean_end, end_of_body, unfinished_terminator
from sse_client._core.notes import drop_after, follow_events, next_note
from sse_client._core.plan import Plan
from sse_client._core.steps import Commented, Head, Note, Opened
from sse_client._marks import Mark

POST = Request(method="POST", url="http://test/chat")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
HEAD = Head(200, httpx.Headers(), POST.url)
LAST = Terminator(data="last")
TYPED = Terminator(field="type", values={"done"})
ERRORS = ErrorEvent(event="error")
NO_IDS = frozenset[str]()


def plan(**options: Any) -> Plan:
    return Plan(request=POST, **options)


def events(*data: str) -> list[ServerSentEvent]:
    """Events with that data; `name:data` has a name, too."""
    split = [each.rpartition(":") for each in data]
    return [ServerSentEvent(event=name or "message", data=text, id=text) for name, _, text in split]


@pytest.mark.parametrize(
    ("plan", "data", "past_ids", "expected"),
    [
        pytest.param(plan(), ["a", "b"], NO_IDS, None, id="nothing"),
        pytest.param(plan(), ["a", "[DONE]", "b"], NO_IDS, (1, 1, None), id="done"),
        pytest.param(plan(), ["x:[DONE]"], NO_IDS, None, id="named-done"),
        pytest.param(plan(ends_at_done=False), ["[DONE]"], NO_IDS, None, id="done-is-an-event"),
        pytest.param(plan(terminator=LAST), ["a", "last", "b"], NO_IDS, (1, 2, None), id="terminator"),
        pytest.param(plan(terminator=LAST), ["a", "[DONE]"], NO_IDS, (1, 1, StreamTruncated), id="done-without-it"),
        pytest.param(plan(terminator=Terminator(data="[DONE]")), ["[DONE]"], NO_IDS, (0, 0, None), id="done-as-it"),
        pytest.param(plan(errors=ERRORS), ["a", "error:no", "b"], NO_IDS, (1, 1, ErrorEventReceived), id="error"),
        pytest.param(
            plan(errors=ERRORS, terminator=Terminator(event="error")),
            ["error:no"],
            NO_IDS,
            (0, 0, ErrorEventReceived),
            id="error-before-terminator",
        ),
        pytest.param(plan(), ["a", "b"], frozenset({"b"}), (1, 1, StreamInterrupted), id="an-id-again"),
        pytest.param(plan(terminator=LAST), ["last"], frozenset({"last"}), (0, 0, StreamInterrupted), id="id-first"),
    ],
)
def test_first(
    plan: Plan, data: list[str], past_ids: frozenset[str], expected: tuple[int, int, type[Exception] | None] | None
) -> None:
    """The first event that ends a stream: its position, how many events are delivered, and the error."""
    found = Marks(plan).first(events(*data), past_ids, "9")
    if expected is None:
        assert found is None
    else:
        index, count, kind = expected
        assert found is not None
        assert (found.index, found.count) == (index, count)
        assert type(found.error) is (kind or type(None))


def test_a_field() -> None:
    """A field is found in any JSON, but not in other text."""
    marks = Marks(plan(terminator=TYPED))
    for data, is_end in [('{"type": "done"}', True), ('{"type": "d\\u006fne"}', True), ('{"text": "done"}', False)]:
        found = marks.first([ServerSentEvent(data=data)], NO_IDS, "")
        assert (found is not None) is is_end


@pytest.mark.parametrize(
    ("name", "data", "is_transient"),
    [
        ("error", '{"error": {"type": "overloaded_error"}}', True),
        ("error", '{"error": {"type": "invalid_request_error"}}', False),
        ("message", '{"fault": {"code": 503}}', True),
        ("message", '{"fault": {"code": "overloaded_error"}}', False),
        ("error", '{"fault": {"code": 503}}', False),
    ],
    ids=["transient", "permanent", "alternative", "of-another-alternative", "first-that-matches"],
)
def test_transient_errors(name: str, data: str, is_transient: bool) -> None:
    """The alternative that matched decides whether the error is transient."""
    errors = ErrorEvent(event="error", retry={"overloaded_error"}) | ErrorEvent(
        field="fault", code="fault.code", retry={503}
    )
    found = Marks(plan(errors=errors)).first([ServerSentEvent(name, data)], NO_IDS, "")
    assert found is not None
    assert isinstance(found.error, ErrorEventReceived)
    assert found.error.is_transient is is_transient


PATHS = ErrorEvent(field="error") | ErrorEvent(field="choices.0.error", message="choices.0.error.message")


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(plan(terminator=TYPED, errors=ERRORS), id="name"),
        pytest.param(plan(terminator=TYPED, errors=PATHS), id="paths"),
        pytest.param(
            plan(terminator=Terminator(field="result.state", values={"done"}), errors=ERRORS | PATHS), id="all"
        ),
    ],
)
def test_an_event_without_a_mark_costs_next_to_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that contains neither a name nor a text of the marks is not matched any further."""
    monkeypatch.setattr(Mark, "match", lambda *_: pytest.fail("looked at"))
    chunk = '{"choices": [{"index": 0, "delta": {"content": "Hel\\n\\"lo"}, "finish_reason": null}]}'
    assert Marks(plan).first(events(chunk, f"x:{chunk}"), NO_IDS, "") is None


def body_of(data: bytes, plan: Plan) -> Body:
    body = Body(plan, HEAD, "", on_comment=lambda _: None, request="POST /chat")
    body.feed(data)
    return body


FEED = plan(is_subscription=True)
STRAY = b'error: {"message": "too busy"}\n'


@pytest.mark.parametrize(
    ("plan", "data", "is_understood", "kind", "text"),
    [
        pytest.param(plan(), b"data: a\n\n", True, None, "", id="complete"),
        pytest.param(plan(), b"data: a", True, Fault, "in the middle of the next", id="in-an-event"),
        pytest.param(plan(terminator=LAST), b"data: a\n\n", True, Fault, "before its terminator", id="terminator"),
        pytest.param(FEED, b"data: a\n\n", True, Fault, "the server ended the stream", id="feed"),
        pytest.param(plan(), STRAY, True, ErrorEventReceived, "too busy", id="stray-error"),
        pytest.param(plan(), STRAY[:-1], True, ErrorEventReceived, "too busy", id="stray-error-without-its-end"),
        pytest.param(FEED, STRAY, True, Fault, "the server ended the stream", id="stray-error-in-a-feed"),
        pytest.param(plan(), b"<p>no\n", False, Fault, "not an event stream (status 200): '<p>no'", id="page"),
        pytest.param(plan(), b"<p>no\n", True, None, "", id="a-line-among-events"),
        pytest.param(plan(), b"<p>no\ndata: a", False, Fault, "in the middle of the next", id="an-event-has-begun"),
    ],
)
def test_ends_of_bodies(plan: Plan, data: bytes, is_understood: bool, kind: type | None, text: str) -> None:
    """A clean end is a fault, an error, or the end. After a fault another attempt may help."""
    found = end_of_body(
        body_of(data, plan),
        plan,
        None,
        " after 1 event",
        NOW,
        is_whole=True,
        is_understood=is_understood,
        has_begun=True,
    )
    assert type(found) is (kind or type(None))
    assert text in (str(found.error) if isinstance(found, Fault) else str(found))


def test_a_page_is_a_response() -> None:
    """A body of only unknown lines is a response's error, with the bytes that came."""
    body = body_of(b"<p>\nno\n", plan())
    found = end_of_body(body, plan(), None, "", NOW, is_whole=True, is_understood=False, has_begun=False)
    assert isinstance(found, Fault)
    assert isinstance(found.error, ContentTypeError)
    assert (found.error.body, found.is_worth_it) == (b"<p>\nno\n", False)


def test_clean_ends() -> None:
    """A missing terminator is reported first, then compression without an end, then an event without one."""
    assert clean_end(plan(), None, "") is None
    assert "compressed" in str(clean_end(plan(), None, "", is_whole=False, is_mid_block=True))
    assert "terminator" in str(clean_end(plan(terminator=LAST), None, "", is_whole=False))


@pytest.mark.parametrize(
    ("plan", "data", "is_end"),
    [
        pytest.param(plan(), b"data: [DONE]", True, id="done"),
        pytest.param(plan(), b"data: [DON", False, id="a-part-of-it"),
        pytest.param(plan(ends_at_done=False), b"data: [DONE]", False, id="done-is-an-event"),
        pytest.param(plan(terminator=TYPED), b'data: {"type": "done"}', True, id="field"),
        pytest.param(plan(terminator=LAST), b"data: last", False, id="an-open-line"),
        pytest.param(plan(terminator=LAST), b"data: last\n", True, id="a-line-that-has-ended"),
        pytest.param(plan(terminator=LAST), b"data: last\nretry", True, id="and-no-more-of-the-event"),
        pytest.param(plan(), b"", False, id="nothing"),
    ],
)
def test_unfinished_terminators(plan: Plan, data: bytes, is_end: bool) -> None:
    """A terminator without its blank line counts if nothing could have changed it."""
    assert (unfinished_terminator(body_of(data, plan).parser, plan) is not None) is is_end


def test_notes() -> None:
    """A comment is reported between its two events, even after some events were left out."""
    a, b, c = events("a", "b", "c")
    notes = deque[Note]([Opened(None), Commented("1", 5), Commented("2", 7), Commented("3", 8)])
    follow_events(notes, 5, [a, b, c], [a, c])
    assert list(notes)[1:] == [Commented("1", 5), Commented("2", 6), Commented("3", 7)]
    drop_after(notes, 6)
    assert [next_note(notes, count) for count in (5, 5, 5, 6, 6)] == [
        Opened(None),
        Commented("1", 5),
        None,
        Commented("2", 6),
        None,
    ]
