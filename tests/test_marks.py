"""Which event ends a stream, and which one is an error: by data, name and fields, and without parsing in vain."""

import json
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from functools import partial
from traceback import walk_stack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_client._errors import shown
from sse_client._event import ServerSentEvent
from sse_client._marks import ErrorEvent, Mark, Needles, Terminator, asks_for_done, is_done, needles_of

TYPE = '{"type": "done", "n": 1}'


def says(data: str, event: str = "message") -> ServerSentEvent:
    return ServerSentEvent(event, data)


def is_nested(event: ServerSentEvent) -> bool:
    """Whether the event is an error, or one of a subgraph, as LangGraph names them."""
    return event.event.partition("|")[0] == "error"


class Absent:
    """A test that is an object without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Absent) and self.name == other.name

    def __call__(self, event: ServerSentEvent) -> bool:
        return self.name not in event.json()

    def method(self, event: ServerSentEvent) -> bool:
        return self(event)


ABSENT = Absent("method")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data of each event whose JSON was parsed."""
    found: list[str] = []
    parse = ServerSentEvent.json

    def count(self: ServerSentEvent) -> Any:
        found.append(self.data)
        return parse(self)

    monkeypatch.setattr(ServerSentEvent, "json", count)
    return found


@pytest.mark.parametrize("kind", [Terminator, ErrorEvent])
@pytest.mark.parametrize(
    ("conditions", "event", "is_match"),
    [
        ({"data": "[DONE]"}, says("[DONE]"), True),
        ({"data": "[DONE]"}, says("[DONE]", "x"), True),
        ({"data": "[DONE]"}, says("[DONE] "), False),
        ({"data": "[DONE]"}, says('"[DONE]"'), False),
        ({"data": ""}, says(""), True),
        ({"data": ""}, says(" "), False),
        ({"event": "end"}, says("", "end"), True),
        ({"event": "end"}, says("end"), False),
        ({"event": "end"}, says("", "End"), False),
        ({"event": "message"}, says("x"), True),
        ({"field": "type"}, says(TYPE), True),
        ({"field": "type"}, says('{"type": 0}'), True),
        ({"field": "type"}, says('{"n": "type"}'), False),
        ({"field": "type"}, says('{"n": {"type": 1}}'), False),
        ({"field": "type"}, says('[{"type": 1}]'), False),
        ({"field": "type"}, says('"type"'), False),
        ({"field": "type"}, says("type"), False),
        ({"field": "type"}, says('{"type": 1'), False),
        ({"field": "type"}, says(""), False),
        ({"field": ""}, says('{"": 1}'), True),
        ({"field": "a.b"}, says('{"a.b": 1}'), True),
        ({"field": "a.b"}, says('{"a": {"b": 1}}'), True),
        ({"field": "a.b"}, says('{"a": {"c": "b"}}'), False),
        ({"field": "a.b"}, says('{"b": {"a": 1}}'), False),
        ({"field": "a.b"}, says('{"a": "b"}'), False),
        ({"field": "a.b"}, says('{"x": {"a.b": 1}}'), False),
        ({"field": "a.b", "values": [1]}, says('{"a.b": 2, "a": {"b": 1}}'), False),
        ({"field": "a.b", "values": [2]}, says('{"a.b": 2, "a": {"b": 1}}'), True),
        ({"field": "a.0.b"}, says('{"a": [{"b": 1}]}'), True),
        ({"field": "a.0.b"}, says('{"a": {"0": {"b": 1}}}'), True),
        ({"field": "a.1.b"}, says('{"a": [{"b": 1}]}'), False),
        ({"field": "a.1.b"}, says('{"a": [{}, {"b": 1}]}'), True),
        ({"field": "a.-1.b"}, says('{"a": [{"b": 1}]}'), False),
        ({"field": "a.b"}, says('{"a": [{"b": 1}]}'), False),
        ({"field": "a.²"}, says('{"a": [1, 2, 3]}'), False),
        ({"field": f"a.{10**30}"}, says('{"a": [1]}'), False),
        ({"field": "0.error"}, says('[{"error": 1}]'), True),
        ({"field": "0"}, says("[1]"), True),
        ({"field": "0"}, says("[]"), False),
        ({"field": "a."}, says('{"a": {"": 1}}'), True),
        ({"field": "."}, says('{"": {"": 1}}'), True),
        ({"field": "a.b.c", "values": {"done"}}, says('{"a": {"b": {"c": "done"}}}'), True),
        ({"field": "a.b.c", "values": {"done"}}, says('{"a": {"b": "done", "c": 1}}'), False),
        ({"field": "type", "values": {"done"}}, says(TYPE), True),
        ({"field": "type", "values": ["done", "end"]}, says('{"type":"end"}'), True),
        ({"field": "type", "values": ("done",)}, says('{"type": "undone"}'), False),
        ({"field": "type", "values": {"done"}}, says('{"type": ["done"]}'), False),
        ({"field": "type", "values": {"done"}}, says('{"n": "done", "type": "x"}'), False),
        ({"field": "type", "values": {"done"}}, says('{"type": "x", "type": "done"}'), True),
        ({"field": "type", "values": {"done"}}, says('{"type": "done", "type": "x"}'), False),
        ({"field": "type", "values": []}, says(TYPE), False),
        ({"field": "type", "values": iter(["done"])}, says(TYPE), True),
        ({"field": "type", "values": {"done": 1}}, says(TYPE), True),
        ({"data": "x", "event": "end"}, says("x", "end"), True),
        ({"data": "x", "event": "end"}, says("x"), False),
        ({"data": "x", "event": "end"}, says("y", "end"), False),
        ({"event": "end", "field": "type"}, says(TYPE, "end"), True),
        ({"event": "end", "field": "type"}, says(TYPE), False),
        ({"event": "end", "field": "type"}, says("{}", "end"), False),
        ({"data": TYPE, "field": "n", "values": [1]}, says(TYPE), True),
        ({"data": TYPE, "field": "n", "values": [2]}, says(TYPE), False),
        ({"test": is_nested}, says("", "error|sub:1"), True),
        ({"test": is_nested}, says("", "errors"), False),
        ({"test": ABSENT, "field": "id", "values": [7]}, says('{"id": 7, "result": {}}'), True),
        ({"test": ABSENT, "field": "id", "values": [7]}, says('{"id": 7, "method": "ping"}'), False),
        ({"test": ABSENT, "field": "id", "values": [7]}, says('{"id": 8}'), False),
        ({"test": ABSENT, "data": "{}"}, says("not JSON"), False),
        ({"test": ABSENT, "event": "x"}, says("not JSON"), False),
        ({"test": ABSENT, "event": "x"}, says("{}", "x"), True),
    ],
)
def test_match(kind: type[Mark], conditions: dict[str, Any], event: ServerSentEvent, is_match: bool) -> None:
    """An event matches a mark if all of the mark's conditions hold exactly."""
    if conditions.get("values") and not isinstance(conditions["values"], list | tuple | set | dict):
        conditions = {**conditions, "values": iter(["done"])}  # an iterator serves one test
    mark = kind(**conditions)
    assert mark.match(event) is (mark if is_match else None)


@pytest.mark.parametrize(
    "data",
    [
        r'{"type": "\u0064one"}',
        r'{"\u0074ype": "done"}',
        r'{"\u0074\u0079\u0070\u0065": "\u0064\u006F\u006e\u0065"}',
        '{\n"type"\t:\r"done"}',
        '{"x": "\\\\u", "type": "done"}',
    ],
)
def test_escaped_json(data: str) -> None:
    """Names and values match however JSON writes them."""
    assert Terminator(field="type", values={"done"}).match(says(data))


@pytest.mark.parametrize(
    ("name", "value"),
    [("é", "ü"), ("a/b", "c/d"), ('"', "\\"), ("\n", "\t"), ("☃", "😀"), ("type", "a<b>&c"), ("'", "")],
)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_names_and_values_of_any_kind(name: str, value: str, is_ascii: bool) -> None:
    """Names and values that JSON may write in several ways match in each."""
    mark = Terminator(field=name, values={value})
    data = json.dumps({name: value}, ensure_ascii=is_ascii)
    assert mark.match(says(data))
    assert mark.match(says(data.replace("/", "\\/")))


@given(st.lists(st.text(alphabet="ab0.é/", max_size=3) | st.integers(0, 2), min_size=1, max_size=4), st.booleans())
def test_what_a_path_leads_to_is_found(steps: list[str | int], is_ascii: bool) -> None:
    """The search in the raw text never misses a value that a path leads to."""
    value: Any = "there"
    for step in reversed(steps):
        value = [*"xyz"[:step], value] if isinstance(step, int) else {step: value}
    path = ".".join(map(str, steps))
    if any(isinstance(step, str) and "." in step for step in steps):
        value = {path: "there"}  # only the outermost object can have a name with dots
    data = json.dumps(value, ensure_ascii=is_ascii)
    assert Terminator(field=path, values={"there"}).match(says(data))


@given(st.text(), st.text(), st.booleans())
def test_what_is_there_is_found(name: str, value: str, is_ascii: bool) -> None:
    """The search in the raw text never misses a value that parsing would find."""
    event = says(json.dumps({"a": 1, name: value}, ensure_ascii=is_ascii))
    assert Terminator(field=name, values={value}).match(event)


@pytest.mark.parametrize(
    ("value", "json_text", "is_match"),
    [
        (True, "true", True),
        (True, "1", False),
        (1, "true", False),
        (1, "1", True),
        (1, "1.0", True),
        (1, '"1"', False),
        (0, "false", False),
        (False, "0", False),
        (None, "null", True),
        (None, "0", False),
        (None, '""', False),
        (["a"], '["a"]', True),
        ({"a": 1}, '{"a": 1}', True),
        ([], "{}", False),
        ([1], "[true]", False),
        ([True], "[1]", False),
        ([True], "[true]", True),
        ({"a": [0]}, '{"a": [false]}', False),
        ({"a": 1, "b": 2}, '{"b": 2, "a": 1.0}', True),
    ],
)
def test_values_are_those_of_json(value: Any, json_text: str, is_match: bool) -> None:
    """True is not 1, a string is not a number, and a value that Python cannot hash is allowed."""
    mark = Terminator(field="stop", values=[value])
    assert (mark.match(says(f'{{"stop": {json_text}}}')) is not None) is is_match


def test_alternatives() -> None:
    """`|` makes alternatives, and the first that matches is returned. The marks themselves do not change."""
    a, b, c = Terminator(data="a"), Terminator(event="b"), Terminator(field="c")
    for mark in (a | b | c, a | (b | c), (a | b) | c):
        assert mark.match(says("a")) is not None
        assert mark.match(says("", "b")) == b
        assert mark.match(says('{"c": 0}')) == c
        assert mark.match(says("x")) is None
    assert (a.alternatives, b.alternatives) == ((), ())
    assert a.match(says("", "b")) is None


def test_the_alternative_that_fits_reads() -> None:
    """Each alternative of an error event has its own paths of the message and the code."""
    errors = ErrorEvent(event="error", message="text") | ErrorEvent(field="fault", message="fault.why", code="fault.no")
    event = says('{"fault": {"why": "busy", "no": 7}}')
    mark = errors.match(event)
    assert mark is not None
    assert mark.read(event) == ("busy", 7)
    event = says('{"text": "late"}', "error")
    mark = errors.match(event)
    assert mark is not None
    assert mark.read(event) == ("late", None)


def test_a_test_that_raises() -> None:
    """An exception of the user's test function propagates."""
    with pytest.raises(ValueError):
        Terminator(test=ABSENT).match(says("not JSON"))


def test_done_is_asked_for_without_a_test() -> None:
    """Whether a mark requires `[DONE]` is decided without calling a test."""
    done = Terminator(data="[DONE]")
    assert not asks_for_done(None)
    assert asks_for_done(done)
    assert asks_for_done(Terminator(test=ABSENT) | done)
    assert not asks_for_done(Terminator(test=ABSENT))
    assert not asks_for_done(Terminator(data="[DONE]", test=ABSENT) | Terminator(event="end"))


def test_kinds_do_not_mix() -> None:
    """A terminator and an error event cannot be alternatives of each other."""
    with pytest.raises(TypeError):
        Terminator(data="a") | ErrorEvent(data="b")  # type: ignore[operator]
    with pytest.raises(TypeError):
        Terminator(data="a") | "b"  # type: ignore[operator]


@pytest.mark.parametrize("kind", [Terminator, ErrorEvent])
def test_what_is_refused(kind: type[Mark]) -> None:
    """A mark needs a condition, `values` needs a field, and a string is not a collection of strings."""
    with pytest.raises(TypeError, match=rf"{kind.__name__} needs data=, event=, field= or test="):
        kind()
    with pytest.raises(TypeError, match=r"needs the field= that holds them"):
        kind(event="x", values={"a"})
    with pytest.raises(TypeError, match=r"expected a collection for values, got 'done'; write \{'done'\}"):
        kind(field="type", values="done")
    with pytest.raises(TypeError, match=r"expected a function for test, got 'done'"):
        kind(test="done")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        kind("[DONE]")  # type: ignore[call-arg]


def test_a_mark_is_a_value() -> None:
    """Marks are frozen, and compare by value."""
    assert Terminator(field="type", values=["a"]) == Terminator(field="type", values=("a",))
    assert Terminator(data="a") != Terminator(data="b")
    with pytest.raises(FrozenInstanceError):
        Terminator(data="a").data = "b"  # type: ignore[misc]


A, B, C = Terminator(field="t", values={"a"}), Terminator(event="b"), Terminator(data="c")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Terminator(field="t", values=["a", "b"]), Terminator(field="t", values={"b", "a"})),
        (Terminator(field="t", values=["a", "a"]), Terminator(field="t", values=["a"])),
        (Terminator(field="t", values=[1]), Terminator(field="t", values=[1.0])),
        (Terminator(field="t", values=[["a"], {"x": [1]}]), Terminator(field="t", values=[{"x": [1.0]}, ["a"]])),
        (Terminator(field="t", values=[{"x": 1, "y": 2}]), Terminator(field="t", values=[{"y": 2, "x": 1}])),
        (A | B, B | A),
        (A | B | C, C | (B | A)),
        (A | A, A),
        (ErrorEvent(event="a") | ErrorEvent(event="b"), ErrorEvent(event="b") | ErrorEvent(event="a")),
        (ErrorEvent(event="a", retry=["b", 1]), ErrorEvent(event="a", retry={1, "b"})),
        (Terminator(test=is_nested), Terminator(test=is_nested)),
        (Terminator(test=ABSENT), Terminator(test=ABSENT)),
        (Terminator(test=ABSENT.method) | A, A | Terminator(test=ABSENT.method)),
    ],
    ids=[f"{number}" for number in range(13)],
)
def test_equal(one: Mark, other: Mark) -> None:
    """Marks with the same meaning are equal and hash alike, whatever the order of their values and alternatives."""
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Terminator(field="t", values=[1]), Terminator(field="t", values=[True])),
        (Terminator(field="t", values=[[1]]), Terminator(field="t", values=[[True]])),
        (Terminator(field="t", values=[0, False]), Terminator(field="t", values=[0])),
        (Terminator(field="t", values=["1"]), Terminator(field="t", values=[1])),
        (Terminator(field="t", values=[["a", "b"]]), Terminator(field="t", values=[["b", "a"]])),
        (Terminator(field="t", values=[]), Terminator(field="t")),
        (Terminator(field="t", values=[None]), Terminator(field="t")),
        (Terminator(event="a"), Terminator(data="a")),
        (Terminator(event="a"), ErrorEvent(event="a")),
        (A | B, A),
        (A | B, A | C),
        (ErrorEvent(event="a"), ErrorEvent(event="a", message="m")),
        (
            ErrorEvent(event="a", message="m") | ErrorEvent(field="b", message="n"),
            ErrorEvent(field="b", message="n") | ErrorEvent(event="a", message="m"),
        ),
        (ErrorEvent(event="a"), ErrorEvent(event="a", retry={"b"})),
        (
            ErrorEvent(event="a", retry={"b"}) | ErrorEvent(field="b"),
            ErrorEvent(field="b") | ErrorEvent(event="a", retry={"b"}),
        ),
        (Terminator(event="a"), "a"),
        (Terminator(event="a", test=is_nested), Terminator(event="a")),
        (Terminator(test=is_nested), Terminator(test=ABSENT)),
        (Terminator(test=Absent("id")), Terminator(test=Absent("id"))),
        (Terminator(test=lambda _: True), Terminator(test=lambda _: True)),
    ],
    ids=[f"{number}" for number in range(20)],
)
def test_not_equal(one: Mark, other: object) -> None:
    """True is not 1, and the order of error events counts if the first that matches reads another message."""
    assert one != other


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (Terminator(event="end"), "Terminator(event='end')"),
        (Terminator(data="[DONE]", event="end"), "Terminator(data='[DONE]', event='end')"),
        (Terminator(field="t", values={"b", "a"}), "Terminator(field='t', values={'a', 'b'})"),
        (Terminator(field="t", values=["b", "a", "b"]), "Terminator(field='t', values={'a', 'b'})"),
        (Terminator(field="t", values=[["a"]]), "Terminator(field='t', values=[['a']])"),
        (Terminator(field="t", values=[1, True]), "Terminator(field='t', values=[True, 1])"),
        (Terminator(field="t", values=[]), "Terminator(field='t', values=[])"),
        (
            Terminator(field="type", values={"done"}) | Terminator(event="end") | Terminator(data=""),
            "Terminator(field='type', values={'done'}) | Terminator(event='end') | Terminator(data='')",
        ),
        (
            ErrorEvent(event="error", message="a.b", code="c") | ErrorEvent(field="fault"),
            "ErrorEvent(event='error', message='a.b', code='c') | ErrorEvent(field='fault')",
        ),
        (ErrorEvent(event="error", retry=["b", 5, "a"]), "ErrorEvent(event='error', retry={5, 'a', 'b'})"),
    ],
    ids=[f"{number}" for number in range(10)],
)
def test_repr(mark: Mark, text: str) -> None:
    """The repr has all arguments and alternatives, in the same order in every run, and can be evaluated."""
    assert repr(mark) == text
    assert eval(text) == mark


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (Terminator(test=is_nested), "Terminator(test=is_nested)"),
        (Terminator(field="id", values=[7], test=ABSENT), "Terminator(field='id', values={7}, test=<Absent>)"),
        (Terminator(test=ABSENT.method) | A, "Terminator(test=Absent.method) | Terminator(field='t', values={'a'})"),
        (ErrorEvent(test=partial(is_nested)), "ErrorEvent(test=<partial>)"),
        (ErrorEvent(test=lambda _: True), "ErrorEvent(test=<lambda>)"),
    ],
    ids=["function", "object", "method", "partial", "lambda"],
)
def test_repr_of_a_test(mark: Mark, text: str) -> None:
    """A test function is shown by its name, never by its address, which differs between runs."""
    assert repr(mark) == text


def test_values_that_json_cannot_have() -> None:
    """A value that JSON cannot have, and Python cannot hash, is an error."""
    with pytest.raises(TypeError, match=r"expected values that JSON can have, got \{1\}"):
        Terminator(field="t", values=[{1}])


@pytest.mark.parametrize(
    ("marks", "texts", "names"),
    [
        ([None, None], (), ()),
        ([Terminator(data="[DONE]")], ("[DONE]",), ()),
        ([Terminator(field="type", values={"done"})], ("done",), ()),
        ([Terminator(field="type", values=[1])], ("type",), ()),
        ([Terminator(event="end")], (), ("end",)),
        ([Terminator(event="end"), ErrorEvent(event="error")], (), ("end", "error")),
        ([Terminator(field="type"), ErrorEvent(event="error")], ("type",), ("error",)),
        ([Terminator(event="end", field="ü")], (), ("end",)),
        ([Terminator(event="end") | Terminator(field="type", values={"done"})], ("done",), ("end",)),
        ([Terminator(event="message", field="type")], ("type",), ()),
        ([Terminator(event="message")], (), ("message",)),
        ([Terminator(field="result.status.state")], ("state",), ()),
        ([Terminator(field="choices.0.error")], ("error",), ()),
        ([Terminator(field="choices.0")], ("choices",), ()),
        ([Terminator(field="a.größe")], ("a",), ()),
        ([Terminator(field="a.")], ("a",), ()),
        ([ErrorEvent(field="error") | ErrorEvent(field="choices.0.error")], ("error",), ()),
        ([Terminator(field="a.b", values={"done"}), ErrorEvent(event="error")], ("done",), ("error",)),
    ],
    ids=[f"{number}" for number in range(18)],
)
def test_needles(marks: list[Mark | None], texts: tuple[str, ...], names: tuple[str, ...]) -> None:
    """A search for a few strings and names is enough to rule out most events."""
    assert needles_of(*marks) == Needles(texts, frozenset(names) or None, None)


def test_tests_among_needles() -> None:
    """A test is called for every event only if the mark has no other condition."""
    named, texts = ErrorEvent(event="error", test=is_nested), ErrorEvent(field="error", test=is_nested)
    unnamed, alone = ErrorEvent(event="message", test=is_nested), ErrorEvent(test=is_nested)
    assert needles_of(named | texts) == Needles(("error",), frozenset({"error"}), None)
    assert needles_of(unnamed) == Needles((), frozenset({"message"}), None)
    assert needles_of(alone | texts) == Needles(("error",), None, (is_nested,))
    assert needles_of(alone, Terminator(event="end")) == Needles((), frozenset({"end"}), (is_nested,))
    assert needles_of(ErrorEvent(field="größe", test=is_nested)) is None


@pytest.mark.parametrize("field", ["größe", "0", "", "0.1", ".", "größe.0"])
def test_no_needles(field: str) -> None:
    """A field that JSON can write in several ways is not searched for, nor is an index, which JSON does not write."""
    assert needles_of(Terminator(event="end"), ErrorEvent(field=field)) is None


@pytest.mark.parametrize(
    ("mark", "data"),
    [
        (Terminator(field="type"), '{"kind": "done"}'),
        (Terminator(field="type", values={"done"}), '{"type": "token", "text": "don"}'),
        (Terminator(field="type", values={"done", "end"}), '{"type": "token"}'),
        (Terminator(field="type", values={"done"}), '{"kind": "done"}'),
        (Terminator(field="type", values={"done"}) | Terminator(field="kind", values={"end"}), '{"type": "x"}'),
        (Terminator(field="a.0.type", values={"done"}), TYPE),
        (Terminator(field="n.type", values={"end"}), TYPE),
        (Terminator(event="x", field="type"), TYPE),
        (Terminator(data="x", field="type"), TYPE),
        (Terminator(data="[DONE]"), TYPE),
        (Terminator(event="end"), TYPE),
        (Terminator(field="type", values={"done"}), "plain text"),
    ],
    ids=str,
)
def test_no_json_is_parsed_in_vain(mark: Terminator, data: str, parsed: list[str]) -> None:
    """If the raw text cannot contain the name and a value, no JSON is parsed."""
    assert mark.match(says(data)) is None
    assert parsed == []


def test_json_is_parsed_once(parsed: list[str]) -> None:
    """However many alternatives need the JSON of an event, it is parsed once."""
    errors = ErrorEvent(field="error") | ErrorEvent(field="choices.0.error") | ErrorEvent(field="object", values={"e"})
    data = '{"object": "e-1", "choices": [{"error": null}], "error": null}'
    assert errors.match(says(data)) is None
    assert parsed == [data]


@pytest.mark.parametrize(
    "data",
    ['{"type": "done"}', '{"type": "not yet done"}', r'{"x": "\u0041"}'],
    ids=["there", "perhaps", "escaped"],
)
def test_json_is_parsed_where_it_may_match(data: str, parsed: list[str]) -> None:
    """If the raw text may contain the name and a value, the JSON is parsed."""
    Terminator(field="type", values={"done"}).match(says(data))
    assert parsed == [data]


def test_json_too_deep() -> None:
    """JSON that is nested too deeply to parse does not match."""
    assert Terminator(field="type").match(says('{"type":' + "[" * 100_000)) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"message": "busy"}', "busy"),
        ('{"error": "busy"}', "busy"),
        ('{"detail": "busy"}', "busy"),
        ('{"error": {"message": "busy"}}', "busy"),
        ('{"error": {"error": {"message": "busy"}}}', "busy"),
        ('{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}', "busy"),
        ('{"error": {"type": "x"}, "message": "busy"}', "busy"),
        ('{"error": "", "detail": "busy"}', "busy"),
        ('{"error": "first", "message": "second"}', "first"),
        ('{"detail": [{"loc": ["é"], "msg": "wrong"}]}', '[{"loc": ["é"], "msg": "wrong"}]'),
        ('{"type": "error"}', None),
        ('{"error": 7}', None),
        ('{"error": null}', None),
        ('{"error": []}', None),
        ("[]", "[]"),
        ("{}", "{}"),
        ("plain words", "plain words"),
        ("", None),
    ],
)
def test_the_usual_places_of_a_message(data: str, message: str | None) -> None:
    """
    Without `message=`, the message is searched in the usual shapes. Data that is not an object is the message itself.
    """
    assert ErrorEvent(event="error").read(says(data, "error"))[0] == message


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("text", '{"text": "busy"}', "busy"),
        ("a.b.c", '{"a": {"b": {"c": "busy"}}}', "busy"),
        ("a.b", '{"a": "x"}', None),
        ("a.b", '{"a": [{"b": 1}]}', None),
        ("a.b", '{"a.b": "busy", "a": {"b": "late"}}', "busy"),
        ("a.0.b", '{"a": [{"b": "busy"}]}', "busy"),
        ("a.1.b", '{"a": [{"b": "busy"}]}', None),
        ("0.b", '[{"b": "busy"}]', "busy"),
        ("a", '{"message": "not asked for"}', None),
        ("n", '{"n": 5}', "5"),
        ("n", '{"n": null}', None),
    ],
)
def test_the_place_of_a_message(path: str, data: str, message: str | None) -> None:
    """With `message=`, the message is read only from that path, with dots into objects and lists."""
    assert ErrorEvent(event="error", message=path).read(says(data))[0] == message


@pytest.mark.parametrize(
    ("mark", "data", "code"),
    [
        (ErrorEvent(event="e"), '{"code": 7}', 7),
        (ErrorEvent(event="e"), '{"code": "rate_limit"}', "rate_limit"),
        (ErrorEvent(event="e"), '{"code": null}', None),
        (ErrorEvent(event="e"), '{"error": {"code": 7}, "code": 8}', 7),
        (ErrorEvent(event="e"), '{"error": {"type": "busy", "status": 5}, "code": 8}', "busy"),
        (ErrorEvent(event="e"), '{"error": {"code": null, "type": "busy"}}', "busy"),
        (ErrorEvent(event="e"), '{"error": {"code": "", "status": "UNAVAILABLE"}}', "UNAVAILABLE"),
        (ErrorEvent(event="e"), '{"error": {"code": 0, "type": "busy"}}', 0),
        (ErrorEvent(event="e"), '{"error": {"message": "no"}, "code": 8}', 8),
        (ErrorEvent(event="e"), '{"error": "no", "status": 503}', 503),
        (ErrorEvent(event="e"), '{"code": null, "status": 503}', 503),
        (ErrorEvent(event="e"), '{"code": {"n": 1}, "status": [1]}', None),
        (ErrorEvent(event="e"), '{"type": "error", "message": "no"}', None),
        (ErrorEvent(event="e"), "no object", None),
        (ErrorEvent(event="e"), '[{"code": 7}]', None),
        (ErrorEvent(event="e", code="code"), '{"error": {"code": 7}}', None),
        (ErrorEvent(event="e", code="error.type"), '{"error": {"type": "overloaded"}}', "overloaded"),
        (ErrorEvent(event="e", code="error"), '{"error": {"type": 1}}', {"type": 1}),
    ],
    ids=str,
)
def test_the_code(mark: ErrorEvent, data: str, code: Any) -> None:
    """
    `code=` is the path of the code, of any type. Without it, a string or a number is searched in the usual places.
    """
    assert mark.read(says(data))[1] == code


@pytest.mark.parametrize("value", ["null", "false", '""', "{}", "[]", " [ ] "])
def test_an_error_that_is_none(value: str) -> None:
    """A field whose value is null, false or empty is not an error; for a terminator it is present."""
    event = says(f'{{"error": {value}, "text": "x"}}')
    assert ErrorEvent(field="error").match(event) is None
    assert ErrorEvent(event="message", field="error").match(event) is None
    assert (ErrorEvent(field="text") | ErrorEvent(field="error")).match(event) is not None
    assert Terminator(field="error").match(event) is not None
    # An explicit value always counts.
    assert ErrorEvent(field="error", values=[None, False, "", {}, []]).match(event) is not None


@pytest.mark.parametrize("value", ["true", "0", "1", '"x"', '" "', '{"code": null}', "[null]"])
def test_an_error_that_is_one(value: str) -> None:
    """Any other value of the field is an error."""
    assert ErrorEvent(field="error").match(says(f'{{"error": {value}}}')) is not None


@pytest.mark.parametrize(
    ("retry", "code", "is_transient"),
    [
        ({"overloaded"}, "overloaded", True),
        ({"overloaded"}, "overload", False),
        ({"overloaded"}, None, False),
        ((), None, False),
        ((), "overloaded", False),
        ([429, 503], 503, True),
        ([429, 503], "503", False),
        ({"503"}, 503, False),
        ({1}, True, False),
        ({0}, False, False),
        ({"a"}, {"type": "a"}, False),
        ({"a"}, ["a"], False),
        (iter(["a", "b"]), "b", True),
    ],
    ids=[f"{number}" for number in range(13)],
)
def test_transient_codes(retry: Any, code: Any, is_transient: bool) -> None:
    """`retry` lists the codes of transient errors; any other JSON is the code of a permanent one."""
    mark = ErrorEvent(event="error", retry=retry)
    assert mark.is_transient(code) is is_transient


@pytest.mark.parametrize(
    ("retry", "text"),
    [
        ("busy", r"expected a collection for retry, got 'busy'; write \{'busy'\}"),
        ([True], r"expected strings and integers for retry, got \[True\]"),
        ([None, "a"], r"expected strings and integers for retry, got \[None, 'a'\]"),
    ],
    ids=["text", "true", "null"],
)
def test_codes_that_are_refused(retry: Any, text: str) -> None:
    """A string is not a collection of codes, and codes are strings or integers."""
    with pytest.raises(TypeError, match=text):
        ErrorEvent(event="error", retry=retry)


DEPTHS = (10, 100, 150, 190, 210, 500, 900, 950, 980, 990, 2_000, 5_000, 9_000, 100_000)
DEEP = {
    "objects": ("", '{"error":', "}", ""),
    "a list of details": ('{"detail":', "[", "]", "}"),
    "a list of objects": ('{"message":', '[{"a":', "}]", "}"),
    "a code": ('{"code":', "[", "]", "}"),
    "a code of objects": ('{"message": "no", "error": {"code":', '{"a":', "}", "}}"),
}
PATHS: list[dict[str, Any]] = [{}, {"message": "code", "code": "code"}, {"code": "error"}]


@pytest.mark.parametrize("shape", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("paths", PATHS, ids=["usual", "code", "error"])
@pytest.mark.parametrize("left", [None, 100, 60])
def test_an_error_nested_deeply(shape: tuple[str, ...], paths: dict[str, Any], left: int | None) -> None:
    """An error's JSON is read however deeply it is nested, even if Python's stack is nearly full."""
    before, begin, end, after = shape
    mark = ErrorEvent(event="error", **paths)

    def read(event: ServerSentEvent) -> None:
        message, code = mark.read(event)
        assert message is None or isinstance(message, str)
        assert isinstance(shown(code), str)
        ErrorEvent(field="error").match(event)

    for depth in DEPTHS:
        event = says(f"{before}{begin * depth}1{end * depth}{after}", "error")
        with_frames(left, partial(read, event))


def with_frames(left: int | None, call: Callable[[], Any]) -> Any:
    """Call it with that many frames left on Python's stack; `None` for as many as there are."""
    if left is None:
        return call()
    depth = sum(1 for _ in walk_stack(None))

    def deeper(more: int) -> Any:
        return call() if more <= 0 else deeper(more - 1)

    return deeper(sys.getrecursionlimit() - depth - left)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (says("[DONE]"), True),
        (says("[DONE]", "done"), False),
        (says("[done]"), False),
        (says("[DONE]\n"), False),
        (says(""), False),
    ],
)
def test_is_done(event: ServerSentEvent, expected: bool) -> None:
    """The end marker is an unnamed event with exactly the data `[DONE]`."""
    assert is_done(event) is expected
