"""The same searches in SQLite FTS5 and in DuckDB, over the same events, in the same run.

BENCH_COMPARED is the number of events, two million unless it is set; SQLite needs most of the room, for its trigrams
are more than the raw events. It takes about an hour, most of it SQLite's load and DuckDB's looking for words.

All three answer the same questions, a kind at a time, one after another and each ROUNDS times after three that are not
counted. Their answers must be the same events and the same counts, else the run ends with an error. All run in this
process. Conductor answers as it does its pages, with names, gaps and rows as dictionaries; the other two are asked in
SQL and give bare tuples, so a ratio is, if anything, in their favour. They compare values exactly as they are;
Conductor ignores case. Their load is of rows that lie ready in memory or in a file; Conductor's begins with the
vendor's JSON and commits it to its journal, too.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import large, others, questions, search
from benchmarks.others import DuckDb, Other, Sqlite
from benchmarks.questions import Ask
from conductor import app, observe
from conductor.analytics import artifacts
from conductor.analytics.search import extent
from conductor.core import clock
from conductor.operations import search as searching
from conductor.operations.system import System
from conductor.settings import Settings
from conductor.store import integrations

EVENTS = int(os.environ.get("BENCH_COMPARED", "2_000_000"))
AT_ONCE = timedelta(hours=3)  # of events, read and loaded
NEEDED = 11_000  # bytes of an event in SQLite and DuckDB, while the larger of its text indexes is merged


async def compare(data: Path) -> Mapping[str, float]:
    """Load, ask, check the answers, and give figures and ratios: theirs by ours."""
    observe.set_up()
    _check_room()
    settings = Settings(data=data, allow_private_targets="127.0.0.0/8,::1/128", retention_days=3650)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conductor-compare-")))
        rivals: list[Other] = [stack.enter_context(closing(make(folder))) for make in (Sqlite, DuckDb)]
        owned = stack.enter_context(app.owned(data))
        async with app.opened(settings, owned) as system:
            loads = await _load(system, rivals, folder / "events.parquet")
            count, size = await system.analytics.read(artifacts.size)
            return {"events": count, **_sizes(data, count, size, rivals, loads), **await _ask(system, rivals)}


def _check_room() -> None:
    needed, free = EVENTS * NEEDED, shutil.disk_usage(tempfile.gettempdir()).free
    print(
        f"SQLite and DuckDB need about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.",
        file=sys.stderr,
        flush=True,
    )
    if needed > free:
        raise SystemExit("That does not fit. Ask for fewer events by BENCH_COMPARED.")


async def _load(system: System, rivals: Sequence[Other], parquet: Path) -> dict[str, float]:
    """Every event into each of them, in the order of time; the answer is how long each took."""
    took = dict.fromkeys((rival.name for rival in rivals), 0.0)
    known = await system.database.read(lambda connection: integrations.everything(connection, removed=True))
    names = {item.id: item.name for item in known}
    first = 0
    for span in _hours(await system.analytics.read(extent)):
        parquet.write_bytes(await system.analytics.read(functools.partial(_read, names=names, span=span)))
        batch = others.read(first, parquet)
        for rival in rivals:
            begun = time.perf_counter()
            rival.load(batch)
            took[rival.name] += time.perf_counter() - begun
        first += len(batch.rows)
    for rival in rivals:
        begun = time.perf_counter()
        rival.finish()
        took[rival.name] += time.perf_counter() - begun
    return took


def _hours(stored: tuple[datetime, datetime] | None) -> Iterator[tuple[int, int]]:
    assert stored is not None
    at, step = clock.to_micros(stored[0]), AT_ONCE // clock.MICROSECOND
    while at <= clock.to_micros(stored[1]):
        yield at, at + step
        at += step


def _read(client: Any, names: Mapping[int, str], span: tuple[int, int]) -> bytes:
    """The events of some time in Conductor's order, as a Parquet file."""
    expressions = {name: f"toUnixTimestamp64Micro({name}) AS {name}" for name in ("time", "collected_at")}
    named = "transform(integration_id, {ids:Array(UInt32)}, {names:Array(String)}, '')"
    expressions["integration"] = f"{named} AS integration"
    columns = ", ".join(expressions.get(name, name) for name in (*others.COLUMNS, "raw"))
    start, end = ("fromUnixTimestamp64Micro({" + name + ":Int64})" for name in ("start", "end"))
    table = artifacts.TABLE
    found: bytes = client.raw_query(
        f"SELECT {columns} FROM {table} WHERE {table}.time >= {start} AND {table}.time < {end} "
        f"ORDER BY {table}.time, integration_id, batch, `row`",
        parameters={"start": span[0], "end": span[1], "ids": list(names), "names": list(names.values())},
        fmt="Parquet",
    )
    return found


def _sizes(data: Path, count: int, size: int, rivals: Sequence[Other], loads: Mapping[str, float]) -> dict[str, float]:
    journal = (data / "conductor.db").stat().st_size
    figures = {"Conductor, bytes an event": size / count, "Conductor, its journal, bytes an event": journal / count}
    for rival in rivals:
        for part, its in rival.sizes().items():
            figures[f"{rival.name}, bytes an event{part}"] = its / count
    if ours := large.loading(data):
        figures["Conductor, load with journal, s"] = ours
    return figures | {f"{name}, load, s": took for name, took in loads.items()}


async def _ask(system: System, rivals: Sequence[Other]) -> dict[str, float]:
    newest = (await searching.search(system, searching.Request(limit=1), raw=False)).rows[0]
    figures: dict[str, float] = {}
    for name, ask in questions.kinds(await search.known(system, newest["time"])).items():
        ours: list[Any] = []
        mine = await search.p95(_remembering(ours, lambda number, ask=ask: search.answer(system, ask(number))))
        figures[f"{name}: Conductor, ms"] = mine
        for rival in rivals:
            theirs: list[Any] = []
            its = await search.p95(_remembering(theirs, _asking(rival, ask)))
            _check(name, ask, [*map(plain, ours)], theirs, rival)
            figures[f"{name}: {rival.name}, ms"] = its
            figures[f"{name}: {rival.name} / Conductor"] = its / mine
    return figures


def _asking(rival: Other, ask: Ask) -> Callable[[int], Awaitable[Any]]:
    async def asked(number: int) -> Any:
        return rival.ask(ask(number))

    return asked


def _remembering(answers: list[Any], work: Callable[[int], Awaitable[Any]]) -> Callable[[int], Awaitable[None]]:
    async def asked(number: int) -> None:
        answers.append(await work(number))

    return asked


def _check(name: str, ask: Ask, ours: Sequence[Any], theirs: Sequence[Any], rival: Other) -> None:
    """Every answer of a kind, those that were not timed too."""
    for number, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
        question = ask(number)
        found = others.plain(question, its)
        if found != mine:
            raise SystemExit(f"{rival.name} answers otherwise: {name}, {question}\n{found}\nConductor:\n{mine}")


def plain(answer: Any) -> Any:
    """What Conductor's answer says: ids of rows, the top of each field, the parts of each bar, one raw event."""
    match answer:
        case searching.Result():
            return [row["id"] for row in answer.rows]
        case list():
            return {facet.field: (_ranked(facet.values), facet.distinct, facet.missing) for facet in answer}
        case Mapping():
            return answer["log_id"], answer["raw"]
        case _:
            return [dict(bar.counts) for bar in answer.bars]


def _ranked(values: Sequence[Any]) -> list[tuple[str, int]]:
    """By count and text: Conductor puts integrations that have as many in the order of their ids."""
    return sorted(((value.text, value.count) for value in values), key=lambda item: (-item[1], item[0]))
