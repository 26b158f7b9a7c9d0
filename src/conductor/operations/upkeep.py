"""What a running Conductor does for itself: deletes what is old, minds the disk and its own event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from conductor.core import clock
from conductor.core.errors import StoreFull, StorePaused
from conductor.observe import Metrics, log
from conductor.operations import proof, retention
from conductor.operations.system import System
from conductor.store import audit, facts
from conductor.store.database import Connection
from conductor.store.room import MIB, Room

EXPIRE_EVERY = 3600.0  # seconds
PROVE_EVERY = timedelta(days=7)
PROVED = "proved_at"  # the fact that holds when that was last, in microseconds
LOOK_EVERY = 2.0  # seconds between two looks at the disk
BEAT = 1.0  # seconds between two beats of the event loop
STALL = 5.0  # seconds late, to be told


async def expire(system: System, room: Room) -> None:
    """Delete what is old, once an hour. Deleting needs room, too: without any the reserve goes first."""
    while True:
        try:
            await _expire(system)
        except StoreFull:
            if await asyncio.to_thread(room.give_up_reserve):
                log(logging.WARNING, "storage: the reserve was given up, to delete what is old", {})
                continue
        except StorePaused:
            pass
        await asyncio.sleep(EXPIRE_EVERY)


async def _expire(system: System) -> None:
    gone = await retention.expire(system)
    if any(gone.values()):
        log(logging.INFO, "retention: deleted what is old", gone)


async def prove(system: System) -> None:
    """Prove everything that is stored, once a week, and say so when it does not hold."""
    while True:
        with suppress(StorePaused):
            if await system.database.write(_due):
                await _prove(system)
        await asyncio.sleep(EXPIRE_EVERY)


def _due(connection: Connection) -> bool:
    """Whether a week has passed; then the next one begins. A first start begins it."""
    now = clock.now()
    before = facts.get(connection, PROVED)
    if before is not None and now - clock.from_micros(int(before)) < PROVE_EVERY:
        return False
    facts.replace(connection, PROVED, str(clock.to_micros(now)))
    return before is not None


async def _prove(system: System) -> None:
    url, stop = system.database.url.render_as_string(hide_password=False), threading.Event()
    check = partial(proof.check, url, stopped=stop.is_set)
    try:
        report = await asyncio.get_running_loop().run_in_executor(None, check)
    finally:
        stop.set()  # the process ends: its threads are waited for
    broken = [chain.name for chain in report.chains if chain.broken]
    found = {"intact": report.intact, "integrations": broken, "damage": len(report.damage)}
    system.metrics.broken.set(0 if report.intact else max(1, len(broken)))
    if report.intact:
        log(logging.INFO, "evidence: everything that is stored is as it was written", {"chains": len(report.chains)})
    else:
        log(logging.ERROR, "evidence: what is stored is damaged, see conductor db check", found)
    await system.database.write(partial(_note, found=found))


def _note(connection: Connection, found: Mapping[str, Any]) -> None:
    audit.append(connection, "conductor", "database.checked", "database", found)


async def mind_room(system: System, room: Room) -> None:
    """Pause collecting while little room is left, and say so when that changes."""
    while True:
        before = system.database.low
        system.database.low = await asyncio.to_thread(room.look)
        facts = {"free_mb": room.free // MIB, "wanted_mb": room.floor // MIB}
        system.metrics.free.set(room.free)
        if system.database.low and not before:
            log(logging.ERROR, "storage: collecting pauses, little room is left on the disk", facts)
        elif before and not system.database.low:
            log(logging.INFO, "storage: there is room again, collecting goes on", facts)
        await asyncio.sleep(LOOK_EVERY)


async def mind_loop(metrics: Metrics) -> None:
    """Measure how late the event loop is: the process was suspended, or something hogged it."""
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        await asyncio.sleep(BEAT)
        late = max(0.0, loop.time() - begun - BEAT)
        metrics.loop_lag.set(late)
        if late > STALL:
            metrics.stalls.inc()
            log(logging.WARNING, "process: the event loop stood still", {"seconds": round(late, 1)})
