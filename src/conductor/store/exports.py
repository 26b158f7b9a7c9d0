"""Exports that are made in the background: what was asked for, and how far each is. Their files are elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from conductor.core import clock
from conductor.core.errors import NotFound
from conductor.store import schema

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
CANCELLED, EXPIRED = "cancelled", "expired"
ACTIVE = (WAITING, RUNNING)
_table = schema.exports


@dataclass(frozen=True, slots=True)
class Job:
    """One of them. `place`, `size`, `count` and `missing` belong together: so far it is written. `home` is the data
    directory that has its file, empty where there is one only."""

    id: int
    state: str
    reason: str
    made_by: str
    home: str
    host: str
    asked: Mapping[str, Any]
    total: int
    place: str | None
    size: int
    count: int
    missing: Mapping[str, Any]
    sha256: str
    created_at: datetime
    started_at: datetime | None
    done_at: datetime | None

    @property
    def active(self) -> bool:
        """Whether it is still to be done."""
        return self.state in ACTIVE


def add(
    connection: Connection, *, made_by: str, home: str, host: str, asked: Mapping[str, Any], total: int, missing: Any
) -> Job:
    """Store a new one, which waits."""
    row = {
        "state": WAITING,
        "reason": "",
        "made_by": made_by,
        "home": home,
        "host": host,
        "asked": _json(asked),
        "total": total,
        "place": "",
        "size": 0,
        "count": 0,
        "missing": _json(missing),
        "sha256": "",
        "created_at": clock.to_micros(clock.now()),
    }
    return get(connection, int(connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one()))


def get(connection: Connection, job_id: int) -> Job:
    """By id. Raises NotFound."""
    row = connection.execute(select(_table).where(_table.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such export.")
    return _job(row)


def recent(connection: Connection, limit: int, made_by: str | None = None) -> list[Job]:
    """The newest first, of one user or of all."""
    whose = () if made_by is None else (_table.c.made_by == made_by,)
    rows = connection.execute(select(_table).where(*whose).order_by(_table.c.id.desc()).limit(limit))
    return [_job(row) for row in rows]


def of(connection: Connection, home: str, states: Collection[str]) -> list[Job]:
    """Those of a data directory in one of these states, the oldest first; what is begun before what waits."""
    here = (_table.c.home == home, _table.c.state.in_(states))
    order = (_table.c.started_at.is_(None), _table.c.id)
    return [_job(row) for row in connection.execute(select(_table).where(*here).order_by(*order))]


def active(connection: Connection, made_by: str) -> int:
    """How many of a user are still to be done."""
    here = (_table.c.made_by == made_by, _table.c.state.in_(ACTIVE))
    return int(connection.execute(select(func.count()).select_from(_table).where(*here)).scalar_one())


def begin(connection: Connection, job_id: int) -> bool:
    """It runs; False when it is to be done no more."""
    return _change(connection, job_id, ACTIVE, state=RUNNING, started_at=_now())


def advance(connection: Connection, job_id: int, *, place: str | None, size: int, count: int, missing: Any) -> bool:
    """So far it is written; False when it is to be done no more."""
    return _change(connection, job_id, ACTIVE, place=place, size=size, count=count, missing=_json(missing))


def finish(connection: Connection, job_id: int, *, size: int, sha256: str) -> bool:
    """It is done; False when it was cancelled meanwhile."""
    return _change(connection, job_id, ACTIVE, state=DONE, size=size, sha256=sha256, done_at=_now())


def fail(connection: Connection, job_id: int, reason: str) -> bool:
    """It cannot be done."""
    return _change(connection, job_id, ACTIVE, state=FAILED, reason=reason, done_at=_now())


def cancel(connection: Connection, job_id: int) -> bool:
    """It is to be done no more; False when it is not to be done anyway."""
    return _change(connection, job_id, ACTIVE, state=CANCELLED, done_at=_now())


def expire(connection: Connection, job_id: int, reason: str) -> bool:
    """Its file is gone."""
    return _change(connection, job_id, (DONE,), state=EXPIRED, reason=reason)


def forget(connection: Connection, before: datetime) -> None:
    """Remove those that ended before a time and have no file."""
    ended = (_table.c.state.in_((FAILED, CANCELLED, EXPIRED)), _table.c.done_at < clock.to_micros(before))
    connection.execute(delete(_table).where(*ended))


def _change(connection: Connection, job_id: int, states: Collection[str], **values: Any) -> bool:
    here = (_table.c.id == job_id, _table.c.state.in_(states))
    return connection.execute(update(_table).where(*here).values(values)).rowcount == 1


def _now() -> int:
    return clock.to_micros(clock.now())


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _job(row: Row[Any]) -> Job:
    same = ("id", "state", "reason", "made_by", "home", "host", "total", "place", "size", "sha256")
    return Job(
        **{name: getattr(row, name) for name in same},
        count=row._mapping["count"],
        asked=msgspec.json.decode(row.asked),
        missing=msgspec.json.decode(row.missing),
        created_at=clock.from_micros(row.created_at),
        started_at=_time(row.started_at),
        done_at=_time(row.done_at),
    )


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else clock.from_micros(micros)
