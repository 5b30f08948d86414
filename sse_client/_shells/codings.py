"""
Content codings: compressed bytes in, the body out, with no I/O (RFC 9110, section 8.4.1).

To use a decoder, `feed` it a piece, cut anywhere, then call `take` as long as it `has_more`. Data that the server has
flushed can be taken as soon as its last byte was fed. The size of each taken piece is limited, however large the body
becomes, so that a limit or a clock can stop it in between.

The end of the bytes is the end of the body only if the decoder `is_whole`: each coding has an end mark, and behind a
proxy this mark may be the only difference between a complete body and one whose server died. Data after the mark is
ignored, as in browsers, except for another gzip member or zstd frame.

gzip and deflate are decoded by the standard library. The data before a fault is returned before the fault is raised,
however the body was cut. For br and zstd we use the modules that the HTTP client has imported.
"""

import sys
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

# The most bytes that zlib returns for one call. A terminator, a limit or a clock ends the stream before the next.
MAX_PIECE = 64 * 1024

# Of the input at a time: zlib copies what a call leaves of it.
STEP = 16 * 1024

# The other decoders have no common way to bound their output, so their input is. A block of zstd takes 4 bytes for
# 128 KiB, a block of br a dozen for 16 MiB.
SMALL_STEP = 16

GZIP = 16 + zlib.MAX_WBITS
RAW_DEFLATE = -zlib.MAX_WBITS

# How a gzip member (RFC 1952, section 2.3.1) and a zstd frame (RFC 8878, section 3.1.1) begin.
GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

# The modules that httpx and httpx2 decode with.
BROTLI_MODULES = ("brotli", "brotlicffi")
ZSTD_MODULES = ("compression.zstd", "backports.zstd", "zstandard")


class CodingError(Exception):
    """The bytes are not what the coding makes."""


class EndedEarly(Exception):
    """The body ended cleanly, but before the end mark of its coding."""


def coding_of(header: str) -> str:
    """
    Return the coding that a `Content-Encoding` names, `""` for none.

    Names are in lower case, without those that change nothing. More than one, in the order in which they were applied,
    are one name that has no decoder: a body compressed twice grows a millionfold.
    """
    names = (name.strip().lower() for name in header.split(","))
    return ", ".join("gzip" if name == "x-gzip" else name for name in names if name not in ("", "identity"))


def decoder_for(coding: str) -> "Decoder | None":
    """Make a decoder for one body in the coding; `None` if there is none here."""
    if coding == "gzip":
        return _Gzip()
    if coding == "deflate":
        return _Deflate()
    if coding == "br" and (brotli := _imported(BROTLI_MODULES)) is not None:
        return _Brotli(brotli)
    if coding == "zstd" and (zstd := _imported(ZSTD_MODULES)) is not None:
        return _Zstd(zstd)
    return None


def _imported(names: tuple[str, ...]) -> ModuleType | None:
    return next((sys.modules[name] for name in names if name in sys.modules), None)


class Decoder:
    """Decodes one body; the module tells how it is driven."""

    is_whole: bool
    """Whether the body may end here: the end mark of its coding has come."""
    has_more: bool
    """Whether there may be something to take without another piece."""

    def __init__(self, step: int) -> None:
        self.is_whole = False
        self.has_more = False
        self._step = step
        self._input = b""
        self._at = 0  # how much of the input has been decoded
        self._beginning = b""  # the first bytes of a frame, too few to say what they begin
        self._is_full = False  # the last call returned as much as it may, and may hold more of its own
        self._fault: Exception | None = None

    def feed(self, data: bytes) -> None:
        """Give it the next piece of the compressed body. All of the piece before must have been taken."""
        assert not self.has_more
        self._input, self._at, self.has_more = data, 0, True

    def take(self) -> bytes:
        """Return the next piece of the decoded body, `b""` if that needs more bytes. Raises `CodingError`."""
        output = b""
        while self.has_more and len(output) < STEP:
            if self._fault is not None:
                if output:
                    break
                raise CodingError(str(self._fault)) from self._fault
            self._is_full = False
            output += self._decode(self._input[self._at : self._at + self._step])
            self.has_more = self._is_full or self._at < len(self._input) or self._fault is not None
        return output

    def _decode(self, data: bytes) -> bytes:
        """Decode from the beginning of the data, and move on by as much as it took."""
        raise NotImplementedError

    def _begin(self, data: bytes, size: int) -> bytes:
        """Return the first bytes of a frame, as many as have come of them."""
        found = self._beginning + data[: size - len(self._beginning)]
        self._at += len(found) - len(self._beginning)
        self._beginning = found
        return found

    def _begin_again(self) -> None:
        """Put the first bytes back: by now it is known what decodes them."""
        self._input, self._at, self._beginning = self._beginning + self._input[self._at :], 0, b""
        self.is_whole = False

    def _ignore_the_rest(self) -> bytes:
        self._at = len(self._input)
        return b""


class _Zlib(Decoder):
    """The codings that zlib decodes."""

    def __init__(self) -> None:
        super().__init__(STEP)
        self._decompressor: Any = None  # before the first bytes, and after an end mark

    def _inflate(self, data: bytes) -> bytes:
        decompressor = self._decompressor
        before = decompressor.copy()
        try:
            output: bytes = decompressor.decompress(data, MAX_PIECE)
        except zlib.error as error:
            self._fault = error
            return _decodable(before, data)
        if decompressor.eof:
            self.is_whole = True
            self._decompressor = None
        left = decompressor.unused_data if self.is_whole else decompressor.unconsumed_tail
        self._at += len(data) - len(left)
        self._is_full = len(output) == MAX_PIECE and not self.is_whole
        return output


def _decodable(decompressor: Any, data: bytes) -> bytes:
    """Decode up to the fault in the data; zlib itself drops what it has decoded in the same call."""
    output = bytearray()
    try:
        for index in range(len(data)):
            output += decompressor.decompress(data[index : index + 1])
    except zlib.error:
        pass
    return bytes(output)


class _Gzip(_Zlib):
    """gzip (RFC 1952): members, one after the other."""

    def _decode(self, data: bytes) -> bytes:
        if self._decompressor is not None:
            return self._inflate(data)
        # That the first member is one is for zlib to say.
        if not self.is_whole or (beginning := self._begin(data, len(GZIP_MAGIC))) == GZIP_MAGIC:
            self._begin_again()
            self._decompressor = zlib.decompressobj(GZIP)
            return b""
        return b"" if GZIP_MAGIC.startswith(beginning) else self._ignore_the_rest()


class _Deflate(_Zlib):
    """deflate: in zlib's format, as RFC 9110 has it, or without, as some servers send it."""

    def _decode(self, data: bytes) -> bytes:
        if self._decompressor is not None:
            return self._inflate(data)
        if self.is_whole:
            return self._ignore_the_rest()
        beginning = self._begin(data, 2)
        if len(beginning) == 2:
            self._begin_again()
            # RFC 1950, section 2.2. In raw deflate these bits would be the unused ones of a stored block: all zero.
            is_zlib = beginning[0] & 0x0F == 8 and int.from_bytes(beginning) % 31 == 0
            self._decompressor = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else RAW_DEFLATE)
        return b""


class _Brotli(Decoder):
    """br (RFC 7932), by the module of `Brotli` or of `brotlicffi`."""

    def __init__(self, module: Any) -> None:
        super().__init__(SMALL_STEP)
        self._error: type[Exception] = module.error
        self._decompressor = module.Decompressor()
        # An old brotlicffi has only the second.
        self._process = getattr(self._decompressor, "process", None) or self._decompressor.decompress

    def _decode(self, data: bytes) -> bytes:
        if self.is_whole:
            return self._ignore_the_rest()
        self._at += len(data)
        try:
            output: bytes = self._process(data)
        except self._error as error:
            self._fault = error
            return b""
        self.is_whole = self._decompressor.is_finished()
        self._is_full = bool(output)  # brotlicffi holds more until it is asked again
        return output


class _Zstd(Decoder):
    """zstd (RFC 8878): frames, one after the other; by the standard library's module, its backport, or `zstandard`."""

    def __init__(self, module: Any) -> None:
        super().__init__(SMALL_STEP)
        self._error: type[Exception] = module.ZstdError
        self._new: Callable[[], Any] = module.ZstdDecompressor
        if hasattr(self._new(), "decompressobj"):
            self._new = lambda: module.ZstdDecompressor().decompressobj()
        self._decompressor = self._new()

    def _decode(self, data: bytes) -> bytes:
        if self.is_whole:
            beginning = self._begin(data, len(ZSTD_MAGIC))
            if beginning == ZSTD_MAGIC:
                self._begin_again()
                self._decompressor = self._new()
            elif not ZSTD_MAGIC.startswith(beginning):
                self._ignore_the_rest()
            return b""
        self._at += len(data)
        try:
            output: bytes = self._decompressor.decompress(data)
        except self._error as error:
            self._fault = error
            return b""
        if self._decompressor.eof:
            self.is_whole = True
            self._at -= len(self._decompressor.unused_data)
        return output
