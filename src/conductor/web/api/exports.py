"""Exports that are made in the background."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.operations import exporting, exports, search
from conductor.web import exports as pages
from conductor.web import shapes
from conductor.web.api.integrations import Body
from conductor.web.auth import Analyst
from conductor.web.ids import Id

router = APIRouter(prefix="/api/v1/exports", tags=["exports"])


class Asked(Body):
    """What to export: everything that matches `q` in a range, or the events with these `ids`. `columns` are all when
    none are given."""

    q: str = "*"
    last: str | None = None
    start: str | None = pydantic.Field(None, alias="from")
    end: str | None = pydantic.Field(None, alias="to")
    sort: Literal["-date", "date"] = "-date"
    ids: list[str] | None = None
    format: str = "ndjson"
    columns: list[str] = pydantic.Field([], max_length=100)
    plain: bool = False


@router.post("", status_code=201)
async def ask(request: Request, user: Analyst, body: Asked) -> dict[str, Any]:
    """Have an export made in the background. It is done when its `state` is `done`, and kept for 7 days."""
    old_first = body.sort == "date"
    if body.ids is None:
        asked = search.Request(q=body.q, last=body.last, start=body.start, end=body.end, oldest_first=old_first)
    else:
        asked = exporting.chosen(body.ids, oldest_first=old_first)
    wanted = exports.Wanted(asked, body.format, body.columns, plain=body.plain)
    return shapes.export(await exports.ask(request.app.state.system, wanted, pages.reader(request, user)))


@router.get("")
async def list_all(request: Request, user: Analyst) -> dict[str, Any]:
    """Your own, the newest first; administrators see those of all."""
    found = await exports.listed(request.app.state.system, pages.reader(request, user))
    return {"schema": "conductor.exports/1", "exports": [shapes.export(job) for job in found]}


@router.get("/{export}")
async def get(request: Request, user: Analyst, export: Id) -> dict[str, Any]:
    """One of them, and how far it is."""
    return shapes.export(await exports.find(request.app.state.system, export, pages.reader(request, user)))


@router.get("/{export}/file")
async def file(request: Request, user: Analyst, export: Id) -> Response:
    """The file of one that is done. With `Range` a part of it."""
    return pages.sent(*await exports.take(request.app.state.system, export, pages.reader(request, user)))


@router.get("/{export}/manifest")
async def manifest(request: Request, user: Analyst, export: Id) -> Response:
    """The manifest of one that is done."""
    content = await exports.manifest(request.app.state.system, export, pages.reader(request, user))
    return Response(content, media_type="application/json")


@router.delete("/{export}", status_code=200)
async def drop(request: Request, user: Analyst, export: Id) -> dict[str, Any]:
    """Cancel one; of one that is done the file is deleted."""
    return shapes.export(await exports.drop(request.app.state.system, export, pages.reader(request, user)))
