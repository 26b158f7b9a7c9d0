"""New events as they become searchable: their rows for the page, lines of JSON for programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conductor.operations import auditing, search
from conductor.operations.accounts import User
from conductor.web import auth, event, files, live, parts, shapes, view
from conductor.web.api.artifacts import Asked
from conductor.web.auth import Viewer
from conductor.web.render import pages
from conductor.web.trial import EVENTS
from conductor.web.view import View

LOOK = 1.0  # seconds between two looks
OF_LATE = "24h"  # how old an event may be that is told, unless a range says otherwise
QUIET = 15.0  # seconds of silence after which a sign of life is sent
router = APIRouter()


@router.get("/signals/live", include_in_schema=False)
async def rows(request: Request, user: Viewer) -> Response:
    """The rows of new events that match. Raises QueryError, Invalid, TooManySearches."""
    state = request.app.state
    seen = view.read(request.query_params, user)
    asked = replace(seen.request, after=None, limit=search.LIMIT)
    await search.criteria_of(state.system, asked, user.sight)  # what cannot be asked is refused before the first byte
    marks = await search.marks(state.system)
    if state.lately.first(parts.deed(user, asked)):
        await auditing.searched(state.system, user, asked, auth.client_address(request))
    pieces = await files.started(files.held(state.tails, user, _events(request, user, seen, asked, marks)))
    return StreamingResponse(pieces, media_type=EVENTS, headers={"Cache-Control": "no-store"})


@router.get("/api/v1/artifacts/live", tags=["artifacts"])
async def lines(request: Request, user: Viewer, asked: Asked) -> Response:
    """New events that match as they become searchable, a JSON object a line, without end; an empty line from time to
    time says that it goes on. At most `limit` of those that come at once are told, and of events that are older than a
    day only with a range that reaches so far."""
    state = request.app.state
    bounded = asked.last or asked.start or asked.end
    asked = replace(asked, after=None, last=asked.last if bounded else OF_LATE)
    await search.criteria_of(state.system, asked, user.sight)
    marks = await search.marks(state.system)
    await auditing.searched(state.system, user, asked, auth.client_address(request))
    pieces = await files.started(files.held(state.tails, user, _lines(request, user, asked, marks)))
    return StreamingResponse(pieces, media_type=EVENTS, headers={"Cache-Control": "no-store"})


async def _lines(request: Request, user: User, asked: search.Request, marks: Mapping[int, int]) -> AsyncIterator[bytes]:
    yield b"\n"
    async for found in batches(request, user, asked, marks, raw=True):
        yield b"".join(msgspec.json.encode(shapes.artifact(row)) + b"\n" for row in reversed(found)) or b"\n"


async def _events(
    request: Request, user: User, seen: View, asked: search.Request, marks: Mapping[int, int]
) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async for found in batches(request, user, asked, marks):
        if not found:
            yield b":\n\n"
            continue
        html = pages(request).text(request, "search_rows.html", view=seen, found=[event.opened(row) for row in found])
        lines = "".join(f"data: {line}\n" for line in html.splitlines() if line)
        yield f"event: rows\nid: {len(found)}\n{lines}\n".encode()


async def batches(
    request: Request, user: User, asked: search.Request, marks: Mapping[int, int], *, raw: bool = False
) -> AsyncIterator[list[Mapping[str, Any]]]:
    """What is new, a list a look; an empty one from time to time. It ends with the session and with the process."""
    stopping, system, loop = request.app.state.stopping, request.app.state.system, asyncio.get_running_loop()
    told = checked = loop.time()
    while not stopping.is_set():
        now = await search.marks(system)
        if now != marks:
            found = await search.fresh(system, asked, user.sight, marks, now, raw=raw)
            marks = now
            if found:
                told = loop.time()
                yield found
        if loop.time() - told > QUIET:
            told = loop.time()
            yield []
        if loop.time() - checked > live.CHECK:
            checked = loop.time()
            if not await live.lives(request):
                return
        await live.first(stopping.wait(), seconds=LOOK)
