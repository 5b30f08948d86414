"""Text from a server as a terminal may have it, and data as JSON."""

import json
import re
from typing import Any

# C0 but for tab and line feed, DEL, C1; the marks that turn the direction of writing; halves of surrogate pairs, which
# cannot be written at all.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
BREAKS = re.compile("[\t\n]")


def visible(text: str) -> str:
    """Return the text with escapes for everything that could control a terminal, but for tab and line feed."""
    return UNSAFE.sub(_escape, text)


def in_one_line(text: str) -> str:
    """Return the text with escapes for tab and line feed too."""
    return BREAKS.sub(lambda match: "\\t" if match[0] == "\t" else "\\n", visible(text))


def counted(number: int, noun: str) -> str:
    """Return `1 event` or `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


# NaN and Infinity are Python's own. Numbers are only checked: as text they may be of any length.
check_json = json.JSONDecoder(parse_constant=_refuse, parse_int=str, parse_float=str).decode
_quote = json.JSONEncoder(ensure_ascii=False).encode


def as_json(data: str) -> str | None:
    """
    Return JSON text as one line, else unchanged: numbers keep their digits, objects their order. `None` if it is not.

    Between the values of JSON, a line feed is the same as a blank; in them there cannot be one.
    """
    try:
        check_json(data)
    except (ValueError, RecursionError):
        return None
    return _escaped(data.strip(" \t\n").replace("\n", " "))


def quoted(text: str) -> str:
    """Return the text as a JSON string in one line."""
    return _escaped(_quote(text))


def _escaped(text: str) -> str:
    """Escape in JSON what JSON itself would not; outside of its strings there is no such character."""
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


STEP = re.compile(r'\.?\[(\d+)\]|\."([^"]+)"|\.([^.\[\]"]+)')


class Path:
    """A path into JSON, as jq writes it: `.choices[0].delta.content`."""

    def __init__(self, text: str) -> None:
        self._steps: list[str | int] = []
        end = 0
        for match in STEP.finditer(text):
            if match.start() != end:
                break
            end = match.end()
            index, quoted_name, name = match.groups()
            self._steps.append(int(index) if index else quoted_name or name)
        if end != len(text) and text != ".":
            raise ValueError(f"expected a path like .choices[0].delta.content, got {text!r}")

    def text(self, value: Any) -> str:
        """Return the text there; empty if there is nothing."""
        for step in self._steps:
            try:
                value = value[step]
            except (LookupError, TypeError):
                return ""
        if value is None or isinstance(value, str):
            return value or ""
        return json.dumps(value, ensure_ascii=False)
