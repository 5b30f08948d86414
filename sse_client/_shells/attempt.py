"""
One request from the pool to its headers: its clocks, and whether it is sent at all.

The reports of httpcore's `trace` extension advance the clocks of a `Countdown`. One report comes right before the first
byte is written, which is the last moment to hold back a request. A transport without `trace` has only its own timeouts,
and the request is checked once, before it begins.
"""

import inspect
from collections.abc import Callable
from typing import Any

from .._core.countdown import Countdown
from .._core.session import Session
from .._core.steps import Connect
from .http import DeadlineReached, transport_timeout
from .waking import Channel

# The steps of making a connection; each reports the socket that is used from then on.
MADE = (
    *("connect_tcp.complete", "connect_unix_socket.complete"),
    *("setup_socks5_connection.complete", "start_tls.complete"),
)
FAILED = ("setup_socks5_connection.failed", "start_tls.failed")

# From `_caller` up to the connection that calls the trace there are six or seven frames.
MAX_FRAMES = 12


class Attempt:
    """A request about to be sent. Making one raises `DeadlineReached` if it must not be, and so does following it."""

    def __init__(
        self, request: Any, step: Connect, session: Session, channel: Channel, now: Callable[[], float]
    ) -> None:
        self._session = session
        self._channel = channel
        self._now = now
        self._countdown = Countdown(step.connect, step.response, session.total_deadline)
        self._timeouts = request.extensions["timeout"]
        self._made: Any = None  # the connection that was made for this request, as a stream of bytes
        self._is_tunnel = False  # what is sent is the CONNECT to a proxy
        self._begin()
        self._check()

    def _begin(self) -> None:
        """Begin with the wait for a connection: at first, and again if the client's `auth` sends another request."""
        now = self._now()
        self._countdown.wait_for_connection(now)
        self._limit(now)

    def _limit(self, now: float) -> None:
        """Tell the transport what is left. It reads the one dict of a request at the beginning of each phase."""
        timeouts, countdown = self._timeouts, self._countdown
        timeouts["pool"] = timeouts["connect"] = transport_timeout(countdown.left_to_connect(now))
        timeouts["read"] = timeouts["write"] = transport_timeout(countdown.left_to_respond(now))

    def _check(self) -> None:
        if not self._session.may_send(self._now()):
            self._channel.was_sent = self._channel.was_sent or False
            raise DeadlineReached("the request was held back")

    @property
    def deadline(self) -> float:
        """When the phase that the request is in must be over, by the stream's time."""
        return self._countdown.deadline

    @property
    def left(self) -> float:
        """How many seconds the phase has left."""
        return self._countdown.left(self._now())

    def note(self, name: str, info: dict[str, Any]) -> Any:
        """
        Follow httpcore's `trace` extension, whose names begin with a part of httpcore's own.

        Returns what is to be closed, if anything, because the connection has failed while it was being made: httpcore
        does that at an error and not at a cancellation, and not with a tunnel, which would keep its place in the pool.
        """
        event = name.partition(".")[2]
        self._channel.was_sent = self._channel.was_sent or False
        if event == "send_request_headers.started":
            self._check()
            self._is_tunnel = getattr(info.get("request"), "method", None) == b"CONNECT"
            if self._is_tunnel:
                self._countdown.connect()
            else:
                self._channel.was_sent = True
                now = self._now()
                self._countdown.send(now)
                self._limit(now)
        elif event == "receive_response_headers.complete":
            if not self._is_tunnel:
                self._begin()
        elif event in MADE:
            self._made = info.get("return_value")
        elif event in FAILED:
            return _caller() if self._is_tunnel else self._made
        elif event.endswith(".started"):
            if "timeout" in info:  # of `connect_tcp` and the like: their arguments, which are used right after
                self._countdown.connect()
                info["timeout"] = transport_timeout(self._countdown.left_to_connect(self._now()))
            if event in ("connect_tcp.started", "connect_unix_socket.started", "retry.started"):
                self._check()
        return None

    def trace(self, name: str, info: dict[str, Any]) -> None:
        """The same in a thread, which has to be woken: by its socket, as soon and as long as that is its own."""
        left_open = self.note(name, info)
        layer, _, event = name.partition(".")
        channel = self._channel
        if event in MADE:
            channel.release()
        elif event in ("start_tls.started", "setup_socks5_connection.started"):
            channel.arm(self._made, is_moving=True)
            channel.watch(self.deadline)
        elif event == "send_request_headers.started" and layer == "http11":
            channel.arm(getattr(_caller(), "_network_stream", self._made))
            channel.watch(self.deadline)
        elif event in ("send_request_headers.started", "response_closed.started", *FAILED):
            channel.release()  # over HTTP/2 it is not its own; else it is closed, or given back, right after this
        if left_open is not None:
            left_open.close()


def _caller() -> Any:
    """
    Return the connection that calls the trace, or `None` if it is not found.

    Before the response, no public attribute leads to a connection that was used before. But one of its methods is among
    the frames above us, so it is certainly the right one. Its stream has a private name, `_network_stream`: without it,
    a request on such a connection cannot be woken before its headers.
    """
    frame = inspect.currentframe()
    for _ in range(MAX_FRAMES):
        # Only httpcore's own: a frame that is asked for its locals keeps them, and this one would keep itself.
        if frame is not None and frame.f_globals.get("__name__", "").startswith("httpcore"):
            caller = frame.f_locals.get("self")
            if hasattr(caller, "can_handle_request"):  # as httpcore's interface of a connection has it
                return caller
        frame = None if frame is None else frame.f_back
    return None
