"""Searching ten million artifacts of thirty days, warm: the 95th percentile of each kind of search, in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import psutil

from benchmarks import large
from conductor import app, observe
from conductor.analytics import artifacts
from conductor.operations import search
from conductor.operations.search import Request
from conductor.operations.system import System
from conductor.settings import Settings

ROUNDS = 40
MIB = 1024 * 1024


async def searching() -> Mapping[str, float]:
    """Each kind ROUNDS times, after three that are not counted, which make it warm."""
    observe.set_up()
    settings = Settings(data=large.directory(), allow_private_targets="127.0.0.0/8,::1/128", retention_days=3650)
    begun = time.perf_counter()
    figures: dict[str, float] = {}
    with app.owned(settings.data) as folder:
        async with app.opened(settings, folder) as system:
            found = await search.search(system, Request(last="30d", limit=1))
            figures["start to first answer, s"] = time.perf_counter() - begun
            count, size = await system.analytics.read(artifacts.size)
            figures |= {"artifacts": count, "bytes an artifact": size / count, "MiB at rest": _memory()}
            for name, work in _kinds(system, found.rows[0]).items():
                figures[f"{name}, ms"] = await _p95(work)
            figures["MiB after searching"] = _memory()
    return figures


def _kinds(system: System, newest: Mapping[str, Any]) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What an analyst asks; the range ends with the newest event, so that the last 24 hours are full of them."""
    until = newest["time"]
    day = _back(until, timedelta(days=1))

    def rows(q: str, **more: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: search.search(system, Request(q=q, **more))

    return {
        "newest 200 in 24 h": rows("*", start=day, end=until),
        "two field filters": rows("type:fp connection:Username-Password-Authentication"),
        "a rare word over all time": rows(f'"{newest["log_id"]}"'),
        "a common word with a filter": rows("password outcome:failure"),
        "a substring that occurs": rows("*inkgo*"),
        "a substring that does not occur": rows("*qzxwv*"),
        "one by its id": lambda: search.get(system, newest["id"]),
        "how many in 30 days": lambda: search.count(system, Request(q="type:fp")),
    }


async def _p95(work: Callable[[], Awaitable[Any]]) -> float:
    for _ in range(3):
        await work()
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        await work()
        took.append(1000 * (time.perf_counter() - begun))
    return sorted(took)[int(0.95 * ROUNDS) - 1]


def _back(moment: str, by: timedelta) -> str:
    return (datetime.fromisoformat(moment) - by).isoformat()


def _memory() -> float:
    """Of this process, in MiB."""
    return float(psutil.Process().memory_info().rss) / MIB
