"""
Redirects: whether to follow one, and if not, why.

They are followed here and not by the HTTP client, which would turn a POST into a GET, or send the user's credentials to
another origin. `follow` decides about one response; a `Route` holds the result of an attempt's redirects.
"""

from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from .._request import Request
from .steps import Head

# The same limit as in httpx and in browsers.
MAX_REDIRECTS = 20


@dataclass(frozen=True, slots=True)
class Follow:
    """Send the request to this URL."""

    url: str
    is_foreign: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Treat the redirect like any other response."""

    why: str


@dataclass(frozen=True, slots=True)
class Route:
    """The redirects followed so far."""

    hops: int = 0
    """The number of redirects followed in this attempt."""
    url: str | None = None
    """The URL of the latest redirect, which replaces that of the request."""
    is_foreign: bool = False
    """Whether any of the redirects led to another origin."""

    def followed(self, target: Follow) -> "Route":
        """Return the route after one more redirect."""
        return Route(self.hops + 1, target.url, self.is_foreign or target.is_foreign)

    def again(self) -> "Route":
        """Return the same route, for another attempt."""
        return replace(self, hops=0)

    def applied_to(self, request: Request) -> Request:
        """Return the request as it is sent at the end of the route."""
        return request if self.url is None else replace(request, url=self.url, params=None)


def follow(head: Head, request: Request, route: Route, *, cross_origin: bool) -> Follow | Refuse | None:
    """Return the target of a redirect, or the reason not to follow it; `None` if the response is not a redirect."""
    if head.status_code not in (301, 302, 303, 307, 308) or (location := head.headers.get("location")) is None:
        return None
    try:
        target = urljoin(head.url, location)
        is_foreign = not is_same_origin(head.url, target)
    except ValueError:
        target, is_foreign = "", False
    if not location.strip() or not target:
        return Refuse("its Location is empty or not a URL")
    if route.hops >= MAX_REDIRECTS:
        return Refuse(f"the limit is {MAX_REDIRECTS} redirects")
    if request.method not in ("GET", "HEAD") and head.status_code not in (307, 308):
        return Refuse(f"a {request.method} would become a GET")
    if not request.is_repeatable:
        return Refuse("the body cannot be sent again")
    if head.url.startswith("https:") and not target.startswith("https:"):
        return Refuse("it leads from https to http")
    if is_foreign and not cross_origin:
        return Refuse(f"it leads to another origin, {origin(target)}; cross_origin_redirects=True allows that")
    return Follow(target if is_foreign else with_user_of(head.url, target), is_foreign)


def with_user_of(url: str, target: str) -> str:
    """Return the target with the credentials of the URL, which hold for the whole origin, unless it has its own."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    parts = urlsplit(target)
    return target if not at or "@" in parts.netloc else parts._replace(netloc=f"{user}@{parts.netloc}").geturl()


def origin(url: str) -> str:
    """Return the origin of a URL (RFC 6454) for an error text."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def is_same_origin(url: str, other: str) -> bool:
    """Whether both URLs have one origin. http and https on one host, both at the default port, count as one."""
    here, there = _origin_of(url), _origin_of(other)
    return here == there or (
        (here[0], here[2], there[0], there[2]) == ("http", 80, "https", 443) and here[1] == there[1]
    )


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
