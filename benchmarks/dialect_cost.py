"""
The cost of a dialect: CPU per event of a model's reply, next to the JSON parser below it and the vendors' SDKs.

    python benchmarks/dialect_cost.py [--rounds N] [--events N] [--only NAME] [--json FILE]

Method. The streams are written here, after the protocols: 5,000 events of text with a start and an end, for OpenAI's
chat completions, Anthropic's messages and Gemini. All readers get the same bytes from a transport in memory, so that
neither a network nor a server is measured, in pieces of one event or of 16 KiB. They run in one process, on `httpx2`,
which the SDKs use too, in rounds of one of each, in an order that rotates. The garbage collector runs between the
readings.

This library's reader is a loop over all deltas, then `stream.final()`. Each SDK reads as its own documentation says: it
yields its own objects and accumulates the final one. Google's does not accumulate: there the texts of the chunks are
joined. Every reading must give the whole text. "JSON alone" is `pydantic_core.from_json` of each event's data, and
"reader" is the dialect's `read` of each event, both without a stream. The figures are medians of the CPU time per event
(of the process, so each event bears its share of the request); the ratios are taken within the rounds.

The goals for absolute times are those of a machine on which the JSON of a chat chunk takes 1.3 µs, so these times are
scaled to it. The cost of the import is the median CPU time of separate processes, which have imported `sse_client`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx2
from loopback import can_import, machine, measure, order_of, versions
from parser import print_verdict
from pydantic_core import from_json

from sse_client import Dialect, EventParser, ServerSentEvent, SSEClient
from sse_client.dialects import ANTHROPIC_MESSAGES, GEMINI, OPENAI_CHAT, Delta, Message

WORD = " token"
OURS = "sse-client"
LARGE = 16_384  # bytes in a piece: as much as a client reads at once

# The goals: how many times as much CPU as ours an SDK takes, and ours as `from_json`; µs per event; ms for the import.
MIN_RATIO = 10.0
MAX_READER = 3.5
MAX_MICROSECONDS = {"chat": 4.5, "anthropic": 3.0}
REFERENCE = 1.3
MAX_IMPORT = 15.0

Read = Callable[[httpx2.Client], str]  # returns the text of the reply


def data(value: Any, name: str = "") -> bytes:
    text = json.dumps(value, separators=(",", ":"))
    return (f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n").encode()


def chat(events: int) -> Iterator[bytes]:
    def chunk(delta: Any, reason: str | None = None, **fields: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        head = {
            "id": "chatcmpl-A1b2C3",
            "object": "chat.completion.chunk",
            "created": 1750000000,
            "model": "gpt-4o-mini",
        }
        return data({**head, "system_fingerprint": "fp_0a1b2c", "choices": [choice], "usage": None, **fields})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    yield from [chunk({"content": WORD})] * events
    yield chunk({}, "stop")
    yield chunk({}, choices=[], usage={"prompt_tokens": 9, "completion_tokens": events, "total_tokens": 9 + events})
    yield b"data: [DONE]\n\n"


def anthropic(events: int) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return data({"type": kind, **fields}, kind)

    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
    ends = {"stop_reason": None, "stop_sequence": None}
    yield event("message_start", message={**head, **ends, "usage": {"input_tokens": 9, "output_tokens": 1}})
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield from [event("content_block_delta", index=0, delta={"type": "text_delta", "text": WORD})] * events
    yield event("content_block_stop", index=0)
    yield event("message_delta", delta={**ends, "stop_reason": "end_turn"}, usage={"output_tokens": events})
    yield event("message_stop")


def gemini(events: int) -> Iterator[bytes]:
    def chunk(text: str, **fields: Any) -> bytes:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **fields}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18}
        head = {"usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}
        return data({"candidates": [candidate], **head})

    yield from [chunk(WORD)] * events
    yield chunk(".", finishReason="STOP")


def loop(dialect: Dialect[Delta, Message]) -> Read:
    """Read as a user of this library does."""

    def read(client: httpx2.Client) -> str:
        with SSEClient(http_client=client).post("http://memory/", json={"stream": True}, dialect=dialect) as stream:
            for _ in stream:
                pass
            return stream.final().text

    return read


def openai_sdk(client: httpx2.Client) -> str:
    sdk = import_module("openai").OpenAI(api_key="test-token", base_url="http://memory/", http_client=client)
    with sdk.chat.completions.stream(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}]) as stream:
        for _ in stream:
            pass
        text: str = stream.get_final_completion().choices[0].message.content
    return text


def anthropic_sdk(client: httpx2.Client) -> str:
    sdk = import_module("anthropic").Anthropic(api_key="test-token", base_url="http://memory/", http_client=client)
    messages = [{"role": "user", "content": "hi"}]
    with sdk.messages.stream(model="claude", max_tokens=1, messages=messages) as stream:
        for _ in stream:
            pass
        text: str = stream.get_final_message().content[0].text
    return text


def google_sdk(client: httpx2.Client) -> str:
    genai = import_module("google.genai")
    options = genai.types.HttpOptions(base_url="http://memory/", httpx_client=client)
    sdk = genai.Client(api_key="test-token", http_options=options)
    chunks = sdk.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")
    return "".join([chunk.text for chunk in chunks])


class Format(NamedTuple):
    write: Callable[[int], Iterator[bytes]]
    dialect: Dialect[Delta, Message]
    sdk: str
    module: str
    read: Read
    last: str  # the text of the last event


FORMATS = {
    "chat": Format(chat, OPENAI_CHAT, "openai", "openai", openai_sdk, ""),
    "anthropic": Format(anthropic, ANTHROPIC_MESSAGES, "anthropic", "anthropic", anthropic_sdk, ""),
    "gemini": Format(gemini, GEMINI, "google-genai", "google.genai", google_sdk, "."),
}


def in_memory(pieces: list[bytes]) -> httpx2.Client:
    """A client that gets these pieces in response to every request."""

    def respond(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(pieces))

    return httpx2.Client(transport=httpx2.MockTransport(respond))


def parse_all(texts: list[str]) -> int:
    for text in texts:
        from_json(text)
    return len(texts)


def read_all(dialect: Dialect[Delta, Message], events: list[ServerSentEvent]) -> int:
    assert dialect.reader is not None
    reader = dialect.reader()
    for event in events:
        reader.read(event)
    return len(events)


def read_whole(read: Read, client: httpx2.Client, expected: str, events: int) -> int:
    text = read(client)
    if text != expected:
        raise RuntimeError(f"expected {len(expected)} characters, got {len(text)}")
    return events


def measure_format(name: str, rounds: int, events: int) -> dict[str, list[float]]:
    """Return the rounds of each row, in microseconds of CPU per event."""
    form = FORMATS[name]
    writes = [*form.write(events)]
    body = b"".join(writes)
    expected = WORD * events + form.last
    parsed = [event for event in EventParser().feed(body) if event.data != "[DONE]"]
    texts = [event.data for event in parsed]
    rows: dict[str, Callable[[], int]] = {
        "JSON alone": lambda: parse_all(texts),
        "reader": lambda: read_all(form.dialect, parsed),
    }
    large = [body[start : start + LARGE] for start in range(0, len(body), LARGE)]
    readers = {OURS: loop(form.dialect)} | ({form.sdk: form.read} if can_import(form.module) else {})
    for mode, pieces in ("an event per piece", writes), ("16 KiB per piece", large):
        for label, read in readers.items():
            rows[f"{label}, {mode}"] = partial(read_whole, read, in_memory(pieces), expected, len(parsed))
    times: dict[str, list[float]] = {row: [] for row in rows}
    for number in range(rounds + 1):
        for row, reading_of in order_of(number, [*rows.items()]):
            cost = measure(reading_of, len(parsed))
            if number:  # the first round warms up
                times[row].append(cost.cpu)
    return times


def ratio_of(times: dict[str, list[float]], row: str, base: str) -> float:
    """Return the median of the ratios within the rounds."""
    return median(a / b for a, b in zip(times[row], times[base], strict=True))


def import_cost(rounds: int) -> list[float]:
    """Return the milliseconds of CPU that the import of the dialects takes, once for each process."""
    clock = "time.process_time()"
    code = f"import sse_client, time; start = {clock}; import sse_client.dialects; print({clock} - start)"
    # Users have the compiled files, which the first process writes.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    run = partial(subprocess.run, [sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    return [float(run().stdout) * 1e3 for _ in range(rounds + 1)][1:]


def report(results: dict[str, dict[str, list[float]]], imports: list[float]) -> None:
    for name, times in results.items():
        print(f"{name}: µs per event, and times JSON alone")
        for row, rounds in times.items():
            print(f"  {row:34}{median(rounds):8.2f}{ratio_of(times, row, 'JSON alone'):8.2f}")
    print("\nGoals")
    scale = REFERENCE / median(results["chat"]["JSON alone"]) if "chat" in results else 1.0
    for name, times in results.items():
        form = FORMATS[name]
        for mode in "an event per piece", "16 KiB per piece":
            if f"{form.sdk}, {mode}" in times:
                ratio = ratio_of(times, f"{form.sdk}, {mode}", f"{OURS}, {mode}")
                print_verdict(
                    f"{name}: {form.sdk}, {mode}, times ours", f">= {MIN_RATIO}", ratio, 1 - ratio / MIN_RATIO
                )
        ratio = ratio_of(times, "reader", "JSON alone")
        print_verdict(f"{name}: reader, times JSON alone", f"<= {MAX_READER}", ratio, ratio / MAX_READER - 1)
        if goal := MAX_MICROSECONDS.get(name):
            cost = median(times[f"{OURS}, 16 KiB per piece"]) * scale
            print_verdict(f"{name}: body to delta, µs, scaled by {scale:.2f}", f"<= {goal}", cost, cost / goal - 1)
    cost = median(imports)
    print_verdict("import sse_client.dialects, ms", f"<= {MAX_IMPORT}", cost, cost / MAX_IMPORT - 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description="The cost of a dialect, next to the vendors' SDKs.")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--events", type=int, default=5000)
    arguments.add_argument("--only", choices=FORMATS, help="only this protocol")
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()
    about = {
        "machine": machine(),
        "versions": versions(["httpx2", "pydantic", "pydantic_core", *(form.sdk for form in FORMATS.values())]),
    }
    print(json.dumps(about, indent=2))
    names = [options.only] if options.only else [*FORMATS]
    results = {name: measure_format(name, options.rounds, options.events) for name in names}
    imports = import_cost(options.rounds)
    report(results, imports)
    if options.json is not None:
        figures = {**about, "microseconds": results, "import_milliseconds": imports}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
