"""Opens a data directory as Conductor does, and indexes what is committed, as a program for tests that kill it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import clickhouse_connect  # noqa: F401 - imported before the fork
import committing

from conductor import app
from conductor.operations.system import System
from conductor.settings import Settings


async def index(folder: Path) -> Counter[tuple[int, bytes]]:
    """Index everything that is committed; how often each signal is in the index."""
    with app.owned(folder) as directory:
        async with app.opened(Settings(data=folder), directory) as system:
            await system.analytics.write(lambda client: client.command("SYSTEM STOP MERGES"))
            while await system.indexer.catch_up():
                pass
            os.write(1, b"indexed\n")
            return await _found(system)


async def _found(system: System) -> Counter[tuple[int, bytes]]:
    rows = await system.analytics.read(
        lambda client: client.query("SELECT integration_id, log_id, raw FROM artifacts").result_rows
    )
    return Counter((int(integration_id), str(log_id)) for integration_id, log_id, _ in rows)


def main(arguments: Sequence[str]) -> int:
    """0 when the index has every signal of these many pages exactly once."""
    folder, pages = Path(arguments[0]), int(arguments[1])
    found = asyncio.run(index(folder))
    wanted = Counter((id_, signal) for id_ in committing.INTEGRATIONS for signal in committing.up_to(id_, pages))
    if found == wanted:
        return 0
    os.write(2, f"missing {list(wanted - found)[:3]}, too many {list(found - wanted)[:3]}\n".encode())
    return 1
