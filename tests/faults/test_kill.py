"""Killed with -9 at random moments while a history is collected through 429s: in the end, exactly the tenant's events."""

from __future__ import annotations

import json
import random
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from conductor.store import journal, migrations
from conductor.store.database import Database, sqlite_url

CONDUCTOR = [sys.executable, "-m", "conductor"]
HISTORY = 50_000
KILLS = 20
LIMIT = 480.0  # seconds: reached only by a Conductor that does not get on


@contextmanager
def _simulator(folder: Path) -> Iterator[dict[str, Any]]:
    ready = folder / "ready.json"
    options = ["--history", str(HISTORY), "--days", "3", "--rate", "0", "--rate-limit", "30/s", "--seed", "7"]
    arguments = ["simulate", "auth0", *options, "--ready-file", str(ready), "--ca-dir", str(folder)]
    with (folder / "simulator.log").open("wb") as log:
        process = subprocess.Popen([*CONDUCTOR, *arguments], stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield json.loads(ready.read_text())
    finally:
        process.terminate()
        process.wait(10)


class _Conductor:
    """`conductor serve` that is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        networks = ["--allow-private-targets", "127.0.0.0/8", "--allow-private-targets", "::1/128"]
        arguments = ["serve", "--data", str(self._folder / "data"), "--bind", "127.0.0.1:0", *networks]
        with (self._folder / "conductor.log").open("ab") as log:
            self._process = subprocess.Popen([*CONDUCTOR, *arguments], stderr=log, stdout=log)
        while not (self._folder / "data" / "conductor.sock").exists() and self._process.poll() is None:
            time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(30) == 0


def test_nothing_is_lost_and_nothing_doubled_by_twenty_kills(tmp_path: Path) -> None:
    chance = random.Random(11)
    with _simulator(tmp_path) as told:
        conductor = _Conductor(tmp_path)
        conductor.start()
        _add(tmp_path, told)
        _fault(told, {"kind": "rate_limited", "probability": 0.05, "seed": 3, "retry_after": "0.5"})
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 2.0))  # the moment of the kill is what is tested
            conductor.kill()
            conductor.start()
        deadline = time.monotonic() + LIMIT
        while _count(tmp_path) < _existing(told) and time.monotonic() < deadline:
            time.sleep(0.5)
        found = _searched(tmp_path)
        conductor.stop()
        wanted = _ids(told)
    assert sorted(found) == wanted
    assert sorted(_journal(tmp_path / "data" / "conductor.db")) == wanted


def _add(folder: Path, told: dict[str, Any]) -> None:
    tenant = told["tenants"][0]
    secret = folder / "secret"
    secret.write_text(tenant["client_secret"])
    options = ["--domain", tenant["domain"], "--client-id", tenant["client_id"], "--client-secret-file", str(secret)]
    options += ["--ca-bundle", told["ca"], "--plan", "enterprise", "--rate-share", "100", "--polling-interval", "1"]
    added = [*CONDUCTOR, "integration", "add", "auth0", "--name", "prod", "--data", str(folder / "data"), *options]
    subprocess.run(added, check=True, capture_output=True)


def _count(folder: Path) -> int:
    asked = [*CONDUCTOR, "search", "*", "--count", "--data", str(folder / "data")]
    answer = subprocess.run(asked, capture_output=True, text=True)
    return int(answer.stdout) if answer.returncode == 0 else 0


def _searched(folder: Path) -> list[str]:
    asked = [*CONDUCTOR, "search", "*", "--jsonl", "--limit", "1000000", "--data", str(folder / "data")]
    answer = subprocess.run(asked, capture_output=True, check=True)
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    return [decode(line)["log_id"] for line in answer.stdout.splitlines()]


def _journal(path: Path) -> list[str]:
    database = Database(sqlite_url(path))
    migrations.upgrade(database.engine)
    with database.engine.connect() as connection:
        batches = journal.read(connection, 1, 1, 1_000_000)
    database.engine.dispose()
    return [signal.id for batch in batches for signal in batch.signals]


def _ids(told: dict[str, Any]) -> list[str]:
    return sorted(_control(told, "GET", "log-ids")["log_ids"])


def _existing(told: dict[str, Any]) -> int:
    return len(_ids(told))


def _fault(told: dict[str, Any], fault: dict[str, Any]) -> None:
    _control(told, "POST", "faults", fault)


def _control(told: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    url = f"https://{told['tenants'][0]['domain']}/_simulator/{path}"
    request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body else None)
    request.add_header("content-type", "application/json")
    context = ssl.create_default_context(cafile=told["ca"])
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return json.loads(answer.read())
