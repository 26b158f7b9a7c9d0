"""What an integration did: its polls down to their requests, its last hours, and who changed its settings."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from conductor.core import clock, masking
from conductor.core.poll import Exchange, Poll
from conductor.operations import integrations
from conductor.operations.system import System
from conductor.store import audit, exchanges, hours, polls
from conductor.store.audit import Entry
from conductor.store.database import Connection
from conductor.store.hours import Hour
from conductor.store.polls import EVERY, Wanted

__all__ = ["EVERY", "Wanted", "changes", "days", "one_poll", "recent_polls"]


async def recent_polls(
    system: System, name: str, limit: int = 50, before: int | None = None, wanted: Wanted = EVERY
) -> list[Poll]:
    """The newest polls first. Raises NotFound."""
    found = await integrations.find(system, name)
    return await system.database.read(lambda connection: polls.recent(connection, found.id, limit, before, wanted))


async def one_poll(system: System, name: str, poll_id: int, *, masked: bool = False) -> tuple[Poll, list[Exchange]]:
    """A poll and its requests, which are kept for a week, `masked` without personal data. Raises NotFound."""
    found = await integrations.find(system, name)

    def read(connection: Connection) -> tuple[Poll, list[Exchange]]:
        return polls.in_integration(connection, found.id, poll_id), exchanges.of(connection, poll_id)

    poll, made = await system.database.read(read)
    if not masked:
        return poll, made
    return poll, [msgspec.structs.replace(one, body=masking.record(one.body)) for one in made]


async def days(system: System, integration_ids: Sequence[int]) -> dict[int, list[Hour]]:
    """The last 24 hours of each of these integrations, the present one last; one without a poll is there, too."""
    now = clock.now()
    since = now - hours.DAY
    found = await system.database.read(lambda connection: hours.of(connection, integration_ids, since))
    return {integration_id: hours.filled(told, since, now) for integration_id, told in found.items()}


async def changes(system: System, name: str, most: int = 8) -> Sequence[Entry]:
    """Who changed its settings, the newest first."""
    made = (await integrations.find(system, name)).created_at  # there may have been another of that name
    wanted = audit.Wanted(target=name, action="integration.", since=made)
    return await system.database.read(lambda connection: audit.recent(connection, most, wanted=wanted))
