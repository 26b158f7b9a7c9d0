"""Everything that goes wrong in a world, and the operator who goes on working in it.

Each actor has a stream of chance of its own. To add a fault: write an actor, or a probability in `upstream.Weather` or
`afflict`, scale it by `plan.factor("its name")`, count it, and end it in `heal`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from conductor.core.errors import ConductorError
from conductor.operations import integrations
from conductor.operations.system import System
from conductor.simulator.faults import Fault
from simulation.loop import Process
from simulation.upstream import Weather

if TYPE_CHECKING:
    from simulation.plan import Wanted
    from simulation.world import World

WEATHER = Weather(
    dns=0.002,
    refused=0.003,
    black_hole=0.002,
    closed=0.005,
    lost=0.005,
    cut=0.008,
    drip=0.004,
    slow=0.003,
    no_date=0.02,
    absurd_date=0.01,
    absurd_rate=0.3,
    short_page=0.05,
    other_body=0.01,
)
# What the vendor gets wrong for a while: kind, endpoint, times an hour, for how long (seconds), how often (probability).
TROUBLE = (
    ("rate_limited", "logs", 0.15, (20.0, 1200.0), 0.8),
    ("quota", "token", 0.03, (20.0, 600.0), 1.0),
    ("server_error", "any", 0.15, (10.0, 1800.0), 0.9),
    ("html_error", "logs", 0.05, (10.0, 300.0), 0.9),
    ("html", "any", 0.03, (10.0, 300.0), 0.9),
    ("truncated", "logs", 0.05, (10.0, 600.0), 0.5),
    ("malformed", "logs", 0.05, (10.0, 600.0), 0.5),
    ("wrong_shape", "logs", 0.05, (10.0, 300.0), 0.9),
    ("gzip_bomb", "logs", 0.005, (10.0, 60.0), 0.5),
    ("drip", "logs", 0.03, (10.0, 300.0), 0.5),
    ("hang", "any", 0.03, (10.0, 300.0), 0.5),
    ("reset", "any", 0.05, (10.0, 300.0), 0.5),
    ("redirect", "logs", 0.02, (10.0, 200.0), 0.9),
    ("no_link", "logs", 0.05, (10.0, 3600.0), 0.9),
    ("foreign_link", "logs", 0.05, (10.0, 3600.0), 0.9),
    ("duplicated", "logs", 0.2, (10.0, 3600.0), 0.7),
    ("reordered", "logs", 0.2, (10.0, 3600.0), 0.7),
    ("invalid_token", "logs", 0.1, (10.0, 600.0), 0.4),
    ("expired_token", "logs", 0.05, (10.0, 600.0), 0.4),
    ("insufficient_scope", "logs", 0.02, (10.0, 600.0), 0.9),
    ("wrong_secret", "token", 0.03, (10.0, 600.0), 0.9),
    ("wrong_audience", "token", 0.02, (10.0, 600.0), 0.9),
    ("crashed_extension", "token", 0.03, (10.0, 600.0), 0.9),
    ("expired_checkpoint", "logs", 0.06, (10.0, 900.0), 0.7),
)
Actor = tuple[str, Coroutine[Any, Any, None]]


def actors(world: World) -> Iterator[Actor]:
    """Everybody who acts in this world, each with a name."""
    world.vendor.weather = WEATHER.scaled(world.plan.factor)
    for kind, endpoint, rate, length, probability in TROUBLE:
        yield kind, _trouble(world, kind, endpoint, rate, length, probability)
    for act, rate in (
        (_kill, 0.5),
        (_restart, 0.1),
        (_pause, 0.5),
        (_outage, 0.04),
        (_clock, 0.3),
        (_dark, 0.2),
        (_full, 0.1),
        (_burst, 0.3),
        (_ask, 0.5),
        (_edit, 0.3),
        (_switch, 0.1),
        (_rename, 0.1),
        (_recreate, 0.05),
        (_rotate, 0.1),
    ):
        name = act.__name__.strip("_")
        yield name, _now_and_then(world, name, act, rate)
    yield "operator", _set_up(world)


def afflict(world: World, process: Process) -> None:
    """What may happen around each piece of a process's blocking work."""
    chance = world.stream(f"disk/{len(world.starts)}")
    factor = world.plan.factor

    def slow() -> float:
        return chance.uniform(0.0, 2.0) if chance.random() < 0.002 * factor("slow disk") else 0.0

    def trouble(_: Process) -> str:
        if world.full_until > world.loop.time():
            return "full"
        if world.healed_at is not None:
            return ""
        for what, rate in (("broken", 0.0002), ("unknown", 0.0006), ("killed", 0.0006)):
            if chance.random() < rate * factor(f"commit {what}"):
                world.count(f"commit {what}")
                return what
        return ""

    process.slow = slow
    world.disk.trouble = trouble


def search_engine(world: World, path: str) -> tuple[Callable[[str], str], Callable[[], bool]]:
    """What may happen to inserts into an engine."""
    chance = world.stream(f"engine/{path.rpartition('/data-')[2]}")

    def trouble(what: str) -> str:
        if world.healed_at is not None or chance.random() >= 0.006 * world.plan.factor("search engine"):
            return ""
        found = chance.choice(("before", "after", "part"))
        world.count(f"{what} fails: {found}")
        return found

    return trouble, lambda: world.full_until > world.loop.time()


async def heal(world: World) -> None:
    """Everything that went wrong goes right from now on."""
    world.vendor.weather = Weather(short_page=world.vendor.weather.short_page)
    world.vendor.dark.clear()
    world.tenants.faults.clear()
    world.full_until = 0.0
    for tenant in world.tenants.tenants.values():
        plain = next(spec for spec in world.plan.tenants if spec.name == tenant.spec.name)
        tenant.change(world.now(), late=0.0, rate=plain.rate)
    for worker in world.workers:  # what is off comes back at its time
        while not worker.running:
            await asyncio.sleep(20.0)
    await _settle(world)


async def _settle(world: World) -> None:
    """The operator mends what only a person can: the right secret everywhere, everything switched on. What was begun
    before may still rename and remove integrations meanwhile."""
    settled: set[str] = set()
    while left := [item for item in world.watch.tenant_of().items() if item[0] not in settled]:
        name, tenant = left[0]
        secret = world.tenants.tenants[tenant].spec.client_secret
        world.watch.touched(name)
        if await _do(world, name, _edited({"client_secret": secret}, enabled=True)):
            settled.add(name)
        else:
            await asyncio.sleep(20.0)
        world.watch.touched(name)


async def _now_and_then(world: World, name: str, act: Callable[[World, Random], Any], rate: float) -> None:
    """Do something at random moments, so often an hour on the average."""
    chance = world.stream(name)
    rate *= world.plan.factor(name)
    while rate:
        await asyncio.sleep(chance.expovariate(rate) * 3600.0)
        await act(world, chance)


async def _trouble(
    world: World, kind: str, endpoint: str, rate: float, length: tuple[float, float], probability: float
) -> None:
    chance = world.stream(f"trouble/{kind}")
    rate *= world.plan.factor(kind)
    while rate:
        await asyncio.sleep(chance.expovariate(rate) * 3600.0)
        tenant = chance.choice(sorted(world.tenants.tenants))
        retry = chance.choice(("", "", "3", "30", "280")) if kind == "rate_limited" else ""
        fault = Fault(
            kind,
            endpoint=endpoint,
            tenant=tenant,
            probability=probability,
            seed=chance.getrandbits(32),
            status=chance.choice((500, 502, 503, 504)),
            seconds=chance.choice((0.2, 2.0, 60.0)),
            headers=chance.random() < 0.7,
            retry_after=retry if kind != "quota" else "60",
        )
        world.count(kind)
        world.tenants.faults.add(fault)
        await asyncio.sleep(chance.uniform(*length))
        world.tenants.faults.active = [other for other in world.tenants.faults.active if other is not fault]


async def _kill(world: World, chance: Random) -> None:
    world.kill(chance.choice(world.workers))


async def _restart(world: World, chance: Random) -> None:
    world.count("restart")
    chance.choice(world.workers).stop()


async def _pause(world: World, chance: Random) -> None:
    worker = chance.choice(world.workers)
    if worker.process is not None and not worker.process.dead:
        world.count("pause")
        world.loop.pause(worker.process, chance.choice((chance.uniform(0.1, 20.0), chance.uniform(20.0, 600.0))))


async def _outage(world: World, chance: Random) -> None:
    """All of ours is off, perhaps for longer than the vendor keeps."""
    world.count("outage")
    for worker in world.workers:
        world.kill(worker)
    hours = chance.choice((1.0, 8.0, 26.0, 26.0))
    world.off_until = world.loop.time() + hours * 3600.0
    await asyncio.sleep(hours * 3600.0)


async def _clock(world: World, chance: Random) -> None:
    worker = chance.choice(world.workers)
    world.count("clock jump")
    worker.skew = chance.choice((0.0, chance.uniform(-3600.0, 3600.0), 3600.0, -3600.0))
    world.jumped[worker.name] = world.loop.time()
    if worker.process is not None:
        worker.process.skew = worker.skew


async def _dark(world: World, chance: Random) -> None:
    """One worker cannot reach one tenant for a while."""
    worker, tenant = chance.choice(world.workers), chance.choice(sorted(world.tenants.tenants))
    world.count("partition")
    host = world.tenants.tenants[tenant].spec.host
    world.vendor.dark[worker.name, host] = world.loop.time() + chance.uniform(30.0, 1800.0)


async def _full(world: World, chance: Random) -> None:
    world.count("disk full")
    world.full_until = world.loop.time() + chance.uniform(10.0, 900.0)


async def _burst(world: World, chance: Random) -> None:
    tenant = world.tenants.tenants[chance.choice(sorted(world.tenants.tenants))]
    world.count("burst")
    rate = tenant.spec.rate
    tenant.change(world.now(), rate=chance.uniform(2.0, 10.0))
    await asyncio.sleep(chance.uniform(10.0, 60.0))
    tenant.change(world.now(), rate=rate)


async def _set_up(world: World) -> None:
    """The operator makes the integrations, the first at once."""
    chance = world.stream("operator")
    for number, wanted in enumerate(world.plan.integrations):
        if number:
            await asyncio.sleep(chance.choice((0.0, 60.0, 1800.0)))
        await _made(world, wanted)


async def _made(world: World, wanted: Wanted) -> None:
    secret = world.tenants.tenants[wanted.tenant].spec.client_secret

    async def add(system: System, name: str) -> None:
        values = wanted.values | {"client_secret": secret}
        await integrations.add(system, name, "auth0", values, enabled=True, by="operator", test=False)

    while not await _do(world, wanted.name, add) and wanted.name not in await world.watch.names():
        await asyncio.sleep(20.0)
    world.operated[wanted.name] = wanted


async def _do(world: World, name: str, deed: Callable[[System, str], Coroutine[Any, Any, Any]]) -> bool:
    """Let a worker do something for the operator; False when it was not done, or nobody knows."""
    worker = next((worker for worker in world.workers if worker.running), None)
    if worker is None:
        return False
    task = worker.call(lambda system: deed(system, name))
    world.watch.pending.append((name, worker.process, task))
    task.add_done_callback(lambda done: done.cancelled() or done.exception(), context=contextvars.Context())
    done, _ = await asyncio.wait([task], timeout=120.0)
    if not done:
        return False
    error = task.exception()
    if error is not None and not isinstance(error, ConductorError):
        raise error
    if error is not None:
        world.tell(f"refused: {type(error).__name__} {error}")
    return error is None


def _edited(values: dict[str, Any], **more: Any) -> Callable[[System, str], Coroutine[Any, Any, None]]:
    async def edit(system: System, name: str) -> None:
        await integrations.edit(system, name, values, by="operator", test=False, **more)

    return edit


def _chosen(world: World, chance: Random) -> str | None:
    names = sorted(world.operated)
    return chance.choice(names) if names else None


async def _ask(world: World, chance: Random) -> None:
    name = _chosen(world, chance)
    if name is not None:
        world.count("poll now")
        world.watch.touched(name)
        await _do(world, name, integrations.poll_now)
        world.watch.touched(name)


async def _edit(world: World, chance: Random) -> None:
    name = _chosen(world, chance)
    if name is not None:
        world.count("edit")
        world.watch.touched(name)
        values = chance.choice(({"polling_interval": chance.choice((5, 10, 30))}, {"rate_share": 20}))
        world.watch.shares.append(float(values.get("rate_share", 0)))
        await _do(world, name, _edited(values))
        world.watch.touched(name)


async def _switch(world: World, chance: Random) -> None:
    name = _chosen(world, chance)
    if name is None:
        return
    world.count("off and on")
    await _do(world, name, lambda system, name: integrations.set_enabled(system, name, False, by="operator"))
    await asyncio.sleep(chance.uniform(1.0, 3600.0))
    world.watch.touched(name)
    while not await _do(world, name, lambda system, name: integrations.set_enabled(system, name, True, by="operator")):
        await asyncio.sleep(20.0)
        if name not in await world.watch.names():  # renamed or removed meanwhile: off until all is mended
            break
    world.watch.touched(name)


async def _rename(world: World, chance: Random) -> None:
    name = _chosen(world, chance)
    if name is None:
        return
    world.count("rename")
    wanted = world.operated.pop(name)
    world.watch.touched(name)
    new = f"{name.partition('_')[0]}_{chance.randrange(1000)}"
    await _do(world, name, _edited({}, new_name=new))
    known = await world.watch.names()
    kept = new if new in known else name
    world.operated[kept] = wanted
    world.watch.touched(kept)


async def _recreate(world: World, chance: Random) -> None:
    name = _chosen(world, chance)
    if name is None:
        return
    world.count("remove and make again")
    wanted = world.operated.pop(name)
    while name in await world.watch.names():
        if not await _do(world, name, lambda system, name: integrations.remove(system, name, by="operator")):
            await asyncio.sleep(20.0)
    await asyncio.sleep(chance.uniform(0.0, 600.0))
    await _made(world, type(wanted)(name, wanted.tenant, wanted.values))


async def _rotate(world: World, chance: Random) -> None:
    """The secret changes at the vendor; the operator brings the new one later."""
    name = chance.choice(sorted(world.tenants.tenants))
    world.count("secret rotated")
    secret = f"canary-{name}-{chance.getrandbits(64):016x}"
    world.watch.secrets.add(secret)
    world.tenants.tenants[name].change(world.now(), client_secret=secret)
    await asyncio.sleep(chance.uniform(1.0, 2400.0))
    for owned in [owned for owned, wanted in sorted(world.operated.items()) if wanted.tenant == name]:
        world.watch.touched(owned)
        await _do(world, owned, _edited({"client_secret": secret}))
        world.watch.touched(owned)
