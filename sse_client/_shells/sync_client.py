"""
The sync client: its arguments, and the signatures of its calls.
"""

from typing import Any, Literal, Self, Unpack, cast, overload

import httpx
from typing_extensions import TypeForm, TypeVar

from .._core.observing import Telemetry
from .._dialect import Dialect
from .._event import Comment, ServerSentEvent
from .._request import HeadersSource
from .._retry import RetryPolicy
from .._timeouts import Timeouts
from .._types import Auth, HTTPClient
from .help import with_options
from .http import check_url, library_of
from .options import (
    DEFAULT_RETRY,
    DEFAULT_TIMEOUTS,
    LIMITS,
    BaseClient,
    SyncOptions,
    dialect_of,
    refuse_settings,
)
from .sync import EventStream

E = TypeVar("E")
S = TypeVar("S")


class SSEClient(BaseClient):
    """
    A client that reads event streams, over httpx or httpx2.

    With `http_client` it uses your `httpx.Client` or `httpx2.Client` with all of its settings, and leaves it open.
    Otherwise it makes its own `httpx.Client`, and closes it.

    Your response hooks may raise. An `HTTPStatusError` (`raise_for_status`) is handled like the response that it
    contains, with retries and errors; any other exception propagates unchanged.

    `headers` are sent with every call; a function is called before each attempt. `retry` and `timeout` are the defaults
    of the calls. `idempotency_key_header` names a header that is sent with one key for all attempts of a call that is
    not idempotent, so that the call is safe to repeat if the server supports the header. `telemetry` records spans and
    metrics of the streams: a `sse_client.otel.Telemetry`, by default that of `sse_client.otel.instrument()`, if any.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        headers: HeadersSource | None = None,
        auth: Auth | None = None,
        http_client: HTTPClient | None = None,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        timeout: Timeouts | float | None = DEFAULT_TIMEOUTS,
        idempotency_key_header: str | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(
            headers=headers,
            retry=retry,
            timeout=timeout,
            idempotency_key_header=idempotency_key_header,
            telemetry=telemetry,
        )
        self._owns_client = http_client is None
        if http_client is None:
            if base_url:
                check_url(httpx, base_url)
            limits = httpx.Limits(**LIMITS)
            self._http_client: Any = httpx.Client(base_url=base_url or "", auth=cast("Any", auth), limits=limits)
            self._library = library_of(self._http_client, "Client")
        else:
            self._http_client = http_client
            self._library = library_of(http_client, "Client")
            refuse_settings(self._library, base_url=base_url, auth=auth)

    @overload
    def stream(
        self, method: str, url: str, *, comments: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> EventStream[ServerSentEvent]: ...
    @overload
    def stream(
        self,
        method: str,
        url: str,
        *,
        comments: Literal[True],
        dialect: Dialect[ServerSentEvent, Any] | None = None,
        **options: Unpack[SyncOptions],
    ) -> EventStream[ServerSentEvent | Comment]: ...
    @overload
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> EventStream[E | ServerSentEvent]: ...
    @overload
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> EventStream[E]: ...
    @overload
    def stream(
        self, method: str, url: str, *, dialect: Dialect[E, S], **options: Unpack[SyncOptions]
    ) -> EventStream[E, S]: ...
    @with_options
    def stream(
        self,
        method: str,
        url: str,
        *,
        events: Any = None,
        dialect: Any = None,
        unknown: Any = None,
        comments: bool = False,
        **options: Unpack[SyncOptions],
    ) -> Any:
        """
        Request an event stream. Enter the returned stream to connect, then iterate over it.

        Until the stream is entered, opened or iterated, nothing is sent.

        Entering raises `ConnectionFailed`, `StatusError` or `ContentTypeError` if no stream can be read. Iteration
        raises a `StreamError` if the stream ends badly, and `DecodeError` if an event does not match its type; you can
        keep iterating after a `DecodeError`.
        """
        return self._make(method, url, options, events, dialect, unknown, comments)

    @overload
    def post(
        self, url: str, *, comments: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> EventStream[ServerSentEvent]: ...
    @overload
    def post(
        self,
        url: str,
        *,
        comments: Literal[True],
        dialect: Dialect[ServerSentEvent, Any] | None = None,
        **options: Unpack[SyncOptions],
    ) -> EventStream[ServerSentEvent | Comment]: ...
    @overload
    def post(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> EventStream[E | ServerSentEvent]: ...
    @overload
    def post(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> EventStream[E]: ...
    @overload
    def post(self, url: str, *, dialect: Dialect[E, S], **options: Unpack[SyncOptions]) -> EventStream[E, S]: ...
    @with_options
    def post(
        self,
        url: str,
        *,
        events: Any = None,
        dialect: Any = None,
        unknown: Any = None,
        comments: bool = False,
        **options: Unpack[SyncOptions],
    ) -> Any:
        """Request an event stream by POST, like `stream`."""
        return self._make("POST", url, options, events, dialect, unknown, comments)

    @overload
    def get(
        self, url: str, *, comments: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> EventStream[ServerSentEvent]: ...
    @overload
    def get(
        self,
        url: str,
        *,
        comments: Literal[True],
        dialect: Dialect[ServerSentEvent, Any] | None = None,
        **options: Unpack[SyncOptions],
    ) -> EventStream[ServerSentEvent | Comment]: ...
    @overload
    def get(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> EventStream[E | ServerSentEvent]: ...
    @overload
    def get(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> EventStream[E]: ...
    @overload
    def get(self, url: str, *, dialect: Dialect[E, S], **options: Unpack[SyncOptions]) -> EventStream[E, S]: ...
    @with_options
    def get(
        self,
        url: str,
        *,
        events: Any = None,
        dialect: Any = None,
        unknown: Any = None,
        comments: bool = False,
        **options: Unpack[SyncOptions],
    ) -> Any:
        """Request an event stream by GET, like `stream`."""
        return self._make("GET", url, options, events, dialect, unknown, comments)

    @overload
    def subscribe(
        self, url: str, *, comments: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> EventStream[ServerSentEvent]: ...
    @overload
    def subscribe(
        self,
        url: str,
        *,
        comments: Literal[True],
        dialect: Dialect[ServerSentEvent, Any] | None = None,
        **options: Unpack[SyncOptions],
    ) -> EventStream[ServerSentEvent | Comment]: ...
    @overload
    def subscribe(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["keep"],
        **options: Unpack[SyncOptions],
    ) -> EventStream[E | ServerSentEvent]: ...
    @overload
    def subscribe(
        self,
        url: str,
        *,
        events: TypeForm[E],
        dialect: Dialect[Any] | None = None,
        unknown: Literal["skip", "raise"] = "skip",
        **options: Unpack[SyncOptions],
    ) -> EventStream[E]: ...
    @overload
    def subscribe(self, url: str, *, dialect: Dialect[E, S], **options: Unpack[SyncOptions]) -> EventStream[E, S]: ...
    @with_options
    def subscribe(
        self,
        url: str,
        *,
        events: Any = None,
        dialect: Any = None,
        unknown: Any = None,
        comments: bool = False,
        **options: Unpack[SyncOptions],
    ) -> Any:
        """
        Follow a feed that never ends, like a browser's `EventSource` (WHATWG HTML, section 9.2.3).

        Reconnects whenever the connection ends, cleanly or not, without limit, after the server's `retry` or 3 s, and
        resumes after the last event. Stops on a 204, or on a response that retrying cannot fix.
        """
        return self._make("GET", url, options, events, dialect, unknown, comments, is_subscription=True)

    def _make(
        self,
        method: str,
        url: str,
        options: SyncOptions,
        events: Any,
        dialect: Any,
        unknown: Any,
        comments: bool,
        *,
        is_subscription: bool = False,
    ) -> EventStream[Any]:
        given = dialect_of(events, dialect, unknown)
        plan = self._plan(method, url, options, given, is_subscription=is_subscription)
        http, headers, telemetry = self._http_client, self._headers, self._telemetry
        return self._keep(
            EventStream(plan, self._library, given, http, headers, comments=comments, telemetry=telemetry)
        )

    def close(self) -> None:
        """
        Close all open streams, like their own `close()`; then close the HTTP client, unless it is yours.

        After that, entering a stream and any other call raise `RuntimeError`.
        """
        try:
            for stream in self._close_calls():
                stream.close()
        finally:
            if self._owns_client:
                self._http_client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
