"""
The cost of httpx-sse next to `sse_client.httpx_sse`, its replacement, per event.

    python benchmarks/drop_in.py [--rounds N] [--events N] [--modes MODE ...]

Method. The server of `loopback.py` sends 5,000 events of 250 bytes, chunked, either one per write as fast as possible
(unpaced) or in writes of 16 KiB; or it sends 500 events, one per write and 1 ms (paced). The same function reads them
with `connect_sse` and `iter_sse` of either module, or with `aconnect_sse` and `aiter_sse`, on the same client and in
the same process. The rounds are interleaved: in each, both modules read one stream, in an order that alternates. The
first round is not counted. The output has the medians of the CPU time per event (of the process, so waiting does not
count), and the median of the ratios within the rounds. The garbage collector runs before a reading, not during it. The
list at the end shows the goals, for httpx.

In "paced", most of the cost is to wake the process for each event. It depends on the other load of the machine, so
there the ratio has no goal.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from types import ModuleType
from typing import Any

import httpx
import httpx2
import httpx_sse
from loopback import MODES, measure, running, versions
from parser import print_verdict

from sse_client import httpx_sse as ours

# How many times as much CPU as ours httpx-sse takes at least.
GOALS = {"unpaced": 1.1, "16KiB": 2.0}
PACED = 500  # events: more would only take longer

Read = Callable[[ModuleType, str], int]


def read(client: Any, module: ModuleType, url: str) -> int:
    number = 0
    with module.connect_sse(client, "POST", url) as source:
        for _ in source.iter_sse():
            number += 1
    return number - 1  # [DONE] is an event


async def aread(client: Any, module: ModuleType, url: str) -> int:
    number = 0
    async with module.aconnect_sse(client, "POST", url) as source:
        async for _ in source.aiter_sse():
            number += 1
    return number - 1


@contextmanager
def readers() -> Iterator[dict[tuple[str, str], Read]]:
    """Yield a reader for each library and style, on clients that are created once."""
    found: dict[tuple[str, str], Read] = {}
    with asyncio.Runner() as runner, httpx.Client() as first, httpx2.Client() as second:
        clients: list[Any] = [httpx.AsyncClient(), httpx2.AsyncClient()]

        def awaited(client: Any, module: ModuleType, url: str) -> int:
            return runner.run(aread(client, module, url))

        for name, client, aclient in zip(("httpx", "httpx2"), (first, second), clients, strict=True):
            found[name, "sync"] = partial(read, client)
            found[name, "async"] = partial(awaited, aclient)
        yield found
        for each in clients:
            runner.run(each.aclose())


def ratio_of(read: Read, url: str, events: int, rounds: int) -> tuple[float, float, float]:
    """Return the medians of both times, httpx-sse's first, and of their ratio."""
    times: dict[ModuleType, list[float]] = {httpx_sse: [], ours: []}
    for number in range(rounds + 1):
        for module in (ours, httpx_sse) if number % 2 else (httpx_sse, ours):
            times[module].append(measure(partial(read, module, url), events).cpu)
    theirs, own = (costs[1:] for costs in times.values())
    return median(theirs), median(own), median(a / b for a, b in zip(theirs, own, strict=True))


def main() -> None:
    arguments = argparse.ArgumentParser(description="Compare sse_client.httpx_sse with httpx-sse.")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--events", type=int, default=5000)
    arguments.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    options = arguments.parse_args()
    packages = versions(("httpx", "httpx2", "httpx-sse"))
    print(f"Python {sys.version.split()[0]},", ", ".join(" ".join(each) for each in packages.items()))

    verdicts: list[tuple[str, float, float]] = []
    with running() as url, readers() as found:
        for (library, style), read in found.items():
            for mode in options.modes:
                events = min(options.events, PACED) if mode == "paced" else options.events
                theirs, own, ratio = ratio_of(read, f"{url}/openai/{mode}/{events}", events, options.rounds)
                subject = f"{library}, {style}, {mode}"
                print(f"{subject:24} httpx-sse {theirs:7.2f} µs   ours {own:7.2f} µs   ratio {ratio:.2f}", flush=True)
                if library == "httpx" and mode in GOALS:
                    verdicts.append((subject, GOALS[mode], ratio))
    print()
    for subject, goal, ratio in verdicts:
        print_verdict(subject, f">= {goal:.2f}", ratio, 1 - ratio / goal)


if __name__ == "__main__":
    main()
