"""
How a broken stream is resumed: the request for the events after the last one.

Both classes are values without state. The session keeps the ID or the cursor of the last event that the user has
finished with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from typing_extensions import TypeVar

from ._event import ServerSentEvent
from ._request import Request
from ._retry import RetryPolicy

C = TypeVar("C", default=Any)

# A copy, so that `is` tells it from a policy of the user: a subscription uses its own policy unless one was given.
DEFAULT = replace(RetryPolicy.RESUME)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEventID:
    """
    Send the request again with the header `Last-Event-ID` (WHATWG HTML, section 9.2.4).

    `method` and `url` replace the first request's, if the server resumes elsewhere. `url` may be a function of the
    first response; its result is relative to the URL of that response, and `None` means that the stream cannot be
    resumed. The URL is requested unchanged, without `params`, and with all headers of the call, even at another origin.
    GET and HEAD drop the body.

    The ID is that of the last event you finished processing, or of a later block that has only an ID. `retry` is the
    policy of a resume, or of a whole subscription; see `RetryPolicy`.

    Some servers repeat the event that they are asked to resume after. So the first event of a resumed connection is
    skipped if it has an `id` field, and its ID, name and data equal those of the last event; the log says so. Other
    servers give one ID to several events. In a stream with two such events in a row, nothing is skipped. One case is
    ambiguous: if the first two events that share an ID also have the same name and data, and the connection is lost
    between them, the second looks like a repeat and is lost.
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
        """Return the request that resumes the stream; `None` if it cannot be resumed."""
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
    Build the request of a resume from the received events, for a server with its own way to resume.

    `advance` is called with the cursor and each event that you finished processing, and returns the new cursor.
    `request` is called with the cursor and the first request, and returns the request to send, or `None` if the stream
    cannot be resumed; use `dataclasses.replace(request, …)`. A URL that has a query is requested unchanged. A repeated
    event is skipped as with `LastEventID`.
    """

    initial: C
    """
    The cursor before the first event.

    It may be the `error.cursor` of an earlier stream, even from another process, for example saved as JSON. The first
    request is always that of the call, so it must itself ask for the events after the cursor:
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
