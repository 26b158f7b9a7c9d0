"""Ten million events: proved, and collected from again after a start."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from benchmarks import large

PROCESS = [sys.executable, "-m", "conductor"]
PATIENCE = 120.0  # seconds


def proof() -> dict[str, float]:
    """How long `conductor db check` takes, and how much processor time."""
    folder = large.directory()
    before, begun = os.times(), time.perf_counter()
    subprocess.run([*PROCESS, "db", "check", "--data", folder], check=True, stdout=subprocess.DEVNULL)
    took, after = time.perf_counter() - begun, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    size = (folder / "conductor.db").stat().st_size
    return {"events": large.EVENTS, "database_mib": size / 2**20, "seconds": took, "processor_seconds": used}


def start() -> dict[str, float]:
    """From the start of `conductor serve` to the begin of its first poll. The poll itself fails: nobody is there."""
    folder = large.directory()
    _switch(folder, on=True)
    known = _polls(folder)
    begun = time.perf_counter()
    with subprocess.Popen(
        [*PROCESS, "serve", "--bind", "127.0.0.1:0", "--data", folder, "--retention-days", "3650"],
        stderr=subprocess.DEVNULL,
        env=large.environment(folder),
    ) as process:
        while _polls(folder) == known and time.perf_counter() - begun < PATIENCE:
            time.sleep(0.02)
        took = time.perf_counter() - begun
        process.terminate()
    _switch(folder, on=False)
    return {"events": large.EVENTS, "seconds_to_the_first_poll": took}


def _polls(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'conductor.db'}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT max(id) FROM polls").fetchone()[0])


def _switch(folder: Path, *, on: bool) -> None:
    deed: Mapping[bool, str] = {True: "enable", False: "disable"}
    command = [*PROCESS, "integration", deed[on], "bench-0", "--data", folder]
    subprocess.run(command, check=True, capture_output=True, env=large.environment(folder))
