"""Records and pages that are larger than we take: everything else is collected, and what is not is told."""

from __future__ import annotations

import logging
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from worlds import Collecting, collecting, run

from conductor.core import clock
from conductor.core.health import State
from conductor.operations import integrations, statuses
from conductor.simulator.events import Event
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import schema

MIB = 1024 * 1024
GIANT = 3 * MIB // 2
HISTORY = TenantSpec(history=240, days=2)


def plant(it: Collecting, place: int, size: int = GIANT) -> str:
    """A record of that size right before the one at that place of the log; its id."""
    tenant = it.world.first
    if place < len(tenant.events):
        neighbour = tenant.events[place]
        log_id, moment = str(int(neighbour.log_id) - 1), clock.from_micros(neighbour.date)
    else:
        log_id, moment = "", clock.now()
    blob = f"{place:09}" + "x" * size
    planted: Event = tenant.add({"log_id": log_id, "type": "s", "details": {"blob": blob}}, moment)
    return planted.log_id


async def set_aside(it: Collecting) -> list[Any]:
    """The rows of the quarantine."""
    return list(await it.system.database.read(lambda c: c.execute(select(schema.quarantine)).all()))


async def collected(it: Collecting) -> set[str]:
    return set(await it.ids())


@pytest.mark.parametrize("places", [[120], [0], [240], [120, 120], [119, 121, 123], [60, 160]], ids=str)
def test_f20_a_record_that_is_too_large_is_stepped_over_and_told(
    tmp_path: Path, places: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, HISTORY, max_answer_mib=1) as it:
            giants = {plant(it, place) for place in places}
            await it.add()
            poll = await it.poll()
            assert (poll.result, poll.complete) == ("ok", True)
            assert await collected(it) == set(it.world.log_ids()) - giants
            rows = await set_aside(it)
            assert {row.signal_id for row in rows} == giants
            by_id = {event.log_id: event.body for event in it.world.first.events}
            for row in rows:
                page = b"[" + by_id[row.signal_id] + b"]"
                assert (row.cause, row.size) == ("record.too_large", len(by_id[row.signal_id]))
                assert row.sha256 == sha256(page[:MIB]).digest()
            gaps = await integrations.list_gaps(it.system, "prod")
            assert {gap.cause for gap in gaps} == {"record.too_large"}
            assert all(gap.ends - gap.begins < timedelta(days=2) for gap in gaps)
            await it.poll()
            assert len(await set_aside(it)) == len(rows)
            assert len(await integrations.list_gaps(it.system, "prod")) == len(gaps)

    with caplog.at_level(logging.WARNING):
        run(work)
    assert sum("a record was set aside" in record.message for record in caplog.records) == len(places)


def test_f20_a_page_that_is_too_large_is_asked_for_in_smaller_pieces(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, HISTORY, max_answer_mib=1) as it:
            for place in range(0, 240, 3):
                plant(it, place, 150_000)
            await it.add()
            poll = await it.poll()
            assert (poll.result, poll.complete) == ("ok", True)
            assert await collected(it) == set(it.world.log_ids())
            assert await set_aside(it) == []

    run(work)


def test_f20_after_a_large_page_pages_grow_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=2), max_answer_mib=1) as it:
            plant(it, 10)
            await it.add()
            await it.poll()
            takes = [int(seen.query["take"]) for seen in it.world.stats.seen if seen.endpoint == "logs"]
            assert takes[:7] == [100, 50, 25, 12, 6, 12, 6]
            assert takes[-3:] == [100, 100, 100]
            assert len(takes) < 45

    run(work)


def test_f20_a_record_that_no_search_finds_is_stepped_over_by_the_next_one(tmp_path: Path) -> None:
    """A search index may not take so large a record either: then its id stays unknown, and its span is told."""

    async def work() -> None:
        spec = TenantSpec(history=240, days=2, searchable=MIB)
        async with collecting(tmp_path, spec, max_answer_mib=1) as it:
            giant = plant(it, 120)
            await it.add()
            assert (await it.poll()).result == "ok"
            assert await collected(it) == set(it.world.log_ids()) - {giant}
            (row,) = await set_aside(it)
            assert (row.signal_id, row.size) == ("", len(it.world.first.events[120].body))
            (gap,) = await integrations.list_gaps(it.system, "prod")
            dates = [clock.from_micros(event.date) for event in it.world.first.events]
            assert gap.begins - timedelta(seconds=9) < dates[119] <= dates[121] < gap.ends + timedelta(seconds=9)

    run(work)


def test_f20_while_nothing_later_is_known_it_waits_and_then_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        spec = TenantSpec(history=50, days=2, searchable=MIB)
        async with collecting(tmp_path, spec, max_answer_mib=1) as it:
            await it.add()
            await it.poll()
            giant = plant(it, len(it.world.first.events))
            stuck = await it.poll()
            while stuck.result == "ok":  # a pass ends with what was written in the second in which it began
                stuck = await it.poll()
            assert (stuck.result, stuck.needs_person) == ("auth0.record.too_large", True)
            assert await set_aside(it) == []
            it.world.first.add({"type": "s"}, clock.now())
            assert (await it.poll()).result == "ok"
            assert await collected(it) == set(it.world.log_ids()) - {giant}

    run(work)


def test_f20_where_only_ids_that_were_served_are_taken_it_steps_over_two(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, HISTORY, max_answer_mib=1) as it:
            giant = plant(it, 0)
            await it.add()
            it.world.faults.add(Fault("expired_checkpoint", after=7, count=1))
            assert (await it.poll()).result == "ok"
            assert set(it.world.log_ids()) - await collected(it) == {giant}
            (row,) = await set_aside(it)
            assert row.signal_id == ""

    run(work)


def test_f20_a_larger_limit_takes_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, HISTORY, max_answer_mib=2) as it:
            plant(it, 120)
            await it.add()
            assert (await it.poll()).result == "ok"
            assert await collected(it) == set(it.world.log_ids())

    run(work)


def test_f20_the_tile_tells_what_was_left_out(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, HISTORY, max_answer_mib=1) as it:
            plant(it, 120)
            await it.add(test=True)
            await it.poll()
            await integrations.set_enabled(it.system, "prod", True, by="test")
            told = await statuses.status(it.system, "prod")
            assert (told.health.state, told.health.code) == (State.ATTENTION, "gap.lost")

    run(work)


@pytest.mark.parametrize("count", [7, None])
def test_f18_f20_a_bomb_is_not_taken_for_a_record(tmp_path: Path, count: int | None) -> None:
    """However few records are asked for, the answer is too large: but it is so at other positions too, or changes."""

    async def work() -> None:
        async with collecting(tmp_path, HISTORY) as it:
            await it.add()
            it.world.faults.add(Fault("gzip_bomb", count=count))
            failed = await it.poll()
            assert (failed.result, failed.new) == ("source.too_large", 0)
            assert await set_aside(it) == await integrations.list_gaps(it.system, "prod") == []
            it.world.faults.clear()
            assert (await it.poll()).result == "ok"
            assert await collected(it) == set(it.world.log_ids())

    run(work)
