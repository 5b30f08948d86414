"""An OpenTelemetry SDK that keeps spans and metrics in memory."""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import httpx
import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from shells import Shell

from sse_client.otel import Telemetry
from sse_client.testing import Answer, ScriptedTransport

URL = "http://test/chat"
DONE = "data: [DONE]\n\n"
OK = Answer("data: a\n\n", DONE)

# What the span of each stream here has from its beginning.
START = MappingProxyType(
    {"server.address": "test", "server.port": 80, "http.request.method": "POST", "url.path": "/chat"}
)

# Sums of binary fractions: the time itself is exact.
SLACK = 1e-6

# One sync shell, and an async one on each backend: the decisions are the same in all of them.
SHELLS = [Shell("sync", httpx), Shell("asyncio", httpx2), Shell("trio", httpx)]
each_shell = pytest.mark.parametrize("shell", SHELLS, ids=str)


class Recorded:
    """The spans and metrics of one test."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader])

    def telemetry(self, **options: Any) -> Telemetry:
        return Telemetry(tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **options)

    def arguments(self, transport: ScriptedTransport, **options: Any) -> dict[str, Any]:
        """Arguments of `Shell.read`."""
        return {"client": {"telemetry": self.telemetry(**options)}, "http": {"transport": transport}}

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in this order."""
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        [span] = self.spans
        return span

    def clear(self) -> None:
        self._exporter.clear()

    def points(self) -> Iterator[tuple[str, Any]]:
        """Yield the name of each metric with each of its points."""
        data = self._reader.get_metrics_data()
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    yield from ((metric.name, point) for point in metric.data.data_points)

    def metrics(self) -> dict[str, Any]:
        """Return the only point of each metric."""
        found = list(self.points())
        assert len({name for name, _ in found}) == len(found)
        return dict(found)

    def exported(self) -> str:
        """Return all that an exporter would send, as text."""
        data = self._reader.get_metrics_data()
        return "\n".join([*(span.to_json() for span in self.spans), "" if data is None else data.to_json()])


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def header(transport: ScriptedTransport, name: str, number: int = -1) -> list[str]:
    """Return the values of a header in a recorded request."""
    return [value for each, value in transport.requests[number].headers.items() if each.lower() == name]
