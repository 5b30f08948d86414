"""
One way to run a stream through every shell: sync, asyncio and trio, each on httpx and on httpx2, and uvloop on httpx.

A test runs in as many of them as can differ in what it shows:

- with the fixture `shell`, in the four `KINDS`: what a shell makes of the core's decisions and of the library's objects
- with `@every_shell`, in all of them: what waits on a socket, or is told by how a socket fails
- with `@in_turn(...)`, the rows of a table in one shell each, and the first in all of them: what the core decides
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

HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None  # it is not made for Windows or PyPy

# The whole suite runs in several processes on a few cores: what must come soon may come later there. A test that is
# named on the command line has the machine for itself, and strict bounds.
PATIENCE = 8.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0

OnEvent: TypeAlias = Callable[[], float | None]


def nothing() -> None:
    """The user's own code, where there is none."""


# Loading the system's certificates takes ten times as long as reading a stream: once for all clients.
TLS = ssl.create_default_context()


@dataclass
class Run:
    """What came of a stream, and when."""

    events: list[Any] = field(default_factory=list)
    error: SSEError | None = None
    stream: EventStream[Any] | AsyncEventStream[Any] | None = None
    started: float = 0.0
    opened: float = 0.0
    finished: float = 0.0
    times: list[float] = field(default_factory=list)
    """When each of the events came."""

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
        """How many seconds before its end the stream was started, was open, or had its last event."""
        return self.finished - {"start": self.started, "open": self.opened, "event": [0.0, *self.times][-1]}[mark]

    def read(self, stream: EventStream[Any], limit: int | None = None, on_event: OnEvent = nothing) -> Self:
        """
        Read a stream to its end, its error, or `limit` events, and leave it.

        `on_event` is the user's own code: it takes as many seconds as it returns.
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
        """The same of an async stream."""
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
    """A stream that was entered, sync or async, to be read as an async one: `async for`, or `anext()`."""

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
    """A client of one kind, over one library."""

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

        `client` are arguments of the SSE client, `http` of the HTTP client below it. `method` may be "SUBSCRIBE".
        `wrap` gets the stream before it is entered.
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
        """Run a test that is written as async for all shells; the sync one blocks in it, which hurts nobody."""
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
"""Sync and async, each over both libraries, with both backends: no code of ours is left out by these."""

every_shell = pytest.mark.parametrize("shell", SHELLS, ids=str)


def in_turn(
    names: str | Sequence[str], table: Iterable[Any], *, ids: Iterable[str] | Callable[[Any], str] | None = None
) -> pytest.MarkDecorator:
    """
    Deal the rows of a table out to the kinds of shells, one after the other; the first row goes to every shell.

    It is used as `parametrize` is, in a test that takes `shell` too.
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
