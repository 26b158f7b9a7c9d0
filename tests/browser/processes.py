"""A simulated vendor and a Conductor as an operator starts them: processes of their own, on loopback only."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
CONDUCTOR = (sys.executable, "-m", "conductor")
PRIVATE = "127.0.0.0/8,::1/128"
NO_PROXY = urllib.request.ProxyHandler({})
PATIENCE = 30.0  # seconds; reached only by what never comes
EMAIL, PASSWORD = "ana@example.com", "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A running `conductor simulate auth0` and what it printed: the values to type."""

    domain: str
    client_id: str
    client_secret: str
    ca: Path

    @property
    def port(self) -> str:
        """Where it listens, on every loopback address it knows."""
        return self.domain.rpartition(":")[2]

    @property
    def ca_text(self) -> str:
        """The CA bundle as one pastes it."""
        return self.ca.read_text()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the simulator itself: `control("POST", "faults", {...})`."""
        return json.loads(self._ask(method, f"/_simulator/{path}", body))

    def event(self, log_id: str) -> bytes:
        """One event as the vendor's API serves it, byte for byte."""
        grant = {"grant_type": "client_credentials", "audience": f"https://{self.domain}/api/v2/"}
        credentials = {"client_id": self.client_id, "client_secret": self.client_secret}
        token = json.loads(self._ask("POST", "/oauth/token", grant | credentials))["access_token"]
        return self._ask("GET", f"/api/v2/logs/{log_id}", token=token)

    def _ask(self, method: str, path: str, body: Any = None, token: str = "") -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"https://{self.domain}{path}", data, headers, method=method)
        trusting = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.ca)))
        with urllib.request.build_opener(NO_PROXY, trusting).open(request, timeout=PATIENCE) as answer:
            content: bytes = answer.read()
        return content


@dataclass(frozen=True, slots=True)
class Cli:
    """The command line on one data directory."""

    data: Path
    private: str = PRIVATE
    command: Sequence[str] = CONDUCTOR

    @property
    def environment(self) -> dict[str, str]:
        """Ours without what would set Conductor up otherwise."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")}
        return plain | {"CONDUCTOR_DATA": str(self.data), "CONDUCTOR_ALLOW_PRIVATE_TARGETS": self.private}

    def run(self, *words: str, text: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `text` is its standard input, `more` further environment variables."""
        return subprocess.run(
            [*self.command, *words],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=self.environment | more,
            timeout=90,
        )

    def ok(self, *words: str, text: str = "") -> str:
        """What a command that must succeed prints."""
        done = self.run(*words, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def on_terminal(self, *words: str, columns: int = 80) -> str:
        """What a command that must succeed prints on a terminal of its own."""
        ours, its = pty.openpty()
        with open(ours, "rb", buffering=0) as screen:
            environment = self.environment | {"COLUMNS": str(columns), "TERM": "xterm-256color"}
            child = subprocess.Popen([*self.command, *words], stdout=its, stderr=subprocess.PIPE, env=environment)
            os.close(its)
            shown = b""
            with contextlib.suppress(OSError):  # when the last one who could write to it is gone
                while piece := screen.read(65_536):
                    shown += piece
        assert child.stderr is not None
        with child.stderr as told:
            assert child.wait(30) == 0, told.read()
        return shown.decode().replace("\r\n", "\n")

    def add(self, vendor: Vendor, name: str = "prod", *more: str) -> str:
        """Add the vendor's tenant."""
        given = ["--name", name, "--domain", vendor.domain, "--client-id", vendor.client_id, "--plan", "enterprise"]
        given += ["--ca-bundle", str(vendor.ca), "--client-secret-file", "-", *more]
        return self.ok("integration", "add", "auth0", *given, text=vendor.client_secret)


@dataclass(frozen=True, slots=True)
class Conductor:
    """A running `conductor serve`."""

    url: str
    log: Path
    cli: Cli
    process: subprocess.Popen[bytes]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """It does not answer, as when it is busy; then it goes on."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @property
    def printed(self) -> str:
        """Everything on its standard error so far."""
        return self.log.read_text(errors="replace")

    @property
    def setup_link(self) -> str:
        """The link on its terminal."""
        found = re.search(r"http\S+/setup\?token=\S+", self.printed)
        assert found, self.printed
        return found[0]


def wait_for(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Ask until the answer is true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"Within {patience:.0f} s there was no {what}.")


@contextlib.contextmanager
def simulating(folder: Path, *options: str, command: Sequence[str] = CONDUCTOR) -> Iterator[Vendor]:
    """`conductor simulate auth0`, stopped at the end. No new events come unless `--rate` is given."""
    ready = folder / "simulator.json"
    words = ["simulate", "auth0", "--ready-file", str(ready), "--ca-dir", str(folder), "--rate", "0", *options]
    with _process([*command, *words], folder / "simulator.log", dict(os.environ)):
        told = wait_for(lambda: json.loads(ready.read_text()) if ready.exists() else None, "simulator")
        tenant = told["tenants"][0]
        yield Vendor(tenant["domain"], tenant["client_id"], tenant["client_secret"], Path(told["ca"]))


@contextlib.contextmanager
def serving(
    folder: Path,
    *options: str,
    admin: bool = True,
    private: str = PRIVATE,
    command: Sequence[str] = CONDUCTOR,
    port: int = 0,
) -> Iterator[Conductor]:
    """`conductor serve`, on a free port without one, stopped at the end. `admin` makes the first administrator without a
    browser."""
    cli = Cli(folder / "data", private, command)
    port, log = port or free_port(), folder / "conductor.log"
    environment = cli.environment
    if admin:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        environment |= {"CONDUCTOR_ADMIN_EMAIL": EMAIL, "CONDUCTOR_ADMIN_PASSWORD_FILE": str(secret)}
    with _process([*command, "serve", "--bind", f"127.0.0.1:{port}", *options], log, environment) as child:
        conductor = Conductor(f"http://127.0.0.1:{port}", log, cli, child)
        wait_for(lambda: _answers(f"{conductor.url}/readyz"), "Conductor")
        yield conductor


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def search_url(conductor: Conductor, **values: str) -> str:
    """A search as a link."""
    return f"{conductor.url}/signals/search?{urllib.parse.urlencode(values)}"


def raw_of(row: str) -> bytes:
    """`raw` in one line of `search --jsonl`, cut out, not decoded: it is the last thing that is compared byte for byte."""
    start = row.index('"raw":') + len('"raw":')
    end = start + json.JSONDecoder().raw_decode(row[start:])[1]
    return row[start:end].encode()


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(NO_PROXY).open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def _process(words: Sequence[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
