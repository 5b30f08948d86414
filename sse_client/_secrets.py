"""Secrets in headers and URLs: which values may be shown or recorded."""

from urllib.parse import urlsplit, urlunsplit

REDACTED = "[redacted]"

# By their meaning in RFC 9110 and 9111, these identify no person. The value of any other header may be a secret.
HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "cache-control", "connection", "content-encoding", "content-length"),
        *("content-type", "date", "keep-alive", "last-event-id", "retry-after", "retry-after-ms", "server"),
        *("transfer-encoding", "user-agent", "vary", "x-accel-buffering", "x-should-retry"),
    }
)


def public_url(url: str) -> str:
    """Return the URL without its user, the values of its query and its fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    fields = (field.partition("=") for field in parts.query.split("&") if field)
    query = "&".join(f"{name}={REDACTED}" if equals else REDACTED for name, equals, _ in fields)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
