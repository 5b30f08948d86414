"""
The faults of real networks and servers, added to any script: a stream cut short, cut up, damaged or repeated.

A fault is described by the events and bytes of the body, but a script consists of steps. So each fault is first
converted to an offset into the body, and then changes the step at this offset. All other steps stay as they are.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Literal, TypeAlias

from sse_client._parser import BOM, EventParser
from sse_client.testing._script import FIN, Answer, Close, PlayedStep, RecordedRequest, Script, Step, played, size_of

Cut: TypeAlias = Literal["bytes", "random", "crlf", "characters"]

LINE_END = re.compile(rb"\r\n|\r|\n")
INSIDE_CRLF = re.compile(rb"(?<=\r)(?=\n)")
INSIDE_CHARACTER = re.compile(rb"(?=[\x80-\xbf])")
LAST_OF_A_CHARACTER = re.compile(rb"[\x80-\xbf](?![\x80-\xbf])")
NO_CHARACTER = b"\xff"  # no byte of UTF-8 has this value

# Shorter than nearly every event, so that a small test stream is cut too.
MAX_RANDOM_PIECE = 24


@dataclass(frozen=True, kw_only=True)
class Faults:
    """
    Faults to inject into a script. Call it with an `Answer`, or a function that returns one, to get the faulty script.

    To stop early: after `after_events` whole events, or `after_bytes` bytes of the body, `then` is played instead of
    the rest. `FIN` (the default) or `RST` cuts the connection, `Pause(math.inf)` stalls it, and `pings()` keep it alive
    without any event. After other steps the body ends; if the head has a Content-Length, that stays the length of the
    whole body, and `FIN` follows. A body that is shorter than that is played unchanged.

    To change the content: the event with the number `duplicate` is sent twice. In the event with the number `damage`,
    the UTF-8 is damaged: the first character of several bytes loses its last byte, or, without one, a byte that
    is not valid in UTF-8 is added at the end. `line_end` replaces every line end.

    To cut the body: `cut="bytes"` sends each byte alone; `"random"` sends short pieces, which depend on `seed`;
    `"crlf"` cuts between CR and LF; `"characters"` cuts inside each character of several bytes.

    `answer` replaces the whole script: JSON with status 200, an error, a page.

    `requests` limits the faults to the first requests; later ones get the unchanged script.

    Raises `ValueError` for both `after_events` and `after_bytes`, and for `answer` together with other faults. A raw
    `Answer` has no body to change: with faults, it raises `ValueError` when it is requested.
    """

    after_events: int | None = None
    """Stop after this number of whole events."""
    after_bytes: int | None = None
    """Stop after this number of bytes of the body."""
    then: Step | tuple[Step, ...] = FIN
    """The steps to play instead of the rest."""
    duplicate: int | None = None
    """The number of the event to send twice, from 1."""
    damage: int | None = None
    """The number of the event to damage, from 1."""
    line_end: Literal["\n", "\r\n", "\r"] | None = None
    """Replaces every line end."""
    cut: Cut | None = None
    """How to cut the body into pieces."""
    seed: int = 0
    """The seed for random pieces."""
    answer: Answer | None = None
    """Replaces the whole script."""
    requests: int | None = None
    """The number of requests with faults, from the first; by default all requests."""

    def __post_init__(self) -> None:
        if self.after_events is not None and self.after_bytes is not None:
            raise ValueError("expected after_events or after_bytes, got both")
        changes = (self.after_events, self.after_bytes, self.duplicate, self.damage, self.line_end, self.cut)
        if self.answer is not None and any(change is not None for change in changes):
            raise ValueError("expected answer= to replace the script, or faults that change it, got both")
        for name, least in (("after_events", 0), ("after_bytes", 0), ("duplicate", 1), ("damage", 1), ("requests", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"expected {name} >= {least}, got {value!r}")

    def __call__(self, script: Script) -> Callable[[RecordedRequest], Answer]:
        """Return the script with these faults."""
        numbers = count(1)

        def answer(request: RecordedRequest) -> Answer:
            given = script if isinstance(script, Answer) else script(request)
            is_hit = self.requests is None or next(numbers) <= self.requests
            return self._spoilt(given) if is_hit else given

        return answer

    def _spoilt(self, answer: Answer) -> Answer:
        if self.answer is not None:
            return self.answer
        if answer.framing == "raw":
            raise ValueError("expected an Answer with a body to inject faults into, got a raw one")
        steps = list(answer.steps)
        if self.line_end is not None:
            steps = list(with_line_end(steps, self.line_end.encode()))
        # The last event first, so that one fault does not move the offset of the other.
        for number in sorted({self.duplicate or 0, self.damage or 0} - {0}, reverse=True):
            steps = self._with_event_changed(steps, number)
        if self.cut is not None:
            steps = list(chain.from_iterable(self._pieces(step) for step in steps))
        stopped = self._stopped(steps)
        is_short = answer.framing == "length" and size_of(stopped) < size_of(steps)
        if is_short and not any(isinstance(step, Close) for step in stopped):
            stopped.append(FIN)
        return answer.announcing(size_of(steps)).playing(stopped)

    def _with_event_changed(self, steps: list[PlayedStep], number: int) -> list[PlayedStep]:
        body = body_of(steps)
        ends = [0, *event_ends(body)]
        if number >= len(ends):
            return steps
        start, end = ends[number - 1], ends[number]
        if number == 1 and body.startswith(BOM):
            start = len(BOM)  # a duplicate must not repeat it: after the start of a body it is part of a line
        if number == self.damage:
            half = LAST_OF_A_CHARACTER.search(body, start, end)
            if half is not None:
                steps = edited(steps, half.start(), b"", drop=1)
                end -= 1
            else:
                steps = edited(steps, start + len(body[start:end].rstrip(b"\r\n")), NO_CHARACTER)
                end += 1
        if number == self.duplicate:
            steps = edited(steps, end, body_of(steps)[start:end])
        return steps

    def _pieces(self, step: PlayedStep) -> list[PlayedStep]:
        if not isinstance(step, bytes):
            return [step]
        match self.cut:
            case "bytes":
                return [step[place : place + 1] for place in range(len(step))]
            case "crlf":
                return list(INSIDE_CRLF.split(step))
            case "characters":
                return list(INSIDE_CHARACTER.split(step))
            case _:
                chance = random.Random(f"{self.seed} {len(step)}")  # noqa: S311 - the pieces of a test are not secret
                pieces: list[PlayedStep] = []
                while step:
                    size = chance.randint(1, MAX_RANDOM_PIECE)
                    pieces.append(step[:size])
                    step = step[size:]
                return pieces

    def _stopped(self, steps: list[PlayedStep]) -> list[PlayedStep]:
        place = self.after_bytes
        if self.after_events is not None:
            ends = [0, *event_ends(body_of(steps))]
            place = ends[self.after_events] if self.after_events < len(ends) else None
        if place is None or place > size_of(steps):
            return steps
        then = self.then
        rest = (then,) if callable(then) or not isinstance(then, tuple) else then
        return [*steps_before(steps, place), *played(rest)]


def body_of(steps: list[PlayedStep]) -> bytes:
    """Return the bytes that the steps write."""
    return b"".join(step for step in steps if isinstance(step, bytes))


def event_ends(body: bytes) -> Iterator[int]:
    """Yield the offset after each event's last byte: the byte with which a parser returns the event."""
    parser = EventParser()
    for place in range(len(body)):
        if parser.feed(body[place : place + 1]):
            yield place + 1


def edited(steps: list[PlayedStep], place: int, data: bytes, drop: int = 0) -> list[PlayedStep]:
    """Return the steps with data inserted at this offset of the body, in place of the next `drop` bytes."""
    result: list[PlayedStep] = []
    for step in steps:
        if isinstance(step, bytes):
            # Between two steps, insert at the end of the first, but drop from the start of the second.
            if 0 <= place < len(step) or (place == len(step) and not drop):
                result.append(step[:place] + data + step[place + drop :])
                place = -1
                continue
            place -= len(step)
        result.append(step)
    return result


def steps_before(steps: list[PlayedStep], place: int) -> Iterator[PlayedStep]:
    """Yield the steps up to this offset of the body."""
    for step in steps:
        if place == 0:
            return
        if isinstance(step, bytes):
            yield step[:place]
            place -= len(step[:place])
        else:
            yield step


def with_line_end(steps: list[PlayedStep], line_end: bytes) -> Iterator[PlayedStep]:
    """Yield the steps with all line ends replaced."""
    ended_with_cr = False
    for step in steps:
        if isinstance(step, bytes) and step:
            whole = step.removeprefix(b"\n") if ended_with_cr else step
            ended_with_cr = step.endswith(b"\r")
            yield LINE_END.sub(line_end, whole)
        else:
            yield step
