"""
The check of `--resume-check`: does a server resume after an event ID?

The request is sent once more, with the ID in the middle of the events that were seen. A server that resumes sends those
after it. Most others start over, and a client that trusts their IDs has everything twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sse_client import ServerSentEvent

from ..._text import counted
from .._case import Case
from .._exchange import End
from .._finding import Finding, Level, quoted
from .shape import in_seconds

CURE = "send the events after that of Last-Event-ID, or no `id` at all"


@dataclass(frozen=True, slots=True)
class Middle:
    """The place to resume from, and what was seen before and after it."""

    id: str
    prelude: tuple[ServerSentEvent, ...]
    """The events before the first ID: greetings, which each connection may begin with."""
    before: tuple[ServerSentEvent, ...]
    """From there to the last event that has the ID; those without an `id` field have the ID before them."""
    after: tuple[ServerSentEvent, ...]

    def is_greeting(self, event: ServerSentEvent) -> bool:
        """Whether an event is one of the prelude; its data may be new, if it has a name."""
        return not event.id and any(
            is_same(event, each) or event.event == each.event != "message" for each in self.prelude
        )


def middle_of(case: Case) -> Middle | None:
    """Return the last event of the middle ID; `None` without any ID."""
    events = [arrival.event for arrival in case.events]
    ids = list(dict.fromkeys(event.id for event in events if event.id))
    if not ids:
        return None
    # If there are two, the first, so that something comes after it.
    middle = ids[(len(ids) - 1) // 2]
    place = max(number for number, event in enumerate(events) if event.id == middle) + 1
    start = next(number for number, event in enumerate(events) if event.id)
    return Middle(middle, tuple(events[:start]), tuple(events[start:place]), tuple(events[place:]))


def resume(case: Case, other: Case) -> Iterator[Finding]:
    """Whether the response to a request with the middle ID continues after it."""
    middle = middle_of(case)
    assert middle is not None, "there is nothing to ask for"
    level, evidence, cure = _judged(case, other, middle)
    yield Finding("body", "resume", level, f"Last-Event-ID {quoted(middle.id)}: {evidence}", cure)


def _judged(case: Case, other: Case, middle: Middle) -> tuple[Level, str, str]:
    exchange = other.exchange
    if exchange.failure is not None:
        return Level.WARN, f"no response: {exchange.failure.evidence}", exchange.failure.cure
    if exchange.status == 204:
        if middle.after:
            return (
                Level.WARN,
                f"204, which ends the stream, though {counted(len(middle.after), 'event')} followed",
                CURE,
            )
        return Level.ok, "204: nothing follows it", ""
    if exchange.status == 429:
        return Level.note, "429: the server limits requests, so this was not tested", "try again later"
    if not other.is_stream:
        kind = quoted(exchange.content_type) or "no content type"
        return (
            Level.WARN,
            f"refused, with {exchange.status} {kind}",
            "ignore an unknown Last-Event-ID, or resume after it",
        )
    events = [each.event for each in other.events if not middle.is_greeting(each.event)]
    if not events:
        return _silent(case, other, middle)
    first = next((event for event in events if event.id), events[0])
    own = [event for event in middle.before if event.id == middle.id]
    known = {event.id: number for number, event in reversed([*enumerate(middle.before)]) if event.id}
    if first.id in ("", middle.id):
        return _unnamed(case, first, own, middle)
    if first.id in known:
        return _back(first, middle, known[first.id])
    return _onward(case, events, first, middle)


def _unnamed(case: Case, first: ServerSentEvent, own: list[ServerSentEvent], middle: Middle) -> tuple[Level, str, str]:
    """It begins with an event that has the ID itself, or none, so only its data tell which it is."""
    if any(is_same(first, event) for event in [*own[1:], *(middle.after[:1] if not first.id else ())]):
        return Level.ok, "continues after it", ""  # only some events have an ID, or several have the same
    if is_same(first, own[0]):
        if own[0] is middle.before[0]:
            return Level.WARN, "repeats this event, which was the first: starts over, or begins one too early", CURE
        return Level.WARN, "repeats this event, then continues", "begin after the event of Last-Event-ID"
    if is_same(first, middle.before[0]):
        return Level.WARN, "starts over, without IDs", CURE
    if not first.id and case.exchange.end is End.LEFT:
        return Level.note, "sends new events without an ID: it is unclear where it continues", CURE
    return Level.WARN, f"ignores it: sends another event {'with this ID' if first.id else 'without an ID'}", CURE


def _silent(case: Case, other: Case, middle: Middle) -> tuple[Level, str, str]:
    seconds = in_seconds(other.exchange.ended_at)
    if other.exchange.end is End.CUT:
        return Level.WARN, f"cut after {seconds}, without an event", "see the server's log"
    if not middle.after:
        return Level.ok, f"nothing more in {seconds}, and no repeated event", ""
    if other.exchange.end is End.LEFT and case.exchange.end is End.LEFT:
        text = f"no event in {seconds}: the events after it are not kept, but none is repeated"
        return Level.note, text, "keep the last events, so that a client that reconnects misses none"
    return Level.WARN, f"nothing, though {counted(len(middle.after), 'event')} followed", CURE


def _back(first: ServerSentEvent, middle: Middle, place: int) -> tuple[Level, str, str]:
    """It begins with an event before the middle, or with the ID of one."""
    if not is_same(first, middle.before[place]):
        return Level.WARN, "ignores it: sends another event with an earlier ID", CURE
    if place == 0:
        return Level.WARN, "starts over", CURE
    return Level.WARN, f"goes back: sends {counted(len(middle.before) - place, 'event')} again", CURE


def _onward(
    case: Case, events: list[ServerSentEvent], first: ServerSentEvent, middle: Middle
) -> tuple[Level, str, str]:
    """It begins with an event after the middle, or with one that was not seen."""
    repeated = sum(event in middle.before for event in events)
    if repeated:
        return Level.WARN, f"continues, but sends {counted(repeated, 'event')} from before it again", CURE
    places = {event.id: number for number, event in reversed([*enumerate(middle.after)])}
    if first.id in places:
        place = places[first.id]
        if place:
            return (
                Level.WARN,
                f"skips {counted(place, 'event')}",
                "keep the last events, and send all after Last-Event-ID",
            )
        if first.data != middle.after[place].data:
            return Level.note, "continues after it by ID, but with other data", ""
        return Level.ok, "continues after it", ""
    if not middle.after:
        return Level.ok, "continues with new events", ""
    if case.exchange.end is End.LEFT:
        text = "continues with new events: those in between are not kept, but none is repeated"
        return Level.ok, text, ""
    return Level.WARN, "ignores it: sends other events, with other IDs", CURE


def is_same(event: ServerSentEvent, other: ServerSentEvent) -> bool:
    """Whether two events are the same but for their IDs."""
    return (event.event, event.data) == (other.event, other.data)
