"""
A recorded stream replays as it was, contains no secret, and the recording has no visible effect.

A stream is read three times: as it is, recorded, and from its cassette; on a socket and over a scripted transport. The
user must see the same in all three.
"""

import base64
import gc
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import httpx
import pytest
from pydantic import BaseModel
from shells import PATIENCE, Run, Shell, entered, in_turn

from sse_client import (
    AsyncSSEClient,
    Handlers,
    LastEventID,
    RetryPolicy,
    SSEClient,
    SSEError,
    StreamInterrupted,
    Terminator,
    Timeouts,
    iter_events,
)
from sse_client.testing import (
    FIN,
    RST,
    Answer,
    EventServer,
    Faults,
    Pause,
    read_cassette,
    record,
    replay,
    resumable,
    scripted_transport,
    write_cassette,
)
from sse_client.testing._script import Script

URL = "https://api.example.org/chat"
EVENT = "id: 1\ndata: 1\n\n"
AT_ONCE = RetryPolicy(initial_delay=0, jitter=0)

Playing: TypeAlias = Callable[..., Any]


@contextmanager
def on_a_socket(*scripts: Script) -> Iterator[tuple[str, dict[str, Any]]]:
    with EventServer(*scripts) as server:
        yield server.url, {}


@contextmanager
def without_one(*scripts: Script) -> Iterator[tuple[str, dict[str, Any]]]:
    yield URL, {"transport": scripted_transport(*scripts)}


@pytest.fixture(params=[on_a_socket, without_one], ids=["socket", "transport"])
def playing(request: pytest.FixtureRequest) -> Playing:
    """The way to play a script: enter it for the URL, and the arguments of the HTTP client."""
    playing: Playing = request.param
    return playing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.jsonl"


def read(
    shell: Shell,
    url: str,
    http: dict[str, Any],
    *,
    tape: Path | None = None,
    keep: tuple[str, ...] = (),
    redact: tuple[str, ...] = (),
    **options: Any,
) -> Run:
    """Read a stream, and record it if there is a tape."""

    def recorded(stream: Any) -> Any:
        if tape is not None:
            assert record(stream, tape, keep=keep, redact=redact) is stream
        return stream

    return shell.read(url, http=http, wrap=recorded, **options)


def seen(result: Run) -> tuple[Any, ...]:
    """Everything that the user sees of a stream, except times and the network's error below."""
    assert result.stream is not None
    error, stats = result.error, result.stream.stats
    known = [getattr(error, name, None) for name in ("clock", "status_code", "body", "message", "last_event_id")]
    counts = (stats.connections, stats.comments, stats.events)
    return result.events, type(error), known, result.stream.outcome, result.stream.last_event_id, counts


def cassette(path: Path, *entries: Any) -> Path:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return path


def written(answer: Answer) -> bytes:
    return b"".join(step for step in answer.steps if isinstance(step, bytes))


def entries_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


arrived = threading.Event()  # set with the first event, for a script that must not continue before
STREAMS: dict[str, tuple[list[Script], dict[str, Any], str]] = {
    "chunked": ([Answer(EVENT, ": hi\n\n", "data: é\u2028\n\n")], {}, "completed"),
    "length": ([Answer(EVENT, EVENT, framing="length")], {}, "completed"),
    "close": ([Answer(EVENT, EVENT, framing="close")], {}, "completed"),
    "[DONE]": ([Answer(EVENT, "data: [DONE]\n\n")], {}, "completed"),
    "terminator": ([Answer(EVENT)], {"terminator": Terminator(data="1")}, "completed"),
    "no terminator": ([Answer(EVENT)], {"terminator": Terminator(data="2")}, "truncated"),
    "inside an event": ([Answer(EVENT, "data: 2\n")], {}, "truncated"),
    "FIN": ([Answer(EVENT, FIN)], {}, "interrupted"),
    "FIN, length": ([Answer(EVENT, FIN, framing="length").announcing(99)], {}, "interrupted"),
    "RST": ([Answer(EVENT, lambda: arrived.wait(5), RST)], {}, "interrupted"),
    "RST, length": ([Answer(EVENT, lambda: arrived.wait(5), RST, framing="length").announcing(99)], {}, "interrupted"),
    "RST, close": ([Answer(EVENT, lambda: arrived.wait(5), RST, framing="close")], {}, "interrupted"),
    "gzip": ([Answer(gzip.compress(EVENT.encode() * 9), headers={"Content-Encoding": "gzip"})], {}, "completed"),
    "gzip, length": (
        [Answer(gzip.compress(EVENT.encode() * 9), headers={"Content-Encoding": "gzip"}, framing="length")],
        {},
        "completed",
    ),
    "a coding that is none": ([Answer(EVENT, headers={"Content-Encoding": "utf-8"})], {}, "completed"),
    "a coding that is not known": ([Answer(b"\x1f\x9d\x90", headers={"Content-Encoding": "compress"})], {}, "failed"),
    "several connections": ([Faults(after_events=2)(resumable("1", "2", "3"))], {"resume": LastEventID()}, "completed"),
    "retry": ([Answer("busy", status=503), Answer(EVENT)], {}, "completed"),
    "error": ([Answer.json({"error": {"message": "é"}}, status=404)], {}, "failed"),
    "JSON": ([Answer.json({"error": "no"})], {}, "failed"),
    "no content": ([Answer(status=204)], {}, "completed"),
    "redirect": ([Answer(status=307, headers={"Location": "/b"}, framing="length"), Answer(EVENT)], {}, "completed"),
    "timeout": ([Answer(EVENT, Pause(9))], {"timeout": Timeouts(idle=0.05)}, "timeout"),
}


@in_turn(
    ("scripts", "options", "outcome"),
    [pytest.param(*stream, id=name) for name, stream in STREAMS.items()],
)
def test_the_same_again(
    shell: Shell, playing: Playing, path: Path, scripts: list[Script], options: dict[str, Any], outcome: str
) -> None:
    """A stream looks the same as it is, while it is recorded, and from its cassette."""
    options = {"retry": AT_ONCE, **options}
    if "resume" in options:
        options["resume"] = LastEventID(retry=AT_ONCE)
    results = []
    for tape in (None, path):
        arrived.clear()
        with playing(*scripts) as (url, http):
            results.append(seen(read(shell, url, http, tape=tape, on_event=arrived.set, **options)))
    with playing(*replay(path, speed=inf)) as (url, http):
        results.append(seen(read(shell, url, http, **options)))
    assert results[0][3] == outcome
    assert results == [results[0]] * 3


PIECES = [b"data: \xc3", b"\xa9\r", b"\n\r", b"\n\xff", "\u2028\x85\x1c\0\n€".encode(), b'"\\\n']


def test_pieces_of_nothing(shell: Shell, path: Path) -> None:
    """Compressed bytes that decode to nothing by themselves are not in the cassette."""
    packed = gzip.compress(EVENT.encode())
    transport = scripted_transport(Answer(packed[:10], packed[10:], headers={"Content-Encoding": "gzip"}))
    read(shell, URL, {"transport": transport}, tape=path)
    [answer] = replay(path, speed=inf)
    assert answer.steps == (EVENT.encode(),)


def test_the_same_pieces(shell: Shell, path: Path) -> None:
    """A cassette has the pieces as they came, even those that are not UTF-8 by themselves."""
    read(shell, URL, {"transport": scripted_transport(Answer(*PIECES))}, tape=path)
    [answer] = replay(path, speed=inf)
    assert list(answer.steps) == PIECES


def test_one_line_for_each_entry(path: Path) -> None:
    """A cassette is JSON, line by line, whatever is in the stream; pieces in UTF-8 are readable in it."""
    read(Shell("sync", httpx), URL, {"transport": scripted_transport(Answer(*PIECES))}, tape=path)
    request, response, *pieces, end = entries_of(path)
    assert (request["request"], request["url"], response["response"], end["end"]) == ("POST", URL, 200, True)
    assert [piece.get("data") for piece in pieces] == [
        *(None, None, "\n\r", None),
        *("\u2028\x85\x1c\0\n€", '"\\\n'),
    ]
    assert base64.b64decode(pieces[0]["base64"]) == PIECES[0]
    assert path.read_bytes().count(b"\n") == len(PIECES) + 3
    assert path.read_bytes().isascii()


def test_each_connection_is_on_file(shell: Shell, path: Path) -> None:
    """The cassette of a resumed stream has each request with its `Last-Event-ID`, and each response."""
    transport = scripted_transport(Faults(after_events=1)(resumable("1", "2")))
    read(shell, URL, {"transport": transport}, tape=path, resume=LastEventID())
    requests = [dict(entry["headers"]) for entry in entries_of(path) if "request" in entry]
    assert [headers.get("last-event-id") for headers in requests] == [None, "1", "2"]
    assert [answer.steps for answer in replay(path, speed=inf)] == [
        *((b"id: 1\ndata: 1\n\n", FIN), (b"id: 2\ndata: 2\n\n", FIN)),
        (),
    ]


def test_the_head(shell: Shell, path: Path) -> None:
    """The head is replayed as it came, without headers of the connection and those that are not in the cassette."""
    headers = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": None,
        "X-Secret": "test-token",
        "Retry-After": "7",
        "X-Trace-Id": "t1",
        "Keep-Alive": "timeout=5",
    }
    transport = scripted_transport(Answer(EVENT, status=206, headers=headers))
    read(shell, URL, {"transport": transport}, tape=path, keep=("X-TRACE-ID",))
    [answer] = replay(path)
    assert answer.status == 206
    assert {name.lower(): value for name, value in answer.headers} == {
        "content-type": "text/event-stream; charset=utf-8",
        "retry-after": "7",
        "x-trace-id": "t1",
        "transfer-encoding": "chunked",
    }


def test_faults(shell: Shell, path: Path) -> None:
    """A cassette is a script like any other: faults can cut it into other pieces, or cut it off."""
    read(shell, URL, {"transport": scripted_transport(Answer(EVENT, "data: é\n\n", framing="length"))}, tape=path)
    [answer] = replay(path, speed=inf)
    for fault, outcome in ((Faults(cut="bytes"), "completed"), (Faults(after_events=1), "interrupted")):
        result = read(shell, URL, {"transport": scripted_transport(fault(answer))})
        assert result.data == ["1", "é"][: 2 if outcome == "completed" else 1]
        assert result.stream is not None
        assert result.stream.outcome == outcome


HEAD: dict[str, Any] = {"time": 0.5, "response": 200, "headers": [["Content-Type", "text/event-stream"]]}


@pytest.mark.parametrize(
    ("speed", "steps"),
    [
        (1.0, (Pause(1), b"a", b"b", Pause(2.5), b"\xff", Pause(0.25))),
        (10.0, (Pause(0.1), b"a", b"b", Pause(0.25), b"\xff", Pause(0.025))),
        (0.5, (Pause(2), b"a", b"b", Pause(5), b"\xff", Pause(0.5))),
        (inf, (b"a", b"b", b"\xff")),
    ],
)
def test_speed(path: Path, speed: float, steps: tuple[Any, ...]) -> None:
    """The pauses are those of each connection by itself, divided by the speed; with infinite speed there are none."""
    times: list[dict[str, Any]] = [
        {"time": 1.5, "data": "a"},
        {"time": 1.5, "data": "b"},
        {"time": 4.0, "base64": "/w=="},
    ]
    one = [HEAD, *times, {"time": 4.25, "end": True}]
    other = [{**entry, "time": entry["time"] + 100} for entry in one]
    cassette(path, *one, {"time": 4.25, "request": "POST"}, *other)
    assert [answer.steps for answer in replay(path, speed=speed)] == [steps, steps]


@pytest.mark.parametrize("speed", [0.0, -1.0, nan])
def test_a_speed_that_is_none(path: Path, speed: float) -> None:
    """A speed must be above 0."""
    with pytest.raises(ValueError, match="expected speed > 0"):
        replay(cassette(path, HEAD), speed=speed)


def test_real_time(shell: Shell, path: Path) -> None:
    """The time between pieces is recorded, and passes again in the replay, divided by the speed."""
    with EventServer(Answer(EVENT, Pause(0.1), EVENT)) as server:
        read(shell, server.url, {}, tape=path)
    gap = max(step.seconds for step in replay(path)[0].steps if isinstance(step, Pause))
    for speed in (1.0, 0.01):
        seconds = gap / speed  # 0.1, or less if a busy machine was late with the first event
        result = read(shell, URL, {"transport": scripted_transport(*replay(path, speed=speed))})
        assert result.stream is not None
        # A busy machine is late, and at no speed early.
        assert 0.9 * seconds < result.stream.stats.longest_gap < 5 * PATIENCE * seconds


def test_virtual_time(shell: Shell, path: Path) -> None:
    """If the time of the stream is virtual, the cassette records virtual time."""
    read(shell, URL, {"transport": scripted_transport(Answer(EVENT, Pause(60), EVENT))}, tape=path)
    assert Pause(60) in replay(path)[0].steps


SECRETS = {
    "Authorization": "Bearer test-token",
    "Cookie": "session=test-cookie",
    "X-Extension-Token": "test-token",
    "X-Anything": "test-anything",
}


def test_nothing_secret(shell: Shell, playing: Playing, path: Path) -> None:
    """
    A cassette contains no header that is not known to be harmless, no user, no query value and no body of a request.
    """
    answer = Answer(EVENT, headers={"Set-Cookie": "session=test-cookie", "X-Request-Id": "test-id"})
    with playing(answer) as (url, http):
        target = f"{url.replace('://', '://test-user:test-password@')}/chat?key=test-key&empty=&key=test%2Dkey"
        read(
            *(shell, target, http),
            tape=path,
            client={"idempotency_key_header": "Idempotency-Key"},
            headers=SECRETS,
            json={"message": "test-message"},
        )
    text = path.read_text()
    assert "test-" not in text
    assert base64.b64encode(b"test-user:test-password").decode() not in text
    assert "test%2Dkey" not in text
    request, response, *_ = entries_of(path)
    assert request["url"] == f"{url}/chat?key=[redacted]&empty=[redacted]&key=[redacted]"
    sent = dict(request["headers"])
    assert {name.lower() for name in (*SECRETS, "Idempotency-Key")} <= {
        name.lower() for name, value in sent.items() if value == "[redacted]"
    }
    assert sent["accept"] == "text/event-stream"
    received = {name.lower(): value for name, value in response["headers"]}
    assert (received["set-cookie"], received["x-request-id"]) == ("[redacted]", "[redacted]")
    assert received["content-type"] == "text/event-stream"


def test_a_query_that_is_a_secret(shell: Shell, path: Path) -> None:
    """A query without a name counts as a value."""
    read(shell, f"{URL}?test-key", {"transport": scripted_transport(Answer(EVENT))}, tape=path)
    assert "test-key" not in path.read_text()


def test_a_location_that_is_not_a_url(path: Path) -> None:
    """A Location that cannot be parsed is redacted, and the response is recorded."""
    transport = scripted_transport(Answer(status=307, headers={"Location": "http://[/c4n4ry"}, framing="length"))
    with httpx.Client(transport=transport) as http_client:
        stream = record(SSEClient(http_client=http_client).get("http://h/"), path)
        with pytest.raises(SSEError), stream:
            list(stream)
    assert "307" in path.read_text()
    assert "c4n4ry" not in path.read_text()


def test_keep(shell: Shell, path: Path) -> None:
    """Headers in `keep=` are recorded, sent and received, whatever the case of their names."""
    transport = scripted_transport(Answer(EVENT, headers={"X-Trace-Id": "answered"}))
    headers = {"x-trace-id": "asked", "X-Other": "test-token"}
    read(shell, URL, {"transport": transport}, tape=path, keep=("X-TRACE-id",), headers=headers)
    request, response, *_ = entries_of(path)
    assert (dict(request["headers"])["x-trace-id"], dict(response["headers"])["x-trace-id"]) == ("asked", "answered")
    assert "test-token" not in path.read_text()


def test_redact(shell: Shell, path: Path) -> None:
    """The value of a common request header is left out if it is named as secret; that of the response stays."""
    transport = scripted_transport(Answer(EVENT))
    headers = {"Accept-Language": "test-token", "Content-Type": "text/test-token"}
    read(shell, URL, {"transport": transport}, tape=path, redact=("ACCEPT-language", "content-type"), headers=headers)
    _, response, *_ = entries_of(path)
    assert dict(response["headers"])["content-type"] == "text/event-stream"
    assert "test-token" not in path.read_text()


def test_on_file_at_once(shell: Shell, path: Path) -> None:
    """A piece is in the cassette when its events are delivered, so it survives if the program dies then."""
    sizes = []
    read(
        shell,
        URL,
        {"transport": scripted_transport(Answer(EVENT, EVENT, EVENT))},
        tape=path,
        on_event=lambda: sizes.append(len(written(replay(path)[0]))),
    )
    assert sizes == [len(EVENT), 2 * len(EVENT), 3 * len(EVENT)]


@pytest.mark.parametrize("rest", [[EVENT] * 5, [Pause(inf)]], ids=["buffered", "silent"])
def test_left_early(shell: Shell, playing: Playing, path: Path, rest: list[Any]) -> None:
    """If the user leaves a stream early, its cassette ends there without a loss, and no generator is left behind."""
    with playing(Answer(EVENT, *rest)) as (url, http):
        result = read(shell, url, http, tape=path, limit=1)
    assert result.stream is not None
    assert result.stream.outcome == "abandoned"
    del result
    if shell.kind == "trio":  # which warns of generators that are collected
        gc.collect()
    assert not any("lost" in entry for entry in entries_of(path))
    [answer] = replay(path, speed=inf)
    assert (EVENT * 6).encode().startswith(written(answer))
    again = read(shell, URL, {"transport": scripted_transport(answer)}, limit=1)
    assert again.data == ["1"]


@pytest.mark.anyio
async def test_no_end_behind_a_loss(library: ModuleType, path: Path) -> None:
    """The cassette of a stream that was lost has no clean end after that."""
    transport = scripted_transport(Answer(EVENT, FIN))
    async with library.AsyncClient(transport=transport) as http, AsyncSSEClient(http_client=http) as client:
        with pytest.raises(StreamInterrupted):
            async with record(client.post(URL), path) as stream:
                assert [event.data async for event in stream] == ["1"]
    assert [entry.get("lost") for entry in entries_of(path)[-1:]] == ["RemoteProtocolError"]


def test_an_error_of_the_users(shell: Shell, path: Path) -> None:
    """The user's own exception comes out of a recorded stream, which is closed as usual."""

    def fail() -> None:
        raise ZeroDivisionError("mine")

    transport = scripted_transport(Answer(EVENT, Pause(inf)))
    with pytest.raises(ZeroDivisionError, match="mine"):
        read(shell, URL, {"transport": transport}, tape=path, on_event=fail)
    assert transport.requests[0].done.is_set()
    assert replay(path, speed=inf)[0].steps[0] == EVENT.encode()


def test_an_error_of_a_script(shell: Shell, path: Path) -> None:
    """An exception of a script comes out of a recorded stream unchanged."""

    def fail() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        read(shell, URL, {"transport": scripted_transport(Answer(EVENT, fail))}, tape=path)


class Number(BaseModel):
    number: int


def test_every_way_to_read(shell: Shell, path: Path) -> None:
    """A stream is recorded however it is read: with types, a dispatch with batches, a fold."""
    body = 'data: {"number": 1}\n\ndata: {"number": 2}\n\n'
    on = Handlers()
    batched: list[Number] = []
    on.batch(Number, interval=0.01)(batched.extend)
    totals = []

    async def main() -> None:
        async with shell.any_client(http={"transport": scripted_transport(Answer(body))}) as client:
            if isinstance(client, SSEClient):
                record(client.post(URL, events=Number), path).dispatch(on)
                reply = record(client.post(URL, events=Number), path).accumulate(total, 0)
                totals.append(reply.final())
            else:
                await record(client.post(URL, events=Number), path).dispatch(on)
                async with record(client.post(URL, events=Number), path) as stream:
                    totals.append(await stream.accumulate(total, 0).final())

    shell.run(main)
    assert batched == [Number(number=1), Number(number=2)]
    assert totals == [3]
    assert replay(path, speed=inf)[0].steps == (body.encode(),)  # of the second stream only


def total(before: int, event: Number) -> int:
    return before + event.number


def test_a_response_that_the_user_has(library: ModuleType, path: Path) -> None:
    """The stream of the user's own response is recorded as well."""
    with (
        library.Client(transport=scripted_transport(Answer(EVENT, EVENT))) as client,
        client.stream("POST", URL) as response,
    ):
        stream = record(iter_events(response), path)
        assert len(list(stream)) == 2
    assert replay(path, speed=inf)[0].steps == (EVENT.encode(), EVENT.encode())


def test_a_response_that_has_been_read(shell: Shell, path: Path) -> None:
    """A response that already has its content, as from mocks, is recorded as well."""
    headers = {"Content-Type": "text/event-stream"}
    transport = shell.library.MockTransport(lambda _: shell.library.Response(200, headers=headers, text=EVENT))
    assert read(shell, URL, {"transport": transport}, tape=path).data == ["1"]
    assert replay(path, speed=inf)[0].steps == (EVENT.encode(),)


def test_a_stream_that_was_entered(shell: Shell, path: Path) -> None:
    """Recording a stream that was already entered is an error, and no file is made."""

    async def main() -> None:
        async with (
            shell.any_client(http={"transport": scripted_transport(Answer(EVENT))}) as client,
            entered(client.post(URL)) as reader,
        ):
            with pytest.raises(RuntimeError, match="record a stream before it is entered"):
                record(reader.stream, path)
            assert (await anext(reader)).data == "1"

    shell.run(main)
    assert not path.exists()


def test_no_place_for_the_file(path: Path) -> None:
    """A path at which no file can be made is an error at once, not in the middle of a stream."""
    with SSEClient() as client, pytest.raises(FileNotFoundError):
        record(client.post(URL), path / "chat.jsonl")


def test_a_file_that_cannot_be_written(shell: Shell, path: Path) -> None:
    """An error of the file in the middle of a stream comes out, and not as an error of the stream."""

    def spoil() -> None:
        path.unlink()
        path.mkdir()

    with pytest.raises((OSError, RuntimeError)):
        read(shell, URL, {"transport": scripted_transport(Answer(EVENT, spoil, EVENT))}, tape=path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("\n", 1),
        ("data: 1\n\n", 1),
        ("[]", 1),
        ("{}", 1),
        ('{"time": 0, "request": "POST"}', 0),
        (json.dumps(HEAD)[:-1], 1),
        (f"{json.dumps(HEAD)}\n{{", 2),
        (f'{json.dumps(HEAD)}\n{{"time": 1, "base64": "a"}}', 2),
        ("1", 1),
        ('"response"', 1),
        ('{"response": 200}', 1),
        ('{"time": 0, "response": "OK", "headers": []}', 1),
        ('{"time": 0, "response": 200, "headers": 1}', 1),
        (f"{json.dumps(HEAD)}\n1", 2),
        (f'{json.dumps(HEAD)}\n{{"data": "1"}}', 2),
        (f'{json.dumps(HEAD)}\n{{"time": 1, "data": "1"}}\n{{"time": 1, "data": 1}}', 3),
        (f'{{"time": 0, "request": "POST"}}\n{{"time": 1, "data": "1"}}\n{json.dumps(HEAD)}', 2),
    ],
)
def test_no_cassette(path: Path, text: str, line: int) -> None:
    """A file that is not a cassette is a `ValueError` that names it, and the line that is wrong."""
    path.write_text(text)
    with pytest.raises(ValueError, match="expected a") as caught:
        replay(path)
    assert str(path) in str(caught.value)
    assert not line or str(caught.value).startswith(f"{path}, line {line}: ")


def test_connections_as_values(shell: Shell, path: Path) -> None:
    """`read_cassette` returns each connection with its times, `write_cassette` writes the same file, less secrets."""
    with EventServer(Faults(after_events=2)(resumable("1", "é", "3"))) as server:
        read(shell, server.url, {}, tape=path, resume=LastEventID(retry=AT_ONCE))
    before = path.read_bytes()
    first, second = read_cassette(path)
    assert (first.method, first.url, first.status, first.http_version) == ("POST", server.url, 200, "HTTP/1.1")
    assert ("content-type", "text/event-stream") in first.headers
    assert ("accept", "text/event-stream") in first.request_headers
    assert b"".join(data for _, data in first.pieces) == "id: 1\ndata: 1\n\nid: 2\ndata: é\n\n".encode()
    times = [first.requested_at, first.opened_at, *(time for time, _ in first.pieces), first.ended_at or 0.0]
    assert sorted(times) == times
    assert (bool(first.lost), second.lost) == (True, None)
    assert (first.ended_at or 0.0) <= second.requested_at
    write_cassette(path, first, second)
    assert path.read_bytes() == before
    own = (("X-Own", "c4n4ry"), ("Via", "1.1 varnish"))
    write_cassette(path, replace(first, headers=own, request_headers=own, url="http://me:c4n4ry@h/?k=c4n4ry"))
    assert "c4n4ry" not in path.read_text()
    write_cassette(path, replace(first, headers=own), keep={"via"})
    assert read_cassette(path)[0].headers == (("X-Own", "[redacted]"), ("Via", "1.1 varnish"))


def test_a_connection_that_stops(path: Path) -> None:
    """A connection whose recording stops has no end, and an old cassette has no version."""
    (connection,) = read_cassette(cassette(path, {"time": 0.5, "response": 200}, {"time": 1.5, "data": "x"}))
    assert (connection.method, connection.http_version, connection.requested_at) == ("", "", 0.0)
    assert (connection.pieces, connection.ended_at, connection.lost) == (((1.5, b"x"),), None, None)


def test_no_cassette_in_utf_8(path: Path) -> None:
    """A file that is not text is a `ValueError`, too; a missing one is a `FileNotFoundError`."""
    path.write_bytes(json.dumps(HEAD).encode() + b"\n\xff\xfe")
    with pytest.raises(ValueError, match="line 2: expected an entry of a cassette, got: Invalid JSON"):
        replay(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        replay(path)
