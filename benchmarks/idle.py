"""What a thousand integrations cost: memory at rest, and processor time of one round of polls."""

from __future__ import annotations

import asyncio
import time

import psutil

from benchmarks import world
from conductor.operations import integrations, statuses
from conductor.operations.system import System

MANY = 1000
INTERVAL = 300.0  # seconds: the default polling interval
NOTHING_YET = "2100-01-01"  # a start in the future: every poll is a quiet one


async def idle() -> dict[str, float]:
    """Memory with one and with a thousand integrations; processor time of a round, as a share of one core."""
    process = psutil.Process()
    with world.simulated(0) as tenant:
        async with world.conductor() as system:
            running = [asyncio.create_task(system.supervisor.run()), asyncio.create_task(system.indexer.run())]
            await _add(system, tenant, range(1))
            one = process.memory_info().rss
            await _add(system, tenant, range(1, MANY))
            begun, used = time.perf_counter(), process.cpu_times()
            polls = await asyncio.gather(*(integrations.poll_now(system, _name(number)) for number in range(MANY)))
            took, after = time.perf_counter() - begun, process.cpu_times()
            many = process.memory_info().rss
            system.supervisor.stop()
            system.indexer.stop()
            await asyncio.gather(*running)
    busy = (after.user - used.user) + (after.system - used.system)
    return {
        "rss_1_mib": one / 2**20,
        "rss_1000_mib": many / 2**20,
        "requests_per_poll": sum(poll.requests for poll in polls) / MANY,
        "failed_polls": sum(poll.result != "ok" for poll in polls),
        "round_seconds": took,
        "round_cpu_seconds": busy,
        "cores_at_5_minutes": busy / INTERVAL,
    }


def _name(number: int) -> str:
    return f"tenant-{number}"


async def _add(system: System, tenant: world.Tenant, numbers: range) -> None:
    """Add, switch on, and wait until each has polled once (and so has its token)."""
    for number in numbers:
        values = tenant.values(start_from=NOTHING_YET)
        await integrations.add(system, _name(number), "auth0", values, enabled=True, by="bench", test=False)
    while True:
        found = await statuses.overview(system)
        if all(item.last is not None and not item.running for item in found):
            return
        await asyncio.sleep(0.5)
