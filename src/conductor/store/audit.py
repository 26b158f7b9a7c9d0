"""The audit log: who did what, to what, from where. Rows are appended and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from conductor.core import clock
from conductor.store import schema

_table = schema.audit


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit log."""

    id: int
    time: datetime
    actor: str
    address: str
    action: str
    target: str
    detail: Mapping[str, Any]


def append(
    connection: Connection,
    actor: str,
    action: str,
    target: str,
    detail: Mapping[str, Any] | None = None,
    *,
    address: str = "",
) -> None:
    """Write down one deed in the transaction of the deed itself. `detail` never holds a secret."""
    row = {
        "time": clock.to_micros(clock.now()),
        "actor": actor,
        "address": address,
        "action": action,
        "target": target,
        "detail": msgspec.json.encode(detail or {}).decode(),
    }
    connection.execute(insert(_table), row)


def recent(connection: Connection, limit: int, before: int | None = None) -> list[Entry]:
    """The newest first; `before` is an entry's id, to page on."""
    query = select(_table).order_by(_table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_table.c.id < before)
    rows = connection.execute(query)
    plain = ("id", "actor", "address", "action", "target")
    return [
        Entry(
            time=clock.from_micros(row.time),
            detail=msgspec.json.decode(row.detail),
            **{name: getattr(row, name) for name in plain},
        )
        for row in rows
    ]
