"""Keeping what is stored safe: the master key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from conductor.operations import keys
from conductor.web.api.integrations import Nothing
from conductor.web.auth import Local

router = APIRouter(prefix="/api/v1", tags=["keeping"])


@router.post("/key/rotate")
async def rotate(request: Request, user: Local, body: Nothing) -> dict[str, Any]:
    """Change the master key. The old one is kept in a file beside it."""
    system = request.app.state.system
    old = await keys.rotate(system, by=user.email)
    return {"key": system.vault.key_id, "old": str(old)}
