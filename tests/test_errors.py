"""The tree of errors: its shape and its texts, and that each error survives pickle."""

import pickle
from typing import Any

import httpx
import httpx2
import pytest

from sse_client._errors import (
    MAX_QUOTED,
    ConnectionFailed,
    ContentTypeError,
    DecodeError,
    ErrorEventReceived,
    EventTooLarge,
    ResponseError,
    SSEError,
    StatusError,
    StreamCancelled,
    StreamError,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    message_in,
    quote,
)
from sse_client._event import ServerSentEvent
from sse_client._stats import StreamStats

TREE: dict[type[Exception], tuple[type[Exception], ...]] = {
    SSEError: (Exception,),
    ConnectionFailed: (SSEError,),
    ResponseError: (SSEError,),
    StatusError: (ResponseError,),
    ContentTypeError: (ResponseError,),
    StreamError: (SSEError,),
    StreamInterrupted: (StreamError,),
    StreamTruncated: (StreamError,),
    StreamTimeout: (StreamError, TimeoutError),
    StreamCancelled: (StreamError,),
    ErrorEventReceived: (StreamError,),
    EventTooLarge: (SSEError,),
    DecodeError: (SSEError,),
}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_tree(kind: type[Exception]) -> None:
    """Each error has the base classes of the tree."""
    assert kind.__bases__ == TREE[kind]


def test_no_other_errors() -> None:
    """The tree is complete."""

    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    assert {kind for kind in below(SSEError) if kind.__module__.startswith("sse_client")} == set(TREE)


def test_a_timeout_is_the_builtin_one() -> None:
    """`except TimeoutError` catches a `StreamTimeout`."""
    with pytest.raises(TimeoutError):
        raise StreamTimeout("late", clock="idle")


EVENT = ServerSentEvent("error", '{"message": "busy"}', "7", 100)
STATS = StreamStats(attempts=2, events=3, time_to_headers=0.5)
KNOWN: dict[str, Any] = {"last_event_id": "7", "partial": {"text": "ab"}, "cursor": ("r1", 7), "stats": STATS}
ANSWER: dict[str, Any] = {"status_code": 429, "headers": {"x-request-id": "r1"}, "body": b'{"error": "busy"}'}

EXAMPLES: list[SSEError] = [
    SSEError("text"),
    ConnectionFailed("text", ambiguous=True, clock="connect"),
    ConnectionFailed("text"),
    ResponseError("text", **ANSWER),
    StatusError("text", **ANSWER),
    StatusError("text", **{**ANSWER, "headers": httpx.Headers(ANSWER["headers"])}),
    ContentTypeError("text", **{**ANSWER, "headers": httpx2.Headers(ANSWER["headers"])}),
    StreamError("text", **KNOWN),
    StreamInterrupted("text", **KNOWN),
    StreamTruncated("text", **KNOWN),
    StreamTimeout("text", clock="idle", **KNOWN),
    StreamTimeout("text", clock="total"),
    StreamCancelled("text", **KNOWN),
    ErrorEventReceived("text", event=EVENT, code={"a": [1]}, message="busy", **KNOWN),
    ErrorEventReceived("text", event=EVENT, code="overloaded_error", is_transient=True),
    EventTooLarge("text"),
    DecodeError("text", event=EVENT),
]
NAMES = [f"{type(error).__name__}-{number}" for number, error in enumerate(EXAMPLES)]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_pickle(error: SSEError, protocol: int) -> None:
    """An error keeps its text, all of its attributes and its notes through pickle."""
    error.__notes__ = ["in the middle of the night"]
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)
    assert vars(again) == vars(error)
    assert again.__notes__ == error.__notes__


def test_all_errors_are_pickled_here() -> None:
    """There is an example of each error."""
    assert {type(error) for error in EXAMPLES} == set(TREE)


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_stats(error: SSEError) -> None:
    """Every error has the stats of its stream, which are empty until the stream sets them."""
    assert error.stats in (STATS, StreamStats())
    error.stats = STATS
    assert pickle.loads(pickle.dumps(error)).stats == STATS


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_text(error: SSEError) -> None:
    """The text is the message, and the repr shows no attribute."""
    assert str(error) == "text"
    assert repr(error) == f"{type(error).__name__}('text')"


def test_what_is_not_said() -> None:
    """Attributes that are not known have a default."""
    failed = ConnectionFailed("text")
    assert (failed.ambiguous, failed.clock) == (False, None)
    cut = StreamInterrupted("text")
    assert (cut.last_event_id, cut.partial, cut.cursor, cut.stats) == ("", None, None, StreamStats())
    received = ErrorEventReceived("text", event=EVENT)
    assert (received.code, received.message, received.is_transient) == (None, None, False)


def answered(body: bytes, **headers: str) -> StatusError:
    return StatusError("text", status_code=400, headers=httpx.Headers(headers), body=body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "busy"}', "busy"),
        (b'{"error": {"message": "busy", "code": 1}}', "busy"),
        (b'{"message": "busy"}', "busy"),
        (b'{"detail": "busy"}', "busy"),
        (b'{"detail": [{"msg": "wrong"}]}', '[{"msg": "wrong"}]'),
        (b'{"type": "error", "error": {"type": "t", "message": "busy"}}', "busy"),
        (b'{"fault": "busy"}', None),
        (b'"busy"', None),
        (b"[]", None),
        (b"busy", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b'{"error": ' * 50_000, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_servers_message(body: bytes, message: str | None) -> None:
    """The server's message is found in JSON of the usual shapes. Any other body has none, and raises nothing."""
    assert answered(body).message == message


def test_json() -> None:
    """`json` parses the body, and raises `ValueError` if it is not JSON."""
    assert answered(b'{"a": [1]}').json() == {"a": [1]}
    with pytest.raises(ValueError):
        answered(b"<html>").json()
    with pytest.raises(ValueError):
        answered(b"\xff").json()


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({}, None),
        ({"X-Request-Id": "a"}, "a"),
        ({"Request-Id": "b"}, "b"),
        ({"X-Request-Id": "a", "Request-Id": "b"}, "a"),
        ({"X-Request-Id": "", "Request-Id": "b"}, "b"),
    ],
)
def test_request_id(headers: dict[str, str], request_id: str | None) -> None:
    """`request_id` is the value of `X-Request-Id`, or else of `Request-Id`."""
    assert answered(b"", **headers).request_id == request_id


@pytest.mark.parametrize("text", ["x" * 100_000, "\x00" * 100_000, "😀" * 100_000, "\\'\"" * 100_000])
def test_quotes_are_bounded(text: str) -> None:
    """A quotation fits in a log line, however long the text is."""
    assert len(quote(text)) <= 4 * MAX_QUOTED + 3
    assert "…" in quote(text)


@pytest.mark.parametrize(("text", "quoted"), [("busy", "'busy'"), ("it's", '"it\'s"'), ("a\nb", r"'a\nb'"), ("", "''")])
def test_quotes(text: str, quoted: str) -> None:
    """A quotation is a literal, so that no text can look like another line of a log."""
    assert quote(text) == quoted


def test_message_in_deep_json() -> None:
    """A message within messages is found at any depth that JSON is parsed to."""
    value: Any = "busy"
    for _ in range(100):
        value = {"error": value}
    assert message_in(value) == "busy"
