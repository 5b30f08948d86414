"""Telemetry, as type checkers see it. This file is checked and never run."""

# Both checkers report an ignore that they do not need, so what is ignored is an error to each of them.
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

from opentelemetry import metrics, trace

from sse_client import AsyncSSEClient, EventStream, SSEClient
from sse_client.otel import Telemetry, instrument, uninstrument


def record() -> None:
    telemetry = Telemetry(
        operation="chat",
        provider="openai",
        model="gpt-4o-mini",
        chunks=True,
        propagate=False,
        tracer_provider=trace.get_tracer_provider(),
        meter_provider=metrics.get_meter_provider(),
    )
    assert_type(SSEClient(telemetry=telemetry).post("/chat"), EventStream)
    AsyncSSEClient(telemetry=telemetry)
    SSEClient(telemetry=None)
    instrument()
    instrument(telemetry)
    uninstrument()

    SSEClient(telemetry=True)  # type: ignore[arg-type]
    AsyncSSEClient(telemetry=Telemetry)  # type: ignore[arg-type]
    Telemetry("chat")  # type: ignore[call-arg]
    Telemetry(tracer_provider=telemetry)  # type: ignore[arg-type]
    instrument(operation="chat")  # type: ignore[call-arg]
