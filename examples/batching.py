"""
Two thousand tokens per second, on a terminal that is drawn thirty times per second: many events in one call.

The first token is shown at once, and a pause of the server never delays the tokens before it.

Run it, offline: `python examples/batching.py`.
"""

import sys

from sse_client import Handlers, ServerSentEvent, SSEClient, Terminator
from sse_client.testing import Answer, EventServer, Pause

BURST = "".join(f"data: {number}\n\n" for number in range(20))
STEPS: list[str | Pause] = [BURST, Pause(0.01)]
REPLY = Answer(*STEPS * 25, Pause(0.25), BURST, "data: [DONE]\n\n")

# Makes the [DONE] required: a reply without it is not complete. By default it may be missing.
DONE = Terminator(data="[DONE]")


class Screen:
    def __init__(self) -> None:
        self.draws = self.tokens = 0

    def draw(self, events: list[ServerSentEvent]) -> None:
        """Rewrite one line of the terminal."""
        self.draws += 1
        self.tokens += len(events)
        if sys.stdout.isatty():
            print(f"\r\x1b[K{self.tokens:4} {'▇' * (self.tokens // 10)}", end="", flush=True)


def main() -> None:
    screen = Screen()
    on = Handlers()
    on.batch("message", interval=1 / 30)(screen.draw)

    with EventServer(REPLY) as server, SSEClient(base_url=server.url) as client:
        stats = client.post("/chat", terminator=DONE).dispatch(on)

    assert screen.tokens == stats.events
    print(f"\n{stats.events} events in {stats.duration:.1f} s, drawn {screen.draws} times")


if __name__ == "__main__":
    main()
