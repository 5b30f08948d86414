"""
A chat in the terminal, with any of three providers: the same loop reads OpenAI's, Anthropic's and Gemini's replies.

With a key in the environment (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, `GEMINI_API_KEY`) it talks to the provider;
without one, to a scripted server that starts here. An empty line ends the chat.

    python examples/dialects/chat.py [openai|anthropic|gemini]
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import _scripted

from sse_client import Dialect, SSEClient, SSEError
from sse_client.dialects import (
    ANTHROPIC_MESSAGES,
    GEMINI,
    OPENAI_CHAT,
    Delta,
    Message,
    ReasoningDelta,
    Replaced,
    TextDelta,
)
from sse_client.testing import Answer, EventServer, RecordedRequest


@dataclass(frozen=True)
class Provider:
    """How to write a provider's requests. Only these differ: `reply_to` reads all replies."""

    dialect: Dialect[Delta, Message]
    key: str
    url: str
    path: str
    headers: Callable[[str], dict[str, str]]
    body: Callable[[list[Any]], dict[str, Any]]
    question: Callable[[str], Any]
    answer: Callable[[Message], Any]


PROVIDERS = {
    "openai": Provider(
        dialect=OPENAI_CHAT,
        key="OPENAI_API_KEY",
        url="https://api.openai.com/v1",
        path="/chat/completions",
        headers=lambda key: {"Authorization": f"Bearer {key}"},
        body=lambda turns: {"model": "gpt-4o-mini", "stream": True, "messages": turns},
        question=lambda text: {"role": "user", "content": text},
        answer=lambda message: message.native["choices"][0]["message"],
    ),
    "anthropic": Provider(
        dialect=ANTHROPIC_MESSAGES,
        key="ANTHROPIC_API_KEY",
        url="https://api.anthropic.com/v1",
        path="/messages",
        headers=lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
        body=lambda turns: {"model": "claude-sonnet-4-5", "stream": True, "max_tokens": 1024, "messages": turns},
        question=lambda text: {"role": "user", "content": text},
        answer=lambda message: {"role": "assistant", "content": message.native["content"]},
    ),
    "gemini": Provider(
        dialect=GEMINI,
        key="GEMINI_API_KEY",
        url="https://generativelanguage.googleapis.com/v1beta",
        path="/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        headers=lambda key: {"x-goog-api-key": key},
        body=lambda turns: {"contents": turns},
        question=lambda text: {"role": "user", "parts": [{"text": text}]},
        answer=lambda message: message.native["candidates"][0]["content"],
    ),
}


def reply_to(client: SSEClient, provider: Provider, turns: list[Any]) -> Message:
    """Send the turns, and print the reply while it arrives."""
    with client.post(provider.path, json=provider.body(turns), dialect=provider.dialect) as stream:
        for delta in stream:
            match delta:
                case TextDelta(text=text):
                    print(text, end="", flush=True)
                case ReasoningDelta(text=text):
                    print(f"\033[2m{text}\033[0m", end="", flush=True)
                case Replaced(message=message):
                    print("\n(once more)", message.text, end="", flush=True)
                case _:
                    pass
        return stream.final()


def chat(client: SSEClient, provider: Provider, questions: Iterator[str]) -> None:
    """Ask the questions. Each reply goes into the next request unchanged, with all that the server needs of it."""
    turns: list[Any] = []
    for text in questions:
        turns.append(provider.question(text))
        try:
            message = reply_to(client, provider, turns)
        except SSEError as error:
            print(f"\n({error})")
            turns.pop()
            continue
        print("" if message.ended_well else f" … ({message.finish_reason})")
        turns.append(provider.answer(message))


def asked() -> Iterator[str]:
    """The questions from the terminal; without a terminal, three of our own."""
    if sys.stdin.isatty():
        yield from iter(lambda: input("> "), "")
    else:
        for text in "Does it stream?", "In which pieces?", "Who keeps the turns?":
            print(">", text)
            yield text


def scripted(request: RecordedRequest) -> Answer:
    """The server of all three: it tells how many questions the request has, and the first of them."""
    body = request.json()
    turns = body.get("messages") or body["contents"]
    first = turns[0].get("content") or turns[0]["parts"][0]["text"]
    reply = f"This is question {len(turns[::2])} of a chat that began with {first!r}."
    if "contents" in body:
        return Answer(*_scripted.gemini(reply))
    if "max_tokens" in body:
        return Answer(*_scripted.anthropic({"type": "text", "text": reply}))
    return Answer(*_scripted.openai(reply))


def main() -> None:
    for name in sys.argv[1:] or PROVIDERS:
        provider = PROVIDERS[name]
        key = os.environ.get(provider.key)
        with ExitStack() as stack:
            url = provider.url if key else stack.enter_context(EventServer(scripted)).url
            headers = provider.headers(key or "no key")
            client = stack.enter_context(SSEClient(base_url=url, headers=headers))
            print(f"{name}{'' if key else ' (scripted)'}")
            chat(client, provider, asked())


if __name__ == "__main__":
    main()
