"""
Recording of the responses of a stream while they are read.

The stream reports to its recorders, which know nothing of the stream. A stream without a recorder pays nothing.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol


class Recorder(Protocol):
    """
    Observes a stream while it is read: `record(stream, recorder)` reports each response and each piece to it.

    `now` is the stream's own time, in seconds. The calls are made on the thread, or in the task, that reads. Pieces are
    decompressed if the stream can decompress them. An exception that is not one of the HTTP client's is raised to the
    reader of the stream.
    """

    def begin(self, now: float) -> None:
        """Prepare for a stream that is about to be read. `record` calls it once."""

    def opened(self, response: Any, requested_at: float, now: float) -> None:
        """Take a response, also one that is not an event stream. It was requested at `requested_at`."""

    def received(self, data: bytes, now: float) -> None:
        """Take a piece of the body, never an empty one."""

    def ended(self, error: Exception | None, now: float) -> None:
        """Take the end of the body, or the error that cut it. Not called for a stream that is left or times out."""


class Recorders:
    """Two recorders; each call goes to both."""

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
