"""Searching ten million artifacts of thirty days, warm: the 95th percentile of each kind of search, in milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks import large, questions
from benchmarks.questions import Question
from conductor import app, observe
from conductor.analytics import artifacts
from conductor.operations import counting, search
from conductor.operations.search import Request
from conductor.operations.system import System

ROUNDS = 40
PER_SECOND = 1_000  # events that arrive
MIB = 1024 * 1024


async def searching(data: Path) -> Mapping[str, float | str]:
    """Each kind ROUNDS times, after three that are not counted, which make it warm."""
    observe.set_up()
    settings = large.settings(data)
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


async def searching_while_events_arrive(data: Path) -> Mapping[str, float | str]:
    """The same over a copy, while a thousand events a second are committed and indexed in the same process."""
    observe.set_up()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(data, folder, symlinks=True)
        settings = large.settings(folder)
        with app.owned(settings.data) as owned:
            async with app.opened(settings, owned) as system:
                while await system.indexer.catch_up():  # a server has no copy of the index yet
                    pass
                found = await search.search(system, Request(last="30d", limit=1))
                before, _ = await system.analytics.read(artifacts.size)
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
    return {**figures, "events that arrived meanwhile": count - before, "MiB": _memory()}


async def _arrive(system: System) -> None:
    """Ten pages a second, as many as PER_SECOND tells."""
    place = await large.place(system, 1)
    loop = asyncio.get_running_loop()
    begun, pages, slices = loop.time(), 0, 0
    while True:
        for page in await asyncio.to_thread(large.authored, large.EVENTS // large.slice_of(large.EVENTS) + slices):
            await system.database.write(functools.partial(large.commit, place=place, pages=[page]))
            system.indexer.wake()
            pages += 1
            await asyncio.sleep(max(0.0, begun + pages * large.PAGE / PER_SECOND - loop.time()))
        slices += 1


async def _all(system: System, newest: str) -> dict[str, float]:
    asked = questions.kinds(await known(system, newest))

    def work(ask: questions.Ask) -> Callable[[int], Awaitable[Any]]:
        return lambda number: answer(system, ask(number))

    return {f"{name}, ms": await p95(work(ask)) for name, ask in asked.items()}


async def answer(system: System, question: Question) -> Any:
    """What pages and API get, rows without the raw event."""
    request = Request(q=question.q, start=question.start, end=question.end)
    match question.wanted:
        case "rows":
            return await search.search(system, request, raw=False)
        case "facets":
            return await counting.facets(system, request, questions.FACETS)
        case "histogram":
            return await counting.histogram(system, request, by="outcome")
        case _:
            return await search.get(system, question.id)


async def p95(work: Callable[[int], Awaitable[Any]]) -> float:
    """In milliseconds, of ROUNDS, after three that are not counted."""
    for number in range(3):
        await work(number)
    took = []
    for number in range(3, 3 + ROUNDS):
        begun = time.perf_counter()
        await work(number)
        took.append(1000 * (time.perf_counter() - begun))
    return sorted(took)[int(0.95 * ROUNDS) - 1]


async def known(system: System, until: str) -> Mapping[str, Any]:
    """What questions need to know: the newest time, and ids of events from all over, so that each is asked once."""
    rows = []
    for number in range(3 + ROUNDS):
        end = questions.back(until, timedelta(hours=16 * number))
        rows += (await search.search(system, Request(end=end, limit=1), raw=False)).rows
    return {"time": until, "ids": [row["log_id"] for row in rows], "event_ids": [row["id"] for row in rows]}


def _memory() -> float:
    """Of this process, in MiB."""
    return float(psutil.Process().memory_info().rss) / MIB
