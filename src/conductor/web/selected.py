"""Some events that were chosen from a list: side by side with what differs, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Invalid
from conductor.operations import exporting, search
from conductor.operations.accounts import User
from conductor.web import event, shell
from conductor.web.auth import Viewer
from conductor.web.event import Opened
from conductor.web.render import pages

SELECTED = "/signals/selected"
MOST = 200  # events at once, as many as a page lists
BESIDE = 8  # columns that one can still read
_APART = ("raw", "masked")
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Line:
    """A field or a key of the raw events, with its value in each; empty where an event has none."""

    name: str
    values: Sequence[str]

    @property
    def differs(self) -> bool:
        """Whether the events do not all agree."""
        return len(set(self.values)) > 1


@router.get(SELECTED)
async def show(request: Request, user: Viewer, all: bool = False) -> Response:
    """The page; with `all` what is the same everywhere, too. Raises Invalid, NotFound."""
    found = [event.opened(row) for row in await _rows(request, user)]
    beside = found[:BESIDE]
    lines = list(compared(beside))
    shown = [line for line in lines if all or len(beside) == 1 or line.differs]
    context: dict[str, Any] = {"found": found, "beside": beside, "lines": shown, "same": len(lines) - len(shown)}
    return pages(request).answer(request, "selected.html", asked=",".join(it.id for it in found), all=all, **context)


@router.get(SELECTED + ".json")
async def as_json(request: Request, user: Viewer) -> Response:
    """The raw events as a JSON array, each byte for byte as received where it is JSON. Raises Invalid, NotFound."""
    rows = await _rows(request, user)
    body = b"[" + b",\n".join(msgspec.json.encode(search.raw_object(row["raw"])) for row in rows) + b"]\n"
    return Response(body, media_type="application/json")


def compared(events: Sequence[Opened]) -> Iterator[Line]:
    """Every field that is set in one of them, then every key of their raw events."""
    for part in ([_fields(it) for it in events], [_keys(it) for it in events]):
        for name in dict.fromkeys(name for values in part for name in values):
            yield Line(name, [values.get(name, "") for values in part])


def _fields(it: Opened) -> dict[str, str]:
    known = {name: value for name, value in it.row.items() if name not in _APART}
    return {name: _told(value) for name, value in known.items() if value is False or value not in ("", None, 0)}


def _keys(it: Opened) -> dict[str, str]:
    return {f"raw.{path}": text for path, text in it.keys}


def _told(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _rows(request: Request, user: User) -> list[Mapping[str, Any]]:
    """The events that the URL names, in its order. Raises Invalid, NotFound."""
    system = request.app.state.system
    asked = exporting.chosen(request.query_params.getlist("ids"))
    if len(asked.ids) > MOST:
        raise Invalid({"ids": f"Choose {MOST} events at the most, or export all that match."})
    found = await search.search(system, replace(asked, limit=MOST), user.sight)
    rows = {row["id"]: row for row in found.rows}
    for id_ in asked.ids:
        if id_ not in rows:
            await search.get(system, id_, user.sight)  # which says why it is not there
    return [rows[id_] for id_ in asked.ids if id_ in rows]
