"""
The pictures of the command in the docs: `python docs/cli_pictures.py [FOLDER]`, by default `docs/pictures`.

This script draws nothing itself. It runs the command on a pseudo-terminal, against a scripted server, and rich writes
what the terminal shows as SVG; the report is the one of `doctor --svg`. Text stays text, and no font is loaded.
"""

import argparse
import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from sse_client.testing import Answer, EventServer, Pause

HERE = Path(__file__).parent
PORT = 8000
ROWS, COLUMNS = 50, 118

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# Black, red, green, yellow, blue, magenta, cyan and white, on the dark paper of the reports.
COLOURS = ("484f58", "ff7b72", "56d364", "e3b341", "79b8ff", "bc8cff", "56d4dd", "b1bac4")
PAPER, INK = "0d1117", "e6edf3"

# The escapes of a terminal: colours are kept, the line that is drawn again is erased, the rest is not needed.
ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r\n|\r|\n")

TOKENS = re.findall(r" ?[^ ]+", "A server-sent event is a few lines of text, and a blank line ends it.")


def tokens(pause: float) -> Iterator[str | Pause]:
    """Yield the steps of a reply, as a model writes it."""
    for number, token in enumerate(TOKENS, start=1):
        yield f'event: token\nid: {number}\ndata: {{"type": "token", "content": "{token}"}}\n\n'
        yield Pause(pause)
    usage = f'{{"output_tokens": {len(TOKENS)}}}'
    yield f'event: done\nid: {len(TOKENS) + 1}\ndata: {{"type": "done", "usage": {usage}}}\n\n'


STREAM = Answer(Pause(0.31), *tokens(0.06), headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
# As it comes through an nginx that holds back the response until its end.
HELD_BACK = Answer(
    "".join(step for step in tokens(0.0) if isinstance(step, str)),
    delay=2.3,
    headers={"Content-Type": "text/event-stream", "Server": "nginx/1.26.3"},
)


def shown_on_a_terminal(command: list[str], port: int) -> str:
    """Run the command on a pseudo-terminal; return everything that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(HERE.parent)}
    arguments = [argument.replace(f":{PORT}", f":{port}") for argument in command[1:]]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "sse_client_cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    output = b""
    try:
        while piece := os.read(ours, 65_536):
            output += piece
    except OSError:  # Linux: the other side is closed
        pass
    finally:
        os.close(ours)
        process.wait(30)
    return output.decode()


def lines_of(output: str) -> list[str]:
    """Return the lines that are left on the screen, with their colours."""
    lines = [""]
    row = at = 0
    for match in ESCAPE.finditer(output):
        lines[row] += output[at : match.start()]
        at = match.end()
        numbers, kind = match.groups()
        if kind == "m":
            lines[row] += match[0]
        elif kind == "K":
            lines[row] = ""
        elif kind == "A":
            row = max(0, row - int(numbers or 1))
        elif match[0].endswith("\n"):
            row += 1
            if row == len(lines):
                lines.append("")
    lines[row] += output[at:]
    while lines and not Text.from_ansi(lines[-1]).plain.strip():
        lines.pop()
    return lines


def as_svg(command: list[str], lines: list[str]) -> str:
    """Return the lines as a picture of a terminal, with the command as its title."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=False)
    paper, ink, *colours = ((*bytes.fromhex(colour),) for colour in (PAPER, INK, *COLOURS))
    theme = TerminalTheme(paper, ink, colours)
    # Without the fonts that it would load from elsewhere.
    template = re.sub(r"@font-face \{\{.*?\}\}\s*|<!--.*?-->\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = template.replace("Fira Code, monospace", FONT).replace("arial", "system-ui, sans-serif")
    name = command[1]
    text = console.export_svg(title=shlex.join(command), theme=theme, code_format=template, unique_id=name)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description="Make the pictures of the command.")
    arguments.add_argument(
        "folder", nargs="?", type=Path, default=HERE / "pictures", help="the folder for the SVG files"
    )
    arguments.add_argument("--port", type=int, default=PORT, help="the port of the server; 0 is a free one")
    options = arguments.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chat = [f":{PORT}/chat", "--json", '{"message": "hi"}']
    with EventServer(STREAM, HELD_BACK, port=options.port) as server:
        post = ["sse-client", "post", *chat, "--until", "type=done"]
        (options.folder / "post.svg").write_text(as_svg(post, lines_of(shown_on_a_terminal(post, server.port))))
        doctor = ["sse-client", "doctor", *chat, "--until", "type=done"]
        report = ["--svg", str(options.folder / "report.svg")]
        lines = lines_of(shown_on_a_terminal([*doctor, *report], server.port))
        (options.folder / "doctor.svg").write_text(as_svg(doctor, lines))


if __name__ == "__main__":
    main()
