"""After the terminator: the rest of the body is read if such a read can be stopped."""

from datetime import UTC, datetime

import pytest

from sse_client import Request
from sse_client._core.plan import Plan
from sse_client._core.session import Session
from sse_client._core.steps import Connect, Drain, Head, Read, Stop


@pytest.mark.parametrize(("can_stop_reads", "step"), [(True, Drain), (False, Stop)])
def test_only_if_reads_can_be_stopped(can_stop_reads: bool, step: type[Drain | Stop]) -> None:
    """A shell that cannot stop a read is not told to drain. The stream is completed either way."""
    plan = Plan(request=Request(method="POST", url="http://test/"))
    session = Session(plan, random=lambda: 0.0, utc_now=lambda: datetime.now(UTC))
    assert isinstance(session.next_step(0.0), Connect)
    headers = {"content-type": "text/event-stream"}
    session.responded(Head(200, headers, "http://test/", can_stop_reads=lambda: can_stop_reads), 0.0)
    assert isinstance(session.next_step(0.0), Read)
    assert session.received(b"data: 1\n\ndata: [DONE]\n\n", 0.0)
    assert [event.data for event in session.ready] == ["1"]
    following = session.next_step(0.0)
    assert type(following) is step
    if isinstance(following, Drain):
        session.drained(0.0)
        following = session.next_step(0.0)
    assert following == Stop(None)
    assert session.outcome == "completed"
