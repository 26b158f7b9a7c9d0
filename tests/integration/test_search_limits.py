"""A search that takes too long is ended by the engine itself, and says what to do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from worlds import collecting, run

from conductor.analytics import engine, server
from conductor.analytics.server import SearchTooSlow
from conductor.core import clock
from conductor.operations import search
from conductor.operations.search import Request

pytestmark = pytest.mark.usefixtures("each_analytics")  # on both kinds of engine


def test_s25_a_search_has_ten_seconds(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path) as it:
            asked = "SELECT getSetting('max_execution_time')"
            found = await it.system.analytics.read(lambda client: client.query(asked).result_rows)
            assert int(found[0][0]) == engine.LONGEST_SEARCH == 10

    run(work)


def test_s25_a_search_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine.QUERY, "max_execution_time", 1)
    endless = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) % 7 = 1"

    async def work() -> None:
        async with collecting(tmp_path) as it:
            with pytest.raises(SearchTooSlow) as ended:
                await it.system.analytics.read(lambda client: client.query(endless))
            assert ended.value.code == "search.slow"
            assert "shorter time range" in str(ended.value)
            await it.add()
            await it.poll()
            assert await it.count() > 0  # the handle is as good as before

    run(work)


def test_where_going_on_takes_too_long_a_page_shows_what_was_found_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for settings in (engine.QUERY, server.READING):
        monkeypatch.setitem(settings, "max_execution_time", 2)
    q = " OR ".join(f"details.names:*x{number}z*" for number in range(150))  # of each of 8,000 names

    async def work() -> None:
        async with collecting(tmp_path) as it:
            await it.add()
            now = clock.now()
            for hours in range(120):
                many = [f"name {number}" for number in range(8_000)]
                it.world.first.add({"type": "fp", "details": {"names": many}}, now - timedelta(days=12, hours=hours))
            new = it.world.first.add({"type": "fp", "details": {"names": ["x7z"]}}, now - timedelta(minutes=1))
            await it.poll()
            assert await it.count("details.names:*") == 121
            with pytest.raises(SearchTooSlow):  # who asks by the API is told nothing by halves
                await search.search(it.system, Request(q=q, last="30d"))
            found = await search.search(it.system, Request(q=q, last="30d"), in_part=True)
            assert [row["log_id"] for row in found.rows] == [new.log_id]
            assert found.stopped is not None
            assert now - timedelta(days=12) < found.stopped < now - timedelta(days=2)
            assert found.next is not None
            simple = await search.search(it.system, Request(q="details.names:*", last="30d", after=found.next))
            assert len(simple.rows) == 120  # all that was not looked through

    run(work)
