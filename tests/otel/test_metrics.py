"""Metrics: their names, units, buckets, attributes and values."""

from typing import Any

import httpx
import pytest
from shells import Shell

from otel.recorded import DONE, OK, SLACK, URL, Recorded, each_shell
from otel.test_spans import GEN_AI, MESSAGE, MODEL, NO_JITTER
from sse_client import Terminator
from sse_client.dialects import OPENAI_CHAT
from sse_client.testing import RST, Answer, Pause, scripted_transport

pytestmark = pytest.mark.usefixtures("still")

SERVER = {"server.address": "test", "server.port": 80}
REQUEST = {**SERVER, **{name: value for name, value in GEN_AI.items() if name != "gen_ai.request.stream"}}
REPLY = {**REQUEST, "gen_ai.response.model": "gpt-5-0101"}
COMPLETED = {"sse_client.outcome": "completed"}

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


def value(point: Any) -> Any:
    found = point.sum if hasattr(point, "sum") else point.value
    return pytest.approx(found, abs=SLACK)


@each_shell
def test_of_a_reply(shell: Shell, recorded: Recorded) -> None:
    """A reply of a model has the metrics of the GenAI conventions, and our counters."""
    transport = scripted_transport(Answer(status=503), Answer(Pause(2), *MESSAGE, DONE))
    shell.read(URL, json=MODEL, dialect=OPENAI_CHAT, retry=NO_JITTER, **recorded.arguments(transport))
    found = [(name, dict(point.attributes), value(point)) for name, point in recorded.points()]
    assert sorted(found, key=repr) == sorted(
        [
            ("gen_ai.client.operation.duration", {**REPLY, **COMPLETED}, 2.5),
            ("gen_ai.client.operation.time_to_first_chunk", REPLY, 2.5),
            ("gen_ai.client.token.usage", {**REPLY, "gen_ai.token.type": "input"}, 7),
            ("gen_ai.client.token.usage", {**REPLY, "gen_ai.token.type": "output"}, 5),
            ("sse_client.stream.events", {**REPLY, **COMPLETED}, 3),
            ("sse_client.stream.retries", {**REPLY, **COMPLETED}, 1),
            ("sse_client.stream.active", REQUEST, 0),
        ],
        key=repr,
    )


@each_shell
def test_of_another_stream(shell: Shell, recorded: Recorded) -> None:
    """Any other stream has metrics of our own, without a path or an ID."""
    shell.read(URL, **recorded.arguments(scripted_transport(Answer(Pause(2), "id: 1\ndata: a\n\n", DONE))))
    found = {name: (dict(point.attributes), value(point)) for name, point in recorded.metrics().items()}
    assert found == {
        "sse_client.stream.duration": ({**SERVER, **COMPLETED}, 2.0),
        "sse_client.stream.time_to_first_event": (SERVER, 2.0),
        "sse_client.stream.events": ({**SERVER, **COMPLETED}, 1),
        "sse_client.stream.active": (SERVER, 0),
    }


@each_shell
def test_of_a_failure(shell: Shell, recorded: Recorded) -> None:
    """A stream that fails has its `error.type`, and no tokens, even if their number has come."""
    options: dict[str, Any] = {"dialect": OPENAI_CHAT, "terminator": Terminator(data="[DONE]")}
    shell.read(URL, json=MODEL, **options, **recorded.arguments(scripted_transport(Answer(*MESSAGE, RST))))
    found = {name: dict(point.attributes) for name, point in recorded.metrics().items()}
    failed = {**REPLY, "sse_client.outcome": "interrupted", "error.type": "StreamInterrupted"}
    assert found == {
        "gen_ai.client.operation.duration": failed,
        "gen_ai.client.operation.time_to_first_chunk": REPLY,
        "sse_client.stream.events": failed,
        "sse_client.stream.active": REQUEST,
    }


def test_buckets(recorded: Recorded) -> None:
    """The buckets are those of the conventions; a stream of our own may take longer."""
    each: list[dict[str, Any]] = [{"dialect": OPENAI_CHAT}, {}]
    for options in each:
        transport = scripted_transport(Answer(*MESSAGE, DONE))
        Shell("sync", httpx).read(URL, **options, **recorded.arguments(transport, chunks=True))
    found = {name: tuple(point.explicit_bounds) for name, point in recorded.points() if hasattr(point, "sum")}
    longer = (*SECONDS, 163.84, 327.68, 655.36)
    assert found == {
        "gen_ai.client.operation.duration": SECONDS,
        "gen_ai.client.operation.time_to_first_chunk": SECONDS,
        "gen_ai.client.operation.time_per_output_chunk": SECONDS,
        "gen_ai.client.token.usage": TOKENS,
        "sse_client.stream.duration": longer,
        "sse_client.stream.time_to_first_event": longer,
        "sse_client.stream.time_per_event": longer,
    }


@each_shell
def test_chunks(shell: Shell, recorded: Recorded) -> None:
    """With `chunks=True`, each event after the first is recorded, with the time since the one before."""
    a = "data: a\n\n"
    transport = scripted_transport(Answer(a, Pause(3), a + a, Pause(1), ": hi\n\n", Pause(1), a, DONE))
    shell.read(URL, **recorded.arguments(transport, chunks=True, operation="chat", provider="openai"))
    point = recorded.metrics()["gen_ai.client.operation.time_per_output_chunk"]
    assert (point.count, point.min, point.max) == (3, 0.0, pytest.approx(3.0))
    assert point.sum == pytest.approx(5.0)


def test_no_chunks(recorded: Recorded) -> None:
    """Without `chunks=True`, nothing is recorded for an event."""
    Shell("sync", httpx).read(URL, **recorded.arguments(scripted_transport(Answer("data: a\n\n" * 9, DONE))))
    assert not {name for name in recorded.metrics() if "per" in name}


@each_shell
def test_active(shell: Shell, recorded: Recorded) -> None:
    """A stream is active from its first attempt to its end."""
    seen: list[int] = []
    transport = scripted_transport(OK)
    arguments = recorded.arguments(transport)
    shell.read(URL, on_event=lambda: seen.append(recorded.metrics()["sse_client.stream.active"].value), **arguments)
    assert seen == [1]
    assert recorded.metrics()["sse_client.stream.active"].value == 0


@each_shell
def test_of_a_subscription(shell: Shell, recorded: Recorded) -> None:
    """Each connection of a subscription is recorded on its own; a reconnection after a clean end is no retry."""
    transport = scripted_transport(
        Answer(Pause(2), "data: a\n\n"), Answer(Pause(4), RST), Answer("data: b\n\n"), Answer(status=204)
    )
    shell.read(URL, method="SUBSCRIBE", retry=NO_JITTER, **recorded.arguments(transport))
    found = {
        (name, point.attributes.get("sse_client.outcome")): (value(point), getattr(point, "count", None))
        for name, point in recorded.points()
    }
    assert found == {
        ("sse_client.stream.duration", "completed"): (2.0, 3),
        ("sse_client.stream.duration", "interrupted"): (4.0, 1),
        ("sse_client.stream.time_to_first_event", None): (2.0, 1),
        ("sse_client.stream.events", "completed"): (2, None),
        ("sse_client.stream.events", "interrupted"): (0, None),
        ("sse_client.stream.retries", "interrupted"): (1, None),
        ("sse_client.stream.active", None): (0, None),
    }
