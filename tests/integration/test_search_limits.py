"""A search that takes too long is ended by the engine itself, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds import collecting, run

from conductor.analytics import engine
from conductor.analytics.server import SearchTooSlow

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
