"""
What our shells add to the HTTP client below them, per event.

Method. A server in a process of its own sends 5,000 events of 250 bytes, chunked, in one of these modes: one event a
write as fast as it goes (unpaced), one event a write and 1 ms (paced), 16 KiB writes. They are read (a) by
`parser.feed(piece)` in a bare loop over the response of the client, and (b) by `for event in stream`, on the same
client, in the same process. The rounds are interleaved, one of each after the other in an order that turns; what is
shown is the median of the rounds' CPU time per event (the process's own, so waiting does not count) and the median
of the ratios (b) / (a) within the rounds. The garbage collector runs between the rounds, and not in them.
"""

import argparse
import asyncio
import gc
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import httpx

from sse_client import AsyncSSEClient, EventParser, SSEClient

EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" token"}}]'
)
EVENT = EVENT.ljust(247) + b"}\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MODES = ("unpaced", "paced", "16KiB")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def receive(connection: socket.socket) -> bytes:
    """Read a request, with its body."""
    request = connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65536)
    return request


def serve(port: Connection, events: int, event: bytes = EVENT) -> None:
    """Answer each request in the mode that the first part of its path names."""
    listener = socket.create_server(("127.0.0.1", 0))
    port.send(listener.getsockname()[1])
    pieces = [chunk(event)] * events
    stream = event * events
    large = [chunk(stream[start : start + 16384]) for start in range(0, len(stream), 16384)]
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while request := receive(connection):
                mode = request.split(b" ", 2)[1].split(b"/")[1].decode()
                connection.sendall(HEAD)
                for piece in large if mode == "16KiB" else pieces:
                    connection.sendall(piece)
                    if mode == "paced":
                        time.sleep(0.001)
                connection.sendall(b"0\r\n\r\n")


def bare(client: Any, url: str) -> int:
    count = 0
    with client.stream("POST", url) as response:
        parser = EventParser()
        for piece in response.iter_raw():
            for _ in parser.feed(piece):
                count += 1
    return count


def shell(client: httpx.Client, url: str) -> int:
    count = 0
    with SSEClient(http_client=client).post(url) as stream:
        for _ in stream:
            count += 1
    return count


async def abare(client: httpx.AsyncClient, url: str) -> int:
    count = 0
    async with client.stream("POST", url) as response:
        parser = EventParser()
        async for piece in response.aiter_raw():
            for _ in parser.feed(piece):
                count += 1
    return count


async def ashell(client: httpx.AsyncClient, url: str) -> int:
    count = 0
    async with AsyncSSEClient(http_client=client).post(url) as stream:
        async for _ in stream:
            count += 1
    return count


def measure(read: Callable[[], int], events: int) -> float:
    """Return the CPU time per event of one reading, in microseconds."""
    gc.collect()
    gc.disable()
    before = time.process_time()
    count = read()
    spent = time.process_time() - before
    gc.enable()
    if count != events:
        raise RuntimeError(f"expected {events} events, got {count}")
    return spent / events * 1e6


def report(label: str, bares: list[float], shells: list[float]) -> None:
    ratio = statistics.median(b / a for a, b in zip(bares, shells, strict=True))
    print(
        f"{label:16s} bare {statistics.median(bares):6.2f} µs   shell {statistics.median(shells):6.2f} µs   "
        f"ratio {ratio:.3f} ({ratio - 1:+.1%})"
    )


def run_sync(url: str, modes: list[str], rounds: int, events: int) -> None:
    with httpx.Client() as client:
        for mode in modes:
            readers = [lambda mode=mode: bare(client, url + mode), lambda mode=mode: shell(client, url + mode)]
            times: list[list[float]] = [[], []]
            for number in range(rounds + 1):
                for which in (0, 1) if number % 2 else (1, 0):
                    times[which].append(measure(readers[which], events))
            report(f"sync {mode}", times[0][1:], times[1][1:])


def run_async(url: str, modes: list[str], rounds: int, events: int) -> None:
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient()
        for mode in modes:
            readers = [
                lambda mode=mode: runner.run(abare(client, url + mode)),
                lambda mode=mode: runner.run(ashell(client, url + mode)),
            ]
            times: list[list[float]] = [[], []]
            for number in range(rounds + 1):
                for which in (0, 1) if number % 2 else (1, 0):
                    times[which].append(measure(readers[which], events))
            report(f"async {mode}", times[0][1:], times[1][1:])
        runner.run(client.aclose())


def main() -> None:
    arguments = argparse.ArgumentParser(description="What the shells add to the HTTP client, per event.")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--events", type=int, default=5000)
    arguments.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    options = arguments.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs, options.events), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/"
    print(
        f"Python {sys.version.split()[0]}, httpx {httpx.__version__}, {options.events} events, {options.rounds} rounds"
    )
    try:
        run_sync(url, options.modes, options.rounds, options.events)
        run_async(url, options.modes, options.rounds, options.events)
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
