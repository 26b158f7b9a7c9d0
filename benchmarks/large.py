"""A data directory with ten million events, collected and indexed: made once, kept for those who need it.

BENCH_EVENTS makes it another number. With BENCH_JOURNAL=0 the journal lets go at once of what is indexed, as retention
does later, so that more events fit; such an index cannot be built anew from its journal, nor proved by it. With
BENCH_CLICKHOUSE_URL, the address of a ClickHouse server without a database's name, the index is in a database there
that is called like the directory.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
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
from conductor.store import cursors, expiry, journal, polls
from conductor.store.database import Connection

EVENTS = int(os.environ.get("BENCH_EVENTS", "10_000_000"))
JOURNAL = os.environ.get("BENCH_JOURNAL", "1") != "0"
SERVER = os.environ.get("BENCH_CLICKHOUSE_URL", "").rstrip("/")
INTEGRATIONS = 10
SLICE = 10_000  # events authored at once, at the most
DAYS = 30
PAGE = 100
INDEXED, KEPT = 375, 230  # bytes of an event in the index and in the journal, measured over ten million
MERGING = 1.4  # while parts are merged, old ones lie beside new ones for minutes
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


def directory(events: int = EVENTS) -> Path:
    """The data directory, made on the first use; ten million events take twenty minutes."""
    kind = ("" if JOURNAL else "-index") + ("-server" if SERVER else "")
    folder = Path(tempfile.gettempdir()) / f"conductor-bench-{events}{kind}"
    done = folder / "complete"
    if not done.exists():
        _make_room(folder, events)
        done.write_text(str(asyncio.run(_make(folder, events))))
    return folder


def loading(folder: Path) -> float | None:
    """The seconds it took to commit and index what is in a data directory; None where they were not noted."""
    text = (folder / "complete").read_text()
    return float(text) if text else None


def _make_room(folder: Path, events: int) -> None:
    """Say how much it will be, and end where that does not fit."""
    if folder.exists():
        raise SystemExit(f"{folder} is being made, or was cut short. Wait, or remove it.")
    size = events * (INDEXED + KEPT * JOURNAL)
    most = events * (INDEXED * MERGING + KEPT * JOURNAL)
    free = shutil.disk_usage(folder.parent).free
    told = f"{events:,} events will be about {size / 1e9:.1f} GB, {most / 1e9:.1f} GB while they are merged"
    print(f"{told}; {free / 1e9:.1f} GB are free in {folder.parent}.", file=sys.stderr, flush=True)
    if most > free:
        raise SystemExit(
            "That does not fit. Ask for fewer by BENCH_EVENTS, or leave out the journal by BENCH_JOURNAL=0."
        )


async def _make(folder: Path, events: int) -> float:
    """The answer is how many seconds committing and indexing took; another process authors the events beside it."""
    observe.set_up()
    size, took = slice_of(events), 0.0
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool, app.owned(folder) as owned:
        author = functools.partial(asyncio.get_running_loop().run_in_executor, pool, authored)
        async with app.opened(settings(folder), owned) as system:
            positions = [await _begin(system, f"bench-{number}") for number in range(INTEGRATIONS)]
            following = author(0, size)
            for number in range(events // size):
                pages, following = await following, author(number + 1, size)
                begun = time.perf_counter()
                await _load(system, positions[number % INTEGRATIONS], pages)
                took += time.perf_counter() - begun
            await following
            begun = time.perf_counter()
            await system.analytics.write(artifacts.settle)
            return took + time.perf_counter() - begun


def slice_of(events: int) -> int:
    """How many events to author at once, so that each integration has some of each day."""
    return max(10 * PAGE, min(SLICE, events // (INTEGRATIONS * DAYS) // PAGE * PAGE))


async def _load(system: System, here: list[object], pages: list[list[Signal]]) -> None:
    await system.database.write(functools.partial(commit, place=here, pages=pages))
    while await system.indexer.catch_up():
        pass
    if not JOURNAL:
        await system.database.write(functools.partial(_let_go, reader=system.indexer.reader))


def _let_go(connection: Connection, reader: str) -> None:
    """What retention does with batches that are old enough, and with keys that no vendor can serve any more."""
    later = clock.now() + timedelta(days=1)
    for integration_id, batch in cursors.passed(connection, reader).items():
        expiry.expire_batches(connection, integration_id, later, batch)
    expiry.expire_keys(connection, later)


async def _begin(system: System, name: str) -> list[object]:
    added = await integrations.add(system, name, "auth0", VALUES, enabled=False, by="bench", test=False)
    return await place(system, added.id)


async def place(system: System, integration_id: int) -> list[object]:
    """Where an integration is in the journal, and a poll that has begun, to commit with."""

    def begin(connection: Connection) -> list[object]:
        position = journal.take_over(connection, integration_id)
        return [position, polls.begin(connection, position, clock.now())]

    return await system.database.write(begin)


def authored(number: int, size: int = SLICE) -> list[list[Signal]]:
    """Pages of the simulator's own events of one day; no two slices have an event in common."""
    days_ago = number // INTEGRATIONS % DAYS
    tenant = Tenant(TenantSpec(history=size, days=1, seed=number), clock.now() - timedelta(days=days_ago))
    signals = [Signal(event.log_id, event.body) for event in tenant.events[:size]]
    return [signals[at : at + PAGE] for at in range(0, len(signals), PAGE)]


def commit(connection: Connection, place: list[object], pages: list[list[Signal]]) -> None:
    """Commit pages where an integration is, and move on."""
    position, poll = place
    for page in pages:
        checkpoint = Checkpoint(page[-1].id.encode(), clock.now())
        brought = journal.Page(poll, page, checkpoint, None)
        position = journal.commit(connection, position, brought, clock.now()).position
    place[0] = position
