"""An upgrade that is killed, or finds no room, leaves the data as it was; the next start upgrades it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import straced
import upgrading

from conductor.core.errors import StoreFull
from conductor.store import aside, migrations
from conductor.store.database import Database, sqlite_url

ALL = "CONDUCTOR_TEST_ALL_POINTS"
STRIDE = 3  # without ALL, of the many writes that are alike; every other call is a point of its own


@pytest.fixture(name="old")
def _old(tmp_path: Path) -> Path:
    """A database of the first version, with data."""
    folder = tmp_path / "old"
    folder.mkdir()
    upgrading.make(folder)
    return folder


def _points(forker: straced.Forker, arguments: list[str]) -> Iterator[tuple[str, int]]:
    for call, count in forker.points(arguments).items():
        for number in range(1, count + 1, STRIDE if call == "pwrite64" and not os.environ.get(ALL) else 1):
            yield call, number


def test_f54_an_upgrade_killed_at_any_system_call_leaves_all_data_and_is_done_by_the_next_start(
    old: Path, tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]
) -> None:
    straced.usable(skip_or_fail)
    wanted, folder, kills = upgrading.rows(old), tmp_path / "killed", 0
    with straced.forking("upgrading", tmp_path) as forker:
        shutil.copytree(old, folder)
        for call, number in _points(forker, [str(folder)]):
            shutil.rmtree(folder)
            shutil.copytree(old, folder)
            killed = forker.run([str(folder)], straced.inject(call, "signal=KILL", number))
            assert killed.code == straced.KILLED, f"{call} {number}: {killed}"
            assert upgrading.main([str(folder)]) == 0, f"{call} {number}"
            assert upgrading.rows(folder) == wanted, f"{call} {number}"
            assert sorted(path.name for path in folder.iterdir()) == ["conductor.db"]
            kills += 1
    print(f"\n{kills} kills of an upgrade")


def test_f54_a_failed_upgrade_leaves_a_copy_that_a_later_one_replaces(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(sqlite_url(old / "conductor.db"))
    wanted = upgrading.rows(old)
    with monkeypatch.context() as broken:
        broken.setattr(migrations.command, "upgrade", _fail)
        with pytest.raises(RuntimeError):
            migrations.upgrade(database.engine)
    copy = old / "conductor.db.before-0001"
    assert copy.exists()
    (old / "copied").mkdir()
    shutil.copy(copy, old / "copied" / "conductor.db")
    assert upgrading.rows(old / "copied") == wanted == upgrading.rows(old)
    migrations.upgrade(database.engine)
    assert not copy.exists()
    database.engine.dispose()


def _fail(*_: object) -> None:
    raise RuntimeError


def test_f54_an_upgrade_without_room_for_the_copy_says_how_much_it_needs(
    old: Path, tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    size = (old / "conductor.db").stat().st_size
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size + size // 2}", "tmpfs", str(small)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        skip_or_fail("mounting a small disk needs root")
    try:
        shutil.copy(old / "conductor.db", small)
        database = Database(sqlite_url(small / "conductor.db"))
        with pytest.raises(StoreFull, match=r"\d MB are needed, \d+ are free"):
            migrations.upgrade(database.engine)
        database.engine.dispose()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_new_database_is_made_without_a_copy(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "conductor.db"))
    migrations.upgrade(database.engine)
    aside.discard(database.engine)
    database.engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == ["conductor.db"]
