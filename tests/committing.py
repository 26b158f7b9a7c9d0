"""A small collector for tests that kill it: the product's store and commit path, fed by a scripted source.

As a program it commits what is missing and tells each commit on stdout after it was acknowledged:

    python tests/committing.py FOLDER [--pages N] [--wal PAGES] [--synchronous OFF] [--together] [--quiet]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy
from sqlalchemy import event

from conductor.core.errors import StoreError
from conductor.core.poll import OK
from conductor.core.signal import Checkpoint, Signal
from conductor.store import evidence, integrations, journal, migrations, polls, schema
from conductor.store.database import Connection, Database, sqlite_url
from conductor.store.journal import Page, Position

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
INTEGRATIONS = (1, 2)
SIZE = 20  # events of a page
OVERLAP = 5  # of them served again by the next page
FAILED = 1  # exit code


def ids(integration_id: int, page: int) -> list[str]:
    """The ids on one page of the scripted source; pages overlap."""
    begin = max(0, page * SIZE - OVERLAP)
    return [f"900202601010000{number:06}{integration_id:035}" for number in range(begin, (page + 1) * SIZE)]


def up_to(integration_id: int, page: int) -> list[str]:
    """All ids of the pages before that one."""
    return sorted({signal for before in range(page) for signal in ids(integration_id, before)})


def _signals(integration_id: int, page: int) -> list[Signal]:
    """Bodies that hardly compress, so that a batch is as large as a real one."""
    return [Signal(id_, b"".join(_noise(id_, part) for part in range(4))) for id_ in ids(integration_id, page)]


def _noise(id_: str, part: int) -> bytes:
    return hashlib.blake2b(f"{id_}/{part}".encode()).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: `wal` folds the log in after so many pages, so that a short run has every kind of step."""

    folder: Path
    pages: int
    wal: int
    synchronous: str
    together: bool
    quiet: bool


async def collect(options: Options) -> None:
    """Commit what is missing of each integration's pages. Raises StoreError."""
    database = Database(sqlite_url(options.folder / "conductor.db"))
    event.listen(database.engine, "connect", lambda connection, _record: _tune(connection, options))
    try:
        await database.prepare(migrations.upgrade)
        await database.open()
        await database.write(_add)
        lanes = [_pages(database, id_, options) for id_ in INTEGRATIONS]
        if options.together:
            await asyncio.gather(*lanes)
        else:
            for lane in lanes:
                await lane
    finally:
        await database.close()


def _tune(connection: sqlite3.Connection, options: Options) -> None:
    connection.execute(f"PRAGMA wal_autocheckpoint={options.wal}")
    if options.synchronous != "FULL":
        connection.execute(f"PRAGMA synchronous={options.synchronous}")


def _add(connection: Connection) -> None:
    known = {integration.id for integration in integrations.everything(connection)}
    for id_ in INTEGRATIONS:
        if id_ not in known:
            integrations.add(connection, f"source {id_}", "auth0", {"client_id": "ours"}, enabled=True, by="test")


async def _pages(database: Database, integration_id: int, options: Options) -> None:
    """As the poller does it: take over, open the record, commit page by page, close the record."""

    def take_over(connection: Connection) -> Position:
        polls.interrupt(connection, integration_id, BEGIN)
        return journal.take_over(connection, integration_id)

    position = await database.write(take_over)
    poll_id = await database.write(lambda connection: polls.begin(connection, position, BEGIN))
    while (page := _place(position)) < options.pages:
        position = await _page(database, position, poll_id, page)
        if not options.quiet:
            os.write(1, f"committed {integration_id} {page + 1}\n".encode())
    await database.write(lambda connection: polls.end(connection, poll_id, polls.Outcome(OK), BEGIN))


async def _page(database: Database, position: Position, poll_id: int, page: int) -> Position:
    after = Checkpoint(str(page + 1).encode(), BEGIN + timedelta(minutes=page))
    content = Page(poll_id, _signals(position.integration_id, page), after, None)
    now = BEGIN + timedelta(hours=1)
    done = await database.write(lambda connection: journal.commit(connection, position, content, now))
    return done.position


def _place(position: Position) -> int:
    return int(position.checkpoint.position) if position.checkpoint else 0


def inspect(folder: Path, *, prove: bool = False) -> dict[int, int]:
    """Open the store as the product does and prove it whole; the answer is how many pages each integration has.

    Every event up to the checkpoint is there once, none beyond it; keys, counts and batch numbers agree. `prove`
    has the product prove its chains, too.
    """
    database = Database(sqlite_url(folder / "conductor.db"))
    try:
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA quick_check").scalars().all() == ["ok"]
            if not sqlalchemy.inspect(connection).has_table("integrations"):
                return {}
            known = [integration.id for integration in integrations.everything(connection)]
            reached = {
                id_: _place(journal.positions(connection)[id_]) if _moved(connection, id_) else 0 for id_ in known
            }
            for id_, page in reached.items():
                _agree(connection, id_, page)
        proofs = evidence.prove(database.engine, evidence.Depth(BEGIN, every_key=True)) if prove else ()
        for proof in proofs:
            assert proof.broken is None
        return reached
    finally:
        database.engine.dispose()


def _moved(connection: Connection, integration_id: int) -> bool:
    return integration_id in journal.positions(connection)


def _agree(connection: Connection, integration_id: int, page: int) -> None:
    batches = journal.read(connection, integration_id, 1, 1_000_000)
    found = [signal for batch in batches for signal in batch.signals]
    assert sorted(signal.id for signal in found) == up_to(integration_id, page)
    assert all(signal.raw == b"".join(_noise(signal.id, part) for part in range(4)) for signal in found)
    fence, keys, visits = schema.fences.c, schema.signal_keys.c, schema.polls.c
    last = sqlalchemy.select(fence.last_batch).where(fence.integration_id == integration_id)
    assert [batch.batch for batch in batches] == list(range(1, connection.execute(last).scalar_one() + 1))
    known = sqlalchemy.select(sqlalchemy.func.count()).where(keys.integration_id == integration_id)
    assert connection.execute(known).scalar_one() == len(found)
    counted = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(visits.new), 0))
    assert connection.execute(counted.where(visits.integration_id == integration_id)).scalar_one() == len(found)


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 when the store failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=3)
    parser.add_argument("--wal", type=int, default=16)
    parser.add_argument("--synchronous", default="FULL")
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    try:
        asyncio.run(collect(Options(**vars(parser.parse_args(arguments)))))
    except StoreError as error:
        os.write(2, f"{error}\n".encode())
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
