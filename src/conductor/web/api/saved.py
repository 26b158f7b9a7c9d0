"""Saved searches."""

from __future__ import annotations

from typing import Any

import pydantic
from fastapi import APIRouter
from starlette.requests import Request

from conductor.operations import saving
from conductor.web import shapes
from conductor.web.api.integrations import Body
from conductor.web.auth import Analyst, Viewer

router = APIRouter(prefix="/api/v1/saved", tags=["saved searches"])


class NewSearch(Body):
    """A search under a name. `state` are the parts of its URL: `q`, `last` or `from` and `to`, `cols`, `sort`, `by`,
    `view`, `compare`."""

    name: str
    state: dict[str, str]
    description: str = ""
    folder: str = ""
    shared: bool = False


class Changes(Body):
    """What to change; what is left out stays. With `revision` it is refused when somebody changed it meanwhile."""

    name: str | None = None
    state: dict[str, str] | None = None
    description: str | None = None
    folder: str | None = None
    shared: bool | None = None
    revision: int | None = pydantic.Field(None, ge=1)


@router.get("")
async def list_all(request: Request, user: Viewer) -> dict[str, Any]:
    """Your own, those that others share, and those that Conductor ships."""
    found = await saving.everything(request.app.state.system, user)
    return {"schema": "conductor.saved/1", "searches": [shapes.saved(item) for item in found]}


@router.get("/{slug}")
async def get(request: Request, user: Viewer, slug: str) -> dict[str, Any]:
    """One of them."""
    return shapes.saved(await saving.find(request.app.state.system, user, slug))


@router.post("", status_code=201)
async def save(request: Request, user: Analyst, body: NewSearch) -> dict[str, Any]:
    """Save a search."""
    more: dict[str, Any] = {"description": body.description, "folder": body.folder, "shared": body.shared}
    return shapes.saved(await saving.save(request.app.state.system, user, body.name, body.state, **more))


@router.patch("/{slug}")
async def change(request: Request, user: Analyst, slug: str, body: Changes) -> dict[str, Any]:
    """Change one that is yours; administrators change shared ones, too."""
    changes = body.model_dump(exclude_none=True)
    return shapes.saved(await saving.change(request.app.state.system, user, slug, **changes))


@router.delete("/{slug}", status_code=200)
async def remove(request: Request, user: Analyst, slug: str) -> dict[str, Any]:
    """Delete one that is yours; administrators delete shared ones, too."""
    await saving.remove(request.app.state.system, user, slug)
    return {}
