"""What a user writes in tests of their own, as type checkers see it. This file is checked and never run."""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import assert_type

import httpx
import httpx2
from pydantic import BaseModel

from sse_client import AsyncEventStream, AsyncSSEClient, EventStream, ServerSentEvent, SSEClient, iter_events
from sse_client.testing import (
    FIN,
    RST,
    Answer,
    Connection,
    EventServer,
    Faults,
    Pause,
    RecordedRequest,
    Script,
    ScriptedTransport,
    encode,
    pings,
    read_cassette,
    record,
    replay,
    resumable,
    scripted_transport,
    write_cassette,
)


class Text(BaseModel):
    content: str


EVENT = ServerSentEvent(data="1")


def by_the_request(request: RecordedRequest) -> Answer:
    assert_type(request.method, str)
    assert_type(request.headers["accept"], str)
    assert_type(request.headers.get("last-event-id"), str | None)
    assert_type(request.body, bytes)
    assert_type(request.received_at, float)
    assert_type(request.done.is_set(), bool)
    assert_type(request.responded, bool)
    return Answer(f"data: {request.target}\n\n", delay=0.5)


def refuses(request: RecordedRequest) -> Answer:
    raise httpx.ConnectError("refused")


def answers() -> None:
    answer = Answer("data: 1\n\n", b"\n", EVENT, Pause(inf), print, lambda: None, FIN)
    assert_type(answer, Answer)
    assert_type(Answer(*pings(15, 3), RST, framing="length", headers={"X-Id": "1", "Cache-Control": None}), Answer)
    assert_type(Answer.json({"error": "no"}, status=503), Answer)
    assert_type(answer.playing([EVENT, FIN]), Answer)
    assert_type(resumable("1", EVENT), Callable[[RecordedRequest], Answer])
    assert_type(encode(EVENT, EVENT), bytes)
    Answer(1)  # type: ignore[arg-type]
    Answer(framing="none")  # type: ignore[arg-type]


def servers() -> None:
    with EventServer(Answer(EVENT), by_the_request, resumable("1")) as server:
        assert_type(server, EventServer)
        assert_type(server.url, str)
        assert_type(server.requests, list[RecordedRequest])
        assert_type(server.wait_for_requests(1), list[RecordedRequest])


def transports() -> None:
    transport = scripted_transport(Answer(EVENT), by_the_request, refuses)
    assert_type(transport, ScriptedTransport)
    assert_type(transport.requests, list[RecordedRequest])
    with httpx.Client(transport=transport) as http, SSEClient(http_client=http) as client:
        assert_type(client.post("/chat", events=Text), EventStream[Text])
    httpx.Client(transport=scripted_transport(Answer(EVENT)))
    httpx.Client(mounts={"https://": scripted_transport(Answer(EVENT))})
    httpx2.Client(transport=scripted_transport(Answer(EVENT)))
    scripted_transport("data: 1\n\n")  # type: ignore[arg-type]


async def async_transports() -> None:
    transport = scripted_transport(Answer(EVENT))
    async with httpx.AsyncClient(transport=transport) as http, AsyncSSEClient(http_client=http) as client:
        assert_type(client.post("/chat", events=Text), AsyncEventStream[Text])
    httpx2.AsyncClient(transport=transport)
    httpx2.AsyncClient(mounts={"https://": transport})


def faults() -> None:
    faulty = Faults(after_events=2, then=(EVENT, Pause(inf)), cut="characters", line_end="\r\n")
    assert_type(faulty, Faults)
    assert_type(faulty(Answer(EVENT)), Callable[[RecordedRequest], Answer])
    assert_type(faulty(by_the_request), Callable[[RecordedRequest], Answer])
    assert_type(Faults(requests=1)(faulty(resumable("1"))), Callable[[RecordedRequest], Answer])
    scripts: list[Script] = [Answer(EVENT), by_the_request, faulty(Answer(EVENT))]
    EventServer(*scripts, Faults(answer=Answer.json(None))(scripts[0]))
    Faults(then=RST)
    Faults(then=pings())
    Faults(then=lambda: None)
    Faults(cut="lines")  # type: ignore[arg-type]
    Faults(1)  # type: ignore[call-arg]


def cassettes(client: SSEClient, path: Path, response: httpx.Response) -> None:
    assert_type(record(client.post("/chat"), path), EventStream)
    assert_type(record(client.post("/chat", events=Text), "chat.jsonl", keep={"X-Trace-Id"}), EventStream[Text])
    assert_type(record(iter_events(response), path), EventStream)
    with record(client.post("/chat", events=Text), path) as stream:
        for event in stream:
            assert_type(event, Text)
    assert_type(replay(path), tuple[Answer, ...])
    scripted_transport(*replay("chat.jsonl", speed=inf))
    scripted_transport(*map(Faults(cut="bytes"), replay(path)))
    record(client, path)  # type: ignore[call-overload]
    assert_type(read_cassette(path), tuple[Connection, ...])
    assert_type(read_cassette("chat.jsonl")[0].pieces, tuple[tuple[float, bytes], ...])
    write_cassette(path, *read_cassette(path), keep={"Via"})


async def async_cassettes(client: AsyncSSEClient, path: Path) -> None:
    stream = client.post("/chat", events=Text)
    assert_type(record(stream, path), AsyncEventStream[Text])
    assert_type(record(client.post("/chat", events=Text), path), AsyncEventStream[Text])
    async with record(stream, path) as recorded:
        async for event in recorded:
            assert_type(event, Text)


def fixtures(
    sse_server: Callable[..., EventServer],
    sse_transport: Callable[..., ScriptedTransport],
    sse_cassette: Callable[..., ScriptedTransport],
) -> None:
    assert_type(sse_server(Answer(EVENT)).url, str)
    httpx.Client(transport=sse_transport(Answer(EVENT)))
    httpx2.AsyncClient(transport=sse_cassette("chat.jsonl", speed=1.0))
