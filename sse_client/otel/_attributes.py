"""The attributes of a span: where a request goes, how it failed, and what the reply was. Pure functions."""

import re
import sys
from typing import Any, TypeAlias, cast

from opentelemetry.util.types import AttributeValue

from .._errors import ConnectionFailed, ErrorEventReceived, SSEError, StatusError, StreamTimeout
from .._stats import StreamStats
from . import _names as names

Attributes: TypeAlias = dict[str, AttributeValue]

PORTS = {"http": 80, "https": 443}

# A word that a program chose, not a sentence of a server's, which may quote the user.
WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# Anthropic counts the tokens of its cache apart from the others, and not as a part of them.
APART = ("cache_read_input_tokens", "cache_creation_input_tokens")


def place_of(url: Any) -> Attributes:
    """Return the server of a URL of httpx or httpx2."""
    return {names.SERVER_ADDRESS: url.host, names.SERVER_PORT: url.port or PORTS[url.scheme]}


def error_type_of(error: SSEError) -> str:
    """Return the class of an error, or the short word by which its server tells it apart."""
    match error:
        case StatusError():
            return str(error.status_code)
        case ErrorEventReceived(code=str() | int() as code) if WORD.fullmatch(str(code)):
            return str(code)
        case _:
            return type(error).__name__


def clock_of(error: SSEError | None) -> Attributes:
    """Return the clock that ran out, if one did."""
    clock = error.clock if isinstance(error, StreamTimeout | ConnectionFailed) else None
    return {} if clock is None else {names.CLOCK: clock}


def counts_of(stats: StreamStats, before: StreamStats) -> Attributes:
    """Return the numbers of a part of a stream."""
    return {
        names.EVENTS: stats.events - before.events,
        names.UNKNOWN_EVENTS: stats.unknown - before.unknown,
        names.COMMENTS: stats.comments - before.comments,
        names.BYTES: stats.bytes - before.bytes,
        names.ATTEMPTS: stats.attempts - before.attempts,
        names.CONNECTIONS: stats.connections - before.connections,
    }


def reply_of(snapshot: Any) -> Attributes:
    """Return the facts about a model's reply, if the snapshot is a `Message` of the dialects."""
    dialects = sys.modules.get("sse_client.dialects")  # if it is not imported, nothing can be a `Message`
    if dialects is None or not isinstance(snapshot, dialects.Message):
        return {}
    message: Any = snapshot
    reasons = [choice.finish_reason for choice in list(message.choices.values())]
    found = {
        names.RESPONSE_ID: message.id,
        names.RESPONSE_MODEL: message.model,
        names.FINISH_REASONS: [reason for reason in reasons if reason is not None] or None,
        **_usage_of(message.usage),
    }
    return {name: value for name, value in found.items() if value is not None}


def _usage_of(usage: Any) -> dict[str, Any]:
    if usage is None:
        return {}
    given: Any = usage.native
    native = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    apart = [count for name in APART if isinstance(count := native.get(name), int)]
    return {
        # By the conventions, the tokens of the cache are a part of it.
        names.INPUT_TOKENS: None if usage.input_tokens is None else usage.input_tokens + sum(apart),
        names.OUTPUT_TOKENS: usage.output_tokens,
        names.CACHE_READ_TOKENS: usage.cached_tokens,
        names.CACHE_WRITE_TOKENS: native.get("cache_creation_input_tokens"),
        names.REASONING_TOKENS: usage.reasoning_tokens,
    }
