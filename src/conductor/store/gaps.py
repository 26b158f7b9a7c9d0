"""Gaps: spans we know we missed. They are told everywhere, and closed only by recovery or by a person with a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, insert, select, update

from conductor.core import backfill, clock
from conductor.core.backfill import Backfill
from conductor.core.errors import Conflict, NotFound
from conductor.core.poll import OPEN_STATES, TOLD_STATES, Gap
from conductor.core.schedule import Span
from conductor.store import audit, backfills, schema

CONDUCTOR = "conductor"  # who did it, when no person did
GONE = "The vendor no longer has it."
IN_TIME = "Collected before the vendor deleted it."
NOTHING_NEW = "Everything the vendor has of it was there already."
_table = schema.gaps


def record(connection: Connection, integration_id: int, begins: datetime, ends: datetime, cause: str) -> Gap:
    """Write a gap down and queue its recovery. One that the last open gap of the same cause touches makes that one
    longer instead."""
    first, last = clock.to_micros(begins), clock.to_micros(ends)
    same = (_table.c.integration_id == integration_id, _table.c.cause == cause, _table.c.state.in_(OPEN_STATES))
    touching = select(_table.c.id).where(*same, _table.c.begins <= last, _table.c.ends >= first)
    known = connection.execute(touching.order_by(_table.c.id.desc()).limit(1)).scalar()
    if known is None:
        gap = _insert(connection, integration_id, Span(begins, ends), cause=cause, state="open")
    else:
        longer = {"begins": _least(_table.c.begins, first), "ends": _greatest(_table.c.ends, last)}
        connection.execute(update(_table).where(_table.c.id == known).values(longer))
        gap = get(connection, known)
        if backfills.stretch(connection, gap.id, gap.begins, gap.ends):
            return gap
    queue(connection, gap, by=CONDUCTOR)
    return gap


def settled(connection: Connection, integration_id: int, span: Span, *, cause: str, state: str, note: str) -> Gap:
    """Write down a span that is lost, or that came late and is there now: nothing is left to recover."""
    return _insert(connection, integration_id, span, cause=cause, state=state, note=note)


def queue(connection: Connection, gap: Gap, *, by: str) -> Backfill:
    """Let the span be read again. Raises Conflict when that is being done, or nobody misses it any more."""
    if gap.state == "recovered" or gap.closed_at is not None:
        raise Conflict(f"Gap {gap.id} is {gap.state} already.")
    if backfills.recovery(connection, gap.id) is not None:
        raise Conflict(f"Gap {gap.id} is being recovered already.")
    if gap.state == "lost":
        _set(connection, gap.id, {"state": "open"})
    ends = max(gap.ends, gap.begins + clock.MICROSECOND)  # a single record's gap has no length
    wanted = backfills.Wanted(gap.begins, ends, cause=backfill.GAP, gap_id=gap.id)
    return backfills.add(connection, gap.integration_id, wanted, by=by)


def recovering(connection: Connection, gap_id: int, *, now_open: bool = False) -> None:
    """Its span is being read again; or (`now_open`) no more."""
    state, before = ("open", "recovering") if now_open else ("recovering", "open")
    connection.execute(update(_table).where(_table.c.id == gap_id, _table.c.state == before).values(state=state))


def lose(connection: Connection, gap_id: int, lost: Span, note: str = GONE) -> None:
    """The vendor no longer has this part of a gap: it becomes a gap of its own that is lost, and so does what was
    recovered before it. What lies behind it is still being recovered."""
    gap = get(connection, gap_id)
    if gap.state not in OPEN_STATES:
        return
    lost = Span(max(lost.begins, gap.begins), min(lost.ends, gap.ends))
    if lost.begins > gap.begins:
        before = Span(gap.begins, lost.begins)
        _insert(connection, gap.integration_id, before, cause=gap.cause, state="recovered", note=IN_TIME)
    if lost.ends >= gap.ends:
        _set(connection, gap_id, {"begins": clock.to_micros(lost.begins), "state": "lost", "note": note})
    else:
        _insert(connection, gap.integration_id, lost, cause=gap.cause, state="lost", note=note)
        _set(connection, gap_id, {"begins": clock.to_micros(lost.ends)})
    _audit(connection, gap.integration_id, "gap.lost", lost, {"gap": gap_id, "cause": gap.cause})


def recovered(connection: Connection, gap_id: int, new: int) -> Gap:
    """Its span was read to the end. One that is lost or closed stays so."""
    gap = get(connection, gap_id)
    if gap.state in OPEN_STATES:
        note = f"{new:,} event{'' if new == 1 else 's'} collected late." if new else NOTHING_NEW
        values = {"state": "recovered", "closed_at": clock.to_micros(clock.now()), "closed_by": CONDUCTOR, "note": note}
        _set(connection, gap_id, values)
        span = Span(gap.begins, gap.ends)
        _audit(connection, gap.integration_id, "gap.recovered", span, {"gap": gap_id, "new": new})
    return get(connection, gap_id)


def close(connection: Connection, integration_id: int, gap_id: int, *, note: str, by: str) -> Gap:
    """Close a gap with a person's note. One that is lost stays lost, only the tile tells it no more.

    Raises NotFound, Conflict when it is closed already.
    """
    here = (_table.c.id == gap_id, _table.c.integration_id == integration_id)
    row = connection.execute(select(_table.c.state, _table.c.closed_at).where(*here)).one_or_none()
    if row is None:
        raise NotFound(f"There is no gap {gap_id} in this integration.")
    if row.closed_at is not None or row.state not in TOLD_STATES:
        raise Conflict(f"Gap {gap_id} is {'closed' if row.state == 'lost' else row.state} already.")
    state = "lost" if row.state == "lost" else "closed"
    _set(connection, gap_id, {"state": state, "closed_at": clock.to_micros(clock.now()), "closed_by": by, "note": note})
    backfills.stop_recovery(connection, gap_id)
    return get(connection, gap_id)


def in_integration(connection: Connection, integration_id: int, gap_id: int) -> Gap:
    """By id, of that integration only. Raises NotFound."""
    gap = get(connection, gap_id)
    if gap.integration_id != integration_id:
        raise NotFound(f"There is no gap {gap_id} in this integration.")
    return gap


def of(connection: Connection, integration_id: int) -> list[Gap]:
    """An integration's gaps, the newest first."""
    rows = connection.execute(
        select(_table).where(_table.c.integration_id == integration_id).order_by(_table.c.id.desc())
    )
    return [_gap(row) for row in rows]


def told(connection: Connection, integration_ids: Sequence[int]) -> dict[int, list[Gap]]:
    """The gaps that each integration's tile tells: open ones, and lost ones that nobody has closed yet."""
    query = select(_table).where(
        _table.c.integration_id.in_(integration_ids), _table.c.state.in_(TOLD_STATES), _table.c.closed_at.is_(None)
    )
    found: dict[int, list[Gap]] = {}
    for row in connection.execute(query.order_by(_table.c.id)):
        found.setdefault(row.integration_id, []).append(_gap(row))
    return found


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


def get(connection: Connection, gap_id: int) -> Gap:
    """By id. Raises NotFound."""
    row = connection.execute(select(_table).where(_table.c.id == gap_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no gap {gap_id}.")
    return _gap(row)


def _insert(connection: Connection, integration_id: int, span: Span, *, cause: str, state: str, note: str = "") -> Gap:
    now = clock.to_micros(clock.now())
    row = {
        "integration_id": integration_id,
        "begins": clock.to_micros(span.begins),
        "ends": clock.to_micros(span.ends),
        "cause": cause,
        "state": state,
        "found_at": now,
        "note": note,
    }
    if state == "recovered":
        row |= {"closed_at": now, "closed_by": CONDUCTOR}
    added = int(connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one())
    _audit(connection, integration_id, "gap.found", span, {"gap": added, "cause": cause, "state": state})
    return get(connection, added)


def _set(connection: Connection, gap_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(_table).where(_table.c.id == gap_id).values(dict(values)))


def _audit(connection: Connection, integration_id: int, action: str, span: Span, detail: Mapping[str, Any]) -> None:
    names = schema.integrations
    name = connection.execute(select(names.c.name).where(names.c.id == integration_id)).scalar_one()
    facts = {**detail, "from": clock.to_text(span.begins), "to": clock.to_text(span.ends)}
    audit.append(connection, CONDUCTOR, action, name, facts)


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
