"""
What typed events cost: an OpenAI-like stream read raw, into a pydantic model, and by the openai SDK.

Method. As in `overhead.py`: a server in a process of its own sends 2,000 chunks of a chat completion, as fast as it
goes, one a write or in writes of 16 KiB. All readers use an `httpx2.Client`, which is the one that the SDK takes, in
one process, in rounds of one of each. Shown is the median CPU time per event above that of the bare loop
(`parser.feed(piece)` over the same response), and the ratio of the SDK's to ours.
"""

import argparse
import multiprocessing
import os
import statistics
from functools import partial
from typing import Any

import httpx2
from overhead import bare, measure, serve
from pydantic import BaseModel

from sse_client import SSEClient

CHUNK = (
    b'data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini",'
    b'"system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" token"},'
    b'"logprobs":null,"finish_reason":null}]}\n\n'
)


class Delta(BaseModel):
    role: str | None = None
    content: str | None = None


class Choice(BaseModel):
    index: int
    delta: Delta
    finish_reason: str | None = None


class Chunk(BaseModel):
    """What applications use of a chunk."""

    id: str
    model: str
    choices: list[Choice]


def untyped(client: httpx2.Client, url: str) -> int:
    with SSEClient(http_client=client).post(url) as stream:
        return sum(1 for _ in stream)


def typed(client: httpx2.Client, url: str) -> int:
    with SSEClient(http_client=client).post(url, events=Chunk) as stream:
        return sum(len(chunk.choices) for chunk in stream)


def openai_sdk(client: httpx2.Client, url: str) -> int:
    from openai import OpenAI

    base, _, mode = url.rpartition("/")
    # The SDK adds a path of its own; the server looks at the first part of it.
    sdk = OpenAI(api_key="test-token", base_url=f"{base}/{mode}", http_client=client)
    chunks = sdk.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], stream=True)
    return sum(len(chunk.choices) for chunk in chunks)


def main() -> None:
    arguments = argparse.ArgumentParser(description="What typed events cost, beside the openai SDK.")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--events", type=int, default=2000)
    options = arguments.parse_args()
    os.environ.pop("OPENAI_BASE_URL", None)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs, options.events, CHUNK), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/"
    readers: dict[str, Any] = {
        "bare": bare,
        "untyped": untyped,
        "typed": typed,
        "openai": openai_sdk,
    }
    try:
        with httpx2.Client() as client:
            for mode in ("unpaced", "16KiB"):
                times: dict[str, list[float]] = {name: [] for name in readers}
                for _ in range(options.rounds + 1):
                    for name, read in readers.items():
                        times[name].append(measure(partial(read, client, url + mode), options.events))
                median = {name: statistics.median(values[1:]) for name, values in times.items()}
                above = {name: median[name] - median["bare"] for name in readers}
                print(f"{mode}: bare {median['bare']:.2f} µs per event; above it:")
                print(f"  untyped {above['untyped']:6.2f} µs")
                print(f"  typed   {above['typed']:6.2f} µs   ({above['typed'] - above['untyped']:.2f} above untyped)")
                ratio = above["openai"] / above["typed"]
                print(f"  openai  {above['openai']:6.2f} µs   ({ratio:.1f} times the typed one)")
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
