"""How rows become a file: CSV, JSON, NDJSON, and what Parquet is made of."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from conductor.analytics import parquet
from conductor.operations import search
from conductor.store import zstd

PARQUET = "parquet"
FORMATS = ("csv", "json", "ndjson", PARQUET)
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    PARQUET: "application/vnd.apache.parquet",
}
_RISKY = ("=", "+", "-", "@", "\t", "\r")  # with these a cell is a formula to a spreadsheet (OWASP, CSV Injection)


class Format(Protocol):
    """Turns rows into the bytes of a file."""

    def begin(self) -> bytes:
        """What stands before the rows."""

    def rows(self, found: Sequence[Mapping[str, Any]]) -> bytes:
        """Some rows."""

    def end(self) -> bytes:
        """What stands after them."""


@dataclass(slots=True)
class Csv:
    """RFC 4180 with a header. A cell that a spreadsheet would take for a formula gets an apostrophe before it, unless
    `plain`."""

    columns: Sequence[str]
    plain: bool = False

    def begin(self) -> bytes:
        """The header."""
        return self._lines([self.columns])

    def rows(self, found: Sequence[Mapping[str, Any]]) -> bytes:
        """A line each."""
        return self._lines([self._cell(row[name]) for name in self.columns] for row in found)

    def end(self) -> bytes:
        """Nothing."""
        return b""

    def _lines(self, cells: Iterable[Sequence[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows(cells)
        return text.getvalue().encode("utf-8", "replace")

    def _cell(self, value: Any) -> str:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if isinstance(value, bool):
            text = text.lower()
        return f"'{text}" if not self.plain and text.startswith(_RISKY) else text


@dataclass(slots=True)
class Ndjson:
    """A JSON object a line; `raw` is the vendor's own, byte for byte where it is JSON."""

    columns: Sequence[str]

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, found: Sequence[Mapping[str, Any]]) -> bytes:
        """A line each."""
        return b"".join(msgspec.json.encode(_object(row, self.columns)) + b"\n" for row in found)

    def end(self) -> bytes:
        """Nothing."""
        return b""


@dataclass(slots=True)
class Json:
    """One JSON array."""

    columns: Sequence[str]
    first: bool = True

    def begin(self) -> bytes:
        """The bracket."""
        return b"["

    def rows(self, found: Sequence[Mapping[str, Any]]) -> bytes:
        """An object each."""
        comma, self.first = (b"\n" if self.first else b",\n"), self.first and not found
        return (comma + b",\n".join(msgspec.json.encode(_object(row, self.columns)) for row in found)) if found else b""

    def end(self) -> bytes:
        """The other bracket."""
        return b"\n]\n"


@dataclass(slots=True)
class Rows:
    """The rows of a Parquet file, of which the engine makes it when they are all there (`analytics.parquet`)."""

    columns: Sequence[str]

    def begin(self) -> bytes:
        """Something to be read, should there be no rows."""
        return self.rows([])

    def rows(self, found: Sequence[Mapping[str, Any]]) -> bytes:
        """Compressed, by themselves."""
        return zstd.compress(parquet.rows(found, self.columns))

    def end(self) -> bytes:
        """Nothing."""
        return b""


def writing(format: str, columns: Sequence[str], *, plain: bool = False, first: bool = True) -> Format:
    """What makes a file of rows, or of those that are not the first."""
    if format == "csv":
        return Csv(columns, plain)
    if format == PARQUET:
        return Rows(columns)
    return Json(columns, first) if format == "json" else Ndjson(columns)


def _object(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {name: search.raw_object(row[name]) if name == "raw" else row[name] for name in columns}
