"""
Streams recorded from real servers, served in ragged pieces: the events are the same over the network as from the
parser.

The recordings are not part of the repository; they are expected next to it.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from shells import Run, Shell, entered

from sse_client import (
    ErrorEvent,
    ErrorEventReceived,
    EventParser,
    ServerSentEvent,
    SSEError,
    StreamTruncated,
    Terminator,
)
from sse_client.testing import Answer, EventServer, RecordedRequest

FOLDER = Path(__file__).parents[2] / "shared" / "streams"

if not FOLDER.is_dir():
    pytest.skip(f"there are no captured streams in {FOLDER}", allow_module_level=True)

INDEX: list[dict[str, Any]] = [json.loads(line) for line in (FOLDER / "INDEX.jsonl").read_text().splitlines()]

# The index gives the kind of the last event for these streams, and earlier events are of the same kind.
NO_ENDS = {"event:message", "event:values", "jsonrpc-notification"}


def body_of(file: str) -> bytes:
    return (FOLDER / file).read_bytes()


def events_of(file: str) -> list[ServerSentEvent]:
    """The events that the parser finds in the whole stream, `[DONE]` included."""
    return EventParser().feed(body_of(file))


def in_pieces(body: bytes, seed: str) -> list[bytes]:
    """Cut the body anywhere, into pieces of one byte to a few thousand."""
    chance = random.Random(seed)
    pieces = []
    start = 0
    while start < len(body):
        end = start + int(10 ** chance.uniform(0, 3.7))
        pieces.append(body[start:end])
        start = end
    return pieces


def answer(request: RecordedRequest) -> Answer:
    """Respond with the stream that the request names."""
    file = request.json()["file"]
    return Answer(*in_pieces(body_of(file), seed=file))


def options_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The options for the end that the index records for the stream."""
    kind, _, value = entry["terminator"].partition(":")
    if entry["terminator"] in NO_ENDS:
        return {}
    if kind == "event":
        return {"terminator": Terminator(event=value)}
    if (kind, value) in (("type", "error"), ("type", "RUN_ERROR")):
        return {"errors": ErrorEvent(field="type", values={value})}
    if kind == "type":
        return {"terminator": Terminator(field="type", values={value})}
    if kind == "error":
        return {"errors": ErrorEvent(event="error") | ErrorEvent(field="error")}
    if kind == "jsonrpc-response" and entry["dialect"] == "mcp":
        # One stream may carry the responses to several requests; the last one ends it.
        return {"terminator": Terminator(field="id", values={events_of(entry["file"])[-1].json()["id"]})}
    if kind.startswith("[DONE]"):
        return {"terminator": Terminator(data="[DONE]")}
    if kind.startswith("message_stop"):
        return {"terminator": Terminator(field="type", values={"message_stop"})}
    return {}


def read_all(shell: Shell, options: list[dict[str, Any]]) -> tuple[list[Run], int]:
    """Request each stream with its options, on one client; return the results and the number of connections."""
    results: list[Run] = []

    async def main() -> None:
        async with shell.any_client({"retry": None}) as client:
            for entry, each in zip(INDEX, options, strict=True):
                stream = client.post(server.url, json={"file": entry["file"]}, **each)
                results.append(result := Run(stream=stream))
                try:
                    async with entered(stream) as reader:
                        async for event in reader:
                            result.events.append(event)
                except SSEError as error:
                    result.error = error

    with EventServer(answer) as server:
        shell.run(main)
        assert len(server.requests) == len(INDEX)
        return results, server.connections


def outcome_of(result: Run) -> Any:
    return None if result.stream is None else result.stream.outcome


def test_without_options(shell: Shell) -> None:
    """
    Each stream gives the parser's events except `[DONE]`, and is completed unless it ends in the middle of an event.
    """
    results, connections = read_all(shell, [{}] * len(INDEX))
    for entry, result in zip(INDEX, results, strict=True):
        file = entry["file"]
        events = events_of(file)
        assert len(events) == entry["n_events"], file
        if entry["terminator"] == "[DONE]":
            assert events.pop().data == "[DONE]", file
        assert result.events == events, file
        # If the last blank line is missing, only `[DONE]` is recognized as an end.
        if "no final blank" in entry["terminator"] and "[DONE]" not in entry["terminator"]:
            assert isinstance(result.error, StreamTruncated), file
            assert outcome_of(result) == "truncated", file
        else:
            assert result.error is None, file
            assert outcome_of(result) == "completed", file
    assert connections == 1


def test_with_the_right_options(shell: Shell) -> None:
    """
    With the terminator of its dialect, each stream is completed. A stream that ends with an error event raises it.
    """
    results, connections = read_all(shell, [options_of(entry) for entry in INDEX])
    for entry, result in zip(INDEX, results, strict=True):
        file = entry["file"]
        events = events_of(file)
        if "errors" in options_of(entry):
            assert isinstance(result.error, ErrorEventReceived), file
            assert result.error.event == events.pop(), file
            assert result.error.message, file
            assert outcome_of(result) == "error_event", file
        else:
            if entry["terminator"] == "[DONE]":
                assert events.pop().data == "[DONE]", file
            assert result.error is None, file
            assert outcome_of(result) == "completed", file
        assert result.events == events, file
    assert connections == 1


def test_with_a_terminator_that_is_missing(shell: Shell) -> None:
    """With the terminator of another dialect, all events are delivered, and each stream is truncated."""
    results, _ = read_all(shell, [{"terminator": Terminator(event="never")}] * len(INDEX))
    for entry, result in zip(INDEX, results, strict=True):
        file = entry["file"]
        events = [event for event in events_of(file) if event.data != "[DONE]"]
        assert result.events == events, file
        assert isinstance(result.error, StreamTruncated), file
        assert outcome_of(result) == "truncated", file


def test_done_as_an_event(shell: Shell) -> None:
    """With `terminator=None`, exactly the parser's events are delivered, `[DONE]` included."""
    results, _ = read_all(shell, [{"terminator": None}] * len(INDEX))
    for entry, result in zip(INDEX, results, strict=True):
        file = entry["file"]
        assert result.events == events_of(file), file
        assert len(result.events) == entry["n_events"], file
        assert outcome_of(result) == ("truncated" if "no final blank" in entry["terminator"] else "completed"), file
