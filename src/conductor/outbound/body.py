"""Reads an answer's body without trusting it: bounded after decompression, gzip at most once."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping

from conductor.core.errors import Unavailable, UnexpectedResponse

MAX_BODY = 8 * 1024 * 1024  # bytes, decompressed
_GZIP = 16 + zlib.MAX_WBITS


async def read(chunks: AsyncIterator[bytes], headers: Mapping[str, str], *, limit: int = MAX_BODY) -> bytes:
    """The decoded body.

    Raises UnexpectedResponse when it is too large, damaged or encoded as we did not ask, Unavailable when cut short.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return await _plain(chunks, limit)
    if encoding != "gzip":
        raise UnexpectedResponse("The answer is encoded in a way we did not ask for.", code="source.encoding")
    return await _gunzip(chunks, limit)


async def _plain(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        _check(len(body), limit)
    return bytes(body)


async def _gunzip(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    stream = zlib.decompressobj(_GZIP)
    try:
        async for chunk in chunks:
            body += stream.decompress(chunk, limit + 1 - len(body))
            _check(len(body), limit)
            _check(len(body) + len(stream.unconsumed_tail), limit)
            if stream.unused_data:  # zlib would hoard it without limit, and a second member would be dropped
                raise UnexpectedResponse("The answer goes on after its end.", code="source.encoding")
    except zlib.error as error:
        raise UnexpectedResponse("The answer's compression is damaged.", code="source.encoding") from error
    if not stream.eof:
        raise Unavailable("The answer ended in the middle.", code="source.truncated")
    return bytes(body)


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise UnexpectedResponse(f"The answer is larger than {limit} bytes.", code="source.too_large")
