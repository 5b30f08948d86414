"""
The cost of this library's loop over the HTTP client below it, per event.

Method. The server of `loopback.py` sends 5,000 events of 250 bytes, chunked, in one of these modes: one event per
write as fast as possible (unpaced), one event per write and 1 ms (paced), writes of 16 KiB. They are read (a) by
`parser.feed(piece)` in a bare loop over the response of the client, and (b) by `for event in stream`, on the same
client, in the same process. The rounds are interleaved, one of each in an order that rotates. The output has the
median of the CPU time per event (of the process, so waiting does not count) and the median of the ratios (b) / (a)
within the rounds. The garbage collector runs between the rounds, not during them.
"""

import argparse
import asyncio
import statistics
import sys
from typing import Any

import httpx
from loopback import MODES, measure, running

from sse_client import AsyncSSEClient, EventParser, SSEClient


def bare(client: Any, url: str) -> int:
    count = 0
    with client.stream("POST", url) as response:
        parser = EventParser()
        for piece in response.iter_raw():
            for _ in parser.feed(piece):
                count += 1
    return count - 1  # for the parser, [DONE] is an ordinary event


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
    return count - 1  # for the parser, [DONE] is an ordinary event


async def ashell(client: httpx.AsyncClient, url: str) -> int:
    count = 0
    async with AsyncSSEClient(http_client=client).post(url) as stream:
        async for _ in stream:
            count += 1
    return count


def report(label: str, bares: list[float], shells: list[float]) -> None:
    ratio = statistics.median(b / a for a, b in zip(bares, shells, strict=True))
    print(
        f"{label:16s} bare {statistics.median(bares):6.2f} µs   shell {statistics.median(shells):6.2f} µs   "
        f"ratio {ratio:.3f} ({ratio - 1:+.1%})"
    )


def run_sync(url: str, modes: list[str], rounds: int, events: int) -> None:
    with httpx.Client() as client:
        for mode in modes:
            path = f"{url}/openai/{mode}/{events}"
            readers = [lambda path=path: bare(client, path), lambda path=path: shell(client, path)]
            times: list[list[float]] = [[], []]
            for number in range(rounds + 1):
                for which in (0, 1) if number % 2 else (1, 0):
                    times[which].append(measure(readers[which], events).cpu)
            report(f"sync {mode}", times[0][1:], times[1][1:])


def run_async(url: str, modes: list[str], rounds: int, events: int) -> None:
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient()
        for mode in modes:
            path = f"{url}/openai/{mode}/{events}"
            readers = [
                lambda path=path: runner.run(abare(client, path)),
                lambda path=path: runner.run(ashell(client, path)),
            ]
            times: list[list[float]] = [[], []]
            for number in range(rounds + 1):
                for which in (0, 1) if number % 2 else (1, 0):
                    times[which].append(measure(readers[which], events).cpu)
            report(f"async {mode}", times[0][1:], times[1][1:])
        runner.run(client.aclose())


def main() -> None:
    arguments = argparse.ArgumentParser(description="The cost of the loop over the HTTP client, per event.")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--events", type=int, default=5000)
    arguments.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    options = arguments.parse_args()
    print(
        f"Python {sys.version.split()[0]}, httpx {httpx.__version__}, {options.events} events, {options.rounds} rounds"
    )
    with running() as url:
        run_sync(url, options.modes, options.rounds, options.events)
        run_async(url, options.modes, options.rounds, options.events)


if __name__ == "__main__":
    main()
