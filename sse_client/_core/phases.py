"""The phases of a stream, the transitions between them, and the outcomes."""

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

# Asserted by the session on every change of phase; the docstring of `_core` shows it as a diagram.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    "connecting": frozenset({"reading", "connecting", "refusing", "pausing", "stopped"}),
    "refusing": frozenset({"connecting", "pausing", "stopped"}),
    "reading": frozenset({"draining", "refusing", "pausing", "stopped"}),
    "draining": frozenset({"pausing", "stopped"}),
    "pausing": frozenset({"connecting", "stopped"}),
    "stopped": frozenset(),
}


def outcome_of(error: BaseException | None) -> Outcome:
    """Return the outcome of a stream that the user leaves: "cancelled" after a cancellation or Ctrl-C."""
    return "abandoned" if error is None or isinstance(error, Exception | GeneratorExit) else "cancelled"


def failed_outcome(error: SSEError) -> Outcome:
    """Return the outcome of a stream that ends with this error."""
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
