"""Notification channels in the store, without their secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from conductor.core import clock
from conductor.core.errors import Conflict, NotFound
from conductor.store import schema

_table = schema.channels


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to people. `kinds` are of `core.notice.KINDS`; `cooldown` is in minutes; it is as it is, but its name,
    since `fresh_at`."""

    id: int
    name: str
    kind: str
    config: Mapping[str, Any]
    target: str
    kinds: tuple[str, ...]
    loss_hours: int
    silent_hours: int
    cooldown: int
    fresh_at: datetime
    enabled: bool
    revision: int
    created_at: datetime
    changed_at: datetime
    changed_by: str


def add(connection: Connection, *, by: str, **values: Any) -> Channel:
    """Store a new one. Raises Conflict when the name is taken."""
    _check_name_free(connection, values["name"])
    now = clock.to_micros(clock.now())
    row = _stored(values) | {"revision": 1, "created_at": now, "changed_at": now, "fresh_at": now, "changed_by": by}
    added = connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one()
    return _get(connection, _table.c.id == added, "")


def edit(connection: Connection, channel: Channel, *, by: str, **changes: Any) -> Channel:
    """Change some values. Raises Conflict when it was changed meanwhile or the name is taken."""
    if changes.get("name", channel.name) != channel.name:
        _check_name_free(connection, changes["name"], but=channel.id)
    stamp = {"revision": channel.revision + 1, "changed_at": clock.to_micros(clock.now()), "changed_by": by}
    here = (_table.c.id == channel.id, _table.c.revision == channel.revision)
    if connection.execute(update(_table).where(*here).values(_stored(changes) | stamp)).rowcount != 1:
        raise Conflict(f"{channel.name} was changed by someone else meanwhile. Load it again.")
    return _get(connection, _table.c.id == channel.id, channel.name)


def freshen(connection: Connection, channel_id: int) -> None:
    """It is told everything anew, whatever it was told before."""
    now = clock.to_micros(clock.now())
    connection.execute(update(_table).where(_table.c.id == channel_id).values(fresh_at=now))


def remove(connection: Connection, channel: Channel) -> None:
    """Delete it."""
    connection.execute(delete(_table).where(_table.c.id == channel.id))


def get(connection: Connection, name: str) -> Channel:
    """By name. Raises NotFound."""
    return _get(connection, _table.c.name == name, name)


def everything(connection: Connection) -> list[Channel]:
    """All, by name."""
    return [_channel(row) for row in connection.execute(select(_table).order_by(_table.c.name))]


def owner(channel_id: int) -> str:
    """Whose its secrets are, for the vault."""
    return f"channel/{channel_id}"


def _get(connection: Connection, here: Any, name: str) -> Channel:
    row = connection.execute(select(_table).where(here)).one_or_none()
    if row is None:
        raise NotFound(f"There is no notification channel called {name}.")
    return _channel(row)


def _check_name_free(connection: Connection, name: str, but: int = 0) -> None:
    taken = select(_table.c.id).where(func.lower(_table.c.name) == name.lower(), _table.c.id != but)
    if connection.execute(taken).first() is not None:
        raise Conflict(f"There is already a notification channel called {name}. Choose another name.")


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(values)
    if "config" in row:
        row["config"] = msgspec.json.encode(row["config"]).decode()
    if "kinds" in row:
        row["kinds"] = " ".join(row["kinds"])
    return row


def _channel(row: Row[Any]) -> Channel:
    values = row._asdict() | {
        "config": msgspec.json.decode(row.config),
        "kinds": tuple(row.kinds.split()),
        "fresh_at": clock.from_micros(row.fresh_at),
        "created_at": clock.from_micros(row.created_at),
        "changed_at": clock.from_micros(row.changed_at),
    }
    return Channel(**values)
