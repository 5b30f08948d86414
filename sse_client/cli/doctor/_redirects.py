"""Redirects: which of them are followed. The rule is that of the library; a test compares the two."""

from urllib.parse import urljoin, urlsplit

import httpx

from .._notes import public_url
from ._exchange import Hop

# The same limit as in httpx and in browsers, and as in the library.
MAX_REDIRECTS = 20


def redirect_of(request: httpx.Request, status: int, location: str, hops: int) -> str | None:
    """Return the target of a redirect if the library would follow it, else `None`."""
    here = str(request.url)
    try:
        target = urljoin(here, location.strip())
        if not location.strip() or hops >= MAX_REDIRECTS or why_not(request.method, status, here, target):
            return None
    except ValueError:
        return None
    user, at, _ = urlsplit(here).netloc.rpartition("@")
    parts = urlsplit(target)
    return target if not at or "@" in parts.netloc else parts._replace(netloc=f"{user}@{parts.netloc}").geturl()


def why_not(method: str, status: int, here: str, target: str) -> str:
    """Return why a redirect between two URLs is not followed; empty if it is. Raises `ValueError` for a bad URL."""
    if method not in ("GET", "HEAD") and status not in (307, 308):
        return f"a {method} would become a GET, without its body"
    if here.startswith("https:") and not target.startswith("https:"):
        return "it leads from https to http"
    if not _is_same_origin(here, target):
        return "it leads to another origin, which must not receive the credentials"
    return ""


def hop_of(request: httpx.Request, status: int, location: str, target: str | None) -> Hop:
    """Return the redirect without secrets; without a target, it is not followed."""
    here = str(request.url)
    try:
        where = urljoin(here, location) if target is None else target
    except ValueError:
        where = location
    return Hop(status, public_url(where), is_followed=target is not None, at=public_url(here))


def _is_same_origin(url: str, other: str) -> bool:
    """Whether both have one origin; http and https on one host, both at the default port, count as one."""
    here, there = _origin_of(url), _origin_of(other)
    return here == there or (
        here[1] == there[1] and (here[0], here[2], there[0], there[2]) == ("http", 80, "https", 443)
    )


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def hide_location(response: httpx.Response) -> None:
    """Take the target of a redirect away: httpx parses it even if it does not follow it, and may raise."""
    response.extensions["headers"] = response.headers
    response.headers = response.headers.copy()
    response.headers.pop("location", None)


def show_location(response: httpx.Response) -> None:
    """Give the target of a redirect back."""
    response.headers = response.extensions.pop("headers", response.headers)
