"""What is old enough goes: artifacts by day, batches that everybody has read, keys the vendor can no longer serve."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from conductor.analytics import artifacts
from conductor.analytics.server import SearchAway
from conductor.core import clock
from conductor.core.integration import Integration
from conductor.observe import log
from conductor.operations.system import System
from conductor.store import (
    audit,
    backfills,
    cursors,
    deliveries,
    exchanges,
    expiry,
    exports,
    facts,
    hours,
    integrations,
    leases,
    polls,
)
from conductor.store.database import Connection

KEY_SLACK = timedelta(days=7, hours=1)  # beyond the vendor's retention: a week, and the longest overlap
AUDITS_KEPT = timedelta(days=7)  # what they found is in the gaps
EXCHANGES_KEPT = timedelta(days=7)  # requests of polls, to look into failures
SETTING = "retention_days"  # the fact that holds what was set at the last start
LONGEST_UPSTREAM = timedelta(days=30)  # of all vendors


async def expire(system: System) -> dict[str, int]:
    """Delete what has passed its time; the answer counts what went. Raises StoreError.

    Of the workers that share a database one deletes there; each deletes in its own analytics.
    """
    now = clock.now()
    keep = timedelta(days=system.settings.retention_days)
    gone = {"days": await _expire_days(system, now - keep), "batches": 0, "keys": 0, "audits": 0, "polls": 0}
    if not system.membership.leads("retention"):
        return gone
    known = await system.database.read(lambda connection: integrations.everything(connection, removed=True))
    for integration in known:
        gone["batches"] += await _expire_batches(system, integration, now - keep)
    known_until = now - LONGEST_UPSTREAM - KEY_SLACK
    gone["keys"] = await system.database.write(lambda connection: expiry.expire_keys(connection, known_until))
    gone["audits"] = await system.database.write(lambda connection: backfills.expire(connection, now - AUDITS_KEPT))
    kept = await system.database.read(lambda connection: polls.first_since(connection, now - EXCHANGES_KEPT))
    await system.database.write(lambda connection: exchanges.expire(connection, kept))
    await system.database.write(lambda connection: hours.expire(connection, now - keep))
    await system.database.write(lambda connection: deliveries.expire(connection, now - keep))
    await system.database.write(lambda connection: exports.forget(connection, now - keep))
    gone["polls"] = await system.database.write(lambda connection: polls.expire(connection, now - keep))
    if gone["batches"]:
        await system.database.write(
            lambda connection: audit.append(connection, "conductor", "events.expired", "journal", gone)
        )
    return gone


async def note_setting(system: System) -> None:
    """Write down that the retention was changed; it is set from outside, so a start is when that is noticed."""
    days = str(system.settings.retention_days)

    def work(connection: Connection) -> None:
        before = facts.replace(connection, SETTING, days)
        if before not in (None, days):
            detail = {"days": [before, days]}
            audit.append(connection, "environment", "retention.changed", "retention", detail)

    await system.database.write(work)


async def _expire_days(system: System, before: datetime) -> int:
    """Of the index. A server that is away keeps nothing else from going."""
    try:
        return len(await system.analytics.write(lambda client: artifacts.expire(client, before)))
    except SearchAway as error:
        log(logging.WARNING, "retention: what is old stays in the index for now", {"reason": error})
        return 0


async def _expire_batches(system: System, integration: Integration, before: datetime) -> int:
    def work(connection: Connection) -> int:
        others = (worker.reader for worker in leases.living(connection))
        passed = cursors.passed(connection, *{system.indexer.reader, *others}).get(integration.id, 0)
        return expiry.expire_batches(connection, integration.id, before, passed)

    return await system.database.write(work)
