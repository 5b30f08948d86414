"""Why does a body have no events?"""

import re
from collections.abc import Iterator

from ..._text import as_json, counted
from .._case import PINGS, Case
from .._exchange import End
from .._finding import Finding, Level, quoted

BLANKS = re.compile(r"[ \t]+")
HTML = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)

# The first bytes of gzip and of Zstandard.
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def no_event(case: Case) -> Iterator[Finding]:
    """Say why a body has no event; nothing for one with another status, which the head explains."""
    exchange, body = case.exchange, case.body
    if not exchange.has_body or body.fault:
        return
    if (fault := _other_form(case)) is not None:
        yield Finding("body", "events", Level.FAIL, f"no event: {fault[0]}", fault[1])
    elif (fault := _malformed(case)) is not None:
        # If we stopped reading, the first event may just not have been complete.
        level = Level.WARN if exchange.end is End.LEFT else Level.FAIL
        yield Finding("body", "events", level, f"no event: {fault[0]}", fault[1])
    elif exchange.end is End.CUT:
        yield Finding("body", "events", Level.FAIL, "no event: the connection was cut before the first was complete")
    elif body.comments or body.lines.count:
        comments = counted(len(body.comments), "comment")
        came = comments if body.comments else f"{counted(body.lines.count, 'line')} without a complete event"
        yield Finding("body", "events", Level.note, f"no event, only {came}")
    elif exchange.end is End.LEFT:
        yield Finding("body", "events", Level.note, f"no event within {exchange.ended_at:.1f} s")
    else:
        cure = "see the server's log: it ended the response without an event"
        yield Finding("body", "events", Level.FAIL, "no event: the body is empty", cure)


def _other_form(case: Case) -> tuple[str, str] | None:
    """Return which other form the body has, and the cure; `None` if it may be an event stream."""
    body = case.body
    if body.data.startswith(COMPRESSED):
        return (
            "the body is compressed, but the response has no Content-Encoding",
            "send Content-Encoding, or do not compress",
        )
    if HTML.match(body.data):
        evidence = f"the body is HTML: `{quoted(body.lines.first[0])}`"
        return evidence, "check the URL; it may be a login page or the error page of a proxy"
    if (form := _json_form(case)) is not None:
        return form, "write `data: ` before each JSON value and a blank line after it, or read it as JSON"
    return None


def _malformed(case: Case) -> tuple[str, str] | None:
    """Return why clients see no event in a body that may be meant as one, and the cure; `None` if there is no fault."""
    lines = case.body.lines
    first = f"`{quoted(lines.first[0])}`" if lines.first else ""
    datas = [line for line in lines.first if line.startswith("data:")]
    names = [line.partition(":")[2].strip() for line in lines.first if line.startswith("event:")]
    if any(r"\n\n" in line for line in datas):
        return rf"line feeds are sent as the two characters `\n`: {first}", "do not escape the line feeds"
    if any(BLANKS.fullmatch(line) for line in lines.first):
        return "the lines between events contain spaces, so they are not blank", "end each event with two line feeds"
    if len(datas) > 1 or (datas and case.exchange.end is End.CLEAN):
        return f"no blank line after the `data:` lines: {first}", "end each event with two line feeds"
    if not datas and not PINGS.issuperset(names):
        evidence = f"the events have a name but no `data:` line, so clients drop them: {first}"
        return evidence, "send a `data:` line, even an empty one"
    if not datas and (lines.bare or lines.unknown):
        return (
            f"no line is a field: {first}",
            "write `data: ` before each line, and a blank line after each event",
        )
    return None


def _json_form(case: Case) -> str | None:
    """Return how the body is JSON; `None` if it is not."""
    text = case.body.data.decode("utf-8", "replace").strip()
    if not text.startswith(("{", "[")):
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(as_json(line) is not None for line in lines[:3]):
        return f"the body is JSON lines: `{quoted(lines[0])}`"
    if as_json(text) is not None:
        return f"the body is one JSON value: `{quoted(text)}`"
    return f"the body looks like JSON: `{quoted(lines[0])}`"
