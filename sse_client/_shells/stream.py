"""
The parts that the sync and the async stream share: attempts, recording, dispatches. No I/O.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from math import inf
from types import ModuleType
from typing import Any, Protocol
from weakref import WeakMethod, ref

from .._core.dispatch import Dispatch, Ended, Received, Signal
from .._core.observing import Telemetry
from .._core.plan import Plan
from .._core.steps import Commented, Connect, Failure, Opened
from .._dialect import Dialect
from .._errors import SSEError
from .._handlers import Handlers
from .._request import public_path
from .._typed import S, T
from .attempt import Attempt
from .hooks import Hooks
from .http import failure_of, transport_errors
from .recording import Recorded, Recorder, Recorders
from .telemetry import UNOBSERVED
from .time import REAL_TIME, VIRTUAL_TIME, Clock, VirtualTime
from .values import Values
from .waking import Channel


class Owner(Protocol):
    """The client of a stream, as far as the stream needs it."""

    def _check_open(self) -> None:
        """Raise `RuntimeError` if the client is closed."""


class BaseStream(Values[T, S]):
    """A stream, without the parts that differ between sync and async."""

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
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(plan, dialect, comments=comments, telemetry=telemetry)
        self._library = library
        self._errors = transport_errors(library)
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
        self._wait_until_closed: Callable[[float], bool] | None = None  # sync only

    def __repr__(self) -> str:
        session, request = self._session, self._plan.request
        count = session.stats(0.0).events
        called = f"{type(self).__name__} {request.method} {public_path(request.url)}"
        return f"<{called} {session.outcome or session.state}, {count} event{'' if count == 1 else 's'}>"

    def _check_unopened(self) -> None:
        """Raise `RuntimeError` if the stream has begun, because it can be opened only once."""
        self._session.begin()
        if self._session.has_started:
            raise RuntimeError("this stream is open already: open() must come before entering or iterating")

    def _attempt(self, request: Any, step: Connect) -> Attempt:
        """Prepare a request. Raises `DeadlineReached` if it must no longer be sent."""
        if self._owner is not None and not self._session.is_closing:
            self._owner._check_open()
        request.extensions[VIRTUAL_TIME] = WeakMethod(self._use_virtual_time)
        return Attempt(request, step, self._session, self._channel, self._now)

    def _sending(self, request: Any, step: Connect) -> AbstractContextManager[object]:
        """Return the context manager to send a request in: that of the observer, if there is one."""
        if self._observer is None:
            return UNOBSERVED
        return self._observer.sending(request, is_foreign=step.is_foreign)

    def _use_virtual_time(self) -> VirtualTime:
        """Switch to virtual time, and return it; called by a scripted transport."""
        clock = self._clock
        if not isinstance(clock, VirtualTime):
            self._clock = clock = VirtualTime(self._now(), self._wait_until_closed)
            self._now = clock.now
            if self._observer is not None:
                self._observer.now = clock.now
        clock.deadline = inf
        return clock

    def _time(self) -> float:
        """Return the time, for a dispatch, which may begin before the clock is chosen."""
        return self._now()

    def _record(self, recorder: Recorder) -> None:
        """Record the stream. Raises `RuntimeError` if it was already entered."""
        if self._session.head is not None:
            raise RuntimeError("record a stream before it is entered: with record(client.post(…), path) as stream")
        recorder.begin(self._now())
        self._recorder = recorder if self._recorder is None else Recorders(self._recorder, recorder)

    def _recorded(self, response: Any, pieces: Any) -> Any:
        """Return the pieces of a response; with a recorder, they are recorded while they are read."""
        if self._recorder is None:
            return pieces
        self._recorder.opened(response, self._session.attempted_at, self._now())
        return Recorded(pieces, partial(_report, ref(self), response))

    def _not_answered(self, error: Exception) -> None:
        """Handle a request without a response. An error that a hook of the client raised is the user's own."""
        if self._hooks.have_raised(error):
            raise error
        self._session.not_responded(failure_of(error, self._library, self._channel), self._now())

    def _ended(self) -> bool:
        """Handle the end of the body; return whether there is something to deliver."""
        self._channel.release()
        if self._channel.is_expired:
            # If the body ends with its connection, a socket that was shut down looks like a clean end.
            self._session.lost(Failure(None, "the read was given up", is_deadline=True), self._now())
            return False
        return self._session.ended(self._now())

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
        """Return the next signal from the data already read, or `None`; for a dispatch."""
        session = self._session
        if session.notes and (note := session.next_note()) is not None:
            return note
        reading = self._reading
        if reading is None:
            for event in session.ready:
                return Received(event, (self._decode(event),))
            return None
        if values := tuple(reading.values):
            return Received(None, values)  # the rest of an event that a loop has begun
        for event in session.ready:
            return Received(event, tuple(reading.read(event)))
        if reading.last is not None and not session.is_closing:
            return Received(None, tuple(reading.rest()))
        return None

    def _over(self, error: SSEError | None = None) -> Ended:
        """Return the last signal of a dispatch."""
        return Ended(error, is_cancelled=error is None and self._session.outcome != "completed")

    def _observe(self, signal: Signal) -> Signal:
        """Return the signal for a dispatch; if the stream was closed after it was read, return the end instead."""
        if self._session.is_closing and not isinstance(signal, Ended):
            self._session.drop_read_ahead()
            return Ended(None, is_cancelled=True)
        if isinstance(signal, Received):
            for value in signal.values:
                self._take(value)
        elif isinstance(signal, Ended) and signal.error is not None:
            self._complete(signal.error)
        return signal


def _report(stream_of: "ref[BaseStream[Any, Any]]", response: Any, what: bytes | Exception | None) -> None:
    """Tell the recorder of a stream about a piece of a response, its end, or an error."""
    stream = stream_of()
    if stream is None or stream._recorder is None:
        return
    if stream._response is not response or stream._session.is_closing or stream._channel.is_expired:
        return  # the stream no longer reads this response
    if isinstance(what, bytes):
        if what:  # compressed bytes may not decode to any bytes yet
            stream._recorder.received(what, stream._now())
    elif not isinstance(what, stream._library.TimeoutException):
        stream._recorder.ended(what, stream._now())
