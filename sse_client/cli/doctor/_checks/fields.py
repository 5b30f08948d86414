"""The fields of reconnecting: `id` and `retry`."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ..._text import counted
from .._case import Case
from .._finding import Finding, Level, quoted

# Browsers wait for 3 to 5 s by default. Less than a tenth of a second makes all clients of a server that restarts come
# back at once; after more than ten minutes, a reader has left.
SHORTEST = 100  # milliseconds
LONGEST = 600_000  # milliseconds

# Two events with one ID may be the parts of one message.
FEWEST_ALIKE = 3  # events


def ids(case: Case) -> Iterator[Finding]:
    """Can a client resume after each ID?"""
    if not case.has_events:
        return
    if case.body.lines.nul_ids:
        evidence = f"clients ignore {counted(case.body.lines.nul_ids, 'ID')} that contain a NUL"
        yield Finding("body", "ids", Level.WARN, evidence, "send IDs without control characters")
    # An event without an ID has the one before it.
    every = [arrival.event.id for arrival in case.body.arrivals]
    changes = [one for one, before in zip(every, ["", *every], strict=False) if one and one != before]
    if not changes:
        if not case.body.lines.nul_ids:
            yield Finding("body", "ids", Level.ok, "no IDs, so a broken stream cannot be resumed")
        return
    again = next((one for one, count in Counter(changes).items() if count > 1), None)
    if again is not None:
        evidence = f"the ID `{quoted(again, 40)}` is used again after others, so a resume may repeat or skip events"
        yield Finding("body", "ids", Level.WARN, evidence, "give each event a unique ID")
    elif len(changes) == 1 and case.body.lines.ids >= FEWEST_ALIKE:
        evidence = (
            f"each of {case.body.lines.ids} events has the ID {_shown(changes)}, so a resume repeats or skips events"
        )
        yield Finding("body", "ids", Level.WARN, evidence, "give each event a unique ID")
    elif all(one.isascii() and one.isdigit() for one in changes) and not _rise(changes):
        evidence = f"the IDs are numbers, but not ascending: {_shown(changes)}"
        yield Finding("body", "ids", Level.note, evidence, "send ascending IDs if clients compare them")
    else:
        yield Finding("body", "ids", Level.ok, f"{counted(len(changes), 'ID')}: {_shown(changes)}")


def _shown(changes: list[str]) -> str:
    first, last = quoted(changes[0], 40), quoted(changes[-1], 40)
    return f"`{first}`" if len(changes) == 1 else f"`{first}` to `{last}`"


def _rise(numbers: list[str]) -> bool:
    # By length and text: a number of thousands of digits is more than `int` reads.
    keys = [(len(number.lstrip("0")), number.lstrip("0")) for number in numbers]
    return all(one < other for one, other in pairwise(keys))


def retry(case: Case) -> Iterator[Finding]:
    """Is the reconnection time sensible?"""
    values = case.body.lines.retries
    if not (case.is_stream and values):
        return
    shown = quoted(values[-1], 30)
    cure = "`retry: 3000` is a common default of browsers"
    if not all(value.isascii() and value.isdigit() for value in values):
        bad = next(value for value in values if not (value.isascii() and value.isdigit()))
        evidence = f"`retry: {quoted(bad, 30)}` is not a number of milliseconds, so clients ignore it"
        yield Finding("body", "retry", Level.WARN, evidence, cure)
    elif _number(values[-1]) < SHORTEST:
        evidence = f"`retry: {shown}`: all clients reconnect at once, without a pause"
        yield Finding("body", "retry", Level.WARN, evidence, cure)
    elif _number(values[-1]) > LONGEST:
        evidence = (
            f"`retry: {shown}` is in milliseconds: clients reconnect after {_number(values[-1]) // 60_000:,} minutes"
        )
        yield Finding("body", "retry", Level.WARN, evidence, cure)
    else:
        yield Finding("body", "retry", Level.ok, f"clients reconnect after {shown} ms")


def _number(digits: str) -> int:
    # Python reads at most 4,300 digits; and more than 18 are not meant as a time.
    return int(digits) if len(digits) <= 18 else 10**18
