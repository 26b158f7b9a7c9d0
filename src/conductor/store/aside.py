"""A copy of a SQLite database, kept beside it while it is brought up to date, and deleted when that went well.

The upgrade is one transaction, so a crash needs no copy; a mistake in a migration does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from conductor.core.errors import StoreFull

MB = 1_000_000


@contextmanager
def kept(engine: Engine, revision: str | None) -> Iterator[None]:
    """Copy, then upgrade in the block; the copy stays when that fails. Without a `revision` there is nothing to keep.

    Raises StoreFull when there is no room for the copy. PostgreSQL has its own tools: the documentation asks for them.
    """
    file = Path(str(engine.url.database))
    if engine.dialect.name != "sqlite" or revision is None:
        yield
        return
    copy = file.with_name(f"{file.name}.before-{revision}")
    copy.unlink(missing_ok=True)  # an upgrade that was killed: the database is as it was before
    _copy(engine, file, copy)
    yield
    discard(engine)


def discard(engine: Engine) -> None:
    """Delete the copies of upgrades that are done."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        file = Path(engine.url.database)
        for copy in file.parent.glob(f"{file.name}.before-*"):
            copy.unlink()


def _copy(engine: Engine, file: Path, copy: Path) -> None:
    needed, free = file.stat().st_size, shutil.disk_usage(file.parent).free
    if needed > free:
        raise StoreFull(
            f"The upgrade copies the database first: {needed // MB} MB are needed, {free // MB} are free. Make room."
        )
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("VACUUM INTO ?", (str(copy),))
    finally:
        connection.close()
    with copy.open("rb") as written:
        os.fsync(written.fileno())
