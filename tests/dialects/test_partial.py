"""JSON that grows: exact, linear, and the same however the text is cut."""

import copy
import json
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from sse_client.dialects import PartialJSON
from sse_client.dialects._partial import MAX_DEPTH

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
# Halves of surrogate pairs too, which a server sends when it cuts an emoji in two.
HALVES = st.text(
    st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010, categories=["Cs", "Lo"]) | st.sampled_from('"\\n')
)
VALUES = st.recursive(
    SCALARS | HALVES,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=4), values, max_size=4),
    max_leaves=15,
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A JSON document, in one of the ways to write it."""
    return json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 0, 2])))


def cut(text: str, places: list[int]) -> Iterator[str]:
    at = 0
    for place in sorted({min(place, len(text)) for place in places}):
        yield text[at:place]
        at = place
    yield text[at:]


def parse(text: str, size: int = sys.maxsize) -> PartialJSON:
    partial = PartialJSON()
    for at in range(0, len(text), size):
        partial.feed(text[at : at + size])
    return partial


def is_prefix(before: Any, after: Any) -> bool:
    """Whether a value can grow into another: strings at their end, and everything else by what is added."""
    if before is None:
        return True
    if isinstance(before, dict):
        pairs = list(zip(before.items(), after.items(), strict=False))
        return len(before) <= len(after) and all(
            old[0] == new[0] and is_prefix_of_member(old[1], new[1]) for old, new in pairs
        )
    if isinstance(before, list):
        return len(before) <= len(after) and all(map(is_prefix_of_member, before, after))
    return is_prefix_of_member(before, after)


def is_prefix_of_member(before: Any, after: Any) -> bool:
    if type(before) is not type(after):
        return False
    if isinstance(before, str):
        return bool(after.startswith(before))
    if isinstance(before, dict | list):
        return is_prefix(before, after)
    return bool(before == after)


@given(documents(), st.lists(st.integers(0, 300)))
def test_any_cut(text: str, places: list[int]) -> None:
    """However a document is cut, the end equals json.loads, and each value before is a prefix of it."""
    expected = json.loads(text)
    partial = PartialJSON()
    values = []
    for piece in cut(text, places):
        partial.feed(piece)
        values.append(copy.deepcopy(partial.value))
    assert partial.is_whole
    assert partial.result() == expected
    assert repr(partial.result()) == repr(expected)  # 1 is not 1.0 is not True
    for value in values:
        assert is_prefix(value, expected)


@given(documents(), st.lists(st.integers(0, 300)))
def test_what_grew(text: str, places: list[int]) -> None:
    """What feed() returns, joined by path, are the strings of the document."""
    partial = PartialJSON()
    grown: dict[Any, str] = {}
    for piece in cut(text, places):
        for path, new in partial.feed(piece):
            assert new
            grown[path] = grown.get(path, "") + new

    def strings(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[Any, str]]:
        if isinstance(value, str) and value:
            yield path, value
        if isinstance(value, dict):
            for key, each in value.items():
                yield from strings(each, (*path, key))
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from strings(each, (*path, index))

    assert grown == dict(strings(json.loads(text), ()))


@given(st.text('{}[]",:\\u0d8c+-.eE1 \ntrulfasn', max_size=30))
def test_what_is_json(text: str) -> None:
    """Text is whole if json.loads takes it, character by character or at once, and is not if it refuses."""
    try:
        expected, is_json = json.loads(text), True
    except ValueError:
        expected, is_json = None, False
    for size in (1, 2, sys.maxsize):
        try:
            partial = parse(text, size)
        except ValueError:
            assert not is_json
        else:
            assert partial.is_whole is is_json
            if is_json:
                assert repr(partial.result()) == repr(expected)


@given(documents(), st.integers(0, 300))
def test_no_prefix_is_whole(text: str, place: int) -> None:
    """Half of an object or an array is never whole, and has no result."""
    text = f"[{text}]"
    partial = parse(text[: min(place, len(text) - 1)])
    assert not partial.is_whole
    with pytest.raises(ValueError, match="not whole"):
        partial.result()


STEPS = {
    "a string with its opening quote": ('{"a": "', {"a": ""}),
    "a string so far": ('{"a": "xy', {"a": "xy"}),
    "an escape only when whole": ('{"a": "x\\u00', {"a": "x"}),
    "a pair of surrogates only when whole": ('{"a": "x\\ud83d', {"a": "x"}),
    "a pair of surrogates cut in its second half": ('{"a": "x\\ud83d\\ude', {"a": "x"}),
    "half of a pair when nothing follows": ('{"a": "x\\ud83d"', {"a": "x\ud83d"}),
    "half of a pair before another escape": ('{"a": "\\ud83d\\n', {"a": "\ud83d\n"}),
    "a key only with its value": ('{"a": 1, "b": ', {"a": 1}),
    "a number only when it has ended": ('{"a": 12', {}),
    "a number that has ended": ('{"a": 12,', {"a": 12}),
    "a literal when it is whole": ("[true, nul", [True]),
    "an empty container": ('{"a": [', {"a": []}),
    "a whole number alone": ("12", None),
    "a number alone that has ended": ("12 ", 12),
    "nothing": ("", None),
    "the last of two equal keys": ('{"a": 1, "a": "x', {"a": "x"}),
}


@pytest.mark.parametrize("name", STEPS)
def test_partial_values(name: str) -> None:
    """A value so far has what is certain: a string that grows, and everything else when it is whole."""
    text, expected = STEPS[name]
    assert parse(text).value == expected
    assert parse(text, 1).value == expected


FAULTS = {
    '{"a": 01': "got '1'",
    "[1,]": "expected a value, got ']'",
    "{,": "expected a key or '}', got ','",
    '{"a" 1': "expected ':', got '1'",
    '{"a": 1 "b"': "expected ',' or the end of the container, got '\"'",
    "[1}": "got '}'",
    '{"a": 1} x': "expected nothing, got 'x'",
    "[-x": "the rest of a number, got 'x'",
    "[1.]": "the rest of a number, got ']'",
    "[1+": "got '+'",
    "nil": "the rest of a literal, got 'i'",
    "NaN": "expected a value, got 'N'",
    '"\x01': "a character that JSON strings can have",
    '"\\x': "strings can have, got",
    '"\\u12x4': "strings can have, got",
    '{"\n': "a character that JSON strings can have",
    "[" * (MAX_DEPTH + 1): "nested more than",
    "9" * 4301 + " ": "an integer of 4301 digits",
}


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_faults(text: str) -> None:
    """What JSON cannot have raises, again at each later call, and leaves the value at what came before."""
    partial = PartialJSON()
    with pytest.raises(ValueError, match=re.escape(FAULTS[text])):
        partial.feed(text)
    before = copy.deepcopy(partial.value)
    with pytest.raises(ValueError, match=re.escape(FAULTS[text])):
        partial.feed("]")
    with pytest.raises(ValueError, match=re.escape(FAULTS[text])):
        partial.result()
    assert partial.value == before
    assert not partial.is_whole


def test_no_text() -> None:
    """Feeding nothing changes nothing, in a string or elsewhere."""
    partial = parse('{"a": "x')
    assert partial.feed("") == ()
    partial.feed('"')
    assert list(partial.feed("")) == []
    assert partial.value == {"a": "x"}


def test_a_fault_in_a_string() -> None:
    """A string that turns out to be none keeps the characters before the fault."""
    partial = parse('{"a": "xy')
    with pytest.raises(ValueError, match="not JSON"):
        partial.feed("z\n")
    assert partial.value == {"a": "xyz"}


@pytest.mark.parametrize("text", ["[" * MAX_DEPTH + "]" * MAX_DEPTH, "9" * 4300])
def test_the_limits_are_those_of_the_fast_parser(text: str) -> None:
    """What pydantic's parser takes at its limits is whole here too, so both ways of parsing agree."""
    assert parse(text).result() == from_json(text)


def test_an_integer_too_long_at_the_end() -> None:
    """A number alone that no integer can hold raises ValueError."""
    with pytest.raises(ValueError, match="4301 digits"):
        parse("9" * 4301).result()


def test_copies() -> None:
    """A copy or a pickle goes on by itself."""
    partial = parse('{"a": ["x')
    for other in (copy.deepcopy(partial), pickle.loads(pickle.dumps(partial))):
        other.feed('y"]}')
        assert other.result() == {"a": ["xy"]}
    assert partial.value == {"a": ["x"]}


def work(text: str, size: int) -> int:
    """Count the lines of Python, and the characters joined, that a text takes."""
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    partial = PartialJSON()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for at in range(0, len(text), size):
            partial.feed(text[at : at + size])
    finally:
        sys.settrace(before)
    assert partial.is_whole
    return lines


ROWS = json.dumps({"id": 17, "name": "row", "is_open": True, "notes": ["a", "b\n"]})
TEXTS: dict[str, Callable[[int], str]] = {
    "rows": lambda count: "[" + ", ".join([ROWS] * count) + "]",
    "one string": lambda count: json.dumps({"content": "some text\n" * count * 7}),
    "one number": lambda count: "[0." + "7" * count * 70 + "]",
}


@pytest.mark.parametrize("size", [4, sys.maxsize])
@pytest.mark.parametrize("name", TEXTS)
def test_linear(name: str, size: int) -> None:
    """Eight times the text takes at most nine times the work, however it is cut."""
    short, long = (work(TEXTS[name](count), size) for count in (5, 40))
    assert long <= 9 * short
