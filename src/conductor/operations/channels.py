"""Notification channels: add, change, test, remove. CLI, REST and pages are three spellings of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from secrets import token_hex
from typing import Any

from conductor.channels import KINDS
from conductor.channels.kind import ChannelConfig, Kind
from conductor.core import clock, notice, wording
from conductor.core.errors import ConductorError, Conflict, Invalid, NotFound, SourceError
from conductor.core.integration import check_name
from conductor.core.notice import Message, Notice
from conductor.observe import redactor
from conductor.operations.system import System
from conductor.signal_client.assembly import context
from conductor.store import audit, channels, deliveries
from conductor.store.channels import Channel
from conductor.store.database import Connection
from conductor.store.deliveries import Delivery
from conductor.store.vault import SecretUnreadable, Stored

PAGE = "/admin/settings/notifications"
LIMITS = {"loss_hours": (1, 720), "silent_hours": (1, 720), "cooldown": (0, 1440)}
CHANGED, OFF = "channel.changed", "channel.off"
_AGAIN = "Enter the {label} again. We never send a saved secret to a new address."


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a channel is told: which kinds; of losses so many hours ahead; of silence after so many hours; of the same
    thing again not sooner than after so many minutes."""

    kinds: Sequence[str] = (notice.FAILED, notice.GAP, notice.LOSS)
    loss_hours: int = 24
    silent_hours: int = 12
    cooldown: int = 15


@dataclass(frozen=True, slots=True)
class Standing:
    """A channel as a page shows it: what is known of its secrets, and the last notice that was sent or failed."""

    channel: Channel
    kind: type[Kind]
    secrets: Mapping[str, Stored]
    last: Delivery | None


def kind_of(slug: str) -> type[Kind]:
    """A kind of channel. Raises NotFound, naming those there are."""
    if slug not in KINDS:
        raise NotFound(f"There is no kind of channel called {slug}. There are: {', '.join(KINDS)}.")
    return KINDS[slug]


async def everyone(system: System) -> list[Standing]:
    """All channels by name."""

    def read(connection: Connection) -> list[Standing]:
        found = channels.everything(connection)
        newest = deliveries.newest(connection)
        secrets = system.vault.stored(connection, [channels.owner(channel.id) for channel in found])
        return [
            Standing(channel, KINDS[channel.kind], secrets[channels.owner(channel.id)], newest.get(channel.id))
            for channel in found
        ]

    return await system.database.read(read)


async def find(system: System, name: str) -> Standing:
    """One channel. Raises NotFound."""
    found = next((each for each in await everyone(system) if each.channel.name == name), None)
    if found is None:
        raise NotFound(f"There is no notification channel called {name}.")
    return found


async def add(
    system: System, name: str, slug: str, values: Mapping[str, Any], wishes: Wishes, *, by: str, enabled: bool = True
) -> Channel:
    """Save a new one. What needs somebody at present is told there at once. Raises Invalid, Conflict, NotFound."""
    config = _parsed(kind_of(slug), name, values, wishes)

    def save(connection: Connection) -> Channel:
        kept = {"kind": slug, "config": config.public(), "target": config.target, "enabled": enabled}
        added = channels.add(connection, by=by, name=name, **kept, **asdict(wishes))
        _seal(system, connection, added, config, by)
        detail = {"kind": slug, "target": config.target, "kinds": list(wishes.kinds), "enabled": enabled}
        audit.append(connection, by, "channel.added", name, detail)
        return added

    return await system.database.write(save)


async def edit(
    system: System,
    name: str,
    values: Mapping[str, Any],
    wishes: Wishes,
    *,
    by: str,
    new_name: str | None = None,
    enabled: bool | None = None,
    revision: int | None = None,
) -> Channel:
    """Change one; a secret that is left empty stays. Unless only its name or its cooldown changed, everything that
    needs somebody at present is told there again. Raises Invalid, Conflict, NotFound."""
    found = await find(system, name)
    old = found.channel
    if revision is not None and revision != old.revision:
        raise Conflict(f"{name} was changed by someone else meanwhile. Load it again.")
    config = await _merged(system, found, values, new_name or name, wishes)
    changed = {"name": new_name or name, "config": config.public(), "target": config.target, **asdict(wishes)}
    changed["enabled"] = old.enabled if enabled is None else enabled

    def save(connection: Connection) -> Channel:
        saved = channels.edit(connection, old, by=by, **changed)
        secrets = _seal(system, connection, saved, config, by)
        told = _changes(old, saved) | dict.fromkeys(sorted(secrets), "changed")
        if told.keys() - {"name", "cooldown"}:
            deliveries.forget(connection, saved.id, CHANGED if saved.enabled else OFF)
            channels.freshen(connection, saved.id)
        audit.append(connection, by, "channel.edited", saved.name, {"changes": told})
        return saved

    return await system.database.write(save)


async def set_enabled(system: System, name: str, enabled: bool, *, by: str) -> Channel:
    """Switch on or off. Raises NotFound, Conflict."""

    def save(connection: Connection) -> Channel:
        old = channels.get(connection, name)
        if old.enabled == enabled:
            return old
        deliveries.forget(connection, old.id, CHANGED if enabled else OFF)
        channels.freshen(connection, old.id)
        audit.append(connection, by, "channel.enabled" if enabled else "channel.disabled", name)
        return channels.edit(connection, old, by=by, enabled=enabled)

    return await system.database.write(save)


async def remove(system: System, name: str, *, by: str) -> None:
    """Delete it with its secrets. What it was told stays in the history. Raises NotFound."""

    def save(connection: Connection) -> None:
        found = channels.get(connection, name)
        deliveries.forget(connection, found.id, OFF)
        system.vault.forget(connection, channels.owner(found.id))
        channels.remove(connection, found)
        audit.append(connection, by, "channel.removed", name)

    await system.database.write(save)


async def test(system: System, name: str, *, by: str) -> Delivery:
    """Send a test through a saved channel; how it went is in the answer and in the history. Raises NotFound."""
    found = (await find(system, name)).channel
    message = _test_message(system, by)

    def begin(connection: Connection) -> int:
        audit.append(connection, by, "channel.tested", name)
        return deliveries.queue(connection, found, 0, message.notices[0], clock.now() + deliveries.TAKEN_FOR)

    delivery = await system.database.write(begin)
    failed = await attempt(system, found, message)

    def end(connection: Connection) -> Delivery:
        state = deliveries.SENT if failed is None else deliveries.FAILED
        deliveries.done(connection, [delivery], state, failed.code if failed else "", reason(system, failed))
        return deliveries.get(connection, delivery)

    return await system.database.write(end)


async def try_out(
    system: System, slug: str, values: Mapping[str, Any], wishes: Wishes, *, by: str, name: str | None = None
) -> None:
    """Send a test as typed, of a new channel or of a saved one with changes. Nothing is saved.

    Raises Invalid, NotFound, and SourceError when it could not be sent.
    """
    if name is not None:
        config = await _merged(system, await find(system, name), values, name, wishes)
    else:
        config = kind_of(slug).Config.parse(values)
    await _way(system, slug, config).send(_test_message(system, by))


async def attempt(system: System, channel: Channel, message: Message) -> ConductorError | None:
    """Send once; None when it went, else why it did not."""
    try:
        config = KINDS[channel.kind].Config.parse({**channel.config, **await _secrets(system, channel)})
        await _way(system, channel.kind, config).send(message)
    except (SourceError, SecretUnreadable, Invalid) as error:
        return error
    return None


async def history(system: System, limit: int, before: int | None = None, state: str = "") -> list[Delivery]:
    """What was told, the newest first; `before` is an id, to page on."""
    return await system.database.read(lambda connection: deliveries.recent(connection, limit, before, state))


def reason(system: System, error: ConductorError | None) -> str:
    """Why a message could not be sent, in a sentence."""
    if error is None:
        return ""
    advice = system.catalog.advice(error.code)
    return wording.fill(advice.title, error.facts) if advice else str(error)


def _way(system: System, slug: str, config: ChannelConfig) -> Kind:
    for secret in config.secrets().values():
        redactor.know(secret)
    return KINDS[slug](config, system.assembly.way_out)


def _test_message(system: System, by: str) -> Message:
    tested = Notice(
        kind=notice.TEST,
        integration="Conductor",
        vendor="Conductor",
        title="this is a test.",
        at=clock.to_text(clock.now()),
        over=True,
        body=f"{by} has sent it. When a source needs somebody, it is told here.",
        url=f"{system.settings.base_url}{PAGE}",
    )
    return Message(f"test-{token_hex(12)}", clock.now(), (tested,))


def _parsed(kind: type[Kind], name: str, values: Mapping[str, Any], wishes: Wishes) -> ChannelConfig:
    """The config; whatever is wrong with any of it is told together. Raises Invalid."""
    wrong: dict[str, str] = {}
    try:
        check_name(name)
    except Invalid as error:
        wrong |= error.fields
    try:
        config = kind.Config.parse(values)
    except Invalid as error:
        wrong |= error.fields
    wrong |= _wrong_wishes(wishes)
    if wrong:
        raise Invalid(wrong)
    return config


def _wrong_wishes(wishes: Wishes) -> dict[str, str]:
    wrong = {
        name: f"Enter {least} to {most}."
        for name, (least, most) in LIMITS.items()
        if not least <= getattr(wishes, name) <= most
    }
    if not wishes.kinds or not set(wishes.kinds) <= set(notice.KINDS):
        wrong["kinds"] = f"Choose at least one of: {', '.join(notice.KINDS)}."
    return wrong


async def _merged(
    system: System, found: Standing, values: Mapping[str, Any], name: str, wishes: Wishes
) -> ChannelConfig:
    """A stored config with some fields changed; a secret that is given as None is removed. Raises Invalid when one must
    be entered again."""
    old, kind = found.channel, found.kind
    secret = {field.name: field.label for field in kind.Config.form() if field.secret}
    given = {field: value for field, value in values.items() if value or field not in secret}
    removed = {field for field in secret if field in values and values[field] is None}
    try:
        kept = {field: value for field, value in (await _secrets(system, old)).items() if field not in removed}
    except SecretUnreadable:
        kept = {}
    public = {**old.config, **{field: value for field, value in given.items() if field not in secret}}
    if context(kind.Config, public) == context(kind.Config, old.config):
        return _parsed(kind, name, {**old.config, **kept, **given}, wishes)
    config = _parsed(kind, name, {**old.config, **given}, wishes)
    missing = [field for field in kept if field not in given]
    if missing and config.signs_in:
        raise Invalid({field: _AGAIN.format(label=secret[field]) for field in missing})
    return config


async def _secrets(system: System, channel: Channel) -> dict[str, str]:
    """Raises SecretUnreadable."""
    config = KINDS[channel.kind].Config
    bound, owner = context(config, channel.config), channels.owner(channel.id)
    names = [field.name for field in config.form() if field.secret]

    def read(connection: Connection) -> dict[str, str]:
        found = {name: system.vault.get(connection, owner, name, context=bound) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    return await system.database.read(read)


def _seal(system: System, connection: Connection, channel: Channel, config: ChannelConfig, by: str) -> set[str]:
    """Keep the secrets; the answer names those that are new or gone."""
    owner, bound = channels.owner(channel.id), context(type(config), config.public())
    values, changed = config.secrets(), set()
    for field in system.vault.stored(connection, [owner])[owner].keys() - values.keys():
        system.vault.forget(connection, owner, field)
        changed.add(field)
    for field, value in values.items():
        if not system.vault.holds(connection, owner, field, value, context=bound):
            system.vault.put(connection, owner, field, value, context=bound, by=by)
            changed.add(field)
    return changed


def _changes(old: Channel, new: Channel) -> dict[str, Any]:
    """What an edit changed, as [before, after]."""
    before, after = _shown(old), _shown(new)
    return {name: [before.get(name), after.get(name)] for name in after if before.get(name) != after.get(name)}


def _shown(channel: Channel) -> dict[str, Any]:
    told = {name: getattr(channel, name) for name in ("name", "enabled", *LIMITS)}
    return told | {"kinds": " ".join(channel.kinds)} | dict(channel.config)
