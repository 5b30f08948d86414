"""
What goes to httpx, as type checkers see it. This file is checked and never run.

It is also checked without httpx2, which is optional: a class of a library that is missing must not become `Any`.
"""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Generator
from http.cookiejar import CookieJar
from typing import Any, BinaryIO, assert_type

import httpx

from sse_client import AsyncEventStream, AsyncSSEClient, EventStream, SSEClient, aiter_events, iter_events


class Token(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        yield request


class MyClient(httpx.Client):
    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        return super().send(request, **options)


def signs(request: httpx.Request) -> httpx.Request:
    return request


def http_clients() -> None:
    SSEClient(http_client=None)
    SSEClient(http_client=MyClient())
    AsyncSSEClient(http_client=None)
    assert_type(SSEClient(http_client=httpx.Client()).get("/"), EventStream)
    assert_type(AsyncSSEClient(http_client=httpx.AsyncClient()).get("/"), AsyncEventStream)

    SSEClient(http_client=httpx.AsyncClient())  # type: ignore[arg-type]
    SSEClient(http_client=httpx.Client)  # type: ignore[arg-type]
    SSEClient(http_client=httpx)  # type: ignore[arg-type]
    SSEClient(http_client=httpx.HTTPTransport())  # type: ignore[arg-type]
    SSEClient(http_client="http://localhost")  # type: ignore[arg-type]
    AsyncSSEClient(http_client=httpx.Client())  # type: ignore[arg-type]
    AsyncSSEClient(http_client=7)  # type: ignore[arg-type]


def credentials(client: SSEClient, aclient: AsyncSSEClient) -> None:
    SSEClient(auth=("me", "…"))
    SSEClient(auth=(b"me", b"..."))
    SSEClient(auth=httpx.BasicAuth("me", "…"))
    AsyncSSEClient(auth=httpx.DigestAuth("me", "…"))
    client.post("/", auth=None)
    client.post("/", auth=Token())
    client.post("/", auth=signs)
    aclient.post("/", auth=lambda request: request)

    SSEClient(auth=3)  # type: ignore[arg-type]
    SSEClient(auth="token")  # type: ignore[arg-type]
    AsyncSSEClient(auth=("me", "…", "realm"))  # type: ignore[arg-type]
    client.post("/", auth=3)  # type: ignore[call-overload]
    client.get("/", auth="token")  # type: ignore[call-overload]
    aclient.post("/", auth=("me", 3))  # type: ignore[arg-type]
    aclient.subscribe("/", auth={"me": "…"})  # type: ignore[call-overload]


def parameters(client: SSEClient) -> None:
    client.post("/", params={"a": 1, "b": ["c", None], "d": True, "e": 0.5})
    client.post("/", params=[("a", "b"), ("a", 1)])
    client.post("/", params=(("a", "b"), ("a", 1)))
    client.post("/", params="a=b")
    client.post("/", params=httpx.QueryParams(a="b"))
    client.post("/", params=3)  # type: ignore[call-overload]
    client.post("/", params={"a": {"b": "c"}})  # type: ignore[dict-item]


def cookies(client: SSEClient, jar: CookieJar) -> None:
    client.post("/", cookies={"a": "b"})
    client.post("/", cookies=[("a", "b")])
    client.post("/", cookies=jar)
    client.post("/", cookies=httpx.Cookies())
    client.post("/", cookies="a=b")  # type: ignore[call-overload]
    client.post("/", cookies={"a": 1})  # type: ignore[dict-item]


def bodies(client: SSEClient, file: BinaryIO) -> None:
    client.post("/", json={"a": [1, None]})
    client.post("/", content="a")
    client.post("/", content=iter([b"a", b"b"]))
    client.post("/", data={"a": ["b", "c"], "d": 1})
    client.post("/", files={"a": file, "b": "text", "c": ("name", b"", "text/plain", {"X": "y"})})
    client.post("/", files=[("a", ("name", file)), ("a", (None, b""))])
    client.post("/", params=None, cookies=None, files=None, data=None, content=None, json=None)
    client.post("/", content=3)  # type: ignore[call-overload]
    client.post("/", data=b"a")  # type: ignore[call-overload]
    client.post("/", files=file)  # type: ignore[call-overload]
    client.post("/", files={"a": 1})  # type: ignore[dict-item]
    client.post("/", files=["name"])  # type: ignore[list-item]


def responses(response: httpx.Response, body: bytes) -> None:
    assert_type(iter_events(response), EventStream)
    assert_type(aiter_events(response, events=int), AsyncEventStream[int])
    iter_events(None)  # type: ignore[call-overload]
    iter_events(body)  # type: ignore[call-overload]
    iter_events(response.iter_bytes())  # type: ignore[call-overload]
    iter_events(response.request)  # type: ignore[call-overload]
    aiter_events(body, events=int)  # type: ignore[call-overload]
