"""From the options to a request, and to the HTTP client that sends it."""

import getpass
import json
import os
import ssl
import warnings
from argparse import Namespace
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlencode

import httpx

from ._curl import CurlRequest, parse_curl
from ._text import check_json
from ._usage import TOKEN, UsageError, check_header, content_of

FORM = "application/x-www-form-urlencoded"


class Call(NamedTuple):
    """A request: its method and URL, and the other arguments of the call."""

    method: str
    url: str
    arguments: dict[str, Any]
    given: frozenset[str] = frozenset()
    """The names of the headers that the user wrote, in lower case: their values are never shown or recorded."""


def call_of(options: Namespace, method: str | None, stdin: BinaryIO) -> Call:
    """Return the request that the options describe; without a method, a body makes it a POST."""
    curl: CurlRequest | None = None
    if options.from_curl is not None:
        curl = parse_curl(content_of(options.from_curl, "--from-curl", stdin).decode(errors="surrogateescape"))
        options.insecure = options.insecure or curl.is_insecure
        options.http2 = options.http2 or curl.uses_http2
        options.proxy = options.proxy or curl.proxy
    if (target := options.target or (curl and curl.url)) is None:
        raise UsageError("expected a URL")
    headers: list[tuple[str, str]] = [*curl.headers] if curl else []
    body = _body(options, stdin)
    if curl and (curl.body is not None or curl.form):
        if body:
            raise UsageError("--from-curl has a body already")
        body = _parts(curl.form) if curl.form else {"content": curl.body}
    headers = _merged(headers, [_header(each) for each in options.headers or ()])
    given = frozenset(name.lower() for name, _ in headers)
    if "content" in body and "content-type" not in {name.lower() for name, _ in headers}:
        headers.append(("Content-Type", FORM if getattr(options, "json", None) is None else "application/json"))
    arguments: dict[str, Any] = {**body}
    if options.bearer_env is not None:
        headers = _merged(headers, [("Authorization", f"Bearer {_variable(options.bearer_env, '--bearer-env')}")])
    check_header(getattr(options, "idempotency_key", None) or "Idempotency-Key", "", "--idempotency-key")
    if auth := _auth(options, curl):
        arguments["auth"] = auth
    if headers:
        arguments["headers"] = [(name.encode(), value.encode(errors="surrogateescape")) for name, value in headers]
    if options.last_event_id is not None:
        arguments["last_event_id"] = options.last_event_id
    if curl and curl.method is not None and not TOKEN.fullmatch(curl.method):
        raise UsageError("--from-curl: --request needs a method")
    if method is None:
        method = (curl.method if curl else None) or ("POST" if body else "GET")
    elif curl and curl.method not in (None, method):
        raise UsageError(f"--from-curl is a {curl.method}: use --from-curl without a command")
    elif method == "GET" and body:
        raise UsageError("--from-curl has a body, and a GET has none")
    return Call(method, with_query(url_of(target), options.query or ()), arguments, given)


def url_of(target: str) -> str:
    """Return the URL that is meant: `:8000/x` is localhost, and a host without a scheme is http."""
    if target.startswith(":"):
        return f"http://localhost{target}"
    if target.startswith("/"):
        raise UsageError("expected a URL, like :8000/path or https://host/path")
    return target if "://" in target else f"http://{target}"


def with_query(url: str, fields: "list[str] | tuple[()]") -> str:
    """Add the fields to the query of a URL."""
    pairs: list[tuple[str, str]] = []
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise UsageError("-q: expected K=V")
        pairs.append((name, value))
    if not pairs:
        return url
    url = url.partition("#")[0].rstrip("?&")  # a fragment is never sent
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs, errors='surrogateescape')}"


def _merged(headers: list[tuple[str, str]], more: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Add headers in place of those of the same name."""
    names = {name.lower() for name, _ in more}
    return [(name, value) for name, value in headers if name.lower() not in names] + more


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError("-H: expected 'K: V'")
    if name.strip().lower() == "content-length":
        raise UsageError("-H: leave out Content-Length; it is computed")
    check_header(name.strip(), value, "-H")
    return name.strip(), value.strip()


def _body(options: Namespace, stdin: BinaryIO) -> dict[str, Any]:
    """Return the body as an argument of the call; empty if there is none."""
    json_text, content, form = (getattr(options, name, None) for name in ("json", "content", "form"))
    if sum(each is not None for each in (json_text, content, form)) > 1:
        raise UsageError("expected one body: --json, -d or -F")
    if json_text is not None:
        return {"content": _checked_json(content_of(json_text, "--json", stdin))}
    if content is not None:
        return {"content": content_of(content, "-d", stdin)}
    return {} if form is None else _form(form)


def _checked_json(content: bytes) -> bytes:
    """Return the JSON as it was given, digit by digit."""
    try:
        text = content.decode("utf-8-sig")
        check_json(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--json: not JSON (line {error.lineno}, column {error.colno})") from None
    except (ValueError, RecursionError):
        raise UsageError("--json: not JSON in UTF-8") from None
    return text.encode()


def _form(fields: list[str]) -> dict[str, Any]:
    """Return a form: with a file it is sent in several parts."""
    pairs = [_pair(field) for field in fields]
    if any(value.startswith("@") for _, value in pairs):
        return _parts(fields)
    return {"content": urlencode(pairs, errors="surrogateescape").encode()}


def _parts(fields: list[str]) -> dict[str, Any]:
    """Return a form in several parts, some of them perhaps files."""
    parts: list[tuple[str, tuple[str | None, bytes]]] = []
    for name, value in map(_pair, fields):
        if value.startswith("@"):
            try:
                parts.append((name, (Path(value[1:]).name, Path(value[1:]).read_bytes())))
            except OSError as error:
                raise UsageError(f"-F: cannot read {value[1:]}: {error.strerror}") from error
        else:
            parts.append((name, (None, value.encode(errors="surrogateescape"))))
    return {"files": parts}


def _pair(field: str) -> tuple[str, str]:
    name, equals, value = field.partition("=")
    if not equals or not name:
        raise UsageError("-F: expected K=V")
    return name, value


def _variable(name: str, option: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"{option}: no environment variable {name}")
    if any(each in value.strip() for each in "\r\n"):
        raise UsageError(f"{option}: the environment variable {name} has several lines")
    return value.strip()


def _auth(options: Namespace, curl: CurlRequest | None) -> tuple[str, str] | None:
    given = options.user if options.user is not None or curl is None else curl.user
    if given is None:
        if options.password_env is not None:
            raise UsageError("--password-env needs -u USER")
        return None
    user, colon, password = given.partition(":")
    if options.password_env is not None:
        return user, _variable(options.password_env, "--password-env")
    if colon:
        return user, password
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # else it would read standard input, and echo
            return user, getpass.getpass("Password: ")
    except (EOFError, OSError, getpass.GetPassWarning):
        raise UsageError("-u: asking for the password needs a terminal; use --password-env") from None


@cache
def _authorities() -> ssl.SSLContext:
    """Read the known authorities, which takes as long as all the rest of a short stream: once in a process."""
    return httpx.create_ssl_context()


def http_client(
    options: Namespace, request_hook: Callable[[Any], None], response_hook: Callable[[Any], None]
) -> httpx.Client:
    """Make the HTTP client. Its hooks see each request and each response, redirects too."""
    verify = httpx.create_ssl_context(verify=False) if options.insecure else _authorities()
    if options.cert is not None:
        verify = httpx.create_ssl_context(verify=not options.insecure)  # one of its own: it is changed
        try:
            verify.load_cert_chain(options.cert)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or "no certificate with its key in it"
            raise UsageError(f"--cert: cannot use {options.cert}: {reason}") from error
    proxy = options.proxy
    if proxy is not None and "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        return httpx.Client(
            verify=verify,
            proxy=proxy,
            http2=options.http2,
            event_hooks={"request": [request_hook], "response": [response_hook]},
        )
    except ImportError as error:
        raise UsageError("--http2 needs h2: pip install h2" if options.http2 else str(error)) from error
    except ValueError:
        raise UsageError("--proxy: expected a URL like http://host:8080 or socks5://host:1080") from None
