"""
The main job in one file: POST a question, print the reply token by token, sync and async, and see one truthful failure.

Run it, offline: it starts a small server of its own, on a real socket.

    python examples/quickstart.py
"""

import asyncio

from sse_client import AsyncSSEClient, SSEClient, StreamTruncated, Terminator
from sse_client.testing import Answer, EventServer, Pause, RecordedRequest

REPLY = ("Events", " arrive", " one", " by", " one", ",", " while", " the", " server", " is", " still", " writing", ".")


def chat(request: RecordedRequest) -> Answer:
    """The server: a token every 30 ms, then the end. A reply to a question with "short" in it stops before the end."""
    is_cut = "short" in request.json()["message"]
    steps: list[str | Pause] = []
    for token in REPLY[:5] if is_cut else REPLY:
        steps += [f'data: {{"type": "text", "content": "{token}"}}\n\n', Pause(0.03)]
    if not is_cut:
        steps += ['data: {"type": "done"}\n\n']
    return Answer(*steps)


# A stream without this event is not complete, however cleanly it ends.
DONE = Terminator(field="type", values={"done"})


def ask(client: SSEClient, question: str) -> None:
    with client.post("/api/chat/stream", json={"message": question}, terminator=DONE) as stream:
        for event in stream:
            print(event.json().get("content", "\n"), end="", flush=True)


async def ask_async(client: AsyncSSEClient, question: str) -> None:
    async with client.post("/api/chat/stream", json={"message": question}, terminator=DONE) as stream:
        async for event in stream:
            print(event.json().get("content", "\n"), end="", flush=True)


def main() -> None:
    with EventServer(chat) as server, SSEClient(base_url=server.url) as client:
        print("sync:  ", end="")
        ask(client, "How do events arrive?")

        print("async: ", end="")
        asyncio.run(main_async(server.url))

        print("cut:   ", end="")
        try:
            ask(client, "In short?")
        except StreamTruncated as error:
            print(f"\n       {type(error).__name__}: {error}")


async def main_async(url: str) -> None:
    async with AsyncSSEClient(base_url=url) as client:
        await ask_async(client, "And with asyncio?")


if __name__ == "__main__":
    main()
