"""
One real request, observed: when the head came and each piece of the body, still compressed, and how it ended.

The HTTP client is used directly: the streams of this package decompress, retry and judge, and refuse what is not an
event stream, which is the very thing to look at here. Only the rule for redirects is the same.

The first request of a process takes about 0.2 s longer than the others. So one is made on a loopback server before,
never on the user's.
"""

import socket
import threading
import time
from argparse import Namespace
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import httpx

from sse_client import EventParser, __version__
from sse_client.testing import Answer, EventServer

from ..._notes import Notes, public_url, without_secrets
from ..._request import Call, http_client
from ..._usage import UsageError
from .._decoding import MAX_BYTES, codings, decoder_of
from .._exchange import CTRL_C, End, Exchange, Hop, Piece
from .._finding import Finding
from .._redirects import hide_location, hop_of, redirect_of, show_location
from .connection import failure_of, interrupted, no_head

# A body without an end is left after this time, unless --timeout says otherwise. It is long for a user who waits, and
# just long enough to see a keep-alive of nearly every server.
SECONDS = 60.0
# A socket takes its timeout as milliseconds in a C int.
MAX_SECONDS = 2_147_483.0
# The user of a quick response needs no note about a slow one.
SECONDS_UNTIL_NOTE = 3.0
FREE = frozenset({"GET", "HEAD", "OPTIONS"})


def observe(call: Call, options: Namespace, notes: Notes, *, how: str = "") -> Exchange:
    """
    Announce a request, send it, and read its response for as long as the options say.

    `how` says in the announcement in what a further request is different from the first.

    Raises `UsageError` for a request that cannot be sent. Ctrl-C ends the reading; it is not raised.
    """
    check_url(call.url)
    with http_client(options, _ignore, hide_location) as http:
        try:
            request = _request(http, call)
            if options.origin is not None:
                request.headers["Origin"] = options.origin.rstrip("/")  # many servers allow an origin only if asked
        except (ValueError, TypeError, httpx.InvalidURL):
            raise UsageError("HTTP cannot carry this request: check the URL, -H and --last-event-id") from None
        parts = urlsplit(public_url(str(request.url)))
        number, cost = "one more" if how else "one", "" if call.method in FREE else ", which may cost money"
        place = f"{parts.scheme}://{parts.netloc}{parts.path}"
        notes.say(f"{number} {call.method} to {place}{f' {how}' if how else ''}{cost}")
        observation = Observation(options, notes, call.given)
        return observation.make(http, request, call.arguments.get("auth", httpx.USE_CLIENT_DEFAULT))


def warm_up(options: Namespace) -> None:
    """Make a request on a loopback server, so that the process has everything loaded for the next one."""
    if options.http2:
        with suppress(ImportError):
            import_module("h2.connection")
    plain = Namespace(timeout=5.0, wait=None, count=None)
    with EventServer(Answer("data: 1\n\n")) as server, httpx.Client(trust_env=False) as http:
        request = _request(http, Call("GET", server.url, {}))
        with suppress(httpx.HTTPError):
            Observation(plain, None).make(http, request, httpx.USE_CLIENT_DEFAULT)


def check_url(url: str) -> None:
    """Raise `UsageError` for anything but a URL of HTTP. The text has no part of it."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UsageError("expected a URL, like :8000/path or https://host/path, or a file")


def _ignore(_: Any) -> None:
    pass


def _request(http: httpx.Client, call: Call) -> httpx.Request:
    """Build the request, as a browser would send it unless the user says otherwise."""
    given = {name: call.arguments[name] for name in ("json", "content", "data", "files") if name in call.arguments}
    ours = {
        "Accept": "text/event-stream",
        "Accept-Encoding": ", ".join(codings()),
        "Cache-Control": "no-cache",
        "User-Agent": f"sse-client/{__version__} python-httpx/{httpx.__version__}",
    }
    if (last_event_id := call.arguments.get("last_event_id")) is not None:
        ours["Last-Event-ID"] = last_event_id
    headers = httpx.Headers([(name.encode(), value.encode()) for name, value in ours.items()])
    headers.update(httpx.Headers(call.arguments.get("headers")))
    request = http.build_request(call.method, call.url, headers=headers, **given)
    request.read()  # a form with files; it may be sent again, after a redirect
    return request


class Observation:
    """Sends one request, and keeps what comes back."""

    def __init__(self, options: Namespace, notes: Notes | None, given: frozenset[str] = frozenset()) -> None:
        self._notes = notes
        self._given = given
        self._least: float = options.wait or 0.0
        self._most: float = min(max(options.timeout or SECONDS, self._least), MAX_SECONDS)
        self._count: int | None = options.count
        self._began_at = 0.0
        self._connected_at: float | None = None
        self._stream: Any = None  # of the connection that is read at the moment
        self._is_sending = False
        """Whether the connection was made, with TLS and through proxies."""
        self._is_sent = False
        self._is_late = False
        self._hops: list[Hop] = []
        self._pieces: list[Piece] = []

    def make(self, http: httpx.Client, request: httpx.Request, auth: Any) -> Exchange:
        """Send the request, follow redirects, read the response."""
        self._began_at = time.monotonic()
        response: httpx.Response | None = None
        head_at = 0.0
        end, error, left = End.CLEAN, "", ""
        failure: Finding | None = None
        try:
            with self._deadline():
                response = self._send(http, request, auth)
                head_at = self._now()
                left = self._read(response)
                end = End.LEFT if left else End.CLEAN
        except KeyboardInterrupt:
            end, left = End.LEFT, CTRL_C
            failure = interrupted(self._now(), is_connected=self._is_sending)
        except Exception as caught:  # noqa: BLE001 - httpx lets the errors of h2 through
            if isinstance(caught, httpx.LocalProtocolError) and not self._is_sent:
                raise UsageError("the request cannot be sent: HTTP does not allow this URL or header") from None
            end, error = End.CUT, type(caught).__name__
            failure = failure_of(caught, is_connected=self._is_sending, waited=self._now())
            if self._is_late:
                end, error, left = End.LEFT, "", f"{self._most:g} s"
                failure = no_head(self._now(), is_connected=self._is_sending)
        finally:
            ended_at = self._now()
            if response is not None:
                with suppress(Exception):
                    response.close()
        last = request if response is None else response.request
        return Exchange(
            method=last.method,
            url=public_url(str(last.url)),
            status=0 if response is None else response.status_code,
            headers=httpx.Headers() if response is None else response.headers,
            head_at=head_at,
            pieces=tuple(self._pieces),
            ended_at=ended_at,
            end=end,
            error=error,
            http_version="" if response is None else response.http_version,
            accepted=last.headers.get("accept-encoding", ""),
            hops=tuple(self._hops),
            connected_at=self._connected_at,
            left=left,
            sent=_sent(last.headers, self._given),
            failure=None if response is not None else failure,
            is_connected=self._is_sending,
        )

    def _now(self) -> float:
        return time.monotonic() - self._began_at

    def _send(self, http: httpx.Client, request: httpx.Request, auth: Any) -> httpx.Response:
        """Send the request, and follow its redirects as the library does."""
        while True:
            request.extensions = {
                **request.extensions,
                "trace": self._trace,
                # For the connection alone; the deadline ends everything else.
                "timeout": {"connect": max(self._most - self._now(), 0.001)},
            }
            response = http.send(request, stream=True, follow_redirects=False, auth=auth)
            show_location(response)
            location = response.headers.get("location")
            if location is None or not response.has_redirect_location:
                return response
            target = redirect_of(request, response.status_code, location, len(self._hops))
            self._hops.append(hop_of(request, response.status_code, location, target))
            if target is None:
                return response
            response.close()
            headers = request.headers.copy()
            headers.pop("host", None)
            request = http.build_request(request.method, target, headers=headers, content=request.content)

    def _read(self, response: httpx.Response) -> str:
        """Keep the pieces of the body; return why we stopped reading, empty at its end."""
        size = 0
        events = Events(response.headers.get("content-encoding", "")) if self._count is not None else None
        for data in response.iter_raw():
            now = self._now()
            self._pieces.append(Piece(now, data))
            size += len(data)
            if size >= MAX_BYTES:
                return f"{MAX_BYTES // 1024 // 1024} MiB"
            if self._is_late:
                break
            if events is not None and events.feed(data) >= (self._count or 0) and now >= self._least:
                return f"--count {self._count}"
        return f"{self._most:g} s" if self._is_late else ""

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Learn from the HTTP client when the connection is made, and which one it is."""
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._connected_at = self._now()
            self._stream = info["return_value"]
            if self._is_late:
                self._shut_down()
        elif name.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
            self._is_sending = True
        elif name.endswith(".send_request_headers.complete"):
            self._is_sent = True

    @contextmanager
    def _deadline(self) -> Generator[None, None, None]:
        """Shut the connection down when time is up: no timeout of the HTTP client limits the whole of it."""
        timers = [threading.Timer(self._most, self._give_up), threading.Timer(SECONDS_UNTIL_NOTE, self._say)]
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()

    def _say(self) -> None:
        if self._notes is not None:
            self._notes.say(f"reading for at most {self._most:g} s; Ctrl-C stops and reports")

    def _give_up(self) -> None:
        self._is_late = True
        self._shut_down()

    def _shut_down(self) -> None:
        connection = self._stream and self._stream.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):
                # Not the method of an SSL socket, which would turn what comes next into nonsense.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Events:
    """Counts the events of a body that may be compressed."""

    def __init__(self, coding: str) -> None:
        self._parser: EventParser | None = EventParser()
        self._count = 0
        try:
            self._decode = decoder_of(coding.strip().lower())
        except ValueError:
            self._parser = None

    def feed(self, data: bytes) -> int:
        """Read a piece; return how many events there were so far."""
        if self._parser is not None:
            try:
                self._count += len(self._parser.feed(self._decode(data, MAX_BYTES)))
            except Exception:  # noqa: BLE001 - each coding has errors of its own; the checks will name this one
                self._parser = None
        return self._count


def _sent(headers: httpx.Headers, given: frozenset[str]) -> httpx.Headers:
    """Return the headers of a request without secrets."""
    pairs = without_secrets(headers.multi_items(), given)
    return httpx.Headers([(name.encode(), value.encode(errors="surrogateescape")) for name, value in pairs])
