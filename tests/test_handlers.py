"""
The registry of callbacks, and the conversation that decides which are called, both without I/O.

Whether a function can be a handler is checked when it is registered. `played` runs a conversation over a list of
happenings.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from sse_client import DecodeError, Handlers, ServerSentEvent, SSEClient, StreamTruncated
from sse_client._core.dispatch import Call, Dispatch, Ended, Leave, Next, Passed, Received, Signal
from sse_client._core.phases import Outcome
from sse_client._core.steps import Commented, Opened, Retrying
from sse_client._stats import StreamStats
from sse_client._typed import Nothing
from sse_client.testing import Answer, EventServer


class Text(BaseModel):
    text: str


class Other(BaseModel):
    other: str


class Mapped(TypedDict):
    text: str


class Loud(Text):
    volume: int = 11


class Mine(Exception):
    """The exception that a handler raises."""


def nothing() -> None:
    """Take no argument."""


def one(argument: Any) -> None:
    """Take one argument."""


def two(first: Any, second: Any) -> None:
    """Take two arguments."""


class Methods:
    def bound(self, event: Any) -> None: ...

    @classmethod
    def of_class(cls, event: Any) -> None: ...

    @staticmethod
    def static(event: Any) -> None: ...

    def __call__(self, event: Any) -> None: ...


def keywords(event: Any, *, loud: bool = False) -> None: ...


def optional(event: Any, other: Any = None) -> None: ...


def anything(*arguments: Any) -> None: ...


TAKE_ONE: dict[str, Any] = {
    "function": one,
    "keywords": keywords,
    "optional": optional,
    "anything": anything,
    "lambda": lambda event: None,
    "partial": functools.partial(two, 1),
    "builtin": print,
    "builtin method": [].append,
    "method": Methods().bound,
    "class method": Methods.of_class,
    "static method": Methods.static,
    "callable object": Methods(),
}

DECORATORS: dict[str, Callable[[Handlers], Callable[[Any], Any]]] = {
    "on(Text)": lambda on: on(Text),
    "on('ping')": lambda on: on("ping"),
    "on.field('token')": lambda on: on.field("token"),
    "on.event": lambda on: on.event,
    "on.batch(Text)": lambda on: on.batch(Text),
    "on.batch('ping')": lambda on: on.batch("ping"),
}
MOMENTS = ["open", "unknown", "comment", "retry", "complete", "error", "cancel", "close"]
DECORATORS |= {f"on.{name}": lambda on, name=name: getattr(on, name) for name in MOMENTS}  # type: ignore[misc]

every_decorator = pytest.mark.parametrize("label", DECORATORS)


@every_decorator
@pytest.mark.parametrize("handler", TAKE_ONE.values(), ids=TAKE_ONE)
def test_takes_what_can_be_called(label: str, handler: Any) -> None:
    """Anything that can be called with one argument can be a handler, and is returned as it is."""
    assert DECORATORS[label](Handlers())(handler) is handler


@every_decorator
def test_decorates_several_times(label: str) -> None:
    """One function may be registered for several things, and twice for the same."""
    on = Handlers()
    assert DECORATORS[label](on)(on.event(DECORATORS[label](on)(one))) is one
    assert len(on._entries) + sum(map(len, on._moments.values())) == 3


def only_keywords(*, event: Any) -> None: ...


@every_decorator
@pytest.mark.parametrize("handler", [two, only_keywords, lambda first, second: None], ids=lambda each: each.__name__)
def test_refuses_another_number_of_arguments(label: str, handler: Any) -> None:
    """A function that cannot be called with one argument is an error at once, which names it and the decorator."""
    with pytest.raises(TypeError) as caught:
        DECORATORS[label](Handlers())(handler)
    assert str(caught.value).startswith(f"{label} calls its handler with (")
    assert handler.__name__ in str(caught.value)


@every_decorator
def test_no_argument(label: str) -> None:
    """Handlers for moments of the stream may take no argument; handlers for events may not."""
    register = DECORATORS[label](Handlers())
    if label.removeprefix("on.") in MOMENTS:
        assert register(nothing) is nothing
    else:
        with pytest.raises(TypeError, match="which nothing"):
            register(nothing)


@every_decorator
@pytest.mark.parametrize("value", [None, "show", 7])
def test_refuses_what_cannot_be_called(label: str, value: Any) -> None:
    """A value that is not a function is an error at once."""
    with pytest.raises(TypeError) as caught:
        DECORATORS[label](Handlers())(value)
    assert str(caught.value) == f"{label} decorates a function, got {value!r}"


@pytest.mark.parametrize("kind", [None, 7, dict[str, Any], list[int], Any, Mapped])
def test_refuses_other_kinds(kind: Any) -> None:
    """A handler is for a class or for a name; a kind that isinstance cannot check is an error at once."""
    for register in (Handlers(), Handlers().batch):
        with pytest.raises(TypeError, match="expected a class or the name of an event for a handler, got"):
            register(kind)


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_interval(interval: float) -> None:
    """An interval is positive."""
    with pytest.raises(ValueError, match="expected an interval of more than 0 seconds, got"):
        Handlers().batch(Text, interval=interval)


@pytest.mark.parametrize("max_items", [0, -1])
def test_max_items(max_items: int) -> None:
    """A batch holds at least one event."""
    with pytest.raises(ValueError, match="expected max_items of at least 1, or None, got"):
        Handlers().batch(Text, max_items=max_items)


async def asynchronous(argument: Any) -> None: ...


async def asynchronous_bare() -> None: ...


class AsyncMethods:
    async def bound(self, event: Any) -> None: ...

    async def __call__(self, event: Any) -> None: ...


ASYNC: list[tuple[str, Any, str]] = [
    ("on(Text)", asynchronous, "asynchronous"),
    ("on.event", asynchronous, "asynchronous"),
    ("on.event", AsyncMethods().bound, "bound"),
    ("on.event", AsyncMethods(), "AsyncMethods"),
    ("on.event", functools.partial(asynchronous), "asynchronous"),
    ("on.batch('ping')", asynchronous, "asynchronous"),
    ("on.close", asynchronous, "asynchronous"),
    ("on.close", asynchronous_bare, "asynchronous_bare"),
]


@pytest.mark.parametrize(
    ("label", "handler", "name"), ASYNC, ids=[f"{label} {type(each).__name__} {name}" for label, each, name in ASYNC]
)
def test_async_handlers_in_a_sync_dispatch(label: str, handler: Any, name: str) -> None:
    """The sync client raises for an async handler before it sends a request."""
    on = Handlers()
    DECORATORS[label](on)(handler)
    with EventServer(Answer()) as server, SSEClient() as client:
        stream = client.post(server.url, events=Text)
        with pytest.raises(TypeError, match=f"{name}.* is an async function, which needs AsyncSSEClient"):
            stream.dispatch(on)
        assert not server.requests
        assert stream.dispatch(Handlers()).events == 0


def test_types_in_an_untyped_dispatch() -> None:
    """A handler for a type on an untyped stream is an error before a request is sent."""
    on = Handlers()
    on(Text | Other)(one)
    with EventServer(Answer()) as server, SSEClient() as client:
        with pytest.raises(TypeError, match=r"a handler for Text \| Other needs a stream with events="):
            client.post(server.url).dispatch(on)
        assert not server.requests
        client.post(server.url, events=Text).dispatch(on)


def test_events_as_they_are_in_an_untyped_dispatch() -> None:
    """`ServerSentEvent` is the type of an untyped stream."""
    seen: list[ServerSentEvent] = []
    on = Handlers()
    on(ServerSentEvent)(seen.append)
    with EventServer(Answer("data: x\n\n")) as server, SSEClient() as client:
        client.post(server.url).dispatch(on)
    assert seen == [ServerSentEvent(data="x")]


def test_one_registry_for_many_streams() -> None:
    """A registry keeps no state of a stream, so it may be used for any number of them."""
    seen: list[list[str]] = []
    on = Handlers()
    on.batch("message", interval=60)(lambda events: seen.append([event.data for event in events]))
    with EventServer(Answer("data: 1\n\ndata: 2\n\n")) as server, SSEClient() as client:
        client.post(server.url).dispatch(on)
        client.post(server.url).dispatch(on)
    assert seen == [["1"], ["2"]] * 2


def received(data: str, value: Any = None, name: str = "message") -> Received:
    """Make an event arrive: as it is, unless it has a value."""
    event = ServerSentEvent(name, data)
    return Received(event, (event if value is None else value,))


@dataclass
class Played:
    """The result of a conversation."""

    steps: list[str]
    """The deadlines of `Next`, and how the stream was left, in order."""
    error: BaseException | None
    finished: str | None
    settled: list[Outcome]
    """The outcomes that the conversation set, instead of the stream."""


def played(on: Handlers, *happenings: Signal | float, is_typed: bool = True) -> Played:
    """Play the happenings, and make the calls; a number lets that many seconds pass."""
    now = 100.0
    left = list(happenings)
    steps: list[str] = []
    settled: list[Outcome] = []
    conversation = Dispatch(on, lambda: now, StreamStats, settled.append, is_typed=is_typed)
    run = iter(conversation)
    error: BaseException | None = None
    try:
        step = next(run)
        while True:
            answer: Any = None
            try:
                match step:
                    case Next(deadline):
                        if deadline != inf:
                            steps.append(f"wait {deadline - now:g}")
                        while isinstance(happening := left.pop(0), int | float):
                            now += happening
                        answer = happening
                    case Call(handler, arguments):
                        handler(*arguments)
                    case Leave(reason):
                        steps.append(f"leave {type(reason).__name__}" if reason else "leave")
            except Exception as raised:
                step = run.throw(raised)
            else:
                step = run.send(answer)
    except StopIteration:
        pass
    except BaseException as raised:
        error = raised
    assert not left
    finished = conversation.finished
    return Played(steps, error, finished.data if finished else None, settled)


END = Ended(None, is_cancelled=False)


def noting(calls: list[str], name: str, *, raises: Exception | None = None) -> Callable[[Any], None]:
    def handler(argument: Any) -> None:
        shown = getattr(argument, "data", None) or getattr(argument, "text", None) or argument
        calls.append(f"{name} {shown}")
        if raises is not None:
            raise raises

    return handler


def noting_it(calls: list[str], text: str) -> Callable[[], None]:
    return lambda: calls.append(text)


def test_in_the_order_of_registration() -> None:
    """Several handlers may be called for one event, in the order of registration, whatever they are registered for."""
    calls: list[str] = []
    on = Handlers()
    on.field("text")(noting(calls, "field"))
    on(Text)(noting(calls, "type"))
    on.event(noting(calls, "event"))
    on.batch(Text)(lambda many: calls.append(f"batch of {len(many)}"))
    on("message")(noting(calls, "name"))
    on(Text)(noting(calls, "type again"))
    played(on, received('{"text": "x"}', Text(text="x")), END)
    assert calls == ["field x", "type x", "event x", "batch of 1", 'name {"text": "x"}', "type again x"]


def test_a_type() -> None:
    """A handler for a class is also called for its subclasses, one for a union for each of its members."""
    calls: list[str] = []
    on = Handlers()
    on(Text)(lambda value: calls.append(f"text {type(value).__name__}"))
    on(Text | Other)(lambda value: calls.append(f"union {type(value).__name__}"))
    on(Loud)(lambda value: calls.append(f"loud {type(value).__name__}"))
    played(on, received("1", Text(text="")), received("2", Other(other="")), received("3", Loud(text="")), END)
    assert calls == ["text Text", "union Text", "union Other", "text Loud", "union Loud", "loud Loud"]


def test_a_name() -> None:
    """A handler for a name is called with the event as it came, whether or not the type covers it."""
    seen: list[ServerSentEvent] = []
    on = Handlers()
    on("ping")(seen.append)
    happenings = [
        received('{"text": "x"}', Text(text="x"), "ping"),
        received("{}", Nothing.UNKNOWN, "ping"),
        received("", Nothing.EMPTY, "ping"),
        received("no", Nothing.UNKNOWN, "pong"),
    ]
    played(on, *happenings, END)
    assert seen == [happening.event for happening in happenings[:3]]


FIELDS = [
    ('{"token": "a"}', ["a"]),
    ('{"token": ""}', [""]),
    ('{"token": 0}', [0]),
    ('{"token": 0.0}', [0.0]),
    ('{"token": null}', [None]),
    ('{"token": false}', [False]),
    ('{"token": []}', [[]]),
    ('{"token": {"deep": 1}}', [{"deep": 1}]),
    ('{"\\u0074oken": 1}', [1]),
    ('{"token": 1, "token": 2}', [2]),
    ('{"other": {"token": 1}}', []),
    ('["token"]', []),
    ('"token"', []),
    ("token", []),
    ('{"token": ', []),
    ("", []),
    ("[" * 100_000, []),
]


@pytest.mark.parametrize(("data", "values"), FIELDS, ids=[data[:30] for data, _ in FIELDS])
def test_a_field(data: str, values: list[Any]) -> None:
    """A handler for a field is called if the JSON object has it, whatever its value; other data has no fields."""
    seen: list[Any] = []
    on = Handlers()
    on.field("token")(seen.append)
    assert played(on, received(data), END, is_typed=False).error is None
    assert seen == values
    assert [type(value) for value in seen] == [type(value) for value in values]


def test_every_event() -> None:
    """`on.event` is called for every value that is delivered, but not for unknown events or empty data."""
    calls: list[str] = []
    on = Handlers()
    on.event(noting(calls, "event"))
    happenings = [
        received("{}", Text(text="x")),
        received("{}", Nothing.UNKNOWN),
        received("", Nothing.EMPTY),
        received("kept"),
    ]
    played(on, *happenings, END)
    assert calls == ["event x", "event kept"]


UNKNOWN: list[tuple[str, Any, bool, bool]] = [
    # An event's name, its value, whether the stream is typed, and whether it is unknown if there is only on("a").
    ("a", None, False, False),
    ("b", None, False, True),
    ("b", Text(text="x"), True, False),
    ("b", Nothing.UNKNOWN, True, True),
    ("b", Nothing.EMPTY, True, False),
]


@pytest.mark.parametrize(("name", "value", "is_typed", "is_unknown"), UNKNOWN)
def test_unknown(name: str, value: Any, is_typed: bool, is_unknown: bool) -> None:
    """
    If a stream is typed, its type decides which events are unknown; otherwise the names that have a handler do.

    `on.unknown` gets the event as it came.
    """
    seen: list[ServerSentEvent] = []
    on = Handlers()
    on("a")(one)
    on.unknown(seen.append)
    happening = received("x", value, name)
    played(on, happening, END, is_typed=is_typed)
    assert seen == ([happening.event] if is_unknown else [])


def test_nothing_is_unknown_to_nobody() -> None:
    """On an untyped stream, no event is unknown without a handler for events, or with `on.event`."""
    seen: list[ServerSentEvent] = []
    on = Handlers()
    on.unknown(seen.append)
    played(on, received("x"), END, is_typed=False)
    on.event(one)
    played(on, received("x"), END, is_typed=False)
    assert not seen


def test_the_life_of_a_stream() -> None:
    """Each moment of the stream calls its handlers, with its subject or with no argument."""
    calls: list[str] = []
    on = Handlers()
    for name in MOMENTS:
        getattr(on, name)(noting(calls, name))
        getattr(on, name)(noting_it(calls, f"{name}, too"))
    error = StreamTruncated("cut")
    result = played(on, Opened("response"), Commented("hello"), Retrying(error, 1.0), Passed(), END)
    assert result.error is None
    assert calls == [
        *("open response", "open, too", "comment hello", "comment, too", "retry cut", "retry, too"),
        *(f"complete {StreamStats()}", "complete, too", f"close {StreamStats()}", "close, too"),
    ]


ENDS: list[tuple[Ended, str]] = [
    (END, "complete"),
    (Ended(None, is_cancelled=True), "cancel"),
    (Ended(StreamTruncated("cut"), is_cancelled=False), "error"),
    (Ended(DecodeError("no", event=ServerSentEvent()), is_cancelled=False), "error"),
]


@pytest.mark.parametrize(("end", "moment"), ENDS)
def test_exactly_one_end(end: Ended, moment: str) -> None:
    """One of complete, error and cancel is called, then close, after the stream was left; its error comes out."""
    calls: list[str] = []
    on = Handlers()
    on.batch("message", interval=1)(lambda events: calls.append(f"batch {len(events)}"))
    for name in MOMENTS:
        getattr(on, name)(noting_it(calls, name))
    result = played(on, received("1"), received("2"), end)
    assert calls == ["batch 1", "batch 1", moment, "close"]
    assert result.error is end.error
    assert result.settled == (["failed"] if isinstance(end.error, DecodeError) else [])
    assert result.steps[-1] == (f"leave {type(end.error).__name__}" if end.error else "leave")


@pytest.mark.parametrize("moment", ["open", "comment", "retry", "unknown", "event"])
def test_a_handler_raises(moment: str) -> None:
    """An exception in a handler leaves the stream; cancel and close follow, and it comes out."""
    mine = Mine()
    calls: list[str] = []
    on = Handlers()
    on("other")(one)
    getattr(on, moment)(noting(calls, "raises", raises=mine))
    on.cancel(lambda: calls.append("cancel"))
    on.close(lambda: calls.append("close"))
    happenings: dict[str, Signal] = {
        "open": Opened("x"),
        "comment": Commented("x"),
        "retry": Retrying(StreamTruncated("x"), 1),
        "unknown": received("x"),
        "event": received("x"),
    }
    result = played(on, happenings[moment], is_typed=False)
    assert result.error is mine
    assert result.steps == ["leave Mine"]
    assert result.settled == ["abandoned"]
    assert calls == ["raises x", "cancel", "close"]


def test_one_of_several_raises() -> None:
    """
    After a handler that raises, no other handler is called for the event; pending events of a batch are delivered.
    """
    mine = Mine()
    calls: list[str] = []
    on = Handlers()
    on.batch("message", interval=1)(lambda events: calls.append(f"batch {' '.join(event.data for event in events)}"))
    on.event(lambda event: None if event.data == "1" else noting(calls, "raises", raises=mine)(event))
    on.event(noting(calls, "behind"))
    assert played(on, received("1"), received("2")).error is mine
    assert calls == ["batch 1", "behind 1", "raises 2", "batch 2"]


@pytest.fixture
def screen() -> list[str]:
    return []


def drawing(screen: list[str], **options: Any) -> Handlers:
    on = Handlers()
    on.batch("message", **options)(lambda events: screen.append("".join(event.data for event in events)))
    return on


def test_the_first_at_once(screen: list[str]) -> None:
    """The first event of a batch is delivered at once, without a deadline."""
    assert played(drawing(screen, interval=1), received("a"), END).steps == ["leave"]
    assert screen == ["a"]


def test_then_once_in_each_interval(screen: list[str]) -> None:
    """After that, a batch is delivered when its interval is over, by the clock and not by an event."""
    on = drawing(screen, interval=1)
    result = played(on, received("a"), received("b"), 0.25, received("c"), 0.75, Passed(), received("d"), 1.0, END)
    assert screen == ["a", "bc", "d"]
    assert result.steps == ["wait 1", "wait 0.75", "wait 1", "leave"]


def test_at_once_behind_a_silence(screen: list[str]) -> None:
    """An event after a longer silence is delivered at once again."""
    result = played(drawing(screen, interval=1), received("a"), 5, received("b"), 0.5, received("c"), END)
    assert screen == ["a", "b", "c"]
    assert result.steps == ["wait 0.5", "leave"]


def test_an_event_that_comes_late(screen: list[str]) -> None:
    """If an event comes after the interval is over, pending events are delivered with it, in one call."""
    played(drawing(screen, interval=1), received("a"), received("b"), 2, received("c"), END)
    assert screen == ["a", "bc"]


def test_what_comes_besides_events(screen: list[str]) -> None:
    """A comment after the interval is over makes a batch be delivered; an earlier one does not."""
    played(
        drawing(screen, interval=1),
        received("a"),
        received("b"),
        0.5,
        Commented(""),
        received("c"),
        0.5,
        Commented(""),
        END,
    )
    assert screen == ["a", "bc"]


def test_a_full_batch(screen: list[str]) -> None:
    """A batch that is full does not wait, and its interval starts again."""
    on = drawing(screen, interval=1, max_items=2)
    result = played(on, received("a"), received("b"), 0.5, received("c"), received("d"), 0.75, Passed(), END)
    assert screen == ["a", "bc", "d"]
    assert result.steps[0] == "wait 1"


def test_the_default_interval(screen: list[str]) -> None:
    """By default a batch is delivered 60 times a second, as often as a screen is drawn."""
    result = played(drawing(screen), received("a"), received("b"), END)
    assert result.steps[0] == f"wait {1 / 60:g}"


def test_finished() -> None:
    """An event is finished once all handlers are done with it: pending events are not, delivered ones are."""
    screen: list[str] = []
    on = drawing(screen, interval=1)
    assert played(on, received("a"), received("b"), 1.0, Passed(), END).finished == "b"
    assert played(on, received("a"), received("b"), END).finished == "b"

    finished: list[str] = []
    conversation: list[Dispatch] = []

    @on.comment
    def look() -> None:
        event = conversation[0].finished
        assert event is not None
        finished.append(event.data)

    conversation.append(Dispatch(on, lambda: 0.0, StreamStats, str, is_typed=False))
    run = iter(conversation[0])
    step = next(run)
    for happening in (received("a"), Commented(""), received("b"), Commented("")):
        step = run.send(happening)
        while isinstance(step, Call):
            step.handler(*step.arguments)
            step = run.send(None)
    assert finished == ["a", "a"]
    run.close()


def test_finished_but_for_a_failure() -> None:
    """An event whose handler raised is not finished."""
    on = Handlers()
    on.event(lambda event: noting([], "raises", raises=Mine())(event) if event.data == "b" else None)
    assert played(on, received("a"), received("b")).finished == "a"


def test_two_batches() -> None:
    """Each batch has its own interval, and the earliest deadline is used."""
    calls: list[str] = []
    on = Handlers()
    on.batch("message", interval=2)(lambda events: calls.append(f"slow {len(events)}"))
    on.batch("message", interval=1)(lambda events: calls.append(f"quick {len(events)}"))
    result = played(on, received("a"), received("b"), 1.0, Passed(), 1.0, Passed(), END)
    assert calls == ["slow 1", "quick 1", "quick 1", "slow 1"]
    assert result.steps == ["wait 1", "wait 1", "leave"]
