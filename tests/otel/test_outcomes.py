"""Each outcome of a stream as a span: its status, its `error.type`, and all of its attributes."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from shells import Shell, entered

from otel.recorded import DONE, OK, SLACK, START, URL, Recorded, attributes_of, each_shell
from sse_client import (
    AsyncEventStream,
    ErrorEvent,
    LastEventID,
    RetryPolicy,
    SSEError,
    StreamTimeout,
    Terminator,
    Timeouts,
)
from sse_client.testing import RST, Answer, Pause, Script, scripted_transport

pytestmark = pytest.mark.usefixtures("still")

NO_JITTER = RetryPolicy(jitter=0.0)
ERRORS = ErrorEvent(field="error")
A = "data: a\n\n"
NOTHING_READ: dict[str, Any] = {"events": 0, "bytes": 0, "connections": 0, "to_headers": None, "to_event": None}

near: Any = pytest.approx


def seconds(value: float) -> Any:
    return near(value, abs=SLACK)


def refuse(_: object) -> Answer:
    raise ConnectionRefusedError("refused")


def filled(outcome: str, *, status: int | None = 200, **given: Any) -> dict[str, Any]:
    """Return the attributes of a stream that had one event at once, unless they are given."""
    numbers = {"events": 1, "unknown_events": 0, "comments": 0, "bytes": 9, "attempts": 1, "connections": 1} | {
        name: value for name, value in given.items() if name in ("events", "comments", "bytes", "attempts")
    }
    numbers["connections"] = given.get("connections", 1)
    times = {
        "time_to_headers": given.get("to_headers", 0.0),
        "time_to_first_event": given.get("to_event", 0.0),
        "longest_gap": given.get("gap", 0.0),
    }
    found = {f"sse_client.{name}": value for name, value in numbers.items()}
    found |= {f"sse_client.{name}": seconds(value) for name, value in times.items() if value is not None}
    found |= {**START, "sse_client.outcome": outcome, **given.get("more", {})}
    if status is not None:
        found["http.response.status_code"] = status
    if numbers["attempts"] > 1:
        found["http.request.resend_count"] = numbers["attempts"] - 1
    return found


def failed(error_type: str, **clock: str) -> dict[str, Any]:
    return {"error.type": error_type, **{f"sse_client.{name}": value for name, value in clock.items()}}


Row = tuple[tuple[Script, ...], dict[str, Any], dict[str, Any]]

TABLE: dict[str, Row] = {
    "completed": ((Answer(": hi\n\n", A, DONE),), {}, filled("completed", bytes=29, comments=1)),
    "completed, after a retry": (
        (Answer(status=503), OK),
        {},
        filled("completed", bytes=23, attempts=2, to_headers=0.5, to_event=0.5),
    ),
    "completed, after a resume": (
        (Answer("id: 1\ndata: a\n\n", RST), Answer(Pause(3), "data: b\n\n", DONE)),
        {"resume": LastEventID(retry=NO_JITTER)},
        filled("completed", events=2, bytes=38, attempts=2, connections=2, gap=3.5),
    ),
    "completed, empty": ((Answer(status=204),), {}, filled("completed", status=204, **NOTHING_READ)),
    "truncated": (
        (Answer(A),),
        {"terminator": Terminator(data="end")},
        filled("truncated", more=failed("StreamTruncated")),
    ),
    "interrupted": ((Answer(A, RST),), {}, filled("interrupted", more=failed("StreamInterrupted"))),
    "interrupted, as resumes fail": (
        (Answer("id: 1\ndata: a\n\n", RST), Answer(status=404)),
        {"resume": LastEventID(retry=NO_JITTER)},
        filled("interrupted", status=404, bytes=15, attempts=2, more=failed("StreamInterrupted")),
    ),
    "timeout": (
        (Answer(A, Pause(99)),),
        {"timeout": Timeouts(idle=20)},
        filled("timeout", more=failed("StreamTimeout", clock="idle")),
    ),
    "error event with a code": (
        (Answer(A, 'data: {"error": {"code": "over.load-ed_1", "message": "no"}}\n\n'),),
        {"errors": ERRORS},
        filled("error_event", bytes=71, more=failed("over.load-ed_1")),
    ),
    "error event with a number": (
        (Answer(A, 'data: {"error": {"code": 429}}\n\n'),),
        {"errors": ERRORS},
        filled("error_event", bytes=41, more=failed("429")),
    ),
    "error event with a sentence": (
        (Answer(A, 'data: {"error": {"code": "no, Ms. Smith"}}\n\n'),),
        {"errors": ERRORS},
        filled("error_event", bytes=53, more=failed("ErrorEventReceived")),
    ),
    "error event without a code": (
        (Answer(A, 'data: {"error": "no"}\n\n'),),
        {"errors": ERRORS},
        filled("error_event", bytes=32, more=failed("ErrorEventReceived")),
    ),
    "status": ((Answer(status=401),), {}, filled("failed", status=401, more=failed("401"), **NOTHING_READ)),
    "status, after retries": (
        (Answer(status=429), Answer(status=503), Answer(status=500)),
        {},
        filled("failed", status=500, attempts=3, more=failed("500"), **NOTHING_READ),
    ),
    "media type": (
        (Answer("<p>", headers={"Content-Type": "text/html"}),),
        {},
        filled("failed", more=failed("ContentTypeError"), **NOTHING_READ),
    ),
    "no connection": (
        (refuse,),
        {"retry": None},
        filled("failed", status=None, more=failed("ConnectionFailed"), **NOTHING_READ),
    ),
    "no headers": (
        (Answer(A, delay=99),),
        {"timeout": Timeouts(response=5)},
        filled("failed", status=None, more=failed("ConnectionFailed", clock="response"), **NOTHING_READ),
    ),
    "event too large": (
        (Answer(A, "data: " + 2000 * "a"),),
        {"max_event_size": 1000},
        filled("failed", bytes=2015, more=failed("EventTooLarge")),
    ),
}


@each_shell
@pytest.mark.parametrize("name", TABLE)
def test_table(shell: Shell, name: str, recorded: Recorded) -> None:
    """A stream is one span, with exactly these attributes; only what the operation is to blame for is an error."""
    scripts, options, expected = TABLE[name]
    transport = scripted_transport(*scripts)
    run = shell.read(URL, **recorded.arguments(transport), **{"retry": NO_JITTER, **options})
    span = recorded.span
    assert attributes_of(span) == expected
    assert run.outcome == expected["sse_client.outcome"]
    assert span.name == "SSE POST"
    assert span.kind is SpanKind.CLIENT
    is_error = isinstance(run.error, SSEError)
    assert span.status.status_code is (StatusCode.ERROR if is_error else StatusCode.UNSET)
    assert span.status.description is None
    assert ("error.type" in expected) is is_error
    if isinstance(run.error, StreamTimeout):
        assert expected["sse_client.clock"] == run.error.clock


def leave(_: object) -> None:
    raise KeyError("the user's own")


LEAVING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "close": (lambda stream: stream.aclose() if isinstance(stream, AsyncEventStream) else stream.close(), "cancelled"),
    "exception": (leave, "abandoned"),
}


@each_shell
@pytest.mark.parametrize("name", LEAVING)
def test_leaving(shell: Shell, name: str, recorded: Recorded) -> None:
    """To close or leave a stream is not an error, and an exception of the user's own is not ours."""
    action, outcome = LEAVING[name]

    async def main() -> None:
        arguments = recorded.arguments(scripted_transport(Answer(A, A, A)))
        async with shell.any_client(**arguments) as client, entered(client.post(URL)) as reader:
            async for _ in reader:
                if (waiting := action(reader.stream)) is not None:
                    await waiting

    try:
        shell.run(main)
    except KeyError:
        assert outcome == "abandoned"
    span = recorded.span
    assert attributes_of(span)["sse_client.outcome"] == outcome
    assert "error.type" not in attributes_of(span)
    assert span.status.status_code is StatusCode.UNSET
    assert not span.events


@each_shell
def test_break(shell: Shell, recorded: Recorded) -> None:
    """A `break` out of the loop abandons the stream, and the span has the events up to there."""
    shell.read(URL, limit=2, **recorded.arguments(scripted_transport(Answer(A, A, A, A))))
    assert attributes_of(recorded.span)["sse_client.outcome"] == "abandoned"
    assert attributes_of(recorded.span)["sse_client.events"] == 2
