"""How a thousand integrations ask after a restart: how evenly, how much of each tenant's limit, how often refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from benchmarks import world
from conductor.core import clock
from conductor.operations import integrations, statuses
from conductor.operations.system import System
from conductor.signal_client.supervisor import Supervisor
from conductor.simulator.server import Server, running
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import Seen, World

TENANTS, EACH = 100, 10
INTERVAL = 60.0  # seconds, the shortest there is
ROUNDS = 3
SHARE = 20  # per cent of a tenant's limit, as configured unless said otherwise
LIMIT = 100.0  # requests a minute that the simulated plan refills


async def polite() -> dict[str, float]:
    """Requests of three intervals, after a stop that lasted one."""
    specs = [
        TenantSpec(
            name=f"t{number}",
            host=f"127.0.0.{number + 2}",
            aliases=(),
            plan="essentials",
            rate_limit="plan",
            history=5,
            days=0.1,
            seed=number,
        )
        for number in range(TENANTS)
    ]
    async with running(World(specs)) as server, world.conductor() as system:
        await _add(system, server)
        await _run(system, until=lambda: _polled(system))
        await asyncio.sleep(INTERVAL)  # now every one of them is due
        begun = clock.now()
        await _run(system, until=lambda: asyncio.sleep(ROUNDS * INTERVAL, True))
        seen = [asked for asked in server.world.stats.seen if asked.at >= begun]
    return _figures(seen, begun)


async def _add(system: System, server: Server) -> None:
    for number in range(TENANTS):
        spec = server.world.tenants[f"t{number}"].spec
        values = {
            "domain": server.authority(spec.name),
            "client_id": spec.client_id,
            "client_secret": spec.client_secret,
            "ca_bundle": server.ca.read_text(),
            "plan": "essentials",
            "rate_share": SHARE,
            "polling_interval": 1,
        }
        for copy in range(EACH):
            name = f"{spec.name}-{copy}"
            await integrations.add(system, name, "auth0", values, enabled=True, by="bench", test=False)


async def _run(system: System, until: object) -> None:
    """A supervisor of its own for as long as that takes."""
    supervisor = Supervisor(system.supervisor._assembly, system.supervisor._tools, system.supervisor._membership)
    task = asyncio.create_task(supervisor.run())
    while not await until():  # type: ignore[operator]
        await asyncio.sleep(1.0)
    supervisor.stop()
    await task


async def _polled(system: System) -> bool:
    found = await statuses.overview(system)
    return all(item.last is not None and not item.running for item in found)


def _figures(seen: Sequence[Seen], begun: datetime) -> dict[str, float]:
    by_second = Counter(int((asked.at - begun).total_seconds()) for asked in seen)
    by_minute = Counter((asked.tenant, int((asked.at - begun).total_seconds() // 60)) for asked in seen)
    mean = len(seen) / (ROUNDS * INTERVAL)
    return {
        "requests": len(seen),
        "mean_requests_a_second": mean,
        "most_in_one_second": max(by_second.values()),
        "peak_by_mean": max(by_second.values()) / mean,
        "most_of_a_tenants_limit_percent": 100.0 * max(by_minute.values()) / LIMIT,
        "refused_percent": 100.0 * sum(asked.status == 429 for asked in seen) / len(seen),
    }
