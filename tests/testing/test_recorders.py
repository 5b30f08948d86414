"""The user's own recorders, alone and together with a cassette."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sse_client import SSEClient, StreamInterrupted
from sse_client.testing import FIN, Answer, EventServer, Pause, record, replay, scripted_transport


class Told:
    """A `Recorder` that keeps its calls, with the times."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, float]] = []
        self._started_at = 0.0

    def begin(self, now: float) -> None:
        self._started_at = now
        self.calls.append(("begin", None, 0.0))

    def opened(self, response: Any, requested_at: float, now: float) -> None:
        assert requested_at <= now
        self._tell("opened", response.status_code, now)

    def received(self, data: bytes, now: float) -> None:
        self._tell("received", data, now)

    def ended(self, error: Exception | None, now: float) -> None:
        self._tell("ended", type(error).__name__, now)

    def _tell(self, name: str, value: Any, now: float) -> None:
        self.calls.append((name, value, round(now - self._started_at, 3)))


def client_of(*answers: Answer) -> SSEClient:
    return SSEClient(http_client=httpx.Client(transport=scripted_transport(*answers)))


@pytest.mark.usefixtures("still")
def test_a_recorder_is_told_of_each_piece() -> None:
    """A recorder is called for each response, each piece and the end, with the time of the stream."""
    told = Told()
    answer = Answer("data: 1\n\nda", Pause(1.5), "ta: 2\n\n", delay=0.5)
    with record(client_of(answer).get("http://test/"), told) as stream:
        assert [event.data for event in stream] == ["1", "2"]
    assert told.calls == [
        ("begin", None, 0.0),
        ("opened", 200, 0.5),
        ("received", b"data: 1\n\nda", 0.5),
        ("received", b"ta: 2\n\n", 2.0),
        ("ended", "NoneType", 2.0),
    ]


@pytest.mark.parametrize("path_comes", ["first", "last"])
def test_several_recorders(path_comes: str, tmp_path: Path) -> None:
    """A stream may have several recorders, each of which is called for everything; one may be a cassette."""
    told, path = Told(), tmp_path / "cassette.jsonl"
    sinks: list[Any] = [path, told, Told()] if path_comes == "first" else [told, Told(), path]
    stream = client_of(Answer("data: 1\n\n", FIN)).get("http://test/")
    for sink in sinks:
        record(stream, sink)
    with pytest.raises(StreamInterrupted), stream:
        list(stream)
    assert [name for name, _, _ in told.calls] == ["begin", "opened", "received", "ended"]
    assert replay(path)[0].steps == (b"data: 1\n\n", FIN)


def test_an_error_of_a_recorder_comes_out() -> None:
    """An exception of a recorder ends the stream, and comes out unchanged."""

    class Full(Told):
        def received(self, data: bytes, now: float) -> None:
            raise RuntimeError("the disk is full")

    calls: list[Callable[[], object]] = []
    stream = record(client_of(Answer("data: 1\n\n", calls.clear)).get("http://test/"), Full())
    with pytest.raises(RuntimeError, match="the disk is full"), stream:
        list(stream)
    assert stream.outcome is not None


def test_the_port_of_a_server() -> None:
    """A server listens on the given port, or else on a free one."""
    with EventServer(Answer("data: 1\n\n")) as first:
        port = first.port
        assert "not started" in repr(EventServer(port=port))
    with EventServer(Answer("data: 2\n\n"), port=port) as server:
        assert server.url == f"http://127.0.0.1:{port}"
        with SSEClient() as client:
            assert [event.data for event in client.get(server.url)] == ["2"]
