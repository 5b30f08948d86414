"""The phases: the table that the session asserts, the diagram in the docs, and the outcomes of a stream."""

import re
from datetime import UTC, datetime
from typing import get_args

import pytest

import sse_client._core
from sse_client import (
    ErrorEventReceived,
    EventTooLarge,
    ServerSentEvent,
    SSEError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)
from sse_client._core import Connect, Plan, Session
from sse_client._core.phases import TRANSITIONS, Outcome, Phase, failed_outcome, outcome_of
from sse_client._request import Request

PHASES = get_args(Phase)
PLAN = Plan(request=Request(method="POST", url="http://test/"))


def drawn() -> dict[str, set[str]]:
    """The diagram in the docstring of the core, as a table."""
    assert sse_client._core.__doc__ is not None
    found: dict[str, set[str]] = {}
    phase = ""
    for line in sse_client._core.__doc__.splitlines():
        if match := re.fullmatch(r"    (\w*) *[─┬├└]+> (\w+) +\S.*", line):
            phase = match[1] or phase
            found.setdefault(phase, set()).add(match[2])
        elif match := re.fullmatch(r"    (\w+) +for good", line):
            found[match[1]] = set()
    return found


def test_the_diagram_is_the_table() -> None:
    """The diagram shows the same phases and transitions as the table."""
    assert drawn() == TRANSITIONS


def test_the_table_is_whole() -> None:
    """Each phase has a row, can be reached from the first, and can be stopped; `stopped` is final."""
    assert set(TRANSITIONS) == set(PHASES)
    reached, new = set[str](), {"connecting"}
    while new - reached:
        reached |= new
        new = {after for before, ways in TRANSITIONS.items() if before in reached for after in ways}
    assert reached == set(PHASES)
    assert [phase for phase in TRANSITIONS if "stopped" not in TRANSITIONS[phase]] == ["stopped"]
    assert TRANSITIONS["stopped"] == frozenset()


@pytest.mark.parametrize("after", PHASES)
@pytest.mark.parametrize("before", PHASES)
def test_the_session_asserts_it(before: Phase, after: Phase) -> None:
    """A transition that is not in the table is a bug, and raises. Two threads may stop a stream at once."""
    session = Session(PLAN, random=lambda: 0.0, utc_now=lambda: datetime.now(UTC))
    session._phase = before
    if after in TRANSITIONS[before] or before == after == "stopped":
        session._enter(after)
        assert session._phase == after
    else:
        with pytest.raises(AssertionError, match=f"from {before} to {after}"):
            session._enter(after)


def test_a_stream_begins_by_connecting() -> None:
    """The first step of a stream is to connect."""
    session = Session(PLAN, random=lambda: 0.0, utc_now=lambda: datetime.now(UTC))
    assert isinstance(session.next_step(0.0), Connect)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(StreamTruncated(""), "truncated", id="truncated"),
        pytest.param(StreamInterrupted(""), "interrupted", id="interrupted"),
        pytest.param(StreamTimeout("late", clock="idle"), "timeout", id="timeout"),
        pytest.param(ErrorEventReceived("no", event=ServerSentEvent()), "error_event", id="error-event"),
        pytest.param(EventTooLarge(), "failed", id="anything-else"),
    ],
)
def test_outcomes_of_errors(error: SSEError, outcome: Outcome) -> None:
    """Each error of a stream has its outcome."""
    assert failed_outcome(error) == outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(None, "abandoned", id="break"),
        pytest.param(ValueError(), "abandoned", id="exception"),
        pytest.param(GeneratorExit(), "abandoned", id="generator"),
        pytest.param(KeyboardInterrupt(), "cancelled", id="ctrl-c"),
    ],
)
def test_outcomes_of_leaving(error: BaseException | None, outcome: Outcome) -> None:
    """A user who leaves abandons the stream; a cancellation or Ctrl-C cancels it."""
    assert outcome_of(error) == outcome
