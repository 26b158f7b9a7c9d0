"""The parts of a search page that come by themselves: counts over time, and the values of fields with their counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from conductor.analytics import editing
from conductor.analytics.query import parse
from conductor.analytics.syntax import Query as Parsed
from conductor.analytics.syntax import QueryError
from conductor.core import fields, masking
from conductor.core.errors import ConductorError, Invalid
from conductor.operations import auditing, counting, search, suggesting
from conductor.operations.accounts import User
from conductor.operations.counting import Bar, Facet, Histogram, Value
from conductor.web import auth, charts, errors, ranges, show, view, worldmap
from conductor.web.auth import Viewer
from conductor.web.charts import TALL, Piece
from conductor.web.render import pages
from conductor.web.view import SEARCH, View
from conductor.web.worldmap import Country

OPEN = ("integration", "type", "outcome", "severity", "client_name", "country")  # facets that are shown at once
KINDS = 5  # of colours that are nobody's own
FEW, MANY, GROUPS = 5, 50, 100  # values of a facet, of one that was asked for, of a page that groups
PLACES = 1000  # values that are looked for on the map
COLOURS = {  # by the numbers of the style sheet
    "success": 1,
    "failure": 4,
    "info": 0,
    "unknown": 5,
    "informational": 1,
    "low": 0,
    "medium": 2,
    "high": 4,
    "critical": 3,
    counting.OTHER: 5,
}
_COUNTED = frozenset(field.name for field in view.COUNTED)
WIDE = 1000  # of the chart, in its own units
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Column:
    """A bar as it is drawn, and where it leads."""

    bar: Bar
    x: float
    width: float
    pieces: Sequence[Piece]
    ghost: float  # the height of the range before
    url: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A value with the searches that include it, keep it out, or ask for it alone; empty where one cannot ask."""

    value: Value
    include: str = ""
    exclude: str = ""
    only: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A facet as a page lists it."""

    facet: Facet
    title: str
    choices: Sequence[Choice]
    missing: Choice | None


@dataclass(frozen=True, slots=True)
class Land:
    """A country with events, and the shade of their number."""

    country: Country
    choice: Choice
    shade: int


@router.get(SEARCH + "/counts")
async def counts(request: Request, user: Viewer) -> Response:
    """How many events match, and the chart of them."""
    seen = view.read(request.query_params, user)
    return await _part(request, user, seen, "counts", counted)


@router.get(SEARCH + "/map")
async def world(request: Request, user: Viewer) -> Response:
    """The events by country, as a map."""
    seen = view.read(request.query_params, user)
    return await _part(request, user, seen, "map", mapped)


@router.get(SEARCH + "/facets")
async def facets(request: Request, user: Viewer) -> Response:
    """The values of the fields that are shown at once."""
    seen = view.read(request.query_params, user)
    return await _part(request, user, seen, "facets", faceted)


@router.get(SEARCH + "/facet")
async def facet(request: Request, user: Viewer, field: str, like: str = "") -> Response:
    """More values of one field, those with a text in them."""
    seen = view.read(request.query_params, user)

    async def one(request: Request, user: User, seen: View) -> Mapping[str, Any]:
        found = await _facets(request, user, seen, [field], MANY, like=like)
        return {"shown": found[0], "like": like}

    return await _part(request, user, seen, "facet", one)


@router.get("/signals/suggest")
async def suggest(request: Request, user: Viewer, at: Annotated[int, Query(ge=0, le=8000)]) -> Response:
    """What may come next in a query that is being typed, after so many characters."""
    seen = view.read(request.query_params, user)
    asked = replace(seen.request, q=request.query_params.get("q", ""), after=None)
    async with request.app.state.turns.take(user.email):
        found = await suggesting.suggestions(request.app.state.system, user, asked, at)
    counted = replace(asked, q=asked.q[:at].rpartition(":")[0] or "*")  # a deed for each field, not for each letter
    if any(item.told[:1].isdigit() for item in found) and request.app.state.lately.first(deed(user, counted)):
        address = auth.client_address(request)
        await auditing.searched(request.app.state.system, user, counted, address, counted=True)
    return Response(msgspec.json.encode(found), media_type="application/json")


def deed(user: User, asked: search.Request) -> object:
    """What one page and its parts have in common, so that the audit log has it once."""
    return (user.email, replace(asked, after=None, oldest_first=False))


async def counted(request: Request, user: User, seen: View) -> Mapping[str, Any]:
    """What the chart needs. Raises QueryError, Invalid, StoreError."""
    by = seen.by or view.BY[0]
    found = await counting.histogram(
        request.app.state.system,
        replace(seen.request, after=None),
        user.sight,
        by=by,
        zone=show.zone(user.time_zone),
        compare=seen.compare,
    )
    colours = _colours(found.parts)
    return {"histogram": found, "columns": _columns(found, colours, seen), "by": by, "colours": colours}


async def faceted(request: Request, user: User, seen: View) -> Mapping[str, Any]:
    """The facets that are shown at once, and the names of the others. Raises QueryError, Invalid, StoreError."""
    found = await _facets(request, user, seen, OPEN, FEW)
    others = [field.name for field in view.COUNTED if field.name not in OPEN]
    return {"shown": found, "others": [(name, view.title(name)) for name in others]}


async def mapped(request: Request, user: User, seen: View) -> Mapping[str, Any]:
    """The countries with events, most of them first, and what is on no map. Raises QueryError, Invalid, StoreError."""
    found = (await _facets(request, user, seen, ["country"], PLACES))[0]
    known = worldmap.world()
    placed = {choice.value.text.upper(): choice for choice in found.choices}
    on_map = {code: choice for code, choice in placed.items() if code in known.countries}
    steps = worldmap.scale(max((choice.value.count for choice in on_map.values()), default=1))
    lands = [
        Land(known.countries[code], choice, worldmap.shade(choice.value.count, steps))
        for code, choice in on_map.items()
    ]
    return {
        "world": known,
        "lands": lands,
        "drawn": sorted(lands, key=lambda land: land.country.point is not None),  # points lie on top
        "ground": known.ground(on_map),
        "steps": steps,
        "total": sum(land.choice.value.count for land in lands),
        "others": [choice for code, choice in placed.items() if code not in known.countries],
        "missing": found.missing,
        "untold": found.facet.distinct - len(found.choices),
    }


async def grouped(request: Request, user: User, seen: View) -> Mapping[str, Any]:
    """The events counted by one field, each value with its line over time. Raises QueryError, Invalid, StoreError."""
    zone = show.zone(user.time_zone)
    found = (await _facets(request, user, seen, [seen.group], GROUPS, to=replace(seen, group=""), zone=zone))[0]
    most = max((count for choice in found.choices for count in choice.value.line), default=0)
    paths = [charts.line(choice.value.line, most) for choice in found.choices]
    return {"shown": found, "paths": paths, "title": found.title}


async def _part(request: Request, user: User, seen: View, name: str, ask: Any) -> Response:
    """One part; when it fails, it says so by itself and can be asked for again."""
    given: dict[str, Any] = {"view": seen, "titled": view.title, "bys": view.BY, "part": name, "problem": None}
    status = 200
    try:
        async with request.app.state.turns.take(user.email):
            given |= {"given": await ask(request, user, seen)}
    except ConductorError as error:
        told = errors.problem(error, request.app.state.system.catalog.advice)
        if told is errors.UNEXPECTED:
            raise
        given |= {"problem": told, "again": str(request.url.path) + "?" + str(request.url.query)}
        status = told.status
    else:
        if request.app.state.lately.first(deed(user, seen.request)):
            address = auth.client_address(request)
            await auditing.searched(request.app.state.system, user, seen.request, address, counted=True)
    return pages(request).answer(request, "search_part.html", status=status, **given)


async def _facets(
    request: Request,
    user: User,
    seen: View,
    names: Sequence[str],
    limit: int,
    *,
    to: View | None = None,
    **more: Any,
) -> list[Shown]:
    """`to` is the view that a value leads to, this one unless told."""
    asked = replace(seen.request, after=None)
    found = await counting.facets(
        request.app.state.system, asked, names, user.sight, limit=limit, compare=seen.compare, **more
    )
    asking = _Asking(parse(seen.q or "*"), seen, to or seen)
    return [_shown(item, asking) for item in found]


def around(seen: View) -> Callable[[str, object], Choice]:
    """For a value of an event the searches that include it or keep it out, starting from this view."""
    try:
        query = parse(seen.q or "*")
    except QueryError:
        query = parse("*")
    asking = _Asking(query, seen, seen)

    def choices(name: str, found: object) -> Choice:
        text = str(found).lower() if isinstance(found, bool) else str(found)
        if not _can_be_asked(name, text):
            return Choice(Value(text, 0))
        return asking.choice(Value(text, 0, hidden=masking.MARK in text), name)

    return choices


def _can_be_asked(name: str, text: str) -> bool:
    """A field, but a time, by its own name; a key of the record, if it can be written and holds one value."""
    try:
        known = counting.field_named(name) == name
    except Invalid:
        return False
    return known and (name in fields.BY_NAME or not (text == "null" or text.startswith(("[", "{"))))


@dataclass(frozen=True, slots=True)
class Head:
    """A column of the table, and the searches that its menu offers; the field's own where one cannot ask for it."""

    column: view.Column
    present: str = ""
    missing: str = ""
    group: str = ""


def heads(seen: View) -> list[Head]:
    """The columns that are shown, with their menus."""
    asking = _Asking(parse(seen.q or "*"), seen, seen)

    def head(column: view.Column) -> Head:
        if column.name not in _COUNTED:
            return Head(column)
        nothing = asking.choice(Value("", 0), column.name)
        return Head(column, nothing.exclude, nothing.include, seen.url(group=column.name, after="", open=""))

    return [head(column) for column in seen.shown]


class _Asking:
    """Makes searches of values: from a query, seen in one view, leading to another."""

    def __init__(self, query: Parsed, seen: View, to: View) -> None:
        self._query, self._seen, self._to = query, seen, to
        self._terms = {chip.text for chip in editing.chips(query)}

    def choice(self, value: Value, field: str) -> Choice:
        """Of a value of a field; without searches where one cannot ask for it."""
        if value.hidden:
            return Choice(value)
        try:
            include, exclude, only = (
                editing.changed(self._query, field, value.text, how)
                for how in (editing.INCLUDE, editing.EXCLUDE, editing.ONLY)
            )
        except QueryError:  # text where an address should be
            return Choice(value)
        asked = (self._to.asking(include), self._seen.asking(exclude), self._to.asking(only))
        return Choice(value, *asked, chosen=only in self._terms)


def _shown(found: Facet, asking: _Asking) -> Shown:
    missing = asking.choice(Value("", found.missing), found.field) if found.missing else None
    choices = [asking.choice(value, found.field) for value in found.values]
    return Shown(found, view.title(found.field), choices, missing)


def _colours(names: Sequence[str]) -> Mapping[str, int]:
    """A failure looks like one in every chart; other values take the colours in turn."""
    return {name: COLOURS.get(name, at % KINDS) for at, name in enumerate(names)}


def _columns(found: Histogram, colours: Mapping[str, int], seen: View) -> list[Column]:
    most = max((max(bar.total, bar.before or 0) for bar in found.bars), default=0)
    width = WIDE / max(1, len(found.bars))
    columns = []
    for at, bar in enumerate(found.bars):
        drawn = charts.pieces([bar.counts.get(part, 0) for part in found.parts], most)
        pieces = [replace(piece, kind=colours[found.parts[piece.kind]]) for piece in drawn]
        ghost = round(TALL * (bar.before or 0) / most, 2) if most else 0.0
        url = seen.url(range=ranges.between(bar.begins, bar.ends), after="", open="")
        columns.append(Column(bar, round(at * width, 2), round(width * 0.86, 2), pieces, ghost, url))
    return columns
