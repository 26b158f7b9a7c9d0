"""The list of integrations, and one integration's page: what is happening, its polls, its gaps, its settings."""

from __future__ import annotations

import asyncio
import math
import shlex
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from conductor.core import clock
from conductor.core.errors import Invalid, SourceError
from conductor.core.poll import Exchange
from conductor.operations import backfills, gaps, history, integrations, statuses
from conductor.operations.statuses import Status
from conductor.operations.system import System
from conductor.web import audit, charts, forms, shell
from conductor.web.auth import Admin, Analyst, Viewer
from conductor.web.forms import Filled
from conductor.web.ids import Before, Id, Nth
from conductor.web.integration_form import LIST, Form, edit_form
from conductor.web.render import local_path, pages, see_other

TABS = ("overview", "polls", "gaps", "backfill", "settings")
POLLS = 50  # rows on a page
TILES = 60  # on a page
POLL_PATIENCE = 20.0  # seconds that "Poll now" waits for the end
ONE = LIST + "/{name}"
LONGEST_POLL = 86_400  # seconds that a filter may ask for
LAST_POLLS = 8  # on the overview
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


class Asked:
    """Which polls the address asks for."""

    def __init__(self, result: str = "", longer: str = "", events: bool = False) -> None:
        self.result = result if result in ("ok", "failed") else ""
        seconds = int(longer) if longer.isascii() and longer.isdecimal() and len(longer) < 9 else 0
        self.longer = min(seconds, LONGEST_POLL)
        self.events = events

    @property
    def any(self) -> bool:
        """Whether it asks for anything but all."""
        return bool(self.result or self.longer or self.events)

    @property
    def wanted(self) -> history.Wanted:
        """For the store."""
        return history.Wanted(self.result, self.events, timedelta(seconds=self.longer))


@router.get(LIST)
async def show_all(
    request: Request, user: Viewer, q: str = "", status: str = "", kind: str = "", page: Nth = 1, done: str = ""
) -> Response:
    """The tiles, a page of them; filtered by name, colour word or connector when asked."""
    found = shell.sources(request)
    asked = {"q": q.strip(), "status": status, "kind": kind}
    chosen = [item for item in found if _matches(item, asked)]
    first = TILES * (min(page, max(1, math.ceil(len(chosen) / TILES))) - 1)
    shown = chosen[first : first + TILES]
    days = await history.days(request.app.state.system, [item.integration.id for item in shown])
    context: dict[str, Any] = {
        "shown": shown,
        "chosen": len(chosen),
        "total": len(found),
        "first": first,
        "size": TILES,
        "asked": asked,
        "counts": Counter(item.health.state.color for item in found),
        "days": {integration_id: charts.strip(day) for integration_id, day in days.items()},
        "done": done,
    }
    return pages(request).answer(request, "integrations.html", connectors=connectors(request), **context)


@router.get(ONE)
async def show(
    request: Request,
    user: Viewer,
    name: str,
    asked: Annotated[Asked, Depends()],
    tab: str = "overview",
    before: Before = None,
) -> Response:
    """One integration."""
    found = await statuses.status(request.app.state.system, name)
    tab = tab if tab in TABS else "overview"
    return await page(request, found, tab=tab, before=before, asked_polls=asked)


@router.get(ONE + "/polls/{poll}")
async def show_poll(request: Request, user: Viewer, name: str, poll: Id) -> Response:
    """One poll, down to its requests."""
    system = request.app.state.system
    found, exchanges = await history.one_poll(system, name, poll, masked=user.sight.masked)
    context: dict[str, Any] = {
        "name": name,
        "poll": found,
        "exchanges": exchanges,
        "micros": clock.from_micros,
        "curl": _curl,
    }
    return pages(request).answer(request, "poll.html", advice=system.catalog.advice, **context)


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
        found = await statuses.status(system, name)
        return await page(request, found, tab="gaps", wrong_gap=gap, wrong=error.fields, status=422)
    return see_other(f"{address(name)}?tab=gaps")


@router.post(ONE + "/remove")
async def remove(request: Request, user: Admin, name: str) -> Response:
    """Delete it, when its name was typed."""
    typed, system = await forms.values(request), request.app.state.system
    if typed.get("confirm", "").strip() != name:
        found = await statuses.status(system, name)
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
        "estimates": {},
        "standings": [],
        "form": form,
        "confirm": Filled(),
        "wrong_gap": None,
        "wrong": {},
        "asked": Filled(),
        "asked_polls": Asked(),
        "estimate": None,
        **context,
    }
    if tab == "polls":
        known["polls"] = await history.recent_polls(system, name, POLLS, before, known["asked_polls"].wanted)
    if tab == "overview":
        known |= await _overview(system, found)
    if tab in ("overview", "gaps"):
        known["gaps"] = await integrations.list_gaps(system, name)
    if tab == "gaps":
        known["estimates"] = await gaps.estimates(system, found.integration.id, known["gaps"])
    if tab in ("gaps", "backfill"):
        known["standings"] = await backfills.list_all(system, name)
    if tab == "settings" and form is None:
        known["form"] = edit_form(found)
    if known["form"] is not None:
        shared = await integrations.same_tenant(system, found.connector.slug, known["form"].values, but=name)
        known["form"] = replace(known["form"], shared=shared)
    advice = system.catalog.advice
    template = "integration.html"
    return pages(request).answer(
        request, template, status=status, it=found, tab=tab, page_size=POLLS, advice=advice, **known
    )


async def _overview(system: System, found: Status) -> dict[str, Any]:
    """What only the overview shows."""
    name, id_ = found.integration.name, found.integration.id
    hours = (await history.days(system, [id_]))[id_]
    return {
        "polls": await history.recent_polls(system, name, LAST_POLLS),
        "day": charts.strip(hours),
        "begins": hours[0].begins,
        "changes": await history.changes(system, name),
        "told_change": audit.spoken,
        "config": system.assembly.public(found.integration),
    }


def _curl(exchange: Exchange) -> str:
    """A command that asks the same again, with a token that whoever runs it must have."""
    return f'curl -i -H "Authorization: Bearer $TOKEN" {shlex.quote(exchange.url)}'


def address(name: str) -> str:
    """Where an integration's page is."""
    return f"{LIST}/{quote(name, safe='')}"


def _matches(item: Status, asked: dict[str, str]) -> bool:
    state = item.health.state
    return (
        asked["q"].lower() in item.integration.name.lower()
        and asked["status"] in ("", state.color, state.value)
        and asked["kind"] in ("", item.connector.slug)
    )


def _back(typed: dict[str, str], name: str) -> Response:
    return see_other(local_path(typed.get("back", "")) or address(name))


def connectors(request: Request) -> list[Any]:
    """Everything that can be added."""
    return list(request.app.state.system.catalog.connectors.values())
