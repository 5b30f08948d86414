"""Runs the command `sse-client`: in this process, for tables, or as a process of its own."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import sse_client_cli

# Not the folder of the module: the tests of an sdist run the command from a wheel.
ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "sse_client_cli"]

# Without rich, as most installations are.
WITHOUT_RICH = "import sys; sys.modules['rich.console'] = None; import sse_client_cli; sys.exit(sse_client_cli.main())"


class Done(NamedTuple):
    """The end of a run: its exit code, and the output."""

    code: int
    out: bytes
    err: str


class Terminal(io.BytesIO):
    """An output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str, stdin: bytes = b"", is_terminal: bool = False) -> Done:
    """Run the command in this process; its output is a pipe, or a terminal."""
    out, err = Terminal() if is_terminal else io.BytesIO(), io.StringIO()
    code = sse_client_cli.main(arguments, out, err, io.BytesIO(stdin))
    return Done(code, out.getvalue(), err.getvalue())


def start(*arguments: str, command: list[str] = COMMAND, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command as a process. In `env`, a variable that is `None` is left out."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    given = {**os.environ, "PYTHONPATH": path, **options.pop("env", {})}
    environment = {name: value for name, value in given.items() if value is not None}
    pipes = {name: options.pop(name, subprocess.PIPE) for name in ("stdin", "stdout", "stderr")}
    return subprocess.Popen([*command, *arguments], env=environment, **pipes, **options)
