"""What goes to httpx2, as type checkers see it. This file is checked and never run."""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncGenerator
from typing import assert_type

import httpx2

from sse_client import AsyncEventStream, AsyncSSEClient, EventStream, SSEClient, aiter_events, iter_events


class Token(httpx2.Auth):
    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        yield request


def signs(request: httpx2.Request) -> httpx2.Request:
    return request


def http_clients() -> None:
    assert_type(SSEClient(http_client=httpx2.Client()).get("/"), EventStream)
    assert_type(AsyncSSEClient(http_client=httpx2.AsyncClient()).get("/"), AsyncEventStream)
    SSEClient(http_client=httpx2.AsyncClient())  # type: ignore[arg-type]
    SSEClient(http_client=httpx2.HTTPTransport())  # type: ignore[arg-type]
    AsyncSSEClient(http_client=httpx2.Client())  # type: ignore[arg-type]


def arguments(client: SSEClient, aclient: AsyncSSEClient) -> None:
    client.post("/", auth=httpx2.NetRCAuth())
    client.post("/", auth=signs)
    aclient.post("/", auth=Token())
    client.post("/", params=httpx2.QueryParams(a="b"))
    client.post("/", cookies=httpx2.Cookies())
    client.post("/", headers=httpx2.Headers())
    client.post("/", auth=httpx2.Cookies())  # type: ignore[call-overload]
    client.post("/", cookies=httpx2.Headers())  # type: ignore[call-overload]


def responses(response: httpx2.Response) -> None:
    assert_type(iter_events(response, events=int), EventStream[int])
    assert_type(aiter_events(response), AsyncEventStream)
    iter_events(response.request)  # type: ignore[call-overload]
