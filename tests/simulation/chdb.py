"""The real search engine in a simulated world, one in fifty, with the same troubles around it as the one in memory.

It stands for a server whose disk outlives every simulated process: a killed process's handles stay open to the end.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect.driver as clickhouse
from clickhouse_connect.driver.exceptions import DatabaseError

from conductor.analytics import artifacts
from simulation.engine import Row

_create = clickhouse.create_client  # before a world puts its own in its place
_SEEN = ", ".join(f"`{name}`" for name in artifacts.COLUMNS[:6])


class RealEngine:
    """chDB in one directory; a process can have only one. `trouble` and `full` as in `engine.Engine`."""

    def __init__(self) -> None:
        self.trouble: Callable[[str], str] = lambda _: ""
        self.full: Callable[[], bool] = lambda: False
        self._handles: list[Any] = []
        self._path = ""

    @property
    def rows(self) -> Mapping[tuple[int, int], list[Row]]:
        """The first columns of all rows, by integration and batch."""
        found: dict[tuple[int, int], list[Row]] = defaultdict(list)
        for row in self._handles[0].query(f"SELECT {_SEEN} FROM {artifacts.TABLE}").result_rows:
            found[int(row[0]), int(row[2])].append(tuple(row))
        return found

    def client(self, **options: Any) -> _Handle:
        """What `create_client` answers."""
        self._path = options["path"]
        self._handles.append(_create(**options))
        return _Handle(self._handles[-1], self)

    def close(self) -> None:
        """Let the engine go, so that the next world can have one, and delete what it wrote."""
        for handle in self._handles:
            handle.close()
        shutil.rmtree(Path(self._path), ignore_errors=True)


class _Handle:
    """As much of a client as Conductor's artifacts use."""

    def __init__(self, link: Any, engine: RealEngine) -> None:
        self._link = link
        self._engine = engine

    def close(self) -> None:
        """Kept: in this process the engine ends with its last handle."""

    def query(self, statement: str, **more: Any) -> Any:
        """A statement with rows."""
        return self._link.query(statement, **more)

    def command(self, statement: str, **more: Any) -> Any:
        """A statement without rows."""
        what = statement.split(None, 1)[0].lower()
        return self._troubled(
            what if what in ("delete", "truncate") else "", lambda: self._link.command(statement, **more)
        )

    def raw_insert(self, table: str, column_names: Sequence[str], **more: Any) -> Any:
        """Insert rows."""
        if self._engine.full():
            raise DatabaseError("Code: 243. DB::Exception: Cannot reserve: NOT_ENOUGH_SPACE")
        return self._troubled("insert", lambda: self._link.raw_insert(table, column_names=column_names, **more))

    def _troubled(self, what: str, work: Callable[[], Any]) -> Any:
        trouble = self._engine.trouble(what) if what else ""
        if trouble in ("before", "part"):
            raise DatabaseError("Code: 999. DB::Exception: the simulated engine failed")
        answer = work()
        if trouble == "after":
            raise DatabaseError("Code: 999. DB::Exception: the simulated engine failed")
        return answer
