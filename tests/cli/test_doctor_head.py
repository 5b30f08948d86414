"""`doctor`, the head: each row of the tables is one fact about a response, healthy or not."""

import gzip
import json
import zlib
from collections.abc import Mapping
from random import Random
from typing import Any

import cases
import httpx
import pytest
from cases import At, blocks, exchange, findings, paced
from command import run
from hypothesis import given
from hypothesis import strategies as st

from sse_client import Terminator
from sse_client.cli._text import in_one_line
from sse_client.cli.doctor._case import Case
from sse_client.cli.doctor._checks import proxies
from sse_client.cli.doctor._exchange import End, Exchange, Hop, Piece
from sse_client.cli.doctor._finding import Finding, Level
from sse_client.testing import Answer, EventServer, RecordedRequest

OK, NOTE, WARN, FAIL = Level.ok, Level.note, Level.WARN, Level.FAIL
STREAM = [*paced(blocks(5))]
HTML = '<!doctype html><html><head><title>Sign in</title></head><body><input type="password"></body></html>'


def of_head(case: Case | Exchange) -> list[Finding]:
    """The findings of the head."""
    return [finding for finding in findings(case) if finding.area == "head"]


def the(check: str, case: Case | Exchange) -> Finding:
    """The only finding of this check."""
    (finding,) = (finding for finding in of_head(case) if finding.check == check)
    return finding


def with_head(**more: str | None) -> Exchange:
    """A stream with these headers besides the usual ones; `None` takes one away."""
    return exchange(*STREAM, more={name.replace("_", "-"): value for name, value in more.items()})


def healthy(**options: Any) -> Exchange:
    return exchange(*STREAM, **options)


HEALTHY: dict[str, Case | Exchange] = {
    "plain": healthy(),
    "http/2": healthy(http_version="HTTP/2"),
    "nginx that passes on": healthy(more={"server": "nginx/1.27", "x-accel-buffering": None}),
    "cloudflare": healthy(more={"server": "cloudflare", "cf-ray": "8a1", "cf-cache-status": "DYNAMIC"}),
    "fastly, a miss": healthy(more={"x-served-by": "cache-fra-1", "x-cache": "MISS, MISS", "x-cache-hits": "0, 0"}),
    "varnish, a miss": healthy(more={"x-varnish": "65538", "age": "0"}),
    "two varnishes, both a miss": healthy(more={"x-varnish": "65538, 32770"}),
    "a pass of a cache": healthy(more={"x-cache": "HIT-FOR-PASS"}),
    "a cache on a host named hit": healthy(more={"x-cache": "MISS from white.hit.test"}),
    "closed by the server, with a terminator": healthy(more={"transfer-encoding": None, "connection": "close"}),
    "charset": healthy(more={"content-type": "text/event-stream; charset=UTF-8"}),
    "the media type twice": healthy(more={"content-type": "text/event-stream, text/event-stream"}),
    "a page of the right origin": Case(
        healthy(more={"access-control-allow-origin": "https://app.test", "vary": "Accept, Origin"}),
        origin="https://app.test/",
    ),
    "a page of any origin": Case(healthy(more={"access-control-allow-origin": "*"}), origin="https://app.test"),
    "an error of one event, with its length": exchange((0.1, blocks(1)[0]), more={"content-length": "20"}),
    "no event yet": exchange(end=End.LEFT, ended_at=60.0),
    "a recording": healthy(is_recorded=True, http_version=""),
    "a recording without a head": exchange((0.0, "".join(blocks(3))), headers={}, is_recorded=True, http_version=""),
    "a redacted recording": exchange(
        *STREAM,
        headers={},
        is_recorded=True,
        http_version="",
        redacted=frozenset({"content-type", "content-length", "content-encoding", "cache-control"}),
    ),
    "a recorded length, without times": exchange(
        (0.0, "".join(blocks(3))), more={"content-length": "99"}, is_recorded=True, http_version=""
    ),
    "a followed redirect": healthy(hops=(Hop(308, "http://api.test/v1/chat", is_followed=True),)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy(name: str) -> None:
    """The head of a healthy stream has neither a WARN nor a FAIL."""
    assert [finding for finding in of_head(HEALTHY[name]) if finding.level >= WARN] == []


def test_a_healthy_head_is_explained() -> None:
    """Each check that applies says so, with its evidence."""
    assert {finding.check: finding.evidence for finding in of_head(healthy())} == {
        "status": "200",
        "content-type": "text/event-stream",
        "content-length": "no Content-Length",
        "content-encoding": "none",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "proxy": "no proxy is visible",
        "http-version": "HTTP/1.1",
        "framing": "chunked: a cut can be told from the end",
    }


REFUSED = [
    (401, '{"error": "no key"}', "--bearer-env"),
    (403, "", "permissions"),
    (404, "<title>Not found</title>", "path"),
    (405, "", "method"),
    (422, '{"detail": "messages"}', "body"),
    (429, "", "Retry-After"),
    (500, "boom", "log"),
    (502, "", "proxy"),
    (504, "", "comment"),
    (524, "", "Cloudflare"),
    (599, "", "log"),
]


@pytest.mark.parametrize(("status", "body", "cure"), REFUSED, ids=[str(status) for status, _, _ in REFUSED])
def test_refused(status: int, body: str, cure: str) -> None:
    """An error status is a FAIL, with the server's message and one cure."""
    finding = the("status", exchange((0.1, body), status=status, more={"content-type": "application/json"}))
    assert finding.level == FAIL
    assert finding.evidence.startswith(str(status))
    assert cure in finding.cure


def test_words_of_the_server() -> None:
    """An error is shown in the server's words: the title of a page, or the beginning of its text, in one line."""
    page = exchange((0.1, "<html><title>\n Bad\x1b[31m gateway </title>"), status=502)
    assert the("status", page).evidence == "502: Bad\\x1b[31m gateway"
    long = exchange((0.1, "x" * 500), status=500)
    assert len(the("status", long).evidence) <= len("500: ") + 80


STATUSES = {200: OK, 201: WARN, 202: WARN, 204: FAIL, 205: FAIL, 304: FAIL}


@pytest.mark.parametrize("status", STATUSES)
def test_statuses(status: int) -> None:
    """A browser takes only 200 for a stream; 204 and 205 have no body."""
    body = STREAM if status in (200, 201, 202) else []
    assert the("status", exchange(*body, status=status)).level == STATUSES[status]


HOPS: list[tuple[str, str, str, int, str, bool, Level, str]] = [
    # method, URL, Location, status, is followed, level, cure
    (
        "https",
        "POST",
        "http://api.test/chat",
        301,
        "https://api.test/chat",
        False,
        FAIL,
        "request the https URL directly",
    ),
    ("login", "POST", "http://api.test/chat", 302, "/login", False, FAIL, "authenticate"),
    ("slash", "POST", "http://api.test/chat", 301, "http://api.test/chat/", False, FAIL, "add the trailing slash"),
    ("no slash", "GET", "http://api.test/chat/", 308, "/chat", True, NOTE, "remove the trailing slash"),
    ("downgrade", "POST", "https://api.test/chat", 307, "http://api.test/chat", False, FAIL, "307 or 308"),
    ("elsewhere", "POST", "http://api.test/chat", 303, "http://b.test/", False, FAIL, "307 or 308"),
    ("followed", "POST", "http://api.test/chat", 307, "/v2", True, NOTE, "final URL"),
    ("followed https", "POST", "http://api.test/chat", 308, "https://api.test/chat", True, NOTE, "https URL directly"),
    ("followed login", "GET", "http://api.test/chat", 302, "/auth/sign-in", True, WARN, "authenticate"),
]


@pytest.mark.parametrize(
    ("method", "url", "status", "to", "followed", "level", "cure"), [pytest.param(*row[1:], id=row[0]) for row in HOPS]
)
def test_redirects(method: str, url: str, status: int, to: str, followed: bool, level: Level, cure: str) -> None:
    """A redirect is a FAIL if a POST cannot follow it, and a login page is named; the cure says which URL to use."""
    hop = Hop(status, to, is_followed=followed, at=url)
    found = exchange(
        *(STREAM if followed else ()), status=200 if followed else status, method=method, url=url, hops=(hop,)
    )
    finding = the("redirect", found)
    assert finding.level == level
    assert cure in finding.cure
    assert not [each for each in of_head(found) if each.check == "status" and each.level == FAIL]


def test_a_post_that_becomes_a_get() -> None:
    """A 301 in response to a POST is a FAIL because the POST would become a GET."""
    hop = Hop(301, "https://api.test/chat", is_followed=False)
    assert "a POST would become a GET" in the("redirect", exchange(status=301, hops=(hop,))).evidence


def test_a_redirect_without_a_hop() -> None:
    """A redirect without a Location, or one that a recording has, is a FAIL; the query is not shown."""
    assert the("status", exchange(status=302)).evidence == "302 without a Location: not followed"
    found = the("status", exchange(status=302, more={"location": "/x?token=canary"}))
    assert "canary" not in found.evidence
    assert "/x?token=" in found.evidence


TYPES = [
    ("plain", "text/plain", "".join(blocks(3)), "with events in it", "media_type="),
    ("plain, no event", "text/plain", "hello", "not an event stream", "Content-Type"),
    ("ndjson", "application/x-ndjson", '{"a": 1}\n{"a": 2}\n', "JSON lines", "lines"),
    ("jsonl", "application/jsonl; charset=utf-8", '{"a": 1}\n', "JSON lines", "lines"),
    ("json", "application/json", '{"choices": []}', "one JSON value", '"stream": true'),
    ("lines of events", "application/x-ndjson", "data: {}\n\n", "with events in it", "text/event-stream"),
    ("json of events", "application/json", "data: {}\n\n", "with events in it", "text/event-stream"),
    ("problem", "application/problem+json", '{"title": "no"}', "one JSON value", "stream"),
    ("html", "text/html; charset=utf-8", "<title>My app</title>", "a page: My app", "path"),
    ("login", "text/html", HTML, "a login page: Sign in", "authenticate"),
    ("html with events", "text/html", "".join(blocks(3)), "with events in it", "Content-Type"),
    ("amazon", "application/vnd.amazon.eventstream", b"\x00\x00\x00\x01", "Amazon's binary frames", "SDK"),
    ("octets", "application/octet-stream", b"\xff\xfe", "not an event stream", "Content-Type"),
    ("missing", None, "".join(blocks(3)), "no Content-Type", "Content-Type"),
    ("two", "text/event-stream, text/plain", "".join(blocks(3)), "two types", "once"),
]


@pytest.mark.parametrize(("kind", "body", "evidence", "cure"), [pytest.param(*row[1:], id=row[0]) for row in TYPES])
def test_other_types(kind: str | None, body: bytes | str, evidence: str, cure: str) -> None:
    """Another media type is a FAIL, by its name and with its own cure."""
    finding = the("content-type", exchange((0.1, body), more={"content-type": kind}))
    assert finding.level == FAIL
    assert evidence in finding.evidence
    assert cure in finding.cure


def test_a_page_after_a_redirect_to_a_login() -> None:
    """A page is a login page too if a redirect led to one, whatever it looks like."""
    hop = Hop(302, "/users/sign_in", is_followed=True)
    page = exchange((0.1, "<p>Hello"), method="GET", more={"content-type": "text/html"}, hops=(hop,))
    assert "a login page" in the("content-type", page).evidence


def test_another_charset() -> None:
    """A charset other than UTF-8 is a note: clients ignore it."""
    finding = the("content-type", with_head(content_type="text/event-stream; charset=iso-8859-1"))
    assert finding.level == NOTE
    assert "iso-8859-1" in finding.evidence


ALL = "".join(blocks(10))
LENGTHS: dict[str, tuple[list[At], Level]] = {
    "all at once, late": ([(3.0, ALL)], FAIL),
    "in pieces of one write, late": ([(3.0, ALL[:50]), (3.01, ALL[50:])], FAIL),
    "all at once, early": ([(0.05, ALL)], WARN),
    "over time": ([*paced(blocks(10), start=0.1, step=0.5)], WARN),
    "a short reply, late": ([(3.0, "".join(blocks(7)))], WARN),
    "one event": ([(3.0, blocks(1)[0])], NOTE),
    "nothing": ([], NOTE),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths(name: str) -> None:
    """A Content-Length is a FAIL only if several events came at once, after a time in which a reader waited."""
    pieces, level = LENGTHS[name]
    found = exchange(*pieces, more={"transfer-encoding": None, "content-length": str(len(ALL))}, ended_at=4.0)
    assert the("content-length", found).level == level


def compressed(*, flush: int | None = zlib.Z_SYNC_FLUSH, each: int = 1, wbits: int = 31, step: float = 0.3) -> list[At]:
    """A compressed reply of eleven events, `each` of them per flush; `flush=None` is a compressor left to itself."""
    compressor = zlib.compressobj(wbits=wbits)
    pieces: list[At] = []
    for number, block in enumerate(blocks(10)):
        data = compressor.compress(block.encode())
        if flush is not None and (number + 1) % each == 0:
            data += compressor.flush(flush)
        if data:
            pieces.append((round(0.2 + number * step, 3), data))
    return [*pieces, (round(0.2 + 10 * step, 3), compressor.flush())]


def in_lumps() -> list[At]:
    """Events through a compressor that is never flushed, but large enough to fill its buffer again and again."""
    compressor = zlib.compressobj(wbits=31)
    random = Random(0)  # text that hardly shrinks
    pieces: list[At] = []
    for number in range(400):
        data = compressor.compress(f"data: {random.randbytes(300).hex()}\n\n".encode())
        if data:
            pieces.append((round(0.1 + number * 0.02, 3), data))
    return [*pieces, (9.0, compressor.flush())]


CODINGS: dict[str, tuple[list[At], dict[str, str], Level, str]] = {
    "gzip, flushed": (compressed(), {"content-encoding": "gzip"}, OK, "one by one"),
    "gzip, flushed in full": (compressed(flush=zlib.Z_FULL_FLUSH), {"content-encoding": "gzip"}, OK, "one by one"),
    "gzip, flushed in part": (compressed(flush=zlib.Z_PARTIAL_FLUSH), {"content-encoding": "gzip"}, OK, "one by one"),
    "x-gzip": (compressed(), {"content-encoding": "X-GZIP"}, OK, "one by one"),
    "deflate": (compressed(wbits=15), {"content-encoding": "deflate"}, OK, "one by one"),
    "raw deflate": (compressed(wbits=-15), {"content-encoding": "deflate"}, OK, "one by one"),
    "a model that writes in bursts": (compressed(each=5), {"content-encoding": "gzip"}, NOTE, "not after each"),
    "gzip, never flushed": (compressed(flush=None), {"content-encoding": "gzip"}, FAIL, "in one piece, after 3.2 s"),
    "deflate, never flushed": (compressed(flush=None, wbits=15), {"content-encoding": "deflate"}, FAIL, "not flushed"),
    "gzip, in lumps": (in_lumps(), {"content-encoding": "gzip"}, FAIL, "pieces"),
    "gzip, fast and all at once": (
        compressed(flush=None, step=0.01),
        {"content-encoding": "gzip"},
        WARN,
        "not flushed",
    ),
    "gzip of one event": ([(2.0, gzip.compress(b"data: 1\n\n"))], {"content-encoding": "gzip"}, NOTE, "too few"),
    "not asked for": ([(0.1, b"\x28\xb5\x2f\xfd")], {"content-encoding": "zstd"}, FAIL, "did not accept"),
    "damaged": ([(0.1, b"data: 1\n\n")], {"content-encoding": "gzip"}, FAIL, "damaged"),
}


@pytest.mark.parametrize("name", CODINGS)
def test_codings(name: str) -> None:
    """Compressed events are healthy if they can be read one by one; a compressor without a flush is a FAIL."""
    pieces, head, level, evidence = CODINGS[name]
    finding = the("content-encoding", exchange(*pieces, more=head, accepted="gzip, deflate, br"))
    assert finding.level == level, finding.evidence
    assert evidence in finding.evidence


@pytest.mark.parametrize("is_flushed", [True, False])
def test_brotli(is_flushed: bool) -> None:
    """Brotli leaves no mark of a flush, so what could be read only at the end is not more than a WARN."""
    brotli = pytest.importorskip("brotli")
    compressor = brotli.Compressor()
    pieces: list[At] = []
    for number, block in enumerate(blocks(10)):
        data = compressor.process(block.encode()) + (compressor.flush() if is_flushed else b"")
        pieces.append((round(0.3 * number + 0.1, 3), data))
    pieces.append((4.0, compressor.finish()))
    found = exchange(*pieces, more={"content-encoding": "br"}, accepted="gzip, deflate, br")
    assert the("content-encoding", found).level == (OK if is_flushed else WARN)


CURES = {
    "Express": {"x-powered-by": "Express"},
    "gzip_types": {"server": "nginx"},
    "no-gzip": {"server": "Apache/2.4"},
    "do not compress": {"server": "uvicorn"},
}


@pytest.mark.parametrize("cure", CURES)
def test_the_cure_of_a_compressor(cure: str) -> None:
    """The cure names the compressor that is probably at work."""
    head = {"content-encoding": "gzip", **CURES[cure]}
    assert cure in the("content-encoding", exchange(*compressed(flush=None), more=head)).cure


def test_a_compressor_that_says_nothing() -> None:
    """Compressed bytes without an event before we stopped reading are a WARN: there may have been no event."""
    found = exchange((0.1, gzip.compress(b"")[:10]), more={"content-encoding": "gzip"}, end=End.LEFT, ended_at=60.0)
    assert the("content-encoding", found).level == WARN


CONTROLS = [
    ("no-cache", "GET", {}, OK),
    ("no-store", "GET", {"x-cache": "MISS"}, OK),
    ("private, max-age=0", "GET", {}, OK),
    ("public, max-age=600", "GET", {}, WARN),
    ("public, max-age=600", "POST", {}, NOTE),
    ("s-maxage=60", "GET", {}, WARN),
    (None, "POST", {"cf-ray": "1"}, NOTE),
    (None, "GET", {}, NOTE),
    (None, "GET", {"cf-ray": "1"}, WARN),
    ("no-transform", "GET", {"x-varnish": "1"}, WARN),
]


@pytest.mark.parametrize(("value", "method", "more", "level"), CONTROLS)
def test_cache_control(value: str | None, method: str, more: Mapping[str, str], level: Level) -> None:
    """Whether a cache may keep the stream matters for a GET, and where a cache is in the way."""
    found = exchange(*STREAM, method=method, more={"cache-control": value, **more})
    assert the("cache-control", found).level == level


HITS = [
    ("x-cache", "HIT"),
    ("x-cache", "MISS, HIT"),
    ("x-cache-hits", "0, 3"),
    ("x-cache", "Hit from cloudfront"),
    ("x-cache", "RefreshHit from cloudfront"),
    ("x-cache", "TCP_MEM_HIT from a23-1.deploy.akamaitechnologies.com (AkamaiGHost)"),
    ("cf-cache-status", "HIT"),
    ("cf-cache-status", "REVALIDATED"),
    ("x-vercel-cache", "STALE"),
    ("x-varnish", "65538 32770"),
    ("x-cache-status", "hit"),
    ("cache-status", "ExampleCache; hit; ttl=30"),
]


@pytest.mark.parametrize(("name", "value"), HITS)
def test_a_copy_from_a_cache(name: str, value: str) -> None:
    """A hit of a cache is a FAIL: this is a copy of an old stream."""
    finding = the("cache", exchange(*STREAM, more={name: value}))
    assert finding.level == FAIL
    assert "no-store" in finding.cure


MISSES = [
    ("x-cache", "MISS"),
    ("x-cache", "Miss from cloudfront"),
    ("cf-cache-status", "BYPASS"),
    ("x-vercel-cache", "MISS"),
    ("x-cache", "TCP_MISS from hit.test"),
]


@pytest.mark.parametrize(("name", "value"), MISSES)
def test_a_miss(name: str, value: str) -> None:
    """A cache that did not have the response is fine."""
    assert the("cache", exchange(*STREAM, more={name: value})).level == OK


def test_an_old_response() -> None:
    """An Age above zero is a WARN: a cache says how long it has had the response."""
    assert the("cache", with_head(age="42")).level == WARN


def test_no_transform() -> None:
    """`no-transform` matters if a proxy in the way compresses: without it there is a note."""
    assert the("no-transform", with_head(cf_ray="1")).level == OK
    assert the("no-transform", with_head(cf_ray="1", cache_control="no-cache")).level == NOTE
    assert not [finding for finding in of_head(with_head(cache_control="no-cache")) if finding.check == "no-transform"]


def test_x_accel_buffering() -> None:
    """nginx removes the header that it honors, so its absence is no more than a note; `yes` is a WARN."""
    assert the("x-accel-buffering", with_head(server="nginx", x_accel_buffering=None)).level == NOTE
    assert the("x-accel-buffering", with_head(server="openresty", x_accel_buffering=None)).level == NOTE
    assert the("x-accel-buffering", with_head(x_accel_buffering="yes")).level == WARN
    assert not [each for each in of_head(with_head(x_accel_buffering=None)) if each.check == "x-accel-buffering"]


SIGNS = [
    ("server", "cloudflare", "Cloudflare"),
    ("cf-ray", "8a1-FRA", "Cloudflare"),
    ("x-amz-cf-id", "abc", "Amazon CloudFront"),
    ("via", "1.1 abc.cloudfront.net (CloudFront)", "Amazon CloudFront"),
    ("x-amz-apigw-id", "abc", "Amazon API Gateway"),
    ("set-cookie", "AWSALB=abc; Path=/", "AWS load balancer"),
    ("x-azure-ref", "abc", "Azure Front Door"),
    ("x-served-by", "cache-fra-eddf8230020-FRA", "Fastly"),
    ("akamai-grn", "0.1", "Akamai"),
    ("x-varnish", "1", "Varnish"),
    ("via", "1.1 google", "Google Front End"),
    ("via", "1.1 vegur", "Heroku router"),
    ("via", "2.0 heroku-router", "Heroku router"),
    ("fly-request-id", "01-fra", "Fly.io proxy"),
    ("x-vercel-id", "fra1::abc", "Vercel"),
    ("x-nf-request-id", "01", "Netlify"),
    ("x-railway-edge", "eu", "Railway"),
    ("x-kong-proxy-latency", "1", "Kong"),
    ("x-envoy-upstream-service-time", "12", "Envoy"),
    ("server", "istio-envoy", "Envoy"),
    ("via", "1.1 Caddy", "Caddy"),
    ("server", "nginx/1.27.0", "nginx"),
    ("server", "openresty", "OpenResty"),
    ("server", "Apache/2.4.62 (Debian)", "Apache"),
    ("server", "Apache", "Apache"),
    ("server", "Microsoft-IIS/10.0", "IIS"),
]


@pytest.mark.parametrize(("header", "value", "name"), SIGNS)
def test_who_stands_in_the_way(header: str, value: str, name: str) -> None:
    """A proxy is known by its headers, and by nothing else."""
    found = exchange(*STREAM, more={header: value})
    assert [proxy.name for proxy in proxies.seen(Case(found))] == [name]
    assert the("proxy", found).evidence.startswith(name)


def test_no_proxy() -> None:
    """A server of an application is not a proxy."""
    assert proxies.seen(Case(with_head(server="uvicorn", x_powered_by="Express", x_served_by="web-1"))) == []


def test_limits_have_a_source() -> None:
    """Each limit names its source, and no proxy without a limit does; names are unique."""
    for proxy in proxies.PROXIES:
        assert bool(proxy.source) == (proxy.idle_limit is not None or proxy.total_limit is not None)
    assert len({proxy.name for proxy in proxies.PROXIES}) == len(proxies.PROXIES)
    assert {proxy.name for proxy in proxies.PROXIES} >= proxies.OF_NGINX | proxies.CLEAN_AFTER_DEATH


def test_a_limit_is_told() -> None:
    """The limits of a proxy are given with their source."""
    evidence = the("proxy", with_head(server="nginx")).evidence
    assert evidence.startswith("nginx: by default it ends a stream after 60 s without a byte (`proxy_read_timeout`")


def test_an_unknown_proxy() -> None:
    """A proxy in Via that is not in the table is given by its own name."""
    found = [
        finding.evidence
        for finding in of_head(with_head(via="1.1 corp-proxy-7, 1.1 Caddy"))
        if finding.check == "proxy"
    ]
    assert found == ["Caddy", "a proxy named corp-proxy-7"]


NO_DONE: list[At] = [*paced(blocks(5, done=False))]
FRAMINGS: dict[str, tuple[Case, Level]] = {
    "chunked": (Case(healthy()), OK),
    "http/2": (Case(healthy(http_version="HTTP/2")), OK),
    "http/2 behind haproxy": (Case(healthy(http_version="HTTP/2", more={"via": "2 haproxy"})), NOTE),
    "haproxy, http/1.1": (Case(healthy(more={"via": "1.1 haproxy"})), OK),
    "caddy": (Case(healthy(more={"via": "1.1 Caddy"})), NOTE),
    "closed, without a terminator": (Case(exchange(*NO_DONE, more={"transfer-encoding": None})), WARN),
    "closed, with [DONE]": (Case(healthy(more={"transfer-encoding": None})), NOTE),
    "closed, with a dialect": (Case(exchange(*NO_DONE, more={"transfer-encoding": None}), dialect="openai"), NOTE),
    "closed, with --until": (
        Case(exchange(*NO_DONE, more={"transfer-encoding": None}), marks={"terminator": Terminator(event="end")}),
        NOTE,
    ),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_framings(name: str) -> None:
    """A body that the end of the connection ends is a WARN without a terminator; some proxies hide a cut as well."""
    case, level = FRAMINGS[name]
    assert the("framing", case).level == level


def test_http_versions() -> None:
    """HTTP/1.0 is a WARN; for a browser, the limit of HTTP/1.1 is a note; a recording does not know."""
    assert the("http-version", healthy(http_version="HTTP/1.0")).level == WARN
    assert the("http-version", healthy(http_version="HTTP/2")).level == OK
    page = Case(healthy(more={"access-control-allow-origin": "*"}), origin="https://app.test")
    assert the("http-version", page).level == NOTE
    assert not [finding for finding in of_head(healthy(http_version="")) if finding.check == "http-version"]


CORS = [
    ("missing", {}, FAIL),
    ("any", {"access-control-allow-origin": "*"}, OK),
    ("any, with cookies", {"access-control-allow-origin": "*", "access-control-allow-credentials": "true"}, WARN),
    ("same", {"access-control-allow-origin": "https://app.test", "vary": "Origin"}, OK),
    ("same, in capitals", {"access-control-allow-origin": "https://APP.test", "vary": "origin"}, OK),
    ("same, without Vary", {"access-control-allow-origin": "https://app.test"}, WARN),
    ("other", {"access-control-allow-origin": "https://other.test"}, FAIL),
    ("other port", {"access-control-allow-origin": "https://app.test:8443"}, FAIL),
    ("null", {"access-control-allow-origin": "null"}, FAIL),
    ("two", {"access-control-allow-origin": "https://app.test, *"}, FAIL),
]


@pytest.mark.parametrize(("more", "level"), [pytest.param(*row[1:], id=row[0]) for row in CORS])
def test_cors(more: dict[str, str], level: Level) -> None:
    """With `--origin`, the head is judged as a browser judges it for a page of that origin."""
    sent = httpx.Headers({"origin": "[redacted]"})
    finding = the("cors", Case(exchange(*STREAM, more=more, sent=sent), origin="https://app.test"))
    assert finding.level == level


def test_a_recording_of_a_compressed_stream() -> None:
    """A recording is decompressed: nothing is known about the flushes, but a burst has the cure of a compressor."""
    made = exchange((3.0, "".join(blocks(40))), more={"content-encoding": "gzip"}, is_recorded=True)
    assert the("content-encoding", made).level == NOTE
    assert "do not compress" in cases.the("buffering", made).cure


def test_cors_of_a_request_with_cookies() -> None:
    """A browser refuses `*` for a request with cookies, so it is a WARN if this one had any."""
    sent = httpx.Headers({"origin": "[redacted]", "cookie": "[redacted]"})
    made = exchange(*STREAM, more={"access-control-allow-origin": "*"}, sent=sent)
    assert the("cors", Case(made, origin="https://app.test")).level == WARN


def test_cors_without_having_asked() -> None:
    """Without an Origin in the request, what is missing is a WARN: many servers allow an origin only if asked."""
    assert the("cors", Case(healthy(), origin="https://app.test")).level == WARN
    other = healthy(more={"access-control-allow-origin": "https://other.test"})
    assert the("cors", Case(other, origin="https://app.test")).level == WARN


def test_the_origin_is_sent() -> None:
    """The request of `doctor --origin` has that origin, because many servers allow an origin only if asked."""

    def answer(request: RecordedRequest) -> Answer:
        origin = request.headers.get("origin", "")
        return Answer("".join(blocks(2)), headers={"Access-Control-Allow-Origin": origin, "Vary": "Origin"})

    with EventServer(answer) as server:
        done = run("doctor", server.url, "--origin", "https://app.test/", "--json")
    findings = {finding["check"]: finding for finding in json.loads(done.out)["findings"]}
    assert findings["cors"]["level"] == "ok"


def test_no_cors_without_an_origin() -> None:
    """Without `--origin` there is nothing to say about it."""
    assert "cors" not in {finding.check for finding in of_head(healthy())}


def test_a_redacted_head() -> None:
    """A header whose value a recording does not contain is unknown, which is not a FAIL."""
    names = {"content-type", "content-encoding", "cache-control", "access-control-allow-origin"}
    found = Case(
        exchange(*STREAM, headers={}, redacted=frozenset(names), is_recorded=True, http_version=""), origin="http://a"
    )
    notes = {finding.check: finding.level for finding in of_head(found) if finding.evidence.startswith("unknown: ")}
    assert notes == dict.fromkeys(["content-type", "content-encoding", "cache-control", "cors"], NOTE)
    assert not [finding for finding in of_head(found) if finding.level >= WARN]


def test_nothing_of_the_server_is_raw() -> None:
    """Text of the server never has a control character, nor more than 80 characters in one piece."""
    evil = "x\x1b[31m\x9b" + "y" * 500
    headers = httpx.Headers(
        [(b"content-type", evil.encode("utf-8")), (b"via", f"1.1 {evil}".encode()), (b"x-cache", b"HIT" + b"z" * 500)]
    )
    found = Exchange("GET", "http://api.test/", 200, headers, 0.1, (), 0.2, End.CLEAN, http_version="HTTP/1.1")
    for finding in of_head(Case(found, origin="http://a.test")):
        assert finding.evidence.isprintable()
        assert len(finding.evidence) < 250


NAMES = st.sampled_from(
    [
        *(
            "content-type",
            "content-length",
            "content-encoding",
            "cache-control",
            "transfer-encoding",
            "location",
            "age",
        ),
        *("via", "server", "x-cache", "x-varnish", "cache-status", "set-cookie", "vary", "x-accel-buffering"),
        *("access-control-allow-origin", "access-control-allow-credentials", "x-powered-by"),
    ]
)
VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=200),
    st.sampled_from(
        ["text/event-stream", "text/html", "application/json", "gzip", "br", "deflate", "0", "http://[", ","]
    ),
)


@given(
    st.dictionaries(NAMES, VALUES),
    st.binary(max_size=50) | st.sampled_from([b"data: 1\n\n", b"{}", b"<title>"]),
    st.sampled_from([200, 201, 204, 302, 404, 500, 999]),
    st.sampled_from(list(End)),
)
def test_any_head(head: dict[str, str], body: bytes, status: int, end: End) -> None:
    """No head, however odd, makes a check fail; its text is one line that a terminal can show."""
    headers = httpx.Headers([(name.encode(), value.encode("latin-1")) for name, value in head.items()])
    hops = (Hop(302, "[redacted]", is_followed=False, at="http://api.test/"),) if status == 302 else ()
    found = Exchange("POST", "http://api.test/", status, headers, 0.1, (Piece(0.2, body),), 0.3, end, hops=hops)
    for finding in of_head(Case(found, origin="http://[")):
        assert finding.evidence
        assert in_one_line(finding.evidence + finding.cure) == finding.evidence + finding.cure
