"""The settings: a few are set here, the others outside of these pages; and what the retention means in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Conflict, Invalid
from conductor.operations import accounts, figures
from conductor.operations import general as operation
from conductor.operations.statuses import overview
from conductor.web import auth, forms, shell, show
from conductor.web.auth import Admin
from conductor.web.forms import Filled
from conductor.web.render import pages, see_other

GENERAL = "/admin/settings/general"
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get(GENERAL)
async def general(request: Request, user: Admin, done: str = "") -> Response:
    """The page."""
    return await _page(request, done=done)


@router.post(GENERAL)
async def change(request: Request, user: Admin) -> Response:
    """Set what may be set here."""
    typed = await forms.values(request)
    values: dict[str, Any] = {  # what was shown and not touched may be another by now
        name: typed[name] for name in operation.NAMES if name in typed and typed[name] != typed.get(f"shown-{name}")
    }
    hours = values.get("session_hours", "")
    if hours.isdecimal() and len(hours) < 6:
        values["session_hours"] = int(hours)
    try:
        await operation.change(request.app.state.system, values, by=user.email, address=auth.client_address(request))
    except Invalid as error:
        return await _page(request, status=422, typed=typed, errors=error.fields)
    except Conflict as error:
        return await _page(request, status=409, refused=str(error))
    return see_other(f"{GENERAL}?done=saved")


async def _page(
    request: Request,
    *,
    status: int = 200,
    typed: dict[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    done: str = "",
    refused: str = "",
) -> Response:
    system = request.app.state.system
    statuses = shell.sources(request) if request.method == "GET" else await overview(system)
    new = sum(status.events_24h for status in statuses)
    holds = await operation.standing(system)
    values = {name: str(getattr(holds.general, name)) for name in operation.NAMES}
    context = {
        "settings": await operation.told(system),
        "retention": system.settings.retention_days,
        "size": show.size,
        "room": await figures.room(system, new),
        "new_in_a_day": new,
        "form": Filled(values | (typed or {}), errors or {}),
        "shown": {name: (typed or {}).get(f"shown-{name}", values[name]) for name in operation.NAMES},
        "outside": {name: operation.variable(name) for name in operation.NAMES if holds.sources[name] == "outside"},
        "databases": await asyncio.to_thread(system.indexer.geography.told),
        "masks": operation.MASKS,
        "zones": accounts.time_zones(),
        "done": done == "saved",
        "refused": refused,
    }
    return pages(request).answer(request, "general.html", status=status, **context)
