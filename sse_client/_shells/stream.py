"""
What the sync and the async stream share: their state, the value of an event, and what a user can ask. No I/O.
"""

import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from math import inf
from types import ModuleType
from typing import Any, Generic, Protocol, cast
from weakref import WeakMethod, ref

from .._accumulate import Accumulating, Folding, first_value
from .._core.dispatch import Dispatch, Ended, Received, Signal
from .._core.phases import Outcome, State
from .._core.plan import Plan
from .._core.session import Session
from .._core.steps import Commented, Connect, Failure, Opened
from .._dialect import Dialect
from .._errors import DecodeError, SSEError, StreamCancelled, StreamError
from .._event import Comment, ServerSentEvent
from .._handlers import Handlers
from .._request import public_path
from .._stats import StreamStats
from .._typed import Nothing, T, decoder_of
from .._types import Response
from .attempt import Attempt
from .hooks import Hooks
from .http import failure_of, transport_errors
from .recording import Recorded, Recorder
from .time import REAL_TIME, VIRTUAL_TIME, Clock, VirtualTime
from .waking import Channel


class Owner(Protocol):
    """The client of a stream, as far as the stream needs it."""

    def _check_open(self) -> None:
        """Raise `RuntimeError` if the client is closed."""


class BaseStream(Generic[T]):
    """What a stream can be asked, at any time and on any thread."""

    def __init__(
        self,
        plan: Plan,
        library: ModuleType,
        dialect: Dialect[Any, Any],
        client: Any,
        headers: Any,
        response: Any = None,
        *,
        comments: bool = False,
    ) -> None:
        self._library = library
        self._errors = transport_errors(library)
        self._plan = plan
        self._session = Session(plan, random=random.random, utc_now=lambda: datetime.now(UTC))
        self._dialect = dialect
        self._is_typed = not _is_raw(dialect.events)
        self._decoder = decoder_of(dialect.events) if self._is_typed else None
        self._unknown = 0
        self._foldings: list[Folding] = []
        self._dispatch: Dispatch | None = None
        if comments and self._is_typed:
            raise TypeError("comments=True needs raw events: it cannot be combined with events= or a typed dialect")
        self._is_mixed = comments  # something else than the value of each event is delivered
        self._is_plain = not (self._is_typed or comments)  # each event is delivered as it is, and nothing looks at it
        if comments:
            self._session.notes = deque()
        self._is_busy = False
        self._owner: Owner | None = None
        self._client = client
        self._client_headers = headers
        self._given = response
        self._response: Any = None
        self._channel = Channel()
        self._hooks = Hooks(library)
        self._recorder: Recorder | None = None
        self._clock: Clock = REAL_TIME
        self._now: Callable[[], float] = REAL_TIME.now  # of the clock: it is asked once for each piece
        self._wait_until_closed: Callable[[float], bool] | None = None  # where a thread can

    def __repr__(self) -> str:
        session, request = self._session, self._plan.request
        count = session.stats(0.0).events
        called = f"{type(self).__name__} {request.method} {public_path(request.url)}"
        return f"<{called} {session.outcome or session.state}, {count} event{'' if count == 1 else 's'}>"

    def _check_unopened(self) -> None:
        """Raise `RuntimeError` if the stream has begun: it is opened once."""
        self._session.begin()
        if self._session.has_started:
            raise RuntimeError("this stream is open already: it is opened once, by open(), by entering it or by a loop")

    def _attempt(self, request: Any, step: Connect) -> Attempt:
        """Make a request ready to be sent. Raises `DeadlineReached` if it must not be sent any more."""
        if self._owner is not None and not self._session.is_closing:
            self._owner._check_open()
        request.extensions[VIRTUAL_TIME] = WeakMethod(self._use_virtual_time)
        return Attempt(request, step, self._session, self._channel, self._now)

    def _use_virtual_time(self) -> VirtualTime:
        """What a scripted transport asks for; from here on, this stream's time is the one that it keeps."""
        clock = self._clock
        if not isinstance(clock, VirtualTime):
            self._clock = clock = VirtualTime(self._now(), self._wait_until_closed)
            self._now = clock.now
        clock.deadline = inf
        return clock

    def _time(self) -> float:
        """The time, for a dispatch: it may begin before the clock is chosen."""
        return self._now()

    def _record(self, recorder: Recorder) -> None:
        """Record all that comes. Raises `RuntimeError` if the stream has been entered."""
        if self._session.head is not None:
            raise RuntimeError("record a stream before it is entered: with record(client.post(…), path) as stream")
        self._recorder = recorder
        recorder.begin(self._now())

    def _recorded(self, response: Any, pieces: Any) -> Any:
        """Return the pieces of a response; with a recorder, they are recorded while they are read."""
        if self._recorder is None:
            return pieces
        self._recorder.opened(response, self._session.attempted_at, self._now())
        return Recorded(pieces, partial(_report, ref(self), response))

    def _not_answered(self, error: Exception) -> None:
        """Take that a request got no response. If a hook of the client has raised this, it is the user's own error."""
        if self._hooks.have_raised(error):
            raise error
        self._session.not_answered(failure_of(error, self._library, self._channel), self._now())

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
                value = self._unknown_value(event, value)
        except DecodeError as error:
            self._complete(error)
            raise
        if self._foldings:
            self._take(value)
        return cast("T | Nothing", value)

    def _next_value(self) -> Any:
        """Return what is delivered next of all that has been read; `Nothing.EMPTY` if that is used up."""
        session = self._session
        while session.notes and (note := session.next_note()) is not None:
            if isinstance(note, Commented) and not session.is_closing:
                return Comment(note.text)
        for event in session.ready:
            return self._value(event)
        return Nothing.EMPTY

    def _decode(self, event: ServerSentEvent) -> T | Nothing:
        value: Any = event if self._decoder is None else self._decoder.decode(event)
        return self._unknown_value(event, value) if value.__class__ is Nothing else value

    def _unknown_value(self, event: ServerSentEvent, nothing: Nothing) -> T | Nothing:
        """Return the value of an event that its type does not cover. Raises `DecodeError` if `unknown` is "raise"."""
        if nothing is Nothing.EMPTY or self._decoder is None:
            return nothing
        self._unknown += 1
        if self._dialect.unknown == "raise":
            raise self._decoder.unknown(event)
        return cast("T", event) if self._dialect.unknown == "keep" else nothing

    def _take(self, value: Any) -> None:
        if value.__class__ is not Nothing:
            for folding in self._foldings:
                folding.take(value)

    def _begin_folding(self, fold: Any, initial: Any) -> Folding:
        """Fold all values from now on; without a fold, by the dialect's."""
        if fold is None:
            fold, initial = self._dialect.fold, self._dialect.initial
            if fold is None:
                raise TypeError("accumulate() needs a fold: this stream's dialect has none")
        folding = Folding(fold, first_value(initial))
        self._session.begin()
        self._foldings.append(folding)
        self._is_plain = False
        return folding

    def _whole(self, accumulating: Accumulating) -> Any:
        """Return the snapshot of a stream that is over without an error. Raises `StreamCancelled` unless complete."""
        if self.outcome != "completed":
            error = StreamCancelled(f"the stream was closed after {self.stats.events} events: there is no final result")
            self._complete(error)
            error.partial = accumulating.snapshot
            raise error
        return accumulating.snapshot

    def _start_dispatch(self, on: Handlers, *, is_async: bool) -> Dispatch:
        on._check(is_async=is_async, is_typed=self._is_typed)
        self._session.begin()
        if self._dispatch is not None:
            raise RuntimeError("a stream can be dispatched once")
        session = self._session
        session.notes = deque(note for note in session.notes or () if isinstance(note, Commented))
        if session.is_open and session.head is not None and session.outcome is None:
            session.notes.appendleft(Opened(session.head.response))  # it was entered before
        self._dispatch = Dispatch(on, self._time, lambda: self.stats, session.settle, is_typed=self._is_typed)
        return self._dispatch

    def _pending(self) -> Signal | None:
        """Return what comes next of all that has been read, in order; for a dispatch."""
        session = self._session
        if session.notes and (note := session.next_note()) is not None:
            return note
        for event in session.ready:
            return Received(event, self._decode(event))
        return None

    def _over(self, error: SSEError | None = None) -> Ended:
        """Return what comes last in a dispatch."""
        return Ended(error, is_cancelled=error is None and self._session.outcome != "completed")

    def _observe(self, signal: Signal) -> Signal:
        """Return what a dispatch gets for a signal, which may have been read a while ago: the end, if it is closed."""
        if self._session.is_closing and not isinstance(signal, Ended):
            self._session.drop_read_ahead()
            return Ended(None, is_cancelled=True)
        if isinstance(signal, Received):
            self._take(signal.value)
        elif isinstance(signal, Ended) and signal.error is not None:
            self._complete(signal.error)
        return signal

    def _complete(self, error: BaseException) -> None:
        """Put on an error of the stream what only we know of it."""
        if isinstance(error, SSEError):
            error.stats = self.stats
        if isinstance(error, StreamError):
            error.last_event_id = self.last_event_id
            if self._foldings:
                error.partial = self._foldings[-1].snapshot

    @property
    def response(self) -> Response:
        """
        The latest response: status, headers, HTTP version.

        Raises `RuntimeError` where none has come yet; entering the stream waits for it.
        """
        head = self._session.head
        if head is None:
            raise RuntimeError("there is no response yet: enter the stream with `with`, or open() it")
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
        if self._dispatch is not None and self._dispatch.has_batches:
            finished = self._dispatch.finished
            return finished.id if finished is not None else self._plan.last_event_id
        return self._session.last_event_id

    @property
    def cursor(self) -> Any:
        """
        The cursor of `resume=Cursor(…)`, after the last event that you have finished with; else `None`.

        As the `initial` of another cursor it resumes the stream in another call, or another process. It is `None` too
        in a dispatch with batches, which reads ahead of its handlers.
        """
        if self._dispatch is not None and self._dispatch.has_batches:
            return None
        return self._session.cursor

    @property
    def stats(self) -> StreamStats:
        """The numbers of the stream so far."""
        stats = self._session.stats(self._now())
        stats.unknown = self._unknown
        return stats


def _is_raw(form: Any) -> bool:
    return form is None or form is ServerSentEvent


def _report(stream_of: "ref[BaseStream[Any]]", response: Any, what: bytes | Exception | None) -> None:
    """Tell the recorder of a stream about a piece of a response, its end, or an error."""
    stream = stream_of()
    if stream is None or stream._recorder is None:
        return
    if stream._response is not response or stream._session.is_closing or stream._channel.is_expired:
        return  # the stream has left this response, or was made to
    if isinstance(what, bytes):
        if what:  # compressed bytes may come to nothing yet
            stream._recorder.received(what, stream._now())
    elif not isinstance(what, stream._library.TimeoutException):
        stream._recorder.ended(what, stream._now())
