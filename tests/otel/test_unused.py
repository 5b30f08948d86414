"""Without telemetry nothing is imported, and without an SDK nothing is recorded."""

import subprocess
import sys

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, NoOpTracerProvider, SpanContext, TraceFlags
from shells import Shell

from otel.recorded import OK, URL, Recorded, header
from sse_client.otel import Telemetry
from sse_client.testing import scripted_transport

READ = """
import sys, httpx, sse_client
from sse_client.testing import Answer, scripted_transport
with httpx.Client(transport=scripted_transport(Answer("data: a\\n\\n"))) as http:
    with sse_client.SSEClient(http_client=http).post("http://test/") as stream:
        print([event.data for event in stream])
print(sorted(name for name in sys.modules if name.partition(".")[0] == "opentelemetry"))
"""

WITHOUT_SDK = """
import sys, httpx, sse_client
from sse_client.otel import instrument
from sse_client.testing import Answer, scripted_transport
instrument()
transport = scripted_transport(Answer("data: a\\n\\n"))
with httpx.Client(transport=transport) as http:
    with sse_client.SSEClient(http_client=http).post("http://test/") as stream:
        print([event.data for event in stream])
print([name for name in transport.requests[0].headers if "trace" in name])
print(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk")))
"""

# As if the extra were not installed.
WITHOUT_API = "import sys; sys.modules['opentelemetry'] = None\n"


def lines_of(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.parametrize("before", ["", WITHOUT_API], ids=["installed", "not installed"])
def test_nothing_is_imported(before: str) -> None:
    """A stream without telemetry imports nothing of OpenTelemetry, and does not need it."""
    text, modules = lines_of(before + READ)
    assert text == "['a']"
    assert modules in ("[]", "['opentelemetry']")  # the latter is the one that was put there


def test_without_the_extra() -> None:
    """Without the API, `sse_client.otel` is an ImportError that names it."""
    with pytest.raises(subprocess.CalledProcessError) as raised:
        lines_of(f"{WITHOUT_API}import sse_client.otel")
    assert "ImportError: sse_client.otel needs OpenTelemetry: pip install 'sse-client-sdk[otel]'" in raised.value.stderr


def test_without_an_sdk() -> None:
    """With the API alone, streams are read as ever: no header is added, and the SDK is not imported."""
    assert lines_of(WITHOUT_SDK) == ["['a']", "[]", "[]"]


def test_passing_on_a_trace() -> None:
    """Without an SDK, the trace that this process was called in is passed on."""
    telemetry = Telemetry(tracer_provider=NoOpTracerProvider())
    transport = scripted_transport(OK)
    parent = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1)))
    with trace.use_span(parent):
        Shell("sync", httpx).read(URL, client={"telemetry": telemetry}, http={"transport": transport})
    assert header(transport, "traceparent") == [f"00-{0xABC:032x}-{0xDEF:016x}-01"]


def test_unsampled(recorded: Recorded) -> None:
    """A span that is not sampled is not filled; the metrics are recorded all the same."""
    telemetry = Telemetry(tracer_provider=NoOpTracerProvider(), meter_provider=recorded.meter_provider)
    Shell("sync", httpx).read(URL, client={"telemetry": telemetry}, http={"transport": scripted_transport(OK)})
    assert recorded.metrics()["sse_client.stream.events"].value == 1
