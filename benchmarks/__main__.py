"""Run all benchmarks and print their figures as Markdown, for docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping

from benchmarks import compare as compared
from benchmarks import large
from benchmarks.bombs import bombs
from benchmarks.browser import browser
from benchmarks.commits import commits
from benchmarks.compare import compare
from benchmarks.descriptors import descriptors
from benchmarks.freshness import freshness
from benchmarks.idle import idle
from benchmarks.pages import pages
from benchmarks.polite import polite
from benchmarks.proof import proof, start
from benchmarks.search import searching, searching_while_events_arrive
from benchmarks.throughput import end_to_end

ALL: dict[str, Callable[[], Mapping[str, float] | Mapping[str, float | str]]] = {
    "Committed by the journal alone": commits,
    "End to end": lambda: asyncio.run(end_to_end()),
    "From commit to searchable": lambda: asyncio.run(freshness()),
    "Under bombs": lambda: asyncio.run(bombs()),
    "A thousand after a restart": lambda: asyncio.run(polite()),
    "Ten million proved": proof,
    "Ten million started": start,
    "Ten million searched": lambda: asyncio.run(searching(large.directory())),
    "Ten million while events arrive": lambda: asyncio.run(searching_while_events_arrive(large.directory())),
    "The same in SQLite FTS5 and DuckDB": lambda: asyncio.run(compare(large.directory(compared.EVENTS))),
    "Open files": lambda: asyncio.run(descriptors()),
    "Pages of a thousand": lambda: asyncio.run(pages()),
    "In the browser": browser,
    "A thousand integrations": lambda: asyncio.run(idle()),
}


def main() -> None:
    """Those whose names contain a word of the command line; all, each in a process of its own, without one."""
    wanted = [word.lower() for word in sys.argv[1:]]
    if not wanted:
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n", flush=True)
        for name in ALL:
            subprocess.run([sys.executable, "-m", "benchmarks", name], check=True)
        return
    for name, measure in ALL.items():
        if any(word in name.lower() for word in wanted):
            _tell(name, measure())


def _tell(name: str, figures: Mapping[str, float] | Mapping[str, float | str]) -> None:
    print(f"## {name}\n\n| figure | value |\n|---|---|")
    for figure, value in figures.items():
        print(f"| {figure.replace('_', ' ')} | {_shown(value)} |")
    print(flush=True)


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    if abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:,.2f}" if value % 1 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
