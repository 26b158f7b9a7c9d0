"""One PostgreSQL for several processes: what each tells of the others, what one does for all, and a store that goes
back in time under a running process."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy
from worlds import Collecting, collecting, run

from conductor.core import clock
from conductor.operations import integrations, retention, statuses, workers
from conductor.simulator.tenant import TenantSpec
from conductor.store import cursors, leases, schema
from conductor.store.database import Connection
from conductor.store.leases import Worker
from conductor.web.app import create_app

OTHER = Worker("other", "two.example.com", 4711, "artifacts/other")
LOST = ("polls", "cursors", "signal_keys", "batches", "checkpoints", "fences")  # what a standby may lack the end of


def test_f68_a_store_that_lost_its_tail_fetches_it_again_and_the_index_follows(
    tmp_path: Path, migrated_postgresql_url: str
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=150), database_url=migrated_postgresql_url) as it:
            await it.add()
            await it.poll()
            earlier = await it.system.database.read(_saved)
            await _more(it, 40)
            await it.poll()
            assert await it.count() == len(it.world.log_ids())
            await it.system.database.write(lambda connection: _restore(connection, earlier))
            await _more(it, 3)
            await it.poll()
            await it.index()
            assert sorted(await it.ids()) == sorted(it.world.log_ids()), "everything once"

    run(work)


async def _more(it: Collecting, count: int) -> None:
    for _ in range(count):
        it.world.first.add({"type": "s"}, clock.now())


def _saved(connection: Connection) -> dict[str, list[Any]]:
    return {name: [row._asdict() for row in connection.execute(_table(name).select())] for name in LOST}


def _restore(connection: Connection, rows: dict[str, list[Any]]) -> None:
    for name in LOST:
        connection.execute(_table(name).delete())
    for name in reversed(LOST):
        if rows[name]:
            connection.execute(_table(name).insert(), rows[name])


def _table(name: str) -> sqlalchemy.Table:
    return schema.metadata.tables[name]


def test_pages_api_and_command_line_tell_the_workers(tmp_path: Path, migrated_postgresql_url: str) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=10), database_url=migrated_postgresql_url) as it:
            await it.add()
            await it.poll()
            assert await workers.living(it.system) == []
            await it.system.membership.join()
            await it.system.database.write(lambda connection: leases.renew(connection, OTHER))
            await it.system.database.write(lambda connection: leases.claim(connection, "other", [1]))
            found = {item.worker.id: item for item in await workers.living(it.system)}
            mine = found[it.system.membership.worker.id]
            assert (mine.here, mine.integrations) == (True, 0)
            assert (found["other"].here, found["other"].integrations) == (False, 1)
            async with _client(it) as client:
                told = (await client.get("/api/v1/status")).json()["workers"]
                assert {(item["host"], item["pid"], item["integrations"]) for item in told} >= {
                    ("two.example.com", 4711, 1)
                }
                assert "two.example.com" in (await client.get("/?tab=services")).text

    run(work)


def test_alone_nobody_is_told_of_workers(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=10)) as it:
            await it.add()
            assert await workers.living(it.system) == []
            async with _client(it) as client:
                assert (await client.get("/api/v1/status")).json()["workers"] == []
                assert "Workers" not in (await client.get("/?tab=services")).text

    run(work)


def test_what_is_polled_elsewhere_has_its_next_poll_from_the_last(tmp_path: Path, migrated_postgresql_url: str) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=10), database_url=migrated_postgresql_url) as it:
            await it.add(polling_interval=7)
            poll = await it.poll()
            assert (await statuses.status(it.system, "prod")).next_poll_at is None
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            told = await statuses.status(it.system, "prod")
            assert told.next_poll_at == poll.started_at + timedelta(minutes=7)

    run(work)


def test_batches_stay_for_the_slowest_reader_that_lives(tmp_path: Path, migrated_postgresql_url: str) -> None:
    """A reader whose process is gone holds nothing up; one that lives does, however slow."""

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=150), database_url=migrated_postgresql_url) as it:
            await it.add()
            await it.poll()
            database = it.system.database
            await database.write(lambda connection: _age(connection, timedelta(days=100)))
            held = await database.read(_batches)
            await database.write(lambda connection: cursors.announce(connection, OTHER.reader, 1, 0, 1))
            await database.write(lambda connection: cursors.advance(connection, OTHER.reader, 1, 1))
            await database.write(lambda connection: leases.renew(connection, OTHER))
            assert (await retention.expire(it.system))["batches"] == 1
            assert await database.read(_batches) == held - 1
            await database.write(lambda connection: leases.leave(connection, OTHER.id))
            assert (await retention.expire(it.system))["batches"] == held - 1

    run(work)


def _age(connection: Connection, by: timedelta) -> None:
    table = schema.batches
    connection.execute(table.update().values(committed_at=table.c.committed_at - by // clock.MICROSECOND))


def _batches(connection: Connection) -> int:
    return int(connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.batches)).scalar_one())


def _client(it: Collecting) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(create_app(it.system, local=True))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
