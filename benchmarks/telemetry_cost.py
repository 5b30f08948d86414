"""
The cost of telemetry, per stream and per event.

    python benchmarks/telemetry_cost.py [--rounds N] [--streams N] [--events N] [--json FILE]

Method. All readers get the same bytes from a transport in memory, so that neither a network nor a server is measured,
on one `httpx` client each, in one process. "none" has no telemetry; "no SDK" has `Telemetry` with OpenTelemetry's API
alone; "SDK" has its SDK, with spans that a batch processor drops on its own thread, and metrics; "chunks" has the same
with `chunks=True`. For the cost per stream, a reading is 200 streams of one event, one after the other. For the cost
per event, it is one stream of 10,000 events of 250 bytes, or of a tenth of that, in pieces of one event or of 16 KiB:
the difference of the two, for each event, does not contain the cost of the stream. The readings run in rounds of one of
each, in an order that rotates; the first round is not counted, and the garbage collector runs between the readings. The
figures are medians of the CPU time of the process, and of the differences from "none" within the rounds.

The goals: 100 µs per stream without an SDK, and nothing per event unless `chunks=True` asks for it. There "nothing"
means within 5 % of the cost of an event, which is the noise of this measurement.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
from loopback import OPENAI, machine, measure, order_of, versions
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from parser import print_verdict

from sse_client import SSEClient
from sse_client.otel import Telemetry

MAX_PER_STREAM = 100.0  # µs, without an SDK
MAX_PER_EVENT = 0.05  # of the cost of an event
SHORT = 10  # times fewer events in the short stream
LARGE = 16_384  # bytes in a piece: as much as a client reads at once

Times = dict[str, list[float]]


class Drop(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        return SpanExportResult.SUCCESS


def telemetries() -> dict[str, Telemetry | None]:
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(BatchSpanProcessor(Drop()))
    with_sdk = partial(
        Telemetry,
        operation="chat",
        provider="openai",
        tracer_provider=tracer_provider,
        meter_provider=MeterProvider([InMemoryMetricReader()]),
    )
    return {
        "none": None,
        "no SDK": Telemetry(operation="chat", provider="openai"),
        "SDK": with_sdk(),
        "chunks": with_sdk(chunks=True),
    }


def in_memory(pieces: list[bytes]) -> httpx.Client:
    """A client that gets these pieces in response to every request."""

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=iter(pieces))

    return httpx.Client(transport=httpx.MockTransport(respond))


def read(client: SSEClient, streams: int) -> int:
    """Read streams one after the other; return the number of their events."""
    count = 0
    for _ in range(streams):
        with client.post("http://memory/chat", json={"model": "gpt-4o-mini"}) as stream:
            for _ in stream:
                count += 1
    return count


class Workload(NamedTuple):
    """Streams to read one after the other, and how many."""

    pieces: list[bytes]
    streams: int
    events: int


def measured(workloads: list[Workload], rounds: int) -> list[Times]:
    """Return the rounds of each telemetry for each workload, in microseconds of CPU for a stream."""
    readers: list[tuple[int, str, Callable[[], int]]] = []
    for number, workload in enumerate(workloads):
        for name, each in telemetries().items():
            client = SSEClient(http_client=in_memory(workload.pieces), telemetry=each)
            readers.append((number, name, partial(read, client, workload.streams)))
    times: list[Times] = [{name: [] for _, name, _ in readers} for _ in workloads]
    for round_number in range(rounds + 1):
        for number, name, reading in order_of(round_number, readers):
            _, streams, events = workloads[number]
            cost = measure(reading, streams, expected=streams * events)
            if round_number:  # the first round warms up
                times[number][name].append(cost.cpu)
    return times


def pieces_of(events: int, *, is_large: bool) -> list[bytes]:
    if not is_large:
        return [OPENAI.event] * events + [OPENAI.last]
    body = OPENAI.event * events + OPENAI.last
    return [body[start : start + LARGE] for start in range(0, len(body), LARGE)]


def per_event(is_large: bool, events: int, rounds: int) -> Times:
    """Return the rounds of each telemetry, in microseconds of CPU for an event, without the cost of the stream."""
    lengths = events, events // SHORT
    long, short = measured([Workload(pieces_of(each, is_large=is_large), 1, each) for each in lengths], rounds)
    count = lengths[0] - lengths[1]
    return {name: [(a - b) / count for a, b in zip(long[name], short[name], strict=True)] for name in long}


def added(times: Times, name: str) -> float:
    """Return the median of the differences from "none" within the rounds."""
    return median(a - b for a, b in zip(times[name], times["none"], strict=True))


def main() -> None:
    arguments = argparse.ArgumentParser(description="The cost of telemetry, per stream and per event.")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--streams", type=int, default=200)
    arguments.add_argument("--events", type=int, default=10_000)
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()
    about = {"machine": machine(), "versions": versions(["httpx", "opentelemetry-api", "opentelemetry-sdk"])}
    print(json.dumps(about, indent=2))

    one = Workload([OPENAI.event + OPENAI.last], options.streams, 1)
    [per_stream] = measured([one], options.rounds)
    print("\nµs of CPU for a stream of one event")
    for name, rounds in per_stream.items():
        print(f"  {name:10}{median(rounds):9.1f}{added(per_stream, name):+9.1f}")

    for_events: dict[str, Times] = {}
    for mode, is_large in ("an event per piece", False), ("16 KiB per piece", True):
        times = for_events[mode] = per_event(is_large, options.events, options.rounds)
        print(f"\nµs of CPU for an event, {mode}")
        for name, rounds in times.items():
            print(f"  {name:10}{median(rounds):9.3f}{added(times, name):+9.3f}")

    print("\nGoals")
    cost = added(per_stream, "no SDK")
    print_verdict("without an SDK, µs per stream", f"<= {MAX_PER_STREAM:.0f}", cost, cost / MAX_PER_STREAM - 1)
    for mode, times in for_events.items():
        share = added(times, "SDK") / median(times["none"])
        print_verdict(f"by default, share of an event, {mode}", f"<= {MAX_PER_EVENT}", share, share - MAX_PER_EVENT)
    if options.json is not None:
        figures = {**about, "microseconds_per_stream": per_stream, "microseconds_per_event": for_events}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
