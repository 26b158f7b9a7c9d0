"""Searching ten million artifacts of thirty days, warm: the 95th percentile of each kind of search, in milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks import large
from conductor import app, observe
from conductor.analytics import artifacts
from conductor.operations import counting, search
from conductor.operations.search import Request
from conductor.operations.system import System

ROUNDS = 40
FACETS = ("integration", "type", "outcome", "client_name", "country")
APPLICATIONS = ("iOS app", "Web shop", "Android app", "Partner portal", "Customer portal", "Support desk")
OCCURRING = ("inkgo", "almon", "ogwoo", "unipe", "uince", "utmeg", "edar", "ilia")  # parts of the simulator's names
ABSENT = tuple(f"qz{first}{second}wv" for first in "abcdefg" for second in "abcdefg")
DAY, MONTH = timedelta(days=1), timedelta(days=30)
PER_SECOND = 1_000  # events that arrive
MIB = 1024 * 1024


async def searching(folder: Path) -> Mapping[str, float | str]:
    """Each kind ROUNDS times, after three that are not counted, which make it warm."""
    observe.set_up()
    settings = large.settings(folder)
    begun = time.perf_counter()
    figures: dict[str, float | str] = {}
    with app.owned(settings.data) as owned:
        async with app.opened(settings, owned) as system:
            found = await search.search(system, Request(last="30d", limit=1))
            figures["engine"] = await large.engine(system.analytics)
            figures["start to first answer, s"] = time.perf_counter() - begun
            count, size = await system.analytics.read(artifacts.size)
            figures |= {"artifacts": count, "bytes an artifact": size / count, "MiB at rest": _memory()}
            figures |= await _all(system, found.rows[0]["time"])
            figures["MiB after searching"] = _memory()
    return figures


async def searching_while_events_arrive(whole: Path) -> Mapping[str, float | str]:
    """The same over a copy, while a thousand events a second are committed and indexed in the same process."""
    observe.set_up()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(whole, folder)
        settings = large.settings(folder)
        with app.owned(settings.data) as owned:
            async with app.opened(settings, owned) as system:
                while await system.indexer.catch_up():  # a server has no copy of the index yet
                    pass
                found = await search.search(system, Request(last="30d", limit=1))
                indexing = asyncio.create_task(system.indexer.run())
                arriving = asyncio.create_task(_arrive(system))
                figures: dict[str, float | str] = {"engine": await large.engine(system.analytics)}
                figures |= await _all(system, found.rows[0]["time"])
                arriving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await arriving
                system.indexer.stop()
                await indexing
                count, _ = await system.analytics.read(artifacts.size)
                if large.SERVER:
                    await system.analytics.write(artifacts.clear)
    return {**figures, "events that arrived meanwhile": count - large.EVENTS, "MiB": _memory()}


async def _arrive(system: System) -> None:
    """Ten pages a second, as many as PER_SECOND tells."""
    place = await large.place(system, 1)
    loop = asyncio.get_running_loop()
    begun, pages, slices = loop.time(), 0, 0
    while True:
        for page in await asyncio.to_thread(large.authored, large.EVENTS // large.SLICE + slices):
            await system.database.write(functools.partial(large.commit, place=place, pages=[page]))
            system.indexer.wake()
            pages += 1
            await asyncio.sleep(max(0.0, begun + pages * large.PAGE / PER_SECOND - loop.time()))
        slices += 1


async def _all(system: System, newest: str) -> dict[str, float]:
    known = {"time": newest, **await _known(system, newest)}
    return {f"{name}, ms": await _p95(work) for name, work in _kinds(system, known).items()}


def _kinds(system: System, newest: Mapping[str, Any]) -> dict[str, Callable[[int], Awaitable[Any]]]:
    """What an analyst asks; each round something else, for the engine remembers what it was asked.

    Ranges end with the newest event, or some minutes before, so that they are full of events.
    """

    def asked(number: int, q: str, length: timedelta | None = None) -> Request:
        end = _back(newest["time"], timedelta(minutes=7 * number))
        return Request(q=q, start=_back(end, length) if length else None, end=end)

    def rows(*queries: str, length: timedelta | None = None) -> Callable[[int], Awaitable[Any]]:
        return lambda number: search.search(system, asked(number, queries[number % len(queries)], length), raw=False)

    def facets(length: timedelta) -> Callable[[int], Awaitable[Any]]:
        return lambda number: counting.facets(system, asked(number, "*", length), FACETS)

    def histogram(*queries: str) -> Callable[[int], Awaitable[Any]]:
        return lambda number: counting.histogram(
            system, asked(number, queries[number % len(queries)], MONTH), by="outcome"
        )

    apps = [f'type:fp client_name:"{name}"' for name in APPLICATIONS]
    ids = newest["event_ids"]
    return {
        "newest 200 in 24 h": rows("*", length=DAY),
        "two field filters": rows(*apps),
        "a rare word over all time": rows(*(f'"{row}"' for row in newest["ids"])),
        "a common word with a filter": rows(*(f"password type:{name}" for name in ("fp", "f", "s", "scp", "pwd_leak"))),
        "a substring that occurs": rows(*(f"*{part}*" for part in OCCURRING)),
        "a substring that does not occur": rows(*(f"*{part}*" for part in ABSENT)),
        "top 10 of five fields, 24 h": facets(DAY),
        "top 10 of five fields, 30 days": facets(MONTH),
        "histogram of 30 days": histogram("*"),
        "histogram of 30 days, two filters": histogram(*apps),
        "one by its id": lambda number: search.get(system, ids[number % len(ids)]),
    }


async def _p95(work: Callable[[int], Awaitable[Any]]) -> float:
    for number in range(3):
        await work(number)
    took = []
    for number in range(3, 3 + ROUNDS):
        begun = time.perf_counter()
        await work(number)
        took.append(1000 * (time.perf_counter() - begun))
    return sorted(took)[int(0.95 * ROUNDS) - 1]


async def _known(system: System, until: str) -> Mapping[str, Any]:
    """Ids of events from all over the time, so that none is asked for twice."""
    rows = []
    for number in range(3 + ROUNDS):
        end = _back(until, timedelta(hours=16 * number))
        rows += (await search.search(system, Request(end=end, limit=1), raw=False)).rows
    return {"ids": [row["log_id"] for row in rows], "event_ids": [row["id"] for row in rows]}


def _back(moment: str, by: timedelta) -> str:
    return (datetime.fromisoformat(moment) - by).isoformat()


def _memory() -> float:
    """Of this process, in MiB."""
    return float(psutil.Process().memory_info().rss) / MIB
