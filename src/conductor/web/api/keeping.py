"""Keeping what is stored safe: backups, the master key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request

from conductor.operations import backups, keys
from conductor.web.api.integrations import Body, Nothing
from conductor.web.auth import Local

router = APIRouter(prefix="/api/v1", tags=["keeping"])


class Backup(Body):
    """Where a backup goes."""

    file: str = Field(max_length=4096)


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
