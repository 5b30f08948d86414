"""
The parser and its peers, on the same bytes: `python benchmarks/parser.py [--rounds N] [--only WORD] [--json FILE]`.

What is measured is the way from pieces of bytes to events, by the code that a peer's users run, without a transport.
Each parser takes the same list of pieces, and its events are consumed by the same bare `for`. httpx-sse and httpx2
read text from a response: theirs is a stand-in that decodes the pieces as httpx does, but without httpx's chain of
generators (which would add a quarter to their time with one event a piece). requests-sse reads a real
`requests.Response` over a stand-in for urllib3's.

How. First each parser runs once untimed, and its events are checked against those that were encoded: names and data,
for ours the last event IDs too. A peer that differs is `wrong`: its time stands in brackets and cannot be the fastest.
Then come the rounds: in each, every parser runs once, in an order that rotates, so that what slows the machine down
slows all alike. `gc.collect()` before each run, collection enabled during it, `time.perf_counter`, the median of the
rounds. A slow parser runs fewer rounds; one that needs more than `LIMIT` seconds is stopped and not run again.

A ratio is the peer's time over ours: above 1, ours is faster. Compare ratios; the times are this machine's. The
closing table holds the ratios against what this library asks of itself.
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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module, metadata
from itertools import chain
from operator import attrgetter
from pathlib import Path
from statistics import linear_regression, median
from types import SimpleNamespace
from typing import Any, NamedTuple

from sse_client._parser import EventParser

KIB, MIB = 1024, 1024 * 1024
LIMIT = 4.0  # seconds for one run: a parser that is quadratic in an event's size would take minutes
BUDGET = 3.0  # seconds for all rounds of one parser on one workload: the whole run takes under three minutes


# The workloads: what is sent, and how it is cut.


class Sent(NamedTuple):
    event: str
    data: str
    id: str = ""

    def encode(self, end: str) -> bytes:
        lines = [f"id: {self.id}"] if self.id else []
        if self.event != "message":
            lines.append(f"event: {self.event}")
        lines += [f"data: {line}" for line in self.data.split("\n")]
        return "".join(line + end for line in [*lines, ""]).encode()


PING = b": ping\n\n"


@dataclass(frozen=True)
class Workload:
    name: str
    count: int
    make: Callable[[int], Sent | None]  # the n-th event, or None for a comment
    cut: int | None = None  # the size of a piece in bytes; None cuts after each event
    end: str = "\n"

    def build(self) -> tuple[list[bytes], list[Sent]]:
        sent = [self.make(n) for n in range(self.count)]
        blocks = [PING if event is None else event.encode(self.end) for event in sent]
        events = [event for event in sent if event is not None]
        if self.cut is None:
            return blocks, events
        stream = b"".join(blocks)
        return [stream[at : at + self.cut] for at in range(0, len(stream), self.cut)], events


def filled(template: str, size: int) -> str:
    """Put as much text for the template's `~` as makes it `size` long."""
    return template.replace("~", "x" * (size - len(template) + 1))


def openai_like(n: int) -> Sent:
    chunk = (
        '{"id":"chatcmpl-A1b2C3","object":"chat.completion.chunk","created":1750000000,"model":"gpt","choices":'
        f'[{{"index":0,"delta":{{"content":" {n:05}"}},"finish_reason":null}}],"obfuscation":"~"}}'
    )
    return Sent("message", filled(chunk, 242))  # with its field's name and its ends of lines: 250 bytes


def anthropic_like(n: int) -> Sent:
    delta = f'{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":" {n:05} ~"}}}}'
    return Sent("content_block_delta", filled(delta, 215))  # 250 bytes too


def with_ids(n: int) -> Sent | None:
    return None if n % 16 == 15 else Sent("token", filled(f'{{"n":{n},"text":"~"}}', 200), id=f"run-{n}")


def big(mebibytes: float) -> Callable[[int], Sent]:
    return lambda _: Sent("message", "0123456789abcdef" * int(mebibytes * MIB / 16))


def lines_100(n: int) -> Sent:
    return Sent(
        "message",
        "\n".join(f"{n:03} {line:02} a line of a document, as somebody would write it" for line in range(100)),
    )


def cjk_and_emoji(n: int) -> Sent:
    return Sent("message", f'{{"delta":"{n:05} 服务器发送事件 こんにちは世界 안녕하세요 🚀🎉🐍 {"流式传输" * 12}"}}')


def tiny(n: int) -> Sent:
    return Sent("message", str(n % 100))


OPENAI_ONE, ANTHROPIC_ONE = "OpenAI-like, one a piece", "Anthropic-like, one a piece"
OPENAI_16K, ANTHROPIC_16K = "OpenAI-like, 16 KiB pieces", "Anthropic-like, 16 KiB pieces"
CRLF_ONE, CRLF_16K = "CRLF, one a piece", "CRLF, 16 KiB pieces"
BYTEWISE = "byte by byte"

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


# The parsers. Each loader imports its package, which may be missing, and returns the way from pieces to events.

Parse = Callable[[list[bytes]], Iterable[Any]]


def load_ours() -> Parse:
    return lambda pieces: chain.from_iterable(map(EventParser().feed, pieces))


def load_launchdarkly() -> Parse:
    reader = import_module("ld_eventsource.reader")
    return lambda pieces: reader._SSEReader(reader._BufferedLineReader.lines_from(pieces)).events_and_comments()


@dataclass(frozen=True)
class TextResponse:
    """As much of an httpx response as its readers of event streams look at."""

    pieces: list[bytes]
    headers = {"content-type": "text/event-stream"}  # noqa: RUF012 (nobody changes it)
    request = None

    def iter_text(self) -> Iterator[str]:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        for piece in self.pieces:
            if text := decode(piece):
                yield text


def load_httpx_sse() -> Parse:
    httpx_sse = import_module("httpx_sse")
    return lambda pieces: httpx_sse.EventSource(TextResponse(pieces)).iter_sse()


def load_httpx2() -> Parse:
    httpx2_sse = import_module("httpx2._sse")
    # Its limit of 1 MiB would refuse the big events.
    return lambda pieces: httpx2_sse.EventSource(TextResponse(pieces), max_event_size=None)


def load_sdk(module: str) -> Parse:
    streaming = import_module(module)
    return lambda pieces: streaming.SSEDecoder().iter_bytes(iter(pieces))


def load_sseclient() -> Parse:
    sseclient = import_module("sseclient")
    return lambda pieces: sseclient.SSEClient(pieces).events()


def load_requests_sse() -> Parse:
    requests, requests_sse = import_module("requests"), import_module("requests_sse")

    def stop() -> None:
        raise StopIteration  # out of its `__next__`, where it would wait and connect again

    def parse(pieces: list[bytes]) -> Iterable[Any]:
        response = requests.Response()
        response.status_code, response.url, response.headers = 200, "http://localhost/", TextResponse.headers
        response.raw = SimpleNamespace(stream=lambda *_, **__: iter(pieces), close=lambda: None)
        session = SimpleNamespace(request=lambda **_: response)
        source = requests_sse.EventSource(response.url, session=session, on_error=stop)
        source.connect()
        return source  # type: ignore[no-any-return]

    return parse


@dataclass(frozen=True)
class Parser:
    name: str
    load: Callable[[], Parse]
    fields: tuple[str, ...] = ("event", "data")  # the attributes of its events that are checked, in the order of Sent

    def check(self, parse: Parse, pieces: list[bytes], sent: list[Sent]) -> str:
        """Say what is wrong with this parser's events, or nothing."""
        # Some call the event without a name "message", as the standard does, some "" or None: that is their API.
        # launchdarkly hands out comments too, which have no data.
        values, width = attrgetter(*self.fields), len(self.fields)
        events = [values(event) for event in parse(pieces) if hasattr(event, "data")]
        for at, ((name, *rest), expected) in enumerate(zip(events, sent, strict=False)):
            if (name or "message", *rest) != expected[:width]:
                return f"wrong from event {at:,} on"
        return "" if len(events) == len(sent) else f"wrong: {len(events):,} events instead of {len(sent):,}"


OURS = "sse-client"
PARSERS = (
    Parser(OURS, load_ours, ("event", "data", "id")),
    Parser("launchdarkly-eventsource", load_launchdarkly),
    Parser("httpx-sse", load_httpx_sse),
    Parser("httpx2", load_httpx2),
    Parser("openai", lambda: load_sdk("openai._streaming")),
    Parser("anthropic", lambda: load_sdk("anthropic._streaming")),
    Parser("sseclient-py", load_sseclient),
    Parser("requests-sse", load_requests_sse, ("type", "data")),
)


# The measuring.


class TooSlowError(Exception):
    """A run took longer than `LIMIT`."""


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise `TooSlowError` in what runs too long, at no cost to what does not. Without such timers (Windows), do nothing."""
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
    rounds: int
    wrong: str = ""
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(self.times)


Results = dict[str, Result]  # by the parser's name


def try_out(parser: Parser, parse: Parse, pieces: list[bytes], sent: list[Sent], rounds: int) -> Result:
    """Run once and check; decide in how many rounds to time this parser."""
    started = time.perf_counter()
    try:
        with time_limit():
            wrong = parser.check(parse, pieces, sent)
    except TooSlowError:
        return Result(0, times=[LIMIT])
    except Exception as error:
        return Result(0, f"wrong: {error!r:.60}", times=[math.nan])
    affordable = int(BUDGET / (time.perf_counter() - started))
    return Result(max(1, min(rounds, affordable)), wrong)


def run(parse: Parse, pieces: list[bytes]) -> float:
    gc.collect()
    started = time.perf_counter()
    with suppress(TooSlowError), time_limit():
        for _ in parse(pieces):
            pass
    return time.perf_counter() - started


def measure(workload: Workload, parses: dict[str, Parse], rounds: int) -> tuple[Results, int]:
    """Return each parser's result on the workload, and the number of its events."""
    pieces, sent = workload.build()
    parsers = [parser for parser in PARSERS if parser.name in parses]
    results = {parser.name: try_out(parser, parses[parser.name], pieces, sent, rounds) for parser in parsers}
    names = list(results)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if turn < results[name].rounds:
                results[name].times.append(run(parses[name], pieces))
    return results, len(sent)


def exponent(rounds: int) -> float:
    """Return how our time grows with the size of one event: 1 is linear, 2 is quadratic."""
    sizes = (0.6, 1, 1.7, 3, 5)
    pieces = [Workload("", 1, big(size), cut=KIB).build()[0] for size in sizes]
    parse = load_ours()
    turns = [[run(parse, one) for one in pieces] for _ in range(rounds)]
    best = [min(times) for times in zip(*turns, strict=True)]
    return linear_regression([math.log(size) for size in sizes], [math.log(seconds) for seconds in best]).slope


# What is asked of our parser.

FASTEST = "the fastest correct peer"


def ratio(results: Results, peer: str) -> float:
    """Return the peer's time over ours; NaN without a peer, or where our own events are wrong."""
    ours = results[OURS]
    if peer == FASTEST:
        correct = [result.seconds for name, result in results.items() if name != OURS and not result.wrong]
        theirs = min(correct, default=math.nan)
    else:
        theirs = results[peer].seconds if peer in results else math.nan
    return math.nan if ours.wrong else theirs / ours.seconds


@dataclass(frozen=True)
class Requirement:
    """The least ratio to a peer: the geometric mean over the workloads."""

    peer: str
    at_least: float
    workloads: tuple[str, ...]

    def measured(self, all_results: dict[str, Results]) -> float:
        return math.prod(ratio(all_results[name], self.peer) for name in self.workloads) ** (1 / len(self.workloads))


LAUNCHDARKLY = "launchdarkly-eventsource"
AT_LEAST_ITS_EQUAL = tuple(
    workload.name
    for workload in WORKLOADS
    if workload.end == "\n" and workload.name not in (OPENAI_ONE, OPENAI_16K, ANTHROPIC_16K, BYTEWISE)
)
REQUIREMENTS = (
    Requirement(LAUNCHDARKLY, 1.15, (OPENAI_ONE,)),
    *(Requirement(LAUNCHDARKLY, 2.0, (name,)) for name in (OPENAI_16K, ANTHROPIC_16K)),
    *(Requirement(LAUNCHDARKLY, 1.0, (name,)) for name in AT_LEAST_ITS_EQUAL),
    *(Requirement(LAUNCHDARKLY, 0.95, (name,)) for name in (CRLF_ONE, CRLF_16K)),
    Requirement("httpx-sse", 2.0, (OPENAI_ONE, ANTHROPIC_ONE)),
    Requirement("httpx-sse", 3.0, (OPENAI_16K, ANTHROPIC_16K)),
    Requirement("httpx2", 3.0, (OPENAI_ONE, ANTHROPIC_ONE)),
    Requirement("httpx2", 4.5, (OPENAI_16K, ANTHROPIC_16K)),
    Requirement("openai", 4.5, (OPENAI_ONE, ANTHROPIC_ONE)),
    Requirement("openai", 9.0, (OPENAI_16K, ANTHROPIC_16K)),
    Requirement(FASTEST, 1 / 3, (BYTEWISE,)),
)
GROWTH = "exponent of our time over the size of one event, 0.6 to 5 MiB, 1 KiB pieces"
MAX_GROWTH = 1.1


# The report.


def machine() -> dict[str, str]:
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else []
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "platform": platform.platform(), "cpu": (models or [platform.processor()])[0]}


def load_parsers() -> tuple[dict[str, Parse], dict[str, str]]:
    """Return what could be imported, and its versions."""
    parses, versions = {}, {}
    for parser in PARSERS:
        try:
            parses[parser.name] = parser.load()
        except ImportError as error:
            print(f"{parser.name}: skipped, {error}")
            continue
        versions[parser.name] = "this checkout" if parser.name == OURS else metadata.version(parser.name)
    return parses, versions


def print_results(workload: Workload, results: Results, events: int) -> None:
    print(f"\n{workload.name} ({events:,} events)")
    for name, result in results.items():
        nanoseconds = f"{result.seconds / events * 1e9:,.0f} ns"
        shown = f"[{nanoseconds}]" if result.wrong else f"{nanoseconds} "
        note = result.wrong or (f"> {LIMIT:g} s" if result.seconds >= LIMIT else "")
        print(f"  {name:26}{shown:>18}{result.seconds / results[OURS].seconds:9.2f}x  {note}".rstrip(), flush=True)


def print_verdict(subject: str, bound: str, measured: float, limit: float, short: float) -> None:
    verdict = "-   " if math.isnan(measured) else "FAIL" if short > 0 else "pass"
    by = f"short by {short:.1%}" if short > 0 else ""
    print(f"{verdict}  {subject:80}{bound} {limit:5.2f} {measured:8.2f}  {by}".rstrip())


def main() -> None:
    arguments = argparse.ArgumentParser(description="Compare the parser with its peers.")
    arguments.add_argument("--rounds", type=int, default=9, help="timings per parser and workload (default: 9)")
    arguments.add_argument("--only", metavar="WORD", default="", help="only what has this word in its name")
    arguments.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file too")
    options = arguments.parse_args()
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, stop_run)

    parses, versions = load_parsers()
    print(*(f"{key}: {value}" for key, value in (machine() | versions).items()), sep="\n")
    gc.collect()
    gc.freeze()  # the peers' modules are not what each timing's collections shall look through

    word = options.only.lower()
    all_results: dict[str, Results] = {}
    figures: dict[str, Any] = {}
    for workload in WORKLOADS:
        if word in workload.name.lower():
            results, events = measure(workload, parses, options.rounds)
            print_results(workload, results, events)
            all_results[workload.name] = results
            figures[workload.name] = {
                name: {
                    "ns_per_event": result.seconds / events * 1e9,
                    "ratio": ratio(results, name),
                    "wrong": result.wrong,
                }
                for name, result in results.items()
            }

    print("\nRequired of the ratios, and measured")
    for requirement in REQUIREMENTS:
        if all_results.keys() >= set(requirement.workloads):
            measured = requirement.measured(all_results)
            short = 1 - measured / requirement.at_least
            subject = f"{requirement.peer}: {' and '.join(requirement.workloads)}"
            print_verdict(subject, ">=", measured, requirement.at_least, short)
    if word in GROWTH:
        figures[GROWTH] = growth = exponent(options.rounds)
        print_verdict(GROWTH, "<=", growth, MAX_GROWTH, growth / MAX_GROWTH - 1)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "versions": versions, "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
