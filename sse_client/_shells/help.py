"""The text that `help()` and an editor show for the options of a call: written once, for all calls of both clients."""

from collections.abc import Callable
from inspect import cleandoc
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

READING = """
The events:

    events: type
        The type of the events, anything that pydantic validates. By default they are delivered as
        `ServerSentEvent`.
    dialect: Dialect
        A server's protocol as one value. An argument of the call overrides its part of the dialect, and `events` its
        reader and fold too.
    unknown: "skip" | "keep" | "raise" = "skip"
        How an event that `events` does not cover is handled: it is skipped, delivered as a `ServerSentEvent`, or
        raises `DecodeError`.
    comments: bool = False
        Whether to deliver comments too, between the events, as `Comment`. Raw events only.
    pings: Collection[str] = ()
        The names of events that only keep the connection alive. They are never delivered, and reset no clock.

The end:

    terminator: Terminator | None
        The event that must end the stream. By default an unnamed `[DONE]` ends it, and so does the end of the body.
        With `None`, `[DONE]` is an event like any other; in `subscribe` it is, unless a terminator matches it.
    errors: ErrorEvent | None = None
        The events that are errors. They are raised as `ErrorEventReceived`.
    max_event_size: int = 67108864
        The largest size of an event, in bytes. A larger one raises `EventTooLarge`.
    accept_json: bool = False
        Whether to accept a JSON response as a stream of one event, and a 202 without a body as an empty stream.
        Otherwise a JSON response raises `ContentTypeError`.
"""

REQUEST = """
The request:

    headers: Mapping[str, str] | Sequence[tuple[str, str]] | Callable
        Headers, or a function that returns them, called before each attempt; in the async client it may be async.
    params, cookies, json, content, data, files, auth
        As in httpx. By default `None`.
    cross_origin_redirects: bool = False
        Whether to follow a redirect to another origin too, without auth, cookies or your headers. `Last-Event-ID`
        and the idempotency key are sent along. Redirects within the origin are always followed.

Failures and time:

    timeout: Timeouts | float | None
        Seconds for the whole stream, or a `Timeouts`; `None` switches off all clocks. By default the client's.
    retry: RetryPolicy | None
        How often, and after which failures, the request is sent again; `None` never does. By default the client's, in
        `subscribe` `RetryPolicy.RECONNECT`.
    resume: LastEventID | Cursor | None = None
        How to resume a broken stream. By default it is not resumed.
    last_event_id: str = ""
        The ID to resume after, from an earlier stream.
"""


def with_options(call: F) -> F:
    """Add the options of a request and of its events to the docstring."""
    return _with(call, READING + REQUEST)


def with_reading_options(call: F) -> F:
    """Add the options of the events alone to the docstring."""
    return _with(call, READING)


def _with(call: F, options: str) -> F:
    if call.__doc__ is not None:  # as it is with -OO
        call.__doc__ = f"{cleandoc(call.__doc__)}\n{options}"
    return call
