"""
Many streams at once in one process, against a server in another that resumes, and cuts at random.

For each stream the tests prove: every event once, in order, and the end. For all: that they need no more memory than
those of httpx-sse, and that nothing is left of them, here or at the server, however they end.
"""

import asyncio
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from shells import PATIENCE

from reliability.feeds import HERE, OPTIONS, Feeds, serving
from reliability.proof import LONG, Ledger, size
from sse_client import AsyncSSEClient, EventStream, SSEClient

# A stream takes one file at the server, and one here.
FILES = 4_096

# The memory of an ID of a few characters, and of its entry among those that are kept.
ID = 100

# Ending a stream takes no time; a thread may have to wait for its turn.
SOON = 1.0 * PATIENCE


@pytest.fixture
def feeds() -> Iterator[Feeds]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
    with serving() as feeds:
        yield feeds


def sent(number: int, events: int) -> list[str]:
    """The data of all events of a stream, its terminator included."""
    return [*(f"{number}/{index}" for index in range(1, events + 1)), ""]


def test_concurrent_streams(ledger: Ledger, feeds: Feeds, library: ModuleType) -> None:
    """Many streams at once, each cut and refused several times, get every event once and in order."""
    streams, events = size(100, 2_000), size(30, 50)
    received: dict[int, list[str]] = {number: [] for number in range(streams)}
    outcomes: dict[int, str | None] = {}

    async def read(client: AsyncSSEClient, number: int) -> None:
        wish = {"number": number, "events": events, "cuts": 3, "refusals": 2, "at_once": 5}
        async with client.post(feeds.url, json=wish, **OPTIONS) as stream:
            async for event in stream:
                received[number].append(event.data)
        outcomes[number] = stream.outcome

    async def main() -> None:
        limits = library.Limits(max_connections=None)
        async with (
            library.AsyncClient(limits=limits) as http,
            AsyncSSEClient(http_client=http) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(streams):
                tasks.create_task(read(client, number))

    asyncio.run(main())
    for number in range(streams):
        ledger.stream(sent(number, events), received[number], is_complete=outcomes[number] == "completed")
        assert outcomes[number] == "completed"
    faults = feeds.numbers()["faults"]
    assert faults >= 3 * streams
    ledger.add(faults=faults)
    assert feeds.all_closed()


def memory_of(what: str, url: str, streams: int, events: int) -> int:
    """The resident memory for a stream, in bytes, measured in a separate process."""
    command = [sys.executable, str(HERE / "memory.py"), what, url, str(streams), str(events)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


@pytest.mark.skipif(not LONG, reason="opening the streams takes minutes")
@pytest.mark.skipif(find_spec("httpx_sse") is None, reason="needs httpx-sse, from the extra bench")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not report memory")
def test_memory(ledger: Ledger, feeds: Feeds) -> None:
    """A stream costs at most a tenth more memory than one of httpx-sse, and with `resume=` no more than its IDs."""
    streams, events, rounds = 500, 100, 2
    # The best of all rounds: the system's effects on a process only ever add.
    ours, resuming, theirs = (
        min(memory_of(what, feeds.url, streams, events) for _ in range(rounds))
        for what in ("sse_client", "resuming", "httpx_sse")
    )
    ledger.note = f"bytes for a stream: {ours:,}, resuming {resuming:,}, of httpx-sse {theirs:,}"
    assert ours <= 1.1 * theirs
    assert resuming <= 1.1 * theirs + events // 2 * ID
    ledger.add(streams=2 * rounds * streams, complete=2 * rounds * streams)  # of ours: another end would be an error


class Reading(threading.Thread):
    """A thread that reads one stream to its end."""

    def __init__(self, stream: EventStream[Any]) -> None:
        super().__init__()
        self.stream = stream
        self.received: list[str] = []
        self.ended_at = 0.0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self.stream as stream:
                for event in stream:
                    self.received.append(event.data)
        except BaseException as error:
            self.error = error
        self.ended_at = time.monotonic()


def test_threads_closed_from_outside(ledger: Ledger, feeds: Feeds, library: ModuleType, chance: random.Random) -> None:
    """64 threads whose streams are closed from outside end soon, and leave no thread and no socket."""
    before = threading.active_count()
    events = 40
    for turn in range(size(1, 20)):
        limits = library.Limits(max_connections=None)
        with library.Client(limits=limits) as http, SSEClient(http_client=http) as client:
            wishes = [
                # Some are complete before they are closed; others wait for their next attempt just then.
                {"number": 64 * turn + number, "events": events, "pause": 0.003, "cuts": 1, "refusals": 1}
                for number in range(64)
            ]
            readings = [Reading(client.post(feeds.url, json=wish, **OPTIONS)) for wish in wishes]
            closings = sorted((chance.uniform(0, 0.8), index) for index in range(64))
            start = time.monotonic()
            for reading in readings:
                reading.start()
            closed_at = {}
            for moment, index in closings:
                time.sleep(max(start + moment - time.monotonic(), 0))
                closed_at[index] = time.monotonic()
                readings[index].stream.close()
            for index, reading in enumerate(readings):
                reading.join(5 * SOON)
                assert not reading.is_alive()
                assert reading.error is None
                assert reading.ended_at - closed_at[index] < SOON
                assert reading.stream.outcome in ("completed", "cancelled")
                is_complete = reading.stream.outcome == "completed"
                all_sent = sent(64 * turn + index, events)
                ledger.stream(all_sent, reading.received, is_complete=is_complete, faults=1)
    ledger.add(faults=feeds.numbers()["faults"])
    assert feeds.all_closed()
    assert threading.active_count() <= before + 1  # the watchdog's thread stays
