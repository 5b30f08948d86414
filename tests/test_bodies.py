"""
Bodies with a content coding, through all shells: how they end, how one that cannot be decoded is handled, and that a
compressed body is read, closed and timed like any other.

A compressed body is in one of the states of `STATES` when one of `HAPPENINGS` happens to it; each pair is a row of one
table, for each coding and shell. A body in an unknown coding is undecided until its first line shows whether it is an
event stream; then it is read as it is, or refused.
"""

import gc
import gzip
import itertools
import math
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from shells import SHELLS, TLS, Run, Shell, entered, in_turn

from sse_client import (
    ContentTypeError,
    ErrorEvent,
    Handlers,
    LastEventID,
    RetryPolicy,
    SSEClient,
    SSEError,
    StatusError,
    StreamInterrupted,
    StreamTruncated,
    Terminator,
    Timeouts,
    aiter_events,
    iter_events,
)
from sse_client._core.responses import begins_a_stream, media_type
from sse_client._core.steps import Head
from sse_client.testing import FIN, Answer, EventServer, Pause, Script, scripted_transport

FOREVER = Pause(math.inf)

# Waking takes 1 ms; a stream that is not woken waits for ever.
SOON = 3.0

RAW = -zlib.MAX_WBITS
WINDOWS = {"gzip": 31, "deflate": zlib.MAX_WBITS, "raw": RAW}
CODINGS = {"raw": "deflate"}

TASKS = [shell for shell in SHELLS if shell.kind != "sync"]


def flushed(coding: str, *texts: str) -> list[bytes]:
    """Each text, compressed and flushed, and the end mark."""
    compressor = zlib.compressobj(wbits=WINDOWS[coding])
    return [
        *(compressor.compress(text.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH) for text in texts),
        compressor.flush(),
    ]


def answer(coding: str, *steps: Any, **options: Any) -> Answer:
    """A response whose body has the coding."""
    headers = {"Content-Encoding": CODINGS.get(coding, coding), **options.pop("headers", {})}
    return Answer(*steps, headers=headers, **options)


def reads(shell: Shell, *answers: Script, **options: Any) -> list[Run]:
    """Read each of the responses, one stream after the other, in virtual time."""
    transport = scripted_transport(*answers)
    arguments: dict[str, Any] = {"retry": None, **options}
    if shell.kind == "sync":
        with shell.client({}, {"transport": transport}) as client:
            return [Run().read(client.post("http://test/chat", **arguments)) for _ in answers]

    async def main() -> list[Run]:
        async with shell.aclient({}, {"transport": transport}) as client:
            return [await Run().aread(client.post("http://test/chat", **arguments)) for _ in answers]

    return anyio.run(main, backend=shell.kind)


def end_of(result: Run) -> tuple[list[str], Any]:
    assert result.stream is not None
    assert (result.error is None) == (result.stream.outcome == "completed")
    return result.data, result.stream.outcome


@pytest.mark.parametrize("coding", WINDOWS)
def test_every_end(shell: Shell, coding: str) -> None:
    """A body that ends cleanly before its end mark is truncated; the events before that are delivered first."""
    first, second, end = flushed(coding, "data: 1\n\n", "data: 2\n\n")
    body = first + second + end
    results = reads(shell, *(answer(coding, body[:size]) for size in range(len(body) + 1)))
    for size, result in enumerate(results[:-1]):
        events = ["1"] * (size >= len(first)) + ["2"] * (size >= len(first + second))
        # zlib may return a whole event before everything that was flushed with it.
        assert result.data in (events, [*events, str(len(events) + 1)])
        assert type(result.error) is StreamTruncated
        assert end_of(result)[1] == "truncated"
    assert end_of(results[-1]) == (["1", "2"], "completed")


HAPPENINGS: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any]]] = {
    # The steps, and the arguments of a response and of a call for it.
    "a clean end": ([], {}, {}),
    "a clean end of the connection": ([], {"framing": "close"}, {}),
    "a cut": ([FIN], {}, {}),
    "a silence": ([FOREVER], {}, {"timeout": Timeouts(read=None, first_event=5, idle=5)}),
    "bytes that are none": ([b"\xff" * 20], {}, {}),
}

STATES: dict[str, tuple[list[str], str]] = {
    # The events delivered, and the part of the body that was sent: which of `parts`.
    "before its first byte": ([], ""),
    "in its header": ([], "h"),
    "at a flush": (["1"], "1"),
    "inside a block": (["1"], "1?"),
    "after the terminator": (["1"], "1."),
    "inside the end mark": (["1"], "1e"),
    "after the end mark": (["1"], "1E"),
    "after the end mark, with garbage": (["1"], "1Eg"),
    "after the terminator and the end mark": (["1"], "1.E"),
}

OUTCOMES = {
    # The outcome before the end mark, after it, and after the terminator.
    "a clean end": ("truncated", "completed", "completed"),
    "a clean end of the connection": ("truncated", "completed", "completed"),
    "a cut": ("interrupted", "interrupted", "completed"),
    "a silence": ("timeout", "timeout", "completed"),
    "bytes that are none": ("interrupted", "completed", "completed"),
}


def parts(coding: str, state: str) -> bytes:
    compressor = zlib.compressobj(wbits=WINDOWS[coding])
    body = b""
    for part in STATES[state][1]:
        match part:
            case "h":
                body += gzip.compress(b"")[:9] if WINDOWS[coding] == 31 else b"\x78" if coding == "deflate" else b"\xfc"
            case "1" | ".":
                text = b"data: 1\n\n" if part == "1" else b"data: [DONE]\n\n"
                body += compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
            case "?":
                block = compressor.compress(b"data: " + bytes(range(128, 256))) + compressor.flush(zlib.Z_SYNC_FLUSH)
                body += block[: len(block) // 2]
            case "e":
                body += compressor.flush()[:-1]
            case "E":
                body += compressor.flush()
            case "g":
                body += b"\0garbage"
    return body


@in_turn("happening", HAPPENINGS)
@pytest.mark.parametrize("coding", WINDOWS)
def test_each_state_and_what_happens_then(shell: Shell, coding: str, happening: str) -> None:
    """
    After the terminator nothing fails, after the end mark only a cut or silence does, and before it everything does.
    """
    steps, options, arguments = HAPPENINGS[happening]
    states = dict(STATES)
    if happening == "bytes that are none":
        del states["inside a block"]  # because they may be valid there
    answers = [answer(coding, parts(coding, state), *steps, **options) for state in states]
    results = reads(shell, *answers, **arguments)
    found = {state: end_of(result) for state, result in zip(states, results, strict=True)}
    before, after, terminated = OUTCOMES[happening]
    assert found == {
        state: (data, terminated if "." in sent else after if "E" in sent else before)
        for state, (data, sent) in states.items()
    }


def test_what_a_truncated_body_says(shell: Shell) -> None:
    """The error names the compressed body, or the terminator if one is missing, and has no cause."""
    first, _ = flushed("gzip", "data: 1\n\n")
    [result] = reads(shell, answer("gzip", first))
    assert str(result.error) == "the stream ended after 1 event, before the end of its compressed body"
    assert result.error is not None
    assert result.error.__cause__ is None
    [result] = reads(shell, answer("gzip", first), terminator=Terminator(data="end"))
    assert str(result.error) == "the stream ended after 1 event, before its terminator"


def test_an_unfinished_terminator_of_a_truncated_body(shell: Shell) -> None:
    """A `[DONE]` without its blank line is the terminator even if the compressed body has no end mark."""
    first, _ = flushed("gzip", "data: 1\n\ndata: [DONE]\n")
    [result] = reads(shell, answer("gzip", first))
    assert end_of(result) == (["1"], "completed")


def test_a_truncated_body_is_resumed(shell: Shell) -> None:
    """A body without its end mark is resumed like any truncated one, and a subscription reconnects."""
    first, _ = flushed("gzip", "id: 1\ndata: 1\n\n")
    rest = Answer("id: 2\ndata: 2\n\n")
    transport = scripted_transport(answer("gzip", first), rest)
    result = shell.read("http://test/", http={"transport": transport}, resume=LastEventID())
    assert end_of(result) == (["1", "2"], "completed")
    assert [request.headers.get("last-event-id") for request in transport.requests] == [None, "1"]
    transport = scripted_transport(answer("gzip", first), rest, Answer(status=204))
    result = shell.read("http://test/", http={"transport": transport}, method="SUBSCRIBE")
    assert end_of(result) == (["1", "2"], "completed")


def test_a_truncated_body_before_its_first_event(shell: Shell) -> None:
    """A body that ends before its first event is retried only if ambiguous retries are allowed."""
    answers = [answer("gzip", b""), Answer("data: 1\n\n")]
    result = shell.read("http://test/", http={"transport": scripted_transport(*answers)})
    assert type(result.error) is StreamTruncated
    result = shell.read(
        "http://test/",
        http={"transport": scripted_transport(*answers)},
        retry=RetryPolicy(retry_ambiguous=True),
    )
    assert result.data == ["1"]


def test_a_truncated_json_answer(shell: Shell) -> None:
    """Half of a compressed JSON response is not an event."""
    body = gzip.compress(b'{"answer": 42}')
    json = {"headers": {"Content-Type": "application/json"}}
    whole, half = reads(shell, answer("gzip", body, **json), answer("gzip", body[:-1], **json), accept_json=True)
    assert end_of(whole) == (['{"answer": 42}'], "completed")
    assert end_of(half) == ([], "truncated")


def test_a_corrupt_checksum_after_the_terminator(shell: Shell) -> None:
    """A wrong checksum is ignored after the terminator, even in the same piece; without a terminator it interrupts."""
    for text, outcome in (("data: 1\n\ndata: [DONE]\n\n", "completed"), ("data: 1\n\n", "interrupted")):
        body = bytearray(gzip.compress(text.encode()))
        body[-5] ^= 1
        [result] = reads(shell, answer("gzip", bytes(body)))
        assert end_of(result) == (["1"], outcome)


def test_a_corrupt_body_names_its_cause(shell: Shell) -> None:
    """A body that cannot be decompressed is an interrupted stream, with the client's error as its cause."""
    body = [b"data: 1\n\n", *([b"data", b": 1\n\n"]), b"x"]
    for result in reads(shell, answer("gzip", body[0]), answer("gzip", *body[1:])):
        assert type(result.error) is StreamInterrupted
        assert isinstance(result.error.__cause__, shell.library.DecodingError)
        assert "incorrect header check" in str(result.error)


def test_numbers(shell: Shell) -> None:
    """The stats count the bytes of the body, not those of its compression."""
    text = "data: 1\n\n" * 200
    [result] = reads(shell, answer("gzip", gzip.compress(text.encode())))
    assert result.stream is not None
    assert result.stream.stats.bytes == len(text)
    assert result.stream.stats.events == 200


@pytest.mark.parametrize("kind", ["chunked", "length", "close"])
def test_a_body_in_many_members(shell: Shell, kind: Any) -> None:
    """A server that compresses each event by itself sends many gzip members, which are one body."""
    members = [gzip.compress(f"data: {number}\n\n".encode()) for number in range(5)]
    [result] = reads(shell, answer("gzip", *members, framing=kind))
    assert end_of(result) == ([str(number) for number in range(5)], "completed")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules that decode br and zstd have not been imported."""
    for name in ("brotli", "brotlicffi", "zstandard", "backports.zstd", "compression.zstd"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def singles(body: bytes) -> list[bytes]:
    return [body[index : index + 1] for index in range(len(body))]


GARBAGE = b"\x1b\x1e\x00\x00\x04\xe8\x62\xa3\x1a\x93\x9b\xff\x03data: 1\n\n"

REFUSED = {
    "br": ("'br', which cannot be decoded without httpx[brotli]", GARBAGE),
    "zstd": ("'zstd', which cannot be decoded without httpx[zstd]", b"\x28\xb5\x2f\xfd" + GARBAGE),
    "compress": ("'compress', which cannot be decoded", b"\x1f\x9d" + GARBAGE),
    "gzip, gzip": ("'gzip, gzip', which cannot be decoded", gzip.compress(gzip.compress(b"data: 1\n\n"))),
    "gzip, br": ("'gzip, br', which cannot be decoded", GARBAGE),
    "X-Other, Identity": ("'x-other', which cannot be decoded", GARBAGE),
}
EXPECTED = "expected text/event-stream from POST http://test/chat, got 'text/event-stream'"


@pytest.mark.usefixtures("bare")
@in_turn("coding", REFUSED)
def test_undecodable(shell: Shell, coding: str) -> None:
    """
    A body in an unknown coding is a `ContentTypeError` that names the coding and, if there is one, the extra for it.
    """
    said, body = REFUSED[coding]
    pieces = [body], [body[:1], body[1:]], singles(body)
    for result in reads(shell, *(answer(coding, *steps) for steps in pieces)):
        assert type(result.error) is ContentTypeError
        assert str(result.error) == f"{EXPECTED} in the content coding {said} (status 200)"
        assert result.error.body == body
        assert end_of(result) == ([], "failed")


LINES = [": hi", "data: 1", "id", "\ufeffevent:x"]


@pytest.mark.usefixtures("bare")
@in_turn("coding", ["utf-8", "none", "aws-chunked", "identity, utf-8", "br", "gzip, none"])
def test_plainly_an_event_stream(shell: Shell, coding: str) -> None:
    """If the first line is a comment or a known field, the body is read as it is, wherever it is cut."""
    for line in LINES:
        body = f"{line}\ndata: 2\n\n".encode()
        plain, *found = reads(shell, Answer(body), answer(coding, body), answer(coding, *singles(body)))
        assert plain.data in (["2"], ["1\n2"])
        assert [end_of(each) for each in found] == [end_of(plain)] * 2


def test_plainly_an_event_stream_that_ends(shell: Shell) -> None:
    """A body that ends anywhere in its first lines ends as it would without the coding."""
    for line in LINES:
        body = f"{line}\ndata: 2\n\n".encode()
        bodies = [body[:size] for size in range(len(body))]
        plain, found = reads(shell, *map(Answer, bodies)), reads(shell, *(answer("none", each) for each in bodies))
        assert [(end_of(each), str(each.error)) for each in found] == [
            (end_of(each), str(each.error)) for each in plain
        ]


FIRST_LINES = ["data: 1", "data:1", "data", "event: x", "id: 1", "id", "retry: 5", "retry", ": hi", ":", ":data"]


@pytest.mark.parametrize("line", FIRST_LINES)
def test_what_a_first_line_tells(line: str) -> None:
    """A comment is known by its colon, a field by the character after its name; before that, nothing is decided."""
    for bom, end in itertools.product(("", "\ufeff"), ("\n", "\r", "\r\n")):
        body = f"{bom}{line}{end}".encode()
        enough = len(bom.encode()) + (1 if line.startswith(":") else len(line.partition(":")[0]) + 1)
        verdicts = [begins_a_stream(body[:size]) for size in range(len(body) + 1)]
        assert verdicts == [None] * enough + [True] * (len(body) + 1 - enough)


NOT_PLAIN = [
    "foo: 1\n\n",
    "Data: 1\n\n",
    "data2: 1\n",
    "ids\n",
    "\n\ndata: 1\n\n",
    " data: 1\n\n",
    "\ufeff\ufeffdata\n",
]


def test_not_plainly_an_event_stream(shell: Shell) -> None:
    """Any other first line is refused, even if fields follow it; a body that is text is quoted."""
    for text in NOT_PLAIN:
        assert begins_a_stream(text.encode()) is False
        for result in reads(shell, answer("utf-8", text), answer("utf-8", *singles(text.encode()))):
            assert type(result.error) is ContentTypeError
            assert str(result.error) == (
                f"{EXPECTED} in the content coding 'utf-8', which cannot be decoded (status 200): {text.strip()!r}"
            )


@in_turn("sent", ["data", "id", ":", "\ufeff:", "retry:", "event: x", "data: 1\n\n"])
def test_decided_early(shell: Shell, sent: str) -> None:
    """The first line is decided as soon as there are enough bytes, not at its end."""
    clocks = Timeouts(read=None, first_event=5, idle=5)
    [result] = reads(shell, answer("none", sent, FOREVER), timeout=clocks)
    assert end_of(result) == (["1"] if "1" in sent else [], "timeout")
    [refused] = reads(shell, answer("none", '{"error": "quota"', FOREVER), timeout=clocks)
    assert type(refused.error) is ContentTypeError
    assert refused.error.body == b'{"error": "quota"'


def test_the_server_s_own_words(shell: Shell) -> None:
    """The message of a JSON error in an unknown coding is in the error's text, as without the coding."""
    [result] = reads(shell, answer("utf-8", '{"error": {"message": "quota"}}'))
    assert isinstance(result.error, ContentTypeError)
    assert result.error.message == "quota"
    assert str(result.error).endswith(": 'quota'")


STATUSES = {
    "gzip": (gzip.compress(b'{"error": "no"}'), "returned 500 Internal Server Error: 'no'", b'{"error": "no"}'),
    "x-gzip": (gzip.compress(b"no" * 9)[:-9], f"returned 500 Internal Server Error: '{'no' * 9}'", b"no" * 9),
    "utf-8": ("nö".encode()[:-1], "returned 500 Internal Server Error: 'n\ufffd'", b"n\xc3"),
    "br": (
        GARBAGE,
        f"returned 500 Internal Server Error in the content coding {REFUSED['br'][0]}",
        GARBAGE,
    ),
    "gzip, gzip": (
        GARBAGE,
        "returned 500 Internal Server Error in the content coding 'gzip, gzip', which cannot be decoded",
        GARBAGE,
    ),
}


@pytest.mark.usefixtures("bare")
@in_turn("coding", STATUSES)
def test_the_body_of_an_error(shell: Shell, coding: str) -> None:
    """The body of an error is decoded if possible, and raw if not; the text quotes only text."""
    body, said, raw = STATUSES[coding]
    [result] = reads(shell, answer(coding, body, status=500))
    assert type(result.error) is StatusError
    assert str(result.error) == f"POST http://test/chat {said}"
    assert result.error.body == raw


@pytest.mark.parametrize("name", ["brotli", "zstandard"])
def test_optional_codings(name: str) -> None:
    """If the HTTP client can decode br or zstd, so can we, and a body that is cut is truncated."""
    module = pytest.importorskip(name)
    compress = module.compress if name == "brotli" else module.ZstdCompressor().compress
    coding, body = "br" if name == "brotli" else "zstd", compress(b"data: 1\n\ndata: 2\n\n")
    for shell in SHELLS:
        whole, cut, broken = reads(shell, *(answer(coding, each) for each in (body, body[:-1], b"\xff" * 40)))
        assert end_of(whole) == (["1", "2"], "completed")
        assert end_of(cut)[1] == "truncated"
        assert end_of(broken) == ([], "interrupted")
        assert broken.error is not None
        assert isinstance(broken.error.__cause__, shell.library.DecodingError)


@pytest.mark.usefixtures("bare")
def test_another_media_type_in_a_coding(shell: Shell) -> None:
    """A page is refused for its media type; its coding is named if that prevents a quotation."""
    page = {"headers": {"Content-Type": "text/html"}}
    for coding, body, said in [
        ("br", GARBAGE, "'text/html' in the content coding 'br', which cannot be decoded without httpx[brotli] (sta"),
        ("utf-8", "<p>login", "'text/html' (status 200): '<p>login'"),
        ("gzip", gzip.compress(b"<p>login"), "'text/html' (status 200): '<p>login'"),
    ]:
        [result] = reads(shell, answer(coding, body, **page))
        assert type(result.error) is ContentTypeError
        assert f"got {said}" in str(result.error)


@pytest.mark.usefixtures("bare")
def test_json_in_a_coding(shell: Shell) -> None:
    """An accepted JSON response in an unknown coding is read as it is if it is text, and refused if not."""
    json = {"headers": {"Content-Type": "application/json"}}
    text, garbage = reads(
        shell, answer("utf-8", '{"a": 1}', **json), answer("br", GARBAGE, GARBAGE, **json), accept_json=True
    )
    assert end_of(text) == (['{"a": 1}'], "completed")
    assert type(garbage.error) is ContentTypeError
    assert garbage.error.body == GARBAGE * 2
    assert "got 'application/json' in the content coding 'br'" in str(garbage.error)


@pytest.mark.usefixtures("bare")
def test_undecodable_in_the_middle(shell: Shell) -> None:
    """On a resume, a body that cannot be decoded is a failed attempt; it ends a subscription."""
    answers = [Answer("id: 1\ndata: 1\n\n", FIN), answer("br", GARBAGE), Answer("id: 2\ndata: 2\n\n")]
    result = shell.read("http://test/", http={"transport": scripted_transport(*answers)}, resume=LastEventID())
    assert end_of(result) == (["1", "2"], "completed")
    result = shell.read("http://test/", http={"transport": scripted_transport(*answers)}, method="SUBSCRIBE")
    assert type(result.error) is ContentTypeError
    assert result.data == ["1"]


def test_what_was_undecided_is_forgotten(shell: Shell) -> None:
    """The first bytes of a connection that was lost are not part of the next response."""
    answers = [answer("none", "da", FIN), Answer("no", status=500)]
    result = shell.read(
        "http://test/",
        http={"transport": scripted_transport(*answers)},
        retry=RetryPolicy(max_retries=1, retry_ambiguous=True),
    )
    assert isinstance(result.error, StatusError)
    assert result.error.body == b"no"


TYPES: dict[str, tuple[list[str], bool]] = {
    "once": (["text/event-stream"], True),
    "twice": (["text/event-stream", "text/event-stream"], True),
    "twice, with parameters": (["text/event-stream;charset=utf-8", "Text/Event-Stream"], True),
    "on one line": (["text/event-stream, text/event-stream; charset=utf-8"], True),
    "with nothing": (["text/event-stream", ""], True),
    "a comma in quotes": (['text/event-stream; x="a, b"; y="\\", c"'], True),
    "quotes without an end": (['text/event-stream; x="a, b'], True),
    "another before": (["text/html", "text/event-stream"], False),
    "another after": (["text/event-stream", "text/html"], False),
    "none": ([""], False),
}


def test_content_types(shell: Shell) -> None:
    """If the media type is sent more than once, all of them must be text/event-stream."""
    heads = [
        "".join(["HTTP/1.1 200 OK\r\n", *(f"Content-Type: {line}\r\n" for line in lines), "\r\n"])
        for lines, _ in TYPES.values()
    ]
    results = reads(shell, *(Answer(head, "data: 1\n\n", framing="raw") for head in heads))
    found = {name: type(result.error) for name, result in zip(TYPES, results, strict=True)}
    assert found == {name: type(None) if is_stream else ContentTypeError for name, (_, is_stream) in TYPES.items()}
    mixed = dict(zip(TYPES, results, strict=True))["another after"]
    assert "got 'text/event-stream, text/html'" in str(mixed.error)


def test_a_content_type_of_quotes() -> None:
    """A media type is parsed in linear time, whatever its parameters are."""
    for value in ('\\"' * 500_000, '"\\' * 500_000, '"' * 500_001, "," * 500_000):
        assert media_type(Head(200, {"content-type": f"text/event-stream; x={value}"}, "")) == "text/event-stream"


def test_content_types_of_json(shell: Shell) -> None:
    """Accepted JSON may have its type twice; two other types do not make JSON."""
    bodies = [
        Answer('{"a": 1}', headers={"Content-Type": f"{first}, {second}"})
        for first, second in [("application/json", "application/json"), ("application/pdf", "image/svg+json")]
    ]
    twice, other = reads(shell, *bodies, accept_json=True)
    assert twice.data == ['{"a": 1}']
    assert type(other.error) is ContentTypeError


# Compressed bodies that go silent: without a byte, between events, and after bytes that decode to nothing.
SILENCES = {
    "nothing": ([], []),
    "a header": ([gzip.compress(b"")[:10]], []),
    "an event": ([flushed("gzip", "data: 1\n\n")[0]], ["1"]),
    "an event and half": ([flushed("gzip", "data: 1\n\n", "data: 2\n\n")[0] + b"\x4a"], ["1"]),
}


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_close(library: ModuleType, silence: str, framing: Any) -> None:
    """`close` from another thread wakes the reader of a compressed body at once, and the stream is cancelled."""
    steps, data = SILENCES[silence]
    with EventServer(answer("gzip", *steps, FOREVER, framing=framing)) as server, client_of(library) as client:
        stream = client.post(server.url)
        # A moment after the last event, when its reader waits for the next.
        closer = threading.Timer(0.03, stream.close)
        got: list[str] = []
        with stream:
            if not data:
                closer.start()
            for event in stream:
                got.append(event.data)
                if got == data:
                    closer.start()
            closer.join(SOON)
            assert not closer.is_alive()
        assert (got, stream.outcome) == (data, "cancelled")


@contextmanager
def client_of(library: ModuleType) -> Iterator[SSEClient]:
    with library.Client(verify=TLS) as below, SSEClient(http_client=below, retry=None) as client:
        yield client


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("shell", TASKS, ids=str)
def test_aclose(shell: Shell, silence: str) -> None:
    """`aclose` wakes a task that reads a compressed body, and leaves no generator of httpx to the garbage collector."""
    steps, data = SILENCES[silence]

    async def main() -> None:
        async with shell.aclient({"retry": None}, {}) as client, anyio.create_task_group() as tasks:
            stream = client.post(server.url)
            got: list[str] = []

            async def close() -> None:
                await anyio.sleep(0.03)
                await stream.aclose()

            with anyio.fail_after(SOON):
                async with stream:
                    if not data:
                        tasks.start_soon(close)
                    async for event in stream:
                        got.append(event.data)
                        if got == data:
                            tasks.start_soon(close)
            assert (got, stream.outcome) == (data, "cancelled")
        gc.collect()

    with EventServer(answer("gzip", *steps, FOREVER)) as server:
        anyio.run(main, backend=shell.kind)


ENDS = {
    "its end": ("data: 1\n\n",),
    "the terminator": ("data: 1\n\ndata: [DONE]\n\n",),
    "an error event": ("data: 1\n\nevent: error\ndata: no\n\n",),
}


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@in_turn("end", ENDS)
def test_the_connection_is_used_again(shell: Shell, coding: str, end: str) -> None:
    """After its end, its terminator or an error event, a compressed body leaves its connection to the next call."""
    steps = [text.encode() for text in ENDS[end]] if coding == "identity" else flushed(coding, *ENDS[end])

    async def main() -> None:
        async with shell.any_client({"retry": None}) as client:
            for _ in range(10):
                try:
                    async with entered(client.post(server.url, errors=ErrorEvent(event="error"))) as reader:
                        assert [event.data async for event in reader] == ["1"]
                except SSEError:
                    assert end == "an error event"

    with EventServer(answer(coding, *steps)) as server:
        shell.run(main)
        assert (server.connections, len(server.requests)) == (1, 10)


@pytest.mark.parametrize("shell", TASKS, ids=str)
@pytest.mark.parametrize("way", ["break", "an exception", "a cancellation", "corrupt bytes"])
def test_nothing_is_left_to_the_collector(shell: Shell, way: str) -> None:
    """However a task leaves a compressed stream, no generator of httpx is left open."""
    steps = [*flushed("gzip", "data: 1\n\n", "data: 2\n\n" * 50_000)[:2], FOREVER]
    if way == "corrupt bytes":
        steps = [b"data: 1\n\n", FOREVER]

    async def main() -> None:
        async with shell.aclient({"retry": None}, {}) as client:
            try:
                with anyio.CancelScope() as scope:
                    async with client.post(server.url) as stream:
                        async for _ in stream:
                            if way == "break":
                                break
                            if way == "an exception":
                                raise ZeroDivisionError
                            scope.cancel()
            except (ZeroDivisionError, StreamInterrupted):
                pass
            del stream
            gc.collect()  # which warns, and a warning is an error here

    with EventServer(answer("gzip", *steps)) as server:
        anyio.run(main, backend=shell.kind)


@pytest.mark.parametrize("shell", TASKS, ids=str)
def test_a_body_that_grows_leaves_time_to_others(shell: Shell) -> None:
    """While one piece of a compressed body expands to megabytes, other tasks run in between."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async def main() -> None:
        transport = scripted_transport(answer("gzip", gzip.compress(f": {'x' * 60_000}\n".encode() * 100)))
        async with shell.aclient({}, {"transport": transport}) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(turn)
            async with client.post("http://test/") as stream:
                before = turns
                assert [event async for event in stream] == []
                assert stream.stats.comments == 100
                assert turns - before > 80
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=shell.kind)


def test_comments_of_a_compressed_body(shell: Shell) -> None:
    """A dispatch over a compressed body gets its events and comments."""
    seen: list[str] = []
    on = Handlers()
    on.comment(lambda text: seen.append(f":{text}"))
    on.event(lambda event: seen.append(event.data))

    async def main() -> None:
        transport = scripted_transport(answer("gzip", *flushed("gzip", ": a\n", "data: 1\n\n")))
        async with shell.any_client(http={"transport": transport}) as client:
            done = client.post("http://test/").dispatch(on)
            if not isinstance(client, SSEClient):
                await done  # type: ignore[misc]

    shell.run(main)
    assert seen == [": a", "1"]


@pytest.mark.parametrize("ends", [True, False])
def test_iter_events(library: ModuleType, ends: bool) -> None:
    """`iter_events` decodes the body of a response, and raises if it is truncated."""
    body = gzip.compress(b"data: 1\n\ndata: 2\n\n")
    transport = scripted_transport(answer("gzip", body if ends else body[:-1]))
    with library.Client(transport=transport) as client, client.stream("POST", "http://test/") as response:
        stream = iter_events(response)
        assert [next(stream).data, next(stream).data] == ["1", "2"]
        if ends:
            assert list(stream) == []
        else:
            with pytest.raises(StreamTruncated):
                list(stream)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_aiter_events(library: ModuleType, anyio_backend: str) -> None:
    """`aiter_events` decodes the body of a response."""
    body = gzip.compress(b"data: 1\n\n")
    async with (
        library.AsyncClient(transport=scripted_transport(answer("gzip", body))) as client,
        client.stream("POST", "http://test/") as response,
        aiter_events(response) as stream,
    ):
        assert [event.data async for event in stream] == ["1"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_a_response_that_has_been_read(library: ModuleType, coding: str) -> None:
    """A response that httpx has read and decoded is not decoded again."""
    body = b"data: 1\n\n"
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "identity": body}[coding]
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": coding}
    request = library.Request("POST", "http://test/")
    response = library.Response(200, headers=headers, content=packed, request=request)
    assert [event.data for event in iter_events(response)] == ["1"]
