"""
Recordings: played in this process, or served to a client under test.

Each connection of a recording is a stream of its own, shown after the one before; the last one decides the exit code.
Time is that of the recording: `Show` waits for it.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from math import isinf
from typing import Any, BinaryIO

import httpx

from sse_client import EventStream, SSEClient, StreamTimeout
from sse_client.testing import Answer, EventServer, Pause, RecordedRequest, replay, scripted_transport

from . import _exits as exits
from ._notes import Notes, response_head
from ._reading import dialect_of, marks_of
from ._show import Show
from ._usage import UsageError

LOOPBACK = ("", "localhost", "127.0.0.1")


def answers_of(options: Namespace, speed: float) -> tuple[Answer, ...]:
    """Return the connections of the recording."""
    if options.target is None:
        raise UsageError("expected a RECORDING")
    try:
        return replay(options.target, speed=speed)
    except OSError as error:
        raise UsageError(f"cannot read {options.target}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def play(options: Namespace, stdout: BinaryIO, notes: Notes) -> int:
    """Show a recording, as it was received."""
    answers = answers_of(options, 1.0)
    dialect = dialect_of(options)
    arguments: dict[str, Any] = {**marks_of(options), "retry": None}
    if dialect is not None:
        arguments["dialect"] = dialect
    show = Show(options, stdout, notes, speed=options.speed or 1.0)

    def returned(response: Any) -> None:
        if options.head:
            show.output.head(response_head(response))

    transport = scripted_transport(*answers)
    last_event_id = ""
    try:
        with (
            httpx.Client(transport=transport, event_hooks={"response": [returned]}) as http,
            SSEClient(http_client=http) as client,
        ):
            get: Callable[..., EventStream[Any, Any]] = client.get
            while True:
                stream = get("http://recording/", last_event_id=last_event_id, **arguments)
                error = show.read(stream)
                last_event_id = stream.last_event_id
                if show.is_enough or len(transport.requests) == len(answers):
                    break
                if error is not None:
                    notes.retrying(error)
        if isinstance(error, StreamTimeout) and error.clock == "read" and _stops_early(answers[-1]):
            notes.say("the recording stops here, before the end of the stream")
            show.finish(stream, None)
            return exits.OTHER
        return show.finish(stream, error)
    finally:
        show.output.close()


def _stops_early(answer: Answer) -> bool:
    last = answer.steps[-1] if answer.steps else None
    return isinstance(last, Pause) and isinf(last.seconds)


def serve(options: Namespace, stdout: BinaryIO, notes: Notes) -> int:  # noqa: ARG001
    """Serve a recording until Ctrl-C: the first request gets the first connection, and so on, then the first again."""
    answers = answers_of(options, options.speed or 1.0)
    host, _, port = options.serve.rpartition(":")
    if host not in LOOPBACK or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"--serve: expected :PORT, on this machine only, got {options.serve!r}")
    count = 0

    def next_answer(request: RecordedRequest) -> Answer:
        nonlocal count
        number, count = count % len(answers), count + 1
        path = request.target.partition("?")[0]
        notes.say(f"{request.method} {path}: connection {number + 1} of {len(answers)}")
        return answers[number]

    try:
        server = EventServer(next_answer, port=int(port)).start()
    except OSError as error:
        notes.say(f"cannot listen on port {port}: {error.strerror}")
        return exits.OTHER
    try:
        notes.say(f"serving {options.target} at {server.url}; Ctrl-C stops")
        while True:
            time.sleep(3600.0)
    finally:
        server.close()
