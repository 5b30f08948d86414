"""Redirects as a table over one function: follow, or the reason not to. The tests of clients use real transports."""

from dataclasses import replace

import httpx
import pytest

from sse_client import Request
from sse_client._core.redirects import MAX_REDIRECTS, Follow, Refuse, Route, follow, is_same_origin, origin
from sse_client._core.steps import Head

POST = Request(method="POST", url="http://test/chat", params={"a": 1})
GET = replace(POST, method="GET")
ONCE = replace(POST, content=iter([b"x"]))
HERE = "http://test/chat"
ELSEWHERE = "it leads to another origin, https://other; cross_origin_redirects=True allows that"

ROWS: dict[str, tuple[int, str, Request, str, Route, bool, Follow | Refuse | None]] = {
    "307": (307, "/b", POST, HERE, Route(), False, Follow("http://test/b", False)),
    "308": (308, "b", POST, "http://test/a/c", Route(), False, Follow("http://test/a/b", False)),
    "301-of-a-get": (301, "/b", GET, HERE, Route(), False, Follow("http://test/b", False)),
    "303-of-a-get": (303, "/b", GET, HERE, Route(), False, Follow("http://test/b", False)),
    "302-of-a-post": (302, "/b", POST, HERE, Route(), False, Refuse("a POST would become a GET")),
    "303-of-a-post": (303, "/b", POST, HERE, Route(), False, Refuse("a POST would become a GET")),
    "to-https": (307, "https://test/b", POST, HERE, Route(), False, Follow("https://test/b", False)),
    "to-http": (
        307,
        "http://test/b",
        POST,
        "https://test/a",
        Route(),
        True,
        Refuse("it leads from https to http"),
    ),
    "elsewhere": (307, "https://other/b?q=secret", POST, HERE, Route(), False, Refuse(ELSEWHERE)),
    "elsewhere-with-a-user": (307, "https://u:p@other/b", POST, HERE, Route(), False, Refuse(ELSEWHERE)),
    "elsewhere-allowed": (307, "https://other/b", POST, HERE, Route(), True, Follow("https://other/b", True)),
    "the-user-of-the-url": (307, "/b", POST, "http://u:p@test/a", Route(), False, Follow("http://u:p@test/b", False)),
    "empty": (307, " ", POST, HERE, Route(), False, Refuse("its Location is empty or not a URL")),
    "no-url": (307, "http://[", POST, HERE, Route(), False, Refuse("its Location is empty or not a URL")),
    "the-last": (307, "/b", POST, HERE, Route(MAX_REDIRECTS - 1), False, Follow("http://test/b", False)),
    "one-too-many": (307, "/b", POST, HERE, Route(MAX_REDIRECTS), False, Refuse("the limit is 20 redirects")),
    "used-up": (307, "/b", ONCE, HERE, Route(), False, Refuse("the body cannot be sent again")),
    "300": (300, "/b", POST, HERE, Route(), False, None),
    "304": (304, "/b", POST, HERE, Route(), False, None),
    "200": (200, "/b", POST, HERE, Route(), False, None),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_follow(row: tuple[int, str, Request, str, Route, bool, Follow | Refuse | None]) -> None:
    """A redirect is followed, or the reason not to is returned."""
    status, location, request, url, route, cross_origin, expected = row
    head = Head(status, httpx.Headers({"Location": location}), url)
    assert follow(head, request, route, cross_origin=cross_origin) == expected


def test_no_location() -> None:
    """A redirect without a Location is a response like any other."""
    assert follow(Head(307, httpx.Headers(), HERE), POST, Route(), cross_origin=False) is None


def test_routes() -> None:
    """A route counts its redirects, keeps the latest URL, and stays foreign once it is."""
    first = Route().followed(Follow("http://other/a", True))
    second = first.followed(Follow("http://other/b", False))
    assert (first, second) == (Route(1, "http://other/a", True), Route(2, "http://other/b", True))
    assert second.again() == Route(0, "http://other/b", True)
    assert second.applied_to(POST) == replace(POST, url="http://other/b", params=None)
    assert Route().applied_to(POST) is POST


@pytest.mark.parametrize(
    ("url", "other", "is_same"),
    [
        ("http://a/x", "http://a:80/y", True),
        ("http://a/", "https://a/", True),
        ("http://a:80/", "https://a:443/", True),
        ("http://a:8000/", "https://a:8000/", False),
        ("http://a/", "http://b/", False),
        ("https://a/", "http://a/", False),
        ("http://u@a/", "http://a/", True),
    ],
)
def test_origins(url: str, other: str, is_same: bool) -> None:
    """An origin is scheme, host and port; https at its default port may replace http at its own."""
    assert is_same_origin(url, other) is is_same
    assert "@" not in origin(url)
