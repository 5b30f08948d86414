"""
The replacement for httpx-sse: what is the same, and that nothing differs except the documented differences.

The table of differences is in `docs/migrating.md`. If httpx-sse is installed, its column is tested too, and a model of
its quirks accounts for every stream that the two read differently.
"""

import gzip
import importlib
import inspect
import pickle
import random
import re
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from copy import deepcopy
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import httpx
import httpx2
import pytest
from shells import TLS, Shell, every_shell
from test_parser import RECORDINGS

import sse_client
from sse_client import EventParser, EventTooLarge, ServerSentEvent, httpx_sse
from sse_client.httpx_sse import EventSource, SSEError, aconnect_sse, connect_sse
from sse_client.testing import FIN, Answer, EventServer

ROOT = Path(__file__).parents[1]
STREAMS = ROOT.parent / "shared" / "streams"
URL = "http://chat.example/events"

peer: ModuleType | None = None
with suppress(ImportError):
    if (installed := importlib.import_module("httpx_sse")).__version__ == "0.4.3":  # the table is about this version
        peer = installed

# httpx and httpx2 leave generators of their own to the garbage collector, and trio reports each one.
only_own_generators = pytest.mark.filterwarnings(
    "ignore:.*async_generator object (?!EventSource):pytest.PytestUnraisableExceptionWarning"
)

with_peer = pytest.mark.skipif(peer is None, reason="httpx-sse 0.4.3 is not installed")


class Row(NamedTuple):
    """A stream that the two read differently, under its name in the table of differences."""

    name: str
    stream: bytes
    theirs: list[ServerSentEvent]
    ours: list[ServerSentEvent]
    content_type: str = "text/event-stream"


A = ServerSentEvent(data="a")
RETRY_ALONE = "`retry: 5` alone"
EVENT_ALONE = "`event: ping` alone"
ID_ALONE = "`id: 7` alone"
BLANK = "a blank line or a comment, after an ID"
BOM = "a BOM first"
CHARSET = "`charset=iso-8859-1`"
DIGITS = "`retry: +5`, `1_0`, `-1`"
LONG = "`retry` with more than 18 digits"
CR = "a CR at the end of a piece"
CASE = "`Content-Type: TEXT/EVENT-STREAM`"

ROWS = [
    Row(RETRY_ALONE, b"retry: 5\n\ndata: a\n\n", [ServerSentEvent(retry=5), A], [A]),
    Row(EVENT_ALONE, b"event: ping\n\ndata: a\n\n", [ServerSentEvent("ping"), A], [A]),
    Row(
        ID_ALONE,
        b"id: 7\n\ndata: a\n\n",
        [ServerSentEvent(id="7"), ServerSentEvent(data="a", id="7")],
        [ServerSentEvent(data="a", id="7")],
    ),
    Row(
        BLANK,
        b"id: 7\ndata: a\n\n\n: comment\n\n",
        [ServerSentEvent(data="a", id="7"), ServerSentEvent(id="7"), ServerSentEvent(id="7")],
        [ServerSentEvent(data="a", id="7")],
    ),
    Row(BOM, b"\xef\xbb\xbfdata: lost\n\ndata: a\n\n", [A], [ServerSentEvent(data="lost"), A]),
    Row(
        CHARSET,
        "data: é\n\n".encode(),
        [ServerSentEvent(data="Ã©")],
        [ServerSentEvent(data="é")],
        "text/event-stream; charset=iso-8859-1",
    ),
    Row(DIGITS, b"retry: +5\ndata: a\n\n", [ServerSentEvent(data="a", retry=5)], [A]),
    Row(DIGITS, b"retry: 1_0\ndata: a\n\n", [ServerSentEvent(data="a", retry=10)], [A]),
    Row(DIGITS, b"retry: -1\ndata: a\n\n", [ServerSentEvent(data="a", retry=-1)], [A]),
    Row(
        LONG,
        b"retry: %b\ndata: a\n\n" % (b"9" * 19),
        [ServerSentEvent(data="a", retry=10**19 - 1)],
        [ServerSentEvent(data="a", retry=10**18)],
    ),
    Row(LONG, b"retry: %b\ndata: a\n\n" % (b"9" * 5000), [A], [ServerSentEvent(data="a", retry=10**18)]),
]


def response_of(
    shell: Shell,
    pieces: Iterator[bytes] | Collection[bytes],
    content_type: str = "text/event-stream",
    encoding: str = "identity",
) -> Any:
    """A response of the shell's library, with a body that comes in these pieces."""

    async def slowly() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    body = iter(pieces) if shell.kind == "sync" else slowly()
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}
    return shell.library.Response(200, headers=headers, content=body)


async def each(shell: Shell, source: Any) -> AsyncGenerator[Any, None]:
    """The events of a sync or an async source, one at a time."""
    if shell.kind == "sync":
        for event in source.iter_sse():
            yield event
    else:
        async for event in source.aiter_sse():
            yield event


async def events_from(shell: Shell, source: Any) -> list[Any]:
    return [event async for event in each(shell, source)]


@asynccontextmanager
async def connected(
    shell: Shell, method: str, url: str, http: dict[str, Any] | None = None, **options: Any
) -> AsyncGenerator[EventSource[Any], None]:
    """A request by `connect_sse`, or by `aconnect_sse`; `http` are arguments of the client."""
    http = {"verify": TLS, **(http or {})}
    if shell.kind == "sync":
        with shell.library.Client(**http) as client, connect_sse(client, method, url, **options) as source:
            yield source
    else:
        async with (
            shell.library.AsyncClient(**http) as aclient,
            aconnect_sse(aclient, method, url, **options) as asource,
        ):
            yield asource


def read(shell: Shell, *pieces: bytes, **options: Any) -> list[ServerSentEvent]:
    """The events of a response with such a body."""
    return shell.run(events_from, shell, EventSource(response_of(shell, pieces, **options)))


def comparable(events: list[Any]) -> list[ServerSentEvent]:
    return [ServerSentEvent(event.event, event.data, event.id, event.retry) for event in events]


def read_by_peer(shell: Shell, *pieces: bytes, **options: Any) -> list[ServerSentEvent]:
    """The events of httpx-sse for the same body."""
    assert peer is not None
    return comparable(shell.run(events_from, shell, peer.EventSource(response_of(shell, pieces, **options))))


class Exchange(NamedTuple):
    """The request of a client, and the source and events of its response."""

    request: Any
    source: EventSource[Any]
    events: list[ServerSentEvent]


def exchange(shell: Shell, response: Callable[[], Any], url: str = URL, **options: Any) -> Exchange:
    """Connect to a client whose transport returns the response, and read the events."""
    requests: list[Any] = []

    def handler(request: Any) -> Any:
        requests.append(request)
        return response()

    async def main() -> Exchange:
        http = {"transport": shell.library.MockTransport(handler)}
        async with connected(shell, "GET", url, http, **options) as source:
            return Exchange(requests[0], source, await events_from(shell, source))

    return shell.run(main)


def events_response(shell: Shell) -> Callable[[], Any]:
    return partial(response_of, shell, [b"data: a\n\n"])


# The facts that the public tests of httpx-sse show. Two of them are differences here, and say so.


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json, text/event-stream; charset=utf-8"])
def test_connect(shell: Shell, content_type: str) -> None:
    """A content type that contains `text/event-stream` is accepted; URLs may have any scheme; nothing may be cached."""
    response = partial(response_of, shell, [b"data: a\n\n"], content_type)
    found = exchange(shell, response, url="http+sse://chat.example/events")
    assert found.events == [A]
    assert found.request.url == "http+sse://chat.example/events"
    assert found.request.headers["cache-control"] == "no-store"
    assert found.request.headers["accept"] == "text/event-stream"
    assert found.source.response.request is found.request


def test_no_event_stream(shell: Shell) -> None:
    """A response of another type is an error when the events are read, not before."""
    source = EventSource(response_of(shell, [b"Hello"], "text/plain; charset=utf-8"))
    assert source.response.status_code == 200
    with pytest.raises(SSEError, match=r"'text/event-stream', got 'text/plain'"):
        shell.run(events_from, shell, source)


def test_no_content_type(shell: Shell) -> None:
    """A response without a content type is an error."""
    response = response_of(shell, [b"data: a\n\n"])
    del response.headers["Content-Type"]
    with pytest.raises(SSEError, match="got ''"):
        shell.run(events_from, shell, EventSource(response))


SAME: dict[str, tuple[list[bytes], list[ServerSentEvent]]] = {
    "lines of data are joined": (
        [b"data: YH00\n", b"data: +2\n", b"data: 10\n", b"\n"],
        [ServerSentEvent(data="YH00\n+2\n10")],
    ),
    "an empty id resets the ID": (
        [b": comment\n\n", b"data: one\nid: 1\n\n", b"data: two\n", b"id\n\n", b"data:  three\n\n"],
        [ServerSentEvent(data="one", id="1"), ServerSentEvent(data="two"), ServerSentEvent(data=" three")],
    ),
    "empty data is data, and an unfinished block is dropped": (
        [b"data\n\n", b"data\ndata\n\n", b"data:\n"],
        [ServerSentEvent(data=""), ServerSentEvent(data="\n")],
    ),
    "one space after the colon is dropped": ([b"data:test\n\n", b"data: test\n\n"], [ServerSentEvent(data="test")] * 2),
    "an event has its name": ([b"event: log\n", b"data: in\n\n"], [ServerSentEvent("log", "in")]),
    "an ID with NUL is ignored": ([b"data: a\n", b"id: 123\0\n\n"], [A]),
    "a retry that is not a number is ignored": ([b"retry: 1667a\n", b"\n"], []),
    "an unknown field is ignored": ([b"something: else\n", b"\n"], []),
    "U+2028 is not a line end": ([b"data: a\xe2\x80\xa8b\n\n"], [ServerSentEvent(data="a\u2028b")]),
    "[DONE] is an event": ([b"data: a\n\ndata: [DONE]\n\ndata: a\n\n"], [A, ServerSentEvent(data="[DONE]"), A]),
    "a retry stays with its data": ([b"retry: 10\ndata: a\n\n"], [ServerSentEvent(data="a", retry=10)]),
    "ill-formed UTF-8 is replaced": ([b"data: \xff\xe2\x82", b"\n\n"], [ServerSentEvent(data="\ufffd\ufffd")]),
    "a character may be cut": ([b"data: \xe2", b"\x82\xac\n\n"], [ServerSentEvent(data="€")]),
}


@pytest.mark.parametrize(("pieces", "events"), SAME.values(), ids=SAME)
def test_same_events(shell: Shell, pieces: list[bytes], events: list[ServerSentEvent]) -> None:
    """In these cases the events are the same as in httpx-sse."""
    assert read(shell, *pieces) == events
    if peer is not None:
        assert read_by_peer(shell, *pieces) == events


def test_compressed(shell: Shell) -> None:
    """A compressed body is decoded by the client's library."""
    response = response_of(shell, [gzip.compress(b"data: a\n\n")], encoding="gzip")
    assert shell.run(events_from, shell, EventSource(response)) == [A]


def test_retry_alone(shell: Shell) -> None:
    """A difference: `retry: 10000` alone is an event in httpx-sse, and not here."""
    assert read(shell, b"retry: 10000\n", b"\n") == []


def test_asgi(shell: Shell) -> None:
    """An app can be read through its client's ASGI transport."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for body in (b'event: login\r\ndata: {"user": "4135"}\r\n\r\n', b""):
            await send({"type": "http.response.body", "body": body, "more_body": bool(body)})

    async def main() -> None:
        transport = shell.library.ASGITransport(app)
        async with (
            shell.library.AsyncClient(transport=transport) as client,
            aconnect_sse(client, "GET", URL) as source,
        ):
            (event,) = [event async for event in source.aiter_sse()]
            assert event.event == "login"
            assert event.json() == {"user": "4135"}

    shell.run(main)


def test_error_is_a_transport_error() -> None:
    """The error is an `httpx.TransportError`, so handlers for httpx's errors catch it."""
    assert issubclass(SSEError, httpx.TransportError)


def test_default_event() -> None:
    """An event without arguments is an empty `message`."""
    event = httpx_sse.ServerSentEvent()
    assert (event.event, event.data, event.id, event.retry) == ("message", "", "", None)


def test_json() -> None:
    """`json()` parses the data, and raises a `ValueError` of the standard library if it is not JSON."""
    assert httpx_sse.ServerSentEvent(data='{"key": ["value"]}').json() == {"key": ["value"]}
    with pytest.raises(ValueError, match="Expecting value") as caught:
        httpx_sse.ServerSentEvent().json()
    assert type(caught.value).__name__ == "JSONDecodeError"


def test_repr() -> None:
    """A difference: an event is the package's own, whose `repr` shows all fields and which compares by value."""
    assert httpx_sse.ServerSentEvent is sse_client.ServerSentEvent
    assert repr(httpx_sse.ServerSentEvent()) == "ServerSentEvent(event='message', data='', id='', retry=None)"
    assert httpx_sse.ServerSentEvent(data="a") == A


# Differences


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.stream[:8]!r}-{len(row.stream)}")
def test_difference(shell: Shell, row: Row) -> None:
    """Each difference in how a stream is read is as in the table, on both sides."""
    assert read(shell, row.stream, content_type=row.content_type) == row.ours
    if peer is not None:
        assert read_by_peer(shell, row.stream, content_type=row.content_type) == row.theirs


def test_carriage_return_at_the_end_of_a_piece(shell: Shell) -> None:
    """An event that ends with a CR is returned before the next piece is requested."""

    def seen_by(source: Callable[[Any], Any]) -> list[str]:
        log: list[str] = []

        def pieces() -> Iterator[bytes]:
            yield b"data: a\r\r"
            log.append("next piece")
            yield b"data: b\r\r"

        async def main() -> None:
            async for event in each(shell, source(response_of(shell, pieces()))):
                log.append(event.data)  # noqa: PERF401 - one at a time

        shell.run(main)
        return log

    assert seen_by(EventSource) == ["a", "next piece", "b"]
    if peer is not None:
        assert seen_by(peer.EventSource) == ["next piece", "a", "b"]


def test_case_of_the_content_type(shell: Shell) -> None:
    """A media type is case-insensitive."""
    assert read(shell, b"data: a\n\n", content_type="TEXT/Event-Stream") == [A]
    if peer is not None:
        with pytest.raises(peer.SSEError):
            read_by_peer(shell, b"data: a\n\n", content_type="TEXT/Event-Stream")


HEADERS: dict[str, Any] = {
    "dict": {"X-Token": "1", "accept": "*/*", "CACHE-CONTROL": "max-age=0"},
    "empty": {},
    "mapping": MappingProxyType({"X-Token": "1", "Accept": "*/*"}),
    "bytes": {b"X-Token": b"1", b"Accept": b"*/*"},
    "list": [("X-Token", "1"), ("X-Token", "2"), ("Accept", "*/*")],
    "tuple": ((b"X-Token", b"1"), (b"cache-control", b"max-age=0")),
    "none": None,
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers(shell: Shell, headers: Any) -> None:
    """Headers of any kind are sent, with two replaced, and are not changed."""
    before = dict(headers) if isinstance(headers, MappingProxyType) else deepcopy(headers)
    sent = exchange(shell, events_response(shell), headers=headers).request.headers
    assert headers == before
    assert sent.get_list("accept") == ["text/event-stream"]
    assert sent.get_list("cache-control") == ["no-store"]
    assert sent.get_list("x-token") == [value for value in ("1", "2") if value in str(headers)]


@pytest.mark.parametrize("kind", [httpx.Headers, httpx2.Headers], ids=["httpx", "httpx2"])
def test_headers_of_a_library(shell: Shell, kind: type[Any]) -> None:
    """A library's own `Headers` keep their repeated names, and are not changed."""
    headers = kind([("X-Token", "1"), ("X-Token", "2"), ("Accept", "*/*")])
    before = headers.raw
    sent = exchange(shell, events_response(shell), headers=headers).request.headers
    assert headers.raw == before
    assert sent.get_list("accept") == ["text/event-stream"]
    assert sent.get_list("x-token", split_commas=True) == ["1", "2"]
    if isinstance(headers, shell.library.Headers):
        assert sent.get_list("x-token") == ["1", "2"]


def test_kind_of_headers() -> None:
    """A client's own `stream` gets a dict, as from httpx-sse, so it can add to it."""

    class Client(httpx.Client):
        def stream(self, *arguments: Any, headers: Any = None, **options: Any) -> Any:
            return super().stream(*arguments, headers={**headers, "X-Token": "1"}, **options)

    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=request.headers["x-token"]))
    for options in ({}, {"headers": {"a": "b"}}, {"headers": None}, {"headers": httpx.Headers()}):
        with Client(transport=transport) as client, connect_sse(client, "GET", URL, **options) as source:
            assert source.response.read() == b"1"


def test_request_of_the_error(shell: Shell) -> None:
    """The error has the request, like httpx's own; if the response has none, the error has none."""
    response = partial(response_of, shell, [b""], "text/html")
    with pytest.raises(SSEError) as caught:
        exchange(shell, response)
    assert caught.value.request.url == URL
    with pytest.raises(SSEError) as caught:
        read(shell, b"", content_type="text/html")
    with pytest.raises(RuntimeError):
        _ = caught.value.request


def test_error_of_the_own_library(shell: Shell) -> None:
    """The error is always one of httpx, and also one of the library that the client is from."""
    for error in (SSEError, httpx.HTTPError, shell.library.TransportError, shell.library.HTTPError):
        with pytest.raises(error) as caught:
            read(shell, b"", content_type="text/html")
        assert type(caught.value).__name__ == "SSEError"
        assert str(caught.value).endswith("got 'text/html'")
        assert isinstance(caught.value, httpx2.HTTPError) == (shell.library is httpx2)


def test_error_of_a_subclass(shell: Shell) -> None:
    """A response of the user's own class belongs to the library of its base class."""

    class Response(shell.library.Response):  # type: ignore[name-defined, misc]
        pass

    with pytest.raises(shell.library.TransportError):
        shell.run(events_from, shell, EventSource(Response(200, text="")))


def test_error_can_be_pickled(shell: Shell) -> None:
    """The error survives pickling: its class, its text, its request and its notes."""
    with pytest.raises(SSEError) as caught:
        exchange(shell, partial(response_of, shell, [b""], "text/html"))
    caught.value.add_note("noted")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is type(caught.value)
    assert copy.args == caught.value.args
    assert copy.request.url == URL
    assert copy.__notes__ == ["noted"]


@only_own_generators
@pytest.mark.parametrize("rest", [[], [b"data: a\n\n"]], ids=["at the end", "in the middle"])
def test_event_too_large(shell: Shell, monkeypatch: pytest.MonkeyPatch, rest: list[bytes]) -> None:
    """An event beyond the parser's limit is an error after the events before it, even in the last piece."""
    monkeypatch.setattr(httpx_sse, "EventParser", partial(EventParser, max_event_size=100))
    source = EventSource(response_of(shell, [b"data: a\n\ndata: " + b"x" * 200, *rest]))
    events: list[ServerSentEvent] = []

    async def main() -> None:
        async for event in each(shell, source):
            events.append(event)  # noqa: PERF401 - those before the error too

    with pytest.raises(SSEError, match="larger than 100 bytes") as caught:
        shell.run(main)
    assert events == [A]
    assert isinstance(caught.value.__cause__, EventTooLarge)
    assert isinstance(caught.value, shell.library.TransportError)


@with_peer
def test_headers_in_httpx_sse() -> None:
    """httpx-sse writes to the caller's dict, sends `accept` twice, and accepts only a mapping."""
    assert peer is not None
    sent: list[httpx.Headers] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers)
        return httpx.Response(200)

    headers = {"accept": "*/*"}
    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        with peer.connect_sse(client, "GET", URL, headers=headers):
            assert headers == {"accept": "*/*", "Accept": "text/event-stream", "Cache-Control": "no-store"}
            assert sent[0].get_list("accept") == ["*/*", "text/event-stream"]
        for other in (None, [("accept", "*/*")]):
            with pytest.raises(TypeError), peer.connect_sse(client, "GET", URL, headers=other):
                raise AssertionError("it is never entered")


@with_peer
def test_error_of_httpx_sse() -> None:
    """The error of httpx-sse has no request, and is not an error of httpx2."""
    assert peer is not None
    response = httpx2.Response(200, text="", request=httpx2.Request("GET", URL))
    with pytest.raises(peer.SSEError) as caught:
        list(peer.EventSource(response).iter_sse())
    assert not isinstance(caught.value, httpx2.TransportError)
    with pytest.raises(RuntimeError):
        _ = caught.value.request


@with_peer
def test_events_of_httpx_sse() -> None:
    """In httpx-sse, an event without a name is a message; an event equals only itself, has a hash, and is read-only."""
    assert peer is not None
    for name in (None, ""):
        event = peer.ServerSentEvent(name, "a")
        assert repr(event) == "ServerSentEvent(event='message', data='a')"
        assert len({event, peer.ServerSentEvent(name, "a")}) == 2
        with pytest.raises(AttributeError):
            event.data = "b"
    assert ServerSentEvent("", "a").event == ""
    with pytest.raises(TypeError):
        hash(A)


def test_differences_are_documented() -> None:
    """Each difference in how a stream is read is a row of the table in the docs, under the same name."""
    page = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| ([^|]+) \|", page.partition("These are all known differences")[2], re.MULTILINE)
    assert {row.name for row in ROWS} | {CR, CASE} <= set(names)
    assert set(names) >= QUIRKS


# The surface


@with_peer
def test_same_names() -> None:
    """The public names are those of httpx-sse, except its version."""
    assert peer is not None
    assert set(httpx_sse.__all__) == set(peer.__all__) - {"__version__"}


@with_peer
@pytest.mark.parametrize("name", ["connect_sse", "aconnect_sse", "EventSource", "EventSource.iter_sse"])
def test_same_arguments(name: str) -> None:
    """Functions and classes take arguments of the same names and kinds, with the same defaults."""

    def arguments(module: Any) -> list[tuple[str, object, object]]:
        for part in name.split("."):
            module = getattr(module, part)
        return [(each.name, each.kind, each.default) for each in inspect.signature(module).parameters.values()]

    assert arguments(httpx_sse) == arguments(peer)


# Over a socket


@every_shell
def test_over_a_socket(shell: Shell) -> None:
    """A POST is sent once with its body. A failure is not retried, and its status is ignored."""
    answer = Answer("data: a\n\n", "data: [DONE]\n\n", "data: cut", status=503)

    async def main(url: str) -> None:
        async with connected(shell, "POST", url, json={"a": 1}) as source:
            assert [event.data async for event in each(shell, source)] == ["a", "[DONE]"]
            assert source.response.status_code == 503

    with EventServer(answer) as server:
        shell.run(main, server.url)
        (request,) = server.requests
    assert request.method == "POST"
    assert request.json() == {"a": 1}


@every_shell
def test_a_broken_connection(shell: Shell) -> None:
    """A connection that breaks raises the error of the client's library, after the events before it."""
    events: list[str] = []

    async def main(url: str) -> None:
        async with connected(shell, "GET", url) as source:
            async for event in each(shell, source):
                events.append(event.data)  # noqa: PERF401 - those before the error too

    with EventServer(Answer("data: a\n\n", FIN)) as server:
        with pytest.raises(shell.library.RemoteProtocolError):
            shell.run(main, server.url)
        assert len(server.requests) == 1
    assert events == ["a"]


@only_own_generators
@every_shell
@pytest.mark.usefixtures("collected")
def test_leaving(shell: Shell) -> None:
    """Leaving the loop and the block closes the response without a warning."""

    async def main(url: str) -> None:
        async with connected(shell, "GET", url) as source:
            if shell.kind == "sync":
                assert next(source.iter_sse()) == A
            else:
                async with aclosing(source.aiter_sse()) as events:
                    assert await anext(events) == A
        assert source.response.is_closed

    with EventServer(Answer("data: a\n\n", "data: b\n\n")) as server:
        shell.run(main, server.url)


@pytest.mark.anyio
async def test_closing_the_events(library: ModuleType) -> None:
    """Closing the async generator of events closes that of the body at once, in the same task."""
    closed: list[bool] = []

    class Response(library.Response):  # type: ignore[name-defined, misc]
        async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
            try:
                yield b"data: a\n\n"
            finally:
                closed.append(True)

    source = EventSource(Response(200, headers={"Content-Type": "text/event-stream"}))
    async with aclosing(source.aiter_sse()) as events:
        assert await anext(events) == A
    assert closed


# No other differences

QUIRKS = {RETRY_ALONE, EVENT_ALONE, ID_ALONE, BLANK, BOM, DIGITS, LONG}


class Modelled(NamedTuple):
    events: list[ServerSentEvent]
    used: set[str]


def model(stream: bytes, quirks: Collection[str]) -> Modelled:
    """
    The standard's algorithm with these quirks of httpx-sse; returns the events, and the quirks that made a difference.
    """
    used: set[str] = set()

    def has(quirk: str) -> bool:
        used.update({quirk} & set(quirks))
        return quirk in quirks

    text = stream.decode("utf-8", "replace")
    if text.startswith("\ufeff") and not has(BOM):
        text = text[1:]
    events: list[ServerSentEvent] = []
    data: list[str] = []
    name, last_id, own_id, retry = "", "", "", None
    for line in re.split("\r\n|\n|\r", text)[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            is_event = bool(data)
            if not data and (retry is not None or name or last_id):
                is_event = has(
                    RETRY_ALONE if retry is not None else EVENT_ALONE if name else ID_ALONE if own_id else BLANK
                )
            if is_event:
                events.append(ServerSentEvent(name or "message", "\n".join(data), last_id, retry))
            data, name, own_id, retry = [], "", "", None
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = own_id = value
        elif field == "retry":
            retry = retry_of(value, has, retry)
    return Modelled(events, used)


def retry_of(value: str, has: Callable[[str], bool], before: int | None) -> int | None:
    """The value of a `retry`, after one in the same block with the value `before`."""
    number = before
    with suppress(ValueError):  # even beyond 4,300 digits
        number = int(value)
    if not re.fullmatch("[0-9]+", value):
        return number if number != before and has(DIGITS) else before
    if len(value) > 18 and not has(LONG):
        value = value.lstrip("0") or "0"
        return int(value) if len(value) <= 18 else 10**18
    return number


def pieces_of(stream: bytes) -> list[bytes]:
    """Cut a stream at random, but always in the same places."""
    chance = random.Random(stream)
    ends = sorted(chance.randint(0, len(stream)) for _ in range(chance.randint(0, 8)))
    return [stream[start:end] for start, end in pairwise([0, *ends, len(stream)])]


def browser_streams() -> list[bytes]:
    return [b64decode(each["b64"]) for each in random.Random("httpx-sse").sample(RECORDINGS, 2000)]


def recorded_streams() -> list[bytes]:
    return [path.read_bytes() for path in sorted(STREAMS.rglob("*.sse"))]


@with_peer
@pytest.mark.parametrize(
    "streams",
    [
        pytest.param(browser_streams, id="the browser's"),
        pytest.param(
            recorded_streams,
            id="recorded",
            marks=pytest.mark.skipif(not STREAMS.is_dir(), reason=f"there are no captured streams in {STREAMS}"),
        ),
    ],
)
def test_every_difference_is_known(shell: Shell, streams: Callable[[], list[bytes]]) -> None:
    """
    However a stream is cut, the model with all quirks of the table reads like httpx-sse, and without them like us.
    """
    met: set[str] = set()

    async def main() -> None:
        assert peer is not None
        for stream in streams():
            pieces = pieces_of(stream)
            ours = await events_from(shell, EventSource(response_of(shell, pieces)))
            theirs = comparable(await events_from(shell, peer.EventSource(response_of(shell, pieces))))
            with_quirks = model(stream, QUIRKS)
            assert ours == model(stream, ()).events, stream
            assert theirs == with_quirks.events, stream
            if ours != theirs:
                met.update(with_quirks.used)

    shell.run(main)
    assert streams is not browser_streams or met == QUIRKS
