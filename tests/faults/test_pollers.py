"""Integrations that are renamed or removed while they are polled, a stalled event loop, a connector that crashes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from virtual import HastyLoop, run_hastily
from worlds import Collecting, collecting, run

from conductor import app
from conductor.catalog import Catalog, load
from conductor.core.errors import ConductorError, Conflict
from conductor.core.health import State
from conductor.core.signal import Checkpoint, SignalBatch
from conductor.observe import Metrics
from conductor.operations import history, integrations, statuses, upkeep
from conductor.signal_client.poller import Poller
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import journal

WITHIN = 30.0  # seconds, reached only when it does not happen
HALF_AN_HOUR = 1800.0


class Crashing(load().connectors["auth0"]):  # type: ignore[misc]  # a third party's connector with a bug
    """Raises what no connector should."""

    slug = "crashing"

    async def poll(self, checkpoint: Checkpoint | None) -> AsyncGenerator[SignalBatch, None]:
        raise RuntimeError("a bug")
        yield


@asynccontextmanager
async def supervised(it: Collecting) -> AsyncIterator[None]:
    """The supervisor runs meanwhile."""
    running = asyncio.create_task(it.system.supervisor.run())
    try:
        yield
    finally:
        it.system.supervisor.stop()
        await running


async def until(seen: object) -> None:
    """Wait for a coroutine function, or a function, to answer yes."""
    async with asyncio.timeout(WITHIN):
        while True:
            told = seen()  # type: ignore[operator]
            if await told if asyncio.iscoroutine(told) else told:
                return
            await asyncio.sleep(0.02)


async def _stored(it: Collecting) -> list[str]:
    batches = await it.system.database.read(lambda connection: journal.read(connection, 1, 1, 1_000_000))
    return sorted(signal.id for batch in batches for signal in batch.signals)


def test_f56_a_rename_while_polling_loses_doubles_and_begins_nothing_anew(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, rate_limit="20/s")) as it, supervised(it):
            await it.add()
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await until(lambda: it.world.stats.total("logs") >= 3)
            number = (await statuses.status(it.system, "prod")).integration.id
            await integrations.edit(it.system, "prod", {}, by="ana", new_name="production")
            await until(lambda: _healthy(it, "production"))
            told = await statuses.status(it.system, "production")
            assert told.integration.id == number
            assert await _stored(it) == it.world.log_ids()
            pages = len(it.world.log_ids()) // 100 + 1
            assert it.world.stats.total("logs") <= pages + 6  # a page twice at the most, not the log from its beginning

    run(work)


async def _healthy(it: Collecting, name: str) -> bool:
    return (await statuses.status(it.system, name)).health.state is State.HEALTHY


def test_f57_a_page_in_flight_is_refused_when_its_integration_was_removed(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=400)) as it:
            await it.add()
            it.world.faults.add(Fault("drip", after=2, seconds=0.02))
            polling = asyncio.create_task(integrations.poll_now(it.system, "prod"))
            await until(lambda: it.world.stats.total("logs") >= 3)
            await integrations.remove(it.system, "prod", by="ana")
            before = await _stored(it)
            with pytest.raises(ConductorError) as refused:
                await polling
            assert isinstance(refused.value, Conflict)
            assert await _stored(it) == before
            assert 0 < len(before) < 400

    run(work)


def test_f57_a_removal_ends_the_polling_and_keeps_what_was_collected(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, rate_limit="20/s")) as it, supervised(it):
            await it.add()
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await until(lambda: it.world.stats.total("logs") >= 3)
            await integrations.remove(it.system, "prod", by="ana")
            await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "poller prod"])
            before, asked = await _stored(it), it.world.stats.total("logs")
            assert 0 < len(before) < 900
            await asyncio.sleep(0.2)
            assert (await _stored(it), it.world.stats.total("logs")) == (before, asked)
            await it.index()
            assert sorted(await it.ids()) == before

    run(work)


@pytest.mark.parametrize("looking_back", [False, True], ids=["asleep", "looking-back"])
def test_f61_after_a_stall_of_half_an_hour_there_is_one_poll_not_six(
    looking_back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, armed = Poller.behind, asyncio.Event()

    async def behind(poller: Poller) -> float | None:
        pause = await looked(poller)
        if armed.is_set():
            stall()
            armed.clear()
        return pause

    def stall() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HastyLoop)
        loop._hasty.ahead += HALF_AN_HOUR

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add(polling_interval=5)
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await until(lambda: it.system.supervisor.next_poll_at(1) is not None and it.world.stats.total("logs"))
            deadline = asyncio.get_running_loop().time() + HALF_AN_HOUR
            if looking_back:
                armed.set()
                it.system.supervisor.look_again(1)
                while armed.is_set():
                    await asyncio.sleep(0.02)
            else:
                stall()
            await until(lambda: _finished_more_than(it, 1))
            assert asyncio.get_running_loop().time() < deadline + 250  # less than one interval later
            assert len(await history.recent_polls(it.system, "prod")) == 2

    monkeypatch.setattr(Poller, "behind", behind)
    run_hastily(work())


async def _finished_more_than(it: Collecting, count: int) -> bool:
    polls = await history.recent_polls(it.system, "prod")
    return len(polls) > count and polls[0].finished_at is not None


def test_f61_a_stall_is_measured_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        metrics = Metrics()
        minding = asyncio.create_task(upkeep.mind_loop(metrics))
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HastyLoop)
        loop._hasty.ahead += 30
        await asyncio.sleep(0.5)
        assert metrics.loop_lag._value.get() >= 28
        assert metrics.stalls._value.get() == 1
        await asyncio.sleep(3)
        assert metrics.loop_lag._value.get() < 1
        minding.cancel()

    with caplog.at_level(logging.WARNING):
        run_hastily(work())
    assert [record.getMessage() for record in caplog.records] == ["process: the event loop stood still"]


def test_f62_a_poller_that_crashes_is_tried_again_ever_more_slowly_while_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = Catalog({**load().connectors, "crashing": Crashing})
    monkeypatch.setattr(app, "catalog", SimpleNamespace(load=lambda: found))

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add("good", polling_interval=1)
            await integrations.add(it.system, "bad", "crashing", it.values(), enabled=True, by="ana", test=False)
            await integrations.set_enabled(it.system, "good", True, by="ana")
            await until(lambda: _crashed(it, 5))
            told = await statuses.status(it.system, "bad")
            assert (told.health.state, told.health.code) == (State.FAILED, "poller.crashed")
            assert (await statuses.status(it.system, "good")).health.state is State.HEALTHY

    with caplog.at_level(logging.ERROR):
        run_hastily(work())
    crashes = [record for record in caplog.records if record.exc_info]
    assert len(crashes) >= 5


async def _crashed(it: Collecting, times: int) -> bool:
    return len(await history.recent_polls(it.system, "bad")) >= times
