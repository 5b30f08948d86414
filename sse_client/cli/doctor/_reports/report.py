"""A diagnosis as text for people, and as JSON for programs."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

from ..._terminal import console_on, has_rich, text_of
from ..._text import counted, visible
from .._case import Case, Diagnosis
from .._exchange import End
from .._finding import Finding, Level
from .markup import scaled
from .picture import wrapped
from .timeline import as_json, in_text, timeline_of

# The longest name of a level, and two blanks.
LEVEL = 6  # columns

# Evidence in less than this would be a tower of words.
FEWEST_COLUMNS = 30

COLOURS = {Level.ok: "green", Level.note: "cyan", Level.WARN: "bold yellow", Level.FAIL: "bold red"}


def write_text(stdout: BinaryIO, diagnoses: list[Diagnosis]) -> None:
    """Write a line for each finding, then the timeline; in colour on a terminal, if rich is installed."""
    lines = [*_lines_of(diagnoses)]
    if stdout.isatty() and has_rich():
        _write_in_colour(stdout, lines)
        return
    text = "".join(f"{visible(line.text)}\n" for line in lines)
    stdout.write(text.encode(errors="backslashreplace"))
    stdout.flush()


class Line(NamedTuple):
    """A line of the report, and the level of its finding."""

    text: str
    level: Level | None = None
    indent: int = 0
    """The column of the evidence, where a narrow terminal continues the line."""


def _lines_of(diagnoses: list[Diagnosis]) -> Iterator[Line]:
    """Yield the lines; the timelines have one scale, since they are to be compared."""
    timelines, length = scaled(diagnoses)
    for number, (diagnosis, timeline) in enumerate(zip(diagnoses, timelines, strict=True)):
        if number:
            yield Line("")
        yield Line(_title(diagnosis.case))
        if diagnosis.findings:
            yield Line("")
        width = max((len(finding.check) for finding in diagnosis.findings), default=0)
        for finding in diagnosis.findings:
            yield Line(_in_line(finding, width), finding.level, LEVEL + width + 2)
        if timeline is not None:
            yield Line("")
            yield from map(Line, in_text(timeline, length=length))


def _in_line(finding: Finding, width: int) -> str:
    cure = f" · {finding.cure}" if finding.cure else ""
    return f"{finding.level.name:<{LEVEL}}{finding.check:<{width}}  {finding.evidence}{cure}"


def _title(case: Case) -> str:
    """Return the first line: the request and, in a few words, what came."""
    exchange = case.exchange
    if not exchange.has_head:
        return f"{exchange.url}: {counted(len(case.body.arrivals), 'event')}, {len(case.body.data)} bytes"
    request = f"{exchange.method} {exchange.url}".strip()
    if exchange.failure is not None:
        return f"{request}: no response"
    events = counted(len(case.body.arrivals), "event")
    how = {
        End.CLEAN: "complete",
        End.CUT: f"cut ({exchange.error})" if exchange.error else "cut",
        End.LEFT: f"stopped reading ({exchange.left})" if exchange.left else "stopped reading",
    }[exchange.end]
    version = f"{exchange.http_version} " if exchange.http_version else ""
    return f"{request}: {version}{exchange.status}, {events}, {how} after {exchange.ended_at:.3f} s"


def _write_in_colour(stdout: BinaryIO, lines: list[Line]) -> None:
    """Write the lines by rich, which never sees markup."""
    console, file = console_on(stdout)
    try:
        for line in lines:
            shown = text_of(_broken(visible(line.text), line.indent, console.width))
            if line.level is not None:
                shown.stylize(COLOURS[line.level], 0, len(Level.FAIL.name))
            console.print(shown, soft_wrap=True)
        file.flush()
    finally:
        file.detach()


def _broken(text: str, indent: int, columns: int) -> str:
    """Break a line of a finding where its evidence begins, unless that leaves too little room."""
    if not indent or columns - indent < FEWEST_COLUMNS:
        return text
    return text[:indent] + f"\n{' ' * indent}".join(wrapped(text[indent:], columns - indent))


def write_json(stdout: BinaryIO, diagnoses: list[Diagnosis], *, is_healthy: bool) -> None:
    """Write one object; that of further requests are in `others`."""
    first, *others = map(as_object, diagnoses)
    report = {**first, "healthy": is_healthy, **({"others": others} if others else {})}
    stdout.write(f"{json.dumps(report)}\n".encode())
    stdout.flush()


def as_object(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON."""
    case, exchange = diagnosis.case, diagnosis.case.exchange
    return {
        "url": exchange.url,
        "method": exchange.method,
        "status": exchange.status or None,
        "healthy": diagnosis.worst < Level.FAIL,
        "findings": [
            {
                "area": finding.area,
                "check": finding.check,
                "level": finding.level.name,
                "evidence": finding.evidence,
                "cure": finding.cure,
            }
            for finding in diagnosis.findings
        ],
        "stats": stats_of(case),
        "timeline": as_json(timeline_of(exchange, case.body)) if exchange.has_times else [],
    }


def stats_of(case: Case) -> dict[str, Any]:
    """Return the numbers: times in seconds since the request, `null` if they are not known."""
    exchange, body = case.exchange, case.body
    times = [arrival.time for arrival in body.arrivals]
    received = [piece for piece in exchange.pieces if piece.data]
    has = exchange.has_times
    numbers = {
        "connected": exchange.connected_at,
        "head": exchange.head_at if has else None,
        "first_byte": received[0].time if has and received else None,
        "first_event": times[0] if has and times else None,
        "last_event": times[-1] if has and times else None,
        "end": exchange.ended_at if has else None,
        "longest_gap": max((b - a for a, b in pairwise(times)), default=None) if has else None,
    }
    return {
        **{name: None if value is None else round(value, 6) for name, value in numbers.items()},
        "ended": exchange.end.value,
        "stopped_by": exchange.left or None,
        "error": exchange.error or None,
        "http_version": exchange.http_version or None,
        "events": len(body.arrivals),
        "comments": len(body.comments),
        "pieces": len(received),
        "bytes": sum(len(piece.data) for piece in received),
    }
