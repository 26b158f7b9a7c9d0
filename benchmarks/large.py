"""A data directory with ten million events, collected and indexed: made once, kept for those who need it.

BENCH_EVENTS says how many. With BENCH_CLICKHOUSE_URL, the address of a ClickHouse server without a database's name, the
index is in a database there that is called like the directory.
"""

from __future__ import annotations

import asyncio
import functools
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from conductor import app, observe
from conductor.analytics import artifacts
from conductor.analytics.engine import Analytics
from conductor.core import clock
from conductor.core.signal import Checkpoint, Signal
from conductor.operations import integrations
from conductor.operations.system import System
from conductor.settings import Settings
from conductor.simulator.tenant import Tenant, TenantSpec
from conductor.store import journal, polls
from conductor.store.database import Connection

EVENTS = int(os.environ.get("BENCH_EVENTS", "10_000_000"))
SERVER = os.environ.get("BENCH_CLICKHOUSE_URL", "").rstrip("/")
FOLDER = Path(tempfile.gettempdir()) / f"conductor-bench-{EVENTS}{'-server' if SERVER else ''}"
INTEGRATIONS = 10
SLICE = 10_000  # events authored at once
DAYS = 30
PAGE = 100
VALUES = {"domain": "acme.us.auth0.com", "client_id": "bench", "client_secret": "bench", "plan": "enterprise"}


def settings(folder: Path, **more: Any) -> Settings:
    """Of a Conductor on that directory; its index is in the engine that is measured."""
    url = f"{SERVER}/{folder.name.replace('-', '_')}" if SERVER else ""
    allowed = "127.0.0.0/8,::1/128"
    return Settings(data=folder, allow_private_targets=allowed, retention_days=3650, clickhouse_url=url, **more)


def environment(folder: Path) -> dict[str, str]:
    """Of a Conductor in a process of its own on that directory."""
    return {**os.environ, "CONDUCTOR_CLICKHOUSE_URL": settings(folder).clickhouse_url}


async def engine(analytics: Analytics) -> str:
    """What is measured, said plainly; a server by the name that it gives itself."""
    asked = "SELECT version(), displayName()"
    version, name = (await analytics.read(lambda client: client.query(asked).result_rows))[0]
    return f"ClickHouse {version}, server {analytics.target} ({name})" if SERVER else f"ClickHouse {version}, embedded"


def directory() -> Path:
    """The data directory, made on the first use; that takes twenty minutes."""
    if not (FOLDER / "complete").exists():
        asyncio.run(_make())
        (FOLDER / "complete").touch()
    return FOLDER


async def _make() -> None:
    observe.set_up()
    with app.owned(FOLDER) as folder:
        async with app.opened(settings(FOLDER), folder) as system:
            positions = [await _begin(system, f"bench-{number}") for number in range(INTEGRATIONS)]
            for number in range(EVENTS // SLICE):
                here = positions[number % INTEGRATIONS]
                await system.database.write(functools.partial(commit, place=here, pages=authored(number)))
                while await system.indexer.catch_up():
                    pass
            await system.analytics.write(artifacts.settle)


async def _begin(system: System, name: str) -> list[object]:
    added = await integrations.add(system, name, "auth0", VALUES, enabled=False, by="bench", test=False)
    return await place(system, added.id)


async def place(system: System, integration_id: int) -> list[object]:
    """Where an integration is in the journal, and a poll that has begun, to commit with."""

    def begin(connection: Connection) -> list[object]:
        position = journal.take_over(connection, integration_id)
        return [position, polls.begin(connection, position, clock.now())]

    return await system.database.write(begin)


def authored(number: int) -> list[list[Signal]]:
    """Pages of the simulator's own events of one day; no two slices have an event in common."""
    days_ago = number // INTEGRATIONS % DAYS
    tenant = Tenant(TenantSpec(history=SLICE, days=1, seed=number), clock.now() - timedelta(days=days_ago))
    signals = [Signal(event.log_id, event.body) for event in tenant.events[:SLICE]]
    return [signals[at : at + PAGE] for at in range(0, len(signals), PAGE)]


def commit(connection: Connection, place: list[object], pages: list[list[Signal]]) -> None:
    """Commit pages where an integration is, and move on."""
    position, poll = place
    for page in pages:
        checkpoint = Checkpoint(page[-1].id.encode(), clock.now())
        brought = journal.Page(poll, page, checkpoint, None)
        position = journal.commit(connection, position, brought, clock.now()).position
    place[0] = position
