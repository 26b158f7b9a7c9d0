"""Several `conductor serve` on one PostgreSQL: killed, stopped, cut off, and their database killed under them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy

from conductor import app
from conductor.core import clock, rendezvous
from conductor.core.errors import Conflict
from conductor.core.poll import Poll
from conductor.operations import integrations
from conductor.operations.system import System
from conductor.settings import Settings
from conductor.simulator.server import Server, running
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World
from conductor.store import journal, leases
from conductor.store.database import Connection, Database

T = TypeVar("T")
WORKERS, TENANTS, EACH = 4, 12, 2
LIMIT = 150.0  # seconds: reached only by what never comes
NETWORKS = "127.0.0.0/8"
SLACK = 1_000_000  # microseconds


class Line:
    """A TCP proxy before PostgreSQL. While it is dark nothing passes, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._lit = asyncio.Event()
        self._lit.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut everything."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def dark(self) -> None:
        """Hold every byte back."""
        self._lit.clear()

    def light(self) -> None:
        """Let them pass again."""
        self._lit.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, back))
                both.create_task(self._pass(there, writer))
        except* OSError:
            pass
        finally:
            writer.transport.abort()
            back.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while content := await source.read(65536):
            await self._lit.wait()
            sink.write(content)
            await sink.drain()
        raise ConnectionResetError


@dataclass(slots=True)
class Worker:
    """One `conductor serve` with its own data directory and its own line to the database."""

    folder: Path
    line: Line
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Run it."""
        words = ["serve", "--data", str(self.folder), "--bind", "127.0.0.1:0", "--allow-private-targets", NETWORKS]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "conductor", *words], stdout=log, stderr=log, env=self.environment
            )

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        self.process.send_signal(number)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder.parent / f"{self.folder.name}.log").read_text(errors="replace")


@dataclass(slots=True)
class Cluster:
    """Everything that runs, and the database as one sees it from outside."""

    server: Server
    database: Database
    workers: list[Worker]

    async def view(self) -> leases.View:
        """Who lives and who owns what."""
        return await self.database.read(leases.view)

    async def by_pid(self) -> dict[int, str]:
        """The workers' ids."""
        return {worker.pid: worker.id for worker in (await self.view()).workers.values()}

    async def told(self) -> str:
        """What is needed to understand a failure: who lives, who owns what, what the workers wrote."""
        parts = [repr(await self.view())]
        for worker in self.workers:
            parts.append(f"{worker.folder.name}: pid {worker.process.pid}, returned {worker.process.poll()}")
            parts.append(worker.log[-4000:])
        return "\n".join(parts)

    async def polls(self) -> list[Any]:
        """Every poll of the live lane so far."""
        query = sqlalchemy.text("SELECT * FROM polls WHERE lane = 'live' ORDER BY id")
        return await self.database.read(lambda connection: list(connection.execute(query)))

    async def polled_since(self, moment: datetime) -> dict[int, datetime]:
        """By integration, when its first good poll that began after that ended."""
        found: dict[int, datetime] = {}
        for poll in await self.polls():
            if poll.result == "ok" and poll.started_at > clock.to_micros(moment):
                found.setdefault(poll.integration_id, clock.from_micros(poll.finished_at))
        return found


async def until(look: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask until the answer is true."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"There was no {what}.")


@contextlib.asynccontextmanager
async def opened(folder: Path, url: str) -> AsyncIterator[System]:
    """The stores as a command opens them that finds no running Conductor in its data directory."""
    settings = Settings(
        data=folder / "operator", database_url=url, key_file=str(folder / "key"), allow_private_targets=NETWORKS
    )
    with app.owned(settings.data) as directory:
        async with app.opened(settings, directory) as system:
            yield system


@contextlib.asynccontextmanager
async def cluster(folder: Path, server: Any) -> AsyncIterator[Cluster]:
    """A vendor of some tenants, integrations of them, and workers that poll them."""
    url = server.url(server.create())
    specs = [
        TenantSpec(name=f"t{number}", host=f"127.0.0.{number + 2}", aliases=(), history=60, rate=0.2, seed=number)
        for number in range(TENANTS)
    ]
    async with contextlib.AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(running(World(specs)))
        async with opened(folder, url) as system:
            for spec in specs:
                for number in range(EACH):
                    await add(system, vendor, spec, f"{spec.name}-{number}")
        workers = []
        for number in range(WORKERS):
            line = Line(server.port)
            await line.open()
            stack.push_async_callback(line.close)
            own = {"CONDUCTOR_DATABASE_URL": url.replace(str(server.port), str(line.port))}
            own["CONDUCTOR_KEY_FILE"] = str(folder / "key")
            plain = {name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")}
            workers.append(Worker(folder / f"worker-{number}", line, plain | own))
        database = Database(url)
        await database.open()
        stack.push_async_callback(database.close)
        for worker in workers:
            worker.start()
            stack.callback(end, worker)
        it = Cluster(vendor, database, workers)
        try:
            yield it
        except AssertionError as error:
            error.add_note(await it.told())
            raise


def test_f64_f65_f66_f70_workers_that_are_killed_paused_and_cut_off_lose_and_double_nothing(
    tmp_path: Path, mortal_postgresql: Any
) -> None:
    async def work() -> None:
        async with cluster(tmp_path, mortal_postgresql) as it:
            every = set(range(1, TENANTS * EACH + 1))
            await until(lambda: _settled(it, WORKERS), "share for every worker")
            await until(lambda: _all_polled(it, every), "first poll of everything")
            killed, paused, cut, spared = await _by_share(it)
            owners, ids = (await it.view()).owners, await it.by_pid()
            lost = {id_ for id_, owner in owners.items() if owner == ids[killed.process.pid]}
            struck = clock.now()
            killed.send(signal.SIGKILL)
            paused.send(signal.SIGSTOP)
            cut.line.dark()
            await until(lambda: _owned_by(it, ids[spared.process.pid], every), "worker that takes all over")
            taken = clock.now()
            polled = await until(lambda: _polled_since(it, lost, struck), "poll of what the killed one owned")
            healed = clock.now()
            print(f"taken over after {taken - struck}, polled after {max(polled.values()) - struck}")
            paused.send(signal.SIGCONT)
            cut.line.light()
            await until(lambda: _settled(it, WORKERS - 1), "share for the workers that are left")
            assert max(Counter(poll.integration_id for poll in await it.polls()).values()) <= 6
            mortal_postgresql.kill()
            living = [paused, cut, spared]
            await until(lambda: _all_say(living, "the database is away"), "word of the lost database")
            told = await asyncio.to_thread(_status, spared)
            mortal_postgresql.serve()
            await until(lambda: _all_say(living, "the database is back"), "word of the database")
            wanted = {f"t{number}": it.server.world.log_ids(f"t{number}") for number in range(TENANTS)}
            await _poll_all(tmp_path, it)
            await _check_events(it, wanted)
            _check_requests(it, await it.polls(), struck, healed)
            assert told.returncode == 1, told
            assert "The database does not answer." in told.stderr
            for worker in living:
                worker.send(signal.SIGTERM)
            for worker in living:
                assert await asyncio.to_thread(worker.process.wait, 30) == 0
                assert "Traceback" not in worker.log
            assert not (await it.view()).workers

    asyncio.run(work())


async def _settled(it: Cluster, count: int) -> bool:
    """Whether that many workers live and each owns what it wins, and nothing else."""
    view = await it.view()
    winners = {id_: rendezvous.winner(_tenant(it, id_), view.workers) for id_ in view.owners}
    return len(view.workers) == count and dict(view.owners) == winners and len(winners) == TENANTS * EACH


def _tenant(it: Cluster, integration_id: int) -> str:
    """Integrations were added tenant by tenant."""
    return it.server.authority(f"t{(integration_id - 1) // EACH}")


async def _all_polled(it: Cluster, every: set[int]) -> bool:
    return (await it.polled_since(clock.EPOCH)).keys() == every


async def _polled_since(it: Cluster, ids: set[int], moment: datetime) -> dict[int, datetime]:
    polled = await it.polled_since(moment)
    return {id_: polled[id_] for id_ in ids} if ids <= polled.keys() else {}


async def _by_share(it: Cluster) -> list[Worker]:
    """The workers, the one with most to poll first."""
    shares, ids = Counter((await it.view()).owners.values()), await it.by_pid()
    return sorted(it.workers, key=lambda worker: -shares[ids[worker.process.pid]])


async def _owned_by(it: Cluster, worker: str, every: set[int]) -> bool:
    return dict((await it.view()).owners) == dict.fromkeys(every, worker)


async def _all_say(workers: list[Worker], words: str) -> bool:
    return all(words in worker.log for worker in workers)


def _status(worker: Worker) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "conductor", "status", "--data", str(worker.folder)]
    return subprocess.run(words, capture_output=True, text=True, env=worker.environment, timeout=60)


async def _poll_all(folder: Path, it: Cluster) -> None:
    """Poll everything at once, asked of a process that polls nothing itself."""
    async with opened(folder, it.database.url.render_as_string(hide_password=False)) as system:
        names = [f"t{tenant}-{number}" for tenant in range(TENANTS) for number in range(EACH)]
        polled = await asyncio.gather(*(_poll(system, name) for name in names))
        assert [poll.result for poll in polled] == ["ok"] * len(names)


async def _poll(system: System, name: str) -> Poll:
    """Poll; once more when it was just changing hands."""
    for _ in range(5):
        with contextlib.suppress(Conflict):
            return await integrations.poll_now(system, name)
    return await integrations.poll_now(system, name)


async def _check_events(it: Cluster, wanted: dict[str, list[str]]) -> None:
    """Every event once in the journal of each integration."""
    for id_ in range(1, TENANTS * EACH + 1):
        batches = await it.database.read(functools.partial(_batches, id_))
        counted = Counter(found.id for batch in batches for found in batch.signals)
        missing = set(wanted[f"t{(id_ - 1) // EACH}"]) - counted.keys()
        assert not missing, f"integration {id_} lacks {len(missing)} events"
        assert max(counted.values()) == 1


def _batches(integration_id: int, connection: Connection) -> list[journal.Batch]:
    return journal.read(connection, integration_id, 1, 1_000_000)


def _check_requests(it: Cluster, polls: list[Any], struck: datetime, healed: datetime) -> None:
    """While workers were lost, nobody asked the vendor without owning the integration: each request has its poll."""
    spans = [(poll.integration_id, poll.started_at, poll.finished_at or 2**62) for poll in polls]
    for seen in it.server.world.stats.seen:
        if seen.endpoint != "logs" or not struck < seen.at < healed:
            continue
        at = clock.to_micros(seen.at)
        assert any(
            f"t{(id_ - 1) // EACH}" == seen.tenant and begun - SLACK <= at <= ended + SLACK
            for id_, begun, ended in spans
        ), seen


async def add(system: System, vendor: Server, spec: TenantSpec, name: str) -> None:
    """An integration of that tenant, switched on, at the shortest interval."""
    values = {
        "domain": vendor.authority(spec.name),
        "client_id": spec.client_id,
        "client_secret": spec.client_secret,
        "ca_bundle": vendor.ca.read_text(),
        "plan": "enterprise",
        "rate_share": 100,
        "polling_interval": 1,
    }
    await integrations.add(system, name, "auth0", values, enabled=True, by="test", test=False)


def end(worker: Worker) -> None:
    """Whatever became of it."""
    worker.process.kill()
    worker.process.wait()
