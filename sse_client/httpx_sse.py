"""
A replacement for httpx-sse 0.4.3: change the import, and nothing else.

    from sse_client.httpx_sse import EventSource, ServerSentEvent, SSEError, aconnect_sse, connect_sse

The names, arguments and errors are those of httpx-sse. Clients and responses may be those of httpx or httpx2. The
events come from `EventParser`. Nothing is added: no retry, no special `[DONE]`, no check of the status or of how the
body ends. `SSEClient` has all of these.

This module follows the standard in these points, unlike httpx-sse. A block without `data` is not an event, a BOM
is dropped, the text is UTF-8 even with another charset, `retry` is digits only, and a CR ends its line at once. The
media type is compared in any case. The caller's headers are not changed, and may be `None` or a list. An event beyond
64 MiB is an `SSEError`. Events are `sse_client.ServerSentEvent`: compared by value, with all fields in their `repr`.
"""

import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, Protocol, cast

import httpx
from typing_extensions import TypeVar

from sse_client import EventParser, EventTooLarge, ServerSentEvent

if TYPE_CHECKING:
    from ._types import HTTPResponse

__all__ = ["EventSource", "SSEError", "ServerSentEvent", "aconnect_sse", "connect_sse"]

# Without a parameter, `EventSource` in an annotation means the same as in httpx-sse.
R = TypeVar("R", bound="HTTPResponse", default=httpx.Response)
R_co = TypeVar("R_co", bound="HTTPResponse", covariant=True)

# Set over the caller's, as in httpx-sse.
HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
REPLACED = {"accept", b"accept", "cache-control", b"cache-control"}


class _Client(Protocol[R_co]):
    """An `httpx.Client` or `httpx2.Client`."""

    def stream(self, method: str, url: str, *, headers: Any = ...) -> AbstractContextManager[R_co]: ...


class _AsyncClient(Protocol[R_co]):
    """An `httpx.AsyncClient` or `httpx2.AsyncClient`."""

    def stream(self, method: str, url: str, *, headers: Any = ...) -> AbstractAsyncContextManager[R_co]: ...


class SSEError(httpx.TransportError):
    """
    The response is not an event stream, or an event of it is larger than 64 MiB.

    It is also the `TransportError` of the library that the response belongs to, so an `except httpx2.TransportError`
    around an httpx2 client catches it.
    """


class EventSource(Generic[R]):
    """
    The events of a response that was requested with `stream=True`.

    The status is not checked: call `event_source.response.raise_for_status()` first if you need it.
    """

    def __init__(self, response: R) -> None:
        self._response = response

    @property
    def response(self) -> R:
        """The response, as the client returned it."""
        return self._response

    def iter_sse(self) -> Iterator[ServerSentEvent]:
        """
        Iterate the events until the body ends.

        Raises `SSEError`, at the first event, if the response's content type does not contain `text/event-stream`.
        Raises the HTTP client's own errors if the connection breaks.
        """
        with self._parser() as parser:
            for data in self._response.iter_bytes():
                yield from parser.feed(data)

    async def aiter_sse(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Iterate the events of an async client's response; see `iter_sse`."""
        body = cast("AsyncGenerator[bytes, None]", self._response.aiter_bytes())
        with self._parser() as parser:
            async with aclosing(body):  # also if the user closes this generator before its end
                async for data in body:
                    for event in parser.feed(data):
                        yield event

    @contextmanager
    def _parser(self) -> Generator[EventParser, None, None]:
        """Check the content type, and turn the parser's error into an `SSEError`."""
        media_type = self._response.headers.get("content-type", "").partition(";")[0]
        # "Contains", as in httpx-sse: some servers send "application/json, text/event-stream".
        if "text/event-stream" not in media_type.lower():
            raise self._error(f"expected a Content-Type that contains 'text/event-stream', got {media_type!r}")
        parser = EventParser()
        try:
            yield parser
            parser.feed(b"")  # raises if the last piece of the body had an event that is too large
        except EventTooLarge as error:
            raise self._error(str(error)) from error

    def _error(self, text: str) -> SSEError:
        error = _error_class(self._response)(text)
        with suppress(RuntimeError):  # the response was created without a request
            error.request = self._response.request
        return error


@contextmanager
def connect_sse(client: _Client[R], method: str, url: str, **kwargs: Any) -> Generator[EventSource[R], None, None]:
    """
    Send a request for an event stream, and close the response at the end of the `with` block.

    The arguments are those of `client.stream`. The headers `Accept` and `Cache-Control` are replaced.
    """
    with client.stream(method, url, **_with_headers(kwargs)) as response:
        yield EventSource(response)


@asynccontextmanager
async def aconnect_sse(
    client: _AsyncClient[R], method: str, url: str, **kwargs: Any
) -> AsyncGenerator[EventSource[R], None]:
    """Send a request for an event stream with an async client; see `connect_sse`."""
    async with client.stream(method, url, **_with_headers(kwargs)) as response:
        yield EventSource(response)


def _with_headers(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with a copy of the headers, of the same kind, in which ours replace the caller's."""
    given: Any = kwargs.get("headers") or {}
    if hasattr(given, "multi_items"):
        headers = given.copy()  # httpx.Headers or httpx2.Headers: a dict would join repeated names
        headers.update(HEADERS)
        return {**kwargs, "headers": headers}
    is_mapping = hasattr(given, "items")
    pairs: Any = given.items() if is_mapping else given
    headers = [*((name, value) for name, value in pairs if name.lower() not in REPLACED), *HEADERS.items()]
    return {**kwargs, "headers": dict(headers) if is_mapping else headers}


def _error_class(response: object) -> type[SSEError]:
    """Return `SSEError`, or for a response of httpx2 the subclass that is an error of httpx2 too."""
    libraries = {cls.__module__.partition(".")[0] for cls in type(response).__mro__}
    return _joined(sys.modules["httpx2"].TransportError) if "httpx2" in libraries else SSEError


@cache
def _joined(base: Any) -> type[SSEError]:
    """
    Return an `SSEError` that is also a `base`.

    `except` looks at real base classes only, and httpx2 is optional. So the class is created when it is needed.
    """

    def reduce(error: SSEError) -> tuple[Any, ...]:
        return _rebuilt, (base, error.args), error.__dict__  # no module has this class by name, for pickle to find

    members = {"__module__": __name__, "__doc__": SSEError.__doc__, "__reduce__": reduce}
    return cast("type[SSEError]", type("SSEError", (SSEError, base), members))


def _rebuilt(base: Any, args: tuple[str]) -> SSEError:
    return _joined(base)(*args)
