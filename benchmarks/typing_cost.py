"""
The cost of typed events: an OpenAI-like stream, read raw, into a pydantic model, and by the openai SDK.

Method. As in `overhead.py`: the server of `loopback.py` sends 2,000 chunks of a chat completion, as fast as possible,
one per write or in writes of 16 KiB. All readers use an `httpx2.Client`, the client of the SDK, in one process, in
rounds of one of each. The output has the median CPU time per event above that of the bare loop (`parser.feed(piece)`
over the same response), and the ratio of the SDK's to ours.
"""

import argparse
import os
import statistics
from functools import partial
from typing import Any

import httpx2
from loopback import Chunk, measure, running
from overhead import bare

from sse_client import SSEClient


def untyped(client: httpx2.Client, url: str) -> int:
    with SSEClient(http_client=client).post(url) as stream:
        return sum(1 for _ in stream)


def typed(client: httpx2.Client, url: str) -> int:
    with SSEClient(http_client=client).post(url, events=Chunk) as stream:
        return sum(len(chunk.choices) for chunk in stream)


def openai_sdk(client: httpx2.Client, url: str) -> int:
    from openai import OpenAI

    # The SDK adds its own path; the server looks at the first parts only.
    sdk = OpenAI(api_key="test-token", base_url=url, http_client=client)
    chunks = sdk.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], stream=True)
    return sum(len(chunk.choices) for chunk in chunks)


def main() -> None:
    arguments = argparse.ArgumentParser(description="The cost of typed events, compared with the openai SDK.")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--events", type=int, default=2000)
    options = arguments.parse_args()
    os.environ.pop("OPENAI_BASE_URL", None)
    readers: dict[str, Any] = {
        "bare": bare,
        "untyped": untyped,
        "typed": typed,
        "openai": openai_sdk,
    }
    with running() as server, httpx2.Client() as client:
        for mode in ("unpaced", "16KiB"):
            times: dict[str, list[float]] = {name: [] for name in readers}
            for _ in range(options.rounds + 1):
                for name, read in readers.items():
                    times[name].append(
                        measure(partial(read, client, f"{server}/openai/{mode}/{options.events}"), options.events).cpu
                    )
            median = {name: statistics.median(values[1:]) for name, values in times.items()}
            above = {name: median[name] - median["bare"] for name in readers}
            print(f"{mode}: bare {median['bare']:.2f} µs per event; above it:")
            print(f"  untyped {above['untyped']:6.2f} µs")
            print(f"  typed   {above['typed']:6.2f} µs   ({above['typed'] - above['untyped']:.2f} above untyped)")
            ratio = above["openai"] / above["typed"]
            print(f"  openai  {above['openai']:6.2f} µs   ({ratio:.1f} times the typed one)")


if __name__ == "__main__":
    main()
