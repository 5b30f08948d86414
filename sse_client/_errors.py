"""
The errors of sse_client, with either HTTP client::

    SSEError
    ├── ConnectionFailed      no response: DNS, connect, TLS, lost or timed out before the headers
    ├── ResponseError         a response that is not an event stream
    │   ├── StatusError         not 2xx
    │   └── ContentTypeError    2xx with another media type
    ├── StreamError           the stream began, and ended badly
    │   ├── StreamInterrupted   the connection was lost, and not (or no longer) resumed
    │   ├── StreamTruncated     a clean end, but too early
    │   ├── StreamTimeout       one of the stream's clocks ran out (also a builtin TimeoutError)
    │   ├── StreamCancelled     only from `final()`, if the stream was closed before its end
    │   └── ErrorEventReceived  the server sent an error as an event
    ├── EventTooLarge         an event larger than max_event_size
    └── DecodeError           an event that does not match its type

The HTTP client's own error is the `__cause__`. Texts never contain values of request headers or the query of a URL,
because these may hold tokens. All errors can be pickled.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from ._event import ServerSentEvent
from ._stats import StreamStats

# Long enough for a server's error message, short enough for a log line.
MAX_QUOTED = 200


def quote(text: str) -> str:
    """Return the text as a literal, shortened to fit a log line."""
    return repr(text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…")


def shown(value: Any) -> str:
    """Return JSON as text, or "…" if it is nested more deeply than Python's stack allows."""
    try:
        return str(value)
    except RecursionError:
        return "…"


def message_in(value: Any) -> str | None:
    """Return the server's message from JSON of the usual shapes: `error.message`, `error`, `message`, `detail`."""
    # Depth first, and not by recursion: JSON may be nested more deeply than Python's stack allows.
    pending: list[Any] = [value] if isinstance(value, dict) else []
    while pending:
        found = pending.pop()
        if isinstance(found, str) and found:
            return found
        if isinstance(found, dict):
            fields = cast("dict[str, Any]", found)
            pending += [fields.get(name) for name in ("detail", "message", "error")]
        if isinstance(found, list) and found:
            # FastAPI's 422 has its details in a list of objects.
            try:
                return json.dumps(found, ensure_ascii=False)
            except RecursionError:
                return "…"
    return None


def code_in(value: Any) -> str | int | float | None:
    """Return an error's code from the usual places in JSON: `error.code`, `.type` or `.status`, `code`, `status`."""
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    error = fields.get("error")
    inner = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    for found in (inner.get("code"), inner.get("type"), inner.get("status"), fields.get("code"), fields.get("status")):
        if isinstance(found, str | int | float) and found != "" and not isinstance(found, bool):
            return found
    return None


class SSEError(Exception):
    """Base class of all errors raised by sse_client."""

    stats: StreamStats
    """The statistics of the stream, like `stream.stats`: the number of attempts, their duration, and more."""

    def __init__(self, message: str = "", *, stats: StreamStats | None = None) -> None:
        super().__init__(message)
        self.stats = stats or StreamStats()

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call cls(*args), but these constructors have required keyword arguments.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(cls: type[SSEError], args: tuple[Any, ...]) -> SSEError:
    error = cls.__new__(cls)
    error.args = args  # `OSError`, a base class of `StreamTimeout`, does not take them from its `__new__`
    return error


class ConnectionFailed(SSEError):
    """No response arrived: DNS, the connection or TLS failed, or the connection was lost before the headers."""

    ambiguous: bool
    """Whether the server may have received the request, and acted on it."""
    clock: str | None
    """The clock that ran out: `"connect"` or `"response"`; `None` if none did."""

    def __init__(self, message: str, *, ambiguous: bool = False, clock: str | None = None) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous
        self.clock = clock


class ResponseError(SSEError):
    """The response is not an event stream."""

    status_code: int
    """The status code of the response."""
    headers: Mapping[str, str]
    """The headers of the response; lookups ignore the case of names."""
    body: bytes
    """The body of the response, at most its first 64 KiB."""

    def __init__(self, message: str, *, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """Parse the body as JSON. Raises `ValueError` if it is not JSON."""
        return json.loads(self.body)

    @property
    def message(self) -> str | None:
        """The server's own message, if the body is JSON of a usual shape; otherwise `None`."""
        try:
            return message_in(json.loads(self.body))
        except (ValueError, RecursionError):
            return None

    @property
    def request_id(self) -> str | None:
        """The server's ID for the request (`x-request-id` or `request-id`), to give to its support; or `None`."""
        return self.headers.get("x-request-id") or self.headers.get("request-id")


class StatusError(ResponseError):
    """The status is not that of an event stream: any status except 2xx, and also 205."""


class ContentTypeError(ResponseError):
    """
    The status is good but the media type is not: a JSON error with status 200, an HTML login page.

    Or the response is an event stream in a content coding that cannot be decoded.
    """


class StreamError(SSEError):
    """The stream began, and ended badly."""

    last_event_id: str
    """The ID of the last event that you finished processing, to resume after; `""` without one."""
    partial: Any
    """The snapshot of the accumulation so far, if there is one."""
    cursor: Any
    """The cursor after the last event that you finished processing, for a stream with `resume=Cursor(…)`; otherwise
    `None`. As the `initial` of another `Cursor` it resumes the stream in another call or another process."""

    def __init__(
        self,
        message: str,
        *,
        last_event_id: str = "",
        partial: Any = None,
        cursor: Any = None,
        stats: StreamStats | None = None,
    ) -> None:
        super().__init__(message, stats=stats)
        self.last_event_id = last_event_id
        self.partial = partial
        self.cursor = cursor


class StreamInterrupted(StreamError):
    """The connection was lost in the middle of the body, and the stream was not (or no longer) resumed."""


class StreamTruncated(StreamError):
    """The body ended cleanly but too early: before the terminator, or in the middle of an event."""


class StreamTimeout(StreamError, TimeoutError):
    """One of the stream's clocks ran out."""

    clock: str
    """The clock that ran out: `"read"`, `"first_event"`, `"idle"` or `"total"`."""

    def __init__(self, message: str, *, clock: str, **known: Any) -> None:
        super().__init__(message, **known)
        self.clock = clock


class StreamCancelled(StreamError):
    """`final()` was called on a stream that was closed before its end."""


class ErrorEventReceived(StreamError):
    """The server sent an error as an event."""

    event: ServerSentEvent
    """The event as received, to pass on if you like. An error outside any event becomes an event named `"error"`."""
    code: Any
    """The error's code (any JSON value), if the event has one."""
    message: str | None
    """The server's own message, if the event has one."""
    is_transient: bool
    """Whether the same request may succeed later: the code is one of `ErrorEvent.retry`."""

    def __init__(
        self,
        text: str,
        *,
        event: ServerSentEvent,
        code: Any = None,
        message: str | None = None,
        is_transient: bool = False,
        **known: Any,
    ) -> None:
        super().__init__(text, **known)
        self.event = event
        self.code = code
        self.message = message
        self.is_transient = is_transient


class EventTooLarge(SSEError):
    """An event, or a single line, is larger than `max_event_size`."""


class DecodeError(SSEError):
    """
    An event does not match its type. The cause is pydantic's `ValidationError`. You can keep reading the stream.

    This includes events whose JSON has half of a surrogate pair, from an emoji that the server cut in two: pydantic
    cannot parse it. `event.json()` can.
    """

    event: ServerSentEvent
    """The event as received."""

    def __init__(self, message: str, *, event: ServerSentEvent) -> None:
        super().__init__(message)
        self.event = event


# Tracebacks show the errors under the name that users know.
for _error in (
    SSEError,
    ConnectionFailed,
    ResponseError,
    StatusError,
    ContentTypeError,
    StreamError,
    StreamInterrupted,
    StreamTruncated,
    StreamTimeout,
    StreamCancelled,
    ErrorEventReceived,
    EventTooLarge,
    DecodeError,
):
    _error.__module__ = "sse_client"
