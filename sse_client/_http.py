"""
All that is known of httpx and httpx2, and of the transports below them.

Both have the same names for different classes, so everything is found from the client's own module: neither is
imported for the other's sake.
"""

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from math import inf
from types import ModuleType
from typing import Any, Protocol, cast

from ._http2 import http2_errors
from ._request import AsyncHeadersSource, Headers
from ._steps import Connect, Failure, Head
from ._waking import Channel, must_be_decoded

# Accept: what we read. Cache-Control: as the standard's EventSource. Accept-Encoding: compression makes events late.
DEFAULT_HEADERS = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-cache",
    "Accept-Encoding": "identity",
}


class Response(Protocol):
    """What `stream.response` has for certain; it is the response of your client, httpx's or httpx2's."""

    @property
    def status_code(self) -> int: ...
    @property
    def reason_phrase(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def http_version(self) -> str: ...
    @property
    def url(self) -> Any: ...


def library_of(value: object, name: str) -> ModuleType:
    """Return the module, httpx or httpx2, whose class `name` the value is an instance of."""
    for cls in type(value).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in ("httpx", "httpx2") and isinstance(value, getattr(sys.modules[root], name)):
            return sys.modules[root]
    raise TypeError(f"expected an httpx.{name} or httpx2.{name}, got {value!r}")


# Requests ------------------------------------------------------------------------------------------------------------


def build_request(client: Any, library: ModuleType, step: Connect, headers: tuple[Headers | None, ...]) -> Any:
    """
    Make the client's own request for an attempt.

    The later of the headers win; those of the client lie under ours only where they are httpx's own defaults.
    """
    request = step.request
    merged = library.Headers(
        {name: value for name, value in DEFAULT_HEADERS.items() if is_default(name, client.headers.get(name))}
    )
    for each in headers:
        if each:
            merged.update(each)
    if step.headers:
        merged.update({name.encode(): value for name, value in step.headers.items()})
    arguments: dict[str, Any] = {
        "content": request.content,
        "data": request.data,
        "files": request.files,
        "json": request.json,
        "params": request.params,
    }
    extensions = {
        "timeout": {
            "connect": step.connect,
            "pool": step.connect,
            "read": step.response,
            "write": step.response,
        }
    }
    if not step.is_foreign:
        built = client.build_request(
            request.method,
            request.url,
            headers=merged,
            cookies=request.cookies,
            extensions=extensions,
            **arguments,
        )
        if built.url.port is not None and built.url.port > 65535:
            raise library.InvalidURL(f"Invalid port: {built.url.port}")  # of which each transport makes something else
        return built
    # Made without the client, which would add its own headers and cookies.
    every = library.Headers(client.headers)
    every.update(merged)
    kept = {name: every[name] for name in ("Accept", "Content-Type") if name in every}
    return library.Request(
        request.method, request.url, headers={**kept, "Accept-Encoding": "identity"}, extensions=extensions, **arguments
    )


def is_default(name: str, value: str | None) -> bool:
    """Whether the header is one of a client whose user said nothing of it."""
    return (
        value is None
        or (name == "Accept" and value == "*/*")
        or (name == "Accept-Encoding" and value.startswith("gzip, deflate"))
    )


def send_options(step: Connect) -> dict[str, Any]:
    """The arguments of `client.send`: redirects are ours, and another origin gets no auth."""
    options: dict[str, Any] = {"stream": True, "follow_redirects": False}
    if step.is_foreign:
        options["auth"] = None
    elif step.request.auth is not None:
        options["auth"] = step.request.auth
    return options


def resolve(source: AsyncHeadersSource | None) -> Headers | None:
    """Ask for the headers where they come from a function."""
    headers = source() if callable(source) else source
    if inspect.isawaitable(headers):
        if inspect.iscoroutine(headers):
            headers.close()
        raise TypeError("headers= is an async function, which needs AsyncSSEClient")
    return headers


async def aresolve(source: AsyncHeadersSource | None) -> Headers | None:
    """The same, where the function may be async."""
    headers = source() if callable(source) else source
    return await headers if inspect.isawaitable(headers) else headers


# Answers -------------------------------------------------------------------------------------------------------------


def head_of(response: Any) -> Head:
    """What the session needs to know of a response."""
    return Head(response.status_code, response.headers, str(response.url), response)


def turn_to_body(request: Any, response: Any, read_timeout: float | None) -> None:
    """
    Turn a request's extensions from the headers, once they are there, to the body, before its first read.

    The read timeout was the time for the headers until now; a transport takes it for good when it begins with the
    body. What was there to be told of the headers would cost memory for as long as the body takes.
    """
    if not is_http2(response):
        request.extensions.pop("trace", None)  # there it tells when the response is closed
    request.extensions.pop(VIRTUAL_TIME, None)
    timeout = request.extensions.get("timeout")
    if timeout is not None:
        timeout["read"] = read_timeout


def is_http2(response: Any) -> bool:
    """Whether the response shares its connection with others: what is done to that, is done to all."""
    return bool(response.http_version == "HTTP/2")


def pieces_of(response: Any) -> Iterator[bytes]:
    """
    Iterate the body as it comes.

    Over the stream below httpx's own iterators: these would give the connection back to its pool at the end of the
    body, before we have let go of its socket.
    """
    if _has_codings(response):
        return _Undecodable(response)
    if _is_httpx_business(response):
        return cast("Iterator[bytes]", response.iter_bytes())
    return iter(response.stream)


def apieces_of(response: Any) -> AsyncIterator[bytes]:
    """The same, async."""
    if _has_codings(response):
        return _Undecodable(response)
    if _is_httpx_business(response):
        return cast("AsyncIterator[bytes]", response.aiter_bytes())
    return aiter(response.stream)


def _has_codings(response: Any) -> bool:
    """Whether the body is compressed more than once, which nobody does who means well: it grows a millionfold."""
    return "," in response.headers.get("content-encoding", "")


class _Undecodable(Iterator[bytes], AsyncIterator[bytes]):
    """A body that is not read; asked for, it raises the client's own error."""

    def __init__(self, response: Any) -> None:
        self._codings = response.headers["content-encoding"]
        self._error: type[Exception] = library_of(response, "Response").DecodingError

    def __next__(self) -> bytes:
        raise self._error(f"expected one content coding at most, got {self._codings!r}")

    async def __anext__(self) -> bytes:
        return next(self)


def _is_httpx_business(response: Any) -> bool:
    """Whether there is more to the body than its stream: to decode it, or to say that it has been used up."""
    return must_be_decoded(response) or response.is_stream_consumed or response.is_closed


class DeadlineReached(TimeoutError):
    """A step was given up because of a deadline of ours, or because somebody closed the stream."""


def transport_errors(library: ModuleType) -> tuple[type[Exception], ...]:
    """What a client raises for reasons outside of the program."""
    # StreamError: a response that somebody else has closed or read is no HTTPError.
    below = *http2_errors(), *_aiohttp_errors("ClientError")
    return library.HTTPError, library.StreamError, library.InvalidURL, OSError, *below


def failure_of(error: Exception, library: ModuleType, channel: Channel | None = None) -> Failure:
    """Describe what a client raised."""
    if isinstance(error, library.LocalProtocolError) and "header" in str(error):
        # Its text quotes the header, and with it whatever is secret: no text of it, and not even as the cause.
        return Failure(None, "a header of the request is none that HTTP can carry", was_sent=False, is_final=True)
    if isinstance(error, _aiohttp_errors("ClientResponseError")):
        # The same of the URL and its query, and of all headers.
        return Failure(None, "the answer is no HTTP")
    is_final = isinstance(error, library.UnsupportedProtocol | library.LocalProtocolError | library.InvalidURL)
    was_sent = not _is_unsent(error, library)
    # Behind a proxy's refusal none has gone out; its CONNECT was traced like a request.
    if channel is not None and channel.was_sent is not None and not isinstance(error, library.ProxyError):
        was_sent = channel.was_sent
    return Failure(
        error,
        str(error) or type(error).__name__,
        was_sent=was_sent and not is_final,
        is_timeout=isinstance(error, library.TimeoutException | TimeoutError),
        is_final=is_final,
        is_deadline=isinstance(error, DeadlineReached) or (channel is not None and channel.is_expired),
    )


def _is_unsent(error: Exception, library: ModuleType) -> bool:
    """Whether the error's class says that nothing of the request can have reached the server."""
    if isinstance(error.__cause__, _aiohttp_errors("ClientConnectionError")):
        # To httpx-aiohttp a connection that was lost behind the request is a ConnectTimeout too.
        return isinstance(error.__cause__, _aiohttp_errors("ClientConnectorError", "ConnectionTimeoutError"))
    return isinstance(error, library.ConnectError | library.ConnectTimeout | library.PoolTimeout | library.ProxyError)


# Below aiohttp -------------------------------------------------------------------------------------------------------


def _aiohttp_errors(*names: str) -> tuple[type[Exception], ...]:
    """aiohttp's own errors, some of which httpx-aiohttp hands on; none where nobody has imported it."""
    aiohttp = sys.modules.get("aiohttp")
    return () if aiohttp is None else tuple(getattr(aiohttp, name) for name in names)


def _aiohttp_response(response: Any) -> Any:
    """aiohttp's response below this one, or `None`; httpx-aiohttp shows it nowhere."""
    stream = getattr(response.stream, "_stream", None)
    return getattr(stream, "_aiohttp_response", None)


def is_woken_by_closing(response: Any) -> bool:
    """Whether closing the response, in another task, wakes who reads it: on a connection of its own it does."""
    if "network_stream" in response.extensions:
        return not is_http2(response)
    return _aiohttp_response(response) is not None


def set_read_timeout_below(response: Any, seconds: float | None) -> None:
    """Set the read timeout of the body in aiohttp, which has taken that of the headers for both."""
    connection = getattr(_aiohttp_response(response), "connection", None)
    protocol = getattr(connection, "protocol", None)
    if protocol is not None:
        protocol.read_timeout = seconds
        protocol.start_timeout()


# Time that does not pass by itself -----------------------------------------------------------------------------------

# In a request's extensions: how a transport that has no real time gets the stream's `VirtualTime`. The method is held
# weakly: the stream holds its response, and that its request, and it is closed as soon as nobody holds the stream.
VIRTUAL_TIME = "sse_client.virtual_time"


class VirtualTime:
    """
    The time of a stream over a scripted transport: it passes only where somebody would wait.

    The transport waits for the server in it, the shell for its next attempt. A read gives up at `deadline`.
    """

    def __init__(self, now: float, wait_until_closed: Callable[[], object] | None) -> None:
        self.deadline = inf
        self.wait_until_closed = wait_until_closed
        """For a thread that would wait for ever; `None` where a cancellation ends that."""
        self._now = now

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
