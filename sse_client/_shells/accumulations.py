"""The result of a stream, for both clients: its snapshot so far, and the final one."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, cast

from .._accumulate import Accumulating
from .._typed import S, T

if TYPE_CHECKING:
    from .async_ import AsyncEventStream
    from .sync import EventStream


class Accumulation(Generic[T, S]):
    """The result of a stream. Iterating it iterates the stream."""

    def __init__(self, stream: "EventStream[T, Any]", accumulating: Accumulating) -> None:
        self._stream = stream
        self._accumulating = accumulating

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._stream!r}>"

    def __iter__(self) -> Iterator[T]:
        return iter(self._stream)

    @property
    def snapshot(self) -> S:
        """The result so far, at any time, also after an error."""
        return cast("S", self._accumulating.snapshot)

    def final(self) -> S:
        """
        Read on to the end of the stream, and return the result.

        Raises the stream's error, with the snapshot so far as `.partial`, and `StreamCancelled` if the stream was
        closed before its end.
        """
        return cast("S", self._stream._final(self._accumulating))


class AsyncAccumulation(Generic[T, S]):
    """The result of an async stream. Iterating it iterates the stream."""

    def __init__(self, stream: "AsyncEventStream[T, Any]", accumulating: Accumulating) -> None:
        self._stream = stream
        self._accumulating = accumulating

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._stream!r}>"

    def __aiter__(self) -> AsyncIterator[T]:
        return aiter(self._stream)

    @property
    def snapshot(self) -> S:
        """The result so far, at any time, also after an error."""
        return cast("S", self._accumulating.snapshot)

    async def final(self) -> S:
        """
        Read on to the end of the stream, and return the result.

        Raises the stream's error, with the snapshot so far as `.partial`, and `StreamCancelled` if the stream was
        closed before its end.
        """
        return cast("S", await self._stream._final(self._accumulating))
