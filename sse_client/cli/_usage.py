"""The error for arguments that cannot be understood, and the arguments that name a file."""

from pathlib import Path
from typing import BinaryIO


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
