"""
Event hooks of the user's HTTP client: the exceptions that they raise, and the state that they see.

The cases, each with sync and async, httpx and httpx2:

- the hook that raises: of the request, or of the response
- the exception: an `HTTPStatusError` for the response, another one, a transport's error, an `OSError`, any other
- the response: a stream, a 401, a refusal that is retried or not, a redirect, on the first attempt or on a resume
- the body: not read by the hook, read, read in part, endless
"""

import logging
import re
from collections.abc import Callable
from traceback import format_exception
from types import ModuleType
from typing import Any

import pytest
from shells import Run, Shell

from sse_client import ContentTypeError, LastEventID, RetryPolicy, SSEClient, StatusError, StreamInterrupted
from sse_client.testing import FIN, RST, Answer, EventServer, Pause, scripted_transport

QUICK = RetryPolicy(initial_delay=0.01, jitter=0)
EAGER = RetryPolicy(initial_delay=0.01, jitter=0, retry_ambiguous=True)
OK = Answer("data: ok\n\n")
URL = "http://test/chat?key=query-secret"


def status(code: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer('{"error": "token expired"}', status=code, headers={"Content-Type": "application/json", **named})


def hook(shell: Shell, run: Callable[[Any], object], *, reads: bool = False) -> Any:
    """A hook for the shell's client. With `reads`, it reads the body first."""

    def sync(message: Any) -> None:
        if reads:
            message.read()
        run(message)

    async def asynchronous(message: Any) -> None:
        if reads:
            await message.aread()
        run(message)

    return sync if shell.kind == "sync" else asynchronous


def raise_for_status(response: Any) -> None:
    response.raise_for_status()


def with_hooks(shell: Shell, transport: Any, hooks: dict[str, Callable[[Any], object]], *, reads: bool = False) -> Any:
    """Arguments of an HTTP client with these hooks."""
    return {
        "transport": transport,
        "event_hooks": {name: [hook(shell, each, reads=reads)] for name, each in hooks.items()},
    }


class Tokens:
    """A function for `headers=`."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> dict[str, str]:
        self.count += 1
        return {"Authorization": f"Bearer {self.count}"}


def play(shell: Shell, *script: Answer, response: Any, reads: bool = False, **options: Any) -> tuple[Run, list[str]]:
    """Read a stream; return its result and the requests that it made."""
    transport = scripted_transport(*script, Answer("too many", status=418))
    http = with_hooks(shell, transport, {} if response is None else {"response": response}, reads=reads)
    result = shell.read(URL, http=http, **options)
    return result, [f"{request.target} {request.headers.get('last-event-id')}" for request in transport.requests]


def untimed(text: str) -> str:
    """The text without the seconds that the attempts took."""
    return re.sub(r"in [0-9.]+ s$", "in … s", text)


def summary(result: Run) -> tuple[Any, ...]:
    error, stream = result.error, result.stream
    assert stream is not None
    cause = getattr(error, "__cause__", None)
    return (
        result.data,
        stream.outcome,
        stream.stats.attempts,
        *((type(each), untimed(str(each)), getattr(each, "body", None)) for each in (error, cause)),
    )


CUT = Answer("id: 1\ndata: 1\n\n", RST)
SCRIPTS: dict[str, tuple[list[Answer], dict[str, Any]]] = {
    "ok": ([OK], {}),
    "401": ([status(401)], {}),
    "401-refreshed": ([status(401), OK], {"headers": Tokens}),
    "401-twice": ([status(401), status(401)], {"headers": Tokens}),
    "403": ([status(403)], {"retry": EAGER}),
    "503-retried": ([status(503), OK], {"retry": QUICK}),
    "503-for-ever": ([status(503)] * 3, {"retry": QUICK}),
    "429-retry-after": ([status(429, Retry_After="7"), OK], {"retry": QUICK}),
    "500-said-final": ([status(500, x_should_retry="false")], {"retry": QUICK}),
    "redirect": ([status(307, Location="/b?c=d"), OK], {}),
    "redirect-refused": ([status(302, Location="/b")], {}),
    "no-body": ([Answer(status=404, framing="length")], {}),
    "large-body": ([Answer("x" * 100_000, "y" * 100_000, status=500)], {"retry": None}),
    "endless-body": ([Answer(*("x" * 30_000, Pause(1)) * 20, Pause(1e6), status=500)], {"retry": None}),
    "slow-body": ([Answer("slow", Pause(60), " words", status=500)], {"retry": None}),
    "body-cut": ([Answer("half", FIN, status=500)], {"retry": None}),
    "resume-refused": ([CUT, status(403)], {"resume": LastEventID()}),
    "resume-retried": ([CUT, status(503), Answer("id: 2\ndata: 2\n\n")], {"resume": LastEventID()}),
    "resume-401": ([CUT, status(401), Answer("id: 2\ndata: 2\n\n")], {"resume": LastEventID(), "headers": Tokens}),
    "no-stream": ([Answer("<html>", headers={"Content-Type": "text/html"})], {}),
    "feed": ([status(503), OK, Answer(status=204)], {"method": "SUBSCRIBE"}),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_raise_for_status(shell: Shell, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    A hook that raises for the status changes nothing: not retries, the 401 refresh, redirects, errors, bodies or logs.
    """
    caplog.set_level(logging.INFO, "sse_client")
    script, options = SCRIPTS[name]

    def made() -> dict[str, Any]:
        return {key: value() if value is Tokens else value for key, value in options.items()}

    without = play(shell, *script, response=None, **made())
    quiet = [record.getMessage() for record in caplog.records if record.name == "sse_client"]
    caplog.clear()
    result = play(shell, *script, response=raise_for_status, **made())
    said = [record.getMessage() for record in caplog.records if record.name == "sse_client"]
    assert (summary(result[0]), result[1], said) == (summary(without[0]), without[1], quiet)
    error = result[0].error
    assert "secret" not in "".join([*said, *(format_exception(error) if error else ())])


@pytest.mark.parametrize("name", ["401-refreshed", "403", "503-retried", "redirect", "no-body", "large-body"])
def test_a_hook_that_reads_first(shell: Shell, name: str) -> None:
    """A hook that reads the body before it raises, as in httpx's documentation, changes nothing either."""
    script, options = SCRIPTS[name]

    def run(response: Any) -> None:
        assert response.status_code == 200 or response.content is not None
        response.raise_for_status()

    def made() -> dict[str, Any]:
        return {key: value() if value is Tokens else value for key, value in options.items()}

    without = play(shell, *script, response=None, **made())
    result = play(shell, *script, response=run, reads=True, **made())
    assert (summary(result[0]), result[1]) == (summary(without[0]), without[1])


def test_the_body_that_a_hook_did_not_read(shell: Shell) -> None:
    """Over a real connection, too, the error has the server's message."""
    http = {"event_hooks": {"response": [hook(shell, raise_for_status)]}}
    with EventServer(status(503), status(403)) as server:
        result = shell.read(server.url, http=http, retry=QUICK)
        assert isinstance(result.error, StatusError)
        assert (result.error.status_code, result.error.message) == (403, "token expired")
        assert result.error.__cause__ is None
        assert [request.connection for request in server.requests] in ([1, 1], [1, 2])


def test_a_hook_that_read_a_part(shell: Shell) -> None:
    """A body that a hook has begun to read is not read further: the error has the status and an empty body."""

    def run(response: Any) -> None:
        next(response.iter_bytes())
        response.raise_for_status()

    async def arun(response: Any) -> None:
        async for _ in response.aiter_bytes():
            break
        response.raise_for_status()

    if shell.kind == "trio":
        pytest.skip("httpx leaves one of its generators to the garbage collector, and trio warns of it")
    with EventServer(status(403)) as server:
        http = {"event_hooks": {"response": [run if shell.kind == "sync" else arun]}}
        error = shell.read(server.url, http=http).error
    assert isinstance(error, StatusError)
    assert (error.status_code, error.body) == (403, b"")


def test_a_hook_that_makes_an_error_of_a_stream(shell: Shell) -> None:
    """An `HTTPStatusError` counts as the response that it carries, even if that is a success."""

    def run(response: Any) -> None:
        raise shell.library.HTTPStatusError("mine", request=response.request, response=response)

    result, _ = play(shell, OK, response=run)
    assert (result.error, result.data) == (None, ["ok"])
    result, _ = play(shell, Answer("<html>", headers={"Content-Type": "text/html"}), response=run)
    assert isinstance(result.error, ContentTypeError)
    assert result.error.body == b"<html>"


class Mine(Exception):
    """The user's own exception."""


def other_status_error(library: Any) -> Exception:
    """An `HTTPStatusError` about a request that the hook made itself."""
    request = library.Request("GET", "http://tokens/?key=query-secret")
    response = library.Response(503, request=request)
    error: Exception = library.HTTPStatusError("503 for http://tokens", request=request, response=response)
    return error


ERRORS: dict[str, Callable[[Any], Exception]] = {
    "mine": lambda library: Mine("no"),
    "value": lambda library: ValueError("no"),
    "missing-file": lambda library: FileNotFoundError("token.txt"),
    "connection": lambda library: ConnectionResetError("of another connection"),
    "timeout": lambda library: TimeoutError("of another"),
    "transport": lambda library: library.ReadError("of another request"),
    "connect": lambda library: library.ConnectError("of another request"),
    "transport-timeout": lambda library: library.ReadTimeout("of another request"),
    "status-of-another": other_status_error,
    "status-without-a-request": lambda library: library.HTTPStatusError(
        "none", request=library.Request("GET", "http://x/"), response=library.Response(500)
    ),
}


@pytest.mark.parametrize("place", ["request", "response"])
@pytest.mark.parametrize("name", ERRORS)
def test_any_other_error_is_the_users(shell: Shell, name: str, place: str, caplog: pytest.LogCaptureFixture) -> None:
    """Any other exception of a hook reaches the user as the same object, is not retried, and is not logged."""
    caplog.set_level(logging.DEBUG, "sse_client")
    error = ERRORS[name](shell.library)

    def run(_: Any) -> None:
        raise error

    transport = scripted_transport(OK)
    with pytest.raises(type(error)) as raised:
        shell.read(URL, http=with_hooks(shell, transport, {place: run}), retry=EAGER)
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (None, None)
    assert len(transport.requests) == (0 if place == "request" else 1)
    assert [record for record in caplog.records if record.name == "sse_client"] == []


def test_an_error_of_a_hook_in_a_resume(shell: Shell) -> None:
    """A hook's exception on a resume reaches the user too."""
    seen: list[int] = []

    def run(_: Any) -> None:
        seen.append(1)
        if len(seen) == 2:
            raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        play(shell, CUT, OK, response=run, resume=LastEventID())


def test_the_outcome(library: ModuleType) -> None:
    """A stream that a hook's exception ended is abandoned, as with any exception of the user's code."""

    def run(_: Any) -> None:
        raise OSError("mine")

    http = library.Client(transport=scripted_transport(OK), event_hooks={"response": [run]})
    with http, SSEClient(http_client=http) as client:
        stream = client.post("http://test/")
        with pytest.raises(OSError, match="mine"), stream:
            pass
        assert stream.outcome == "abandoned"


@pytest.mark.parametrize("place", ["request", "response"])
def test_an_error_of_the_transport_is_not_the_users(shell: Shell, place: str) -> None:
    """Hooks that raise nothing change nothing: a lost connection is retried or resumed as usual."""
    transport = scripted_transport(Answer(RST, framing="raw"), CUT, Answer("id: 2\ndata: 2\n\n"))
    http = with_hooks(shell, transport, {place: lambda _: None})
    result = shell.read(URL, http=http, retry=EAGER, resume=LastEventID())
    assert (result.error, result.data) == (None, ["1", "2"])


def test_an_error_of_the_transport_after_one_of_a_hook_was_answered(shell: Shell) -> None:
    """After a response that a hook refused, a transport's error is retried as usual."""
    script = status(503), Answer(RST, framing="raw"), OK
    result, requests = play(shell, *script, response=raise_for_status, retry=EAGER)
    assert (result.error, result.data, len(requests)) == (None, ["ok"], 3)


def test_hooks_run_in_their_order(shell: Shell) -> None:
    """All hooks of the client run once per request, in their order."""
    seen: list[str] = []

    def note(name: str) -> Any:
        return hook(shell, lambda _: seen.append(name))

    hooks = {"request": [note("request")], "response": [note("first"), note("second")]}
    http = {"transport": scripted_transport(status(503), OK), "event_hooks": hooks}
    assert shell.read(URL, http=http, retry=QUICK).data == ["ok"]
    assert seen == ["request", "first", "second"] * 2


def test_hooks_that_are_changed(library: ModuleType) -> None:
    """A hook that is added or replaced between two calls works like the first, and the library adds no hook twice."""
    seen: list[str] = []
    http = library.Client(transport=scripted_transport(OK), event_hooks={"response": [lambda _: seen.append("first")]})
    with http, SSEClient(http_client=http) as client:
        for _ in range(3):
            list(client.post(URL))
        count = len(http.event_hooks["response"])

        def fails(_: Any) -> None:
            raise FileNotFoundError("mine")

        http.event_hooks["response"].append(fails)
        with pytest.raises(FileNotFoundError):
            list(client.post(URL))
        assert len(http.event_hooks["response"]) == count + 1
        http.event_hooks = {"request": [fails]}
        with pytest.raises(FileNotFoundError):
            list(client.post(URL))
        http.event_hooks = {}
        list(client.post(URL))
    assert seen == ["first"] * 4


def test_a_client_without_hooks_stays_without(library: ModuleType) -> None:
    """The library adds nothing to a client that has no hooks."""
    http = library.Client(transport=scripted_transport(OK))
    with http, SSEClient(http_client=http) as client:
        list(client.post(URL))
    assert http.event_hooks == {"request": [], "response": []}


def test_requests_of_others(library: ModuleType) -> None:
    """Other requests of the HTTP client are unchanged: a hook's error is raised, and its response is closed."""
    http = library.Client(transport=scripted_transport(OK, status(403)), event_hooks={"response": [raise_for_status]})
    with http, SSEClient(http_client=http) as client:
        list(client.post(URL))
        with pytest.raises(library.HTTPStatusError) as raised:
            http.get(URL)
        assert raised.value.response.is_closed


def test_nothing_of_ours_stays_with_a_response(shell: Shell) -> None:
    """A response that the hooks have seen is closed however the stream ends, and keeps nothing of the library's."""
    responses: list[Any] = []

    def run(response: Any) -> None:
        responses.append(response)
        if response.status_code == 400:
            raise Mine
        response.raise_for_status()

    play(shell, OK, response=run)
    play(shell, status(403), response=run)
    with pytest.raises(Mine):
        play(shell, status(400), response=run)
    play(shell, CUT, status(403), response=run, resume=LastEventID())
    assert len(responses) == 5
    for response in responses:
        assert response.is_closed
        assert not {"close", "aclose"} & set(vars(response))
        assert "sse_client.hooks" not in response.request.extensions


def auth_of(library: Any, after: Callable[[Any], object], *, asks: bool = False) -> Any:
    """An auth that checks the response, and requests a token first if `asks`."""

    class Auth(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Any:
            if asks:
                token = yield library.Request("POST", "http://test/token?key=query-secret")
                token.raise_for_status()
            response = yield request
            after(response)

    return Auth()


def test_an_auth_that_raises_for_the_status(shell: Shell) -> None:
    """An auth that raises for the status is handled like such a hook."""
    transport = scripted_transport(status(503), OK)
    auth = auth_of(shell.library, raise_for_status)
    result = shell.read(URL, http={"transport": transport}, auth=auth, retry=QUICK)
    assert (result.error, result.data) == (None, ["ok"])
    transport = scripted_transport(status(403))
    error = shell.read(URL, http={"transport": transport}, auth=auth, retry=QUICK).error
    assert isinstance(error, StatusError)
    assert (error.status_code, "secret" in str(error)) == (403, False)


def test_an_auth_whose_own_request_is_refused(shell: Shell) -> None:
    """A status error about an auth's own request reaches the user, and is not retried."""
    transport = scripted_transport(status(503))
    auth = auth_of(shell.library, lambda _: None, asks=True)
    with pytest.raises(shell.library.HTTPStatusError):
        shell.read(URL, http={"transport": transport}, auth=auth, retry=EAGER)
    assert len(transport.requests) == 1


def test_digest_auth_with_hooks(shell: Shell) -> None:
    """Digest auth works with hooks that do not raise."""
    challenge = Answer(
        "no", status=401, headers={"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'}
    )
    transport = scripted_transport(challenge, OK)
    http = with_hooks(shell, transport, {"response": lambda _: None, "request": lambda _: None})
    assert shell.read(URL, http=http, auth=shell.library.DigestAuth("me", "secret")).data == ["ok"]


def test_an_error_in_a_resume_is_told(shell: Shell) -> None:
    """A resume that a hook refused is an interrupted stream, with that status as its cause."""
    result, _ = play(shell, CUT, status(404), response=raise_for_status, resume=LastEventID())
    assert isinstance(result.error, StreamInterrupted)
    cause = result.error.__cause__
    assert isinstance(cause, StatusError)
    assert (cause.status_code, cause.message) == (404, "token expired")
