"""
The complete reply from its parts: a fold over the events, with a snapshot at any time, also after a failure.

Run it, offline: `python examples/accumulation.py`.
"""

from dataclasses import dataclass, replace

from pydantic import BaseModel

from sse_client import Dialect, SSEClient, StreamTruncated, Terminator
from sse_client.testing import Answer, EventServer


class Delta(BaseModel):
    """One event of the stream."""

    text: str = ""
    tool: str | None = None
    is_last: bool = False


@dataclass(frozen=True)
class Reply:
    """The result of a stream."""

    text: str = ""
    tools: tuple[str, ...] = ()


def fold(reply: Reply, delta: Delta) -> Reply:
    tools = (*reply.tools, delta.tool) if delta.tool else reply.tools
    return replace(reply, text=reply.text + delta.text, tools=tools)


CHAT = Dialect(
    events=Delta,
    terminator=Terminator(field="is_last", values={True}),
    fold=fold,
    initial=Reply(),
)

PARTS = ('data: {"text": "It is "}\n\n', 'data: {"tool": "clock"}\n\n', 'data: {"text": "noon."}\n\n')
END = 'data: {"is_last": true}\n\n'


def main() -> None:
    answers = Answer(*PARTS, END), Answer(*PARTS, END), Answer(*PARTS)
    with EventServer(*answers) as server, SSEClient(base_url=server.url) as client:
        # The result alone.
        with client.post("/chat", dialect=CHAT) as stream:
            print("final:   ", stream.final())

        # The events as they arrive, and the result so far.
        with client.post("/chat", dialect=CHAT) as stream:
            reply = stream.accumulate(fold, Reply())
            for _ in reply:
                print("so far:  ", repr(reply.snapshot.text))

        # A stream that ends too early has no final result, but its partial result is kept.
        with client.post("/chat", dialect=CHAT) as stream:
            reply = stream.accumulate()
            try:
                reply.final()
            except StreamTruncated as error:
                print("partial: ", error.partial)
                print("         ", error)


if __name__ == "__main__":
    main()
