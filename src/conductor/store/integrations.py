"""Integrations in the store. Every change raises the revision, which the supervisor follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from conductor.core import clock
from conductor.core.errors import Conflict, NotFound, Renamed
from conductor.core.integration import Integration
from conductor.store import schema

_table = schema.integrations
_EVERYTHING = select(_table).order_by(_table.c.name, _table.c.id)
_PRESENT = _EVERYTHING.where(_table.c.removed_at.is_(None))
_BY_NAME = select(_table).where(_table.c.name == bindparam("name"), _table.c.removed_at.is_(None))
_BY_ID = select(_table).where(_table.c.id == bindparam("id"))


def add(
    connection: Connection, name: str, connector: str, config: Mapping[str, Any], *, enabled: bool, by: str
) -> Integration:
    """Store a new integration with its fence. Raises Conflict when the name is taken."""
    now = clock.to_micros(clock.now())
    row = {
        "name": name,
        "connector": connector,
        "config": msgspec.json.encode(config).decode(),
        "enabled": enabled,
        "revision": 1,
        "created_at": now,
        "changed_at": now,
        "changed_by": by,
    }
    _check_name_free(connection, name)
    added = connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one()
    connection.execute(insert(schema.fences), {"integration_id": added, "epoch": 0, "last_batch": 0})
    return get(connection, name)


def edit(connection: Connection, integration: Integration, *, by: str, **changes: Any) -> Integration:
    """Change name, config or enabled. Raises Conflict when it was changed meanwhile or the name is taken."""
    values = dict(changes)
    if "config" in values:
        values["config"] = msgspec.json.encode(values["config"]).decode()
    if values.get("name", integration.name) != integration.name:
        _check_name_free(connection, values["name"], but=integration.id)
        values["former"] = " ".join(dict.fromkeys([*integration.former, integration.name]))
    here = (_table.c.id == integration.id, _table.c.revision == integration.revision, _table.c.removed_at.is_(None))
    stamp = {"revision": integration.revision + 1, "changed_at": clock.to_micros(clock.now()), "changed_by": by}
    if connection.execute(update(_table).where(*here).values(values | stamp)).rowcount != 1:
        raise Conflict(f"{integration.name} was changed by someone else meanwhile. Load it again.")
    return by_id(connection, integration.id)


def remove(connection: Connection, integration: Integration, *, by: str) -> None:
    """Mark it removed and fence its poller off. The row stays, so that its records can be normalized again."""
    now = clock.to_micros(clock.now())
    edit(connection, integration, by=by, enabled=False, removed_at=now)
    fences = schema.fences
    connection.execute(update(fences).where(fences.c.integration_id == integration.id).values(epoch=fences.c.epoch + 1))


def get(connection: Connection, name: str) -> Integration:
    """By name. Raises NotFound, which is Renamed for a name that one had before."""
    row = connection.execute(_BY_NAME, {"name": name}).one_or_none()
    if row is not None:
        return _integration(row)
    for known in everything(connection):
        if name in known.former:
            raise Renamed(name, known.name)
    raise NotFound(f"There is no integration called {name}.")


def by_id(connection: Connection, integration_id: int) -> Integration:
    """By id, removed ones included. Raises NotFound."""
    row = connection.execute(_BY_ID, {"id": integration_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no integration {integration_id}.")
    return _integration(row)


def lives(connection: Connection, integration_id: int) -> bool:
    """Whether it is not removed; a removal waits until this transaction has ended."""
    here = select(_table.c.id).where(_table.c.id == integration_id, _table.c.removed_at.is_(None))
    return connection.execute(here.with_for_update(read=True)).first() is not None


def everything(connection: Connection, *, removed: bool = False) -> list[Integration]:
    """All of them by name; removed ones only when asked for."""
    return [_integration(row) for row in connection.execute(_EVERYTHING if removed else _PRESENT)]


def owner(integration_id: int) -> str:
    """The name under which the vault keeps an integration's secrets."""
    return f"integration/{integration_id}"


def _check_name_free(connection: Connection, name: str, *, but: int = 0) -> None:
    query = select(_table.c.id).where(
        sqlalchemy.func.lower(_table.c.name) == name.lower(), _table.c.removed_at.is_(None), _table.c.id != but
    )
    if connection.execute(query).first() is not None:
        raise Conflict(f"There is already an integration called {name}. Choose another name.")


def _integration(row: Row[Any]) -> Integration:
    return Integration(
        id=row.id,
        name=row.name,
        connector=row.connector,
        config=msgspec.json.decode(row.config),
        enabled=row.enabled,
        revision=row.revision,
        created_at=clock.from_micros(row.created_at),
        changed_at=clock.from_micros(row.changed_at),
        changed_by=row.changed_by,
        removed_at=None if row.removed_at is None else clock.from_micros(row.removed_at),
        former=tuple(row.former.split()),
    )
