"""
How a body that ends inside a block is judged: the block is the terminator, a cut event, or nothing that counts.

The parts, each pair of which is combined in a table below:

- the line in which the body ends: none (the last line has ended), a comment, a `retry`, a `data`, an `event`, an `id`,
  a line that cannot become a field, the beginning of a field's name;
- the effect of the lines before it in the block: nothing, data, a name, an ID, data and a name;
- the end of the stream: `[DONE]` by default, only the body (`terminator=None`), a mark by data, name or field, by two
  or three of them, an alternative, a strict `[DONE]`;
- the end of the body: clean, a reset, or the clean end of a connection in a subscription.

The rule: a block counts if no further byte could have changed that. So do two endings that servers are known to send:
`[DONE]`, and complete JSON.
"""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sse_client import RetryPolicy
from sse_client._core.plan import Plan
from sse_client._core.session import Session
from sse_client._core.steps import Connect, Failure, Head, Stop, Wait
from sse_client._errors import StreamInterrupted, StreamTruncated
from sse_client._event import ServerSentEvent
from sse_client._marks import Terminator
from sse_client._parser import EventParser
from sse_client._request import Request

URL = "http://test/chat"
POST = Request(method="POST", url=URL)
GET = Request(method="GET", url=URL)
STREAM = httpx.Headers({"Content-Type": "text/event-stream"})
RESET = Failure(ConnectionResetError("reset"), "reset")


def read(body: str | bytes, failure: Failure | None = None, **options: Any) -> tuple[Session, Any]:
    """Read one body to its end, clean or not; return the session and its next step."""
    plan = Plan(**{"request": POST, **options})
    session = Session(plan, random=lambda: 0.0, utc_now=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    assert isinstance(session.next_step(0.0), Connect)
    session.responded(Head(200, STREAM, URL), 0.0)
    session.received(body.encode() if isinstance(body, str) else body, 0.0)
    list(session.ready)
    session.next_step(0.0)
    if failure is None:
        session.ended(0.0)
    else:
        session.lost(failure, 0.0)
    return session, session.next_step(0.0)


# The terminator, cut after each of its bytes

DATA, EVENT, FIELD = Terminator(data="bye"), Terminator(event="end"), Terminator(field="n")
VALUE = Terminator(field="type", values={"done"})
NUMBER = Terminator(data="4")
TEST = Terminator(test=lambda event: '"n"' in event.data or event.data == "bye")
FIELD_TEST = Terminator(field="n", test=lambda event: "id" not in event.data)
EVENT_TEST = Terminator(event="end", test=lambda event: bool(event.data))
DATA_TEST = Terminator(data='{"n": 1}', test=lambda _: True)
JSON_DATA = Terminator(data='{"n": 1}')
EVENT_DATA = Terminator(event="end", data="bye")
EVENT_FIELD = Terminator(event="end", field="n")
DATA_FIELD = Terminator(data='{"n": 1}', field="n")
ALL_THREE = Terminator(event="end", data='{"n": 1}', field="n")
DONE = Terminator(data="[DONE]")
NAMED_DONE = Terminator(event="end", data="[DONE]")
UNNAMED_DONE = Terminator(event="message", data="[DONE]")
UNNAMED_FIELD = Terminator(event="message", field="n")


def on_and_on(text: str, rest: str) -> list[str]:
    """The text alone, and followed by each beginning of the rest, up to all of it."""
    return [text + rest[:length] for length in range(len(rest) + 1)]


# A mark, the block, and the texts after which the body may end for the block to count. At other bytes it does not.
CUTS: dict[str, tuple[Terminator, str, list[str]]] = {
    "data": (DATA, "data: bye\n\n", ["data: bye\n"]),
    "data of two lines": (Terminator(data="bye\nbye"), "data: bye\ndata: bye\n\n", ["data: bye\ndata: bye\n"]),
    "data that a longer one begins with": (DATA, "data: byebye\n\n", []),
    "data, then another line of it": (DATA, "data: bye\ndata: bye\n\n", ["data: bye\n"]),
    "data, empty": (Terminator(data=""), "data: \n\n", ["data: \n"]),
    "data, empty, without a colon": (Terminator(data=""), "data\n\n", ["data\n"]),
    "data, then an ID": (DATA, "data: bye\nid: 4\n\n", ["data: bye\n", "data: bye\nid: 4\n"]),
    "data, then a comment": (
        DATA,
        "data: bye\n: x\n\n",
        on_and_on("data: bye\n", ": x\n"),
    ),
    "data, then a retry": (
        DATA,
        "data: bye\nretry: 5\n\n",
        # Not inside the name: it may become a field of any name.
        ["data: bye\n", *on_and_on("data: bye\nretry", ": 5\n")],
    ),
    "a number": (NUMBER, "data: 42\n\n", []),
    "a number, whole": (NUMBER, "data: 4\n\n", ["data: 4\n"]),
    "data that is JSON": (JSON_DATA, 'data: {"n": 1}\n\n', ['data: {"n": 1}\n']),
    "a test": (TEST, "data: bye\n\n", ["data: bye\n"]),
    "a test of JSON": (TEST, 'data: {"n": 1}\n\n', ['data: {"n": 1}', 'data: {"n": 1}\n']),
    "a test of a list": (TEST, 'data: [{"n": 1}]\n\n', ['data: [{"n": 1}]', 'data: [{"n": 1}]\n']),
    "a test of JSON, then a name": (
        TEST,
        'data: {"n": 1}\nevent: e\n\n',
        ['data: {"n": 1}', 'data: {"n": 1}\n', 'data: {"n": 1}\nevent: e\n'],
    ),
    "a test of JSON, then an ID": (
        TEST,
        'data: {"n": 1}\nid: 4\n\n',
        ['data: {"n": 1}', 'data: {"n": 1}\n', 'data: {"n": 1}\nid: 4\n'],
    ),
    "a test of a field": (FIELD_TEST, 'data: {"n": 1}\n\n', ['data: {"n": 1}', 'data: {"n": 1}\n']),
    "a test of a field, then a name": (
        FIELD_TEST,
        'data: {"n": 1}\nevent: e\n\n',
        ['data: {"n": 1}', 'data: {"n": 1}\n', 'data: {"n": 1}\nevent: e\n'],
    ),
    "a test of an event": (EVENT_TEST, "event: end\ndata: x\n\n", ["event: end\ndata: x\n"]),
    "a test of an event with JSON": (
        EVENT_TEST,
        "event: end\ndata: {}\n\n",
        ["event: end\ndata: {}", "event: end\ndata: {}\n"],
    ),
    "a test of data": (DATA_TEST, 'data: {"n": 1}\n\n', ['data: {"n": 1}\n']),
    "event": (EVENT, "event: end\ndata: x\n\n", ["event: end\ndata: x\n"]),
    "event with JSON": (
        EVENT,
        'event: end\ndata: {"usage":{"tok": 1}}\n\n',
        ['event: end\ndata: {"usage":{"tok": 1}}\n'],
    ),
    "event after the data": (EVENT, "data: x\nevent: end\n\n", ["data: x\nevent: end\n"]),
    "event whose name a longer one begins with": (EVENT, "data: x\nevent: ending\n\n", []),
    "event that is named anew": (EVENT, "event: end\ndata: x\nevent: e\n\n", ["event: end\ndata: x\n"]),
    "event without data": (EVENT, "event: end\n\n", []),
    "field": (FIELD, 'data: {"n": 1}\n\n', ['data: {"n": 1}', 'data: {"n": 1}\n']),
    "field with a value": (
        VALUE,
        'data: {"type": "done"}\n\n',
        ['data: {"type": "done"}', 'data: {"type": "done"}\n'],
    ),
    "field with a value that is another in the end": (VALUE, 'data: {"type": "done", "type": "x"}\n\n', []),
    "field in JSON of several lines": (
        FIELD,
        'data: {"n":\ndata: 1}\n\n',
        ['data: {"n":\ndata: 1}', 'data: {"n":\ndata: 1}\n'],
    ),
    # The JSON is complete, and the mark has no condition on another line of the block.
    "field, then a name": (
        FIELD,
        'data: {"n": 1}\nevent: e\n\n',
        on_and_on('data: {"n": 1}', "\nevent: e\n"),
    ),
    "field in what is not JSON in the end": (
        FIELD,
        'data: {"n": 1}\ndata: x\n\n',
        on_and_on('data: {"n": 1}', "\ndata: "),
    ),
    "event and field": (
        EVENT_FIELD,
        'event: end\ndata: {"n": 1}\n\n',
        ['event: end\ndata: {"n": 1}', 'event: end\ndata: {"n": 1}\n'],
    ),
    "field and event": (EVENT_FIELD, 'data: {"n": 1}\nevent: end\n\n', ['data: {"n": 1}\nevent: end\n']),
    "event and field, then an ID": (
        EVENT_FIELD,
        'event: end\ndata: {"n": 1}\nid: 4\n\n',
        on_and_on('event: end\ndata: {"n": 1}', "\nid: 4\n"),
    ),
    "event and field, then another name": (
        EVENT_FIELD,
        'event: end\ndata: {"n": 1}\nevent: e\n\n',
        ['event: end\ndata: {"n": 1}', 'event: end\ndata: {"n": 1}\n'],
    ),
    "unnamed, and field": (UNNAMED_FIELD, 'data: {"n": 1}\n\n', ['data: {"n": 1}', 'data: {"n": 1}\n']),
    "event and data": (EVENT_DATA, "event: end\ndata: bye\n\n", ["event: end\ndata: bye\n"]),
    "data and event": (EVENT_DATA, "data: bye\nevent: end\n\n", ["data: bye\nevent: end\n"]),
    "data and field": (DATA_FIELD, 'data: {"n": 1}\n\n', ['data: {"n": 1}', 'data: {"n": 1}\n']),
    "event, data and field": (
        ALL_THREE,
        'event: end\ndata: {"n": 1}\n\n',
        ['event: end\ndata: {"n": 1}', 'event: end\ndata: {"n": 1}\n'],
    ),
    "[DONE]": (DONE, "data: [DONE]\n\n", ["data: [DONE]", "data: [DONE]\n"]),
    "[DONE] with a name": (DONE, "event: x\ndata: [DONE]\n\n", ["event: x\ndata: [DONE]\n"]),
    # A name that is cut may make it another event; one that is complete does not matter to this mark.
    "[DONE], then a name": (
        DONE,
        "data: [DONE]\nevent: x\n\n",
        ["data: [DONE]", "data: [DONE]\n", "data: [DONE]\nevent: x\n"],
    ),
    "[DONE], then an ID": (
        DONE,
        "data: [DONE]\nid: 4\n\n",
        on_and_on("data: [DONE]", "\nid: 4\n"),
    ),
    "event and [DONE]": (NAMED_DONE, "event: end\ndata: [DONE]\n\n", ["event: end\ndata: [DONE]\n"]),
    "unnamed, and [DONE]": (UNNAMED_DONE, "data: [DONE]\n\n", ["data: [DONE]", "data: [DONE]\n"]),
    "the first of two marks": (DATA | FIELD, "data: bye\n\n", ["data: bye\n"]),
    "the second of two marks": (DATA | FIELD, 'data: {"n": 1}\n\n', ['data: {"n": 1}', 'data: {"n": 1}\n']),
    "one of two marks, by its name": (FIELD | EVENT, "event: end\ndata: x\n\n", ["event: end\ndata: x\n"]),
    "two marks, of which the second is whole": (
        EVENT | FIELD,
        'event: end\ndata: {"n": 1}\n\n',
        ['event: end\ndata: {"n": 1}', 'event: end\ndata: {"n": 1}\n'],
    ),
    "one of two marks, [DONE]": (EVENT | DONE, "data: [DONE]\n\n", ["data: [DONE]", "data: [DONE]\n"]),
    "neither of two marks": (DATA | EVENT, "event: en\ndata: by\n\n", []),
}  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize(("terminator", "block", "whole"), CUTS.values(), ids=CUTS)
def test_a_cut_terminator(terminator: Terminator, block: str, whole: list[str], newline: str) -> None:
    """A block counts as the terminator if no byte could change that any more, or if it is `[DONE]` or complete JSON."""
    expected = {text.replace("\n", newline) for text in whole}
    block = block.replace("\n", newline)
    assert expected <= {block[:length] for length in range(len(block))}
    if newline == "\r\n":
        expected |= {text.removesuffix("\n") for text in expected if text.endswith("\r\n")}  # the CR ends the line
    # The block is over with the first byte of its blank line.
    for length in range(block.index(newline * 2) + 1 + len(newline)):
        session, _ = read("data: a\n\n" + block[:length], terminator=terminator)
        assert (block[:length], session.outcome) == (
            block[:length],
            "completed" if block[:length] in expected else "truncated",
        )


@pytest.mark.parametrize(("terminator", "block", "whole"), CUTS.values(), ids=CUTS)
def test_a_cut_terminator_and_a_reset(terminator: Terminator, block: str, whole: list[str]) -> None:
    """A block in which the connection was lost is never the terminator: more was to come."""
    for length in range(len(block)):
        session, step = read("data: a\n\n" + block[:length], RESET, terminator=terminator)
        assert session.outcome == "interrupted"
        assert type(step.error) is StreamInterrupted


@pytest.mark.parametrize(("terminator", "block", "whole"), CUTS.values(), ids=CUTS)
def test_a_cut_terminator_of_a_subscription(terminator: Terminator, block: str, whole: list[str]) -> None:
    """With a terminator, a subscription ends where any other stream would. Otherwise it reconnects."""
    options: dict[str, Any] = {
        "request": GET,
        "is_subscription": True,
        "retry": RetryPolicy.RECONNECT,
        "terminator": terminator,
    }
    for length in range(len(block) - 1):
        session, step = read("data: a\n\n" + block[:length], **options)
        assert (session.outcome, type(step)) == (("completed", Stop) if block[:length] in whole else (None, Wait)), (
            block[:length]
        )


def test_the_accepted_block_is_kept() -> None:
    """The block that counted as the terminator is not delivered, but the session keeps it."""
    session, _ = read('data: a\n\nevent: end\nid: 7\ndata: {"n": 1}', terminator=EVENT_FIELD)
    assert session.unfinished == ServerSentEvent("end", '{"n": 1}', "7")
    assert session.stats(0.0).events == 1
    session, _ = read('data: a\n\nevent: end\ndata: {"n": 1', terminator=EVENT_FIELD)
    assert session.unfinished is None
    session, _ = read('data: a\n\nevent: end\ndata: {"n": 1}\n\n', terminator=EVENT_FIELD)
    assert session.unfinished is None


# `[DONE]` by default, and no terminator

LAST_LINE = "data: [DONE]"


@pytest.mark.parametrize(("options", "is_end"), [({}, True), ({"ends_at_done": False}, False)], ids=["[DONE]", "None"])
def test_done_cut(options: dict[str, Any], is_end: bool) -> None:
    """An unfinished `[DONE]` is the end as soon as its last character has come; with `terminator=None` it never is."""
    for length in range(len(LAST_LINE) + 1):
        session, _ = read("data: a\n\n" + LAST_LINE[:length], **options)
        is_complete = length == 0 or (is_end and length == len(LAST_LINE))
        assert session.outcome == ("completed" if is_complete else "truncated"), LAST_LINE[:length]


# Unfinished events without a terminator

BLOCKS = {
    "nothing": "",
    "a comment": ": x\n",
    "a retry": "retry: 5\n",
    "an unknown line": "foo: bar\n",
    "data": "data: b\n",
    "a name": "event: e\n",
    "an ID": "id: 7\n",
    "data and a name": "data: b\nevent: e\n",
}
HARMLESS = ("nothing", "a comment", "a retry", "an unknown line")
LINES = {
    "no line": ("", True),
    "a comment without text": (":", True),
    "a comment": (": pi", True),
    "a retry": ("retry: 30", True),
    "a retry without its value": ("retry", True),
    "a retry that is none": ("retry: x", True),
    "data": ("data: b", False),
    "data without its value": ("data", False),
    "a name": ("event: e", False),
    "an ID": ("id: 7", False),
    "an unknown line": ("foo: b", False),
    "an unknown name": ("fo", False),
    "the beginning of data": ("d", False),
    "the beginning of event": ("ev", False),
    "the beginning of id": ("i", False),
    "the beginning of retry": ("ret", False),
    "a name that retry begins": ("retryx: 3", False),
    "half of a BOM": (b"\xef\xbb".decode("utf-8", "surrogateescape"), False),
}


@pytest.mark.parametrize(("line", "is_harmless"), LINES.values(), ids=LINES)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("before", ["", "data: a\n\n"], ids=["first", "second"])
def test_what_is_cut(block: str, line: str, is_harmless: bool, before: str) -> None:
    """A clean end completes a stream if no part of an event has begun: comments and `retry` are not part of one."""
    body = (before + BLOCKS[block] + line).encode("utf-8", "surrogateescape")
    parser = EventParser()
    parser.feed(body)
    assert parser.is_mid_block is not (block in HARMLESS and is_harmless)
    assert parser._open_line == line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    session, step = read(body, RESET)
    assert (session.outcome, type(step.error)) == ("interrupted", StreamInterrupted)
    if before:
        session, step = read(body)
        is_complete = block in HARMLESS and is_harmless
        expected = ("completed", type(None)) if is_complete else ("truncated", StreamTruncated)
        assert (session.outcome, type(step.error)) == expected


@pytest.mark.parametrize("line", ["", ": pi", "retry: 3"])
def test_after_a_bom(line: str) -> None:
    """A BOM is not part of its line."""
    parser = EventParser()
    parser.feed(f"\ufeff{line}".encode())
    assert (parser.is_mid_block, parser._open_line) == (False, line)
