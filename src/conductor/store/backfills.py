"""Spans to read again, each a row: asked for, read page by page by the integration's poller, finished or stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, select, update

from conductor.core import backfill, clock
from conductor.core.backfill import Backfill
from conductor.core.errors import Conflict, NotFound
from conductor.store import schema

_table = schema.backfills
_FINISHED = (backfill.DONE, backfill.STOPPED)
_RANK = case((_table.c.lane == backfill.AUDIT, 2), (_table.c.gap_id.is_not(None), 0), else_=1)
# What every poll asks is built once.
_URGENT = (
    select(_table)
    .where(
        _table.c.integration_id == bindparam("integration"),
        _table.c.state.in_((backfill.WAITING, backfill.RUNNING)),
    )
    .order_by(_RANK, _table.c.id)
    .limit(1)
)
_BY_ID = select(_table).where(_table.c.id == bindparam("backfill"))
_AUDITED = (
    select(_table.c.cause, func.max(_table.c.ends))
    .where(_table.c.integration_id == bindparam("integration"), _table.c.lane == backfill.AUDIT)
    .group_by(_table.c.cause)
)
_ADVANCE = (
    update(_table)
    .where(_table.c.id == bindparam("backfill"))
    .values(
        reached=bindparam("until"),
        requests=_table.c.requests + bindparam("asked"),
        fetched=_table.c.fetched + bindparam("came"),
        new=_table.c.new + bindparam("unknown"),
    )
)
# What a person may do in which state, and the state after it.
DEEDS = {
    "pause": ((backfill.WAITING, backfill.RUNNING), backfill.PAUSED),
    "resume": ((backfill.PAUSED,), backfill.WAITING),
    "stop": (backfill.UNFINISHED, backfill.STOPPED),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A span to read again, and why."""

    begins: datetime
    ends: datetime
    lane: str = backfill.BACKFILL
    cause: str = backfill.PERSON
    gap_id: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What one page brought."""

    reached: datetime
    requests: int
    fetched: int
    new: int


def add(connection: Connection, integration_id: int, wanted: Wanted, *, by: str) -> Backfill:
    """Put a span in the queue."""
    row = {
        "integration_id": integration_id,
        "lane": wanted.lane,
        "cause": wanted.cause,
        "gap_id": wanted.gap_id,
        "begins": clock.to_micros(wanted.begins),
        "ends": clock.to_micros(wanted.ends),
        "state": backfill.WAITING,
        "asked_at": clock.to_micros(clock.now()),
        "asked_by": by,
    }
    return get(connection, int(connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one()))


def get(connection: Connection, backfill_id: int) -> Backfill:
    """By id. Raises NotFound."""
    row = connection.execute(_BY_ID, {"backfill": backfill_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no backfill {backfill_id}.")
    return _backfill(row)


def of(connection: Connection, integration_id: int, limit: int, lane: str = backfill.BACKFILL) -> list[Backfill]:
    """An integration's backfills, the newest first."""
    here = (_table.c.integration_id == integration_id, _table.c.lane == lane)
    rows = connection.execute(select(_table).where(*here).order_by(_table.c.id.desc()).limit(limit))
    return [_backfill(row) for row in rows]


def unfinished(connection: Connection, integration_ids: Sequence[int]) -> list[Backfill]:
    """What these integrations still have to read, the oldest first; audits left out."""
    here = (
        _table.c.integration_id.in_(integration_ids),
        _table.c.lane == backfill.BACKFILL,
        _table.c.state.in_(backfill.UNFINISHED),
    )
    return [_backfill(row) for row in connection.execute(select(_table).where(*here).order_by(_table.c.id))]


def urgent(connection: Connection, integration_id: int) -> Backfill | None:
    """What is to be read next: gaps first, for the vendor deletes; then what a person asked for; audits last."""
    row = connection.execute(_URGENT, {"integration": integration_id}).one_or_none()
    return None if row is None else _backfill(row)


def audited(connection: Connection, integration_id: int) -> dict[str, datetime]:
    """Where the last audit of each rhythm ends, one that is still to be read too."""
    rows = connection.execute(_AUDITED, {"integration": integration_id})
    return {cause: clock.from_micros(ends) for cause, ends in rows}


def first_audited(connection: Connection, integration_id: int) -> datetime:
    """Where the first audit that is known began: nothing before it was ever collected live. There is one."""
    here = (_table.c.integration_id == integration_id, _table.c.lane == backfill.AUDIT)
    return clock.from_micros(connection.execute(select(func.min(_table.c.begins)).where(*here)).scalar_one())


def asked(connection: Connection, integration_id: int, cause: str, since: datetime) -> bool:
    """Whether one of that cause was asked for since then."""
    here = (_table.c.integration_id == integration_id, _table.c.cause == cause)
    query = select(func.max(_table.c.asked_at)).where(*here)
    return (connection.execute(query).scalar() or 0) >= clock.to_micros(since)


def came_late(connection: Connection, integration_ids: Sequence[int], since: datetime) -> dict[int, int]:
    """How many records each integration's audits, asked for since then, found that were not known."""
    here = (
        _table.c.integration_id.in_(integration_ids),
        _table.c.cause.not_in((backfill.PERSON, backfill.GAP)),
        _table.c.asked_at >= clock.to_micros(since),
        _table.c.new > 0,
    )
    query = select(_table.c.integration_id, func.sum(_table.c.new)).where(*here).group_by(_table.c.integration_id)
    return {integration_id: int(count) for integration_id, count in connection.execute(query)}


def begin(connection: Connection, work: Backfill) -> bool:
    """Mark it as the one that is being read; what was read before waits. False when it is no longer wanted."""
    others = (_table.c.integration_id == work.integration_id, _table.c.id != work.id)
    running = _table.c.state == backfill.RUNNING
    connection.execute(update(_table).where(*others, running).values(state=backfill.WAITING))
    return _change(connection, work.id, (backfill.WAITING, backfill.RUNNING), {"state": backfill.RUNNING})


def advance(connection: Connection, work: Backfill, more: Progress) -> Backfill:
    """Count a page; one that a person has paused or stopped meanwhile counts too."""
    values = {
        "backfill": work.id,
        "until": clock.to_micros(more.reached),
        "asked": more.requests,
        "came": more.fetched,
        "unknown": more.new,
    }
    connection.execute(_ADVANCE, values)
    return get(connection, work.id)


def note(connection: Connection, work: Backfill, text: str) -> None:
    """Remember something of it, for its end."""
    connection.execute(update(_table).where(_table.c.id == work.id).values(note=text))


def finish(connection: Connection, work: Backfill, note: str = "", state: str = backfill.DONE) -> None:
    """It has been read to its end, or nobody wants it any more."""
    values = {"state": state, "finished_at": clock.to_micros(clock.now()), "note": note}
    _change(connection, work.id, backfill.UNFINISHED, values)


def steer(connection: Connection, integration_id: int, backfill_id: int, deed: str) -> Backfill:
    """Pause, resume or stop it. Raises NotFound, Conflict when its state does not allow that."""
    found = get(connection, backfill_id)
    if found.integration_id != integration_id:
        raise NotFound(f"There is no backfill {backfill_id} in this integration.")
    allowed, state = DEEDS[deed]
    if found.state not in allowed:
        raise Conflict(f"Backfill {backfill_id} is {found.state}: it cannot {deed}.")
    if state == backfill.STOPPED:
        finish(connection, found, state=backfill.STOPPED)
    else:
        _change(connection, backfill_id, allowed, {"state": state})
    return get(connection, backfill_id)


def recovery(connection: Connection, gap_id: int) -> Backfill | None:
    """The unfinished backfill that recovers a gap."""
    here = (_table.c.gap_id == gap_id, _table.c.state.in_(backfill.UNFINISHED))
    row = connection.execute(select(_table).where(*here)).first()
    return None if row is None else _backfill(row)


def stretch(connection: Connection, gap_id: int, begins: datetime, ends: datetime) -> bool:
    """A gap has grown: so does its recovery. False when none is left that could."""
    found = recovery(connection, gap_id)
    if found is None:
        return False
    values: dict[str, Any] = {"begins": clock.to_micros(begins), "ends": clock.to_micros(ends)}
    if begins < found.begins:
        values |= {"reached": None, "state": backfill.PAUSED if found.state == backfill.PAUSED else backfill.WAITING}
    connection.execute(update(_table).where(_table.c.id == found.id).values(values))
    return True


def stop_all(connection: Connection, *conditions: Any) -> None:
    """Stop what is unfinished of an integration's gap, or of an integration (see `forget`)."""
    values = {"state": backfill.STOPPED, "finished_at": clock.to_micros(clock.now())}
    connection.execute(update(_table).where(*conditions, _table.c.state.in_(backfill.UNFINISHED)).values(values))


def stop_recovery(connection: Connection, gap_id: int) -> None:
    """Nobody wants this gap recovered any more."""
    stop_all(connection, _table.c.gap_id == gap_id)


def forget(connection: Connection, integration_id: int) -> None:
    """For an integration that reads another tenant from now on: nothing of the old one is read again."""
    here = _table.c.integration_id == integration_id
    stop_all(connection, here)
    connection.execute(delete(_table).where(here, _table.c.lane == backfill.AUDIT))


def expire(connection: Connection, before: datetime) -> int:
    """Delete finished audits of before that time, but the last of each rhythm, after which the next begins."""
    last = select(func.max(_table.c.id)).group_by(_table.c.integration_id, _table.c.cause)
    old = (_table.c.finished_at < clock.to_micros(before), _table.c.lane == backfill.AUDIT, _table.c.id.not_in(last))
    return connection.execute(delete(_table).where(*old)).rowcount


def _change(connection: Connection, backfill_id: int, states: Sequence[str], values: Mapping[str, Any]) -> bool:
    here = (_table.c.id == backfill_id, _table.c.state.in_(states))
    return connection.execute(update(_table).where(*here).values(dict(values))).rowcount == 1


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else clock.from_micros(micros)


def _backfill(row: Row[Any]) -> Backfill:
    times: dict[str, Any] = {name: clock.from_micros(getattr(row, name)) for name in ("begins", "ends", "asked_at")}
    maybe: dict[str, Any] = {name: _moment(getattr(row, name)) for name in ("reached", "finished_at")}
    plain = "id integration_id lane cause gap_id state asked_by requests fetched new note".split()
    return Backfill(**times, **maybe, **{name: getattr(row, name) for name in plain})
