"""
All that is known of httpx and httpx2, and of the transports below them.

Both have the same names for different classes, so everything is found from the client's own module: neither is
imported for the other's sake.
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

# Accept: what we read. Cache-Control: as the standard's EventSource. Accept-Encoding: compression makes events late.
DEFAULT_HEADERS = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-cache",
    "Accept-Encoding": "identity",
}
ACCEPT_JSON = "application/json, text/event-stream"

# A blocking socket hands its timeout to poll() as milliseconds in a C int: 24 days. A longer one is none at all.
MAX_TIMEOUT = 2_147_483.0


@cache
def default_headers(library: ModuleType) -> Mapping[str, str]:
    """The headers of every request, where neither the user nor the HTTP client was told otherwise."""
    agent = f"sse-client/{__version__} python-{library.__name__}/{library.__version__}"
    return {**DEFAULT_HEADERS, "User-Agent": agent}


def library_of(value: object, name: str) -> ModuleType:
    """Return the module, httpx or httpx2, whose class `name` the value is an instance of."""
    for cls in type(value).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in ("httpx", "httpx2") and isinstance(value, getattr(sys.modules[root], name)):
            return sys.modules[root]
    raise TypeError(f"expected an httpx.{name} or httpx2.{name}, got {value!r}")


# What nearly every URL looks like, which a parser takes eight times as long to tell.
PLAIN_URL = re.compile(r"https?://(?!.*xn--)[A-Za-z0-9.-]+(:[0-9]{1,4}|:[1-5][0-9]{4})?(/[!-~]{0,1000})?")


def check_url(library: ModuleType, url: str, base_url: Any = None) -> None:
    """Refuse a URL that no request can go to, before there is one. The text says nothing of it that may be secret."""
    if PLAIN_URL.fullmatch(url):
        return
    parsed: Any = None
    with suppress(library.InvalidURL, ValueError):  # whose text may quote a password: it is not our error's context
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
    """Have an error say which header cannot be encoded, in place of the codec's own, which holds the whole value."""

    @wraps(build)
    def guarded(client: Any, library: ModuleType, step: Connect, headers: tuple[Headers | None, ...]) -> Any:
        try:
            return build(client, library, step, headers)
        except UnicodeEncodeError as error:
            is_text = error.encoding == "utf-8"
        # After the `except`, so that it is not the context of this one.
        for each in headers:
            if isinstance(each, library.Headers):
                continue  # these are bytes already
            for name, value in each.items() if isinstance(each, Mapping) else each or ():
                if not all(part.isascii() for part in (name, value) if isinstance(part, str)):
                    what = f"the value of the header {name!r}" if name.isascii() else "the name of a header"
                    raise ValueError(f"{what} is not ASCII: encode it yourself, and give bytes")
        if is_text:
            raise ValueError("the request has text that UTF-8 cannot encode: half of a surrogate pair")
        raise ValueError("a cookie of the request is not ASCII")

    return guarded


@_without_values
def build_request(client: Any, library: ModuleType, step: Connect, headers: tuple[Headers | None, ...]) -> Any:
    """
    Make the client's own request for an attempt.

    The later of the headers win; those of the client lie under ours only where they are httpx's own defaults.
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
        # httpx has replaced its query by the parameters that the client has for all requests.
        own = library.URL(request.url)
        built.url = own if own.is_absolute_url else built.url.copy_with(query=own.query or None)
    if built.url.port is not None and built.url.port > 65535:
        raise library.InvalidURL(f"Invalid port: {built.url.port}")  # of which each transport makes something else
    return built


def _merged_headers(client: Any, library: ModuleType, step: Connect, headers: tuple[Headers | None, ...]) -> Any:
    """Our headers, unless the client has its own; above them those of the user, then those of the attempt."""
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
    """Make a request to another origin without the client, which would add its own headers and cookies."""
    every = library.Headers(client.headers)
    every.update(arguments["headers"])
    kept = library.Headers({name: every[name] for name in ("Accept", "Content-Type") if name in every})
    kept.update({"Accept-Encoding": "identity", "User-Agent": default_headers(library)["User-Agent"]})
    # No secrets: without them the other origin would replay what was resumed, or do twice what was repeated.
    kept.update(_of_attempt(step))
    return library.Request(step.request.method, step.request.url, **{**arguments, "headers": kept})


def _of_attempt(step: Connect) -> dict[bytes, bytes]:
    return {name.encode(): value for name, value in step.headers.items()}


def is_default(name: str, value: str | None) -> bool:
    """Whether the header is one of a client whose user said nothing of it."""
    return (
        value is None
        or (name == "Accept" and value == "*/*")
        or (name == "Accept-Encoding" and value.startswith("gzip, deflate"))
        or (name == "User-Agent" and value.startswith("python-httpx"))
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


def head_of(response: Any, can_stop_reads: Callable[[], bool] = always) -> Head:
    """What the session needs to know of a response."""
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
    """Return a clock's seconds as a transport takes them."""
    if seconds is None or seconds > MAX_TIMEOUT:
        return None
    return max(seconds, MIN_TIMEOUT)


def is_http2(response: Any) -> bool:
    """Whether the response shares its connection with others: what is done to that, is done to all."""
    return bool(response.http_version == "HTTP/2")


class DeadlineReached(TimeoutError):
    """A step was given up because of a deadline of ours, or because somebody closed the stream."""


def transport_errors(library: ModuleType) -> tuple[type[Exception], ...]:
    """What a client raises for reasons outside of the program."""
    # StreamError: a response that somebody else has closed or read is no HTTPError.
    below = *http2_errors(), *_aiohttp_errors("ClientError")
    return library.HTTPError, library.StreamError, library.InvalidURL, OSError, EndedEarly, *below


def failure_of(error: Exception, library: ModuleType, channel: Channel | None = None) -> Failure:
    """Describe what a client raised."""
    if isinstance(error, library.LocalProtocolError) and "header" in str(error):
        # Its text quotes the header, and with it whatever is secret: no text of it, and not even as the cause.
        return Failure(None, "a header of the request is none that HTTP can carry", was_sent=False, is_final=True)
    if isinstance(error, _aiohttp_errors("ClientResponseError")):
        # The same of the URL and its query, and of all headers.
        return Failure(None, "the answer is no HTTP")
    if isinstance(error, library.RemoteProtocolError) and str(error).startswith("Invalid URL in location header"):
        # httpx looks at a redirect that it is not to follow. Its text quotes the URL.
        return Failure(None, "the Location of a redirect is not a URL", was_sent=False, is_final=True)
    if isinstance(error, (library.InvalidURL, *_aiohttp_errors("InvalidURL"))):
        # The same of a password in it that was taken for a port.
        return Failure(None, "the URL is not valid", was_sent=False, is_final=True)
    is_final = isinstance(error, library.UnsupportedProtocol | library.LocalProtocolError)
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
        is_early_end=isinstance(error, EndedEarly),
    )


def _is_unsent(error: Exception, library: ModuleType) -> bool:
    """Whether the error's class says that nothing of the request can have reached the server."""
    if isinstance(error.__cause__, _aiohttp_errors("ClientConnectionError")):
        # To httpx-aiohttp a connection that was lost behind the request is a ConnectTimeout too.
        return isinstance(error.__cause__, _aiohttp_errors("ClientConnectorError", "ConnectionTimeoutError"))
    return isinstance(error, library.ConnectError | library.ConnectTimeout | library.PoolTimeout | library.ProxyError)


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
        protocol.read_timeout = transport_timeout(seconds)
        protocol.start_timeout()
