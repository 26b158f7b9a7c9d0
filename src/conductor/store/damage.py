"""Is the database file whole? A quick look at each start, a thorough one by `conductor db check` and once a week.

PostgreSQL looks after its own pages; there is nothing to do for it here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection, Engine, select

from conductor.core.errors import StoreCorrupt
from conductor.store import evidence, schema
from conductor.store.database import DAMAGED, UNREADABLE

_COLUMNS = (  # as bytes: they may be no text any more
    "SELECT CAST(t.name AS BLOB), CAST(c.name AS BLOB) FROM sqlite_schema t, pragma_table_info(t.name) c "
    "WHERE t.type = 'table'"
)
SMALL = 64 * 2**20  # bytes of a file that is read whole at each start
LARGE = frozenset({"batches", "signal_keys", "polls"})  # tables that are left to the thorough check
STEPS = 100_000  # of SQLite's machine between two looks whether to stop
MOST = 20  # findings that are told


def refuse(engine: Engine) -> None:
    """Raise StoreCorrupt for a SQLite file with a broken page where it would hurt most. Quick, however large it is."""
    with engine.connect() as connection:
        found = _quick(connection)
    if found:
        raise corrupt(engine.url, found[0])


def refuse_torn(engine: Engine) -> None:
    """Raise StoreCorrupt unless all tables are as they were made, and the newest batch of every integration is the one
    that was written last."""
    with engine.connect() as connection:
        for table, column in _missing(connection):
            raise corrupt(engine.url, f"the table {table} has no column {column}")
        fences = connection.execute(select(schema.fences)).all()
        for fence in fences:
            if not evidence.end_holds(connection, fence):
                what = f"batch {fence.last_batch} of integration {fence.integration_id} is not as it was written"
                raise corrupt(engine.url, what)


def _missing(connection: Connection) -> Iterator[tuple[str, str]]:
    """Columns that are not in the file: a byte of their names was changed, which SQLite does not mind."""
    if connection.dialect.name != "sqlite":
        return
    found = {(row[0], row[1]) for row in connection.exec_driver_sql(_COLUMNS)}
    for table in schema.metadata.sorted_tables:
        made = ((table.name, column.name) for column in table.columns)
        yield from ((name, column) for name, column in made if (name.encode(), column.encode()) not in found)


def thorough(engine: Engine, stopped: Callable[[], bool] = lambda: False) -> list[str]:
    """What SQLite itself finds wrong with the whole file; nothing for PostgreSQL. Ends soon once `stopped` is true."""
    if engine.dialect.name != "sqlite":
        return []
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.set_progress_handler(stopped, STEPS)
            found = _pragma(connection, f"PRAGMA integrity_check({MOST})")
            foreign = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    except sqlalchemy.exc.DatabaseError as error:
        return [str(error.orig)]
    except UnicodeDecodeError:  # the driver cannot even read what SQLite says of the file
        return [UNREADABLE]
    return found + [f"{row[0]}: row {row[1]} belongs to no row of {row[2]}" for row in foreign[:MOST]]


def corrupt(url: sqlalchemy.URL, what: str) -> StoreCorrupt:
    """The error to raise, with what was found."""
    return StoreCorrupt(f"The database {url.database} is damaged: {what}", what=what)


def _quick(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    try:
        if _size(connection) <= SMALL:
            return _pragma(connection, "PRAGMA quick_check(1)")
        names = connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars()
        small = [name for name in names if name not in LARGE and not name.startswith("sqlite_")]
        return [line for name in small for line in _pragma(connection, f"PRAGMA quick_check('{name}')")]
    except sqlalchemy.exc.DatabaseError as error:
        if not damaging(error):
            raise  # it is locked, or the disk is full: the pages may be well
        return [str(error.orig)]


def damaging(error: sqlalchemy.exc.DBAPIError) -> bool:
    """Whether SQLite says by this error that the file itself is not as it should be."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def _size(connection: Connection) -> int:
    path = Path(connection.engine.url.database or "")
    return path.stat().st_size if path.exists() else 0


def _pragma(connection: Connection, statement: str) -> list[str]:
    found = connection.exec_driver_sql(statement).scalars()
    return [" ".join(line.replace("*** in database main ***", "").split()) for line in found if line != "ok"]
