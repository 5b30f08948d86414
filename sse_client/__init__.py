"""Server-sent events in response to a POST: typed, resumable, and honest about how a stream ended."""

from ._accumulate import join_text
from ._dialect import Dialect
from ._encoder import EventEncoder
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
from ._event import Comment, ServerSentEvent
from ._handlers import Handlers
from ._marks import ErrorEvent, Terminator
from ._parser import EventParser
from ._reader import Reader
from ._request import Request
from ._resume import Cursor, LastEventID
from ._retry import RetryPolicy
from ._shells.accumulations import Accumulation, AsyncAccumulation
from ._shells.async_ import AsyncEventStream
from ._shells.async_client import AsyncSSEClient
from ._shells.given import aiter_events, iter_events
from ._shells.sync import EventStream
from ._shells.sync_client import SSEClient
from ._stats import StreamStats
from ._timeouts import Timeouts
from ._typed import Named
from ._version import __version__ as __version__

__all__ = [
    "Accumulation",
    "AsyncAccumulation",
    "AsyncEventStream",
    "AsyncSSEClient",
    "Comment",
    "ConnectionFailed",
    "ContentTypeError",
    "Cursor",
    "DecodeError",
    "Dialect",
    "ErrorEvent",
    "ErrorEventReceived",
    "EventEncoder",
    "EventParser",
    "EventStream",
    "EventTooLarge",
    "Handlers",
    "LastEventID",
    "Named",
    "Reader",
    "Request",
    "ResponseError",
    "RetryPolicy",
    "SSEClient",
    "SSEError",
    "ServerSentEvent",
    "StatusError",
    "StreamCancelled",
    "StreamError",
    "StreamInterrupted",
    "StreamStats",
    "StreamTimeout",
    "StreamTruncated",
    "Terminator",
    "Timeouts",
    "aiter_events",
    "iter_events",
    "join_text",
]
