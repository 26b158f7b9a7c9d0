"""What machines ask: is it alive, is it ready, what are the figures."""

from __future__ import annotations

import prometheus_client
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from conductor.core.errors import ConductorError, NotFound
from conductor.operations import accounts
from conductor.web.auth import Anyone, Viewer

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def alive(user: Anyone) -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def ready(request: Request, user: Anyone) -> Response:
    """The database answers too."""
    try:
        await accounts.needs_setup(request.app.state.system)
    except ConductorError:
        return JSONResponse({"ready": False}, 503)
    return JSONResponse({"ready": True})


@router.get("/metrics")
async def metrics(request: Request, user: Viewer) -> Response:
    """Figures for Prometheus. Raises NotFound when the system keeps none."""
    kept = getattr(request.app.state.system, "metrics", None)
    if kept is None:
        raise NotFound("No metrics are kept.")
    text = prometheus_client.generate_latest(kept.registry)
    return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)
