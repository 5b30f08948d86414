"""Which response is a stream, or else its error: pure functions of a head and a body."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from sse_client import ContentTypeError, Request, StatusError, Timeouts
from sse_client._core.plan import Plan
from sse_client._core.responses import error_of, is_accepted, is_stream, no_response
from sse_client._core.steps import Failure, Head

STREAM, JSON = "text/event-stream", "application/json"
POST = Request(method="POST", url="http://test/chat")


def head(status: int = 200, type: str = STREAM, **known: Any) -> Head:
    length = {"Content-Length": known.pop("length")} if "length" in known else {}
    return Head(status, httpx.Headers({"Content-Type": type, **length}), POST.url, **known)


def plan(**options: Any) -> Plan:
    return Plan(request=POST, **options)


CALL, FEED, BOTH = plan(), plan(is_subscription=True), plan(accepts_json=True)


@pytest.mark.parametrize(
    ("head", "plan", "has_begun", "expected"),
    [
        pytest.param(head(), CALL, False, True, id="200"),
        pytest.param(head(201), CALL, False, True, id="201"),
        pytest.param(head(204), CALL, False, False, id="204"),
        pytest.param(head(205), CALL, False, False, id="205"),
        pytest.param(head(299), CALL, False, True, id="299"),
        pytest.param(head(300), CALL, False, False, id="300"),
        pytest.param(head(500), CALL, False, False, id="500"),
        pytest.param(head(), FEED, False, True, id="feed-200"),
        pytest.param(head(201), FEED, False, False, id="feed-201"),
        pytest.param(head(type="Text/Event-Stream; charset=latin1"), CALL, False, True, id="parameters"),
        pytest.param(head(type="text/html"), CALL, False, False, id="html"),
        pytest.param(head(type=JSON), CALL, False, False, id="json"),
        pytest.param(head(type=JSON), BOTH, False, True, id="json-accepted"),
        pytest.param(head(type="application/problem+json"), BOTH, False, True, id="json-by-suffix"),
        pytest.param(head(type=JSON), BOTH, True, False, id="json-in-a-resume"),
        pytest.param(head(500, JSON), BOTH, False, False, id="json-of-an-error"),
        pytest.param(head(type=f"{JSON}, {STREAM}"), BOTH, False, False, id="two-types"),
        pytest.param(head(type=f"{STREAM}, {STREAM}"), CALL, False, True, id="one-type-twice"),
    ],
)
def test_streams(head: Head, plan: Plan, has_begun: bool, expected: bool) -> None:
    """A stream has a success status and the media type of an event stream, or JSON if that is accepted."""
    assert is_stream(head, plan, has_begun=has_begun) is expected


@pytest.mark.parametrize(
    ("head", "body", "plan", "has_begun", "expected"),
    [
        pytest.param(head(202), b"", BOTH, False, True, id="202"),
        pytest.param(head(202), b"x", BOTH, False, False, id="with-a-body"),
        pytest.param(head(202, length="5"), b"", BOTH, False, False, id="a-body-that-is-lost"),
        pytest.param(head(200), b"", BOTH, False, False, id="200"),
        pytest.param(head(202), b"", CALL, False, False, id="json-not-accepted"),
        pytest.param(head(202), b"", BOTH, True, False, id="in-a-resume"),
        pytest.param(head(202), b"", plan(accepts_json=True, is_subscription=True), False, False, id="feed"),
    ],
)
def test_accepted(head: Head, body: bytes, plan: Plan, has_begun: bool, expected: bool) -> None:
    """A 202 without a body is an empty stream if JSON is accepted too."""
    assert is_accepted(head, body, plan, has_begun=has_begun) is expected


@pytest.mark.parametrize(
    ("head", "body", "refusal", "kind", "text"),
    [
        pytest.param(head(503, reason="Busy"), b"", "", StatusError, "POST /chat returned 503 Busy", id="status"),
        pytest.param(
            head(500), b'{"error": {"message": "no"}}', "", StatusError, "POST /chat returned 500: 'no'", id="message"
        ),
        pytest.param(
            head(307),
            b"",
            "the limit is 20 redirects",
            StatusError,
            "POST /chat returned 307; the redirect is not followed: the limit is 20 redirects",
            id="redirect",
        ),
        pytest.param(
            head(type="text/html"),
            b"<p>",
            "",
            ContentTypeError,
            "expected text/event-stream from POST /chat, got 'text/html' (status 200): '<p>'",
            id="type",
        ),
        pytest.param(
            head(type=""),
            b"",
            "",
            ContentTypeError,
            "expected text/event-stream from POST /chat, got no content type (status 200)",
            id="no-type",
        ),
        pytest.param(
            head(undecodable="br"),
            b"\x00\x01",
            "",
            ContentTypeError,
            "expected text/event-stream from POST /chat, got 'text/event-stream' in the content coding 'br', "
            "which cannot be decoded without httpx[brotli] (status 200)",
            id="coding",
        ),
        pytest.param(
            head(500, undecodable="lzma"),
            b"\x00",
            "",
            StatusError,
            "POST /chat returned 500 in the content coding 'lzma', which cannot be decoded",
            id="coding-of-an-error",
        ),
    ],
)
def test_errors(head: Head, body: bytes, refusal: str, kind: type[Exception], text: str) -> None:
    """The error says what was expected and what came, and has the server's message."""
    error = error_of(head, body, CALL, "POST /chat", has_begun=False, refusal=refusal)
    assert (type(error), str(error)) == (kind, text)
    assert (error.status_code, error.body) == (head.status_code, body)


BODY = b'{"choices": []}'
SAYS = '; the request has no "stream": true'


@pytest.mark.parametrize(
    ("head", "json", "field", "has_begun", "expected"),
    [
        pytest.param(head(type=JSON), {}, "stream", False, SAYS, id="absent"),
        pytest.param(head(type=JSON), {"stream": False}, "stream", False, SAYS, id="false"),
        pytest.param(head(type=JSON), {"stream": None}, "stream", False, SAYS, id="null"),
        pytest.param(head(type=JSON), MappingProxyType({"n": 1}), "stream", False, SAYS, id="any-mapping"),
        pytest.param(head(type="application/problem+json"), {}, "stream", False, SAYS, id="json-by-suffix"),
        pytest.param(head(type=JSON), {}, "live", False, '; the request has no "live": true', id="another-field"),
        pytest.param(head(type=JSON), {"stream": True}, "stream", False, "", id="true"),
        pytest.param(head(type=JSON), {}, None, False, "", id="no-field"),
        pytest.param(head(type=JSON), None, "stream", False, "", id="no-json"),
        pytest.param(head(type=JSON), ["stream"], "stream", False, "", id="a-list"),
        pytest.param(head(type=JSON), {}, "stream", True, "", id="in-a-resume"),
        pytest.param(head(type="text/html"), {}, "stream", False, "", id="html"),
        pytest.param(head(type=f"{JSON}, {STREAM}"), {}, "stream", False, "", id="two-types"),
        pytest.param(head(500, JSON), {}, "stream", False, "", id="status"),
    ],
)
def test_the_request_asks_for_no_stream(
    head: Head, json: Any, field: str | None, has_begun: bool, expected: str
) -> None:
    """JSON in place of a stream comes with a hint if the request does not ask for a stream."""
    asked = Plan(request=replace(POST, json=json), stream_field=field)
    error = error_of(head, BODY, asked, "POST /chat", has_begun=has_begun, refusal="")
    assert str(error).partition(repr(BODY.decode()))[2] == expected
    assert repr(BODY.decode()) in str(error)


def test_no_response() -> None:
    """The error of a request without a response has the failure, and the clock that ran out."""
    cause = ValueError("why")
    error = no_response(Failure(cause, "refused", was_sent=False), "POST /chat", None, Timeouts())
    assert (str(error), error.ambiguous, error.clock) == ("POST /chat got no response: refused", False, None)
    assert error.__cause__ is cause
    error = no_response(Failure(None, "late"), "POST /chat", "response", Timeouts(response=2.5))
    assert str(error) == "POST /chat got no response: late (the response clock of 2.5 s ran out)"
    assert (error.ambiguous, error.clock) == (True, "response")
