"""Notification channels: list, add, change, test, switch, remove; and the history of what was told."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from fastapi import APIRouter, Query
from starlette.requests import Request

from conductor.operations import channels
from conductor.operations.channels import Wishes
from conductor.web import shapes
from conductor.web.api.integrations import Body, Nothing
from conductor.web.auth import Admin
from conductor.web.ids import Before

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])
_DEFAULT = Wishes()


class NewChannel(Body):
    """A new channel. `config` holds the fields of its kind, the secrets among them; hours and minutes are whole."""

    name: str
    kind: str
    config: dict[str, Any]
    kinds: list[str] = pydantic.Field(default_factory=lambda: list(_DEFAULT.kinds))
    loss_hours: int = _DEFAULT.loss_hours
    silent_hours: int = _DEFAULT.silent_hours
    cooldown: int = _DEFAULT.cooldown
    enabled: bool = True


class EditedChannel(Body):
    """Only what changes. With `revision` the edit is refused when someone else was faster."""

    name: str | None = None
    config: dict[str, Any] = pydantic.Field(default_factory=dict)
    kinds: list[str] | None = None
    loss_hours: int | None = None
    silent_hours: int | None = None
    cooldown: int | None = None
    enabled: bool | None = None
    revision: int | None = None


@router.get("/channels")
async def list_all(request: Request, user: Admin) -> dict[str, Any]:
    """All channels. Secrets are never told."""
    return {"channels": [shapes.channel(found) for found in await channels.everyone(request.app.state.system)]}


@router.post("/channels", status_code=201)
async def add(request: Request, user: Admin, body: NewChannel) -> dict[str, Any]:
    """Save a channel. What needs somebody at present is told there at once."""
    system = request.app.state.system
    wishes = Wishes(tuple(body.kinds), body.loss_hours, body.silent_hours, body.cooldown)
    added = await channels.add(system, body.name, body.kind, body.config, wishes, by=user.email, enabled=body.enabled)
    return shapes.channel(await channels.find(system, added.name))


@router.get("/channels/{name}")
async def show(request: Request, user: Admin, name: str) -> dict[str, Any]:
    """One channel."""
    return shapes.channel(await channels.find(request.app.state.system, name))


@router.patch("/channels/{name}")
async def edit(request: Request, user: Admin, name: str, body: EditedChannel) -> dict[str, Any]:
    """Change some values; the others stay, secrets too."""
    system = request.app.state.system
    old = (await channels.find(system, name)).channel
    wishes = Wishes(
        old.kinds if body.kinds is None else tuple(body.kinds),
        old.loss_hours if body.loss_hours is None else body.loss_hours,
        old.silent_hours if body.silent_hours is None else body.silent_hours,
        old.cooldown if body.cooldown is None else body.cooldown,
    )
    changed = await channels.edit(
        system,
        name,
        body.config,
        wishes,
        by=user.email,
        new_name=body.name,
        enabled=body.enabled,
        revision=body.revision,
    )
    return shapes.channel(await channels.find(system, changed.name))


@router.delete("/channels/{name}")
async def remove(request: Request, user: Admin, name: str) -> dict[str, Any]:
    """Delete a channel and its secrets. The history stays."""
    await channels.remove(request.app.state.system, name, by=user.email)
    return {}


@router.post("/channels/{name}/test")
async def test(request: Request, user: Admin, name: str, body: Nothing) -> dict[str, Any]:
    """Send a test. The answer's `state` is sent or failed, with the code and the reason."""
    return shapes.delivery(await channels.test(request.app.state.system, name, by=user.email))


@router.get("/history")
async def history(
    request: Request,
    user: Admin,
    limit: int = Query(50, ge=1, le=1000),
    before: Before = None,
    state: Literal["", "waiting", "sent", "failed", "skipped"] = "",
) -> dict[str, Any]:
    """What was told, the newest first; `before` is an id, to page on."""
    found = await channels.history(request.app.state.system, limit, before, state)
    return {"deliveries": [shapes.delivery(item) for item in found]}
