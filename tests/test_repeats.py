"""
Servers that repeat the last event of a resumed stream: which events are skipped, and which are not.

The cases, in combination:

- the server: continues after the ID, with the ID (inclusive), or starts over (forgetful)
- the cut: after how many events, and in which pieces the bytes come
- the first event after the resume: its ID, its own or inherited; its name; its data; after a comment, a block of an ID
  alone, or a ping
- the stream so far: distinct IDs, or two events in a row with the same own ID; before the cut, across it, after it
- the way to resume: by ID, by a cursor, as a subscription, with or without `resume=`
"""

import logging
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session.driver import (
    GET,
    RESET,
    Reply,
    Scene,
    answer,
    approx,
    clocks,
    event,
    events,
    in_pieces,
    ok,
    plan,
    run,
    subscription,
)
from shells import Shell, in_turn

from sse_client import Cursor, EventTooLarge, LastEventID, StreamInterrupted
from sse_client._core.steps import Connect
from sse_client.testing import RST, Answer, RecordedRequest, scripted_transport

RESUME = LastEventID()
CURSOR = Cursor(None, lambda cursor, _: cursor, lambda _, request: request)
PIECES = (1, 2, 3, 7, 10_000)


def resumed(before: bytes, after: bytes, size: int = 10_000, **options: Any) -> Scene:
    """A stream that is cut after `before`, and resumed with `after`; both in pieces of that size."""
    whole = {"resume": RESUME, **options}
    return run(plan(**whole), ok(*in_pieces((before,), size), RESET), ok(*in_pieces((after,), size)))


LAST = b"event: x\nid: 2\ndata: b\n\n"
FIRST = [
    ("the-same", LAST, True),
    ("fields-in-another-order", b"data: b\nid: 2\nevent: x\n\n", True),
    ("with-a-retry", b"retry: 1\n" + LAST, True),
    ("after-a-comment", b": hello\n\n" + LAST, True),
    ("after-its-id-alone", b"id: 2\n\n" + LAST, True),
    ("after-another-id-alone", b"id: 3\n\n" + LAST, True),
    ("after-a-ping", b"event: ping\ndata: {}\n\n" + LAST, True),
    ("after-a-ping-with-its-id", b"event: ping\nid: 2\ndata: {}\n\n" + LAST, True),
    ("without-an-id", b"event: x\ndata: b\n\n", False),
    ("without-an-id-after-its-id-alone", b"id: 2\n\nevent: x\ndata: b\n\n", False),
    ("with-an-empty-id", b"event: x\nid\ndata: b\n\n", False),
    ("with-another-id", b"event: x\nid: 3\ndata: b\n\n", False),
    ("with-other-data", b"event: x\nid: 2\ndata: c\n\n", False),
    ("with-another-name", b"event: y\nid: 2\ndata: b\n\n", False),
    ("without-a-name", b"id: 2\ndata: b\n\n", False),
]


@pytest.mark.parametrize("size", PIECES)
@pytest.mark.parametrize(("first", "is_skipped"), [pytest.param(*row[1:], id=row[0]) for row in FIRST])
def test_the_first_event_after_a_resume(first: bytes, is_skipped: bool, size: int) -> None:
    """The first event after a resume is skipped if it has its own ID, and the ID, name and data of the last event."""
    for line_end, options in product((b"\n", b"\r\n", b"\r"), ({}, {"resume": CURSOR})):
        before, after = ((event(1) + LAST), first + event(9))
        after = after.replace(b"\n", line_end)
        result = resumed(before, after, size, pings=frozenset({"ping"}), **options)
        assert result.outcome == "completed"
        assert len(result.data) == (3 if is_skipped else 4)
        assert (result.data[-1], result.session.stats(0).events) == ("9", len(result.data))


@pytest.mark.parametrize("size", PIECES)
def test_only_the_first_is_skipped(size: int) -> None:
    """A repeat that comes later, or a second time, is delivered."""
    assert resumed(events(1, 2), events(2, 2, 3), size).data == ["1", "2", "2", "3"]
    assert resumed(events(1, 2), events(3, 2), size).data == ["1", "2", "3", "2"]
    assert resumed(events(1), events(2, 2), size).data == ["1", "2", "2"]


def test_what_is_compared_with_is_the_last_finished_event() -> None:
    """A repeat is compared with the last finished event, however many blocks of an ID alone came after that."""
    assert resumed(events(1, 2) + b"id: 3\n\n", events(2, 4)).data == ["1", "2", "4"]
    assert resumed(events(1, 2) + b"id: 3\n\n", event(3, "2") + events(4)).data == ["1", "2", "2", "4"]


def test_an_empty_id_proves_nothing() -> None:
    """An event with an empty ID is not skipped: a server cannot resume after an empty ID."""
    assert resumed(b"id\ndata: a\n\nid: 5\n\n", b"id\ndata: a\n\n").data == ["a", "a"]


def test_a_first_event_that_is_too_large() -> None:
    """
    An event that is too large is an error before and after a skipped repeat, after the events before it are delivered.
    """
    huge = b"data: " + b"x" * 100 + b"\n\n"
    for first, data in ((b"", []), (event(2), []), (event(2, "b"), ["b"]), (event(3), ["3"])):
        for end in (huge, huge[:-2]):
            result = resumed(events(1, 2), first + end, max_event_size=50)
            assert isinstance(result.error, EventTooLarge)
            assert result.data == ["1", "2", *data]


SERVERS: dict[str, Callable[[int], int]] = {
    "exact": lambda last: last + 1,
    "inclusive": lambda last: max(last, 1),
    "forgetful": lambda last: 1,
}


def serve(shell: Shell, kind: str, cuts: list[int], count: int, **options: Any) -> tuple[list[str], Any]:
    """
    Read a stream of `count` events from a server of that kind, which cuts its connections after the numbers in `cuts`.
    """
    left = list(cuts)

    def answer(request: RecordedRequest) -> Answer:
        begin = SERVERS[kind](int(request.headers.get("last-event-id", "0")))
        numbers = list(range(begin, count + 1))
        if not left:
            return Answer(*(event(number) for number in numbers), "data: [DONE]\n\n")
        return Answer(*(event(number) for number in numbers[: left.pop(0)]), RST)

    result = shell.read("http://test/", http={"transport": scripted_transport(answer)}, **options)
    return result.data, result


@pytest.mark.parametrize("kind", ["exact", "inclusive"])
@in_turn("cuts", [[1], [2], [1, 2], [3, 2, 2], [2, 1, 1, 3]], ids=str)
def test_no_event_is_lost_or_repeated(shell: Shell, kind: str, cuts: list[int]) -> None:
    """From a server that continues after the ID, or with it, each event is delivered once, wherever it is cut."""
    data, result = serve(shell, kind, cuts, 5, resume=RESUME)
    assert (result.error, data) == (None, ["1", "2", "3", "4", "5"])
    assert result.stream.stats.events == 5


def test_a_server_that_starts_over_after_one_event(shell: Shell) -> None:
    """Starting over after exactly one event is a mere repeat; after more events it is an error."""
    data, result = serve(shell, "forgetful", [1], 3, resume=RESUME)
    assert (result.error, data) == (None, ["1", "2", "3"])
    data, result = serve(shell, "forgetful", [2], 3, resume=RESUME)
    assert isinstance(result.error, StreamInterrupted)
    assert ("started over" in str(result.error), data) == (True, ["1", "2"])


def test_a_repeat_is_logged_and_counted_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """A skipped event is logged, and is not progress: it resets neither the attempts nor the clocks."""
    caplog.set_level(logging.INFO, "sse_client")
    again = ok(event(2), RESET)
    result = run(plan(resume=RESUME), ok(events(1, 2), RESET), *[again] * 3, ok(events(2, 3)))
    assert (result.data, result.waits) == (["1", "2", "3"], approx([1, 2, 4, 8]))
    said = [record for record in caplog.records if "repeated" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.INFO] * 4
    assert result.session.stats(0).events == 3
    result = run(plan(resume=RESUME), ok(event(1), RESET), *[ok(event(1), RESET)] * 5)
    assert (result.data, result.outcome) == (["1"], "interrupted")
    result = run(plan(resume=RESUME, timeouts=clocks(idle=10)), ok(event(1), RESET), ok(event(1), 6.0, event(2)))
    assert result.data == ["1", "2"]
    late = ok(6.0, event(1), 6.0, event(2))
    result = run(plan(resume=RESUME, timeouts=clocks(idle=10)), ok(event(1), RESET), late, ok(event(1), event(2)))
    assert (result.data, len(result.connects)) == (["1", "2"], 3)


def test_a_subscription_skips_nothing() -> None:
    """A subscription delivers repeats, as a browser does; with `resume=` it skips a repeat as well."""
    replies = ok(events(1, 2)), ok(events(2, 3)), ok(events(3), RESET), answer(204)
    assert run(subscription(), *replies).data == ["1", "2", "2", "3", "3"]
    assert run(subscription(resume=RESUME), *replies).data == ["1", "2", "3"]


def test_the_first_connection_skips_nothing() -> None:
    """Only an event that the stream itself has delivered can be repeated."""
    assert run(plan(GET, resume=RESUME, last_event_id="1"), ok(events(1, 2))).data == ["1", "2"]
    assert run(plan(GET, resume=RESUME), ok(RESET), ok(events(1, 2))).data == ["1", "2"]


TWINS = [
    ("before-the-cut", [event(1, "a") + event(1, "b") + event(2, "c"), event(2, "c") + event(3, "d")], "abccd"),
    ("at-the-cut", [event(1, "a") + event(2, "b") + event(2, "b"), event(2, "b") + event(3, "c")], "abbbc"),
    ("across-the-cut", [event(1, "a"), event(1, "b") + event(2, "c"), event(2, "c") + event(3, "d")], "abccd"),
    ("after-the-cut", [event(1, "a"), event(2, "b") + event(2, "c"), event(2, "c") + event(3, "d")], "abccd"),
    ("after-a-repeat", [event(1, "a"), event(1, "a") + event(1, "b"), event(1, "b") + event(2, "c")], "abbc"),
    ("long-before", [event(1, "a") + event(1, "a"), event(2, "b"), event(2, "b") + event(3, "c")], "aabbc"),
    # None of these are two events in a row with the same own ID.
    ("repeated-twice", [event(1, "a"), event(1, "a") + event(2, "b"), event(2, "b") + event(3, "c")], "abc"),
    ("inherited", [event(1, "a") + b"data: b\n\n", b"data: c\n\n" + event(2, "d"), event(2, "d")], "abcd"),
    ("named-pings", [event(1, "a") + b": 1\n\n" + event(2, "b"), event(2, "b") + event(3, "c")], "abc"),
]


@pytest.mark.parametrize("size", PIECES)
@pytest.mark.parametrize(("bodies", "data"), [pytest.param(*row[1:], id=row[0]) for row in TWINS])
def test_events_that_share_an_id(bodies: list[bytes], data: str, size: int) -> None:
    """Once two events in a row had the same own ID, nothing in the stream is skipped any more."""
    *cut, last = bodies
    replies = [ok(*in_pieces((body,), size), RESET) for body in cut]
    result = run(plan(resume=RESUME), *replies, ok(*in_pieces((last,), size)))
    assert "".join(result.data) == data


def test_the_users_id_is_no_twin() -> None:
    """A first event with the user's `last_event_id=` is not the second of two with that ID in this stream."""
    result = run(plan(resume=RESUME, last_event_id="1"), ok(events(1, 2), RESET), ok(events(2, 3)))
    assert result.data == ["1", "2", "3"]


@given(
    st.lists(st.sampled_from(["same", "next", "none"]), min_size=1, max_size=12),
    st.lists(st.integers(0, 200), max_size=6),
    st.integers(1, 50),
)
def test_no_event_is_lost(ids: list[str], cuts: list[int], size: int) -> None:
    """Whether events have their own IDs, share or inherit them, all that differ are delivered, from an exact server."""
    blocks, number = [], 1
    for index, kind in enumerate(ids):
        number += kind == "next"
        blocks.append((b"" if kind == "none" else b"id: %d\n" % number) + b"data: %d\n\n" % index)
    stream = Scene(plan(resume=RESUME, retry=None))
    lengths = list(cuts)

    def reply(_: Connect) -> Reply:
        rest = b"".join(blocks[len(stream.events) :])
        if not lengths:
            return ok(*in_pieces((rest,), size))
        return ok(*in_pieces((rest[: lengths.pop()],), size), RESET)

    stream.server = reply
    stream.to_end()
    assert stream.data == [str(index) for index in range(len(stream.data))]
    assert stream.outcome == "interrupted" or len(stream.data) == len(ids)
