"""The record of one event: its fields, its equality, and its data as JSON."""

import json
import pickle
from copy import copy

import pytest

from sse_client._event import ServerSentEvent


def test_defaults() -> None:
    """Fields that are not sent have the initial values of the standard's buffers."""
    event = ServerSentEvent()
    assert (event.event, event.data, event.id, event.retry) == ("message", "", "", None)


def test_equality() -> None:
    """Two events are equal if all of their fields are."""
    event = ServerSentEvent("token", "a", "1", 5)
    assert event == ServerSentEvent(event="token", data="a", id="1", retry=5)
    assert event != ServerSentEvent("done", "a", "1", 5)
    assert event != ServerSentEvent("token", "b", "1", 5)
    assert event != ServerSentEvent("token", "a", "2", 5)
    assert event != ServerSentEvent("token", "a", "1", None)
    as_tuple: object = ("token", "a", "1", 5)
    assert event != as_tuple


def test_repr() -> None:
    """The repr is the call that makes the event."""
    event = ServerSentEvent("token", "a\nb", "1", 5)
    assert repr(event) == r"ServerSentEvent(event='token', data='a\nb', id='1', retry=5)"


def test_pattern_matching() -> None:
    """An event matches by position, event then data, and by name."""
    match ServerSentEvent("token", "a", "1"):
        case ServerSentEvent("token", data, id=id):
            assert (data, id) == ("a", "1")
        case _:
            pytest.fail("no match")


def test_pickle_and_copy() -> None:
    """An event survives pickle and copy unchanged."""
    event = ServerSentEvent("token", "é\u2028", "1", 5)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(event, protocol)) == event
    assert copy(event) == event


def test_no_other_attributes() -> None:
    """An event has its four fields, and a misspelt one is an error."""
    with pytest.raises(AttributeError):
        ServerSentEvent().dta = "a"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"a": [1, 2.5, true, null, "\\u00e9é"]}', {"a": [1, 2.5, True, None, "éé"]}),
        ('{\n"a": 1\n}', {"a": 1}),
        ('"text"', "text"),
        ("0", 0),
        ("null", None),
        (" [] ", []),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ('{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_json(data: str, expected: object) -> None:
    """`json` returns the value of the data, of any kind."""
    assert ServerSentEvent(data=data).json() == expected


@pytest.mark.parametrize("data", ["", "[DONE]", "{", '{"a": 1', '{"a": 1} x', "{'a': 1}", '"\\ud83"', "\ufeff{}"])
def test_json_of_something_else(data: str) -> None:
    """Data that is not JSON raises the standard library's `JSONDecodeError`, a `ValueError`."""
    with pytest.raises(ValueError) as caught:
        ServerSentEvent(data=data).json()
    assert isinstance(caught.value, json.JSONDecodeError)
    assert caught.value.doc == data


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_json_with_half_a_surrogate_pair(half: str) -> None:
    """Half an emoji is accepted: some servers cut text into tokens by UTF-16."""
    event = ServerSentEvent(data=f'{{"token": "a{half}"}}')
    assert event.json() == {"token": "a" + json.loads(f'"{half}"')}


def test_json_twice() -> None:
    """Each call returns a new value, so the caller may change it."""
    event = ServerSentEvent(data="[]")
    event.json().append(1)
    assert event.json() == []
