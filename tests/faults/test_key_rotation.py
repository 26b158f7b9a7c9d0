"""The master key is changed, and the process killed before each system call of it that changes a file."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
import rotating
import straced

from conductor.core.errors import KeyWrong
from conductor.store import keyfile

EVERY = 3  # of the kinds that come often; all of the others


@pytest.fixture(name="begun")
def _begun(tmp_path: Path) -> Path:
    folder = tmp_path / "begun"
    folder.mkdir()
    asyncio.run(rotating.make(folder))
    return folder


def key_ids(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "conductor.db")) as connection:
        return {row[0] for row in connection.execute("SELECT key_id FROM secrets")}


def old_keys(folder: Path) -> list[Path]:
    return list(folder.glob("conductor.key.old-*"))


def finished(folder: Path) -> None:
    """The new key alone opens everything, and the old one may go."""
    assert asyncio.run(rotating.read(folder, go_on=True)) == rotating.SECRETS
    assert not keyfile.next_to(folder / "conductor.key").exists()
    for old in old_keys(folder):
        old.unlink()
    assert asyncio.run(rotating.read(folder)) == rotating.SECRETS
    assert key_ids(folder) == {keyfile.key_id(keyfile.open_key_file(folder / "conductor.key"))}


def test_s20_the_new_key_opens_everything_and_the_old_one_may_go(begun: Path) -> None:
    old = (begun / "conductor.key").read_bytes()
    assert rotating.main([str(begun)]) == 0
    assert [kept.read_bytes() for kept in old_keys(begun)] == [old]
    assert (begun / "conductor.key").read_bytes() != old
    assert (begun / "conductor.key").stat().st_mode & 0o777 == 0o600
    finished(begun)


def test_s20_the_old_key_is_refused_by_name_after_the_change(begun: Path) -> None:
    rotating.main([str(begun)])
    new = keyfile.open_key_file(begun / "conductor.key")
    (kept,) = old_keys(begun)
    shutil.copy(kept, begun / "conductor.key")
    with pytest.raises(KeyWrong) as refused:
        asyncio.run(rotating.read(begun))
    assert refused.value.facts["id"] == keyfile.key_id(new)


def test_s19_s20_a_kill_at_any_step_of_a_rotation_leaves_every_secret_readable(
    begun: Path, tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]
) -> None:
    straced.usable(skip_or_fail)
    folder = tmp_path / "killed"
    with straced.forking("rotating", tmp_path) as forker:
        copy(begun, folder)
        points = forker.points([str(folder)])
        for call, number in each(points):
            copy(begun, folder)
            killed = forker.run([str(folder)], straced.inject(call, "signal=KILL", number))
            assert killed.code == straced.KILLED, f"{call} {number}: {killed}"
            assert asyncio.run(rotating.read(folder)) == rotating.SECRETS, f"{call} {number}"
            finished(folder)
    print(f"\n{points.total()} kill points of a key rotation: {dict(points)}")


def each(points: dict[str, int]) -> Iterator[tuple[str, int]]:
    for call, count in points.items():
        yield from ((call, number) for number in range(1, count + 1, EVERY if count > 20 else 1))


def copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
