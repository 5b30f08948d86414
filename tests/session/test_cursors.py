"""Resuming with the user's cursor."""

from dataclasses import replace

import pytest

from session.driver import REFUSED, RESET, A, B, Scene, ok, plan, run
from sse_client._event import ServerSentEvent
from sse_client._request import Request
from sse_client._resume import Cursor


def test_each_stream_has_a_cursor_of_its_own() -> None:
    """A cursor that `advance` changes in place is not shared with other streams of the same `resume=`."""

    def advance(cursor: list[str], event: ServerSentEvent) -> list[str]:
        cursor.append(event.data)
        return cursor

    def request(cursor: list[str], request: Request) -> Request:
        return replace(request, json=list(cursor))

    initial: list[str] = []
    resume = Cursor(initial, advance, request)
    for _ in range(2):
        result = run(plan(resume=resume), ok(A, RESET), ok(B))
        assert result.connects[1].request.json == ["a"]
    assert resume.initial == []


def test_a_cursor() -> None:
    """
    `advance` is called once for each finished event, in order, and `request` makes the next request from its result.
    """
    advanced: list[str] = []

    def advance(cursor: int, event: ServerSentEvent) -> int:
        advanced.append(event.data)
        return cursor + 1

    def request(cursor: int, request: Request) -> Request:
        return replace(request, json={"after": cursor})

    cursor = Cursor(10, advance, request)
    result = run(plan(resume=cursor), ok(A + B, RESET), REFUSED, ok(b"data: c\n\n", RESET), ok(b"data: d\n\n"))
    assert result.data == advanced == ["a", "b", "c", "d"]
    assert [step.request.json for step in result.connects] == [
        {"message": "hi"},
        {"after": 12},
        {"after": 12},
        {"after": 13},
    ]
    assert result.ids == [None] * 4


def test_a_cursor_is_not_advanced_by_what_is_not_finished() -> None:
    """The cursor is not advanced by an event that the user still handles, or by one that is pending."""
    advanced: list[str] = []

    def advance(_: None, event: ServerSentEvent) -> None:
        advanced.append(event.data)

    result = Scene(plan(resume=Cursor(None, advance, lambda _, request: request)), ok(A + B + b"data: c\n\n")).take(2)
    assert advanced in ([], ["a"])
    result.leave(ValueError())
    assert "b" not in advanced
    assert "c" not in advanced


def test_the_users_own_mistake_in_a_cursor() -> None:
    """An exception in `advance` comes out unchanged."""

    def advance(_: None, event: ServerSentEvent) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(plan(resume=Cursor(None, advance, lambda _, request: request)), ok(A, RESET))
