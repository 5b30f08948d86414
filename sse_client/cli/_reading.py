"""From the options to how a stream is read: dialect, marks, clocks, retries."""

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from sse_client import (
    Dialect,
    ErrorEvent,
    LastEventID,
    RetryPolicy,
    ServerSentEvent,
    SSEError,
    Terminator,
    Timeouts,
)

from ._usage import UsageError

DONE = "[DONE]"

M = TypeVar("M", Terminator, ErrorEvent)

DIALECTS = {
    "a2a": "A2A",
    "ag-ui": "AG_UI",
    "anthropic": "ANTHROPIC_MESSAGES",
    "cohere": "COHERE_CHAT",
    "dify": "DIFY",
    "gemini": "GEMINI",
    "langgraph": "LANGGRAPH",
    "langgraph-events": "LANGGRAPH_EVENTS",
    "mcp": "mcp_call",
    "mistral": "MISTRAL_CHAT",
    "openai": "OPENAI_CHAT",
    "openai-responses": "OPENAI_RESPONSES",
    "vercel": "VERCEL_UI",
}


class Paired:
    """An event, and the values that the dialect made of it."""

    __slots__ = ("event", "values")

    def __init__(self, event: ServerSentEvent, values: Sequence[Any]) -> None:
        self.event = event
        self.values = values


class Pairing:
    """The reader of a dialect that also delivers each event itself, once."""

    def __init__(self, reader: Any, *, is_strict: bool) -> None:
        self._reader = reader
        self._is_strict = is_strict

    @property
    def snapshot(self) -> Any:
        return self._reader.snapshot

    @property
    def is_complete(self) -> bool | None:
        complete: bool | None = self._reader.is_complete
        return complete

    def read(self, event: ServerSentEvent) -> Sequence[Paired]:
        try:
            return (Paired(event, self._reader.read(event)),)
        except ValueError:
            if self._is_strict:
                raise
            return (Paired(event, ()),)

    def resumed(self) -> None:
        self._reader.resumed()

    def close(self, error: SSEError | None) -> None:
        self._reader.close(error)


def dialect_of(options: Namespace, body: bytes = b"") -> Dialect[Any, Any] | None:
    """Return the dialect, which delivers `Paired`; `None` if none is named. `body` is that of the request."""
    name: str | None = options.dialect
    if name is None:
        return None
    check_dialect(options)
    dialect: Any = dialect_named(name, _request_id(body) if name == "mcp" else 0)
    make: Callable[[], Any] = dialect.reader
    paired: Dialect[Any, Any] = replace(dialect, reader=lambda: Pairing(make(), is_strict=options.strict))
    return paired


def check_dialect(options: Namespace) -> None:
    """Raise `UsageError` for a dialect that is not known."""
    if options.dialect is not None and options.dialect not in DIALECTS:
        raise UsageError(f"--dialect: expected {', '.join(DIALECTS)}, got {options.dialect!r}")


def dialect_named(name: str, request_id: str | int) -> Dialect[Any, Any]:
    """Return the dialect of this name. `request_id` is that of an MCP call; the others need none."""
    from sse_client import dialects

    named: Any = getattr(dialects, DIALECTS[name])
    dialect: Dialect[Any, Any] = named(request_id) if name == "mcp" else named
    return dialect


def is_done(event: ServerSentEvent) -> bool:
    """Whether it is the unnamed `[DONE]`, which ends a reply by default."""
    return event.data == DONE and event.event == "message"


def _request_id(body: bytes) -> str | int:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        request = None
    request_id = cast("dict[str, Any]", request).get("id") if isinstance(request, dict) else None
    if not isinstance(request_id, str | int):
        raise UsageError("--dialect mcp needs a request with an id in its --json")
    return request_id


def marks_of(options: Namespace) -> dict[str, Any]:
    """Return the marks as arguments of a call: the terminator, the errors, the events to ignore."""
    arguments: dict[str, Any] = {}
    if options.until:
        arguments["terminator"] = _mark(Terminator, options.until, "--until")
    elif options.mode == "raw" and options.dialect is None:
        arguments["terminator"] = None  # to the end of the body: the bytes after a [DONE] are shown too
    if options.error:
        arguments["errors"] = _mark(ErrorEvent, options.error, "--error")
    if options.ping:
        arguments["pings"] = options.ping
    return arguments


def _mark(kind: type[M], texts: list[str], option: str) -> M:
    """Make a mark of each text: `NAME`, `event:NAME`, `data:TEXT`, `FIELD=VALUE` or `FIELD=`; join them."""
    mark: Any = _one_mark(kind, texts[0], option)
    for text in texts[1:]:
        mark |= _one_mark(kind, text, option)
    joined: M = mark
    return joined


def _one_mark(kind: type[M], text: str, option: str) -> M:
    prefix, colon, rest = text.partition(":")
    if colon and prefix in ("data", "event"):
        return kind(data=rest) if prefix == "data" else kind(event=rest)
    field, equals, value = text.partition("=")
    if not text or (equals and not field):
        raise UsageError(f"{option}: expected NAME, FIELD=VALUE, event:NAME or data:TEXT, got {text!r}")
    if not equals:
        return kind(event=text)
    return kind(field=field, values=_values(value)) if value else kind(field=field)


def _values(text: str) -> list[Any]:
    """The text, and the number, true, false or null that it may be."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    return [text] if isinstance(value, dict | list | str) else [text, value]


def clocks_of(options: Namespace) -> Timeouts:
    """Return the clocks."""
    return Timeouts(total=options.timeout, first_event=options.first_event, idle=options.idle)


def repeats_of(options: Namespace, *, is_feed: bool) -> dict[str, Any]:
    """
    Return how a request is repeated, as arguments of a call.

    Without `--retries` a reply is never requested again: the tool shows the first response, as it is.
    """
    if is_feed:
        number = RetryPolicy.RECONNECT.max_retries if options.retries is None else options.retries
        return {"retry": replace(RetryPolicy.RECONNECT, max_retries=number)}
    number = options.retries or 0
    repeats: dict[str, Any] = {"retry": RetryPolicy(max_retries=number, retry_ambiguous=options.retry_ambiguous)}
    if options.resume:
        number = RetryPolicy.RESUME.max_retries if options.retries is None else number
        policy = replace(RetryPolicy.RESUME, max_retries=number, retry_ambiguous=options.retry_ambiguous)
        repeats["resume"] = LastEventID(retry=policy)
    return repeats
