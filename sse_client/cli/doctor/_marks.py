"""Which events of a case end the reply, and which only keep the connection alive."""

from dataclasses import dataclass

from sse_client import ServerSentEvent, Terminator

from .._reading import DIALECTS
from ._body import Arrival
from ._case import Case

DONE = "[DONE]"

# What servers call their keep-alives if they send them as events.
PINGS = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})


@dataclass(frozen=True, slots=True)
class Marks:
    """What the user named, or else the dialect."""

    terminator: Terminator | None
    """An unnamed `[DONE]` ends a reply too."""
    pings: frozenset[str]

    def is_last(self, event: ServerSentEvent) -> bool:
        """Whether the event ends the reply."""
        if event.data == DONE and event.event == "message":
            return True
        return self.terminator is not None and self.terminator.match(event) is not None


def marks_of(case: Case) -> Marks:
    """Return the marks of a case."""
    terminator, pings = None, PINGS
    if case.dialect in DIALECTS and case.dialect is not None:
        from sse_client import dialects

        # Which response ends an MCP call depends on the ID of its request, which is not known here.
        dialect = dialects.mcp_call(0) if case.dialect == "mcp" else getattr(dialects, DIALECTS[case.dialect])
        terminator = None if case.dialect == "mcp" else dialect.terminator
        pings |= frozenset(dialect.pings)
    return Marks(
        terminator=case.marks.get("terminator", terminator),
        pings=pings | frozenset(case.marks.get("pings", ())),
    )


def last_of(case: Case) -> int | None:
    """Return the index of the event that ends the reply; `None` if there is none."""
    marks = marks_of(case)
    return next((n for n, arrival in enumerate(case.body.arrivals) if marks.is_last(arrival.event)), None)


def events_of(case: Case) -> list[Arrival]:
    """Return the events that are not only there to keep the connection alive."""
    pings = marks_of(case).pings
    return [arrival for arrival in case.body.arrivals if arrival.event.event not in pings]


def beats_of(case: Case) -> list[float]:
    """Return when each keep-alive came: comments, and events of the names for it."""
    pings = marks_of(case).pings
    return sorted(
        [*case.body.comments, *(arrival.time for arrival in case.body.arrivals if arrival.event.event in pings)]
    )
