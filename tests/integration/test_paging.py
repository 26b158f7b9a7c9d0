"""Paging through weeks of events on a real engine: every event once, in the order that was asked for."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from pathlib import Path

import pytest
from worlds import Collecting, collecting, run

from conductor.analytics.search import Place
from conductor.core import clock
from conductor.operations import search
from conductor.operations.search import Request
from conductor.simulator.tenant import TenantSpec

SPEC = TenantSpec(history=400, days=24)


async def _all(it: Collecting, q: str, limit: int, *, oldest_first: bool) -> list[tuple[str, str]]:
    """The time and the vendor's id of each row, page by page."""
    found: list[tuple[str, str]] = []
    after = None
    while True:
        page = await search.search(it.system, Request(q=q, limit=limit, after=after, oldest_first=oldest_first))
        found += [(row["time"], row["log_id"]) for row in page.rows]
        after = page.next
        if after is None:
            return found


@pytest.mark.usefixtures("each_analytics")
def test_pages_end_anywhere_also_where_days_do(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path) as it:
            await it.add()
            midnight = clock.day(clock.now()) - timedelta(days=2)
            moments = [
                midnight + timedelta(days=days, milliseconds=ms) for days in (0, 1, -9) for ms in (-1, 0, 0, 0, 1)
            ]
            sent = [it.world.first.add({"type": "fcpr"}, moment) for moment in moments]
            await it.poll()
            for limit, oldest_first in itertools.product(range(1, 8), (False, True)):
                found = await _all(it, "type:fcpr", limit, oldest_first=oldest_first)
                times = [time for time, _ in found]
                assert times == sorted(times, reverse=not oldest_first)
                assert sorted(log_id for _, log_id in found) == sorted(event.log_id for event in sent)
                place = str(Place.at(midnight))
                asked = Request(q="type:fcpr", after=place, oldest_first=oldest_first)
                beyond = {row["time"] for row in (await search.search(it.system, asked)).rows}
                kept = {clock.to_text(moment) for moment in moments if (moment >= midnight) is oldest_first}
                assert beyond == kept

    run(work)


@pytest.mark.usefixtures("each_analytics")
def test_pages_over_weeks_have_every_event_once_and_in_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await it.add()
            await it.poll()
            sent = it.world.first.visible(clock.now())
            dates = {event.log_id: event.date for event in sent}
            logins = {event.log_id for event in sent if json.loads(event.body)["type"] == "fp"}
            assert len({date // 86_400_000_000 for date in dates.values()}) > 20
            assert 0 < len(logins) < len(dates)
            for q, wanted in (("*", set(dates)), ("type:fp", logins), ("type:nobody", set())):
                for limit, oldest_first in itertools.product((1000, 61, 400), (False, True)):
                    found = await _all(it, q, limit, oldest_first=oldest_first)
                    times = [time for time, _ in found]
                    assert times == sorted(times, reverse=not oldest_first)
                    assert len(found) == len(wanted)
                    assert {log_id for _, log_id in found} == wanted

    run(work)
