"""
Recording what comes to a stream, while it is read.

A recorder is told by the stream that it belongs to, and needs to know nothing of it. A stream without one pays nothing.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol


class Recorder(Protocol):
    """Takes what comes to a stream. `now` is the stream's own time."""

    def begin(self, now: float) -> None:
        """Prepare for a stream that is about to be read."""

    def opened(self, response: Any, requested_at: float, now: float) -> None:
        """Take a response, and when it was requested."""

    def received(self, data: bytes, now: float) -> None:
        """Take a piece of the body, never an empty one."""

    def ended(self, error: Exception | None, now: float) -> None:
        """Take the end of the body, or the error that broke it off. Nothing ends a body that is left or times out."""


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
