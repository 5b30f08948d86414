"""
The size of the proofs, and their counts.

A proof is one test function, over all its parameters. It passes each stream that it read to its `Ledger`: the events
that the server sent, those that the user got, and whether the stream was completed. Things that must never happen have
their own columns, and fail the test at once. Random numbers come from one seed: 0 in a short run, in a long one a new
one each time.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

from hypothesis import HealthCheck, settings

LONG = os.environ.get("SSE_CLIENT_PROOF") == "long"

SEED = int(os.environ.get("SSE_CLIENT_PROOF_SEED", random.randrange(2**32) if LONG else 0))


def size(short: int, long: int) -> int:
    """Return the number for this run."""
    return long if LONG else short


def fuzz(short: int, long: int) -> settings:
    """
    Return the settings of a Hypothesis test with that many examples; with `seed(SEED)`, they are the same for a seed.
    """
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
    """Events that a user should have got before the last one, or before the end of a completed stream."""
    doubled: int = 0
    """Events that a user got twice."""
    wrong: int = 0
    """Streams that ended as `completed` but were not complete."""
    note: str = ""
    """Other measurements."""

    def stream(self, sent: Sequence[str], received: Sequence[str], *, is_complete: bool, faults: int = 0) -> None:
        """
        Count a stream, and check it: the received events are a prefix of those sent, and all of them if it is complete.

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
        """Add to the numbers; check that nothing happened that must never happen."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)
        assert (self.lost, self.doubled, self.wrong) == (0, 0, 0)

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(*(getattr(self, name) + getattr(other, name) for name in COLUMNS))


COLUMNS = tuple(each.name for each in fields(Ledger) if each.name != "note")


def table(ledgers: dict[str, Ledger]) -> list[str]:
    """Write the numbers as lines, one for each proof, and their sum."""
    rows = {**ledgers, "total": sum(ledgers.values(), Ledger())}
    width = max(map(len, rows))
    lines = [f"{'':{width}}" + "".join(f"{name:>11}" for name in COLUMNS)]
    for name, ledger in rows.items():
        numbers = "".join(f"{getattr(ledger, column):>11,}" for column in COLUMNS)
        lines.append(f"{name:{width}}{numbers}  {ledger.note}".rstrip())
    return lines
