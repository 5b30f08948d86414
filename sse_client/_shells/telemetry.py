"""
The telemetry of streams: which one observes a stream, and how it is told.

A stream refers to its observer, and the observer to the session. The session refers to the observer only weakly:
otherwise a dropped stream would wait for the garbage collector.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from weakref import ref

from .._core.observing import Observer, Telemetry
from .._core.plan import Plan
from .._core.session import Session
from .._core.steps import Change

UNOBSERVED: AbstractContextManager[object] = nullcontext()


class Process:
    """The telemetry of the whole process."""

    telemetry: Telemetry | None = None
    """Observes all streams of clients without a telemetry of their own, and of responses."""


def observe(telemetry: Telemetry, plan: Plan, session: Session) -> Observer | None:
    """Return the observer of a stream that is being made, if it has one."""
    observer = telemetry._observe(plan, session)
    if observer is not None:
        session.observe = partial(_tell, ref(observer))
    return observer


def _tell(observer_of: "ref[Observer]", change: Change) -> None:
    observer = observer_of()
    if observer is not None:
        observer.changed(change)
