"""Telling open pages that something has changed, as server-sent events; they ask for the new content themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conductor.core.errors import StorePaused
from conductor.operations import sessions, tokens
from conductor.web import auth
from conductor.web.auth import Viewer
from conductor.web.trial import EVENTS

TICK = 5.0  # seconds: a page tells how long ago something was, so it grows old by itself
SPACE = 2.0  # seconds between two ticks, however much happens
CHECK = 60.0  # seconds between two looks whether the session still lives
router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live(request: Request, user: Viewer) -> Response:
    """A tick whenever a poll has ended, and every 5 s; the end when the session or the process ends."""
    return StreamingResponse(_ticks(request), media_type=EVENTS, headers={"Cache-Control": "no-store"})


async def _ticks(request: Request) -> AsyncIterator[str]:
    stopping, pulse = request.app.state.stopping, request.app.state.system.pulse
    loop = asyncio.get_running_loop()
    checked = loop.time()
    yield "retry: 2000\n\n"
    while not stopping.is_set():
        seen = pulse.count
        yield "event: tick\ndata:\n\n"
        await first(stopping.wait(), seconds=SPACE)
        await first(stopping.wait(), pulse.wait(seen), seconds=TICK - SPACE)
        if loop.time() - checked > CHECK:
            checked = loop.time()
            if not await lives(request):
                return


async def first(*waits: Coroutine[Any, Any, object], seconds: float) -> None:
    """Until one of these is over, or the time is."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def lives(request: Request) -> bool:
    """Whether the session of the request still does."""
    if request.app.state.local:
        return True
    system, token = request.app.state.system, getattr(request.state, "token", None)
    try:
        if token is not None:
            return await tokens.lives(system, token.id)
        return await sessions.who(system, auth.session_token(request), active=False) is not None
    except StorePaused:
        return True  # the next look tells
