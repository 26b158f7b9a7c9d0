"""Parquet, which the engine in this process writes from rows that lie in a file, also where a server is searched.

The rows are MsgPack in zstd frames, one after another: what was written can be gone on with at the end of any frame.
The file is made of groups of bounded size, so that neither writing nor reading millions of rows takes much memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from conductor.core import clock
from conductor.core.errors import Refused

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_TIME = "DateTime64(3, 'UTC')"
_TYPES = {"time": _TIME, "collected_at": _TIME, "own": "Bool", "parsed": "Bool", "asn": "UInt32"}
_PATTERN = frozenset("*?{}")  # of these the engine makes other names
_SETTINGS = {
    "output_format_parquet_row_group_size": 10_000,
    "output_format_parquet_row_group_size_bytes": 33_554_432,
    "max_memory_usage": 500_000_000,
    "max_threads": 1,
    "max_execution_time": 0,  # as long as it takes
}
_encode = msgspec.msgpack.Encoder().encode


class BadPlace(Refused):
    """Parquet cannot be written here: the path of the data directory has one of the signs * ? { }."""

    code = "export.path"


def rows(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Some rows as MsgPack, to be compressed."""
    head = 1 if len(columns) <= 15 else 3  # of an array, which a row has not
    return b"".join(_encode([_cell(name, row[name]) for name in columns])[head:] for row in found)


def check(folder: Path) -> None:
    """Raise BadPlace where the engine would not find the rows."""
    if _PATTERN & set(str(folder)):
        raise BadPlace


def write(client: Client, source: Path, columns: Sequence[str], target: Path) -> None:
    """Make a file, which must not be there yet, of the rows of another."""
    structure = ", ".join(f"`{name}` {_TYPES.get(name, 'String')}" for name in columns)
    client.command(
        "INSERT INTO FUNCTION file({target:String}, 'Parquet') "
        "SELECT * FROM file({source:String}, 'MsgPack', {structure:String}, 'zstd')",
        parameters={"target": str(target), "source": str(source), "structure": structure},
        settings=_SETTINGS,
    )


def stop(client: Client) -> None:
    """End what `write` is at."""
    client.command("KILL QUERY WHERE query LIKE 'INSERT INTO FUNCTION file(%' ASYNC")


def _cell(name: str, value: Any) -> Any:
    if _TYPES.get(name) == _TIME:
        return clock.to_micros(datetime.fromisoformat(value)) // 1000
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
