"""Spans: their names, parents, links and events, and the trace context of each request."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id
from shells import Shell

from otel.recorded import DONE, OK, SLACK, START, URL, Recorded, attributes_of, each_shell, header
from sse_client import (
    AsyncEventStream,
    Cursor,
    Dialect,
    Handlers,
    LastEventID,
    Request,
    RetryPolicy,
    ServerSentEvent,
    SSEClient,
    SSEError,
    StatusError,
    Terminator,
    Timeouts,
    iter_events,
)
from sse_client.dialects import ANTHROPIC_MESSAGES, GEMINI, OPENAI_CHAT, VERCEL_UI
from sse_client.otel import Telemetry, instrument, uninstrument
from sse_client.testing import RST, Answer, Pause, scripted_transport

NO_JITTER = RetryPolicy(jitter=0.0)
MODEL = {"model": "gpt-5", "messages": ["canary"]}
GEN_AI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.request.stream": True,
}


def starting(span: Any) -> dict[str, Any]:
    """Return the attributes of a span that it had from its beginning."""
    names = {*START, "gen_ai.request.model", "gen_ai.request.stream", "gen_ai.operation.name", "gen_ai.provider.name"}
    return {name: value for name, value in attributes_of(span).items() if name in names}


NAMES: dict[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = {
    "nothing known": ({}, {"json": MODEL}, "SSE POST", {}),
    "no provider": ({"operation": "chat", "model": "m"}, {}, "SSE POST", {}),
    "both": ({"operation": "chat", "provider": "openai"}, {"json": MODEL}, "chat gpt-5", GEN_AI),
    "no model": (
        {"operation": "chat", "provider": "openai"},
        {"json": {"model": ["gpt-5"]}},
        "chat",
        {name: value for name, value in GEN_AI.items() if name != "gen_ai.request.model"},
    ),
    "a body of text": (
        {"operation": "chat", "provider": "openai"},
        {"content": '{"model": "gpt-5"}'},
        "chat",
        {name: value for name, value in GEN_AI.items() if name != "gen_ai.request.model"},
    ),
    "a model of its own": (
        {"operation": "chat", "provider": "openai", "model": "gpt-5"},
        {"json": {"model": "alias"}},
        "chat gpt-5",
        GEN_AI,
    ),
    "from the dialect": ({}, {"json": MODEL, "dialect": OPENAI_CHAT}, "chat gpt-5", GEN_AI),
    "from another dialect": (
        {"model": "gemini-3"},
        {"dialect": GEMINI},
        "generate_content gemini-3",
        {
            **GEN_AI,
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "gemini-3",
        },
    ),
    "user before dialect": (
        {"provider": "groq"},
        {"json": MODEL, "dialect": OPENAI_CHAT},
        "chat gpt-5",
        {**GEN_AI, "gen_ai.provider.name": "groq"},
    ),
    "a dialect of many models": ({}, {"json": MODEL, "dialect": VERCEL_UI}, "SSE POST", {}),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str, recorded: Recorded) -> None:
    """A span has GenAI names if operation and provider are known, from the user or the dialect; otherwise none."""
    telemetry, options, expected, gen_ai = NAMES[name]
    transport = scripted_transport(Answer(DONE))
    Shell("sync", httpx).read(URL, **recorded.arguments(transport, **telemetry), **options)
    assert recorded.span.name == expected
    assert starting(recorded.span) == {**START, **gen_ai}
    assert gen_ai or "gen_ai" not in recorded.exported()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://test", ("test", 80, "/")),
        ("https://user:password@test/a%20b?token=1#there", ("test", 443, "/a%20b")),
        ("http://[::1]:8080/@me?a@b", ("::1", 8080, "/@me")),
        ("http://test:8000/ü", ("test", 8000, "/%C3%BC")),
    ],
)
def test_places(url: str, expected: tuple[str, int, str], recorded: Recorded) -> None:
    """The URL is recorded as server, port and path, without its user, query and fragment."""
    Shell("sync", httpx).read(url, **recorded.arguments(scripted_transport(OK)))
    found = attributes_of(recorded.span)
    assert (found["server.address"], found["server.port"], found["url.path"]) == expected


def chunk(**fields: Any) -> str:
    return f"data: {json.dumps({'id': 'r1', 'model': 'gpt-5-0101', **fields})}\n\n"


def typed(type: str, **fields: Any) -> str:
    return f"event: {type}\ndata: {json.dumps({'type': type, **fields})}\n\n"


USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
MESSAGE = (
    chunk(choices=[{"index": 0, "delta": {"content": "Hi"}}]),
    chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "length"}]),
    chunk(choices=[], usage=USAGE),
)
CACHED = {"input_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4, "output_tokens": 1}
CLAUDE = (
    typed("message_start", message={"id": "r2", "model": "claude", "usage": CACHED}),
    typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
    typed("message_stop"),
)


@pytest.mark.usefixtures("still")
@each_shell
def test_reply(shell: Shell, recorded: Recorded) -> None:
    """The dialect's message gives the response's ID and model, the finish reason, and the usage."""
    shell.read(URL, json=MODEL, dialect=OPENAI_CHAT, **recorded.arguments(scripted_transport(Answer(*MESSAGE, DONE))))
    found = attributes_of(recorded.span)
    assert {name: value for name, value in found.items() if name.startswith("gen_ai")} == {
        **GEN_AI,
        "gen_ai.response.time_to_first_chunk": pytest.approx(0.0, abs=SLACK),
        "gen_ai.response.id": "r1",
        "gen_ai.response.model": "gpt-5-0101",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }
    assert "sse_client.time_to_first_event" not in found


def test_tokens_of_a_cache(recorded: Recorded) -> None:
    """Input tokens include those of a cache, which Anthropic counts apart."""
    transport = scripted_transport(Answer(*CLAUDE))
    Shell("sync", httpx).read(URL, dialect=ANTHROPIC_MESSAGES, **recorded.arguments(transport))
    found = attributes_of(recorded.span)
    assert found["gen_ai.usage.input_tokens"] == 14
    assert found["gen_ai.usage.cache_read.input_tokens"] == 3
    assert found["gen_ai.usage.cache_write.input_tokens"] == 4
    assert found["gen_ai.response.finish_reasons"] == ("stop",)


def test_partial_reply(recorded: Recorded) -> None:
    """A reply that broke off is recorded as far as it came."""
    transport = scripted_transport(Answer(MESSAGE[0], RST))
    Shell("sync", httpx).read(URL, dialect=OPENAI_CHAT, **recorded.arguments(transport))
    found = attributes_of(recorded.span)
    assert found["sse_client.outcome"] == "interrupted"
    assert found["gen_ai.response.id"] == "r1"
    assert "gen_ai.response.finish_reasons" not in found


@each_shell
def test_retries(shell: Shell, recorded: Recorded) -> None:
    """Each retry and each resume is a span event, with the attempt that follows, its delay, and the error."""
    transport = scripted_transport(
        Answer(status=503), Answer("id: 1\ndata: a\n\n", RST), Answer(status=500), Answer(DONE)
    )
    shell.read(URL, retry=NO_JITTER, resume=LastEventID(retry=NO_JITTER), **recorded.arguments(transport))
    assert recorded.span.status.status_code is StatusCode.UNSET
    assert [(event.name, dict(event.attributes or {})) for event in recorded.span.events] == [
        ("sse_client.retry", {"sse_client.attempt": attempt, "sse_client.delay": delay, "error.type": error})
        for attempt, delay, error in ((2, 0.5, "503"), (3, 0.5, "StreamInterrupted"), (4, 1.0, "500"))
    ]


@each_shell
def test_trace_context(shell: Shell, recorded: Recorded) -> None:
    """The span is a child of the current one, and its own context goes with each attempt, and with a redirect."""
    transport = scripted_transport(
        Answer(status=503), Answer(status=307, headers={"Location": "/there"}), Answer("id: 1\ndata: a\n\n", RST), OK
    )
    tracer = recorded.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("parent"):
        shell.read(URL, retry=NO_JITTER, resume=LastEventID(retry=NO_JITTER), **recorded.arguments(transport))
    span, parent = recorded.spans
    assert span.parent == parent.context
    assert span.context is not None
    expected = f"00-{format_trace_id(span.context.trace_id)}-{format_span_id(span.context.span_id)}-"
    found = [header(transport, "traceparent", number) for number in range(len(transport.requests))]
    assert len(found) == 4
    assert all(len(values) == 1 and values[0].startswith(expected) for values in found)


def test_no_propagation(recorded: Recorded) -> None:
    """With `propagate=False`, no header is added."""
    transport = scripted_transport(OK)
    Shell("sync", httpx).read(URL, **recorded.arguments(transport, propagate=False))
    assert header(transport, "traceparent") == []


ELSEWHERE: dict[str, Any] = {
    "redirect": {"cross_origin_redirects": True},
    "URL": {"resume": LastEventID(url="http://elsewhere/feed", retry=NO_JITTER)},
    "URL of a response": {"resume": LastEventID(url=lambda _: "//elsewhere/feed", retry=NO_JITTER)},
    "cursor": {
        "resume": Cursor(
            0,
            lambda cursor, event: cursor + 1,
            lambda cursor, request: Request(method="POST", url="http://elsewhere/feed"),
            retry=NO_JITTER,
        )
    },
}


@each_shell
@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_origins(shell: Shell, name: str, recorded: Recorded) -> None:
    """No trace context goes to another origin, whoever chose it: a redirect, or the user's `resume`."""
    first = (
        Answer(status=307, headers={"Location": "http://elsewhere/feed"})
        if name == "redirect"
        else Answer("id: 1\ndata: a\n\n", RST)
    )
    transport = scripted_transport(first, OK)
    shell.read(URL, **ELSEWHERE[name], **recorded.arguments(transport))
    there = [dict(request.headers)["host"] for request in transport.requests]
    assert there == ["test", "elsewhere"]
    assert len(header(transport, "traceparent", 0)) == 1
    assert header(transport, "traceparent", 1) == []
    assert attributes_of(recorded.span)["server.address"] == "test"


@each_shell
def test_current_span(shell: Shell, recorded: Recorded) -> None:
    """The span is current while a request is sent, with the rest of the context, and never in the user's loop."""
    seen: list[Any] = []

    def answer(_: object) -> Answer:
        seen.append((trace.get_current_span().get_span_context(), baggage.get_baggage("tenant")))
        return OK

    def look() -> None:
        seen.append((trace.get_current_span().get_span_context(), None))

    token = context.attach(baggage.set_baggage("tenant", "t1"))
    try:
        transport = scripted_transport(Answer(status=503), answer)
        shell.read(URL, on_event=look, retry=NO_JITTER, **recorded.arguments(transport))
    finally:
        context.detach(token)
    assert seen == [(recorded.span.context, "t1"), (trace.INVALID_SPAN_CONTEXT, None)]


@each_shell
def test_batches(shell: Shell, recorded: Recorded) -> None:
    """A dispatch with batches, which may read on a thread of its own, has the parent that was current at the call."""
    on = Handlers()

    @on.batch(ServerSentEvent, interval=0.1)
    def draw(events: list[ServerSentEvent]) -> None: ...

    tracer = recorded.tracer_provider.get_tracer("test")

    async def main() -> None:
        async with shell.any_client(**recorded.arguments(scripted_transport(Answer(status=503), OK))) as client:
            with tracer.start_as_current_span("parent"):
                stream = client.post(URL)
            waiting: Any = stream.dispatch(on)
            if isinstance(stream, AsyncEventStream):
                await waiting

    shell.run(main)
    parent, span = recorded.spans
    assert span.parent == parent.context
    assert attributes_of(span)["sse_client.outcome"] == "completed"


@pytest.mark.usefixtures("still")
@each_shell
def test_subscription(shell: Shell, recorded: Recorded) -> None:
    """In a subscription each connection is a span with its own numbers, linked to the one before."""
    transport = scripted_transport(
        Answer("data: a\n\n", ": hi\n\n"),
        Answer("data: b\n\n", "data: c\n\n", RST),
        Answer(status=503),
        Answer(Pause(2), "data: d\n\n"),
        Answer(status=204),
    )
    shell.read(URL, method="SUBSCRIBE", retry=NO_JITTER, **recorded.arguments(transport))
    spans = recorded.spans
    names = ("outcome", "events", "comments", "attempts", "connections")
    found = [attributes_of(span) for span in spans]
    assert [tuple(each[f"sse_client.{name}"] for name in names) for each in found] == [
        ("completed", 1, 1, 1, 1),
        ("interrupted", 2, 0, 1, 1),
        ("failed", 0, 0, 1, 0),
        ("completed", 1, 0, 1, 1),
        ("completed", 0, 0, 1, 0),
    ]
    assert [each.get("error.type") for each in found] == [None, "StreamInterrupted", "503", None, None]
    assert [each.get("http.response.status_code") for each in found] == [200, 200, 503, 200, 204]
    assert not any("http.request.resend_count" in each for each in found)
    near = {number: pytest.approx(0.0, abs=SLACK) for number in (0, 1, 3)}
    assert [each.get("sse_client.time_to_headers") for each in found] == [near.get(number) for number in range(5)]
    assert ["sse_client.time_to_first_event" in each for each in found] == [True, False, False, False, False]
    assert {span.name for span in spans} == {"SSE GET"}
    assert [[link.context for link in span.links] for span in spans] == [
        [],
        *([span.context] for span in spans[:-1]),
    ]
    assert {span.parent for span in spans} == {None}
    assert [len(span.events) for span in spans] == [1, 1, 1, 1, 0]


@each_shell
def test_subscription_closed_between_connections(shell: Shell, recorded: Recorded) -> None:
    """A subscription that ends while it waits to reconnect has no span for the connection that it did not make."""
    policy = RetryPolicy.RECONNECT
    transport = scripted_transport(Answer("data: a\n\n"), Answer(status=503))
    run = shell.read(
        URL, method="SUBSCRIBE", retry=replace(policy, max_retries=1, jitter=0.0), **recorded.arguments(transport)
    )
    assert run.outcome == "failed"
    assert [attributes_of(span)["sse_client.outcome"] for span in recorded.spans] == ["completed", "failed"]
    recorded.clear()
    waiting = scripted_transport(Answer("data: a\n\n"), Answer(Pause(float("inf"))))

    def close_while_waiting(attempt: int, error: Exception) -> None:
        run.stream._session.close()  # type: ignore[union-attr]

    closing = replace(policy, on=close_while_waiting)

    def keep(stream: Any) -> Any:
        run.stream = stream
        return stream

    shell.read(URL, method="SUBSCRIBE", wrap=keep, retry=closing, **recorded.arguments(waiting))
    assert len(waiting.requests) == len(recorded.spans) == 1


@each_shell
def test_suppressed(shell: Shell, recorded: Recorded) -> None:
    """Streams made while instrumentation is suppressed are not recorded."""
    for key in (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"):
        token = context.attach(context.set_value(key, True))
        try:
            shell.read(URL, **recorded.arguments(scripted_transport(OK)))
        finally:
            context.detach(token)
    assert recorded.spans == []
    assert recorded.metrics() == {}


@pytest.fixture
def _instrumented(recorded: Recorded) -> Iterator[None]:
    instrument(recorded.telemetry())
    yield
    uninstrument()


@pytest.mark.usefixtures("_instrumented")
@each_shell
def test_process(shell: Shell, recorded: Recorded) -> None:
    """`instrument()` records all streams made from then on; `uninstrument()` ends that."""
    shell.read(URL, http={"transport": scripted_transport(OK)})
    assert len(recorded.spans) == 1
    uninstrument()
    shell.read(URL, http={"transport": scripted_transport(OK)})
    assert len(recorded.spans) == 1


@pytest.mark.usefixtures("_instrumented")
def test_own_telemetry_comes_first(recorded: Recorded) -> None:
    """The telemetry of a client replaces that of the process."""
    own = Recorded()
    Shell("sync", httpx).read(URL, **own.arguments(scripted_transport(OK)))
    assert len(own.spans) == 1
    assert recorded.spans == []


def test_instrument_without_arguments() -> None:
    """`instrument()` records to the global providers, with nothing configured."""
    try:
        instrument()
        assert Shell("sync", httpx).read(URL, http={"transport": scripted_transport(OK)}).outcome == "completed"
    finally:
        uninstrument()


@pytest.mark.usefixtures("_instrumented")
def test_given_response(recorded: Recorded) -> None:
    """A response that the user has already is a span too, from the first read to the end."""
    with httpx.Client(transport=scripted_transport(OK)) as client, client.stream("POST", URL) as response:
        assert recorded.spans == []
        assert [event.data for event in iter_events(response)] == ["a"]
    found = attributes_of(recorded.span)
    assert found.items() >= {**START, "sse_client.outcome": "completed", "sse_client.events": 1}.items()


@pytest.mark.usefixtures("_instrumented")
def test_given_response_that_is_refused(recorded: Recorded) -> None:
    """A response that is not an event stream has its server and status too."""
    transport = scripted_transport(Answer("no", status=401))
    with (
        httpx.Client(transport=transport) as client,
        client.stream("POST", URL) as response,
        pytest.raises(StatusError),
    ):
        list(iter_events(response))
    found = attributes_of(recorded.span)
    assert found.items() >= {**START, "error.type": "401", "http.response.status_code": 401}.items()


@each_shell
def test_stream_that_is_never_opened(shell: Shell, recorded: Recorded) -> None:
    """A stream that sends nothing is no span."""

    async def main() -> None:
        async with shell.any_client(**recorded.arguments(scripted_transport())) as client:
            client.post(URL)

    shell.run(main)
    assert recorded.spans == []


class OwnReader:
    """A reader of the user's own, whose snapshot is not a message."""

    is_complete = True

    def __init__(self, snapshot: Any) -> None:
        self.snapshot = snapshot

    def read(self, event: ServerSentEvent) -> list[str]:
        return [event.data]

    def resumed(self) -> None: ...
    def close(self, error: SSEError | None) -> None: ...


@pytest.mark.parametrize("has_dialects", [True, False])
def test_other_readers(has_dialects: bool, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a reader's snapshot only a `Message` is looked at, whether the dialects are imported or not."""
    if not has_dialects:
        monkeypatch.delitem(sys.modules, "sse_client.dialects")
    dialect: Dialect[str, Any] = Dialect(reader=lambda: OwnReader({"id": "r1", "model": "m", "usage": 1}))
    transport = scripted_transport(OK)
    arguments = recorded.arguments(transport, operation="chat", provider="mine")
    assert Shell("sync", httpx).read(URL, dialect=dialect, **arguments).events == ["a", "[DONE]"]
    names = {name for name in attributes_of(recorded.span) if name.startswith(("gen_ai.response", "gen_ai.usage"))}
    assert names == {"gen_ai.response.time_to_first_chunk"}


@each_shell
def test_failure_before_the_request(shell: Shell, recorded: Recorded) -> None:
    """An attempt that fails before its request is sent is a span too, without a server."""

    def expire() -> None:
        raise KeyError("no token")

    with pytest.raises(KeyError):
        shell.read(URL, headers=expire, **recorded.arguments(scripted_transport()))
    found = attributes_of(recorded.span)
    assert found["sse_client.outcome"] == "abandoned"
    assert found["url.path"] == "/chat"
    assert "server.address" not in found


def test_failure_at_a_relative_url(recorded: Recorded) -> None:
    """Before the request there is no path if the user gave a relative one."""

    def expire() -> None:
        raise KeyError("no token")

    with pytest.raises(KeyError):
        Shell("sync", httpx).read(
            "chat",
            headers=expire,
            client={"telemetry": recorded.telemetry()},
            http={"transport": scripted_transport(), "base_url": URL},
        )
    assert "url.path" not in attributes_of(recorded.span)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_headers_that_never_come(backend: Any, recorded: Recorded) -> None:
    """A clock that runs out before the request is sent ends the span with its name."""

    async def wait() -> dict[str, str]:
        await anyio.sleep(60)
        return {}

    shell = Shell(backend, httpx)
    arguments = recorded.arguments(scripted_transport())
    run = shell.read(URL, headers=wait, timeout=Timeouts(total=0.05), **arguments)
    assert run.outcome == "timeout"
    found = attributes_of(recorded.span)
    assert found["error.type"] == "StreamTimeout"
    assert found["sse_client.clock"] == "total"
    assert (recorded.span.end_time or 0) - (recorded.span.start_time or 0) > 0.04e9


def test_required_terminator_of_a_dialect(recorded: Recorded) -> None:
    """The outcome is the stream's own, with all that the call asked for."""
    options: dict[str, Any] = {"dialect": OPENAI_CHAT, "terminator": Terminator(data="[DONE]")}
    transport = scripted_transport(Answer(*MESSAGE))
    run = Shell("sync", httpx).read(URL, **options, **recorded.arguments(transport))
    assert attributes_of(recorded.span)["sse_client.outcome"] == run.outcome == "truncated"


def test_repr() -> None:
    """The repr names operation and provider."""
    shown = repr(Telemetry(operation="chat", provider="openai"))
    assert shown == "<Telemetry operation='chat' provider='openai'>"
    with SSEClient(telemetry=Telemetry()) as client:
        assert "elemetry" not in repr(client)
