"""
One way to run a stream through every shell: sync, asyncio and trio, each on httpx and on httpx2, and uvloop on httpx.

A test runs in those shells that can differ in the tested behaviour:

- with the fixture `shell`, in the four `KINDS`: how a shell executes the core's decisions and uses httpx's objects
- with `@every_shell`, in all shells: waits on sockets, and errors of sockets
- with `@in_turn(...)`, each row of a table in one shell, and the first row in all shells: decisions of the core
"""

import importlib.util
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, Self, TypeAlias, TypeVar, TypeVarTuple, Unpack

import anyio
import httpx
import httpx2
import pytest

from sse_client import AsyncEventStream, AsyncSSEClient, EventStream, ServerSentEvent, SSEClient, SSEError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None  # there is no uvloop for Windows and PyPy

# The whole suite runs in several processes on a few cores, so things may take longer. A test that is named on the
# command line has the machine for itself, and strict bounds.
PATIENCE = 8.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0

OnEvent: TypeAlias = Callable[[], float | None]


def nothing() -> None:
    """Do nothing, as the default for the user's own code."""


# Loaded once for all clients: loading the system's certificates takes ten times as long as reading a stream.
TLS = ssl.create_default_context()


@dataclass
class Run:
    """The events and the error of a stream, with times."""

    events: list[Any] = field(default_factory=list)
    error: SSEError | None = None
    stream: EventStream[Any] | AsyncEventStream[Any] | None = None
    started: float = 0.0
    opened: float = 0.0
    finished: float = 0.0
    times: list[float] = field(default_factory=list)
    """When each event came."""

    @property
    def data(self) -> list[str]:
        return [event.data for event in self.events]

    @property
    def outcome(self) -> str | None:
        assert self.stream is not None
        return self.stream.outcome

    @property
    def seconds(self) -> float:
        return self.finished - self.started

    def since(self, mark: str) -> float:
        """Return the seconds from the start, the opening or the last event of the stream to its end."""
        return self.finished - {"start": self.started, "open": self.opened, "event": [0.0, *self.times][-1]}[mark]

    def read(self, stream: EventStream[Any], limit: int | None = None, on_event: OnEvent = nothing) -> Self:
        """
        Read a stream to its end, its error, or `limit` events, and leave it.

        `on_event` stands for the user's own code: it takes as many seconds as it returns.
        """
        self.stream, self.started = stream, time.monotonic()
        try:
            with stream:
                self.opened = time.monotonic()
                for event in stream:
                    self._add(event)
                    if seconds := on_event():
                        time.sleep(seconds)
                    if len(self.events) == limit:
                        break
        except SSEError as error:
            self.error = error
        self.finished = time.monotonic()
        return self

    async def aread(self, stream: AsyncEventStream[Any], limit: int | None = None, on_event: OnEvent = nothing) -> Self:
        """Read an async stream in the same way."""
        self.stream, self.started = stream, time.monotonic()
        try:
            async with stream:
                self.opened = time.monotonic()
                async for event in stream:
                    self._add(event)
                    if seconds := on_event():
                        await anyio.sleep(seconds)
                    if len(self.events) == limit:
                        break
        except SSEError as error:
            self.error = error
        self.finished = time.monotonic()
        return self

    def _add(self, event: Any) -> None:
        self.times.append(time.monotonic())
        self.events.append(event)


@dataclass(frozen=True)
class Reader:
    """An entered stream, sync or async, with the interface of an async one: `async for`, or `anext()`."""

    stream: EventStream | AsyncEventStream

    def __aiter__(self) -> "Reader":
        return self

    async def __anext__(self) -> ServerSentEvent:
        if isinstance(self.stream, AsyncEventStream):
            return await self.stream.__anext__()
        try:
            return next(self.stream)
        except StopIteration:
            raise StopAsyncIteration from None


@asynccontextmanager
async def entered(stream: EventStream | AsyncEventStream) -> AsyncIterator[Reader]:
    """Enter a stream, sync or async."""
    if isinstance(stream, EventStream):
        with stream:
            yield Reader(stream)
    else:
        async with stream:
            yield Reader(stream)


@dataclass(frozen=True)
class Shell:
    """A kind of client with one of the two libraries."""

    kind: Literal["sync", "asyncio", "trio"]
    library: ModuleType
    has_uvloop: bool = field(default=False, kw_only=True)
    """Whether asyncio runs on uvloop."""

    def __str__(self) -> str:
        return f"{'uvloop' if self.has_uvloop else self.kind}-{self.library.__name__}"

    def read(
        self,
        url: str,
        *,
        method: str = "POST",
        limit: int | None = None,
        on_event: OnEvent = nothing,
        wrap: Callable[[Any], Any] = lambda stream: stream,
        client: dict[str, Any] | None = None,
        http: dict[str, Any] | None = None,
        **options: Any,
    ) -> Run:
        """
        Read a stream, as `Run.read` does.

        `client` has arguments for the SSE client, `http` for the HTTP client that it uses. `method` may be "SUBSCRIBE".
        `wrap` is called with the stream before it is entered, and returns the stream to enter.
        """

        def made(sse: Any) -> Any:
            return wrap(sse.subscribe(url, **options) if method == "SUBSCRIBE" else sse.stream(method, url, **options))

        async def aread() -> Run:
            async with self.aclient(client or {}, http or {}) as sse:
                return await Run().aread(made(sse), limit, on_event)

        if self.kind != "sync":
            return self.run(aread)
        with self.client(client or {}, http or {}) as sse:
            return Run().read(made(sse), limit, on_event)

    def run(self, main: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
        """Run a test that is async for all shells. The sync client blocks the event loop, which does no harm here."""
        backend = "asyncio" if self.kind == "sync" else self.kind
        options = {"use_uvloop": True} if self.has_uvloop else {}
        return anyio.run(main, *args, backend=backend, backend_options=options)

    @asynccontextmanager
    async def any_client(
        self, client: dict[str, Any] | None = None, http: dict[str, Any] | None = None
    ) -> AsyncIterator[SSEClient | AsyncSSEClient]:
        """Make a client whose streams go to `entered()`."""
        if self.kind == "sync":
            with self.client(client or {}, http or {}) as sync:
                yield sync
        else:
            async with self.aclient(client or {}, http or {}) as sse:
                yield sse

    @contextmanager
    def client(self, client: dict[str, Any], http: dict[str, Any]) -> Iterator[SSEClient]:
        with self.library.Client(**{"verify": TLS, **http}) as below, SSEClient(http_client=below, **client) as sse:
            yield sse

    @asynccontextmanager
    async def aclient(self, client: dict[str, Any], http: dict[str, Any]) -> AsyncIterator[AsyncSSEClient]:
        async with (
            self.library.AsyncClient(**{"verify": TLS, **http}) as below,
            AsyncSSEClient(http_client=below, **client) as sse,
        ):
            yield sse


SHELLS = [Shell(kind, library) for kind in ("sync", "asyncio", "trio") for library in (httpx, httpx2)]
if HAS_UVLOOP:
    SHELLS.append(Shell("asyncio", httpx, has_uvloop=True))

KINDS = [Shell("sync", httpx), Shell("asyncio", httpx2), Shell("sync", httpx2), Shell("trio", httpx)]
"""Sync and async, each with both libraries, and both backends: together they run all code of the shells."""

every_shell = pytest.mark.parametrize("shell", SHELLS, ids=str)


def in_turn(
    names: str | Sequence[str], table: Iterable[Any], *, ids: Iterable[str] | Callable[[Any], str] | None = None
) -> pytest.MarkDecorator:
    """
    Distribute the rows of a table over the kinds of shells, in turn; the first row runs in every shell.

    Use it like `parametrize`, in a test that also takes `shell`.
    """
    arguments = names.split(",") if isinstance(names, str) else list(names)
    rows = []
    for number, row in enumerate(table):
        values, label = (row if len(arguments) > 1 else [row]), str(number)
        if isinstance(row, type(pytest.param())):
            values, label = row.values, str(row.id or label)
        elif isinstance(row, str | int):
            label = str(row)
        rows.append((values, label))
    labels = [label for _, label in rows]
    if ids is not None:
        labels = ["-".join(map(ids, values)) for values, _ in rows] if callable(ids) else list(ids)
    dealt = [(shell, 0) for shell in SHELLS]
    dealt += [(KINDS[number % len(KINDS)], number) for number in range(1, len(rows))]
    params = [pytest.param(shell, *rows[number][0], id=f"{shell}-{labels[number]}") for shell, number in dealt]
    return pytest.mark.parametrize(("shell", *arguments), params)
