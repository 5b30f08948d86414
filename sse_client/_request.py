"""A request as the user asked for it: httpx's arguments, kept until an attempt needs them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Headers: TypeAlias = (
    Mapping[str, str] | Mapping[bytes, bytes] | Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]
)
HeadersSource: TypeAlias = Headers | Callable[[], Headers | None]
AsyncHeadersSource: TypeAlias = HeadersSource | Callable[[], Awaitable[Headers | None]]

# RFC 9110, section 9.2.2: sent twice, these mean the same as sent once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send. `json`, `content`, `data`, `files`, `params`, `cookies` and `auth` mean what they mean in httpx."""

    method: str
    url: str
    params: Any = None
    headers: AsyncHeadersSource | None = None
    cookies: Any = None
    json: Any = None
    content: Any = None
    data: Any = None
    files: Any = None
    auth: Any = None

    @property
    def is_idempotent(self) -> bool:
        return self.method in IDEMPOTENT

    @property
    def is_repeatable(self) -> bool:
        """Whether the body can be sent again: an iterator or a file is used up by the first attempt."""
        return (self.content is None or isinstance(self.content, str | bytes)) and not self.files

    def without_body(self) -> "Request":
        return Request(
            method=self.method,
            url=self.url,
            params=self.params,
            headers=self.headers,
            cookies=self.cookies,
            auth=self.auth,
        )
