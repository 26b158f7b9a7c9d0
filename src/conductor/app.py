"""Opens everything in order and closes it in reverse: the only wiring."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from conductor import catalog
from conductor.analytics import artifacts
from conductor.analytics.engine import Analytics
from conductor.core.errors import SettingsError, StoreBusy, StoreFull
from conductor.indexer.indexer import Indexer
from conductor.observe import Metrics, log
from conductor.operations import accounts, retention
from conductor.operations.system import Options, System
from conductor.outbound.guard import Policy
from conductor.settings import Settings
from conductor.signal_client.assembly import Assembly, Egress
from conductor.signal_client.poller import Tools
from conductor.signal_client.supervisor import Supervisor
from conductor.store import migrations
from conductor.store.database import Database, sqlite_url
from conductor.store.vault import Vault, open_key_file
from conductor.web import certificate
from conductor.web.app import create_app

SOCKET = "conductor.sock"
EXPIRE_EVERY = 3600.0  # seconds
GRACE = 5  # seconds for requests in hand


@contextmanager
def owned(directory: Path) -> Iterator[Path]:
    """The data directory, made if missing, for this process alone. Raises StoreBusy, SettingsError."""
    directory = directory.expanduser().absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "conductor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(f"The data directory {directory} cannot be used: {error.strerror}.") from error
    try:
        _lock(lock, directory)
        yield directory
    finally:
        os.close(lock)


@asynccontextmanager
async def opened(settings: Settings, directory: Path) -> AsyncIterator[System]:
    """The stores and everything above them, without polling: enough for any single operation."""
    async with AsyncExitStack() as stack:
        vault = _vault(settings, directory)
        database = Database(settings.database_url or sqlite_url(directory / "conductor.db"))
        stack.push_async_callback(database.close)
        await asyncio.to_thread(migrations.upgrade, database.engine)
        await database.open()
        await database.write(vault.check)
        analytics = Analytics(directory / "analytics", url=settings.clickhouse_url)
        stack.push_async_callback(analytics.close)
        await analytics.open(artifacts.prepare)
        system = _system(settings, database, vault, analytics)
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
        async with opened(settings, directory) as system:
            await _first_admin(settings, system)
            servers = _servers(settings, directory, system)
            try:
                announce(await _started(settings, directory, system))
                await _run(system, servers)
            finally:
                (directory / SOCKET).unlink(missing_ok=True)


def _lock(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
        message = f"Another Conductor uses {directory} (process {pid}). Stop it or choose another `--data`."
        raise StoreBusy(message, path=str(directory), pid=pid) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _vault(settings: Settings, directory: Path) -> Vault:
    path = Path(settings.key_file) if settings.key_file else directory / "conductor.key"
    return Vault(open_key_file(path), path)


def _system(settings: Settings, database: Database, vault: Vault, analytics: Analytics) -> System:
    found = catalog.load()
    metrics = Metrics()
    egress = Egress(Policy(settings.allowed), settings.proxy)
    assembly = Assembly(database, vault, found, egress)
    indexer = Indexer(database, analytics, found, metrics)
    return System(
        database=database,
        vault=vault,
        catalog=found,
        analytics=analytics,
        assembly=assembly,
        supervisor=Supervisor(assembly, Tools(database, metrics, indexer.wake)),
        indexer=indexer,
        metrics=metrics,
        settings=Options(base_url(settings), settings.retention_days),
    )


def base_url(settings: Settings) -> str:
    """Where the pages are."""
    scheme = "http" if settings.is_loopback and not settings.tls_cert else "https"
    return f"{scheme}://{settings.bind}"


async def _run(system: System, servers: list[uvicorn.Server]) -> None:
    """The long-lived tasks, until one ends. Stop order: requests, pollers, indexer; the stores close after."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tasks = {
        "web": [asyncio.create_task(server.serve(), name="web") for server in servers],
        "pollers": [asyncio.create_task(system.supervisor.run(), name="supervisor")],
        "indexer": [asyncio.create_task(system.indexer.run(), name="indexer")],
        "retention": [asyncio.create_task(_expire(system), name="retention")],
    }
    every = [task for group in tasks.values() for task in group]
    waiting = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait([waiting, *every], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for server in servers:
        server.should_exit = True
    await asyncio.wait(tasks["web"])
    system.supervisor.stop()
    await asyncio.wait(tasks["pollers"])
    system.indexer.stop()
    await asyncio.wait(tasks["indexer"])
    tasks["retention"][0].cancel()
    failures = await asyncio.gather(*every, return_exceptions=True)
    for failure in failures:
        if isinstance(failure, Exception):
            raise failure


async def _expire(system: System) -> None:
    while True:
        with suppress(StoreFull):
            gone = await retention.expire(system)
            if any(gone.values()):
                log(logging.INFO, "retention: deleted what is old", gone)
        await asyncio.sleep(EXPIRE_EVERY)


class _Server(uvicorn.Server):
    """Signals are the app's business."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield


def _servers(settings: Settings, directory: Path, system: System) -> list[uvicorn.Server]:
    common: dict[str, Any] = {
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "date_header": True,
        "timeout_graceful_shutdown": GRACE,
        "proxy_headers": False,
    }
    cert, key = _certificate(settings, directory)
    public = uvicorn.Config(
        create_app(system), host=settings.host, port=settings.port, ssl_certfile=cert, ssl_keyfile=key, **common
    )
    local = uvicorn.Config(create_app(system, local=True), fd=_local_socket(directory).detach(), **common)
    return [_Server(public), _Server(local)]


def _local_socket(directory: Path) -> socket.socket:
    """Where the CLI of this machine's owner talks to us: a socket only the owner can open."""
    path = directory / SOCKET
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    return listening


def _certificate(settings: Settings, directory: Path) -> tuple[str | None, str | None]:
    if settings.tls_cert:
        return settings.tls_cert, settings.tls_key
    if settings.is_loopback:
        return None, None
    cert, key = certificate.self_signed(directory, settings.host)
    return str(cert), str(key)


async def _first_admin(settings: Settings, system: System) -> None:
    """An administrator from the environment, for a start without a browser. Nothing when there is one."""
    if not settings.admin_email or not await accounts.needs_setup(system):
        return
    try:
        password = Path(settings.admin_password_file).read_text().rstrip("\n")
    except OSError as error:
        raise SettingsError(f"CONDUCTOR_ADMIN_PASSWORD_FILE cannot be read: {error.strerror}.") from error
    await accounts.add_user(system, settings.admin_email, "Administrator", password, "admin", by="environment")


async def _started(settings: Settings, directory: Path, system: System) -> Started:
    link = None
    if await accounts.needs_setup(system):
        link = f"{base_url(settings)}/setup?token={await accounts.setup_link(system)}"
    own = not settings.tls_cert and not settings.is_loopback
    return Started(base_url(settings), directory, link, certificate.fingerprint(directory / "tls.crt") if own else None)
