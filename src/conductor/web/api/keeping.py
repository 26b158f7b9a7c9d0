"""The installation: its settings, backups, the master key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request

from conductor.operations import backups, general, keys
from conductor.web import auth
from conductor.web.api.integrations import Body, Nothing
from conductor.web.auth import Admin, Local

router = APIRouter(prefix="/api/v1", tags=["keeping"])


class Backup(Body):
    """Where a backup goes."""

    file: str = Field(max_length=4096)


class Changed(Body):
    """Only what changes."""

    session_hours: int | None = None
    time_zone: str | None = None
    mask: str | None = None


@router.get("/settings")
async def settings(request: Request, user: Admin) -> dict[str, Any]:
    """Every setting, and where it comes from: default, environment, option or here. No password is in them."""
    return {"settings": [asdict(item) for item in await general.told(request.app.state.system)]}


@router.patch("/settings")
async def change(request: Request, user: Admin, body: Changed) -> dict[str, Any]:
    """Set what may be set here; it holds at once. What is set outside wins."""
    system = request.app.state.system
    values = body.model_dump(exclude_none=True)
    await general.change(system, values, by=user.email, address=auth.client_address(request))
    return await settings(request, user)


@router.post("/backups")
async def backup(request: Request, user: Local, body: Backup) -> dict[str, Any]:
    """Write down in the audit log that a backup is made. `conductor db backup` makes it."""
    await backups.note(request.app.state.system, body.file, by=user.email)
    return {}


@router.post("/key/rotate")
async def rotate(request: Request, user: Local, body: Nothing) -> dict[str, Any]:
    """Change the master key. The old one is kept in a file beside it."""
    system = request.app.state.system
    old = await keys.rotate(system, by=user.email)
    return {"key": system.vault.key_id, "old": str(old)}
