"""Changing the master key: every secret's own key is wrapped anew, online, and a kill at any moment loses nothing.

1. The new key is written beside the old one. From now on it seals.
2. Each secret's key is wrapped with it, some in a transaction; a row says which key it needs.
3. The database takes it for its own.
4. The new file takes the place of the old one, which is kept under its id.

A start in between goes on at once: the new key's file tells that there is something left.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Protocol

from conductor.core.errors import Conflict, SettingsError
from conductor.store import audit, keyfile
from conductor.store.database import Connection, Database
from conductor.store.vault import FIRST, Place, Vault


class HasVault(Protocol):
    """What these operations need of the system."""

    @property
    def database(self) -> Database: ...

    @property
    def vault(self) -> Vault: ...


async def rotate(system: HasVault, *, by: str) -> Path:
    """Change the master key; the answer is where the old one is kept. Raises SettingsError, Conflict, StoreError."""
    path = system.vault.path
    if path is None:
        raise SettingsError("The master key is in no file.")
    loop = asyncio.get_running_loop()
    if await loop.run_in_executor(None, keyfile.next_to(path).exists):
        raise Conflict("The master key is being changed already.")
    system.vault.change_to(await loop.run_in_executor(None, keyfile.begin, path))
    return await _finish(system, path, by=by)


async def go_on(system: HasVault) -> None:
    """Finish a change of the key that was interrupted. Raises SettingsError, StoreError."""
    path = system.vault.path
    if path is not None and await asyncio.get_running_loop().run_in_executor(None, keyfile.next_to(path).exists):
        await _finish(system, path, by="conductor")


async def _finish(system: HasVault, path: Path, *, by: str) -> Path:
    vault = system.vault
    reached: Place | None = FIRST
    while reached is not None:
        reached = await system.database.write(partial(vault.rewrap, after=reached))

    def settle(connection: Connection) -> None:
        vault.settle(connection)
        audit.append(connection, by, "key.rotated", vault.key_id)

    await system.database.write(settle)
    return await asyncio.get_running_loop().run_in_executor(None, keyfile.finish, path)
