"""
Typed events: how a type decodes an event's name and data, by the decoder alone and through the shells.

`DECODED` is a table: a type, its events, and the result for each.
"""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError
from shells import Reader, Run, Shell, entered, in_turn
from typing_extensions import TypeAliasType, TypedDict

from sse_client import (
    ContentTypeError,
    DecodeError,
    Dialect,
    ErrorEvent,
    ErrorEventReceived,
    EventTooLarge,
    Handlers,
    LastEventID,
    Named,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    StreamInterrupted,
    StreamTimeout,
    StreamTruncated,
    Terminator,
    Timeouts,
)
from sse_client._typed import Decoder, Nothing
from sse_client.testing import FIN, Answer, EventServer, Pause, scripted_transport

EMPTY, UNKNOWN = Nothing.EMPTY, Nothing.UNKNOWN
UNKNOWNS: list[Any] = ["skip", "keep", "raise"]


class Text(BaseModel):
    type: Literal["text"] = "text"
    content: str


class Done(BaseModel):
    type: Literal["done"] = "done"
    tokens: int = 0


class Token(BaseModel):
    token: str


class Usage(BaseModel):
    input: int
    output: int


class Mapped(TypedDict):
    token: str


BY_FIELD = Annotated[Text | Done, Field(discriminator="type")]
BY_KEYS = Token | Usage
BY_NAME = Annotated[Token, Named("token", "data")] | Annotated[Usage, Named("usage")]
MIXED = Annotated[Token, Named("message", "data")] | Annotated[Done, Named("stream_end")]
NESTED = Annotated[Annotated[Text, Named("a")], Named("b")] | Annotated[Annotated[Token | Usage, "x"], Named("c")]
BY_BOTH = Annotated[
    Text | Done | Annotated[Token, Named("token")],
    Field(discriminator="type"),
]
SHARED = Annotated[Token, Named("x")] | Annotated[Usage, Named("x")]
OR_ANY = Annotated[Token, Named("token")] | Usage
ALIAS = TypeAliasType("ALIAS", BY_NAME)
ALIAS_OF_ALIAS = TypeAliasType("ALIAS_OF_ALIAS", Annotated[ALIAS, "x"])

TEXT, DONE = '{"type": "text", "content": "a"}', '{"type": "done"}'
TOKEN, USAGE = '{"token": "a"}', '{"input": 1, "output": 2}'

# A type; then for each event its name, its data, and the result. DecodeError if it does not match.
DECODED: dict[str, tuple[Any, list[tuple[str, str, Any]]]] = {
    "model": (
        Text,
        [
            ("message", TEXT, Text(content="a")),
            ("any", '{"content": "a", "more": 1}', Text(content="a")),
            ("message", "", EMPTY),
            ("message", DONE, DecodeError),
            ("message", "{}", DecodeError),
            ("message", "no", DecodeError),
            ("message", "null", DecodeError),
            ("message", " ", DecodeError),
        ],
    ),
    "by a field": (
        BY_FIELD,
        [
            ("message", TEXT, Text(content="a")),
            ("text", DONE, Done()),
            ("message", '{"type": "mood"}', UNKNOWN),
            ("message", '{"type": 7}', UNKNOWN),
            ("message", '{"type": null}', UNKNOWN),
            ("message", "{}", DecodeError),
            ("message", "[]", DecodeError),
            ("message", '{"type": "text"}', DecodeError),
            ("message", '{"type": "done", "tokens": "?"}', DecodeError),
            ("message", "", EMPTY),
        ],
    ),
    "by keys": (
        BY_KEYS,
        [
            ("message", TOKEN, Token(token="a")),
            ("message", USAGE, Usage(input=1, output=2)),
            ("message", '{"input": 1}', DecodeError),
            ("message", '{"other": 1}', DecodeError),
        ],
    ),
    "by name": (
        BY_NAME,
        [
            ("token", TOKEN, Token(token="a")),
            ("data", TOKEN, Token(token="a")),
            ("usage", USAGE, Usage(input=1, output=2)),
            ("usage", TOKEN, DecodeError),
            ("message", TOKEN, UNKNOWN),
            ("other", "no JSON", UNKNOWN),
            ("other", "", EMPTY),
        ],
    ),
    "by name, message too": (
        MIXED,
        [
            ("message", TOKEN, Token(token="a")),
            ("data", TOKEN, Token(token="a")),
            ("stream_end", "{}", Done()),
            ("message", "{}", DecodeError),
            ("ping", "{}", UNKNOWN),
        ],
    ),
    "named twice": (
        NESTED,
        [
            ("a", TEXT, Text(content="a")),
            ("b", TEXT, Text(content="a")),
            ("c", TOKEN, Token(token="a")),
            ("c", USAGE, Usage(input=1, output=2)),
            ("c", TEXT, DecodeError),
            ("d", TEXT, UNKNOWN),
        ],
    ),
    "by name, then by a field": (
        BY_BOTH,
        [
            ("token", TOKEN, Token(token="a")),
            ("token", TEXT, DecodeError),  # the name wins
            ("message", TEXT, Text(content="a")),
            ("other", DONE, Done()),
            ("other", '{"type": "mood"}', UNKNOWN),
            ("other", TOKEN, DecodeError),
        ],
    ),
    "a field wins over message": (
        Annotated[Text | Done | Annotated[Token, Named("message")], Field(discriminator="type")],
        [
            ("message", TEXT, Text(content="a")),
            ("message", '{"type": "mood", "token": "a"}', Token(token="a")),
            ("message", '{"type": "mood"}', DecodeError),
            ("message", '{"type": "text"}', DecodeError),
        ],
    ),
    "one name, several members": (
        SHARED,
        [("x", TOKEN, Token(token="a")), ("x", USAGE, Usage(input=1, output=2)), ("message", TOKEN, UNKNOWN)],
    ),
    "one name, and any other": (
        OR_ANY,
        [
            ("token", TOKEN, Token(token="a")),
            ("token", USAGE, DecodeError),
            ("whatever", USAGE, Usage(input=1, output=2)),
            ("whatever", TOKEN, DecodeError),
        ],
    ),
    "one model by name": (
        Annotated[Token, Named("token")],
        [("token", TOKEN, Token(token="a")), ("message", TOKEN, UNKNOWN)],
    ),
    "alias": (ALIAS, [("token", TOKEN, Token(token="a")), ("message", TOKEN, UNKNOWN)]),
    "alias of an alias": (ALIAS_OF_ALIAS, [("usage", USAGE, Usage(input=1, output=2)), ("message", TOKEN, UNKNOWN)]),
    "TypedDict": (Mapped, [("message", TOKEN, {"token": "a"}), ("message", "{}", DecodeError)]),
    "dict": (dict[str, Any], [("message", USAGE, {"input": 1, "output": 2}), ("message", "[]", DecodeError)]),
    "list": (list[int], [("message", "[1, 2]", [1, 2]), ("message", '["x"]', DecodeError)]),
    "scalars": (int | str | None, [("m", "1", 1), ("m", '"1"', "1"), ("m", "null", None), ("m", "one", DecodeError)]),
    "anything": (Any, [("message", "[null]", [None]), ("message", "[DONE]", DecodeError)]),
    "constrained": (Annotated[int, Field(gt=0)], [("message", "1", 1), ("message", "0", DecodeError)]),
    "constrained by name": (
        Annotated[int, Field(gt=0), Named("count")],
        [("count", "1", 1), ("count", "0", DecodeError), ("message", "1", UNKNOWN)],
    ),
}


@pytest.mark.parametrize("name", DECODED)
def test_decoded(name: str) -> None:
    """The type alone determines how its members are told apart: by a field, by keys, by name, or by all of these."""
    form, events = DECODED[name]
    decoder = Decoder(form)
    for event, data, expected in events:
        if expected is DecodeError:
            with pytest.raises(DecodeError):
                decoder.decode(ServerSentEvent(event, data))
        else:
            value = decoder.decode(ServerSentEvent(event, data))
            assert value == expected
            assert type(value) is type(expected)


def values_of(result: Run) -> list[Any]:
    """The delivered values, which are not `ServerSentEvent` here."""
    return list(result.events)


async def next_of(reader: Reader) -> Any:
    return await anext(reader)


@in_turn("name", DECODED)
def test_shells_decode_alike(shell: Shell, name: str) -> None:
    """A client delivers the same values; unknown events and empty data are not delivered."""
    form, events = DECODED[name]
    good = [(event, data, value) for event, data, value in events if value is not DecodeError]
    stream = "".join(f"event: {event}\ndata: {data}\n\n" for event, data, _ in good)
    with EventServer(Answer(stream)) as server:
        result = shell.read(server.url, events=form)
    assert result.error is None
    assert values_of(result) == [value for _, _, value in good if not isinstance(value, Nothing)]
    assert result.stream is not None
    assert result.stream.stats.unknown == sum(value is UNKNOWN for _, _, value in good)


def test_named() -> None:
    """`Named` needs a name, and its repr shows its names."""
    with pytest.raises(TypeError, match="at least one event name"):
        Named()
    assert repr(Named("a", "b")) == "Named('a', 'b')"


def test_annotated_with_anything(shell: Shell) -> None:
    """A type may have annotations that cannot be keys of a cache."""
    with EventServer(Answer(f"data: {TOKEN}\n\n")) as server:
        for _ in range(2):
            assert values_of(shell.read(server.url, events=Annotated[Token, {"a": [1]}])) == [Token(token="a")]


def test_the_order_of_a_union() -> None:
    """If an event matches two members, the first one wins, so the order of a union matters."""

    class First(BaseModel):
        x: int

    class Second(BaseModel):
        x: int

    with EventServer(Answer('data: {"x": 1}\n\n')) as server, SSEClient() as client:
        assert list(client.post(server.url, events=First | Second)) == [First(x=1)]
        assert list(client.post(server.url, events=Second | First)) == [Second(x=1)]


# A type, the event's data, and the texts that must be in the error.
MISFITS: dict[str, tuple[Any, str, list[str]]] = {
    "bad JSON": (Text, '{"content": ', ["'message' event", "Text", "Invalid JSON"]),
    "no JSON": (Text, "hello", ["Text", "Invalid JSON"]),
    "wrong field": (Text, '{"content": 7}', ["Text", "content", "valid string"]),
    "missing field": (Text, '{"type": "text"}', ["Text", "content", "required"]),
    "in a union": (BY_FIELD, '{"type": "text", "content": 7}', ["Text | Done", "text.content"]),
    "no discriminator": (BY_FIELD, "{}", ["Text | Done", "'type'"]),
    "deep inside": (list[Token], '[{"token": "a"}, {"token": 7}]', ["1.token"]),
    "long": (Text, '{"content": [' + "7," * 50_000 + "7]}", ["content"]),
    "many faults": (list[Token], "[" + "{}," * 10_000 + "{}]", ["0.token"]),
    "deep": (Any, "[" * 5_000, ["JSON"]),
}


@pytest.mark.parametrize("name", MISFITS)
def test_decode_error(name: str) -> None:
    """
    The error names the type, the field and the fault, in one line; it has the event, and pydantic's error as its cause.
    """
    form, data, texts = MISFITS[name]
    event = ServerSentEvent(data=data, id="7")
    with pytest.raises(DecodeError) as caught:
        Decoder(form).decode(event)
    for text in texts:
        assert text in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)
    assert caught.value.event is event
    assert isinstance(caught.value.__cause__, ValidationError)


@in_turn("data", ['{"content": "\\ud83d"}', '{"content": "\\ude00"}', '{"content": "\\ud83d\\ud83d"}'])
def test_half_a_surrogate(shell: Shell, data: str) -> None:
    """Half of a surrogate pair is not text: the event is a `DecodeError`, and the next one is read."""
    assert ServerSentEvent(data=data).json()["content"]
    with EventServer(Answer(f"data: {data}\n\n", f"data: {TEXT}\n\n")) as server:
        errors, values = read_on(shell, server.url, events=Text)
    assert [error.event.data for error in errors] == [data]
    assert values == [Text(content="a")]


def read_on(shell: Shell, url: str, **options: Any) -> tuple[list[DecodeError], list[Any]]:
    """Read a stream to its end, continuing after each `DecodeError`."""
    errors: list[DecodeError] = []
    values: list[Any] = []

    async def main() -> None:
        async with shell.any_client({"retry": None}) as client, entered(client.post(url, **options)) as reader:
            while True:
                try:
                    values.append(await anext(reader))
                except DecodeError as error:
                    errors.append(error)
                except StopAsyncIteration:
                    break
            assert reader.stream.outcome == "completed"

    shell.run(main)
    return errors, values


def test_goes_on_behind_a_decode_error(shell: Shell) -> None:
    """After a `DecodeError` the next `next()` continues after the event, even in the same piece."""
    pieces = (f"data: {TEXT}\n\n", "data: {}\n\n", f"data: x\n\ndata: {TEXT}\n\ndata: {{}}\n\n", f"data: {TEXT}\n\n")
    for answer in (Answer(*pieces), Answer("".join(pieces))):
        with EventServer(answer) as server:
            errors, values = read_on(shell, server.url, events=Text)
        assert [error.event.data for error in errors] == ["{}", "x", "{}"]
        assert values == [Text(content="a")] * 3


def test_a_decode_error_at_the_end(shell: Shell) -> None:
    """If the last event does not match, the stream is over and completed."""
    with EventServer(Answer(f"data: {TEXT}\n\ndata: {{}}\n\n")) as server:
        errors, values = read_on(shell, server.url, events=Text)
    assert (len(errors), len(values)) == (1, 1)


def test_a_decode_error_that_is_not_caught(shell: Shell) -> None:
    """A `DecodeError` that leaves the `with` abandons the stream, like any other exception."""
    with EventServer(Answer("data: {}\n\n", Pause(5))) as server:
        result = shell.read(server.url, events=Text)
    assert isinstance(result.error, DecodeError)
    assert result.stream is not None
    assert (result.stream.outcome, result.stream.state) == ("abandoned", "closed")


UNLISTED: list[tuple[Any, str, str]] = [
    # A type, an event that it covers, and one that it does not.
    (
        Annotated[Text, Named("text")] | Annotated[Done, Named("done")],
        "event: text\ndata: " + TEXT,
        "event: mood\ndata: x",
    ),
    (BY_FIELD, "data: " + TEXT, 'event: mood\ndata: {"type": "mood"}'),
]
unlisted = pytest.mark.parametrize(("form", "known", "unknown"), UNLISTED, ids=["name", "field"])


@unlisted
def test_unknown_is_skipped(shell: Shell, form: Any, known: str, unknown: str) -> None:
    """By default an event that the type does not cover is skipped, and counted."""
    with EventServer(Answer(f"{unknown}\n\n{known}\n\n{unknown}\n\n")) as server:
        for how in (None, "skip"):
            result = shell.read(server.url, events=form, unknown=how)
            assert result.error is None
            assert values_of(result) == [Text(content="a")]
            assert result.stream is not None
            assert (result.stream.stats.events, result.stream.stats.unknown) == (3, 2)


@unlisted
def test_unknown_is_kept(shell: Shell, form: Any, known: str, unknown: str) -> None:
    """With `unknown="keep"` such an event is delivered as it came, and counted."""
    with EventServer(Answer(f"{unknown}\n\n{known}\n\n")) as server:
        result = shell.read(server.url, events=form, unknown="keep")
    assert result.error is None
    stranger, value = values_of(result)
    assert isinstance(stranger, ServerSentEvent)
    assert stranger.event == "mood"
    assert value == Text(content="a")
    assert result.stream is not None
    assert result.stream.stats.unknown == 1


@unlisted
def test_unknown_is_raised(shell: Shell, form: Any, known: str, unknown: str) -> None:
    """With `unknown="raise"` such an event is a `DecodeError` that names it, and the stream continues after it."""
    with EventServer(Answer(f"{unknown}\n\n{known}\n\n")) as server:
        errors, values = read_on(shell, server.url, events=form, unknown="raise")
    (error,) = errors
    assert str(error) == "Text | Done does not cover this 'mood' event"
    assert error.event.event == "mood"
    assert values == [Text(content="a")]


def test_a_misfit_is_not_unknown(shell: Shell) -> None:
    """An event that the type covers but that does not match is an error, whatever `unknown` is."""
    for unknown in UNKNOWNS:
        with EventServer(Answer('data: {"type": "text"}\n\n')) as server:
            errors, values = read_on(shell, server.url, events=BY_FIELD, unknown=unknown)
        assert (len(errors), values) == (1, [])


@in_turn("unknown", UNKNOWNS)
def test_empty_data(shell: Shell, unknown: str) -> None:
    """An event with empty data is skipped, whatever its name, such as MCP's first event; its ID counts."""
    stream = f"id: 1\ndata:\n\ndata: {TEXT}\n\nevent: x\nid: 2\ndata\n\n"
    with EventServer(Answer(stream)) as server:
        result = shell.read(server.url, events=BY_FIELD, unknown=unknown)
    assert result.error is None
    assert values_of(result) == [Text(content="a")]
    assert result.stream is not None
    assert result.stream.last_event_id == "2"
    assert (result.stream.stats.events, result.stream.stats.unknown) == (3, 0)


def test_empty_data_is_an_event_untyped(shell: Shell) -> None:
    """In an untyped stream empty data is an event like any other (WHATWG HTML, section 9.2.6)."""
    with EventServer(Answer("id: 1\ndata:\n\n")) as server:
        assert shell.read(server.url).events == [ServerSentEvent(id="1")]


def test_resumes_behind_a_skipped_event(shell: Shell) -> None:
    """A stream may be resumed after the ID of an event that was skipped."""
    quick = RetryPolicy(initial_delay=0.01, jitter=0)
    first = Answer(f"retry: 50\nid: 1\ndata: {TEXT}\n\n", 'id: 2\ndata: {"type": "mood"}\n\n', FIN)
    with EventServer(first, Answer(f"id: 3\ndata: {DONE}\n\n")) as server:
        result = shell.read(server.url, events=BY_FIELD, resume=LastEventID(retry=quick))
        assert server.requests[1].headers["last-event-id"] == "2"
    assert result.error is None
    assert values_of(result) == [Text(content="a"), Done()]


def test_last_event(shell: Shell) -> None:
    """`stream.last_event` is the raw event of the last value: its name, its ID, its data."""
    options: Any = {"events": BY_FIELD}

    async def main() -> None:
        async with shell.any_client() as client, entered(client.post(server.url, **options)) as reader:
            assert reader.stream.last_event is None
            assert await next_of(reader) == Text(content="a")
            assert reader.stream.last_event == ServerSentEvent("x", TEXT, "1")
            assert await next_of(reader) == Done()
            assert reader.stream.last_event == ServerSentEvent("message", DONE, "2")
            with pytest.raises(StopAsyncIteration):
                await anext(reader)
            assert reader.stream.last_event == ServerSentEvent("message", DONE, "2")

    with EventServer(Answer(f"event: x\nid: 1\ndata: {TEXT}\n\nid: 2\ndata: {DONE}\n\n")) as server:
        shell.run(main)


DIALECT = Dialect(
    events=BY_FIELD,
    terminator=Terminator(field="type", values={"done"}),
    errors=ErrorEvent(field="type", values={"error"}),
    pings={"ping"},
    unknown="keep",
)


def read(shell: Shell, *steps: Any, **options: Any) -> Run:
    with EventServer(Answer(*steps)) as server:
        return shell.read(server.url, client={"retry": None}, **options)


def test_dialect(shell: Shell) -> None:
    """A dialect contains an application's whole protocol."""
    result = read(shell, f"data: {TEXT}\n\nevent: ping\ndata: 1\n\n", f"data: {DONE}\n\n", Pause(5), dialect=DIALECT)
    assert result.error is None
    assert values_of(result) == [Text(content="a"), Done()]
    assert isinstance(read(shell, f"data: {TEXT}\n\n", dialect=DIALECT).error, StreamTruncated)
    assert isinstance(read(shell, 'data: {"type": "error"}\n\n', dialect=DIALECT).error, ErrorEventReceived)
    kept = read(shell, 'data: {"type": "mood"}\n\n', f"data: {DONE}\n\n", dialect=DIALECT)
    assert values_of(kept) == [ServerSentEvent(data='{"type": "mood"}'), Done()]


def test_single_arguments_override_a_dialect(shell: Shell) -> None:
    """Each argument of a call overrides its part of the dialect, and leaves the others as they are."""
    stream = f'data: {TEXT}\n\nevent: ping\ndata: {TEXT}\n\ndata: {{"type": "mood"}}\n\n'
    text, mood = Text(content="a"), ServerSentEvent(data='{"type": "mood"}')
    assert values_of(read(shell, stream, dialect=DIALECT, terminator=None)) == [text, mood]
    assert values_of(read(shell, stream, dialect=DIALECT, terminator=None, pings=())) == [text, text, mood]
    assert values_of(read(shell, stream, dialect=DIALECT, events=dict[str, Any])) == [
        {"type": "text", "content": "a"},
        {"type": "mood"},
    ]
    skipped = read(shell, stream, dialect=DIALECT, events=BY_FIELD, unknown="skip")
    assert values_of(skipped) == [text]
    assert isinstance(skipped.error, StreamTruncated)
    ended = read(shell, stream, dialect=DIALECT, terminator=Terminator(field="type", values={"mood"}))
    assert (values_of(ended), ended.error) == ([text, mood], None)
    error = read(shell, stream, dialect=DIALECT, errors=ErrorEvent(field="type", values={"mood"})).error
    assert isinstance(error, ErrorEventReceived)
    assert read(shell, 'data: {"type": "error"}\n\n', dialect=DIALECT, errors=None, terminator=None).error is None


def test_terminator_and_errors_come_before_the_type(shell: Shell) -> None:
    """An error event is an error, and `[DONE]` is the end, whether or not the type covers it."""
    result = read(shell, f"data: {TEXT}\n\ndata: [DONE]\n\n", events=Text)
    assert (values_of(result), result.error) == ([Text(content="a")], None)
    result = read(shell, "event: error\ndata: no\n\n", events=Text, errors=ErrorEvent(event="error"))
    assert isinstance(result.error, ErrorEventReceived)


def test_a_terminator_that_does_not_fit(shell: Shell) -> None:
    """A terminator that the type does not cover still ends the stream, and is skipped."""
    events = Annotated[Text, Named("text")]
    stream = f"event: text\ndata: {TEXT}\n\nevent: end\ndata: bye\n\n"
    result = read(shell, stream, events=events, terminator=Terminator(event="end"))
    assert (values_of(result), result.error) == ([Text(content="a")], None)
    assert result.stream is not None
    assert result.stream.outcome == "completed"


def test_pings_reach_nobody(shell: Shell) -> None:
    """A ping is not an event: it is neither delivered nor counted, but its ID counts."""
    stream = f"data: {TEXT}\n\nevent: ping\nid: 7\ndata: 1\n\n"
    result = read(shell, stream, events=Text, pings=["ping"])
    assert values_of(result) == [Text(content="a")]
    assert result.stream is not None
    assert result.stream.last_event_id == "7"
    assert result.stream.stats.events == 1
    assert read(shell, "event: ping\ndata: 1\n\n" * 3, pings={"ping", "pong"}).events == []


def test_pings_in_a_dispatch() -> None:
    """A ping is not dispatched, by its name or otherwise."""
    seen: list[Any] = []
    on = Handlers()
    on("ping")(seen.append)
    on.event(seen.append)
    on.unknown(seen.append)
    with EventServer(Answer("event: ping\ndata: 1\n\n")) as server, SSEClient() as client:
        client.post(server.url, pings={"ping"}).dispatch(on)
    assert seen == []


def test_pings_feed_no_clock(shell: Shell) -> None:
    """Pings do not restart `idle`; other unknown events do."""
    steps: list[Any] = ["data: 1\n\n", *["event: ping\ndata: 1\n\n", Pause(0.03)] * 7]
    options: dict[str, Any] = {"timeout": Timeouts(idle=0.12)}
    pinged, unknown = (
        shell.read("http://test/", http={"transport": scripted_transport(Answer(*steps))}, pings=pings, **options)
        for pings in ({"ping"}, ())
    )
    assert isinstance(pinged.error, StreamTimeout)
    assert pinged.error.clock == "idle"
    assert len(pinged.events) == 1
    assert unknown.error is None


def json_of(shell: Shell, *steps: Any, content_type: str = "application/json", **options: Any) -> Run:
    framing = options.pop("framing", "length")
    answer = Answer(*steps, headers={"Content-Type": content_type}, framing=framing)
    with EventServer(answer) as server:
        return shell.read(server.url, client={"retry": None}, **options)


def test_json_is_no_stream(shell: Shell) -> None:
    """By default a JSON response is a `ContentTypeError` with the server's message."""
    result = json_of(shell, '{"error": "overloaded"}')
    assert isinstance(result.error, ContentTypeError)
    assert result.error.message == "overloaded"


JSON_TYPES = [
    *("application/json", "application/json; charset=utf-8", "Application/JSON;charset=latin-1"),
    *("application/problem+json", "application/vnd.api+json; v=1"),
]


@in_turn("content_type", JSON_TYPES)
def test_accept_json(shell: Shell, content_type: str) -> None:
    """With `accept_json=True` a JSON response is a stream of one event, in UTF-8 whatever its charset."""
    result = json_of(shell, '{"content": "é"}', content_type=content_type, accept_json=True)
    assert result.error is None
    assert values_of(result) == [ServerSentEvent(data='{"content": "é"}')]
    typed = json_of(shell, '{"content": "é"}', content_type=content_type, accept_json=True, events=Text)
    assert values_of(typed) == [Text(content="é")]
    assert typed.stream is not None
    assert (typed.stream.outcome, typed.stream.stats.events) == ("completed", 1)


@in_turn("content_type", ["text/html", "text/json", "application/jsonl", "application/x-json-stream"])
def test_accept_json_takes_nothing_else(shell: Shell, content_type: str) -> None:
    """Other media types are still an error, and an event stream is read as usual."""
    assert isinstance(json_of(shell, "{}", content_type=content_type, accept_json=True).error, ContentTypeError)
    stream = json_of(shell, "data: 1\n\ndata: 2\n\n", content_type="text/event-stream", accept_json=True)
    assert stream.data == ["1", "2"]


def test_accept_json_in_pieces(shell: Shell) -> None:
    """The JSON response is one event however it is cut, even with blank lines, and needs no terminator."""
    text = '{\n\n"data": "a: b",\n\n"é": 1}'
    pieces = [bytes([byte]) for byte in text.encode()]
    result = json_of(shell, *pieces, framing="chunked", accept_json=True, terminator=Terminator(event="end"))
    assert result.error is None
    assert result.data == [text]


def test_accept_json_that_does_not_fit(shell: Shell) -> None:
    """A body that is not JSON is a `DecodeError` in a typed stream."""
    result = json_of(shell, "<html>", accept_json=True, events=Text)
    assert isinstance(result.error, DecodeError)


def test_accept_json_of_an_error(shell: Shell) -> None:
    """A JSON response with status 200 that matches `errors=` is an error."""
    result = json_of(shell, '{"error": {"message": "no"}}', accept_json=True, errors=ErrorEvent(field="error"))
    assert isinstance(result.error, ErrorEventReceived)
    assert result.error.message == "no"
    assert values_of(result) == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_accept_json_too_large(shell: Shell, framing: str) -> None:
    """`max_event_size` applies to a JSON response too."""
    body = '"' + "x" * 98 + '"'
    assert json_of(shell, body, framing=framing, accept_json=True, max_event_size=100).data == [body]
    result = json_of(shell, body, framing=framing, accept_json=True, max_event_size=99)
    assert isinstance(result.error, EventTooLarge)
    assert values_of(result) == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_accept_json_cut(shell: Shell, framing: str) -> None:
    """A JSON response that breaks off is a `StreamInterrupted`, and nothing of it is delivered."""
    answer: Any = Answer('{"content": ', FIN, framing="chunked", headers={"Content-Type": "application/json"})
    if framing == "length":
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        answer = Answer(f'{head}{{"content": ', framing="raw")
    with EventServer(answer) as server:
        result = shell.read(server.url, client={"retry": None}, accept_json=True)
    assert isinstance(result.error, StreamInterrupted)
    assert values_of(result) == []


def test_accept_json_empty(shell: Shell) -> None:
    """An empty JSON response is an event with empty data; a typed stream skips it."""
    assert json_of(shell, accept_json=True).data == [""]
    assert json_of(shell, accept_json=True, events=Text).events == []


BOTH = "application/json, text/event-stream"


@pytest.mark.parametrize("accept", ["x/y", "text/event-stream"])
@in_turn("place", ["", "call", "client", "http"])
def test_accept_json_asks_for_it(shell: Shell, place: str, accept: str) -> None:
    """With `accept_json=True` a call accepts both types, unless the user sets the header."""
    own = {"headers": {"accept": accept}}
    client, http = (own if place == "client" else None), (own if place == "http" else None)
    options: dict[str, Any] = own if place == "call" else {}
    with EventServer(Answer("{}", headers={"Content-Type": "application/json"})) as server:
        shell.read(server.url, client=client, http=http, accept_json=True, **options)
        assert server.requests[0].headers["accept"] == (accept if place else BOTH)


def test_accept_json_asks_for_it_again(shell: Shell) -> None:
    """Each attempt accepts both types, even after a redirect."""
    moved = Answer(status=307, headers={"Location": "/there"}, framing="length")
    json = Answer("{}", headers={"Content-Type": "application/json"})
    policy = RetryPolicy(initial_delay=0.01, jitter=0)
    with EventServer(Answer(status=503, framing="length"), moved, json) as server:
        assert shell.read(server.url, accept_json=True, retry=policy).error is None
        assert [request.headers["accept"] for request in server.requests] == [BOTH] * 3


@in_turn("content_type", [None, "text/plain", "application/json", "text/event-stream"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("options", [{}, {"events": Text}, {"retry": None}], ids=["", "typed", "no retry"])
def test_accepted(shell: Shell, content_type: str | None, framing: Any, options: dict[str, Any]) -> None:
    """With `accept_json=True` a 202 without a body is an empty, completed stream, whatever its media type."""
    with EventServer(Answer(status=202, headers={"Content-Type": content_type}, framing=framing)) as server:
        result = shell.read(server.url, accept_json=True, **options)
        assert len(server.requests) == 1
    assert (result.events, result.error) == ([], None)
    assert result.stream is not None
    assert (result.stream.outcome, result.stream.response.status_code) == ("completed", 202)


def test_accepted_needs_no_terminator(shell: Shell) -> None:
    """A 202 without a body needs no terminator, like a 204."""
    with EventServer(Answer(status=202, headers={"Content-Type": None}, framing="length")) as server:
        result = shell.read(server.url, accept_json=True, terminator=Terminator(event="end"))
    assert result.error is None
    assert result.stream is not None
    assert result.stream.outcome == "completed"


ACCEPTED = {"Content-Type": "text/plain"}


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (Answer(status=202, headers=ACCEPTED, framing="length"), {}),
        (Answer("queued", status=202, headers=ACCEPTED, framing="length"), {"accept_json": True}),
        (Answer(status=200, headers=ACCEPTED, framing="length"), {"accept_json": True}),
        (Answer(FIN, status=202, headers={**ACCEPTED, "Content-Length": "9"}, framing="length"), {"accept_json": True}),
    ],
    ids=["not asked for", "with a body", "200", "cut"],
)
def test_not_accepted(shell: Shell, answer: Answer, options: dict[str, Any]) -> None:
    """Without `accept_json=`, with a body, or with status 200, it is a `ContentTypeError` as usual."""
    with EventServer(answer) as server:
        result = shell.read(server.url, **options)
    assert isinstance(result.error, ContentTypeError)


def test_accepted_in_a_resume(shell: Shell) -> None:
    """On a resume, a 202 without a body is a failed attempt."""
    policy = RetryPolicy(initial_delay=0.01, jitter=0)
    answers = (
        Answer("id: 1\ndata: {}\nretry: 50\n\n", FIN),
        Answer(status=202, headers={"Content-Type": None}, framing="length"),
        Answer("id: 2\ndata: {}\n\n"),
    )
    with EventServer(*answers) as server:
        result = shell.read(server.url, accept_json=True, resume=LastEventID(retry=policy))
    assert (result.error, [event.id for event in result.events]) == (None, ["1", "2"])


def test_the_name_of_a_type_is_none() -> None:
    """A type's name instead of the type is an error of the call, not of the first event."""
    with pytest.raises(TypeError, match="expected the type itself for events, got its name, 'Text'"):
        SSEClient().post("http://localhost:1", events="Text")
