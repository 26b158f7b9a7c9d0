"""How the integrations are: everything that a tile, a row of `status`, the API or a notification tells of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from conductor.core import clock, health, schedule
from conductor.core.config import Config
from conductor.core.connector import Connector
from conductor.core.health import Health
from conductor.core.integration import Integration
from conductor.core.poll import Gap, Poll
from conductor.core.schedule import Span
from conductor.operations import configs
from conductor.operations.system import System
from conductor.signal_client.poller import OUTAGE
from conductor.store import backfills, gaps, hours, integrations, journal, polls
from conductor.store.database import Connection
from conductor.store.vault import Stored

DAY = timedelta(hours=24)
PAUSES_OF = timedelta(days=7)  # what is usual is told from these
HUNG, HUNG_POLLS = timedelta(hours=1), 6  # a poll that runs longer is believed no more


@dataclass(frozen=True, slots=True)
class Status:
    """Everything a tile, a row of `status` or the API tells of one integration."""

    integration: Integration
    connector: type[Connector]
    health: Health
    running: bool
    last: Poll | None
    good: Poll | None
    checkpoint_at: datetime | None
    covered_until: datetime | None
    next_poll_at: datetime | None
    loss_at: datetime | None
    open_gaps: int
    lost_gaps: int
    events_24h: int
    secrets: Mapping[str, Stored]
    tenant: str = ""
    retention: timedelta = timedelta(0)
    findings: Sequence[Health] = ()
    gaps: Sequence[Gap] = ()
    last_new_at: datetime | None = None
    shares: Sequence[str] = ()  # others that are on and read the same tenant
    plan_doubt: str = ""  # the vendor keeps more than the plan that was chosen would


@dataclass(frozen=True, slots=True)
class _Quiet:
    """Which integrations never had an event, when each had its last one, and how long pauses were lately."""

    now: datetime
    empty: Collection[int]
    last: Mapping[int, datetime]
    usual: Mapping[int, timedelta]

    @classmethod
    def read(cls, connection: Connection, now: datetime) -> Self:
        """For all integrations: those that had events lately need no pauses."""
        last = hours.last_new(connection)
        silent = [id_ for id_, moment in last.items() if now - moment >= health.SILENT_AT_LEAST]
        since = min((last[id_] for id_ in silent), default=now) - PAUSES_OF  # before the silence, however long it is
        usual = hours.longest_pauses(connection, silent, since) if silent else {}
        return cls(now, journal.empty(connection), last, usual)

    def silence(self, id_: int) -> health.Silence | None:
        """None for one whose pauses are not known."""
        return health.Silence(self.now - self.last[id_], self.usual[id_]) if id_ in self.usual else None


async def overview(system: System) -> list[Status]:
    """All integrations by name, each with its health."""
    return await _statuses(system, await system.database.read(integrations.everything))


async def status(system: System, name: str) -> Status:
    """One integration. Raises NotFound."""
    found = await system.database.read(lambda connection: integrations.get(connection, name))
    return (await _statuses(system, [found]))[0]


@dataclass(frozen=True, slots=True)
class _Read:
    """What the store says of one integration."""

    latest: polls.Latest
    position: journal.Position | None
    gaps: Sequence[Gap]
    came_late: int
    events: int
    empty: bool
    last_new_at: datetime | None
    silence: health.Silence | None
    shares: Sequence[str]
    secrets: Mapping[str, Stored]
    moved_at: datetime | None


async def _statuses(system: System, found: Sequence[Integration]) -> list[Status]:
    ids = [integration.id for integration in found]
    now = clock.now()

    def read(connection: Connection) -> list[Status]:
        latest = polls.latest(connection, ids)
        positions = journal.positions(connection)
        long_ago = [id_ for id_, each in latest.items() if each.running_since and now - each.running_since > HUNG]
        moved = polls.last_commits(connection, long_ago)
        told = gaps.told(connection, ids)
        late = backfills.came_late(connection, ids, now - DAY)
        events = hours.new_since(connection, now - hours.DAY)
        quiet = _Quiet.read(connection, now)
        readers = _readers(system, integrations.everything(connection))
        secrets = system.vault.stored(connection, [integrations.owner(each) for each in ids])
        return [
            _status(
                system,
                integration,
                _Read(
                    latest=latest[integration.id],
                    position=positions.get(integration.id),
                    gaps=told.get(integration.id, []),
                    came_late=late.get(integration.id, 0),
                    events=events.get(integration.id, 0),
                    empty=integration.id in quiet.empty,
                    last_new_at=quiet.last.get(integration.id),
                    silence=quiet.silence(integration.id),
                    shares=[name for name in readers.get(_whose(system, integration), ()) if name != integration.name],
                    secrets=secrets[integrations.owner(integration.id)],
                    moved_at=moved.get(integration.id),
                ),
            )
            for integration in found
        ]

    return await system.database.read(read)


def _readers(system: System, found: Sequence[Integration]) -> dict[tuple[str, str], list[str]]:
    """The names of those that are on, by whose log they read."""
    readers: dict[tuple[str, str], list[str]] = {}
    for integration in found:
        if integration.enabled:
            readers.setdefault(_whose(system, integration), []).append(integration.name)
    return readers


def _whose(system: System, integration: Integration) -> tuple[str, str]:
    return integration.connector, system.assembly.tenant(integration)


def _status(system: System, integration: Integration, read: _Read) -> Status:
    facts, latest, position = _facts(system, integration, read), read.latest, read.position
    kind = system.catalog.get(integration.connector)
    lost = sum(gap.state == "lost" for gap in read.gaps)
    return Status(
        integration=integration,
        connector=kind,
        health=health.judge(facts, system.catalog.advice),
        running=facts.running,
        last=latest.last,
        good=latest.good,
        checkpoint_at=position.checkpoint.time if position and position.checkpoint else None,
        covered_until=facts.covered_until,
        next_poll_at=_next_poll_at(system, integration, latest.last, facts.interval, running=facts.running),
        loss_at=facts.loss_at,
        open_gaps=facts.open_gaps,
        lost_gaps=lost,
        events_24h=read.events,
        secrets={name: stored for name, stored in read.secrets.items() if name in configs.secret_names(kind)},
        tenant=system.assembly.tenant(integration),
        retention=facts.retention,
        findings=health.findings(facts, system.catalog.advice) if integration.enabled else (),
        gaps=read.gaps,
        last_new_at=read.last_new_at,
        shares=read.shares if integration.enabled else (),
        plan_doubt=system.assembly.public(integration).plan_doubt(position.seen if position else timedelta(0)),
    )


def _facts(system: System, integration: Integration, read: _Read) -> health.Facts:
    config, now, latest, position = system.assembly.public(integration), clock.now(), read.latest, read.position
    lost = [gap for gap in read.gaps if gap.state == "lost"]
    retention = config.retention(position.seen if position else timedelta(0))
    checkpoint = position.checkpoint.time if position and position.checkpoint else None
    covered = position.covered_until if position else None
    interval = timedelta(minutes=config.polling_interval)
    hung = now - max(HUNG, HUNG_POLLS * interval)
    moved = max(filter(None, (latest.running_since, read.moved_at)), default=hung)
    since = latest.running_since if moved > hung else None
    slow = since is not None and now - since > interval + health.SLACK
    return health.Facts(
        now=now,
        enabled=integration.enabled,
        changed_at=integration.changed_at,
        changed_by=integration.changed_by,
        interval=interval,
        retention=retention,
        running=since is not None,
        reading=Span(since, checkpoint) if since and slow and checkpoint else None,
        limit=_limit(config, latest.last),
        last=latest.last,
        good=latest.good,
        failing_since=latest.failing_since,
        covered_until=covered,
        loss_at=schedule.loss_at(retention, checkpoint, covered),
        open_gaps=len(read.gaps) - len(lost),
        lost=_lost(lost) if lost else None,
        came_late=read.came_late,
        storage_full=system.database.full,
        vendor=system.catalog.get(integration.connector).title,
        slug=integration.connector,
        empty=read.empty,
        silence=read.silence,
    )


def _limit(config: Config, last: Poll | None) -> health.Limit:
    announced = last.rate_limit if last else None
    allowed = config.allowance(announced or None).per_second  # a limit of none is not believed
    return health.Limit(60 * allowed, config.rate_share)


def _lost(found: Sequence[Gap]) -> health.Lost:
    outages = [gap.found_at - gap.begins for gap in found if gap.cause == OUTAGE]
    begins, ends = min(gap.begins for gap in found), max(gap.ends for gap in found)
    return health.Lost(begins, ends, max(outages) if len(outages) == len(found) else None)


def _next_poll_at(
    system: System, integration: Integration, last: Poll | None, interval: timedelta, *, running: bool
) -> datetime | None:
    """As its poller says, or, when another worker polls it, as its last poll tells."""
    here = system.supervisor.next_poll_at(integration.id)
    if here or not system.database.shared or not integration.enabled or running or last is None:
        return here
    return last.retry_at or last.started_at + interval
