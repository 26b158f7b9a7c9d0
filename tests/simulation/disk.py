"""The database's disk: real SQLite files, the product's own engines, and what may go wrong at a commit.

The engines are made by the product once for each place that a process may take, and are pointed at the file of the
world that runs: SQLAlchemy keeps its compiled statements with the engine, and compiling them anew after each simulated
restart would cost more than everything else.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy

from conductor.core import clock
from conductor.store import database
from simulation.loop import PROCESS, Killed, Process

_ENGINES: dict[tuple[str, str], sqlalchemy.Engine] = {}
_make_writer, _make_reader = database._writing_engine, database._reading_engine
_made = database.Database._made
_FAILURES = {
    "full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "broken": ("disk I/O error", sqlite3.SQLITE_IOERR),
}


class Disk:
    """One world's database file. `trouble` says what happens to a commit: "", `full`, `broken`, `unknown`, `killed`."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self.path = path
        self.now = now  # the database's own clock
        self.trouble: Callable[[Process], str] = lambda _: ""
        self.committed: Callable[[Process], None] = lambda _: None
        self.kill: Callable[[Process], None] = lambda _: None
        self._open: dict[str, list[sqlite3.Connection]] = {}

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """While it lasts, the product's databases are on this disk."""
        database.Database._made = lambda _, engine: None  # type: ignore[method-assign]
        database._writing_engine = lambda url: self._engine("writer", url, _make_writer)
        database._reading_engine = lambda url: self._engine("reader", url, _make_reader)
        try:
            yield
        finally:
            database.Database._made = _made  # type: ignore[method-assign]
            database._writing_engine, database._reading_engine = _make_writer, _make_reader
            for name in list(self._open):
                self.disconnect(name)
            for engine in _ENGINES.values():
                engine.dispose()

    def disconnect(self, name: str) -> None:
        """A process is gone: what it had begun is rolled back."""
        for connection in self._open.pop(name, []):
            with contextlib.suppress(sqlite3.ProgrammingError):  # it was closed in good order
                connection.rollback()
        for (_, owner), engine in _ENGINES.items():
            if owner == name:
                engine.dispose(close=False)

    def _engine(self, kind: str, url: sqlalchemy.URL, make: Callable[..., sqlalchemy.Engine]) -> sqlalchemy.Engine:
        process = PROCESS.get()
        assert process is not None
        key = (kind, process.name)
        engine = _ENGINES.get(key)
        if engine is None:
            engine = _ENGINES[key] = make(url)
            _point(engine, kind)
        engine.conductor_disk = self  # type: ignore[attr-defined]
        return engine

    def connect(self, process: Process, kind: str) -> sqlite3.Connection:
        """A connection that ends with its process."""
        if process.dead:
            raise Killed(process.name)
        if kind == "reader":
            link = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, check_same_thread=False)
        else:
            link = sqlite3.connect(self.path, check_same_thread=False, factory=_Connection)
        link.create_function("store_now", 0, lambda: clock.to_micros(self.now()))
        self._open.setdefault(process.name, []).append(link)
        return link

    def commit(self, connection: Any, kind: str) -> None:
        """Commit, or what happens instead."""
        if kind == "reader":
            connection.commit()
            return
        process = PROCESS.get()
        assert process is not None
        trouble = self.trouble(process)
        if trouble in _FAILURES:
            connection.rollback()  # as SQLite does by itself when a COMMIT fails (sqlite3VdbeHalt)
            raise _error(*_FAILURES[trouble])
        if trouble == "killed":
            self.kill(process)
            raise Killed(process.name)
        connection.commit()
        self.committed(process)
        if trouble == "unknown":
            self.kill(process)
            raise Killed(process.name)


class _Connection(sqlite3.Connection):
    """Without the flush that makes a commit durable: a simulated kill loses no page of the file system's cache."""

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        return super().execute(statement.replace("synchronous=FULL", "synchronous=OFF"), *arguments)


def _point(engine: sqlalchemy.Engine, kind: str) -> None:
    """Connect to the file of the world that runs, and tell that world of commits."""

    def connect() -> sqlite3.Connection:
        process = PROCESS.get()
        assert process is not None
        return engine.conductor_disk.connect(process, kind)  # type: ignore[attr-defined]

    engine.pool._creator = connect  # type: ignore[assignment]
    engine.dialect.do_commit = lambda connection: engine.conductor_disk.commit(connection, kind)  # type: ignore[attr-defined,method-assign]


def _error(text: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error
