"""
Lines of a body outside any field of an event stream.

The standard ignores them. But servers and proxies report errors in them: `error: {…}` as a field, a JSON object
without `data:`, a proxy's page with the wrong media type. So they are kept, up to a limit, until the body ends. If it
ends badly or without an event, they are searched for the reason. A stream without such lines pays nothing.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from .._event import ServerSentEvent

KNOWN = ("data", "event", "id", "retry")

# The same limit as for the body of any other error.
MAX_KEPT = 64 * 1024


def is_stray(line: str) -> bool:
    """Whether a line that has not ended can no longer become a comment or a known field."""
    field, colon, _ = line.partition(":")
    if colon:
        return field not in ("", *KNOWN)
    return not any(name.startswith(field) for name in KNOWN)


class Strays:
    """The unknown lines of one body."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()  # one buffer: a list of short lines would take many times their size

    def add(self, line: str) -> None:
        """Keep a line, or as much of it as there is room for."""
        if left := MAX_KEPT - len(self._kept):
            self._kept += f"{line[:left]}\n".encode()[:left]

    @property
    def body(self) -> bytes:
        """All kept lines, each followed by an LF."""
        return bytes(self._kept)

    @property
    def first(self) -> str:
        """The first line."""
        return self._lines[0]

    def error(self) -> ServerSentEvent | None:
        """
        Return the error that the lines report, as an event named "error", or `None`.

        An error is a field `error` with a JSON object as its value, or a JSON object with a truthy `error`, alone or in
        a list.
        """
        for text in self._texts():
            found = _parsed(text)
            if _is_error(found):
                return ServerSentEvent("error", text)
            listed = cast("list[object]", found) if isinstance(found, list) else []
            if errors := [each for each in listed if _is_error(each)]:
                with suppress(RecursionError):  # JSON nested this deeply can be read, but not written
                    return ServerSentEvent("error", json.dumps(errors[0], ensure_ascii=False))
        for line in self._lines:
            field, _, value = line.partition(":")
            if field == "error" and isinstance(found := _parsed(value), dict) and found:
                return ServerSentEvent("error", value.strip(" "))
        return None

    @property
    def _lines(self) -> list[str]:
        return self._kept.decode("utf-8", "replace").removesuffix("\n").split("\n")

    def _texts(self) -> Iterator[str]:
        """Yield the texts that may be JSON: everything from the first line that looks like it, then each such line."""
        lines = self._lines
        starts = [index for index, line in enumerate(lines) if line.lstrip(" \t").startswith(("{", "["))]
        if starts:
            yield "\n".join(lines[starts[0] :])
        for index in starts:
            # Skips lines that only open an object: there may be thousands of them.
            if lines[index].rstrip(" \t").endswith(("}", "]")):
                yield lines[index]


def _is_error(value: Any) -> bool:
    return isinstance(value, dict) and bool(cast("dict[str, Any]", value).get("error"))


def _parsed(text: str) -> Any:
    try:
        return ServerSentEvent(data=text).json()
    except ValueError:
        return None
