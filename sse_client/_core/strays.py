"""
Lines of a body outside any field of an event stream.

The standard ignores them. But servers report errors in them: `error: {…}` as a field of its own, a JSON object without
`data:`, a proxy's page under the wrong media type. So they are kept, up to a bound, until it is known how the body
ends: what explains a bad end, or an empty one, is looked for then. A stream without such lines pays nothing.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from .._event import ServerSentEvent

KNOWN = ("data", "event", "id", "retry")

# As much as of any other error's body.
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
        """Keep a line, as far as there is room."""
        if left := MAX_KEPT - len(self._kept):
            self._kept += f"{line[:left]}\n".encode()[:left]

    @property
    def body(self) -> bytes:
        """All that is kept, with an LF after each line."""
        return bytes(self._kept)

    @property
    def first(self) -> str:
        """The first line."""
        return self._lines[0]

    def error(self) -> ServerSentEvent | None:
        """
        Return the error that the lines report, as an event named "error", or `None`.

        It is a field `error` whose value is a JSON object, or JSON that is, or lists, an object with a truthy `error`.
        """
        for text in self._texts():
            found = _parsed(text)
            if _is_error(found):
                return ServerSentEvent("error", text)
            listed = cast("list[object]", found) if isinstance(found, list) else []
            if errors := [each for each in listed if _is_error(each)]:
                with suppress(RecursionError):  # nested too deeply, it can be read and not written
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
        """What may be JSON: all from the first line that looks like it, then each line that does."""
        lines = self._lines
        starts = [index for index, line in enumerate(lines) if line.lstrip(" \t").startswith(("{", "["))]
        if starts:
            yield "\n".join(lines[starts[0] :])
        for index in starts:
            # Not each of a thousand lines that only open something.
            if lines[index].rstrip(" \t").endswith(("}", "]")):
                yield lines[index]


def _is_error(value: Any) -> bool:
    return isinstance(value, dict) and bool(cast("dict[str, Any]", value).get("error"))


def _parsed(text: str) -> Any:
    try:
        return ServerSentEvent(data=text).json()
    except ValueError:
        return None
