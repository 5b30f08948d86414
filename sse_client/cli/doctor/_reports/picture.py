"""
The report as one picture, `--svg FILE`: the findings as lines, and the timeline as a chart.

A picture does not break lines, so they are broken here, in a font whose letters have one width. The picture has no
script, no font of its own and no address: it asks no host for anything. It brings its own paper, and is readable also
if the program that shows it knows nothing of dark surroundings.
"""

import unicodedata
from collections.abc import Iterator

from .._case import Diagnosis
from .chart import STYLE as CHART_STYLE
from .chart import WIDTH as CHART_WIDTH
from .chart import chart, description
from .markup import MAX_FINDING, about, escaped, plain, scaled, style, title_of, verdict

MARGIN = 24
WIDTH = CHART_WIDTH + 2 * MARGIN
SIZE = 12  # of the letters
LETTER = 7.25  # the width of a letter of this size; that of the widest of the usual fonts
LINE = 18  # from one line to the next
LEVEL = 6  # columns of letters
MAX_NAME = 26

STYLE = (
    ".text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
    ".title{font-size:14px;font-weight:bold}.bold{font-weight:bold}"
)


def picture(*diagnoses: Diagnosis) -> str:
    """Return the picture of a diagnosis; several stand beneath each other, with one scale of time."""
    timelines, length = scaled(diagnoses)
    parts: list[str] = []
    y = float(MARGIN)
    for diagnosis, timeline in zip(diagnoses, timelines, strict=True):
        exchange = diagnosis.case.exchange
        if parts:
            parts.append(f'<path class="line" d="M{MARGIN} {y}H{WIDTH - MARGIN}"/>')
            y += MARGIN
        y += LINE
        title = plain(title_of(exchange), int((WIDTH - 2 * MARGIN) / (LETTER * 14 / SIZE)))
        parts.append(_text(MARGIN, y, title, "ink title"))
        y += LINE + 2
        parts.append(_text(MARGIN, y, about(exchange), "faint"))
        if diagnosis.findings:
            y += LINE
            parts.append(_text(MARGIN, y, verdict(diagnosis), f"{diagnosis.worst.name} bold"))
        y += LINE + 6
        for line in _findings(diagnosis):
            parts += [_text(MARGIN + column * LETTER, y, text, kind) for column, text, kind in line]
            y += LINE
        if timeline is not None:
            elements, height = chart(timeline, length)
            parts.append(f'<g transform="translate({MARGIN} {y})">{elements}</g>')
            y += height
        y += MARGIN
    title = "; ".join(
        ". ".join(
            filter(None, (title_of(each.case.exchange), verdict(each), description(timeline) if timeline else ""))
        )
        for each, timeline in zip(diagnoses, timelines, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" lang="en" width="{WIDTH}" height="{y:.0f}" '
        f'viewBox="0 0 {WIDTH} {y:.0f}" role="img">\n<title>{escaped(title)}</title>\n'
        f"<style>{style()}{CHART_STYLE}{STYLE}</style>\n"
        f'<rect class="paper" width="100%" height="100%"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def wrapped(text: str, columns: int) -> list[str]:
    """Break text into lines of at most so many columns, at blanks if it has them; wide letters take two."""
    lines: list[str] = []
    line, used, blank = "", 0, 0
    for letter in text:
        width = _columns(letter)
        if used + width > columns:
            if letter == " ":
                blank = len(line)
            # Without a blank in the second half of a line, a word is broken: else the line could be almost empty.
            at = blank if blank > len(line) // 2 else len(line)
            lines.append(line[:at].rstrip())
            line = line[at:].lstrip()
            used, blank = sum(map(_columns, line)), 0
        if letter == " ":
            blank = len(line)
        if line or letter != " ":
            line += letter
            used += width
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _findings(diagnosis: Diagnosis) -> Iterator[list[tuple[int, str, str]]]:
    """Yield lines of (column, text, classes)."""
    name = min(max((len(finding.check) for finding in diagnosis.findings), default=0), MAX_NAME) + 2
    start = LEVEL + name
    columns = int((WIDTH - 2 * MARGIN) / LETTER) - start
    for finding in diagnosis.findings:
        level = finding.level.name
        parts: list[tuple[int, str, str]] = [
            (0, level, f"{level} bold"),
            (LEVEL, plain(finding.check, name - 2), "ink"),
        ]
        for line in wrapped(plain(finding.evidence, MAX_FINDING), columns):
            yield [*parts, (start, line, "ink")]
            parts = []
        if finding.cure:
            mark = "→ "
            for line in wrapped(plain(finding.cure, MAX_FINDING), columns - len(mark)):
                yield [(start, mark, "faint"), (start + len(mark), line, "faint")]
                mark = "  "


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _text(x: float, y: float, text: str, classes: str) -> str:
    return f'<text class="text {classes}" x="{x:g}" y="{y:g}">{escaped(text)}</text>' if text.strip() else ""
