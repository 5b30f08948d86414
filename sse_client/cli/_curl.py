"""A request as browsers write it with "Copy as cURL": for bash, with `$'…'`, and for Windows, with carets."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote_plus

from ._usage import UsageError, check_header


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
DATA = ("--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json")
WITH_VALUE = {
    *DATA,
    *("--request", "--header", "--cookie", "--user", "--user-agent", "--referer", "--proxy", "--form", "--url"),
}
FLAGS = {"--insecure", "--get", "--http2"}
# These belong to one connection. Compressed events come late, and here the SDK asks for none.
DROPPED = {"content-length", "accept-encoding", "connection", "transfer-encoding"}

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
TOKEN = re.compile(
    r"""
    (?P<blank>(?:[\\^]\r?\n|\\\Z|\s)+)
  | \$'(?P<ansi>(?:[^'\\]|\\.)*)'
  | '(?P<single>[^']*)'
  | "(?P<double>(?:[^"\\]|\\.)*)"
  | \\(?P<escaped>.)
  | (?P<plain>[^\s'"\\$]+|\$(?![A-Za-z_({]))
  | (?P<expansion>\$)
    """,
    re.VERBOSE | re.DOTALL,
)
# Pairs of halves, and halves alone; not those with which Python keeps bytes that are not UTF-8.
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udbff]|[\udc00-\udc7f\udd00-\udfff]")
FILE = re.compile(r"^[@<]|;\s*(?:type|filename|headers|encoder)=")
EXPANSION = re.compile(r"(?<!\\)(?:\\\\)*\$[A-Za-z_({]")
ANSI = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL)


def parse_curl(command: str) -> CurlRequest:
    """Parse a command. Raises `UsageError` for an option that is not known; it names the option, and no value."""
    words = _words(_without_carets(command.strip()))
    if not words or words.pop(0) not in ("curl", "curl.exe"):
        raise UsageError("--from-curl: expected a command that begins with curl")
    urls: list[str] = []
    given: list[tuple[str, str]] = []
    flags: set[str] = set()
    pending = iter(words)
    for word in pending:
        if not word.startswith("-") or word == "-":
            urls.append(word)
            continue
        for name, joined in _options(word):
            if name in WITH_VALUE:
                value = joined or next(pending, None)
                if value is None:
                    raise UsageError(f"--from-curl: {name} needs a value")
                given.append((name, value))
            elif name in FLAGS:
                flags.add(name)
            elif name not in IGNORED:
                raise UsageError(f"--from-curl: unknown option {name.partition('=')[0]}")
    urls += [value for name, value in given if name == "--url"]
    if len(urls) != 1:
        raise UsageError(f"--from-curl: expected one URL, got {len(urls)}")
    return _request(urls[0], given, flags)


def _options(word: str) -> Iterator[tuple[str, str]]:
    """Yield the options of a word by their long names, with a value that is joined to one: `-sNXPOST` has three."""
    if word.startswith("--"):
        yield word, ""
        return
    for end, letter in enumerate(word[1:], start=2):
        name = SHORT.get(f"-{letter}", f"-{letter}")
        yield name, word[end:]
        if name in WITH_VALUE:
            return


def _request(url: str, given: list[tuple[str, str]], flags: set[str]) -> CurlRequest:
    def all_of(option: str) -> list[str]:
        return [value for name, value in given if name == option]

    def last_of(option: str) -> str | None:
        return next(reversed(all_of(option)), None)

    headers = [header for text in all_of("--header") for header in _header(text)]
    if cookies := all_of("--cookie"):
        if any("=" not in cookie for cookie in cookies):
            raise UsageError("--from-curl: --cookie names a file, which is not read")
        headers.append(("Cookie", "; ".join(cookies)))
    headers += [
        (name, value)
        for option, name in (("--user-agent", "User-Agent"), ("--referer", "Referer"))
        if (value := last_of(option))
    ]
    for name, value in headers:
        check_header(name, value, "--from-curl")
    body = _body(given)
    if all_of("--json"):
        defaults = {"Content-Type": "application/json", "Accept": "application/json"}
    else:
        defaults = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
    if body is not None and "--get" in flags:
        url = f"{url}{'&' if '?' in url else '?'}{body.decode(errors='surrogateescape')}"
        body, defaults = None, {}
    named = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in defaults.items() if name.lower() not in named]
    form = all_of("--form")
    if any(FILE.search(field.partition("=")[2]) for field in form):
        raise UsageError("--from-curl: --form names a file or a type, which is not read")
    return CurlRequest(
        url=url,
        method=last_of("--request"),
        headers=headers,
        body=body,
        form=form,
        user=last_of("--user"),
        is_insecure="--insecure" in flags,
        uses_http2="--http2" in flags,
        proxy=last_of("--proxy"),
    )


def _header(text: str) -> Iterator[tuple[str, str]]:
    """Yield the header, if it is one that is sent: `K: V`, or `K;` without a value. `K:` removes one of curl's own."""
    if text.startswith("@"):
        raise UsageError("--from-curl: --header names a file, which is not read")
    name, colon, value = text.partition(":")
    if not colon:
        name, semicolon, value = text.partition(";")
        if not semicolon or value.strip():
            return  # curl ignores it
    elif not value.strip():
        return
    if name.strip().lower() not in DROPPED:
        yield name.strip(), value.strip()


def _body(given: list[tuple[str, str]]) -> bytes | None:
    """Join the pieces of the body as curl does."""
    body: bytes | None = None
    for name, value in given:
        if name not in DATA:
            continue
        if value.startswith("@") and name != "--data-raw":
            raise UsageError(f"--from-curl: {name} names a file, which is not read")
        if name == "--data-urlencode":
            key, equals, text = value.partition("=")
            value = f"{key}={quote_plus(text)}" if equals and key else quote_plus(text or key)
        piece = value.encode(errors="surrogateescape")
        body = piece if body is None else body + (b"" if name == "--json" else b"&") + piece
    return body


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
        if kind == "expansion" or (kind == "double" and EXPANSION.search(part)):
            raise UsageError("--from-curl: a shell would expand the $; write the value, or use --bearer-env")
        if kind == "ansi":
            part = PAIR.sub(_joined, ANSI.sub(_unescape, part))
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
        code = int(number, 16)
        return chr(code) if code < 0x110000 else "\ufffd"
    if short or octal:  # a byte, perhaps one of a character
        return bytes([int(short, 16) if short else int(octal, 8) & 0xFF]).decode(errors="surrogateescape")
    return ESCAPES.get(other, other)


def _joined(match: re.Match[str]) -> str:
    """Make one character of the two halves with which Firefox writes it."""
    return match[0].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _without_carets(command: str) -> str:
    """Undo the carets with which Chrome escapes for Windows; a command for bash comes back unchanged."""
    if not re.match(r"""[^'"]*\^\"""", command):
        return command
    command = re.sub(r"\^\r?\n\r?\n", "\n", command)  # a line feed in a value
    return re.sub(r"\^(\r?\n|.)", lambda match: " " if match[1].endswith("\n") else match[1], command)
