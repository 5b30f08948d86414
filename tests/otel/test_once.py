"""A span ends exactly once, whatever happens to its stream; and nothing inside the telemetry disturbs a stream."""

import gc
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test
from opentelemetry import context, propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from reliability.proof import SEED, Ledger, fuzz
from reliability.test_fuzz_session import PLAN, Play
from shells import Shell, entered

from otel.recorded import DONE, OK, URL, Recorded, attributes_of, each_shell
from sse_client import AsyncSSEClient, SSEClient
from sse_client._core.session import Session
from sse_client._core.steps import Connect, Stop
from sse_client._shells.telemetry import observe
from sse_client.otel._observer import DROPPED, StreamObserver, end_dropped
from sse_client.testing import RST, Answer, EventServer, Pause, RecordedRequest, scripted_transport

A = "data: a\n\n"


class ObservedPlay(Play):
    """The fuzz of the session, with an observer."""

    recorded: Recorded

    def __init__(self) -> None:
        super().__init__()
        self.recorded.clear()
        observer = observe(self.recorded.telemetry(), PLAN, self.session)
        assert observer is not None
        self.observer = observer
        observer.now = lambda: self.now

    def connect(self, step: Connect, answer: Any) -> None:
        request = httpx.Request("POST", step.request.url)
        with self.observer.sending(request, is_foreign=step.is_foreign):
            super().connect(step, answer)
        assert self.session.outcome is not None or "traceparent" in request.headers

    def teardown(self) -> None:
        super().teardown()
        if not self.session.has_started:
            assert self.recorded.spans == []
            return
        found = attributes_of(self.recorded.span)
        assert found["sse_client.outcome"] == self.session.outcome
        assert found["sse_client.events"] == len(self.received)
        assert found["sse_client.attempts"] == self.session.stats(self.now).attempts
        assert len(self.recorded.span.events) <= found["sse_client.attempts"]
        assert ("error.type" in found) == (self.end is not None and self.end.error is not None)


@pytest.fixture
def ledger() -> Ledger:
    """Numbers that nothing looks at: the fuzz of the session counts them."""
    return Ledger()


def test_every_path(ledger: Ledger, recorded: Recorded) -> None:
    """On every path of the session's fuzz, the span ends exactly once, with the stream's outcome and numbers."""
    play: Any = seed(SEED)(type("ObservedPlay", (ObservedPlay,), {"ledger": ledger, "recorded": recorded}))
    run_state_machine_as_test(play, settings=settings(fuzz(40, 3_000), stateful_step_count=120))


@each_shell
def test_dropped_streams(shell: Shell, recorded: Recorded) -> None:
    """Streams that are dropped while they are open, a thousand in the sync shell, leave no span that has not ended."""
    count = 1000 if shell.kind == "sync" else 100
    transport = scripted_transport(*([Answer(A, A, A)] * count))

    async def main() -> None:
        async with shell.any_client(**recorded.arguments(transport)) as client:
            for _ in range(count):
                stream: Any = client.post(URL)
                if isinstance(client, AsyncSSEClient):
                    await stream.open()
                    await stream.__anext__()
                    # An async response that is left open is the user's mistake, which is not the subject here.
                    await stream._close_response()
                else:
                    next(stream)
                del stream
            # In Python 3.13, frames of an async generator keep the last one alive, and the client would close it.
            client._streams.clear()

    shell.run(main)
    gc.collect()
    end_dropped()
    assert not DROPPED
    assert len(recorded.spans) == count
    assert {attributes_of(span)["sse_client.outcome"] for span in recorded.spans} == {"abandoned"}
    assert {attributes_of(span)["sse_client.events"] for span in recorded.spans} == {1}
    assert recorded.metrics()["sse_client.stream.active"].value == 0
    assert not [each for each in gc.get_objects() if isinstance(each, StreamObserver) and each._parts]


def test_dropped_after_the_terminator(recorded: Recorded) -> None:
    """A stream that is dropped after its last event, whose terminator has come, is complete."""
    with SSEClient(telemetry=recorded.telemetry(), http_client=client_of(Answer(A + DONE))) as sse:
        stream = sse.post(URL)
        assert next(stream).data == "a"
        del stream
    end_dropped()
    assert attributes_of(recorded.span)["sse_client.outcome"] == "completed"


def client_of(*answers: Answer) -> httpx.Client:
    return httpx.Client(transport=scripted_transport(*answers))


def test_the_next_stream_ends_dropped_ones(recorded: Recorded) -> None:
    """The span of a dropped stream ends when the next stream is made, and has the time at which it was dropped."""
    with SSEClient(telemetry=recorded.telemetry(), http_client=client_of(Answer(A, A), OK)) as sse:
        stream = sse.post(URL)
        next(stream)
        del stream
        assert recorded.spans == []
        with sse.post(URL) as other:
            list(other)
    first, second = recorded.spans
    assert attributes_of(first)["sse_client.outcome"] == "abandoned"
    assert attributes_of(second)["sse_client.outcome"] == "completed"
    assert (first.end_time or 0) <= (second.start_time or 0)


class Locked(SpanProcessor):
    """A processor with a lock, in which the garbage collector happens to run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.has_met_itself = False

    def on_end(self, span: ReadableSpan) -> None:
        if not self.lock.acquire(blocking=False):
            self.has_met_itself = True
            return
        gc.collect()
        self.lock.release()


def test_collected_inside_an_exporter(recorded: Recorded) -> None:
    """A stream that is collected while an exporter holds a lock does not call that exporter again."""
    processor = Locked()
    recorded.tracer_provider.add_span_processor(processor)
    with SSEClient(telemetry=recorded.telemetry(), http_client=client_of(Answer(A, A), OK)) as sse:
        stream = sse.post(URL)
        next(stream)
        circle: list[Any] = [stream]
        circle.append(circle)
        gc.disable()
        try:
            del stream, circle
            with sse.post(URL) as other:
                list(other)
        finally:
            gc.enable()
    assert not processor.has_met_itself
    assert sorted(attributes_of(span)["sse_client.outcome"] for span in recorded.spans) == ["abandoned", "completed"]


AT_EXIT = """
import httpx
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from sse_client import SSEClient
from sse_client.otel import Telemetry
from sse_client.testing import Answer, scripted_transport
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
http_client = httpx.Client(transport=scripted_transport(Answer("data: a\\n\\n", "data: b\\n\\n")))
stream = SSEClient(http_client=http_client, telemetry=Telemetry(tracer_provider=provider)).post("http://test/")
next(stream)
del stream
"""


def test_exit() -> None:
    """The span of the last stream that a program dropped is exported when the program ends."""
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["attributes"]["sse_client.outcome"] == "abandoned"


def session_and_observer(recorded: Recorded) -> tuple[Session, StreamObserver]:
    session = Session(PLAN, random=lambda: 0.0, utc_now=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    observer = observe(recorded.telemetry(), PLAN, session)
    assert isinstance(observer, StreamObserver)
    return session, observer


def test_second_stop(recorded: Recorded) -> None:
    """A second report of the end, from another thread, and a request that comes too late, begin no second span."""
    session, observer = session_and_observer(recorded)
    request = httpx.Request("POST", URL)
    session.next_step(0.0)
    with observer.sending(request, is_foreign=False):
        session.leave(None, 1.0)
    late = httpx.Request("POST", URL)
    with observer.sending(late, is_foreign=False):
        pass
    assert "traceparent" in request.headers
    assert "traceparent" not in late.headers
    assert session.observe is not None
    session.observe(Stop(None))
    assert len(recorded.spans) == 1


def test_session_outlives_its_observer(recorded: Recorded) -> None:
    """A session holds its observer only weakly, and goes on without it."""
    session, observer = session_and_observer(recorded)
    session.next_step(0.0)
    del observer
    session.leave(None, 1.0)
    assert session.outcome == "abandoned"
    assert recorded.spans == []


def test_two_threads(recorded: Recorded) -> None:
    """Two threads that stop a stream at the same moment end its span once."""
    with EventServer(Answer(A, Pause(60))) as server, SSEClient(telemetry=recorded.telemetry()) as sse:
        for _ in range(20):
            with sse.post(server.url) as stream:
                next(stream)
                threads = [threading.Thread(target=stream.close) for _ in range(4)]
                for thread in threads:
                    thread.start()
                assert list(stream) == []
                for thread in threads:
                    thread.join()
    assert len(recorded.spans) == 20
    assert {attributes_of(span)["sse_client.outcome"] for span in recorded.spans} == {"cancelled"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork(recorded: Recorded) -> None:
    """A forked process records nothing of the streams of its parent."""
    with SSEClient(telemetry=recorded.telemetry(), http_client=client_of(Answer(A, A))) as sse:
        stream = sse.post(URL)
        next(stream)
        child = os.fork()
        if child == 0:
            stream._session.leave(None, 0.0)
            os._exit(len(recorded.spans))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stream.close()
    assert len(recorded.spans) == 1


class Broken(Exception):
    pass


class BrokenExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise Broken


class BrokenAtStart(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise Broken


class BrokenAtEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise Broken


class BrokenPropagator(TextMapPropagator):
    def inject(self, *_: object, **__: object) -> None:
        raise Broken

    def extract(self, *_: object, **__: object) -> Context:
        raise Broken

    @property
    def fields(self) -> set[str]:
        return set()


BROKEN: dict[str, SpanProcessor] = {
    "exporter": SimpleSpanProcessor(BrokenExporter()),
    "start": BrokenAtStart(),
    "end": BrokenAtEnd(),
}


@pytest.fixture
def _broken_propagator() -> Iterator[None]:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(BrokenPropagator())
    yield
    propagate.set_global_textmap(before)


def results_of(shell: Shell, telemetry: Any) -> list[Any]:
    """Return what users see of four streams: complete, retried, broken off, and refused."""
    found: list[Any] = []
    for script in ([OK], [Answer(status=503), OK], [Answer(A, RST)], [Answer(status=401)]):
        transport = scripted_transport(*script)
        run = shell.read(URL, client={"telemetry": telemetry}, http={"transport": transport})
        found.append((run.data, run.outcome, type(run.error), len(transport.requests)))
    return found


@each_shell
@pytest.mark.parametrize("what", BROKEN)
def test_broken_sdk(shell: Shell, what: str, recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """An exporter or a processor that raises changes nothing for the user, and is logged at the level DEBUG."""
    caplog.set_level(logging.DEBUG, logger="sse_client")
    recorded.tracer_provider.add_span_processor(BROKEN[what])
    assert results_of(shell, recorded.telemetry()) == results_of(shell, None)
    levels = {record.levelno for record in caplog.records if "telemetry" in record.getMessage()}
    assert levels == (set() if what == "exporter" else {logging.DEBUG})  # the SDK logs errors of exporters
    assert [name for name, _ in recorded.points() if name == "sse_client.stream.duration"]  # the rest goes on


@each_shell
@pytest.mark.usefixtures("_broken_propagator")
def test_broken_propagator(shell: Shell, recorded: Recorded) -> None:
    """A propagator that raises changes nothing, and each stream is still a span."""
    assert results_of(shell, recorded.telemetry()) == results_of(shell, None)
    assert len(recorded.spans) == 4


@each_shell
@pytest.mark.parametrize("name", ["active", "duration", "events"])
def test_broken_instrument(shell: Shell, name: str, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that raises changes nothing, and each stream is still a span."""
    telemetry = recorded.telemetry()

    class BrokenInstrument:
        def add(self, *_: object) -> None:
            raise Broken

        record = add

    monkeypatch.setattr(telemetry._instruments, name, BrokenInstrument())
    assert results_of(shell, telemetry) == results_of(shell, None)
    assert len(recorded.spans) == 4


@each_shell
def test_broken_context(shell: Shell, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a context that cannot be read or set changes nothing."""
    expected = results_of(shell, None)

    def fail(*_: object) -> None:
        raise Broken

    for name in ("get_current", "attach", "inject"):
        with monkeypatch.context() as patched:
            patched.setattr(f"sse_client.otel._observer.{name}", fail)
            assert results_of(shell, recorded.telemetry()) == expected


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled(backend: str, recorded: Recorded) -> None:
    """A cancellation, before the headers or in a read, ends the span as cancelled, and the context is as before."""
    shell = Shell(backend, httpx)  # type: ignore[arg-type]

    def answer(request: RecordedRequest) -> Answer:
        return Answer(A, delay=60) if request.target == "/silent" else Answer(A, Pause(60))

    async def main() -> None:
        before = context.get_current()
        with EventServer(answer) as server:
            async with AsyncSSEClient(telemetry=recorded.telemetry()) as client:
                for path, seconds in ("/silent", 0.2), ("/chat", inf):
                    with anyio.CancelScope(deadline=anyio.current_time() + seconds) as scope:
                        async with entered(client.post(f"{server.url}{path}")) as reader:
                            async for _ in reader:
                                scope.cancel()
                    assert context.get_current() == before

    shell.run(main)
    assert [attributes_of(span)["sse_client.outcome"] for span in recorded.spans] == ["cancelled"] * 2
    assert [attributes_of(span)["sse_client.connections"] for span in recorded.spans] == [0, 1]
