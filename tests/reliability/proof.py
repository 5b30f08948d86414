"""
How much is proved, and what is counted.

A proof is one test function, over all its parameters. It tells its `Ledger` of each stream that it read: what the
server sent, what the user got, and whether the stream called itself complete. What must never happen has columns of
its own, and fails the test at once. Chance comes from one seed: 0 in a short run, in a long one a new one each time.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

from hypothesis import HealthCheck, settings

LONG = os.environ.get("SSE_CLIENT_PROOF") == "long"

SEED = int(os.environ.get("SSE_CLIENT_PROOF_SEED", random.randrange(2**32) if LONG else 0))


def size(short: int, long: int) -> int:
    """Return how many in this run."""
    return long if LONG else short


def fuzz(short: int, long: int) -> settings:
    """Return the settings of a Hypothesis test with so many examples; with `seed(SEED)`, the same for a seed."""
    return settings(
        max_examples=size(short, long),
        database=None,
        deadline=None,
        print_blob=True,
        # The ledger adds up over the examples, and nothing else lasts longer than one.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@dataclass(slots=True)
class Ledger:
    """The numbers of one proof."""

    faults: int = 0
    """Cuts, refusals, silences, lies, closings and cancellations that took place."""
    streams: int = 0
    events: int = 0
    """Events that users got."""
    complete: int = 0
    """Streams that ended as `completed`; all others said that they are not."""
    lost: int = 0
    """Events that a user should have got before what they got last, or before the end of a complete stream."""
    doubled: int = 0
    """Events that a user got twice."""
    wrong: int = 0
    """Streams that ended as `completed`, and were not."""
    note: str = ""
    """What else was measured."""

    def stream(self, sent: Sequence[str], received: Sequence[str], *, is_complete: bool, faults: int = 0) -> None:
        """
        Count a stream, and check it: what was received is the beginning of what was sent, and all of it if complete.

        The events of one stream are all different.
        """
        known = set(received)
        until = (
            len(sent) if is_complete else max((index for index, each in enumerate(sent, 1) if each in known), default=0)
        )
        self.add(
            faults=faults,
            streams=1,
            events=len(received),
            complete=is_complete,
            lost=sum(each not in known for each in sent[:until]),
            doubled=len(received) - len(known),
            wrong=is_complete and len(known) < len(sent),
        )
        assert list(received) == list(sent[: len(received)])

    def add(self, **counts: int) -> None:
        """Add to the numbers; what must never happen has not happened."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)
        assert (self.lost, self.doubled, self.wrong) == (0, 0, 0)

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(*(getattr(self, name) + getattr(other, name) for name in COLUMNS))


COLUMNS = tuple(each.name for each in fields(Ledger) if each.name != "note")


def table(ledgers: dict[str, Ledger]) -> list[str]:
    """Write the numbers as lines, a proof each, and their sum."""
    rows = {**ledgers, "total": sum(ledgers.values(), Ledger())}
    width = max(map(len, rows))
    lines = [f"{'':{width}}" + "".join(f"{name:>11}" for name in COLUMNS)]
    for name, ledger in rows.items():
        numbers = "".join(f"{getattr(ledger, column):>11,}" for column in COLUMNS)
        lines.append(f"{name:{width}}{numbers}  {ledger.note}".rstrip())
    return lines
