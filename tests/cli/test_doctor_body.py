"""The checks of the body: no event and why, its end, its form, its data, its IDs."""

import gzip
import re
from typing import Any

import pytest
from cases import blocks, exchange, findings, found, paced, the
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_client import Terminator
from sse_client.cli.doctor._case import Case
from sse_client.cli.doctor._exchange import End, Exchange
from sse_client.cli.doctor._finding import Finding, Level

TOKENS = blocks(5)


def body(*parts: str | bytes, **options: Any) -> Exchange:
    return exchange(*paced(parts), **options)


def test_events_by_name() -> None:
    """The evidence has the number of events of each name, and not too many names."""
    assert the("events", body(*TOKENS)).evidence == "6 events: message 6"
    names = body(*(f"event: {name}\ndata: 1\n\n" for name in "abbcdefgh"))
    assert the("events", names).evidence == "9 events: b 2, a 1, c 1, d 1, e 1, and 3 other names"
    assert the("events", body("event: \x1b[2J\ndata: 1\n\n")).evidence == r"1 event: \x1b[2J 1"


NO_EVENT: dict[str, tuple[Level, str, Exchange]] = {
    "no blank lines": (Level.FAIL, "no blank line after the `data:` lines: `data: 1`", body("data: 1\ndata: 2\n")),
    "one line": (Level.FAIL, "no blank line after the `data:` lines", body("data: 1\n")),
    "one line, cut": (Level.FAIL, "cut before the first was complete", body("data: 1\n", end=End.CUT)),
    "one line, left": (Level.note, "only 1 line without a complete event", body("data: 1\n", end=End.LEFT)),
    "many lines, left": (Level.WARN, "no blank line", body("data: 1\n", "data: 2\n", end=End.LEFT)),
    "escaped": (Level.FAIL, r"the two characters `\n`", body(r"data: {}\n\n", r"data: {}\n\n")),
    "spaces": (Level.FAIL, "contain spaces", body("data: 1\n \ndata: 2\n\t\n")),
    "JSON lines": (Level.FAIL, 'JSON lines: `{"a":1}`', body('{"a":1}\n', '{"a":2}\n')),
    "a list": (Level.FAIL, "the body is one JSON value: `[1]`", body("[1]")),
    "JSON over lines": (Level.FAIL, "one JSON value", body('{\n"a": 1\n}')),
    "cut JSON": (Level.FAIL, 'looks like JSON: `{"a": 1`', body('{"a": 1')),
    "HTML": (Level.FAIL, "the body is HTML: `<html>`", body("<html>\n<title>Sign in")),
    "XML": (Level.FAIL, "the body is HTML", body('<?xml version="1.0"?>')),
    "gzip": (Level.FAIL, "the body is compressed", body(gzip.compress(b"data: 1\n\n"))),
    "text": (Level.FAIL, "no line is a field: `Hello`", body("Hello\n\n")),
    "names": (Level.FAIL, "a name but no `data:` line", body("event: token\n\n", "event: token\n\n")),
    "pings without data": (Level.note, "only 2 lines without a complete event", body("event: ping\n\n" * 2)),
    "comments": (Level.note, "no event, only 2 comments", body(": a\n\n: b\n\n")),
    "a comment": (Level.note, "no event, only 1 comment", body(": a\n\n")),
    "a retry": (Level.note, "only 1 line without a complete event", body("retry: 3000\n\n")),
    "nothing": (Level.FAIL, "the body is empty", body()),
    "nothing yet": (Level.note, "no event within 9.0 s", body(end=End.LEFT, ended_at=9.0)),
    "nothing, cut": (Level.FAIL, "cut before the first was complete", body(end=End.CUT)),
}


@pytest.mark.parametrize("name", NO_EVENT)
def test_no_event(name: str) -> None:
    """If there is no event at all, the evidence says why."""
    level, evidence, made = NO_EVENT[name]
    finding = the("events", made)
    assert (finding.level, evidence in finding.evidence) == (level, True), finding.evidence


def test_only_a_200_has_a_body_of_events() -> None:
    """The body of another status is not judged."""
    assert not [finding for finding in findings(body("data: 1\n", status=500)) if finding.area == "body"]
    assert "events" not in found(exchange(status=204))


def test_data_of_another_type_is_still_named() -> None:
    """A JSON response has no events, and the check of the body says so too."""
    assert "one JSON value" in the("events", body("{}", more={"content-type": "application/json"})).evidence


ENDS: dict[str, tuple[Level, str, Case | Exchange]] = {
    "[DONE]": (Level.ok, "`[DONE]` ends the reply", body(*TOKENS)),
    "no terminator": (Level.ok, "cleanly after 5 events; no terminator", body(*TOKENS[:-1])),
    "a terminator": (
        Level.ok,
        "`bye` ends the reply",
        Case(body(*TOKENS[:-1], "data: bye\n\n"), marks={"terminator": Terminator(data="bye")}),
    ),
    "by dialect": (
        Level.ok,
        '`{"type": "message_stop"}` ends',
        Case(body('event: message_stop\ndata: {"type": "message_stop"}\n\n'), dialect="anthropic"),
    ),
    "no blank line": (Level.ok, "ends the reply, but no blank line", body(*TOKENS[:-1], "data: [DONE]\n")),
    "cut": (
        Level.FAIL,
        "cut after 5 events (ReadError), between two events",
        body(*TOKENS[:-1], end=End.CUT, error="ReadError"),
    ),
    "cut inside": (
        Level.FAIL,
        "cut after 1 event, inside an event, of which 9 bytes are lost",
        body(TOKENS[0], "data: {..", end=End.CUT),
    ),
    "cut after [DONE]": (Level.WARN, "broke after the end of the reply, `[DONE]`", body(*TOKENS, end=End.CUT)),
    "left": (
        Level.ok,
        "still open when we stopped reading after 60 s; 5 events",
        body(*TOKENS[:-1], end=End.LEFT, left="60 s"),
    ),
    "left at once": (Level.ok, "still open when we stopped reading; 5 events", body(*TOKENS[:-1], end=End.LEFT)),
    "left after [DONE]": (
        Level.note,
        "kept the connection open for 59.5 s",
        body(*TOKENS, end=End.LEFT, ended_at=60.05),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends(name: str) -> None:
    """The evidence says how the body ended, and what was lost."""
    level, evidence, made = ENDS[name]
    finding = the("end", made)
    assert (finding.level, evidence in finding.evidence) == (level, True), finding.evidence


def test_the_last_blank_line() -> None:
    """Clients drop a last block without its blank line: for `[DONE]` that is only a note."""
    lost = the("last-blank-line", body(*TOKENS[:-1], 'data: {"end": 1}\n'))
    assert lost.level is Level.WARN
    assert lost.evidence.endswith('so clients drop it: `data: {"end": 1}`')
    assert the("last-blank-line", body(*TOKENS[:-1], "data: [DONE]")).level is Level.note
    assert the("last-blank-line", body(*TOKENS, "id: 3")).level is Level.WARN
    for made in (body(*TOKENS), body(*TOKENS, ": bye"), body(*TOKENS, "data: x", end=End.CUT), body("data: 1\n")):
        assert "last-blank-line" not in found(made)


def test_events_after_the_end() -> None:
    """Events after the terminator are read by no client; pings and comments do not count."""
    late = the("after-end", body(*TOKENS, "data: late\n\n", "data: later\n\n"))
    assert late.level is Level.WARN
    assert late.evidence == "2 events after the end of the reply, where clients stop reading: `late`"
    assert the("after-end", body(*TOKENS, "event: x\ndata: \n\n")).evidence.endswith("`x`")
    for end in (": bye\n\n", "event: ping\ndata: {}\n\n", "data: [DONE]\n\n"):
        assert "after-end" not in found(body(*TOKENS, end))


@pytest.mark.parametrize(
    ("parts", "level"),
    [
        ([f"data: {block}" for block in TOKENS], Level.FAIL),
        (['data: data: {"a": 1}\n\n', "data: [DONE]\n\n"], Level.FAIL),
        (["data: data: gathered\n\n"], Level.WARN),
        (["data: data:\n\n"], None),
        (["data: data: gathered\n\n", "data: and more\n\n"], None),
        (["data: event: a concert\n\n"] * 3, None),
    ],
)
def test_data_in_data(parts: list[str], level: Level | None) -> None:
    """If nearly all data begins with `data:`, it was wrapped twice; one text alone may begin so."""
    assert found(body(*parts)).get("wrapping") is level


def test_codings_that_cannot_be_read() -> None:
    """Damaged data fails. A coding that is unknown here is not judged."""
    packed = gzip.compress("".join(TOKENS).encode())
    damaged = body(packed[:10], b"\xff" * 50, more={"content-encoding": "gzip"})
    assert the("decoding", damaged).level is Level.FAIL
    unknown = body(b"\x28\xb5\x2f\xfd", more={"content-encoding": "zstd"}, accepted="zstd")
    assert the("decoding", unknown).level is Level.note
    assert "events" not in found(unknown)
    assert "decoding" not in found(body(packed, more={"content-encoding": "gzip"}))


def test_encodings() -> None:
    """A byte that is not UTF-8 is shown with its place; a character that was lost before is noted."""
    bad = the("encoding", body(b"data: caf" + b"\xe9 au lait\n\n"))
    assert bad.level is Level.WARN
    assert bad.evidence.startswith("byte 9 (0xe9) is not UTF-8")
    lost = the("encoding", body("data: caf\ufffd\n\n"))
    assert (lost.level, lost.evidence[:27]) == (Level.note, "1 replacement character (U+")
    assert the("encoding", body("data: größer\n\n", "data: größ".encode()[:-1])).level is Level.ok


def test_byte_order_marks() -> None:
    """A byte order mark is worth a note."""
    made = body(b"\xef\xbb\xbf" + TOKENS[0].encode(), *TOKENS[1:])
    assert the("bom", made).level is Level.note
    assert "encoding" not in found(made)
    assert the("events", made).evidence == "6 events: message 6"


def test_line_ends() -> None:
    """Mixed line ends are a note, CR alone a warning."""
    assert the("line-ends", body(*TOKENS)).evidence == "12 LF"
    mixed = the("line-ends", body(*TOKENS[:-1], "data: 1\r\n\r\n"))
    assert (mixed.level, mixed.evidence[-13:]) == (Level.note, "10 LF, 2 CRLF")
    assert the("line-ends", body(*(block.replace("\n", "\r") for block in TOKENS))).level is Level.WARN


def test_ignored_lines() -> None:
    """Lines that clients ignore are warnings, each kind by its own name, with control characters escaped."""
    made = body("data: 1\nsecond\x07 line\nthird\n\n", "error: {}\nwarn: 1\nerror: {}\ndata: 2\n\n")
    levels = {finding.check: finding for finding in findings(made) if finding.level is Level.WARN}
    assert levels["lines"].evidence == r"2 lines without a colon, which clients ignore: `second\x07 line`"
    assert levels["fields"].evidence.endswith("`error` 2, `warn` 1")
    assert "lines" not in found(body(*TOKENS, "da", end=End.LEFT))  # it may become a field
    assert set(found(body(*TOKENS, "data\n\n", "id\ndata: 1\n\n"))).isdisjoint({"lines", "fields"})


JSON: dict[str, tuple[Level, str, Exchange]] = {
    "all": (Level.ok, "5 of 5 are JSON", body(*TOKENS)),
    "most": (
        Level.WARN,
        "5 of 6 are JSON; the first that is not: event 6: `{'a': 1}`",
        body(*TOKENS[:-1], "data: {'a': 1}\n\n"),
    ),
    "not a number": (Level.WARN, "the first that is not: event 6", body(*TOKENS[:-1], 'data: {"a": NaN}\n\n')),
    "few": (Level.ok, "the data is text: `a`", body(*(f"data: {word}\n\n" for word in ("a", "b", "{}", "1", "true")))),
    "numbers": (Level.ok, "the data is text: `1`", body("data: 1\n\n", "data: 2\n\n")),
    "lists": (Level.ok, "2 of 2 are JSON", body("data: [1]\n\n", 'data: ["a", {}]\n\n')),
    "spread": (
        Level.WARN,
        "split across events 2 to 4",
        body("data: {}\n\n", "data: {\n\n", 'data: "a": 1\n\n', "data: }\n\n"),
    ),
    "spread by size": (
        Level.WARN,
        "split across events 1 to 2",
        body('data: {"a": "b\n\n', 'data: c"}\n\n', 'data: {"d": 1}\n\n'),
    ),
    "one JSON text": (
        Level.note,
        "split across events 1 to 3",
        body('data: {"a\n\n', 'data: ":\n\n', "data: 1}\n\n"),
    ),
    "never whole": (Level.ok, "the data is text", body(*["data: {\n\n"] * 100)),
    "a long text": (Level.ok, "the data is text", body(*["data: {" + "x" * 9000 + "}\n\n"] * 20)),
    "deep": (Level.ok, "the data is text", body("data: " + "[" * 100_000 + "\n\n")),
}


@pytest.mark.parametrize("name", JSON)
def test_json(name: str) -> None:
    """Data is judged as JSON only if most of it is; a value over several events is found."""
    level, evidence, made = JSON[name]
    finding = the("json", made)
    assert (finding.level, evidence in finding.evidence) == (level, True), finding.evidence


def test_no_data_is_no_json() -> None:
    """Empty data, `[DONE]` and pings are not judged as JSON."""
    assert "json" not in found(body("id: 1\ndata:\n\n", "data: [DONE]\n\n", "event: ping\ndata: x\n\n"))


def identified(*ids: str) -> Exchange:
    return body(*(f"id: {each}\ndata: 1\n\n" for each in ids))


IDS: dict[str, tuple[Level, str, Exchange]] = {
    "none": (Level.ok, "no IDs", body(*TOKENS)),
    "rising": (Level.ok, "3 IDs: `8` to `10`", identified("8", "9", "10")),
    "one": (Level.ok, "1 ID: `a`", body("id: a\ndata: 1\n\n", "data: 2\n\n")),
    "twice in a row": (Level.ok, "2 IDs: `a` to `b`", identified("a", "a", "b")),
    "again": (Level.WARN, "the ID `a` is used again", identified("a", "b", "a")),
    "falling": (Level.note, "not ascending: `10` to `8`", identified("10", "9", "8")),
    "huge": (Level.ok, "2 IDs", identified("9" * 5000, "1" + "0" * 5000)),
    "NUL": (Level.WARN, "clients ignore 1 ID that", body("id: a\0\ndata: 1\n\n")),
}


@pytest.mark.parametrize("name", IDS)
def test_ids(name: str) -> None:
    """IDs are unique, and ascending if they are numbers."""
    level, evidence, made = IDS[name]
    finding = the("ids", made)
    assert (finding.level, evidence in finding.evidence) == (level, True), finding.evidence


@pytest.mark.parametrize(
    ("value", "level"),
    [
        *[("0", Level.WARN), ("99", Level.WARN), ("100", Level.ok), ("3000", Level.ok), ("600000", Level.ok)],
        *[("600001", Level.WARN), ("9" * 5000, Level.WARN), ("3s", Level.WARN), ("-1", Level.WARN), ("", Level.WARN)],
        *[("٣", Level.WARN), ("1_000", Level.WARN)],
    ],
)
def test_retry(value: str, level: Level) -> None:
    """A reconnection time of nothing, of more than ten minutes or without a number is a warning."""
    finding = the("retry", body(f"retry: {value}\n\n", *TOKENS))
    assert finding.level is level
    assert "retry" not in found(body(*TOKENS))


def test_the_cure_of_retry() -> None:
    """Too long a time is shown in minutes, since it was probably meant in another unit."""
    assert "after 50 minutes" in the("retry", body("retry: 3000000\n\n", *TOKENS)).evidence


HOSTILE = "\x1b[31m\x9b2J\u202e\u2066\r\ttext"


def all_of(made: Exchange) -> list[Finding]:
    return [*findings(made), *findings(Case(made, dialect="openai", wait=1.0))]


@pytest.mark.parametrize(
    "made",
    [
        body(f"event: {HOSTILE}\nid: {HOSTILE}\nretry: {HOSTILE}\ndata: {HOSTILE}\n\n"),
        body(f"{HOSTILE}\n{HOSTILE}: x\ndata: {{}}\n\n", f"data: {HOSTILE}"),
        body(*TOKENS, f"event: {HOSTILE}\ndata: {HOSTILE}\n\n"),
        body(*TOKENS[:-1], f"data: {{{HOSTILE}\n\n", end=End.CUT, error=HOSTILE),
        body(f"<html>{HOSTILE}"),
        body(f'{{"a": "{HOSTILE}"}}\n{{}}\n'),
        body(f"data: {HOSTILE}\n"),
        body(b"data: " + b"\xff\x1b[2J\n\n"),
        body(*TOKENS, more={"content-encoding": HOSTILE.encode("ascii", "ignore").decode()}),
        body(*TOKENS[:-1], end=End.CUT, ended_at=9.0, error=HOSTILE),
    ],
    ids=["fields", "lines", "after the end", "cut", "HTML", "JSON", "no blank line", "not UTF-8", "coding", "error"],
)
def test_no_control_characters(made: Exchange) -> None:
    """No control character of a server is in a finding."""
    text = "".join(finding.evidence + finding.cure for finding in all_of(made) if finding.area in ("time", "body"))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_long_texts_are_shortened() -> None:
    """Text of a server is shortened, so that a finding is a line."""
    long = "x" * 5000
    made = body(f"event: {long}\nid: {long}\n{long}\n{long}: 1\ndata: data: {long}\n\n", f"data: {long}")
    for finding in findings(made):
        assert len(finding.evidence) < 300


FRAGMENTS = st.sampled_from(
    [b"data", b":", b" ", b"\n", b"\r", b"\n\n", b"id: ", b"event: ", b"retry: 1", b"{", b'"a"', b"}", b"[DONE]", b"\0"]
)


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.floats(0.0, 100.0), st.lists(FRAGMENTS | st.binary(max_size=4)).map(b"".join))),
    end=st.sampled_from(End),
    headers=st.dictionaries(
        st.sampled_from(["server", "date", "content-encoding", "via"]), st.sampled_from(["nginx", "gzip"])
    ),
    dialect=st.sampled_from([None, "openai", "anthropic", "mcp", "vercel"]),
    is_recorded=st.booleans(),
    wait=st.sampled_from([None, 1.0]),
)
def test_any_bytes(
    pieces: list[tuple[float, bytes]],
    end: End,
    headers: dict[str, str],
    dialect: str | None,
    is_recorded: bool,
    wait: float | None,
) -> None:
    """Whatever comes, and whenever, the checks find something to say in one line each."""
    timed = sorted(pieces, key=lambda piece: piece[0])
    made = exchange(*timed, end=end, more=headers, is_recorded=is_recorded)
    for finding in findings(Case(made, dialect=dialect, wait=wait)):
        assert finding.evidence
        assert "\n" not in finding.evidence + finding.cure
