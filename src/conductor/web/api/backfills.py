"""Backfills: spans that are read again behind live collection."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from fastapi import APIRouter, Query
from starlette.requests import Request

from conductor.operations import backfills, gaps
from conductor.web import shapes
from conductor.web.api.integrations import Body, Nothing
from conductor.web.auth import Analyst, Viewer
from conductor.web.ids import Id

router = APIRouter(prefix="/api/v1/integrations", tags=["backfills"])


class Asked(Body):
    """A span: `from` is a time or a length such as `5d`, `to` a time or nothing, which is where live collection is.
    With `dry_run` nothing is started."""

    start: str = pydantic.Field(alias="from")
    end: str | None = pydantic.Field(None, alias="to")
    dry_run: bool = False


@router.get("/{name}/backfills")
async def list_all(request: Request, user: Viewer, name: str, limit: int = Query(20, ge=1, le=1000)) -> dict[str, Any]:
    """The newest backfills first, each with how far it is."""
    found = await backfills.list_all(request.app.state.system, name, limit)
    return {"backfills": [shapes.backfill(item) for item in found]}


@router.post("/{name}/backfills", status_code=201)
async def start(request: Request, user: Analyst, name: str, body: Asked) -> dict[str, Any]:
    """Read a span again. The answer has an estimate of what it costs."""
    system = request.app.state.system
    known = shapes.estimate(await backfills.estimate(system, name, body.start, body.end))
    if body.dry_run:
        return {"estimate": known}
    started = await backfills.start(system, name, body.start, body.end, by=user.email)
    return shapes.backfill(started) | {"estimate": known}


@router.post("/{name}/backfills/{backfill}/{deed}")
async def steer(
    request: Request, user: Analyst, name: str, backfill: Id, deed: Literal["pause", "resume", "stop"], body: Nothing
) -> dict[str, Any]:
    """Pause, resume or stop a backfill, between two pages."""
    return shapes.backfill(await backfills.steer(request.app.state.system, name, backfill, deed, by=user.email))


@router.post("/{name}/gaps/{gap}/recover", status_code=201)
async def recover_gap(request: Request, user: Analyst, name: str, gap: Id, body: Nothing) -> dict[str, Any]:
    """Read the span of an open or lost gap again."""
    return shapes.backfill(await gaps.recover(request.app.state.system, name, gap, by=user.email))
