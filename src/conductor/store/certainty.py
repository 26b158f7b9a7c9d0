"""A commit whose answer never came: the connection to the server was lost, and whether it was done is not known."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from conductor.core import clock
from conductor.store import journal, schema
from conductor.store.journal import Committed, Page, Position


def done(connection: Connection, position: Position, page: Page, now: datetime) -> Committed | None:
    """What that commit did, or None when it was not carried out; `position` and `now` are those it was tried with.

    It was, when under our epoch the checkpoint stands where the page puts it, one version on, or when the newest batch
    is this page's. Raises Fenced when another owner came.
    """
    standing = journal.beside(connection, position, position.lane)
    new = _newest(connection, position, page, now)
    if new or (standing.version == position.version + 1 and standing.checkpoint == page.checkpoint):
        return Committed(standing, new, len(page.signals) - new, 0, None)  # a conflict counts as a duplicate here
    return None


def _newest(connection: Connection, position: Position, page: Page, now: datetime) -> int:
    """How many signals the newest batch holds, if that try wrote it; else 0."""
    table, fences = schema.batches, schema.fences
    here = fences.c.integration_id == position.integration_id
    query = (
        select(table.c.signals)
        .join_from(fences, table, fences.c.integration_id == table.c.integration_id)
        .where(here, table.c.batch == fences.c.last_batch, table.c.poll_id == page.poll_id)
        .where(table.c.lane == position.lane, table.c.committed_at == clock.to_micros(now))
    )
    return connection.execute(query).scalar() or 0
