"""
A scripted HTTP/1.1 server on a real loopback socket: each request is answered by the steps of an `Answer`.

One thread accepts and each connection has its own; no lock is held while one of them waits. Every wait of a
connection (a read, a write that the client does not take, a `Pause`) is a wait on its socket, so that `close()` ends
all of them in the same way: it shuts the sockets down. `_Gone` is the one exception for a connection that is over;
whatever else a thread raises is a fault of the script, and comes out of `close()`.
"""

import json
import os
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from http.client import responses as reasons
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from sse_client._event import ServerSentEvent
from sse_client.testing._encode import encode

MAX_HEAD = 65_536  # bytes: as much as http.server takes in a single line
JOIN_TIMEOUT = 5.0  # seconds: only a callable that blocks can use it up


class Close(Enum):
    """How a script ends the connection."""

    FIN = "FIN"
    RST = "RST"


FIN: Final = Close.FIN
"""A step that closes the connection at once: no final chunk and, over TLS, no `close_notify`."""

RST: Final = Close.RST
"""A step that resets the connection; what the client has not received by then may be lost."""


@dataclass(frozen=True)
class Pause:
    """
    A step that waits, in seconds; `math.inf` waits until somebody leaves.

    It is cut short where the server closes, and where the client closes its sending half of the connection.
    """

    seconds: float


Step: TypeAlias = bytes | str | ServerSentEvent | Pause | Close | Callable[[], object]
Framing: TypeAlias = Literal["chunked", "length", "close", "raw"]


@dataclass(frozen=True, init=False)
class Answer:
    """
    The answer to one request: a status, headers, and steps that are played one after the other.

    `bytes` go out in one write, and as one chunk if the framing is `"chunked"`; `str` is sent as UTF-8, an event as
    `encode()` writes it alone; an empty step writes nothing. `FIN` and `RST` end the connection, and can
    only be the last step. A callable is called on the connection's thread; while it blocks, nothing is noticed.

    `framing` says how the client knows where the body ends: `"chunked"`; `"length"`, by the sum of the bytes;
    `"close"`, by the end of the connection. With `"raw"` the steps are all that is written, the head included, and
    the connection ends behind them. HEAD, 204 and 304 get no body: then the other steps are played, and bytes skipped.

    `headers` are added to Content-Type, Cache-Control and those of the framing, or replace them, whatever their case;
    the value `None` removes one.

    Raises `ValueError` for a step behind `FIN` or `RST`, an event that `encode()` refuses, and a raw answer with
    a status or headers.
    """

    steps: tuple[bytes | Pause | Close | Callable[[], object], ...]
    """The steps, with text and events as the bytes that they are sent as."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """All headers that are sent, but for the `Connection: close` that answers the request's own."""

    framing: Framing

    def __init__(
        self,
        *steps: Step,
        status: int = 200,
        headers: Mapping[str, str | None] | None = None,
        framing: Framing = "chunked",
    ) -> None:
        if framing == "raw" and (status != 200 or headers):
            raise ValueError(f"a raw answer writes its own head, got status={status!r}, headers={headers!r}")
        if any(isinstance(step, Close) for step in steps[:-1]):
            raise ValueError(f"expected FIN or RST as the last step only, got {steps!r}")
        played = tuple(_to_bytes(step) if isinstance(step, str | ServerSentEvent) else step for step in steps)
        defaults = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        if framing == "close":
            defaults["Connection"] = "close"
        elif status in (204, 304):
            pass  # no body, so nothing that says where it ends
        elif framing == "chunked":
            defaults["Transfer-Encoding"] = "chunked"
        elif framing == "length":
            defaults["Content-Length"] = str(sum(len(step) for step in played if isinstance(step, bytes)))
        merged = {name.lower(): (name, value) for name, value in (defaults | dict(headers or {})).items()}
        object.__setattr__(self, "steps", played)
        object.__setattr__(self, "status", status)
        object.__setattr__(
            self, "headers", tuple((name, value) for name, value in merged.values() if value is not None)
        )
        object.__setattr__(self, "framing", framing)


def _to_bytes(step: str | ServerSentEvent) -> bytes:
    return step.encode() if isinstance(step, str) else encode(step)


class Headers(Mapping[str, str]):
    """Headers by name, whatever its case; those of one name joined by `", "`."""

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in headers:
            before = self._values.get(name.lower())
            self._values[name.lower()] = value if before is None else f"{before}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"

    def says_close(self) -> bool:
        return "close" in (option.strip().lower() for option in self.get("connection", "").split(","))


@dataclass(eq=False)
class RecordedRequest:
    """A request as it came over the wire."""

    method: str
    target: str
    """Path and query, as sent."""

    headers: Headers
    """By name, whatever its case. Values are read as UTF-8; other bytes become lone surrogates (`surrogateescape`)."""

    body: bytes
    connection: int
    """The number of the connection that it came over, from 1 on."""

    received_at: float = field(default_factory=time.monotonic)
    """When it was complete, by `time.monotonic()`."""

    done: threading.Event = field(default_factory=threading.Event, repr=False)
    """Set when the answer has ended in any way."""

    answered: bool = False
    """
    Whether the answer was written to its end, known once `done` is set.

    It is not where the client was found gone, in a write or a `Pause`; the first write to a client that has just left
    succeeds, as the network has it.
    """

    def json(self) -> Any:
        """Parse the body as JSON; raise `ValueError` where it is not JSON."""
        return json.loads(self.body)


class EventServer:
    """
    A server on a free port of 127.0.0.1 that answers from a script; used with `with`, or `start()` and `close()`.

    A single answer is given to every request. Of several, each is given to one request, in the order of arrival, and
    a request more gets a 500. A function in place of an answer is called with the request, on the connection's thread.

    Raises from `close()`, or at the end of the `with` block unless that ends in an exception, what a function of the
    script raised first: its connection was reset.
    """

    def __init__(
        self, *answers: Answer | Callable[[RecordedRequest], Answer], ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[RecordedRequest] = []
        """All requests so far, each complete with its body, in the order of arrival."""
        self.connections = 0
        """How many connections were accepted so far."""
        self.port = 0
        """The port, from `start()` on; nobody listens on it any more after `close()`."""
        self._answers = answers
        self._ssl_context = ssl_context
        self._arrived = threading.Condition()
        self._errors: list[BaseException] = []
        self._waker: socket.socket | None = None  # closing it ends the acceptor
        self._acceptor: threading.Thread | None = None
        # Never thinned out: a finished thread costs less than the requests that are kept for the user anyway.
        self._served: list[tuple[_Connection, threading.Thread]] = []

    @property
    def url(self) -> str:
        """The server's origin: `http://127.0.0.1:` and the port, or `https://` with an SSL context."""
        return f"{'http' if self._ssl_context is None else 'https'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen. A server is started once; `RuntimeError` otherwise."""
        if self._acceptor is not None:
            raise RuntimeError("expected the first start of this server, got another")
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._waker, wake = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, args=(listener, wake), daemon=True)
        self._acceptor.start()
        return self

    def close(self) -> None:
        """Close all connections, end all threads, and raise what the script raised. Safe to call again."""
        self._stop()
        if self._errors:
            first = self._errors[0]
            self._errors.clear()
            raise first

    def wait_for_requests(self, n: int, timeout: float = 5.0) -> list[RecordedRequest]:
        """
        Wait until `n` requests have come, and return all that have.

        Raises `TimeoutError` if they have not within `timeout` seconds.
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
        client.setblocking(True)  # some systems hand on the listener's mode
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
        except ValueError as error:  # from reading alone: `_answer` keeps those of the script
            with suppress(_Gone):
                connection.write(f"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{error}\n".encode())
        finally:
            connection.close()

    def _answer(self, connection: "_Connection", request: RecordedRequest) -> bool:
        """Answer a request; return whether the connection is good for another."""
        try:
            stays = connection.play(self._next_answer(request), request)
            request.answered = True
            return stays
        except _Gone:
            return False
        except BaseException as error:  # noqa: BLE001 - also pytest's own, which are no Exception
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
        if len(self._answers) == 1:
            answer = self._answers[0]
        elif number <= len(self._answers):
            answer = self._answers[number - 1]
        else:
            text = f"the script has no answer for request {number}\n"
            answer = Answer(text, status=500, headers={"Content-Type": "text/plain"}, framing="length")
        return answer if isinstance(answer, Answer) else answer(request)

    def _stop(self) -> None:
        if self._waker is None or self._acceptor is None:
            return
        self._waker.close()
        self._acceptor.join()  # from here on there is no new connection
        for connection, _ in self._served:
            connection.shut_down()
        deadline = time.monotonic() + JOIN_TIMEOUT
        for connection, thread in self._served:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._errors.append(RuntimeError(f"a callable of connection {connection.number} does not return"))
        self._served.clear()


class _Gone(Exception):
    """The connection is over: the client left, or the server closes."""


class _Connection:
    """The server's side of a connection. All but `shut_down()` belongs to the connection's thread."""

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
        """Wake the connection's thread: every wait on the socket ends. The one method for other threads."""
        with suppress(OSError):
            # Not the SSL socket's own method, which would let a blocked read return raw TLS records.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self, how: Close = FIN) -> None:
        if how is RST and self._socket.fileno() >= 0:
            # With a linger time of zero, close() sends RST. The fields of `struct linger` are short on Windows.
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def read_request(self) -> RecordedRequest:
        """Read the next request; raise `ValueError` if it is none, `_Gone` if none comes or it breaks off."""
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
        """Play an answer's steps; return whether the connection is good for another request."""
        raw, chunked = answer.framing == "raw", answer.framing == "chunked"
        has_body = raw or not (request.method == "HEAD" or answer.status in (204, 304))
        says_close = Headers(answer.headers).says_close()
        ends = raw or answer.framing == "close" or says_close or request.headers.says_close()
        if not raw:
            lines = [f"HTTP/1.1 {answer.status} {reasons.get(answer.status, '')}"]
            lines += [f"{name}: {value}" for name, value in answer.headers]
            if request.headers.says_close() and not says_close:
                lines.append("Connection: close")
            self.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode(errors="surrogateescape"))
        for step in answer.steps:
            match step:
                case bytes():
                    if step and has_body:
                        self.write(b"%x\r\n%b\r\n" % (len(step), step) if chunked else step)
                case Pause(seconds):
                    self._pause(seconds)
                case Close():
                    self.close(step)
                    return False
                case _:
                    step()
        if chunked and has_body:
            self.write(b"0\r\n\r\n")
        if ends:
            self._end()
        return not ends

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise _Gone from error

    def _end(self) -> None:
        """Close in good order: over TLS, tell the client that this is the end (RFC 9112, section 9.8)."""
        if isinstance(self._socket, ssl.SSLSocket):
            self._socket.setblocking(False)  # the client's own close_notify is not waited for
            with suppress(OSError):
                self._socket.unwrap()
        self.close()

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if selector.select(min(left, 3600.0)):  # a selector cannot wait for math.inf
                    # Read, not peeked at: what came is kept for the next request, and an end behind it is seen too.
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
        """Read up to a mark, which is dropped."""
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
        """Add to the buffer what the client sent next."""
        try:
            data = self._socket.recv(MAX_HEAD)
        except (BlockingIOError, ssl.SSLWantReadError):
            raise  # only from `_pause`
        except OSError as error:
            raise _Gone from error
        if not data:
            raise _Gone
        self._buffer += data
