"""SQLite behind `store.database`: how its one writer and its readers are opened."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, Engine, event

from conductor.core.errors import StoreError

BUSY_TIMEOUT = 5.0  # seconds


def writing(url: sqlalchemy.URL) -> Engine:
    """The engine of the one connection that writes, each transaction immediate."""
    engine = sqlalchemy.create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False}, pool_size=1
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reading(url: sqlalchemy.URL, *, connections: int) -> Engine:
    """An engine that cannot write."""
    target = f"file:{quote(str(url.database))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(target, uri=True, timeout=BUSY_TIMEOUT, check_same_thread=False)

    return sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=sqlalchemy.QueuePool, pool_size=connections)


def keep_names(directory: Path) -> None:
    """Sync the directory, so that the log's name outlasts a power loss: SQLite does it too, but ignores a failure.
    Raises StoreError."""
    try:
        folder = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError(f"The data directory cannot be synced: {error.strerror}.") from error


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, see _begin_immediate
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != ("wal",):  # SQLite does not raise: it goes on in the mode that was, where a commit may not last
        raise sqlite3.OperationalError("disk I/O error: no write-ahead log can be used here")
    for pragma in ("synchronous=FULL", "trusted_schema=OFF", "foreign_keys=ON", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
