"""The figures behind the dashboard: what came in, where it waits, how the parts are, what room is left."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import Counter

from conductor import __version__
from conductor.analytics import artifacts
from conductor.analytics import search as searching
from conductor.core import clock
from conductor.core.errors import ConductorError
from conductor.core.poll import Gap
from conductor.observe import recent
from conductor.operations.system import System
from conductor.store import channels, cursors, deliveries, gaps, hours, quarantine
from conductor.store.database import Connection
from conductor.store.hours import Hour

TWO_DAYS = hours.DAY + timedelta(hours=24)
UNPARSED_WARNS = 0.1  # of what was indexed
UPKEEP = "Deletes what is old, proves what is stored, minds the disk."
_BEGUN = time.monotonic()


@dataclass(frozen=True, slots=True)
class Flow:
    """What came in, hour by hour: 24 hours with the present one last, the 24 before as one number, the gaps that touch
    them, and some integrations by themselves."""

    hours: Sequence[Hour]
    before: int
    by_source: Mapping[int, Sequence[Hour]]
    gaps: Sequence[Gap]

    @property
    def new(self) -> int:
        """Signals in the 24 hours."""
        return sum(hour.new for hour in self.hours)

    @property
    def change(self) -> float | None:
        """Against the 24 hours before; None when there was nothing."""
        return self.new / self.before - 1 if self.before else None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the pipeline: what went in and out, what was left aside, what failed, what waits and since when.

    None stands for what a stage does not have.
    """

    name: str
    told: str
    entered: int | None = None
    left: int | None = None
    aside: int | None = None
    failed: int | None = None
    waiting: int | None = None
    waiting_since: datetime | None = None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A part of this process: how it is, in a word and a sentence, and its last warning or error."""

    name: str
    color: str
    word: str
    told: str
    last: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """What the machine has and the data takes. Sizes in bytes; `lasts` in days at the present rate."""

    free: int
    total: int
    database: int
    index: int
    artifacts: int
    oldest: datetime | None
    lasts: float | None
    memory: int
    load: float
    cores: int
    busy: float
    uptime: timedelta
    version: str = __version__
    python: str = sys.version.partition(" ")[0]


async def flow(system: System, shown: Sequence[int]) -> Flow:
    """The last 24 hours, with those of the integrations that are shown by themselves. Raises StoreError."""
    now = clock.now()
    since, early = now - hours.DAY, now - TWO_DAYS

    def read(connection: Connection) -> Flow:
        both = hours.filled(hours.totals(connection, early), early, now)
        some = hours.of(connection, shown, since)
        return Flow(
            both[-24:],
            sum(hour.new for hour in both[:-24]),
            {id_: hours.filled(found, since, now) for id_, found in some.items()},
            gaps.between(connection, both[-24].begins, now),
        )

    return await system.database.read(read)


async def pipeline(system: System) -> list[Stage]:
    """The stages in the order in which an event passes them. Counts of this process are since its start."""
    now = clock.now()

    def read(connection: Connection) -> tuple[list[Hour], int, int, datetime | None]:
        behind = cursors.behind(connection, system.indexer.reader)
        since = min(cursors.waiting_since(connection, system.indexer.reader).values(), default=None)
        waiting = sum(cursor.last - cursor.batch for cursor in behind)
        return hours.totals(connection, now - hours.DAY), quarantine.count(connection), waiting, since

    day, aside, waiting, since = await system.database.read(read)
    metrics = system.metrics
    indexed, unparsed = _total(metrics.indexed), _total(metrics.unparsed)
    odd = unparsed / indexed > UNPARSED_WARNS if indexed else False
    new = sum(hour.new for hour in day)
    return [
        Stage("Collect", "polls, last 24 hours", sum(hour.polls for hour in day), failed=sum(h.failed for h in day)),
        Stage("Store", "new events, last 24 hours", new, new, aside, waiting=0),
        Stage(
            "Index",
            "events, since this process started",
            indexed,
            indexed - unparsed,
            unparsed,
            waiting=waiting,
            waiting_since=since,
            warning="More than a tenth is kept raw only: the vendor's records have changed." if odd else "",
        ),
    ]


async def searchable(system: System) -> Stage:
    """The last stage. The search engine may be away: that is told, and nothing else fails for it."""
    size = await _index(system)
    if size is None:
        away = system.analytics.away or "The search engine does not answer."
        return Stage("Search", "events that can be found", warning=away)
    return Stage("Search", "events that can be found", size[0], size[0])


def duplicates(system: System) -> int:
    """Signals that a vendor served again since this process started; none is stored twice."""
    return _total(system.metrics.duplicates)


async def services(system: System) -> list[Service]:
    """The parts of this process. Raises StoreError."""
    database, lines = system.database, list(recent.lines)
    polled = system.supervisor.polled
    paused = "The disk is full." if database.full else database.away
    store = "PostgreSQL" if database.shared else "SQLite"
    color = "amber" if paused else "green"
    pollers = f"Polls {polled:,} integration{'' if polled == 1 else 's'}." if polled else "Nothing to poll here."
    slugs = tuple(f"{slug}:" for slug in system.catalog.connectors)
    told = (paused and "paused") or "working"
    return [
        Service("Poller", color, told, paused or pollers, _last(lines, *slugs, "supervisor:", "workers:")),
        Service("Writer", color, told, paused or f"Writes to {store}.", _last(lines, "storage:", "store:")),
        Service("Indexer", *_indexing(system), _last(lines, "indexer:")),
        Service("Web", "green", "working", "Answers this page.", _last(lines, "request ")),
        Service("Notifications", *await _telling(system), _last(lines, "notifications:")),
        Service("Upkeep", "green", "working", UPKEEP, _last(lines, "retention:", "evidence:", "process:", "audit:")),
    ]


def _indexing(system: System) -> tuple[str, str, str]:
    """Whether the search engine can be used."""
    away = system.analytics.away
    return ("amber", "paused", away) if away else ("green", "working", "Makes events searchable.")


async def _telling(system: System) -> tuple[str, str, str]:
    """How the last message of each channel that is on went."""

    def read(connection: Connection) -> tuple[list[str], list[str]]:
        known = {channel.id: channel.name for channel in channels.everything(connection) if channel.enabled}
        last = deliveries.newest(connection)
        failed = [name for id_, name in known.items() if id_ in last and last[id_].state == deliveries.FAILED]
        return list(known.values()), failed

    known, failed = await system.database.read(read)
    if failed:
        return "amber", "failing", f"The last message to {', '.join(failed)} could not be sent."
    return (
        "green",
        "working",
        f"Tells {len(known):,} channel{'' if len(known) == 1 else 's'}." if known else "No channels.",
    )


def last_lines() -> list[str]:
    """The last warnings and errors of this process, the newest first."""
    return list(reversed(recent.lines))


def uptime() -> timedelta:
    """Since this process started."""
    return timedelta(seconds=time.monotonic() - _BEGUN)


async def room(system: System, new_in_a_day: int) -> Room:
    """Of the machine and the data. Raises StoreError."""
    size = await _index(system)
    kept, index = size or (0, 0)
    extent = await system.analytics.read(searching.extent) if size else None
    usage = await asyncio.to_thread(shutil.disk_usage, system.settings.directory)
    database = await asyncio.to_thread(_size, system.settings.directory, "conductor.db*")
    grows = (database + index) / kept * new_in_a_day if kept else 0.0
    running = uptime()
    return Room(
        free=usage.free,
        total=usage.total,
        database=database,
        index=index,
        artifacts=kept,
        oldest=extent[0] if extent else None,
        lasts=usage.free / grows if grows else None,
        memory=_memory(),
        load=os.getloadavg()[0],
        cores=os.cpu_count() or 1,
        busy=time.process_time() / max(1.0, running.total_seconds()),
        uptime=running,
    )


async def _index(system: System) -> tuple[int, int] | None:
    """Events and bytes in the search engine; None while it does not answer."""
    try:
        return await system.analytics.read(artifacts.size)
    except ConductorError:
        return None


def _total(counter: Counter) -> int:
    """Over all of a counter's labels."""
    samples = (sample for metric in counter.collect() for sample in metric.samples)
    return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))


def _last(lines: Sequence[str], *starts: str) -> str:
    """The newest line that tells of one of these."""
    return next((line for line in reversed(lines) if line.partition("] ")[2].startswith(starts)), "")


def _size(directory: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in directory.glob(pattern))


def _memory() -> int:
    """Resident, now; where the system does not tell, the most that it was."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
