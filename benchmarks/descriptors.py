"""Open files and threads of a process that collects, indexes and answers searches for some minutes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks import world
from conductor.operations import integrations, search
from conductor.operations.search import Request
from conductor.operations.system import System

MINUTES = 5.0
SEARCHERS = 4
PROCESS = Path("/proc/self")


async def descriptors() -> dict[str, float]:
    """The most there were of each: looked at between the polls, twice a second or so."""
    most = dict.fromkeys(("files", "threads"), 0)
    loop = asyncio.get_running_loop()
    with world.simulated(1_000, days=0.5, rate=20.0) as tenant:
        async with world.conductor() as system:
            await world.add(system, "bench", tenant)
            working = [asyncio.create_task(system.indexer.run())]
            working += [asyncio.create_task(_search(system)) for _ in range(SEARCHERS)]
            end = loop.time() + MINUTES * 60.0
            while loop.time() < end:
                await integrations.poll_now(system, "bench")
                most["files"] = max(most["files"], len(os.listdir(PROCESS / "fd")))
                most["threads"] = max(most["threads"], len(os.listdir(PROCESS / "task")))
                await asyncio.sleep(0.3)
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    return {"minutes": MINUTES, "most_open_files": most["files"], "most_threads": most["threads"]}


async def _search(system: System) -> None:
    while True:
        await search.search(system, Request(last="24h"))
        await asyncio.sleep(0.5)
