"""A reader's place in the journal: the last batch that is done, and the range that is being inserted right now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from conductor.core import clock
from conductor.store import schema

_table, _fences = schema.cursors, schema.fences
_DONE = func.coalesce(_table.c.batch, 0)
_MINE = and_(_table.c.integration_id == _fences.c.integration_id, _table.c.reader == bindparam("reader"))
_BEHIND = (  # asked every few seconds, and built once
    select(_fences.c.integration_id, _DONE, _table.c.pending_to, _fences.c.last_batch)
    .join_from(_fences, _table, _MINE, isouter=True)
    .where(_fences.c.last_batch > _DONE)
    .order_by(_fences.c.integration_id)
)
_HERE = and_(_table.c.reader == bindparam("here"), _table.c.integration_id == bindparam("integration"))
_FREE = and_(_HERE, _table.c.batch == bindparam("done"), _table.c.pending_to.is_(None))
_ANNOUNCED = and_(_HERE, _table.c.pending_to == bindparam("to"))
_ANNOUNCE = update(_table).where(_FREE).values(pending_to=bindparam("to"))
_ADVANCE = update(_table).where(_ANNOUNCED).values(batch=bindparam("to"), pending_to=None)
_FIRST = {
    "sqlite": sqlite.insert(_table).on_conflict_do_nothing().returning(_table.c.batch),
    "postgresql": postgresql.insert(_table).on_conflict_do_nothing().returning(_table.c.batch),
}
_REWIND = update(_table).where(_HERE).values(batch=bindparam("done"), pending_to=None)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Batches up to `batch` are done; up to `pending_to` may be half done; up to `last` are in the journal."""

    integration_id: int
    batch: int
    pending_to: int | None
    last: int


def behind(connection: Connection, reader: str) -> list[Cursor]:
    """The cursors of one reader that have something left to do."""
    return [Cursor(*row) for row in connection.execute(_BEHIND, {"reader": reader})]


def ends(connection: Connection, reader: str) -> dict[int, int]:
    """For each integration, the last batch that a reader may have inserted, in part at least."""
    end = func.coalesce(_table.c.pending_to, _table.c.batch)
    rows = connection.execute(select(_table.c.integration_id, end).where(_table.c.reader == reader))
    return {integration_id: int(batch) for integration_id, batch in rows}


def done(connection: Connection, reader: str) -> dict[int, int]:
    """For each integration, the last batch that a reader has inserted for certain."""
    rows = connection.execute(select(_table.c.integration_id, _table.c.batch).where(_table.c.reader == reader))
    return {integration_id: int(batch) for integration_id, batch in rows}


def let_go(connection: Connection) -> dict[int, int]:
    """For each integration, the newest batch that has passed the retention: nothing before can be read again."""
    rows = connection.execute(select(_fences.c.integration_id, _fences.c.expired_batch))
    return {integration_id: int(batch) for integration_id, batch in rows}


def waiting_since(connection: Connection, reader: str) -> dict[int, datetime]:
    """For each integration that a reader is behind with, when the first batch it has not done was committed."""
    batches = schema.batches
    next_one = and_(batches.c.integration_id == _fences.c.integration_id, batches.c.batch == _DONE + 1)
    rows = connection.execute(
        select(_fences.c.integration_id, func.min(batches.c.committed_at))
        .join_from(_fences, _table, _MINE, isouter=True)
        .join(batches, next_one)
        .where(_fences.c.last_batch > _DONE)
        .group_by(_fences.c.integration_id),
        {"reader": reader},
    )
    return {integration_id: clock.from_micros(at) for integration_id, at in rows}


def announce(connection: Connection, reader: str, integration_id: int, done: int, to: int) -> bool:
    """Write down what will be inserted next, before it is. False when another process was faster: then it inserts."""
    place = {"here": reader, "integration": integration_id, "done": done, "to": to}
    if connection.execute(_ANNOUNCE, place).rowcount:
        return True
    row = {"reader": reader, "integration_id": integration_id, "batch": 0, "pending_to": to}
    return done == 0 and connection.execute(_FIRST[connection.dialect.name], row).first() is not None


def advance(connection: Connection, reader: str, integration_id: int, to: int) -> None:
    """The announced range is inserted: move on, unless another process did."""
    connection.execute(_ADVANCE, {"here": reader, "integration": integration_id, "to": to})


def rewind(connection: Connection, reader: str, integration_id: int, done: int) -> None:
    """Go back to where the target really is."""
    connection.execute(_REWIND, {"here": reader, "integration": integration_id, "done": done})


def reset(connection: Connection, reader: str) -> None:
    """Begin again at the first batch of every integration, for a target that is empty."""
    connection.execute(_table.delete().where(_table.c.reader == reader))


def passed(connection: Connection, *readers: str) -> dict[int, int]:
    """For each integration, the batch that all of these readers have passed; others hold up nothing."""
    rows = connection.execute(
        select(_table.c.integration_id, func.min(_table.c.batch))
        .where(_table.c.reader.in_(readers))
        .group_by(_table.c.integration_id)
        .having(func.count() == len(readers))
    )
    return {integration_id: int(batch) for integration_id, batch in rows}
