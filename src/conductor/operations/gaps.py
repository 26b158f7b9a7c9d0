"""The gaps that tiles tell, and recovering one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from conductor.analytics import search
from conductor.analytics.server import Unsearchable
from conductor.core import clock
from conductor.core.backfill import Backfill
from conductor.core.poll import Gap
from conductor.core.schedule import Span
from conductor.operations import integrations
from conductor.operations.backfills import Standing
from conductor.operations.statuses import Status
from conductor.operations.system import System
from conductor.store import audit, backfills, gaps
from conductor.store.database import Connection

ESTIMATED = 100  # gaps of one integration


@dataclass(frozen=True, slots=True)
class GapTold:
    """A gap that a tile tells, and how far its recovery is, 0 to 1; None when it is not being recovered."""

    integration: str
    gap: Gap
    covered: float | None


async def told(system: System, statuses: Sequence[Status]) -> list[GapTold]:
    """The gaps of these integrations that are open, or lost and not closed yet."""
    names = {status.integration.id: status.integration.name for status in statuses}

    def read(connection: Connection) -> list[GapTold]:
        covered = {work.gap_id: work.covered for work in backfills.unfinished(connection, list(names))}
        found = gaps.told(connection, list(names))
        return [GapTold(names[id_], gap, covered.get(gap.id)) for id_, several in found.items() for gap in several]

    return await system.database.read(read)


async def estimates(system: System, integration_id: int, found: Sequence[Gap]) -> dict[int, int]:
    """About how many events are in each gap that is not recovered, from what is stored of the time around it: as long
    as the gap, an hour at the least and a day at the most, on either side. A gap between empty ones is left out.
    """
    missing = [gap for gap in found if gap.state != "recovered" and gap.ends > gap.begins][:ESTIMATED]
    if not missing:
        return {}
    around = [_around(gap) for gap in missing]
    spans = [span for both in around for span in both]
    try:
        counts = await system.analytics.read(lambda client: search.counts(client, integration_id, spans))
    except Unsearchable:
        return {}  # gaps are told and closed all the same
    told = {}
    for number, (gap, both) in enumerate(zip(missing, around, strict=True)):
        length = sum((span.ends - span.begins for span in both), timedelta())
        events = sum(counts[2 * number : 2 * number + 2])
        if events:
            told[gap.id] = max(1, round(events * ((gap.ends - gap.begins) / length)))
    return told


def _around(gap: Gap) -> tuple[Span, Span]:
    length = min(max(gap.ends - gap.begins, timedelta(hours=1)), timedelta(days=1))
    after = max(min(gap.ends + length, clock.now()), gap.ends + timedelta(microseconds=1))
    return Span(gap.begins - length, gap.begins), Span(gap.ends, after)


async def recover(system: System, name: str, gap_id: int, *, by: str) -> Standing:
    """Let the span of an open or lost gap be read again. Raises NotFound, Conflict."""
    found = await integrations.find(system, name)

    def save(connection: Connection) -> Backfill:
        gap = gaps.in_integration(connection, found.id, gap_id)
        added = gaps.queue(connection, gap, by=by)
        audit.append(connection, by, "gap.recover", name, {"gap": gap_id, "backfill": added.id})
        return added

    added = await system.database.write(save)
    system.supervisor.look_again(found.id)
    return Standing(added)
