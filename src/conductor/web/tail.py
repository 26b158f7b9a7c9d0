"""New events as they become searchable: their rows for the page, lines of JSON for programs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
MORE = "event: more\ndata:\n\n"
MARKS = re.compile(r"[0-9]{1,9}\.[0-9]{1,18}(,[0-9]{1,9}\.[0-9]{1,18})*")
LONGEST = 4000  # characters of marks: with the query they are to fit into an address
router = APIRouter()


@dataclass(frozen=True, slots=True)
class News:
    """What one look found, and up to where it looked. `more`: not all of it."""

    rows: Sequence[Mapping[str, Any]]
    marks: Mapping[int, int]
    more: bool = False


@router.get("/signals/live", include_in_schema=False)
async def rows(request: Request, user: Viewer) -> Response:
    """The rows of new events that match. Raises QueryError, Invalid, TooManySearches."""
    state = request.app.state
    seen = view.read(request.query_params, user)
    asked = replace(seen.request, after=None, limit=search.LIMIT)
    await search.criteria_of(state.system, asked, user.sight)  # what cannot be asked is refused before the first byte
    since = request.headers.get("last-event-id") or request.query_params.get("since", "")
    marks = read_marks(since) or await search.marks(state.system)
    if state.lately.first(parts.deed(user, asked)):
        await auditing.searched(state.system, user, asked, auth.client_address(request))
    pieces = await files.started(files.held(state.tails, user, _events(request, user, seen, asked, marks)))
    return StreamingResponse(pieces, media_type=EVENTS, headers={"Cache-Control": "no-store"})


@router.get("/api/v1/artifacts/live", tags=["artifacts"])
async def lines(request: Request, user: Viewer, asked: Asked) -> Response:
    """New events that match as they become searchable, a JSON object a line, without end; an empty line from time to
    time says that it goes on. Of those that come at once the oldest is first. Events that are older than a day are told
    only with a range that reaches so far. `limit` is how many are read at a time, not how many are told."""
    state = request.app.state
    bounded = asked.last or asked.start or asked.end
    asked = replace(asked, after=None, oldest_first=True, last=asked.last if bounded else OF_LATE)
    await search.criteria_of(state.system, asked, user.sight)
    marks = await search.marks(state.system)
    await auditing.searched(state.system, user, asked, auth.client_address(request))
    pieces = await files.started(files.held(state.tails, user, _lines(request, user, asked, marks)))
    return StreamingResponse(pieces, media_type=EVENTS, headers={"Cache-Control": "no-store"})


def written_marks(marks: Mapping[int, int]) -> str:
    """Up to where a page is: `1.20,2.7`. Empty where that is too long for an address: then live begins with now."""
    text = ",".join(f"{id_}.{batch}" for id_, batch in sorted(marks.items()))
    return text if len(text) <= LONGEST else ""


def read_marks(text: str) -> Mapping[int, int]:
    """The inverse; empty for what is not such a text."""
    if not MARKS.fullmatch(text):
        return {}
    pairs = (mark.split(".") for mark in text.split(","))
    return {int(id_): int(batch) for id_, batch in pairs}


async def _lines(request: Request, user: User, asked: search.Request, marks: Mapping[int, int]) -> AsyncIterator[bytes]:
    yield b"\n"
    async for news in batches(request, user, asked, marks, whole=True):
        yield b"".join(msgspec.json.encode(shapes.artifact(row)) + b"\n" for row in news.rows) or b"\n"


async def _events(
    request: Request, user: User, seen: View, asked: search.Request, marks: Mapping[int, int]
) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async for news in batches(request, user, asked, marks):
        if not news.rows:
            yield b":\n\n"
            continue
        html = pages(request).text(
            request, "search_rows.html", view=seen, found=[event.opened(row) for row in news.rows]
        )
        lines = "".join(f"data: {line}\n" for line in html.splitlines() if line)
        mark = f"id: {written_marks(news.marks)}\n"  # a browser that lost its connection asks for what came after it
        yield f"event: rows\n{mark}{lines}\n{MORE if news.more else ''}".encode()


async def batches(
    request: Request, user: User, asked: search.Request, marks: Mapping[int, int], *, whole: bool = False
) -> AsyncIterator[News]:
    """What is new, as often as one looks; nothing from time to time. It ends with the session and with the process.

    `whole`: all of it with the raw event, in as many pages as it needs, instead of the first page.
    """
    stopping, system, loop = request.app.state.stopping, request.app.state.system, asyncio.get_running_loop()
    told = checked = loop.time()
    while not stopping.is_set():
        now = await search.marks(system)
        following = None
        while now != marks:
            wanted = replace(asked, after=following)
            found, following = await search.fresh(system, wanted, user.sight, marks, now, raw=whole)
            if found:
                told = loop.time()
                yield News(found, now, more=following is not None)
            if following is None or not whole:
                marks = now
        if loop.time() - told > QUIET:
            told = loop.time()
            yield News([], now)
        if loop.time() - checked > live.CHECK:
            checked = loop.time()
            if not await live.lives(request):
                return
        await live.first(stopping.wait(), seconds=LOOK)
