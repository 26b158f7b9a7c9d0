"""A simulated vendor and `conductor serve`, each in a process of its own, for tests that kill, stop and starve them."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from conductor.store import integrations, journal, migrations
from conductor.store.database import Database, sqlite_url

CONDUCTOR = [sys.executable, "-m", "conductor"]
LIMIT = 120.0  # seconds, reached only by a process that does not get on
EVERYTHING = 10_000_000
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def until(seen: Callable[[], Any], limit: float = LIMIT, every: float = 0.1) -> Any:
    """Wait for something to be true; its value."""
    deadline = time.monotonic() + limit
    while not (value := seen()):
        assert time.monotonic() < deadline, f"it did not happen in {limit} s"
        time.sleep(every)
    return value


class Vendor:
    """`conductor simulate auth0`, and its control API."""

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self.tenants: list[dict[str, str]] = ready["tenants"]
        self.ca = Path(ready["ca"])
        self._context = ssl.create_default_context(cafile=self.ca)

    def log_ids(self, tenant: int = 0) -> list[str]:
        """What the tenant would serve."""
        return sorted(self.control("GET", f"log-ids?tenant={self.tenants[tenant]['name']}")["log_ids"])

    def fault(self, kind: str, **more: Any) -> None:
        """Let something go wrong."""
        self.control("POST", "faults", {"kind": kind, **more})

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the simulator itself."""
        url = f"https://{self.tenants[0]['domain']}/_simulator/{path}"
        content = json.dumps(body).encode() if body else None
        request = urllib.request.Request(url, content, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, context=self._context, timeout=30) as answer:
            return json.loads(answer.read())

    def values(self, tenant: int = 0, **more: Any) -> dict[str, Any]:
        """What to type into the form."""
        found = self.tenants[tenant]
        fixed = {name: found[name] for name in ("domain", "client_id", "client_secret")}
        return fixed | {"ca_bundle": self.ca.read_text(), "plan": "enterprise", "rate_share": 100} | more


@contextmanager
def vendor(folder: Path, *names: str, **options: Any) -> Iterator[Vendor]:
    """Simulated tenants; options as the command has them, with `_` for `-`."""
    ready = folder / "ready.json"
    options = {"ready-file": ready, "ca-dir": folder, "rate": 0, "seed": 7} | options
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words += [word for name in names for word in ("--tenant", name)]
    with (folder / "simulator.log").open("wb") as log:
        process = subprocess.Popen([*CONDUCTOR, "simulate", "auth0", *words], stderr=log)
    try:
        until(lambda: ready.exists() or process.poll() is not None)
        yield Vendor(json.loads(ready.read_text()))
    finally:
        process.terminate()
        process.wait(10)


class Conductor:
    """`conductor serve` on one data directory, to be killed and started again; spoken to over its socket."""

    def __init__(self, folder: Path, *options: str, before: tuple[str, ...] = ()) -> None:
        self.data = folder / "data"
        self.log = folder / "conductor.log"
        self._options = options
        self._before = before  # a command that runs it, such as strace
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Conductor:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self) -> None:
        """Start, and wait until it answers or has ended."""
        networks = ["--allow-private-targets", "127.0.0.0/8", "--allow-private-targets", "::1/128"]
        arguments = ["serve", "--data", str(self.data), "--bind", "127.0.0.1:0", *networks, *self._options]
        with self.log.open("ab") as log:
            process = subprocess.Popen([*self._before, *CONDUCTOR, *arguments], stderr=log, stdout=log)
        self.process = process
        until(lambda: process.poll() is not None or self.answers())

    def answers(self) -> bool:
        """Whether somebody listens at the socket."""
        with socket.socket(socket.AF_UNIX) as tried:
            return tried.connect_ex(str(self.data / "conductor.sock")) == 0

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, limit: float = 60) -> int:
        """End it as systemd does; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(limit)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Its REST API."""
        connection = http.client.HTTPConnection("conductor.local", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        try:
            connection.sock.connect(str(self.data / "conductor.sock"))
            content = json.dumps(body or {}) if method != "GET" else None
            connection.request(method, f"/api/v1{path}", content, {"content-type": "application/json"})
            answer = connection.getresponse()
            read = json.loads(answer.read() or b"{}")
            assert answer.status < 400, f"{method} {path}: {answer.status} {read}"
            return read
        finally:
            connection.close()

    def add(self, name: str, values: Mapping[str, Any]) -> None:
        """An integration, switched on."""
        body = {"name": name, "connector": "auth0", "config": dict(values), "enabled": True, "test": False}
        self.ask("POST", "/integrations", body)

    def status(self, name: str) -> Any:
        """One integration."""
        return self.ask("GET", f"/integrations/{quote(name)}")

    def count(self, query: str = "*") -> int:
        """How many events a search finds."""
        return int(self.ask("GET", f"/artifacts/count?{urlencode({'q': query})}")["count"])

    def caught_up(self, vendor: Vendor) -> list[str]:
        """Wait until a search finds exactly what the vendor serves, and give it: a 429 or a new token adds to that."""
        until(lambda: self.searched() == vendor.log_ids(), every=0.5)
        return vendor.log_ids()

    def searched(self, query: str = "*") -> list[str]:
        """The log ids that a search finds."""
        command = [*CONDUCTOR, "search", query, "--jsonl", "--limit", str(EVERYTHING), "--data", str(self.data)]
        answer = subprocess.run(command, capture_output=True, check=True)
        return sorted(_decode(line)["log_id"] for line in answer.stdout.splitlines())


def journaled(data: Path, name: str = "prod") -> list[str]:
    """The ids that the journal of a stopped Conductor holds of an integration; the file is checked as well."""
    database = Database(sqlite_url(data / "conductor.db"))
    migrations.upgrade(database.engine)
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA quick_check").scalars().all() == ["ok"]
        batches = journal.read(connection, integrations.get(connection, name).id, 1, EVERYTHING)
    database.engine.dispose()
    return sorted(signal.id for batch in batches for signal in batch.signals)
