"""
HTTP/2 below httpx: a stream that is left is reset, and its reader is woken, without harm to the other streams.

httpcore forgets a stream that is left. It sends no RST_STREAM, so the server goes on; and it drops the data that comes
for it without handing back the flow-control window, until no stream of the connection gets any. So httpcore's public
`trace` extension is followed from the request to the closing of its response, however that comes about: there the
stream is reset, before httpcore forgets it. From then on h2 itself hands back what still comes for it.

In sync, the threads that read from one connection take turns (`turns.py`).

All knowledge of the inside of httpcore (1.0, and httpcore2 2.x) is in this module, and is looked up when it is needed.
Without one of these names nothing happens: a stream is read and left as httpcore does it.
"""

import selectors
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import FrameType, SimpleNamespace
from typing import Any

import anyio

from .turns import Queue, Turns
from .waking import Channel

# RFC 9113, section 7: "the stream is no longer needed".
CANCEL = 0x8

# How long a reset may take to be written, in seconds. It waits only if the server does not read.
MAX_WRITE = 1.0

# The same in sync. It may delay the thread that watches the clocks of all streams: they may be 0.3 s late.
MAX_BLOCKED = 0.25

# The shortest limit that a server may set for a frame (RFC 9113, section 4.2). A full one, of a request's body, may
# have to wait for the server; what is shorter goes out at once.
FRAME_SIZE = 16_384

# The reports of httpcore's trace about a stream.
BEGINS = "http2.send_request_headers.started"
AWAITS_HEADERS = "http2.receive_response_headers.started"
HAS_HEADERS = ("http2.receive_response_headers.complete", "http2.receive_response_headers.failed")
READS_BODY = "http2.receive_response_body.started"
CLOSES = "http2.response_closed.started"
HAS_CLOSED = ("http2.response_closed.complete", "http2.response_closed.failed")


class _Stream:
    """One stream of an HTTP/2 connection, as httpcore has it."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._id = 0
        self._events: list[Any] = []
        """httpcore's own list of the events that the reader has not taken yet."""
        self._is_left = False
        self._has_to_write = False

    def _find(self, name: str, info: Mapping[str, Any]) -> bool:
        """Take the connection that is calling its trace; return whether it is a new one."""
        if name == BEGINS or (name == READS_BODY and self._connection is None):
            with suppress(Exception):
                connection = _calling_connection()
                self._id = info["stream_id"]
                self._events = connection._events[self._id]
                self._connection = connection
                self._is_left = False
                return True
        return False

    def _reset(self) -> bool:
        """Have h2 reset the stream, unless it has ended; return whether there is something to write."""
        stream = self._connection._h2_state.streams.get(self._id)
        # One that is not open was ended by the server, or never begun.
        if stream is None or not stream.open:
            return False
        self._connection._h2_state.reset_stream(self._id, CANCEL)
        return True

    def _leave(self) -> None:
        """Reset the stream, and return the flow-control window of its unread data."""
        self._is_left = True
        self._has_to_write = self._reset()
        # In this order: after the reset, all that is left to hand back is the connection's window.
        unread = sum(getattr(event, "flow_controlled_length", 0) for event in self._events)
        if unread:
            self._connection._h2_state.acknowledge_received_data(unread, self._id)
            self._has_to_write = True
        self._events = []


class Http2Stream(_Stream):
    """The stream of a request of the sync client, if that goes over HTTP/2."""

    def __init__(self) -> None:
        super().__init__()
        self._timeout: Mapping[str, float | None] = {}
        self._queue: Queue | None = None
        self._is_sent = False
        """Whether all of the request is: another thread's reset must not come before its headers."""

    def follow(self, request: Any, channel: Channel) -> None:
        """Follow the request from here on, besides the trace that it may have; wake its reader for the channel."""
        first = request.extensions.get("trace")
        self._timeout = request.extensions.get("timeout", {})

        def trace(name: str, info: Mapping[str, Any]) -> None:
            if first is not None:
                first(name, info)
            if self._find(name, info):
                self._begin(name)
                channel.adopt_waker(self.wake)
            else:
                self._trace(name)

        request.extensions["trace"] = trace

    def in_turn(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Have the body read in turn with the other streams of the connection."""
        return pieces if self._queue is None else _InTurn(self, self._queue, pieces)

    def take_turn(self) -> None:
        """Wait until an event has come, or no other thread is reading. Raises `TimeoutError`."""
        if self._queue is not None:
            self._queue.turns.take(self._queue, self._timeout.get("read"))

    def give_turn(self) -> None:
        if self._queue is not None:
            self._queue.turns.give(self._queue)

    def wake(self) -> None:
        """
        Reset the stream, and end the read of another thread that waits for it.

        A reader that waits for its turn is notified. One that is reading checks its queue when the connection receives
        something, so this sends a PING, and the response wakes it. If the server does not respond, the read ends by the
        transport's own timeout.
        """
        if self._connection is None or self._is_left:
            return
        with suppress(Exception):
            # Before all others: unread data stays in the queue, so that its window is returned.
            self._events.insert(0, _reset_event(self._id))
            if self._is_sent:
                with _Locked(self._connection):
                    self._reset()
                    self._connection._h2_state.ping(b"sse-wake")
                self._write()

    def _begin(self, name: str) -> None:
        self._is_sent = name != BEGINS
        if name == BEGINS and type(self._events) is list:
            # Be told of events. The request has not gone out yet, so that none can be missed.
            connection: Any = self._connection
            turns = connection.__dict__.setdefault("_sse_client_turns", Turns())
            self._events = self._connection._events[self._id] = self._queue = Queue(turns)

    def _trace(self, name: str) -> None:
        if name == AWAITS_HEADERS:
            self._is_sent = True
            self.take_turn()
        elif name in HAS_HEADERS:
            self.give_turn()
        elif name == CLOSES and self._connection is not None:
            self.give_turn()
            with suppress(Exception), _Locked(self._connection):
                self._leave()
        elif name in HAS_CLOSED and self._has_to_write:
            self._write()

    def _write(self) -> None:
        with suppress(Exception):
            with _Locked(self._connection) as is_free:
                # Else the thread that is writing takes it along with its next frame.
                is_free = is_free and _is_writable(self._connection._network_stream.get_extra_info("socket"))
            if is_free:
                self._connection._write_outgoing_data(_request(self._timeout))


class _InTurn(Iterator[bytes]):
    """The body of a stream, read in turn with the others."""

    def __init__(self, stream: Http2Stream, queue: Queue, pieces: Iterator[bytes]) -> None:
        self._stream = stream
        self._queue = queue
        self._next = pieces.__next__

    def __next__(self) -> bytes:
        if self._queue:
            return self._next()
        try:
            self._stream.take_turn()
            return self._next()
        finally:
            self._stream.give_turn()


class AsyncHttp2Stream(_Stream):
    """The stream of a request of the async client, if that goes over HTTP/2."""

    def follow(self, request: Any) -> None:
        """Follow the request from here on, besides the trace that it may have."""
        first = request.extensions.get("trace")

        async def trace(name: str, info: Mapping[str, Any]) -> None:
            if first is not None:
                await first(name, info)
            await self._trace(name, info)

        request.extensions["trace"] = trace

    @property
    def has_events(self) -> bool:
        """Whether a read need not wait."""
        return bool(self._events)

    def retire(self) -> None:
        """
        Give the connection no other request: it may be dead, and no byte has come to prove the contrary.

        The streams that it has go on; it is closed after the last of them.
        """
        if self._connection is not None:
            self._connection._used_all_stream_ids = True

    async def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if name == BEGINS:
            # From here on a timeout of the transport would end all streams; the shell has a scope of its own.
            info["request"].extensions.get("timeout", {})["read"] = None
        if self._find(name, info):
            _shield_writes(self._connection)
        elif name == CLOSES and self._connection is not None:
            # Nothing is awaited: a cancellation here would keep httpcore from releasing its place for a stream.
            with suppress(Exception):
                self._leave()
        elif name in HAS_CLOSED and self._has_to_write:
            connection: Any = self._connection
            with anyio.move_on_after(MAX_WRITE, shield=True), suppress(Exception):
                await connection._write_outgoing_data(_request({"write": MAX_WRITE}))


def http2_errors() -> tuple[type[Exception], ...]:
    """
    Return the exceptions that h2 itself raises, if it is installed.

    httpcore lets it out if it comes to a connection just after another request has failed in opening it.
    """
    return () if "h2" not in sys.modules else (import_module("h2.exceptions").H2Error,)


def _calling_connection() -> Any:
    """Find the connection that has called its trace, in the frames above: it does not pass itself."""
    # Not from this frame: a frame that is asked for its locals keeps them, and would keep itself with all above.
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if type(caller).__module__.partition(".")[0] in ("httpcore", "httpcore2"):
            for found in (caller, getattr(caller, "_connection", None)):  # itself, or the body of a response
                if hasattr(found, "_h2_state"):
                    return found
        frame = frame.f_back
    raise LookupError("no connection has called this trace")


def _request(timeout: Mapping[str, float | None]) -> Any:
    """All that a write wants of a request."""
    return SimpleNamespace(extensions={"timeout": timeout})


def _reset_event(stream_id: int) -> Any:
    """h2's event of a stream that was reset, without its constructor, whose arguments have changed."""
    kind = sys.modules["h2.events"].StreamReset
    event = kind.__new__(kind)
    event.stream_id = stream_id
    event.error_code = CANCEL
    event.remote_reset = False
    return event


class _Locked:
    """
    Hold httpcore's lock for writing, except if another thread is stuck in a write.

    h2 is not made for threads: while bytes are taken from it to be written, no frames must be added.
    """

    def __init__(self, connection: Any) -> None:
        self._lock = connection._write_lock._lock
        self._is_held = False

    def __enter__(self) -> bool:
        self._is_held = self._lock.acquire(timeout=MAX_BLOCKED)
        return self._is_held

    def __exit__(self, *_: object) -> None:
        if self._is_held:
            self._lock.release()


def _is_writable(sock: Any) -> bool:
    """Wait until a write would not block. A timeout of the socket's own would be one for its readers, too."""
    if sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        return bool(selector.select(MAX_BLOCKED))


def _shield_writes(connection: Any) -> None:
    """
    Let no cancellation lose what a connection is writing: these are frames of all its streams.

    A server that has not got one cannot decompress the headers that follow, and over TLS cannot read anything more.
    """
    with suppress(Exception):
        stream = connection._network_stream
        if "write" in vars(stream):
            return
        write = stream.write

        async def shielded(buffer: bytes, timeout: float | None = None) -> None:
            if buffer:  # after a read there is nothing, as a rule
                with anyio.CancelScope(shield=len(buffer) < FRAME_SIZE):
                    await write(buffer, timeout)

        stream.write = shielded
