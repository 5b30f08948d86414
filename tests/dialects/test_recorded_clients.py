"""The recorded streams through the clients: in any of them, and however the bytes are cut, each is as expected."""

from collections.abc import Iterator
from typing import Any

import pytest
from shells import Shell

from .expected import check_expected, dialect_of
from .playing import STREAMS, check, expectations, outline
from .through import answer, read, three_shells

EXPECTED = expectations()
NAMES = sorted(EXPECTED)
pytestmark = pytest.mark.skipif(not STREAMS.exists(), reason="the recorded streams are not part of the repository")


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Whole; at line ends; in pieces of some bytes, more of them if the stream is long."""
    yield [data]
    yield data.splitlines(keepends=True)
    size = 13 if len(data) < 4000 else 397
    yield [data[at : at + size] for at in range(0, len(data), size)]


@three_shells
@pytest.mark.parametrize("name", NAMES)
def test_as_expected(shell: Shell, name: str) -> None:
    """A recorded stream comes to what its own SDK finds; its deltas add up, and each call starts and ends once."""
    expected = EXPECTED[name]
    outlines: list[Any] = []
    for pieces in cuts((STREAMS / name).read_bytes()):
        reply = read(shell, dialect_of(expected), answer(pieces))
        check(reply)
        check_expected(reply, expected)
        outlines.append((outline(reply.message), reply.kinds))
    assert all(each == outlines[0] for each in outlines)


def test_all_are_there() -> None:
    """There are 77 expectations."""
    assert len(NAMES) == 77
