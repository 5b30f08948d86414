"""
The report as one page, `--html FILE`, to attach to a ticket.

The page has no script and asks no host for anything; its policy (CSP) forbids both, so that even a mistake in escaping
would only look bad. Text of the server is escaped, and shown without control characters. Data is shortened, and of
many events only the first and the last are listed, unless all of it was asked for.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from ..._notes import REDACTED, header_lines, public_url
from ..._text import counted
from .._case import Case, Diagnosis
from .._exchange import Exchange
from .._finding import MAX_QUOTED, Finding, Level
from .chart import STYLE as CHART_STYLE
from .chart import WIDTH, chart, description
from .markup import COLOURS, MAX_FINDING, about, escaped, scaled, style, title_of, verdict
from .timeline import Timeline, in_text

# How a stream begins and how it ends tells most; and a page of ten thousand rows is slow.
FIRST, LAST = 100, 20  # events
MAX_LINES = 20  # of a body without events
# Some servers send policies of several kilobytes.
MAX_HEADER, MAX_HEADERS = 200, 100
MAX_NAME = 40  # characters of an event's name, and of its ID

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
CODE = re.compile("`([^`]+)`")
AREAS = {"head": "Head", "time": "Time", "body": "Body", "reply": "Reply"}

LAYOUT = """
*{box-sizing:border-box}
body{margin:0;font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;overflow-wrap:anywhere}
main{max-width:62rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.4rem;line-height:1.3;margin:0}
h2{font-size:1.15rem;margin:0}
h3{font-size:1rem;margin:1.75rem 0 .5rem}
p{margin:.25rem 0}
section{margin-top:1.5rem}
section+section{border-top:1px solid;padding-top:1.5rem;margin-top:2.5rem}
table{width:100%;border-collapse:collapse;font-size:.9rem}
caption{text-align:left;padding-bottom:.4rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid}
th:first-child,td:first-child{padding-left:0}
thead th,.area{font-weight:600}
.area{padding-top:.9rem}
.level{width:4rem;font-weight:700}
.check{width:12rem;font-weight:400}
.cure{width:32%}
thead th,.time{white-space:nowrap;font-variant-numeric:tabular-nums}
td.code{width:62%}
.code,code,pre{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}
code{font-size:.92em}
pre{margin:0;white-space:pre-wrap}
.wide{overflow-x:auto}
.wide svg{display:block;width:100%;min-width:52rem;height:auto}
.wide pre{white-space:pre}
summary{cursor:pointer}
@media (max-width:44rem){
main{padding:1rem}
.findings thead{display:none}
.findings tr{display:block;padding:.4rem 0;border-bottom:1px solid}
.findings th,.findings td{display:block;width:auto;padding:.1rem 0;border:0}
.findings .level,.findings .check{display:inline-block;margin-right:.75rem}
}
@media print{
body{font-size:11px}
main{max-width:none;padding:0}
tr,svg{break-inside:avoid}
h3{break-after:avoid}
.wide svg{min-width:0}
}
"""


def page(diagnoses: Sequence[Diagnosis], *, with_data: bool) -> str:
    """Return the page of diagnoses; several stand beneath each other, with one scale of time."""
    timelines, length = scaled(diagnoses)
    title = escaped(title_of(diagnoses[0].case.exchange)) if diagnoses else ""
    sections = [
        "\n".join(_section(diagnosis, timeline, length, with_data=with_data))
        for diagnosis, timeline in zip(diagnoses, timelines, strict=True)
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>doctor: {title}</title>\n<style>{style()}{CHART_STYLE}{LAYOUT}{_paper()}</style>\n</head>\n"
        "<body>\n<main>\n<h1>Diagnosis of an event stream</h1>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _paper() -> str:
    """Return the colours of the page itself, and of the lines of its tables."""
    light, dark = (
        f"body{{background:{COLOURS['paper'][i]};color:{COLOURS['ink'][i]}}}"
        f"th,td,section+section,.findings tr{{border-color:{COLOURS['rule'][i]}}}"
        for i in (0, 1)
    )
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def _section(diagnosis: Diagnosis, timeline: Timeline | None, length: float, *, with_data: bool) -> Iterator[str]:
    exchange = diagnosis.case.exchange
    yield "<section>"
    yield f'<h2 class="code">{escaped(title_of(exchange))}</h2>'
    yield f'<p class="faint">{escaped(about(exchange))}</p>'
    if diagnosis.findings:
        yield f'<p><strong class="{diagnosis.worst.name}">{escaped(verdict(diagnosis))}</strong></p>'
        yield from _findings(diagnosis.findings)
    if timeline is not None:
        yield from _timeline(timeline, length)
        yield from _head(exchange)
    yield from _body(diagnosis.case, has_times=timeline is not None, with_data=with_data)
    yield "</section>"


def _timeline(timeline: Timeline, length: float) -> Iterator[str]:
    elements, height = chart(timeline, length)
    yield "<h3>Timeline</h3>"
    yield (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escaped(description(timeline))}">{elements}</svg></div>'
    )
    lines = "\n".join(map(escaped, in_text(timeline, length=length)))
    yield f'<details><summary>As text</summary><div class="wide"><pre>{lines}</pre></div></details>'


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    yield "<h3>Findings</h3>"
    yield '<table class="findings"><thead><tr><th scope="col">Level</th><th scope="col">Check</th>'
    yield '<th scope="col">Evidence</th><th scope="col">Cure</th></tr></thead>'
    for area, group in groupby(findings, key=lambda finding: finding.area):
        yield f'<tbody><tr><th class="area" colspan="4" scope="rowgroup">{escaped(AREAS.get(area, area))}</th></tr>'
        yield from map(_finding, group)
        yield "</tbody>"
    yield "</table>"


def _finding(finding: Finding) -> str:
    level, check = finding.level.name, escaped(finding.check, MAX_NAME)
    evidence, cure = (
        CODE.sub(r"<code>\1</code>", escaped(text, MAX_FINDING)) for text in (finding.evidence, finding.cure)
    )
    return (
        f'<tr><td class="level {level}">{level}</td><th class="check" scope="row">{check}</th>'
        f'<td class="{"ink" if finding.level > Level.ok else "faint"}">{evidence}</td><td class="cure">{cure}</td></tr>'
    )


def _head(exchange: Exchange) -> Iterator[str]:
    """Yield the head of the response, and the redirects before it."""
    lines = [f"{hop.status} to {public_url(hop.location)}" for hop in exchange.hops]
    lines.append(f"{exchange.http_version} {exchange.status}".strip())
    lines += header_lines(exchange.headers.multi_items()[:MAX_HEADERS])
    lines += [f"{name}: {REDACTED}" for name in sorted(exchange.redacted)]
    yield "<h3>Head of the response</h3>"
    yield "<pre>" + "\n".join(escaped(line, MAX_HEADER) for line in lines) + "</pre>"


def _body(case: Case, *, has_times: bool, with_data: bool) -> Iterator[str]:
    """Yield the events; without any, the first lines of the body."""
    arrivals = case.body.arrivals
    if not arrivals:
        yield from _lines(case, with_data=with_data)
        return
    limit = None if with_data else MAX_QUOTED
    is_short = with_data or len(arrivals) <= FIRST + LAST
    total = counted(len(arrivals), "event")
    said = total if is_short else f"The first {FIRST} and the last {LAST} of {total}"
    yield "<h3>Events</h3>"
    shortened = "" if with_data else "; data is shortened"
    since = ", with the time since the request" if has_times else ""
    yield f'<table><caption class="faint">{said}{since}{shortened}</caption>'
    names = ("Time", "Name", "ID", "Data") if has_times else ("Name", "ID", "Data")
    cells = "".join(f'<th scope="col">{name}</th>' for name in names)
    yield f"<thead><tr>{cells}</tr></thead><tbody>"
    for number, arrival in enumerate(arrivals):
        if not is_short and FIRST <= number < len(arrivals) - LAST:
            if number == FIRST:
                yield f'<tr><td class="faint" colspan="4">… {len(arrivals) - FIRST - LAST} more …</td></tr>'
            continue
        event = arrival.event
        name, identifier = escaped(event.event, MAX_NAME), escaped(event.id, MAX_NAME)
        time = f'<td class="time">{arrival.time:.3f} s</td>' if has_times else ""
        yield f'<tr>{time}<td>{name}</td><td>{identifier}</td><td class="code">{escaped(event.data, limit)}</td></tr>'
    yield "</tbody></table>"


def _lines(case: Case, *, with_data: bool) -> Iterator[str]:
    limit = None if with_data else MAX_QUOTED
    lines = case.body.data.decode("utf-8", "replace").splitlines() if with_data else case.body.lines.first[:MAX_LINES]
    if lines:
        yield f"<h3>{'Body' if with_data else 'First lines of the body'}</h3>"
        yield "<pre>" + "\n".join(escaped(line, limit) for line in lines) + "</pre>"
