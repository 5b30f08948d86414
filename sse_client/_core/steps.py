"""
The words between a session and its shell, as plain values.

Steps are instructions to the shell: `Connect` to `Stop`. Notes are occurrences other than events: `Opened`,
`Commented`, `Retrying`. `Head` and `Failure` are the shell's reports on a step. A `Change` is reported to an observer
at once, without a queue. Illegal combinations cannot be written: a `Wait` has no error, and a `Stop` no seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._errors import SSEError
from .._request import Request


@dataclass(frozen=True, slots=True)
class Connect:
    """Send the request, within the two timeouts, in seconds."""

    request: Request
    headers: Mapping[str, bytes]
    """Headers of this attempt, which override all others."""
    is_foreign: bool
    """Whether the request goes to another origin: no auth, no cookies, and only `headers`, Accept and Content-Type."""
    is_exact: bool
    """Whether the URL is requested unchanged: the client's default query parameters are not added to it."""
    connect: float | None
    response: float | None
    accepts_json: bool = False
    """Whether to ask for JSON as well as for an event stream."""
    accept: str | None = None
    """The `Accept` header, unless the user has set one; by default it follows from `accepts_json`."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read the next piece of the body."""


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Read the body of a response that is not a stream: at most `size` bytes, for at most `seconds`."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Drain:
    """Read the rest of the body, so that the connection can be reused; give up after `size` bytes or `seconds`."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Close the response, and wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the response; raise the error, or end the iteration if it is `None`."""

    error: SSEError | None


Step: TypeAlias = Connect | Read | ReadBody | Drain | Wait | Stop


@dataclass(frozen=True, slots=True)
class Opened:
    """A response was accepted as an event stream."""

    response: Any


@dataclass(frozen=True, slots=True)
class Commented:
    """A comment was received."""

    text: str
    after: int = 0
    """The number of events of the stream that came before it."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt or an open stream failed, and another attempt follows."""

    error: SSEError
    delay: float


Note: TypeAlias = Opened | Commented | Retrying


@dataclass(frozen=True, slots=True)
class Arrived:
    """Events were received, all in one piece. Only a `TimedSession` reports this."""

    count: int
    since: float
    """Seconds since the event before them; infinite without one."""


Change: TypeAlias = Opened | Retrying | Stop | Arrived


def always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a response."""

    status_code: int
    headers: Mapping[str, str]
    """Lookups ignore the case of names."""
    url: str
    response: Any = None
    """The response object, for a `resume` whose `url` is a function of it."""
    reason: str = ""
    """The reason phrase, from the server or the HTTP client. Python's own phrases differ between versions."""
    undecodable: str = ""
    """The content coding of the body, if the shell cannot decode it and passes the body on unchanged."""
    can_stop_reads: Callable[[], bool] = always
    """Whether the shell can interrupt a read of the body that takes too long. If not, the body is not drained."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the HTTP client, before the response or while its body was read."""

    cause: Exception | None
    text: str
    was_sent: bool = True
    """Whether the server may have received the request."""
    is_timeout: bool = False
    is_deadline: bool = False
    """Whether the read was ended because of `Session.deadline`."""
    is_final: bool = False
    """Whether another attempt would fail in the same way: an invalid URL, a header that HTTP cannot carry."""
    is_early_end: bool = False
    """Whether the body ended cleanly, but before the end mark of its compression."""
