"""
A protocol that does not come with the package, here watsonx's text generation: a reader in ten lines.

The building blocks (`text`, `tool_call`, `usage`, `finish`, …) keep the message and return the deltas. They take
anything a server may send: what is not a text, or is empty, adds nothing.

Run it, offline: `python examples/dialects/own_reader.py`.
"""

from _scripted import event, pieces

from sse_client import Dialect, ErrorEvent, ServerSentEvent, SSEClient, StreamTruncated
from sse_client.dialects import Delta, Message, MessageReader, TextDelta
from sse_client.testing import Answer, EventServer


class WatsonxReader(MessageReader):
    def read(self, event: ServerSentEvent) -> list[Delta]:
        deltas: list[Delta] = []
        for result in event.json().get("results") or ():
            deltas += self.text(result.get("generated_text"))
            if (reason := result.get("stop_reason", "not_finished")) != "not_finished":
                deltas += self.finish("length" if reason == "max_tokens" else "stop", reason)
        return deltas


WATSONX: Dialect[Delta, Message] = Dialect(reader=WatsonxReader, errors=ErrorEvent(event="error"))


def main() -> None:
    texts = [*pieces("The stream is over if a reason came, else it was cut.")]
    reply = [event({"results": [{"generated_text": text, "stop_reason": "not_finished"}]}) for text in texts]
    end = event({"results": [{"generated_text": "", "stop_reason": "eos_token"}]})

    with EventServer(Answer(*reply, end), Answer(*reply)) as server, SSEClient(base_url=server.url) as client:
        for _ in range(2):
            try:
                with client.post("/ml/v1/text/generation_stream", json={}, dialect=WATSONX) as stream:
                    for delta in stream.only(TextDelta):
                        print(delta.text, end="", flush=True)
                    print("\nended well:", stream.final().ended_well)
            except StreamTruncated as error:
                print("\ncut, after", repr(error.partial.text[-7:]))


if __name__ == "__main__":
    main()
