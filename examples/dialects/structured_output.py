"""
Structured output: a form that is filled in while the model still writes the JSON, and is validated when it is whole.

Run it, offline: `python examples/dialects/structured_output.py`.
"""

from typing import Any

from _scripted import openai
from pydantic import BaseModel

from sse_client import SSEClient
from sse_client.dialects import OPENAI_CHAT, TextDelta
from sse_client.testing import Answer, EventServer


class Recipe(BaseModel):
    title: str
    minutes: int
    steps: list[str]


class Form:
    """A form on a screen: it draws the fields that have changed."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}

    def update(self, values: dict[str, Any] | None) -> None:
        """Take the values so far; a text grows, everything else comes when it is whole."""
        for name, value in (values or {}).items():
            line = f"{name}: {value}"
            if self.shown.get(name) != line:
                self.shown[name] = line
                print(line)


def main() -> None:
    reply = Recipe(title="Pancakes", minutes=20, steps=["Mix the flour and the milk.", "Fry."]).model_dump_json()
    schema = {"name": "recipe", "strict": True, "schema": Recipe.model_json_schema()}
    body = {
        "model": "scripted",
        "stream": True,
        "messages": [{"role": "user", "content": "How do I make pancakes?"}],
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    form = Form()
    with (
        EventServer(Answer(*openai(reply))) as server,
        SSEClient(base_url=server.url) as client,
        client.post("/chat/completions", json=body, dialect=OPENAI_CHAT) as stream,
    ):
        for delta in stream.only(TextDelta):
            form.update(delta.part.partial)
        # Only the whole text is validated: a field that has not come is not an error before.
        recipe = Recipe.model_validate_json(stream.final().text)
    print(repr(recipe))


if __name__ == "__main__":
    main()
