"""What all tests share: real databases, the browser, and what to do when this host lacks one of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, Self

import hypothesis
import pytest
import sqlalchemy
import trustme

from conductor.store import migrations
from conductor.store.database import Database, sqlite_url

sys.path.insert(0, str(Path(__file__).parent))  # for `import virtual`; importlib mode adds nothing itself
pytest_plugins = ["matrix", "clickhouse"]

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
hypothesis.settings.load_profile("untimed")

REQUIRE_ALL = "CONDUCTOR_TEST_REQUIRE_ALL"
CHROMIUM = Path("/usr/bin/chromium")
_MAIN = "postgres"  # the database that every new server has
_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=50 -c shared_buffers=16MB"
_names = itertools.count(1)


def skip_or_fail(reason: str) -> NoReturn:
    """Skip for want of something on this host; fail where everything must run (CI sets CONDUCTOR_TEST_REQUIRE_ALL=1)."""
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(name="skip_or_fail", scope="session")
def _skip_or_fail() -> Callable[[str], NoReturn]:
    """`skip_or_fail`, for tests that find out themselves."""
    return skip_or_fail


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Debian's Chromium."""
    if not CHROMIUM.exists():
        skip_or_fail(f"{CHROMIUM} is missing")
    return CHROMIUM


class Wire:
    """A TLS server that answers each request with the next of its scripted bytes; the last one stays.

    An answer is bytes, after which the connection stays open, or a coroutine function that is given the reader and the
    writer and does as it likes, after which the connection is cut.
    """

    def __init__(self, *answers: bytes | Callable[..., Any], context: ssl.SSLContext | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._context = context
        self._serving: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Where it listens."""
        return f"https://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        self.requests.append(head + (await reader.readexactly(int(length[1])) if length else b""))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not isinstance(answer, bytes):
            await answer(reader, writer)
            return False
        writer.write(answer)
        await writer.drain()
        return True


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that only the tests know."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """TLS for a server on this machine."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1", "vendor.example").configure_cert(context)
    return context


@pytest.fixture
def wire(server_tls: ssl.SSLContext) -> Callable[..., Wire]:
    """Makes a scripted TLS server: `async with wire(b"HTTP/1.1 200 OK…") as server`."""
    return functools.partial(Wire, context=server_tls)


class PostgresServer:
    """A PostgreSQL of the tests' own, on a free port of this machine and in a directory that goes with it."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self.port = _free_port()
        self._binaries = binaries
        self._directory = directory
        self._as = _unprivileged(directory)

    def start(self) -> None:
        """Make the cluster and wait until it answers."""
        data = self._directory / "data"
        self._run("initdb", "-D", data, "-U", "conductor", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.serve()

    def kill(self) -> None:
        """As kill -9 does, the main process first and then what it leaves behind."""
        main = int((self._directory / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(main, signal.SIGSTOP)  # so that nothing is begun meanwhile
        left = subprocess.run(["pgrep", "-P", str(main)], capture_output=True, text=True).stdout.split()
        for process in [main, *map(int, left)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def serve(self) -> None:
        """Wait until it answers, also after a kill."""
        data = self._directory / "data"
        listening = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self._directory}"
        start = ("pg_ctl", "-D", data, "-l", self._directory / "log", "-o", f"{listening} {_FAST}", "-w", "start")
        for _ in range(5):  # what was killed may still be ending, and hold its memory
            with contextlib.suppress(RuntimeError):
                return self._run(*start)
            time.sleep(1)
        self._run(*start)

    def stop(self) -> None:
        """End it at once; nothing of it is kept."""
        self._run("pg_ctl", "-D", self._directory / "data", "-m", "immediate", "-w", "stop")

    def url(self, database: str) -> str:
        """Where a database is."""
        return f"postgresql+psycopg://conductor@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1") -> str:
        """A new database; the answer is its name."""
        name = f"test_{next(_names)}"
        self._tell(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        """Delete a database, whoever is still connected."""
        self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def fresh(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new database, deleted afterwards."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def _tell(self, statement: str) -> None:
        engine = sqlalchemy.create_engine(self.url(_MAIN), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        log = self._directory / "output"
        with log.open("ab") as output:  # a file: pg_ctl's child would keep a pipe open for ever
            done = subprocess.run(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=self._directory, **self._as
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    """PostgreSQL, started once for all tests and stopped at the end."""
    with _postgresql() as server:
        yield server


@pytest.fixture
def mortal_postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be killed and started again."""
    with _postgresql() as server:
        yield server


@contextlib.contextmanager
def _postgresql() -> Iterator[PostgresServer]:
    binaries = _postgresql_binaries()
    directory = Path(tempfile.mkdtemp(prefix="conductor-postgresql-", dir="/tmp"))  # short: it holds a Unix socket
    try:
        server = PostgresServer(binaries, directory)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: PostgresServer) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    with postgresql_server.fresh() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, empty database of each kind."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "conductor.db")
        return
    with request.getfixturevalue("postgresql_server").fresh() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the current schema, to be copied and never opened."""
    path = tmp_path_factory.mktemp("template") / "conductor.db"
    _migrate(sqlite_url(path))
    return path


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql_server: PostgresServer) -> str:
    name = postgresql_server.create()
    _migrate(postgresql_server.url(name))
    return name


@pytest.fixture
def migrated_sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """A SQLite file of its own with the current schema."""
    path = tmp_path / "conductor.db"
    shutil.copy(migrated_sqlite_file, path)
    return sqlite_url(path)


@pytest.fixture
def migrated_postgresql_url(postgresql_server: PostgresServer, _migrated_postgresql: str) -> Iterator[str]:
    """A PostgreSQL database of its own with the current schema."""
    with postgresql_server.fresh(_migrated_postgresql) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of each kind with the current schema."""
    if request.param == "sqlite":
        yield request.getfixturevalue("migrated_sqlite_url")
        return
    template = request.getfixturevalue("_migrated_postgresql")
    with request.getfixturevalue("postgresql_server").fresh(template) as url:
        yield url


@pytest.fixture
def store_engine(migrated_url: str) -> Iterator[sqlalchemy.Engine]:
    """The product's own writing engine on a migrated database of each kind."""
    with _engine(migrated_url) as engine:
        yield engine


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def _shared_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlalchemy.Engine]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = sqlite_url(tmp_path_factory.mktemp("shared") / "conductor.db")
        else:
            url = stack.enter_context(request.getfixturevalue("postgresql_server").fresh())
        _migrate(url)
        yield stack.enter_context(_engine(url))


@pytest.fixture
def connection(_shared_engine: sqlalchemy.Engine) -> Iterator[sqlalchemy.Connection]:
    """One transaction of the product's own writing engine, on each kind of database, rolled back at the end."""
    with _shared_engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def _engine(url: str) -> Iterator[sqlalchemy.Engine]:
    database = Database(url)
    try:
        yield database.engine
    finally:
        asyncio.run(database.close())


def _migrate(url: str) -> None:
    with _engine(url) as engine:
        migrations.upgrade(engine)


def _postgresql_binaries() -> Path:
    """Debian keeps them aside by version; elsewhere they are where pg_config or the path says."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    if (config := shutil.which("pg_config")) is not None:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
        places.append(Path(told.stdout.strip()))
    places.append(Path("/usr/local/bin"))
    for place in places:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    skip_or_fail("PostgreSQL's server programs are missing")


def _unprivileged(directory: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: give the directory to someone else and run as them."""
    if os.geteuid() != 0:
        return {}
    user = "postgres" if _exists("postgres") else "nobody"
    shutil.chown(directory, user)
    return {"user": user, "group": _group(user), "extra_groups": []}


def _exists(user: str) -> bool:
    import pwd

    return any(entry.pw_name == user for entry in pwd.getpwall())


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
