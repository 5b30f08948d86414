"""
CPU per event, from the request to the user's loop: this library, its peers, and the bare HTTP clients below them.

    python benchmarks/end_to_end.py [--rounds N] [--events N] [--modes MODE ...] [--only WORDS] [--json FILE]

Method. The server of `loopback.py` sends 5,000 events of 250 bytes, either one per write as fast as possible (unpaced)
or in writes of 16 KiB; or it sends 500 events, one per write and 1 ms, like a model (paced). The readers are the rows
of one table and run in one process, each as in its own documentation, with its own defaults, on clients that are
created once. A floor reads the bytes from its client and does nothing with them. A raw reader returns untyped events;
all raw readers read the same bytes. A typed reader makes objects of the JSON. The SDKs do this with the bytes of their
own format; this library reads the same bytes into models with the fields that applications use, and once more into the
SDK's own classes. It also looks for the end of the stream and for error events, like the SDKs.

In a round each reader reads one stream in each mode, in an order that rotates. A reader is left out if its package is
not installed, or if it fails or counts wrongly on a short stream before the first round; every later reading must
count correctly. The figures are medians of the rounds. "x ours" is the median of the ratios within the rounds: the
reader's CPU time over that of this library on the same client, or on the most similar one. The list at the end shows
this library's goals.

In "unpaced", the number of events per read depends on the speed of the reader: compare ratios, not times.
"""

import argparse
import asyncio
import gc
import json
import math
import socket
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, TypeAlias

from loopback import (
    EVENT_SIZE,
    FORMATS,
    HEAD,
    MODES,
    Chunk,
    Cost,
    MessageEvent,
    can_import,
    machine,
    measure,
    order_of,
    running,
    versions,
    writes,
)
from overhead import abare, ashell, bare, shell
from parser import print_verdict

from sse_client import AsyncSSEClient, Dialect, ErrorEvent, SSEClient, Terminator

PACKAGES = (
    *("httpx", "httpx2", "httpx-aiohttp", "aiohttp", "urllib3", "requests", "pydantic"),
    *("httpx-sse", "openai", "anthropic", "launchdarkly-eventsource", "sseclient-py", "requests-sse"),
    "aiohttp-sse-client2",
)

Style: TypeAlias = Literal["sync", "async"]
Kind: TypeAlias = Literal["floor", "raw", "openai", "anthropic"]
Read: TypeAlias = Callable[[Any, str], Any]  # takes a client and a URL; returns the count, or an awaitable of it

OURS = "sse-client"
SDK_CLASSES = "sse-client, the SDK's classes"
BYTES = "bytes alone"
FEED = "bytes and feed()"
AIOHTTP = "httpx over aiohttp"  # httpx with the transport of httpx-aiohttp

# For clients that this library does not run on: the most similar one that it does.
NEAREST = {"socket": "httpx", "urllib3": "httpx", "requests": "httpx", "aiohttp": AIOHTTP}

DONE = "[DONE]"
MESSAGES = [{"role": "user", "content": "Hello!"}]
WARM_UP = 200  # events


class Key(NamedTuple):
    """Identifies a row."""

    name: str
    client: str
    style: Style
    kind: Kind

    def __str__(self) -> str:
        objects = f", {self.kind} objects" if self.kind in ("openai", "anthropic") else ""
        return f"{self.name} on {self.client}, {self.style}{objects}"


class Reader(NamedTuple):
    key: Key
    read: Read
    module: str  # must be installed in addition to the client

    def path(self, mode: str, events: int) -> str:
        return f"/{'anthropic' if self.key.kind == 'anthropic' else 'openai'}/{mode}/{events}"

    def expected(self, mode: str, events: int) -> int:
        """Return the count that this reader must reach."""
        if self.key.kind == "anthropic":
            return events + 1  # for all readers, message_stop is an event
        if self.key.name != BYTES:
            return events
        if self.key.client == "socket":
            return len(HEAD) + sum(map(len, writes("openai", mode, events)))
        return EVENT_SIZE * events + len(FORMATS["openai"].last)


@dataclass
class Result:
    """The rounds of one reader, in microseconds per event, by mode."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    wall: dict[str, list[float]] = field(default_factory=dict)

    def add(self, mode: str, cost: Cost) -> None:
        self.cpu.setdefault(mode, []).append(cost.cpu)
        self.wall.setdefault(mode, []).append(cost.wall)


Results: TypeAlias = dict[Key, Result]


def count(events: Iterable[Any]) -> int:
    number = 0
    for _ in events:
        number += 1
    return number


async def acount(events: AsyncIterable[Any]) -> int:
    number = 0
    async for _ in events:
        number += 1
    return number


def socket_bytes(_: Any, url: str) -> int:
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    size, end = 0, b""
    with socket.create_connection((name, int(port))) as connection:
        connection.sendall(f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        while not end.endswith(b"\r\n0\r\n\r\n"):
            piece = connection.recv(65536)
            size += len(piece)
            end = end[-6:] + piece
    return size


def urllib3_bytes(pool: Any, url: str) -> int:
    response = pool.request("POST", url, preload_content=False)
    size = sum(map(len, response.stream(65536)))
    response.release_conn()
    return size


def client_bytes(client: Any, url: str) -> int:
    with client.stream("POST", url) as response:
        return sum(map(len, response.iter_raw()))


async def aclient_bytes(client: Any, url: str) -> int:
    size = 0
    async with client.stream("POST", url) as response:
        async for piece in response.aiter_raw():
            size += len(piece)
    return size


async def aiohttp_bytes(session: Any, url: str) -> int:
    size = 0
    async with session.post(url) as response:
        async for piece in response.content.iter_any():
            size += len(piece)
    return size


# For the peers that read until the end of the body, [DONE] is the last event.


def httpx_sse(client: Any, url: str) -> int:
    with import_module("httpx_sse").connect_sse(client, "POST", url) as source:
        return count(source.iter_sse()) - 1


async def ahttpx_sse(client: Any, url: str) -> int:
    async with import_module("httpx_sse").aconnect_sse(client, "POST", url) as source:
        return await acount(source.aiter_sse()) - 1


def httpx2_sse(client: Any, url: str) -> int:
    with client.sse(url, method="POST") as source:
        return count(source) - 1


async def ahttpx2_sse(client: Any, url: str) -> int:
    async with client.sse(url, method="POST") as source:
        return await acount(source) - 1


def sseclient_py(session: Any, url: str) -> int:
    events = import_module("sseclient").SSEClient(session.post(url, stream=True)).events()
    return count(events) - 1


# This one and its async twin support only GET.
def launchdarkly(pool: Any, url: str) -> int:
    module = import_module("ld_eventsource.sse_client")
    with module.SSEClient(module.ConnectStrategy.http(url, pool=pool)) as source:
        return count(source.events) - 1


async def alaunchdarkly(session: Any, url: str) -> int:
    module = import_module("ld_eventsource.async_client")
    async with module.AsyncSSEClient(module.AsyncConnectStrategy.http(url, session=session)) as source:
        return await acount(source.events) - 1


# These two never end: they would reconnect.


def requests_sse(session: Any, url: str) -> int:
    number = 0
    with import_module("requests_sse").EventSource(url, method="POST", session=session) as source:
        for event in source:
            if event.data == DONE:
                break
            number += 1
    return number


async def aiohttp_sse_client2(session: Any, url: str) -> int:
    number = 0
    module = import_module("aiohttp_sse_client2.client")
    async with module.EventSource(url, option={"method": "POST"}, session=session) as source:
        async for event in source:
            if event.data == DONE:
                break
            number += 1
    return number


def openai_dialect(events: Any) -> Dialect[Any]:
    return Dialect(events=events, errors=ErrorEvent(field="error"))


def anthropic_dialect(events: Any) -> Dialect[Any]:
    return Dialect(
        events=events,
        terminator=Terminator(event="message_stop"),
        errors=ErrorEvent(event="error"),
        pings={"ping"},
    )


@cache
def dialect(name: str) -> Dialect[Any]:
    match name:
        case "openai":
            return openai_dialect(Chunk)
        case "anthropic":
            return anthropic_dialect(MessageEvent)
        case "openai's classes":
            return openai_dialect(import_module("openai.types.chat").ChatCompletionChunk)
    return anthropic_dialect(import_module("anthropic.types").RawMessageStreamEvent)


def typed(name: str, client: Any, url: str) -> int:
    with SSEClient(http_client=client).post(url, dialect=dialect(name)) as stream:
        return count(stream)


async def atyped(name: str, client: Any, url: str) -> int:
    async with AsyncSSEClient(http_client=client).post(url, dialect=dialect(name)) as stream:
        return await acount(stream)


@cache
def sdk(module: str, name: str, client: Any, url: str) -> Any:
    """Create an SDK's client once, as applications do. It adds its own path to the URL."""
    return getattr(import_module(module), name)(api_key="test-token", base_url=url, http_client=client)


def openai(client: Any, url: str) -> int:
    completions = sdk("openai", "OpenAI", client, url).chat.completions
    return count(completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))


async def aopenai(client: Any, url: str) -> int:
    completions = sdk("openai", "AsyncOpenAI", client, url).chat.completions
    return await acount(await completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))


def anthropic(client: Any, url: str) -> int:
    messages = sdk("anthropic", "Anthropic", client, url).messages
    return count(messages.create(model="claude", max_tokens=1000, messages=MESSAGES, stream=True))


async def aanthropic(client: Any, url: str) -> int:
    messages = sdk("anthropic", "AsyncAnthropic", client, url).messages
    return await acount(await messages.create(model="claude", max_tokens=1000, messages=MESSAGES, stream=True))


def rows() -> Iterator[Reader]:
    def row(name: str, client: str, style: Style, kind: Kind, read: Read, module: str = "sse_client") -> Reader:
        return Reader(Key(name, client, style, kind), read, module)

    yield row(BYTES, "socket", "sync", "floor", socket_bytes)
    yield row(BYTES, "urllib3", "sync", "floor", urllib3_bytes)
    yield row(BYTES, "httpx", "sync", "floor", client_bytes)
    yield row(BYTES, "httpx2", "sync", "floor", client_bytes)
    yield row(BYTES, "httpx", "async", "floor", aclient_bytes)
    yield row(BYTES, "httpx2", "async", "floor", aclient_bytes)
    yield row(BYTES, AIOHTTP, "async", "floor", aclient_bytes)
    yield row(BYTES, "aiohttp", "async", "floor", aiohttp_bytes)

    yield row(FEED, "httpx", "sync", "floor", bare)
    yield row(OURS, "httpx", "sync", "raw", shell)
    yield row("httpx-sse", "httpx", "sync", "raw", httpx_sse, "httpx_sse")
    yield row(OURS, "httpx2", "sync", "raw", shell)
    yield row("client.sse()", "httpx2", "sync", "raw", httpx2_sse)
    yield row("launchdarkly", "urllib3", "sync", "raw", launchdarkly, "ld_eventsource")
    yield row("sseclient-py", "requests", "sync", "raw", sseclient_py, "sseclient")
    yield row("requests-sse", "requests", "sync", "raw", requests_sse, "requests_sse")

    yield row(FEED, "httpx", "async", "floor", abare)
    yield row(OURS, "httpx", "async", "raw", ashell)
    yield row("httpx-sse", "httpx", "async", "raw", ahttpx_sse, "httpx_sse")
    yield row(OURS, "httpx2", "async", "raw", ashell)
    yield row("client.sse()", "httpx2", "async", "raw", ahttpx2_sse)
    yield row(OURS, AIOHTTP, "async", "raw", ashell)
    yield row("httpx-sse", AIOHTTP, "async", "raw", ahttpx_sse, "httpx_sse")
    yield row("launchdarkly", "aiohttp", "async", "raw", alaunchdarkly, "ld_eventsource.async_client")
    yield row("aiohttp-sse-client2", "aiohttp", "async", "raw", aiohttp_sse_client2, "aiohttp_sse_client2")

    kinds: tuple[Kind, ...] = ("openai", "anthropic")
    sdks: dict[Kind, tuple[Read, Read]] = {"openai": (openai, aopenai), "anthropic": (anthropic, aanthropic)}
    for kind in kinds:
        yield row(OURS, "httpx", "sync", kind, partial(typed, kind))
        yield row(OURS, "httpx2", "sync", kind, partial(typed, kind))
        yield row(SDK_CLASSES, "httpx2", "sync", kind, partial(typed, f"{kind}'s classes"), kind)
        yield row(kind, "httpx2", "sync", kind, sdks[kind][0], kind)
        yield row(OURS, "httpx", "async", kind, partial(atyped, kind))
        yield row(OURS, AIOHTTP, "async", kind, partial(atyped, kind))
        yield row(OURS, "httpx2", "async", kind, partial(atyped, kind))
        yield row(SDK_CLASSES, "httpx2", "async", kind, partial(atyped, f"{kind}'s classes"), kind)
        yield row(kind, "httpx2", "async", kind, sdks[kind][1], kind)


async def make_clients(stack: AsyncExitStack) -> dict[tuple[str, Style], Any]:
    """Create one of each installed client. This runs in the event loop, because aiohttp requires it."""
    clients: dict[tuple[str, Style], Any] = {("socket", "sync"): None}
    for name in ("httpx", "httpx2"):
        if can_import(name):
            library = import_module(name)
            clients[name, "sync"] = stack.enter_context(library.Client())
            clients[name, "async"] = await stack.enter_async_context(library.AsyncClient())
    if can_import("requests"):
        clients["requests", "sync"] = stack.enter_context(import_module("requests").Session())
    if can_import("urllib3"):
        clients["urllib3", "sync"] = stack.enter_context(import_module("urllib3").PoolManager())
    if can_import("aiohttp"):
        clients["aiohttp", "async"] = await stack.enter_async_context(import_module("aiohttp").ClientSession())
    if can_import("httpx_aiohttp"):
        client = import_module("httpx_aiohttp").HttpxAiohttpClient()
        clients[AIOHTTP, "async"] = await stack.enter_async_context(client)
    return clients


Readings: TypeAlias = dict[Reader, Callable[[str], int]]  # reads a URL with each reader


def prepare(
    runner: asyncio.Runner, clients: dict[tuple[str, Style], Any], url: str, only: str
) -> tuple[Readings, dict[str, str]]:
    """Read a short stream with each reader in each mode; return the readers that work, and why others are left out."""

    def run(read: Read, client: Any, path: str) -> Any:
        return runner.run(read(client, path))

    readings: Readings = {}
    left_out = {}
    for reader in rows():
        key = reader.key
        if only not in str(key):
            continue
        if (key.client, key.style) not in clients or not can_import(reader.module):
            left_out[str(key)] = "not installed"
            continue
        client = clients[key.client, key.style]
        read = partial(reader.read, client) if key.style == "sync" else partial(run, reader.read, client)
        try:
            for mode in MODES:
                path, expected = url + reader.path(mode, WARM_UP), reader.expected(mode, WARM_UP)
                measure(partial(read, path), WARM_UP, expected)
        except Exception as error:
            left_out[str(key)] = f"{error!r:.200}"
        else:
            readings[reader] = read
    return readings, left_out


def run_rounds(readings: Readings, url: str, modes: list[str], rounds: int, events: int) -> Results:
    gc.collect()
    gc.freeze()  # the collections between the readings need not look through the modules of all peers
    results = {reader.key: Result() for reader in readings}
    for number in range(rounds):
        for mode in modes:
            # Fewer if each takes a millisecond: many short rounds reduce noise more.
            wanted = max(events // 10, 1) if mode == "paced" else events
            for reader, read in order_of(number, list(readings.items())):
                path, expected = url + reader.path(mode, wanted), reader.expected(mode, wanted)
                try:
                    results[reader.key].add(mode, measure(partial(read, path), wanted, expected))
                except Exception as error:
                    error.add_note(f"{reader.key}, {mode}")
                    raise
    return results


def ratio(results: Results, above: Key, below: Key, mode: str) -> float:
    """Return the median of the ratios of CPU time within the rounds; NaN if one of the two was left out."""
    if above not in results or below not in results:
        return math.nan
    return median(a / b for a, b in zip(results[above].cpu[mode], results[below].cpu[mode], strict=True))


def counterpart(key: Key) -> Key:
    """Return the row of this library that a reader is compared with."""
    return Key(OURS, NEAREST.get(key.client, key.client), key.style, "raw" if key.kind == "floor" else key.kind)


def print_results(results: Results, modes: list[str]) -> None:
    for mode in modes:
        print(f"\n{mode:64}{'CPU':>10}{'x ours':>10}{'wall':>13}")
        for key, result in results.items():
            cpu, wall = median(result.cpu[mode]), median(result.wall[mode])
            print(f"  {key!s:62}{cpu:7.2f} µs{ratio(results, key, counterpart(key), mode):10.2f}{wall:10.2f} µs")


class Goal(NamedTuple):
    """A bound on the CPU time of `above` over that of `below`, by mode."""

    above: Key
    below: Key
    bound: Literal[">=", "<="]
    times: dict[str, float]


def goals() -> Iterator[Goal]:
    less = {"paced": 1.0, "unpaced": 1.0, "16KiB": 1.0}
    styles: tuple[Style, ...] = ("sync", "async")
    for style in styles:
        ours = Key(OURS, "httpx", style, "raw")
        on_httpx2 = Key(OURS, "httpx2", style, "raw")
        chunks = Key(OURS, "httpx2", style, "openai")
        messages = Key(OURS, "httpx2", style, "anthropic")
        yield Goal(Key("httpx-sse", "httpx", style, "raw"), ours, ">=", less | {"16KiB": 1.8})
        yield Goal(Key("client.sse()", "httpx2", style, "raw"), on_httpx2, ">=", less)
        yield Goal(Key("openai", "httpx2", style, "openai"), chunks, ">=", less | {"paced": 2.0, "unpaced": 8.0})
        yield Goal(Key("anthropic", "httpx2", style, "anthropic"), messages, ">=", less)
        at_most = {"paced": 1.05 if style == "sync" else 1.08, "unpaced": 1.08}
        yield Goal(ours, Key(FEED, "httpx", style, "floor"), "<=", at_most)
    over_aiohttp = Key(OURS, AIOHTTP, "async", "raw")
    yield Goal(Key("httpx-sse", "httpx", "async", "raw"), over_aiohttp, ">=", {"paced": 1.8})


def print_goals(results: Results, modes: list[str]) -> None:
    print("\nGoals for the ratios, and results")
    for above, below, bound, times in goals():
        for mode, limit in times.items():
            if mode in modes and above in results and below in results:
                measured = ratio(results, above, below, mode)
                short = 1 - measured / limit if bound == ">=" else measured / limit - 1
                print_verdict(
                    f"{mode}: {above} / {below.name} on {below.client}", f"{bound} {limit:.2f}", measured, short
                )


def main() -> None:
    arguments = argparse.ArgumentParser(description="CPU per event, from the request to the user's loop.")
    arguments.add_argument("--rounds", type=int, default=7, help="(default: 7)")
    arguments.add_argument("--events", type=int, default=5000, help="per stream; a tenth in paced (default: 5000)")
    arguments.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    arguments.add_argument("--only", metavar="WORDS", default="", help="only the readers with these words in their row")
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()

    about = {"machine": machine(), "versions": versions(PACKAGES)}
    print(*(f"{key}: {value}" for part in about.values() for key, value in part.items()), sep="\n")
    with running() as url, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        clients = runner.run(make_clients(stack))
        readings, left_out = prepare(runner, clients, url, options.only)
        print(*(f"left out: {key}: {why}" for key, why in left_out.items()), sep="\n")
        results = run_rounds(readings, url, options.modes, options.rounds, options.events)
        runner.run(stack.aclose())

    print_results(results, options.modes)
    print_goals(results, options.modes)
    if options.json:
        figures = [key._asdict() | {"cpu": result.cpu, "wall": result.wall} for key, result in results.items()]
        options.json.write_text(json.dumps({**about, "left out": left_out, "microseconds": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
