"""Promises for relays: raw events between typed ones, the event of an error, and no request before it is needed."""

import gc
from typing import Annotated, Any, Literal

import anyio
import httpx
import pytest
from pydantic import BaseModel, Field
from shells import Run, Shell

from sse_client import (
    AsyncSSEClient,
    Dialect,
    ErrorEvent,
    ErrorEventReceived,
    EventEncoder,
    EventParser,
    Named,
    ServerSentEvent,
)
from sse_client.testing import Answer, scripted_transport

URL = "http://test/chat"


class Text(BaseModel):
    type: Literal["text"]
    content: str


class Done(BaseModel):
    type: Literal["done"]


BY_FIELD = Annotated[Text | Done, Field(discriminator="type")]
BY_NAME = Annotated[Text, Named("text")] | Annotated[Done, Named("done")]
A = '{"type": "text", "content": "a"}'
TEXT = Text(type="text", content="a")


def read(shell: Shell, body: str, **options: Any) -> Run:
    return shell.read(URL, http={"transport": scripted_transport(Answer(body))}, client={"retry": None}, **options)


@pytest.mark.parametrize(
    ("events", "body", "kept"),
    [
        (BY_FIELD, 'id: 1\nevent: x\nretry: 5\ndata: {"type":\ndata: "mood"}\n\n', {"data": '{"type":\n"mood"}'}),
        (BY_NAME, "id: 1\nevent: x\nretry: 5\ndata: not JSON\n\n", {"data": "not JSON"}),
        (Annotated[Text, Named("text")], f"id: 1\nevent: x\nretry: 5\ndata: {A}\n\n", {"data": A}),
    ],
    ids=["by-field", "by-name", "one-name"],
)
@pytest.mark.parametrize("is_dialect", [False, True], ids=["argument", "dialect"])
def test_keep(shell: Shell, events: Any, body: str, kept: dict[str, str], is_dialect: bool) -> None:
    """With `unknown="keep"`, an event that the type does not cover is delivered as it came, in its place."""
    options: dict[str, Any] = {"events": events, "unknown": "keep"}
    result = read(
        shell,
        f"event: text\ndata: {A}\n\n{body}event: text\ndata: {A}\n\n",
        **({"dialect": Dialect(**options)} if is_dialect else options),
    )
    assert result.events == [TEXT, ServerSentEvent("x", id="1", retry=5, **kept), TEXT]
    assert result.error is None


def test_keep_what_is_wrong(shell: Shell) -> None:
    """An event that the type covers but that does not match it is an error, not a raw event."""
    result = read(shell, 'data: {"type": "text"}\n\n', events=BY_FIELD, unknown="keep")
    assert type(result.error).__name__ == "DecodeError"
    assert result.events == []


@pytest.mark.parametrize("options", [{}, {"events": BY_FIELD}, {"terminator": None}], ids=["raw", "typed", "no-end"])
def test_the_event_of_an_error(shell: Shell, options: dict[str, Any]) -> None:
    """`ErrorEventReceived.event` is the event as it came, ready to be forwarded."""
    body = 'id: 7\nevent: fail\nretry: 5\ndata: {"type": "error",\ndata: "text": "busy"}\n\n'
    error = read(shell, f"data: {A}\n\n{body}", errors=ErrorEvent(event="fail"), **options).error
    assert isinstance(error, ErrorEventReceived)
    assert error.event == ServerSentEvent("fail", '{"type": "error",\n"text": "busy"}', "7", 5)
    assert EventParser().feed(EventEncoder().encode(error.event)) == [error.event]


@pytest.mark.parametrize("method", ["post", "get", "subscribe"])
def test_nothing_is_sent_before_it_is_asked_for(shell: Shell, method: str) -> None:
    """A stream that was never entered, opened or iterated has sent nothing, whatever else was done with it."""
    transport = scripted_transport(Answer("data: 1\n\n"))

    async def main() -> None:
        async with shell.any_client(http={"transport": transport}) as client:
            make = getattr(client, method)
            dropped, looked_at, accumulated, closed, left = (make(URL) for _ in range(5))
            del dropped
            assert repr(looked_at)
            assert (looked_at.outcome, looked_at.state, looked_at.last_event) == (None, "waiting", None)
            assert (looked_at.last_event_id, looked_at.stats.attempts) == ("", 0)
            with pytest.raises(RuntimeError):
                _ = looked_at.response
            assert accumulated.accumulate(max, "").snapshot == ""
            if shell.kind == "sync":
                closed.close()
            else:
                await closed.aclose()
            del accumulated, closed
            gc.collect()
        assert left.outcome is None  # its client is closed

    shell.run(main)
    assert transport.requests == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_stream_must_be_entered(backend: str) -> None:
    """Iterating an async stream that was not entered is an error before anything is sent."""
    transport = scripted_transport(Answer("data: 1\n\n"))

    async def main() -> None:
        async with httpx.AsyncClient(transport=transport) as http, AsyncSSEClient(http_client=http) as client:
            with pytest.raises(RuntimeError):
                async for _ in client.post(URL):
                    pass

    anyio.run(main, backend=backend)
    assert transport.requests == []
