"""The dashboard: how much came in, how all sources are, and what needs a person."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.health import State
from conductor.operations import workers
from conductor.operations.integrations import Status
from conductor.web import shell
from conductor.web.auth import Viewer
from conductor.web.render import pages

COLORS = (("green", "●", "healthy"), ("amber", "▲", "attention"), ("red", "■", "failed"), ("grey", "○", "off"))
CALM = (State.HEALTHY, State.CATCHING_UP, State.OFF, State.WAITING)
FAR_AWAY = timedelta(days=36_525)
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get("/")
async def show(request: Request, user: Viewer) -> Response:
    """The page."""
    found = shell.statuses(request)
    by_color = Counter(status.health.state.color for status in found)
    context: dict[str, Any] = {
        "statuses": found,
        "events": sum(status.events_24h for status in found),
        "workers": await workers.living(request.app.state.system),
        "counts": [(color, shape, word, by_color[color]) for color, shape, word in COLORS],
        "needing": sorted((status for status in found if status.health.state not in CALM), key=_urgency),
        "nearest": min((status for status in found if status.loss_at), key=_loss, default=None),
        "furthest": min((status for status in found if status.covered_until), key=_covered, default=None),
        "connectors": list(request.app.state.system.catalog.connectors.values()),
    }
    return pages(request).answer(request, "dashboard.html", **context)


def _urgency(status: Status) -> tuple[int, float]:
    """Worst first; among equals the one that loses events first."""
    return -shell.ORDER.index(status.health.state), _loss(status)


def _loss(status: Status) -> float:
    return status.loss_at.timestamp() if status.loss_at else FAR_AWAY.total_seconds()


def _covered(status: Status) -> float:
    return status.covered_until.timestamp() if status.covered_until else 0.0
