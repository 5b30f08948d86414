"""
Whether a response is a stream, and the error if it is not. Pure functions of a head, a body and the plan.

`has_begun` says whether the stream has events, or an ID to resume after, so that the response is that of a resume.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Mapping
from typing import Any, cast

from .._errors import ConnectionFailed, ContentTypeError, ResponseError, StatusError, quote
from .._parser import BOM
from .._timeouts import Timeouts
from .clocks import seconds_of
from .plan import Plan
from .steps import Failure, Head

EVENT_STREAM = "text/event-stream"

# The fields of the standard (section 9.2.6): a body that begins with one of them is an event stream.
FIELDS = (b"data", b"event", b"id", b"retry")

# Characters that text does not contain, and nearly every compressed body does.
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")

# A comma in quotes is not a separator. The closing quote is optional, so that the search stays linear.
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?')

# The extra to install so that the client can decode a coding.
EXTRAS = {"br": "httpx[brotli]", "zstd": "httpx[zstd]"}

# Characters of a reason phrase in a text: a server may send a very long one.
MAX_REASON = 100


def is_stream(head: Head, plan: Plan, *, has_begun: bool) -> bool:
    """Whether the response is an event stream, or JSON that is read as one."""
    found = media_type(head)
    # In response to a resume, JSON can only be an error with a good status.
    takes_json = plan.accepts_json and not has_begun
    return head.status_code in plan.rules.good_statuses and (found == EVENT_STREAM or (takes_json and is_json(found)))


def is_accepted(head: Head, body: bytes | bytearray, plan: Plan, *, has_begun: bool) -> bool:
    """Whether the response is a 202 without a body: the server accepted a message and sends no reply, as in MCP."""
    is_asked_for = plan.accepts_json and 202 in plan.rules.good_statuses and not has_begun
    # A body that was lost before its first byte does not count as empty.
    is_empty = not body and head.headers.get("content-length", "0") == "0"
    return is_asked_for and head.status_code == 202 and is_empty


def error_of(head: Head, body: bytes, plan: Plan, request: str, *, has_begun: bool, refusal: str) -> ResponseError:
    """
    Return the error of a response that is not a stream.

    `request` is how texts name the request; `refusal` says why a redirect was not followed, or is `""`.
    """
    status_code, got, hint = head.status_code, media_type(head), ""
    is_readable = not head.undecodable or is_text(body)
    kind: type[ResponseError]
    if status_code in plan.rules.good_statuses:
        kind = ContentTypeError
        text = f"expected text/event-stream from {request}, got {repr(got) if got else 'no content type'}"
        if head.undecodable and (not is_readable or is_stream(head, plan, has_begun=has_begun)):
            text = f"{text} {undecoded(head)}"
        text = f"{text} (status {status_code})"
        if is_json(got) and not has_begun:
            hint = lack_of_stream(plan)
    else:
        kind = StatusError
        text = f"{request} returned {status_code} {head.reason[:MAX_REASON]}".rstrip()
        if not is_readable:
            text = f"{text} {undecoded(head)}"
    error = kind(text, status_code=status_code, headers=head.headers, body=body)
    said = error.message or (body.decode("utf-8", "replace").strip() if is_readable else "")
    refused = f"; the redirect is not followed: {refusal}" if refusal else ""
    error.args = ("".join((text, f": {quote(said)}" if said else "", refused, hint)),)
    return error


def no_response(failure: Failure, request: str, clock: str | None, timeouts: Timeouts) -> ConnectionFailed:
    """Return the error of a request without a response. `clock` is the clock that ran out, if any."""
    text = f"{request} got no response: {failure.text}"
    if clock is not None:
        text = f"{text} (the {clock} clock of {seconds_of(timeouts, clock):g} s ran out)"
    error = ConnectionFailed(text, ambiguous=failure.was_sent, clock=clock)
    error.__cause__ = failure.cause
    return error


def media_type(head: Head) -> str:
    """
    Return the type and subtype of a `Content-Type`, without its parameters.

    A server and its proxy may both send the header, and a client joins the values with commas. They are one type if
    all are equal. Otherwise all of them are returned, joined, which is not a type that we read.
    """
    values = QUOTED.sub("", head.headers.get("content-type", "")).split(",")
    types = dict.fromkeys(value.partition(";")[0].strip().lower() for value in values)
    return ", ".join(each for each in types if each)


def is_json(found: str) -> bool:
    """Whether a media type is that of JSON."""
    is_one = found == "application/json" or (found.startswith("application/") and found.endswith("+json"))
    return is_one and "," not in found


def lack_of_stream(plan: Plan) -> str:
    """Say that the request does not ask for a stream; `""` if it does, or if that is not known."""
    field, body = plan.stream_field, plan.request.json
    if field is None or not isinstance(body, Mapping) or cast("Mapping[str, Any]", body).get(field):
        return ""
    return f'; the request has no "{field}": true'


def begins_a_stream(body: bytes) -> bool | None:
    """Whether a body's first line is a comment or a field of the standard; `None` if more bytes are needed to tell."""
    if BOM.startswith(body):
        return None
    line = body.removeprefix(BOM)
    if line.startswith(b":"):
        return True
    for field in FIELDS:
        if field.startswith(line):
            return None
        if line.startswith(field):
            return line[len(field)] in b":\r\n"
    return False


def is_text(body: bytes | bytearray) -> bool:
    """Whether the beginning of a body looks like text."""
    try:
        getincrementaldecoder("utf-8")().decode(body)  # incremental, because the last character may be cut
    except UnicodeDecodeError:
        return False
    return CONTROLS.search(body) is None


def undecoded(head: Head) -> str:
    """Return a text with the content coding of a response, and the extra that would decode it."""
    extra = EXTRAS.get(head.undecodable)
    remedy = f" without {extra}" if extra else ""
    return f"in the content coding {quote(head.undecodable)}, which cannot be decoded{remedy}"
