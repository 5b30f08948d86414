"""
How a broken stream is taken up again: the request that asks a server to go on behind the last event.

Both ways are values without a state of their own; the session keeps the ID, or the cursor, of the last event that the
user has finished with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from typing_extensions import TypeVar

from ._event import ServerSentEvent
from ._request import Request
from ._retry import RetryPolicy

C = TypeVar("C", default=Any)

# A copy, which no user has: a subscription keeps to its own policy unless another was given.
DEFAULT = replace(RetryPolicy.RESUME)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEventID:
    """
    Send the request again with the header `Last-Event-ID` (WHATWG HTML, section 9.2.4).

    `method` and `url` replace the first request's, if the server resumes elsewhere. `url` may be a function of the
    first response; what it returns is relative to the URL of that response, and `None` means that the stream cannot
    be resumed. The URL is requested as it is, without `params`, and with all headers of the call, whatever its
    origin. A method without a body (GET) drops it.

    The ID is that of the last event you finished processing, or of a block of an ID alone after it. `retry` is the
    policy of a resume, or of a whole subscription; see `RetryPolicy`.

    Some servers repeat the event that they are asked to resume after. So the first event of a resumed connection is
    skipped if it has an `id` of its own and its ID, name and data are those of the last event; the log says so. Other
    servers give one ID to several events: in a stream that has had two such events in a row nothing is skipped. If
    the first two that ever share an ID are equal in name and data too, and the cut falls between them, the second
    looks like a repeat, and is lost.
    """

    method: str | None = None
    """The method of a resume; by default that of the first request."""
    url: str | Callable[[Any], str | None] | None = None
    """The URL of a resume, or a function of the first response; by default that of the first request."""
    retry: RetryPolicy = field(default=DEFAULT)
    """How often to try, and how long to wait before each attempt."""

    def __post_init__(self) -> None:
        RetryPolicy._of(self.retry)

    def request(self, request: Request, response: Any) -> Request | None:
        """Make the request that resumes the stream; `None` if it cannot be resumed."""
        url = self.url
        if callable(url) and (url := url(response)) is None:
            return None
        if url is not None:
            request = replace(request, url=str(url), params=None)
        if self.method is not None:
            request = replace(request, method=self.method.upper())
            if request.method in ("GET", "HEAD"):
                return replace(request, json=None, content=None, data=None, files=None)
        return request


@dataclass(frozen=True)  # without slots: `Cursor[X](…)` would be a TypeError in Python 3.11
class Cursor(Generic[C]):
    """
    Make the next request from what was received, where the server has a way of its own to go on.

    `advance` is called with the cursor and each event that the user has finished with, and returns the new cursor.
    `request` is called with the cursor and the first request, and returns the one to send, or `None` if the stream
    cannot be resumed; use `dataclasses.replace(request, …)`. A URL with a query of its own is requested as it is. A
    repeated event is skipped as with `LastEventID`.
    """

    initial: C
    """
    The cursor before the first event.

    It may be that of an earlier stream, `error.cursor`, also of another process, which can save it as JSON. The first
    request is always the call's own; so it must ask for what comes after the cursor:
    `client.get(f"/runs/{run}?after={saved}", resume=replace(RESUME, initial=saved))`.
    """
    advance: Callable[[C, ServerSentEvent], C]
    """`(cursor, event) -> cursor`, for each event that you have finished processing."""
    request: Callable[[C, Request], Request | None]
    """`(cursor, request) -> request`, from the first request; `None` if the stream cannot be resumed."""
    retry: RetryPolicy = field(default=DEFAULT, kw_only=True)
    """How often to try, and how long to wait before each attempt."""

    def __post_init__(self) -> None:
        RetryPolicy._of(self.retry)
