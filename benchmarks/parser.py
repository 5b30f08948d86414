"""
The parser and its peers, on the same bytes: `python benchmarks/parser.py [--rounds N] [--only WORD] [--json FILE]`.

Measured is the time from pieces of bytes to events, in the code that a peer's users run, without a transport. Each
parser takes the same list of pieces, and its events are consumed by the same bare `for`. httpx-sse and httpx2 read
text from a response: theirs is a stand-in that decodes the pieces as httpx does, but without httpx's chain of
generators (which would add a quarter to their time with one event per piece). requests-sse reads a real
`requests.Response` over a stand-in for urllib3's, which returns the same pieces.

Method. First each parser runs once untimed, and its events are compared with the encoded ones: names and data, and for
this library the last event IDs too. A peer that differs is `wrong`: its time is in brackets and cannot be the fastest.
Then, in each round, every parser runs once, in an order that rotates, so that a slow machine slows all alike:
`gc.collect()` before each run, collection enabled during it, `time.perf_counter`, the median of the rounds. A slow
parser runs fewer rounds; one that needs more than `LIMIT` seconds is stopped and not run again.

A ratio is the peer's time over ours: above 1, this library is faster. Compare ratios; the times depend on the machine.
The last table compares the ratios with this library's goals.
"""

import argparse
import codecs
import gc
import json
import math
import platform
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module, metadata
from itertools import chain
from operator import attrgetter
from pathlib import Path
from statistics import geometric_mean, linear_regression, median
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

from sse_client import EventParser

KIB, MIB = 1024, 1024 * 1024
LIMIT = 4.0  # seconds for one run: a parser that is quadratic in the size of an event would take minutes
BUDGET = 3.0  # seconds for all rounds of one parser on one workload: the whole run takes about two minutes


class Sent(NamedTuple):
    """An event as it was sent, and as a parser must return it."""

    data: str
    event: str = "message"
    id: str = ""

    def encode(self, end: str) -> bytes:
        lines = [f"id: {self.id}"] if self.id else []
        if self.event != "message":
            lines.append(f"event: {self.event}")
        lines += [f"data: {line}" for line in self.data.split("\n")]
        return "".join(line + end for line in [*lines, ""]).encode()


@dataclass(frozen=True)
class Workload:
    name: str
    count: int
    make: Callable[[int], Sent | None]  # the n-th event, or None for a comment
    cut: int | None = None  # the size of a piece in bytes; None cuts after each event
    end: str = "\n"

    def build(self) -> tuple[list[bytes], list[Sent]]:
        """Return the pieces, and the events in them."""
        sent = [self.make(n) for n in range(self.count)]
        pieces = [event.encode(self.end) if event else b": ping\n\n" for event in sent]
        if self.cut is not None:
            stream = b"".join(pieces)
            pieces = [stream[at : at + self.cut] for at in range(0, len(stream), self.cut)]
        return pieces, [event for event in sent if event]


def filled(template: str, size: int) -> str:
    """Replace the `~` of the template by enough text to make it `size` long."""
    return template.replace("~", "x" * (size - len(template) + 1))


def openai_like(n: int) -> Sent:
    chunk = (
        '{"id":"chatcmpl-A1b2C3","object":"chat.completion.chunk","created":1750000000,"model":"gpt","choices":'
        f'[{{"index":0,"delta":{{"content":" {n:05}"}},"finish_reason":null}}],"obfuscation":"~"}}'
    )
    return Sent(filled(chunk, 242))  # with the field's name and the ends of the lines: 250 bytes


def anthropic_like(n: int) -> Sent:
    delta = f'{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":" {n:05} ~"}}}}'
    return Sent(filled(delta, 215), "content_block_delta")  # 250 bytes too


def tiny(n: int) -> Sent:
    return Sent(str(n % 100))


def with_ids(n: int) -> Sent | None:
    return None if n % 16 == 15 else Sent(filled(f'{{"n":{n},"text":"~"}}', 200), "token", f"run-{n}")


def lines_100(n: int) -> Sent:
    return Sent("\n".join(f"{n:03} {line:02} a line of a document, neither short nor long" for line in range(100)))


def cjk_and_emoji(n: int) -> Sent:
    return Sent(f'{{"delta":"{n:05} 服务器发送事件 こんにちは世界 안녕하세요 🚀🎉🐍 {"流式传输" * 12}"}}')


def big(mebibytes: float) -> Callable[[int], Sent]:
    return lambda _: Sent("0123456789abcdef" * int(mebibytes * MIB / 16))


OPENAI_ONE, OPENAI_16K = "OpenAI-like, one a piece", "OpenAI-like, 16 KiB pieces"
ANTHROPIC_ONE, ANTHROPIC_16K = "Anthropic-like, one a piece", "Anthropic-like, 16 KiB pieces"
CRLF_ONE, CRLF_16K = "CRLF, one a piece", "CRLF, 16 KiB pieces"
BYTEWISE = "1 MiB byte by byte"

WORKLOADS = (
    Workload(OPENAI_ONE, 8_000, openai_like),
    Workload(OPENAI_16K, 8_000, openai_like, cut=16 * KIB),
    Workload("OpenAI-like, 1 MiB pieces", 16_000, openai_like, cut=MIB),
    Workload(ANTHROPIC_ONE, 8_000, anthropic_like),
    Workload(ANTHROPIC_16K, 8_000, anthropic_like, cut=16 * KIB),
    Workload("Anthropic-like, 1 MiB pieces", 16_000, anthropic_like, cut=MIB),
    Workload("tiny tokens, one a piece", 16_000, tiny),
    Workload("tiny tokens, 16 KiB pieces", 16_000, tiny, cut=16 * KIB),
    Workload(CRLF_ONE, 8_000, openai_like, end="\r\n"),
    Workload(CRLF_16K, 8_000, openai_like, cut=16 * KIB, end="\r\n"),
    Workload("ids, names and comments, one a piece", 8_000, with_ids),
    Workload("ids, names and comments, 16 KiB pieces", 8_000, with_ids, cut=16 * KIB),
    Workload("100 data lines, one a piece", 200, lines_100),
    Workload("CJK and emoji, one a piece", 8_000, cjk_and_emoji),
    Workload("CJK and emoji, 16 KiB pieces", 8_000, cjk_and_emoji, cut=16 * KIB),
    Workload("one event of 5 MiB, 1 KiB pieces", 1, big(5), cut=KIB),
    Workload("one event of 16 MiB, 1 KiB pieces", 1, big(16), cut=KIB),
    Workload(BYTEWISE, MIB // 250, openai_like, cut=1),
)


def parse_with_ours(_: Any, pieces: list[bytes]) -> Iterable[Any]:
    return chain.from_iterable(map(EventParser().feed, pieces))


def parse_with_launchdarkly(reader: Any, pieces: list[bytes]) -> Iterable[Any]:
    return reader._SSEReader(reader._BufferedLineReader.lines_from(pieces)).events_and_comments()  # type: ignore[no-any-return]


class TextResponse:
    """The part of an httpx response that readers of event streams use."""

    headers: ClassVar = {"content-type": "text/event-stream"}
    request = None

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def iter_text(self) -> Iterator[str]:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        for piece in self.pieces:
            if text := decode(piece):
                yield text


def parse_with_requests_sse(requests_sse: Any, pieces: list[bytes]) -> Iterable[Any]:
    def stop() -> None:
        raise StopIteration  # ends its `__next__`, which would wait and reconnect

    response = import_module("requests").Response()
    response.status_code, response.url = 200, "http://localhost/"
    response.headers["Content-Type"] = "text/event-stream"
    response.raw = SimpleNamespace(stream=lambda *_, **__: iter(pieces))
    session = SimpleNamespace(request=lambda **_: response)
    source = requests_sse.EventSource(response.url, session=session, on_error=stop)
    source.connect()
    return source  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Parser:
    package: str
    module: str
    parse: Callable[[Any, list[bytes]], Iterable[Any]]  # takes the imported module and the pieces; returns the events
    fields: tuple[str, ...] = ("data", "event")  # the attributes that are checked, in the order of Sent


OURS = "sse-client"
PARSERS = (
    Parser(OURS, "sse_client", parse_with_ours, ("data", "event", "id")),
    Parser("launchdarkly-eventsource", "ld_eventsource.reader", parse_with_launchdarkly),
    Parser("httpx-sse", "httpx_sse", lambda httpx_sse, pieces: httpx_sse.EventSource(TextResponse(pieces)).iter_sse()),
    # Without its limit of 1 MiB, which would refuse the large events.
    Parser("httpx2", "httpx2._sse", lambda sse, pieces: sse.EventSource(TextResponse(pieces), max_event_size=None)),
    Parser("openai", "openai._streaming", lambda sdk, pieces: sdk.SSEDecoder().iter_bytes(iter(pieces))),
    Parser("anthropic", "anthropic._streaming", lambda sdk, pieces: sdk.SSEDecoder().iter_bytes(iter(pieces))),
    Parser("sseclient-py", "sseclient", lambda sseclient, pieces: sseclient.SSEClient(pieces).events()),
    Parser("requests-sse", "requests_sse", parse_with_requests_sse, ("data", "type")),
)


class TooSlowError(Exception):
    """A run took longer than `LIMIT`."""


@contextmanager
def time_limit() -> Iterator[None]:
    """Stop the block if it takes too long. The timer costs nothing. Without such timers (Windows), do nothing."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def stop_run(*_: object) -> None:
    raise TooSlowError


@dataclass
class Result:
    events: int
    rounds: int
    wrong: str = ""
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(self.times)


Parse = Callable[[list[bytes]], Iterable[Any]]
Results = dict[str, Result]  # by package


def check(parser: Parser, events: Iterable[Any], sent: list[Sent]) -> str:
    """Return the first fault in the parser's events, or an empty text."""
    # launchdarkly also returns comments: they have no data.
    values = [attrgetter(*parser.fields)(event) for event in events if hasattr(event, "data")]
    for at, ((data, name, *last_event_id), expected) in enumerate(zip(values, sent, strict=False)):
        # The standard names an unnamed event "message"; some peers use "" or None.
        if (data, name or "message", *last_event_id) != expected[: len(parser.fields)]:
            return f"wrong from event {at:,} on"
    return "" if len(values) == len(sent) else f"wrong: {len(values):,} events instead of {len(sent):,}"


def try_out(parser: Parser, parse: Parse, pieces: list[bytes], sent: list[Sent], rounds: int) -> Result:
    """Run once and check; decide the number of rounds for this parser."""
    started = time.perf_counter()
    try:
        with time_limit():
            wrong = check(parser, parse(pieces), sent)
    except TooSlowError:
        return Result(len(sent), 0, times=[LIMIT])
    except Exception as error:
        return Result(len(sent), 0, f"wrong: {error!r:.60}", [math.nan])
    affordable = int(BUDGET / (time.perf_counter() - started))
    return Result(len(sent), max(1, min(rounds, affordable)), wrong)


def run(parse: Parse, pieces: list[bytes]) -> float:
    gc.collect()
    started = time.perf_counter()
    with suppress(TooSlowError), time_limit():
        for _ in parse(pieces):
            pass
    return time.perf_counter() - started


def measure(workload: Workload, parses: dict[Parser, Parse], rounds: int) -> Results:
    pieces, sent = workload.build()
    results = {parser.package: try_out(parser, parse, pieces, sent, rounds) for parser, parse in parses.items()}
    order = deque((results[parser.package], parse) for parser, parse in parses.items())
    for turn in range(rounds):
        for result, parse in order:
            if turn < result.rounds:
                result.times.append(run(parse, pieces))
        order.rotate(-1)
    return results


def growth(rounds: int) -> float:
    """Return the exponent of our time over the size of one event: 1 is linear, 2 is quadratic."""
    sizes = (0.6, 1, 1.7, 3, 5)
    pieces = [Workload("", 1, big(size), cut=KIB).build()[0] for size in sizes]
    turns = [[run(partial(parse_with_ours, None), one) for one in pieces] for _ in range(rounds)]
    best = [min(times) for times in zip(*turns, strict=True)]
    return linear_regression([math.log(size) for size in sizes], [math.log(seconds) for seconds in best]).slope


FASTEST = "fastest correct peer"


def ratio(results: Results, peer: str) -> float:
    """Return the peer's time over ours; NaN if there is none, or if our own events are wrong."""
    ours = results[OURS]
    correct = [result.seconds for package, result in results.items() if package != OURS and not result.wrong]
    theirs = min(correct, default=math.nan) if peer == FASTEST else results[peer].seconds
    return math.nan if ours.wrong else theirs / ours.seconds


class Requirement(NamedTuple):
    peer: str
    at_least: float  # the ratio; with several workloads, their geometric mean
    workloads: tuple[str, ...]


LAUNCHDARKLY = "launchdarkly-eventsource"
TO_LAUNCHDARKLY = {OPENAI_ONE: 1.15, OPENAI_16K: 2.0, ANTHROPIC_16K: 2.0, CRLF_ONE: 0.95, CRLF_16K: 0.95}
REQUIREMENTS = (
    *(Requirement(LAUNCHDARKLY, TO_LAUNCHDARKLY.get(w.name, 1.0), (w.name,)) for w in WORKLOADS if w.name != BYTEWISE),
    Requirement("httpx-sse", 2.0, (OPENAI_ONE, ANTHROPIC_ONE)),
    Requirement("httpx-sse", 3.0, (OPENAI_16K, ANTHROPIC_16K)),
    Requirement("httpx2", 3.0, (OPENAI_ONE, ANTHROPIC_ONE)),
    Requirement("httpx2", 4.5, (OPENAI_16K, ANTHROPIC_16K)),
    Requirement("openai", 4.5, (OPENAI_ONE, ANTHROPIC_ONE)),
    Requirement("openai", 9.0, (OPENAI_16K, ANTHROPIC_16K)),
    Requirement(FASTEST, 1 / 3, (BYTEWISE,)),
)
GROWTH = "exponent of our time over the size of one event, 0.6 to 5 MiB"
MAX_GROWTH = 1.1


def machine() -> dict[str, str]:
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else []
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "platform": platform.platform(), "cpu": (models or [platform.processor()])[0]}


def load_parsers() -> tuple[dict[Parser, Parse], dict[str, str]]:
    """Return the parsers that can be imported; and for all, their versions or why they are skipped."""
    parses: dict[Parser, Parse] = {}
    versions = {}
    for parser in PARSERS:
        try:
            parses[parser] = partial(parser.parse, import_module(parser.module))
            versions[parser.package] = "this checkout" if parser.package == OURS else metadata.version(parser.package)
        except ImportError as error:
            versions[parser.package] = f"skipped, {error}"
    return parses, versions


def print_results(workload: str, results: Results) -> None:
    print(f"\n{workload} (events: {results[OURS].events:,})")
    for package, result in results.items():
        each = f"{result.seconds / result.events * 1e9:,.0f} ns"
        shown = f"[{each}]" if result.wrong else f"{each} "
        note = result.wrong or (f"> {LIMIT:g} s" if result.seconds >= LIMIT else "")
        print(f"  {package:26}{shown:>18}{ratio(results, package):9.2f}x  {note}".rstrip(), flush=True)


def print_verdict(subject: str, bound: str, measured: float, short: float) -> None:
    passed = short <= 0  # False for NaN
    print(
        f"{'pass' if passed else 'FAIL'}  {subject:80}{bound} {measured:8.2f}",
        "" if passed else f" short by {short:.1%}",
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description="Compare the parser with its peers.")
    arguments.add_argument("--rounds", type=int, default=9, help="timings per parser and workload (default: 9)")
    arguments.add_argument("--only", metavar="WORD", default="", help="only parsers with this word in their name")
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()
    word = options.only.lower()
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, stop_run)

    parses, versions = load_parsers()
    print(*(f"{key}: {value}" for key, value in (machine() | versions).items()), sep="\n")
    skipped = versions.keys() - {parser.package for parser in parses}
    gc.collect()
    gc.freeze()  # the collections within a run need not look through the modules of all peers

    measured: dict[str, Results] = {}
    for workload in WORKLOADS:
        if word in workload.name.lower():
            measured[workload.name] = measure(workload, parses, options.rounds)
            print_results(workload.name, measured[workload.name])

    print("\nGoals for the ratios, and results")
    for peer, at_least, workloads in REQUIREMENTS:
        if peer not in skipped and measured.keys() >= set(workloads):
            mean = geometric_mean([ratio(measured[name], peer) for name in workloads])
            subject = f"{peer}: {' and '.join(workloads)}"
            print_verdict(subject, f">= {at_least:.2f}", mean, 1 - mean / at_least)
    if word in GROWTH:
        exponent = growth(options.rounds)
        print_verdict(GROWTH, f"<= {MAX_GROWTH:.2f}", exponent, exponent / MAX_GROWTH - 1)
    if options.json:
        figures = {
            workload: {name: asdict(result) for name, result in found.items()} for workload, found in measured.items()
        }
        options.json.write_text(json.dumps({"machine": machine(), "versions": versions, "seconds": figures}, indent=1))


if __name__ == "__main__":
    main()
