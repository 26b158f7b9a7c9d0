"""The processes that share the integrations: who lives, since when, and how many each polls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from conductor.operations.system import System
from conductor.store import leases
from conductor.store.leases import Worker


@dataclass(frozen=True, slots=True)
class Working:
    """One worker and its share; `here` for the process that is asked."""

    worker: Worker
    integrations: int
    here: bool


async def living(system: System) -> list[Working]:
    """The workers, the oldest first; none where a single process has the database to itself. Raises StoreError."""
    if not system.database.shared:
        return []
    view = await system.database.read(leases.view)
    shares = Counter(view.owners.values())
    return [
        Working(worker, shares[worker.id], worker.id == system.membership.worker.id) for worker in view.workers.values()
    ]
