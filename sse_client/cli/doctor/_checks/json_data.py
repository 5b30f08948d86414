"""Data as JSON: which of it is not, and values that are spread over several events."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..._reading import DONE
from ..._text import as_json
from .._case import Case
from .._finding import Finding, Level, quoted

# Words and numbers of a plain text are JSON by chance, so only objects and lists show that JSON is meant; and only if
# most of the data is, the rest is a fault.
MOST = 0.5

# A JSON text that was cut at each of its lines, or by size, rarely has more parts; and looking for it stays cheap.
MOST_PARTS = 64
LARGEST = 65536  # characters

# An object with a key, in whatever quotes; a text in braces has none.
LIKE_OBJECT = re.compile(r"""\{\s*(["']?)[^"'\s:{}]+\1\s*:""")


@dataclass(frozen=True, slots=True)
class Data:
    """The data of an event."""

    number: int
    """Of the event, from 1."""
    name: str
    text: str
    is_json: bool

    @property
    def is_structure(self) -> bool:
        """Whether it is an object or a list."""
        return self.is_json and opens(self.text)

    @property
    def is_meant(self) -> bool:
        """Whether it is a structure, or was meant as one: Python's `str` of a dict, or an object of JavaScript."""
        text = self.text.strip()
        return self.is_structure or (text.endswith("}") and LIKE_OBJECT.match(text) is not None)


def in_json(case: Case) -> Iterator[Finding]:
    """Is the data JSON, if most of it is?"""
    if not case.is_stream:
        return
    datas = list(_datas(case))
    if not datas:
        return
    # Events of one name may be JSON, and those of another text: the address of a session, a stage.
    names = {data.name for data in datas if data.is_meant}
    meant = [data for data in datas if data.name in names]
    bad = [data for data in meant if not data.is_json]
    is_meant = sum(data.is_meant for data in meant) >= MOST * len(meant)
    if (parts := _spread(datas)) is not None:
        evidence = f"a JSON value is split across events {parts[0]} to {parts[1]}"
        # The reply itself may be a JSON text.
        is_text = parts[1] - parts[0] + 1 == len(datas) and not any(data.is_structure for data in datas)
        level = Level.note if is_text else Level.WARN
        yield Finding("body", "json", level, evidence, "send each value in one event, preferably on one line")
    elif not (meant and is_meant):
        yield Finding("body", "json", Level.ok, f"the data is text: `{quoted(datas[0].text)}`")
    elif bad:
        evidence = f"{len(meant) - len(bad)} of {len(meant)} are JSON; the first that is not: event {bad[0].number}"
        cure = "send each value as valid JSON"
        yield Finding("body", "json", Level.WARN, f"{evidence}: `{quoted(bad[0].text)}`", cure)
    else:
        yield Finding("body", "json", Level.ok, f"{len(meant)} of {len(meant)} are JSON")


def _datas(case: Case) -> Iterator[Data]:
    pings = case.pings
    for number, arrival in enumerate(case.body.arrivals, start=1):
        event = arrival.event
        if event.data and event.data != DONE and event.event not in pings:
            yield Data(number, event.event, event.data, as_json(event.data) is not None)


def opens(data: str) -> bool:
    """Whether the data begins as an object or a list does."""
    return data.lstrip()[:1] in ("{", "[")


def _spread(datas: Sequence[Data]) -> tuple[int, int] | None:
    """Return the numbers of the first and last event of a JSON value in several parts; `None` if there is no such."""
    bad = [index for index, data in enumerate(datas) if not data.is_json]
    for start in bad[:MOST_PARTS]:  # of the rest, the first faults tell enough
        first = datas[start]
        if not opens(first.text):
            continue
        # A line of an object may be a number in a list, which is JSON; but so is the 1 of a text with `[`, `1`, `]`.
        may_be_json = first.text.lstrip().startswith("{")
        text = ""
        for n, part in enumerate(datas[start : start + MOST_PARTS]):
            if part.is_json and not may_be_json:
                break
            text += part.text
            if part.number != first.number + n or len(text) > LARGEST:
                break
            # Only a part that closes something can be the last.
            if n and part.text.rstrip()[-1:] in ("}", "]") and as_json(text) is not None:
                return first.number, part.number
    return None
