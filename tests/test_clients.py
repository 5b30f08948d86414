"""The requests of the clients, their arguments, and the properties of a stream at each time."""

import gzip
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Annotated, Any
from urllib.parse import parse_qsl

import pytest
from shells import PATIENCE, TLS, Shell, entered, in_turn

from sse_client import (
    AsyncSSEClient,
    ContentTypeError,
    Dialect,
    Named,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    StatusError,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
    __version__,
    aiter_events,
    iter_events,
)
from sse_client.testing import FIN, Answer, EventServer, Pause, RecordedRequest

AT_ONCE = RetryPolicy(initial_delay=0, jitter=0)
ONE = Answer("data: 1\n\n")


def sent(
    shell: Shell, *, path: str = "/chat", client: dict[str, Any] | None = None, http: Any = None, **options: Any
) -> RecordedRequest:
    """Send a POST, and return the request that the server received."""
    with EventServer(ONE) as server:
        result = shell.read(f"{server.url}{path}", client=client, http=http, **options)
        assert result.data == ["1"], result
        (request,) = server.requests
        return request


def test_json(shell: Shell) -> None:
    """`json` is sent as JSON, with its media type."""
    request = sent(shell, json={"message": "hé", "n": [1, None]})
    assert request.method == "POST"
    assert request.target == "/chat"
    assert request.json() == {"message": "hé", "n": [1, None]}
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("content", ["text é", b"bytes \xff"])
def test_content(shell: Shell, content: str | bytes) -> None:
    """`content` is sent as it is, text in UTF-8."""
    assert sent(shell, content=content).body == (content.encode() if isinstance(content, str) else content)


def test_content_in_pieces(shell: Shell) -> None:
    """An iterator, or an async one in the async client, is sent piece by piece."""

    def pieces() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    async def apieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    request = sent(shell, content=pieces() if shell.kind == "sync" else apieces())
    assert request.body == b"one two"
    assert request.headers["transfer-encoding"] == "chunked"


def test_data(shell: Shell) -> None:
    """`data` is sent as a form."""
    request = sent(shell, data={"a": "1 2", "b": ["x", "y"]})
    assert parse_qsl(request.body.decode()) == [("a", "1 2"), ("b", "x"), ("b", "y")]
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_files(shell: Shell) -> None:
    """`files` are sent as a multipart form, together with `data`."""
    request = sent(shell, data={"a": "1"}, files={"f": ("name.txt", b"the file", "text/plain")})
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="a"\r\n\r\n1\r\n' in request.body
    assert b'name="f"; filename="name.txt"\r\nContent-Type: text/plain\r\n\r\nthe file\r\n' in request.body


def test_params(shell: Shell) -> None:
    """`params` go to the URL's query."""
    path, _, query = sent(shell, params={"q": "a b", "n": 1}).target.partition("?")
    assert (path, parse_qsl(query)) == ("/chat", [("q", "a b"), ("n", "1")])  # httpx 0.27 writes %20, 0.28 a plus
    assert sent(shell, path="/chat?kept=1").target == "/chat?kept=1"


@pytest.mark.parametrize("headers", [{"X-One": "1"}, [("X-One", "1")], {b"X-One": b"1"}, lambda: {"X-One": "1"}])
def test_headers(shell: Shell, headers: Any) -> None:
    """`headers` may have all of httpx's shapes, or be a function."""
    assert sent(shell, headers=headers).headers["x-one"] == "1"


def test_cookies(shell: Shell) -> None:
    """`cookies` are sent."""
    assert sent(shell, cookies={"session": "s1"}).headers["cookie"] == "session=s1"


def test_auth(shell: Shell) -> None:
    """`auth` is httpx's: a pair means Basic. It may be set in the call or on the HTTP client."""
    assert sent(shell, auth=("u", "p")).headers["authorization"] == "Basic dTpw"
    assert sent(shell, http={"auth": ("u", "p")}).headers["authorization"] == "Basic dTpw"


@pytest.mark.parametrize("method", ["get", "PUT", "SUBSCRIBE"])
def test_method(shell: Shell, method: str) -> None:
    """`stream` takes any method, and `subscribe` is a GET; neither has a body by default."""
    with EventServer(ONE) as server:
        assert shell.read(server.url, method=method, limit=1).data == ["1"]
        assert server.requests[0].method == {"SUBSCRIBE": "GET"}.get(method, method.upper())
        assert server.requests[0].body == b""


def test_default_headers(shell: Shell) -> None:
    """By default a call accepts only event streams, fresh and uncompressed: compression delays events."""
    headers = sent(shell).headers
    assert headers["accept"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache"
    assert headers["accept-encoding"] == "identity"
    assert "last-event-id" not in headers
    library = shell.library
    assert headers["user-agent"] == f"sse-client/{__version__} python-{library.__name__}/{library.__version__}"


@in_turn(
    ("name", "value"),
    [
        ("Accept", "text/event-stream, application/json"),
        ("Cache-Control", "no-store"),
        ("Accept-Encoding", "gzip"),
        ("User-Agent", "printer/1.0"),
    ],
)
@pytest.mark.parametrize("place", ["call", "client", "http"])
def test_own_headers_win(shell: Shell, name: str, value: str, place: str) -> None:
    """The user's headers override the defaults, wherever they are set and in any case; each is sent once."""
    headers = {name.upper(): value}
    if place == "call":
        request = sent(shell, headers=headers)
    elif place == "client":
        request = sent(shell, client={"headers": headers})
    else:
        request = sent(shell, http={"headers": headers})
    assert request.headers[name] == value


def test_precedence(shell: Shell) -> None:
    """A header of the call overrides the client's, which overrides that of the HTTP client."""
    http = {"headers": {"X-A": "http", "X-B": "http", "X-C": "http"}}
    headers = sent(
        shell, http=http, client={"headers": {"X-A": "client", "X-B": "client"}}, headers={"x-a": "call"}
    ).headers
    assert (headers["x-a"], headers["x-b"], headers["x-c"]) == ("call", "client", "http")


def test_headers_that_are_functions(shell: Shell) -> None:
    """Headers functions of the call and of the client are called before each attempt."""
    asked = iter(range(100))

    def of_client() -> dict[str, str]:
        return {"X-Client": str(next(asked)), "X-Both": "client"}

    def of_call() -> dict[str, str]:
        return {"X-Call": str(next(asked)), "X-Both": "call"}

    with EventServer(Answer(status=503, framing="length"), Answer(status=429, framing="length"), ONE) as server:
        result = shell.read(server.url, client={"headers": of_client, "retry": AT_ONCE}, headers=of_call)
        got = [(r.headers["x-client"], r.headers["x-call"], r.headers["x-both"]) for r in server.requests]
    assert result.data == ["1"]
    assert got == [("0", "1", "call"), ("2", "3", "call"), ("4", "5", "call")]


def test_headers_that_are_async_functions(shell: Shell) -> None:
    """The async client accepts async headers functions; the sync one raises, and sends nothing."""
    asked = iter(range(100))

    async def headers() -> dict[str, str]:
        return {"X-Token": str(next(asked))}

    with EventServer(Answer(status=503, framing="length"), ONE) as server:
        if shell.kind == "sync":
            with pytest.raises(TypeError, match="needs AsyncSSEClient"):
                shell.read(server.url, headers=headers)
            assert not server.requests
        else:
            assert shell.read(server.url, client={"retry": AT_ONCE}, headers=headers).data == ["1"]
            assert [request.headers["x-token"] for request in server.requests] == ["0", "1"]


def test_headers_that_fail(shell: Shell) -> None:
    """An exception of the user's headers function comes out unchanged, and nothing is sent."""

    def headers() -> dict[str, str]:
        raise ZeroDivisionError("no token")

    with EventServer(ONE) as server:
        with pytest.raises(ZeroDivisionError, match="no token"):
            shell.read(server.url, headers=headers)
        assert not server.requests


def test_refreshed_headers(shell: Shell) -> None:
    """After a 401, a headers function is called again and the request is sent once more. A second 401 is raised."""
    tokens = iter(["old", "new", "newer"])
    refusal = Answer(status=401, framing="length")
    with EventServer(refusal, ONE) as server:
        result = shell.read(server.url, headers=lambda: {"Authorization": next(tokens)})
        assert [request.headers["authorization"] for request in server.requests] == ["old", "new"]
    assert result.data == ["1"]
    tokens = iter(["old", "new", "newer"])
    with EventServer(refusal) as server:
        result = shell.read(server.url, headers=lambda: {"Authorization": next(tokens)})
        assert [request.headers["authorization"] for request in server.requests] == ["old", "new"]
    assert isinstance(result.error, StatusError)


@pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
def test_own_client(kind: Any) -> None:
    """Without `http_client` a client makes its own, with a base URL and auth, and closes it."""
    import httpx

    shell = Shell(kind, httpx)
    options: dict[str, Any] = {"auth": ("u", "p"), "headers": {"X-One": "1"}}

    async def main() -> None:
        client: SSEClient | AsyncSSEClient
        if kind == "sync":
            with SSEClient(base_url=f"{server.url}/api", **options) as client:
                async with entered(client.post("/chat")) as reader:
                    assert [event.data async for event in reader] == ["1"]
            client.close()
        else:
            async with (
                AsyncSSEClient(base_url=f"{server.url}/api", **options) as client,
                entered(client.post("/chat")) as reader,
            ):
                assert [event.data async for event in reader] == ["1"]
            await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            async with entered(client.post("/chat")):
                pass

    with EventServer(ONE) as server:
        shell.run(main)
        (request,) = server.requests
        assert request.target == "/api/chat"
        assert request.headers["authorization"] == "Basic dTpw"
        assert request.headers["x-one"] == "1"


def test_many_streams_at_once() -> None:
    """A client's own pool has no limit that streams, which keep their connections, would have to wait for."""
    with EventServer(Answer("data: 1\n\n", Pause(30))) as server, SSEClient(base_url=server.url) as client:
        streams = [client.post("/") for _ in range(120)]
        for stream in streams:
            assert next(stream).data == "1"
        for stream in streams:
            stream.close()
        assert server.connections == 120


def test_given_client(library: ModuleType) -> None:
    """An HTTP client that the user passes is used with all of its settings, and left open."""
    with (
        EventServer(ONE) as server,
        library.Client(base_url=f"{server.url}/api", headers={"X-One": "1"}, cookies={"c": "2"}, verify=TLS) as http,
    ):
        with SSEClient(http_client=http) as client, client.post("chat", json={}) as stream:
            assert [event.data for event in stream] == ["1"]
        client.close()
        assert not http.is_closed
        assert http.post("chat").status_code == 200
        assert server.requests[0].target == "/api/chat"
        assert server.requests[0].headers["x-one"] == "1"
        assert server.requests[0].headers["cookie"] == "c=2"


@pytest.mark.anyio
async def test_given_client_async(library: ModuleType) -> None:
    """An async HTTP client that the user passes is left open too."""
    with EventServer(ONE) as server:
        async with library.AsyncClient(base_url=server.url, verify=TLS) as http:
            async with AsyncSSEClient(http_client=http) as client, client.post("/chat") as stream:
                assert [event.data async for event in stream] == ["1"]
            await client.aclose()
            assert not http.is_closed
            assert (await http.post("/chat")).status_code == 200


def test_subclass_of_a_client(library: ModuleType) -> None:
    """A subclass of the library's client, in a module of any name, is accepted."""
    mine = type("Mine", (library.Client,), {})
    with EventServer(ONE) as server, mine(verify=TLS) as http, SSEClient(http_client=http) as client:
        assert [event.data for event in client.post(server.url)] == ["1"]


def test_wrong_client(library: ModuleType) -> None:
    """
    Anything that is not a client, or is one of the other kind, is an error that says what was expected and what came.
    """
    wrong: Any
    for wrong in (library.AsyncClient(verify=TLS), "http://localhost", library, 7):
        with pytest.raises(TypeError, match=r"expected an httpx\.Client or httpx2\.Client, got "):
            SSEClient(http_client=wrong)
    for wrong in (library.Client(verify=TLS), "http://localhost", library.AsyncClient):
        with pytest.raises(TypeError, match=r"expected an httpx\.AsyncClient or httpx2\.AsyncClient, got "):
            AsyncSSEClient(http_client=wrong)


@pytest.mark.parametrize("option", [{"base_url": "http://localhost"}, {"auth": ("u", "p")}])
def test_what_a_given_client_has_decided(library: ModuleType, option: dict[str, Any]) -> None:
    """`base_url` and `auth` belong to the HTTP client: they cannot be combined with `http_client`."""
    (name,) = option
    with library.Client(verify=TLS) as http, pytest.raises(TypeError, match=f"{name}= .*{library.__name__} client"):
        SSEClient(http_client=http, **option)
    with pytest.raises(TypeError, match=f"{name}= .*{library.__name__} client"):
        AsyncSSEClient(http_client=library.AsyncClient(verify=TLS), **option)


@pytest.mark.parametrize("name", ["jsn", "stream", "verify"])
def test_unknown_argument(name: str) -> None:
    """An unknown argument is a TypeError at the call, which names the known ones."""
    options: Any = {name: 1}
    with SSEClient() as client:
        for call in (client.post, client.get, client.subscribe):
            with pytest.raises(TypeError, match=f"unexpected argument '{name}'; expected one of .*auth, .*json, "):
                call("/", **options)
    with pytest.raises(TypeError, match=f"unexpected argument '{name}'"):
        AsyncSSEClient().post("/", **options)


def test_closed_http_client(library: ModuleType) -> None:
    """A closed HTTP client is a mistake in the program: the library's own error comes out."""
    http = library.Client(verify=TLS)
    http.close()
    stream = SSEClient(http_client=http).post("http://127.0.0.1/")
    with pytest.raises(RuntimeError, match="closed"), stream:
        pass
    assert stream.outcome == "failed" or stream.outcome == "abandoned"
    assert stream.state == "closed"


def test_response(shell: Shell) -> None:
    """Before the stream is entered there is no response. Then it is the library's, even before the first event."""

    async def main() -> None:
        async with shell.any_client() as client:
            stream = client.post(server.url)
            with pytest.raises(RuntimeError, match="enter the stream"):
                _ = stream.response
            async with entered(stream) as reader:
                response = stream.response
                assert isinstance(response, shell.library.Response)
                assert response.status_code == 201
                assert response.reason_phrase == "Created"
                assert response.headers["x-one"] == "1"
                assert response.http_version == "HTTP/1.1"
                assert str(response.url) == server.url
                go.set()
                assert [event.data async for event in reader] == ["1"]
            assert stream.response is response

    go = threading.Event()
    with EventServer(Answer(go.wait, "data: 1\n\n", status=201, headers={"X-One": "1"})) as server:
        shell.run(main)


def test_states(shell: Shell) -> None:
    """A stream waits until its first event, streams, and is closed; a comment does not make it stream."""

    async def main() -> None:
        async with shell.any_client() as client:
            stream = client.post(server.url)
            assert (stream.state, stream.outcome) == ("waiting", None)
            async with entered(stream) as reader:
                assert (stream.state, stream.outcome) == ("waiting", None)
                go.set()
                assert (await anext(reader)).data == "1"
                assert (stream.state, stream.outcome) == ("streaming", None)
                assert await anext(reader, None) is None
                assert (stream.state, stream.outcome) == ("closed", "completed")

    go = threading.Event()
    with EventServer(Answer(": hello\n\n", go.wait, "data: 1\n\n")) as server:
        shell.run(main)


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("ends", ["\n\n", "\r\n\r\n", "\r\r"], ids=["LF", "CRLF", "CR"])
def test_at_once(shell: Shell, framing: Any, ends: str) -> None:
    """Each event is delivered before the server sends the next, whatever its line ends."""
    gates = [threading.Event() for _ in range(4)]
    passed = []

    def wait_for(gate: threading.Event) -> Any:
        return lambda: passed.append(gate.wait(2))

    async def main() -> None:
        async with shell.any_client() as client, entered(client.post(server.url)) as reader:
            for number, gate in enumerate(gates):
                assert (await anext(reader)).data == str(number)
                gate.set()
            assert await anext(reader, None) is None

    steps = [step for number, gate in enumerate(gates) for step in (f"data: {number}{ends}", wait_for(gate))]
    with EventServer(Answer(*steps, framing=framing)) as server:
        shell.run(main)
    assert passed == [True] * 4


def test_stats(shell: Shell) -> None:
    """The stats of a completed stream: attempts, events, comments, bytes, and times in order."""
    body: list[Any] = [": hello\n\n", "id: 7\ndata: 1\n\n", Pause(0.05), "data: 2\n\n: bye\n\n"]
    with EventServer(Answer(status=503, framing="length"), Answer(*body)) as server:
        result = shell.read(server.url, client={"retry": AT_ONCE})
    assert result.stream is not None
    stats = result.stream.stats
    assert (stats.attempts, stats.connections, stats.events, stats.comments) == (2, 1, 2, 2)
    assert stats.bytes == sum(len(step) for step in body if isinstance(step, str))
    assert stats.time_to_headers is not None
    assert stats.time_to_first_event is not None
    assert 0 < stats.time_to_headers <= stats.time_to_first_event < stats.duration < 2 * PATIENCE
    assert 0.03 < stats.longest_gap <= stats.duration
    assert stats == result.stream.stats
    assert result.stream.last_event_id == "7"


def test_stats_before_the_beginning(shell: Shell) -> None:
    """The stats of a stream that has not begun are all zero or `None`."""

    async def main() -> None:
        async with shell.any_client() as client:
            stats = client.post("http://127.0.0.1/").stats
            assert (stats.attempts, stats.events, stats.duration, stats.time_to_headers) == (0, 0, 0.0, None)

    shell.run(main)


def test_compressed(shell: Shell) -> None:
    """If the user requests compression, the response is decompressed, and events are delivered as they are flushed."""
    squeeze = zlib.compressobj(wbits=31)
    first = squeeze.compress(b"data: 1\n\n") + squeeze.flush(zlib.Z_SYNC_FLUSH)
    second = squeeze.compress("data: é\n\n".encode()) + squeeze.flush()
    go = threading.Event()
    passed = []

    async def main() -> None:
        headers = {"Accept-Encoding": "gzip"}
        async with shell.any_client() as client, entered(client.post(server.url, headers=headers)) as reader:
            assert (await anext(reader)).data == "1"
            go.set()
            assert [event.data async for event in reader] == ["é"]
            assert reader.stream.outcome == "completed"

    answer = Answer(first, lambda: passed.append(go.wait(2)), second, headers={"Content-Encoding": "gzip"})
    with EventServer(answer) as server:
        shell.run(main)
        assert server.requests[0].headers["accept-encoding"] == "gzip"
    assert passed == [True]


def test_compressed_and_broken(shell: Shell) -> None:
    """A compressed response that cannot be decompressed is an interrupted stream."""
    with EventServer(Answer(b"data: 1\n\n", headers={"Content-Encoding": "gzip"})) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, StreamInterrupted)
    assert isinstance(result.error.__cause__, shell.library.DecodingError)


def test_compressed_error(shell: Shell) -> None:
    """The body of an error is decompressed too."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with EventServer(Answer(gzip.compress(b'{"error": "no"}'), status=400, headers=headers)) as server:
        result = shell.read(server.url)
    assert isinstance(result.error, StatusError)
    assert result.error.message == "no"


def test_iter_events(library: ModuleType) -> None:
    """`iter_events` reads the events of the user's response, and has an outcome."""
    answer = Answer("data: 1\n\n", "data: 2\n\n", "data: [DONE]\n\n")
    with EventServer(answer) as server, library.Client(verify=TLS) as client:
        with client.stream("POST", server.url) as response:
            stream = iter_events(response)
            assert (stream.state, stream.outcome) == ("waiting", None)
            assert [event.data for event in stream] == ["1", "2"]
            assert (stream.state, stream.outcome) == ("closed", "completed")
            assert response.is_closed
            assert stream.response is response
            assert (stream.stats.attempts, stream.stats.connections, stream.stats.events) == (1, 1, 2)
        assert client.post(server.url).status_code == 200
        assert server.connections == 1


@pytest.mark.anyio
async def test_aiter_events(library: ModuleType) -> None:
    """`aiter_events` does the same, and needs no `async with`, because the response has one."""
    with EventServer(Answer("data: 1\n\n", "data: 2\n\n", "data: [DONE]\n\n")) as server:
        async with library.AsyncClient(verify=TLS) as client:
            async with client.stream("POST", server.url) as response:
                stream = aiter_events(response)
                assert [event.data async for event in stream] == ["1", "2"]
                assert stream.response is response
                assert stream.outcome == "completed"
            assert (await client.post(server.url)).status_code == 200
            assert server.connections == 1


def test_iter_events_with_options(library: ModuleType) -> None:
    """`iter_events` accepts only options for reading. As a context manager it closes the response."""
    with EventServer(Answer("data: 1\n\n", "data: 2\n\n")) as server, library.Client(verify=TLS) as client:
        with client.stream("POST", server.url) as response, pytest.raises(StreamTruncated):
            list(iter_events(response, terminator=Terminator(data="bye")))
        with client.stream("POST", server.url) as response:
            with iter_events(response) as stream:
                assert next(stream).data == "1"
            assert response.is_closed
            assert stream.outcome == "abandoned"
        options: Any = {"retry": None}
        with (
            client.stream("POST", server.url) as response,
            pytest.raises(TypeError, match="unexpected argument 'retry'"),
        ):
            iter_events(response, **options)


def test_iter_events_of_a_type(library: ModuleType) -> None:
    """`iter_events` accepts a type of events, and a dialect, as a call does."""
    answer = Answer('data: {"n": 1}\n\n', "event: other\ndata: {}\n\n", 'data: {"n": 2}\n\n')
    dialect = Dialect(events=Annotated[dict[str, int], Named("message")])
    with EventServer(answer) as server, library.Client(verify=TLS) as client:
        for options in ({"dialect": dialect}, {"events": dialect.events}):
            with client.stream("POST", server.url) as response:
                stream: Any = iter_events(response, **options)
                assert list(stream) == [{"n": 1}, {"n": 2}]
                assert stream.stats.unknown == 1


@pytest.mark.anyio
async def test_aiter_events_of_a_type(library: ModuleType) -> None:
    """`aiter_events` accepts a type of events too."""
    answer = Answer('data: {"n": 1}\n\n', "event: other\ndata: {}\n\n")
    named: Any = Annotated[dict[str, int], Named("message")]
    with EventServer(answer) as server:
        async with library.AsyncClient(verify=TLS) as client, client.stream("POST", server.url) as response:
            stream: Any = aiter_events(response, events=named, unknown="keep")
            assert [each async for each in stream] == [{"n": 1}, ServerSentEvent("other", "{}")]


def test_iter_events_of_a_cut(library: ModuleType) -> None:
    """A response cannot be requested again: a cut interrupts the stream, even before the first event."""
    for first in ("data: 1\n\n", b""):
        with EventServer(Answer(first, Pause(0.02), FIN)) as server, library.Client(verify=TLS) as client:
            with client.stream("GET", server.url) as response, pytest.raises(StreamInterrupted) as caught:
                list(iter_events(response))
            assert len(server.requests) == 1
            assert isinstance(caught.value.__cause__, library.RemoteProtocolError)


def test_iter_events_of_a_read_response(library: ModuleType) -> None:
    """A response whose body was already read still gives its events."""
    with EventServer(Answer("data: 1\n\n", "data: 2\n\n")) as server, library.Client(verify=TLS) as client:
        assert [event.data for event in iter_events(client.post(server.url))] == ["1", "2"]
        with client.stream("POST", server.url) as response:
            response.read()
            assert [event.data for event in iter_events(response)] == ["1", "2"]


@pytest.mark.anyio
async def test_aiter_events_of_a_read_response(library: ModuleType) -> None:
    """An async response whose body was already read still gives its events."""
    with EventServer(Answer("data: 1\n\n", "data: 2\n\n")) as server:
        async with library.AsyncClient(verify=TLS) as client:
            assert [event.data async for event in aiter_events(await client.post(server.url))] == ["1", "2"]


def test_iter_events_of_a_used_response(library: ModuleType) -> None:
    """A response whose body was already consumed by other code is an interrupted stream."""
    with (
        EventServer(ONE) as server,
        library.Client(verify=TLS) as client,
        client.stream("POST", server.url) as response,
    ):
        assert list(response.iter_raw())
        with pytest.raises(StreamInterrupted):
            list(iter_events(response))


def test_iter_events_of_a_closed_response(library: ModuleType) -> None:
    """A response that was closed is an interrupted stream too."""
    with EventServer(ONE) as server, library.Client(verify=TLS) as client:
        with client.stream("POST", server.url) as response:
            pass
        with pytest.raises(StreamInterrupted):
            list(iter_events(response))


@pytest.mark.anyio
async def test_aiter_events_of_a_used_response(library: ModuleType) -> None:
    """An async response whose body was already consumed is an interrupted stream."""
    with EventServer(ONE) as server:
        async with library.AsyncClient(verify=TLS) as client, client.stream("POST", server.url) as response:
            assert [piece async for piece in response.aiter_raw()]
            with pytest.raises(StreamInterrupted):
                _ = [event async for event in aiter_events(response)]


@pytest.mark.anyio
async def test_aiter_events_of_a_closed_response(library: ModuleType) -> None:
    """An async response that was closed is an interrupted stream."""
    with EventServer(ONE) as server:
        async with library.AsyncClient(verify=TLS) as client:
            async with client.stream("POST", server.url) as response:
                pass
            with pytest.raises(StreamInterrupted):
                _ = [event async for event in aiter_events(response)]


def test_iter_events_of_no_stream(library: ModuleType) -> None:
    """A response that is not an event stream raises at the first event, and nothing is requested again."""
    json = Answer('{"error": "no"}', headers={"Content-Type": "application/json"}, framing="length")
    for answer, kind in ((json, ContentTypeError), (Answer("down", status=503, framing="length"), StatusError)):
        with EventServer(answer) as server, library.Client(verify=TLS) as client:
            for read in (False, True):
                with client.stream("POST", server.url) as response, pytest.raises(kind) as caught:
                    if read:
                        response.read()
                    next(iter_events(response))
                assert caught.value.body in (b"down", b'{"error": "no"}')
            assert len(server.requests) == 2


@pytest.mark.anyio
async def test_aiter_events_of_no_stream(library: ModuleType) -> None:
    """An async response that is not an event stream raises at the first event."""
    answer = Answer('{"error": "no"}', headers={"Content-Type": "application/json"}, framing="length")
    with EventServer(answer) as server:
        async with library.AsyncClient(verify=TLS) as client, client.stream("POST", server.url) as response:
            with pytest.raises(ContentTypeError, match="'no'"):
                await anext(aiter_events(response))


def test_no_response() -> None:
    """An argument that is not a response is an error at once."""
    wrong: Any
    for wrong in ("data: 1\n\n", [b"data: 1\n\n"], None):
        with pytest.raises(TypeError, match=r"expected an httpx\.Response or httpx2\.Response, got "):
            iter_events(wrong)
        with pytest.raises(TypeError, match=r"expected an httpx\.Response or httpx2\.Response, got "):
            aiter_events(wrong)
