"""Spans that are read again behind live collection: gaps, backfills and audits, with everything real but the vendor."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from spans import DAY, HOUR, ask, catch_up, gap_list, live, poller, read_all, told, within
from worlds import collecting, run

from conductor import app
from conductor.catalog import Catalog, load
from conductor.core import clock
from conductor.core.signal import Checkpoint, Signal
from conductor.operations import history, statuses
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import backfills, gaps


def test_a_backfill_collects_the_span_and_nothing_around_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=9)) as it:
            await it.add(start_from="now")
            await it.poll()
            before, own = await live(it), set(await it.ids())
            now = clock.now()
            wanted = await ask(it, now - 5 * DAY, now - 2 * DAY)
            await catch_up(it)
            done = await told(it, wanted)
            span = within(it, now - 5 * DAY, now - 2 * DAY)
            assert len(span) > 250
            assert set(await it.ids()) == own | set(span)
            assert (done.state, done.new, done.fetched, done.covered) == ("done", len(span), len(span), 1.0)
            assert done.requests == len(span) // 100 + 2  # the pages, and one for the oldest record
            assert await live(it) == before

    run(work)


def test_a_second_backfill_of_a_span_brings_duplicates_only(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=300, days=3)) as it:
            await it.add()
            await it.poll()
            known = sorted(await it.ids())
            wanted = await ask(it, clock.now() - 3 * DAY, clock.now() - HOUR)
            await catch_up(it)
            done = await told(it, wanted)
            assert (done.state, done.new) == ("done", 0)
            assert done.fetched > 250
            assert sorted(await it.ids()) == known

    run(work)


def test_a_backfill_survives_restarts_and_never_reads_a_page_twice(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=9)) as it:
            await it.add(start_from="now")
            await it.poll()
            now = clock.now()
            wanted = await ask(it, now - 8 * DAY, now - DAY)
            reached = []
            for _ in range(3):
                async with poller(it) as restarted:
                    await restarted.behind()
                reached.append((await told(it, wanted)).at)
            await catch_up(it)
            done = await told(it, wanted)
            span = within(it, now - 8 * DAY, now - DAY)
            assert reached == sorted(set(reached))
            assert (done.state, done.new, done.fetched) == ("done", len(span), len(span))
            assert set(span) <= set(await it.ids())

    run(work)


def test_a_killed_process_goes_on_where_the_last_page_was_committed(tmp_path: Path) -> None:
    async def work() -> None:
        spec = TenantSpec(history=600, days=6)
        async with collecting(tmp_path, spec) as it:
            await it.add(start_from="now")
            await it.poll()
            now = clock.now()
            wanted = await ask(it, now - 5 * DAY, now - DAY)
            async with poller(it) as killed:
                await killed.behind()
                task = asyncio.create_task(killed.behind())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await catch_up(it)
            done = await told(it, wanted)
            assert (done.state, done.new) == ("done", len(within(it, now - 5 * DAY, now - DAY)))
            open_records = [poll for poll in await history.recent_polls(it.system, "prod") if not poll.finished_at]
            assert open_records == []

    run(work)


def test_live_collection_waits_for_one_page_at_the_most(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=3000, days=9)) as it:
            await it.add(start_from="now")
            await it.poll()
            await ask(it, clock.now() - 9 * DAY, clock.now() - HOUR)
            async with poller(it) as running:
                task = asyncio.create_task(running.run(3600.0))
                for _ in range(5):
                    while not it.world.stats.total("logs"):
                        await asyncio.sleep(0.001)
                    asked = running.poll_now()
                    it.world.stats.clear()
                    poll = await asked
                    assert poll.lane == "live"
                    seen = [bool(item.query.get("from")) for item in it.world.stats.seen if item.endpoint == "logs"]
                    assert len(seen) - poll.requests <= 1
                    it.world.stats.clear()
                running.stop()
                await task
                lanes = {poll.lane for poll in await history.recent_polls(it.system, "prod")}
                assert lanes == {"live", "backfill"}

    run(work)


def test_a_failed_page_backs_off_and_leaves_the_tile_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=300, days=3)) as it:
            await it.add(start_from="now")
            await it.poll()
            wanted = await ask(it, clock.now() - 2 * DAY, clock.now() - HOUR)
            it.world.faults.add(Fault("rate_limited", count=1, retry_after="77"))
            async with poller(it) as running:
                pause = await running.behind()
                asked = it.world.stats.total("logs")
                assert pause is not None
                assert 70 < pause <= 77
                assert (await running.behind() or 0) > 70  # it asks nothing before that time
                failed = (await history.recent_polls(it.system, "prod"))[0]
                assert (failed.lane, failed.result) == ("backfill", "auth0.rate.limited")
                status = await statuses.status(it.system, "prod")
                assert status.last is not None
                assert (status.last.lane, status.last.result) == ("live", "ok")
                assert status.health.code != "auth0.rate.limited"
                await catch_up(it)  # by a poller of its own, which the vendor's word holds up as well
                assert (await told(it, wanted)).state == "running"
                assert it.world.stats.total("logs") == asked

    run(work)


def test_nothing_is_read_behind_a_live_collection_that_fails(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=300, days=3)) as it:
            await it.add(start_from="now")
            await it.poll()
            await ask(it, clock.now() - 2 * DAY, clock.now() - HOUR)
            async with poller(it) as running:
                it.world.faults.add(Fault("insufficient_scope"))
                await running.poll_once()
                it.world.stats.clear()
                assert await running.behind() is None
                assert it.world.stats.total("logs") + it.world.stats.total("search") == 0

    run(work)


def test_a_gap_goes_before_what_a_person_asked_for_which_then_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=9)) as it:
            await it.add(start_from="now")
            await it.poll()
            now = clock.now()
            wanted = await ask(it, now - 8 * DAY, now - DAY)
            async with poller(it) as running:
                await running.behind()
                await it.system.database.write(lambda c: gaps.record(c, 1, now - 3 * DAY, now - 2 * DAY, "x"))
                await running.behind()
                assert (await told(it, wanted)).state == "waiting"
                assert [gap.state for gap in await gap_list(it)] == ["recovering"]
                await read_all(running)
                assert [gap.state for gap in await gap_list(it)] == ["recovered"]
                done = await told(it, wanted)
                span = within(it, now - 8 * DAY, now - DAY)
                assert (done.state, done.new) == ("done", len(span) - len(within(it, now - 3 * DAY, now - 2 * DAY)))
                await it.index()
                assert set(span) <= set(await it.ids())

    run(work)


@pytest.mark.parametrize("deed", ["pause", "stop"])
def test_a_person_pauses_and_stops_between_pages(tmp_path: Path, deed: str) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=9)) as it:
            await it.add(start_from="now")
            await it.poll()
            now = clock.now()
            wanted = await ask(it, now - 8 * DAY, now - DAY)
            async with poller(it) as running:
                await running.behind()
                await it.system.database.write(lambda c: backfills.steer(c, 1, wanted.id, deed))
                await read_all(running)
                stood = await told(it, wanted)
                assert (stood.state, stood.fetched) == ({"pause": "paused", "stop": "stopped"}[deed], 100)
                if deed == "pause":
                    await it.system.database.write(lambda c: backfills.steer(c, 1, wanted.id, "resume"))
                    await read_all(running)
                    await it.index()
                    done = await told(it, wanted)
                    span = within(it, now - 8 * DAY, now - DAY)
                    assert done.state == "done"
                    assert set(span) <= set(await it.ids())
                    assert done.new == len(span)

    run(work)


class Timeless(load().connectors["auth0"]):  # type: ignore[misc]  # a vendor whose positions tell no time
    """Reads again from the oldest record."""

    def since(self, moment: datetime, known: Checkpoint | None) -> Checkpoint | None:
        return None

    def taken(self, signal: Signal) -> datetime | None:
        return None


def test_positions_that_tell_no_time_are_read_again_from_the_oldest_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Catalog({"auth0": Timeless})
    monkeypatch.setattr(app, "catalog", SimpleNamespace(load=lambda: found))

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=250, days=2)) as it:
            await it.add()
            await it.poll()
            known = sorted(await it.ids())
            wanted = await ask(it, clock.now() - DAY, clock.now() - HOUR)
            async with poller(it) as restarted:
                await restarted.behind()
            assert (await told(it, wanted)).fetched == 100
            await catch_up(it)  # as after a restart: on from the lane's checkpoint
            done = await told(it, wanted)
            assert (done.state, done.new, done.fetched) == ("done", 0, len(it.world.log_ids()))
            assert sorted(await it.ids()) == known

    run(work)
