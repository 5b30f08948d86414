"""
Who stands in the way: the proxies that show themselves in the head of a response.

A limit is what the manual of the proxy names as the default on the page in `source`; a service may be set up in another
way. A proxy without a limit has none by default, or its manual does not name one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import httpx

from .._case import Case

Sign: TypeAlias = tuple[str, str]
"""A header, and what its value contains, in lower case; a name may end in `*`, and empty text fits any value."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, a CDN or a platform, and how it treats a stream."""

    name: str
    signs: tuple[Sign, ...]
    """Any of them is enough."""
    idle_limit: float | None = None
    """After how many seconds without a byte it ends a stream by default."""
    total_limit: float | None = None
    """After how many seconds it ends any stream by default, busy or not."""
    source: str = ""
    """The setting of the limits, and the page of the manual that names their defaults."""
    buffering_cure: str = ""
    """How to make it pass on each piece at once; empty if it always does."""
    compression_cure: str = ""
    """How to keep it from compressing a stream."""
    is_cache: bool = False
    """Whether it keeps responses that allow it, so that others get a copy."""
    may_compress: bool = False
    """Whether it compresses or rewrites responses, unless `no-transform` forbids that."""


NGINX_CURE = "nginx: `proxy_buffering off;` or send `X-Accel-Buffering: no`"
NGINX_GZIP = "nginx: remove text/event-stream from `gzip_types`"
NGINX_LIMIT = "`proxy_read_timeout`; nginx manual, ngx_http_proxy_module"

PROXIES = (
    Proxy(
        "Cloudflare",
        (("cf-ray", ""), ("server", "cloudflare"), ("cf-cache-status", "")),
        idle_limit=120.0,
        source="Proxy Read Timeout; Cloudflare Docs, Connection limits",
        buffering_cure="Cloudflare: set response body buffering to None in a Configuration Rule",
        is_cache=True,
        may_compress=True,
    ),
    Proxy(
        "Amazon CloudFront",
        (("x-amz-cf-id", ""), ("x-amz-cf-pop", ""), ("via", "cloudfront"), ("x-cache", "cloudfront")),
        idle_limit=30.0,
        source="origin response timeout; CloudFront Developer Guide, Origin settings",
        buffering_cure="CloudFront: use the cache policy CachingDisabled for this path, without compression",
        is_cache=True,
        may_compress=True,
    ),
    Proxy(
        "Amazon API Gateway",
        (("x-amz-apigw-id", ""), ("apigw-requestid", "")),
        idle_limit=300.0,
        total_limit=900.0,
        source="stream limits of a regional API; API Gateway Developer Guide, Stream the integration response",
        buffering_cure="API Gateway: set the response transfer mode of the integration to `STREAM` (only in REST APIs)",
    ),
    Proxy(
        "AWS load balancer",
        (("server", "awselb"), ("set-cookie", "awsalb")),
        idle_limit=60.0,
        source="connection idle timeout; Elastic Load Balancing, Edit attributes for your Application Load Balancer",
        buffering_cure="AWS load balancer: use a target that is not a Lambda function: those cannot stream through it",
    ),
    Proxy(
        "Azure Front Door",
        (("x-azure-ref", ""), ("x-fd-int-*", "")),
        idle_limit=30.0,
        source="origin response timeout; Azure Front Door documentation, Troubleshoot common issues",
        buffering_cure="Azure Front Door: switch caching and compression off for this route",
        is_cache=True,
        may_compress=True,
    ),
    Proxy(
        "Azure Application Gateway",
        (("server", "microsoft-azure-application-gateway"), ("set-cookie", "applicationgatewayaffinity")),
        buffering_cure="Azure Application Gateway: set `globalConfiguration.enableResponseBuffering=false`",
    ),
    Proxy(
        "Azure App Service",
        (("set-cookie", "arraffinity"),),
        idle_limit=230.0,
        source="idle timeout of its load balancer; Azure App Service documentation, Application performance FAQ",
    ),
    Proxy(
        "Fastly",
        (("x-fastly-request-id", ""), ("fastly-*", ""), ("x-served-by", "cache-")),
        idle_limit=60.0,
        source="between bytes timeout between its servers; Fastly documentation, bereq.between_bytes_timeout",
        buffering_cure="Fastly: `return(pass)` in `vcl_recv` for this path",
        is_cache=True,
    ),
    Proxy(
        "Akamai",
        (("server", "akamai"), ("akamai-*", ""), ("x-akamai-*", ""), ("x-cache", "akamai")),
        buffering_cure="Akamai: switch caching and Last Mile Acceleration (gzip) off for this path",
        is_cache=True,
        may_compress=True,
    ),
    Proxy(
        "Varnish",
        (("x-varnish", ""), ("via", "varnish")),
        idle_limit=60.0,
        source="`between_bytes_timeout`; Varnish manual, varnishd parameters",
        buffering_cure="Varnish: `return (pass);` for this path, and `set beresp.do_stream = true;`",
        is_cache=True,
    ),
    Proxy(
        "bunny.net",
        (("server", "bunnycdn"), ("cdn-requestid", "")),
        buffering_cure="bunny.net: bypass the cache for this path by an Edge Rule",
        is_cache=True,
    ),
    Proxy(
        "Google Front End",
        (("via", "google"), ("server", "google frontend")),
        total_limit=30.0,
        source="backend service timeout; Google Cloud, External Application Load Balancer overview",
        buffering_cure="Google: App Engine's standard environment cannot stream; Cloud Run can",
        may_compress=True,
    ),
    Proxy(
        "Heroku router",
        (("via", "vegur"), ("via", "heroku-router"), ("server", "heroku")),
        idle_limit=55.0,
        source="rolling window between bytes; Heroku Dev Center, HTTP routing",
    ),
    Proxy(
        "Fly.io proxy",
        (("fly-request-id", ""), ("via", "fly.io"), ("server", "fly/")),
        idle_limit=60.0,
        source="idle connection timeouts; Fly.io Docs, Public network services",
    ),
    Proxy(
        "Vercel",
        (("x-vercel-id", ""), ("server", "vercel")),
        idle_limit=120.0,
        total_limit=300.0,
        source="proxied request timeout, maximum duration; Vercel changelog, and Configuring Maximum Duration",
        buffering_cure="Vercel: return a `Response` with a `ReadableStream` from the function",
        is_cache=True,
        may_compress=True,
    ),
    Proxy(
        "Netlify",
        (("x-nf-request-id", ""), ("server", "netlify")),
        buffering_cure="Netlify: return a `Response` with a `ReadableStream` from the function",
        is_cache=True,
    ),
    Proxy("Railway", (("x-railway-*", ""), ("server", "railway"))),
    Proxy("Render", (("x-render-origin-server", ""), ("rndr-id", ""))),
    Proxy(
        "Imperva",
        (("x-iinfo", ""), ("x-cdn", "imperva"), ("x-cdn", "incapsula")),
        buffering_cure="Imperva: switch caching and compression off for this path",
        is_cache=True,
        may_compress=True,
    ),
    Proxy(
        "Kong",
        (("x-kong-*", ""), ("via", "kong"), ("server", "kong")),
        idle_limit=60.0,
        source="`read_timeout` of the service; Kong Admin API, Service object",
        buffering_cure="Kong: set `response_buffering: false` on the route",
    ),
    Proxy(
        "Envoy",
        (("x-envoy-*", ""), ("server", "envoy")),
        idle_limit=300.0,
        total_limit=15.0,
        source="`stream_idle_timeout`, `timeout` of the route; Envoy documentation, How do I configure timeouts?",
        buffering_cure="Envoy: remove the buffer filter and the compressor from this route",
    ),
    Proxy("Caddy", (("via", "caddy"), ("server", "caddy")), buffering_cure="Caddy: `flush_interval -1`"),
    Proxy(
        "HAProxy",
        (("via", "haproxy"), ("server", "haproxy"), ("x-haproxy-*", "")),
        buffering_cure="HAProxy: `option http-no-delay`, and no `compression` of text/event-stream",
    ),
    Proxy("Traefik", (("via", "traefik"), ("server", "traefik"), ("x-traefik-*", ""))),
    Proxy("Squid", (("via", "squid"), ("server", "squid"), ("x-cache", "squid"), ("x-squid-*", "")), is_cache=True),
    Proxy(
        "OpenResty",
        (("server", "openresty"),),
        idle_limit=60.0,
        source=NGINX_LIMIT,
        buffering_cure=NGINX_CURE,
        compression_cure=NGINX_GZIP,
    ),
    Proxy(
        "Tengine",
        (("server", "tengine"),),
        idle_limit=60.0,
        source=NGINX_LIMIT,
        buffering_cure=NGINX_CURE,
        compression_cure=NGINX_GZIP,
    ),
    Proxy(
        "nginx",
        (("server", "nginx"), ("via", "nginx"), ("x-nginx-*", "")),
        idle_limit=60.0,
        source=NGINX_LIMIT,
        buffering_cure=NGINX_CURE,
        compression_cure=NGINX_GZIP,
    ),
    Proxy(
        "Apache",
        (("server", "apache/"), ("server", "apache "), ("via", "apache/")),
        idle_limit=60.0,
        source="`ProxyTimeout`, by default `Timeout`; Apache HTTP Server manual, mod_proxy and core",
        buffering_cure="Apache: `flushpackets=on` at `ProxyPass`, and `SetEnv no-gzip 1`",
        compression_cure="Apache: `SetEnv no-gzip 1` for this path",
    ),
    Proxy(
        "IIS",
        (("server", "microsoft-iis"), ("x-powered-by", "arr/")),
        buffering_cure='IIS: `responseBufferLimit="0"` at the handler of Application Request Routing',
    ),
)

# They buffer unless the origin forbids it by `X-Accel-Buffering`.
OF_NGINX = frozenset({"nginx", "OpenResty", "Tengine"})

# They end a body cleanly if their server died: HAProxy only over HTTP/2.
CLEAN_AFTER_DEATH = frozenset({"Caddy", "HAProxy"})


def seen(case: Case) -> list[Proxy]:
    """Return the proxies that the response names, each once, in the order of the table."""
    headers = case.exchange.headers
    return [proxy for proxy in PROXIES if any(_shows(headers, sign) for sign in proxy.signs)]


def unknown_vias(case: Case) -> Iterator[str]:
    """Yield the names in `Via` that no proxy of the table explains."""
    known = [text for proxy in PROXIES for name, text in proxy.signs if name == "via"]
    for entry in case.exchange.headers.get("via", "").split(","):
        _, _, name = entry.strip().partition(" ")
        if name and not any(text in name.lower() for text in known):
            yield name


def _shows(headers: httpx.Headers, sign: Sign) -> bool:
    name, text = sign
    if name.endswith("*"):
        return any(header.startswith(name[:-1]) for header in headers)
    # The blank ends the last word: "apache " is not the beginning of "apache-coyote".
    return name in headers and text in f"{headers[name].lower()} "
