"""A request as the user asked for it: httpx's arguments, kept until an attempt needs them."""

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

# RFC 9110, section 9.2.2: sent twice, these mean the same as sent once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

# Up to its host, the host with its user, the path, and what follows it.
URL = re.compile(r"((?:[^:/?#]*:)?//|)([^/?#]*)([^?#]*)(.*)", re.DOTALL)
HOST = re.compile(r"([^:@\[\]]*|\[[^@\[\]]*\])(:[0-9]*)?")


def public_url(url: str) -> str:
    """
    Return the URL as texts name it: without its user, query and fragment, which hold secrets.

    By hand: what is named may be no URL at all, and that is just what the text is about. A password with a "/", "?"
    or "#" in it looks like the end of a host. If an "@" may be the end of one, nothing but the scheme is named.
    """
    match = URL.fullmatch(url)
    assert match is not None
    scheme, authority, path, rest = match.groups()
    is_host = HOST.fullmatch(authority) is not None and bool(authority or not scheme)
    if ("@" in path and (":" in authority or not is_host)) or ("@" in rest and not is_host):
        return f"{scheme}…"
    return f"{scheme}{authority.rpartition('@')[2]}{path}"


def public_path(url: str) -> str:
    """Return the path of the URL, if that can be told."""
    shown = public_url(url)
    _, slashes, rest = shown.partition("//")
    return f"/{rest.partition('/')[2]}" if slashes and rest != "…" else shown


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request:
    """What to send. `json`, `content`, `data`, `files`, `params`, `cookies` and `auth` mean what they mean in httpx."""

    method: str
    """The method, in upper case."""
    url: str
    """The URL, as it was given: it may be relative to the client's `base_url`."""
    params: Params | None = None
    """Query parameters, added to those of the URL."""
    headers: AsyncHeadersSource | None = None
    """The call's own headers, or the function that makes them for each attempt."""
    cookies: Cookies | None = None
    """The call's own cookies."""
    json: Any = None
    """The body, as a value that JSON can have."""
    content: Content | None = None
    """The body, as text, bytes, or an iterator of bytes."""
    data: Data | None = None
    """The fields of a form."""
    files: Files | None = None
    """The files of a form."""
    auth: Auth | None = None
    """The call's own credentials."""

    def __repr__(self) -> str:
        return f"<Request {self.method} {public_url(str(self.url))}>"

    @property
    def is_idempotent(self) -> bool:
        """Whether the method means the same sent twice as sent once (RFC 9110, section 9.2.2)."""
        return self.method in IDEMPOTENT

    @property
    def is_repeatable(self) -> bool:
        """Whether the body can be sent again: an iterator or a file is used up by the first attempt."""
        # As in httpx, `data` that is not a form is a body like `content`, whatever its type says.
        fields = self.data if isinstance(self.data, Mapping) else None
        return (
            _is_text(self.content)
            and (_is_text(self.data) if fields is None else all(map(_is_value, fields.values())))
            and _are_text(self.files)
        )


def _is_text(body: Any) -> bool:
    return body is None or isinstance(body, str | bytes)


def _is_value(value: Any) -> bool:
    """Whether the value of a form field can be written again; httpx makes text of nearly anything."""
    if isinstance(value, list | tuple):
        return all(map(_is_value, cast("Sequence[Any]", value)))
    return not any(hasattr(value, name) for name in ("__next__", "__anext__", "read"))


def _are_text(files: Any) -> bool:
    """Whether all files are given by their content: alone, or behind a name."""
    if not files:
        return True
    if isinstance(files, Mapping):
        values = list(cast("dict[Any, Any]", files).values())
    elif isinstance(files, list | tuple):
        values = [file for _, file in cast("Sequence[Any]", files)]
    else:
        return False  # an iterator of files is used up itself
    contents: list[Any] = [value[1] if isinstance(value, tuple) else value for value in values]
    return all(isinstance(content, str | bytes) for content in contents)
