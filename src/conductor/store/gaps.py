"""Gaps: spans we know we missed. They are told everywhere, and closed only by recovery or by a person with a note."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, func, insert, select, update

from conductor.core import clock
from conductor.core.errors import Conflict, NotFound
from conductor.core.poll import OPEN_STATES, Gap
from conductor.store import schema

_table = schema.gaps


def record(connection: Connection, integration_id: int, begins: datetime, ends: datetime, cause: str) -> Gap:
    """Write a gap down. One that the last open gap of the same cause touches makes that one longer instead."""
    first, last = clock.to_micros(begins), clock.to_micros(ends)
    same = (_table.c.integration_id == integration_id, _table.c.cause == cause, _table.c.state.in_(OPEN_STATES))
    touching = select(_table.c.id).where(*same, _table.c.begins <= last, _table.c.ends >= first)
    known = connection.execute(touching.order_by(_table.c.id.desc()).limit(1)).scalar()
    if known is not None:
        longer = {"begins": _least(_table.c.begins, first), "ends": _greatest(_table.c.ends, last)}
        connection.execute(update(_table).where(_table.c.id == known).values(longer))
        return _get(connection, known)
    row = {
        "integration_id": integration_id,
        "begins": first,
        "ends": last,
        "cause": cause,
        "state": "open",
        "found_at": clock.to_micros(clock.now()),
    }
    return _get(connection, int(connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one()))


def close(connection: Connection, integration_id: int, gap_id: int, *, note: str, by: str) -> Gap:
    """Close a gap with a person's note. Raises NotFound, Conflict when it is closed already."""
    here = (_table.c.id == gap_id, _table.c.integration_id == integration_id)
    state = connection.execute(select(_table.c.state).where(*here)).scalar()
    if state is None:
        raise NotFound(f"There is no gap {gap_id} in this integration.")
    if state not in OPEN_STATES:
        raise Conflict(f"Gap {gap_id} is {state} already.")
    values = {"state": "closed", "closed_at": clock.to_micros(clock.now()), "closed_by": by, "note": note}
    connection.execute(update(_table).where(*here).values(values))
    return _get(connection, gap_id)


def of(connection: Connection, integration_id: int) -> list[Gap]:
    """An integration's gaps, the newest first."""
    rows = connection.execute(
        select(_table).where(_table.c.integration_id == integration_id).order_by(_table.c.id.desc())
    )
    return [_gap(row) for row in rows]


def open_count(connection: Connection, integration_ids: Sequence[int]) -> dict[int, int]:
    """How many open gaps each integration has."""
    query = (
        select(_table.c.integration_id, func.count())
        .where(_table.c.integration_id.in_(integration_ids), _table.c.state.in_(OPEN_STATES))
        .group_by(_table.c.integration_id)
    )
    return {integration_id: int(count) for integration_id, count in connection.execute(query)}


def between(connection: Connection, start: datetime | None, end: datetime | None) -> list[Gap]:
    """The gaps that touch a span of time and are not recovered, oldest first, for searches that touch them."""
    query = select(_table).where(_table.c.state != "recovered")
    if start is not None:
        query = query.where(_table.c.ends >= clock.to_micros(start))
    if end is not None:
        query = query.where(_table.c.begins <= clock.to_micros(end))
    return [_gap(row) for row in connection.execute(query.order_by(_table.c.begins))]


def _least(column: Any, value: int) -> Any:
    return case((column < value, column), else_=value)


def _greatest(column: Any, value: int) -> Any:
    return case((column > value, column), else_=value)


def _get(connection: Connection, gap_id: int) -> Gap:
    return _gap(connection.execute(select(_table).where(_table.c.id == gap_id)).one())


def _gap(row: Row[Any]) -> Gap:
    return Gap(
        id=row.id,
        integration_id=row.integration_id,
        begins=clock.from_micros(row.begins),
        ends=clock.from_micros(row.ends),
        cause=row.cause,
        state=row.state,
        found_at=clock.from_micros(row.found_at),
        closed_at=None if row.closed_at is None else clock.from_micros(row.closed_at),
        closed_by=row.closed_by,
        note=row.note,
    )
