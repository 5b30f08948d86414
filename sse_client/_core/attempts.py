"""
Attempts: whether and when there is another one, and the headers of each.

`verdict` is a function of the fault and the situation of the stream, and changes nothing. It may call the user's code
(the policy's `on`, and the `request` function of a resume), but only if nothing else forbids the attempt.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any

from .._errors import ContentTypeError, ResponseError, SSEError, StreamError, StreamInterrupted
from .._request import Request
from .._resume import DEFAULT
from .._retry import RetryPolicy, is_retryable, parse_delay, server_wish
from .._stats import StreamStats
from .clocks import at_most
from .place import NoPlace, id_header
from .plan import Plan, label
from .redirects import Route
from .steps import Connect

logger = logging.getLogger("sse_client")

# The shortest time between two connections of one stream, whatever `retry` says: a loop must not hurt a server.
MIN_DELAY = 0.05

USED_UP = "not sent again: a body that is an iterator or a file is used up by one attempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failure of an attempt or of an open stream."""

    error: SSEError
    is_worth_it: bool = True
    """Whether another attempt may help."""
    is_ambiguous: bool = False
    """Whether the server may have acted upon the request."""
    server_delay: float | None = None
    """The delay that the server asked for, in seconds."""
    why_not: str = ""
    """The reason to give if there is no other attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The state of a stream when it fails."""

    attempts: int
    """The number of attempts so far."""
    failures: int
    """The number of failures in a row, including this one."""
    has_begun: bool
    """Whether the next attempt would be a resume."""
    last_event_id: str
    """The ID of the last event that the user has finished with."""
    reconnection_time: float | None
    """The server's latest `retry`, in seconds."""
    left: float
    """The rest of `total`, in seconds."""


@dataclass(frozen=True, slots=True)
class Again:
    """Send the request after the delay, in seconds."""

    delay: float
    request: Request


@dataclass(frozen=True, slots=True)
class No:
    """Make no other attempt. The text says why, if the user can do something about it."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Call the headers function once more, and send the request again at once."""


def verdict(
    plan: Plan, place: NoPlace, fault: Fault, situation: Situation, *, random: Callable[[], float]
) -> Again | No:
    """Decide whether to make another attempt; return its delay and request, or the reason not to make one."""
    policy, why_no_policy = _policy(plan, place, situation)
    if policy is None:
        return No(why_no_policy or fault.why_not)
    is_worth_it, why_not = fault.is_worth_it, fault.why_not
    if fault.is_ambiguous and not _is_safe_to_repeat(plan, policy, situation):
        is_worth_it = False
        why_not = (
            f"not sent again, because the server may have acted upon this {plan.request.method}: "
            "RetryPolicy(retry_ambiguous=True) or idempotency_key_header= allows it"
        )
    if not policy._allows(situation.failures - 1):
        return No("" if is_worth_it else why_not)
    if policy.on is not None and (wish := policy.on(situation.attempts, fault.error)) is not None:
        is_worth_it = wish
    if not is_worth_it:
        return No(why_not)
    request = place.next_request(has_begun=situation.has_begun)
    if request is None:
        return No()
    if not request.is_repeatable:
        return No(USED_UP)
    initial_delay, least = None, 0.0
    if situation.has_begun or plan.rules.reconnects:
        initial_delay, least = situation.reconnection_time, MIN_DELAY
    asked, limit = max(initial_delay or 0.0, fault.server_delay or 0.0), plan.rules.max_delay
    if asked > limit:
        return No(f"the server asked for a delay of {asked:.12g} s, above the limit of {limit:.12g} s")
    delay = policy.delay(
        situation.failures, random=random(), server_delay=fault.server_delay, initial_delay=initial_delay
    )
    delay = max(delay, least)
    if delay >= situation.left < inf:
        return No(f"the total of {plan.timeouts.total:g} s leaves no time for another attempt")
    return Again(delay, request)


def _policy(plan: Plan, place: NoPlace, situation: Situation) -> tuple[RetryPolicy | None, str]:
    """Return the policy for another attempt, or `None` and the reason."""
    resume = plan.resume
    if plan.rules.reconnects:
        return (plan.retry if resume is None or resume.retry is DEFAULT else resume.retry), ""
    if not situation.has_begun:
        return plan.retry, ""
    if resume is None:
        return None, ""
    why_not = place.why_not(situation.last_event_id)
    return (None if why_not else resume.retry), why_not


def _is_safe_to_repeat(plan: Plan, policy: RetryPolicy, situation: Situation) -> bool:
    """Whether the server may receive the request twice."""
    if plan.rules.can_repeat or situation.has_begun or plan.request.is_idempotent:
        return True
    return policy.retry_ambiguous or plan.idempotency_key is not None


def refusal_of(
    error: ResponseError, plan: Plan, request: Request, now: datetime, *, can_refresh: bool, has_begun: bool
) -> Refresh | Fault:
    """Return the fault of a refused attempt, or `Refresh`. `can_refresh` means that its headers may be out of date."""
    wants_refresh = can_refresh and error.status_code == 401
    if wants_refresh and request.is_repeatable:
        return Refresh()
    return fault_of(error, plan, now, has_begun=has_begun, why_not=USED_UP if wants_refresh else "")


def fault_of(error: ResponseError, plan: Plan, now: datetime, *, has_begun: bool, why_not: str = "") -> Fault:
    """Return the fault of a response that is not a stream."""
    # On a resume, another media type is most likely a proxy's page; on the first request it is the server's response.
    is_page = isinstance(error, ContentTypeError) and has_begun and not plan.rules.reconnects
    wish = server_wish(error.headers)
    return Fault(
        error=error,
        is_worth_it=wish if wish is not None else is_page or is_retryable(error.status_code),
        server_delay=parse_delay(error.headers, now),
        why_not=why_not,
    )


def loss_of(error: SSEError, failures: int, so_far: str) -> SSEError:
    """
    Return the error of a reply that had begun and is not resumed.

    The user lost a stream in the middle. So if a resume failed, its error becomes the cause of a `StreamInterrupted`.
    `so_far` says how many events came before.
    """
    if isinstance(error, StreamError) and (failures == 1 or isinstance(error, StreamInterrupted)):
        return error
    interrupted = StreamInterrupted(f"the connection was lost{so_far}, and not resumed: {error}")
    interrupted.__cause__ = error
    return interrupted


def explain(error: SSEError, why: str, stats: StreamStats, last_event_id: str, cursor: Any) -> None:
    """Add to the error that ends a stream why there was no other attempt, and how far the stream came."""
    if why:
        error.args = (f"{error}; {why}",)
    error.stats = stats
    if stats.attempts > 1:
        # In the text and not in a note, because notes do not reach logs.
        error.args = (f"{error}; gave up after {stats.attempts} attempts in {stats.duration:.1f} s",)
    if isinstance(error, StreamError):
        error.last_event_id = last_event_id
        error.cursor = cursor


def connect(plan: Plan, place: NoPlace, request: Request, route: Route, *, last_event_id: str, left: float) -> Connect:
    """
    Return the step that makes an attempt or follows a redirect.

    Raises `ValueError` if the stream depends on an ID that HTTP cannot carry.
    """
    return Connect(
        route.applied_to(request),
        headers_of(plan, request, place.id_to_send(last_event_id)),
        route.is_foreign,
        route.url is not None or place.is_exact(request),
        at_most(plan.timeouts.connect, left),
        at_most(plan.timeouts.response, left),
        plan.accepts_json,
        plan.accept,
    )


def headers_of(plan: Plan, request: Request, last_event_id: str) -> dict[str, bytes]:
    """
    Return the headers that override all others: the idempotency key, and `Last-Event-ID`.

    Raises `ValueError` like `connect`.
    """
    headers: dict[str, bytes] = {}
    if plan.idempotency_key is not None:
        name, key = plan.idempotency_key
        headers[name] = key.encode("ascii")
    try:
        value = id_header(last_event_id)
    except ValueError as error:
        if not plan.rules.always_sends_id:
            raise
        logger.info("%s: %s; reconnecting without it", label(request), error)
        value = b""
    if value:
        headers["Last-Event-ID"] = value
    return headers
