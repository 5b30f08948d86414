"""
Hostile servers, on real sockets: whatever they send, and however long, the stream ends soon, in little memory, clearly.

Each attack is played to shells of each kind at once, with the clocks and limits of a careful user. Its row has the
expected result: an `SSEError`, or a harmless end. Any other exception of a shell would come out of `Shell.read` and
fail the test. Memory is the amount that Python allocated for all of them and their server, by tracemalloc.

Endless data is sent a hundred thousand times, which is gigabytes, and stops when the client leaves.
"""

import functools
import gc
import gzip
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from shells import KINDS, Run, Shell

from reliability.proof import Ledger
from sse_client import (
    ConnectionFailed,
    ContentTypeError,
    ErrorEvent,
    EventTooLarge,
    LastEventID,
    RetryPolicy,
    SSEClient,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Terminator,
    Timeouts,
)
from sse_client.testing import FIN, Answer, EventServer, Pause, RecordedRequest

MB = 1_000_000

# For all shells: the memory for a piece of 64 KiB in lines of a few bytes; the limit of an event is below it.
MEMORY = 6 * 3 * MB

# The limit of an event here, and the clocks: none of these tests waits for any other.
LIMIT = 200_000
CLOCK = 0.3
CLOCKS = Timeouts(connect=5, response=5, read=5, first_event=5, idle=5, total=5)

# The CPU time that these shells and a flooding server may take together. A wait that is too long ends by another clock
# than its own, which `check` notices: a limit on wall time would fail on a loaded machine.
CPU = 6.0

OK = b"HTTP/1.1 200 OK\r\n"
HEAD = OK + b"Content-Type: text/event-stream\r\n\r\n"
CHUNKED = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = OK + b"Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"
EVENT = b"id: 1\ndata: 1\n\n"


def endless(piece: bytes) -> list[Any]:
    """The piece again and again, about 64 KiB at a time."""
    return [piece * (65_536 // len(piece))] * 100_000


def dripping(data: bytes) -> list[Any]:
    """The bytes again and again, one every 20 ms, for longer than any clock here."""
    return [step for number in range(400) for step in (data[number % len(data) :][:1], Pause(0.02))]


@contextmanager
def bounded(seconds: float, memory: float) -> Iterator[None]:
    """Limit the CPU time, in seconds, and the memory of the block, in bytes."""
    tracemalloc.start()
    started = time.process_time()
    try:
        yield
        took, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took < seconds
    assert peak < memory


def everywhere(ledger: Ledger, url: str, shells: Sequence[Shell] = KINDS, **options: Any) -> list[Run]:
    """Read the same in shells of each kind at once, and count the results."""
    arguments: dict[str, Any] = {"client": {"retry": None, "timeout": CLOCKS}, **options}
    with ThreadPoolExecutor(len(shells)) as pool:
        results = list(pool.map(lambda shell: shell.read(url, **arguments), shells))
    for result in results:
        assert result.stream is not None
        is_complete = result.stream.outcome == "completed"
        ledger.add(faults=1, streams=1, events=len(result.events), complete=is_complete)
        assert (result.error is None) == is_complete
    return results


@dataclass(frozen=True)
class Attack:
    """A server's behavior, and the expected result in each shell."""

    name: str
    steps: Sequence[Any] = field(repr=False)  # gigabytes
    error: type[SSEError] | None
    """`None` for a harmless end."""
    clock: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def limit(**clocks: float) -> dict[str, Any]:
    return {"timeout": Timeouts(**clocks)}


# For attacks in which each line costs tracemalloc much time.
SMALL = {"max_event_size": 5_000}

LINES = [
    Attack(f"{name} line without end", [HEAD, b"data: 1\n\n", *endless_start, *endless(b"x")], EventTooLarge)
    for name, endless_start in [("data", [b"data: "]), ("comment", [b": "]), ("unknown", [b"foo"]), ("id", [b"id:"])]
]
ENDLESS = [
    *LINES,
    Attack("an event without end", [HEAD, *endless(b"data: some text or other\n")], EventTooLarge, options=SMALL),
    Attack("an event of empty lines", [HEAD, *endless(b"data\n")], EventTooLarge, options=SMALL),
    Attack("nothing but NUL", [HEAD, *endless(b"\0")], EventTooLarge),
    Attack("nothing but the end of a character", [HEAD, *endless(b"\x80")], EventTooLarge),
    Attack("comments", [HEAD, *endless(b": x\n\n")], StreamTimeout, "first_event", limit(first_event=CLOCK)),
    Attack("blank lines", [HEAD, *endless(b"\r")], StreamTimeout, "first_event", limit(first_event=CLOCK)),
    Attack("IDs alone", [HEAD, *endless(b"id: 7\n\n")], StreamTimeout, "first_event", limit(first_event=CLOCK)),
    Attack(
        "pings",
        [HEAD, EVENT, *endless(b"event: ping\ndata: {}\n\n")],
        StreamTimeout,
        "idle",
        limit(idle=CLOCK) | {"pings": {"ping"}},
    ),
    # HTTP itself: the HTTP library has its own limits for the framing.
    Attack("a header", [OK + b"X-Long: ", *endless(b"x")], ConnectionFailed),
    Attack("headers", [OK, *endless(b"X-Many: 1\r\n")], ConnectionFailed),
    Attack("a status line", [b"HTTP/1.1 200 ", *endless(b"x")], ConnectionFailed),
    Attack("no HTTP at all", endless(b"\x16\x03\x01"), ConnectionFailed),
    Attack(
        "1xx answers", endless(b"HTTP/1.1 103 Early Hints\r\n\r\n"), ConnectionFailed, "response", limit(response=CLOCK)
    ),
    Attack("a chunk's size", [CHUNKED, *endless(b"0")], StreamInterrupted),
    Attack("a chunk's extension", [CHUNKED + b"8;x=", *endless(b"x")], StreamInterrupted),
    Attack("trailers", [CHUNKED + b"f\r\n" + EVENT + b"\r\n0\r\n", *endless(b"X-Many: 1\r\n")], StreamInterrupted),
    # After its terminator a stream is completed: the rest is read for a moment, and left.
    Attack("trailers behind the end", [CHUNKED + b"e\r\ndata: [DONE]\n\n\r\n0\r\n", *endless(b"X-Many: 1\r\n")], None),
    Attack("more behind the end", [HEAD + b"data: [DONE]\n\n", *endless(EVENT)], None),
    # Responses that are not streams: the first 64 KiB of their bodies are read.
    Attack("an error", [b"HTTP/1.1 500 No\r\n\r\n", *endless(b"x")], StatusError),
    Attack("a page", [OK + b"Content-Type: text/html\r\n\r\n", *endless(b"<p>")], ContentTypeError),
    Attack("JSON", [OK + b"Content-Type: application/json\r\n\r\n", *endless(b"[")], ContentTypeError),
    Attack(
        "JSON that is asked for",
        [OK + b"Content-Type: application/json\r\n\r\n", *endless(b"[")],
        EventTooLarge,
        options={"accept_json": True},
    ),
]


@pytest.mark.parametrize("attack", ENDLESS, ids=str)
def test_endless(ledger: Ledger, attack: Attack) -> None:
    """An endless stream ends at a limit or a clock, with little memory; after the terminator it does no harm."""
    with EventServer(Answer(*attack.steps, framing="raw")) as server, bounded(CPU, MEMORY):
        results = everywhere(ledger, server.url, **{"max_event_size": LIMIT, **attack.options})
    check(attack, results)


def check(attack: Attack, results: list[Run]) -> None:
    for result in results:
        assert type(result.error) is (attack.error or type(None)), repr(result.error)
        assert getattr(result.error, "clock", None) == attack.clock
        if isinstance(result.error, StatusError | ContentTypeError):
            assert len(result.error.body) <= 65_536


def test_endless_by_default(ledger: Ledger) -> None:
    """With the default limit, too, an endless line is too large, within 300 MB of memory."""
    with EventServer(Answer(HEAD, b"data: ", *endless(b"x"), framing="raw")) as server, bounded(CPU, 300 * MB):
        [result] = everywhere(ledger, server.url, KINDS[:1])
    assert isinstance(result.error, EventTooLarge)


SLOW = [
    Attack("head", [*dripping(OK + b"X-Slow: " + b"x" * 400)], ConnectionFailed, "response", limit(response=CLOCK)),
    Attack("line", [HEAD, *dripping(b"data: x")], StreamTimeout, "total", limit(total=CLOCK)),
    Attack("chunk", [CHUNKED, *dripping(b"1;x")], StreamTimeout, "total", limit(total=CLOCK)),
    Attack("comments", [HEAD, *dripping(b":\n")], StreamTimeout, "total", limit(total=CLOCK)),
    Attack("events", [HEAD, *dripping(b"data\n\n")], StreamTimeout, "total", limit(total=CLOCK)),
    Attack("error", [b"HTTP/1.1 500 No\r\n\r\n", *dripping(b"x")], StatusError, None, limit(total=CLOCK)),
    Attack("page", [OK + b"Content-Type: text/html\r\n\r\n", *dripping(b"<p>")], ContentTypeError),
    Attack("more behind the end", [HEAD + b"data: [DONE]\n\n", *dripping(b"x")], None),
]


@pytest.mark.parametrize("attack", SLOW, ids=str)
def test_one_byte_a_while(ledger: Ledger, attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then restarts only `read`: the other clocks end the stream in time, whichever part is slow."""
    monkeypatch.setattr("sse_client._core.session.MAX_BODY_SECONDS", CLOCK)  # which no option shortens
    with EventServer(Answer(*attack.steps, framing="raw")) as server, bounded(CPU, MEMORY):
        results = everywhere(ledger, server.url, **attack.options)
    check(attack, results)


@pytest.mark.parametrize(
    "drops", [dripping(OK + b"X-Slow: " + b"x" * 400), dripping(b"HTTP/1.1 103 Early\r\n\r\n")], ids=["head", "1xx"]
)
def test_one_byte_a_while_on_a_connection_used_before(ledger: Ledger, drops: list[Any]) -> None:
    """`response` also ends a response whose head comes byte by byte over a used connection."""
    answers = Answer(EVENT, framing="length"), Answer(*drops[:160], framing="raw")
    with EventServer(*answers) as server, SSEClient(retry=None, timeout=Timeouts(response=CLOCK)) as client:
        with client.post(server.url) as stream:
            assert [event.data for event in stream] == ["1"]
        with pytest.raises(ConnectionFailed) as caught, client.post(server.url):
            pass
        assert caught.value.clock == "response"
        assert server.connections == 1
        server.requests[1].done.wait()
        assert not server.requests[1].responded  # the client left before the server had sent everything
        ledger.add(faults=1, streams=2, events=1, complete=1)


def compressed(data: bytes, repeated: int) -> bytes:
    """The repeated data, as gzip."""
    compressor = zlib.compressobj(9, wbits=31)
    return b"".join(compressor.compress(data) for _ in range(repeated)) + compressor.flush()


@functools.cache
def bomb() -> bytes:
    """256 MB of zeros, as gzip. They are made for the first test that needs them, not in every process."""
    return compressed(b"\0" * MB, 256)


ASKED = {"headers": {"Accept-Encoding": "gzip"}}


def test_a_gzip_bomb(ledger: Ledger) -> None:
    """If gzip is accepted, a bomb is an event that is too large, within 4 MB of memory."""
    with EventServer(Answer(GZIP, bomb(), framing="raw")) as server:
        for shell in KINDS:
            with bounded(CPU, 4 * MB):
                [result] = everywhere(ledger, server.url, [shell], max_event_size=LIMIT, **ASKED)
            assert type(result.error) is EventTooLarge


@pytest.mark.parametrize("status", [b"200", b"500"])
def test_a_gzip_bomb_in_gzip(ledger: Ledger, status: bytes) -> None:
    """A bomb within a bomb, without accepted compression, is an error within the same memory."""
    head = OK.replace(b"200", status) + b"Content-Type: text/event-stream\r\nContent-Encoding: gzip, gzip\r\n\r\n"
    with EventServer(Answer(head + gzip.compress(bomb()), framing="raw")) as server, bounded(CPU, 4 * MB):
        [result] = everywhere(ledger, server.url, KINDS[:1], max_event_size=LIMIT)
    assert isinstance(result.error, SSEError)


# Endless gzip that decodes to nothing: a head, then empty blocks (RFC 1951, section 3.2.4).
NOTHING: list[Any] = [GZIP + compressed(b"", 1)[:10], *[b"\0\0\0\xff\xff", Pause(0.02)] * 80]


def test_gzip_that_comes_to_nothing(ledger: Ledger, shell: Shell) -> None:
    """Compressed bytes that decode to nothing restart no clock: the stream ends in time."""
    with EventServer(Answer(*NOTHING, framing="raw")) as server, bounded(CPU, 2 * MB):
        [result] = everywhere(ledger, server.url, [shell], timeout=Timeouts(total=CLOCK), **ASKED)
        [request] = server.requests
        request.done.wait()
    assert isinstance(result.error, StreamTimeout)
    assert not request.responded  # the client left before the server had sent everything


def test_gzip_that_is_none(ledger: Ledger, shell: Shell) -> None:
    """
    A body that claims to be gzip and is not is an interrupted stream, and leaves nothing for the garbage collector.
    """
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with EventServer(Answer(GZIP + EVENT, framing="raw")) as server:
            [result] = everywhere(ledger, server.url, [shell], **ASKED)
        gc.collect()
    assert isinstance(result.error, StreamInterrupted)
    assert [str(each.message) for each in caught] == []


LENGTH = OK + b"Content-Type: text/event-stream\r\nContent-Length: %b\r\n\r\n" + EVENT

LIES = [
    Attack("10 GB that stop", [LENGTH % b"10000000000"], StreamInterrupted),
    Attack("10 GB of silence", [LENGTH % b"10000000000", Pause(5)], StreamTimeout, "read", limit(read=CLOCK)),
    Attack("more than the length", [LENGTH % b"15" + EVENT], None),
    Attack("a negative length", [LENGTH % b"-1"], ConnectionFailed),
    Attack("two lengths", [LENGTH % b"15\r\nContent-Length: 16"], ConnectionFailed),
    Attack("no number", [LENGTH % "٣".encode()], ConnectionFailed),
    Attack("a chunk of 2^80 bytes", [CHUNKED + b"f" * 20 + b"\r\n" + EVENT], StreamInterrupted),
    Attack("a chunk of -1 bytes", [CHUNKED + b"-1\r\n" + EVENT], StreamInterrupted),
    Attack("an encoding that is none", [HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: x\r\n\r\n") + EVENT], None),
    Attack("NUL in a header", [OK + b"X-Nul: \0\r\n\r\n"], ConnectionFailed),
    Attack("NUL in the media type", [HEAD.replace(b"event-stream", b"event-stream\0")], ConnectionFailed),
    Attack("status 999", [b"HTTP/1.1 999 No\r\n\r\n"], StatusError),
    Attack("status 99999", [b"HTTP/1.1 99999 No\r\n\r\n"], ConnectionFailed),
    Attack("HTTP 9", [b"HTTP/9.9 200 OK\r\n\r\n"], ContentTypeError),
    Attack("nothing", [], ConnectionFailed),
    Attack("an error of 100,000 brackets", [b"HTTP/1.1 500 No\r\n\r\n", b"[" * 100_000], StatusError),
    Attack(
        "an error event of 100,000 brackets",
        [HEAD, b'data: {"type": ' + b"[" * 100_000 + b"\n\n"],
        StreamTruncated,
        options={"errors": ErrorEvent(field="type"), "terminator": Terminator(field="type", values={"done"})},
    ),
    Attack(
        "a number of 100,000 digits",
        [HEAD, b'data: {"type": ' + b"9" * 100_000 + b"}\n\n"],
        StreamTruncated,
        options={"errors": ErrorEvent(field="type", values={7}), "terminator": Terminator(field="type", values={9})},
    ),
]


@pytest.mark.parametrize("attack", LIES, ids=str)
def test_lies(ledger: Ledger, attack: Attack) -> None:
    """A response that contradicts itself or HTTP is an `SSEError`, or read as far as it is valid."""
    with EventServer(Answer(*attack.steps, framing="raw")) as server, bounded(CPU, MEMORY):
        results = everywhere(ledger, server.url, **attack.options)
    check(attack, results)


@pytest.mark.parametrize(
    "header",
    [
        *["Retry-After: 99999999999999999999", "Retry-After: " + "9" * 5_000, "retry-after-ms: 1" + "0" * 400],
        *["Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", "Retry-After: 1" + "0" * 300 + ".5"],
    ],
    ids=["digits", "many-digits", "milliseconds", "date", "fraction"],
)
def test_a_delay_without_end(ledger: Ledger, header: str) -> None:
    """If a server asks for an endless delay, its response is the error, at once."""
    head = f"HTTP/1.1 503 No\r\n{header}\r\n\r\n".encode()
    with EventServer(Answer(head, framing="raw")) as server, bounded(CPU, MEMORY):
        results = everywhere(ledger, server.url, client={})
    assert [type(result.error) for result in results] == [StatusError] * len(KINDS)
    assert len(server.requests) == len(KINDS)


@pytest.mark.parametrize(
    ("method", "number"),
    [(method, number) for method in ("POST", "SUBSCRIBE") for number in ("99999999999999999999", "9" * 5_000)]
    + [("POST", "120001"), ("SUBSCRIBE", "86400001")],
    ids=["post", "post-digits", "subscribe", "subscribe-digits", "two-minutes", "a-day"],
)
def test_a_reconnection_time_without_end(ledger: Ledger, number: str, method: str) -> None:
    """A `retry` above the limit of two minutes, or a day for a feed, ends a broken stream at once."""
    text = f"retry: {number}\nid: 1\ndata: 1\n\n"
    with EventServer(Answer(text, FIN)) as server, bounded(CPU, MEMORY):
        results = everywhere(ledger, server.url, client={}, method=method, resume=LastEventID())
    assert [type(result.error) for result in results] == [StreamInterrupted] * len(KINDS)
    assert [result.data for result in results] == [["1"]] * len(KINDS)
    assert len(server.requests) == len(KINDS)


def redirect(location: str, *steps: Any, status: int = 307) -> Answer:
    return Answer(*steps, status=status, headers={"Location": location, "Content-Type": "text/html"})


def test_a_redirect_loop(ledger: Ledger) -> None:
    """Redirects in a loop, with endless bodies, stop after twenty, with little memory."""
    answers: dict[str, Answer] = {}
    with EventServer(lambda request: answers[request.target]) as server:
        places = {"/": "/a", "/a": f"{server.url}/b", "/b": "?c", "/b?c": "/"}
        answers = {target: redirect(location, *endless(b"x")) for target, location in places.items()}
        with bounded(CPU, MEMORY):
            results = everywhere(ledger, server.url)
    assert [type(result.error) for result in results] == [StatusError] * len(KINDS)
    assert len(server.requests) == 21 * len(KINDS)


SECRETS = ["secret-header", "secret-cookie", "secret-password", "secret-query", "secret-key", "secret-jar"]
CREDENTIALS: dict[str, Any] = {
    "json": {"message": "hi"},
    "headers": {"X-Token": "secret-header", "Authorization": "Bearer secret-header"},
    "cookies": {"session": "secret-cookie"},
    "params": {"key": "secret-query"},
    "auth": ("user", "secret-password"),
}


@pytest.mark.filterwarnings("ignore:Setting per-request cookies:DeprecationWarning")
@pytest.mark.parametrize("follows", [False, True])
def test_a_redirect_with_credentials(ledger: Ledger, follows: bool) -> None:
    """
    Another origin gets nothing by default; if the call allows it, it gets the body but none of the user's secrets.

    The first origin gets no more secrets either if the other one redirects back to it.
    """
    with EventServer(lambda request: redirect(f"{home.url}/back")) as other:

        def answer(request: RecordedRequest) -> Answer:
            return Answer(EVENT) if request.target == "/back" else redirect(f"{other.url}/chat")

        http = {"headers": {"X-Client": "secret-header"}, "cookies": {"jar": "secret-jar"}}
        client = {"retry": None, "idempotency_key_header": "X-Key"}
        with EventServer(answer) as home, bounded(CPU, MEMORY):
            results = everywhere(
                ledger,
                home.url,
                http=http,
                client=client,
                cross_origin_redirects=follows,
                resume=LastEventID(),
                **CREDENTIALS,
            )
        foreign = [*other.requests, *(request for request in home.requests if request.target == "/back")]
    assert len(foreign) == (2 * len(KINDS) if follows else 0)
    assert {type(result.error) for result in results} == ({type(None)} if follows else {StatusError})
    for request in foreign:
        names = {name.lower() for name in request.headers}
        allowed = {"host", "accept", "accept-encoding", "content-type", "content-length", "connection", "x-key"}
        assert names - {"user-agent"} <= allowed
        assert request.headers["user-agent"].startswith("sse-client/")
        assert request.json() == {"message": "hi"}
        text = f"{request.target} {request.headers} {request.body!r}"
        assert not [secret for secret in SECRETS if secret in text]
    for request in home.requests:
        if request.target != "/back":
            assert request.headers["x-token"] == "secret-header"


BEFORE = "before"

IDS = [
    # The value that the server sends after `id: `, and the value that is sent back: bytes, or None if it cannot be
    # sent.
    pytest.param(b"7", b"7", id="plain"),
    pytest.param("é€😀".encode(), "é€😀".encode(), id="beyond ASCII"),
    pytest.param("\u0085\u2028\u2029".encode(), "\u0085\u2028\u2029".encode(), id="line ends of Unicode"),
    pytest.param(b"a\xff\xc3", "a\ufffd\ufffd".encode(), id="ill-formed"),
    pytest.param(b" \t a b\tc \t", b"a b\tc", id="blanks"),
    pytest.param(b"a\0b", BEFORE.encode(), id="NUL"),
    pytest.param(b"7\rX-Evil: 1", b"7", id="CR"),
    pytest.param(b"7\nX-Evil: 1", b"7", id="LF"),
    pytest.param(b"7\r\nX-Evil: 1", b"7", id="CR LF"),
    pytest.param(b"7\x0bX-Evil: 1", None, id="VT"),
    pytest.param(b"7\x0cX-Evil: 1", None, id="FF"),
    pytest.param(b"7\x1b[31m", None, id="ESC"),
    pytest.param(b"7\x7f", None, id="DEL"),
    pytest.param(b"x" * 20_000, b"x" * 20_000, id="long"),
]


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no delay between two connections."""
    monkeypatch.setattr("sse_client._core.attempts.MIN_DELAY", 0.001)


def come_back(ledger: Ledger, first: bytes) -> list[list[RecordedRequest]]:
    """Break the stream after these bytes, in all shells; return the requests of each."""
    requests: list[list[RecordedRequest]] = []
    for shell in KINDS:
        answers = Answer(f"id: {BEFORE}\ndata: 0\n\n", first, FIN), Answer("id: last\ndata: end\n\n")
        policy = RetryPolicy(max_retries=1, initial_delay=0, jitter=0)
        with EventServer(*answers) as server:
            everywhere(ledger, server.url, [shell], resume=LastEventID(retry=policy))
            requests.append(server.requests)
    return requests


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize(("sent", "back"), IDS)
def test_ids_that_come_back(ledger: Ledger, sent: bytes, back: bytes | None) -> None:
    """
    An ID is sent back as `Last-Event-ID` byte by byte, and as nothing else; one that HTTP cannot carry is an error.
    """
    for requests in come_back(ledger, b"id: " + sent + b"\ndata: 1\n\n"):
        assert len(requests) == (1 if back is None else 2)
        names = [{name.lower() for name in request.headers} for request in requests]
        if back is not None:
            assert names[1] - names[0] == {"last-event-id"}
            assert requests[1].headers["last-event-id"].encode(errors="surrogateescape") == back


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("field", [b"data", b"event", b"retry", b"x-field", b""])
def test_fields_that_are_no_id(ledger: Ledger, field: bytes) -> None:
    """Whatever any other field contains, even NUL and line ends, the ID that is sent back is the one from before."""
    nasty = b"a\0b\rX-Evil: 1\r\n" + field + b": \x0b\x7f\xff" + "é\u2028id: 7".encode()
    for requests in come_back(ledger, field + b": " + nasty + b"\ndata: 1\n\n"):
        assert requests[1].headers["last-event-id"] == BEFORE
        assert not {"x-evil"} & {name.lower() for name in requests[1].headers}


@pytest.mark.parametrize("value", ["7\r\nX-Evil: 1", "7\n", "7\0", "\x7f"])
def test_ids_of_the_user(ledger: Ledger, value: str) -> None:
    """A user's `last_event_id=` that HTTP cannot carry is an error of the call."""
    with EventServer() as server:
        for shell in KINDS:
            with pytest.raises(ValueError, match="cannot be sent in a header"):
                shell.read(server.url, last_event_id=value)
        assert server.requests == []
    ledger.add(faults=len(KINDS))


def test_data_is_handed_out_as_it_came(ledger: Ledger) -> None:
    """NULs, control characters and ill-formed bytes in an event reach the user, and do no harm on the way."""
    nasty = b"".join(bytes([byte]) for byte in range(256) if byte not in b"\r\n")
    with EventServer(Answer(b"event: " + nasty + b"\ndata: " + nasty + b"\n\n")) as server:
        for result in everywhere(ledger, server.url):
            [event] = result.events
            assert event.event == event.data == nasty.decode("utf-8", "replace")


def test_long_ids(ledger: Ledger) -> None:
    """A stream of events with IDs of 60 KB each is read in the memory of a few of them, even with `resume=`."""
    texts = [f"id: {number:06}{'x' * 60_000}\ndata: {number}\n\n" for number in range(900)]
    with EventServer(Answer(*texts)) as server, bounded(CPU, 40 * MB):
        texts.clear()
        # Not `everywhere`, whose results keep the events.
        with SSEClient() as client, client.post(server.url, resume=LastEventID()) as stream:
            assert sum(1 for _ in stream) == 900
    ledger.add(faults=1, streams=1, events=900, complete=1)
