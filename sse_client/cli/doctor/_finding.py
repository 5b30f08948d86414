"""What a check found, and how text of the server is quoted in it."""

from dataclasses import dataclass
from enum import IntEnum

from .._text import in_one_line

# More of a text tells nothing new about a fault, and makes a report hard to read.
MAX_QUOTED = 80  # characters


class Level(IntEnum):
    """How bad it is. Its name is printed."""

    ok = 0
    note = 1
    WARN = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, in one line: the evidence, and one cure if there is something to cure."""

    area: str
    """`head`, `time`, `body` or `reply`."""
    check: str
    """The name of the check, the same in every run: `content-type`, `buffering`."""
    level: Level
    evidence: str
    cure: str = ""


def quoted(text: str, limit: int | None = MAX_QUOTED) -> str:
    """Return text of the server in one line, without control characters, shortened; `None` keeps all of it."""
    text = in_one_line(text if limit is None else text[: limit + 1])
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"
