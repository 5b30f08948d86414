"""The parts that the page and the picture share: escaped text, the words of a report, and the colours."""

import html
import re
from collections import Counter
from collections.abc import Sequence

from ..._notes import public_url
from .._case import Diagnosis
from .._exchange import Exchange
from .._finding import Level, quoted
from .timeline import Timeline, length_of, timeline_of

# A finding is one line of a terminal or a few of a page. A longer one comes from a server that floods us.
MAX_FINDING = 500  # characters
MAX_TITLE = 200  # characters

# The two that XML forbids, beside the control characters.
FORBIDDEN = re.compile("[\ufffe\uffff]")

# For light and for dark surroundings; each has a contrast of at least 4.5 to its paper if it is for text (WCAG 1.4.3).
COLOURS = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#59636e", "#9aa4af"),
    "rule": ("#d1d9e0", "#3d444d"),
    "ok": ("#1a7f37", "#56d364"),
    "note": ("#0757ba", "#79b8ff"),
    "WARN": ("#8a5a00", "#e3b341"),
    "FAIL": ("#b42318", "#ff7b72"),
    "events": ("#2f6fd0", "#5b9bff"),
    "bytes": ("#8c959f", "#767f89"),
    "comments": ("#8250df", "#bc8cff"),
}


def plain(text: str, limit: int | None) -> str:
    """Return text in one line, shortened, without anything that HTML or XML could not have."""
    return FORBIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted(text, limit))


def escaped(text: str, limit: int | None = None) -> str:
    """Return such text, escaped for HTML and XML."""
    return html.escape(plain(text, limit))


def style() -> str:
    """Return a rule for each colour: as `fill`, as `color` for HTML, and those of lines as `stroke`."""
    light, dark = map(_rules, (0, 1))
    # A printer has white paper, whatever the screen is like.
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def _rules(surroundings: int) -> str:
    colours = {name: pair[surroundings] for name, pair in COLOURS.items()}
    fills = "".join(f".{name}{{fill:{colour};color:{colour}}}" for name, colour in colours.items())
    return (
        f"{fills}.line{{stroke:{colours['rule']}}}.mark{{stroke:{colours['faint']}}}.halo{{stroke:{colours['paper']}}}"
    )


def title_of(exchange: Exchange) -> str:
    """Return the request in one line, without secrets; of a file, its name."""
    url = public_url(exchange.url) if exchange.has_head else exchange.url
    return quoted(f"{exchange.method} {url}".strip(), MAX_TITLE)


def about(exchange: Exchange) -> str:
    """Return what tells an exchange from another one with the same request."""
    if exchange.failure is not None:
        return "no response"
    if not exchange.has_head:
        return "the bytes of a body, without headers and times"
    parts = [str(exchange.status), exchange.http_version, exchange.content_type or "no content type"]
    if accepted := exchange.sent.get("accept-encoding"):  # not `accepted`, which the user may have written
        parts.append(f"asked for {accepted}")
    if "last-event-id" in exchange.sent:
        parts.append("with Last-Event-ID")
    if exchange.left:
        parts.append(f"stopped reading: {exchange.left}")
    if exchange.is_recorded:
        parts.append("recorded")
    return quoted(", ".join(filter(None, parts)), MAX_TITLE)


def scaled(diagnoses: Sequence[Diagnosis]) -> tuple[list[Timeline | None], float]:
    """Return the timelines of diagnoses, `None` if there are no times, and the length of the scale for all of them."""
    timelines = [
        timeline_of(case.exchange, case.body) if case.exchange.has_times else None
        for case in (diagnosis.case for diagnosis in diagnoses)
    ]
    return timelines, length_of(timeline for timeline in timelines if timeline is not None)


def verdict(diagnosis: Diagnosis) -> str:
    """Return how many findings of each level there are, the worst first; empty for one that is only compared."""
    numbers = Counter(finding.level for finding in diagnosis.findings)
    return ", ".join(f"{numbers[level]} {level.name}" for level in reversed(Level) if numbers[level])
