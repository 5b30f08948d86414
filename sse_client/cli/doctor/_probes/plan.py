"""
More requests, only if the user asks for them: each is the same but for one thing, and tells what that thing does.

`--probe` compares with and without compression, HTTP/1.1 with HTTP/2, and a GET with a POST; `--compare` compares the
origin with a proxy in front of it; `--resume-check` asks for the events after the middle one. Each request is
announced. A request that could tell nothing is not sent: after a response without compression, none to go without it.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module

from ..._notes import Notes
from ..._request import Call, url_of, with_query
from ..._usage import UsageError
from .._case import Case, Diagnosis
from .._checks.proxies import seen
from .._decoding import codings
from .._exchange import CTRL_C
from .._finding import Finding, Level
from .._sources.observe import SECONDS, check_url, observe
from .contrast import Contrast, Way
from .resume import middle_of, resume

# A probe is read for as long as the main request took and this long more: for its own connection, and for a model that
# is slower this time.
MARGIN = 5.0  # seconds

NO_COMPRESSION = "do not compress text/event-stream (nginx: `gzip off;`), or send `Cache-Control: no-transform`"
NOT_COMPRESSED = "the response is not compressed, though gzip was accepted"

Judge = Callable[[Case, Case], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Probe:
    """One more request: the call and the options that make it different, and the comparison of its response."""

    check: str
    call: Call
    options: Namespace
    how: str
    """How the request differs, after the announcement "one more GET to …"."""
    judge: Judge


def check_probes(options: Namespace) -> None:
    """Raise `UsageError` for a probe that cannot be made: before the first request, which may cost money."""
    if options.compare is not None:
        check_url(url_of(options.compare))


def probed(first: Diagnosis, call: Call, options: Namespace, notes: Notes) -> list[Diagnosis]:
    """
    Send the requests that the options ask for, one after the other; after Ctrl-C no more.

    The first diagnosis returned is the given one with the findings of all probes, so that one list has everything. The
    others are only there for their times: one for each request.
    """
    case = first.case
    if case.exchange.left == CTRL_C:
        return [first]
    findings, others = [*first.findings], list[Diagnosis]()
    for each in plan(case, call, options):
        if isinstance(each, Finding):
            findings.append(each)
            continue
        try:
            exchange = observe(each.call, each.options, notes, how=each.how)
        except UsageError as error:
            findings.append(Finding("head", each.check, Level.WARN, f"not sent: {error}"))
            continue
        other = replace(case, exchange=exchange, wait=None)
        others.append(Diagnosis(other, ()))
        if exchange.left == CTRL_C:
            findings.append(Finding("head", each.check, Level.note, "not compared: ended by Ctrl-C"))
            break
        findings += each.judge(case, other)
    return [replace(first, findings=tuple(findings)), *others]


def plan(case: Case, call: Call, options: Namespace) -> Iterator[Probe | Finding]:
    """Yield the probes; in place of one that can tell nothing, why not."""
    if options.probe and case.exchange.failure is None:
        yield _compression(case, call, options)
        yield _http_version(case, call, options)
        if call.method == "GET":
            yield _post(case, call, options)
    if options.resume_check and case.exchange.failure is None:
        yield _resume(case, call, options)
    if options.compare is not None:
        yield _compare(case, call, options)


def _compression(case: Case, call: Call, options: Namespace) -> Probe | Finding:
    check, coding = "probe-gzip", case.exchange.coding
    plain = Way("without compression", "without compression", "check the filters of the server and its proxies")
    if coding:
        accepted, here, there = "identity", Way(f"with {coding}", f"by {coding}", NO_COMPRESSION), plain
    elif "gzip" in case.exchange.accepted:
        return Finding("head", check, Level.ok, NOT_COMPRESSED)
    else:
        accepted, here, there = (
            ", ".join(codings()),
            plain,
            Way("with compression", "by the compression", NO_COMPRESSION),
        )
    contrast = Contrast(check, here, there)

    def judge(case: Case, other: Case) -> Iterator[Finding]:
        if accepted != "identity" and other.is_stream and not other.exchange.coding:
            yield Finding("head", check, Level.ok, NOT_COMPRESSED)
        elif accepted == "identity" and other.exchange.coding:
            evidence = f"the response is compressed with {other.exchange.coding}, though only identity was accepted"
            yield Finding("head", check, Level.WARN, evidence, NO_COMPRESSION)
        else:
            yield from contrast.compare(case, other)

    changed = _with_header(call, "Accept-Encoding", accepted)
    return Probe(check, changed, _limited(case, options), f"with Accept-Encoding: {accepted}", judge)


def _http_version(case: Case, call: Call, options: Namespace) -> Probe | Finding:
    check = "probe-http2"
    is_http2 = case.exchange.http_version == "HTTP/2"
    if not is_http2:
        if not case.exchange.url.startswith("https:"):
            evidence = "not compared: http URLs use HTTP/1.1 only, as in browsers"
            return Finding("head", check, Level.note, evidence)
        if options.http2:
            return Finding("head", check, Level.note, "not compared: the server does not offer HTTP/2")
        try:
            import_module("h2.connection")  # here, so that it does not slow the probe down
        except ImportError:
            return Finding("head", check, Level.note, "not compared: h2 is not installed", "pip install h2")
    ways = [
        Way(name, f"over {name}", f"check how the server and its proxies send over {name}")
        for name in ("HTTP/1.1", "HTTP/2")
    ]
    contrast = Contrast(check, here=ways[is_http2], there=ways[not is_http2])

    def judge(case: Case, other: Case) -> Iterator[Finding]:
        if other.exchange.http_version == case.exchange.http_version:
            evidence = f"the server does not offer {contrast.there.name}"
            yield Finding("head", check, Level.note, f"not compared: {evidence}")
        else:
            yield from contrast.compare(case, other)

    changed = Namespace(**{**vars(_limited(case, options)), "http2": not is_http2})
    return Probe(check, call, changed, f"over {contrast.there.name}", judge)


def _post(case: Case, call: Call, options: Namespace) -> Probe:
    cure = "find out what treats the two methods differently: a cache, or a proxy rule"
    get, post = (Way(name, f"as a {name}", cure) for name in ("GET", "POST"))
    contrast = Contrast("probe-post", get, post, there_level=Level.note, is_sure_to_work=False)
    changed = call._replace(method="POST", arguments={**call.arguments, "content": b""})
    return Probe("probe-post", changed, _limited(case, options), "with an empty body", contrast.compare)


def _compare(case: Case, call: Call, options: Namespace) -> Probe:
    """Ask the origin. The headers go along, credentials too: the user named both URLs, for one and the same request."""
    there = Way("origin", "at the origin", "check the server itself, or the URL of --compare")

    def judge(case: Case, other: Case) -> Iterator[Finding]:
        between = [proxy for proxy in seen(case) if proxy not in seen(other)]
        cures = [proxy.buffering_cure for proxy in between if proxy.buffering_cure]
        if case.exchange.coding and not other.exchange.coding:
            cures = [NO_COMPRESSION]
        cure = cures[0] if cures else "turn off buffering in every proxy in between (nginx: `proxy_buffering off;`)"
        here = Way("here", "between here and the origin", cure)
        yield from Contrast("compare", here, there, there_level=Level.note).compare(case, other)

    changed = call._replace(url=with_query(url_of(options.compare), options.query or ()))
    return Probe("compare", changed, _limited(case, options), "with the same headers and credentials", judge)


def _resume(case: Case, call: Call, options: Namespace) -> Probe | Finding:
    check = "resume"
    middle = middle_of(case)
    if middle is None:
        evidence = (
            "no event has an ID, so the stream cannot be resumed" if case.body.arrivals else "no event to resume from"
        )
        return Finding("body", check, Level.note, evidence)
    value = middle.id.strip(" \t").encode()
    if not is_sendable(value):
        evidence = "HTTP cannot carry the middle event's ID, so the stream cannot be resumed after it"
        return Finding("body", check, Level.WARN, evidence, "send IDs of visible ASCII characters")
    changed = _with_header(call, "Last-Event-ID", value)
    # As many as tell whether a server resumes: those that followed, and what each connection begins with.
    limited = _limited(case, options, count=len(middle.prelude) + max(len(middle.after), 1))
    return Probe(check, changed, limited, "with the middle event's ID as Last-Event-ID", resume)


def is_sendable(value: bytes) -> bool:
    """Whether HTTP can carry an ID: no control characters, and not nothing (RFC 9110, section 5.5)."""
    return bool(value) and all(byte >= 0x20 and byte != 0x7F for byte in value)


def _limited(case: Case, options: Namespace, *, count: int | None = None) -> Namespace:
    """Return the options for a probe, which is not read for longer than it needs."""
    most = min(case.exchange.ended_at, options.timeout or SECONDS)  # not as long as --wait
    changes = {"timeout": most + MARGIN, "wait": None}
    if count is not None:
        changes["count"] = count
    return Namespace(**{**vars(options), **changes})


def _with_header(call: Call, name: str, value: str | bytes) -> Call:
    """Return the call with a header in place of all of that name."""
    content = value.encode() if isinstance(value, str) else value
    headers = [each for each in call.arguments.get("headers", ()) if each[0].lower() != name.lower().encode()]
    arguments = {key: each for key, each in call.arguments.items() if key != "last_event_id" or name != "Last-Event-ID"}
    return call._replace(arguments={**arguments, "headers": [*headers, (name.encode(), content)]})
