"""The probes of `doctor`: the same request on another way, to the origin, or after an ID; only if asked for."""

import gzip
import json
import signal
import ssl
import sys
import time
import zlib
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trustme
from cases import At, exchange, paced
from command import Done, run, start
from h2_server import H2Server
from nginx import PROGRAM, Nginx

from sse_client.cli._request import Call
from sse_client.cli.doctor._case import Case
from sse_client.cli.doctor._exchange import End, Exchange
from sse_client.cli.doctor._finding import Finding, Level
from sse_client.cli.doctor._probes.contrast import Contrast, Way
from sse_client.cli.doctor._probes.plan import MARGIN, Probe, is_sendable, plan
from sse_client.cli.doctor._probes.resume import middle_of, resume
from sse_client.cli.doctor._probes.shape import Why, delayed, shapes
from sse_client.testing import FIN, RST, Answer, EventServer, Pause, RecordedRequest, resumable

CONTRAST = Contrast("compare", Way("here", "between", "cure here"), Way("origin", "there", "cure there"), Level.note)

TOKENS = [f"data: token {n}\n\n" for n in range(40)]


def at_once(time: float, parts: Sequence[str] = TOKENS) -> list[At]:
    """All parts at one time."""
    return [(time, part) for part in parts]


def in_lumps(size: int, step: float) -> list[At]:
    """The tokens in lumps of this size."""
    return [(round(0.3 + n // size * step, 6), token) for n, token in enumerate(TOKENS)]


# The other request, over 3.9 seconds.
SPREAD = [*paced(TOKENS, start=0.2, step=0.1)]

TIMES: dict[str, tuple[Exchange, Why | None, Level]] = {
    "one burst at the end": (exchange(*at_once(4.2)), Why.LUMP, Level.FAIL),
    "one burst, over some round trips": (
        exchange(*paced(TOKENS, start=4.1, step=0.005)),
        Why.LUMP,
        Level.FAIL,
    ),
    "one burst, of a model that was faster": (exchange(*at_once(3.0)), Why.LUMP, Level.FAIL),
    "one burst, much later than the other's end": (exchange(*at_once(9.0)), Why.LUMP, Level.WARN),
    "one burst, after a comment": (exchange((0.1, ": ok\n\n"), *at_once(4.2)), Why.LUMP, Level.WARN),
    "one burst, after pings": (
        exchange(*((n, "event: ping\ndata: \n\n") for n in (0.1, 1.1, 2.1)), *at_once(4.2)),
        Why.LUMP,
        Level.WARN,
    ),
    "one event, at the end": (exchange((4.2, TOKENS[0])), Why.LUMP, Level.WARN),
    "large lumps": (exchange(*in_lumps(8, 0.9)), Why.LUMPS, Level.FAIL),
    "lumps that a network can make": (exchange(*in_lumps(8, 0.3)), None, Level.ok),
    "lumps with pauses that few networks make": (exchange(*in_lumps(8, 0.4)), Why.LUMPS, Level.WARN),
    "nothing, for long enough": (exchange(ended_at=8.0, end=End.LEFT), Why.SILENT, Level.FAIL),
    "nothing, for too short a time": (exchange(ended_at=1.0, end=End.LEFT), None, Level.ok),
    "nothing, and a clean end": (exchange(ended_at=4.0), Why.SILENT, Level.WARN),
    "nothing, and a cut": (exchange(ended_at=4.0, end=End.CUT), Why.SILENT, Level.FAIL),
    "the first half at once": (
        exchange(*at_once(2.2, TOKENS[:20]), *paced(TOKENS[20:], start=2.3, step=0.1)),
        Why.LATE,
        Level.WARN,
    ),
    "the same": (exchange(*paced(TOKENS, start=0.2, step=0.1)), None, Level.ok),
    "the same, twice as slow": (exchange(*paced(TOKENS, start=0.4, step=0.2)), None, Level.ok),
    "the same, twice as fast": (exchange(*paced(TOKENS, start=0.1, step=0.05)), None, Level.ok),
    "the same, later": (exchange(*paced(TOKENS, start=6.0, step=0.1)), None, Level.ok),
    "two at a time": (exchange(*in_lumps(2, 0.2)), None, Level.ok),
    "one burst, at once": (exchange(*at_once(0.1)), None, Level.ok),
}


@pytest.mark.parametrize("name", TIMES)
def test_times(name: str) -> None:
    """A stream is held back if the same one, on another way, is spread over seconds; no network must look like it."""
    here, why, level = TIMES[name]
    harm = delayed(*shapes(Case(here), Case(exchange(*SPREAD))))
    assert harm == (None if why is None else (why, level))


@pytest.mark.parametrize("name", TIMES)
def test_the_other_way_is_never_a_fail(name: str) -> None:
    """If only the other way holds the stream back, it is not a fault of the one that was asked about."""
    (finding,) = CONTRAST.compare(Case(exchange(*SPREAD)), Case(TIMES[name][0]))
    assert finding.level <= Level.note


def test_a_short_reply_tells_nothing() -> None:
    """A lost packet delays all events of a short reply, so it is not held back by anything else."""
    quick = Case(exchange(*paced(TOKENS[:10], start=0.1, step=0.02)))
    assert delayed(*shapes(Case(exchange(*at_once(0.3, TOKENS[:10]))), quick)) is None
    medium = Case(exchange(*paced(TOKENS[:10], start=0.1, step=0.06)))
    assert delayed(*shapes(Case(exchange(*at_once(0.6, TOKENS[:10]))), medium)) == (Why.LUMP, Level.WARN)


def test_a_feed_is_never_a_fail() -> None:
    """A feed has no end to be held back until, and two minutes of it may differ."""
    there = Case(exchange(*paced(TOKENS, start=1.0, step=1.5), end=End.LEFT))
    for here in (exchange(*at_once(59.0), end=End.LEFT), exchange(ended_at=120.0, end=End.LEFT)):
        harm = delayed(*shapes(Case(here), there))
        assert harm is not None
        assert harm[1] is Level.WARN


def test_pieces_are_compared_if_there_is_no_event() -> None:
    """Lines of JSON, without an event, are compared by their pieces."""
    lines = [f'{{"n": {n}}}\n' for n in range(40)]
    here, there = Case(exchange(*at_once(4.2, lines))), Case(exchange(*paced(lines, start=0.2, step=0.1)))
    (finding,) = CONTRAST.compare(here, there)
    assert (finding.level, finding.area) == (Level.FAIL, "time")
    assert "40 pieces over 3.9 s" in finding.evidence


REFUSED = exchange((0.1, "no"), status=502, headers={"content-type": "text/html"})
LIMITED = exchange((0.1, "no"), status=429, headers={"content-type": "text/plain"})
NO_CONNECTION = exchange(
    status=0, failure=Finding("head", "connection", Level.FAIL, "the connection was refused", "start the server")
)
WHOLE = exchange(*SPREAD)
CUT = exchange(*SPREAD[:20], end=End.CUT)
CUT_AFTER_DONE = exchange(*SPREAD, (4.15, "data: [DONE]\n\n"), end=End.CUT)
DAMAGED = exchange(*((at, b"no gzip") for at, _ in SPREAD), more={"content-encoding": "gzip"})

RESPONSES: dict[str, tuple[Exchange, Exchange, str, Level, str]] = {
    "the same": (WHOLE, WHOLE, "time", Level.ok, "no difference"),
    "held back": (exchange(*at_once(4.2)), WHOLE, "time", Level.FAIL, "one burst of 40 events after 4.2 s: held back"),
    "later": (exchange(*paced(TOKENS, start=6.0, step=0.1)), WHOLE, "time", Level.note, "the same, but later"),
    "from a cache": (exchange(*at_once(0.1)), WHOLE, "time", Level.note, "perhaps from a cache"),
    "refused here": (REFUSED, WHOLE, "head", Level.FAIL, "here: 502 text/html: refused between"),
    "refused there": (WHOLE, REFUSED, "head", Level.WARN, "origin: 502 text/html; here: 200 text/event-stream"),
    "refused": (REFUSED, REFUSED, "head", Level.note, "no stream to compare"),
    "too many requests": (WHOLE, LIMITED, "head", Level.note, "limits requests"),
    "no connection here": (NO_CONNECTION, WHOLE, "head", Level.FAIL, "here: the connection was refused"),
    "no connection there": (WHOLE, NO_CONNECTION, "head", Level.WARN, "origin: the connection was refused"),
    "cut here": (CUT, WHOLE, "body", Level.FAIL, "cut after 2.1 s: cut between"),
    "cut there": (WHOLE, CUT, "body", Level.note, "cut after 2.1 s; here: 40 events over 3.9 s, from 0.20 s on, whole"),
    "cut": (CUT, CUT, "time", Level.ok, "no difference"),
    "cut after the end": (CUT_AFTER_DONE, WHOLE, "time", Level.ok, "no difference"),
    "limited here": (LIMITED, WHOLE, "head", Level.note, "limits requests"),
    "cut cleanly": (exchange(*SPREAD[:20]), WHOLE, "body", Level.WARN, "only the first 310 of them: cut cleanly"),
    "another reply": (exchange(*SPREAD[5:20]), WHOLE, "time", Level.ok, "no difference"),
    "damaged": (DAMAGED, WHOLE, "body", Level.FAIL, "the gzip data is damaged: damaged between"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_responses(name: str) -> None:
    """Two responses are compared by what came at all, whether it is whole, and when it came; the worst is named."""
    here, there, area, level, text = RESPONSES[name]
    (finding,) = CONTRAST.compare(Case(here), Case(there))
    assert (finding.check, finding.area, finding.level) == ("compare", area, level)
    assert text in finding.evidence
    assert bool(finding.cure) == (
        level >= Level.WARN or name in ("later", "too many requests", "limited here", "cut there")
    )


def numbered(first: int, last: int, text: str = "event") -> str:
    """Events with these IDs."""
    return "".join(f"id: {n}\ndata: {text} {n}\n\n" for n in range(first, last + 1))


FEED = exchange((0.1, numbered(1, 5)), end=End.LEFT)
REPLY = exchange((0.1, numbered(1, 5)))
SOME_IDS = exchange((0.1, "id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\ndata: d\n\nid: 3\ndata: e\n\n"))

HELLO = "event: hello\ndata: you\n\n"
GREETED = exchange((0.1, HELLO + numbered(1, 5)), end=End.LEFT)

RESUMED: dict[str, tuple[Exchange, Exchange, Level, str]] = {
    "continues": (REPLY, exchange((0.1, numbered(4, 5))), Level.ok, "continues after it"),
    "continues with other data": (REPLY, exchange((0.1, numbered(4, 5, "x"))), Level.note, "with other data"),
    "continues, later with old events": (
        REPLY,
        exchange((0.1, numbered(4, 5) + numbered(1, 2))),
        Level.WARN,
        "sends 2 events from before it again",
    ),
    "starts over": (REPLY, exchange((0.1, numbered(1, 5))), Level.WARN, "starts over"),
    "starts over with a new reply": (REPLY, exchange((0.1, numbered(1, 5, "x"))), Level.WARN, "ignores it"),
    "starts over without IDs": (REPLY, exchange((0.1, "data: event 1\n\n")), Level.WARN, "starts over, without IDs"),
    "goes back": (REPLY, exchange((0.1, numbered(2, 5))), Level.WARN, "goes back: sends 2 events again"),
    "repeats the event": (REPLY, exchange((0.1, numbered(3, 5))), Level.WARN, "repeats this event"),
    "another event with this ID": (
        REPLY,
        exchange((0.1, numbered(3, 5, "x"))),
        Level.WARN,
        "another event with this ID",
    ),
    "skips one": (REPLY, exchange((0.1, numbered(5, 5))), Level.WARN, "skips 1 event"),
    "other IDs": (REPLY, exchange((0.1, numbered(70, 75))), Level.WARN, "ignores it: sends other events"),
    "no IDs": (REPLY, exchange((0.1, "data: x\n\n")), Level.WARN, "ignores it: sends another event without an ID"),
    "204": (
        REPLY,
        exchange(status=204, headers={}),
        Level.WARN,
        "204, which ends the stream, though 2 events followed",
    ),
    "400": (REPLY, exchange(status=400, headers={}), Level.WARN, "refused, with 400"),
    "429": (REPLY, LIMITED, Level.note, "limits requests"),
    "no connection": (REPLY, NO_CONNECTION, Level.WARN, "the connection was refused"),
    "no event": (REPLY, exchange(ended_at=0.2), Level.WARN, "nothing, though 2 events followed"),
    "no event, and a cut": (REPLY, exchange(ended_at=0.2, end=End.CUT), Level.WARN, "cut after 0.20 s"),
    "a feed: continues": (FEED, exchange((0.1, numbered(4, 9)), end=End.LEFT), Level.ok, "continues after it"),
    "a feed: only new events": (FEED, exchange((0.1, numbered(9, 9)), end=End.LEFT), Level.ok, "with new events"),
    "a feed: silence": (FEED, exchange(ended_at=5.0, end=End.LEFT), Level.note, "no event in 5.0 s"),
    "a feed: no IDs": (FEED, exchange((0.1, "data: x\n\n"), end=End.LEFT), Level.note, "it is unclear"),
    "a feed: starts over": (FEED, exchange((0.1, numbered(1, 5)), end=End.LEFT), Level.WARN, "starts over"),
    "some IDs: after the event": (SOME_IDS, exchange((0.1, "data: d\n\nid: 3\ndata: e\n\n")), Level.ok, "continues"),
    "some IDs: at the next": (SOME_IDS, exchange((0.1, "id: 3\ndata: e\n\n")), Level.ok, "continues"),
    "greeted: continues": (GREETED, exchange((0.1, HELLO + numbered(4, 5))), Level.ok, "continues after it"),
    "greeted: starts over": (GREETED, exchange((0.1, HELLO + numbered(1, 5))), Level.WARN, "starts over"),
    "greeted: silence": (GREETED, exchange((0.1, HELLO), ended_at=5.0, end=End.LEFT), Level.note, "no event in 5.0 s"),
    "pings: continues": (REPLY, exchange((0.1, "event: ping\ndata: \n\n" + numbered(4, 5))), Level.ok, "continues"),
    "one event: 204": (
        exchange((0.1, numbered(1, 1))),
        exchange(status=204, headers={}),
        Level.ok,
        "nothing follows it",
    ),
    "one event: silence": (
        exchange((0.1, numbered(1, 1))),
        exchange(ended_at=5.0, end=End.LEFT),
        Level.ok,
        "nothing more in 5.0 s",
    ),
    "one event: new ones": (
        exchange((0.1, numbered(1, 1))),
        exchange((0.1, numbered(2, 3))),
        Level.ok,
        "continues with new events",
    ),
    "two events: starts over": (
        exchange((0.1, numbered(1, 2))),
        exchange((0.1, numbered(1, 2))),
        Level.WARN,
        "which was the first",
    ),
}


@pytest.mark.parametrize("name", RESUMED)
def test_resumed(name: str) -> None:
    """A server continues after the ID, starts over, ignores it, repeats the event itself, skips some, or refuses."""
    seen, other, level, text = RESUMED[name]
    (finding,) = resume(Case(seen), Case(other))
    assert (finding.check, finding.area, finding.level) == ("resume", "body", level)
    assert text in finding.evidence
    assert bool(finding.cure) == (level >= Level.WARN) or level is Level.note


def test_the_middle() -> None:
    """The middle ID has events before and after it if there are three; an ID that several events have counts once."""
    middles = {
        ids: middle_of(Case(exchange((0.1, "".join(f"id: {each}\ndata: x\n\n" for each in ids)))))
        for ids in ("1", "12", "123", "12345", "112233")
    }
    assert {ids: middle and (middle.id, len(middle.after)) for ids, middle in middles.items()} == {
        "1": ("1", 0),
        "12": ("1", 1),
        "123": ("2", 1),
        "12345": ("3", 2),
        "112233": ("2", 2),
    }
    assert middle_of(Case(WHOLE)) is None


def options(**changes: object) -> Namespace:
    """Options of the command, without any probe."""
    usual = {"probe": False, "resume_check": False, "compare": None, "query": None, "http2": False, "count": None}
    return Namespace(**{**usual, "timeout": None, "wait": None, **changes})


def planned(case: Exchange, call: Call, given: Namespace) -> list[str]:
    """The probes, or why there is none."""
    return [each.how if isinstance(each, Probe) else each.evidence for each in plan(Case(case), call, given)]


POST = Call("POST", "http://api.test/chat", {"json": {}})
GET = Call("GET", "http://api.test/feed", {"headers": [(b"accept-encoding", b"gzip")]})
PLAIN = "the response is not compressed, though gzip was accepted"
NO_HTTP2 = "not compared: http URLs use HTTP/1.1 only, as in browsers"
COMPRESSED = exchange(*SPREAD, more={"content-encoding": "gzip"}, accepted="gzip")


def test_what_is_sent() -> None:
    """Only the requests that were asked for are sent, and of those only the ones that can tell something."""
    plain, http = exchange(*SPREAD, accepted="gzip"), options(probe=True)
    assert planned(plain, POST, options()) == []
    assert planned(plain, POST, http) == [PLAIN, NO_HTTP2]
    assert planned(plain, GET, http) == [PLAIN, NO_HTTP2, "with an empty body"]
    assert planned(COMPRESSED, POST, http) == ["with Accept-Encoding: identity", NO_HTTP2]
    https = exchange(*SPREAD, accepted="gzip", url="https://api.test/")
    assert planned(https, POST, http) == [PLAIN, "over HTTP/2"]
    assert planned(https, POST, options(probe=True, http2=True)) == [
        PLAIN,
        "not compared: the server does not offer HTTP/2",
    ]
    http2 = exchange(*SPREAD, accepted="gzip", url="https://api.test/", http_version="HTTP/2")
    assert planned(http2, POST, http) == [PLAIN, "over HTTP/1.1"]
    assert planned(WHOLE, POST, http)[0].startswith("with Accept-Encoding: gzip, deflate")
    assert planned(plain, POST, options(resume_check=True)) == ["no event has an ID, so the stream cannot be resumed"]
    assert planned(exchange(), POST, options(resume_check=True)) == ["no event to resume from"]
    assert planned(REPLY, POST, options(resume_check=True)) == ["with the middle event's ID as Last-Event-ID"]
    assert planned(exchange((0.1, "id: \v\ndata: x\n\n")), POST, options(resume_check=True)) == [
        "HTTP cannot carry the middle event's ID, so the stream cannot be resumed after it"
    ]
    everything = options(probe=True, resume_check=True, compare="http://origin.test/")
    assert planned(NO_CONNECTION, POST, everything) == ["with the same headers and credentials"]


def test_h2_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without h2, HTTP/2 is not compared, and the finding says how to install it."""
    monkeypatch.setitem(sys.modules, "h2.connection", None)
    https = exchange(*SPREAD, accepted="gzip", url="https://api.test/")
    assert planned(https, POST, options(probe=True)) == [PLAIN, "not compared: h2 is not installed"]


def test_probes_are_bounded() -> None:
    """A probe is read for little longer than the main request took, and not for as long as `--wait`."""
    for ended_at, given, most in ((2.0, {}, 2.0), (300.0, {"wait": 300.0}, 60.0), (30.0, {"timeout": 30.0}, 30.0)):
        case = Case(exchange((0.1, numbered(1, 5)), accepted="", end=End.LEFT, ended_at=ended_at))
        everything = options(probe=True, resume_check=True, compare="http://origin.test/", **given)
        probes = [each for each in plan(case, GET, everything) if isinstance(each, Probe)]
        assert [(each.options.timeout, each.options.wait) for each in probes] == [(most + MARGIN, None)] * len(probes)
        assert [each.options.count for each in probes] == [None, None, 2, None]


@pytest.mark.parametrize(
    ("id", "is_valid"),
    [("1", True), ("é", True), ("", False), ("\x0b", False), ("\x7f", False), ("a\tb", False)],
    ids=["digit", "beyond ASCII", "empty", "VT", "DEL", "tab"],
)
def test_sendable(id: str, is_valid: bool) -> None:
    """Only an ID without control characters is sent."""
    assert is_sendable(id.encode()) is is_valid


SECRET = "c4n4ry"

# 1.2 s: a spread that no lost packet can explain.
SLOW: list[str | Pause] = [step for n in range(13) for step in (f"id: {n}\ndata: {n}\n\n", Pause(0.1))]
TOGETHER: list[str | Pause] = [Pause(1.3), "".join(f"id: {n}\ndata: {n}\n\n" for n in range(13))]


PROBES = ("probe-gzip", "probe-http2", "probe-post", "resume", "compare")


def lines_of(done: Done, *names: str) -> dict[str, str]:
    """The lines of these checks in the report; by default those of the probes."""
    names = names or PROBES
    split = (line.split(maxsplit=2) for line in done.out.decode().splitlines())
    return {parts[1]: f"{parts[0]} {parts[2]}" for parts in split if len(parts) == 3 and parts[1] in names}


def announced(done: Done) -> list[str]:
    """The requests that were announced."""
    return [line.removeprefix("sse-client: ") for line in done.err.splitlines() if line.startswith("sse-client: one")]


def test_one_request() -> None:
    """Without an option exactly one request is sent, a GET as well as a POST."""
    for body in ([], ["--json", "{}"]):
        with EventServer(Answer("id: 1\ndata: 1\n\n")) as server:
            done = run("doctor", server.url, *body)
            assert [request.method for request in server.requests] == ["POST" if body else "GET"]
        assert len(announced(done)) == 1
        assert lines_of(done) == {}


def compressing(request: RecordedRequest) -> Answer:
    """A server that compresses if it may, and then forgets to flush."""
    text = "".join(f"data: {n}\n\n" for n in range(13)).encode()
    if "gzip" in request.headers["accept-encoding"]:
        return Answer(Pause(1.3), gzip.compress(text), headers={"Content-Encoding": "gzip"})
    return Answer(*(step for n in range(13) for step in (f"data: {n}\n\n", Pause(0.1))))


def test_compression_that_holds_back() -> None:
    """A stream that comes in one burst only if it is compressed is held back by the compression; a POST is repeated."""
    with EventServer(compressing) as server:
        done = run("doctor", server.url, "--json", "{}", "--probe")
        first, second = server.requests
    assert (first.method, first.body, first.headers["content-type"]) == (
        second.method,
        second.body,
        second.headers["content-type"],
    )
    assert second.headers["accept-encoding"] == "identity"
    assert announced(done) == [
        f"one POST to {server.url}, which may cost money",
        f"one more POST to {server.url} with Accept-Encoding: identity, which may cost money",
    ]
    found = lines_of(done)
    assert found.keys() == {"probe-gzip", "probe-http2"}
    assert found["probe-gzip"].startswith("FAIL without compression: 13 events over 1.")
    assert "held back by gzip" in found["probe-gzip"]
    assert done.code == 1


def flushed(request: RecordedRequest) -> Answer:
    """A server that compresses if it may, and flushes."""
    events = [f"data: {n}\n\n".encode() for n in range(3)]
    if "gzip" not in request.headers["accept-encoding"]:
        return Answer(*events)
    compressor = zlib.compressobj(wbits=31)
    pieces = [compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH) for event in events]
    return Answer(*pieces, compressor.flush(), headers={"Content-Encoding": "gzip"})


def test_compression_that_is_flushed() -> None:
    """Compression that does not delay is no fault, whichever of the two was asked for first."""
    for header, expected in (([], "identity"), (["-H", "Accept-Encoding: identity"], "gzip, deflate")):
        with EventServer(flushed) as server:
            found = lines_of(run("doctor", server.url, "-d", "", "--probe", *header))
            assert server.requests[1].headers["accept-encoding"].startswith(expected)
            assert len(server.requests) == 2
        assert found["probe-gzip"].startswith("ok ")


def test_a_server_that_never_compresses() -> None:
    """If the server does not compress though it may, nothing is sent for a comparison."""
    with EventServer(Answer("data: 1\n\n")) as server:
        found = lines_of(run("doctor", server.url, "-d", "", "--probe"))
        assert len(server.requests) == 1
        assert found["probe-gzip"] == f"ok {PLAIN}"
        again = lines_of(run("doctor", server.url, "-d", "", "--probe", "-H", "Accept-Encoding: identity"))
        assert len(server.requests) == 3
    assert again["probe-gzip"] == f"ok {PLAIN}"


POSTS: dict[str, tuple[Answer, str]] = {
    "streams too": (Answer("data: 1\n\n"), "ok POST: one event"),
    "refused": (Answer("no", status=405, headers={"Content-Type": "text/plain"}), "ok POST: 405 text/plain"),
}


@pytest.mark.parametrize("name", POSTS)
def test_a_get_as_a_post(name: str) -> None:
    """A GET is compared with a POST, which is announced as one; a POST that is refused is no fault."""
    answer, text = POSTS[name]
    with EventServer(lambda request: Answer("data: 1\n\n") if request.method == "GET" else answer) as server:
        done = run("doctor", server.url, "--probe")
        assert [(request.method, request.body) for request in server.requests] == [("GET", b""), ("POST", b"")]
    assert announced(done)[1] == f"one more POST to {server.url} with an empty body, which may cost money"
    assert lines_of(done)["probe-post"].startswith(text)


@pytest.fixture(scope="module")
def authority() -> Callable[[], ssl.SSLContext]:
    """Makes the TLS contexts of servers on this machine."""
    certificate = trustme.CA().issue_cert("127.0.0.1")

    def context() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(made)
        return made

    return context


def test_http2(authority: Callable[[], ssl.SSLContext]) -> None:
    """Over https the other version of HTTP is tried; a server that does not have it is only noted."""
    with EventServer(Answer("data: 1\n\n"), ssl_context=authority()) as server:
        done = run("doctor", server.url, "-k", "-d", "", "--probe")
        assert len(server.requests) == 2
    assert announced(done)[1] == f"one more POST to {server.url} over HTTP/2, which may cost money"
    assert lines_of(done)["probe-http2"] == "note not compared: the server does not offer HTTP/2"
    with H2Server(authority()) as server_2:
        done = run("doctor", f"{server_2.url}/done", "-k", "--http2", "-d", "", "--probe")
        assert len(server_2.on("/done")) == 1
    assert announced(done)[1] == f"one more POST to {server_2.url}/done over HTTP/1.1, which may cost money"
    assert lines_of(done)["probe-http2"].startswith("WARN HTTP/1.1: the connection was closed")


def test_resume_check() -> None:
    """The request is sent once more, with the ID of the middle event, and is left as soon as the result is known."""
    with EventServer(resumable(*"abcde")) as server:
        done = run("doctor", server.url, "--json", "{}", "--resume-check", "--last-event-id", "0")
        assert [request.headers["last-event-id"] for request in server.requests] == ["0", "3"]
        assert [request.method for request in server.requests] == ["POST", "POST"]
    assert len(announced(done)) == 2
    assert announced(done)[1].endswith(" with the middle event's ID as Last-Event-ID, which may cost money")
    assert lines_of(done)["resume"] == "ok Last-Event-ID 3: continues after it"
    with EventServer(Answer("id: 1\ndata: a\n\n", "id: 2\ndata: b\n\n", "id: 3\ndata: c\n\n", Pause(60))) as server:
        began = time.monotonic()
        done = run("doctor", server.url, "--resume-check", "--count", "3")
        assert time.monotonic() - began < 30
        assert [request.headers.get("last-event-id") for request in server.requests] == [None, "2"]
    assert lines_of(done)["resume"].startswith("WARN Last-Event-ID 2: starts over")
    with EventServer(Answer("data: a\n\n")) as server:
        done = run("doctor", server.url, "--resume-check")
        assert len(server.requests) == 1
    assert lines_of(done)["resume"] == "note no event has an ID, so the stream cannot be resumed"


def test_compare() -> None:
    """A proxy that collects the reply is found by the same request, with its headers and credentials, to the origin."""
    with EventServer(Answer(*TOGETHER)) as proxy, EventServer(Answer(*SLOW)) as origin:
        arguments = [proxy.url + "/a?x=1", "--json", '{"a": 1}', "-H", "X-Key: 7", "-q", "q=2", "-u", "me:you"]
        done = run("doctor", *arguments, "--compare", origin.url + "/b")
        (here,), (there,) = proxy.requests, origin.requests
    assert (here.target, there.target) == ("/a?x=1&q=2", "/b?q=2")
    assert (there.method, there.body) == (here.method, here.body)
    assert {**there.headers, "host": ""} == {**here.headers, "host": ""}
    assert announced(done)[1] == (
        f"one more POST to {origin.url}/b with the same headers and credentials, which may cost money"
    )
    assert lines_of(done)["compare"].startswith("FAIL origin: 13 events over 1.")
    assert "here: one burst of 13 events after 1." in lines_of(done)["compare"]
    assert "held back between here and the origin" in lines_of(done)["compare"]
    assert done.code == 1


def test_compare_with_an_origin_that_is_the_same() -> None:
    """If the origin sends as the proxy does, there is no difference, and all findings are in one list."""
    with EventServer(Answer("data: 1\n\n")) as server:
        done = run("doctor", server.url, "--compare", server.url, "--json")
        assert len(server.requests) == 2
    report = json.loads(done.out)
    assert report["findings"][-1]["check"] == "compare"
    assert report["findings"][-1]["level"] == "ok"
    assert [other["findings"] for other in report["others"]] == [[]]


@pytest.mark.parametrize("url", ["ftp://h/", "http://", "/x"])
def test_a_wrong_url_to_compare(url: str) -> None:
    """A URL that cannot be compared is a mistake in the arguments, and nothing is sent."""
    with EventServer(Answer("data: 1\n\n")) as server:
        assert run("doctor", server.url, "--compare", url).code == 2
        assert server.requests == []


def test_a_recording_cannot_be_probed(tmp_path: Path) -> None:
    """A recording has no server to ask."""
    recording = tmp_path / "body.txt"
    recording.write_text("data: 1\n\n")
    for each in (["--probe"], ["--resume-check"], ["--compare", ":1"]):
        done = run("doctor", str(recording), *each)
        assert done.code == 2
        assert "need a URL" in done.err


def zipped(answer: Answer) -> Answer:
    """The same response, compressed in one piece."""
    body = gzip.compress(b"".join(step for step in answer.steps if isinstance(step, bytes)))
    return Answer(body, headers={"Content-Encoding": "gzip"})


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """A canary in headers, password, query and body is sent to both servers, and shown in no report or announcement."""
    events = resumable(*"abc")

    def answer(request: RecordedRequest) -> Answer:
        streamed = events(request)
        return streamed if request.headers["accept-encoding"] == "identity" else zipped(streamed)

    with EventServer(answer) as server, EventServer(answer) as origin:
        urls = [each.url.replace("//", f"//user:{SECRET}@") + f"/?key={SECRET}" for each in (server, origin)]
        arguments = ["-H", f"X-Key: {SECRET}", "-H", f"Cookie: sid={SECRET}", "-q", f"k={SECRET}", "-d", SECRET]
        files = [file for kind in ("html", "svg", "record") for file in (f"--{kind}", str(tmp_path / kind))]
        everything = ["--probe", "--resume-check", "--compare", urls[1], *files, "--with-data"]
        for report in ([], ["--json"]):
            done = run("doctor", urls[0], *arguments, *everything, *report)
            assert done.code == 0
            kept = "".join(file.read_text() for file in tmp_path.iterdir())
            assert SECRET not in f"{done.out.decode()}{done.err}{kept}"
        sent = [*server.requests, *origin.requests]
    assert [len(server.requests), len(origin.requests)] == [6, 2]
    assert {(request.headers["x-key"], request.body) for request in sent} == {(SECRET, SECRET.encode())}


# How an idle connection falls, and the line about it.
FALLS: dict[str, tuple[Answer, str]] = {
    "closed": (
        Answer("data: 1\n\n", Pause(1.2), framing="close"),
        "WARN the idle connection was closed cleanly after 1.",
    ),
    "cut": (
        Answer("data: 1\n\n", Pause(1.2), FIN),
        "WARN the idle connection was cut (RemoteProtocolError) after 1.",
    ),
    "reset": (Answer("data: 1\n\n", Pause(1.2), RST), "WARN the idle connection was cut (ReadError) after 1."),
    "held": (Answer("data: 1\n\n", Pause(60)), "ok still open after "),
}


@pytest.mark.parametrize("name", FALLS)
def test_wait(name: str) -> None:
    """`--wait` keeps reading, and tells when an idle connection is dropped, and how; nothing more is sent."""
    answer, text = FALLS[name]
    with EventServer(answer) as server:
        done = run("doctor", server.url, "--timeout", "0.5", "--wait", "1.6")
        assert len(server.requests) == 1
    assert lines_of(done, "wait")["wait"].startswith(text)


def test_the_cure_names_who_stands_between() -> None:
    """The cure is that of a proxy which is seen here and not at the origin."""
    (each,) = plan(Case(WHOLE), POST, options(compare="http://origin.test/"))
    assert isinstance(each, Probe)
    nginx, here = {"server": "nginx/1.26"}, exchange(*at_once(4.2), more={"server": "nginx/1.26", "via": "1.1 varnish"})
    (finding,) = each.judge(Case(here), Case(exchange(*SPREAD, more=nginx)))
    assert (finding.level, finding.cure.partition(":")[0]) == (Level.FAIL, "Varnish")
    zipped_at_end = [(4.2, gzip.compress("".join(TOKENS).encode()))]
    here = exchange(*zipped_at_end, more={"server": "nginx/1.26", "content-encoding": "gzip"})
    (finding,) = each.judge(Case(here), Case(WHOLE))
    assert (finding.level, "gzip off;" in finding.cure) == (Level.FAIL, True)
    (finding,) = each.judge(Case(exchange(*at_once(4.2))), Case(WHOLE))
    assert "proxy_buffering off;" in finding.cure


def test_an_interrupted_probe() -> None:
    """Ctrl-C while a probe is read ends it and all others; the report is printed, and the exit code is 130."""
    with EventServer(Answer("id: 1\ndata: 1\n\n")) as server, EventServer(Answer(Pause(60))) as origin:
        process = start("doctor", server.url, "--compare", origin.url)
        origin.wait_for_requests(1, 30)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"ok    status" in out
    assert b"not compared: ended by Ctrl-C" in out


# An HTTP/2 connection: its settings, a head, and the body of a request that was never made.
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
HEAD = b"\x88" + b"\x0f\x10\x11text/event-stream"
HEADERS = len(HEAD).to_bytes(3, "big") + b"\1\4\0\0\0\1" + HEAD
STRAY = b"\0\0\1\0\0\0\0\0\x09x"


@pytest.mark.parametrize("name", ["before the head", "after the head"])
def test_broken_http2(name: str, authority: Callable[[], ssl.SSLContext]) -> None:
    """A server that breaks HTTP/2 is what was found, and not a mistake in the arguments."""
    context = authority()
    context.set_alpn_protocols(["h2"])
    first = SETTINGS + (HEADERS if name == "after the head" else b"")
    with EventServer(Answer(first, Pause(0.1), STRAY, Pause(0.5), framing="raw"), ssl_context=context) as server:
        done = run("doctor", server.url, "-k", "--http2", "--timeout", "5")
    assert done.code == (1 if name == "after the head" else 3), done.err
    assert b"HTTP/2 200" in done.out or name == "before the head"


LOCATIONS = ["http://[::1", "javascript:c4n4ry", "//me:c4n4ry@[/", "http://h:999999/", "\x7f", "", "/a"]


@pytest.mark.parametrize("location", LOCATIONS, ids=["bracket", "script", "user", "port", "DEL", "empty", "path"])
def test_redirects_that_lead_nowhere(location: str) -> None:
    """The target of a redirect may be anything: it is a finding if it is not followed, and shows no secret."""
    with EventServer(Answer(status=302, headers={"Location": location})) as server:
        done = run("doctor", server.url, "-d", "")
        assert len(server.requests) == 1
    assert done.code == 1
    assert b"FAIL  redirect" in done.out
    assert SECRET not in f"{done.out.decode()}{done.err}" or location.startswith("javascript:")


@pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")
@pytest.mark.parametrize("location", ["buffered", "buffered-gzip", "healthy-gzip"])
def test_nginx(location: str, tmp_path: Path) -> None:
    """A real nginx that buffers or compresses is told from its backend, and from compression that does no harm."""
    tmp_path.chmod(0o777)
    events = [step for n in range(13) for step in (f"data: {n}\n\n", Pause(0.1))]
    # nginx speaks HTTP/1.0 to its backend, which then has no chunks.
    answer = Answer(*events, framing="close" if location == "buffered" else "chunked")
    with EventServer(answer) as backend, Nginx(tmp_path, backend.port) as nginx:
        done = run("doctor", nginx.url(f"{location}/chat"), "-d", "", "--probe", "--compare", f"{backend.url}/chat")
    found = {check: line.split()[0] for check, line in lines_of(done).items()}
    assert found == {
        "probe-gzip": "FAIL" if location == "buffered-gzip" else "ok",
        "probe-http2": "note",
        "compare": "ok" if location == "healthy-gzip" else "FAIL",
    }
    assert done.code == (0 if location == "healthy-gzip" else 1)
