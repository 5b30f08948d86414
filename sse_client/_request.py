"""A request as the user specified it: httpx's arguments, kept for each attempt."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from ._types import Auth, Content, Cookies, Data, Files, Params

Headers: TypeAlias = (
    Mapping[str, str] | Mapping[bytes, bytes] | Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]
)
HeadersSource: TypeAlias = Headers | Callable[[], Headers | None]
AsyncHeadersSource: TypeAlias = HeadersSource | Callable[[], Awaitable[Headers | None]]

# RFC 9110, section 9.2.2: sending these twice has the same effect as sending them once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

# The part before the host, the host with its user, the path, and the rest.
URL = re.compile(r"((?:[^:/?#]*:)?//|)([^/?#]*)([^?#]*)(.*)", re.DOTALL)
HOST = re.compile(r"([^:@\[\]]*|\[[^@\[\]]*\])(:[0-9]*)?")


def public_url(url: str) -> str:
    """
    Return the URL for a text: without its user, query and fragment, which may hold secrets.

    It is parsed by hand, because the text may be about a URL that is invalid. A password that contains "/", "?" or "#"
    looks like the end of the host. So if an "@" may be the end of a password, only the scheme is returned.
    """
    match = URL.fullmatch(url)
    assert match is not None
    scheme, authority, path, rest = match.groups()
    is_host = HOST.fullmatch(authority) is not None and bool(authority or not scheme)
    if ("@" in path and (":" in authority or not is_host)) or ("@" in rest and not is_host):
        return f"{scheme}…"
    return f"{scheme}{authority.rpartition('@')[2]}{path}"


def public_path(url: str) -> str:
    """Return the path of the URL, if it is known."""
    shown = public_url(url)
    _, slashes, rest = shown.partition("//")
    return f"/{rest.partition('/')[2]}" if slashes and rest != "…" else shown


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request:
    """A request. `json`, `content`, `data`, `files`, `params`, `cookies` and `auth` have the meaning of httpx."""

    method: str
    """The method, in upper case."""
    url: str
    """The URL as the user passed it: it may be relative to the client's `base_url`."""
    params: Params | None = None
    """Query parameters, added to those of the URL."""
    headers: AsyncHeadersSource | None = None
    """Headers of this call, or a function that returns them for each attempt."""
    cookies: Cookies | None = None
    """Cookies of this call."""
    json: Any = None
    """The body, as a value to encode as JSON."""
    content: Content | None = None
    """The body, as text, bytes, or an iterator of bytes."""
    data: Data | None = None
    """The fields of a form."""
    files: Files | None = None
    """The files of a form."""
    auth: Auth | None = None
    """Credentials of this call."""

    def __repr__(self) -> str:
        return f"<Request {self.method} {public_url(str(self.url))}>"

    @property
    def is_idempotent(self) -> bool:
        """Whether sending the method twice has the same effect as sending it once (RFC 9110, section 9.2.2)."""
        return self.method in IDEMPOTENT

    @property
    def is_repeatable(self) -> bool:
        """Whether the body can be sent again: the first attempt uses up an iterator or a file."""
        # As in httpx, `data` that is not a mapping is sent like `content`, although its type does not allow it.
        fields = self.data if isinstance(self.data, Mapping) else None
        return (
            _is_text(self.content)
            and (_is_text(self.data) if fields is None else all(map(_is_value, fields.values())))
            and _are_text(self.files)
        )


def _is_text(body: Any) -> bool:
    return body is None or isinstance(body, str | bytes)


def _is_value(value: Any) -> bool:
    """Whether the value of a form field can be sent again; httpx converts nearly anything to text."""
    if isinstance(value, list | tuple):
        return all(map(_is_value, cast("Sequence[Any]", value)))
    return not any(hasattr(value, name) for name in ("__next__", "__anext__", "read"))


def _are_text(files: Any) -> bool:
    """Whether all files are text or bytes, alone or after a name."""
    if not files:
        return True
    if isinstance(files, Mapping):
        values = list(cast("dict[Any, Any]", files).values())
    elif isinstance(files, list | tuple):
        values = [file for _, file in cast("Sequence[Any]", files)]
    else:
        return False  # an iterator of files is itself used up
    contents: list[Any] = [value[1] if isinstance(value, tuple) else value for value in values]
    return all(isinstance(content, str | bytes) for content in contents)
