"""What belongs to the installation as a whole, by name."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from conductor.store import schema

_table = schema.facts


def get(connection: Connection, name: str) -> str | None:
    """A fact, None when it was never written."""
    return connection.execute(select(_table.c.value).where(_table.c.name == name)).scalar()


def replace(connection: Connection, name: str, value: str) -> str | None:
    """Write a fact; the answer is what it was before, None for a new one."""
    before = get(connection, name)
    if before is None:
        connection.execute(insert(_table), {"name": name, "value": value})
    elif before != value:
        connection.execute(update(_table).where(_table.c.name == name).values(value=value))
    return before
