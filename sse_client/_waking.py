"""
Ending a blocked read: `Channel` carries one stream's connection to the thread that must wake its reader.

The `Watchdog` shuts channels down at their deadlines, on one thread for the whole process.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Any


def must_be_decoded(response: Any) -> bool:
    """Whether the client has to decompress the body."""
    return response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", "")


class Channel:
    """
    The socket under one response, for another thread to shut down: that wakes a blocked read at once, sync and async.

    Only over HTTP/1.1, where the connection carries nothing but this response, and only until `release`: then it
    goes back to its pool, and belongs to somebody else. A transport that does not show its socket has none here; its
    reads end with the next byte, or by its own timeout.
    """

    deadline: float
    """When the watchdog is to shut it down (`time.monotonic()`); infinite while nobody reads."""
    queued_for: float
    """The watchdog's own: when it looks at this channel next."""
    is_expired: bool
    """Whether the watchdog has shut it down."""
    was_sent: bool | None
    """Whether a byte of the request has gone out; `None` where the transport does not tell."""

    def __init__(self, response_timeout: float | None = None) -> None:
        self.deadline = inf
        self.queued_for = inf
        self.is_expired = False
        self.was_sent = None
        self._response_timeout = response_timeout
        self._lock = threading.Lock()
        self._socket: Any = None
        self._is_shared = False
        self._is_shut = False
        self._waker: Callable[[], None] | None = None

    @property
    def is_armed(self) -> bool:
        return self._socket is not None or self._waker is not None

    @property
    def is_watched(self) -> bool:
        """Whether nothing else need keep the time: over HTTP/2, a read that is given up costs all streams."""
        return self.is_armed or self._is_shared

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Follow httpcore's `trace` extension: a new connection's socket is known before there is a response."""
        self.note(name)
        if name.endswith(("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")):
            self._adopt(info.get("return_value"))
        elif name == "http2.send_request_headers.started":
            self.release()
        elif name == "http11.send_request_headers.started" and self._response_timeout is not None:
            self.watch(time.monotonic() + self._response_timeout)

    def note(self, name: str) -> None:
        """Note how far the request has come."""
        self.was_sent = self.was_sent or name.endswith("send_request_headers.started")

    def answered(self, response: Any) -> None:
        """Take the response: from here on, this is the socket that its body comes over."""
        self.deadline = inf
        self._is_shared = response.http_version == "HTTP/2"
        if response.http_version in ("HTTP/1.0", "HTTP/1.1") and not must_be_decoded(response):
            self._adopt(response.extensions.get("network_stream"))
        else:
            self.release()

    def _adopt(self, network_stream: Any) -> None:
        found = None if network_stream is None else network_stream.get_extra_info("socket")
        with self._lock:
            # asyncio and trio show a socket of their own kind, which wraps one.
            self._socket = found if hasattr(found, "shutdown") else None
            if self._is_shut:
                self._shut()

    def adopt_waker(self, waker: Callable[[], None]) -> None:
        """Wake the reader by calling this: its connection is shared, and the socket must not be shut down."""
        with self._lock:
            self._waker = waker
            is_shut = self._is_shut
        if is_shut:
            waker()

    def watch(self, deadline: float) -> None:
        """Have the socket shut down at the deadline, unless that is moved in time."""
        self.deadline = deadline
        if deadline < self.queued_for and (self._socket is not None or self._waker is not None):
            watchdog.queue(self, deadline)

    def shut_down(self) -> None:
        """Wake the reader. Any thread."""
        with self._lock:
            self._is_shut = True
            self._shut()
            waker = self._waker
        if waker is not None:
            waker()

    def _shut(self) -> None:
        found = self._socket
        if found is not None:
            with suppress(OSError):
                if isinstance(found, socket.socket):
                    # Not its own method: over TLS that one would hand raw records to the reader.
                    socket.socket.shutdown(found, socket.SHUT_RDWR)
                else:
                    found.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Let go of the socket, before its connection goes back to the pool."""
        self.deadline = inf
        with self._lock:
            self._socket = None


class Watchdog:
    """One thread for the process, started when first needed: it shuts channels down at their deadlines."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queue: list[tuple[float, int, Channel]] = []
        self._limit = 0  # of the queue's length, beyond which it is looked through
        self._ticket = count()
        self._thread: threading.Thread | None = None

    def queue(self, channel: Channel, deadline: float) -> None:
        """Look at the channel at that time."""
        with self._condition:
            if len(self._queue) >= self._limit:
                self._forget()
            channel.queued_for = deadline
            heappush(self._queue, (deadline, next(self._ticket), channel))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="sse_client watchdog", daemon=True)
                self._thread.start()
            elif self._queue[0][2] is channel:
                self._condition.notify()

    def _forget(self) -> None:
        """Let go of those that wait for nothing any more, so that a deadline far away does not keep them."""
        kept: list[tuple[float, int, Channel]] = []
        for queued_for, ticket, channel in self._queue:
            if channel.queued_for == queued_for:
                channel.queued_for = inf  # in the order that `_run` tells
                if channel.deadline < inf:
                    channel.queued_for = queued_for
                    kept.append((queued_for, ticket, channel))
        heapify(kept)
        self._queue = kept
        self._limit = max(8, 2 * len(kept))

    def _run(self) -> None:
        while True:
            with self._condition:
                while True:
                    left = self._queue[0][0] - time.monotonic() if self._queue else None
                    if left is not None and left <= 0:
                        break
                    self._condition.wait(left)
                queued_for, _, channel = heappop(self._queue)
            if channel.queued_for != queued_for:
                continue  # it was queued again, for an earlier time
            # In this order: a reader sets the deadline first, and then looks whether the channel is queued.
            channel.queued_for = inf
            deadline = channel.deadline
            if deadline <= time.monotonic():
                channel.is_expired = True
                channel.shut_down()
            elif deadline < inf:
                self.queue(channel, deadline)


watchdog = Watchdog()
