"""
Random servers, random faults and random users, through the whole client, in virtual time.

A world is drawn: a feed of events, the fate of each request (a response cut anywhere and ended in any way, a refusal,
an exception of the HTTP client), how the user reads, and when they stop. The server resumes after the `Last-Event-ID`,
unless it starts over. It records which bytes it has really sent, and the checks use that:

- The user got a prefix of the feed, in order, without a gap and without a repetition, and all that was sent whole by
  then. A stream that is completed is complete, and a cut one never is.
- There is one outcome, one of `on.complete`, `on.error` and `on.cancel`, and then one `on.close`. An error is an
  `SSEError`. A further call gives the same end again.
- Every response is closed, and no request follows the end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, seed
from hypothesis import strategies as st
from reference import parse
from shells import SHELLS, Shell

from reliability.proof import SEED, Ledger, fuzz
from sse_client import (
    AsyncEventStream,
    EventStream,
    Handlers,
    LastEventID,
    RetryPolicy,
    ServerSentEvent,
    SSEError,
    StreamCancelled,
    Terminator,
    Timeouts,
)
from sse_client.testing import FIN, RST, Answer, Pause, RecordedRequest, scripted_transport

URL = "http://test.example.org/chat"


def block(number: int, style: int) -> bytes:
    """One event of a feed; its data begins with its number."""
    return {
        0: f"id: {number}\ndata: {number}\n\n",
        1: f": ping\r\n\r\nid:{number}\r\ndata: {number}\r\n\r\n",
        2: f"event: e\ndata: {number}\ndata: €\nid: {number}\n\n",
        3: f"retry: 20\ndata: {number}\nid: {number}\n\nid: {number}\n\n",
        4: f"id\rid: {number}\rfoo: bar\rdata:{number}\r\r",
    }[style].encode()


@dataclass(frozen=True)
class Stream:
    """The rest of the feed, or a part of it."""

    share: float = 1.0
    """The share of all its bytes."""
    sizes: tuple[int, ...] = (10_000,)
    """The sizes of its pieces, over and over."""
    end: str = "good"
    """Cleanly ("good"), by FIN or RST, by an exception of the HTTP client, or by silence."""
    framing: Literal["chunked", "length", "close"] = "chunked"
    delay: float = 0.0
    pause: float = 0.0
    """The delay before the head, and the pause between two pieces, in seconds."""
    starts_over: bool = False


@dataclass(frozen=True)
class Other:
    """A response that is not a stream."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True)
class Raised:
    """An exception of the HTTP client instead of a response."""

    name: str


Turn = Stream | Other | Raised

ENDS = ["good", "FIN", "RST", "silence", "ReadError", "RemoteProtocolError", "ReadTimeout", "DecodingError", "OSError"]
STREAMS = st.builds(
    Stream,
    share=st.sampled_from([1.0, 0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]),
    sizes=st.lists(st.sampled_from([1, 2, 7, 20, 10_000]), min_size=1, max_size=3).map(tuple),
    end=st.sampled_from(ENDS),
    framing=st.sampled_from(["chunked", "length", "close"]),
    delay=st.sampled_from([0.0, 0.0, 5.0, 400.0]),
    pause=st.sampled_from([0.0, 0.0, 1.0, 40.0]),
    starts_over=st.sampled_from([False, False, False, True]),
)
JSON = (("Content-Type", "application/json"),)
OTHERS = st.sampled_from(
    [
        *(Other(status) for status in (204, 204, 205, 404, 503)),
        *(Other(status, JSON, '{"error": {"message": "no"}}') for status in (200, 400, 401, 409, 500, 501)),
        *(Other(429, (("Retry-After", seconds),)) for seconds in ("0", "7", "500")),
        *(Other(307, (("Location", place),)) for place in ("/chat", "?moved", "http://other.example.org/", "")),
        Other(302, (("Location", "/chat"),)),
        Other(400, (("x-should-retry", "true"),)),
        Other(200, (("Content-Type", "text/html"),), "<p>"),
    ]
)
RAISED = st.sampled_from(
    [
        *("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "ReadError", "WriteError", "ReadTimeout"),
        *("RemoteProtocolError", "UnsupportedProtocol"),
    ]
).map(Raised)


@dataclass(frozen=True)
class World:
    """Everything that is drawn."""

    shell: Shell
    styles: tuple[int, ...]
    """The styles of the events."""
    has_ids: bool
    ending: Literal["none", "done", "terminator"]
    turns: tuple[Turn, ...]
    is_subscription: bool
    resumes: bool
    retries: int | None
    is_bold: bool
    """Whether a POST is sent again on which the server may have acted."""
    timeouts: Timeouts
    reads: Literal["iterate", "dispatch", "batches", "reply"]
    stops: Literal["never", "break", "raise", "close", "outside", "cancel"]
    at: int
    """The event, or for the last two the moment of the server, at which the user stops."""

    @property
    def blocks(self) -> list[bytes]:
        blocks = [block(number, style) for number, style in enumerate(self.styles, 1)]
        return blocks if self.has_ids or self.is_subscription else [each.replace(b"id", b"no") for each in blocks]

    @property
    def last_block(self) -> bytes:
        return {"none": b"", "done": b"data: [DONE]\n\n", "terminator": b"event: end\ndata\n\n"}[self.ending]


def worlds(**given: st.SearchStrategy[Any]) -> st.SearchStrategy[World]:
    """Worlds, with the given strategies for some parts."""
    drawn: dict[str, st.SearchStrategy[Any]] = {
        "shell": st.sampled_from(SHELLS),
        "styles": st.one_of(st.just([]), *[st.lists(st.integers(0, 4), min_size=4, max_size=20)] * 4).map(tuple),
        "has_ids": st.sampled_from([True, True, True, False]),
        "ending": st.sampled_from(["none", "done", "terminator", "terminator"]),
        "turns": st.lists(st.one_of(STREAMS, STREAMS, OTHERS, RAISED), max_size=7).map(tuple),
        "is_subscription": st.sampled_from([False, False, False, True]),
        "resumes": st.sampled_from([True, True, False]),
        "retries": st.sampled_from([0, 1, 3, 6, 6]),
        "is_bold": st.booleans(),
        "timeouts": st.builds(
            Timeouts,
            first_event=st.sampled_from([None, 100.0]),
            idle=st.sampled_from([None, 30.0]),
            total=st.sampled_from([None, None, 1_000.0]),
        ),
        "reads": st.sampled_from(["iterate", "iterate", "dispatch", "batches", "reply"]),
        "stops": st.sampled_from(["never", "never", "break", "raise", "close", "outside", "cancel"]),
        "at": st.integers(1, 20),
    }
    return st.builds(World, **{**drawn, **given}).map(whose_reader_is_not_ahead)


def whose_reader_is_not_ahead(world: World) -> World:
    """A dispatch that reads ahead may reach another end than the user; another test is about that."""
    return replace(world, stops="never") if world.reads == "batches" else world


class Server:
    """Responds to the requests of a world, and records which bytes it has sent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.has_ids = world.has_ids or world.is_subscription
        self.feed = [event.data for event in parse(b"".join(world.blocks)).events]
        self.turns = list(world.turns)
        self.faults = 0
        self.moment = 0
        self.at_moment: Callable[[], object] = lambda: None
        self.is_gone = False
        """Whether the latest response was a 204."""
        self._streams: list[tuple[int, bytearray]] = []  # of each: the number of events before it, and the bytes sent
        self._sent = bytearray()  # of the latest
        self._size: int | None = None  # its full size, if it ends cleanly

    @property
    def arrived(self) -> list[str]:
        """The data of all events that were sent whole, without those that were sent again."""
        return self.feed[: max((start + len(self._whole(sent)) for start, sent in self._streams), default=0)]

    @property
    def has_ended(self) -> bool:
        """Whether the latest stream may count as complete if no terminator is required."""
        sent = self._sent
        if b"data: [DONE]" in sent:
            return True
        is_mid_event = self._whole(sent) != self._whole(sent + b"\n\n")
        return len(sent) == self._size and not is_mid_event

    def _whole(self, sent: bytes | bytearray) -> list[ServerSentEvent]:
        return [event for event in parse(bytes(sent)).events if event.data in self.feed]

    def pass_moment(self) -> None:
        self.moment += 1
        if self.moment == self.world.at:
            self.at_moment()

    def answer(self, request: RecordedRequest) -> Answer:
        self.pass_moment()
        turn = self.turns.pop(0) if self.turns else Stream()
        self.faults += turn != Stream()
        last = int(request.headers.get("last-event-id", "0"))
        self.is_gone = False
        if isinstance(turn, Raised):
            raise getattr(self.world.shell.library, turn.name)("raised")
        if isinstance(turn, Stream) and self.world.is_subscription and last == len(self.feed):
            turn = Other(204)
        if isinstance(turn, Stream):
            return self._stream(turn, last)
        self.is_gone = turn.status == 204
        return Answer(turn.body, self.pass_moment, status=turn.status, headers=dict(turn.headers), framing="length")

    def _stream(self, turn: Stream, last: int) -> Answer:
        # An ID from before the last one shows that a server starts over; an equal one does not.
        starts_over = turn.starts_over and last > 1 and not self.world.is_subscription
        sent = self._sent = bytearray()
        if starts_over:
            last = 0
        else:
            self._streams.append((last, sent))
        body = b"".join(self.world.blocks[last:]) + self.world.last_block
        body = body[: round(len(body) * turn.share)]
        steps: list[Any] = []
        for piece in cut(body, turn.sizes):
            steps += [partial(sent.extend, piece), self.pass_moment, piece, Pause(turn.pause)]
        # If a body ends with its connection, a cut cannot be told from an end.
        is_good = turn.end == "good" or (turn.end == "FIN" and turn.framing == "close")
        self._size = len(body) if is_good else None
        if not is_good:
            ends: dict[str, Any] = {"FIN": FIN, "RST": RST, "silence": Pause(inf)}
            steps += [self.pass_moment, ends.get(turn.end, partial(self._raise, turn.end))]
        headers = {"Content-Length": str(len(body) + 1)} if turn.framing == "length" and not is_good else {}
        return Answer(*steps, headers=headers, framing=turn.framing, delay=turn.delay)

    def _raise(self, name: str) -> None:
        raise OSError("reset") if name == "OSError" else getattr(self.world.shell.library, name)("raised")


def cut(body: bytes, sizes: tuple[int, ...]) -> list[bytes]:
    pieces: list[bytes] = []
    while body:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(body[:size])
        body = body[size:]
    return pieces


class Leaving(Exception):
    """The user's own exception."""


def texts_of(texts: list[str], event: ServerSentEvent) -> list[str]:
    return [*texts, event.data]


class Use:
    """A user's use of a world's stream, and its result."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.server = Server(world)
        self.transport = scripted_transport(self.server.answer)
        self.stream: EventStream | AsyncEventStream
        self.responses: list[Any] = []
        self.received: list[str] = []
        self.seen: list[str] = []
        self.error: SSEError | None = None
        self.has_stopped = False

    def run(self) -> "Use":
        self.world.shell.run(self._run)
        return self

    async def _run(self) -> None:
        world = self.world
        policy = RetryPolicy(max_retries=world.retries, jitter=0, retry_ambiguous=world.is_bold)
        options: dict[str, Any] = {
            "retry": policy,
            "timeout": world.timeouts,
            "resume": LastEventID(retry=policy) if world.resumes else None,
        }
        if world.ending == "terminator":
            options["terminator"] = Terminator(event="end")
        hook: Any = self.responses.append
        if world.shell.kind != "sync":

            async def hook(response: Any) -> None:
                self.responses.append(response)

        http = {"transport": self.transport, "event_hooks": {"response": [hook]}}
        async with world.shell.any_client({}, http) as client, anyio.create_task_group() as tasks:
            stream = self.stream = (
                client.subscribe(URL, **options) if world.is_subscription else client.post(URL, **options)
            )
            with anyio.CancelScope() as scope:
                self.server.at_moment = self._stopper(scope, tasks)
                try:
                    await (self._read(stream) if isinstance(stream, EventStream) else self._aread(stream))
                except SSEError as error:
                    self.error = error
                except (Leaving, KeyboardInterrupt):
                    pass
            requests = len(self.transport.requests)
            await self._ask_again()
            assert len(self.transport.requests) == requests

    def _stopper(self, scope: anyio.CancelScope, tasks: Any) -> Callable[[], object]:
        """A function that stops the stream from outside, or the user with it."""

        def stop() -> None:
            self.has_stopped = True
            match self.world.stops, self.stream:
                case "outside", EventStream() as stream:
                    stream.close()
                case "outside", AsyncEventStream() as stream:
                    tasks.start_soon(stream.aclose)
                case _, EventStream():
                    raise KeyboardInterrupt
                case _:
                    scope.cancel()

        return stop if self.world.stops in ("outside", "cancel") else lambda: None

    def _take(self, event: ServerSentEvent) -> bool:
        """Receive an event; return whether to close the stream now."""
        self.received.append(event.data)
        if len(self.received) != self.world.at or self.world.stops not in ("break", "raise", "close"):
            return False
        self.has_stopped = True
        if self.world.stops == "raise":
            raise Leaving
        return True

    def _handlers(self) -> Handlers:
        on = Handlers()
        for moment in (on.complete, on.error, on.cancel, on.close):
            moment(partial(self.seen.append, moment._name))

        def handle(event: ServerSentEvent) -> None:
            if self._take(event):
                assert isinstance(self.stream, EventStream)
                self.stream.close()

        async def ahandle(event: ServerSentEvent) -> None:
            if self._take(event):
                assert isinstance(self.stream, AsyncEventStream)
                await self.stream.aclose()

        def handle_all(events: list[ServerSentEvent]) -> None:
            for event in events:
                handle(event)

        async def ahandle_all(events: list[ServerSentEvent]) -> None:
            for event in events:
                await ahandle(event)

        is_sync = self.world.shell.kind == "sync"
        if self.world.reads == "batches":
            on.batch(ServerSentEvent, interval=10.0, max_items=3)(handle_all if is_sync else ahandle_all)
        else:
            on.event(handle if is_sync else ahandle)
        return on

    async def _read(self, stream: EventStream) -> None:
        if self.world.reads in ("dispatch", "batches"):
            stream.dispatch(self._handlers())
            return
        with stream:
            reply = stream.accumulate(texts_of, list[str]()) if self.world.reads == "reply" else None
            for event in stream if reply is None else reply:
                if self._take(event):
                    if self.world.stops == "break":
                        return
                    stream.close()
            assert reply is None or reply.final() == self.received

    async def _aread(self, stream: AsyncEventStream) -> None:
        if self.world.reads in ("dispatch", "batches"):
            await stream.dispatch(self._handlers())
            return
        async with stream:
            reply = stream.accumulate(texts_of, list[str]()) if self.world.reads == "reply" else None
            async for event in stream if reply is None else reply:
                if self._take(event):
                    if self.world.stops == "break":
                        return
                    await stream.aclose()
            assert reply is None or await reply.final() == self.received

    async def _ask_again(self) -> None:
        """Check that a further call gives the same end."""
        outcome = self.stream.outcome
        # Only a final result reports that it was cancelled.
        expected = None if isinstance(self.error, StreamCancelled) else self.error
        for _ in range(2):
            said: ServerSentEvent | SSEError | None
            try:
                said = (
                    next(self.stream, None) if isinstance(self.stream, EventStream) else await anext(self.stream, None)
                )
            except SSEError as error:
                said = error
            assert said is expected
        assert self.stream.outcome == outcome


def check(use: Use, ledger: Ledger) -> None:
    """Compare the user's events and outcome with the server's record."""
    world, server, outcome = use.world, use.server, use.stream.outcome
    is_complete = outcome == "completed"
    assert outcome is not None
    assert use.error is None or not is_complete
    if world.reads in ("dispatch", "batches"):
        end = {"completed": "complete", "cancelled": "cancel", "abandoned": "cancel"}.get(outcome, "error")
        assert use.seen == [end, "close"]
    if not use.has_stopped:
        assert outcome not in ("cancelled", "abandoned")
        assert (use.error is None) == is_complete
    assert all(response.is_closed for response in use.responses)

    # Without the terminator, and without `[DONE]`, which is an event like any other in a subscription.
    received = [data for data in use.received if data and not (world.is_subscription and data == "[DONE]")]
    if server.has_ids and world.reads != "batches":
        # A user who leaves by an exception has not finished the current event.
        finished = {len(received), len(received) - use.has_stopped}
        assert int(use.stream.last_event_id or 0) in finished
    if is_complete and server.is_gone:
        assert world.ending != "terminator" or world.is_subscription or not received
    elif is_complete and world.ending != "terminator":
        assert server.has_ended
    must_be_whole = is_complete and world.ending == "terminator" and not server.is_gone
    known = server.feed if must_be_whole else server.arrived
    ledger.stream(known, received, is_complete=is_complete, faults=server.faults + use.has_stopped)
    assert use.has_stopped or len(received) == len(known)


@seed(SEED)
@fuzz(200, 10_000)
@given(worlds())
def test_any_world(ledger: Ledger, world: World) -> None:
    """In any world the user gets every event that was sent, once and in order, and the right outcome."""
    check(Use(world).run(), ledger)


PATIENT: dict[str, st.SearchStrategy[Any]] = {
    "styles": st.lists(st.integers(0, 4), min_size=5, max_size=25).map(tuple),
    "has_ids": st.just(True),
    "resumes": st.just(True),
    "retries": st.just(None),
    "is_bold": st.just(True),
}


@seed(SEED)
@fuzz(200, 10_000)
@given(worlds(turns=st.lists(STREAMS, min_size=2, max_size=12).map(tuple), stops=st.just("never"), **PATIENT))
def test_many_cuts(ledger: Ledger, world: World) -> None:
    """
    A stream that is cut again and again is completed in the end, unless its total ran out or the server started over.
    """
    use = Use(world).run()
    check(use, ledger)
    if world.ending == "terminator" and world.timeouts.total is None:
        assert use.stream.outcome == "completed" or "started over" in str(use.error)


@seed(SEED)
@fuzz(200, 10_000)
@given(
    worlds(
        turns=st.lists(STREAMS, max_size=4).map(tuple),
        stops=st.sampled_from(["break", "raise", "close", "outside", "cancel"]),
        **PATIENT,
    )
)
def test_stopped(ledger: Ledger, world: World) -> None:
    """
    A stream that is stopped at any event or moment is over, and its last event ID is that of the user's last finished
    event.
    """
    check(Use(world).run(), ledger)


@pytest.mark.parametrize("shell", SHELLS, ids=str)
def test_closed_behind_what_was_read_ahead(ledger: Ledger, shell: Shell) -> None:
    """A stream that the handler of its first batch closes is cancelled, even if all of it was read by then."""
    handled: list[str] = []

    async def main() -> None:
        transport = scripted_transport(Answer(*(block(number, 0) for number in range(1, 9))))
        async with shell.any_client({}, {"transport": transport}) as client:
            stream = client.post(URL)

            def handle(events: list[ServerSentEvent]) -> None:
                handled.extend(event.data for event in events)
                for _ in range(1_000):  # it needs a few
                    if stream.outcome is None:
                        time.sleep(0.001)
                assert isinstance(stream, EventStream)
                stream.close()

            async def ahandle(events: list[ServerSentEvent]) -> None:
                handled.extend(event.data for event in events)
                for _ in range(1_000):
                    await anyio.lowlevel.checkpoint()
                assert isinstance(stream, AsyncEventStream)
                await stream.aclose()

            on = Handlers()
            if isinstance(stream, EventStream):
                on.batch(ServerSentEvent, interval=10.0)(handle)
                stream.dispatch(on)
            else:
                on.batch(ServerSentEvent, interval=10.0)(ahandle)
                await stream.dispatch(on)
            ledger.stream(list("12345678"), handled, is_complete=stream.outcome == "completed", faults=1)

    shell.run(main)


@pytest.mark.parametrize("shell", SHELLS, ids=str)
def test_json_in_the_place_of_a_resumed_stream(ledger: Ledger, shell: Shell) -> None:
    """`accept_json=` applies to the first response: JSON instead of a resumed stream is a failed attempt, not data."""
    answers = Answer(block(1, 0), FIN), Answer.json({"error": "busy"}), Answer(block(2, 0), "event: end\ndata\n\n")
    transport = scripted_transport(*answers)
    options: dict[str, Any] = {"accept_json": True, "resume": LastEventID(), "terminator": Terminator(event="end")}
    result = shell.read(URL, http={"transport": transport}, **options)
    assert result.stream is not None
    is_complete = result.stream.outcome == "completed"
    ledger.stream(["1", "2", ""], result.data, is_complete=is_complete, faults=2)
