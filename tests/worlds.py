"""A simulated tenant over real TLS and a Conductor with real stores, in one process, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import clickhouse
import httpx2

from conductor import app
from conductor.core import clock
from conductor.core.poll import Poll
from conductor.operations import integrations, search
from conductor.operations.search import Request
from conductor.operations.system import System
from conductor.settings import Settings
from conductor.simulator.server import Application, Server, running
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World

LOOPBACK = "127.0.0.0/8,::1/128"


@dataclass(frozen=True, slots=True)
class Collecting:
    """One Conductor and the simulated vendor it talks to."""

    system: System
    server: Server

    @property
    def world(self) -> World:
        """The simulated tenants."""
        return self.server.world

    def values(self, tenant: str | None = None, **more: Any) -> dict[str, Any]:
        """The form's values for a tenant."""
        spec = (self.world.tenants[tenant] if tenant else self.world.first).spec
        fixed = {
            "domain": self.server.authority(tenant),
            "client_id": spec.client_id,
            "client_secret": spec.client_secret,
            "ca_bundle": self.server.ca.read_text(),
            "plan": "enterprise",
            "rate_share": 100,
        }
        return fixed | more

    async def add(self, name: str = "prod", tenant: str | None = None, *, test: bool = False, **more: Any) -> None:
        """An integration, switched off: tests poll it themselves."""
        await integrations.add(
            self.system, name, "auth0", self.values(tenant, **more), enabled=False, by="test", test=test
        )

    async def poll(self, name: str = "prod") -> Poll:
        """One poll, indexed."""
        poll = await integrations.poll_now(self.system, name)
        await self.index()
        return poll

    async def index(self) -> None:
        """Index everything that is committed."""
        while await self.system.indexer.catch_up():
            pass

    async def ids(self, query: str = "*") -> list[str]:
        """The log ids that a search finds, all pages of it."""
        found: list[str] = []
        after = None
        while True:
            page = await search.search(self.system, Request(q=query, limit=1000, after=after))
            found += [row["log_id"] for row in page.rows]
            after = page.next
            if after is None:
                return found

    async def count(self, query: str = "*") -> int:
        """How many a search finds."""
        return await search.count(self.system, Request(q=query))


@asynccontextmanager
async def collecting(
    folder: Path, *specs: TenantSpec, now: Callable[[], datetime] = clock.now, **settings: Any
) -> AsyncIterator[Collecting]:
    """Start both; `now` is the vendor's clock."""
    given = {"allow_private_targets": LOOPBACK, "clickhouse_url": clickhouse.address}
    loaded = Settings(data=folder / "data", **(given | settings))
    async with running(World(specs or [TenantSpec()], now=now)) as server:
        with app.owned(loaded.data) as directory:
            async with app.opened(loaded, directory) as system:
                yield Collecting(system, server)


@asynccontextmanager
async def collecting_in_jumps(
    folder: Path, *specs: TenantSpec, now: Callable[[], datetime] = clock.now, **settings: Any
) -> AsyncIterator[Collecting]:
    """Like `collecting`, without sockets: nothing there ticks, so that hours pass in moments (virtual.run_hastily)."""
    loaded = Settings(data=folder / "data", **settings)
    authority = folder / "ca.pem"
    authority.write_text("")
    world = World(specs or [TenantSpec()], now=now)
    vendor = httpx2.ASGITransport(app=Application(world))
    with app.owned(loaded.data) as directory:
        async with app.opened(loaded, directory, opener=lambda _: vendor) as system:
            yield Collecting(system, Server(world, 443, authority))


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine, with a limit that only a hanging test reaches."""
    asyncio.run(asyncio.wait_for(work(), 60))
