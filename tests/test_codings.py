"""
Content codings as pure functions: any cut of a compressed body gives the same bytes, the same end and the same fault.

A body is in one of these states, and a piece may end in each: before its first byte; inside the coding's own header;
inside a compressed block; at a flush; inside the end mark; after it; inside possible further members, or garbage.
"""

import gzip
import importlib
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_client._shells.codings import MAX_PIECE, CodingError, coding_of, decoder_for

EVENTS = [f"id: {number}\ndata: {number * 7919}\n\n".encode() for number in range(6)]
BODY = b"".join(EVENTS)

RAW = -zlib.MAX_WBITS
WINDOWS = {"gzip": 31, "deflate": zlib.MAX_WBITS, "raw deflate": RAW}


def deflated(window: int, events: Iterable[bytes] = EVENTS) -> list[bytes]:
    """Each event, flushed, and the end mark."""
    compressor = zlib.compressobj(wbits=window)
    flushed = [compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH) for event in events]
    return [*flushed, compressor.flush()]


# Kinds of bodies: the coding, and the events and the end mark as a server flushes them.
FLUSHED = {name: (name.removeprefix("raw "), deflated(window)) for name, window in WINDOWS.items()}
# Bodies that are compressed in one call.
FRESH = gzip.compress(EVENTS[0]) + gzip.compress(b"") + gzip.compress(b"".join(EVENTS[1:]))
AT_ONCE = {
    "gzip in members": ("gzip", FRESH),
    "gzip with a name": ("gzip", b"\x1f\x8b\x08\x1c\0\0\0\0\0\xff\x03\0abcname\0comment\0" + gzip.compress(BODY)[10:]),
    "raw deflate, stored": ("deflate", zlib.compress(BODY, 0)[2:-4]),
}
BODIES = {name: (coding, b"".join(pieces)) for name, (coding, pieces) in FLUSHED.items()} | AT_ONCE


def decoded(coding: str, *pieces: bytes) -> tuple[bytes, bool, bool]:
    """Decode the pieces; return the result, whether the body is whole, and whether there was a fault."""
    decoder = decoder_for(coding)
    assert decoder is not None
    body = bytearray()
    for piece in pieces:
        decoder.feed(piece)
        while decoder.has_more:
            try:
                body += decoder.take()
            except CodingError:
                return bytes(body), decoder.is_whole, True
    return bytes(body), decoder.is_whole, False


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut the data at the places."""
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


cuts = st.lists(st.integers(0, 1_000), max_size=8)


@pytest.mark.parametrize("name", BODIES)
def test_every_cut(name: str) -> None:
    """A body cut at any byte, or into single bytes, is the same body."""
    coding, packed = BODIES[name]
    for place in range(len(packed) + 1):
        assert decoded(coding, packed[:place], packed[place:]) == (BODY, True, False)
    assert decoded(coding, *cut(packed, range(len(packed)))) == (BODY, True, False)


@pytest.mark.parametrize("name", BODIES)
def test_every_end(name: str) -> None:
    """A body that ends before its end mark is not whole, and gives a prefix of the events."""
    coding, packed = BODIES[name]
    for place in range(len(packed)):
        body, is_whole, is_faulty = decoded(coding, packed[:place])
        assert BODY.startswith(body)
        assert not is_faulty
        if name != "gzip in members":  # because the end of each member may be that of the body
            assert not is_whole


@pytest.mark.parametrize("name", FLUSHED)
def test_flushed(name: str) -> None:
    """An event that the server has flushed is available with its last byte, without any further byte."""
    coding, pieces = FLUSHED[name]
    decoder = decoder_for(coding)
    assert decoder is not None
    for piece, event in zip(pieces, [*EVENTS, b""], strict=True):
        decoder.feed(piece)
        assert decoder.take() == event
        assert not decoder.has_more
    assert decoder.is_whole


GARBAGE = [b"\0" * 30, b"garbage", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x09 and more", b"\x1f\x1f\x8b\x08", b"data: x\n\n"]


@pytest.mark.parametrize("garbage", GARBAGE, ids=[garbage.hex()[:20] for garbage in GARBAGE])
@pytest.mark.parametrize("name", BODIES)
def test_garbage_after_the_end_mark(name: str, garbage: bytes) -> None:
    """Garbage after the end mark is ignored, however it is cut."""
    coding, packed = BODIES[name]
    for place in range(len(packed) - 4, len(packed) + len(garbage) + 1):
        whole = packed + garbage
        assert decoded(coding, whole[:place], whole[place:]) == (BODY, True, False)


def test_a_member_that_is_cut() -> None:
    """A gzip body that ends inside its second member is not whole."""
    first, second = gzip.compress(EVENTS[0]), gzip.compress(EVENTS[1])
    for size in range(3, len(second)):
        body, is_whole, _ = decoded("gzip", first, second[:size])
        assert (EVENTS[0] + EVENTS[1]).startswith(body)
        assert not is_whole


@given(name=st.sampled_from(sorted(BODIES)), places=cuts)
def test_any_cuts(name: str, places: list[int]) -> None:
    """Any cuts of any compressed body give the same events."""
    coding, packed = BODIES[name]
    assert decoded(coding, *cut(packed, places)) == (BODY, True, False)


@given(name=st.sampled_from(sorted(BODIES)), at=st.integers(0, 1_000), byte=st.integers(0, 255), places=cuts)
def test_any_cuts_of_a_corrupt_body(name: str, at: int, byte: int, places: list[int]) -> None:
    """The result of a corrupt body, and whether it fails, does not depend on the cuts."""
    coding, packed = BODIES[name]
    at %= len(packed)
    corrupt = packed[:at] + bytes([byte]) + packed[at + 1 :]
    assert decoded(coding, *cut(corrupt, places)) == decoded(coding, *cut(corrupt, range(len(corrupt))))


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_wrong_checksum(name: str) -> None:
    """A wrong checksum is a fault; everything before it is returned first, even from one piece."""
    coding, packed = BODIES[name]
    packed = packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:] if name == "gzip" else packed[:-1] + b"\0"
    assert decoded(coding, packed) == (BODY, False, True)


@pytest.mark.parametrize("data", [b"data: 1\n\n", b"\x1f\x8b\x07" + b"x" * 20], ids=["text", "method"])
def test_gzip_that_is_none(data: bytes) -> None:
    """Data that is not gzip is a fault."""
    assert decoded("gzip", data) == (b"", False, True)
    assert decoded("gzip", *cut(data, range(len(data)))) == (b"", False, True)


def test_a_fault_stays() -> None:
    """After a fault nothing is decoded any more."""
    decoder = decoder_for("gzip")
    assert decoder is not None
    decoder.feed(b"no gzip")
    for _ in range(3):
        assert decoder.has_more
        with pytest.raises(CodingError, match="incorrect header check"):
            decoder.take()


def bomb(window: int, size: int) -> bytes:
    compressor = zlib.compressobj(9, wbits=window)
    return b"".join(compressor.compress(bytes(1_000_000)) for _ in range(size)) + compressor.flush()


@pytest.mark.parametrize("name", WINDOWS)
def test_a_bomb(name: str) -> None:
    """However much a body expands, its pieces are bounded, and so is the memory."""
    packed = bomb(WINDOWS[name], 16)
    assert len(packed) < 20_000
    decoder = decoder_for(name.removeprefix("raw "))
    assert decoder is not None
    tracemalloc.start()
    decoder.feed(packed)
    size = 0
    while decoder.has_more:
        piece = decoder.take()
        assert len(piece) < 2 * MAX_PIECE
        size += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (size, decoder.is_whole) == (16_000_000, True)
    assert peak < 1_000_000


def test_many_members() -> None:
    """A megabyte of empty members, or of stored bytes, is decoded completely."""
    assert decoded("gzip", gzip.compress(b"") * 50_000) == (b"", True, False)
    stored = zlib.compressobj(0, wbits=31)
    packed = stored.compress(bytes(1_000_000)) + stored.flush()
    assert decoded("gzip", packed) == (bytes(1_000_000), True, False)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", ""),
        ("identity", ""),
        (" Identity , ", ""),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, identity", "gzip"),
        ("identity,deflate", "deflate"),
        ("x-gzip, gzip", "gzip, gzip"),
        ("deflate,br", "deflate, br"),
        ("utf-8", "utf-8"),
        ("aws-chunked", "aws-chunked"),
    ],
)
def test_what_a_header_names(header: str, coding: str) -> None:
    """Names have any case, `x-gzip` is gzip, and `identity` changes nothing."""
    assert coding_of(header) == coding


@pytest.mark.parametrize("coding", ["", "gzip, gzip", "gzip, br", "x-gzip", "compress", "utf-8", "none", "br", "zstd"])
def test_no_decoder(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown codings, combined ones, and br and zstd without an imported module have no decoder."""
    for name in OPTIONAL:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert decoder_for(coding) is None


OPTIONAL = ["brotli", "brotlicffi", "zstandard", "backports.zstd", "compression.zstd"]
INSTALLED = [name for name in OPTIONAL if find_spec(name.partition(".")[0]) is not None and find_spec(name) is not None]


@pytest.fixture
def optional(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """One of the modules that an HTTP client may have imported, and no other."""
    module = importlib.import_module(request.param)
    for name in OPTIONAL:
        if name != request.param:
            monkeypatch.delitem(sys.modules, name, raising=False)
    return module


def compress_with(module: Any) -> Callable[[bytes], bytes]:
    if module.__name__ == "zstandard":
        return lambda data: bytes(module.ZstdCompressor().compress(data))
    return lambda data: bytes(module.compress(data))


def coding_with(module: ModuleType) -> str:
    return "br" if module.__name__.startswith("brotli") else "zstd"


@pytest.mark.parametrize("optional", INSTALLED, indirect=True)
def test_optional_every_cut(optional: ModuleType) -> None:
    """A body in br or zstd cut at any byte is the same body, and one that ends at any byte is not whole."""
    coding, packed = coding_with(optional), compress_with(optional)(BODY)
    for place in range(len(packed) + 1):
        assert decoded(coding, packed[:place], packed[place:]) == (BODY, True, False)
        assert decoded(coding, packed[:place])[1:] == (place == len(packed), False)
    assert decoded(coding, *cut(packed, range(len(packed)))) == (BODY, True, False)


@pytest.mark.parametrize("optional", INSTALLED, indirect=True)
def test_optional_flushed(optional: Any) -> None:
    """An event that the server has flushed is available with its last byte."""
    if optional.__name__ == "zstandard":
        compressor = optional.ZstdCompressor().compressobj()
        pieces = [compressor.compress(event) + compressor.flush(optional.COMPRESSOBJ_FLUSH_BLOCK) for event in EVENTS]
    elif coding_with(optional) == "br":
        compressor = optional.Compressor()
        pieces = [compressor.process(event) + compressor.flush() for event in EVENTS]
    else:
        compressor = optional.ZstdCompressor()
        pieces = [compressor.compress(event, compressor.FLUSH_BLOCK) for event in EVENTS]
    decoder = decoder_for(coding_with(optional))
    assert decoder is not None
    for piece, event in zip(pieces, EVENTS, strict=True):
        decoder.feed(piece)
        assert decoder.take() == event
        assert not decoder.has_more
    assert not decoder.is_whole


@pytest.mark.parametrize("optional", INSTALLED, indirect=True)
def test_optional_faults(optional: ModuleType) -> None:
    """Data that is neither br nor zstd is a fault."""
    assert decoded(coding_with(optional), b"\xff" * 40) == (b"", False, True)


@pytest.mark.parametrize("optional", [name for name in INSTALLED if "zst" in name], indirect=True)
def test_zstd_in_frames(optional: ModuleType) -> None:
    """A body of several zstd frames is one body; other data after an end mark is ignored."""
    compress = compress_with(optional)
    packed = compress(EVENTS[0]) + compress(b"") + compress(b"".join(EVENTS[1:]))
    for whole in (packed, packed + b"\x28\xb5", packed + b"garbage"):
        for place in range(len(whole) + 1):
            assert decoded("zstd", whole[:place], whole[place:]) == (BODY, True, False)


@pytest.mark.parametrize("optional", INSTALLED, indirect=True)
def test_optional_bomb(optional: ModuleType) -> None:
    """A bomb is returned in pieces that are smaller than its full size."""
    decoder = decoder_for(coding_with(optional))
    assert decoder is not None
    decoder.feed(compress_with(optional)(bytes(40_000_000)))
    sizes = []
    while decoder.has_more:
        sizes.append(len(decoder.take()))
    assert sum(sizes) == 40_000_000
    assert max(sizes) < 20_000_000
