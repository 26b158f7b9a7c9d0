"""All sources on one screen."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from conductor.operations import gaps, statuses, workers
from conductor.web import shapes
from conductor.web.auth import Viewer

router = APIRouter(prefix="/api/v1", tags=["status"])


@router.get("/status")
async def status(request: Request, user: Viewer) -> dict[str, Any]:
    """Every source with its health, and the gaps of all that are open, or lost and not closed yet."""
    system = request.app.state.system
    found = [item for item in await statuses.overview(system) if user.sight.sees(item.integration.id)]
    return {
        "schema": "conductor.status/1",
        "workers": [shapes.working(item) for item in await workers.living(system)] if user.sight.only is None else [],
        "sources": [shapes.integration(item, user.sight) for item in found],
        "open_gaps": sum(item.open_gaps for item in found),
        "gaps": [shapes.gap_told(item) for item in await gaps.told(system, found)],
    }
