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
from conductor.core.errors import Conflict
from conductor.core.health import State
from conductor.core.integration import Integration
from conductor.core.signal import Checkpoint, SignalBatch
from conductor.operations import history, integrations, statuses
from conductor.signal_client import supervisor
from conductor.signal_client.assembly import Assembly, Source
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import integrations as store
from conductor.store import journal, schema
from conductor.store.database import Connection

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
        while (await statuses.status(it.system, name)).health.state is not state:
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
            told = await statuses.status(it.system, "prod")
            assert "by ana." in told.health.sentence
            async with asyncio.timeout(WITHIN):
                while it.system.supervisor.next_poll_at(told.integration.id) is not None:
                    await asyncio.sleep(0.02)

    run(work)


def test_a_poll_that_was_cut_short_goes_on_after_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=3000)) as it:
            await it.add()
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            async with supervised(it):
                while not it.world.stats.total("logs"):
                    await asyncio.sleep(0.001)
            (cut,) = await history.recent_polls(it.system, "prod")
            assert (cut.result, cut.complete) == ("ok", False)
            began = it.system.supervisor
            again = supervisor.Supervisor(it.system.assembly, began._tools, it.system.membership)
            running = asyncio.create_task(again.run())
            await becomes(it, "prod", State.HEALTHY)
            again.stop()
            await running

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
            assert await it.count("integration:prod") == await it.count("integration:production")  # as it was called

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
            told = await statuses.status(it.system, "bad")
            assert told.health.code == "poller.crashed"
            async with asyncio.timeout(WITHIN):
                while len(await history.recent_polls(it.system, "bad")) < 2:
                    await asyncio.sleep(0.05)

    with caplog.at_level(logging.ERROR):
        run(work)
    assert any(record.exc_info for record in caplog.records)


def test_one_that_another_process_removed_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its secrets are gone before this process has looked at the table again: nothing is wrong with it."""
    monkeypatch.setattr(supervisor, "FOLLOW_EVERY", 600.0)
    monkeypatch.setattr(supervisor, "CRASH_CAP", 0.01)

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add()
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await becomes(it, "prod", State.HEALTHY)
            found, poller = await integrations.find(it.system, "prod"), it.system.supervisor._pollers[1]

            def remove(connection: Connection) -> None:
                store.remove(connection, found, by="ana")
                it.system.vault.forget(connection, store.owner(found.id))

            await it.system.database.write(remove)
            tried, source = 0, Assembly.source

            async def counted(assembly: Assembly, integration: Integration) -> Source:
                nonlocal tried
                tried += 1
                return await source(assembly, integration)

            monkeypatch.setattr(Assembly, "source", counted)
            with pytest.raises(Conflict):
                await poller.poll_now()
            while tried < 3:
                await asyncio.sleep(0.01)

    with caplog.at_level(logging.DEBUG):
        run(work)
    assert "taken over" in caplog.text
    assert "the poller failed" not in caplog.text


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


def test_poll_now_beside_a_poller_that_is_being_made_fences_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add()
            for _ in range(10):
                await integrations.set_enabled(it.system, "prod", True, by="ana")
                polled = await asyncio.gather(
                    *(integrations.poll_now(it.system, "prod") for _ in range(3)), return_exceptions=True
                )
                assert [poll.result for poll in polled if not isinstance(poll, BaseException)]
                assert all(isinstance(poll, Conflict) for poll in polled if isinstance(poll, BaseException))
                await integrations.set_enabled(it.system, "prod", False, by="ana")
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await becomes(it, "prod", State.HEALTHY)
            last = (await history.recent_polls(it.system, "prod"))[0].id
            await integrations.poll_now(it.system, "prod")
            assert (await history.recent_polls(it.system, "prod"))[0].id > last

    run(work)


def test_a_poller_that_was_taken_over_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add()
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await becomes(it, "prod", State.HEALTHY)
            await it.system.database.write(lambda connection: journal.take_over(connection, 1))
            with pytest.raises(Conflict):
                await integrations.poll_now(it.system, "prod")
            async with asyncio.timeout(WITHIN):
                while (await integrations.poll_now(it.system, "prod")).result != "ok":
                    await asyncio.sleep(0.05)

    run(work)


def test_a_secret_that_cannot_be_read_is_told_and_a_new_one_heals_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add()
            await it.system.database.write(
                lambda connection: connection.execute(schema.secrets.update().values(sealed=b"\0" * 64))
            )
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await becomes(it, "prod", State.FAILED)
            assert (await statuses.status(it.system, "prod")).health.code == "local.secret.unreadable"
            secret = it.values()["client_secret"]
            await integrations.edit(it.system, "prod", {"client_secret": secret}, by="ana")
            await becomes(it, "prod", State.HEALTHY)

    run(work)


def test_moving_to_another_tenant_begins_at_its_beginning(tmp_path: Path) -> None:
    async def work() -> None:
        specs = [
            TenantSpec(name="one", history=30, aliases=("127.0.0.1",)),
            TenantSpec(name="two", host="127.0.0.2", aliases=(), history=60, seed=2),
        ]
        async with collecting(tmp_path, *specs) as it:
            await it.add("prod", "one")
            await it.poll()
            await integrations.edit(it.system, "prod", it.values("two"), by="ana")
            moved = await it.poll()
            assert moved.new >= 60
            assert set(it.world.log_ids("two")) <= set(await it.ids())

    run(work)


def test_a_change_does_not_wait_for_a_vendor_that_hangs(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=40)) as it, supervised(it):
            await it.add("prod")
            await it.add("other")
            it.world.faults.add(Fault("hang", seconds=60))
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            async with asyncio.timeout(WITHIN):
                while not (await statuses.status(it.system, "prod")).running:
                    await asyncio.sleep(0.02)
            it.world.faults.clear()
            await integrations.set_enabled(it.system, "prod", False, by="ana")
            await integrations.set_enabled(it.system, "other", True, by="ana")
            await becomes(it, "other", State.HEALTHY)

    run(work)
