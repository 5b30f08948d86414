"""
Checks of the reply: is all of it there?

They apply if a dialect or marks are named, because only these say where a reply ends and what an error looks like;
without them, an event that looks like an error is a warning. The library itself reads the recorded body once more, as
it would have read it from the network.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx

from sse_client import (
    ContentTypeError,
    DecodeError,
    Dialect,
    ErrorEventReceived,
    EventStream,
    ServerSentEvent,
    SSEError,
    StreamError,
    StreamTruncated,
    dialects,
    iter_events,
)

from ..._reading import dialect_named
from ..._text import counted
from .._case import Case, Check
from .._exchange import End
from .._finding import Finding, Level, quoted

# Dialects of models, which count tokens; the others are of tools and agents.
OF_MODELS = frozenset({"anthropic", "cohere", "gemini", "mistral", "openai", "openai-responses"})

# A reply that was cut may not have come further than to events that carry nothing.
FEW = 3  # events

# The library's own texts quote at most 200 characters of the server, after some words of theirs.
MAX_ERROR = 160  # characters

WHO_CLOSED = "find out who closed it: see the server's log and the idle limits of the proxies"

# Why a reply ended, where that is not the end of it: how bad it is, in words, and the cure.
REASONS: dict[str, tuple[Level, str, str]] = {
    "length": (
        Level.WARN,
        "the token limit cut the reply off",
        "raise the limit: `max_tokens`, or the server's name for it",
    ),
    "content_filter": (Level.WARN, "the server's content filter stopped the reply", "check what the filter reports"),
    "refusal": (Level.WARN, "the model refused to reply", "change the request"),
    "pause": (Level.note, "the reply waits for the user, or for another request", ""),
    "cancelled": (Level.WARN, "the reply was cancelled", "see the server's log"),
    "error": (Level.FAIL, "the server ended the reply with an error", "see the server's log"),
    "other": (Level.note, "a reason unknown to the dialect", ""),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How the library read the body."""

    snapshot: Any
    error: SSEError | None
    unfit: tuple[DecodeError, ...]
    """Events that do not fit the dialect."""
    count: int
    """The number of values that the dialect has a type for."""


def reply(case: Case) -> Iterator[Finding]:
    """Read the reply as the library does: its end, errors, finish reason, usage and tool calls."""
    exchange = case.exchange
    is_json = exchange.content_type == "application/json" or exchange.content_type.endswith("+json")
    if (case.dialect is None and not case.marks) or not exchange.has_body or not (case.is_stream or is_json):
        return
    if case.body.fault:
        yield Finding("reply", "reply", Level.note, f"not checked: {quoted(case.body.fault)}")
        return
    reading = _read(case, is_json=is_json and not case.body.arrivals)
    if case.dialect in OF_MODELS and not reading.count and not reading.unfit and len(case.events) >= FEW:
        evidence = f"{counted(len(case.events), 'event')}, but nothing that is part of a reply of {case.dialect}"
        yield Finding("reply", "dialect", Level.note, evidence, "check `--dialect`: it may be the wrong one")
    yield from _end(case, reading)
    if reading.unfit:
        first = reading.unfit[0]
        count = f"{len(reading.unfit)} of {len(case.body.arrivals)} events"
        evidence = f"{count} do not fit the dialect; the first: {quoted(str(first), MAX_ERROR)}"
        yield Finding("reply", "unfit-events", Level.WARN, evidence, "check `--dialect`, or correct the events")
    if isinstance(reading.snapshot, dialects.Message) and not isinstance(reading.error, ContentTypeError):
        yield from _message(case, reading, reading.snapshot)


def reported(case: Case) -> Iterator[Finding]:
    """Does an event look like an error? Without a dialect or a mark it may mean something else, so nothing fails."""
    if case.dialect is not None or "errors" in case.marks or not case.is_stream:
        return
    for number, arrival in enumerate(case.body.arrivals, start=1):
        if _is_error(arrival.event):
            evidence = f"event {number} looks like an error in a 200: `{quoted(arrival.event.data)}`"
            cure = "see the server's log; with `--dialect` or `--error`, an error is a FAIL"
            yield Finding("reply", "error-event", Level.WARN, evidence, cure)
            return


def _is_error(event: ServerSentEvent) -> bool:
    """Whether the event is named so, or its data: the forms of OpenAI, Anthropic and JSON-RPC."""
    if event.event == "error":
        return True
    if '"error"' not in event.data:
        return False
    try:
        value = json.loads(event.data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    return fields.get("type") == "error" or (isinstance(fields.get("error"), dict) and bool(fields["error"]))


def _end(case: Case, reading: Reading) -> Iterator[Finding]:
    """How the reply ended."""
    match reading.error:
        case None:
            yield Finding("reply", "reply", Level.ok, f"complete after {counted(len(case.body.arrivals), 'event')}")
        case ErrorEventReceived() as error:
            code = f" (code {quoted(str(error.code))})" if error.code is not None else ""
            words = quoted(error.message or error.event.data)
            evidence = f"the server reported an error: {words}{code}"
            cure = "the same request may succeed later" if error.is_transient else "see the server's log"
            yield Finding("reply", "error-event", Level.FAIL, evidence, cure)
        case ContentTypeError(message=str(words)):
            evidence = f"the server reported an error, but with status 200: {quoted(words)}"
            yield Finding("reply", "error-event", Level.FAIL, evidence, "send errors with a 4xx or 5xx status")
        case ContentTypeError():
            pass  # the check of the media type says it
        case StreamError() if case.exchange.end is End.LEFT:
            yield Finding("reply", "reply", Level.note, "not read to the end, so the rest is unknown")
        case StreamTruncated() if case.dialect == "mcp":
            # The request is not at hand: a subscription has no response, and a poll gets it from another request.
            evidence = "no response in the stream: the client has to resume, or it is a subscription"
            yield Finding("reply", "reply", Level.WARN, evidence, WHO_CLOSED)
        case StreamError() as error:
            yield Finding("reply", "reply", Level.FAIL, quoted(str(error), None), WHO_CLOSED)
        case error:
            yield Finding("reply", "reply", Level.WARN, f"not read: {quoted(str(error))}")


def _message(case: Case, reading: Reading, message: dialects.Message) -> Iterator[Finding]:
    is_whole = reading.error is None
    for index, choice in sorted(message.choices.items()):
        name = f"choice {index}: " if len(message.choices) > 1 else ""
        if choice.finish_reason is not None:
            yield _finish(name, choice, is_of_tool=case.dialect == "mcp")
        elif is_whole and case.dialect in OF_MODELS:
            yield Finding("reply", "finish-reason", Level.note, f"{name}none: the reply does not say why it ended")
    usage = message.usage
    if usage is not None:
        counts = f"{_count(usage.input_tokens)} tokens in, {_count(usage.output_tokens)} out"
        yield Finding("reply", "usage", Level.ok, counts)
    elif is_whole and case.dialect in OF_MODELS:
        cure = 'send `"stream_options": {"include_usage": true}`' if case.dialect == "openai" else ""
        yield Finding("reply", "usage", Level.note, "none: the reply does not say how many tokens it used", cure)
    calls = [call for choice in message.choices.values() for call in choice.tool_calls]
    if calls:
        yield _calls(case, calls, is_cut_off=any(each.finish_reason == "length" for each in message.choices.values()))


def _finish(name: str, choice: dialects.Message, *, is_of_tool: bool) -> Finding:
    reason = choice.finish_reason or ""
    native = choice.native_finish_reason
    shown = reason if native in (None, reason) else f"{reason} ({quoted(native or '')})"
    if reason not in REASONS:
        return Finding("reply", "finish-reason", Level.ok, f"{name}{shown}")
    level, words, cure = REASONS[reason]
    level = min(level, Level.WARN) if is_of_tool else level  # a tool reports its error in a reply that is complete
    return Finding("reply", "finish-reason", level, f"{name}{shown}: {words}", cure)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _calls(case: Case, calls: list[dialects.ToolCall], *, is_cut_off: bool) -> Finding:
    """Whether the arguments of each call are whole."""
    names = ", ".join(quoted(call.name or "?") for call in calls)
    broken = [call for call in calls if not call.is_whole]
    if not broken:
        return Finding("reply", "tool-calls", Level.ok, f"{len(calls)} complete: {names}")
    evidence = f"{len(broken)} of {len(calls)} incomplete: {', '.join(quoted(call.name or '?') for call in broken)}"
    if case.exchange.end is End.LEFT:
        return Finding("reply", "tool-calls", Level.note, f"{evidence}, because the reply was not read to the end")
    cure = REASONS["length"][2] if is_cut_off else "do not run them: their arguments are incomplete"
    return Finding("reply", "tool-calls", Level.FAIL, evidence, cure)


def _read(case: Case, *, is_json: bool) -> Reading:
    """Read the body with the library: no socket, and no waiting."""
    exchange = case.exchange
    response = httpx.Response(
        200,
        headers={"content-type": "application/json" if is_json else "text/event-stream"},
        stream=Recorded(case.body.data, is_cut=exchange.end is End.CUT),
        request=httpx.Request(exchange.method, "http://recording/"),
    )
    options: dict[str, Any] = dict(case.marks)
    if case.dialect is not None:
        options["dialect"] = _dialect(case)
    events: Callable[..., EventStream[Any, Any]] = iter_events
    stream = events(response, **options)
    unfit: list[DecodeError] = []
    error: SSEError | None = None
    count = 0
    while True:
        try:
            for value in stream:
                count += not isinstance(value, dialects.Data)
        except DecodeError as one:
            unfit.append(one)  # the events after it can still be read
        except SSEError as last:
            error = last
            break
        else:
            break
    return Reading(stream.snapshot if case.dialect is not None else None, error, tuple(unfit), count)


class Recorded(httpx.SyncByteStream):
    """A body that was read before."""

    def __init__(self, data: bytes, *, is_cut: bool) -> None:
        self._data = data
        self._is_cut = is_cut

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        if self._is_cut:
            raise httpx.ReadError("the connection broke")


def _dialect(case: Case) -> Dialect[Any, Any]:
    assert case.dialect is not None
    return replace(dialect_named(case.dialect, _request_id(case)), resume=None)


def _request_id(case: Case) -> str | int:
    """Return the ID of the MCP request: that of the first response, because the request is not at hand."""
    for arrival in case.body.arrivals:
        try:
            value: Any = json.loads(arrival.event.data)
        except (ValueError, RecursionError):
            continue
        values = cast("Any", value) if isinstance(value, list) else [value]
        for each in (cast("dict[str, Any]", each) for each in values if isinstance(each, dict)):
            request_id = each.get("id")
            if "method" not in each and ("result" in each or "error" in each) and isinstance(request_id, str | int):
                return request_id
    return ""


CHECKS: tuple[Check, ...] = (reply, reported)
