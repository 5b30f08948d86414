"""The scripted server sends exactly the bytes of its script."""

import http.client
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme
from shells import PATIENCE

from sse_client._event import ServerSentEvent
from sse_client.testing import FIN, RST, Answer, EventServer, Pause, RecordedRequest, encode

EVENT_STREAM = b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\n"
GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
GET_AND_CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Close\r\n\r\n"


def connect(server: EventServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def read(client: socket.socket, size: float = math.inf) -> bytes:
    """Read that many bytes, or all until the end of the connection."""
    data = b""
    while len(data) < size and (piece := client.recv(int(min(65_536, size - len(data))))):
        data += piece
    return data


def read_until(client: socket.socket, mark: bytes) -> None:
    data = b""
    while not data.endswith(mark):
        data += (piece := client.recv(1))
        assert piece, f"expected {mark!r}, got {data!r} and the end"


def exchange(answer: Answer, request: bytes = GET_AND_CLOSE) -> bytes:
    """Send one request and return all bytes of the response, up to the end of the connection."""
    with EventServer(answer) as server, connect(server) as client:
        client.sendall(request)
        return read(client)


def test_chunked() -> None:
    """Each step of bytes, text or an event is one chunk; empty steps are not, and the last chunk is empty."""
    event = ServerSentEvent(data="hi", id="1")
    assert exchange(Answer(b"data: 1\n\n", b"", "", "é", event)) == (
        b"HTTP/1.1 200 OK\r\n" + EVENT_STREAM + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"9\r\ndata: 1\n\n\r\n2\r\n\xc3\xa9\r\n10\r\nid: 1\ndata: hi\n\n\r\n0\r\n\r\n"
    )


def test_length() -> None:
    """The Content-Length is the sum of all steps that write."""
    assert exchange(Answer(b"ab", Pause(0), "é", framing="length")) == (
        b"HTTP/1.1 200 OK\r\n" + EVENT_STREAM + b"Content-Length: 4\r\nConnection: close\r\n\r\nab\xc3\xa9"
    )


def test_close() -> None:
    """A close-delimited body ends with the connection, even if the client would keep it."""
    assert exchange(Answer(b"ab", framing="close"), GET) == (
        b"HTTP/1.1 200 OK\r\n" + EVENT_STREAM + b"Connection: close\r\n\r\nab"
    )


def test_raw() -> None:
    """A raw response is only its steps, even for HEAD, and the connection ends after them."""
    assert exchange(Answer(b"HTTP/1.1 200 OK\r\n", "\r\n", b"x", framing="raw"), HEAD) == b"HTTP/1.1 200 OK\r\n\r\nx"


def test_headers() -> None:
    """Headers are added, replaced whatever their case, or removed by None, even those of the framing."""
    headers = {"content-type": "text/plain", "CACHE-CONTROL": None, "X-É": "ü", "Content-Length": "9"}
    assert (
        exchange(Answer(b"ab", headers=headers, framing="length"))
        == (
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 9\r\nX-É: ü\r\nConnection: close\r\n\r\nab"
        ).encode()
    )


def test_a_close_of_the_answer() -> None:
    """A `Connection: close` among the response's headers is obeyed, and not repeated."""
    assert exchange(Answer(status=529, headers={"connection": "close"}, framing="length"), GET) == (
        b"HTTP/1.1 529 \r\n" + EVENT_STREAM + b"Content-Length: 0\r\nconnection: close\r\n\r\n"
    )


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(status: int) -> None:
    """204 and 304 have neither a body nor a framing header."""
    wire = exchange(Answer(b"ab", status=status))
    assert wire.endswith(b"\r\n" + EVENT_STREAM + b"Connection: close\r\n\r\n")


def test_head() -> None:
    """HEAD gets the headers of the response and no body; steps that write nothing are still played."""
    called = threading.Event()
    with EventServer(Answer(b"ab", called.set)) as server, connect(server) as client:
        client.sendall(HEAD + GET_AND_CLOSE)
        assert read(client) == (
            b"HTTP/1.1 200 OK\r\n" + EVENT_STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
            b"HTTP/1.1 200 OK\r\n" + EVENT_STREAM + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"2\r\nab\r\n0\r\n\r\n"
        )
    assert called.is_set()


def test_an_answer_is_immutable() -> None:
    """A response is a value: equal if its parts are, and independent of later changes to its arguments."""
    event, headers = ServerSentEvent(data="1"), {"X": "1"}
    answer = Answer(event, headers=dict(headers))
    event.data = headers["X"] = "2"
    assert answer == Answer(b"data: 1\n\n", headers={"X": "1"})
    assert hash(answer) == hash(Answer(b"data: 1\n\n", headers={"X": "1"}))
    with pytest.raises(AttributeError):
        answer.status = 500  # type: ignore[misc]


@pytest.mark.parametrize(
    "build",
    [
        lambda: Answer(FIN, b"x"),
        lambda: Answer(RST, FIN),
        lambda: Answer(framing="raw", status=404),
        lambda: Answer(framing="raw", headers={"X": "1"}),
        lambda: Answer(ServerSentEvent(event="")),
        lambda: Answer("\ud800"),
    ],
    ids=["behind FIN", "behind RST", "raw status", "raw headers", "event", "text"],
)
def test_an_answer_that_cannot_be(build: Callable[[], Answer]) -> None:
    """A response that cannot be sent is an error when it is written, not when it is played."""
    with pytest.raises(ValueError):
        build()


@pytest.mark.parametrize("answer", [Answer(b"ab"), Answer(b"ab", framing="length"), Answer(status=204)])
def test_keep_alive(answer: Answer) -> None:
    """A connection serves one request after the other."""
    with EventServer(answer) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        for _ in range(3):
            client.request("GET", "/")
            assert client.getresponse().read() == (b"" if answer.status == 204 else b"ab")
        client.request("GET", "/", headers={"Connection": "close"})
        client.getresponse().read()
        client.request("GET", "/")  # http.client connects again
        client.getresponse().read()
        client.close()
        assert [request.connection for request in server.requests] == [1, 1, 1, 1, 2]
        assert server.connections == 2


def test_fin() -> None:
    """FIN ends a chunked response without its last chunk, and the whole script was played."""
    with EventServer(Answer(b"ab", FIN)) as server, connect(server) as client:
        client.sendall(GET)
        assert read(client).endswith(b"\r\n\r\n2\r\nab\r\n")
        [request] = server.requests
        assert request.done.wait(5)
        assert request.responded


def test_rst() -> None:
    """RST is a ConnectionResetError for the client."""
    gate = threading.Event()
    with EventServer(Answer(b"ab", gate.wait, RST)) as server, connect(server) as client:
        client.sendall(GET)
        read_until(client, b"\r\nab\r\n")
        gate.set()
        with pytest.raises(ConnectionResetError):
            read(client)


def test_client_gone_in_a_pause() -> None:
    """A client that closes is noticed at once, even while the server has nothing to write."""
    with EventServer(Answer(b"ab", Pause(math.inf))) as server:
        with connect(server) as client:
            client.sendall(GET)
            [request] = server.wait_for_requests(1)
            assert not request.done.wait(0.02)
        left_at = time.monotonic()
        assert request.done.wait(5)
        assert time.monotonic() - left_at < 0.1 * PATIENCE
        assert not request.responded


def test_client_gone_in_a_write() -> None:
    """A write to a client that has gone ends the response, and is not an error of the script."""
    with EventServer(Answer(*[b"x" * 65_536] * 1_000)) as server:
        with connect(server) as client:
            client.sendall(GET)
            read(client, 1)
        [request] = server.requests
        assert request.done.wait(5)
        assert not request.responded


def test_bytes_sent_in_a_pause_are_kept() -> None:
    """A request that comes during a pause is neither lost nor mistaken for the end of the client."""
    with EventServer(Answer(Pause(0.05), b"a", framing="length")) as server, connect(server) as client:
        client.sendall(GET)
        server.wait_for_requests(1)
        client.sendall(GET_AND_CLOSE)
        assert read(client).count(b"\r\n\r\na") == 2
        assert all(request.done.wait(5) and request.responded for request in server.requests)


def test_pause() -> None:
    """A pause lasts as long as it says, and the bytes before it are sent by then."""
    with EventServer(Answer(b"a", Pause(0.05), b"b", framing="close")) as server, connect(server) as client:
        client.sendall(GET)
        read_until(client, b"\r\n\r\na")
        begin = time.monotonic()
        assert read(client) == b"b"
        assert time.monotonic() - begin > 0.03


def get(server: EventServer, method: str = "GET") -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    client.request(method, "/", headers={"Connection": "close"})
    with client.getresponse() as response:
        return response.status, response.read()


def test_one_answer_is_for_all() -> None:
    """A single response is sent to every request."""
    with EventServer(Answer(b"ab")) as server:
        assert [get(server) for _ in range(3)] == [(200, b"ab")] * 3


def test_more_requests_than_answers() -> None:
    """Of several responses each is sent once; a further request gets a 500 that says so."""
    with EventServer(Answer(b"1"), Answer(b"2", status=503)) as server:
        assert get(server) == (200, b"1")
        assert get(server) == (503, b"2")
        assert get(server) == (500, b"the script has no response for request 3\n")


def test_no_answers() -> None:
    """Without a script every request gets a 500."""
    with EventServer() as server:
        assert get(server) == (500, b"the script has no response for request 1\n")


def test_an_answer_by_the_request() -> None:
    """A script that is a function is called for each request, with the request."""
    with EventServer(lambda request: Answer(f"{request.method} {request.target}")) as server:
        assert [get(server), get(server, "DELETE")] == [(200, b"GET /"), (200, b"DELETE /")]


def test_steps_that_are_called() -> None:
    """A callable step is called in its place: here the client decides when the server continues."""
    gate = threading.Event()
    with EventServer(Answer(b"a", gate.wait, b"b", framing="close")) as server, connect(server) as client:
        client.sendall(GET)
        read_until(client, b"\r\n\r\na")
        client.settimeout(0.02)
        with pytest.raises(TimeoutError):
            client.recv(1)
        gate.set()
        assert read(client) == b"b"


def fail(*_: object) -> Answer:
    raise ConnectionError("wrong script")


@pytest.mark.parametrize("script", [fail, Answer(b"a", fail)])
def test_a_script_that_raises(script: Answer | Callable[[RecordedRequest], Answer]) -> None:
    """
    An exception of a script resets its connection and is raised by `close`, once, even if it is a ConnectionError.
    """
    server = EventServer(script).start()
    with connect(server) as client:
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            read(client)
    with pytest.raises(ConnectionError, match="wrong script"):
        server.close()
    server.close()
    assert server.requests[0].done.is_set()
    assert not server.requests[0].responded


def test_a_script_that_raises_in_a_test_that_fails() -> None:
    """The exception that leaves the `with` block is not replaced by the script's."""
    with pytest.raises(KeyError), EventServer(fail) as server, connect(server) as client:
        client.sendall(GET)
        server.wait_for_requests(1)[0].done.wait(5)
        raise KeyError


def test_recorded_request() -> None:
    """A request is recorded as it was sent; headers are case-insensitive, and repeated ones are joined."""
    begin = time.monotonic()
    with EventServer(Answer()) as server, connect(server) as client:
        client.sendall(
            b"POST /a%20b?c=%C3%A9 HTTP/1.1\r\nHost: x\r\nX-Tag: 1 \r\nx-tag:2\r\n"
            b"Last-Event-ID: \xc3\xa9\xff\r\nContent-Length: 7\r\n\r\n[1, 2"
        )
        with pytest.raises(TimeoutError, match=r"expected 1 requests within 0\.02 s, got 0"):
            server.wait_for_requests(1, timeout=0.02)
        client.sendall(b"]\n")
        [request] = server.wait_for_requests(1)
        assert request.done.wait(5)
    assert (request.method, request.target) == ("POST", "/a%20b?c=%C3%A9")
    assert request.headers == {
        "host": "x",
        "x-tag": "1, 2",
        "last-event-id": "é\udcff",
        "content-length": "7",
    }
    assert request.headers["HOST"] == "x"
    assert "Accept" not in request.headers
    assert len(request.headers) == 4
    assert repr(request.headers).startswith("Headers({'host': 'x',")
    assert request.body == b"[1, 2]\n"
    assert request.json() == [1, 2]
    assert request.connection == 1
    assert begin < request.received_at < time.monotonic()
    assert request.responded


def test_chunked_request() -> None:
    """A chunked body is recorded without its chunks, extensions and trailers; the next request follows it."""
    with EventServer(Answer(status=204)) as server, connect(server) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n" + GET_AND_CLOSE
        )
        assert read(client).count(b"HTTP/1.1 204") == 2
    assert [request.body for request in server.requests] == [b"abc0123456789", b""]


def test_expect_100_continue() -> None:
    """A client that sends `Expect: 100-continue` is told to continue."""
    with EventServer(Answer(status=204)) as server, connect(server) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        proceed = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert read(client, len(proceed)) == proceed
        client.sendall(b"ab")
        assert read(client).startswith(b"HTTP/1.1 204 No Content\r\n")
    assert server.requests[0].body == b"ab"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"GET\r\n\r\n", b"expected a request line, got 'GET'"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"invalid literal"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"expected a length >= 0, got -1"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", b"invalid literal"),
        (b"x" * 65_536, rb"expected b'\r\n\r\n' within 65536 bytes"),
    ],
)
def test_no_request(request_: bytes, reason: bytes) -> None:
    """An invalid request gets a 400 that says why, and is not recorded."""
    with EventServer(Answer()) as server, connect(server) as client:
        client.sendall(request_)
        answer = read(client)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert reason in answer
        assert server.requests == []


def test_a_request_that_breaks_off() -> None:
    """A request that is not complete is not recorded."""
    with EventServer(Answer()) as server, connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
        client.shutdown(socket.SHUT_WR)
        assert read(client) == b""
        assert server.requests == []


@contextmanager
def closed_at_once(server: EventServer) -> Iterator[None]:
    before = set(threading.enumerate())
    server.start()
    try:
        yield
    finally:
        begin = time.monotonic()
        server.close()
        assert time.monotonic() - begin < 0.1 * PATIENCE
        assert set(threading.enumerate()) == before
        server.close()


@pytest.mark.parametrize("answer", [Answer(b"ab", Pause(math.inf)), Answer(*[b"x" * 65_536] * 1_000)])
def test_close_while_answering(answer: Answer) -> None:
    """Closing interrupts a pause, and a write that the client does not read; the threads end."""
    server = EventServer(answer)
    with closed_at_once(server):
        client = connect(server)
        client.sendall(GET)
        [request] = server.wait_for_requests(1)
        assert not request.done.wait(0.02)
    with client:
        while client.recv(65_536):
            pass
    assert request.done.is_set()
    assert not request.responded


def test_close_while_reading() -> None:
    """Closing ends connections without a request, or with half of one; then new ones are refused."""
    server = EventServer(Answer())
    with closed_at_once(server):
        silent, half = connect(server), connect(server)
        half.sendall(GET[:-2])
    with silent, half:
        for client in (silent, half):
            with suppress(ConnectionResetError):  # closed before it was accepted, or with bytes that were not read
                assert read(client) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_close_without_start() -> None:
    """A server that was not started has nothing to close; one that was closed cannot be started again."""
    server = EventServer()
    server.close()
    server.start().close()
    with pytest.raises(RuntimeError, match="a server can be started only once"):
        server.start()


def test_a_callable_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callable that does not return is reported; `close` does not wait for it for ever."""
    monkeypatch.setattr("sse_client.testing._server.JOIN_TIMEOUT", 0.02)
    entered, gate = threading.Event(), threading.Event()
    server = EventServer(Answer(entered.set, gate.wait)).start()
    with connect(server) as client:
        client.sendall(GET)
        assert entered.wait(5)
        with pytest.raises(RuntimeError, match="a callable of connection 1 does not return"):
            server.close()
        gate.set()
        assert server.requests[0].done.wait(5)


def test_many_connections() -> None:
    """A hundred clients at a time each get their response, on separate connections."""
    with EventServer(lambda request: Answer(request.target.encode(), framing="close")) as server:
        clients = [connect(server) for _ in range(100)]
        for number, client in enumerate(clients):
            client.sendall(b"GET /%d HTTP/1.1\r\n\r\n" % number)
        for number, client in enumerate(clients):
            with client:
                assert read(client).endswith(b"\r\n\r\n/%d" % number)
        assert sorted(request.connection for request in server.requests) == list(range(1, 101))


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server and of a client that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def connect_tls(server: EventServer, context: ssl.SSLContext) -> ssl.SSLSocket:
    # Then an end of the connection without close_notify is an error, not silently the end of the body.
    return context.wrap_socket(connect(server), server_hostname="127.0.0.1", suppress_ragged_eofs=False)


def test_tls(tls: Contexts) -> None:
    """With an SSL context the server speaks TLS, and ends a response with close_notify."""
    events = [ServerSentEvent(data="1"), ServerSentEvent(data="2")]
    with EventServer(Answer(*events, framing="close"), ssl_context=tls[0]) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        with connect_tls(server, tls[1]) as client:
            client.sendall(GET)
            assert read(client).endswith(b"\r\n\r\n" + encode(*events))


def test_tls_fin(tls: Contexts) -> None:
    """Over TLS, the client can tell FIN from a clean end."""
    with EventServer(Answer(b"ab", FIN), ssl_context=tls[0]) as server, connect_tls(server, tls[1]) as client:
        client.sendall(GET)
        with pytest.raises(ssl.SSLEOFError):
            read(client)


def test_tls_rst(tls: Contexts) -> None:
    """RST resets the connection below TLS."""
    with EventServer(Answer(RST), ssl_context=tls[0]) as server, connect_tls(server, tls[1]) as client:
        client.sendall(GET)
        # Below TLS, since the ssl module calls a reset an EOF before Python 3.12.3.
        with pytest.raises(ConnectionResetError):
            while socket.socket.recv(client, 65_536):
                pass


@pytest.mark.parametrize("politely", [False, True])
def test_tls_client_gone_in_a_pause(tls: Contexts, politely: bool) -> None:
    """A TLS client that leaves is noticed, with a close_notify and without."""
    with EventServer(Answer(Pause(math.inf)), ssl_context=tls[0]) as server:
        client = connect_tls(server, tls[1])
        client.sendall(GET)
        [request] = server.wait_for_requests(1)
        assert not request.done.wait(0.02)
        if politely:
            client.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                while True:
                    client.recv(65_536)
            with suppress(ssl.SSLWantReadError, ssl.SSLEOFError):  # the server sends no close_notify in return
                client.unwrap()
        else:
            client.close()
        assert request.done.wait(5)
        client.close()
        assert not request.responded


def test_tls_half_a_record_in_a_pause(tls: Contexts) -> None:
    """A pause ends in time even if the client has sent only a part of a record."""
    with (
        EventServer(Answer(Pause(0.05), b"ab", framing="close"), ssl_context=tls[0]) as server,
        connect_tls(server, tls[1]) as client,
    ):
        client.sendall(GET)
        server.wait_for_requests(1)
        socket.socket.send(client, b"\x17\x03")
        client.settimeout(1)
        assert read(client).endswith(b"\r\n\r\nab")


def test_tls_handshake_that_fails(tls: Contexts) -> None:
    """A client that does not trust the server, or does not speak TLS, is not an error of the script."""
    with EventServer(Answer(), ssl_context=tls[0]) as server:
        with connect(server) as client, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(client, server_hostname="127.0.0.1")
        with connect(server) as client:
            client.sendall(GET)
            with suppress(ConnectionResetError):
                read(client)
        assert server.connections == 2
        assert server.requests == []


def test_tls_close(tls: Contexts) -> None:
    """Closing ends a connection in its handshake, one that waits for a request, and one in a pause."""
    server = EventServer(Answer(Pause(math.inf)), ssl_context=tls[0])
    with closed_at_once(server):
        clients = [connect(server), connect_tls(server, tls[1]), connect_tls(server, tls[1])]
        clients[2].sendall(GET)
        server.wait_for_requests(1)
    for client in clients:
        client.close()


def test_url() -> None:
    """The URL is that of the loopback address, and ends without a slash."""
    with EventServer() as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
