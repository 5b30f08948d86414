"""
The connection of a sync stream: it executes the steps of the session, except `Read`.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from types import ModuleType
from typing import Any

from .._core.observing import Telemetry
from .._core.plan import Plan
from .._core.steps import Connect, Drain, Read, ReadBody, Step, Stop, Wait
from .._dialect import Dialect
from .._request import Headers
from .._typed import S, T
from .bodies import pieces_of, turn_to_body
from .hooks import send
from .http import build_request, head_of, is_http2, resolve
from .http2 import Http2Stream
from .stream import BaseStream
from .waking import Channel


class Connection(BaseStream[T, S]):
    """A stream that executes the steps of its session: it connects, waits and closes."""

    def __init__(
        self,
        plan: Plan,
        library: ModuleType,
        dialect: Dialect[Any, Any],
        client: Any,
        headers: Any,
        response: Any = None,
        *,
        comments: bool = False,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(plan, library, dialect, client, headers, response, comments=comments, telemetry=telemetry)
        self._pieces: Iterator[bytes] = iter(())
        self._closing = threading.Event()
        self._wait_until_closed = self._closing.wait
        self._cleaning = threading.Lock()

    def _do(self, step: Step) -> None:
        """Execute a step other than `Read`. Raises the error that ends the stream."""
        match step:
            case Connect():
                self._connect(step)
            case Wait(seconds):
                self._close_response()
                self._closing.wait(min(self._clock.wait(seconds), threading.TIMEOUT_MAX))
            case ReadBody(size, seconds):
                body = self._read_up_to(size, seconds)
                self._close_response()
                self._session.refused(body, self._now())
            case Drain(size, seconds):
                self._read_up_to(size, seconds)
                self._session.drained(self._now())
            case Stop(error):
                self._close_response()
                self._end_reading(error)
                if error is not None:
                    self._complete(error)
                    raise error
            case Read():
                raise AssertionError(step)

    def _connect(self, step: Connect) -> None:
        self._close_response()
        self._channel = channel = Channel()
        http2 = Http2Stream()
        if self._closing.is_set():
            return
        response, self._given = self._given, None
        if response is None:
            headers = resolve(self._client_headers), resolve(step.request.headers)
            try:
                response = self._send(step, headers, channel, http2)
            except self._errors as error:
                self._not_answered(error)
                return
            finally:
                channel.deadline = inf
        else:
            channel.responded(response)
            if is_http2(response):
                http2.follow(response.request, channel)
        self._response = response
        self._pieces = self._recorded(response, http2.in_turn(pieces_of(response)))
        self._session.responded(head_of(response, lambda: channel.is_armed), self._now())

    def _send(self, step: Connect, headers: tuple[Headers | None, ...], channel: Channel, http2: Http2Stream) -> Any:
        request = build_request(self._client, self._library, step, headers)
        request.extensions["trace"] = self._attempt(request, step).trace
        http2.follow(request, channel)
        with self._sending(request, step):
            response = send(self._client, request, step, self._hooks)
        channel.responded(response)
        turn_to_body(request, response, self._session.read_timeout(self._now(), is_watched=channel.is_watched))
        return response

    def _read_up_to(self, size: int, seconds: float) -> bytes:
        """Read the body to its end or to either limit. Errors no longer matter."""
        body = bytearray()
        self._clock.watch(self._channel, self._now() + seconds)
        try:
            for piece in self._pieces:
                body += piece
                if len(body) >= size:
                    break
            else:
                self._channel.release()
        except self._errors:
            pass
        self._channel.deadline = inf
        return bytes(body[:size])

    def _close_response(self) -> None:
        if self._channel.is_inherited:
            self._cleaning = threading.Lock()  # a thread of the parent may hold the old one for ever
        with self._cleaning:
            response, self._response = self._response, None
        self._channel.release()
        self._pieces = iter(())
        if response is not None:
            with suppress(*self._errors):
                response.close()
