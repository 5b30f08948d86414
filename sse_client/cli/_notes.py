"""Everything but events: notes, retries, errors, and the heads of requests and responses, without secrets."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, TextIO
from urllib.parse import urlsplit, urlunsplit

from sse_client import SSEError

from ._text import in_one_line, visible

REDACTED = "[redacted]"

# Request headers whose values tell nothing about who asks. Every other one may hold a secret.
HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-length"),
        *("content-type", "host", "last-event-id", "pragma", "transfer-encoding", "user-agent"),
    }
)
# Response headers with secrets: these are for the client alone.
SECRET = frozenset({"set-cookie", "set-cookie2", "authentication-info", "proxy-authentication-info"})
# Response headers with URLs: their queries may have been the request's.
URLS = frozenset({"location", "content-location", "refresh", "link"})


class Notes:
    """Writes to standard error. `around` is called with each write, for a status line that must make room."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.around: Callable[[Callable[[], None]], None] = _call

    def write(self, text: str) -> None:
        """Write a line, or several. If standard error is closed, it is lost."""

        def write() -> None:
            try:
                self._stream.write(f"{visible(text)}\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass

        self.around(write)

    def say(self, text: str) -> None:
        """Write a note."""
        self.write(f"sse-client: {text}")

    def error(self, error: SSEError) -> None:
        """Write the error that a stream ended with."""
        self.say(in_one_line(str(error)))

    def retrying(self, error: SSEError) -> None:
        """Write why there is another attempt."""
        self.say(f"retrying after: {in_one_line(str(error))}")


def _call(write: Callable[[], None]) -> None:
    write()


def request_head(request: Any, given: Collection[str]) -> list[str]:
    """Return the lines of a request's head, without the values of headers that are given by the user."""
    headers = without_secrets(request.headers.multi_items(), given)
    return [f"{request.method} {public_url(str(request.url))}", *(f"{name}: {value}" for name, value in headers)]


def without_secrets(headers: Iterable[tuple[str, str]], given: Collection[str]) -> list[tuple[str, str]]:
    """Return the headers of a request without the values that may be secrets, such as all that the user gave."""
    return [
        (name, value if name.lower() in HARMLESS and name.lower() not in given else REDACTED) for name, value in headers
    ]


def response_head(response: Any) -> list[str]:
    """Return the lines of a response's head."""
    return [
        f"{response.http_version} {response.status_code} {response.reason_phrase}".rstrip(),
        *header_lines(response.headers.multi_items()),
    ]


def header_lines(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the lines of a response's headers, without the values of cookies and of queries."""
    return [f"{name}: {_shown(name.lower(), value)}" for name, value in headers]


def _shown(name: str, value: str) -> str:
    if name in SECRET:
        return REDACTED
    if name in URLS and ("?" in value or "@" in value or "#" in value):
        return public_url(value)
    return value


def public_url(url: str) -> str:
    """Return the URL without its user, the values of its query and its fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    fields = (field.partition("=") for field in parts.query.split("&") if field)
    query = "&".join(f"{name}={REDACTED}" if equals else REDACTED for name, equals, _ in fields)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
