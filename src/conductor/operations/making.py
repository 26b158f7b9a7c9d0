"""Makes the exports that wait: one at a time, behind all searches, across restarts. See docs/explanation/exports.md.

What is written and the place to go on from are remembered together, so that each event is in the file once, whatever
happens to the process.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from conductor.analytics.search import MOST_ROWS
from conductor.analytics.server import Unsearchable
from conductor.core import clock
from conductor.core.errors import ConductorError, Conflict, StoreFull, StorePaused
from conductor.observe import log
from conductor.operations import accounts, exporting, exports, general
from conductor.operations.accounts import ADMIN, ANALYST, LOCAL
from conductor.operations.exporting import PARQUET, Export, Missing
from conductor.operations.system import System
from conductor.store import accounts as users
from conductor.store import exports as store
from conductor.store.database import Connection
from conductor.store.exports import ACTIVE, DONE, Job

LOOK_EVERY = 60.0  # seconds, when nobody asks for anything
PAGES, ENOUGH = 10, 16 * 2**20  # and bytes, between two notes of how far it is
WAITS = (5.0, 60.0)  # seconds before a page that could not be searched is tried again
CRASHED = "Something went wrong in Conductor. It was written to the log."
NO_ROOM = "The disk is nearly full. Make room, and export again."


class Ended(Conflict):
    """Nobody wants this export any more."""


async def keep(system: System) -> None:
    """For ever; a mistake in here stops nothing else."""
    await asyncio.to_thread(_drop_streams, exporting.folder(system))
    while True:
        system.exports_changed.clear()
        try:
            with suppress(StorePaused):
                await look(system)
        except Exception as error:
            log(logging.ERROR, "exports: a round failed because of a fault in Conductor", {}, error=error)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await system.exports_changed.wait()


async def look(system: System) -> None:
    """Make all that wait in this data directory, and delete what has passed its time. Raises StorePaused."""
    house = exports.home(system)
    await _expire(system, house)
    while waiting := await system.database.read(lambda connection: store.of(connection, house, ACTIVE)):
        await _make(system, waiting[0])
    await _tidy(system, house)


async def _make(system: System, job: Job) -> None:
    """One; what goes wrong with it is told on it."""
    try:
        await _steps(system, job)
    except Ended:
        pass
    except (ConductorError, OSError) as error:
        if isinstance(error, StorePaused) and not isinstance(error, StoreFull):
            raise
        await _fail(system, job, NO_ROOM if isinstance(error, StoreFull) else str(error))
    except Exception as error:
        log(logging.ERROR, "exports: one failed because of a fault in Conductor", {"export": job.id}, error=error)
        await _fail(system, job, CRASHED)


async def _fail(system: System, job: Job, reason: str) -> None:
    await system.database.write(lambda connection: store.fail(connection, job.id, reason))
    log(logging.WARNING, "exports: one could not be made", {"export": job.id, "reason": reason})


async def _steps(system: System, job: Job) -> None:
    """Its rows, Parquet of them if that is wanted, its manifest."""
    if not await system.database.write(lambda connection: store.begin(connection, job.id)):
        raise Ended
    target = exports.path_of(system, job)
    rows = target.with_suffix(".rows") if job.asked["format"] == PARQUET else target
    place, size = job.place, job.size
    if not await asyncio.to_thread(_cut, rows, size):
        place, size, job = "", 0, _anew(job)
    made = _export(system, job)
    while place is not None:
        place, size = await _step(system, job, made, rows, place, size)
    if rows != target:
        target.unlink(missing_ok=True)
        await made.convert(rows, target)
    size, sha256 = await asyncio.to_thread(_sealed, target)
    told = made.manifest(exports.name_of(job), sha256=sha256, size=size)
    await asyncio.to_thread(_write, exports.manifest_of(target), told)
    await system.database.write(lambda connection: store.finish(connection, job.id, size=size, sha256=sha256))
    log(logging.INFO, "exports: made", {"export": job.id, "events": made.count, "bytes": size})


async def _step(system: System, job: Job, made: Export, rows: Path, place: str, size: int) -> tuple[str | None, int]:
    """Some pages; where to go on and how long the file is then. Raises Ended, ConductorError."""
    if system.database.low:
        raise StoreFull(NO_ROOM)
    await system.database.read(lambda connection: _check(connection, system, job))
    content: list[bytes] = []
    at: str | None = place
    while at is not None and len(content) < PAGES and sum(map(len, content)) < ENOUGH:
        await system.analytics.calm()
        piece, at = await _page(made, at)
        content.append(piece)
    whole = b"".join(content)
    await asyncio.to_thread(_write, rows, whole, more=True)
    now, count, missing = size + len(whole), made.count, made.missing

    def note(connection: Connection) -> bool:
        return store.advance(connection, job.id, place=at, size=now, count=count, missing=missing)

    if not await system.database.write(note):
        raise Ended
    return at, now


async def _page(made: Export, place: str) -> tuple[bytes, str | None]:
    for wait in WAITS:
        with suppress(Unsearchable):
            return await made.part(place or None, MOST_ROWS)
        await asyncio.sleep(wait)
    return await made.part(place or None, MOST_ROWS)


def _check(connection: Connection, system: System, job: Job) -> None:
    """Raises Conflict where whoever asked may not have it any more."""
    role = ADMIN
    if job.made_by != LOCAL.email and not job.made_by.startswith("token "):
        user = users.find(connection, job.made_by)
        if user is None or not user.active or not accounts.allows(user, ANALYST):
            raise Conflict(f"{job.made_by} may not export any more.")
        role = user.role
    masked = job.made_by != LOCAL.email and general.of(connection, system).masks(role)
    if masked and not job.asked["masked"]:
        raise Conflict("Personal data was hidden meanwhile. Export again.")


def _export(system: System, job: Job) -> Export:
    made = exporting.prepare(
        system,
        exports.request_of(job),
        job.asked["format"],
        job.asked["columns"],
        by=job.made_by,
        sight=exports.sight_of(job),
        plain=job.asked["plain"],
    )
    made.begun, made.count = job.created_at, job.count
    made.missing = Missing(dict(job.missing["gaps"]), set(job.missing["behind"]))
    return made


async def _expire(system: System, house: str) -> None:
    """What is old goes; the oldest, too, while little room is left."""
    done = await system.database.read(lambda connection: store.of(connection, house, (DONE,)))
    old = {
        job.id: "It was kept for 7 days." for job in done if job.done_at and clock.now() - job.done_at > exports.KEPT
    }
    if system.database.low and done:
        old |= {done[0].id: "The disk was nearly full."}
    for job_id, reason in old.items():
        await system.database.write(partial(store.expire, job_id=job_id, reason=reason))
    if old:
        log(logging.INFO, "exports: deleted files", {"exports": len(old)})


async def _tidy(system: System, house: str) -> None:
    """Delete the files of those that have none."""
    kept = await system.database.read(lambda connection: store.of(connection, house, (*ACTIVE, DONE)))
    rows = {f"{job.id}.rows" for job in kept if job.active}
    files = {exports.path_of(system, job) for job in kept}
    names = rows | {path.name for path in files} | {exports.manifest_of(path).name for path in files}
    await asyncio.to_thread(_drop, exporting.folder(system), names)


def _anew(job: Job) -> Job:
    """The same, from its begin: its file is not as it was left."""
    return replace(job, place="", size=0, count=0, missing={"gaps": {}, "behind": []})


def _cut(path: Path, size: int) -> bool:
    """Make a file as long as it is known to be; False when it is shorter."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        shorter = file.seek(0, os.SEEK_END) < size
        file.truncate(0 if shorter else size)
    return not shorter


def _write(path: Path, content: bytes, *, more: bool = False) -> None:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if more else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sealed(path: Path) -> tuple[int, str]:
    """A file's size and SHA-256, when it is safe on the disk."""
    path.chmod(0o600)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _drop(folder: Path, kept: set[str]) -> None:
    for path in folder.iterdir():
        if path.name[:1].isdigit() and path.name not in kept:
            path.unlink()


def _drop_streams(folder: Path) -> None:
    """What a process that was killed left behind."""
    for path in folder.glob("stream-*"):
        shutil.rmtree(path)
