"""Integrations: list, add, edit, test, switch, poll, gaps, remove."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Literal

import msgspec
import pydantic
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conductor.core.connector import CheckStep
from conductor.core.errors import Forbidden
from conductor.operations import gaps as missing
from conductor.operations import history, integrations, previews, statuses
from conductor.web import shapes
from conductor.web.auth import Admin, Analyst, Viewer
from conductor.web.ids import Before, Id

LINES = "application/x-ndjson"
router = APIRouter(prefix="/api/v1/integrations", tags=["integrations"])


class Body(pydantic.BaseModel):
    """What a request may hold: the fields below and no others. Errors never repeat a value."""

    model_config = pydantic.ConfigDict(extra="forbid", hide_input_in_errors=True)


class Nothing(Body):
    """An empty object."""


class Added(Body):
    """A new integration. `config` holds the connector's fields, the secrets among them."""

    name: str
    connector: str
    config: dict[str, Any]
    enabled: bool = True
    test: bool = True


class Edited(Body):
    """Only what changes. With `revision` the edit is refused when someone else was faster."""

    name: str | None = None
    config: dict[str, Any] = pydantic.Field(default_factory=dict)
    enabled: bool | None = None
    revision: int | None = None
    test: bool = True


class Tested(Body):
    """A saved integration by `name` with some fields changed, or a `connector` with a whole config."""

    name: str | None = None
    connector: str | None = None
    config: dict[str, Any] = pydantic.Field(default_factory=dict)


class Closed(Body):
    """Why a gap is closed."""

    note: str


@router.get("")
async def list_all(request: Request, user: Viewer) -> dict[str, Any]:
    """All integrations with their health."""
    found = await statuses.overview(request.app.state.system)
    seen = [item for item in found if user.sight.sees(item.integration.id)]
    return {"integrations": [shapes.integration(item, user.sight) for item in seen]}


@router.post("", status_code=201)
async def add(request: Request, user: Admin, body: Added) -> dict[str, Any]:
    """Test, then save. A failed test saves nothing and answers with its steps."""
    system = request.app.state.system
    steps: list[CheckStep] = []
    added = await integrations.add(
        system,
        body.name,
        body.connector,
        body.config,
        enabled=body.enabled,
        by=user.email,
        test=body.test,
        told=steps.append,
    )
    advice = system.catalog.advice
    tested = {"steps": [shapes.step(step, advice) for step in steps]}
    return shapes.integration(await statuses.status(system, added.name), user.sight) | tested


@router.post("/test", response_model=None)
async def test(request: Request, user: Admin, body: Tested) -> dict[str, Any] | Response:
    """The connection test. Nothing is changed. With `Accept: application/x-ndjson` each step comes as a line as soon as
    it ends."""
    system = request.app.state.system
    slug = body.connector or ""
    if body.name is not None:
        slug = (await integrations.find(system, body.name)).connector
    steps = integrations.check(system, slug, body.config, by=user.email, name=body.name)
    told = (shapes.step(step, system.catalog.advice) async for step in steps)
    if request.headers.get("accept") == LINES:
        return await _line_by_line(told)
    whole = [step async for step in told]
    return {"ok": all(step["state"] != "failed" for step in whole), "steps": whole}


async def _line_by_line(steps: AsyncGenerator[dict[str, Any], None]) -> Response:
    """What refuses the whole does so before the first line. Raises as `integrations.check`."""
    first = await anext(steps)

    async def lines() -> AsyncIterator[bytes]:
        yield msgspec.json.encode(first) + b"\n"
        async with aclosing(steps):
            async for step in steps:
                yield msgspec.json.encode(step) + b"\n"

    return StreamingResponse(lines(), media_type=LINES)


@router.post("/preview")
async def preview(request: Request, user: Admin, body: Tested) -> Response:
    """The newest ten records beside their fields. Nothing is stored; `requests` were made."""
    system = request.app.state.system
    seen = await previews.preview(
        system, body.connector or "", body.config, by=user.email, name=body.name, masked=user.sight.masked
    )
    return Response(shapes.preview(seen), media_type="application/json")


@router.get("/{name}")
async def show(request: Request, user: Viewer, name: str) -> dict[str, Any]:
    """One integration."""
    return shapes.integration(await statuses.status(request.app.state.system, name), user.sight)


@router.patch("/{name}")
async def edit(request: Request, user: Admin, name: str, body: Edited) -> dict[str, Any]:
    """Change some fields; the others stay. Tested when address or credentials change."""
    system = request.app.state.system
    if body.name not in (None, name) and user.sight.only is not None:
        raise Forbidden("This API token is limited to some integrations. Rename with one that is not.")
    changed = await integrations.edit(
        system,
        name,
        body.config,
        by=user.email,
        new_name=body.name,
        enabled=body.enabled,
        revision=body.revision,
        test=body.test,
    )
    return shapes.integration(await statuses.status(system, changed.name), user.sight)


@router.delete("/{name}")
async def remove(request: Request, user: Admin, name: str) -> dict[str, Any]:
    """Delete the settings and the secret. Stored events stay."""
    await integrations.remove(request.app.state.system, name, by=user.email)
    return {}


@router.post("/{name}/enable")
async def enable(request: Request, user: Admin, name: str, body: Nothing) -> dict[str, Any]:
    """Switch on."""
    system = request.app.state.system
    await integrations.set_enabled(system, name, True, by=user.email)
    return shapes.integration(await statuses.status(system, name), user.sight)


@router.post("/{name}/disable")
async def disable(request: Request, user: Admin, name: str, body: Nothing) -> dict[str, Any]:
    """Switch off. The position is kept."""
    system = request.app.state.system
    await integrations.set_enabled(system, name, False, by=user.email)
    return shapes.integration(await statuses.status(system, name), user.sight)


@router.post("/{name}/poll")
async def poll(request: Request, user: Analyst, name: str, body: Nothing) -> dict[str, Any]:
    """Poll now and wait for the end; a poll that failed says so in `result`."""
    return shapes.poll(await integrations.poll_now(request.app.state.system, name))


@router.get("/{name}/polls")
async def polls(
    request: Request,
    user: Viewer,
    name: str,
    limit: int = Query(50, ge=1, le=1000),
    before: Before = None,
    result: Literal["", "ok", "failed"] = "",
    events: bool = False,
    longer: int = Query(0, ge=0, le=86_400),
) -> dict[str, Any]:
    """The newest polls first; `before` is an id, to page on. Only those with this `result`, with new `events`, or that
    took `longer` seconds or more."""
    wanted = history.Wanted(result, events, timedelta(seconds=longer))
    found = await history.recent_polls(request.app.state.system, name, limit, before, wanted)
    return {"polls": [shapes.poll(item) for item in found]}


@router.get("/{name}/polls/{poll}")
async def one_poll(request: Request, user: Viewer, name: str, poll: Id) -> dict[str, Any]:
    """One poll with its requests, which are kept for a week; secrets are removed from them."""
    found, exchanges = await history.one_poll(request.app.state.system, name, poll, masked=user.sight.masked)
    return shapes.poll(found) | {"exchanges": [shapes.exchange(item) for item in exchanges]}


@router.get("/{name}/gaps")
async def gaps(request: Request, user: Viewer, name: str) -> dict[str, Any]:
    """The gaps, the newest first; `estimate` is about how many events are in one, from the time around it."""
    system = request.app.state.system
    owner, found = await integrations.find(system, name), await integrations.list_gaps(system, name)
    about = await missing.estimates(system, owner.id, found)
    return {"gaps": [shapes.gap(item) | {"estimate": about.get(item.id)} for item in found]}


@router.post("/{name}/gaps/{gap}/close")
async def close_gap(request: Request, user: Analyst, name: str, gap: Id, body: Closed) -> dict[str, Any]:
    """Close a gap with a note."""
    system = request.app.state.system
    return shapes.gap(await integrations.close_gap(system, name, gap, note=body.note, by=user.email))
