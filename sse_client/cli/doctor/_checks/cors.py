"""Whether a page of another origin may read the stream."""

from collections.abc import Iterator

from .._case import Case
from .._finding import Finding, Level, quoted

ALLOW = "access-control-allow-origin"


def cors(case: Case) -> Iterator[Finding]:
    """Judge the head as a browser does for a page of `--origin`."""
    if case.origin is None:
        return
    exchange = case.exchange
    origin = case.origin.rstrip("/").lower()
    if ALLOW in exchange.redacted:
        yield Finding("head", "cors", Level.note, "unknown: the recording does not contain Access-Control-Allow-Origin")
        return
    allowed = exchange.headers.get(ALLOW, "").strip()
    allows_credentials = exchange.headers.get("access-control-allow-credentials", "").strip() == "true"
    with_credentials = allows_credentials or "cookie" in exchange.sent
    # Many servers allow an origin only in response to a request that has one; a recording may not have it.
    level = Level.FAIL if "origin" in exchange.sent else Level.WARN
    cure = f"send `Access-Control-Allow-Origin: {quoted(origin)}` and `Vary: Origin`"
    if not allowed:
        evidence = "no Access-Control-Allow-Origin: the browser does not let the page read the stream"
        yield Finding("head", "cors", level, evidence, cure)
    elif allowed == "*" and with_credentials:
        evidence = "Access-Control-Allow-Origin is *, which browsers reject for requests with cookies"
        yield Finding("head", "cors", Level.WARN, evidence, cure)
    elif allowed == "*":
        yield Finding("head", "cors", Level.ok, "any origin is allowed, without cookies")
    elif allowed.lower() != origin:
        what = "two values" if "," in allowed else quoted(allowed)
        evidence = f"Access-Control-Allow-Origin is {what}, not {quoted(origin)}"
        yield Finding("head", "cors", level, evidence, cure)
    else:
        yield from _allowed(case, origin)


def _allowed(case: Case, origin: str) -> Iterator[Finding]:
    vary = {each.strip().lower() for each in case.exchange.headers.get("vary", "").split(",")}
    if vary & {"origin", "*"}:
        yield Finding("head", "cors", Level.ok, f"{quoted(origin)} is allowed")
    else:
        evidence = (
            f"{quoted(origin)} is allowed, but there is no `Vary: Origin`: a cache may serve it to another origin"
        )
        yield Finding("head", "cors", Level.WARN, evidence, "send `Vary: Origin`")
