"""The supervisor: follows changes without a restart, contains crashes, starts and stops cleanly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from worlds import Collecting, collecting, run

from conductor import app
from conductor.catalog import Catalog, load
from conductor.core.connector import Connector
from conductor.core.health import State
from conductor.core.signal import Checkpoint, SignalBatch
from conductor.operations import integrations
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec

WITHIN = 5.0  # seconds in which a change takes effect


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


async def becomes(it: Collecting, name: str, state: State) -> None:
    """Wait until an integration has that state; fail when it takes longer than a change may."""
    async with asyncio.timeout(WITHIN):
        while (await integrations.status(it.system, name)).health.state is not state:
            await asyncio.sleep(0.02)


def test_a_change_takes_effect_without_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add()
            await becomes(it, "prod", State.OFF)
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await becomes(it, "prod", State.HEALTHY)
            it.world.faults.add(Fault("insufficient_scope"))
            await integrations.poll_now(it.system, "prod")
            await becomes(it, "prod", State.FAILED)
            it.world.faults.clear()
            await integrations.edit(it.system, "prod", {"polling_interval": 30}, by="ana")
            await becomes(it, "prod", State.HEALTHY)
            await integrations.set_enabled(it.system, "prod", False, by="ana")
            told = await integrations.status(it.system, "prod")
            assert told.health.sentence.endswith("by ana.")
            async with asyncio.timeout(WITHIN):
                while it.system.supervisor.next_poll_at(told.integration.id) is not None:
                    await asyncio.sleep(0.02)

    run(work)


def test_a_rename_keeps_the_history(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it:
            await it.add()
            await it.poll()
            before = await it.count("integration:prod")
            await integrations.edit(it.system, "prod", {}, by="ana", new_name="production")
            second = await it.poll("production")
            assert second.new <= 1
            assert await it.count("integration:production") >= before
            assert await it.count("integration:prod") == 0

    run(work)


def test_a_crash_is_contained_told_and_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = Catalog({**load().connectors, "crashing": Crashing})
    monkeypatch.setattr(app, "catalog", SimpleNamespace(load=lambda: found))

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add("good")
            await integrations.add(it.system, "bad", "crashing", it.values(), enabled=True, by="ana", test=False)
            await integrations.set_enabled(it.system, "good", True, by="ana")
            await becomes(it, "bad", State.FAILED)
            await becomes(it, "good", State.HEALTHY)
            told = await integrations.status(it.system, "bad")
            assert told.health.code == "poller.crashed"
            async with asyncio.timeout(WITHIN):
                while len(await integrations.recent_polls(it.system, "bad")) < 2:
                    await asyncio.sleep(0.05)

    with caplog.at_level(logging.ERROR):
        run(work)
    assert any(record.exc_info for record in caplog.records)


def test_a_connector_asks_for_nothing_before_the_page_is_committed(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=350)) as it:
            await it.add()
            source = await it.system.assembly.source(await integrations.find(it.system, "prod"))
            connector: Connector = source.connector
            pages = connector.poll(None)
            await anext(pages)
            asked = it.world.stats.total("logs")
            await asyncio.sleep(0)
            assert it.world.stats.total("logs") == asked == 1
            await pages.aclose()
            await source.close()

    run(work)
