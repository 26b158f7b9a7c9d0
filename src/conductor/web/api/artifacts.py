"""Searching the stored events."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conductor.core.errors import Forbidden, Invalid
from conductor.operations import auditing, counting, exporting, proof, search
from conductor.web import auth, files, shapes, show
from conductor.web.api.integrations import Nothing
from conductor.web.auth import Analyst, Viewer

router = APIRouter(prefix="/api/v1/artifacts", tags=["artifacts"])


def asked(
    q: str = "*",
    last: str | None = None,
    start: str | None = Query(None, alias="from"),
    end: str | None = Query(None, alias="to"),
    limit: int = Query(search.LIMIT, ge=1, le=1000),
    after: str | None = None,
    sort: Literal["-date", "date"] = "-date",
) -> search.Request:
    """A search as it stands in a URL; all of time when no range is given."""
    return search.Request(q=q, last=last, start=start, end=end, limit=limit, after=after, oldest_first=sort == "date")


Asked = Annotated[search.Request, Depends(asked)]


@router.get("/search")
async def find(request: Request, user: Viewer, asked: Asked) -> Response:
    """The newest matches, or with `sort=date` the oldest; `next` is the `after` of the next page."""
    state = request.app.state
    async with state.turns.take(user.email):
        found = await search.search(state.system, asked, user.sight)
    await auditing.searched(state.system, user, asked, auth.client_address(request))
    return _json(shapes.result(found))


@router.get("/count")
async def count(request: Request, user: Viewer, asked: Asked) -> Response:
    """How many match, exactly."""
    state = request.app.state
    async with state.turns.take(user.email):
        number = await search.count(state.system, asked, user.sight)
    await auditing.searched(state.system, user, asked, auth.client_address(request), counted=True)
    return _json({"count": number})


@router.get("/histogram")
async def histogram(
    request: Request,
    user: Viewer,
    asked: Asked,
    by: str = "",
    bars: int = Query(counting.BARS, ge=2, le=500),
    compare: bool = False,
) -> Response:
    """How many match over time, in all or by the values of a field; with `compare` in the range before, too."""
    state, zone = request.app.state, show.zone(user.time_zone)
    async with state.turns.take(user.email):
        found = await counting.histogram(state.system, asked, user.sight, by=by, zone=zone, compare=compare, most=bars)
    await auditing.searched(state.system, user, asked, auth.client_address(request), counted=True)
    return _json(shapes.histogram(found))


@router.get("/facets")
async def facets(
    request: Request,
    user: Viewer,
    asked: Asked,
    field: list[str] = Query(max_length=10),  # noqa: B008 - how FastAPI is told
    values: int = Query(counting.VALUES, ge=1, le=1000),
    lines: bool = False,
    compare: bool = False,
) -> Response:
    """The most frequent values of fields, counted exactly; with `lines` over time, with `compare` in the range
    before, too."""
    state, zone = request.app.state, show.zone(user.time_zone) if lines else None
    async with state.turns.take(user.email):
        found = await counting.facets(state.system, asked, field, user.sight, limit=values, compare=compare, zone=zone)
    await auditing.searched(state.system, user, asked, auth.client_address(request), counted=True)
    return _json({"schema": "conductor.facets/1", "facets": [shapes.facet(item) for item in found]})


@router.get("/export")
async def export(
    request: Request,
    user: Analyst,
    asked: Asked,
    format: str = "ndjson",
    columns: str = "",
    plain: bool = False,
    part: bool = False,
    ids: list[str] | None = Query(None),  # noqa: B008 - how FastAPI is told
) -> Response:
    """Everything that matches as CSV, JSON, NDJSON or Parquet. `columns` are names separated by commas, all when none
    are given. With `ids`, 1,000 at the most and separated by commas, these events instead of a query and a range.

    A cell of a CSV that a spreadsheet would take for a formula gets an apostrophe before it, unless `plain`. With
    `part` only `limit` rows after the place `after`; the headers `Conductor-Count` and `Conductor-Next`
    tell how many they are and the next place. Parquet has no parts: it is sent when it is made, with its
    `Conductor-Count`.
    """
    state = request.app.state
    if ids is not None:
        only = exporting.chosen(ids, oldest_first=asked.oldest_first)
        asked = replace(only, after=asked.after, limit=asked.limit)
    wanted = [name.strip() for name in columns.split(",") if name.strip()]
    made = exporting.prepare(state.system, asked, format, wanted, by=user.email, sight=user.sight, plain=plain)
    address = auth.client_address(request)
    if part and format == exporting.PARQUET:
        raise Invalid({"part": "A Parquet file has no parts. Ask for it whole, or let it be made in the background."})
    if part:
        async with state.turns.take(user.email):
            content, after = await made.part(asked.after, asked.limit)
        if asked.after is None:
            await auditing.took_away(state.system, user, asked, format, address)
        headers = {"Conductor-Count": str(made.count)} | ({"Conductor-Next": after} if after else {})
        return Response(content, media_type=exporting.MEDIA[format], headers=headers)
    await auditing.took_away(state.system, user, asked, format, address)
    pieces = await files.started(files.held(state.turns, user, made.pages()))
    headers = files.named(f"events.{format}")
    if format == exporting.PARQUET:
        headers["Conductor-Count"] = str(made.count)
    return StreamingResponse(pieces, media_type=exporting.MEDIA[format], headers=headers)


@router.get("/{id}")
async def get(request: Request, user: Viewer, id: str) -> Response:
    """One event."""
    return _json(shapes.artifact(await search.get(request.app.state.system, id, user.sight)))


@router.post("/{id}/unmask")
async def unmask(request: Request, user: Analyst, id: str, body: Nothing) -> Response:
    """One event with its personal data, where that is hidden from you. The audit log tells who asked."""
    row = await search.unmask(request.app.state.system, id, by=user.email, address=auth.client_address(request))
    return _json(shapes.artifact(row))


@router.get("/{id}/evidence")
async def evidence(request: Request, user: Viewer, id: str) -> Response:
    """One event's exact bytes, and what proves them: its batch as stored, the link before it and its own (base64).

    A batch has other events too, so it is refused to those from whom personal data is hidden.
    """
    if user.sight.masked:
        raise Forbidden("Personal data is hidden from your role, and evidence cannot be without it.")
    return _json(await proof.of_event(request.app.state.system, id, user.sight))


def _json(content: Any) -> Response:
    """Not by the framework: the vendor's objects go through as they came."""
    return Response(msgspec.json.encode(content), media_type="application/json")
