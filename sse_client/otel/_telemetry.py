"""`Telemetry`: what to record, and where to; and the one of the whole process."""

import atexit
from functools import cache
from typing import Any, cast

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.metrics import Histogram, Meter, MeterProvider, get_meter
from opentelemetry.trace import TracerProvider, get_tracer

from .._core.observing import Observer
from .._core.plan import Plan
from .._core.session import Session
from .._shells.telemetry import Process
from .._version import __version__
from . import _names as names
from ._observer import StreamObserver, end_dropped
from ._quietly import quietly

# The scope of our spans and metrics.
SCOPE = "sse_client"

# The names under which the API and older instrumentations keep the wish for silence.
SUPPRESSED = (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation")


class Telemetry:
    """
    Records spans and metrics of streams: `SSEClient(telemetry=Telemetry())`, or `instrument()`.

    `operation` and `provider` are names of the GenAI conventions, like "chat" and "openai". By default they follow from
    the dialect of a call. If either is unknown, the stream is recorded without any `gen_ai` name. `model` is the
    requested model, by default the field `model` of the request's JSON.

    `chunks` also records the time between events, which costs about 10 µs for each. `propagate` adds the trace context
    to the headers of each request, except of those to another origin. The providers are by default the global ones.

    An exception inside the telemetry is logged, at the level DEBUG, and changes nothing else.
    """

    def __init__(
        self,
        *,
        operation: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        chunks: bool = False,
        propagate: bool = True,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._operation = operation
        self._provider = provider
        self._model = model
        self._times_events = chunks
        self._propagates = propagate
        self._tracer = get_tracer(SCOPE, __version__, tracer_provider)
        self._instruments = Instruments(get_meter(SCOPE, __version__, meter_provider))

    def __repr__(self) -> str:
        return f"<Telemetry operation={self._operation!r} provider={self._provider!r}>"

    @quietly
    def _observe(self, plan: Plan, session: Session) -> Observer | None:
        if any(get_value(key) for key in SUPPRESSED):
            return None
        _end_dropped_at_exit()
        end_dropped()
        return StreamObserver(self, plan, session)

    def _gen_ai_of(self, plan: Plan) -> tuple[str, str] | None:
        """Return the operation and the provider of a stream, if both are known."""
        reader = plan.reader
        key = getattr(reader, "__module__", ""), getattr(reader, "__qualname__", "")
        operation, provider = names.KNOWN_READERS.get(key, (None, None))
        operation, provider = self._operation or operation, self._provider or provider
        return None if operation is None or provider is None else (operation, provider)

    def _model_of(self, plan: Plan) -> str | None:
        """Return the requested model. Nothing else of a request's body is looked at."""
        json = plan.request.json
        if self._model is not None or not isinstance(json, dict):
            return self._model
        model = cast("dict[str, Any]", json).get("model")
        return model if isinstance(model, str) else None


class Instruments:
    """All metrics. One that nothing is recorded for is not exported."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, buckets: tuple[float, ...], text: str) -> Histogram:
            return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=buckets)

        first, between = "From the first attempt to the first event", "From one event to the next"
        self.gen_ai_duration = seconds(names.GEN_AI_DURATION, names.SECONDS, "From the first attempt to the end")
        self.gen_ai_first = seconds(names.GEN_AI_TIME_TO_FIRST_CHUNK, names.SECONDS, first)
        self.gen_ai_between = seconds(names.GEN_AI_TIME_PER_CHUNK, names.SECONDS, between)
        self.duration = seconds(names.DURATION, names.MORE_SECONDS, "From the first attempt to the end")
        self.first = seconds(names.STREAM_TIME_TO_FIRST_EVENT, names.MORE_SECONDS, first)
        self.between = seconds(names.TIME_PER_EVENT, names.MORE_SECONDS, between)
        self.tokens = meter.create_histogram(
            names.GEN_AI_TOKENS,
            "{token}",
            "Tokens of complete replies",
            explicit_bucket_boundaries_advisory=names.TOKENS,
        )
        self.events = meter.create_counter(names.STREAM_EVENTS, "{event}", "Events delivered")
        self.retries = meter.create_counter(names.RETRIES, "{attempt}", "Attempts after the first")
        self.active = meter.create_up_down_counter(names.ACTIVE, "{stream}", "Streams that have not ended")


def instrument(telemetry: Telemetry | None = None) -> None:
    """
    Record all streams that this process makes from now on, with this `Telemetry` or a default one.

    Except those of a client with a `telemetry=` of its own. Those of `iter_events` and `aiter_events` are recorded too.
    """
    Process.telemetry = Telemetry() if telemetry is None else telemetry


def uninstrument() -> None:
    """Take `instrument()` back. Streams that were made before are recorded to their end."""
    Process.telemetry = None


@cache
def _end_dropped_at_exit() -> None:
    # At the first stream and not on import: the SDK's own function must be registered before, to run after this one.
    atexit.register(end_dropped)
