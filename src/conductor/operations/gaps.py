"""The gaps that tiles tell, and recovering one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conductor.core.backfill import Backfill
from conductor.core.poll import Gap
from conductor.operations import integrations
from conductor.operations.backfills import Standing
from conductor.operations.statuses import Status
from conductor.operations.system import System
from conductor.store import audit, backfills, gaps
from conductor.store.database import Connection


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
