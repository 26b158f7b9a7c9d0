"""Exports in the background: asked for, watched, taken away, cancelled. See docs/explanation/exports.md.

CLI, REST and pages are three spellings of these. `conductor.operations.making` makes the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from conductor.core.errors import Conflict, Forbidden, NotFound
from conductor.core.sight import Sight
from conductor.operations import auditing, exporting, search
from conductor.operations.accounts import User
from conductor.operations.search import Request
from conductor.operations.system import System
from conductor.store import audit
from conductor.store import exports as store
from conductor.store.database import Connection
from conductor.store.exports import ACTIVE, CANCELLED, DONE, EXPIRED, FAILED, RUNNING, WAITING, Job

__all__ = ["ACTIVE", "CANCELLED", "DONE", "EXPIRED", "FAILED", "RUNNING", "WAITING", "Job"]

LARGE = 1_000_000  # events; the page lets more be made in the background
MOST = 10  # of one user at once
LISTED = 100
KEPT = timedelta(days=7)
HOME = "home"  # a file that names this data directory, where several share a database


class Elsewhere(Conflict):
    """The file is on another machine."""

    code = "export.elsewhere"


class NotReady(Conflict):
    """This export is not done."""

    code = "export.notready"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events, and how."""

    request: Request
    format: str
    columns: Sequence[str] = ()
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at exports: at their own, or at those of `everybody`."""

    user: User
    everybody: bool = False
    address: str = ""


async def ask(system: System, wanted: Wanted, reader: Reader) -> Job:
    """Have one made. Raises Invalid, QueryError, Conflict when too many wait, StoreError."""
    user, sight = reader.user, reader.user.sight
    made = exporting.prepare(
        system, wanted.request, wanted.format, wanted.columns, by=user.email, sight=sight, plain=wanted.plain
    )
    total = await search.count(system, made.request, sight)
    asked = {
        "request": asdict(made.request),
        "format": made.format,
        "columns": made.columns,
        "plain": made.plain,
        "masked": sight.masked,
        "only": None if sight.only is None else sorted(sight.only),
    }
    house, host = home(system), system.membership.worker.host
    detail = {**auditing.told_of(wanted.request), "format": made.format, "events": total}

    def work(connection: Connection) -> Job:
        if store.active(connection, user.email) >= MOST:
            raise Conflict(f"{MOST} of your exports are not done yet. Cancel one, or wait.")
        job = store.add(
            connection, made_by=user.email, home=house, host=host, asked=asked, total=total, missing=made.missing
        )
        audit.append(connection, user.email, "export.started", str(job.id), detail, address=reader.address)
        return job

    job = await system.database.write(work)
    system.exports_changed.set()
    return job


async def listed(system: System, reader: Reader) -> list[Job]:
    """The newest first."""
    whose = None if reader.everybody else reader.user.email
    return await system.database.read(lambda connection: store.recent(connection, LISTED, whose))


async def find(system: System, job_id: int, reader: Reader) -> Job:
    """One of them. Raises NotFound."""
    return await system.database.read(lambda connection: _seen(connection, job_id, reader))


async def drop(system: System, job_id: int, reader: Reader) -> Job:
    """Cancel it, or delete its file when it is done. Raises NotFound, Conflict when there is nothing to end."""
    who = reader.user.email

    def work(connection: Connection) -> Job:
        found = _seen(connection, job_id, reader)
        if store.cancel(connection, found.id):
            deed = "export.cancelled"
        elif store.expire(connection, found.id, f"It was deleted by {who}."):
            deed = "export.deleted"
        else:
            raise Conflict(f"This export is {found.state} already.")
        audit.append(connection, who, deed, str(found.id), address=reader.address)
        return store.get(connection, found.id)

    job = await system.database.write(work)
    system.exports_changed.set()
    return job


async def take(system: System, job_id: int, reader: Reader) -> tuple[Job, Path]:
    """The file of one that is done, to be sent away: the audit log has it. Raises NotFound, Conflict, Forbidden."""
    job, path = await _file(system, job_id, reader)
    detail = {**auditing.told_of(request_of(job)), "format": job.asked["format"], "sha256": job.sha256}
    who, target = reader.user.email, str(job.id)
    await system.database.write(
        lambda connection: audit.append(connection, who, "export.downloaded", target, detail, address=reader.address)
    )
    return job, path


async def manifest(system: System, job_id: int, reader: Reader) -> bytes:
    """The manifest of one that is done. Raises NotFound, Conflict, Forbidden."""
    _, path = await _file(system, job_id, reader)
    return manifest_of(path).read_bytes()


def request_of(job: Job) -> Request:
    """What was asked for, its range fixed."""
    return msgspec.convert(job.asked["request"], Request)


def sight_of(job: Job) -> Sight:
    """What whoever asked for it could see then."""
    only = job.asked["only"]
    return Sight(job.asked["masked"], None if only is None else frozenset(only), job.made_by)


def name_of(job: Job) -> str:
    """What its file is called where it is taken to."""
    return f"conductor-events-{job.created_at:%Y%m%dT%H%M%SZ}-{job.id}.{job.asked['format']}"


def path_of(system: System, job: Job) -> Path:
    """Where its file is."""
    return exporting.folder(system) / f"{job.id}.{job.asked['format']}"


def manifest_of(path: Path) -> Path:
    """Where a file's manifest is."""
    return path.with_name(f"{path.name}.manifest.json")


def home(system: System) -> str:
    """The name of this data directory; empty where no other shares the database."""
    if not system.membership.shared:
        return ""
    path = exporting.folder(system) / HOME
    if not path.exists():
        path.write_text(system.membership.worker.id)
    return path.read_text()


def _seen(connection: Connection, job_id: int, reader: Reader) -> Job:
    found = store.get(connection, job_id)
    if found.made_by != reader.user.email and not reader.everybody:
        raise NotFound("There is no such export.")
    return found


async def _file(system: System, job_id: int, reader: Reader) -> tuple[Job, Path]:
    job = await find(system, job_id, reader)
    if job.active:
        raise NotReady(f"This export is not done yet: {job.count:,} of {job.total:,} events.")
    if job.state in (FAILED, CANCELLED):
        raise NotReady(f"This export {'failed. ' + job.reason if job.state == FAILED else 'was cancelled.'}")
    if job.state == EXPIRED:
        raise NotFound(f"The file is gone. {job.reason} Export again.")
    if job.home != home(system):
        raise Elsewhere(f"The file is on {job.host}. Ask the Conductor there, or export again here.")
    _check(sight_of(job), reader.user.sight)
    path = path_of(system, job)
    if not path.exists():
        raise NotFound("The file is not in the data directory any more. Export again.")
    return job, path


def _check(has: Sight, sees: Sight) -> None:
    """Raises Forbidden where a file has more than its reader may see now."""
    if sees.masked and not has.masked:
        raise Forbidden("The file has personal data, which is hidden from you now. Export again.")
    if sees.only is not None and (has.only is None or not has.only <= sees.only):
        raise Forbidden("The file has events of integrations that you may not see. Export again.")
