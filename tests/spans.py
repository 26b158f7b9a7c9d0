"""Pollers as after a restart, and what waits to be read again, for tests of completeness."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from worlds import Collecting

from conductor.core.backfill import Backfill
from conductor.core.poll import Gap
from conductor.operations import integrations
from conductor.signal_client.assembly import Assembly
from conductor.signal_client.poller import Poller
from conductor.signal_client.tools import Tools
from conductor.store import backfills, journal
from conductor.store.backfills import Wanted

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Calendar:
    """The time for vendor and Conductor alike, which can be set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def time(self) -> float:
        return time.time() + self.ahead.total_seconds()


@asynccontextmanager
async def poller(it: Collecting, name: str = "prod", assembly: Assembly | None = None) -> AsyncIterator[Poller]:
    """The integration's poller, as after a restart."""
    integration = await integrations.find(it.system, name)
    tools = Tools(it.system.database, it.system.metrics, it.system.indexer.wake)
    found = Poller(integration, await (assembly or it.system.assembly).source(integration), tools)
    try:
        yield found
    finally:
        found.stop()
        await found.run()


async def read_all(running: Poller) -> None:
    """Read everything that waits."""
    while await running.behind() == 0:
        pass


async def catch_up(it: Collecting, assembly: Assembly | None = None) -> None:
    """Read everything that waits after a restart, and index it."""
    async with poller(it, assembly=assembly) as running:
        await read_all(running)
    await it.index()


async def ask(it: Collecting, begins: datetime, ends: datetime) -> Backfill:
    """A person wants a span."""
    return await it.system.database.write(lambda c: backfills.add(c, 1, Wanted(begins, ends), by="ana"))


async def told(it: Collecting, wanted: Backfill) -> Backfill:
    """How it stands."""
    return await it.system.database.read(lambda connection: backfills.get(connection, wanted.id))


async def live(it: Collecting) -> journal.Position:
    """The live checkpoint."""
    return (await it.system.database.read(journal.positions))[1]


async def gap_list(it: Collecting) -> list[Gap]:
    """The gaps, oldest span first."""
    return sorted(await integrations.list_gaps(it.system, "prod"), key=lambda gap: gap.begins)


def within(it: Collecting, begins: datetime, ends: datetime) -> list[str]:
    """The ids that the vendor has of a span."""
    first, last = (f"{moment:%Y%m%d%H%M%S%f}" for moment in (begins, ends))
    return [name for name in it.world.log_ids() if first <= name[3:23] < last]
