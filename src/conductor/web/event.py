"""One event: beside the results, and on a page of its own. Its content is hostile and shown as text only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.analytics.query import parse
from conductor.analytics.server import Unsearchable
from conductor.analytics.syntax import QueryError
from conductor.core import clock, geography, masking
from conductor.core.sentence import sentence
from conductor.operations import counting, search
from conductor.operations.accounts import User
from conductor.web import auth, shell, show
from conductor.web.auth import Analyst, Viewer
from conductor.web.render import pages

EVENTS = "/signals/events"
SUMMARY = "user_name user_id ip country city client_name connection outcome severity category description".split()
NEAR = timedelta(minutes=15)
MARKS = {"success": ("●", "green"), "failure": ("■", "red"), "info": ("○", "grey"), "unknown": ("○", "grey")}
RELATED = (
    ("user_name", "Same user"),
    ("ip", "Same IP"),
    ("client_name", "Same application"),
    ("correlation_id", "Same transaction"),
)
RELATED_MASKED = (("user_id", "Same user"), *RELATED[2:])  # a link would tell the rest
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """One event as templates need it, with its vendor's name; `missing` says why there is none."""

    id: str
    row: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
    sentence: str = ""
    counts: Sequence[int] = ()  # of `related`, where they are known
    vendor: str = ""

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
    def located(self) -> list[tuple[str, str]]:
        """Fields about the place, with who gave them."""
        sources = geography.sources(self.row["located_by"])
        given: dict[str, list[str]] = {}
        for name in geography.FIELDS:
            if self.row[name]:
                given.setdefault(sources.get(name, ""), []).append(name)
        return [(", ".join(names), self._source(source)) for source, names in given.items()]

    def _source(self, source: str) -> str:
        database, _, built = source.rpartition(" ")
        return f"from the GeoIP database {database}, built {built}" if source else f"by {self.vendor}"

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
    def keys(self) -> list[tuple[str, str]]:
        """The record's own values by their dotted paths."""
        return show.leaves(self.row["raw"])

    @property
    def terms(self) -> list[tuple[str, str]]:
        """What ties other events to it: a label and a term of the search language."""
        names = RELATED_MASKED if self.row["masked"] else RELATED
        known = [(label, name, self.row[name]) for name, label in names if self.row[name]]
        terms = [(label, f"{name}:{quoted(value)}") for label, name, value in known if masking.MARK not in value]
        return [(label, term) for label, term in terms if _can_be_asked(term)]

    @property
    def around(self) -> dict[str, str]:
        """The time around it."""
        return {"from": clock.to_text(self.time - NEAR), "to": clock.to_text(self.time + NEAR)}

    @property
    def related(self) -> list[tuple[str, str, int | None]]:
        """Searches for what else happened around it, each with how many events it finds, where that is known."""
        asked = {"last": "custom", **self.around, "open": self.id}
        found = [(label, "/signals/search?" + show.query({"q": term, **asked})) for label, term in self._all]
        counts = self.counts if len(self.counts) == len(found) else [None] * len(found)
        return [(label, url, count) for (label, url), count in zip(found, counts, strict=True)]

    @property
    def _all(self) -> list[tuple[str, str]]:
        return [*self.terms, ("Everything", "")]


@router.get(EVENTS + "/{id}")
async def page(request: Request, user: Viewer, id: str) -> Response:
    """The permanent page of one event. Raises NotFound."""
    row = await search.get(request.app.state.system, id, user.sight)
    return pages(request).answer(request, "event.html", opened=await described(request, user, row))


@router.post(EVENTS + "/{id}/unmask")
async def unmask(request: Request, user: Analyst, id: str) -> Response:
    """The same with personal data, this once. Raises NotFound."""
    row = await search.unmask(request.app.state.system, id, by=user.email, address=auth.client_address(request))
    return pages(request).answer(request, "event.html", opened=await described(request, user, row))


async def described(request: Request, user: User, row: Mapping[str, Any]) -> Opened:
    """An event with what it tells in a sentence, and how much is related to it."""
    system, found = request.app.state.system, opened(row)
    connector = system.catalog.connectors.get(row["connector"])
    template = connector.sentences.get(row["type"], "") if connector else ""
    told = sentence(template, row) or str(row["description"])
    counts: list[int] = []
    with suppress(Unsearchable):  # it is a help, no more
        counts = [count for _, count in await counting.alone(system, _near(found, found.terms), user.sight)]
        counts.append(await search.count(system, _near(found, ()), user.sight))
    return replace(found, sentence=told, counts=counts, vendor=connector.title if connector else row["connector"])


def _can_be_asked(term: str) -> bool:
    """Not what stands for an address and is none."""
    try:
        parse(term)
    except QueryError:
        return False
    return True


def _near(found: Opened, terms: Sequence[tuple[str, str]]) -> search.Request:
    q = " ".join(term for _, term in terms) or "*"
    return search.Request(q=q, start=found.around["from"], end=found.around["to"])


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
