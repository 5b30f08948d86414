"""
The last callbacks of a cancelled dispatch after their time is over: which are called, and which exception comes out.
"""

from inspect import unwrap

import pytest

from sse_client import Handlers, ServerSentEvent, StreamStats
from sse_client._core.dispatch import Call, Dispatch, Leave, Next, Received


class Cancelled(BaseException):
    """The exception that an event loop cancels with."""


def played(on: Handlers, raising: dict[str, BaseException]) -> tuple[list[str], BaseException]:
    """
    Cancel a dispatch after two events, and again in its first last call; make the remaining calls.

    Returns the names of the handlers that were called in the end, and the exception that came out.
    """
    dispatch = Dispatch(on, lambda: 0.0, StreamStats, lambda outcome: None, is_typed=False)
    steps = iter(dispatch)
    cancelled = Cancelled()
    called: list[str] = []
    step = next(steps)
    for data in ("1", "2"):
        assert isinstance(step, Next)
        event = ServerSentEvent(data=data)
        step = steps.send(Received(event, (event,)))
        while isinstance(step, Call):
            step = steps.send(None)
    assert isinstance(steps.throw(cancelled), Leave)
    step = steps.send(None)
    assert isinstance(step, Call)
    dispatch.farewell()
    try:
        step = steps.throw(cancelled)
        while True:
            assert isinstance(step, Call)
            name = unwrap(step.handler).__name__
            called.append(name)
            step = steps.throw(raising[name]) if name in raising else steps.send(None)
    except (Cancelled, ValueError, KeyboardInterrupt) as error:
        return called, error


def handlers() -> Handlers:
    on = Handlers()

    @on.cancel
    async def hangs() -> None: ...

    @on.close
    def close() -> None: ...

    @on.close
    async def awaits() -> None: ...

    @on.close
    def last() -> None: ...

    return on


def test_only_plain_functions() -> None:
    """Handlers that need a loop are skipped, the others are called in order, and the cancellation comes out."""
    called, error = played(handlers(), {})
    assert called == ["close", "last"]
    assert isinstance(error, Cancelled)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_is_not_lost(kind: type[BaseException]) -> None:
    """An exception of one of the handlers comes out, even a Ctrl-C."""
    mine = kind("mine")
    called, error = played(handlers(), {"close": mine})
    assert called == ["close"]
    assert error is mine


def test_close_after_an_error() -> None:
    """If a batch has hung and `on.cancel` raises, `on.close` is still called."""
    on = Handlers()

    @on.batch("message", interval=60)
    async def hangs(events: list[ServerSentEvent]) -> None: ...

    @on.cancel
    def cancel() -> None: ...

    @on.close
    def close() -> None: ...

    mine = ValueError("mine")
    called, error = played(on, {"cancel": mine})
    assert called == ["cancel", "close"]
    assert error is mine
