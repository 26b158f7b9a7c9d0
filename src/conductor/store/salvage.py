"""What can still be read of a damaged journal, row by row, changing nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec

from conductor.core.signal import Signal
from conductor.store import journal, zstd

MISSES = 10_000  # row numbers in a row that cannot be read before the rest is given up
_ROW = "SELECT integration_id, batch, committed_at, body FROM batches NOT INDEXED WHERE rowid = ?"


@dataclass(frozen=True, slots=True)
class Saved:
    """One batch that could be read, or that is known to be lost (no signals)."""

    integration: str
    batch: int
    committed_at: int
    signals: list[Signal]


def batches(path: Path) -> Iterator[Saved | None]:
    """Every batch in the order in which it was written; None for a row that is there and cannot be read."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
        names = _names(connection)
        number, misses, last = 1, 0, _last(connection)
        while number <= last if last else misses < MISSES:
            found, lost = _read(connection, number)
            misses = 0 if found else misses + 1
            if found:
                integration, batch, at, signals = found
                yield Saved(names.get(integration, str(integration)), batch, at, signals)
            elif lost:
                yield None
            number += 1


def _read(connection: sqlite3.Connection, number: int) -> tuple[tuple[int, int, int, list[Signal]] | None, bool]:
    try:
        row = connection.execute(_ROW, (number,)).fetchone()
        return (None if row is None else (*row[:3], journal.unpack(row[3]))), False
    except (sqlite3.DatabaseError, zstd.Error, msgspec.MsgspecError, ValueError, TypeError):
        return None, True


def _names(connection: sqlite3.Connection) -> dict[int, str]:
    try:
        return dict(connection.execute("SELECT id, name FROM integrations"))
    except sqlite3.DatabaseError:
        return {}


def _last(connection: sqlite3.Connection) -> int:
    try:
        return int(connection.execute("SELECT coalesce(max(rowid), 0) FROM batches").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0
