"""
What a terminal shows with rich, if it is installed: colours, and a status line while the command waits.

`NO_COLOR` and the size of the window are the business of rich. It never sees markup: everything is given to it as text.
Its modules are found by name, so that the types here do not depend on whether it is installed.
"""

import io
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, BinaryIO

from ._notes import Notes

# A status line that appeared at once would flicker in a fast stream.
SECONDS_UNTIL_STATUS = 0.5

# How often it is drawn. While times are measured it is drawn less often: drawing takes a moment each time.
OFTEN, SELDOM = 12.5, 4.0  # times a second


def has_rich() -> bool:
    """Whether rich is installed."""
    try:
        import_module("rich.console")
    except ImportError:
        return False
    return True


def console_on(stream: BinaryIO) -> tuple[Any, io.TextIOWrapper]:
    """
    Return a console of rich, and the text file through which it writes.

    Detach the file at the end: otherwise the stream would be closed with it.
    """
    file = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    return import_module("rich.console").Console(file=file, highlight=False, markup=False, emoji=False), file


def text_of(text: str) -> Any:
    """Return the text as rich has it."""
    return import_module("rich.text").Text(text)


class StatusLine:
    """The last line of a terminal, drawn again and again. It makes room for notes on the same terminal."""

    def __init__(self, stream: BinaryIO, console: Any, notes: Notes, text: Callable[[], str], rate: float) -> None:
        self._status: Any = None
        # FORCE_COLOR makes a pipe a terminal for rich, but not for a status line.
        if stream.isatty() and console.is_terminal and not console.is_dumb_terminal:
            self._status = console.status(Redrawn(text), refresh_per_second=rate)
            self._status.start()
            notes.around = self._around

    def _around(self, write: Callable[[], None]) -> None:
        if self._status is None:
            write()
            return
        self._status.stop()
        write()
        self._status.start()

    def close(self) -> None:
        """Erase the line."""
        if self._status is not None:
            self._status.stop()
            self._status = None


class Redrawn:
    """A text that rich asks for whenever it draws."""

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text
        self._line = partial(import_module("rich.text").Text, no_wrap=True, overflow="ellipsis")

    def __rich__(self) -> Any:
        return self._line(self._text())


@contextmanager
def reading(stream: BinaryIO, notes: Notes) -> Generator[None, None, None]:
    """Show on a terminal how long it has been reading."""
    if not (stream.isatty() and has_rich()):
        yield
        return
    console, file = console_on(stream)
    began_at = console.get_time()

    def text() -> str:
        seconds = console.get_time() - began_at
        return f"reading for {seconds:.1f} s" if seconds >= SECONDS_UNTIL_STATUS else ""

    status = StatusLine(stream, console, notes, text, SELDOM)
    try:
        yield
    finally:
        status.close()
        file.detach()
