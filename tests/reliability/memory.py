"""
The resident memory of a stream: `python memory.py sse_client|resuming|httpx_sse URL STREAMS EVENTS`.

Method. All read over one `httpx.AsyncClient`, on asyncio, from the same server, in a fresh process each; `resuming` is
`sse_client` with `resume=`, which has to remember IDs. One stream is read first, so that everything that is loaded or
made once is there. Then all are opened, and each reads half of its events. The output is the growth of VmRSS by then,
divided by the number of streams, in bytes.
"""

import asyncio
import gc
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import httpx_sse

from sse_client import AsyncSSEClient, LastEventID, Terminator


def resident() -> int:
    """The resident memory of this process, in bytes."""
    gc.collect()
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def ours(
    client: httpx.AsyncClient, url: str, wish: dict[str, int], half: asyncio.Barrier, resume: LastEventID | None = None
) -> None:
    terminator = Terminator(event="end")
    async with AsyncSSEClient(http_client=client).post(url, json=wish, resume=resume, terminator=terminator) as stream:
        async for event in stream:
            if event.id == str(wish["stops_at"]):
                await half.wait()
                await half.wait()


async def theirs(client: httpx.AsyncClient, url: str, wish: dict[str, int], half: asyncio.Barrier) -> None:
    async with httpx_sse.aconnect_sse(client, "POST", url, json=wish) as source:
        async for event in source.aiter_sse():
            if event.id == str(wish["stops_at"]):
                await half.wait()
                await half.wait()


async def main(library: str, url: str, streams: int, events: int) -> None:
    read: Any = {"sse_client": ours, "resuming": partial(ours, resume=LastEventID()), "httpx_sse": theirs}[library]
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
        await read(client, url, {"number": 0, "events": 10, "stops_at": 0}, asyncio.Barrier(1))
        before = resident()
        half = asyncio.Barrier(streams + 1)
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, streams + 1):
                wish = {"number": number, "events": events, "stops_at": events // 2}
                tasks.create_task(read(client, url, wish, half))
            await half.wait()
            sys.stdout.write(f"{(resident() - before) // streams}\n")
            await client.get(f"{url}/go")
            await half.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
