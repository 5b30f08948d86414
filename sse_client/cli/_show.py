"""Reads one stream to its end, and shows it. The exit code is decided here, from the error that the stream raised."""

import os
import select
import stat
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

from sse_client import DecodeError, EventStream, Handlers, ServerSentEvent, SSEError

from . import _exits as exits
from ._notes import Notes
from ._output import Data, JSONLines, Output, Raw, Text, in_words
from ._pretty import pretty
from ._reading import Paired, is_done
from ._text import check_json
from ._usage import UsageError


class Enough(Exception):
    """As many events were shown as `--count` allows."""


class Unwritable(Exception):
    """A piece could not be written. The `OSError` itself would be taken for one of the connection."""


def output_of(options: Namespace, stdout: BinaryIO, notes: Notes) -> Output:
    """Return the output that the options name; by default a terminal gets `--pretty` and a pipe `--jsonl`."""
    is_terminal = stdout.isatty()
    match options.mode or ("pretty" if is_terminal else "jsonl"):
        case "pretty":
            return pretty(stdout, notes, keeps_text=options.raw_data)
        case "data":
            return Data(stdout, is_terminal=is_terminal)
        case "raw":
            return Raw(stdout, is_terminal=is_terminal)
        case "text":
            if not options.text and options.dialect is None:
                raise UsageError("--text needs --dialect, or a path: --text .choices[0].delta.content")
            try:
                return Text(stdout, is_terminal=is_terminal, path=options.text)
            except ValueError as error:
                raise UsageError(f"--text: {error}") from error
        case _:
            return JSONLines(stdout, is_terminal=is_terminal, keeps_text=options.raw_data)


class Show:
    """
    Shows streams, one after the other, by the options of one command.

    `speed` is for a recording, whose time is virtual: it is waited for here. `redact` names request headers whose
    values are not recorded.
    """

    def __init__(
        self,
        options: Namespace,
        stdout: BinaryIO,
        notes: Notes,
        *,
        speed: float | None = None,
        redact: Collection[str] = (),
    ) -> None:
        self.output = output_of(options, stdout, notes)
        self._options = options
        self._stdout = stdout
        self._notes = notes
        self._speed = speed
        self._redact = redact
        self._left: int | None = options.count
        self.is_enough = options.count == 0
        """Whether as many events were shown as `--count` allows."""
        self._began_at = time.monotonic()
        self._offset = 0.0  # of earlier connections of a recording

    def read(self, stream: EventStream[Any, Any]) -> SSEError | None:
        """Read a stream to its end; return the error that it ended with."""
        on = Handlers()
        wanted = frozenset(self._options.event or ())

        def show(value: Any) -> None:
            event, values = (value, ()) if isinstance(value, ServerSentEvent) else (value.event, value.values)
            if isinstance(value, Paired) and is_done(event):
                return  # it ends the stream, and is not an event of it
            if self._options.strict and value is event:
                _check(event)
            if wanted and event.event not in wanted:
                return
            self.output.event(event, values, self._time(stream))
            if self._left is not None:
                self._left -= 1
                if self._left <= 0:
                    raise Enough

        if not isinstance(self.output, Raw) or self._left is not None or self._options.strict:
            on.event(show)
        if self._options.comments:

            @on.comment
            def comment(text: str) -> None:
                self.output.comment(text, self._time(stream))

        on.retry(self._notes.retrying)
        self._record(stream)
        watcher = PipeWatcher(self._stdout, stream.close)
        try:
            if self.is_enough:
                return None
            stream.dispatch(on)
            watcher.check()
        except Enough:
            self.is_enough = True
        except Unwritable as error:
            raise error.__cause__ or error from None
        except SSEError as error:
            watcher.check()
            return error
        finally:
            watcher.stop()
            self._offset += stream.stats.duration
        return None

    def finish(self, stream: EventStream[Any, Any], error: SSEError | None) -> int:
        """Show the numbers if they were asked for, and the error; return the exit code."""
        if self._options.stats and not self.output.stats(stream.stats, stream.outcome):
            self._notes.say(in_words(stream.stats, stream.outcome))
        self.output.close()
        if error is None:
            return exits.COMPLETE
        self._notes.error(error)
        return exits.code_of(error)

    def _record(self, stream: EventStream[Any, Any]) -> None:
        """Keep the stream in a file, and write its bytes, if that was asked for."""
        if self._options.record is None and not isinstance(self.output, Raw):
            return
        from sse_client.testing import record

        if self._options.record is not None:
            try:
                record(stream, self._options.record, redact=self._redact)
            except OSError as error:
                raise UsageError(f"--record: cannot write {self._options.record}: {error.strerror}") from error
        if isinstance(self.output, Raw):
            record(stream, RawPieces(self.output, partial(self._time, stream)))

    def _time(self, stream: EventStream[Any, Any]) -> float:
        """Return the seconds since the headers, by the stream's own clock; wait until a recording is there."""
        stats = stream.stats
        t = self._offset + stats.duration - (stats.time_to_headers or 0.0)
        if self._speed is not None:
            time.sleep(max(0.0, self._began_at + t / self._speed - time.monotonic()))
        return t


class RawPieces:
    """A `Recorder` that writes the pieces of the body."""

    def __init__(self, output: Raw, wait: Callable[[], object]) -> None:
        self._output = output
        self._wait = wait

    def begin(self, now: float) -> None:
        pass

    def opened(self, response: Any, requested_at: float, now: float) -> None:
        pass

    def received(self, data: bytes, now: float) -> None:  # noqa: ARG002
        self._wait()
        try:
            self._output.piece(data)
        except OSError as error:
            raise Unwritable from error

    def ended(self, error: Exception | None, now: float) -> None:
        pass


def _check(event: ServerSentEvent) -> None:
    """Raise `DecodeError` if the data is not JSON."""
    try:
        check_json(event.data)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the data of a {event.event!r} event is not JSON", event=event) from error


class PipeWatcher:
    """
    Closes the stream when the reader of the pipe is gone.

    Writing would tell so too, but only with the next event, and a server may be silent for minutes. The thread waits
    without a timeout, and costs nothing.
    """

    def __init__(self, stdout: BinaryIO, close: Callable[[], None]) -> None:
        self.is_closed = False
        self._close = close
        self._waker = -1
        try:
            number = stdout.fileno()
            is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode) and hasattr(select, "poll")
        except (OSError, ValueError):
            return
        if is_pipe:
            wake, self._waker = os.pipe()
            threading.Thread(target=self._watch, args=(number, wake), daemon=True).start()

    def _watch(self, number: int, wake: int) -> None:
        poll = select.poll()
        poll.register(number, 0)  # an error is reported without being asked for
        poll.register(wake, select.POLLIN)
        ready = dict(poll.poll())
        if number in ready and wake not in ready:
            self.is_closed = True
            self._close()
        os.close(wake)

    def check(self) -> None:
        """Raise `BrokenPipeError` if the reader is gone."""
        if self.is_closed:
            raise BrokenPipeError

    def stop(self) -> None:
        """End the thread."""
        if self._waker >= 0:
            with suppress(OSError):
                os.close(self._waker)
            self._waker = -1
