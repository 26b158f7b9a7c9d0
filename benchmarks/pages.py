"""What the pages cost with a thousand integrations and two days of polls: time on the server, bytes on the wire."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx2
from sqlalchemy import case, func, insert, literal_column, select

from benchmarks import world
from conductor.core import clock
from conductor.core.poll import OK
from conductor.operations.system import System
from conductor.store import integrations, schema
from conductor.store.database import Connection
from conductor.web.app import create_app

MANY = 1000
DAYS, INTERVAL = 2, timedelta(minutes=5)
FAILING = 0.02  # of the integrations
ROUNDS = 20
PATHS = {
    "list": "/admin/settings/integrations",
    "failed": "/admin/settings/integrations?status=red",
    "dashboard": "/",
    "one": "/admin/settings/integrations/tenant-500",
    "search": "/signals/search?last=24h",
}


async def pages() -> dict[str, float]:
    """Median and slowest answer (ms), and size (KB, gzip) of each page; the body is read to its end."""
    figures: dict[str, float] = {}
    async with world.conductor() as system:
        await _fill(system)
        transport = httpx2.ASGITransport(create_app(system, local=True))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            for name, path in PATHS.items():
                figures |= {f"{name}_{figure}": value for figure, value in (await _measured(http, path)).items()}
    return figures


async def _measured(http: httpx2.AsyncClient, path: str) -> dict[str, float]:
    took, size = [], 0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        async with http.stream("GET", path, headers={"accept-encoding": "gzip"}) as response:
            size = sum([len(chunk) async for chunk in response.aiter_raw()])
            response.raise_for_status()
        took.append(1000 * (time.perf_counter() - begun))
    return {"ms": statistics.median(took[1:]), "slowest_ms": max(took[1:]), "kb": size / 1000}


async def _fill(system: System) -> None:
    def add(connection: Connection) -> list[int]:
        config = {"domain": "acme.us.auth0.com", "client_id": "bench"}
        return [
            integrations.add(connection, f"tenant-{number}", "auth0", config, enabled=True, by="bench").id
            for number in range(MANY)
        ]

    ids = await system.database.write(add)
    failing = set(random.Random(0).sample(ids, int(FAILING * MANY)))
    now = clock.now()
    begun = now - timedelta(days=DAYS)
    for rows in _rounds(ids, failing, begun, now):
        await system.database.write(partial(_insert, rows))
    await system.database.write(_sum_up)


def _insert(rows: list[dict[str, Any]], connection: Connection) -> None:
    connection.execute(insert(schema.polls), rows)


def _sum_up(connection: Connection) -> None:
    polls = schema.polls.c
    hour = polls.finished_at // literal_column("3600000000")
    failed = func.sum(case((polls.needs_person, 1), else_=0))
    counted = select(polls.integration_id, hour, func.count(), failed, failed, func.sum(polls.new))
    rows = counted.group_by(polls.integration_id, hour)
    names = ["integration_id", "hour", "polls", "failed", "stopped", "new"]
    connection.execute(insert(schema.hours).from_select(names, rows))


def _rounds(ids: list[int], failing: set[int], at: datetime, until: datetime) -> Iterator[list[dict[str, Any]]]:
    """A round of polls of everybody, as often as the interval says; some fail since a day ago."""
    while at < until:
        fails = at > until - timedelta(days=1)
        yield [_poll(each, at, failed=fails and each in failing) for each in ids]
        at += INTERVAL


def _poll(integration_id: int, at: datetime, *, failed: bool) -> dict[str, Any]:
    micros = clock.to_micros(at)
    return {
        "integration_id": integration_id,
        "lane": "live",
        "started_at": micros,
        "finished_at": micros + 400_000,
        "result": "auth0.scope.missing" if failed else OK,
        "needs_person": failed,
        "requests": 1,
        "fetched": 0 if failed else 40,
        "new": 0 if failed else 40,
        "complete": not failed,
        "rate_limit": 100,
        "rate_remaining": 98,
    }
