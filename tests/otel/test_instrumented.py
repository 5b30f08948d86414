"""Next to the instrumentation of the HTTP client: its spans are children of ours, and one `traceparent` arrives."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind, format_span_id
from shells import Shell

from otel.recorded import SHELLS, START, Recorded, attributes_of
from sse_client import LastEventID, RetryPolicy
from sse_client.testing import RST, Answer, EventServer

instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.httpx")

NO_JITTER = RetryPolicy(jitter=0.0, initial_delay=0.01)


@pytest.fixture(params=["httpx", "httpx2"])
def shell(request: pytest.FixtureRequest, recorded: Recorded) -> Iterator[Shell]:
    """A shell whose library is instrumented."""
    library = httpx if request.param == "httpx" else pytest.importorskip("httpx2")
    name = "HTTPXClientInstrumentor" if request.param == "httpx" else "HTTPX2ClientInstrumentor"
    instrumentor = getattr(instrumentation, name)()
    instrumentor.instrument(
        tracer_provider=recorded.tracer_provider, meter_provider=recorded.meter_provider, skip_dep_check=True
    )
    yield Shell("sync", library)
    instrumentor.uninstrument()


@pytest.mark.parametrize("kind", [each.kind for each in SHELLS])
def test_children(shell: Shell, kind: Any, recorded: Recorded) -> None:
    """Each attempt is a child of the stream's span, and its `traceparent` is the only one that arrives."""
    shell = Shell(kind, shell.library)
    resume = LastEventID(retry=NO_JITTER)
    with EventServer(
        Answer(status=503), Answer("id: 1\ndata: a\n\n", RST), Answer("data: b\n\n", "data: [DONE]\n\n")
    ) as server:
        run = shell.read(
            f"{server.url}/chat", retry=NO_JITTER, resume=resume, client={"telemetry": recorded.telemetry()}
        )
    assert run.data == ["a", "b"]
    *children, span = recorded.spans
    assert span.kind is SpanKind.CLIENT
    assert attributes_of(span)["url.path"] == START["url.path"]
    assert len(children) == 3
    assert {child.name for child in children} == {"POST"}
    assert [child.parent for child in children] == [span.context] * 3
    arrived = [request.headers["traceparent"].split("-") for request in server.requests]
    assert [len(parts) for parts in arrived] == [4, 4, 4]
    assert [parts[2] for parts in arrived] == [
        format_span_id(child.context.span_id) for child in children if child.context is not None
    ]


def test_metrics_of_both(shell: Shell, recorded: Recorded) -> None:
    """Both record durations, under different names: nothing is counted twice."""
    with EventServer(Answer("data: a\n\n")) as server:
        shell.read(f"{server.url}/chat", client={"telemetry": recorded.telemetry()})
    names = [name for name, _ in recorded.points()]
    assert len(names) == len(set(names))
    assert "sse_client.stream.duration" in names
