"""
The cut matrix: one stream, cut after every single byte of its response, head and chunk framing included.

The stream has thirty events of all shapes: LF and CRLF, named, without data, with characters of several bytes. The
server resumes after the `Last-Event-ID`. The sync client sees every cut in virtual time, without a socket, and the
async client every third. All shells see a sample of each framing over real sockets, each with its own offset.
`testing/test_transport.py` shows that both give the same results.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import anyio
import httpx
import pytest
from reference import parse
from shells import SHELLS, Run, Shell

from sse_client import (
    AsyncEventStream,
    ConnectionFailed,
    LastEventID,
    RetryPolicy,
    ServerSentEvent,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
)
from sse_client.testing import FIN, RST, Answer, EventServer, RecordedRequest, scripted_transport

Framing = Literal["chunked", "length", "close"]
How = Literal["FIN", "RST"]

COUNT = 30
SAMPLE = 61
AT_ONCE = 32


def block(number: int) -> bytes:
    match number % 5:
        case 0:
            return f"id:{number}\r\ndata:é\r\n\r\n".encode()
        case 1:
            return f":\n\nevent:e\ndata:€\nid:{number}\n\n".encode()
        case _:
            return f"id:{number}\ndata\n\n".encode()


BLOCKS = [b"retry:10\n\n", *(block(number) for number in range(1, COUNT + 1))]
EVENTS = parse(b"".join(BLOCKS)).events
# With `Connection: close`, so that no thread gets a connection from the pool that is cut after its last byte.
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type:text/event-stream\r\nConnection:close\r\n"

END = b"event: end\ndata:\n\n"
"""A terminator after the events, for tests that use one."""


def answer(framing: Framing, after: int, end: bytes = b"") -> bytes:
    """The whole response with the events after the event `after`."""
    blocks = [BLOCKS[0], *BLOCKS[after + 1 :]]
    if end:
        blocks.append(end)
    match framing:
        case "chunked":
            pieces = (b"".join(blocks[index : index + 4]) for index in range(0, len(blocks), 4))
            chunks = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            return HEAD + b"Transfer-Encoding:chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"
        case "length":
            body = b"".join(blocks)
            return HEAD + b"Content-Length:%d\r\n\r\n" % len(body) + body
        case "close":
            return HEAD + b"\r\n" + b"".join(blocks)


def body(framing: Framing, answer: bytes) -> bytes | None:
    """The part of the body in a response that was cut; `None` if the head is incomplete."""
    _, blank, rest = answer.partition(b"\r\n\r\n")
    if not blank:
        return None
    if framing != "chunked":
        return rest
    found = b""
    while rest:
        size, line_end, rest = rest.partition(b"\r\n")
        if not line_end:
            break
        found += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return found


@dataclass(frozen=True)
class Cut:
    """The positions where the successive responses of one stream are cut. Later responses are whole."""

    framing: Framing
    how: How
    at: tuple[int, ...]
    end: bytes = b""

    @property
    def path(self) -> str:
        return f"/{self.framing}/{self.how}/{'-'.join(map(str, self.at))}"

    @property
    def received(self) -> bytes:
        """The first response, up to its cut."""
        return answer(self.framing, 0, self.end)[: self.at[0]]

    @property
    def is_whole(self) -> bool:
        return len(self.received) == len(answer(self.framing, 0, self.end))

    @cached_property
    def arrived(self) -> list[ServerSentEvent]:
        """The events that were complete before the cut."""
        return parse(body(self.framing, self.received) or b"").events


class Script:
    """A server that cuts each stream as its path says, and resumes unless it `starts_over`."""

    def __init__(self, cuts: Sequence[Cut], *, starts_over: bool = False) -> None:
        self.cuts = {cut.path: cut for cut in cuts}
        assert len(self.cuts) == len(cuts)
        self.counts: Counter[str] = Counter()
        self.starts_over = starts_over

    def __call__(self, request: RecordedRequest) -> Answer:
        # The requests of one stream follow each other, so no other thread counts on this path.
        cut, number = self.cuts[request.target], self.counts[request.target]
        self.counts[request.target] += 1
        after = 0 if self.starts_over else int(request.headers.get("last-event-id", "0"))
        if after == COUNT and not cut.end:
            return Answer(status=204)
        whole = answer(cut.framing, after, cut.end)
        if number >= len(cut.at):
            return Answer(whole, framing="raw")
        return Answer(whole[: cut.at[number]], FIN if cut.how == "FIN" else RST, framing="raw")


@dataclass(frozen=True)
class World:
    """A shell on real sockets, or on a transport in virtual time."""

    shell: Shell
    has_sockets: bool

    def __str__(self) -> str:
        return f"{self.shell}-{'sockets' if self.has_sockets else 'virtual'}"

    def all_cuts(self, *framings: Framing, hows: Sequence[How] = ("FIN", "RST")) -> list[Cut]:
        """All cuts to test here."""
        phase = SHELLS.index(self.shell) if self.has_sockets else 0
        return [
            Cut(framing, how, (at,))
            for framing in framings
            for how in hows
            for at in range(phase, len(answer(framing, 0)) + 1, self._step(how))
        ]

    def _step(self, how: How) -> int:
        if self.has_sockets:
            return SAMPLE
        # FIN and RST differ only in the transport's error, which is the same after each byte. In both clients the
        # session decides how a stream has ended, so every byte in the sync client is enough.
        return (1 if how == "FIN" else 9) * (1 if self.shell.kind == "sync" else 3)

    def read_all(self, script: Script, client: dict[str, Any], **options: Any) -> list[Run]:
        """Read the streams of all cuts of the script, through one client."""
        cuts = list(script.cuts.values())
        with self.http(script) as http:
            if self.shell.kind == "sync":
                threads = AT_ONCE if self.has_sockets else 1
                with self.shell.client(client, http) as sse, ThreadPoolExecutor(threads) as pool:
                    return list(pool.map(lambda cut: Run().read(sse.post(cut.path, json={}, **options)), cuts))

            results = [Run() for _ in cuts]

            async def run() -> None:
                turn = anyio.CapacityLimiter(AT_ONCE)

                async def one(result: Run, stream: AsyncEventStream[Any]) -> None:
                    async with turn:
                        await result.aread(stream)

                async with self.shell.aclient(client, http) as sse, anyio.create_task_group() as tasks:
                    for result, cut in zip(results, cuts, strict=True):
                        tasks.start_soon(one, result, sse.post(cut.path, json={}, **options))

            self.shell.run(run)
            return results

    @contextmanager
    def http(self, script: Script) -> Iterator[dict[str, Any]]:
        """The arguments of the HTTP client."""
        if self.has_sockets:
            with EventServer(script) as server:
                yield {"limits": self.shell.library.Limits(max_connections=None), "base_url": server.url}
        else:
            yield {"transport": scripted_transport(script), "base_url": "http://api.example.org"}


WORLDS = [
    World(Shell("sync", httpx), has_sockets=False),
    World(Shell("asyncio", httpx), has_sockets=False),
    *(World(shell, has_sockets=True) for shell in SHELLS),
]


@pytest.fixture(params=WORLDS, ids=str)
def world(request: pytest.FixtureRequest) -> World:
    """Every cut in virtual time, and a sample over sockets in all shells."""
    world: World = request.param
    return world


def test_every_cut_is_resumed(world: World) -> None:
    """Wherever the connection is cut, all events come with `resume=`, each once and in order."""
    cuts = world.all_cuts("chunked", "length")
    retry = RetryPolicy(retry_ambiguous=True, initial_delay=0, jitter=0)
    script = Script(cuts)
    results = world.read_all(script, {}, retry=retry, resume=LastEventID())
    for cut, result in zip(cuts, results, strict=True):
        assert (result.error, result.outcome) == (None, "completed"), cut
        assert result.events == EVENTS, cut
        assert script.counts[cut.path] == (1 if cut.is_whole else 2), cut


def test_every_cut_is_told(world: World) -> None:
    """
    By default every complete event is delivered, the error says how the stream ended, and there is no second POST.

    Only a whole response counts as completed.
    """
    cuts = world.all_cuts("chunked", "length")
    script = Script(cuts)
    results = world.read_all(script, {})
    for cut, result in zip(cuts, results, strict=True):
        check_told(cut, result)
        assert script.counts[cut.path] == 1, cut
        if result.error is not None and not cut.arrived:
            assert "retry_ambiguous=True" in str(result.error), cut
        if isinstance(result.error, ConnectionFailed):
            assert result.error.ambiguous, cut


def test_every_cut_is_told_without_retries(world: World) -> None:
    """With `retry=None` the result is the same, but the error does not mention `retry_ambiguous`."""
    cuts = world.all_cuts("chunked", "length")[::13]
    script = Script(cuts)
    results = world.read_all(script, {"retry": None})
    for cut, result in zip(cuts, results, strict=True):
        check_told(cut, result)
        assert script.counts[cut.path] == 1, cut
        assert "retry_ambiguous" not in str(result.error), cut


def check_told(cut: Cut, result: Run) -> None:
    assert result.events == cut.arrived, cut
    if cut.is_whole:
        assert (result.error, result.outcome) == (None, "completed"), cut
    elif b"\r\n\r\n" not in cut.received:
        assert (type(result.error), result.outcome) == (ConnectionFailed, "failed"), cut
    else:
        assert (type(result.error), result.outcome) == (StreamInterrupted, "interrupted"), cut


def test_two_cuts(world: World) -> None:
    """A stream that is cut, resumed, and cut again still loses and repeats nothing."""
    dice = random.Random(str(world))
    framings: list[Framing] = ["chunked", "length"]
    hows: list[How] = ["FIN", "RST"]
    cuts = {
        Cut(framing, how, (dice.randrange(len(answer(framing, 0))), dice.randrange(len(answer(framing, 20)))))
        for framing in framings
        for how in hows
        for _ in range(6 if world.has_sockets else 25)
    }
    retry = RetryPolicy(retry_ambiguous=True, initial_delay=0, jitter=0)
    script = Script(ordered := sorted(cuts, key=lambda cut: cut.path))
    results = world.read_all(script, {}, retry=retry, resume=LastEventID())
    for cut, result in zip(ordered, results, strict=True):
        assert (result.error, result.outcome) == (None, "completed"), cut
        assert result.events == EVENTS, cut


def test_a_body_up_to_the_close_without_a_terminator(world: World) -> None:
    """If only the close ends the body, a cut inside a block is noticed, and one between two blocks cannot be."""
    cuts = world.all_cuts("close", hows=["FIN"])
    script = Script(cuts)
    results = world.read_all(script, {}, retry=None)
    for cut, result in zip(cuts, results, strict=True):
        assert result.events == cut.arrived, cut
        received = body("close", cut.received)
        if received is None:
            assert (type(result.error), result.outcome) == (ConnectionFailed, "failed"), cut
        elif is_between_blocks(received):
            assert (result.error, result.outcome) == (None, "completed"), cut
        else:
            assert (type(result.error), result.outcome) == (StreamTruncated, "truncated"), cut


def is_between_blocks(received: bytes) -> bool:
    """Whether no part of an event has come since the last blank line; comments and `retry` are not part of one."""
    text = received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, open_line = text.rpartition(b"\n\n")[2].split(b"\n")
    return all(line.partition(b":")[0] in (b"", b"retry") for line in [*lines, open_line])


def test_a_body_up_to_the_close_with_a_terminator(world: World) -> None:
    """With a required terminator, every cut is noticed and resumed."""
    cuts = [Cut(cut.framing, cut.how, cut.at, END) for cut in world.all_cuts("close")[::3]]
    retry = RetryPolicy(retry_ambiguous=True, initial_delay=0, jitter=0)
    terminator = Terminator(event="end")
    script = Script(cuts)
    results = world.read_all(script, {}, retry=retry, resume=LastEventID(), terminator=terminator)
    for cut, result in zip(cuts, results, strict=True):
        assert (result.error, result.outcome) == (None, "completed"), cut
        assert result.events[:COUNT] == EVENTS, cut
        assert [event.event for event in result.events[COUNT:]] == ["end"], cut


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_nothing_fails_behind_the_terminator(world: World, framing: Framing) -> None:
    """After the terminator, no cut matters: neither in its last line end nor in the last chunk."""
    whole = answer(framing, 0, END)
    first = whole.index(END) + len(END)
    hows: list[How] = ["FIN", "RST"]
    cuts = [Cut(framing, how, (at,), END) for how in hows for at in range(first, len(whole) + 1)]
    script = Script(cuts)
    results = world.read_all(script, {}, terminator=Terminator(event="end"))
    for cut, result in zip(cuts, results, strict=True):
        assert (result.error, result.outcome) == (None, "completed"), cut
        assert len(result.events) == COUNT + 1, cut
        assert script.counts[cut.path] == 1, cut


def test_a_server_that_starts_over(world: World) -> None:
    """A server that ignores `Last-Event-ID` and starts over is noticed, and no event is delivered twice."""
    sample = world.all_cuts("chunked", "length")[::7]
    # After a single event, its ID is not enough proof: some servers give several events the same ID.
    cuts = [cut for cut in sample if len(cut.arrived) >= 2 and not cut.is_whole]
    script = Script(cuts, starts_over=True)
    results = world.read_all(script, {}, resume=LastEventID())
    for cut, result in zip(cuts, results, strict=True):
        assert type(result.error) is StreamInterrupted, cut
        assert "the server started over" in str(result.error), cut
        assert result.outcome == "interrupted", cut
        assert result.events == cut.arrived, cut
        assert script.counts[cut.path] == 2, cut
