"""
Forks in the middle of a stream, and prints the result of the parent's stream. `test_fork.py` runs it as a program.

    python forking.py WHO WHAT ORIGIN PATH LIBRARY [CA]

WHO is the thread that forks: the one that reads ("reader"), or another one while the first is blocked in a read
("other"). WHAT is the action of the child, one of the functions below.
"""

import gc
import json
import multiprocessing
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sse_client import EventStream, SSEClient, StreamTimeout, Timeouts
from sse_client._shells.waking import watchdog

CLOCK = 0.5
AT_EVENT = 3


class Program:
    """The parent and its child; both have the same stream."""

    def __init__(self, who: str, what: str, origin: str, path: str, client: Any) -> None:
        self.who = who
        self.what: Callable[[Program], None] = getattr(Program, what)
        self.origin = origin
        self.sse = SSEClient(http_client=client, retry=None)
        self.streams: list[EventStream] = [self.sse.post(origin + path, timeout=Timeouts(idle=CLOCK))]
        self.data: list[str] = []
        self.is_at_event = threading.Event()
        self.child = 0

    @property
    def stream(self) -> EventStream:
        return self.streams[0]

    def use_a_clock(self) -> None:
        """Open the child's own stream, which runs into its own clock, while those of the parent pass."""
        with suppress(StreamTimeout), self.sse.post(f"{self.origin}/silent", timeout=2 * CLOCK) as own:
            list(own)
        assert own.outcome == "timeout"

    def collect(self) -> None:
        """Leave the stream to the garbage collector."""
        self.streams.clear()
        gc.collect()

    def leave(self) -> None:
        """Exit the program like a script, with the stream open, or leave its `with` block."""
        sys.exit(0)

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()
        assert self.stream.state == "closed"

    def close_client(self) -> None:
        """Close the client, and the stream with it."""
        self.sse.close()
        assert self.stream.state == "closed"

    def read(self) -> None:
        """Read an event of the stream, instead of the parent."""
        say(next(self.stream).data)

    def fork(self) -> None:
        sys.stdout.flush()
        self.child = os.fork()
        if self.child == 0:
            self.be_child()

    def be_child(self) -> None:
        signal.alarm(10)
        try:
            self.what(self)
        except Exception:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def fork_while_locked(self) -> None:
        """Fork while another thread holds the lock of the watchdog."""
        held, forked = threading.Event(), threading.Event()

        def hold() -> None:
            with watchdog._condition:
                held.set()
                forked.wait()

        threading.Thread(target=hold).start()
        held.wait()
        self.fork()
        forked.set()

    def spawn(self) -> None:
        """Fork like multiprocessing."""
        process = multiprocessing.get_context("fork").Process(target=self.be_child)
        process.start()
        assert process.pid is not None
        self.child = process.pid

    def run(self) -> None:
        fork = {"locked": self.fork_while_locked, "multiprocessing": self.spawn}.get(self.who, self.fork)
        if self.who == "reader":
            self.read_to_its_end(fork)
        else:
            reader = threading.Thread(target=self.read_to_its_end, args=(self.is_at_event.set,))
            reader.start()
            self.is_at_event.wait()
            time.sleep(0.01)  # it is probably blocked by now, which does not matter
            fork()
            reader.join()
        _, status = os.waitpid(self.child, 0)
        say({"data": self.data, "outcome": self.stream.outcome, "child": status})

    def read_to_its_end(self, at_event: Callable[[], None]) -> None:
        for event in self.stream:
            self.data.append(event.data)
            if len(self.data) == AT_EVENT:
                at_event()


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(who: str, what: str, origin: str, path: str, library: str, ca: str | None = None) -> None:
    module: Any = __import__(library)
    with module.Client(verify=ssl.create_default_context(cafile=ca)) as client:
        Program(who, what, origin, path, client).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
