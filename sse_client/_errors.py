"""
One family of errors, whatever lies below::

    SSEError
    ├── ConnectionFailed      no answer: DNS, connect, TLS, lost or timed out before the headers
    ├── ResponseError         an answer that is no event stream
    │   ├── StatusError         not 2xx
    │   └── ContentTypeError    2xx of another media type
    ├── StreamError           it began, and did not end well
    │   ├── StreamInterrupted   the connection was lost, and not (or no longer) taken up
    │   ├── StreamTruncated     a clean end before the terminator
    │   ├── StreamTimeout       one of our clocks ran out (also a builtin TimeoutError)
    │   ├── StreamCancelled     only from .final() on a stream that somebody closed
    │   └── ErrorEventReceived  an error sent as an event
    ├── EventTooLarge         an event beyond max_event_size
    └── DecodeError           an event that did not fit its type

The HTTP client's own error is the `__cause__`. A text never holds the value of a request header, nor the query
of a URL: that is where tokens are. Every error can be pickled.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from ._event import ServerSentEvent
from ._stats import StreamStats

# Long enough for the sentence that a server says, short enough for a log line.
MAX_QUOTED = 200


def quote(text: str) -> str:
    """Show the text as a literal, shortened to what fits a log line."""
    return repr(text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…")


def shown(value: Any) -> str:
    """Show JSON as text. It may be nested more deeply than Python's stack allows to show."""
    try:
        return str(value)
    except RecursionError:
        return "…"


def message_in(value: Any) -> str | None:
    """Find the server's own words in JSON of the usual shapes: `error.message`, `error`, `message`, `detail`."""
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
            # FastAPI's 422 says what is wrong in a list of objects.
            try:
                return json.dumps(found, ensure_ascii=False)
            except RecursionError:
                return "…"
    return None


def code_in(value: Any) -> str | int | float | None:
    """Find an error's code in JSON, in the usual places: `error.code`, `.type` or `.status`, `code`, `status`."""
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
    """The numbers of the stream, as `stream.stats`: how many attempts there were, and how long they took."""

    def __init__(self, message: str = "", *, stats: StreamStats | None = None) -> None:
        super().__init__(message)
        self.stats = stats or StreamStats()

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call cls(*args), and the constructors here take keywords.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(cls: type[SSEError], args: tuple[Any, ...]) -> SSEError:
    error = cls.__new__(cls)
    error.args = args  # an OSError, which StreamTimeout is, would not take them from its __new__
    return error


class ConnectionFailed(SSEError):
    """There was no answer: the name, the connection or the TLS handshake failed, or it was lost before the headers."""

    ambiguous: bool
    """Whether the server may have received the request, and acted on it."""
    clock: str | None
    """The clock that ran out: `"connect"` or `"response"`; `None` where it was no matter of time."""

    def __init__(self, message: str, *, ambiguous: bool = False, clock: str | None = None) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous
        self.clock = clock


class ResponseError(SSEError):
    """The server answered, and the answer is no event stream."""

    status_code: int
    """The response's status."""
    headers: Mapping[str, str]
    """The response's headers; names are looked up in any case."""
    body: bytes
    """The first 64 KiB of the response's body, at the most."""

    def __init__(self, message: str, *, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """Parse the body as JSON; raise `ValueError` where it is none."""
        return json.loads(self.body)

    @property
    def message(self) -> str | None:
        """The server's own message, where its body is JSON of a usual shape; else `None`."""
        try:
            return message_in(json.loads(self.body))
        except (ValueError, RecursionError):
            return None

    @property
    def request_id(self) -> str | None:
        """The ID that the server gave the request (`x-request-id` or `request-id`), for its support to ask for."""
        return self.headers.get("x-request-id") or self.headers.get("request-id")


class StatusError(ResponseError):
    """The status is none of an event stream's: anything that is not 2xx, and 205."""


class ContentTypeError(ResponseError):
    """
    A good status with another media type: a JSON error at 200, an HTML login page.

    Or an event stream in a content coding that cannot be decoded.
    """


class StreamError(SSEError):
    """The stream began, and did not end well."""

    last_event_id: str
    """The ID of the last event that the user had finished with, `""` for none: what to come back with."""
    partial: Any
    """The snapshot of the accumulation so far, where there is one."""
    cursor: Any
    """The cursor after the last event that the user had finished with, of a stream with `resume=Cursor(…)`; else
    `None`. As another cursor's `initial` it resumes the stream in another call, or another process."""

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
    """The connection was lost in the middle of the body, and not (or no longer) taken up."""


class StreamTruncated(StreamError):
    """The body ended in good order, but before the stream did: without its terminator, or inside an event."""


class StreamTimeout(StreamError, TimeoutError):
    """One of the stream's clocks ran out."""

    clock: str
    """Which one: `"read"`, `"first_event"`, `"idle"` or `"total"`."""

    def __init__(self, message: str, *, clock: str, **known: Any) -> None:
        super().__init__(message, **known)
        self.clock = clock


class StreamCancelled(StreamError):
    """The final result was asked of a stream that somebody closed."""


class ErrorEventReceived(StreamError):
    """The server sent an error as an event."""

    event: ServerSentEvent
    """The event as it came, ready to be sent on. An error sent outside any event becomes one named `"error"`."""
    code: Any
    """The error's code (JSON), where the event names one."""
    message: str | None
    """The server's own words, where the event has them."""
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
    An event does not fit its type; the cause is pydantic's `ValidationError`. The stream can be read on.

    So is one whose JSON has half of a surrogate pair, an emoji that the server cut in two: no `str` of pydantic can
    hold it. `event.json()` can.
    """

    event: ServerSentEvent
    """The event as it came."""

    def __init__(self, message: str, *, event: ServerSentEvent) -> None:
        super().__init__(message)
        self.event = event


# Tracebacks call the errors by the name that users know.
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
