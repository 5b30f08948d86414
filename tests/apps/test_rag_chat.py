"""RAG chat, where the key is the type: its promises, over real sockets."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import anyio
import pytest
import rag_chat
from _serving import running
from rag_chat import RAG, RETRY, Chat, Page, Update, connect
from shells import PATIENCE, Shell

from apps.helpers import data, recording
from sse_client import (
    ErrorEventReceived,
    Handlers,
    SSEError,
    StatusError,
    StreamError,
    StreamTimeout,
    StreamTruncated,
)
from sse_client.testing import FIN, Answer, EventServer, Pause

FAST = replace(RETRY, initial_delay=0.05)
DONE = "data: [DONE]\n\n"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(rag_chat.app) as url:
        yield url


def dispatch(shell: Shell, url: str, on: Handlers, **options: Any) -> None:
    """Send a request, and call the handlers, in a client of the shell's kind."""

    async def adispatch() -> None:
        async with shell.aclient({"retry": FAST}, {}) as client:
            await client.post(url, dialect=RAG, **options).dispatch(on)

    if shell.kind == "sync":
        with shell.client({"retry": FAST}, {}) as client:
            client.post(url, dialect=RAG, **options).dispatch(on)
    else:
        anyio.run(adispatch, backend=shell.kind)


def fields(on: Handlers, *names: str) -> list[tuple[str, Any]]:
    """Record each field that comes."""
    seen: list[tuple[str, Any]] = []

    def noting(name: str) -> Callable[[Any], None]:
        return lambda value: seen.append((name, value))

    for name in names:
        on.field(name)(noting(name))
    return seen


def test_whole_answer(url: str, anyio_backend: str) -> None:
    """Every part of the reply is in its place on the page."""

    async def main() -> Page:
        page = Page()
        async with connect(url) as client:
            await Chat(client, "s1").ask("what is it", page.handlers())
        return page

    assert anyio.run(main, backend=anyio_backend) == Page(
        stage="writing",
        text="what is it ",
        sources=["question.txt"],
        quality=0.0,
        follow_ups=["Really?"],
        metadata={"words": 3},
        ending="complete",
    )


def test_the_request_is_what_it_should_be() -> None:
    """The body is the message and the session."""

    async def main() -> None:
        async with connect(server.url) as client:
            await Chat(client, "s1").ask("what is it", Handlers())

    with EventServer(Answer(DONE)) as server:
        anyio.run(main)
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/api/chat/stream")
    assert request.json() == {"message": "what is it", "session_id": "s1"}


def test_keep_alive_reaches_nobody(url: str, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's comments keep the connection alive, and are not events."""
    monkeypatch.setattr(rag_chat, "KEEP_ALIVE", 0.005)
    result = shell.read(url + "/api/chat/stream", json={"message": "what is it", "session_id": "s1"}, dialect=RAG)
    assert result.stream is not None
    assert result.stream.stats.comments >= 3
    events: list[object] = list(result.events)
    tokens = [event.token for event in events if isinstance(event, Update)]
    assert "".join(token or "" for token in tokens) == "what is it "


def test_nothing_is_something(shell: Shell) -> None:
    """`""`, `0`, `0.0` and empty values reach their callbacks: a key that is present has a value."""
    on = Handlers()
    seen = fields(on, "stage", "token", "sources", "quality_score", "follow_up_questions", "metadata")
    events = [
        data(token=""),
        data(stage=""),
        data(quality_score=0.0),
        data(quality_score=0),
        data(sources=[], follow_up_questions=[], metadata={}),
    ]
    with EventServer(Answer(*events, DONE)) as server:
        dispatch(shell, server.url, on)
    assert seen == [
        ("token", ""),
        ("stage", ""),
        ("quality_score", 0.0),
        ("quality_score", 0),
        ("sources", []),
        ("follow_up_questions", []),
        ("metadata", {}),
    ]


def test_several_keys_share_an_event(shell: Shell) -> None:
    """Each key of an event reaches its callback, in the order of their registration."""
    on = Handlers()
    seen = fields(on, "stage", "token", "quality_score")
    with EventServer(Answer(data(quality_score=0.5, token="a", stage="s", other=1), DONE)) as server:
        dispatch(shell, server.url, on)
    assert seen == [("stage", "s"), ("token", "a"), ("quality_score", 0.5)]


def test_done_is_no_event(shell: Shell) -> None:
    """`[DONE]` ends the stream, and reaches no callback and no JSON parser."""
    on, seen = recording()
    on.event(lambda update: seen.append(update.token))
    on.unknown(lambda _: seen.append("unknown"))
    with EventServer(Answer(data(token="a"), DONE, data(token="behind"))) as server:
        dispatch(shell, server.url, on)
    assert seen == ["a", "complete", "close"]


ENDS: dict[str, tuple[list[Any], str]] = {
    "done": ([DONE], "complete"),
    "done, and then an error": ([DONE, data(error="too late")], "complete"),
    "an error": ([data(error="no documents")], "ErrorEventReceived"),
    "an empty error, which is none": ([data(error=""), DONE], "complete"),
    "an empty error, and no end": ([data(error="")], "StreamTruncated"),
    "an error, and then done": ([data(error="no documents"), DONE], "ErrorEventReceived"),
    "an end": ([], "StreamTruncated"),
    "a cut": ([FIN], "StreamInterrupted"),
    "no JSON": (["data: {token: a}\n\n", DONE], "DecodeError"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("batched", [False, True])
def test_complete_comes_once_and_never_behind_an_error(end: str, batched: bool, shell: Shell) -> None:
    """Exactly one of complete and error is called, once, and then close."""
    steps, expected = ENDS[end]
    on, seen = recording()
    if batched:
        on.batch(Update)(lambda _: None)
    with EventServer(Answer(data(token="a"), *steps)) as server, suppress(SSEError):
        dispatch(shell, server.url, on)
    assert seen == [expected, "close"]


def test_the_error_says_what_the_server_said(shell: Shell) -> None:
    """The error that is raised has the server's message."""
    with (
        EventServer(Answer(data(token="a"), data(error="no documents"))) as server,
        pytest.raises(ErrorEventReceived, match="no documents") as caught,
    ):
        dispatch(shell, server.url, Handlers())
    assert caught.value.message == "no documents"


@pytest.mark.parametrize("batched", [False, True])
def test_a_handler_s_own_exception_is_its_own(batched: bool, shell: Shell) -> None:
    """A handler's exception comes out unchanged, and the stream is not completed."""
    on, seen = recording()

    def fail(_: object) -> None:
        raise LookupError("a bug of the user's")

    if batched:
        on.batch(Update)(fail)
    else:
        on.field("token")(fail)
    with (
        EventServer(Answer(data(token="a"), data(token="b"), DONE)) as server,
        pytest.raises(LookupError, match="a bug of the user's") as caught,
    ):
        dispatch(shell, server.url, on)
    assert caught.value.__cause__ is None
    assert seen == ["cancel", "close"]


def test_a_value_error_of_a_handler_is_not_a_parse_error(shell: Shell) -> None:
    """A handler's exception comes out unchanged even if it is a ValueError, like a JSON parser's."""
    on = Handlers()
    on.field("token")(int)
    with (
        EventServer(Answer(data(token="a"), DONE)) as server,
        pytest.raises(ValueError, match="invalid literal for int") as caught,
    ):
        dispatch(shell, server.url, on)
    assert type(caught.value) is ValueError


def test_three_attempts(shell: Shell) -> None:
    """The delays are `1000·2ⁿ⁻¹` ms; the server sees them with a twentieth of these."""
    assert [RETRY.delay(n, random=0.5) for n in (1, 2)] == [1, 2]
    with (
        EventServer(Answer(status=503, framing="length")) as server,
        pytest.raises(StatusError),
    ):
        dispatch(shell, server.url, Handlers())
    delays = [after.received_at - before.received_at for before, after in pairwise(server.requests)]
    assert len(delays) == 2
    assert delays[0] >= 0.05
    assert delays[1] >= 0.1
    assert sum(delays) < PATIENCE


def test_a_broken_answer_is_not_asked_for_again(shell: Shell) -> None:
    """After a token, a cut is an error: another attempt would repeat the text that was shown."""
    with (
        EventServer(Answer(data(token="a"), FIN)) as server,
        pytest.raises(StreamError),
    ):
        dispatch(shell, server.url, Handlers())
    assert len(server.requests) == 1


def test_a_time_out_while_comments_come(shell: Shell) -> None:
    """Comments do not extend the total."""
    on, seen = recording()
    steps = [step for _ in range(100) for step in (": keepalive\n\n", Pause(0.02))]
    with EventServer(Answer(data(token="a"), *steps, DONE)) as server:
        started = time.monotonic()
        with pytest.raises(StreamTimeout):
            dispatch(shell, server.url, on, timeout=0.2)
        assert time.monotonic() - started < 0.7 * PATIENCE
    assert seen == ["StreamTimeout", "close"]


def test_tokens_are_flushed_though_nothing_comes(shell: Shell) -> None:
    """Pending tokens are drawn after 50 ms, without waiting for the next token or the end."""
    on = Handlers()
    drawn: list[tuple[str, float]] = []

    @on.batch(Update, interval=0.05)
    def draw(updates: list[Update]) -> None:
        drawn.append(("".join(update.token or "" for update in updates), time.monotonic()))

    tokens = "".join(data(token=token) for token in "abc")
    with EventServer(Answer(tokens, Pause(0.25), data(token="d"), DONE)) as server:
        dispatch(shell, server.url, on)
    assert [text for text, _ in drawn] == ["a", "bc", "d"]
    (_, first), (_, second), (_, third) = drawn
    assert second - first >= 0.04
    assert third - second > 0.1


def test_a_new_question_cancels_the_running_one(url: str, anyio_backend: str) -> None:
    """The running reply is cancelled before the first callback of the new one, which is complete."""
    order: list[str] = []
    first, second = Page(), Page()

    def noting(page: Page, name: str) -> Handlers:
        on = page.handlers()
        on.open(lambda: order.append(f"{name} opens"))
        on.close(lambda: order.append(f"{name} closes"))
        return on

    async def main() -> None:
        async with connect(url) as client, anyio.create_task_group() as tasks:
            chat = Chat(client, "s1")
            tasks.start_soon(chat.ask, "word " * 1000, noting(first, "first"))
            with anyio.fail_after(5):
                while not first.text:  # noqa: ASYNC110 - the page has no event
                    await anyio.sleep(0.01)
                await chat.ask("the next", noting(second, "second"))

    anyio.run(main, backend=anyio_backend)
    assert order == ["first opens", "first closes", "second opens", "second closes"]
    assert (first.ending, second.ending, second.text) == ("cancelled", "complete", "the next ")
    assert set(first.text.split()) == {"word"}


def test_questions_in_quick_succession(anyio_backend: str) -> None:
    """Of many questions only the last one gets a reply; all others are cancelled."""
    pages = [Page() for _ in range(5)]

    async def main() -> None:
        async with connect(server.url) as client, anyio.create_task_group() as tasks:
            chat = Chat(client, "s1")
            for number, page in enumerate(pages):
                tasks.start_soon(chat.ask, str(number), page.handlers())
                await anyio.sleep(0.05 if number == 0 else 0)

    with EventServer(lambda request: Answer(data(token=request.json()["message"]), Pause(0.3), DONE)) as server:
        anyio.run(main, backend=anyio_backend)
    assert [page.ending for page in pages].count("complete") == 1
    complete = next(page for page in pages if page.ending == "complete")
    assert complete.text == str(pages.index(complete))
    assert [page.ending for page in pages].count("cancelled") == 4
    messages = [request.json()["message"] for request in server.requests]
    assert messages[0] == "0"
    assert messages[-1] == complete.text


def test_a_truncated_answer_fails(anyio_backend: str) -> None:
    """The page of a reply that ends too early is failed, and keeps the text so far."""
    page = Page()

    async def main() -> None:
        async with connect(server.url) as client:
            with pytest.raises(StreamTruncated):
                await Chat(client, "s1").ask("?", page.handlers())

    with EventServer(Answer(data(token="a"), data(token="b"))) as server:
        anyio.run(main, backend=anyio_backend)
    assert (page.ending, page.text) == ("failed", "ab")
