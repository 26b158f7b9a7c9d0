"""Records that could not be taken as the vendor has them: each is written down once, with what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection, func, insert, select

from conductor.core import clock
from conductor.core.schedule import Span
from conductor.core.signal import Quarantined, Signal
from conductor.store import gaps, schema

CONFLICT = "conflict"
LONGEST_ID = 512  # characters of a vendor's id that are kept here
_table = schema.quarantine


def add(
    connection: Connection, integration_id: int, poll_id: int, found: Sequence[Quarantined], now: datetime
) -> tuple[Quarantined, ...]:
    """Write them down; the answer is those that were not known before. One that is missing leaves a gap, which is lost:
    reading the span again would not bring it, but a person can have that done with a larger limit."""
    fresh = tuple(item for item in found if _add(connection, integration_id, poll_id, item, now))
    for item in fresh:
        if item.begins is not None and item.ends is not None:
            span = Span(item.begins, item.ends)
            gaps.settled(connection, integration_id, span, cause=item.cause, state="lost", note=_note(item))
    return fresh


def second_body(signal: Signal) -> Quarantined:
    """What is kept of a record that came again with another body: the first one stands."""
    return Quarantined(CONFLICT, signal.id, len(signal.raw), sha256(signal.raw).digest())


def _add(connection: Connection, integration_id: int, poll_id: int, item: Quarantined, now: datetime) -> bool:
    name = _writable(item.signal_id)
    known = select(_table.c.id).where(
        _table.c.integration_id == integration_id,
        _table.c.cause == item.cause,
        _table.c.signal_id == name,
        _table.c.sha256 == item.sha256,
    )
    if connection.execute(known).first() is not None:
        return False
    row = {
        "integration_id": integration_id,
        "poll_id": poll_id,
        "found_at": clock.to_micros(now),
        "cause": item.cause,
        "signal_id": name,
        "size": item.size,
        "sha256": item.sha256,
    }
    connection.execute(insert(_table), row)
    return True


def count(connection: Connection) -> int:
    """How many records were set aside."""
    return int(connection.execute(select(func.count()).select_from(_table)).scalar_one())


def _note(item: Quarantined) -> str:
    size = "of unknown size" if item.size is None else f"of {item.size:,} bytes"
    return f"One event {size} was left out. Id: {_writable(item.signal_id) or 'unknown'}."


def _writable(signal_id: str) -> str:
    """An id as a column of text holds it: PostgreSQL takes no NUL, and UTF-8 no lone surrogate."""
    return signal_id.encode("utf-8", "replace").decode().replace("\0", "?")[:LONGEST_ID]
