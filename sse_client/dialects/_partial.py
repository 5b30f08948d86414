"""
JSON that is still being written, parsed once and never again.

`PartialJSON` is a machine with a stack: a piece of text moves it on, at a cost that depends on the piece alone. The
containers on the stack are those of the value itself, so looking at the value costs nothing but the unfinished string.
It accepts exactly what RFC 8259 calls JSON: nothing is repaired, and nothing is guessed.
"""

import enum
import re
from collections.abc import Sequence
from typing import Any, NoReturn, TypeAlias, cast

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a string, from the outermost container."""


class State(enum.Enum):
    """The expected next token."""

    VALUE = "a value"
    FIRST_ITEM = "a value or ']'"
    FIRST_KEY = "a key or '}'"
    KEY = "a key"
    COLON = "':'"
    COMMA = "',' or the end of the container"
    END = "nothing"
    IN_KEY = "the rest of a key"
    IN_STRING = "the rest of a string"
    IN_NUMBER = "the rest of a number"
    IN_LITERAL = "the rest of a literal"
    FAILED = "no more"


# As constants of the module: the way through the class costs as much as the comparison.
(
    VALUE,
    FIRST_ITEM,
    FIRST_KEY,
    KEY,
    COLON,
    COMMA,
    END,
    IN_KEY,
    IN_STRING,
    IN_NUMBER,
    IN_LITERAL,
    FAILED,
) = State

# The limit of pydantic's parser. It bounds the length of a path, and lets every value be shown.
MAX_DEPTH = 201

SPACE = re.compile(r"[ \t\n\r]*")
OF_NUMBER = re.compile(r"[-+.eE0-9]*")
# Control characters must be escaped (RFC 8259, section 7).
PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
UNFINISHED_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
MEANING = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

LITERALS: dict[str, tuple[str, bool | None]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}

# A number, character by character. Each stage is named after what came last: "i" are digits of the integer after its
# first, "f" of the fraction, "x" of the exponent; "s" is the sign of the exponent.
NUMBER: dict[str, dict[str, str]] = {
    "-": {**dict.fromkeys("123456789", "i"), "0": "0"},
    "0": {".": ".", "e": "e", "E": "e"},
    "i": {**dict.fromkeys("0123456789", "i"), ".": ".", "e": "e", "E": "e"},
    ".": dict.fromkeys("0123456789", "f"),
    "f": {**dict.fromkeys("0123456789", "f"), "e": "e", "E": "e"},
    "e": {**dict.fromkeys("0123456789", "x"), "+": "s", "-": "s"},
    "s": dict.fromkeys("0123456789", "x"),
    "x": dict.fromkeys("0123456789", "x"),
}
FIRST_OF_NUMBER = {"-": "-", **NUMBER["-"]}
WHOLE_NUMBER = frozenset("0ifx")


class PartialJSON:
    """
    A JSON value that grows: `feed` it text in pieces of any length, and look at `value` at any time.

    A string appears with its opening quote and grows; an escape, or a pair of surrogates, appears when it is whole. A
    key appears with its value, and a number, `true`, `false` or `null` when it has ended. So each value is a prefix of
    all later ones. Takes linear time, however the text is cut.
    """

    __slots__ = ("_fault", "_held", "_path", "_pieces", "_root", "_stack", "_stage", "_state", "_text")

    def __init__(self) -> None:
        self._state = VALUE
        self._root: Any = None
        self._stack: list[dict[str, Any] | list[Any]] = []
        self._path: list[str | int] = []  # in each container of the stack, the key or the index of its current value
        self._pieces: list[str] = []  # of the unfinished string, key, number or literal
        self._text = ""  # those that were joined already
        self._held = ""  # an escape that is not whole
        self._stage = ""  # how far a number has come; the literal that is expected
        self._fault: str | None = None

    @property
    def value(self) -> Any:
        """The value so far, `None` if it has not begun. It is live: copy it if you keep it."""
        if self._state is IN_STRING:
            self._put(self._joined())
        return self._root

    @property
    def is_whole(self) -> bool:
        """Whether the text so far is exactly one JSON value."""
        return self._state is END or (self._state is IN_NUMBER and not self._stack and self._stage in WHOLE_NUMBER)

    def result(self) -> Any:
        """Return the whole value. Raises `ValueError` if the text so far is not exactly one JSON value."""
        if not self.is_whole:
            raise ValueError(self._fault or f"the JSON is not whole: expected {self._state.value}")
        return _number("".join(self._pieces)) if self._state is IN_NUMBER else self._root

    def feed(self, text: str) -> Sequence[tuple[Path, str]]:
        """
        Add a piece of text, and return the strings that grew: their paths, and the characters that are new.

        Raises `ValueError` at the first character that JSON cannot have there, and again at each later call. `value`
        stays at what came before.
        """
        if self._state is IN_STRING and not self._held and PLAIN.fullmatch(text):
            if not text:
                return ()
            self._pieces.append(text)
            return ((tuple(self._path), text),)
        if self._fault is not None:
            raise ValueError(self._fault)
        grown: list[tuple[Path, str]] = []
        if self._held:
            text, self._held = self._held + text, ""
        at, end = 0, len(text)
        while at < end:
            state = self._state
            if state is IN_STRING or state is IN_KEY:
                at = self._read_string(text, at, grown)
            elif state is IN_NUMBER:
                at = self._read_number(text, at)
            elif state is IN_LITERAL:
                at = self._read_literal(text, at)
            else:
                match = SPACE.match(text, at)
                assert match is not None
                at = match.end()
                if at < end:
                    self._read_mark(text[at])
                    at += 1
        return grown

    def _read_mark(self, char: str) -> None:
        """Read the first character of a value or a key, or what stands between values."""
        state = self._state
        if state is COLON and char == ":":
            self._state = VALUE
        elif state is COMMA and char == ",":
            container = self._stack[-1]
            if isinstance(container, dict):
                self._state = KEY
            else:
                self._path[-1] = len(container)
                self._state = VALUE
        elif (state is COMMA or state is FIRST_KEY or state is FIRST_ITEM) and char in "]}":
            if (char == "}") is not isinstance(self._stack[-1], dict):
                self._fail(char)
            self._stack.pop()
            self._path.pop()
            self._ended()
        elif (state is KEY or state is FIRST_KEY) and char == '"':
            self._begin(IN_KEY)
        elif state is VALUE or state is FIRST_ITEM:
            self._read_first(char)
        else:
            self._fail(char)

    def _read_first(self, char: str) -> None:
        """Read the first character of a value."""
        if char == '"':
            self._add("")
            self._begin(IN_STRING)
        elif char == "{":
            self._open({}, "", FIRST_KEY)
        elif char == "[":
            self._open([], 0, FIRST_ITEM)
        elif char in FIRST_OF_NUMBER:
            self._begin(IN_NUMBER)
            self._stage = FIRST_OF_NUMBER[char]
            self._pieces.append(char)
        elif char in LITERALS:
            self._begin(IN_LITERAL)
            self._stage = char
            self._pieces.append(char)
        else:
            self._fail(char)

    def _read_string(self, text: str, at: int, grown: list[tuple[Path, str]]) -> int:
        """Continue to read a string or a key, to its end or the end of the text; return the next index."""
        pieces: list[str] = []
        end = len(text)
        is_over = False
        fault = ""
        while at < end and not is_over:
            match = PLAIN.match(text, at)
            assert match is not None
            if match.end() > at:
                pieces.append(match[0])
                at = match.end()
            elif text[at] == '"':
                is_over = True
                at += 1
            elif escape := ESCAPE.match(text, at):
                char, after = _unescaped(text, escape)
                if after < 0:  # half of a pair, and the other half may still come
                    self._held = text[at:]
                    break
                pieces.append(char)
                at = after
            elif UNFINISHED_ESCAPE.fullmatch(text, at):
                self._held = text[at:]
                break
            else:
                fault = text[at : at + 6] if text[at] == "\\" else text[at]
                break
        if pieces:
            new = "".join(pieces)
            self._pieces.append(new)
            if self._state is IN_STRING:
                grown.append((tuple(self._path), new))
        if fault:
            self._fail(fault)
        if is_over:
            joined = self._joined()
            if self._state is IN_KEY:
                self._path[-1] = joined
                self._state = COLON
            else:
                self._put(joined)
                self._ended()
        return at if is_over else end

    def _read_number(self, text: str, at: int) -> int:
        """Continue to read a number, to its end or the end of the text; return the next index."""
        match = OF_NUMBER.match(text, at)
        assert match is not None
        stage = self._stage
        for char in match[0]:
            if char not in NUMBER[stage]:
                self._fail(char)
            stage = NUMBER[stage][char]
        self._stage = stage
        self._pieces.append(match[0])
        if match.end() < len(text):
            if stage not in WHOLE_NUMBER:
                self._fail(text[match.end()])
            try:
                number = _number("".join(self._pieces))
            except ValueError as error:
                self._stop(str(error))
            self._add(number)
            self._ended()
        return match.end()

    def _read_literal(self, text: str, at: int) -> int:
        literal, value = LITERALS[self._stage[0]]
        expected = literal[len(self._stage) :]
        piece = text[at : at + len(expected)]
        for char, each in zip(piece, expected, strict=False):
            if char != each:
                self._fail(char)
        self._stage += piece
        if self._stage == literal:
            self._add(value)
            self._ended()
        return at + len(piece)

    def _begin(self, state: State) -> None:
        self._state = state
        self._pieces = []
        self._text = ""

    def _open(self, container: dict[str, Any] | list[Any], key: str | int, state: State) -> None:
        if len(self._stack) == MAX_DEPTH:
            self._stop(f"the JSON is nested more than {MAX_DEPTH} levels deep")
        self._add(container)
        self._stack.append(container)
        self._path.append(key)
        self._state = state

    def _ended(self) -> None:
        """A value is over."""
        self._state = COMMA if self._stack else END

    def _add(self, value: Any) -> None:
        """Put a new value at the current path."""
        if self._stack and isinstance(self._stack[-1], list):
            self._stack[-1].append(value)
        else:
            self._put(value)

    def _put(self, value: Any) -> None:
        """Replace the value at the current path."""
        if self._stack:
            cast("dict[str | int, Any]", self._stack[-1])[self._path[-1]] = value
        else:
            self._root = value

    def _joined(self) -> str:
        """The unfinished string so far. Only what is new is joined to what was."""
        if self._pieces:
            self._text += "".join(self._pieces)
            self._pieces = []
        return self._text

    def _fail(self, found: str) -> NoReturn:
        is_string = self._state is IN_STRING or self._state is IN_KEY
        expected = "a character that JSON strings can have" if is_string else self._state.value
        self._stop(f"this is not JSON: expected {expected}, got {found!r}")

    def _stop(self, fault: str) -> NoReturn:
        if self._state is IN_STRING:
            self._put(self._joined())
        self._state = FAILED
        self._fault = fault
        raise ValueError(fault)


def _unescaped(text: str, escape: re.Match[str]) -> tuple[str, int]:
    """Return the character of an escape, and the index of its end; -1 if its other half may follow."""
    simple, code = escape.groups()
    if simple:
        return MEANING[simple], escape.end()
    value, end = int(code, 16), escape.end()
    if 0xD800 <= value < 0xDC00:
        if other := ESCAPE.match(text, end):
            low = int(other[2] or "0", 16)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00)), other.end()
        elif end == len(text) or UNFINISHED_ESCAPE.fullmatch(text, end):
            return "", -1
    return chr(value), end


def _number(token: str) -> int | float:
    if token.lstrip("-").isdigit():
        try:
            return int(token)
        except ValueError:
            raise ValueError(f"the JSON has an integer of {len(token)} digits") from None
    return float(token)
