"""Where events go: one class for each output. Each event is written, and flushed, as it comes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO, Protocol

from sse_client import ServerSentEvent, StreamStats

from ._text import Path, as_json, counted, quoted, visible


class Output(Protocol):
    """Shows one stream. `t` is in seconds since the headers."""

    def event(self, event: ServerSentEvent, values: Sequence[Any], t: float) -> None:
        """Show an event, and the values that a dialect made of it."""

    def comment(self, text: str, t: float) -> None:
        """Show a comment; called only if comments were asked for."""

    def head(self, lines: list[str]) -> None:
        """Show the head of a response."""

    def stats(self, stats: StreamStats, outcome: str | None) -> bool:
        """Show the numbers of the stream; return whether this output has a place for them."""
        ...

    def close(self) -> None:
        """The stream is over."""


class Bytes:
    """The parts that the outputs share: writing, flushing, and what a terminal may have."""

    def __init__(self, stream: BinaryIO, *, is_terminal: bool) -> None:
        self._stream = stream
        self._is_terminal = is_terminal

    def _write(self, text: str) -> None:
        if self._is_terminal:
            text = visible(text)
        self._stream.write(text.encode(errors="backslashreplace"))
        self._stream.flush()

    def comment(self, text: str, t: float) -> None:  # noqa: ARG002
        self._write(f":{text}\n")

    def head(self, lines: list[str]) -> None:
        self._write("\n".join([*lines, "", ""]))

    def stats(self, stats: StreamStats, outcome: str | None) -> bool:  # noqa: ARG002
        return False

    def close(self) -> None:
        pass


class Data(Bytes):
    """The data alone, and a line feed. JSON takes one line; other text is written as it is."""

    def event(self, event: ServerSentEvent, values: Sequence[Any], t: float) -> None:  # noqa: ARG002
        data = (as_json(event.data) if "\n" in event.data else None) or event.data
        self._write(f"{data}\n")


class JSONLines(Bytes):
    """An object in a line for each event; JSON in the data becomes part of it, digit by digit."""

    def __init__(self, stream: BinaryIO, *, is_terminal: bool, keeps_text: bool) -> None:
        super().__init__(stream, is_terminal=is_terminal)
        self._keeps_text = keeps_text

    def event(self, event: ServerSentEvent, values: Sequence[Any], t: float) -> None:  # noqa: ARG002
        data = (None if self._keeps_text else as_json(event.data)) or quoted(event.data)
        line = f'{{"t": {t:.3f}, "event": {quoted(event.event)}, "id": {quoted(event.id)}, "data": {data}}}\n'
        self._stream.write(line.encode())
        self._stream.flush()

    def comment(self, text: str, t: float) -> None:
        self._write(f'{{"t": {t:.3f}, "comment": {quoted(text)}}}\n')

    def stats(self, stats: StreamStats, outcome: str | None) -> bool:
        self._write(f"{json.dumps({'stats': {'outcome': outcome, **rounded(stats)}})}\n")
        return True


class Text(Bytes):
    """The text of the reply, by the dialect or by a path into the data, joined as it comes."""

    def __init__(self, stream: BinaryIO, *, is_terminal: bool, path: str) -> None:
        super().__init__(stream, is_terminal=is_terminal)
        self._path = Path(path) if path else None
        self._is_whole = path == "."
        self._half = ""
        self._last = "\n"
        if self._path is None:
            from sse_client.dialects import TextDelta

            self._delta = TextDelta

    def event(self, event: ServerSentEvent, values: Sequence[Any], t: float) -> None:  # noqa: ARG002
        if self._path is None:
            text = "".join(each.text for each in values if isinstance(each, self._delta) and each.choice == 0)
        elif self._is_whole:
            text = event.data
        else:
            try:
                text = self._path.text(event.json())
            except (ValueError, RecursionError):
                return
        self._show(text)

    def comment(self, text: str, t: float) -> None:
        pass  # it would stand in the middle of the text

    def _show(self, text: str) -> None:
        text = self._half + text
        # The other half of an emoji may come with the next event.
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        if text := text.removesuffix(self._half):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            self._write(text)
            self._last = text[-1]

    def close(self) -> None:
        if self._is_terminal and self._last != "\n":
            self._write("\n")
            self._last = "\n"


class Raw(Bytes):
    """The bytes of the body, as they come; they are not made from events."""

    def event(self, event: ServerSentEvent, values: Sequence[Any], t: float) -> None:
        pass

    def comment(self, text: str, t: float) -> None:
        pass

    def piece(self, data: bytes) -> None:
        """Write a piece of the body."""
        self._stream.write(data)
        self._stream.flush()


def rounded(stats: StreamStats) -> dict[str, Any]:
    """Return the numbers by name, with times in milliseconds of precision."""
    numbers = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(stats).items()}
    del numbers["unknown"]
    return numbers


def in_words(stats: StreamStats, outcome: str | None) -> str:
    """Return the numbers as a line for people."""
    events = counted(stats.events, "event")
    parts = [f"{outcome or 'running'}: {events}, {stats.bytes} bytes in {stats.duration:.3f} s"]
    if stats.time_to_headers is not None:
        parts.append(f"headers after {stats.time_to_headers:.3f} s")
    if stats.time_to_first_event is not None:
        parts.append(f"first event after {stats.time_to_first_event:.3f} s")
        parts.append(f"longest gap {stats.longest_gap:.3f} s")
    if stats.attempts > 1:
        parts.append(f"{stats.attempts} attempts")
    return "; ".join(parts)
