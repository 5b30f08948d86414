"""
A Stop button: another thread ends the stream in the middle of a read, and the events so far are kept.

Run it, offline: `python examples/cancelling.py`.
"""

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Timer

from sse_client import EventStream, ServerSentEvent, SSEClient, StreamCancelled
from sse_client.testing import Answer, EventServer, Pause

# Ten words, then a silence that only a Stop button ends.
REPLY = Answer(*["data: and on \n\n"] * 5, Pause(math.inf))

PRESSED_AFTER = 0.3


@contextmanager
def stop_button(stream: EventStream) -> Generator[None]:
    """Press it from another thread: any thread may call `close()`, at any time."""
    button = Timer(PRESSED_AFTER, stream.close)
    button.start()
    yield
    button.join()


def join(text: str, event: ServerSentEvent) -> str:
    return text + event.data


def main() -> None:
    with EventServer(REPLY) as server, SSEClient(base_url=server.url) as client:
        # A loop simply ends; nothing is raised.
        with client.post("/chat") as stream, stop_button(stream):
            begun = time.monotonic()
            text = "".join(event.data for event in stream)
            late = time.monotonic() - begun - PRESSED_AFTER
        print(f"{text!r}: {stream.outcome}, {'at once' if late < 0.1 else f'{late:.1f} s late'}")

        # `final()` raises an error, because there is no final result; the error has the partial one.
        with client.post("/chat") as stream, stop_button(stream):
            try:
                stream.accumulate(join, "").final()
            except StreamCancelled as error:
                print(f"{error.partial!r}: {error}")

        # The server sees that its client has left, and can stop computing.
        left = [request.done.wait(1) and not request.responded for request in server.requests]
        print(f"the server saw {sum(left)} of {len(left)} leave")


if __name__ == "__main__":
    main()
