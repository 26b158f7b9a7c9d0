"""The record of every poll: opened when it begins, counted by each commit, closed when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, func, insert, or_, select, true, update

from conductor.core import clock
from conductor.core.errors import NotFound
from conductor.core.poll import OK, RUNNING, Exchange, Poll
from conductor.core.schedule import Both
from conductor.store import audit, exchanges, hours, journal, schema
from conductor.store.journal import LIVE, Position

SITTINGS = 12  # of a lane, from which its pace is told
_table, _owner = schema.polls, schema.integrations
_BY_ID = select(_table).where(_table.c.id == bindparam("poll"))
_FROM_ID = (
    select(_table.c.id, _table.c.started_at).where(_table.c.id >= bindparam("poll")).order_by(_table.c.id).limit(1)
)
_BEGIN = insert(_table).returning(_table.c.id)
_LAST_COMMIT = (
    select(schema.batches.c.committed_at)
    .where(schema.batches.c.integration_id == bindparam("integration"))
    .order_by(schema.batches.c.batch.desc())
    .limit(1)
)
_END = update(_table).where(_table.c.id == bindparam("poll"))


def _newest_id(condition: Any) -> Any:
    """Of each owner the newest live poll that meets the condition. Read from the index's end, a few rows each: a
    thousand integrations have millions of polls."""
    theirs = (_table.c.integration_id == _owner.c.id, _table.c.lane == LIVE, condition)
    return select(_table.c.id).where(*theirs).order_by(_table.c.id.desc()).limit(1).correlate(_owner).scalar_subquery()


_ASKED = _owner.c.id.in_(bindparam("integrations", expanding=True))
_NEWEST = select(
    _owner.c.id,
    _newest_id(_table.c.result.not_in((RUNNING, "interrupted"))).label("last"),
    _newest_id(_table.c.result == OK).label("good"),
    _newest_id(true()).label("open"),
).where(_ASKED)
_GOOD = func.coalesce(_newest_id(_table.c.result == OK), 0).label("good")
# Materialized, or SQLite looks for the last good poll again at each of the failed ones.
_LAST_GOOD = select(_owner.c.id, _GOOD).where(_ASKED).cte("last").prefix_with("MATERIALIZED")
_FAILING_SINCE = (
    select(_table.c.integration_id, func.min(_table.c.started_at))
    .join_from(_LAST_GOOD, _table, and_(_table.c.integration_id == _LAST_GOOD.c.id, _table.c.id > _LAST_GOOD.c.good))
    .where(_table.c.lane == LIVE, _table.c.result.not_in((OK, RUNNING, "interrupted")))
    .group_by(_table.c.integration_id)
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a poll ended, for its record."""

    result: str
    reason: str = ""
    facts: Mapping[str, Any] | None = None
    needs_person: bool = False
    retry_at: datetime | None = None
    requests: int = 0
    complete: bool = False
    rate_limit: int | None = None
    rate_remaining: int | None = None
    exchanges: Sequence[Exchange] = ()
    vendor_at: datetime | None = None  # when it began, by the vendor's clock


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which polls are listed: `result` is `ok`, `failed` or empty for all; those with new signals only; those that took
    so long or longer."""

    result: str = ""
    events: bool = False
    longer: timedelta = timedelta(0)


EVERY = Wanted()


def begin(connection: Connection, position: Position, now: datetime) -> int:
    """Open a record; the answer is its id. Raises Fenced for one who is not the owner any more."""
    journal.check_fence(connection, position)
    checkpoint = position.checkpoint
    at = None if checkpoint is None else clock.to_micros(checkpoint.time)
    row = {
        "integration_id": position.integration_id,
        "lane": position.lane,
        "started_at": clock.to_micros(now),
        "result": RUNNING,
        "position_from": at,
        "position_to": at,
    }
    return int(connection.execute(_BEGIN, row).scalar_one())


def end(connection: Connection, poll_id: int, outcome: Outcome, now: datetime) -> Poll:
    """Close a record and give it back."""
    values = {
        "poll": poll_id,
        "finished_at": clock.to_micros(now),
        "result": outcome.result,
        "reason": outcome.reason,
        "facts": msgspec.json.encode(outcome.facts or {}).decode(),
        "needs_person": outcome.needs_person,
        "retry_at": None if outcome.retry_at is None else clock.to_micros(outcome.retry_at),
        "requests": outcome.requests,
        "complete": outcome.complete,
        "rate_limit": outcome.rate_limit,
        "rate_remaining": outcome.rate_remaining,
        "vendor_at": None if outcome.vendor_at is None else clock.to_micros(outcome.vendor_at),
    }
    connection.execute(_END, values)
    exchanges.add(connection, poll_id, outcome.exchanges)
    _audit_refusal(connection, poll_id, outcome)
    poll = get(connection, poll_id)
    if poll.lane == LIVE:
        failed = outcome.result != OK
        hours.ended(connection, poll.integration_id, now, failed=failed, needs_person=outcome.needs_person)
    return poll


def _audit_refusal(connection: Connection, poll_id: int, outcome: Outcome) -> None:
    """A guard's block or a TLS failure goes into the audit log when it begins, not with every poll."""
    action = audit.refusal(outcome.result)
    if action is None:
        return
    here = select(_table.c.integration_id).where(_table.c.id == poll_id).scalar_subquery()
    before = select(_table.c.result).where(_table.c.integration_id == here, _table.c.id < poll_id)
    last = connection.execute(before.order_by(_table.c.id.desc()).limit(1)).scalar()
    if last == outcome.result:
        return
    names = schema.integrations
    name = connection.execute(select(names.c.name).where(names.c.id == here)).scalar_one()
    audit.append(connection, "conductor", action, name, {"code": outcome.result, **(outcome.facts or {})})


def fail(connection: Connection, integration_id: int, outcome: Outcome, now: datetime) -> None:
    """Record a poll that could not even be made, or that crashed: the open record of live collection when there is
    one. Whatever was being read behind it has ended too."""
    open_ones = (_table.c.integration_id == integration_id, _table.c.result == RUNNING)
    running = select(func.max(_table.c.id)).where(*open_ones, _table.c.lane == LIVE)
    poll_id = connection.execute(running).scalar()
    if poll_id is None:
        row = {
            "integration_id": integration_id,
            "lane": LIVE,
            "started_at": clock.to_micros(now),
            "result": RUNNING,
        }
        poll_id = connection.execute(_BEGIN, row).scalar_one()
    end(connection, poll_id, outcome, now)
    interrupt(connection, integration_id, now)


def interrupt(connection: Connection, integration_id: int, now: datetime) -> None:
    """Close the records that an earlier owner left open."""
    open_ones = (_table.c.integration_id == integration_id, _table.c.result == RUNNING)
    values = {"finished_at": clock.to_micros(now), "result": "interrupted", "reason": "Conductor was stopped."}
    connection.execute(update(_table).where(*open_ones).values(values))


def get(connection: Connection, poll_id: int) -> Poll:
    """By id."""
    return _poll(connection.execute(_BY_ID, {"poll": poll_id}).one())


def in_integration(connection: Connection, integration_id: int, poll_id: int) -> Poll:
    """By id, of that integration only. Raises NotFound."""
    here = (_table.c.id == poll_id, _table.c.integration_id == integration_id)
    row = connection.execute(select(_table).where(*here)).one_or_none()
    if row is None:
        raise NotFound(f"There is no poll {poll_id} in this integration.")
    return _poll(row)


def recent(
    connection: Connection, integration_id: int, limit: int, before: int | None = None, wanted: Wanted = EVERY
) -> list[Poll]:
    """The newest first; `before` is a poll's id, to page on."""
    query = select(_table).where(_table.c.integration_id == integration_id, *_conditions(wanted))
    if before is not None:
        query = query.where(_table.c.id < before)
    return [_poll(row) for row in connection.execute(query.order_by(_table.c.id.desc()).limit(limit))]


def next_live(connection: Connection, integration_id: int, after: int) -> Poll | None:
    """The first poll of the live lane whose id is greater than that; None while there is none."""
    here = (_table.c.integration_id == integration_id, _table.c.lane == LIVE, _table.c.id > after)
    row = connection.execute(select(_table).where(*here).order_by(_table.c.id).limit(1)).one_or_none()
    return _poll(row) if row else None


@dataclass(frozen=True, slots=True)
class Latest:
    """An integration's last finished poll, its last good one, when the present row of failures began, and since when a
    poll is running."""

    last: Poll | None = None
    good: Poll | None = None
    failing_since: datetime | None = None
    running_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """A row of failed polls: when the first began, and when the first began that heard of the vendor's time."""

    since: datetime
    told: Both | None


def latest(connection: Connection, integration_ids: Sequence[int]) -> dict[int, Latest]:
    """For each of these integrations, in a few statements whatever their number; for none, in no statement."""
    if not integration_ids:
        return {}
    asked = {"integrations": integration_ids}
    failing = {id_: clock.from_micros(since) for id_, since in connection.execute(_FAILING_SINCE, asked)}
    owners = connection.execute(_NEWEST, asked).all()
    known = _by_ids(connection, {poll_id for _, *poll_ids in owners for poll_id in poll_ids})
    return {
        owner.id: Latest(
            known.get(owner.last), known.get(owner.good), failing.get(owner.id), _running_since(known.get(owner.open))
        )
        for owner in owners
    }


def failures(connection: Connection, integration_id: int) -> Failures | None:
    """The polls since the last good one, those that were cut short by a stop too; None when there are none."""
    good = select(func.max(_table.c.id)).where(_live(integration_id), _table.c.result == OK).scalar_subquery()
    since_then = (_live(integration_id), _table.c.id > func.coalesce(good, 0), _table.c.result != RUNNING)
    since = connection.execute(select(func.min(_table.c.started_at)).where(*since_then)).scalar()
    if since is None:
        return None
    query = select(_table.c.started_at, _table.c.vendor_at).where(*since_then, _table.c.vendor_at.is_not(None))
    row = connection.execute(query.order_by(_table.c.id).limit(1)).one_or_none()
    told = None if row is None else Both(clock.from_micros(row[0]), clock.from_micros(row[1]))
    return Failures(clock.from_micros(since), told)


def last_behind(connection: Connection, integration_id: int, moment: datetime) -> datetime | None:
    """When the last good live poll began whose position was before that moment: it should have seen what was there."""
    here = (_table.c.integration_id == integration_id, _table.c.lane == LIVE, _table.c.result == OK)
    behind = or_(_table.c.position_from.is_(None), _table.c.position_from <= clock.to_micros(moment))
    found = connection.execute(select(func.max(_table.c.started_at)).where(*here, behind)).scalar()
    return _moment(found)


def pace(connection: Connection, integration_id: int, lane: str, since: datetime, now: datetime) -> float | None:
    """How many seconds of the log a lane's last sittings read in a second, waiting for live polls included."""
    here = (_table.c.integration_id == integration_id, _table.c.lane == lane)
    ended = func.coalesce(_table.c.finished_at, clock.to_micros(now)).label("ended")
    recent = (
        select(_table.c.started_at, ended, _table.c.position_from, _table.c.position_to)
        .where(*here, _table.c.started_at >= clock.to_micros(since), _table.c.position_to > _table.c.position_from)
        .order_by(_table.c.id.desc())
        .limit(SITTINGS)
    )
    rows = connection.execute(recent).all()
    took = rows[0].ended - rows[-1].started_at if rows else 0
    return sum(row.position_to - row.position_from for row in rows) / took if took > 0 else None


def last_commits(connection: Connection, integration_ids: Sequence[int]) -> dict[int, datetime]:
    """When each of these integrations had its last page committed, by whatever poll; those without one are left out."""
    found = {id_: connection.execute(_LAST_COMMIT, {"integration": id_}).scalar() for id_ in integration_ids}
    return {id_: clock.from_micros(moment) for id_, moment in found.items() if moment is not None}


def first_since(connection: Connection, moment: datetime) -> int:
    """The id of the first poll that began then or later; one beyond the newest when there is none. Ids grow with time,
    so it is found by halving: no index begins with the time."""
    low = int(connection.execute(select(func.coalesce(func.min(_table.c.id), 1))).scalar_one())
    high = int(connection.execute(select(func.coalesce(func.max(_table.c.id), 0))).scalar_one()) + 1
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(_FROM_ID, {"poll": middle}).one_or_none()
        if found is None or found.started_at >= clock.to_micros(moment):
            high = middle
        else:
            low = found.id + 1
    return low


def expire(connection: Connection, before: datetime) -> int:
    """Delete records that began before that time."""
    return connection.execute(delete(_table).where(_table.c.started_at < clock.to_micros(before))).rowcount


def _by_ids(connection: Connection, poll_ids: Iterable[int | None]) -> dict[int, Poll]:
    wanted = [poll_id for poll_id in poll_ids if poll_id is not None]
    rows = connection.execute(select(_table).where(_table.c.id.in_(wanted)))
    return {row.id: _poll(row) for row in rows}


def _running_since(newest: Poll | None) -> datetime | None:
    return newest.started_at if newest is not None and newest.result == RUNNING else None


def _live(integration_id: int) -> ColumnElement[bool]:
    return and_(_table.c.integration_id == integration_id, _table.c.lane == LIVE)


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    match wanted.result:
        case "ok":
            yield _table.c.result == OK
        case "failed":
            yield _table.c.result.not_in((OK, RUNNING, "interrupted"))
    if wanted.events:
        yield _table.c.new > 0
    if wanted.longer:
        yield _table.c.finished_at - _table.c.started_at >= wanted.longer // clock.MICROSECOND


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else clock.from_micros(micros)


def _poll(row: Row[Any]) -> Poll:
    times: dict[str, Any] = {
        name: _moment(getattr(row, name)) for name in ("finished_at", "retry_at", "position_from", "position_to")
    }
    plain = ("id", "integration_id", "lane", "result", "reason", "needs_person", "requests", "fetched", "new")
    more = ("duplicates", "conflicts", "complete", "rate_limit", "rate_remaining")
    return Poll(
        started_at=clock.from_micros(row.started_at),
        facts=msgspec.json.decode(row.facts),
        **times,
        **{name: getattr(row, name) for name in plain + more},
    )
