"""One event: beside the results, and on a page of its own. Its content is hostile and shown as text only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core import clock, masking
from conductor.operations import search
from conductor.web import auth, shell, show
from conductor.web.auth import Analyst, Viewer
from conductor.web.render import pages

EVENTS = "/signals/events"
SUMMARY = "user_name user_id ip country city client_name connection outcome severity category description".split()
NEAR = timedelta(minutes=15)
MARKS = {"success": ("●", "green"), "failure": ("■", "red"), "info": ("○", "grey"), "unknown": ("○", "grey")}
RELATED = (("user_name", "Same user"), ("ip", "Same IP"), ("client_name", "Same application"))
RELATED_MASKED = (("user_id", "Same user"), ("client_name", "Same application"))  # a link would tell the rest
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """One event as templates need it; `missing` says why there is none."""

    id: str
    row: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""

    @property
    def title(self) -> str:
        """Its friendly name, or the type's code."""
        return str(self.row["event"] or self.row["type"] or "Event")

    @property
    def time(self) -> datetime:
        """When it happened."""
        return datetime.fromisoformat(self.row["time"])

    @property
    def collected_at(self) -> datetime:
        """When it was committed."""
        return datetime.fromisoformat(self.row["collected_at"])

    @property
    def mark(self) -> tuple[str, str]:
        """A shape and a colour for its outcome."""
        return MARKS.get(self.row["outcome"], MARKS["unknown"])

    @property
    def summary(self) -> list[tuple[str, Any]]:
        """The fields an analyst looks at first, those that are set."""
        return [(name, self.row[name]) for name in SUMMARY if self.row[name] not in ("", None)]

    @property
    def fields(self) -> list[tuple[str, Any]]:
        """All normalized fields that are set."""
        return [
            (name, value)
            for name, value in self.row.items()
            if name not in ("raw", "masked") and value not in ("", None, 0, False)
        ]

    @property
    def raw(self) -> str:
        """Exactly as received."""
        return show.raw_text(self.row["raw"])

    @property
    def pretty(self) -> str:
        """The same, indented, in the order of its keys; empty when it is no JSON."""
        return show.pretty(self.row["raw"])

    @property
    def related(self) -> list[tuple[str, str]]:
        """Searches for what else happened around it."""
        around = {
            "last": "custom",
            "from": clock.to_text(self.time - NEAR),
            "to": clock.to_text(self.time + NEAR),
            "open": self.id,
        }
        names = RELATED_MASKED if self.row["masked"] else RELATED
        known = [(label, name, self.row[name]) for name, label in names if self.row[name]]
        terms = [(label, f"{name}:{quoted(value)}") for label, name, value in known if masking.MARK not in value]
        terms.append(("Everything", ""))
        return [(label, "/signals/search?" + show.query({"q": term, **around})) for label, term in terms]


@router.get(EVENTS + "/{id}")
async def page(request: Request, user: Viewer, id: str) -> Response:
    """The permanent page of one event. Raises NotFound."""
    row = await search.get(request.app.state.system, id, user.sight)
    return pages(request).answer(request, "event.html", opened=opened(row))


@router.post(EVENTS + "/{id}/unmask")
async def unmask(request: Request, user: Analyst, id: str) -> Response:
    """The same with personal data, this once. Raises NotFound."""
    row = await search.unmask(request.app.state.system, id, by=user.email, address=auth.client_address(request))
    return pages(request).answer(request, "event.html", opened=opened(row))


def opened(row: Mapping[str, Any]) -> Opened:
    """An event that was found."""
    return Opened(row["id"], row)


def missing(id: str, why: str) -> Opened:
    """An event that is not there."""
    return Opened(id, missing=why)


def quoted(value: object) -> str:
    """A value as a phrase of the search language."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
