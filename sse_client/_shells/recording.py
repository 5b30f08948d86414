"""
Recording what comes to a stream, while it is read.

A recorder is told by the stream that it belongs to, and needs to know nothing of it. A stream without one pays nothing;
one may have several.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol


class Recorder(Protocol):
    """
    Observes a stream while it is read: `record(stream, recorder)` tells it about each response and each piece.

    `now` is the stream's own time, in seconds. The calls are made on the thread, or in the task, that reads. A piece is
    decompressed if the stream can do that. An exception that is not one of the HTTP client's comes out of the stream.
    """

    def begin(self, now: float) -> None:
        """The stream is about to be read. Called once, by `record`."""

    def opened(self, response: Any, requested_at: float, now: float) -> None:
        """A response has come, also one that is not an event stream. `requested_at` is when it was requested."""

    def received(self, data: bytes, now: float) -> None:
        """A piece of the body has come, never an empty one."""

    def ended(self, error: Exception | None, now: float) -> None:
        """The body has ended, or was cut by the error. If the stream is left or times out, this is not called."""


class Recorders:
    """Two recorders, told one after the other."""

    def __init__(self, first: Recorder, second: Recorder) -> None:
        self._recorders = first, second

    def begin(self, now: float) -> None:
        for each in self._recorders:
            each.begin(now)

    def opened(self, response: Any, requested_at: float, now: float) -> None:
        for each in self._recorders:
            each.opened(response, requested_at, now)

    def received(self, data: bytes, now: float) -> None:
        for each in self._recorders:
            each.received(data, now)

    def ended(self, error: Exception | None, now: float) -> None:
        for each in self._recorders:
            each.ended(error, now)


class Recorded(Iterator[bytes], AsyncIterator[bytes]):
    """The pieces of a body, each reported while it goes by, and so is the end: an error, or `None`."""

    def __init__(self, pieces: Any, report: Callable[[bytes | Exception | None], None]) -> None:
        self._pieces = pieces
        self._report = report

    def __next__(self) -> bytes:
        try:
            piece: bytes = next(self._pieces)
        except StopIteration:
            self._report(None)
            raise
        except Exception as error:
            self._report(error)
            raise
        self._report(piece)
        return piece

    async def __anext__(self) -> bytes:
        try:
            piece: bytes = await self._pieces.__anext__()
        except StopAsyncIteration:
            self._report(None)
            raise
        except Exception as error:
            self._report(error)
            raise
        self._report(piece)
        return piece
