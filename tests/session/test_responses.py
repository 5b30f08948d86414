"""Which responses are streams, and the errors of the others."""

from dataclasses import replace
from typing import Any

import pytest

from session.driver import DONE, HTML, JSON, POST, RESUME, STREAM, A, Answer, answer, plan, rows, run, subscription
from sse_client._core.steps import ReadBody
from sse_client._errors import (
    ContentTypeError,
    SSEError,
    StatusError,
)


@pytest.mark.parametrize(
    "type", ["text/event-stream", "Text/Event-Stream", "text/event-stream; charset=latin-1", " text/event-stream ;x=y"]
)
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
def test_what_is_a_stream(status: int, type: str) -> None:
    """Any 2xx with the media type of an event stream is a stream, whatever the parameters."""
    assert run(plan(), answer(status, A, type=type)).data == ["a"]


@pytest.mark.parametrize(
    "type", ["", "application/json", "text/html", "text/plain", "text/event-streams", "event-stream"]
)
def test_what_is_no_stream(type: str) -> None:
    """Another media type, or none, is a `ContentTypeError` with the body, and nothing is delivered."""
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
    """A 204 to the first request is an empty, completed stream."""
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
    """A subscription accepts only a 200, as browsers do; any other final response ends it."""
    result = run(subscription(), reply)
    assert (type(result.error), result.outcome, len(result.connects)) == (kind, "failed", 1)


def test_the_body_of_an_error_is_bounded() -> None:
    """At most 64 KiB of an error's body are read, and the error's text quotes little of it."""
    result = run(plan(), answer(400, b"x" * 100_000, type="text/plain"))
    assert any(isinstance(step, ReadBody) and step.size == 65536 for step in result.steps)
    error = result.failed(StatusError)
    assert len(error.body) == 65536
    assert len(str(error)) < 400


def test_an_error_says_the_servers_own_words() -> None:
    """The text of a `StatusError` has the request, the status and the server's message, and no secrets."""
    request = replace(POST, url="http://user:secret@test/chat?token=secret")
    reply = answer(422, b'{"detail": "no such model"}', type="application/json", x_request_id="r1")
    error = run(plan(request), replace(reply, reason="Not Like This")).failed(StatusError)
    assert str(error) == "POST http://test/chat returned 422 Not Like This: 'no such model'"
    assert (error.message, error.request_id) == ("no such model", "r1")


def test_an_unknown_status() -> None:
    """A status without a reason phrase is shown by its number; a very long phrase is cut."""
    assert str(run(plan(), answer(499, type="")).error) == "POST http://test/chat returned 499"
    assert len(str(run(plan(), replace(answer(499, type=""), reason="x" * 10_000)).error)) < 200
