"""The commands, by name."""

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import httpx

from sse_client import EventStream, SSEClient, iter_events

from . import _exits as exits
from ._notes import Notes, request_head, response_head
from ._reading import clocks_of, dialect_of, marks_of, repeats_of
from ._request import call_of, http_client
from ._show import Show
from ._usage import UsageError

# Pieces of a file; a pipe gives less as soon as it has something.
PIECE = 65_536


def run(name: str, options: Namespace, stdout: BinaryIO, stderr: TextIO, stdin: BinaryIO) -> int:
    """
    Carry out a command; return its exit code. Without a name, it is a request with or without a body.

    Raises `KeyboardInterrupt`, and `BrokenPipeError` if the reader of standard output is gone.
    """
    notes = Notes(stderr)
    try:
        return COMMANDS[name](options, stdout, notes, stdin)
    except UsageError as error:
        notes.say(str(error))
        return exits.USAGE
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError) as error:  # a full disk, a cassette that cannot be written
        notes.say(str(error) or type(error).__name__)
        return exits.OTHER


def request(
    options: Namespace,
    stdout: BinaryIO,
    notes: Notes,
    stdin: BinaryIO,
    *,
    method: str | None = None,
    is_feed: bool = False,
) -> int:
    """Send a request and show the events of the response. Without a method, a body makes it a POST."""
    call = call_of(options, method, stdin)
    dialect = dialect_of(options, call.arguments.get("content", b""))
    arguments = {**call.arguments, **marks_of(options), **repeats_of(options, is_feed=is_feed)}
    if dialect is not None:
        arguments["dialect"] = dialect
    show = Show(options, stdout, notes, redact=call.given)

    def sending(request: Any) -> None:
        if options.verbose:
            notes.write("\n".join(f"> {line}" for line in request_head(request, call.given)))

    def returned(response: Any) -> None:
        lines = response_head(response)
        if options.head:
            show.output.head(lines)
        if options.verbose and not options.head:
            notes.write("\n".join(f"< {line}" for line in lines))

    try:
        with http_client(options, sending, returned) as http:
            key = getattr(options, "idempotency_key", None)
            with SSEClient(http_client=http, timeout=clocks_of(options), idempotency_key_header=key) as client:
                try:
                    make: Any = client.subscribe if is_feed else partial(client.stream, call.method)
                    stream: EventStream[Any, Any] = make(call.url, **arguments)
                except (ValueError, TypeError, httpx.InvalidURL) as error:
                    raise UsageError(str(error)) from None
                try:
                    return show.finish(stream, show.read(stream))
                except ValueError as error:
                    if stream.stats.time_to_headers is not None:
                        raise
                    # Of httpx, or of the lookup of the host's name: their texts have no values in them.
                    raise UsageError(f"the request cannot be sent: {error}") from None
    finally:
        show.output.close()


def parse(options: Namespace, stdout: BinaryIO, notes: Notes, stdin: BinaryIO) -> int:
    """Read the bytes of a stream from a file, or from standard input."""
    with ExitStack() as stack:
        file = stdin
        if options.target not in (None, "-"):
            try:
                file = stack.enter_context(Path(options.target).open("rb"))
            except OSError as error:
                raise UsageError(f"cannot read {options.target}: {error.strerror}") from error
        if options.record is not None and _is_file(file, options.record):
            raise UsageError(f"--record: {options.record} is being read")  # it would grow for ever
        response = httpx.Response(
            200,
            headers={"Content-Type": "text/event-stream"},
            content=_pieces(file),
            request=httpx.Request("GET", "file:///"),
        )
        arguments: dict[str, Any] = marks_of(options)
        dialect = dialect_of(options)
        if dialect is not None:
            arguments["dialect"] = dialect
        show = Show(options, stdout, notes)
        stack.callback(show.output.close)
        events: Callable[..., EventStream[Any, Any]] = iter_events
        stream = events(response, **arguments)
        return show.finish(stream, show.read(stream))


def _is_file(file: Any, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), Path(path).stat())
    except (OSError, ValueError):  # it is not there, or standard input is no file
        return False


def _pieces(file: Any) -> Iterator[bytes]:
    """Yield what a file has, as it comes."""
    read = getattr(file, "read1", file.read)
    while piece := read(PIECE):
        yield piece


def replay(options: Namespace, stdout: BinaryIO, notes: Notes, stdin: BinaryIO) -> int:  # noqa: ARG001
    """Play a recording, or serve it."""
    from ._replay import play, serve

    return (play if options.serve is None else serve)(options, stdout, notes)


def doctor(options: Namespace, stdout: BinaryIO, notes: Notes, stdin: BinaryIO) -> int:
    """Say why a stream does not stream."""
    from .doctor import doctor

    return doctor(options, stdout, notes, stdin)


COMMANDS: dict[str, Callable[[Namespace, BinaryIO, Notes, BinaryIO], int]] = {
    "": request,
    "post": partial(request, method="POST"),
    "get": partial(request, method="GET"),
    "follow": partial(request, method="GET", is_feed=True),
    "doctor": doctor,
    "replay": replay,
    "parse": parse,
}
