"""A database whose bits were flipped: never used in silence, always told, and read as far as it can be."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from conductor.core.errors import StoreError
from conductor.core.signal import Signal
from conductor.operations import backups, proof
from conductor.store import damage, integrations, journal, migrations, polls
from conductor.store.database import Database, sqlite_url, translated
from conductor.store.journal import Page

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
BATCHES, EVENTS = 200, 5
PAGE = 4096


@pytest.fixture(name="good", scope="module")
def _good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a journal, closed cleanly."""
    folder = tmp_path_factory.mktemp("good")
    engine = Database(sqlite_url(folder / "conductor.db")).engine
    migrations.upgrade(engine)
    random = Random(7)
    with engine.begin() as connection:
        added = integrations.add(connection, "prod", "auth0", {}, enabled=True, by="admin")
        position = journal.take_over(connection, added.id)
        poll = polls.begin(connection, position, NOW)
        for batch in range(BATCHES):
            found = [Signal(f"{batch}-{at}", random.randbytes(700)) for at in range(EVENTS)]
            now = NOW + timedelta(minutes=batch)
            position = journal.commit(connection, position, Page(poll, found, None, None), now).position
    engine.dispose()
    return folder


def starts(folder: Path) -> None:
    """What a start looks at. Raises StoreError."""
    engine = Database(sqlite_url(folder / "conductor.db")).engine
    try:
        with translated(engine):
            damage.refuse(engine)
            migrations.upgrade(engine)
            damage.refuse_torn(engine)
    finally:
        engine.dispose()


def flip(path: Path, at: int) -> None:
    body = bytearray(path.read_bytes())
    body[at] ^= 0xFF
    path.write_bytes(body)


def used(path: Path) -> list[int]:
    """The offsets of some bytes that hold something."""
    body, random = path.read_bytes(), Random(52)
    places = [at for at in range(len(body)) if body[at]]
    return sorted(random.sample(places, 60))


def test_f52_a_flipped_byte_is_refused_at_the_start_or_found_by_the_check(good: Path, tmp_path: Path) -> None:
    found = 0
    for at in used(good / "conductor.db"):
        folder = tmp_path / str(at)
        shutil.copytree(good, folder)
        flip(folder / "conductor.db", at)
        assert noticed(folder) or same(folder, good), f"byte {at}"
        found += noticed(folder)
        shutil.rmtree(folder)
    assert found > 40


@pytest.mark.parametrize("text", [b"CONSTRAINT pk_batches", b"CREATE TABLE login_failures", b"\tcooldown INTEGER"])
def test_f52_a_table_that_is_not_as_it_was_made_is_refused(good: Path, tmp_path: Path, text: bytes) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(good, folder)
    path = folder / "conductor.db"
    flip(path, path.read_bytes().index(text) + 2)
    with pytest.raises(StoreError) as caught:
        starts(folder)
    assert caught.value.code == "local.storage.corrupt"
    assert "Traceback" not in conductor(folder, "db", "check").stderr


def test_f52_a_key_that_would_be_forgotten_at_another_time_is_found(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(good, folder)
    with closing(sqlite3.connect(folder / "conductor.db", isolation_level=None)) as connection:
        connection.execute("UPDATE signal_keys SET day = day - 1 WHERE key = (SELECT min(key) FROM signal_keys)")
    assert not proof.check(sqlite_url(folder / "conductor.db"), every_key=True).intact


def noticed(folder: Path) -> bool:
    try:
        starts(folder)
        return not proof.check(sqlite_url(folder / "conductor.db"), every_key=True).intact
    except StoreError:
        return True


def same(folder: Path, good: Path) -> bool:
    """The byte was in a place that means nothing: a hint, or what a deleted row left behind."""
    return dump(folder) == dump(good)


def dump(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "conductor.db")) as connection:
        connection.text_factory = bytes
        names = [row[0].decode() for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return [repr(row) for name in sorted(names) for row in connection.execute(f"SELECT * FROM {name}")]


def test_f52_the_refusal_says_what_to_do_and_what_can_be_read_is_saved(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(good, folder)
    size = (folder / "conductor.db").stat().st_size
    body = bytearray((folder / "conductor.db").read_bytes())
    for page in range(size // PAGE // 2, size // PAGE // 2 + 8):
        body[page * PAGE : (page + 1) * PAGE] = b"\xa5" * PAGE
    (folder / "conductor.db").write_bytes(body)
    said = conductor(folder, "status")
    assert said.returncode == 1
    assert "The database is damaged" in said.stderr
    assert "conductor db restore FILE" in said.stderr
    assert "(local.storage.corrupt)" in said.stderr
    checked = conductor(folder, "db", "check")
    assert checked.returncode == 1
    before = (folder / "conductor.db").read_bytes()
    saved = conductor(folder, "db", "salvage", str(tmp_path / "saved.ndjson"))
    assert saved.returncode == 0, saved.stderr
    lines = [json.loads(line) for line in (tmp_path / "saved.ndjson").read_text().splitlines()]
    assert 0.9 * BATCHES * EVENTS <= len(lines) < BATCHES * EVENTS
    assert {line["integration"] for line in lines} == {"prod"}
    assert f"{len(lines):,} events" in saved.stdout
    assert (folder / "conductor.db").read_bytes() == before


def test_f52_everything_is_saved_of_a_database_that_is_whole(good: Path, tmp_path: Path) -> None:
    events, lost = backups.save(good / "conductor.db", tmp_path / "saved.ndjson")
    assert (events, lost) == (BATCHES * EVENTS, 0)


def conductor(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "conductor", *words, "--data", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)
