"""
The words between a session and its shell, as plain values.

Steps say what to do: `Connect` to `Stop`. Notes say what has happened besides events: `Opened`, `Commented`,
`Retrying`. With `Head` and `Failure` a shell reports what came of a step. Illegal combinations cannot be written: a
`Wait` has no error, and a `Stop` no seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._errors import SSEError
from .._request import Request


@dataclass(frozen=True, slots=True)
class Connect:
    """Send the request; keep to the two clocks, in seconds."""

    request: Request
    headers: Mapping[str, bytes]
    """Headers of this attempt, above all others."""
    is_foreign: bool
    """The request goes to another origin: without auth, cookies, or any header but `headers`, Accept, Content-Type."""
    is_exact: bool
    """The URL is requested as it is: parameters that the client adds to all requests are not added to it."""
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
    """Read the body of a response that is not a stream, up to that many bytes and for up to that many seconds."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Drain:
    """Read what is left of the body, so that the connection can be used again; give up at either bound."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Close the response, and wait for that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the response; raise the error, or end the iteration if there is none."""

    error: SSEError | None


Step: TypeAlias = Connect | Read | ReadBody | Drain | Wait | Stop


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection has been accepted as a stream."""

    response: Any


@dataclass(frozen=True, slots=True)
class Commented:
    """A comment came."""

    text: str
    after: int = 0
    """How many events of the stream came before it."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt, or a connection, has failed, and another one follows."""

    error: SSEError
    delay: float


Note: TypeAlias = Opened | Commented | Retrying


def always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a response."""

    status_code: int
    headers: Mapping[str, str]
    """Names are looked up in any case."""
    url: str
    response: Any = None
    """The response itself, for a resume that asks it for a URL."""
    reason: str = ""
    """The reason phrase, of the server or of the HTTP client: what Python calls a status changes between versions."""
    undecodable: str = ""
    """The content coding of the body, if the shell cannot decode it and hands the body on as it is."""
    can_stop_reads: Callable[[], bool] = always
    """Whether the shell can end a read of the body that takes too long; if not, the body is not drained."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What the HTTP client reported instead of a response, or of the rest of one."""

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
