"""What one can do with integrations. CLI, REST and pages are three spellings of these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from conductor.core import wording
from conductor.core.config import Config
from conductor.core.connector import CheckStep, StepState
from conductor.core.errors import Conflict, Invalid, Refused
from conductor.core.integration import Integration
from conductor.core.poll import Gap, Poll
from conductor.operations import auditing, configs
from conductor.operations.system import System
from conductor.outbound.client import Usage
from conductor.signal_client import assembly
from conductor.store import audit, backfills, gaps, integrations, journal
from conductor.store.database import Connection


class CheckFailed(Refused):
    """The connection test failed, so nothing was saved."""

    code = "check.failed"

    def __init__(self, steps: Sequence[CheckStep]) -> None:
        failed = next(step for step in steps if step.state is StepState.FAILED)
        super().__init__(f"{failed.name}: {failed.text}", code=failed.code, **failed.facts)
        self.steps = tuple(steps)


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
    return replace(step, text=wording.fill(advice.title, step.facts))


def _seal(system: System, connection: Connection, integration: Integration, config: Config, by: str) -> set[str]:
    """Keep the secrets; the answer names those that are new or gone."""
    owner = integrations.owner(integration.id)
    bound = assembly.context(type(config), config.public())
    values = config.secrets()
    dropped = configs.secret_names(system.catalog.get(integration.connector)) - values.keys()
    dropped &= system.vault.stored(connection, [owner])[owner].keys()
    for field in dropped:
        system.vault.forget(connection, owner, field)  # it went to an address that is no more
    new = {
        field
        for field, value in values.items()
        if not system.vault.holds(connection, owner, field, value, context=bound)
    }
    for field in new:
        system.vault.put(connection, owner, field, values[field], context=bound, by=by)
    return new | dropped
