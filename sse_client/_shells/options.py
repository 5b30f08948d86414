"""
The arguments of a call, and their conversion to one `Plan` for the session.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, TypedDict, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

from .._core.observing import Telemetry
from .._core.place import id_header
from .._core.plan import Plan
from .._dialect import RAW, Dialect
from .._marks import ErrorEvent, Terminator
from .._parser import DEFAULT_MAX_EVENT_SIZE
from .._reader import Reader
from .._request import AsyncHeadersSource, HeadersSource, Request, public_url
from .._resume import Cursor, LastEventID
from .._retry import RetryPolicy
from .._timeouts import Timeouts
from .._typed import Unknown
from .._types import Auth, Content, Cookies, Data, Files, HTTPResponse, Params
from .http import check_url
from .stream import BaseStream

B = TypeVar("B", bound="BaseStream[Any, Any]")

DEFAULT_RETRY = RetryPolicy()
DEFAULT_TIMEOUTS = Timeouts()

# For the HTTP clients that are made here. A stream keeps its connection for minutes: with httpx's limit of 100, the
# next stream would wait for one of them to end.
LIMITS: dict[str, int | None] = {"max_connections": None, "max_keepalive_connections": 20}


class ReadOptions(TypedDict, total=False):
    """Options for reading a stream."""

    terminator: Terminator | None
    """The event that must end the stream. By default an unnamed `[DONE]` ends it, and so does the end of the body;
    `None` treats `[DONE]` like any other event. `subscribe` does so too, unless the terminator matches it."""
    errors: ErrorEvent | None
    """Which events are errors."""
    pings: Collection[str]
    """The names of events that only keep the connection alive: they are never delivered, and reset no clock."""
    max_event_size: int
    """The largest size of an event, in bytes; a larger one raises `EventTooLarge`. By default 64 MiB."""
    accept_json: bool
    """Whether to request JSON too, and read a JSON response as a stream of one event; by default that is a
    `ContentTypeError`. A 202 without a body is then an empty stream. It overrides the dialect's `accept`."""


class Options(ReadOptions, total=False):
    """Options of every call. Those of the first group have the meaning of httpx."""

    params: Params | None
    cookies: Cookies | None
    json: Any
    content: Content | None
    data: Data | None
    files: Files | None
    auth: Auth | None

    timeout: Timeouts | float | None
    """Seconds for the whole stream, or a `Timeouts`; `None` switches off all clocks. By default the client's."""
    retry: RetryPolicy | None
    """How to retry after a missing or bad response; `None` never retries. By default the client's policy, and for
    a subscription `RetryPolicy.RECONNECT`."""
    resume: LastEventID | Cursor[Any] | None
    """How to resume a broken stream. By default it is not resumed."""
    last_event_id: str
    """Resume after this event ID, saved from an earlier stream."""
    cross_origin_redirects: bool
    """Whether to follow redirects to another origin too, without auth, cookies or your headers. `Last-Event-ID` and the
    idempotency key are sent along. Redirects within the origin are always followed."""


class SyncOptions(Options, total=False):
    """The options of `SSEClient`."""

    headers: HeadersSource | None
    """Headers, or a function that returns them, called before each attempt."""


class AsyncOptions(Options, total=False):
    """The options of `AsyncSSEClient`."""

    headers: AsyncHeadersSource | None
    """Headers, or a function, async or not, that returns them, called before each attempt."""


class BaseClient:
    """The defaults of a client, the plans of its calls, and its open streams."""

    _http_client: Any
    _library: ModuleType

    def __init__(
        self,
        *,
        headers: AsyncHeadersSource | None,
        retry: RetryPolicy | None,
        timeout: Timeouts | float | None,
        idempotency_key_header: str | None,
        telemetry: Telemetry | None,
    ) -> None:
        self._headers = headers
        self._retry = RetryPolicy._of(retry)
        self._timeouts = Timeouts._of(timeout)
        self._idempotency_key_header = idempotency_key_header
        self._telemetry = telemetry
        self._is_closed = False
        self._streams: WeakValueDictionary[int, Any] = WeakValueDictionary()  # a stream without references disappears

    def _keep(self, stream: B) -> B:
        """Remember a stream while it is referenced, so that closing the client closes it."""
        stream._owner = self
        self._streams[id(stream)] = stream
        return stream

    def _close_calls(self) -> list[Any]:
        """Forbid new streams, and return the streams to close."""
        self._is_closed = True
        # `valuerefs` and not iteration, because another thread may make a stream meanwhile.
        kept = [reference() for reference in self._streams.valuerefs()]
        return [stream for stream in kept if stream is not None and stream._session.has_started]

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the client is closed: make a new client to open a stream")

    def __repr__(self) -> str:
        base_url = public_url(str(self._http_client.base_url))
        return f"<{type(self).__name__}{f' {base_url}' if base_url else ''}>"

    def _plan(
        self,
        method: str,
        url: str,
        options: SyncOptions | AsyncOptions,
        dialect: Dialect[Any],
        *,
        is_subscription: bool,
    ) -> Plan:
        self._check_open()
        _check(options, AsyncOptions)
        resume = options.get("resume", dialect.resume)
        for each in (url, resume.url if isinstance(resume, LastEventID) else None):
            if each is not None and not callable(each):
                check_url(self._library, str(each), self._http_client.base_url)
        request = Request(
            method=method.upper(),
            url=str(url),
            params=options.get("params"),
            headers=options.get("headers"),
            cookies=options.get("cookies"),
            json=options.get("json"),
            content=options.get("content"),
            data=options.get("data"),
            files=options.get("files"),
            auth=options.get("auth"),
        )
        last_event_id = options.get("last_event_id", "")
        id_header(last_event_id)  # an ID that cannot be sent raises here, and not in the middle of a stream
        key_header = self._idempotency_key_header
        return Plan(
            request=request,
            is_subscription=is_subscription,
            can_refresh=callable(request.headers) or callable(self._headers),
            cross_origin_redirects=options.get("cross_origin_redirects", False),
            idempotency_key=None if key_header is None or request.is_idempotent else (key_header, str(uuid4())),
            last_event_id=last_event_id,
            retry=RetryPolicy._of(options["retry"])
            if "retry" in options
            else RetryPolicy.RECONNECT
            if is_subscription
            else self._retry,
            resume=resume,
            timeouts=Timeouts._of(options["timeout"]) if "timeout" in options else self._timeouts,
            **_reading(options, dialect),
        )


def plan_of(response: HTTPResponse, options: ReadOptions, dialect: Dialect[Any]) -> Plan:
    """Return the plan for a response that the user already has; it is never requested again."""
    _check(options, ReadOptions)
    request = Request(method=response.request.method, url=str(response.request.url))
    return Plan(request=request, timeouts=Timeouts._of(None), **_reading(options, dialect))


class _Reading(TypedDict):
    reader: Callable[[], Reader[Any, Any]] | None
    is_terminator_required: bool
    terminator: Terminator | None
    ends_at_done: bool
    errors: ErrorEvent | None
    pings: frozenset[str]
    accepts_json: bool
    accept: str | None
    stream_field: str | None
    max_event_size: int


def _reading(options: ReadOptions, dialect: Dialect[Any]) -> _Reading:
    terminator = options.get("terminator", dialect.terminator)
    return {
        "reader": dialect.reader,
        # With a reader, the dialect's terminator only ends the reading; the reader says whether the reply is complete.
        "is_terminator_required": dialect.reader is None or "terminator" in options,
        "terminator": terminator,
        "ends_at_done": terminator is not None or "terminator" not in options,
        "errors": options.get("errors", dialect.errors),
        "pings": frozenset(options.get("pings", dialect.pings)),
        "accepts_json": options.get("accept_json", dialect.accept_json),
        "accept": None if "accept_json" in options else dialect.accept,
        "stream_field": dialect.stream_field,
        "max_event_size": options.get("max_event_size", DEFAULT_MAX_EVENT_SIZE),
    }


def dialect_of(events: Any, dialect: Any, unknown: Unknown | None) -> Dialect[Any]:
    """
    Return the dialect of a call: `events` and `unknown` override the given dialect.

    `events` also replaces the reader, because both determine the values that a loop yields.
    """
    _expect("dialect", dialect, Dialect)
    given: Dialect[Any] = RAW if dialect is None else dialect
    if events is not None:
        given = replace(given, events=events, reader=None, fold=None)
    return given if unknown is None else replace(given, unknown=unknown)


# Wrong types here would otherwise be noticed only in the middle of a stream.
EXPECTED: dict[str, tuple[type, ...]] = {
    "terminator": (Terminator,),
    "errors": (ErrorEvent,),
    "resume": (LastEventID, Cursor),
    "last_event_id": (str,),
    "max_event_size": (int,),
}


def _check(options: Mapping[str, Any], allowed: Any) -> None:
    known: frozenset[str] = allowed.__optional_keys__
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"unexpected argument {name!r}; expected one of {', '.join(sorted(known))}")
        _expect(name, value, *EXPECTED.get(name, ()))


def _expect(name: str, value: Any, *kinds: type) -> None:
    """Raise `TypeError` if the value is neither `None` nor of one of the kinds; without kinds, any value will do."""
    if kinds and value is not None and not isinstance(value, kinds):
        raise TypeError(f"expected {' or '.join(kind.__name__ for kind in kinds)} for {name}, got {value!r}")


def refuse_settings(library: ModuleType, **settings: Any) -> None:
    """Raise `TypeError` for arguments that belong on the user's own HTTP client."""
    for name, value in settings.items():
        if value is not None:
            raise TypeError(f"{name}= cannot be combined with http_client=; set it on your {library.__name__} client")
