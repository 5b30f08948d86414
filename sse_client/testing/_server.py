"""
A scripted HTTP/1.1 server on a real loopback socket, which plays the steps of an `Answer` for each request.

One thread accepts connections, and each connection has its own thread; none of them waits while it holds a lock. Every
wait of a connection (a read, a write that the client does not take, a `Pause`) is a wait on its socket, so `close()`
ends all of them in the same way: it shuts down the sockets. `_Gone` means that a connection is over. Any other
exception in a thread is a fault of the script, and is raised by `close()`.
"""

import os
import selectors
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from sse_client.testing._script import (
    FIN,
    RST,
    Answer,
    Close,
    Headers,
    Pause,
    RecordedRequest,
    Script,
    Scripts,
    ends_connection,
    wire,
)

MAX_HEAD = 65_536  # bytes: the limit of http.server for a single line
JOIN_TIMEOUT = 5.0  # seconds: only a callable that blocks can take this long


class EventServer:
    """
    A scripted server on 127.0.0.1. Use it in a `with` block, or call `start()` and `close()`.

    It listens on a free port, or on `port`.

    A single script is played for every request. Several scripts are played once each, in the order of the requests, and
    any request after them gets a 500. A script that is a function is called with the request, on the connection's
    thread.

    If a function of the script raises, its connection is reset. The first such exception is raised again by `close()`,
    or at the end of the `with` block, unless the block raises itself.
    """

    def __init__(self, *scripts: Script, ssl_context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[RecordedRequest] = []
        """All requests so far, complete with their bodies, in the order of arrival."""
        self.connections = 0
        """The number of connections accepted so far."""
        self.port = port
        """The port, set by `start()`. After `close()` the server no longer listens on it."""
        self._scripts = Scripts(scripts)
        self._ssl_context = ssl_context
        self._arrived = threading.Condition()
        self._errors: list[BaseException] = []
        self._waker: socket.socket | None = None  # closing it ends the acceptor
        self._acceptor: threading.Thread | None = None
        # Never shortened: a finished thread takes less memory than its requests, which are kept for the user anyway.
        self._served: list[tuple[_Connection, threading.Thread]] = []

    def __repr__(self) -> str:
        count = len(self.requests)
        place = self.url if self._acceptor is not None else "not started"
        return f"<{type(self).__name__} {place}, {self._scripts}, {count} request{'' if count == 1 else 's'}>"

    @property
    def url(self) -> str:
        """The server's origin: `http://127.0.0.1:` and the port, or `https://` with an SSL context."""
        return f"{'http' if self._ssl_context is None else 'https'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen, and return the server. Raises `RuntimeError` if it was already started."""
        if self._acceptor is not None:
            raise RuntimeError("a server can be started only once: make a new EventServer")
        listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._waker, wake = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, args=(listener, wake), daemon=True)
        self._acceptor.start()
        return self

    def close(self) -> None:
        """Close all connections, end all threads, and raise the first exception of the script. Safe to call again."""
        self._stop()
        if self._errors:
            first = self._errors[0]
            self._errors.clear()
            raise first

    def wait_for_requests(self, n: int, timeout: float = 5.0) -> list[RecordedRequest]:
        """
        Wait until `n` requests have arrived, and return all requests so far.

        Raises `TimeoutError` after `timeout` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= n, timeout):
                raise TimeoutError(f"expected {n} requests within {timeout} s, got {len(self.requests)}")
            return self.requests

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            self.close()
        else:
            self._stop()

    def _accept(self, listener: socket.socket, wake: socket.socket) -> None:
        with listener, wake, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while all(key.fileobj is listener for key, _ in selector.select()):
                with suppress(BlockingIOError, ConnectionError, ssl.SSLError):  # the client left while it was accepted
                    self._begin(listener.accept()[0])

    def _begin(self, client: socket.socket) -> None:
        self.connections += 1
        client.setblocking(True)  # on some systems the socket inherits the listener's mode
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._ssl_context is not None:
            client = self._ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        connection = _Connection(client, self.connections)
        thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
        self._served.append((connection, thread))
        thread.start()

    def _serve(self, connection: "_Connection") -> None:
        try:
            connection.handshake()
            while self._answer(connection, connection.read_request()):
                pass
        except _Gone:
            pass
        except ValueError as error:  # only from reading: `_answer` catches those of the script
            with suppress(_Gone):
                connection.write(f"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{error}\n".encode())
        finally:
            connection.close()

    def _answer(self, connection: "_Connection", request: RecordedRequest) -> bool:
        """Respond to a request; return whether the connection can be used for another."""
        try:
            stays = connection.play(self._next_answer(request), request)
            request.responded = True
            return stays
        except _Gone:
            return False
        except BaseException as error:  # noqa: BLE001 - also those of pytest, which are not subclasses of Exception
            self._errors.append(error)
            connection.close(RST)
            return False
        finally:
            request.done.set()

    def _next_answer(self, request: RecordedRequest) -> Answer:
        with self._arrived:
            self.requests.append(request)
            number = len(self.requests)
            self._arrived.notify_all()
        return self._scripts.answer(request, number)

    def _stop(self) -> None:
        if self._waker is None or self._acceptor is None:
            return
        self._waker.close()
        self._acceptor.join()  # after this, no connection is added
        for connection, _ in self._served:
            connection.shut_down()
        deadline = time.monotonic() + JOIN_TIMEOUT
        for connection, thread in self._served:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._errors.append(RuntimeError(f"a callable of connection {connection.number} does not return"))
        self._served.clear()


class _Gone(Exception):
    """The connection is over, because the client left or the server closes."""


class _Connection:
    """The server's side of a connection. Only `shut_down()` may be called by other threads."""

    def __init__(self, client: socket.socket, number: int) -> None:
        self.number = number
        self._socket = client
        self._buffer = bytearray()

    def handshake(self) -> None:
        if isinstance(self._socket, ssl.SSLSocket):
            try:
                self._socket.do_handshake()
            except OSError as error:
                raise _Gone from error

    def shut_down(self) -> None:
        """Wake the connection's thread, by ending every wait on the socket. May be called by other threads."""
        with suppress(OSError):
            # Not the SSL socket's own method, after which a blocked read would return raw TLS records.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self, how: Close = FIN) -> None:
        if how is RST and self._socket.fileno() >= 0:
            # With a linger time of zero, close() sends RST. The fields of `struct linger` are short on Windows.
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def read_request(self) -> RecordedRequest:
        """Read the next request. Raises `ValueError` if it is invalid, `_Gone` if the connection ends first."""
        head = self._read_until(b"\r\n\r\n").decode(errors="surrogateescape")
        request_line, *lines = head.split("\r\n")
        try:
            method, target, _ = request_line.split(" ")
        except ValueError:
            raise ValueError(f"expected a request line, got {request_line!r}") from None
        fields = (line.partition(":") for line in lines)
        headers = Headers((name, value.strip(" \t")) for name, _, value in fields)
        if headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return RecordedRequest(method, target, headers, self._read_body(headers), self.number)

    def play(self, answer: Answer, request: RecordedRequest) -> bool:
        """Play the steps of a response; return whether the connection can be used for another request."""
        for step in wire(answer, request):
            match step:
                case bytes():
                    self.write(step)
                case Pause(seconds):
                    self._pause(seconds)
                case Close():
                    self.close(step)
                    return False
                case _:
                    step()
        if ends_connection(answer, request):
            self._end()
            return False
        return True

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise _Gone from error

    def _end(self) -> None:
        """Close cleanly: over TLS, send a `close_notify` (RFC 9112, section 9.8)."""
        if isinstance(self._socket, ssl.SSLSocket):
            self._socket.setblocking(False)  # do not wait for the client's `close_notify`
            with suppress(OSError):
                self._socket.unwrap()
        self.close()

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if selector.select(min(left, 3600.0)):  # a selector cannot wait for math.inf
                    # Read instead of peek: the bytes are kept for the next request, and an end after them is noticed.
                    self._socket.setblocking(False)
                    with suppress(BlockingIOError, ssl.SSLWantReadError):
                        self._receive()
                    self._socket.setblocking(True)

    def _read_body(self, headers: Headers) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._read_exactly(int(headers.get("content-length", "0")))
        body = bytearray()
        while size := int(self._read_until(b"\r\n").partition(b";")[0], 16):
            body += self._read_exactly(size)
            self._read_until(b"\r\n")
        while self._read_until(b"\r\n"):
            pass  # the trailers
        return bytes(body)

    def _read_until(self, mark: bytes) -> bytes:
        """Read up to a mark, and drop the mark."""
        while (end := self._buffer.find(mark, 0, MAX_HEAD)) < 0:
            if len(self._buffer) >= MAX_HEAD:
                raise ValueError(f"expected {mark!r} within {MAX_HEAD} bytes")
            self._receive()
        return self._read_exactly(end + len(mark))[:end]

    def _read_exactly(self, size: int) -> bytes:
        if size < 0:
            raise ValueError(f"expected a length >= 0, got {size!r}")
        while len(self._buffer) < size:
            self._receive()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _receive(self) -> None:
        """Add the client's next bytes to the buffer."""
        try:
            data = self._socket.recv(MAX_HEAD)
        except (BlockingIOError, ssl.SSLWantReadError):
            raise  # only from `_pause`
        except OSError as error:
            raise _Gone from error
        if not data:
            raise _Gone
        self._buffer += data
