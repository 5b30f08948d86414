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

# Five attempts in a row, counted anew with each event. No jitter: the server's own `retry` says when to come back.
DEFAULT = RetryPolicy(max_retries=5, initial_delay=1.0, max_delay=30.0, jitter=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEventID:
    """
    Send the request again with the header `Last-Event-ID` (WHATWG HTML, section 9.2.4).

    `method` and `url` replace the first request's, where the server resumes elsewhere; `url` may be a function of
    the first response. A method without a body (GET) drops it.
    """

    method: str | None = None
    url: str | Callable[[Any], str] | None = None
    retry: RetryPolicy = field(default=DEFAULT)

    def __post_init__(self) -> None:
        RetryPolicy.of(self.retry)

    def request(self, request: Request, response: Any) -> Request:
        """Make the request that takes the stream up again."""
        url = self.url(response) if callable(self.url) else self.url
        if url is not None:
            request = replace(request, url=url, params=None)
        if self.method is not None:
            request = replace(request, method=self.method.upper())
            if request.method in ("GET", "HEAD"):
                return request.without_body()
        return request


@dataclass(frozen=True, slots=True)
class Cursor(Generic[C]):
    """
    Make the next request from what was received, where the server has a way of its own to go on.

    `advance` is called with the cursor and each event that the user has finished with, and returns the new cursor.
    `request` is called with the cursor and the first request, and returns the one to send; use
    `dataclasses.replace(request, …)`.
    """

    initial: C
    advance: Callable[[C, ServerSentEvent], C]
    request: Callable[[C, Request], Request]
    retry: RetryPolicy = field(default=DEFAULT, kw_only=True)

    def __post_init__(self) -> None:
        RetryPolicy.of(self.retry)
