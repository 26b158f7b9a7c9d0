"""One simulated world: everything is drawn from its seed, run for some hours under faults, healed, and judged."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import itertools
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import clickhouse_connect.driver as clickhouse

from conductor import app, catalog
from conductor.analytics import engine
from conductor.core import clock
from conductor.indexer import indexer
from conductor.operations import making, notifying, upkeep
from conductor.settings import Settings
from conductor.signal_client import membership, supervisor
from conductor.simulator.world import World as Tenants
from conductor.store import leases, migrations
from conductor.store.database import Database, sqlite_url
from simulation import bugs, chaos, invariants, plan
from simulation.chdb import RealEngine
from simulation.disk import Disk
from simulation.engine import Engine
from simulation.loop import PROCESS, Process, SimulatedLoop
from simulation.plan import Plan, Wanted
from simulation.upstream import Transport, Vendor
from simulation.worker import Worker

BEGIN = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)  # midnight comes while everything goes wrong
HEAL = 75 * 60.0  # seconds in which the world must have recovered: an hourly retry, and some
QUIET = 40 * 60.0  # seconds watched after that for freshness
LONGER = 10.0  # leases last, than in production
STEP = 30.0  # seconds between two looks at what grows


@dataclass(slots=True)
class Report:
    """What one world came to."""

    seed: int
    hours: float
    simulated: float = 0.0
    seconds: float = 0.0
    digest: str = ""
    violation: str = ""
    counts: Counter[str] = field(default_factory=Counter)


class World:
    """Everything of one run. `trace` is called with each thing that happens."""

    def __init__(self, seed: int, hours: float, folder: Path, trace: Callable[[str], None] | None = None) -> None:
        self.seed, self.hours = seed, hours
        self.folder = folder
        self.plan: Plan = plan.draw(seed)
        self.loop = SimulatedLoop(self.stream("order"))
        self.counts: Counter[str] = Counter()
        self.hashed = blake2b(digest_size=16)
        self.trace = trace
        self.tenants = Tenants(self.plan.tenants, now=self.now)
        self.vendor = Vendor(self.tenants, self.stream("network"), self.now, told=self.tell, injected=self.counts)
        self.disk = Disk(folder / "conductor.db", self.now)
        self.disk.kill = self.kill_process
        self.engines: dict[str, Engine | RealEngine] = {}
        self.starts: list[tuple[float, str]] = []
        self.watch = invariants.Watch(self)
        self.disk.committed = self.watch.committed
        self.workers = [self._worker(number) for number in range(self.plan.workers)]
        self.healed_at: float | None = None
        self.full_until = 0.0
        self.off_until = 0.0
        self.jumped: dict[str, float] = {}
        self.operated: dict[str, Wanted] = {}
        self._generation = 0

    @property
    def clocks_differ(self) -> bool:
        """Whether any process's clock was ever wrong."""
        return bool(self.jumped) or any(self.plan.skews[: self.plan.workers])

    def stream(self, name: str) -> Random:
        """A stream of chance of its own, so that a draw in one place changes nothing elsewhere."""
        return Random(f"{self.seed}/{name}")

    def now(self) -> datetime:
        """The true time."""
        return BEGIN + timedelta(seconds=self.loop.time())

    def tell(self, text: str) -> None:
        """Note something that happened, for the digest and the trace."""
        line = f"{self.loop.time():.6f} {text}"
        self.hashed.update(line.encode())
        if self.trace:
            self.trace(line)

    def count(self, what: str) -> None:
        """A fault was injected, or something else happened that the report tells."""
        self.counts[what] += 1
        self.tell(what)

    def engine(self, path: str) -> Engine | RealEngine:
        """The search engine in a directory."""
        if path not in self.engines:
            self.engines[path] = made = RealEngine() if self.plan.real_engine else Engine()
            made.trouble, made.full = chaos.search_engine(self, path)
        return self.engines[path]

    def start(self, worker: Worker) -> None:
        """A new process in a worker's place."""
        self._generation += 1
        process = Process(worker.name, self._generation)
        self.loop.add(process)
        self.starts.append((self.loop.time(), worker.name))
        self.tell(f"{worker.name} starts")
        chaos.afflict(self, process)
        worker.start(process)

    def kill(self, worker: Worker) -> None:
        """kill -9."""
        if worker.process is not None and not worker.process.dead:
            self.kill_process(worker.process)

    def kill_process(self, process: Process) -> None:
        """kill -9, from wherever it strikes."""
        if process.dead:
            return
        self.count("kill")
        self.loop.kill(process)
        self.disk.disconnect(process.name)
        worker = next(worker for worker in self.workers if worker.process is process)
        worker.system = None
        delay = self.stream(f"restart/{self._generation}").uniform(1.0, 60.0)
        self._later(delay, worker, process)

    def _later(self, delay: float, worker: Worker, process: Process) -> None:
        """Outside every process: what a dead one asks for is never done."""
        self.loop.call_later(delay, self._restart, worker, process, context=contextvars.Context())

    def _restart(self, worker: Worker, process: Process) -> None:
        if worker.process is process:
            if (wait := self.off_until - self.loop.time()) > 0:
                self._later(wait, worker, process)
            else:
                self.start(worker)

    def _ended(self, worker: Worker, error: BaseException | None) -> None:
        """A process ended by itself; the service manager starts it again."""
        process = worker.process
        assert process is not None
        self.tell(f"{worker.name} ended: {type(error).__name__ if error else 'asked'}")
        self.watch.ended(error)
        self.loop.kill(process)
        self.disk.disconnect(process.name)
        self._later(5.0, worker, process)

    def _worker(self, number: int) -> Worker:
        directory = self.folder / f"data-{number}"
        directory.mkdir()
        settings = Settings(data=directory, key_file=str(self.folder / "conductor.key"))
        worker = Worker(f"w{number}", settings, opener=lambda _route: Transport(self.vendor))
        worker.ended = self._ended
        worker.skew = self.plan.skews[number]
        return worker

    async def run(self) -> None:
        """The whole life. Raises Violation."""
        for worker in self.workers:
            self.start(worker)
        actors = [asyncio.create_task(actor, name=name) for name, actor in chaos.actors(self)]
        await self._live(self.hours * 3600.0)
        self.tell("healing")
        for actor in actors:
            actor.cancel()
        await asyncio.gather(*actors, return_exceptions=True)
        await chaos.heal(self)
        self.healed_at = self.loop.time()
        await self._live(HEAL)
        await self._catch_up()
        self.watch.converged()
        await self._live(QUIET)
        self.watch.final()
        await self._close()
        self.watch.closed()

    async def _catch_up(self) -> None:
        """Where a request may be made every half a minute, a backlog takes hours: wait for those who get on."""
        before: dict[int, str] = {}
        while (behind := self.watch.behind()) and not behind.items() & before.items():
            before = behind
            await self._live(HEAL)

    async def _live(self, seconds: float) -> None:
        end = self.loop.time() + seconds
        while (left := end - self.loop.time()) > 0:
            await asyncio.sleep(min(STEP, left))
            self.watch.look()

    async def _close(self) -> None:
        for worker in self.workers:
            worker.ended = lambda worker, error: self.watch.ended(error)
            worker.stop()
        for worker in self.workers:
            await asyncio.wait([worker._task])


class _Wall:
    """Stands in for the module `time` in `conductor.core.clock`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._begin = BEGIN.timestamp()

    def time(self) -> float:
        """The wall clock of the process that asks."""
        process = PROCESS.get()
        return self._begin + self._world.loop.time() + (process.skew if process else 0.0)


def play(seed: int, hours: float = 6.0, *, bug: str = "", trace: Callable[[str], None] | None = None) -> Report:
    """Run one world, and say how it went."""
    began, complains = time.process_time(), sys.unraisablehook
    report = Report(seed, hours)
    gc.disable()  # so that garbage is collected at the same moments in every run
    try:
        _play(report, bug, trace)
    finally:  # now that nothing holds the world: what lives would be looked through, too
        gc.enable()
        gc.collect()
        sys.unraisablehook = complains
    report.seconds = time.process_time() - began
    return report


def _play(report: Report, bug: str, trace: Callable[[str], None] | None) -> None:
    with _folder() as folder, contextlib.ExitStack() as stack:
        world = World(report.seed, report.hours, folder, trace)
        stack.enter_context(_installed(world))
        stack.enter_context(bugs.planted(bug))
        try:
            asyncio.set_event_loop(world.loop)
            world.loop.run_until_complete(world.run())
        except (invariants.Violation, AssertionError) as error:
            report.violation = f"{error}"
        report.simulated = world.loop.time() / 3600.0
        report.counts = world.counts + world.watch.totals()
        world.watch.close()
        world.hashed.update(world.watch.summary().encode())
        report.digest = world.hashed.hexdigest()
        world.loop.end()


def _sharing(world: World) -> Iterator[tuple[Any, str, Any]]:
    """Several workers on one database, which tells them the time. Leases last ten times as long, for renewing costs more
    than collecting."""
    numbers = itertools.count(1)
    for owner in (app, engine, indexer):  # who owns what and who indexes follows from these names
        yield owner, "token_hex", lambda _size: f"{next(numbers):016x}"
    if world.plan.workers > 1:
        yield app, "Database", functools.partial(Database, shared=True, now=world.now)
        yield leases, "TTL", int(leases.TTL * LONGER)
        for name in ("RENEW_EVERY", "RENEW_RETRY", "SILENCE", "BEGUN_WITHIN"):
            yield membership, name, getattr(membership, name) * LONGER


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="conductor-world-", dir=memory if memory.is_dir() else None))
    try:
        shutil.copy(_template(), folder / "conductor.db")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_made: dict[str, Path] = {}
gc.freeze()  # what was imported is no garbage: looking through it costs a fifth of a second each time


def _template() -> Path:
    """A database with the current schema, made once a run."""
    if "path" not in _made:
        folder = tempfile.TemporaryDirectory(prefix="conductor-template-")
        _made["path"] = Path(folder.name) / "conductor.db"
        _made["keep"] = folder  # type: ignore[assignment]
        database = Database(sqlite_url(_made["path"]))
        migrations.upgrade(database.engine)
        asyncio.run(database.close())
    return _made["path"]


@contextlib.contextmanager
def _installed(world: World) -> Iterator[None]:
    """Put the world in the place of wall time, chance, disk and search engine, and put all back afterwards."""
    follow = world.plan.follow
    stack = contextlib.ExitStack()
    for owner, name, other in (
        (clock, "time", _Wall(world)),
        (clickhouse, "create_client", lambda **options: world.engine(options["path"]).client(**options)),
        (migrations, "upgrade", lambda _engine: None),  # the template is up to date
        (catalog, "load", functools.lru_cache(catalog.load)),
        # How often the house looks round, which costs more than all that it does: rarely, in most worlds.
        (supervisor, "FOLLOW_EVERY", follow),
        (indexer, "IDLE", 10 * follow if world.plan.workers == 1 else 50.0),
        (upkeep, "LOOK_EVERY", 10 * follow),
        (upkeep, "BEAT", 10 * follow),
        (making, "LOOK_EVERY", 100 * follow),
        (notifying, "LOOK_EVERY", 10 * follow),
    ):
        stack.enter_context(patch.object(owner, name, other))
    for owner, name, other in _sharing(world):
        stack.enter_context(patch.object(owner, name, other))
    chance = random.getstate()
    random.seed(f"{world.seed}/product")
    handler = invariants.Listener(world)
    root = logging.getLogger()
    logger = logging.getLogger("conductor")
    level = logger.level
    logger.setLevel(logging.INFO)
    root.addHandler(handler)
    try:
        with world.disk.installed():
            yield
    finally:
        stack.close()
        for made in world.engines.values():
            made.close()
        random.setstate(chance)
        root.removeHandler(handler)
        logger.setLevel(level)
