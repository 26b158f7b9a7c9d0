"""Write the next migration from the difference between the schema and the sum of the migrations.

PYTHONPATH=src python tools/migration.py "what changes"
"""

import sys
import tempfile
from pathlib import Path

import sqlalchemy
from alembic import command

from conductor.store import migrations

with tempfile.TemporaryDirectory() as folder:
    engine = sqlalchemy.create_engine(f"sqlite:///{Path(folder) / 'empty.db'}")
    migrations.upgrade(engine)
    config = migrations.configuration()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        number = len(list((Path(migrations.__file__).parent / "versions").glob("0*.py"))) + 1
        command.revision(config, sys.argv[1], autogenerate=True, rev_id=f"{number:04}")
