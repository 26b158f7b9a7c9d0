"""Seconds from a commit to a searchable event."""

from __future__ import annotations

import asyncio
import time

from benchmarks import world
from conductor.operations import integrations, search
from conductor.operations.search import Request

ROUNDS = 20


async def freshness() -> dict[str, float]:
    """Events arrive at 20 a second; each poll's commit is timed until its events are found."""
    waits: list[float] = []
    with world.simulated(1_000, days=0.5, rate=20.0) as tenant:
        async with world.conductor() as system:
            await world.add(system, "bench", tenant)
            indexing = asyncio.create_task(system.indexer.run())
            total = 0
            for _ in range(ROUNDS):
                total += (await integrations.poll_now(system, "bench")).new
                committed = time.perf_counter()
                while await search.count(system, Request()) < total:
                    await asyncio.sleep(0.01)
                waits.append(time.perf_counter() - committed)
            system.indexer.stop()
            await indexing
    waits.sort()
    return {"rounds": ROUNDS, "median_seconds": waits[ROUNDS // 2], "worst_seconds": waits[-1]}
