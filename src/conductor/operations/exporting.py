"""Everything that a search finds as a file: CSV, JSON or NDJSON, a page at a time, with a manifest that proves it."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import msgspec

from conductor import __version__
from conductor.analytics.search import MOST_ROWS
from conductor.analytics.timerange import resolve
from conductor.core import clock
from conductor.core.errors import Invalid
from conductor.core.sight import EVERYTHING, Sight
from conductor.operations import search
from conductor.operations.search import Request, Result
from conductor.operations.system import System

COLUMNS = ("id", "time", "collected_at", "integration", "connector", *search.PLAIN, "raw")
FORMATS = ("csv", "json", "ndjson")
MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json", "ndjson": "application/x-ndjson"}
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
class Export:
    """A file on its way. `pages` brings its bytes; when they are all there, `manifest` tells what they are."""

    system: System
    request: Request
    format: str
    columns: Sequence[str]
    by: str
    sight: Sight = EVERYTHING
    plain: bool = False
    begun: datetime = field(default_factory=clock.now)
    count: int = 0
    last: Result | None = None
    _digest: Any = field(default_factory=hashlib.sha256, init=False)
    _size: int = field(default=0, init=False)

    async def part(self, after: str | None, limit: int) -> tuple[bytes, str | None]:
        """Some rows after a place, with what stands before the first and after the last of all; and the next place.

        Raises StoreError, Invalid.
        """
        writer = writing(self.format, self.columns, plain=self.plain, first=after is None)
        content, begun = [] if after else [writer.begin()], self.count
        while (left := limit - (self.count - begun)) > 0:
            asked = replace(self.request, after=after, limit=min(left, MOST_ROWS))
            self.last = await search.search(self.system, asked, self.sight, raw="raw" in self.columns)
            self.count += len(self.last.rows)
            content.append(writer.rows(self.last.rows))
            after = self.last.next
            if after is None:
                content.append(writer.end())
                break
        return b"".join(content), after

    async def pages(self) -> AsyncIterator[bytes]:
        """The file, a piece after the other. Raises StoreError."""
        after, whole = None, False
        while not whole:
            content, after = await self.part(after, MOST_ROWS)
            whole = after is None
            self._digest.update(content)
            self._size += len(content)
            yield content

    def manifest(self, name: str) -> bytes:
        """What was exported, by whom and when, what is missing, and the file's SHA-256."""
        assert self.last is not None, "the pages come first"
        return manifest(
            file=name,
            sha256=self._digest.hexdigest(),
            size=self._size,
            count=self.count,
            request=self.request,
            format=self.format,
            columns=self.columns,
            plain=self.plain,
            by=self.by,
            begun=clock.to_text(self.begun),
            complete=self.last.complete,
            gaps=[gap_told(item) for item in self.last.gaps],
            behind=self.last.behind,
            masked=self.sight.masked,
        )


def prepare(
    system: System,
    request: Request,
    format: str,
    columns: Sequence[str],
    *,
    by: str,
    sight: Sight = EVERYTHING,
    plain: bool = False,
) -> Export:
    """An export of what a request finds, its time range fixed as of now. Raises Invalid."""
    check(format, columns)
    return Export(system, fixed(request), format, tuple(columns) or COLUMNS, by, sight, plain)


def check(format: str, columns: Sequence[str]) -> None:
    """Raise Invalid for a format or a column that there is not."""
    if format not in FORMATS:
        raise Invalid({"format": f"Choose one of {', '.join(FORMATS)}."})
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise Invalid({"columns": f"There is no column `{unknown[0][:60]}`. There are: {', '.join(COLUMNS)}."})


def fixed(request: Request) -> Request:
    """The same with its range from one time to another, so that every page is of the same. Raises Invalid."""
    now = clock.now()
    span = resolve(request.last, request.start, request.end, now)
    start = clock.to_exact(span.start) if span.start else None
    return replace(request, last=None, start=start, end=clock.to_exact(span.end or now))


def writing(format: str, columns: Sequence[str], *, plain: bool = False, first: bool = True) -> Format:
    """What makes a file of rows, or of those that are not the first."""
    if format == "csv":
        return Csv(columns, plain)
    return Json(columns, first) if format == "json" else Ndjson(columns)


def manifest(*, request: Request, plain: bool, format: str, **told: Any) -> bytes:
    """The manifest as JSON that people can read."""
    facts = {
        "schema": "conductor.export/1",
        "conductor": __version__,
        **told,
        "format": format,
        "query": request.q,
        "range": {"from": request.start, "to": request.end},
        "sort": "date" if request.oldest_first else "-date",
        **({"formulas_marked": not plain} if format == "csv" else {}),
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"


def gap_told(item: Any) -> dict[str, Any]:
    """A gap as a manifest lists it."""
    gap = item.gap
    ends = {"begins": clock.to_text(gap.begins), "ends": clock.to_text(gap.ends)}
    return {"integration": item.integration, **ends, "cause": gap.cause, "state": gap.state}


def _object(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {name: search.raw_object(row[name]) if name == "raw" else row[name] for name in columns}
