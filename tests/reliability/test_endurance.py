"""
One stream for a very long time: hundreds of thousands of events over hundreds of connections, in constant memory.

Memory is the amount that Python has allocated, by tracemalloc, after a fifth of the stream and at its end. By then the
memory of the past (the IDs before the last one) is full. The delay between two connections is made short.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reliability.feeds import OPTIONS, Feeds, serving
from reliability.proof import Ledger, size
from sse_client import AsyncSSEClient, LastEventID, RetryPolicy, ServerSentEvent, SSEClient, Timeouts
from sse_client._shells.waking import watchdog

FILES = Path("/proc/self/fd")

# About the events of one piece, and the collector's own; a byte per event would be ten times as much.
FLAT = 100_000

# Data in progress at any time: the buffers of a connection, the events of a piece, a failure and its traceback.
ON_THE_WAY = 2_000_000

AT_ONCE = RetryPolicy(max_retries=10, initial_delay=0, jitter=0, retry_ambiguous=True)


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeds]:
    monkeypatch.setattr("sse_client._core.attempts.MIN_DELAY", 0.001)
    with serving() as feeds:
        yield feeds


class Witness:
    """Sees every event of a stream, and measures the process on the way."""

    def __init__(self, ledger: Ledger, events: int, cuts: int) -> None:
        self.wish = {"number": 1, "events": events, "cuts": cuts, "refusals": cuts // 5, "at_once": 40}
        self.options: dict[str, Any] = OPTIONS | {"json": self.wish, "retry": AT_ONCE}
        self.options["resume"] = LastEventID(retry=AT_ONCE)
        # Short, because an attempt is watched until then; another test is about that.
        self.options["timeout"] = Timeouts(response=2)
        self.ledger = ledger
        self.events = events
        self.count = 0
        self.early = (0, 0)

    def see(self, event: ServerSentEvent) -> None:
        self.count += 1
        if event.data != f"1/{self.count}" and self.count <= self.events:
            number = int(event.data.partition("/")[2])
            self.ledger.add(doubled=number < self.count, lost=max(number - self.count, 0))
        if self.count == self.events // 5:
            self.early = self.look()
            tracemalloc.reset_peak()

    def look(self) -> tuple[int, int]:
        """The current bytes of memory, and open files."""
        gc.collect()
        files = sum(1 for _ in FILES.iterdir()) if FILES.exists() else 0
        return tracemalloc.get_traced_memory()[0], files

    def end(self, feeds: Feeds, outcome: str | None) -> None:
        """Measure again, while the stream is still there, and compare."""
        assert (self.count, outcome) == (self.events + 1, "completed")
        memory, files = self.look()
        peak = tracemalloc.get_traced_memory()[1]
        self.ledger.note = f"memory from {self.early[0]:,} bytes to {memory:,}, at most {peak:,}"
        assert memory - self.early[0] < FLAT
        assert peak - self.early[0] < ON_THE_WAY
        assert files <= self.early[1]
        faults = feeds.numbers()["faults"]
        assert faults >= self.wish["cuts"]
        self.ledger.add(faults=faults, streams=1, events=self.count, complete=1)


@pytest.fixture(autouse=True)
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_sync(ledger: Ledger, feeds: Feeds) -> None:
    """Of many events over many connections, each comes once and in order, with constant memory and files."""
    witness = Witness(ledger, size(50_000, 1_000_000), size(25, 500))
    with SSEClient() as client, client.post(feeds.url, **witness.options) as stream:
        for event in stream:
            witness.see(event)
        witness.end(feeds, stream.outcome)


def test_asyncio(ledger: Ledger, feeds: Feeds, library: ModuleType) -> None:
    """In a task, too, many events come once and in order, with constant memory and files."""
    witness = Witness(ledger, size(10_000, 200_000), size(10, 100))

    async def main() -> None:
        async with (
            library.AsyncClient() as http,
            AsyncSSEClient(http_client=http) as client,
            client.post(feeds.url, **witness.options) as stream,
        ):
            async for event in stream:
                witness.see(event)
            witness.end(feeds, stream.outcome)

    asyncio.run(main())


def test_the_watchdog_forgets(ledger: Ledger, feeds: Feeds) -> None:
    """The watchdog keeps only the connections of a stream that may still need it."""
    witness = Witness(ledger, 1_000, 100)
    before = len(watchdog._queue)
    with SSEClient() as client, client.post(feeds.url, **witness.options | {"timeout": Timeouts()}) as stream:
        witness.count = sum(1 for _ in stream)
        kept = len(watchdog._queue) - before
        ledger.add(faults=feeds.numbers()["faults"], streams=1, events=witness.count, complete=1)
        assert kept < 10
