"""The list of integrations, and one integration's page: what is happening, its polls, its gaps, its settings."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Invalid, SourceError
from conductor.operations import backfills, integrations
from conductor.operations.integrations import Status
from conductor.web import forms, shell
from conductor.web.auth import Admin, Analyst, Viewer
from conductor.web.forms import Filled
from conductor.web.ids import Before, Id
from conductor.web.integration_form import LIST, Form, edit_form
from conductor.web.render import local_path, pages, see_other

TABS = ("overview", "polls", "gaps", "backfill", "settings")
POLLS = 50  # rows on a page
POLL_PATIENCE = 20.0  # seconds that "Poll now" waits for the end
ONE = LIST + "/{name}"
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get(LIST)
async def show_all(request: Request, user: Viewer, status: str = "", kind: str = "", done: str = "") -> Response:
    """The tiles; filtered by colour word or connector when asked."""
    found = shell.statuses(request)
    chosen = [
        item
        for item in found
        if status in ("", item.health.state.color, item.health.state.value) and kind in ("", item.connector.slug)
    ]
    context: dict[str, Any] = {"statuses": chosen, "all": found, "state": status, "kind": kind, "done": done}
    return pages(request).answer(request, "integrations.html", connectors=_connectors(request), **context)


@router.get(ONE)
async def show(request: Request, user: Viewer, name: str, tab: str = "overview", before: Before = None) -> Response:
    """One integration."""
    found = await integrations.status(request.app.state.system, name)
    return await page(request, found, tab=tab if tab in TABS else "overview", before=before)


@router.post(ONE + "/enabled")
async def enable(request: Request, user: Admin, name: str) -> Response:
    """Switch on or off."""
    typed = await forms.values(request)
    await integrations.set_enabled(request.app.state.system, name, typed.get("to") == "on", by=user.email)
    return _back(typed, name)


@router.post(ONE + "/poll")
async def poll_now(request: Request, user: Analyst, name: str) -> Response:
    """Poll at once. How it ended is on the page that comes next, a failure too."""
    typed = await forms.values(request)
    try:
        async with asyncio.timeout(POLL_PATIENCE):
            await integrations.poll_now(request.app.state.system, name)
    except (TimeoutError, SourceError):
        pass  # the tile tells
    return _back(typed, name)


@router.post(ONE + "/gaps/{gap}")
async def close_gap(request: Request, user: Analyst, name: str, gap: Id) -> Response:
    """Close a gap with a note."""
    typed, system = await forms.values(request), request.app.state.system
    try:
        await integrations.close_gap(system, name, gap, note=typed.get("note", ""), by=user.email)
    except Invalid as error:
        found = await integrations.status(system, name)
        return await page(request, found, tab="gaps", wrong_gap=gap, wrong=error.fields, status=422)
    return see_other(f"{address(name)}?tab=gaps")


@router.post(ONE + "/remove")
async def remove(request: Request, user: Admin, name: str) -> Response:
    """Delete it, when its name was typed."""
    typed, system = await forms.values(request), request.app.state.system
    if typed.get("confirm", "").strip() != name:
        found = await integrations.status(system, name)
        wrong = Filled({}, {"confirm": f"Type {name} to delete it."})
        return await page(request, found, tab="settings", confirm=wrong, status=422)
    await integrations.remove(system, name, by=user.email)
    return see_other(f"{LIST}?done=removed")


async def page(
    request: Request,
    found: Status,
    *,
    tab: str,
    before: int | None = None,
    form: Form | None = None,
    status: int = 200,
    **context: Any,
) -> Response:
    """One integration's page with what its tab needs."""
    system, name = request.app.state.system, found.integration.name
    known: dict[str, Any] = {
        "polls": [],
        "gaps": [],
        "standings": [],
        "form": form,
        "confirm": Filled(),
        "wrong_gap": None,
        "wrong": {},
        "asked": Filled(),
        "estimate": None,
    }
    if tab in ("overview", "polls"):
        known["polls"] = await integrations.recent_polls(system, name, 8 if tab == "overview" else POLLS, before)
    if tab in ("overview", "gaps"):
        known["gaps"] = await integrations.list_gaps(system, name)
    if tab in ("gaps", "backfill"):
        known["standings"] = await backfills.list_all(system, name)
    if tab == "settings" and form is None:
        known["form"] = edit_form(found)
    known |= context
    advice = system.catalog.advice
    template = "integration.html"
    return pages(request).answer(
        request, template, status=status, it=found, tab=tab, page_size=POLLS, advice=advice, **known
    )


def address(name: str) -> str:
    """Where an integration's page is."""
    return f"{LIST}/{quote(name, safe='')}"


def _back(typed: dict[str, str], name: str) -> Response:
    return see_other(local_path(typed.get("back", "")) or address(name))


def _connectors(request: Request) -> list[Any]:
    return list(request.app.state.system.catalog.connectors.values())
