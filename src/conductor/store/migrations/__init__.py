"""The schema's history. Forward only; each start brings a database up to date in one transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, func, select

from conductor.core.errors import SettingsError
from conductor.store import aside

_TURN = 7_266_001  # any number, the same in every version


def upgrade(engine: Engine) -> None:
    """Apply what is missing, with a copy of a SQLite database beside it until that is done.

    Raises SettingsError for a database that a newer Conductor made, StoreFull without room for the copy.
    """
    config = configuration()
    scripts = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise SettingsError("This data was made by a newer Conductor. Install that version again.")
    if current == scripts.get_current_head():
        aside.discard(engine)
        return
    with aside.kept(engine, current), engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # processes that start at once take turns
            connection.execute(select(func.pg_advisory_xact_lock(_TURN)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def configuration() -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
