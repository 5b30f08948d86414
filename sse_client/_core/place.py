"""
How far the user has read, as far as a resume needs it: which request asks for the rest, and which IDs must not repeat.

There are three kinds of place: `NoPlace` without `resume=`, `IdPlace` for `LastEventID`, `CursorPlace` for `Cursor`.
Nothing else in the core asks which of them it has. The ID of the last finished event is the session's, since every
piece of the body changes it; so it is an argument here.
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

# Optional white space around a header's value is no part of it (RFC 9110, section 5.5).
BLANKS = " \t"

# Of the IDs before the last one: a server that starts over begins with one of them.
MAX_IDS = 1024
MAX_ID = 1024  # characters: the longest of real servers, tokens of where they are, have some hundreds

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
    """The place in a stream without `resume=`: after a failure it starts again, or is over. The base of the others."""

    __slots__ = ("_plan",)

    runs_user_code = False
    """Whether `remember` calls functions of the user, which may raise anything."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def opened(self, head: Head, route: Route) -> None:
        """Take the response that has become a stream, and the redirects to it."""

    def remember(self, batch: Sequence[ServerSentEvent]) -> None:
        """Take the events that the user has finished with."""

    @property
    def cursor(self) -> Any:
        """The cursor after the last event that the user has finished with; `None` without one."""
        return None

    def has_begun(self, last_event_id: str, *, has_delivered: bool) -> bool:  # noqa: ARG002
        """
        Whether the first request must not simply be sent again.

        The user has had something; or the stream has a place to resume from, be it an ID or a cursor.
        """
        return has_delivered

    def has_id(self, last_event_id: str) -> bool:
        """Whether this stream has given an ID to resume after; one from an earlier stream would replay this one."""
        return last_event_id != self._plan.last_event_id and bool(last_event_id.strip(BLANKS))

    def why_not(self, last_event_id: str) -> str:  # noqa: ARG002
        """Say why the stream cannot be resumed from here; `""` if it can."""
        return ""

    def past_ids(self, last_event_id: str) -> frozenset[str]:  # noqa: ARG002
        """Return the IDs that must not come again after a resume."""
        return NO_PAST_IDS

    def id_to_send(self, last_event_id: str) -> str:
        """Return the ID for `Last-Event-ID`."""
        return last_event_id if self._plan.rules.always_sends_id else self._plan.last_event_id

    def next_request(self, *, has_begun: bool) -> Request | None:
        """Return the request of the next attempt; `None` if the user's own code says that there is none."""
        return self._resumed() if has_begun else self._plan.request

    def next_route(self, route: Route, *, has_begun: bool) -> Route:
        """
        Return where the next attempt is sent, after the redirects of the last one.

        A resume goes where the stream was, as in browsers. A stream that starts again starts at the beginning.
        """
        if has_begun:
            return self._resumed_route(route)
        return route.again() if self._plan.rules.reconnects else Route()

    def is_exact(self, request: Request) -> bool:
        """Whether the URL of the request is one of a resume, which parameters of the client would change."""
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
        self._first_head: Head | None = None  # of the first stream, which a resume may ask for its URL
        self._is_foreign = False  # whether that came from another origin
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
        # A URL that another origin has named is as foreign as that.
        return Route(is_foreign=callable(self._resume.url) and self._is_foreign)


class CursorPlace(NoPlace):
    """The place in a stream that is resumed by a cursor of the user's own."""

    __slots__ = ("_cursor", "_has_advanced", "_resume")

    runs_user_code = True

    def __init__(self, plan: Plan, resume: Cursor[Any]) -> None:
        super().__init__(plan)
        self._resume = resume
        # A copy: `advance` may change it in place, and the plan may be that of many streams.
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
        return Route()  # the request names its URL


def id_header(last_event_id: str) -> bytes:
    """
    Return the value of `Last-Event-ID`, `b""` for no header at all.

    In UTF-8, as in the standard. Raises `ValueError` if HTTP cannot carry the ID (RFC 9110, section 5.5).
    """
    value = last_event_id.strip(BLANKS).encode()
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value):
        raise ValueError(f"the last event ID {quote(last_event_id)} cannot be sent in a header")
    return value


def joined(base: str, url: str) -> str:
    """Return the URL as seen from the base; unchanged if it is not a URL, of which the client makes an error."""
    try:
        return urljoin(base, url)
    except ValueError:
        return url
