"""
Spans and metrics of streams, for OpenTelemetry; needs the extra `otel`.

    SSEClient(telemetry=Telemetry(operation="chat", provider="openai"))   for one client
    instrument(Telemetry())                                               for the whole process

Each stream is one span, from its first attempt to its end, with retries and resumes as span events. In a subscription,
which never ends, each connection is one.

Never recorded: values of headers, queries, bodies (except the field `model`), the data and IDs of events, messages of
the server, stack traces.
"""

try:
    from ._telemetry import Telemetry, instrument, uninstrument
except ModuleNotFoundError as error:
    raise ImportError("sse_client.otel needs OpenTelemetry: pip install 'sse-client-sdk[otel]'") from error

__all__ = ["Telemetry", "instrument", "uninstrument"]
