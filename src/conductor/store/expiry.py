"""What the journal lets go: the oldest batches, with the anchor of the chain that is left, and old keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from conductor.core import clock
from conductor.store import schema
from conductor.store.journal import DAY


def expire_keys(connection: Connection, before: datetime) -> int:
    """Forget keys committed before that day, of all integrations in one pass. Safe once no vendor can serve them."""
    table, day = schema.signal_keys, clock.to_micros(before) // DAY
    return connection.execute(delete(table).where(table.c.day < day)).rowcount


def expire_batches(connection: Connection, integration_id: int, before: datetime, passed: int) -> int:
    """Delete the oldest batches that every reader has passed, up to the first that was committed after `before`.

    The link of the last one that goes becomes the anchor, so that the chain of those that stay can still be proved.
    """
    table, fences = schema.batches, schema.fences
    here = table.c.integration_id == integration_id
    young = select(func.min(table.c.batch)).where(here, table.c.committed_at >= clock.to_micros(before))
    first_kept = connection.execute(young).scalar()
    to = passed if first_kept is None else min(passed, first_kept - 1)
    anchor = connection.execute(select(table.c.chain).where(here, table.c.batch == to)).one_or_none()
    if anchor is None:
        return 0
    moved = {"expired_batch": to, "expired_chain": anchor.chain}
    connection.execute(update(fences).where(fences.c.integration_id == integration_id).values(moved))
    return connection.execute(delete(table).where(here, table.c.batch <= to)).rowcount
