"""A database as the first version left it, and its upgrade as a program, for tests that kill it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command

from conductor.core.errors import StoreError
from conductor.core.signal import Signal
from conductor.store import journal, migrations
from conductor.store.database import Connection, Database, sqlite_url

BATCHES = 60
FAILED = 1


def make(folder: Path) -> None:
    """Revision 0001 with one integration, its batches, keys, and audit entries."""
    database = Database(sqlite_url(folder / "conductor.db"))
    config = migrations.configuration()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        _fill(connection)
    asyncio.run(database.close())


def _fill(connection: Connection) -> None:
    _add(
        connection,
        "integrations",
        {
            "id": 1,
            "name": "prod",
            "connector": "auth0",
            "config": "{}",
            "enabled": True,
            "revision": 1,
            "created_at": 0,
            "changed_at": 0,
            "changed_by": "ana",
        },
    )
    _add(connection, "fences", {"integration_id": 1, "epoch": 3, "last_batch": BATCHES})
    for batch in range(1, BATCHES + 1):
        body, size = journal.pack([Signal(f"log-{batch}", hashlib.blake2b(b"%d" % batch).digest() * 8)])
        _add(
            connection,
            "batches",
            {
                "integration_id": 1,
                "batch": batch,
                "lane": "live",
                "poll_id": 1,
                "committed_at": batch,
                "signals": 1,
                "size": size,
                "body": body,
            },
        )
        _add(
            connection,
            "audit",
            {"time": batch, "actor": "ana", "address": "", "action": "x", "target": "y", "detail": "{}"},
        )


def _add(connection: Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    connection.execute(sqlalchemy.text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)


def rows(folder: Path) -> dict[str, list[Any]]:
    """What the database holds, in the columns of the first version; it is checked as well."""
    columns = {
        "integrations": "id, name",
        "fences": "integration_id, epoch, last_batch",
        "batches": "batch, signals, size, body",
        "audit": "time, actor, action",
    }
    engine = Database(sqlite_url(folder / "conductor.db")).engine
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA quick_check").scalars().all() == ["ok"]
        found = {
            table: connection.exec_driver_sql(f"SELECT {names} FROM {table} ORDER BY 1").all()
            for table, names in columns.items()
        }
    engine.dispose()
    return found


def main(arguments: Sequence[str]) -> int:
    """Upgrade as a start of Conductor does."""
    database = Database(sqlite_url(Path(arguments[0]) / "conductor.db"))

    async def work() -> None:
        try:
            await database.prepare(migrations.upgrade)
        finally:
            await database.close()

    try:
        asyncio.run(work())
    except StoreError:
        return FAILED
    return 0
