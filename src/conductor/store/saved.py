"""Saved searches and short links in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from conductor.core import clock
from conductor.core.errors import Conflict, NotFound
from conductor.store import schema

_table, _links = schema.saved_searches, schema.short_links


@dataclass(frozen=True, slots=True)
class Saved:
    """A search under a name. `state` are the parts of its URL: `q`, `last` or `from` and `to`, `cols` and so on.

    One that a connector ships has the id 0 and no owner.
    """

    id: int
    slug: str
    name: str
    description: str
    folder: str
    owner: str
    shared: bool
    state: Mapping[str, str]
    revision: int = 0
    changed_at: datetime | None = None
    changed_by: str = ""
    used_at: datetime | None = None

    @property
    def shipped(self) -> bool:
        """Whether it comes with a connector and cannot be changed."""
        return self.id == 0


@dataclass(frozen=True, slots=True)
class Link:
    """What a short link leads to."""

    slug: str
    state: str
    created_at: datetime
    created_by: str


def seen_by(connection: Connection, owner: str) -> list[Saved]:
    """A user's own and those that are shared, by name."""
    mine = select(_table).where(or_(_table.c.owner == owner, _table.c.shared)).order_by(_table.c.name, _table.c.id)
    return [_saved(row) for row in connection.execute(mine)]


def get(connection: Connection, saved_id: int) -> Saved:
    """By id. Raises NotFound."""
    row = connection.execute(select(_table).where(_table.c.id == saved_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such saved search.")
    return _saved(row)


def slugs(connection: Connection) -> set[str]:
    """All that are taken, whoever they belong to."""
    return set(connection.execute(select(_table.c.slug)).scalars())


def add(connection: Connection, *, by: str, **values: Any) -> Saved:
    """Store a new one."""
    row = _row(values) | {"revision": 1, "changed_at": clock.to_micros(clock.now()), "changed_by": by}
    return get(connection, int(connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one()))


def edit(connection: Connection, found: Saved, *, by: str, **changes: Any) -> Saved:
    """Change some values. Raises Conflict when it was changed meanwhile."""
    stamp = {"revision": found.revision + 1, "changed_at": clock.to_micros(clock.now()), "changed_by": by}
    here = (_table.c.id == found.id, _table.c.revision == found.revision)
    if connection.execute(update(_table).where(*here).values(_row(changes) | stamp)).rowcount != 1:
        raise Conflict(f"{found.name} was changed by someone else meanwhile. Load it again.")
    return get(connection, found.id)


def use(connection: Connection, saved_id: int) -> None:
    """Note that somebody opened it just now."""
    now = clock.to_micros(clock.now())
    connection.execute(update(_table).where(_table.c.id == saved_id).values(used_at=now))


def remove(connection: Connection, saved_id: int) -> None:
    """Delete it."""
    connection.execute(delete(_table).where(_table.c.id == saved_id))


def link(connection: Connection, slug: str, state: str, by: str) -> None:
    """Store a short link."""
    row = {"slug": slug, "state": state, "created_at": clock.to_micros(clock.now()), "created_by": by}
    connection.execute(insert(_links).values(row))


def follow(connection: Connection, slug: str) -> Link:
    """What a short link leads to. Raises NotFound."""
    row = connection.execute(select(_links).where(_links.c.slug == slug)).one_or_none()
    if row is None:
        raise NotFound("There is no such link. Ask whoever gave it to you for a new one.")
    return Link(row.slug, row.state, clock.from_micros(row.created_at), row.created_by)


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(dict(value)) if name == "state" else value for name, value in values.items()}


def _saved(row: Row[Any]) -> Saved:
    names = ("id", "slug", "name", "description", "folder", "owner", "shared", "revision", "changed_by")
    return Saved(
        **{name: getattr(row, name) for name in names},
        state=json.loads(row.state),
        changed_at=clock.from_micros(row.changed_at),
        used_at=None if row.used_at is None else clock.from_micros(row.used_at),
    )
