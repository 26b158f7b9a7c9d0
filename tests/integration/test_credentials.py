"""Tokens and secrets: refused in the middle of a pass, rotated at the vendor, changed in the form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import virtual
from worlds import Collecting, collecting, collecting_in_jumps, run

from conductor.core import clock
from conductor.core.health import State
from conductor.core.poll import Poll
from conductor.operations import history, integrations, statuses
from conductor.signal_client.poller import Poller
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import audit

OLD, NEW = TenantSpec().client_secret, "the-secret-after-the-rotation"


def rotate(it: Collecting, secret: str = NEW) -> None:
    """At the vendor; tokens that were given out do not work any more."""
    it.world.first.change(clock.now(), client_secret=secret)
    it.world.faults.add(Fault("expired_token", count=1))


@asynccontextmanager
async def polling(it: Collecting) -> AsyncIterator[Poller]:
    """The integration's poller at work, as the supervisor would run it."""
    integration = await integrations.find(it.system, "prod")
    poller = Poller(integration, await it.system.assembly.source(integration), it.system.supervisor._tools)
    task = asyncio.create_task(poller.run())
    try:
        yield poller
    finally:
        poller.stop()
        await task


async def finished(it: Collecting, count: int) -> list[Poll]:
    """The first so many polls, once they have ended, oldest first."""
    while True:
        polls = [poll for poll in await history.recent_polls(it.system, "prod") if poll.finished_at]
        if len(polls) >= count:
            return polls[::-1][:count]
        await asyncio.sleep(50)


@pytest.mark.parametrize("page", [0, 1, 3])
def test_f01_a_token_refused_in_the_middle_of_a_pass_is_replaced_and_the_pass_goes_on(
    tmp_path: Path, page: int
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=450)) as it:
            await it.add()
            it.world.faults.add(Fault("expired_token", after=page, count=1))
            poll = await it.poll()
            assert (poll.result, poll.complete, poll.duplicates) == ("ok", True, 0)
            assert it.world.stats.total("token") == 2
            pages = [seen for seen in it.world.stats.seen if seen.endpoint == "logs"]
            refused = next(number for number, seen in enumerate(pages) if seen.status == 401)
            assert refused == page
            assert pages[refused].query == pages[refused + 1].query
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_f01_a_second_refusal_ends_the_pass_and_what_was_read_stays(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=450)) as it:
            await it.add()
            it.world.faults.add(Fault("expired_token", after=2, count=2))
            poll = await it.poll()
            assert (poll.result, poll.new, it.world.stats.total("token")) == ("auth0.token.rejected", 200, 2)
            assert (await it.poll()).result == "ok"
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_f02_a_missing_scope_is_asked_about_once_an_hour(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting_in_jumps(tmp_path, TenantSpec(history=30)) as it:
            await it.add()
            it.world.first.change(clock.now(), scope="read:users")
            async with polling(it):
                polls = await finished(it, 4)
            assert {poll.result for poll in polls} == {"auth0.scope.missing"}
            assert all(poll.needs_person and poll.requests <= 2 for poll in polls)
            waits = {round((poll.retry_at - poll.finished_at).total_seconds()) for poll in polls}  # type: ignore[operator]
            assert waits == {3600}

    virtual.run_hastily(work())


def test_f05_a_quota_of_tokens_stops_no_poll_while_a_token_lives(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=250)) as it:
            await it.add()
            await it.poll()
            it.world.faults.add(Fault("quota", endpoint="token"))
            assert [(await it.poll()).result for _ in range(5)] == ["ok"] * 5
            it.world.faults.add(Fault("expired_token", count=1))
            limited = await it.poll()
            assert limited.result == "auth0.rate.token"
            wait = limited.retry_at - limited.finished_at  # type: ignore[operator]
            assert timedelta(seconds=3530) < wait < timedelta(seconds=3550)
            assert it.world.stats.total("token") == 2

    run(work)


def test_f06_the_next_secret_takes_over_when_the_present_one_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=30)) as it:
            await it.add(next_client_secret=NEW)
            assert (await it.poll()).result == "ok"
            before = await statuses.status(it.system, "prod")
            assert set(before.secrets) == {"client_secret", "next_client_secret"}
            rotate(it)
            assert (await it.poll()).result == "ok"
            assert it.world.stats.counts["acme", "token", 401] == 1
            after = await statuses.status(it.system, "prod")
            assert set(after.secrets) == {"client_secret"}
            assert after.secrets["client_secret"].version == before.secrets["client_secret"].version + 1
            entry = (await it.system.database.read(lambda c: audit.recent(c, 1)))[0]
            assert (entry.actor, entry.action, entry.target) == ("conductor", "secret.promoted", "prod")
            assert NEW not in str(entry.detail)
            it.world.faults.add(Fault("expired_token", count=1))
            assert (await it.poll()).result == "ok"
            assert it.world.stats.counts["acme", "token", 401] == 1  # the old secret was not tried again
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_f06_what_somebody_typed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=30)) as it:
            await it.add(next_client_secret=NEW)
            source = await it.system.assembly.source(await integrations.find(it.system, "prod"))
            await integrations.edit(it.system, "prod", {"client_secret": "typed"}, by="ana", test=False)
            rotate(it)
            async for _ in source.connector.poll(None):
                pass
            await source.close()
            told = await statuses.status(it.system, "prod")
            assert told.secrets["client_secret"].set_by == "ana"
            assert set(told.secrets) == {"client_secret", "next_client_secret"}

    run(work)


def test_f06_when_both_are_refused_a_person_must_act_and_it_is_asked_hourly(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting_in_jumps(tmp_path, TenantSpec(history=30)) as it:
            await it.add(next_client_secret="wrong too")
            rotate(it, "neither of them")
            async with polling(it):
                polls = await finished(it, 9)
            assert {poll.result for poll in polls} == {"auth0.token.badsecret"}
            waits = [round((poll.retry_at - poll.finished_at).total_seconds()) for poll in polls]  # type: ignore[operator]
            assert waits[:5] == [60] * 5
            assert waits[-2:] == [3600] * 2
            assert all(poll.needs_person for poll in polls)
            assert it.world.stats.counts["acme", "token", 401] <= 2 * len(polls) + 2

    virtual.run_hastily(work())


def test_f06_a_new_secret_in_the_form_wakes_the_poller_at_once(tmp_path: Path) -> None:
    """It waits for an hour when the secret comes; the world's clock does not jump here."""

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=30)) as it:
            await it.add(client_secret="wrong")
            running = asyncio.create_task(it.system.supervisor.run())
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            await _becomes(it, State.FAILED)
            begun = asyncio.get_running_loop().time()
            await integrations.edit(it.system, "prod", {"client_secret": OLD}, by="ana")
            await _becomes(it, State.HEALTHY)
            assert asyncio.get_running_loop().time() - begun < 5
            it.system.supervisor.stop()
            await running

    run(work)


def test_f07_a_rotation_that_takes_its_time_needs_nobody_for_five_minutes(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting_in_jumps(tmp_path, TenantSpec(history=30)) as it:
            await it.add(next_client_secret=NEW, polling_interval=1)
            async with polling(it):
                await finished(it, 1)
                rotate(it, "not yet known anywhere")
                failing = (await finished(it, 4))[-2:]
                assert {(poll.result, poll.needs_person) for poll in failing} == {("auth0.token.badsecret", False)}
                rotate(it)
                it.world.faults.clear()
                while (await history.recent_polls(it.system, "prod"))[0].result != "ok":
                    await asyncio.sleep(20)
            await it.index()
            assert sorted(await it.ids()) == it.world.log_ids()

    virtual.run_hastily(work())


def test_f07_after_five_minutes_a_person_must_act(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting_in_jumps(tmp_path, TenantSpec(history=30)) as it:
            await it.add(polling_interval=1)
            async with polling(it):
                await finished(it, 1)
                rotate(it, "gone for good")
                polls = await finished(it, 9)
            failed = [poll for poll in polls if poll.result != "ok"]
            assert [poll.needs_person for poll in failed][:4] == [False] * 4
            assert failed[-1].needs_person

    virtual.run_hastily(work())


async def _becomes(it: Collecting, state: State) -> None:
    while (await statuses.status(it.system, "prod")).health.state is not state:
        await asyncio.sleep(0.02)
