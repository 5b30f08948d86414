"""Server-sent events answered to a POST: typed, resumable, and honest about how a stream ended."""

from ._accumulate import join_text
from ._async import AsyncEventStream, AsyncSSEClient, aiter_events
from ._dialect import Dialect
from ._errors import (
    ConnectionFailed,
    ContentTypeError,
    DecodeError,
    ErrorEventReceived,
    EventTooLarge,
    ResponseError,
    SSEError,
    StatusError,
    StreamCancelled,
    StreamError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)
from ._event import ServerSentEvent
from ._handlers import Handlers
from ._marks import ErrorEvent, Terminator
from ._parser import EventParser
from ._resume import Cursor, LastEventID
from ._retry import RetryPolicy
from ._sync import EventStream, SSEClient, iter_events
from ._timeouts import Timeouts
from ._typed import Named

__all__ = [
    "AsyncEventStream",
    "AsyncSSEClient",
    "ConnectionFailed",
    "ContentTypeError",
    "Cursor",
    "DecodeError",
    "Dialect",
    "ErrorEvent",
    "ErrorEventReceived",
    "EventParser",
    "EventStream",
    "EventTooLarge",
    "Handlers",
    "LastEventID",
    "Named",
    "ResponseError",
    "RetryPolicy",
    "SSEClient",
    "SSEError",
    "ServerSentEvent",
    "StatusError",
    "StreamCancelled",
    "StreamError",
    "StreamInterrupted",
    "StreamTimeout",
    "StreamTruncated",
    "Terminator",
    "Timeouts",
    "aiter_events",
    "iter_events",
    "join_text",
]
