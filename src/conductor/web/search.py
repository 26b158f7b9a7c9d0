"""Signals → Search: a query, a time range, the matching events, one of them open beside. All of it is in the URL.

The rows come with the page; counts and facets are parts of their own (`conductor.web.parts`), each of which may fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.analytics import editing
from conductor.analytics.query import parse
from conductor.analytics.server import Unsearchable
from conductor.analytics.syntax import QueryError
from conductor.analytics.timerange import TimeRange
from conductor.core import clock
from conductor.core.errors import Invalid, NotFound
from conductor.operations import accounts, auditing, counting, search
from conductor.operations.accounts import User
from conductor.operations.search import Result
from conductor.web import auth, errors, event, forms, parts, ranges, saved, selected, shell, show, tail, view
from conductor.web.auth import Viewer
from conductor.web.ranges import Range
from conductor.web.render import pages, see_other
from conductor.web.turns import TooManySearches
from conductor.web.view import SEARCH, View

FIRST = 100  # rows of the page, for drawing more keeps a slow processor busy; `Request.limit` of those added to it
WIDER = {"15m": "1h", "1h": "24h", "4h": "24h", "24h": "7d", "7d": "30d"}
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Term:
    """One of the query's terms, how many events fit it alone, and the search without it."""

    text: str
    count: int
    without: str


@router.get(SEARCH)
async def results(request: Request, user: Viewer) -> Response:
    """The page. A URL in other words than our own is sent on to ours."""
    asked, zone = request.query_params, show.zone(user.time_zone)
    seen, words = view.read(asked, user), asked.get("range", "").strip()
    span = seen.range
    if "add" in asked:
        return see_other(seen.url(columns=view.added(seen.shown, asked["add"])))
    if words and span.choice == ranges.CUSTOM:
        try:
            return see_other(seen.url(range=ranges.understood(words, zone), after="", open=""))
        except Invalid as error:
            return await _answer(request, user, replace(seen, range=replace(span, typed=words)), error.fields)
    if span.start != asked.get("from", "").strip() or span.end != asked.get("to", "").strip():
        return see_other(seen.url())
    if seen.own and "cols" not in asked:  # whoever is sent this address sees the same columns
        return see_other(seen.url())
    return await _answer(request, user, seen)


@router.post("/signals/columns")
async def keep_columns(request: Request, user: Viewer) -> Response:
    """Make the columns that are seen one's own, or go back to the usual ones."""
    typed = await forms.values(request)
    seen = view.read(typed, user)
    kept = view.spelled(seen.shown) if typed.get("do") != "forget" else ""
    usual = view.read_columns(kept) == view.read_columns(view.DEFAULT)
    await accounts.keep_columns(request.app.state.system, user, "" if usual else kept)
    return see_other(replace(seen, own=bool(kept) and not usual, columns=seen.shown if kept else ()).url())


@router.get("/signals/range")
async def preview(user: Viewer, words: str = "") -> dict[str, str]:
    """What a time range that is being typed means."""
    try:
        return {"note": ranges.preview(words, show.zone(user.time_zone)) if words.strip() else ""}
    except Invalid as error:
        return {"note": error.fields["range"].replace("`", "")}


async def _answer(request: Request, user: User, seen: View, wrong: Mapping[str, str] | None = None) -> Response:
    context: dict[str, Any] = {"view": seen, "zone": show.zone(user.time_zone), "fields": wrong or {}}
    context |= dict.fromkeys(("result", "error", "empty", "counts", "facets", "map", "groups", "before", "behind"))
    context |= {"problem": None, "advice": request.app.state.system.catalog.advice}
    context |= {"entries": [], "chips": [], "wider": WIDER.get(seen.range.last), "choices": view.CHOICES}
    context |= {"named": await saved.named(request, user, seen), "link": _link(request)}
    context |= {"opened": await _opened(request, user, seen), "titled": view.title, "bys": view.BY}
    context |= {"short": Range("15m", "", ""), "most": selected.MOST, "around": parts.around(seen), "moves": {}}
    if wrong:
        return pages(request).answer(request, "search.html", status=422, **context)
    status = 200
    try:
        context["chips"] = editing.chips(parse(seen.q)) if seen.q else []
        context |= await _found(request, user, seen)
    except QueryError as error:
        context["error"], status = error, 422
    except Invalid as error:
        context["fields"], status = error.fields, 422
    except (Unsearchable, TooManySearches) as error:
        context["problem"] = told = errors.problem(error, request.app.state.system.catalog.advice)
        status = told.status
    response = pages(request).answer(request, "search.html", status=status, **context)
    if context["problem"] and context["problem"].retry_after is not None:
        response.headers["Retry-After"] = str(context["problem"].retry_after)
    return response


async def _found(request: Request, user: User, seen: View) -> dict[str, Any]:
    """The rows or the groups; with `with=counts` what is else asked for by itself, for those without script."""
    system, asked = request.app.state.system, seen.request
    found: dict[str, Any] = {}
    async with request.app.state.turns.take(user.email):
        if seen.group:
            found["groups"] = await parts.grouped(request, user, seen)
        if seen.live:  # new is what comes after these rows are looked up
            found["since"] = tail.written_marks(await search.marks(system, user.sight))
        most = 1 if seen.group else asked.limit if seen.after else FIRST
        result = await search.search(system, replace(asked, limit=most), user.sight, raw=False, in_part=True)
        found |= {"result": result, "entries": entries(result, oldest_first=seen.oldest_first)}
        found |= {"heads": parts.heads(seen), "moves": _moves(seen, result.span)}
        found |= _beside(result, seen.open)
        if not result.rows and not result.stopped:
            found["empty"] = await _why_empty(request, user, seen, result)
        if request.query_params.get("with") == "counts":
            found["counts"] = await parts.counted(request, user, seen)
            found["facets"] = await parts.faceted(request, user, seen)
            found["map"] = await parts.mapped(request, user, seen) if seen.map else None
    request.app.state.lately.first(parts.deed(user, asked))
    await auditing.searched(system, user, asked, auth.client_address(request))
    return found


def _moves(seen: View, span: TimeRange) -> Mapping[str, str]:
    """The same search over the ranges beside this one."""
    now = clock.now()
    end = now if seen.range.last else span.end or now
    found = ranges.moves(span.start, end, now) if span.start else {}
    return {name: seen.url(range=moved, after="", open="", live=False) for name, moved in found.items()}


def _link(request: Request) -> str:
    """The short link that was just made."""
    slug = request.query_params.get("link", "")
    return f"{request.app.state.system.settings.base_url}/s/{slug}" if slug.isalnum() else ""


async def _opened(request: Request, user: User, seen: View) -> event.Opened | None:
    if not seen.open:
        return None
    try:
        return await event.described(request, user, await search.get(request.app.state.system, seen.open, user.sight))
    except NotFound as error:
        return event.missing(seen.open, str(error))
    except Unsearchable:  # the search says so
        return None


def _beside(result: Result, opened: str) -> dict[str, str]:
    """The events above and below the one that is open, where they are in the list."""
    ids = [row["id"] for row in result.rows]
    if opened not in ids:
        return {}
    at = ids.index(opened)
    return {"before": ids[at - 1] if at else "", "behind": ids[at + 1] if at + 1 < len(ids) else ""}


async def _why_empty(request: Request, user: User, seen: View, result: Result) -> Mapping[str, Any]:
    """Nothing is stored, or nothing from then; or which of the terms leaves nothing over."""
    system = request.app.state.system
    oldest = await search.oldest(system)
    end = result.span.end
    if oldest is None:
        return {"kind": "nothing"}
    if end is not None and end <= oldest:
        return {"kind": "before", "oldest": oldest}
    wider, terms, matches = WIDER.get(seen.range.last), [], None
    chips = {chip.text: chip.without for chip in editing.chips(parse(seen.q))} if seen.q else {}
    with suppress(Unsearchable):  # that takes too long: it is a help, no more
        counts = await counting.alone(system, seen.request, user.sight)
        terms = [Term(text, count, chips[text]) for text, count in counts]
        if wider:
            matches = await search.count(system, replace(seen.request, last=wider), user.sight)
    return {"kind": "nomatch", "terms": terms, "matches": matches}


def entries(result: Result, *, oldest_first: bool = False) -> list[Mapping[str, Any]]:
    """The rows with the gaps between them, where they belong in time."""
    gaps = sorted(result.gaps, key=lambda item: item.gap.ends if not oldest_first else item.gap.begins)
    waiting = gaps if oldest_first else gaps[::-1]
    listed: list[Mapping[str, Any]] = []
    for row in result.rows:
        at = datetime.fromisoformat(row["time"])
        while waiting and (waiting[0].gap.begins <= at if oldest_first else waiting[0].gap.ends >= at):
            listed.append({"gap": waiting.pop(0)})
        listed.append({"row": event.opened(row)})
    return listed + ([] if result.next else [{"gap": gap} for gap in waiting])
