"""What every page of someone signed in has beside its own content: the health of the whole in one word."""

from __future__ import annotations

from fastapi import Depends
from starlette.requests import Request

from conductor.core.health import Health, State
from conductor.operations import statuses
from conductor.operations.statuses import Status
from conductor.web.auth import current_user

ORDER = list(State)


async def look(request: Request) -> None:
    """Note all integrations' health for the header; pages that list them use the same answer."""
    if request.method == "GET" and await current_user(request) is not None:
        request.state.statuses = await statuses.overview(request.app.state.system)
        request.state.health = worst(request.state.statuses)


Shell = Depends(look)


def sources(request: Request) -> list[Status]:
    """All integrations, as the header saw them."""
    found: list[Status] = request.state.statuses
    return found


def worst(found: list[Status]) -> Health | None:
    """The health of the integration that is worst off; None when there are none."""
    healths = [status.health for status in found if status.integration.enabled]
    return max(healths, key=lambda health: ORDER.index(health.state), default=None)
