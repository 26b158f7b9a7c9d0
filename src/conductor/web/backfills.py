"""The backfill tab of an integration: estimate, start, follow, pause, resume, stop; and recovering a gap."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Conflict, Invalid, NotFound
from conductor.operations import backfills, gaps, statuses
from conductor.store.backfills import DEEDS
from conductor.web import forms, shell
from conductor.web.auth import Analyst
from conductor.web.forms import Filled
from conductor.web.ids import Id
from conductor.web.integrations import ONE, address, page
from conductor.web.render import see_other

router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.post(ONE + "/backfills")
async def start(request: Request, user: Analyst, name: str) -> Response:
    """Start one, or say first what it would cost."""
    typed, system = await forms.values(request), request.app.state.system
    begins, ends = typed.get("from", "").strip(), typed.get("to", "").strip() or None
    found = await statuses.status(system, name)
    try:
        if typed.get("do") == "estimate":
            known = await backfills.estimate(system, name, begins, ends)
            return await page(request, found, tab="backfill", asked=Filled(typed), estimate=known)
        await backfills.start(system, name, begins, ends, by=user.email)
    except Invalid as error:
        return await page(request, found, tab="backfill", asked=Filled(typed, error.fields), status=422)
    return see_other(f"{address(name)}?tab=backfill")


@router.post(ONE + "/backfills/{backfill}")
async def steer(request: Request, user: Analyst, name: str, backfill: Id) -> Response:
    """Pause, resume or stop one; where somebody was faster, the page shows how it stands."""
    deed = (await forms.values(request)).get("do", "")
    if deed not in DEEDS:
        raise NotFound("There is nothing of that name to do.")
    with contextlib.suppress(Conflict):
        await backfills.steer(request.app.state.system, name, backfill, deed, by=user.email)
    return see_other(f"{address(name)}?tab=backfill")


@router.post(ONE + "/gaps/{gap}/recover")
async def recover(request: Request, user: Analyst, name: str, gap: Id) -> Response:
    """Let the span of a gap be read again; where that is being done already, the page shows it."""
    with contextlib.suppress(Conflict):
        await gaps.recover(request.app.state.system, name, gap, by=user.email)
    return see_other(f"{address(name)}?tab=gaps")
