"""Killed before each system call that changes a file: nothing lost, nothing twice, and the next start goes on.

`make killpoints` runs these tests alone and prints how many points there are.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import committing
import powerloss
import pytest
import straced

PAGES = 3
GO_ON = 4  # after each so many kills the run is finished as well; every kill is recovered from


@pytest.fixture(name="begun")
def _begun(tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]) -> Path:
    """A store with one page of each integration, closed cleanly."""
    straced.usable(skip_or_fail)
    folder = tmp_path / "begun"
    folder.mkdir()
    assert committing.main([str(folder), "--pages", "1", "--quiet"]) == 0
    return folder


def test_f45_a_kill_at_any_system_call_of_the_commit_path_loses_and_doubles_nothing(
    begun: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    arguments = [str(folder), "--pages", str(PAGES)]
    with straced.forking("committing", tmp_path) as forker:
        _copy(begun, folder)
        points = forker.points(arguments)
        for call, number in _each(points):
            _copy(begun, folder)
            killed = forker.run(arguments, straced.inject(call, "signal=KILL", number))
            assert killed.code == straced.KILLED, f"{call} {number}: {killed}"
            reached, told = committing.inspect(folder), _told(killed.out)
            assert all(reached[id_] >= page for id_, page in told.items()), f"{call} {number}"
            if number % GO_ON == 0:
                _goes_on(arguments, folder)
        for call, count in points.items():
            _copy(begun, folder)
            assert forker.run(arguments, straced.inject(call, "signal=KILL", count + 1)).code == 0, f"more {call}"
    print(f"\n{points.total()} kill points of the commit path, all recovered: {dict(points)}")


def test_f46_a_kill_between_commit_and_answer_is_a_commit(begun: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    arguments = [str(folder), "--pages", str(PAGES)]
    with straced.forking("committing", tmp_path) as forker:
        for number in (1, 2, 3, 4):  # writing the acknowledgement is the only `write` there is
            _copy(begun, folder)
            killed = forker.run(arguments, straced.inject("write", "signal=KILL", number))
            told = Counter(line.split()[1] for line in killed.out.splitlines())
            assert told.total() == number - 1
            assert sum(committing.inspect(folder).values()) == len(committing.INTEGRATIONS) + number
            _goes_on(arguments, folder)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64", "ftruncate"])
def test_f48_a_disk_that_fails_at_any_moment_ends_the_run_and_loses_nothing(
    begun: Path, tmp_path: Path, call: str
) -> None:
    folder, failed = tmp_path / "failed", 0
    arguments = [str(folder), "--pages", str(PAGES)]
    with straced.forking("committing", tmp_path) as forker:
        _copy(begun, folder)
        for number in range(1, forker.points(arguments)[call] + 1, 11 if call == "pwrite64" else 1):
            _copy(begun, folder)
            run = forker.run(arguments, straced.inject(call, "error=EIO", number))
            assert run.code in (0, committing.FAILED), run.err  # 0: folding the log in failed, and is tried again
            if run.code:
                failed += 1
                assert "disk I/O error" in run.err or "cannot be synced" in run.err
            reached, told = committing.inspect(folder), _told(run.out)
            assert all(reached[id_] >= page for id_, page in told.items()), f"{call} {number}"
            _goes_on(arguments, folder)
    assert failed or call == "ftruncate"


def test_f48_what_a_failed_sync_left_unwritten_was_not_acknowledged(begun: Path, tmp_path: Path) -> None:
    """As on Linux since 2018: after a failed fsync the pages may be gone, and the next one says all is well."""
    images, folder = 0, tmp_path / "failed"
    for number in range(1, 26, 4):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        injected = ["-e", f"inject=fdatasync:error=EIO:when={number}"]
        steps = powerloss.record([str(folder), "--pages", "2"], tmp_path, *injected)
        found = powerloss.examine(steps, tmp_path, 10, number)
        assert (found.corrupt, found.lost) == (0, 0), number
        images += found.images
    assert images == 70


def _each(points: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for call, count in points.items():
        for number in range(1, count + 1):
            yield call, number


def _copy(begun: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(begun, folder)


def _goes_on(arguments: Sequence[str], folder: Path) -> None:
    assert committing.main([*arguments, "--quiet"]) == 0
    assert committing.inspect(folder, prove=True) == dict.fromkeys(committing.INTEGRATIONS, PAGES)


def _told(out: str) -> dict[int, int]:
    """The acknowledged pages: what was committed must stay."""
    words = [line.split() for line in out.splitlines()]
    return {int(id_): int(page) for _, id_, page in words}
