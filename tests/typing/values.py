"""The values that a user makes, and the errors that a user catches, as type checkers see them. Never run."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_type

from sse_client import (
    ConnectionFailed,
    ContentTypeError,
    Cursor,
    ErrorEvent,
    ErrorEventReceived,
    LastEventID,
    ResponseError,
    RetryPolicy,
    ServerSentEvent,
    SSEError,
    StatusError,
    StreamError,
    StreamTimeout,
    Terminator,
    Timeouts,
)


def errors() -> None:
    try:
        pass
    except ConnectionFailed as error:
        assert_type(error.ambiguous, bool)
        assert_type(error.clock, str | None)
    except (StatusError, ContentTypeError) as error:
        assert_type(error.status_code, int)
        assert_type(error.headers, Mapping[str, str])
        assert_type(error.body, bytes)
        assert_type(error.message, str | None)
        assert_type(error.request_id, str | None)
    except StreamTimeout as error:
        assert_type(error.clock, str)
        as_timeout: TimeoutError = error
        raise as_timeout from None
    except ErrorEventReceived as error:
        assert_type(error.event, ServerSentEvent)
        assert_type(error.message, str | None)
    except StreamError as error:
        assert_type(error.last_event_id, str)
        assert_type(error.stats.events, int)
        assert_type(error.stats.duration, float)
    except SSEError as error:
        raise RuntimeError from error


def family(error: SSEError) -> ResponseError | StreamError | None:
    match error:
        case ResponseError() | StreamError():
            return error
        case _:
            return None


def marks() -> None:
    assert_type(Terminator(data="a") | Terminator(event="b"), Terminator)
    assert_type(ErrorEvent(data="a") | ErrorEvent(event="b") | ErrorEvent(field="c"), ErrorEvent)
    assert_type(Terminator(data="a").match(ServerSentEvent()), Terminator | None)
    Terminator(field="id", values={7}, test=lambda event: "method" not in event.json())
    Terminator(test="method")  # type: ignore[arg-type]
    ErrorEvent(field="choices.0.error", retry={"overloaded_error", 503})
    Terminator(event="end", retry={"overloaded_error"})  # type: ignore[call-arg]
    Terminator(data="a") | ErrorEvent(data="b")  # type: ignore[operator]
    Terminator(message="x")  # type: ignore[call-arg]
    Terminator("[DONE]")  # type: ignore[call-arg]


def policies(error: SSEError) -> None:
    def on(attempt: int, error: SSEError) -> bool | None:
        return isinstance(error, ConnectionFailed) or None

    RetryPolicy(on=on)
    RetryPolicy(on=lambda attempt, error: None)
    RetryPolicy(on=lambda attempt, error: attempt > 1)
    RetryPolicy(on=lambda error: None)  # type: ignore[arg-type, misc]
    assert_type(RetryPolicy().delay(1, random=0.5), float)
    assert_type(replace(RetryPolicy(), max_retries=3), RetryPolicy)
    RetryPolicy(3)  # type: ignore[call-arg]
    Timeouts(5)  # type: ignore[call-arg]
    Timeouts(write=5)  # type: ignore[call-arg]
    RetryPolicy().jitter = 0.0  # type: ignore[misc]
    LastEventID(method="GET", retry=RetryPolicy(max_retries=None))


def cursors() -> None:
    cursor = Cursor(
        0,
        advance=lambda cursor, event: cursor + len(event.data),
        request=lambda cursor, request: replace(request, params={"after": cursor}),
        retry=RetryPolicy(),
    )
    assert_type(cursor, Cursor[int])
    assert_type(cursor.initial, int)
    Cursor[int]("", lambda cursor, event: cursor, lambda cursor, request: request)  # type: ignore[arg-type]
