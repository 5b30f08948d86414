"""
One protocol, two clients: the same call with `for` and `async for`; the async client reads several streams at once.

Run it, offline: `python examples/sync_and_async.py`.
"""

import asyncio
import time

from pydantic import BaseModel

from sse_client import AsyncSSEClient, Dialect, SSEClient, Terminator
from sse_client.testing import Answer, EventServer, Pause, RecordedRequest


class Step(BaseModel):
    city: str
    progress: int


WEATHER = Dialect(events=Step, terminator=Terminator(field="progress", values={100}))
CITIES = ("Oslo", "Lima", "Pune")


def forecast(request: RecordedRequest) -> Answer:
    """The server: five steps to a forecast, one every 30 ms."""
    city = request.json()["city"]
    steps: list[str | Pause] = []
    for progress in range(20, 101, 20):
        steps += [Pause(0.03), f'data: {{"city": "{city}", "progress": {progress}}}\n\n']
    return Answer(*steps)


# The two functions are the same, except for `async` and `await`.


def watch(client: SSEClient, city: str) -> int:
    with client.post("/forecast", json={"city": city}, dialect=WEATHER) as stream:
        for step in stream:
            print(f"{step.city} {step.progress} %", end="  ")
    return stream.stats.events


async def watch_async(client: AsyncSSEClient, city: str) -> int:
    async with client.post("/forecast", json={"city": city}, dialect=WEATHER) as stream:
        async for step in stream:
            print(f"{step.city} {step.progress} %", end="  ")
    return stream.stats.events


def one_after_the_other(url: str) -> int:
    with SSEClient(base_url=url) as client:
        return sum(watch(client, city) for city in CITIES)


async def all_at_once(url: str) -> int:
    async with AsyncSSEClient(base_url=url) as client:
        return sum(await asyncio.gather(*(watch_async(client, city) for city in CITIES)))


def main() -> None:
    with EventServer(forecast) as server:
        begun = time.monotonic()
        events = one_after_the_other(server.url)
        print(f"\nsync:  {events} events in {time.monotonic() - begun:.1f} s\n")

        begun = time.monotonic()
        events = asyncio.run(all_at_once(server.url))
        print(f"\nasync: {events} events in {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()
