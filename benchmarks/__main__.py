"""Run all benchmarks and print their figures as Markdown, for docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import os
import platform
import sys

from benchmarks.commits import commits
from benchmarks.freshness import freshness
from benchmarks.idle import idle
from benchmarks.throughput import end_to_end

ALL = {
    "Committed by the journal alone": commits,
    "End to end": lambda: asyncio.run(end_to_end()),
    "From commit to searchable": lambda: asyncio.run(freshness()),
    "A thousand integrations": lambda: asyncio.run(idle()),
}


def main() -> None:
    """All, or those whose names contain a word of the command line."""
    wanted = [word.lower() for word in sys.argv[1:]]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    for name, measure in ALL.items():
        if wanted and not any(word in name.lower() for word in wanted):
            continue
        print(f"## {name}\n\n| figure | value |\n|---|---|")
        for figure, value in measure().items():
            print(
                f"| {figure.replace('_', ' ')} | {value:,.2f} |"
                if value % 1
                else f"| {figure.replace('_', ' ')} | {value:,.0f} |"
            )
        print(flush=True)


if __name__ == "__main__":
    main()
