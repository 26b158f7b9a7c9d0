"""Who polls which integration, where several processes share one database.

A process is a worker: a row that lives until its `expires`, by the database's own clock, so that the clocks of the
machines do not matter. An integration is held while its owner lives. Leases keep the peace; what keeps the data right
is the epoch, which grows with every change of owner and is checked inside each commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from conductor.core import clock
from conductor.store import schema

TTL = 30_000_000  # microseconds
FORGET = 3_600_000_000  # microseconds after its end in which a worker's row goes
_fences, _workers = schema.fences, schema.workers


class store_now(FunctionElement[int]):  # noqa: N801 - a SQL function, named as it is written
    """The database's clock, microseconds since 1970-01-01 UTC."""

    type = BigInteger()
    inherit_cache = True


# Asked every few seconds: statements are built once, which costs more than running them.
_RENEW = update(_workers).where(_workers.c.id == bindparam("worker")).values(expires=store_now() + bindparam("ttl"))
_JOIN = insert(_workers).values(
    {name: bindparam(name) for name in ("id", "host", "pid", "reader")}
    | {"started_at": store_now(), "expires": store_now() + bindparam("ttl")}
)
_FORGET = delete(_workers).where(_workers.c.expires < store_now() - FORGET)
_LIVING = select(_workers).where(_workers.c.expires > store_now()).order_by(_workers.c.started_at, _workers.c.id)
_FENCES = select(_fences.c.integration_id, _fences.c.owner, _fences.c.poll_asked)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that polls. `reader` names whose cursors it moves; `started_at` is the database's to say."""

    id: str
    host: str
    pid: int
    reader: str
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The workers that live, who owns what, and the integrations that another process wants polled at once."""

    workers: Mapping[str, Worker]
    owners: Mapping[int, str]
    asked: frozenset[int]


def renew(connection: Connection, worker: Worker) -> None:
    """Live for another `TTL`; the first time, join, and forget workers that are long dead."""
    if connection.execute(_RENEW, {"worker": worker.id, "ttl": TTL}).rowcount == 0:
        row = {"id": worker.id, "host": worker.host, "pid": worker.pid, "reader": worker.reader}
        connection.execute(_JOIN, {**row, "ttl": TTL})
        connection.execute(_FORGET)


def leave(connection: Connection, worker_id: str) -> None:
    """End at once: what it owned is free."""
    connection.execute(update(_fences).where(_fences.c.owner == worker_id).values(owner=""))
    connection.execute(delete(_workers).where(_workers.c.id == worker_id))


def claim(connection: Connection, worker_id: str, integration_ids: Collection[int]) -> frozenset[int]:
    """Become the owner of those that are free, and fence their owners before; the answer is what was got.

    One whose row is locked, by a worker that was stopped in the middle of a commit, is left for the next time.
    """
    free = select(_fences.c.integration_id).where(_fences.c.integration_id.in_(integration_ids), free_for(worker_id))
    ids = [row.integration_id for row in connection.execute(free.with_for_update(skip_locked=True))]
    if ids:
        mine = update(_fences).where(_fences.c.integration_id.in_(ids))
        connection.execute(mine.values(owner=worker_id, epoch=_fences.c.epoch + 1))
    return frozenset(ids)


def release(connection: Connection, worker_id: str, integration_ids: Collection[int]) -> None:
    """Let them go, for whoever shall poll them now."""
    mine = (_fences.c.integration_id.in_(integration_ids), _fences.c.owner == worker_id)
    connection.execute(update(_fences).where(*mine).values(owner=""))


def view(connection: Connection) -> View:
    """How things stand."""
    workers = {worker.id: worker for worker in living(connection)}
    rows = connection.execute(_FENCES).all()
    owners = {row.integration_id: row.owner for row in rows if row.owner}
    return View(workers, owners, frozenset(row.integration_id for row in rows if row.poll_asked is not None))


def living(connection: Connection) -> list[Worker]:
    """The workers that live, the oldest first."""
    rows = connection.execute(_LIVING)
    return [Worker(row.id, row.host, row.pid, row.reader, clock.from_micros(row.started_at)) for row in rows]


def ask(connection: Connection, integration_id: int) -> int:
    """Want it polled at once, by whoever polls it; the answer is the last poll's id, or 0."""
    here = _fences.c.integration_id == integration_id
    connection.execute(update(_fences).where(here).values(poll_asked=store_now()))
    last = select(func.max(schema.polls.c.id)).where(schema.polls.c.integration_id == integration_id)
    return connection.execute(last).scalar() or 0


def answer(connection: Connection, integration_ids: Collection[int]) -> None:
    """They are being polled."""
    here = _fences.c.integration_id.in_(integration_ids)
    connection.execute(update(_fences).where(here).values(poll_asked=None))


def free_for(worker_id: str) -> ColumnElement[bool]:
    """The condition on a fence that no other worker that lives owns it."""
    alive = select(_workers.c.id).where(_workers.c.expires > store_now())
    return _fences.c.owner.in_(("", worker_id)) | _fences.c.owner.not_in(alive)


@compiles(store_now, "postgresql")
def _on_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(store_now, "sqlite")
def _on_sqlite(*_: Any, **__: Any) -> str:
    """A function that `Database` registers with each connection."""
    return "store_now()"
