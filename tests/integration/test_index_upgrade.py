"""An index of an earlier version gets what it lacks when it is opened: counts by the hour, and new columns."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from conductor.analytics import artifacts, tally
from conductor.analytics.buckets import cut
from conductor.analytics.engine import Analytics
from conductor.analytics.query import parse
from conductor.analytics.search import Criteria
from conductor.analytics.timerange import TimeRange
from conductor.core import clock
from conductor.core.artifact import Artifact
from conductor.core.signal import Signal

DAY = datetime(2026, 11, 20, tzinfo=UTC)
BEFORE = {  # what the table of an earlier version had not, or had otherwise
    r",\s*PROJECTION by_hour[^\n]*\([^\n]*\)(?=,|\n)": "",
    re.escape(f", {artifacts.SETTINGS}"): "",
    r", dictionary_block_size = 4096": "",
    r",\n  INDEX by_id_range [^\n]*": "",
    r"bloom_filter\(0\.0005\)": "bloom_filter(0.01)",
}


def _older(client: Any) -> None:
    statement = artifacts._ddl()
    for pattern, text in BEFORE.items():
        statement, count = re.subn(pattern, text, statement)
        assert count, pattern
    assert "by_hour" not in statement
    client.command(statement)
    rows = [
        (
            Signal(f"900{number}", b"{}"),
            Artifact(
                time=clock.to_micros(DAY + number * timedelta(minutes=7)),
                log_id=f"900{number}",
                type=("s", "fp")[number % 2],
                outcome=("success", "failure")[number % 2],
            ),
        )
        for number in range(400)
    ]
    artifacts.insert(client, [artifacts.block(1, "auth0", 1, DAY, rows)], "first")


def _counts(client: Any) -> dict[str, int]:
    span = TimeRange(DAY + timedelta(minutes=30), DAY + timedelta(hours=40, minutes=5))
    criteria = Criteria(parse("type:fp"), span, {}, DAY)
    assert span.start
    assert span.end
    bars = tally.histogram(client, criteria, cut(span.start, span.end, most=12), "outcome")
    return {name: sum(bar.get(name, 0) for bar in bars) for name in ("failure", "success")}


def test_an_index_of_an_earlier_version_gets_its_counts_and_keeps_its_events(
    tmp_path: Path, each_analytics: str
) -> None:
    async def work() -> None:
        first = Analytics(tmp_path / "analytics", url=each_analytics)
        await first.open(_older)
        before = await first.read(_counts)
        await first.close()
        again = Analytics(tmp_path / "analytics", url=each_analytics)
        await again.open(artifacts.prepare)

        def materialized(client: Any) -> bool:
            waiting = client.query(
                "SELECT count() FROM system.mutations WHERE NOT is_done AND database = currentDatabase()"
            ).result_rows[0][0]
            return not waiting

        while not await again.read(materialized):
            pass
        names = await again.read(
            lambda client: (
                client.query(
                    "SELECT DISTINCT name FROM system.projection_parts WHERE database = currentDatabase() AND active"
                ).result_rows
            )
        )
        assert {name for (name,) in names} == set(artifacts.HOURLY)
        sizes = await again.read(
            lambda client: (
                client.query(
                    "SELECT marks_bytes > 0 FROM system.data_skipping_indices"
                    " WHERE database = currentDatabase() AND name = 'by_id_range'"
                ).result_rows
            )
        )
        assert sizes == [(1,)]
        assert await again.read(_counts) == before == {"failure": 170, "success": 0}
        await again.write(artifacts.prepare)  # what is there is left alone
        await again.write(lambda client: artifacts.remove(client, 1, 1))
        assert await again.read(_counts) == {"failure": 0, "success": 0}
        await again.close()

    asyncio.run(work())


def test_an_index_of_an_earlier_version_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    old = Artifact(time=clock.to_micros(DAY), log_id="1", type="s", country="DE")
    new = Artifact(time=clock.to_micros(DAY), log_id="2", type="s", country="CZ", located_by="GeoLite2-City: country")

    def insert(client: Any, artifact: Artifact, batch: int) -> None:
        block = artifacts.block(1, "auth0", batch, DAY, [(Signal(artifact.log_id, b"{}"), artifact)])
        artifacts.insert(client, [block], artifact.log_id)

    def older(client: Any) -> None:
        artifacts.prepare(client)
        insert(client, old, 1)
        client.command("ALTER TABLE artifacts DROP COLUMN located_by")

    async def work() -> None:
        first = Analytics(tmp_path / "analytics")
        await first.open(older)
        await first.close()
        again = Analytics(tmp_path / "analytics")
        await again.open(artifacts.prepare)
        await again.write(lambda client: insert(client, new, 2))
        rows = await again.read(
            lambda client: client.query("SELECT log_id, country, located_by FROM artifacts ORDER BY log_id").result_rows
        )
        assert [tuple(row) for row in rows] == [("1", "DE", ""), ("2", "CZ", "GeoLite2-City: country")]
        await again.close()

    asyncio.run(work())
