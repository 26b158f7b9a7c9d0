"""The audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Query
from starlette.requests import Request

from conductor.operations import auditing
from conductor.web.auth import Admin
from conductor.web.ids import Before

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get("")
async def entries(
    request: Request,
    user: Admin,
    q: str = Query("", max_length=500),
    actor: str = Query("", max_length=500),
    action: str = Query("", max_length=100),
    limit: int = Query(100, ge=1, le=1000),
    before: Before = None,
) -> dict[str, Any]:
    """The newest entries first: those that hold every word of `q`; `before` is an id, to page on."""
    wanted = auditing.Wanted(q, actor, action)
    found = await auditing.entries(request.app.state.system, wanted, limit, before)
    return {"entries": [auditing.told(entry) for entry in found]}


@router.get("/verify")
async def verify(request: Request, user: Admin) -> dict[str, Any]:
    """Whether the chain is intact; `broken` is the first entry that is not as it was written."""
    return asdict(await auditing.verify(request.app.state.system))
