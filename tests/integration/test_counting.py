"""Histogram and facets on a real engine: they count what a naive reading of the same events counts."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds import Collecting, collecting, run

from conductor.core import clock
from conductor.core.errors import Invalid
from conductor.core.sight import Sight
from conductor.operations import counting, search
from conductor.operations.search import Request
from conductor.simulator.tenant import TenantSpec

SPEC = TenantSpec(history=900, days=5)
ALL = Request(last="30d")
FIELDS = "integration type category outcome severity user_name ip client_name connection asn own country".split()


async def _rows(it: Collecting, request: Request) -> list[Any]:
    found, after = [], None
    while True:
        asked = Request(q=request.q, last=request.last, start=request.start, end=request.end, limit=1000, after=after)
        page = await search.search(it.system, asked)
        found += page.rows
        after = page.next
        if after is None:
            return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value in ("", 0, None) else str(value)


async def _collected(it: Collecting) -> None:
    for name in ("prod", "other"):
        await it.add(name)
        await it.poll(name)


@pytest.mark.usefixtures("each_analytics")
def test_facets_count_every_event_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            for q in ("*", "type:fp", "password -integration:other"):
                asked = Request(q=q, last="30d")
                rows = await _rows(it, asked)
                for facet in await counting.facets(it.system, asked, FIELDS, limit=5):
                    counts = Counter(_text(row[facet.field]) for row in rows)
                    folded: Counter[str] = Counter()
                    for text, count in counts.items():
                        folded[text.lower()] += count
                    missing = folded.pop("", 0)
                    assert facet.missing == missing
                    assert facet.distinct == len(folded)
                    shown = [(value.text.lower(), value.count) for value in facet.values]
                    assert [count for _, count in shown] == sorted(folded.values(), reverse=True)[:5]
                    assert all(folded[text] == count for text, count in shown)

    run(work)


@pytest.mark.usefixtures("each_analytics")
def test_a_dotted_path_is_a_facet_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            rows = [json.loads(row["raw"]) for row in await _rows(it, ALL)]
            counts = Counter(((row.get("details") or {}).get("request") or {}).get("method") or "" for row in rows)
            (facet,) = await counting.facets(it.system, ALL, ["details.request.method"])
            assert facet.missing == counts.pop("")
            assert {value.text: value.count for value in facet.values} == counts
            assert counts

    run(work)


def test_an_event_counts_once_for_each_of_its_values_in_any_case(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await it.add()
            details = [{"a": ["x", "X", "y"]}, {"a": "x"}, {"a": ["", None, "Y"]}, {"a": []}, {"b": 1}]
            for detail in details:
                it.world.first.add({"type": "fp", "details": detail}, clock.now())
            await it.poll()
            asked = Request(q="details.a:* OR details.b:1", last="30d")
            (facet,) = await counting.facets(it.system, asked, ["details.a"], zone=UTC)
            assert {value.text.lower(): value.count for value in facet.values} == {"x": 2, "y": 2}
            assert (facet.missing, facet.distinct) == (1, 2)
            assert all(sum(value.line) == value.count for value in facet.values)
            bars = await counting.histogram(it.system, asked, by="details.a")
            assert bars.total == await search.count(it.system, asked) == 4

    run(work)


@pytest.mark.usefixtures("each_analytics")
def test_the_histogram_counts_every_event_in_its_bar(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            for asked in (ALL, Request(q="type:fp"), Request(last="24h"), Request(last="4h")):
                rows = await _rows(it, asked)
                found = await counting.histogram(it.system, asked, by="outcome")
                assert found.total == len(rows) == sum(bar.total for bar in found.bars)
                for bar in found.bars:
                    inside = [row for row in rows if bar.begins <= datetime.fromisoformat(row["time"]) < bar.ends]
                    assert dict(Counter(row["outcome"] for row in inside)) == dict(bar.counts)

    run(work)


def test_bars_beyond_the_first_five_values_are_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            found = await counting.histogram(it.system, ALL, by="type")
            assert len(found.parts) == 6
            assert found.parts[-1] == counting.OTHER
            assert found.total == sum(bar.total for bar in found.bars) == await search.count(it.system, ALL)
            assert {name for bar in found.bars for name in bar.counts} == set(found.parts)
            assert all(sum(bar.counts.values()) == bar.total for bar in found.bars)
            many = await counting.histogram(it.system, ALL, by="log_id")  # two events a value: the rest is one part
            assert len(many.parts) == 6
            assert sum(bar.counts[counting.OTHER] for bar in many.bars if bar.total) == many.total - 10
            assert all(sum(bar.counts.values()) == bar.total for bar in many.bars)

    run(work)


@pytest.mark.usefixtures("each_analytics")
def test_the_range_before_is_counted_beside(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            newest = datetime.fromisoformat((await _rows(it, ALL))[0]["time"])
            middle = (newest - timedelta(days=2)).replace(microsecond=0)
            begin, end = middle - timedelta(days=1), middle + timedelta(days=1)
            now = Request(start=middle.isoformat(), end=end.isoformat(timespec="microseconds"))
            found = await counting.histogram(it.system, now, compare=True)
            length = (found.span.end or newest) - (found.span.start or newest)
            rows = [datetime.fromisoformat(row["time"]) for row in await _rows(it, ALL)]
            before = [at for at in rows if middle - length <= at < middle]
            assert found.before == len(before) > 0
            assert begin - length <= begin
            for bar in found.bars:
                assert bar.before is not None
            assert sum(bar.before or 0 for bar in found.bars) == len(before)
            (facet,) = await counting.facets(it.system, now, ["type"], compare=True)
            all_rows = await _rows(it, ALL)
            for value in facet.values:
                inside = [
                    row
                    for row in all_rows
                    if row["type"] == value.text and middle - length <= datetime.fromisoformat(row["time"]) < middle
                ]
                assert value.before == len(inside)

    run(work)


def test_a_value_has_its_own_line_over_time(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            (facet,) = await counting.facets(it.system, ALL, ["type"], zone=UTC)
            assert all(sum(value.line) == value.count for value in facet.values)

    run(work)


def test_each_term_is_counted_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            found = await counting.alone(it.system, Request(q="type:fp ip:192.0.2.99 -integration:other", last="30d"))
            expected = [(q, await search.count(it.system, Request(q=q, last="30d"))) for q, _ in found]
            assert found == expected
            assert [q for q, _ in found] == ["type:fp", "ip:192.0.2.99", "-integration:other"]

    run(work)


def test_personal_data_is_hidden_in_facets_and_bars(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            await _collected(it)
            plain = await counting.facets(it.system, ALL, ["user_name", "ip", "type", "details.request.ip"])
            masked = await counting.facets(
                it.system, ALL, ["user_name", "ip", "type", "details.request.ip"], Sight(masked=True)
            )
            for open_, hidden in zip(plain, masked, strict=True):
                texts = {value.text for value in open_.values if value.text}
                if open_.field == "type":
                    assert hidden == open_
                else:
                    assert not texts & {value.text for value in hidden.values}
                    assert all(value.hidden for value in hidden.values)
            bars = await counting.histogram(it.system, ALL, Sight(masked=True), by="user_name")
            assert not set(bars.parts) & {value.text for value in plain[0].values if value.text}

    run(work)


@pytest.mark.parametrize("field", ["date", "ingested", "time", "is", "has", "a b", "", "x'y"])
def test_only_fields_can_be_counted_by(tmp_path: Path, field: str) -> None:
    with pytest.raises(Invalid):
        counting.field_named(field)


def test_a_range_without_an_end_has_no_range_before(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC) as it:
            assert (await counting.histogram(it.system, Request())).bars == []
            await _collected(it)
            with pytest.raises(Invalid):
                await counting.histogram(it.system, Request(), compare=True)

    run(work)
