"""
The knowledge about httpx and httpx2, and about the transports below them.

Both have the same names for different classes, so all classes are looked up in the module of the client: neither
library is imported just to support the other.
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, wraps
from types import ModuleType
from typing import Any

from .._core.clocks import MIN_TIMEOUT
from .._core.steps import Connect, Failure, Head, always
from .._errors import quote
from .._request import AsyncHeadersSource, Headers, public_url
from .._version import __version__
from .codings import EndedEarly, coding_of, decoder_for
from .http2 import http2_errors
from .waking import Channel

# Cache-Control as in the standard's EventSource. Accept-Encoding because compression delays events.
DEFAULT_HEADERS = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-cache",
    "Accept-Encoding": "identity",
}
ACCEPT_JSON = "application/json, text/event-stream"

# A blocking socket passes its timeout to poll() as milliseconds in a C int: 24 days. A longer timeout means none.
MAX_TIMEOUT = 2_147_483.0


@cache
def default_headers(library: ModuleType) -> Mapping[str, str]:
    """Return the headers of every request, unless the user or the HTTP client has its own."""
    agent = f"sse-client/{__version__} python-{library.__name__}/{library.__version__}"
    return {**DEFAULT_HEADERS, "User-Agent": agent}


def library_of(value: object, name: str) -> ModuleType:
    """Return the module, httpx or httpx2, whose class `name` the value is an instance of."""
    for cls in type(value).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in ("httpx", "httpx2") and isinstance(value, getattr(sys.modules[root], name)):
            return sys.modules[root]
    raise TypeError(f"expected an httpx.{name} or httpx2.{name}, got {value!r}")


# Matches nearly every valid URL, in an eighth of the time that parsing it takes.
PLAIN_URL = re.compile(r"https?://(?!.*xn--)[A-Za-z0-9.-]+(:[0-9]{1,4}|:[1-5][0-9]{4})?(/[!-~]{0,1000})?")


def check_url(library: ModuleType, url: str, base_url: Any = None) -> None:
    """Reject an invalid URL before there is a request. The error text contains no secrets of the URL."""
    if PLAIN_URL.fullmatch(url):
        return
    parsed: Any = None
    with suppress(library.InvalidURL, ValueError):  # its text may quote a password: it must not be our context
        parsed = library.URL(url)
    shown = quote(public_url(url))
    if parsed is None or (parsed.port or 0) > 65535:
        raise ValueError(f"expected a URL, got {shown}; special characters in it must be percent-encoded")
    is_relative = not parsed.scheme and not parsed.host
    whole = base_url if is_relative and base_url is not None else parsed
    if whole.scheme not in ("http", "https") or not whole.host:
        text = f"expected a URL that begins with http:// or https://, got {shown}"
        raise ValueError(f"{text}; a relative one needs a client with such a base_url" if is_relative else text)


def _without_values(build: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the codec's error, which contains the whole value, with one that names the header."""

    @wraps(build)
    def guarded(client: Any, library: ModuleType, step: Connect, headers: tuple[Headers | None, ...]) -> Any:
        try:
            return build(client, library, step, headers)
        except UnicodeEncodeError as error:
            is_text = error.encoding == "utf-8"
        # After the `except`, so that the codec's error is not the context of the new one.
        for each in headers:
            if isinstance(each, library.Headers):
                continue  # these are bytes already
            for name, value in each.items() if isinstance(each, Mapping) else each or ():
                if not all(part.isascii() for part in (name, value) if isinstance(part, str)):
                    what = f"the value of the header {name!r}" if name.isascii() else "the name of a header"
                    raise ValueError(f"{what} is not ASCII: encode it yourself and pass bytes")
        if is_text:
            raise ValueError("the request has text that UTF-8 cannot encode: half of a surrogate pair")
        raise ValueError("a cookie of the request is not ASCII")

    return guarded


@_without_values
def build_request(client: Any, library: ModuleType, step: Connect, headers: tuple[Headers | None, ...]) -> Any:
    """
    Build the client's own request for an attempt.

    Later headers override earlier ones. Our defaults override the client's only if those are httpx's own defaults.
    """
    request = step.request
    arguments: dict[str, Any] = {
        "headers": _merged_headers(client, library, step, headers),
        "content": request.content,
        "data": request.data,
        "files": request.files,
        "json": request.json,
        "params": request.params,
        "extensions": {
            "timeout": {
                "connect": step.connect,
                "pool": step.connect,
                "read": step.response,
                "write": step.response,
            }
        },
    }
    if step.is_foreign:
        return _foreign_request(client, library, step, arguments)
    built = client.build_request(request.method, request.url, cookies=request.cookies, **arguments)
    if step.is_exact:
        # httpx has replaced the query with the client's default parameters.
        own = library.URL(request.url)
        built.url = own if own.is_absolute_url else built.url.copy_with(query=own.query or None)
    if built.url.port is not None and built.url.port > 65535:
        raise library.InvalidURL(f"Invalid port: {built.url.port}")  # transports would each raise a different error
    return built


def _merged_headers(client: Any, library: ModuleType, step: Connect, headers: tuple[Headers | None, ...]) -> Any:
    """Return our default headers, unless the client has its own, overridden by the user's, then by the attempt's."""
    defaults = default_headers(library)
    if accept := step.accept or (ACCEPT_JSON if step.accepts_json else None):
        defaults = {**defaults, "Accept": accept}
    merged = library.Headers(
        {name: value for name, value in defaults.items() if is_default(name, client.headers.get(name))}
    )
    for each in headers:
        if each:
            merged.update(each)
    merged.update(_of_attempt(step))
    return merged


def _foreign_request(client: Any, library: ModuleType, step: Connect, arguments: dict[str, Any]) -> Any:
    """Build a request to another origin without the client, which would add its own headers and cookies."""
    every = library.Headers(client.headers)
    every.update(arguments["headers"])
    kept = library.Headers({name: every[name] for name in ("Accept", "Content-Type") if name in every})
    kept.update({"Accept-Encoding": "identity", "User-Agent": default_headers(library)["User-Agent"]})
    # These are not secret. Without them, the other origin would replay a resumed stream, or act on a retry twice.
    kept.update(_of_attempt(step))
    return library.Request(step.request.method, step.request.url, **{**arguments, "headers": kept})


def _of_attempt(step: Connect) -> dict[bytes, bytes]:
    return {name.encode(): value for name, value in step.headers.items()}


def is_default(name: str, value: str | None) -> bool:
    """Whether a client's header has the library's default value, so that the user did not set it."""
    return (
        value is None
        or (name == "Accept" and value == "*/*")
        or (name == "Accept-Encoding" and value.startswith("gzip, deflate"))
        or (name == "User-Agent" and value.startswith("python-httpx"))
    )


def send_options(step: Connect) -> dict[str, Any]:
    """Return the arguments of `client.send`: redirects are followed by the core, and another origin gets no auth."""
    options: dict[str, Any] = {"stream": True, "follow_redirects": False}
    if step.is_foreign:
        options["auth"] = None
    elif step.request.auth is not None:
        options["auth"] = step.request.auth
    return options


def resolve(source: AsyncHeadersSource | None) -> Headers | None:
    """Return the headers, from their function if there is one."""
    headers = source() if callable(source) else source
    if inspect.isawaitable(headers):
        if inspect.iscoroutine(headers):
            headers.close()
        raise TypeError("headers= is an async function, which needs AsyncSSEClient")
    return headers


async def aresolve(source: AsyncHeadersSource | None) -> Headers | None:
    """Return the headers, from their function if there is one; it may be async."""
    headers = source() if callable(source) else source
    return await headers if inspect.isawaitable(headers) else headers


def head_of(response: Any, can_stop_reads: Callable[[], bool] = always) -> Head:
    """Return the head of a response, for the session."""
    coding = coding_of(response.headers.get("content-encoding", ""))
    return Head(
        response.status_code,
        response.headers,
        str(response.url),
        response,
        reason=response.reason_phrase,
        undecodable="" if decoder_for(coding) is not None else coding,
        can_stop_reads=can_stop_reads,
    )


def transport_timeout(seconds: float | None) -> float | None:
    """Return a clock's seconds as a timeout that transports accept."""
    if seconds is None or seconds > MAX_TIMEOUT:
        return None
    return max(seconds, MIN_TIMEOUT)


def is_http2(response: Any) -> bool:
    """Whether the response shares its connection with others, so that closing the connection would end them too."""
    return bool(response.http_version == "HTTP/2")


class DeadlineReached(TimeoutError):
    """A step was given up because a clock ran out, or because the stream was closed."""


def transport_errors(library: ModuleType) -> tuple[type[Exception], ...]:
    """Return the exceptions that a client raises for reasons outside the program."""
    # `StreamError`, for a response that other code has closed or read, is not a subclass of `HTTPError`.
    below = *http2_errors(), *_aiohttp_errors("ClientError")
    return library.HTTPError, library.StreamError, library.InvalidURL, OSError, EndedEarly, *below


def failure_of(error: Exception, library: ModuleType, channel: Channel | None = None) -> Failure:
    """Convert an exception of a client to a `Failure`."""
    if isinstance(error, library.LocalProtocolError) and "header" in str(error):
        # Its text quotes the header, which may be secret, so it is left out, even as the cause.
        text = "a request header contains characters that HTTP does not allow"
        return Failure(None, text, was_sent=False, is_final=True)
    if isinstance(error, _aiohttp_errors("ClientResponseError")):
        # Its text quotes the URL with its query, and all headers.
        return Failure(None, "the response is not valid HTTP")
    if isinstance(error, library.RemoteProtocolError) and str(error).startswith("Invalid URL in location header"):
        # httpx parses the URL of a redirect even if it does not follow it. Its text quotes the URL.
        return Failure(None, "the Location of a redirect is not a URL", was_sent=False, is_final=True)
    if isinstance(error, (library.InvalidURL, *_aiohttp_errors("InvalidURL"))):
        # Its text may quote a part of a password that was parsed as a port.
        return Failure(None, "the URL is not valid", was_sent=False, is_final=True)
    is_final = isinstance(error, library.UnsupportedProtocol | library.LocalProtocolError)
    was_sent = not _is_unsent(error, library)
    # If a proxy refused, the request was not sent; the CONNECT to the proxy is traced like a request.
    if channel is not None and channel.was_sent is not None and not isinstance(error, library.ProxyError):
        was_sent = channel.was_sent
    return Failure(
        error,
        str(error) or type(error).__name__,
        was_sent=was_sent and not is_final,
        is_timeout=isinstance(error, library.TimeoutException | TimeoutError),
        is_final=is_final,
        is_deadline=isinstance(error, DeadlineReached) or (channel is not None and channel.is_expired),
        is_early_end=isinstance(error, EndedEarly),
    )


def _is_unsent(error: Exception, library: ModuleType) -> bool:
    """Whether the error's class shows that no part of the request can have reached the server."""
    if isinstance(error.__cause__, _aiohttp_errors("ClientConnectionError")):
        # httpx-aiohttp raises ConnectTimeout also for a connection that was lost after the request.
        return isinstance(error.__cause__, _aiohttp_errors("ClientConnectorError", "ConnectionTimeoutError"))
    return isinstance(error, library.ConnectError | library.ConnectTimeout | library.PoolTimeout | library.ProxyError)


def _aiohttp_errors(*names: str) -> tuple[type[Exception], ...]:
    """Return aiohttp's own errors, some of which httpx-aiohttp passes on; none if aiohttp is not imported."""
    aiohttp = sys.modules.get("aiohttp")
    return () if aiohttp is None else tuple(getattr(aiohttp, name) for name in names)


def _aiohttp_response(response: Any) -> Any:
    """Return aiohttp's response below this one, or `None`; httpx-aiohttp has no public attribute for it."""
    stream = getattr(response.stream, "_stream", None)
    return getattr(stream, "_aiohttp_response", None)


def is_woken_by_closing(response: Any) -> bool:
    """Whether closing the response in another task wakes its reader: it does unless the connection is shared."""
    if "network_stream" in response.extensions:
        return not is_http2(response)
    return _aiohttp_response(response) is not None


def set_read_timeout_below(response: Any, seconds: float | None) -> None:
    """Set the read timeout of the body in aiohttp, which would otherwise keep using that of the headers."""
    connection = getattr(_aiohttp_response(response), "connection", None)
    protocol = getattr(connection, "protocol", None)
    if protocol is not None:
        protocol.read_timeout = transport_timeout(seconds)
        protocol.start_timeout()
