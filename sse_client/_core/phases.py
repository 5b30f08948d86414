"""The phases of a stream and the ways between them, and the words for how it ended."""

from typing import Literal, TypeAlias

from .._errors import (
    ErrorEventReceived,
    SSEError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)

Outcome: TypeAlias = Literal[
    "completed", "truncated", "interrupted", "timeout", "error_event", "cancelled", "abandoned", "failed"
]
State: TypeAlias = Literal["waiting", "streaming", "closed"]
Phase: TypeAlias = Literal["connecting", "reading", "refusing", "draining", "pausing", "stopped"]

# The session asserts it on every change; the docstring of the package shows it as a diagram.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    "connecting": frozenset({"reading", "connecting", "refusing", "pausing", "stopped"}),
    "refusing": frozenset({"connecting", "pausing", "stopped"}),
    "reading": frozenset({"draining", "refusing", "pausing", "stopped"}),
    "draining": frozenset({"pausing", "stopped"}),
    "pausing": frozenset({"connecting", "stopped"}),
    "stopped": frozenset(),
}


def outcome_of(error: BaseException | None) -> Outcome:
    """Return the outcome of a stream that the user leaves: by a cancellation or Ctrl-C, or in any other way."""
    return "abandoned" if error is None or isinstance(error, Exception | GeneratorExit) else "cancelled"


def failed_outcome(error: SSEError) -> Outcome:
    """Return the outcome of a stream that ends with the error."""
    match error:
        case StreamTruncated():
            return "truncated"
        case StreamInterrupted():
            return "interrupted"
        case StreamTimeout():
            return "timeout"
        case ErrorEventReceived():
            return "error_event"
        case _:
            return "failed"
