"""Goal 16: every answer of a search whose range a gap touches says so, and no other does."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import Collecting, collecting, run

from conductor.core import clock
from conductor.core.schedule import Span
from conductor.operations import counting, exporting, search
from conductor.operations.search import Request
from conductor.simulator.tenant import TenantSpec
from conductor.store import gaps
from conductor.store.database import Connection

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _spans(pick: random.Random) -> Iterator[Span]:
    for _ in range(12):
        begins = NOW - pick.randrange(1, 2000) * HOUR
        yield Span(begins, begins + timedelta(minutes=pick.choice([1, 59, 60, 600, 6000])))


async def _answers(it: Collecting, asked: Request) -> list[tuple[bool, int]]:
    """`complete` and how many gaps, of each kind of answer."""
    found = await search.search(it.system, asked)
    chart = await counting.histogram(it.system, asked)
    made = exporting.prepare(it.system, asked, "ndjson", [], by="test")
    async for _ in made.pages():
        pass
    told = json.loads(made.manifest("x"))
    hatched = sum(bar.missed for bar in chart.bars)
    assert bool(hatched) <= bool(chart.gaps)
    return [
        (found.complete, len(found.gaps)),
        (chart.complete, len(chart.gaps)),
        (told["complete"], len(told["gaps"])),
    ]


def test_every_answer_that_a_gap_touches_says_so(tmp_path: Path) -> None:
    spans = list(_spans(random.Random(7)))

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=50)) as it:
            await it.add()  # switched off: nothing of it is behind
            await it.poll()

            def lose(connection: Connection) -> None:
                for span in spans:
                    gaps.settled(connection, 1, span, cause="outage", state="lost", note="test")

            await it.system.database.write(lose)
            loop = asyncio.get_running_loop()

            @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
            @given(start=st.integers(0, 2200 * 60), length=st.integers(1, 60_000))
            def ask(start: int, length: int) -> None:
                begins = NOW - timedelta(minutes=start)
                ends = begins + timedelta(minutes=length)
                asked = Request(start=clock.to_exact(begins), end=clock.to_exact(ends))
                touching = [span for span in spans if span.begins <= ends and span.ends >= begins]
                answers = asyncio.run_coroutine_threadsafe(_answers(it, asked), loop).result()
                assert answers == [(not touching, len(touching))] * 3

            await asyncio.to_thread(ask)

    run(work)
