"""One request and everything that came back: the raw material of all checks."""

from dataclasses import dataclass, field
from enum import Enum

import httpx

from ._finding import Finding

CTRL_C = "Ctrl-C"

# Of HTTP itself, and not of an application: a recording that has one of them has the head as it was received.
AS_RECEIVED = frozenset({"connection", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the body, as it came, and when: in seconds since the request."""

    time: float
    data: bytes


class End(Enum):
    """How the body ended."""

    CLEAN = "clean"
    """The framing says that the body is complete; without a length or chunks, the connection was closed."""
    CUT = "cut"
    """The connection broke, or the framing says that something is missing."""
    LEFT = "stopped"
    """We stopped reading: time is up, enough events were seen, or Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A redirect: the status, and where it leads, without secrets."""

    status: int
    location: str
    is_followed: bool
    at: str = ""
    """The URL that redirected, without secrets; empty if it is not known."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response. All times are in seconds since the request was sent."""

    method: str
    url: str
    """Without the user, and without the values of the query."""
    status: int
    """0 if there was no response; then `failure` says why, and the case is not to be checked any further."""
    headers: httpx.Headers
    """Of the response; without those whose values a recording does not have."""
    head_at: float
    pieces: tuple[Piece, ...]
    """The body as it was received, still compressed; those of a recording are decompressed."""
    ended_at: float
    """When the body ended, or when we stopped reading."""
    end: End
    error: str = ""
    """The name of the error that cut the body."""
    http_version: str = ""
    """As in `HTTP/1.1`; empty if a recording does not have it."""
    accepted: str = ""
    """The `Accept-Encoding` of the request; empty if it is not known."""
    hops: tuple[Hop, ...] = ()
    redacted: frozenset[str] = field(default_factory=frozenset[str])
    """Names of response headers, in lower case, that were there but whose values a recording does not have."""
    is_recorded: bool = False
    connected_at: float | None = None
    """When the connection was made, with TLS; `None` if it is not known."""
    left: str = ""
    """Why we stopped reading: `60 s`, `--count 3`, `64 MiB` or `Ctrl-C`; empty if the body ended."""
    sent: httpx.Headers = field(default_factory=httpx.Headers)
    """The headers of the request. The values that may be secrets are replaced."""
    failure: Finding | None = None
    """Why there was no response."""
    is_connected: bool = True
    """Whether the connection was made, with TLS and through proxies."""
    has_head: bool = True
    """False for a file with the bytes of a body: then nothing is known about the head, nor about times."""

    @property
    def has_body(self) -> bool:
        """Whether the status is one of those with which the library reads a stream."""
        return 200 <= self.status < 300 and self.status not in (204, 205)

    @property
    def has_times(self) -> bool:
        """Whether there is a timeline to be shown."""
        return self.has_head and self.failure is None

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case."""
        value: str = self.headers.get("content-type", "")
        return value.partition(";")[0].strip().lower()

    @property
    def has_whole_head(self) -> bool:
        """Whether a header that is not there was not sent. A recording made by hand may have only some of them."""
        return not self.is_recorded or not AS_RECEIVED.isdisjoint(self.headers)

    @property
    def coding(self) -> str:
        """The content coding, in lower case; empty for identity."""
        coding: str = self.headers.get("content-encoding", "").strip().lower()
        return "" if coding == "identity" or self.is_recorded else coding
