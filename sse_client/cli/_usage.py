"""The error for arguments that cannot be understood, and the arguments that name a file or a header."""

import re
from pathlib import Path
from typing import BinaryIO

# RFC 9110, section 5.6.2: of such characters are the names of headers and of methods.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class UsageError(Exception):
    """The arguments cannot be understood. The text never holds the value of one that may be a secret."""


def content_of(argument: str, name: str, stdin: BinaryIO) -> bytes:
    """Return the content that an argument stands for: standard input (`-`), a file (`@FILE`), or itself."""
    if argument == "-":
        return stdin.read()
    if not argument.startswith("@"):
        return argument.encode(errors="surrogateescape")
    try:
        return Path(argument[1:]).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: cannot read {argument[1:]}: {error.strerror}") from error


def check_header(name: str, value: str, option: str) -> None:
    """Raise `UsageError` for a header that cannot be sent."""
    if not TOKEN.fullmatch(name):
        raise UsageError(f"{option}: the header name has characters that HTTP does not allow")
    if any(each in value for each in "\r\n\0"):
        raise UsageError(f"{option}: expected a header value on one line")
