"""Saved searches: the list, saving what one sees, changing and deleting; and short links to exactly what one sees."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.analytics.timerange import resolve
from conductor.core import clock
from conductor.core.errors import ConductorError, Conflict, Invalid, NotFound
from conductor.operations import saving
from conductor.operations.accounts import User
from conductor.operations.saving import PARTS, Saved
from conductor.web import forms, ranges, shell, show, view
from conductor.web.auth import Analyst, Viewer
from conductor.web.forms import Filled
from conductor.web.render import pages, see_other
from conductor.web.view import SEARCH, View

LIST = "/signals/saved"
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get(LIST)
async def listed(request: Request, user: Viewer) -> Response:
    """All that one may open."""
    found = await saving.everything(request.app.state.system, user)
    return pages(request).answer(request, "saved.html", searches=found, range_of=range_of)


@router.post(LIST)
async def save(request: Request, user: Analyst) -> Response:
    """Save what the form says under a new name, and show it."""
    typed = await forms.values(request)
    seen = _seen(typed, user)
    try:
        kept = fixed(seen, typed.get("shown", "")) if typed.get("keep") == "fixed" else seen
        made = await saving.save(
            request.app.state.system,
            user,
            typed.get("name", ""),
            state_of(kept),
            description=typed.get("description", ""),
            folder=typed.get("folder", ""),
            shared="shared" in typed,
        )
    except (Invalid, Conflict) as error:
        return _refused(request, seen, Filled(typed, _problems(error)))
    return see_other(replace(kept, saved=made.slug).url())


@router.get(LIST + "/{slug}")
async def open_one(request: Request, user: Viewer, slug: str) -> Response:
    """Show its events. Raises NotFound."""
    system = request.app.state.system
    found = await saving.find(system, user, slug)
    await saving.opened(system, found)
    seen = view.read(found.state, user)
    return see_other(replace(seen, saved=slug).url())


@router.post(LIST + "/{slug}")
async def change(request: Request, user: Analyst, slug: str) -> Response:
    """Save it as it is seen now, change what it is called and who sees it, or delete it. Raises NotFound, Forbidden."""
    typed, system = await forms.values(request), request.app.state.system
    if typed.get("do") == "delete":
        await saving.remove(system, user, slug)
        return see_other(LIST)
    if typed.get("do") == "save":
        seen = _seen(typed, user)
        await saving.change(system, user, slug, state=state_of(seen))
        return see_other(replace(seen, saved=slug).url())
    changes: dict[str, Any] = {name: typed.get(name, "") for name in ("name", "description", "folder")}
    try:
        await saving.change(system, user, slug, **changes, shared="shared" in typed)
    except (Invalid, Conflict) as error:
        found = await saving.everything(system, user)
        refused = {"slug": slug, "form": Filled(typed, _problems(error))}
        return pages(request).answer(request, "saved.html", status=422, searches=found, range_of=range_of, **refused)
    return see_other(LIST)


@router.post("/signals/share")
async def share(request: Request, user: Viewer) -> Response:
    """Make a short link to what the form says, and show it beside the same results."""
    typed = await forms.values(request)
    seen = _seen(typed, user)
    kept = seen if typed.get("time") == "moving" else fixed(seen, typed.get("shown", ""))
    told = replace(kept, saved="").parts | {"cols": view.spelled(kept.shown)}  # nobody's own columns in their place
    slug = await saving.share(request.app.state.system, user, show.query(told))
    return see_other(f"{seen.url()}{'&' if '?' in seen.url() else '?'}link={slug}")


@router.get("/s/{slug}")
async def follow(request: Request, user: Viewer, slug: str) -> Response:
    """Show what a short link leads to. Raises NotFound."""
    found = await saving.follow(request.app.state.system, slug)
    return see_other(f"{SEARCH}?{found.state}" if found.state else SEARCH)


async def named(request: Request, user: User, seen: View) -> Mapping[str, Any] | None:
    """The saved search that the page shows, and whether the page differs from it; None when it shows none."""
    if not seen.saved:
        return None
    try:
        found = await saving.find(request.app.state.system, user, seen.saved)
    except NotFound as error:
        return {"missing": str(error)}
    undone = replace(view.read(found.state, user), saved=found.slug)
    mine = not found.shipped and (found.owner == user.email or user.role == "admin")
    return {"it": found, "changed": state_of(seen) != state_of(undone), "undo": undone.url(), "mine": mine}


def state_of(seen: View) -> dict[str, str]:
    """What is kept of a view."""
    return {name: value for name, value in seen.parts.items() if name in PARTS and value}


def fixed(seen: View, shown: str = "") -> View:
    """The same with its time range as it was `shown` (two times with a blank between), or as it is now."""
    start, _, end = shown.partition(" ")
    if seen.range.last and start and end:
        with suppress(ValueError):
            return replace(seen, range=ranges.between(datetime.fromisoformat(start), datetime.fromisoformat(end)))
    asked = seen.request
    span = resolve(asked.last, asked.start, asked.end, clock.now())
    return replace(seen, range=ranges.between(span.start, span.end or clock.now()))


def range_of(found: Saved) -> str:
    """Its time range in words."""
    last = found.state.get("last", ranges.DEFAULT)
    if last != ranges.CUSTOM:
        return ranges.WORDS.get(last, f"Last {last}")
    ends = (found.state.get(name, "") for name in ("from", "to"))
    return " – ".join(end.replace("T", " ").removesuffix("Z") or "…" for end in ends) + " UTC"


def _seen(typed: Mapping[str, str], user: User) -> View:
    return view.read(typed, user)


def _problems(error: ConductorError) -> Mapping[str, str]:
    return error.fields if isinstance(error, Invalid) else {"name": str(error)}


def _refused(request: Request, seen: View, form: Filled) -> Response:
    """The form alone, with what is wrong; what is seen is still behind it."""
    return pages(request).answer(request, "save_search.html", status=422, view=seen, form=form)
