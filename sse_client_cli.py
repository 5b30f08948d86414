"""
The command `sse-client`: its arguments and its help.

It stands beside the package, not in it: importing anything in `sse_client` imports all of it, with httpx and pydantic,
which takes ten times as long as everything here. So `--help` and a mistake in the arguments cost next to nothing. The
commands themselves are in `sse_client.cli`, which is imported after the arguments are parsed. For the same reason this
module imports neither `typing` nor `dataclasses`, and its help is text and not made from the options; a test compares
the two.
"""

import argparse
import gc
import io
import os
import sys
from collections.abc import Callable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, NoReturn, TextIO

PROGRAM = "sse-client"

# As a shell reports them: a process that Ctrl-C ended, and one that wrote to a pipe without a reader.
INTERRUPTED = 130
CLOSED_PIPE = 141

# How JSON begins, and `@FILE`; a URL does not. The empty text begins with nothing.
BODY_BEGINS = frozenset('{["@0123456789')

Option = tuple[tuple[str, ...], "dict[str, Any]"]


class UsageError(Exception):
    """The arguments cannot be understood. The text never holds the value of one that may be a secret."""


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError` and writes nothing."""

    def error(self, message: str) -> "NoReturn":
        raise UsageError(message)


def seconds(text: str) -> float:
    """Read a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text!r}")
    return value


def speed(text: str) -> float:
    """Read how many times faster to play; `inf` does not wait."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, or inf, got {text!r}")
    return value


def count(text: str) -> int:
    """Read a number of events or of retries."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(text)


def option(*names: str, **settings: "Any") -> Option:
    return names, settings


BODY = [
    option("--json"),
    option("-d", dest="content"),
    option("-F", dest="form", action="append"),
]
REQUEST = [
    option("-H", dest="headers", action="append"),
    option("--bearer-env"),
    option("-u", dest="user"),
    option("--password-env"),
    option("-q", dest="query", action="append"),
    option("-k", dest="insecure", action="store_true"),
    option("--cert"),
    option("--proxy"),
    option("--http2", action="store_true"),
    option("--last-event-id"),
    option("--from-curl"),
]
CLOCKS = [
    option("--timeout", type=seconds),
    option("--first-event", type=seconds),
    option("--idle", type=seconds),
    option("--retries", type=count),
]
REPEATS = [
    option("--resume", action="store_true"),
    option("--idempotency-key"),
    option("--retry-ambiguous", action="store_true"),
]
READING = [
    option("--dialect"),
    option("--until", action="append"),
    option("--error", action="append"),
    option("--ping", action="append"),
    option("--event", action="append"),
    option("--count", type=count),
    option("--strict", action="store_true"),
]
OUTPUT = [
    option("--pretty", dest="mode", action="append_const", const="pretty"),
    option("--jsonl", dest="mode", action="append_const", const="jsonl"),
    option("--data", dest="mode", action="append_const", const="data"),
    option("--text", nargs="?", const=""),
    option("--raw", dest="mode", action="append_const", const="raw"),
    option("--raw-data", action="store_true"),
    option("--comments", action="store_true"),
    option("--stats", action="store_true"),
    option("--record"),
]
HEADS = [
    option("-i", dest="head", action="store_true"),
    option("-v", dest="verbose", action="store_true"),
]
DIAGNOSIS = [
    # Alone it is the report; with a value it is the body of the request.
    option("--json", action="append"),
    option("-d", dest="content"),
    option("-F", dest="form", action="append"),
    *REQUEST,
    option("--dialect"),
    option("--until", action="append"),
    option("--error", action="append"),
    option("--ping", action="append"),
    option("--count", type=count),
    option("--timeout", type=seconds),
    option("--wait", type=seconds),
    option("--origin"),
    option("--probe", action="store_true"),
    option("--resume-check", action="store_true"),
    option("--compare"),
    option("--strict", action="store_true"),
    option("--html"),
    option("--svg"),
    option("--with-data", action="store_true"),
    option("--record"),
]
PLAYING = [
    option("--speed", type=speed),
    option("--serve"),
]

BODY_HELP = """\
body      --json J|@FILE|-   -d DATA|@FILE|-   -F K=V   a form; K=@FILE uploads a file
"""
REQUEST_HELP = """\
request   -H 'K: V'   -q K=V   --last-event-id ID   --from-curl 'curl …'|@FILE|-
          --bearer-env NAME   a bearer token from an environment variable
          -u USER   asks for the password, or takes it from --password-env NAME
          -k   accept any certificate   --cert FILE   of the client   --proxy URL   --http2
"""
CLOCKS_HELP = """\
timeouts  --timeout S   in total   --first-event S   --idle S   between events
"""
REPEATS_HELP = """\
          --retries N   by default 0   --resume   after the last event, with Last-Event-ID
          --idempotency-key HEADER or --retry-ambiguous   resend a POST that may have
          reached the server
"""
READING_HELP = """\
reading   --dialect NAME   openai, anthropic, gemini, …; `?` lists all
          --until done | type=done | data:[DONE]   the event that completes the reply
          --error type=error | event:error   --ping NAME   an event to ignore
          --event NAME   only these   --count N   stop after N   --strict   valid data only
"""
OUTPUT_HELP = """\
output    --pretty   on a terminal   --jsonl   in a pipe   --data   alone
          --text [.PATH]   the text, by dialect or path   --raw   the bytes as they arrive
          --raw-data   keep data a string   --comments   show them   --stats   at the end
          --record FILE   for replay and tests
"""
HEADS_HELP = """\
          -i   the head of the response first   -v   both heads on standard error
"""
EXITS_HELP = """\
exit      0 complete   1 anything else   2 usage   3 no connection   4 a 4xx or redirect
          5 a 5xx   6 not an event stream   7 truncated or cut   8 a timeout
          9 an error event   10 invalid data (--strict)   130 Ctrl-C   141 closed pipe
"""

DIAGNOSIS_HELP = """\
reading   --timeout S   stop reading after S, by default 60   --count N   after N events
          --wait S   read for at least S, to see when an idle connection is dropped
          --dialect NAME   judge the reply too: openai, anthropic, …; `?` lists all
          --until, --error, --ping   the events that end it, are errors, are ignored
          --origin O   of the page that reads it, for CORS
requests  exactly one, unless more are asked for; each is announced
          --probe   also without compression, over HTTP/1.1 or 2, and a GET as a POST
          --resume-check   reconnect after an ID in the middle
          --compare URL   the same, with credentials, to the origin behind a proxy
report    --json   without a value: the report as JSON
          --html FILE   --svg FILE   for a ticket; data is shortened unless --with-data
          --record FILE   for doctor, replay and tests   --strict   a WARN fails too
exit      0 healthy   1 a FAIL   2 usage   3 no connection   130 Ctrl-C   141 closed pipe
"""


class Command:
    """A command: its options and its help."""

    def __init__(self, usage: str, summary: str, options: list[Option], about: str, examples: str) -> None:
        self.usage = usage
        self.summary = summary
        self.options = options
        self.about = about
        self.examples = examples

    def help(self, name: str) -> str:
        """Return the help, which fits a screen."""
        called = " ".join(filter(None, (PROGRAM, name, self.usage)))
        return f"usage: {called}\n\n{self.summary}\n\n{self.about}\nexamples\n{self.examples}"


REPLY_HELP = REQUEST_HELP + CLOCKS_HELP + REPEATS_HELP + READING_HELP + OUTPUT_HELP + HEADS_HELP + EXITS_HELP
REPLY = REQUEST + CLOCKS + REPEATS + READING + OUTPUT + HEADS

# By name; without one, a URL is meant.
COMMANDS = {
    "post": Command(
        "URL [options]",
        "Send a POST and show the events of the response. :8000/x is http://localhost:8000/x.",
        BODY + REPLY,
        BODY_HELP + REPLY_HELP,
        """\
  sse-client post :8000/chat --json '{"message": "hi"}'
  sse-client post :8000/chat --json '{"message": "hi"}' --until type=done --text .content
  sse-client post :8000/chat -d @body.json -H 'Content-Type: application/json' | head -1
""",
    ),
    "get": Command(
        "URL [options]",
        "Send a GET and show the events of the response. :8000/x is http://localhost:8000/x.",
        REPLY,
        REPLY_HELP,
        """\
  sse-client get :8000/events
  sse-client get :8000/events -q topic=news --count 2 --idle 60
  sse-client get :8000/events --record events.jsonl --stats
""",
    ),
    "follow": Command(
        "URL [options]",
        "Follow a feed as a browser does: reconnect, with the last event ID, until it ends with a 204.",
        REQUEST + CLOCKS + READING + OUTPUT + HEADS,
        REQUEST_HELP
        + CLOCKS_HELP
        + "          --retries N   in a row; without it any number\n"
        + READING_HELP
        + OUTPUT_HELP
        + HEADS_HELP
        + EXITS_HELP,
        """\
  sse-client follow :8000/events
  sse-client follow :8000/events --last-event-id 41 --event news
  sse-client follow :8000/events --until bye --data
""",
    ),
    "doctor": Command(
        "URL|RECORDING [options]",
        "Say why a stream does not stream: findings, each with its evidence and a cure, then the times.",
        DIAGNOSIS,
        BODY_HELP + REQUEST_HELP + DIAGNOSIS_HELP,
        """\
  sse-client doctor :8000/chat --json '{"message": "hi"}'
  sse-client doctor :8000/events --count 2 --json
  sse-client doctor events.jsonl --html report.html
""",
    ),
    "replay": Command(
        "RECORDING [options]",
        "Play a recording at its original speed, or serve it to a client under test.",
        PLAYING + READING + OUTPUT + HEADS[:1],
        """\
playing   --speed N   times faster; inf does not wait
          --serve :8000   on this machine only, one connection for each request
"""
        + READING_HELP
        + OUTPUT_HELP
        + "          -i   the head of the response first\n"
        + EXITS_HELP,
        """\
  sse-client replay events.jsonl
  sse-client replay events.jsonl --speed inf --data
  sse-client replay events.jsonl --speed 10 --serve :8000
""",
    ),
    "parse": Command(
        "[FILE|-] [options]",
        "Read the raw bytes of a stream, from a file or from standard input.",
        READING + OUTPUT,
        READING_HELP + OUTPUT_HELP + EXITS_HELP,
        """\
  curl -sN http://localhost:8000/events | sse-client parse
  sse-client parse body.txt --data
  sse-client parse body.txt --until type=done --record body.jsonl
""",
    ),
}

BARE = Command(
    "URL [options]",
    "Send a GET, or a POST if there is a body, and show the events of the response.",
    BODY + REPLY,
    BODY_HELP + REPLY_HELP,
    "",
)

HELP = """\
usage: sse-client COMMAND|URL [options]

Show an event stream, record it, and report how it ended.

  post URL           send a POST, show the events of the response
  get URL            send a GET, show the events of the response
  follow URL         follow a feed: reconnect as a browser does
  doctor URL         say why it does not stream; also of a RECORDING
  replay RECORDING   play a recording, or serve it
  parse [FILE|-]     read the raw bytes of a stream

A bare URL is a GET, or a POST if there is a body; :8000/x is http://localhost:8000/x.
A terminal gets --pretty, a pipe --jsonl. Notes and errors go to standard error.
sse-client COMMAND --help shows the options; sse-client --version the version.

examples
  sse-client :8000/events
  sse-client :8000/chat --json '{"message": "hi"}' --data
  sse-client post :8000/chat --json '{"message": "hi"}' --text .content
"""


def main(
    argv: Sequence[str] | None = None,
    stdout: "BinaryIO | None" = None,
    stderr: "TextIO | None" = None,
    stdin: "BinaryIO | None" = None,
) -> int:
    """Run the command; return its exit code. The arguments and streams are by default those of the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # A stream that was closed before the process began is `None`.
    output = (sys.stdout.buffer if sys.stdout else io.BytesIO()) if stdout is None else stdout
    errors = (sys.stderr or io.StringIO()) if stderr is None else stderr
    try:
        return _run(arguments, output, errors, stdin or (sys.stdin.buffer if sys.stdin else io.BytesIO()))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return CLOSED_PIPE
    finally:
        if stdout is None:
            _let_go(output)


def _run(arguments: list[str], stdout: "BinaryIO", stderr: "TextIO", stdin: "BinaryIO") -> int:
    name = arguments[0] if arguments else ""
    try:
        if not arguments or name in ("-h", "--help", "help"):
            return _write(stdout, HELP)
        if name == "--version":
            return _write(stdout, f"{PROGRAM} {_version()}\n")
        if name in COMMANDS:
            command, rest = COMMANDS[name], arguments[1:]
        else:
            command, rest = BARE, arguments
            if name.isalpha() and name != "localhost":
                raise UsageError(f"unknown command {name!r}; expected {', '.join(COMMANDS)}, or a URL")
            name = ""
        if "-h" in rest or "--help" in rest:
            return _write(stdout, command.help(name) if name else HELP)
        options = parse(command, rest)
    except UsageError as error:
        where = f"{PROGRAM} {name}" if name in COMMANDS else PROGRAM
        stderr.write(f"{where}: {error}\nTry: {where} --help\n")
        return 2
    return _imported()(name, options, stdout, stderr, stdin)


def _imported() -> "Callable[[str, argparse.Namespace, BinaryIO, TextIO, BinaryIO], int]":
    """Import the commands. The garbage collector would look through all of it once more, in the middle of a stream."""
    if "sse_client.cli" not in sys.modules:
        from importlib import import_module

        gc.disable()
        try:
            import_module("sse_client.cli")
        finally:
            gc.freeze()
            gc.enable()
    from sse_client.cli import run

    return run


def parse(command: Command, arguments: list[str]) -> argparse.Namespace:
    """
    Parse the arguments of a command. Those without a name, at most one, are `target`.

    argparse does not see them: it would take `post --json '{}' URL` for a call without a URL.
    """
    parser = Parser(PROGRAM, add_help=False, allow_abbrev=False, argument_default=None)
    for names, settings in command.options:
        parser.add_argument(*names, **settings)
    join = _with_bodies if command.options is DIAGNOSIS else _with_paths
    options, rest = parser.parse_known_args(join(arguments))
    for each in rest:
        if each.startswith("-") and each not in ("-", "--"):
            # Without its value, which may be a secret, also if it is joined to a short option or quoted with its name.
            shown = each.partition("=")[0].split()[0] if each.startswith("--") else each[:2]
            raise UsageError(f"unknown option {shown}")
    targets = [each for each in rest if each != "--"]
    if len(targets) > 1:
        raise UsageError(
            f"expected one argument besides the options, got {len(targets)}: quote arguments that contain spaces"
        )
    modes = {*(getattr(options, "mode", None) or ()), *(() if getattr(options, "text", None) is None else ("text",))}
    if len(modes) > 1:
        raise UsageError(f"expected one output, got {' and '.join(f'--{mode}' for mode in sorted(modes))}")
    options.mode = modes.pop() if modes else None
    options.target = targets[0] if targets else None
    return options


def _with_paths(arguments: list[str]) -> "list[str]":
    """Join `--text` to a path that follows, so that a URL after it is not taken for one."""
    joined: list[str] = []
    for each in arguments:
        if joined and joined[-1] == "--text" and each.startswith(".") and not each.startswith(("./", "../")):
            joined[-1] = f"--text={each}"
        else:
            joined.append(each)
    return ["--text=" if each == "--text" else each for each in joined]


def _with_bodies(arguments: list[str]) -> "list[str]":
    """Join `--json` to a body that follows: JSON, `@FILE` or `-`. Without one it asks for a report, and is empty."""
    joined: list[str] = []
    for each in arguments:
        if joined and joined[-1] == "--json=" and (each == "-" or each[:1] in BODY_BEGINS):
            joined[-1] += each
        else:
            joined.append("--json=" if each == "--json" else each)
    return joined


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sse-client-sdk")
    except PackageNotFoundError:  # a checkout that was not installed
        from sse_client import __version__

        return __version__


def _write(stdout: "BinaryIO", text: str) -> int:
    stdout.write(text.encode())
    stdout.flush()
    return 0


def _let_go(stdout: "BinaryIO") -> None:
    """Flush what is left. If the reader of the pipe is gone, nothing else is written, also not by Python's own end."""
    try:
        stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
