"""What one can do with integrations. CLI, REST and pages are three spellings of these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from conductor.core import clock, health, schedule
from conductor.core.config import Config
from conductor.core.connector import CheckStep, Connector, StepState
from conductor.core.errors import Conflict, Invalid, Refused
from conductor.core.health import Health
from conductor.core.integration import Integration
from conductor.core.poll import Gap, Poll
from conductor.core.schedule import Span
from conductor.operations import auditing, configs
from conductor.operations.system import System
from conductor.outbound.client import Usage
from conductor.signal_client import assembly
from conductor.store import audit, backfills, gaps, hours, integrations, journal, polls
from conductor.store.database import Connection
from conductor.store.vault import SecretUnreadable, Stored

DAY = timedelta(hours=24)
HUNG, HUNG_POLLS = timedelta(hours=1), 6  # a poll that runs longer is believed no more


class CheckFailed(Refused):
    """The connection test failed, so nothing was saved."""

    code = "check.failed"

    def __init__(self, steps: Sequence[CheckStep]) -> None:
        failed = next(step for step in steps if step.state is StepState.FAILED)
        super().__init__(f"{failed.name}: {failed.text}", code=failed.code, **failed.facts)
        self.steps = tuple(steps)


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


async def overview(system: System) -> list[Status]:
    """All integrations by name, each with its health."""
    return await _statuses(system, await system.database.read(integrations.everything))


async def same_tenant(system: System, slug: str, values: Mapping[str, Any], but: str = "") -> list[str]:
    """The integrations that read the same tenant, and share its rate limit; none while the values are not complete."""
    kind = system.catalog.get(slug).Config
    try:
        wanted = kind.model_construct(**values).tenant
    except (AttributeError, TypeError, ValueError):
        return []
    everything = await system.database.read(integrations.everything)
    return [
        other.name
        for other in everything
        if other.connector == slug and other.name != but and system.assembly.tenant(other) == wanted
    ]


async def status(system: System, name: str) -> Status:
    """One integration. Raises NotFound."""
    return (await _statuses(system, [await find(system, name)]))[0]


async def find(system: System, name: str) -> Integration:
    """By name. Raises NotFound."""
    return await system.database.read(lambda connection: integrations.get(connection, name))


async def add(
    system: System,
    name: str,
    slug: str,
    values: Mapping[str, Any],
    *,
    enabled: bool,
    by: str,
    test: bool = True,
    told: Callable[[CheckStep], None] | None = None,
) -> Integration:
    """Test, then save; `told` hears each step of the test. Nothing is saved when it fails.

    Raises Invalid, Conflict, CheckFailed.
    """
    kind = system.catalog.get(slug)
    config = configs.parse(kind, name, values)
    await _refuse_taken(system, name)
    if test:
        await _must_pass(system, slug, config, by, told)

    def save(connection: Connection) -> Integration:
        added = integrations.add(connection, name, slug, config.public(), enabled=enabled, by=by)
        _seal(system, connection, added, config, by)
        detail = {"connector": slug, "enabled": enabled, "secrets": sorted(config.secrets())}
        audit.append(connection, by, "integration.added", name, detail)
        return added

    added = await system.database.write(save)
    system.supervisor.changed()
    return added


async def edit(
    system: System,
    name: str,
    values: Mapping[str, Any],
    *,
    by: str,
    new_name: str | None = None,
    enabled: bool | None = None,
    revision: int | None = None,
    test: bool = True,
) -> Integration:
    """Change some fields; the others stay. A saved secret is kept only while what it is bound to stays the same.

    Raises NotFound, Invalid, Conflict, and CheckFailed: then nothing is saved.
    """
    old = await find(system, name)
    kind = system.catalog.get(old.connector)
    if revision is not None and revision != old.revision:
        raise Conflict(f"{name} was changed by {old.changed_by} meanwhile. Load it again.")
    config = await configs.merged(system, old, values, new_name or name)
    if new_name and new_name != name:
        await _refuse_taken(system, new_name)
    if test and configs.needs_test(old, config, values):
        await _must_pass(system, old.connector, config, by)

    def save(connection: Connection) -> Integration:
        on = old.enabled if enabled is None else enabled
        changed = integrations.edit(connection, old, by=by, name=new_name or name, config=config.public(), enabled=on)
        secrets = _seal(system, connection, changed, config, by)
        if kind.Config.model_construct(**old.config).tenant != config.tenant:
            backfills.forget(connection, old.id)
            journal.forget(connection, old.id)  # another tenant's log begins at its own beginning
        changes = configs.changes(kind, old, changed) | dict.fromkeys(sorted(secrets), "changed")
        audit.append(connection, by, "integration.edited", changed.name, {"changes": changes})
        return changed

    changed = await system.database.write(save)
    system.supervisor.changed()
    return changed


async def check(
    system: System,
    slug: str,
    values: Mapping[str, Any],
    *,
    by: str,
    name: str | None = None,
    usage: Usage | None = None,
) -> AsyncIterator[CheckStep]:
    """The connection test of typed values, or of a saved integration (`name`) with some of them changed. `usage` counts
    its requests. Raises Invalid, NotFound."""
    if name is not None:
        config = await configs.merged(system, await find(system, name), values, name)
    else:
        config = system.catalog.get(slug).Config.parse(values)
    async for step in _steps(system, slug, config, by, usage):
        yield step


async def set_enabled(system: System, name: str, enabled: bool, *, by: str) -> Integration:
    """Switch on or off. The checkpoint stays. Raises NotFound, Conflict."""
    old = await find(system, name)
    if old.enabled == enabled:
        return old

    def save(connection: Connection) -> Integration:
        audit.append(connection, by, "integration.enabled" if enabled else "integration.disabled", name)
        return integrations.edit(connection, old, by=by, enabled=enabled)

    changed = await system.database.write(save)
    system.supervisor.changed()
    return changed


async def poll_now(system: System, name: str) -> Poll:
    """Poll at once and wait for the end. Raises NotFound, SecretUnreadable."""
    poll = await system.supervisor.poll_now(await find(system, name))
    system.indexer.wake()
    return poll


async def list_gaps(system: System, name: str) -> list[Gap]:
    """The gaps, the newest first. Raises NotFound."""
    found = await find(system, name)
    return await system.database.read(lambda connection: gaps.of(connection, found.id))


async def close_gap(system: System, name: str, gap_id: int, *, note: str, by: str) -> Gap:
    """Close a gap with a note. Raises NotFound, Conflict, Invalid without a note."""
    if not note.strip():
        raise Invalid({"note": "Say why the gap is closed."})
    found = await find(system, name)

    def save(connection: Connection) -> Gap:
        audit.append(connection, by, "gap.closed", name, {"gap": gap_id, "note": note})
        return gaps.close(connection, found.id, gap_id, note=note.strip(), by=by)

    return await system.database.write(save)


async def remove(system: System, name: str, *, by: str) -> None:
    """Delete the settings, the secret and the poller. Stored events stay. Raises NotFound."""
    found = await find(system, name)

    def save(connection: Connection) -> None:
        integrations.remove(connection, found, by=by)
        system.vault.forget(connection, integrations.owner(found.id))
        audit.append(connection, by, "integration.removed", name)

    await system.database.write(save)
    system.supervisor.changed()


async def _statuses(system: System, found: Sequence[Integration]) -> list[Status]:
    ids = [integration.id for integration in found]
    now = clock.now()

    def read(connection: Connection) -> list[Status]:
        latest = polls.latest(connection, ids)
        positions = journal.positions(connection)
        told = gaps.told(connection, ids)
        late = backfills.came_late(connection, ids, now - DAY)
        events = hours.new_since(connection, now - hours.DAY)
        secrets = system.vault.stored(connection, [integrations.owner(each) for each in ids])
        return [
            _status(
                system,
                integration,
                latest[integration.id],
                positions.get(integration.id),
                told.get(integration.id, []),
                late.get(integration.id, 0),
                events.get(integration.id, 0),
                secrets[integrations.owner(integration.id)],
            )
            for integration in found
        ]

    return await system.database.read(read)


def _status(
    system: System,
    integration: Integration,
    latest: polls.Latest,
    position: journal.Position | None,
    told: Sequence[Gap],
    came_late: int,
    events: int,
    secrets: Mapping[str, Stored],
) -> Status:
    kind = system.catalog.get(integration.connector)
    config = system.assembly.public(integration)
    lost = [gap for gap in told if gap.state == "lost"]
    open_gaps = len(told) - len(lost)
    retention = config.retention(position.seen if position else timedelta(0))
    checkpoint = position.checkpoint.time if position and position.checkpoint else None
    covered = position.covered_until if position else None
    loss_at = schedule.loss_at(retention, checkpoint, covered)
    interval = timedelta(minutes=config.polling_interval)
    hung = clock.now() - max(HUNG, HUNG_POLLS * interval)
    running = latest.running_since is not None and latest.running_since > hung
    facts = health.Facts(
        now=clock.now(),
        enabled=integration.enabled,
        changed_at=integration.changed_at,
        changed_by=integration.changed_by,
        interval=interval,
        retention=retention,
        running=running,
        last=latest.last,
        good=latest.good,
        failing_since=latest.failing_since,
        covered_until=covered,
        loss_at=loss_at,
        open_gaps=open_gaps,
        lost=Span(min(gap.begins for gap in lost), max(gap.ends for gap in lost)) if lost else None,
        came_late=came_late,
        storage_full=system.database.full,
    )
    return Status(
        integration=integration,
        connector=kind,
        health=health.judge(facts, system.catalog.advice),
        running=running,
        last=latest.last,
        good=latest.good,
        checkpoint_at=checkpoint,
        covered_until=covered,
        next_poll_at=_next_poll_at(system, integration, latest.last, interval, running=running),
        loss_at=loss_at,
        open_gaps=open_gaps,
        lost_gaps=len(lost),
        events_24h=events,
        secrets={name: stored for name, stored in secrets.items() if name in configs.secret_names(kind)},
    )


def _next_poll_at(
    system: System, integration: Integration, last: Poll | None, interval: timedelta, *, running: bool
) -> datetime | None:
    """As its poller says, or, when another worker polls it, as its last poll tells."""
    here = system.supervisor.next_poll_at(integration.id)
    if here or not system.database.shared or not integration.enabled or running or last is None:
        return here
    return last.retry_at or last.started_at + interval


async def _refuse_taken(system: System, name: str) -> None:
    taken = {integration.name.lower() for integration in await system.database.read(integrations.everything)}
    if name.lower() in taken:
        raise Conflict(f"There is already an integration called {name}. Choose another name.")


async def _must_pass(
    system: System, slug: str, config: Config, by: str, told: Callable[[CheckStep], None] | None = None
) -> None:
    steps = [step async for step in _steps(system, slug, config, by)]
    if told is not None:
        for step in steps:
            told(step)
    if any(step.state is StepState.FAILED for step in steps):
        raise CheckFailed(steps)


async def _steps(
    system: System, slug: str, config: Config, by: str, usage: Usage | None = None
) -> AsyncIterator[CheckStep]:
    """The connector's steps, each with the words of its advice. What the guard or TLS refuses is written down."""
    source = system.assembly.trial(slug, config)
    source.http.usage = usage or source.http.usage
    try:
        async for step in source.connector.check():
            if step.state is StepState.FAILED:
                await auditing.refused(system, step.code, slug, step.facts, by=by)
            yield _told(system, step)
    finally:
        await source.close()


def _told(system: System, step: CheckStep) -> CheckStep:
    """A failed step says the sentence that people know from the tile."""
    advice = system.catalog.advice(step.code) if step.code else None
    if advice is None or step.state is not StepState.FAILED:
        return step
    return replace(step, text=health.fill(advice.title, step.facts))


def _seal(system: System, connection: Connection, integration: Integration, config: Config, by: str) -> set[str]:
    """Keep the secrets; the answer names those that are new or gone."""
    owner = integrations.owner(integration.id)
    bound = assembly.context(type(config), config.public())
    values = config.secrets()
    dropped = configs.secret_names(system.catalog.get(integration.connector)) - values.keys()
    dropped &= system.vault.stored(connection, [owner])[owner].keys()
    for field in dropped:
        system.vault.forget(connection, owner, field)  # it went to an address that is no more
    new = {field for field, value in values.items() if _changed(system, connection, owner, field, value, bound)}
    for field in new:
        system.vault.put(connection, owner, field, values[field], context=bound, by=by)
    return new | dropped


def _changed(system: System, connection: Connection, owner: str, field: str, value: str, bound: str) -> bool:
    try:
        return system.vault.get(connection, owner, field, context=bound) != value
    except SecretUnreadable:
        return True
