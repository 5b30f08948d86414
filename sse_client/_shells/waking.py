"""
Ending a blocked read: `Channel` carries one stream's connection to the thread that must wake its reader.

The `Watchdog` shuts channels down at their deadlines, on one thread for the whole process. A forked process has
neither thread nor queue of its parent, and lets go of the parent's channels: their connections are shut down there.
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

# How many forks lie between the first process and this one: what was made before the last of them is the parent's.
generation = 0


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

    def __init__(self) -> None:
        self.deadline = inf
        self.queued_for = inf
        self.is_expired = False
        self.was_sent = None
        self._generation = generation
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_own = False  # the socket is a duplicate, which nobody else closes
        self._is_shared = False
        self._is_shut = False
        self._waker: Callable[[], None] | None = None

    @property
    def is_armed(self) -> bool:
        return (self._socket is not None or self._waker is not None) and not self.is_inherited

    @property
    def is_watched(self) -> bool:
        """Whether nothing else need keep the time: over HTTP/2, a read that is given up costs all streams."""
        return self.is_armed or self._is_shared

    @property
    def is_inherited(self) -> bool:
        """Whether the connection is that of the process that forked this one. It must not be written to, or shut."""
        return self._generation != generation

    def responded(self, response: Any) -> None:
        """Take the response: from here on, this is the socket that its body comes over."""
        self.deadline = inf
        self._is_shared = response.http_version == "HTTP/2"
        # One that is closed already, by a hook that has read it, has given its connection back.
        is_alone = response.http_version in ("HTTP/1.0", "HTTP/1.1") and not response.is_closed
        if is_alone:
            self.arm(response.extensions.get("network_stream"))
        else:
            self.release()

    def arm(self, network_stream: Any, *, is_moving: bool = False) -> None:
        """
        Take the socket of a connection that carries this request, and nothing else, until `release`.

        `is_moving` says that the socket is about to become one of another layer, as it does with a TLS handshake.
        """
        found, is_own = _socket_of(network_stream, is_moving=is_moving)
        with self._lock:
            self._let_go()
            self._socket, self._is_own = found, is_own
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
        if deadline < self.queued_for and self.is_armed:
            watchdog.queue(self, deadline)

    def shut_down(self) -> None:
        """Wake the reader. Any thread."""
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
                # Not its own method: over TLS that one would hand raw records to the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def release(self) -> None:
        """Let go of the socket, before its connection goes back to the pool."""
        self.deadline = inf
        if self.is_inherited:
            self._lock = threading.Lock()  # whoever holds the old one is not in this process
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._socket is not None and self._is_own:
            self._socket.close()
        self._socket = None


def _socket_of(network_stream: Any, *, is_moving: bool) -> tuple[socket.socket | None, bool]:
    """
    Return a socket that any thread can shut down at any time, and whether it is ours to close.

    asyncio and trio wrap one. uvloop knows its own by their numbers alone, and the number of one that it has closed may
    be another connection's by now: there we hold a duplicate, and so where the socket moves.
    """
    shown: Any = None if network_stream is None else network_stream.get_extra_info("socket")
    if not is_moving:
        for each in (shown, getattr(shown, "_sock", None)):
            if isinstance(each, socket.socket):
                return each, False
    try:
        return socket.fromfd(shown.fileno(), shown.family, shown.type), True
    except (AttributeError, OSError, TypeError, ValueError):
        return None, False  # there is no socket, or none any more


class Watchdog:
    """
    One thread for the process, started when first needed: it shuts channels down at their deadlines.

    A read costs no lock. A reader sets its channel's `deadline` and then looks at `queued_for`; this thread sets
    `queued_for` to infinity and then looks at `deadline`. So a deadline that is set while the channel leaves the queue
    is seen by one of the two. A deadline that is moved to a later time stays in the queue for the earlier one, where
    it is found too early, and queued again.
    """

    _condition: threading.Condition
    _queue: list[tuple[float, int, Channel]]
    _limit: int  # of the queue's length, beyond which it is looked through
    _thread: threading.Thread | None

    def __init__(self) -> None:
        self._ticket = count()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with nothing, in a process that was forked: whoever held the lock or waited is not in it."""
        self._condition = threading.Condition()
        self._queue = []
        self._limit = 0
        self._thread = None

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
                channel.queued_for = inf  # first, as in `_run`
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
                continue  # it was queued again, for an earlier time
            # First, then the look at the deadline: a reader does it the other way round.
            channel.queued_for = inf
            deadline = channel.deadline
            if deadline <= time.monotonic():
                channel.is_expired = True
                try:
                    channel.shut_down()
                except Exception:
                    # All other streams of the process have their clocks from this thread.
                    logger.exception("a connection whose time is over could not be shut down")
            elif deadline < inf:
                self.queue(channel, deadline)


watchdog = Watchdog()


def _forked() -> None:
    """Leave what was here to the parent."""
    global generation
    generation += 1
    watchdog.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_forked)
