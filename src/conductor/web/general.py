"""The settings of the process, which are set outside of these pages; and what the retention means in bytes."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.operations import figures
from conductor.web import shell, show
from conductor.web.auth import Admin
from conductor.web.render import pages

router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get("/admin/settings/general")
async def general(request: Request, user: Admin) -> Response:
    """The page."""
    system = request.app.state.system
    new = sum(status.events_24h for status in shell.sources(request))
    context = {"settings": system.settings.told, "retention": system.settings.retention_days, "size": show.size}
    return pages(request).answer(
        request, "general.html", room=await figures.room(system, new), new_in_a_day=new, **context
    )
