"""The columns that a user wants to see in searches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply."""
    told = "of searches, as URLs have them"
    columns = sa.Column("columns", sa.Text(), nullable=False, server_default="", comment=told)
    op.add_column("users", columns)
