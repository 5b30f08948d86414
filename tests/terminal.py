"""A pseudo-terminal on which the command runs, and the screen that its output draws."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import Self

from command import COMMAND, start

PATIENCE = 30.0  # seconds, for a busy machine

CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class PseudoTerminal:
    """Runs the command with its three streams on a terminal of so many columns."""

    def __init__(
        self, *arguments: str, columns: int = 80, env: dict[str, str] | None = None, command: list[str] = COMMAND
    ) -> None:
        self.output = b""
        """All that the terminal got so far."""
        self._ours, theirs = pty.openpty()
        self._set(columns)
        unset = dict.fromkeys(("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"))
        environment = {**unset, "TERM": "xterm-256color", **(env or {})}
        self.process: subprocess.Popen[bytes] = start(
            *arguments,
            command=command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def read_until(self, pattern: bytes, *, after: int = 0) -> None:
        """Read until the output matches, from a position on."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.output[after:]):
            assert time.monotonic() < deadline, self.output
            assert self._read(), self.output

    def finish(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._ours, text.encode())

    def resize(self, columns: int) -> None:
        """Change the size of the window."""
        self._set(columns)
        self.process.send_signal(signal.SIGWINCH)

    def _set(self, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], PATIENCE)[0]:
            return False
        try:
            piece = os.read(self._ours, 65_536)
        except OSError:  # Linux: the other side is closed
            return False
        self.output += piece
        return bool(piece)


def screen(output: bytes, columns: int = 80) -> list[str]:
    """Return the lines that stand on a terminal after the output, without its colours. Unknown controls are refused."""
    lines = [""]
    row = column = 0
    for match in CONTROL.finditer(output.decode()):
        argument, command, control, text = match.groups()
        if control == "\r":
            column = 0
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text is not None:
            for character in text:
                if column == columns:
                    row, column = row + 1, 0
                    lines += [""] * (row + 1 - len(lines))
                lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
                column += 1
        elif command == "K" and argument == "2":
            lines[row] = ""
        elif command == "A":
            row = max(0, row - int(argument or 1))
        elif command not in "mhl":
            raise ValueError(f"unknown control {match[0]!r}")
    return [line.rstrip() for line in lines]
