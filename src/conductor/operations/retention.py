"""What is old enough goes: artifacts by day, batches that everybody has read, keys the vendor can no longer serve."""

from __future__ import annotations

from datetime import datetime, timedelta

from conductor.analytics import artifacts
from conductor.core import clock
from conductor.core.integration import Integration
from conductor.operations.system import System
from conductor.store import backfills, cursors, expiry, integrations, polls
from conductor.store.database import Connection

KEY_SLACK = timedelta(days=7, hours=1)  # beyond the vendor's retention: a week, and the longest overlap
AUDITS_KEPT = timedelta(days=7)  # what they found is in the gaps
LONGEST_UPSTREAM = timedelta(days=30)  # of all vendors


async def expire(system: System) -> dict[str, int]:
    """Delete what has passed its time; the answer counts what went. Raises StoreError."""
    now = clock.now()
    keep = timedelta(days=system.settings.retention_days)
    days = await system.analytics.write(lambda client: artifacts.expire(client, now - keep))
    gone = {"days": len(days), "batches": 0, "keys": 0, "audits": 0, "polls": 0}
    known = await system.database.read(lambda connection: integrations.everything(connection, removed=True))
    for integration in known:
        gone["batches"] += await _expire_batches(system, integration, now - keep)
    known_until = now - LONGEST_UPSTREAM - KEY_SLACK
    gone["keys"] = await system.database.write(lambda connection: expiry.expire_keys(connection, known_until))
    gone["audits"] = await system.database.write(lambda connection: backfills.expire(connection, now - AUDITS_KEPT))
    gone["polls"] = await system.database.write(lambda connection: polls.expire(connection, now - keep))
    return gone


async def _expire_batches(system: System, integration: Integration, before: datetime) -> int:
    def work(connection: Connection) -> int:
        passed = cursors.passed(connection, system.indexer.reader).get(integration.id, 0)
        return expiry.expire_batches(connection, integration.id, before, passed)

    return await system.database.write(work)
