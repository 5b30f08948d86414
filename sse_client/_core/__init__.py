"""
The core makes the decisions: requests, which responses are streams, retries and resumes, and how a stream ends.

Rule 1. *Every decision about a connection is made here.* The shells execute the session's steps and report the
results. So sync and async behave alike, and a decision can be tested as a row of a table.

Rule 2. *Nothing here imports httpx, time or random.* Events, times and random numbers are arguments.

Inside, parts return values, and only the session changes phase. These are the phases and their transitions; `Session`
asserts them on every change. Closing or leaving the stream stops it in any phase.

    connecting ─┬─> reading     the response is an event stream
                ├─> connecting  it is a redirect to follow
                ├─> refusing    it is anything else
                ├─> pausing     there is no response, and another attempt follows
                └─> stopped     no other attempt follows; or a 204; or the ID to resume after cannot be sent

    reading ────┬─> draining    the terminator, an error event, a repeated ID, the end of a JSON body
                ├─> refusing    the content coding of the body cannot be decoded
                ├─> pausing     lost, timed out or ended, and another attempt follows
                └─> stopped     lost, timed out or ended, or an event is too large

    refusing ───┬─> connecting  the first 401, if the headers come from a function
                ├─> pausing     another attempt follows
                └─> stopped     the response is the error, or an empty body that is accepted

    draining ───┬─> pausing     a transient error event came before anything else, and another attempt follows
                └─> stopped     the rest is read, or not worth reading

    pausing ────┬─> connecting  the delay has passed
                └─> stopped     closed

    stopped                     for good

A stream ends in many ways. These are the words, in names and in texts, and each means one thing:

    close       ask for the end, from any thread; the shell then calls `finish_closing`, between two steps
    leave       the user is done with the stream: the end of their `with`, or an exception
    end         the body ended cleanly
    lose        the body broke off
    seal        no event after this one counts, and nothing can fail any more
    drain       read past the last event, so that the connection can be reused
    settle      fix the outcome as the user saw it, however far the shell has read ahead
    stop        enter the last phase, with the outcome and the error

To *fail* is not to end: after a failure the session either pauses and tries again, or stops.
"""

from .plan import Plan
from .session import Session
from .steps import (
    Commented,
    Connect,
    Drain,
    Failure,
    Head,
    Note,
    Opened,
    Read,
    ReadBody,
    Retrying,
    Step,
    Stop,
    Wait,
)

__all__ = [
    "Commented",
    "Connect",
    "Drain",
    "Failure",
    "Head",
    "Note",
    "Opened",
    "Plan",
    "Read",
    "ReadBody",
    "Retrying",
    "Session",
    "Step",
    "Stop",
    "Wait",
]
