"""Opens everything in order and closes it in reverse: the only wiring."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from conductor import catalog
from conductor.analytics import artifacts
from conductor.analytics.engine import Analytics
from conductor.analytics.server import SearchAway
from conductor.core.errors import KeyWrong, SettingsError, StoreBusy, StoreError
from conductor.indexer.geography import Geography
from conductor.indexer.indexer import Indexer, reader_of
from conductor.observe import Metrics, Pulse
from conductor.operations import accounts, general, keys, making, notifying, retention, upkeep
from conductor.operations.system import Options, System
from conductor.outbound.client import Opener
from conductor.outbound.guard import Policy
from conductor.settings import Settings, told
from conductor.signal_client.assembly import Assembly, Egress
from conductor.signal_client.membership import Membership
from conductor.signal_client.supervisor import Supervisor
from conductor.signal_client.tools import Tools
from conductor.store import damage, keyfile, memory, migrations
from conductor.store.database import Database, sqlite_url
from conductor.store.leases import Worker
from conductor.store.room import Room
from conductor.store.vault import Vault, expected_key
from conductor.web import server
from conductor.web.app import create_app

MIB = 1024 * 1024  # bytes


# Not the setting is wrong, but the disk or the system: worth another start.
_MAY_PASS = frozenset({errno.EROFS, errno.EIO, errno.ENOSPC, errno.EMFILE, errno.ENFILE})


@contextmanager
def owned(directory: Path) -> Iterator[Path]:
    """The data directory, made if missing, for this process alone. Raises StoreBusy, StoreError, SettingsError."""
    directory = directory.expanduser().absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "conductor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        told = f"The data directory {directory} cannot be used: {error.strerror}."
        raise (StoreError if error.errno in _MAY_PASS else SettingsError)(told) from error
    try:
        _lock(lock, directory)
        yield directory
    finally:
        os.close(lock)


@asynccontextmanager
async def opened(
    settings: Settings, directory: Path, *, base_url: str = "", opener: Opener | None = None
) -> AsyncIterator[System]:
    """The stores and everything above them, without polling: enough for any single operation.

    `opener` is for a vendor that is simulated without sockets.
    """
    memory.protect()
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url or sqlite_url(directory / "conductor.db"))
        stack.push_async_callback(database.close)
        await database.prepare(damage.refuse)
        await database.prepare(migrations.upgrade)
        await database.prepare(damage.refuse_torn)
        await database.open()
        vault = await _vault(settings, directory, database)
        await database.write(vault.check)
        analytics = Analytics(directory / "analytics", url=settings.clickhouse_url)
        stack.push_async_callback(analytics.close)
        await analytics.open(artifacts.prepare)
        egress = Egress(Policy(settings.allowed), settings.proxy, settings.max_answer_mib * MIB, opener)
        geography = Geography(settings.geoip_databases, directory)
        system = _system(settings, base_url or f"http://{settings.bind}", egress, database, vault, analytics, geography)
        await keys.go_on(system)
        if not (database.shared and analytics.served):  # else it is for the one of several processes that indexes
            with suppress(SearchAway):  # then it is done as soon as the server is back
                await system.indexer.prepare()
        yield system


@dataclass(frozen=True, slots=True)
class Started:
    """What to tell a person once it runs: the pages, the data, the set-up link while there is no administrator, and
    the fingerprint of a certificate that was made here."""

    url: str
    directory: Path
    setup_link: str | None
    fingerprint: str | None


async def serve(settings: Settings, announce: Callable[[Started], None]) -> None:
    """Run until a signal or a failure of the house. Raises ConductorError."""
    with owned(settings.data) as directory:
        listening = server.listen(
            settings.host, settings.port, cert=settings.tls_cert, key=settings.tls_key, directory=directory
        )
        room = Room(directory, settings.min_free_mb * MIB)
        room.make_start_possible()
        async with opened(settings, directory, base_url=settings.base_url or listening.url) as system:
            await retention.note_setting(system)
            await general.note_outside(system)
            await asyncio.to_thread(system.indexer.geography.told)  # so that the log of a start has what is wrong
            await _first_admin(settings, system)
            stop = asyncio.Event()
            web = [
                server.serve(create_app(system), listening, stop),
                server.serve_local(create_app(system, local=True), directory, stop),
            ]
            link = await accounts.setup_link(system) if await accounts.needs_setup(system) else None
            url = f"{system.settings.base_url}/setup?token={link}" if link else None
            announce(Started(listening.url, directory, url, listening.fingerprint))
            await _run(system, web, _upkeep(system, room), stop)


def _lock(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _holder(lock)
        message = f"Another Conductor uses {directory} (process {pid}). Stop it or choose another `--data`."
        raise StoreBusy(message, path=str(directory), pid=pid) from None
    with suppress(OSError):  # a full disk: then who holds the lock is not told
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _holder(lock: int) -> str:
    """The process that holds the lock, as the kernel tells it (proc(5), /proc/locks); else as it wrote itself down,
    which it does a moment after it has the lock."""
    inode = str(os.fstat(lock).st_ino)
    with suppress(OSError, ValueError):
        held = (line.split() for line in Path("/proc/locks").read_text("ascii").splitlines())
        for _, kind, _, _, pid, place, *_ in (words for words in held if len(words) > 6):
            if kind == "FLOCK" and place.rpartition(":")[2] == inode and int(pid) > 0:
                return pid
    return os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"


async def _vault(settings: Settings, directory: Path, database: Database) -> Vault:
    """The key file is made for new data only: what an old key sealed, no new one opens."""
    path = Path(settings.key_file) if settings.key_file else directory / "conductor.key"
    expected = await database.read(expected_key)
    if expected is not None and not await asyncio.to_thread(path.exists):
        raise KeyWrong(f"The key file {path} is missing.", path=str(path), id=expected)
    return Vault(keyfile.open_key_file(path), path, keyfile.read_next(path))


def _system(
    settings: Settings,
    base_url: str,
    egress: Egress,
    database: Database,
    vault: Vault,
    analytics: Analytics,
    geography: Geography,
) -> System:
    found = catalog.load()
    metrics, pulse = Metrics(), Pulse()
    assembly = Assembly(database, vault, found, egress)
    worker = Worker(token_hex(8), socket.gethostname(), os.getpid(), reader_of(analytics))
    membership = Membership(database, worker)
    indexer = Indexer(database, analytics, found, metrics, geography, membership.indexes)
    return System(
        database=database,
        vault=vault,
        catalog=found,
        analytics=analytics,
        assembly=assembly,
        supervisor=Supervisor(assembly, Tools(database, metrics, indexer.wake, ended=pulse.beat), membership),
        membership=membership,
        indexer=indexer,
        metrics=metrics,
        pulse=pulse,
        settings=Options(
            base_url, settings.retention_days, settings.data.expanduser().absolute(), told(settings), settings.outside
        ),
    )


def _upkeep(system: System, room: Room) -> dict[str, Coroutine[Any, Any, None]]:
    return {
        "retention": upkeep.expire(system, room),
        "proof": upkeep.prove(system),
        "room": upkeep.mind_room(system, room),
        "notifications": notifying.keep(system),
        "exports": making.keep(system),
        "loop": upkeep.mind_loop(system.metrics),
        "store": system.database.watch(),
    }


async def _run(
    system: System,
    web: Sequence[Coroutine[Any, Any, None]],
    kept: Mapping[str, Coroutine[Any, Any, None]],
    stop: asyncio.Event,
) -> None:
    """The long-lived tasks, until one ends. Stop order: requests, pollers, indexer; the stores close after."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    serving = [asyncio.create_task(part, name="web") for part in web]
    polling = asyncio.create_task(system.supervisor.run(), name="supervisor")
    indexing = asyncio.create_task(system.indexer.run(), name="indexer")
    keeping = [asyncio.create_task(part, name=name) for name, part in kept.items()]
    waiting = asyncio.create_task(asked.wait(), name="signal")
    house = [*serving, polling, indexing, *keeping]
    await asyncio.wait([waiting, *house], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    stop.set()
    await asyncio.wait(serving)
    system.supervisor.stop()
    await asyncio.wait([polling])
    system.indexer.stop()
    await asyncio.wait([indexing])
    for part in keeping:
        part.cancel()
    for failure in await asyncio.gather(*house, return_exceptions=True):
        if isinstance(failure, Exception):
            raise failure


async def _first_admin(settings: Settings, system: System) -> None:
    """An administrator from the environment, for a start without a browser. Nothing when there is one."""
    if not settings.admin_email or not await accounts.needs_setup(system):
        return
    try:
        password = Path(settings.admin_password_file).read_text().rstrip("\n")
    except OSError as error:
        raise SettingsError(f"CONDUCTOR_ADMIN_PASSWORD_FILE cannot be read: {error.strerror}.") from error
    await accounts.add_user(
        system,
        settings.admin_email,
        "Administrator",
        password,
        "admin",
        by="environment",
        time_zone=settings.time_zone,
    )
