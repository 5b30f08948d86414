"""Checks of the head about those in the way: caches, proxies, and what they are told."""

import re
from collections.abc import Iterator

from .._case import Case
from .._finding import Finding, Level, quoted
from .proxies import OF_NGINX, Proxy, seen, unknown_vias

# Headers in which caches tell whether they had the response: `HIT`, `TCP_HIT from …`, `Hit from cloudfront`.
CACHES = (
    *("x-cache", "cf-cache-status", "x-vercel-cache", "x-nextjs-cache", "x-cache-status", "x-proxy-cache"),
    *("cdn-cache", "x-cache-remote", "x-fastcgi-cache", "x-litespeed-cache", "x-drupal-cache", "x-azure-cache"),
)
# A hit, though not `hit-for-pass` and the like, which is not a hit. A stale copy is one.
HIT = re.compile(r"(?<![a-z])(?:refresh)?hit(?![a-z-])|(?<![a-z])(?:stale|updating|revalidated)(?![a-z])")
NODE = re.compile(r"\bfrom\s+\S+")
# The cache of RFC 9211: `Cache-Status: ExampleCache; hit`.
STATUS_HIT = re.compile(r";\s*hit(?:\s*=\s*\?1)?\s*(?:;|,|$)")

NO_STORE = "send `Cache-Control: no-store`, and purge the URL from the cache"
NO_CACHE = "send `Cache-Control: no-cache, no-transform`"
FORBIDS = frozenset({"no-cache", "no-store", "private", "max-age=0"})


def cache(case: Case) -> Iterator[Finding]:
    """Whether a cache had the response: then it is a copy of an old stream."""
    headers = case.exchange.headers
    for name in CACHES:
        if HIT.search(NODE.sub("", headers.get(name, "").lower())):
            yield _hit(f"{name}: {quoted(headers[name])}")
            return
    if STATUS_HIT.search(headers.get("cache-status", "").lower()):
        yield _hit(f"cache-status: {quoted(headers['cache-status'])}")
    elif any(each.strip().isdigit() and each.strip(" 0") for each in headers.get("x-cache-hits", "").split(",")):
        yield _hit(f"x-cache-hits: {quoted(headers['x-cache-hits'])}")
    elif any(len(each.split()) == 2 for each in headers.get("x-varnish", "").split(",")):
        yield _hit("x-varnish has two numbers")
    elif (age := headers.get("age", "").strip()).isascii() and age.isdigit() and age.strip("0"):
        evidence = f"Age is {quoted(age)} s: the response may be an old one from a cache"
        yield Finding("head", "cache", Level.WARN, evidence, NO_STORE)
    elif any(name in headers for name in CACHES):
        yield Finding("head", "cache", Level.ok, "not served from the cache")


def _hit(evidence: str) -> Finding:
    text = f"{evidence}: a copy from a cache, not a live stream"
    return Finding("head", "cache", Level.FAIL, text, NO_STORE)


def cache_control(case: Case) -> Iterator[Finding]:
    """Whether caches are told to keep out."""
    exchange = case.exchange
    if not case.is_stream:
        return
    if "cache-control" in exchange.redacted:
        yield Finding("head", "cache-control", Level.note, "unknown: the recording does not contain its value")
        return
    value = exchange.headers.get("cache-control", "")
    words = _words(value)
    may_be_kept = exchange.method in ("GET", "HEAD")
    caches = [proxy.name for proxy in seen(case) if proxy.is_cache]
    if words & FORBIDS:
        yield Finding("head", "cache-control", Level.ok, quoted(value))
    elif words & {"public", "immutable"} or any(_lifetime(word) for word in words):
        level = Level.WARN if may_be_kept else Level.note
        evidence = f"{quoted(value)}: a cache may store the stream and serve the copy to others"
        yield Finding("head", "cache-control", level, evidence, NO_CACHE)
    elif may_be_kept and caches:
        evidence = f"no Cache-Control: {' and '.join(caches)} may store the stream and serve the copy to others"
        yield Finding("head", "cache-control", Level.WARN, evidence, NO_CACHE)
    else:
        evidence = f"{quoted(value) or 'no Cache-Control'}: nothing keeps caches from storing the stream"
        yield Finding("head", "cache-control", Level.note, evidence, NO_CACHE)


def _words(value: str) -> set[str]:
    return {word.strip().lower() for word in value.split(",")} - {""}


def _lifetime(word: str) -> bool:
    name, _, seconds = word.partition("=")
    return name in ("max-age", "s-maxage") and seconds.strip('"').lstrip("0") != ""


def no_transform(case: Case) -> Iterator[Finding]:
    """Whether those that compress or rewrite responses are told not to."""
    exchange = case.exchange
    who = [proxy.name for proxy in seen(case) if proxy.may_compress]
    if not (who and case.is_stream) or "cache-control" in exchange.redacted:
        return
    if "no-transform" in _words(exchange.headers.get("cache-control", "")):
        yield Finding("head", "no-transform", Level.ok, f"{' and '.join(who)} may not compress the stream")
    else:
        evidence = f"{' and '.join(who)} may compress or rewrite the stream, which delays it"
        yield Finding("head", "no-transform", Level.note, evidence, NO_CACHE)


def x_accel_buffering(case: Case) -> Iterator[Finding]:
    """Whether nginx, and those that read its header, are told not to buffer."""
    exchange = case.exchange
    value = exchange.headers.get("x-accel-buffering", "").strip().lower()
    readers = [proxy for proxy in seen(case) if proxy.name in OF_NGINX or proxy.name == "Cloudflare"]
    if not case.is_stream or "x-accel-buffering" in exchange.redacted:
        return
    if value == "yes":
        evidence = "yes: tells nginx to buffer the stream"
        yield Finding("head", "x-accel-buffering", Level.WARN, evidence, "send `X-Accel-Buffering: no`")
    elif value == "no":
        yield Finding("head", "x-accel-buffering", Level.ok, "no")
    elif readers:
        who = " and ".join(proxy.name for proxy in readers)
        evidence = (
            f"not seen, though {who} is in between: nginx buffers by default, and removes this header when it honors it"
        )
        yield Finding("head", "x-accel-buffering", Level.note, evidence, "send `X-Accel-Buffering: no`")


def proxies(case: Case) -> Iterator[Finding]:
    """Who stands in the way."""
    found = seen(case)
    for proxy in found:
        yield Finding("head", "proxy", Level.note, f"{proxy.name}{_limits(proxy)}")
    for name in unknown_vias(case):
        yield Finding("head", "proxy", Level.note, f"a proxy named {quoted(name)}")
    if not found and "via" not in case.exchange.headers:
        yield Finding("head", "proxy", Level.ok, "no proxy is visible")


def _limits(proxy: Proxy) -> str:
    """Return the limits of a proxy in words, with their source."""
    limits: list[str] = []
    if proxy.idle_limit is not None:
        limits.append(f"after {proxy.idle_limit:g} s without a byte")
    if proxy.total_limit is not None:
        limits.append(f"after {proxy.total_limit:g} s in all")
    return f": by default it ends a stream {' or '.join(limits)} ({proxy.source})" if limits else ""
