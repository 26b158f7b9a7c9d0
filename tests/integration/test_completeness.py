"""Completeness shown: every cause of a gap from its finding to its end, and audits that find late records."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from spans import DAY, HOUR, Calendar, ask, catch_up, gap_list, poller, read_all, told, within
from virtual import run_hastily
from worlds import LOOPBACK, collecting, run

from conductor.core import clock
from conductor.core.backfill import AUDIT, LATE
from conductor.core.health import State
from conductor.operations import backfills as operations
from conductor.operations import gaps, history, integrations, retention, search, statuses
from conductor.outbound.guard import Policy
from conductor.settings import Settings
from conductor.signal_client.assembly import Assembly, Egress
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import audit, backfills

MINUTE = timedelta(minutes=1)


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> Calendar:
    """Wall time that a test sets forward, for vendor and Conductor alike."""
    kept = Calendar()
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=kept.time))
    return kept


def test_f30_an_outage_beyond_the_retention_is_told_although_the_vendor_answers_happily(
    tmp_path: Path, calendar: Calendar
) -> None:
    async def work() -> None:
        spec = TenantSpec(plan="free", history=200, days=0.5, rate=0.005)
        async with collecting(tmp_path, spec) as it:
            await it.add(plan="starter")
            await it.poll()
            covered = (await statuses.status(it.system, "prod")).covered_until
            calendar.ahead = 3 * DAY
            before = await it.ids()
            assert (await it.poll()).result == "ok"
            (gap,) = await gap_list(it)
            assert (gap.state, gap.begins) == ("open", covered)
            assert abs(gap.ends - (clock.now() - DAY)) < MINUTE
            await catch_up(it)
            (lost,) = await gap_list(it)
            assert (lost.state, lost.begins, lost.closed_at) == ("lost", covered, None)
            assert abs(lost.ends - gap.ends) < MINUTE
            assert sorted(await it.ids()) == sorted({*before, *it.world.log_ids()})  # all that the vendor still had
            assert not (await search.search(it.system, search.Request(last="7d"))).complete
            actions = [entry.action for entry in await it.system.database.read(lambda c: audit.recent(c, 9))]
            assert {"gap.found", "gap.lost"} <= set(actions)

    run(work)


@pytest.mark.parametrize("hours", [-1, 1])
def test_f30_f33_a_lost_span_ends_by_the_vendors_clock_whatever_ours_says(
    tmp_path: Path, calendar: Calendar, hours: int
) -> None:
    def theirs() -> datetime:
        return clock.now() + timedelta(hours=hours)

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(plan="free", history=20, days=0.5, rate=0.002), now=theirs) as it:
            await it.add(plan="starter")
            await it.poll()
            calendar.ahead = 3 * DAY
            await it.poll()
            (gap,) = await gap_list(it)
            assert abs(gap.ends - (theirs() - DAY)) < MINUTE

    run(work)


@pytest.mark.parametrize(("start", "told"), [("all", 24 * HOUR), ("23", 23 * HOUR), ("2", None)])
def test_f30_what_was_deleted_before_the_first_answer_is_told(
    tmp_path: Path, calendar: Calendar, start: str, told: timedelta | None
) -> None:
    """Two hours pass from the first try to the first answer. `told`: how long before the first try the gap lies."""

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(plan="free", history=200, days=1.2, rate=0.005)) as it:
            began = clock.now()
            since = start if start == "all" else clock.to_text(began - int(start) * HOUR)
            it.world.faults.add(Fault("server_error", status=503))
            await it.add(plan="starter", start_from=since)
            assert (await it.poll()).result == "auth0.server"
            assert await gap_list(it) == []
            calendar.ahead = 2 * HOUR
            it.world.faults.clear()
            assert (await it.poll()).result == "ok"
            found = await gap_list(it)
            assert len(found) == (1 if told else 0)
            if told:
                assert abs(found[0].begins - (began - told)) < MINUTE
                assert abs(found[0].ends - (began + 2 * HOUR - DAY)) < MINUTE

    run(work)


def test_f30_what_the_vendor_still_has_of_a_gap_is_recovered_and_the_rest_is_lost(
    tmp_path: Path, calendar: Calendar
) -> None:
    async def work() -> None:
        spec = TenantSpec(plan="essentials", history=50, days=0.5, rate=0.002)
        async with collecting(tmp_path, spec) as it:
            await it.add(plan="starter")  # the operator believes in one day; the vendor keeps five
            await it.poll()
            covered = (await statuses.status(it.system, "prod")).covered_until
            calendar.ahead = 7 * DAY
            await it.poll()
            await catch_up(it)
            lost, recovered = await gap_list(it)
            assert (lost.state, lost.begins) == ("lost", covered)
            oldest = clock.from_micros(it.world.first.visible(clock.now())[0].date)
            assert abs(lost.ends - oldest) < MINUTE
            assert (recovered.state, recovered.begins) == ("recovered", lost.ends)
            assert abs(recovered.ends - (clock.now() - DAY)) < MINUTE
            assert set(it.world.log_ids()) <= set(await it.ids())

    run(work)


def test_a_plan_that_is_set_too_low_opens_a_gap_that_is_recovered_whole(tmp_path: Path, calendar: Calendar) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=50, days=0.5, rate=0.002)) as it:
            await it.add(plan="starter")
            await it.poll()
            calendar.ahead = 3 * DAY
            await it.poll()
            await catch_up(it)
            (gap,) = await gap_list(it)
            assert (gap.state, gap.closed_by) == ("recovered", "conductor")
            status = await statuses.status(it.system, "prod")
            assert (status.open_gaps, status.lost_gaps) == (0, 0)
            assert sorted(await it.ids()) == it.world.log_ids()
            assert (await search.search(it.system, search.Request(last="7d"))).gaps == []

    run(work)


def test_f29_a_lost_checkpoint_ends_as_the_exact_span_that_is_gone(tmp_path: Path, calendar: Calendar) -> None:
    async def work() -> None:
        spec = TenantSpec(plan="free", history=100, days=0.5, rate=0.005)
        async with collecting(tmp_path, spec) as it:
            await it.add(plan="enterprise")  # so that nothing but the refusal tells it
            await it.poll()
            status = await statuses.status(it.system, "prod")
            calendar.ahead = 2 * DAY
            it.world.faults.add(Fault("expired_checkpoint", count=2))
            assert (await it.poll()).result == "ok"
            (gap,) = await gap_list(it)
            oldest = clock.from_micros(it.world.first.visible(clock.now())[0].date)
            assert gap.begins == status.covered_until
            assert abs(gap.ends - oldest) < MINUTE
            await catch_up(it)
            assert [(gap.state, gap.cause) for gap in await gap_list(it)] == [("lost", "checkpoint.expired")]
            assert set(it.world.log_ids()) <= set(await it.ids())

    run(work)


def test_a_lost_gap_is_told_until_a_person_closes_it_and_searches_tell_it_for_ever(
    tmp_path: Path, calendar: Calendar
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(plan="free", history=20, days=0.5, rate=0.002)) as it:
            await it.add(plan="starter")
            await it.poll()
            calendar.ahead = 3 * DAY
            await it.poll()
            await catch_up(it)
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            told = await statuses.status(it.system, "prod")
            assert (told.health.state, told.health.code, told.lost_gaps) == (
                State.ATTENTION,
                "auth0.checkpoint.expired",
                1,
            )
            (gap,) = await gap_list(it)
            closed = await integrations.close_gap(it.system, "prod", gap.id, note="the outage of May", by="ana")
            assert (closed.state, closed.note, closed.closed_by) == ("lost", "the outage of May", "ana")
            assert (await statuses.status(it.system, "prod")).health.code != "auth0.checkpoint.expired"
            found = await search.search(it.system, search.Request(last="7d"))
            assert [item.gap.id for item in found.gaps] == [gap.id]

    run(work)


def test_a_backfill_that_the_vendor_outruns_tells_what_it_lost(tmp_path: Path, calendar: Calendar) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(plan="essentials", history=600, days=4.9)) as it:
            await it.add(plan="essentials", start_from="now")
            await it.poll()
            now = clock.now()
            wanted = await ask(it, now - 4.9 * DAY, now - HOUR)
            async with poller(it) as running:
                await running.behind()
                reached = (await told(it, wanted)).at
                calendar.ahead = 3 * DAY
                await running.poll_once()
                await read_all(running)
            await it.index()
            done = await told(it, wanted)
            assert (done.state, done.covered) == ("done", 1.0)
            (gap,) = [gap for gap in await gap_list(it) if gap.cause == "backfill.outrun"]
            assert (gap.state, gap.begins) == ("lost", reached)
            kept = set(await it.ids())
            assert set(within(it, gap.ends, now - HOUR)) <= kept

    run(work)


def test_a_backfill_before_the_oldest_record_begins_there_without_a_gap(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=150, days=3)) as it:
            await it.add(start_from="now")
            await it.poll()
            wanted = await ask(it, clock.now() - 20 * DAY, clock.now() - HOUR)
            await catch_up(it)
            done = await told(it, wanted)
            assert (done.state, done.covered) == ("done", 1.0)
            assert done.new >= 140
            assert await gap_list(it) == []

    run(work)


def test_f31_records_later_than_the_overlap_are_found_by_the_audit_told_and_looked_for_further(
    tmp_path: Path, calendar: Calendar
) -> None:
    async def work() -> None:
        spec = TenantSpec(rate=0.02, regular=True, late=0.2, late_by=1500, history=20, days=0.1)
        async with collecting(tmp_path, spec) as it:
            await it.add()
            missed: set[str] = set()
            for number in range(32):
                await it.poll()
                if number == 15:
                    it.world.first.change(clock.now(), rate=0.0)
                missed |= set(within(it, clock.now() - 3 * HOUR, clock.now() - HOUR)) - set(await it.ids())
                await catch_up(it)
                calendar.ahead += 10 * MINUTE
            assert missed
            assert sorted(await it.ids()) == it.world.log_ids()
            unseen = it.system.metrics.registry.get_sample_value
            names = {"integration": "prod", "connector": "auth0"}
            records = await history.recent_polls(it.system, "prod", 500)
            found = sum(poll.new for poll in records if poll.lane != "live")
            assert unseen("conductor_audit_unseen_total", names) == found >= len(missed)
            assert (unseen("conductor_lateness_seconds", names) or 0) > 0
            late = await gap_list(it)
            assert {(gap.cause, gap.state) for gap in late} == {("events.late", "recovered")}
            wider = await it.system.database.read(lambda connection: backfills.of(connection, 1, 9))
            assert [(work.cause, work.state) for work in wider] == [(LATE, "done")]
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            told = await statuses.status(it.system, "prod")
            assert told.health.sentence.startswith(f"{found} events came later")
            assert told.health.code == "events.late"

    run(work)


def test_f31_an_overlap_that_is_long_enough_leaves_the_audit_nothing(tmp_path: Path, calendar: Calendar) -> None:
    async def work() -> None:
        spec = TenantSpec(rate=0.02, regular=True, late=0.2, late_by=1500, history=20, days=0.1)
        async with collecting(tmp_path, spec) as it:
            await it.add(overlap=2700)
            for _ in range(15):
                await it.poll()
                calendar.ahead += 10 * MINUTE
            it.world.first.change(clock.now(), rate=0.0)
            calendar.ahead += HOUR
            await it.poll()
            assert sorted(await it.ids()) == it.world.log_ids()
            await catch_up(it)
            done = await it.system.database.read(lambda connection: backfills.of(connection, 1, 9, AUDIT))
            assert [(work.state, work.new) for work in done] == [("done", 0)]
            assert await gap_list(it) == []

    run(work)


def test_audits_of_a_quiet_tenant_cost_a_request_an_hour_and_leave_no_hole(tmp_path: Path, calendar: Calendar) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=20, days=1)) as it:
            await it.add()
            for _ in range(28):
                await it.poll()
                await catch_up(it)  # each time as after a restart
                calendar.ahead += HOUR + MINUTE
            done = await it.system.database.read(lambda connection: backfills.of(connection, 1, 999, AUDIT))
            hourly = sorted((work.begins, work.ends) for work in done if work.cause == "hourly")
            assert all(before[1] == after[0] for before, after in itertools.pairwise(hourly))
            assert {work.cause for work in done} == {"hourly", "daily"}
            assert sum(work.requests for work in done) <= len(done) + 6  # tokens are asked for now and then
            assert len(done) <= 28 + 2

    run(work)


def test_the_records_of_audits_expire_and_the_next_ones_go_on_where_the_last_ended(
    tmp_path: Path, calendar: Calendar
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=20, days=1)) as it:
            await it.add()
            for _ in range(3):
                await it.poll()
                await catch_up(it)
                calendar.ahead += 2 * HOUR
            before = await it.system.database.read(lambda connection: backfills.of(connection, 1, 99, AUDIT))
            calendar.ahead += 8 * DAY
            assert (await retention.expire(it.system))["audits"] == len(before) - 1
            await it.poll()
            await catch_up(it)
            after = await it.system.database.read(lambda connection: backfills.of(connection, 1, 99, AUDIT))
            assert before[0].ends in {work.begins for work in after if work.cause == "hourly"}

    run(work)


def test_a_record_that_could_not_be_taken_leaves_a_gap_that_is_lost_until_it_can_be(tmp_path: Path) -> None:
    async def work() -> None:
        spec = TenantSpec(history=240, days=2)
        async with collecting(tmp_path, spec, max_answer_mib=1) as it:
            moment = clock.now() - DAY
            await it.add()
            giant = it.world.first.add({"type": "s", "details": {"blob": "x" * 1_500_000}}, moment).log_id
            await it.poll()
            (gap,) = await gap_list(it)
            assert (gap.state, gap.cause, gap.closed_at) == ("lost", "record.too_large", None)
            await gaps.recover(it.system, "prod", gap.id, by="ana")
            await catch_up(it)
            (still,) = await gap_list(it)
            assert (still.state, still.note) == ("lost", "An event of this span still cannot be taken.")
            assert giant not in await it.ids()
            assert (await operations.list_all(it.system, "prod"))[0].work.state == "done"
            await gaps.recover(it.system, "prod", gap.id, by="ana")
            larger = Egress(Policy(Settings(allow_private_targets=LOOPBACK).allowed), max_body=4 * 1024 * 1024)
            restarted = Assembly(it.system.database, it.system.vault, it.system.catalog, larger)
            await catch_up(it, restarted)
            assert [gap.state for gap in await gap_list(it)] == ["recovered"]
            assert giant in await it.ids()

    run(work)


def test_f60_a_backlog_of_days_is_read_within_the_share_and_delays_nobody_else(tmp_path: Path) -> None:
    async def work() -> None:
        specs = [
            TenantSpec(name="busy", history=6_000, days=9),
            TenantSpec(name="calm", host="127.0.0.2", aliases=(), history=90, seed=2),
        ]
        async with collecting(tmp_path, *specs) as it:
            await it.add("backlog", "busy", rate_share=20)
            await it.add("neighbour", "busy", rate_share=20, start_from="now")
            await it.add("calm", "calm", polling_interval=1)
            for name in ("backlog", "neighbour", "calm"):
                await integrations.set_enabled(it.system, name, True, by="ana")
            loop = asyncio.get_running_loop()
            begun = loop.time()
            running = asyncio.create_task(it.system.supervisor.run())
            while (await statuses.status(it.system, "backlog")).good is None:
                await asyncio.sleep(0.5)
            took = loop.time() - begun
            requests = it.world.stats.total("logs", "busy")
            assert requests >= 60
            assert took >= (requests - 11) / (16 * 0.2)  # enterprise allows 16 a second, with a burst of 50
            assert (await statuses.status(it.system, "neighbour")).good is not None
            calm = [poll for poll in await history.recent_polls(it.system, "calm") if poll.result == "ok"]
            waits = [(after.started_at - before.started_at) for before, after in zip(calm[1:], calm, strict=False)]
            assert calm
            assert len(waits) + 1 >= took // 60
            it.system.supervisor.stop()
            await running
            await it.index()
            assert len(set(await it.ids("integration:backlog"))) >= 6_000

    run_hastily(work())
