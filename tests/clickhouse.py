"""A ClickHouse to talk to over HTTP, for the tests of the server path; and the one switch for a server of your own.

Without a server this is *the embedded engine behind a socket*: `clickhouse-local` out of the same library as the embedded
engine, in a process of its own, told to listen. The answers come from ClickHouse's own HTTP handler, with its users,
settings and errors; but it is no `clickhouse-server`, has no TLS of its own and no cluster. What ran is told at the end.

`CONDUCTOR_TEST_CLICKHOUSE_URL=http://user:password@host:8123` runs the same tests against that server instead. The user
must be allowed to make and drop databases. Tests that kill the server or need other users have an engine of their own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote, urlsplit

import processes
import pytest

_RAN = "ran against"
SWITCH = "CONDUCTOR_TEST_CLICKHOUSE_URL"
USER, PASSWORD = "conductor", "s:e/c r@t"  # every sign that a URL must escape
GRANTS = "SELECT, INSERT, ALTER TABLE, TRUNCATE, OPTIMIZE, CREATE TABLE, CREATE DATABASE"  # as the guide tells
_names = itertools.count(1)
_CONFIG = """
<clickhouse>
  <http_port>{port}</http_port>
  <listen_host>127.0.0.1</listen_host>
  <display_name>the embedded engine behind a socket</display_name>
  <logger><level>none</level></logger>
  <max_server_memory_usage>1200000000</max_server_memory_usage>
  <mark_cache_size>67108864</mark_cache_size>
  <user_directories>
    <users_xml><path>{folder}/users.xml</path></users_xml>
  </user_directories>
</clickhouse>
"""
_USERS = """
<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default><password/><profile>default</profile><quota>default</quota></default>
    <{user}>
      <password>{password}</password><access_management>1</access_management>
      <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    </{user}>
    <narrow>
      <password>narrow</password>
      <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
      <grants>
        <query>GRANT {grants} ON narrow.*</query>
        <query>GRANT SELECT ON system.parts</query>
        <query>GRANT TABLE ENGINE ON MergeTree</query>
      </grants>
    </narrow>
    <reader>
      <password>reader</password>
      <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
      <grants><query>GRANT SELECT ON narrow.*</query></grants>
    </reader>
  </users>
</clickhouse>
"""


_ran: Counter[str] = Counter()  # by what they ran against: tests of this run
_chosen = ""  # what the shared server is called
address = ""  # of a fresh database, while a test wants one instead of the embedded engine


class Server:
    """One ClickHouse and where it is; `name` says plainly what it is."""

    name = "the embedded engine behind a socket, no ClickHouse server"

    def __init__(self, url: str) -> None:
        self.url = url

    def database(self, name: str) -> str:
        """The URL of one of its databases."""
        return f"{self.url.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a database that does not exist yet, and is dropped afterwards."""
        name = f"test_{os.getpid()}_{token_hex(3)}_{next(_names)}"
        try:
            yield self.database(name)
        finally:
            self.tell(f"DROP DATABASE IF EXISTS {name} SYNC")

    def tell(self, statement: str) -> str:
        """A statement by its own user; the answer."""
        from clickhouse_connect.driver import create_client

        client = create_client(dsn=self.url)
        try:
            return str(client.command(statement))
        finally:
            client.close()


class Engine(Server):
    """The embedded engine behind a socket, to be killed and started again with what it has stored."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.folder = folder
        super().__init__(f"http://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}")
        (folder / "clickhouse-local.xml").write_text(_CONFIG.format(port=self.port, folder=folder))
        (folder / "users.xml").write_text(_USERS.format(user=USER, password=PASSWORD, grants=GRANTS))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers. It ends with whoever started it: it reads what never comes."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self.folder / "data")],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.folder,  # where it looks for its configuration first
            )
        processes.until(lambda: self._answers() or self._ended(), every=0.05)
        assert not self._ended(), (self.folder / "output").read_text(errors="replace")[-2000:]

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """End it; what it has stored stays."""
        if self._process is not None and not self._ended():
            self.kill()

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _answers(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """The embedded engine behind a socket."""
    with tempfile.TemporaryDirectory(prefix="conductor-clickhouse-") as folder:
        engine = Engine(Path(folder))
        try:
            engine.start()
            yield engine
        finally:
            engine.stop()


@contextlib.contextmanager
def chosen() -> Iterator[Server]:
    """The server that the switch names; without one, the embedded engine behind a socket."""
    if address := os.environ.get(SWITCH):
        server = Server(address)
        server.name = f"ClickHouse {server.tell('SELECT version()')} at {urlsplit(address).hostname}"
        yield server
        return
    with running() as engine:
        yield engine


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[Server]:
    """The server that all tests of a process share, each in a database of its own."""
    global _chosen
    with chosen() as server:
        _chosen = server.name
        yield server


@pytest.fixture
def clickhouse_url(clickhouse_server: Server) -> Iterator[str]:
    """A database of the test's own, which does not exist yet."""
    with clickhouse_server.fresh() as url:
        yield url


@pytest.fixture
def own_clickhouse() -> Iterator[Engine]:
    """The embedded engine behind a socket, to be killed and started again."""
    with running() as engine:
        yield engine


@pytest.fixture(params=["embedded", "server"])
def each_analytics(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs twice, with the embedded engine and with a server's database, whose URL this is; worlds.py opens it."""
    if request.param == "server":
        monkeypatch.setattr(sys.modules[__name__], "address", request.getfixturevalue("clickhouse_url"))
    return address


@pytest.fixture(autouse=True)
def _switched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the switch, every test that worlds.py serves uses the server; without it, the chosen ones do."""
    if os.environ.get(SWITCH) and "each_analytics" not in request.fixturenames:
        monkeypatch.setattr(sys.modules[__name__], "address", request.getfixturevalue("clickhouse_url"))


def pytest_runtest_call(item: pytest.Function) -> None:
    """Note what the test runs against."""
    given = item.funcargs.values()
    if "server" in getattr(getattr(item, "callspec", None), "params", {}).values():
        item.user_properties.append((_RAN, _chosen))
    elif any(isinstance(value, Engine) for value in given):
        item.user_properties.append((_RAN, Engine.name))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count them, also those of other processes."""
    if report.when == "call":
        _ran.update(str(value) for name, value in report.user_properties if name == _RAN)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what was tested, and what was not."""
    for name, count in _ran.items():
        terminalreporter.write_line(f"{count} tests of the ClickHouse server path ran against {name}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(path: str) -> None:
    """Listen until standard input ends."""
    from chdb import _chdb

    wait = "SELECT count() FROM file('/dev/stdin', 'TSV', 'line String')"
    print(_chdb.query(f"SYSTEM START LISTEN HTTP; {wait}", "TabSeparated", path=path))


if __name__ == "__main__":
    _serve(sys.argv[1])
