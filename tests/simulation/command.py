"""`make simulate`: many worlds, on every core when there are many, and what they came to."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from simulation import bugs
from simulation.world import Report, play

REGRESSIONS = Path(__file__).with_name("regressions.txt")
FAULTS_NOT = frozenset({"events", "requests", "integrations", "polls", "gaps"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when an invariant was violated."""
    asked = _parser().parse_args(arguments)
    if asked.bugs:
        return 0 if bugs.search(asked.hours, _print, [asked.bug] if asked.bug else []) else 1
    if asked.trace:
        report = play(asked.seeds[0], asked.hours, bug=asked.bug, trace=print)
        return _told([report], asked.hours, asked.bug)
    reports = []
    for report in played(asked.seeds, asked.hours, asked.bug):
        reports.append(report)
        if report.violation:
            print(_line(report, asked.bug), flush=True)
    return _told(reports, asked.hours, asked.bug)


def played(seeds: Sequence[int], hours: float, bug: str = "") -> Iterator[Report]:
    """The reports of these worlds, as they come, from as many processes as there are cores."""
    work = [(seed, hours, bug) for seed in seeds]
    cores = len(os.sched_getaffinity(0))
    if len(work) < 4 or cores < 2:
        yield from map(_play, work)
        return
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        yield from pool.imap(_play, work)


def regressions() -> list[tuple[int, float, str]]:
    """Seeds that once found something: the seed, the hours, what it was."""
    lines = (line for line in REGRESSIONS.read_text().splitlines() if line and not line.startswith("#"))
    parts = (line.split(None, 2) for line in lines)
    return [(int(seed), float(hours), text) for seed, hours, text in parts]


def summary(reports: Iterable[Report], hours: float) -> dict[str, object]:
    """What many worlds came to, in machine form."""
    done = sorted(reports, key=lambda report: report.seed)
    counts = sum((report.counts for report in done), Counter[str]())
    digest = blake2b("".join(report.digest for report in done).encode(), digest_size=16).hexdigest()
    faults = sum(count for name, count in counts.items() if name not in FAULTS_NOT)
    seconds = sum(report.seconds for report in done)
    simulated = sum(report.simulated for report in done)
    return {
        "seeds": f"{done[0].seed}-{done[-1].seed}",
        "worlds": len(done),
        "hours_each": hours,
        "hours_simulated": round(simulated, 1),
        "cpu_seconds": round(seconds, 1),
        "hours_per_core_minute": round(simulated / seconds * 60.0),
        "events": counts["events"],
        "requests": counts["requests"],
        "faults": faults,
        "kills": counts["kill"],
        "pauses": counts["pause"],
        "lost": sum(report.violation.startswith("I1") for report in done),
        "doubled": sum(report.violation.startswith("I2") for report in done),
        "violations": [f"{report.seed}: {report.violation}" for report in done if report.violation],
        "counts": dict(sorted(counts.items())),
        "digest": digest,
    }


def replay(report: Report, bug: str = "") -> str:
    """The one command that shows this world again."""
    planted = f" --bug {bug!r}" if bug else ""
    return f".venv/bin/python -m tests.simulation --seeds {report.seed} --hours {report.hours:g}{planted} --trace"


def _print(text: str) -> None:
    print(text, flush=True)


def _play(work: tuple[int, float, str]) -> Report:
    seed, hours, bug = work
    return play(seed, hours, bug=bug)


def _told(reports: Sequence[Report], hours: float, bug: str) -> int:
    print(json.dumps(summary(reports, hours), indent=1))
    broken = [report for report in reports if report.violation]
    if broken:
        print(_line(broken[0], bug))
        return 1
    print(f"{len(reports)} worlds, nothing violated")
    return 0


def _line(report: Report, bug: str) -> str:
    return f"seed {report.seed}: {report.violation}\n  again: {replay(report, bug)}".replace("\n  again", "  again")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.simulation", description="Simulate Conductor on virtual time.")
    parser.add_argument(
        "--seeds", "--seed", type=_seeds, default=range(1, 101), help="one seed, or a range such as 1-200"
    )
    parser.add_argument("--hours", type=float, default=6.0, help="under faults, before the world is healed")
    parser.add_argument("--bug", default="", choices=["", *bugs.BUGS], help="plant a bug")
    parser.add_argument("--bugs", action="store_true", help="find for each planted bug the first seed that shows it")
    parser.add_argument("--trace", action="store_true", help="print everything that happens in the first world")
    return parser


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main())
