"""What a user writes, as type checkers see it. This file is checked and never run."""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, assert_type

import httpx

from sse_client import (
    AsyncEventStream,
    AsyncSSEClient,
    Comment,
    Cursor,
    Dialect,
    ErrorEvent,
    EventEncoder,
    EventParser,
    EventStream,
    LastEventID,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    Terminator,
    Timeouts,
    aiter_events,
    iter_events,
)

Outcome = Literal["completed", "truncated", "interrupted", "timeout", "error_event", "cancelled", "abandoned", "failed"]


def asks_for_a_token() -> dict[str, str]:
    return {"Authorization": "Bearer …"}


async def asks_for_a_token_async() -> dict[str, str]:
    return {"Authorization": "Bearer …"}


def read() -> None:
    with SSEClient(base_url="http://localhost:8000", headers={"X-Token": "…"}) as client:
        assert_type(client, SSEClient)
        assert_type(client.post("/chat", json={"message": "hi"}), EventStream)
        assert_type(client.get("/chat", params={"q": "hi"}), EventStream)
        assert_type(client.stream("PUT", "/chat", content=b"hi"), EventStream)
        assert_type(client.subscribe("/feed", last_event_id="7"), EventStream)

        with client.post("/chat", json={"message": "hi"}) as stream:
            assert_type(stream, EventStream)
            assert_type(stream.response.status_code, int)
            assert_type(stream.response.headers, Mapping[str, str])
            assert_type(stream.response.http_version, str)
            for event in stream:
                assert_type(event, ServerSentEvent)
                assert_type(event.event, str)
                assert_type(event.data, str)
                assert_type(event.id, str)
                assert_type(event.retry, int | None)
            assert_type(next(stream), ServerSentEvent)
            assert_type(list(stream), list[ServerSentEvent])
            assert_type(stream.outcome, Outcome | None)
            assert_type(stream.state, Literal["waiting", "streaming", "closed"])
            assert_type(stream.last_event_id, str)
            assert_type(stream.stats.events, int)
            assert_type(stream.stats.time_to_first_event, float | None)
            assert_type(stream.close(), None)

        for event in client.get("/feed"):
            assert_type(event, ServerSentEvent)


async def read_async() -> None:
    async with AsyncSSEClient(base_url="http://localhost:8000") as client:
        assert_type(client, AsyncSSEClient)
        assert_type(client.post("/chat", json={"message": "hi"}), AsyncEventStream)
        assert_type(client.get("/chat"), AsyncEventStream)
        assert_type(client.stream("PUT", "/chat", content=b"hi"), AsyncEventStream)
        assert_type(client.subscribe("/feed"), AsyncEventStream)

        async with client.post("/chat", json={"message": "hi"}) as stream:
            assert_type(stream, AsyncEventStream)
            assert_type(stream.response.status_code, int)
            async for event in stream:
                assert_type(event, ServerSentEvent)
            assert_type(await anext(stream), ServerSentEvent)
            assert_type([event async for event in stream], list[ServerSentEvent])
            assert_type(stream.outcome, Outcome | None)
            assert_type(stream.state, Literal["waiting", "streaming", "closed"])
            assert_type(await stream.aclose(), None)


def ends(client: SSEClient, outcome: Outcome | None) -> str:
    match outcome:
        case "completed" | "truncated" | "interrupted" | "timeout":
            return outcome
        case "error_event" | "cancelled" | "abandoned" | "failed":
            return outcome
        case None:
            return "running"


def misspelt(stream: EventStream) -> bool:
    return stream.outcome == "complete"  # type: ignore[comparison-overlap]


def options(client: SSEClient) -> None:
    client.post("/", timeout=30)
    client.post("/", timeout=30.0)
    client.post("/", timeout=None)
    client.post("/", timeout=Timeouts(idle=30, total=None))
    client.post("/", retry=None)
    client.post("/", retry=RetryPolicy(max_retries=None, on=lambda attempt, error: None))
    client.post("/", retry=RetryPolicy(on=lambda attempt, error: attempt < 3))
    client.post("/", resume=None)
    client.post("/", resume=LastEventID())
    client.post("/", resume=LastEventID(method="GET", url=lambda response: f"/streams/{response.headers['id']}"))
    client.post("/", resume=LastEventID(url=lambda response: response.headers.get("location")))
    client.post("/", resume=Cursor(0, lambda cursor, event: cursor + 1, lambda cursor, request: request))
    client.post("/", resume=Cursor(0, lambda cursor, event: cursor + 1, lambda cursor, request: None))
    client.subscribe("/", retry=replace(RetryPolicy.RECONNECT, max_delay=60.0))
    client.subscribe("/", resume=LastEventID(retry=replace(RetryPolicy.RESUME, max_retries=None)))
    client.post("/", terminator=None, errors=None, max_event_size=1000)
    client.post(
        "/", terminator=Terminator(data="end") | Terminator(event="end") | Terminator(field="type", values={"end"})
    )
    client.post("/", errors=ErrorEvent(event="error") | ErrorEvent(field="type", values=["error"], code="error.type"))
    client.post("/", params=[("a", "b")], cookies={"c": "d"}, data={"e": "f"}, files={"g": b"h"}, auth=("me", "…"))
    client.get("/", cross_origin_redirects=True)


def comments(client: SSEClient, aclient: AsyncSSEClient, response: httpx.Response) -> None:
    assert_type(client.post("/", comments=True), EventStream[ServerSentEvent | Comment])
    assert_type(client.stream("PUT", "/", json={}, comments=True), EventStream[ServerSentEvent | Comment])
    assert_type(client.subscribe("/", comments=True), EventStream[ServerSentEvent | Comment])
    assert_type(aclient.get("/", comments=True), AsyncEventStream[ServerSentEvent | Comment])
    assert_type(client.post("/", comments=False), EventStream[ServerSentEvent])
    assert_type(
        client.post("/", comments=True, dialect=Dialect(pings={"ping"})), EventStream[ServerSentEvent | Comment]
    )
    assert_type(iter_events(response, comments=True), EventStream[ServerSentEvent | Comment])
    assert_type(aiter_events(response, comments=True), AsyncEventStream[ServerSentEvent | Comment])
    for value in client.post("/", comments=True):
        match value:
            case ServerSentEvent(data=data):
                assert_type(data, str)
            case Comment(text=text):
                assert_type(text, str)
    client.post("/", events=int, comments=True)  # type: ignore[call-overload]
    client.post("/", comments="yes")  # type: ignore[call-overload]
    client.post("/", comments=True, dialect=Dialect(events=int))  # type: ignore[call-overload]


async def opened(client: SSEClient, aclient: AsyncSSEClient) -> None:
    assert_type(client.post("/").open(), EventStream)
    assert_type(await aclient.post("/", events=int).open(), AsyncEventStream[int])


def headers(client: SSEClient, aclient: AsyncSSEClient) -> None:
    client.post("/", headers={"A": "b"})
    client.post("/", headers=[("A", "b"), ("A", "c")])
    client.post("/", headers={b"A": b"b"})
    client.post("/", headers=httpx.Headers())
    client.post("/", headers=asks_for_a_token)
    client.post("/", headers=lambda: None)
    aclient.post("/", headers={"A": "b"})
    aclient.post("/", headers=asks_for_a_token)
    aclient.post("/", headers=asks_for_a_token_async)
    SSEClient(headers=asks_for_a_token)
    AsyncSSEClient(headers=asks_for_a_token)
    AsyncSSEClient(headers=asks_for_a_token_async)

    # An async function needs the async client.
    SSEClient(headers=asks_for_a_token_async)  # type: ignore[arg-type]
    client.post("/", headers=asks_for_a_token_async)  # type: ignore[arg-type]
    client.get("/", headers=asks_for_a_token_async)  # type: ignore[arg-type]
    client.subscribe("/", headers=asks_for_a_token_async)  # type: ignore[arg-type]


def mistakes(client: SSEClient, aclient: AsyncSSEClient) -> None:
    client.post("/", jsn={})  # type: ignore[call-overload]
    client.subscribe("/", retries=3)  # type: ignore[call-overload]
    aclient.post("/", terminater=None)  # type: ignore[call-overload]
    client.post("/", None)  # type: ignore[call-overload]
    client.post("/", timeout="30")  # type: ignore[call-overload]
    client.post("/", resume=True)  # type: ignore[call-overload]
    client.post("/", terminator="[DONE]")  # type: ignore[call-overload]
    client.post("/", terminator=ErrorEvent(data="x"))  # type: ignore[call-overload]
    SSEClient(base_uri="")  # type: ignore[call-arg]
    SSEClient("http://localhost")  # type: ignore[call-arg]


async def mistakes_in_async(aclient: AsyncSSEClient) -> None:
    async with aclient.post("/") as stream:
        for _ in stream:  # type: ignore[attr-defined]
            pass
    with aclient.post("/"):  # type: ignore[attr-defined]
        pass


def without_a_client(response: httpx.Response) -> None:
    assert_type(iter_events(response), EventStream)
    assert_type(aiter_events(response), AsyncEventStream)
    assert_type(iter_events(response, events=int | str), EventStream[int | str])
    assert_type(aiter_events(response, events=int, unknown="keep"), AsyncEventStream[int | ServerSentEvent])
    iter_events(response, terminator=Terminator(data="x"), errors=ErrorEvent(data="y"), max_event_size=100)
    iter_events(response, json={})  # type: ignore[call-overload]
    parser = EventParser(last_event_id="7", on_comment=print, on_unknown=lambda line: None)
    assert_type(parser.feed(b"data: x\n\n"), list[ServerSentEvent])
    assert_type(parser.last_event_id, str)
    assert_type(parser.reconnection_time, int | None)
    parser.feed("data: x")  # type: ignore[arg-type]


def to_bytes(event: ServerSentEvent) -> None:
    encoder = EventEncoder(last_event_id="7")
    assert_type(encoder.encode(event), bytes)
    assert_type(encoder.comment(" ping"), bytes)
    assert_type(encoder.retry(3000), bytes)
    encoder.encode("data: x")  # type: ignore[arg-type]
    encoder.retry("3000")  # type: ignore[arg-type]


def sources(
    sync: Callable[[], Mapping[str, str]],
    none: Callable[[], None],
    awaitable: Callable[[], Awaitable[Mapping[str, str]]],
) -> Any:
    SSEClient(headers=sync)
    SSEClient(headers=none)
    AsyncSSEClient(headers=awaitable)
    return SSEClient(headers=awaitable)  # type: ignore[arg-type]
