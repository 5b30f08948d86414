"""
Callbacks instead of a loop: by the type of an event, by its name, by a field, and for the life of the stream.

Run it, offline: `python examples/callbacks.py`.
"""

from collections import Counter
from typing import Annotated

from pydantic import BaseModel

from sse_client import Handlers, Named, ServerSentEvent, SSEClient, SSEError, StreamInterrupted, Terminator
from sse_client.testing import FIN, Answer, EventServer


class Token(BaseModel):
    token: str


class Usage(BaseModel):
    input: int
    output: int


# Resolved by the name of the event. Without names, a union is resolved by a field, or by the fields that are present.
ChatEvent = Annotated[Token, Named("message")] | Annotated[Usage, Named("usage")]

REPLY = (
    'data: {"token": "Hand"}\n\n',
    'data: {"token": "led"}\n\n',
    "event: note\ndata: a name that the type does not list\n\n",
    'event: usage\ndata: {"input": 12, "output": 2}\n\n',
)

# The last event: without it the reply is not complete.
END = Terminator(event="usage")

on = Handlers()
seen: Counter[str] = Counter()


@on(Token)
def show(event: Token) -> None:
    print(event.token, end="", flush=True)


@on(Usage)
def count(event: Usage) -> None:
    print(f"\n  {event.input + event.output} tokens in all")


@on("note")
def note(event: ServerSentEvent) -> None:
    print(f"\n  note: {event.data}", end="")


@on.field("token")
def measure(token: str) -> None:
    seen["letters"] += len(token)


@on.complete
def complete() -> None:
    print(f"  complete, {seen['letters']} letters")


@on.error
def error(error: SSEError) -> None:
    print(f"\n  {type(error).__name__}: {error}")


@on.close
def close() -> None:
    print("  closed")


def main() -> None:
    with EventServer(Answer(*REPLY), Answer(REPLY[0], FIN)) as server, SSEClient(base_url=server.url) as client:
        stats = client.post("/chat", events=ChatEvent, terminator=END).dispatch(on)
        print(f"  {stats.events} events\n")

        # Handlers observe: dispatch raises the stream's error, too.
        try:
            client.post("/chat", events=ChatEvent, terminator=END).dispatch(on)
        except StreamInterrupted as error:
            print(f"  after {error.stats.events} event")


if __name__ == "__main__":
    main()
