"""Data as JSON: which of it is not, and values that are spread over several events."""

from collections.abc import Iterator, Sequence

from .._text import as_json
from ._case import Case
from ._finding import Finding, Level, quoted
from ._marks import DONE, events_of

# Words and numbers of a plain text are JSON by chance, so only objects and lists show that JSON is meant; and only if
# most of the data is, the rest is a fault.
MOST = 0.5

# A JSON text that was cut at each of its lines, or by size, rarely has more parts; and looking for it stays cheap.
MOST_PARTS = 64
LARGEST = 65536  # characters


def in_json(case: Case) -> Iterator[Finding]:
    """Is the data JSON, if most of it is?"""
    if not case.is_stream:
        return
    datas = [(n, arrival.event.data) for n, arrival in enumerate(events_of(case), start=1)]
    datas = [(n, data) for n, data in datas if data and data != DONE]
    if not datas:
        return
    bad = [(n, data) for n, data in datas if as_json(data) is None]
    structures = sum(_opens(data) for _, data in datas) - sum(_opens(data) for _, data in bad)
    if (parts := _spread(bad)) is not None:
        evidence = f"a JSON value is spread over the events {parts[0]} to {parts[1]}, of which none is JSON alone"
        is_text = len(bad) == len(datas) == parts[1] - parts[0] + 1  # the reply itself may be a JSON text
        level = Level.note if is_text else Level.WARN
        yield Finding("body", "json", level, evidence, "write each value into one event, best in one line")
    elif structures >= MOST * len(datas) and bad:
        number, data = bad[0]
        evidence = f"{len(datas) - len(bad)} of {len(datas)} are JSON; the first that is not is event {number}"
        yield Finding("body", "json", Level.WARN, f"{evidence}: `{quoted(data)}`", "write each value as one JSON text")
    elif structures >= MOST * len(datas):
        yield Finding("body", "json", Level.ok, f"{len(datas)} of {len(datas)} are JSON")
    else:
        yield Finding("body", "json", Level.ok, f"the data is text: `{quoted(datas[0][1])}`")


def _opens(data: str) -> bool:
    """Whether the data begins as an object or a list does."""
    return data.lstrip()[:1] in ("{", "[")


def _spread(bad: Sequence[tuple[int, str]]) -> tuple[int, int] | None:
    """Return the first and the last number of events that are one JSON value together; `None` if there are none."""
    for start, (first, data) in enumerate(bad):
        if not _opens(data):
            continue
        text = ""
        for n, (number, part) in enumerate(bad[start : start + MOST_PARTS]):
            text += part
            if number != first + n or len(text) > LARGEST:
                break
            # Only a part that closes something can be the last.
            if n and part.rstrip()[-1:] in ("}", "]") and as_json(text) is not None:
                return first, number
    return None
