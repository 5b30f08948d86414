"""
The types of the arguments for httpx or httpx2, and protocols for their clients and responses.

The classes of both libraries are described by their methods, not by their names. Perhaps only one of the two is
installed, and a type checker treats a class that it cannot find as `Any`: a union with `httpx2.Client` would then allow
everything. Neither is imported, so that the types also exist at run time. `Any` stands for a class of the installed
library.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from http.cookiejar import CookieJar
from typing import IO, Any, Protocol, TypeAlias


class Response(Protocol):
    """The attributes of `stream.response` that you can rely on. The object itself comes from your HTTP client."""

    @property
    def status_code(self) -> int:
        """The status code."""
        ...

    @property
    def reason_phrase(self) -> str:
        """The text after the status code; empty over HTTP/2."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; lookups ignore the case of names."""
        ...

    @property
    def http_version(self) -> str:
        """`"HTTP/1.1"` or `"HTTP/2"`."""
        ...

    @property
    def url(self) -> Any:
        """The URL that returned the response, after any redirects."""
        ...


class HTTPResponse(Response, Protocol):
    """An `httpx.Response` or `httpx2.Response`."""

    @property
    def request(self) -> Any: ...
    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]: ...
    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]: ...


class HTTPClient(Protocol):
    """An `httpx.Client` or `httpx2.Client`."""

    def build_request(self, method: str, url: str) -> Any: ...
    def send(self, request: Any, *, stream: bool = False) -> HTTPResponse: ...
    def close(self) -> None: ...


class AsyncHTTPClient(Protocol):
    """An `httpx.AsyncClient` or `httpx2.AsyncClient`."""

    def build_request(self, method: str, url: str) -> Any: ...
    async def send(self, request: Any, *, stream: bool = False) -> HTTPResponse: ...
    async def aclose(self) -> None: ...


class HTTPAuth(Protocol):
    """An `httpx.Auth` or `httpx2.Auth`."""

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
    def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]: ...


class HTTPCookies(Protocol):
    """An `httpx.Cookies` or `httpx2.Cookies`."""

    jar: CookieJar

    def extract_cookies(self, response: Any) -> None: ...


Auth: TypeAlias = tuple[str | bytes, str | bytes] | Callable[[Any], Any] | HTTPAuth
Cookies: TypeAlias = HTTPCookies | CookieJar | dict[str, str] | list[tuple[str, str]]

Primitive: TypeAlias = str | int | float | bool | None
Params: TypeAlias = (
    Mapping[str, Primitive | Sequence[Primitive]]
    | list[tuple[str, Primitive]]
    | tuple[tuple[str, Primitive], ...]
    | str
    | bytes
)

FileContent: TypeAlias = IO[bytes] | bytes | str
File: TypeAlias = (
    FileContent
    | tuple[str | None, FileContent]
    | tuple[str | None, FileContent, str | None]
    | tuple[str | None, FileContent, str | None, Mapping[str, str]]
)
Files: TypeAlias = Mapping[str, File] | Sequence[tuple[str, File]]

Content: TypeAlias = str | bytes | Iterable[bytes] | AsyncIterable[bytes]
Data: TypeAlias = Mapping[str, Any]
