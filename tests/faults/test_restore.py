"""Backups: made while Conductor collects, proved, and put back years later without losing or doubling an event."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pytest
from worlds import LOOPBACK, Collecting, run

from conductor import app
from conductor.core import clock
from conductor.core.errors import Fenced, KeyWrong, StoreBusy, StoreCorrupt
from conductor.operations import backups, proof
from conductor.settings import Settings
from conductor.simulator.events import Event
from conductor.simulator.server import Server, running
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World
from conductor.store import audit, journal, polls
from conductor.store.database import sqlite_url


@dataclass(frozen=True, slots=True)
class Place:
    """A data directory, its database and key, and where a backup goes."""

    data: Path
    backup: Path

    @property
    def database(self) -> Path:
        return self.data / "conductor.db"

    @property
    def key(self) -> Path:
        return self.data / "conductor.key"

    def settings(self) -> Settings:
        return Settings(data=self.data, allow_private_targets=LOOPBACK)

    def restore(self) -> backups.Restored:
        with app.owned(self.data) as directory:
            return backups.restore(directory, self.key, self.backup, lambda _: None, by="ana")


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Place:
    (tmp_path / "backups").mkdir()
    return Place(tmp_path / "data", tmp_path / "backups" / "monday.db")


def conductor(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "conductor", *words, "--data", str(place.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


async def in_thread(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.get_running_loop().run_in_executor(None, lambda: conductor(place, *words))


async def make(place: Place) -> dict[str, object]:
    """A backup, beside the running Conductor."""
    work = asyncio.get_running_loop().run_in_executor
    return await work(None, lambda: backups.make(place.database, place.backup, lambda _: None))


class Started:
    """A Conductor on the data of a place, and the vendor that outlives it."""

    def __init__(self, place: Place, server: Server) -> None:
        self._place, self._server = place, server

    async def __aenter__(self) -> Collecting:
        self._owned = app.owned(self._place.data)
        directory = self._owned.__enter__()
        self._opened = app.opened(self._place.settings(), directory)
        return Collecting(await self._opened.__aenter__(), self._server)

    async def __aexit__(self, *_: object) -> None:
        await self._opened.__aexit__(None, None, None)
        self._owned.__exit__(None, None, None)


def show(server: Server, hidden: Sequence[Event]) -> None:
    """Let events appear at the vendor."""
    events = server.world.first.events
    events.extend(hidden)
    events.sort(key=attrgetter("log_id"))


async def all_once(it: Collecting) -> None:
    """Every event of the vendor is found once: in the journal and in the index."""
    await it.index()
    served = {event.log_id for event in it.world.first.events}
    found = await it.ids()
    stored = await it.system.database.read(
        lambda connection: [signal.id for batch in journal.read(connection, 1, 1, 10**9) for signal in batch.signals]
    )
    assert Counter(stored) == Counter(found) == Counter(dict.fromkeys(served, 1))


def test_f53_an_old_backup_put_back_loses_nothing_doubles_nothing_and_fences_who_came_before(place: Place) -> None:
    spec = TenantSpec(history=900, days=3.0)

    async def work() -> None:
        async with running(World([spec], now=clock.now)) as server:
            hidden = server.world.first.events[300:]
            del server.world.first.events[300:]
            async with Started(place, server) as it:
                await it.add()
                await it.poll()
                await make(place)
                show(server, hidden[:300])
                await it.poll()
                await all_once(it)
                zombie = await it.system.database.write(lambda connection: journal.take_over(connection, 1))
            done = await asyncio.get_running_loop().run_in_executor(None, place.restore)
            assert done.events >= 300
            assert done.aside is not None
            assert done.aside.exists()
            async with Started(place, server) as it:
                assert await it.count() == 0  # it was ahead of the journal, and is built anew
                await it.index()
                assert await it.count() == done.events
                for _ in range(zombie.epoch + 1):  # whatever epoch a new owner reaches, it is not the zombie's
                    with pytest.raises(Fenced):
                        await it.system.database.write(lambda connection: polls.begin(connection, zombie, clock.now()))
                    await it.system.database.write(lambda connection: journal.take_over(connection, 1))
                show(server, hidden[300:])
                await it.poll()
                await all_once(it)
                report = proof.check(sqlite_url(place.database), every_key=True)
                assert report.intact
                told = await it.system.database.read(lambda connection: audit.recent(connection, 50))
                assert "backup.restored" in [entry.action for entry in told]

    run(work)


def test_f53_an_older_index_beside_a_newer_journal_is_completed(place: Place) -> None:
    async def work() -> None:
        async with running(World([TenantSpec(history=600)], now=clock.now)) as server:
            hidden = server.world.first.events[250:]
            del server.world.first.events[250:]
            async with Started(place, server) as it:
                await it.add()
                await it.poll()
            shutil.copytree(place.data / "analytics", place.data.parent / "old", symlinks=True)
            show(server, hidden)
            async with Started(place, server) as it:
                await it.poll()
                await all_once(it)
            shutil.rmtree(place.data / "analytics")
            (place.data.parent / "old").rename(place.data / "analytics")
            async with Started(place, server) as it:
                await all_once(it)

    run(work)


def test_a_backup_is_made_beside_a_running_conductor_and_never_holds_or_meets_the_key(place: Place) -> None:
    async def work() -> None:
        async with running(World([TenantSpec(history=120)], now=clock.now)) as server, Started(place, server) as it:
            await it.add()
            await it.poll()
            manifest = await make(place)
            key = place.key.read_text().strip()
            body = place.backup.read_bytes()
            assert key.encode() not in body
            assert bytes.fromhex(key) not in body
            assert b"simulated-secret" not in body
            assert place.backup.stat().st_mode & 0o777 == 0o600
            assert manifest["integrations"][0]["events"] >= 120  # type: ignore[index]
            assert json.loads(backups.manifest_of(place.backup).read_text()) == manifest
            assert sorted(path.name for path in place.backup.parent.iterdir()) == ["monday.db", "monday.db.json"]
            busy = await in_thread(place, "db", "restore", str(place.backup), "--yes")
            assert busy.returncode == 5
            assert "Another Conductor uses" in busy.stderr

    run(work)
    beside = conductor(place, "db", "backup", str(place.data / "here.db"))
    assert beside.returncode == 5
    assert "holds the master key" in beside.stderr
    again = conductor(place, "db", "backup", str(place.backup))
    assert again.returncode == 4 or "is there already" in again.stderr
    other = place.backup.with_name("tuesday.db")
    made = conductor(place, "db", "backup", str(other))
    assert made.returncode == 0, made.stderr
    assert "Backed up 12" in made.stdout
    put_back = conductor(place, "db", "restore", str(other), "--yes")
    assert put_back.returncode == 0, put_back.stderr
    assert "Restored the backup of" in put_back.stdout


def test_a_backup_that_was_changed_or_needs_another_key_is_refused_and_nothing_is_touched(place: Place) -> None:
    async def work() -> None:
        async with running(World([TenantSpec(history=120)], now=clock.now)) as server, Started(place, server) as it:
            await it.add()
            await it.poll()
            await make(place)

    run(work)
    before = place.database.read_bytes()
    key = place.key.read_text()
    place.key.write_text("ab" * 32)
    with pytest.raises(KeyWrong):
        place.restore()
    place.key.unlink()
    with pytest.raises(KeyWrong):
        place.restore()
    place.key.write_text(key)
    body = bytearray(place.backup.read_bytes())
    body[len(body) // 2] ^= 1
    place.backup.write_bytes(body)
    with pytest.raises(StoreCorrupt, match="manifest"):
        place.restore()
    with app.owned(place.data), pytest.raises(StoreBusy):
        place.restore()
    assert place.database.read_bytes() == before
    assert sorted(path.name for path in place.data.glob("conductor.db*")) == ["conductor.db"]


def test_postgresql_is_backed_up_with_its_own_tools(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUCTOR_DATABASE_URL", "postgresql+psycopg://localhost/none")
    said = conductor(place, "db", "backup", str(place.backup))
    assert said.returncode == 2
    assert "pg_dump" in said.stderr
