"""
Events as your own pydantic models: `match` on them, and let a type checker find a forgotten case.

Run it, offline: `python examples/typed_events.py`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from sse_client import DecodeError, Dialect, ErrorEvent, SSEClient, Terminator
from sse_client.testing import Answer, EventServer


class Text(BaseModel):
    type: Literal["text"]
    content: str


class ToolCall(BaseModel):
    type: Literal["tool_call"]
    name: str
    seconds: float


class Done(BaseModel):
    type: Literal["done"]
    tokens: int


# The whole protocol of the application, as one value.
CHAT = Dialect(
    events=Annotated[Text | ToolCall | Done, Field(discriminator="type")],
    terminator=Terminator(field="type", values={"done"}),
    errors=ErrorEvent(field="type", values={"error"}),
)

REPLY = Answer(
    'data: {"type": "text", "content": "Oslo is "}\n\n',
    'data: {"type": "tool_call", "name": "weather", "seconds": 0.25}\n\n',
    'data: {"type": "mood", "value": "sunny"}\n\n',  # from a newer server: a type that is not listed is skipped
    'data: {"type": "text", "content": 3}\n\n',  # a listed type whose content does not validate
    'data: {"type": "text", "content": "mild."}\n\n',
    'data: {"type": "done", "tokens": 4}\n\n',
)


def main() -> None:
    text, seconds = "", 0.0
    with (
        EventServer(REPLY) as server,
        SSEClient(base_url=server.url) as client,
        client.post("/chat", json={"message": "How is Oslo?"}, dialect=CHAT) as stream,
    ):
        while stream.outcome is None:
            try:
                for event in stream:
                    match event:
                        case Text(content=content):
                            text += content
                        case ToolCall(name=name):
                            seconds += event.seconds
                            print(f"called {name}")
                        case Done(tokens=tokens):
                            print(f"{text!r}: {tokens} tokens, {seconds} s in tools")
            except DecodeError as error:
                print(f"left out: {error}")  # iterate again to continue with the next event
        print(f"{stream.outcome}, {stream.stats.unknown} unknown")


if __name__ == "__main__":
    main()
