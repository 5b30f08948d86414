"""The checks of the times: the start, bursts, buffers, timestamps, silences."""

import re
from typing import Any

import pytest
from cases import At, blocks, exchange, findings, found, paced, recut, the

from sse_client import Terminator
from sse_client.cli.doctor._case import Case
from sse_client.cli.doctor._checks.bursts import bursts_of, is_timed
from sse_client.cli.doctor._checks.proxies import seen
from sse_client.cli.doctor._exchange import End, Exchange
from sse_client.cli.doctor._finding import Level

TOKENS = blocks(40)
WHOLE = "".join(TOKENS)
NGINX = {"server": "nginx/1.26.3"}


def test_start() -> None:
    """The evidence has the times of the head, the first byte and the first event."""
    finding = the("start", exchange((0.2, ": ok\n\n"), *paced(TOKENS, start=1.5), head_at=0.1))
    assert finding.evidence == "head after 0.10 s, first byte after 0.20 s, first event after 1.50 s"
    assert finding.level is Level.ok
    assert the("start", exchange(end=End.LEFT, head_at=0.1)).evidence == "head after 0.10 s"


@pytest.mark.parametrize(
    ("head_at", "level"), [(9.9, Level.ok), (10.0, Level.note), (29.9, Level.note), (30.0, Level.WARN)]
)
def test_a_late_head(head_at: float, level: Level) -> None:
    """A head after ten seconds is worth a note, and after thirty a warning: there proxies give up."""
    finding = the("start", exchange(*paced(TOKENS, start=head_at + 0.1), head_at=head_at))
    assert finding.level is level
    assert bool(finding.cure) == (level > Level.ok)


def test_no_response_has_no_times() -> None:
    """Without a response there is nothing to say about times."""
    assert not [finding for finding in findings(exchange(status=0, headers={})) if finding.area == "time"]


def test_other_statuses_are_not_judged_as_streams() -> None:
    """Of a response that is not a stream only the start is reported."""
    made = exchange((3.0, "no" * 5000), status=500)
    assert {finding.check for finding in findings(made) if finding.area == "time"} == {"start"}


def test_bursts() -> None:
    """What comes less than 5 ms apart is one burst."""
    bursts = bursts_of([0.0, 0.004, 0.008, 0.0131, 1.0])
    assert [burst.count for burst in bursts] == [3, 1, 1]
    assert (bursts[0].begin, bursts[0].end) == (0.0, 0.008)


def lump(after: float, count: int = 40, **options: Any) -> Exchange:
    return exchange((after, "".join(blocks(count))), **options)


ONE_BURST: dict[str, tuple[Level, Exchange]] = {
    "fast": (Level.note, lump(0.49)),
    "fast, with few events": (Level.note, lump(0.99, 18)),
    "not so fast after the head": (Level.WARN, lump(0.61, head_at=0.1)),
    "not so fast with the head": (Level.note, lump(0.61, head_at=0.6)),
    "slow after the head": (Level.WARN, lump(1.01, head_at=0.1)),
    "after more": (Level.FAIL, lump(1.11, head_at=0.1)),
    "after more, with few events": (Level.note, lump(20.0, 7)),
    "after more, with three events": (Level.ok, lump(20.0, 2)),
    "after more, over a second": (Level.note, exchange(*paced(TOKENS, start=4.0, step=0.004))),
    "in a cold start": (Level.WARN, lump(1.9, head_at=1.9)),
    "in a cold start of nginx": (Level.FAIL, lump(0.6, head_at=0.6, more=NGINX)),
    "in a cold start with a length": (Level.FAIL, lump(0.6, head_at=0.6, more={"content-length": "1"})),
    "fast, by nginx": (Level.note, lump(0.4, head_at=0.4, more=NGINX)),
    "after a cold start": (Level.FAIL, lump(2.0, head_at=2.0)),
    "after a slow connection": (Level.WARN, lump(2.9, head_at=2.9, connected_at=1.0)),
    "without an end": (Level.note, exchange((5.0, "".join(TOKENS[:-1])), end=End.LEFT, ended_at=60.0)),
    "with an end much later": (Level.note, exchange((5.0, "".join(TOKENS[:-1])), ended_at=9.0)),
    "with a terminator": (Level.FAIL, exchange((5.0, WHOLE), end=End.LEFT, ended_at=60.0)),
    "after a comment": (Level.WARN, exchange((1.0, ": ok\n\n"), (6.0, WHOLE))),
    "after a ping": (Level.WARN, exchange((1.0, "event: ping\ndata: {}\n\n"), (6.0, WHOLE))),
    "after more, but not so many": (Level.WARN, lump(2.9, 18)),
    "after much more, not so many": (Level.FAIL, lump(3.0, 18)),
    "after more, not so many, by nginx": (Level.FAIL, lump(2.1, 11, head_at=2.0, more=NGINX)),
    "after more, not so many, after the head of nginx": (Level.WARN, lump(2.1, 11, head_at=1.8, more=NGINX)),
    "after more, not so many, with a length": (Level.FAIL, lump(2.1, 11, more={"content-length": "1"})),
    "after more, but not so fast": (Level.WARN, exchange(*paced(blocks(99), start=4.0, step=0.0003))),
    "with its comment": (Level.FAIL, exchange((6.0, f": ok\n\n{WHOLE}"))),
}


@pytest.mark.parametrize("name", ONE_BURST)
def test_one_burst(name: str) -> None:
    """All events in one burst fail only if they are many, at the end, and later than anything else explains."""
    level, made = ONE_BURST[name]
    assert the("buffering", made).level is level


def test_the_evidence_of_a_burst() -> None:
    """The evidence says how many events came, and when; the cure is that of the proxy that was seen."""
    finding = the("buffering", lump(12.3, 40))
    assert finding.evidence == "one burst of 41 events at the end, after 12.3 s"
    assert "--compare" in finding.cure
    assert the("buffering", lump(12.3, 40, more=NGINX)).cure == (
        "nginx: `proxy_buffering off;` or send `X-Accel-Buffering: no`"
    )
    assert the("buffering", lump(12.3, 40, more={"server": "railway", "via": "1.1 Caddy"})).cure == (
        "Caddy: `flush_interval -1`"
    )
    assert "Content-Length" in the("buffering", lump(12.3, 40, more={"content-length": "9"})).cure


def test_pings_named_by_the_user_are_no_events() -> None:
    """Events that the user names as pings do not count as a reply."""
    beats = [(float(n), "event: tick\ndata: 1\n\n") for n in range(1, 6)]
    made = exchange(*beats, (9.0, WHOLE))
    assert the("buffering", Case(made, marks={"pings": ["tick"]})).evidence.startswith("one burst of 41 events")


def test_a_named_terminator_ends_a_reply() -> None:
    """A burst with the terminator is at the end, though the connection stays open."""
    made = exchange((5.0, "".join([*TOKENS[:-1], "event: bye\ndata: 1\n\n"])), end=End.LEFT, ended_at=60.0)
    case = Case(made, marks={"terminator": Terminator(event="bye")})
    assert the("buffering", case).level is Level.FAIL
    assert the("buffering", made).level is Level.note


def test_several_bursts() -> None:
    """Several bursts of many events, with pauses between them, are a warning; small ones are how models write."""
    parts = blocks(60, done=False)
    large = exchange(*paced(("".join(parts[at : at + 20]) for at in (0, 20, 40)), step=0.7))
    assert the("buffering", large).evidence == "60 events in 3 bursts of up to 20, with pauses of 0.7 s"
    assert the("buffering", large).level is Level.WARN
    small = exchange(*paced(("".join(parts[at : at + 6]) for at in range(0, 60, 6)), step=0.7))
    assert the("buffering", small).level is Level.ok
    quick = exchange(*paced(("".join(parts[at : at + 20]) for at in (0, 20, 40)), step=0.2))
    assert the("buffering", quick).level is Level.ok


def test_bursts_of_round_trips() -> None:
    """A large reply that comes at once in a few round trips is a warning; one that comes early is not."""
    parts = blocks(140)
    trips = ["".join(parts[at:to]) for at, to in ((0, 20), (20, 60), (60, 141))]
    finding = the("buffering", exchange(*paced(trips, start=9.0, step=0.12)))
    assert finding.level is Level.WARN
    assert finding.evidence == "141 events in 3 bursts within 0.24 s at the end, after 9.0 s"
    assert the("buffering", exchange(*paced(trips, start=0.9, step=0.12))).level is Level.ok
    assert the("buffering", exchange(*paced(trips, start=9.0, step=0.49))).level is Level.ok


def test_the_rest_at_the_end() -> None:
    """If most events come at the end, after a silence, it is a warning: the first one came through."""
    finding = the("buffering", exchange((0.1, TOKENS[0]), (4.1, "".join(TOKENS[1:]))))
    assert finding.level is Level.WARN
    assert finding.evidence == "40 of 41 events in one burst at the end, after 4.0 s of silence"


def blocks_of(size: int, *, step: float = 0.5, count: int = 200, **options: Any) -> Exchange:
    return exchange(*paced(recut("".join(blocks(count, size=200)).encode(), size), step=step), **options)


@pytest.mark.parametrize("size", [1024, 4096, 8192])
def test_a_buffer_shows_its_size(size: int) -> None:
    """Pieces of one size that end inside events are a full buffer each; the evidence names the size."""
    finding = the("buffer-size", blocks_of(size))
    assert finding.level is Level.FAIL
    assert f"multiples of {size} bytes" in finding.evidence


NO_BUFFER: dict[str, Exchange] = {
    "packets": blocks_of(1448),
    "packets of Ethernet": blocks_of(1460),
    "an odd size": blocks_of(1000),
    "no pauses": blocks_of(4096, step=0.05),
    "two blocks": blocks_of(4096, count=40),
    "a slow line of TLS": blocks_of(8192, step=0.2, url="https://api.test/"),
    "a slow line of HTTP/2": blocks_of(16384, step=0.4, count=900, http_version="HTTP/2"),
    "compressed before it was recorded": blocks_of(4096, more={"content-encoding": "gzip"}, is_recorded=True),
    "whole events of one size": exchange(*paced([f"data: {'x' * 1016}\n\n"] * 9)),
    "one event in many blocks": exchange(*paced(recut(f"data: {'x' * 90_000}\n\n".encode(), 4096), step=0.5)),
}


@pytest.mark.parametrize("name", NO_BUFFER)
def test_no_buffer(name: str) -> None:
    """Packets, records of TLS on a slow line, and events that have such a size are not a buffer."""
    assert found(NO_BUFFER[name]).get("buffer-size", Level.ok) is Level.ok


def test_a_fault_in_the_coding_leaves_pieces_unjudged() -> None:
    """Pieces after damaged data are not judged."""
    made = exchange(*paced([*TOKENS[:5]]), (5.0, b"\xff"), more={"content-encoding": "br"}, accepted="br")
    assert "buffer-size" not in found(made)


def stamped(*stamps: Any, name: str = "ts") -> list[str]:
    return [f'data: {{"{name}": {f"{stamp!r}".replace(chr(39), chr(34))}}}\n\n' for stamp in stamps]


BASE = 1_790_000_000
# The request was sent at BASE; the head came at once.
DATE = {"date": "Mon, 21 Sep 2026 14:13:20 GMT"}
FROM_TO: dict[str, list[Any]] = {
    "seconds": [BASE + n * 0.5 for n in range(12)],
    "whole seconds": [BASE + n for n in range(8)],
    "milliseconds": [BASE * 1000 + n * 500 for n in range(12)],
    "ISO 8601": [f"2026-09-21T14:13:{n + 20:02}+00:00" for n in range(8)],
    "ISO 8601 without a zone": [f"2026-09-21 14:13:{n + 20:02}.25" for n in range(8)],
}


@pytest.mark.parametrize("name", FROM_TO)
def test_held_back(name: str) -> None:
    """Timestamps that spread much wider than the arrivals show for how long the data was held back."""
    finding = the("held-back", exchange((8.0, "".join(stamped(*FROM_TO[name]))), more=DATE))
    assert finding.level is Level.FAIL
    assert re.match(r"held back for [4-7]\.\d s: the timestamps in `ts` span [5-7]\.\d s", finding.evidence)
    spread = exchange(*paced(stamped(*FROM_TO[name]), step=0.6))
    assert the("held-back", spread).level is Level.ok


TELL_NOTHING: dict[str, list[str]] = {
    "one time": stamped(*[BASE] * 9),
    "two times": stamped(*[BASE] * 5, *[BASE + 7] * 5),
    "few": [*stamped(BASE, BASE + 3, BASE + 6, BASE + 7), *TOKENS[:5]],
    "falling": stamped(*range(BASE + 8, BASE, -1)),
    "durations": stamped(*range(9)),
    "words": stamped(*["now"] * 9),
    "dates that do not exist": stamped(*["2026-13-41T25:61"] * 9),
    "true": stamped(*["true"] * 9, name="x"),
    "another name": stamped(*range(BASE, BASE + 9), name="at"),
    "lists": [f"data: [{BASE + n}]\n\n" for n in range(9)],
    "not JSON": [f'data: {{"ts": {BASE + n}\n\n' for n in range(9)],
}


@pytest.mark.parametrize("name", TELL_NOTHING)
def test_timestamps_that_tell_nothing(name: str) -> None:
    """Without rising timestamps it cannot be known whether a burst was held back: a note says how to find out."""
    finding = the("held-back", exchange((8.0, "".join(TELL_NOTHING[name] + TOKENS))))
    assert finding.level is Level.note
    assert "--compare" in finding.cure
    assert "held-back" not in found(exchange(*paced(TELL_NOTHING[name], step=0.1)))


def test_a_history_is_not_held_back() -> None:
    """Timestamps from before the request are a history; those after it were held back. `Date` tells which."""
    after = "".join(stamped(*range(BASE + 1, BASE + 8)))
    before = "".join(stamped(*range(BASE - 20, BASE - 13)))
    assert the("held-back", exchange((8.0, after), more=DATE)).level is Level.FAIL
    assert the("held-back", exchange((8.0, before), more=DATE)).level is Level.ok
    assert the(
        "held-back", exchange((8.0, after), head_at=8.0, more={"date": "Mon, 21 Sep 2026 14:13:28 GMT"})
    ).level is (Level.FAIL)
    # More time than the request took is a history. Without `Date`, or with a wrong one, the rest is not known.
    assert the("held-back", exchange((3.0, after), more=DATE)).level is Level.ok
    assert the("held-back", exchange((8.0, after))).level is Level.WARN
    assert the("held-back", exchange((8.0, after), more={"date": "now"})).level is Level.WARN


def test_a_known_buffer_needs_no_timestamps() -> None:
    """If a buffer has shown its size, there is no note about timestamps."""
    assert "held-back" not in found(blocks_of(4096))


def kept_alive(*times: float, end: End = End.LEFT, ended_at: float, **options: Any) -> Exchange:
    beats: list[At] = [(time, ": keep-alive\n\n") for time in times]
    return exchange((0.1, TOKENS[0]), *beats, end=end, ended_at=ended_at, **options)


def test_the_rhythm_of_keep_alives() -> None:
    """The evidence has the longest silence, and the median and longest time between keep-alives."""
    finding = the("keep-alive", kept_alive(10.0, 20.0, 40.0, 50.0, ended_at=55.0))
    assert finding.evidence == (
        "longest silence 20.0 s, median 9.95 s, 4 keep-alives, every 10.0 s, at most 20.0 s apart"
    )
    assert finding.level is Level.ok


@pytest.mark.parametrize(
    ("silence", "headers", "level"),
    [
        (20.0, {}, Level.ok),
        (28.0, {}, Level.note),
        (55.0, {}, Level.WARN),
        (20.0, NGINX, Level.ok),
        (31.0, NGINX, Level.note),
        (49.0, NGINX, Level.WARN),
        (60.5, NGINX, Level.WARN),
        (70.0, NGINX, Level.note),
        (49.0, {"via": "1.1 Caddy"}, Level.note),
    ],
)
def test_silences_and_limits(silence: float, headers: dict[str, str], level: Level) -> None:
    """A silence is judged by the lowest limit of the proxies that were seen, or else by the usual ones."""
    finding = the("keep-alive", kept_alive(ended_at=silence + 0.1, more=headers))
    assert finding.level is level
    assert ("15 s" in finding.cure) == (level > Level.ok)


def test_the_source_of_a_limit() -> None:
    """The evidence says where a limit stands."""
    finding = the("keep-alive", kept_alive(ended_at=50.0, more=NGINX))
    assert "60 s (`proxy_read_timeout`; nginx manual" in finding.evidence


def test_a_cut_at_a_limit() -> None:
    """A cut after exactly the idle limit of a proxy is put down to it; any other long silence is only suspected."""
    at_limit = the("keep-alive", kept_alive(end=End.CUT, ended_at=60.3, more=NGINX))
    assert at_limit.level is Level.FAIL
    assert at_limit.evidence.startswith("cut after 60.2 s of silence, the idle limit of nginx")
    suspected = the("keep-alive", kept_alive(2.0, 4.0, 6.0, end=End.CUT, ended_at=16.0, more=NGINX))
    assert suspected.level is Level.WARN
    assert "10.0 s of silence" in suspected.evidence
    assert the("keep-alive", kept_alive(2.0, 4.0, 6.0, end=End.CUT, ended_at=8.0, more=NGINX)).level is Level.ok
    assert the("keep-alive", exchange(*paced(TOKENS), end=End.CUT, ended_at=30.0)).level is Level.ok


def test_a_cut_at_a_total_limit() -> None:
    """A cut after exactly the time that a proxy gives any stream is put down to it."""
    headers = {"x-envoy-upstream-service-time": "3"}
    made = exchange(*paced(TOKENS[:-1], step=0.74), end=End.CUT, ended_at=15.1, more=headers)
    (proxy,) = seen(Case(made))
    assert proxy.total_limit == 15.0
    finding = the("keep-alive", made)
    assert finding.level is Level.FAIL
    assert "15.1 s after the request, the limit of Envoy" in finding.evidence


WAITS: dict[str, tuple[Level, str, Exchange]] = {
    "holds": (Level.ok, "still open after 59.9 s without a byte", kept_alive(ended_at=60.0)),
    "is not idle": (Level.note, "was not idle", kept_alive(59.9, ended_at=60.0)),
    "is cut": (
        Level.WARN,
        "was cut (ReadError) after 30.0 s",
        kept_alive(end=End.CUT, ended_at=30.1, error="ReadError"),
    ),
    "is closed": (Level.WARN, "was closed cleanly after 30.0 s", kept_alive(end=End.CLEAN, ended_at=30.1)),
    "ends by itself": (Level.note, "ended before the connection was idle", exchange(*paced(TOKENS))),
    "ends after [DONE]": (Level.note, "ended before the connection was idle", exchange(*paced(TOKENS), ended_at=20.0)),
    "never had a byte": (Level.WARN, "was cut after 10.0 s", exchange(end=End.CUT, ended_at=10.02)),
}


@pytest.mark.parametrize("name", WAITS)
def test_waiting(name: str) -> None:
    """`--wait` tells whether an idle connection held, or when and how it fell."""
    level, evidence, made = WAITS[name]
    finding = the("wait", Case(made, wait=60.0))
    assert (finding.level, evidence in finding.evidence) == (level, True), finding.evidence
    assert "wait" not in found(made)


def test_the_silence_of_a_wait_is_no_fault() -> None:
    """The silence that `--wait` asked for is not told as one that lacks keep-alives."""
    made = kept_alive(ended_at=100.0)
    assert the("keep-alive", made).level is Level.WARN
    assert the("keep-alive", Case(kept_alive(1.0, ended_at=100.0), wait=90.0)).level is Level.ok


def test_a_recording_without_times() -> None:
    """If all of a recording has one time, its times are not judged."""
    made = exchange((0.0, WHOLE), head_at=0.0, ended_at=0.0, is_recorded=True)
    assert not is_timed(Case(made))
    (finding,) = (finding for finding in findings(made) if finding.area == "time")
    assert finding.level is Level.note
    assert "no usable times" in finding.evidence


def test_a_recording_of_a_burst() -> None:
    """A recording of a burst that came late is judged as what was recorded."""
    made = exchange((12.0, WHOLE), head_at=12.0, is_recorded=True)
    assert the("buffering", made).level is Level.FAIL
