"""A hundred worlds hold every invariant, and the same seed is the same world wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation import command
from simulation.world import play

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 101)
HOURS = 6.0
PROGRAM = "from simulation.world import play; print(play({seed}, {hours}).digest)"


def test_a_hundred_worlds_violate_nothing() -> None:
    reports = list(command.played(SEEDS, HOURS))
    broken = [f"{report.violation}; again: {command.replay(report)}" for report in reports if report.violation]
    assert not broken
    counts = command.summary(reports, HOURS)["counts"]
    assert isinstance(counts, dict)
    # Worlds in which nothing goes wrong would prove nothing.
    assert counts["kill"] > 100
    assert counts["commit unknown"] > 10
    assert counts["events"] > 10_000


@pytest.mark.parametrize(("seed", "hours", "text"), command.regressions())
def test_what_a_seed_found_once_stays_mended(seed: int, hours: float, text: str) -> None:
    assert not play(seed, hours).violation, text


def test_one_seed_is_one_world_whatever_the_hash_seed() -> None:
    digests = {_digest(3, hash_seed) for hash_seed in ("0", "1", "4711") for _ in range(2)}
    assert len(digests) == 1


def test_another_seed_is_another_world() -> None:
    assert play(3, 0.5).digest != play(4, 0.5).digest


def _digest(seed: int, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "tests")}
    program = PROGRAM.format(seed=seed, hours=1.0)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout
