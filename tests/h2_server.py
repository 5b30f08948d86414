"""
An HTTP/2 server on loopback that records its streams: the bytes sent on each, and how the client left it.

Without a TLS context it accepts HTTP/2 by prior knowledge (`http1=False, http2=True`). It never blocks in a write, so
it sees a reset at once, even if a client reads nothing.
"""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

# An event of 16 kilobytes, of which a flood consists.
BLOCK = b"data: " + b"x" * (16 * 1024 - 8) + b"\n\n"

# RFC 9113, sections 3.4 and 6.4.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
RST_STREAM = 3

# The most bytes that the server has ready for the socket, so that it soon acts on a reset.
BUFFER = 32 * 1024


@dataclass
class ServedStream:
    """One stream of a connection, as the server saw it."""

    path: str
    connection: int
    script: Iterator[bytes | float]
    sent: int = 0
    resets: list[int] = field(default_factory=list)
    """The error codes of the client's RST_STREAM frames."""
    sent_at_reset: int = 0
    is_over: bool = False
    """Whether the server has ended it, or the client has reset it."""
    due: float = 0.0
    pending: bytes = b""


def resets_in(received: bytearray) -> Iterator[tuple[int, int]]:
    """
    Remove the complete frames from the received bytes; yield the stream and the error code of each RST_STREAM.

    h2 does not report those for a stream that has ended.
    """
    if received.startswith(PREFACE):
        del received[: len(PREFACE)]
    while len(received) >= 9 and len(received) >= 9 + (length := int.from_bytes(received[:3], "big")):
        if received[3] == RST_STREAM:
            yield int.from_bytes(received[5:9], "big"), int.from_bytes(received[9:13], "big")
        del received[: 9 + length]


class H2Server:
    """
    Responds to each request by its path.

    `/silent`: an event and then nothing; `/dumb`: headers and then nothing; `/headless`: not even headers; `/numbered`:
    an event with the request's number as its ID, and then nothing; `/pings`: an event and then a comment every 10 ms;
    `/flood`: endless large events; `/short`: 64 kilobytes; `/long`: a megabyte; `/done`: an event, `[DONE]`, and a
    moment later the end; `/another`: three events, of which the last two wait for `may_go_on`. `limit` is the maximum
    number of its streams at a time.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *, limit: int | None = None) -> None:
        if context is not None:
            context.set_alpn_protocols(["h2"])
        self.context = context
        self.limit = limit
        self.streams: list[ServedStream] = []
        self.may_go_on = threading.Event()
        self.connections = 0
        self.pings = 0
        self.errors: list[Exception] = []
        self.mute: set[int] = set()
        """The connections that it no longer reads nor writes, as after a network is gone."""
        self._changed = threading.Condition()
        self._is_stopping = False
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._spawn(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopping = True
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def on(self, path: str) -> list[ServedStream]:
        """The streams of this path, in the order of their requests."""
        return [stream for stream in self.streams if stream.path == path]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Wait until the condition holds; return whether it does."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="h2 server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._is_stopping:
            if select.select([self._listener], [], [], 0.02)[0]:
                client, _ = self._listener.accept()
                self.connections += 1
                self._spawn(self._serve, client, self.connections)

    def _serve(self, client: socket.socket, number: int) -> None:
        try:
            with client:
                if self.context is None:
                    self._talk(client, number)
                else:
                    with self.context.wrap_socket(client, server_side=True) as tls:
                        self._talk(tls, number)
        except OSError:
            pass  # the client has gone
        except Exception as error:
            self.errors.append(error)

    def _talk(self, client: socket.socket, number: int) -> None:
        client.setblocking(False)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        if self.limit is not None:
            connection.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.limit})
        streams: dict[int, ServedStream] = {}
        received = bytearray()
        output = bytearray()
        while not self._is_stopping:
            if number in self.mute:
                time.sleep(0.01)
                continue
            for stream_id, stream in streams.items():
                while len(output) < BUFFER and self._send(connection, stream_id, stream):
                    output += connection.data_to_send()
            output += connection.data_to_send()
            with suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                while output:
                    del output[: client.send(output[:BUFFER])]
            with self._changed:
                self._changed.notify_all()
            if not (isinstance(client, ssl.SSLSocket) and client.pending()):
                select.select([client], [client] if output else [], [], 0.005)
            try:
                data = client.recv(65_536)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            if not data:
                return
            for event in connection.receive_data(data):
                self._take(connection, number, streams, event)
            received += data
            for stream_id, error_code in resets_in(received):
                self._reset(streams[stream_id], error_code)

    def _take(
        self,
        connection: h2.connection.H2Connection,
        number: int,
        streams: dict[int, ServedStream],
        event: h2.events.Event,
    ) -> None:
        match event:
            case h2.events.RequestReceived():
                path = dict(event.headers)[b":path"].decode()
                streams[event.stream_id] = stream = ServedStream(path, number, self._script(path))
                self.streams.append(stream)
                if path != "/headless":
                    head = [(":status", "200"), ("content-type", "text/event-stream")]
                    with suppress(h2.exceptions.ProtocolError):  # its reset has come with it
                        connection.send_headers(event.stream_id, head)
            case h2.events.DataReceived():
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.PingReceived():
                self.pings += 1
            case _:
                pass

    def _reset(self, stream: ServedStream, error_code: int) -> None:
        if not stream.resets:
            stream.sent_at_reset = stream.sent
        stream.resets.append(error_code)
        stream.is_over = True

    def _send(self, connection: h2.connection.H2Connection, stream_id: int, stream: ServedStream) -> bool:
        """Send a frame of the stream; return whether there may be more to send at once."""
        if stream.is_over or time.monotonic() < stream.due:
            return False
        if not stream.pending:
            step = next(stream.script, None)
            if step is None:
                stream.is_over = True
                connection.end_stream(stream_id)
                return False
            if isinstance(step, float):
                stream.due = time.monotonic() + step
                return False
            stream.pending = step
        size = min(
            len(stream.pending), connection.local_flow_control_window(stream_id), connection.max_outbound_frame_size
        )
        if size == 0:
            return False
        connection.send_data(stream_id, stream.pending[:size])
        stream.pending = stream.pending[size:]
        stream.sent += size
        return True

    def _script(self, path: str) -> Iterator[bytes | float]:
        """The bytes to send, and the pauses in between."""
        match path:
            case "/headless" | "/dumb":
                yield float("inf")
            case "/numbered":
                yield b"id: %d\ndata: 1\n\n" % len(self.streams)
                yield float("inf")
            case "/silent":
                yield b"data: 1\n\n"
                yield float("inf")
            case "/pings":
                yield b"data: 1\n\n"
                while True:
                    yield 0.01
                    yield b": ping\n\n"
            case "/another":
                yield b"data: 1\n\n"
                while not self.may_go_on.is_set():
                    yield 0.01
                yield b"data: 2\n\n"
                yield 0.01
                yield b"data: 3\n\n"
            case "/flood":
                while True:
                    yield BLOCK
            case "/short":
                yield BLOCK * 4
            case "/long":
                yield BLOCK * 64
            case "/done":
                yield b"data: 1\n\ndata: [DONE]\n\n"
                yield 0.02
            case _:
                raise AssertionError(path)
