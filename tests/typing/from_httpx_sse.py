"""Code written for httpx-sse whose import has changed, as type checkers see it. This file is checked and never run."""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, assert_type

import httpx
import httpx2

import sse_client
from sse_client.httpx_sse import EventSource, ServerSentEvent, SSEError, aconnect_sse, connect_sse


def with_httpx(client: httpx.Client) -> Iterator[ServerSentEvent]:
    with connect_sse(client, "POST", "/", json={}, headers={"X-Token": "1"}, timeout=None) as source:
        assert_type(source, EventSource[httpx.Response])
        source.response.raise_for_status()
        for event in source.iter_sse():
            assert_type(event, sse_client.ServerSentEvent)
            assert_type(event.retry, int | None)
            yield event
        takes_any_source(source)


async def with_async_httpx(client: httpx.AsyncClient) -> None:
    async with aconnect_sse(client, "GET", "/") as source:
        assert_type(source, EventSource[httpx.Response])
        await source.response.aclose()
        async for event in source.aiter_sse():
            assert_type(event.data, str)
        await source.aiter_sse().aclose()


async def with_httpx2(client: httpx2.Client, aclient: httpx2.AsyncClient) -> None:
    with connect_sse(client, "GET", "/") as source:
        assert_type(source.response, httpx2.Response)
    async with aconnect_sse(aclient, "GET", "/") as asource:
        assert_type(asource.response, httpx2.Response)


def takes_any_source(source: EventSource) -> None:
    """Without a parameter it is the source of an httpx response, as in httpx-sse."""
    assert_type(source.response, httpx.Response)


def own_responses(response: httpx.Response, other: httpx2.Response) -> None:
    assert_type(EventSource(response), EventSource[httpx.Response])
    assert_type(EventSource(other).response, httpx2.Response)


@asynccontextmanager
async def wrapped(client: httpx.AsyncClient, **options: Any) -> AsyncGenerator[EventSource, None]:
    async with aconnect_sse(client, "GET", "/", **options) as source:
        yield source


def errors() -> None:
    try:
        pass
    except SSEError as error:
        assert_type(error.request, httpx.Request)


def mistakes(client: httpx.Client, aclient: httpx.AsyncClient) -> None:
    connect_sse(aclient, "GET", "/")  # type: ignore[arg-type]
    aconnect_sse(client, "GET", "/")  # type: ignore[arg-type]
    connect_sse(client, "GET")  # type: ignore[call-arg]
    connect_sse("http://localhost", "GET", "/")  # type: ignore[arg-type]
    EventSource("data: a")  # type: ignore[type-var]
