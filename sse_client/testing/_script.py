"""
Scripts: the responses of a server, step by step, and the bytes that they write.

No I/O. `EventServer` plays a script on a socket, `ScriptedTransport` without one. Both write the output of `wire`, so
a script has the same meaning in both.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from enum import Enum
from http.client import responses as reasons
from typing import Any, Final, Literal, Self, TypeAlias

from sse_client._event import ServerSentEvent
from sse_client.testing._encode import encode


class Close(Enum):
    """How a script ends the connection."""

    FIN = "FIN"
    RST = "RST"


FIN: Final = Close.FIN
"""A step that closes the connection at once: no final chunk and, over TLS, no `close_notify`."""

RST: Final = Close.RST
"""A step that resets the connection; data that the client has not received yet may be lost."""


@dataclass(frozen=True)
class Pause:
    """
    A step that waits; `math.inf` waits until the client or the server closes the connection.

    It ends early if the server is closed, or if the client closes its sending half of the connection.
    """

    seconds: float
    """The time to wait, in seconds."""

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"expected seconds >= 0, got {self.seconds!r}")


def pings(every: float = 15.0, count: int = 1000) -> "tuple[Step, ...]":
    """Return the steps of a server without events: a comment and `every` seconds of silence, `count` times."""
    return (": ping\n\n", Pause(every)) * count


Step: TypeAlias = bytes | str | ServerSentEvent | Pause | Close | Callable[[], object]
PlayedStep: TypeAlias = bytes | Pause | Close | Callable[[], object]
Framing: TypeAlias = Literal["chunked", "length", "close", "raw"]


def played(steps: tuple[Step, ...]) -> tuple[PlayedStep, ...]:
    """Return the steps with text and events encoded to bytes."""
    if any(isinstance(step, Close) for step in steps[:-1]):
        raise ValueError(f"expected FIN or RST as the last step only, got {steps!r}")
    return tuple(
        step.encode() if isinstance(step, str) else encode(step) if isinstance(step, ServerSentEvent) else step
        for step in steps
    )


@dataclass(frozen=True, init=False)
class Answer:
    """
    The scripted response to one request: a status, headers, and steps that are played one after the other.

    `bytes` are sent in one write, and as one chunk if the framing is `"chunked"`. `str` is sent as UTF-8, and an event
    as the output of `encode()` for it alone. An empty step writes nothing. `FIN` and `RST` end the connection, and can
    only be the last step. A callable is called on the connection's thread; while it blocks, the end of the connection
    is not noticed.

    `delay` is the time from the request to the head of the response, in seconds.

    `framing` determines how the client finds the end of the body: `"chunked"`; `"length"`, by a Content-Length of all
    steps; `"close"`, by the end of the connection. With `"raw"` the steps write the whole response, including its head,
    and the connection ends after them. Responses to HEAD, and those with status 204 and 304, have no body: their bytes
    are skipped, and their other steps are played.

    `headers` are added to Content-Type, Cache-Control and the headers of the framing, or replace them; their case does
    not matter. The value `None` removes a header.

    Raises `ValueError` for a step after `FIN` or `RST`, for an event that `encode()` rejects, and for a status or
    headers with `"raw"`.
    """

    steps: tuple[PlayedStep, ...]
    """The steps, with text and events encoded to bytes."""

    status: int
    """The status of the response."""
    headers: tuple[tuple[str, str], ...]
    """All headers of the response, except a `Connection: close` in response to that of the request."""

    framing: Framing
    """How the client finds the end of the body."""
    delay: float
    """The time from the request to the head of the response, in seconds."""

    def __init__(
        self,
        *steps: Step,
        status: int = 200,
        headers: Mapping[str, str | None] | None = None,
        framing: Framing = "chunked",
        delay: float = 0.0,
    ) -> None:
        if framing == "raw" and (status != 200 or headers):
            raise ValueError(f"a raw Answer writes its own head, got status={status!r}, headers={headers!r}")
        if math.isnan(delay) or delay < 0:
            raise ValueError(f"expected delay >= 0 (seconds), got {delay!r}")
        body = played(steps)
        defaults = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        if framing == "close":
            defaults["Connection"] = "close"
        elif status in (204, 304):
            pass  # no body, so no header for its end
        elif framing == "chunked":
            defaults["Transfer-Encoding"] = "chunked"
        elif framing == "length":
            defaults["Content-Length"] = str(size_of(body))
        merged = {name.lower(): (name, value) for name, value in (defaults | dict(headers or {})).items()}
        object.__setattr__(self, "steps", body)
        object.__setattr__(self, "status", status)
        object.__setattr__(
            self, "headers", tuple((name, value) for name, value in merged.values() if value is not None)
        )
        object.__setattr__(self, "framing", framing)
        object.__setattr__(self, "delay", delay)

    @classmethod
    def json(cls, value: Any, *, status: int = 200) -> Self:
        """Return a response with JSON, such as an error, or the response of a server without streaming."""
        return cls(json.dumps(value), status=status, headers={"Content-Type": "application/json"}, framing="length")

    def playing(self, steps: Iterable[Step]) -> Self:
        """Return a copy with exactly the same head and other steps."""
        other = copy(self)
        object.__setattr__(other, "steps", played(tuple(steps)))
        return other

    def announcing(self, size: int) -> Self:
        """Return a copy with this Content-Length, if the response has a Content-Length with the size of its body."""
        other = copy(self)
        before = ("content-length", str(size_of(self.steps)))
        headers = ((name, str(size) if (name.lower(), value) == before else value) for name, value in self.headers)
        object.__setattr__(other, "headers", tuple(headers))
        return other


def size_of(steps: Iterable[PlayedStep]) -> int:
    """Return the number of bytes that the steps write."""
    return sum(len(step) for step in steps if isinstance(step, bytes))


class Headers(Mapping[str, str]):
    """Headers by name, in any case; several values of one name are joined with `", "`."""

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in headers:
            before = self._values.get(name.lower())
            self._values[name.lower()] = value if before is None else f"{before}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"

    def says_close(self) -> bool:
        return "close" in (option.strip().lower() for option in self.get("connection", "").split(","))


@dataclass(eq=False)
class RecordedRequest:
    """A request as the server received it."""

    method: str
    """The method, as sent."""
    target: str
    """Path and query, as sent."""

    headers: Headers
    """The headers by name, in any case. Values are UTF-8; other bytes become lone surrogates (`surrogateescape`)."""

    body: bytes
    """The whole body, without its transfer coding."""
    connection: int
    """The number of its connection, from 1."""

    received_at: float = field(default_factory=time.monotonic)
    """When the request was complete, by `time.monotonic()`; in virtual time, by the stream's own clock."""

    done: threading.Event = field(default_factory=threading.Event, repr=False)
    """Set when the response has ended, in any way."""

    responded: bool = False
    """
    Whether the response was written to its end. Known once `done` is set.

    It is false if a write or a `Pause` found that the client had left. The first write after the client left still
    succeeds, because the network reports it later.
    """

    def json(self) -> Any:
        """Parse the body as JSON. Raises `ValueError` if it is not JSON."""
        return json.loads(self.body)


Script: TypeAlias = Answer | Callable[[RecordedRequest], Answer]
"""An `Answer`, or a function of the request that returns one."""


class Scripts:
    """
    The scripts of a server, in the order of requests.

    A single script is played for every request. Several scripts are played once each, in the order of the requests, and
    any request after them gets a 500.
    """

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        for script in scripts:
            if not isinstance(script, Answer) and not callable(script):
                raise TypeError(f"expected an Answer, or a function that returns one, got {script!r}")
        self._scripts = scripts

    def __str__(self) -> str:
        return f"{len(self._scripts)} script{'' if len(self._scripts) == 1 else 's'}"

    def answer(self, request: RecordedRequest, number: int) -> Answer:
        """Return the response to the `number`th request, from 1. Exceptions of the user's function are not caught."""
        if len(self._scripts) == 1:
            script = self._scripts[0]
        elif number <= len(self._scripts):
            script = self._scripts[number - 1]
        else:
            text = f"the script has no response for request {number}\n"
            script = Answer(text, status=500, headers={"Content-Type": "text/plain"}, framing="length")
        return script if isinstance(script, Answer) else script(request)


def resumable(*events: ServerSentEvent | str) -> Callable[[RecordedRequest], Answer]:
    """
    Script a server that can resume its stream: it sends the events after the request's `Last-Event-ID`.

    Text becomes an event with this data, and the ID of an event without one is its number, from 1. Without the header,
    or with an unknown ID, the stream begins at its first event, as with most servers.
    """
    numbered = [
        replace(event, id=event.id or str(number))
        for number, event in enumerate(
            (ServerSentEvent(data=event) if isinstance(event, str) else event for event in events), start=1
        )
    ]
    encode(*numbered)  # raises here and not at the first request
    # Stripped, because HTTP removes blanks around a header's value.
    places = {event.id.strip(" \t").encode(): number for number, event in enumerate(numbered, start=1)}

    def answer(request: RecordedRequest) -> Answer:
        last_event_id = request.headers.get("last-event-id", "").encode(errors="surrogateescape")
        return Answer(*numbered[places.get(last_event_id, 0) :])

    return answer


def wire(answer: Answer, request: RecordedRequest) -> Iterator[PlayedStep]:
    """
    Yield the steps of a response on its connection: the bytes to write, and the other steps, in order.

    If the response `ends_connection`, the connection is closed cleanly after the last step.
    """
    if answer.delay:
        yield Pause(answer.delay)
    is_raw, is_chunked = answer.framing == "raw", answer.framing == "chunked"
    has_body = is_raw or not (request.method == "HEAD" or answer.status in (204, 304))
    if not is_raw:
        lines = [f"HTTP/1.1 {answer.status} {reasons.get(answer.status, '')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if request.headers.says_close() and not Headers(answer.headers).says_close():
            lines.append("Connection: close")
        yield "".join(f"{line}\r\n" for line in [*lines, ""]).encode(errors="surrogateescape")
    for step in answer.steps:
        if not isinstance(step, bytes):
            yield step
        elif step and has_body:
            yield b"%x\r\n%b\r\n" % (len(step), step) if is_chunked else step
    if is_chunked and has_body and not (answer.steps and isinstance(answer.steps[-1], Close)):
        yield b"0\r\n\r\n"


def ends_connection(answer: Answer, request: RecordedRequest) -> bool:
    """Whether the connection ends after the response."""
    says_close = Headers(answer.headers).says_close() or request.headers.says_close()
    return says_close or answer.framing in ("raw", "close")
