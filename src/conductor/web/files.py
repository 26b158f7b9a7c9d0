"""Files on their way to somebody: streamed as they are made, with a manifest beside them in a zip."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conductor.operations import auditing, exporting, exports
from conductor.operations.accounts import User
from conductor.web import auth, shell, view
from conductor.web.auth import Analyst
from conductor.web.turns import Turns

ZIP = "application/zip"
QUICK = 1  # of zlib's levels: a stream should not wait for its compression
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get("/signals/export")
async def export(request: Request, user: Analyst) -> Response:
    """What the page shows, all of it, or the events that are named by their `ids`, as a zip with the events and their
    manifest. Raises Invalid, QueryError."""
    return await streamed(request, user, wanted(request.query_params, request.query_params.getlist("ids"), user))


def wanted(typed: Mapping[str, str], ids: Sequence[str], user: User) -> exports.Wanted:
    """What a form asks for, with the events that are chosen in it. Raises Invalid."""
    seen = view.read(typed, user)
    every = typed.get("all", "") not in ("", "false")
    asked = replace(seen.request, after=None)
    if "ids" in typed:
        asked = exporting.chosen(ids, oldest_first=seen.oldest_first)
    columns = [] if every else [column.key for column in seen.shown]
    return exports.Wanted(asked, typed.get("format", "csv"), columns, plain="plain" in typed)


async def streamed(request: Request, user: User, wanted: exports.Wanted) -> Response:
    """A zip on its way. Raises Invalid, QueryError, TooManySearches."""
    state, asked = request.app.state, wanted.request
    made = exporting.prepare(
        state.system, asked, wanted.format, wanted.columns, by=user.email, sight=user.sight, plain=wanted.plain
    )
    await auditing.took_away(state.system, user, asked, wanted.format, auth.client_address(request))
    name = f"conductor-events-{made.begun:%Y%m%dT%H%M%SZ}"
    file = f"{name}.{wanted.format}"
    packed = zipped(file, made.pages(), lambda: made.manifest(file), made.begun)
    pieces = await started(held(state.turns, user, packed))
    headers = named(f"{name}.zip") | {"Content-Encoding": "identity"}  # it is compressed already
    return StreamingResponse(pieces, media_type=ZIP, headers=headers)


async def held(turns: Turns, user: User, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, while the user holds a turn. Raises TooManySearches."""
    async with turns.take(user.email):
        async for piece in pieces:
            yield piece


async def started(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, begun: what is refused is refused before the answer has a status."""
    first = b""
    async for first in pieces:
        if first:
            break

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return whole()


async def zipped(
    name: str, pieces: AsyncIterator[bytes], manifest: Callable[[], bytes], at: datetime
) -> AsyncIterator[bytes]:
    """A zip of one file as it is made, and of its manifest, which is known at the end."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=QUICK) as archive:
        with archive.open(_entry(name, at), "w", force_zip64=True) as file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
                yield sink.taken()
        archive.writestr(_entry("manifest.json", at), manifest())
    yield sink.taken()


def named(name: str) -> dict[str, str]:
    """The headers of an answer that is a file; the name is ours."""
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}


def _entry(name: str, at: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, at.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


class _Sink(io.RawIOBase):
    """What a zip is written to, to be taken from there bit by bit."""

    def __init__(self) -> None:
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self._content += content
        return len(content)

    def taken(self) -> bytes:
        """What came since the last time."""
        content, self._content = bytes(self._content), bytearray()
        return content
