"""A copy of the SQLite file while it is written to, and what a restored one needs before it may be used."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, delete, update

from conductor.core.errors import StoreCorrupt, StoreError, StoreFull
from conductor.store import schema

PAGES = 4096  # of the database, copied at once
LEAP = 1_000_000  # epochs: more than any owner has grown since a backup
PIECE = 2**20  # bytes


def copy(source: Path, target: Path, told: Callable[[int, int], None] = lambda left, total: None) -> None:
    """Copy the database as it stands now; it may be written to meanwhile. `told` hears the pages left, and all.

    It reads on a read-only connection and inside one transaction, so that every step sees the same moment. Raises
    StoreError.
    """
    address = f"file:{quote(str(source))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as reader, closing(sqlite3.connect(target)) as writer:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            reader.backup(writer, pages=PAGES, progress=lambda _status, left, total: told(left, total))
            writer.execute("PRAGMA journal_mode=DELETE")
        os.chmod(target, 0o600)
        _sync(target)
    except sqlite3.DatabaseError as error:
        raise _translated(error) from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}.") from error


def digest(path: Path) -> str:
    """The SHA-256 of a file that no process has open as a database."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hashed.update(piece)
    return hashed.hexdigest()


def stage(source: Path, target: Path) -> None:
    """Copy a backup to where it will be made ready. Raises StoreError."""
    try:
        for stale in _files(target):
            stale.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        os.chmod(target, 0o600)
    except OSError as error:
        raise StoreError(f"{source} cannot be copied to {target}: {error.strerror}.") from error


def fence(connection: Connection) -> None:
    """Nobody who owned anything before the restore may commit after it."""
    fences = schema.fences
    connection.execute(update(fences).values(epoch=fences.c.epoch + LEAP, owner="", poll_asked=None))
    connection.execute(delete(schema.workers))


def swap(staged: Path, path: Path, aside: Path) -> None:
    """Put the staged database in place; the replaced one is kept. No moment is without a database. Raises StoreError.

    The write-ahead log of the replaced one must not meet the new file: it is folded in, or moved aside with it.
    """
    try:
        _sync(staged)
        if path.exists():
            _fold(path)
            for suffix in ("-wal", "-shm"):
                beside = path.with_name(path.name + suffix)
                if beside.exists():
                    beside.rename(aside.with_name(aside.name + suffix))
            os.link(path, aside)
        os.replace(staged, path)
        _sync(path.parent)
    except OSError as error:
        raise StoreError(f"{staged} cannot be put in place of {path}: {error.strerror}.") from error


def _fold(path: Path) -> None:
    """Fold the log of a database that nobody has open into it; a damaged one is left as it is."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.DatabaseError:
        return


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _translated(error: sqlite3.DatabaseError) -> StoreError:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
        return StoreFull("The disk is full.")
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorrupt(f"The database is damaged: {error}", what=str(error))
    return StoreError(f"The database cannot be copied: {error}.")
