"""Reconnecting after a fault: retries, redirects and resumes as a server sees them, over real sockets."""

import logging
import re
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from shells import PATIENCE, Run, Shell, every_shell, in_turn

from sse_client import (
    ConnectionFailed,
    Cursor,
    LastEventID,
    RetryPolicy,
    ServerSentEvent,
    SSEError,
    StatusError,
    StreamInterrupted,
)
from sse_client.testing import FIN, RST, Answer, EventServer, RecordedRequest

QUICK = RetryPolicy(initial_delay=0.01, jitter=0)
OK = Answer("data: ok\n\n")


def status(code: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer('{"error": "no"}', status=code, headers={"Content-Type": "application/json", **named})


def gap(server: EventServer) -> float:
    """The seconds between the first two requests."""
    first, second, *_ = server.requests
    return second.received_at - first.received_at


class Tokens:
    """A function for `headers=`, with a new token each time."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> dict[str, str]:
        self.count += 1
        return {"Authorization": f"Bearer {self.count}"}


def test_401_asks_for_the_headers_anew(shell: Shell) -> None:
    """After a 401, a headers function is called once more, and the request is sent again at once."""
    with EventServer(status(401), OK) as server:
        result = shell.read(server.url, headers=(tokens := Tokens()), retry=None)
    assert result.data == ["ok"]
    assert tokens.count == 2
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer 1", "Bearer 2"]
    assert gap(server) < 0.5 * PATIENCE


def test_401_twice(shell: Shell) -> None:
    """A second 401 is raised: the headers function is not called for ever."""
    with EventServer(status(401)) as server:
        result = shell.read(server.url, client={"headers": Tokens(), "retry": QUICK})
    assert isinstance(result.error, StatusError)
    assert result.error.status_code == 401
    assert len(server.requests) == 2


def test_401_to_fixed_headers(shell: Shell) -> None:
    """After a 401, fixed headers are not sent again."""
    with EventServer(status(401), OK) as server:
        result = shell.read(server.url, headers={"Authorization": "Bearer 1"})
    assert isinstance(result.error, StatusError)
    assert len(server.requests) == 1


def test_each_attempt_asks_for_its_headers(shell: Shell) -> None:
    """A headers function is called before each attempt, not once per call."""
    with EventServer(status(503), status(503), OK) as server:
        result = shell.read(server.url, headers=Tokens(), retry=QUICK)
    assert result.data == ["ok"]
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer 1", "Bearer 2", "Bearer 3"]


def test_retry_after_is_waited_for(shell: Shell) -> None:
    """`Retry-After: 1` is a minimum for the delay."""
    with EventServer(status(429, Retry_After="1"), OK) as server:
        result = shell.read(server.url, retry=QUICK)
    assert result.data == ["ok"]
    assert 1.0 <= gap(server) < 1.8 * PATIENCE


def test_retry_after_an_hour_is_raised(shell: Shell) -> None:
    """If the server asks for an hour, the error is raised at once, and says so."""
    with EventServer(status(429, Retry_After="3600"), OK) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, StatusError)
    assert result.error.status_code == 429
    assert "the server asked for a delay of 3600 s, above the limit of 120 s" in str(result.error)
    assert len(server.requests) == 1


def test_503_503_200(shell: Shell) -> None:
    """The user does not see two refusals that pass."""
    with EventServer(status(503), status(503), OK) as server:
        result = shell.read(server.url, json={"a": 1}, retry=QUICK)
    assert (result.error, result.data) == (None, ["ok"])
    assert [request.json() for request in server.requests] == [{"a": 1}] * 3
    assert result.stream is not None
    assert result.stream.stats.attempts == 3
    assert gap(server) >= 0.01


def test_503_for_ever(shell: Shell) -> None:
    """After two retries the error is the last refusal, with the server's words and the number of attempts."""
    with EventServer(status(503)) as server:
        result = shell.read(server.url, retry=QUICK)
    assert isinstance(result.error, StatusError)
    assert result.error.message == "no"
    assert len(server.requests) == 3
    assert re.search(r"; gave up after 3 attempts in \d\.\d s$", str(result.error))
    assert result.error.stats.attempts == 3


def test_400_is_final(shell: Shell) -> None:
    """A 400 is not retried."""
    with EventServer(status(400), OK) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, StatusError)
    assert len(server.requests) == 1


@every_shell
def test_a_refused_connection(shell: Shell) -> None:
    """A server that is not up yet is retried: no request has reached it, so that is safe for a POST."""
    failures: list[SSEError] = []
    heads: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            heads.append(client.recv(65_536))
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ok\n\n")

    server = threading.Thread(target=serve)

    def on(_: int, error: SSEError) -> None:
        failures.append(error)
        listener.listen()
        server.start()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound, and not listening: no other process gets this port
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        result = shell.read(url, retry=replace(QUICK, on=on))
        server.join()
    assert (result.error, result.data) == (None, ["ok"])
    [failure] = failures
    assert isinstance(failure, ConnectionFailed)
    assert (failure.ambiguous, failure.clock) == (False, None)
    assert heads[0].startswith(b"POST / ")


@every_shell
def test_a_lost_answer_to_a_post(shell: Shell) -> None:
    """A POST that may have reached the server is not sent again, and the error names the options that allow it."""
    with EventServer(Answer(RST, framing="raw"), OK) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, ConnectionFailed)
    assert result.error.ambiguous
    assert "RetryPolicy(retry_ambiguous=True)" in str(result.error)
    assert "idempotency_key_header=" in str(result.error)
    assert len(server.requests) == 1


@every_shell
def test_a_lost_answer_to_a_get(shell: Shell) -> None:
    """A GET that was lost is sent again, because it is idempotent."""
    with EventServer(Answer(RST, framing="raw"), OK) as server:
        result = shell.read(server.url, method="GET", retry=QUICK)
    assert result.data == ["ok"]
    assert len(server.requests) == 2


def test_a_body_that_is_used_up(shell: Shell) -> None:
    """A body from an iterator can be sent only once, and the error says so."""

    def pieces() -> Iterator[bytes]:
        yield b"one-shot"

    async def apieces() -> AsyncIterator[bytes]:
        yield b"one-shot"

    content = pieces() if shell.kind == "sync" else apieces()
    with EventServer(status(503), OK) as server:
        result = shell.read(server.url, content=content)
    assert isinstance(result.error, StatusError)
    assert "used up by one attempt" in str(result.error)
    assert [request.body for request in server.requests] == [b"one-shot"]


def test_one_idempotency_key_for_all_attempts(shell: Shell) -> None:
    """`idempotency_key_header=` sends one key with all attempts of a call, which makes a lost response retryable."""
    client = {"idempotency_key_header": "Idempotency-Key", "retry": QUICK}
    with EventServer(status(503), Answer(FIN, framing="raw"), OK, OK) as server:
        assert shell.read(server.url, client=client).data == ["ok"]
        assert shell.read(server.url, client=client).data == ["ok"]
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]


SECRETS: dict[str, Any] = {
    "client": {"headers": {"X-Extension-Token": "tok-secret"}},
    "http": {"cookies": {"session": "cookie-secret"}, "headers": {"X-Below": "below-secret"}},
    "auth": ("user", "password-secret"),
    "headers": {"X-Call": "call-secret", "User-Agent": "agent-secret"},
    "json": {"a": 1},
}


def redirect(code: int, location: str) -> Answer:
    return Answer(status=code, headers={"Location": location}, framing="length")


@pytest.mark.parametrize("code", [307, 308])
def test_a_redirect_to_another_origin_is_refused(shell: Shell, code: int) -> None:
    """Without `cross_origin_redirects=True`, a redirect to another origin is refused, and nothing reaches it."""
    with EventServer(OK) as other, EventServer(redirect(code, f"{other.url}/b?key=k-secret")) as server:
        result = shell.read(server.url, **SECRETS)
    assert isinstance(result.error, StatusError)
    assert result.error.status_code == code
    assert "another origin" in str(result.error)
    assert "cross_origin_redirects=True" in str(result.error)
    assert "secret" not in str(result.error)
    assert len(server.requests) == 1
    assert other.connections == 0


def test_a_redirect_to_another_origin_is_followed_without_credentials(shell: Shell) -> None:
    """With `cross_origin_redirects=True`, the other origin gets the body, but none of the user's credentials."""
    with EventServer(OK) as other, EventServer(redirect(307, f"{other.url}/b")) as server:
        result = shell.read(server.url, cross_origin_redirects=True, **SECRETS)
    assert (result.error, result.data) == (None, ["ok"])
    [here], [there] = server.requests, other.requests
    assert "secret" in repr(here.headers)
    assert here.headers["authorization"].startswith("Basic ")
    assert (there.method, there.target, there.json()) == ("POST", "/b", {"a": 1})
    assert "secret" not in repr(there)
    allowed = {"host", "accept", "accept-encoding", "content-type", "content-length", "connection", "user-agent"}
    assert set(there.headers) <= allowed
    assert there.headers["accept"] == "text/event-stream"
    assert there.headers["content-type"] == "application/json"
    assert there.headers["user-agent"].startswith("sse-client/")


def test_a_redirect_within_the_origin(shell: Shell) -> None:
    """A 307 within the origin is followed with everything that the request had."""
    with EventServer(redirect(307, "/b?c=d"), OK) as server:
        result = shell.read(f"{server.url}/a", **SECRETS)
    assert (result.error, result.data) == (None, ["ok"])
    first, second = server.requests
    assert (second.method, second.target, second.json()) == ("POST", "/b?c=d", {"a": 1})
    assert dict(second.headers) == dict(first.headers)
    assert second.headers["x-extension-token"] == "tok-secret"
    assert result.stream is not None
    assert str(result.stream.response.url) == f"{server.url}/b?c=d"


@pytest.mark.parametrize("code", [301, 302, 303])
def test_a_redirect_that_would_drop_the_body(shell: Shell, code: int) -> None:
    """A POST does not become a GET."""
    with EventServer(redirect(code, "/b"), OK) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, StatusError)
    assert "would become a GET" in str(result.error)
    assert len(server.requests) == 1


def test_a_redirect_to_nowhere(shell: Shell) -> None:
    """An empty `Location` is refused, not followed to the same URL again and again."""
    with EventServer(redirect(307, ""), OK) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, StatusError)
    assert "Location is empty" in str(result.error)
    assert len(server.requests) == 1


def test_a_circle_of_redirects(shell: Shell) -> None:
    """A loop of redirects ends after as many as a browser follows."""
    with EventServer(redirect(307, "/again")) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, StatusError)
    assert "limit is 20" in str(result.error)
    assert len(server.requests) == 21


def events(*numbers: int) -> str:
    return "".join(f"id: {number}\ndata: {number}\n\n" for number in numbers)


def last_event_ids(server: EventServer) -> list[str | None]:
    return [request.headers.get("last-event-id") for request in server.requests]


CUT = Answer("retry: 1\n", events(1, 2), "id: 3\ndata: lost", RST)


def test_resume_with_the_same_request(shell: Shell) -> None:
    """`LastEventID()` sends the same request again, with the ID of the last event, and no event is lost."""
    with EventServer(CUT, Answer(events(3, 4))) as server:
        result = shell.read(f"{server.url}/a?b=c", json={"a": 1}, headers={"X-Call": "1"}, resume=LastEventID())
    assert (result.error, result.data) == (None, ["1", "2", "3", "4"])
    assert last_event_ids(server) == [None, "2"]
    for request in server.requests:
        assert (request.method, request.target, request.json()) == ("POST", "/a?b=c", {"a": 1})
        assert request.headers["x-call"] == "1"


def test_resume_waits_for_the_server_s_time(shell: Shell) -> None:
    """The stream's own `retry` is the delay before a resume."""
    with EventServer(Answer("retry: 400\n", events(1), RST), Answer(events(2))) as server:
        result = shell.read(server.url, resume=LastEventID())
    assert result.data == ["1", "2"]
    assert 0.4 <= gap(server) < 1.0 * PATIENCE


def test_resume_with_a_get(shell: Shell) -> None:
    """`LastEventID(method="GET")` drops the body, as in MCP, and keeps the headers."""
    with EventServer(CUT, Answer(events(3))) as server:
        result = shell.read(
            server.url, json={"a": 1}, headers={"X-Call": "1"}, resume=LastEventID(method="GET", url=f"{server.url}/r")
        )
    assert (result.error, result.data) == (None, ["1", "2", "3"])
    first, second = server.requests
    assert (first.method, first.target, first.json()) == ("POST", "/", {"a": 1})
    assert (second.method, second.target, second.body) == ("GET", "/r", b"")
    assert (second.headers["last-event-id"], second.headers["x-call"]) == ("2", "1")
    assert "content-type" not in second.headers


def test_resume_at_a_url_of_the_response(shell: Shell) -> None:
    """`url=` may be a function of the first response."""

    def url(response: Any) -> str:
        return f"{server.url}/runs/{response.headers['x-run']}"

    first = Answer("retry: 1\n", events(1), RST, headers={"X-Run": "r7"})
    second = Answer(events(2), RST, headers={"X-Run": "other"})
    with EventServer(first, second, Answer(events(3))) as server:
        result = shell.read(server.url, resume=LastEventID(method="GET", url=url))
    assert (result.error, result.data) == (None, ["1", "2", "3"])
    assert [request.target for request in server.requests] == ["/", "/runs/r7", "/runs/r7"]


def test_resume_with_a_cursor(shell: Shell) -> None:
    """A `Cursor` makes the request that the server expects, such as OpenAI's `starting_after`."""

    def response(*numbers: int) -> str:
        return "".join(f'data: {{"response": "resp_1", "sequence_number": {number}}}\n\n' for number in numbers)

    def advance(cursor: tuple[str, int], event: ServerSentEvent) -> tuple[str, int]:
        found = event.json()
        return found["response"], found["sequence_number"]

    def request(cursor: tuple[str, int], request: Any) -> Any:
        name, after = cursor
        params = {"stream": "true", "starting_after": str(after)}
        return replace(request, method="GET", url=f"{server.url}/responses/{name}", params=params, json=None)

    cut = Answer("retry: 1\n", response(1, 2), RST)
    with EventServer(cut, status(502), Answer(response(3), RST), Answer(response(4), "data: [DONE]\n\n")) as server:
        result = shell.read(f"{server.url}/responses", json={}, resume=Cursor(("", 0), advance, request))
    assert result.error is None
    assert [event.json()["sequence_number"] for event in result.events] == [1, 2, 3, 4]
    assert [(request.method, request.target) for request in server.requests] == [
        ("POST", "/responses"),
        ("GET", "/responses/resp_1?stream=true&starting_after=2"),
        ("GET", "/responses/resp_1?stream=true&starting_after=2"),
        ("GET", "/responses/resp_1?stream=true&starting_after=3"),
    ]


def test_resume_outlives_refusals(shell: Shell) -> None:
    """A resume that is refused, or gets no event stream, is a failed attempt, and the ID stays."""
    login = Answer("<html>", headers={"Content-Type": "text/html"})
    with EventServer(CUT, status(503), login, Answer(events(3))) as server:
        result = shell.read(server.url, resume=LastEventID())
    assert (result.error, result.data) == (None, ["1", "2", "3"])
    assert last_event_ids(server) == [None, "2", "2", "2"]


def test_resume_gives_up(shell: Shell) -> None:
    """If all attempts to resume fail, the stream is interrupted, with the last failure as the cause."""
    with EventServer(CUT, status(503), status(502)) as server:
        result = shell.read(server.url, resume=LastEventID(retry=RetryPolicy(max_retries=2, initial_delay=0, jitter=0)))
    assert isinstance(result.error, StreamInterrupted)
    assert result.data == ["1", "2"]
    assert (result.error.last_event_id, result.error.stats.events) == ("2", 2)
    assert isinstance(result.error.__cause__, StatusError)
    assert result.error.__cause__.status_code == 502
    assert len(server.requests) == 3


def test_resume_that_has_nothing_more(shell: Shell) -> None:
    """A 204 to a resume means that there is nothing more: the stream is completed."""
    with EventServer(CUT, Answer(status=204)) as server:
        result = shell.read(server.url, resume=LastEventID())
    assert (result.error, result.data) == (None, ["1", "2"])
    assert result.stream is not None
    assert result.stream.outcome == "completed"
    assert len(server.requests) == 2


def test_a_new_client_goes_on(shell: Shell) -> None:
    """`last_event_id=` sends the last ID of an earlier stream, from the first request on."""
    with EventServer(CUT, Answer(events(3)), CUT, Answer(events(3))) as server:
        first = shell.read(server.url)
        assert isinstance(first.error, StreamInterrupted)
        second = shell.read(server.url, last_event_id=first.error.last_event_id)
        assert second.data == ["3"]
        third = shell.read(server.url, last_event_id="0", resume=LastEventID())
        assert third.data == ["1", "2", "3"]
    assert last_event_ids(server) == [None, "2", "0", "2"]


class Trouble(Exception):
    """The user's own exception."""


def handle(shell: Shell, url: str, handler: Callable[[ServerSentEvent], bool], **options: Any) -> tuple[list[str], str]:
    """
    Pass each event to a handler, until it returns True or raises `Trouble`.

    Return the events' data, and the stream's last event ID in the end.
    """
    seen: list[str] = []

    def run() -> str:
        with shell.client({}, {}) as client:
            stream = client.post(url, **options)
            try:
                with stream:
                    for event in stream:
                        seen.append(event.data)
                        if handler(event):
                            break
            except Trouble:
                assert stream.outcome == "abandoned"
            return stream.last_event_id

    async def arun() -> str:
        async with shell.aclient({}, {}) as client:
            stream = client.post(url, **options)
            try:
                async with stream:
                    async for event in stream:
                        seen.append(event.data)
                        if handler(event):
                            break
            except Trouble:
                assert stream.outcome == "abandoned"
            return stream.last_event_id

    return seen, run() if shell.kind == "sync" else shell.run(arun)


def at_once(request: RecordedRequest) -> Answer:
    after = int(request.headers.get("last-event-id", "0"))
    return Answer(events(*range(after + 1, 6)))


def one_by_one(request: RecordedRequest) -> Answer:
    after = int(request.headers.get("last-event-id", "0"))
    return Answer(*(events(number) for number in range(after + 1, 6)))


@pytest.mark.parametrize("answer", [at_once, one_by_one])
def test_an_event_that_the_user_failed_at_comes_again(
    shell: Shell, answer: Callable[[RecordedRequest], Answer]
) -> None:
    """A user whose code fails at an event gets that event again with the stream's last event ID."""

    def fail_at_3(event: ServerSentEvent) -> bool:
        if event.data == "3":
            raise Trouble
        return False

    with EventServer(answer) as server:
        seen, last = handle(shell, server.url, fail_at_3)
        assert (seen, last) == (["1", "2", "3"], "2")
        seen, last = handle(shell, server.url, lambda _: False, last_event_id=last)
        assert (seen, last) == (["3", "4", "5"], "5")


@pytest.mark.parametrize("answer", [at_once, one_by_one])
def test_an_event_that_the_user_left_behind_does_not_come_again(
    shell: Shell, answer: Callable[[RecordedRequest], Answer]
) -> None:
    """A user who leaves the loop after an event has finished it, and resumes after it."""
    with EventServer(answer) as server:
        seen, last = handle(shell, server.url, lambda event: event.data == "3")
        assert (seen, last) == (["1", "2", "3"], "3")
        seen, last = handle(shell, server.url, lambda _: False, last_event_id=last)
        assert (seen, last) == (["4", "5"], "5")


def own_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("sse_client")]


def test_each_retry_is_logged(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    """Each retry is one line at INFO: the failure, the request, the next attempt and its delay."""
    caplog.set_level(logging.DEBUG)
    last = Answer(events(2), "data: [DONE]\n\n")
    with EventServer(status(503), Answer("retry: 70\n", events(1), RST), status(502), last) as server:
        assert shell.read(f"{server.url}/chat", retry=QUICK, resume=LastEventID()).data == ["1", "2"]
    first, second, third = own_records(caplog)
    assert {record.levelno for record in (first, second, third)} == {logging.INFO}
    label = f"POST {server.url}/chat"
    assert [record.getMessage().count(label) for record in (first, second, third)] == [1, 1, 1]
    assert "503" in first.getMessage()
    assert "attempt 2 follows in 0.01 s" in first.getMessage()
    assert "lost" in second.getMessage()
    assert "attempt 3 follows in 0.07 s" in second.getMessage()
    assert "502" in third.getMessage()
    assert "attempt 4 follows in 0.14 s" in third.getMessage()


def test_what_goes_well_is_not_logged(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    """A stream without faults logs nothing at INFO."""
    caplog.set_level(logging.INFO)
    with EventServer(OK) as server:
        shell.read(server.url)
    assert own_records(caplog) == []


SCRIPTS: dict[str, list[Answer]] = {
    "refused": [status(503), status(401), status(400)],
    "no stream": [Answer("<html>", headers={"Content-Type": "text/html"})],
    "lost before the headers": [Answer(RST, framing="raw")],
    "lost after the headers": [Answer(RST)],
    "lost after an event": [CUT, status(503), status(400)],
    "garbled": [Answer(b"what is this\r\n\r\n", framing="raw")],
    "redirected": [redirect(307, "http://127.0.0.2:1/b?key=query-secret")],
}


@in_turn("script", SCRIPTS)
def test_nothing_secret_is_said(shell: Shell, caplog: pytest.LogCaptureFixture, script: str) -> None:
    """No log line, error or `repr` contains a header's value, a query, the user of a URL, a cookie or the body."""
    caplog.set_level(logging.DEBUG)
    tokens = {"Authorization": "Bearer token-secret"}
    with EventServer(*SCRIPTS[script]) as server:
        result = shell.read(
            f"http://name:user-secret@127.0.0.1:{server.port}/a?key=query-secret",
            client={"headers": lambda: tokens, "retry": QUICK},
            http={"cookies": {"session": "cookie-secret"}},
            headers={"X-Call": "call-secret"},
            json={"prompt": "body-secret"},
            resume=LastEventID(),
        )
    assert isinstance(result.error, SSEError)
    said = [record.getMessage() for record in own_records(caplog)]
    said += traceback.format_exception(result.error)
    said += [repr(result.error), repr(result.error.__cause__), repr(result.stream)]
    assert not [text for text in said if "secret" in text]


def test_clients_keep_their_secrets(shell: Shell) -> None:
    """The `repr` of a client contains none of its arguments."""
    client = {"headers": {"X-Extension-Token": "tok-secret"}}

    async def arepr() -> str:
        async with shell.aclient(client, {}) as sse:
            return repr(sse) + repr(sse.post("http://a/?key=query-secret", json={"prompt": "body-secret"}))

    if shell.kind == "sync":
        with shell.client(client, {}) as sse:
            text = repr(sse) + repr(sse.post("http://a/?key=query-secret", json={"prompt": "body-secret"}))
    else:
        text = shell.run(arepr)
    assert "secret" not in text


def test_results_are_typed_errors(shell: Shell) -> None:
    """A failure is one of our errors, with the HTTP client's error as its cause."""
    with EventServer(Answer(RST, framing="raw")) as server:
        result: Run = shell.read(server.url)
    assert isinstance(result.error, ConnectionFailed)
    assert isinstance(result.error.__cause__, shell.library.TransportError)
