"""
What the sync and the async shell have in common: the arguments, and what a stream can be asked. No I/O.

A call's arguments become one `Plan`; everything after that is the session's.
"""

import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, TypedDict
from uuid import uuid4

from ._http import Response
from ._marks import ErrorEvent, Terminator
from ._parser import DEFAULT_MAX_EVENT_SIZE
from ._request import AsyncHeadersSource, HeadersSource, Request
from ._resume import Cursor, LastEventID
from ._retry import RetryPolicy
from ._session import RECONNECT, Outcome, Plan, Session, State, id_header
from ._stats import StreamStats
from ._timeouts import Timeouts

DEFAULT_RETRY = RetryPolicy()
DEFAULT_TIMEOUTS = Timeouts()


class ReadOptions(TypedDict, total=False):
    """What there is to say about reading a stream."""

    terminator: Terminator | None
    """The event that must end the stream. By default an unnamed `[DONE]` ends it, and so does the end of the body;
    `None` takes `[DONE]` for an event like any other."""
    errors: ErrorEvent | None
    """Which events are errors."""
    max_event_size: int
    """In bytes; beyond it is `EventTooLarge`. By default 64 MiB."""


class Options(ReadOptions, total=False):
    """What every call takes. The first group means what it means in httpx."""

    params: Any
    cookies: Any
    json: Any
    content: Any
    data: Any
    files: Any
    auth: Any

    timeout: Timeouts | float | None
    """Seconds for the whole call, or a `Timeouts`; `None` switches all clocks off. By default the client's."""
    retry: RetryPolicy | None
    """What to do when there is no answer, or a bad one; `None` never tries again. By default the client's."""
    resume: LastEventID | Cursor[Any] | None
    """How to take a broken stream up again. By default it is not."""
    last_event_id: str
    """The ID to go on behind, from an earlier stream."""
    follow_redirects: bool
    """Whether to follow a redirect to another origin too, without any credentials."""


class SyncOptions(Options, total=False):
    """The options of `SSEClient`."""

    headers: HeadersSource | None
    """Headers, or a function that is asked for them before each attempt."""


class AsyncOptions(Options, total=False):
    """The options of `AsyncSSEClient`."""

    headers: AsyncHeadersSource | None
    """Headers, or a function, async or not, that is asked for them before each attempt."""


class BaseClient:
    """The defaults of a client, and how a call becomes a plan."""

    def __init__(
        self,
        *,
        headers: AsyncHeadersSource | None,
        retry: RetryPolicy | None,
        timeout: Timeouts | float | None,
        idempotency_key_header: str | None,
    ) -> None:
        self._headers = headers
        self._retry = retry
        self._timeouts = Timeouts.of(timeout)
        self._idempotency_key_header = idempotency_key_header

    def _plan(self, method: str, url: str, options: SyncOptions | AsyncOptions, *, is_subscription: bool) -> Plan:
        _refuse_unknown(options, AsyncOptions)
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
        id_header(last_event_id)  # what cannot be sent is an error here, and not in the middle of a stream
        key_header = self._idempotency_key_header
        return Plan(
            request=request,
            is_subscription=is_subscription,
            can_refresh=callable(request.headers) or callable(self._headers),
            follow_redirects=options.get("follow_redirects", False),
            idempotency_key=None if key_header is None or request.is_idempotent else (key_header, str(uuid4())),
            last_event_id=last_event_id,
            retry=options.get("retry", RECONNECT if is_subscription else self._retry),
            resume=options.get("resume"),
            timeouts=Timeouts.of(options["timeout"]) if "timeout" in options else self._timeouts,
            **_reading(options),
        )


def plan_of(response: Any, options: ReadOptions) -> Plan:
    """The plan of reading a response that is there already: it is not asked for again."""
    _refuse_unknown(options, ReadOptions)
    request = Request(method=response.request.method, url=str(response.request.url))
    return Plan(request=request, timeouts=Timeouts.of(None), **_reading(options))


class _Reading(TypedDict):
    terminator: Terminator | None
    ends_at_done: bool
    errors: ErrorEvent | None
    max_event_size: int


def _reading(options: ReadOptions) -> _Reading:
    terminator = options.get("terminator")
    return {
        "terminator": terminator,
        "ends_at_done": terminator is not None or "terminator" not in options,
        "errors": options.get("errors"),
        "max_event_size": options.get("max_event_size", DEFAULT_MAX_EVENT_SIZE),
    }


def _refuse_unknown(options: Mapping[str, Any], allowed: Any) -> None:
    known: frozenset[str] = allowed.__optional_keys__
    for name in options:
        if name not in known:
            raise TypeError(f"unexpected argument {name!r}; expected one of {', '.join(sorted(known))}")


def made_for_this(library: ModuleType, **unusable: Any) -> None:
    """Refuse the arguments that a client of the user's own has already decided about."""
    for name, value in unusable.items():
        if value is not None:
            raise TypeError(f"{name}= is for a client that is made here: give it to your {library.__name__} client")


class BaseStream:
    """What a stream can be asked, at any time and on any thread."""

    def __init__(self, plan: Plan, library: ModuleType) -> None:
        self._library = library
        self._plan = plan
        self._session = Session(plan, random=random.random, utc_now=lambda: datetime.now(UTC))

    @property
    def response(self) -> Response:
        """
        The latest response: status, headers, HTTP version.

        Raises `RuntimeError` where none has come yet; entering the stream waits for it.
        """
        head = self._session.head
        if head is None:
            raise RuntimeError("there is no response yet: enter the stream with `with`, or take its first event")
        response: Response = head.response
        return response

    @property
    def outcome(self) -> Outcome | None:
        """How the stream ended: `None` while it runs, then `"completed"`, `"truncated"`, `"interrupted"`,
        `"timeout"`, `"error_event"`, `"cancelled"`, `"abandoned"` or `"failed"`."""
        return self._session.outcome

    @property
    def state(self) -> State:
        """`"waiting"` for the first event, `"streaming"`, or `"closed"`."""
        return self._session.state

    @property
    def last_event_id(self) -> str:
        """The ID of the last event that you have finished with: came back for the next, or left without an error."""
        return self._session.last_event_id

    @property
    def stats(self) -> StreamStats:
        """The numbers of the stream so far."""
        return self._session.stats(time.monotonic())
