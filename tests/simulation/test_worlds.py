"""A hundred worlds hold every invariant, and the same seed is the same world wherever it runs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation import bugs, command
from simulation.world import play

ROOT = Path(__file__).parents[2]
SEEDS, EACH = 100, 25
HOURS = 6.0
SHARED = 11  # three workers on one database, in which one of them ends and comes back within the hour
PROGRAM = "from simulation.world import play; print(play({seed}, {hours}).digest)"


@pytest.mark.parametrize("first", range(1, SEEDS + 1, EACH))
def test_a_hundred_worlds_violate_nothing(first: int) -> None:
    reports = list(command.played(range(first, first + EACH), HOURS))
    broken = [f"{report.violation}; again: {command.replay(report)}" for report in reports if report.violation]
    assert not broken
    counts = command.summary(reports, HOURS)["counts"]
    assert isinstance(counts, dict)
    # Worlds in which nothing goes wrong would prove nothing.
    assert counts["kill"] > 25
    assert counts["commit unknown"] > 2
    assert counts["events"] > 2_500


@pytest.mark.parametrize(("seed", "hours", "text"), command.regressions())
def test_what_a_seed_found_once_stays_mended(seed: int, hours: float, text: str) -> None:
    assert not play(seed, hours).violation, text


@pytest.fixture(name="shown", scope="module")
def _shown() -> dict[str, bool]:
    """Which planted bugs are found; in other processes, for what dies in a broken world may complain later."""
    with multiprocessing.get_context("spawn").Pool() as pool:
        return dict(zip(bugs.BUGS, pool.map(bugs.shows, bugs.found(), chunksize=1), strict=True))


@pytest.mark.parametrize("name", bugs.BUGS)
def test_a_planted_bug_is_found(name: str, shown: dict[str, bool]) -> None:
    assert shown[name]


def test_every_planted_bug_was_found_within_fifty_seeds_and_is_told() -> None:
    found = bugs.found()
    assert [item.name for item in found] == list(bugs.BUGS)
    assert len(found) >= 15
    assert max(item.seed for item in found) <= bugs.TRIES
    assert bugs.PAGE.read_text("utf-8") == bugs.page()


@pytest.mark.parametrize("seed", [3, SHARED])
def test_one_seed_is_one_world_whatever_the_hash_seed(seed: int) -> None:
    digests = {_digest(seed, hash_seed) for hash_seed in ("0", "1", "4711") for _ in range(2)}
    assert len(digests) == 1


def test_another_seed_is_another_world() -> None:
    assert play(3, 0.5).digest != play(4, 0.5).digest


def _digest(seed: int, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "tests")}
    program = PROGRAM.format(seed=seed, hours=1.0)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout
