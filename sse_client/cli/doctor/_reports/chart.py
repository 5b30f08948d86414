"""
The timeline as a chart in SVG: bars for events and for bytes over one scale of time, ticks for comments, and the marks.

Its elements have classes for colours and no style of their own, so that the page and the picture can have them both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..._text import counted
from .markup import escaped
from .timeline import Bin, Mark, Timeline, decimals, in_bytes, in_text, round_width

WIDTH = 912
LEFT, RIGHT = 76, 900  # of the plot; its names stand to the left
EVENTS, BYTES, COMMENTS = 96, 40, 10  # heights of the rows
GAP = 10  # between them
# At most so many bars; each is then wide enough to be seen.
MAX_BARS = 100
MAX_TICKS = 10
# A recording without times has everything in one bar, which must not look like a steady stream.
MAX_BAR = 40

SIZE = 12  # of the letters
LETTER = 7.0  # the width of a letter of this size; a little more than in common fonts
ROW = 16  # from one label to the next

STYLE = (
    ".chart text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif}"
    ".chart .halo{stroke-width:4px;stroke-linejoin:round;paint-order:stroke}"
    ".chart .end{text-anchor:end}.chart .middle{text-anchor:middle}"
    ".chart .line,.chart .mark{fill:none;stroke-width:1px}.chart .mark{stroke-dasharray:2 3}"
)


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a mark, where it stands, and how many rows above the plot."""

    x: float
    text: str
    is_left: bool
    """Whether it stands to the left of its line."""
    row: int


def chart(timeline: Timeline, length: float) -> tuple[str, float]:
    """Return the elements of a chart, and its height. `length` is that of the scale."""
    bins = timeline.bins(MAX_BARS, length)
    end = bins[-1].end
    labels = _labels(timeline.marks, end)
    top = (max(label.row for label in labels) + 1) * ROW + 4
    rows: list[str] = []
    base = top - GAP
    for name, unit, height, values, highest in _rows(bins, timeline):
        base += GAP + height
        middle = base - height / 2 + 4
        rows.append(f'<path class="line" d="M{LEFT} {base}H{RIGHT}"/>')
        rows.append(f'<path class="{name}" d="{_bars(values, bins, end, base, height)}"/>')
        rows += [_name(name, middle), _name(unit, middle + ROW), _name(highest, base - height + 10)]
    parts = [*_lines(labels, top, base), *rows, *_names(labels, top), *_ticks(end, base)]
    return f'<g class="chart">{"".join(parts)}</g>', base + 24


def description(timeline: Timeline) -> str:
    """Return the chart in words, for those who do not see it."""
    marks, *_ = in_text(timeline)
    comments = f", {counted(len(timeline.comments), 'comment')}" if timeline.comments else ""
    size = in_bytes(sum(size for _, size in timeline.pieces))
    return f"Timeline: {counted(len(timeline.events), 'event')}, {size}{comments}; {marks}"


def _rows(bins: list[Bin], timeline: Timeline) -> Iterator[tuple[str, str, int, list[int], str]]:
    """Yield the rows of the plot: the name, the unit, the height, the values, and the number of the highest bar."""
    events, sizes = [each.events for each in bins], [each.bytes for each in bins]
    width = bins[0].end - bins[0].start
    yield "events", f"per {width:.{decimals(width)}f} s", EVENTS, events, f"{max(events)}" if timeline.events else ""
    yield "bytes", "", BYTES, sizes, in_bytes(max(sizes)) if timeline.pieces else ""
    if timeline.comments:
        yield "comments", "", COMMENTS, [min(each.comments, 1) for each in bins], ""


def _bars(values: Sequence[int], bins: Sequence[Bin], end: float, base: float, height: float) -> str:
    """Return the outlines of the bars; something that is not nothing is at least two pixels high."""
    highest = max(values) or 1
    width = min((RIGHT - LEFT) / len(values) - 1, MAX_BAR)
    outlines: list[str] = []
    for value, each in zip(values, bins, strict=True):
        if value:
            left, top = _x(each.start, end) + 0.5, base - max(value / highest * height, 2)
            outlines.append(f"M{left:.1f} {top:.1f}h{width:.1f}V{base}h-{width:.1f}z")
    return "".join(outlines)


def _labels(marks: Sequence[Mark], end: float) -> list[Label]:
    """Place the names of the marks so that none stands on another; those of one moment are one."""
    moments: dict[str, list[Mark]] = {}
    for mark in marks:
        moments.setdefault(f"{mark.time:.3f} s", []).append(mark)
    labels: list[Label] = []
    taken: list[list[tuple[float, float]]] = []
    # From the right: the line of a mark then passes on the left of the names that stand below its own.
    for time, names in sorted(moments.items(), key=lambda moment: -moment[1][0].time):
        text = f"{', '.join(mark.name for mark in names)} {time}"
        x, width = _x(names[0].time, end), len(text) * LETTER + 12
        is_left = x + width > WIDTH
        span = (x - width, x) if is_left else (x, x + width)
        row = next(
            (n for n, spans in enumerate(taken) if all(b < span[0] or span[1] < a for a, b in spans)), len(taken)
        )
        if row == len(taken):
            taken.append([])
        taken[row].append(span)
        labels.append(Label(x, text, is_left, row))
    return labels


def _lines(labels: Sequence[Label], top: float, base: float) -> Iterator[str]:
    for label in labels:
        yield f'<path class="mark" d="M{label.x:.1f} {top - 16 - label.row * ROW}V{base}"/>'


def _names(labels: Sequence[Label], top: float) -> Iterator[str]:
    for label in labels:
        side, x = (" end", label.x - 4) if label.is_left else ("", label.x + 4)
        yield f'<text class="ink halo{side}" x="{x:.1f}" y="{top - 8 - label.row * ROW}">{escaped(label.text)}</text>'


def _ticks(end: float, bottom: float) -> Iterator[str]:
    width = round_width(end, MAX_TICKS)
    for number in range(int(end / width + 1e-6) + 1):
        x = _x(number * width, end)
        yield f'<path class="line" d="M{x:.1f} {bottom}v4"/>'
        anchor = "end" if x > RIGHT - 10 else "middle"
        text = f"{number * width:.{decimals(width)}f} s"
        yield f'<text class="faint {anchor}" x="{min(x, WIDTH):.1f}" y="{bottom + 18}">{text}</text>'


def _name(text: str, y: float) -> str:
    if not text:
        return ""
    return f'<text class="faint end" x="{LEFT - 8}" y="{y:.1f}">{escaped(text)}</text>'


def _x(time: float, end: float) -> float:
    return LEFT + min(max(time / end, 0.0), 1.0) * (RIGHT - LEFT)
