"""The audit log's page: who did what, the proof of its chain, and all of it as a file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conductor.core import clock
from conductor.operations import auditing
from conductor.operations.auditing import Verdict, Wanted
from conductor.web import auth, forms, shell, show
from conductor.web.auth import Admin
from conductor.web.ids import Before
from conductor.web.render import pages

AUDIT = "/admin/audit"
NAMES = ("q", "actor", "action", "last")
ROWS = 100
AT_ONCE = 1000  # entries read at once for a file
SPANS = {"24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "": "All time"}
_LENGTHS = {"24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class View:
    """What the address says: words, who, which deed, and how far back."""

    q: str = ""
    actor: str = ""
    action: str = ""
    last: str = ""

    def wanted(self, now: datetime) -> Wanted:
        """The entries that it means."""
        length = _LENGTHS.get(self.last)
        return Wanted(self.q, self.actor, self.action, since=None if length is None else now - length)

    @property
    def values(self) -> dict[str, str]:
        """Its parts by name."""
        return {name: getattr(self, name) for name in NAMES}

    def url(self, **changes: object) -> str:
        """This view with some parts changed."""
        query = show.query({**self.values, **changes})
        return f"{AUDIT}?{query}" if query else AUDIT


@router.get(AUDIT)
async def entries(
    request: Request,
    user: Admin,
    q: str = Query("", max_length=500),
    actor: str = Query("", max_length=500),
    action: str = Query("", max_length=100),
    last: str = Query("", max_length=10),
    before: Before = None,
) -> Response:
    """The newest entries first; `before` is an entry's id, to page on."""
    return await _page(request, View(q, actor, action, last), before=before)


@router.post(AUDIT + "/verify")
async def verify(request: Request, user: Admin) -> Response:
    """Prove the chain, and say so above the entries."""
    return await _page(request, View(), verdict=await auditing.verify(request.app.state.system))


@router.post(AUDIT + "/file")
async def file(request: Request, user: Admin) -> Response:
    """The same entries, all of them, the newest first: one JSON object a line. Taking them away is a deed too."""
    typed = await forms.values(request)
    view = View(**{name: typed.get(name, "")[:500] for name in NAMES})
    await auditing.exported(request.app.state.system, user, view.url(), auth.client_address(request))
    name = f"conductor-audit-{clock.now():%Y-%m-%dT%H%MZ}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(request, view), media_type="application/jsonl", headers=headers)


async def _lines(request: Request, view: View) -> AsyncIterator[str]:
    system, wanted = request.app.state.system, view.wanted(clock.now())
    before: int | None = None
    while found := await auditing.entries(system, wanted, AT_ONCE, before):
        before = found[-1].id
        yield "".join(f"{json.dumps(auditing.told(entry), ensure_ascii=False)}\n" for entry in found)


async def _page(request: Request, view: View, *, before: int | None = None, verdict: Verdict | None = None) -> Response:
    found = await auditing.entries(request.app.state.system, view.wanted(clock.now()), ROWS, before)
    context: dict[str, Any] = {"view": view, "entries": found, "verdict": verdict, "older": len(found) == ROWS}
    return pages(request).answer(request, "audit.html", spans=SPANS, details=_details, **context)


def _details(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an entry tells beside, one name and value at a time."""
    return [(name, spoken(value)) for name, value in detail.items()]


def _change(value: Any) -> str:
    """Before and after."""
    pair = isinstance(value, list) and len(value) == 2
    return " → ".join(spoken(each) or "nothing" for each in value) if pair else spoken(value)


def spoken(value: Any) -> str:
    """A detail as text."""
    if isinstance(value, list):
        return ", ".join(map(spoken, value))
    if isinstance(value, dict):
        return "; ".join(f"{name} {_change(each)}" for name, each in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
