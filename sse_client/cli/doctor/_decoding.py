"""
Content codings, as far as they can be read here: each piece is decompressed as far as it goes, which shows whether the
server has flushed it.
"""

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

# Of a body, decompressed: a server's kilobyte can become a gigabyte here.
MAX_BYTES = 64 * 1024 * 1024

# A block of br takes a dozen bytes for 16 MiB, and its module cannot limit what one call returns. So the input is.
SMALL_STEP = 16  # bytes

GZIP_MAGIC = b"\x1f\x8b"

Decoder = Callable[[bytes, int], bytes]
"""Takes a piece, and how many bytes are wanted at most; returns what they decode to. Raises an error of its module."""


def codings() -> list[str]:
    """Return the content codings that can be read here, as a browser names them."""
    return ["gzip", "deflate", *(["br"] if _brotli() is not None else [])]


def decoder_of(coding: str) -> Decoder:
    """Return a decoder for one body. Raises `ValueError` for a coding that is not known."""
    match coding:
        case "" | "identity":
            return lambda data, _: data
        case "gzip" | "x-gzip":
            return _Gzip()
        case "deflate":
            return _Deflate()
        case "br" if (brotli := _brotli()) is not None:
            return _Brotli(brotli)
        case _:
            raise ValueError(f"doctor cannot decode {coding}, and did not ask for it")


def _brotli() -> Any:
    for name in ("brotli", "brotlicffi"):
        try:
            return import_module(name)
        except ImportError:
            pass
    return None


class _Gzip:
    """gzip: one member after the other; other bytes after it are ignored, as in browsers."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._is_over = False

    def __call__(self, data: bytes, limit: int) -> bytes:
        parts: list[bytes] = []
        while data and limit > 0 and not self._is_over:
            parts.append(self._object.decompress(data, limit))
            limit -= len(parts[-1])
            data = self._object.unconsumed_tail
            if self._object.eof:
                data = self._object.unused_data
                self._is_over = bool(data) and not data.startswith(GZIP_MAGIC[: len(data)])
                self._object = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return b"".join(parts)


class _Deflate:
    """Some servers send deflate without the header of zlib, so the first byte decides, as in browsers."""

    def __init__(self) -> None:
        self._object: Any = None

    def __call__(self, data: bytes, limit: int) -> bytes:
        if self._object is None:
            if not data:
                return b""
            has_header = data[0] & 0x0F == zlib.DEFLATED
            self._object = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        result: bytes = self._object.decompress(data, limit)
        return result


class _Brotli:
    """br, by the module of `Brotli` or of `brotlicffi`."""

    def __init__(self, module: Any) -> None:
        decompressor = module.Decompressor()
        # An old brotlicffi has only the second.
        self._process = getattr(decompressor, "process", None) or decompressor.decompress

    def __call__(self, data: bytes, limit: int) -> bytes:
        parts: list[bytes] = []
        for start in range(0, len(data), SMALL_STEP):
            parts.append(self._process(data[start : start + SMALL_STEP]))
            limit -= len(parts[-1])
            if limit <= 0:
                break
        return b"".join(parts)
