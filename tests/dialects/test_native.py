"""
`native` beside the official SDKs, if they are installed: what they accumulate from the same bytes is what `native` has.

Each SDK reads the recorded stream through a transport in memory. Its null values and ours are left out.
"""

import importlib
import json
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

from sse_client.dialects import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES

from .playing import STREAMS, expectations, play

# The versions that the comparison was made with: the extra `bench` pins them.
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSIONS = dict(each.split("==") for each in PROJECT["optional-dependencies"]["bench"] if "==" in each)


def sdk(name: str) -> Any:
    """The SDK, in the version that is known."""
    module = pytest.importorskip(name)
    if module.__version__ != VERSIONS[name]:
        pytest.skip(f"{name} {VERSIONS[name]} is needed, not {module.__version__}")
    return module


def transport(library: ModuleType, data: bytes) -> Any:
    """A client of the library that the SDK is built on; every request gets the stream."""

    def respond(request: Any) -> Any:
        return library.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    return library.Client(transport=library.MockTransport(respond))


def plain(value: Any) -> Any:
    """The value without what is null, or only the SDK's."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if each is not None and not name.startswith("__")}
    return [plain(each) for each in value] if isinstance(value, list) else value


def agrees(ours: Any, theirs: Any) -> bool:
    """
    Whether all that OpenAI's SDK has is in ours too.

    The SDK keeps the padding and the indexes of chunks, takes IDs from the first chunk though they are empty, and joins
    every text that is repeated in each chunk, like the role.
    """
    if isinstance(theirs, dict):
        names = theirs.keys() - {"obfuscation", "index"}
        return all(agrees(ours.get(name), theirs[name]) for name in names)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(agrees, ours, theirs))
    if isinstance(theirs, str) and ours:
        return bool(theirs == ours * (len(theirs) // len(ours)))
    return not theirs or bool(ours == theirs)


# Streams that end with an error have no final object.
ANTHROPIC = [
    name
    for name, expected in sorted(expectations().items())
    if name.startswith("anthropic") and expected["error"] is None
]
CHAT = [
    name
    for name, expected in sorted(expectations().items())
    if expected["route"].startswith("openai==") and "ChatCompletionStreamState" in expected["route"]
    if expected["error"] is None
]


# The SDK reads no stream that was resumed: it wants the event that begins a response.
RESPONSES = [
    name
    for name, expected in sorted(expectations().items())
    if "responses.create" in expected["route"] and expected["error"] is None and not name.endswith("vcr__1.sse")
]


@pytest.mark.parametrize("name", ANTHROPIC)
def test_anthropic(name: str) -> None:
    """The message is the one that Anthropic's SDK makes."""
    module = sdk("anthropic")
    data = (STREAMS / name).read_bytes()
    with transport(httpx2, data) as http_client:
        client = module.Anthropic(api_key="x", http_client=http_client)
        with client.beta.messages.stream(model="m", max_tokens=1, messages=[]) as stream:
            final = json.loads(stream.get_final_message().to_json())
    assert plain(play(ANTHROPIC_MESSAGES, data).message.native) == plain(final)


@pytest.mark.parametrize("name", CHAT)
def test_chat(name: str) -> None:
    """The completion is the one that OpenAI's SDK makes, with what the SDK drops."""
    module = sdk("openai")
    state = importlib.import_module("openai.lib.streaming.chat").ChatCompletionStreamState()
    data = (STREAMS / name).read_bytes()
    with transport(httpx2, data) as http_client:
        client = module.OpenAI(api_key="x", http_client=http_client)
        for chunk in client.chat.completions.create(model="m", messages=[], stream=True):
            state.handle_chunk(chunk)
    theirs = plain(json.loads(state.current_completion_snapshot.to_json()))
    ours = plain(play(OPENAI_CHAT, data).message.native)
    assert agrees(ours, theirs)


@pytest.mark.parametrize("name", RESPONSES)
def test_responses(name: str) -> None:
    """The response is the one that OpenAI's SDK makes."""
    module = sdk("openai")
    data = (STREAMS / name).read_bytes()
    with transport(httpx2, data) as http_client:
        client = module.OpenAI(api_key="x", http_client=http_client)
        with client.responses.stream(model="m", input=[]) as stream:
            final = json.loads(stream.get_final_response().to_json())
    theirs = plain(final)
    for output in theirs["output"]:
        output.pop("parsed_arguments", None)
    assert plain(play(OPENAI_RESPONSES, data).message.native) == theirs
