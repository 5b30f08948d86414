"""
A server that resumes, and cuts its responses at random: `python feed_server.py`, in its own process.

It writes its port to its output, and ends when its input does. The JSON of a POST describes the stream:

    number      its number; its events are `{number}/1`, `{number}/2` and so on, after the `Last-Event-ID`
    events      the number of events, which the event `end` follows
    cuts        how often the stream is cut on its way, by FIN or RST, anywhere in an event or its chunk
    refusals    how often an attempt to resume is refused: by a status, another media type, or no response
    at_once     the most events in a write
    stops_at    an event after which it waits for `/go`, if any
    pause       seconds between two writes

`/numbers` returns the numbers of open connections and of faults; `/go` lets the waiting streams continue. Randomness
depends only on the stream and the attempt.
"""

import asyncio
import json
import random
import socket
import struct
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"event: end\ndata\n\n"
REFUSALS = [
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\n<p>hi\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-st",
    b"",
]


def event(number: int, index: int) -> bytes:
    return f"id: {index}\ndata: {number}/{index}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Server:
    """All streams, by their numbers."""

    def __init__(self) -> None:
        self.open = 0
        self.faults = 0
        self.attempts = Counter[int]()
        self.refused = Counter[int]()
        self.go = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self.answer(reader, writer):
                    pass
        finally:
            self.open -= 1
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Respond to a request; return whether the connection can be used for another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")]
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        match head.split(" ")[1]:
            case "/go":
                self.go.set()
                self.go = asyncio.Event()
            case "/numbers":
                pass
            case _:
                return await self.stream(json.loads(body), int(headers.get("last-event-id", "0")), writer)
        numbers = json.dumps({"open": self.open - 1, "faults": self.faults}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(numbers), numbers))
        return False

    async def stream(self, wish: dict[str, Any], last: int, writer: asyncio.StreamWriter) -> bool:
        number, events, cuts = wish["number"], wish["events"], wish.get("cuts", 0)
        chance = random.Random(f"{number} {last} {self.attempts[number]} {self.refused[number]}")
        if last and self.refused[number] < wish.get("refusals", 0) and chance.random() < 0.5:
            self.refused[number] += 1
            self.faults += 1
            writer.write(chance.choice(REFUSALS))
            return False
        self.attempts[number] += 1
        left = cuts - self.attempts[number]  # of the cuts, without this one
        # Each response has about the same share of the rest.
        until = events
        if left >= 0:
            share = (events - last) / (left + 2) * chance.uniform(0.5, 1.5)
            until = min(last + max(1, int(share)), events)
        writer.write(HEAD)
        index = last + 1
        while index <= until:
            count = min(chance.randint(1, wish.get("at_once", 1)), until - index + 1)
            data = chunk(b"".join(event(number, each) for each in range(index, index + count)))
            if left >= 0 and index + count > until:
                writer.write(data[: chance.randrange(1, len(data))])
                self.cut(writer, chance)
                return False
            writer.write(data)
            await writer.drain()
            index += count
            if index - count <= wish.get("stops_at", 0) < index:
                await self.go.wait()
            if "pause" in wish:
                await asyncio.sleep(wish["pause"])
        writer.write(chunk(END) + b"0\r\n\r\n")
        await writer.drain()
        return True

    def cut(self, writer: asyncio.StreamWriter, chance: random.Random) -> None:
        self.faults += 1
        if chance.random() < 0.5:
            linger = struct.pack("ii", 1, 0)  # with no time to linger, closing is a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()


async def main() -> None:
    server = await asyncio.start_server(Server().serve, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)  # until the parent ends, in whatever way
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
