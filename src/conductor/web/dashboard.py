"""The dashboard: how much came in, how all sources are, what needs a person; the stages, the parts and the machine."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core import clock
from conductor.operations import figures, history, workers
from conductor.operations.statuses import Status
from conductor.operations.system import System
from conductor.store.hours import LENGTH
from conductor.web import charts, shell, show
from conductor.web.auth import Viewer
from conductor.web.integrations import connectors
from conductor.web.render import pages

COLORS = (("green", "●", "healthy"), ("amber", "▲", "attention"), ("red", "■", "failed"), ("grey", "○", "off"))
FAR_AWAY = timedelta(days=36_525)
TABS = {"overview": "Overview", "pipeline": "Pipeline", "services": "Services", "system": "System"}
BY_THEMSELVES = 5  # sources in the chart; the others are one
NEEDING, LISTED = 10, 20  # lines that need attention, sources below
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get("/")
async def page(request: Request, user: Viewer, tab: str = "overview") -> Response:
    """The page."""
    found, system = shell.sources(request), request.app.state.system
    tab = tab if tab in TABS else "overview"
    context: dict[str, Any] = {"tab": tab, "tabs": TABS, "statuses": found, "connectors": connectors(request)}
    if found:
        context |= await _OF_TAB[tab](system, found)
    return pages(request).answer(request, "dashboard.html", **context)


async def _overview(system: System, found: list[Status]) -> dict[str, Any]:
    by_color = Counter(status.health.state.color for status in found)
    largest = [status for status in sorted(found, key=_events, reverse=True) if status.events_24h][:BY_THEMSELVES]
    flow = await figures.flow(system, [status.integration.id for status in largest])
    alone = [flow.by_source[status.integration.id] for status in largest]
    listed = sorted(found, key=lambda status: (_urgency(status), status.integration.name))[:LISTED]
    days = await history.days(system, [status.integration.id for status in listed])
    needing = [status for status in sorted(found, key=_urgency) if not status.health.state.calm]
    names = [status.integration.name for status in largest]
    return {
        "flow": flow,
        "bars": charts.bars([*alone, charts.rest(flow.hours, alone)], flow.gaps),
        "legend": names if sum(map(_events, largest)) >= flow.new else [*names, "others"],
        "counts": [(color, shape, word, by_color[color]) for color, shape, word in COLORS],
        "needing": needing[:NEEDING],
        "more_needing": len(needing) - NEEDING,
        "listed": listed,
        "days": {id_: charts.strip(day) for id_, day in days.items()},
        "nearest": min((status for status in found if status.loss_at), key=_loss, default=None),
        "furthest": min((status for status in found if status.covered_until), key=_covered, default=None),
        "stages": await figures.pipeline(system),
        "iso": clock.to_text,
        "hour": LENGTH,
    }


async def _pipeline(system: System, found: list[Status]) -> dict[str, Any]:
    stages = [*await figures.pipeline(system), await figures.searchable(system)]
    return {"stages": stages, "duplicates": figures.duplicates(system)}


async def _services(system: System, found: list[Status]) -> dict[str, Any]:
    return {
        "services": await figures.services(system),
        "lines": figures.last_lines(),
        "started": clock.now() - figures.uptime(),
        "workers": await workers.living(system),
    }


async def _system(system: System, found: list[Status]) -> dict[str, Any]:
    room = await figures.room(system, sum(map(_events, found)))
    return {"room": room, "retention": system.settings.retention_days, "size": show.size}


_OF_TAB = {"overview": _overview, "pipeline": _pipeline, "services": _services, "system": _system}


def _events(status: Status) -> int:
    return status.events_24h


def _urgency(status: Status) -> tuple[int, float]:
    """Worst first; among equals the one that loses events first."""
    return -shell.ORDER.index(status.health.state), _loss(status)


def _loss(status: Status) -> float:
    return status.loss_at.timestamp() if status.loss_at else FAR_AWAY.total_seconds()


def _covered(status: Status) -> float:
    return status.covered_until.timestamp() if status.covered_until else 0.0
