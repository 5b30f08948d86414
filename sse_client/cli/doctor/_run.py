"""The command."""

from argparse import Namespace
from typing import BinaryIO

from .._notes import Notes


def doctor(options: Namespace, stdout: BinaryIO, notes: Notes, stdin: BinaryIO) -> int:
    """Say why a stream does not stream."""
    raise NotImplementedError
