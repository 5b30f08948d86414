"""Iterating only the values of some classes."""

from collections.abc import AsyncIterator
from typing import Any, Self


def check_kinds(kinds: tuple[Any, ...]) -> None:
    """Raise `TypeError` unless `isinstance` can tell the values, before any of them is read."""
    if not kinds or not all(isinstance(kind, type) for kind in kinds):
        raise TypeError(f"expected classes, as in only(TextDelta, ToolCallEnd), got {kinds!r}")


class AsyncOnly(AsyncIterator[Any]):
    """The values of some classes in an async stream. It is not a generator, so there is nothing to finish."""

    def __init__(self, stream: AsyncIterator[Any], kinds: tuple[type, ...]) -> None:
        self._stream = stream
        self._kinds = kinds

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while not isinstance(value := await self._stream.__anext__(), self._kinds):
            pass
        return value
