"""
What the sync and the async shell have in common: the arguments, and what a stream can be asked. No I/O.

A call's arguments become one `Plan`; everything after that is the session's.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from types import ModuleType
from typing import Any, Generic, TypedDict, TypeVar, cast
from uuid import uuid4
from weakref import WeakMethod, WeakValueDictionary

from .._accumulate import Accumulation, first_value
from .._core.session import Outcome, Session, State, id_header
from .._core.steps import Connect, Failure, Opened, Plan
from .._dialect import RAW, Dialect
from .._errors import DecodeError, SSEError, StreamCancelled, StreamError
from .._event import ServerSentEvent
from .._handlers import Conversation, Ended, Handlers, Happening, Received
from .._marks import ErrorEvent, Terminator
from .._parser import DEFAULT_MAX_EVENT_SIZE
from .._request import AsyncHeadersSource, HeadersSource, Request, public_path, public_url
from .._resume import Cursor, LastEventID
from .._retry import RetryPolicy
from .._stats import StreamStats
from .._timeouts import Timeouts
from .._typed import Decoder, Nothing, T, Unknown, shape
from .attempt import Attempt
from .http import VIRTUAL_TIME, Hooks, Response, VirtualTime, check_url
from .waking import Channel

B = TypeVar("B", bound="BaseStream[Any]")

DEFAULT_RETRY = RetryPolicy()
DEFAULT_TIMEOUTS = Timeouts()

# Of the HTTP clients that are made here. A stream keeps its connection for minutes: httpx's limit of 100 would let the
# next one wait for it.
LIMITS: dict[str, int | None] = {"max_connections": None, "max_keepalive_connections": 20}


class ReadOptions(TypedDict, total=False):
    """What there is to say about reading a stream."""

    terminator: Terminator | None
    """The event that must end the stream. By default an unnamed `[DONE]` ends it, and so does the end of the body;
    `None` takes `[DONE]` for an event like any other. `subscribe` does that unless the terminator matches it."""
    errors: ErrorEvent | None
    """Which events are errors."""
    pings: Collection[str]
    """The names of events that only keep the connection alive: they reach nobody, and feed no clock."""
    max_event_size: int
    """In bytes; beyond it is `EventTooLarge`. By default 64 MiB."""
    accept_json: bool
    """Whether to ask for JSON too, and take it for a stream of one event. By default it is a `ContentTypeError`. A 202
    without a body is then an empty stream."""


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
    """What to do when there is no answer, or a bad one; `None` never tries again. By default the client's, and for a
    subscription `RetryPolicy.RECONNECT`."""
    resume: LastEventID | Cursor[Any] | None
    """How to take a broken stream up again. By default it is not."""
    last_event_id: str
    """The ID to go on behind, from an earlier stream."""
    cross_origin_redirects: bool
    """Whether to follow a redirect to another origin too, without auth, cookies, or any header of yours. What repeats
    or resumes the request goes along: `Last-Event-ID` and the idempotency key. Within its origin a redirect is always
    followed."""


class SyncOptions(Options, total=False):
    """The options of `SSEClient`."""

    headers: HeadersSource | None
    """Headers, or a function that is asked for them before each attempt."""


class AsyncOptions(Options, total=False):
    """The options of `AsyncSSEClient`."""

    headers: AsyncHeadersSource | None
    """Headers, or a function, async or not, that is asked for them before each attempt."""


class BaseClient:
    """The defaults of a client, how a call becomes a plan, and which streams are open."""

    _http_client: Any
    _library: ModuleType

    def __init__(
        self,
        *,
        headers: AsyncHeadersSource | None,
        retry: RetryPolicy | None,
        timeout: Timeouts | float | None,
        idempotency_key_header: str | None,
    ) -> None:
        self._headers = headers
        self._retry = RetryPolicy._of(retry)
        self._timeouts = Timeouts._of(timeout)
        self._idempotency_key_header = idempotency_key_header
        self._is_closed = False
        self._streams: WeakValueDictionary[int, Any] = WeakValueDictionary()  # one that nobody holds any more is gone

    def _keep(self, stream: B) -> B:
        """Remember a stream for as long as somebody holds it: closing the client closes it."""
        stream._owner = self
        self._streams[id(stream)] = stream
        return stream

    def _close_calls(self) -> list[Any]:
        """Let no stream be opened any more; return those that are to be closed."""
        self._is_closed = True
        # Not by iterating: another thread may make a stream meanwhile.
        kept = [reference() for reference in self._streams.valuerefs()]
        return [stream for stream in kept if stream is not None and stream._session.has_started]

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the client is closed: no stream can be opened with it any more")

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
        id_header(last_event_id)  # what cannot be sent is an error here, and not in the middle of a stream
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


def plan_of(response: Any, options: ReadOptions, dialect: Dialect[Any]) -> Plan:
    """The plan of reading a response that is there already: it is not asked for again."""
    _check(options, ReadOptions)
    request = Request(method=response.request.method, url=str(response.request.url))
    return Plan(request=request, timeouts=Timeouts._of(None), **_reading(options, dialect))


class _Reading(TypedDict):
    terminator: Terminator | None
    ends_at_done: bool
    errors: ErrorEvent | None
    pings: frozenset[str]
    accepts_json: bool
    max_event_size: int


def _reading(options: ReadOptions, dialect: Dialect[Any]) -> _Reading:
    terminator = options.get("terminator", dialect.terminator)
    return {
        "terminator": terminator,
        "ends_at_done": terminator is not None or "terminator" not in options,
        "errors": options.get("errors", dialect.errors),
        "pings": frozenset(options.get("pings", dialect.pings)),
        "accepts_json": options.get("accept_json", False),
        "max_event_size": options.get("max_event_size", DEFAULT_MAX_EVENT_SIZE),
    }


def dialect_of(events: Any, dialect: Dialect[Any] | None, unknown: Unknown | None) -> Dialect[Any]:
    """What is said of the events of a call, as one dialect: single arguments override the one that is given."""
    given = RAW if dialect is None else dialect
    if events is not None:
        given = replace(given, events=events)
    return given if unknown is None else replace(given, unknown=unknown)


# What would else be found out in the middle of a stream.
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
        expected = EXPECTED.get(name)
        if expected is not None and value is not None and not isinstance(value, expected):
            kinds = " or ".join(kind.__name__ for kind in expected)
            raise TypeError(f"expected {kinds} for {name}, got {value!r}")


def made_for_this(library: ModuleType, **unusable: Any) -> None:
    """Refuse the arguments that a client of the user's own has already decided about."""
    for name, value in unusable.items():
        if value is not None:
            raise TypeError(f"{name}= cannot be combined with http_client=; set it on your {library.__name__} client")


class BaseStream(Generic[T]):
    """What a stream can be asked, at any time and on any thread."""

    def __init__(self, plan: Plan, library: ModuleType, dialect: Dialect[T]) -> None:
        self._library = library
        self._plan = plan
        self._session = Session(plan, random=random.random, utc_now=lambda: datetime.now(UTC))
        self._dialect = dialect
        self._is_typed = dialect.events is not ServerSentEvent
        self._decoder = decoder_of(dialect.events) if self._is_typed else None
        self._unknown = 0
        self._accumulations: list[Accumulation[Any]] = []
        self._conversation: Conversation | None = None
        self._is_plain = not self._is_typed  # an event is handed out as it is, and nobody else wants to see it
        self._channel = Channel()
        self._hooks = Hooks(library)
        self._owner: BaseClient | None = None
        self._now: Callable[[], float] = time.monotonic
        self._virtual_time: VirtualTime | None = None
        self._wait_until_closed: Callable[[float], bool] | None = None  # where a thread can
        self._tap: Callable[[Any, Any], Any] = _untapped

    def __repr__(self) -> str:
        session, request = self._session, self._plan.request
        count = session.stats(0.0).events
        called = f"{type(self).__name__} {request.method} {public_path(request.url)}"
        return f"<{called} {session.outcome or session.state}, {count} event{'' if count == 1 else 's'}>"

    def _attempt(self, request: Any, step: Connect) -> Attempt:
        """Make a request ready to be sent. Raises `DeadlineReached` if it must not be sent any more."""
        if self._owner is not None and not self._session.is_closing:
            self._owner._check_open()
        request.extensions[VIRTUAL_TIME] = WeakMethod(self._use_virtual_time)
        return Attempt(request, step, self._session, self._channel, self._now)

    def _use_virtual_time(self) -> VirtualTime:
        """What a scripted transport asks for; from here on, this stream's time is the one that it keeps."""
        if self._virtual_time is None:
            self._virtual_time = VirtualTime(self._now(), self._wait_until_closed)
            self._now = self._virtual_time.now
        self._virtual_time.deadline = inf
        return self._virtual_time

    def _to_wait(self, seconds: float) -> float:
        """How long to wait, in real time, for so many seconds to pass."""
        if self._virtual_time is None:
            return seconds
        self._virtual_time.sleep(seconds)
        return 0.0

    def _passed(self, deadline: float) -> None:
        """Take that a deadline has passed, in real time, while nothing happened."""
        if self._virtual_time is not None:
            self._virtual_time.sleep(max(deadline - self._now(), 0.0))

    def _watch(self, deadline: float) -> None:
        """Tell who keeps the time when the next read is given up."""
        if self._virtual_time is not None:
            self._virtual_time.deadline = deadline
        self._channel.watch(deadline)

    def _ended(self) -> bool:
        """Take the end of the body; return whether there is something to hand out."""
        self._channel.release()
        if self._channel.is_expired:
            # Where the body ends with its connection, a socket that was shut down looks like an end in good order.
            self._session.lost(Failure(None, "the read was given up", is_deadline=True), self._now())
            return False
        return self._session.ended(self._now())

    def _value(self, event: ServerSentEvent) -> T | Nothing:
        """Make of an event what is handed out, and let the accumulations have it. Raises `DecodeError`."""
        # `_decode` without the call: typed events come this way.
        try:
            value: Any = event if self._decoder is None else self._decoder.decode(event)
            if value.__class__ is Nothing:
                value = self._unlisted(event, value)
        except DecodeError as error:
            self._complete(error)
            raise
        if self._accumulations:
            self._take(value)
        return cast("T | Nothing", value)

    def _decode(self, event: ServerSentEvent) -> T | Nothing:
        value: Any = event if self._decoder is None else self._decoder.decode(event)
        return self._unlisted(event, value) if value.__class__ is Nothing else value

    def _unlisted(self, event: ServerSentEvent, nothing: Nothing) -> T | Nothing:
        """Do with an event what is wished of those that the type does not list."""
        if nothing is Nothing.EMPTY or self._decoder is None:
            return nothing
        self._unknown += 1
        if self._dialect.unknown == "raise":
            raise self._decoder.unknown(event)
        return cast("T", event) if self._dialect.unknown == "keep" else nothing

    def _take(self, value: Any) -> None:
        if value.__class__ is not Nothing:
            for accumulation in self._accumulations:
                accumulation.take(value)

    def _accumulate(self, accumulation: Accumulation[Any]) -> None:
        self._session.begin()
        self._accumulations.append(accumulation)
        self._is_plain = False

    def _fold(self, fold: Any, initial: Any) -> tuple[Any, Any]:
        """The fold to use, and what it begins with."""
        if fold is not None:
            return fold, first_value(initial)
        if self._dialect.fold is None:
            raise TypeError("accumulate() needs a fold: this stream's dialect has none")
        return self._dialect.fold, first_value(self._dialect.initial)

    def _check_whole(self, accumulation: Accumulation[Any]) -> None:
        """Raise where the stream is over without an error, but not complete."""
        if self.outcome != "completed":
            error = StreamCancelled(f"the stream was closed after {self.stats.events} events: there is no final result")
            self._complete(error)
            error.partial = accumulation.snapshot
            raise error

    def _converse(self, on: Handlers, *, is_async: bool) -> Conversation:
        on._check(is_async=is_async, is_typed=self._is_typed)
        self._session.begin()
        if self._conversation is not None:
            raise RuntimeError("a stream can be dispatched once")
        session = self._session
        session.notes = deque()
        if session.is_open and session.head is not None and session.outcome is None:
            session.notes.append(Opened(session.head.response))  # it was entered before
        self._conversation = Conversation(
            on, lambda: self._now(), lambda: self.stats, session.settle, is_typed=self._is_typed
        )
        return self._conversation

    def _told(self, happening: Happening) -> Happening:
        """What a dispatch is told of what was read, perhaps a while ago: nothing more of a stream that was closed."""
        if self._session.is_closing and not isinstance(happening, Ended):
            self._session.cut_short()
            return Ended(None, is_cancelled=True)
        if isinstance(happening, Received):
            self._take(happening.value)
        elif isinstance(happening, Ended) and happening.error is not None:
            self._complete(happening.error)
        return happening

    def _complete(self, error: BaseException) -> None:
        """Put on an error of the stream what only we know of it."""
        if isinstance(error, SSEError):
            error.stats = self.stats
        if isinstance(error, StreamError):
            error.last_event_id = self.last_event_id
            if self._accumulations:
                error.partial = self._accumulations[-1].snapshot

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
    def last_event(self) -> ServerSentEvent | None:
        """The event that was handed out last, as it came: what lies under a typed one."""
        return self._session.last_event

    @property
    def last_event_id(self) -> str:
        """
        The ID of the last event that you have finished with: came back for the next, or left without an error.

        In a dispatch with batches, what is pending in one is not finished.
        """
        if self._conversation is not None and self._conversation.has_batches:
            finished = self._conversation.finished
            return finished.id if finished is not None else self._plan.last_event_id
        return self._session.last_event_id

    @property
    def stats(self) -> StreamStats:
        """The numbers of the stream so far."""
        stats = self._session.stats(self._now())
        stats.unknown = self._unknown
        return stats


def _untapped(_: Any, pieces: Any) -> Any:
    """The pieces of a response as they are: nobody records them."""
    return pieces


# As many types as a large application streams; pydantic takes up to milliseconds to build a validator.
MAX_DECODERS = 256
_decoders: dict[Any, Decoder[Any]] = {}


def decoder_of(form: Any) -> Decoder[Any]:
    """A decoder for the type, made once."""
    try:
        key = shape(form)
        found = _decoders.get(key)
    except TypeError:  # annotated with something that cannot be hashed
        return Decoder(form)
    if found is None:
        if len(_decoders) >= MAX_DECODERS:
            _decoders.clear()
        found = _decoders[key] = Decoder(form)
    return found
