"""The exit code of each way in which a stream ends."""

from sse_client import (
    ConnectionFailed,
    ContentTypeError,
    DecodeError,
    ErrorEventReceived,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)

COMPLETE = 0
OTHER = 1
USAGE = 2
NO_CONNECTION = 3
REFUSED = 4
SERVER_ERROR = 5
NOT_A_STREAM = 6
CUT = 7
TIMEOUT = 8
ERROR_EVENT = 9
UNFIT = 10
INTERRUPTED = 130
CLOSED_PIPE = 141


def code_of(error: SSEError) -> int:
    """Return the exit code for the error of a stream."""
    match error:
        case ConnectionFailed(clock=str()) | StreamTimeout():
            return TIMEOUT
        case ConnectionFailed():
            return NO_CONNECTION
        case StatusError(status_code=status) if 300 <= status < 500:
            return REFUSED
        case StatusError(status_code=status) if status >= 500:
            return SERVER_ERROR
        case StatusError() | ContentTypeError():
            return NOT_A_STREAM
        case StreamInterrupted() | StreamTruncated():
            return CUT
        case ErrorEventReceived():
            return ERROR_EVENT
        case DecodeError():
            return UNFIT
        case _:
            return OTHER
