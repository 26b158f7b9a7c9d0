"""A small program that changes the master key, for tests that kill it: `main([FOLDER])`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from conductor.operations import keys
from conductor.store import keyfile, migrations
from conductor.store.database import Connection, Database, sqlite_url
from conductor.store.vault import Vault

SECRETS: Mapping[tuple[str, str], str] = {
    (f"integration/{number}", field): f"canary-{number}-{field}"
    for number in range(3)
    for field in ("client_secret", "token")
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A database and its vault."""

    database: Database
    vault: Vault


def opened(folder: Path) -> Opened:
    """As a start does it."""
    path = folder / "conductor.key"
    vault = Vault(keyfile.open_key_file(path), path, keyfile.read_next(path))
    return Opened(Database(sqlite_url(folder / "conductor.db")), vault)


async def make(folder: Path) -> None:
    """A database with secrets."""
    system = opened(folder)
    await system.database.prepare(migrations.upgrade)
    await system.database.open()
    await system.database.write(system.vault.check)

    def put(connection: Connection) -> None:
        for (owner, field), value in SECRETS.items():
            system.vault.put(connection, owner, field, value, context="host", by="test")

    await system.database.write(put)
    await system.database.close()


async def read(folder: Path, *, go_on: bool = False) -> dict[tuple[str, str], str | None]:
    """All secrets, as a start finds them; with `go_on` the start's own work is done first."""
    system = opened(folder)
    await system.database.open()

    def get(connection: Connection) -> dict[tuple[str, str], str | None]:
        return {place: system.vault.get(connection, *place, context="host") for place in SECRETS}

    try:
        await system.database.write(system.vault.check)
        if go_on:
            await keys.go_on(system)
        return await system.database.read(get)
    finally:
        await system.database.close()


async def rotate(folder: Path) -> None:
    """Change the key."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # strace counts each thread's calls apart
    system = opened(folder)
    await system.database.open()
    await system.database.write(system.vault.check)
    await keys.rotate(system, by="test")
    await system.database.close()


def main(arguments: Sequence[str]) -> int:
    """Change the key of the data in that folder."""
    asyncio.run(rotate(Path(arguments[0])))
    return 0
