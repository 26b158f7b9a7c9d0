"""What belongs to the installation as a whole, by name."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from conductor.store import schema

_table = schema.facts
_VALUE = select(_table.c.value).where(_table.c.name == bindparam("name"))
_NEW = {
    "sqlite": sqlite.insert(_table).on_conflict_do_nothing().returning(_table.c.name),
    "postgresql": postgresql.insert(_table).on_conflict_do_nothing().returning(_table.c.name),
}


def get(connection: Connection, name: str) -> str | None:
    """A fact, None when it was never written."""
    return connection.execute(_VALUE, {"name": name}).scalar()


def replace(connection: Connection, name: str, value: str) -> str | None:
    """Write a fact; the answer is what it was before, None for a new one. Several workers may do so at once."""
    if connection.execute(_NEW[connection.dialect.name], {"name": name, "value": value}).first() is not None:
        return None
    here = _table.c.name == name
    before = connection.execute(select(_table.c.value).where(here).with_for_update()).scalar_one()
    if before != value:
        connection.execute(update(_table).where(here).values(value=value))
    return str(before)
