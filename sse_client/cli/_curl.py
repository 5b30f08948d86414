"""A request as browsers write it with "Copy as cURL": for bash, with `$'…'`, and for Windows, with carets."""

import re
from typing import NamedTuple
from urllib.parse import quote_plus

from ._usage import UsageError


class CurlRequest(NamedTuple):
    """The request of a curl command."""

    url: str
    method: str | None
    headers: list[tuple[str, str]]
    body: bytes | None
    form: list[str]
    user: str | None
    is_insecure: bool
    uses_http2: bool
    proxy: str | None


# Of curl's options, those that take no value and mean nothing here.
IGNORED = {
    *("--compressed", "--no-buffer", "-N", "--silent", "-s", "--show-error", "-S", "--location", "-L", "--globoff"),
    *("--http1.1", "--include", "-i", "-g"),
}
SHORT = {
    "-X": "--request",
    "-H": "--header",
    "-b": "--cookie",
    "-d": "--data",
    "-u": "--user",
    "-A": "--user-agent",
    "-e": "--referer",
    "-k": "--insecure",
    "-x": "--proxy",
    "-F": "--form",
    "-G": "--get",
}
WITH_VALUE = {
    *("--request", "--header", "--cookie", "--user", "--user-agent", "--referer", "--proxy", "--form", "--url"),
    *("--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json"),
}
# These belong to one connection. Compressed events come late, and here the SDK asks for none.
DROPPED = {"content-length", "accept-encoding", "connection", "transfer-encoding"}

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
TOKEN = re.compile(
    r"""
    (?P<blank>(?:\\\r?\n|\s)+)
  | \$'(?P<ansi>(?:[^'\\]|\\.)*)'
  | '(?P<single>[^']*)'
  | "(?P<double>(?:[^"\\]|\\.)*)"
  | \\(?P<escaped>.)
  | (?P<plain>[^\s'"\\$]+|\$(?!'))
    """,
    re.VERBOSE | re.DOTALL,
)
ANSI = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL)


def parse_curl(command: str) -> CurlRequest:
    """Parse a command. Raises `UsageError` for an option that is not known; it names the option, and no value."""
    words = _words(_without_carets(command.strip()))
    if not words or words.pop(0) not in ("curl", "curl.exe"):
        raise UsageError("--from-curl: expected a command that begins with curl")
    urls: list[str] = []
    given: dict[str, list[str]] = {}
    flags: set[str] = set()
    pending = iter(words)
    for word in pending:
        if not word.startswith("-") or word == "-":
            urls.append(word)
            continue
        name, value = _option(word)
        if name in WITH_VALUE:
            value = next(pending, None) if value is None else value
            if value is None:
                raise UsageError(f"--from-curl: {name} needs a value")
            given.setdefault(name, []).append(value)
        elif name in ("--insecure", "--get", "--http2") and value is None:
            flags.add(name)
        elif name not in IGNORED:
            raise UsageError(f"--from-curl: unknown option {name}")
    urls += given.get("--url", [])
    if len(urls) != 1:
        raise UsageError(f"--from-curl: expected one URL, got {len(urls)}")
    return _request(urls[0], given, flags)


def _option(word: str) -> tuple[str, str | None]:
    """Split a short option from a value that is joined to it; return its long name."""
    if word.startswith("--"):
        return word, None
    name = SHORT.get(word[:2], word[:2])
    return name, word[2:] or None


def _request(url: str, given: dict[str, list[str]], flags: set[str]) -> CurlRequest:
    headers: list[tuple[str, str]] = []
    for header in given.get("--header", []):
        name, colon, value = header.partition(":")
        if not colon:
            name, _, value = header.partition(";")  # a header without a value
        if name.strip().lower() not in DROPPED and name.strip():
            headers.append((name.strip(), value.strip()))
    named = {name.lower() for name, _ in headers}
    for option, name in (("--cookie", "Cookie"), ("--user-agent", "User-Agent"), ("--referer", "Referer")):
        if values := given.get(option):
            if option == "--cookie" and "=" not in values[-1]:
                raise UsageError("--from-curl: --cookie names a file, which is not read")
            headers.append((name, "; ".join(values) if option == "--cookie" else values[-1]))
    body = _body(given)
    if "--json" in given:
        defaults = {"Content-Type": "application/json", "Accept": "application/json"}
    else:
        defaults = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
    if body is not None and "--get" in flags:
        url = f"{url}{'&' if '?' in url else '?'}{body.decode(errors='surrogateescape')}"
        body, defaults = None, {}
    headers += [(name, value) for name, value in defaults.items() if name.lower() not in named]
    return CurlRequest(
        url=url,
        method=given.get("--request", [None])[-1],
        headers=headers,
        body=body,
        form=given.get("--form", []),
        user=given.get("--user", [None])[-1],
        is_insecure="--insecure" in flags,
        uses_http2="--http2" in flags,
        proxy=given.get("--proxy", [None])[-1],
    )


def _body(given: dict[str, list[str]]) -> bytes | None:
    """Join the pieces of the body as curl does."""
    pieces: list[bytes] = []
    for name in ("--data", "--data-ascii", "--data-raw", "--data-binary", "--data-urlencode", "--json"):
        for value in given.get(name, []):
            if value.startswith("@") and name != "--data-raw":
                raise UsageError(f"--from-curl: {name} names a file, which is not read")
            if name == "--data-urlencode":
                key, equals, text = value.partition("=")
                value = f"{key}={quote_plus(text)}" if equals and key else quote_plus(text or key)
            pieces.append(value.encode(errors="surrogateescape"))
    return (b"" if "--json" in given else b"&").join(pieces) if pieces else None


def _words(text: str) -> list[str]:
    """Split a command into words as bash does."""
    words: list[str] = []
    is_open = False
    end = 0
    while end < len(text):
        match = TOKEN.match(text, end)
        if match is None:
            raise UsageError("--from-curl: a quote is not closed")
        end = match.end()
        kind = match.lastgroup
        if kind == "blank":
            is_open = False
            continue
        assert kind is not None
        part = match[kind]
        if kind == "ansi":
            part = ANSI.sub(_unescape, part)
        elif kind == "double":
            part = re.sub(r"\\([\\\"$`])|\\\n", lambda found: found[1] or "", part)
        if is_open:
            words[-1] += part
        else:
            words.append(part)
        is_open = True
    return words


def _unescape(match: re.Match[str]) -> str:
    short, four, eight, octal, other = match.groups()
    if number := four or eight:
        return chr(int(number, 16))
    if short or octal:  # a byte, perhaps one of a character
        return bytes([int(short, 16) if short else int(octal, 8) & 0xFF]).decode(errors="surrogateescape")
    return ESCAPES.get(other, other)


def _without_carets(command: str) -> str:
    """Undo the carets with which Windows escapes; a command for bash comes back unchanged."""
    if not command.startswith("curl") or not re.search(r'\^["\r\n]', command):
        return command
    command = re.sub(r"\^\r?\n\r?\n", "\n", command)  # a line feed in a value
    return re.sub(r"\^(\r?\n|.)", lambda match: " " if match[1].endswith("\n") else match[1], command)
