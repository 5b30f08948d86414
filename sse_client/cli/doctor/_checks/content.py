"""
The checks of the body: what a client makes of it, and what it silently drops.

`no_event` says why a body has no events. Without events, most of the other checks have nothing to say.
"""

import re
from collections import Counter
from collections.abc import Iterator

from sse_client import EventParser, ServerSentEvent

from ..._reading import DONE
from ..._text import counted
from .._body import FIELDS
from .._case import Case, Check
from .._exchange import End
from .._finding import Finding, Level, quoted
from .fields import ids, retry
from .json_data import in_json
from .no_event import no_event

# In a report, more names than these are no help.
NAMES_SHOWN = 5

# If the data of nearly all events begins so, it was wrapped twice. One text alone may begin with it, JSON never does.
NEARLY_ALL = 0.9
# A block that was given as a value begins with its other fields.
WRAPPED = re.compile(r"(?:(?:event|id|retry): ?.*\n)*data: ?\S")

# A byte that is not UTF-8, as "surrogateescape" decodes it.
ESCAPED = re.compile("[\udc80-\udcff]")

# An HTTP server ends a response within a moment after its handler; we stop reading at the earliest after a second.
STAYS_OPEN = 1.0  # seconds

CUT_CURE = "see the logs of the server and the proxies at that time: a crash, a restart or a time limit"


def events(case: Case) -> Iterator[Finding]:
    """Are there events, and which?"""
    if not case.body.arrivals:
        yield from no_event(case)
        return
    if not case.has_events:
        return
    names = Counter(arrival.event.event for arrival in case.body.arrivals)
    shown = [f"{quoted(name, 30)} {count}" for name, count in names.most_common(NAMES_SHOWN)]
    more = f", and {len(names) - NAMES_SHOWN} other names" if len(names) > NAMES_SHOWN else ""
    yield Finding("body", "events", Level.ok, f"{counted(sum(names.values()), 'event')}: {', '.join(shown)}{more}")


def decoding(case: Case) -> Iterator[Finding]:
    """Could the whole body be read?"""
    fault = case.body.fault
    if case.exchange.has_body and "damaged" in fault:
        cure = "send the body as Content-Encoding says, or remove that header"
        yield Finding("body", "decoding", Level.FAIL, f"the rest of the body cannot be read: {quoted(fault)}", cure)
    elif case.exchange.has_body and fault:
        yield Finding("body", "decoding", Level.note, f"the rest of the body is not checked: {quoted(fault)}")


def end(case: Case) -> Iterator[Finding]:
    """How did the body end, and is the reply whole?"""
    if not case.is_stream:
        return
    exchange, arrivals = case.exchange, case.body.arrivals
    last = case.last
    count = counted(len(arrivals), "event")
    if last is not None:
        what = f"`{quoted(arrivals[last].event.data or arrivals[last].event.event, 30)}`"
        if exchange.end is End.CUT:
            evidence = f"the connection broke after the end of the reply, {what}: nothing is lost"
            yield Finding("body", "end", Level.WARN, evidence, "end the body with its last chunk, not with a reset")
        elif exchange.end is End.LEFT and exchange.ended_at - arrivals[last].time > STAYS_OPEN:
            open_for = exchange.ended_at - arrivals[last].time
            evidence = f"the reply ended with {what}, but the server kept the connection open for {open_for:.1f} s"
            yield Finding("body", "end", Level.note, evidence, "end the response after the last event")
        else:
            yield Finding("body", "end", Level.ok, f"{what} ends the reply")
    elif exchange.end is End.CUT:
        yield Finding("body", "end", Level.FAIL, f"cut after {count}{_error(case)}{_lost(case)}", CUT_CURE)
    elif exchange.end is End.LEFT:
        why = f" after {quoted(exchange.left)}" if exchange.left else ""
        yield Finding("body", "end", Level.ok, f"still open when we stopped reading{why}; {count} so far")
    elif _unfinished_is_last(case):
        yield Finding("body", "end", Level.ok, "the last block ends the reply, but no blank line follows it")
    elif arrivals or case.body.comments:
        yield Finding("body", "end", Level.ok, f"the body ended cleanly after {count}; no terminator was seen")


def _error(case: Case) -> str:
    return f" ({quoted(case.exchange.error)})" if case.exchange.error else ""


def _lost(case: Case) -> str:
    if not case.body.ends_inside or not case.body.ends_inside[-1]:
        return ", between two events"
    return f", inside an event, of which {len(case.body.unfinished)} bytes are lost"


def _unfinished(case: Case) -> ServerSentEvent | None:
    """Return the last block as an event if it has no blank line; `None` if nothing is missing."""
    body = case.body
    if case.exchange.end is not End.CLEAN or body.fault or not (body.ends_inside and body.ends_inside[-1]):
        return None
    blocks = EventParser().feed(body.unfinished + b"\n\n")
    return blocks[-1] if blocks else ServerSentEvent()


def _unfinished_is_last(case: Case) -> bool:
    block = _unfinished(case)
    return block is not None and case.ends_with(block)


def last_blank_line(case: Case) -> Iterator[Finding]:
    """Is there a blank line after the last block, so that clients deliver it?"""
    block = _unfinished(case) if case.has_events else None
    if block is None:
        return
    cure = "write two line feeds after each event, including the last"
    if block.data == DONE:
        evidence = "no blank line after `[DONE]`: clients that expect it as an event never see it"
        yield Finding("body", "last-blank-line", Level.note, evidence, cure)
    else:
        evidence = f"no blank line after the last block, so clients drop it: `{_text(case.body.unfinished)}`"
        yield Finding("body", "last-blank-line", Level.WARN, evidence, cure)


def after_end(case: Case) -> Iterator[Finding]:
    """Does anything come after the end of the reply?"""
    last = case.last
    if not case.has_events or last is None:
        return
    late = [
        arrival.event
        for arrival in case.body.arrivals[last + 1 :]
        if arrival.event.event not in case.pings and not case.ends_with(arrival.event)
    ]
    if late:
        text = quoted(late[0].data or late[0].event)
        evidence = f"{counted(len(late), 'event')} after the end of the reply, where clients stop reading: `{text}`"
        yield Finding("body", "after-end", Level.WARN, evidence, "send the terminator last")


def wrapping(case: Case) -> Iterator[Finding]:
    """Does the data begin with a field again?"""
    if not case.has_events:
        return
    datas = [arrival.event.data for arrival in case.events if arrival.event.data not in ("", DONE)]
    twice = [data for data in datas if WRAPPED.match(data)]
    if twice and len(twice) >= NEARLY_ALL * len(datas):
        evidence = f"{len(twice)} of {len(datas)} events contain a field in their data: `data: {quoted(twice[0])}`"
        cure = "`data: ` is written twice: pass only the value to the framework"
        is_certain = len(twice) > 1 or twice[0].rstrip()[-1] in "}]"
        yield Finding("body", "wrapping", Level.FAIL if is_certain else Level.WARN, evidence, cure)


def encoding(case: Case) -> Iterator[Finding]:
    """Is it UTF-8, without a byte order mark?"""
    body = case.body
    if not (case.is_stream and body.data):
        return
    if not body.is_utf8:
        cure = "encode the text in UTF-8, and do not split it inside a character"
        yield Finding("body", "encoding", Level.WARN, _bad_byte(body.data), cure)
    elif lost := body.data.count("\ufffd".encode()):
        evidence = f"{counted(lost, 'replacement character')} (U+FFFD): the server decoded bytes that were not UTF-8"
        yield Finding("body", "encoding", Level.note, evidence, "join the bytes before decoding them")
    elif not body.has_bom:
        yield Finding("body", "encoding", Level.ok, "UTF-8")
    if body.has_bom:
        evidence = "the body begins with a byte order mark, which some clients take as part of the first field"
        yield Finding("body", "bom", Level.note, evidence, "encode as `utf-8`, not `utf-8-sig`")


def _bad_byte(data: bytes) -> str:
    """Return the place of the first byte that is not UTF-8, with the text around it."""
    text = data.decode("utf-8", "surrogateescape")
    match = ESCAPED.search(text)
    assert match is not None
    place = len(text[: match.start()].encode())
    near = text[max(match.start() - 20, 0) : match.end() + 20].encode("utf-8", "surrogateescape")
    return f"byte {place} (0x{data[place]:02x}) is not UTF-8, so clients replace it: `{_text(near)}`"


def _text(data: bytes) -> str:
    return quoted(data.decode("utf-8", "replace").strip())


def line_ends(case: Case) -> Iterator[Finding]:
    """Are the line ends all of a kind?"""
    ends = case.body.lines.ends
    if not case.has_events:
        return
    evidence = ", ".join(f"{count} {name}" for name, count in ends.most_common())
    if len(ends) > 1:
        evidence = f"mixed line ends, which simple clients misread: {evidence}"
        yield Finding("body", "line-ends", Level.note, evidence, "write only LF")
    elif "CR" in ends:
        evidence = f"{evidence}: many clients do not accept it as a line end"
        yield Finding("body", "line-ends", Level.WARN, evidence, "write LF")
    else:
        yield Finding("body", "line-ends", Level.ok, evidence)


def fields(case: Case) -> Iterator[Finding]:
    """Are there lines that clients ignore?"""
    lines = case.body.lines
    if not case.has_events:
        return
    if lines.bare:
        first = f"`{quoted(lines.bare[0])}`"
        evidence = f"{counted(len(lines.bare), 'line')} without a colon, which clients ignore: {first}"
        cure = "write `data: ` before each line of a text with line feeds"
        yield Finding("body", "lines", Level.WARN, evidence, cure)
    if lines.unknown:
        shown = ", ".join(f"`{quoted(name, 30)}` {count}" for name, count in lines.unknown.most_common(NAMES_SHOWN))
        count = counted(sum(lines.unknown.values()), "line")
        evidence = f"{count} with a field that is not in the standard: {shown}"
        known = ", ".join(sorted(FIELDS))
        yield Finding(
            "body", "fields", Level.WARN, evidence, f"clients ignore all fields but {known}: move it into the data"
        )


CHECKS: tuple[Check, ...] = (
    *(events, decoding, end, last_blank_line, after_end, wrapping),
    *(encoding, line_ends, fields, in_json, ids, retry),
)
