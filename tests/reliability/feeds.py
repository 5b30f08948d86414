"""The tests' access to the server of `feed_server.py`."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from sse_client import LastEventID, RetryPolicy, Terminator

HERE = Path(__file__).parent

PATIENT = RetryPolicy(max_retries=10, initial_delay=0.05, max_delay=0.2, jitter=0.1, retry_ambiguous=True)

# Reconnects after any fault, and completes only with the `end` event.
OPTIONS: dict[str, Any] = {
    "retry": PATIENT,
    "resume": LastEventID(retry=PATIENT),
    "terminator": Terminator(event="end"),
}


class Feeds:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def numbers(self, path: str = "numbers") -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=10) as response:
            numbers: dict[str, int] = json.load(response)
            return numbers

    def go(self) -> None:
        """Let the waiting streams continue."""
        self.numbers("go")

    def all_closed(self, within: float = 5.0) -> bool:
        """Whether the server sees all connections closed soon."""
        deadline = time.monotonic() + within
        while self.numbers()["open"]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@contextmanager
def serving() -> Iterator[Feeds]:
    """Run the server in its own process, where it takes no time or memory from the clients."""
    command = [sys.executable, str(HERE / "feed_server.py")]
    with (
        TemporaryFile("w+") as complaints,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process,
    ):
        assert process.stdout is not None
        yield Feeds(int(process.stdout.readline()))
        process.communicate("", timeout=10)
        complaints.seek(0)
        assert (process.returncode, complaints.read()) == (0, "")
