"""
The texts of errors, logs and reprs: in the field's words, with what was expected and what came, and without secrets.

A secret is the value of a header or cookie, and the user, query and fragment of a URL.
"""

import logging
import pickle
import tomllib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import BaseModel
from shells import Run, Shell, in_turn

import sse_client
from sse_client import (
    AsyncSSEClient,
    Comment,
    Cursor,
    DecodeError,
    Dialect,
    ErrorEvent,
    ErrorEventReceived,
    EventEncoder,
    EventParser,
    Handlers,
    LastEventID,
    Named,
    Reader,
    Request,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    SSEError,
    StreamStats,
    Terminator,
    Timeouts,
    iter_events,
    join_text,
)
from sse_client._errors import quote
from sse_client._request import public_path
from sse_client.testing import FIN, RST, Answer, EventServer, Faults, Pause, scripted_transport

ONE = Answer("data: 1\n\n")
URL = "http://test/chat"


def read(shell: Shell, *answers: Answer, url: str = URL, **options: Any) -> Run:
    """Read a scripted stream."""
    return shell.read(url, http={"transport": scripted_transport(*(answers or (ONE,)))}, **options)


def chain(error: BaseException | None) -> list[str]:
    """All texts of an error, at any depth, even those that Python would not show."""
    said: list[str] = []
    while error is not None:
        said += [str(error), repr(error), *getattr(error, "__notes__", ()), *traceback.format_exception_only(error)]
        error = error.__cause__ or error.__context__
    return said


class Text(BaseModel):
    content: str = ""


HALVES = [
    r'{"content": "\ud83d"}',
    r'{"content": "\ud83dx"}',
    r'{"content": "\ude00"}',
    r'{"content": "\uD83D\n"}',
    r'{"content": "a", "other": "\ud83d"}',
    r'{"\udbff": "a"}',
]


@in_turn("data", HALVES)
def test_half_a_surrogate_pair(shell: Shell, data: str, caplog: pytest.LogCaptureFixture) -> None:
    """A typed stream raises an error that says what is wrong, can be logged and pickled, and has the event."""
    error = read(shell, Answer(f"data: {data}\n\n"), events=Text).error
    assert isinstance(error, DecodeError)
    half = "its JSON has half of a surrogate pair, which pydantic cannot parse; the event's json() can"
    assert str(error) == f"'message' event does not match Text: {half}"
    logging.getLogger("sse_client").error("%s %r", error, error.event)
    for text in (*chain(error), repr(error.event), caplog.text):
        text.encode()
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.event.json() == error.event.json()


@in_turn("data", HALVES)
def test_half_of_a_pair_in_an_untyped_stream(shell: Shell, data: str) -> None:
    """`json()` keeps half of a surrogate pair."""
    (event,) = read(shell, Answer(f"data: {data}\n\n")).events
    assert any(
        "\ud800" <= character <= "\udfff" for text in [*event.json(), *event.json().values()] for character in text
    )


def test_halves_are_joined() -> None:
    """Two halves from two events can be joined to one emoji, as the docstring describes."""
    text = "".join(ServerSentEvent(data=data).json() for data in (r'"\ud83d"', r'"\ude00"'))
    assert text.encode("utf-16", "surrogatepass").decode("utf-16") == "\U0001f600"


@in_turn("data", [r'{"content": "\ud83d', r'{"content": "\ud83d"', r'{"content": \ud83d}'])
def test_what_is_no_json_at_all(shell: Shell, data: str) -> None:
    """If the data is not JSON, the error says so and does not mention the surrogate pair."""
    error = read(shell, Answer(f"data: {data}\n\n"), events=Text).error
    assert isinstance(error, DecodeError)
    assert str(error).startswith("'message' event does not match Text: Invalid JSON:")


def test_half_a_pair_in_an_error_event(shell: Shell) -> None:
    """An error event keeps the half in its message, and its texts can be encoded."""
    answer = Answer('data: {"error": "\\ud83d", "code": "\\ude00"}\n\n')
    error = read(shell, answer, errors=ErrorEvent(field="error", code="code")).error
    assert isinstance(error, ErrorEventReceived)
    assert (error.message, error.code) == ("\ud83d", "\ude00")
    for text in chain(error):
        text.encode()


def test_quotes_can_be_encoded() -> None:
    """A quotation of half a pair is ASCII."""
    assert quote("a\ud83d").encode() == rb"'a\ud83d'"


NOT_ASCII = "sécret"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"headers": {"X-Key": NOT_ASCII}}, "the value of the header 'X-Key' is not ASCII: encode it yourself"),
        ({"headers": {b"X-Key": NOT_ASCII}}, "the value of the header b'X-Key' is not ASCII"),
        ({"headers": [("X-Key", NOT_ASCII)]}, "the value of the header 'X-Key' is not ASCII: encode it yourself"),
        ({"headers": lambda: {"X-Key": NOT_ASCII}}, "the value of the header 'X-Key' is not ASCII"),
        ({"client": {"headers": {"X-Key": NOT_ASCII}}}, "the value of the header 'X-Key' is not ASCII"),
        ({"headers": {"sécret": "secret"}}, "the name of a header is not ASCII"),
        (
            {"cookies": {"session": NOT_ASCII}},
            "a cookie of the request is not ASCII",
        ),
        (
            {"params": {"key": "secret\ud83d"}},
            "the request has text that UTF-8 cannot encode: half of a surrogate pair",
        ),
        ({"json": {"key": "secret\ud83d"}}, "the request has text that UTF-8 cannot encode"),
        ({"data": {"key": "secret\ud83d"}}, "the request has text that UTF-8 cannot encode"),
        ({"content": "secret\ud83d"}, "the request has text that UTF-8 cannot encode"),
    ],
    ids=[
        *("header", "bytes", "pairs", "function", "client", "name", "cookie", "params", "json", "data", "content"),
    ],
)
def test_what_cannot_be_encoded(shell: Shell, options: dict[str, Any], text: str) -> None:
    """A value that HTTP cannot carry is a ValueError that says where it is, without the value at any depth."""
    if "json" in options and shell.library.Request("POST", "http://a/", json="é").read().isascii():
        pytest.skip("httpx 0.27 writes JSON in ASCII, which carries everything")
    with pytest.raises(ValueError, match=text) as caught:
        read(shell, **options)
    assert type(caught.value) is ValueError
    assert not [said for said in chain(caught.value) if "cret" in said]


def test_a_header_given_as_bytes(shell: Shell) -> None:
    """As bytes, the same header can be sent."""
    assert read(shell, headers={b"X-Key": NOT_ASCII.encode()}).data == ["1"]


PASSWORDS = ["pwd/one", "pwd?one", "pwd#one", "p@pwd/one", "p@pwd?one", "12/pwdone", "pwd/one?#"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("place", ["url", "resume", "function", "base_url"])
def test_a_password_that_is_not_escaped(password: str, place: str) -> None:
    """A password with a "/", "?" or "#" is never shown, whatever error it causes."""
    url = f"http://user:{password}@host/chat"
    refused, cut = Answer(status=400), Answer("id: 1\ndata: 1\n\n", FIN)
    transport = scripted_transport(*([refused] if place == "url" else [cut, refused]))
    resume = LastEventID(url=(lambda response: url) if place == "function" else url)
    with pytest.raises((ValueError, SSEError)) as caught:
        if place == "base_url":
            SSEClient(base_url=url).post("/chat", retry=None).__enter__()
        with SSEClient(http_client=httpx.Client(transport=transport), retry=None) as client:
            list(client.post(url) if place == "url" else client.post(URL, resume=resume))
    assert not [said for said in chain(caught.value) if "pwd" in said or "one" in said]


@in_turn("answer", [Answer(status=400), Answer("x", headers={"Content-Type": "text/html"})])
def test_a_fragment_is_not_told(shell: Shell, answer: Answer) -> None:
    """The fragment of a URL is neither in the text of an error nor in the stream's repr."""
    result = read(shell, answer, url=f"{URL}#token=secret")
    assert result.error is not None
    assert f"POST {URL}" in str(result.error)
    assert not [said for said in [*chain(result.error), repr(result.stream)] if "secret" in said]


def sync_call(**options: Any) -> None:
    with SSEClient() as client:
        client.post(options.pop("url", URL), **options)


def async_call(**options: Any) -> None:
    async def main() -> None:
        async with AsyncSSEClient() as client:
            client.post(options.pop("url", URL), **options)

    anyio.run(main)


calls = pytest.mark.parametrize("call", [sync_call, async_call])


@calls
@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("localhost:8000/chat", "begins with http:// or https://, got 'localhost:8000/chat'"),
        ("example.org/chat?key=secret", "got 'example.org/chat'; a relative one needs a client with such a base_url"),
        ("/chat", "got '/chat'; a relative one needs a client with such a base_url"),
        ("", "got ''; a relative one"),
        ("//example.org/chat", "got '//example.org/chat'"),
        ("ftp://example.org/chat", "got 'ftp://example.org/chat'"),
        ("http://", "got 'http://'"),
        ("http:///chat", "got 'http:///chat'"),
        ("http://example.org:x/chat", "expected a URL, got 'http://example.org:x/chat'"),
        ("http://example.org:70000/", "expected a URL, got"),
        ("http://example.org/a\nb", "expected a URL, got 'http://example.org/a\\\\nb'"),
        ("http://example.org/\ud83d", r"expected a URL, got 'http://example.org/\\ud83d'"),
        ("http://[::1", "expected a URL, got"),
        (f"http://example.org/{'x' * 70_000}", "expected a URL, got"),
    ],
    ids=[
        *("host", "domain", "path", "empty", "schemeless", "ftp", "nothing", "no host", "port", "high port"),
        *("line", "half", "bracket", "long"),
    ],
)
def test_urls(call: Callable[..., None], url: str, text: str) -> None:
    """An invalid or relative URL is a ValueError of the call itself, without a request and without its query."""
    with pytest.raises(ValueError, match=text.replace("(", r"\(")) as caught:
        call(url=url)
    str(caught.value).encode()
    assert "secret" not in "".join(chain(caught.value))
    with pytest.raises(ValueError, match="expected a URL"):
        call(resume=LastEventID(url=url))


@pytest.mark.parametrize(
    "url",
    ["http://example.org", "HTTP://Example.org:80/?a=b#c", "https://user:pw@[::1]:65535/", "http://é.example/ü?q=ü"],
)
def test_good_urls(url: str) -> None:
    """A URL with a scheme and a host is accepted."""
    sync_call(url=url)
    sync_call(resume=LastEventID(url=url))


def test_relative_urls() -> None:
    """A relative URL needs a `base_url`, of the client or of its HTTP client."""
    for client in (SSEClient(base_url=URL), SSEClient(http_client=httpx.Client(base_url=URL))):
        with client:
            for url in ("/chat", "chat", "", "?a=b"):
                client.post(url)
                client.post(URL, resume=LastEventID(url=url))
            with pytest.raises(ValueError, match="got 'localhost:8000/chat'"):
                client.post("localhost:8000/chat")


@pytest.mark.parametrize("client", [SSEClient, AsyncSSEClient])
@pytest.mark.parametrize("base_url", ["localhost:8000", "/api", "ftp://host", "http://user:se/cret@host"])
def test_base_urls(client: Any, base_url: str) -> None:
    """An invalid `base_url` is a ValueError of the client."""
    with pytest.raises(ValueError, match="expected a URL") as caught:
        client(base_url=base_url)
    assert "cret" not in "".join(chain(caught.value))


PLACES: dict[str, Callable[..., Any]] = {
    "call": sync_call,
    "async call": async_call,
    "subscribe": lambda **options: SSEClient().subscribe(URL, **options),
    "client": SSEClient,
    "async client": AsyncSSEClient,
    "last event ID": LastEventID,
    "cursor": lambda **options: Cursor(0, lambda cursor, _: cursor, lambda _, request: request, **options),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("retry", "hint"), [(3, "; write RetryPolicy(max_retries=3)"), (True, ""), ("3", "")])
def test_a_retry_that_is_none(place: str, retry: Any, hint: str) -> None:
    """A number of retries is a TypeError at once, which says what to write instead."""
    with pytest.raises(TypeError) as caught:
        PLACES[place](retry=retry)
    assert str(caught.value) == f"expected RetryPolicy or None for retry, got {retry!r}{hint}"


@pytest.mark.parametrize("place", list(PLACES)[:5])
def test_a_timeout_that_is_none(place: str) -> None:
    """A timeout of another library is a TypeError at once."""
    with pytest.raises(TypeError) as caught:
        PLACES[place](timeout=httpx.Timeout(5))
    assert str(caught.value) == "expected seconds, an sse_client.Timeouts or None, got Timeout(timeout=5)"


def test_the_reason_of_a_status(shell: Shell) -> None:
    """The reason phrase of a status is the server's, not Python's."""
    answer = Answer("HTTP/1.1 422 Not Like This\r\nContent-Length: 0\r\n\r\n", framing="raw")
    assert str(read(shell, answer).error) == f"POST {URL} returned 422 Not Like This"


def test_numbers_of_a_decode_error(shell: Shell) -> None:
    """A `DecodeError` has the stats of the stream too."""
    error = read(shell, Answer("data: 1\n\n", "data: x\n\n"), events=int).error
    assert isinstance(error, DecodeError)
    assert (error.stats.attempts, error.stats.events) == (1, 2)


def shown(stream: Any) -> list[str]:
    """The reprs of a stream, sync or async, from its beginning to its end."""
    seen = [repr(stream)]
    stream.__enter__()
    seen += [repr(stream) for _ in stream]
    return [*seen, repr(stream)]


async def ashown(stream: Any) -> list[str]:
    seen = [repr(stream)]
    await stream.__aenter__()
    seen += [repr(stream) async for _ in stream]
    return [*seen, repr(stream)]


def test_repr_of_a_stream(shell: Shell) -> None:
    """A stream's repr shows its request, its progress, and how it ended."""
    found: list[str] = []

    async def main() -> None:
        async with shell.any_client(http={"transport": scripted_transport(Answer("data: 1\n\n" * 2))}) as client:
            stream: Any = client.post("http://user:secret@test/chat?key=secret#secret", json={"key": "secret"})
            found.extend(shown(stream) if isinstance(client, SSEClient) else await ashown(stream))
            assert repr(client) == f"<{type(client).__name__}>"

    shell.run(main)
    name = "EventStream" if shell.kind == "sync" else "AsyncEventStream"
    assert found == [
        f"<{name} POST /chat waiting, 0 events>",
        f"<{name} POST /chat streaming, 1 event>",
        f"<{name} POST /chat streaming, 2 events>",
        f"<{name} POST /chat completed, 2 events>",
    ]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://test", "/"),
        ("http://test?secret", "/"),
        ("/a/b?secret", "/a/b"),
        ("a/b", "a/b"),
        ("http://u:s/e@t", "http://…"),
    ],
)
def test_path_in_a_repr(url: str, path: str) -> None:
    """A stream's repr has only the path of its URL."""
    assert public_path(url) == path


def test_repr_of_a_client() -> None:
    """A client's repr shows its base URL, without a user."""
    kinds: list[Any] = [(SSEClient, httpx.Client), (AsyncSSEClient, httpx.AsyncClient)]
    for kind, http in kinds:
        name = kind.__name__
        assert repr(kind()) == f"<{name}>"
        assert repr(kind(base_url="http://u:secret@localhost:8000")) == f"<{name} http://localhost:8000>"
        assert repr(kind(http_client=http(base_url="https://a/b"))) == f"<{name} https://a/b/>"


def test_repr_of_handlers() -> None:
    """A registry's repr shows what is registered, in order."""
    on = Handlers()
    assert repr(on) == "<Handlers>"
    assert repr(on.open) == "<on.open, 0 handlers>"
    on(Text)(print)
    on(Text | ServerSentEvent)(print)
    on("ping")(print)
    on.field("token")(print)
    on.event(print)
    on.batch(Text)(print)
    on.batch("ping")(print)
    on.close(print)
    on.error(print)
    on.close(print)
    assert repr(on) == (
        "<Handlers on(Text), on(Text | ServerSentEvent), on('ping'), on.field('token'), on.event, "
        "on.batch(Text), on.batch('ping'), on.close, on.close, on.error>"
    )
    assert repr(on.close) == "<on.close, 2 handlers>"


def test_repr_of_a_parser() -> None:
    """A parser's repr shows its state."""
    parser = EventParser()
    assert repr(parser) == "<EventParser between events, last_event_id=''>"
    parser.feed(b"id: 7\n\ndata: 1")
    assert repr(parser) == "<EventParser in the middle of an event, last_event_id='7'>"


def test_repr_of_what_is_for_tests() -> None:
    """The reprs of a scripted transport and a server show the number of requests."""
    transport = scripted_transport(ONE, ONE)
    assert repr(transport) == "<ScriptedTransport 2 scripts, 0 requests>"
    with EventServer(ONE) as server, httpx.Client() as client:
        client.post(server.url)
        assert repr(server) == f"<EventServer {server.url}, 1 script, 1 request>"
    assert repr(EventServer(ONE)) == "<EventServer not started, 1 script, 0 requests>"


SECRETS: dict[str, Any] = {
    "params": {"key": "secret"},
    "headers": {"Authorization": "secret"},
    "cookies": {"session": "secret"},
    "json": {"key": "secret"},
    "auth": ("user", "secret"),
}
http_client = httpx.Client(transport=scripted_transport(ONE), headers={"Authorization": "secret"})
stream = SSEClient(http_client=http_client, headers={"X-Key": "secret"}).post(f"{URL}?secret", **SECRETS)
astream = AsyncSSEClient(headers={"X-Key": "secret"}, auth=("user", "secret")).post(f"{URL}?secret", **SECRETS)
PUBLIC: list[Any] = [
    *(SSEClient(headers={"X-Key": "secret"}, auth=("user", "secret")), stream, stream.accumulate(max)),
    *(AsyncSSEClient(headers={"X-Key": "secret"}, auth=("user", "secret")), astream, astream.accumulate(max)),
    *(
        Handlers(),
        Handlers().open,
        Handlers().close,
        EventParser(),
        EventEncoder(),
        join_text(str),
        LastEventID(),
        Named("a"),
    ),
    *(Terminator(event="a"), ErrorEvent(event="a"), Dialect(events=int), RetryPolicy(), StreamStats(), Timeouts()),
    *(
        Cursor(0, lambda cursor, _: cursor, lambda _, request: request),
        ServerSentEvent(),
        Request(method="POST", url=f"{URL}?secret", **SECRETS),
    ),
    *(iter_events(http_client.get(URL)), EventServer(ONE), scripted_transport(ONE), ONE, Pause(1), FIN, RST, Faults()),
    EventEncoder(),
    Comment(" ping"),
]


@pytest.mark.parametrize(
    "value", PUBLIC, ids=[f"{number}-{type(value).__name__}" for number, value in enumerate(PUBLIC)]
)
def test_no_bare_object(value: Any) -> None:
    """No repr of a public object shows an address or a secret."""
    assert "object at 0x" not in repr(value)
    assert "secret" not in repr(value)


def test_all_that_is_public_is_shown() -> None:
    """There is an example of each public class."""
    classes = {getattr(sse_client, name) for name in sse_client.__all__}
    classes = {cls for cls in classes if isinstance(cls, type) and not issubclass(cls, Exception) and cls is not Reader}
    assert classes <= {type(value) for value in PUBLIC}


def test_version() -> None:
    """The version is in one place, which the build reads."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert "version" in project["project"]["dynamic"]
    file = Path(sse_client.__file__).parent.parent / project["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{sse_client.__version__}"' in file.read_text()
