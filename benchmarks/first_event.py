"""
From the server's write to the user's loop: how much later the first event arrives than the bare client's first piece.

    python benchmarks/first_event.py [--repetitions N] [--json FILE]

Method. A server in a process of its own sends the headers, and 5 ms later the first event, when the client is waiting
for it; or it sends both in one write, so that handling the headers delays the event. The event carries the server's
`time.monotonic_ns()` just before the write. The client, on the same machine and so on the same clock, reads the clock
as the first thing in its loop; the bare client when it has the first piece, without looking into it. A repetition is
one request for each row, on a kept connection, in an order that rotates; the garbage collector runs between the
requests. The output has the quartiles, in microseconds, and the difference of the medians.
"""

import argparse
import asyncio
import gc
import json
import socket
import time
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any, Literal, NamedTuple, TypeAlias

from loopback import (
    HEAD,
    LAST_CHUNK,
    can_import,
    chunk,
    machine,
    order_of,
    path_of,
    receive,
    running,
    serve,
    undisturbed,
    versions,
)
from parser import print_verdict

from sse_client import AsyncSSEClient, SSEClient

PACKAGES = ("httpx", "httpx2", "httpx-sse")
MODES = ("behind", "with")  # of the first event: after the headers, or in one write with them
PAUSE = 0.005  # seconds: enough for the client to wait for the event
SAID = {"behind": "after", "with": "with"}
GOAL = 50.0  # µs between the medians of this library and of the bare client
WARM_UP = 20  # repetitions

Style: TypeAlias = Literal["sync", "async"]


def answer(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, suppress(ConnectionError):
        while request := receive(connection):
            head = HEAD
            if path_of(request)[0] == "behind":
                connection.sendall(head)
                time.sleep(PAUSE)
                head = b""
            connection.sendall(head + chunk(b"data: %d\n\n" % time.monotonic_ns()))
            time.sleep(0.001)  # so that the end is a write of its own
            connection.sendall(LAST_CHUNK)


def serve_clock(port: Connection) -> None:
    serve(port, answer)


def latency(items: Iterable[Any]) -> int:
    """Read to the end; return the nanoseconds from the server's clock in the first item to its arrival."""
    arrived, first = 0, None
    for item in items:
        if not arrived:
            arrived, first = time.monotonic_ns(), item
    return arrived - clock_in(first)


async def alatency(items: AsyncIterable[Any]) -> int:
    arrived, first = 0, None
    async for item in items:
        if not arrived:
            arrived, first = time.monotonic_ns(), item
    return arrived - clock_in(first)


def clock_in(item: Any) -> int:
    return int(item.removeprefix(b"data: ") if isinstance(item, bytes) else item.data)


def bare(client: Any, url: str) -> int:
    with client.stream("POST", url) as response:
        return latency(response.iter_raw())


async def abare(client: Any, url: str) -> int:
    async with client.stream("POST", url) as response:
        return await alatency(response.aiter_raw())


def ours(client: Any, url: str) -> int:
    with SSEClient(http_client=client).post(url) as stream:
        return latency(stream)


async def aours(client: Any, url: str) -> int:
    async with AsyncSSEClient(http_client=client).post(url) as stream:
        return await alatency(stream)


def httpx_sse(client: Any, url: str) -> int:
    with import_module("httpx_sse").connect_sse(client, "POST", url) as source:
        return latency(source.iter_sse())


async def ahttpx_sse(client: Any, url: str) -> int:
    async with import_module("httpx_sse").aconnect_sse(client, "POST", url) as source:
        return await alatency(source.aiter_sse())


def httpx2_sse(client: Any, url: str) -> int:
    with client.sse(url, method="POST") as source:
        return latency(source)


async def ahttpx2_sse(client: Any, url: str) -> int:
    async with client.sse(url, method="POST") as source:
        return await alatency(source)


class Row(NamedTuple):
    name: str
    client: str
    style: Style
    read: Callable[[Any, str], Any]
    module: str = "sse_client"

    def __str__(self) -> str:
        return f"{self.name} on {self.client}, {self.style}"


BARE, OURS = "the bare client", "sse-client"
ROWS = (
    Row(BARE, "httpx", "sync", bare),
    Row(OURS, "httpx", "sync", ours),
    Row("httpx-sse", "httpx", "sync", httpx_sse, "httpx_sse"),
    Row(BARE, "httpx2", "sync", bare),
    Row(OURS, "httpx2", "sync", ours),
    Row("client.sse()", "httpx2", "sync", httpx2_sse),
    Row(BARE, "httpx", "async", abare),
    Row(OURS, "httpx", "async", aours),
    Row("httpx-sse", "httpx", "async", ahttpx_sse, "httpx_sse"),
    Row(BARE, "httpx2", "async", abare),
    Row(OURS, "httpx2", "async", aours),
    Row("client.sse()", "httpx2", "async", ahttpx2_sse),
)


async def make_clients(stack: AsyncExitStack) -> dict[tuple[str, str], Any]:
    clients = {}
    for name in ("httpx", "httpx2"):
        if can_import(name):
            library = import_module(name)
            clients[name, "sync"] = stack.enter_context(library.Client())
            clients[name, "async"] = await stack.enter_async_context(library.AsyncClient())
    return clients


Latencies: TypeAlias = dict[tuple[str, Row], list[float]]  # in microseconds, by mode and row


def measured(url: str, repetitions: int) -> Latencies:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        clients = runner.run(make_clients(stack))

        def read(row: Row, path: str) -> int:
            found = row.read(clients[row.client, row.style], path)
            nanoseconds: int = found if row.style == "sync" else runner.run(found)
            return nanoseconds

        rows = [row for row in ROWS if (row.client, row.style) in clients and can_import(row.module)]
        gc.collect()
        gc.freeze()  # the collections between the requests need not look through the modules
        latencies: Latencies = {(mode, row): [] for mode in MODES for row in rows}
        for repetition in range(-WARM_UP, repetitions):
            for mode in MODES:
                for row in order_of(repetition, rows):
                    with undisturbed():
                        nanoseconds = read(row, f"{url}/{mode}")
                    if repetition >= 0:
                        latencies[mode, row].append(nanoseconds / 1000)
        runner.run(stack.aclose())
    return latencies


def main() -> None:
    arguments = argparse.ArgumentParser(description="From the server's write to the user's loop, for the first event.")
    arguments.add_argument("--repetitions", type=int, default=200, help="(default: 200)")
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()

    about = {"machine": machine(), "versions": versions(PACKAGES)}
    print(*(f"{key}: {value}" for part in about.values() for key, value in part.items()), sep="\n")
    with running(serve_clock) as url:
        latencies = measured(url, options.repetitions)
    quartiles = {key: quantiles(values, n=4) for key, values in latencies.items()}
    bares = {
        (mode, row.client, row.style): middle for (mode, row), (_, middle, _) in quartiles.items() if row.name == BARE
    }

    for mode in MODES:
        print(f"\n{f'the first event {SAID[mode]} the headers':40}{'quartiles':>29}{'above the bare client':>26}")
        for (each, row), (lower, middle, upper) in quartiles.items():
            if each == mode:
                above = middle - bares[mode, row.client, row.style]
                print(f"  {row!s:40}{lower:9.1f}{middle:9.1f}{upper:9.1f} µs{above:22.1f} µs")
    print("\nGoals for the difference of the medians, and results")
    for (mode, row), (_, middle, _) in quartiles.items():
        if row.name == OURS:
            above = middle - bares[mode, row.client, row.style]
            print_verdict(f"the first event {SAID[mode]} the headers: {row}", f"<= {GOAL:.2f}", above, above / GOAL - 1)
    if options.json:
        figures = [
            {"name": row.name, "client": row.client, "style": row.style, "mode": mode, "quartiles": found}
            for (mode, row), found in quartiles.items()
        ]
        options.json.write_text(json.dumps({**about, "microseconds": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
