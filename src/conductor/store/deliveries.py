"""What is to be told, what was, and what holds at present, for each channel.

An alarm is queued in the transaction that notes it, so that it is neither forgotten nor queued twice, whatever dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from conductor.core import clock
from conductor.core.notice import Notice
from conductor.store import schema
from conductor.store.channels import Channel

WAITING, SENT, FAILED, SKIPPED = "waiting", "sent", "failed", "skipped"
TAKEN_FOR = timedelta(minutes=5)  # in which whoever sends one is done, or died
STATES = (WAITING, SENT, FAILED, SKIPPED)
_table, _alarms = schema.deliveries, schema.alarms
_CLAIM = {
    "sqlite": sqlite.insert(_alarms).on_conflict_do_nothing().returning(_alarms.c.kind),
    "postgresql": postgresql.insert(_alarms).on_conflict_do_nothing().returning(_alarms.c.kind),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """What holds at present and was queued for a channel."""

    channel_id: int
    integration_id: int
    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice on its way to one channel. `integration_id` is 0 for a test."""

    id: int
    channel_id: int
    channel: str
    integration_id: int
    notice: Notice
    state: str
    created_at: datetime
    due_at: datetime
    done_at: datetime | None
    tries: int
    batch: int
    code: str
    reason: str


def standing(connection: Connection) -> dict[Alarm, int]:
    """All alarms, each with the delivery that tells it."""
    rows = connection.execute(select(_alarms)).all()
    return {Alarm(row.channel_id, row.integration_id, row.kind, row.subject): row.delivery_id for row in rows}


def begin(connection: Connection, channel: Channel, alarm: Alarm, notice: Notice, due_at: datetime) -> bool:
    """Note an alarm and queue its notice; False when another worker has, or the channel is gone."""
    key = {"channel_id": channel.id, "integration_id": alarm.integration_id, "delivery_id": 0}
    named = {"kind": alarm.kind, "subject": alarm.subject}
    if connection.execute(select(schema.channels.c.id).where(schema.channels.c.id == channel.id)).first() is None:
        return False  # removed meanwhile
    if connection.execute(_CLAIM[connection.dialect.name], key | named).first() is None:
        return False
    queued = queue(connection, channel, alarm.integration_id, notice, due_at)
    connection.execute(update(_alarms).where(*_is(alarm)).values(delivery_id=queued))
    return True


def end(connection: Connection, alarm: Alarm) -> bool:
    """It holds no more; False when another worker has noted that."""
    return connection.execute(delete(_alarms).where(*_is(alarm))).rowcount == 1


def forget(connection: Connection, channel_id: int, why: str) -> None:
    """Nothing holds for this channel any more, as if it were new; what waits for it is skipped."""
    connection.execute(delete(_alarms).where(_alarms.c.channel_id == channel_id))
    here = (_table.c.channel_id == channel_id, _table.c.state == WAITING)
    connection.execute(update(_table).where(*here).values(_done(SKIPPED, why, "")))


def queue(connection: Connection, channel: Channel, integration_id: int, notice: Notice, due_at: datetime) -> int:
    """Have a notice sent at that time; the answer is its id."""
    row = {
        "channel_id": channel.id,
        "channel": channel.name,
        "integration_id": integration_id,
        "kind": notice.kind,
        "over": notice.over,
        "notice": msgspec.json.encode(notice).decode(),
        "state": WAITING,
        "created_at": clock.to_micros(clock.now()),
        "due_at": clock.to_micros(due_at),
        "tries": 0,
        "batch": 0,
        "code": "",
        "reason": "",
    }
    return int(connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one())


def due(connection: Connection, now: datetime, most: int) -> list[Delivery]:
    """What is to be sent by now, the oldest first."""
    here = (_table.c.state == WAITING, _table.c.due_at <= clock.to_micros(now))
    return [_delivery(row) for row in connection.execute(select(_table).where(*here).order_by(_table.c.id).limit(most))]


def take(connection: Connection, found: Sequence[Delivery]) -> list[Delivery]:
    """Those of these that are ours to send: nobody else takes them for a while.

    New ones of a channel become one batch, which stays one however often it is tried.
    """
    first: dict[int, int] = {}
    for one in found:
        if not one.batch:
            first.setdefault(one.channel_id, one.id)
    mine, until = [], clock.now() + TAKEN_FOR
    for one in found:
        here = (_table.c.id == one.id, _table.c.state == WAITING, _table.c.tries == one.tries)
        batch = one.batch or first[one.channel_id]
        values = {"tries": one.tries + 1, "due_at": clock.to_micros(until), "batch": batch}
        if connection.execute(update(_table).where(*here).values(values)).rowcount == 1:
            mine.append(replace(one, batch=batch))
    return mine


def again(connection: Connection, ids: Sequence[int], due_at: datetime, code: str, reason: str) -> None:
    """Sending did not work; it is tried again at that time."""
    values = {"due_at": clock.to_micros(due_at), "code": code, "reason": reason}
    connection.execute(update(_table).where(_table.c.id.in_(ids), _table.c.state == WAITING).values(values))


def done(connection: Connection, ids: Sequence[int], state: str, code: str = "", reason: str = "") -> None:
    """Sent, failed for good, or skipped."""
    here = (_table.c.id.in_(ids), _table.c.state == WAITING)
    connection.execute(update(_table).where(*here).values(_done(state, code, reason)))


def get(connection: Connection, delivery_id: int) -> Delivery:
    """By id, one that is there."""
    return _delivery(connection.execute(select(_table).where(_table.c.id == delivery_id)).one())


def told(connection: Connection, delivery_id: int) -> bool | None:
    """Whether the notice went out, as far as is known; None while nobody has tried to send it."""
    row = connection.execute(select(_table.c.state, _table.c.tries).where(_table.c.id == delivery_id)).one_or_none()
    if row is None:
        return True  # long ago: it is kept no more
    if row.state == WAITING and not row.tries:
        return None
    return row.state in (SENT, WAITING)  # a receiver may have heard of one that was tried


def forget_failed(connection: Connection, ids: Sequence[int]) -> None:
    """What these were to tell was not told: if it holds still it is queued anew."""
    connection.execute(delete(_alarms).where(_alarms.c.delivery_id.in_(ids)))


def last(connection: Connection, channel: Channel, integration_id: int, kind: str) -> tuple[str, datetime] | None:
    """How and when the channel, as it is now, was told last that this began, or could not be."""
    here = (
        _table.c.channel_id == channel.id,
        _table.c.integration_id == integration_id,
        _table.c.kind == kind,
        _table.c.state.in_((SENT, FAILED)),
        _table.c.over.is_(False),
        _table.c.done_at >= clock.to_micros(channel.fresh_at),
    )
    query = select(_table.c.state, _table.c.done_at).where(*here).order_by(_table.c.done_at.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.state, clock.from_micros(row.done_at))


def recent(connection: Connection, limit: int, before: int | None = None, state: str = "") -> list[Delivery]:
    """The newest first; `before` is an id, to page on."""
    query = select(_table).order_by(_table.c.id.desc()).limit(limit)
    query = query.where(_table.c.id < before) if before is not None else query
    query = query.where(_table.c.state == state) if state else query
    return [_delivery(row) for row in connection.execute(query)]


def newest(connection: Connection) -> Mapping[int, Delivery]:
    """The last one of each channel that was sent or failed."""
    ended = select(func.max(_table.c.id)).where(_table.c.state.in_((SENT, FAILED))).group_by(_table.c.channel_id)
    return {row.channel_id: _delivery(row) for row in connection.execute(select(_table).where(_table.c.id.in_(ended)))}


def expire(connection: Connection, before: datetime) -> int:
    """Delete what was done with before that time."""
    return connection.execute(delete(_table).where(_table.c.done_at < clock.to_micros(before))).rowcount


def _is(alarm: Alarm) -> tuple[Any, ...]:
    return (
        _alarms.c.channel_id == alarm.channel_id,
        _alarms.c.integration_id == alarm.integration_id,
        _alarms.c.kind == alarm.kind,
        _alarms.c.subject == alarm.subject,
    )


def _done(state: str, code: str, reason: str) -> dict[str, Any]:
    return {"state": state, "done_at": clock.to_micros(clock.now()), "code": code, "reason": reason}


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        channel_id=row.channel_id,
        channel=row.channel,
        integration_id=row.integration_id,
        notice=msgspec.json.decode(row.notice, type=Notice),
        state=row.state,
        created_at=clock.from_micros(row.created_at),
        due_at=clock.from_micros(row.due_at),
        done_at=None if row.done_at is None else clock.from_micros(row.done_at),
        tries=row.tries,
        batch=row.batch,
        code=row.code,
        reason=row.reason,
    )
