"""What each hour brought, an integration: live polls, their failures, new signals. A day is told from 24 small rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from conductor.core import clock
from conductor.store import schema

LENGTH = timedelta(hours=1)
DAY = timedelta(hours=23)  # and the present hour
_table = schema.hours
_COUNTS = ("polls", "failed", "stopped", "new")


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour: live polls that ended in it, how many failed, how many of those needed a person, new signals."""

    begins: datetime
    polls: int = 0
    failed: int = 0
    stopped: int = 0
    new: int = 0


def collected(connection: Connection, integration_id: int, now: datetime, new: int) -> None:
    """A live poll brought new signals."""
    _add(connection, integration_id, now, {"new": new})


def ended(connection: Connection, integration_id: int, now: datetime, *, failed: bool, needs_person: bool) -> None:
    """A live poll ended."""
    _add(connection, integration_id, now, {"polls": 1, "failed": int(failed), "stopped": int(failed and needs_person)})


def of(connection: Connection, integration_ids: Sequence[int], since: datetime) -> dict[int, list[Hour]]:
    """The hours of these integrations from the one that holds that time, oldest first; one without anything is left
    out."""
    here = (_table.c.integration_id.in_(integration_ids), _table.c.hour >= number(since))
    found: dict[int, list[Hour]] = {integration_id: [] for integration_id in integration_ids}
    for row in connection.execute(select(_table).where(*here).order_by(_table.c.hour)):
        counts = {name: getattr(row, name) for name in _COUNTS}
        found[row.integration_id].append(Hour(_moment(row.hour), **counts))
    return found


def new_since(connection: Connection, since: datetime) -> dict[int, int]:
    """How many new signals each integration's live polls brought from the hour that holds that time."""
    owner = schema.integrations
    theirs = (_table.c.integration_id == owner.c.id, _table.c.hour >= number(since))
    total = select(func.sum(_table.c.new)).where(*theirs).scalar_subquery()  # along the primary key, nothing is sorted
    return {one: int(new) for one, new in connection.execute(select(owner.c.id, total)) if new is not None}


def last_new(connection: Connection) -> dict[int, datetime]:
    """The end of the last hour in which each integration's live polls brought new signals."""
    owner = schema.integrations
    theirs = (_table.c.integration_id == owner.c.id, _table.c.new > 0)
    last = select(func.max(_table.c.hour)).where(*theirs).scalar_subquery()  # from each one's end of the key
    rows = connection.execute(select(owner.c.id, last).where(owner.c.removed_at.is_(None)))
    return {one: _moment(hour + 1) for one, hour in rows if hour is not None}


def longest_pauses(connection: Connection, integration_ids: Sequence[int], since: datetime) -> dict[int, timedelta]:
    """The longest time between two hours with new signals, of each that had two of them; whole hours, rounded up."""
    here = (_table.c.integration_id.in_(integration_ids), _table.c.hour >= number(since), _table.c.new > 0)
    rows = connection.execute(select(_table.c.integration_id, _table.c.hour).where(*here).order_by(*_table.primary_key))
    longest: dict[int, timedelta] = {}
    for (before, earlier), (one, later) in itertools.pairwise(rows):
        if before == one:
            longest[one] = max(longest.get(one, LENGTH), (later - earlier) * LENGTH)
    return longest


def totals(connection: Connection, since: datetime) -> list[Hour]:
    """All integrations together, from the hour that holds that time, oldest first; hours without anything are left
    out."""
    owner = schema.integrations
    theirs = (_table.c.integration_id == owner.c.id) & (_table.c.hour >= number(since))
    sums = (func.sum(_table.c[name]).label(name) for name in _COUNTS)
    query = select(_table.c.hour, *sums).join_from(owner, _table, theirs).group_by(_table.c.hour)
    rows = connection.execute(query.order_by(_table.c.hour))
    return [Hour(_moment(row.hour), **{name: int(getattr(row, name)) for name in _COUNTS}) for row in rows]


def filled(found: Sequence[Hour], since: datetime, now: datetime) -> list[Hour]:
    """The same with the hours that were left out."""
    known = {hour.begins: hour for hour in found}
    return [known.get(begins, Hour(begins)) for begins in every(since, now)]


def every(since: datetime, now: datetime) -> Iterator[datetime]:
    """The beginnings of the hours from the one that holds `since` to the present one."""
    return (_moment(hour) for hour in range(number(since), number(now) + 1))


def number(moment: datetime) -> int:
    """Whole hours since 1970-01-01 UTC."""
    return clock.to_micros(moment) // (LENGTH // clock.MICROSECOND)


def expire(connection: Connection, before: datetime) -> int:
    """Delete the hours that ended before that time."""
    return connection.execute(delete(_table).where(_table.c.hour < number(before))).rowcount


def _add(connection: Connection, integration_id: int, now: datetime, counts: dict[str, int]) -> None:
    row = {"integration_id": integration_id, "hour": number(now)} | dict.fromkeys(_COUNTS, 0) | counts
    connection.execute(_ADD[connection.dialect.name], row)


def _adding(insert: Any) -> Any:
    statement = insert(_table)
    more = {name: _table.c[name] + statement.excluded[name] for name in _COUNTS}
    return statement.on_conflict_do_update(index_elements=["integration_id", "hour"], set_=more)


def _moment(hour: int) -> datetime:
    return clock.from_micros(hour * (LENGTH // clock.MICROSECOND))


_ADD = {"sqlite": _adding(sqlite.insert), "postgresql": _adding(postgresql.insert)}
