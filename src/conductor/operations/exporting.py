"""Everything that a search finds as a file, a page at a time, with a manifest that proves it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from conductor import __version__
from conductor.analytics import parquet
from conductor.analytics.search import MOST_ROWS
from conductor.analytics.timerange import resolve
from conductor.core import clock
from conductor.core.errors import Invalid
from conductor.core.sight import EVERYTHING, Sight
from conductor.operations import formats, search
from conductor.operations.formats import FORMATS, MEDIA, PARQUET
from conductor.operations.search import Request, Result
from conductor.operations.system import System

__all__ = ["FORMATS", "MEDIA", "PARQUET"]

COLUMNS = ("id", "time", "collected_at", "integration", "connector", *search.PLAIN, "raw")
FOLDER = "exports"  # in the data directory
PIECE = 2**20  # bytes read of a file at once
MOST_IDS = 1000
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Missing:
    """What is missing, as any page of an export was told: what caught up meanwhile was behind all the same."""

    gaps: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set)

    def add(self, told: Result) -> None:
        """What one page was told."""
        self.gaps |= {f"{item.integration} {item.gap.id}": gap_told(item) for item in told.gaps}
        self.behind |= set(told.behind)


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
    missing: Missing = field(default_factory=Missing)
    _digest: Any = field(default_factory=hashlib.sha256, init=False)
    _size: int = field(default=0, init=False)

    async def part(self, after: str | None, limit: int) -> tuple[bytes, str | None]:
        """Some rows after a place, with what stands before the first and after the last of all; and the next place.

        Of Parquet they are what `convert` makes a file of. Raises StoreError, Invalid.
        """
        writer = formats.writing(self.format, self.columns, plain=self.plain, first=after is None)
        content, begun = [] if after else [writer.begin()], self.count
        while (left := limit - (self.count - begun)) > 0:
            asked = replace(self.request, after=after, limit=min(left, MOST_ROWS))
            found = await search.search(self.system, asked, self.sight, raw="raw" in self.columns)
            self.missing.add(found)
            self.count += len(found.rows)
            content.append(writer.rows(found.rows))
            after = found.next
            if after is None:
                content.append(writer.end())
                break
        return b"".join(content), after

    async def pages(self) -> AsyncIterator[bytes]:
        """The file, a piece after the other; of Parquet nothing but empty ones until it is made. Raises StoreError."""
        async for content in self._parquet() if self.format == PARQUET else self._parts():
            self._digest.update(content)
            self._size += len(content)
            yield content

    async def convert(self, source: Path, target: Path) -> None:
        """Make Parquet of all parts. Raises StoreError."""
        work = partial(parquet.write, source=source, columns=self.columns, target=target)
        await self.system.analytics.files(work, parquet.stop)

    def manifest(self, name: str, *, sha256: str = "", size: int = 0) -> bytes:
        """What was exported, by whom and when, what is missing, and the file's SHA-256."""
        found_all = self.count == len(self.request.ids)
        return manifest(
            file=name,
            sha256=sha256 or self._digest.hexdigest(),
            size=size or self._size,
            count=self.count,
            request=self.request,
            format=self.format,
            columns=self.columns,
            plain=self.plain,
            by=self.by,
            begun=clock.to_text(self.begun),
            complete=found_all if self.request.ids else not self.missing.gaps and not self.missing.behind,
            gaps=list(self.missing.gaps.values()),
            behind=sorted(self.missing.behind),
            masked=self.sight.masked,
        )

    async def _parts(self) -> AsyncIterator[bytes]:
        after, whole = None, False
        while not whole:
            content, after = await self.part(after, MOST_ROWS)
            whole = after is None
            yield content

    async def _parquet(self) -> AsyncIterator[bytes]:
        parent = folder(self.system)
        with tempfile.TemporaryDirectory(prefix="stream-", dir=parent) as name:
            source, target = Path(name, "rows"), Path(name, "file")
            async for content in self._parts():
                await asyncio.to_thread(_append, source, content)
                yield b""
            await self.convert(source, target)
            for begin in range(0, target.stat().st_size, PIECE):
                yield await asyncio.to_thread(_piece, target, begin)


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
    """An export of what a request finds, its time range fixed as of now. Raises Invalid, BadPlace."""
    check(format, columns)
    if format == PARQUET:
        parquet.check(folder(system))
    return Export(system, fixed(request), format, tuple(columns) or COLUMNS, by, sight, plain)


def check(format: str, columns: Sequence[str]) -> None:
    """Raise Invalid for a format or a column that there is not."""
    if format not in FORMATS:
        raise Invalid({"format": f"Choose one of {', '.join(FORMATS)}."})
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise Invalid({"columns": f"There is no column `{unknown[0][:60]}`. There are: {', '.join(COLUMNS)}."})


def chosen(ids: Iterable[str], *, oldest_first: bool = False) -> Request:
    """The request for some events by their ids, which stand alone or with commas between. Raises Invalid."""
    wanted = [id_.strip().lower() for text in ids for id_ in text.split(",") if id_.strip()]
    if not wanted:
        raise Invalid({"ids": "Name the events that you want, by their ids."})
    if wrong := [id_ for id_ in wanted if not _ID.fullmatch(id_)]:
        raise Invalid({"ids": f"`{wrong[0][:60]}` is no event's id: that has 32 hexadecimal digits."})
    if len(unique := tuple(dict.fromkeys(wanted))) > MOST_IDS:
        raise Invalid({"ids": f"These are {len(unique):,} events. Name {MOST_IDS:,} at the most, or export a search."})
    return Request(ids=unique, oldest_first=oldest_first)


def fixed(request: Request) -> Request:
    """The same with its range from one time to another, so that every page is of the same. Raises Invalid."""
    if request.ids:
        return request
    now = clock.now()
    span = resolve(request.last, request.start, request.end, now)
    start = clock.to_exact(span.start) if span.start else None
    return replace(request, last=None, start=start, end=clock.to_exact(span.end or now))


def folder(system: System) -> Path:
    """Where files are made: for nobody else to look into."""
    path = system.settings.directory / FOLDER
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def manifest(*, request: Request, plain: bool, format: str, **told: Any) -> bytes:
    """The manifest as JSON that people can read."""
    facts = {
        "schema": "conductor.export/1",
        "conductor": __version__,
        **told,
        "format": format,
        **asked_of(request),
        **({"formulas_marked": not plain} if format == "csv" else {}),
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"


def asked_of(request: Request) -> dict[str, Any]:
    """What is exported, as a manifest tells it."""
    sort = {"sort": "date" if request.oldest_first else "-date"}
    if request.ids:
        return {"ids": list(request.ids), **sort}
    return {"query": request.q, "range": {"from": request.start, "to": request.end}, **sort}


def gap_told(item: Any) -> dict[str, Any]:
    """A gap as a manifest lists it."""
    gap = item.gap
    ends = {"begins": clock.to_text(gap.begins), "ends": clock.to_text(gap.ends)}
    return {"integration": item.integration, **ends, "cause": gap.cause, "state": gap.state}


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def _piece(path: Path, begin: int) -> bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(PIECE)
