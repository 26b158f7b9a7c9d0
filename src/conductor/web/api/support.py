"""What `conductor support-bundle` writes into a file."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from conductor.operations import support
from conductor.web import shapes
from conductor.web.api.integrations import Nothing
from conductor.web.auth import Admin

router = APIRouter(prefix="/api/v1", tags=["support"])


@router.post("/support-bundle")
async def bundle(request: Request, user: Admin, body: Nothing) -> dict[str, Any]:
    """The parts of a support bundle: no secret, no password, no event is in them."""
    made = await support.bundle(
        request.app.state.system, shapes.integration, shapes.poll, shapes.exchange, by=user.email
    )
    return {"contents": support.CONTENTS, "parts": made}
