"""
The command `sse-client` as a process: its start, its latency and its throughput, next to curl's.

    python benchmarks/command_line.py [--rounds N] [--seconds S] [--events N] [--json FILE]

Method. Every reading is a process of its own, which writes into a pipe that this process reads; what is compared is
interleaved, one of each in an order that rotates. `curl -sN` is left out if it is not installed.

Start: the wall time of `sse-client --help`, from its start to its end, and of a Python that only imports argparse; the
figures are medians, and the ratio is that of the medians.

Latency: a server on loopback sends 100 events a second, each with its `time.monotonic_ns()` just before the write. This
process, on the same machine and so on the same clock, reads the clock when it has the line. The first events, during
which the process warms up, do not count.

Throughput: the server of `loopback.py` sends events of 250 bytes as fast as they are taken, in writes of 16 KiB or one
for each event. The time is that from the first byte in the pipe to the last, so that the start does not count.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from loopback import EVENT_SIZE, HEAD, LAST_CHUNK, chunk, machine, order_of, path_of, receive, running, serve, versions
from parser import print_verdict

COMMAND = (sys.executable, "-m", "sse_client_cli")
CURL = shutil.which("curl")

RATE = 100  # events a second
WARM_UP = 20  # events
SEGMENT = 2.5  # seconds of each stream that is read for its latency
MAX_START = 3.0  # times as long as importing argparse
MAX_LATENCY = 5.0  # ms, for 99 % of the events

Readers = dict[str, tuple[str, ...]]


def answer(connection: socket.socket) -> None:
    """Send events with the time, at an even rate; the path has their number."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, suppress(ConnectionError):
        while request := receive(connection):
            connection.sendall(HEAD)
            began_at = time.monotonic()
            for number in range(int(path_of(request)[0])):
                time.sleep(max(0.0, began_at + number / RATE - time.monotonic()))
                connection.sendall(chunk(b"data: %d\n\n" % time.monotonic_ns()))
            connection.sendall(LAST_CHUNK)


def serve_clock(port: Connection) -> None:
    serve(port, answer)


@contextmanager
def reading(command: tuple[str, ...], url: str) -> Iterator[int]:
    """Run a process; yield the end of the pipe that it writes to."""
    # Users have the compiled files, which the first process writes.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [*command, url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        yield process.stdout.fileno()
    if process.returncode:
        raise RuntimeError(f"{command} exited {process.returncode}")


def seconds_of(command: tuple[str, ...]) -> float:
    began_at = time.perf_counter()
    with reading(command[:-1], command[-1]) as pipe:
        while os.read(pipe, 65_536):
            pass
    return time.perf_counter() - began_at


def starts(rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each process."""
    commands = {
        "sse-client --help": (*COMMAND, "--help"),
        "python -c 'import argparse'": (sys.executable, "-c", "import argparse"),
        "python -c pass": (sys.executable, "-c", "pass"),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in order_of(number, [*commands.items()]):
            seconds = seconds_of(command)
            if number:  # the first round warms up
                times[name].append(seconds * 1e3)
    return times


def latencies_of(command: tuple[str, ...], url: str, events: int) -> list[float]:
    """Return the milliseconds from the server's write to the line in the pipe, for each event."""
    found = []
    rest = b""
    with reading(command, f"{url}/{events}") as pipe:
        while piece := os.read(pipe, 65_536):
            arrived = time.monotonic_ns()
            *lines, rest = (rest + piece).split(b"\n")
            found += [
                (arrived - int(digits)) / 1e6 for line in lines if (digits := line.rpartition(b" ")[2].rstrip(b"}"))
            ]
    if len(found) != events:
        raise RuntimeError(f"expected {events} events from {command}, got {len(found)}")
    return found[WARM_UP:]


def latency(seconds: float) -> dict[str, list[float]]:
    readers: Readers = {"sse-client": (*COMMAND, "get"), "sse-client --data": (*COMMAND, "get", "--data")}
    if CURL:
        readers["curl -N"] = (CURL, "-sN")
    times: dict[str, list[float]] = {name: [] for name in readers}
    with running(serve_clock) as url:
        for number in range(max(1, round(seconds / SEGMENT))):
            for name, command in order_of(number, [*readers.items()]):
                times[name] += latencies_of(command, url, WARM_UP + round(RATE * SEGMENT))
    return times


def rate_of(command: tuple[str, ...], url: str) -> float:
    """Return the megabytes of the body per second."""
    events = int(url.rpartition("/")[2])
    with reading(command, url) as pipe:
        size = len(os.read(pipe, 1))
        began_at = time.perf_counter()
        while piece := os.read(pipe, 1 << 20):
            size += len(piece)
        seconds = time.perf_counter() - began_at
    if size < events * EVENT_SIZE:
        raise RuntimeError(f"expected at least {events * EVENT_SIZE} bytes from {command}, got {size}")
    return events * EVENT_SIZE / seconds / 1e6


def throughput(rounds: int, events: int) -> dict[str, list[float]]:
    readers: Readers = {f"sse-client {output}": (*COMMAND, "get", output) for output in ("--raw", "--jsonl")}
    if CURL:
        readers["curl -N"] = (CURL, "-sN")
    rates: dict[str, list[float]] = {}
    with running() as url:
        for number in range(rounds):
            for mode, count in (("16KiB", events), ("unpaced", events // 4)):
                for name, command in order_of(number, [*readers.items()]):
                    rates.setdefault(f"{name}, {mode}", []).append(rate_of(command, f"{url}/openai/{mode}/{count}"))
    return rates


def percentiles(values: list[float]) -> tuple[float, float, float]:
    cuts = quantiles(values, n=100)
    return cuts[49], cuts[98], max(values)


def report(results: dict[str, dict[str, list[float]]]) -> None:
    print("start: ms for the whole process")
    for name, times in results["start"].items():
        print(f"  {name:40}{median(times):8.1f}")
    print("latency: ms from the server's write to the line in the pipe, of 50 %, 99 % and all events")
    for name, times in results["latency"].items():
        print(f"  {name:40}" + "".join(f"{each:8.2f}" for each in percentiles(times)))
    print("throughput: MB of the body per second")
    for name, rates in results["throughput"].items():
        print(f"  {name:40}{median(rates):8.1f}")
    print("\nGoals")
    start = [median(times) for times in results["start"].values()]
    ratio = start[0] / start[1]
    print_verdict("sse-client --help, times importing argparse", f"<= {MAX_START}", ratio, ratio / MAX_START - 1)
    slow = percentiles(results["latency"]["sse-client"])[1]
    print_verdict("latency at 100 events a second, p99, ms", f"<= {MAX_LATENCY}", slow, slow / MAX_LATENCY - 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description="The command as a process: start, latency, throughput.")
    arguments.add_argument("--rounds", type=int, default=21, help="processes for the start; a fifth for the throughput")
    arguments.add_argument("--seconds", type=float, default=10.0, help="of events for the latency (default: 10)")
    arguments.add_argument("--events", type=int, default=100_000, help="for the throughput (default: 100000)")
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()
    about: dict[str, Any] = {"machine": machine(), "versions": versions(["httpx", "pydantic"])}
    print(json.dumps(about, indent=2))
    parts: dict[str, Callable[[], dict[str, list[float]]]] = {
        "start": lambda: starts(options.rounds),
        "latency": lambda: latency(options.seconds),
        "throughput": lambda: throughput(max(1, options.rounds // 5), options.events),
    }
    results = {name: measure() for name, measure in parts.items()}
    report(results)
    if options.json is not None:
        options.json.write_text(json.dumps({**about, **results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
