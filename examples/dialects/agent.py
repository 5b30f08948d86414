"""
An agent: the model calls tools, the results go back to it, and so on until it has its answer.

The turn of the assistant goes back as the server has sent it (`message.native`), with its signature and everything else
that this example knows nothing of. The scripted server insists on that, as the real ones do.

Run it, offline: `python examples/dialects/agent.py`.
"""

from collections.abc import Callable
from typing import Any

from _scripted import anthropic

from sse_client import SSEClient
from sse_client.dialects import ANTHROPIC_MESSAGES, Message, TextDelta, ToolCallEnd
from sse_client.testing import Answer, EventServer, RecordedRequest

PRICES = {"oat milk": 2, "coffee": 7}


def price(product: str) -> int:
    return PRICES[product]


TOOLS: dict[str, Callable[..., Any]] = {"price": price}


def run(client: SSEClient, question: str) -> Message:
    """Ask, run the tools that the model calls, and ask again with their results, until it calls none."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    while True:
        body = {"model": "scripted", "stream": True, "max_tokens": 1024, "messages": messages}
        results: list[dict[str, Any]] = []
        with client.post("/v1/messages", json=body, dialect=ANTHROPIC_MESSAGES) as stream:
            for delta in stream:
                match delta:
                    case TextDelta(text=text):
                        print(text, end="", flush=True)
                    # Arguments that were cut are never repaired, and never run.
                    case ToolCallEnd(call=call) if call.kind == "function" and call.is_whole:
                        output = TOOLS[call.name or ""](**call.input)
                        print(f" [{call.name}({call.arguments}) = {output}]", flush=True)
                        results.append({"type": "tool_result", "tool_use_id": call.id, "content": str(output)})
                    case _:
                        pass
            message = stream.final()
        if not (results and message.ended_well):
            return message
        messages += [
            {"role": "assistant", "content": message.native["content"]},
            {"role": "user", "content": results},
        ]


# The server

FIRST_TURN: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "I need both prices.", "signature": "c2lnbmVk"},
    {"type": "text", "text": "Let me look."},
    {"type": "tool_use", "id": "t1", "name": "price", "input": {"product": "oat milk"}},
    {"type": "tool_use", "id": "t2", "name": "price", "input": {"product": "coffee"}},
]


def server(request: RecordedRequest) -> Answer:
    match request.json()["messages"]:
        case [_]:
            return Answer(*anthropic(*FIRST_TURN, stop_reason="tool_use"))
        case [_, assistant, user]:
            assert assistant == {"role": "assistant", "content": FIRST_TURN}
            assert [result["tool_use_id"] for result in user["content"]] == ["t1", "t2"]
            total = sum(int(result["content"]) for result in user["content"])
            return Answer(*anthropic({"type": "text", "text": f"Together they cost {total} euros."}))
        case more:
            raise AssertionError(more)


def main() -> None:
    with EventServer(server) as scripted, SSEClient(base_url=scripted.url) as client:
        message = run(client, "What do oat milk and coffee cost together?")
        print(f" ({message.finish_reason} after {len(scripted.requests)} requests)")


if __name__ == "__main__":
    main()
