"""Spans that are read again: asked for, watched, paused, resumed, stopped. CLI, REST and pages are three spellings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from conductor.analytics import timerange
from conductor.core import backfill, clock, wording
from conductor.core.backfill import Backfill
from conductor.core.config import Config
from conductor.core.errors import Invalid
from conductor.core.integration import Integration
from conductor.core.schedule import Span
from conductor.operations import integrations, search
from conductor.operations.system import System
from conductor.store import audit, backfills, gaps, journal, polls
from conductor.store.backfills import Wanted
from conductor.store.database import Connection

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PAGE = 100  # records a request, as far as is known before the first
FULL = 100  # percent
_LENGTH = timerange.parse_last


@dataclass(frozen=True, slots=True)
class Estimate:
    """What reading a span will cost; None where nothing is known yet."""

    span: Span
    share: int
    events: int | None
    requests: int | None
    takes: timedelta | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a backfill stands: `pace` is seconds of the log read in a second, `lost` what the vendor deletes first."""

    work: Backfill
    pace: float | None = None
    left: timedelta | None = None
    lost: timedelta = timedelta(0)
    needed_share: int = 0

    @property
    def warning(self) -> str:
        """What a person must know, empty when all is well."""
        if not self.lost:
            return ""
        rest = f"or about {wording.duration(self.lost)} of events will be lost."
        if self.needed_share > FULL:
            return (
                f"The vendor is deleting events faster than this backfill reads them: the limit is too low, {rest[3:]}"
            )
        share = f"Raise the share of the rate limit to at least {self.needed_share} %"
        return f"The vendor is deleting events faster than this backfill reads them. {share}, {rest}"


async def estimate(system: System, name: str, start: str, end: str | None) -> Estimate:
    """What it would cost to read that span again. Raises NotFound, Invalid."""
    found = await integrations.find(system, name)
    return await _estimate(system, found, await _span(system, found, start, end))


async def start(system: System, name: str, start: str, end: str | None, *, by: str) -> Standing:
    """Put a span in the queue: it is read behind live collection. Raises NotFound, Invalid."""
    found = await integrations.find(system, name)
    span = await _span(system, found, start, end)

    def save(connection: Connection) -> Backfill:
        added = backfills.add(connection, found.id, Wanted(span.begins, span.ends), by=by)
        audit.append(connection, by, "backfill.started", name, {"backfill": added.id, **_detail(span)})
        return added

    added = await system.database.write(save)
    system.supervisor.look_again(found.id)
    return Standing(added)


async def steer(system: System, name: str, backfill_id: int, deed: str, *, by: str) -> Standing:
    """`pause`, `resume` or `stop` one, between two pages. Raises NotFound, Conflict."""
    found = await integrations.find(system, name)

    def save(connection: Connection) -> Backfill:
        changed = backfills.steer(connection, found.id, backfill_id, deed)
        if changed.gap_id is not None and deed == "stop":
            gaps.recovering(connection, changed.gap_id, now_open=True)
        audit.append(connection, by, f"backfill.{deed}", name, {"backfill": backfill_id})
        return changed

    changed = await system.database.write(save)
    system.supervisor.look_again(found.id)
    return Standing(changed)


async def list_all(system: System, name: str, limit: int = 20) -> list[Standing]:
    """The newest first, audits left out. Raises NotFound."""
    found = await integrations.find(system, name)
    return await system.database.read(
        lambda connection: [
            _standing(system, connection, found, work) for work in backfills.of(connection, found.id, limit)
        ]
    )


def _standing(system: System, connection: Connection, found: Integration, work: Backfill) -> Standing:
    if work.state != backfill.RUNNING:
        return Standing(work)
    config = _config(system, found)
    position = journal.positions(connection, work.lane).get(found.id)
    retention = config.retention(position.seen if position else timedelta(0))
    pace = polls.pace(connection, found.id, work.lane, work.asked_at, clock.now())
    seen = backfill.outlook(work, pace, clock.now(), retention)
    needed = math.ceil(config.rate_share / pace) if pace and seen.lost else 0
    return Standing(work, pace, seen.left, seen.lost, needed)


async def _span(system: System, found: Integration, start: str, end: str | None) -> Span:
    """From `5d` or a time, up to a time or to where live collection is. Raises Invalid."""
    now = clock.now()
    begins = now - _LENGTH(start) if _is_length(start) else timerange.resolve(None, start, None, now).start
    ends = timerange.resolve(None, None, end, now).end if end else now
    if begins is None or ends is None or not start.strip():
        raise Invalid({"from": "Say where to begin: `5d`, or a time such as `2026-11-17T07:30Z`."})
    position = (await system.database.read(journal.positions)).get(found.id)
    covered = position.covered_until if position and position.covered_until else now
    span = Span(begins, min(ends, covered))
    if span.begins >= span.ends:
        raise Invalid({"from": "Live collection is there already: choose an earlier time."})
    return span


def _is_length(text: str) -> bool:
    try:
        return bool(_LENGTH(text))
    except Invalid:
        return False


async def _estimate(system: System, found: Integration, span: Span) -> Estimate:
    """By the stored events of the last day, and the tenant's limit as it was last announced."""
    config = _config(system, found)
    rate = await _events_a_second(system, found)
    if rate is None:
        return Estimate(span, config.rate_share, None, None, None)
    latest = (await system.database.read(lambda connection: polls.latest(connection, [found.id])))[found.id]
    events = round(rate * (span.ends - span.begins).total_seconds())
    requests = events // PAGE + 2
    announced = latest.last.rate_limit if latest.last else None
    allowed = config.allowance(announced or None).per_second * config.rate_share / FULL
    return Estimate(span, config.rate_share, events, requests, timedelta(seconds=requests / allowed))


async def _events_a_second(system: System, found: Integration) -> float | None:
    """Of the last day, or since collecting began; None when that was less than an hour ago."""
    query = f'integration:"{found.name}"'
    day = await search.count(system, search.Request(q=query, last="24h"))
    early = await search.count(system, search.Request(q=query, start="now-24h", end="now-12h"))
    known = DAY if early else min(DAY, clock.now() - found.created_at)
    return day / known.total_seconds() if day and known >= HOUR else None


def _config(system: System, found: Integration) -> Config:
    return system.catalog.get(found.connector).Config.model_construct(**found.config)


def _detail(span: Span) -> dict[str, Any]:
    moments: dict[str, datetime] = {"from": span.begins, "to": span.ends}
    return {name: clock.to_text(moment) for name, moment in moments.items()}
