"""
Whether a body can be sent again: decided from the arguments alone, before the first attempt.

The cases, each in all combinations with the others:

- the argument with the body: `content`, `data`, `files`, `json`, or none
- its value: text, bytes, a form, a list, a generator, an iterator, a file, an async one
- the reason to send it again: a refusal that is retried, a response that was lost, a 401, a redirect, a resume, a
  reconnection of a subscription
- the method: POST, PUT, GET

A body that cannot be sent again is sent once, and the error says so; any other is sent again unchanged.
"""

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO, StringIO
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from session.driver import REFUSED, RESET, URL, Reply, answer, event, ok, plan, run
from shells import Shell

from sse_client import LastEventID, Request, RetryPolicy, SSEError
from sse_client._core.steps import Failure
from sse_client.testing import RST, Answer, RecordedRequest, scripted_transport


def generator() -> Iterator[bytes]:
    yield b"x"


async def async_generator() -> AsyncIterator[bytes]:
    yield b"x"


class Chunks:
    """An async iterable that is not an iterator."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return async_generator()


class Upload:
    """A file of another library."""

    def read(self, size: int = -1) -> bytes:
        return b""


Body = Callable[[], dict[str, Any]]

REPEATABLE: dict[str, Body] = {
    "nothing": dict,
    "json": lambda: {"json": {"a": 1}},
    "json-null": lambda: {"json": None},
    "content-text": lambda: {"content": "x"},
    "content-bytes": lambda: {"content": b"x"},
    "data-form": lambda: {"data": {"a": "b", "c": b"d", "e": 1, "f": 1.5, "g": True, "h": None}},
    "data-form-of-lists": lambda: {"data": {"a": ["b", 1], "c": ("d", None)}},
    "data-form-of-others": lambda: {"data": {"a": UUID(int=7)}},
    "data-empty-form": lambda: {"data": {}},
    "data-mapping": lambda: {"data": MappingProxyType({"a": "b"})},
    "data-text": lambda: {"data": "a=b"},
    "data-bytes": lambda: {"data": b"a=b"},
    "files-bytes": lambda: {"files": {"a": b"x"}},
    "files-text": lambda: {"files": {"a": "x"}},
    "files-named": lambda: {"files": {"a": ("name", b"x")}},
    "files-typed": lambda: {"files": {"a": ("name", "x", "text/plain")}},
    "files-with-headers": lambda: {"files": {"a": ("name", b"x", "text/plain", {"X": "y"})}},
    "files-pairs": lambda: {"files": [("a", b"x"), ("a", ("name", b"y"))]},
    "files-none": lambda: {"files": {}},
    "files-and-data": lambda: {"files": {"a": b"x"}, "data": {"b": "c"}},
}

USED_UP: dict[str, Body] = {
    "content-generator": lambda: {"content": generator()},
    "content-iterator": lambda: {"content": iter([b"x"])},
    "content-list": lambda: {"content": [b"x"]},
    "content-file": lambda: {"content": BytesIO(b"x")},
    "content-async": lambda: {"content": async_generator()},
    "content-async-iterable": lambda: {"content": Chunks()},
    "data-generator": lambda: {"data": generator()},
    "data-iterator": lambda: {"data": iter([b"x"])},
    "data-file": lambda: {"data": BytesIO(b"x")},
    "data-text-file": lambda: {"data": StringIO("x")},
    "data-async": lambda: {"data": async_generator()},
    "data-list": lambda: {"data": [b"x"]},
    "data-form-of-a-generator": lambda: {"data": {"a": generator()}},
    "data-form-of-a-file": lambda: {"data": {"a": "b", "c": BytesIO(b"x")}},
    "data-form-of-a-list-of-files": lambda: {"data": {"a": ["b", Upload()]}},
    "data-form-of-an-async-generator": lambda: {"data": {"a": async_generator()}},
    "files-file": lambda: {"files": {"a": BytesIO(b"x")}},
    "files-named-file": lambda: {"files": {"a": ("name", BytesIO(b"x"))}},
    "files-typed-file": lambda: {"files": {"a": ("name", Upload(), "text/plain")}},
    "files-one-of-two": lambda: {"files": [("a", b"x"), ("b", BytesIO(b"y"))]},
    "files-pairs-generator": lambda: {"files": (pair for pair in [("a", b"x")])},
    "files-and-a-generator": lambda: {"files": {"a": b"x"}, "data": {"b": generator()}},
}


@pytest.mark.parametrize("name", [*REPEATABLE, *USED_UP])
def test_which_bodies_can_be_sent_again(name: str) -> None:
    """Text and bytes can be sent again, wherever they are; iterators and files cannot."""
    body = (REPEATABLE.get(name) or USED_UP[name])()
    request = Request(method="POST", url=URL, **body)
    assert request.is_repeatable is (name in REPEATABLE)
    assert request.is_repeatable is (name in REPEATABLE)  # asking uses nothing up
    without_body = LastEventID(method="GET").request(request, None)
    assert without_body is not None
    assert without_body.is_repeatable


LOST = Failure(ConnectionResetError("reset"), "reset")
AGAIN = RetryPolicy(jitter=0.0, retry_ambiguous=True)
REASONS: dict[str, tuple[dict[str, Any], Reply]] = {
    "refused": ({}, answer(503)),
    "not-connected": ({}, REFUSED),
    "lost": ({}, LOST),
    "broken": ({}, ok(RESET)),
    "401": ({"can_refresh": True}, answer(401)),
    "redirect": ({}, answer(307, location="/b")),
    "redirect-elsewhere": ({"cross_origin_redirects": True}, answer(308, location="http://other/")),
    "resume": ({"resume": LastEventID()}, ok(event(1), RESET)),
    "resume-after-an-id": ({"resume": LastEventID()}, ok(b"id: 1\n\n", RESET)),
    "feed": ({"is_subscription": True}, ok()),
}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize("reason", REASONS)
def test_what_is_sent_again(reason: str, method: str) -> None:
    """Whatever the reason, a body that can be sent again is. Any other is sent once, and the error says why."""
    options, reply = REASONS[reason]
    for name, body in {**REPEATABLE, **USED_UP}.items():
        arguments = body()
        request = Request(method=method, url=URL, **arguments)
        result = run(plan(request, **{"retry": AGAIN, **options}), reply, answer(204))
        assert len(result.connects) == 1 + (name in REPEATABLE), name
        for step in result.connects:
            for key, value in arguments.items():
                assert getattr(step.request, key) is value, name
        if name in USED_UP:
            said = "the body cannot be sent again" if reason.startswith("redirect") else "used up by one attempt"
            assert said in str(result.error), name


@pytest.mark.parametrize("reason", ["resume", "resume-after-an-id"])
def test_a_get_in_place_of_it(reason: str) -> None:
    """A resume by GET has no body, so the body of the first request does not matter."""
    for body in {**REPEATABLE, **USED_UP}.values():
        request = Request(method="POST", url=URL, **body())
        result = run(plan(request, resume=LastEventID(method="GET")), REASONS[reason][1], ok(event(2)))
        assert result.outcome == "completed"


SENT_ONCE = {
    name: USED_UP[name]
    for name in ("content-iterator", "data-iterator", "data-file", "data-generator", "files-file", "files-one-of-two")
}


def read(shell: Shell, body: Body, *script: Answer) -> tuple[SSEError | None, list[RecordedRequest]]:
    transport = scripted_transport(*script)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # httpx wants `content=` for a body that is not a form
        result = shell.read("http://test/", http={"transport": transport}, retry=RetryPolicy(jitter=0), **body())
    return result.error, transport.requests


@pytest.mark.parametrize("name", REPEATABLE)
def test_a_body_is_sent_again_unchanged(shell: Shell, name: str) -> None:
    """A body is sent again as it was, except for the boundary, which httpx chooses again for files."""
    error, requests = read(shell, REPEATABLE[name], Answer(status=503), Answer("data: ok\n\n"))
    assert error is None
    first, second = requests
    boundary = first.headers.get("content-type", "").partition("boundary=")[2]
    other = second.headers.get("content-type", "").partition("boundary=")[2]
    assert second.body == (first.body.replace(boundary.encode(), other.encode()) if boundary else first.body)
    assert bool(first.body) is (name not in ("nothing", "json-null", "data-empty-form", "files-none"))


@pytest.mark.parametrize("name", SENT_ONCE)
def test_a_body_is_not_sent_again_empty(shell: Shell, name: str) -> None:
    """A body that is used up is never sent again as if it were empty."""
    if shell.kind != "sync" and not name.startswith("files"):
        pytest.skip("an async client takes async iterators only")
    error, requests = read(shell, SENT_ONCE[name], Answer(status=503), Answer("data: ok\n\n"))
    assert "used up by one attempt" in str(error)
    assert len(requests) == 1
    assert requests[0].body


def test_an_async_body_is_not_sent_again_empty(shell: Shell) -> None:
    """An async generator in `data=` is not sent again either, after a lost response."""
    if shell.kind == "sync":
        pytest.skip("a sync client takes no async iterators")
    error, requests = read(shell, lambda: {"data": async_generator()}, Answer(RST, framing="raw"))
    assert error is not None
    assert [request.body for request in requests] == [b"x"]
