"""
Shared by the benchmarks: a server of event streams, its two formats, and the measurement of one reading.

The server runs in a process of its own, so that its work is not counted, and ends with the process that started it.
The beginning of a request's path selects the stream: `/format/mode/number of events`. An event has 250 bytes in either
format, and a chunk and a write of its own, except in the mode "16KiB"; "paced" sleeps 1 ms after each event. The
format's own last event ends the stream.

A reading is one whole stream, from the request to the end. Its CPU time is that of the process, so waiting does not
count. It is divided by the number of events, so that each event bears its share of the request. The garbage collector
runs before a reading, not during it. A reading with a wrong number of events, or that takes longer than `LIMIT`, ends
the benchmark.
"""

import faulthandler
import gc
import multiprocessing
import os
import platform
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module, metadata
from multiprocessing.connection import Connection
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from parser import machine as python_and_cpu
from pydantic import BaseModel, Field

T = TypeVar("T")

HOST = "127.0.0.1"
MODES = ("unpaced", "paced", "16KiB")
LIMIT = 60.0  # seconds for one reading: the slowest takes a tenth of that

EVENT_SIZE = 250


class Format(NamedTuple):
    event: bytes
    last: bytes


def padded(text: bytes) -> bytes:
    """Replace the `~` by enough text to make an event of the right size."""
    return text.replace(b"~", b"x" * (EVENT_SIZE - len(text) + 1))


OPENAI = Format(
    padded(
        b'data: {"id":"chatcmpl-A1b2C3","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-mini",'
        b'"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}],"obfuscation":"~"}\n\n'
    ),
    b"data: [DONE]\n\n",
)
ANTHROPIC = Format(
    padded(
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":" token ~"}}\n\n'
    ),
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
FORMATS = {"openai": OPENAI, "anthropic": ANTHROPIC}


class Delta(BaseModel):
    role: str | None = None
    content: str | None = None


class Choice(BaseModel):
    index: int
    delta: Delta
    finish_reason: str | None = None


class Chunk(BaseModel):
    """The fields of an OpenAI chunk that applications use."""

    id: str
    model: str
    choices: list[Choice]


class TextDelta(BaseModel):
    type: Literal["text_delta"]
    text: str


class InputDelta(BaseModel):
    type: Literal["input_json_delta"]
    partial_json: str


class MessageStart(BaseModel):
    type: Literal["message_start"]
    message: dict[str, Any]


class BlockStart(BaseModel):
    type: Literal["content_block_start"]
    index: int
    content_block: dict[str, Any]


class BlockDelta(BaseModel):
    type: Literal["content_block_delta"]
    index: int
    delta: Annotated[TextDelta | InputDelta, Field(discriminator="type")]


class BlockStop(BaseModel):
    type: Literal["content_block_stop"]
    index: int


class MessageDelta(BaseModel):
    type: Literal["message_delta"]
    delta: dict[str, Any]
    usage: dict[str, Any]


class MessageStop(BaseModel):
    type: Literal["message_stop"]


MessageEvent = Annotated[
    MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop, Field(discriminator="type")
]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache
def writes(format_name: str, mode: str, events: int) -> list[bytes]:
    """Return the writes after the headers."""
    event, last = FORMATS[format_name]
    if mode == "16KiB":
        stream = event * events
        pieces = [chunk(stream[start : start + 16384]) for start in range(0, len(stream), 16384)]
    else:
        pieces = [chunk(event)] * events
    return [*pieces, chunk(last) + LAST_CHUNK]


def receive(connection: socket.socket) -> bytes:
    """Read a request, with its body."""
    request = connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            missing = int(line.partition(b":")[2]) - len(body)
            while missing > 0 and (more := connection.recv(65536)):
                missing -= len(more)
    return request


def path_of(request: bytes) -> list[str]:
    """Return the parts of the requested path."""
    return request.split(b" ", 2)[1].decode().split("/")[1:]


def answer(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Some clients close the connection at the last event, before the last chunk.
    with connection, suppress(ConnectionError):
        while request := receive(connection):
            format_name, mode, events, *_ = path_of(request)
            pieces = writes(format_name, mode, int(events))
            connection.sendall(HEAD)
            for piece in pieces:
                connection.sendall(piece)
                if mode == "paced":
                    time.sleep(0.001)


def serve(port: Connection, respond: Callable[[socket.socket], None] = answer) -> None:
    """Accept connections forever, with a thread for each."""
    listener = socket.create_server((HOST, 0))
    port.send(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=respond, args=(connection,), daemon=True).start()


def run_and_leave(target: Callable[..., None], port: Connection, *arguments: Any) -> None:
    """Run the server, and end with the process that started it."""

    def leave_with_parent() -> None:
        with suppress(EOFError, OSError):
            port.recv()
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    target(port, *arguments)


@contextmanager
def running(target: Callable[..., None] = serve, *arguments: Any) -> Iterator[str]:
    """Run a server in a process of its own; yield its URL."""
    # A fresh interpreter: it has none of this process's imports, and the pipe is closed with this process.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=run_and_leave, args=(target, theirs, *arguments), daemon=True)
    server.start()
    theirs.close()
    try:
        if not ours.poll(LIMIT):
            raise TimeoutError("the server did not start")
        yield f"http://{HOST}:{ours.recv()}"
    finally:
        server.terminate()
        server.join()


class Cost(NamedTuple):
    """The cost of one reading, in microseconds per event."""

    cpu: float
    wall: float


@contextmanager
def undisturbed() -> Iterator[None]:
    """Switch the garbage collector off for the block; end the process if the block takes too long."""
    gc.collect()
    gc.disable()
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        gc.enable()


def measure(read: Callable[[], int], events: int, expected: int | None = None) -> Cost:
    """Read once; `expected` is the required count, by default the number of events."""
    with undisturbed():
        cpu, wall = time.process_time(), time.perf_counter()
        count = read()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if count != (events if expected is None else expected):
        raise RuntimeError(f"expected {events if expected is None else expected}, got {count}")
    return Cost(cpu / events * 1e6, wall / events * 1e6)


def order_of(round_number: int, items: Sequence[T]) -> list[T]:
    """Return the items in the order of a round: it rotates, and every second full turn is reversed."""
    turns, start = divmod(round_number, max(len(items), 1))
    turned = [*items[start:], *items[:start]]
    return turned[::-1] if turns % 2 else turned


def can_import(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def machine() -> dict[str, str]:
    return python_and_cpu() | {"cores": str(os.cpu_count()), "os": f"{platform.system()} {platform.release()}"}


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each package, or a note that it was left out."""
    found_versions = {}
    for package in packages:
        try:
            found_versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found_versions[package] = "not installed, left out"
    return found_versions
