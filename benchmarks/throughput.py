"""Events a second, from the vendor's API over TLS to committed (synchronous=FULL) and to searchable."""

from __future__ import annotations

import asyncio
import time

from benchmarks import world
from conductor.operations import integrations, search
from conductor.operations.search import Request

EVENTS = 100_000


async def end_to_end() -> dict[str, float]:
    """One integration collects a history; the indexer runs beside it."""
    with world.simulated(EVENTS) as tenant:
        async with world.conductor() as system:
            await world.add(system, "bench", tenant)
            indexing = asyncio.create_task(system.indexer.run())
            begun = time.perf_counter()
            poll = await integrations.poll_now(system, "bench")
            committed = time.perf_counter() - begun
            while await search.count(system, Request()) < poll.new:
                await asyncio.sleep(0.02)
            searchable = time.perf_counter() - begun
            system.indexer.stop()
            await indexing
    return {
        "events": poll.new,
        "requests": poll.requests,
        "committed_per_second": poll.new / committed,
        "searchable_per_second": poll.new / searchable,
        "last_commit_to_searchable_seconds": searchable - committed,
    }


if __name__ == "__main__":
    print(asyncio.run(end_to_end()))
