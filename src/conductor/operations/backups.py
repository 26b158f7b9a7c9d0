"""Backing up, restoring, and saving what is left of a damaged database: of SQLite, PostgreSQL has its own tools."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from conductor import __version__
from conductor.core import clock
from conductor.core.errors import Conflict, KeyWrong, NotFound, StoreCorrupt, StoreError
from conductor.operations import proof
from conductor.operations.accounts import HasDatabase
from conductor.store import audit, backup, keyfile, migrations, salvage
from conductor.store.database import Connection, Database, sqlite_url, translated
from conductor.store.vault import Vault, expected_key

SCHEMA = "conductor.backup/1"
Told = Callable[[str], None]


class KeyBeside(StoreError):
    """The backup would lie beside the key that opens it."""

    code = "local.backup.key"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: where the replaced database is, and what the backup held."""

    aside: Path | None
    made_at: str
    events: int


def manifest_of(file: Path) -> Path:
    """Where a backup's manifest lies."""
    return file.with_name(file.name + ".json")


def check_target(file: Path, key: Path) -> None:
    """Raise Conflict for a file that is there, KeyBeside for a directory that has the key."""
    if file.exists():
        raise Conflict(f"{file} is there already. Choose another name.")
    if file.parent.resolve() == key.parent.resolve() or any(file.parent.glob(f"{key.name}*")):
        raise KeyBeside(f"{file.parent} holds the master key.", directory=str(file.parent))


def make(source: Path, file: Path, told: Told) -> dict[str, Any]:
    """Copy, prove the copy, and only then give it its name; the answer is its manifest. Raises StoreError."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        backup.copy(source, draft, lambda left, total: told(f"{100 - 100 * left // max(total, 1)} % copied"))
        told("proving the copy")
        report = proof.check(sqlite_url(draft))
        if not report.intact:
            raise StoreCorrupt("The copy is damaged, and so is the database.", what="see `conductor db check`")
        manifest = _manifest(draft, report)
        manifest_of(file).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        draft.rename(file)
        return manifest
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)


async def note(system: HasDatabase, file: str, *, by: str) -> None:
    """Write down that a backup is made, before it is: the backup itself tells of it."""
    await system.database.write(lambda connection: audit.append(connection, by, "backup.made", file))


def restore(directory: Path, key: Path, file: Path, told: Told, *, by: str) -> Restored:
    """Check the backup, fence every earlier owner, and put it in place. The caller owns the data directory.

    Raises NotFound, KeyWrong, StoreCorrupt, StoreError; then nothing was changed.
    """
    manifest = _read_manifest(file)
    staged, path = directory / "conductor.db.restoring", directory / "conductor.db"
    told("copying")
    backup.stage(file, staged)
    try:
        report = _ready(staged, key, file, told, by=by)
        aside = path.with_name(f"conductor.db.replaced-{clock.now():%Y%m%dT%H%M%SZ}")
        there = path.exists()
        backup.swap(staged, path, aside)
    finally:
        staged.unlink(missing_ok=True)
    events = sum(chain.events for chain in report.chains)
    return Restored(aside if there else None, str(manifest.get("made_at", "at an unknown time")), events)


def save(path: Path, file: Path) -> tuple[int, int]:
    """Write every event that can be read as a line of JSON; how many, and how many batches are lost."""
    if file.exists():
        raise Conflict(f"{file} is there already. Choose another name.")
    events = lost = 0
    with file.open("xb") as out:
        os.chmod(file, 0o600)
        for saved in salvage.batches(path):
            if saved is None:
                lost += 1
                continue
            events += len(saved.signals)
            out.writelines(_lines(saved))
    return events, lost


def _ready(staged: Path, key: Path, file: Path, told: Told, *, by: str) -> proof.Report:
    """Bring the staged copy up to date, prove it, and fence everybody who owned something when it was made."""
    engine = Database(sqlite_url(staged)).engine
    try:
        with translated(engine):
            migrations.upgrade(engine)
            told("proving it")
            report = proof.check(sqlite_url(staged))
            if not report.intact:
                raise StoreCorrupt(f"{file} is damaged. Take another backup.", what=f"{file} is not as it was written")
            with engine.begin() as connection:
                _check_key(connection, key)
                backup.fence(connection)
                audit.append(connection, by, "backup.restored", str(file))
    finally:
        engine.dispose()
    return report


def _check_key(connection: Connection, key: Path) -> None:
    expected = expected_key(connection)
    if expected is None:
        return
    if not key.exists():
        raise KeyWrong(f"The key file {key} is missing.", path=str(key), id=expected)
    Vault(keyfile.open_key_file(key), key, keyfile.read_next(key)).check(connection)


def _manifest(draft: Path, report: proof.Report) -> dict[str, Any]:
    told = proof.told(report)
    return {
        "schema": SCHEMA,
        "conductor": __version__,
        "made_at": clock.to_text(clock.now()),
        "bytes": draft.stat().st_size,
        "sha256": backup.digest(draft),
        "integrations": told["integrations"],
        "audit": told["audit"],
    }


def _read_manifest(file: Path) -> Mapping[str, Any]:
    """What the backup's manifest tells, nothing without one. Raises NotFound, StoreCorrupt."""
    if not file.is_file():
        raise NotFound(f"There is no file {file}.")
    path = manifest_of(file)
    if not path.exists():
        return {}
    try:
        found: Mapping[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"{path} is no manifest.", what=f"{path} is no manifest") from error
    if backup.digest(file) != found.get("sha256"):
        raise StoreCorrupt(f"{file} is not what its manifest tells.", what=f"{file} is not what its manifest tells")
    return found


def _lines(saved: salvage.Saved) -> Iterator[bytes]:
    head = {
        "integration": saved.integration,
        "batch": saved.batch,
        "collected_at": clock.to_text(clock.from_micros(saved.committed_at)),
    }
    for signal in saved.signals:
        name = signal.id.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        yield msgspec.json.encode({**head, "id": name, **_raw(signal.raw)}) + b"\n"


def _raw(raw: bytes) -> dict[str, str]:
    """Exact, either way."""
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}
