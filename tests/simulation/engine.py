"""A ClickHouse client in memory: the statements of `analytics/artifacts.py`, the deduplication window, and faults.

It is held to the same tests as the real engine (test_engine.py), and refuses any statement that it does not know.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
from clickhouse_connect.driver.exceptions import DatabaseError

from conductor.analytics import artifacts
from conductor.core import clock

WINDOW = 1000  # tokens remembered: non_replicated_deduplication_window
_PLAIN = {name: number for number, name in enumerate(artifacts.COLUMNS)}
_TIME = _PLAIN["time"]
_DAY = 86_400_000_000  # microseconds
Row = tuple[Any, ...]


@dataclass(slots=True)
class Result:
    """What a query answers."""

    result_rows: Sequence[Sequence[Any]]


@dataclass(slots=True)
class Engine:
    """What is on the disk of one engine: it outlives every client and every process.

    `trouble` is asked before each insert or delete: `before` and `after` fail there, `part` fails half-way.
    """

    made: bool = False
    table: str = ""
    rows: dict[tuple[int, int], list[Row]] = field(default_factory=lambda: defaultdict(list))
    tokens: deque[tuple[str, int, int]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    trouble: Callable[[str], str] = lambda _: ""
    full: Callable[[], bool] = lambda: False

    def client(self, **_options: Any) -> Client:
        """What `create_client` answers."""
        return Client(self)

    def close(self) -> None:
        """The world has ended."""

    def everything(self) -> Iterator[Row]:
        """All rows, batch by batch."""
        for key in sorted(self.rows):
            yield from self.rows[key]


class Client:
    """As much of clickhouse-connect's client as Conductor's artifacts use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Nothing is held."""

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None, **_more: Any) -> str:
        """A statement without rows."""
        engine, given = self._engine, parameters or {}
        if statement.lstrip().startswith(f"CREATE TABLE IF NOT EXISTS {artifacts.TABLE}"):
            engine.made, engine.table = True, statement
        elif statement == f"TRUNCATE TABLE {artifacts.TABLE}":
            self._fail("truncate", "before")
            engine.rows.clear()
            self._fail("truncate", "after")
        elif statement.startswith(f"DELETE FROM {artifacts.TABLE} WHERE integration_id = {{i:UInt32}} AND batch = "):
            trouble = self._trouble("delete")
            engine.rows.pop((given["i"], given["b"]), None)
            _raise_if(trouble == "after")
        elif statement.startswith(f"DELETE FROM {artifacts.TABLE} WHERE integration_id = {{i:UInt32}} AND batch > "):
            trouble = self._trouble("delete")
            for key in [key for key in engine.rows if key[0] == given["i"] and key[1] > given["b"]]:
                del engine.rows[key]
            _raise_if(trouble == "after")
        elif found := re.fullmatch(rf"ALTER TABLE {artifacts.TABLE} DROP PARTITION (\d+)", statement):
            for key, rows in list(engine.rows.items()):
                engine.rows[key] = [row for row in rows if _day(row) != int(found[1])]
        else:
            raise AssertionError(f"the simulated engine does not know: {statement}")
        return ""

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None, **_more: Any) -> Result:
        """A statement with rows."""
        rows, given = self._engine.rows, parameters or {}
        if statement.startswith("SELECT integration_id, max(batch)"):
            newest: dict[int, int] = {}
            for (integration, batch), found in rows.items():
                if found:
                    newest[integration] = max(batch, newest.get(integration, 0))
            return Result(sorted(newest.items()))
        if statement.startswith(f"SELECT batch, count() FROM {artifacts.TABLE} WHERE integration_id = "):
            span = range(given["a"], given["b"] + 1)
            counts = [(batch, len(rows[given["i"], batch])) for batch in span if rows.get((given["i"], batch))]
            return Result(counts)
        if statement.startswith("SELECT DISTINCT partition FROM system.parts"):
            days = {str(_partition(day)) for day in {row[_TIME] // _DAY for row in self._engine.everything()}}
            return Result([(day,) for day in sorted(days) if day < given["d"]])
        if statement.startswith("SELECT create_table_query FROM system.tables"):
            return Result([(self._engine.table,)])
        raise AssertionError(f"the simulated engine does not know: {statement}")

    def raw_insert(
        self,
        table: str,
        column_names: Sequence[str],
        insert_block: bytes,
        fmt: str,
        settings: Mapping[str, Any],
    ) -> None:
        """Insert rows: one part for each day, each known again by its token."""
        assert (table, fmt, tuple(column_names)) == (artifacts.TABLE, "MsgPack", artifacts.COLUMNS)
        if self._engine.full():
            raise DatabaseError("Code: 243. DB::Exception: Cannot reserve: NOT_ENOUGH_SPACE")
        trouble = self._trouble("insert")
        by_day: dict[int, list[Row]] = defaultdict(list)
        for row in decode(insert_block, len(column_names)):
            by_day[_day(row)].append(row)
        parts = [(day, rows) for day, rows in sorted(by_day.items())]
        if trouble == "part":  # a large block is written in several pieces
            day, rows = parts[-1]
            parts[-1] = (day, rows[: len(rows) // 2])
        for day, rows in parts:
            self._add(settings["insert_deduplication_token"], day, rows)
        _raise_if(bool(trouble))

    def _add(self, token: str, day: int, rows: list[Row]) -> None:
        known = (token, day, len(rows))
        if known in self._engine.tokens:
            return
        self._engine.tokens.append(known)
        for row in rows:
            self._engine.rows[row[0], row[2]].append(row)

    def _trouble(self, what: str) -> str:
        trouble = self._engine.trouble(what)
        _raise_if(trouble == "before")
        return trouble

    def _fail(self, what: str, when: str) -> None:
        _raise_if(self._engine.trouble(what) == when)


def _raise_if(broken: bool) -> None:
    if broken:
        raise DatabaseError("Code: 999. DB::Exception: the simulated engine failed")


def _day(row: Row) -> int:
    return _partition(row[_TIME] // _DAY)


@functools.cache
def _partition(day: int) -> int:
    """toYYYYMMDD of a day since 1970."""
    return int(f"{clock.from_micros(day * _DAY):%Y%m%d}")


def decode(block: bytes, width: int) -> Iterator[Row]:
    """The rows of a MsgPack block as ClickHouse reads it: values one after another, no array around a row."""
    values = msgpack.Unpacker(raw=True, max_buffer_size=0)
    values.feed(block)
    return zip(*[iter(values)] * width, strict=True)
