"""Killed while it indexes, at each rename and sync of the search engine: afterwards the index has every event once.

Merges are off, so that the same calls come in the same order. `make killpoints` takes every call that changes a file,
here only those that make something certain or visible, and some of the others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import committing
import pytest
import straced

PAGES = 3
ALL = "CONDUCTOR_TEST_ALL_POINTS"
DECIDING = {"fsync", "rename", "renameat2"}
STRIDE = 20  # of the others, without ALL


@pytest.fixture(name="begun", params=["new", "grown"])
def _begun(request: pytest.FixtureRequest, tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]) -> Path:
    """Batches to be indexed: into an engine that is not there yet, or that has the first of them."""
    straced.usable(skip_or_fail)
    folder = tmp_path / "data"
    folder.mkdir()
    assert committing.main([str(folder), "--pages", "1", "--quiet"]) == 0
    if request.param == "grown":
        with straced.forking("indexing", tmp_path) as forker:
            assert forker.run([str(folder), "1"]).code == 0
    assert committing.main([str(folder), "--pages", str(PAGES), "--quiet"]) == 0
    return folder


def test_f45_a_kill_while_indexing_leaves_every_event_in_the_index_once(begun: Path, tmp_path: Path) -> None:
    saved, arguments, kills = tmp_path / "saved", [str(begun), str(PAGES)], 0
    shutil.copytree(begun, saved, symlinks=True)  # the engine's own links name the folder it runs in
    with straced.forking("indexing", tmp_path) as forker:
        for call, number in list(_points(forker, arguments)):
            shutil.rmtree(begun)
            shutil.copytree(saved, begun, symlinks=True)
            killed = forker.run(arguments, straced.inject(call, "signal=KILL", number))
            assert killed.code in (straced.KILLED, 0), f"{call} {number}: {killed}"  # 0: another thread was faster
            kills += killed.code == straced.KILLED
            after = forker.run(arguments)
            assert after.code == 0, f"{call} {number}: {after.err[-2000:]}"
    assert kills
    print(f"\n{kills} kills of the indexer")


def _points(forker: straced.Forker, arguments: list[str]) -> Iterator[tuple[str, int]]:
    for call, count in forker.points(arguments).items():
        every = 1 if call in DECIDING or os.environ.get(ALL) else STRIDE
        yield from ((call, number) for number in range(1, count + 1, every))
