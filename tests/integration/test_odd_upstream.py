"""What a vendor may serve, and when: order, pages, ids, clocks, outages; and what a person changes meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import virtual
from worlds import Collecting, collecting, collecting_in_jumps, run

from conductor.core import clock
from conductor.core.health import State
from conductor.core.poll import Poll
from conductor.operations import history, integrations, statuses
from conductor.signal_client.poller import Poller
from conductor.simulator.events import Event
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import journal

HOUR = 3600.0


@asynccontextmanager
async def polling(it: Collecting, *names: str) -> AsyncIterator[None]:
    """The pollers at work, as the supervisor would run them."""
    pollers, tasks = [], []
    for name in names:
        integration = await integrations.find(it.system, name)
        source = await it.system.assembly.source(integration)
        pollers.append(Poller(integration, source, it.system.supervisor._tools))
        tasks.append(asyncio.create_task(pollers[-1].run()))
    try:
        yield
    finally:
        for poller in pollers:
            poller.stop()
        await asyncio.gather(*tasks)


async def polls(it: Collecting, name: str = "prod") -> list[Poll]:
    """Finished live polls, oldest first."""
    found = await history.recent_polls(it.system, name, 500)
    return [poll for poll in reversed(found) if poll.finished_at and poll.lane == journal.LIVE]


async def notices(it: Collecting, name: str = "prod") -> dict[str, Any]:
    return dict((await polls(it, name))[-1].facts.get("notices", {}))


# --- errors for hours ------------------------------------------------------------------------------------------------


def test_f13_a_vendor_that_fails_for_hours_is_left_in_peace_and_nobody_else_notices(tmp_path: Path) -> None:
    specs = [
        TenantSpec(name="one", host="localhost", aliases=(), history=120),
        TenantSpec(name="two", host="two.example", aliases=(), history=120, seed=2),
    ]

    async def work() -> None:
        async with collecting_in_jumps(tmp_path, *specs) as it:
            await it.add("one", "one", domain="localhost", polling_interval=5)
            await it.add("two", "two", domain="two.example", polling_interval=5)
            it.world.faults.add(Fault("server_error", tenant="one", endpoint="any"))
            async with polling(it, "one", "two"):
                await asyncio.sleep(3 * HOUR)
                failed, well = await polls(it, "one"), await polls(it, "two")
                asked = sum(count for (name, _, _), count in it.world.stats.counts.items() if name == "one")
                it.world.faults.clear()
                await asyncio.sleep(HOUR / 4)
            assert {poll.result for poll in failed} == {"auth0.server"}
            assert {poll.result for poll in well} == {"ok"}
            assert 34 <= len(well) <= 38
            assert len(failed) < 40
            assert asked <= 3 * len(failed) < 120
            waits = [(poll.retry_at - poll.finished_at).total_seconds() for poll in failed]  # type: ignore[operator]
            assert max(waits) <= 900
            assert max(waits[6:]) > 300  # it grew
            await it.index()
            assert set(it.world.log_ids("one")) <= set(await it.ids("integration:one"))

    virtual.run_hastily(work())


@pytest.mark.parametrize("status", [400, 404])
def test_f14_a_position_that_is_refused_is_replaced_by_its_time(tmp_path: Path, status: int) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=250, days=1)) as it:
            await it.add()
            await it.poll()
            it.world.faults.add(Fault("server_error", status=status, count=1))
            poll = await it.poll()
            assert (poll.result, poll.complete) == ("ok", True)
            assert await integrations.list_gaps(it.system, "prod") == []
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


# --- pages -----------------------------------------------------------------------------------------------------------


def test_f27_a_short_page_is_not_the_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=350)) as it:
            await it.add()
            it.world.faults.add(Fault("short"))
            poll = await it.poll()
            assert (poll.result, poll.complete) == ("ok", True)
            assert it.world.stats.total("logs") > 9
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_f26_a_page_out_of_order_moves_the_position_to_its_greatest_id(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=350, days=2)) as it:
            await it.add()
            it.world.faults.add(Fault("reordered"))
            await it.poll()
            asked = [seen.query["from"] for seen in it.world.stats.seen if seen.endpoint == "logs"]
            assert asked == sorted(set(asked))
            assert len(asked) in (4, 5)
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_f28_an_empty_page_ends_the_pass_and_the_next_reads_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=350)) as it:
            await it.add()
            it.world.faults.add(Fault("empty", after=2, count=1))
            first = await it.poll()
            assert (first.new, it.world.stats.total("logs")) == (200, 3)
            await it.poll()
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_f28_a_vendor_that_ignores_the_position_is_told_after_ten_passes(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting_in_jumps(tmp_path, TenantSpec(history=350, days=2)) as it:
            await it.add(domain="localhost")
            it.world.faults.add(Fault("repeated"))
            async with polling(it, "prod"):
                await asyncio.sleep(8.5 * 300)
                assert (len(await polls(it)), await notices(it)) == (9, {})
                await asyncio.sleep(300)
                assert await notices(it) == {"source.stalled": {"n": 10}}
                found = await polls(it)
                assert [(poll.result, poll.complete, poll.requests) for poll in found[1:]] == [("ok", False, 1)] * 9
                assert {poll.position_to for poll in found} == {found[0].position_to}
                it.world.faults.clear()
                await asyncio.sleep(300)
                assert await notices(it) == {}
            await it.index()
            assert sorted(await it.ids()) == it.world.log_ids()

    virtual.run_hastily(work())


# --- records ---------------------------------------------------------------------------------------------------------


POISON = [
    rb'"\ud800"',
    rb'"\u0000"',
    b'"\xff\xfe"',
    b"NaN",
    b"1" * 5000,
    b"9223372036854775808",
    b"1e999999",
    b"[" * 50_000 + b"]" * 50_000,
    b'"a","x":"b"',
]


def test_f21_poison_in_an_event_is_kept_to_the_byte_and_fails_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=len(POISON) * 3, days=1)) as it:
            events = it.world.first.events
            for number, poison in enumerate(POISON):
                old = events[number * 3]
                raw = b'{"log_id":"%s","type":"fp","poison":%s}' % (old.log_id.encode(), poison)
                events[number * 3] = Event(old.log_id, old.date, raw)
            await it.add()
            assert (await it.poll()).result == "ok"
            batches = await it.system.database.read(lambda connection: journal.read(connection, 1, 1, 99))
            kept = {signal.id: signal.raw for batch in batches for signal in batch.signals}
            assert {event.log_id: event.body for event in events}.items() <= kept.items()
            assert sorted(await it.ids()) == it.world.log_ids()
            assert await it.count("type:fp") >= len(POISON)

    run(work)


@pytest.mark.parametrize("value", [b"null", b"7", b'["a"]', b'"' + b"9" * 1_000_000 + b'"', rb'"\ud800"', b'""'])
def test_f22_an_event_without_a_usable_id_is_kept_once_and_the_page_goes_on(tmp_path: Path, value: bytes) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=250, days=1)) as it:
            events = it.world.first.events
            odd = [3, 120, 249]
            for place in odd:
                old = events[place]
                raw = b'{"log_id":%s,"n":%d,"date":"2026-11-22T07:30:00.000Z","type":"fp"}' % (value, place)
                events[place] = Event(old.log_id, old.date, raw)
            await it.add()
            for _ in range(2):
                assert (await it.poll()).result == "ok"
            found = await it.ids()
            wanted = {event.log_id for event in events} - {events[place].log_id for place in odd}
            assert wanted <= set(found)
            assert sum(name.startswith("sha256:") for name in found) == len(odd)
            assert len(found) == len(set(found))

    run(work)


def test_f32_ids_of_another_make_are_read_on_from_and_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec()) as it:
            tenant, begun = it.world.first, clock.now() - timedelta(hours=3)

            def add(first: int, last: int) -> set[str]:
                """Fifty-six digits, as the vendor wants them, in which no time can be read."""
                names = [f"900{'9' * 14}{number:039}" for number in range(first, last)]
                for number, name in enumerate(names, first):
                    tenant.add({"log_id": name, "type": "fp"}, begun + timedelta(seconds=number))
                return set(names)

            names = add(0, 250)
            await it.add()
            assert (await it.poll()).result == "ok"
            assert names <= set(await it.ids())
            assert await notices(it) == {"auth0.ids.unknown": {}}
            names |= add(250, 300)
            again = await it.poll()
            assert (again.new, again.duplicates) == (50, 0)
            found = await it.ids()
            assert names <= set(found)
            assert len(found) == len(set(found))
            running = asyncio.create_task(it.system.supervisor.run())
            await integrations.set_enabled(it.system, "prod", True, by="test")
            await _until(it, lambda found: found == (State.ATTENTION, "auth0.ids.unknown"))
            it.system.supervisor.stop()
            await running

    run(work)


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1.0, 1.0])
def test_f33_a_clock_that_is_an_hour_wrong_changes_nothing_and_is_told(tmp_path: Path, hours: float) -> None:
    """It is the vendor's clock that differs here, which is the same: ours is the one that counts for nothing."""

    async def work() -> None:
        def vendor() -> Any:
            return clock.now() + timedelta(hours=hours)

        async with collecting(tmp_path, TenantSpec(history=2500, days=0.999, late=0.1, late_by=1.0), now=vendor) as it:
            await it.add(plan="starter", test=True)
            for _ in range(3):
                assert (await it.poll()).result == "ok"
            while it.world.first.hidden_ids():
                await asyncio.sleep(0.05)
                it.world.log_ids()
            await it.poll()
            assert sorted(await it.ids()) == it.world.log_ids()
            assert await integrations.list_gaps(it.system, "prod") == []
            told = await statuses.status(it.system, "prod")
            assert told.covered_until is not None
            assert told.loss_at is not None
            assert abs(vendor() - told.covered_until) < timedelta(minutes=6)
            assert told.loss_at - told.covered_until == timedelta(days=1)  # no longer retention is believed
            direction = "slow" if hours > 0 else "fast"
            skew = (await notices(it))["host.clock.skew"]["skew"]
            assert skew.endswith(direction)
            assert abs(float(skew.split()[0]) - HOUR) < 5

    run(work)


def test_f33_f34_a_skew_of_more_than_five_minutes_is_a_warning_on_the_tile(tmp_path: Path) -> None:
    async def work() -> None:
        ahead = [timedelta(minutes=4)]
        async with collecting(tmp_path, TenantSpec(history=10, days=0.1), now=lambda: clock.now() + ahead[0]) as it:
            await it.add()
            running = asyncio.create_task(it.system.supervisor.run())
            await integrations.set_enabled(it.system, "prod", True, by="test")
            await _until(it, lambda found: found == (State.HEALTHY, ""))
            ahead[0] = timedelta(minutes=6, seconds=30)
            await integrations.poll_now(it.system, "prod")
            await _until(it, lambda found: found == (State.ATTENTION, "host.clock.skew"))
            health = (await statuses.status(it.system, "prod")).health
            assert health.sentence.startswith("This server's clock is 3")
            assert health.sentence.endswith("s slow.")
            it.system.supervisor.stop()
            await running

    run(work)


async def _until(it: Collecting, wanted: Callable[[tuple[State, str]], bool]) -> None:
    while True:
        health = (await statuses.status(it.system, "prod")).health
        if wanted((health.state, health.code)):
            return
        await asyncio.sleep(0.02)


def test_f36_after_a_suspend_there_is_exactly_one_catch_up_poll(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting_in_jumps(tmp_path, TenantSpec(history=120)) as it:
            await it.add(domain="localhost", polling_interval=5)
            async with polling(it, "prod"):
                await asyncio.sleep(400)
                before = len(await polls(it))
                assert before == 2
                loop: Any = asyncio.get_running_loop()
                loop._hasty.ahead += 50 * 60  # ten intervals at once, as the monotonic clock sees a paused machine
                await asyncio.sleep(240)
                assert len(await polls(it)) == before + 1
                await asyncio.sleep(120)
                assert len(await polls(it)) == before + 2

    virtual.run_hastily(work())


# --- what a person changes -------------------------------------------------------------------------------------------


def test_f58_one_made_again_under_the_old_name_is_another_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=140, days=1)) as it:
            await it.add()
            await it.poll()
            first = await integrations.find(it.system, "prod")
            await integrations.remove(it.system, "prod", by="test")
            await it.add()
            second = await integrations.find(it.system, "prod")
            assert second.id != first.id
            assert (await statuses.status(it.system, "prod")).checkpoint_at is None
            poll = await it.poll()
            assert poll.new >= 140  # from its own beginning, and the old one's records count for nothing
            assert poll.duplicates == 0
            assert len(await history.recent_polls(it.system, "prod")) == 1
            assert set(await it.ids()) >= set(it.world.log_ids())

    run(work)


@pytest.mark.parametrize("change", ["interval", "secret"])
def test_f59_a_change_in_its_sleep_takes_effect_now_and_nobody_polls_twice(tmp_path: Path, change: str) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it:
            await it.add(polling_interval=60)
            running = asyncio.create_task(it.system.supervisor.run())
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await _until(it, lambda found: found[0] is State.HEALTHY)
            sleeping = await statuses.status(it.system, "prod")
            assert sleeping.next_poll_at is not None
            assert sleeping.next_poll_at - clock.now() > timedelta(minutes=55)
            begun = asyncio.get_running_loop().time()
            for minutes in (30, 20, 1) if change == "interval" else ():
                await integrations.edit(it.system, "prod", {"polling_interval": minutes}, by="ana")
            if change == "secret":
                it.world.first.change(clock.now(), client_secret="another-secret")
                await integrations.edit(it.system, "prod", {"client_secret": "another-secret"}, by="ana")
            while (await polls(it))[-1].started_at <= sleeping.integration.changed_at or len(await polls(it)) < 2:
                await asyncio.sleep(0.02)
            assert asyncio.get_running_loop().time() - begun < 5
            await _until(it, lambda found: found[0] is State.HEALTHY)
            if change == "interval":
                while (due := (await statuses.status(it.system, "prod")).next_poll_at) is None:
                    await asyncio.sleep(0.02)
                assert due - clock.now() <= timedelta(minutes=1)
            await integrations.set_enabled(it.system, "prod", False, by="ana")
            it.system.supervisor.stop()
            await running
            found = await history.recent_polls(it.system, "prod")
            for later, earlier in itertools.pairwise(found):
                assert earlier.finished_at is not None
                assert earlier.finished_at <= later.started_at
            assert len(found) <= 5

    run(work)
