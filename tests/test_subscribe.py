"""
`subscribe` compared with a browser: 82 scripted connections, and the results of Chromium's `EventSource` for each.

All are replayed at once, each against its own server, because they contain real waits. Only the browser's 3 s before a
reconnection are shortened, if the stream does not set a time itself.
"""

import json
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import anyio
import pytest
from reference import parse
from shells import Run, Shell

from sse_client import ContentTypeError, RetryPolicy, SSEError, StatusError, Terminator
from sse_client.testing import RST, Answer, EventServer, Pause, RecordedRequest, scripted_transport

DATA = Path(__file__).parent / "data"

RECONNECTION_TIME = 0.3
RETRY = RetryPolicy(max_retries=None, initial_delay=RECONNECTION_TIME, max_delay=30, jitter=0)

# No stream reconnects sooner, whatever its `retry` says; the browser has no such limit.
LEAST = 0.05


class Request(TypedDict):
    method: str
    path: str
    leid: str | None
    gap: NotRequired[int]


class Observed(TypedDict):
    requests: list[Request]
    log: list[list[Any]]
    end: str


class Case(TypedDict):
    name: str
    answers: list[list[Any]]
    observed: Observed


# Not splitlines(): the strings hold U+2028.
CASES = [cast("Case", json.loads(line)) for line in (DATA / "connection.jsonl").read_text("utf-8").split("\n") if line]


def bytes_of(step: Any) -> bytes:
    """The bytes that a step writes."""
    if isinstance(step, dict):
        return b64decode(step["b64"])
    return step.encode() if isinstance(step, str) and step not in ("FIN", "RST") else b""


def split(answer: list[Any]) -> tuple[int | None, bytes]:
    """The status of a response and its body. A 103 only announces one."""
    found = re.search(rb"HTTP/1.1 ([2-5]\d\d)(.*?)\r\n\r\n(.*)", b"".join(map(bytes_of, answer)), re.DOTALL)
    return (None, b"") if found is None else (int(found[1]), found[3])


@dataclass(frozen=True)
class Story:
    """The externally visible behavior of a subscription."""

    requests: list[tuple[str, str, str | None]]
    """Method, path, and Last-Event-ID; a very long one is given by its length."""
    events: list[tuple[str, str, str]]
    connections: int
    """The number of times that it was open."""
    end: tuple[type[SSEError] | None, int | None]
    """The error, and the status in it."""


def chromium(case: Case) -> Story:
    """The browser's behavior. After the last of the responses the server sends 204."""
    observed = case["observed"]
    log = observed["log"]
    assert log[-1][1:] == ["error", 2]
    last = len(observed["requests"]) - 1
    status = status_of(case, last)
    return Story(
        requests=[(request["method"], request["path"] or "/", request["leid"]) for request in observed["requests"]],
        events=[(entry[2], entry[3], entry[4]) for entry in log if entry[1] == "event"],
        connections=[entry[1] for entry in log].count("open"),
        end=(None, None) if status == 204 else (ContentTypeError if status == 200 else StatusError, status),
    )


def status_of(case: Case, number: int) -> int | None:
    return split(case["answers"][number])[0] if number < len(case["answers"]) else 204


def comes_back(case: Case) -> Story:
    """The response at which the browser stopped is retried."""
    browser = chromium(case)
    streams = [body for status, body in map(split, case["answers"]) if status == 200]
    requests = [*browser.requests]
    while len(requests) <= len(case["answers"]):
        requests.append(("GET", "/", browser.requests[-1][2]))
    return Story(
        requests=requests,
        events=[
            # An event without an ID has the last one.
            (event.event, event.data, event.id or browser.requests[-1][2] or "")
            for stream in streams
            for event in parse(stream).events
        ],
        connections=len(streams),
        end=(None, None),
    )


def stops_at_407(case: Case) -> Story:
    return Story(requests=[("GET", "/", None)], events=[], connections=0, end=(StatusError, 407))


def opens(case: Case) -> Story:
    return Story(
        requests=[("GET", "/", None), ("GET", "/", None)],
        events=[("message", "ok…", "")],
        connections=1,
        end=(None, None),
    )


def goes_on_without(case: Case) -> Story:
    """The browser sends the ID. We reconnect without it, as the browser does with an ID that it cannot send."""
    browser = chromium(case)
    return replace(browser, requests=[(method, path, None) for method, path, _ in browser.requests])


# A feed should reconnect to a server that is overloaded or restarts; a browser's user can press a key.
RETRIED = "408, 429 and 5xx but 501 and 505 are tried again"
DIFFERENCES: dict[str, tuple[str, Callable[[Case], Story]]] = {
    **{f"status {code} first": (RETRIED, comes_back) for code in (408, 429, 503, 504, 520, 599)},
    **{f"status {code} on reconnect": (RETRIED, comes_back) for code in (500, 502, 503, 504)},
    # Chromium's network layer fails at a 407 that no proxy has sent; for us it is a response like 401.
    "status 407 first": ("a 407 is final", stops_at_407),
    "content-type [text/event-stream;charset=utf-16]": ("an event stream is UTF-8, whatever its type says", opens),
    "content-type [text/event-stream;charset=bogus]": ("an event stream is UTF-8, whatever its type says", opens),
    "Last-Event-ID header: DEL": ("RFC 9110 has no DEL in a field value", goes_on_without),
}


@dataclass
class Replay:
    """A case that is being replayed."""

    case: Case
    server: EventServer
    ends: dict[int, float]
    """The earliest time at which each response may have ended."""
    run: Run = field(default_factory=Run)


@contextmanager
def replay(case: Case) -> Iterator[Replay]:
    ends: dict[int, float] = {}
    answers = [answer_of(number, answer, ends) for number, answer in enumerate(case["answers"])]
    with EventServer(*answers, Answer(status=204)) as server:
        yield Replay(case, server, ends)


def answer_of(number: int, answer: list[Any], ends: dict[int, float]) -> Answer:
    steps: list[Any] = []

    def note() -> None:
        ends[number] = time.monotonic()

    for step in answer:
        match step:
            case "FIN":
                pass  # a raw response ends with the connection
            case "RST":
                steps.append(RST)
            case int():
                steps += [Pause(step / 1000), note]
            case _:
                # Before it is written: with its last byte the client may know that the response is over.
                steps += [note, bytes_of(step).replace(b"@@", b"/hop%d" % (number + 1))]
    return Answer(*steps, framing="raw")


def read_all(shell: Shell, replays: list[Replay]) -> None:
    http = {"limits": shell.library.Limits(max_connections=None)}

    async def run() -> None:
        async with shell.aclient({}, http) as client, anyio.create_task_group() as tasks:
            for replay in replays:
                tasks.start_soon(replay.run.aread, client.subscribe(f"{replay.server.url}/", retry=RETRY))

    if shell.kind == "sync":
        with shell.client({}, http) as client, ThreadPoolExecutor(len(replays)) as pool:
            list(
                pool.map(
                    lambda replay: replay.run.read(client.subscribe(f"{replay.server.url}/", retry=RETRY)), replays
                )
            )
    else:
        shell.run(run)


def ours(replay: Replay) -> Story:
    result = replay.run
    assert result.stream is not None
    status = getattr(result.error, "status_code", None)
    return Story(
        requests=[(request.method, request.target, last_event_id(request)) for request in replay.server.requests],
        events=[(event.event, event.data, shortened(event.id)) for event in result.events],
        connections=result.stream.stats.connections,
        end=(type(result.error) if result.error is not None else None, status),
    )


def last_event_id(request: RecordedRequest) -> str | None:
    value = request.headers.get("last-event-id")
    return None if value is None else shortened(value)


def shortened(text: str) -> str:
    return text if len(text) < 1000 else f"len {len(text)}"


def test_a_subscription_does_what_a_browser_does(shell: Shell) -> None:
    """A subscription has the same requests, events, connections and end as Chromium's, except for `DIFFERENCES`."""
    with ExitStack() as stack:
        replays = [stack.enter_context(replay(case)) for case in CASES]
        read_all(shell, replays)
    found = {}
    for one in replays:
        name = one.case["name"]
        _, expected = DIFFERENCES.get(name, ("", chromium))
        if ours(one) != expected(one.case):
            found[name] = (ours(one), expected(one.case))
        check_gaps(one)
        check_promptness(one)
    assert found == {}


def check_gaps(replay: Replay) -> None:
    """Check that no connection begins before the reconnection time is over, which applies to all later connections."""
    seconds = RECONNECTION_TIME
    requests = replay.server.requests
    for number, (answer, following) in enumerate(zip(replay.case["answers"], requests[1:], strict=False)):
        status, body = split(answer)
        if status in (302, 308):
            continue  # a redirect is followed at once
        if status == 200 and (found := parse(body).reconnection_time) is not None:
            seconds = found / 1000
        if number in replay.ends:
            assert following.received_at - replay.ends[number] >= max(seconds, LEAST), replay.case["name"]


def check_promptness(replay: Replay) -> None:
    """Check that an event is delivered when its blank line is complete, not with the next data."""
    if "prompt dispatch" in replay.case["name"]:
        [gap] = [second - first for first, second in pairwise(replay.run.times)]
        assert gap > 0.5


def test_the_differences_are_known() -> None:
    """Each entry of `DIFFERENCES` belongs to a case, and really differs."""
    assert len(CASES) == 82
    cases = {case["name"]: case for case in CASES}
    for name, (reason, expected) in DIFFERENCES.items():
        assert reason
        assert expected(cases[name]) != chromium(cases[name])


@pytest.mark.parametrize("name", ["open", "error"])
def test_the_data_is_what_it_says(name: str) -> None:
    """The browser's log contains openings and errors: a replay that compares nothing proves nothing."""
    assert sum(entry[1] == name for case in CASES for entry in case["observed"]["log"]) > 80


# `[DONE]`

DONE = "data: [DONE]\n\n"


def test_done_is_an_event(shell: Shell) -> None:
    """An unnamed `[DONE]` does not end a feed: it is delivered, and the feed reconnects."""
    transport = scripted_transport(Answer("data: 1\n\n", DONE, "data: 2\n\n"), Answer(DONE), Answer(status=204))
    result = shell.read("http://feed.test/", method="SUBSCRIBE", http={"transport": transport})
    assert (result.data, result.error) == (["1", "[DONE]", "2", "[DONE]"], None)
    assert result.stream is not None
    assert (result.stream.outcome, len(transport.requests)) == ("completed", 3)


@pytest.mark.parametrize(
    ("terminator", "data"),
    [(Terminator(data="[DONE]"), ["1"]), (Terminator(event="end"), ["1", "[DONE]", "bye"])],
    ids=["[DONE]", "end"],
)
def test_a_terminator_ends_a_feed(shell: Shell, terminator: Terminator, data: list[str]) -> None:
    """A required terminator ends a feed too. `[DONE]` then ends it only if it is that terminator."""
    transport = scripted_transport(Answer("data: 1\n\n", DONE, "event: end\ndata: bye\n\n"))
    result = shell.read("http://feed.test/", method="SUBSCRIBE", http={"transport": transport}, terminator=terminator)
    assert (result.data, result.error) == (data, None)
    assert result.stream is not None
    assert (result.stream.outcome, len(transport.requests)) == ("completed", 1)
