"""
The place in a stream, for a resume: the request for the rest, and the IDs that must not come again.

There are three kinds of place: `NoPlace` without `resume=`, `IdPlace` for `LastEventID`, `CursorPlace` for `Cursor`.
The rest of the core does not distinguish them. The ID of the last finished event is an argument here: the session keeps
it, because every piece of the body may change it.
"""

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

from .._errors import quote
from .._event import ServerSentEvent
from .._request import Request
from .._resume import Cursor, LastEventID
from .plan import Plan
from .redirects import Route
from .steps import Head

# White space around a header's value does not belong to the value (RFC 9110, section 5.5).
BLANKS = " \t"

# The latest IDs before the last one, and their length: a server that starts over begins with an ID from the past.
MAX_IDS = 1024
MAX_ID = 1024  # characters: the longest IDs of real servers, position tokens, have some hundreds

NO_PAST_IDS: frozenset[str] = frozenset()


def place_of(plan: Plan) -> "NoPlace":
    """Return the place at the beginning of a stream."""
    match plan.resume:
        case None:
            return NoPlace(plan)
        case LastEventID() as resume:
            return IdPlace(plan, resume)
        case resume:
            return CursorPlace(plan, resume)


class NoPlace:
    """The place in a stream without `resume=`, which can only start again. The base class of the others."""

    __slots__ = ("_plan",)

    runs_user_code = False
    """Whether `remember` calls the user's functions, which may raise anything."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def opened(self, head: Head, route: Route) -> None:
        """Record the response that was accepted as a stream, and the redirects that led to it."""

    def remember(self, batch: Sequence[ServerSentEvent]) -> None:
        """Record events that the user has finished with."""

    @property
    def cursor(self) -> Any:
        """The cursor after the last event that the user has finished with; `None` without a cursor."""
        return None

    def has_begun(self, last_event_id: str, *, has_delivered: bool) -> bool:  # noqa: ARG002
        """
        Whether another attempt would be a resume, and not a repetition of the first request.

        It is if the user received anything, or if the stream has an ID or a cursor to resume from.
        """
        return has_delivered

    def has_id(self, last_event_id: str) -> bool:
        """Whether this stream had an ID to resume after. An ID from an earlier stream would replay all of this one."""
        return last_event_id != self._plan.last_event_id and bool(last_event_id.strip(BLANKS))

    def why_not(self, last_event_id: str) -> str:  # noqa: ARG002
        """Return why the stream cannot be resumed from here; `""` if it can."""
        return ""

    def past_ids(self, last_event_id: str) -> frozenset[str]:  # noqa: ARG002
        """Return the IDs that must not come again after a resume."""
        return NO_PAST_IDS

    def id_to_send(self, last_event_id: str) -> str:
        """Return the ID for `Last-Event-ID`."""
        return last_event_id if self._plan.rules.always_sends_id else self._plan.last_event_id

    def next_request(self, *, has_begun: bool) -> Request | None:
        """Return the request of the next attempt; `None` if the user's function returned `None`, which forbids it."""
        return self._resumed() if has_begun else self._plan.request

    def next_route(self, route: Route, *, has_begun: bool) -> Route:
        """
        Return the route of the next attempt.

        A resume goes to the URL that the redirects led to, as in browsers. A stream that starts again goes to the first
        URL.
        """
        if has_begun:
            return self._resumed_route(route)
        return route.again() if self._plan.rules.reconnects else Route()

    def is_exact(self, request: Request) -> bool:
        """Whether the URL comes from a resume and has a query, which the client's default parameters would change."""
        return request.params is None and request.url != self._plan.request.url and "?" in request.url

    def _resumed(self) -> Request | None:
        return self._plan.request

    def _resumed_route(self, route: Route) -> Route:
        return self.next_route(route, has_begun=False)


class IdPlace(NoPlace):
    """The place in a stream that is resumed by the last event ID."""

    __slots__ = ("_first_head", "_first_id", "_is_foreign", "_latest_id", "_recent_ids", "_resume")

    def __init__(self, plan: Plan, resume: LastEventID) -> None:
        super().__init__(plan)
        self._resume = resume
        self._first_head: Head | None = None  # of the first response; a `resume` may compute its URL from that
        self._is_foreign = False  # whether that response came from another origin
        self._first_id = self._latest_id = ""
        self._recent_ids = deque[str](maxlen=MAX_IDS)

    def opened(self, head: Head, route: Route) -> None:
        if self._first_head is None:
            self._first_head, self._is_foreign = head, route.is_foreign

    def remember(self, batch: Sequence[ServerSentEvent]) -> None:
        for event in batch:
            if event.id and event.id != self._latest_id:
                self._first_id = self._first_id or event.id
                self._latest_id = event.id
                if len(event.id) <= MAX_ID:
                    self._recent_ids.append(event.id)

    def has_begun(self, last_event_id: str, *, has_delivered: bool) -> bool:
        return has_delivered or self.has_id(last_event_id)

    def why_not(self, last_event_id: str) -> str:
        return "" if self.has_id(last_event_id) else "the stream had no event IDs to resume from"

    def past_ids(self, last_event_id: str) -> frozenset[str]:
        return frozenset((*self._recent_ids, self._first_id)) - {last_event_id, ""}

    def id_to_send(self, last_event_id: str) -> str:
        return last_event_id

    def is_exact(self, request: Request) -> bool:
        return request is not self._plan.request and self._resume.url is not None

    def _resumed(self) -> Request | None:
        first, request = self._first_head, self._plan.request
        resumed = self._resume.request(request, None if first is None else first.response)
        if resumed is not None and callable(self._resume.url) and first is not None:
            return replace(resumed, url=joined(first.url, resumed.url))
        return resumed

    def _resumed_route(self, route: Route) -> Route:
        if self._resume.url is None:
            return route.again()
        # A URL that another origin supplied is treated as foreign, even if it leads back.
        return Route(is_foreign=callable(self._resume.url) and self._is_foreign)


class CursorPlace(NoPlace):
    """The place in a stream that is resumed by the user's cursor."""

    __slots__ = ("_cursor", "_has_advanced", "_resume")

    runs_user_code = True

    def __init__(self, plan: Plan, resume: Cursor[Any]) -> None:
        super().__init__(plan)
        self._resume = resume
        # A copy: `advance` may change it in place, and several streams may share one `Cursor`.
        self._cursor: Any = deepcopy(resume.initial)
        self._has_advanced = False

    @property
    def cursor(self) -> Any:
        return self._cursor

    def has_begun(self, last_event_id: str, *, has_delivered: bool) -> bool:  # noqa: ARG002
        return has_delivered or self._has_advanced

    def remember(self, batch: Sequence[ServerSentEvent]) -> None:
        for event in batch:
            self._cursor = self._resume.advance(self._cursor, event)
            self._has_advanced = True

    def _resumed(self) -> Request | None:
        return self._resume.request(self._cursor, self._plan.request)

    def _resumed_route(self, route: Route) -> Route:  # noqa: ARG002
        return Route()  # the request has its own URL


def id_header(last_event_id: str) -> bytes:
    """
    Return the value of `Last-Event-ID` in UTF-8, as the standard says; `b""` means that no header is sent.

    Raises `ValueError` if HTTP cannot carry the ID (RFC 9110, section 5.5).
    """
    value = last_event_id.strip(BLANKS).encode()
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value):
        raise ValueError(f"the last event ID {quote(last_event_id)} cannot be sent in a header")
    return value


def joined(base: str, url: str) -> str:
    """Return the URL resolved against the base. If it is invalid it is returned unchanged, and the client raises."""
    try:
        return urljoin(base, url)
    except ValueError:
        return url
