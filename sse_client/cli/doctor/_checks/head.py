"""
Checks of the head: is it a stream at all, and does anything in the head stop it from streaming?

Status, redirects and media type are judged here, the content coding and length in `coding`, caches and proxies in
`ways`, cross-origin access in `cors`.
"""

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from ..._notes import public_url
from .._case import Case, Check
from .._exchange import Hop
from .._finding import Finding, Level, quoted
from .._redirects import why_not
from . import coding, cors, proxies, ways

EVENT_STREAM = "text/event-stream"

REDIRECTS = frozenset({301, 302, 303, 307, 308})

# Parts of a path by which login pages are known.
LOGIN = re.compile(
    r"(?:^|[/._-])(?:log[-_]?in|sign[-_]?in|sso|saml2?|oauth2?|oidc|authorize)(?:$|[/._-])", re.IGNORECASE
)
TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
PASSWORD = re.compile(r"""<input[^>]+type=["']?password""", re.IGNORECASE)

# As much of a body as is searched for a title or a form. The heads of pages are long.
MAX_SEARCHED = 65_536  # bytes

# One cure for each status that has a usual cause; the others have the server's own message.
CURES = {
    400: "correct the request; the server's message says what is wrong",
    401: "authenticate: `--bearer-env NAME`, `-u USER`, or a header with `-H`",
    402: "check the account: the server asks for payment",
    403: "check the permissions of the key or session, and any firewall in between",
    404: "check the path, and the prefix that a proxy adds or removes",
    405: "use the method that the server expects",
    406: "make the server accept `Accept: text/event-stream`",
    413: "send less, or raise the limit (nginx: `client_max_body_size`)",
    415: "send the body as the type that the server expects: `--json` sends application/json",
    422: "correct the body; the server's message says which field",
    429: "wait, as `Retry-After` says, or raise the limit of the account",
    502: "see the proxy's log: its upstream server is down or closed the connection",
    503: "see the server's log: it is overloaded or not running",
    504: "send the head and a first comment at once, before the work: the proxy timed out waiting for them",
    524: "send the head and a first comment at once, before the work: Cloudflare timed out waiting for them",
}
CURE_5XX = "see the server's log"

# Media types of lines of JSON, each line one value.
LINES_OF_JSON = frozenset(
    {
        *("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"),
        *("application/jsonlines", "application/json-seq", "application/stream+json", "text/jsonl"),
    }
)


def redirects(case: Case) -> Iterator[Finding]:
    """Where redirects lead, and whether they keep the method."""
    method = case.exchange.method
    for hop in case.exchange.hops:
        way = f"{hop.status} to {quoted(hop.location)}"
        if not hop.is_followed:
            # A recording may not have the URL that redirected.
            why = why_not(method, hop.status, hop.at or hop.location, urljoin(hop.at, hop.location))
            evidence = f"{way}: {why or 'not followed'}"
            yield Finding("head", "redirect", Level.FAIL, evidence, _cure(hop))
        elif _is_login(hop.location):
            yield Finding("head", "redirect", Level.WARN, f"{way}: a login page", CURES[401])
        else:
            yield Finding("head", "redirect", Level.note, f"{way}: costs one more round trip", _cure(hop))


def _cure(hop: Hop) -> str:
    old, new = urlsplit(hop.at), urlsplit(urljoin(hop.at, hop.location))
    if _is_login(hop.location):
        return f"a login page: {CURES[401]}"
    if (old.scheme, new.scheme) == ("http", "https"):
        return "request the https URL directly"
    if new.path == f"{old.path}/":
        return "add the trailing slash to the path"
    if f"{new.path}/" == old.path:
        return "remove the trailing slash from the path"
    return (
        "request the final URL directly"
        if hop.is_followed
        else "request that URL directly, or redirect with 307 or 308"
    )


def _is_login(location: str) -> bool:
    return LOGIN.search(urlsplit(location).path) is not None


def status(case: Case) -> Iterator[Finding]:
    """Whether the status is that of a stream."""
    exchange = case.exchange
    number = exchange.status
    if number == 200:
        yield Finding("head", "status", Level.ok, "200")
    elif number in (204, 205):
        evidence = f"{number}: no body, and a browser's EventSource does not reconnect"
        yield Finding("head", "status", Level.FAIL, evidence, "return 200, even without an event yet")
    elif 200 < number < 300:
        cure = "return 200"
        yield Finding("head", "status", Level.WARN, f"{number}: a browser's EventSource accepts only 200", cure)
    elif number in REDIRECTS and any(not hop.is_followed for hop in exchange.hops):
        return  # `redirects` has said it
    elif number in REDIRECTS:
        location = quoted(public_url(exchange.headers.get("location", "")))
        evidence = f"{number} to {location}" if location else f"{number} without a Location"
        yield Finding("head", "status", Level.FAIL, f"{evidence}: not followed", "request that URL directly")
    else:
        cure = CURES.get(number, CURE_5XX if number >= 500 else "")
        yield Finding("head", "status", Level.FAIL, _with_words(str(number), case), cure)


def _with_words(evidence: str, case: Case) -> str:
    """Append what the server says in a body that is not a stream."""
    text = case.body.data[:MAX_SEARCHED].decode("utf-8", "replace")
    title = TITLE.search(text)
    words = " ".join((title[1] if title else text).split())
    return f"{evidence}: {quoted(words)}" if words else evidence


def content_type(case: Case) -> Iterator[Finding]:
    """Whether clients take the response for an event stream."""
    exchange = case.exchange
    if not exchange.has_body:
        return
    if "content-type" in exchange.redacted or ("content-type" not in exchange.headers and not exchange.has_whole_head):
        yield Finding("head", "content-type", Level.note, "unknown: the recording does not contain its value")
        return
    value = exchange.headers.get("content-type", "")
    kinds = {each.partition(";")[0].strip().lower() for each in value.split(",")} - {""}
    if kinds == {EVENT_STREAM}:
        yield _charset(value)
    else:
        yield Finding("head", "content-type", Level.FAIL, *_other_type(case, kinds))


def _charset(value: str) -> Finding:
    charset = re.search(r"""charset\s*=\s*["']?([^\s"';,]+)""", value, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8"):
        evidence = f"{EVENT_STREAM} with charset {quoted(charset[1])}: clients read UTF-8 regardless"
        return Finding("head", "content-type", Level.note, evidence, "send UTF-8 only")
    return Finding("head", "content-type", Level.ok, EVENT_STREAM)


def _other_type(case: Case, kinds: set[str]) -> tuple[str, str]:
    """Return what the media type is instead, and the cure."""
    if not kinds:
        return "no Content-Type: clients reject the stream", f"send `Content-Type: {EVENT_STREAM}`"
    if len(kinds) > 1:
        names = quoted(", ".join(sorted(kinds)))
        return f"two types at once, {names}: the server and a proxy each send one", "send it only once, in the server"
    (kind,) = kinds
    name = quoted(kind)
    if kind in ("text/html", "application/xhtml+xml"):
        return _page(case)
    if case.body.arrivals:
        cure = f"send `Content-Type: {EVENT_STREAM}` (Starlette, FastAPI: `media_type=`; Flask: `mimetype=`)"
        return f"{name}, with events in it: clients reject the stream", cure
    if kind in LINES_OF_JSON:
        return f"{name}: JSON lines, not an event stream", "ask the server for events, or read lines"
    if kind == "application/json" or kind.endswith("+json"):
        evidence = _with_words(f"{name}: one JSON value, not a stream", case)
        return evidence, 'ask for a stream: `"stream": true` in the body (Gemini: `:streamGenerateContent?alt=sse`)'
    if kind == "application/vnd.amazon.eventstream":
        return f"{name}: Amazon's binary frames, not an event stream", "read it with the AWS SDK"
    return f"{name}: not an event stream", f"send `Content-Type: {EVENT_STREAM}`, and check the path"


def _page(case: Case) -> tuple[str, str]:
    exchange = case.exchange
    text = case.body.data[:MAX_SEARCHED].decode("utf-8", "replace")
    last = exchange.hops[-1].location if exchange.hops else exchange.url
    if PASSWORD.search(text) or _is_login(last):
        return _with_words("text/html: a login page", case), CURES[401]
    if case.body.arrivals:
        return "text/html, with events in it: clients reject the stream", f"send `Content-Type: {EVENT_STREAM}`"
    if exchange.hops:
        return _with_words("text/html: a page, after a redirect", case), f"if it asks for a login, {CURES[401]}"
    cure = "check the path: the server may return this page for any unknown path"
    return _with_words("text/html: a page", case), cure


def http_version(case: Case) -> Iterator[Finding]:
    """Whether the version can frame a stream."""
    version = case.exchange.http_version
    if version == "HTTP/1.0":
        evidence = "HTTP/1.0: without chunks, the body ends only when the connection closes"
        yield Finding("head", "http-version", Level.WARN, evidence, "respond with HTTP/1.1 and chunks")
    elif version == "HTTP/1.1" and case.origin is not None:
        evidence = "HTTP/1.1: a browser opens at most 6 connections to a host, and each stream occupies one"
        yield Finding("head", "http-version", Level.note, evidence, "serve HTTP/2 to browsers")
    elif version:
        yield Finding("head", "http-version", Level.ok, version)


def framing(case: Case) -> Iterator[Finding]:
    """Whether a cut can be told from an end."""
    exchange = case.exchange
    headers = exchange.headers
    if not exchange.has_body or not exchange.http_version or not exchange.has_whole_head:
        return  # not each recording says how the body was framed
    who = sorted(proxy.name for proxy in proxies.seen(case) if proxy.name in proxies.CLEAN_AFTER_DEATH)
    is_new = not exchange.http_version.startswith("HTTP/1")
    if who and (is_new or "Caddy" in who):
        evidence = f"{' and '.join(who)} may end the body cleanly even if the server died"
        yield Finding(
            "head", "framing", Level.note, f"{evidence}: only a terminator shows that it is complete", TERMINATOR
        )
    elif is_new:
        yield Finding("head", "framing", Level.ok, f"{exchange.http_version} distinguishes a cut from the end")
    elif "chunked" in headers.get("transfer-encoding", "").lower():
        yield Finding("head", "framing", Level.ok, "chunked: a cut can be told from the end")
    elif exchange.redacted.isdisjoint({"content-length", "transfer-encoding"}) and "content-length" not in headers:
        level = Level.note if _has_terminator(case) else Level.WARN
        evidence = "the body ends when the connection closes: without a terminator, a cut looks like the end"
        yield Finding("head", "framing", level, evidence, f"send chunks, and {TERMINATOR}")


TERMINATOR = "end each reply with an event of its own, such as `data: [DONE]`"


def _has_terminator(case: Case) -> bool:
    """Whether the user named one, or one was seen."""
    return case.dialect is not None or case.marks.get("terminator") is not None or case.last is not None


CHECKS: tuple[Check, ...] = (
    redirects,
    status,
    content_type,
    coding.content_length,
    coding.content_encoding,
    ways.cache,
    ways.cache_control,
    ways.no_transform,
    ways.x_accel_buffering,
    ways.proxies,
    http_version,
    framing,
    cors.cors,
)
