"""
Observers: they are told what happens to a stream, and decide nothing. `sse_client.otel` is one.

The session reports each `Change` to its `observe`, and the shell each request. A stream without an observer pays for a
few comparisons with `None`, and none of them per event.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from operator import length_hint
from typing import Any, Protocol

from .plan import Plan
from .session import Session
from .steps import Arrived, Change


class Observer(Protocol):
    """Follows one stream. Its methods never raise."""

    now: Callable[[], float]
    """The stream's own time."""

    def changed(self, change: Change) -> None:
        """Take a change of the session. Any thread may call this."""

    def sending(self, request: Any, *, is_foreign: bool) -> AbstractContextManager[object]:
        """
        Take a request, and return a context manager to send it in; headers may be added to the request.

        `is_foreign` says whether redirects led to another origin.
        """
        ...


class Telemetry(Protocol):
    """Observes streams; the type of `telemetry=`. `sse_client.otel.Telemetry` is one."""

    @property
    def _times_events(self) -> bool:
        """Whether it asks for `Arrived`, which costs time for each piece of the body."""
        ...

    def _observe(self, plan: Plan, session: Session) -> Observer | None:
        """Return an observer for a stream that is being made, or `None` to leave it unobserved."""
        ...


class TimedSession(Session):
    """A session that also reports when events arrive; a class of its own, so that no other stream pays for it."""

    __slots__ = ()

    def received(self, data: bytes, now: float) -> bool:
        before = self._event_at
        has_events = super().received(data, now)
        if self.observe is not None and (count := length_hint(self.ready)):
            self.observe(Arrived(count, now - before))
        return has_events
