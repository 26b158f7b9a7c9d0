"""Several workers on one store, on virtual time: who polls what, and what happens when one is lost."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import virtual
from sqlalchemy import update

from conductor.catalog import load
from conductor.core import clock
from conductor.core.errors import Conflict, Fenced, StoreError
from conductor.core.integration import Integration
from conductor.observe import Metrics
from conductor.outbound.guard import Policy
from conductor.signal_client import membership
from conductor.signal_client.assembly import Assembly, Egress, context
from conductor.signal_client.membership import Membership
from conductor.signal_client.supervisor import Supervisor
from conductor.signal_client.tools import Tools
from conductor.store import integrations, journal, leases, polls, schema
from conductor.store.database import Connection, Database
from conductor.store.keyfile import open_key_file
from conductor.store.leases import Worker
from conductor.store.vault import Vault

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TTL = leases.TTL / 1e6  # seconds
MINUTE = 60.0
_speaking: ContextVar[str] = ContextVar("speaking", default="")  # the worker whose code runs
_skew: ContextVar[float] = ContextVar("skew", default=0.0)  # of that worker's clock


class Inline(Executor):
    """Does the work at once: on a virtual loop nothing waits for a thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(slots=True)
class Line:
    """A worker's line to the store: `dark` lets every write and read wait until it is lit again."""

    dark: bool = False
    lit: asyncio.Event = field(default_factory=asyncio.Event)


class Cut(Database):
    """A database at the end of a line that can go dark, as a network does."""

    line: Line

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """Through the line."""
        return asyncio.ensure_future(self._write(work))

    async def _write(self, work: Callable[[Connection], Any]) -> Any:
        while self.line.dark:
            await self.line.lit.wait()
        return await Database.write(self, work)

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        """Through the line."""
        while self.line.dark:
            await self.line.lit.wait()
        return await super().read(work)


@dataclass(slots=True)
class Member:
    """One worker: its database, its supervisor, and the task that runs it."""

    name: str
    database: Cut
    supervisor: Supervisor
    membership: Membership
    running: asyncio.Task[None]

    async def stop(self) -> None:
        """As a service manager does."""
        self.supervisor.stop()
        await self.running
        await self.database.close()

    async def kill(self) -> None:
        """As kill -9 does: it writes nothing more, not even that it goes."""
        await self.database.close()
        with pytest.raises(StoreError):
            await self.running


class Cluster:
    """A store, a vendor who answers every request with an empty page, and workers that come and go."""

    def __init__(self, folder: Path, url: str) -> None:
        self.members: dict[str, Member] = {}
        self.requests: list[tuple[float, str, str]] = []  # when, by whom, of which tenant
        self._key = folder / "key"
        self._url = url
        self._began = asyncio.get_running_loop().time()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time() - self._began

    async def join(self, name: str, *, skew: float = 0.0) -> Member:
        """Start a worker, with a clock of its own."""
        database = Cut(self._url, writer=Inline(), readers=Inline(), shared=True, now=self.moment)
        database.line = Line()
        await database.open()
        vault = Vault(open_key_file(self._key), self._key)
        vendor = httpx2.MockTransport(self._answer)
        assembly = Assembly(database, vault, load(), Egress(Policy(), opener=lambda _: vendor))
        member = Membership(database, Worker(name, f"{name}.example.com", 1, f"artifacts/{name}"))
        supervisor = Supervisor(assembly, Tools(database, Metrics(), lambda: None), member)
        _speaking.set(name)
        _skew.set(skew)
        running = asyncio.create_task(supervisor.run(), name=name)
        self.members[name] = Member(name, database, supervisor, member, running)
        _speaking.set("")
        _skew.set(0.0)
        return self.members[name]

    async def add(self, count: int, *, minutes: int = 1) -> list[int]:
        """Integrations, each of a tenant of its own, that were polled at different times of the last interval."""
        kind = load().connectors["auth0"].Config
        database, vault = self._writer(), Vault(open_key_file(self._key), self._key)
        await database.open()

        def work(connection: Connection) -> list[int]:
            vault.check(connection)
            ids = [save(connection, number) for number in range(count)]
            connection.execute(
                update(schema.integrations).values(changed_at=clock.to_micros(START - timedelta(days=1)))
            )
            return ids

        def save(connection: Connection, number: int) -> int:
            values = {"domain": f"t{number}.eu.auth0.com", "client_id": "x", "polling_interval": minutes}
            config = kind.parse({**values, "client_secret": "s" * 32})
            added = integrations.add(connection, f"t{number}", "auth0", config.public(), enabled=True, by="ana")
            bound = context(kind, config.public())
            vault.put(connection, integrations.owner(added.id), "client_secret", "s" * 32, context=bound, by="ana")
            position = journal.take_over(connection, added.id)
            polled = polls.begin(connection, position, self.moment() - timedelta(minutes=minutes * number / count))
            polls.end(connection, polled, polls.Outcome("ok", complete=True), self.moment())
            return added.id

        added = await database.write(work)
        await database.close()
        return added

    async def owners(self) -> dict[int, str]:
        """Who owns what."""
        return dict((await self.look(leases.view)).owners)

    async def look(self, work: Callable[[Connection], Any]) -> Any:
        """Read the store from outside."""
        database = self._writer()
        await database.open()
        try:
            return await database.write(work)
        finally:
            await database.close()

    async def until(self, true: Callable[[], Coroutine[Any, Any, bool]], limit: float) -> float:
        """The seconds it took to become true, in virtual time."""
        begun = self.now
        while not await true():
            assert self.now - begun < limit, "it did not become true"
            await asyncio.sleep(1)
        return self.now - begun

    def asked(self, since: float, until: float = float("inf")) -> dict[str, list[str]]:
        """Each tenant's pollers between two moments, one entry a request for events."""
        found: dict[str, list[str]] = defaultdict(list)
        for when, worker, tenant in self.requests:
            if since <= when < until:
                found[tenant].append(worker)
        return found

    def moment(self) -> datetime:
        """The store's clock."""
        return START + timedelta(seconds=self.now)

    def _writer(self) -> Database:
        return Database(self._url, writer=Inline(), readers=Inline(), shared=True, now=self.moment)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "application/json", "date": _http_date(self.moment())}
        if request.url.path == "/oauth/token":
            told = {"access_token": "t", "token_type": "Bearer", "expires_in": 86400, "scope": "read:logs"}
            return httpx2.Response(200, stream=httpx2.ByteStream(json.dumps(told).encode()), headers=headers)
        self.requests.append((self.now, _speaking.get(), request.url.host.partition(".")[0]))
        return httpx2.Response(200, stream=httpx2.ByteStream(b"[]"), headers=headers)


@pytest.fixture
def play(
    tmp_path: Path, migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Cluster], Coroutine[Any, Any, None]]], None]:
    """Runs a test's coroutine with a cluster, in virtual time; what still runs at the end is killed."""

    async def whole(test: Callable[[Cluster], Coroutine[Any, Any, None]]) -> None:
        cluster = Cluster(tmp_path, migrated_sqlite_url)
        told = SimpleNamespace(time=lambda: cluster.moment().timestamp() + _skew.get())
        monkeypatch.setattr(clock, "time", told)
        await test(cluster)
        for member in cluster.members.values():
            if not member.running.done():
                await member.kill()

    return lambda test: virtual.run(whole(test))


def test_f71_a_lost_worker_of_a_thousand_is_taken_over_within_two_leases(
    play: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(cluster: Cluster) -> None:
        first, *_ = ids = await cluster.add(1000, minutes=5)
        for name in ("one", "two", "three"):
            await cluster.join(name)
        await cluster.until(lambda: _shared_out(cluster, set(ids)), MINUTE)
        lost = {id_ for id_, owner in (await cluster.owners()).items() if owner == "one"}
        await cluster.members["one"].kill()
        killed = cluster.now
        await cluster.until(lambda: _all_owned(cluster, set(ids), but="one"), 2 * TTL)
        await asyncio.sleep(2 * TTL - (cluster.now - killed))
        polled = cluster.asked(killed)
        due = {f"t{id_ - first}" for id_ in lost if (first + 1000 - id_) * 0.3 < killed + TTL}
        assert len(due) > 20
        assert due <= polled.keys(), "each was polled within two leases"
        after = {tenant: set(by) - {"one"} for tenant, by in polled.items()}  # a request may have been on its way
        assert all(len(after[tenant]) == 1 for tenant in due), "by exactly one"
        assert all(len(by) <= 1 for by in after.values())
        assert all("one" not in by for by in cluster.asked(killed + 10).values())
        by_second = [int(when) for when, _, _ in cluster.requests if when >= killed]
        assert max(Counter(by_second).values()) < 50, "not all at once"

    play(test)


def test_f64_two_workers_share_without_polling_anything_twice(play: Callable[[Any], None]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(40))
        await cluster.join("one")
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        await asyncio.sleep(MINUTE)
        joined = cluster.now
        await cluster.join("two")
        await cluster.until(lambda: _some_owned(cluster, "two"), MINUTE)
        await asyncio.sleep(5 * MINUTE)
        owners = await cluster.owners()
        assert owners.keys() == ids
        assert set(owners.values()) == {"one", "two"}
        for by in cluster.asked(joined + 10).values():
            assert len(set(by)) == 1
        for times in _times(cluster).values():
            assert all(later - earlier > MINUTE / 2 for earlier, later in itertools.pairwise(times[1:]))

    play(test)


def test_a_worker_that_stops_leaves_its_share_at_once(play: Callable[[Any], None]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(40))
        for name in ("one", "two"):
            await cluster.join(name)
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        await cluster.members["one"].stop()
        assert await cluster.until(lambda: _all_owned(cluster, ids, but="one"), MINUTE) < TTL / 3
        assert [worker.id for worker in await cluster.look(leases.living)] == ["two"]

    play(test)


def test_f65_a_worker_cut_off_from_the_store_asks_the_vendor_no_more(play: Callable[[Any], None]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(40, minutes=5))
        for name in ("one", "two"):
            await cluster.join(name)
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        line = cluster.members["one"].database.line
        line.dark = True
        cut = cluster.now
        await cluster.until(lambda: _all_owned(cluster, ids, but="one"), 2 * TTL)
        await asyncio.sleep(MINUTE)
        assert not [when for when, by, _ in cluster.requests if by == "one" and when > cut + membership.SILENCE]
        waiting = [id_ for id_ in ids if cluster.members["one"].supervisor.next_poll_at(id_)]
        assert not waiting, "no poller waits for its time any more"
        line.dark = False
        line.lit.set()
        await cluster.until(lambda: _some_owned(cluster, "one"), MINUTE)
        lit = cluster.now
        await asyncio.sleep(6 * MINUTE)
        assert {by for when, by, _ in cluster.requests if when > lit} == {"one", "two"}, "it has its share again"
        assert all(len(set(by)) == 1 for by in cluster.asked(lit + 10).values())

    play(test)


def test_f66_a_worker_that_slept_past_its_lease_is_fenced_and_joins_again(play: Callable[[Any], None]) -> None:
    """Its renewals do not get through while its pollers go on: the lease runs out, what it does then is refused."""

    async def test(cluster: Cluster) -> None:
        ids = sorted(await cluster.add(6))
        await cluster.join("one")
        await cluster.until(lambda: _all_owned(cluster, set(ids)), MINUTE)
        zombie = cluster.members["one"].database
        held = await zombie.write(lambda connection: journal.take_over(connection, ids[0], worker="one"))
        await zombie.write(lambda connection: _run_out(connection, "one"))
        cluster.members["one"].database.line.dark = True
        await cluster.join("two")
        await cluster.until(lambda: _all_owned(cluster, set(ids), but="one"), 2 * TTL)
        with pytest.raises(Fenced):
            await Database.write(zombie, lambda connection: polls.begin(connection, held, clock.now()))
        zombie.line.dark = False
        zombie.line.lit.set()
        await cluster.until(lambda: _some_owned(cluster, "one"), MINUTE)

    play(test)


@pytest.mark.parametrize("skews", [(-120.0, 120.0), (120.0, -120.0), (86400.0, 0.0)])
def test_f69_the_workers_own_clocks_do_not_matter(play: Callable[[Any], None], skews: tuple[float, float]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(20))
        await cluster.join("one", skew=skews[0])
        await cluster.join("two", skew=skews[1])
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        settled = await cluster.owners()
        began = cluster.now
        await asyncio.sleep(5 * MINUTE)
        assert await cluster.owners() == settled, "nobody takes from the other"
        assert all(len(set(by)) == 1 for by in cluster.asked(began).values())
        await cluster.members["one"].kill()
        assert await cluster.until(lambda: _all_owned(cluster, ids, but="one"), 2 * TTL) > TTL / 2

    play(test)


def test_f70_while_the_store_is_away_nobody_polls_and_then_everybody_goes_on(play: Callable[[Any], None]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(20))
        for name in ("one", "two"):
            await cluster.join(name)
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        for member in cluster.members.values():
            member.database.line.dark = True
        gone = cluster.now
        await asyncio.sleep(5 * MINUTE)
        assert not [when for when, _, _ in cluster.requests if when > gone + membership.SILENCE]
        for member in cluster.members.values():
            member.database.line.dark = False
            member.database.line.lit.set()
        back = cluster.now
        await asyncio.sleep(2 * MINUTE)
        assert len(cluster.asked(back)) == len(ids)
        assert all(len(set(by)) == 1 for by in cluster.asked(back + 10).values())

    play(test)


def test_a_poll_asked_of_one_worker_is_made_by_the_other(play: Callable[[Any], None]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(10))
        for name in ("one", "two"):
            await cluster.join(name)
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        owners = await cluster.owners()
        known: list[Integration] = await cluster.look(integrations.everything)
        asked = next(integration for integration in known if owners[integration.id] == "two")
        await asyncio.sleep(MINUTE)
        began = cluster.now
        poll = await cluster.members["one"].supervisor.poll_now(asked)
        assert (poll.integration_id, poll.result) == (asked.id, "ok")
        assert set(cluster.asked(began)[asked.name]) == {"two"}
        assert cluster.now - began < 5
        assert (await cluster.look(leases.view)).asked == frozenset()

    play(test)


def test_a_poll_asked_of_a_worker_that_died_is_answered_in_words(play: Callable[[Any], None]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(10))
        for name in ("one", "two"):
            await cluster.join(name)
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        owners = await cluster.owners()
        known: list[Integration] = await cluster.look(integrations.everything)
        asked = next(integration for integration in known if owners[integration.id] == "two")
        await cluster.members["two"].kill()
        with pytest.raises(Conflict, match="has not begun"):
            await cluster.members["one"].supervisor.poll_now(asked)

    play(test)


def test_an_integration_switched_off_is_let_go_and_polled_by_whoever_is_asked(play: Callable[[Any], None]) -> None:
    async def test(cluster: Cluster) -> None:
        ids = set(await cluster.add(10))
        for name in ("one", "two"):
            await cluster.join(name)
        await cluster.until(lambda: _all_owned(cluster, ids), MINUTE)
        await cluster.look(_switch_off)
        await asyncio.sleep(10)
        assert await cluster.owners() == {}
        known: list[Integration] = await cluster.look(integrations.everything)
        began = cluster.now
        for integration in known:
            assert (await cluster.members["one"].supervisor.poll_now(integration)).result == "ok"
        assert {worker for by in cluster.asked(began).values() for worker in by} == {""}

    play(test)


def test_a_tenants_integrations_go_to_one_worker(play: Callable[[Any], None]) -> None:
    """Each process paces its own requests, so two of them would take twice the share of the tenant's limit."""

    async def test(cluster: Cluster) -> None:
        ids = sorted(await cluster.add(12))
        for name in ("one", "two", "three"):
            await cluster.join(name)
        await cluster.look(lambda connection: _of_one_tenant(connection, ids[:6]))
        await cluster.until(lambda: _all_owned(cluster, set(ids)), MINUTE)
        await asyncio.sleep(MINUTE)
        owners = await cluster.owners()
        assert len({owners[id_] for id_ in ids[:6]}) == 1
        assert len(set(owners.values())) > 1

    play(test)


def _run_out(connection: Connection, worker: str) -> None:
    connection.execute(update(schema.workers).where(schema.workers.c.id == worker).values(expires=0))


def _switch_off(connection: Connection) -> None:
    for integration in integrations.everything(connection):
        integrations.edit(connection, integration, by="ana", enabled=False)


def _of_one_tenant(connection: Connection, ids: list[int]) -> None:
    for integration in integrations.everything(connection):
        if integration.id in ids:
            config = {**integration.config, "tenant_domain": "acme.eu.auth0.com"}
            integrations.edit(connection, integration, by="ana", config=config)


def _times(cluster: Cluster) -> dict[str, list[float]]:
    """When each tenant was polled; the limiter spreads a poll over some seconds."""
    found: dict[str, list[float]] = defaultdict(list)
    for when, _, tenant in cluster.requests:
        if not found[tenant] or when - found[tenant][-1] > 10:
            found[tenant].append(when)
    return found


async def _some_owned(cluster: Cluster, by: str) -> bool:
    return by in (await cluster.owners()).values()


async def _shared_out(cluster: Cluster, ids: set[int]) -> bool:
    """All are owned, and each of the workers has about as many as the others."""
    counts = Counter((await cluster.owners()).values())
    share = len(ids) / len(cluster.members)
    return counts.total() >= len(ids) and all(share / 2 < counts[name] < 2 * share for name in cluster.members)


async def _all_owned(cluster: Cluster, ids: set[int], but: str = "") -> bool:
    owners = await cluster.owners()
    return owners.keys() >= ids and but not in owners.values()


def _http_date(moment: datetime) -> str:
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
