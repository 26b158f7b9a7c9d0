"""Reads an answer's body without trusting it: bounded after decompression, gzip at most once, not drop by drop."""

from __future__ import annotations

import asyncio
import html
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from hashlib import sha256

from conductor.core.errors import Unavailable, UnexpectedResponse

MAX_BODY = 8 * 1024 * 1024  # bytes, decompressed
GRACE = 10.0  # seconds from the headers on, in which a body may come as slowly as it likes
SLOWEST = 1024.0  # bytes a second after that, as they travel
LARGE = 1024 * 1024  # bytes; no page of usual records comes near it
HELD = 96 * 1024 * 1024  # bytes that all large answers may take together
HEAD, LONGEST_TITLE = 20_000, 100  # bytes of a page in which its title is looked for, characters
_TITLE = re.compile(r"<title[^>]*>([^<]+)</title", re.IGNORECASE)
_PIECE = 64 * 1024  # bytes that are decompressed at once
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(UnexpectedResponse):
    """The answer is larger than we take.

    `sha256` is of its first `limit` bytes, decompressed; `told` is its whole length, where the server announced it.
    """

    code = "source.too_large"

    def __init__(self, sha256: bytes, limit: int, told: int | None) -> None:
        super().__init__(f"The answer is larger than {limit} bytes.", limit=limit)
        self.sha256 = sha256
        self.told = told


class Room:
    """How many large answers are read at once, from all vendors together: the others wait when theirs grows large.

    A thousand hostile vendors would fill the memory otherwise, each within its limit.
    """

    def __init__(self, limit: int = MAX_BODY) -> None:
        self.limit = limit
        self.places = asyncio.Semaphore(max(1, HELD // limit))


async def read(chunks: AsyncIterator[bytes], headers: Mapping[str, str], room: Room) -> bytes:
    """The decoded body, as large as the room's limit at the most.

    Raises TooLarge, UnexpectedResponse when it is damaged or encoded as we did not ask, Unavailable when it is cut
    short or comes too slowly.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnexpectedResponse("The answer is encoded in a way we did not ask for.", code="source.encoding")
    length = headers.get("content-length", "")
    told = int(length) if encoding != "gzip" and length.isascii() and length.isdigit() else None
    async with aclosing(_brisk(chunks)) as brisk, AsyncExitStack() as place:
        body = _Body(room, told, place)
        await (_gunzip if encoding == "gzip" else _plain)(brisk, body)
        return body.whole()


async def _brisk(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same chunks, as long as they come fast enough on the whole."""
    loop = asyncio.get_running_loop()
    seen, waited = 0, 0.0  # what we ourselves wait for is not the vendor's slowness
    while True:
        begun = loop.time()
        try:
            async with asyncio.timeout(GRACE + seen / SLOWEST - waited):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Unavailable("The answer comes too slowly.", code="net.timeout") from error
        seen, waited = seen + len(chunk), waited + loop.time() - begun
        yield chunk


async def _plain(chunks: AsyncIterator[bytes], body: _Body) -> None:
    async for chunk in chunks:
        await body.add(chunk)


async def _gunzip(chunks: AsyncIterator[bytes], body: _Body) -> None:
    stream = zlib.decompressobj(_GZIP)
    try:
        async for chunk in chunks:
            while chunk:  # in pieces, or one chunk of a bomb would be as large as the limit beside the body
                await body.add(stream.decompress(chunk, _PIECE))
                chunk = stream.unconsumed_tail
            if stream.unused_data:  # zlib would hoard it without limit, and a second member would be dropped
                raise UnexpectedResponse("The answer goes on after its end.", code="source.encoding")
    except zlib.error as error:
        raise UnexpectedResponse("The answer's compression is damaged.", code="source.encoding") from error
    if not stream.eof:
        raise Unavailable("The answer ended in the middle.", code="source.truncated")


class _Body:
    """What was read so far, in pieces: one buffer would be copied as it grows, and tiny chunks would each cost more
    than they hold."""

    def __init__(self, room: Room, told: int | None, place: AsyncExitStack) -> None:
        self._room = room
        self._told = told
        self._place = place
        self._size = 0
        self._pieces = [bytearray()]

    async def add(self, chunk: bytes) -> None:
        """Keep this too, once there is room for it. Raises TooLarge."""
        if self._size <= LARGE < self._size + len(chunk):
            await self._place.enter_async_context(self._room.places)
        self._size += len(chunk)
        if len(self._pieces[-1]) >= _PIECE:
            self._pieces.append(bytearray())
        self._pieces[-1] += chunk
        if self._size > self._room.limit:
            raise TooLarge(self._digest(), self._room.limit, self._told)

    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)

    def _digest(self) -> bytes:
        """Of exactly as many bytes as are taken, so that the same record gives the same digest however it came."""
        found, left = sha256(), self._room.limit
        for piece in self._pieces:
            found.update(memoryview(piece)[:left])
            left -= min(left, len(piece))
        return found.digest()


def title(page: bytes) -> str:
    """Of a web page: what it calls itself, else that it is one; empty for anything else."""
    head = page[:HEAD].decode("utf-8", "replace")
    found = _TITLE.search(head)
    words = " ".join(html.unescape(found[1]).split())[:LONGEST_TITLE] if found else ""
    return words or ("web page" if "<html" in head.lower() else "")
