"""
Everything one stream was asked to do, as one value that the shells make of a call's arguments.

A single reply and a subscription run through the same session. Their differences are data: `Plan.rules`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .._event import ServerSentEvent
from .._marks import DONE, ErrorEvent, Terminator, asks_for_done
from .._parser import DEFAULT_MAX_EVENT_SIZE
from .._reader import Reader
from .._request import Request, public_url
from .._resume import Cursor, LastEventID
from .._retry import MAX_SERVER_DELAY, RetryPolicy
from .._timeouts import Timeouts

# A feed may well be polled, but a delay of more than a day is a mistake, or malice.
MAX_SUBSCRIPTION_DELAY = 86_400.0

DONE_EVENT = ServerSentEvent(data=DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How responses, failures and ends are judged: all that a single reply and a subscription do differently."""

    good_statuses: frozenset[int]
    """The statuses that an event stream can have."""
    ends_at_204: bool
    """Whether a 204 always ends the stream. Otherwise a 204 to a resume still leaves a required terminator missing."""
    reconnects: bool
    """Whether the end of a connection is followed by another connection, under one retry policy from first to last.
    Otherwise the end of the body ends the stream, and a failure after the first event loses the rest of a reply."""
    resets_on_open: bool
    """Whether an opened stream ends a row of failures. Otherwise only an event does."""
    can_repeat: bool
    """Whether the server may always get the request twice."""
    always_sends_id: bool
    """Whether the last event ID goes with every request, unless HTTP cannot carry it. Otherwise only a resume by ID
    sends it, and an ID that cannot be sent is an error."""
    keeps_strays: bool
    """Whether lines outside any field are kept, because they may report an error."""
    max_delay: float
    """The longest delay that the server may ask for, in seconds."""


REPLY = Rules(
    good_statuses=frozenset(range(200, 300)) - {204, 205},
    ends_at_204=False,
    reconnects=False,
    resets_on_open=False,
    can_repeat=False,
    always_sends_id=False,
    keeps_strays=True,
    max_delay=MAX_SERVER_DELAY,
)
# As an EventSource of a browser, with a limit for delays.
SUBSCRIPTION = Rules(
    good_statuses=frozenset({200}),
    ends_at_204=True,
    reconnects=True,
    resets_on_open=True,
    can_repeat=True,
    always_sends_id=True,
    keeps_strays=False,
    max_delay=MAX_SUBSCRIPTION_DELAY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a stream is asked to do; made once per call."""

    request: Request
    is_subscription: bool = False
    """Chooses the `rules`, which are all that the core looks at."""
    can_refresh: bool = False
    """Whether the headers come from a function, which is called once more after a 401."""
    cross_origin_redirects: bool = False
    """Whether to follow redirects to another origin too."""
    idempotency_key: tuple[str, str] | None = None
    """The header and the key that go with every attempt."""
    last_event_id: str = ""
    """The ID to resume after, from an earlier stream."""
    retry: RetryPolicy | None = None
    """The policy before the first event, or of a subscription whose `resume` has none of its own."""
    resume: LastEventID | Cursor[Any] | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    terminator: Terminator | None = None
    ends_at_done: bool = True
    """Whether an unnamed `[DONE]` ends the stream. In a subscription it does so only if `terminator` matches it."""
    errors: ErrorEvent | None = None
    pings: frozenset[str] = frozenset()
    """The names of events that only keep the connection alive: they are never delivered, and reset no clock."""
    accepts_json: bool = False
    """Whether a JSON response is read as a stream of one event."""
    accept: str | None = None
    """The `Accept` header, unless the user has set one; by default it follows from `accepts_json`."""
    stream_field: str | None = None
    """The field of the request's JSON that must be true to get a stream."""
    max_event_size: int = DEFAULT_MAX_EVENT_SIZE
    reader: Callable[[], Reader[Any, Any]] | None = None
    """Makes what turns the events of one stream into values, and says whether the reply is complete."""
    is_terminator_required: bool = True
    """Whether a clean end without the terminator is too early. Otherwise the `reader` is asked what it means."""
    rules: Rules = field(init=False)
    runs_user_code: bool = field(init=False)
    """Whether looking at an event calls a function of the user, which may raise anything."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", SUBSCRIPTION if self.is_subscription else REPLY)
        marks = [(mark, *mark.alternatives) for mark in (self.terminator, self.errors) if mark is not None]
        object.__setattr__(self, "runs_user_code", any(each.test is not None for mark in marks for each in mark))
        if self.is_subscription:
            # To a browser it is an event like any other: only a terminator that was asked for ends a feed.
            object.__setattr__(self, "ends_at_done", asks_for_done(self.terminator))


def label(request: Request) -> str:
    """Return the request as texts name it: without its query and user, which hold secrets."""
    return f"{request.method} {public_url(str(request.url))}"
