"""What a running Conductor does for itself: deletes what is old, minds the disk and its own event loop."""

from __future__ import annotations

import asyncio
import logging

from conductor.core.errors import StoreFull, StorePaused
from conductor.observe import Metrics, log
from conductor.operations import retention
from conductor.operations.system import System
from conductor.store.room import MIB, Room

EXPIRE_EVERY = 3600.0  # seconds
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
