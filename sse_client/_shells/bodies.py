"""
The body of a response, piece by piece as it is received, and decoded if possible.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import anyio.lowlevel

from .codings import CodingError, Decoder, EndedEarly, coding_of, decoder_for
from .http import is_http2, library_of, transport_timeout
from .time import VIRTUAL_TIME


def turn_to_body(request: Any, response: Any, read_timeout: float | None) -> None:
    """
    Change a request's extensions after the headers were received, for the reads of the body.

    Until now the read timeout was the time for the headers; a transport reads it only once, before the body. The
    extensions that are needed only for the headers would take memory until the end of the body.
    """
    if not is_http2(response):
        request.extensions.pop("trace", None)  # over HTTP/2 it reports that the response is closed
    request.extensions.pop(VIRTUAL_TIME, None)
    timeout = request.extensions.get("timeout")
    if timeout is not None:
        timeout["read"] = transport_timeout(read_timeout)


def pieces_of(response: Any) -> Iterator[bytes]:
    """
    Iterate over the body as it is received, decoded if possible.

    This uses the stream below httpx's own iterators, which would return the connection to its pool at the end of the
    body, before we have released its socket.
    """
    if _has_been_read(response):
        return cast("Iterator[bytes]", response.iter_bytes())
    pieces = iter(response.stream)
    decoder = _decoder_of(response)
    return pieces if decoder is None else _Decoded(response, pieces, decoder)


def apieces_of(response: Any) -> AsyncIterator[bytes]:
    """The same, async."""
    if _has_been_read(response):
        return cast("AsyncIterator[bytes]", response.aiter_bytes())
    pieces = aiter(response.stream)
    decoder = _decoder_of(response)
    return pieces if decoder is None else _Decoded(response, pieces, decoder)


def _decoder_of(response: Any) -> Decoder | None:
    return decoder_for(coding_of(response.headers.get("content-encoding", "")))


class _Decoded(Iterator[bytes], AsyncIterator[bytes]):
    """
    The pieces of a compressed body, decoded.

    A piece that decodes to nothing is `b""`, so that the reader can check its clocks. Raises `EndedEarly` at an end
    that is not the end of the body, and the client's own `DecodingError`.
    """

    def __init__(self, response: Any, pieces: Any, decoder: Decoder) -> None:
        self._response = response
        self._pieces = pieces
        self._decoder = decoder
        self._error: type[Exception] = library_of(response, "Response").DecodingError

    def __next__(self) -> bytes:
        decoder = self._decoder
        if not decoder.has_more:
            try:
                piece = next(self._pieces)
            except StopIteration:
                self._check_whole()
                raise
            decoder.feed(piece)
        return self._take()

    async def __anext__(self) -> bytes:
        if self._response.is_closed:
            # This read only unwinds the generators below; their data is not needed.
            return cast("bytes", await self._pieces.__anext__())
        if self._decoder.has_more:
            await anyio.lowlevel.checkpoint()  # decompressing may go on for long without a read
        else:
            try:
                piece = await self._pieces.__anext__()
            except StopAsyncIteration:
                self._check_whole()
                raise
            self._decoder.feed(piece)
        return self._take()

    def _take(self) -> bytes:
        try:
            return self._decoder.take()
        except CodingError as error:
            raise self._error(str(error)) from error

    def _check_whole(self) -> None:
        if not self._decoder.is_whole:
            raise EndedEarly("the body ended before the end mark of its compression") from None


def _has_been_read(response: Any) -> bool:
    """Whether httpx has read the body, and decoded it, or is to say that it has been used up."""
    return bool(response.is_stream_consumed or response.is_closed)
