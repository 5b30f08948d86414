"""
Thousands of slow streams at once in one process: memory for each, CPU per event, and how long it takes to open them.

    python benchmarks/many_streams.py [--streams N ...] [--events N] [--json FILE]

Method. A server in a process of its own sends the headers of each response, and waits for a signal. Then it sends
`RATE` events per second over all streams, one stream after the other, so that each is slow and the client is never
busy. At a second signal it ends them all. The client, a fresh process for each row, opens all streams in one event
loop, `OPENING` at a time, and measures itself between these steps:

    open    seconds until each stream has its headers
    memory  growth of the resident set by then, per stream, without the memory of the kernel; Linux only
    CPU     of the process, per event, from before the first event to the last; the garbage collector runs as usual
    end     seconds until each stream is closed

A few streams are read to their end before, so that one-time costs are not counted. Each stream must count all of its
events: one that loses any, or is cut, stops the benchmark.

The pool of an httpx client looks through its requests and connections whenever one of them is added or removed, so
that the time to open and to end grows with the square of the number of streams. Opening fewer at a time does not help;
several clients do, and have a row of their own. `max_keepalive_connections` must not be raised: each idle connection
is checked by a system call each time, and a thousand streams take twenty seconds to end. The transport over aiohttp
has none of these problems, but it takes `max_connections=None` for aiohttp's own limit, 100: give it a number.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import httpx
from loopback import EVENT_SIZE, HEAD, HOST, LAST_CHUNK, OPENAI, can_import, chunk, machine, path_of, running, versions

from sse_client import AsyncSSEClient, Timeouts

RATE = 5000  # events per second: half a second of CPU, if one takes 100 µs
OPENING = 100
WARM_UP = 10  # streams
LIMIT = 120.0  # seconds for one row: the slowest takes half of it
SPARE = 100  # files that a process has open besides its streams
PACKAGES = ("httpx", "httpx-sse", "httpx-aiohttp", "aiohttp")


def raise_limit() -> int:
    """Let this process open as many files as it may; return how many there are."""
    try:
        resource = import_module("resource")
    except ImportError:  # Windows: sockets are not files
        return 1 << 20
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def resident() -> int | None:
    """Return the resident memory of this process, in bytes."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * import_module("resource").getpagesize() if statm.exists() else None


def serve(port: Connection) -> None:
    raise_limit()
    asyncio.run(serve_streams(port))


async def serve_streams(port: Connection) -> None:
    streams: dict[asyncio.StreamWriter, None] = {}  # a set that keeps its order

    async def send(events: int) -> None:
        loop = asyncio.get_running_loop()
        started, sent = loop.time(), 0
        for _ in range(events):
            for stream in streams:
                # Timers have a resolution of a millisecond, so send a few at a time.
                if (ahead := started + sent / RATE - loop.time()) > 0.002:
                    await asyncio.sleep(ahead)
                stream.write(chunk(OPENAI.event))
                sent += 1

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                command, *arguments = path_of(await reader.readuntil(b"\r\n\r\n"))
                if command == "open":
                    streams[writer] = None
                    writer.write(HEAD)
                    continue
                if command == "send":
                    await send(int(arguments[0]))
                elif command == "end":
                    for stream in streams:
                        stream.write(chunk(OPENAI.last) + LAST_CHUNK)
                    streams.clear()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            streams.pop(writer, None)
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0, backlog=4096)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


# Opens a stream: a context with its events, or with its pieces for the bare client.
Open: TypeAlias = Callable[[httpx.AsyncClient, str], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def open_bare(client: httpx.AsyncClient, url: str) -> AsyncIterator[Any]:
    async with client.stream("POST", url) as response:
        yield response.aiter_raw()


@asynccontextmanager
async def open_httpx_sse(client: httpx.AsyncClient, url: str) -> AsyncIterator[Any]:
    async with import_module("httpx_sse").aconnect_sse(client, "POST", url) as source:
        yield source.aiter_sse()


def open_ours(client: httpx.AsyncClient, url: str) -> AbstractAsyncContextManager[Any]:
    return AsyncSSEClient(http_client=client, timeout=Timeouts(connect=None)).post(url)


class Row(NamedTuple):
    name: str
    client: str
    open: Open
    clients: int = 1
    modules: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} on {self.client}"

    def make_client(self, streams: int) -> Any:
        # Without a timeout: that of the pool would fail streams that wait to be opened.
        limits = httpx.Limits(max_connections=streams, max_keepalive_connections=20)
        make = import_module("httpx_aiohttp").HttpxAiohttpClient if "aiohttp" in self.client else httpx.AsyncClient
        return make(limits=limits, timeout=None)


ROWS = (
    Row("bytes alone", "httpx", open_bare),
    Row("httpx-sse", "httpx", open_httpx_sse, modules=("httpx_sse",)),
    Row("sse-client", "httpx", open_ours),
    Row("sse-client", "50 httpx clients", open_ours, clients=50),
    Row("httpx-sse", "httpx over aiohttp", open_httpx_sse, modules=("httpx_sse", "httpx_aiohttp")),
    Row("sse-client", "httpx over aiohttp", open_ours, modules=("httpx_aiohttp",)),
)


class Figures(NamedTuple):
    """The measurements of one process."""

    open: float
    memory: float | None
    cpu: float
    end: float


class Streams:
    """The streams of one process: opened, read and counted."""

    def __init__(self, row: Row, clients: list[httpx.AsyncClient], url: str, number: int, events: int) -> None:
        self.opened, self.received = asyncio.Event(), asyncio.Event()
        self._row = row
        self._url = url
        self._events = events
        self._gate = asyncio.Semaphore(OPENING)
        self._to_open = self._to_receive = number
        self.tasks = [asyncio.create_task(self._read(clients[each % len(clients)])) for each in range(number)]
        for task in self.tasks:
            task.add_done_callback(self._done)

    async def wait_for(self, event: asyncio.Event) -> None:
        await event.wait()
        for task in self.tasks:
            if task.done():
                task.result()

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self.opened.set()  # so that the waiting task sees it
            self.received.set()

    async def _read(self, client: httpx.AsyncClient) -> None:
        count = 0
        is_bare = self._row.open is open_bare
        async with AsyncExitStack() as stack:
            async with self._gate:
                stream = await stack.enter_async_context(self._row.open(client, f"{self._url}/open"))
            self._to_open -= 1
            if not self._to_open:
                self.opened.set()
            async for event in stream:
                # For httpx-sse, [DONE] is an event too.
                count += len(event) if is_bare else event.data != "[DONE]"
                if count == self._events * (EVENT_SIZE if is_bare else 1):
                    self._to_receive -= 1
                    if not self._to_receive:
                        self.received.set()
        expected = self._events * EVENT_SIZE + len(OPENAI.last) if is_bare else self._events
        if count != expected:
            raise RuntimeError(f"{self._row}: expected {expected} in a stream, got {count}")


async def measure(row: Row, url: str, number: int, events: int) -> Figures:
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(httpx.AsyncClient(timeout=None))
        clients = [await stack.enter_async_context(row.make_client(number + WARM_UP)) for _ in range(row.clients)]
        warm = Streams(row, clients[:1], url, WARM_UP, events)
        await warm.wait_for(warm.opened)
        await control.post(f"{url}/send/{events}")
        await control.post(f"{url}/end")
        await asyncio.gather(*warm.tasks)

        gc.collect()
        before, started = resident(), time.perf_counter()
        streams = Streams(row, clients, url, number, events)
        await streams.wait_for(streams.opened)
        opened, after = time.perf_counter() - started, resident()

        cpu = time.process_time()
        await control.post(f"{url}/send/{events}")
        await streams.wait_for(streams.received)
        cpu = time.process_time() - cpu

        started = time.perf_counter()
        await control.post(f"{url}/end")
        await asyncio.gather(*streams.tasks)
        ended = time.perf_counter() - started
    memory = None if before is None or after is None else (after - before) / number / 1024
    return Figures(opened, memory, cpu / number / events * 1e6, ended)


def run(pipe: Connection, at: int, url: str, number: int, events: int) -> None:
    raise_limit()
    pipe.send(asyncio.run(measure(ROWS[at], url, number, events)))


def measured(at: int, url: str, number: int, events: int) -> Figures:
    """Measure a row in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run, args=(theirs, at, url, number, events), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(LIMIT):
            raise TimeoutError(f"{ROWS[at]}: not done in {LIMIT:g} s")
        figures: Figures = ours.recv()
        return figures
    finally:
        process.kill()
        process.join()


def main() -> None:
    arguments = argparse.ArgumentParser(description="Thousands of slow streams at once in one process.")
    arguments.add_argument("--streams", type=int, nargs="*", default=[1000, 5000], help="(default: 1000 5000)")
    arguments.add_argument("--events", type=int, default=10, help="in each stream (default: 10)")
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()

    about = {"machine": machine(), "versions": versions(PACKAGES)}
    print(*(f"{key}: {value}" for part in about.values() for key, value in part.items()), sep="\n")
    limit = raise_limit()
    rows = []
    for number in options.streams:
        if number + SPARE > limit:
            print(f"\n{number:,} streams: left out, a process may open {limit:,} files only (ulimit -n)")
            continue
        print(f"\n{number:,} streams{'open':>36}{'memory':>13}{'CPU':>14}{'end':>12}")
        for at, row in enumerate(ROWS):
            if missing := [module for module in row.modules if not can_import(module)]:
                print(f"  {row!s:32} left out, {', '.join(missing)} is not installed")
                continue
            with running(serve) as url:
                figures = measured(at, url, number, options.events)
            memory = "?" if figures.memory is None else f"{figures.memory:.1f}"
            print(
                f"  {row!s:36}{figures.open:8.2f} s{memory:>9} KiB{figures.cpu:11.1f} µs{figures.end:10.2f} s",
                flush=True,
            )
            rows.append({"name": row.name, "client": row.client, "streams": number, **figures._asdict()})
    if options.json:
        options.json.write_text(json.dumps({**about, "events": options.events, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
