"""
What a server is to do: the answers to requests, step by step, and what comes of them on the wire.

No I/O. `EventServer` plays an answer on a socket and `ScriptedTransport` plays it without one; both write what `wire`
yields, so that a script means the same to both.
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
"""A step that resets the connection; what the client has not received by then may be lost."""


@dataclass(frozen=True)
class Pause:
    """
    A step that waits, in seconds; `math.inf` waits until somebody leaves.

    It is cut short where the server closes, and where the client closes its sending half of the connection.
    """

    seconds: float
    """How long it waits."""

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"expected seconds >= 0, got {self.seconds!r}")


def pings(every: float = 15.0, count: int = 1000) -> "tuple[Step, ...]":
    """Return the steps of a server that has nothing to say: a comment and so many seconds of silence, `count` times."""
    return (": ping\n\n", Pause(every)) * count


Step: TypeAlias = bytes | str | ServerSentEvent | Pause | Close | Callable[[], object]
PlayedStep: TypeAlias = bytes | Pause | Close | Callable[[], object]
Framing: TypeAlias = Literal["chunked", "length", "close", "raw"]


def played(steps: tuple[Step, ...]) -> tuple[PlayedStep, ...]:
    """The steps, with text and events as the bytes that they are sent as."""
    if any(isinstance(step, Close) for step in steps[:-1]):
        raise ValueError(f"expected FIN or RST as the last step only, got {steps!r}")
    return tuple(
        step.encode() if isinstance(step, str) else encode(step) if isinstance(step, ServerSentEvent) else step
        for step in steps
    )


@dataclass(frozen=True, init=False)
class Answer:
    """
    The answer to one request: a status, headers, and steps that are played one after the other.

    `bytes` go out in one write, and as one chunk if the framing is `"chunked"`; `str` is sent as UTF-8, an event as
    `encode()` writes it alone; an empty step writes nothing. `FIN` and `RST` end the connection, and can
    only be the last step. A callable is called on the connection's thread; while it blocks, nothing is noticed.

    `delay` is how long the head of the answer is waited for, in seconds.

    `framing` says how the client knows where the body ends: `"chunked"`; `"length"`, by the sum of the bytes;
    `"close"`, by the end of the connection. With `"raw"` the steps are all that is written, the head included, and
    the connection ends behind them. HEAD, 204 and 304 get no body: then the other steps are played, and bytes skipped.

    `headers` are added to Content-Type, Cache-Control and those of the framing, or replace them, whatever their case;
    the value `None` removes one.

    Raises `ValueError` for a step behind `FIN` or `RST`, an event that `encode()` refuses, and a raw answer with
    a status or headers.
    """

    steps: tuple[PlayedStep, ...]
    """The steps, with text and events as the bytes that they are sent as."""

    status: int
    """The status of the response."""
    headers: tuple[tuple[str, str], ...]
    """All headers that are sent, but for the `Connection: close` that answers the request's own."""

    framing: Framing
    """How the client knows where the body ends."""
    delay: float
    """Seconds from the request to the head of the response."""

    def __init__(
        self,
        *steps: Step,
        status: int = 200,
        headers: Mapping[str, str | None] | None = None,
        framing: Framing = "chunked",
        delay: float = 0.0,
    ) -> None:
        if framing == "raw" and (status != 200 or headers):
            raise ValueError(f"a raw answer writes its own head, got status={status!r}, headers={headers!r}")
        if math.isnan(delay) or delay < 0:
            raise ValueError(f"expected delay >= 0 (seconds), got {delay!r}")
        body = played(steps)
        defaults = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        if framing == "close":
            defaults["Connection"] = "close"
        elif status in (204, 304):
            pass  # no body, so nothing that says where it ends
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
        """Answer with JSON, as a server does that has an error to report, or has misunderstood."""
        return cls(json.dumps(value), status=status, headers={"Content-Type": "application/json"}, framing="length")

    def playing(self, steps: Iterable[Step]) -> Self:
        """Return the same answer, word for word in its head, with other steps behind it."""
        other = copy(self)
        object.__setattr__(other, "steps", played(tuple(steps)))
        return other

    def announcing(self, size: int) -> Self:
        """Return the same answer with this Content-Length, where it has announced the size of its body."""
        other = copy(self)
        before = ("content-length", str(size_of(self.steps)))
        headers = ((name, str(size) if (name.lower(), value) == before else value) for name, value in self.headers)
        object.__setattr__(other, "headers", tuple(headers))
        return other


def size_of(steps: Iterable[PlayedStep]) -> int:
    """How many bytes of body the steps write."""
    return sum(len(step) for step in steps if isinstance(step, bytes))


class Headers(Mapping[str, str]):
    """Headers by name, whatever its case; those of one name joined by `", "`."""

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
    """A request as it came over the wire."""

    method: str
    """The method, as sent."""
    target: str
    """Path and query, as sent."""

    headers: Headers
    """By name, whatever its case. Values are read as UTF-8; other bytes become lone surrogates (`surrogateescape`)."""

    body: bytes
    """The whole body, without its transfer coding."""
    connection: int
    """The number of the connection that it came over, from 1 on."""

    received_at: float = field(default_factory=time.monotonic)
    """When it was complete, by `time.monotonic()`; by the stream's own clock where time is virtual."""

    done: threading.Event = field(default_factory=threading.Event, repr=False)
    """Set when the answer has ended in any way."""

    answered: bool = False
    """
    Whether the answer was written to its end, known once `done` is set.

    It is not where the client was found gone, in a write or a `Pause`; the first write to a client that has just left
    succeeds, as the network has it.
    """

    def json(self) -> Any:
        """Parse the body as JSON; raise `ValueError` where it is not JSON."""
        return json.loads(self.body)


Script: TypeAlias = Answer | Callable[[RecordedRequest], Answer]
"""An answer, or a function that makes it from the request."""


class Scripts:
    """
    Which script answers which request.

    A single script answers every request. Of several, each answers one, in the order of arrival, and a request more
    gets a 500.
    """

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        for script in scripts:
            if not isinstance(script, Answer) and not callable(script):
                raise TypeError(f"expected an Answer, or a function that returns one, got {script!r}")
        self._scripts = scripts

    def __str__(self) -> str:
        return f"{len(self._scripts)} script{'' if len(self._scripts) == 1 else 's'}"

    def answer(self, request: RecordedRequest, number: int) -> Answer:
        """Answer a request, the `number`th from 1 on. What a function of the user's raises comes out unchanged."""
        if len(self._scripts) == 1:
            script = self._scripts[0]
        elif number <= len(self._scripts):
            script = self._scripts[number - 1]
        else:
            text = f"the script has no answer for request {number}\n"
            script = Answer(text, status=500, headers={"Content-Type": "text/plain"}, framing="length")
        return script if isinstance(script, Answer) else script(request)


def resumable(*events: ServerSentEvent | str) -> Callable[[RecordedRequest], Answer]:
    """
    Script a server that remembers its stream: it answers with the events behind the request's `Last-Event-ID`.

    Text is an event with this data, and an event without an ID gets its number, from 1 on, as one. Without the
    header, or with an ID that it does not know, a request is answered from the beginning, as by servers in general.
    """
    numbered = [
        replace(event, id=event.id or str(number))
        for number, event in enumerate(
            (ServerSentEvent(data=event) if isinstance(event, str) else event for event in events), start=1
        )
    ]
    encode(*numbered)  # what no stream can carry is an error here, and not at the first request
    # Without the blanks around it, as a header brings it.
    places = {event.id.strip(" \t").encode(): number for number, event in enumerate(numbered, start=1)}

    def answer(request: RecordedRequest) -> Answer:
        last_event_id = request.headers.get("last-event-id", "").encode(errors="surrogateescape")
        return Answer(*numbered[places.get(last_event_id, 0) :])

    return answer


def wire(answer: Answer, request: RecordedRequest) -> Iterator[PlayedStep]:
    """
    Yield what an answer does to the connection, in order: what is written, and the other steps.

    Where it `ends_connection`, an end in good order follows the last.
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
    """Whether the connection is of no use behind the answer."""
    says_close = Headers(answer.headers).says_close() or request.headers.says_close()
    return says_close or answer.framing in ("raw", "close")
