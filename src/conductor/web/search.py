"""Signals → Search: a query, a time range, the newest events, one of them open beside. All of it is in the URL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.analytics.syntax import QueryError
from conductor.core.errors import Invalid, NotFound
from conductor.operations import auditing, search
from conductor.operations.accounts import User
from conductor.operations.search import GapInRange, Result
from conductor.web import auth, event, ranges, shell, show
from conductor.web.auth import Viewer
from conductor.web.ranges import Range
from conductor.web.render import pages, see_other

SEARCH = "/signals/search"
WIDER = {"15m": "1h", "1h": "24h", "4h": "24h", "24h": "7d", "7d": "30d"}
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class View:
    """What the URL asks for."""

    q: str
    range: Range
    after: str
    open: str

    def url(self, **changes: Any) -> str:
        """This view with some parts changed, in fixed order, defaults left out."""
        span = changes.pop("range", self.range)
        values = {"q": self.q, "after": "", "open": self.open} | changes
        parts = {"q": values["q"], **span.query, "after": values["after"], "open": values["open"]}
        asked = show.query(parts)
        return f"{SEARCH}?{asked}" if asked else SEARCH

    def last(self, preset: str) -> str:
        """The same search over another span."""
        return self.url(range=Range(preset, "", ""), open="")

    @property
    def request(self) -> search.Request:
        """The operation's words for it."""
        span = self.range
        return search.Request(
            q=self.q or "*",
            last=span.last or None,
            start=span.start or None,
            end=span.end or None,
            after=self.after or None,
        )


@router.get(SEARCH)
async def results(request: Request, user: Viewer) -> Response:
    """The page. A URL in other words than our own is sent on to ours."""
    asked, zone = request.query_params, show.zone(user.time_zone)
    span, words = ranges.read(asked, zone), asked.get("range", "").strip()
    view = View(asked.get("q", "").strip(), span, asked.get("after", ""), asked.get("open", ""))
    if words and span.choice == ranges.CUSTOM:
        try:
            return see_other(view.url(range=ranges.understood(words, zone), after=""))
        except Invalid as error:
            return await _answer(request, user, replace(view, range=replace(span, typed=words)), error.fields)
    if span.start != asked.get("from", "").strip() or span.end != asked.get("to", "").strip():
        return see_other(view.url(after=view.after))
    return await _answer(request, user, view)


@router.get("/signals/range")
async def preview(user: Viewer, words: str = "") -> dict[str, str]:
    """What a time range that is being typed means."""
    try:
        return {"note": ranges.preview(words, show.zone(user.time_zone)) if words.strip() else ""}
    except Invalid as error:
        return {"note": error.fields["range"].replace("`", "")}


async def _answer(request: Request, user: User, view: View, wrong: Mapping[str, str] | None = None) -> Response:
    system, zone = request.app.state.system, show.zone(user.time_zone)
    context: dict[str, Any] = {"view": view, "zone": zone, "result": None, "count": None, "error": None}
    context["fields"] = wrong or {}
    context |= {
        "entries": [],
        "opened": await _opened(request, user, view),
        "empty": None,
        "wider": WIDER.get(view.range.last),
    }
    if wrong:
        return pages(request).answer(request, "search.html", status=422, **context)
    status = 200
    try:
        async with request.app.state.turns.take(user.email):
            asked = view.request
            finding = search.search(system, asked, user.sight, raw=False)
            result, count = await asyncio.gather(finding, search.count(system, asked, user.sight))
        await auditing.searched(system, user, asked, auth.client_address(request))
        context |= {"result": result, "count": count, "entries": entries(result)}
        context["empty"] = None if result.rows else await _why_empty(request, result)
    except QueryError as error:
        context["error"], status = error, 422
    except Invalid as error:
        context["fields"], status = error.fields, 422
    return pages(request).answer(request, "search.html", status=status, **context)


async def _opened(request: Request, user: User, view: View) -> event.Opened | None:
    if not view.open:
        return None
    try:
        return event.opened(await search.get(request.app.state.system, view.open, user.sight))
    except NotFound as error:
        return event.missing(view.open, str(error))


async def _why_empty(request: Request, result: Result) -> Mapping[str, Any]:
    oldest = await search.oldest(request.app.state.system)
    end = result.span.end
    before = oldest is not None and end is not None and end <= oldest
    kind = "nothing" if oldest is None else "before" if before else "nomatch"
    return {"kind": kind, "oldest": oldest}


def entries(result: Result) -> list[Mapping[str, Any]]:
    """The rows with the gaps between them, where they belong in time, newest first."""
    waiting = sorted(result.gaps, key=lambda item: item.gap.ends, reverse=True)
    listed: list[Mapping[str, Any]] = []
    for row in result.rows:
        at = datetime.fromisoformat(row["time"])
        while waiting and waiting[0].gap.ends >= at:
            listed.append({"gap": waiting.pop(0)})
        listed.append({"row": event.opened(row)})
    return listed + ([] if result.next else [{"gap": gap} for gap in waiting])


def open_gaps(found: Sequence[GapInRange]) -> int:
    """How many of the gaps still wait."""
    return sum(item.gap.state in ("open", "recovering") for item in found)
