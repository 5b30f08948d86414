"""
The output for a terminal: `+0.412 token #3 {"t": "Hel"}`, and a status line while it waits.

Colours and the status line are those of rich, if it is installed. Without it the lines are the same, in plain text.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, BinaryIO

from sse_client import ServerSentEvent, StreamStats

from ._notes import Notes
from ._output import Bytes, rounded
from ._terminal import OFTEN, SECONDS_UNTIL_STATUS, StatusLine, console_on, has_rich
from ._text import as_json, counted, in_one_line, visible


def pretty(stream: BinaryIO, notes: Notes, *, keeps_text: bool) -> "Plain":
    """Return the output, coloured if rich is installed."""
    return Rich(stream, notes, keeps_text=keeps_text) if has_rich() else Plain(stream, keeps_text=keeps_text)


class Plain(Bytes):
    """Lines without colours."""

    def __init__(self, stream: BinaryIO, *, keeps_text: bool) -> None:
        super().__init__(stream, is_terminal=True)
        self._keeps_text = keeps_text

    def event(self, event: ServerSentEvent, values: Sequence[Any], t: float) -> None:  # noqa: ARG002
        text = None if self._keeps_text else as_json(event.data)
        self._line(
            t, in_one_line(event.event), in_one_line(event.id), in_one_line(event.data) if text is None else text
        )

    def comment(self, text: str, t: float) -> None:
        self._line(t, f":{in_one_line(text)}", "", "")

    def _line(self, t: float, name: str, id: str, data: str) -> None:
        self._write(" ".join(filter(None, (f"+{t:.3f}", name, id and f"#{id}", data))) + "\n")


class Rich(Plain):
    """The same lines in colour, and a status line on a terminal."""

    def __init__(self, stream: BinaryIO, notes: Notes, *, keeps_text: bool) -> None:
        super().__init__(stream, keeps_text=keeps_text)
        self._text: Any = import_module("rich.text").Text
        self._highlight: Any = import_module("rich.highlighter").JSONHighlighter().highlight
        self._console, self._file = console_on(stream)
        self._count = 0
        self._is_closed = False
        waiting = Waiting(self._console.get_time, lambda: self._count)
        self._status = StatusLine(stream, self._console, notes, waiting, OFTEN)

    def _line(self, t: float, name: str, id: str, data: str) -> None:
        self._count += 1
        line = self._text.assemble((f"+{t:.3f}", "dim"), " ", (name, "bold cyan"))
        if id:
            line.append(f" #{id}", "magenta")
        if data:
            value = self._text(f" {data}")
            self._highlight(value)
            line.append_text(value)
        self._print(line)

    def _write(self, text: str) -> None:
        self._print(self._text(visible(text.removesuffix("\n"))))

    def _print(self, text: Any) -> None:
        self._console.print(text, soft_wrap=True)
        self._file.flush()

    def stats(self, stats: StreamStats, outcome: str | None) -> bool:
        table: Any = import_module("rich.table").Table(title=outcome, show_header=False)
        for name, value in rounded(stats).items():
            table.add_row(name.replace("_", " "), "" if value is None else str(value))
        self._console.print(table)
        return True

    def close(self) -> None:
        self._status.close()
        if not self._is_closed:
            self._is_closed = True
            self._file.detach()  # flushes; without it the stream below would be closed with the wrapper


class Waiting:
    """The text of the status line: how long ago the last event came."""

    def __init__(self, now: Callable[[], float], count: Callable[[], int]) -> None:
        self._now = now
        self._count = count
        self._seen = 0
        self._since = now()

    def __call__(self) -> str:
        if self._seen != self._count():
            self._seen = self._count()
            self._since = self._now()
        waited = self._now() - self._since
        return "" if waited < SECONDS_UNTIL_STATUS else f"{counted(self._seen, 'event')}, waiting for {waited:.1f} s"
