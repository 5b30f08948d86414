"""
Ending a blocked read: a `Channel` gives other threads access to one stream's connection, to wake its reader.

The `Watchdog` shuts down channels at their deadlines, on one thread for the whole process. A forked process has neither
the thread nor the queue of its parent, and releases the parent's channels: only the parent shuts those down.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Any

logger = logging.getLogger("sse_client")

# The number of forks between the first process and this one: a channel of an earlier generation is the parent's.
generation = 0


class Channel:
    """
    The socket of one response, for another thread to shut down: that wakes a blocked read at once, sync and async.

    Only over HTTP/1.1, because there the connection carries nothing but this response, and only until `release`: after
    that the connection goes back to its pool, for other requests. If the transport does not give access to the socket,
    the channel has none, and a read ends with the next byte or by the transport's own timeout.
    """

    deadline: float
    """When the watchdog shuts down the channel (`time.monotonic()`); infinite between reads."""
    queued_for: float
    """Set by the watchdog: when it looks at this channel next."""
    is_expired: bool
    """Whether the watchdog has shut down the channel."""
    was_sent: bool | None
    """Whether any byte of the request was sent; `None` if the transport does not report it."""

    def __init__(self) -> None:
        self.deadline = inf
        self.queued_for = inf
        self.is_expired = False
        self.was_sent = None
        self._generation = generation
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_own = False  # whether the socket is a duplicate that this channel must close
        self._is_shared = False
        self._is_shut = False
        self._waker: Callable[[], None] | None = None

    @property
    def is_armed(self) -> bool:
        return (self._socket is not None or self._waker is not None) and not self.is_inherited

    @property
    def is_watched(self) -> bool:
        """Whether the transport needs no timeout for our deadlines: over HTTP/2, a timeout would end all streams."""
        return self.is_armed or self._is_shared

    @property
    def is_inherited(self) -> bool:
        """Whether the connection belongs to the parent process. It must not be written to or shut down here."""
        return self._generation != generation

    def responded(self, response: Any) -> None:
        """Use the connection of the response, whose body is read next."""
        self.deadline = inf
        self._is_shared = response.http_version == "HTTP/2"
        # A response that a hook has read is already closed, and its connection is back in the pool.
        is_alone = response.http_version in ("HTTP/1.0", "HTTP/1.1") and not response.is_closed
        if is_alone:
            self.arm(response.extensions.get("network_stream"))
        else:
            self.release()

    def arm(self, network_stream: Any, *, is_moving: bool = False) -> None:
        """
        Use the socket of a connection that carries only this request, until `release`.

        `is_moving` means that another layer is about to replace the socket object, as a TLS handshake does.
        """
        found, is_own = _socket_of(network_stream, is_moving=is_moving)
        with self._lock:
            self._let_go()
            self._socket, self._is_own = found, is_own
            if self._is_shut:
                self._shut()

    def adopt_waker(self, waker: Callable[[], None]) -> None:
        """Wake the reader with this function, because its connection is shared and must not be shut down."""
        with self._lock:
            self._waker = waker
            is_shut = self._is_shut
        if is_shut:
            waker()

    def watch(self, deadline: float) -> None:
        """Let the watchdog shut down the socket at the deadline, unless the deadline is moved in time."""
        self.deadline = deadline
        if deadline < self.queued_for and self.is_armed:
            watchdog.queue(self, deadline)

    def shut_down(self) -> None:
        """Wake the reader. For any thread."""
        if self.is_inherited:
            return
        with self._lock:
            self._is_shut = True
            self._shut()
            waker = self._waker
        if waker is not None:
            waker()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # Not the SSL socket's own method, after which a read would return raw TLS records.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def release(self) -> None:
        """Release the socket, before its connection goes back to the pool."""
        self.deadline = inf
        if self.is_inherited:
            self._lock = threading.Lock()  # a thread of the parent may hold the old one for ever
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._socket is not None and self._is_own:
            self._socket.close()
        self._socket = None


def _socket_of(network_stream: Any, *, is_moving: bool) -> tuple[socket.socket | None, bool]:
    """
    Return a socket that any thread can shut down at any time, and whether the caller must close it.

    asyncio and trio wrap a socket object. uvloop has only file descriptors, and after it closes one, its number may be
    reused for another connection. So the socket is duplicated there, and also if it is about to be replaced.
    """
    shown: Any = None if network_stream is None else network_stream.get_extra_info("socket")
    if not is_moving:
        for each in (shown, getattr(shown, "_sock", None)):
            if isinstance(each, socket.socket):
                return each, False
    try:
        return socket.fromfd(shown.fileno(), shown.family, shown.type), True
    except (AttributeError, OSError, TypeError, ValueError):
        return None, False  # the socket is missing or closed


class Watchdog:
    """
    One thread for the process, started when first needed, that shuts down channels at their deadlines.

    A read takes no lock. A reader sets its channel's `deadline` and then reads `queued_for`; this thread sets
    `queued_for` to infinity and then reads `deadline`. So if a deadline is set while the channel leaves the queue, at
    least one of the two notices. A channel whose deadline is moved to a later time stays in the queue for the earlier
    one; at that time it is queued again.
    """

    _condition: threading.Condition
    _queue: list[tuple[float, int, Channel]]
    _limit: int  # the length of the queue at which it is cleaned up
    _thread: threading.Thread | None

    def __init__(self) -> None:
        self._ticket = count()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Reset the state in a forked process: the parent's threads, which may hold locks, do not exist in it."""
        self._condition = threading.Condition()
        self._queue = []
        self._limit = 0
        self._thread = None

    def queue(self, channel: Channel, deadline: float) -> None:
        """Look at the channel at this time."""
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
        """Remove channels without a deadline, so that an old deadline far in the future does not keep them alive."""
        kept: list[tuple[float, int, Channel]] = []
        for queued_for, ticket, channel in self._queue:
            if channel.queued_for == queued_for:
                channel.queued_for = inf  # before the deadline is read, as in `_run`
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
                    self._condition.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
                queued_for, _, channel = heappop(self._queue)
            if channel.queued_for != queued_for:
                continue  # it was queued again for an earlier time
            # Before the deadline is read: a reader does it the other way round.
            channel.queued_for = inf
            deadline = channel.deadline
            if deadline <= time.monotonic():
                channel.is_expired = True
                try:
                    channel.shut_down()
                except Exception:
                    # This thread must survive, because all other streams of the process depend on it.
                    logger.exception("could not shut down a connection after its deadline")
            elif deadline < inf:
                self.queue(channel, deadline)


watchdog = Watchdog()


def _forked() -> None:
    """Leave the parent's channels to the parent, in a forked process."""
    global generation
    generation += 1
    watchdog.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_forked)
