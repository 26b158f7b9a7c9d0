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
from conductor.operations import counting, search
from conductor.operations.search import Request
from conductor.operations.system import System
from conductor.settings import Settings

ROUNDS = 40
FACETS = ("integration", "type", "outcome", "client_name", "country")
APPLICATIONS = ("iOS app", "Web shop", "Android app", "Partner portal", "Customer portal", "Support desk")
OCCURRING = ("inkgo", "almon", "ogwoo", "unipe", "uince", "utmeg", "edar", "ilia")  # parts of the simulator's names
ABSENT = tuple(f"qz{first}{second}wv" for first in "abcdefg" for second in "abcdefg")
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
            known = {"time": found.rows[0]["time"], **await _known(system, found.rows[0]["time"])}
            for name, work in _kinds(system, known).items():
                figures[f"{name}, ms"] = await _p95(work)
            figures["MiB after searching"] = _memory()
    return figures


def _kinds(system: System, newest: Mapping[str, Any]) -> dict[str, Callable[[int], Awaitable[Any]]]:
    """What an analyst asks; each round something else, for the engine remembers what it was asked.

    The range ends with the newest event, so that the last 24 hours are full of them.
    """
    until = newest["time"]
    day, month = _back(until, timedelta(days=1)), _back(until, timedelta(days=30))

    def rows(*queries: str, **more: Any) -> Callable[[int], Awaitable[Any]]:
        return lambda number: search.search(system, Request(q=queries[number % len(queries)], **more), raw=False)

    def facets(start: str) -> Callable[[int], Awaitable[Any]]:
        return lambda number: counting.facets(system, Request(start=start, end=until), FACETS)

    def histogram(q: str) -> Callable[[int], Awaitable[Any]]:
        return lambda number: counting.histogram(system, Request(q=q, start=month, end=until), by="outcome")

    found = [f'"{row}"' for row in newest["ids"]]
    apps = [f'type:fp client_name:"{name}"' for name in APPLICATIONS]
    return {
        "newest 200 in 24 h": rows("*", start=day, end=until),
        "two field filters": rows(*apps),
        "a rare word over all time": rows(*found),
        "a common word with a filter": rows(*(f"password type:{name}" for name in ("fp", "f", "s", "scp", "pwd_leak"))),
        "a substring that occurs": rows(*(f"*{part}*" for part in OCCURRING)),
        "a substring that does not occur": rows(*(f"*{part}*" for part in ABSENT)),
        "top 10 of five fields, 24 h": facets(day),
        "top 10 of five fields, 30 days": facets(month),
        "histogram of 30 days": histogram("*"),
        "histogram of 30 days, two filters": histogram('type:fp client_name:"iOS app"'),
        "one by its id": lambda number: search.get(system, newest["event_ids"][number % len(newest["event_ids"])]),
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
