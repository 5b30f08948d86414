"""
Streams through a proxy that ends a response cleanly after its server has died.

Caddy does that, and HAProxy over HTTP/2: the last chunk comes, and nothing in the bytes tells the cut from an end. Only
a terminator does. `Proxy` here is such a proxy.
"""

import logging
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import h11
import pytest
from shells import Shell, in_turn

from sse_client import LastEventID, RetryPolicy, StreamTruncated, Terminator
from sse_client.testing import FIN, RST, Answer, EventServer, RecordedRequest
from sse_client.testing._script import Close

COUNT = 6
EVENTS = [f"id: {number}\ndata: {number}\n\n" for number in range(1, COUNT + 1)]
DATA = [str(number) for number in range(1, COUNT + 1)]
TIMEOUT = 10.0


class Proxy:
    """Relays requests to a server, one after the other; a server that dies is a clean end to the client."""

    def __init__(self, port: int) -> None:
        self.relayed = threading.Semaphore(0)
        """Released for each piece that was sent to the client."""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._is_closing = True
        socket.create_connection(self._listener.getsockname()).close()  # wakes the thread
        self._thread.join(TIMEOUT)
        self._listener.close()

    def _run(self) -> None:
        while True:
            client = self._listener.accept()[0]
            with client, suppress(OSError, h11.ProtocolError):
                if self._is_closing:
                    return
                client.settimeout(TIMEOUT)
                self._relay(client)

    def _relay(self, client: socket.socket) -> None:
        """Relay one request, and its response."""
        downstream, upstream = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
        with socket.create_connection(("127.0.0.1", self._port), TIMEOUT) as server:
            while not isinstance(event := received(downstream, client), h11.EndOfMessage):
                server.sendall(upstream.send(event) or b"")
            server.sendall(upstream.send(event) or b"")

            head = received(upstream, server)
            assert isinstance(head, h11.Response)
            headers = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"), ("Connection", "close")]
            answer = h11.Response(status_code=head.status_code, headers=headers)
            client.sendall(downstream.send(answer) or b"")
            # The server dies: the rest of the response is empty, and its end is sent.
            with suppress(OSError, h11.RemoteProtocolError):
                while isinstance(event := received(upstream, server), h11.Data):
                    client.sendall(downstream.send(event) or b"")
                    self.relayed.release()
            client.sendall(downstream.send(h11.EndOfMessage()) or b"")


def received(connection: h11.Connection, peer: socket.socket) -> Any:
    """The next event of a connection."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(peer.recv(65536))
    return event


class Server(EventServer):
    """A server that resumes after `Last-Event-ID`, and whose first response breaks off after three events."""

    def __init__(self, how: Close, end: str) -> None:
        super().__init__(self.answer)
        self.how = how
        self.end = end
        self.proxy: Proxy

    def answer(self, request: RecordedRequest) -> Answer:
        begin = int(request.headers.get("last-event-id", "0"))
        if len(self.requests) > 1:
            return Answer(*EVENTS[begin:], self.end)
        return Answer(*EVENTS[:3], self.wait, self.how)

    def wait(self) -> None:
        """Wait until all is relayed, because a reset discards unread data."""
        for _ in range(3):
            assert self.proxy.relayed.acquire(timeout=TIMEOUT)


def read(shell: Shell, how: Close, end: str, **options: Any) -> tuple[Any, int]:
    """Read through the proxy; return the result, and the number of requests."""
    with Server(how, end) as server, Proxy(server.port) as server.proxy:
        result = shell.read(server.proxy.url, client={"retry": None}, **options)
        return result, len(server.requests)


END = "event: end\ndata: bye\n\n"
DONE = "data: [DONE]\n\n"
RESUME = LastEventID(retry=RetryPolicy(initial_delay=0.01, jitter=0))

# The server's last event, the terminator, and its data as delivered.
TERMINATORS = {
    "event": (END, Terminator(event="end"), ["bye"]),
    "[DONE]": (DONE, Terminator(data="[DONE]"), []),
}
DEATHS = pytest.mark.parametrize("how", [FIN, RST], ids=["killed", "reset"])


@DEATHS
@pytest.mark.parametrize("end", [END, DONE], ids=["event", "[DONE]"])
@pytest.mark.parametrize("options", [{}, {"resume": RESUME}], ids=["", "resume"])
def test_a_cut_that_cannot_be_seen(
    shell: Shell, how: Close, end: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Without a terminator the cut looks like a clean end; if the stream could have been resumed, that is logged."""
    caplog.set_level(logging.INFO, "sse_client")
    result, requests = read(shell, how, end, **options)
    assert (result.data, result.error, requests) == (DATA[:3], None, 1)
    assert result.stream.outcome == "completed"
    texts = [record.getMessage() for record in caplog.records if "ended without a terminator" in record.getMessage()]
    assert len(texts) == (1 if options else 0)
    assert all("after 3 events" in text for text in texts)


@DEATHS
@in_turn(("end", "terminator", "last"), TERMINATORS.values(), ids=TERMINATORS)
def test_a_terminator_shows_it(shell: Shell, how: Close, end: str, terminator: Terminator, last: list[str]) -> None:
    """With a terminator the same cut is a truncated stream."""
    result, requests = read(shell, how, end, terminator=terminator)
    assert (result.data, requests) == (DATA[:3], 1)
    assert isinstance(result.error, StreamTruncated)
    assert result.stream.outcome == "truncated"


@DEATHS
@in_turn(("end", "terminator", "last"), TERMINATORS.values(), ids=TERMINATORS)
def test_a_terminator_has_it_resumed(
    shell: Shell, how: Close, end: str, terminator: Terminator, last: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """With a terminator and `resume=`, no event is lost or repeated, and the stream ends with the terminator."""
    caplog.set_level(logging.INFO, "sse_client")
    result, requests = read(shell, how, end, terminator=terminator, resume=RESUME)
    assert (result.data, result.error, requests) == ([*DATA, *last], None, 2)
    assert result.stream.outcome == "completed"
    assert "ended without a terminator" not in caplog.text
