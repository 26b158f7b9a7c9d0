"""New events as they become searchable: their rows for the page, lines of JSON for programs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
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
MORE = "event: more\ndata:\n\n"
MARKS = re.compile(r"[0-9]{1,9}\.[0-9]{1,18}(,[0-9]{1,9}\.[0-9]{1,18})*")
LONGEST = 4000  # characters of marks: with the query they are to fit into an address
router = APIRouter()


@router.get("/signals/live", include_in_schema=False)
async def rows(request: Request, user: Viewer) -> Response:
    """The rows of new events that match. Raises QueryError, Invalid, TooManySearches."""
    state = request.app.state
    seen = view.read(request.query_params, user)
    asked = replace(seen.request, after=None, oldest_first=False, limit=search.LIMIT + 1)  # one more tells of more
    await search.criteria_of(state.system, asked, user.sight)  # what cannot be asked is refused before the first byte
    since = request.headers.get("last-event-id") or request.query_params.get("since", "")
    marks = read_marks(since) or await search.marks(state.system, user.sight)
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
    marks = await search.marks(state.system, user.sight)
    await auditing.searched(state.system, user, asked, auth.client_address(request))
    pieces = await files.started(files.held(state.tails, user, _lines(request, user, asked, marks)))
    return StreamingResponse(pieces, media_type=EVENTS, headers={"Cache-Control": "no-store"})


def written_marks(marks: Mapping[int, int]) -> str:
    """Up to where a page is: `1.20,2.7`. Empty where that is too long for an address: then live begins with now."""
    text = ",".join(f"{id_}.{batch}" for id_, batch in sorted(marks.items())) or "0.0"
    return text if len(text) <= LONGEST else ""


def read_marks(text: str) -> Mapping[int, int]:
    """The inverse; empty for what is not such a text."""
    if not MARKS.fullmatch(text):
        return {}
    pairs = (mark.split(".") for mark in text.split(","))
    return {int(id_): int(batch) for id_, batch in pairs}


async def _lines(request: Request, user: User, asked: search.Request, marks: Mapping[int, int]) -> AsyncIterator[bytes]:
    yield b"\n"
    async for rows, _ in batches(request, user, asked, marks, whole=True):
        yield b"".join(msgspec.json.encode(shapes.artifact(row)) + b"\n" for row in rows) or b"\n"


async def _events(
    request: Request, user: User, seen: View, asked: search.Request, marks: Mapping[int, int]
) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async for rows, upto in batches(request, user, asked, marks):
        if not rows:
            yield b":\n\n"
            continue
        found = [event.opened(row) for row in rows[: search.LIMIT]]
        html = pages(request).text(request, "search_rows.html", view=seen, found=found)
        lines = "".join(f"data: {line}\n" for line in html.splitlines() if line)
        mark = f"id: {written_marks(upto)}\n"  # a browser that lost its connection asks for what came after it
        yield f"event: rows\n{mark}{lines}\n{MORE if len(rows) > search.LIMIT else ''}".encode()


async def batches(
    request: Request, user: User, asked: search.Request, marks: Mapping[int, int], *, whole: bool = False
) -> AsyncIterator[tuple[Sequence[Mapping[str, Any]], Mapping[int, int]]]:
    """What is new, as often as one looks, and up to where; nothing from time to time. It ends with the session and with
    the process. An index that is built anew tells nothing twice.

    `whole`: all of it with the raw event, in as many pages as it needs, instead of the first page.
    """
    stopping, system, loop = request.app.state.stopping, request.app.state.system, asyncio.get_running_loop()
    told = checked = loop.time()
    upto, following = marks, None
    while not stopping.is_set():
        if following is None:
            now = await search.marks(system, user.sight)
            upto = {**marks, **{id_: max(batch, marks.get(id_, 0)) for id_, batch in now.items()}}
        if upto != marks:
            wanted = replace(asked, after=following)
            found, following = await search.fresh(system, wanted, user.sight, marks, upto, raw=whole)
            following = following if whole else None
            marks = marks if following else upto
            if found:
                told = loop.time()
                yield found, upto
        if loop.time() - told > QUIET:
            told = loop.time()
            yield [], marks
        if loop.time() - checked > live.CHECK:
            checked = loop.time()
            if not await live.lives(request):
                return
        if following is None:
            await live.first(stopping.wait(), seconds=LOOK)
