"""Hours of real time: a real Conductor over TLS, faults at the vendor, kill -9 again and again; then every id is compared.

    PYTHONPATH=src:tests python -m soak --hours 2 --kills 500 --report soak.md

50 integrations on five simulated tenants that go on writing events. The last tenth of the time is left without kills:
there the slopes of memory, file descriptors and the log are measured. Exit code 1 when something was lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import processes
import psutil
from processes import Conductor, Vendor

from conductor import app
from conductor.settings import Settings
from conductor.store import journal

TENANTS = ("acme", "bolt", "cone", "dune", "echo")
INTEGRATIONS = 50
FAULTS = {
    "rate_limited": {"probability": 0.03, "retry_after": "1"},
    "server_error": {"probability": 0.03},
    "reset": {"probability": 0.01},
    "truncated": {"probability": 0.01},
    "duplicated": {"probability": 0.02},
}
QUIET = 0.1  # of the time, without kills
PATIENCE = 900.0  # seconds to collect what is left
MIB = 2**20


@dataclass(slots=True)
class Sample:
    """How the process was at one time."""

    at: float
    rss: float  # MiB
    fds: int
    wal: float  # MiB


@dataclass(slots=True)
class Outcome:
    """What the soak found."""

    hours: float = 0.0
    kills: int = 0
    events: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    unsearchable: int = 0
    caught_up: float = 0.0
    killed: list[Sample] = field(default_factory=list)
    quiet: list[Sample] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, all of it searchable."""
        return not (self.lost or self.doubled or self.foreign or self.unsearchable)


def soak(folder: Path, hours: float, kills: int, seed: int) -> Outcome:
    """Run it; the folder keeps data and logs."""
    chance, outcome = random.Random(seed), Outcome(hours=hours)
    options = {"history": 2000, "days": 2, "rate": 0.3, "rate_limit": "20/s", "seed": seed}
    with processes.vendor(folder, *TENANTS, **options) as vendor, Conductor(folder) as conductor:
        conductor.start()
        for number in range(INTEGRATIONS):
            conductor.add(f"i{number:02}", vendor.values(number % len(TENANTS), polling_interval=1))
        for kind, more in FAULTS.items():
            vendor.fault(kind, seed=seed, **more)
        _kill_and_start(conductor, outcome, (hours * 3600 * (1 - QUIET), kills), chance)
        _watch(conductor, outcome, hours * 3600 * QUIET)
        vendor.control("DELETE", "faults")
        _compare(folder, vendor, conductor, outcome)
    return outcome


def _kill_and_start(conductor: Conductor, outcome: Outcome, plan: tuple[float, int], chance: random.Random) -> None:
    seconds, kills = plan
    begun = time.monotonic()
    for number in range(kills):
        due = begun + (number + chance.uniform(0.3, 1.0)) * seconds / kills
        time.sleep(max(0.0, due - time.monotonic()))
        outcome.killed.append(_sample(conductor, begun))
        conductor.kill()
        outcome.kills += 1
        conductor.start()
        if number % 25 == 24:
            print(f"{outcome.kills} kills in {time.monotonic() - begun:.0f} s", flush=True)


def _watch(conductor: Conductor, outcome: Outcome, seconds: float) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        outcome.quiet.append(_sample(conductor, begun))
        time.sleep(min(10.0, seconds / 10))


def _sample(conductor: Conductor, begun: float) -> Sample:
    assert conductor.process is not None
    process, wal = psutil.Process(conductor.process.pid), conductor.data / "conductor.db-wal"
    size = wal.stat().st_size if wal.exists() else 0
    at = time.monotonic() - begun
    return Sample(at, process.memory_info().rss / MIB, process.num_fds(), size / MIB)


def _compare(folder: Path, vendor: Vendor, conductor: Conductor, outcome: Outcome) -> None:
    """What each tenant had when the faults ended must be there; nothing else, and nothing twice."""
    wanted = {number: set(vendor.log_ids(number)) for number in range(len(TENANTS))}
    total = sum(len(wanted[number % len(TENANTS)]) for number in range(INTEGRATIONS))
    begun = time.monotonic()
    while conductor.count() < total and time.monotonic() - begun < PATIENCE:
        time.sleep(2)
    time.sleep(75)  # one polling interval: the count may be reached by newer events
    outcome.caught_up = time.monotonic() - begun
    conductor.stop()
    existing = {number: set(vendor.log_ids(number)) for number in range(len(TENANTS))}
    stored, searchable = asyncio.run(_kept(folder))
    for name, ids in stored.items():
        tenant = int(name[1:]) % len(TENANTS)
        outcome.events += len(ids)
        outcome.lost += [f"{name} {id_}" for id_ in wanted[tenant] - ids.keys()]
        outcome.doubled += [f"{name} {id_}" for id_, count in ids.items() if count > 1]
        outcome.foreign += [f"{name} {id_}" for id_ in ids.keys() - existing[tenant]]
        outcome.unsearchable += sum(((ids - searchable[name]) + (searchable[name] - ids)).values())


async def _kept(folder: Path) -> tuple[dict[str, Counter[str]], dict[str, Counter[str]]]:
    """By integration, how often journal and index have each id."""
    settings = Settings(data=folder / "data")
    with app.owned(settings.data) as directory:
        async with app.opened(settings, directory) as system:
            while await system.indexer.catch_up():
                pass
            rows = await system.analytics.read(
                lambda client: client.query("SELECT integration_id, log_id FROM artifacts").result_rows
            )
            stored: dict[str, Counter[str]] = {}
            for id_ in range(1, INTEGRATIONS + 1):  # in the order in which they were added
                batches = await system.database.read(
                    lambda connection, id_=id_: journal.read(connection, id_, 1, 10**9)
                )
                stored[f"i{id_ - 1:02}"] = Counter(signal.id for batch in batches for signal in batch.signals)
            searchable: dict[str, Counter[str]] = {name: Counter() for name in stored}
            for id_, log_id in rows:
                searchable[f"i{id_ - 1:02}"][str(log_id)] += 1
            return stored, searchable


def _slope(samples: Sequence[Sample], what: str) -> float:
    """Growth an hour, by least squares."""
    if len(samples) < 2:
        return 0.0
    values = [(sample.at / 3600, float(getattr(sample, what))) for sample in samples]
    mean_at = sum(at for at, _ in values) / len(values)
    mean = sum(value for _, value in values) / len(values)
    spread = sum((at - mean_at) ** 2 for at, _ in values)
    return sum((at - mean_at) * (value - mean) for at, value in values) / spread if spread else 0.0


def report(outcome: Outcome, command: str) -> str:
    """As Markdown."""
    rows = {
        "hours": outcome.hours,
        "kill -9": outcome.kills,
        "integrations on tenants": f"{INTEGRATIONS} on {len(TENANTS)}",
        "events stored": outcome.events,
        "lost": len(outcome.lost),
        "twice": len(outcome.doubled),
        "not the tenant's": len(outcome.foreign),
        "journal and search differ in": outcome.unsearchable,
        "caught up after": f"{outcome.caught_up:.0f} s",
    }
    for phase, samples in (("with kills", outcome.killed), ("without kills", outcome.quiet)):
        for what, unit in (("rss", "MiB"), ("fds", ""), ("wal", "MiB")):
            most = max((float(getattr(sample, what)) for sample in samples), default=0.0)
            rows[f"{what}, {phase}: most, growth an hour"] = f"{most:.0f} {unit}, {_slope(samples, what):+.1f}"
    lines = [
        f"`{command}`",
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
    ]
    return "\n".join([*lines, "", *outcome.lost[:20], *outcome.doubled[:20], *outcome.foreign[:20]]) + "\n"


def main() -> int:
    """0 when nothing was lost or doubled."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=Path("soak.md"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        outcome = soak(Path(name), asked.hours, asked.kills, asked.seed)
    told = report(outcome, f"python -m soak --hours {asked.hours:g} --kills {asked.kills} --seed {asked.seed}")
    asked.report.write_text(told)
    print(told, flush=True)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
