"""WisQu, content and then metadata: its promises, over real sockets."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
import wisqu
from _serving import running
from shells import Shell
from wisqu import CHAT, HEADERS, WISQU, Content, Metadata, Reply

from apps.helpers import data
from sse_client import (
    ConnectionFailed,
    ErrorEventReceived,
    RetryPolicy,
    StatusError,
    StreamError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
)
from sse_client.testing import FIN, Answer, EventServer, Pause, RecordedRequest

ARABIC = "السلام عليكم ورحمة الله وبركاته 🕌"
METADATA = data(message_id="m1", usage={"words": 5})
WHOLE = {"content": "all of it", "message_id": "m2", "usage": {"words": 3}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(wisqu.app) as url:
        yield url


def ask(shell: Shell, url: str, *messages: str, drawn: list[str] | None = None, **client: Any) -> list[Reply]:
    """Send messages with the application's own client, sync or async, one after the other."""
    draw = (list[str]() if drawn is None else drawn).append
    client = {"headers": HEADERS, "retry": RetryPolicy(initial_delay=0.01, jitter=0), **client}

    async def ask_async() -> list[Reply]:
        async with shell.aclient(client, {"base_url": url}) as sse:
            return [await wisqu.ask_async(sse, message, draw) for message in messages]

    if shell.kind != "sync":
        return anyio.run(ask_async, backend=shell.kind)
    with shell.client(client, {"base_url": url}) as sse:
        return [wisqu.ask(sse, message, draw) for message in messages]


def test_whole_reply(url: str, shell: Shell) -> None:
    """The reply is the text and then the metadata, which ends it without a `[DONE]`."""
    drawn: list[str] = []
    [reply] = ask(shell, url, ARABIC, drawn=drawn)
    assert reply == Reply(content=ARABIC, message_id="m1", usage={"words": 6})
    assert "".join(drawn) == ARABIC


def test_text_is_drawn_ten_characters_at_a_time(url: str, shell: Shell) -> None:
    """Text is drawn ten characters at a time; the rest is drawn at the end."""
    drawn: list[str] = []
    ask(shell, url, "0123456789abcdefghij!?", drawn=drawn)
    assert drawn == ["0123456789", "abcdefghij", "!?"]


def test_without_the_slash(url: str, shell: Shell) -> None:
    """The 307 is followed, with method, body and token."""
    body = wisqu.question("hi", stream=True)
    assert httpx.post(url + CHAT.rstrip("/"), json=body, headers=HEADERS).status_code == 307
    result = shell.read(url + CHAT.rstrip("/"), json=body, headers=HEADERS, dialect=WISQU)
    events: list[object] = list(result.events)
    assert events == [Content(content="h"), Content(content="i"), Metadata(message_id="m1", usage={"words": 1})]


def test_the_request_is_what_it_should_be(shell: Shell) -> None:
    """The request has the application's token and body."""
    with EventServer(Answer(METADATA)) as server:
        ask(shell, server.url, "hi")
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/api/v1/chat/")
    assert request.headers["authorization"] == "Bearer test-token"
    assert request.json() == {"conversation_id": "c1", "message": "hi", "stream": True}


def test_the_connection_is_kept_for_the_next_message(shell: Shell) -> None:
    """Three messages use one connection, although only the metadata ends a reply."""
    with EventServer(Answer(data(content=ARABIC), METADATA)) as server:
        replies = ask(shell, server.url, "one", "two", "three")
    assert [reply.content for reply in replies] == [ARABIC] * 3
    assert (len(server.requests), server.connections) == (3, 1)


STREAM = (data(content=ARABIC) + METADATA).encode()


def test_one_byte_at_a_time(shell: Shell) -> None:
    """Characters beyond ASCII and JSON arrive whole, even if every piece is a single byte."""
    with EventServer(Answer(*(bytes([byte]) for byte in STREAM))) as server:
        [reply] = ask(shell, server.url, "hi")
    assert (reply.content, reply.usage) == (ARABIC, {"words": 5})


def test_cut_at_each_byte(shell: Shell) -> None:
    """Wherever the network cuts a stream in two, the reply is the same."""
    answers = [Answer(STREAM[:cut], Pause(0.001), STREAM[cut:]) for cut in range(1, len(STREAM))]
    with EventServer(*answers) as server:
        replies = ask(shell, server.url, *["hi"] * len(answers))
    assert {(reply.content, reply.message_id) for reply in replies} == {(ARABIC, "m1")}
    assert server.connections == 1


FAULTS = {
    "a bad gateway": Answer("<h1>Bad gateway</h1>", status=502, headers={"x-should-retry": "false"}),
    "a page": Answer("<h1>Welcome</h1>", headers={"Content-Type": "text/html"}),
    "JSON": Answer('{"detail": "no streams"}', headers={"Content-Type": "application/json"}),
    "a cut": Answer(FIN),
    "a cut in the first event": Answer(data(content=ARABIC).encode()[:20], FIN),
    "an end": Answer(),
    "a comment, and an end": Answer(": hello\n\n"),
    "an error": Answer(data(error="no streams")),
}


def answered(by: Answer, request: RecordedRequest) -> Answer:
    if request.json()["stream"]:
        return by
    return Answer(json.dumps(WHOLE), headers={"Content-Type": "application/json"}, framing="length")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_way_out(fault: str, shell: Shell) -> None:
    """If nothing was shown, the same request is sent once more, for a response in one piece."""
    drawn: list[str] = []
    with EventServer(partial(answered, FAULTS[fault])) as server:
        [reply] = ask(shell, server.url, "hi", drawn=drawn)
    assert (reply, drawn) == (Reply.model_validate(WHOLE), ["all of it"])
    bodies = [request.json() for request in server.requests]
    assert bodies == [wisqu.question("hi", stream=True), wisqu.question("hi", stream=False)]


@pytest.mark.parametrize("end", [[FIN], [], ["data: {", FIN], [data(error="overloaded")]])
def test_no_way_out_once_something_was_shown(end: list[Any], shell: Shell) -> None:
    """After one event there is no second request: its text is drawn, and the error is raised."""
    drawn: list[str] = []
    with (
        EventServer(partial(answered, Answer(data(content="short"), *end))) as server,
        pytest.raises(StreamError) as caught,
    ):
        ask(shell, server.url, "hi", drawn=drawn)
    assert drawn == ["short"]
    assert caught.value.partial == Reply(content="short")
    assert len(server.requests) == 1


def test_the_way_out_fails_too(shell: Shell) -> None:
    """If the second request fails too, its error is raised."""
    with (
        EventServer(Answer('{"error": "closed"}', status=410, framing="length")) as server,
        pytest.raises(StatusError, match="closed"),
    ):
        ask(shell, server.url, "hi")
    assert len(server.requests) == 2


def test_nobody_is_there(shell: Shell) -> None:
    """If no server listens, a `ConnectionFailed` is raised."""
    with EventServer(Answer()) as server:
        url = server.url
    with pytest.raises(ConnectionFailed):
        ask(shell, url, "hi")


def test_without_metadata_it_is_not_whole(shell: Shell) -> None:
    """A reply that ends without its metadata is truncated or interrupted, never completed."""
    for end, expected in ([], StreamTruncated), ([FIN], StreamInterrupted):
        with EventServer(Answer(data(content="a"), *end)) as server:
            result = shell.read(server.url, dialect=WISQU)
        assert type(result.error) is expected


def test_an_error_says_what_the_server_said(shell: Shell) -> None:
    """The error has the server's message."""
    with EventServer(Answer(data(content="a"), data(error="الخادم مشغول"))) as server:
        result = shell.read(server.url, dialect=WISQU)
    assert isinstance(result.error, ErrorEventReceived)
    assert result.error.message == "الخادم مشغول"


def test_a_type_field_does_no_harm(shell: Shell) -> None:
    """An event is recognized by its fields, whether or not it also has a type."""
    answer = Answer(data(type="content", content="a"), data(type="metadata", message_id="m1", usage={}))
    with EventServer(answer) as server:
        [reply] = ask(shell, server.url, "hi")
    assert reply == Reply(content="a", message_id="m1")


def test_a_reply_that_takes_too_long(shell: Shell) -> None:
    """The total is for the whole reply; text that was shown stays, and is not requested again."""
    assert wisqu.TIMEOUT == 30
    steps = [step for _ in range(100) for step in (data(content="word "), Pause(0.02))]
    drawn: list[str] = []
    with (
        EventServer(partial(answered, Answer(*steps))) as server,
        pytest.raises(StreamTimeout) as caught,
    ):
        ask(shell, server.url, "hi", drawn=drawn, timeout=0.15)
    assert caught.value.partial.content.startswith("word ")
    assert "".join(drawn) == caught.value.partial.content
    assert len(server.requests) == 1
